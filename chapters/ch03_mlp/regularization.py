"""Sections 3.2, 3.3.1 and 3.3.2: each field of a recipe shown to act, on a small training set.

    python -m chapters run 3.2-l1
"""
import numpy as np
from mxnet import nd

from chapters.ch03_mlp.mnist import MLP
from chapters.kit.experiment import Study
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.kit.variants import compare


def draw(run, results, panel=None):
    """Validation loss and accuracy of all variants over the epochs, and a third panel: `panel(axis)`."""
    figure, axes = figures.plt.subplots(1, 3 if panel else 2, figsize=(14 if panel else 9.5, 3.8))
    for axis, kind in zip(axes, ('loss', 'accuracy')):
        for color, (name, (_, history, _)) in zip(('C0', 'C1', 'C2', 'C3', 'C4', 'C5'), results.items()):
            for part, style in (('train', ':'), ('validation', '-')):
                axis.plot([row[f'{part}_{kind}'] for row in history], style, color=color,
                          label=f'{name}, {part}' if history else f'{name}: diverged')
        axis.set(title=kind, xlabel='epoch')
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_locator(figures.matplotlib.ticker.MaxNLocator(integer=True))
    axes[0].legend(fontsize=8)
    if panel:
        panel(axes[2])
    experiment = run.experiment
    figure.suptitle(figures.text(f'{experiment.section} {experiment.title}', experiment.title_zh)
                    + f'\n{run.data_name}, {run.recipe.train_samples or "all"} training samples')
    figure.tight_layout()
    run.save_figure(figure, 'comparison')


def _weights(network):
    """All weights of a network, without biases, as one vector."""
    return np.concatenate([parameter.data(parameter.list_ctx()[0]).asnumpy().ravel()
                           for name, parameter in network.collect_params('.*weight').items()])


def _compare_weights(run, field):
    results, metrics = compare(run, ('without', {field: 0.0}), ('with', {}))

    def histogram(axis):
        bins = np.linspace(-0.3, 0.3, 121)
        for name, (network, _, _) in results.items():
            axis.hist(np.clip(_weights(network), -0.3, 0.3), bins, histtype='step', label=name)
        axis.set(yscale='log', title='weights', xlabel='value')
        axis.legend(fontsize=8)
    draw(run, results, histogram)
    for name, (network, _, _) in results.items():
        weights = _weights(network)
        metrics[f'{name}_weight_norm'] = np.sqrt(np.sum(weights ** 2))
        metrics[f'{name}_share_near_zero'] = np.mean(np.abs(weights) < 1e-3)
    return metrics


def l2(run):
    """L2: the weights become small."""
    return _compare_weights(run, 'weight_decay')


def l1(run):
    """L1: most weights become zero, or jump about it by less than a step."""
    return _compare_weights(run, 'l1')


def dropout(run):
    """Dropout: harder to fit the training set, easier to generalise."""
    results, metrics = compare(run, ('without', {'dropout': 0.0}), ('with', {}))
    draw(run, results)
    return metrics


def _confidence(network, data):
    """Probability of the answered class, for all validation images."""
    x = nd.array(data.validation_x, next(iter(network.collect_params().values())).list_ctx()[0])
    return nd.softmax(network(x)).max(axis=1).asnumpy()


def _compare_confidence(run, *variants):
    results, metrics = compare(run, *variants)

    def histogram(axis):
        for name, (network, _, data) in results.items():
            axis.hist(_confidence(network, data), np.linspace(0, 1, 41), histtype='step', label=name)
        axis.set(title='confidence of the answers', xlabel='largest probability', ylabel='images')
        axis.legend(fontsize=8)
    draw(run, results, histogram)
    for name, (network, _, data) in results.items():
        metrics[f'{name}_confidence'] = _confidence(network, data).mean()
    return metrics


def label_smoothing(run):
    """Label smoothing: answers are as right, but no longer sure of themselves."""
    return _compare_confidence(run, ('without', {'label_smoothing': 0.0}), ('with', {}))


def mixup(run):
    """Mixup: training on sums of two images."""
    return _compare_confidence(run, ('without', {'mixup': 0.0}), ('with', {}))


def noisy_labels(run):
    """A share of the training labels is wrong: learnt by heart without label smoothing, less so with it."""
    return _compare_confidence(run, ('clean', {'label_noise': 0.0, 'label_smoothing': 0.0}),
                               ('noisy', {'label_smoothing': 0.0}), ('noisy-smoothed', {}))


def early_stopping(run):
    """Early stopping: the training ends by itself, and the best parameters come back."""
    results, metrics = compare(run, ('without', {'patience': 0}), ('with', {}))
    draw(run, results)
    for name, (_, history, _) in results.items():
        metrics[f'{name}_epochs'] = len(history)
    network, _, data = results['with']
    x = nd.array(data.validation_x, next(iter(network.collect_params().values())).list_ctx()[0])
    metrics['with_validation_accuracy'] = np.mean(network(x).argmax(axis=1).asnumpy() == data.validation_y)
    return metrics


def step_decay(run):
    """The learning rate falls by steps: the last epochs no longer jump."""
    results, metrics = compare(run, ('without', {'lr_factor': 1.0}), ('with', {}))

    def rates(axis):
        for name, (_, history, _) in results.items():
            axis.plot([row['learning_rate'] for row in history], label=name)
        axis.set(title='learning rate', xlabel='epoch')
        axis.legend(fontsize=8)
    draw(run, results, rates)
    for name, (_, history, _) in results.items():
        late = [row['validation_loss'] for row in history[len(history) // 2:]]
        metrics[f'{name}_jumps'] = np.mean(np.abs(np.diff(late)))
    return metrics


def warm_up(run):
    """Warm-up: weights start far too large; the full rate throws them away, a growing one tames them."""
    results, metrics = compare(run, ('without', {'warmup_epochs': 0.0}), ('with', {}))
    draw(run, results)
    return metrics


def rate_and_batch(run):
    """The rule of 3.3.2: a batch 16 times larger needs a rate larger by 16^alpha, alpha from 0.5 to 1."""
    base = run.recipe.base_batch_size
    results, metrics = compare(
        run, (f'batch{base}', {'batch_size': base}),
        (f'batch{run.recipe.batch_size}-same-rate', {'rate_exponent': 0.0}),
        (f'batch{run.recipe.batch_size}-alpha0.5', {'rate_exponent': 0.5}),
        (f'batch{run.recipe.batch_size}-alpha1', {'rate_exponent': 1.0}))
    draw(run, results)
    return metrics


def comparison(section, title, title_zh, function, sizes=None, network=MLP, **changes):
    """A study on 300 of the digits that come with the project, 30 epochs unless `changes` of the recipe say otherwise."""
    recipe = Recipe(epochs=30, batch_size=32, learning_rate=0.1, train_samples=300).but(**changes)
    return Study(section, title, title_zh, network=network, sizes=sizes or {}, recipe=recipe, data='digits',
                 sample_shape=(1, 28, 28), function=function)


EXPERIMENTS = [
    comparison('3.2-l2', 'L2 keeps weights small', 'L2 正则化使权重变小', l2, weight_decay=0.02, epochs=60),
    comparison('3.2-l1', 'L1 drives weights to zero', 'L1 正则化使权重趋于零', l1, l1=0.001, epochs=60),
    comparison('3.2-dropout', 'Dropout', '随机失活 Dropout', dropout, {'dropout': 0.5}),
    comparison('3.2-label-smoothing', 'Label smoothing', '标签平滑', label_smoothing, label_smoothing=0.1),
    comparison('3.2-noisy-labels', 'Noisy labels, and label smoothing against them', '噪声标签与标签平滑', noisy_labels,
               label_noise=0.3, label_smoothing=0.3),
    comparison('3.2-mixup', 'Mixup', '混合样本 mixup', mixup, mixup=1.0),
    comparison('3.2-early-stopping', 'Early stopping', '提前停止', early_stopping, patience=5, epochs=60),
    comparison('3.3.1-step-decay', 'The learning rate falls by steps', '学习速率逐步下降', step_decay, lr_factor=0.8,
               label_noise=0.2),
    comparison('3.3.2-warm-up', 'Warm-up survives a bad start', '预热使坏的初始值也能训练', warm_up,
               {'hidden': (128, 64, 64, 64)}, warmup_epochs=6.0, initializer='normal(0.3)', epochs=10, train_samples=0),
    comparison('3.3.2-rate-and-batch', 'Learning rate against batch size', '学习速率与批大小', rate_and_batch,
               base_batch_size=16, batch_size=256, learning_rate=0.01, train_samples=0),
]
