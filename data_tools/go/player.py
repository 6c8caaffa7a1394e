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
    BORDER,
    CELLS,
    CHAIN,
    COLOUR,
    EMPTY,
    KO,
    LIBERTIES,
    PASS,
    PASSES,
    RECENT,
    SIZE,
    STATE_LENGTH,
    STRIDE,
    TO_MOVE,
    area,
    clear,
    play,
    to_cell,
    to_move,
)
from data_tools.go.dat import RECORD
from data_tools.go.features import chain_size, encode, is_own_eye

CAPTURE, RESCUE, ATARI, SELF_ATARI, NEAR, NEARBY, CONTACT = 30.0, 15.0, 4.0, 0.02, 8.0, 3.0, 1.5
LINES = np.array([0.05, 0.3, 2.0, 2.0])  # where nothing is near: the first to the fourth line


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
def _weight(state: np.ndarray, cell: int, colour: int, size: int) -> float:
    """The weight of one point but for ko and the last move; 0 for what must not be played.

    It depends on nothing but the 3x3 points around the cell, as `_find_changes` sees them.
    """
    if state[COLOUR + cell] != EMPTY:
        return 0.0
    weight = 1.0
    empty, own, captured, rescued, most = 0, 0, 0, False, 0
    atari = False
    for step in (-STRIDE, -1, 1, STRIDE):
        found = state[COLOUR + cell + step]
        if found == EMPTY:
            empty += 1
        elif found == 3 - colour:
            chain = np.int64(state[CHAIN + cell + step])
            if state[LIBERTIES + chain] == 1:
                captured += chain_size(state, chain)
            elif state[LIBERTIES + chain] == 2:
                atari = True
        elif found == colour:
            own += 1
            chain = np.int64(state[CHAIN + cell + step])
            if state[LIBERTIES + chain] == 1:
                rescued = True
            most = max(most, state[LIBERTIES + chain] - 1)
    if not empty and not captured and (most == 0 or is_own_eye(state, cell, colour)):
        return 0.0  # suicide, or an own eye
    alive = captured or empty + most >= 2  # about: the new chain has two liberties or more
    if captured:
        weight *= CAPTURE * captured
    if not alive:
        weight *= SELF_ATARI
    elif rescued:
        weight *= RESCUE
    if atari and alive:
        weight *= ATARI
    touched = False
    for step in (-STRIDE - 1, -STRIDE, -STRIDE + 1, -1, 1, STRIDE - 1, STRIDE, STRIDE + 1):
        found = state[COLOUR + cell + step]
        touched |= found != EMPTY and found != BORDER
    if touched:
        if own and own + empty < 4:
            weight *= CONTACT
    elif size >= 9:
        x, y = cell % STRIDE - 1, cell // STRIDE - 1
        line = min(min(x, size - 1 - x), min(y, size - 1 - y))
        if line < 4:
            weight *= LINES[line]
    return weight


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
        of_cells[cell] = _weight(state, cell, colour, size)
    _prefer_near(state, of_cells)
    total = 0.0
    for move in range(size * size):
        weights[move] = of_cells[to_cell(move, size)]
        total += weights[move]
    return total


@njit(cache=True)
def _new_memory() -> Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What `_choose_next` remembers of a game: nothing yet."""
    return np.full(CELLS, -1, np.int32), np.ones((2, CELLS), np.bool_), np.zeros((2, CELLS)), np.zeros((2, CELLS))


@njit(cache=True)
def _find_changes(state: np.ndarray, seen: np.ndarray, stale: np.ndarray) -> None:
    """Mark the points of both colours whose weight may have changed: those around points that look different now.

    A stone looks different if its chain has another number of liberties, 3 standing for more, or is in atari with
    another number of stones.
    """
    size = np.int64(state[SIZE])
    for row in range(1, size + 1):
        for cell in range(row * STRIDE + 1, row * STRIDE + 1 + size):
            look = state[COLOUR + cell]
            if look != EMPTY:
                chain = np.int64(state[CHAIN + cell])
                liberties = state[LIBERTIES + chain]
                look += 4 * min(3, liberties)
                if liberties == 1:
                    look += 16 * chain_size(state, chain)
            if look != seen[cell]:
                seen[cell] = look
                for above in (-STRIDE, 0, STRIDE):
                    for step in (-1, 0, 1):
                        stale[0, cell + above + step] = stale[1, cell + above + step] = True


@njit(cache=True)
def _choose_next(state: np.ndarray, memory: Tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
                 random: np.ndarray) -> int:
    """A cell, drawn by `weigh`; PASS where nothing is left to play.

    Most weights are still those of the move before. `memory` is of one game: how each point looked (CELLS,), whose
    weights are out of date, and the weights (each (2, CELLS), black and white), then room for this move's.
    """
    seen, stale, known, weights = memory
    size, colour = np.int64(state[SIZE]), np.int64(state[TO_MOVE])
    _find_changes(state, seen, stale)
    known, stale, weights, rows = known[colour - 1], stale[colour - 1], weights[0], weights[1]
    for row in range(1, size + 1):
        for cell in range(row * STRIDE + 1, row * STRIDE + 1 + size):
            if stale[cell]:
                known[cell], stale[cell] = _weight(state, cell, colour, size), False
    weights[:] = known
    _prefer_near(state, weights)
    total, last = 0.0, PASS
    for row in range(1, size + 1):
        rows[row] = 0
        for cell in range(row * STRIDE + 1, row * STRIDE + 1 + size):
            rows[row] += weights[cell]
            if weights[cell] > 0:
                last = cell
        total += rows[row]
    if last == PASS:
        return PASS
    wanted = total * draw(random)
    for row in range(1, size + 1):
        if wanted >= rows[row]:
            wanted -= rows[row]
            continue
        for cell in range(row * STRIDE + 1, row * STRIDE + 1 + size):
            if weights[cell] > 0:
                wanted -= weights[cell]
                if wanted < 0:
                    return cell
    return last  # also where rounding has left a little of what was wanted


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
