"""Images to learn from: any image set or packs, as squares of the networks' size."""
from pathlib import Path

import mxnet as mx
import numpy as np
from PIL import Image, ImageOps

from chapters.kit.data.pictures import read_picture
from chapters.kit.data.records import batches_of_part, packed_as
from chapters.kit.data.training_data import TrainingData
from chapters.kit.progress import tqdm
from chapters.kit.training.workers import Workers
from data_tools.errors import UserError
from data_tools.image_sets import Packs, find
from data_tools.packs import first_records, looked_at
from data_tools.recordio import read_labels

_SUFFIXES = '.jpg', '.jpeg', '.png', '.bmp', '.webp', '.gif', '.tif', '.tiff'
_KEPT = 5000  # images of a pack that are in memory, to compare with


def load_squares(experiment, name, data_root, seed):
    """The images of `--data`, (N, C, size, size) of uint8, as `Training.loader` has it.

    Images of 28x28 get a black frame of 2; then all are enlarged or reduced to the size. Packs are streamed,
    their short sides resized and cut at the centre; a few thousand images are also read into memory. A folder of
    pictures, without class folders, is one class; every tenth is set aside to compare with.
    """
    size, recipe = experiment.sizes.get('size', 32), experiment.recipe
    files = _pictures(name)
    if files:
        return _folder(Path(name), files[:recipe.train_samples or None], size)
    found = find(name, data_root)
    if isinstance(found, Packs):
        return _packed(found, size, recipe.batch_size, recipe.train_samples)
    first = slice(recipe.train_samples or None)
    return TrainingData(
        found.name, to_size(found.train_images[first], size), found.train_labels[first].astype(np.float32),
        to_size(found.test_images, size), found.test_labels.astype(np.float32), found.class_names,
        found.class_names_zh, found.note)


def scaled(pixels):
    """Pixels from 0 to 255 as numbers from -1 to 1."""
    return pixels.astype(np.float32) / 127.5 - 1


def to_size(pixels, size):
    """(N, C, H, W) of uint8 as (N, C, size, size)."""
    import cv2
    if pixels.shape[2:] == (28, 28):
        pixels = np.pad(pixels, ((0, 0), (0, 0), (2, 2), (2, 2)))
    if pixels.shape[2:] == (size, size):
        return pixels
    way = cv2.INTER_AREA if size < pixels.shape[2] else cv2.INTER_LINEAR
    resized = [cv2.resize(image.transpose(1, 2, 0), (size, size), interpolation=way) for image in pixels]
    return np.stack(resized).reshape(len(pixels), size, size, -1).transpose(0, 3, 1, 2)


def _pictures(name):
    """The picture files that lie in a folder itself, in order; none if it has class folders, or is no folder."""
    folder = Path(name)
    if not folder.is_dir() or any(path.is_dir() for path in folder.iterdir()):
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _SUFFIXES)


def _folder(folder, files, size):
    if len(files) < 10:
        raise UserError(f'{folder}: {len(files)} pictures are too few; give a folder with more')
    pixels, broken = [], []
    for path in tqdm(files, str(folder), leave=False, disable=None):
        try:
            image = Image.fromarray(read_picture(path, 3))
            way = Image.BOX if min(image.size) > size else Image.BILINEAR
            pixels.append(np.asarray(ImageOps.fit(image, (size, size), way)).transpose(2, 0, 1))
        except UserError:
            broken.append(path.name)
    if len(pixels) < 10:
        raise UserError(f'{folder}: {len(broken)} of {len(files)} pictures are broken: {", ".join(broken[:3])}')
    pixels = np.stack(pixels)
    if (pixels == pixels[:, :1]).all():
        pixels = pixels[:, :1]
    aside = np.arange(len(pixels)) % 10 == 9
    train, test, names = pixels[~aside], pixels[aside], (folder.name,)
    said = f'{folder}: {len(train):,} pictures, {len(test):,} set aside'
    if broken:
        said += f'; {len(broken)} broken and left out: {", ".join(broken[:3])}'
    return TrainingData(folder.name, train, np.zeros(len(train), np.float32), test, np.zeros(len(test), np.float32),
                        names, names, said=said)


class _Count:
    """Some images of a pack, and the number of all."""
    def __init__(self, some, count):
        self._some, self._count, self.shape = some, count, (count,) + some.shape[1:]

    def __len__(self):
        return self._count

    def __getitem__(self, where):
        return self._some[where]


def _packed(packs, size, batch_size, train_samples):
    train, labels = packs.train, read_labels(packs.train)[:train_samples or None]
    count, channels = len(labels), 1 if looked_at(train).gray else 3

    def iterator(path, batch, **settings):
        return mx.io.ImageRecordUInt8Iter(
            path_imgrec=str(path), data_shape=(channels, size, size), resize=size, batch_size=batch, preprocess_threads=1,
            verbose=False, **settings)

    def some(path, most):
        pixels, labels = [], []
        at_once = min(100, most, len(read_labels(path)))  # MXNet wants as many images as a batch has
        for batch in iterator(path, at_once, **first_records(path, most)):
            kept = at_once - batch.pad
            pixels.append(batch.data[0].asnumpy()[:kept])
            labels.append(batch.label[0].asnumpy()[:kept])
        return np.concatenate(pixels), np.concatenate(labels)

    def stream(random, workers=Workers()):
        seed = int(random.integers(1 << 31))
        return batches_of_part(
            lambda batch: iterator(train, batch, shuffle=True, seed=seed,
                                   **first_records(train, count, workers.size, workers.rank)), count, batch_size, workers)
    train_x, train_y = some(train, min(_KEPT, count))
    test_x, test_y = some(packs.validation, _KEPT)
    names = packs.class_names or tuple(str(number) for number in range(int(labels.max()) + 1))
    return TrainingData(packs.name, _Count(train_x, count), train_y, test_x, test_y, names, packs.class_names_zh or names,
                        packs.note, files=(str(train), str(packs.validation)), packed=packed_as(packs), stream=stream,
                        said=packs.said)
