"""Section 7.1.3: stones that live in seki, where whoever plays a shared liberty is taken (figure 7-2)."""
import numpy as np

from data_tools.go.board import EMPTY


def seki(position):
    """Stones of both colours that live in seki.

    Two chains are in seki if each has two liberties, which both share, or of which they share one and the other is an eye of
    the chain; and if whoever plays a shared one is left with a single liberty. Sekis of more liberties, or of several
    chains together, are not looked for.

    Parameters
    ----------
    position : data_tools.go.board.Position

    Returns
    -------
    list of int
        Moves, x + size * y.
    """
    board = position.board
    chains = _chains(board)
    found = set()
    for number, (black, black_liberties) in enumerate(chains):
        for white, white_liberties in chains[number + 1:]:
            shared = black_liberties & white_liberties
            if board[min(black)] == board[min(white)] or not shared:
                continue
            if all(_locked(board, liberties, shared, board[min(stones)]) for stones, liberties in (
                    (black, black_liberties), (white, white_liberties))):
                found |= black | white
    size = position.size
    return sorted(x + size * y for y, x in found)


def _locked(board, liberties, shared, colour):
    """Whether the chain can neither take the other nor get away: it plays a shared liberty, and one liberty is left."""
    if len(liberties) != 2 or any(_around(board, point) - {colour} for point in liberties - shared):
        return False
    for point in shared:
        after = board.copy()
        after[point] = colour
        if len(next(free for stones, free in _chains(after) if point in stones)) != 1:
            return False
    return True


def _around(board, point):
    """What stands beside a point."""
    return {int(board[beside]) for beside in _beside(len(board), *point)}


def _beside(size, y, x):
    return [(b, a) for b, a in ((y - 1, x), (y + 1, x), (y, x - 1), (y, x + 1)) if 0 <= b < size and 0 <= a < size]


def _chains(board):
    """[(stones, liberties)] of a board, each a set of (y, x)."""
    chains, seen = [], set()
    for first in map(tuple, np.argwhere(board != EMPTY)):
        if first in seen:
            continue
        stones, liberties, waiting = {first}, set(), [first]
        while waiting:
            for beside in _beside(len(board), *waiting.pop()):
                if board[beside] == EMPTY:
                    liberties.add(beside)
                elif board[beside] == board[first] and beside not in stones:
                    stones.add(beside)
                    waiting.append(beside)
        seen |= stones
        chains.append((stones, liberties))
    return chains
