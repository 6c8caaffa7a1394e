"""Section 7.3: a Go engine that speaks GTP 2, for GoGui, Sabaki, Lizzie, KGS, CGOS and referees.

    python -m chapters.ch07_policy_net.gtp [--run RUN] [--visits N] [--rules tromp-taylor]

The protocol: Go Text Protocol, draft 2
(https://www.lysator.liu.se/~gunnar/gtp/gtp2-spec-draft2/gtp2-spec.html); what windows and servers add to it: `gogui-`,
`kgs-`, and the analysis of Leela Zero and KataGo, `lz-` and `kata-`.
"""
import math
import queue
import re
import sys
import threading
import time
import traceback
from pathlib import Path

import numpy as np

from chapters.ch07_policy_net import POLICY
from chapters.ch07_policy_net.clock import Clock
from data_tools.errors import Parser, UserError, one_line_errors
from data_tools.go import sgf
from data_tools.go.board import BLACK, EMPTY, MAX_SIZE, WHITE, Position, move_of, star_points, vertex

COLOURS = {'b': BLACK, 'black': BLACK, 'w': WHITE, 'white': WHITE}
_CLOCKS = {'none': 0, 'absolute': 1, 'byoyomi': 3, 'canadian': 3, 'fischer': 2, 'fischer-capped': 4}  # numbers that follow


class Failure(Exception):
    """What a GTP command answers after `?`."""


def most_handicap(size):
    """How many handicap stones have their place on a board of so many lines, by GTP 2."""
    return 0 if size < 7 else 4 if size % 2 == 0 or size == 7 else 9


class Gtp:
    """A GTP session.

    Parameters
    ----------
    engine : chapters.ch07_policy_net.engine.Engine
    """
    def __init__(self, engine):
        self.engine = engine
        self.running = True
        self._clock = Clock()
        self._commands = {name[4:].replace('__', '-'): getattr(self, name) for name in dir(type(self))
                          if name.startswith('gtp_')}

    def answer(self, line):
        """The response to a line, its empty line included; '' to a line that is only space or comment."""
        said = []
        self.respond(line, said.append, lambda: True)
        return ''.join(said)

    def respond(self, line, write, interrupted):
        """Answer a line.

        Parameters
        ----------
        line : str
        write : callable
            (text): called once, or, by an analysis, again and again.
        interrupted : callable
            () -> bool: whether the next line is there, which ends an analysis.
        """
        line = ''.join(letter for letter in line if letter >= ' ' and letter != '\x7f' or letter == '\t')
        words = [word for word in re.split('[ \t]+', line.partition('#')[0]) if word]
        if not words:
            return
        number = words.pop(0) if words[0].isascii() and words[0].isdigit() else ''
        self._stream = None

        def stream():
            write(f'={number}\n')
            self._stream = write
        self._begin_stream, self._interrupted = stream, interrupted
        try:
            if not words:
                raise Failure('unknown command')
            command = self._commands.get(words[0])
            if command is None:
                raise Failure('unknown command')
            result = command(*words[1:]) or ''
            answer = f'={number}{" " if result else ""}{result}'
        except Failure as failure:
            answer = f'?{number} {failure}'
        except TypeError as error:
            if error.__traceback__.tb_next is None:  # the call itself: not the arguments of this command
                answer = f'?{number} syntax error'
            else:
                answer = self._bug(number)
        except Exception:  # the session must go on
            answer = self._bug(number)
        write('\n' if self._stream else f'{answer}\n\n')

    @staticmethod
    def _bug(number):
        traceback.print_exc()
        return f'?{number} internal error'

    # ---- arguments ----

    @staticmethod
    def _colour(word):
        if word.lower() not in COLOURS:
            raise Failure('syntax error: not a colour')
        return COLOURS[word.lower()]

    def _move(self, word):
        move = move_of(word, self.engine.position.size)
        if move is None:
            raise Failure('syntax error: not a vertex')
        return move

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
        self._clock.begin()

    def gtp_clear_board(self):
        self.engine.clear()
        self._clock.begin()

    def gtp_komi(self, komi):
        self.engine.komi = self._number(komi, float, -1000, 1000)

    def gtp_get_komi(self):
        return f'{self.engine.komi:g}'

    def _set_rules(self, name):
        try:
            self.engine.rules = name.lower().replace('_', '-')
        except UserError:
            raise Failure('unsupported rules') from None

    gtp_kgs__rules = gtp_kata__set__rules = _set_rules

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
        return self._play_own(self._colour(colour))

    def gtp_kgs__genmove_cleanup(self, colour):
        return self._play_own(self._colour(colour), captures=True)

    def _play_own(self, colour, **how):
        engine, began = self.engine, time.monotonic()
        engine.seconds = self._clock.seconds(colour, max(20, 0.7 * engine.position.size ** 2 - len(engine.moves)) / 2)
        move = engine.generate(colour, **how)
        self._clock.spent(colour, time.monotonic() - began)
        if move is None:
            return 'resign'
        engine.play(colour, move)
        return vertex(move, engine.position.size)

    def gtp_reg_genmove(self, colour):
        move = self.engine.generate(self._colour(colour))
        return 'resign' if move is None else vertex(move, self.engine.position.size)

    def gtp_fixed_handicap(self, number):
        size, count = self.engine.position.size, self._number(number)
        low, high = (3 if size > 12 else 2), size - 1 - (3 if size > 12 else 2)
        if not 2 <= count <= most_handicap(size):
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
        self.engine.handicap = len(moves)
        return self._points(moves)

    def gtp_loadsgf(self, *words):
        if not words:
            raise Failure('syntax error')
        until = None
        if len(words) > 1 and words[-1].isdigit():
            *words, last = words
            until = max(0, int(last) - 1)
        try:
            path = Path(' '.join(words))
            if not path.is_file():
                raise Failure('cannot load file')
            self.engine.load(sgf.read_record(path, until))
        except (UserError, OSError, ValueError):
            raise Failure('cannot load file') from None
        self._clock.begin()

    def _coloured_points(self, words, colours):
        if not words or len(words) % 2:
            raise Failure('syntax error')
        found = []
        for colour, point in zip(words[::2], words[1::2]):
            if colour.lower() not in colours:
                raise Failure('syntax error: not a colour')
            found.append((colours[colour.lower()], self._move(point)))
        return found

    def gtp_gogui__setup(self, *words):
        found = self._coloured_points(words, {**COLOURS, 'e': EMPTY, 'empty': EMPTY})
        try:
            self.engine.change(*([move for kind, move in found if kind == colour] for colour in (BLACK, WHITE, EMPTY)))
        except ValueError:
            raise Failure('cannot set up') from None

    def gtp_gogui__setup_player(self, colour):
        self.engine.position.to_play = self._colour(colour)

    def gtp_gogui__play_sequence(self, *words):
        played = 0
        try:
            for colour, move in self._coloured_points(words, COLOURS):
                self.engine.play(colour, move)
                played += 1
        except ValueError:
            for _ in range(played):
                self.engine.undo()
            raise Failure('illegal move') from None

    # ---- time ----

    def gtp_time_settings(self, main, period, stones):
        self._set_clock('canadian', main, period, stones)

    def _set_clock(self, kind, *words):
        """As KGS and KataGo say it."""
        if _CLOCKS.get(kind) != len(words):
            raise Failure('syntax error')
        words, limits = (words[:2], words[2:]) if kind == 'fischer-capped' else (words, ())
        main, period, number = (*(self._number(word, float, 0, 10 ** 9) for word in words), 0, 0, 0)[:3]
        limits = [self._number(word, float, -10 ** 9, 10 ** 9) for word in limits]
        number = int(number)
        if kind == 'none' or kind == 'canadian' and period > 0 and not number:  # the protocol's way of saying: no limit
            self._clock = Clock()
        elif kind.startswith('fischer'):
            most = [math.inf if limit < 0 else limit for limit in limits]  # KataGo's way of saying: none
            self._clock = Clock(main, 0, 0, 0, period, *most)
        elif kind == 'byoyomi':
            self._clock = Clock(main, period, periods=number)
        else:
            self._clock = Clock(main, period, number)

    gtp_kgs__time_settings = gtp_kata__time_settings = _set_clock

    def gtp_kata__list_time_settings(self):
        return ' '.join(_CLOCKS)

    def gtp_time_left(self, colour, seconds, stones):
        left = self._number(seconds, float, -10 ** 9, 10 ** 9), self._number(stones)
        self._clock.left(self._colour(colour), *left)

    # ---- the end ----

    def gtp_final_score(self):
        score = self.engine.score()
        return '0' if score == 0 else f'{"B" if score > 0 else "W"}+{abs(score):g}'

    def gtp_final_status_list(self, status):
        dead, shared = set(self.engine.dead()), set(self.engine.seki())
        stones = np.flatnonzero(self.engine.position.board.ravel())
        if status == 'dead':
            wanted = [move for move in stones if move in dead]
        elif status == 'alive':
            wanted = [move for move in stones if move not in dead | shared]
        elif status == 'seki':
            wanted = [move for move in stones if move in shared]
        else:
            raise Failure('syntax error')
        return self._points(wanted)

    # ---- looking ----

    def gtp_showboard(self):
        return '\n' + str(self.engine.position)

    def gtp_gogui__analyze_commands(self):
        return ('gfx/Top 9 moves/bookcnn-top_moves\ndboard/Probabilities/bookcnn-probabilities\n'
                'dboard/Ownership/bookcnn-ownership')

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
        return self._board(self.engine.probabilities()[:-1])

    def gtp_bookcnn__ownership(self):
        return self._board(self.engine.owners())

    def _board(self, values):
        rows = values.reshape(self.engine.position.size, -1)
        return '\n'.join(' '.join(f'{value:.4f}' for value in row) for row in rows)

    # ---- analysis ----

    def gtp_lz__analyze(self, *words):
        self._analyse(*self._wishes(words))

    def gtp_kata__analyze(self, *words):
        self._analyse(*self._wishes(words), kata=True)

    def gtp_lz__genmove_analyze(self, *words):
        self._play_analysed(*self._wishes(words))

    def gtp_kata__genmove_analyze(self, *words):
        self._play_analysed(*self._wishes(words), kata=True)

    def _wishes(self, words):
        """(colour, {'interval': hundredths of a second, ...}) of `[COLOUR] [INTERVAL] [NAME VALUE ...]`."""
        words, wishes = list(words), {'interval': '100', 'maxmoves': '1000', 'ownership': 'false'}
        colour = COLOURS[words.pop(0).lower()] if words and words[0].lower() in COLOURS else self.engine.position.to_play
        if words and words[0].isascii() and words[0].isdigit():
            wishes['interval'] = words.pop(0)
        if len(words) % 2:
            raise Failure('syntax error')
        wishes.update(zip(words[::2], words[1::2]))
        return colour, {**wishes, 'interval': self._number(wishes['interval']), 'maxmoves': self._number(wishes['maxmoves'])}

    def _analyse(self, colour, wishes, kata=False):
        owners = self._owners(colour, wishes) if kata else ''
        said, searched = time.monotonic(), self.engine.analyse(colour)
        for search in searched:
            if self._interrupted() or time.monotonic() - said >= wishes['interval'] / 100:
                self._say(self._info(search, wishes, kata) + owners)
                said = time.monotonic()
                if self._interrupted():
                    break

    def _play_analysed(self, colour, wishes, kata=False):
        owners = self._owners(colour, wishes) if kata else ''
        said = time.monotonic()

        def watch(search):
            nonlocal said
            if time.monotonic() - said >= wishes['interval'] / 100 or search.total_visits >= self.engine.visits:
                self._say(self._info(search, wishes, kata) + owners)
                said = time.monotonic()
        self._say(f'play {self._play_own(colour, watch=watch)}')

    def _say(self, line):
        if not self._stream:
            self._begin_stream()
        self._stream(line + '\n')

    def _owners(self, colour, wishes):
        if wishes['ownership'] != 'true':
            return ''
        self.engine.position.to_play = colour
        owners = self.engine.owners() * (1 if colour == BLACK else -1)
        return ' ownership ' + ' '.join(f'{value:.3f}' for value in owners)

    def _info(self, search, wishes, kata):
        """What was found of each move that was searched, in the eyes of the player to move."""
        visits, size, moves = search.visits, self.engine.position.size, []
        order = [move for move in np.argsort(-visits, kind='stable') if visits[move]][:wishes['maxmoves']]
        for number, move in enumerate(order):
            won = (search.value(move) + 1) / 2
            least = max(0.0, won - 2 * (won * (1 - won) / visits[move]) ** 0.5)
            shares = [f'{share:.4f}' if kata else str(round(10000 * share)) for share in (won, search.prior[move], least)]
            moves.append(f'info move {vertex(move, size)} visits {visits[move]} winrate {shares[0]} prior {shares[1]} '
                         f'lcb {shares[2]} order {number} pv {self._points(search.variation(move))}')
        return ' '.join(moves)


def serve(gtp, lines, out):
    """Answer lines until `quit` or their end; they are read in a thread, for the next one ends an analysis."""
    waiting = queue.Queue()

    def read():
        for line in lines:
            waiting.put(line)
        waiting.put(None)
    threading.Thread(target=read, daemon=True).start()

    def write(text):
        out.write(text)
        out.flush()
    while gtp.running:
        line = waiting.get()
        if line is None:
            break
        gtp.respond(line, write, lambda: not waiting.empty())


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
    parser = Parser(f'python -m chapters.ch07_policy_net.{program}', description=description)
    parser.add_argument('--run', default=POLICY, metavar='RUN',
                        help=f'the run folder of a policy network (default: {POLICY}, which comes along)')
    parser.add_argument('--visits', type=int, default=0, metavar='N',
                        help='of the tree search; 0: the network alone')
    parser.add_argument('--temperature', type=float, default=temperature, metavar='T',
                        help=f'without search: above 0, moves vary (default {temperature:g})')
    parser.add_argument('--rollouts', type=float, metavar='SHARE',
                        help='of the value in the search that a game played out has; 0: the head alone; 1: without it; AlphaGo '
                             'had 0.5 (default: the share of the board that has stones on it)')
    parser.add_argument('--resign-below', type=float, default=0.03, metavar='SHARE',
                        help='resign if less than so many games played out are won; AlphaGo did below 0.2 (default 0.03)')
    parser.add_argument('--seed', type=int, default=0)
    return parser


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = engine_options('gtp', __doc__.splitlines()[0], 0.0)
    parser.add_argument('--never-resign', action='store_true')
    parser.add_argument('--rules', default='chinese', metavar='NAME',
                        help='chinese (default), aga, new-zealand; tromp-taylor, as on CGOS: dead stones must be captured')
    options = parser.parse_args(arguments)
    from chapters.ch07_policy_net.engine import load_engine
    engine = load_engine(options.run, options.visits, temperature=options.temperature,
                         resigns=not options.never_resign, seed=options.seed, rules=options.rules, rollouts=options.rollouts,
                         resign_below=options.resign_below)
    engine.warm_up()  # before a clock runs
    # any byte is a letter, and comes back as it was where a file is opened
    with open(sys.stdin.fileno(), encoding='utf-8', errors='surrogateescape', newline='\n', closefd=False) as lines:
        serve(Gtp(engine), lines, sys.stdout)
    return 0


if __name__ == '__main__':
    sys.exit(main())
