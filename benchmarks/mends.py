"""What was found by `python -m chapters profile` to cost most, before it was mended and after.

    python -m benchmarks.mends [--rounds 5]

Everything else is as it is today; only the one thing is as it would be without us. Processes of their own, the two
sides in turns.

- Gluon's step: `autograd` makes the graph of the backward pass anew at each call. `CompiledStep` binds it once.
- MXNet's update: `sgd_update`, called for each parameter. `CompiledStep` has all of them in one array for BLAS.
- MXNet's queue: each operator is handed to another thread. `NaiveEngine` calls it.
- All threads: for a small operator, waking the second takes longer than its half of the work.
- Gluon's prediction: convolution, BN and ReLU one after the other, where `Predictor` lets oneDNN do them at once.
"""
import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks import training
from benchmarks.book import Row, save

_ROOT = Path(__file__).resolve().parents[1]
TRAINING = {'Gluon\'s step': ('3.4.2', '4.4'), 'MXNet\'s update': ('3.4.2',), 'MXNet\'s queue': ('3.4.2', '4.4'),
            'all threads': ('2.3.9',)}
PREDICTION = {'Gluon\'s prediction': ('3.4.2', '4.4', '5.4.4')}


def train(section, before):
    """Samples a second of training, with one thing as before, or '' for none."""
    import mxnet as mx

    import chapters
    from chapters.kit.training.compiled_step import CompiledStep
    from chapters.kit.training.train import PlainStep

    def make_step(objective, optimizer, inputs):
        if before == 'Gluon\'s step':
            return PlainStep(objective, optimizer, [mx.cpu()])
        step = CompiledStep(objective, optimizer, inputs, mx.cpu())
        if before == 'MXNet\'s update':
            updater = mx.optimizer.get_updater(optimizer)
            pairs = [(step._gradient_views[name], view) for name, view in step._weight_views.items()]
            step._plain_sgd = False
            step._update_by_mxnet = lambda: [updater(index, *pair) for index, pair in enumerate(pairs)]
        if before == 'all threads':
            step.threads = None
        return step
    return training.train(chapters.find(section), training.SAMPLES[section], make_step)[0]


def predict(section, before, batch_size=250):
    """Samples a second of prediction, by Gluon's hybridized block or by `Predictor`."""
    import mxnet as mx
    import numpy as np

    import chapters
    from chapters.kit.trained.prediction import Predictor
    from chapters.kit.training.from_recipe import initialize
    experiment = chapters.find(section)
    x, _ = training.arrays(experiment, 8 * batch_size)
    network = experiment.build()
    initialize(network, experiment.recipe, x[:1], [mx.cpu()])
    if before:
        network.hybridize(static_alloc=True, static_shape=True)

        def answer(x):
            return np.concatenate([network(mx.nd.array(x[start:start + batch_size])).asnumpy()
                                   for start in range(0, len(x), batch_size)])
    else:
        answer = Predictor(network, batch_size)
    answer(x)
    began = time.perf_counter()
    answer(x)
    return len(x) / (time.perf_counter() - began)


def _measure(kind, section, before):
    environment = dict(os.environ, PYTHONPATH=str(_ROOT))
    if before == 'MXNet\'s queue':
        environment.update(training.MODULE_DEFAULT)
    program = f'from benchmarks import mends; print(mends.{kind}({section!r}, {before!r}))'
    answer = subprocess.run([sys.executable, '-c', program], env=environment, cwd=_ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f'{before} {section} failed:\n{answer.stderr[-2000:]}')
    return float(answer.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--rounds', type=int, default=5)
    options = parser.parse_args()
    rows = []
    for kind, mends in (('train', TRAINING), ('predict', PREDICTION)):
        for before, section in [(before, section) for before, sections in mends.items() for section in sections]:
            found = {'now': [], 'before': []}
            for _ in range(options.rounds):
                for side, figures in found.items():
                    figures.append(_measure(kind, section, before if side == 'before' else ''))
            rows.append(Row(f'{before}, {section}', 'samples/s', found))
            print(rows[-1], flush=True)
    save('benchmarks.mends', 'The largest losses, mended', rows, '\n'.join(__doc__.splitlines()[4:]))


if __name__ == '__main__':
    main()
