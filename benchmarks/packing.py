"""Packing images: how fast, beside MXNet's im2rec and beside `cat`?

    BOOKCNN_DATA=/path/to/data python -m benchmarks.packing [--rounds 5] [--json FILE]

Whole processes, imports included, two workers on each side; the contestants take turns, and the figures are
medians. CIFAR-10's 50,000 training files as JPEGs: im2rec lists and packs them with `--pass-through`; ours
does both in one call. 500 photographs of about two megapixels, made here: both resize the shorter edge to 256
and encode anew.
"""
import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

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
    """{name: commands} -> {name: (seconds, CPU seconds, peak MB)}, medians; they take turns. The first round
    warms the disk."""
    results = {name: [] for name in contestants}
    for number in range(rounds + 1):
        for name, commands in contestants.items():
            result = seconds(*commands)
            if number:
                results[name].append(result)
        print('.', end='', flush=True)
    print()
    return {name: tuple(median(column) for column in zip(*runs)) for name, runs in results.items()}


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


def report(figures, small, large, path):
    """Print the figures, and write them to `path` if there is one."""
    figures['seconds'] = {'cifar10': {name: round(result[0], 3) for name, result in small.items()},
                          'photographs': {name: round(result[0], 3) for name, result in large.items()}}
    figures['cpu_seconds'] = {'cifar10': {name: round(result[1], 3) for name, result in small.items()},
                              'photographs': {name: round(result[1], 3) for name, result in large.items()}}
    figures['peak_mb'] = {name: round(small[name][2], 1) for name in ('im2rec', 'keep', '10,000 files, keep')}
    figures['ratios'] = {
        'keep, checked: times as fast as im2rec (5)': small['im2rec'][0] / small['keep'][0],
        'no check: times as fast as im2rec (8)': small['im2rec'][0] / small['no-check'][0],
        'no check: times the time of cat (3 at most)': small['no-check'][0] / small['cat'][0],
        'resize and encode: times as fast as im2rec (1.5)': large['im2rec'][0] / large['resize'][0],
        'memory of 50,000 files over that of 10,000': small['keep'][2] / small['10,000 files, keep'][2],
        'CPU time of im2rec over that of keep, checked': small['im2rec'][1] / small['keep'][1],
        'CPU time of im2rec over that of no check': small['im2rec'][1] / small['no-check'][1]}
    figures['ratios'] = {name: round(ratio, 2) for name, ratio in figures['ratios'].items()}
    figures['load_after'] = os.getloadavg()[0]
    print(json.dumps(figures, indent=2))
    if path:
        from data_tools.atomic import atomic_write
        with atomic_write(path, text=True) as file:
            json.dump(figures, file, indent=2)
            file.write('\n')


@one_line_errors
def main():
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--json', help='write the figures there')
    options = parser.parse_args()
    archive = Path(os.environ.get('BOOKCNN_DATA', '')) / 'cifar10' / 'cifar10_jpeg.tar.xz'
    if not archive.exists():
        raise UserError(f'{archive}: not there; BOOKCNN_DATA names the folder of the data')
    figures = {'command': 'python -m benchmarks.packing ' + ' '.join(sys.argv[1:]), 'rounds': options.rounds,
               'workers': WORKERS, 'cores': len(os.sched_getaffinity(0)), 'python': platform.python_version(),
               'load_before': os.getloadavg()[0]}
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
        report(figures, small, large, options.json)  # before 60,000 files are removed, which may take minutes


if __name__ == '__main__':
    sys.exit(main())
