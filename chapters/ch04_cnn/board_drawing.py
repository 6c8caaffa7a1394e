"""Boards of Go as pictures (4.2, 6.2, 7.1, 7.3)."""
import numpy as np

from chapters.kit.report import figures
from data_tools.go.board import BLACK, LETTERS, WHITE, star_points


def draw_board(axis, position):
    """A board with its stones, the last one marked, on matplotlib axes."""
    size = position.size
    axis.set_facecolor('#e8c27a')
    axis.hlines(range(size), 0, size - 1, color='black', linewidth=0.5, zorder=1)
    axis.vlines(range(size), 0, size - 1, color='black', linewidth=0.5, zorder=1)
    axis.scatter([move % size for move in star_points(size)], [move // size for move in star_points(size)], s=6,
                 color='black', zorder=2)
    for colour, name in ((BLACK, 'black'), (WHITE, 'white')):
        for y, x in np.argwhere(position.board == colour):
            axis.add_patch(figures.plt.Circle((x, y), 0.46, facecolor=name, edgecolor='black', zorder=3))
    if position.last_move is not None:
        axis.plot(position.last_move % size, position.last_move // size, 's', color='red', markersize=3,
                  zorder=4)
    board_axes(axis, size)


def draw_choices(axis, position, probabilities, count=9):
    """A board with the likeliest legal points, their shares in percent on them.

    Parameters
    ----------
    axis : matplotlib axes
    position : Position
    probabilities : numpy.ndarray, (size * size,)
    count : int
    """
    size, legal = position.size, np.flatnonzero(position.legal_moves()[:position.size ** 2])
    draw_board(axis, position)
    for move in legal[np.argsort(-probabilities[legal])[:count]]:
        if probabilities[move] >= 0.005:
            axis.add_patch(figures.plt.Circle((move % size, move // size), 0.46, facecolor='#b7dfb0', zorder=4))
            axis.text(move % size, move // size, f'{100 * probabilities[move]:.0f}', ha='center', va='center',
                      fontsize=8, zorder=5)


def draw_line(axis, position, moves):
    """A position and numbered moves after it: a stone each, in the colour of its player; a pass is left out."""
    draw_board(axis, position)
    colour, size = position.to_play, position.size
    for number, move in enumerate(moves, 1):
        if move < size * size:
            face, ink = ('black', 'white') if colour == BLACK else ('white', 'black')
            x, y = move % size, move // size
            axis.add_patch(figures.plt.Circle((x, y), 0.46, facecolor=face, edgecolor='black', zorder=3 + number / 100))
            axis.text(x, y, str(number), color=ink, ha='center', va='center', fontsize=7, zorder=3.005 + number / 100)
        colour = 3 - colour


def board_axes(axis, size):
    """Coordinates and limits of a board on matplotlib axes whose units are points."""
    axis.set(xlim=(-0.6, size - 0.4), ylim=(size - 0.4, -0.6), xticks=range(size), yticks=range(size),
             xticklabels=LETTERS[:size], yticklabels=range(size, 0, -1), aspect='equal')
    axis.tick_params(labelsize=5, length=0)


def draw_shares(shares, title):
    """A figure of shares, (size, size), in percent on the points of a board."""
    figure, axis = figures.plt.subplots(figsize=(7, 7))
    axis.imshow(shares, cmap='Oranges', vmin=0)
    for y, x in np.argwhere(shares >= 0.005):
        axis.text(x, y, f'{100 * shares[y, x]:.0f}', ha='center', va='center', fontsize=8)
    board_axes(axis, len(shares))
    axis.set_title(title + ', %')
    return figure
