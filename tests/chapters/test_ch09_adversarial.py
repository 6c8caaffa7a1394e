"""Section 9.2: the book's sums, the attacks on networks of which the answer is known, and what the experiments promise."""
import json

import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from PIL import Image

import chapters
from chapters.__main__ import main
from chapters.ch09_adversarial import attacks, linear
from chapters.ch09_adversarial.attacked import save_png
from chapters.ch09_adversarial.attacks import Several, Victim
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.perform import run_experiment


def straight(seed=0, classes=2):
    """(Victim, weights): a linear network of 1x4x4 images, pixels as they are."""
    weights = np.random.default_rng(seed).normal(size=(classes, 16)).astype(np.float32)
    network = nn.Dense(classes, in_units=16, use_bias=False)
    network.initialize()
    network.weight.set_data(nd.array(weights))
    return Victim(network, scale=1 / 255), weights


def grays(number=5, seed=1):
    """Images (N, 1, 4, 4) of pixels so far from 0 and 1 that nothing is clipped."""
    return np.random.default_rng(seed).uniform(0.4, 0.6, (number, 1, 4, 4)).astype(np.float32)


@pytest.fixture(scope='module')
def digit_reader():
    return load_subject('zoo:4.4')


@pytest.fixture(scope='module')
def strokes():
    """Images (4, 1, 28, 28) of a bar each, and what zoo:4.4 says of them."""
    images = np.zeros((4, 1, 28, 28), np.float32)
    for number in range(4):
        images[number, 0, 4:24, 9 + 3 * number:12 + 3 * number] = 1
    images[2:] = images[2:].transpose(0, 1, 3, 2)
    return images


def test_the_books_sums():
    assert linear.W @ linear.X == -1
    after = linear.moved(linear.W, linear.X, 0.5)
    assert after.tolist() == [1.5, -1.5, 3.5, -2.5, 2.5, 1.5, 1.5, -1.5, 4.5, 1.5] and linear.W @ after == 4


@pytest.mark.parametrize('name', ['zoo:4.4', 'zoo:3.4.2', 'zoo:5.5.7-fast'])
def test_gradients_at_pixels_against_differences(name):
    """Through oneDNN's poolings and batch normalisation, whose gradients in prediction are wrong unless asked for rightly."""
    victim, random = load_subject(name).victim, np.random.default_rng(2)
    images = random.uniform(0.2, 0.8, (4, 3, 32, 32) if name.endswith('fast') else (4, 1, 28, 28)).astype(np.float32)
    labels, step = np.array([0, 3, 5, 9]), random.normal(size=images.shape).astype(np.float32)
    _, gradient = victim.gradient(images, labels, lambda logits, y: nd.pick(logits, y))
    up, down = (victim.logits(images + sign * 2e-4 * step)[np.arange(4), labels] for sign in (1, -1))
    changes = (gradient * step).sum(axis=(1, 2, 3))
    assert np.corrcoef(changes, up - down)[0, 1] > 0.98
    assert np.linalg.norm(changes - (up - down) / 4e-4) < 0.15 * np.linalg.norm(changes)


def test_fgsm_of_a_linear_network_is_the_books_step():
    victim, weights = straight()
    images, labels = grays(), np.array([0, 1, 0, 1, 0])
    direction = np.sign(weights[1] - weights[0]).reshape(1, 1, 4, 4) * np.where(labels, -1, 1)[:, None, None, None]
    assert np.allclose(attacks.fgsm(victim, images, labels, 0.05), images + 0.05 * direction, atol=1e-6)
    assert np.allclose(attacks.fgsm(victim, images, 1 - labels, 0.05, targeted=True), images + 0.05 * direction, atol=1e-6)


@pytest.mark.parametrize('attack', attacks.ATTACKS.values())
@pytest.mark.parametrize('targeted', [False, True])
def test_attacks_stay_in_the_box_and_among_valid_pixels(attack, targeted):
    victim, _ = straight(classes=5)
    images = np.random.default_rng(3).uniform(0, 1, (7, 1, 4, 4)).astype(np.float32)
    labels = victim.answers(images)
    labels = (labels + 1) % 5 if targeted else labels
    changed = attack(victim, images, labels, 0.07, targeted=targeted)
    assert np.abs(changed - images).max() <= 0.07 + 1e-6 and changed.min() >= 0 and changed.max() <= 1
    mine = lambda x: victim.probabilities(x)[np.arange(7), labels]  # noqa: E731
    assert (mine(changed) > mine(images)).all() if targeted else (mine(changed) < mine(images)).all()
    saved = attacks.as_saved(changed)
    assert np.abs(255 * saved - np.rint(255 * saved)).max() < 1e-4


def test_carlini_wagner_finds_the_nearest_image_of_another_class():
    """Of two classes that a plane divides, it lies |margin| / |w| away."""
    victim, weights = straight()
    images = grays(8)
    labels, difference = victim.answers(images), weights[1] - weights[0]
    nearest = np.abs(images.reshape(8, -1) @ difference) / np.linalg.norm(difference)
    changed = attacks.carlini_wagner(victim, images, labels, steps=200, searches=8)
    assert (victim.answers(changed) != labels).all()
    assert np.linalg.norm((changed - images).reshape(8, -1), axis=1) == pytest.approx(nearest, rel=0.05)


def test_several_networks_are_fooled_at_once():
    victims = [straight(seed)[0] for seed in (4, 5)]
    images = grays(20)
    labels = victims[0].answers(images)
    agreed = victims[1].answers(images) == labels
    images, labels = images[agreed], labels[agreed]
    both = attacks.pgd(Several(victims), images, labels, 0.4, steps=20)
    alone = attacks.pgd(victims[0], images, labels, 0.4, steps=20)
    assert all(victim.accuracy(both, labels) == 0 for victim in victims) and victims[1].accuracy(alone, labels) > 0


def test_more_restarts_never_fool_less(digit_reader, strokes):
    labels = digit_reader.victim.answers(strokes)
    left = [digit_reader.victim.accuracy(attacks.pgd(digit_reader.victim, strokes, labels, 0.1, 4, restarts=restarts), labels)
            for restarts in (1, 4)]
    assert left[1] <= left[0]


def test_noise_of_the_same_size_is_as_large_and_does_less(digit_reader, strokes):
    victim = digit_reader.victim
    labels = victim.answers(strokes)
    attacked, noisy = attacks.pgd(victim, strokes, labels, 0.15, 10), attacks.noise(strokes, 0.15)
    assert np.abs(noisy - strokes).max() == pytest.approx(0.15, abs=1e-6)
    mine = [victim.probabilities(x)[np.arange(4), labels].mean() for x in (strokes, noisy, attacked)]
    assert mine[1] > mine[2] + 0.2


def test_attacked_files_are_saved_and_answer_as_told(tmp_path, strokes, capsys):
    for number, image in enumerate(strokes[:2]):
        save_png(image, tmp_path / f'{number}.png')
    out = tmp_path / 'out'
    assert main(['attack', 'zoo:4.4', str(tmp_path / '0.png'), str(tmp_path / '1.png'), '--epsilon', '60', '--target', '8',
                 '--out', str(out)]) == 0
    told, subject = json.loads((out / 'attack.json').read_text()), load_subject('zoo:4.4')
    for number, one in enumerate(told):
        with Image.open(out / f'{number}-attacked.png') as picture:
            pixels = np.asarray(picture, np.float32)[None] / 255
        share = subject.victim.probabilities(pixels[None])[0]
        assert (subject.class_names[share.argmax()], share.max()) == (one['after'][0], pytest.approx(one['after'][1], abs=1e-3))
        assert one['after'][0] == '8' != one['before'][0] and one['largest'] <= 60.001
        assert np.abs(255 * (pixels - strokes[number])).max() <= 60.001
    assert (out / 'attack.png').stat().st_size > 2000
    assert '-> 8 ' in capsys.readouterr().out


@pytest.mark.parametrize('arguments, words', [
    (['zoo:4.4'], 'name image files'), (['zoo:4.4', 'x.png', '--test', '3'], 'name image files'),
    (['zoo:4.4', 'nowhere.png'], 'nowhere.png'), (['zoo:4.4', '{0}', '--target', 'cat'], 'has no such class'),
    (['zoo:4.4', '{0}', '--epsilon', '0'], '--epsilon 0'), (['zoo:4.4', '{0}', '--attack', 'magic'], 'fgsm, iterated, pgd, cw'),
    (['zoo:7.2-small', '{0}'], 'does not classify images'), (['nowhere', '{0}'], 'not a run folder')])
def test_mistakes_end_in_one_line(tmp_path, strokes, capsys, arguments, words):
    save_png(strokes[0], tmp_path / 'bar.png')
    arguments = [str(tmp_path / 'bar.png') if word == '{0}' else word for word in arguments]
    assert main(['attack', *arguments, '--out', str(tmp_path / 'out')]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and words in said[0]
    assert not (tmp_path / 'out').exists()


# what the figures must be, in the form that comes along
PROMISES = {
    '9.2': ({}, lambda f: (
        f['sum'] == -1, f['sum_moved'] == 4,
        f['attacked_56x56'] / f['noise_56x56'] > 2 * f['attacked_14x14'] / f['noise_14x14'],
        f['attacked_right_112x112'] < f['attacked_right_14x14'] - 0.2, f['noise_right_112x112'] > f['right_112x112'] - 0.02)),
}


@pytest.mark.parametrize('section', PROMISES)
def test_what_the_experiments_show(tmp_path, section):
    changes, conditions = PROMISES[section]
    run, result = run_experiment(chapters.find(section).but(**changes), out=tmp_path / 'run', quiet=True)
    found = {name: value['last'] for name, value in result['metrics'].items()}
    assert all(conditions(found)), found
    assert list((run.folder / 'figures').glob('*.png'))
