"""Training and prediction: our loop against the book's `Module.fit`, and against PyTorch.

    python -m benchmarks.training [--rounds 5] [--torch .venv-torch/bin/python] [SECTION ...]

Every measurement is a process of its own, and the sides take turns, so that a busy machine treats them alike; the
table shows medians. "Module" is measured twice: as MXNet starts by default, which is how the book's programs run, and
with the engine settings that our programs choose. PyTorch lives in an environment of its own, because GluonCV refuses
to load beside it:

    python3.11 -m venv .venv-torch && .venv-torch/bin/pip install torch==2.13.0 numpy
"""
import argparse
import json
import os
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

from benchmarks.book import Row, save

SECTIONS = ('2.2.8', '2.3.9', '3.4.2', '4.4', '5.4.4', '5.4.5', '5.5.7')
SAMPLES = {'2.2.8': 4000, '2.3.9': 40000, '3.4.2': 32 * 1500, '4.4': 32 * 100, '5.4.4': 32 * 40, '5.4.5': 500,
            '5.5.7': 500}
PREDICTED = 4  # times as many samples are predicted, with the batch size that suits the samples themselves best
TEXT = '''\
Prediction in 8 bits gains where the processor multiplies them by an instruction of its own (VNNI): in this
table 1.4 times our 32 bits for 3.4.2 to 2.4 times for 5.4.5; on a processor with VNNI and AMX, with one
thread beside other work, 2.5 (4.4) to 4.3 times (5.4.4). With AVX2 alone it loses: 4.4 ran at 0.83 of our
32 bits and 0.98 of PyTorch, 3.4.2 at 0.93 and 0.96 (one run, medians of 3). So both are measured on the
machine at hand: `evaluate RUN --int8` says which is faster, and the tree search of 7.3 takes it.'''
_KINDS = {'train': 'training', 'predict': 'prediction', 'predict int8': 'prediction in 8 bits'}
_ROOT = Path(__file__).resolve().parents[1]
MODULE_DEFAULT = {'MXNET_ENGINE_TYPE': 'ThreadedEnginePerDevice'}


def arrays(experiment, samples):
    """Inputs and targets of the shapes of a section; what is in them does not matter for the speed."""
    import numpy as np
    random = np.random.default_rng(0)
    x = random.random((samples,) + experiment.input_shape[1:], dtype=np.float32)
    return x, x.max(axis=1) if x.ndim == 2 else random.integers(0, 10, samples).astype(np.float32)


def train(experiment, samples, make_step=None):
    """An epoch of our training loop, after some updates to warm up.

    Parameters
    ----------
    experiment : Experiment
    samples : int
    make_step : callable, optional
        Objective, optimizer, shapes of a batch's inputs and of its targets -> what does an update. Default:
        `CompiledStep`.

    Returns
    -------
    (float, HybridBlock, numpy.ndarray)
        Samples a second; the network; the inputs.
    """
    import mxnet as mx

    from chapters.kit.data.batches import Batches
    from chapters.kit.data.training_data import TrainingData
    from chapters.kit.training.compiled_step import CompiledStep
    from chapters.kit.training.epochs import seed_everything
    from chapters.kit.training.from_recipe import initialize, make_optimizer
    from chapters.kit.training.train import Objective, one_epoch
    recipe = experiment.but(learning_rate=1e-3, initializer='xavier', augmentation='').recipe
    x, y = arrays(experiment, samples)
    random = seed_everything(0)
    network = experiment.build()
    initialize(network, recipe, x[:1], [mx.cpu()])
    objective = Objective(network, experiment.objective, recipe)
    optimizer, shape = make_optimizer(recipe, samples, network), (recipe.batch_size,) + x.shape[1:]
    step = (make_step or partial(CompiledStep, device=mx.cpu()))(objective, optimizer, [shape, shape[:1]])
    few, all_of_them = (Batches(TrainingData('', x[:count], y[:count], x[:1], y[:1]), recipe, mx.cpu())
                        for count in (10 * recipe.batch_size, samples))
    one_epoch(step, few, random)
    started = time.perf_counter()
    one_epoch(step, all_of_them, random)
    return samples / (time.perf_counter() - started), network, x


def measure_ours(section, samples):
    """Samples a second of our training loop and of our prediction."""
    import chapters
    from chapters.kit.trained.prediction import Predictor
    training, network, x = train(chapters.find(section), samples)
    found = {'train': training, 'predict': _best_prediction(lambda size: Predictor(network, size), x)}
    if not section.startswith('2.'):
        found['predict int8'] = _best_prediction(lambda size: Predictor(network, size, calibration=x[:1000]), x)
    return found


def _best_prediction(make, x):
    """Samples a second of `make(batch size)`, which takes an array of any length, at the batch size that suits best."""
    def speed(predict, x):
        started = time.perf_counter()
        predict(x)
        return len(x) / (time.perf_counter() - started)
    found = {}
    for size in (32, 100, 250, 500, 1000, 2000):
        if size <= len(x):
            predict = make(size)
            predict(x[:2 * size])
            found[size] = speed(predict, x)
    predict, x = make(max(found, key=found.get)), x.repeat(PREDICTED, axis=0)
    predict(x)
    return speed(predict, x)


def measure_module(section, samples):
    """Samples a second of `Module.fit` on the book's graph, and of `Module.predict`."""
    import mxnet as mx

    import chapters
    experiment = chapters.find(section)
    listing = experiment.symbolic_form()
    x, y = arrays(experiment, samples)
    size = listing.BATCH_SIZE
    iterator = mx.io.NDArrayIter({'data': x}, {'label': y}, size, shuffle=True)
    module = mx.mod.Module(listing.symbol(), ['data'], ['label'])
    times = []
    settings = listing.settings(len(x) // size)
    settings.update(num_epoch=2, optimizer_params={'learning_rate': 1e-3}, initializer=mx.init.Xavier())

    def end_of_epoch(*_):
        mx.nd.waitall()
        times.append(time.perf_counter())
    module.fit(iterator, epoch_end_callback=end_of_epoch, **settings)
    parameters = module.get_params()

    def predictor(size):
        whole = mx.mod.Module(listing.symbol(), ['data'], ['label'])
        whole.bind([('data', (size,) + x.shape[1:])], [('label', (size,) + y.shape[1:])], for_training=False)
        whole.set_params(*parameters)
        return lambda x: whole.predict(mx.io.NDArrayIter({'data': x}, batch_size=size)).wait_to_read()
    return {'train': samples / (times[1] - times[0]), 'predict': _best_prediction(predictor, x)}


def _measure(side, section, options):
    """One measurement in a process of its own."""
    environment = dict(os.environ, PYTHONPATH=str(_ROOT), OMP_NUM_THREADS=str(options.threads))
    if side == 'PyTorch':
        command = [options.torch, str(_ROOT / 'benchmarks' / 'torch_training.py')]
    else:
        command = [sys.executable, '-m', 'benchmarks.training', '--measure', side.split(',')[0].lower()]
        if side == 'Module':
            environment.update(MODULE_DEFAULT)
    answer = subprocess.run(command + [section, str(SAMPLES[section]), str(options.threads)], env=environment,
                            cwd=_ROOT, capture_output=True, text=True)
    if answer.returncode:
        raise SystemExit(f'{side} {section} failed:\n{answer.stderr[-2000:]}')
    return json.loads(answer.stdout.splitlines()[-1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sections', nargs='*', default=list(SECTIONS))
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument('--torch', default=str(_ROOT / '.venv-torch/bin/python'), metavar='PYTHON')
    parser.add_argument('--measure', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        section, samples, _ = options.sections
        print(json.dumps({'ours': measure_ours, 'module': measure_module}[options.measure](section, int(samples))))
        return
    sides = ['ours', 'Module', 'Module, our engine']
    if Path(options.torch).exists():
        sides.append('PyTorch')
    else:
        print(f'no {options.torch}: without PyTorch (see --help)')
    for section in options.sections:
        runs = {side: [] for side in sides if side != 'PyTorch' or not section.startswith('2.')}
        for _ in range(options.rounds):
            for side in runs:
                runs[side].append(_measure(side, section, options))
        rows = []
        for kind in runs['ours'][0]:
            of = {'ours': kind}  # 8 bits are compared with what the others predict in 32
            rows.append(Row(f'{section} {_KINDS[kind]}', 'samples/s', {
                side: [run[of.get(side, kind.split()[0])] for run in found] for side, found in runs.items()}))
            print(rows[-1], flush=True)
        save('benchmarks.training', f'Training and prediction, {options.threads} threads', rows, TEXT)  # each: it takes long


if __name__ == '__main__':
    main()
