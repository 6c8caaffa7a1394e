"""Section 9.2: one change for all images: a universal noise, and a patch that may be put anywhere.

    python -m chapters run 9.2-universal
    python -m chapters run 9.2-patch
"""
import math

import numpy as np

from chapters.ch09_adversarial.attacks import as_saved, log_probability, loss, within
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError


def universal(victim, images, labels, epsilon, rounds=10, batch=50, seed=0):
    """One noise (1, C, H, W) that raises the loss of all images: steps along the sign of their mean gradient.

    Moosavi-Dezfooli, Fawzi, Fawzi, Frossard 2016, https://arxiv.org/abs/1610.08401, by the steps of FGSM.
    """
    random, noise = np.random.default_rng(seed), np.zeros((1, *images.shape[1:]), np.float32)
    for number in range(rounds):
        order = random.permutation(len(images))
        for start in range(0, len(images), batch):
            chosen = order[start:start + batch]
            _, gradients = victim.gradient(np.clip(images[chosen] + noise, 0, 1), labels[chosen], loss)
            step = epsilon / 4 * (1 - number / rounds)
            noise = np.clip(noise + step * np.sign(gradients.mean(axis=0, keepdims=True)), -epsilon, epsilon)
    return noise.astype(np.float32)


def one_noise_for_all(run, network='digits', images=200, epsilon=32.0, rounds=10):
    """A noise found on half of the images, and what it does to the other half.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    epsilon : float
        The most that a pixel may change, of 255.
    rounds : int
        Over the first half.

    Returns
    -------
    dict
        Accuracy with the noise on the half it was found on and on the 'unseen' one, with random signs, and the share of the
        commonest wrong answer among all answers.
    """
    subject = load_subject(network)
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    half, size = len(x) // 2, epsilon / 255
    found = universal(victim, x[:half], labels[:half], size, rounds, seed=run.seed)
    signs = size * np.random.default_rng(run.seed).choice((-1, 1), found.shape)
    seen, unseen, random = (as_saved(within(part + change, part, size)) for part, change in (
        (x[:half], found), (x[half:], found), (x[half:], signs)))
    answers = victim.answers(unseen)
    wrong = np.bincount(answers[answers != labels[half:]], minlength=len(subject.class_names))
    shown = [0.5 + found[0] / (2 * size), *x[half:half + 4], *unseen[:4]]
    words = [figures.text('the noise', '噪声'), *(subject.class_names[label] for label in labels[half:half + 4]),
             *(subject.class_names[answer] for answer in answers[:4])]
    run.save_figure(figures.image_grid(_coloured(shown), words, columns=9, title=figures.text(
        '9.2 One noise for all images', '通用噪声')), 'universal')
    return {'seen': victim.accuracy(seen, labels[:half]), 'unseen': (answers == labels[half:]).mean(),
            'random_signs': victim.accuracy(random, labels[half:]), 'commonest_mistake': wrong.max() / max(1, len(answers))}


def pasted(images, patch, random):
    """Images (N, C, H, W) with a patch (C, h, w) at a random place of each, and these places (N, 2)."""
    room = np.array(images.shape[2:]) - patch.shape[1:] + 1
    places, result = (random.uniform(0, 1, (len(images), 2)) * room).astype(int), images.copy()
    for image, (top, left) in zip(result, places):
        image[:, top:top + patch.shape[1], left:left + patch.shape[2]] = patch
    return result, places


def learnt_patch(victim, images, target, side, steps=200, batch=40, rate=0.05, seed=0):
    """A patch (C, side, side) that makes images of the target's class wherever it lies.

    Brown, Mane, Roy, Abadi, Gilmer 2017, https://arxiv.org/abs/1712.09665: the mean gradient over images and places.
    """
    random = np.random.default_rng(seed)
    patch = random.uniform(0, 1, (images.shape[1], side, side)).astype(np.float32)
    mean = np.zeros_like(patch)
    for number in range(steps):
        chosen = images[random.choice(len(images), min(batch, len(images)), replace=False)]
        shown, places = pasted(chosen, patch, random)
        _, gradients = victim.gradient(shown, np.full(len(shown), target), log_probability)
        gradient = np.mean([part[:, top:top + side, left:left + side] for part, (top, left) in zip(gradients, places)], axis=0)
        mean = 0.9 * mean + gradient / max(np.abs(gradient).mean(), 1e-12)
        patch = np.clip(patch + rate * (1 - number / steps) * np.sign(mean), 0, 1).astype(np.float32)
    return as_saved(patch)


def a_patch(run, network='digits', images=200, side=9, target=3, steps=150):
    """A patch found on half of the images, laid anywhere on the others.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    side : int
        Of the patch, in pixels.
    target : int
        Number of the class to arrive at.
    steps : int

    Returns
    -------
    dict
        Share of unseen images, of other classes, that answer the target with the patch, with a patch of noise, and with none;
        and 'share_of_pixels' that the patch covers.
    """
    subject, random = load_subject(network), np.random.default_rng(run.seed)
    if target >= len(subject.class_names):
        raise UserError(f'target={target}: give the number of a class, from 0 to {len(subject.class_names) - 1}')
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    x = x[labels != target]
    half = len(x) // 2
    patch = learnt_patch(victim, x[:half], target, side, steps, seed=run.seed)
    plain = random.uniform(0, 1, patch.shape).astype(np.float32)
    shown, noisy = (pasted(x[half:], part, random)[0] for part in (patch, plain))
    answers = victim.answers(shown)
    words = [figures.text('the patch', '贴片'), *(subject.class_names[answer] for answer in answers[:8])]
    run.save_figure(figures.image_grid(_coloured([patch, *shown[:8]]), words, columns=9, title=figures.text(
        f'9.2 A patch that says {subject.class_names[target]}, anywhere', '贴片')), 'patch')
    return {'answers_target': (answers == target).mean(), 'with_noise_patch': (victim.answers(noisy) == target).mean(),
            'without': (victim.answers(x[half:]) == target).mean(),
            'share_of_pixels': side * side / (x.shape[2] * x.shape[3])}


def _coloured(images):
    """Gray images in three channels: matplotlib would stretch each to its own range."""
    return [np.repeat(image, 3, axis=0) if image.shape[0] == 1 else image for image in images]


EXPERIMENTS = [
    WorkedExample('9.2-universal', 'One noise for all images', '一个噪声骗过所有图像', function=one_noise_for_all),
    WorkedExample('9.2-patch', 'A patch that may lie anywhere', '放在哪里都行的贴片', function=a_patch,
                  limits={'target': (0, math.inf)}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
