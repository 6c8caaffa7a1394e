"""Section 7.3: matches of our engine against GNU Go, or any other engine that speaks GTP.

    python -m chapters.ch07_policy_net.match [--run RUN] [--visits N] [--level 10] [--games 40]

The same command again plays the games that are still missing.
The referee keeps the board itself: an illegal move loses. A finished game is counted by Tromp-Taylor area
after the dead stones that GNU Go names are taken off; a game in which the other program crashes is void, as GNU Go 3.8
does at some positions. Every game is saved as SGF.
"""
import contextlib
import math
import os
import re
import shlex
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

from scipy.stats import binomtest

from chapters.ch07_policy_net.gtp import engine_options
from chapters.kit.progress import tqdm
from chapters.kit.trained.zoo import results_folder
from data_tools.atomic import atomic_write
from data_tools.errors import UserError, one_line_errors
from data_tools.go.board import BLACK, WHITE, Position, move_of, vertex

_NAMES = {BLACK: 'b', WHITE: 'w'}
VOID = 'Void'
PATIENCE = 60  # seconds for an answer that takes no thinking
_PLACES = ('/usr/games', '/usr/local/games', '/opt/homebrew/bin')


class Ended(UserError):
    """Another program has ended before it answered."""


class Program:
    """Another program that speaks GTP.

    Parameters
    ----------
    command : list of str
    environment : dict of str, optional
        Added to ours.

    Raises
    ------
    UserError
        It does not start.
    """
    def __init__(self, command, environment=None):
        self._command = command
        try:
            self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
                                             env={**os.environ, **(environment or {})})
        except OSError as error:
            raise UserError(f'{command[0]}: cannot be started ({error.strerror})') from None

    def greet(self):
        """Make sure that it is an engine: UserError if it says something else, or nothing in `PATIENCE` seconds."""
        name, late = self._command[0], threading.Event()

        def give_up():
            late.set()
            self._process.kill()
        timer = threading.Timer(PATIENCE, give_up)
        timer.start()
        try:
            self._process.stdin.write('protocol_version\n')
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
            if answer.startswith('='):
                self._process.stdout.readline()
                return
        except OSError:
            answer = ''
        finally:
            timer.cancel()
        if late.is_set():
            raise UserError(f'{name}: no answer to `protocol_version` after {PATIENCE} seconds; is it an engine for GTP?')
        self._process.kill()
        raise UserError(f'{name}: answered {answer.strip()!r} to `protocol_version`: it is no engine that speaks GTP' if answer
                        else f'{name}: ended at `protocol_version`')

    def ask(self, command):
        """The answer to a command, without the `=`.

        Raises
        ------
        UserError
            It answered `?`.
        Ended
            It gave no answer.
        """
        try:
            self._process.stdin.write(command + '\n')
            self._process.stdin.flush()
        except OSError:
            raise Ended(f'{self._command[0]}: ended before `{command}`') from None
        lines = []
        for line in self._process.stdout:
            if line.strip():
                lines.append(line.rstrip())
            elif lines:
                break
        if not lines:
            raise Ended(f'{self._command[0]}: ended at `{command}`')
        if not lines[0].startswith('='):
            raise UserError(f'{self._command[0]}: answered {lines[0]} to `{command}`')
        return '\n'.join([lines[0].lstrip('=0123456789 '), *lines[1:]]) if lines[0][1:2].isdigit() \
            else '\n'.join([lines[0][1:].strip(), *lines[1:]])

    def close(self):
        """End the program."""
        try:
            self.ask('quit')
        except UserError:
            pass
        with contextlib.suppress(OSError):  # what it did not read
            self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()


def find_gnugo():
    """The path of GNU Go.

    Raises
    ------
    UserError
        It is not installed.
    """
    found = shutil.which('gnugo') or next(
        (f'{place}/gnugo' for place in _PLACES if Path(place, 'gnugo').exists()), None)
    if not found:
        raise UserError('GNU Go is not installed: apt-get install gnugo (or brew install gnu-go), or give '
                        '--against COMMAND of another GTP engine')
    return found


def play_game(engine, other, colour, size=19, komi=7.5):
    """One game of our engine as `colour` against another program, refereed.

    Parameters
    ----------
    engine : chapters.ch07_policy_net.engine.Engine
    other : Program
        It also says which stones are dead, by `final_status_list`.
    colour : BLACK or WHITE
        Ours.

    Returns
    -------
    result : str
        As SGF has it: 'B+R', 'W+3.5', 'B+F' (illegal move), '0', or `VOID`: the other program crashed.
    moves : list of (int, int)
        (colour, move).
    thinking : float
        Seconds that our engine took.
    """
    thinking = 0.0
    engine.komi = komi
    engine.clear(size)
    for command in (f'boardsize {size}', 'clear_board', f'komi {komi:g}'):
        other.ask(command)
    # simple ko: what every program plays by; superko is for the engine's own moves
    position, moves = Position(size), []

    def play():
        nonlocal thinking
        while position.passes < 2 and len(moves) < 3 * size * size:
            to_play = position.to_play
            if to_play == colour:
                began = time.perf_counter()
                move = engine.generate(to_play)
                thinking += time.perf_counter() - began
                answer = 'resign' if move is None else vertex(move, size)
            else:
                answer = other.ask(f'genmove {_NAMES[to_play]}')
                move = move_of(answer, size)
            winner = 'BW'[to_play == BLACK]
            if answer.lower() == 'resign':
                return f'{winner}+R'
            if move is None or not position.is_legal(move):
                return f'{winner}+F'
            position.play(move)
            moves.append((to_play, move))
            engine.play(to_play, move)
            if to_play == colour:
                other.ask(f'play {_NAMES[to_play]} {answer}')
        dead = [move_of(word, size) for word in other.ask('final_status_list dead').split()]
        position.set_up(empty=[move for move in dead if move is not None])
        score = position.score(komi)
        return '0' if score == 0 else f'{"B" if score > 0 else "W"}+{abs(score):g}'
    try:
        return play(), moves, thinking
    except Ended:
        if not moves:
            raise
        return VOID, moves, thinking


def to_sgf(moves, result, black, white, size=19, komi=7.5):
    """A game as SGF text."""
    def text(words):
        return words.replace('\\', '\\\\').replace(']', '\\]')
    nodes = ''.join(f';{"BW"[colour == WHITE]}[' + ('' if move == size * size else
                                                  chr(97 + move % size) + chr(97 + move // size)) + ']'
                    for colour, move in moves)
    return (f'(;GM[1]FF[4]CA[UTF-8]AP[bookcnn]SZ[{size}]KM[{komi:g}]RU[Chinese]'
            f'PB[{text(black)}]PW[{text(white)}]RE[{result}]{nodes})\n')


def won(result, colour):
    """1 if a colour won by a result as SGF has it, 0.5 for a draw, else 0."""
    return 0.5 if result == '0' else float(result[0] == 'BW'[colour == WHITE])


def wilson(wins, games):
    """The 95% confidence interval of a share (Wilson 1927); half a win, of a draw, makes it wider."""
    least, most = (binomtest(int(count), games).proportion_ci(method='wilson')
                   for count in (math.floor(wins), math.ceil(wins)))
    return least.low, most.high


def saved_result(path, size, komi):
    """The result of a game that an earlier match left in a file, or None if there is no such file.

    Raises
    ------
    UserError
        It is a game of another size or komi, or damaged.
    """
    if not path.exists():
        return None
    header = path.read_text(encoding='utf-8').split(';B[')[0]
    result = re.search(rf'RE\[(0|{VOID}|[BW]\+.*?)\]', header)
    if not result or f'SZ[{size}]KM[{komi:g}]' not in header:
        raise UserError(f'{path}: is damaged, or a game of another size or komi; choose another folder by --out')
    return result[1]


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = engine_options('match', __doc__.splitlines()[0], 0.1)
    parser.add_argument('--level', type=int, default=10, help='of GNU Go, 1 to 10 (default 10)')
    parser.add_argument('--against', metavar='COMMAND', help='another GTP engine in place of GNU Go')
    parser.add_argument('--games', type=int, default=40, metavar='N', help='colours alternate (default 40)')
    parser.add_argument('--size', type=int, default=19)
    parser.add_argument('--komi', type=float, default=7.5)
    parser.add_argument('--out', metavar='DIR', help='where the games go (default RUN/games/OPPONENT-VISITS)')
    options = parser.parse_args(arguments)
    if options.games < 1 or not 2 <= options.size <= 19:
        raise UserError('--games from 1 on, --size from 2 to 19')
    if not options.against and not 1 <= options.level <= 10:
        raise UserError(f'--level {options.level}: GNU Go has 1 to 10')
    name = options.against or f'GNU Go level {options.level}'
    changed = ''.join(f'-{name}{value:g}' for name, value in vars(options).items()  # who plays otherwise plays other games
                      if name in ('temperature', 'rollouts', 'resign_below') and value != parser.get_default(name))
    folder = Path(options.out or results_folder(options.run) / 'games'
                  / f'{name.lower().replace(" ", "-").replace("/", "_")}-visits{options.visits}{changed}')
    from chapters.ch07_policy_net.engine import load_engine
    engine = load_engine(options.run, options.visits, temperature=options.temperature, komi=options.komi,
                         seed=options.seed, rollouts=options.rollouts, resign_below=options.resign_below)
    ours = f'{Path(options.run).name} {options.visits} visits'
    wins, played = 0.0, 0
    folder.mkdir(parents=True, exist_ok=True)
    with tqdm(range(options.games), 'games', disable=None) as bar:
        for number in bar:
            seed = options.seed + number  # of the game and its file: who plays black goes by it
            colour = WHITE if seed % 2 else BLACK
            path = folder / f'game-{seed:03d}.sgf'
            result = saved_result(path, options.size, options.komi)
            if not result:
                command = (shlex.split(options.against) if options.against else
                           [find_gnugo(), '--mode', 'gtp', '--level', str(options.level), '--chinese-rules',
                            '--seed', str(seed + 1)])
                other = Program(command)
                engine.seed = seed
                seconds = time.perf_counter()
                try:
                    other.greet()
                    result, moves, thinking = play_game(engine, other, colour, options.size, options.komi)
                finally:
                    other.close()
                seconds = time.perf_counter() - seconds
                players = (ours, name) if colour == BLACK else (name, ours)
                with atomic_write(path, text=True) as file:
                    file.write(to_sgf(moves, result, *players, options.size, options.komi))
                tqdm.write(f'game {number}: {players[0]} (black) - {players[1]} (white) {result}, {len(moves)} moves, '
                           f'{thinking:.0f} s of ours, {seconds - thinking:.0f} s of theirs')
            if result != VOID:
                wins, played = wins + won(result, colour), played + 1
            bar.set_postfix_str(f'{wins:g} of {played} won')
    void = options.games - played
    if void:
        print(f'{name} crashed in {void} of {options.games} games: void, not counted; a larger --games plays others')
    if played:
        low, high = wilson(wins, played)
        print(f'{ours} won {wins:g} of {played} games against {name}: {wins / played:.1%} '
              f'(95%: {low:.1%} to {high:.1%})')
    print(folder)
    return 0


if __name__ == '__main__':
    sys.exit(main())
