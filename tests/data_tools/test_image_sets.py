"""`--data`: whatever people have is found, packed where it must be, and named; what is not found is one line."""
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import zipfile
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from data_tools import fetch as fetch_module
from data_tools.datasets import CLASS_NAMES
from data_tools.errors import UserError
from data_tools.fetch import Source
from data_tools.idx import write_idx
from data_tools.image_sets import find
from data_tools.recordio import parse_image, read_all, read_index, read_labels, read_listed

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


def draw(path, size=(16, 12), colour=0, mode='RGB'):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new('RGB', size, (colour % 256, colour // 256 % 256, 90)).convert(mode).save(path)


def draw_classes(folder, counts, size=(16, 12)):
    """{class: count} -> pictures, no two of one colour."""
    number = sum(map(ord, folder.name)) * 37
    for name, count in counts.items():
        for each in range(count):
            draw(folder / name / f'{each:03}.png', size, number)
            number += 1
    return folder


def read_back(path):
    """{path in the list: (label, bytes of the image)} of a pack."""
    return {name: (image.labels[0], image.data) for _, image, name in read_listed(path)}


def error_of(*arguments, **options):
    with pytest.raises(UserError) as caught:
        find(*arguments, **options)
    line = str(caught.value)
    assert '\n' not in line
    return line


# ---- packs

def test_the_packs_of_the_readmes_own_command(tmp_path, command, monkeypatch, capsys):
    draw_classes(tmp_path / 'photos', {'cat': 10, 'dog': 10})
    (tmp_path / 'elsewhere').mkdir()
    monkeypatch.chdir(tmp_path)
    assert command('pack', 'photos', 'packs/data', '--split', 'train=0.8,val=0.2', '--workers', 1)[0] == 0
    for given in ('packs', 'packs/', 'packs/data', '../' + tmp_path.name + '/packs'):
        found = find(given)
        assert (found.name, found.train, found.validation) == (
            'packs', tmp_path / 'packs' / 'data_train.rec', tmp_path / 'packs' / 'data_val.rec')
        assert found.class_names == ('cat', 'dog') and found.class_names_zh == ('猫', '狗')
        assert found.note == '' and not found.strokes
        assert found.said == (f'packs data_train.rec and data_val.rec of {tmp_path}/packs: 16 images for training, 4 '
                              'to validate')
    monkeypatch.chdir('elsewhere')
    assert find('../packs').train == found.train
    assert capsys.readouterr().err == '' and not Path('~/.bookcnn').expanduser().exists()  # nothing was packed


@pytest.mark.parametrize('names, taken', [
    (('train', 'test'), ('train', 'test')),
    (('train', 'val'), ('train', 'val')),
    (('train', 'test', 'val'), ('train', 'val')),
    (('x_train', 'x_test'), ('x_train', 'x_test')),
    (('x_train', 'x_test', 'train', 'val'), ('train', 'val')),
])
def test_names_of_packs(tmp_path, command, names, taken):
    draw_classes(tmp_path / 'photos', {'emu': 2, 'yak': 2})
    for name in names:
        assert command('pack', tmp_path / 'photos', tmp_path / 'packs' / name, '--workers', 1)[0] == 0
    found = find(tmp_path / 'packs')
    assert (found.train.stem, found.validation.stem) == taken
    assert found.class_names == found.class_names_zh == ('emu', 'yak')
    assert ('left aside' in found.said) == (names == ('train', 'test', 'val'))


def test_packs_at_odds(tmp_path, command):
    draw_classes(tmp_path / 'one', {'ant': 2, 'bee': 2, 'cow': 1})
    draw_classes(tmp_path / 'other', {'ant': 2, 'bug': 2, 'cow': 1})
    packs = tmp_path / 'packs'
    assert command('pack', tmp_path / 'one', packs / 'train', '--workers', 1)[0] == 0
    line = error_of(packs)
    assert 'holds train.rec, but a set is' in line and f'rec split {packs}/train.rec {packs}/data' in line
    assert command('rec', 'split', packs / 'train.rec', tmp_path / 'cut' / 'data', '--split',
                   'train=0.6,val=0.4')[0] == 0
    assert find(tmp_path / 'cut').class_names == ('ant', 'bee', 'cow')  # what the line says works
    assert command('pack', tmp_path / 'other', packs / 'val', '--workers', 1)[0] == 0
    assert "class 1 is 'bee' in the one, 'bug' in the other" in error_of(packs)
    (packs / 'val.classes.txt').write_text('ant\n')
    assert "class 1 is 'bee' in the one, nothing in the other" in error_of(packs)
    (packs / 'val.classes.txt').unlink()
    assert find(packs).class_names == ('ant', 'bee', 'cow')
    (packs / 'val.idx').unlink()
    line = error_of(packs)
    assert 'val.idx is missing' in line and f'python -m data_tools rec index {packs}/val.rec' in line
    assert command('rec', 'index', packs / 'val.rec')[0] == 0
    assert find(packs).validation == packs / 'val.rec'
    assert f'give its folder, {packs},' in error_of(packs / 'train.rec')
    for name in ('a_train', 'a_val', 'b_train', 'b_val'):
        for ending in ('.rec', '.idx'):
            shutil.copy(packs / f'train{ending}', tmp_path / f'{name}{ending}')
    assert f'packs of several sets, a, b; give one of them, such as {tmp_path}/a' in error_of(tmp_path)
    assert find(tmp_path / 'b').train == tmp_path / 'b_train.rec'


def test_packs_without_names_of_classes(tmp_path, command):
    draw_classes(tmp_path / 'photos', {'0': 2, '4': 2})
    for name in ('train', 'val'):
        assert command('pack', tmp_path / 'photos', tmp_path / 'packs' / name, '--workers', 1)[0] == 0
    assert find(tmp_path / 'packs').class_names == ('0', '1', '2', '3', '4')


# ---- class folders

@pytest.fixture(scope='module')
def three_hundred(tmp_path_factory):
    """300 files of three classes, in several sizes and forms: gray ones too, one broken, and others among them."""
    folder = tmp_path_factory.mktemp('three') / 'animals'
    number = 0
    for name in ('cat', 'dog', 'emu'):
        for each in range(100):
            ending = ('jpg', 'png')[each % 2]
            draw(folder / name / f'{each:03}.{ending}', [(30, 20), (17, 23), (40, 40)][each % 3], 7 * number,
                 'L' if each == 50 else 'RGB')
            number += 1
    broken = folder / 'dog' / '007.png'
    broken.write_bytes(broken.read_bytes()[:60])
    (folder / 'emu' / 'a\tb.png').write_bytes((folder / 'emu' / '001.png').read_bytes())
    (folder / '.DS_Store').write_bytes(b'hidden')
    (folder / 'README.txt').write_text('in no class folder')
    return folder


def test_class_folders(three_hundred, alone, capfd, monkeypatch):
    monkeypatch.chdir(three_hundred.parent)
    found = find('animals')
    err = capfd.readouterr().err.splitlines()
    assert found.name == 'animals' and found.class_names == ('cat', 'dog', 'emu')
    folder = found.train.parent
    assert folder.parent == alone / '.bookcnn' / 'packs' and folder.name.startswith('animals-')
    train, validation = read_back(found.train), read_back(found.validation)
    assert len(train) + len(validation) == 299 and not set(train) & set(validation)
    for name, (label, data) in {**train, **validation}.items():  # the very bytes, gray ones and all sizes too
        assert data == (three_hundred / name).read_bytes() and found.class_names[int(label)] == name[:3]
    for name in found.class_names:
        assert sum(path.startswith(name) for path in validation) in (9, 10)
    first = [label for _, (label, _) in zip(range(60), train.values())]
    assert len(set(first)) == 3  # shuffled
    # MXNet reads them
    reader = mx.io.ImageRecordIter(path_imgrec=str(found.train), path_imgidx=str(found.train.with_suffix('.idx')),
                                   data_shape=(3, 16, 16), batch_size=10, verbose=False, preprocess_threads=1)
    assert sum(10 - batch.pad for batch in reader) == len(train)
    # what was done, and what was left out, is said once on stderr and stands in `note`
    assert len(err) == 2 and err[0] == f'packing {three_hundred} into {folder}, once'
    assert err[1].startswith('2 of 301 files are broken and left out: ') and 'dog/007.png (truncated PNG)' in err[1]
    assert err[1].count('a tab or line end in its name') == 1
    assert found.note == f'animals: {err[1]}'
    assert found.said == (f'class folders of {three_hundred}: {len(train)} images for training, {len(validation)} to '
                          f'validate (split 0.9, seed 0), packed into {folder}')
    # the second time, from the disk
    stamp = found.train.stat().st_mtime_ns
    again = find(three_hundred)
    assert (again.train, again.note, again.said) == (found.train, found.note, found.said)
    assert found.train.stat().st_mtime_ns == stamp and capfd.readouterr().err == ''
    assert find(three_hundred, split=0.5).train != found.train


def test_a_changed_folder_is_packed_anew_a_moved_one_is_not(tmp_path):
    folder = draw_classes(tmp_path / 'photos', {'ant': 10, 'bee': 10})
    packs = [find(folder).train]
    draw(folder / 'ant' / 'new.png', colour=5000)
    packs.append(find(folder).train)
    draw(folder / 'ant' / 'new.png', colour=6000)  # as many bytes
    os.utime(folder / 'ant' / 'new.png', ns=(0, 10 ** 18))
    packs.append(find(folder).train)
    (folder / 'bee' / '003.png').rename(folder / 'bee' / 'other.png')
    packs.append(find(folder).train)
    (folder / 'bee' / 'other.png').unlink()
    packs.append(find(folder).train)
    assert len(set(packs)) == 5
    (tmp_path / 'away').mkdir()
    moved = folder.rename(tmp_path / 'away' / 'photos')
    found = find(moved)
    assert found.train == packs[-1] and str(moved) in found.said


@pytest.mark.parametrize('validation', ['val', 'valid', 'validation', 'test', 'Test'])
def test_a_folder_for_training_and_one_to_validate(tmp_path, validation):
    folder = tmp_path / 'photos'
    draw_classes(folder / 'train', {'ant': 5, 'bee': 5, 'cow': 5})
    draw_classes(folder / validation, {'ant': 2, 'cow': 3})
    found = find(folder)
    assert len(read_back(found.train)) == 15
    labels = {name[:3]: label for name, (label, _) in read_back(found.validation).items()}
    assert labels == {'ant': 0, 'cow': 2}  # numbered as for training, though one is missing
    assert found.class_names == ('ant', 'bee', 'cow') and found.note == f'photos: {validation} has no images of bee'
    assert '15 images for training, 5 to validate, packed' in found.said
    draw(folder / validation / 'dog' / '0.png')
    assert f'{validation}: holds a folder dog, but train does not' in error_of(folder)


def test_numbered_folders_keep_their_numbers(tmp_path):
    draw_classes(tmp_path / 'photos' / 'train', {'02': 3, '10': 3})
    draw_classes(tmp_path / 'photos' / 'val', {'2': 1, '10': 1})
    found = find(tmp_path / 'photos')
    assert sorted(read_labels(found.train)) == [2, 2, 2, 10, 10, 10]
    assert sorted(read_labels(found.validation)) == [2, 10]
    assert found.class_names == tuple(map(str, range(11)))


def test_parts_that_are_not_used_are_named(tmp_path):
    for part in ('train', 'val', 'test'):
        draw_classes(tmp_path / 'photos' / part, {'ant': 2, 'bee': 2})
    assert '(test left aside)' in find(tmp_path / 'photos').said


def test_small_classes(tmp_path):
    draw_classes(tmp_path / 'photos', {'ant': 2, 'bee': 3, 'cow': 1, 'dog': 40})
    found = find(tmp_path / 'photos')
    train, validation = ([name[:3] for name in read_back(path)] for path in (found.train, found.validation))
    assert [train.count(name) for name in ('ant', 'bee', 'cow', 'dog')] == [1, 2, 1, 36]
    assert [validation.count(name) for name in ('ant', 'bee', 'cow', 'dog')] == [1, 1, 0, 4]
    assert found.note == 'photos: cow with a single image: trained on, never validated'
    draw_classes(tmp_path / 'few', {'ant': 1, 'bee': 1})
    assert 'no class has two images' in error_of(tmp_path / 'few')
    assert 'between 0 and 1' in error_of(tmp_path / 'photos', split=1.0)


def test_equal_pictures_go_to_one_part(tmp_path):
    """What is set aside to validate was not trained on, though people keep their pictures twice."""
    draw_classes(tmp_path / 'set', {'ant': 20, 'bee': 20})
    for number in range(15):
        shutil.copy(tmp_path / 'set' / 'ant' / f'{number:03}.png', tmp_path / 'set' / 'ant' / f'copy{number}.png')
        shutil.copy(tmp_path / 'set' / 'ant' / f'{number:03}.png', tmp_path / 'set' / 'bee' / f'other{number}.png')
    found = find(str(tmp_path / 'set'), split=0.7)
    train, val = ({data for _, data in read_back(path).values()} for path in (found.train, found.validation))
    assert len(train) + len(val) == 40 and not train & val
    assert len(read_back(found.train)) + len(read_back(found.validation)) == 70


def test_pictures_are_packed_as_they_are_predicted(tmp_path):
    """Upright, and what is transparent on white: otherwise a network sees other pictures when it is asked."""
    note = Image.Exif()
    note[274] = 6
    for number in range(4):
        pixels = np.full((12, 16, 4), 30 * number, np.uint8)
        pixels[:, :8, 3], pixels[:, 8:, 3] = 0, 255
        (tmp_path / 'set' / 'ant').mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(tmp_path / 'set' / 'ant' / f'{number}.png', exif=note)
    found = find(str(tmp_path / 'set'), split=0.5)
    for _, data in read_back(found.train).values():
        pixels = mx.image.imdecode(data).asnumpy()
        assert pixels.shape == (16, 12, 3) and (pixels[:8] == 255).all() and pixels[8:].max() < 200


def test_one_folder_around_and_folders_in_class_folders(tmp_path):
    for name, count in (('ant', 6), ('bee', 6)):
        for each in range(count):
            draw(tmp_path / 'data' / 'photos' / name / f'sub{each % 2}' / f'{each}.png', colour=each + 50 * ord(name[0]))
        draw(tmp_path / 'data' / 'photos' / name / 'x.png', colour=40 + 50 * ord(name[0]))
    found = find(tmp_path / 'data')
    assert found.class_names == ('ant', 'bee') and len(read_back(found.train)) == 12


# ---- archives

def pack_archive(path, folder, name):
    if path.suffix == '.zip':
        with zipfile.ZipFile(path, 'w') as archive:
            for file in sorted(folder.rglob('*')):
                if file.is_file():
                    archive.write(file, f'{name}/{file.relative_to(folder)}'.lstrip('/'))
    else:
        mode = {'.gz': 'w:gz', '.tgz': 'w:gz', '.xz': 'w:xz', '.tar': 'w'}[path.suffix]
        with tarfile.open(path, mode) as archive:
            for file in sorted(folder.rglob('*')):
                archive.add(file, f'{name}/{file.relative_to(folder)}'.lstrip('/'), recursive=False)
    return path


@pytest.mark.parametrize('ending', ['zip', 'tar', 'tar.gz', 'tgz', 'tar.xz'])
@pytest.mark.parametrize('top', ['', 'pictures'])
@pytest.mark.parametrize('divided', [False, True])
def test_archives_of_class_folders(tmp_path, ending, top, divided):
    counts = {'ant': 10, 'bee': 10}
    for part in ('train', 'val') if divided else ('',):
        draw_classes(tmp_path / 'photos' / part, counts)
    archive = pack_archive(tmp_path / f'flowers.{ending}', tmp_path / 'photos', top)
    found = find(archive)
    assert not list(found.train.parent.glob('*.tar'))
    assert found.name == 'flowers' and found.class_names == ('ant', 'bee') and str(archive) in found.said
    train, validation = read_back(found.train), read_back(found.validation)
    assert (len(train), len(validation)) == ((20, 20) if divided else (18, 2))
    for part, images in (('train', train), ('val', validation)):
        for name, (_, data) in images.items():
            assert data == (tmp_path / 'photos' / (part if divided else '') / name).read_bytes()
    (tmp_path / 'away').mkdir()
    moved = shutil.move(str(archive), str(tmp_path / 'away'))
    assert find(moved).train == found.train  # not packed anew
    if divided and not top:
        part = find(f'{moved}/train')
        assert len(read_back(part.train)) == 18 and 'flowers' in part.name


def test_the_largest_of_several_archives(tmp_path):
    draw_classes(tmp_path / 'small', {'ant': 3, 'bee': 3})
    draw_classes(tmp_path / 'large', {'cow': 9, 'dog': 9})
    (tmp_path / 'data').mkdir()
    pack_archive(tmp_path / 'data' / 'a.tar.gz', tmp_path / 'small', '')
    assert find(tmp_path / 'data').class_names == ('ant', 'bee')
    pack_archive(tmp_path / 'data' / 'b.zip', tmp_path / 'large', '')
    found = find(tmp_path / 'data')
    assert found.class_names == ('cow', 'dog') and found.name == 'b'
    assert f'{tmp_path}/data/b.zip (the largest of 2 archives)' in found.said
    draw_classes(tmp_path / 'data', {'elk': 3, 'fox': 3})
    assert find(tmp_path / 'data').class_names == ('elk', 'fox')  # something else that is usable comes first


def test_damaged_archives(tmp_path):
    draw_classes(tmp_path / 'photos', {'ant': 10, 'bee': 10})
    for ending in ('zip', 'tar.gz', 'tar.xz'):
        archive = pack_archive(tmp_path / f'x.{ending}', tmp_path / 'photos', '')
        archive.write_bytes(archive.read_bytes()[:archive.stat().st_size // 2])
        assert 'damaged archive' in error_of(archive)
    with zipfile.ZipFile(tmp_path / 'text.zip', 'w') as archive:
        archive.writestr('a/b.txt', 'no image')
    assert 'no image set in this archive' in error_of(tmp_path / 'text.zip')
    with zipfile.ZipFile(tmp_path / 'packs.zip', 'w') as archive:
        archive.writestr('packs/train.rec', '')
    assert 'holds train.rec' in error_of(tmp_path / 'packs.zip') and 'unpack it' in error_of(tmp_path / 'packs.zip')
    (tmp_path / 'notes.txt').write_text('no archive')
    assert 'neither a folder nor an archive' in error_of(tmp_path / 'notes.txt')


# ---- interrupted, and two at a time

def in_another_process(folder, **options):
    code = ('import sys, time\n'
            'import data_tools.pack as pack\n'
            'pack.CHUNK_IMAGES = 20\n'
            'whole = pack.pack_chunk\n'
            'def slow(*arguments):\n'
            '    time.sleep(0.1)\n'
            '    return whole(*arguments)\n'
            'pack.pack_chunk = slow\n'
            'from data_tools.image_sets import find\n'
            'print(find(sys.argv[1]).train)\n')
    return subprocess.Popen([sys.executable, '-c', code, str(folder)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                            universal_newlines=True, cwd=Path(__file__).parents[2], **options)


def test_killed_while_packing(three_hundred, alone):
    reference = find(three_hundred)
    wanted = [read_back(path) for path in (reference.train, reference.validation)]
    shutil.rmtree(alone / '.bookcnn')
    for seconds in (0.3, 0.7, 1.1, 1.5):  # later and later: before, between and in the two packs
        process = in_another_process(three_hundred)
        started = time.monotonic()
        while not list(alone.glob('.bookcnn/packs/*/begun')) and time.monotonic() - started < 20:
            time.sleep(0.01)
        time.sleep(seconds)
        process.send_signal(signal.SIGKILL)
        process.communicate()
    found = find(three_hundred)
    assert [read_back(path) for path in (found.train, found.validation)] == wanted
    assert not list(found.train.parent.glob('*.part'))


def test_two_processes_at_a_time(three_hundred):
    both = [in_another_process(three_hundred), in_another_process(three_hundred)]
    outputs = [process.communicate() for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    assert outputs[0][0] == outputs[1][0]
    assert sum('packing' in err for _, err in outputs) == 1


def test_a_home_that_cannot_be_written(three_hundred, alone):
    (alone / '.bookcnn').write_text('a file')
    assert '.bookcnn' in error_of(three_hundred)


# ---- IDX, and names

def test_idx_files_and_names(tmp_path, monkeypatch):
    for split, count in (('train', 6), ('t10k', 4)):
        (tmp_path / 'digits').mkdir(exist_ok=True)
        write_idx(tmp_path / 'digits' / f'{split}-images-idx3-ubyte', np.zeros((count, 5, 5), 'uint8'))
        write_idx(tmp_path / 'digits' / f'{split}-labels-idx1-ubyte.gz', np.arange(count).astype('uint8'))
    monkeypatch.chdir(tmp_path)
    found = find('./digits')  # a folder of that name is not the digits
    assert found.train_images.shape == (6, 1, 5, 5) and not found.strokes and str(tmp_path / 'digits') in found.said
    assert find('digits').train_images.shape == (1501, 1, 28, 28) and find('digits').strokes


def test_nothing_fits(tmp_path):
    forms = ('train.rec and val.rec', 'NAME_train.rec', 'four IDX files', 'class folders', 'train/CLASS/*', '.zip')
    (tmp_path / 'empty').mkdir()
    (tmp_path / 'texts' / 'notes').mkdir(parents=True)
    for number in range(4):
        (tmp_path / 'texts' / 'notes' / f'{number}.txt').write_text('no image')
        (tmp_path / 'texts' / f'{number}.jpg').write_text('in no class folder')
    for path, seen in ((tmp_path / 'empty', 'holds nothing'), (tmp_path / 'texts', 'holds 0.jpg, 1.jpg, 2.jpg, ...'),
                       ('mnits', 'mnits: no such data set')):
        line = error_of(path)
        assert seen in line and all(form in line for form in forms)
    assert 'mnist, fashion, digits, cifar10' in error_of('mnits')
    assert 'no such folder' in error_of('mnist', tmp_path / 'none')


# ---- CIFAR-10

BATCHES = [f'data_batch_{number}.bin' for number in range(1, 6)] + ['test_batch.bin']


def write_batches(folder):
    folder.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in BATCHES:
        records = generator.integers(0, 256, (20, 3073), np.uint8)
        records[:, 0] = np.arange(20) % 10
        (folder / name).write_bytes(records.tobytes())
    return folder


def check_cifar10(found, count):
    assert found.name == 'cifar10' and found.class_names == CLASS_NAMES['cifar10']
    assert found.class_names_zh[:3] == ('飞机', '汽车', '鸟') and found.note == ''
    assert len(read_labels(found.train)) == count


@pytest.mark.parametrize('form', ['archive', 'unpacked', 'unpacked in its own folder'])
def test_cifar10_batches(tmp_path, form):
    folder = tmp_path / 'data' / 'cifar10'
    batches = write_batches(folder if form == 'unpacked' else folder / 'cifar-10-batches-bin')
    pixels = {}
    for name in BATCHES:
        for record in np.frombuffer((batches / name).read_bytes(), np.uint8).reshape(-1, 3073):
            pixels[record[1:].tobytes()] = record[0], name
    if form == 'archive':
        pack_archive(folder / 'cifar-10-binary.tar.gz', batches, 'cifar-10-batches-bin')
        shutil.rmtree(batches)
    found = find('cifar10', tmp_path / 'data')
    check_cifar10(found, 100)
    for path in (found.train, found.validation):
        for record in read_all(path):
            image = parse_image(record)
            decoded = mx.image.imdecode(image.data).asnumpy().transpose(2, 0, 1)
            label, name = pixels.pop(decoded.tobytes())
            assert image.labels == (label,) and (name == 'test_batch.bin') == (path == found.validation)
    assert not pixels
    assert find(folder).class_names == found.class_names  # and as a path


def test_cifar10_batches_damaged(tmp_path):
    folder = write_batches(tmp_path / 'cifar10')
    whole = (folder / 'data_batch_3.bin').read_bytes()
    (folder / 'data_batch_3.bin').write_bytes(whole[:-1])
    assert 'data_batch_3.bin: 61459 bytes are not a whole number of records' in error_of('cifar10', tmp_path)
    (folder / 'data_batch_3.bin').unlink()
    assert 'data_batch_3.bin of CIFAR-10\'s batches is missing' in error_of('cifar10', tmp_path)


def test_cifar10_by_name(tmp_path, alone, monkeypatch):
    names = CLASS_NAMES['cifar10']
    draw_classes(tmp_path / 'images' / 'train', dict.fromkeys(names, 4), (32, 32))
    draw_classes(tmp_path / 'images' / 'test', dict.fromkeys(names, 2), (32, 32))
    assert 'cifar-10-binary.tar.gz into' in error_of('cifar10')
    # other sets in the folder that --data-root names are not taken for it
    draw_classes(tmp_path / 'other' / 'photos', {'ant': 3, 'bee': 3})
    line = error_of('cifar10', tmp_path / 'other')
    assert 'cifar-10-binary.tar.gz' in line and 'other (holds photos)' in line
    home = alone / '.bookcnn' / 'data' / 'cifar10'
    home.mkdir(parents=True, exist_ok=True)
    pack_archive(home / 'any_name.zip', tmp_path / 'images', '')
    check_cifar10(find('cifar10'), 40)
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path / 'variable'))
    write_batches(tmp_path / 'variable' / 'cifar10')
    check_cifar10(find('cifar10', tmp_path / 'other'), 100)
    shutil.copytree(tmp_path / 'images', tmp_path / 'given' / 'cifar10')
    check_cifar10(find('cifar10', tmp_path / 'given'), 40)


def test_real_cifar10():
    if not REAL_DATA or not Path(REAL_DATA, 'cifar10').is_dir():
        pytest.skip('set BOOKCNN_DATA to a folder with cifar10/ to pack the real files (about a minute)')
    found = find('cifar10', REAL_DATA)
    assert 'cifar10_png.tar.xz (the largest of' in found.said
    check_cifar10(found, 50_000)
    assert np.bincount(read_labels(found.train).astype(int)).tolist() == [5000] * 10
    assert np.bincount(read_labels(found.validation).astype(int)).tolist() == [1000] * 10
    reader = mx.io.ImageRecordUInt8Iter(path_imgrec=str(found.train), data_shape=(3, 32, 32), batch_size=500,
                                        preprocess_threads=1, verbose=False)
    means = np.mean([batch.data[0].asnumpy().mean(axis=(0, 2, 3), dtype=float) for batch in reader], axis=0) / 255
    np.testing.assert_allclose(means, [.4914, .4822, .4465], atol=1e-4)
    assert len(read_index(found.train.with_suffix('.idx'))[0]) == 50_000
