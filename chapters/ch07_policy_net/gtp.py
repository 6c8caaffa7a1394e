"""Section 7.3: a Go engine that speaks GTP 2, for GoGui, Sabaki, CGOS and referees.

    python -m chapters.ch07_policy_net.gtp --run RUN [--visits N]

The protocol: Go Text Protocol, draft 2
(https://www.lysator.liu.se/~gunnar/gtp/gtp2-spec-draft2/gtp2-spec.html).
"""
import argparse
import sys
import traceback
from pathlib import Path

import numpy as np

from data_tools.errors import UserError, one_line_errors
from data_tools.go import sgf
from data_tools.go.board import BLACK, LETTERS, MAX_SIZE, WHITE, Position, star_points, vertex
from data_tools.go.sgf import KIND

COLOURS = {'b': BLACK, 'black': BLACK, 'w': WHITE, 'white': WHITE}


class Failure(Exception):
    """What a GTP command answers after `?`."""


class Gtp:
    """A GTP session.

    Parameters
    ----------
    engine : chapters.ch07_policy_net.engine.Engine
    """
    def __init__(self, engine):
        self.engine = engine
        self.running = True
        self._times = None  # main seconds, byo-yomi seconds, byo-yomi stones
        self._left = {}
        self._commands = {name[4:].replace('__', '-'): getattr(self, name) for name in dir(type(self))
                          if name.startswith('gtp_')}

    def answer(self, line):
        """The response to a line, its empty line included; '' to a line that is only space or comment."""
        line = ''.join(letter for letter in line if letter >= ' ' and letter != '\x7f' or letter == '\t')
        words = line.partition('#')[0].split()
        if not words:
            return ''
        number = words.pop(0) if words[0].isascii() and words[0].isdigit() else ''
        try:
            if not words:
                raise Failure('unknown command')
            command = self._commands.get(words[0])
            if command is None:
                raise Failure('unknown command')
            result = command(*words[1:]) or ''
            return f'={number}{" " if result else ""}{result}\n\n'
        except Failure as failure:
            return f'?{number} {failure}\n\n'
        except TypeError as error:
            if error.__traceback__.tb_next is None:  # the call itself: not the arguments of this command
                return f'?{number} syntax error\n\n'
            return self._bug(number)
        except Exception:  # the session must go on
            return self._bug(number)

    @staticmethod
    def _bug(number):
        traceback.print_exc()
        return f'?{number} internal error\n\n'

    # ---- arguments ----

    @staticmethod
    def _colour(word):
        if word.lower() not in COLOURS:
            raise Failure('syntax error: not a colour')
        return COLOURS[word.lower()]

    def _move(self, word):
        size, word = self.engine.position.size, word.upper()
        if word == 'PASS':
            return size * size
        column, row = LETTERS.find(word[0]), word[1:]
        if column < 0 or not (row.isascii() and row.isdigit()) or len(row) > 2 or not 1 <= int(row) <= size \
                or column >= size:
            raise Failure('syntax error: not a vertex')
        return column + size * (size - int(row))

    @staticmethod
    def _number(word, kind=int, least=0, most=10 ** 6):
        try:
            value = kind(word)
        except ValueError:
            raise Failure('syntax error: not a number') from None
        if not least <= value <= most:
            raise Failure('unacceptable number')
        return value

    def _points(self, moves):
        return ' '.join(vertex(move, self.engine.position.size) for move in moves)

    # ---- administration ----

    def gtp_protocol_version(self):
        return '2'

    def gtp_name(self):
        return 'bookcnn'

    def gtp_version(self):
        return '7.2' + (f', {self.engine.visits} visits a move' if self.engine.visits else '')

    def gtp_known_command(self, name=''):
        return 'true' if name in self._commands else 'false'

    def gtp_list_commands(self):
        return '\n'.join(sorted(self._commands))

    def gtp_quit(self):
        self.running = False

    # ---- the game ----

    def gtp_boardsize(self, size):
        value = self._number(size)
        if not 2 <= value <= MAX_SIZE:
            raise Failure('unacceptable size')
        self.engine.clear(value)

    def gtp_clear_board(self):
        self.engine.clear()
        self._left = {}

    def gtp_komi(self, komi):
        self.engine.komi = self._number(komi, float, -1000, 1000)

    def gtp_play(self, colour, point):
        try:
            self.engine.play(self._colour(colour), self._move(point))
        except ValueError:
            raise Failure('illegal move') from None

    def gtp_undo(self):
        try:
            self.engine.undo()
        except ValueError:
            raise Failure('cannot undo') from None

    def gtp_genmove(self, colour):
        colour = self._colour(colour)
        self.engine.seconds = self._seconds(colour)
        move = self.engine.generate(colour)
        if move is None:
            return 'resign'
        self.engine.play(colour, move)
        return vertex(move, self.engine.position.size)

    def gtp_reg_genmove(self, colour):
        move = self.engine.generate(self._colour(colour))
        return 'resign' if move is None else vertex(move, self.engine.position.size)

    def gtp_fixed_handicap(self, number):
        size, count = self.engine.position.size, self._number(number)
        low, high = (3 if size > 12 else 2), size - 1 - (3 if size > 12 else 2)
        most = 0 if size < 7 else 4 if size % 2 == 0 or size == 7 else 9
        if not 2 <= count <= most:
            raise Failure('invalid number of stones')
        middle = size // 2
        points = [(low, high), (high, low), (low, low), (high, high)][:count]  # x, y from the top
        if count > 5:
            points += [(low, middle), (high, middle)]
        if count > 7:
            points += [(middle, low), (middle, high)]
        if count in (5, 7, 9):
            points.append((middle, middle))
        return self._handicap([x + size * y for x, y in points])

    def gtp_place_free_handicap(self, number):
        size, count = self.engine.position.size, self._number(number)
        if not 2 <= count <= size * size - 1:
            raise Failure('invalid number of stones')
        points = star_points(size)
        points += [move for move in range(size * size) if move not in points]
        return self._handicap(points[:min(count, max(2, len(star_points(size))))])

    def gtp_set_free_handicap(self, *points):
        moves = [self._move(point) for point in points]
        size = self.engine.position.size
        if not 2 <= len(moves) < size * size or len(set(moves)) < len(moves) or size * size in moves:
            raise Failure('bad vertex list')
        self._handicap(moves)

    def _handicap(self, moves):
        if self.engine.position.board.any():
            raise Failure('board not empty')
        position = Position(self.engine.position.size, superko=True)
        try:
            position.set_up(black=moves)
        except ValueError:
            raise Failure('bad vertex list') from None
        position.to_play = WHITE
        self.engine.set_up(position)
        return self._points(moves)

    def gtp_loadsgf(self, *words):
        if not words:
            raise Failure('syntax error')
        last = None
        if len(words) > 1 and words[-1].isdigit():
            *words, last = words
        try:
            path = Path(' '.join(words))
            found, = list(sgf.read_games(path))[:1] if path.is_file() else [None]
        except (UserError, OSError, ValueError):  # ValueError: no game in it
            raise Failure('cannot load file') from None
        if found is None or isinstance(found, sgf.Refused):
            raise Failure('cannot load file')
        position, moves = Position(found.size, superko=True), []
        for event in found.events.tolist():
            kind, move = divmod(event, KIND)
            if kind in (sgf.PLAY_BLACK, sgf.PLAY_WHITE):
                if last is not None and len(moves) + 1 >= int(last):
                    break
                moves.append((kind - sgf.PLAY_BLACK + 1, move))
            elif moves:
                raise Failure('cannot load file')  # stones set up in the middle of a game
            else:
                try:
                    position.set_up(*([move] if kind == wanted else [] for wanted in
                                      (sgf.ADD_BLACK, sgf.ADD_WHITE, sgf.REMOVE)))
                except ValueError:
                    raise Failure('cannot load file') from None
        if position.board.any():
            position.to_play = WHITE
        kept = self.engine.position, self.engine.moves, self.engine._earlier
        self.engine.set_up(position)
        try:
            for colour, move in moves:
                self.engine.play(colour, move)
        except ValueError:
            self.engine.set_up(kept[0])
            self.engine.moves, self.engine._earlier = kept[1:]
            raise Failure('cannot load file') from None

    # ---- time ----

    def gtp_time_settings(self, main, byoyomi, stones):
        self._times = tuple(self._number(word, least=0, most=10 ** 9) for word in (main, byoyomi, stones))
        self._left = {}
        if self._times[1] > 0 and self._times[2] == 0:
            self._times = None  # the protocol's way of saying: no limit

    def gtp_time_left(self, colour, seconds, stones):
        left = self._number(seconds, float, -10 ** 9, 10 ** 9), self._number(stones)
        self._left[self._colour(colour)] = left

    def _seconds(self, colour):
        """Seconds for a move of `colour`, or None."""
        if self._times is None:
            return None
        main, byoyomi, stones = self._times
        left, left_stones = self._left.get(colour, (main, 0) if main else (byoyomi, stones))
        if left_stones:
            return max(0.05, 0.8 * left / left_stones - 0.1)
        moves_to_come = max(20, 0.6 * self.engine.position.size ** 2 - len(self.engine.moves)) / 2
        return max(0.05, left / moves_to_come - 0.1)

    # ---- the end ----

    def gtp_final_score(self):
        score = self.engine.score()
        return '0' if score == 0 else f'{"B" if score > 0 else "W"}+{abs(score):g}'

    def gtp_final_status_list(self, status):
        dead = set(self.engine.dead())
        stones = np.flatnonzero(self.engine.position.board.ravel())
        if status == 'dead':
            wanted = [move for move in stones if move in dead]
        elif status == 'alive':
            wanted = [move for move in stones if move not in dead]
        elif status == 'seki':
            wanted = []
        else:
            raise Failure('syntax error')
        return self._points(wanted)

    # ---- looking ----

    def gtp_showboard(self):
        return '\n' + str(self.engine.position)

    def gtp_gogui__analyze_commands(self):
        return 'gfx/Top 9 moves/bookcnn-top_moves\ndboard/Probabilities/bookcnn-probabilities'

    def gtp_bookcnn__top_moves(self):
        chances, size = self.engine.probabilities(), self.engine.position.size
        best = [move for move in np.argsort(-chances)[:9] if chances[move] > 0 and move < size * size]
        labels = ' '.join(f'{vertex(move, size)} {100 * chances[move]:.1f}' for move in best)
        lines = [f'LABEL {labels}'] if best else []
        for move in best:
            paler = f'{255 - int(155 * chances[move] / chances[best[0]]):02x}'
            lines.append(f'COLOR #{paler}ff{paler} {vertex(move, size)}')
        return '\n'.join(lines + ['TEXT the network\'s top moves, %'])

    def gtp_bookcnn__probabilities(self):
        size = self.engine.position.size
        board = self.engine.probabilities()[:-1].reshape(size, size)
        return '\n'.join(' '.join(f'{value:.4f}' for value in row) for row in board)


def serve(gtp, lines, out):
    """Answer lines until `quit` or their end."""
    for line in lines:
        out.write(gtp.answer(line))
        out.flush()
        if not gtp.running:
            break


def engine_options(program, description, temperature):
    """A command line with what a program that plays needs to know.

    Parameters
    ----------
    program, description : str
    temperature : float
        The default.

    Returns
    -------
    argparse.ArgumentParser
    """
    parser = argparse.ArgumentParser(f'python -m chapters.ch07_policy_net.{program}', description=description)
    parser.add_argument('--run', required=True, metavar='RUN', help='the run folder of a policy network')
    parser.add_argument('--visits', type=int, default=0, metavar='N',
                        help='of the tree search; 0: the network alone')
    parser.add_argument('--temperature', type=float, default=temperature, metavar='T',
                        help=f'without search: above 0, moves vary (default {temperature:g})')
    parser.add_argument('--seed', type=int, default=0)
    return parser


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = engine_options('gtp', __doc__.splitlines()[0], 0.0)
    parser.add_argument('--never-resign', action='store_true')
    options = parser.parse_args(arguments)
    from chapters.ch07_policy_net.engine import load_engine
    engine = load_engine(options.run, options.visits, temperature=options.temperature,
                         resigns=not options.never_resign, seed=options.seed)
    with open(sys.stdin.fileno(), encoding='latin-1', newline='\n', closefd=False) as lines:  # any byte is a letter
        serve(Gtp(engine), lines, sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())
