"""Go: how fast are rules, planes, symmetries and packing, beside sgfmill and beside plain Python?

    BOOKCNN_DATA=/path/to/data python -m benchmarks.go [--games 1000] [--pack]

Every figure but packing's is of one core: the median of several rounds; those compared take turns. The games are
every n-th of `go/tom9d-val.sgf.xz`. `--pack` also packs all games there are, with all cores.
"""
import argparse
import os
import random
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from numba import njit
from sgfmill import boards

from benchmarks.book import Row, save
from data_tools.errors import UserError, one_line_errors
from data_tools.go import sgf
from data_tools.go.board import STATE_LENGTH, Position, clear, is_legal, play, to_cell
from data_tools.go.dat import load_dat, planes_and_labels
from data_tools.go.features import alphago_planes, book_planes
from data_tools.go.pack import pack
from data_tools.go.sgf import KIND, PLAY_BLACK
from data_tools.go.symmetries import transform_moves, transform_planes

ROUNDS = 5


def seconds(function):
    """How long one call takes: seconds of the processor, so that other programs disturb little."""
    began = time.process_time()
    function()
    return time.process_time() - began


def rates(contestants, rounds=ROUNDS):
    """Pieces of work a second in every round, {name: (function, pieces of work)} taking turns."""
    found = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, (function, pieces) in contestants.items():
            found[name].append(pieces / seconds(function))
    return found


# ---- rules ----

@njit
def replay(events, starts, state):
    """Play games of nothing but moves under the rules; the number of illegal moves."""
    illegal = 0
    for game in range(len(starts) - 1):
        clear(state, 19)
        for i in range(starts[game], starts[game + 1]):
            cell, colour = to_cell(events[i] % KIND, 19), events[i] // KIND - PLAY_BLACK + 1
            if is_legal(state, cell, colour):
                play(state, cell, colour)
            else:
                illegal += 1
    return illegal


def replay_by_sgfmill(games):
    """The same by `sgfmill.boards` (which keeps no liberties)."""
    for moves in games:
        board = boards.Board(19)
        for row, column, colour in moves:
            board.play(row, column, colour)


def agree(game):
    """Play a game on both boards, which must hold the same stones after each move; the number of moves."""
    position, referee = Position(19), boards.Board(19)
    names = {None: 0, 'b': 1, 'w': 2}
    for event in game.events.tolist():
        colour, move = event // KIND - PLAY_BLACK + 1, event % KIND
        position.play(move, colour)
        if move != 361:
            referee.play(18 - move // 19, move % 19, 'bw'[colour - 1])
        if position.board[::-1].tolist() != [[names[point] for point in row] for row in referee.board]:
            raise AssertionError(f'{game.file}, game {game.number}, move {position.move_number}: different')
    return len(game.events)


# ---- symmetries, position by position ----

def swap_in_place(planes, label, chance):
    """One position in a random symmetry, element by element, swap by swap."""
    x, y = label % 19, label // 19
    if chance.random() < 0.5:  # left and right
        for plane in planes:
            for row in range(19):
                for i in range(9):
                    plane[row, i], plane[row, 18 - i] = plane[row, 18 - i], plane[row, i]
        x = 18 - x
    if chance.random() < 0.5:  # top and bottom
        for plane in planes:
            for i in range(9):
                for column in range(19):
                    plane[i, column], plane[18 - i, column] = plane[18 - i, column], plane[i, column]
        y = 18 - y
    if chance.random() < 0.5:  # rows and columns
        for plane in planes:
            for row in range(19):
                for column in range(row):
                    plane[row, column], plane[column, row] = plane[column, row], plane[row, column]
        x, y = y, x
    return x + 19 * y


def flip_views(planes, label, chance):
    """The same with numpy's flips of whole positions, still one by one."""
    x, y = label % 19, label // 19
    turned = planes
    if chance.random() < 0.5:
        turned, x = turned[:, :, ::-1], 18 - x
    if chance.random() < 0.5:
        turned, y = turned[:, ::-1], 18 - y
    if chance.random() < 0.5:
        turned, x, y = turned.transpose(0, 2, 1), y, x
    planes[:] = turned.copy()
    return x + 19 * y


def one_by_one(function, planes, labels):
    chance = random.Random(0)
    return [function(position, label, chance) for position, label in zip(planes, labels)]


# ---- the run ----

def measure(folder, count, pack_all):
    """The rows of all figures, printed as they come."""
    rows = []

    def tell(what, unit, measured, compared=True):
        rows.append(Row(what, unit, measured, compared))
        print(rows[-1], flush=True)
    [(name, text)] = sgf.texts([folder / 'tom9d-val.sgf.xz'])
    lines = sgf.split_lines(text)
    games = [game for number, line in lines[::max(1, len(lines) // count)][:count]
             for game in sgf.games_of_text(name, line, number)]
    events = np.concatenate([game.events for game in games])
    starts = np.cumsum([0] + [len(game.events) for game in games])

    moves = sum(agree(game) for game in games)
    tell('the same stones as on sgfmill.boards after each move', 'games and moves',
         {'games': [len(games)], 'moves': [moves]}, compared=False)

    few = 50
    listed = [[(18 - event % KIND // 19, event % KIND % 19, 'bw'[event // KIND - PLAY_BLACK])
               for event in game.events.tolist() if event % KIND != 361] for game in games[:few]]
    state = np.empty(STATE_LENGTH, np.int32)
    assert replay(events, starts, state) == 0
    tell('moves by the rules; ours with legality and the liberties of every chain', 'moves/s', rates({
        'ours': (lambda: replay(events, starts, state), len(events)),
        'sgfmill.boards': (lambda: replay_by_sgfmill(listed), sum(map(len, listed)))}))

    states = []
    for game in games[:few]:
        position = Position(19)
        for event in game.events.tolist():
            states.append(position.state.copy())
            position.play(event % KIND, event // KIND - PLAY_BLACK + 1)
    states = np.stack(states)
    book_planes(states[:2])
    alphago_planes(states[:2])
    tell('positions to planes', 'positions/s', rates({
        "the book's 8": (lambda: book_planes(states), len(states)),
        "AlphaGo's 48 with ladders": (lambda: alphago_planes(states), len(states))}), compared=False)

    with tempfile.TemporaryDirectory() as temporary:
        packed = Path(temporary) / 'val.dat'
        pack([folder / 'tom9d-val.sgf.xz'], packed, workers=1)
        records = load_dat(packed)
        chance = np.random.RandomState(0)
        batch = np.array(records[chance.randint(len(records), size=4096)])
        planes, labels = planes_and_labels(batch)
        symmetry = chance.randint(8, size=len(batch))
        small, small_labels = planes[:256].copy(), labels[:256].tolist()

        def gather():
            return transform_planes(planes, symmetry), transform_moves(labels, symmetry)

        gather()
        for whole, fast in (('planes to planes', gather),
                            ('records to planes', lambda: planes_and_labels(batch, symmetry))):
            tell(f'symmetries of a batch, {whole}', 'positions/s', rates({
                'one gather': (fast, len(batch)),
                'Python swaps': (lambda: one_by_one(swap_in_place, small, small_labels), len(small)),
                'numpy flips': (lambda: one_by_one(flip_views, small, small_labels), len(small))}))

        def draw():
            planes_and_labels(records[chance.randint(len(records), size=256)], chance.randint(8, size=256))

        tell('random records of a file in random symmetries, batches of 256', 'positions/s',
             rates({'ours': (draw, 256)}, 50), compared=False)

        if pack_all:
            for source in ('tom9d-train.sgf.xz', 'tom9d-val.sgf.xz'):
                result = pack([folder / source], packed)
                refused = ', '.join(f'{n} {reason}' for reason, n in result.reasons.most_common()) or 'none'
                tell(f'packing {result.games:,} games with {os.cpu_count()} cores: {result.files[0][1]:,} positions; '
                     f'refused: {refused}', 's', {'ours': [result.seconds]}, compared=False)
    return rows


@one_line_errors
def main():
    parser = argparse.ArgumentParser(prog='python -m benchmarks.go', description=__doc__.splitlines()[0])
    parser.add_argument('--games', type=int, default=1000, help='how many games are replayed (default 1000)')
    parser.add_argument('--pack', action='store_true', help='also pack all games (3.3 GB, temporary)')
    options = parser.parse_args()
    folder = Path(os.environ.get('BOOKCNN_DATA', '')) / 'go'
    if not (folder / 'tom9d-val.sgf.xz').is_file():
        raise UserError('no games: set BOOKCNN_DATA to the folder that holds go/tom9d-val.sgf.xz')
    save('benchmarks.go', 'Go: rules, planes, symmetries, packing', measure(folder, options.games, options.pack))


if __name__ == '__main__':
    sys.exit(main())
