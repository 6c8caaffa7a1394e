"""Section 9.4.3: what layers know of the input and of the label while a network learns (figure 9-39).

    python -m chapters run 9.4.3-information

Shwartz-Ziv, Tishby, "Opening the Black Box of Deep Neural Networks via Information", https://arxiv.org/abs/1703.00810; and
with ReLU, as Saxe et al. have it, "On the Information Bottleneck Theory of Deep Learning", ICLR 2018.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from chapters.ch09_outlook.steps import train_steps
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.errors import UserError

_BITS = 12


class Tower(gluon.HybridBlock):
    """12-10-7-5-4-3-2: the paper's network; it answers with what all its layers say.

    Input (N, 12); output: activations of the hidden layers, and logits (N, 2).
    """
    def __init__(self, activation='tanh', hidden=(10, 7, 5, 4, 3), **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            before = _BITS
            for units in hidden:
                self.layers.add(nn.Dense(units, activation=activation, in_units=before))
                before = units
            self.output = nn.Dense(2, in_units=before)

    def hybrid_forward(self, F, x):
        found = []
        for layer in self.layers:
            x = layer(x)
            found.append(x)
        return (*found, self.output(x))


def patterns(random):
    """All 4096 rows of twelve signs, and labels as often 0 as 1: a smooth function of them, drawn anew with each seed.

    Returns
    -------
    (4096, 12) of -1 and 1, (4096,) of 0 and 1
    """
    x = np.array(np.meshgrid(*[(-1, 1)] * _BITS, indexing='ij')).reshape(_BITS, -1).T.astype(np.float32)
    value = np.tanh(x @ random.standard_normal((_BITS, 6)) / 2) @ random.standard_normal(6)
    return x, (value > np.median(value)).astype(np.float32)


def entropy(rows):
    """Entropy in bits of which row (N, D) of integers it is, all N being equally probable."""
    _, counts = np.unique(rows, axis=0, return_counts=True)
    shares = counts / counts.sum()
    return abs(float((shares * np.log2(shares)).sum()))  # no -0


def information(layer, y, edges):
    """What a layer knows, its activations counted in bins.

    Parameters
    ----------
    layer : (N, D)
        Of all inputs, each once; given the input, a layer is certain, so that I(X; T) = H(T).
    y : (N,)
    edges : (bins + 1,)

    Returns
    -------
    (float, float)
        I(X; T) and I(T; Y) in bits.
    """
    bins = np.digitize(layer, edges[1:-1])
    whole = entropy(bins)
    return whole, whole - sum(np.mean(y == label) * entropy(bins[y == label]) for label in np.unique(y))


def watch_information(run, activation='tanh', epochs=20, steps=30, batch_size=256, learning_rate=0.005, bins=30):
    """Train on four fifths of the patterns; after every epoch measure all layers on all patterns; draw the plane.

    Parameters
    ----------
    activation : str
        'tanh' or 'relu'.
    epochs, steps, batch_size, learning_rate
        Of the training, by Adam; an epoch is so many steps.
    bins : int
        From -1 to 1 for tanh; for ReLU from 0 to the layer's largest activation of all epochs.

    Returns
    -------
    (dict, list of dict)
        Of the last hidden layer, `input_peak` and `input_end`: I(X; T) at most and at the end; `compressed`: the difference.
    """
    if activation not in ('tanh', 'relu'):
        raise UserError(f'activation={activation}: there are tanh and relu')
    random = seed_everything(run.seed)
    x, y = patterns(random)
    order = random.permutation(len(x))
    learnt, held = order[:len(x) * 4 // 5], order[len(x) * 4 // 5:]
    network = Tower(activation, prefix='tower_')
    network.initialize(init.Xavier())
    network.hybridize(static_alloc=True)
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': learning_rate})
    depth, everything = len(network.layers), nd.array(x)
    seen = {f'layer{number}': nd.zeros((epochs + 1, *out.shape))
            for number, out in enumerate(network(everything)[:-1])}
    seen['epoch'] = nd.zeros(1)

    def step(random):
        numbers = random.choice(learnt, batch_size, replace=False)
        with autograd.record():
            loss = -nd.log_softmax(network(nd.array(x[numbers]))[-1]).pick(nd.array(y[numbers]))
        loss.backward()
        trainer.step(batch_size)
        return {'loss': loss.mean().detach()}

    def keep(outputs):
        for number, out in enumerate(outputs[:-1]):
            seen[f'layer{number}'][int(seen['epoch'].asscalar())] = out
        seen['epoch'] += 1

    def measure():
        outputs = network(everything)
        keep(outputs)
        right = outputs[-1].asnumpy().argmax(axis=1) == y
        return {'train_accuracy': right[learnt].mean(), 'validation_accuracy': right[held].mean()}
    keep(network(everything))
    history = train_steps(run, {'tower': trainer}, step, epochs, steps, measure, seen)
    plane = []
    for number in range(depth):
        values = seen[f'layer{number}'].asnumpy()
        edges = np.linspace(*((-1, 1) if activation == 'tanh' else (0, max(values.max(), 1e-6))), bins + 1)
        plane.append([information(layer, y, edges) for layer in values])
    plane = np.array(plane)  # (layers, epochs + 1, 2)
    figure, axis = figures.plt.subplots(figsize=(6.5, 5))
    for number, path in enumerate(plane, 1):
        axis.plot(*path.T, color='lightgray', linewidth=0.8, zorder=1)
        points = axis.scatter(*path.T, c=np.arange(len(path)), s=18, cmap='viridis', zorder=2)
        axis.annotate(f'layer {number}', path[-1], fontsize=8)
    figure.colorbar(points, label='epoch')
    axis.set(xlabel='I(X; T) in bits', ylabel='I(T; Y) in bits')
    axis.set_title(figures.text(f'9-39 Information plane, {activation}', '信息平面'))
    run.save_figure(figure, 'plane')
    last = plane[-1]
    return {'input_start': last[0, 0], 'input_peak': last[:, 0].max(), 'input_end': last[-1, 0],
            'compressed': last[:, 0].max() - last[-1, 0], 'label_end': last[-1, 1]}, history


EXPERIMENTS = [
    WorkedExample('9.4.3-information', 'Information plane, tanh', '信息平面：tanh', function=watch_information),
    WorkedExample('9.4.3-information-relu', 'Information plane, ReLU', '信息平面：ReLU', function=watch_information,
                  sizes={'activation': 'relu'}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
