"""What happens to an image between paper and network, at random, so that gradients come back; and shields that do the same."""
import io

import numpy as np
from mxnet import nd
from PIL import Image


class Camera:
    """Images turned, brought nearer or farther, moved and blurred, each otherwise, at every call otherwise.

    Parameters
    ----------
    turn : float
        At most so many degrees, either way.
    sizes : (float, float)
        The smallest and the largest size, 1 being as it is.
    shift : float
        At most, as a share of the image.
    blur : float
        The largest deviation of the Gaussian, in pixels.
    seed : int

    Called with images (N, C, H, W), MXNet's; returns the same shape. Beyond the edge is black.
    """
    def __init__(self, turn=0.0, sizes=(1.0, 1.0), shift=0.0, blur=0.0, seed=0):
        self._turn, self._sizes, self._shift, self._blur = turn, sizes, shift, blur
        self._random = np.random.default_rng(seed)

    def __call__(self, x):
        number, draw = len(x), self._random.uniform
        angles, sizes = np.deg2rad(draw(-self._turn, self._turn, number)), draw(*self._sizes, number)
        shifts = 2 * draw(-self._shift, self._shift, (2, number))  # the grid goes from -1 to 1
        turns = np.stack([np.cos(angles) / sizes, -np.sin(angles) / sizes, shifts[0],
                          np.sin(angles) / sizes, np.cos(angles) / sizes, shifts[1]], axis=1)
        grid = nd.GridGenerator(nd.array(turns), transform_type='affine', target_shape=x.shape[2:])
        x = nd.BilinearSampler(x, grid)
        return blurred(x, draw(0.01, self._blur)) if self._blur else x


def blurred(x, deviation):
    """Images (N, C, H, W), MXNet's, through a Gaussian of 5x5 pixels."""
    places = np.arange(-2, 3)
    weights = np.exp(-places ** 2 / (2 * deviation ** 2))
    kernel = np.outer(weights, weights) / weights.sum() ** 2
    channels = x.shape[1]
    kernels = nd.array(np.repeat(kernel[None, None], channels, axis=0))
    padded = nd.pad(x, mode='edge', pad_width=(0, 0, 0, 0, 2, 2, 2, 2))
    return nd.Convolution(padded, kernels, no_bias=True, kernel=(5, 5), num_filter=channels, num_group=channels)


def as_jpeg(x, quality=75):
    """Images (N, C, H, W), MXNet's, saved as JPEG and read again. Gradients pass as if nothing had happened.

    That is BPDA: Athalye, Carlini, Wagner 2018, https://arxiv.org/abs/1802.00420.
    """
    saved = []
    for image in np.rint(255 * np.clip(x.asnumpy(), 0, 1)).astype(np.uint8).transpose(0, 2, 3, 1):
        file = io.BytesIO()
        Image.fromarray(image[:, :, 0] if image.shape[2] == 1 else image).save(file, 'JPEG', quality=quality)
        with Image.open(file) as read:
            saved.append(np.asarray(read, np.float32).reshape(image.shape).transpose(2, 0, 1) / 255)
    return x + nd.BlockGrad(nd.array(np.stack(saved)) - x)
