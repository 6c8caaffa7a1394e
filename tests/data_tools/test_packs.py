"""Packs as training sees them: labels and sizes without decoding, the first records without copying."""
import io
import os
import struct
import time

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from data_tools.errors import UserError
from data_tools.packs import first_records, looked_at
from data_tools.recordio import MAGIC, frame, image_payload, parse_image, read_all, read_labels


@pytest.fixture(autouse=True)
def alone(tmp_path_factory, monkeypatch):
    home = tmp_path_factory.mktemp('home')
    monkeypatch.setenv('HOME', str(home))
    return home


def picture(size=(8, 8), mode='RGB', kind='PNG', **options):
    data = io.BytesIO()
    Image.new(mode, size).save(data, kind, **options)
    return data.getvalue()


def write_pack(path, images, labels, ids=None):
    """A pack of encoded images; their .idx in the order of the ids, as MXNet writes it."""
    offset, lines = 0, []
    with open(path, 'wb') as file:
        for number, (data, label) in enumerate(zip(images, labels)):
            index = number if ids is None else ids[number]
            record = frame(image_payload(index, label, data))
            file.write(record)
            lines.append((index, offset))
            offset += len(record)
    path.with_suffix('.idx').write_text(''.join(f'{index}\t{at}\n' for index, at in sorted(lines)))
    return path


# ---- labels

@pytest.mark.parametrize('width', [1, 3])
def test_labels_are_those_that_mxnet_reads(tmp_path, width):
    random = np.random.default_rng(0)
    labels = random.normal(size=(50, width)).astype(np.float32)
    ids = random.permutation(1000)[:50].tolist()  # the .idx is in another order than the file
    path = write_pack(tmp_path / 'x.rec', [picture((8, 8 + n % 3)) for n in range(50)], labels.tolist(), ids)
    found = read_labels(path)
    assert found.dtype == np.float32 and found.shape == ((50,) if width == 1 else (50, width))
    np.testing.assert_array_equal(found.reshape(50, width), labels)
    reader = mx.io.ImageRecordIter(path_imgrec=str(path), data_shape=(3, 8, 8), batch_size=10, label_width=width,
                                   preprocess_threads=1, verbose=False)
    np.testing.assert_array_equal(found, np.concatenate([batch.label[0].asnumpy() for batch in reader]))


def test_labels_behind_the_header_and_magic_numbers_among_them(tmp_path):
    magic = struct.unpack('<f', struct.pack('<I', MAGIC))[0]
    data = picture()
    with open(tmp_path / 'x.rec', 'wb') as file:
        offsets = []
        for payload in (image_payload(0, [1.], data), struct.pack('<IfQQ', 1, 0, 1, 0) + struct.pack('<f', 7) + data,
                        image_payload(2, [magic], data), image_payload(MAGIC, [5.], data)):
            offsets.append(file.tell())
            file.write(frame(payload))
    (tmp_path / 'x.idx').write_text(''.join(f'{n}\t{offset}\n' for n, offset in enumerate(offsets)))
    wanted = [parse_image(record).labels[0] for record in read_all(tmp_path / 'x.rec')]
    assert wanted == [1, 7, magic, 5]
    np.testing.assert_array_equal(read_labels(tmp_path / 'x.rec'), np.array(wanted, np.float32))
    write_pack(tmp_path / 'y.rec', [data] * 3, [[1., magic, 2.]] * 3)
    np.testing.assert_array_equal(read_labels(tmp_path / 'y.rec'), np.array([[1, magic, 2]] * 3, np.float32))


def test_labels_of_large_images_are_read_at_once(tmp_path):
    random = np.random.default_rng(0)
    images = []
    for _ in range(20):
        data = io.BytesIO()
        Image.fromarray(random.integers(0, 256, (256, 256, 3), np.uint8)).save(data, 'jpeg', quality=80)
        images.append(data.getvalue())
    path = write_pack(tmp_path / 'x.rec', (images[n % 20] for n in range(6000)), ([n % 7] for n in range(6000)))
    seconds = []
    for _ in range(3):
        start = time.process_time()
        labels = read_labels(path)
        seconds.append(time.process_time() - start)
    np.testing.assert_array_equal(labels, np.arange(6000) % 7)
    assert min(seconds) < 0.2  # of the processor, whatever else runs: about 0.02; decoding takes several seconds


def test_labels_of_packs_that_are_wrong(tmp_path):
    path = write_pack(tmp_path / 'x.rec', [picture()] * 3, [[1.], [2., 3.], [4.]])
    with pytest.raises(UserError, match='another number of labels'):
        read_labels(path)
    path = write_pack(tmp_path / 'x.rec', [picture()] * 3, [[1.], [2.], [4.]])
    index = path.with_suffix('.idx')
    for line in ('1\t4\n', '1\t99999999\n', '1\t-8\n'):
        index.write_text('0\t0\n' + line)
        with pytest.raises(UserError, match='rec index'):
            read_labels(path)
    index.write_text('')
    with pytest.raises(UserError, match='holds no records'):
        read_labels(path)
    index.unlink()
    with pytest.raises(UserError, match='x.idx: cannot be read'):
        read_labels(path)


# ---- sizes and colours

def test_a_look_at_a_pack(tmp_path):
    same = write_pack(tmp_path / 'a.rec', [picture((9, 7), 'L', kind) for kind in ('PNG', 'JPEG', 'BMP')], [[0.]] * 3)
    look = looked_at(same)
    assert (look.count, look.smallest, look.largest, look.gray) == (3, (9, 7), (9, 7), True)
    mixed = write_pack(tmp_path / 'b.rec', [picture((9, 7), 'L'), picture((30, 5)), picture((6, 20), 'P'),
                                            picture((8, 8), 'RGB', 'JPEG')], [[0.]] * 4)
    look = looked_at(mixed)
    assert (look.count, look.smallest, look.largest, look.gray) == (4, (6, 5), (30, 20), False)


def test_a_photograph_on_its_side_counts_as_mxnet_reads_it(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    path = write_pack(tmp_path / 'x.rec', [picture((40, 20), 'RGB', 'JPEG', exif=exif)] * 2, [[0.]] * 2)
    assert looked_at(path).smallest == looked_at(path).largest == (20, 40)
    reader = mx.io.ImageRecordIter(path_imgrec=str(path), data_shape=(3, 40, 20), batch_size=2, verbose=False)
    assert next(reader).data[0].shape == (2, 3, 40, 20)  # as it stands: no crop of 40 x 20 fits into it otherwise


def test_a_sample_of_a_large_pack(tmp_path):
    images = [picture((5, 5), 'L')] * 300 + [picture((6, 7))]
    path = write_pack(tmp_path / 'x.rec', images, [[0.]] * 301)
    assert not looked_at(path).gray and looked_at(path).largest == (6, 7)
    look = looked_at(path, most=100)
    assert look.count == 301 and look.smallest == (5, 5)
    last = write_pack(tmp_path / 'y.rec', [picture((2, 2))] * 50 + [picture((3, 3))] * 50, [[0.]] * 100)
    assert looked_at(last, most=2).largest == (3, 3)  # spaced over all of it


def test_what_is_no_image(tmp_path):
    path = write_pack(tmp_path / 'x.rec', [picture(), b'no image'], [[0.]] * 2)
    with pytest.raises(UserError, match='is no image .* rec verify'):
        looked_at(path)


# ---- the first records

def labels_read(reader):
    found = []
    for batch in reader:
        found += batch.label[0].asnumpy()[:batch.data[0].shape[0] - batch.pad].astype(int).tolist()
    return found


@pytest.fixture(scope='module')
def two_hundred(tmp_path_factory):
    """200 records of several sizes whose labels are their places in the file; the .idx is in another order."""
    ids = np.random.default_rng(1).permutation(200).tolist()
    return write_pack(tmp_path_factory.mktemp('pack') / 'x.rec', [picture((8, 8 + n % 9)) for n in range(200)],
                      [[float(n)] for n in range(200)], ids)


@pytest.mark.parametrize('count, parts, batch_size', [
    (count, parts, batch_size)
    for count in (1, 37, 100, 199, 200) for parts in (1, 2, 3) for batch_size in (1, 5, 8, 33)
    if count >= parts * batch_size])  # MXNet wants as many images as a batch has
def test_exactly_the_first_records_once_an_epoch(two_hundred, count, parts, batch_size, alone):
    for shuffle in (True, False):
        seen = []
        for part in range(parts):
            reader = mx.io.ImageRecordIter(
                path_imgrec=str(two_hundred), data_shape=(3, 8, 8), batch_size=batch_size, shuffle=shuffle, seed=3,
                preprocess_threads=1, verbose=False, **first_records(two_hundred, count, parts, part))
            epoch = labels_read(reader)
            if count // parts % batch_size == 0 and count % parts == 0:  # else MXNet begins the next one further on
                reader.reset()
                again = labels_read(reader)
                assert sorted(again) == sorted(epoch)
                assert (again != epoch) == (shuffle and len(epoch) > 1)
            if len(epoch) > 10:
                assert (epoch != sorted(epoch)) == shuffle
            seen += epoch
        assert sorted(seen) == list(range(count))
    assert sum(path.stat().st_size for path in alone.rglob('*') if path.is_file()) < 10_000  # no record is copied


def test_the_index_alone_would_bring_all_records(two_hundred, tmp_path):
    """Why `first_records` is as it is: MXNet reads on from the last entry to the end of the file."""
    lines = sorted(two_hundred.with_suffix('.idx').read_text().splitlines(), key=lambda line: int(line.split('\t')[1]))
    (tmp_path / 'short.idx').write_text('\n'.join(lines[:37]) + '\n')
    reader = mx.io.ImageRecordIter(path_imgrec=str(two_hundred), path_imgidx=str(tmp_path / 'short.idx'),
                                   data_shape=(3, 8, 8), batch_size=1, preprocess_threads=1, verbose=False)
    assert len(labels_read(reader)) == 200


def test_first_records_of_a_pack_that_changes(two_hundred, tmp_path, alone):
    assert first_records(two_hundred, 0)['path_imgidx'] == str(two_hundred.with_suffix('.idx'))
    assert first_records(two_hundred, 500)['path_imgidx'] == str(two_hundred.with_suffix('.idx'))
    path = write_pack(tmp_path / 'x.rec', [picture()] * 9, [[0.]] * 9)
    first = first_records(path, 4)
    assert first == first_records(path, 4) and first['path_imgidx'].startswith(str(alone / '.bookcnn' / 'packs'))
    write_pack(path, [picture((20, 20))] * 9, [[0.]] * 9)
    os.utime(path, ns=(0, 1))
    assert first_records(path, 4) != first
    with pytest.raises(UserError, match='1 records are fewer than the 2 workers'):
        first_records(path, 1, parts=2)
