"""Section 9.2: a trained network attacked on image files, or on its test images.

    python -m chapters attack imagenet chelsea --target espresso
    python -m chapters attack zoo:4.4 --test 200 --epsilon 40
"""
import json
from pathlib import Path

import numpy as np
from PIL import Image

from chapters.ch09_adversarial.attacks import as_saved, by_name, noise
from chapters.kit.report import figures
from data_tools.atomic import atomic_path, atomic_write, make_folder
from data_tools.errors import UserError

_SHOWN = 6  # rows of a picture


def attack_files(subject, paths, out, attack='pgd', epsilon=8.0, target='', wrong=None):
    """Attack image files, and write what came of it.

    Parameters
    ----------
    subject : Subject
    paths : list of path-like
        Files and folders; of 'imagenet' also the names of photographs at hand.
    out : path-like
        Folder for `NAME-attacked.png` of each, `attack.png` and `attack.json`.
    attack : str
        fgsm, iterated, pgd or cw.
    epsilon : float
        The most that a pixel may change, in steps of 8 bits (of 255). Not of cw, which changes as little as it can.
    target : str
        The class to arrive at; empty: any but the network's own answer.
    wrong : list, optional
        As for `chapters.kit.data.pictures.read_all`.

    Returns
    -------
    list of dict
        Of each image 'file', 'before' and 'after' (class, probability), the latter of the saved file; 'largest' and 'mean'
        change of a pixel, in steps of 8 bits.

    Raises
    ------
    UserError
        Unreadable images, no such class or attack, epsilon out of range.
    """
    change, out = _checked(attack, epsilon), Path(out)
    names, images = zip(*subject.read_all(paths, wrong))
    images, victim = np.stack(images), subject.victim
    before = victim.probabilities(images)
    labels = np.full(len(images), subject.number_of(target)) if target else before.argmax(axis=1)
    make_folder(out)  # before the work
    changed = as_saved(change(victim, images, labels, epsilon / 255, targeted=bool(target)))
    after, told = victim.probabilities(changed), []
    for number, name in enumerate(names):
        save_png(changed[number], out / f'{name}-attacked.png')
        moved = 255 * np.abs(changed[number] - images[number])
        told.append({'file': name, 'before': _answer(subject, before[number]), 'after': _answer(subject, after[number]),
                     'largest': round(float(moved.max()), 3), 'mean': round(float(moved.mean()), 3)})
    shown = [(images[i], changed[i], _words(told[i]['before']), _words(told[i]['after'])) for i in range(len(images))][:_SHOWN]
    _save(draw_attacks(shown, f'{subject.name}: {attack}' + (f', at most {epsilon:g} of 255' if attack != 'cw' else '')), out)
    with atomic_write(out / 'attack.json', text=True) as file:
        json.dump(told, file, indent=1, ensure_ascii=False)
    return told


def attack_test(subject, count, out, attack='pgd', epsilon=8.0, target='', data=''):
    """Attack the first test images of a run.

    Parameters
    ----------
    subject, out, attack, epsilon, target
        As for `attack_files`.
    count : int
        Images; those that are of the target already are left out.
    data : str
        Where its data are now.

    Returns
    -------
    dict of str to float
        'accuracy', 'accuracy with noise of the same size', 'accuracy attacked' (of images as saved), 'answers the target',
        and the 'mean change' of a pixel in steps of 8 bits.
    """
    change, out = _checked(attack, epsilon), Path(out)
    if count < 1:
        raise UserError(f'--test {count}: give a number of images, from 1 on')
    images, truth = subject.test_images(count, data)
    goal = subject.number_of(target) if target else None
    if target:
        images, truth = images[truth != goal], truth[truth != goal]
    victim, labels = subject.victim, np.full(len(truth), goal) if target else truth
    make_folder(out)  # before the work
    changed = as_saved(change(victim, images, labels, epsilon / 255, targeted=bool(target)))
    before, after = victim.probabilities(images), victim.probabilities(changed)
    told = {'images': len(images), 'accuracy': (before.argmax(axis=1) == truth).mean(),
            'accuracy with noise of the same size': victim.accuracy(as_saved(noise(images, epsilon / 255)), truth),
            'accuracy attacked': (after.argmax(axis=1) == truth).mean()}
    if target:
        told['answers the target'] = (after.argmax(axis=1) == goal).mean()
    told['mean change'] = 255 * np.abs(changed - images).mean()
    shown = [(images[i], changed[i], _words(_answer(subject, before[i])), _words(_answer(subject, after[i])))
             for i in range(min(_SHOWN, len(images)))]
    _save(draw_attacks(shown, f'{subject.name}: {attack}' + (f', at most {epsilon:g} of 255' if attack != 'cw' else '')), out)
    return {name: float(value) for name, value in told.items()}


def draw_attacks(rows, title):
    """Image, noise times ten, result: a row each.

    Parameters
    ----------
    rows : list of (numpy.ndarray (C, H, W), numpy.ndarray (C, H, W), str, str)
        Image, result, what the network says of either.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    pictures, captions = [], []
    for image, changed, before, after in rows:
        pictures += [image, np.clip(0.5 + 10 * (changed - image), 0, 1), changed]
        captions += [before, figures.text('noise x 10', '噪声 x 10'), after]
    gray = pictures[0].shape[0] == 1  # matplotlib would stretch gray pictures each to its own range
    pictures = [np.repeat(picture, 3, axis=0) for picture in pictures] if gray else pictures
    return figures.image_grid(pictures, captions, columns=3 * (2 if len(rows) > 3 else 1), size=1.9, title=title)


def save_png(image, path):
    """Pixels (C, H, W) from 0 to 1 as a PNG of 8 bits."""
    pixels = np.rint(255 * image).astype(np.uint8).transpose(1, 2, 0)
    with atomic_path(path) as beside:
        Image.fromarray(pixels[:, :, 0] if pixels.shape[2] == 1 else pixels).save(beside, format='PNG')


def _checked(attack, epsilon):
    change = by_name(attack)
    if not 0 < epsilon <= 255:
        raise UserError(f'--epsilon {epsilon:g}: give a number above 0, at most 255: how many of 255 steps a pixel may move')
    return change


def _answer(subject, probabilities):
    best = int(probabilities.argmax())
    return [subject.class_names[best], round(float(probabilities[best]), 4)]


def _words(answer):
    return f'{answer[0]} {answer[1]:.1%}'


def _save(figure, out):
    with atomic_path(out / 'attack.png') as beside:
        figure.savefig(beside, bbox_inches='tight', format='png')
    figures.plt.close(figure)
