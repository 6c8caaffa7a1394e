"""Positions from diagrams, random games, and real games where $BOOKCNN_DATA points to them."""
import os
from pathlib import Path

import numpy as np
import pytest

from data_tools.go.board import BLACK, WHITE, Position


def _diagram(text, to_play=BLACK):
    """A `Position` from rows of `.`, `X` (black) and `O` (white)."""
    rows = [row.split() for row in text.strip().splitlines()]
    size = len(rows)
    assert all(len(row) == size for row in rows)
    position = Position(size)
    position.set_up(black=[x + size * y for y in range(size) for x in range(size) if rows[y][x] == 'X'],
                    white=[x + size * y for y in range(size) for x in range(size) if rows[y][x] == 'O'])
    position.to_play = to_play
    return position


def _random_game(size, length, seed):
    """Yield (position before the move, move) of a game of random legal moves, few of them passes."""
    random = np.random.RandomState(seed)
    position = Position(size)
    for _ in range(length):
        legal = np.flatnonzero(position.legal_moves()[:-1])
        move = int(random.choice(legal)) if len(legal) and random.rand() > 0.01 else size * size
        yield position, move
        position.play(move)


@pytest.fixture(scope='session')
def diagram():
    return _diagram


@pytest.fixture(scope='session')
def random_game():
    return _random_game


@pytest.fixture(scope='session')
def go_data():
    """The folder with the real games."""
    folder = Path(os.environ.get('BOOKCNN_DATA', '')) / 'go'
    if not os.environ.get('BOOKCNN_DATA') or not folder.is_dir():
        pytest.skip('needs real games: set BOOKCNN_DATA to the folder that holds go/')
    return folder


@pytest.fixture(scope='session')
def real_games(go_data):
    """120 real games, spread over the years, as lists of (colour, move)."""
    from data_tools.go import sgf
    [(name, text)] = sgf.texts([go_data / 'tom9d-val.sgf.xz'])
    games = []
    for number, line in sgf.split_lines(text)[::15][:120]:
        [game] = sgf.games_of_text(name, line, number)
        games.append([(event // sgf.KIND - sgf.PLAY_BLACK + 1, event % sgf.KIND)
                      for event in game.events.tolist()])
    assert {colour for game in games for colour, _ in game} == {BLACK, WHITE}
    return games
