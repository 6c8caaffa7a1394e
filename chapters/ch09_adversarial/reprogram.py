"""Section 9.2: a network made to do what it was never taught, by what is painted around its input.

Elsayed, Goodfellow, Sohl-Dickstein 2018, https://arxiv.org/abs/1806.11146: there a network of photographs counts squares.

    python -m chapters run 9.2-reprogramming
"""
import numpy as np

from chapters.ch09_adversarial.attacks import loss
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script

_MOST = 4  # squares
_GRID = 4  # places along each side


def squares(count, side, random):
    """Images (count, side, side) of 1 to 4 white squares on black, and how many less one."""
    labels, cell = random.integers(0, _MOST, count), side // _GRID
    cells = np.zeros((count, _GRID * _GRID), np.float32)
    for row, label in zip(cells, labels):
        row[random.choice(_GRID * _GRID, label + 1, replace=False)] = 1
    small = np.pad(np.ones((cell - 1, cell - 1), np.float32), ((0, 1), (0, 1)))
    return np.kron(cells.reshape(count, _GRID, _GRID), small).astype(np.float32), labels


def painted(program, inside):
    """Pictures (N, C, H, W): the program (C, H, W) with images (N, s, s) in its middle."""
    count, side = len(inside), inside.shape[1]
    pictures = np.repeat(program[None], count, axis=0)
    top, left = (program.shape[1] - side) // 2, (program.shape[2] - side) // 2
    pictures[:, :, top:top + side, left:left + side] = inside[:, None]
    return pictures


def count_squares(run, network='digits', side=12, updates=250, batch=40, rate=0.02, tests=200):
    """Paint around pictures of squares so that a trained network answers how many there are: 'class 0' for one, and so on.

    Parameters
    ----------
    run : Run
    network : str
        'digits', 'imagenet', a run folder, or zoo:NAME. It stays as it is.
    side : int
        Of the picture of squares, in pixels.
    updates, batch : int
        Steps of Adam on the program, and pictures of each.
    rate : float
    tests : int
        Unseen pictures.

    Returns
    -------
    dict
        'right' on unseen pictures, by the program; 'right_at_random', by one of random pixels; 'chance'.
    """
    subject, random = load_subject(network), np.random.default_rng(run.seed)
    victim = subject.victim
    shape = subject.saved.facts.shape if subject.saved else subject.tests[0].shape[1:] if subject.tests else (3, 224, 224)
    first = program = random.uniform(0, 1, shape).astype(np.float32)
    mean = square = np.zeros(shape)
    for number in range(1, updates + 1):
        inside, labels = squares(batch, side, random)
        values, gradients = victim.gradient(painted(program, inside), labels, loss)
        gradient = gradients.mean(axis=0)
        mean, square = 0.9 * mean + 0.1 * gradient, 0.99 * square + 0.01 * gradient ** 2
        step = mean / (1 - 0.9 ** number) / (np.sqrt(square / (1 - 0.99 ** number)) + 1e-8)
        program = np.clip(program - rate * step, 0, 1).astype(np.float32)
        if number % 50 == 0:
            run.say(f'{number} updates: loss {values.mean():.3f}')
    inside, labels = squares(tests, side, random)
    answers = victim.answers(painted(program, inside))
    shown = painted(program, inside[:8])
    shown = [np.repeat(picture, 3, axis=0) if picture.shape[0] == 1 else picture for picture in shown]
    words = [f'{label + 1} -> {subject.class_names[answer]}' for label, answer in zip(labels[:8], answers[:8])]
    run.save_figure(figures.image_grid(shown, words, columns=8, title=figures.text(
        f'9.2 {network} counts squares: {subject.class_names[0]} for 1, {subject.class_names[1]} for 2, ...', '对抗性重编程')),
        'reprogrammed')
    return {'right': (answers == labels).mean(), 'right_at_random': victim.accuracy(painted(first, inside), labels),
            'chance': 1 / _MOST}


EXPERIMENTS = [
    WorkedExample('9.2-reprogramming', 'A network made to count squares', '对抗性重编程：让网络数方块', function=count_squares),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
