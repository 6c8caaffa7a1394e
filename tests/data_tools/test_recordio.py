"""Records and packs as MXNet's own readers and writers see them."""
import gc
import random
import runpy
import sys

import mxnet as mx
import numpy as np
import pytest

from data_tools.recordio import (
    MAGIC_BYTES,
    PART_LIMIT,
    frame,
    image_payload,
    parse_image,
    read_all,
    read_listed,
    read_record,
)


def im2rec(*arguments):
    """Run MXNet's im2rec in this process."""
    before = sys.argv, list(sys.path), random.getstate()
    sys.argv = ['im2rec'] + [str(argument) for argument in arguments]
    try:
        runpy.run_module('mxnet.tools.im2rec', run_name='__main__')
    finally:
        sys.argv, sys.path[:] = before[0], before[1]
        random.setstate(before[2])
        gc.collect()  # closes the .rec, which im2rec leaves to the end of its process


def magic_payloads():
    """Payloads with the magic number at every alignment, at both ends, twice in a row."""
    generator = random.Random(1)
    yield from (b'', b'a', MAGIC_BYTES, MAGIC_BYTES * 3, b'\0' * 5)
    for _ in range(300):
        payload = b''
        for _ in range(generator.randrange(6)):
            payload += generator.choice([MAGIC_BYTES, bytes(generator.randrange(9)), b'xyz', MAGIC_BYTES[:2]])
        yield payload


def test_framing_is_mxnets_byte_for_byte(tmp_path):
    payloads = list(magic_payloads())
    writer = mx.recordio.MXRecordIO(str(tmp_path / 'a.rec'), 'w')
    for payload in payloads:
        writer.write(payload)
    writer.close()
    assert b''.join(map(frame, payloads)) == (tmp_path / 'a.rec').read_bytes()
    assert [record.payload for record in read_all(tmp_path / 'a.rec')] == payloads
    reader = mx.recordio.MXRecordIO(str(tmp_path / 'a.rec'), 'r')
    assert [reader.read() for _ in payloads] == payloads


@pytest.mark.parametrize('labels', [(3.0,), (0.1, 0.2), tuple(range(12))])
def test_image_payload_is_mxnets(labels):
    header = mx.recordio.IRHeader(0, labels[0] if len(labels) == 1 else np.array(labels, 'f4'), 2 ** 40 + 7,
                                  0)
    assert image_payload(2 ** 40 + 7, labels, b'data') == mx.recordio.pack(header, b'data')


def test_512_megabytes(tmp_path):
    """More than a part can hold is refused, unless the payload can be cut: MXNet reads that."""
    with pytest.raises(ValueError, match='512 MB'):
        frame(bytes(PART_LIMIT))
    payload = bytearray(PART_LIMIT + 400)
    payload[400 << 20:(400 << 20) + 4] = MAGIC_BYTES
    payload[-1] = 7
    payload = bytes(payload)
    with open(tmp_path / 'a.rec', 'wb') as file:
        file.write(frame(payload))
    assert mx.recordio.MXRecordIO(str(tmp_path / 'a.rec'), 'r').read() == payload
    with open(tmp_path / 'a.rec', 'rb') as file:
        assert read_record(file, 0, file.seek(0, 2)).payload == payload
    (tmp_path / 'a.rec').unlink()


def test_im2rec_pass_through_gives_the_same_files(tmp_path, photos, command):
    im2rec('--list', '--recursive', tmp_path / 'theirs', photos)
    im2rec('--pass-through', tmp_path / 'theirs', photos)
    assert command('pack', photos, tmp_path / 'ours', '--workers', 1)[0] == 0
    for ending in ('.rec', '.idx', '.lst'):
        ours, theirs = (tmp_path / f'{name}{ending}' for name in ('ours', 'theirs'))
        assert ours.read_bytes() == theirs.read_bytes(), ending


def test_im2rec_with_several_labels_gives_the_same_files(tmp_path, photos, command):
    """A detection list: header width, label width, objects; ids neither sorted nor without gaps."""
    files = sorted(path.relative_to(photos) for path in photos.rglob('*.*'))
    lines = [f'{1000 - 3 * number}\t2\t5\t{number}\t0.1\t0.25\t0.5\t0.75\t{path}\n' for number,
             path in enumerate(files)]
    for name in ('theirs', 'ours'):
        (tmp_path / f'{name}.lst').write_text(''.join(lines))
    im2rec('--pass-through', '--pack-label', tmp_path / 'theirs', photos)
    assert command('pack', tmp_path / 'ours.lst', tmp_path / 'out', '--root', photos, '--workers', 1)[0] == 0
    for ending in ('.rec', '.idx'):
        assert (tmp_path / f'out{ending}').read_bytes() == (tmp_path / f'theirs{ending}').read_bytes(), ending
    iterator = mx.image.ImageDetIter(4, (3, 16, 16), path_imgrec=str(tmp_path / 'out.rec'),
                                     path_imgidx=str(tmp_path / 'out.idx'))
    label = next(iterator).label[0].asnumpy()
    np.testing.assert_allclose(label[:, 0], [[n, 0.1, 0.25, 0.5, 0.75] for n in range(4)], rtol=1e-6)


def test_our_commands_read_im2recs_pack(tmp_path, photos, command, contents):
    im2rec('--list', '--recursive', tmp_path / 'theirs', photos)
    im2rec('--pass-through', tmp_path / 'theirs', photos)
    assert command('rec', 'verify', tmp_path / 'theirs.rec')[0] == 0
    assert len(command('rec', 'ls', tmp_path / 'theirs.rec')[1].splitlines()) == 24
    assert command('rec', 'extract', tmp_path / 'theirs.rec', tmp_path / 'images')[0] == 0
    assert contents(tmp_path / 'images') == contents(photos)


def test_every_mxnet_reader_reads_our_pack(tmp_path, photos, command):
    assert command('pack', photos, tmp_path / 'a', '--workers', 1)[0] == 0
    rec, idx = str(tmp_path / 'a.rec'), str(tmp_path / 'a.idx')
    wanted = {image.id: (image.labels[0], image.data) for _, image, _ in read_listed(rec)}
    assert len(wanted) == 24

    reader = mx.recordio.MXIndexedRecordIO(idx, rec, 'r')
    for key in reader.keys:
        header, data = mx.recordio.unpack(reader.read_idx(key))
        assert (header.label, data) == wanted[key] and header.id == key

    dataset = mx.gluon.data.vision.ImageRecordDataset(rec)
    assert sorted(label for _, label in dataset) == [0.0] * 8 + [1.0] * 8 + [2.0] * 8

    iterator = mx.image.ImageIter(8, (3, 16, 16), path_imgrec=rec, path_imgidx=idx, shuffle=True)
    assert sorted(label for batch in iterator
                  for label in batch.label[0].asnumpy()) == [0] * 8 + [1] * 8 + [2] * 8

    iterator = mx.io.ImageRecordIter(path_imgrec=rec, path_imgidx=idx, data_shape=(3, 16, 16), batch_size=8,
                                     shuffle=True, preprocess_threads=1)
    seen = [(label, image) for batch in iterator
            for label, image in zip(batch.label[0].asnumpy(), batch.data[0].asnumpy())]
    decoded = [mx.image.imdecode(data).asnumpy().transpose(2, 0, 1) for _, data in wanted.values()]
    for label, image in seen:
        nearest = min(decoded, key=lambda other: np.abs(other - image).sum())
        assert np.abs(nearest - image).max() <= 2  # two JPEG decoders may differ by rounding
    assert sorted(label for label, _ in seen) == [0] * 8 + [1] * 8 + [2] * 8


def test_a_payload_with_the_magic_number_survives_the_whole_way(tmp_path, command, contents):
    """JPEG comments may hold anything, so also the magic number, at every alignment."""
    import cv2
    _, jpeg = cv2.imencode('.jpg', np.full((8, 8, 3), 90, np.uint8))
    jpeg = jpeg.tobytes()
    (tmp_path / 'in' / 'c').mkdir(parents=True)
    for shift in range(4):
        comment = b'.' * shift + MAGIC_BYTES * 2
        (tmp_path / 'in' / 'c' / f'{shift}.jpg').write_bytes(
            jpeg[:2] + b'\xff\xfe' + (len(comment) + 2).to_bytes(2, 'big') + comment + jpeg[2:])
    assert command('pack', tmp_path / 'in', tmp_path / 'a', '--workers', 1)[0] == 0
    assert (tmp_path / 'a.rec').read_bytes().count(MAGIC_BYTES) >= 4 + 6
    assert command('rec', 'verify', tmp_path / 'a.rec')[0] == 0
    assert command('rec', 'extract', tmp_path / 'a.rec', tmp_path / 'out')[0] == 0
    assert contents(tmp_path / 'out') == contents(tmp_path / 'in')
    reader = mx.recordio.MXIndexedRecordIO(str(tmp_path / 'a.idx'), str(tmp_path / 'a.rec'), 'r')
    for _, image, path in read_listed(tmp_path / 'a.rec'):
        assert mx.recordio.unpack(reader.read_idx(image.id))[1] == (tmp_path / 'in' / path).read_bytes()


def test_parse_image_keeps_labels_and_id():
    payload = image_payload(5, (1.5, -2.0, 3.25), b'x')

    class Record:
        offset = 0
    Record.payload = payload
    assert parse_image(Record) == (5, (1.5, -2.0, 3.25), b'x')
