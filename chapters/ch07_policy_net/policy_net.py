"""Sections 5.5.4 and 7.2: a residual network that says where strong players would play.

    python -m chapters.ch07_policy_net.policy_net --data FOLDER --set filters=48 --set units=5
"""
import csv
from dataclasses import replace

import numpy as np
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_5_4, sec_7_2
from chapters.ch04_cnn.board_drawing import draw_choices, draw_shares
from chapters.ch04_cnn.one_convolution import position_of_the_book
from chapters.ch04_cnn.positions import PackedPlanes, PolicyRecipe, PolicyTraining, packs
from chapters.ch06_alphago.policy import Policy
from chapters.kit.experiment import BookFigure
from chapters.kit.networks.residual import PreActivationUnit
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.go.board import BLACK, Position


class PolicyNet(gluon.HybridBlock):
    """The policy network of 5.5.4: C3x3, residual units, BN ReLU, C1x1 to one plane.

    Parameters
    ----------
    units : int
        Residual units of two convolutions each.
    filters : int
        Of every convolution but the last.
    planes : int
        Of the input: 8 as the book has them, in the order of the packed files (7.1); or another set of
        `data_tools.go.features.planes_of`.

    Input (N, planes, 19, 19), output logits (N, 361), point x + 19 y.
    """
    def __init__(self, units=6, filters=128, planes=8, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = nn.Conv2D(filters, kernel_size=3, padding=1, in_channels=planes)
            self.units = nn.HybridSequential()
            for _ in range(units):
                self.units.add(PreActivationUnit(filters))
            self.last = nn.HybridSequential()
            self.last.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'), nn.Conv2D(1, kernel_size=1))

    def hybrid_forward(self, F, x):
        return F.flatten(self.last(self.units(self.first(x))))


def answers(run, network):
    """How often the network finds the move that was played, from one side of the board and from all eight.

    Also draws the curves of figure 7-3 and what the network thinks of the empty board (7.3).

    Returns
    -------
    dict
        Over `measured` validation positions, seen by no one during training:
        'validation_accuracy_1side' (top-1), 'validation_top2_1side', ..., 'validation_loss_1side', the same
        with '8sides', their number; and the probability of a star point and of all other points of the empty
        board.
    """
    policy = Policy(network, run.facts.shape[0], batch=64)
    _, records = packs(run.data_name, run.config['data_root'] or None, run.seed)
    history = read_history(run.folder)
    trained = len(history) * (run.recipe.samples_per_epoch or len(run.data.train_x))
    chosen = np.linspace(0, len(records) - 1, measured(trained, len(records))).astype(int)
    metrics = {'validation_positions': len(chosen)}
    totals = {1: 0, 8: 0}
    parts = np.array_split(chosen, -(-len(chosen) // _PART))
    for part in tqdm(parts, 'answers of 8 sides', unit_scale=_PART, unit=' positions', leave=False, disable=None):
        planes, moves = PackedPlanes(records, policy.planes).batch(part, np.zeros(len(part), int))
        for sides in totals:
            totals[sides] = totals[sides] + statistics(policy.of_planes(planes, sides), moves).sum(axis=1)
    for sides, total in totals.items():
        for name, value in zip(STATISTICS, total / len(chosen)):
            metrics[f'validation_{name}_{sides}side{"s" * (sides > 1)}'] = value
    empty = policy(Position().state[None], 8)[0]
    corner = [3 + 19 * 3, 15 + 19 * 3, 3 + 19 * 15, 15 + 19 * 15]
    metrics['star_point'] = empty[corner].mean()
    run.save_figure(draw_shares(empty.reshape(19, 19), figures.text(
        '7.3 What the network would play first', '空棋盘上网络的选择')), 'empty-board')
    if len(history) > 1:
        run.save_figure(_curves(history, run), 'top')
    return metrics


class PolicyNetTraining(PolicyTraining):
    """Of a `PolicyNet`, on whose body an `OwnershipHead` may stand."""
    def judging(self, network, folder):
        from chapters.ch07_policy_net.ownership import PolicyAndOwners, load_head
        head = load_head(folder, network)
        return PolicyAndOwners(network, head, prefix='') if head else network


def draw_game(policy):
    """AlphaGo against Ke Jie as far as the book shows it (4.2.3), with what a network would play.

    Parameters
    ----------
    policy : chapters.ch06_alphago.policy.Policy

    Returns
    -------
    callable
        `draw(move=27)` -> matplotlib figure: the board after so many moves, and the network's first nine choices in
        percent, as the mean over the 8 sides of the board.
    """
    def draw(move=27):
        position = position_of_the_book(move)
        figure, axis = figures.plt.subplots(figsize=(6.5, 6.5))
        draw_choices(axis, position, policy(position.state[None], 8)[0])
        axis.set_title(f'after move {move}, {"black" if position.to_play == BLACK else "white"} to play')
        return figure
    return draw


STATISTICS = ('loss', 'accuracy', 'top2', 'top5', 'top10')
LEAST, MEASURED = 500, 20000  # positions that answers are measured on
_PART = 128  # positions between two looks at the progress bar


def measured(trained, there):
    """How many of the validation positions to measure on: as many as a fifth of those trained on, so that it takes no
    longer than training did.

    Parameters
    ----------
    trained, there : int
        Positions trained on, epoch by epoch; and validation positions.
    """
    return min(there, MEASURED, max(LEAST, trained // 5))


def statistics(probabilities, moves):
    """Cross-entropy and top-1, 2, 5, 10 of answers (N, 361) where `moves` (N,) were played: (5, N)."""
    given = probabilities[np.arange(len(moves)), moves]
    better = (probabilities > given[:, None]).sum(axis=1)
    return np.stack([-np.log(np.maximum(given, 1e-30))] + [better < number for number in (1, 2, 5, 10)])


def read_history(folder):
    """`history.csv` of a run folder as a list of dict of float."""
    with open(folder / 'history.csv', encoding='utf-8') as file:
        return [{name: float(value) for name, value in row.items()} for row in csv.DictReader(file)]


def _curves(history, run):
    """Top-1, 2, 5 and 10 by samples, as in figure 7-3."""
    figure, axis = figures.plt.subplots(figsize=(7, 4.5))
    samples = [(row['epoch'] + 1) * (run.recipe.samples_per_epoch or len(run.data.train_x))
                for row in history]
    for number, name in enumerate(STATISTICS[1:]):
        for part, style in (('train', '-'), ('validation', '--')):
            values = [100 * row[f'{part}_{name}'] for row in history]
            axis.plot(samples, values, style, color=f'C{number}',
                      label=f'{part} {name.replace("accuracy", "top1")} {values[-1]:.2f}%')
    axis.set(xlabel='positions', ylabel='%', ylim=(0, 100))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8, ncol=2)
    axis.set_title(figures.text(
        f'{run.experiment.section} The move played is among the first 1, 2, 5, 10', '训练曲线'))
    return figure


# The rules of 7.2; an epoch is what lies between two saves, 60 files of some 7,000 positions. It ends when the rate is
# under 0.01.
_AS_PRINTED = PolicyNetTraining(
    '5.5.4', 'The network of 7.2, where the book describes it', '7.2 所用的网络', network=PolicyNet,
    sizes={'units': 6, 'filters': 128, 'planes': 8},
    recipe=PolicyRecipe(epochs=1000, batch_size=256, learning_rate=0.1, initializer='msra(avg,0)', samples_per_epoch=420000,
                        fall_factor=0.9, least_rate=0.01),
    listing=sec_5_5_4, drawings=(answers,), small={'units': 2, 'filters': 32})

_POLICY_NET = replace(
    _AS_PRINTED, section='7.2', title='A policy network that plays Go', title_zh='会下围棋的策略网络', listing=sec_7_2,
    remark='As printed the rule for the rate changes a variable that `fit` has copied already: the rate stays at 0.1, and '
           'only the one in the log falls. `--form symbolic` trains so, the Gluon form with the rate that falls; one run of '
           'each stands in docs/GO.md. The text of 7.2 validates on packs 0 to 5, the listing on a file NAME-val.dat. '
           '7.1.1 has y of SGF run from bottom to top: it runs from top to bottom, and [pp] is at the bottom right.',
    book=(BookFigure(0.3712, 'validation_accuracy', 'go', 'at the first save; over 0.5 at the end'),
          BookFigure(2.544, 'validation_loss', 'go', 'at the first save')))

# The same by recipes for one core and an hour and a half: the rate rises, then falls to 0 over 1.5 million positions.
_SMALL_RECIPE = PolicyRecipe(epochs=30, batch_size=64, learning_rate=0.05, momentum=0.9, weight_decay=1e-4, warmup_epochs=0.2,
                             anneal=1.0, initializer='msra(avg,0)', samples_per_epoch=50000)
_SMALL = PolicyNetTraining(
    '7.2-small', 'A smaller policy network, for one core', '适合单核训练的小型策略网络', network=PolicyNet,
    sizes={'units': 5, 'filters': 48, 'planes': 36},
    recipe=_SMALL_RECIPE,
    fast=_SMALL_RECIPE.but(epochs=32, batch_size=128, optimizer='muon', learning_rate=0.03, weight_decay=0.001),
    drawings=(answers,), small={'units': 2, 'filters': 32})

EXPERIMENTS = [_POLICY_NET, _SMALL, _AS_PRINTED]


if __name__ == '__main__':
    run_script(_POLICY_NET)
