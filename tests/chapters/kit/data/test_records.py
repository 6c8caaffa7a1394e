"""Training from RecordIO packs: the book's reader, the same numbers from the same seed, exact resuming."""
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace

import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.kit.perform import resume, run_experiment
from data_tools.pack import Job, pack
from data_tools.sources import open_source

_AUGMENTATION = ('crop=28 mirror rotate=20 aspect=0.15 shear=0.1 hue=10 saturation=20 lightness=25 smallest=0.88 '
                 'largest=1.2')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """`train.rec` of 330 and `test.rec` of 50 images of 32x32: a bright square, left in class a, right in class b."""
    from PIL import Image
    folder = tmp_path_factory.mktemp('packs')
    random = np.random.default_rng(0)
    for part, count in (('train', 330), ('test', 50)):
        for number in range(count):
            pixels = random.integers(0, 100, (32, 32, 3), np.uint8)
            side = number % 2
            pixels[10:22, 4 + 14 * side:14 + 14 * side] = random.integers(150, 256, 3)
            path = folder / 'images' / part / 'ab'[side] / f'{number:03}.png'
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(path)
        pack(open_source(folder / 'images' / part), str(folder / part), Job())
    return folder


def load(folder, augmentation, **changes):
    """The data of 5.5.7's kind of network, whose pixels go from 0 to 255."""
    experiment = replace(chapters.find('4.4').but(batch_size=50, augmentation=augmentation, **changes), scale=1.0)
    return experiment.load(str(folder))


def test_what_is_read_is_what_was_packed(folder):
    data = load(folder, 'crop=28')
    assert data.class_names == ('a', 'b')
    assert data.train_x.shape == (330, 3, 28, 28) and data.validation_x.shape == (50, 3, 28, 28)
    assert np.bincount(data.train_y.astype(int)).tolist() == [165, 165]
    for x, label in zip(data.validation_x, data.validation_y):
        halves = x[:, 10:18, 4:14].mean(), x[:, 10:18, 16:26].mean()
        assert np.argmax(halves) == label
    seen = {tuple(x[0, 0]) for x in data.train_x[:]}
    batches = [(x.asnumpy(), y.asnumpy()) for x, y in data.stream(np.random.default_rng(0))]
    assert [len(x) for x, _ in batches] == [50] * 7
    assert sum(tuple(x[0, 0]) in seen for xs, _ in batches for x in xs) < 50  # crops, not the centres


def test_an_epoch_is_repeated_exactly_and_another_is_another(folder):
    data = load(folder, _AUGMENTATION)
    a, b, c = ([(x.asnumpy(), y.asnumpy()) for x, y in data.stream(np.random.default_rng(seed))]
               for seed in (1, 1, 2))
    assert all((x == z).all() and (y == w).all() for (x, y), (z, w) in zip(a, b))
    assert not all((x == z).all() for (x, _), (z, _) in zip(a, c))


def test_killed_in_the_middle_of_an_epoch_it_goes_on_from_the_last_whole_one(folder, tmp_path):
    changes = {'augmentation': _AUGMENTATION, 'epochs': 4, 'initializer': 'xavier', 'momentum': 0.5,
               'learning_rate': 0.001, 'samples_per_epoch': 330}
    experiment = chapters.find('4.4').but(**changes)
    _, result = run_experiment(experiment, data=str(folder), out=tmp_path / 'whole', quiet=True)
    settings = [word for name, value in changes.items() for word in ('--set', f'{name}={value}')]
    process = subprocess.Popen([sys.executable, '-m', 'chapters', 'run', '4.4', '--data', str(folder), '--out',
                                str(tmp_path / 'killed'), *settings], stdout=subprocess.DEVNULL)
    latest = tmp_path / 'killed' / 'checkpoint' / 'latest.json'
    while not (latest.exists() and json.loads(latest.read_text())['epoch'] >= 1):
        assert process.poll() is None, 'the run ended before it could be killed'
        time.sleep(0.005)
    time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, resumed = resume(tmp_path / 'killed', chapters.find)
    assert resumed['metrics'] == result['metrics']
    one, two = (mx.nd.load(str(next((tmp_path / name).glob('model-*.params')))) for name in ('whole', 'killed'))
    assert all((one[name] == two[name]).asnumpy().all() for name in one)


def test_the_symbolic_form_trains_on_packs(folder, tmp_path):
    experiment = chapters.find('4.4').but(augmentation='crop=28', epochs=3, initializer='xavier', learning_rate=0.01)
    _, result = run_experiment(experiment, data=str(folder), out=tmp_path / 'run', form='symbolic', quiet=True)
    assert result['metrics']['train_accuracy']['last'] > 0.8


def test_fewer_samples_are_the_first_of_the_pack(folder, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    whole, part = load(folder, ''), load(folder, '', train_samples=70)
    assert len(part.train_x) == 70
    assert (part.train_x[:] == whole.train_x[:70]).all() and (part.train_y == whole.train_y[:70]).all()
    known = {x.tobytes() for x in part.train_x[:]}
    streamed = [x for xs, _ in part.stream(np.random.default_rng(0)) for x in xs.asnumpy()]
    assert len(streamed) == 100 and {x.tobytes() for x in streamed} == known  # 70, filled up to two batches of 50
    assert not list((tmp_path / '.bookcnn').rglob('*.rec'))


@pytest.mark.parametrize('samples', [1, 20, 49, 50, 51])
def test_a_batch_of_more_samples_than_there_are_has_them_again(folder, samples, tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    data = load(folder, '', train_samples=samples)
    batches = [x.asnumpy() for x, _ in data.stream(np.random.default_rng(0))]
    assert [len(x) for x in batches] == [50] * -(-samples // 50)
    if samples < 50:
        counts = np.unique(batches[0].reshape(50, -1), axis=0, return_counts=True)[1]
        assert len(counts) == samples and counts.max() - counts.min() <= 1
    generated = chapters.find('8.3').but(batch_size=50, train_samples=samples).load(str(folder))
    assert [len(x) for x, _ in generated.stream(np.random.default_rng(0))] == [50] * -(-samples // 50)


def test_images_of_another_size_are_brought_to_it_and_that_is_said(folder):
    data = load(folder, 'crop=14 mirror')
    assert data.train_x.shape[1:] == data.validation_x.shape[1:] == (3, 14, 14)
    assert data.facts.resize == 16 and '32x32 pixels: the shorter side to 16, then 14x14' in data.said


def test_packs_are_shifted_and_erased_too(folder):
    data = load(folder, 'shift=2 erase=5')  # small enough for the memory
    images, _ = data.batch(np.arange(len(data.train_x)).repeat(20), np.random.default_rng(0))
    assert np.mean([(image[:, 0] == 0).all() for image in images]) > 0.2  # moved down by a third, at least one pixel


def test_what_cuts_arrays_out_of_their_images_reads_them_from_packs(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    experiment = chapters.find('4.4').but(augmentation='crop=28 rotate=20', train_samples=64, epochs=1)
    run, result = run_experiment(experiment, data='digits', out=tmp_path / 'run', quiet=True)
    assert run.facts.shape == (1, 28, 28) and run.facts.strokes and run.facts.resize == 32
    assert len(list((tmp_path / '.bookcnn').rglob('train.rec'))) == 1


def test_training_and_evaluation_see_one_picture(tmp_path):
    """Held sideways or transparent, and packed as they are: what is looked at is what MXNet's reader trains on."""
    from PIL import Image
    pixels = np.zeros((28, 28, 4), np.uint8)
    pixels[:14, :, :3], pixels[:, :20, 3] = (200, 40, 90), 255
    pixels[:, 20:, :3] = (10, 250, 30)  # what lies hidden
    note = Image.Exif()
    note[274] = 6
    image = Image.fromarray(pixels)
    for part in ('train', 'val'):
        (tmp_path / 'in' / part / 'a').mkdir(parents=True)
        for number, (kind, how) in enumerate((('png', {}), ('png', {'exif': note}), ('jpg', {'exif': note, 'quality': 95}))):
            (image if kind == 'png' else image.convert('RGB')).save(tmp_path / 'in' / part / 'a' / f'{number}.{kind}', **how)
        pack(open_source(tmp_path / 'in' / part), str(tmp_path / 'packs' / part), Job(), shuffle=False)
    data = chapters.find('4.4').but(batch_size=3, augmentation='lightness=1').load(str(tmp_path / 'packs'))  # by the stream
    seen = np.stack([image for image in data.train_x[:]])
    np.testing.assert_allclose(seen, data.validation_x, atol=4 / 255)  # two decoders of JPEG round differently
    (x, _), = data.stream(np.random.default_rng(0))
    distances = np.abs(x.asnumpy()[:, None] - seen).max((2, 3, 4))  # the stream is in an order of its own
    assert distances.min(0).max() < 5 / 255 and distances.min(1).max() < 5 / 255
