"""Section 9.2, figure 9-8: a change that survives turning, distance and blur, as what is printed must.

Athalye, Engstrom, Ilyas, Kwok 2017, https://arxiv.org/abs/1707.07397: the expectation over transformations.

    python -m chapters run 9.2-printed
"""
import numpy as np
from mxnet import nd

from chapters.ch09_adversarial.attacks import as_saved, log_probability, loss, pgd, within
from chapters.ch09_adversarial.camera import Camera
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script


def expectation(victim, images, labels, epsilon, steps=40, draws=8, targeted=False):
    """PGD whose gradient is the mean over several ways in which a camera, `victim`'s, may see each image; as `attacks.pgd`."""
    value = log_probability if targeted else loss
    changed = images
    for _ in range(steps):
        gradient = np.mean([victim.gradient(changed, labels, value)[1] for _ in range(draws)], axis=0)
        changed = within(changed + 2.5 * epsilon / steps * np.sign(gradient), images, epsilon)
    return changed


def seen_by_cameras(run, network='digits', images=30, epsilon=40.0, steps=20, draws=6, views=20, turn=20.0):
    """Targeted attacks, one ordinary, one that expects a camera, seen by a camera from places that neither has seen.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    epsilon : float
        The most that a pixel may change, of 255.
    steps, draws : int
        Of PGD, and views at each step.
    views : int
        Unseen ones, of each image.
    turn : float
        Degrees, either way; with sizes of 0.85 to 1.15, shifts of 5%, and a blur of up to 0.7 pixels.

    Returns
    -------
    dict
        'plain_flat' and 'plain_seen': how often the ordinary attack arrives at its target, as it is and seen by the camera;
        'expected_flat' and 'expected_seen': the other; 'right_seen': how often the images as they were are known in such views.
    """
    subject = load_subject(network)
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    goals, size = (labels + 1) % len(subject.class_names), epsilon / 255

    def camera(seed):
        return victim.behind(Camera(turn, (0.85, 1.15), 0.05, 0.7, seed=seed))
    plain = as_saved(pgd(victim, x, goals, size, steps, targeted=True, seed=run.seed))
    expected = as_saved(expectation(camera(run.seed), x, goals, size, steps, draws, targeted=True))
    unseen = run.seed + 1000
    metrics = {'right_seen': _seen(camera(unseen), x, labels, views)}
    for name, changed in (('plain', plain), ('expected', expected)):
        metrics[f'{name}_flat'] = victim.accuracy(changed, goals)
        metrics[f'{name}_seen'] = _seen(camera(unseen), changed, goals, views)
    lens, rows, words = Camera(turn, (0.85, 1.15), 0.05, 0.7, seed=unseen), [], []
    for changed in (x, plain, expected):
        looked = lens(nd.array(np.repeat(changed[:1], 8, axis=0))).asnumpy()
        rows += [changed[0], *looked]
        words += [subject.class_names[answer] for answer in victim.answers(np.concatenate([changed[:1], looked]))]
    rows = [np.repeat(row, 3, axis=0) if row.shape[0] == 1 else row for row in np.clip(rows, 0, 1)]
    title = f'9.2 As it is; attacked; attacked in expectation of a camera (to {subject.class_names[goals[0]]})'
    run.save_figure(figures.image_grid(rows, words, columns=9, title=figures.text(title, '经得起拍摄的攻击')), 'printed')
    return metrics


def _seen(victim, images, labels, views):
    return np.mean([victim.accuracy(images, labels) for _ in range(views)])


EXPERIMENTS = [
    WorkedExample('9.2-printed', 'An attack that survives turning, distance and blur', '经得起旋转、缩放与模糊的攻击',
                  function=seen_by_cameras),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
