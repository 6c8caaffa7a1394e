"""Each bug is planted in a real experiment, on real digits, and must be named; the healthy stay healthy."""
import json
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest
from mxnet import gluon
from mxnet.gluon import nn

import chapters
from chapters.__main__ import main
from chapters.kit.inside.doctor import Probe, examine
from chapters.kit.trained.run import Run
from chapters.kit.training.from_recipe import initialize
from chapters.kit.training.train import Objective


class Stack(gluon.HybridBlock):
    """Layers of 32 units and one activation; the third may start with a bias, or with zero weights."""
    def __init__(self, depth=3, activation='relu', third_bias=0.0, third_zero=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for number in range(depth):
                third = number == 2
                self.layers.add(nn.Dense(32, activation=activation,
                                         bias_initializer=mx.init.Constant(third_bias if third else 0.0),
                                         weight_initializer='zeros' if third and third_zero else None))
            self.layers.add(nn.Dense(10))

    def hybrid_forward(self, F, x):
        return self.layers(x)


def make_run(folder, section='3.4.2', change_data=None, network=False, **changes):
    experiment = chapters.find(section)
    if network:
        experiment = replace(experiment, network=Stack, sizes={}, listing=None)
    run = Run(experiment.but(**changes) if changes else experiment, data='digits', out=folder / 'run')
    if change_data:
        run.data = replace(run.data, **change_data(run.data))
    return run


def warnings_of(run):
    """Names of what keeps the network from learning, the worst first."""
    findings = examine(run, draw=False)
    order = ['warning', 'note', 'fine']
    assert [finding.severity for finding in findings] == sorted((finding.severity for finding in findings),
                                                                key=order.index)
    assert all('\n' not in finding.text for finding in findings)
    return {finding.name: finding.text for finding in findings if finding.severity == 'warning'}


def shuffled(data):
    return {'train_y': np.random.default_rng(1).permutation(data.train_y)}


def shuffled_validation(data):
    return {'validation_y': np.random.default_rng(1).permutation(data.validation_y)}


def unscaled(data):
    return {'train_x': 255 * data.train_x, 'validation_x': 255 * data.validation_x}


def test_a_healthy_convolutional_network(tmp_path):
    assert not warnings_of(make_run(tmp_path, '4.4'))


def test_the_command_on_a_healthy_perceptron(tmp_path, capsys):
    assert main(['doctor', '3.4.2', '--data', 'digits', '--out', str(tmp_path / 'run')]) == 0
    text = capsys.readouterr().out
    assert 'warning' not in text
    assert '100 samples are learnt by heart' in text and 'one label for all is learnt: 100% right' in text
    assert 'ln(10)' in text and 'standing in for MNIST' in text
    assert sorted(file.name for file in (tmp_path / 'run' / 'figures').iterdir()) == [
        'data.png', 'gradients.png', 'layers.png', 'learning.png']
    findings = json.loads((tmp_path / 'run' / 'findings.json').read_text())
    assert {'labels-fit', 'inputs-scaled', 'gradients', 'overfits', 'relus', 'first-loss', 'one-label'} <= {
        finding['name'] for finding in findings}


@pytest.mark.parametrize('section', ['2.2.8', '2.3.9'])
def test_networks_that_learn_a_number_are_healthy(section, tmp_path):
    assert not warnings_of(Run(chapters.find(section), out=tmp_path / 'run'))


def test_labels_shuffled_apart_from_the_images(tmp_path):
    found = warnings_of(make_run(tmp_path, change_data=shuffled, initializer='xavier'))
    assert list(found) == ['labels-do-not-fit'] and 'shuffled' in found['labels-do-not-fit']


def test_only_the_validation_labels_are_shuffled(tmp_path):
    found = warnings_of(make_run(tmp_path, change_data=shuffled_validation, initializer='xavier'))
    assert list(found) == ['validation-labels-do-not-fit']


@pytest.mark.parametrize('section', ['3.4.2', '4.4'])
def test_images_not_divided_by_255(section, tmp_path):
    found = warnings_of(make_run(tmp_path, section, unscaled))
    assert list(found) == ['inputs-not-scaled'] and 'divide pixels by 255' in found['inputs-not-scaled']


@pytest.mark.parametrize('section, rate', [('3.4.2', 20), ('4.4', 3)])
def test_a_rate_100_times_too_high(section, rate, tmp_path):
    found = warnings_of(make_run(tmp_path, section, learning_rate=float(rate)))
    assert list(found) == ['rate-too-high'] and f'rate {rate} is too high' in found['rate-too-high']


@pytest.mark.parametrize('plant, words', [({'third_bias': -10.0}, 'biases are -10'),
                                          ({'third_zero': True}, 'weights are all 0')])
def test_a_dead_layer(plant, words, tmp_path):
    run = make_run(tmp_path, network=True, initializer='xavier')
    run.experiment = replace(run.experiment, sizes=plant)
    found = warnings_of(run)
    assert list(found)[0] == 'dead-layer'
    assert 'layer dense2 is dead' in found['dead-layer'] and words in found['dead-layer']


def test_vanishing_gradients(tmp_path):
    run = make_run(tmp_path, network=True, initializer='xavier')
    run.experiment = replace(run.experiment, sizes={'depth': 8, 'activation': 'sigmoid'})
    found = warnings_of(run)
    assert list(found)[0] == 'vanishing-gradients' and 'in layer dense8' in found['vanishing-gradients']


def test_exploding_gradients(tmp_path):
    run = make_run(tmp_path, network=True, initializer='normal(1)')
    run.experiment = replace(run.experiment, sizes={'depth': 6})
    assert list(warnings_of(run))[0] == 'exploding-gradients'


@pytest.mark.parametrize('change, words', [
    (lambda data: {'train_y': 0 * data.train_y}, 'all labels are the same'),
    (lambda data: {'train_y': 1 + data.train_y}, 'labels go from 1 to 10, but there are 10 classes'),
    (lambda data: {'train_x': np.where(np.arange(len(data.train_x))[:, None, None, None] == 7, np.nan,
                                       data.train_x)}, 'sample 7 has an input that is NaN'),
])
def test_broken_data(change, words, tmp_path):
    assert words in warnings_of(make_run(tmp_path, change_data=change))['data-broken']


def test_without_a_network_there_is_nothing_to_examine(tmp_path, capsys):
    assert main(['doctor', '3.4.2', '--data', 'digits', '--resume', str(tmp_path)]) == 2
    assert 'leave out --resume' in capsys.readouterr().err


@pytest.mark.parametrize('section, data, changes', [
    ('4.4', 'digits', {'augmentation': 'mirror shift=2 erase=5'}),
    ('5.4.5', 'digits', {'width': 0.1, 'augmentation': 'crop=28 mirror'})])
def test_images_are_shown_as_the_network_gets_them(section, data, changes, tmp_path, monkeypatch):
    """Beside the raw ones: of arrays a row an image, of MXNet's reader as they come."""
    from chapters.kit.inside import doctor
    monkeypatch.setattr(doctor, '_look_at_learning', lambda *_: [])
    run = Run(chapters.find(section).but(**changes), data, out=tmp_path / 'run', quiet=True)
    examine(run)
    assert (run.folder / 'figures' / 'augmented.png').stat().st_size > 5000
    plain = Run(chapters.find('4.4'), 'digits', out=tmp_path / 'plain', quiet=True)
    examine(plain)
    assert not (plain.folder / 'figures' / 'augmented.png').exists()


def test_what_flows_through_a_residual_network_is_seen():
    """MXNet's graph of fused layers, which it makes for prediction alone, cannot say what flows between them."""
    experiment = chapters.find('5.5.7').but(units=(1, 1, 1), filters=(4, 4, 8, 8))
    network, x = experiment.build(), np.random.default_rng(0).uniform(0, 255, (2, 3, 28, 28)).astype(np.float32)
    initialize(network, experiment.recipe, x, [mx.cpu()])
    probe = Probe(network, Objective(network, experiment.objective), mx.nd.array(x), mx.nd.array([0, 1]))
    assert len(probe()['activations']) > 5 and all(np.isfinite(values).all() for values in probe()['activations'].values())
