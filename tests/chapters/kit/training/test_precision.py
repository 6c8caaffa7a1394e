"""Training in 16 bits: the graph, the refusal, the scaled loss; and the training itself where the device can."""
import json
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

import chapters
from chapters.ch03_mlp.mnist import MLP
from chapters.ch04_cnn.lenet import LeNet
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.training.precision import lowered, make_scaler, require_dtype
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.train import Objective, PlainStep
from data_tools.errors import UserError

SAMPLE = np.zeros((1, 1, 28, 28), 'float32')


def lenet():
    seed_everything(0)
    network = LeNet()
    initialize(network, Recipe(), SAMPLE, [mx.cpu()])
    return network


def can(dtype):
    try:
        require_dtype(dtype, mx.cpu())
    except UserError:
        return False
    return True


@pytest.mark.parametrize('dtype', ['bfloat16', 'float16'])
def test_convolutions_and_products_get_16_bits_and_nothing_else_changes(dtype):
    network = lenet()
    low = lowered(network, dtype)
    nodes = json.loads(low(mx.sym.var('x')).tojson(remove_amp_cast=False))['nodes']

    casts = {number: node['attrs']['dtype'] for number, node in enumerate(nodes) if node['op'] == 'amp_cast'}
    for node in nodes:
        if node['op'] == 'Convolution':  # weight and bias cast; data cast or come from another such operator
            assert [casts.get(number) for number, *_ in node['inputs'][1:]] == [dtype, dtype]
            assert casts.get(node['inputs'][0][0], dtype) == dtype
    assert sum(node['op'] == 'Convolution' for node in nodes) == 3
    assert nodes[-1]['op'] == 'Cast' and nodes[-1]['attrs']['dtype'] == 'float32'
    mine, theirs = network.collect_params(), low.collect_params()
    assert sorted(mine) == sorted(theirs) and all(mine[name] is theirs[name] for name in mine)
    assert lowered(network, 'float32') is network


@pytest.mark.skipif(can('bfloat16'), reason='this processor computes in bfloat16')
def test_a_device_that_cannot_says_what_is_needed(capfd):
    with pytest.raises(UserError, match='--dtype bfloat16: cpu.0. cannot; it needs a processor with AVX-512'):
        require_dtype('bfloat16', mx.cpu())
    with pytest.raises(UserError, match='it needs a GPU'):
        require_dtype('float16', mx.cpu())
    with pytest.raises(UserError, match='--dtype float8: not one of float32, bfloat16, float16'):
        require_dtype('float8', mx.cpu())
    assert capfd.readouterr().err == ''


NEEDS_BFLOAT16 = pytest.mark.skipif(not can('bfloat16'),
                                    reason='this processor does not compute in bfloat16: it has no AVX-512')


@NEEDS_BFLOAT16
@pytest.mark.parametrize('section, sizes', [
    ('5.7.1-scenes', {}), ('5.7.2', {'filters': 16, 'squeezed': 8}), ('5.7.2-cells', {'filters': 16, 'squeezed': 8})])
def test_networks_that_join_finer_planes_or_drop_out_compute_in_bfloat16(section, sizes):
    """After a pooling, a joining, a dropout: near to what 32 bits give, and back to all parameters."""
    seed_everything(0)
    network = chapters.find(section).but(**sizes, normalised=False).build()
    side = 96
    initialize(network, Recipe(), np.zeros((1, 3, side, side), 'float32'), [mx.cpu()])
    low, x = lowered(network, 'bfloat16'), nd.random.uniform(shape=(2, 3, side, side))
    there, here = network(x).asnumpy(), low(x).asnumpy()
    assert (there != here).any() and np.abs(there - here).max() < 0.02 * np.abs(there).max()
    with autograd.record():
        loss = (low(x) ** 2).sum()
    loss.backward()
    assert all(np.abs(parameter.grad().asnumpy()).max() > 0 for name, parameter in network.collect_params().items()
               if parameter.grad_req != 'null' and name.endswith('weight'))


# By itself, since memory that is overwritten ends a process, sooner or later.
OF_ONE_POINT = """
import chapters, mxnet as mx, numpy as np
from chapters.kit.trained.prediction import Predictor
from chapters.kit.training.precision import lowered
for side in ((6, 6), (3, 9), (3, 16), (14, 14)):
    network = mx.gluon.nn.HybridSequential()
    network.add(mx.gluon.nn.Conv2D(64, 1), mx.gluon.nn.Activation('relu'), mx.gluon.nn.Conv2D(64, 1, strides=2))
    network.initialize(mx.init.Xavier())
    x, results = mx.nd.random.normal(shape=(16, 64, *side)), []
    x.attach_grad()
    network(x)
    for dtype in {dtypes}:
        low = lowered(network, dtype)
        for _ in range(5):
            with mx.autograd.record():
                y = low(x)
            y.backward(y)
        results.append([y, x.grad.copy(), *(parameter.grad().copy() for parameter in low.collect_params('.*weight').values())])
    results = [[array.asnumpy() for array in arrays] for arrays in results]
    images = x.asnumpy()
    in_8_bits = Predictor(network, 16, calibration=images)
    for _ in range(5):
        eight = in_8_bits(images)
    junk = [np.ones(1000 + size) for size in range(3000)]
    for there, here in [*zip(results[0], results[-1]), (results[0][0], eight)]:
        assert np.abs(there - here).max() < 0.08 * np.abs(there).max(), (side, np.abs(there - here).max())
"""


def test_convolutions_of_one_point_in_few_bits_write_where_they_should():
    dtypes = ('float32', 'bfloat16') if can('bfloat16') else ('float32',)
    done = subprocess.run([sys.executable, '-c', OF_ONE_POINT.replace('{dtypes}', str(dtypes))], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


@NEEDS_BFLOAT16
def test_bfloat16_learns_what_float32_learns():
    random = np.random.default_rng(0)
    x, y = nd.array(random.random((32, 1, 28, 28))), nd.array(random.integers(0, 10, 32))
    losses = {}
    for dtype in ('float32', 'bfloat16'):
        recipe = Recipe(batch_size=32, learning_rate=0.005, dtype=dtype)
        network = lenet()
        step = CompiledStep(Objective(network, recipe=recipe), make_optimizer(recipe, 1, network), [x.shape, y.shape],
                            mx.cpu())
        losses[dtype] = [float(step(x, y)[0].mean().asscalar()) for _ in range(20)]
    assert losses['bfloat16'] != losses['float32']
    np.testing.assert_allclose(losses['bfloat16'], losses['float32'], atol=0.05)
    assert losses['bfloat16'][-1] < losses['bfloat16'][0] / 10


def plain_step(scaled):
    recipe = Recipe(batch_size=8, learning_rate=0.05, momentum=0.9)
    seed_everything(0)
    network = MLP()
    initialize(network, recipe, SAMPLE, [mx.cpu()])
    step = PlainStep(Objective(network, recipe=recipe), make_optimizer(recipe, 1, network), [mx.cpu()])
    step._scaler = make_scaler('float16' if scaled else 'float32')  # no CPU computes in float16
    return network, step


def test_a_scaled_loss_gives_the_same_updates_and_overflow_gives_none():
    random = np.random.default_rng(0)
    x, y = nd.array(random.random((8, 1, 28, 28))), nd.array(random.integers(0, 10, 8))
    parameters = []
    for scaled in (False, True):
        network, step = plain_step(scaled)
        for _ in range(3):
            step(x, y)
        parameters.append({name: parameter.data().asnumpy() for name, parameter in network.collect_params().items()})
    plain, scaled = parameters
    for (name, mine), theirs in zip(plain.items(), scaled.values()):
        np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-7, err_msg=name)

    before = step._scaler.loss_scale
    step(x * np.inf, y)
    step(x, y)  # is scaled by half
    assert step._scaler.loss_scale == before / 2
    assert all(np.isfinite(parameter.data().asnumpy()).all() for parameter in network.collect_params().values())
