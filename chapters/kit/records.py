"""Images in RecordIO packs as data to train on, augmented by MXNet's own `ImageRecordIter` (4.5.3, 5.4.5)."""
import itertools

import numpy as np

from chapters.kit.distributed import Workers
from chapters.kit.runtime import mx
from data_tools.errors import UserError
from data_tools.packs import find_packs, first_records
from data_tools.recordio import read_classes, read_index


class PackedImages:
    """The images of a pack as an array (N, 3, H, W) of float32 that is decoded where it is looked at.

    Parameters
    ----------
    path : Path
        Of the `.rec`; its `.idx` lies beside it.
    size : int
        Images are cut to so many pixels square at their centre; 0: taken as they are.
    """
    def __init__(self, path, size=0):
        self._ids = list(read_index(path.with_suffix('.idx'))[0])
        self._size = size
        self._file = mx.recordio.MXIndexedRecordIO(str(path.with_suffix('.idx')), str(path), 'r')
        self.shape = (len(self._ids),) + self[:1].shape[1:]

    def __len__(self):
        return len(self._ids)

    def __getitem__(self, where):
        images = []
        for number in self._ids[where]:
            _, data = mx.recordio.unpack(self._file.read_idx(number))
            pixels = mx.image.imdecode(data).asnumpy()  # (H, W, 3), RGB
            if self._size:
                top, left = ((side - self._size) // 2 for side in pixels.shape[:2])
                pixels = pixels[top:top + self._size, left:left + self._size]
            images.append(pixels.transpose(2, 0, 1).astype(np.float32))
        return np.stack(images)


def load_records(name, data_root, augmentation, batch_size, train_samples=0):
    """Packs of images as training data; pixels from 0 to 255, as the book leaves them.

    Parameters
    ----------
    name : str
        See `data_tools.packs.find_packs`.
    data_root : path-like or None
    augmentation : Augmentation
    batch_size : int
    train_samples : int
        Only the first so many training images; 0: all.

    Returns
    -------
    dict
        The arguments of `TrainingData`.

    Raises
    ------
    UserError
        No such packs, or their images are smaller than the crop.
    """
    train, test, note = find_packs(name, data_root)
    if train_samples:
        train = first_records(train, train_samples)
    train_x = PackedImages(train, augmentation.crop)
    shape = train_x.shape[1:]
    if augmentation.crop and shape[1:] != (augmentation.crop,) * 2:
        raise UserError(f'{train}: its images are smaller than crop={augmentation.crop}; use a smaller crop')
    names = tuple(read_classes(test) or ())
    train_y, _ = _read_all(train, shape, labels_only=True)
    validation_y, validation_x = _read_all(test, shape)
    settings = augmentation.of_records()

    def stream(random, workers=Workers()):
        """Batches of one epoch in an order and with changes of their own; the last is filled up from the first."""
        seed = int(random.integers(1 << 31))
        return batches_of_part(
            lambda size, **part: _iterator(train, shape, size, shuffle=True, seed=seed,
                                           seed_aug=(seed + workers.rank) % (1 << 31), **part, **settings),
            len(train_x), batch_size, workers)
    return dict(name=name, train_x=train_x, train_y=train_y, validation_x=validation_x, validation_y=validation_y,
                class_names=names or tuple(str(number) for number in range(int(train_y.max()) + 1)),
                note=note, stream=stream, validation_whole=PackedImages(test))


def batches_of_part(open_reader, samples, batch_size, workers):
    """Yield (x, y) of a worker's part of every batch of an epoch, from its own part of the records.

    Parameters
    ----------
    open_reader : callable
        `open_reader(batch_size, num_parts=..., part_index=...) -> mxnet.io.DataIter`.
    samples, batch_size : int
        Of all workers together.
    workers : Workers
    """
    part, left = workers.share(batch_size), -(-samples // batch_size)
    while left:  # a part may be a record shorter than another: all workers must come to the same number of batches
        reader = open_reader(part.stop - part.start, num_parts=workers.size, part_index=workers.rank)
        for batch in itertools.islice(reader, left):
            left -= 1
            yield batch.data[0], batch.label[0]


def _iterator(path, shape, batch_size, **settings):
    return mx.io.ImageRecordIter(
        path_imgrec=str(path), path_imgidx=str(path.with_suffix('.idx')), data_shape=shape, batch_size=batch_size,
        preprocess_threads=1,  # the same numbers on every machine; one thread outruns any network here
        verbose=False, **settings)


def _read_all(path, shape, labels_only=False):
    """(labels (N,) of float32, images (N, 3, H, W) of uint8) of a pack, in its order."""
    images, labels = [], []
    size = min(100, len(read_index(path.with_suffix('.idx'))[0]))  # MXNet wants as many images as a batch has
    iterator = mx.io.ImageRecordUInt8Iter(path_imgrec=str(path), data_shape=shape, batch_size=size, verbose=False,
                                          round_batch=True, preprocess_threads=1)
    for batch in iterator:
        kept = size - batch.pad
        labels.append(batch.label[0].asnumpy()[:kept])
        if not labels_only:
            images.append(batch.data[0].asnumpy()[:kept])
    return np.concatenate(labels).astype(np.float32), np.concatenate(images) if images else None
