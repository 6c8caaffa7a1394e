"""Section 8.3: the step of DCGAN, its losses, and what a run leaves."""
import json
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from PIL import Image

import chapters
from chapters.__main__ import main
from chapters.ch08_gan import adversarial, dcgan, samples
from chapters.ch08_gan.adversarial import LOSSES, AdversarialStep, build
from chapters.ch08_gan.images import scaled
from chapters.kit.perform import resume, run_experiment
from chapters.kit.trained.run import Run
from chapters.kit.training.epochs import Diverged, require_finite, seed_everything
from chapters.kit.training.precision import require_dtype
from data_tools.errors import UserError

BATCH = 8


def pair(dtype='float64', section='8.3', batch=BATCH, **sizes):
    """(step, network, images, codes) for digits, width 8."""
    experiment = chapters.find(section)
    experiment = replace(experiment, sizes={**experiment.sizes, 'width': 8, **sizes})
    recipe = experiment.recipe.but(batch_size=batch)
    random = seed_everything(0)
    network = build(experiment, 1, recipe, mx.cpu(), dtype)
    step = AdversarialStep(network, recipe, 10, mx.cpu())
    data = experiment.load('digits')
    images = nd.array(scaled(data.train_x[:batch]), dtype=dtype)
    return step, network, images, nd.array(random.standard_normal((batch, 100)), dtype=dtype)


def values(network):
    return {name: parameter.data().asnumpy() for name, parameter in network.collect_params().items()}


def by_autograd(network, images, codes, loss='book'):
    """The gradients of D, as Gluon computes them."""
    of_real, of_made, _ = LOSSES[loss]
    g, d = network.generator, network.discriminator
    learnt = {name: parameter for name, parameter in d.collect_params().items() if parameter.grad_req != 'null'}
    with autograd.record():
        made = g(codes)
        loss = of_real(nd, d(images)) + of_made(nd, d(made.detach()))
    loss.backward()
    return {name: parameter.grad().asnumpy() for name, parameter in learnt.items()}


@pytest.mark.parametrize('loss', LOSSES)
def test_gradients_of_both_passes_are_added(loss):
    step, network, images, codes = pair(loss=loss)
    expected = by_autograd(network, images, codes, loss)
    step(images, codes)
    for name, gradient in expected.items():
        got = step.gradients()[name].asnumpy()
        assert np.abs(got - gradient).max() <= 1e-8 * max(1, np.abs(gradient).max()), name


def test_statistics_see_real_and_made_images_once_each():
    step, network, images, codes = pair()
    layers = list(network.discriminator.layers)
    with autograd.train_mode():
        made = network.generator(codes)
    means = []
    for x in (images, made):
        for layer in layers[:3]:  # up to the first normalisation
            x = layer(x)
        means.append(x.asnumpy().mean(axis=(0, 2, 3)))
    step(images, codes)
    expected = 0.9 * (0.1 * means[0]) + 0.1 * means[1]
    assert isinstance(layers[3], dcgan.nn.BatchNorm)
    assert np.abs(layers[3].running_mean.data().asnumpy() - expected).max() < 1e-6 < np.abs(means[1]).max() / 100


def test_each_network_learns_from_its_own_loss_only(monkeypatch):
    step, network, images, codes = pair()
    changed = []
    through = step._through.forward

    def forward(is_train):  # when D has learnt, and before G does
        changed.append(values(network.discriminator))
        return through(is_train=is_train)
    monkeypatch.setattr(step, '_through', _Watched(step._through, forward))
    before = values(network)
    step(images, codes)
    after = values(network)
    for name, array in changed[0].items():
        if 'running' not in name:
            assert (after[name] == array).all(), name  # G's step leaves D as it is
            if 'gamma' not in name:
                assert (before[name] != array).any(), name
        else:
            assert np.abs(after[name] - array).max() < 1e-12, name
    assert all((before[name] != after[name]).any() for name in after if 'generator' in name and name.endswith('weight'))


class _Watched:
    def __init__(self, executor, forward):
        self._executor, self.forward = executor, forward

    def __getattr__(self, name):
        return getattr(self._executor, name)


def test_parity_of_the_listing_in_colour():
    result = chapters.find('8.3-64').prove()
    assert result.holds, result


@pytest.mark.parametrize('mistake', ['momentum', 'rate', 'statistics', 'sum'])
def test_parity_sees(monkeypatch, mistake):
    experiment = chapters.find('8.3')
    if mistake in ('momentum', 'rate'):
        changes = {'momentum': 0.9} if mistake == 'momentum' else {'learning_rate': 0.0001}
        assert not replace(experiment, recipe=experiment.recipe.but(**changes)).prove().holds
        return
    if mistake == 'sum':
        monkeypatch.setattr(adversarial._Learner, 'update', lambda learner: [
            learner.updater(index, learner.gradients[-1][name], learner.weights[name])
            for index, name in enumerate(learner._learnt)])
    else:
        norm = dcgan.nn.BatchNorm
        monkeypatch.setattr(dcgan.nn, 'BatchNorm', lambda **settings: norm(momentum=0.8, **settings))
    assert not experiment.prove().holds


def test_single_precision_computes_the_same():
    of_double = pair(width=8)
    of_single = pair('float32', width=8)
    for name, parameter in of_single[1].collect_params().items():
        parameter.set_data(of_double[1].collect_params()[name].data().astype('float32'))
    figures = []
    for step, _, _, codes in (of_double, of_single):
        images = of_double[2].astype(codes.dtype)
        figures.append([figure.asnumpy() for figure in step(images, of_double[3].astype(codes.dtype))])
    assert np.allclose(figures[0], figures[1], atol=1e-3)
    double, single = of_double[0].gradients(), of_single[0].gradients()
    for name in double:
        if 'discriminator' in name:
            difference = np.abs(double[name].asnumpy() - single[name].asnumpy()).max()
            assert difference < 1e-4 * max(0.1, np.abs(double[name].asnumpy()).max()), name


def test_learnt_slopes_are_mxnets():
    x, g = nd.random.normal(shape=(3, 8, 5, 5)), nd.random.normal(shape=(3, 8, 5, 5))
    alpha = nd.random.uniform(shape=(8,))
    theirs, ours = [], []
    layer = dcgan.LearntSlopes(8)
    layer.initialize()
    layer.alpha.set_data(alpha)
    for found, compute, slope in ((theirs, lambda: nd.LeakyReLU(x, alpha, act_type='prelu'), alpha),
                                  (ours, lambda: layer(x), layer.alpha.data())):
        x.attach_grad()
        if slope is alpha:
            alpha.attach_grad()
        with autograd.record():
            y = compute()
        y.backward(g)
        found += [y.asnumpy(), x.grad.asnumpy(), slope.grad.asnumpy()]
    assert all(np.allclose(a, b, atol=1e-4) for a, b in zip(theirs, ours))


def test_a_gray_image_is_made_by_the_transposed_convolution():
    layer = dcgan.GrayConv2DTranspose(1, 4, strides=2, padding=1, use_bias=False, in_channels=6)
    layer.initialize(mx.init.Normal(1))
    x = nd.random.normal(shape=(2, 6, 5, 5))
    expected = nd.Deconvolution(x, layer.weight.data(), kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=1)
    assert np.allclose(layer(x).asnumpy(), expected.asnumpy(), atol=1e-5)


def test_shapes_of_the_book():
    network = dcgan.DCGAN()
    network.initialize()
    shapes, x = [], nd.zeros((1, 100, 1, 1))
    for layer in network.generator.layers:
        x = layer(x)
        if isinstance(layer, dcgan.nn.Conv2DTranspose):
            shapes.append(x.shape[1:])
    assert shapes == [(512, 4, 4), (256, 8, 8), (128, 16, 16), (64, 32, 32), (3, 64, 64)]
    assert network(nd.zeros((2, 100))).shape == (2,)


def test_a_spectral_norm_of_one():
    layer = dcgan.SpectralConv2D(12, 4, in_channels=5)
    layer.initialize(mx.init.Normal(0.5))
    for _ in range(100):
        layer.iterate()
    flat = layer.weight.data().asnumpy().reshape(12, -1)
    weight = layer.weight.data() / float(np.linalg.svd(flat, compute_uv=False)[0])
    x = nd.random.normal(shape=(2, 5, 9, 9))
    expected = nd.Convolution(x, weight, layer.bias.data(), kernel=(4, 4), num_filter=12)
    assert np.allclose(layer(x).asnumpy(), expected.asnumpy(), atol=1e-4)


def test_clipping_and_spectral_steps():
    step, network, images, codes = pair('float32', loss='wasserstein', clip=0.01)
    step(images, codes)
    assert max(np.abs(array).max() for name, array in values(network.discriminator).items()
               if name.endswith(('weight', 'bias', 'beta', 'alpha'))) <= 0.01 + 1e-6
    step, network, images, codes = pair('float32', loss='hinge', spectral=True)
    before = network.discriminator.layers[0].u.data().asnumpy()
    step(images, codes)
    assert (network.discriminator.layers[0].u.data().asnumpy() != before).any()


def test_the_gradient_penalty_is_differentiated_by_the_parameters(monkeypatch):
    monkeypatch.setattr(adversarial, '_NEAR', 1e-7)  # so near that no kink is in between
    step, network, images, codes = pair(loss='wasserstein', penalty=10.0, learnt_slopes=False)
    made = network.generator(codes)
    lengths = step._penalty(images, made).asnumpy()
    between, d = step._penalty.between.copy(), network.discriminator

    def penalty():
        between.attach_grad()
        with autograd.record():
            answers = d(between)
        answers.backward()
        return 10 * np.square(np.sqrt(np.square(between.grad.asnumpy()).sum(axis=(1, 2, 3))) - 1).sum()
    assert penalty() == pytest.approx(10 * np.square(lengths - 1).sum())
    gradients = {name: array.copy() for name, array in step._d.gradients[-1].items()}
    for name, gradient in gradients.items():  # by a small move of each weight along its gradient
        weight, kept = step._d.weights[name], step._d.weights[name].copy()
        length = float(gradient.norm().asscalar())
        if name.endswith('bias') and length < 1e-6:
            continue
        values = []
        for sign in (1, -1):
            (kept + sign * 1e-6 * gradient / length).copyto(weight)
            values.append(penalty())
        kept.copyto(weight)
        assert (values[0] - values[1]) / 2e-6 == pytest.approx(length, rel=0.05), name


def test_the_gradient_penalty_holds_the_gradient_near_one():
    lengths = {}
    for penalty in (0.1, 100.0):
        step, _, images, codes = pair('float32', loss='wasserstein', penalty=penalty, learnt_slopes=False, size=16,
                                      batch=32)
        for _ in range(60):
            step(images, codes)
        lengths[penalty] = step._penalty(images, step.images).asnumpy().mean()
    assert abs(lengths[100.0] - 1) < 0.15 < abs(lengths[0.1] - 1), lengths


def test_batch_normalisation_goes_backward_fast(slow_backward):
    experiment = chapters.find('8.3').but(batch_size=32, width=16)
    step = AdversarialStep(build(experiment, 1, experiment.recipe, mx.cpu()), experiment.recipe, 100, mx.cpu())
    images, codes = nd.random.uniform(-1, 1, (32, 1, 32, 32)), nd.random.normal(shape=(32, 100))
    assert slow_backward(lambda: step(images, codes)) < 0.3


def test_it_learns_and_resumes_bit_for_bit(tmp_path, every_epoch_saved):
    experiment = chapters.find('8.3').but(width=8, epochs=3, train_samples=256, learning_rate=0.001)
    run, result = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    for name in ('samples.png', 'film.gif', 'between-spherical.png', 'arithmetic.png', 'nearest.png', 'curves.png'):
        assert (run.folder / 'figures' / name).stat().st_size > 1000
    assert result['epochs'] == 3 and 0 <= result['metrics']['train_accuracy_made']['last'] <= 1
    from PIL import Image
    with Image.open(run.folder / 'figures' / 'film.gif') as film:
        assert film.n_frames == 3

    stopped = Run(experiment, out=tmp_path / 'stopped', quiet=True)

    def stop(arrays, state):
        type(stopped.checkpoint).save(stopped.checkpoint, arrays, state)
        if state['epoch'] == 2:
            raise KeyboardInterrupt
    stopped.checkpoint.save = stop
    with pytest.raises(KeyboardInterrupt):
        experiment.perform(stopped)
    resume(stopped.folder, chapters.find)
    whole, again = (mx.nd.load(str(tmp_path / name / 'model-0003.params')) for name in ('whole', 'stopped'))
    assert whole.keys() == again.keys()
    assert all((whole[name].asnumpy() == again[name].asnumpy()).all() for name in whole)
    block = mx.gluon.SymbolBlock.imports(str(tmp_path / 'whole' / 'model-symbol.json'), ['data'],
                                         str(tmp_path / 'whole' / 'model-0003.params'))
    assert block(nd.zeros((2, 100))).shape == (2, 1, 32, 32)


def test_mistakes_are_told_in_one_line(tmp_path, capsys):
    for settings, words in ((['size=33'], 'size=33'), (['loss=worst'], 'minimax')):
        arguments = [word for setting in settings for word in ('--set', setting)]
        assert main(['run', '8.3', '--out', str(tmp_path / words), *arguments]) == 2
        error = capsys.readouterr().err.strip().splitlines()
        assert len(error) == 1 and words in error[0]


def test_the_watch_speaks_in_short_runs_too(monkeypatch, capsys):
    """Of samples that are all alike in the second half, and of a discriminator that is certain: each once."""
    from types import SimpleNamespace
    said = []
    run = SimpleNamespace(recipe=chapters.find('8.3').recipe.but(epochs=5), say=said.append)
    history = [{'epoch': epoch, 'train_variety': variety, 'train_accuracy_real': 1.0, 'train_accuracy_made': made}
               for epoch, (variety, made) in enumerate([(0.01, 0.9), (0.02, 1.0), (0.03, 1.0), (0.05, 0.9), (0.8, 0.9)])]
    for length in range(1, 6):
        adversarial._watch(run, history[:length], 45)
        assert len(said) == (0, 1, 2, 2, 2)[length - 1]
    assert 'tells all images apart' in said[0] and 'has collapsed: its samples differ 3.0%' in said[1]


def test_at_a_rate_of_a_tenth_the_discriminator_wins(tmp_path, capsys):
    """What the notebook says to try."""
    experiment = chapters.find('8.3').but(width=8, epochs=4, train_samples=640, batch_size=32, learning_rate=0.1)
    run_experiment(experiment, data='digits', out=tmp_path / 'run')
    assert 'the discriminator tells all images apart' in capsys.readouterr().out


def test_nan_and_collapse_stop_politely(tmp_path, monkeypatch):
    experiment = chapters.find('8.3').but(width=8, epochs=9, train_samples=64, batch_size=32)
    with pytest.raises(Diverged, match='^8.3: a loss became NaN or infinite in epoch 0: [^;]*$'):  # nothing to keep
        run_experiment(experiment.but(learning_rate=1e6, loss='wasserstein'), out=tmp_path / 'nan', quiet=True)
    assert not (tmp_path / 'nan').exists()
    with pytest.raises(Diverged, match='epoch 3: .*; the last good checkpoint is kept'):
        require_finite(Run(experiment, out=tmp_path / 'later'), {'epoch': 3, 'train_g_loss': np.inf})
    monkeypatch.setattr(adversarial, '_FIRST_UPDATES', 0)
    monkeypatch.setattr(samples, 'variety', lambda images, real: 0.01)
    with pytest.raises(Diverged, match='collapsed'):
        run_experiment(experiment, out=tmp_path / 'collapsed', quiet=True)
    assert json.loads((tmp_path / 'collapsed' / 'checkpoint' / 'latest.json').read_text())['epoch'] == 5


def test_variety_and_ways_between_codes():
    random = np.random.default_rng(0)
    real = random.standard_normal((32, 1, 8, 8))
    assert samples.variety(real, real) == pytest.approx(1)
    assert samples.variety(np.repeat(real[:4], 8, axis=0), real) < 1e-6  # copies of a few
    first, second = random.standard_normal((2, 100))
    line, arc = (samples.between(first, second, 5, way) for way in (False, True))
    assert np.allclose(line[[0, -1]], arc[[0, -1]]) and np.allclose(line[0], first) and np.allclose(line[-1], second)
    assert np.linalg.norm(line[2]) < 0.85 * np.linalg.norm(first) < np.linalg.norm(arc[2])


def test_sixteen_bits_compute_nearly_the_same():
    try:
        require_dtype('bfloat16', mx.cpu())
    except UserError as error:
        pytest.skip(str(error))
    experiment = chapters.find('8.3')
    experiment = replace(experiment, sizes={**experiment.sizes, 'width': 8, 'learnt_slopes': False})
    figures, gradients = [], []
    for dtype in ('float32', 'bfloat16'):
        random = seed_everything(0)
        recipe = experiment.recipe.but(batch_size=BATCH, dtype=dtype)
        step = AdversarialStep(build(experiment, 1, recipe, mx.cpu()), recipe, 10, mx.cpu())
        images = nd.array(random.uniform(-1, 1, (BATCH, 1, 32, 32)))
        figures.append([figure.asnumpy()[0] for figure in step(images, nd.array(random.standard_normal((BATCH, 100))))])
        gradients.append(np.concatenate([array.asnumpy().ravel() for array in step.gradients().values()]))
    assert 1e-6 < np.abs(np.subtract(*figures)).max() < 0.1  # another format, and nearly the same
    assert np.corrcoef(*gradients)[0, 1] > 0.95


def test_a_folder_of_pictures(tmp_path):
    random = np.random.default_rng(0)
    for number in range(20):
        pixels = random.integers(0, 256, (40 + number, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(tmp_path / f'{number:02}.png')
    (tmp_path / 'torn.jpg').write_bytes(b'\xff\xd8\xff')
    (tmp_path / 'README.txt').write_text('no picture')
    data = chapters.find('8.3-64').load(str(tmp_path))
    assert data.train_x.shape == (18, 3, 64, 64) and data.validation_x.shape == (2, 3, 64, 64)
    assert data.class_names == (tmp_path.name,) and 'torn.jpg' in data.said
    assert main(['run', '8.3-pictures', '--data', str(tmp_path), '--set', 'width=4', '--epochs', '1', '--batch-size', '8',
                 '--out', str(tmp_path.parent / 'run')]) == 0
    assert Image.open(tmp_path.parent / 'run' / 'samples' / 'epoch-0001.png').size == (1038, 1038)
    few = tmp_path / 'few'
    few.mkdir()
    Image.new('L', (9, 9)).save(few / 'a.png')
    with pytest.raises(UserError, match='1 pictures are too few'):
        chapters.find('8.3-64').load(str(few))


def test_options_of_normalisation():
    printed = build(chapters.find('8.3').but(width=8), 1, chapters.find('8.3').recipe, mx.cpu())
    changed = build(chapters.find('8.3').but(width=8, fix_gamma=False, image_norm=True), 1, chapters.find('8.3').recipe,
                    mx.cpu())
    for network, gammas, norms in ((printed, set(), 5), (changed, {'write'}, 7)):
        found = {name: parameter.grad_req for name, parameter in network.collect_params().items() if 'gamma' in name}
        assert len(found) == norms and {kind for kind in found.values() if kind != 'null'} == gammas
    without = dcgan.DCGAN(size=32, channels=1, width=8, normalised=False)
    assert not [name for name in without.discriminator.collect_params() if 'gamma' in name]
    assert [name for name in without.generator.collect_params() if 'gamma' in name]
    assert isinstance(list(changed.generator.layers)[-1], dcgan.nn.BatchNorm)
    assert isinstance(list(changed.discriminator.layers)[0], dcgan.nn.BatchNorm)


def test_a_training_collapses_beside_one_that_does_not(tmp_path):
    # Alike as the printed one: 0.99 against 0.04 after 5 epochs of the whole.
    experiment = chapters.find('8.3-variants').but(epochs=3, width=8)
    run, result = run_experiment(experiment, out=tmp_path / 'run', quiet=True)
    figures = {name: value['last'] for name, value in result['metrics'].items()}
    assert figures['collapsed_alike'] > figures['normal_alike'] + 0.3, figures
    assert figures['collapsed_variety'] < figures['normal_variety'] / 2, figures
    assert (run.folder / 'figures' / 'variants.png').stat().st_size > 10000
    assert json.loads((run.folder / 'image_norm' / 'config.json').read_text())['sizes']['image_norm'] is True
    assert json.loads((run.folder / 'free_gamma' / 'config.json').read_text())['sizes']['fix_gamma'] is False
