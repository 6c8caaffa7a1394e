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
    shift : int
        Moved by 0 to so many pixels left or right, and as many up or down, filled with 0 (5.4.4). Arrays only.
    erase : int
        A rectangle with sides from 1 to so many pixels set to 0 (5.4.4). Arrays only.
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
            A word that is none of the attributes, or a value that is no number.
        """
        kinds = {field.name: type(field.default) for field in fields(cls)}
        values = {}
        for word in text.split():
            name, _, value = word.partition('=')
            try:
                values[name] = kinds[name](value) if kinds[name] is not bool else {'': True}[value]
                if values[name] < 0:
                    raise ValueError
            except (KeyError, ValueError):
                raise UserError(f'augmentation: {word!r} is not one of mirror, '
                                + ', '.join(f'{name}=NUMBER' for name in kinds if name != 'mirror')) from None
        return cls(**values)

    def of_arrays(self):
        """Whether arrays can be augmented so, without `ImageRecordIter`."""
        return self == Augmentation(self.mirror, self.shift, self.erase)

    def of_records(self):
        """The arguments of `mx.io.ImageRecordIter`.

        Raises
        ------
        UserError
            It cannot shift or erase.
        """
        if self.shift or self.erase:
            raise UserError('augmentation: shift and erase act on arrays, not on .rec files; use crop there')
        return dict(rand_mirror=self.mirror, rand_crop=bool(self.crop), max_rotate_angle=self.rotate,
                    max_aspect_ratio=self.aspect, max_shear_ratio=self.shear, random_h=self.hue,
                    random_s=self.saturation, random_l=self.lightness, min_random_scale=self.smallest,
                    max_random_scale=self.largest, fill_value=0)

    def __call__(self, images, numbers, random):
        """Copies of some images, each changed by chance of its own.

        Parameters
        ----------
        images : numpy.ndarray, (N, C, H, W)
        numbers : numpy.ndarray of int, (M,)
            Which of them.
        random : numpy.random.Generator

        Returns
        -------
        numpy.ndarray, (M, C, H, W)
        """
        result = np.empty((len(numbers),) + images.shape[1:], images.dtype)
        _augment(images, numbers, random.random((len(numbers), 7)), self.mirror, self.shift, self.erase, result)
        return result


@numba.njit(nogil=True, cache=True)
def _augment(images, numbers, chances, mirror, shift, erase, result):
    """Mirror, then shift, then erase; row by row, each pixel written once or twice."""
    _, channels, height, width = images.shape
    for n in range(len(numbers)):
        chance = chances[n]
        mirrored = mirror and chance[0] < 0.5
        down = int(chance[1] * (2 * shift + 1)) - shift
        right = int(chance[2] * (2 * shift + 1)) - shift
        left, end = max(0, right), min(width, width + right)
        erased_height = min(erase, 1 + int(chance[3] * erase))
        erased_width = min(erase, 1 + int(chance[4] * erase))
        top = int(chance[5] * (height - erased_height + 1))
        first = int(chance[6] * (width - erased_width + 1))
        for c in range(channels):
            for row in range(height):
                target = result[n, c, row]
                if not 0 <= row - down < height:
                    target[:] = 0
                    continue
                source = images[numbers[n], c, row - down]
                target[:left] = 0
                target[end:] = 0
                if mirrored:
                    for column in range(left, end):
                        target[column] = source[width - 1 - column + right]
                else:
                    target[left:end] = source[left - right:end - right]
            result[n, c, top:top + erased_height, first:first + erased_width] = 0
