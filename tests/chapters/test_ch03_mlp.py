"""Chapter 3: the numbers of 3.4.1, the spiral, and that every field of a recipe acts."""
import json

import numpy as np
import pytest

import chapters
from chapters.kit.perform import run_experiment


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


def test_seven_features_of_figure_3_16(tmp_path):
    import mxnet as mx

    from chapters.ch03_mlp.spiral import SpiralNet
    network = SpiralNet(hidden=(8,), seven=True)
    network.initialize()
    network(mx.nd.array([[2, 3]]))
    seen = []
    network.hidden[0].register_forward_pre_hook(lambda layer, inputs: seen.append(inputs[0].asnumpy()[0]))
    network(mx.nd.array([[2, 3]]))
    assert seen[0] == pytest.approx([2, 3, 4, 9, 6, np.sin(2), np.sin(3)], rel=1e-5)
    _, metrics = run('3.3.4-features', tmp_path, epochs=60, batch_size=10, learning_rate=0.1)
    assert metrics['train_loss'] < 0.3  # a single hidden layer on x1 and x2 alone stays near 0.4


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


def test_folds_cut_the_training_images_into_five(tmp_path):
    from chapters.ch03_mlp.tuning import fold
    experiment = chapters.find('3.1.1')
    whole = experiment.load()
    parts = [fold(number)(experiment, 'digits', None, 0) for number in range(5)]
    held = np.concatenate([part.validation_x.reshape(-1, 784) for part in parts])
    assert [len(part.train_x) for part in parts] == [240] * 5
    assert sorted(map(bytes, held)) == sorted(map(bytes, whole.train_x.reshape(-1, 784)))
    folder, metrics = run('3.1.1', tmp_path, epochs=6)
    assert metrics['lowest'] < metrics['mean'] < metrics['highest']
    assert metrics['unseen'] == pytest.approx(metrics['mean'], abs=0.08)
    assert (folder / 'figures' / 'folds.png').exists()


def test_optimizers_leave_the_saddle_sooner(tmp_path):
    folder, metrics = run('3.1.6', tmp_path)
    assert metrics['sgd_steps'] > 2 * metrics['momentum_steps'] > 4 * metrics['adam_steps']
    assert metrics['adagrad_steps'] < metrics['momentum_steps']
    assert (folder / 'figures' / 'saddle.png').exists()


def test_optimizers_leave_a_small_start_sooner(tmp_path):
    _, metrics = run('3.1.6-digits', tmp_path, epochs=8)
    assert metrics['adam_epochs_to_half'] < metrics['sgd_epochs_to_half'] == 9  # not in these epochs
    assert metrics['adam_train_loss'] < 1 < metrics['sgd_train_loss']


def test_search_tries_nine_rates_at_random_and_three_on_the_grid(tmp_path):
    folder, metrics = run('3.3-search', tmp_path, epochs=2)
    assert (metrics['grid_different_rates'], metrics['random_different_rates']) == (3, 9)
    assert max(metrics['grid_accuracy'], metrics['random_accuracy']) > 0.4
    assert (folder / 'figures' / 'search.png').exists()


def test_equal_weights_stay_equal(tmp_path):
    _, metrics = run('3.3.3-starts', tmp_path, epochs=6)
    assert metrics['zero_different_units'] == metrics['equal_different_units'] == 1
    assert metrics['xavier_different_units'] == metrics['msra_different_units'] == 128
    assert metrics['xavier_validation_accuracy'] > 0.7 > 0.3 > metrics['zero_validation_accuracy']


def test_together_networks_answer_better_than_one(tmp_path):
    _, metrics = run('3.2.3-ensemble', tmp_path, epochs=8)
    for kind in ('same', 'other'):
        assert metrics[f'{kind}_together_loss'] < metrics[f'{kind}_member_loss']
        assert metrics[f'{kind}_together_accuracy'] > metrics[f'{kind}_member_accuracy'] - 0.01


def test_one_network_learns_two_tasks(tmp_path):
    folder, metrics = run('3.2.3-multi-task', tmp_path, epochs=10)
    assert metrics['alone_odd'] > 0.8 and metrics['together_odd'] > 0.8 and metrics['together_digit'] > 0.7
    assert metrics['together_loop'] > metrics['alone_loop'] + 0.03
    assert (folder / 'figures' / 'tasks.png').exists()


def test_whitening_makes_the_covariance_the_identity():
    from chapters.ch03_mlp.whitening import equalised, pca, standardised, zca
    random = np.random.default_rng(0)
    x = random.normal(0, 3, (4000, 6)) @ random.normal(0, 3, (6, 6)) + 5
    for way in (pca, zca):
        white = way(x)(x)
        assert np.abs(np.cov(white.T) - np.eye(6)).max() < 0.02 and np.abs(white.mean(axis=0)).max() < 1e-9
    assert np.corrcoef(zca(x)(x)[:, 0], x[:, 0])[0, 1] > 0.3  # turned back
    assert np.abs(standardised(x)(x).std(axis=0) - 1).max() < 0.01
    assert equalised(np.array([[[0.1, 0.9], [0.1, 0.4]]])).tolist() == [[[0.5, 1.0], [0.5, 0.75]]]


def test_pixels_from_0_to_255_are_too_large(tmp_path):
    _, metrics = run('3.2.4-whitening', tmp_path, epochs=3)
    assert metrics['standardised_validation_accuracy'] > 0.9
    assert metrics['raw_diverged'] or metrics['raw_validation_accuracy'] < 0.5
    assert metrics['PCA_correlation'] < 0.01 < metrics['from-0-to-1_correlation']


def test_the_accuracy_is_counted_both_ways_where_the_book_prints_a_log(tmp_path):
    """As `NDArrayIter` fills the last batch: against MXNet's own reader and metric."""
    from dataclasses import replace

    import mxnet as mx

    from chapters.kit.experiment import figures_of
    logged = figures_of('digits', validation_accuracy_epoch0=0.5)
    experiment = replace(chapters.find('3.4.2').but(epochs=2, train_samples=300, initializer='xavier'), book=logged)
    losses = []
    for form in ('gluon', 'symbolic'):
        done, result = run_experiment(experiment, data='digits', out=tmp_path / form, form=form)
        metrics = {name: value['last'] for name, value in result['metrics'].items()}
        data = done.data
        reader = mx.io.NDArrayIter(data.validation_x, data.validation_y, 32, label_name='label')
        symbol, arguments, statistics = mx.model.load_checkpoint(str(done.folder / 'model'), 2)
        if form == 'gluon':
            symbol = mx.sym.SoftmaxOutput(symbol, mx.sym.Variable('label'))
        module = mx.mod.Module(symbol, ['data'], ['label'])
        module.bind(reader.provide_data, reader.provide_label, for_training=False)
        module.set_params(arguments, statistics)
        (_, score), = module.score(reader, 'acc')
        assert len(data.validation_x) % 32 and metrics['validation_accuracy_filled'] == pytest.approx(score, abs=1e-6)
        assert metrics['validation_accuracy_filled'] * 320 == pytest.approx(round(score * 320), abs=1e-3)
        right = metrics['validation_accuracy'] * len(data.validation_x)
        assert right == pytest.approx(round(right), abs=1e-3)
        assert 'validation_accuracy_filled_epoch0' in metrics
        losses.append(metrics['train_loss'])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)  # both forms begin alike and see the same batches
