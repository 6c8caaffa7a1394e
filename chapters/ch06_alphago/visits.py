"""Section 6.2: where the visits of a tree search go, as a picture."""
import numpy as np

from chapters.ch04_cnn.board_drawing import draw_choices
from chapters.ch06_alphago.mcts import Rollouts, Search
from chapters.kit.report import figures
from data_tools.go.board import Position, vertex

# Black to play: at E5 two white stones are taken, or saved.
_BOARD = '''
    . . . . . . .
    . . X X . . .
    . X O O . . .
    . . X X O . .
    . . . . O . .
    . . . . . . .
    . . . . . . .
'''


def draw_search(visits=1000, exploration=5.0, komi=7.5, seed=0):
    """A search from a position on 7x7, without a network: by games played out, and how the player of those likes moves.

    Parameters
    ----------
    visits : int
    exploration : float
        c of PUCT: with a larger one more moves are tried, and each less often.
    komi : float
    seed : int

    Returns
    -------
    matplotlib.figure.Figure
        The share of the visits of each move, in percent; its mean value; and the moves that the search expects.
    """
    position, points = Position(7), np.array(_BOARD.split())
    position.set_up(np.flatnonzero(points == 'X'), np.flatnonzero(points == 'O'))

    search = Search(Rollouts(komi, seed=seed), komi, exploration, seed=seed)
    search.start(position)
    search.run(visits)
    shares, best = search.visits / search.total_visits, search.choose()
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(10, 4.6))
    draw_choices(left, position, shares[:-1], 49)
    left.set_title('visits, %')
    draw_choices(right, position, np.array([(search.value(move) + 1) / 2 if search.visits[move] else 0
                                            for move in range(49)]), 49)
    right.set_title('games won, %')
    figure.suptitle(f'{search.total_visits} visits; black expects '
                    + ' '.join(vertex(move, 7) for move in search.variation(best)[:5]))
    return figure
