"""Images in RecordIO packs as data to train on, read and augmented by MXNet's own `ImageRecordIter` (4.5.3, 5.4.5)."""
import itertools
import math
from dataclasses import replace

import mxnet as mx
import numpy as np

from chapters.kit.data.augmentation import Augmentation
from chapters.kit.data.pictures import cut
from chapters.kit.data.training_data import TrainingData, by_recipe
from chapters.kit.training.workers import Workers
from data_tools.datasets import HOME
from data_tools.errors import UserError
from data_tools.image_header import BadImage
from data_tools.image_sets import Packs
from data_tools.images import pixels_of
from data_tools.pack import Job, pack
from data_tools.packs import first_records, looked_at
from data_tools.recordio import read_facts, read_index, read_labels
from data_tools.sources import Pixels

_IN_MEMORY = 1 << 30  # bytes of training images


class PackedImages:
    """The images of a pack as an array (N, C, H, W) of float32 that is decoded where it is looked at.

    Parameters
    ----------
    path : Path
        Of the `.rec`; its `.idx` lies beside it.
    channels : int
        1 or 3.
    size : (int, int), optional
        Height and width to cut images to, at their centre; default: as they are.
    resize : int
        As `chapters.kit.data.pictures.cut` has it.
    scale : float
    count : int, optional
        Only the first so many.
    """
    def __init__(self, path, channels=3, size=None, resize=0, scale=1.0, count=None):
        index, self._path = path.with_suffix('.idx'), path
        keys, offsets = read_index(index)
        self._keys = [key for _, key in sorted(zip(offsets, keys))][:count]
        self._channels, self._size, self._resize, self._scale = channels, size, resize, np.float32(scale)
        self._file = mx.recordio.MXIndexedRecordIO(str(index), str(path), 'r')
        self.shape = (len(self._keys),) + self[:1].shape[1:]

    def __len__(self):
        return len(self._keys)

    def __getitem__(self, where):
        images = []
        for key in self._keys[where]:
            _, data = mx.recordio.unpack(self._file.read_idx(key))
            try:
                pixels = pixels_of(data, gray=self._channels == 1)
            except BadImage as error:
                raise UserError(f'{self._path}: record {key}: {error}; `python -m data_tools rec verify` tells more') from None
            pixels = pixels.reshape(pixels.shape[:2] + (-1,))
            if self._size:
                pixels = cut(pixels, *self._size, self._resize)
            images.append(pixels.transpose(2, 0, 1) * self._scale)
        return np.stack(images)


def load_packs(packs, augmentation, side, resize, scale, recipe, seed=0):
    """Packs of images as training data: in memory, where they are small enough and nothing is to be done to them that only
    MXNet's reader can.

    Parameters
    ----------
    packs : data_tools.image_sets.Packs
    augmentation : Augmentation
    side : int
        Of the square that the network sees; 0: images as they are, if all are alike.
    resize : int
        To which the shorter side of an image is brought first.
    scale : float
        What pixels from 0 to 255 are multiplied by.
    recipe : Recipe
        For its batch size and `train_samples`.
    seed : int
        Of `label_noise`.

    Returns
    -------
    TrainingData

    Raises
    ------
    UserError
        Images of several sizes, and nothing says which the network wants.
    """
    look = looked_at(packs.train)
    size, said = (side, side), packs.said or packs.name
    if not side:
        if look.smallest != look.largest:
            raise UserError(f'{packs.name}: images from {_words(look.smallest)} to {_words(look.largest)} pixels; say which '
                            'side the network takes: --set pixels=N')
        size, resize = look.smallest[::-1], min(look.smallest)
    elif (look.smallest, look.largest) != ((resize, resize),) * 2:
        sizes = _words(look.smallest) + (f' to {_words(look.largest)}' if look.largest != look.smallest else '')
        said += f'; images of {sizes} pixels: the shorter side to {resize}, then {_words(size)} of it'
    augmentation.require_fit(*size)
    channels = 1 if look.gray else 3
    shape = (channels,) + size
    train, train_y = packs.train, read_labels(packs.train)[:recipe.train_samples or None]
    if train_y.ndim > 1:
        raise UserError(f'{train}: {train_y.shape[1]} labels an image; a classifier takes one')
    names = packs.class_names or tuple(str(number) for number in range(int(train_y.max()) + 1))
    validation_y, validation_x = _read_all(packs.validation, shape, resize)
    if scale != 1:
        validation_x = validation_x * np.float32(scale)
    data = TrainingData(
        packs.name, PackedImages(train, channels, size, resize, scale, len(train_y)), train_y, validation_x, validation_y,
        names, packs.class_names_zh or names, packs.note, scale, resize, packs.strokes,
        (str(packs.train), str(packs.validation)), packed_as(packs), said=said,
        validation_whole=PackedImages(packs.validation, channels, (resize, resize), resize, scale) if augmentation.crop
        else None)
    later = any(augmentation.only_of_arrays.values())
    if augmentation.of_arrays() and (later or look.smallest == look.largest == size[::-1]) and \
            4 * len(train_y) * math.prod(shape) < _IN_MEMORY:
        train_x = np.multiply(_read_all(train, shape, resize)[1][:len(train_y)], np.float32(scale), dtype=np.float32)
        return by_recipe(replace(data, train_x=train_x, validation_x=np.asarray(validation_x, np.float32)), recipe, seed)
    if recipe.label_noise:
        raise UserError('label_noise acts on images in memory, not on packs; leave it out')
    if augmentation.alternate:
        raise UserError(f'augmentation: alternate needs all images in memory, and {packs.name} has too many; use mirror')
    after = Augmentation(mirror=augmentation.mirror, **augmentation.only_of_arrays)
    settings = replace(augmentation, mirror=augmentation.mirror and not later,
                       **dict.fromkeys(augmentation.only_of_arrays, 0)).of_records()

    def stream(random, workers=Workers()):
        """Batches of one epoch in an order and with changes of their own; the last is filled up from the first."""
        seed = int(random.integers(1 << 31))
        batches = batches_of_part(
            lambda size: _iterator(train, shape, size, resize=resize, scale=scale, shuffle=True, seed=seed,
                                   seed_aug=(seed + workers.rank) % (1 << 31), **settings,
                                   **first_records(train, len(train_y), workers.size, workers.rank)),
            len(train_y), recipe.batch_size, workers)
        for x, y in batches:
            if later:
                x = mx.nd.array(after(x.asnumpy(), np.arange(len(x)), random))
            yield x, y
    return replace(data, stream=stream)


def full_scale(packs):
    """The value of a bright pixel, by what the packer has noted beside the packs: 255, or the greatest there is where
    pixels count from 0 to 1 (masks), to 16 (scikit-learn's digits), or to another number up to that.

    Raises
    ------
    UserError
        One pack has such pixels, the other usual ones.
    """
    greatest = [((read_facts(path) or {}).get('range') or (0, 255))[1] for path in (packs.train, packs.validation)]
    if max(greatest) > 16 >= min(greatest) > 0:
        raise UserError(f'{packs.validation}: its pixels go to {greatest[1]}, those of {packs.train} to {greatest[0]}; save '
                        'the images of both in the same way, and pack them anew')
    return max(greatest) if 0 < max(greatest) <= 16 else 255


def packed_as(packs):
    """What is in both packs, as the packer noted it; empty where it did not."""
    known = [read_facts(path) for path in (packs.train, packs.validation)]
    if None in known:
        return ()
    return tuple(f'{facts["records"]} records, {facts["bytes"]} bytes, source {facts["checksum"][:16]}' for facts in known)


def _words(size):
    return 'x'.join(map(str, size))


def pack_arrays(images, name):
    """An image set in memory as packs in the cache, made once: for what only MXNet's reader of packs can do to images.

    Parameters
    ----------
    images : data_tools.image_sets.ImageDataset
    name : str
        Of the folder in the cache; the same for the same images.

    Returns
    -------
    data_tools.image_sets.Packs
    """
    folder = HOME.expanduser() / 'packs' / name
    folder.mkdir(parents=True, exist_ok=True)
    for part, pixels, labels in (('test', images.test_images, images.test_labels),
                                 ('train', images.train_images, images.train_labels)):  # last: when it is there, both are
        if not (folder / f'{part}.rec').exists():
            gray = pixels.shape[1] == 1
            pixels = pixels[:, 0] if gray else pixels.transpose(0, 2, 3, 1)
            pack(Pixels(np.ascontiguousarray(pixels), labels, list(images.class_names)), str(folder / part),
                 Job(encoding='png', color=0 if gray else 1, check=False), shuffle=True)
    return Packs(images.name, folder / 'train.rec', folder / 'test.rec', images.class_names, images.class_names_zh,
                 images.note, strokes=images.strokes)


def batches_of_part(open_reader, samples, batch_size, workers):
    """Yield (x, y) of a worker's part of every batch of an epoch, from its own part of the records, again and again where
    they are fewer than that.

    Parameters
    ----------
    open_reader : callable
        `open_reader(batch_size) -> mxnet.io.DataIter`, of this worker's part (`data_tools.packs.first_records`).
    samples, batch_size : int
        Of all workers together.
    workers : Workers
    """
    part, own, left = workers.share(batch_size), workers.share(samples), -(-samples // batch_size)
    size = part.stop - part.start
    read = min(size, own.stop - own.start)  # MXNet wants as many images as a batch has
    filled = mx.nd.array(np.resize(np.arange(read), size))
    while left:  # a part may be a record shorter than another: all workers must come to the same number of batches
        for batch in itertools.islice(open_reader(read), left):
            left -= 1
            x, y = batch.data[0], batch.label[0]
            yield (x, y) if read == size else (mx.nd.take(x, filled), mx.nd.take(y, filled))


def _iterator(path, shape, batch_size, **settings):
    return mx.io.ImageRecordIter(
        path_imgrec=str(path), data_shape=shape, batch_size=batch_size,
        preprocess_threads=1,  # the same numbers on every machine; one thread outruns any network here
        verbose=False, **settings)


def _read_all(path, shape, resize):
    """(labels (N,) of float32, images (N, C, H, W) of uint8) of a pack, in its order."""
    images, labels = [], []
    size = min(100, len(read_index(path.with_suffix('.idx'))[0]))  # MXNet wants as many images as a batch has
    iterator = mx.io.ImageRecordUInt8Iter(path_imgrec=str(path), data_shape=shape, batch_size=size, verbose=False,
                                          resize=resize, round_batch=True, preprocess_threads=1)
    for batch in iterator:
        kept = size - batch.pad
        labels.append(batch.label[0].asnumpy()[:kept])
        images.append(batch.data[0].asnumpy()[:kept])
    return np.concatenate(labels).astype(np.float32), np.concatenate(images)
