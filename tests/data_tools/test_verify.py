"""`rec verify` finds every damage and says where; the other `rec` commands take packs apart and mend them."""
import random
import re

import pytest

from data_tools.recordio import frame, image_payload, read_all, read_images
from data_tools.verify import verify


@pytest.fixture
def pack_path(tmp_path, make_photos, command):
    """A pack of six small images, one to a label, without .crc."""
    make_photos(tmp_path / 'photos', ('a', 'b'), 3, size=8)
    assert command('pack', tmp_path / 'photos', tmp_path / 'x', '--workers', 1)[0] == 0
    return tmp_path / 'x.rec'


def flipped(data, bit):
    return data[:bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1:]


def test_every_flipped_bit_of_a_header_is_found_without_checksums(pack_path):
    pack_path.with_suffix('.crc').unlink()
    whole = pack_path.read_bytes()
    offsets = [record.offset for record in read_all(pack_path)]
    for offset in offsets:
        for bit in range(offset * 8, (offset + 32) * 8):
            pack_path.write_bytes(flipped(whole, bit))
            found = verify(pack_path)
            assert found.problems, (offset, bit)
            assert any(re.search(f'offset {offset}\\b', line) for _, line, _ in found.problems), found.problems
    pack_path.write_bytes(whole)
    assert not verify(pack_path).problems


def test_every_flipped_bit_of_several_labels_is_found(tmp_path, make_photos, command):
    make_photos(tmp_path / 'photos', ('a',), 3, size=8)
    (tmp_path / 'x.lst').write_text(''.join(f'{n}\t2\t5\t{n}\t0.1\t0\t1\t1\ta/{n:04}.jpg\n'
                                            for n in range(3)))
    assert command('pack', tmp_path / 'x.lst', tmp_path / 'p', '--root', tmp_path / 'photos', '--workers',
                   1)[0] == 0
    (tmp_path / 'p.crc').unlink()
    whole = (tmp_path / 'p.rec').read_bytes()
    second = list(read_all(tmp_path / 'p.rec'))[1].offset
    for bit in range(second * 8, (second + 32 + 7 * 4) * 8):
        (tmp_path / 'p.rec').write_bytes(flipped(whole, bit))
        assert verify(tmp_path / 'p.rec').problems, bit


def test_every_flipped_bit_anywhere_is_found_with_checksums(pack_path):
    """Without decoding, so that it is surely the checksum that finds it."""
    whole = pack_path.read_bytes()
    generator = random.Random(5)
    for bit in generator.sample(range(len(whole) * 8), 1500):
        pack_path.write_bytes(flipped(whole, bit))
        assert verify(pack_path, decode=False).problems, bit


def test_every_truncation_is_found(pack_path):
    whole = pack_path.read_bytes()
    pack_path.with_suffix('.crc').unlink()
    edges = [record.offset for record in read_all(pack_path)]
    for length in range(len(whole)):
        if length % 7 and min(abs(length - edge) for edge in edges) > 36:
            continue  # in the middle of a payload
        pack_path.write_bytes(whole[:length])
        assert verify(pack_path, decode=False).problems, length


def test_lost_doubled_and_exchanged_records_are_named(pack_path, command):
    whole = pack_path.read_bytes()
    pack_path.with_suffix('.crc').unlink()
    records = [(whole[record.offset:record.end], image.id) for record, image in read_images(pack_path)]
    for position, (piece, index) in enumerate(records):
        pieces = [piece for piece, _ in records]
        lost = pieces[:position] + pieces[position + 1:]
        doubled = pieces[:position] + [piece] + pieces[position:]
        for changed in (lost, doubled, pieces[1:] + pieces[:1]):
            pack_path.write_bytes(b''.join(changed))
            code, out, _ = command('rec', 'verify', pack_path)
            assert code == 1 and re.search(f'id {index}\\b.*offset \\d+', out), out


def test_a_wrong_label_an_extra_list_line_and_a_damaged_sidecar(pack_path, command):
    lst = pack_path.with_suffix('.lst')
    lines = lst.read_text().splitlines(True)
    lst.write_text(lines[0].replace('\t0.', '\t5.').replace('\t1.', '\t5.') + ''.join(lines[1:])
                   + '99\t0.000000\ta/lost.jpg\n')
    code, out, _ = command('rec', 'verify', pack_path)
    assert code == 1 and 'its label is not that in the .lst' in out and 'a/lost.jpg' in out
    lst.write_text(''.join(lines))
    crc = pack_path.with_suffix('.crc')
    crc.write_text('\n'.join(crc.read_text().splitlines()[:-1]))
    assert 'x.crc: not whole' in command('rec', 'verify', pack_path)[1]


def test_salvage_copies_all_whole_records(pack_path, command, tmp_path):
    whole = pack_path.read_bytes()
    records = [(record.offset, record.end, image.id) for record, image in read_images(pack_path)]
    generator = random.Random(2)
    for number in range(30):
        hurt = sorted(generator.sample(range(6), 2))
        pieces = [whole[start:end] for start, end, _ in records]
        first = bytearray(pieces[hurt[0]])
        if number % 2:
            first[generator.randrange(len(first))] ^= 1 << generator.randrange(8)
        else:
            del first[generator.randrange(4, len(first) - 4):]  # the rest moves to any offset
        pieces[hurt[0]] = bytes(first)
        pieces[hurt[1]] = pieces[hurt[1]][:9]
        pack_path.write_bytes(b''.join(pieces))
        assert command('rec', 'verify', pack_path, '--no-decode')[0] == 1
        code, out, err = command('rec', 'salvage', pack_path, tmp_path / 'saved.rec')
        assert code == 0, err
        assert [image.id for _, image in read_images(tmp_path / 'saved.rec')] == [
            index for position, (_, _, index) in enumerate(records) if position not in hurt]
        assert command('rec', 'verify', tmp_path / 'saved.rec')[0] == 0
    code, _, err = command('rec', 'salvage', pack_path, pack_path)
    assert code == 2 and 'damaged pack itself' in err


def test_split_and_merge_give_the_pack_back(tmp_path, photos, command):
    assert command('pack', photos, tmp_path / 'x', '--workers', 1)[0] == 0
    assert command('rec', 'split', tmp_path / 'x.rec', tmp_path / 'y', '--shards', 5)[0] == 0
    assert command('rec', 'merge', tmp_path / 'z.rec', *(tmp_path / f'y_{n}.rec' for n in range(5)))[0] == 0
    for ending in ('.rec', '.idx', '.lst', '.crc', '.classes.txt'):
        assert (tmp_path / f'z{ending}').read_bytes() == (tmp_path / f'x{ending}').read_bytes(), ending
    assert command('rec', 'diff', tmp_path / 'x.rec', tmp_path / 'z.rec')[0] == 0

    assert command('rec', 'split', tmp_path / 'x.rec', tmp_path / 's', '--split',
                   'train=0.75,val=0.25')[0] == 0
    for part, count in (('train', 6), ('val', 2)):
        labels = [image.labels[0] for _, image in read_images(tmp_path / f's_{part}.rec')]
        assert sorted(labels) == [0.0] * count + [1.0] * count + [2.0] * count
    assert command('rec', 'merge', tmp_path / 'm.rec', tmp_path / 's_val.rec',
                   tmp_path / 's_train.rec')[0] == 0
    code, out, _ = command('rec', 'diff', tmp_path / 'x.rec', tmp_path / 'm.rec')
    assert code == 1 and 'another order' in out and '1 difference' in out


def test_merge_refuses_what_would_be_ambiguous(tmp_path, photos, make_photos, command):
    command('pack', photos, tmp_path / 'x', '--workers', 1)
    command('pack', make_photos(tmp_path / 'other', ('ant', 'bee')), tmp_path / 'y', '--workers', 1)
    code, _, err = command('rec', 'merge', tmp_path / 'z.rec', tmp_path / 'x.rec', tmp_path / 'x.rec')
    assert code == 2 and '--renumber' in err and len(err.splitlines()) == 1
    code, _, err = command('rec', 'merge', tmp_path / 'z.rec', tmp_path / 'x.rec', tmp_path / 'y.rec')
    assert code == 2 and 'classes' in err
    assert not list(tmp_path.glob('z*'))
    code, out, _ = command('rec', 'merge', '--renumber', tmp_path / 'z.rec', tmp_path / 'x.rec',
                           tmp_path / 'x.rec')
    assert code == 0 and '24 duplicates' in out
    assert [image.id for _, image in read_images(tmp_path / 'z.rec')] == list(range(48))


def test_merge_notices_a_damaged_payload(pack_path, command, tmp_path):
    data = pack_path.read_bytes()
    pack_path.write_bytes(flipped(data, (len(data) - 40) * 8))
    code, _, err = command('rec', 'merge', tmp_path / 'z.rec', pack_path)
    assert code == 2 and '.crc' in err and not (tmp_path / 'z.rec').exists()


def test_diff_tells_labels_images_and_absence_apart(tmp_path, command):
    for name, images in (('a', {1: (0, b'x'), 2: (0, b'y'), 3: (0, b'z')}),
                         ('b', {1: (1, b'x'), 2: (0, b'Y'), 4: (0, b'z')})):
        (tmp_path / f'{name}.rec').write_bytes(b''.join(
            frame(image_payload(index, (label,), data)) for index, (label, data) in images.items()))
    code, out, _ = command('rec', 'diff', tmp_path / 'a.rec', tmp_path / 'b.rec')
    assert code == 1
    assert out.splitlines()[:4] == ['id 1: other labels', 'id 2: another image',
                                    f'id 3: only in {tmp_path}/a.rec',
                                    f'id 4: only in {tmp_path}/b.rec']


def test_extract_writes_class_folders_byte_for_byte(tmp_path, photos, command, contents):
    command('pack', photos, tmp_path / 'x', '--workers', 1)
    assert command('rec', 'extract', tmp_path / 'x.rec', tmp_path / 'out')[0] == 0
    assert contents(tmp_path / 'out') == contents(photos)
    code, _, err = command('rec', 'extract', tmp_path / 'x.rec', tmp_path / 'out')
    assert code == 2 and 'is there already' in err
    (tmp_path / 'x.lst').unlink()  # without names: by label and id
    assert command('rec', 'extract', tmp_path / 'x.rec', tmp_path / 'bare')[0] == 0
    assert sorted(path.name for path in (tmp_path / 'bare').iterdir()) == ['0', '1', '2']
    assert sorted(contents(tmp_path / 'bare').values()) == sorted(contents(photos).values())


@pytest.mark.parametrize('path', ['../../escaped.jpg', '/tmp/escaped.jpg', 'a/../../escaped.jpg'])
def test_extract_refuses_paths_that_lead_out(tmp_path, command, path):
    (tmp_path / 'x.rec').write_bytes(frame(image_payload(0, (0,), b'x')))
    (tmp_path / 'x.lst').write_text(f'0\t0\t{path}\n')
    code, _, err = command('rec', 'extract', tmp_path / 'x.rec', tmp_path / 'deep' / 'out')
    assert code == 2 and 'leads out' in err and 'escaped.jpg' in err
    assert sorted(file.name for file in tmp_path.rglob('*') if file.is_file()) == ['x.lst', 'x.rec']


def test_index_makes_a_lost_idx_anew(tmp_path, photos, command):
    command('pack', photos, tmp_path / 'x', '--workers', 1)
    before = {ending: (tmp_path / f'x{ending}').read_bytes() for ending in ('.idx', '.crc')}
    for ending in before:
        (tmp_path / f'x{ending}').unlink()
    assert command('rec', 'index', '--crc', tmp_path / 'x.rec')[0] == 0
    assert {ending: (tmp_path / f'x{ending}').read_bytes() for ending in before} == before


def test_info_and_ls(tmp_path, photos, command):
    from PIL import Image
    command('pack', photos, tmp_path / 'x', '--workers', 1)
    code, out, _ = command('rec', 'info', tmp_path / 'x.rec', '--sheet', tmp_path / 'sheet.png', '--columns',
                           4)
    assert code == 0
    for piece in ('records  24', 'jpg 18, png 6', '16 x 16 (24)', '0 cat', '2 emu', '.idx .lst .crc'):
        assert piece in out, out
    sheet = Image.open(tmp_path / 'sheet.png')
    assert len({sheet.crop((160 + 68 * x, 4 + 68 * y, 224 + 68 * x, 68 + 68 * y)).tobytes()
                for x in range(4) for y in range(3)}) == 12  # twelve different pictures
    lines = command('rec', 'ls', tmp_path / 'x.rec')[1].splitlines()
    assert len(lines) == 24
    index, label, offset, size, path = lines[5].split('\t')
    assert int(size) == (photos / path).stat().st_size and float(label) == ['cat', 'dog',
                                                                            'emu'].index(path[:3])
