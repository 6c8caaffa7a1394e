"""The attacks of section 9.2 against those of Foolbox, on the same network and the same images: accuracy after either.

    python -m benchmarks.attacks --torch .venv-torch/bin/python [--run zoo:4.4] [--images 200] [--starts 3]

Without a random start both take the same steps. PGD begins at random, with either's own random numbers: its accuracy is the
mean over several starts, the least and the largest in brackets.

The network is 4.4's, built again in PyTorch from the parameters of the run; its logits are held against MXNet's first.
PyTorch's environment needs `pip install torch foolbox`.
"""
import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

_EPSILONS, _STEPS = (16, 24, 32), 40


def main():
    """Run the command line."""
    parser = argparse.ArgumentParser('python -m benchmarks.attacks', description=__doc__.splitlines()[0])
    parser.add_argument('--torch', required=True, metavar='PYTHON', help='of an environment with PyTorch and Foolbox')
    parser.add_argument('--run', default='zoo:4.4', help='of 4.4 (default: zoo:4.4)')
    parser.add_argument('--images', type=int, default=200, help='test images (default 200)')
    parser.add_argument('--starts', type=int, default=3, help='random starts of PGD on either side (default 3)')
    options = parser.parse_args()
    from chapters.ch09_adversarial.attacks import fgsm, iterated, pgd
    from chapters.ch09_adversarial.subject import load_subject
    subject = load_subject(options.run)
    victim, (x, labels) = subject.victim, subject.test_images(options.images)
    parameters = [parameter.data().asnumpy() for parameter in victim.network.collect_params().values()]
    with tempfile.TemporaryDirectory() as folder:
        given, answer = Path(folder, 'given.npz'), Path(folder, 'answer.npz')
        np.savez(given, x=x, labels=labels, epsilons=np.array(_EPSILONS) / 255, steps=_STEPS,
                 starts=options.starts, **{f'parameter{number:02d}': value for number, value in enumerate(parameters)})
        environment = {**os.environ, 'OMP_NUM_THREADS': '1'}
        subprocess.run([options.torch, str(Path(__file__).with_name('torch_attacks.py')), str(given), str(answer)], check=True,
                       env=environment)
        with np.load(answer) as theirs:
            difference = np.abs(theirs['logits'] - victim.logits(x)).max()
            print(f'{len(x)} images, accuracy {victim.accuracy(x, labels):.1%}; logits of the two networks differ by '
                  f'{difference:.1e} at most')
            ways = {'FGSM': [(fgsm, {})], 'iterated': [(iterated, {'steps': _STEPS})],
                    'PGD': [(pgd, {'steps': _STEPS, 'seed': seed}) for seed in range(options.starts)]}
            print('| epsilon of 255 | ' + ' | '.join(f'{name}, ours | Foolbox' for name in ways) + ' |')
            print('| ---: |' + ' ---: |' * (2 * len(ways)))
            worst = 0.0
            for number, epsilon in enumerate(_EPSILONS):
                ours = [[victim.accuracy(change(victim, x, labels, epsilon / 255, **more), labels) for change, more in starts]
                        for starts in ways.values()]
                other = [theirs[name][:, number] for name in ways]
                worst = max(worst, *(abs(np.mean(a) - np.mean(b)) for a, b in zip(ours, other)))
                cells = [_said(each) for pair in zip(ours, other) for each in pair]
                print(' | '.join([f'| {epsilon}', *cells]) + ' |', flush=True)
    print(f'they differ by {100 * worst:.1f} points at most')
    return 0 if worst <= 0.02 and difference < 1e-3 else 1


def _said(accuracies):
    """The mean, and where there are several, the least and the largest."""
    several = f' ({min(accuracies):.1%} to {max(accuracies):.1%})' if len(accuracies) > 1 else ''
    return f'{np.mean(accuracies):.1%}{several}'


if __name__ == '__main__':
    sys.exit(main())
