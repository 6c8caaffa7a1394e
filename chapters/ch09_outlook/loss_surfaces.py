"""Section 9.4.3: the larger the network, the nearer to each other lie the minima that it finds; and what the loss looks like
around the minimum of a network with shortcuts, and without.

    python -m chapters run 9.4.3-minima
    python -m chapters run 9.4.3-surface --data digits

Choromanska et al., "The Loss Surfaces of Multilayer Networks", https://arxiv.org/abs/1412.0233. Li et al., "Visualizing the
Loss Landscape of Neural Nets", https://arxiv.org/abs/1712.09913.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd

from chapters.ch05_deep_cnn.deeper import DeepNet
from chapters.ch05_deep_cnn.recipes import CIFAR
from chapters.ch09_outlook.steps import train_steps
from chapters.kit.experiment import Study, WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.kit.variants import compare
from chapters.script import run_script

_SAMPLES = 50
_POINTS = 21  # of a plane, along either side


class Starts(gluon.HybridBlock):
    """2.3.9's network, FC ReLU FC ReLU FC1, many times at once, each with first values of its own.

    Parameters
    ----------
    units : int
        Of both hidden layers.
    count : int
        Networks.

    Input (count, N, 2), output (count, N, 1).
    """
    def __init__(self, units, count, **kwargs):
        super().__init__(**kwargs)
        sizes = 2, units, units, 1
        with self.name_scope():
            for number, (before, after) in enumerate(zip(sizes, sizes[1:]), 1):
                bound = (6 / (before + after)) ** 0.5
                for name, shape, first in ((f'w{number}', (count, before, after), init.Uniform(bound)),
                                           (f'b{number}', (count, 1, after), 'zeros')):
                    setattr(self, name, self.params.get(name, shape=shape, init=first))

    def hybrid_forward(self, F, x, w1, w2, w3, b1, b2, b3):
        x = F.relu(F.broadcast_add(F.batch_dot(x, w1), b1))
        x = F.relu(F.broadcast_add(F.batch_dot(x, w2), b2))
        return F.broadcast_add(F.batch_dot(x, w3), b3)


def find_minima(run, units=(3, 10, 100), starts=100, epochs=5, steps=40, learning_rate=0.01):
    """Train each size from many starts to learn the larger of two numbers (2.3.9); draw where the losses end.

    Parameters
    ----------
    units : tuple of int
    starts : int
        For each size.
    epochs, steps, learning_rate
        Of the training, by Adam, over all samples each time.

    Returns
    -------
    (dict, list of dict)
        Of each size: mean, and spread (90th to 10th percentile) of the mean squared errors; `stuck`: share of starts that
        end worse than the best constant by less than a half.
    """
    random = seed_everything(run.seed)
    x = random.random((_SAMPLES, 2)).astype(np.float32)
    y = x.max(axis=1)
    inputs, wanted = nd.array(np.broadcast_to(x, (starts, *x.shape))), nd.array(np.broadcast_to(y, (starts, _SAMPLES)))
    networks = {size: Starts(size, starts, prefix=f'units{size}_') for size in units}
    trainers = {}
    for size, network in networks.items():
        network.initialize()
        network.hybridize(static_alloc=True)
        trainers[str(size)] = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': learning_rate})

    def errors(network):
        return nd.square(network(inputs).squeeze(axis=2) - wanted).mean(axis=1)

    def step(random):
        found = {}
        for size, network in networks.items():
            with autograd.record():
                error = errors(network)
            error.backward()
            trainers[str(size)].step(1)
            found[f'mse_{size}'] = error.mean().detach()
        return found

    def measure():
        return {f'spread_{size}': np.ptp(np.percentile(errors(network).asnumpy(), (10, 90)))
                for size, network in networks.items()}
    history = train_steps(run, trainers, step, epochs, steps, measure)
    constant, metrics = y.var(), {}
    figure, axis = figures.plt.subplots(figsize=(6.5, 3.8))
    bins = np.geomspace(1e-7, max(1e-1, constant * 2), 40)
    for size, network in networks.items():
        found = errors(network).asnumpy()
        metrics.update({f'mse_{size}': found.mean(), f'spread_{size}': np.ptp(np.percentile(found, (10, 90))),
                        f'stuck_{size}': np.mean(found > constant / 2)})
        axis.hist(np.maximum(found, 1e-7), bins, alpha=0.6, label=f'{size} units')
    axis.set(xscale='log', xlabel='mean squared error where training ended', ylabel=f'of {starts} starts')
    axis.legend()
    axis.set_title(figures.text('9.4.3 Larger networks, nearer minima', '网络越大，各极小值越接近'))
    run.save_figure(figure, 'minima')
    return metrics, history


# ---- 1712.09913

def like_the_filters(weights, random):
    """A random direction whose filters are each as long as the network's own.

    Without that the size of a step means nothing: twice the weights before a BN compute the same.

    Parameters
    ----------
    weights : dict of str to ndarray
        First axis: filters. What has one dimension, biases and BN's scales, stays where it is.
    random : numpy.random.Generator

    Returns
    -------
    dict of str to ndarray
        Shapes as in `weights`.
    """
    directions = {}
    for name, weight in weights.items():
        direction = np.zeros_like(weight)
        if weight.ndim > 1:
            direction = random.standard_normal(weight.shape).astype(weight.dtype)
            rest = tuple(range(1, weight.ndim))
            direction *= np.linalg.norm(weight.reshape(len(weight), -1), axis=1).reshape(-1, *(1 for _ in rest)) \
                / np.sqrt(np.square(direction).sum(axis=rest, keepdims=True))
        directions[name] = direction
    return directions


def loss_plane(network, x, y, random, positions):
    """Mean cross-entropy of a network whose weights are moved along two directions of `like_the_filters`.

    Parameters
    ----------
    network : HybridBlock
        Left as it was. BN goes by the statistics of `x`, as in training: those that it has learnt belong to the centre.
    x : NDArray, (N, C, H, W)
    y : NDArray, (N,)
    random : numpy.random.Generator
    positions : sequence of float
        Steps along either direction; 1 is as far as the weights are from zero.

    Returns
    -------
    ndarray, (len(positions), len(positions))
    """
    parameters = network.collect_params()
    weights = {name: parameter.data().asnumpy() for name, parameter in parameters.items()}
    down, along = like_the_filters(weights, random), like_the_filters(weights, random)
    losses = np.empty((len(positions), len(positions)))
    try:
        for row, first in enumerate(tqdm(positions, 'loss around the minimum', unit=' rows', leave=False, disable=None)):
            for column, second in enumerate(positions):
                for name, parameter in parameters.items():
                    if weights[name].ndim > 1:
                        parameter.set_data(nd.array(weights[name] + first * down[name] + second * along[name]))
                with autograd.train_mode():
                    losses[row, column] = -nd.log_softmax(network(x)).pick(y).mean().asscalar()
    finally:
        for name, parameter in parameters.items():
            parameter.set_data(nd.array(weights[name]))
    return losses


def uphill(losses):
    """Share of the steps away from the centre of a plane, each from a point to the next, by which the loss grows."""
    towards = [number - np.sign(number - size // 2) for number, size in zip(np.indices(losses.shape), losses.shape)]
    steps = losses - losses[tuple(towards)]
    return np.count_nonzero(steps > 0) / (losses.size - 1)


def draw_surfaces(run):
    """Train one network without shortcuts and one with them; draw the loss of validation images around where each ends.

    Returns
    -------
    dict
        As `compare` does, and of each `NAME_uphill`: share of the steps away from the centre that go uphill, 1 in a valley
        without bumps.
    """
    positions, few = np.linspace(-1, 1, _POINTS), slice(256)
    results, metrics = compare(run, *((name, {'shortcuts': shortcuts}) for name, shortcuts in (('plain', False),
                                                                                              ('residual', True))))
    surfaces = {}
    for name, (network, history, data) in results.items():
        if history:
            x, y = nd.array(data.validation_x[few]), nd.array(data.validation_y[few])
            surfaces[name] = loss_plane(network, x, y, np.random.default_rng(run.seed), positions)
    figure, axes = figures.plt.subplots(1, 2, figsize=(10, 4.4), subplot_kw={'projection': '3d'})
    for axis, (name, losses) in zip(axes, surfaces.items()):
        heights = np.log10(np.clip(losses, 1e-3, 1e3))
        metrics[f'{name}_uphill'] = uphill(losses)
        axis.plot_surface(*np.meshgrid(positions, positions), heights, cmap='viridis', rcount=40, ccount=40)
        axis.set(title=f'{name}, {run.experiment.settings()["depth"]} layers', zlabel='log10 of the loss')
    figure.suptitle(figures.text('9.4.3 The loss around a minimum', '极小值周围的损失')
                    + f'\n{run.data_name}' + (f', {run.short}' if run.short else ''))
    figure.subplots_adjust(top=0.78)
    run.save_figure(figure, 'surface')
    return metrics


EXPERIMENTS = [
    WorkedExample('9.4.3-minima', 'Larger networks, nearer minima', '网络越大，各极小值越接近', function=find_minima),
    Study('9.4.3-surface', 'The loss around a minimum, with and without shortcuts', '极小值周围的损失：有无捷径',
          network=DeepNet, sizes={'depth': 56}, recipe=CIFAR.but(epochs=8), data='cifar10', sample_shape=(3, 28, 28),
          scale=1.0, function=draw_surfaces),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
