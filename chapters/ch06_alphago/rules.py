"""What a tree search asks of a game: which moves there are, what a move does, and who has won at the end.

Go, and stones in a row (gomoku, 6.5). Both have stones on a board and share the flat state of `data_tools.go.board`, in
which `IN_A_ROW` says which of the two it is and `PASSES` = 2 that it is over. A third game would be a third branch of the
three functions.
"""
import numpy as np
from numba import njit

from data_tools.go.board import (
    COLOUR,
    EMPTY,
    MOVE_NUMBER,
    PASS,
    PASSES,
    RECENT,
    RECENT_MOVES,
    SIZE,
    STRIDE,
    TO_MOVE,
    Position,
    area,
    is_legal,
    play,
    to_cell,
    vertex,
)
from data_tools.go.features import is_own_eye

# Of a state, beside what Go has there:
IN_A_ROW = 10  # so many stones in a row win; 0: Go
WINNER = 11  # of stones in a row: a colour, or EMPTY


@njit(cache=True)
def may_play(state, cell):
    """Whether the player to move may play `cell`; in Go, whether it is also worth a look: no own eye is filled."""
    if state[IN_A_ROW]:
        return cell != PASS and state[COLOUR + cell] == EMPTY
    colour = np.int64(state[TO_MOVE])
    return is_legal(state, cell, colour) and (cell == PASS or not is_own_eye(state, cell, colour))


@njit(cache=True)
def advance(state, cell):
    """Play a move in place."""
    if not state[IN_A_ROW]:
        play(state, cell, np.int64(state[TO_MOVE]))
        return
    colour, size = state[TO_MOVE], np.int64(state[SIZE])
    for i in range(RECENT + RECENT_MOVES - 1, RECENT, -1):
        state[i] = state[i - 1]
    state[RECENT] = cell
    state[COLOUR + cell] = colour
    state[MOVE_NUMBER] += 1
    state[TO_MOVE] = 3 - colour
    for step in (1, STRIDE - 1, STRIDE, STRIDE + 1):
        stones = 1
        for way in (-step, step):
            point = cell + way
            while state[COLOUR + point] == colour:
                stones += 1
                point += way
        if stones >= state[IN_A_ROW]:
            state[WINNER] = colour
    if state[WINNER] or state[MOVE_NUMBER] == size * size:
        state[PASSES] = 2


@njit(cache=True)
def terminal_value(state, komi):
    """1, 0 or -1 for the player to move at the end of a game: in Go by Tromp-Taylor area."""
    if state[IN_A_ROW]:
        return -1.0 if state[WINNER] else 0.0  # who moved last has won, or nobody
    owner = np.empty(np.int64(state[SIZE]) ** 2, np.uint8)
    black, white = area(state, owner)
    score = black - white - komi
    if state[TO_MOVE] == 2:
        score = -score
    return 1.0 if score > 0 else -1.0 if score < 0 else 0.0


class RowPosition(Position):
    """A game of stones in a row: black first, one stone a move, none is ever taken; `in_a_row` or more win.

    Parameters
    ----------
    size : int
        Of the board.
    in_a_row : int

    Raises
    ------
    ValueError
        From `play`, where a stone is already or the game is over.
    """
    def __init__(self, size, in_a_row):
        super().__init__(size)
        self.state[IN_A_ROW] = in_a_row

    def legal_moves(self):
        """bool (size * size + 1,): the empty points, while the game lasts; there is no pass."""
        return np.append(self.board.ravel() == EMPTY, False) & (self.passes < 2)

    def is_legal(self, move, colour=None):
        """Whether the point is empty and the game not over."""
        return bool(0 <= move < self.size ** 2 and self.legal_moves()[move])

    def play(self, move, colour=None, repeat=False):
        """Put a stone; takes none: 0."""
        if not self.is_legal(move):
            raise ValueError(f'{vertex(move, self.size)} is taken, or the game is over')
        advance(self.state, to_cell(move, self.size))
        return 0

    def score(self, komi=0.0):
        """1 where black has won, -1 where white has, else 0."""
        return (0.0, 1.0, -1.0)[self.state[WINNER]]
