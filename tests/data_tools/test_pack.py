"""`pack`: every kind of source, the same bytes every time, nothing broken packed silently, nothing unsafe
followed."""
import csv
import hashlib
import io
import os
import pickle
import resource
import shutil
import stat
import subprocess
import tarfile
import tempfile
import zipfile
import zlib
from pathlib import Path

import cv2
import mxnet as mx
import numpy as np
import pytest
from PIL import Image

from data_tools.idx import write_idx
from data_tools.recordio import read_facts, read_images, read_list, read_listed
from data_tools.sources import CIFAR_PICKLES

ENDINGS = ('.rec', '.idx', '.lst', '.crc', '.classes.txt')


def files_of(prefix):
    return [Path(f'{prefix}{ending}').read_bytes() for ending in ENDINGS]


def bad_rows(prefix):
    with open(f'{prefix}.bad.csv', newline='') as file:
        return {row['path']: (row['action'], row['reason']) for row in csv.DictReader(file)}


# ---- sources and order

def test_workers_order_of_the_folder_and_chunks_do_not_change_a_byte(tmp_path, photos, command, monkeypatch):
    assert command('pack', photos, tmp_path / 'a', '--workers', 1)[0] == 0
    again = tmp_path / 'again'  # made in another order
    for path in sorted(photos.rglob('*.*'), key=lambda path: path.name[::-1], reverse=True):
        (again / path.parent.name).mkdir(parents=True, exist_ok=True)
        shutil.copy(path, again / path.parent.name)
    assert command('pack', again, tmp_path / 'b', '--workers', 1)[0] == 0
    monkeypatch.setattr('data_tools.pack.CHUNK_IMAGES', 5)
    assert command('pack', photos, tmp_path / 'c', '--workers', 3)[0] == 0
    assert files_of(tmp_path / 'a') == files_of(tmp_path / 'b') == files_of(tmp_path / 'c')
    assert command('pack', photos, tmp_path / 'd', '--seed', 7, '--workers', 1)[0] == 0
    assert files_of(tmp_path / 'd') != files_of(tmp_path / 'a')
    for name in 'ef':
        assert command('pack', photos, tmp_path / name, '--workers', 1 + 2 * (name == 'f'), '--resize', 8,
                       '--quality', 80)[0] == 0
    assert files_of(tmp_path / 'e') == files_of(tmp_path / 'f')


@pytest.mark.parametrize('kind', ['tar', 'tar.gz', 'tar.bz2', 'tar.xz', 'zip'])
def test_an_archive_gives_the_pack_of_its_folder(tmp_path, photos, command, kind, monkeypatch):
    (photos / 'aardvark').mkdir()  # a class without images, and the first
    assert command('pack', photos, tmp_path / 'a', '--workers', 1)[0] == 0
    archive = tmp_path / f'photos.{kind}'
    if kind == 'zip':
        shutil.make_archive(str(tmp_path / 'photos'), 'zip', tmp_path, 'photos')
    else:
        with tarfile.open(archive, f'w:{kind[4:]}') as tar:
            tar.add(photos, 'photos')
    assert command('pack', f'{archive}/photos', tmp_path / 'b', '--workers', 1)[0] == 0
    assert files_of(tmp_path / 'a') == files_of(tmp_path / 'b')
    assert read_facts(tmp_path / 'a.rec')['version'] == (Path(__file__).parents[2] / 'VERSION').read_text().strip()
    if kind.startswith('tar.'):  # read in several passes, when it is larger than memory may be
        monkeypatch.setattr('data_tools.sources.STREAM_WINDOW', 3000)
        monkeypatch.setattr('data_tools.pack.CHUNK_IMAGES', 12)
        assert command('pack', f'{archive}/photos', tmp_path / 'c', '--workers', 1)[0] == 0
        assert files_of(tmp_path / 'a') == files_of(tmp_path / 'c')
    code, _, err = command('pack', f'{archive}/nothing', tmp_path / 'd')
    assert code == 2 and 'no class folders' in err


def test_numbered_folders_keep_their_value(tmp_path, make_photos, command):
    make_photos(tmp_path / 'photos', ('10', '2', '07'), 2)
    assert command('pack', tmp_path / 'photos', tmp_path / 'a', '--workers', 1)[0] == 0
    for _, image, path in read_listed(tmp_path / 'a.rec'):
        assert image.labels[0] == float(path.split('/')[0])
    assert not (tmp_path / 'a.classes.txt').exists()


def test_idx_images_survive_pixel_by_pixel(tmp_path, command):
    images = np.random.default_rng(0).integers(0, 256, (30, 9, 7), np.uint8)
    write_idx(tmp_path / 'train-images-idx3-ubyte.gz', images)
    write_idx(tmp_path / 'train-labels-idx1-ubyte.gz', np.arange(30, dtype=np.uint8) % 10)
    source = tmp_path / 'train-images-idx3-ubyte.gz'
    assert command('pack', source, tmp_path / 'a', '--workers', 1)[0] == 0
    for _, image in read_images(tmp_path / 'a.rec'):
        decoded = mx.image.imdecode(image.data, flag=0).asnumpy()[..., 0]
        assert np.array_equal(decoded, images[image.id]) and image.labels == (image.id % 10,)
    assert command('to-images', source, tmp_path / 'files')[0] == 0
    assert len(list((tmp_path / 'files').glob('*/*.png'))) == 30
    assert np.array_equal(cv2.imread(str(tmp_path / 'files' / '3' / '00013.png'), 0), images[13])
    assert command('pack', source, tmp_path / 'c', '--workers', 1, '--no-check')[0] == 0
    assert (tmp_path / 'c.rec').read_bytes() == (tmp_path / 'a.rec').read_bytes()
    (tmp_path / 'train-labels-idx1-ubyte.gz').unlink()
    code, _, err = command('pack', source, tmp_path / 'b')
    assert code == 2 and '--labels' in err and not (tmp_path / 'b.rec').exists()


def cifar_batch(seed, count=20):
    generator = np.random.default_rng(seed)
    return generator.integers(0, 10, count, np.uint8), generator.integers(0, 256, (count, 3072), np.uint8)


@pytest.mark.parametrize('form', ['binary', 'python'])
@pytest.mark.parametrize('packed', [False, True])
def test_cifar10_batches(tmp_path, command, monkeypatch, form, packed):
    folder = tmp_path / 'cifar-10-batches'
    folder.mkdir()
    for number in range(1, 6):
        labels, pixels = cifar_batch(number)
        if form == 'binary':
            (folder / f'data_batch_{number}.bin').write_bytes(np.column_stack([labels, pixels]).tobytes())
        else:
            data = pickle.dumps({b'labels': labels.tolist(), b'data': pixels}, protocol=2)
            (folder / f'data_batch_{number}').write_bytes(data)
            monkeypatch.setitem(CIFAR_PICKLES, f'data_batch_{number}', hashlib.md5(data).hexdigest())
    source = folder
    if packed:
        with tarfile.open(tmp_path / 'cifar.tar.gz', 'w:gz') as tar:
            tar.add(folder, folder.name)
        source = tmp_path / 'cifar.tar.gz' / folder.name
    assert command('pack', source, tmp_path / 'a', '--workers', 1)[0] == 0
    images = {image.id: image for _, image in read_images(tmp_path / 'a.rec')}
    assert len(images) == 100
    for number in range(1, 6):
        labels, pixels = cifar_batch(number)
        for place in range(20):
            image = images[(number - 1) * 20 + place]
            wanted = pixels[place].reshape(3, 32, 32).transpose(1, 2, 0)
            assert np.array_equal(mx.image.imdecode(image.data).asnumpy(), wanted)
            assert image.labels == (labels[place],)
    assert Path(tmp_path / 'a.classes.txt').read_text().split()[6] == 'frog'


def test_a_pickle_of_unknown_checksum_is_not_loaded(tmp_path, command):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / 'harm'),)
    (tmp_path / 'data_batch_1').write_bytes(pickle.dumps(Evil()))
    code, _, err = command('pack', tmp_path / 'data_batch_1', tmp_path / 'a')
    assert code == 2 and 'pickle' in err and 'MD5' in err and not (tmp_path / 'harm').exists()


def test_split_is_stratified_seeded_and_whole(tmp_path, make_photos, command):
    make_photos(tmp_path / 'photos', ('a', 'b'), 20, size=8)
    for name in 'xy':
        assert command('pack', tmp_path / 'photos', tmp_path / name, '--split', 'train=0.8,val=0.2',
                       '--shards', 2,
                       '--workers', 1)[0] == 0
    seen = []
    for part, count in (('train', 16), ('val', 4)):
        labels = []
        for shard in range(2):
            path = tmp_path / f'x_{part}_{shard}.rec'
            assert path.read_bytes() == (tmp_path / f'y_{part}_{shard}.rec').read_bytes()
            for _, image in read_images(path):
                seen.append(image.id)
                labels.append(image.labels[0])
        assert sorted(labels) == [0.0] * count + [1.0] * count
    assert sorted(seen) == list(range(40))
    for wrong in ('train=0.8', 'train=0.8,val=0.3', 'a/b=1', 'a=1,a=0'):
        with pytest.raises(SystemExit):
            command('pack', tmp_path / 'photos', tmp_path / 'z', '--split', wrong)


def test_new_pixels(tmp_path, make_photos, command):
    make_photos(tmp_path / 'photos', ('a',), 1, size=32)
    Image.new('RGB', (64, 32), (200, 30, 40)).save(tmp_path / 'photos' / 'a' / 'wide.jpg')
    for options, shape, start in ((('--resize', 16), (16, 32, 3), b'\xff\xd8'),
                                  (('--resize', 16, '--center-crop'), (16, 16, 3), b'\xff\xd8'),
                                  (('--encoding', 'raw'), (32, 64, 3), b'BM'),
                                  (('--encoding', 'png', '--color', 0), (32, 64, 1), b'\x89PNG')):
        assert command('pack', tmp_path / 'photos', tmp_path / 'x', '--workers', 1, *options)[0] == 0
        for _, image, path in read_listed(tmp_path / 'x.rec'):
            if path == 'a/wide.jpg':
                pixels = mx.image.imdecode(image.data, flag=int(shape[2] == 3)).asnumpy()
                assert pixels.shape == shape and image.data.startswith(start)
                if shape[2] == 3:
                    assert np.abs(pixels.astype(int) - [200, 30, 40]).max() < 6
    code, _, err = command('pack', tmp_path / 'photos', tmp_path / 'x', '--encoding', 'keep', '--resize', 8)
    assert code == 2 and len(err.splitlines()) == 1


def test_a_pack_can_be_packed_anew(tmp_path, photos, command):
    command('pack', photos, tmp_path / 'x', '--workers', 1)
    assert command('pack', tmp_path / 'x.rec', tmp_path / 'y', '--workers', 1)[0] == 0
    assert files_of(tmp_path / 'x') == files_of(tmp_path / 'y')
    assert command('pack', tmp_path / 'x.rec', tmp_path / 'z', '--resize', 8, '--workers', 1)[0] == 0
    shapes = {mx.image.imdecode(image.data).shape for _, image in read_images(tmp_path / 'z.rec')}
    assert shapes == {(8, 8, 3)}


# ---- broken and odd images

def jpeg(size=64, **options):
    file = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 256, (size, size, 3), np.uint8)
    Image.fromarray(pixels).save(file, 'JPEG', **options)
    return file.getvalue()


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def odd_images():
    """{name: (bytes, what is to become of them, a word of the reason)}"""
    color = Image.fromarray(np.random.default_rng(2).integers(0, 256, (12, 10, 3), np.uint8))
    deep = np.random.default_rng(3).integers(0, 65536, (6, 6), np.uint16)
    png = saved(color, 'PNG')
    animated = saved(color, 'GIF', save_all=True, append_images=[Image.new('RGB', (10, 12))])
    bomb = bytearray(saved(Image.new('L', (4, 4)), 'PNG'))
    bomb[16:24] = (30000).to_bytes(4, 'big') * 2
    bomb[29:33] = zlib.crc32(bytes(bomb[12:29])).to_bytes(4, 'big')
    scan_hit = bytearray(jpeg())
    middle = len(scan_hit) // 2
    scan_hit[middle:middle + 40] = b'\xff\xd9' * 20  # an early end of the picture
    return {
        'good.jpg': (jpeg(), '', ''), 'progressive.jpg': (jpeg(progressive=True), '', ''),
        'gray.jpg': (saved(color.convert('L'), 'JPEG'), '', ''), 'good.png': (png, '', ''),
        'palette.png': (saved(color.convert('P'), 'PNG'), '', ''),
        'alpha.png': (saved(color.convert('RGBA'), 'PNG'), '', ''),
        'good.bmp': (saved(color, 'BMP'), '', ''),
        'empty.jpg': (b'', 'skipped', 'empty'),
        'text.jpg': (b'<html>404 not found</html>', 'skipped', 'not an image'),
        'cut.jpg': (jpeg()[:-200], 'skipped', ''), 'half.jpg': (jpeg()[:len(jpeg()) // 2], 'skipped', ''),
        'cut_progressive.jpg': (jpeg(progressive=True)[:-300], 'skipped', ''),
        'scan.jpg': (bytes(scan_hit), 'skipped', ''),
        'cut.png': (png[:-20], 'skipped', 'truncated'),
        'hit.png': (png[:60] + b'\0\1\2' + png[63:], 'skipped', 'PNG'),
        'is_png.jpg': (png, 'kept', 'PNG under a name'),
        'cmyk.jpg': (saved(color.convert('CMYK'), 'JPEG'), 'converted', 'CMYK'),
        'still.gif': (saved(color.convert('P'), 'GIF'), 'converted', 'GIF'),
        'animated.gif': (animated, 'skipped', 'animated'),
        'good.webp': (saved(color, 'WEBP', lossless=True), 'converted', 'WEBP'),
        'deep.png': (cv2.imencode('.png', deep)[1].tobytes(), 'skipped', '16 bits'),
        'shallow.png': (cv2.imencode('.png', deep // 257 * 257)[1].tobytes(), 'converted', '16 bits'),
        'bomb.png': (bytes(bomb), 'skipped', '--max-pixels'),
        'bomb.jpg': (jpeg().replace(b'\x00\x40\x00\x40\x03', b'\xff\xf0\xff\xf0\x03'), 'skipped',
                     '--max-pixels'),
    }


def test_broken_images_are_listed_and_never_packed(tmp_path, command):
    odd = odd_images()
    (tmp_path / 'in' / 'c').mkdir(parents=True)
    for name, (data, _, _) in odd.items():
        (tmp_path / 'in' / 'c' / name).write_bytes(data)
    os.mkfifo(tmp_path / 'in' / 'c' / 'pipe.jpg')
    (tmp_path / 'in' / 'loose.jpg').write_bytes(b'')
    code, out, _ = command('pack', tmp_path / 'in', tmp_path / 'x', '--workers', 2)
    assert code == 0
    rows = bad_rows(tmp_path / 'x')
    assert rows.pop('c/pipe.jpg') == ('skipped', 'not a file')
    assert rows.pop('loose.jpg') == ('skipped', 'in no class folder')
    for name, (_, action, word) in odd.items():
        assert rows.get(f'c/{name}', ('', ''))[0] == action, (name, rows.get(f'c/{name}'))
        assert word in rows.get(f'c/{name}', ('', ''))[1], rows[f'c/{name}']
    skipped = sum(action == 'skipped' for _, action, _ in odd.values()) + 2
    counted = f'{skipped} bad and left out, 4 converted, 1 odd but kept ({tmp_path}/x.bad.csv)'
    assert counted in out.splitlines()[-1]

    packed = {path: image for _, image, path in read_listed(tmp_path / 'x.rec')}
    assert set(packed) == {f'c/{name}' for name, (_, action, _) in odd.items() if action != 'skipped'}
    for path, image in packed.items():
        data, action, _ = odd[path[2:]]
        assert mx.image.imdecode(image.data).shape[2] == 3, path
        assert (image.data == data) == (action != 'converted')
    for name in ('still.gif', 'good.webp'):  # converted without a pixel changed
        original = np.asarray(Image.open(io.BytesIO(odd[name][0])).convert('RGB'))
        assert np.array_equal(mx.image.imdecode(packed[f'c/{name}'].data).asnumpy(), original)
    assert command('rec', 'verify', tmp_path / 'x.rec')[0] == 0

    code, _, err = command('pack', tmp_path / 'in', tmp_path / 'y', '--strict', '--workers', 1)
    assert code == 2 and len(err.splitlines()) == 1 and f'{skipped} images cannot be packed' in err
    code, _, err = command('pack', tmp_path / 'in' , tmp_path / 'z', '--on-bad', 'stop', '--workers', 1)
    assert code == 2 and len(err.splitlines()) == 1
    assert not list(tmp_path.glob('[yz].*rec'))


def test_most_damage_of_a_jpeg_scan_is_found_and_all_truncation(tmp_path):
    """Truncated at any length, a JPEG is refused; and whatever libjpeg warns of is."""
    from data_tools.images import BadImage, check
    for data in (jpeg(32), jpeg(32, progressive=True), jpeg(32, restart_marker_blocks=1)):
        check(data)
        for length in range(1, len(data) - 2, 3):
            with pytest.raises(BadImage):
                check(data[:length])


def test_every_flipped_bit_of_a_png_is_found():
    from data_tools.images import BadImage, check
    png = odd_images()['good.png'][0]
    for bit in range(0, len(png) * 8):
        with pytest.raises(BadImage):
            check(png[:bit // 8] + bytes([png[bit // 8] ^ 1 << bit % 8]) + png[bit // 8 + 1:])


def test_a_photograph_is_turned_as_its_camera_says(tmp_path, command):
    pixels = np.zeros((32, 64, 3), np.uint8)
    pixels[:, :32] = 255  # white on the left
    exif = Image.Exif()
    exif[274] = 6  # to be turned right by a quarter: white on top
    (tmp_path / 'in' / 'c').mkdir(parents=True)
    Image.fromarray(pixels).save(tmp_path / 'in' / 'c' / 'a.jpg', exif=exif)
    assert command('pack', tmp_path / 'in', tmp_path / 'x', '--resize', 16, '--workers', 1)[0] == 0
    (_, image), = read_images(tmp_path / 'x.rec')
    turned = mx.image.imdecode(image.data).asnumpy()
    assert turned.shape == (32, 16, 3) and turned[:14].min() > 240 and turned[18:].max() < 15


def test_duplicates_are_reported(tmp_path, photos, command):
    shutil.copy(photos / 'cat' / '0000.jpg', photos / 'dog' / 'again.jpg')
    code, out, _ = command('pack', photos, tmp_path / 'x', '--workers', 1, '--no-shuffle')
    assert code == 0 and f'1 duplicates, 1 of them under another label ({tmp_path}/x.duplicates.csv)' in out
    assert (tmp_path / 'x.duplicates.csv').read_text().splitlines() == [
        'path,same_as,labels', 'dog/again.jpg,cat/0000.jpg,1.000000 and 0.000000']


# ---- safety

@pytest.mark.parametrize('name', ['../out.jpg', '/tmp/out.jpg', 'c/../../out.jpg'])
def test_archive_members_that_lead_out_are_refused_by_name(tmp_path, command, name):
    with tarfile.open(tmp_path / 'a.tar', 'w') as tar:
        member = tarfile.TarInfo(name)
        member.size = 3
        tar.addfile(member, io.BytesIO(b'abc'))
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr(name, b'abc')
    for archive in ('a.tar', 'a.zip'):
        code, _, err = command('pack', tmp_path / archive, tmp_path / 'x')
        assert code == 2 and repr(name) in err and len(err.splitlines()) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ['a.tar', 'a.zip']


@pytest.mark.parametrize('target', ['/etc/passwd', '../../../etc/passwd'])
def test_archive_links_that_lead_out_are_refused_by_name(tmp_path, command, target):
    with tarfile.open(tmp_path / 'a.tar', 'w') as tar:
        member = tarfile.TarInfo('c/link.jpg')
        member.type, member.linkname = tarfile.SYMTYPE, target
        tar.addfile(member)
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        info = zipfile.ZipInfo('c/link.jpg')
        info.external_attr = (stat.S_IFLNK | 0o777) << 16
        archive.writestr(info, target)
    for archive in ('a.tar', 'a.zip'):
        code, _, err = command('pack', tmp_path / archive, tmp_path / 'x')
        assert code == 2 and 'c/link.jpg' in err and target in err


def test_list_paths_that_lead_out_are_refused_by_name(tmp_path, photos, command):
    outside = tmp_path / 'outside.jpg'
    outside.write_bytes(jpeg())
    (photos / 'cat' / 'link.jpg').symlink_to(outside)
    (tmp_path / 'elsewhere').mkdir()
    (tmp_path / 'elsewhere' / 'outside.jpg').write_bytes(jpeg())
    (photos / 'away').symlink_to(tmp_path / 'elsewhere')
    for path in ('../outside.jpg', str(outside), 'cat/../../outside.jpg'):
        (tmp_path / 'x.lst').write_text(f'0\t1.0\t{path}\n')
        code, _, err = command('pack', tmp_path / 'x.lst', tmp_path / 'x', '--root', photos, '--workers', 1)
        assert code == 2 and path in err and len(err.splitlines()) == 1, path
        assert not (tmp_path / 'x.rec').exists()
    # Links in the folder are the user's own, as they are when the folder itself is packed: its list comes back.
    assert command('pack', photos, tmp_path / 'y', '--workers', 1)[0] == 0
    assert 'away/outside.jpg' in (tmp_path / 'y.lst').read_text()
    assert command('pack', tmp_path / 'y.lst', tmp_path / 'z', '--root', photos, '--workers', 1)[0] == 0
    assert (tmp_path / 'y.rec').read_bytes() == (tmp_path / 'z.rec').read_bytes()


def test_a_wrong_list_names_the_line(tmp_path, photos, command):
    for line, word in (('x\t1\tcat/0000.jpg', 'line 2'), ('1\tcat/0000.jpg', '2 fields'),
                       ('0\t1\tcat/0000.jpg', 'already'),
                       ('-1\t1\tcat/0000.jpg', 'id -1')):
        (tmp_path / 'x.lst').write_text(f'0\t1.0\tcat/0001.jpg\n{line}\n')
        code, _, err = command('pack', tmp_path / 'x.lst', tmp_path / 'x', '--root', photos)
        assert code == 2 and word in err and 'line 2' in err


def test_damaged_archives_are_one_line(tmp_path, photos, command):
    shutil.make_archive(str(tmp_path / 'p'), 'zip', photos)
    shutil.make_archive(str(tmp_path / 'p'), 'gztar', photos)
    shutil.make_archive(str(tmp_path / 'p'), 'tar', photos)
    for name in ('p.zip', 'p.tar.gz', 'p.tar'):
        data = (tmp_path / name).read_bytes()
        (tmp_path / name).write_bytes(data[:len(data) * 2 // 3])
        code, _, err = command('pack', tmp_path / name, tmp_path / 'x', '--workers', 1)
        assert code == 2 and name in err and len(err.splitlines()) == 1, err
        assert not (tmp_path / 'x.rec').exists()


# ---- the disk

def test_an_unreadable_folder_is_one_line_and_keeps_the_old_pack(make_photos, command, forked):
    from data_tools.__main__ import main
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o777)
        folder = Path(folder)
        make_photos(folder / 'photos')
        assert command('pack', folder / 'photos', folder / 'x', '--workers', 1)[0] == 0
        before = files_of(folder / 'x')
        (folder / 'photos' / 'dog').chmod(0)

        def pack_as_nobody():
            if os.getuid() == 0:
                os.setuid(65534)  # root may read everything
            return main(['pack', str(folder / 'photos'), str(folder / 'x'), '--workers', '1'])
        code, output = forked(pack_as_nobody)
        (folder / 'photos' / 'dog').chmod(0o700)
        assert code == 2 and len(output.splitlines()) == 1 and f'{folder}/photos/dog' in output, output
        assert files_of(folder / 'x') == before and not (folder / 'x.part').exists()


@pytest.mark.parametrize('limit', [1000, 10_000, 20_000])
def test_a_failing_writer_is_one_line_and_keeps_the_old_pack(tmp_path, make_photos, command, forked, limit):
    """A file may not grow beyond `limit` bytes, as on a full disk."""
    from data_tools.__main__ import main
    command('pack', make_photos(tmp_path / 'old', size=8), tmp_path / 'x', '--workers', 1)
    before = files_of(tmp_path / 'x')
    make_photos(tmp_path / 'new', count=20, size=32, seed=9)

    def pack_with_limit():
        import signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        return main(['pack', str(tmp_path / 'new'), str(tmp_path / 'x'), '--workers', '1'])
    code, output = forked(pack_with_limit)
    assert code == 2 and len(output.splitlines()) == 1 and 'no space left' in output, output
    assert files_of(tmp_path / 'x') == before
    assert command('pack', tmp_path / 'new', tmp_path / 'x', '--workers', 1, '--resume')[0] == 0
    assert command('pack', tmp_path / 'new', tmp_path / 'y', '--workers', 1)[0] == 0
    assert files_of(tmp_path / 'x') == files_of(tmp_path / 'y')


def test_a_really_full_disk(tmp_path, make_photos, command):
    disk = tmp_path / 'disk'
    disk.mkdir()
    if os.getuid() or subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=200k', 'tmpfs', str(disk)],
                                     stderr=subprocess.DEVNULL).returncode:
        pytest.skip('may not mount a tmpfs here')
    try:
        command('pack', make_photos(tmp_path / 'old', size=8), disk / 'x', '--workers', 1)
        before = files_of(disk / 'x')
        make_photos(tmp_path / 'new', count=40, size=64, seed=9)
        for arguments in (('pack', tmp_path / 'new', disk / 'x', '--workers', 2),
                          ('rec', 'merge', disk / 'x.rec', tmp_path / 'big.rec'),
                          ('rec', 'extract', tmp_path / 'big.rec', disk / 'images')):
            command('pack', tmp_path / 'new', tmp_path / 'big', '--workers', 1)
            code, _, err = command(*arguments)
            assert code == 2 and len(err.splitlines()) == 1 and 'no space left' in err, err
            assert files_of(disk / 'x') == before
            shutil.rmtree(disk / 'x.part', ignore_errors=True)
            assert sorted(path.name for path in disk.iterdir()) == sorted(f'x{ending}' for ending in ENDINGS
                                                                          + ('.json',))
    finally:
        subprocess.run(['umount', str(disk)], check=True)


def test_two_at_once_and_a_changed_resume_are_refused(tmp_path, photos, command):
    from data_tools.pack_files import PartFolder
    held = PartFolder(tmp_path / 'x')
    reader, writer = os.pipe()
    if os.fork() == 0:  # locks are between processes
        code = 70
        try:
            from data_tools.__main__ import main
            code = main(['pack', str(photos), str(tmp_path / 'x'), '--workers', '1'])
        finally:
            os.write(writer, bytes([code]))
            os._exit(0)
    os.wait()
    assert os.read(reader, 1) == b'\2'
    held.remove()
    code, _, err = command('pack', photos, tmp_path / 'missing' / 'x', '--workers', 1)
    assert code == 0  # the folder of the pack is made
    code, _, err = command('pack', photos, tmp_path, '--workers', 1)
    assert code == 2 and 'is a folder' in err


# ---- the real thing

def test_cifar10(tmp_path, cifar10_archive, command):
    """50,000 and 10,000 images from the archive, the latter also from a folder; each label equally often an epoch."""
    # In memory where there is a place for it: 10,000 new files are slow to reach a disk.
    with tempfile.TemporaryDirectory(dir='/dev/shm' if os.path.isdir('/dev/shm') else None) as folder:
        with tarfile.open(cifar10_archive) as archive:
            archive.extractall(folder, [member for member in archive if '/train/' not in f'/{member.name}'])
        for part in ('train', 'test'):
            assert command('pack', f'{cifar10_archive}/{part}', tmp_path / 'a' / part)[0] == 0
        assert command('pack', f'{folder}/test', tmp_path / 'b' / 'test')[0] == 0
        assert files_of(tmp_path / 'a' / 'test') == files_of(tmp_path / 'b' / 'test')
    for part, count in (('train', 5000), ('test', 1000)):
        iterator = mx.io.ImageRecordIter(path_imgrec=str(tmp_path / 'a' / f'{part}.rec'), shuffle=True,
                                         path_imgidx=str(tmp_path / 'a' / f'{part}.idx'),
                                         data_shape=(3, 32, 32),
                                         batch_size=1000, preprocess_threads=2)
        labels = np.concatenate([batch.label[0].asnumpy() for batch in iterator])
        assert np.bincount(labels.astype(int)).tolist() == [count] * 10
    assert len(list(read_list(tmp_path / 'a' / 'test.lst'))) == 10_000
