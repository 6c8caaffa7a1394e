"""A player without a network, compiled: makes games where none are at hand, and plays games out quickly.

It gives every legal move a weight and draws a move by the weights, as the rollouts of AlphaGo and of the
programs before it did (book, 6.1 and 6.2): capture, rescue what is in atari, give atari, answer near the last
move, stay off the edge of an empty board, do not put yourself in atari, never fill an own eye. It plays like
a beginner; it knows when a game is over. Everything it does follows from its seed.
"""
import numpy as np
from numba import njit

from data_tools.go.board import (BORDER, CHAIN, COLOUR, EMPTY, LIBERTIES, PASS, PASSES, RECENT, SIZE,
                                 STATE_LENGTH, STRIDE, TO_MOVE, area, clear, is_legal, play, to_cell)
from data_tools.go.dat import AREA, RECORD
from data_tools.go.features import chain_size, encode, is_own_eye

CAPTURE, RESCUE, ATARI, SELF_ATARI, NEAR, NEARBY, CONTACT = 30.0, 15.0, 4.0, 0.02, 8.0, 3.0, 1.5
LINES = np.array([0.05, 0.3, 2.0, 2.0])  # where nothing is near: the first to the fourth line


@njit(cache=True)
def draw(random):
    """The next number from [0, 1) of `random`, uint64 (1,), which may hold any seed (splitmix64)."""
    random[0] += np.uint64(0x9E3779B97F4A7C15)
    z = random[0]
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) * (1.0 / 9007199254740992.0)


@njit(cache=True)
def _weight(state, cell, colour, size):
    """The weight of one point; 0 for what must not be played."""
    if state[COLOUR + cell] != EMPTY or not is_legal(state, cell, colour):
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
    if not empty and not captured and is_own_eye(state, cell, colour):
        return 0.0
    alive = captured or empty + most >= 2  # about: the new chain has two liberties or more
    if captured:
        weight *= CAPTURE * captured
    if not alive:
        weight *= SELF_ATARI
    elif rescued:
        weight *= RESCUE
    if atari and alive:
        weight *= ATARI
    near, touched = False, False
    for step in (-STRIDE - 1, -STRIDE, -STRIDE + 1, -1, 1, STRIDE - 1, STRIDE, STRIDE + 1):
        point = cell + step
        near |= point == state[RECENT] and state[RECENT] != PASS
        found = state[COLOUR + point]
        touched |= found != EMPTY and found != BORDER
    if near:
        weight *= NEAR
    elif state[RECENT] != PASS:
        rows = abs(cell // STRIDE - state[RECENT] // STRIDE)
        columns = abs(cell % STRIDE - state[RECENT] % STRIDE)
        if rows + columns <= 3:
            weight *= NEARBY
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
def weigh(state, weights):
    """Fill the player's weights (size * size,), float64; returns their sum, 0 if it can only pass."""
    size, colour = np.int64(state[SIZE]), np.int64(state[TO_MOVE])
    total = 0.0
    for move in range(size * size):
        weights[move] = _weight(state, to_cell(move, size), colour, size)
        total += weights[move]
    return total


@njit(cache=True)
def choose(state, weights, random):
    """A move, drawn by `weigh`; size * size, a pass, where nothing is left to play."""
    size = np.int64(state[SIZE])
    wanted = weigh(state, weights)
    if wanted == 0:
        return size * size
    wanted *= draw(random)
    last = size * size
    for move in range(size * size):
        if weights[move] > 0:
            last = move
            wanted -= weights[move]
            if wanted < 0:
                return move
    return last


@njit(cache=True, nogil=True)
def play_out(state, komi, random):
    """Play a position to its end, in place; 1.0 if black wins, 0.0 if white does (0.5 if nobody).

    A game that does not end is counted after three moves a point.
    """
    size = np.int64(state[SIZE])
    weights = np.empty(size * size, np.float64)
    owner = np.empty(size * size, np.uint8)
    for _ in range(3 * size * size):
        if state[PASSES] >= 2:
            break
        play(state, to_cell(choose(state, weights, random), size), np.int64(state[TO_MOVE]))
    black, white = area(state, owner)
    score = black - white - komi
    return 1.0 if score > 0 else 0.0 if score < 0 else 0.5


@njit(cache=True, nogil=True)
def _ownership(state, komi, games, random, owned):
    size = np.int64(state[SIZE])
    copy = np.empty(STATE_LENGTH, np.int32)
    owner = np.empty(size * size, np.uint8)
    owned[:] = 0
    wins = 0.0
    for _ in range(games):
        copy[:] = state
        wins += play_out(copy, komi, random)
        area(copy, owner)
        for point in range(size * size):
            owned[point] += 1.0 if owner[point] == 1 else -1.0 if owner[point] == 2 else 0.0
    owned /= games
    return wins / games


def ownership(state, komi=7.5, games=64, seed=0):
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
def _records(games, random, records):
    """Play games on 19x19 and write the record of every move until `records` is full; the number written."""
    state = np.empty(STATE_LENGTH, np.int32)
    weights = np.empty(AREA, np.float64)
    written = 0
    for _ in range(games):
        clear(state, 19)
        for _ in range(500):
            move = choose(state, weights, random)
            if move < AREA:
                if written == len(records):
                    return written
                records[written, 0], records[written, 1] = move % 19, move // 19
                encode(state, np.int64(state[TO_MOVE]), records[written, 2:])
                written += 1
            play(state, to_cell(move, 19), np.int64(state[TO_MOVE]))
            if state[PASSES] >= 2:
                break
    return written


def selfplay_records(games, seed=0):
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
