"""Facts about the data stay with the run: whoever uses a trained network reads them there, wherever the data are now."""
import json
import os
import shutil

import numpy as np
import pytest
from PIL import Image

import chapters
from chapters.__main__ import main
from chapters.kit.experiment import Training
from chapters.kit.perform import resume, run_experiment
from chapters.kit.trained.answers import predict_files
from chapters.kit.trained.saved import load_run
from chapters.kit.training.recipe import Recipe
from data_tools.__main__ import main as data_tools
from data_tools.errors import UserError

CLASSES = [f'class{number:02}' for number in range(12)]


def write_photos(folder, classes=CLASSES, count=10, size=(56, 48), colour=True):
    """Pictures that are alike within a class: a bar of its own place and colour."""
    random = np.random.default_rng(0)
    for label, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for number in range(count):
            pixels = random.integers(0, 60, (size[1], size[0], 3), np.uint8)
            pixels[:, 4 * label:4 * label + 6] = (255, 20 * label, 128)
            image = Image.fromarray(pixels)
            (image if colour else image.convert('L')).save(folder / name / f'{number}.png')


@pytest.fixture(scope='module', autouse=True)
def home(tmp_path_factory):
    """A home of its own: what is packed once goes there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(tmp_path_factory.mktemp('home')))
        yield


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """Photographs of 12 classes, packed by the command that the README prints, and 4.4 trained on the packs."""
    place = tmp_path_factory.mktemp('place')
    write_photos(place / 'photos')
    before = os.getcwd()
    os.chdir(place)
    try:
        os.mkdir('packs')
        assert data_tools(['pack', 'photos', 'packs/data', '--split', 'train=0.8,val=0.2']) == 0
        assert main(['run', '4.4', '--data', 'packs', '--epochs', '15', '--batch-size', '8', '--out',
                     'run', '--set', 'initializer=xavier']) == 0
    finally:
        os.chdir(before)
    return place


def test_classes_and_channels_follow_the_data(place):
    config = json.loads((place / 'run' / 'config.json').read_text())
    assert config['facts']['class_names'] == CLASSES and config['facts']['shape'] == [3, 28, 28]
    assert config['sizes'] == {'classes': 12} and config['data'] == str(place / 'packs')
    assert load_run(place / 'run', chapters.find).network.output.weight.shape == (12, 64, 3, 3)


def test_everything_works_from_another_folder_and_after_the_packs_have_moved(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    files = [str(place / 'photos' / name / '0.png') for name in CLASSES]
    before = predict_files(load_run(place / 'run', chapters.find), files)
    assert np.mean([best[0][0] == name for (_, best), name in zip(before, CLASSES)]) > 0.5
    accuracy = json.loads((place / 'run' / 'result.json').read_text())['metrics']['validation_accuracy']['last']
    shutil.move(place / 'packs', place / 'elsewhere')
    try:
        after = predict_files(load_run(place / 'run', chapters.find), files)
        assert after == before
        assert main(['export', str(place / 'run'), '--onnx']) == 0
        assert main(['look', str(place / 'run'), files[0]]) == 0
        capsys.readouterr()
        assert main(['evaluate', str(place / 'run')]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert str(place / 'packs') in line and '--data' in line
        assert main(['evaluate', str(place / 'run'), '--data', str(place / 'elsewhere'), '--shifts']) == 0
        printed = capsys.readouterr().out
        assert f'accuracy                     {accuracy:.4f}' in printed and 'measured on elsewhere, ' in printed
        assert 'trained on' not in printed and (place / 'run' / 'evaluation.json').exists()  # they are its own
    finally:
        shutil.move(place / 'elsewhere', place / 'packs')


def test_other_data_are_not_evaluated_as_if_they_were_the_same(place, tmp_path):
    write_photos(tmp_path / 'others', CLASSES[:3])
    with pytest.raises(UserError, match='was trained on 12 classes'):
        load_run(place / 'run', chapters.find).load_data(str(tmp_path / 'others'))


def test_a_network_without_a_size_for_it_says_what_does_not_fit(place):
    def ten_answers(**kwargs):
        from chapters.ch03_mlp.mnist import MLP
        return MLP(classes=10, **kwargs)
    fixed = Training('fixed', 'Ten answers', network=ten_answers, sample_shape=(3, 28, 28), recipe=Recipe(epochs=1))
    with pytest.raises(UserError, match='has 12 classes, but the network answers with 10 numbers'):
        run_experiment(fixed, data=str(place / 'packs'), out=place / 'fixed')
    assert not (place / 'fixed').exists()
    with pytest.raises(UserError, match='classes=10, but the data have 12'):
        run_experiment(chapters.find('4.4').but(classes=10), data=str(place / 'packs'), out=place / 'fixed')


def test_a_kernel_larger_than_the_picture_is_one_line(place, capsys):
    assert main(['run', '4.4', '--data', str(place / 'packs'), '--set', 'pixels=8', '--out', str(place / 'small')]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert 'does not take samples of 3x8x8' in line and 'pixels=N' in line


def test_predict_sees_what_the_network_was_trained_on(place, tmp_path):
    """Without crop, pictures of 56x48 are brought to the network's own side, and predicted so."""
    experiment = chapters.find('5.5.7').but(augmentation='mirror', epochs=1, learning_rate=0.05)
    run, _ = run_experiment(experiment, data=str(place / 'packs'), out=tmp_path / 'run', quiet=True)
    assert run.facts.shape == (3, 28, 28) and run.facts.scale == 1 and '56x48' in run.data.said
    saved = load_run(tmp_path / 'run', chapters.find)
    files = sorted((place / 'photos').rglob('*.png'))
    seen = {saved.read_image(file).tobytes() for file in files}
    assert all(image.astype(np.float32).tobytes() in seen for image in run.data.validation_x)


def test_gray_pictures_train_as_gray_ones(tmp_path):
    write_photos(tmp_path / 'photos', CLASSES[:3], colour=False)
    run, _ = run_experiment(chapters.find('4.4').but(epochs=1), data=str(tmp_path / 'photos'), out=tmp_path / 'run')
    assert run.facts.shape == (1, 28, 28)


def test_a_run_does_not_go_on_with_other_data(place, tmp_path):
    write_photos(tmp_path / 'photos', CLASSES[:3])
    run, _ = run_experiment(chapters.find('4.4').but(epochs=1), data=str(tmp_path / 'photos'), out=tmp_path / 'run')
    (tmp_path / 'run' / 'result.json').unlink()  # as if it had been stopped
    for file in run.facts.files:
        os.unlink(file)
    shutil.rmtree(tmp_path / 'photos' / CLASSES[0])
    with pytest.raises(UserError, match='is not what it was when the run began'):
        resume(tmp_path / 'run', chapters.find)


def sixteen_grays(folder, side, seed, most=16):
    """Class folders of gray pictures whose pixels go from 0 to `most`: scikit-learn's digits, or masks, as files."""
    random = np.random.default_rng(seed)
    for label in 'ab':
        (folder / label).mkdir(parents=True)
        for number in range(30):
            pixels = random.integers(0, most // 2 + 1, (side, side), np.uint8)
            pixels[:, slice(0, side // 2) if label == 'a' else slice(side // 2, side)] += np.uint8(most // 2)
            Image.fromarray(pixels).save(folder / label / f'{number}.png')


def test_packs_say_how_far_their_pixels_go(tmp_path):
    for part, seed in (('train', 0), ('val', 1)):
        sixteen_grays(tmp_path / 'in' / part, 28, seed)
        assert data_tools(['pack', str(tmp_path / 'in' / part), str(tmp_path / 'packs' / part), '--workers', '1']) == 0
    run, _ = run_experiment(chapters.find('4.4').but(epochs=1), data=str(tmp_path / 'packs'), out=tmp_path / 'run')
    assert run.facts.scale == pytest.approx(1 / 16) and 'pixels from 0 to 16' in run.data.said
    assert run.data.train_x[:].max() == 1 and run.data.validation_x.max() == 1
    x, _ = next(iter(run.data.stream(np.random.default_rng(0)))) if run.data.stream else (run.data.train_x[:], None)
    assert np.max(x.asnumpy() if hasattr(x, 'asnumpy') else x) == pytest.approx(1)
    # Evaluating, the scale is the run's, whatever lies beside the packs by then.
    for path in (tmp_path / 'packs').glob('*.json'):
        path.unlink()
    assert load_run(tmp_path / 'run', chapters.find).load_data().validation_x.max() == pytest.approx(1)
    sixteen_grays(tmp_path / 'bright', 28, 2, most=254)
    for part, source in (('train', tmp_path / 'in' / 'train'), ('val', tmp_path / 'bright')):
        assert data_tools(['pack', str(source), str(tmp_path / 'mixed' / part), '--workers', '1']) == 0
    with pytest.raises(UserError, match='val.rec: its pixels go to 254, those of .*train.rec to 16'):
        run_experiment(chapters.find('4.4'), data=str(tmp_path / 'mixed'), out=tmp_path / 'no')


def test_a_run_knows_the_packs_that_it_was_trained_on(tmp_path):
    for part, seed in (('train', 0), ('val', 1)):
        sixteen_grays(tmp_path / 'in' / part, 28, seed, most=254)
        assert data_tools(['pack', str(tmp_path / 'in' / part), str(tmp_path / 'packs' / part), '--workers', '1']) == 0
    run, _ = run_experiment(chapters.find('4.4').but(epochs=1), data=str(tmp_path / 'packs'), out=tmp_path / 'run')
    assert len(run.facts.packed) == 2 and run.facts.packed[0].startswith('60 records, ')
    assert 'anew' not in load_run(tmp_path / 'run', chapters.find).load_data().note
    shutil.rmtree(tmp_path / 'in' / 'val')
    sixteen_grays(tmp_path / 'in' / 'val', 28, 9, most=254)
    assert data_tools(['pack', str(tmp_path / 'in' / 'val'), str(tmp_path / 'packs' / 'val'), '--workers', '1']) == 0
    assert 'made anew since it was trained' in load_run(tmp_path / 'run', chapters.find).load_data().note
    (tmp_path / 'run' / 'result.json').unlink()  # as if it had been stopped
    with pytest.raises(UserError, match='is not what it was when the run began .other packed'):
        resume(tmp_path / 'run', chapters.find)
