"""Section 9.4.3: the larger the network, the nearer to each other lie the minima that it finds.

    python -m chapters run 9.4.3-minima

Choromanska et al., "The Loss Surfaces of Multilayer Networks", https://arxiv.org/abs/1412.0233.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd

from chapters.ch09_outlook.steps import train_steps
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script

_SAMPLES = 50


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


EXPERIMENTS = [
    WorkedExample('9.4.3-minima', 'Larger networks, nearer minima', '网络越大，各极小值越接近', function=find_minima),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
