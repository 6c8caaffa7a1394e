"""Sections 5.5.1 to 5.5.3: plain and residual networks of 20 to 164 layers, the orderings of table 5-8, and what becomes of a
residual network that loses a unit.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385); "Identity
mappings in deep residual networks", ECCV 2016 (https://arxiv.org/abs/1603.05027); Veit, Wilber, Belongie, "Residual networks
behave like ensembles of relatively shallow networks", NIPS 2016 (https://arxiv.org/abs/1605.06431).

    python -m chapters run 5.5.1 --data digits
"""
import itertools
import math

import numpy as np
from mxnet import autograd, nd

from chapters.ch05_deep_cnn.layers import choose
from chapters.ch05_deep_cnn.recipes import CIFAR
from chapters.ch05_deep_cnn.resnet import ResNet
from chapters.kit.experiment import BookFigure, Study
from chapters.kit.networks.residual import ORDERINGS, ResidualUnit
from chapters.kit.report import figures
from chapters.kit.variants import compare
from chapters.script import run_script

# The papers' networks for CIFAR-10: units a stage, and whether they are bottlenecks. Two convolutions a unit, or three, and
# one before and one layer after them.
DEPTHS = {20: (3, False), 56: (9, False), 110: (18, False), 164: (18, True)}

# Table 5-8: error in percent on CIFAR-10 with 110 and with 164 layers.
TABLE_5_8 = {'a': (6.61, 5.93), 'b': (8.17, 6.50), 'c': (7.84, 6.14), 'd': (6.71, 5.91), 'e': (6.37, 5.46)}


class PlainUnit(ResidualUnit):
    """The layers of a residual unit without its shortcut."""
    def hybrid_forward(self, F, x):
        return self.after(self.body(self.before(x)))


class DeepNet(ResNet):
    """The papers' network of a certain depth, with or without shortcuts.

    Parameters
    ----------
    depth : int
        20, 56, 110 or 164 layers with weights.
    ordering : str
        A row of table 5-8.
    shortcuts : bool
        False: a plain network.
    width : float
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, depth=20, ordering='a', shortcuts=True, width=1.0, classes=10, **kwargs):
        units, self._bottleneck = choose(DEPTHS, 'depth', depth)
        self._shortcuts = shortcuts
        super().__init__((units,) * 3, (16, 64, 128, 256) if self._bottleneck else (16, 16, 32, 64), width, ordering, classes,
                         **kwargs)

    def make_unit(self, filters, stride, new_shape, depth):
        kind = ResidualUnit if self._shortcuts else PlainUnit
        return kind(filters, stride, new_shape and self._shortcuts, self._ordering, self._bottleneck)


def plain_against_residual(run):
    """Section 5.5.1: 20 and 56 layers, plain and residual; errors in training and in validation."""
    results, metrics = compare(run, *((f'{name}-{depth}', {'depth': depth, 'shortcuts': shortcuts})
                                      for name, shortcuts in (('plain', False), ('residual', True)) for depth in (20, 56)))
    figure, axes = figures.plt.subplots(1, 2, figsize=(10, 4), sharey=True)
    for axis, name in zip(axes, ('plain', 'residual')):
        for depth, color in ((20, 'C1'), (56, 'C3')):
            history = results[f'{name}-{depth}'][1]
            for part, style in (('train', '--'), ('validation', '-')):
                axis.plot([100 * (1 - row[f'{part}_accuracy']) for row in history], style, color=color,
                          label=f'{depth} layers, {part}')
        axis.set(title=name, xlabel='epoch', ylabel='error, %')
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(figures.text('5.5.1 Deeper is worse without shortcuts', '普通网络：更深不一定更好')
                    + f'\n{run.data_name}' + (f', {run.short}' if run.short else ''))
    figure.tight_layout()
    run.save_figure(figure, 'errors')
    return metrics


def orderings(run):
    """Section 5.5.2: the five units of table 5-8 in a network of one depth."""
    depth = run.experiment.settings()['depth']
    results, metrics = compare(run, *((row, {'ordering': row}) for row in ORDERINGS))
    errors = {row: 100 * (1 - history[-1]['validation_accuracy']) for row, (_, history, _) in results.items() if history}
    figure, axis = figures.plt.subplots(figsize=(7, 4))
    for row, (_, history, _) in results.items():
        axis.plot([100 * (1 - epoch['validation_accuracy']) for epoch in history],
                  label=f'{row}: {errors.get(row, math.nan):.2f}%')
    axis.set(xlabel='epoch', ylabel='validation error, %')
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    axis.set_title(figures.text(f'5.5.2 Orderings of table 5-8, {depth} layers', '不同残差网络模组')
                   + f'\n{run.data_name}' + (f', {run.short}' if run.short else ''))
    run.save_figure(figure, 'orderings')
    return {**metrics, **{f'{row}_error_percent_{depth}_layers': error for row, error in errors.items()}}


# ---- 5.5.3

def through(network, x, ways):
    """Logits of a network whose units are passed in certain ways.

    Parameters
    ----------
    network : DeepNet
    x : NDArray, (N, C, H, W)
    ways : sequence of str
        A unit each: 'both'; 'shortcut', the unit deleted; 'back by body' or 'back by shortcut', both forward, but gradients
        along one of them only.

    Returns
    -------
    NDArray, (N, classes)
    """
    ways = iter(ways)
    for layer in network.features:
        if not isinstance(layer, ResidualUnit):
            x = layer(x)
            continue
        way, y = next(ways), layer.before(x)
        if isinstance(layer, PlainUnit):
            same = way == 'shortcut' and layer.body(y).shape == x.shape  # a unit that makes another shape cannot be left out
            x = x if same else layer(x)
            continue
        shortcut = x if layer.shortcut is None else layer.shortcut(y)
        if way == 'shortcut':
            x = layer.after(shortcut)
        else:
            body = layer.body(y)
            if way == 'back by body':
                shortcut = nd.BlockGrad(shortcut)
            elif way == 'back by shortcut':
                body = nd.BlockGrad(body)
            x = layer.after(body + shortcut)
    return network.output(x.mean(axis=(2, 3)))


def _accuracy(network, data, ways, count=1000, batch=200):
    """Of validation images, the units being passed in these ways."""
    right = 0
    for start in range(0, min(count, len(data.validation_x)), batch):
        x, y = (array[start:min(start + batch, count)] for array in (data.validation_x, data.validation_y))
        right += (through(network, nd.array(x), ways).asnumpy().argmax(axis=1) == y).sum()
    return right / min(count, len(data.validation_x))


def gradients_by_length(network, x, y, random, trials=5):
    """Mean norm of the loss's gradient at the input along single paths through a certain number of units.

    Returns
    -------
    list of float
        Of paths through 0, 1, ... units.
    """
    units = sum(isinstance(layer, ResidualUnit) for layer in network.features)
    found = []
    for length in range(units + 1):
        norms = []
        for _ in range(trials):
            chosen = set(random.choice(units, length, replace=False))
            x.attach_grad()
            with autograd.record(train_mode=False):
                ways = ['back by body' if unit in chosen else 'back by shortcut' for unit in range(units)]
                loss = -nd.pick(nd.log_softmax(through(network, x, ways)), y).mean()
            loss.backward()
            norms.append(x.grad.norm().asscalar())
        found.append(float(np.mean(norms)))
    return found


def paths_and_deleted_units(run):
    """Section 5.5.3: a residual network as 2^n paths; a unit taken out of a trained one; the paths along which gradients come
    back.

    Returns
    -------
    dict
        How far a network of three linear units is from the sum of its 8 paths; accuracies of the whole networks, and the mean
        and the worst without one unit; between which lengths 95% of the gradient's paths lie, each length weighted by how
        many paths have it.
    """
    random = np.random.default_rng(run.seed)
    maps = random.normal(size=(3, 4, 4))
    whole = np.linalg.multi_dot([np.eye(4) + unit for unit in maps[::-1]])
    paths = [np.linalg.multi_dot([maps[unit] if taken[unit] else np.eye(4) for unit in (2, 1, 0)])
             for taken in itertools.product((False, True), repeat=3)]
    metrics = {'paths_of_3_units': len(paths), 'difference_from_sum_of_paths': np.abs(whole - sum(paths)).max()}
    results, _ = compare(run, ('residual', {}), ('plain', {'shortcuts': False}))
    figure, (left, middle, right) = figures.plt.subplots(1, 3, figsize=(15, 4))
    for name, (network, _, data) in results.items():
        network.hybridize(False)
        units = sum(isinstance(layer, ResidualUnit) for layer in network.features)
        whole = _accuracy(network, data, ['both'] * units)
        without = [_accuracy(network, data, ['shortcut' if unit == left_out else 'both' for unit in range(units)])
                   for left_out in range(units)]
        left.plot(range(1, units + 1), without, 'o-', label=f'{name}, whole {whole:.3f}')
        kept = [accuracy for accuracy, layer in zip(without, (layer for layer in network.features
                                                              if isinstance(layer, ResidualUnit))) if _same_shape(layer)]
        metrics.update({f'{name}_accuracy': whole, f'{name}_without_one_unit_mean': np.mean(kept),
                        f'{name}_without_one_unit_worst': np.min(kept)})
    left.set(xlabel='unit left out', ylabel='accuracy', title='without one unit', ylim=(0, 1))
    left.legend(fontsize=8)
    network, _, data = results['residual']
    metrics['paths'] = 2.0 ** units
    x, y = nd.array(data.validation_x[:100]), nd.array(data.validation_y[:100])
    norms = np.array(gradients_by_length(network, x, y, random))
    lengths = np.arange(units + 1)
    number = np.array([math.comb(units, int(length)) for length in lengths], float)
    share = number * norms / (number * norms).sum()
    reached = np.cumsum(share)
    metrics[f'gradient_from_of_{units}_units'] = np.searchsorted(reached, 0.025)
    metrics[f'gradient_to_of_{units}_units'] = np.searchsorted(reached, 0.975)
    middle.semilogy(lengths, norms, 'o-')
    middle.set(xlabel='units on the path', ylabel='norm of the gradient', title='along one path')
    right.bar(lengths, share)
    right.bar(lengths, number / number.sum(), fill=False, edgecolor='C1', label='share of the paths')
    right.set(xlabel='units on the path', ylabel='share of the gradient', title='along all paths of a length')
    right.legend(fontsize=8)
    figure.suptitle(figures.text(f'5.5.3 {units} units, 2^{units} paths', '残差网络是许多路径的集合') + f'\n{run.data_name}'
                    + (f', {run.short}' if run.short else ''))
    figure.tight_layout()
    run.save_figure(figure, 'paths')
    return metrics


def _same_shape(unit):
    """Whether a unit gives as many planes of the same size as it takes: a plain one could be left out."""
    first = next(layer for layer in unit.body if hasattr(layer, 'weight') and len(layer.weight.shape) == 4)
    return first._kwargs['stride'] == (1, 1) and first.weight.shape[0] == first.weight.shape[1]


def _deep(section, title, title_zh, function, sizes, book=(), remark=''):
    """A study of `DeepNet` by a short recipe."""
    return Study(section, title, title_zh, network=DeepNet, sizes=sizes, recipe=CIFAR.but(epochs=8), data='cifar10',
                 sample_shape=(3, 28, 28), scale=1.0, function=function, book=book, remark=remark)


EXPERIMENTS = [
    _deep('5.5.1', 'Plain and residual networks of 20 and 56 layers', '20 层与 56 层的普通网络与残差网络',
          plain_against_residual, {'ordering': 'a'}, remark='The book draws the curves of the paper '
          '(figures 5-26, 5-27): 56 plain layers are worse than 20, in training too; 56 residual ones are better.'),
    _deep('5.5.2', 'The orderings of table 5-8 at one depth', '表 5-8 的五种残差模组', orderings, {'depth': 20},
          tuple(BookFigure(value, f'{row}_error_percent_{depth}_layers', 'cifar10', 'table 5-8')
                for row, values in TABLE_5_8.items() for depth, value in zip((110, 164), values)),
          'Table 5-8 is of 110 and 164 layers after 200 epochs: --set depth=110.'),
    _deep('5.5.3', '2^n paths, and a network without one of its units', '2^n 条路径与去掉一个单元', paths_and_deleted_units,
          {'depth': 20, 'ordering': 'e'},
          tuple(BookFigure(value, metric) for metric, value in (
              ('paths_of_3_units', 8), ('gradient_from_of_54_units', 5), ('gradient_to_of_54_units', 17)))),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
