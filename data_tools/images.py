"""Encoded images: find out whether one is whole, convert what MXNet cannot read, resize and encode.

MXNet 1.9.1 decodes JPEG, PNG, BMP and TIFF, to 8 bits; what a pack keeps untouched must be one of these.
"""
import io
import os
import re
import struct
import zlib

from simplejpeg import decode_jpeg, decode_jpeg_header

MAX_PIXELS = 100_000_000
_PNG = b'\x89PNG\r\n\x1a\n'
_FORMAT_OF_SUFFIX = {'.jpg': 'JPEG', '.jpeg': 'JPEG', '.jpe': 'JPEG', '.png': 'PNG', '.gif': 'GIF',
                     '.bmp': 'BMP', '.tif': 'TIFF', '.tiff': 'TIFF', '.webp': 'WEBP', '.ppm': 'PPM',
                     '.pgm': 'PPM', '.jp2': 'JPEG2000'}
# Pillow knows more formats, some of which run other programs: no others than these are tried.
_FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'TIFF', 'WEBP', 'PPM', 'JPEG2000')
# libjpeg's warnings that leave the picture whole; after any other, pixels are missing or wrong.
_HARMLESS_WARNING = re.compile('extraneous bytes before marker|Invalid SOS parameters|Adobe color transform|'
                               'revision number|[Uu]nsupported|subsampling|colorspace')
_PNG_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))


class BadImage(Exception):
    """An image that cannot be packed; the text says why."""


def check(data, name='', max_pixels=MAX_PIXELS):
    """Make sure that an encoded image is whole and that MXNet can decode it.

    Parameters
    ----------
    data : bytes
    name : str
        File name; an ending that contradicts the content is noted.
    max_pixels : int
        Width x height above which the image is not even decoded.

    Returns
    -------
    (bytes, str, str)
        The bytes to pack; '' if these are `data`, 'kept' if so but something is odd, 'converted' if they are
        a PNG made of it; what was odd.

    Raises
    ------
    BadImage
        Empty, not an image, damaged, animated, too large, or of more than 8 bits.
    """
    if data[:3] == b'\xff\xd8\xff':
        found, result = 'JPEG', _check_jpeg(data, max_pixels)
    elif data[:8] == _PNG:
        found, result = 'PNG', _check_png(data, max_pixels)
    elif not data:
        raise BadImage('empty file')
    else:
        found, result = _check_other(data, max_pixels)
    suffix = os.path.splitext(name)[1].lower()
    if not result[1] and _FORMAT_OF_SUFFIX.get(suffix, found) != found:
        return data, 'kept', f'is {found} under a name that ends in {suffix}'
    return result


def _check_jpeg(data, max_pixels):
    try:
        height, width, colorspace, _ = decode_jpeg_header(data)
        if height * width > max_pixels:
            raise BadImage(_too_large(width, height, max_pixels))
        if colorspace not in ('CMYK', 'YCCK'):
            # All coefficients are read, strictly; an eighth of the size spares most of the arithmetic.
            decode_jpeg(data, 'GRAY', min_factor=8)
            return data, '', ''
        warning = ''
    except ValueError as error:
        warning = str(error)
        if not _HARMLESS_WARNING.search(warning):
            _open(data, max_pixels)  # often has the plainer words
            raise BadImage(f'damaged: {warning}') from None
    image = _open(data, max_pixels)  # Pillow knows forms that the fast decoder does not
    if image.mode == 'CMYK':
        return _to_png(_rgb_of_cmyk(image)), 'converted', 'CMYK to RGB'
    if not _opencv_decodes(data):
        return _to_png(image), 'converted', 'an unusual JPEG'
    return data, 'kept' if 'extraneous' in warning else '', warning


def _check_png(data, max_pixels):
    """Every chunk's CRC, all scan lines; nothing is decoded that is not needed for it."""
    at, pixels, expected, ended = 8, None, 0, False
    got = 0
    while not ended:
        if at + 12 > len(data):
            raise BadImage('truncated PNG')
        length, kind = struct.unpack_from('>I4s', data, at)
        if at + 12 + length > len(data):
            raise BadImage('truncated PNG')
        body = data[at + 8:at + 8 + length]
        if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack_from('>I', data, at + 8 + length)[0]:
            raise BadImage(f'damaged PNG: wrong checksum of its {kind.decode("ascii", "replace")} chunk')
        at += 12 + length
        if pixels is None:
            if kind != b'IHDR' or length != 13:
                raise BadImage('damaged PNG: no header')
            width, height, depth, color, _, _, interlaced = struct.unpack('>IIBBBBB', body)
            if width * height > max_pixels:
                raise BadImage(_too_large(width, height, max_pixels))
            if not width or not height or color not in _PNG_CHANNELS or depth not in (1, 2, 4, 8, 16):
                raise BadImage('damaged PNG: impossible header')
            expected = _png_bytes(width, height, depth * _PNG_CHANNELS[color], interlaced)
            pixels = zlib.decompressobj()
        elif kind == b'acTL' and length == 8 and struct.unpack_from('>I', body)[0] > 1:
            raise BadImage(f'animated, {struct.unpack_from(">I", body)[0]} frames')
        elif kind == b'IDAT':
            try:
                while body and got <= expected:
                    got += len(pixels.decompress(body, 1 << 20))
                    body = pixels.unconsumed_tail
            except zlib.error as error:
                raise BadImage(f'damaged PNG: {error}') from None
        elif kind == b'IEND':
            ended = True
    if got != expected:
        raise BadImage(f'damaged PNG: {got} bytes of pixels instead of {expected}')
    if depth == 16:
        return _to_8_bits(data)
    if not width <= 1 << 20 >= height:  # OpenCV's limits
        raise BadImage(f'{width} x {height}: MXNet reads at most {1 << 20} pixels a side')
    return data, '', ''


def _png_bytes(width, height, bits, interlaced):
    """Length of the unpacked scan lines, each with its filter byte."""
    if not interlaced:
        return height * (1 + (width * bits + 7) // 8)
    total = 0
    for left, step_x, top, step_y in _ADAM7:
        columns, rows = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0 and rows > 0:
            total += rows * (1 + (columns * bits + 7) // 8)
    return total


def _check_other(data, max_pixels):
    image = _open(data, max_pixels)
    name, reason = image.format, f'MXNet does not read {image.format}'
    if image.mode in ('I', 'F') or image.mode.startswith('I;') or _deep_tiff(image):
        return name, _to_8_bits(data)
    if name in ('BMP', 'TIFF'):
        if image.mode != 'CMYK' and _opencv_decodes(data):
            return name, (data, '', '')
        reason = f'an unusual {name}'
    if image.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV'):
        reason = f'{image.mode} to RGB'
        image = _rgb_of_cmyk(image) if image.mode == 'CMYK' else image.convert('RGB')
    return name, (_to_png(image), 'converted', reason)


def _pillow():
    """Pillow's module `Image`, knowing all formats: `formats=` fails with those that are not loaded yet."""
    from PIL import Image
    Image.init()
    Image.MAX_IMAGE_PIXELS = None  # our own limit stands in for it
    return Image


def _open(data, max_pixels):
    """Pillow's image, all its pixels loaded."""
    Image = _pillow()
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
        if image.width * image.height > max_pixels:
            raise BadImage(_too_large(image.width, image.height, max_pixels))
        # MPO: a camera's JPEG with a second view behind it; the first is the picture.
        if image.format != 'MPO' and getattr(image, 'n_frames', 1) > 1:
            raise BadImage(f'{"several pages" if image.format == "TIFF" else "animated"}, {image.n_frames} '
                           f'frames')
        image.load()
        return image
    except BadImage:
        raise
    except Image.UnidentifiedImageError:
        raise BadImage(f'not an image (begins with {data[:8].hex(" ")})') from None
    except MemoryError:
        raise BadImage('too large for this machine\'s memory') from None
    except Exception as error:  # Pillow's decoders raise nearly everything
        raise BadImage(f'damaged: {" ".join(str(error).split()) or type(error).__name__}') from None


def _too_large(width, height, max_pixels):
    return f'{width} x {height} pixels are more than {max_pixels} (--max-pixels)'


def _deep_tiff(image):
    return image.format == 'TIFF' and max(image.tag_v2.get(258, (8,))) > 8


def _to_8_bits(data):
    """16 bits a sample to 8, if that loses nothing: all values are multiples of 257, 8 bits spread over
    16."""
    import cv2
    import numpy as np
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if pixels is None or pixels.dtype != np.uint16:
        raise BadImage(f'{pixels.dtype if pixels is not None else "unknown"} samples; MXNet reads 8 bits')
    low = (pixels // 257).astype(np.uint8)
    if not np.array_equal(low * np.uint16(257), pixels):
        raise BadImage('16 bits a sample, 8 of which MXNet would drop; convert it to 8 bits first')
    return cv2.imencode('.png', low)[1].tobytes(), 'converted', '16 bits a sample to 8, without loss'


def _rgb_of_cmyk(image):
    """By the profile of the image if it has one, as a viewer would show it."""
    from PIL import ImageCms
    profile = image.info.get('icc_profile')
    if profile:
        try:
            return ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile('sRGB'),
                                             outputMode='RGB')
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile
    return image.convert('RGB')


def _to_png(image):
    """Pillow's image as PNG bytes, pixels unchanged."""
    if image.mode not in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA'):
        image = image.convert('RGBA' if 'A' in image.mode or 'a' in image.mode else 'RGB')
    file = io.BytesIO()
    image.save(file, 'PNG', **({'transparency': image.info['transparency']} if 'transparency' in image.info
                               else {}))
    return file.getvalue()


def _opencv_decodes(data):
    """OpenCV stands for MXNet's reader, which is built on it."""
    import cv2
    import numpy as np
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


# ---- new pixels

def reencode(data, encoding, resize=0, center_crop=False, quality=None, color=1):
    """Decode, crop, resize and encode an image; the steps and their order are im2rec's.

    Parameters
    ----------
    data : bytes or numpy.ndarray
        An encoded image that `check` has let through, or pixels (H, W) or (H, W, 3) in RGB order, uint8.
    encoding : str
        'jpg', 'png', or 'raw': pixels as they are, behind the header of a BMP file, which MXNet reads.
    resize : int, default 0
        New length of the shorter edge in pixels; 0 leaves the size.
    center_crop : bool, default False
        First cut the longer edge to a square.
    quality : int, optional
        JPEG 1 to 100 (default 95), PNG compression 1 to 9 (default 3).
    color : int, default 1
        1: three channels. 0: gray. -1: as it is, with transparency.

    Returns
    -------
    bytes
    """
    import cv2
    if isinstance(data, bytes):
        pixels = _decode(data, resize, color)
    elif color == 0 and data.ndim == 3:
        pixels = cv2.cvtColor(data, cv2.COLOR_RGB2GRAY)
    else:
        pixels = data[..., ::-1] if data.ndim == 3 else data  # OpenCV's order is BGR
    if center_crop:
        height, width = pixels.shape[:2]
        edge = min(height, width)
        top, left = (height - edge) // 2, (width - edge) // 2
        pixels = pixels[top:top + edge, left:left + edge]
    if resize:
        height, width = pixels.shape[:2]
        size = ((resize, max(1, height * resize // width)) if height > width
                else (max(1, width * resize // height), resize))
        if size != (width, height):
            shrinks = size[0] < width
            pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    if encoding == 'raw':
        return cv2.imencode('.bmp', pixels)[1].tobytes()
    if encoding == 'png':
        return cv2.imencode('.png', pixels, (cv2.IMWRITE_PNG_COMPRESSION, quality or 3))[1].tobytes()
    return cv2.imencode('.jpg', pixels, (cv2.IMWRITE_JPEG_QUALITY, quality or 95))[1].tobytes()


def _decode(data, resize, color):
    """Pixels (H, W), (H, W, 3) BGR or (H, W, 4) BGRA; a JPEG at no more size than the shorter edge needs."""
    import cv2
    import numpy as np
    if color != -1 and data[:3] == b'\xff\xd8\xff':
        try:
            # The decoder halves sizes at next to no cost as long as both edges stay at least so long.
            pixels = decode_jpeg(data, 'BGR' if color else 'GRAY', min_height=resize, min_width=resize,
                                 strict=False)
            return _upright(pixels if color else pixels[..., 0], data)
        except ValueError:
            pass  # a form that OpenCV knows
    flags = {1: cv2.IMREAD_COLOR, 0: cv2.IMREAD_GRAYSCALE, -1: cv2.IMREAD_UNCHANGED}[color]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise BadImage('OpenCV does not decode it')
    return pixels


def _upright(pixels, data):
    """Turn a photograph as its camera's note says (Exif tag 274), which OpenCV does as well."""
    import numpy as np
    if b'Exif\0' not in data[:1 << 16]:
        return pixels
    try:
        turn = _pillow().open(io.BytesIO(data), formats=('JPEG',)).getexif().get(274, 1)
    except Exception:  # a damaged note says nothing
        return pixels
    if turn in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if turn in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if turn in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)
