"""Section 9.2: the book's sums, the attacks on networks of which the answer is known, and what the experiments promise."""
import copy
import json

import numpy as np
import pytest
from mxnet import autograd, nd
from mxnet.gluon import nn
from PIL import Image
from scipy.ndimage import label

import chapters
from chapters.__main__ import main
from chapters.ch09_adversarial import attacks, camera, linear, one_pixel, reprogram
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


def test_whole_pictures_are_attacked_beside_broken_ones(tmp_path, strokes, capsys):
    save_png(strokes[0], tmp_path / 'whole.png')
    (tmp_path / 'broken.png').write_bytes(b'no picture')
    names = [str(tmp_path / f'{name}.png') for name in ('broken', 'nowhere', 'whole')]
    assert main(['attack', 'zoo:4.4', *names, '--attack', 'fgsm', '--out', str(tmp_path / 'out')]) == 2
    said = capsys.readouterr()
    assert 'whole: ' in said.out and said.err == (
        f'error: {names[0]}: not a readable image (unknown or damaged format); {names[1]}: no such file or folder\n')
    assert [one['file'] for one in json.loads((tmp_path / 'out' / 'attack.json').read_text())] == ['whole']


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


def test_a_file_in_place_of_the_folder_is_said(tmp_path, strokes, capsys):
    save_png(strokes[0], tmp_path / 'bar.png')
    assert main(['attack', 'zoo:4.4', str(tmp_path / 'bar.png'), '--out', str(tmp_path / 'bar.png')]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1 and 'bar.png: is a file' in said[0]


@pytest.mark.parametrize('before', [camera.Camera(20, (0.85, 1.15), 0.05, 0.7), lambda x: camera.blurred(x, 0.8)])
def test_gradients_come_back_through_a_camera(digit_reader, before):
    """A camera draws anew at every call, so that it is asked with the same seed each time."""
    def victim():
        return digit_reader.victim.behind(copy.deepcopy(before))
    random = np.random.default_rng(6)
    images, step = random.uniform(0.2, 0.8, (4, 1, 28, 28)).astype(np.float32), random.normal(size=(4, 1, 28, 28))
    _, gradient = victim().gradient(images, np.arange(4), lambda logits, y: nd.pick(logits, y))
    up, down = (victim().logits(images + sign * 3e-4 * step)[np.arange(4), np.arange(4)] for sign in (1, -1))
    changes = (gradient * step).sum(axis=(1, 2, 3))
    assert np.linalg.norm(changes - (up - down) / 6e-4) < 0.15 * np.linalg.norm(changes)


def test_a_camera_that_does_nothing_changes_nothing(strokes):
    assert np.allclose(camera.Camera()(nd.array(strokes)).asnumpy(), strokes, atol=1e-4)
    moved = camera.Camera(shift=0.2, seed=1)(nd.array(strokes)).asnumpy()
    assert np.abs(moved - strokes).max() > 0.5


def test_jpeg_is_what_a_file_holds_and_lets_gradients_pass(strokes):
    x = nd.array(strokes)
    x.attach_grad()
    with autograd.record():
        saved = camera.as_jpeg(x)
        total = (saved * nd.array(strokes)).sum()
    total.backward()
    assert 0.001 < np.abs(saved.asnumpy() - strokes).max() < 0.3 and np.allclose(x.grad.asnumpy(), strokes)


def test_one_pixel_is_one(digit_reader, strokes):
    changed, _ = one_pixel.one_pixel(digit_reader.victim, strokes[0], digit_reader.victim.answers(strokes)[0], 12, 2)
    assert (changed != strokes[0]).any(axis=0).sum() <= 1


def test_squares_are_as_many_as_they_are_called():
    inside, labels = reprogram.squares(30, 12, np.random.default_rng(0))
    assert [label(image)[1] for image in inside] == (labels + 1).tolist() and set(labels) == {0, 1, 2, 3}
    program = np.full((1, 28, 28), 0.5, np.float32)
    assert (reprogram.painted(program, inside)[:, 0, 8:20, 8:20] == inside).all()


# what the figures must be, in the form that comes along
PROMISES = {
    '9.2': ({}, lambda f: (
        f['sum'] == -1, f['sum_moved'] == 4,
        f['attacked_56x56'] / f['noise_56x56'] > 1.5 * f['attacked_14x14'] / f['noise_14x14'],
        f['attacked_right_112x112'] < f['attacked_right_14x14'] - 0.2, f['noise_right_112x112'] > f['right_112x112'] - 0.02)),
    '9.2-epsilon': ({'images': 40, 'steps': 6, 'epsilons': '4,8', 'nearest': 4}, lambda f: (
        f['noise_at_8'] > 0.85, f['pgd_at_8'] < 0.25, f['pgd_at_8'] < f['fgsm_at_8'], f['pgd_at_8'] <= f['pgd_at_4'],
        f['nearest_found'] == 1, f['nearest_root_mean_square'] < 8)),
    '9.2-one-pixel': ({'images': 12, 'generations': 6}, lambda f: (
        f['confidence_after'] < f['confidence_before'] - 0.05, f['falls'] >= f['falls_at_random'])),
    '9.2-transfer': ({'epochs': 3, 'images': 20, 'steps': 6, 'tries': 4}, lambda f: (
        f['diagonal'] < 0.1, f['left_out'] < f['others'] - 0.1, f['others'] < f['noise'])),
    '9.2-universal': ({'images': 100, 'rounds': 5}, lambda f: (f['unseen'] < f['random_signs'] - 0.2,)),
    '9.2-patch': ({'images': 100, 'steps': 60}, lambda f: (
        f['answers_target'] > 0.4, f['answers_target'] > f['with_noise_patch'] + 0.3)),
    '9.2-printed': ({'images': 10, 'steps': 10, 'draws': 4, 'views': 6}, lambda f: (
        f['plain_flat'] > 0.8, f['expected_seen'] > f['plain_seen'] + 0.2)),
    '9.2-reprogramming': ({'updates': 150}, lambda f: (f['right'] > 0.4, f['right'] > f['right_at_random'] + 0.1)),
    '9.2-backdoor': ({'targets': 4, 'steps': 30}, lambda f: (
        f['misread'] >= 0.5, f['misread_without'] <= 0.25, f['accuracy'] > 0.9)),
    '9.2-defences': ({'images': 25, 'steps': 10, 'draws': 4}, lambda f: (
        f['none_unaware'] < 0.1, f['smoothing_unaware'] > f['none_unaware'], f['smoothing_aware'] < f['smoothing_unaware'],
        f['resize_and_pad_aware'] < f['resize_and_pad_unaware'], f['jpeg_clean'] > 0.9)),
    '9.2-training': ({'epochs': 5, 'steps': 3, 'images': 40, 'epsilon': 8}, lambda f: (
        f['plain_by_pgd'] < 0.1, f['pgd_by_pgd'] > f['plain_by_pgd'] + 0.2, f['pgd_by_twice'] < f['pgd_by_pgd'],
        f['fgsm_by_pgd'] < f['fgsm_by_fgsm'] - 0.1)),
}


@pytest.mark.parametrize('section', PROMISES)
def test_what_the_experiments_show(tmp_path, section):
    changes, conditions = PROMISES[section]
    run, result = run_experiment(chapters.find(section).but(**changes), out=tmp_path / 'run', quiet=True)
    found = {name: value['last'] for name, value in result['metrics'].items()}
    assert all(conditions(found)), found
    assert list((run.folder / 'figures').glob('*.png'))
