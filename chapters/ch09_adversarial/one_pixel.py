"""Section 9.2, figure 9-7: one pixel, found by differential evolution, which needs no gradient.

Su, Vargas, Sakurai 2017, https://arxiv.org/abs/1710.08864: they fool networks on CIFAR-10 for 16% to 72% of the images.

    python -m chapters run 9.2-one-pixel --set network=zoo:5.5.7-fast
"""
import numpy as np
from scipy.optimize import differential_evolution

from chapters.ch09_adversarial.attacked import draw_attacks
from chapters.ch09_adversarial.attacks import as_saved
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script


def with_pixel(image, candidates):
    """Copies of an image (C, H, W), each with one pixel set: candidates (N, 2 + C) are row, column and colour, 0 to 1."""
    copies, (height, width) = np.repeat(image[None], len(candidates), axis=0), image.shape[1:]
    rows, columns = (np.minimum(candidates[:, axis] * side, side - 1).astype(int) for axis, side in enumerate((height, width)))
    copies[np.arange(len(copies)), :, rows, columns] = candidates[:, 2:]
    return as_saved(copies)


def one_pixel(victim, image, label, population=60, generations=10, seed=0):
    """The image with the one pixel set that takes most from the probability of its class; or the first that changes the answer.

    Parameters
    ----------
    victim : Victim
    image : numpy.ndarray, (C, H, W)
    label : int
    population, generations : int
        Of SciPy's differential evolution: so many images go through the network at once, so many times and once more.
    seed : int

    Returns
    -------
    (numpy.ndarray (C, H, W), bool)
        And whether the answer is another.
    """
    def left(candidates):
        return victim.probabilities(with_pixel(image, candidates.T))[:, label]

    def fooled(best, convergence):
        return victim.answers(with_pixel(image, best[None]))[0] != label
    dimensions = 2 + len(image)
    first = np.random.default_rng(seed).uniform(0, 1, (population, dimensions))
    first[:, 2:] = np.rint(first[:, 2:])  # strong colours work best
    found = differential_evolution(
        left, [(0, 1)] * dimensions, init=first, maxiter=generations, mutation=0.5, recombination=1, seed=seed,
        polish=False, tol=0, atol=0, updating='deferred', vectorized=True, callback=fooled)
    changed = with_pixel(image, found.x[None])[0]
    return changed, bool(victim.answers(changed[None])[0] != label)


def share_that_falls(run, network='digits', images=20, population=60, generations=10):
    """How many test images one pixel turns into another class; beside the same number of pixels at random.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    population, generations : int
        Of differential evolution.

    Returns
    -------
    dict
        'falls': the share of images; 'falls_at_random': the share that one random pixel of a random strong colour turns;
        'confidence_before' and 'confidence_after', of the true class, means.
    """
    subject = load_subject(network)
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    random, changed, fell = np.random.default_rng(run.seed), [], []
    for number, (image, label) in enumerate(zip(x, labels)):
        result, other = one_pixel(victim, image, label, population, generations, seed=run.seed + number)
        changed.append(result)
        fell.append(other)
        if (number + 1) % 20 == 0:
            run.say(f'{number + 1} images: {np.mean(fell):.1%} fall')
    changed, fell = np.stack(changed), np.array(fell)
    candidates = random.uniform(0, 1, (len(x), 2 + x.shape[1]))
    candidates[:, 2:] = np.rint(candidates[:, 2:])
    at_random = np.concatenate([with_pixel(image, candidate[None]) for image, candidate in zip(x, candidates)])
    before, after = victim.probabilities(x), victim.probabilities(changed)
    shown = np.argsort(after[np.arange(len(x)), labels])[:6]  # those that fell, and the nearest to it
    rows = [(x[i], changed[i], *(f'{subject.class_names[share.argmax()]} {share.max():.0%}' for share in (before[i], after[i])))
            for i in shown]
    run.save_figure(draw_attacks(rows, figures.text(f'9.2 One pixel: {fell.mean():.0%} of {len(x)} images fall', '单像素攻击')),
                    'one-pixel')
    return {'falls': fell.mean(), 'falls_at_random': 1 - victim.accuracy(at_random, labels),
            'confidence_before': before[np.arange(len(x)), labels].mean(),
            'confidence_after': after[np.arange(len(x)), labels].mean()}


EXPERIMENTS = [
    WorkedExample('9.2-one-pixel', 'One pixel, found by differential evolution', '单像素攻击：差分进化',
                  function=share_that_falls),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
