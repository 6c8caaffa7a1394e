"""`by-label`: 123_frog.png into frog/, by link, copy or move, and back."""
import os

import pytest


@pytest.fixture
def flat(tmp_path):
    (tmp_path / 'flat').mkdir()
    for number, label in enumerate(['frog', 'cat', 'frog', 'polar_bear']):
        (tmp_path / 'flat' / f'{number}_{label}.png').write_bytes(b'%d' % number)
    (tmp_path / 'labels.txt').write_text('frog\ncat\npolar_bear\n')
    return tmp_path / 'flat'


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob('*') if path.is_file())


ARRANGED = ['.by-label', 'cat/1_cat.png', 'frog/0_frog.png', 'frog/2_frog.png', 'polar_bear/3_polar_bear.png']


@pytest.mark.parametrize('mode', ['link', 'copy', 'move'])
def test_arrange_and_undo(tmp_path, flat, command, contents, mode):
    before = contents(flat)
    code, out, _ = command('by-label', flat, tmp_path / 'labels.txt', '--mode', mode)
    assert code == 0 and '4 files -> 3 folders' in out and '--numbers' in out  # frog before cat is not sorted
    done = tmp_path / 'flat_by_label'
    assert names(done) == ARRANGED
    assert len(names(flat)) == (0 if mode == 'move' else 4)
    same = mode == 'link' and os.path.samefile(flat / '0_frog.png', done / 'frog' / '0_frog.png')
    assert same == (mode == 'link')
    assert (done / 'frog' / '2_frog.png').read_bytes() == b'2'
    assert command('by-label', '--undo', done)[0] == 0
    assert contents(flat) == before and not done.exists()


def test_numbers_keep_the_order_of_the_labels_in_the_pack(tmp_path, flat, command, make_photos):
    make_photos(tmp_path / 'photos', ('x',), 4)
    for path, photo in zip(sorted(flat.iterdir()), sorted((tmp_path / 'photos' / 'x').iterdir())):
        path.write_bytes(photo.read_bytes())
    assert command('by-label', flat, tmp_path / 'labels.txt', '--numbers', '--out', tmp_path / 'out')[0] == 0
    assert command('pack', tmp_path / 'out', tmp_path / 'p', '--no-shuffle', '--workers', 1)[0] == 0
    lines = (tmp_path / 'p.lst').read_text().splitlines()
    assert [line.split('\t')[1:] for line in lines] == [
        ['0.000000', '0/0_frog.png'], ['0.000000', '0/2_frog.png'], ['1.000000', '1/1_cat.png'],
        ['2.000000', '2/3_polar_bear.png']]


@pytest.mark.parametrize('mode', ['link', 'copy', 'move'])
def test_a_file_without_a_known_label_stops_all(tmp_path, flat, command, contents, mode):
    (flat / '9_yeti.png').write_bytes(b'')
    before = contents(tmp_path)
    code, _, err = command('by-label', flat, tmp_path / 'labels.txt', '--mode', mode)
    assert code == 2 and "9_yeti.png: its label 'yeti' is not in" in err and len(err.splitlines()) == 1
    assert contents(tmp_path) == before


def test_what_is_in_the_way_is_kept(tmp_path, flat, command):
    (tmp_path / 'flat_by_label').mkdir()
    (tmp_path / 'flat_by_label' / 'mine').write_text('x')
    code, _, err = command('by-label', flat, tmp_path / 'labels.txt', '--move')
    assert code == 2 and 'is there already' in err and len(names(flat)) == 4
    code, _, err = command('by-label', '--undo', tmp_path / 'flat_by_label')
    assert code == 2 and 'was not made by by-label' in err
    assert command('by-label', flat, tmp_path / 'labels.txt', '--move', '--out', tmp_path / 'out')[0] == 0
    (flat / '0_frog.png').write_bytes(b'another')
    code, _, err = command('by-label', '--undo', tmp_path / 'out')
    assert code == 2 and 'another content' in err
    assert names(tmp_path / 'out') == ARRANGED and (flat / '0_frog.png').read_bytes() == b'another'


@pytest.mark.parametrize('labels', ['frog\nfrog\n', '../frog\n', '', 'frog\n.cat\n'])
def test_unusable_labels(tmp_path, flat, command, labels):
    (tmp_path / 'labels.txt').write_text(labels)
    code, _, err = command('by-label', flat, tmp_path / 'labels.txt')
    assert code == 2 and len(err.splitlines()) == 1
