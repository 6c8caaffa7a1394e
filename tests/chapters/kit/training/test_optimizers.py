"""The optimizers of fast recipes against their papers' formulas, in NumPy and in double precision."""
import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.kit.data.batches import Batches
from chapters.kit.data.training_data import TrainingData
from chapters.kit.training import optimizers
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_initializer, make_optimizer, prepare_transfer
from chapters.kit.training.train import Objective, PlainStep, one_epoch

_SHAPES = [(12, 3, 2, 2), (5, 20), (7,)]  # a tall matrix once flattened, a wide one, a vector
_RATES = [0.1, 0.3, 0.2, 0.05, 0.02, 0.01, 0.0]
_MOMENTUM, _DECAY, _SAMPLES = 0.8, 0.05, 4


def _newton_schulz(matrix):
    """Jordan et al.: x <- a x + b (x x') x + c (x x')^2 x, from x / |x|."""
    a, b, c = 3.4445, -4.7750, 2.0315
    x = matrix / np.sqrt((matrix ** 2).sum())
    for _ in range(5):
        x = a * x + b * x @ x.T @ x + c * x @ x.T @ x @ x.T @ x
    return x


def _by_numpy(name, weights, gradients, lookahead):
    m, slow = np.zeros_like(weights), weights.copy()
    for number, (rate, gradient) in enumerate(zip(_RATES, gradients), 1):
        m = _MOMENTUM * m + gradient / _SAMPLES
        step = gradient / _SAMPLES + _MOMENTUM * m
        factor = rate
        if name == 'muon' and weights.ndim > 1:
            matrix = step.reshape(len(step), -1)
            step = _newton_schulz(matrix).reshape(step.shape)
            factor *= max(1, matrix.shape[0] / matrix.shape[1]) ** 0.5
        weights = weights - factor * step - rate / max(_RATES) * _DECAY * weights
        if lookahead and number % lookahead == 0:
            slow = slow + 0.5 * (weights - slow)
            weights = slow
    return weights


@pytest.mark.parametrize('name', ['nagw', 'muon'])
@pytest.mark.parametrize('lookahead', [0, 3])
def test_updates_are_those_of_the_papers(name, lookahead):
    class Schedule(mx.lr_scheduler.LRScheduler):
        def __call__(self, update):
            return _RATES[update - 1]
    random = np.random.default_rng(0)
    optimizer = mx.optimizer.create(name, momentum=_MOMENTUM, wd=_DECAY, rescale_grad=1 / _SAMPLES, learning_rate=max(_RATES),
                                    lr_scheduler=Schedule())
    updater = mx.optimizer.get_updater(optimizers.Lookahead(optimizer, lookahead) if lookahead else optimizer)
    weights = [random.normal(size=shape) for shape in _SHAPES]
    gradients = [random.normal(size=(len(_RATES), *shape)) for shape in _SHAPES]
    arrays = [mx.nd.array(weight) for weight in weights]
    for number in range(len(_RATES)):
        for index, array in enumerate(arrays):
            updater(index, mx.nd.array(gradients[index][number]), array)
    for index, array in enumerate(arrays):
        expected = _by_numpy(name, weights[index], gradients[index], lookahead)
        np.testing.assert_allclose(array.asnumpy(), expected, rtol=2e-4, atol=2e-5)


def test_muon_makes_every_direction_about_as_long():
    random = np.random.default_rng(1)
    u, _, v = np.linalg.svd(random.normal(size=(30, 50)), full_matrices=False)
    matrix = (u * np.geomspace(1, 0.01, 30)) @ v
    made = optimizers.orthogonalized(mx.nd.array(matrix)).asnumpy()
    lengths = np.diag(u.T @ made @ v.T)
    assert 0.6 < lengths.min() and lengths.max() < 1.25
    np.testing.assert_allclose(made, (u * lengths) @ v, atol=2e-3)  # the directions are those that it had


@pytest.mark.parametrize('optimizer', ['muon', 'nagw', 'adam'])
def test_the_engine_updates_as_the_plain_step_does(optimizer):
    found = []
    for compiled in (True, False):
        experiment = chapters.find('3.4.2')
        recipe = experiment.recipe.but(optimizer=optimizer, momentum=0.9, learning_rate=0.01, weight_decay=1e-3, lookahead=4,
                                       bias_rate=1.0 if optimizer == 'adam' else 8.0, initializer='xavier',
                                       batch_size=32).but(**{'lookahead': 0} if optimizer == 'adam' else {})
        seed_everything(3)
        network = experiment.build()
        initialize(network, recipe, np.zeros((1, 1, 28, 28), np.float32), [mx.cpu()])
        prepare_transfer(network, recipe)
        objective = Objective(network, 'softmax', recipe)
        made = make_optimizer(recipe, 10, network)
        step = (CompiledStep(objective, made, [(32, 1, 28, 28), (32,)], mx.cpu()) if compiled
                else PlainStep(objective, made, [mx.cpu()]))
        random = np.random.default_rng(0)
        x = random.random((320, 1, 28, 28)).astype(np.float32)
        y = random.integers(0, 10, 320).astype(np.float32)
        one_epoch(step, Batches(TrainingData('', x, y, x, y), recipe, mx.cpu()), random)
        found.append([parameter.data().asnumpy() for parameter in network.collect_params().values()])
    for ours, theirs in zip(*found):
        np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=2e-5)


def test_dirac_hands_on_what_it_gets():
    weight = mx.nd.zeros((8, 5, 3, 3))
    make_initializer('dirac')(mx.init.InitDesc('conv_weight'), weight)
    x = mx.nd.random.normal(shape=(2, 5, 6, 6))
    y = mx.nd.Convolution(x, weight, kernel=(3, 3), pad=(1, 1), num_filter=8, no_bias=True).asnumpy()
    np.testing.assert_array_equal(y[:, :5], x.asnumpy())
    assert 0 < np.abs(weight.asnumpy()[5:]).max() < 45 ** -0.5
