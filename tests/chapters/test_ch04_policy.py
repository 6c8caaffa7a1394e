"""Section 4.2: the printed scores, and the simplest policy network trained on games."""
import numpy as np
import pytest

import chapters
from chapters.ch04_cnn import positions
from chapters.kit.perform import run_experiment
from data_tools.go.board import WHITE, vertex
from data_tools.go.features import BOOK_ORDER, book_planes
from data_tools.go.player import selfplay_records


def test_printed_kernels_give_the_printed_scores(tmp_path):
    run, result = run_experiment(chapters.find('4.2.3'), out=tmp_path / 'run', quiet=True)
    metrics = {name: value['last'] for name, value in result['metrics'].items()}
    printed = chapters.find('4.2.3').book
    assert len(printed) == 9
    for figure in printed:
        assert metrics[figure.metric] == pytest.approx(figure.value, abs=0.005), figure.metric
    assert {vertex(int(metrics[name])) for name in ('first', 'second')} == {'P15', 'R15'}
    assert metrics['difference_mxnet'] < 1e-5
    for name in ('planes', 'sum'):
        assert (run.folder / 'figures' / f'{name}.png').stat().st_size > 20000


def test_where_the_plane_of_2_liberties_has_its_maxima():
    """Not where the text says, as the remark tells."""
    from chapters.ch04_cnn.convolution import convolve
    from chapters.ch04_cnn.one_convolution import position_of_the_book
    from chapters.ch04_cnn.policy import PRINTED, full_kernel
    plane = book_planes(position_of_the_book().state)[BOOK_ORDER.index('2 liberties')]
    scores = convolve(np.pad(plane.astype(float), 1), full_kernel(*PRINTED['2 liberties'])).ravel()
    assert scores.max() == pytest.approx(0.42)
    maxima = [vertex(move) for move in np.flatnonzero(np.isclose(scores, 0.42))]
    assert maxima == ['L18', 'N18', 'L16', 'N16']
    said, shown = chapters.find('4.2.3').remark.split('they are')
    assert all(point in shown and point not in said for point in maxima)


def test_the_position_of_the_book_is_after_move_27_at_q15():
    from chapters.ch04_cnn.one_convolution import position_of_the_book
    position = position_of_the_book()
    assert position.move_number == 27 and vertex(position.last_move) == 'Q15' and position.to_play == WHITE


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
    from mxnet import nd

    from chapters.ch04_cnn.policy import OnePlanePolicy
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
    assert positions.find_packs(str(tmp_path)) == ([tmp_path / 'train.dat'], [tmp_path / 'val.dat'])
    for name in ('mine', 'mine.dat'):
        assert positions.find_packs(str(tmp_path / name)) == ([tmp_path / 'mine.dat'], [tmp_path / 'mine.validation.dat'])


def test_a_folder_of_numbered_packs_is_read_as_it_is(tmp_path):
    """7.1: NAME-0.dat to NAME-597.dat, 0 to 5 validating; by 7.2's listing a file NAME-val.dat does."""
    from chapters.ch04_cnn.positions import Joined
    from data_tools.errors import UserError
    records = selfplay_records(2, 0)[:90]
    for number in (0, 5, 6, 7, 10):  # 10 after 7, not after 0
        records[9 * number % 80:][:9].tofile(tmp_path / f'TygemAmateur-{number}.dat')
    train, validation = positions.find_packs(str(tmp_path))
    assert [path.name[13:-4] for path in train] == ['6', '7', '10']
    assert [path.name[13:-4] for path in validation] == ['0', '5']
    joined, whole = Joined(train), np.concatenate([np.fromfile(path, np.uint8).reshape(-1, 363) for path in train])
    assert len(joined) == 27 and np.array_equal(joined[:], whole) and np.array_equal(joined[8:20], whole[8:20])
    order = np.random.default_rng(0).permutation(27)
    assert np.array_equal(joined[order], whole[order])
    data = chapters.find('4.2.2').load(str(tmp_path))
    assert len(data.train_x) == 27 and len(data.validation_x) == 18
    assert len(chapters.find('4.2.2').but(train_samples=20).load(str(tmp_path)).train_x) == 20
    records[:5].tofile(tmp_path / 'TygemAmateur-val.dat')
    train, validation = positions.find_packs(str(tmp_path))
    assert len(train) == 5 and [path.name for path in validation] == ['TygemAmateur-val.dat']
    for path in [*train[:2], *validation]:
        path.unlink()
    with pytest.raises(UserError, match='TygemAmateur-6.dat, .*those under 6 validate, the others train'):
        positions.find_packs(str(tmp_path))


def test_symmetries_can_be_left_out():
    """`apply_symmetry` of 7.2.2: without it a position is shown as it was played."""
    records = selfplay_records(2, 0)[:32]
    upright = positions.PackedPlanes(records).batch(np.arange(32), np.zeros(32, int))
    for apply in (False, True):
        data = positions.from_records('x', records, records, 8, apply_symmetry=apply)
        planes, moves = data.batch(np.arange(32), np.random.default_rng(0))
        assert (np.array_equal(planes, upright[0]) and np.array_equal(moves, upright[1])) != apply
    assert not chapters.find('7.2').but(apply_symmetry='0').recipe.apply_symmetry
    with pytest.raises(Exception, match='nothing called .apply_symmetry'):
        chapters.find('4.4').but(apply_symmetry=False)
