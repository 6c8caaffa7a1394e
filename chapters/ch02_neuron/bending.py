"""Section 2.3.8: a hidden layer bends the plane until a straight line parts what no line could part before.

    python -m chapters.ch02_neuron.bending

After the figures of http://colah.github.io/posts/2014-03-NN-Manifolds-Topology/, to which the book refers.
"""
from dataclasses import replace

import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.kit.data.training_data import TrainingData, made_by
from chapters.kit.experiment import Training
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script


class Bend(gluon.HybridBlock):
    """FC tanh FC1: one hidden layer, of as many dimensions as it has units.

    Input (N, 2), output (N, 1), above 0 for one kind and below for the other.
    """
    def __init__(self, hidden=2, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.hidden = nn.Dense(hidden, activation='tanh')
            self.output = nn.Dense(1)

    def hybrid_forward(self, F, x):
        return self.output(self.hidden(x))


def curves(seed):
    """Figure 2-30: two curves, one above the other (3300 points), that no straight line parts."""
    random = np.random.default_rng([seed, 238])
    x, kind = random.uniform(-1, 1, 3300), random.choice([-1, 1], 3300)
    return _points('curves', x, 0.25 - x ** 2 + 0.25 * kind, kind)


def rings(seed):
    """A disc, and a ring about it (3300 points): in two dimensions nothing that bends without tearing parts them by a line."""
    random = np.random.default_rng([seed, 239])
    kind, angle = random.choice([-1, 1], 3300), random.uniform(0, 2 * np.pi, 3300)
    radius = np.where(kind > 0, random.uniform(0.7, 1, 3300), random.uniform(0, 0.4, 3300))
    return _points('rings', radius * np.cos(angle), radius * np.sin(angle), kind)


def _points(name, x, y, kind):
    points, kind = np.stack([x, y], axis=1).astype(np.float32), kind.astype(np.float32)
    return TrainingData(name, points[:3000], kind[:3000], points[3000:], kind[3000:])


def bent_plane(run, network):
    """The plane with its grid, before and behind the hidden layer; shares of points on the right side of a line."""
    data, device = run.data, run.devices[0]

    def behind(points):
        return network.hidden(nd.array(points, device)).asnumpy()
    right = np.sign(network(nd.array(data.validation_x, device)).asnumpy().ravel()) == data.validation_y
    with_one = np.c_[data.train_x, np.ones(len(data.train_x))]
    line = np.linalg.lstsq(with_one, data.train_y, rcond=None)[0]  # the best straight line of the plane as it is
    straight = np.sign(np.c_[data.validation_x, np.ones(len(data.validation_x))] @ line) == data.validation_y

    space = behind(data.validation_x).shape[1]
    figure = figures.plt.figure(figsize=(11, 5))
    before = figure.add_subplot(1, 2, 1)
    after = figure.add_subplot(1, 2, 2, projection='3d' if space == 3 else None)
    ticks, fine = np.linspace(-1.1, 1.1, 12), np.linspace(-1.1, 1.1, 60)
    for tick in ticks:
        for strand in (np.stack([fine, np.full(60, tick)], 1), np.stack([np.full(60, tick), fine], 1)):
            before.plot(*strand.T, color='0.6', linewidth=0.6, zorder=0)
            after.plot(*behind(strand).T[:3], color='0.6', linewidth=0.6, zorder=0)
    for kind, color in ((1, 'C3'), (-1, 'C0')):
        points = data.validation_x[data.validation_y == kind]
        before.plot(*points.T, '.', color=color)
        after.plot(*behind(points).T[:3], '.', color=color)
    grid = np.meshgrid(fine, fine)
    answers = network(nd.array(np.stack([axis.ravel() for axis in grid], 1), device)).asnumpy().reshape(60, 60)
    before.contour(*grid, answers, [0], colors='black')
    (*w, b) = [*network.output.weight.data(device).asnumpy()[0], network.output.bias.data(device).asscalar()]
    if space == 2:
        low, high = after.get_xlim(), after.get_ylim()
        after.contour(*np.meshgrid(low, high), np.array([[w[0] * x + w[1] * y + b for x in low] for y in high]), [0],
                      colors='black')
    elif space == 3:
        x, y = np.meshgrid([-1, 1], [-1, 1])
        height = -(w[0] * x + w[1] * y + b) / w[2]
        after.plot_surface(x, y, np.clip(height, -1, 1), color='black', alpha=0.15)
    before.set(title='the plane, and where the answer changes', aspect='equal')
    after.set(title=f'behind the hidden layer of {space}: parted by a {"plane" if space == 3 else "line"}')
    figure.suptitle(figures.text(f'2.3.8 {run.experiment.title}', run.experiment.title_zh))
    figure.tight_layout()
    run.save_figure(figure, 'bent')
    return {'share_right': right.mean(), 'straight_line': straight.mean()}


_CURVES = Training(
    '2.3.8', 'A hidden layer of two bends the plane', '两个神经元的隐层使平面变形', network=Bend, data='curves',
    recipe=Recipe(epochs=12, batch_size=10, learning_rate=0.1, initializer='uniform(1)'), loader=made_by(curves),
    sample_shape=(2,), objective='square', drawings=(bent_plane,))

EXPERIMENTS = [
    _CURVES,
    replace(_CURVES, section='2.3.8-rings', title='A ring about a disc needs a third dimension',
            title_zh='圆环与圆盘：需要升到三维', data='rings', loader=made_by(rings), sizes={'hidden': 3}),
]


if __name__ == '__main__':
    run_script(_CURVES)
