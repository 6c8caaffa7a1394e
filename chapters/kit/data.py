"""The arrays that an experiment trains on, ready for the network."""
import os
from dataclasses import dataclass, replace
from typing import Callable, Optional, Tuple

import numpy as np

from chapters.kit.augmentation import Augmentation
from chapters.kit.records import load_records
from data_tools.errors import UserError


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples for training and for validation.

    Attributes
    ----------
    name : str
    train_x, validation_x : numpy.ndarray of float32, (N, ...)
        Images are (N, C, H, W), pixels divided by 255. With `batch`, `train_x` may be anything that has a length, a
        shape, and slices; `validation_x` may be uint8.
    train_y, validation_y : numpy.ndarray of float32, (N,)
        Class numbers, or the values to be learnt.
    validation_whole : array, (N, C, H', W'), optional
        The validation images before they were cut to the network's size.
    class_names, class_names_zh : tuple of str
    note : str
        To be printed beside every figure measured on this data.
    batch : callable, optional
        `batch(numbers, random) -> (x, y)`: makes a batch of these samples while training goes on, changed at random
        as the recipe of the book has it. It is called in a thread of its own. Default: `train_x` and `train_y` as
        they are.
    stream : callable, optional
        `stream(random, workers) -> iterator of (x, y)`: a worker's part of all batches of an epoch as NDArrays, by a
        reader that orders and changes the samples itself, such as MXNet's `ImageRecordIter`.
    """
    name: str
    train_x: np.ndarray
    train_y: np.ndarray
    validation_x: np.ndarray
    validation_y: np.ndarray
    class_names: Tuple[str, ...] = ()
    class_names_zh: Tuple[str, ...] = ()
    note: str = ''
    batch: Optional[Callable] = None
    stream: Optional[Callable] = None
    validation_whole: Optional[np.ndarray] = None


def load_data(experiment, name='', data_root=None, seed=0):
    """The data of an experiment, or another image set in its place.

    Parameters
    ----------
    experiment : Experiment
    name : str
        Name of an image set or folder of `data_tools.datasets.load`; empty: the experiment's own data.
    data_root : path-like, optional
    seed : int
        For data that the experiment makes itself, and for `label_noise`.

    Returns
    -------
    TrainingData
    """
    recipe = experiment.recipe
    augmentation = Augmentation.parse(recipe.augmentation) if recipe and recipe.augmentation else None
    if experiment.loader and experiment.takes_image_sets:  # images in a form of its own, which `train_samples` cuts too
        return experiment.code(experiment.loader)(experiment, name or experiment.data, data_root, seed)
    if is_packed(experiment, name or experiment.data):
        return TrainingData(**load_records(name or experiment.data, data_root, augmentation or Augmentation(),
                                           recipe.batch_size, recipe.train_samples))
    if experiment.data == 'imagenet' and not name:
        raise UserError(f'{experiment.section}: ImageNet must be at hand and packed: `python -m data_tools pack '
                        'ILSVRC/train FOLDER/train --resize 256`, the same for FOLDER/val, then --data FOLDER; or '
                        '--data cifar10 --set classes=10 --set augmentation= for a network that can do with 32 pixels')
    if experiment.takes_image_sets:
        data = load_images(name or experiment.data, data_root)
    elif experiment.loader:
        data = experiment.code(experiment.loader)(experiment, name or experiment.data, data_root, seed)
    else:
        if name not in ('', experiment.data) or data_root is not None:
            raise UserError(f'{experiment.section} makes its own data ({experiment.data}); leave out --data '
                            'and --data-root')
        data = experiment.code(experiment.data.replace('-', '_'))(seed)
    if recipe.train_samples:
        data = replace(data, train_x=data.train_x[:recipe.train_samples],
                       train_y=data.train_y[:recipe.train_samples])
    if recipe.label_noise:
        data = replace(data, train_y=_with_noise(data.train_y, recipe.label_noise, seed))
    if augmentation:
        data = replace(data, batch=_augmented(data, augmentation))
    return data


def _augmented(data, augmentation):
    """`TrainingData.batch` that changes images at random (5.4.4)."""
    if data.batch or not augmentation.of_arrays():
        raise UserError(f'augmentation: {data.name} is not read from .rec files, so that only mirror, shift and erase '
                        'are at hand; pack it (`python -m data_tools pack`) for the others')
    return lambda numbers, random: (augmentation(data.train_x, numbers, random), data.train_y[numbers])


def is_packed(experiment, name):
    """Whether data of this name is read from `.rec` files, its pixels from 0 to 255 as the book leaves them there."""
    return experiment.takes_image_sets and (name == 'cifar10' or os.path.exists(os.path.join(name, 'train.rec')))


def load_images(name, data_root=None):
    """An image set as float32 in [0, 1].

    Returns
    -------
    TrainingData
    """
    from data_tools.datasets import load
    images = load(name, data_root)

    def scaled(pixels):
        return np.multiply(pixels, np.float32(1 / 255), dtype=np.float32)
    return TrainingData(images.name, scaled(images.train_images), images.train_labels.astype(np.float32),
                        scaled(images.test_images), images.test_labels.astype(np.float32),
                        images.class_names, images.class_names_zh, images.note)


def _with_noise(labels, share, seed):
    """Replace a random share of labels by a random class."""
    random = np.random.default_rng([seed, 0x6e])
    noisy = labels.copy()
    chosen = random.choice(len(labels), int(round(share * len(labels))), replace=False)
    noisy[chosen] = random.integers(0, int(labels.max()) + 1, len(chosen))
    return noisy
