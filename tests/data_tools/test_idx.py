"""IDX files: what is written is read back; whatever is wrong with a file is said in one line."""
import gzip
import os
import struct
from pathlib import Path

import numpy as np
import pytest

from data_tools.errors import UserError
from data_tools.idx import read_idx, write_idx


@pytest.mark.parametrize('suffix', ['', '.gz'])
@pytest.mark.parametrize('dtype', ['uint8', 'int8', 'int16', 'int32', 'float32', 'float64'])
def test_round_trip_of_every_type(tmp_path, dtype, suffix):
    array = (np.arange(-60, 60).reshape(2, 3, 4, 5) * (1.5 if dtype.startswith('float') else 1)).astype(dtype)
    path = tmp_path / f'a.idx4{suffix}'
    write_idx(path, array)
    back = read_idx(path)
    assert back.dtype == array.dtype and back.dtype.isnative
    np.testing.assert_array_equal(back, array)
    back[0] = 0  # writable
    assert (path.read_bytes()[:2] == b'\x1f\x8b') == bool(suffix)


def test_bytes_are_those_of_the_format(tmp_path):
    write_idx(tmp_path / 'a', np.array([[1, -2]], 'int16'))
    assert (tmp_path / 'a').read_bytes() == bytes.fromhex('00000b02 00000001 00000002 0001 fffe')


def test_compression_is_decided_by_the_content_not_the_name(tmp_path):
    array = np.arange(6, dtype='uint8')
    write_idx(tmp_path / 'a.gz', array)
    os.rename(tmp_path / 'a.gz', tmp_path / 'plain name')
    write_idx(tmp_path / 'b', array)
    os.rename(tmp_path / 'b', tmp_path / 'b.gz')
    np.testing.assert_array_equal(read_idx(tmp_path / 'plain name'), array)
    np.testing.assert_array_equal(read_idx(tmp_path / 'b.gz'), array)


def test_types_that_idx_does_not_have(tmp_path):
    for array in (np.zeros(3, 'int64'), np.zeros(3, bool), np.zeros((), 'uint8')):
        with pytest.raises(ValueError, match='IDX cannot hold'):
            write_idx(tmp_path / 'a', array)
    assert os.listdir(tmp_path) == []


GOOD = struct.pack('>HBBII', 0, 8, 2, 2, 3) + bytes(6)


@pytest.mark.parametrize('data, message', [
    (b'', 'empty file'),
    (GOOD[:3], 'not an IDX file'),
    (b'PNG ' + GOOD, 'not an IDX file: its magic number is 0x504e4720'),
    (struct.pack('>HBBI', 0, 7, 1, 3) + bytes(3), 'its magic number is 0x00000701'),
    (GOOD[:9], 'truncated: the header breaks off at offset 9 of 12'),
    (GOOD[:-1], r'truncated: 17 bytes where the header says 18 \(2 x 3 values\)'),
    (GOOD + b'12', '2 bytes too many after offset 18'),
    (struct.pack('>HBBIII', 0, 14, 3, 2**32 - 1, 2**32 - 1, 2**32 - 1), 'truncated: 16 bytes where'),
    (gzip.compress(GOOD, mtime=0)[:-6], 'truncated, the gzip data break off after'),
    (gzip.compress(GOOD, mtime=0)[:14] + b'\xff\xff\xff' + gzip.compress(GOOD, mtime=0)[17:], 'damaged gzip data'),
    (gzip.compress(GOOD, mtime=0)[:-8] + bytes(8), 'damaged gzip data'),
    (gzip.compress(GOOD[:-1], mtime=0), 'truncated: 17 bytes where'),
])
def test_damaged_files(tmp_path, data, message):
    path = tmp_path / 'train-images-idx3-ubyte'
    path.write_bytes(data)
    with pytest.raises(UserError, match=message) as caught:
        read_idx(path)
    assert str(caught.value).startswith(str(path)) and '\n' not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(UserError, match='no such file'):
        read_idx(tmp_path / 'none')
    with pytest.raises(UserError, match='cannot be read'):
        read_idx(tmp_path)


def test_real_mnist():
    folder = Path(os.environ.get('BOOKCNN_DATA', ''), 'mnist')
    if not os.environ.get('BOOKCNN_DATA') or not folder.is_dir():
        pytest.skip('set BOOKCNN_DATA to a folder with mnist/ to read the real files')
    images = read_idx(folder / 'train-images-idx3-ubyte.gz')
    labels = read_idx(folder / 'train-labels-idx1-ubyte.gz')
    assert images.shape == (60000, 28, 28) and labels[:10].tolist() == [5, 0, 4, 1, 9, 2, 1, 3, 1, 4]
    assert abs(images.mean() / 255 - 0.1307) < 1e-4  # the mean that the whole field normalises by
