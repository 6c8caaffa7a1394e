"""Does the data outrun the network? Images a second of the iterator alone, and of training with it.

    python -m benchmarks.pipeline [--updates 20] [--rounds 3] [SECTION ...]

5.4.4 is augmented from arrays in a thread of its own, 5.4.5 and 5.5.7 are read from `.rec` files by `ImageRecordIter`
with the book's augmentation; `:fast` stands for the fast recipe. The share is what training has to wait: how much longer
an update takes with the data pipeline than with one batch that is always the same.
"""
import argparse
import itertools
import time

from benchmarks.book import Row, save

SECTIONS = ('5.4.4', '5.4.5', '5.5.7', '5.4.4:fast', '5.5.7-fast')


def book_loop(images, random):
    """Section 5.4.4's augmentation as a loop over images, for comparison."""
    import numpy as np
    result = []
    for image in images:
        image = image[:, :, ::-1] if random.random() < 0.5 else image
        right, down = random.integers(-2, 3), random.integers(-2, 3)
        image = np.roll(image, (down, right), (1, 2))
        image[:, :down if down > 0 else 0] = 0
        image[:, down if down < 0 else image.shape[1]:] = 0
        image[:, :, :right if right > 0 else 0] = 0
        image[:, :, right if right < 0 else image.shape[2]:] = 0
        height, width = random.integers(1, 6, 2)
        top, left = random.integers(0, image.shape[1] - height + 1), random.integers(0, image.shape[2] - width + 1)
        image[:, top:top + height, left:left + width] = 0
        result.append(image)
    return np.stack(result)


def measure(section, updates):
    """Images a second of data alone, of training alone, and of both."""
    import mxnet as mx

    import chapters
    from chapters.kit.data.batches import Batches
    from chapters.kit.training.epochs import seed_everything
    from chapters.kit.training.from_recipe import initialize, make_optimizer
    from chapters.kit.training.train import Objective, make_step
    section, _, name = section.partition(':')
    experiment = chapters.find(section).by(name)
    recipe, data = experiment.recipe, experiment.load('mnist' if section == '5.4.4' else '')
    network = experiment.build()
    initialize(network, recipe, data.train_x[:1], [mx.cpu()])
    step = make_step(Objective(network, recipe=recipe), make_optimizer(recipe, 100, network), data, recipe, [mx.cpu()])
    source = Batches(data, recipe, mx.cpu())

    def batches(count):
        return itertools.islice(source.of_epoch(seed_everything(0)), count)
    one = [array.copy() for array in next(batches(1))]

    def rate(count, do):
        started = time.perf_counter()
        do()
        mx.nd.waitall()
        return count * recipe.batch_size / (time.perf_counter() - started)
    step(*one)
    many = min(10 * updates, len(data.train_x) // recipe.batch_size)
    return {'the data alone': rate(many, lambda: [batch for batch in batches(many)] and None),
            'training on one batch': rate(updates, lambda: [step(*one) for _ in range(updates)]),
            'both': rate(updates, lambda: [step(*batch) for batch in batches(updates)])}


def augmentation():
    """Seconds of the compiled augmentation of 5.4.4, batch by batch, and of the loop."""
    import numpy as np

    from chapters.kit.data.augmentation import Augmentation
    random = np.random.default_rng(0)
    images = random.random((6000, 1, 28, 28), dtype=np.float32)
    augment = Augmentation.parse('mirror shift=2 erase=5')
    augment(images, np.arange(32), random)
    started = time.perf_counter()
    for start in range(0, 6000, 32):
        augment(images, np.arange(start, min(start + 32, 6000)), random)
    ours = time.perf_counter() - started
    started = time.perf_counter()
    book_loop(images, random)
    return ours, time.perf_counter() - started


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('sections', nargs='*', default=list(SECTIONS))
    parser.add_argument('--updates', type=int, default=20)
    parser.add_argument('--rounds', type=int, default=3)
    options = parser.parse_args()
    loops = [augmentation() for _ in range(options.rounds)]
    rows = [Row('augmentation of 5.4.4, 6,000 images', 's', {'ours': [ours for ours, _ in loops],
                                                             'a loop over images': [loop for _, loop in loops]})]
    print(rows[0])
    for section in options.sections:
        runs = [measure(section, options.updates) for _ in range(options.rounds)]
        rows.append(Row(section, 'images/s', {name: [run[name] for run in runs] for name in runs[0]}))
        print(rows[-1], flush=True)
    save('benchmarks.pipeline', 'Does the data outrun the network?', rows)


if __name__ == '__main__':
    main()
