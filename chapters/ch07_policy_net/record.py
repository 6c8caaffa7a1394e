"""Section 7.1: a record of a pack as a picture: the position, the move that was played, and the eight planes."""
from chapters.ch04_cnn.board_drawing import draw_board
from chapters.kit.report import figures
from data_tools.go.board import Position
from data_tools.go.dat import SIZE, planes_and_labels, states_of
from data_tools.go.features import DAT_ORDER


def draw_record(record):
    """One record.

    Parameters
    ----------
    record : numpy.ndarray of uint8, (363,)

    Returns
    -------
    matplotlib.figure.Figure
        The board, the player to move taking black stones, with a cross where the move was played; and the planes.
    """
    planes, moves = planes_and_labels(record[None])
    position = Position()
    position.state = states_of(record[None])[0]
    figure = figures.plt.figure(figsize=(13, 5.2))
    board, grid = figure.add_gridspec(1, 2, width_ratios=(5, 8))
    axis = figure.add_subplot(board)
    draw_board(axis, position)
    axis.plot(moves[0] % SIZE, moves[0] // SIZE, 'x', color='red', markersize=9, markeredgewidth=2, zorder=5)
    for number, (name, place) in enumerate(zip(DAT_ORDER, grid.subgridspec(2, 4))):
        axis = figure.add_subplot(place)
        axis.imshow(planes[0, number], cmap='Greys', vmin=0, vmax=1)
        axis.set(title=name, xticks=[], yticks=[])
    figure.tight_layout()
    return figure
