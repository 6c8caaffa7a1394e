"""A player without a network, compiled: makes games where none are at hand, and plays games out quickly.

It gives every legal move a weight and draws a move by the weights, as the rollouts of AlphaGo and of the
programs before it did (book, 6.1 and 6.2): capture, rescue what is in atari, give atari, answer near the last
move, stay off the edge of an empty board, do not put yourself in atari, never fill an own eye. It plays like
a beginner; it knows when a game is over. Everything it does follows from its seed.
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
    KO,
    LIBERTIES,
    LOST,
    MAX_SIZE,
    MOVE_NUMBER,
    NEXT,
    PASS,
    PASSES,
    RECENT,
    SIZE,
    STATE_LENGTH,
    STRIDE,
    TO_MOVE,
    WHITE,
    area,
    clear,
    play,
    to_cell,
    to_move,
)
from data_tools.go.dat import RECORD
from data_tools.go.features import chain_size, encode, is_own_eye

CAPTURE, RESCUE, ATARI, SELF_ATARI, CONTACT = 30.0, 15.0, 4.0, 0.02, 1.5
NEAR, NEARBY = 8, 3
LINES = np.array([0.05, 0.3, 2.0, 2.0])  # where nothing is near: the first to the fourth line
_UNITS = 1000  # a weight is a whole number of thousandths, so that sums stay exact however often they change


@njit(cache=True)
def draw(random: np.ndarray) -> float:
    """The next number from [0, 1) of `random`, uint64 (1,), which may hold any seed (splitmix64)."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _weights(state: np.ndarray, cell: int, size: int) -> Tuple[float, float]:
    """The weights of an empty point for black and for white, but for ko and the last move; 0 for what must not be played.

    They depend on nothing but the 3x3 points around the cell, as `_look` sees them.
    """
    empty, blacks, whites = 0, 0, 0
    most_black, most_white = 0, 0  # liberties that the chain of the new stone would have of its neighbours
    atari_black, atari_white = 0, 0  # stones in atari
    two_black, two_white = False, False
    touched = False
    for step in (-STRIDE, -1, 1, STRIDE):
        found = state[COLOUR + cell + step]
        if found == EMPTY:
            empty += 1
        elif found != BORDER:
            touched = True
            chain = np.int64(state[CHAIN + cell + step])
            liberties = state[LIBERTIES + chain]
            stones = chain_size(state, chain) if liberties == 1 else 0
            if found == BLACK:
                blacks += 1
                atari_black += stones
                two_black |= liberties == 2
                most_black = max(most_black, liberties - 1)
            else:
                whites += 1
                atari_white += stones
                two_white |= liberties == 2
                most_white = max(most_white, liberties - 1)
    if not touched:
        for step in (-STRIDE - 1, -STRIDE + 1, STRIDE - 1, STRIDE + 1):
            found = state[COLOUR + cell + step]
            touched |= found != EMPTY and found != BORDER
    alone = 1.0
    if not touched and size >= 9:
        x, y = cell % STRIDE - 1, cell // STRIDE - 1
        line = min(min(x, size - 1 - x), min(y, size - 1 - y))
        if line < 4:
            alone = LINES[line]
    black = _weight(state, cell, BLACK, alone, empty, blacks, most_black, atari_black, atari_white, two_white)
    return black, _weight(state, cell, WHITE, alone, empty, whites, most_white, atari_white, atari_black, two_black)


@njit(cache=True)
def _weight(state: np.ndarray, cell: int, colour: int, alone: float, empty: int, own: int, most: int, rescued: int,
            captured: int, atari: bool) -> float:
    if not empty and not captured and (most == 0 or is_own_eye(state, cell, colour)):
        return 0.0  # suicide, or an own eye
    weight = 1.0
    alive = captured or empty + most >= 2  # about: the new chain has two liberties or more
    if captured:
        weight *= CAPTURE * captured
    if not alive:
        weight *= SELF_ATARI
    elif rescued:
        weight *= RESCUE
    if atari and alive:
        weight *= ATARI
    if own and own + empty < 4:
        weight *= CONTACT
    return weight * alone


@njit(cache=True)
def _prefer_near(state: np.ndarray, weights: np.ndarray) -> None:
    """Multiply weights (CELLS,) near the last move, and forbid the ko."""
    weights[state[KO]] = 0
    last = np.int64(state[RECENT])
    if last == PASS:
        return
    size, x, y = np.int64(state[SIZE]), last % STRIDE, last // STRIDE
    for row in range(max(1, y - 3), min(size, y + 3) + 1):
        far = 3 - abs(row - y)
        for column in range(max(1, x - far), min(size, x + far) + 1):
            weights[row * STRIDE + column] *= NEAR if abs(row - y) < 2 and abs(column - x) < 2 else NEARBY


@njit(cache=True)
def weigh(state: np.ndarray, weights: np.ndarray) -> float:
    """Fill the player's weights (size * size,), float64; returns their sum, 0 if it can only pass."""
    size, colour = np.int64(state[SIZE]), np.int64(state[TO_MOVE])
    of_cells = np.zeros(CELLS)
    for move in range(size * size):
        cell = to_cell(move, size)
        if state[COLOUR + cell] == EMPTY:
            of_cells[cell] = _weights(state, cell, size)[colour - 1]
    _prefer_near(state, of_cells)
    total = 0.0
    for move in range(size * size):
        weights[move] = of_cells[to_cell(move, size)]
        total += weights[move]
    return total


@njit(cache=True)
def _new_memory() -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `_choose_next` remembers of a game, here nothing: most weights are still those of the move before.

    `seen`: how each point looked (CELLS,), then the number of moves and of captured stones at that time; `todo`: how many
    points are to be weighed again, then which; whether a point is among them (CELLS,); `known`: weights (2, CELLS) of black and
    of white, in thousandths; `rows`: their sums, of all and of each row (2, 20), and room for what this move adds to its rows.
    """
    return (np.full(CELLS + 2, -1, np.int32), np.zeros(CELLS + 1, np.int32), np.zeros(CELLS, np.bool_),
            np.zeros((2, CELLS), np.int64), np.zeros((3, MAX_SIZE + 1), np.int64))


@njit(cache=True)
def _look(state: np.ndarray, cell: int) -> int:
    """How a point looks to the points around it: a stone by its colour, the liberties of its chain, 3 standing for more, and by
    the number of its stones if it is in atari."""
    look = state[COLOUR + cell]
    if look != EMPTY:
        chain = np.int64(state[CHAIN + cell])
        liberties = state[LIBERTIES + chain]
        look += 4 * min(3, liberties)
        if liberties == 1:
            look += 16 * chain_size(state, chain)
    return look


@njit(cache=True)
def _note(state: np.ndarray, cell: int, look: int, seen: np.ndarray, todo: np.ndarray, among: np.ndarray) -> None:
    """If a point looks different now, note the empty points around it, whose weights may have changed."""
    if look == seen[cell]:
        return
    seen[cell] = look
    for above in (-STRIDE, 0, STRIDE):
        for step in (-1, 0, 1):
            beside = cell + above + step
            if not among[beside] and (state[COLOUR + beside] == EMPTY or beside == cell):
                among[beside] = True
                todo[0] += 1
                todo[todo[0]] = beside


@njit(cache=True)
def _find_changes(state: np.ndarray, seen: np.ndarray, todo: np.ndarray, among: np.ndarray) -> None:
    """Note the points whose weight may have changed since the last call: after a move that captured nothing, only the chains at
    its stone look different; else, and at first, the whole board is looked at."""
    size, last = np.int64(state[SIZE]), np.int64(state[RECENT])
    captured = state[LOST + 1] + state[LOST + 2]
    if state[MOVE_NUMBER] == seen[CELLS] + 1 and captured == seen[CELLS + 1]:
        if last != PASS:
            _note(state, last, _look(state, last), seen, todo, among)
            for step in (-STRIDE, -1, 1, STRIDE):
                stone = last + step
                if state[COLOUR + stone] != EMPTY and state[COLOUR + stone] != BORDER:
                    look = _look(state, stone)
                    if look != seen[stone]:  # if this one looks as before, all of what was its chain do
                        start = stone
                        while True:
                            _note(state, stone, look, seen, todo, among)
                            stone = np.int64(state[NEXT + stone])
                            if stone == start:
                                break
    else:
        for row in range(1, size + 1):
            for cell in range(row * STRIDE + 1, row * STRIDE + 1 + size):
                _note(state, cell, _look(state, cell), seen, todo, among)
    seen[CELLS], seen[CELLS + 1] = state[MOVE_NUMBER], captured


@njit(cache=True)
def _factor(state: np.ndarray, row: int, column: int) -> int:
    """What the weight of a point near the last move is multiplied by."""
    last = np.int64(state[RECENT])
    down, right = abs(row - last // STRIDE), abs(column - last % STRIDE)
    if row * STRIDE + column == state[KO]:
        return 0
    return NEAR if down < 2 and right < 2 else NEARBY if down + right < 4 else 1


@njit(cache=True)
def _choose_next(state: np.ndarray, memory: Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray],
                 random: np.ndarray) -> int:
    """A cell, drawn by `weigh`; PASS where nothing is left to play. `memory` is of one game (see `_new_memory`)."""
    seen, todo, among, known, rows = memory
    size, last = np.int64(state[SIZE]), np.int64(state[RECENT])
    _find_changes(state, seen, todo, among)
    for number in range(1, todo[0] + 1):
        cell = np.int64(todo[number])
        among[cell] = False
        black, white = _weights(state, cell, size) if state[COLOUR + cell] == EMPTY else (0.0, 0.0)
        for side, weight in enumerate((black, white)):
            change = np.int64(weight * _UNITS + 0.5) - known[side, cell]
            known[side, cell] += change
            rows[side, cell // STRIDE] += change
            rows[side, 0] += change
    todo[0] = 0
    weights, rows, more = known[state[TO_MOVE] - 1], rows[state[TO_MOVE] - 1], rows[2]
    total, first, end = rows[0], 1, 1  # `more`: what the rows from first to end have besides, near the last move
    if last != PASS:
        first, end = max(1, last // STRIDE - 3), min(size, last // STRIDE + 3) + 1
        for row in range(first, end):
            far, more[row] = 3 - abs(row - last // STRIDE), 0
            for column in range(max(1, last % STRIDE - far), min(size, last % STRIDE + far) + 1):
                if weights[row * STRIDE + column]:
                    more[row] += weights[row * STRIDE + column] * (_factor(state, row, column) - 1)
            total += more[row]
    if total == 0:
        return PASS
    wanted = total * draw(random)
    for row in range(1, size + 1):
        near = first <= row < end
        here = rows[row] + more[row] if near else rows[row]
        if wanted >= here:
            wanted -= here
            continue
        for column in range(1, size + 1):
            weight = weights[row * STRIDE + column]
            if weight:
                wanted -= weight * _factor(state, row, column) if near else weight
                if wanted < 0:
                    return row * STRIDE + column
    return PASS  # not reached: whole numbers are exact, and what is drawn lies below 1


@njit(cache=True)
def choose(state: np.ndarray, random: np.ndarray) -> int:
    """A move, drawn by `weigh`; size * size, a pass, where nothing is left to play."""
    return to_move(_choose_next(state, _new_memory(), random), np.int64(state[SIZE]))


@njit(cache=True, nogil=True)
def play_out(state: np.ndarray, komi: float, random: np.ndarray) -> float:
    """Play a position to its end, in place; 1.0 if black wins, 0.0 if white does (0.5 if nobody).

    A game that does not end is counted after three moves a point.
    """
    size = np.int64(state[SIZE])
    memory = _new_memory()
    owner = np.empty(size * size, np.uint8)
    for _ in range(3 * size * size):
        if state[PASSES] >= 2:
            break
        play(state, _choose_next(state, memory, random), np.int64(state[TO_MOVE]))
    black, white = area(state, owner)
    score = black - white - komi
    return 1.0 if score > 0 else 0.0 if score < 0 else 0.5


@njit(cache=True, nogil=True)
def _ownership(state: np.ndarray, komi: float, games: int, random: np.ndarray, owned: np.ndarray) -> float:
    size = np.int64(state[SIZE])
    copy = np.empty(STATE_LENGTH, np.int32)
    owner = np.empty(size * size, np.uint8)
    owned[:] = 0
    wins = 0.0
    for _ in range(games):
        copy[:] = state
        copy[PASSES] = 0  # that both have passed says nothing of whose the points are
        wins += play_out(copy, komi, random)
        area(copy, owner)
        for point in range(size * size):
            owned[point] += 1.0 if owner[point] == 1 else -1.0 if owner[point] == 2 else 0.0
    owned /= games
    return wins / games


def ownership(state: np.ndarray, komi: float = 7.5, games: int = 64, seed: int = 0) -> Tuple[np.ndarray, float]:
    """Whose each point is in the end, by playing the position out.

    Parameters
    ----------
    state : int32 (STATE_LENGTH,)
    komi : float
    games : int
    seed : int

    Returns
    -------
    owned : float (size * size,)
        From 1 (always black's) to -1 (always white's).
    wins : float
        Share of the games that black won.
    """
    owned = np.empty(int(state[SIZE]) ** 2)
    random = np.random.default_rng([seed, 7]).integers(0, 2 ** 63, 1).astype(np.uint64)
    wins = _ownership(state, komi, games, random, owned)
    return owned, float(wins)


@njit(cache=True, nogil=True)
def _records(games: int, random: np.ndarray, records: np.ndarray) -> int:
    """Play games on 19x19 and write the record of every move until `records` is full; the number written."""
    state = np.empty(STATE_LENGTH, np.int32)
    written = 0
    for _ in range(games):
        clear(state, 19)
        memory = _new_memory()
        for _ in range(500):
            cell = _choose_next(state, memory, random)
            if cell != PASS:
                if written == len(records):
                    return written
                records[written, 0], records[written, 1] = cell % STRIDE - 1, cell // STRIDE - 1
                encode(state, np.int64(state[TO_MOVE]), records[written, 2:])
                written += 1
            play(state, cell, np.int64(state[TO_MOVE]))
            if state[PASSES] >= 2:
                break
    return written


def selfplay_records(games: int, seed: int = 0) -> np.ndarray:
    """Games of the player against itself as packed positions (see `dat.py`).

    Parameters
    ----------
    games : int
    seed : int

    Returns
    -------
    uint8 (N, 363), some 330 a game, shuffled
    """
    random = np.random.default_rng(seed)
    records = np.empty((500 * games, RECORD), np.uint8)
    written = _records(games, random.integers(0, 2 ** 63, 1).astype(np.uint64), records)
    return records[random.permutation(written)]
