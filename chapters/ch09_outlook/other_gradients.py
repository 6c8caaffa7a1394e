"""Section 9.4.1: layers that learn without back-propagation: feedback alignment and synthetic gradients (figure 9-32).

    python -m chapters run 9.4.1-synthetic --data mnist

Jaderberg et al., "Decoupled Neural Interfaces using Synthetic Gradients", https://arxiv.org/abs/1608.05343; Lillicrap et
al., "Random feedback weights support learning in deep neural networks", https://arxiv.org/abs/1411.0247.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from chapters.ch09_outlook.steps import train_steps
from chapters.kit.data.images import load_images
from chapters.kit.experiment import Study
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools.errors import UserError

# name: (how gradients come to a layer, whether the hidden layers answer with 0 and 1)
WAYS = {'backprop': ('backprop', False), 'feedback': ('feedback', False), 'synthetic': ('synthetic', False),
        'step_backprop': ('backprop', True), 'step_synthetic': ('synthetic', True)}


def feedback(x, weight, back):
    """x W^T, whose gradient goes back through a matrix B that never learns, in place of W.

    Parameters
    ----------
    x : (N, D)
    weight, back : (K, D)

    Returns
    -------
    (N, K)
    """
    through = nd.dot(x, back, transpose_b=True)
    return nd.dot(x.detach(), weight, transpose_b=True) + through - through.detach()


def seen_with(layer, labels):
    """What a predictor gets: which way a layer (N, D) points, not how far, lest layer and prediction drive each other up."""
    return nd.concat(nd.L2Normalization(layer, mode='instance'), labels, dim=1)


class Layers(gluon.Block):
    """Hidden layers and logits, each of which can be called alone; beside every hidden one, what predicts its gradient.

    Parameters
    ----------
    sizes : tuple of int
        Of the input, the hidden layers, the output.
    way : str
        A row of `WAYS`.
    """
    def __init__(self, sizes, way='backprop', **kwargs):
        super().__init__(**kwargs)
        self.way, self.step = WAYS[way]
        with self.name_scope():
            self.dense, self.predictors = nn.Sequential(), nn.Sequential()
            for before, after in zip(sizes, sizes[1:]):
                self.dense.add(nn.Dense(after, in_units=before))
            for units in sizes[1:-1] if self.way == 'synthetic' else ():  # linear in the layer and the label, at first 0
                self.predictors.add(nn.Dense(units, in_units=units + sizes[-1], weight_initializer=init.Zero()))
            self.backs = [self.params.get_constant(f'back{number}', nd.random.normal(0, before ** -0.5, (after, before)))
                          for number, (before, after) in enumerate(zip(sizes, sizes[1:]))]

    def layer(self, number, x):
        """One layer: (N, D) -> (N, K)."""
        dense = self.dense[number]
        if number and self.way == 'feedback':
            z = nd.broadcast_add(feedback(x, dense.weight.data(), self.backs[number].data()), dense.bias.data())
        else:
            z = dense(x)
        return z if number == len(self.dense) - 1 or self.step else nd.relu(z)

    def answer(self, number, x):
        """What the next layer gets: the layer as it is, or 1 where it is above 0."""
        # without `detach` the gradient of a step, which is none, brings MXNet down
        return x if number == len(self.dense) - 1 or not self.step else (x > 0).detach()

    def forward(self, x):
        """Logits."""
        x = x.flatten()
        for number in range(len(self.dense)):
            x = self.answer(number, self.layer(number, x))
        return x

    def learn(self, x, y, *trainers):
        """One update from a batch; returns its loss (1,)."""
        loss = self._decoupled(x.flatten(), y) if self.way == 'synthetic' else self._end_to_end(x, y)
        for trainer in trainers:
            trainer.step(len(x), ignore_stale_grad=True)
        return loss.mean().detach()

    def _end_to_end(self, x, y):
        with autograd.record():
            loss = -nd.log_softmax(self(x)).pick(y)
        loss.backward()
        return loss

    def _decoupled(self, x, y):
        """Every layer learns at once by what its predictor says; then the predictor learns from the one above it.

        The predictor of a layer that steps sees what went into the step, and learns which gradient came back behind it.
        """
        labels, last = nd.one_hot(y, self.dense[-1]._units), len(self.dense) - 1
        came, seen = None, None
        for number in range(last + 1):
            x = self.answer(number - 1, x) if number else x
            x = x.detach()
            x.attach_grad()
            with autograd.record():
                out = self.layer(number, x)
                if number == last:
                    loss = -nd.log_softmax(out).pick(y)
            if number == last:
                loss.backward()
            else:
                here = seen_with(out.detach(), labels)
                out.backward(self.predictors[number](here))
            if number:  # what has come back to this layer's input is what the predictor below should have said
                came = x.grad
                with autograd.record():
                    error = nd.square(self.predictors[number - 1](seen) - came).sum(axis=1) / 2
                error.backward()
            seen = here if number < last else None
            x = out
        return loss


def learn_in_ways(run):
    """Train the same layers in all of `WAYS`, from the same first values; draw test accuracy over the updates.

    Returns
    -------
    (dict, list of dict)
    """
    recipe, data, hidden = run.recipe, run.data, run.experiment.sizes.get('hidden', (128, 128))
    if data.stream:
        raise UserError(f'{run.experiment.section}: takes image sets of arrays')
    sizes = int(np.prod(data.train_x.shape[1:])), *hidden, len(data.class_names)
    networks, trainers = {}, {}
    for way in WAYS:
        seed_everything(run.seed)
        networks[way] = Layers(sizes, way, prefix=f'{way}_')
        networks[way].initialize(init.Xavier())
        trainers[way] = [gluon.Trainer(networks[way].dense.collect_params(), 'sgd', {'learning_rate': recipe.learning_rate})]
        if WAYS[way][0] == 'synthetic':  # what predicts must be quicker than what it predicts
            trainers[way].append(gluon.Trainer(networks[way].predictors.collect_params(), 'adam', {'learning_rate': 0.003}))
    x, y = nd.array(data.validation_x), data.validation_y

    def step(random):
        numbers = random.integers(0, len(data.train_x), recipe.batch_size)
        batch = nd.array(data.train_x[numbers]), nd.array(data.train_y[numbers])
        return {f'{way}_loss': network.learn(*batch, *trainers[way]) for way, network in networks.items()}

    def measure():
        return {f'validation_{way}_accuracy': np.mean(network(x).asnumpy().argmax(axis=1) == y)
                for way, network in networks.items()}
    steps = max(1, len(data.train_x) // recipe.batch_size)
    every = {f'{way}{number}': trainer for way in WAYS for number, trainer in enumerate(trainers[way])}
    history = train_steps(run, every, step, recipe.epochs, steps, measure)
    figure, axis = figures.plt.subplots(figsize=(6.5, 4))
    for way in WAYS:
        axis.plot(steps * np.arange(1, len(history) + 1), [row[f'validation_{way}_accuracy'] for row in history],
                  label=f'{way}: {history[-1][f"validation_{way}_accuracy"]:.1%}')
    axis.set(xlabel='updates', ylabel='test accuracy')
    axis.legend(fontsize=8)
    axis.set_title(figures.text('9.4.1 Without back-propagation', '不用反向传播'))
    run.save_figure(figure, 'ways')
    return {}, history


def hidden_layers(hidden=(128, 128)):
    """Units of the hidden layers, which `--set` can change."""
    return hidden


_KNOWN = 'epochs', 'batch_size', 'learning_rate', 'train_samples'
EXPERIMENTS = [
    Study('9.4.1-synthetic', 'Synthetic gradients and feedback alignment', '合成梯度与反馈对齐', network=hidden_layers,
          function=learn_in_ways, loader=load_images, data='digits',
          recipe=Recipe(epochs=8, batch_size=32, learning_rate=0.1),
          ignores=tuple(name for name in vars(Recipe()) if name not in _KNOWN)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
