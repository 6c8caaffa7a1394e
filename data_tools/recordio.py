"""RecordIO, the format of MXNet's image packs (`.rec`), and the three text files that lie beside one.

A record is the magic number, a word `flag << 29 | length`, the payload, and zeros up to a multiple of four.
Where the payload itself holds the magic number at a multiple of four, the record is cut there into parts and
the number left out, so that a reader may look for the next record anywhere: flag 0 is a whole record, 1 the
first part, 2 a middle one, 3 the last. The payload of an image is a header (number of labels or 0, label, id, a
second id, which is 0 nearly everywhere), then the labels if there are several, then the encoded image. A record without
an image is metadata, as packs of faces have it. All numbers are little-endian.

Beside `x.rec` lie `x.idx` (key, offset), `x.lst` (key, labels, path; the list format of im2rec) and `x.crc` (key,
length and CRC-32 of every record as it lies in the file; our own). The key of a record is its id, unless the ids
repeat, as they may in packs of other tools: then it is what the `.idx` says.

Source: dmlc-core's `recordio.h`, MXNet's `recordio.py`; the tests compare with both byte for byte.
"""
import codecs
import json
import math
import operator
import os
import struct
import zlib
from array import array
from collections import namedtuple
from typing import IO, TYPE_CHECKING, Any, Callable, Dict, Iterator, List, Optional, Sequence, Tuple, TypeVar, Union

from data_tools.atomic import PathLike
from data_tools.errors import UserError

if TYPE_CHECKING:
    import numpy as np

MAGIC = 0xced7230a
MAGIC_BYTES = struct.pack('<I', MAGIC)
PART_LIMIT = 1 << 29  # a part's length has 29 bits
_HEADER = struct.Struct('<IfQQ')
_WORDS = struct.Struct('<II')
_PADDING = (b'', b'\0\0\0', b'\0\0', b'\0')

Record = namedtuple('Record', 'offset end payload crc')
Record.__doc__ = 'One record: where it lies in the file, its payload, the CRC-32 of bytes offset to end.'
Labels = Tuple[float, ...]
Number = TypeVar('Number', int, float)
Image = namedtuple('Image', 'id labels data')
Image.__doc__ = 'The payload of a record: id, tuple of float labels, encoded image.'


class Damage(Exception):
    """Something at `offset` of a file that is not RecordIO."""
    def __init__(self, offset: int, reason: str) -> None:
        super().__init__(f'offset {offset}: {reason}')
        self.offset, self.reason = offset, reason


# ---- writing

def image_payload(index: int, labels: Sequence[float], data: bytes) -> bytes:
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


def with_image(payload: bytes, index: int, data: bytes) -> bytes:
    """A payload with another id and image; its labels, however they are held, and its second id stay."""
    count, label, _, second = _HEADER.unpack_from(payload)
    return _HEADER.pack(count, label, index, second) + payload[_HEADER.size:_HEADER.size + 4 * count] + data


def second_id(payload: bytes) -> int:
    """The second id in the header of a payload; 0 nearly everywhere."""
    return _HEADER.unpack_from(payload)[3]


def doubled_label(payload: bytes) -> float:
    """The label in the header of a payload that has labels behind it as well; 0 nearly everywhere."""
    count, label, _, _ = _HEADER.unpack_from(payload)
    return label if count else 0


def frame(payload: bytes) -> bytes:
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
    pieces: List[bytes] = []
    start = 0
    for cut in cuts + [length]:
        if cut - start >= PART_LIMIT:
            raise ValueError(f'{length} bytes: RecordIO holds less than {PART_LIMIT} (512 MB) in one part')
        flag = (3 if start else 0) if cut == length else (2 if start else 1)
        pieces += _WORDS.pack(MAGIC, flag << 29 | cut - start), payload[start:cut]
        start = cut + 4
    return b''.join(pieces) + _PADDING[length & 3]


def _aligned_magics(part: bytes) -> Iterator[int]:
    """Offsets of the magic number at multiples of four."""
    at = part.find(MAGIC_BYTES)
    while at >= 0:
        if at & 3 == 0:
            yield at
            at = part.find(MAGIC_BYTES, at + 4)
        else:
            at = part.find(MAGIC_BYTES, at + 1)


def label_text(labels: Sequence[float]) -> str:
    """Labels as im2rec writes them into a list, with more digits where six would lose some."""
    texts = []
    for label in labels:
        text = f'{label:f}'
        texts.append(text if float(text) == label or label != label else repr(label))
    return '\t'.join(texts)


# ---- reading

def read_record(file: IO[bytes], offset: int, size: int) -> Record:
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
    start, crc = offset, 0
    parts: List[bytes] = []
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


def read_all(path: PathLike, keep_going: bool = False, any_offset: bool = False) -> Iterator[Union[Record, Damage]]:
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


def _begins(file: IO[bytes], offset: int) -> bool:
    """Whether a record may begin at `offset`."""
    file.seek(offset)
    return file.read(4) == MAGIC_BYTES


def _next_record(file: IO[bytes], offset: int, size: int, any_offset: bool, block: int = 1 << 20) -> int:
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


def parse_image(record: Record) -> Image:
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
    count, label, index, _ = _HEADER.unpack_from(payload)
    if not count:
        return Image(index, (label,), payload[_HEADER.size:])
    end = _HEADER.size + 4 * count
    if len(payload) < end:
        raise Damage(record.offset, f'{len(payload)} bytes are too few for {count} labels')
    labels = struct.unpack_from(f'<{count}f', payload, _HEADER.size)
    # MXNet's im2rec of C++ writes the first label a second time.
    if (label or math.copysign(1, label) < 0) and label != labels[0]:
        raise Damage(record.offset, f'has {count} labels and one more ({label}) in its header')
    return Image(index, labels, payload[end:])


def read_images(path: PathLike) -> Iterator[Tuple[Record, Image]]:
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
        assert not isinstance(record, Damage)  # it would have been raised
        try:
            yield record, parse_image(record)
        except Damage as damage:
            raise UserError(f'{path}: record number {number}, {damage}') from None


def settle_keys(ids: Sequence[int], offsets: Sequence[int], listed: Dict[int, int]) -> Tuple[Sequence[int], str]:
    """The keys of records: their ids, if these are all different, else those that the `.idx` gives them.

    Parameters
    ----------
    ids, offsets : sequence of int
        Of all records.
    listed : dict
        Offset -> key, as an `.idx` says; {} without one.

    Returns
    -------
    (sequence of int, str)
        The keys, all different; '' if they are the ids, 'index' if the `.idx` tells them, 'position' if they are
        counted from 0, since the ids repeat and no `.idx` has them all.
    """
    known = [listed[offset] for offset in offsets if offset in listed]
    complete = len(set(known)) == len(offsets)
    if len(set(ids)) == len(ids):
        # One key that differs, or the same ones in another order, is damage; others are another tool's own keys.
        own = complete and sum(map(operator.ne, known, ids)) > 1 and set(known) != set(ids)
        return (known, 'index') if own else (ids, '')
    return (known, 'index') if complete else (range(len(offsets)), 'position')


def listed_keys(path: PathLike) -> Dict[int, int]:
    """{offset: key} of the `.idx` beside a pack; {} if there is none, or none that can be read."""
    try:
        keys, offsets = read_index(beside(path, '.idx'))
    except UserError:
        return {}
    return dict(zip(offsets, keys))


def read_listed(path: PathLike) -> Iterator[Tuple[Record, Image, str]]:
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
        yield record, image, ahead.pop(image.id, '') or made_up_path(image)


_SIGNATURES = ((b'\xff\xd8\xff', 'jpg'), (b'\x89PNG\r\n\x1a\n', 'png'), (b'BM', 'bmp'), (b'II*\0', 'tif'),
               (b'MM\0*', 'tif'), (b'GIF8', 'gif'))


def format_of(data: bytes) -> str:
    """'jpg', 'png', ...: the format of an encoded image by its first bytes; 'bin' if it is none of them."""
    if data[:4] == b'RIFF' and data[8:12] == b'WEBP':
        return 'webp'
    return next((name for signature, name in _SIGNATURES if data.startswith(signature)), 'bin')


def made_up_path(image: Image) -> str:
    """LABEL/ID.jpg for an image of which no list tells the name; metadata/ID for a record without an image."""
    if not image.data:
        return f'metadata/{image.id}'
    return f'{image.labels[0] if image.labels else 0:g}/{image.id}.{format_of(image.data)}'


# ---- the files beside a pack

def call_prefix(path: PathLike) -> str:
    """The prefix of the call that wrote a pack: 'x' for `x.rec`, and for `x_train_0.rec` if that is one of its parts.

    `x.json` names the parts. Packs of earlier versions and of im2rec have none; there `x_train.rec` belongs to
    `x.classes.txt` unless that is `x.rec`'s own.
    """
    own = prefix = beside(path, '')
    while True:
        note = note_of(prefix)
        if note is not None:
            if os.path.basename(own) in note['packs']:
                return prefix
        elif os.path.exists(prefix + '.classes.txt') and (prefix == own or not os.path.exists(prefix + '.rec')):
            return prefix
        shorter = prefix.rpartition('_')[0]
        if os.path.dirname(shorter) != os.path.dirname(prefix) or not os.path.basename(shorter):
            return own
        prefix = shorter


def note_of(prefix: str) -> Optional[Dict[str, Any]]:
    """What `PREFIX.json` says of all packs of a call; None if there is no such file, or it is another program's."""
    try:
        with open(prefix + '.json', encoding='utf-8') as file:
            note = json.load(file)
        return note if isinstance(note, dict) and isinstance(note.get('packs'), dict) and 'version' in note else None
    except (OSError, ValueError):
        return None


def read_facts(path: PathLike) -> Optional[Dict[str, Any]]:
    """What is known of a pack since it was made (`PREFIX.json`).

    Parameters
    ----------
    path : path-like
        `x.rec`, or a part of it, `x_train.rec` or `x_train_0.rec`.

    Returns
    -------
    dict or None
        None where no such file is. Its keys:

        - 'command', 'version', 'source': what was called, of which version, on what;
        - 'checksum': of all the source's images, in their order;
        - 'classes': their names, by label; None where labels are numbers;
        - 'records', 'bytes', 'formats' ({'jpg': 8, ...});
        - 'labels': [[label, records], ...]; None if there are more than 10,000; of detection, the widths of headers;
        - 'objects': [[class, objects], ...] of a pack of detection; None of others;
        - 'shapes': [[width, height, channels, records], ...], the most frequent first, a thousand at most;
        - 'mean', 'deviation': of the channels R, G, B (or gray), of pixels from 0 to 255, over 'sampled' images that
          lie evenly in the pack; 'range': [least, greatest] of their pixels.
    """
    prefix = call_prefix(path)
    note = note_of(prefix)
    name = os.path.basename(beside(path, ''))
    if note is None or name not in note['packs']:
        return None
    return {**{key: value for key, value in note.items() if key != 'packs'}, **note['packs'][name]}


def read_classes(path: PathLike) -> Optional[List[str]]:
    """The names in the `.classes.txt` of a pack, which all its parts share (`x_train_0.rec`: `x.classes.txt`).

    Returns
    -------
    list of str, or None
    """
    file = call_prefix(path) + '.classes.txt'
    return read_names(file) if os.path.exists(file) else None


def read_names(path: PathLike) -> List[str]:
    """The lines of a text file, without their ends, a byte order mark, and empty lines at its end."""
    with open_to_read(path) as file:
        text = file.read().decode('utf-8', 'surrogateescape').lstrip('\ufeff').replace('\r\n', '\n')
    return text.rstrip('\n').split('\n') if text.strip('\n') else []


def open_to_read(path: PathLike, **options: Any) -> IO[bytes]:
    """`open(path, 'rb')` whose failure is told in one line."""
    try:
        file = open(path, 'rb', **options)
        if not file.seekable():
            file.close()
            raise UserError(f'{path}: not an ordinary file')
        return file
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror or error})') from None


def beside(path: PathLike, suffix: str) -> str:
    """`x.rec` -> `x` + suffix; the name of a file that lies beside a pack."""
    return os.path.splitext(os.fspath(path))[0] + suffix


def _lines(path: PathLike) -> Iterator[Tuple[int, str]]:
    """Yield (line number, line) of a text file that may hold anything; empty lines are left out."""
    with open_to_read(path) as file:
        number = 0
        while True:
            line = file.readline(1 << 24)
            if not line:
                return
            number += 1
            if number == 1 and line.startswith(codecs.BOM_UTF8):
                line = line[3:]
            text = line.decode('utf-8', 'surrogateescape').strip(' \r\n')
            if text:
                yield number, text


def read_list(path: PathLike) -> Iterator[Tuple[int, Labels, str]]:
    """Read a `.lst` file: id, labels, path, with tabs between them, as im2rec reads and writes it.

    Yields
    ------
    (int, tuple of float, str)

    Raises
    ------
    UserError
        The file cannot be read, or a line of it is wrong.
    """
    seen: Dict[int, int] = {}  # id: the line
    for number, line in _lines(path):
        fields = [field.strip() for field in line.strip().split('\t')]
        try:
            if len(fields) < 3:
                raise ValueError(f'{len(fields)} fields; a line is id, label(s) and path, with tabs between '
                                 f'them')
            index = _number(int, fields[0], 'id')
            labels = tuple(_number(float, field, 'label') for field in fields[1:-1])
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


def _number(kind: Callable[[str], Number], text: str, what: str) -> Number:
    try:
        return kind(text)
    except ValueError:
        raise ValueError(f'{text!r} is no {what}') from None


def read_index(path: PathLike) -> Tuple['array[int]', 'array[int]']:
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


def read_labels(path: PathLike) -> 'np.ndarray':
    """The labels of a pack, from the heads of its records: no image is read.

    Parameters
    ----------
    path : path-like
        Of the `.rec`; its `.idx` lies beside it.

    Returns
    -------
    numpy.ndarray of float32, (N,) or (N, width)
        In the order in which the records lie in the file; (N,) where each has one label.

    Raises
    ------
    UserError
        The pack or its index cannot be read, they do not belong together, or records have different numbers of labels.
    """
    import numpy as np
    index = beside(path, '.idx')
    offsets = np.sort(np.frombuffer(read_index(index)[1], np.uint64).astype(np.int64))
    with open_to_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        if not len(offsets) or size < 8 + _HEADER.size:
            raise UserError(f'{path}: holds no records')
        data = np.memmap(file, np.uint8, 'r')

        def damaged(numbers: np.ndarray) -> UserError:
            offset = offsets[np.flatnonzero(numbers)[0]]
            return UserError(f'{path}: no image begins at offset {offset}, where {index} has one; '
                             '`python -m data_tools rec index` makes it anew')

        def words(start: int, width: int) -> np.ndarray:
            """(N, width) of the words at `start` bytes from the beginning of each record."""
            return data[(offsets[:, None] + np.arange(start, start + 4 * width))].view('<u4')

        outside = offsets > size - 8 - _HEADER.size
        if outside.any():
            raise damaged(outside)
        heads = words(0, 4)
        flags, lengths, counts = heads[:, 1] >> 29, heads[:, 1] & PART_LIMIT - 1, heads[:, 2].astype(np.int64)
        no_head = (heads[:, 0] != MAGIC) | (flags > 1)
        if no_head.any():
            raise damaged(no_head)
        # The number of labels behind the header; none of them, or one, is one label. A magic number among them has
        # the record cut there.
        cut = lengths < _HEADER.size + 4 * np.where(lengths < _HEADER.size, 0, counts)
        if cut.any():
            read = [_labels_at(file, path, int(offset), size) for offset in offsets]
            width = len(read[0])
            different = np.array([len(each) != width for each in read])
        else:
            widths = np.maximum(counts, 1)
            width = int(widths[0])
            different = widths != width
        if different.any():
            number = int(np.flatnonzero(different)[0])
            raise UserError(f'{path}: the record at offset {offsets[number]} has another number of labels than the '
                            f'first, which has {width}')
        if cut.any():
            labels = np.array(read, np.float32)
        elif width == 1:
            labels = heads[:, 3].view('<f4').copy()
            behind = counts == 1
            if behind.any():
                labels[behind] = data[offsets[behind, None] + np.arange(32, 36)].view('<f4')[:, 0]
        else:
            labels = words(8 + _HEADER.size, width).view('<f4')
    return labels.reshape(-1) if width == 1 else labels.astype(np.float32)


def _labels_at(file: IO[bytes], path: PathLike, offset: int, size: int) -> Labels:
    try:
        return parse_image(read_record(file, offset, size)).labels
    except Damage as damage:
        raise UserError(f'{path}: {damage}; `rec verify` lists all damage') from None


def read_checksums(path: PathLike) -> Tuple['array[int]', 'array[int]', 'array[int]']:
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
