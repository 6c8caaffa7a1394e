"""Section 6.2: what policy network, value and search think of a position, drawn as the book draws it.

    python -m chapters.ch07_policy_net.thinking --set network=RUN --set game=GAME.sgf --set move=78

It stands in chapter 7 since it needs chapter 7's network and what judges positions for it.
"""
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, List

import numpy as np

from chapters.ch04_cnn.board_drawing import board_axes, draw_board, draw_choices, draw_line
from chapters.ch07_policy_net import POLICY
from chapters.ch07_policy_net.engine import load_engine
from chapters.kit.experiment import BookFigure, WorkedExample, figures_of
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.board import BLACK, Position, move_of, vertex

# AlphaGo (black) against Lee Sedol, 13 March 2016, game 4, up to AlphaGo's answer to move 78 (L11): K10, and not L10.
GAME = ('pd dp cd qp op oq nq pq cn fq mp po iq ec hd cg ed cj dc bp nc qi ep eo dk fp ck dj ej ei fi eh fh bj fk fg gg ff gf '
        'mc md lc nb id hc jg pj pi oj oi ni nh mh ng mg mi nj mf li ne nd mj lf mk me nf lh qj kk ik ji gh hj ge he fd fc '
        'ki jj')
_NINE = 9  # moves with their order, as the book's figures have them
_SHOWN = 24  # moves with their values
_KOMI = 7.5


def position_after(move, game=''):
    """The position after so many moves.

    Parameters
    ----------
    move : int
        0: after all.
    game : path-like
        SGF; default: game 4 of AlphaGo and Lee Sedol, to move 79.

    Returns
    -------
    data_tools.go.board.Position

    Raises
    ------
    UserError
        No such file or move.
    """
    position = Position()
    if game:
        record = sgf.read_record(game, move or None)
        if len(record.events) < move:
            raise UserError(f'move={move}: {game} has {len(record.events)} moves')
        if record.size != 19:
            raise UserError(f'{game}: a board of {record.size} lines; the network plays on 19')
        for number, event in enumerate(record.events.tolist()):
            kind, point = divmod(event, sgf.KIND)
            if kind < sgf.PLAY_BLACK:
                raise UserError(f'{game}: stones are set up; only moves are followed here')
            try:
                position.play(point, kind - sgf.PLAY_BLACK + 1)
            except ValueError as error:
                raise UserError(f'{game}, move {number + 1}: {error}') from None
        return position
    moves = GAME.split()
    if not 0 <= move <= len(moves):
        raise UserError(f'move={move}: here are the first {len(moves)} moves of the game; name a record by game=FILE.sgf')
    for x, y in moves[:move or None]:
        position.play(ord(x) - ord('a') + 19 * (ord(y) - ord('a')))
    return position


@dataclass(frozen=True)
class Thoughts:
    """What is thought of a position: of each point, (361,), in the eyes of the player to move.

    Attributes
    ----------
    policy : numpy.ndarray
        Probability that the move is played.
    value : numpy.ndarray
        Chance to win after the move, by one look of what judges positions; nan where illegal.
    tree, rollouts : numpy.ndarray
        The same by a tree search with this value, and by one with games played out; nan where neither went.
    visits : numpy.ndarray
        Share of the visits of a search with half of each, as AlphaGo had it (6.1.1).
    line : list of int
        The moves that this search expects, its choice first.
    """
    policy: Any
    value: Any
    tree: Any
    rollouts: Any
    visits: Any
    line: List[int]


def think(engine, position, visits):
    """The six boards of 6.2.6.

    Parameters
    ----------
    engine : chapters.ch07_policy_net.engine.Engine
        With a head that judges positions.
    position : Position
    visits : int
        Of each of the three searches.

    Returns
    -------
    Thoughts
    """
    engine.set_up(position.copy())
    policy, value = engine.probabilities()[:-1], engine.values()
    found = {}
    for share in tqdm((0.0, 1.0, 0.5), 'searches', leave=False, disable=None):
        search = searched(engine, visits, share)
        with np.errstate(invalid='ignore'):
            chances = np.array([(search.value(move) + 1) / 2 if search.visits[move] else np.nan
                                for move in range(len(policy))])
        found[share] = chances, search
    _, search = found[0.5]
    return Thoughts(policy, value, found[0.0][0], found[1.0][0], search.visits[:-1] / search.total_visits,
                    search.variation(search.choose()))


def searched(engine, visits, rollouts):
    """A finished search of the engine's position, in whose values games played out have such a share."""
    engine.rollouts = rollouts
    for search in engine.analyse(engine.position.to_play):
        if search.total_visits >= visits:
            return search


def draw_six_boards(position, thoughts, title=''):
    """The boards of figures 6-18 to 6-20; a red ring is what the search plays.

    Parameters
    ----------
    position : Position
    thoughts : Thoughts
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = figures.plt.subplots(2, 3, figsize=(16.5, 11.4))
    liked = np.argsort(-(thoughts.policy + 1e-3 * np.nan_to_num(thoughts.value)))[:_SHOWN]
    for axis, (name, numbers) in zip(axes.ravel(), (
            ('policy: probability of the move, %', None),
            ('value after the move: games won, %', np.where(np.isin(np.arange(361), liked), thoughts.value, np.nan)),
            ('the same by a tree search with this value, %', thoughts.tree),
            ('by a tree search with games played out, %', thoughts.rollouts),
            ('half of each: share of the visits, %', None), ('what it expects', None))):
        axis.set_title(name)
        if name.startswith('policy'):
            draw_choices(axis, position, thoughts.policy, _SHOWN)
        elif name.startswith('half'):
            draw_choices(axis, position, thoughts.visits, _SHOWN)
        elif numbers is not None:
            draw_board(axis, position)
            _write(axis, numbers)
        else:
            draw_line(axis, position, thoughts.line[:8])
        axis.add_patch(figures.plt.Circle((thoughts.line[0] % 19, thoughts.line[0] // 19), 0.52, fill=False,
                                          edgecolor='red', linewidth=2, zorder=6))
    figure.suptitle(title or figures.text('6.2.6 Policy, value and search of one position', '同一局面的策略、价值与搜索'))
    figure.tight_layout(h_pad=2, rect=(0, 0, 1, 0.98))
    return figure


def _write(axis, values):
    """Chances of moves on their points; the best in blue."""
    best = np.nanargmax(values) if np.isfinite(values).any() else -1
    for move in np.flatnonzero(np.isfinite(values)):
        axis.add_patch(figures.plt.Circle((move % 19, move // 19), 0.46, facecolor='#9ec5f5' if move == best else '#b7dfb0',
                                          zorder=4))
        axis.text(move % 19, move // 19, f'{100 * values[move]:.0f}', ha='center', va='center', fontsize=8, zorder=5)


def six_boards(run, network=POLICY, game='', move=78, visits=400, points='L10 K10'):
    """Six boards of one position: policy, value, the value by a tree, by games played out, visits, the expected line.

    Parameters
    ----------
    run : Run
    network : str
        Run folder of a policy network with its `ownership` head.
    game : str
        SGF; empty: AlphaGo against Lee Sedol, game 4.
    move : int
        The position after so many moves; 0: after all.
    visits : int
        Of each search.
    points : str
        Moves to say figures of. After move 78 AlphaGo answered K10; the book's network answers L10.

    Returns
    -------
    dict
        Of each point 'policy_', 'rank_' (among the policy's moves, from 1), 'value_', 'tree_', 'rollouts_', 'visits_'; 0
        visits and no 'tree_' or 'rollouts_' where a search never went. And the share of the move that the search plays.
    """
    if visits < 2:
        raise UserError(f'visits={visits}: give a number from 2 on')
    named = {point: move_of(point) for point in points.split()}
    for point, number in named.items():
        if number is None or number == 361:
            raise UserError(f'points={points}: {point} is no point of the board')
    position = position_after(move, game)
    engine = load_engine(network, visits, lambda words: run.say(str(words)), komi=_KOMI, seed=run.seed)
    thoughts = think(engine, position, visits)
    title = f'{Path(game).name if game else "AlphaGo - Lee Sedol, game 4"}, after move {position.move_number}'
    run.save_figure(draw_six_boards(position, thoughts, title), 'six-boards')
    run.save_figure(draw_answers(position, thoughts, named, title), 'answers')
    choice = thoughts.line[0]
    liked = ', '.join(f'{vertex(number)} {thoughts.policy[number]:.0%}' for number in _best(thoughts.policy, 5))
    run.say(f'the network likes {liked}; the search plays {vertex(choice)}, expecting '
            + ' '.join(map(vertex, thoughts.line[1:6])))
    metrics = {'share_of_the_choice': thoughts.visits[choice] if choice < 361 else 0}
    for point, number in named.items():
        metrics[f'rank_{point}'] = int((thoughts.policy > thoughts.policy[number]).sum()) + 1
        for name in ('policy', 'value', 'tree', 'rollouts', 'visits'):
            if np.isfinite(getattr(thoughts, name)[number]):
                metrics[f'{name}_{point}'] = float(getattr(thoughts, name)[number])
    return metrics


def _best(numbers, count):
    return np.argsort(-numbers)[:count]


def draw_answers(position, thoughts, named, title=''):
    """Figure 6-21: the policy's first nine moves by their order, beside the search's by visits; rings around named points.

    Parameters
    ----------
    position : Position
    thoughts : Thoughts
    named : dict of str to int
        Points to ring.
    title : str
    """
    figure, axes = figures.plt.subplots(1, 2, figsize=(13, 6.8))
    for axis, name, numbers in zip(axes, ('policy', 'visits'), (thoughts.policy, thoughts.visits)):
        draw_board(axis, position)
        _in_order(axis, numbers)
        rings = [axis.add_patch(figures.plt.Circle((move % 19, move // 19), 0.52, fill=False, linewidth=2, zorder=6,
                                                   edgecolor=f'C{3 * number}')) for number, move in enumerate(named.values())]
        axis.legend(rings, [f'{point} {numbers[move]:.1%}' for point, move in named.items()], fontsize=8, loc='upper right',
                    bbox_to_anchor=(1, -0.02), ncol=len(named))
        axis.set_title({'policy': 'policy: its first nine moves', 'visits': 'search: the nine most visited'}[name])
    figure.suptitle(title)
    figure.tight_layout()
    return figure


def _in_order(axis, numbers):
    """1 to 9 on the largest of numbers, as in figure 6-8."""
    for place, move in enumerate(_best(numbers, _NINE), 1):
        if numbers[move] > 0:
            axis.add_patch(figures.plt.Circle((move % 19, move // 19), 0.46, facecolor='#b7dfb0', zorder=4))
            axis.text(move % 19, move // 19, str(place), ha='center', va='center', fontsize=9, zorder=5)


def first_moves(run, network=POLICY, moves=60):
    """Sections 6.2.1 and 6.2.3: the empty board, the replies to its two likeliest moves, and a game of the likeliest moves.

    Parameters
    ----------
    run : Run
    network : str
        Run folder of a policy network.
    moves : int
        Of the game.

    Returns
    -------
    dict
        The probabilities of the star points and of R16, from one side of the board as in 7.3, and the ranks of D16 and D17
        among the replies to Q16 and R16.
    """
    if not 1 <= moves <= 361:
        raise UserError(f'moves={moves}: give a number from 1 to 361')
    engine = load_engine(network, say=lambda words: run.say(str(words)), seed=run.seed)
    engine.resigns = False
    empty = engine.probabilities(symmetries=1)[:-1]
    tree = {}
    for first in _corner(empty):
        engine.clear()
        engine.play(BLACK, int(first))
        tree[first] = engine.probabilities(symmetries=1)[:-1]
    engine.clear()
    for _ in range(moves):  # without the pass of `generate`: figure 6-10 shows an opening
        engine.play(engine.position.to_play, int(engine.probabilities().argmax()) if engine.moves
                    else engine.generate(BLACK))
    line = [move for _, move in engine.moves]

    figure, axes = figures.plt.subplots(1, 2, figsize=(13, 6.8))
    draw_board(axes[0], Position())
    _in_order(axes[0], empty)
    axes[0].set_title('6-8: the first nine moves on the empty board')
    draw_line(axes[1], Position(), line)
    board_axes(axes[1], 19)
    axes[1].set_title(f'6-10: always the likeliest move, {len(line)} moves')
    figure.tight_layout()
    run.save_figure(figure, 'first-moves')
    run.save_figure(_draw_tree(empty, tree), 'two-plies')
    metrics = {f'policy_{point}': empty[move_of(point)] for point in ('Q16', 'D16', 'D4', 'Q4', 'R16')}
    for first, replies in (('Q16', ('D16', 'D17')), ('R16', ('D16',))):
        engine.clear()
        engine.play(BLACK, move_of(first))
        answers = engine.probabilities(symmetries=1)
        for reply in replies:
            metrics[f'rank_of_{reply}_after_{first}'] = int((answers > answers[move_of(reply)]).sum()) + 1
    return metrics


def _corner(empty):
    """The two likeliest of the moves that 7.3 asks for, at the top right: on its diagonal or right of it."""
    x, y = np.arange(361) % 19, np.arange(361) // 19
    return _best(np.where((x >= 9) & (y <= 9) & (x + y >= 18), empty, -1), 2)


def _draw_tree(empty, tree):
    """Figure 6-13: two moves, and two replies to each, with their probabilities."""
    figure, axis = figures.plt.subplots(figsize=(9, 4))
    boxes = [('the empty board', 1.5, 2, None, '')]
    for number, (first, answers) in enumerate(tree.items()):
        boxes.append((f'black {vertex(first)}', 0.5 + 2 * number, 1, (1.5, 2), f'{empty[first]:.1%}'))
        boxes += [(f'white {vertex(reply)}', 2 * number + place, 0, (0.5 + 2 * number, 1), f'{answers[reply]:.1%}')
                  for place, reply in enumerate(_best(answers, 2))]
    for words, x, y, above, share in boxes:
        axis.text(x, y, words, ha='center', va='center', bbox={'boxstyle': 'round', 'facecolor': '#e8c27a'}, zorder=2)
        if above:
            axis.plot([above[0], x], [above[1], y], color='black', linewidth=1, zorder=1)
            axis.text((above[0] + x) / 2, (above[1] + y) / 2, share, ha='center', va='center', fontsize=9,
                      bbox={'facecolor': 'white', 'edgecolor': 'none', 'pad': 1})
    axis.set(xlim=(-0.6, 3.6), ylim=(-0.4, 2.4))
    axis.axis('off')
    axis.set_title(figures.text('6.2.3 The first two plies of the tree', '搜索树的前两步'))
    return figure


_SIX_BOARDS = WorkedExample(
    '6.2.6', "Six boards of one position: move 78 of Lee Sedol's game 4", '同一局面的六张图：李世石第四局第 78 手',
    function=six_boards, limits={'move': (0, math.inf)},
    book=(BookFigure(1, 'rank_L10', note="the book's network; AlphaGo answered K10"),),
    remark="Figures 6-18 to 6-20 show an informal game whose moves are not published: there the search's choice has 35% of the "
           'policy, which gives 60% to another move, 54% by the value, 53% by the tree, 51% by games played out, which give '
           '55% to another. With game=FILE.sgf move=N any position is shown so.')
_FIRST_MOVES = WorkedExample(
    '6.2.1', 'First moves, the two-ply tree, and a game of likeliest moves', '第一手、两步搜索树与最可能着法的对局',
    function=first_moves,
    book=figures_of(policy_Q16=0.15, policy_D16=0.15, policy_D4=0.17, policy_Q4=0.16, policy_R16=0.04, rank_of_D16_after_Q16=1,
                    rank_of_D17_after_Q16=2, rank_of_D16_after_R16=1))

EXPERIMENTS = [_FIRST_MOVES, _SIX_BOARDS]


if __name__ == '__main__':
    run_script(_SIX_BOARDS)
