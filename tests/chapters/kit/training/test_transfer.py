"""Section 5.3: frozen layers do not move, old ones move slower, fresh ones start anew."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import chapters
from chapters.kit.perform import run_experiment
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer, prepare_transfer
from chapters.kit.training.train import Objective, PlainStep
from data_tools.errors import UserError


@pytest.fixture(scope='module')
def first(tmp_path_factory):
    """The parameters of a first run, and the path of their file."""
    folder = tmp_path_factory.mktemp('runs') / 'first'
    run_experiment(chapters.find('4.4').but(epochs=1, learning_rate=0.1, initializer='xavier'), data='digits',
                   out=folder, quiet=True)
    path = next(folder.glob('model-*.params'))
    return nd.load(str(path)), path


def test_frozen_layers_do_not_move_and_fresh_ones_start_anew(first, tmp_path):
    before, path = first
    experiment = chapters.find('4.4').but(epochs=1, learning_rate=0.1, momentum=0.9, weight_decay=0.001,
                                          initializer='xavier', frozen='features.0 features.1', fresh='output')
    run_experiment(experiment, data='digits', out=tmp_path / 'run', init=path, seed=1, quiet=True)
    after = nd.load(str(next((tmp_path / 'run').glob('model-*.params'))))
    still = {name for name in before if (before[name] == after[name]).asnumpy().all()}
    assert still == {name for name in before if 'conv0' in name or 'batchnorm0' in name}
    starts = [np.corrcoef(before[name].asnumpy().ravel(), after[name].asnumpy().ravel())[0, 1]
              for name in before if name.endswith(('conv1_weight', 'conv2_weight'))]
    assert starts[0] > 0.5 > abs(starts[1])  # conv2, the output, has nothing of the first run


@pytest.mark.parametrize('momentum, weight_decay', [(0, 0), (0.5, 0.1)])
def test_old_layers_move_at_their_own_rate_under_both_steps(momentum, weight_decay):
    recipe = chapters.find('3.4.2').recipe.but(learning_rate=0.1, momentum=momentum, weight_decay=weight_decay,
                                               old_rate=0.25, fresh='output', initializer='xavier')
    moved = {}
    for kind in ('compiled', 'plain', 'all alike'):
        seed_everything(3)
        network = chapters.find('3.4.2').build()
        random = np.random.default_rng(0)
        x, y = nd.array(random.random((32, 1, 28, 28))), nd.array(random.integers(0, 10, 32))
        initialize(network, recipe, x[:1].asnumpy(), [mx.cpu()])
        prepare_transfer(network, recipe.but(old_rate=1.0) if kind == 'all alike' else recipe)
        objective = Objective(network, 'softmax', recipe)
        optimizer = make_optimizer(recipe, 100, network)
        step = PlainStep(objective, optimizer, [mx.cpu()]) if kind == 'plain' else \
            CompiledStep(objective, optimizer, [x.shape, y.shape], mx.cpu())
        before = {name: parameter.data().asnumpy() for name, parameter in network.collect_params().items()}
        step(x, y)
        step.synchronize()
        moved[kind] = {name: parameter.data().asnumpy() - before[name]
                       for name, parameter in network.collect_params().items()}
    for name, change in moved['all alike'].items():
        expected = change if name.startswith('mlp_dense2') else change / 4
        np.testing.assert_allclose(moved['compiled'][name], expected, rtol=1e-3, atol=1e-7)
        np.testing.assert_allclose(moved['plain'][name], expected, rtol=1e-3, atol=1e-7)


def test_layers_that_are_not_there(tmp_path):
    with pytest.raises(UserError, match='frozen=body: no layer begins so; there are features.0'):
        run_experiment(chapters.find('4.4').but(frozen='body'), data='digits', out=tmp_path / 'run')
