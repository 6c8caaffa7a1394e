"""Section 4.2.3: how one convolution comes to its move: planes, kernels and sums on a position.

    python -m chapters.ch04_cnn.one_convolution
"""
import numpy as np
from mxnet import nd

from chapters.ch04_cnn.board_drawing import board_axes, draw_board, draw_choices
from chapters.ch04_cnn.convolution import convolve
from chapters.ch04_cnn.policy import PRINTED, full_kernel, with_printed_kernels
from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.go.board import Position, move_of, vertex
from data_tools.go.features import BOOK_ORDER, DAT_ORDER, book_planes

# AlphaGo (black) against Ke Jie, 2017, game 2, up to move 27: the position of figure 4-19, white to play.
GAME = ('qp pd cq cd ec oq pn df nc qf pc qc qb oc pb od ob rc nd mb lc lb qd rd jc mc pe')


def position_of_the_book(moves=None):
    """The position of figure 4-19, white to play; or that after the first so many moves of its game."""
    position = Position()
    for letters in GAME.split()[:moves]:
        x, y = (ord(letter) - ord('a') for letter in letters)
        position.play(x + 19 * y)
    return position


def one_convolution(run):
    """Sections 4.2.1 to 4.2.3: planes, kernels and sums on the book's position, as in figures 4-21 to 4-31.

    Returns
    -------
    dict
        The scores that the book prints, the largest difference between this sum and MXNet's convolution, and
        the two points with the highest sums, as x + 19 y and with their probabilities.
    """
    position = position_of_the_book()
    planes = dict(zip(BOOK_ORDER, book_planes(position.state)))
    scores = {name: convolve(np.pad(plane.astype(float), 1), full_kernel(*PRINTED[name]))
              for name, plane in planes.items()}
    total = sum(scores.values())
    _draw_planes(run, position, planes, scores)
    network = with_printed_kernels()
    in_order = np.stack([planes[name] for name in DAT_ORDER])[None]
    logits = network(nd.array(in_order, dtype='float32')).asnumpy()[0]
    probabilities = np.exp(total - total.max()).ravel() / np.exp(total - total.max()).sum()
    _draw_sum(run, position, total, probabilities)
    metrics = {f'{name}_{point}': scores[plane].flat[move_of(point)]
               for name, plane, points in (('own', 'own', 'L19 O18 O17 M18'), ('empty', 'empty', 'L15 T19'),
                                           ('three_liberties', '3 liberties', 'P16')) for point in points.split()}
    # figure 4-24: what the planes of own stones, opponent's stones and empty points say together
    three = np.add.reduce([scores[name] for name in BOOK_ORDER[:3]]).ravel()
    for point in ('O18', 'R15'):
        metrics[f'first_three_planes_{point}'] = three[move_of(point)]
        metrics[f'first_three_planes_rank_of_{point}'] = 1 + (three > three[move_of(point)]).sum()
    metrics['difference_mxnet'] = np.abs(logits - total.ravel()).max()
    first, second = np.argsort(-probabilities)[:2]
    run.say(f'highest sums: {vertex(first)} ({probabilities[first]:.1%}), '
            f'{vertex(second)} ({probabilities[second]:.1%})')
    metrics.update(first=first, second=second, first_probability=probabilities[first],
                   second_probability=probabilities[second])
    return metrics


def _draw_planes(run, position, planes, scores):
    """Each plane, its kernel, and their convolution."""
    figure, axes = figures.plt.subplots(len(planes), 3, figsize=(12, 4.1 * len(planes)))
    for (name, plane), (left, middle, right) in zip(planes.items(), axes):
        left.imshow(plane, cmap='Greys', vmin=0, vmax=1.6)
        left.set_title(f'plane: {name}')
        kernel = full_kernel(*PRINTED[name])
        middle.imshow(kernel, cmap='RdBu_r', vmin=-6, vmax=6)
        for (y, x), value in np.ndenumerate(kernel):
            middle.text(x, y, f'{value:.2f}', ha='center', va='center', in_layout=False)
        middle.set(xticks=[], yticks=[], title='kernel', xlim=(-2.5, 4.5), ylim=(4.5, -2.5))
        right.imshow(scores[name], cmap='RdBu_r', vmin=-9, vmax=9)
        right.set_title('convolution')
        for y, x in np.argwhere(scores[name] != 0):
            right.text(x, y, f'{scores[name][y, x]:.1f}', ha='center', va='center', fontsize=4, in_layout=False)
        for axis in (left, right):
            board_axes(axis, position.size)
    figure.tight_layout()
    run.save_figure(figure, 'planes')


def _draw_sum(run, position, total, probabilities):
    """The board, the sum of all convolutions, and its softmax."""
    figure, (left, middle, right) = figures.plt.subplots(1, 3, figsize=(17, 6))
    draw_board(left, position)
    left.set_title('white to play')
    middle.imshow(total, cmap='RdBu_r', vmin=-12, vmax=12)
    for (y, x), value in np.ndenumerate(total):
        middle.text(x, y, f'{value:.1f}', ha='center', va='center', fontsize=5, in_layout=False)
    middle.set_title('sum of the 8 convolutions')
    draw_choices(right, position, probabilities)
    right.set_title('softmax, %')
    board_axes(middle, 19)
    figure.suptitle(figures.text('4.2.3 Where the simplest network would play', '最简单的策略网络的选择'))
    run.save_figure(figure, 'sum')


_ONE_CONVOLUTION = WorkedExample(
    '4.2.3', 'One convolution plays Go: planes, kernels, sum', '一个卷积层下围棋：特征层、卷积核与求和',
    function=one_convolution,
    remark='The text names L17, N17, M18 and M16 as the maxima, 0.42, of the plane of 2 liberties; they are L18, N18, '
           'L16 and N16.',
    book=figures_of(own_L19=0.47, own_O18=1.49, own_O17=2.04, own_M18=-1.45, empty_L15=7.78, empty_T19=6.37,
                    three_liberties_P16=0.80, first_three_planes_rank_of_O18=1, first_three_planes_rank_of_R15=1))

EXPERIMENTS = [_ONE_CONVOLUTION]


if __name__ == '__main__':
    run_script(_ONE_CONVOLUTION)
