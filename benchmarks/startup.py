"""How long until something happens: listing the experiments, the first prediction; beside importing the frameworks.

    python -m benchmarks.startup [--rounds 5] [--torch .venv-torch/bin/python]

Whole processes: seconds by the clock, and peak memory.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.book import Row, save

_ROOT = Path(__file__).resolve().parents[1]


def process(*command):
    """(seconds, peak memory in MB) of a process."""
    began = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=_ROOT)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = 0  # waited for already
    if status:
        raise SystemExit(f'{" ".join(command)} failed')
    return time.perf_counter() - began, usage.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--torch', default=str(_ROOT / '.venv-torch/bin/python'), metavar='PYTHON')
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        run, picture = str(Path(folder) / 'run'), str(Path(folder) / '7.png')
        process(sys.executable, '-m', 'chapters', 'run', '4.4', '--data', 'digits', '--epochs', '1', '--out', run)
        process(sys.executable, '-c', 'import sys; from PIL import Image; from data_tools.datasets import load; '
                'Image.fromarray(load("digits").test_images[0, 0]).save(sys.argv[1])', picture)
        commands = {'chapters list': (sys.executable, '-m', 'chapters', 'list'),
                    'chapters predict, one image': (sys.executable, '-m', 'chapters', 'predict', run, picture),
                    'import mxnet': (sys.executable, '-c', 'import numpy; numpy.bool = bool; import mxnet')}
        if Path(options.torch).exists():
            commands['import torch'] = (options.torch, '-c', 'import torch')
        found = {name: [] for name in commands}
        for number in range(options.rounds + 1):
            for name, command in commands.items():
                result = process(*command)
                if number:  # the first round warms the disk
                    found[name].append(result)
    rows = [Row(what, unit, {name: [result[column] for result in results] for name, results in found.items()},
                compared=False)
            for column, (what, unit) in enumerate([('time', 's'), ('peak memory', 'MB')])]
    print('\n'.join(map(str, rows)))
    save('benchmarks.startup', 'Starting', rows)


if __name__ == '__main__':
    main()
