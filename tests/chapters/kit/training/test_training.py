"""The training loop: repeatable, resumable bit for bit, the same on one device and on several."""
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.kit.data.batches import Batches
from chapters.kit.data.training_data import TrainingData
from chapters.kit.perform import resume, run_experiment
from chapters.kit.trained.export import export_mxnet, trained_graph
from chapters.kit.trained.run import Run
from chapters.kit.trained.saved import load_run
from chapters.kit.training.checkpoint import Checkpoint, model_arrays, whole_arrays
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import Diverged, seed_everything, train_epochs
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.training.recipe import Recipe, convert
from chapters.kit.training.train import Evaluation, Objective, PlainStep, one_epoch
from data_tools.errors import UserError

# Everything that has a state or draws random numbers: momentum, schedule, warm-up, dropout, mixing, shuffling.
_CHANGES = dict(epochs=6, momentum=0.9, learning_rate=0.01, lr_factor=0.5, lr_every=2, warmup_epochs=1, dropout=0.2,
                mixup=0.3, initializer='xavier', train_samples=600)


def _parameters(folder):
    (path,) = Path(folder).glob('model-*.params')
    return {name.split(':')[1].split('_', 1)[1]: array.asnumpy() for name, array in mx.nd.load(str(path)).items()}


def _equal(a, b):
    return a.keys() == b.keys() and all(np.array_equal(a[name], b[name]) for name in a)


def test_schedule_is_the_factor_scheduler_of_mxnet():
    recipe = Recipe(learning_rate=0.2, lr_factor=0.9)
    scheduler = mx.lr_scheduler.FactorScheduler(step=7, factor=0.9, base_lr=0.2)
    for update in range(1, 60):
        assert recipe.rate(update, 7) == pytest.approx(scheduler(update), rel=1e-12)


def test_warmup_and_the_rule_for_larger_batches():
    recipe = Recipe(learning_rate=0.1, warmup_epochs=2, base_batch_size=32, batch_size=128, rate_exponent=0.5)
    assert recipe.peak_learning_rate == pytest.approx(0.2)
    assert recipe.rate(5, 10) == pytest.approx(0.2 * 5 / 20)
    assert recipe.rate(20, 10) == recipe.rate(500, 10) == pytest.approx(0.2)


def test_numbers_of_a_setting_are_read_as_they_are_shown():
    assert convert('num_filters', '8,16', (32, 64)) == convert('num_filters', '(8, 16)', (32, 64)) == (8, 16)
    assert convert('num_filters', '(8,)', (32, 64)) == (8,) and convert('ratios', '0.5,2', (1.0,)) == (0.5, 2.0)
    with pytest.raises(UserError, match='num_filters=many: not whole numbers such as 8,16'):
        convert('num_filters', 'many', (32, 64))


def test_small_images_first_then_whole_ones(tmp_path, monkeypatch):
    seen, means = [], []
    monkeypatch.setattr(CompiledStep, '__call__', lambda self, *batch, call=CompiledStep.__call__: (
        seen.append(batch[0].shape), means.append(batch[0].mean().asscalar()), call(self, *batch))[2])
    experiment = chapters.find('5.4.4').but(epochs=3, small_pixels=24, small_epochs=2, train_samples=96,
                                            learning_rate=0.02, augmentation='')
    _, result = run_experiment(experiment, data='digits', out=tmp_path / 'run')
    assert seen == [(32, 1, 24, 24)] * 6 + [(32, 1, 28, 28)] * 3
    assert np.mean(means[:3]) == pytest.approx(np.mean(means[6:]), rel=0.02)  # the same 96 images, scaled
    assert result['metrics']['train_loss']['last'] < np.log(10) + 0.1


def test_small_images_need_a_network_that_takes_them(tmp_path):
    with pytest.raises(UserError, match='small_pixels and small_epochs go together'):
        Recipe(small_pixels=14)
    with pytest.raises(UserError, match='does not take samples of 1x14x14 .*leave small_pixels'):
        run_experiment(chapters.find('4.4').but(small_pixels=14, small_epochs=1), data='digits', out=tmp_path / 'run')


def test_same_seed_same_numbers(tmp_path):
    experiment = chapters.find('3.4.2').but(**dict(_CHANGES, epochs=2))
    for name, seed in (('a', 0), ('b', 0), ('c', 1)):
        run_experiment(experiment, data='digits', out=tmp_path / name, seed=seed)
    a, b, c = (_parameters(tmp_path / name) for name in 'abc')
    assert _equal(a, b)
    assert not _equal(a, c)


def test_killed_and_resumed_ends_with_the_same_bits(tmp_path):
    whole, killed = tmp_path / 'whole', tmp_path / 'killed'
    experiment = chapters.find('3.4.2').but(**_CHANGES)
    _, result = run_experiment(experiment, data='digits', out=whole)
    settings = [word for name, value in _CHANGES.items() for word in ('--set', f'{name}={value}')]
    process = subprocess.Popen([sys.executable, '-m', 'chapters', 'run', '3.4.2', '--data', 'digits', '--out',
                                str(killed), *settings], stdout=subprocess.DEVNULL)
    latest = killed / 'checkpoint' / 'latest.json'
    while not (latest.exists() and json.loads(latest.read_text())['epoch'] >= 1):
        assert process.poll() is None, 'the run ended before it could be killed'
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (killed / 'result.json').exists()
    config = json.loads((killed / 'config.json').read_text())
    config['recipe']['apply_symmetry'] = True  # as every run once had it
    (killed / 'config.json').write_text(json.dumps(config))
    _, resumed = resume(killed, chapters.find)
    assert _equal(_parameters(whole), _parameters(killed))
    assert resumed['metrics'] == result['metrics']
    assert len((killed / 'history.csv').read_text().splitlines()) == 1 + _CHANGES['epochs']


@pytest.mark.parametrize('ending, saved', [
    ('the last epoch', [1, 4, 7]), ('patience', [1, 4, 5]), ('Diverged', [1, 4, 5]), ('far apart', [1, 2, 3, 4, 5, 6, 7])])
def test_checkpoints_are_apart_but_for_the_first_the_kept_and_the_last(tmp_path, monkeypatch, ending, saved):
    numbers = []
    monkeypatch.setattr(Checkpoint, 'save', lambda self, arrays, state, save=Checkpoint.save: (
        numbers.append(state['epoch']), save(self, arrays, state)))
    monkeypatch.setattr('chapters.kit.training.epochs.SECONDS_APART', 0 if ending == 'far apart' else 1000)

    def stop(history):
        if ending == 'Diverged' and len(history) == 5:
            raise Diverged(ending)
        return ending if ending == 'patience' and len(history) == 5 else ''
    run = Run(replace(chapters.find('3.4.2'), snapshots=(4,)), data='digits', out=tmp_path / 'run')
    with pytest.raises(Diverged) if ending == 'Diverged' else contextlib.nullcontext():
        train_epochs(run, 7, lambda epoch, random: {'samples': 1, 'learning_rate': 0.1}, stop=stop,
                     arrays=lambda: {'a': mx.nd.ones(1)})
    assert numbers == saved and len((tmp_path / 'run' / 'history.csv').read_text().splitlines()) == 1 + saved[-1]


@pytest.fixture
def largest_file():
    """A function (bytes): no file may be larger, as on a disk that has no more space."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('missing', [86, 500_000])  # of the first MXNet's own writing says nothing
def test_a_run_on_a_disk_that_is_full_says_so_in_one_line(tmp_path, missing, largest_file):
    largest_file(875_606 - missing)  # a checkpoint's bytes
    done = subprocess.run([sys.executable, '-m', 'chapters', 'run', '3.4.2', '--data', 'digits', '--epochs', '1', '--subset',
                           '100', '--out', str(tmp_path / 'run')], stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert done.returncode == 2 and len(done.stderr.splitlines()) == 1 and 'no space left' in done.stderr, done.stderr
    assert not [*tmp_path.rglob('*.params'), *tmp_path.rglob('.*')]


@pytest.mark.parametrize('missing', [40, 100_000])
@pytest.mark.parametrize('what', ['checkpoint', 'best', 'model', 'export'])
def test_nothing_is_half_written_and_what_was_there_stays(tmp_path, what, missing, largest_file):
    run, _ = run_experiment(chapters.find('3.4.2').but(epochs=1, train_samples=100), data='digits', out=tmp_path / 'run')
    network = load_run(run.folder, chapters.find).network
    network.hybridize()
    write = {'checkpoint': lambda: run.checkpoint.save(model_arrays(network), {'epoch': 1}),
             'best': lambda: run.save_best(network), 'model': lambda: run.export(network, 1),
             'export': lambda: export_mxnet(trained_graph(run.folder, chapters.find), tmp_path / 'run' / 'exported')}[what]
    write()
    files = {path: path.read_bytes() for path in run.folder.rglob('*.*') if path.is_file()}
    written = {'checkpoint': 'checkpoint/epoch-0001.params', 'best': 'checkpoint/best.params', 'model': 'model-0001.params',
               'export': 'exported/model-0000.params'}[what]
    largest_file(len(files[run.folder / written]) - missing)
    with pytest.raises(UserError, match=f'{written}: no space left on this disk'):
        write()
    assert {path: path.read_bytes() for path in run.folder.rglob('*.*') if path.is_file()} == files


def test_what_fails_while_it_is_written_is_not_taken_for_a_full_disk(tmp_path):
    with pytest.raises(mx.MXNetError, match='out of memory'), whole_arrays(tmp_path / 'a.params'):
        raise mx.MXNetError('out of memory')  # of the device, which is waited for here
    assert not list(tmp_path.iterdir())


def test_damaged_arrays_of_a_checkpoint_are_named(tmp_path):
    checkpoint = Checkpoint(tmp_path / 'checkpoint')
    checkpoint.save({'a': mx.nd.ones(10)}, {'epoch': 3})
    arrays = tmp_path / 'checkpoint' / 'epoch-0003.params'
    whole = arrays.read_bytes()
    for damaged in (whole[:-5], whole.replace(np.float32(1).tobytes(), np.float32(2).tobytes(), 1)):
        arrays.write_bytes(damaged)
        with pytest.raises(UserError, match='epoch-0003.params: damaged; start the run again without --resume$'):
            checkpoint.load()
    arrays.unlink()
    with pytest.raises(UserError, match='epoch-0003.params: missing; start'):
        checkpoint.load()
    (tmp_path / 'checkpoint' / 'latest.json').write_text('[]')
    with pytest.raises(UserError, match='latest.json: damaged; start'):
        checkpoint.load()


@pytest.mark.parametrize('section', ['3.4.2', '4.4'])
def test_a_run_that_is_killed_while_it_writes_can_be_resumed(tmp_path, section, monkeypatch, every_epoch_saved):
    """Stop at every write of a checkpoint in turn, before and after the rename."""
    def find(section):
        return replace(chapters.find(section), drawings=())  # they take longer than the training here
    experiment = find(section).but(epochs=2, train_samples=64, momentum=0.5)
    run_experiment(experiment, data='digits', out=tmp_path / 'whole')
    whole = _parameters(tmp_path / 'whole')
    rename = os.replace

    class Killed(BaseException):
        pass
    for stop in range(1, 9):
        calls = []

        def dying_replace(source, target):
            if '/checkpoint/' in str(target):
                calls.append(target)
                if len(calls) * 2 - 1 == stop:
                    raise Killed
            rename(source, target)
            if '/checkpoint/' in str(target) and len(calls) * 2 == stop:
                raise Killed
        folder = tmp_path / f'killed{stop}'
        monkeypatch.setattr(os, 'replace', dying_replace)
        with pytest.raises(Killed):
            run_experiment(experiment, data='digits', out=folder)
        monkeypatch.setattr(os, 'replace', rename)
        resume(folder, find)
        assert _equal(whole, _parameters(folder))


def test_all_steps_update_alike():
    """Compiled, by autograd, and by autograd on two devices: the same parameters after an epoch."""
    found = []
    for kind in ('compiled', 'plain', 'two devices'):
        devices = [mx.cpu(0), mx.cpu(1)] if kind == 'two devices' else [mx.cpu()]
        recipe = chapters.find('3.4.2').recipe.but(momentum=0.9, weight_decay=1e-3, l1=1e-4, label_smoothing=0.1,
                                                   initializer='xavier')
        seed_everything(3)
        network = chapters.find('3.4.2').build()
        initialize(network, recipe, np.zeros((1, 1, 28, 28), np.float32), devices)
        objective = Objective(network, 'softmax', recipe)
        optimizer = make_optimizer(recipe, 10, network)
        step = (CompiledStep(objective, optimizer, [(32, 1, 28, 28), (32,)], devices[0]) if kind == 'compiled'
                else PlainStep(objective, optimizer, devices))
        random = np.random.default_rng(0)
        x = random.random((320, 1, 28, 28)).astype(np.float32)
        y = random.integers(0, 10, 320).astype(np.float32)
        totals = one_epoch(step, Batches(TrainingData('', x, y, x, y), recipe, devices[0]), random)
        found.append((totals, [parameter.data(devices[0]).asnumpy()
                               for parameter in network.collect_params().values()]))
    for totals, parameters in found[1:]:
        np.testing.assert_allclose(totals, found[0][0], rtol=1e-5)
        for ours, theirs in zip(parameters, found[0][1]):
            np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


# By itself, with two threads: memory that is overwritten ends a process.
TRAINED_THEN_BY_HAND = """
import chapters, sys, mxnet as mx, numpy as np
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.from_recipe import make_optimizer
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.train import Objective
from threadpoolctl import threadpool_limits
pooling = eval(sys.argv[1], vars(mx.gluon.nn))
network = mx.gluon.nn.HybridSequential()
network.add(mx.gluon.nn.Conv2D(4, 3, padding=1, in_channels=1), pooling, mx.gluon.nn.Dense(10))
network.initialize()
x, y = mx.nd.random.normal(shape=(20, 1, 28, 28)), mx.nd.zeros(20)
network(x)
step = CompiledStep(Objective(network), make_optimizer(Recipe(batch_size=20), 3, network), [x.shape, y.shape], mx.cpu())
with threadpool_limits(step.threads, 'openmp'):  # as `one_epoch` has it
    step(x, y)
network.hybridize(static_alloc=True, static_shape=True)
for _ in range(200):
    with mx.autograd.record():
        loss = network(x).sum()
    loss.backward()
mx.nd.waitall()
junk = [np.ones(100 + size) for size in range(3000)]
print(step.threads)
"""


@pytest.mark.parametrize('layer', ['MaxPool2D(2)', 'AvgPool2D(2)', 'GlobalAvgPool2D()', 'Flatten()'])
def test_a_network_that_was_trained_can_be_trained_by_hand(layer):
    """Small ones train with one thread, then go on with all; but pooling would overwrite memory there."""
    done = subprocess.run([sys.executable, '-c', TRAINED_THEN_BY_HAND, layer], capture_output=True, text=True,
                          env={**os.environ, 'OMP_NUM_THREADS': '2'})
    assert (done.returncode, done.stdout.split()) == (0, ['1' if layer == 'Flatten()' else 'None']), done.stderr[-2000:]


def test_a_loss_that_explodes_stops_the_run_and_keeps_the_last_good_checkpoint(tmp_path):
    experiment = chapters.find('2.2.8').but(epochs=20, warmup_epochs=8, learning_rate=4)
    with pytest.raises(UserError, match='lower --learning-rate'):
        run_experiment(experiment, out=tmp_path / 'run')
    assert not (tmp_path / 'run' / 'result.json').exists()
    (path,) = (tmp_path / 'run' / 'checkpoint').glob('*.params')
    assert all(np.isfinite(array.asnumpy()).all() for array in mx.nd.load(str(path)).values())


def test_early_stopping_goes_back_to_the_best_epoch(tmp_path):
    experiment = chapters.find('3.4.2').but(epochs=60, patience=2, learning_rate=0.3, lr_factor=1.0,
                                            initializer='xavier', train_samples=300)
    run, result = run_experiment(experiment, data='digits', out=tmp_path / 'run')
    assert result['epochs'] < 60
    network = mx.gluon.SymbolBlock.imports(str(run.folder / 'model-symbol.json'), ['data'],
                                           str(next(run.folder.glob('model-*.params'))))
    accuracy = Evaluation(Objective(network), run.data.validation_x, run.data.validation_y, mx.cpu())()[1]
    assert accuracy == pytest.approx(result['metrics']['validation_accuracy']['best'], abs=1e-6)


def test_label_noise_replaces_its_share():
    clean = chapters.find('3.4.2').load('digits')
    noisy = chapters.find('3.4.2').but(label_noise=0.5).load('digits')
    assert np.mean(clean.train_y != noisy.train_y) == pytest.approx(0.45, abs=0.04)  # a tenth hits its own class
    assert np.array_equal(clean.validation_y, noisy.validation_y)


def test_both_forms_read_each_others_parameters(tmp_path):
    experiment = chapters.find('4.4').but(epochs=1, train_samples=320)
    ours, _ = run_experiment(experiment, data='digits', out=tmp_path / 'gluon')
    theirs, result = run_experiment(experiment, data='digits', out=tmp_path / 'symbolic', form='symbolic')
    assert result['metrics']['validation_accuracy']['last'] > 0
    for start, form in ((ours, 'symbolic'), (theirs, 'gluon')):
        (parameters,) = start.folder.glob('model-*.params')
        run, _ = run_experiment(experiment.but(learning_rate=1e-12), data='digits', out=tmp_path / f'to-{form}',
                                form=form, init=parameters)
        for name, array in _by_shape(run.folder).items():
            np.testing.assert_allclose(array, _by_shape(start.folder)[name], rtol=1e-5, atol=1e-5)


def _by_shape(folder):
    """Trained parameters under names that both forms share: their shape and their place among equal shapes."""
    symbol = mx.sym.load(str(folder / 'model-symbol.json'))
    (path,) = folder.glob('model-*.params')
    arrays = {name.split(':')[1]: array for name, array in mx.nd.load(str(path)).items()}
    found = {}
    for name in symbol.list_arguments():
        if name in arrays:
            array = arrays[name].asnumpy()
            found[array.shape, sum(key[0] == array.shape for key in found)] = array
    return found


def test_a_bar_that_was_too_short_to_be_shown_leaves_nothing(monkeypatch, tmp_path):
    """Its loss was drawn before its time, and tqdm takes away only what it has drawn itself."""
    import io

    from chapters.kit.training import train
    shown, ticks, bar = io.StringIO(), iter(range(10000)), train.tqdm
    monkeypatch.setattr(train.time, 'monotonic', ticks.__next__)
    monkeypatch.setattr(train, 'tqdm', lambda *arguments, **settings: bar(
        *arguments, **{**settings, 'disable': False, 'file': shown, 'delay': 3600}))
    run_experiment(chapters.find('3.4.2').but(epochs=1, train_samples=320), data='digits', out=tmp_path / 'run', quiet=True)
    assert next(ticks) > 10 and shown.getvalue() == ''
