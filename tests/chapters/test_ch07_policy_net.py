"""Chapter 7: training on packed games; a player; GTP; matches."""
import io
import os
import random
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import mxnet as mx
import numpy as np
import pytest
from sgfmill import boards

import chapters
from chapters.__main__ import main
from chapters.ch04_cnn import positions
from chapters.ch04_cnn.positions import PackedPlanes
from chapters.ch06_alphago.policy import Policy, load_policy, without_history
from chapters.ch07_policy_net import match
from chapters.ch07_policy_net.engine import Engine
from chapters.ch07_policy_net.gtp import Gtp
from chapters.kit.perform import resume, run_experiment
from chapters.kit.trained.zoo import run_folder
from chapters.kit.training.recipe import Recipe
from data_tools.errors import UserError
from data_tools.go.board import BLACK, CELLS, COLOUR, LETTERS, TO_MOVE, WHITE, Position, move_of, to_cell, vertex
from data_tools.go.features import DAT_ORDER, TACTICS, is_own_eye, planes_of
from data_tools.go.player import choose, selfplay_records

TINY = dict(units=1, filters=4)
EMPTY_PLANE = DAT_ORDER.index('empty')


@pytest.fixture(scope='module')
def records():
    return selfplay_records(6, 3)


@pytest.fixture(autouse=True)
def few_games(monkeypatch):
    monkeypatch.setattr(positions, 'SELFPLAY_GAMES', 20)
    monkeypatch.setattr('chapters.ch07_policy_net.policy_net.MEASURED', 200)


def tiny_engine(**settings):
    np.random.seed(0)
    mx.random.seed(0)
    network = chapters.find('7.2').but(**TINY).build()
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    return Engine(Policy(network, 8, batch=8), **settings)


def run_tiny(folder, resumed=False, **changes):
    settings = dict(TINY, epochs=3, samples_per_epoch=256, batch_size=32, momentum=0.9, learning_rate=0.02)
    experiment = chapters.find('7.2').but(**dict(settings, **changes))
    return run_experiment(experiment, data='selfplay', out=folder, quiet=True)


def parameters(folder):
    (path,) = Path(folder).glob('model-*.params')
    return {name: array.asnumpy() for name, array in mx.nd.load(str(path)).items()}


# ---- data ----

@pytest.mark.parametrize('planes', [8, TACTICS, 48])
def test_moves_turn_with_their_positions(records, planes):
    packed = PackedPlanes(records, planes)
    numbers = np.arange(64)
    empty = EMPTY_PLANE if planes in (8, TACTICS) else 2
    upright, moves = packed.batch(numbers, np.zeros(64, int))
    for symmetry in range(8):
        turned, labels = packed.batch(numbers, np.full(64, symmetry))
        assert turned.shape == (64, planes, 19, 19)
        assert turned[numbers, empty, labels // 19, labels % 19].all()  # moves are on empty points
        assert (labels == moves).all() == (symmetry == 0)
        assert (turned.sum(axis=(2, 3)) == upright.sum(axis=(2, 3))).all()


def test_a_network_never_waits_and_sees_what_the_pack_holds(records):
    """Batches made ahead in a thread are those made one by one."""
    from chapters.kit.data.batches import made_ahead
    data = positions.from_records('x', records, records[:50], 8)
    numbers = np.arange(12 * 16).reshape(12, 16)
    ahead = list(made_ahead(data.batch, numbers, np.random.default_rng(5)))
    one_by_one = np.random.default_rng(5)
    assert len(ahead) == 12
    for row, (x, y) in zip(numbers, ahead):
        planes, moves = data.batch(row, one_by_one)
        assert np.array_equal(x.asnumpy(), planes) and np.array_equal(y.asnumpy(), moves)


def test_top_metrics_are_those_of_numpy():
    from chapters.kit.training.train import Objective
    logits = np.random.default_rng(0).normal(size=(200, 30)).astype(np.float32)
    y = np.random.default_rng(1).integers(0, 30, 200)
    identity = mx.gluon.nn.HybridLambda(lambda F, x: x * 1)
    _, statistics = Objective(identity, top=(2, 5, 10))(mx.nd.array(logits), mx.nd.array(y))
    rank = (logits > logits[np.arange(200), y][:, None]).sum(axis=1)
    for row, number in zip(statistics.asnumpy()[1:], (1, 2, 5, 10)):
        assert np.array_equal(row, rank < number)


# ---- training ----

def test_training_stopped_and_resumed_ends_with_the_same_bits(tmp_path, monkeypatch, every_epoch_saved):
    run_tiny(tmp_path / 'whole', planes=TACTICS, fall_factor=0.9)
    from chapters.kit.training.checkpoint import Checkpoint
    save = Checkpoint.save

    def dying_save(self, arrays, state):
        save(self, arrays, state)
        if state['epoch'] == 1:
            raise KeyboardInterrupt
    monkeypatch.setattr(Checkpoint, 'save', dying_save)
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path / 'killed', planes=TACTICS, fall_factor=0.9)
    monkeypatch.setattr(Checkpoint, 'save', save)
    _, result = resume(tmp_path / 'killed', chapters.find)
    whole, killed = parameters(tmp_path / 'whole'), parameters(tmp_path / 'killed')
    assert whole.keys() == killed.keys() and all(np.array_equal(whole[name], killed[name]) for name in whole)
    for name in ('validation_accuracy', 'validation_top10', 'validation_accuracy_1side',
                 'validation_loss_8sides'):
        assert np.isfinite(result['metrics'][name]['last'])
    for name in ('curves', 'top', 'empty-board'):
        assert (tmp_path / 'killed' / 'figures' / f'{name}.png').exists()


def test_the_rule_of_the_rate(tmp_path):
    assert Recipe(fall_factor=0.9).falls([3, 2, 2.5, 2.4, 2.6, 2.6]) == pytest.approx(0.81)
    _, result = run_tiny(tmp_path / 'run', epochs=40, samples_per_epoch=32, fall_factor=0.5, least_rate=0.008)
    from chapters.ch07_policy_net.policy_net import read_history
    history = read_history(tmp_path / 'run')
    assert 2 < len(history) < 40
    losses = [row['train_loss'] for row in history]
    for number, row in enumerate(history):
        rises = sum(later > earlier for earlier, later in zip(losses[:number], losses[1:number]))
        assert row['learning_rate'] == pytest.approx(0.02 * 0.5 ** rises)
    assert sum(later > earlier for earlier, later in zip(losses, losses[1:])) == 2  # then it is under 0.008


def test_the_rule_of_the_rate_does_nothing_as_printed(tmp_path):
    """The symbolic form: the rate in the log falls and ends the training, which goes on at the first one."""
    from chapters.ch07_policy_net.policy_net import read_history
    settings = dict(TINY, epochs=40, samples_per_epoch=32, batch_size=32, learning_rate=0.02, momentum=0.9,
                    fall_factor=0.5, least_rate=0.008)
    run_experiment(chapters.find('7.2').but(**settings), data='selfplay', out=tmp_path / 'run', quiet=True,
                   form='symbolic')
    history = read_history(tmp_path / 'run')
    losses = [row['train_loss'] for row in history]
    assert sum(later > earlier for earlier, later in zip(losses, losses[1:])) == 2 and 2 < len(history) < 40
    assert {row['learning_rate'] for row in history} == {0.02}
    assert 'arg:preconv1_weight' in mx.nd.load(str(next((tmp_path / 'run').glob('model-*.params'))))
    assert 'changes a variable that `fit` has copied already' in chapters.find('7.2').remark


def test_a_rate_that_is_too_low_from_the_start():
    with pytest.raises(UserError, match='learning_rate=0.001 is under least_rate=0.01'):
        chapters.find('7.2').but(learning_rate=0.001)


def test_the_rate_anneals_to_nothing():
    recipe = Recipe(epochs=10, anneal=0.5, learning_rate=1.0)
    assert recipe.rate(50, 10) == recipe.rate(1, 10) == 1
    assert recipe.rate(76, 10) == pytest.approx(0.5)
    assert 0 < recipe.rate(100, 10) < 0.01


@pytest.mark.parametrize('names, section, some', [
    ('published', '7.2', 'arg:FIRSTconv1_weight arg:BODYbnA1_gamma arg:BODYconvA1_weight aux:BODYbnB2_moving_mean'),
    ('5.5.4', '7.2', 'arg:convPRE_weight arg:bnA0_gamma arg:convB1_weight aux:bnFINAL_moving_var arg:convFINAL_bias'),
    ('7.2', '5.5.4', 'arg:preconv1_weight arg:bnA1_gamma arg:convB2_weight aux:finalbn1_moving_var arg:finalconv1_bias')])
def test_files_of_all_three_names_load_without_their_graph(tmp_path, names, section, some):
    """Those of the file that the book publishes, and those that 5.5.4 and 7.2 print."""
    from book_code import sec_5_5_4
    from chapters.kit.trained.run import Run
    symbol = sec_5_5_4.symbol(units=2, filters=8, names=names)
    module = mx.mod.Module(symbol, ['data'], ['label'])
    module.bind([('data', (4, 8, 19, 19))], [('label', (4,))])
    module.init_params(mx.init.Normal(0.3))
    module.save_checkpoint(str(tmp_path / 'model'), 39540)
    (tmp_path / 'model-symbol.json').unlink()
    assert set(some.split()) <= set(mx.nd.load(str(tmp_path / 'model-39540.params')))
    experiment = chapters.find(section).but(units=2, filters=8)
    network = experiment.build()
    network.initialize()
    network(mx.nd.zeros((1, 8, 19, 19)))
    run = Run(experiment, data='selfplay', out=tmp_path / 'run', init=tmp_path / 'model-39540.params', quiet=True)
    run.load_parameters(network)
    x = mx.nd.array(np.random.default_rng(0).integers(0, 2, (4, 8, 19, 19)))
    module.forward(mx.io.DataBatch([x]), is_train=False)
    assert np.allclose(mx.nd.softmax(network(x)).asnumpy(), module.get_outputs()[0].asnumpy(), atol=1e-6)


def test_a_file_of_another_network_says_so(tmp_path):
    from book_code import sec_4_4
    from chapters.kit.trained.run import Run
    module = mx.mod.Module(sec_4_4.symbol(), ['data'], ['label'])
    module.bind([('data', (4, 1, 28, 28))], [('label', (4,))])
    module.init_params()
    module.save_checkpoint(str(tmp_path / 'lenet'), 1)
    (tmp_path / 'lenet-symbol.json').unlink()
    experiment = chapters.find('7.2').but(**TINY)
    network = experiment.build()
    network.initialize()
    network(mx.nd.zeros((1, 8, 19, 19)))
    with pytest.raises(UserError, match='preconv1_weight is not in it .*; it belongs to another network'):
        Run(experiment, data='selfplay', out=tmp_path / 'run', init=tmp_path / 'lenet-0001.params').load_parameters(network)


def test_init_takes_such_a_file(tmp_path):
    from book_code import sec_5_5_4
    module = mx.mod.Module(sec_5_5_4.symbol(**TINY), ['data'], ['label'])
    module.bind([('data', (4, 8, 19, 19))], [('label', (4,))])
    module.init_params(mx.init.Normal(0.3))
    module.save_checkpoint(str(tmp_path / 'model'), 39540)
    experiment = chapters.find('7.2').but(**TINY, epochs=1, samples_per_epoch=64, batch_size=32,
                                         learning_rate=1e-12, least_rate=0)
    run_experiment(experiment, data='selfplay', out=tmp_path / 'run', quiet=True,
                   init=tmp_path / 'model-39540.params')
    ours = sorted(float(np.abs(array).sum())
                  for array in parameters(tmp_path / 'run').values() if array.ndim == 4)
    theirs = sorted(float(np.abs(array.asnumpy()).sum()) for array in module.get_params()[0].values()
                    if len(array.shape) == 4)
    assert np.allclose(ours, theirs, rtol=1e-5)


def test_answers_are_measured_in_proportion_to_training(tmp_path, monkeypatch):
    from chapters.ch07_policy_net import policy_net
    monkeypatch.setattr(policy_net, 'MEASURED', 20000)
    assert [policy_net.measured(trained, 10 ** 6) for trained in (640, 60000, 1500000)] == [500, 12000, 20000]
    monkeypatch.setattr(positions, 'SELFPLAY_GAMES', 60)  # 3 games to validate: some 1,000 positions
    _, result = run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=32)
    assert result['metrics']['validation_positions']['last'] == 500


def test_the_first_save_of_the_book_is_that_of_7_2_alone():
    assert [figure.value for figure in chapters.find('7.2').book] == [0.3712, 2.544]
    assert 'over 0.5 at the end' in chapters.find('7.2').book[0].note
    assert not chapters.find('5.5.4').book and not chapters.find('7.2-small').book


def test_the_shape_of_the_input_follows_the_planes():
    assert chapters.find('7.2-small').input_shape == (1, 36, 19, 19)
    assert chapters.find('7.2').but(planes=48).input_shape == (1, 48, 19, 19)


def test_loading_a_run_that_is_none(tmp_path):
    with pytest.raises(UserError, match='not a run folder'):
        load_policy(tmp_path)
    run_experiment(chapters.find('4.2.3'), out=tmp_path / 'run', quiet=True)
    for other in (tmp_path / 'run', 'zoo:5.5.7-fast'):  # the latter's images have more lines than boards have letters
        with pytest.raises(UserError, match='holds no policy network for Go'):
            load_policy(other)


# ---- the player ----

def test_probabilities_are_of_legal_moves_that_fill_no_eye():
    engine = tiny_engine(size=9)
    order = np.random.default_rng(1)
    for _ in range(70):
        chances = engine.probabilities(1)
        assert chances.sum() == pytest.approx(1)
        for move in np.flatnonzero(chances[:-1]):
            assert engine.position.is_legal(int(move))
            assert not is_own_eye(engine.position.state, to_cell(int(move), 9), engine.position.to_play)
        moves = np.flatnonzero(chances)
        engine.play(engine.position.to_play, int(order.choice(moves)))
        if engine.position.passes == 2:
            break


@pytest.mark.parametrize('visits', [0, 12])
def test_a_game_against_oneself_ends_by_passes(visits):
    engine = tiny_engine(size=7, komi=8.5, visits=visits, resigns=False)
    while engine.position.passes < 2:
        move = engine.generate(engine.position.to_play)
        engine.play(engine.position.to_play, move)
        assert len(engine.moves) < 200
    assert abs(engine.score()) <= 49 + 8.5


def test_eight_sides_agree():
    """The average over the symmetries does not depend on how the board lies."""
    from data_tools.go.symmetries import transform_moves, transform_policy
    engine = tiny_engine(size=9)
    turned = Engine(engine.policy, size=9)
    for move in (20, 31, 60, 7):
        engine.play(engine.position.to_play, move)
        turned.play(turned.position.to_play, int(transform_moves(np.array([move]), 5, 9)[0]))
    a = transform_policy(engine.probabilities()[None], 5, 9)[0]
    assert np.allclose(a, turned.probabilities(), atol=1e-5)


def test_resigns_a_lost_game():
    engine = tiny_engine(size=7, komi=0.5)
    engine.position.set_up(white=[x + 7 * y for y in (1, 3, 5) for x in range(7)])
    engine.position.state[3] = 40  # late in the game
    assert engine.generate(BLACK) is None
    engine.resigns = False
    assert engine.generate(BLACK) is not None


# ---- GTP ----

def ask(gtp, line):
    answer = gtp.answer(line)
    assert answer.endswith('\n\n')
    return answer[:-2]


def test_a_session():
    gtp = Gtp(tiny_engine())
    assert ask(gtp, '1 protocol_version') == '=1 2'
    assert ask(gtp, 'boardsize 9') == '=' and ask(gtp, 'komi 5.5') == '=' and ask(gtp, 'clear_board') == '='
    required = ('protocol_version name version known_command list_commands quit boardsize clear_board komi play '
                'genmove undo loadsgf final_score final_status_list time_settings time_left fixed_handicap '
                'place_free_handicap set_free_handicap showboard reg_genmove gogui-analyze_commands')
    assert set(required.split()) <= set(ask(gtp, 'list_commands')[2:].split('\n'))
    assert ask(gtp, '22 known_command genmove') == '=22 true' and ask(gtp, 'known_command dance') == '= false'
    assert ask(gtp, 'play b C3') == '=' and ask(gtp, 'play white c4 # a comment') == '='
    assert ask(gtp, '7 play b C3') == '?7 illegal move'
    assert ask(gtp, 'play b I9') == '? syntax error: not a vertex' and ask(gtp, 'play b') == '? syntax error'
    assert ask(gtp, 'boardsize 20') == '? unacceptable size' and ask(
        gtp, '\x01nonsense\t1') == '? unknown command'
    assert gtp.answer('  # only a comment\n') == '' and gtp.answer('\n') == ''
    assert 'X' in ask(gtp, 'showboard') and ask(gtp, 'undo') == '='
    assert not gtp.engine.position.board[5, 2] and gtp.engine.position.to_play == WHITE
    top = ask(gtp, 'bookcnn-top_moves')
    assert top.startswith('= LABEL ') and len(top.split('\n')[0].split()) == 2 + 18
    values = np.array(ask(gtp, 'bookcnn-probabilities')[1:].split(), float)
    assert values.shape == (81,) and values.sum() == pytest.approx(1, abs=0.01)
    assert 'bookcnn-top_moves' in ask(gtp, 'gogui-analyze_commands')
    assert ask(gtp, 'fixed_handicap 4') == '? board not empty' and ask(gtp, 'clear_board') == '='
    assert len(set(ask(gtp, 'fixed_handicap 3')[2:].split()) & {'C3', 'G7', 'C7', 'G3'}) == 3
    assert gtp.engine.position.to_play == WHITE and gtp.engine.position.board.sum() == 3
    assert gtp.running and ask(gtp, '99 quit') == '=99' and not gtp.running


def test_dead_stones_and_score():
    gtp = Gtp(tiny_engine())
    ask(gtp, 'boardsize 7')
    ask(gtp, 'komi 0.5')
    board = gtp.engine.position
    board.set_up(black=[2 + 7 * y for y in range(7)] + [0 + 7 * 1, 0 + 7 * 5, 1 + 7 * 1, 1 + 7 * 5],
                 white=[3 + 7 * y for y in range(7)]
                 + [5 + 7 * 1, 5 + 7 * 5, 4 + 7 * 1, 4 + 7 * 5, 0 + 7 * 3])
    assert ask(gtp, 'final_status_list dead') == '= A4'
    assert ask(gtp, 'final_score') == '= W+7.5'


def test_loads_games(tmp_path):
    path = tmp_path / 'a game.sgf'
    path.write_text('(;GM[1]SZ[9]AB[cc]AW[gg];W[ee];B[ed];W[dd];B[])')
    gtp = Gtp(tiny_engine())
    assert ask(gtp, f'loadsgf {path}') == '='
    assert gtp.engine.position.size == 9 and len(gtp.engine.moves) == 4 and gtp.engine.position.passes == 1
    assert ask(gtp, f'loadsgf {path} 3') == '=' and len(gtp.engine.moves) == 2
    assert ask(gtp, 'loadsgf /no/such.sgf') == '? cannot load file'
    path.write_text('(;GM[1]SZ[9];B[aa];W[aa])')
    assert ask(gtp, f'loadsgf {path}') == '? cannot load file' and len(gtp.engine.moves) == 2


def test_loads_what_other_programs_save(tmp_path):
    gtp, path = Gtp(tiny_engine()), tmp_path / '棋谱\u3000一.sgf'  # its space is no ASCII
    path.write_text('(;GM[1]SZ[9]KM[0.5]AB[cc]AW[gg]PL[W])')
    assert ask(gtp, f'loadsgf {path}') == '=' and ask(gtp, 'get_komi') == '= 0.5'
    engine = gtp.engine
    assert engine.position.board.sum() == 3 and engine.position.to_play == WHITE and not engine.moves
    path.write_text('(;GM[1]SZ[9]HA[2]AB[cc][gg];W[ee];B[ed]AE[ee]AW[aa];W[dd])')
    assert ask(gtp, f'loadsgf {path}') == '=' and ask(gtp, 'get_komi') == '= 0.5'  # nothing is said of it
    assert engine.handicap == 2 and len(engine.moves) == 3 and engine.position.to_play == BLACK
    assert engine.position.board[0, 0] == WHITE and not engine.position.board[4, 4]
    # AE and AW stand in a node of a move, and come before it
    assert ask(gtp, f'loadsgf {path} 2') == '=' and engine.position.board[4, 4] == WHITE and len(engine.moves) == 1
    path.write_text('(;GM[1]SZ[9]AB[cc];W[gg])')
    assert ask(gtp, f'loadsgf {path} 1') == '=' and engine.position.to_play == WHITE
    path.write_text('(;GM[1]SZ[9];B[cc];W[gg];B[dd];W[zz];B[ee])')
    assert ask(gtp, f'loadsgf {path} 4') == '=' and len(engine.moves) == 3
    before = engine.position.board.copy()
    assert ask(gtp, f'loadsgf {path}') == '? cannot load file' and (engine.position.board == before).all()
    assert ask(gtp, 'undo') == '=' and len(engine.moves) == 2


def test_a_path_of_any_letters_reaches_the_program(tmp_path):
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    path = tmp_path / 'jeu d’été 围棋.sgf'
    path.write_text('(;GM[1]SZ[9]KM[3.5];B[cc])')
    done = subprocess.run([sys.executable, '-m', 'chapters.ch07_policy_net.gtp', '--run', str(tmp_path / 'run')],
                          input=f'1 loadsgf {path}\n2 get_komi\n3 quit\n'.encode(), stdout=subprocess.PIPE, check=True,
                          env={**os.environ, 'PYTHONUTF8': '0', 'LC_ALL': 'C.UTF-8'})
    assert done.stdout == b'=1\n\n=2 3.5\n\n=3\n\n'


@pytest.mark.parametrize('settings, moves, most', [
    (dict(main=600), 200, 600), (dict(main=60), 150, 60), (dict(main=0, period=30, stones=25), 250, 300),
    (dict(main=10, period=30, stones=1), 250, None), (dict(main=10, period=5, periods=3), 250, None),
    (dict(main=30, increment=2), 250, None)])
def test_a_clock_that_nobody_sets_right_does_not_run_out(settings, moves, most):
    """The engine's own clock beside one that runs as the rules say: each move takes 0.04 seconds more than was allowed."""
    from chapters.ch07_policy_net.clock import Clock
    clock, total = Clock(**settings), 0.0
    main, period, stones, periods = (settings.get(name, 0) for name in ('main', 'period', 'stones', 'periods'))
    left, in_period, moves_left, periods_left = main, not main, stones, periods
    for number in range(moves):
        took = clock.seconds(BLACK, max(20, 252 - 2 * number) / 2) + 0.04
        total += took
        clock.spent(BLACK, took)
        left = (period if in_period and (periods or moves_left == stones) and number == 0 and not main else left) - took
        if left < 0 and not in_period and period:
            in_period, left = True, left + period
        while left < 0 and periods_left > 1:
            left, periods_left = left + period, periods_left - 1
        assert left >= 0, number
        if in_period and periods:
            left = period
        elif in_period:
            moves_left -= 1
            if not moves_left:
                left, moves_left = period, stones
        left += settings.get('increment', 0)
    assert most is None or 0.5 * most < total <= most


def test_byoyomi_to_come_is_used():
    from chapters.ch07_policy_net.clock import Clock
    assert Clock(5, 30, 1).seconds(BLACK, 100) > 20
    clock = Clock(600, 30, 1)
    clock.left(BLACK, 20, 1)
    assert 10 < clock.seconds(BLACK, 100) < 20 and clock.seconds(WHITE, 100) > 25
    assert Clock().seconds(BLACK, 100) is None


def test_clocks_as_servers_name_them():
    gtp = Gtp(tiny_engine())
    for line, seconds in (('kgs-time_settings byoyomi 0 10 5', 7.9), ('kgs-time_settings canadian 0 100 10', 7.9),
                          ('kata-time_settings fischer 100 5', 4.9),
                          ('kata-time_settings fischer-capped 100 5 100 -1', 4.9),
                          ('kata-time_settings fischer-capped 100 5 -1 2.5', 2.4), ('kgs-time_settings absolute 100', 0.8),
                          ('kgs-time_settings none', None), ('time_settings 0 10 1', 7.9), ('time_settings 0 5 0', None)):
        assert ask(gtp, line) == '='
        assert gtp._clock.seconds(BLACK, 100) == pytest.approx(seconds), line
    assert ask(gtp, 'kgs-time_settings hourglass 3') == '? syntax error' == ask(gtp, 'kgs-time_settings absolute')
    assert ask(gtp, 'kata-time_settings fischer-capped 100 5') == '? syntax error'
    assert ask(gtp, 'kata-time_settings fischer-capped -1 5 100 10') == '? unacceptable number'
    assert 'fischer-capped' in ask(gtp, 'kata-list_time_settings').split()


def test_what_exceeds_the_cap_of_a_fischer_clock_is_lost():
    gtp = Gtp(tiny_engine())
    for line, left in (('fischer 100 5', 104), ('fischer-capped 100 5 102 -1', 102), ('fischer-capped 100 5 -1 -1', 104)):
        ask(gtp, f'kata-time_settings {line}')
        gtp._clock.spent(BLACK, 1)
        assert gtp._clock._now(BLACK) == (left, 0), line


def test_the_clock_runs_while_the_engine_thinks():
    gtp = Gtp(tiny_engine(visits=100000, size=9, resigns=False))
    gtp.engine.warm_up()
    ask(gtp, 'time_settings 4 0 0')
    for _ in range(4):
        ask(gtp, 'genmove b')
    assert gtp._clock._now(BLACK)[0] <= 4 - 4 * 0.05 and gtp._clock.seconds(WHITE, 10) == pytest.approx(0.26)


@pytest.mark.parametrize('words, reason', [
    ('gtp --visits -5', 'visits=-5'), ('gtp --temperature -1', 'temperature=-1'), ('gtp --temperature nan', 'temperature=nan'),
    ('gtp --seed -1', 'seed=-1'), ('gtp --rules japanese', 'rules=japanese: one of chinese, aga'),
    ('match --visits -3', 'visits=-3'), ('match --level 0', '--level 0: GNU Go has 1 to 10'),
    ('match --level 99', '--level 99'),
    ('match --komi nan', 'komi=nan'), ('match --temperature -1', 'temperature=-1'),
    ('match --against cat --games 1 --size 5', "is no engine that speaks GTP"),
    ('match --against true --games 1 --size 5', 'true: ended'),
    ('match --against sleep\\ 60 --games 1 --size 5', 'sleep: no answer to `protocol_version` after')])
def test_options_that_are_none_are_told(tmp_path_factory, capsys, monkeypatch, words, reason):
    import shlex

    from chapters.ch07_policy_net import gtp
    monkeypatch.setattr(match, 'PATIENCE', 2)
    folder = tmp_path_factory.getbasetemp() / 'options-run'
    if not folder.exists():
        run_tiny(folder, epochs=1, samples_per_epoch=64)
    program, *words = shlex.split(words)
    capsys.readouterr()
    assert {'gtp': gtp, 'match': match}[program].main(['--run', str(folder), *words]) == 2
    said = capsys.readouterr().err
    assert reason in said and said.count('\n') == 1, said


# ---- windows ----

SABAKI = '''name
version
protocol_version
list_commands
boardsize 9
clear_board
komi 6.5
play B E5
lz-analyze W 20
name
lz-genmove_analyze W 20
undo
time_settings 0 1 1
lz-genmove_analyze W 20
stop
quit'''

LIZZIE = '''name
boardsize 9
komi 7.5
time_settings 0 2 1
kata-set-rules chinese
kata-analyze b 10 ownership true
play b E5
kata-analyze w 10 ownership true maxmoves 3
kata-genmove_analyze w interval 10
stop
quit'''

GOGUI = '''protocol_version
name
list_commands
gogui-analyze_commands
version
boardsize 9
clear_board
komi 6.5
gogui-setup b C3 w G7 b D4
gogui-setup_player w
gogui-play_sequence w E5 b C7 w G3
bookcnn-ownership
undo
gogui-play_sequence b A1 w A1
gogui-setup e C3
genmove b
quit'''
INFO = (r'info move ([A-J][1-9]|pass) visits (\d+) winrate ([\d.]+) prior ([\d.]+) lcb ([\d.]+) order (\d+) '
        r'pv ((?:(?:[A-J][1-9]|pass) ?)+)')


def session(lines, **settings):
    """[(line, [lines of its response])], each line sent when the program waits or has said a second line of analysis."""
    import io

    from chapters.ch07_policy_net.gtp import serve
    gtp, out, lines = Gtp(tiny_engine(**settings)), io.StringIO(), lines.split('\n')

    def typed():
        for line in lines:
            yield line + '\n'
            ends, done = len(out.getvalue()), out.getvalue().count('\n\n')
            while gtp.running and (out.getvalue().count('\n\n') == done and
                                   ('-analyze' not in line or out.getvalue()[ends:].count('info') == 0)):
                time.sleep(0.005)
    serve(gtp, typed(), out)
    return list(zip(lines, [answer.split('\n') for answer in out.getvalue().split('\n\n')])), gtp.engine


@pytest.mark.parametrize('lines', [SABAKI, LIZZIE], ids=['sabaki', 'lizzie'])
def test_windows_see_what_is_searched(lines):
    answers, engine = session(lines, visits=60)
    kinds, legal = set(), Position(9)
    for line, answer in answers:
        words = line.split()
        assert answer[0][0] == '=' or words[0] == 'stop', line
        if 'analyze' not in words[0]:
            continue
        kinds.add(words[0])
        assert answer[0] == '='
        found = [one for one in answer[1:] if one.startswith('info')]
        assert found and (answer[-1].startswith('play ') if 'genmove' in words[0] else answer[-1].startswith('info'))
        for one in found:
            one, _, owners = one.partition(' ownership ')
            moves = list(re.finditer(INFO, one))
            assert ' '.join(match_[0].strip() for match_ in moves) == one
            assert [int(match_[6]) for match_ in moves] == list(range(len(moves)))
            visits = [int(match_[2]) for match_ in moves]
            assert visits == sorted(visits, reverse=True) and all(match_[7].split()[0] == match_[1] for match_ in moves)
            scale = 1 if words[0].startswith('kata') else 10000
            assert all(0 <= float(match_[number]) <= scale for match_ in moves for number in (3, 4, 5))
            assert sum(float(match_[4]) for match_ in moves) <= 1.01 * scale and float(moves[0][4]) > 0.001 * scale
            assert ('ownership true' in line) == bool(owners)
            if owners:
                owners = np.array(owners.split(), float).reshape(9, 9)
                assert np.abs(owners).max() <= 1
                if len(engine.moves) > 1 and 'maxmoves' in line:
                    assert owners[4, 4] < 0 and len(moves) == 3  # Black's, in White's eyes
        if 'genmove' in words[0]:
            assert answer[-1].split()[1] == moves[0][1]
    assert len(kinds) == 2 and len(engine.moves) == 2 and legal.size == engine.position.size


def test_gogui_sets_up_and_plays():
    answers, engine = session(GOGUI)
    said = dict(answers)
    assert all(answer[0][0] == '=' for line, answer in answers if 'A1 w A1' not in line)
    assert said['gogui-play_sequence b A1 w A1'] == ['? illegal move'] and not engine.position.board[8, 0]
    assert np.array(' '.join(said['bookcnn-ownership'])[1:].split(), float).shape == (81,)
    board = engine.position.board
    assert board[5, 3] == BLACK and not board[6, 2] and board[2, 6] == WHITE == board[4, 4] and not board[6, 6]
    assert len(engine.moves) == 3 and engine.moves[0] == (WHITE, 40)


def test_time_is_kept():
    gtp = Gtp(tiny_engine(visits=100000))
    gtp.engine.warm_up()
    ask(gtp, 'boardsize 9')
    ask(gtp, 'time_settings 0 2 1')
    ask(gtp, 'genmove b')
    began = time.monotonic()
    ask(gtp, 'time_left w 1 1')
    ask(gtp, 'genmove w')
    assert time.monotonic() - began < 2.5


class Referee:
    """The stones by sgfmill, and every position of the game so far."""
    def __init__(self, board):
        self.board = self.of(board)
        self.seen = [board.tolist()]

    @staticmethod
    def of(board):
        referee = boards.Board(len(board))
        referee.apply_setup(*[[(len(board) - 1 - y, x) for y, x in np.argwhere(board == colour)]
                              for colour in (BLACK, WHITE)], [])
        return referee

    def allows(self, colour, point, repeats=False):
        """Whether a move such as 'C3' or 'PASS' is legal: no suicide, no position twice; plays it if so."""
        if point.upper() == 'PASS':
            return True
        column, row = LETTERS.index(point[0].upper()), int(point[1:]) - 1
        after = self.board.copy()
        try:
            after.play(row, column, colour)
        except ValueError:
            return False
        names = {None: 0, 'b': BLACK, 'w': WHITE}
        stones = [[names[stone] for stone in line] for line in after.board[::-1]]
        if after.get(row, column) != colour or stones in self.seen and not repeats:
            return False
        self.board = after
        self.seen.append(stones)
        return True


WORDS = ['b', 'w', 'black', 'WHITE', 'A1', 'c3', 'pass', 'Z9', 'I5', '-1', '3', '5', '1e9', 'nan', 'inf', '', '#',
         '\x00', 'é', '999999999', '/', '.', 'dead', 'resign']


def random_line(choice, commands):
    """A line as bytes without its end: a move, a command with likely arguments, nonsense, garbage, or very long."""
    kind, colour = choice.random(), choice.choice(['b', 'w'])
    if kind < 0.35:
        line = f'play {colour} {choice.choice(LETTERS[:7])}{choice.randint(1, 7)}'
    elif kind < 0.5:
        line = f'genmove {colour}'
    elif kind < 0.6:
        line = choice.choice([
            f'boardsize {choice.randint(-1, 7)}', f'komi {choice.randint(-9, 9)}.5', 'undo', 'undo', 'clear_board',
            f'fixed_handicap {choice.randint(0, 9)}', f'place_free_handicap {choice.randint(0, 9)}',
            'set_free_handicap A1 B2', f'time_settings {choice.randint(0, 9)} {choice.randint(0, 3)} 1',
            f'time_left {colour} {choice.randint(0, 9)} 0', f'reg_genmove {colour}', 'final_score'])
    elif kind < 0.85:
        line = ' '.join([choice.choice(commands)]
                        + [choice.choice(WORDS + commands) for _ in range(choice.randint(0, 4))])
    elif kind < 0.95:
        return bytes(choice.choice([byte for byte in range(256) if byte != 10]) for _ in range(choice.randint(0, 60)))
    elif kind < 0.97:
        line = ' '.join([choice.choice(commands)] + [choice.choice(WORDS)] * choice.randint(1000, 20000))
    else:
        line = f'\tplay\x07 {colour}\r C3 # {choice.choice(WORDS)}'
    return line.encode('utf-8')


DEAD_B5 = ['boardsize 5', 'komi 0.5'] + [f'play {colour} {point}' for row in range(1, 6)
                                         for colour, point in (('b', f'C{row}'), ('w', f'D{row}'))] + [
    'play b B2', 'play w B5', 'play b B4']


@pytest.mark.parametrize('passes', [0, 1, 2])
def test_passes_change_nothing_about_who_is_dead(passes):
    gtp = Gtp(tiny_engine())
    for line in DEAD_B5 + ['play w pass', 'play b pass'][:passes]:
        assert ask(gtp, line) == '='
    assert ask(gtp, 'final_status_list dead') == '= B5' and ask(gtp, 'final_score') == '= B+4.5'
    assert ask(gtp, 'reg_genmove b') != '= resign'


def scripted(colour):
    """An engine that plays one side of DEAD_B5, then passes."""
    engine = tiny_engine(size=5, komi=0.5)
    moves = iter([line.split()[2] for line in DEAD_B5[2:] if line.split()[1] == colour] + ['pass'])
    engine.generate = lambda _: move_of(next(moves), 5)
    return engine


def test_a_game_in_the_terminal_ends_with_the_dead_stone_taken_off(monkeypatch, capsys):
    """With it White would have won by 4.5."""
    monkeypatch.setattr('chapters.ch07_policy_net.engine.load_engine', lambda *_, **__: scripted('b'))
    white = [line.split()[2] for line in DEAD_B5[2:] if ' w ' in line] + ['pass']
    monkeypatch.setattr('sys.stdin', io.StringIO('\n'.join(white)))
    assert main(['play', '--colour', 'white', '--size', '5', '--komi', '0.5']) == 0
    assert capsys.readouterr().out.splitlines()[-1] == 'Two passes: B+4.5, dead stones taken off: B5'


@pytest.mark.parametrize('colour', [BLACK, WHITE])
def test_a_match_of_the_engine_against_itself_takes_the_dead_stone_off(colour):
    ours, theirs = ('b', 'w') if colour == BLACK else ('w', 'b')
    other = Gtp(scripted(theirs))
    result, moves, _ = match.play_game(scripted(ours), SimpleNamespace(ask=lambda line: ask(other, line)[2:]), colour,
                                       size=5, komi=0.5)
    assert result == 'B+4.5' and len(moves) == len(DEAD_B5) and match.won(result, colour) == (colour == BLACK)


def test_counts_as_dead_what_gnugo_counts_as_dead():
    """Games of the built-in player to the second pass: the winner is the one that GNU Go names."""
    try:
        other = match.Program([match.find_gnugo(), '--mode', 'gtp', '--level', '1', '--chinese-rules'])
    except UserError:
        pytest.skip('needs GNU Go: apt-get install gnugo')
    gtp, chance, same, dead = Gtp(tiny_engine()), np.array([11], np.uint64), 0, 0
    for _ in range(6):
        for line in ('boardsize 9', 'clear_board', 'komi 6.5'):
            other.ask(line), ask(gtp, line)
        position = Position(9)
        while position.passes < 2:
            # nobody plays on where it is over for a reasonable player
            move = int(choose(position.state, chance)) if position.move_number < 60 else 81
            line = f'play {"bw"[position.to_play == WHITE]} {vertex(move, 9)}'
            position.play(move)
            assert ask(gtp, line) == '='
            other.ask(line)
        same += ask(gtp, 'final_score')[2] == other.ask('final_score')[0]
        dead += len(ask(gtp, 'final_status_list dead')) > 2
    other.close()
    assert same >= 5 and dead >= 5


@pytest.mark.parametrize('rules', ['chinese', 'tromp-taylor'])
def test_dead_stones_are_captured_where_nobody_agrees_about_them(rules):
    """In the same position White passes: Black is ahead without B5, and behind with it."""
    gtp = Gtp(tiny_engine(rules=rules))
    for line in DEAD_B5 + ['play w pass']:
        ask(gtp, line)
    first = ask(gtp, 'reg_genmove b')
    assert first == ('= A5' if rules == 'tromp-taylor' else '= pass')
    assert ask(gtp, 'kgs-genmove_cleanup b') == '= A5'
    assert ask(gtp, 'final_score') == '= B+4.5'
    assert ask(gtp, 'play w pass') == '=' and ask(gtp, 'kgs-genmove_cleanup b') == '= pass'


def test_white_gets_a_point_for_each_handicap_stone():
    gtp = Gtp(tiny_engine())
    scores = {}
    for rules in ('chinese', 'aga', 'new_zealand', 'tromp-taylor'):
        for line in ('boardsize 9', f'kgs-rules {rules}', 'komi 0.5', 'fixed_handicap 2'):
            assert ask(gtp, line)[0] == '='
        scores[rules] = gtp.engine.score([])
    assert scores == {'chinese': 78.5, 'aga': 79.5, 'new_zealand': 80.5, 'tromp-taylor': 80.5}
    assert ask(gtp, 'kgs-rules japanese') == '? unsupported rules' and ask(gtp, 'get_komi') == '= 0.5'


REPEATING = 'b A2 w B1 b B2 w C3 b pass w D1 b A3 w C2 b D2 w A1 b C1 w B1'.split()


def test_takes_moves_that_a_referee_without_superko_takes():
    gtp = Gtp(tiny_engine())
    ask(gtp, 'boardsize 9')
    for colour, point in zip(REPEATING[::2], REPEATING[1::2]):
        assert ask(gtp, f'play {colour} {point}') == '='
    assert gtp.engine.position.board[8, 1] == WHITE and len(gtp.engine.moves) == 12
    ask(gtp, 'undo')
    legal = gtp.engine.position.legal_moves()
    assert not legal[1 + 9 * 8]  # but the engine repeats nothing
    ask(gtp, 'play w B1')
    assert gtp.engine.position.superko
    gtp = Gtp(tiny_engine(rules='tromp-taylor', size=9))
    answers = [ask(gtp, f'play {colour} {point}') for colour, point in zip(REPEATING[::2], REPEATING[1::2])]
    assert answers == ['='] * 11 + ['? illegal move']


def test_survives_random_lines():
    """Every line is answered with its id, and moves are accepted and made as an independent referee allows.

    GTP_LINES=10000 in the environment: so many lines instead of 1,500.
    """
    gtp, choice = Gtp(tiny_engine(size=5, resigns=False)), random.Random(1)
    engine, commands = gtp.engine, sorted(gtp._commands)
    referee, moves, refused = Referee(engine.position.board), 0, 0
    for number in range(int(os.environ.get('GTP_LINES', 1500))):
        line = random_line(choice, commands)
        before, played, size = engine.position.board.copy(), len(engine.moves), engine.position.size
        answer = gtp.answer(f'{number} {line.decode("latin-1")}')
        assert answer.startswith((f'={number}', f'?{number}')) and answer[-2:] == '\n\n' != answer[-3:-1], line
        assert not answer[len(str(number)) + 1].isdigit() and 'internal error' not in answer, line
        gtp.running = True  # quit is among them
        words = line.decode('latin-1').split('#')[0].translate({number: None for number in (*range(9), *range(10, 32))
                                                                }).split()
        command, accepted = words[0] if words else '', answer[0] == '='
        if command in ('genmove', 'reg_genmove') and accepted:
            colour, judge = words[1][0].lower(), Referee(before)
            judge.seen = referee.seen[:]
            assert judge.allows(colour, answer.split()[1]), (line, answer)
            if command == 'genmove':
                referee, moves = judge, moves + 1
        elif command == 'play':
            if accepted:
                assert referee.allows(words[1][0].lower(), words[2], repeats=True), line
                moves += 1
            elif answer.endswith('illegal move\n\n'):
                off = Referee(before)
                off.seen = referee.seen[:]
                assert not off.allows(words[1][0].lower(), words[2], repeats=True), line
                refused += 1
        elif command == 'undo' and accepted:
            if not np.array_equal(before, engine.position.board) and referee.seen:
                referee.seen.pop()
            referee.board = Referee.of(engine.position.board)
        elif len(engine.moves) < played or size != engine.position.size \
                or not np.array_equal(before, engine.position.board):
            referee = Referee(engine.position.board)  # another game
        assert Referee.of(engine.position.board).board == referee.board.board, line
    assert moves > 200 and refused > 20


def write_games(path, number):
    """Whole games of the built-in player, one a line."""
    chance = np.array([3], np.uint64)
    with open(path, 'w') as file:
        for _ in range(number):
            position, moves = Position(), []
            while position.passes < 2 and len(moves) < 600:
                move = int(choose(position.state, chance))
                moves.append((position.to_play, move))
                position.play(move)
            score = position.score(7.5)
            file.write(match.to_sgf(moves, f'{"BW"[score < 0]}+{abs(score)}', 'a', 'b', 19, 7.5))


def test_a_search_begins_with_what_all_eight_sides_say():
    engine = tiny_engine(visits=20, size=9)
    engine.play(BLACK, 40)
    engine.generate(WHITE)  # which plays nothing
    assert np.allclose(engine._search._prior[0].clip(0), engine.probabilities(), atol=1e-6)
    assert np.abs(engine.probabilities(1) - engine.probabilities()).max() > 1e-4


def test_a_head_learns_whose_the_points_will_be(tmp_path, capsys):
    from chapters.ch07_policy_net import ownership
    from chapters.ch07_policy_net.engine import load_engine
    write_games(tmp_path / 'games.sgf', 40)
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    before = parameters(tmp_path / 'run')
    assert ownership.main(['--run', str(tmp_path / 'run'), '--data', str(tmp_path / 'games.sgf'), '--games', '40']) == 0
    assert 'winner_by_head' in capsys.readouterr().out
    policy = load_policy(tmp_path / 'run')
    examples = ownership.positions_of_games([tmp_path / 'games.sgf'], 40, per_game=8)
    states, owners, winners = examples
    assert len(ownership.positions_of_games([tmp_path / 'games.sgf'], 7, per_game=2)[0]) == 14
    assert len(states) == len(owners) == len(winners) == 320 and owners.min() < -0.9 and owners.max() > 0.9
    head = ownership.fit_head(policy.network, policy.planes, *(np.concatenate([array[80:]] * 8) for array in examples),
                              batch_size=16)
    result = ownership.measure(policy, head, *(array[:80] for array in examples))
    assert result['owners_mse'] < 0.9 * result['all_even_mse']
    assert 0.5 < result['result_loss'] < 0.8  # of 10 games
    now = {name: parameter.data().asnumpy() for name, parameter in policy.network.collect_params().items()}
    assert all(np.array_equal(array, now[name.split(':')[1]]) for name, array in before.items())
    theirs = states[states[:, TO_MOVE] == WHITE][:5]
    turned = ownership._owners_of_mover(theirs, owners[:len(theirs)], np.zeros(len(theirs), int))
    assert np.array_equal(turned, -owners[:len(theirs)])
    some, evaluate = states[:80].astype(np.int32), ownership.OwnersAndRollouts(policy, head)
    policies, values = evaluate(some)
    assert policies.shape == (80, 362) and (np.abs(values) <= 1).all()
    assert np.abs(policies[:, :-1] - policy(some)).sum(axis=1).mean() < 0.1  # 8 bits, and 32
    planes = mx.nd.array(planes_of(without_history(some), policy.planes), dtype='float32')
    exact = head(ownership.Body(policy.network)(planes)).asnumpy()
    _, found, chances = evaluate.answers(some)
    lead = exact[:, -2] + np.where(some[:, TO_MOVE] == BLACK, -7.5, 7.5)
    assert np.abs(chances - 1 / (1 + np.exp(-lead / exact[:, -1]))).mean() < 0.02
    share = np.count_nonzero(np.isin(some[:, COLOUR:COLOUR + CELLS], (BLACK, WHITE)), axis=1) / 361
    # Each position is played out once, which says 1 or -1: the share of the board that is covered.
    assert np.allclose(np.abs(values - (1 - share) * (2 * chances - 1)), share, atol=1e-4)
    exact = exact[:, :-2]
    assert np.abs(found - exact).mean() < 0.1 * np.abs(exact).mean() and not np.array_equal(found, exact)
    evaluate.begin(komi=400)  # more than there are points
    assert np.array_equal(np.sign(evaluate(some)[1]), np.where(some[:, TO_MOVE] == WHITE, 1, -1))
    engine = load_engine(tmp_path / 'run', visits=8, size=9)
    assert engine.head and engine.generate(BLACK) is not None
    assert [load_engine(tmp_path / 'run', visits).policy.batch for visits in (0, 80, 400)] == [1, 4, 8]
    older = {name: array for name, array in mx.nd.load(str(tmp_path / 'run' / ownership.FILE)).items()
             if not name.startswith('result')}
    mx.nd.save(str(tmp_path / 'run' / ownership.FILE), older)
    with pytest.raises(UserError, match='is no head, or of an earlier version of this program; train it again by'):
        load_engine(tmp_path / 'run')


@pytest.mark.parametrize('spoil, said', [
    (lambda file, arrays: file.write_bytes(file.read_bytes()[:3000]), 'is damaged'),
    (lambda file, arrays: file.write_bytes(b''), 'is damaged'),
    (lambda file, arrays: mx.nd.save(str(file), {**arrays, 'more.weight': mx.nd.zeros(3)}), 'is no head'),
    (lambda file, arrays: mx.nd.save(str(file), {**arrays, 'body.0.weight': mx.nd.zeros((32, 24, 3, 3))}), 'is of another'),
    (lambda file, arrays: mx.nd.save(str(file), {**arrays, 'owners.weight': mx.nd.zeros((1, 64, 1, 1))}), 'is of another'),
])
def test_a_head_that_does_not_fit_is_said_in_one_line(tmp_path, capsys, spoil, said):
    folder = shutil.copytree(run_folder('zoo:7.2-small'), tmp_path / 'run')
    file = folder / 'ownership.params'
    spoil(file, mx.nd.load(str(file)))
    for command in (['serve', str(folder), '--port', '0'], ['play', '--run', str(folder), '--visits', '8']):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert f'{file}: {said}' in line and line.endswith('--data GAMES.sgf.xz')


def test_of_a_game_given_up_early_only_the_winner_is_known(tmp_path):
    from chapters.ch07_policy_net import ownership
    write_games(tmp_path / 'games.sgf', 1)
    nodes = (tmp_path / 'games.sgf').read_text().split(';')[2:]
    text = ';'.join(['(', 'GM[1]SZ[19]RE[B+R]', *nodes[:150]]) + ')'
    (tmp_path / 'early.sgf').write_text(text)
    states, owners, winners = ownership.positions_of_games([tmp_path / 'early.sgf'], 1, per_game=64)
    assert np.isnan(owners).all() and winners.all() and len(winners) == 64
    policy = tiny_engine().policy
    policy(states[:1].astype(np.int32))  # its parameters get their shapes
    blacks = states[:, TO_MOVE] == BLACK
    for won in (0, 1):
        examples = [np.concatenate([array[blacks]] * 50) for array in (states, owners, np.full(64, won, np.float32))]
        head = ownership.fit_head(policy.network, 8, *examples, batch_size=8)
        assert all(np.isfinite(parameter.data().asnumpy()).all() for parameter in head.collect_params().values())
        _, _, chances = ownership.OwnersAndRollouts(policy, head).answers(states[blacks].astype(np.int32))
        assert np.abs(chances - won).mean() < 0.4  # untrained 0.96 off for one of the two
    (tmp_path / 'late.sgf').write_text(text.replace('B+R', 'B+T'))  # nothing is known of a game lost by its clock
    with pytest.raises(UserError, match='no game there'):
        ownership.positions_of_games([tmp_path / 'late.sgf'], 1)


def test_games_that_were_hardly_played_are_refused(tmp_path):
    from chapters.ch07_policy_net import ownership
    (tmp_path / 'short.sgf').write_text('(;GM[1]SZ[19]RE[B+R];B[aa];W[bb])')
    with pytest.raises(UserError, match='no game there of 115 moves or more'):
        ownership.positions_of_games([tmp_path / 'short.sgf'], 1)


def test_the_program_itself(tmp_path, capsys):
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    command = [sys.executable, '-m', 'chapters.ch07_policy_net.gtp', '--run', str(tmp_path / 'run')]
    done = subprocess.run(command, input=b'1 name\n\xff\xfe\n2 boardsize 7\n3 genmove b\n4 quit\n5 name\n',
                          stdout=subprocess.PIPE, check=True)
    answers = done.stdout.decode().split('\n\n')
    assert answers[0] == '=1 bookcnn' and answers[1].startswith('?') and answers[3].startswith('=3 ')
    assert answers[4] == '=4' and len(answers) == 6
    # the same program as the opponent of a match
    words = ['--run', str(tmp_path / 'run'), '--against', ' '.join(command), '--size', '5', '--out',
             str(tmp_path / 'games')]
    assert match.main(words + ['--games', '1', '--komi', '0.5']) == 0
    from sgfmill import sgf
    first = tmp_path / 'games' / 'game-000.sgf'
    game = sgf.Sgf_game.from_bytes(first.read_bytes())
    assert game.get_size() == 5 and len(list(game.main_sequence_iter())) > 5
    # what is there already counts, and is not played again
    known = first.read_text().replace(f'RE[{game.get_root().get("RE")}]', 'RE[B+3]')
    first.write_text(known)
    capsys.readouterr()
    assert match.main(words + ['--games', '1', '--komi', '0.5']) == 0
    assert 'won 1 of 1 games' in capsys.readouterr().out and first.read_text() == known
    assert match.main(words + ['--games', '1', '--komi', '6.5']) == 2
    assert 'another size or komi' in capsys.readouterr().err
    # the colours go by the seed, so that a game that another seed has begun with counts as it was played
    assert match.main(words + ['--games', '1', '--komi', '0.5', '--seed', '1']) == 0
    assert match.main(words + ['--games', '2', '--komi', '0.5']) == 0
    assert 'PW[run 0 visits]' in (tmp_path / 'games' / 'game-001.sgf').read_text()
    first.write_text(known.replace('RE[B+3]', 'RE['))
    assert match.main(words + ['--games', '1', '--komi', '0.5']) == 2 and 'damaged' in capsys.readouterr().err


def test_gnugo_referees(tmp_path):
    try:
        gnugo = match.find_gnugo()
    except UserError as error:
        assert 'apt-get install gnugo' in str(error)
        pytest.skip('needs GNU Go: apt-get install gnugo')
    engine = tiny_engine(temperature=0.5)
    other = match.Program([gnugo, '--mode', 'gtp', '--level', '1', '--chinese-rules', '--seed', '1'])
    try:
        result, moves, thinking = match.play_game(engine, other, BLACK, size=7, komi=8.5)
    finally:
        other.close()
    assert result.startswith('W+') and moves[0][0] == BLACK and len(moves) > 6 and thinking > 0


def test_a_game_in_which_the_opponent_crashes_is_void(tmp_path, capsys):
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    (tmp_path / 'other.py').write_text('\n'.join((
        'import os, sys',
        'for number, line in enumerate(sys.stdin):',
        '    if number == 8 and os.path.exists("crash"):',
        '        os.remove("crash")',
        '        os._exit(1)',
        '    print("= PASS" if "genmove" in line else "=", end="\\n\\n", flush=True)')))
    words = ['--run', str(tmp_path / 'run'), '--against', f'{sys.executable} {tmp_path / "other.py"}', '--size', '5',
             '--out', str(tmp_path / 'games'), '--games', '2']
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path)
        (tmp_path / 'crash').touch()
        for _ in range(2):  # what is void stays so
            assert match.main(words) == 0
            printed = capsys.readouterr().out
            assert 'crashed in 1 of 2 games' in printed and 'won 1 of 1 games' in printed
    void = (tmp_path / 'games' / 'game-000.sgf').read_text()
    assert 'RE[Void];B[' in void and len(re.findall(';[BW]', void)) == 5


def test_an_opponent_that_crashes_before_its_first_move_is_told():
    other = match.Program([sys.executable, '-c', 'input(); print("=\\n"); input()'])
    with pytest.raises(UserError, match='ended'):
        match.play_game(tiny_engine(), other, WHITE, size=5)
    other.close()


def test_a_missing_opponent_is_told(tmp_path):
    with pytest.raises(UserError, match='no-such-engine: cannot be started'):
        match.Program(['no-such-engine'])


@pytest.mark.parametrize('wins, games', [(0, 40), (8, 10), (17, 40), (40, 40)])
def test_interval_is_wilsons_formula(wins, games):
    z, share = 1.959964, wins / games
    middle = (share + z * z / (2 * games)) / (1 + z * z / games)
    half = z * np.sqrt(share * (1 - share) / games + z * z / (4 * games * games)) / (1 + z * z / games)
    assert match.wilson(wins, games) == pytest.approx((middle - half, middle + half), abs=1e-6)


def test_interval():
    assert match.wilson(8.5, 10) == (match.wilson(8, 10)[0], match.wilson(9, 10)[1])  # a draw
    low, high = match.wilson(8.0, 10)
    assert (low, high) == (pytest.approx(0.4901, abs=1e-3), pytest.approx(0.9433, abs=1e-3))
    assert match.wilson(0, 40)[0] == pytest.approx(
        0, abs=1e-12) and match.wilson(40, 40)[1] == pytest.approx(1)


def test_a_person_plays(tmp_path, capsys):
    from chapters.ch07_policy_net.play import play_in_terminal
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    play_in_terminal(tmp_path / 'run', colour='white', size=7, komi=8.5,
                     lines=['', 'hint', 'nonsense', 'A1', 'score', 'undo', 'B1', 'resign'])
    said = capsys.readouterr().out
    assert said.count('The network plays ') >= 2 and 'the network likes' in said and '%' in said
    assert 'not a vertex' in said and said.strip().endswith('The network wins.')
    assert (Position(7).board == 0).all()


def test_a_person_takes_handicap(tmp_path, capsys):
    from chapters.ch07_policy_net.play import play_in_terminal
    run_tiny(tmp_path / 'run', epochs=1, samples_per_epoch=64)
    play_in_terminal(tmp_path / 'run', size=9, handicap=4, lines=['E5', 'score', 'quit'])
    said = capsys.readouterr().out
    assert 'your move as F6' in said  # a point that a board of nine lines has
    boards = [[line.split()[1:10] for line in part.splitlines()[1:10]] for part in said.split('A B C D E F G H J')[1:]]
    assert sum(row.count('X') for row in boards[0]) == 4 and not any('O' in ''.join(row) for row in boards[0])
    assert said.index('The network plays ') < said.index('> ')  # white moves first
    for size, handicap, words in ((9, 10, '2 to 9'), (7, 5, '2 to 4'), (5, 2, 'none')):
        with pytest.raises(UserError, match=f'--handicap {handicap}: a board of {size} lines has {words}'):
            play_in_terminal(tmp_path / 'run', size=size, handicap=handicap, lines=[])
