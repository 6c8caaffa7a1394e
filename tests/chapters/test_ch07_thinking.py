"""6.2: what policy network, value and search think of a position; how the engine's value is mixed."""
import os
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.ch06_alphago.policy import Policy
from chapters.ch07_policy_net.engine import Engine, load_engine, to_top_right
from chapters.ch07_policy_net.ownership import OwnershipHead
from chapters.ch07_policy_net.thinking import GAME, draw_six_boards, position_after, searched, think
from chapters.kit.perform import run_experiment
from data_tools.errors import UserError
from data_tools.go.board import BLACK, WHITE, Position, move_of, vertex


@pytest.fixture(scope='module')
def engine():
    """With a head that was never trained."""
    np.random.seed(0)
    mx.random.seed(0)
    network = chapters.find('7.2').but(units=1, filters=4).build()
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    head = OwnershipHead(4)
    head.initialize(mx.init.MSRAPrelu('avg', 0))
    head(network(mx.nd.zeros((1, 8, 19, 19))).reshape((1, 1, 19, 19)).repeat(4, axis=1))
    return Engine(Policy(network, 8), 20, head=head)


def metrics(result):
    return {name: value['last'] for name, value in result['metrics'].items()}


# ---- 6.2.6 ----

def test_move_78_is_where_lee_sedol_played_it():
    position = position_after(78)
    assert (position.move_number, vertex(position.last_move), position.to_play) == (78, 'L11', BLACK)
    assert position_after(0).last_move == move_of('K10') and len(GAME.split()) == 79
    record = Path(os.environ.get('BOOKCNN_DATA', 'nowhere')) / 'go' / 'alphago' / 'lee-sedol-g4.sgf'
    if record.exists():
        assert np.array_equal(position_after(78, record).state, position.state)


@pytest.mark.parametrize('changes, words', [
    (dict(move=80), 'first 79 moves'), (dict(game='/nowhere.sgf'), 'nowhere.sgf'), (dict(points='Z1'), 'Z1 is no point'),
    (dict(visits=1), 'from 2 on')])
def test_a_position_that_is_not_there_is_one_line(tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        run_experiment(chapters.find('6.2.6').but(**changes), out=tmp_path / 'run', quiet=True)
    assert not (tmp_path / 'run').exists()


def test_the_zoo_answers_move_78_as_the_books_network_does_and_draws_it(tmp_path):
    run, result = run_experiment(chapters.find('6.2.6').but(visits=40), out=tmp_path / 'run', quiet=True)
    found = metrics(result)
    assert found['rank_L10'] <= 3 and found['policy_L10'] > 0.1 > 0.5 * found['policy_K10']
    assert 0 < found['value_L10'] < 1 and 0 < found['share_of_the_choice'] <= 1
    assert {path.stem for path in (run.folder / 'figures').glob('*.png')} == {'six-boards', 'answers'}


def test_six_boards_are_of_the_same_position(engine):
    position = position_after(40)
    thoughts = think(engine, position, 20)
    legal = position.legal_moves()[:-1]
    assert np.array_equal(np.isfinite(thoughts.value), legal)
    assert thoughts.policy.sum() == pytest.approx(1) and not thoughts.policy[~legal].any()
    for chances in (thoughts.tree, thoughts.rollouts):
        some = np.isfinite(chances)
        assert some.any() and legal[some].all() and (chances[some] >= 0).all() and (chances[some] <= 1).all()
    assert thoughts.visits.argmax() == thoughts.line[0]
    assert len(draw_six_boards(position, thoughts).axes) == 6


def test_the_value_after_a_move_is_what_the_opponent_has_not(engine):
    position = position_after(30)
    engine.set_up(position.copy())
    values = engine.values()
    for move in np.flatnonzero(np.isfinite(values))[::90]:
        after = position.copy()
        after.play(int(move))
        assert values[move] == pytest.approx(1 - engine.judge.answers(after.state[None])[2][0], abs=1e-3)


def test_games_played_out_have_the_share_that_they_are_given(engine):
    """0: the head alone; 1: games played out, each of which is won or lost; and half of each between them."""
    engine.set_up(position_after(30))
    states = np.repeat(position_after(30).state[None], 6, axis=0)
    found = {}
    for share in (0.0, 1.0, 0.5):
        engine.rollouts = share
        found[share] = engine.judge(states)[1]
    assert set(np.abs(found[1.0])) == {1.0} and np.ptp(found[0.0]) < 0.05
    assert np.allclose(found[0.5], (found[0.0] + found[1.0]) / 2, atol=0.02)
    assert searched(engine, 20, 0.0).total_visits >= 20


def test_shares_are_shares():
    with pytest.raises(UserError, match='rollouts=1.5'):
        load_engine('zoo:7.2-small', rollouts=1.5)
    with pytest.raises(UserError, match='resign_below=-1'):
        load_engine('zoo:7.2-small', resign_below=-1)


def test_without_a_head_there_is_no_value(engine):
    with pytest.raises(UserError, match='nothing that judges'):
        Engine(engine.policy).values()


def test_resigning_can_be_put_off_or_forward(engine):
    """A position in which a quarter or so of the games played out are won."""
    from data_tools.go.player import ownership
    other = Engine(engine.policy, size=9, komi=0.5)
    for komi in np.arange(0.5, 60, 4):
        position = Position(9)
        position.set_up(black=[x + 27 for x in range(9)], white=[x + 45 for x in range(9)])
        position.state[3] = 40  # late in a game
        share = ownership(position.state, komi, 48, 0)[1]
        if 0.1 < share < 0.5:
            break
    assert 0.1 < share < 0.5
    for below, resigns in ((share + 0.05, True), (share - 0.05, False)):
        other.komi, other.resign_below = komi, below
        other.set_up(position)
        assert (other.generate(BLACK) is None) == resigns


# ---- 7.1.3 ----

def set_up(rows):
    """A position on 9x9 from its upper rows of X, O and points."""
    upper = rows.split()
    points = np.array([list(row) for row in upper + ['.' * 9] * (9 - len(upper))])
    position = Position(len(points))
    position.set_up(np.flatnonzero(points == 'X').tolist(), np.flatnonzero(points == 'O').tolist())
    return position


# Two shared liberties, B9 and B8, as a and b of figure 7-2; and one, C9, with an eye on each side.
TWO_SHARED = """X.OX.X.XO
                X.OXXXXXO
                XXXOOOOOO
                OOOO....."""
ONE_AND_EYES = """.X.O.OX..
                  XXXOOOX..
                  OOOXXXX..
                  O........"""


@pytest.mark.parametrize('rows, stones', [
    (TWO_SHARED, 'A9 A8 A7 B7 C7 C9 C8'), (ONE_AND_EYES, 'B9 A8 B8 C8 D9 D8 E8 F8 F9'),
    (TWO_SHARED.replace('XXXOOOOOO', 'XXX.OOOOO'), ''),  # a liberty more for black
    (TWO_SHARED.replace('X.OX.X.XO', 'X.O..X.XO'), ''),  # for white
    (ONE_AND_EYES.replace('.X.O.OX..', '.X.O.XX..'), ''), (TWO_SHARED.replace('O', '.'), '')])
def test_seki_is_found_and_nothing_else(rows, stones):
    from chapters.ch07_policy_net.seki import seki
    position = set_up(rows)
    assert {vertex(move, 9) for move in seki(position)} == set(stones.split())
    turned = Position(9)
    turned.set_up(np.flatnonzero(position.board.T == WHITE).tolist(), np.flatnonzero(position.board.T == BLACK).tolist())
    assert len(seki(turned)) == len(stones.split())


def test_stones_in_seki_have_a_list_of_their_own_and_are_not_dead(engine):
    from chapters.ch07_policy_net.gtp import Gtp
    other = Engine(engine.policy, size=9)
    other.set_up(set_up(TWO_SHARED))
    gtp, lists = Gtp(other), {}
    for status in ('seki', 'dead', 'alive'):
        lists[status] = set(gtp.answer(f'final_status_list {status}')[1:].split())
    assert lists['seki'] == set('A9 A8 A7 B7 C7 C9 C8'.split())
    assert 'D9' in lists['alive'] and not lists['seki'] & (lists['dead'] | lists['alive'])


# Nothing is left but the seki; whoever plays there loses its chain.
ALL_SETTLED = """X.OX.X.XO
                 X.OXXXXXO
                 XXXOOOOOO
                 OOOOXXXXX
                 O.OOX.X.X
                 .OOXXXXXX
                 OOOX.X..X
                 OOOXXXXXX
                 .O.OX.X.X"""


def sekis():
    """`ALL_SETTLED` from each side of the board, either player to move."""
    board = set_up(ALL_SETTLED).board
    for turned in [np.rot90(side, turns).ravel() for side in (board, board.T) for turns in range(4)]:
        for colour in (BLACK, WHITE):
            position = Position(9, superko=True)
            position.set_up(np.flatnonzero(turned == BLACK).tolist(), np.flatnonzero(turned == WHITE).tolist())
            position.to_play = colour
            yield position


@pytest.mark.parametrize('visits', [0, 30])
@pytest.mark.parametrize('rules', ['chinese', 'tromp-taylor'])
def test_the_engine_plays_into_no_seki(engine, visits, rules):
    other = Engine(engine.policy, visits, size=9, head=engine.head, rules=rules)
    other.resigns = False
    for position in sekis():
        board = position.board.ravel().copy()
        other.komi = 0.5 if position.to_play == BLACK else 30.5  # whoever is to move wins if the seki stays
        other.set_up(position)
        seki = other.seki()
        assert len(seki) == 7
        while other.position.passes < 2 and len(other.moves) < 40:
            other.play(other.position.to_play, other.generate(other.position.to_play))
        assert other.position.passes == 2
        assert set(other.seki()) == set(seki) and (other.position.board.ravel()[seki] == board[seki]).all()


def test_the_network_that_comes_along_keeps_out_of_sekis():
    """9.3.1: games have taught it."""
    engine, into_it = load_engine('zoo:7.2-small', size=9), []
    for position in sekis():
        engine.set_up(position)
        chances, stones = engine.probabilities(), np.array(engine.seki())
        shared = [move for move in np.flatnonzero(chances)
                  if (abs(move % 9 - stones % 9) + abs(move // 9 - stones // 9) == 1).any()]
        assert len(shared) == 2 and chances.argmax() not in shared
        into_it.append(chances[shared].sum())
    assert np.mean(into_it) < 0.05  # 2.0%, of two moves among five


# ---- 6.2.1, 6.2.3 ----

def test_a_game_begins_at_the_top_right():
    assert [vertex(to_top_right(move_of(point), 19)) for point in ('D4', 'Q16', 'D16', 'C4', 'R17', 'Q3', 'K10')] == \
        ['Q16', 'Q16', 'Q16', 'R16', 'R17', 'R16', 'K10']
    assert to_top_right(361, 19) == 361
    for visits in (0, 20):
        first = load_engine('zoo:7.2-small', visits).generate(BLACK)
        x, y = first % 19, first // 19
        assert x >= 9 and y <= 9 and x + y >= 18
    later = load_engine('zoo:7.2-small')
    later.play(BLACK, move_of('Q16'))
    answer = later.generate(WHITE)  # in an empty corner
    assert to_top_right(answer, 19) != answer


def test_first_moves_tree_and_game_are_drawn(tmp_path):
    run, result = run_experiment(chapters.find('6.2.1').but(moves=6), out=tmp_path / 'run', quiet=True)
    found = metrics(result)
    stars = [found[f'policy_{point}'] for point in ('Q16', 'D16', 'D4', 'Q4')]
    assert all(4 / 361 < star < 1 for star in stars)  # a corner is worth more than a point like any other
    assert found['rank_of_D16_after_R16'] <= 30
    assert {path.stem for path in (run.folder / 'figures').glob('*.png')} == {'first-moves', 'two-plies'}
