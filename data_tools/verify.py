"""Check every record of a pack against itself and against the files beside it; copy what is whole out of a
damaged one.

What a flipped bit can do, and what finds it:

    magic number, part flag, length, padding   the framing itself, or the image, which ends elsewhere
    number of labels                           the header itself, or the image, which begins elsewhere
    second id                                  the other records, whose second id is 0
    label                                      `.lst`
    id                                         `.idx`, `.lst`
    payload                                    `.crc`; without it, as much as a decoder notices
    lost, doubled or exchanged records         `.idx`, `.lst`, `.crc`
"""
import math
import os
import struct
import zlib
from array import array
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    TypeVar,
)

from data_tools.atomic import PathLike
from data_tools.boxes import wrong_box
from data_tools.errors import UserError
from data_tools.recordio import (
    Damage,
    Image,
    Labels,
    Record,
    beside,
    doubled_label,
    format_of,
    frame,
    made_up_path,
    parse_image,
    read_all,
    read_checksums,
    read_classes,
    read_index,
    read_list,
    second_id,
    settle_keys,
)

if TYPE_CHECKING:
    import numpy as np

Content = TypeVar('Content')
Say = Callable[..., None]  # (offset, line, kind)
_MOST_DAMAGE, _MOST_OTHERS = 1000, 20  # lines that are shown; of the latter, of each kind


class Problem(NamedTuple):
    """One thing that is wrong.

    kind: 'damage' to the records themselves; 'label'; 'file' for a file beside the pack that cannot be used; '.idx',
    '.lst' or '.crc' for what such a file says of records that are not there, or are elsewhere: where there is damage, a
    consequence of it.
    """
    offset: int
    line: str
    kind: str


class Found:
    """What verifying a pack has found.

    Attributes
    ----------
    records : int
        Whole records.
    problems : list of Problem
        Damage first, then sorted by offset. Empty: nothing is wrong.
    notes : list of str
        What is odd, but no problem.
    beside : list of str
        Endings of the files that it was compared with.
    broken : bool
        Whether the framing is damaged, so that records are lost or moved.
    saved : int
        Where there is damage, how many records `whole_records` gives.
    """
    def __init__(self) -> None:
        self.records, self.broken, self.saved = 0, False, 0
        self.problems: List[Problem] = []
        self.notes: List[str] = []
        self.beside: List[str] = []

    def lines(self) -> Iterator[str]:
        """What to show: the damage, then its consequences in a line, and what can be saved."""
        damage = [problem.line for problem in self.problems if problem.kind == 'damage']
        yield from damage[:_MOST_DAMAGE]
        if len(damage) > _MOST_DAMAGE:
            yield f'... and {len(damage) - _MOST_DAMAGE:,} more'
        for kind in ('file', 'label', '.idx', '.lst', '.crc'):
            lines = [problem.line for problem in self.problems if problem.kind == kind]
            if self.broken and kind[0] == '.':
                continue
            yield from lines[:_MOST_OTHERS]
            if len(lines) > _MOST_OTHERS:
                yield f'... and {len(lines) - _MOST_OTHERS:,} more like it'
        if self.broken:
            counts = [(kind, sum(problem.kind == kind for problem in self.problems))
                      for kind in ('.idx', '.lst', '.crc')]
            told = [f'{count:,} of the {kind}' for kind, count in counts if count]
            if told:
                yield f'in consequence, records are missing or elsewhere: {", ".join(told)}'
        if damage:
            yield f'`rec salvage` would save {self.saved:,} records'
        yield from self.notes


def verify(path: PathLike, decode: bool = True, progress: Optional[Callable[[int], Any]] = None) -> Found:
    """Check a pack.

    Parameters
    ----------
    path : path-like
        The `.rec`. `.idx`, `.lst` and `.crc` beside it are used if they are there.
    decode : bool, default True
        Decode every image.
    progress : callable, optional
        Called with the number of bytes that each step has gone through.

    Returns
    -------
    Found

    Raises
    ------
    UserError
        The `.rec` cannot be read at all.
    """
    import numpy as np
    found = Found()

    def say(offset: int, line: str, kind: str = 'damage') -> None:
        found.problems.append(Problem(offset, line, kind))

    index = _beside(path, '.idx', read_index, found)
    checksums = _beside(path, '.crc', read_checksums, found)
    ids, offsets, lengths, crcs, firsts, alls = (array('Q') for _ in range(6))
    damages: List[Tuple[int, Damage]] = []
    odd_headers: Dict[str, List[Tuple[int, str]]] = {'second id': [], 'label in the header, beside others behind it,': []}
    end, most_labels, number, without_image = 0, 1, -1, 0
    classes = len(read_classes(path) or ())
    boxes, only_boxes = [], True  # (offset, line) of boxes that are wrong; whether all records are those of detection
    with _Decoding() as decoding:
        for number, record in enumerate(read_all(path, keep_going=True, any_offset=True)):
            if isinstance(record, Damage):
                damages.append((number, record))
                continue
            if progress is not None:
                progress(record.end - end)
            end = record.end
            found.records += 1
            try:
                image = parse_image(record)
            except Damage as damage:
                damages.append((number, damage))
                continue
            ids.append(image.id)
            offsets.append(record.offset)
            lengths.append(record.end - record.offset)
            crcs.append(record.crc)
            packed = struct.pack(f'<{len(image.labels)}f', *image.labels)
            firsts.append(zlib.crc32(packed[:4]))
            alls.append(zlib.crc32(packed))
            most_labels = max(most_labels, len(image.labels))
            here = f'record number {number}, id {image.id}, offset {record.offset}'
            for what, odd in zip(odd_headers, (second_id(record.payload), doubled_label(record.payload))):
                if odd and len(odd_headers[what]) < 2:
                    odd_headers[what].append((record.offset, f'{here}: its {what} is {odd:g}, that of all others 0'))
            if not all(map(math.isfinite, image.labels)):
                say(record.offset, f'{here}: a label is no number ({" ".join(map(str, image.labels))})', 'label')
            elif image.data and only_boxes:
                reason = wrong_box(image.labels, classes)
                only_boxes = reason is not None
                if reason:
                    boxes.append((record.offset, f'{here}: {reason}'))
            if not image.data:
                without_image += 1
            elif decode:
                reason = decoding.problem(image, checksums is None)
                if reason:
                    say(record.offset, f'{here}: {reason}')
    for offset, line in boxes if only_boxes else ():
        say(offset, line, 'label')
    for told in odd_headers.values():
        if len(told) == 1 and found.records > 1:  # of several, it is how another tool writes them
            say(*told[0])
    listed = dict(zip(index[1], index[0])) if index is not None else {}
    found.broken = bool(damages)
    for place, each in damages:
        named = f', id {listed[each.offset]}' if each.offset in listed else ''
        say(each.offset, f'record number {place}{named}, {each}')
    size = os.path.getsize(path)
    if checksums is not None and sum(checksums[1]) > size or index is not None and any(offset >= size
                                                                                        for offset in index[1]):
        say(size, f'offset {size}: the file ends here, before all records that were packed')
    if not number + 1:
        say(0, 'holds no records')
    if without_image:
        found.notes.append(f'{without_image:,} records hold no image: metadata of the program that wrote them')

    keys, how = settle_keys(ids, offsets, listed)
    if how == 'index':
        found.notes.append('the keys of the .idx are not the ids in the records'
                           + (', which repeat' if len(set(ids)) < len(ids) else ''))
        # One among many is a damaged id, not another numbering.
        wrong = [place for place, (key, index_) in enumerate(zip(keys, ids)) if key != index_]
        if len(wrong) == 1:
            say(offsets[wrong[0]], f'id {ids[wrong[0]]}, offset {offsets[wrong[0]]}: the .idx says that its id is '
                                   f'{keys[wrong[0]]}', '.idx')
            del found.notes[-1]
        else:
            ids = array('Q', keys)
    ids, offsets, lengths, crcs = (np.frombuffer(column, np.uint64)
                                   for column in (ids, offsets, lengths, crcs))
    if how == 'position':
        _, first = np.unique(ids, return_index=True)
        for again in np.setdiff1d(np.arange(len(ids)), first):
            say(int(offsets[again]),
                f'id {ids[again]}, offset {offsets[again]}: a record with this id is at offset '
                f'{offsets[np.flatnonzero(ids == ids[again])[0]]} already', '.idx')
    if index is not None:
        _compare_index(say, ids, offsets, *(np.frombuffer(column, np.uint64) for column in index))
    if checksums is not None:
        _compare_checksums(say, ids, offsets, lengths, crcs,
                           *(np.frombuffer(column, np.uint64) for column in checksums))
    _compare_list(path, found, say, ids, offsets, alls if most_labels > 1 else firsts, most_labels > 1)
    found.problems.sort(key=lambda problem: (problem.kind != 'damage', problem.offset))
    if found.problems and found.problems[0].kind == 'damage':
        found.saved = sum(1 for _ in whole_records(path, []))
    return found


def _beside(path: PathLike, ending: str, read: Callable[[PathLike], Content], found: Found) -> Optional[Content]:
    """The content of a file beside the pack; None if it is not there or not usable (which is a problem)."""
    file = beside(path, ending)
    if not os.path.exists(file):
        return None
    found.beside.append(ending)
    try:
        return read(file)
    except UserError as error:
        found.problems.append(Problem(0, str(error), 'file'))
        return None


class _Decoding:
    """Whether MXNet decodes images: by the rules of `pack`, and where these would convert one, by asking MXNet."""
    def __enter__(self) -> '_Decoding':
        from data_tools.judge import Judge
        self.judge = Judge()
        return self

    def __exit__(self, *_: Any) -> None:
        self.judge.close()

    def problem(self, image: Image, without_checksums: bool) -> str:
        """Why MXNet could not decode the image; '' if it can."""
        from data_tools.image_header import BadImage, UnfitImage
        from data_tools.images import check
        try:
            _, action, reason = check(image.data)
        except BadImage as error:
            if not isinstance(error, UnfitImage) or not self._decodes(image.data):
                return f'the image does not decode: {error}'
            action = ''
        if action == 'converted' and not self._decodes(image.data):
            return f'MXNet does not decode the image as it is: {reason}'
        # A flipped low bit of the length gives or takes up to three zeros.
        data = image.data
        ending = {'jpg': b'\xff\xd9', 'png': b'IEND\xaeB`\x82'}.get(format_of(data))
        if without_checksums and ending and data[-1:] == b'\0' and data.rstrip(b'\0').endswith(ending) \
                and not data[:-3].endswith(ending + b'\0'):
            return 'zeros follow the end of the image; the length is wrong'
        if without_checksums and data[:2] == b'BM' and struct.unpack_from('<I', data, 2)[0] != len(data):
            return 'the image tells another length than the record'
        return ''

    def _decodes(self, data: bytes) -> bool:
        try:
            return self.judge.decodes(data)
        except RuntimeError:  # no MXNet here: the rules alone decide
            return False


def _compare_index(say: Say, ids: 'np.ndarray', offsets: 'np.ndarray', index_ids: 'np.ndarray',
                   index_offsets: 'np.ndarray') -> None:
    import numpy as np
    if np.array_equal(ids, index_ids) and np.array_equal(offsets, index_offsets):
        return
    here = dict(zip(ids.tolist(), offsets.tolist()))
    listed = {}
    for index, offset in zip(index_ids.tolist(), index_offsets.tolist()):
        if index in listed:
            say(offset, f'id {index}, offset {offset}: twice in the .idx', '.idx')
        listed[index] = offset
        if index not in here:
            say(offset, f'id {index}, offset {offset}: in the .idx, but no whole record has this id', '.idx')
        elif here[index] != offset:
            say(here[index], f'id {index}, offset {here[index]}: the .idx says offset {offset}', '.idx')
    for index, offset in here.items():
        if index not in listed:
            say(offset, f'id {index}, offset {offset}: not in the .idx', '.idx')


def _compare_checksums(say: Say, ids: 'np.ndarray', offsets: 'np.ndarray', lengths: 'np.ndarray', crcs: 'np.ndarray',
                       listed_ids: 'np.ndarray', listed_lengths: 'np.ndarray', listed_crcs: 'np.ndarray') -> None:
    import numpy as np
    if np.array_equal(ids, listed_ids) and np.array_equal(lengths, listed_lengths) \
            and np.array_equal(crcs, listed_crcs):
        return
    listed_offsets = np.cumsum(listed_lengths) - listed_lengths
    listed = dict(zip(listed_ids.tolist(), zip(listed_offsets.tolist(), listed_lengths.tolist(),
                                               listed_crcs.tolist())))
    for index, offset, length, crc in zip(ids.tolist(), offsets.tolist(), lengths.tolist(), crcs.tolist()):
        if index not in listed:
            say(offset, f'id {index}, offset {offset}: not in the .crc', '.crc')
            continue
        expected = listed.pop(index)
        if expected[1:] != (length, crc):
            say(offset,
                f'id {index}, offset {offset}: its bytes are not those that were packed (CRC-32 {crc:08x} '
                f'instead of {expected[2]:08x}, {length} bytes instead of {expected[1]})')
        elif expected[0] != offset:
            say(offset, f'id {index}, offset {offset}: by the .crc it was packed at offset {expected[0]}', '.crc')
    doubled = set(ids.tolist())
    for index, (offset, _, _) in listed.items():
        if index not in doubled:
            say(offset, f'id {index}, offset {offset}: in the .crc, but no whole record has this id', '.crc')


def _compare_list(path: PathLike, found: Found, say: Say, ids: 'np.ndarray', offsets: 'np.ndarray',
                  label_checksums: Sequence[int], several: bool) -> None:
    file = beside(path, '.lst')
    if not os.path.exists(file):
        return
    found.beside.append('.lst')
    here = dict(zip(ids.tolist(), zip(offsets.tolist(), label_checksums)))
    try:
        for index, labels, name in read_list(file):
            if index not in here:
                say(0, f'id {index} ({name}): in the .lst, but no whole record has this id', '.lst')
                continue
            offset, checksum = here.pop(index)
            # im2rec packs the first label only, unless it was called with --pack-label.
            labels = labels if several else labels[:1]
            if zlib.crc32(struct.pack(f'<{len(labels)}f', *labels)) != checksum:
                say(offset, f'id {index}, offset {offset}: its label is not that in the .lst '
                            f'({" ".join(f"{label:g}" for label in labels)}, {name})', 'label')
    except UserError as error:
        say(0, str(error), 'file')
        return
    for index, (offset, _) in here.items():
        say(offset, f'id {index}, offset {offset}: not in the .lst', '.lst')


# ---- salvage

def whole_records(path: PathLike, left_out: List[str]) -> Iterator[Tuple[bytes, int, Labels, str]]:
    """Go through the records that a damaged pack still holds.

    Parameters
    ----------
    path : path-like
    left_out : list of str
        A line is added for each place that holds none, or one that is not what was packed, and one if the keys are
        not the ids.

    Yields
    ------
    (bytes, int, tuple of float, str)
        The framed record, key, labels, path.
    """
    problems = Found()
    checksums = _beside(path, '.crc', read_checksums, problems)
    packed = set(checksums[2]) if checksums is not None else None
    index = _beside(path, '.idx', read_index, problems)
    names = {}
    if os.path.exists(beside(path, '.lst')):
        try:
            for key, _, name in read_list(beside(path, '.lst')):
                names[key] = name
        except UserError as error:
            problems.problems.append(Problem(0, str(error), 'file'))
    left_out += [problem.line for problem in problems.problems]
    ids, offsets = array('Q'), array('Q')
    for record, image in _whole(path, packed, left_out):
        ids.append(image.id)
        offsets.append(record.offset)
    keys, how = settle_keys(ids, offsets, dict(zip(index[1], index[0])) if index is not None else {})
    if how == 'position':
        left_out.append('the ids of its records repeat: they are counted from 0 anew')
        names = {}
    for key, (record, image) in zip(keys, _whole(path, packed, [])):
        yield frame(record.payload), key, image.labels, names.get(key) or made_up_path(image)


def _whole(path: PathLike, packed: Optional[Set[int]], left_out: List[str]) -> Iterator[Tuple[Record, Image]]:
    """(record, image) of all that are whole and, if `packed` is known, have a checksum in it."""
    for number, record in enumerate(read_all(path, keep_going=True, any_offset=True)):
        try:
            if isinstance(record, Damage):
                raise record
            image = parse_image(record)
            if packed is not None and record.crc not in packed:
                raise Damage(record.offset, f'id {image.id}: its bytes are not those that were packed')
        except Damage as damage:
            left_out.append(f'record number {number}, {damage}')
            continue
        yield record, image
