"""An iteration of style transfer (5.8), the loss and its gradient, against PyTorch on the same network and pictures.

    python -m benchmarks.style --torch .venv-torch/bin/python [--size 384] [--rounds 4] [--iterations 8]

One thread each; seconds of the processor, in which other programs on the machine matter less. Both sides are held against each
other: their losses, and their gradients at a picture of noise.
PyTorch comes twice, in its own layout of planes and in channels last; the rounds of all three alternate. PyTorch's environment
needs `pip install torch`.
"""
import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

_ALPHA = 0.03


def _instructions():
    """The widest that the processor has for numbers."""
    flags = Path('/proc/cpuinfo').read_text() if Path('/proc/cpuinfo').exists() else ''
    return next((name for flag, name in (('avx512f', 'AVX-512'), ('avx2', 'AVX2')) if flag in flags), 'no AVX2')


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser('python -m benchmarks.style', description=__doc__.splitlines()[0])
    parser.add_argument('--torch', required=True, metavar='PYTHON', help='of an environment with PyTorch')
    parser.add_argument('--size', type=int, default=384, help='of the longer side in pixels (default 384)')
    parser.add_argument('--rounds', type=int, default=4)
    parser.add_argument('--iterations', type=int, default=8, help='of a round; its first two are left out (default 8)')
    options = parser.parse_args()
    os.environ['OMP_NUM_THREADS'] = '1'
    from chapters.ch05_detection_style.style import Transfer, base_of, picture_of
    content, style = picture_of('temple', options.size), picture_of('flower', options.size)
    start = np.random.default_rng(0).uniform(0.3, 0.7, content.shape).astype(np.float32)
    features, layers = base_of('squeezenet')
    loss = Transfer(features, layers, content, style, _ALPHA)
    parameters = [parameter.data().asnumpy() for parameter in features.collect_params().values()]
    seconds = {'MXNet': [], 'PyTorch': [], 'PyTorch, channels last': []}
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, 'given.npz'), Path(folder, 'answer.npz')
        np.savez(given, content=content, style=style, start=start, alpha=_ALPHA, iterations=options.iterations,
                 **{f'parameter{number:02d}': value for number, value in enumerate(parameters)})
        for number in range(options.rounds):
            found = []
            for _ in range(options.iterations):
                began = time.process_time()
                value, gradient, *_ = loss(start)
                found.append(time.process_time() - began)
            seconds['MXNet'] += found[2:]
            for name, more in (('PyTorch', []), ('PyTorch, channels last', ['last'])):
                subprocess.run([options.torch, str(Path(__file__).with_name('torch_style.py')), str(given), str(answer), *more],
                               check=True, env=os.environ)
                with np.load(answer) as theirs:
                    seconds[name] += list(theirs['seconds'][2:])
                    difference = np.abs(theirs['gradient'] - gradient).max() / np.abs(gradient).max()
                    if abs(theirs['loss'] - value) > 1e-3 * value or difference > 1e-2:
                        raise SystemExit(f'{name}: loss {theirs["loss"]:.6g} in place of {value:.6g}, gradient other by '
                                         f'{difference:.1e}')
    height, width = content.shape[1:]
    print(f'{width}x{height}, {_instructions()}, one thread, medians of {len(seconds["MXNet"])}')
    ours = np.median(seconds['MXNet'])
    for name, found in seconds.items():
        print(f'{name}: {np.median(found):.3f} s an iteration ({np.min(found):.3f} to {np.max(found):.3f}), '
              f'{np.median(found) / ours:.2f} times ours')


if __name__ == '__main__':
    sys.exit(main())
