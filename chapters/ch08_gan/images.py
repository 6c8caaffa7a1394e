"""Images to learn from: any image set or packs, as squares of the networks' size."""
import os

import numpy as np

from chapters.kit.data import TrainingData
from chapters.kit.distributed import Workers
from chapters.kit.records import batches_of_part
from chapters.kit.runtime import mx
from data_tools.errors import UserError

_KEPT = 5000  # images of a pack that are in memory, to compare with


def images(experiment, name, data_root, seed):
    """The images of `--data`, (N, C, size, size) of uint8, as `Experiment.loader` has it.

    Images of 28x28 get a black frame of 2; then all are enlarged or reduced to the size. Packs are streamed,
    their short sides resized and cut at the centre; a few thousand images are also read into memory.
    """
    size = experiment.sizes.get('size', 32)
    recipe = experiment.recipe
    if name == 'cifar10' or os.path.exists(os.path.join(name, 'train.rec')):
        return _packed(name, data_root, size, recipe.batch_size, recipe.train_samples)
    from data_tools.datasets import load
    found, first = load(name, data_root), slice(recipe.train_samples or None)
    return TrainingData(
        found.name, _to_size(found.train_images[first], size), found.train_labels[first].astype(np.float32),
        _to_size(found.test_images, size), found.test_labels.astype(np.float32), found.class_names,
        found.class_names_zh, found.note)


def scaled(pixels):
    """Pixels from 0 to 255 as numbers from -1 to 1."""
    return pixels.astype(np.float32) / 127.5 - 1


def _to_size(pixels, size):
    """(N, C, H, W) of uint8 as (N, C, size, size)."""
    import cv2
    if pixels.shape[2:] == (28, 28):
        pixels = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))
    if pixels.shape[2:] == (size, size):
        return pixels
    way = cv2.INTER_AREA if size < pixels.shape[2] else cv2.INTER_LINEAR
    resized = [cv2.resize(image.transpose(1, 2, 0), (size, size), interpolation=way) for image in pixels]
    return np.stack(resized).reshape(len(pixels), size, size, -1).transpose(0, 3, 1, 2)


class _Count:
    """Some images of a pack, and the number of all."""
    def __init__(self, some, count):
        self._some, self._count, self.shape = some, count, (count,) + some.shape[1:]

    def __len__(self):
        return self._count

    def __getitem__(self, where):
        return self._some[where]


def _packed(name, data_root, size, batch_size, train_samples):
    from data_tools.packs import find_packs, first_records
    from data_tools.recordio import read_classes, read_index
    train, test, note = find_packs(name, data_root)
    if train_samples:
        train = first_records(train, train_samples)

    def iterator(path, batch, **settings):
        return mx.io.ImageRecordUInt8Iter(
            path_imgrec=str(path), path_imgidx=str(path.with_suffix('.idx')), data_shape=(3, size, size), resize=size,
            batch_size=batch, preprocess_threads=1, verbose=False, **settings)

    def some(path):
        pixels, labels = [], []
        for batch in iterator(path, 100):
            kept = 100 - batch.pad
            pixels.append(batch.data[0].asnumpy()[:kept])
            labels.append(batch.label[0].asnumpy()[:kept])
            if 100 * len(pixels) >= _KEPT:
                break
        return np.concatenate(pixels), np.concatenate(labels)

    def stream(random, workers=Workers()):
        seed = int(random.integers(1 << 31))
        return batches_of_part(lambda size, **part: iterator(train, size, shuffle=True, seed=seed, **part), count,
                               batch_size, workers)
    count = len(read_index(train.with_suffix('.idx'))[0])
    if count < batch_size:
        raise UserError(f'{train}: {count} images are less than a batch of {batch_size}; lower --batch-size')
    train_x, train_y = some(train)
    test_x, test_y = some(test)
    names = tuple(read_classes(test) or ()) or tuple(str(n) for n in range(int(train_y.max()) + 1))
    return TrainingData(name, _Count(train_x, count), train_y, test_x, test_y, names, note=note, stream=stream)
