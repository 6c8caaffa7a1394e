"""Section 9.2: a back door, put in by training images that are rightly labelled and look as they should.

Shafahi et al. 2018, "Poison frogs", https://arxiv.org/abs/1804.00792: an image of one class is changed a little, so that what a
trained network makes of it resembles another image. Whoever trains the last layer anew with it, will take that one image for
this class.

    python -m chapters run 9.2-backdoor
"""
import numpy as np

from chapters.ch09_adversarial.attacked import draw_attacks
from chapters.ch09_adversarial.attacks import Victim, as_saved, within
from chapters.ch09_adversarial.small import image_set, learn, small_net
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script


def colliding(features, images, aims, epsilon, steps=60):
    """Images changed so that their features come near to given ones: PGD on the squared distance.

    Parameters
    ----------
    features : Victim
        Of the part of a network before its last layer.
    images : numpy.ndarray, (N, C, H, W)
    aims : numpy.ndarray, (N, D)
    epsilon : float
    steps : int
    """
    def nearness(found, wanted):
        return -((found - wanted) ** 2).sum(axis=1)
    changed = images
    for _ in range(steps):
        slope = features.gradient(changed, aims, nearness)[1]
        changed = within(changed + 2.5 * epsilon / steps * np.sign(slope), images, epsilon)
    return changed


def poison(run, data='digits', samples=0, clean=200, poisons=10, targets=10, epsilon=24.0, steps=60):
    """Training the last layer anew on a few images, some of them poisoned, against the same images as they were.

    Parameters
    ----------
    run : Run
    data : str
        digits, mnist, fashion or cifar10.
    samples : int
        Training images of the network itself; 0: all.
    clean, poisons : int
        Images that the last layer is trained on anew: as they are, and poisoned.
    targets : int
        Test images that are to be misread, one after another, each by poisons of its own.
    epsilon : float
        The most that a pixel of a poison may change, of 255.
    steps : int

    Returns
    -------
    dict
        'misread': share of targets taken for the poisons' class; 'misread_without': with the same images unchanged;
        'accuracy' and 'accuracy_without', on all other test images.
    """
    from sklearn.linear_model import LogisticRegression
    x, y, test_x, test_y = image_set(data, samples, run.config['data_root'] or None)
    network = learn(small_net(), x, y, seed=run.seed)
    features, random = Victim(network[:-1]), np.random.default_rng(run.seed)
    chosen, known = random.permutation(len(x)), np.flatnonzero(Victim(network).answers(test_x) == test_y)
    x_clean, y_clean, rest = x[chosen[:clean]], y[chosen[:clean]], chosen[clean:]
    of_tests, of_clean = features.logits(test_x), features.logits(x_clean)
    results, rows = [], []
    for target in random.choice(known, targets, replace=False):
        label = (test_y[target] + 1) % 10
        base = x[rest[y[rest] == label][:poisons]]
        aims = np.repeat(of_tests[target][None], len(base), axis=0)
        poisoned = as_saved(colliding(features, base, aims, epsilon / 255, steps))
        rows.append((base[0], poisoned[0], str(label), f'{label}; meant: {test_y[target]}'))
        one = []
        for part in (poisoned, base):
            last = LogisticRegression(C=10.0, max_iter=1000).fit(
                np.concatenate([of_clean, features.logits(part)]), np.concatenate([y_clean, np.full(len(part), label)]))
            said = last.predict(of_tests)
            others = np.arange(len(test_y)) != target
            one += [said[target] == label, (said == test_y)[others].mean()]
        results.append(one)
    misread, accuracy, misread_without, accuracy_without = np.mean(results, axis=0)
    run.save_figure(draw_attacks(rows[:6], figures.text('9.2 Poisoned training images, rightly labelled', '干净标签的后门')),
                    'backdoor')
    return {'misread': misread, 'misread_without': misread_without, 'accuracy': accuracy, 'accuracy_without': accuracy_without}


EXPERIMENTS = [
    WorkedExample('9.2-backdoor', 'A back door by training images that look right', '干净标签的后门', function=poison),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
