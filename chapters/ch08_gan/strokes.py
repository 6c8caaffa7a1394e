"""How thick the strokes of drawn digits are, and how they slant: attributes that can be measured without labels."""
import numpy as np
from scipy.ndimage import distance_transform_edt, zoom

_FINER = 4  # times, so that widths are not whole pixels


def stroke_width(images):
    """Mean width of strokes in pixels.

    Within a bar of width w the distance to its edge is w / 4 on average.

    Parameters
    ----------
    images : numpy.ndarray, (N, 1, S, S)
        From -1, the ground, to 1.

    Returns
    -------
    numpy.ndarray, (N,)
        0 where nothing is drawn.
    """
    widths = []
    for image in images[:, 0]:
        ink = zoom(image, _FINER, order=1) > 0
        widths.append(4 * distance_transform_edt(ink)[ink].mean() / _FINER if ink.any() else 0.0)
    return np.array(widths)


def slant(images):
    """By how many pixels strokes move to the right with each pixel up: covariance over variance of the ink.

    Parameters
    ----------
    images : numpy.ndarray, (N, 1, S, S)
        From -1, the ground, to 1.

    Returns
    -------
    numpy.ndarray, (N,)
        0 where nothing is drawn.
    """
    ink = (np.clip(images[:, 0], -1, 1) + 1) / 2
    ink = ink / np.maximum(ink.sum(axis=(1, 2), keepdims=True), 1e-6)
    down, right = np.indices(ink.shape[1:])
    up = -(down - (ink * down).sum(axis=(1, 2), keepdims=True))
    right = right - (ink * right).sum(axis=(1, 2), keepdims=True)
    return (ink * up * right).sum(axis=(1, 2)) / np.maximum((ink * up * up).sum(axis=(1, 2)), 1e-6)
