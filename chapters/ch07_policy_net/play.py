"""Section 7.3: a person plays against the network in the terminal.

    python -m chapters play [--run RUN] [--visits N] [--colour white]
"""
import sys

import numpy as np

from chapters.ch07_policy_net.gtp import Failure, Gtp, most_handicap
from data_tools.errors import UserError
from data_tools.go.board import BLACK, MAX_SIZE, WHITE, vertex

HELP = 'your move as {}; also: pass, undo, hint, score, resign, quit'


def play_in_terminal(run, visits=0, colour='black', size=19, komi=None, handicap=0, lines=None):
    """Play one game.

    Parameters
    ----------
    run : path-like
        The run folder of a policy network.
    visits : int
        Of the tree search; 0: the network alone.
    colour : str
        The person's, 'black' or 'white'.
    size : int
        Of the board.
    komi : float, optional
        Default: 7.5, and 0.5 with handicap.
    handicap : int
        Stones that black is given on the star points, 2 to 9 on a large board; white then moves first.
    lines : iterable of str, optional
        What the person types; default: the keyboard.
    """
    if not 2 <= size <= MAX_SIZE:
        raise UserError(f'--size {size}: a board has 2 to {MAX_SIZE} lines')
    from chapters.ch07_policy_net.engine import load_engine
    komi = (0.5 if handicap else 7.5) if komi is None else komi
    engine = load_engine(run, visits, size=size, komi=komi)
    person = BLACK if colour == 'black' else WHITE
    gtp, lines = Gtp(engine), iter(sys.stdin if lines is None else lines)
    if handicap:
        try:
            gtp.gtp_fixed_handicap(str(handicap))
        except Failure:
            raise UserError(f'--handicap {handicap}: a board of {size} lines has '
                            + (f'2 to {most_handicap(size)} such stones' if most_handicap(size) else 'none')) from None
    help_line = HELP.format(vertex(min(3, size - 1) * size + max(0, size - 4), size))  # Q16, on a board that has it
    print(f'You are {colour}, {"X" if person == BLACK else "O"}. {help_line}')
    print(engine.position)
    while engine.position.passes < 2:
        if engine.position.to_play != person:
            print('the network likes ' + top_moves(engine))
            move = engine.generate(3 - person)
            if move is None:
                print('The network resigns. You win.')
                return
            engine.play(3 - person, move)
            print(engine.position)
            print(f'The network plays {vertex(move, size)}.')
            continue
        print('> ', end='', flush=True)
        words = next(lines, 'quit').split()
        word = words[0].lower() if words else ''
        if word in ('quit', 'resign'):
            print('The network wins.' if word == 'resign' else 'Bye.')
            return
        if word == 'hint':
            print(top_moves(engine))
        elif word == 'score':
            print(gtp.gtp_final_score())
        elif word == 'undo':
            for _ in range(min(2, len(engine.moves))):
                engine.undo()
            print(engine.position)
        elif word:
            try:
                gtp.gtp_play(colour, word)
                print(engine.position)
            except Failure as failure:
                print(f'{failure}; {help_line}')
    dead = gtp.gtp_final_status_list('dead') or 'none'
    print(f'Two passes: {gtp.gtp_final_score()}, dead stones taken off: {dead}')


def top_moves(engine, number=5):
    """The network's first moves with their probabilities, in words."""
    chances = engine.probabilities()
    return ', '.join(f'{vertex(move, engine.position.size)} {chances[move]:.0%}'
                     for move in np.argsort(-chances)[:number] if chances[move] > 0)
