"""Check every record of a pack against itself and against the files beside it; copy what is whole out of a
damaged one.

What a flipped bit can do, and what finds it:

    magic number, part flag, length, padding   the framing itself, or the image, which ends elsewhere
    number of labels, upper half of the id     the header itself, or the image, which begins elsewhere
    label                                      `.lst`
    id                                         `.idx`, `.lst`
    payload                                    `.crc`; without it, as much as a decoder notices
    lost, doubled or exchanged records         `.idx`, `.lst`, `.crc`
"""
import os
import struct
import zlib
from array import array

from data_tools.errors import UserError
from data_tools.recordio import (Damage, beside, format_of, frame, made_up_path, parse_image, read_all,
                                 read_checksums,
                                 read_index, read_list)


class Found:
    """What verifying a pack has found.

    Attributes
    ----------
    records : int
        Whole records.
    problems : list of (int, str)
        Offset in the file and one line, sorted by offset. Empty: nothing is wrong.
    beside : list of str
        Endings of the files that it was compared with.
    """
    def __init__(self):
        self.records, self.problems, self.beside = 0, [], []


def verify(path, decode=True, progress=None):
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
    say = found.problems.append
    index = _beside(path, '.idx', read_index, found)
    checksums = _beside(path, '.crc', read_checksums, found)
    ids, offsets, lengths, crcs, firsts, alls = (array('Q') for _ in range(6))
    damages = []
    end, most_labels, number = 0, 1, -1
    for number, record in enumerate(read_all(path, keep_going=True)):
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
        if decode:
            reason = _decoding_problem(image, checksums is None)
            if reason:
                say((record.offset,
                     f'record number {number}, id {image.id}, offset {record.offset}: {reason}'))
    id_at = dict(zip(index[1], index[0])) if index is not None and damages else {}
    for number, damage in damages:
        named = f', id {id_at[damage.offset]}' if damage.offset in id_at else ''
        say((damage.offset, f'record number {number}{named}, {damage}'))
    if not number + 1:
        say((0, 'holds no records'))

    ids, offsets, lengths, crcs = (np.frombuffer(column, np.uint64)
                                   for column in (ids, offsets, lengths, crcs))
    _, first = np.unique(ids, return_index=True)
    for again in np.setdiff1d(np.arange(len(ids)), first):
        say((int(offsets[again]),
             f'id {ids[again]}, offset {offsets[again]}: a record with this id is at offset '
             f'{offsets[np.flatnonzero(ids == ids[again])[0]]} already'))
    if index is not None:
        _compare_index(say, ids, offsets, *(np.frombuffer(column, np.uint64) for column in index))
    if checksums is not None:
        _compare_checksums(say, ids, offsets, lengths, crcs,
                           *(np.frombuffer(column, np.uint64) for column in checksums))
    _compare_list(path, found, ids, offsets, alls if most_labels > 1 else firsts, most_labels > 1)
    found.problems.sort()
    return found


def _beside(path, ending, read, found):
    """The content of a file beside the pack; None if it is not there or not usable (which is a problem)."""
    file = beside(path, ending)
    if not os.path.exists(file):
        return None
    found.beside.append(ending)
    try:
        return read(file)
    except UserError as error:
        found.problems.append((0, str(error)))
        return None


def _decoding_problem(image, without_checksums):
    """Why MXNet could not decode the image; '' if it can."""
    from data_tools.images import BadImage, check
    try:
        _, action, reason = check(image.data)
    except BadImage as error:
        return f'the image does not decode: {error}'
    if action == 'converted':
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


def _compare_index(say, ids, offsets, index_ids, index_offsets):
    import numpy as np
    if np.array_equal(ids, index_ids) and np.array_equal(offsets, index_offsets):
        return
    here = dict(zip(ids.tolist(), offsets.tolist()))
    listed = {}
    for index, offset in zip(index_ids.tolist(), index_offsets.tolist()):
        if index in listed:
            say((offset, f'id {index}, offset {offset}: twice in the .idx'))
        listed[index] = offset
        if index not in here:
            say((offset, f'id {index}, offset {offset}: in the .idx, but no whole record has this id'))
        elif here[index] != offset:
            say((here[index], f'id {index}, offset {here[index]}: the .idx says offset {offset}'))
    for index, offset in here.items():
        if index not in listed:
            say((offset, f'id {index}, offset {offset}: not in the .idx'))


def _compare_checksums(say, ids, offsets, lengths, crcs, listed_ids, listed_lengths, listed_crcs):
    import numpy as np
    if np.array_equal(ids, listed_ids) and np.array_equal(lengths, listed_lengths) \
            and np.array_equal(crcs, listed_crcs):
        return
    listed_offsets = np.cumsum(listed_lengths) - listed_lengths
    listed = dict(zip(listed_ids.tolist(), zip(listed_offsets.tolist(), listed_lengths.tolist(),
                                               listed_crcs.tolist())))
    for index, offset, length, crc in zip(ids.tolist(), offsets.tolist(), lengths.tolist(), crcs.tolist()):
        if index not in listed:
            say((offset, f'id {index}, offset {offset}: not in the .crc'))
            continue
        expected = listed.pop(index)
        if expected[1:] != (length, crc):
            say((offset,
                 f'id {index}, offset {offset}: its bytes are not those that were packed (CRC-32 {crc:08x} '
                 f'instead of {expected[2]:08x}, {length} bytes instead of {expected[1]})'))
        elif expected[0] != offset:
            say((offset, f'id {index}, offset {offset}: by the .crc it was packed at offset {expected[0]}'))
    doubled = set(ids.tolist())
    for index, (offset, _, _) in listed.items():
        if index not in doubled:
            say((offset, f'id {index}, offset {offset}: in the .crc, but no whole record has this id'))


def _compare_list(path, found, ids, offsets, label_checksums, several):
    file = beside(path, '.lst')
    if not os.path.exists(file):
        return
    found.beside.append('.lst')
    here = dict(zip(ids.tolist(), zip(offsets.tolist(), label_checksums)))
    try:
        for index, labels, name in read_list(file):
            if index not in here:
                found.problems.append((0,
                                       f'id {index} ({name}): in the .lst, but no whole record has this id'))
                continue
            offset, checksum = here.pop(index)
            # im2rec packs the first label only, unless it was called with --pack-label.
            labels = labels if several else labels[:1]
            if zlib.crc32(struct.pack(f'<{len(labels)}f', *labels)) != checksum:
                found.problems.append((offset,
                                       f'id {index}, offset {offset}: its label is not that in the .lst '
                                       f'({" ".join(f"{label:g}" for label in labels)}, {name})'))
    except UserError as error:
        found.problems.append((0, str(error)))
        return
    for index, (offset, _) in here.items():
        found.problems.append((offset, f'id {index}, offset {offset}: not in the .lst'))


# ---- salvage

def whole_records(path, left_out):
    """Go through the records that a damaged pack still holds.

    Parameters
    ----------
    path : path-like
    left_out : list of str
        A line is added for each place that holds none, or one that is not what was packed, or one again.

    Yields
    ------
    (bytes, int, tuple of float, str)
        The framed record, id, labels, path.
    """
    problems = Found()
    checksums = _beside(path, '.crc', read_checksums, problems)
    expected = dict(zip(checksums[0], checksums[2])) if checksums is not None else None
    names = {}
    if os.path.exists(beside(path, '.lst')):
        try:
            for index, _, name in read_list(beside(path, '.lst')):
                names[index] = name
        except UserError as error:
            problems.problems.append((0, str(error)))
    left_out += [line for _, line in problems.problems]
    seen = set()
    for number, record in enumerate(read_all(path, keep_going=True, any_offset=True)):
        try:
            if isinstance(record, Damage):
                raise record
            image = parse_image(record)
            if expected is not None and expected.get(image.id) != record.crc:
                raise Damage(record.offset, f'id {image.id}: its bytes are not those that were packed')
            if image.id in seen:
                raise Damage(record.offset, f'id {image.id} for the second time')
        except Damage as damage:
            left_out.append(f'record number {number}, {damage}')
            continue
        seen.add(image.id)
        yield frame(record.payload), image.id, image.labels, names.get(image.id) or made_up_path(image)
