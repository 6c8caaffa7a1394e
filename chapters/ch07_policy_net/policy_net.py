"""Sections 5.5.4 and 7.2: a residual network that says where strong players would play.

    python -m chapters.ch07_policy_net.policy_net --data FOLDER --set filters=48 --set units=5
"""
import csv

from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.ch04_cnn.policy import draw_choices, position_of_the_book
from chapters.ch04_cnn.positions import PackedPlanes, games, packs  # noqa: F401  games: the experiment's data
from chapters.ch06_alphago.policy import Policy
from chapters.kit import figures
from data_tools.go.board import BLACK, LETTERS, Position
from mxnet import gluon
from mxnet.gluon import nn


class Unit(gluon.HybridBlock):
    """BN ReLU C3x3 BN ReLU C3x3, plus its own input: a pre-activation residual unit (5.5.2)."""
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for _ in range(2):
                self.body.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                              nn.Conv2D(filters, kernel_size=3, padding=1))

    def hybrid_forward(self, F, x):
        return x + self.body(x)


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
                self.units.add(Unit(filters))
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
        Over up to `MEASURED` validation positions, seen by no one during training:
        'validation_accuracy_1side' (top-1), 'validation_top2_1side', ..., 'validation_loss_1side', the same
        with '8sides', their number; and the probability of a star point and of all other points of the empty
        board.
    """
    policy = Policy(network, run.experiment.sizes['planes'], batch=64)
    _, records = packs(run.data_name, run.config['data_root'] or None, run.seed)
    chosen = np.linspace(0, len(records) - 1, min(MEASURED, len(records))).astype(int)
    metrics = {'validation_positions': len(chosen)}
    totals = {1: 0, 8: 0}
    for part in np.array_split(chosen, -(-len(chosen) // 500)):
        planes, moves = PackedPlanes(records, policy.planes).batch(part, np.zeros(len(part), int))
        for sides in totals:
            totals[sides] = totals[sides] + statistics(policy.of_planes(planes, sides), moves).sum(axis=1)
    for sides, total in totals.items():
        for name, value in zip(STATISTICS, total / len(chosen)):
            metrics[f'validation_{name}_{sides}side{"s" * (sides > 1)}'] = value
    empty = policy(Position().state[None], 8)[0]
    corner = [3 + 19 * 3, 15 + 19 * 3, 3 + 19 * 15, 15 + 19 * 15]
    metrics['star_point'] = empty[corner].mean()
    run.save_figure(_probabilities(empty.reshape(19, 19), figures.text(
        '7.3 What the network would play first', '空棋盘上网络的选择')), 'empty-board')
    history = read_history(run.folder)
    if len(history) > 1:
        run.save_figure(_curves(history, run), 'top')
    return metrics


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
MEASURED = 20000


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


def _probabilities(board, title):
    """Percentages on the points of a board."""
    size = len(board)
    figure, axis = figures.plt.subplots(figsize=(7, 7))
    axis.imshow(board, cmap='Oranges', vmin=0)
    for y, x in np.argwhere(board >= 0.005):
        axis.text(x, y, f'{100 * board[y, x]:.0f}', ha='center', va='center', fontsize=8)
    axis.set(xticks=range(size), yticks=range(size),
             xticklabels=LETTERS[:size], yticklabels=range(size, 0, -1))
    axis.set_title(title + ', %')
    return figure


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('7.2')
