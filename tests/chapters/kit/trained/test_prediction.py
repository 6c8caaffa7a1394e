"""A compiled network says what the network says, in 32 bits and in 8."""
import multiprocessing
import sys
import time

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd

import chapters
from chapters.ch05_deep_cnn.resnet import ResNet
from chapters.kit.data.batches import Batches
from chapters.kit.data.training_data import by_recipe
from chapters.kit.trained.prediction import WORTH, InBoth, Predictor, in_both
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.train import Objective, one_epoch


@pytest.fixture(scope='module', params=['3.4.2', '4.4'])
def trained(request):
    """A network that has learnt something, and images it has not seen."""
    experiment = chapters.find(request.param)
    recipe = experiment.recipe.but(learning_rate=0.1, initializer='xavier')
    data = experiment.load('digits')
    recipe, random = recipe.but(train_samples=1280), seed_everything(0)
    network = experiment.build()
    initialize(network, recipe, data.train_x[:1], [mx.cpu()])
    step = CompiledStep(Objective(network, recipe=recipe), make_optimizer(recipe, 40, network), [(32, 1, 28, 28), (32,)],
                        mx.cpu())
    batches = Batches(by_recipe(data, recipe, 0), recipe, mx.cpu())
    for _ in range(4):
        one_epoch(step, batches, random)
    return network, data


@pytest.mark.parametrize('samples', [1, 64, 150])
def test_same_outputs_for_any_number_of_inputs(trained, samples):
    network, data = trained
    x = data.validation_x[:samples].copy()
    expected = network(nd.array(x)).asnumpy()
    found = Predictor(network, batch_size=64)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    x += 1  # what was shared with MXNet is still the caller's to write to


def test_eight_bits_agree_and_are_eight_bits(trained):
    network, data = trained
    expected = network(nd.array(data.validation_x)).asnumpy()
    found = Predictor(network, batch_size=100, calibration=data.train_x[:500])(data.validation_x)
    right = [(outputs.argmax(axis=1) == data.validation_y).mean() for outputs in (expected, found)]
    assert right[0] > 0.8 and abs(right[1] - right[0]) < 0.015
    assert 1e-4 < np.abs(found - expected).max() < 0.25 * np.abs(expected).max()


def test_both_are_measured_once_and_the_faster_is_taken(trained):
    network, data = trained
    both = in_both(network, 100, data.train_x[:500], workers=1)
    seconds = []
    for predict in (both.in_32_bits, both.in_8_bits):
        times = []
        for _ in range(8):
            began = time.perf_counter()
            predict(data.train_x[:100])
            times.append(time.perf_counter() - began)
        seconds.append(min(times))
    assert 1 / 3 < both.times * seconds[1] / seconds[0] < 3  # other programs run beside
    assert in_both(network, 100, data.train_x[:500], workers=1).times == both.times
    assert both.faster is (both.in_8_bits if both.times >= WORTH else both.in_32_bits)
    assert not np.array_equal(both.in_32_bits(data.validation_x[:100]), both.in_8_bits(data.validation_x[:100]))
    for times, bits in ((0.83, 32), (2.2, 8), (1.02, 32)):
        one = InBoth(both.in_32_bits, both.in_8_bits, times)
        assert one.faster is (both.in_8_bits if bits == 8 else both.in_32_bits)
        assert f'{times:.2f} times as fast' in str(one) and str(one).endswith(f'{bits} bits are the ones to take')


@pytest.mark.skipif(sys.platform != 'linux', reason='processes share the work on Linux only')
@pytest.mark.parametrize('calibrated', [False, True])
def test_processes_share_what_takes_long(trained, calibrated, monkeypatch):
    network, data = trained
    calibration = data.train_x[:500] if calibrated else None
    expected = Predictor(network, 32, calibration=calibration, workers=1)(data.validation_x)
    monkeypatch.setattr('chapters.kit.trained.prediction._LONG', 0.0)
    monkeypatch.setattr('chapters.kit.trained.prediction._PIPE', 1e99)
    predictor = Predictor(network, 32, calibration=calibration, workers=2)
    np.testing.assert_allclose(predictor(data.validation_x), expected, rtol=1e-4, atol=1e-4)
    processes = multiprocessing.active_children()
    assert len(processes) == 2
    with monkeypatch.context() as patch:
        patch.setattr(predictor, '_outputs', None)  # all comes from the processes
        np.testing.assert_allclose(predictor(data.validation_x[:100]), expected[:100], rtol=1e-4, atol=1e-4)
    with monkeypatch.context() as patch:
        patch.setattr('chapters.kit.trained.prediction.wait', lambda pipes: 1 / 0)  # what Ctrl-C does
        with pytest.raises(ZeroDivisionError):
            predictor(data.validation_x)
    np.testing.assert_allclose(predictor(data.validation_x[64:]), expected[64:], rtol=1e-4, atol=1e-4)
    for process in multiprocessing.active_children():
        process.kill()
        process.join(10)
        np.testing.assert_allclose(predictor(data.validation_x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(sys.platform != 'linux', reason='processes share the work on Linux only')
def test_processes_end_with_their_predictor(trained, monkeypatch):
    monkeypatch.setattr('chapters.kit.trained.prediction._LONG', 0.0)
    monkeypatch.setattr('chapters.kit.trained.prediction._PIPE', 1e99)
    predictor = Predictor(trained[0], 32, workers=3)
    predictor(trained[1].validation_x)
    processes = multiprocessing.active_children()
    assert len(processes) == 3
    del predictor
    for process in processes:
        process.join(10)
        assert process.exitcode == 0


def test_what_a_convolution_gives_to_several_places_stays_as_it_is():
    """A shortcut that begins at the first convolution, which MXNet joins with the BN and ReLU beside it."""
    network = ResNet((1, 1), (8, 8, 16))
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    x = np.random.default_rng(0).uniform(0, 255, (50, 3, 12, 12)).astype(np.float32)
    expected = network(nd.array(x)).asnumpy()
    np.testing.assert_allclose(Predictor(network, 50)(x), expected, rtol=1e-4, atol=1e-4 * np.abs(expected).max())
    in_8_bits = Predictor(network, 50, calibration=x)(x)
    assert np.abs(in_8_bits - expected).mean() < 0.1 * np.abs(expected).mean()


@pytest.mark.parametrize('ordering', 'acd')
def test_residual_sums_in_8_bits(ordering):
    """MXNet joins a convolution with the sum after it, wrongly where BN or ReLU comes before the sum."""
    seed_everything(0)
    network = ResNet((3, 3, 3), (32, 64, 64, 128), ordering=ordering)
    x = np.random.default_rng(0).uniform(0, 1, (20, 3, 28, 28)).astype(np.float32)
    initialize(network, Recipe(initializer='msra(avg,0)'), x[:1], [mx.cpu()])
    for _ in range(8):
        with autograd.record():  # running statistics that are those of the data
            network(nd.array(x))
    expected = network(nd.array(x)).asnumpy()
    assert np.abs(Predictor(network, 20, calibration=x)(x) - expected).mean() < 0.05 * expected.std()


def test_a_dense_layer_that_several_others_need():
    class Shared(gluon.HybridBlock):
        def __init__(self):
            super().__init__()
            self.first, self.second = gluon.nn.Dense(16), gluon.nn.Dense(16)

        def hybrid_forward(self, F, x):
            y = self.first(x)
            return self.second(F.relu(y)) + y
    network = Shared()
    network.initialize(mx.init.Normal(0.3))
    x = np.random.default_rng(0).normal(size=(100, 12)).astype(np.float32)
    expected = network(nd.array(x)).asnumpy()
    np.testing.assert_allclose(Predictor(network, 50)(x), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(Predictor(network, 50, calibration=x)(x) - expected).mean() < 0.05 * expected.std()
