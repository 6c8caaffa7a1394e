"""Chapter 3: the numbers of 3.4.1, the spiral, and that every field of a recipe acts."""
import json

import numpy as np
import pytest

import chapters
from chapters.kit.program import run_experiment


def run(section, folder, **changes):
    """Run an experiment; returns its folder, and {name: value} of its figures."""
    experiment = chapters.find(section)
    done, result = run_experiment(experiment.but(**changes) if changes else experiment, out=folder / section)
    return done.folder, {name: value['last'] for name, value in result['metrics'].items()}


def test_softmax_as_printed(tmp_path):
    _, metrics = run('3.4.1', tmp_path)
    for printed in chapters.find('3.4.1').book:
        assert round(metrics[printed.metric], 3) == printed.value, printed.metric
    assert max(metrics[name] for name in metrics if name.startswith('difference')) < 1e-5


@pytest.mark.parametrize('share, training', [(0.9, 450), (0.3, 150)])
def test_spirals_are_two_arms_cut_in_two_parts(share, training):
    from chapters.ch03_mlp.spiral import spirals
    data = spirals(0, share)
    assert data.train_x.shape == (training, 2) and data.validation_x.shape == (500 - training, 2)
    x = np.concatenate([data.train_x, data.validation_x])
    y = np.concatenate([data.train_y, data.validation_y])
    radius = np.hypot(*x.T)
    assert radius.max() < 5 and np.sum(y == 1) == np.sum(y == -1) == 250
    # a point of one arm, turned by half a circle, is on the other
    first, second = ({tuple(np.round(point, 4) + 0.0) for point in arm} for arm in (x[y == 1], -x[y == -1]))
    assert first == second


def test_spiral_maps_are_drawn_from_the_epochs_kept(tmp_path):
    folder, metrics = run('3.3.4', tmp_path, epochs=5)
    assert metrics['train_loss'] == pytest.approx(0.5, abs=0.1)  # far from done
    assert (folder / 'figures' / 'decision-maps.png').stat().st_size > 10000
    assert sorted(path.name for path in (folder / 'checkpoint').glob('epoch-*')) == [
        'epoch-0001.params', 'epoch-0005.params']
    saved = json.loads((folder / 'result.json').read_text(encoding='utf-8'))
    assert saved['metrics']['validation_mse']['last'] == pytest.approx(2 * metrics['test_loss'], rel=1e-4)


@pytest.mark.parametrize('name', ['l2', 'l1'])
def test_penalties_make_weights_small(name, tmp_path):
    folder, metrics = run(f'3.2-{name}', tmp_path)
    assert metrics['with_weight_norm'] < 0.85 * metrics['without_weight_norm']
    if name == 'l1':
        assert metrics['with_share_near_zero'] > 0.3 > 10 * metrics['without_share_near_zero']
    assert (folder / 'figures' / 'comparison.png').exists()
    assert not (folder / 'with' / 'result.json').exists()  # one result a run: parts are not runs of their own


def test_dropout_makes_the_training_set_harder(tmp_path):
    _, metrics = run('3.2-dropout', tmp_path, epochs=10)
    assert metrics['with_train_loss'] > 1.5 * metrics['without_train_loss']
    assert metrics['with_validation_accuracy'] > 0.6


@pytest.mark.parametrize('name', ['label-smoothing', 'mixup'])
def test_soft_targets_make_answers_less_sure(name, tmp_path):
    _, metrics = run(f'3.2-{name}', tmp_path, epochs=12)
    assert metrics['with_confidence'] < metrics['without_confidence'] - 0.08
    assert metrics['with_validation_accuracy'] > 0.7


def test_noisy_labels_cost_accuracy(tmp_path):
    _, metrics = run('3.2-noisy-labels', tmp_path)
    assert metrics['clean_validation_accuracy'] > metrics['noisy_validation_accuracy'] + 0.03
    assert metrics['noisy_train_accuracy'] < metrics['clean_train_accuracy'] - 0.1


def test_early_stopping_stops(tmp_path):
    _, metrics = run('3.2-early-stopping', tmp_path)
    assert metrics['with_epochs'] < metrics['without_epochs'] == 60
    assert metrics['with_validation_accuracy'] > metrics['without_validation_accuracy'] - 0.05


def test_step_decay_calms_the_last_epochs(tmp_path):
    _, metrics = run('3.3.1-step-decay', tmp_path)
    assert metrics['with_jumps'] < 0.5 * metrics['without_jumps']


def test_warm_up_saves_a_start_that_fails_without(tmp_path):
    _, metrics = run('3.3.2-warm-up', tmp_path)
    assert metrics['without_diverged'] == 1 and 'without_train_loss' not in metrics
    assert metrics['with_diverged'] == 0 and metrics['with_validation_accuracy'] > 0.8


def test_larger_batches_need_larger_rates(tmp_path):
    _, metrics = run('3.3.2-rate-and-batch', tmp_path, epochs=5)
    assert metrics['batch256-same-rate_train_loss'] > metrics['batch256-alpha0.5_train_loss'] \
        > metrics['batch256-alpha1_train_loss']
