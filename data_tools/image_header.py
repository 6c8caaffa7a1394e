"""What the first bytes of an encoded image tell, without a decoder: format, size, how the camera was held."""
import re
import struct
from typing import Tuple

_USUAL_JPEG = re.compile(rb'\xff\xd8\xff\xe0\0\x10.{14}(?:\xff\xdb\0C.{65}){1,2}\xff[\xc0\xc2](?=\0.{7})', re.DOTALL)
_FRAME = struct.Struct('>BHHB')
PNG_SIGNATURE = b'\x89PNG\r\n\x1a\n'
FORMAT_OF_SUFFIX = {'.jpg': 'JPEG', '.jpeg': 'JPEG', '.jpe': 'JPEG', '.jfif': 'JPEG', '.png': 'PNG', '.gif': 'GIF',
                    '.bmp': 'BMP', '.tif': 'TIFF', '.tiff': 'TIFF', '.webp': 'WEBP', '.ppm': 'PPM',
                    '.pgm': 'PPM', '.jp2': 'JPEG2000', '.heic': 'HEIC', '.heif': 'HEIC', '.avif': 'AVIF'}


class BadImage(Exception):
    """An image that cannot be packed; the text says why."""


class UnfitImage(BadImage):
    """One that is whole, but of a kind that is not packed: animated, of more than 8 bits, too large."""


def looks_like_an_image(head: bytes) -> bool:
    """Whether the first bytes of a file (16 suffice) are those of a format that can be packed."""
    return (head[:3] == b'\xff\xd8\xff' or head[:8] == PNG_SIGNATURE or head[:2] == b'BM'
            or head[:4] in (b'II*\0', b'MM\0*')
            or head[:4] == b'GIF8' or head[:4] == b'RIFF' and head[8:12] == b'WEBP' or head[4:8] == b'ftyp'
            or head[:2] in (b'P2', b'P3', b'P5', b'P6') and head[2:3].isspace() or head[4:8] == b'jP  ')


def shape_of(data: bytes) -> Tuple[int, int, int]:
    """(width, height, channels) of an encoded image by its header; (0, 0, 0) where it is none that packs hold."""
    try:
        if data[:2] == b'\xff\xd8':
            return jpeg_header(data)[:3]
        if data[:8] == PNG_SIGNATURE:
            width, height, _, color = struct.unpack_from('>IIBB', data, 16)
            return width, height, {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}.get(color, 0)
        if data[:2] == b'BM':
            width, height, _, bits = struct.unpack_from('<iiHH', data, 18)
            return width, abs(height), 4 if bits == 32 else 3
    except (BadImage, struct.error, IndexError):
        pass
    return 0, 0, 0


def jpeg_header(data: bytes) -> Tuple[int, int, int, int, int, int]:
    """What the markers of a JPEG before its scan say.

    Returns
    -------
    (int, int, int, int, int, int)
        Width, height, components, Exif orientation (1: upright), number of the SOF marker (0: baseline), bits a sample.

    Raises
    ------
    BadImage
        There is no frame header before the scan.
    """
    usual = _USUAL_JPEG.match(data)  # JFIF and one or two tables: spares going through the markers
    if usual is not None and data.find(b'Exif\0', 0, 1 << 16) < 0:
        at = usual.end()
        bits, height, width, components = _FRAME.unpack_from(data, at + 2)
        return width, height, components, 1, data[at - 1] - 0xc0, bits
    at, orientation, frame = 2, 1, None
    try:
        while True:
            at = data.index(b'\xff', at)
            marker = data[at + 1]
            if marker == 0xff:  # a fill byte
                at += 1
                continue
            if marker == 0 or 0xd0 <= marker <= 0xd8 or marker == 1:
                at += 2
                continue
            if marker in (0xda, 0xd9):
                break
            length = data[at + 2] << 8 | data[at + 3]
            if 0xc0 <= marker <= 0xcf and marker not in (0xc4, 0xc8, 0xcc):
                bits, height, width, components = _FRAME.unpack_from(data, at + 4)
                frame = width, height, components, marker - 0xc0, bits
            elif marker == 0xe1 and data[at + 4:at + 10] == b'Exif\0\0':
                orientation = exif_orientation(data[at + 10:at + 2 + length])
            at += 2 + length
    except (ValueError, IndexError, struct.error):
        pass
    if frame is None:
        raise BadImage('damaged: a JPEG without a frame')
    return frame[:3] + (orientation,) + frame[3:]


def exif_orientation(exif: bytes) -> int:
    """The value of tag 274 in the first directory of Exif data (a TIFF header and what follows); 1 without it."""
    try:
        order = {b'II': '<', b'MM': '>'}[exif[:2]]
        at = struct.unpack_from(order + 'I', exif, 4)[0]
        for number in range(struct.unpack_from(order + 'H', exif, at)[0]):
            tag, kind = struct.unpack_from(order + 'HH', exif, at + 2 + 12 * number)
            if tag == 274:
                value = struct.unpack_from(order + ('I' if kind == 4 else 'H'), exif, at + 10 + 12 * number)[0]
                return value if 1 <= value <= 8 else 1
    except (KeyError, struct.error):
        pass
    return 1


def orientation_of(data: bytes) -> int:
    """The Exif orientation of a JPEG or PNG, 1 to 8; 1 (upright) where there is none."""
    if data[:2] == b'\xff\xd8':
        try:
            return jpeg_header(data)[3]
        except BadImage:
            return 1
    at = 8
    while data[:8] == PNG_SIGNATURE and at + 8 <= len(data):
        length, kind = struct.unpack_from('>I4s', data, at)
        if kind == b'eXIf':
            return exif_orientation(data[at + 8:at + 8 + length])
        at += 12 + length
    return 1
