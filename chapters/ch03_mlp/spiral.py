"""Section 3.3.4: two spirals told apart by a small network, and what too few samples do to it.

    python -m chapters.ch03_mlp.spiral
"""
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.kit.data.training_data import TrainingData, made_by
from chapters.kit.experiment import Training, figures_of
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import Checkpoint, model_arrays, restore_model
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script


class SpiralNet(gluon.HybridBlock):
    """Three hidden layers of 8 ReLUs, one tanh at the end: the TensorFlow playground's network of 3.3.4.

    Parameters
    ----------
    hidden : tuple of int
    seven : bool
        Take the seven features of figure 3-16: x1, x2, their squares, their product and their sines.

    Input (N, 2), output (N, 1) from -1 to 1.
    """
    def __init__(self, hidden=(8, 8, 8), seven=False, **kwargs):
        super().__init__(**kwargs)
        self._seven = seven
        with self.name_scope():
            self.hidden = nn.HybridSequential()
            for units in hidden:
                self.hidden.add(nn.Dense(units, activation='relu'))
            self.output = nn.Dense(1, activation='tanh')

    def hybrid_forward(self, F, x):
        if self._seven:
            x = F.concat(x, F.square(x), F.prod(x, axis=1, keepdims=True), F.sin(x), dim=1)  # (N, 7)
        return self.output(self.hidden(x))


def spiral_90(seed):
    """The two spirals, 90% of the points for training."""
    return spirals(seed, 0.9)


def spiral_30(seed):
    """The two spirals, 30% of the points for training."""
    return spirals(seed, 0.3)


def spirals(seed, share):
    """500 points on two spirals, as https://playground.tensorflow.org makes them without noise.

    Parameters
    ----------
    seed : int
    share : float
        Part of the points, chosen at random, that is for training.

    Returns
    -------
    TrainingData
        Points (N, 2) from -5 to 5, targets 1 and -1.
    """
    steps = np.arange(250) / 250
    angle = 1.75 * 2 * np.pi * steps
    arm = np.stack([5 * steps * np.sin(angle), 5 * steps * np.cos(angle)], axis=1)
    x = np.concatenate([arm, -arm]).astype(np.float32)
    y = np.repeat(np.float32([1, -1]), 250)
    order = np.random.default_rng([seed, 334]).permutation(500)
    train, test = np.split(order, [round(500 * share)])
    return TrainingData(f'spiral-{share:.0%}'.rstrip('%'), x[train], y[train], x[test], y[test])


def decision_maps(run, network):
    """The network's answer all over the plane, after each of the kept epochs; its losses in the end.

    The playground's loss is half the squared error.
    """
    data, device, frames = run.data, run.devices[0], []
    now = {name: array.copy() for name, array in model_arrays(network).items()}
    for epochs, arrays in run.checkpoint.snapshots():
        restore_model(arrays, network)
        frames.append((epochs, *_answers(network, data, device)))
    restore_model(now, network)
    columns = max(1, min(4, len(frames)))
    rows = max(1, -(-len(frames) // columns))
    figure, axes = figures.plt.subplots(rows, columns, figsize=(3.4 * columns, 3.6 * rows + 0.4),
                                        squeeze=False)
    for axis in axes.ravel():
        axis.axis('off')
    for axis, frame in zip(axes.ravel(), frames):
        _draw_map(axis, data, *frame)
    experiment = run.experiment
    figure.suptitle(figures.text(f'{experiment.section} {experiment.title} (dots: training, crosses: test)',
                                 experiment.title_zh))
    figure.tight_layout()
    run.save_figure(figure, 'decision-maps')
    _, train_loss, test_loss = _answers(network, data, device)
    return {'train_loss': train_loss, 'test_loss': test_loss}


def film(saved):
    """The decision map of a run, epoch by epoch.

    Parameters
    ----------
    saved : chapters.kit.trained.saved.SavedRun

    Returns
    -------
    (callable, list of int)
        `draw(epochs)` -> matplotlib figure, and the numbers of epochs that it can draw.
    """
    data = saved.load_data()
    kept = dict(Checkpoint(saved.folder / 'checkpoint', saved.experiment.snapshots).snapshots())

    def draw(epochs):
        restore_model(kept[epochs], saved.network)
        figure, axis = figures.plt.subplots(figsize=(5, 5))
        _draw_map(axis, data, epochs, *_answers(saved.network, data, mx.cpu()))
        return figure
    return draw, list(kept)


def _plane():
    """Coordinates (121, 121) all over the picture."""
    return np.meshgrid(np.linspace(-6, 6, 121), np.linspace(-6, 6, 121))


def _answers(network, data, device):
    """The network's answers all over the plane, and its mean losses, half the squared errors, in training and test."""
    def answer(points):
        return network(nd.array(points, device)).asnumpy().ravel()
    x, y = _plane()
    return (answer(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(x.shape),
            float(np.mean((answer(data.train_x) - data.train_y) ** 2) / 2),
            float(np.mean((answer(data.validation_x) - data.validation_y) ** 2) / 2))


def _draw_map(axis, data, epochs, answers, train_loss, test_loss):
    """One decision map with the points."""
    axis.contourf(*_plane(), answers, np.linspace(-1.001, 1.001, 21), cmap='PuOr')
    for points_x, points_y, marker in ((data.validation_x, data.validation_y, 'x'), (data.train_x, data.train_y, 'o')):
        axis.scatter(points_x[:, 0], points_x[:, 1], c=np.where(points_y > 0, '#5e3c99', '#e66101'), s=9,
                     marker=marker, linewidths=0.5, edgecolors='white' if marker == 'o' else None)
    axis.set(aspect='equal')
    axis.axis('off')
    axis.set_title(f'{epochs} epochs: train {train_loss:.3f}, test {test_loss:.3f}', fontsize=9)


_SPIRAL = Training(
    '3.3.4', 'Two spirals, 90% of the points for training', '双螺旋，90% 数据用于训练', network=SpiralNet,
    recipe=Recipe(epochs=300, batch_size=1, learning_rate=0.01, weight_decay=0.003, initializer='uniform(0.5)'),
    data='spiral-90', loader=made_by(spiral_90), sample_shape=(2,), objective='square', drawings=(decision_maps,),
    snapshots=(1, 5, 15, 30, 60, 100, 200, 300), book=figures_of(train_loss=0.016, test_loss=0.014),
    remark='The playground draws points and first weights anew each time: seed 0 ends at 0.024 and 0.009 here.')

EXPERIMENTS = [
    _SPIRAL,
    replace(_SPIRAL, section='3.3.4-data30', title='Two spirals, 30% of the points: overfitting',
            title_zh='双螺旋，30% 数据：过拟合', data='spiral-30', loader=made_by(spiral_30),
            book=figures_of(train_loss=0.011, test_loss=0.093), remark='Seed 0 ends at 0.012 and 0.045 here.'),
    replace(_SPIRAL, section='3.3.4-features', title='Seven features and one hidden layer',
            title_zh='七种特征输入，只用一个隐层', sizes={'hidden': (8,), 'seven': True}, book=(),
            remark=''),
]


if __name__ == '__main__':
    run_script(_SPIRAL)
