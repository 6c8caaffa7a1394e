"""What an experiment trains on, ready for the network, and the facts of it that a trained network must not lose."""
from dataclasses import dataclass, replace
from typing import Any, Callable, Dict, Optional, Tuple

import numpy as np

from chapters.kit.data.augmentation import Augmentation
from data_tools.errors import UserError


@dataclass(frozen=True)
class Facts:
    """What a trained network must know of its data. The run folder keeps them, and whoever uses the network reads them there.

    Attributes
    ----------
    shape : tuple of int
        Of one sample as the network gets it: (C, H, W) of images.
    class_names, class_names_zh : tuple of str
    scale : float
        What pixels from 0 to 255 were multiplied by.
    resize : int
        Images of any size: the shorter side is brought to so many pixels, then (H, W) cut out at the centre; 0: to the
        larger of H and W.
    strokes : bool
        Light strokes on black, within 20x20 pixels, their centre of mass in the middle of 28x28: MNIST's way.
    files : tuple of str
        The packs that samples were read from, for training and for validation; empty: not from packs.
    note : str
        To be printed beside every figure measured on these data.
    packed : tuple of str
        What is in `files`, as the packer noted it beside them: records, bytes, checksum of the source. Others of the
        same name are other data.
    """
    shape: Tuple[int, ...] = ()
    class_names: Tuple[str, ...] = ()
    class_names_zh: Tuple[str, ...] = ()
    scale: float = 1.0
    resize: int = 0
    strokes: bool = False
    files: Tuple[str, ...] = ()
    note: str = ''
    packed: Tuple[str, ...] = ()

    @classmethod
    def of_config(cls, config):
        """From a run's `config.json`."""
        kept: Dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value
                                for name, value in config.get('facts', {}).items() if name in cls.__dataclass_fields__}
        return cls(**kept)


@dataclass(frozen=True, eq=False)
class TrainingData:
    """Samples for training and for validation.

    Attributes
    ----------
    name : str
    train_x, validation_x : numpy.ndarray of float32, (N, ...)
        Images are (N, C, H, W), pixels multiplied by `scale`. With `batch` or `stream`, `train_x` may be anything
        that has a length, a shape, and slices; `validation_x` may be uint8 where `scale` is 1.
    train_y, validation_y : numpy.ndarray of float32, (N,)
        Class numbers, or the values to be learnt.
    class_names, class_names_zh, note, scale, resize, strokes, files, packed
        As `Facts` has them.
    batch : callable, optional
        `batch(numbers, random, epoch) -> (x, y)`: makes a batch of these samples while training goes on, changed at
        random as the recipe has it. It is called in a thread of its own. Default: `train_x` and `train_y` as
        they are.
    stream : callable, optional
        `stream(random, workers) -> iterator of (x, y)`: a worker's part of all batches of an epoch as NDArrays, by a
        reader that orders and changes the samples itself, such as MXNet's `ImageRecordIter`.
    validation_whole : array, (N, C, H', W'), optional
        The validation images before they were cut to the network's size.
    said : str
        What was taken, for the user, in a line.
    """
    name: str
    train_x: Any
    train_y: np.ndarray
    validation_x: np.ndarray
    validation_y: np.ndarray
    class_names: Tuple[str, ...] = ()
    class_names_zh: Tuple[str, ...] = ()
    note: str = ''
    scale: float = 1.0
    resize: int = 0
    strokes: bool = False
    files: Tuple[str, ...] = ()
    packed: Tuple[str, ...] = ()
    batch: Optional[Callable] = None
    stream: Optional[Callable] = None
    validation_whole: Any = None
    said: str = ''

    @property
    def facts(self):
        """What the run folder keeps."""
        return Facts(tuple(self.train_x.shape[1:]), self.class_names, self.class_names_zh, self.scale, self.resize,
                     self.strokes, self.files, self.note, self.packed)


def made_by(function):
    """The loader of data that an experiment makes itself.

    Parameters
    ----------
    function : callable
        `function(seed) -> TrainingData`.

    Returns
    -------
    callable
        As `Training.loader` has it.
    """
    def load(experiment, name, data_root, seed):
        if name != experiment.data or data_root is not None:
            raise UserError(f'{experiment.section} makes its own data ({experiment.data}); leave out --data '
                            'and --data-root')
        return by_recipe(function(seed), experiment.recipe, seed)
    return load


def by_recipe(data, recipe, seed):
    """Data in memory as a recipe wants them: the first samples only, some labels wrong, images changed at random.

    Parameters
    ----------
    data : TrainingData
    recipe : Recipe
    seed : int
        Of the wrong labels.

    Returns
    -------
    TrainingData
    """
    if recipe.train_samples:
        data = replace(data, train_x=data.train_x[:recipe.train_samples], train_y=data.train_y[:recipe.train_samples])
    if recipe.label_noise:
        data = replace(data, train_y=with_noise(data.train_y, recipe.label_noise, seed))
    augmentation = Augmentation.parse(recipe.augmentation)
    if augmentation != Augmentation():
        if data.train_x.ndim != 4:
            raise UserError(f'augmentation: {data.name} is no set of images; leave augmentation out')
        if data.batch or not augmentation.of_arrays():
            raise UserError(f'augmentation: {data.name} is no set of images in files, so that what needs '
                            'MXNet\'s reader is not at hand')
        augmentation.require_fit(*data.train_x.shape[2:])
        x, y = data.train_x, data.train_y
        data = replace(data, batch=lambda numbers, random, epoch=0: (augmentation(x, numbers, random, epoch), y[numbers]))
    return data


def with_noise(labels, share, seed):
    """Replace a random share of labels by a random class (3.2)."""
    random = np.random.default_rng([seed, 0x6e])
    noisy = labels.copy()
    chosen = random.choice(len(labels), int(round(share * len(labels))), replace=False)
    noisy[chosen] = random.integers(0, int(labels.max()) + 1, len(chosen))
    return noisy
