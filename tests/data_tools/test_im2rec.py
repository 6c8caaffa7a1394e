"""`im2rec`: MXNet's own im2rec.py is run on the same folder, with the same options."""
import shlex

import numpy as np
import pytest
from PIL import Image

from data_tools.recordio import read_images
from tests.data_tools.test_recordio import im2rec


@pytest.fixture
def folders(tmp_path, make_photos):
    """A tree with images at two depths, and one flat folder."""
    make_photos(tmp_path / 'in', ('b', 'a'), 6, size=16)
    make_photos(tmp_path / 'in' / 'c', ('deep', 'er'), 3, size=16, seed=1)
    make_photos(tmp_path / 'flat', ('.',), 7, size=16, seed=2)
    (tmp_path / 'in' / 'a' / 'notes.txt').write_text('x')
    for name in ('theirs', 'ours'):
        (tmp_path / name).mkdir()
    return tmp_path


def both(command, folder, *options, root='in'):
    """Call both; {ending of the name: bytes} of theirs and ours, and what ours printed."""
    im2rec(*options, folder / 'theirs' / 'x', folder / root)
    code, out, err = command('im2rec', *options, folder / 'ours' / 'x', folder / root)
    assert code == 0, err
    return [{path.name: path.read_bytes() for path in (folder / name).iterdir()
             if path.suffix in ('.lst', '.rec', '.idx')}
            for name in ('theirs', 'ours')] + [out]


def native_of(out, prefix):
    """The arguments of the `pack` that `im2rec` has printed, with another prefix."""
    line = next(line for line in out.splitlines() if line.startswith('native: python -m data_tools '))
    arguments = shlex.split(line, comments=True)[4:]
    arguments[2] = str(prefix)
    return arguments


@pytest.mark.parametrize('options', [
    ('--recursive',), ('--recursive', '--no-shuffle'), ('--recursive', '--train-ratio', 0.6),
    ('--recursive', '--train-ratio', 0.5, '--test-ratio', 0.2), ('--recursive', '--chunks', 4), (),
    ('--recursive', '--chunks', 2, '--train-ratio', 0.7, '--no-shuffle'), ('--exts', '.png', '--recursive')])
def test_the_same_lists(folders, command, options):
    theirs, ours, out = both(command, folders, '--list', *options, root='in' if '--recursive' in options else 'flat')
    assert theirs == ours and theirs
    native = native_of(out, folders / 'native')
    assert command(*native)[0] == 0
    if len(options) < 3 and '--chunks' not in options and '--train-ratio' not in options:
        assert (folders / 'native.lst').read_bytes() == ours['x.lst']


@pytest.mark.parametrize('options', [('--pass-through',), ('--pass-through', '--num-thread', 2), (), ('--quality', 60),
                                     ('--encoding', '.png'), ('--encoding', '.png', '--quality', 3), ('--center-crop',),
                                     ('--color', 0), ('--color', -1, '--encoding', '.png'), ('--resize', 0)])
def test_the_same_records(folders, command, options):
    both(command, folders, '--list', '--recursive')
    theirs, ours, out = both(command, folders, *options)
    assert theirs == ours and 'x.rec' in ours
    # and the command that it prints does the same
    assert command(*native_of(out, folders / 'native'))[0] == 0
    assert (folders / 'native.rec').read_bytes() == ours['x.rec']


def test_resizing_is_better_and_says_so(folders, command):
    both(command, folders, '--list', '--recursive')
    theirs, ours, out = both(command, folders, '--resize', 8)
    assert 'by averaging' in out and theirs['x.idx'] != b'' and theirs['x.rec'] != ours['x.rec']
    for (_, a), (_, b) in zip(read_images(folders / 'theirs' / 'x.rec'), read_images(folders / 'ours' / 'x.rec')):
        assert (a.id, a.labels) == (b.id, b.labels)


def test_labels_and_what_im2rec_loses(folders, command):
    lines = ''.join(f'{number}\t2\t5\t{number}\t0.1\t0.2\t0.3\t0.4\ta/{number:04}.jpg\n' for number in range(3))
    for name in ('theirs', 'ours'):
        (folders / name / 'x.lst').write_text(lines)
    theirs, ours, out = both(command, folders, '--pass-through')
    assert theirs == ours and 'only the first is stored' in out
    assert (folders / 'ours' / 'x.lst').read_text() == lines
    theirs, ours, _ = both(command, folders, '--pass-through', '--pack-label')
    assert theirs == ours
    # a broken image: theirs packs it, and its reader dies of it; ours leaves it out and says so
    (folders / 'in' / 'a' / '0001.jpg').write_bytes(b'<html>')
    _, ours, out = both(command, folders, '--pass-through', '--pack-label')
    assert '1 bad and left out' in out and len(list(read_images(folders / 'ours' / 'x.rec'))) == 2
    # shares that add up to one: theirs drops what rounding leaves over
    code, out, _ = command('im2rec', '--list', '--recursive', '--train-ratio', 0.5, '--test-ratio', 0.5,
                           folders / 'ours' / 'y', folders / 'in' / 'c')
    assert code == 0 and sum(len((folders / 'ours' / f'y_{part}.lst').read_text().splitlines())
                             for part in ('train', 'test')) == 6
    code, _, err = command('im2rec', folders / 'ours' / 'nothing', folders / 'in')
    assert code == 2 and '--list' in err


def test_resized_pictures_are_closer_to_the_original(folders, command):
    """Lines one pixel wide: averaging gives gray, picking single pixels gives stripes that are not there."""
    pixels = np.zeros((90, 90, 3), np.uint8)
    pixels[:, ::2] = 255
    (folders / 'in' / 'a' / 'lines.png').parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(folders / 'in' / 'a' / 'lines.png')
    for name in ('theirs', 'ours'):
        (folders / name / 'x.lst').write_text('0\t0\ta/lines.png\n')
    both(command, folders, '--resize', 40, '--encoding', '.png')
    import cv2
    spread = [cv2.imdecode(np.frombuffer(image.data, np.uint8), 1).std() for name in ('theirs', 'ours')
              for _, image in read_images(folders / name / 'x.rec')]
    assert spread[1] < spread[0] / 2
