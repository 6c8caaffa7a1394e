"""Section 4.2: the simplest policy network, one convolution that says where to play Go.

    python -m chapters.ch04_cnn.policy --data FOLDER
"""
from dataclasses import replace

import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from book_code import sec_4_2_2
from chapters.ch04_cnn.positions import PolicyRecipe, PolicyTraining
from chapters.kit.experiment import BookFigure
from chapters.kit.report import figures
from chapters.kit.training.train import Evaluation, Objective
from chapters.script import run_script
from data_tools.go.features import BOOK_ORDER, DAT_ORDER

# The symmetrised kernels of 4.2.3: (corner, edge, centre).
PRINTED = dict(zip(BOOK_ORDER, (
    (.47, .55, -2.47), (.23, .49, -2.27), (.41, .09, 5.78), (-.26, 1.30, -.92), (.42, .21, -1.28),
    (.41, -.02, -1.32), (.11, -.38, -1.65), (2.79, 3.30, .04))))


class OnePlanePolicy(gluon.HybridBlock):
    """One 3x3 convolution over the planes of a position to one plane, a score a point.

    Parameters
    ----------
    planes : int
        Of the input.
    last_move : bool
        False: the plane of the last move, the first of a packed position, is not looked at.

    Input (N, 8, 19, 19), planes in `DAT_ORDER`; output logits (N, 361), point x + 19 y.
    """
    def __init__(self, planes=8, last_move=True, **kwargs):
        super().__init__(**kwargs)
        self._last_move = last_move
        with self.name_scope():
            self.convolution = nn.Conv2D(1, kernel_size=3, padding=1, in_channels=planes - (not last_move))

    def hybrid_forward(self, F, x):
        if not self._last_move:
            x = F.slice_axis(x, axis=1, begin=1, end=None)
        return F.flatten(self.convolution(x))


def full_kernel(corner, edge, centre):
    """A symmetric 3x3 kernel from its three different numbers."""
    return np.array([[corner, edge, corner], [edge, centre, edge], [corner, edge, corner]])


def symmetrised(kernel):
    """(corner, edge, centre) of a 3x3 kernel averaged over the 8 symmetries of the board."""
    return (kernel[::2, ::2].mean(), (kernel[0, 1] + kernel[1, 0] + kernel[1, 2] + kernel[2, 1]) / 4, kernel[1, 1])


def with_printed_kernels():
    """The network of 4.2.2 with the kernels that the book prints."""
    network = OnePlanePolicy()
    network.initialize()
    network.convolution.weight.set_data(
        nd.array(np.stack([full_kernel(*PRINTED[name]) for name in DAT_ORDER])[None]))
    return network


def draw_kernels(run, network):
    """Section 4.2.3: the trained kernels, symmetrised, beside the book's.

    Only differences count: adding a number to all points of a board changes no probability, and the stones of
    both colours are the stones of all liberties. So single kernels may differ where the policy does not.

    Returns
    -------
    dict
        Corner, edge and centre of each plane; and how the printed kernels do on the same validation
        positions.
    """
    names = DAT_ORDER[-network.convolution.weight.shape[1]:]
    kernels = dict(zip(names, network.convolution.weight.data(run.devices[0]).asnumpy()[0]))
    metrics = {}
    figure, axes = figures.plt.subplots(2, len(BOOK_ORDER), figsize=(15, 4.4))
    for column, name in enumerate(BOOK_ORDER):
        ours = symmetrised(kernels[name]) if name in kernels else None
        if ours:
            for part, value in zip(('corner', 'edge', 'centre'), ours):
                metrics[f'{name}, {part}'] = value
        for axis, values, whose in ((axes[0, column], ours, 'here'), (axes[1, column], PRINTED[name], 'the book')):
            axis.set(xticks=[], yticks=[])
            if column == 0:
                axis.set_ylabel(whose)
            if values is None:
                axis.axis('off')
                continue
            axis.imshow(full_kernel(*values), cmap='RdBu_r', vmin=-6, vmax=6)
            for (y, x), value in np.ndenumerate(full_kernel(*values)):
                axis.text(x, y, f'{value:.2f}', ha='center', va='center', fontsize=8, in_layout=False)
        axes[0, column].set_title(name)
    figure.suptitle(figures.text('4.2.3 The kernels of the simplest policy network, symmetrised', '对称化后的卷积核'))
    figure.tight_layout()
    run.save_figure(figure, 'kernels')
    printed = with_printed_kernels()
    printed.collect_params().reset_ctx(run.devices)
    found = Evaluation(Objective(printed, top=run.experiment.top), run.data.validation_x, run.data.validation_y,
                       run.devices[0])()
    metrics.update(zip(('printed_kernels_loss', 'printed_kernels_accuracy',
                        *(f'printed_kernels_top{number}' for number in run.experiment.top)), found))
    return metrics


# The book does not say how it trained the network of 4.2.2.
_ONE_PLANE = PolicyTraining(
    '4.2.2', 'The simplest policy network', '最简单的策略网络', network=OnePlanePolicy, sizes={'planes': 8},
    recipe=PolicyRecipe(epochs=6, batch_size=256, learning_rate=0.05, momentum=0.9, anneal=1.0, initializer='uniform(0.01)',
                        samples_per_epoch=100000),
    listing=sec_4_2_2, drawings=(draw_kernels,),
    remark="Other games than the book's, and no word in the book on how it trained; on our validation games the "
           'kernels that it prints answer 17.88% as the player did.',
    book=tuple(BookFigure(value, f'validation_{metric}', 'go') for metric, value in (
        ('accuracy', 0.1649), ('top2', 0.2585), ('top5', 0.3744), ('top10', 0.4615))))

EXPERIMENTS = [
    _ONE_PLANE,
    replace(_ONE_PLANE, section='4.2.2-no-last-move', title='Without the plane of the last move',
            title_zh='去掉上一手的特征层', sizes={'planes': 8, 'last_move': False}, remark='',
            book=(BookFigure(0.0493, 'validation_accuracy', 'go'),)),
]


if __name__ == '__main__':
    run_script(_ONE_PLANE)
