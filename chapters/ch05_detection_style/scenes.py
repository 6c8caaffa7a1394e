"""Section 5.7: pictures to find objects in, made on the spot: digits of several sizes on a canvas, some over others.

They need no download, boxes and masks are known exactly, and a small network learns them in minutes.
"""
import cv2
import numpy as np

from data_tools.datasets import CLASS_NAMES, load

SIDE = 96
_MOST = 6            # digits on a canvas
_HEIGHTS = 18, 44    # of a digit, in pixels
_INK = 60            # of 255: darker is the background of a digit's own picture
_OVERLAP = 0.25      # of two boxes, at most, as intersection over union


def scene(figures, labels, random, side=SIDE):
    """A canvas with two to six digits.

    Parameters
    ----------
    figures : numpy.ndarray of uint8, (N, 28, 28)
        To choose from, light on black.
    labels : numpy.ndarray of int, (N,)
    random : numpy.random.Generator
    side : int
        Of the canvas in pixels.

    Returns
    -------
    (pixels, objects, masks)
        uint8 (3, side, side); float32 (M, 5) of class, left, top, right, bottom in parts of the canvas; bool (M, side, side)
        of each digit's whole figure, also where a later one covers it.
    """
    ground, slope = random.uniform(0, 110, 3), random.uniform(-40, 40, (2, 3))
    down, right = np.mgrid[:side, :side] / side
    canvas = ground + down[..., None] * slope[0] + right[..., None] * slope[1] + random.normal(0, 6, (side, side, 3))
    objects, masks = [], []
    for _ in range(random.integers(2, _MOST + 1)):
        number = random.integers(len(figures))
        rows, columns = (np.flatnonzero(figures[number].max(axis=axis) > _INK) for axis in (1, 0))
        figure = figures[number, rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        height = int(random.integers(*_HEIGHTS) * side / SIDE)
        width = max(2, round(height * figure.shape[1] / figure.shape[0] * random.uniform(0.8, 1.25)))
        ink = cv2.resize(figure, (width, height), interpolation=cv2.INTER_LINEAR)
        top, left = random.integers(0, side - height + 1), random.integers(0, max(1, side - width + 1))
        ink = ink[:, :side - left]
        mask = np.zeros((side, side), bool)
        mask[top:top + height, left:left + width] = ink > _INK
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        box = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])
        if any(_overlap(box, other[1:]) > _OVERLAP for other in objects):
            continue
        share = ink[..., None] / 255
        place = canvas[top:top + height, left:left + width]
        place += share * (random.uniform(150, 255, 3) - place)
        objects.append([labels[number], *box])
        masks.append(mask)
    objects = np.array(objects, np.float32)
    objects[:, 1:] /= side
    return np.clip(canvas, 0, 255).astype(np.uint8).transpose(2, 0, 1), objects, np.array(masks)


def _overlap(one, other):
    """Intersection over union of two boxes."""
    width, height = (max(0, min(one[edge + 2], other[edge + 2]) - max(one[edge], other[edge])) for edge in (0, 1))
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return width * height / (sum(areas) - width * height)


def scenes(number, seed, validation=False, side=SIDE):
    """Several canvases; those for validation have digits that no other has.

    Returns
    -------
    (pixels, objects, masks)
        uint8 (number, 3, side, side); lists of float32 (M, 5) and of bool (M, side, side), as `scene` gives them.
    """
    digits = load('digits')
    figures, labels = (digits.test_images, digits.test_labels) if validation else (digits.train_images, digits.train_labels)
    random = np.random.default_rng([seed, validation, 0x5c])
    made = [scene(figures[:, 0], labels, random, side) for _ in range(number)]
    pixels, objects, masks = zip(*made)
    return np.stack(pixels), list(objects), list(masks)


CLASSES = CLASS_NAMES['digits']
