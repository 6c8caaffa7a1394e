"""Encoded images: find out whether one is whole, convert what MXNet cannot read, turn, resize and encode.

What a pack keeps untouched, MXNet 1.9.1 must decode, and its libraries are of 2018: newer ones, which are at hand here,
take more. So the bytes themselves decide, by rules that MXNet's own decoder judges in the tests: a JPEG of the usual
kinds, a PNG that breaks no rule of its format, a plain BMP. All else that Pillow can read becomes a PNG, pixel by
pixel.
"""
import contextlib
import functools
import io
import os
import re
import struct
import warnings
import zlib
from typing import TYPE_CHECKING, Any, Iterator, List, Optional, Tuple, Union

from simplejpeg import decode_jpeg, encode_jpeg

from data_tools.image_header import (
    FORMAT_OF_SUFFIX,
    PNG_SIGNATURE,
    BadImage,
    UnfitImage,
    exif_orientation,
    jpeg_header,
    looks_like_an_image,
    orientation_of,
)

if TYPE_CHECKING:
    import numpy as np
    from PIL import Image

Checked = Tuple[bytes, str, str]  # what `check` returns
MAX_PIXELS = 100_000_000
MAX_EDGE = 65_500  # of a JPEG
# Pillow knows more formats, some of which run other programs: no others than these are tried.
_FORMATS = ('JPEG', 'PNG', 'GIF', 'BMP', 'TIFF', 'WEBP', 'PPM', 'JPEG2000')
# libjpeg's warnings that leave the picture whole; after any other, pixels are missing or wrong.
_HARMLESS_WARNING = re.compile('extraneous bytes before marker|Invalid SOS parameters|Adobe color transform|'
                               'revision number|[Uu]nsupported|subsampling|colorspace')
_PNG_DEPTHS = {0: (1, (1, 2, 4, 8, 16)), 2: (3, (8, 16)), 3: (1, (1, 2, 4, 8)), 4: (2, (8, 16)), 6: (4, (8, 16))}
_ADAM7 = ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4), (1, 2, 0, 2), (0, 1, 1, 2))
_PNG_EDGE = 1_000_000  # libpng's limit
_HEIF_BRANDS = {b'heic': 'HEIC', b'heix': 'HEIC', b'hevc': 'HEIC', b'mif1': 'HEIC', b'msf1': 'HEIC',
                b'avif': 'AVIF', b'avis': 'AVIF'}


class UncheckedJpeg(Exception):
    """A JPEG that `check` was to let through by its header alone is not quite whole."""


def check(data: bytes, name: str = '', max_pixels: float = MAX_PIXELS, to_8_bits: bool = False,
          background: Optional[str] = None, upright: bool = False, decoded_later: bool = False) -> Checked:
    """Make sure that an encoded image is whole and that MXNet can decode it.

    Parameters
    ----------
    data : bytes
    name : str
        File name; an ending that contradicts the content is noted.
    max_pixels : int
        Width x height above which the image is not even decoded.
    to_8_bits : bool, default False
        Drop the lower half of 16-bit samples instead of refusing them.
    background : str, optional
        Colour ('white', '#ffeedd') onto which pictures with transparency are laid; MXNet shows what lies hidden.
    upright : bool, default False
        Turn pictures whose note (Exif) says how the camera was held.
    decoded_later : bool, default False
        Of a JPEG, look at its header only: `reencode` reads its scan, once, and raises `UncheckedJpeg` if that needs a
        full check.

    Returns
    -------
    (bytes, str, str)
        The bytes to pack; '' if these are `data`, 'kept' if so but something is odd, 'converted' if they are
        made of it; what was odd.

    Raises
    ------
    BadImage
        Empty, not an image, damaged, animated, too large, or of more than 8 bits.
    """
    orientation = 1
    if data[:3] == b'\xff\xd8\xff':
        found, (result, orientation) = 'JPEG', _check_jpeg(data, max_pixels, decoded_later)
    elif data[:8] == PNG_SIGNATURE:
        found, (result, orientation) = 'PNG', _check_png(data, max_pixels, to_8_bits)
    elif not data:
        raise BadImage('empty file')
    else:
        found, result = _check_other(data, max_pixels, to_8_bits)
    if background and found != 'JPEG':
        result = _onto(background, result)
    if orientation != 1 and result[1] != 'converted':
        if upright:
            return turned(result[0], orientation)
        return data, 'kept', (f'Exif orientation {orientation}: some readers turn it, others do not (--upright turns '
                              f'it)')
    suffix = os.path.splitext(name)[1].lower()
    if not result[1] and FORMAT_OF_SUFFIX.get(suffix, found) != found:
        return data, 'kept', f'is {found} under a name that ends in {suffix}'
    return result


# ---- checking

def _check_jpeg(data: bytes, max_pixels: float, header_only: bool = False) -> Tuple[Checked, int]:
    width, height, components, orientation, frame, bits = jpeg_header(data)
    if width * height > max_pixels:
        raise UnfitImage(_too_large(width, height, max_pixels))
    warning = ''
    usual = frame <= 2 and bits == 8 and components in (1, 3)
    if usual and header_only:
        return (data, '', ''), 1
    if usual:
        try:
            # All coefficients are read, strictly; an eighth of the size spares most of the arithmetic.
            decode_jpeg(data, 'GRAY', min_height=1, min_width=1)
            return (data, '', ''), orientation
        except ValueError as error:
            warning = str(error)
            if not _HARMLESS_WARNING.search(warning):
                try:
                    _open(data, max_pixels)
                except BadImage as plainer:  # Pillow often has the plainer words
                    if str(plainer) != 'damaged: its header':
                        raise
                raise BadImage(f'damaged: {warning}') from None
    image = _open(data, max_pixels)  # Pillow knows forms that the fast decoder does not
    if image.mode == 'CMYK':
        return (_to_png(_rgb_of_cmyk(image)), 'converted', 'CMYK to RGB'), orientation
    if usual and 'extraneous' in warning:
        return (data, 'kept', warning), orientation
    return (_to_png(image), 'converted', 'an unusual JPEG'), orientation


def _check_png(data: bytes, max_pixels: float, to_8_bits: bool) -> Tuple[Checked, int]:
    """Every chunk's CRC, the order of the chunks, all scan lines; nothing is decoded that is not needed for it."""
    kinds: List[bytes] = []
    at, orientation, odd, got = 8, 1, '', 0
    while not kinds or kinds[-1] != b'IEND':
        if at + 12 > len(data):
            raise BadImage('truncated PNG')
        length, kind = struct.unpack_from('>I4s', data, at)
        if at + 12 + length > len(data):
            raise BadImage('truncated PNG')
        body = data[at + 8:at + 8 + length]
        if zlib.crc32(body, zlib.crc32(kind)) != struct.unpack_from('>I', data, at + 8 + length)[0]:
            raise BadImage(f'damaged PNG: wrong checksum of its {kind.decode("ascii", "replace")} chunk')
        at += 12 + length
        if not kinds:
            if kind != b'IHDR' or length != 13:
                raise BadImage('damaged PNG: no header')
            width, height, depth, color, method, filtering, interlaced = struct.unpack('>IIBBBBB', body)
            if width * height > max_pixels:
                raise UnfitImage(_too_large(width, height, max_pixels))
            samples, depths = _PNG_DEPTHS.get(color, (0, ()))
            if not width or not height or depth not in depths or method or filtering or interlaced > 1:
                raise BadImage('damaged PNG: impossible header')
            rows = _png_rows(width, height, depth * samples, interlaced)
            expected, pixels = rows[-1][0], zlib.decompressobj()
        elif kind == b'IDAT':
            if kinds[-1] != kind and kind in kinds:
                odd = 'its pixels are interrupted'
            try:
                while body and got <= expected:
                    piece = pixels.decompress(body, 1 << 20)
                    if _worst_filter(piece, got, rows) > 4:
                        raise BadImage('damaged PNG: a scan line of unknown filter')
                    got += len(piece)
                    body = pixels.unconsumed_tail
            except zlib.error as error:
                raise BadImage(f'damaged PNG: {error}') from None
        elif kind == b'PLTE':
            if b'IDAT' in kinds or kind in kinds or color in (0, 4) or length % 3 or not 3 <= length <= 768:
                odd = 'a strange palette'
        elif kind == b'acTL' and length == 8 and struct.unpack_from('>I', body)[0] > 1:
            raise UnfitImage(f'animated, {struct.unpack_from(">I", body)[0]} frames')
        elif kind == b'eXIf':
            orientation = exif_orientation(body)
            if kind in kinds or body[:2] not in (b'II', b'MM'):  # MXNet's libpng stumbles over those
                odd = 'a damaged Exif note'
        elif kind == b'IEND':
            if length:
                odd = 'bytes in its last chunk'
        elif not kind.isalpha() or not kind.isascii():
            raise BadImage(f'damaged PNG: a chunk called {kind!r}')
        elif not kind[0] & 0x20:
            odd = f'a chunk {kind.decode()} that must be known and is not'
        if kind[0] & 0x20 and length > 7_000_000:
            odd = f'{length} bytes in its {kind.decode()} chunk'
        kinds.append(kind)
    if got != expected:
        raise BadImage(f'damaged PNG: {got} bytes of pixels instead of {expected}')
    if color == 3 and b'PLTE' not in kinds:
        raise BadImage('damaged PNG: no palette')
    if depth == 16:
        return _to_8_bits(data, to_8_bits), 1
    if not pixels.eof:
        odd = 'its pixels have no end'
    if max(width, height) > _PNG_EDGE:
        raise UnfitImage(f'{width} x {height}: MXNet reads at most {_PNG_EDGE} pixels a side')
    if odd:
        return (_to_png(_open(data, max_pixels)), 'converted', f'an unusual PNG: {odd}'), 1
    return (data, '', ''), orientation


def _png_rows(width: int, height: int, bits: int, interlaced: int) -> List[Tuple[int, int]]:
    """Where the scan lines of a PNG begin, unpacked: [(offset of the first, bytes of each)] of each pass; at the end
    (length of all, 1)."""
    passes = _ADAM7 if interlaced else ((0, 1, 0, 1),)
    rows, offset = [], 0
    for left, step_x, top, step_y in passes:
        columns, lines = -(-(width - left) // step_x), -(-(height - top) // step_y)
        if columns > 0 and lines > 0:
            stride = 1 + (columns * bits + 7) // 8
            rows.append((offset, stride))
            offset += lines * stride
    return rows + [(offset, 1)]


def _worst_filter(piece: bytes, at: int, rows: List[Tuple[int, int]]) -> int:
    """The highest filter byte (0 to 4 are known) of the scan lines that begin in `piece`, which lies at offset `at`."""
    worst = 0
    for (start, stride), (stop, _) in zip(rows, rows[1:]):
        first = max(start, at) - start
        begin = start + -(-first // stride) * stride - at
        if begin < min(len(piece), stop - at):
            worst = max(worst, max(piece[begin:stop - at:stride]))
    return worst


def _plain_bmp(data: bytes) -> bool:
    """Whether a BMP is of the kind that every program writes: 8, 24 or 32 bits, not compressed, all pixels there."""
    if len(data) < 54:
        return False
    offset, header, width, height, planes, bits, compression = struct.unpack_from('<IIiiHHI', data, 10)
    palette = (struct.unpack_from('<I', data, 46)[0] or 256) * 4 if bits == 8 else 0
    return (header == 40 and planes == 1 and bits in (8, 24, 32) and compression == 0 and palette <= 1024
            and 0 < width <= 1 << 20 and 0 < abs(height) <= 1 << 20 and offset >= 54 + palette
            and offset + (width * bits + 31) // 32 * 4 * abs(height) <= len(data))


def _check_other(data: bytes, max_pixels: float, to_8_bits: bool) -> Tuple[str, Checked]:
    if data[4:8] == b'ftyp' and data[8:12] in _HEIF_BRANDS:
        return _heif(data, _HEIF_BRANDS[data[8:12]], max_pixels)
    image = _open(data, max_pixels)
    name = image.format
    if image.mode in ('I', 'F') or image.mode.startswith('I;') or _deep_tiff(image):
        return name, _to_8_bits(data, to_8_bits)
    if name == 'BMP' and _plain_bmp(data):
        return name, (data, '', '')
    reason = {'BMP': 'an unusual BMP', 'TIFF': 'TIFF, of which MXNet reads some kinds only'}.get(
        name, f'MXNet does not read {name}')
    if image.mode in ('CMYK', 'YCbCr', 'LAB', 'HSV'):
        reason = f'{image.mode} to RGB'
        image = _rgb_of_cmyk(image) if image.mode == 'CMYK' else _like(image, image.convert('RGB'))
    return name, (_to_png(image), 'converted', reason)


def _heif(data: bytes, name: str, max_pixels: float) -> Tuple[str, Checked]:
    """A picture of a telephone, by pillow-heif or a newer Pillow where one is installed."""
    try:
        import pillow_heif
        pillow_heif.register_heif_opener()
        pillow_heif.register_avif_opener()
    except (ImportError, AttributeError):  # version 1 leaves AVIF to newer Pillows than ours
        pass
    with _pillow() as Image:
        try:
            with Image.open(io.BytesIO(data)) as image:
                if image.width * image.height > max_pixels:
                    raise UnfitImage(_too_large(image.width, image.height, max_pixels))
                return name, (_to_png(image), 'converted', f'MXNet does not read {name}')
        except Image.UnidentifiedImageError:
            raise BadImage(f'{name}, which needs another package: pip install "pillow-heif<1", or save it as '
                           'JPEG') from None
        except BadImage:
            raise
        except Exception as error:  # the decoders raise nearly everything
            raise BadImage(f'damaged {name}: {" ".join(str(error).split()) or type(error).__name__}') from None


@contextlib.contextmanager
def _pillow() -> Iterator[Any]:
    """Pillow's module `Image`, its settings ours as long as the context lasts. They belong to the whole process, and a
    verdict must not depend on what else runs there: GluonCV has Pillow take truncated files, `python -W error` turns
    its warnings into failures."""
    from PIL import Image, ImageFile
    Image.init()  # `formats=` fails with formats that are not loaded yet
    before = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = False, None  # our own limit stands in for Pillow's
    try:
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            yield Image
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = before


def _open(data: bytes, max_pixels: float) -> 'Image.Image':
    """Pillow's image, all its pixels loaded."""
    with _pillow() as Image:
        try:
            image = Image.open(io.BytesIO(data), formats=_FORMATS)
            if image.width * image.height > max_pixels:
                raise UnfitImage(_too_large(image.width, image.height, max_pixels))
            # MPO: a camera's JPEG with a second view behind it; the first is the picture.
            if image.format != 'MPO' and getattr(image, 'n_frames', 1) > 1:
                raise UnfitImage(f'{"several pages" if image.format == "TIFF" else "animated"}, {image.n_frames} '
                               f'frames')
            image.load()
            return image
        except BadImage:
            raise
        except Image.UnidentifiedImageError:
            raise BadImage('damaged: its header' if looks_like_an_image(data[:16]) else
                           f'not an image (begins with {data[:8].hex(" ")})') from None
        except MemoryError:
            raise BadImage('too large for this machine\'s memory') from None
        except Exception as error:  # Pillow's decoders raise nearly everything
            words = ' '.join(str(error).split())
            told = isinstance(error, (OSError, SyntaxError)) and words.strip('-0123456789')
            raise BadImage(f'damaged: {words if told else "Pillow cannot make sense of it"}') from None


def _too_large(width: int, height: int, max_pixels: float) -> str:
    return f'{width} x {height} pixels are more than {max_pixels} (--max-pixels)'


def _deep_tiff(image: 'Image.Image') -> bool:
    try:
        return image.format == 'TIFF' and max(image.tag_v2.get(258, (8,))) > 8
    except (TypeError, ValueError):  # a damaged tag
        return False


# ---- converting

def _to_8_bits(data: bytes, drop: bool = False) -> Checked:
    """16 bits a sample to 8, if that loses nothing: all values are multiples of 257, 8 bits spread over
    16. `drop`: even if it does."""
    import cv2
    import numpy as np
    try:
        pixels = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise BadImage(f'damaged: {error.err}') from None
    if pixels is None or pixels.dtype != np.uint16:
        raise UnfitImage(f'{pixels.dtype if pixels is not None else "unknown"} samples; MXNet reads 8 bits')
    low, note = (pixels // 257).astype(np.uint8), 'without loss'
    if not np.array_equal(low * np.uint16(257), pixels):
        if not drop:
            raise UnfitImage('16 bits a sample, 8 of which MXNet would drop; convert it to 8 bits first (--to-8-bit)')
        low, note = (pixels >> 8).astype(np.uint8), 'the lower 8 dropped'
    low = _turn(low, orientation_of(data))
    return cv2.imencode('.png', low)[1].tobytes(), 'converted', f'16 bits a sample to 8, {note}'


def _rgb_of_cmyk(image: 'Image.Image') -> 'Image.Image':
    """By the profile of the image if it has one, as a viewer would show it."""
    from PIL import ImageCms
    profile = image.info.get('icc_profile')
    if profile:
        try:
            return _like(image, ImageCms.profileToProfile(image, io.BytesIO(profile), ImageCms.createProfile('sRGB'),
                                                          outputMode='RGB'))
        except (ImageCms.PyCMSError, OSError, ValueError):
            pass  # a damaged profile
    return _like(image, image.convert('RGB'))


def _like(image: 'Image.Image', converted: 'Image.Image') -> 'Image.Image':
    """`converted`, which Pillow made of `image`, turned as the note of `image` says."""
    turn = _pillow_orientation(image)
    converted = converted.transpose(_pillow_turn(turn)) if turn != 1 else converted
    converted.info = {}  # Pillow hands the note on, and it must not be followed twice
    return converted


def _pillow_orientation(image: 'Image.Image') -> int:
    try:
        with _pillow():
            turn = image.getexif().get(274, 1)
    except Exception:  # a damaged note says nothing
        return 1
    return turn if turn in range(1, 9) else 1


def _pillow_turn(orientation: int) -> 'Image.Transpose':
    from PIL.Image import Transpose
    return {2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
            5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
            8: Transpose.ROTATE_90}[orientation]


def _to_png(image: 'Image.Image') -> bytes:
    """Pillow's image, upright, as PNG bytes, pixels unchanged."""
    transparency = image.info.get('transparency')
    turn = _pillow_orientation(image)
    if turn != 1:
        image = image.transpose(_pillow_turn(turn))
    if image.mode not in ('1', 'L', 'LA', 'P', 'RGB', 'RGBA'):
        image = image.convert('RGBA' if 'A' in image.mode or 'a' in image.mode else 'RGB')
    image.info = {}  # notes and profiles stay behind: MXNet reads none
    file = io.BytesIO()
    try:
        image.save(file, 'PNG', **({'transparency': transparency} if transparency is not None else {}))
    except Exception as error:
        raise BadImage(f'damaged: {" ".join(str(error).split()) or type(error).__name__}') from None
    return file.getvalue()


def _onto(background: str, result: Checked) -> Checked:
    """The result of a check, its picture laid onto a colour if it has transparency."""
    from PIL import Image, ImageColor
    image = _open(result[0], float('inf'))
    if 'A' not in image.mode and 'transparency' not in image.info:
        return result
    picture = image.convert('RGBA')
    laid = Image.new('RGBA', image.size, ImageColor.getrgb(background))
    laid.alpha_composite(picture)
    laid = laid.convert('RGB')
    return _to_png(_like(image, laid)), 'converted', f'transparency onto {background}'


# ---- turning

_JPEG_OPERATION = {2: 1, 3: 6, 4: 2, 5: 3, 6: 5, 7: 4, 8: 7}  # orientation -> TJXOP


def turned(data: bytes, orientation: int) -> Checked:
    """A JPEG or PNG turned as its orientation says; a JPEG without loss where libturbojpeg is installed and the edges
    are whole blocks.

    Returns
    -------
    (bytes, str, str)
        As `check`.
    """
    if data[:8] == PNG_SIGNATURE:
        return _to_png(_open(data, float('inf'))), 'converted', 'turned upright, without loss'
    lossless = _turn_blocks(data, orientation)
    if lossless:
        return lossless, 'converted', 'turned upright, without loss'
    channels = jpeg_header(data)[2]
    pixels = _turn(decode_jpeg(data, 'RGB' if channels == 3 else 'GRAY'), orientation)
    return (encode_jpeg(pixels, 95, 'RGB' if channels == 3 else 'GRAY', '444' if channels == 3 else 'Gray'),
            'converted',
            'turned upright, encoded anew at quality 95')


@functools.lru_cache(maxsize=None)
def _turbojpeg() -> Any:
    """libturbojpeg of this system, which no package of Python brings along; None without it."""
    import ctypes
    import ctypes.util
    name = ctypes.util.find_library('turbojpeg')
    if name is None:
        return None
    library = ctypes.CDLL(name)
    library.tjInitTransform.restype = ctypes.c_void_p
    return library


def _turn_blocks(data: bytes, orientation: int) -> Optional[bytes]:
    """The coefficients of a JPEG moved, by libturbojpeg; None where it is not installed or cannot."""
    import ctypes
    library = _turbojpeg()
    if library is None:
        return None

    class Transform(ctypes.Structure):  # tjtransform of turbojpeg.h
        _fields_ = [('x', ctypes.c_int), ('y', ctypes.c_int), ('w', ctypes.c_int), ('h', ctypes.c_int),
                    ('op', ctypes.c_int), ('options', ctypes.c_int), ('data', ctypes.c_void_p),
                    ('customFilter', ctypes.c_void_p)]

    perfect, without_notes = 1, 64
    handle = ctypes.c_void_p(library.tjInitTransform())
    buffer, size = ctypes.POINTER(ctypes.c_ubyte)(), ctypes.c_ulong(0)
    wanted = Transform(0, 0, 0, 0, _JPEG_OPERATION[orientation], perfect | without_notes, None, None)
    try:
        failed = library.tjTransform(handle, data, ctypes.c_ulong(len(data)), 1, ctypes.byref(buffer),
                                     ctypes.byref(size), ctypes.byref(wanted), 0)
        return None if failed else ctypes.string_at(buffer, size.value)
    finally:
        library.tjFree(buffer)
        library.tjDestroy(handle)


def _turn(pixels: 'np.ndarray', orientation: int) -> 'np.ndarray':
    """Pixels (H, W, ...) as the orientation says that they are to be seen."""
    import numpy as np
    if orientation == 1:
        return pixels
    if orientation in (5, 6, 7, 8):
        pixels = np.swapaxes(pixels, 0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return np.ascontiguousarray(pixels)


# ---- new pixels

def reencode(data: Union[bytes, 'np.ndarray'], encoding: str, resize: int = 0, center_crop: bool = False,
             quality: Optional[int] = None, color: int = 1, max_pixels: float = MAX_PIXELS,
             strict: bool = False) -> bytes:
    """Decode, turn upright, crop, resize and encode an image; the steps and their order are im2rec's.

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
    max_pixels : int
        A picture that would become larger is bad.
    strict : bool, default False
        Raise `UncheckedJpeg` for a JPEG of which libjpeg says that something is wrong.

    Returns
    -------
    bytes

    Raises
    ------
    BadImage
        It cannot be encoded so.
    """
    import cv2
    import numpy as np
    try:
        if isinstance(data, bytes):
            pixels = _decode(data, resize, color, strict)
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
            size = resized(width, height, resize)
            if size[0] * size[1] > max_pixels or encoding == 'jpg' and max(size) > MAX_EDGE:
                raise BadImage(f'{width} x {height} pixels would become {size[0]} x {size[1]} (--resize); cut it first '
                               f'(--center-crop)')
            if size != (width, height):
                # A JPEG was averaged down to less than twice the size while it was decoded; the rest is interpolated.
                averaged = isinstance(data, bytes) and data[:2] == b'\xff\xd8' and 2 * size[0] > width
                shrinks = size[0] < width and not averaged
                pixels = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
        if encoding == 'jpg' and resize and (pixels.ndim == 2 or pixels.shape[2] == 3):
            # Four times as fast as OpenCV's, whose bytes, those of im2rec, only pictures of unchanged size can have.
            kind = ('BGR', '420') if pixels.ndim == 3 else ('GRAY', 'Gray')
            return encode_jpeg(np.ascontiguousarray(pixels.reshape(pixels.shape[:2] + (-1,))), quality or 95, *kind,
                               fastdct=False)
        ending, settings = {'raw': ('.bmp', ()), 'png': ('.png', (cv2.IMWRITE_PNG_COMPRESSION, quality or 3)),
                            'jpg': ('.jpg', (cv2.IMWRITE_JPEG_QUALITY, quality or 95))}[encoding]
        encoded = cv2.imencode(ending, pixels, settings)[1].tobytes()
    except cv2.error as error:
        raise BadImage(f'cannot be encoded as {encoding}: {error.err}') from None
    except MemoryError:
        raise BadImage('too large for this machine\'s memory') from None
    if not encoded:
        raise BadImage(f'{pixels.shape[1]} x {pixels.shape[0]} pixels cannot be encoded as {encoding}')
    return encoded


def pixels_of(data: bytes, gray: bool = False, small: bool = False) -> 'np.ndarray':
    """Pixels (H, W, 3) in RGB order, or (H, W) gray, uint8, of an encoded image, as MXNet's `ImageRecordIter` sees
    them: a JPEG upright, a PNG as it is stored, without transparency; a JPEG at an eighth of its size if it may be
    `small`.

    Raises
    ------
    BadImage
        It does not decode.
    """
    if data[:3] == b'\xff\xd8\xff':
        try:  # spares the import of OpenCV
            least = 1 if small else 0
            pixels = decode_jpeg(data, 'GRAY' if gray else 'RGB', min_height=least, min_width=least)
            return _turn(pixels[..., 0] if gray else pixels, orientation_of(data))
        except ValueError:
            pass
    import cv2
    import numpy as np
    try:
        if data[:3] != b'\xff\xd8\xff':
            flag = cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR
            pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flag | cv2.IMREAD_IGNORE_ORIENTATION)
            if pixels is None:
                raise BadImage('OpenCV does not decode it')
            return pixels if gray else pixels[..., ::-1]
        return _decode(data, 0, 0) if gray else _decode(data, 0, 1)[..., ::-1]
    except cv2.error as error:
        raise BadImage(f'OpenCV does not decode it: {error.err}') from None


def resized(width: int, height: int, shorter: int) -> Tuple[int, int]:
    """The new (width, height) whose shorter edge is `shorter`, as im2rec reckons."""
    return ((shorter, max(1, height * shorter // width)) if height > width
            else (max(1, width * shorter // height), shorter))


def _decode(data: bytes, resize: int, color: int, strict: bool = False) -> 'np.ndarray':
    """Pixels (H, W), (H, W, 3) BGR or (H, W, 4) BGRA, upright; a JPEG at no more size than the shorter edge needs."""
    import cv2
    import numpy as np
    if data[:3] == b'\xff\xd8\xff':
        gray = color == 0 or color == -1 and jpeg_header(data)[2] == 1
        try:
            # The decoder halves sizes at next to no cost as long as both edges stay at least so long.
            pixels = decode_jpeg(data, 'GRAY' if gray else 'BGR', min_height=resize, min_width=resize, strict=strict)
            return _turn(pixels[..., 0] if gray else pixels, orientation_of(data))
        except ValueError:
            if strict:
                raise UncheckedJpeg from None
            # else a form that OpenCV knows
    flags = {1: cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION,
             0: cv2.IMREAD_GRAYSCALE | cv2.IMREAD_IGNORE_ORIENTATION,
             -1: cv2.IMREAD_UNCHANGED}[color]
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if pixels is None:
        raise BadImage('OpenCV does not decode it')
    return _turn(pixels, orientation_of(data))
