"""Section 4.3.4: pooling, and maps of where a network sees each class, as they stand before the global average.

    python -m chapters.ch04_cnn.pooling
"""
import numpy as np
from mxnet import nd

from chapters.ch04_cnn.convolution import IMAGE
from chapters.ch04_cnn.lenet import RECIPE, LeNet
from chapters.kit.experiment import Study, figures_of
from chapters.kit.report import figures
from chapters.kit.training.train import train
from chapters.script import run_script

_SIDE, _DIGITS = 84, 4  # of a canvas; digits on each, one a corner


def pool(image, size, stride, kind='max'):
    """Maxima or means of windows, (floor((H - size) / stride) + 1, ...).

    Parameters
    ----------
    image : numpy.ndarray, (H, W)
    size, stride : int
    kind : str
        'max' or 'avg'.
    """
    windows = np.lib.stride_tricks.sliding_window_view(image, (size, size))[::stride, ::stride]
    return (windows.max if kind == 'max' else windows.mean)(axis=(2, 3))


def class_maps(network, images):
    """What goes into the global average of `LeNet`: a map a class.

    Parameters
    ----------
    network : LeNet
    images : numpy.ndarray, (N, C, H, W), of any size that its kernels fit into

    Returns
    -------
    numpy.ndarray, (N, classes, h, w)
        Their means are the logits.
    """
    return network.output(network.features(nd.array(images))).asnumpy()


def canvases(data, count, random):
    """Images of four validation digits each, one in each quarter.

    Returns
    -------
    images : float32 (N, 1, 84, 84)
    labels : int (N, 4)
    corners : int (N, 4, 2)
        Row and column where each digit begins.
    """
    images = np.zeros((count, 1, _SIDE, _SIDE), np.float32)
    chosen = random.integers(0, len(data.validation_x), (count, _DIGITS))
    corners = np.array([(row, column) for row in (0, _SIDE // 2) for column in (0, _SIDE // 2)]) \
        + random.integers(0, _SIDE // 2 - 28 + 1, (count, _DIGITS, 2))
    for image, numbers, places in zip(images, chosen, corners):
        for number, (row, column) in zip(numbers, places):
            image[:, row:row + 28, column:column + 28] = data.validation_x[number]
    return images, data.validation_y[chosen].astype(int), corners


def pooling_and_maps(run):
    """Section 4.3.4: pooling against MXNet's; then a trained network on images larger than those that it has learnt, where its
    maps, which the global average makes one number of, show which digit is where (as figure 4-38 has it of photographs).

    Returns
    -------
    dict
        Largest difference of the poolings; validation accuracy; the share of digits whose class has the highest of all maps
        where the digit is.
    """
    metrics, x = {}, nd.array(IMAGE[None, None])
    for kind in ('max', 'avg'):
        for size, stride in ((2, 2), (3, 2)):
            theirs = nd.Pooling(x, kernel=(size, size), stride=(stride, stride), pool_type=kind).asnumpy()[0, 0]
            metrics[f'difference_{kind}_{size}_stride_{stride}'] = np.abs(pool(IMAGE, size, stride, kind) - theirs).max()
    whole = nd.Pooling(x, global_pool=True, kernel=(1, 1), pool_type='avg').asscalar()
    metrics['difference_global_average'] = abs(whole - IMAGE.mean())
    # An average is a convolution with equal weights; a maximum is none.
    strided = nd.Convolution(x, nd.ones((1, 1, 2, 2)) / 4, kernel=(2, 2), stride=(2, 2), num_filter=1, no_bias=True)
    metrics['difference_average_and_strided_convolution'] = np.abs(strided.asnumpy()[0, 0] - pool(IMAGE, 2, 2, 'avg')).max()

    network, history = train(run)
    network.hybridize(False)
    images, labels, corners = canvases(run.data, 50, np.random.default_rng(run.seed))
    maps = class_maps(network, images)
    found = 0
    places = [[place_of(corner, maps.shape[2]) for corner in four] for four in corners]
    for planes, four, where in zip(maps, labels, places):
        found += sum(planes[:, row, column].argmax() == label for label, (row, column) in zip(four, where))
    metrics.update(validation_accuracy=history[-1]['validation_accuracy'], digits_found=found / labels.size)
    # A point of a map is 4 points of the canvas, and looks at the 28 around it.
    figure, axes = figures.plt.subplots(3, 6, figsize=(13, 7))
    for row, (image, planes, four) in zip(axes, zip(images, maps, labels)):
        row[0].imshow(image[0], cmap='gray')
        row[0].set_title('image', fontsize=9)
        shown = list(dict.fromkeys(four)) + [label for label in range(10) if label not in four]
        for axis, label in zip(row[1:], shown):
            axis.imshow(image[0], cmap='gray', extent=(0, _SIDE, _SIDE, 0))
            axis.imshow(planes[label], cmap='inferno', vmin=0, vmax=planes.max(), alpha=0.65,
                        extent=(12, _SIDE - 12, _SIDE - 12, 12))
            axis.set(xlim=(0, _SIDE), ylim=(_SIDE, 0))
            axis.set_title(f'map of {run.data.class_names[label]}', fontsize=9)
    for axis in axes.ravel():
        axis.axis('off')
    figure.suptitle(figures.text('4.3.4 What the global average is taken of: a map a class', '全局平均池化前的分类图')
                    + f'\n{run.data_name}')
    run.save_figure(figure, 'class-maps')
    return metrics


def place_of(corner, side):
    """The point of a map (side x side) that looks at the 28x28 points of the canvas from `corner` on.

    Points of the map are 4 points of the canvas apart, and each looks at 28x28: two poolings of stride 2.
    """
    return tuple(int(min(round(start / 4), side - 1)) for start in corner)


EXPERIMENTS = [
    Study('4.3.4', 'Pooling, and maps of the classes', '池化与分类图', network=LeNet,
          recipe=RECIPE.but(epochs=5, learning_rate=0.1), data='mnist', sample_shape=(1, 28, 28), function=pooling_and_maps,
          book=figures_of(difference_average_and_strided_convolution=0),
          remark='Figure 4-38 is of photographs: 5.2-photographs draws such maps.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
