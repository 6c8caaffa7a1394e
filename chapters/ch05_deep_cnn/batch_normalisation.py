"""Section 5.4.3: batch normalisation: a sigmoid network with and without it, what one path carries, a toy of three weights.

Ioffe, Szegedy, "Batch normalization: accelerating deep network training by reducing internal covariate shift", ICML 2015
(https://arxiv.org/abs/1502.03167), whose figure 1 is the book's 5-23.

    python -m chapters run 5.4.3 --data digits
"""
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm
from chapters.kit.experiment import Study, figures_of
from chapters.kit.inside.looking import activations
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import Checkpoint, restore_model
from chapters.kit.training.recipe import Recipe
from chapters.kit.variants import compare
from chapters.script import run_script

_QUANTILES = (15, 50, 85)


class SigmoidNet(gluon.HybridBlock):
    """Three hidden layers of 100 sigmoids, the paper's, with or without batch normalisation before each.

    Parameters
    ----------
    hidden : tuple of int
    normalised : bool
    classes : int

    Input (N, C, H, W), output logits (N, classes).
    """
    def __init__(self, hidden=(100, 100, 100), normalised=True, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for units in hidden:
                self.features.add(nn.Dense(units), *([batch_norm()] if normalised else []), nn.Activation('sigmoid'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def with_and_without(run):
    """Accuracy of both networks, the quantiles of one unit's input over the training (figure 5-23), and the toy.

    Returns
    -------
    dict
        Accuracies; of how far the median moved, in spreads of the first epoch; and of the toy (1, 1, 1) and (100, 0.0001, 100)
        what one small step does to y = x w1 w2 w3.
    """
    sizes = run.experiment.settings()
    results, metrics = compare(run, ('without', {'normalised': False}), ('with', {}))
    figure, axes = figures.plt.subplots(1, 3, figsize=(14, 4))
    for name, (_, history, _) in results.items():
        axes[0].plot([row['validation_accuracy'] for row in history], label=f'{name} BN')
    axes[0].set(title='validation accuracy', xlabel='epoch')
    axes[0].legend(fontsize=8)
    axes[0].grid(alpha=0.3)
    for axis, (name, (network, _, data)) in zip(axes[1:], results.items()):
        last = 3 * len(sizes['hidden']) - 1 if name == 'with' else 2 * len(sizes['hidden']) - 1
        layer = f'features.{last - 1}'  # what goes into the last sigmoid
        curves = []
        for epoch, arrays in Checkpoint(run.folder / name / 'checkpoint', run.experiment.snapshots).snapshots():
            restore_model(arrays, network)
            curves.append((epoch, *np.percentile(activations(network, data.validation_x[:500], layer)[:, 0], _QUANTILES)))
        curves = np.array(curves)
        for quantile, values in zip(_QUANTILES, curves.T[1:]):
            axis.plot(curves[:, 0], values, label=f'{quantile}%')
        axis.set(title=f'one unit\'s input, {name} BN', xlabel='epoch')
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
        metrics[f'{name}_median_moved'] = np.ptp(curves[:, 2]) / (curves[0, 3] - curves[0, 1])
        metrics[f'{name}_median_from_0'] = np.abs(curves[:, 2]).mean()
    figure.suptitle(figures.text('5.4.3 A sigmoid network with and without batch normalisation', '批规范化的效果')
                    + f'\n{run.data_name}' + (f', {run.short}' if run.short else ''))
    figure.tight_layout()
    run.save_figure(figure, 'batch-normalisation')
    return {**metrics, **toy()}


def toy(rate=0.01):
    """y = x w1 w2 w3 with two sets of weights that give the same y: y before, and after one step of gradient descent on
    (y - 0.9)^2 / 2 at x = 1."""
    found = {}
    for name, start in (('ones', (1.0, 1.0, 1.0)), ('uneven', (100.0, 1e-4, 100.0))):
        weights = nd.array(start, dtype='float64')
        weights.attach_grad()
        with autograd.record():
            y = weights[0] * weights[1] * weights[2]
            loss = nd.square(y - 0.9) / 2
        loss.backward()
        after = np.prod((weights - rate * weights.grad).asnumpy())
        found.update({f'toy_{name}_before': y.asscalar(), f'toy_{name}_after': after,
                      f'toy_{name}_largest_gradient': nd.abs(weights.grad).max().asscalar()})
    return found


EXPERIMENTS = [
    Study('5.4.3', 'Batch normalisation: a sigmoid network with and without it', '批规范化：有无 BN 的 sigmoid 网络',
          network=SigmoidNet, recipe=Recipe(epochs=10, batch_size=60, learning_rate=0.1, initializer='normal(0.1)'),
          data='mnist', sample_shape=(1, 28, 28), function=with_and_without, snapshots=tuple(range(1, 11)),
          book=figures_of(toy_ones_before=1, toy_uneven_before=1),
          remark='Figure 5-23 has curves without figures: with BN accuracy grows faster, and the distribution stays.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
