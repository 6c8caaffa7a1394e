"""Sections 4.1.3 and 4.3: convolution, pooling and their opposites, in the open and checked against MXNet.

    python -m chapters.ch04_cnn.convolution
"""
import numpy as np
from mxnet import autograd, nd
from mxnet.gluon import nn

from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script

IMAGE = np.array([
    [.5, 0, 0, .5, 0, .5, 0, 0],
    [1, 1, 1, 0, 1, 0, 0, 0],
    [0, 0, 0, 1, .5, .5, 0, 0],
    [0, 0, 0, 0, .5, .5, 0, 1],
    [1, 0, 1, 0, 0, 0, .5, 1],
    [0, 1, 0, 0, .5, 0, 0, 0],
    [1, 0, 1, 0, 0, 0, 0, 0],
    [0, 0, 0, 0, 0, 0, 0, 0]])
CROSS = np.array([[1, -1, 1], [-1, 1, -1], [1, -1, 1]])

# Kernels of 4.3.1. The book prints vertical edges and blur 3x3; the others are ours.
FILTERS = {
    'vertical edges': [[-1, 0, 1], [-1, 0, 1], [-1, 0, 1]],
    'vertical edges, Sobel': [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]],
    'horizontal edges, Sobel': [[-1, -2, -1], [0, 0, 0], [1, 2, 1]],
    'all edges': [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]],
    'blur 3x3': np.full((3, 3), 1 / 9),
    'blur 9x9': np.full((9, 9), 1 / 81),
}


def convolve(image, kernel, stride=1):
    """Convolution as networks have it (the kernel is not turned round), without padding.

    Parameters
    ----------
    image : numpy.ndarray, (H, W)
    kernel : numpy.ndarray, (K, L)
    stride : int

    Returns
    -------
    numpy.ndarray, (floor((H - K) / stride) + 1, floor((W - L) / stride) + 1)
    """
    windows = np.lib.stride_tricks.sliding_window_view(image, np.shape(kernel))
    return np.einsum('ijkl,kl->ij', windows[::stride, ::stride], kernel)


def output_side(side, kernel, stride):
    """floor((n - k) / s) + 1: the side of a convolution's output (4.3.3)."""
    return (side - kernel) // stride + 1


def find_the_x(run):
    """Section 4.1.3: a kernel shaped like an X answers loudest where the picture has one."""
    answer = convolve(IMAGE, CROSS)
    by_mxnet = nd.Convolution(_batch(IMAGE), _batch(CROSS), kernel=(3, 3), num_filter=1,
                              no_bias=True).asnumpy()[0, 0]
    row, column = np.unravel_index(answer.argmax(), answer.shape)
    figure, axes = figures.plt.subplots(1, 3, figsize=(13, 4.6), gridspec_kw={'width_ratios': (8, 3, 6)})
    for axis, values, title in zip(axes, (IMAGE, CROSS, answer), ('image', 'kernel', 'convolution')):
        last = axis is axes[2]
        axis.imshow(values, **dict(cmap='RdBu_r', vmin=-7, vmax=7) if last else dict(cmap='gray'))
        for (i, j), value in np.ndenumerate(values):
            axis.text(j, i, f'{value:g}', ha='center', va='center', fontsize=9,
                      color='black' if last else 'C1')
        axis.set(title=title, xticks=[], yticks=[])
    for axis, side in ((axes[0], 3), (axes[2], 1)):
        axis.add_patch(figures.plt.Rectangle((column - 0.5, row - 0.5), side, side, fill=False,
                                             edgecolor='red', linewidth=3))
    figure.suptitle(figures.text('4.1.3 The X found by convolution', '用卷积找到图中的 X'))
    run.save_figure(figure, 'x-found')
    return {'maximum': answer.max(), 'mean': answer.mean(), 'row': row, 'column': column,
            'difference_mxnet': np.abs(answer - by_mxnet).max()}


def sharing_and_filters(run):
    """Section 4.3.1: how many parameters sharing saves; what single kernels do to a picture."""
    convolution, dense = nn.Conv2D(64, 3, in_channels=3), nn.Dense(64 * 30 * 30, in_units=3 * 32 * 32)
    metrics = {name: sum(np.prod(parameter.shape) for parameter in layer.collect_params().values())
               for name, layer in (('parameters_convolution', convolution),
                                   ('parameters_fully_connected', dense))}
    from sklearn.datasets import load_sample_image
    picture = load_sample_image('china.jpg').mean(axis=2) / 255
    results = {'picture': picture}
    for name, kernel in FILTERS.items():
        results[name] = nd.Convolution(_batch(picture), _batch(kernel), kernel=np.shape(kernel), num_filter=1,
                                       no_bias=True).asnumpy()[0, 0]
        metrics[f'difference_{name.replace(", ", "_").replace(" ", "_")}'] = np.abs(
            results[name] - convolve(picture, kernel)).max()
    figure, axes = figures.plt.subplots(2, 4, figsize=(16, 6.6))
    for axis in axes.ravel()[len(results):]:
        axis.axis('off')
    for axis, (name, values) in zip(axes.ravel(), results.items()):
        axis.imshow(np.abs(values) if 'edges' in name else values, cmap='gray')
        axis.set_title(name)
        axis.axis('off')
    figure.suptitle(figures.text('4.3.1 One kernel, one look at the picture', '不同卷积核的效果'))
    figure.tight_layout()
    run.save_figure(figure, 'filters')
    return metrics


def backpropagate(image, kernel, bias, target):
    """The derivatives of (OUT - target)^2 by hand, OUT being max(convolve(image, kernel) + bias) (4.3.2).

    Only the window that gave the maximum counts: there the derivative of OUT by the kernel is the image, by the image the
    kernel, and by the bias 1.

    Returns
    -------
    (OUT, loss, by_kernel, by_bias, by_image)
    """
    out = convolve(image, kernel) + bias
    row, column = np.unravel_index(out.argmax(), out.shape)
    slope = 2 * (out.max() - target)
    window = np.s_[row:row + kernel.shape[0], column:column + kernel.shape[1]]
    by_image = np.zeros_like(image)
    by_image[window] = slope * kernel
    return out.max(), (out.max() - target) ** 2, slope * image[window], slope, by_image


def backpropagation(run):
    """Section 4.3.2: the network of figure 4-33, a 2x2 convolution and global max pooling, by hand and by `autograd`."""
    random = np.random.default_rng(run.seed)
    worst = 0.0
    for _ in range(20):
        image, kernel, (bias, target) = random.normal(size=(3, 3)), random.normal(size=(2, 2)), random.normal(size=2)
        x, w, b = _batch(image), _batch(kernel), nd.array([bias])
        for array in (x, w, b):
            array.attach_grad()
        with autograd.record():
            out = nd.Pooling(nd.Convolution(x, w, b, kernel=(2, 2), num_filter=1), pool_type='max', global_pool=True)
            loss = nd.square(out - target)
        loss.backward()
        for mine, theirs in zip(backpropagate(image, kernel, bias, target), (out, loss, w.grad, b.grad, x.grad)):
            difference = np.abs(mine - theirs.asnumpy().reshape(np.shape(mine))).max()
            worst = max(worst, difference / max(1, np.abs(mine).max()))  # in single precision, of numbers of any size
    return {'difference_by_hand_autograd': worst}


# What may stand beyond the edge of an image (4.3.3), as `mx.sym.Pad` and NumPy call it.
PADDINGS = {'constant': ('a constant', 'constant'), 'edge': ('the edge repeated', 'edge'), 'reflect': ('a mirror', 'reflect')}


def output_sides(run):
    """Section 4.3.3: the rule for the output's side against what MXNet makes, for convolution and pooling; padding of p for
    kernels of 2p + 1, which keeps the side; and three kinds of padding."""
    compared = wrong = changed = 0
    for side in (7, 8, 28, 32):
        x = nd.zeros((1, 1, side, side))
        for kernel in range(1, 8):
            for stride in range(1, 5):
                convolved = nd.Convolution(x, nd.zeros((1, 1, kernel, kernel)), kernel=(kernel,) * 2,
                                           stride=(stride,) * 2, num_filter=1, no_bias=True)
                pooled = nd.Pooling(x, kernel=(kernel,) * 2, stride=(stride,) * 2, pool_type='max')
                for out in (convolved, pooled):
                    compared += 1
                    wrong += out.shape[2:] != (output_side(side, kernel, stride),) * 2
        for p in range(1, 4):
            kept = nd.Convolution(x, nd.zeros((1, 1, 2 * p + 1, 2 * p + 1)), kernel=(2 * p + 1,) * 2, pad=(p, p), num_filter=1,
                                  no_bias=True)
            changed += kept.shape != x.shape
    figure, axes = figures.plt.subplots(1, len(PADDINGS) + 1, figsize=(4 * (len(PADDINGS) + 1), 4.4))
    axes[0].imshow(IMAGE, cmap='gray', vmin=0, vmax=1)
    axes[0].set_title('image')
    differences = []
    for axis, (mode, (name, theirs)) in zip(axes[1:], PADDINGS.items()):
        gray = mode == 'constant'
        padded = nd.Pad(_batch(IMAGE), mode=mode, pad_width=(0, 0, 0, 0, 2, 2, 2, 2), constant_value=0.5 * gray).asnumpy()[0, 0]
        by_numpy = np.pad(IMAGE, 2, theirs, **({'constant_values': 0.5} if gray else {}))
        differences.append(np.abs(padded - by_numpy).max())
        axis.imshow(padded, cmap='gray', vmin=0, vmax=1)
        axis.add_patch(figures.plt.Rectangle((1.5, 1.5), 8, 8, fill=False, edgecolor='red'))
        axis.set_title(f'{mode}: {name}')
    for axis in axes:
        axis.set(xticks=[], yticks=[])
    figure.suptitle(figures.text('4.3.3 What stands beyond the edge', '外衬的种类'))
    run.save_figure(figure, 'padding')
    return {'compared': compared, 'wrong': wrong, 'side_of_5x5_stride_2': output_side(5, 3, 2),
            'side_of_4x4_stride_1': output_side(4, 3, 1), 'changed_by_padding': changed,
            'difference_padding_modes': max(differences)}


ENLARGING = ((3, 2), (4, 2), (5, 3), (6, 3))  # kernel and stride


def enlarged():
    """An 8x8 image of ones made larger by kernels and strides; pixel shuffle of planes of ones, and of four grays (4.3.5).

    Returns
    -------
    dict of str to numpy.ndarray, (H, W)
    """
    x, results = nd.ones((1, 1, 8, 8)), {}
    for kernel, stride in ENLARGING:
        results[f'transposed, kernel {kernel}, stride {stride}'] = nd.Deconvolution(
            x, nd.ones((1, 1, kernel, kernel)), kernel=(kernel,) * 2, stride=(stride,) * 2, num_filter=1,
            no_bias=True).asnumpy()[0, 0]
    results['pixel shuffle of 4 equal planes'] = pixel_shuffle(np.ones((1, 4, 8, 8)), 2)[0, 0]
    grays = np.stack([np.full((8, 8), value) for value in (0, 1 / 3, 2 / 3, 1)])[None]
    results['pixel shuffle: places of the 4 planes'] = pixel_shuffle(grays, 2)[0, 0]
    return results


def larger_again(run):
    """Section 4.3.5: transposed convolution and the checkerboard that it weaves; pixel shuffle."""
    results, metrics = enlarged(), {}
    for kernel, stride in ENLARGING:
        inner = results[f'transposed, kernel {kernel}, stride {stride}'][kernel:-kernel, kernel:-kernel]
        metrics[f'unevenness_kernel{kernel}_stride{stride}'] = inner.max() / inner.min() - 1
    planes = np.arange(4 * 8 * 8).reshape(1, 4, 8, 8)
    shuffled = nd.depth_to_space(nd.array(planes), 2).asnumpy()[0, 0]
    by_hand = pixel_shuffle(planes, 2)[0, 0]
    metrics['difference_pixel_shuffle'] = np.abs(shuffled - by_hand).max()
    figure, axes = figures.plt.subplots(1, len(results), figsize=(2.5 * len(results), 3))
    for axis, (name, values) in zip(axes, results.items()):
        axis.imshow(values, cmap='gray', vmin=0)
        axis.set_title(name, fontsize=9)
        axis.set(xticks=[], yticks=[])  # a frame: an even picture is white
    figure.suptitle(figures.text('4.3.5 An 8x8 image of ones made larger', '反卷积的棋盘格与像素重排'))
    figure.tight_layout()
    run.save_figure(figure, 'larger')
    return metrics


def pixel_shuffle(planes, factor):
    """(N, factor^2, H, W) -> (N, 1, factor H, factor W): planes side by side within each pixel (4.3.5)."""
    n, _, height, width = planes.shape
    parts = planes.reshape(n, factor, factor, height, width)  # row within the pixel, column within it
    return parts.transpose(0, 3, 1, 4, 2).reshape(n, 1, height * factor, width * factor)


def _batch(values):
    """An array (H, W) as a batch of one plane, (1, 1, H, W)."""
    return nd.array(np.asarray(values)[None, None])


EXPERIMENTS = [
    WorkedExample('4.1.3', 'Convolution finds the X', '用卷积找到 X', function=find_the_x,
                  book=figures_of(maximum=5, mean=0.25)),
    WorkedExample('4.3.1', 'Shared weights; edge and blur filters', '共享权重；边缘与模糊滤波', function=sharing_and_filters,
                  book=figures_of(parameters_convolution=1792, parameters_fully_connected=177004800)),
    WorkedExample('4.3.2', 'Back-propagation by hand through a convolution', '手算卷积的反向传播', function=backpropagation),
    WorkedExample('4.3.3', "The side of a convolution's output, and paddings", '卷积输出的边长与外衬', function=output_sides,
                  book=figures_of(wrong=0, side_of_4x4_stride_1=2, side_of_5x5_stride_2=2)),
    WorkedExample('4.3.5', 'Transposed convolution and pixel shuffle', '反卷积与像素重排', function=larger_again),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
