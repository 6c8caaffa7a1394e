"""What a position of 4x4 is worth, by reading it to its end: a proof, where a tree search only finds it likely.

Rules: area, positional superko, no suicide, two passes end the game. Stones of a colour are the bits of a number.
"""
import numpy as np
from numba import bool_, int64, njit, types
from numba.typed import Dict

from data_tools.go.board import BLACK, WHITE

_ALL, _PASS = (1 << 16) - 1, 16
_LEFT, _RIGHT = 0x1111, 0x8888  # columns


@njit
def _chain(found, among):
    """All of `among` that hangs together with `found`, and the points next to it."""
    while True:
        around = found | found << 4 & _ALL | found >> 4 | (found & ~_RIGHT) << 1 | (found & ~_LEFT) >> 1
        if around & among == found:
            return found, around & ~found
        found = around & among


@njit
def _count(points):
    count = 0
    while points:
        points &= points - 1
        count += 1
    return count


@njit
def _lead(black, white):
    """Black's lead by area."""
    lead, empty = _count(black) - _count(white), _ALL & ~(black | white)
    while empty:
        region, border = _chain(empty & -empty, empty)
        empty &= ~region
        lead += _count(region) * (int(not border & white) - int(not border & black))
    return lead


@njit
def _after(own, other, move):
    """(own, other) after a move that is no pass; own 0 if it is none."""
    point = 1 << move
    if (own | other) & point:
        return 0, other
    own |= point
    around = _chain(point, point)[1] & other
    while around:
        chain, border = _chain(around & -around, other)
        around &= ~chain
        if not border & ~own:
            other &= ~chain
    return (0 if not _chain(point, own)[1] & ~other else own), other


@njit(bool_(int64, int64, bool_, int64, bool_, int64, int64, int64[::1], int64, types.DictType(int64, int64),
            types.DictType(int64, int64)))
def _proves(black, white, blacks_turn, passes, for_black, least, plies, seen, count, failed, tried):
    """Each yes was read to the end, with what the game so far forbids. What failed is remembered for all games alike: a no
    may be wrong, a yes cannot be. `tried` says what to look at first."""
    reached = (_lead(black, white) >= least) == for_black
    if passes == 2:
        return reached
    ours, key = blacks_turn == for_black, black << 20 | white << 4 | passes << 1 | blacks_turn
    if plies == 0 or failed.get(key, 0) >= plies:
        return False
    scores, boards = np.full(_PASS + 1, -1000), np.zeros((_PASS + 1, 2), np.int64)
    first = tried.get(key, -1)
    for move in range(_PASS + 1):
        new_black, new_white = black, white
        if move == _PASS:  # early if it ends the game as whoever passes would have it
            scores[move] = 2000 if passes and reached == ours else -500
        else:
            if blacks_turn:
                new_black, new_white = _after(black, white, move)
            else:
                new_white, new_black = _after(white, black, move)
            if not (new_black if blacks_turn else new_white) or (seen[:count] == (new_black << 16 | new_white)).any():
                continue
            lead = _lead(new_black, new_white)
            scores[move] = lead if blacks_turn else -lead
        boards[move] = new_black, new_white
        scores[move] += 1000 * (move == first)
    for move in np.argsort(-scores):
        if scores[move] > -1000:
            seen[count] = boards[move, 0] << 16 | boards[move, 1]
            if ours == _proves(boards[move, 0], boards[move, 1], not blacks_turn, passes + 1 if move == _PASS else 0, for_black,
                               least, plies - 1, seen, count + (move < _PASS), failed, tried):
                tried[key] = move
                if not ours:
                    failed[key] = plies
                return ours
    if ours:
        failed[key] = plies
    return not ours


def proves(moves, colour, least, most_plies=24):
    """Whether it can be proved that black, who begins, leads by `least` at least (colour BLACK) or by less (WHITE).

    Parameters
    ----------
    moves : list of int
        The game so far, 16 a pass.
    colour, least : int
    most_plies : int
        Farther is not read.

    Returns
    -------
    bool
        False says only that no proof was found.
    """
    stones, seen, passes = [0, 0], [0], 0
    for number, move in enumerate(moves):
        mover = number % 2
        passes = passes + 1 if move == _PASS else 0
        if move != _PASS:
            stones[mover], stones[1 - mover] = _after(stones[mover], stones[1 - mover], move)
            seen.append(stones[0] << 16 | stones[1])
    earlier, tried = np.zeros(len(seen) + most_plies, np.int64), Dict.empty(int64, int64)
    earlier[:len(seen)] = seen
    assert colour in (BLACK, WHITE)
    return any(_proves(*stones, len(moves) % 2 == 0, passes, colour == BLACK, least, plies, earlier, len(seen),
                       Dict.empty(int64, int64), tried) for plies in range(4, most_plies + 1))
