"""Sections 5.4.1 and 5.4.2: what small kernels see and cost: receptive fields by gradient, bottlenecks of 1x1.

    python -m chapters.ch05_deep_cnn.small_kernels
"""
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import chain, padded_convolution
from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.report import figures
from chapters.script import run_script

# Stacks of kernels: figures 5-16 to 5-18, and AlexNet's first.
STACKS = {
    'one 5x5': [5], 'two 3x3': [3, 3], 'three 3x3': [3, 3, 3], 'one 7x7': [7], '1x3 and 3x1': [(1, 3), (3, 1)],
    'one 3x3': [3], 'one 11x11': [11],
}


def stack_of(kernels):
    """Convolutions of one plane each, without biases, as large as their input."""
    return chain(*(padded_convolution(1, kernel, use_bias=False) for kernel in kernels))


def receptive_field(network, side=31):
    """Which points of the input the middle point of the output depends on: where its gradient is not zero.

    Parameters
    ----------
    network : HybridBlock
        Of one plane, output as large as its input; its weights are set to 1, so that nothing cancels.
    side : int

    Returns
    -------
    numpy.ndarray, (side, side)
        The gradient.
    """
    network.initialize()
    x = nd.ones((1, 1, side, side))
    network(x)
    for parameter in network.collect_params().values():
        parameter.set_data(nd.ones_like(parameter.data()))
    x.attach_grad()
    with autograd.record():
        middle = network(x)[0, 0, side // 2, side // 2]
    middle.backward()
    return x.grad.asnumpy()[0, 0]


def receptive_fields(run):
    """Section 5.4.1: fields and weights of stacks of kernels; 3x3 twice sees 5x5 with 18 weights for 25.

    Returns
    -------
    dict
        Sides and numbers of weights, and the share that two 3x3 save.
    """
    metrics = {}
    figure, axes = figures.plt.subplots(1, len(STACKS), figsize=(2.2 * len(STACKS), 3))
    for axis, (name, kernels) in zip(axes, STACKS.items()):
        network = stack_of(kernels)
        gradient = receptive_field(network)
        rows, columns = (np.ptp(np.flatnonzero(gradient.any(axis=axis_))) + 1 for axis_ in (1, 0))
        weights = sum(parameter.data().size for parameter in network.collect_params().values())
        word = name.replace(' ', '_')
        metrics.update({f'field_of_{word}': rows, f'weights_of_{word}': weights})
        axis.imshow(gradient[9:-9, 9:-9], cmap='Blues')
        axis.set_title(f'{name}\nsees {rows}x{columns}, {weights} weights', fontsize=9)
        axis.set(xticks=[], yticks=[])
    metrics['saved_by_two_3x3'] = 1 - metrics['weights_of_two_3x3'] / metrics['weights_of_one_5x5']
    figure.suptitle(figures.text('5.4.1 Which points of the input one point of the output depends on', '感受野'))
    figure.tight_layout()
    run.save_figure(figure, 'fields')
    return metrics


def bottleneck(run, channels=256, narrow=64):
    """Section 5.4.2: weights of a 3x3 convolution, without and with a bottleneck; a 1x1 convolution as a perceptron at each
    point.

    Returns
    -------
    dict
    """
    direct = [(channels, 3)]
    through = [(narrow, 1), (narrow, 3), (channels, 1)]

    def weights(shapes):
        return sum(row.parameters for row in layer_table(chain(*(padded_convolution(*shape, use_bias=False)
                                                                 for shape in shapes)), (1, channels, 8, 8)))
    # figure 5-19: at every point the same perceptron over the channels
    convolution, dense = nn.Conv2D(narrow, 1, in_channels=channels), nn.Dense(narrow, in_units=channels)
    for layer in (convolution, dense):
        layer.initialize()
    dense.weight.set_data(convolution.weight.data().reshape((narrow, channels)))
    x = nd.random.uniform(shape=(1, channels, 8, 8))
    by_points = dense(x.transpose((0, 2, 3, 1)).reshape((-1, channels))).reshape((1, 8, 8, narrow)).transpose((0, 3, 1, 2))
    return {'weights_direct': weights(direct), 'weights_through_bottleneck': weights(through),
            'share_percent': round(100 * weights(through) / weights(direct), 1),
            'difference_1x1_perceptron': nd.abs(convolution(x) - by_points).max().asscalar()}


EXPERIMENTS = [
    WorkedExample('5.4.1', 'Receptive fields of small kernels', '小卷积核的感受野', function=receptive_fields,
                  book=figures_of(field_of_two_3x3=5, weights_of_two_3x3=18, weights_of_one_5x5=25, saved_by_two_3x3=0.28)),
    WorkedExample('5.4.2', 'A bottleneck of 1x1 convolutions', '1x1 卷积构成的瓶颈', function=bottleneck,
                  book=figures_of(weights_direct=589824, weights_through_bottleneck=69632, share_percent=11.8)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
