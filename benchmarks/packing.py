"""Packing images: how fast, beside MXNet's im2rec and beside `cat`? Reading them: beside WebDataset and TFRecord?

    BOOKCNN_DATA=/path/to/data python -m benchmarks.packing [--rounds 5] [--peers .venv-readers/bin/python]

Whole processes, imports included, two workers on each side; the contestants take turns, and the figures are
medians. CIFAR-10's 50,000 training files as JPEGs: im2rec lists and packs them with `--pass-through`; ours
does both in one call. 500 photographs of about two megapixels, made here: both resize the shorter edge to 256
and encode anew; how close the pixels are (PSNR, in dB) is told beside the exact way: decoded whole, averaged, not
encoded. The pack of these is then read, decoded and cut to 224 x 224 by MXNet's readers, by ours, and the same JPEGs
in a tar by WebDataset and in TFRecords by tf.data, which need

    python3.11 -m venv .venv-readers && .venv-readers/bin/pip install webdataset tensorflow-cpu pillow
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.book import Row, save
from data_tools.errors import UserError, one_line_errors

WORKERS = 2
PHOTOS = 500


def seconds(*commands):
    """Of commands, one after the other: wall-clock seconds, CPU seconds, peak memory in MB of the largest
    process.

    Linux counts the memory of this process, as it was when it forked, into the peak: it has to stay small.
    """
    began, peak, cpu = time.perf_counter(), 0, 0
    for command in commands:
        process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        error = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = 0  # waited for already
        if status:
            raise UserError(f'{command[0]} {" ".join(map(str, command[1:4]))} ...: {error.decode()[-300:]}')
        peak = max(peak, usage.ru_maxrss / 1024)
        cpu += usage.ru_utime + usage.ru_stime
    return time.perf_counter() - began, cpu, peak


def ours(source, prefix, *options):
    return [(sys.executable, '-m', 'data_tools', 'pack', source, prefix, '--workers', WORKERS) + options]


def theirs(source, prefix, *options):
    im2rec = (sys.executable, '-m', 'mxnet.tools.im2rec')
    return [im2rec + ('--list', '--recursive', prefix, source),
            im2rec + ('--num-thread', WORKERS) + options + (prefix, source)]


def race(contestants, rounds):
    """{name: commands} -> {name: [(seconds, CPU seconds, peak MB), ...]}; they take turns. The first round, which
    warms the disk, does not count."""
    results = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, commands in contestants.items():
            result = seconds(*commands)
            if number:
                results[name].append(result)
        print('.', end='', flush=True)
    print()
    return results


def make_photos(folder, count=PHOTOS):
    """Photographs of 1632 x 1224 pixels in five classes: smooth shapes, edges and a little noise, quality
    90."""
    import cv2
    import numpy as np
    generator = np.random.default_rng(0)
    noise = generator.normal(0, 6, (1224, 1632, 3)).astype(np.int16)
    for number in range(count):
        coarse = generator.integers(0, 256, (18, 24, 3), np.uint8)
        pixels = cv2.resize(coarse, (1632, 1224), interpolation=cv2.INTER_CUBIC)
        for _ in range(12):
            centre = tuple(int(edge) for edge in generator.integers(0, (1632, 1224)))
            cv2.circle(pixels, centre, int(generator.integers(20, 200)),
                       generator.integers(0, 256, 3).tolist(), -1)
        pixels = np.clip(pixels + np.roll(noise, number * 7, 1), 0, 255).astype(np.uint8)
        (folder / str(number % 5)).mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(folder / str(number % 5) / f'{number:04}.jpg'), pixels,
                    (cv2.IMWRITE_JPEG_QUALITY, 90))


def closeness(photos, pack):
    """PSNR in dB of each picture of a pack to the exact way."""
    import cv2
    import numpy as np

    from data_tools.recordio import read_listed
    found = []
    for number, (_, image, path) in enumerate(read_listed(pack)):
        if number % 10 == 0:
            there = cv2.imdecode(np.frombuffer(image.data, np.uint8), cv2.IMREAD_COLOR)
            exact = cv2.resize(cv2.imread(str(photos / path)), there.shape[1::-1], interpolation=cv2.INTER_AREA)
            found.append(float(cv2.PSNR(there, exact)))
    return found


def reading(folder, pack, peers, rounds):
    """{reader: [images a second]} of the photographs of a pack; the readers take turns."""
    import io
    import tarfile

    from data_tools.recordio import read_images
    tar = folder / 'photos.tar'
    with tarfile.open(tar, 'w') as archive:
        for _, image in read_images(pack):
            for ending, data in (('jpg', image.data), ('cls', b'%d' % image.labels[0])):
                member = tarfile.TarInfo(f'{image.id:05}.{ending}')
                member.size = len(data)
                archive.addfile(member, io.BytesIO(data))
    script = str(Path(__file__).with_name('reading.py'))
    contestants = {'ImageRecordIter': (sys.executable, 'record_iter', pack),
                   'ImageRecordDataset, DataLoader': (sys.executable, 'record_dataset', pack),
                   'data_tools.recordio, one thread': (sys.executable, 'read_images', pack)}
    if Path(peers).exists():
        subprocess.run([peers, script, 'make_tfrecord', str(tar), str(folder / 'photos.tfrecord')], check=True,
                       stderr=subprocess.DEVNULL)
        contestants['WebDataset'] = peers, 'webdataset', tar
        contestants['TFRecord, tf.data'] = peers, 'tfrecord', folder / 'photos.tfrecord'
    else:
        print(f'no {peers}: without WebDataset and TFRecord (see --help)')
    speeds = {name: [] for name in contestants}
    environment = {**os.environ, 'PYTHONPATH': str(Path(__file__).parents[1]), 'CUDA_VISIBLE_DEVICES': ''}
    for _ in range(rounds):
        for name, (python, kind, path) in contestants.items():
            done = subprocess.run([python, script, kind, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                  env=environment)
            if done.returncode:
                raise UserError(f'{name}: {done.stderr.decode()[-300:]}')
            speeds[name].append(float(done.stdout.split()[-1]))
    return speeds


def rows_of(small, large, close, read):
    """What the book of benchmarks says of the two races."""
    def row(what, unit, column, race, *names):
        return Row(what, unit, {words: [run[column] for run in race[name]] for name, words in names})
    files, photographs = 'CIFAR-10, 50,000 files', f'{PHOTOS} photographs, shorter edge to 256'
    keep, unchecked, theirs = ('keep', 'ours'), ('no-check', 'ours, --no-check'), ('im2rec', 'im2rec')
    return [row(files, 's', 0, small, keep, theirs),
            row(f'{files}, unchecked', 's', 0, small, unchecked, theirs, ('cat', 'cat')),
            row(f'{files}, processor time', 's', 1, small, keep, theirs),
            row(f'{files}, peak memory', 'MB', 2, small, keep, theirs, ('10,000 files, keep', 'ours, 10,000 files')),
            row(photographs, 's', 0, large, ('resize', 'ours'), theirs),
            row(f'{photographs}, processor time', 's', 1, large, ('resize', 'ours'), theirs),
            Row(f'{photographs}, closeness to the exact way', 'dB', close, compared=False),
            Row(f'reading {PHOTOS} photographs of 256 pixels', 'images/s', read)]


@one_line_errors
def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--peers', default='.venv-readers/bin/python', metavar='PYTHON',
                        help='of an environment with webdataset and tensorflow-cpu')
    options = parser.parse_args()
    archive = Path(os.environ.get('BOOKCNN_DATA', '')) / 'cifar10' / 'cifar10_jpeg.tar.xz'
    if not archive.exists():
        raise UserError(f'{archive}: not there; BOOKCNN_DATA names the folder of the data')
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / 'cifar').mkdir()
        subprocess.run(['tar', '-xf', str(archive), '-C', str(folder / 'cifar')], check=True)
        train = folder / 'cifar' / 'train'
        for number in range(1000):  # a fifth, for the memory
            for name in sorted(os.listdir(train)):
                (folder / 'fifth' / name).mkdir(parents=True, exist_ok=True)
                os.link(train / name / f'{number:04}.jpg', folder / 'fifth' / name / f'{number:04}.jpg')
        for name in ('im2rec', 'keep', 'nocheck', 'small'):
            (folder / name).mkdir()
        print('CIFAR-10, 50,000 files')
        small = race({
            'im2rec': theirs(train, folder / 'im2rec' / 'x', '--pass-through'),
            'keep': ours(train, folder / 'keep' / 'x'),
            'no-check': ours(train, folder / 'nocheck' / 'x', '--no-check'),
            'cat': [('sh', '-c', f'find {train} -type f -print0 | xargs -0 cat > {folder}/all')],
            '10,000 files, keep': ours(folder / 'fifth', folder / 'small' / 'x')}, options.rounds)
        for name in ('keep', 'nocheck'):
            subprocess.run(['cmp', str(folder / name / 'x.rec'), str(folder / 'im2rec' / 'x.rec')],
                           check=True)
        print(f'{PHOTOS} photographs')
        subprocess.run([sys.executable, '-c',
                        'import pathlib, sys; from benchmarks.packing import make_photos; '
                        'make_photos(pathlib.Path(sys.argv[1]))', str(folder / 'photos')], check=True)
        large = race({
            'im2rec': theirs(folder / 'photos', folder / 'im2rec' / 'p', '--resize', 256),
            'resize': ours(folder / 'photos', folder / 'keep' / 'p', '--resize', 256)}, options.rounds)
        close = {name: closeness(folder / 'photos', folder / place / 'p.rec')
                 for name, place in (('ours', 'keep'), ('im2rec', 'im2rec'))}
        print('reading')
        read = reading(folder, folder / 'keep' / 'p.rec', options.peers, options.rounds)
        rows = rows_of(small, large, close, read)
        print('\n'.join(map(str, rows)))
        save('benchmarks.packing', f'Packing images, {WORKERS} workers', rows)


if __name__ == '__main__':
    sys.exit(main())
