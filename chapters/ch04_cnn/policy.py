"""Section 4.2: the simplest policy network, one convolution that says where to play Go.

    python -m chapters.ch04_cnn.policy --data FOLDER
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.ch04_cnn.convolution import convolve
from chapters.ch04_cnn.positions import games  # noqa: F401  the experiment's data
from chapters.kit import figures
from chapters.kit.training import Evaluation
from data_tools.go.board import BLACK, LETTERS, WHITE, Position, star_points, vertex
from data_tools.go.features import BOOK_ORDER, DAT_ORDER, book_planes
from mxnet import gluon, nd
from mxnet.gluon import nn

# The symmetrised kernels of 4.2.3: (corner, edge, centre).
PRINTED = dict(zip(BOOK_ORDER, (
    (.47, .55, -2.47), (.23, .49, -2.27), (.41, .09, 5.78), (-.26, 1.30, -.92), (.42, .21, -1.28),
    (.41, -.02, -1.32), (.11, -.38, -1.65), (2.79, 3.30, .04))))

# AlphaGo (black) against Ke Jie, 2017, game 2, up to move 27: the position of figure 4-21, white to play.
GAME = ('qp pd cq cd ec oq pn df nc qf pc qc qb oc pb od ob rc nd mb lc lb qd rd jc mc pe')


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
    found = Evaluation(printed, 'softmax', 361, run.data.validation_x, run.data.validation_y, run.devices[0],
                       run.experiment.top)()
    metrics.update(zip(('printed_kernels_loss', 'printed_kernels_accuracy',
                        *(f'printed_kernels_top{number}' for number in run.experiment.top)), found))
    return metrics


def position_of_the_book(moves=None):
    """The position of figure 4-21, white to play; or that after the first so many moves of its game."""
    position = Position()
    for letters in GAME.split()[:moves]:
        x, y = (ord(letter) - ord('a') for letter in letters)
        position.play(x + 19 * y)
    return position


def one_convolution(run):
    """Sections 4.2.1 to 4.2.3: planes, kernels and sums on the book's position, as in figures 4-21 to 4-31.

    Returns
    -------
    dict
        The scores that the book prints, the largest difference between this sum and MXNet's convolution, and
        the two points with the highest sums, as x + 19 y and with their probabilities.
    """
    position = position_of_the_book()
    planes = dict(zip(BOOK_ORDER, book_planes(position.state)))
    scores = {name: convolve(np.pad(plane.astype(float), 1), full_kernel(*PRINTED[name]))
              for name, plane in planes.items()}
    total = sum(scores.values())
    _draw_planes(run, position, planes, scores)
    network = with_printed_kernels()
    in_order = np.stack([planes[name] for name in DAT_ORDER])[None]
    logits = network(nd.array(in_order, dtype='float32')).asnumpy()[0]
    probabilities = np.exp(total - total.max()).ravel() / np.exp(total - total.max()).sum()
    _draw_sum(run, position, total, probabilities)
    metrics = {f'{name}_{point}': scores[name][row(point), column(point)]
               for name, points in (('own', 'L19 O18 O17 M18'), ('empty', 'L15 T19')) for point in points.split()}
    metrics['difference_mxnet'] = np.abs(logits - total.ravel()).max()
    first, second = np.argsort(-probabilities)[:2]
    run.say(f'highest sums: {vertex(first)} ({probabilities[first]:.1%}), '
            f'{vertex(second)} ({probabilities[second]:.1%})')
    metrics.update(first=first, second=second, first_probability=probabilities[first],
                   second_probability=probabilities[second])
    return metrics


def row(point):
    """The row, from the top, of a point such as 'T19'."""
    return 19 - int(point[1:])


def column(point):
    """The column, from the left, of a point such as 'T19'."""
    return LETTERS.index(point[0])


def draw_board(axis, position):
    """A board with its stones, the last one marked, on matplotlib axes whose units are points."""
    size = position.size
    axis.set_facecolor('#e8c27a')
    axis.hlines(range(size), 0, size - 1, color='black', linewidth=0.5, zorder=1)
    axis.vlines(range(size), 0, size - 1, color='black', linewidth=0.5, zorder=1)
    axis.scatter([move % size for move in star_points(size)], [move // size for move in star_points(size)], s=6,
                 color='black', zorder=2)
    for colour, name in ((BLACK, 'black'), (WHITE, 'white')):
        for y, x in np.argwhere(position.board == colour):
            axis.add_patch(figures.plt.Circle((x, y), 0.46, facecolor=name, edgecolor='black', zorder=3))
    if position.last_move is not None:
        axis.plot(position.last_move % size, position.last_move // size, 's', color='red', markersize=3,
                  zorder=4)
    _axes_of_a_board(axis, size)


def draw_choices(axis, position, probabilities, count=9):
    """A board with the likeliest legal points, their shares in percent on them.

    Parameters
    ----------
    axis : matplotlib axes
    position : Position
    probabilities : numpy.ndarray, (size * size,)
    count : int
    """
    size, legal = position.size, np.flatnonzero(position.legal_moves()[:position.size ** 2])
    draw_board(axis, position)
    for move in legal[np.argsort(-probabilities[legal])[:count]]:
        if probabilities[move] >= 0.005:
            axis.add_patch(figures.plt.Circle((move % size, move // size), 0.46, facecolor='#b7dfb0', zorder=4))
            axis.text(move % size, move // size, f'{100 * probabilities[move]:.0f}', ha='center', va='center',
                      fontsize=8, zorder=5)


def _axes_of_a_board(axis, size):
    axis.set(xlim=(-0.6, size - 0.4), ylim=(size - 0.4, -0.6), xticks=range(size), yticks=range(size),
             xticklabels=LETTERS[:size], yticklabels=range(size, 0, -1), aspect='equal')
    axis.tick_params(labelsize=5, length=0)


def _draw_planes(run, position, planes, scores):
    """Each plane, its kernel, and their convolution."""
    figure, axes = figures.plt.subplots(len(planes), 3, figsize=(12, 4.1 * len(planes)))
    for (name, plane), (left, middle, right) in zip(planes.items(), axes):
        left.imshow(plane, cmap='Greys', vmin=0, vmax=1.6)
        left.set_title(f'plane: {name}')
        kernel = full_kernel(*PRINTED[name])
        middle.imshow(kernel, cmap='RdBu_r', vmin=-6, vmax=6)
        for (y, x), value in np.ndenumerate(kernel):
            middle.text(x, y, f'{value:.2f}', ha='center', va='center', in_layout=False)
        middle.set(xticks=[], yticks=[], title='kernel', xlim=(-2.5, 4.5), ylim=(4.5, -2.5))
        right.imshow(scores[name], cmap='RdBu_r', vmin=-9, vmax=9)
        right.set_title('convolution')
        for y, x in np.argwhere(scores[name] != 0):
            right.text(x, y, f'{scores[name][y, x]:.1f}', ha='center', va='center', fontsize=4, in_layout=False)
        for axis in (left, right):
            _axes_of_a_board(axis, position.size)
    figure.tight_layout()
    run.save_figure(figure, 'planes')


def _draw_sum(run, position, total, probabilities):
    """The board, the sum of all convolutions, and its softmax."""
    figure, (left, middle, right) = figures.plt.subplots(1, 3, figsize=(17, 6))
    draw_board(left, position)
    left.set_title('white to play')
    middle.imshow(total, cmap='RdBu_r', vmin=-12, vmax=12)
    for (y, x), value in np.ndenumerate(total):
        middle.text(x, y, f'{value:.1f}', ha='center', va='center', fontsize=5, in_layout=False)
    middle.set_title('sum of the 8 convolutions')
    draw_choices(right, position, probabilities)
    right.set_title('softmax, %')
    _axes_of_a_board(middle, 19)
    figure.suptitle(figures.text('4.2.3 Where the simplest network would play', '最简单的策略网络的选择'))
    run.save_figure(figure, 'sum')


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('4.2.2')
