"""Sections 9.3.1, 9.3.6 and 9.4: what may come after the networks of the book."""
from inspect import signature

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from PIL import Image
from scipy.stats import entropy as scipy_entropy

import chapters
from chapters.ch07_policy_net.engine import load_engine
from chapters.ch07_policy_net.seki import seki
from chapters.ch09_outlook import (
    capsules,
    capsules_seen,
    gcforest,
    image_prior,
    information,
    kernel,
    learnt_optimizer,
    loss_surfaces,
    other_gradients,
    prediction,
    random_labels,
    spikes,
    traps,
)
from chapters.kit.perform import resume, run_experiment
from chapters.kit.training.checkpoint import Checkpoint
from data_tools.errors import UserError
from data_tools.go.board import BLACK, EMPTY, WHITE, Position
from data_tools.go.features import BOOK, planes_of
from data_tools.go.player import ownership


def figures_of(section, tmp_path, data='', **changes):
    """(run, {name: last value}) of an experiment."""
    run, result = run_experiment(chapters.find(section).but(**changes), data=data, out=tmp_path / 'run', quiet=True)
    return run, {name: value['last'] for name, value in result['metrics'].items()}


def drawn(run, *names):
    """Whether these pictures are there, and something is on them."""
    return all((run.folder / 'figures' / name).stat().st_size > 3000 for name in names)


def resumes(section, tmp_path, monkeypatch, **changes):
    """Stop after the second epoch; whether the figures are those of a run that was not stopped."""
    experiment = chapters.find(section).but(**changes)
    _, whole = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    from chapters.kit.training.checkpoint import Checkpoint
    save, saved = Checkpoint.save, []

    def stop(self, arrays, state):
        save(self, arrays, state)
        saved.append(state['epoch'])
        if len(saved) == 2:
            raise KeyboardInterrupt
    monkeypatch.setattr(Checkpoint, 'save', stop)
    monkeypatch.setattr('chapters.kit.training.epochs.SECONDS_APART', 0)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(experiment, out=tmp_path / 'stopped', quiet=True)
    monkeypatch.setattr(Checkpoint, 'save', save)
    _, rest = resume(tmp_path / 'stopped', chapters.find)
    return saved == [1, 2] and rest['metrics'] == whole['metrics']


# Capsules

def test_squash_keeps_the_direction():
    long, short = capsules.squash(nd, nd.array([[3.0, 4.0], [0.0, 0.1]])).asnumpy()
    assert long == pytest.approx([0.6 * 25 / 26, 0.8 * 25 / 26], rel=1e-5)  # length 5 becomes 25 / 26
    assert short == pytest.approx([0, 0.01 / 1.01], abs=1e-5)


def test_margin_loss_by_hand():
    lengths = nd.array([[0.95, 0.05, 0.3], [0.5, 0.1, 0.1], [0.7, 0.9, 0.0]])
    present = nd.array([[1, 0, 0], [1, 0, 0], [1, 1, 0]])
    # 0.5 * (0.3 - 0.1)^2; (0.9 - 0.5)^2; (0.9 - 0.7)^2
    assert capsules.margin_loss(nd, lengths, present).asnumpy() == pytest.approx([0.02, 0.16, 0.04], abs=1e-6)


def test_routing_sends_a_capsule_where_the_others_agree():
    random, classes, below = np.random.default_rng(0), 3, 20
    votes = random.standard_normal((2, classes, below, 4)).astype(np.float32)
    votes[:, 1] = np.array([2.0, 0, 0, 0]) + 0.1 * random.standard_normal((2, below, 4))  # all say the same of class 1
    flat = nd.array(votes.reshape(-1, below, 4))
    shares = [capsules.route(nd, flat, classes, times)[1].asnumpy() for times in (1, 3)]
    for share in shares:
        assert share.shape == (2, classes, below) and np.allclose(share.sum(axis=1), 1, atol=1e-6)
    assert np.allclose(shares[0], 1 / 3) and shares[1][:, 1].mean() > 0.7 > 0.3 > shares[1][:, 0].mean()
    once = nd.norm(capsules.route(nd, flat, classes, 1)[0], axis=(1, 2)).asnumpy().reshape(2, 3)
    thrice = nd.norm(capsules.route(nd, flat, classes, 3)[0], axis=(1, 2)).asnumpy().reshape(2, 3)
    assert (thrice[:, 1] > once[:, 1]).all()


def test_capsules_have_the_papers_size():
    network = capsules.Capsules(prefix='paper_')
    network.initialize()
    assert network.capsules(nd.zeros((1, 1, 28, 28))).shape == (1, 10, 16)
    shapes = {name: parameter.shape for name, parameter in network._collect_params_with_prefix().items()}
    assert shapes['capsules.first.weight'] == (256, 1, 9, 9) and shapes['capsules.primary.weight'] == (256, 256, 9, 9)
    assert shapes['capsules.weight'] == (1152, 8, 160)
    sizes = {name: int(np.prod(shape)) for name, shape in shapes.items()}
    assert sum(sizes.values()) == 8215568  # 8.2M, and without the decoder 6.8M, as the paper has it
    assert sum(size for name, size in sizes.items() if name.startswith('capsules.')) == 6804224


def test_gradient_of_capsules_is_the_slope():
    mx.random.seed(0)
    network = capsules.Capsules(filters=4, types=2, hidden=(8,), side=20, classes=3, reconstruction=0.1, prefix='tiny_')
    network.initialize(mx.init.Xavier())
    random = np.random.default_rng(0)
    x, y = random.random((2, 1, 20, 20)).astype(np.float32), np.array([0, 2])
    batch = nd.array(x), nd.one_hot(nd.array(y), 3), nd.array(y[:, None]), nd.array(x[:, None])
    network.loss(*batch)
    with autograd.record():
        loss = network.loss(*batch)
    loss.backward()
    for name in ('capsules.weight', 'capsules.primary.weight', 'decoder.0.weight'):
        parameter = network._collect_params_with_prefix()[name]
        before, gradient = parameter.data().copy(), parameter.grad().asnumpy()
        way, slopes = gradient / np.linalg.norm(gradient), []  # where the slope is steepest
        for sign in (1, -1):
            parameter.set_data(before + sign * 5e-2 * nd.array(way))
            slopes.append(network.loss(*batch).sum().asscalar())
        parameter.set_data(before)
        assert (slopes[0] - slopes[1]) / 1e-1 == pytest.approx((gradient * way).sum(), rel=0.03), name


def test_capsules_learn_and_are_looked_into(tmp_path):
    run, found = figures_of('9.4.2-small', tmp_path, filters=16, types=2, hidden='64', epochs=4, train_samples=700,
                            learning_rate=0.004)
    assert found['validation_accuracy'] > 0.5 and found['validation_accuracy'] == pytest.approx(found['capsules_right'])
    assert found['capsules_right_fgsm_0.3'] < found['capsules_right'] - 0.2
    assert found['capsules_sure_of_pieces'] < found['capsules_sure']
    assert found['sweep_change'] > 1e-4 and drawn(run, 'numbers.png', 'pieces.png')
    network = mx.gluon.SymbolBlock.imports(str(run.folder / 'model-symbol.json'), ['data'],
                                           str(run.folder / 'model-0004.params'))
    lengths = network(nd.array(run.data.validation_x)).asnumpy()
    assert np.mean(lengths.argmax(axis=1) == run.data.validation_y) == pytest.approx(found['validation_accuracy'])


def test_quarters_all_move():
    x = np.arange(4 * 16, dtype=np.float32).reshape(4, 1, 4, 4)
    pieces = capsules_seen.shuffled_quarters(x, np.random.default_rng(0))
    for whole, cut in zip(x[:, 0], pieces[:, 0]):
        assert sorted(cut.ravel()) == sorted(whole.ravel())
        assert not any((whole[a:a + 2, b:b + 2] == cut[a:a + 2, b:b + 2]).any() for a in (0, 2) for b in (0, 2))


def test_overlapping_digits(tmp_path):
    random = np.random.default_rng(0)
    x, y = random.random((30, 1, 28, 28)).astype(np.float32), np.arange(30) % 3
    pairs, present, both, alone = capsules.overlapped(x, y, np.arange(30), 3, random)
    assert pairs.shape == (30, 1, 36, 36) and (pairs == alone.max(axis=1)).all()
    assert (both[:, 0] != both[:, 1]).all() and (present.sum(axis=1) == 2).all()
    run, found = figures_of('9.4.2-overlapping', tmp_path, filters=16, types=2, hidden='64', epochs=8, train_samples=700,
                            learning_rate=0.004)
    assert found['validation_accuracy'] > 0.05 and drawn(run, 'overlapping.png')  # both of the pair; by chance 1 / 45
    assert found['error_of_parts'] < 0.06  # at first 0.2
    assert run.config['input_shape'] == [1, 36, 36]


# gcForest

def test_squares_are_cut_out_in_order():
    x = np.arange(2 * 36, dtype=np.float32).reshape(2, 1, 6, 6)
    squares = gcforest.squares_of(x, 3, 3)
    assert squares.shape == (2, 4, 9) and (squares[1, 3].reshape(3, 3) == x[1, 0, 3:, 3:]).all()
    with pytest.raises(UserError, match='larger than the images'):
        gcforest.squares_of(x, 7, 1)


def test_images_are_moved():
    x = np.arange(16, dtype=np.float32).reshape(1, 1, 4, 4)
    assert len(gcforest.moved(x, 0)) == 1
    _, up, down, left, right = (view[0, 0] for view in gcforest.moved(x, 1))
    assert (up[:3] == x[0, 0, 1:]).all() and (up[3] == x[0, 0, 3]).all() and (down[1:] == x[0, 0, :3]).all()
    assert (left[:, :3] == x[0, 0, :, 1:]).all() and (right[:, 1:] == x[0, 0, :, :3]).all()


def test_of_an_image_all_views_are_in_one_fold():
    random = np.random.default_rng(0)  # coarse images, hardly changed by a move, that have nothing to do with their classes
    x, y = random.random((200, 1, 2, 2)).astype(np.float32).repeat(6, axis=2).repeat(6, axis=3), np.arange(200) % 2
    machine = gcforest.DeepForest(windows=(), trees=20, layers=1, forests=2, shift=1).fit(x, y)
    assert machine.estimates[0] < 0.65  # 1 where another view of the same image was learnt


def test_squares_of_all_views_are_learnt_with_their_places():
    x, y = np.random.default_rng(0).random((30, 1, 8, 6)).astype(np.float32), np.arange(30) % 2
    machine = gcforest.DeepForest(windows=(4,), step=2, trees=5, scan_trees=2, layers=1, forests=1, shift=1).fit(x, y)
    squares = machine._squares(x, 4)  # 3 rows of 2; 16 pixels, then row and column, twice
    assert squares.shape == (30, 6, 20)
    assert (squares[0, :, 16:18] == [[0, 0], [0, 1], [1, 0], [1, 1], [2, 0], [2, 1]]).all()
    learnt = machine.scanners[0][0].estimators_[0].tree_.n_node_samples[0]
    assert learnt == 5 * 20 * 6  # views, images of two folds of three, places
    assert np.allclose(machine.predict(x), machine.predict_views(x)[:, -1].mean(axis=0)) and len(machine.predict_views(x)) == 5


def test_gcforest_learns(tmp_path):
    run, found = figures_of('9.4.2-gcforest', tmp_path, trees=15, scan_trees=5, train_samples=400, layers=2)
    assert found['validation_accuracy'] > 0.8 and found['layers'] >= 1 and drawn(run, 'layers.png')
    assert gcforest.forest_settings() == {  # all can be set, and nothing is what it is not elsewhere
        name: one.default for name, one in signature(gcforest.DeepForest).parameters.items() if name != 'seed'}
    machine = gcforest.DeepForest(trees=15, scan_trees=5, patches=20000, layers=1, folds=2)
    machine.fit(run.data.train_x[:300], run.data.train_y[:300].astype(int))
    shares = machine.predict(run.data.validation_x)
    assert shares.shape == (len(run.data.validation_x), 10) and np.allclose(shares.sum(axis=1), 1, atol=1e-5)
    right = np.mean(shares.argmax(axis=1) == run.data.validation_y)
    assert right > 0.75 and abs(machine.estimates[0] - right) < 0.07  # none is asked what it has learnt


def test_forests_and_equations_resume(tmp_path, monkeypatch):
    forests = chapters.find('9.4.2-gcforest').but(trees=5, scan_trees=2, train_samples=200, layers=2, windows=(4, 6))
    _, whole = run_experiment(forests, out=tmp_path / 'whole', quiet=True)
    learn, learnt = gcforest.DeepForest._learn_layer, []

    def stop(self, *arguments):
        learnt.append(arguments[2])
        if len(learnt) == 2:
            raise KeyboardInterrupt
        return learn(self, *arguments)
    with monkeypatch.context() as patch:
        patch.setattr(gcforest.DeepForest, '_learn_layer', stop)
        with pytest.raises(KeyboardInterrupt, match=f'--resume {tmp_path / "stopped"}'):
            run_experiment(forests, out=tmp_path / 'stopped', quiet=True)
    assert {path.name for path in (tmp_path / 'stopped' / 'checkpoint').iterdir()} == \
        {'window-4.joblib', 'window-6.joblib', 'layer-1.joblib'}
    with monkeypatch.context() as patch:  # nothing is learnt twice
        patch.setattr(gcforest.DeepForest, '_learn_squares', stop_at_once)
        _, rest = resume(tmp_path / 'stopped', chapters.find)
    assert rest['metrics'] == whole['metrics'] and not (tmp_path / 'stopped' / 'checkpoint').exists()
    with pytest.raises(UserError, match='is finished; begin another$'):  # no network is there that could go on
        resume(tmp_path / 'stopped', chapters.find)

    with monkeypatch.context() as patch:
        patch.setattr(kernel.KernelMachine, 'predict', stop_at_once)
        with pytest.raises(KeyboardInterrupt):
            run_experiment(chapters.find('9.4.3-kernel'), out=tmp_path / 'kernel', quiet=True)
    with monkeypatch.context() as patch:
        patch.setattr(kernel.KernelMachine, 'fit', stop_at_once)
        _, rest = resume(tmp_path / 'kernel', chapters.find)
    assert rest['metrics']['validation_error']['last'] < 0.1


@pytest.mark.parametrize('damaged', [b'', b'\x80\x04K', None])
def test_what_is_remembered_may_be_damaged(tmp_path, damaged):
    checkpoint = Checkpoint(tmp_path / 'checkpoint')
    assert not checkpoint.exists
    assert np.array_equal(checkpoint.remembered('numbers', lambda: np.arange(9000)), np.arange(9000))
    assert checkpoint.exists and checkpoint.load() is None
    file = tmp_path / 'checkpoint' / 'numbers.joblib'
    file.write_bytes(file.read_bytes()[:-100] if damaged is None else damaged)
    with pytest.raises(UserError, match='numbers.joblib: damaged .*delete it'):
        checkpoint.remembered('numbers', stop_at_once)
    checkpoint.forget()
    assert not (tmp_path / 'checkpoint').exists()


def test_forests_of_few_images():
    random = np.random.default_rng(0)
    x, y = random.random((9, 1, 4, 6)).astype(np.float32), np.array([0, 0, 0, 0, 2, 2, 2, 2, 3])  # none of 1, one of 3
    few = {'windows': (3,), 'step': 1, 'scan_trees': 2, 'trees': 2, 'layers': 1, 'folds': 2}
    for changes in ({}, {'patches': 1}, {'forests': 1, 'shift': 3}, {'seed': 1 << 32}):
        shares = gcforest.DeepForest(**{**few, **changes}).fit(x, y).predict(x)
        assert shares.shape == (9, 4) and not shares[:, 1].any() and np.allclose(shares.sum(axis=1), 1), changes
    for changes, wrong in (({'windows': (3, 5)}, 'windows: 5 is larger than the images, 6x4'),
                           ({'shift': 4}, 'shift: 4 moves all of the image out of it, 6x4'),
                           ({'folds': 5}, 'folds: 5 of at most 4 training images a class')):
        with pytest.raises(UserError, match=wrong):  # at once
            gcforest.DeepForest(**{**few, **changes}).fit(x, y, remembered=stop_at_once)
    for changes in ({'folds': 1}, {'trees': 1 << 80}, {'scan_trees': 1 << 80}):
        with pytest.raises(UserError, match='give a number from'):
            chapters.find('9.4.2-gcforest').but(**changes)


def test_one_image_has_no_distances(tmp_path):
    with pytest.raises(UserError, match='there is 1'):
        figures_of('9.4.3-kernel', tmp_path, train_samples=1)
    with pytest.raises(UserError, match='width=0.0: give a number from 0.001'):
        chapters.find('9.4.3-kernel').but(width=0)


def stop_at_once(*_):
    raise KeyboardInterrupt


# Generalisation

def test_pixels_say_less(tmp_path):
    random = np.random.default_rng(0)
    x = random.random((50, 1, 6, 6)).astype(np.float32)
    one, own, noise = (random_labels.randomised(x, kind, 0) for kind in ('one_order', 'own_order', 'random'))
    for moved in (one, own):
        assert (np.sort(moved.reshape(50, -1)) == np.sort(x.reshape(50, -1))).all() and (moved != x).any()
    order = [int(np.flatnonzero(x[0].ravel() == value)[0]) for value in one[0].ravel()]
    assert (one.reshape(50, -1) == x.reshape(50, -1)[:, order]).all()
    assert not (own.reshape(50, -1) == x.reshape(50, -1)[:, order]).all()
    assert noise.mean() == pytest.approx(x.mean(), abs=0.05) and noise.std() == pytest.approx(x.std(), abs=0.05)
    with pytest.raises(UserError, match='there are true, one_order'):
        random_labels.randomised(x, 'none', 0)


def test_networks_learn_anything_by_heart(tmp_path):
    run, found = figures_of('9.4.3-random', tmp_path, train_samples=40)
    for name in random_labels.VARIANTS:  # figure 9-38a
        assert found[f'cnn_{name}_train_accuracy'] > 0.97, name
    for kind in ('cnn', 'mlp'):
        shares = [f'{kind}_true', f'{kind}_0.6', f'{kind}_random_labels']
        right = [found[f'{name}_validation_accuracy'] for name in shares]
        assert right[0] > right[1] > right[2] and right[2] < 0.25  # figure 9-38c
        assert found[f'{shares[0]}_epochs_to_fit'] < found[f'{shares[2]}_epochs_to_fit']  # figure 9-38b
    assert drawn(run, 'by-heart.png')


def test_kernel_machine(tmp_path):
    x, y = np.array([[0.0, 0], [1, 0], [0, 1], [1, 1]], np.float32), np.array([0, 1, 1, 0])
    machine = kernel.KernelMachine(width=1.0, ridge=0.0).fit(x, y)
    distances = np.square(x[:, None] - x).sum(axis=2)
    assert machine.kernel(x) == pytest.approx(np.exp(-distances / 2), rel=1e-5)  # the median squared distance is 1
    assert (machine.predict(x) == y).all()
    _, found = figures_of('9.4.3-kernel', tmp_path)
    assert found['train_error'] == 0 and found['validation_error'] < 0.03


def test_image_prior_learns_the_picture_before_its_noise(tmp_path, monkeypatch):
    run, found = figures_of('9.4.3-prior', tmp_path, side=32, depth=2, epochs=40, steps=8)
    assert found['psnr_best'] > found['psnr_broken'] + 1 and found['psnr_best'] > found['psnr_last'] + 0.3
    assert drawn(run, 'mended.png')
    assert resumes('9.4.3-prior', tmp_path, monkeypatch, side=32, depth=2, epochs=3, steps=3)
    with pytest.raises(UserError, match='multiple of 8'):
        run_experiment(chapters.find('9.4.3-prior').but(side=36), out=tmp_path / 'odd', quiet=True)


def test_pictures_are_broken_as_said():
    truth = image_prior.read('', 32)
    random = np.random.default_rng(0)
    noisy, known = image_prior.broken(truth, 'denoise', random)
    assert known.all() and 18 < image_prior.psnr(noisy, truth) < 23
    coded, _ = image_prior.broken(truth, 'jpeg', random)
    assert 18 < image_prior.psnr(coded, truth) < 35
    holes, known = image_prior.broken(truth, 'complete', random)
    assert known.mean() == pytest.approx(0.5, abs=0.05) and (holes == truth * known).all()
    assert image_prior.psnr(image_prior.by_opencv(holes, known, 'complete'), truth) > image_prior.psnr(holes, truth) + 5
    assert image_prior.psnr(truth + 0.1, truth) == pytest.approx(20, abs=1e-3)
    with pytest.raises(UserError, match='there are denoise'):
        image_prior.broken(truth, 'polish', random)


def test_information_is_counted_right():
    layer, y = np.array([[-0.9], [-0.8], [0.1], [0.9]]), np.array([0, 0, 1, 1])
    both = information.information(layer, y, np.linspace(-1, 1, 5))  # bins 0, 0, 2, 3
    assert both == pytest.approx((scipy_entropy([2, 1, 1], base=2), 1.0))
    assert information.information(layer * 0, y, np.linspace(-1, 1, 5)) == pytest.approx((0, 0))


def test_tanh_layers_compress_and_relu_layers_do_not(tmp_path):
    run, tanh = figures_of('9.4.3-information', tmp_path / 'tanh')
    _, relu = figures_of('9.4.3-information-relu', tmp_path / 'relu')
    assert tanh['validation_accuracy'] > 0.85 and relu['validation_accuracy'] > 0.8 and drawn(run, 'plane.png')
    assert tanh['label_end'] > 0.5 and tanh['compressed'] > relu['compressed']


def test_larger_networks_end_nearer_to_each_other(tmp_path):
    run, found = figures_of('9.4.3-minima', tmp_path, epochs=3, steps=30)
    assert found['spread_3'] > found['spread_10'] > found['spread_100'] and drawn(run, 'minima.png')
    assert found['mse_3'] > found['mse_10'] > found['mse_100'] and found['stuck_3'] > 0 == found['stuck_100']


def test_the_loss_around_a_minimum(tmp_path, monkeypatch):
    """From the network with shortcuts more ways lead uphill; and the walk leaves the network as it was."""
    monkeypatch.setattr(loss_surfaces, '_POINTS', 5)
    run, found = figures_of('9.4.3-surface', tmp_path, 'digits', epochs=4, width=0.25, augmentation='', pixels=14,
                            batch_size=50, train_samples=600)
    assert found['residual_uphill'] > found['plain_uphill'] and drawn(run, 'surface.png')
    bowl = np.add.outer(np.arange(-2, 3) ** 2, np.arange(-2, 3) ** 2).astype(float)
    assert loss_surfaces.uphill(bowl) == 1 and loss_surfaces.uphill(-bowl) == 0
    network = gluon.nn.HybridSequential()
    network.add(gluon.nn.Conv2D(4, 3), gluon.nn.BatchNorm(), gluon.nn.Dense(3))
    network.initialize()
    x, y = nd.random.normal(shape=(6, 1, 8, 8)), nd.array([0, 1, 2, 0, 1, 2])
    network(x)
    before = {name: parameter.data().asnumpy() for name, parameter in network.collect_params().items()}
    losses = loss_surfaces.loss_plane(network, x, y, np.random.default_rng(0), (-0.5, 0, 0.5))
    for name, parameter in network.collect_params().items():
        np.testing.assert_array_equal(parameter.data().asnumpy(), before[name])
    with autograd.train_mode():
        centre = -nd.log_softmax(network(x)).pick(y).mean().asscalar()
    assert losses[1, 1] == pytest.approx(centre, rel=1e-5) and np.unique(losses.round(6)).size == 9
    for name, direction in loss_surfaces.like_the_filters(before, np.random.default_rng(0)).items():
        lengths = [np.linalg.norm(part.reshape(len(part), -1), axis=1) for part in (direction, before[name])
                   if part.ndim > 1]
        assert direction.any() == (direction.ndim > 1) and (not lengths or np.allclose(*lengths, rtol=1e-4))


# Beyond back-propagation

def test_synthetic_gradients_become_the_true_ones():
    """With nothing but true gradients as targets, the predictor of a layer comes near them; at first it says 0."""
    mx.random.seed(0)
    random = np.random.default_rng(0)
    network = other_gradients.Layers((6, 8, 3), 'synthetic')
    network.initialize(mx.init.Xavier())
    trainer = mx.gluon.Trainer(network.predictors.collect_params(), 'adam', {'learning_rate': 0.01})
    x, y = nd.array(random.standard_normal((64, 6))), nd.array(random.integers(0, 3, 64))

    def predicted_and_true():
        hidden = network.layer(0, x).detach()
        hidden.attach_grad()
        with autograd.record():
            loss = -nd.log_softmax(network.layer(1, hidden)).pick(y)
        loss.backward()
        return network.predictors[0](other_gradients.seen_with(hidden, nd.one_hot(y, 3))).asnumpy(), hidden.grad.asnumpy()
    assert not predicted_and_true()[0].any()
    for _ in range(300):
        network.learn(x, y, trainer)
    said, true = predicted_and_true()
    assert np.corrcoef(said.ravel(), true.ravel())[0, 1] > 0.8


def test_feedback_goes_back_through_another_matrix():
    x, weight, back = (nd.array(np.random.default_rng(seed).standard_normal(shape)) for seed, shape in enumerate(
        ((5, 4), (3, 4), (3, 4))))
    x.attach_grad()
    weight.attach_grad()
    with autograd.record():
        out = other_gradients.feedback(x, weight, back)
        loss = (out * out).sum() / 2
    loss.backward()
    assert np.allclose(out.asnumpy(), x.asnumpy() @ weight.asnumpy().T, atol=1e-5)
    assert np.allclose(x.grad.asnumpy(), out.asnumpy() @ back.asnumpy(), atol=1e-5)
    assert np.allclose(weight.grad.asnumpy(), out.asnumpy().T @ x.asnumpy(), atol=1e-5)


def test_layers_learn_without_back_propagation(tmp_path, monkeypatch):
    run, found = figures_of('9.4.1-synthetic', tmp_path, hidden='64,64')
    right = {way: found[f'validation_{way}_accuracy'] for way in other_gradients.WAYS}
    assert right['backprop'] > 0.93 and right['feedback'] > 0.85 and right['synthetic'] > 0.85
    assert right['step_synthetic'] > right['step_backprop'] + 0.02 and drawn(run, 'ways.png')
    assert resumes('9.4.1-synthetic', tmp_path, monkeypatch, hidden='16,16', epochs=3, train_samples=200)


def test_an_optimizer_is_learnt(tmp_path):
    problems = learnt_optimizer.Quadratics(3, 4)
    t = nd.array(np.random.default_rng(0).standard_normal((3, 4)))
    t.attach_grad()
    with autograd.record():
        loss = problems.loss(t)
    loss.backward()
    assert np.allclose(problems.gradient(t).asnumpy(), t.grad.asnumpy(), rtol=1e-4, atol=1e-4)
    run, found = figures_of('9.4.1-optimizer', tmp_path, epochs=4)
    assert found['learnt_loss'] < found['sgd_loss'] and drawn(run, 'race.png')
    assert found['learnt_area'] < min(found['sgd_area'], found['adam_area'])


def test_an_optimizer_of_networks_is_learnt(tmp_path):
    """It goes down faster than by plain SGD at its best rate; its gradients are those of the loss on the same batch."""
    problems, step = learnt_optimizer.Networks(2, 3), 1e-2
    assert problems.shape == (2, 64 * 3 + 3 + 3 * 10 + 10)
    t = nd.random.normal(shape=problems.shape)

    def loss(t):
        mx.random.seed(1)  # the batch
        return problems.loss(t).asnumpy()
    mx.random.seed(1)
    gradient = problems.gradient(t)
    rise = loss(t + step * gradient) - loss(t - step * gradient)
    assert rise == pytest.approx(2 * step * nd.square(gradient).sum(axis=1).asnumpy(), rel=0.02)
    run, found = figures_of('9.4.1-optimizer-network', tmp_path, epochs=3, updates=8, size=8)
    assert found['learnt_area'] < found['sgd_area'] and found['learnt_loss'] < 1.5 and drawn(run, 'race.png')
    with pytest.raises(UserError, match='not one of quadratics, networks'):
        figures_of('9.4.1-optimizer', tmp_path / 'other', problem='forests')


def test_spikes_find_digits(tmp_path, monkeypatch):
    layer = spikes.SpikingLayer(4, 2, random=np.random.default_rng(0))
    for _ in range(60):  # two patterns, two neurons
        for image in ([1, 1, 0, 0], [0, 0, 1, 1]):
            layer.show(np.array(image, float), learn=True)
    layer.thresholds[:] = 0.5
    fired = np.array([layer.show(np.array(image, float)) for image in ([1, 1, 0, 0], [0, 0, 1, 1])])
    assert fired.argmax(axis=1).tolist() in ([0, 1], [1, 0])
    run, found = figures_of('9.4.1-stdp', tmp_path)
    assert found['accuracy'] > found['accuracy_before'] + 0.2 and drawn(run, 'weights.png')
    assert resumes('9.4.1-stdp', tmp_path / 'more', monkeypatch)


def test_spikes_of_few(tmp_path):
    run, found = figures_of('9.4.1-stdp', tmp_path / 'one', train_samples=10, neurons=1)
    assert drawn(run, 'weights.png') and 0 < found['accuracy'] < 0.3  # the class that it is given, whatever it sees
    for changes, needed in (({'train_samples': 9, 'neurons': 4}, 10), ({'train_samples': 20}, 25)):
        with pytest.raises(UserError, match=f'needs {needed} training images'):
            figures_of('9.4.1-stdp', tmp_path / f'few-{needed}', **changes)
        assert not (tmp_path / f'few-{needed}' / 'run').exists()
    for name in ('rate', 'leak', 'stdp_rate', 'tiring'):
        with pytest.raises(UserError, match='from 0 to 1'):
            chapters.find('9.4.1-stdp').but(**{name: 1.5})


def test_spikes_see_images_that_are_not_square(tmp_path):
    random = np.random.default_rng(0)
    for label in 'ab':
        (tmp_path / 'images' / label).mkdir(parents=True)
        for number in range(14):
            pixels = random.integers(0, 255, (7, 11, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(tmp_path / 'images' / label / f'{number}.png')
    run, _ = figures_of('9.4.1-stdp', tmp_path, str(tmp_path / 'images'), neurons=2, steps=5)
    assert run.data.train_x.shape[1:] == (3, 7, 11) and drawn(run, 'weights.png')


# Predictive learning

def test_blocks_obey_physics():
    films, true, meets = prediction.falls(50, np.random.default_rng(0))
    assert films.shape == (50, 2, 8, 16, 16) and set(true) == {0, 1}
    assert np.allclose(films.sum(axis=(3, 4)), 16, atol=1e-3)  # the block is always whole
    assert np.allclose(films[:, 0], films[:, 1, :, :, ::-1], atol=1e-5)  # either way
    before = np.arange(8) <= meets[:, None]
    assert (films[:, 0] == films[:, 1]).all(axis=(2, 3))[before].all()
    height = (films[:, 0] * np.arange(16)[:, None]).sum(axis=(2, 3)) / 16
    falling = before[:, 2:]
    assert np.allclose(np.diff(height, 2)[falling], 0.35, atol=1e-3)  # gravity


def test_squared_error_blurs_what_is_open(tmp_path):
    run, found = figures_of('9.3.6', tmp_path, epochs=4, units=128)
    assert found['mse_sharpness'] < 0.6 < found['mse_sharpness_before']
    assert found['gan_sharpness'] > found['mse_sharpness'] + 0.2
    assert found['gan_distance'] < found['mse_distance']
    assert drawn(run, 'frames.png', 'film.gif')


# Traps on the board

def caught(position, stone, near):
    """Whether black, to move, catches a stone by one atari after another, all answers near it read."""
    around = np.flatnonzero(traps._away(np.arange(361), near, 19) <= 2)

    def after(position):
        for move in around[[position.is_legal(move) for move in around]]:
            then = position.copy()
            then.play(move)
            yield move, then
    return position.liberties(stone) <= 2 and any(
        all(caught(escaped, stone, move) for move, escaped in after(then) if escaped.liberties(stone) > 1)
        for _, then in after(position) if then.liberties(stone) == 1)


def test_chains_and_ladders_are_what_they_say():
    random = np.random.default_rng(0)
    for alive in (True, False, True, False):
        position, tail, eyes = traps.long_chain(random, alive, 30)
        assert position.liberties(tail[0]) == position.liberties(tail[-1]) == 10 + alive  # one chain
        assert (position.board.ravel()[eyes] == EMPTY).tolist() == [True, alive]
        for colour in (BLACK, WHITE):  # whoever begins
            position.to_play = colour
            assert (ownership(position.state, 7.5, 40)[0][tail[-1]] < 0) == alive
    for broken in (True, False, True, False):
        position, move, distance = traps.ladder(random, broken)
        assert bool(distance) == broken and position.is_legal(move)
        assert caught(position, move - 1, move) == (not broken)


def test_sekis_are_what_they_say():
    random = np.random.default_rng(0)

    def left(position, *moves):
        """Whether white's chain, and the nine black points in it, stand after these moves, the first of either colour."""
        after = position.copy()
        for colour, move in moves:
            after.play(move, colour)
        return after.board.ravel()[tail[0]] == WHITE, after.board.ravel()[inner - 1] == BLACK
    for alive in (True, False, True, False):
        position, tail, eye = traps.seki_with_tail(random, alive, 12, 13)
        inner, shared = eye + 3 * 13, eye + 3 * 13 + 2
        whites = set(np.flatnonzero(position.board == WHITE))
        assert position.liberties(tail[-1]) == position.liberties(inner - 1) == 2  # which tells nothing
        assert whites <= set(seki(position)) if alive else seki(position) == []
        last = eye if alive else eye - 2
        assert left(position, (WHITE, shared), (BLACK, last)) == (False, True)  # who begins loses, white at any rate
        if alive:
            assert left(position, (BLACK, shared), (WHITE, inner)) == (True, False)
        else:
            assert left(position, (BLACK, last), (BLACK, shared)) == (False, True)  # and white cannot answer
            position.play(last, BLACK)
            assert position.liberties(tail[-1]) == 1 and not position.is_legal(shared)


def test_a_network_of_n_layers_sees_n_points_far():
    random = np.random.default_rng(0)
    position, tail, eyes = traps.long_chain(random, True, 15, 13)
    states = np.array([position.state, position.state])
    filled = Position(13)
    filled.set_up(np.flatnonzero(position.board == BLACK), [*np.flatnonzero(position.board == WHITE), eyes[1]])
    filled.to_play = position.to_play
    states[1] = filled.state
    planes, ones = planes_of(states, BOOK), np.ones((2, 169), np.float32)
    away = traps._away(np.arange(169), eyes[1], 13)
    assert set(away[(planes[0] != planes[1]).any(axis=0).ravel()]) == {0}  # the eye, nothing else
    for layers in (1, 3):
        said = traps.learn(planes, ones, ones, layers, 8, 2, random)(nd.array(planes, dtype='float32')).asnumpy()
        assert away[said[0] != said[1]].max() == layers


def test_the_engine_brings_no_triple_ko_back():
    def stones(text, ys):
        return [x + 19 * (y + dy) for y in ys for dy, row in enumerate(text.split())
                for x, point in enumerate(row) if point == 'x']
    open_to_black, open_to_white = (1, 9), (5,)  # rows in which three kos begin
    position = Position(19, superko=True)
    position.set_up(stones('.x.. x... .x..', open_to_black + open_to_white) + stones('.... ..x. ....', open_to_white),
                    stones('..x. ...x ..x.', open_to_black + open_to_white) + stones('.... .x.. ....', open_to_black))
    simple = position.copy()
    simple.superko = False
    engine = load_engine(traps.POLICY)
    engine.set_up(position)
    before = position.board.copy()
    black, white = ({y: x + 19 * (y + 1) for y in (1, 5, 9)} for x in (2, 1))  # where who takes
    for colour, move in zip([BLACK, WHITE] * 3, [black[1], white[5], black[9], white[1], black[5]]):
        engine.play(colour, move)
        simple.play(move, colour)
    assert engine.probabilities()[white[9]] == 0 < engine.policy(engine.position.state[None])[0][white[9]]
    assert engine.generate(WHITE) not in (white[9], None)
    simple.play(white[9], WHITE)  # as a rule of simple ko would allow
    assert (simple.board == before).all()


def test_white_copies_through_the_middle():
    """Moves of white are those of black turned by 180 degrees, up to the first that is taken or in ko."""
    engine = load_engine(traps.POLICY)
    engine.temperature, engine.seed = 0.7, 0
    won, middle = traps.mirror_game(engine, True, 9)
    moves = [move for _, move in engine.moves]
    copied = [white == 80 - black for black, white in zip(moves[::2], moves[1::2])]
    first = copied.index(False) if False in copied else len(copied)
    assert first >= 4 and (not middle or middle > 2 * first and moves[middle - 1] == 40)
    if engine.position.passes == 2:
        assert won == (engine.score() > 0)


def test_what_lies_beyond_the_reach_of_a_network_is_guessed(tmp_path):
    run, found = figures_of('9.3.1', tmp_path, layers='2', updates=240, positions=300, held=100, engine_positions=20,
                           mirror_games=1)
    for suite in ('chains', 'sekis', 'ladders'):
        assert found[f'{suite}_8planes_2layers_near'] > 0.85
        assert 0.4 < found[f'{suite}_8planes_2layers_far'] < 0.6
    assert found['ladders_36planes_2layers_far'] > 0.95  # one of the planes has read it
    for suite in ('chains', 'sekis'):  # none has looked for eyes
        assert 0.4 < found[f'{suite}_36planes_2layers_far'] < 0.6
    assert found['chains_played_out'] > 0.9
    for ending in ('alive', 'dead'):  # for the head one chain has two owners, whether it lives or not
        assert found[f'chains_head_eyes_{ending}'] > 0.8 > 0.5 > found[f'chains_head_end_{ending}']
    assert {found['mirror_won'], found['itself_won'], found['mirror_middle']} <= {0, 1}
    assert drawn(run, 'traps.png')
    with pytest.raises(UserError, match='layers=x: give numbers'):
        figures_of('9.3.1', tmp_path / 'wrong', layers='x')
