"""An image file of anybody's as a sample for a trained network, by the facts that its run folder keeps; photographs."""
import sys
from pathlib import Path

import mxnet as mx
import numpy as np
from PIL import Image, ImageOps

from data_tools.datasets import HOME, folders_of
from data_tools.errors import UserError

IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.gif', '.tif', '.tiff', '.webp')
_STROKES, _SIDE = 20, 28  # of MNIST: the figure's larger side, and the picture's
_DARK = 32  # of 255: darker is background


def photographs(*names):
    """Photographs to look at: {name: uint8 (H, W, 3)}.

    Those of the folder `style` of `$BOOKCNN_DATA` or `~/.bookcnn/data`, all or those named, as far as they are there; and
    'temple' and 'flower', which come with scikit-learn.
    """
    from sklearn.datasets import load_sample_image
    found = {'temple': load_sample_image('china.jpg'), 'flower': load_sample_image('flower.jpg')}
    for folder in (*folders_of('style', None), HOME.expanduser() / 'data' / 'style'):
        for path in sorted(folder.glob('*.jpg')):
            if path.stem not in found and (not names or path.stem in names):
                found[path.stem] = read_picture(path, 3)
    return found


def read_all(paths, read, wrong=None):
    """Image files, and those in the folders among `paths`, by name.

    A file of a folder that cannot be read is left out, and told of on stderr, as training does. One that was named must be
    readable, or is told of by `require_all` when the others are done.

    Parameters
    ----------
    paths : list of path-like
    read : callable
        `read(path)`; raises a `UserError` if the file is no image.
    wrong : list, optional
        Takes what is wrong with those that were named; default: the first of them stops it.

    Returns
    -------
    list of (Path, what `read` gave)

    Raises
    ------
    UserError
        No such file or folder, no images there, or none that can be read.
    """
    found, broken = [], []
    for path in map(Path, paths):
        if not path.is_dir():
            try:
                found.append((path, read(path)))
            except UserError as error:
                if wrong is None:
                    raise
                wrong.append(str(error))
            continue
        for file in sorted(file for file in path.rglob('*') if file.suffix.lower() in IMAGE_ENDINGS and file.is_file()):
            try:
                found.append((file, read(file)))
            except UserError as error:
                broken.append(str(error))
    if not found:
        require_all((wrong or []) + broken)
        raise UserError(f'{", ".join(map(str, paths))}: no images there ({", ".join(IMAGE_ENDINGS)})')
    for line in broken:
        print(f'left out: {line}', file=sys.stderr)
    return found


def require_all(wrong):
    """Raise a `UserError` that tells in one line what is wrong with the first of some files, if with any."""
    if wrong:
        raise UserError('; '.join(wrong[:3]) + f'; and {len(wrong) - 3} more' * (len(wrong) > 3))


def read_picture(file, channels):
    """An image upright, as an array.

    Parameters
    ----------
    file : path-like or binary file
    channels : int
        1: gray; 3: colour, RGB.

    Returns
    -------
    numpy.ndarray of uint8, (H, W, C)

    Raises
    ------
    UserError
        No such file, or no image.
    """
    try:
        with Image.open(file) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode in ('RGBA', 'LA', 'PA') or 'transparency' in upright.info:  # what shines through is white
                upright = upright.convert('RGBA')
                upright = Image.alpha_composite(Image.new('RGBA', upright.size, 'white'), upright)
            pixels = np.asarray(upright.convert('L' if channels == 1 else 'RGB'))
    except FileNotFoundError:
        raise UserError(f'{file}: no such file or folder') from None
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise UserError(f'{file}: not a readable image '
                        f'({getattr(error, "strerror", None) or "unknown or damaged format"})') from None
    return pixels.reshape(pixels.shape[:2] + (channels,))


def sample_of(pixels, facts):
    """An image as the network wants it.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (H, W, C)
    facts : Facts

    Returns
    -------
    numpy.ndarray of float32, facts.shape
        The shorter side brought to `facts.resize`, cut at the centre, as `ImageRecordIter` does with validation images;
        digits of MNIST's kind made light on black and centred.
    """
    _, height, width = facts.shape
    if facts.strokes and (height, width) == (_SIDE, _SIDE):
        pixels = as_strokes(pixels[:, :, 0])[:, :, None]
    return np.float32(facts.scale) * cut(pixels, height, width, facts.resize).transpose(2, 0, 1).astype(np.float32)


def cut(pixels, height, width, resize=0):
    """(H, W, C) of any size -> (height, width, C): the shorter side to `resize` (0: what just covers it), then the centre."""
    rows, columns = pixels.shape[:2]
    if resize or (rows, columns) != (height, width):
        short = resize or max(height, width)
        rows, columns = (short * rows // columns, short) if rows > columns else (short, short * columns // rows)
        if (rows, columns) != pixels.shape[:2]:
            resized = mx.image.imresize(mx.nd.array(pixels, dtype='uint8'), columns, rows, interp=1)
            pixels = resized.asnumpy().reshape(rows, columns, -1)
    top, left = (rows - height) // 2, (columns - width) // 2
    return pixels[top:top + height, left:left + width]


def as_strokes(pixels):
    """A figure drawn by anybody as MNIST has its digits.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (H, W)
        Dark on light or light on dark.

    Returns
    -------
    numpy.ndarray of uint8, (28, 28)
        Light on black: the figure's larger side 20 pixels, its centre of mass in the middle. What is so already is
        returned as it is.
    """
    edge = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    if pixels.shape == (_SIDE, _SIDE) and np.median(edge) < _DARK:
        return pixels
    strokes = pixels.astype(np.float32)
    if np.median(edge) > 127:
        strokes = 255 - strokes
    strokes -= min(np.median(255 - edge if np.median(edge) > 127 else edge) + _DARK, 200)  # paper is seldom even
    strokes = np.clip(strokes, 0, None)
    if not strokes.max():
        return np.zeros((_SIDE, _SIDE), np.uint8)
    strokes *= 255 / strokes.max()
    rows, columns = (np.flatnonzero(strokes.max(axis=axis) > _DARK) for axis in (1, 0))
    figure = strokes[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    factor = _STROKES / max(figure.shape)
    height, width = (max(1, round(side * factor)) for side in figure.shape)
    figure = np.asarray(Image.fromarray(figure).resize((width, height), Image.BOX if factor < 1 else Image.BILINEAR))
    figure = np.clip(figure * (255 / max(figure.max(), 1)), 0, 255)
    mass = figure.sum()
    middle = [(figure.sum(axis=1 - axis) * np.arange(side)).sum() / mass for axis, side in enumerate(figure.shape)]
    top, left = (int(np.clip(round((_SIDE - 1) / 2 - centre), 0, _SIDE - side))
                 for centre, side in zip(middle, figure.shape))
    result = np.zeros((_SIDE, _SIDE), np.uint8)
    result[top:top + height, left:left + width] = np.rint(figure)
    return result
