"""What every worker of test_distributed.py does: `python distributed_job.py ENGINE`.

It compares what several workers learn together with what it learns alone.
"""
import sys

import chapters  # before MXNet

import mxnet as mx  # isort: skip
import numpy as np

from chapters.ch08_gan.adversarial import AdversarialStep
from chapters.ch08_gan.adversarial import build as build_gan
from chapters.kit.data.batches import Batches
from chapters.kit.data.training_data import TrainingData
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import average_statistics, seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer, prepare_transfer
from chapters.kit.training.train import Objective, PlainStep, one_epoch
from chapters.kit.training.workers import Workers, join

UPDATES, BATCH = 20, 12


def learn(section, workers, compiled=True, **changes):
    """Parameters of a network after some updates."""
    experiment = chapters.find(section).but(batch_size=BATCH, momentum=0.9, weight_decay=1e-3, learning_rate=0.02,
                                            initializer='xavier', augmentation='', samples_per_epoch=0,
                                            fall_factor=1, least_rate=0, **changes)
    recipe = experiment.recipe
    random = seed_everything(0)
    shape = experiment.input_shape[1:]
    classes = 361 if section.startswith('7') else 10
    x, y = random.random((UPDATES * BATCH, *shape), np.float32), random.integers(0, classes, UPDATES * BATCH)
    network = experiment.build()
    initialize(network, recipe, x[:1], [mx.cpu()])
    prepare_transfer(network, recipe)
    objective, optimizer = Objective(network, recipe=recipe), make_optimizer(recipe, UPDATES, network)
    part = workers.share(BATCH)
    step = CompiledStep(objective, optimizer, [(part.stop - part.start, *shape), (part.stop - part.start,)], mx.cpu(),
                        workers) if compiled else PlainStep(objective, optimizer, [mx.cpu()], workers=workers)
    y = y.astype(np.float32)
    totals = one_epoch(step, Batches(TrainingData('', x, y, x, y), recipe, mx.cpu(), workers), random)
    return [totals] + [parameter.data().asnumpy() for parameter in network.collect_params().values()]


def learn_to_draw(workers):
    """The same of DCGAN, whose batches hold everything twice: then both workers normalise by what one would."""
    experiment = chapters.find('8.3').but(width=4, optimizer='sgd', learning_rate=0.01, batch_size=8)
    seed_everything(0)
    network = build_gan(experiment, 1, experiment.recipe, mx.cpu())
    step = AdversarialStep(network, experiment.recipe, UPDATES, mx.cpu(), workers)
    random = np.random.default_rng(0)
    for _ in range(UPDATES):
        images, codes = (np.tile(array, (2,) + (1,) * (array.ndim - 1))[workers.share(8)] for array in (
            random.random((4, 1, 32, 32), np.float32), random.standard_normal((4, network.codes), np.float32)))
        step(mx.nd.array(images), mx.nd.array(codes))
    average_statistics(network, workers)
    return [parameter.data().asnumpy() for parameter in network.collect_params().values()]


def main():
    with join(sys.argv[1]) as workers:
        assert workers.size == 2 and workers.send({'rank': workers.rank, 'of': '两'}) == {'rank': 0, 'of': '两'}
        assert workers.send(bytes(range(workers.rank, 251))) == bytes(range(251))
        assert workers.mean(np.array([workers.rank, 6.0]), weight=1 + workers.rank).tolist() == [2 / 3, 6]
        for name, learnt in (
                ('3.4.2', lambda workers: learn('3.4.2', workers, dropout=0)),
                ('3.4.2 by autograd', lambda workers: learn('3.4.2', workers, compiled=False, dropout=0)),
                ('7.2 with frozen BN', lambda workers: learn('7.2', workers, units=1, filters=8, frozen=' '.join(
                    ['units.0.before.0', 'units.0.body.1', 'last.0']))),
                ('8.3', learn_to_draw)):
            alone, together = learnt(Workers()), learnt(workers)
            apart = np.abs(np.concatenate([(ours - theirs).ravel() for ours, theirs in zip(together, alone)]))
            print(f'{name}: {apart.max():.1e}, mean {apart.mean():.1e}', flush=True)
            # One of DCGAN's weights is 2e-4 off on a processor without AVX, where others are 1e-6 off.
            assert len(alone) == len(together) > 2 and apart.max() < 1e-3 and apart.mean() < 1e-5, name
    print('all alike', flush=True)


if __name__ == '__main__':
    main()
