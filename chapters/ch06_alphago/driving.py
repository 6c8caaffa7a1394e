"""Section 6.5: a policy gradient learns to drive from what is on the screen: a road of 20x20 pixels that scrolls.

    python -m chapters.ch06_alphago.driving

The book asks whether AlphaGo's method serves elsewhere, and names driving as a game, seen as its pixels and answered with
the next action. REINFORCE (Williams 1992, https://doi.org/10.1007/BF00992696) is the policy gradient of 6.4.1; here there
is no opponent, and what is won is how far the car comes.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch06_alphago.zero import require
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script

SIDE = 20  # of the screen
_HALF = 2  # of the road's width, beside its middle
ROAD, CAR, GRASS = 0.0, -2.0, 1.0  # one pixel among many is to count
_DISCOUNT = 0.9  # a crash is the fault of the last few actions
_ENTROPY = 0.05  # what an open mind is worth: without it the driver may soon be certain of going straight on


class Roads:
    """Cars, each on a road of its own, that drive side by side.

    Parameters
    ----------
    cars, steps : int
        How many, and how far a road goes.
    random : numpy.random.Generator

    Attributes
    ----------
    middle : int (cars, steps + SIDE)
        Of each road, by how far it lies ahead.
    at : int (cars,)
        Column of each car.
    driving : bool (cars,)
        Whether it is still on its road.
    """
    def __init__(self, cars, steps, random):
        bends = np.repeat(random.integers(-1, 2, (cars, (steps + SIDE) // 3 + 1)), 3, axis=1)[:, :steps + SIDE]
        bends[:, 0] = SIDE // 2
        self.middle = bends.copy()
        for place in range(1, steps + SIDE):
            self.middle[:, place] = np.clip(self.middle[:, place - 1] + bends[:, place], _HALF + 1, SIDE - _HALF - 2)
        self.at, self.driving, self.steps = self.middle[:, 0].copy(), np.ones(cars, bool), 0

    def screens(self):
        """What is seen now: float32 (cars, 1, SIDE, SIDE), the car in the lowest row."""
        ahead = self.middle[:, self.steps:self.steps + SIDE][:, ::-1]
        screens = np.where(np.abs(np.arange(SIDE) - ahead[:, :, None]) > _HALF, GRASS, ROAD)
        screens[np.arange(len(self.at)), -1, self.at] = CAR
        return screens[:, None].astype(np.float32)

    def steer(self, actions):
        """One step on, with actions (cars,): 0 left, 1 straight on, 2 right. Who leaves the road stays there."""
        self.steps += 1
        self.at = np.where(self.driving, np.clip(self.at + actions - 1, 0, SIDE - 1), self.at)
        self.driving &= np.abs(self.at - self.middle[:, self.steps]) <= _HALF


class Driver(gluon.HybridBlock):
    """C5x5/2 ReLU, C3x3/2 ReLU, FC32 ReLU, FC3: a screen (N, 1, 20, 20) to the logits of three actions."""
    def __init__(self, filters=8, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(nn.Conv2D(filters, kernel_size=5, strides=2, padding=2, activation='relu'),
                            nn.Conv2D(2 * filters, kernel_size=3, strides=2, padding=1, activation='relu'),
                            nn.Dense(32, activation='relu'), nn.Dense(3))

    def hybrid_forward(self, F, x):
        return self.layers(x)


def drive(choose, cars, steps, random):
    """Drive until all have left their roads, or have come to the end.

    Parameters
    ----------
    choose : callable
        Screens (cars, 1, SIDE, SIDE) to actions (cars,).
    cars, steps : int
    random : numpy.random.Generator

    Returns
    -------
    screens : list of float32 (cars, 1, SIDE, SIDE)
        Of each step.
    actions : list of int (cars,)
    driving : list of bool (cars,)
        Whether a car was on its road when it took the step.
    roads : Roads
        At the end.
    """
    roads, screens, actions, driving = Roads(cars, steps, random), [], [], []
    while roads.steps < steps and roads.driving.any():
        screens.append(roads.screens())
        actions.append(choose(screens[-1]))
        driving.append(roads.driving.copy())
        roads.steer(actions[-1])
    return screens, actions, driving, roads


def returns(driving):
    """What each action is worth, (steps, cars): the steps driven after it, each later one counting less.

    Parameters
    ----------
    driving : bool (steps, cars)
        Whether a car was on its road when it took the step.
    """
    worth, following = np.zeros(driving.shape), np.zeros(driving.shape[1])
    for step in range(len(driving) - 2, -1, -1):
        following = driving[step + 1] * (1 + _DISCOUNT * following)
        worth[step] = following
    return worth


def learn_to_drive(run, cars=64, steps=100, updates=400, filters=8, learning_rate=0.01, trials=200):
    """REINFORCE on roads seen as pixels.

    Parameters
    ----------
    run : Run
    cars, steps : int
        Of every update, on new roads.
    updates, filters : int
    learning_rate : float
        Of Adam.
    trials : int
        New roads to measure on.

    Returns
    -------
    dict
        How far a car comes, in steps, on new roads: 'random_distance', by random actions, 'straight_distance', without
        steering, 'learnt_distance', by the likeliest action; 'first_updates' and 'last_updates', ten each, in training; and
        'whole_roads', the share of roads driven to their end in the trial.
    """
    require(2, steps=steps)
    require(10, updates=updates)
    random = seed_everything(run.seed)
    network = Driver(filters)
    network.initialize(mx.init.Xavier())
    network.hybridize()
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': learning_rate})

    def drawn(screens):
        logits = network(nd.array(screens)).asnumpy()
        return (logits + random.gumbel(size=logits.shape)).argmax(axis=1)  # a draw by softmax

    def likeliest(screens):
        return network(nd.array(screens)).asnumpy().argmax(axis=1)
    ways = {'random': lambda screens: random.integers(0, 3, len(screens)),
            'straight': lambda screens: np.ones(len(screens), int)}
    metrics = {f'{name}_distance': float(np.sum(drive(choose, trials, steps, random)[2]) / trials)
               for name, choose in ways.items()}
    distances = []
    for _ in tqdm(range(updates), 'learning to drive', leave=False, disable=None):
        screens, actions, driving, _ = drive(drawn, cars, steps, random)
        driving = np.array(driving)
        distances.append(driving.sum() / cars)
        worth = returns(driving)
        worth -= (worth * driving).sum(axis=1, keepdims=True) / driving.sum(axis=1, keepdims=True)  # better than others?
        worth /= worth[driving].std() + 1e-6
        with autograd.record():
            log_q = nd.log_softmax(network(nd.array(np.concatenate(screens)[driving.ravel()])))
            loss = -nd.array(worth[driving]) * nd.pick(log_q, nd.array(np.array(actions)[driving])) \
                + _ENTROPY * (nd.exp(log_q) * log_q).sum(axis=1)
        loss.backward()
        trainer.step(int(driving.sum()))
    screens, _, driving, roads = drive(likeliest, trials, steps, random)
    metrics.update(learnt_distance=float(np.sum(driving) / trials), whole_roads=float(roads.driving.mean()),
                   first_updates=float(np.mean(distances[:10])), last_updates=float(np.mean(distances[-10:])))
    run.export_for(network, updates, np.zeros((1, 1, SIDE, SIDE)))
    run.save_figure(_draw(distances, metrics, steps, screens, drive(ways['random'], 3, steps, random)[0]), 'driving')
    return metrics


def _draw(distances, metrics, steps, learnt, by_chance):
    """The learning curve; screens of a drive by chance up to its end, and of one by the network."""
    figure = figures.plt.figure(figsize=(12, 4.6))
    grid = figure.add_gridspec(2, 8)
    axis = figure.add_subplot(grid[:, :3])
    axis.plot(distances, label='in training, by draws')
    for number, name in enumerate(('random', 'straight', 'learnt'), 1):
        axis.axhline(metrics[f'{name}_distance'], color=f'C{number}', linestyle='--', label=f'new roads: {name}')
    axis.set(xlabel='updates', ylabel=f'steps driven, of {steps}', ylim=(0, steps * 1.04))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    for row, (screens, words) in enumerate(((by_chance, 'at random'), (learnt, 'learnt'))):
        for column in range(5):
            step = min(8 * column, len(screens) - 1)
            place = figure.add_subplot(grid[row, 3 + column])
            place.imshow(screens[step][0, 0], cmap='gnuplot2', vmin=CAR, vmax=GRASS)
            place.set(xticks=[], yticks=[])
            place.set_title(f'{words}: step {step}', fontsize=8)
    figure.suptitle(figures.text('6.5 A policy gradient learns to drive from pixels', '策略梯度从像素学习驾驶'))
    figure.tight_layout()
    return figure


_DRIVING = WorkedExample('6.5-driving', 'A policy gradient learns to drive from the screen', '策略梯度看着画面学习驾驶',
                         function=learn_to_drive)

EXPERIMENTS = [_DRIVING]


if __name__ == '__main__':
    run_script(_DRIVING)
