"""Image sets: found, checked, in one form; every kind of bad file is one clear line."""
import os
import time
from pathlib import Path

import numpy as np
import pytest

from data_tools import datasets
from data_tools import fetch as fetch_module
from data_tools.datasets import load, load_idx_folder
from data_tools.errors import UserError
from data_tools.fetch import Source
from data_tools.idx import write_idx

REAL_DATA = os.environ.get('BOOKCNN_DATA')


@pytest.fixture(autouse=True)
def alone(tmp_path_factory, monkeypatch):
    """A home of its own, no $BOOKCNN_DATA, no network."""
    home = tmp_path_factory.mktemp('home')
    monkeypatch.setenv('HOME', str(home))
    monkeypatch.delenv('BOOKCNN_DATA', raising=False)
    for name, source in list(fetch_module.SOURCES.items()):
        monkeypatch.setitem(fetch_module.SOURCES, name, Source(source.files, ('http://127.0.0.1:9/',)))
    return home


def make_idx(folder, train=6, test=4, side=28, suffix='.gz', separator='-', labels=None, seed=0):
    """A folder with four IDX files of random images."""
    random = np.random.RandomState(seed)
    folder.mkdir(parents=True, exist_ok=True)
    arrays = {}
    for split, count in (('train', train), ('t10k', test)):
        arrays[split] = (random.randint(0, 256, (count, side, side)).astype('uint8'),
                         random.randint(0, 10, count).astype('uint8') if labels is None
                         else np.resize(labels, count).astype('int32'))
        write_idx(folder / f'{split}-images{separator}idx3-ubyte{suffix}', arrays[split][0])
        write_idx(folder / f'{split}-labels{separator}idx1-ubyte{suffix}', arrays[split][1])
    return arrays


def check(found, arrays):
    assert found.train_images.dtype == np.uint8 and found.train_labels.dtype == np.int32
    np.testing.assert_array_equal(found.train_images[:, 0], arrays['train'][0])
    np.testing.assert_array_equal(found.train_labels, arrays['train'][1])
    np.testing.assert_array_equal(found.test_images[:, 0], arrays['t10k'][0])
    np.testing.assert_array_equal(found.test_labels, arrays['t10k'][1])
    assert found.train_images.shape[1] == 1
    assert len(found.class_names) == len(found.class_names_zh)


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('separator', ['-', '.'])
def test_mnist_from_its_folder_or_the_one_above(tmp_path, suffix, separator):
    arrays = make_idx(tmp_path / 'mnist', suffix=suffix, separator=separator)
    for root in (tmp_path, tmp_path / 'mnist', str(tmp_path)):
        found = load('mnist', root)
        check(found, arrays)
        assert found.name == 'mnist' and found.class_names == tuple('0123456789') and found.note == ''
        assert found.strokes and f'four IDX files of {tmp_path}/mnist: 6 images for training' in found.said


def test_order_of_the_roots(tmp_path, monkeypatch, alone):
    at_home = make_idx(alone / '.bookcnn' / 'data' / 'mnist', seed=1, suffix='')
    in_variable = make_idx(tmp_path / 'variable' / 'mnist', seed=2)
    given = make_idx(tmp_path / 'given' / 'mnist', seed=3)
    (tmp_path / 'empty').mkdir()
    check(load('mnist'), at_home)
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path / 'variable'))
    check(load('mnist'), in_variable)
    check(load('mnist', tmp_path / 'given'), given)
    check(load('mnist', tmp_path / 'empty'), in_variable)
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path / 'variable' / 'mnist'))
    check(load('mnist'), in_variable)


def test_nothing_found_and_no_network(tmp_path, monkeypatch, alone):
    (tmp_path / 'fashion').mkdir()
    (tmp_path / 'fashion' / 'sprite.png').write_bytes(b'')
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path))
    with pytest.raises(UserError) as caught:
        load('fashion')
    line = str(caught.value)
    assert '\n' not in line
    assert f't10k-labels-idx1-ubyte.gz into {alone}/.bookcnn/data/fashion' in line
    assert '--data digits' in line and 'fashion (holds sprite.png)' in line
    with pytest.raises(UserError, match='--data digits'):
        load('mnist', tmp_path)


def test_downloaded_when_nowhere_else(tmp_path, monkeypatch, alone):
    """Through a real server, with the checksums of these small files."""
    import functools
    import http.server
    import threading

    arrays = make_idx(tmp_path / 'web')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'web'))
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, 'log_message', lambda *arguments: None)
    with http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        files = {path.name: fetch_module.sha256_of(path) for path in (tmp_path / 'web').iterdir()}
        url = f'http://127.0.0.1:{server.server_address[1]}/'
        monkeypatch.setitem(fetch_module.SOURCES, 'mnist', Source(files, (url,)))
        check(load('mnist'), arrays)
        server.shutdown()
    check(load('mnist'), arrays)  # and now from the disk
    assert sorted(os.listdir(alone / '.bookcnn' / 'data' / 'mnist')) == sorted(files)


def test_any_folder(tmp_path):
    arrays = make_idx(tmp_path / 'letters', side=12, labels=[0, 3, 7, 3], suffix='')
    found = load_idx_folder(tmp_path / 'letters')
    check(found, arrays)
    assert found.name == 'letters' and found.class_names == tuple('01234567')
    assert '1x12x12' in found.note and 'no training image has label 1, 2, 4, 5, 6' in found.note


def test_any_folder_with_colour_images(tmp_path):
    make_idx(tmp_path)
    for split in ('train', 't10k'):
        (tmp_path / f'{split}-images-idx3-ubyte.gz').unlink()
        count = 6 if split == 'train' else 4
        write_idx(tmp_path / f'{split}-images-idx4-ubyte', np.zeros((count, 3, 8, 9), 'uint8'))
    assert load_idx_folder(tmp_path).train_images.shape == (6, 3, 8, 9)


def test_unknown_root(tmp_path):
    with pytest.raises(UserError, match='no such folder'):
        load('mnist', tmp_path / 'none')


def replace(folder, file, array):
    (folder / f'{file}.gz').unlink()
    write_idx(folder / f'{file}.gz', array)


@pytest.mark.parametrize('file, array, message', [
    ('train-labels-idx1-ubyte', np.zeros(5, 'uint8'), '6 images but train-labels-idx1-ubyte.gz 5 labels'),
    ('t10k-labels-idx1-ubyte', np.zeros(7, 'uint8'), '4 images but t10k-labels-idx1-ubyte.gz 7 labels'),
    ('train-labels-idx1-ubyte', np.array([0, 1, 10, 3, 4, 5], 'uint8'), 'label number 2 is 10, out of range'),
    ('train-labels-idx1-ubyte', np.array([0, 1, 2, 3, 4, -1], 'int8'), 'label number 5 is -1, out of range'),
    ('train-labels-idx1-ubyte', np.zeros(6, 'float32'), 'holds 1-dimensional float32; labels are'),
    ('train-labels-idx1-ubyte', np.zeros((6, 1), 'uint8'), 'holds 2-dimensional uint8; labels are'),
    ('train-images-idx3-ubyte', np.zeros((6, 784), 'uint8'), 'holds 2-dimensional uint8; images are'),
    ('train-images-idx3-ubyte', np.zeros((6, 28, 28), 'int16'), 'holds 3-dimensional int16; images are'),
    ('train-images-idx3-ubyte', np.zeros((6, 28, 27), 'uint8'), 'images of 1x28x27, but those of this set'),
    ('train-images-idx3-ubyte', np.zeros((0, 28, 28), 'uint8'), 'holds no images'),
])
def test_files_at_odds(tmp_path, file, array, message):
    make_idx(tmp_path / 'mnist')
    replace(tmp_path / 'mnist', file, array)
    with pytest.raises(UserError, match=message) as caught:
        load('mnist', tmp_path)
    assert str(tmp_path / 'mnist') in str(caught.value) and '\n' not in str(caught.value)


def test_folder_at_odds(tmp_path):
    make_idx(tmp_path, side=12)
    replace(tmp_path, 't10k-images-idx3-ubyte', np.zeros((4, 13, 12), 'uint8'))
    with pytest.raises(UserError, match='images of 1x12x12 for training but of 1x13x12 for testing'):
        load_idx_folder(tmp_path)
    replace(tmp_path, 't10k-images-idx3-ubyte', np.zeros((4, 12, 12), 'uint8'))
    replace(tmp_path, 't10k-labels-idx1-ubyte', np.array([0, 1, -7, 2], 'int32'))
    with pytest.raises(UserError, match='label number 2 is -7, out of range'):
        load_idx_folder(tmp_path)


def test_missing_and_damaged_file(tmp_path):
    make_idx(tmp_path / 'mnist')
    path = tmp_path / 'mnist' / 't10k-labels-idx1-ubyte.gz'
    whole = path.read_bytes()
    path.write_bytes(whole[:-3])
    with pytest.raises(UserError, match='t10k-labels-idx1-ubyte.gz: truncated'):
        load('mnist', tmp_path)
    path.unlink()
    with pytest.raises(UserError, match=r't10k-labels-idx1-ubyte\[\.gz\] is missing'):
        load('mnist', tmp_path)
    (tmp_path / 'mnist' / 'train-images-idx3-ubyte.gz').unlink()
    with pytest.raises(UserError, match=r'train-images-idx3-ubyte\[\.gz\] is missing'):
        load_idx_folder(tmp_path / 'mnist')
    assert load_idx_folder(tmp_path) is None


def test_fashion_files_under_the_name_of_mnist(tmp_path):
    make_idx(tmp_path / 'mnist', test=12)
    labels = np.array([9, 2, 1, 1, 6, 1, 4, 6, 5, 7, 4, 5], 'uint8')
    replace(tmp_path / 'mnist', 't10k-labels-idx1-ubyte', labels)
    with pytest.raises(UserError, match='files of fashion, not of mnist; use --data fashion'):
        load('mnist', tmp_path)
    assert load('fashion', tmp_path / 'mnist').class_names[9] == 'ankle boot'


def test_digits():
    found = load('digits')
    assert found.train_images.shape == (1501, 1, 28, 28) and found.test_images.shape == (296, 1, 28, 28)
    assert found.train_images.dtype == np.uint8 and found.train_labels.dtype == np.int32
    assert np.bincount(found.test_labels).min() >= 29  # every class alike
    assert 'standing in for MNIST' in found.note and found.strokes and '1,501 images' in found.said
    again = load('digits')
    np.testing.assert_array_equal(found.train_images, again.train_images)
    # as MNIST's: the centre of mass within a pixel of the middle, a border of nothing
    images = np.concatenate([found.train_images, found.test_images])[:, 0].astype(float)
    rows = (images.sum(axis=2) * np.arange(28)).sum(axis=1) / images.sum(axis=(1, 2))
    columns = (images.sum(axis=1) * np.arange(28)).sum(axis=1) / images.sum(axis=(1, 2))
    assert np.abs(rows - 13.5).max() <= 1 and np.abs(columns - 13.5).max() <= 1
    assert images.max() == 255 and images[:, 0].max() == 0 and images[:, :, -1].max() == 0
    # no test image is among those for training
    trained = {image.tobytes() for image in found.train_images}
    assert not any(image.tobytes() in trained for image in found.test_images)


def test_real_mnist():
    root = REAL_DATA
    if not root or not Path(root, 'mnist').is_dir():
        pytest.skip('set BOOKCNN_DATA to a folder with mnist/ to load the real files')
    start = time.perf_counter()
    found = load('mnist', root)
    seconds = time.perf_counter() - start
    assert found.train_images.shape == (60000, 1, 28, 28) and found.test_images.shape == (10000, 1, 28, 28)
    assert found.test_labels[:10].tolist() == datasets._FIRST_TEST_LABELS['mnist']
    assert np.bincount(found.train_labels)[:3].tolist() == [5923, 6742, 5958]
    assert seconds < 10  # about 0.5; a loop over images in Python would take far longer
