"""The book's packed positions (7.1): records of 363 bytes, one position and the move played there.

A record is x and y of the move (0 to 18, from the left and from the top), then 361 bytes, row by row, one a
point, whose bits are the 8 planes, seen by the player to move: bit 0 own stones, 1 opponent's, 2 empty, 3
to 6 stones with 1, 2, 3, 4+ liberties, 7 the last move. `np.unpackbits` begins with bit 7, hence
`features.DAT_ORDER`. There is no header: any whole number of records is a pack, and a slice of a pack is
one.

How a trainer reads them: `load_dat` maps the file and costs nothing;
`records[np.random.randint(len(records), size=256)]` draws a batch from anywhere in it; `planes_and_labels`
turns it into planes and labels, each position in a symmetry of its own. A pack of 9 million positions is
3.3 GB and stays in the system's page cache, so a random batch costs microseconds a record. Where memory is
short, read the file from front to back: it is shuffled (see `pack.py`).
"""
import os
from typing import Optional, Tuple, Union

import numpy as np
from numba import njit

from data_tools.atomic import PathLike
from data_tools.errors import UserError
from data_tools.go import symmetries
from data_tools.go.board import RECENT, STATE_LENGTH, clear, set_up, to_cell
from data_tools.go.features import BOOK_ORDER, DAT_ORDER

RECORD = 363
SIZE = 19
AREA = SIZE * SIZE


def load_dat(path: PathLike) -> np.ndarray:
    """Map a `.dat` file: uint8 (records, 363), read-only, read from the disk as it is used.

    Raises
    ------
    UserError
        No such file, or not a whole number of records.
    """
    try:
        length = os.path.getsize(path)
        if length == 0 or length % RECORD:
            raise UserError(f'{path}: {length} bytes are not a whole number of records of {RECORD} bytes; '
                            'pack the games again')
        return np.memmap(path, np.uint8, 'r').reshape(-1, RECORD).view(np.ndarray)
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None


def labels_of(records: np.ndarray) -> np.ndarray:
    """The moves x + 19 * y, int32 (N,), of records uint8 (N, 363)."""
    return records[:, 0] + SIZE * records[:, 1].astype(np.int32)  # 19 * 18 is too much for a byte


def _own(array: np.ndarray) -> np.ndarray:
    """The same array, copied if it is read-only or not contiguous: numba would compile anew for such."""
    return np.require(array, requirements='CW')


@njit(cache=True, nogil=True)
def _unpack(records: np.ndarray, source: np.ndarray, target: np.ndarray, symmetry: np.ndarray, reverse: bool,
            planes: np.ndarray, labels: np.ndarray) -> None:
    points = np.empty(AREA, np.uint8)
    for n in range(len(records)):
        s = symmetry[n]
        for p in range(AREA):
            points[p] = records[n, 2 + source[s, p]]
        for i in range(8):
            plane = planes[n, 7 - i if reverse else i]
            for p in range(AREA):
                plane[p] = (points[p] >> i) & 1
        labels[n] = target[s, records[n, 0] + SIZE * records[n, 1]]


def planes_and_labels(records: np.ndarray, symmetry: Union[None, int, np.ndarray] = None,
                      order: Tuple[str, ...] = DAT_ORDER) -> Tuple[np.ndarray, np.ndarray]:
    """Turn records into what a network is trained on.

    Parameters
    ----------
    records : uint8 (N, 363)
    symmetry : int or integers (N,), optional
        The symmetry, 0 to 7, of each position and its label. Default: none.
    order : DAT_ORDER or BOOK_ORDER
        The order of the planes.

    Returns
    -------
    planes : uint8 (N, 8, 19, 19), 0 or 1
    labels : int32 (N,), x + 19 * y of the move
    """
    if order not in (BOOK_ORDER, DAT_ORDER):
        raise ValueError('the order of the planes is BOOK_ORDER or DAT_ORDER')
    if records.dtype != np.uint8 or records.ndim != 2 or records.shape[1] != RECORD:
        raise ValueError(f'records are uint8 (N, {RECORD}), not {records.dtype} {records.shape}')
    count = len(records)
    symmetry = np.broadcast_to(np.asarray(0 if symmetry is None else symmetry, np.int64), (count,))
    # The compiled loop checks no index, so a damaged record must not reach it.
    if count and (symmetry.min() < 0 or symmetry.max() > 7):
        raise ValueError('a symmetry is a number from 0 to 7')
    if count and records[:, :2].max() >= SIZE:
        raise ValueError(f'record {records[:, :2].max(1).argmax()} has a move off the board')
    planes = np.empty((count, 8, AREA), np.uint8)
    labels = np.empty(count, np.int32)
    source, target = symmetries.tables(SIZE)
    _unpack(_own(records), source, target, _own(symmetry), order == DAT_ORDER, planes, labels)
    return planes.reshape(count, 8, SIZE, SIZE), labels


@njit(cache=True, nogil=True)
def _states(records: np.ndarray, states: np.ndarray) -> None:
    cells = np.empty(AREA, np.int64)
    colours = np.empty(AREA, np.int64)
    for n in range(len(records)):
        count, last = 0, 0
        for p in range(AREA):
            colour = records[n, 2 + p] & 3
            if colour:
                cells[count], colours[count] = to_cell(p, SIZE), colour
                count += 1
            if records[n, 2 + p] & 128:
                last = to_cell(p, SIZE)
        clear(states[n], SIZE)
        set_up(states[n], cells[:count], colours[:count])
        states[n, RECENT] = last


def states_of(records: np.ndarray) -> np.ndarray:
    """The positions of records, as states of `board.py` with black to move ("own" is black).

    A record does not tell what happened before the last move, nor whether a ko forbids a point: all stones
    but the last are as if set up.

    Parameters
    ----------
    records : uint8 (N, 363)

    Returns
    -------
    int32 (N, STATE_LENGTH)
    """
    states = np.empty((len(records), STATE_LENGTH), np.int32)
    _states(_own(records), states)
    return states


# ---- what is wrong with a record ----

FAULTS = ('', 'the move is off the board', 'a point is not exactly one of own, opponent\'s and empty',
          'a point has liberties that it cannot have', 'a chain\'s liberties are not those of the board',
          'the move is on a stone', 'more than one last move, or one on an empty point')


@njit(cache=True, nogil=True)
def _fault(points: np.ndarray, x: int, y: int, seen: np.ndarray, chain: np.ndarray) -> int:
    """The index in FAULTS of what is wrong with one record, 0 if nothing is."""
    if x >= SIZE or y >= SIZE:
        return 1
    last = 0
    for p in range(AREA):
        value = points[p]
        kind, liberties = value & 7, (value >> 3) & 15
        if kind != 1 and kind != 2 and kind != 4:
            return 2
        if (liberties != 0) if kind == 4 else (liberties & (liberties - 1) != 0 or liberties == 0):
            return 3
        last += value >> 7
        if value >> 7 and kind == 4:
            return 6
    if points[x + SIZE * y] & 4 == 0:
        return 5
    if last > 1:
        return 6
    seen[:] = 0  # the number of the chain that came here last
    for start in range(AREA):
        if points[start] & 4 or seen[start]:
            continue
        mark = start + 1
        seen[start] = mark
        chain[0] = start
        length, done, liberties = 1, 0, 0
        while done < length:
            p = chain[done]
            done += 1
            if points[p] & 127 != points[start] & 127 and points[p] & 3 == points[start] & 3:
                return 4
            for direction in range(4):
                q = p + (1, -1, SIZE, -SIZE)[direction]
                if q < 0 or q >= AREA or (direction < 2 and q // SIZE != p // SIZE) or seen[q] == mark:
                    continue
                if points[q] & 4:
                    seen[q] = mark
                    liberties += 1
                elif points[q] & 3 == points[start] & 3:
                    seen[q] = mark
                    chain[length] = q
                    length += 1
        if liberties == 0 or 4 << min(liberties, 4) != points[start] & 120:
            return 4
    return 0


@njit(cache=True, nogil=True)
def _first_fault(records: np.ndarray) -> Tuple[int, int]:
    """(record, index in FAULTS) of the first wrong record; (len(records), 0) if there is none."""
    seen = np.empty(AREA, np.int32)
    chain = np.empty(AREA, np.int32)
    for n in range(len(records)):
        fault = _fault(records[n, 2:], records[n, 0], records[n, 1], seen, chain)
        if fault:
            return n, fault
    return len(records), 0


def first_fault(records: np.ndarray) -> Optional[Tuple[int, str]]:
    """(number, what is wrong) of the first record that cannot be a position of Go; None if all can be.

    Checked: the move is on an empty point; every point is one of own, opponent's, empty; the liberties are
    those that a chain on this board has; at most one last move, on a stone.
    """
    number, fault = _first_fault(_own(records))
    return (int(number), FAULTS[fault]) if fault else None
