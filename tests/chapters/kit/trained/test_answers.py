"""`predict`, `evaluate` and `look` on a network that has learnt the bundled digits."""
import re
import shutil

import numpy as np
import pytest
from PIL import Image

import chapters
from chapters.__main__ import main
from chapters.kit.perform import run_experiment
from chapters.kit.trained.answers import probabilities_of, shifted_views, ten_crops
from chapters.kit.trained.run import read_evaluation


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """(run folder, its result)"""
    folder = tmp_path_factory.mktemp('runs') / 'run'
    experiment = chapters.find('4.4').but(epochs=3, learning_rate=0.1, initializer='xavier')
    _, result = run_experiment(experiment, data='digits', out=folder, quiet=True)
    assert result['metrics']['validation_accuracy']['last'] > 0.85
    return folder, result


def test_predict_reads_image_files(trained, tmp_path, capsys):
    folder, _ = trained
    data = chapters.find('4.4').load('digits')
    for number in range(20):
        picture = Image.fromarray((data.validation_x[number, 0] * 255).astype(np.uint8)).resize((84, 84))
        picture.convert('RGB' if number % 2 else 'L').save(tmp_path / f'{number:02}.png')
    assert main(['predict', str(folder), str(tmp_path), '--top', '2']) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if '.png' in line and '%' in line]
    said = [int(line.split('.png')[1].replace('│', ' ').split()[0]) for line in lines]
    assert np.mean(np.array(said) == data.validation_y[:20]) > 0.7
    assert (folder / 'figures' / 'predict.png').exists()


def test_a_broken_picture_of_a_folder_is_left_out_and_named(trained, tmp_path, capsys):
    folder, _ = trained
    Image.fromarray(np.eye(28, dtype=np.uint8) * 255).save(tmp_path / 'whole.png')
    broken = tmp_path / 'broken.png'
    broken.write_bytes((tmp_path / 'whole.png').read_bytes()[:40])
    assert main(['predict', str(folder), str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert '/whole.png' in said.out and '/broken.png' not in said.out
    (line,) = said.err.splitlines()
    assert line.startswith(f'left out: {broken}: not a readable image')
    for others in ([], [tmp_path / 'whole.png']):  # one that is named must be whole; the others have their answers
        assert main(['predict', str(folder), str(broken), *map(str, others)]) == 2
        said = capsys.readouterr()
        assert said.err.startswith(f'error: {broken}: not a readable image') and len(said.err.splitlines()) == 1
        assert ('/whole.png' in said.out and '%' in said.out) == bool(others) and '/broken.png' not in said.out
    assert main(['predict', str(folder), *[str(tmp_path / f'{name}.png') for name in (1, 'whole', 2, 3, 4)]]) == 2
    said = capsys.readouterr()
    assert said.err.endswith(f'{tmp_path}/3.png: no such file or folder; and 1 more\n') and '/whole.png' in said.out
    (tmp_path / 'whole.png').unlink()
    assert main(['predict', str(folder), str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


@pytest.mark.parametrize('paper, ink', [(255, 0), (0, 255), (214, 40)])
def test_digits_drawn_by_anybody_are_made_like_those_learnt(trained, tmp_path, capsys, paper, ink):
    """Dark on light, large, off the centre: as people photograph what they have written."""
    folder, _ = trained
    data, random = chapters.find('4.4').load('digits'), np.random.default_rng(0)
    for number in range(40):
        strokes = Image.fromarray((data.validation_x[number, 0] * 255).astype(np.uint8)).resize((120, 120))
        canvas = np.zeros((300, 200))
        canvas[150:270, 60:180] = np.asarray(strokes)
        pixels = paper + (ink - paper) * canvas / 255 + random.normal(0, 4, canvas.shape)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(tmp_path / f'{number:02}.png')
    assert main(['predict', str(folder), str(tmp_path), '--top', '1']) == 0
    out = capsys.readouterr().out
    lines = [line for line in out.splitlines() if '.png' in line and '%' in line]
    said = [int(line.split('.png')[1].replace('│', ' ').split()[0]) for line in lines]
    assert np.mean(np.array(said) == data.validation_y[:40]) > 0.7 and 'light on black and centred' in out


def test_evaluate_measures_what_training_measured(trained, capsys):
    folder, result = trained
    assert main(['evaluate', str(folder), '--int8']) == 0
    said, *lines = capsys.readouterr().out.splitlines()
    assert re.search(r'8 bits are [\d.]+ times as fast as 32 on this machine.*: (8|32) bits are the ones to take', said)
    assert lines[-2] == 'measured on digits, 296 validation images'
    found = dict(line.rsplit(None, 1) for line in lines[:-2])
    found = {name.strip(): float(value) for name, value in found.items()}
    assert found['accuracy'] == pytest.approx(result['metrics']['validation_accuracy']['last'], abs=1e-4)
    assert abs(found['accuracy in 8 bits'] - found['accuracy']) < 0.02
    assert read_evaluation(folder) == {'validation_accuracy_in_8_bits': pytest.approx(found['accuracy in 8 bits'], abs=1e-4)}
    counts = np.bincount(chapters.find('4.4').load('digits').validation_y.astype(int))
    classes = [found[f'accuracy of {digit}'] for digit in range(10)]
    assert np.dot(classes, counts) / counts.sum() == pytest.approx(found['accuracy'], abs=1e-3)
    assert {path.stem for path in (folder / 'figures').iterdir()} >= {'predictions', 'confusion', 'classes'}


def test_what_other_data_give_is_said_and_not_kept_as_the_runs_own(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv('HOME', str(tmp_path))  # where packs are kept
    shutil.copytree(trained[0], tmp_path / 'run')
    for digit in range(10):
        for part in ('train', 'val'):
            (tmp_path / 'drawn' / part / str(digit)).mkdir(parents=True)
            Image.new('L', (28, 28), 25 * digit).save(tmp_path / 'drawn' / part / str(digit) / 'one.png')
    before = read_evaluation(tmp_path / 'run')
    assert main(['evaluate', str(tmp_path / 'run'), '--data', str(tmp_path / 'drawn'), '--shifts']) == 0
    printed = capsys.readouterr().out
    assert 'accuracy over 3 views' in printed
    assert 'measured on drawn, 10 validation images; it was trained on digits: nothing is kept for reports' in printed
    assert read_evaluation(tmp_path / 'run') == before


def test_look_draws(trained, capsys):
    folder, _ = trained
    assert main(['look', str(folder), '3', '--unit', '1', '--layer', 'features.4']) == 0
    for name in ('activations', 'kernels', 'patches', 'heat', 't-sne'):
        with Image.open(folder / 'figures' / f'look-{name}.png') as picture:
            assert np.asarray(picture.convert('L')).std() > 5  # something is drawn


def test_shifted_views_are_what_augmentation_makes():
    from chapters.kit.data.augmentation import Augmentation
    image = np.random.default_rng(0).random((1, 2, 5, 5)).astype(np.float32)
    made = {one.tobytes() for one in Augmentation.parse('mirror reflect=1')(image, np.zeros(500, int),
                                                                            np.random.default_rng(0))}
    views = shifted_views(image, mirror=True)
    assert len({view.tobytes() for view in views}) == 6 and {view[0].tobytes() for view in views} <= made
    assert [view.tobytes() for view in shifted_views(image, mirror=False)] == [view.tobytes() for view in views[::2]]
    np.testing.assert_array_equal(views[0], image)


def test_ten_crops_are_corners_centre_and_mirror_images():
    images = np.arange(2 * 1 * 4 * 5, dtype=np.float32).reshape(2, 1, 4, 5)
    views = ten_crops(images, 2)
    assert [int(view[0, 0, 0, 0]) for view in views] == [0, 1, 3, 4, 10, 11, 13, 14, 6, 7]
    assert all(view.shape == (2, 1, 2, 2) for view in views)
    seen = []

    def predict(view):
        seen.append(view)
        return np.log(np.stack([view.mean(axis=(1, 2, 3)), np.full(2, 30.0)], axis=1))
    found = probabilities_of(predict, images, lambda part: ten_crops(part, 2))
    expected = np.mean([view.mean(axis=(1, 2, 3)) / (view.mean(axis=(1, 2, 3)) + 30) for view in views], axis=0)
    assert len(seen) == 10 and np.allclose(found[:, 0], expected, atol=1e-5)


@pytest.mark.parametrize('words, message', [
    (['predict', 'RUN', 'nowhere.png'], 'nowhere.png: no such file or folder'),
    (['predict', 'RUN', __file__], 'not a readable image'),
    (['predict', 'nowhere', __file__], 'not a run folder'),
    (['evaluate', 'RUN', '--crops'], 'no larger than the 28 pixels'),
    (['look', 'RUN', '0', '--layer', 'head'], 'there is no layer head; there are features.0'),
    (['look', 'RUN', '0', '--answer', 'cat'], 'the classes are 0, 1'),
])
def test_bad_input_is_one_line(trained, words, message, capsys):
    assert main([str(trained[0]) if word == 'RUN' else word for word in words]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count('\n') == 1
