"""RecordIO, the format of MXNet's image packs (`.rec`), and the three text files that lie beside one.

A record is the magic number, a word `flag << 29 | length`, the payload, and zeros up to a multiple of four.
Where the payload itself holds the magic number at a multiple of four, the record is cut there into parts and
the number left out, so that a reader may look for the next record anywhere: flag 0 is a whole record, 1 the
first part, 2 a middle one, 3 the last. The payload of an image is a header (number of labels or 0, label, id,
0), then the labels if there are several, then the encoded image. All numbers are little-endian.

Beside `x.rec` lie `x.idx` (id, offset), `x.lst` (id, labels, path; the list format of im2rec) and `x.crc`
(id, length and CRC-32 of every record as it lies in the file; our own).

Source: dmlc-core's `recordio.h`, MXNet's `recordio.py`; the tests compare with both byte for byte.
"""
import math
import os
import struct
import zlib
from array import array
from collections import namedtuple

from data_tools.errors import UserError

MAGIC = 0xced7230a
MAGIC_BYTES = struct.pack('<I', MAGIC)
PART_LIMIT = 1 << 29  # a part's length has 29 bits
_HEADER = struct.Struct('<IfQQ')
_WORDS = struct.Struct('<II')
_PADDING = (b'', b'\0\0\0', b'\0\0', b'\0')

Record = namedtuple('Record', 'offset end payload crc')
Record.__doc__ = 'One record: where it lies in the file, its payload, the CRC-32 of bytes offset to end.'
Image = namedtuple('Image', 'id labels data')
Image.__doc__ = 'The payload of a record: id, tuple of float labels, encoded image.'


class Damage(Exception):
    """Something at `offset` of a file that is not RecordIO."""
    def __init__(self, offset, reason):
        super().__init__(f'offset {offset}: {reason}')
        self.offset, self.reason = offset, reason


# ---- writing

def image_payload(index, labels, data):
    """Header, labels and encoded image as one payload.

    Parameters
    ----------
    index : int
        0 to 2**64 - 1.
    labels : sequence of float
        One label goes into the header, several behind it.
    data : bytes
    """
    if len(labels) == 1:
        return _HEADER.pack(0, labels[0], index, 0) + data
    return _HEADER.pack(len(labels), 0, index, 0) + struct.pack(f'<{len(labels)}f', *labels) + data


def frame(payload):
    """The bytes of a record in the file: `payload` framed, cut at aligned magic numbers, padded.

    Raises
    ------
    ValueError
        A part would be 512 MB or longer: RecordIO cannot hold it.
    """
    length = len(payload)
    if length < PART_LIMIT and MAGIC_BYTES not in payload:
        return b''.join((_WORDS.pack(MAGIC, length), payload, _PADDING[length & 3]))
    cuts = list(_aligned_magics(payload))
    pieces, start = [], 0
    for cut in cuts + [length]:
        if cut - start >= PART_LIMIT:
            raise ValueError(f'{length} bytes: RecordIO holds less than {PART_LIMIT} (512 MB) in one part')
        flag = (3 if start else 0) if cut == length else (2 if start else 1)
        pieces += _WORDS.pack(MAGIC, flag << 29 | cut - start), payload[start:cut]
        start = cut + 4
    return b''.join(pieces) + _PADDING[length & 3]


def _aligned_magics(part):
    """Offsets of the magic number at multiples of four."""
    at = part.find(MAGIC_BYTES)
    while at >= 0:
        if at & 3 == 0:
            yield at
            at = part.find(MAGIC_BYTES, at + 4)
        else:
            at = part.find(MAGIC_BYTES, at + 1)


def label_text(labels):
    """Labels as im2rec writes them into a list, with more digits where six would lose some."""
    texts = []
    for label in labels:
        text = f'{label:f}'
        texts.append(text if float(text) == label or label != label else repr(label))
    return '\t'.join(texts)


# ---- reading

def read_record(file, offset, size):
    """Read the record at `offset` of a file of `size` bytes.

    Returns
    -------
    Record

    Raises
    ------
    Damage
        There is no whole record.
    """
    file.seek(offset)
    start, crc, parts = offset, 0, []
    while True:
        words = file.read(8)
        if len(words) < 8:
            raise Damage(start, f'the file ends {len(words)} bytes into the head of a record')
        magic, word = _WORDS.unpack(words)
        flag, length = word >> 29, word & PART_LIMIT - 1
        if magic != MAGIC:
            raise Damage(start,
                         f'0x{magic:08x} stands where the magic number 0x{MAGIC:08x} should' if not parts
                         else f'its part {len(parts) + 1} at offset {offset} is missing')
        if flag > 3 or (flag in (0, 1)) != (not parts):
            raise Damage(start, f'part flag {flag} at offset {offset}, where a '
                         + ('record begins' if not parts else 'further part should follow'))
        padded = length + (-length & 3)
        if offset + 8 + padded > size:
            raise Damage(start, f'length {length}, but the file ends {size - offset - 8} bytes further on')
        crc = zlib.crc32(words, crc)
        pieces, left, step = [], padded, 1 << 16
        while left:
            piece = file.read(min(left, step))
            if len(piece) < min(left, step):
                raise Damage(start, 'the file shrinks while it is read')
            # Looked for piece by piece: a wrong length must not cost reading the rest of the file.
            inside = next(_aligned_magics(piece), None) if MAGIC_BYTES in piece else None
            if inside is not None:
                raise Damage(start, f'length {length} is wrong: another record begins inside it, at offset '
                             f'{offset + 8 + padded - left + inside}')
            crc = zlib.crc32(piece, crc)
            pieces.append(piece)
            left -= len(piece)
            step *= 2
        part = pieces[0] if len(pieces) == 1 else b''.join(pieces)
        if padded > length:
            if part[length:].strip(b'\0'):
                raise Damage(start, f'length {length} is wrong: its padding is not zeros')
            part = part[:length]
        offset += 8 + padded
        parts.append(part)
        if flag in (0, 3):
            return Record(start, offset, parts[0] if flag == 0 else MAGIC_BYTES.join(parts), crc)
        if length & 3:
            raise Damage(start, f'a part of {length} bytes, not a multiple of four, is followed by another')


def read_all(path, keep_going=False, any_offset=False):
    """Go through a `.rec` file from front to back.

    Parameters
    ----------
    path : path-like
    keep_going : bool, default False
        True: yield a `Damage` where records are damaged, and go on at the next record that is whole.
    any_offset : bool, default False
        Look for it at any byte, not only at multiples of four (bytes were lost before it).

    Yields
    ------
    Record
        (or Damage)

    Raises
    ------
    UserError
        The file cannot be read, or is damaged and `keep_going` is false.
    """
    with open_to_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        offset = number = 0
        while offset < size:
            try:
                record = read_record(file, offset, size)
                if any_offset and record.end < size and not _begins(file, record.end):
                    # Bytes may be missing at its end, in whose place it took the next record's.
                    inside = _next_record(file, offset, size, any_offset)
                    if inside < record.end:
                        raise Damage(offset, f'another record begins inside it, at offset {inside}')
            except Damage as damage:
                if not keep_going:
                    raise UserError(f'{path}: record number {number}, {damage}; `rec verify` lists all '
                                    f'damage, `rec salvage` saves the rest') from None
                yield damage
                offset = _next_record(file, offset, size, any_offset)
            else:
                yield record
                offset = record.end
            number += 1


def _begins(file, offset):
    """Whether a record may begin at `offset`."""
    file.seek(offset)
    return file.read(4) == MAGIC_BYTES


def _next_record(file, offset, size, any_offset, block=1 << 20):
    """The offset of the first whole record behind `offset`; `size` if there is none."""
    at = offset + 1
    while at < size:
        file.seek(at)
        data = file.read(block + 3)
        found = data.find(MAGIC_BYTES)
        while found >= 0:
            candidate = at + found
            if any_offset or candidate & 3 == 0:
                file.seek(candidate)
                words = file.read(8)
                # A cheap look before reading what may be half a gigabyte.
                if len(words) == 8 and words[7] >> 5 in (0, 1):
                    try:
                        read_record(file, candidate, size)
                        return candidate
                    except Damage:
                        pass
            found = data.find(MAGIC_BYTES, found + 1)
        at += block
    return size


def parse_image(record):
    """Take the payload of a record apart.

    Returns
    -------
    Image

    Raises
    ------
    Damage
        Too short for its header.
    """
    payload = record.payload
    if len(payload) < _HEADER.size:
        raise Damage(record.offset, f'{len(payload)} bytes are too few for an image header of {_HEADER.size}')
    count, label, index, high = _HEADER.unpack_from(payload)
    if high:
        raise Damage(record.offset, f'upper half of the id is 0x{high:x}, not 0')
    if not count:
        return Image(index, (label,), payload[_HEADER.size:])
    end = _HEADER.size + 4 * count
    if label or math.copysign(1, label) < 0:
        raise Damage(record.offset, f'has {count} labels and one more ({label}) in its header')
    if len(payload) < end:
        raise Damage(record.offset, f'{len(payload)} bytes are too few for {count} labels')
    return Image(index, struct.unpack_from(f'<{count}f', payload, _HEADER.size), payload[end:])


def read_images(path):
    """Go through the images of a pack from front to back.

    Yields
    ------
    (Record, Image)

    Raises
    ------
    UserError
        The file cannot be read or is damaged.
    """
    for number, record in enumerate(read_all(path)):
        try:
            yield record, parse_image(record)
        except Damage as damage:
            raise UserError(f'{path}: record number {number}, {damage}') from None


def read_listed(path):
    """Go through the images of a pack, with the paths that the list beside it gives them.

    Yields
    ------
    (Record, Image, str)
        The path is made up of label, id and format if there is no list or it does not have the id.

    Raises
    ------
    UserError
        The pack or its list cannot be read or is damaged.
    """
    list_path = beside(path, '.lst')
    listed = read_list(list_path) if os.path.exists(list_path) else iter(())
    ahead = {}  # stays small: list and pack are in the same order, but for what could not be packed
    for record, image in read_images(path):
        while image.id not in ahead:
            entry = next(listed, None)
            if entry is None:
                break
            ahead[entry[0]] = entry[2]
        yield record, image, ahead.pop(image.id, None) or made_up_path(image)


_SIGNATURES = ((b'\xff\xd8\xff', 'jpg'), (b'\x89PNG\r\n\x1a\n', 'png'), (b'BM', 'bmp'), (b'II*\0', 'tif'),
               (b'MM\0*', 'tif'), (b'GIF8', 'gif'))


def format_of(data):
    """'jpg', 'png', ...: the format of an encoded image by its first bytes; 'bin' if it is none of them."""
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), 'bin')


def made_up_path(image):
    """LABEL/ID.jpg for an image of which no list tells the name."""
    return f'{image.labels[0] if image.labels else 0:g}/{image.id}.{format_of(image.data)}'


# ---- the files beside a pack

def read_classes(path):
    """The names in the `.classes.txt` of a pack, which all its parts share (`x_train_0.rec`:
    `x.classes.txt`).

    Returns
    -------
    list of str, or None
    """
    prefix = beside(path, '')
    while not os.path.exists(prefix + '.classes.txt'):
        shorter = prefix.rpartition('_')[0]
        if os.path.dirname(shorter) != os.path.dirname(prefix) or not os.path.basename(shorter):
            return None
        prefix = shorter
    with open_to_read(prefix + '.classes.txt') as file:
        return file.read().decode('utf-8', 'surrogateescape').splitlines()


def open_to_read(path, **options):
    """`open(path, 'rb')` whose failure is told in one line."""
    try:
        file = open(path, 'rb', **options)
        if not file.seekable():
            file.close()
            raise UserError(f'{path}: not an ordinary file')
        return file
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror or error})') from None


def beside(path, suffix):
    """`x.rec` -> `x` + suffix; the name of a file that lies beside a pack."""
    return os.path.splitext(os.fspath(path))[0] + suffix


def _lines(path):
    """Yield (line number, line) of a text file that may hold anything; empty lines are left out."""
    with open_to_read(path) as file:
        number = 0
        while True:
            line = file.readline(1 << 24)
            if not line:
                return
            number += 1
            line = line.decode('utf-8', 'surrogateescape').strip(' \r\n')
            if line:
                yield number, line


def read_list(path):
    """Read a `.lst` file: id, labels, path, with tabs between them, as im2rec reads and writes it.

    Yields
    ------
    (int, tuple of float, str)

    Raises
    ------
    UserError
        The file cannot be read, or a line of it is wrong.
    """
    seen = {}
    for number, line in _lines(path):
        fields = [field.strip() for field in line.split('\t')]
        try:
            if len(fields) < 3:
                raise ValueError(f'{len(fields)} fields; a line is id, label(s) and path, with tabs between '
                                 f'them')
            index, labels = int(fields[0]), tuple(map(float, fields[1:-1]))
            if not 0 <= index < 1 << 64:
                raise ValueError(f'the id {index} is not in 0 ... 2**64 - 1')
            if seen.setdefault(index, number) != number:
                raise ValueError(f'the id {index} is already on line {seen[index]}')
            if not fields[-1] or '\0' in fields[-1]:
                raise ValueError('no usable path')
            struct.pack(f'<{len(labels)}f', *labels)
        except (ValueError, OverflowError) as error:
            raise UserError(f'{path}: line {number}: {error}') from None
        yield index, labels, fields[-1]


def read_index(path):
    """Read an `.idx` file.

    Returns
    -------
    (array of ids, array of offsets)

    Raises
    ------
    UserError
        The file cannot be read, or a line of it is wrong.
    """
    ids, offsets = array('Q'), array('Q')
    for number, line in _lines(path):
        try:
            index, offset = line.split('\t')
            ids.append(int(index))
            offsets.append(int(offset))
        except (ValueError, OverflowError):
            raise UserError(f'{path}: line {number} is not an id, a tab and an offset; '
                            '`rec index` makes the file anew') from None
    return ids, offsets


def read_checksums(path):
    """Read a `.crc` file.

    Returns
    -------
    (array of ids, array of lengths, array of CRC-32)
        Of all records, in the order of the `.rec`.

    Raises
    ------
    UserError
        The file cannot be read, is wrong or not whole.
    """
    ids, lengths, checksums = array('Q'), array('Q'), array('Q')
    end = None
    for number, line in _lines(path):
        try:
            if end is not None:
                raise ValueError
            first, length, last = line.split('\t')
            if first == 'end':
                end = int(length), int(last)
            else:
                ids.append(int(first))
                lengths.append(int(length))
                checksums.append(int(last, 16))
        except (ValueError, OverflowError):
            raise UserError(f'{path}: line {number} is damaged; `rec index --crc` makes the file '
                            f'anew') from None
    if end != (len(ids), sum(lengths)):
        raise UserError(f'{path}: not whole; `rec index --crc` makes the file anew')
    return ids, lengths, checksums
