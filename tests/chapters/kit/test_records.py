"""Training from RecordIO packs: the book's reader, the same numbers from the same seed, exact resuming."""
import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import chapters
from chapters.kit.augmentation import Augmentation
from chapters.kit.program import resume, run_experiment
from chapters.kit.records import load_records
from chapters.kit.runtime import mx
from data_tools.errors import UserError
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


def test_what_is_read_is_what_was_packed(folder):
    data = load_records(str(folder), None, Augmentation.parse('crop=28'), 50)
    assert data['class_names'] == ('a', 'b')
    assert data['train_x'].shape == (330, 3, 28, 28) and data['validation_x'].shape == (50, 3, 28, 28)
    assert np.bincount(data['train_y'].astype(int)).tolist() == [165, 165]
    for x, label in zip(data['validation_x'], data['validation_y']):
        halves = x[:, 10:18, 4:14].mean(), x[:, 10:18, 16:26].mean()
        assert np.argmax(halves) == label
    seen = {tuple(x[0, 0]) for x in data['train_x'][:]}
    batches = [(x.asnumpy(), y.asnumpy()) for x, y in data['stream'](np.random.default_rng(0))]
    assert [len(x) for x, _ in batches] == [50] * 7
    assert sum(tuple(x[0, 0]) in seen for xs, _ in batches for x in xs) < 50  # crops, not the centres


def test_an_epoch_is_repeated_exactly_and_another_is_another(folder):
    data = load_records(str(folder), None, Augmentation.parse(_AUGMENTATION), 50)
    a, b, c = ([(x.asnumpy(), y.asnumpy()) for x, y in data['stream'](np.random.default_rng(seed))]
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
    whole = load_records(str(folder), None, Augmentation(), 50)
    part = load_records(str(folder), None, Augmentation(), 50, train_samples=70)
    assert len(part['train_x']) == 70
    assert (part['train_x'][:] == whole['train_x'][:70]).all() and (part['train_y'] == whole['train_y'][:70]).all()


@pytest.mark.parametrize('text, message', [('crop=40', 'smaller than crop=40'), ('shift=2', 'act on arrays')])
def test_what_packs_cannot_do_is_said(folder, text, message):
    with pytest.raises(UserError, match=message):
        load_records(str(folder), None, Augmentation.parse(text), 50)


def test_arrays_cannot_be_rotated(tmp_path):
    with pytest.raises(UserError, match='not read from .rec files'):
        run_experiment(chapters.find('4.4').but(augmentation='rotate=20'), data='digits', out=tmp_path / 'run')
