"""Section 4.2: the printed scores, and the simplest policy network trained on games."""
import numpy as np
import pytest

import chapters
from chapters.ch04_cnn import positions
from chapters.kit.program import run_experiment
from data_tools.go.board import vertex


def test_printed_kernels_give_the_printed_scores(tmp_path):
    run, result = run_experiment(chapters.find('4.2.3'), out=tmp_path / 'run', quiet=True)
    metrics = {name: value['last'] for name, value in result['metrics'].items()}
    printed = chapters.find('4.2.3').book
    assert len(printed) == 6
    for figure in printed:
        assert metrics[figure.metric] == pytest.approx(figure.value, abs=0.005), figure.metric
    assert {vertex(int(metrics[name])) for name in ('first', 'second')} == {'P15', 'R15'}
    assert metrics['difference_mxnet'] < 1e-5
    for name in ('planes', 'sum'):
        assert (run.folder / 'figures' / f'{name}.png').stat().st_size > 20000


@pytest.mark.parametrize('section', ['4.2.2', '4.2.2-no-last-move'])
def test_the_simplest_policy_learns(tmp_path, monkeypatch, section):
    monkeypatch.setattr(positions, 'SELFPLAY_GAMES', 40)
    experiment = chapters.find(section).but(samples_per_epoch=6400, epochs=2)
    run, result = run_experiment(experiment, data='selfplay', out=tmp_path / 'run', quiet=True)
    metrics = {name: value['last'] for name, value in result['metrics'].items()}
    assert 5 / 361 < metrics['validation_accuracy'] < metrics['validation_top2'] < metrics['validation_top5'] \
        < metrics['validation_top10'] < 1
    assert ('last move, edge' in metrics) == (section == '4.2.2')
    if section == '4.2.2':  # the built-in player, too, likes to answer beside the last move
        assert metrics['last move, edge'] > max(metrics['own, edge'], metrics['last move, centre'])
    assert 'selfplay' in result['note'] and 'built-in player' in result['note']
    assert (run.folder / 'figures' / 'kernels.png').exists()


def test_without_its_plane_the_last_move_is_not_seen():
    from chapters.ch04_cnn.policy import OnePlanePolicy
    from mxnet import nd
    planes = np.random.default_rng(0).integers(0, 2, (2, 8, 19, 19)).astype(np.float32)
    other = planes.copy()
    other[:, 0] = 1 - other[:, 0]
    for last_move in (True, False):
        network = OnePlanePolicy(last_move=last_move)
        network.initialize()
        same = np.array_equal(network(nd.array(planes)).asnumpy(), network(nd.array(other)).asnumpy())
        assert same != last_move


def test_kernels_symmetrised():
    from chapters.ch04_cnn.policy import full_kernel, symmetrised
    assert symmetrised(full_kernel(1, 2, 3)) == (1, 2, 3)
    assert symmetrised(np.arange(9).reshape(3, 3)) == (4, 4, 4)


def test_packs_that_are_not_there(tmp_path, monkeypatch):
    from data_tools.errors import UserError
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path))
    with pytest.raises(UserError, match='train.dat: no such pack.*go pack.*selfplay'):
        positions.find_packs('go')
    with pytest.raises(UserError, match='mine.dat: no such pack'):
        positions.find_packs(str(tmp_path / 'mine'))


def test_packs_are_found_as_go_pack_names_them(tmp_path):
    for name in ('train.dat', 'val.dat', 'mine.dat', 'mine.validation.dat'):
        (tmp_path / name).write_bytes(bytes(363))
    assert positions.find_packs(str(tmp_path)) == (tmp_path / 'train.dat', tmp_path / 'val.dat')
    for name in ('mine', 'mine.dat'):
        assert positions.find_packs(str(tmp_path / name)) == (tmp_path / \
                                    'mine.dat', tmp_path / 'mine.validation.dat')
