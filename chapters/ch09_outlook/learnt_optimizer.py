"""Section 9.4.1: a network that learns how another should be updated (figure 9-33).

    python -m chapters run 9.4.1-optimizer             # of random quadratics
    python -m chapters run 9.4.1-optimizer-network     # of small networks that learn digits

Andrychowicz et al., "Learning to learn by gradient descent by gradient descent", https://arxiv.org/abs/1606.04474: an LSTM
sees the gradient of one parameter and answers with its update; the same LSTM serves all of them.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn, rnn
from sklearn.datasets import load_digits

from chapters.ch09_outlook.steps import train_steps
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.errors import UserError

_RATES = np.geomspace(3e-3, 10, 15)  # that the others may choose from
_OUT = 0.1  # what the LSTM's answers are multiplied by


class Quadratics:
    """Problems |W t - y|^2, all numbers from a normal distribution, as the paper has them; many at a time.

    Parameters
    ----------
    count, size : int
        Problems, and parameters of each.
    """
    def __init__(self, count, size):
        self.w, self.y = nd.random.normal(shape=(count, size, size)), nd.random.normal(shape=(count, size, 1))
        self.shape = count, size

    def loss(self, t):
        """(count,) of parameters (count, size)."""
        return nd.square(nd.batch_dot(self.w, t.expand_dims(2)) - self.y).sum(axis=(1, 2))

    def gradient(self, t):
        """(count, size)."""
        error = nd.batch_dot(self.w, t.expand_dims(2)) - self.y
        return 2 * nd.batch_dot(self.w, error, transpose_a=True).reshape(self.shape)


class Networks:
    """Networks with one hidden layer that learn scikit-learn's digits, many at a time; each loss is of a batch of its own.

    Parameters are counted from where a network starts, so that they begin at 0 as those of `Quadratics` do.

    Parameters
    ----------
    count, units : int
        Networks, and sigmoid units of each.
    """
    _BATCH = 128

    def __init__(self, count, units):
        digits = load_digits()
        self.x, self.y = nd.array(digits.data / 16), nd.array(digits.target)
        self.parts = ((64, units), (1, units), (units, 10), (1, 10))
        self.shape = count, sum(rows * columns for rows, columns in self.parts)
        self.start = 0.1 * nd.random.normal(shape=self.shape)

    def loss(self, t):
        """(count,) of parameters (count, size)."""
        with autograd.pause():  # a choice of samples has no gradient
            some = nd.random.randint(0, len(self.x), shape=self.shape[:1] + (self._BATCH,))
            x, y = self.x.take(some), self.y.take(some)
        # detached: what one record has used belongs to it, and is lost with it
        t, first, parts = t + self.start.detach(), 0, []
        for rows, columns in self.parts:
            parts.append(t.slice_axis(1, first, first + rows * columns).reshape((-1, rows, columns)))
            first += rows * columns
        hidden = nd.sigmoid(nd.batch_dot(x, parts[0]) + parts[1])
        return -nd.log_softmax(nd.batch_dot(hidden, parts[2]) + parts[3]).pick(y).mean(axis=1)

    def gradient(self, t):
        """(count, size)."""
        with autograd.pause():  # of the record through which the LSTM learns
            t = t.copy()
            t.attach_grad()
            with autograd.record():
                loss = self.loss(t)
            loss.backward()
        return t.grad


class LearntOptimizer(gluon.Block):
    """An LSTM and a linear output: gradient of a parameter -> its update, with a memory of its own for each parameter.

    A gradient g comes in as its size, log|g| / 10, and its sign, since sizes differ by orders of magnitude (appendix A of
    the paper).
    """
    def __init__(self, units=20, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.cell, self.out = rnn.LSTMCell(units, input_size=2), nn.Dense(1, in_units=units)

    def forward(self, gradient, state):
        """(count, size), state -> update (count, size), new state."""
        flat = gradient.reshape((-1, 1))
        size = nd.maximum(nd.log(nd.abs(flat) + 1e-30) / 10, -1)
        sign = nd.clip(flat * float(np.exp(10)), -1, 1)
        out, state = self.cell(nd.concat(size, sign, dim=1), state)
        return _OUT * self.out(out).reshape(gradient.shape), state

    def begin(self, shape):
        """The state before the first step."""
        return self.cell.begin_state(shape[0] * shape[1])


_PROBLEMS = {'quadratics': Quadratics, 'networks': Networks}


def descend(problems, steps, update):
    """Losses (steps + 1,), means over problems, on the way of `update(gradient, step) -> what is added`, from 0 on."""
    t = nd.zeros(problems.shape)
    losses = [problems.loss(t).mean().asscalar()]
    for step in range(steps):
        t = t + update(problems.gradient(t), step)
        losses.append(problems.loss(t).mean().asscalar())
    return np.array(losses, np.float64)


def by_rule(rule, rate, shape):
    """An `update` of `descend`: 'sgd', 'momentum' of 0.9, or 'adam'."""
    mean, square = nd.zeros(shape), nd.zeros(shape)

    def update(gradient, step):
        nonlocal mean, square
        if rule == 'sgd':
            return -rate * gradient
        if rule == 'momentum':
            mean = 0.9 * mean + gradient
            return -rate * mean
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient * gradient
        return -rate * (mean / (1 - 0.9 ** (step + 1))) / (nd.sqrt(square / (1 - 0.999 ** (step + 1))) + 1e-8)
    return update


def by_network(network, shape):
    """An `update` of `descend`: a `LearntOptimizer`'s."""
    state = network.begin(shape)

    def update(gradient, step):
        nonlocal state
        change, state = network(gradient, state)
        return change
    return update


def learn_to_descend(run, problem='quadratics', size=10, problems=16, unroll=20, steps=40, epochs=10, updates=10,
                     learning_rate=0.01, units=20):
    """Train an LSTM on random problems, and let it race on new ones against others at their best rates.

    Parameters
    ----------
    problem : str
        'quadratics' or 'networks'.
    size : int
        Parameters of a quadratic, or hidden units of a network.
    problems : int
        At a time.
    unroll : int
        Steps through which the LSTM's own gradient goes back.
    steps : int
        Of the race, and of every training problem.
    epochs, updates, learning_rate, units
        Of the LSTM: `updates` in each epoch, by Adam.

    Returns
    -------
    (dict, list of dict)
        RULE_loss: mean loss after the race; RULE_area: mean of the loss over the race.
    """
    seed_everything(run.seed)
    if problem not in _PROBLEMS:
        raise UserError(f'problem={problem}: not one of {", ".join(_PROBLEMS)}')
    make = _PROBLEMS[problem]
    network = LearntOptimizer(units, prefix='optimizer_')
    network.initialize(init.Xavier())
    network.cell.hybridize()
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': learning_rate})
    tests = make(64 if problem == 'quadratics' else 8, size)

    def step(random):
        task, total = make(problems, size), 0
        t, state = nd.zeros(task.shape), network.begin(task.shape)
        for _ in range(steps // unroll):
            with autograd.record():
                losses = 0
                for _ in range(unroll):  # gradients of the problem count as given: no second derivatives
                    change, state = network(task.gradient(t).detach(), state)
                    t = t + change
                    losses = losses + task.loss(t).mean()
            losses.backward()
            for parameter in network.collect_params().values():  # a problem that runs away must not take the LSTM along
                nd.clip(parameter.grad(), -1, 1, out=parameter.grad())
            trainer.step(1)
            t, state, total = t.detach(), [part.detach() for part in state], total + losses.detach() / unroll
        return {'loss': total / max(1, steps // unroll)}

    def measure():
        return {'validation_loss': descend(tests, steps, by_network(network, tests.shape))[-1]}
    history = train_steps(run, {'lstm': trainer}, step, epochs, updates, measure)
    races = {'learnt': descend(tests, steps, by_network(network, tests.shape))}
    rates = {}
    for rule in ('sgd', 'momentum', 'adam'):
        found = {rate: descend(tests, steps, by_rule(rule, rate, tests.shape)) for rate in map(float, _RATES)}
        rates[rule] = min(found, key=lambda rate: np.nan_to_num(found[rate][-1], nan=np.inf))
        races[rule] = found[rates[rule]]
    figure, axis = figures.plt.subplots(figsize=(6.5, 4))
    for name, losses in races.items():
        axis.semilogy(losses, label=f'{name}{f" at {rates[name]:.3g}" if name in rates else ""}: {losses[-1]:.3g}')
    axis.set(xlabel='steps', ylabel=f'mean loss of new {problem}')
    axis.legend(fontsize=8)
    axis.set_title(figures.text('9-33 An optimizer that was learnt', '学出来的优化器'))
    run.save_figure(figure, 'race')
    return {**{f'{name}_loss': losses[-1] for name, losses in races.items()},
            **{f'{name}_area': losses.mean() for name, losses in races.items()}}, history


EXPERIMENTS = [
    WorkedExample('9.4.1-optimizer', 'An optimizer that was learnt', '学出来的优化器', function=learn_to_descend),
    WorkedExample('9.4.1-optimizer-network', 'An optimizer that was learnt, of networks', '学出来的优化器：训练小网络',
                  function=learn_to_descend, sizes={'problem': 'networks', 'size': 20, 'problems': 2, 'epochs': 5}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
