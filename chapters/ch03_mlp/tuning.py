"""Sections 3.1.1, 3.1.6, 3.3 and 3.3.3: cross-validation, optimizers, search, and how weights start.

    python -m chapters run 3.1.1
"""
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import nd

from chapters.ch03_mlp.regularization import comparison, draw
from chapters.kit.data.images import load_images
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.variants import compare, trained
from chapters.script import run_script

_FOLDS = 5


def fold(number):
    """A loader: of the training images every fifth is for validation, beginning with `number`, the others for training."""
    def load(experiment, name, data_root, seed):
        data = load_images(experiment, name, data_root, seed)
        held = np.arange(len(data.train_x)) % _FOLDS == number
        return replace(data, train_x=data.train_x[~held], train_y=data.train_y[~held], validation_x=data.train_x[held],
                       validation_y=data.train_y[held])
    return load


def cross_validation(run):
    """Section 3.1.1: each fifth of the training images validates a network that learns from the others; the mean of the five,
    beside images that none of them has seen."""
    results, metrics = compare(run, *((f'fold{number + 1}', replace(run.experiment, loader=fold(number)))
                                      for number in range(_FOLDS)), ('all', {}))
    found = [results[f'fold{number + 1}'][1][-1]['validation_accuracy'] for number in range(_FOLDS)]
    unseen = metrics['all_validation_accuracy']
    figure, axis = figures.plt.subplots(figsize=(6.5, 3.6))
    axis.bar(range(1, _FOLDS + 1), found, color='0.7')
    axis.axhline(np.mean(found), label=f'their mean: {np.mean(found):.3f}')
    axis.axhline(unseen, color='C1', linestyle='--', label=f'trained on all, unseen images: {unseen:.3f}')
    axis.set(xlabel='fold', ylabel='accuracy', ylim=(min(found) - 0.1, 1))
    axis.legend(loc='lower right', fontsize=8)
    axis.set_title(figures.text('3.1.1 Cross-validation', '交叉验证'))
    run.save_figure(figure, 'folds')
    return {'mean': np.mean(found), 'lowest': min(found), 'highest': max(found), 'unseen': unseen}


def saddle(run, rate=0.1, steps=200):
    """Section 3.1.6: four optimizers start beside a saddle point (figure 3-7), and leave it after how many steps.

    The loss is x^2 / 2 - y^2 / 2 + y^4 / 4: a saddle at (0, 0), minima at (0, 1) and (0, -1).
    """
    x, y = np.meshgrid(np.linspace(-1.6, 1.6, 81), np.linspace(-0.4, 1.4, 81))
    figure, axes = figures.plt.subplots(1, 2, figsize=(11, 4))
    axes[0].contour(x, y, x ** 2 / 2 - y ** 2 / 2 + y ** 4 / 4, 25, colors='0.8')
    metrics = {}
    for name, settings in (('sgd', {}), ('momentum', {'momentum': 0.9}), ('adagrad', {}), ('adam', {})):
        optimizer = mx.optimizer.create('sgd' if name == 'momentum' else name, learning_rate=rate, wd=0, **settings)
        place = nd.array([1.5, 0.001])
        state, path = optimizer.create_state(0, place), [place.asnumpy()]
        for _ in range(steps):
            x, y = place.asnumpy()
            optimizer.update(0, place, nd.array([x, y ** 3 - y]), state)
            path.append(place.asnumpy())
        x, y = np.transpose(path)
        metrics[f'{name}_steps'] = int(np.argmax(np.abs(y) > 0.5)) or steps
        axes[0].plot(x, y, '.-', markersize=3, linewidth=0.8, label=name)
        axes[1].plot(x ** 2 / 2 - y ** 2 / 2 + y ** 4 / 4, label=name)
    axes[0].set(xlim=(-1.6, 1.6), ylim=(-0.4, 1.4), xlabel='x', ylabel='y')
    axes[1].set(xlabel='step', ylabel='loss')
    axes[1].legend()
    figure.suptitle(figures.text(f'3.1.6 Away from a saddle point, at rate {rate:g}', '离开鞍点'))
    figure.tight_layout()
    run.save_figure(figure, 'saddle')
    return metrics


def optimizers(run):
    """Section 3.1.6: the same network, from the book's small start, by four optimizers, each at a rate that suits it."""
    results, metrics = compare(run, ('sgd', {}), ('momentum', {'momentum': 0.9, 'learning_rate': 0.05}),
                               ('adagrad', {'optimizer': 'adagrad', 'learning_rate': 0.02}),
                               ('adam', {'optimizer': 'adam', 'learning_rate': 0.003}))
    draw(run, results)
    for name, (_, history, _) in results.items():
        losses = [row['train_loss'] for row in history]
        metrics[f'{name}_epochs_to_half'] = next((epoch + 1 for epoch, loss in enumerate(losses) if loss < np.log(10) / 2),
                                                 len(losses) + 1)
    return metrics


def search(run):
    """Section 3.3: nine trials on a grid, three rates by three weight decays, and nine at random; the best of each."""
    random = np.random.default_rng([run.seed, 33])
    rates, decays = np.logspace(-3, 0, 3), np.logspace(-5, -1, 3)
    trials = {'grid': [(rate, decay) for rate in rates for decay in decays],
              'random': list(zip(10 ** random.uniform(-3, 0, 9), 10 ** random.uniform(-5, -1, 9)))}
    figure, axes = figures.plt.subplots(1, 2, figsize=(11, 4), sharey=True)
    metrics = {}
    for axis, (kind, pairs) in zip(axes, trials.items()):
        found = []
        for number, (rate, decay) in enumerate(pairs, 1):
            _, history, _ = trained(run, f'{kind}{number}', run.experiment.but(
                learning_rate=float(rate), weight_decay=float(decay)), may_diverge=True)
            found.append(history[-1]['validation_accuracy'] if history else 0.0)
        best = int(np.argmax(found))
        metrics.update({f'{kind}_accuracy': found[best], f'{kind}_learning_rate': pairs[best][0],
                        f'{kind}_weight_decay': pairs[best][1], f'{kind}_different_rates': len({rate for rate, _ in pairs})})
        dots = axis.scatter(*np.transpose(pairs), c=found, s=180, vmin=0, vmax=1)
        axis.plot(*pairs[best], 'r*')
        axis.set(xscale='log', yscale='log', xlabel='learning rate', ylabel='weight decay',
                 title=f'{kind}: the best has {found[best]:.3f}')
    figure.colorbar(dots, ax=list(axes), label='validation accuracy')
    run.save_figure(figure, 'search')
    return metrics


def starts(run):
    """Section 3.3.3: all weights zero, all equal, or random: how many different units the first layer ends with."""
    results, metrics = compare(run, *((name, {'initializer': initializer}) for name, initializer in (
        ('zero', 'constant(0)'), ('equal', 'constant(0.02)'), ('normal', 'normal(0.05)'), ('xavier', 'xavier'),
        ('msra', 'msra(avg,0)'))))
    weights = {name: next(iter(network.collect_params('.*weight').values())).data().asnumpy()
               for name, (network, _, _) in results.items()}
    metrics.update({f'{name}_different_units': len(np.unique(rows.round(6), axis=0)) for name, rows in weights.items()})

    def units(axis):
        axis.bar(list(weights), [metrics[f'{name}_different_units'] for name in weights])
        axis.set(title='different units in the first layer')
    draw(run, results, units)
    return metrics


EXPERIMENTS = [
    comparison('3.1.1', 'Cross-validation', '交叉验证', cross_validation, epochs=15),
    WorkedExample('3.1.6', 'Optimizers at a saddle point', '鞍点处的各种优化算法', function=saddle),
    comparison('3.1.6-digits', 'Optimizers side by side on digits', '各种优化算法识别手写数字', optimizers,
               initializer='uniform(0.01)', epochs=20),
    comparison('3.3-search', 'Grid search and random search', '网格搜索与随机搜索', search, epochs=6),
    comparison('3.3.3-starts', 'Weights that start at zero, equal, or at random', '权重初始化：全零、相等与随机', starts,
               epochs=20),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
