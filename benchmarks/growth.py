"""How time and memory grow: with the batch, the width, the samples, the size of a `.rec` file, the number of files.

    python -m benchmarks.growth [--most-files 200000] [--most-megabytes 2000]

Each point is a process of its own, so that its peak memory is its own. Drawn in docs/growth.png. Files are made on the
spot in the folder for temporary files, which needs room for two of the largest.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from benchmarks.book import Row, save, save_picture

_ROOT = Path(__file__).resolve().parents[1]
_TEXT = """![Growth](growth.png)

Dotted: the straight line through the first and the last point. Not straight, and why: a small **batch** pays the fixed
costs of an update more often; the work of a convolution grows with the square of the **width**. Memory grows with the
**samples** because data sets of arrays are held in memory as float32, once in NumPy and once in MXNet; with batch and
width by the activations. Files and `.rec` are streamed: there memory stays as it is."""


def train(section, samples, batch_size, width=None):
    """Seconds of an epoch."""
    import chapters
    from benchmarks import training
    experiment = chapters.find(section).but(batch_size=batch_size, **({'width': width} if width else {}))
    return samples / training.train(experiment, samples)[0]


def read(path):
    """Seconds in which `ImageRecordIter`, as a training has it, reads a file of records."""
    import mxnet as mx
    reader = mx.io.ImageRecordIter(path_imgrec=path, data_shape=(3, 28, 28), batch_size=100, preprocess_threads=1,
                                   rand_crop=True, rand_mirror=True)
    began = time.perf_counter()
    for batch in reader:
        batch.data[0].wait_to_read()
    return time.perf_counter() - began


def point(function, *arguments):
    """(seconds that the function says, peak MB) of a process of its own."""
    program = (f'from benchmarks import growth; print(growth.{function}(*{arguments!r}))')
    child = subprocess.Popen([sys.executable, '-c', program], stdout=subprocess.PIPE, cwd=_ROOT)
    answer = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = 0  # waited for already
    if status:
        raise SystemExit(f'{function}{arguments} failed')
    return float(answer), usage.ru_maxrss / 1024


def pack(folder, prefix):
    """(seconds, peak MB) of packing a folder, as a user does it."""
    began = time.perf_counter()
    child = subprocess.Popen([sys.executable, '-m', 'data_tools', 'pack', folder, prefix], cwd=_ROOT,
                             stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = 0
    if status:
        raise SystemExit(f'packing {folder} failed')
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def images(folder, first, last, jpegs):
    """Files number `first` to `last` of a folder with ten classes."""
    for label in range(10):
        (folder / str(label)).mkdir(parents=True, exist_ok=True)
    for number in range(first, last):
        (folder / str(number % 10) / f'{number:06}.jpg').write_bytes(jpegs[number % len(jpegs)])


def some_jpegs(side, count=100):
    """Compressed pictures of noise over smooth shapes, `side` pixels square."""
    import cv2
    random = np.random.default_rng(0)
    found = []
    for _ in range(count):
        pixels = cv2.resize(random.integers(0, 256, (8, 8, 3), np.uint8), (side, side))
        pixels = np.clip(pixels + random.normal(0, 8, pixels.shape), 0, 255).astype(np.uint8)
        found.append(cv2.imencode('.jpg', pixels)[1].tobytes())
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--most-files', type=int, default=200000)
    parser.add_argument('--most-megabytes', type=int, default=2000)
    options = parser.parse_args()
    series = {}

    def note(name, size, result):
        series.setdefault(name, {})[size] = result
        print(f'{name} {size:,}: {result[0]:.2f} s, {result[1]:.0f} MB', flush=True)
    for samples in (7500, 15000, 30000, 60000):
        note('samples (3.4.2, an epoch)', samples, point('train', '3.4.2', samples, 32))
    for batch_size in (8, 16, 32, 64, 128, 256):
        note('batch (4.4, 5,120 samples)', batch_size, point('train', '4.4', 5120, batch_size))
    for width in (0.25, 0.5, 0.75, 1.0):
        note('width (5.5.7, 100 samples)', width, point('train', '5.5.7', 100, 50, width))
    with tempfile.TemporaryDirectory() as folder:
        folder, done, jpegs = Path(folder), 0, some_jpegs(32)
        for count in [options.most_files // part for part in (8, 4, 2, 1)]:
            images(folder / 'files', done, count, jpegs)
            done = count
            note('files (packing)', count, pack(str(folder / 'files'), str(folder / f'packed{count}')))
        jpegs = some_jpegs(400)
        for megabytes in [options.most_megabytes // part for part in (8, 4, 2, 1)]:
            path = write_records(folder / 'large.rec', jpegs, megabytes)
            note('megabytes (reading a .rec)', megabytes, point('read', str(path)))
    rows = [Row(f'{name}: {what}', unit,
                {f'{size:,}': [result[column]] for size, result in found.items()}, compared=False)
            for name, found in series.items() for column, (what, unit) in enumerate([('time', 's'), ('memory', 'MB')])]
    save('benchmarks.growth', 'Growth', rows, _TEXT)
    print(draw(series))


def write_records(path, jpegs, megabytes):
    """A `.rec` file of about so many megabytes."""
    import mxnet as mx
    with_header = [mx.recordio.pack(mx.recordio.IRHeader(0, float(number % 10), number, 0), jpeg)
                   for number, jpeg in enumerate(jpegs)]
    file, written, number = mx.recordio.MXRecordIO(str(path), 'w'), 0, 0
    while written < megabytes << 20:
        record = with_header[number % len(with_header)]
        file.write(record)
        written, number = written + len(record) + 8, number + 1
    file.close()
    return path


def draw(series):
    """Every series with the straight line through its first and last point."""
    from chapters.kit.report import figures
    figure, axes = figures.plt.subplots(2, len(series), figsize=(3.2 * len(series), 5.5))
    for column, (name, found) in zip(axes.T, series.items()):
        sizes = list(found)
        for axis, values, unit in zip(column, zip(*found.values()), ('seconds', 'peak memory, MB')):
            axis.plot(sizes, values, 'o-')
            axis.plot([sizes[0], sizes[-1]], [values[0], values[-1]], ':', color='grey')
            axis.set_ylim(0, 1.1 * max(values))
            axis.set_xlim(0)
            axis.set_ylabel(unit)
        column[0].set_title(name, fontsize=9)
    return save_picture(figure, 'growth')


if __name__ == '__main__':
    main()
