"""Feature planes of a Go position, compiled with numba: the book's 8, AlphaGo's 48 and 49, AlphaGo Zero's 17.

All planes are uint8, 0 or 1, (planes, size, size) with rows from the top, seen by the player to move.
Positions are states of `board.py`.

**The book's 8** (4.2.1), `BOOK_ORDER`: own stones, opponent's stones, empty points, stones of chains with
1, 2, 3, and with 4 or more liberties, the last move (no point if it was a pass). Plane i is bit i of one
byte a point, and `np.unpackbits` begins with the highest bit, so that the planes read from a `.dat` file
come in the reverse order (7.1), `DAT_ORDER`.

**AlphaGo's 48**, and 49 for the value network (Silver et al., "Mastering the game of Go with deep neural
networks and tree search", Nature 529, 2016, extended data table 2, https://doi.org/10.1038/nature16961).
Where a number takes 8 planes, they stand for 1, 2, ..., 7, and 8 or more; a 0 sets none of them.

| planes | what | read here as |
| --- | --- | --- |
| 0-2 | stone colour | own, opponent's, empty |
| 3 | ones | constant 1 |
| 4-11 | turns since | of a stone: how many turns ago it was played, 1 the last move; set-up stones 8 |
| 12-19 | liberties | of a stone: of its chain |
| 20-27 | capture size | of a legal move: opponent's stones that it captures |
| 28-35 | self-atari size | of a legal move that leaves its own chain one liberty: the stones of that chain |
| 36-43 | liberties after move | of a legal move: liberties of its chain afterwards |
| 44 | ladder capture | a legal move that puts a chain of two liberties in atari, which then cannot get away |
| 45 | ladder escape | a legal move, extension or capture, by which an own chain in atari gets away |
| 46 | sensibleness | a legal move that does not fill an own eye |
| 47 | zeros | constant 0 |
| 48 | player colour | 1 everywhere if black is to move (value network only) |

Legal means the rules with simple ko. *Gets away*: the chain has 3 liberties, or 2 and neither atari on it
works. The ladder is read to its end, up to `LADDER_NODES` moves; a longer one counts as not working. *Own
eye*: an empty point whose neighbours are all own stones, with at most one opponent's stone on its
diagonals, none if it is on the edge.

**AlphaGo Zero's 17** (Silver et al., "Mastering the game of Go without human knowledge", Nature 550, 2017,
https://doi.org/10.1038/nature24270): own and opponent's stones now, then one move ago, ... seven moves ago
(planes 0, 1, 2, 3, ..., 15; empty before the game began), and plane 16: 1 everywhere if black is to move.
"""
from typing import Tuple

import numpy as np
from numba import njit

from data_tools.go.board import (
    BLACK,
    BORDER,
    CELLS,
    CHAIN,
    COLOUR,
    EMPTY,
    LIBERTIES,
    NEXT,
    RECENT,
    RECENT_MOVES,
    SIZE,
    STATE_LENGTH,
    STRIDE,
    TO_MOVE,
    is_legal,
    play,
    to_cell,
    to_move,
)

BOOK_ORDER = ('own', 'opponent', 'empty', '1 liberty', '2 liberties', '3 liberties', '4+ liberties',
              'last move')
DAT_ORDER = BOOK_ORDER[::-1]

LADDER_NODES = 1000  # moves tried for one ladder before giving up
_LADDER_DEPTH = 300  # a ladder across the board and back takes some 150


# ---- the book's 8 ----

@njit(cache=True)
def encode(state: np.ndarray, colour: int, points: np.ndarray) -> None:
    """The book's 8 planes as the bits of one byte a point.

    Parameters
    ----------
    state : int32 (STATE_LENGTH,)
    colour : int
        Whose stones are "own".
    points : uint8 (size * size,)
        Filled: bit 0 own, 1 opponent's, 2 empty, 3 to 6 for 1, 2, 3, 4+ liberties, bit 7 the last move.
    """
    size = state[SIZE]
    i = 0
    for y in range(size):
        for x in range(size):
            cell = (y + 1) * STRIDE + x + 1
            found = state[COLOUR + cell]
            if found == EMPTY:
                points[i] = 4
            else:
                liberties = min(state[LIBERTIES + state[CHAIN + cell]], 4)
                points[i] = (1 if found == colour else 2) | (4 << liberties)
            i += 1
    if state[RECENT] != 0:
        points[to_move(state[RECENT], size)] |= 128


@njit(cache=True, nogil=True)
def _book_planes(states: np.ndarray, reverse: bool, planes: np.ndarray) -> None:
    area = np.int64(states[0, SIZE]) ** 2
    points = np.empty(area, np.uint8)
    for n in range(len(states)):
        encode(states[n], np.int64(states[n, TO_MOVE]), points)
        for i in range(8):
            plane = planes[n, 7 - i if reverse else i]
            for p in range(area):
                plane[p] = (points[p] >> i) & 1


def book_planes(states: np.ndarray, order: Tuple[str, ...] = BOOK_ORDER) -> np.ndarray:
    """The book's 8 planes of the player to move.

    Parameters
    ----------
    states : int32 (STATE_LENGTH,) or (N, STATE_LENGTH)
        One position or many on boards of one size (`Position.state`).
    order : BOOK_ORDER or DAT_ORDER

    Returns
    -------
    uint8 (8, size, size) or (N, 8, size, size)
    """
    if order not in (BOOK_ORDER, DAT_ORDER):
        raise ValueError('the order of the planes is BOOK_ORDER or DAT_ORDER')
    many = states.reshape(-1, STATE_LENGTH)
    size = int(many[0, SIZE])
    planes = np.empty((len(many), 8, size * size), np.uint8)
    _book_planes(many, order == DAT_ORDER, planes)
    return planes.reshape(states.shape[:-1] + (8, size, size))


# ---- ladders ----

@njit(cache=True)
def _add_liberties(state: np.ndarray, chain: int, most: int, cells: np.ndarray, count: int) -> int:
    """Append up to `most` liberties of a chain to cells[:count], each once; the new count."""
    most = min(len(cells), count + most)
    stone = chain
    while True:
        for step in (-STRIDE, -1, 1, STRIDE):
            point = stone + step
            if state[COLOUR + point] == EMPTY and count < most and point not in cells[:count]:
                cells[count] = point
                count += 1
        stone = state[NEXT + stone]
        if stone == chain or count == most:
            return count


@njit(cache=True)
def _answers(state: np.ndarray, chain: int, cells: np.ndarray, liberties: int) -> int:
    """The moves that matter to a chain with 1 or 2 liberties: these, and with 1, captures of what attacks it.

    Fills `cells`; returns their number.
    """
    count = _add_liberties(state, chain, liberties, cells, 0)
    stone = chain
    while liberties == 1:  # go round the chain
        for step in (-STRIDE, -1, 1, STRIDE):
            neighbour = stone + step
            if state[COLOUR + neighbour] == 3 - state[COLOUR + chain]:
                if state[LIBERTIES + state[CHAIN + neighbour]] == 1:
                    count = _add_liberties(state, np.int64(state[CHAIN + neighbour]), liberties, cells, count)
        stone = state[NEXT + stone]
        if stone == chain:
            break
    return count


@njit(cache=True)
def _caught(stack: np.ndarray, stone: int, first: int) -> bool:
    """Whether the chain at `stone` is lost in a ladder from `stack[0]`, whoever is to move playing `first`.

    The hunter gives atari from either side, the hunted answers: a depth-first search whose positions lie on
    `stack`, `int32[depth, STATE_LENGTH]`. Where the stack or LADDER_NODES end, the chain counts as not
    caught. (Not recursive: numba 0.58 crashes when it loads a recursive function from its cache.)
    """
    cells = np.empty((len(stack), 16), np.int64)  # the moves worth trying at each depth,
    count = np.empty(len(stack), np.int64)  # how many they are,
    tried = np.empty(len(stack), np.int64)  # and how many have been tried; -1: not looked at yet
    cells[0, 0], count[0], tried[0] = first, 1, 0
    nodes = depth = 0
    caught = stack[0, COLOUR + stone] == stack[0, TO_MOVE]  # of the position left last; nothing worked yet
    while True:
        state = stack[depth]
        colour = np.int64(state[TO_MOVE])
        hunting = state[COLOUR + stone] != colour
        if tried[depth] >= 0:
            decided = caught == hunting  # a move that works was found
        else:
            chain = np.int64(state[CHAIN + stone])
            liberties = np.int64(state[LIBERTIES + chain])
            decided = liberties != (2 if hunting else 1)
            if decided:
                caught = liberties < 2
            else:
                tried[depth], count[depth] = 0, _answers(state, chain, cells[depth], liberties)
        if not decided:
            while tried[depth] < count[depth] and not is_legal(state, cells[depth, tried[depth]], colour):
                tried[depth] += 1
            if tried[depth] == count[depth]:
                decided, caught = True, not hunting
        if decided:
            depth -= 1
            if depth < 0:
                return caught
            continue
        if depth + 1 == len(stack) or nodes == LADDER_NODES:
            return False
        nodes += 1
        stack[depth + 1] = state
        play(stack[depth + 1], cells[depth, tried[depth]], colour)
        tried[depth] += 1
        depth += 1
        tried[depth] = -1


@njit(cache=True, nogil=True)
def ladders(states: np.ndarray, captures: np.ndarray, escapes: np.ndarray) -> None:
    """Mark the moves that work in a ladder for the player to move.

    Parameters
    ----------
    states : int32 (N, STATE_LENGTH)
    captures, escapes : uint8 (N, size * size)
        Set to 1 at the ladder captures and escapes of the table at the top; other points stay as they are.
    """
    stack = np.empty((_LADDER_DEPTH, STATE_LENGTH), np.int32)
    cells = np.empty(16, np.int64)
    for n in range(len(states)):
        state = states[n]
        stack[0] = state
        for chain in range(1, CELLS):
            if state[CHAIN + chain] != chain:
                continue
            theirs = state[COLOUR + chain] != state[TO_MOVE]
            liberties = 2 if theirs else 1
            if state[LIBERTIES + chain] != liberties:
                continue
            for i in range(_answers(state, chain, cells, liberties)):
                if _caught(stack, chain, cells[i]) == theirs:
                    (captures if theirs else escapes)[n, to_move(cells[i], state[SIZE])] = 1


# ---- AlphaGo ----

@njit(cache=True)
def is_own_eye(state: np.ndarray, cell: int, colour: int) -> bool:
    """Whether an empty cell is an eye of `colour`, as the top of this file defines it."""
    for step in (-STRIDE, -1, 1, STRIDE):
        found = state[COLOUR + cell + step]
        if found != colour and found != BORDER:
            return False
    edge, enemies = 0, 0
    for step in (-STRIDE - 1, -STRIDE + 1, STRIDE - 1, STRIDE + 1):
        found = state[COLOUR + cell + step]
        edge |= found == BORDER
        enemies += found == 3 - colour
    return enemies + edge < 2


@njit(cache=True)
def chain_size(state: np.ndarray, chain: int) -> int:
    """The number of stones of a chain."""
    count = 1
    stone = state[NEXT + chain]
    while stone != chain:
        count += 1
        stone = state[NEXT + stone]
    return count


@njit(cache=True, nogil=True)
def _alphago_planes(states: np.ndarray, planes: np.ndarray) -> None:
    """All of AlphaGo's planes but the ladders."""
    size = np.int64(states[0, SIZE])
    after = np.empty(STATE_LENGTH, np.int32)
    planes[:] = 0
    planes[:, 3] = 1
    for n in range(len(states)):
        state, found_planes = states[n], planes[n]
        colour = np.int64(state[TO_MOVE])
        if len(found_planes) == 49:
            found_planes[48] = colour == BLACK
        for p in range(size * size):
            cell = to_cell(p, size)
            found = state[COLOUR + cell]
            if found != EMPTY:
                turns = 1
                while turns < RECENT_MOVES and state[RECENT + turns - 1] != cell:
                    turns += 1
                found_planes[0 if found == colour else 1, p] = 1
                found_planes[3 + turns, p] = 1
                found_planes[11 + min(state[LIBERTIES + state[CHAIN + cell]], 8), p] = 1
                continue
            found_planes[2, p] = 1
            if not is_legal(state, cell, colour):
                continue
            found_planes[46, p] = not is_own_eye(state, cell, colour)
            captured, stones, liberties, alone = 0, 1, 0, True
            for step in (-STRIDE, -1, 1, STRIDE):
                around = state[COLOUR + cell + step]
                liberties += around == EMPTY
                in_atari = state[LIBERTIES + state[CHAIN + cell + step]] == 1
                alone &= around != colour and (around != 3 - colour or not in_atari)
            if not alone:  # it joins or captures: play it and look
                after[:] = state
                captured = play(after, cell, colour)
                chain = np.int64(after[CHAIN + cell])
                liberties, stones = np.int64(after[LIBERTIES + chain]), chain_size(after, chain)
            if captured:
                found_planes[19 + min(captured, 8), p] = 1
            if liberties == 1:
                found_planes[27 + min(stones, 8), p] = 1
            found_planes[35 + min(liberties, 8), p] = 1


def alphago_planes(states: np.ndarray, value: bool = False) -> np.ndarray:
    """AlphaGo's planes of the player to move: 48, or 49 for the value network.

    Parameters
    ----------
    states : int32 (STATE_LENGTH,) or (N, STATE_LENGTH)
    value : bool
        True adds the plane of the player's colour.

    Returns
    -------
    uint8 (48 or 49, size, size) or (N, 48 or 49, size, size)
    """
    many = states.reshape(-1, STATE_LENGTH)
    size, count = int(many[0, SIZE]), 49 if value else 48
    planes = np.empty((len(many), count, size * size), np.uint8)
    _alphago_planes(many, planes)
    ladders(many, planes[:, 44], planes[:, 45])
    return planes.reshape(states.shape[:-1] + (count, size, size))


# ---- the book's 8 with what AlphaGo's planes add ----

BOOK, TACTICS, ALPHAGO, ALPHAGO_VALUE = 8, 36, 48, 49  # how many planes, for `planes_of`


def planes_of(states: np.ndarray, count: int) -> np.ndarray:
    """The planes of the player to move, told by their number.

    Parameters
    ----------
    states : int32 (N, STATE_LENGTH)
    count : int
        BOOK: the book's 8 in `DAT_ORDER`, as its networks have them. TACTICS: these, then of AlphaGo's the
        plane of ones and planes 20 to 46 (what a move does: captures, self-atari, liberties, ladders, eyes).
        ALPHAGO and ALPHAGO_VALUE: AlphaGo's.

    Returns
    -------
    uint8 (N, count, size, size)
    """
    if count == BOOK:
        return book_planes(states, DAT_ORDER)
    if count in (ALPHAGO, ALPHAGO_VALUE):
        return alphago_planes(states, count == ALPHAGO_VALUE)
    if count != TACTICS:
        raise ValueError(
            f'there are sets of {BOOK}, {TACTICS}, {ALPHAGO} and {ALPHAGO_VALUE} planes, not of {count}')
    planes = alphago_planes(states)
    return np.concatenate([book_planes(states, DAT_ORDER), planes[:, 3:4], planes[:, 20:47]], axis=1)


# ---- AlphaGo Zero ----

@njit(cache=True, nogil=True)
def _alphago_zero_planes(history: np.ndarray, planes: np.ndarray) -> None:
    size, colour = history[0, SIZE], history[0, TO_MOVE]
    planes[:] = 0
    planes[16] = colour == BLACK
    for t in range(min(len(history), 8)):
        for p in range(size * size):
            found = history[t, COLOUR + to_cell(p, size)]
            if found != EMPTY:
                planes[2 * t + (found != colour), p] = 1


def alphago_zero_planes(history: np.ndarray) -> np.ndarray:
    """AlphaGo Zero's 17 planes of the player to move.

    Parameters
    ----------
    history : int32 (k, STATE_LENGTH)
        The positions of one game, newest first: the one to look at, then one move earlier, ... Only the
        first 8 count; fewer are fine at the start of a game.

    Returns
    -------
    uint8 (17, size, size)
    """
    size = int(history[0, SIZE])
    planes = np.empty((17, size * size), np.uint8)
    _alphago_zero_planes(history, planes)
    return planes.reshape(17, size, size)
