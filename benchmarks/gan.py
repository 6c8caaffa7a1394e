"""DCGAN (8.3) in the book's sizes, 64x64 in colour, batches of 64: our step against the book's, and PyTorch's.

    python -m benchmarks.gan [--rounds 5] [--torch .venv-torch/bin/python]

The book's step is that of `book_code.sec_8_3`: two Modules and the loop that adds their gradients. Both compute the
same numbers (`python -m chapters parity 8.3-64`). Every measurement is a process of its own, and the sides take turns.
The images are noise of the shape of CIFAR-10's, enlarged, which takes as long. With one thread the steps a second of
processor time are about what a quiet machine would do, however busy this one is. PyTorch's environment: see `python -m
benchmarks.training --help`.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from benchmarks.book import Row, save

_ROOT = Path(__file__).resolve().parents[1]
_BATCH, _WIDTH = 64, 64


def images():
    """A batch, (N, 3, 64, 64) from -1 to 1."""
    import numpy as np
    return np.random.default_rng(0).uniform(-1, 1, (_BATCH, 3, 64, 64)).astype(np.float32)


def ours(x, steps):
    """(seconds, processor seconds) of each step of `AdversarialStep`, the first left out."""
    import mxnet as mx

    import chapters
    from chapters.ch08_gan.adversarial import AdversarialStep, build
    from chapters.kit.training.epochs import seed_everything
    experiment, random = chapters.find('8.3-64'), seed_everything(0)
    network = build(experiment, 3, experiment.recipe, mx.cpu())
    step = AdversarialStep(network, experiment.recipe, 100, mx.cpu())
    return _times(lambda codes: step(mx.nd.array(x), codes), random, steps)


def module(x, steps):
    """The same of the listing's loop over two Modules."""
    import mxnet as mx

    import chapters
    from chapters.kit.training.epochs import seed_everything
    random = seed_everything(0)
    listing = chapters.find('8.3-64').symbolic_form()
    g, d = listing.modules(_BATCH, mx.cpu())
    return _times(lambda codes: listing.step(g, d, mx.nd.array(x), codes.reshape((0, 0, 1, 1))), random, steps)


def _times(step, random, steps):
    import mxnet as mx
    found = []
    for _ in range(steps + 1):
        began, used = time.perf_counter(), time.process_time()
        step(mx.nd.array(random.standard_normal((_BATCH, 100))))
        mx.nd.waitall()
        found.append((time.perf_counter() - began, time.process_time() - used))
    return found[1:]


def _measure(side, options):
    """Steps a second, and a second of processor time, of one side, in a process of its own."""
    environment = dict(os.environ, PYTHONPATH=str(_ROOT), OMP_NUM_THREADS=str(options.threads))
    if side == 'PyTorch':
        command = [options.torch, str(_ROOT / 'benchmarks' / 'torch_gan.py'),
                   *map(str, (_WIDTH, _BATCH, options.steps, options.threads))]
    else:
        command = [sys.executable, '-m', 'benchmarks.gan', '--steps', str(options.steps), '--measure',
                   'ours' if side == 'ours' else 'module']
        if side == 'Module':  # as MXNet starts by default, which is how the book's programs run
            environment['MXNET_ENGINE_TYPE'] = 'ThreadedEnginePerDevice'
    answer = subprocess.run(command, env=environment, cwd=_ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f'{side} failed:\n{answer.stderr[-2000:]}')
    return [1 / median(times) for times in zip(*json.loads(answer.stdout.splitlines()[-1]))]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--steps', type=int, default=4, help='of a measurement')
    parser.add_argument('--threads', type=int, default=1)
    parser.add_argument('--torch', default=str(_ROOT / '.venv-torch/bin/python'), metavar='PYTHON')
    parser.add_argument('--measure', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        print(json.dumps({'ours': ours, 'module': module}[options.measure](images(), options.steps)))
        return
    sides = ['ours', 'Module']
    if Path(options.torch).exists():
        sides.append('PyTorch')
    else:
        print(f'no {options.torch}: without PyTorch (see --help)')
    measured = {side: [] for side in sides}
    for _ in range(options.rounds):
        for side in sides:
            measured[side].append(_measure(side, options))
    rows = [Row(f'8.3-64, steps of both networks, by {clock}', 'steps/s',
                {side: [pair[number] for pair in pairs] for side, pairs in measured.items()})
            for number, clock in enumerate(('the clock', 'processor time'))]
    for row in rows:
        print(row)
    save('benchmarks.gan', f'DCGAN, {options.threads} thread', rows)


if __name__ == '__main__':
    main()
