"""What communication costs beside computing, measured; and from that, how far each network could be spread, on paper.

    python -m benchmarks.scaling            measure, then write results/scaling.json, docs/scaling.png and the tables
    python -m benchmarks.scaling --draw     only draw and write again what results/scaling.json holds

Measured on this machine: the processor time of one training step of each network (forward, backward, update) in one
thread, and the time in which two workers add up blocks of its gradients' size over loopback, by Horovod and by MXNet's
parameter server. Of each the least of many, because other programs can only make it more. The formulas are in
docs/SCALING.md.
"""
import argparse
import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

_ROOT = Path(__file__).resolve().parents[1]
_RESULT, _PAGE = _ROOT / 'benchmarks/results/scaling.json', _ROOT / 'docs/SCALING.md'
SECTIONS = ('3.4.2', '4.4', '5.4.4', '5.4.5', '5.5.7', '7.2', '8.3')
_MEASURED_BATCH = {'5.5.7': 25, '7.2': 16}  # a whole batch takes many seconds on one core; the time grows in proportion
WORKERS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SPEEDS = (1, 10, 100)  # Gbit/s
LATENCY = 30e-6  # seconds a message between two machines of one room, TCP: assumed
ENGINES = ('horovod', 'dist_sync')


def measure_step(section):
    """{'batch', 'bytes' of gradients, 'sums' a step, 'seconds' a step of the recipe's batch} of an experiment."""
    import mxnet as mx

    import chapters
    from chapters.kit.training.compiled_step import CompiledStep
    from chapters.kit.training.epochs import seed_everything
    from chapters.kit.training.from_recipe import initialize, make_optimizer
    from chapters.kit.training.train import Objective
    experiment = chapters.find(section)
    recipe = experiment.recipe
    batch = _MEASURED_BATCH.get(section, recipe.batch_size)
    random = seed_everything(0)
    if section == '8.3':
        from chapters.ch08_gan.adversarial import AdversarialStep, build
        network = build(experiment, 1, recipe, mx.cpu())
        step = AdversarialStep(network, recipe, 100, mx.cpu())
        inputs = [random.random((batch, 1, 32, 32)), random.standard_normal((batch, network.codes))]
        sums = 2
    else:
        shape = experiment.input_shape[1:]
        classes = 361 if section == '7.2' else 10
        inputs = [random.random((batch, *shape)), random.integers(0, classes, batch)]
        network = experiment.build()
        initialize(network, recipe, np.zeros((1, *shape), np.float32), [mx.cpu()])
        changed = recipe.but(batch_size=batch, augmentation='')
        step = CompiledStep(Objective(network, recipe=changed), make_optimizer(changed, 100, network),
                            [(batch, *shape), (batch,)], mx.cpu())
        sums = 1
    inputs = [mx.nd.array(array) for array in inputs]
    numbers = sum(int(np.prod(parameter.shape)) for parameter in network.collect_params().values()
                  if parameter.grad_req != 'null')
    seconds = least_time(lambda: (step(*inputs), mx.nd.waitall()), count=5)
    return {'batch': recipe.batch_size, 'bytes': 4 * numbers, 'sums': sums,
            'seconds': seconds * recipe.batch_size / batch}


def least_time(work, count):
    """The least processor time of some work, done twice in vain, then so often and for at least a second."""
    work(), work()
    times = []
    while len(times) < count or sum(times) < 1:
        started = time.process_time()
        work()
        times.append(time.process_time() - started)
    return min(times)


def measure_sums(engine, sizes, out):
    """What every worker does: add up blocks of these sizes (bytes) together; the first writes their times."""
    import mxnet as mx

    from chapters.kit.training.workers import join
    with join(engine) as workers:
        found = {}
        for size in sizes:
            block = mx.nd.zeros(max(1, size // 4))
            times = []
            for _ in range(12 if size > 1e7 else 60):
                workers.mean(np.zeros(1))  # all start together
                started = time.perf_counter()
                workers.sum([block])
                times.append(time.perf_counter() - started)
            found[size] = min(times)
        if not workers.rank:
            Path(out).write_text(json.dumps(found))


def _measure(arguments):
    environment = dict(os.environ, OMP_NUM_THREADS='1', PYTHONPATH=str(_ROOT))
    subprocess.run(arguments, check=True, cwd=_ROOT, env=environment, stdout=subprocess.DEVNULL)


def measure():
    """All of it, each measurement in processes of its own."""
    from chapters.kit.training.launch import launch
    found = {'networks': {}, 'sums': {}}
    part = _RESULT.with_suffix('.part')
    os.environ.update(OMP_NUM_THREADS='1', PYTHONPATH=str(_ROOT))
    for section in SECTIONS:
        _measure([sys.executable, '-m', 'benchmarks.scaling', '--step', section, str(part)])
        found['networks'][section] = json.loads(part.read_text())
        print(section, found['networks'][section], flush=True)
    sizes = sorted({4, 1 << 16, 1 << 20, 1 << 24}
                   | {network['bytes'] // network['sums'] for network in found['networks'].values()})
    for engine in ENGINES:
        words = ['--sums', engine, str(part), *map(str, sizes)]
        if engine == 'dist_sync':
            assert launch(words, 2, program='benchmarks.scaling') == 0
        else:
            _measure([str(Path(sys.executable).with_name('horovodrun')), '--gloo', '-np', '2', sys.executable, '-m',
                      'benchmarks.scaling', *words])
        found['sums'][engine] = {int(size): seconds for size, seconds in json.loads(part.read_text()).items()}
        print(engine, found['sums'][engine], flush=True)
    part.unlink()
    _RESULT.write_text(json.dumps(found, indent=1) + '\n')


def fit(sums):
    """(seconds to start, seconds a byte) of measured sums: a line, by relative errors."""
    sizes, seconds = (np.array(values, float) for values in zip(*((int(size), time) for size, time in sums.items())))
    start, each = np.linalg.lstsq(np.stack([1 / seconds, sizes / seconds], 1), np.ones(len(sizes)), rcond=None)[0]
    return max(float(start), min(seconds)), float(each)


def communication(network, sums, workers, gigabits, server=False):
    """Seconds a step that several workers spend adding up their gradients.

    In a ring (Horovod) each sends its block to the next in `workers` parts, twice around. To one server all send their
    blocks, and it sends all of them the sum.
    """
    if workers == 1:
        return 0.0
    start, each = fit(sums)
    wire = 8 / (gigabits * 1e9)
    if server:
        return network['sums'] * (start + 2 * LATENCY) + workers * network['bytes'] * (each / 2 + 2 * wire)
    return (network['sums'] * (start + 2 * (workers - 1) * LATENCY)
            + 2 * (workers - 1) / workers * network['bytes'] * (each + wire))


def efficiency(network, sums, workers, gigabits, server=False):
    """Speed of so many workers as a share of so many times the speed of one."""
    return network['seconds'] / (network['seconds'] + communication(network, sums, workers, gigabits, server))


def draw(found):
    """docs/scaling.png: for each network the efficiency by the number of workers."""
    from chapters.kit.report.figures import plt
    figure, axes = plt.subplots(2, 4, figsize=(14, 6.5), sharex=True, sharey=True)
    for axis, (section, network) in zip(axes.flat, found['networks'].items()):
        for number, gigabits in enumerate(SPEEDS):
            for server, engine, style in ((False, 'horovod', '-'), (True, 'dist_sync', ':')):
                axis.plot(WORKERS, [100 * efficiency(network, found['sums'][engine], workers, gigabits, server)
                                    for workers in WORKERS], style, color=f'C{number}')
        axis.set_xscale('log', base=2)
        axis.set_xticks([1, 8, 64, 512])
        axis.set_xticklabels([1, 8, 64, 512])
        axis.set_ylim(0, 103)
        axis.set_title(f'{section}: {network["bytes"] / 1e6:.2g} MB, {_milliseconds(network["seconds"])}')
        axis.grid(alpha=0.3)
    for axis in axes[:, 0]:
        axis.set_ylabel('% of perfect scaling')
    for axis in axes[1]:
        axis.set_xlabel('workers')
    axes[0, 3].xaxis.set_tick_params(labelbottom=True)
    legend = axes[1, 3]
    legend.set_axis_off()
    lines = [plt.Line2D([], [], color=f'C{number}') for number in range(len(SPEEDS))]
    lines += [plt.Line2D([], [], color='black', linestyle=style) for style in '-:']
    legend.legend(lines, [f'{speed} Gbit/s' for speed in SPEEDS] + ['ring (Horovod)', 'one parameter server'],
                  loc='center', frameon=False)
    figure.suptitle('Gradients a step, one core\'s time a step, and what is left of the speed of many such workers')
    figure.tight_layout()
    figure.savefig(_ROOT / 'docs/scaling.png', dpi=80)
    plt.close(figure)


def _milliseconds(seconds):
    return f'{1000 * seconds:.{0 if seconds >= 0.1 else 2 if seconds < 0.001 else 1}f} ms'


def tables(found):
    """The measured and the calculated figures as Markdown."""
    rows = ['| network | batch | gradients | a step | sum, Horovod | sum, server | communication, Horovod |',
            '| --- | ---: | ---: | ---: | ---: | ---: | ---: |']
    for section, network in found['networks'].items():
        sums = [network['sums'] * found['sums'][engine][str(network['bytes'] // network['sums'])] for engine in ENGINES]
        rows.append(f'| {section} | {network["batch"]} | {network["bytes"] / 1e6:.3g} MB | '
                    f'{_milliseconds(network["seconds"])} | {1000 * sums[0]:.2g} ms | {1000 * sums[1]:.2g} ms | '
                    f'{sums[0] / (sums[0] + network["seconds"]):.1%} |')
    rows += ['', '| network | ' + ' | '.join(f'{workers} on {speed}' for speed in SPEEDS for workers in (8, 64, 512))
             + ' | for 90% of 64 on 10 |', '| --- |' + ' ---: |' * 10]
    for section, network in found['networks'].items():
        shares = [f'{efficiency(network, found["sums"]["horovod"], workers, speed):.0%}'
                  for speed in SPEEDS for workers in (8, 64, 512)]
        needed = 9 * communication(network, found['sums']['horovod'], 64, 10)
        rows.append(f'| {section} | ' + ' | '.join(shares) + f' | {_milliseconds(needed)} |')
    starts = ['{}: {:.2g} ms to start, {:.2g} GB/s'.format(engine, 1000 * fit(sums)[0], 1e-9 / fit(sums)[1])
              for engine, sums in found['sums'].items()]
    return '\n'.join([*rows, '', 'Lines through the measured sums: ' + '; '.join(starts) + '.'])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--draw', action='store_true')
    parser.add_argument('--step', nargs=2, help=argparse.SUPPRESS)
    parser.add_argument('--sums', nargs='+', help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        Path(options.step[1]).write_text(json.dumps(measure_step(options.step[0])))
        return
    if options.sums:
        measure_sums(options.sums[0], [int(size) for size in options.sums[2:]], options.sums[1])
        return
    if not options.draw:
        measure()
    found = json.loads(_RESULT.read_text())
    draw(found)
    before, mark, rest = _PAGE.read_text(encoding='utf-8').partition('<!-- measured -->\n')
    after = rest.partition('<!-- end -->\n')[2]
    _PAGE.write_text(f'{before}{mark}{tables(found)}\n<!-- end -->\n{after}', encoding='utf-8')


if __name__ == '__main__':
    main()
