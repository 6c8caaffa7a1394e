"""Section 5.8: a picture with the content of one and the style of another, found by changing its pixels.

    python -m chapters style rocket wave
    python -m chapters.ch05_detection_style.style --set size=256

Gatys, Ecker, Bethge, "A neural algorithm of artistic style", 2015 (https://arxiv.org/abs/1508.06576). In place of VGG-19, of
550 MB, the network is SqueezeNet 1.1, of 5; or any other that is trained, such as the one for CIFAR-10 that comes along.
"""
from pathlib import Path

import cv2
import numpy as np
from mxnet import autograd, gluon, nd
from PIL import Image
from scipy.optimize import minimize

from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
from chapters.ch05_detection_style.drawing import plain_numbers
from chapters.kit.data.pictures import photographs, read_picture
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError

# Numbers of the layers of `features` of a network whose planes are compared: content, styles.
SQUEEZENET = 6, (0, 2, 3, 5, 6, 8)  # after fire 5; after the first convolution, fires 2, 3, 4, 5, 6
OTHERS = 6, (3, 6, 10)
BALANCES = 0.003, 0.03, 0.3, 3.0   # of figure 5-62, from style to content
_COLOURS = np.array([[0.299, 0.587, 0.114], [0.596, -0.274, -0.322], [0.211, -0.523, 0.312]])  # RGB -> YIQ of NTSC
_MOST_PIXELS = 1024


def content_loss(a, c):
    """Half the sum of squared differences of planes (N, C, H, W)."""
    return nd.square(a - c).sum() / 2


def gram(planes):
    """The Gram matrix of planes (1, C, H, W): of each pair of channels the sum of their products over all pixels, (C, C)."""
    flat = planes.reshape((planes.shape[1], -1))
    return nd.FullyConnected(flat, flat, num_hidden=flat.shape[0], no_bias=True, flatten=False)


def style_loss(of_b, c, pixels_of_b):
    """Sum of squared differences of Gram matrices, divided by 4 N^2 M^2.

    Parameters
    ----------
    of_b : NDArray, (N, N)
        Gram matrix of the picture with the style.
    c : NDArray, (1, N, H, W)
        Planes of the picture that is made.
    pixels_of_b : int
        M of the former. Where it is another than the latter's, each matrix is divided by its own M.
    """
    number, pixels = c.shape[1], c.shape[2] * c.shape[3]
    return nd.square(of_b / pixels_of_b - gram(c) / pixels).sum() / (4 * number ** 2)


class Transfer:
    """The loss of 5.8 of a picture C: alpha x sum of content losses + beta x sum of style losses, and its gradient.

    Parameters
    ----------
    features : HybridSequential
        Of a trained network; pixels from 0 to 1.
    layers : (int, tuple of int)
        Those whose planes are compared for content and for style.
    content, style : numpy.ndarray, (3, H, W)
        A and B, from 0 to 1. Without A, `take` one before the first loss.
    alpha, beta : float
        Weights of content and of style. So that they mean the same for all networks and pictures, the content loss is
        divided by what it is for C = 0, each layer's style loss by what it is for C = A and by the number of layers: those
        are the book's v and w.

    Raises
    ------
    UserError
        A weight below 0, or both 0.
    """
    def __init__(self, features, layers, content, style, alpha=1.0, beta=1.0):
        if not (0 <= alpha < np.inf and 0 <= beta < np.inf and alpha + beta):
            raise UserError(f'weights of content and style {alpha:g} and {beta:g}: give numbers from 0 on, not both 0')
        self._alpha, self._beta = alpha, beta
        self._features, (self._content_layer, self._style_layers) = features, layers
        features.collect_params().setattr('grad_req', 'null')  # the network stays as it is: a third less to compute
        features.hybridize(False)
        for layer in features:
            layer.hybridize()
            if isinstance(layer, gluon.nn.BatchNorm):
                layer._kwargs['use_global_stats'] = True
        of_style = self._planes(nd.array(style[None]))
        self._styles = {layer: (gram(of_style[layer]), int(np.prod(of_style[layer].shape[2:])))
                        for layer in self._style_layers}
        if content is not None:
            self.take(content)

    def take(self, content):
        """Compare with the content of another picture A, (3, H, W)."""
        planes = self._planes(nd.array(content[None]))
        self._content = planes[self._content_layer]
        self._weights = {layer: self._beta / len(self._styles) / max(1e-12, style_loss(
            *self._of(layer, planes)).asscalar()) for layer in self._style_layers}
        self._content_weight = self._alpha / max(1e-12, float((nd.square(self._content).sum() / 2).asscalar()))

    def _of(self, layer, planes):
        matrix, pixels = self._styles[layer]
        return matrix, planes[layer], pixels

    def _planes(self, x):
        """{number of a layer: what it gives}."""
        found, last = {}, max(self._content_layer, *self._style_layers)
        for number, layer in enumerate(self._features):
            x = layer(x)
            found[number] = x
            if number == last:
                return found

    def parts(self, x):
        """(content loss, style loss), with their weights, of a picture (1, 3, H, W), an NDArray."""
        planes = self._planes(x)
        content = self._content_weight * content_loss(self._content, planes[self._content_layer])
        return content, sum(self._weights[layer] * style_loss(*self._of(layer, planes)) for layer in self._style_layers)

    def __call__(self, pixels):
        """(loss, gradient, content loss, style loss) at pixels (3, H, W)."""
        x = nd.array(pixels[None])
        x.attach_grad()
        with autograd.record():  # in training mode: oneDNN's poolings have no gradient in the other
            content, style = self.parts(x)
            loss = content + style
        loss.backward()
        return float(loss.asscalar()), x.grad.asnumpy()[0], float(content.asscalar()), float(style.asscalar())


def transfer(loss, start, iterations=100, method='lbfgs', rate=0.03, seen=lambda number, pixels: None):
    """Change a picture so that its loss falls.

    Parameters
    ----------
    loss : Transfer
    start : numpy.ndarray, (3, H, W)
    iterations : int
    method : str
        'lbfgs', by SciPy's L-BFGS-B with pixels held between 0 and 1; or 'adam'.
    rate : float
        Of Adam.
    seen : callable
        `seen(number, pixels)` after every iteration.

    Returns
    -------
    (pixels, losses) : (numpy.ndarray (3, H, W), list of (loss, content loss, style loss))

    Raises
    ------
    UserError
        No iterations, or no such method.
    """
    if iterations < 1:
        raise UserError(f'iterations={iterations}: give a number from 1 on')
    losses, bar = [], tqdm(total=iterations, desc='style', leave=False, disable=None, delay=1)

    def at(flat):
        value, gradient, *parts = loss(flat.reshape(start.shape))
        latest[:] = value, *parts
        return value * scale, gradient.reshape(-1).astype(np.float64) * scale

    def after(flat):
        losses.append(tuple(latest))
        bar.update()
        seen(len(losses), flat.reshape(start.shape))
    latest, flat = [0.0, 0.0, 0.0], start.astype(np.float64).reshape(-1)
    scale = len(flat)  # the first step of L-BFGS is as long as the gradient, which for each of many pixels is small
    if method == 'lbfgs':
        flat = minimize(at, flat, jac=True, method='L-BFGS-B', bounds=[(0, 1)] * len(flat), callback=after,
                        options={'maxiter': iterations, 'maxfun': 3 * iterations, 'maxcor': 10, 'ftol': 0, 'gtol': 0}).x
    elif method == 'adam':
        first, second = np.zeros_like(flat), np.zeros_like(flat)
        for number in range(1, iterations + 1):
            _, gradient = at(flat)
            first, second = 0.9 * first + 0.1 * gradient, 0.99 * second + 0.01 * gradient ** 2
            step = first / (1 - 0.9 ** number) / (np.sqrt(second / (1 - 0.99 ** number)) + 1e-12)
            flat = np.clip(flat - rate * step, 0, 1)
            after(flat)
    else:
        raise UserError(f'method={method}: lbfgs or adam')
    bar.close()
    return flat.reshape(start.shape).astype(np.float32), losses


def with_colours_of(content, made):
    """The brightness of one picture with the colours of another, both (3, H, W) from 0 to 1.

    Gatys et al., "Preserving color in neural artistic style transfer", 2016 (https://arxiv.org/abs/1606.05897).
    """
    parts = np.tensordot(_COLOURS, content, 1)
    parts[0] = np.tensordot(_COLOURS, made, 1)[0]
    return np.tensordot(np.linalg.inv(_COLOURS), parts, 1).clip(0, 1).astype(np.float32)


def picture_of(name, size):
    """A photograph of `photographs` by its name, or an image file, its longer side brought to `size`: (3, H, W), 0 to 1."""
    if Path(name).expanduser().is_file():
        pixels = read_picture(Path(name).expanduser(), 3)
    else:
        known = photographs()
        if name not in known:
            raise UserError(f'{name}: no such image file, and none of the pictures at hand: {", ".join(known)}')
        pixels = known[name]
    factor = size / max(pixels.shape[:2])
    sides = [max(32, round(side * factor)) for side in pixels.shape[1::-1]]
    return cv2.resize(pixels, tuple(sides), interpolation=cv2.INTER_AREA).transpose(2, 0, 1).astype(np.float32) / 255


def base_of(name):
    """(features, layers) of a network: 'squeezenet' with what ImageNet has taught it, or a run folder or `zoo:NAME`."""
    if name == 'squeezenet':
        network = SqueezeNet('1.1')
        network.initialize()
        network(nd.zeros((1, 3, 64, 64)))
        network.load_zoo()
        return network.features, SQUEEZENET
    import chapters
    from chapters.kit.trained.saved import load_run
    network = load_run(name, chapters.find).network
    if not isinstance(getattr(network, 'features', None), gluon.nn.HybridSequential):
        raise UserError(f'{name}: its network has no chain of layers called features; take squeezenet or zoo:5.5.7-fast')
    features, last = gluon.nn.HybridSequential(), max(OTHERS[1])
    features.add(*([network.whitening] if hasattr(network, 'whitening') else []), *network.features)
    if len(features) <= last:
        raise UserError(f'{name}: its network has {len(features)} layers, less than the {last + 1} that style needs')
    return features, OTHERS


def style(run, content='temple', style='starry_night', size=384, iterations=150, content_weight=0.03, style_weight=1.0,
          method='lbfgs', start='content', keep_colours=False, network='squeezenet', film=True):
    """Give a picture another's style, and show the way there.

    Parameters
    ----------
    run : Run
    content, style : str
        Image files, or names of photographs that are at hand.
    size : int
        Of the longer side, in pixels.
    iterations : int
    content_weight, style_weight : float
        alpha and beta.
    method : str
        'lbfgs' or 'adam'.
    start : str
        'content', or 'noise'.
    keep_colours : bool
        Only the brightness is changed.
    network : str
        'squeezenet', a run folder or `zoo:NAME`.
    film : bool
        Whether to write `film.gif`, a picture every few iterations.

    Returns
    -------
    dict
        Losses, and seconds an iteration.
    """
    import time
    if not 32 <= size <= _MOST_PIXELS:
        raise UserError(f'size={size}: give 32 to {_MOST_PIXELS} pixels: memory and time grow with its square')
    a, b = picture_of(content, size), picture_of(style, size)
    features, layers = base_of(network)
    loss = Transfer(features, layers, a, b, content_weight, style_weight)
    first, frames = _start(start, a, run.seed), []
    frames.append(first)

    def seen(number, pixels):
        if number % max(1, iterations // 25) == 0:
            frames.append(with_colours_of(a, pixels) if keep_colours else pixels)
    began = time.perf_counter()
    made, losses = transfer(loss, first, iterations, method, seen=seen)
    seconds = (time.perf_counter() - began) / max(1, len(losses))
    made = with_colours_of(a, made) if keep_colours else made
    (run.folder / 'figures').mkdir(exist_ok=True)
    image_of(made).save(run.folder / 'figures' / 'made.png')
    if film:
        images = [image_of(frame) for frame in frames + [made]]
        images[0].save(run.folder / 'figures' / 'film.gif', save_all=True, append_images=images[1:] + images[-1:] * 8,
                       duration=120, loop=0)
    _draw_way(run, a, b, frames, made, losses)
    return {'loss': losses[-1][0], 'content_loss': losses[-1][1], 'style_loss': losses[-1][2], 'seconds_an_iteration': seconds}


def _start(kind, content, seed):
    if kind == 'content':
        return content
    if kind == 'noise':
        return np.random.default_rng(seed).uniform(0.3, 0.7, content.shape).astype(np.float32)
    raise UserError(f'start={kind}: content or noise')


def image_of(pixels):
    """Pixels (3, H, W) from 0 to 1 as an image."""
    return Image.fromarray(np.rint(np.clip(pixels, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def _draw_way(run, a, b, frames, made, losses):
    shown = [a, b, *(frames[number] for number in np.linspace(min(1, len(frames) - 1), len(frames) - 1, 4).astype(int)), made]
    titles = ['A', 'B', *[''] * 4, 'C']
    figure, axes = figures.plt.subplots(2, 4, figsize=(14, 6.4))
    for axis, picture, title in zip(axes.flat, shown, titles):
        axis.imshow(np.clip(picture, 0, 1).transpose(1, 2, 0))
        axis.set_title(title)
        axis.set_axis_off()
    for number, name in enumerate(('loss', 'content', 'style')):
        axes.flat[-1].semilogy([row[number] for row in losses], label=name)
    axes.flat[-1].set_xlabel('iteration')
    plain_numbers(axes.flat[-1].yaxis)
    axes.flat[-1].legend(fontsize=8)
    figure.suptitle(figures.text('Content of A, style of B: C', 'A 的内容与 B 的风格'))
    figure.tight_layout()
    run.save_figure(figure, 'way')


def balances(run, content='temple', style='starry_night', size=256, iterations=60, network='squeezenet'):
    """The four balances of figure 5-62, from much style to much content; sizes as for `style`.

    Returns
    -------
    dict
        Content and style loss of each, before their weights.
    """
    a, b = picture_of(content, size), picture_of(style, size)
    features, layers = base_of(network)
    figure, axes = figures.plt.subplots(1, 4, figsize=(14, 3.6))
    metrics = {}
    for axis, balance in zip(axes, BALANCES):
        made, losses = transfer(Transfer(features, layers, a, b, balance, 1.0), a, iterations)
        metrics[f'content_loss_at_{balance:g}'] = losses[-1][1] / balance
        metrics[f'style_loss_at_{balance:g}'] = losses[-1][2]
        axis.imshow(made.transpose(1, 2, 0))
        axis.set_title(f'alpha / beta = {balance:g}')
        axis.set_axis_off()
    figure.suptitle(figures.text('From style to content', '从偏重风格到偏重内容'))
    figure.tight_layout()
    run.save_figure(figure, 'balances')
    return metrics


EXPERIMENTS = [
    WorkedExample('5.8', 'Style transfer: the content of one picture, the style of another',
                  '风格转移：一图的内容，另一图的风格', function=style),
    WorkedExample('5.8-balance', 'Four balances of style and content (figure 5-62)', '风格与内容的四种平衡（图 5-62）',
                  function=balances),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
