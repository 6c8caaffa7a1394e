"""Images changed at random, so that the network never sees quite the same one twice (5.4.4, 5.4.5)."""
from dataclasses import dataclass, fields

import numba
import numpy as np

from data_tools.errors import UserError


@dataclass(frozen=True)
class Augmentation:
    """What may happen to a training image; written in a recipe as 'mirror shift=2 erase=5'.

    Attributes
    ----------
    mirror : bool
        Left and right exchanged, with probability 1/2.
    alternate : bool
        In place of `mirror`: each image once as it is, once mirrored, in turns from epoch to epoch; half of them begin
        so, half so. Arrays only. Jordan, "94% on CIFAR-10 in 3.29 seconds", 2024 (https://arxiv.org/abs/2404.00498).
    shift : int
        Moved by 0 to so many pixels, each amount as likely, to a side that a coin chooses, left or right; then up or
        down alike; filled with 0 (5.4.4). Arrays only.
    erase : int
        A rectangle with sides from 1 to so many pixels set to 0 (5.4.4). Arrays only.
    reflect : int
        Moved by up to so many pixels in each direction, each amount as likely; what comes in at an edge mirrors what is
        there. Arrays only.
    cutout : int
        A square of so many pixels set to 0, wholly within the image. Arrays only. DeVries, Taylor, 2017
        (https://arxiv.org/abs/1708.04552).
    crop : int
        A square of so many pixels, cut out at random; in validation at the centre.
    rotate : int
        By up to so many degrees either way. This and all below act on images from `.rec` files only, in MXNet's
        `ImageRecordIter`, and are its `max_rotate_angle`, `max_aspect_ratio`, `max_shear_ratio`, `random_h`,
        `random_s`, `random_l`, `min_random_scale` and `max_random_scale`.
    aspect, shear : float
    hue, saturation, lightness : int
    smallest, largest : float
    """
    mirror: bool = False
    shift: int = 0
    erase: int = 0
    alternate: bool = False
    reflect: int = 0
    cutout: int = 0
    crop: int = 0
    rotate: int = 0
    aspect: float = 0.0
    shear: float = 0.0
    hue: int = 0
    saturation: int = 0
    lightness: int = 0
    smallest: float = 1.0
    largest: float = 1.0

    @classmethod
    def parse(cls, text):
        """From the text of a recipe.

        Raises
        ------
        UserError
            A word that is none of the attributes, or a value that is no number or out of range; what is not to happen is
            left out.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        values = {}
        for word in text.split():
            name, _, value = word.partition('=')
            try:
                values[name] = kinds[name](value) if kinds[name] is not bool else {'': True}[value]
            except (KeyError, ValueError):
                raise UserError(f'augmentation: {word!r} is not one of '
                                + ', '.join(name + '=NUMBER' * (kinds[name] is not bool) for name in kinds)) from None
            most = _MOST.get(name, 1 << 14)
            if not 0 < values[name] <= most:  # false for NaN as well
                raise UserError(f'augmentation: {word}: give a number above 0, at most {most}, or leave {name} out')
        if values.get('smallest', 1) > values.get('largest', 1):
            raise UserError(f'augmentation: {text}: smallest is above largest; each is 1 where left out')
        if values.get('mirror') and values.get('alternate') or values.get('shift') and values.get('reflect'):
            raise UserError(f'augmentation: {text}: mirror and alternate exclude each other, shift and reflect as well')
        return cls(**values)

    @property
    def only_of_arrays(self):
        """{name: value} of what MXNet's reader of packs cannot do."""
        return {name: getattr(self, name) for name in ('shift', 'erase', 'alternate', 'reflect', 'cutout')}

    def require_fit(self, height, width):
        """Raise a `UserError` if an image would be moved, mirrored at an edge, or set to 0 by more than there is of it."""
        side = min(height, width)
        for name, most in (('shift', side - 1), ('reflect', (side - 1) // 2), ('erase', side), ('cutout', side)):
            value = getattr(self, name)
            if value > most:
                raise UserError(f'augmentation: {name}={value}: images are of {height}x{width} pixels; give {most} at most')

    def of_arrays(self):
        """Whether arrays can be augmented so, without `ImageRecordIter`."""
        return self == Augmentation(self.mirror, **self.only_of_arrays)

    def of_records(self):
        """The arguments of `mx.io.ImageRecordIter`.

        Raises
        ------
        UserError
            It cannot do one of these.
        """
        if any(self.only_of_arrays.values()):
            raise UserError(f'augmentation: {", ".join(self.only_of_arrays)} act on arrays, not on .rec files; use mirror and '
                            'crop there')
        return dict(rand_mirror=self.mirror, rand_crop=bool(self.crop), max_rotate_angle=self.rotate,
                    max_aspect_ratio=self.aspect, max_shear_ratio=self.shear, random_h=self.hue,
                    random_s=self.saturation, random_l=self.lightness, min_random_scale=self.smallest,
                    max_random_scale=self.largest, fill_value=0)

    def __call__(self, images, numbers, random, epoch=0):
        """Copies of some images, each changed by chance of its own.

        Parameters
        ----------
        images : numpy.ndarray, (N, C, H, W)
        numbers : numpy.ndarray of int, (M,)
            Which of them.
        random : numpy.random.Generator
        epoch : int
            For `alternate`.

        Returns
        -------
        numpy.ndarray, (M, C, H, W)
        """
        chances = random.random((len(numbers), 7))
        mirrored = (chances[:, 0] < 0.5) & self.mirror
        if self.alternate:  # which half begins mirrored: a bit of the product with a large odd number
            mirrored = (np.asarray(numbers) * 0x9E3779B1 >> 20) + epoch & 1 == 1
        amounts = np.zeros((len(numbers), 2), int)
        if self.shift:  # the amount first, then a coin for the side: the fraction of the same number
            scaled = chances[:, 1:3] * (self.shift + 1)
            amounts = scaled.astype(int) * np.where(scaled % 1 < 0.5, 1, -1)
        elif self.reflect:
            amounts = (chances[:, 1:3] * (2 * self.reflect + 1)).astype(int) - self.reflect
        sides = np.zeros((len(numbers), 2), int) + self.cutout
        if self.erase:
            sides = np.minimum(self.erase, 1 + (chances[:, 3:5] * self.erase).astype(int))
        corners = (chances[:, 5:] * (np.array(images.shape[2:]) - sides + 1)).astype(int)
        result = np.empty((len(numbers),) + images.shape[1:], images.dtype)
        _augment(images, numbers, mirrored, amounts, bool(self.reflect), sides, corners, result)
        return result


_MOST = {'rotate': 360, 'aspect': 1, 'shear': 1, 'hue': 180, 'saturation': 255, 'lightness': 255, 'smallest': 10, 'largest': 10}


@numba.njit(nogil=True, cache=True)
def _augment(images, numbers, mirrored, amounts, reflect, sides, corners, result):
    """Mirror, then shift, then set a rectangle to 0; row by row, each pixel written once or twice."""
    _, channels, height, width = images.shape
    for n in range(len(numbers)):
        down, right = amounts[n]
        first, end = max(0, right), min(width, width + right)
        for c in range(channels):
            for row in range(height):
                target, at = result[n, c, row], row - down
                if reflect:
                    at = height - 1 - abs(height - 1 - abs(at))
                elif not 0 <= at < height:
                    target[:] = 0
                    continue
                source = images[numbers[n], c, at]
                if mirrored[n]:
                    for column in range(first, end):
                        target[column] = source[width - 1 - column + right]
                else:
                    target[first:end] = source[first - right:end - right]
                if not reflect:
                    target[:first] = 0
                    target[end:] = 0
                    continue
                for column in range(first):  # the place from which the mirror image of the edge comes
                    target[column] = target[2 * first - column]
                for column in range(end, width):
                    target[column] = target[2 * (end - 1) - column]
            top, left = corners[n]
            result[n, c, top:top + sides[n, 0], left:left + sides[n, 1]] = 0
