"""Images to train on: whatever `--data` names, brought to the size that the network takes."""
import hashlib
import os
from dataclasses import replace
from pathlib import Path

import numpy as np

from chapters.kit.data.augmentation import Augmentation
from chapters.kit.data.training_data import TrainingData, by_recipe
from data_tools.image_sets import Packs, find

WHOLE = 8 / 7  # the side of an image to the side of the square that training cuts out of it: 32 to 28, 256 to 224


def load_images(experiment, name, data_root=None, seed=0, facts=None):
    """The images that an experiment trains on.

    Those that already have the network's size, and of which nothing is cut out, stay in memory as arrays. All others
    are read from packs by MXNet's own reader.

    Parameters
    ----------
    experiment : Training
        Its recipe and `sample_shape` say which size; with `crop` in its augmentation, images are first brought to 8/7
        of that, as the book has it (28 of 32, 224 of 256).
    name : str
        'mnist', 'fashion', 'digits', 'cifar10', or the path of packs, IDX files, class folders, or an archive of them:
        see `data_tools.image_sets.find`.
    data_root : path-like, optional
    seed : int
        Of `label_noise`.
    facts : Facts, optional
        Of a run: where the packs that it was trained on are still there, they are read, whatever `name` is by now.

    Returns
    -------
    TrainingData
    """
    recipe = experiment.recipe
    augmentation = Augmentation.parse(recipe.augmentation)
    side = recipe.pixels or augmentation.crop or (experiment.sample_shape or (0,))[-1]
    augmentation = replace(augmentation, crop=side if augmentation.crop else 0)
    resize = round(side * WHOLE) if augmentation.crop else side
    kept = _kept(name, facts)
    found = kept or find(name, data_root)
    scale = facts.scale if kept else experiment.scale
    if not isinstance(found, Packs):
        if side in (0, found.train_images.shape[-1]) and augmentation.of_arrays() \
                and found.train_images.shape[-2] == found.train_images.shape[-1]:
            return by_recipe(_arrays(found, experiment.scale), recipe, seed)
        from chapters.kit.data.records import pack_arrays
        digest = hashlib.sha1(found.train_images.tobytes() + found.train_labels.tobytes()).hexdigest()
        found = pack_arrays(found, f'{found.name}-{digest[:12]}')
    elif not kept:
        from chapters.kit.data.records import full_scale
        full = full_scale(found)
        if full != 255:
            scale *= 255 / full
            found = replace(found, said=f'{found.said}; pixels from 0 to {full}, scaled as others from 0 to 255')
    from chapters.kit.data.records import load_packs
    return load_packs(found, augmentation, side, resize, scale, recipe, seed)


def _kept(name, facts):
    """The packs of a run, if they are there."""
    if facts is None or not facts.files or not all(map(os.path.exists, facts.files)):
        return None
    return Packs(Path(name).name, *map(Path, facts.files), facts.class_names, facts.class_names_zh, facts.note,
                 strokes=facts.strokes)


def _arrays(images, scale):
    """An image set in memory as `TrainingData`."""
    def scaled(pixels):
        return np.multiply(pixels, np.float32(scale), dtype=np.float32)
    return TrainingData(
        images.name, scaled(images.train_images), images.train_labels.astype(np.float32), scaled(images.test_images),
        images.test_labels.astype(np.float32), images.class_names, images.class_names_zh, images.note, scale,
        strokes=images.strokes)
