"""Section 5.7: pictures with boxes for training: `scenes`, and folders in the layout of Pascal VOC or COCO.

All pictures are brought to one size, which changes their proportions a little, as YOLO does; boxes are parts of width and
height, so that they stay as they are.
"""
import contextlib
import tarfile
import tempfile
import zipfile
from pathlib import Path

import cv2
import numpy as np

from chapters.ch05_detection_style.scenes import CLASSES, scenes
from chapters.kit.data.augmentation import Augmentation
from chapters.kit.data.pictures import read_picture
from chapters.kit.data.training_data import TrainingData
from data_tools.annotations import open_coco, open_voc
from data_tools.datasets import HOME, check_root, first_few, folders_of
from data_tools.errors import UserError
from data_tools.sources import Listing

SCENES = 2000, 200  # for training, for validation
_VISIBLE = 0.4  # of a box: what is cut to less is left out
_KNOWN = {'bccd': 'detection', 'nuclei-180': 'detection'}  # name -> folder of data that it lies in
_COLOURS = dict(borderMode=cv2.BORDER_CONSTANT, borderValue=(114, 114, 114))


def load_annotated(experiment, name, data_root, seed):
    """Pictures with boxes: the `loader` of detectors.

    Parameters
    ----------
    experiment : Detection
        For the size of its samples, and how many to train on.
    name : str
        'scenes'; 'bccd' where it is at hand; a folder or archive in Pascal VOC's layout (trained on the list `trainval` or
        `train`, measured on `test` or `val`), or in COCO's (`annotations/*train*.json` and `*val*.json`); a JSON file of
        COCO's, of which every fifth picture is for validation.
    data_root : path-like or None
    seed : int

    Returns
    -------
    TrainingData
        `train_x` and `validation_x` uint8 (N, 3, H, W); `train_y` and `validation_y` float32 (N, M, 5) of class, left, top,
        right, bottom in parts of the picture, filled up with rows of -1.

    Raises
    ------
    UserError
        Nothing of that name, of another layout, or a picture that cannot be read.
    """
    recipe = experiment.recipe
    shape = (3, recipe.pixels, recipe.pixels) if recipe.pixels else experiment.sample_shape
    if name == 'scenes':
        if shape[1] != shape[2]:
            raise UserError('scenes are square; leave the size alone, or give --set pixels=N')
        parts = [scenes(number, seed, validation, shape[1])[:2] for number, validation in (
            (recipe.train_samples or SCENES[0], False), (SCENES[1], True))]
        classes, said = CLASSES, ''
    else:
        with folder_of(name, data_root) as folder:
            *lists, said = _lists_of(folder, name)
            if recipe.train_samples:
                lists[0] = lists[0][:recipe.train_samples]
            parts = [_read(part, shape[1:]) for part in lists]
            classes = tuple(lists[0].classes)
    (train_x, train_boxes), (validation_x, validation_boxes) = parts
    most = max(map(len, (*train_boxes, *validation_boxes)))
    return TrainingData(name, train_x, padded(train_boxes, most), validation_x, padded(validation_boxes, most), classes,
                        scale=experiment.scale, said=said)


def padded(boxes, most):
    """A list of (M, 5) as one array (N, most, 5), filled up with -1; rows may be longer."""
    filled = np.full((len(boxes), most, boxes[0].shape[1]), -1, np.float32)
    for row, objects in zip(filled, boxes):
        row[:len(objects)] = objects
    return filled


class _Part:
    """Pictures of an `Annotated`, some of them."""
    def __init__(self, annotated, numbers):
        self.annotated, self.numbers, self.classes = annotated, numbers, annotated.classes

    def __len__(self):
        return len(self.numbers)

    def __getitem__(self, which):
        return _Part(self.annotated, self.numbers[which])


def _read(part, size):
    """(uint8 (N, 3, H, W), list of (M, 5)) of pictures."""
    pixels, boxes, source = [], [], part.annotated
    for number in part.numbers:
        picture = read_picture(Path(source.root) / source.paths[number], 3)
        pixels.append(to_size(picture, size))
        boxes.append(np.array(source.all_labels[number][2:], np.float32).reshape(-1, 5))
    return np.stack(pixels), boxes


def to_size(picture, size):
    """uint8 (H', W', 3) -> (3, H, W), whatever the proportions."""
    way = cv2.INTER_AREA if picture.shape[0] > size[0] else cv2.INTER_LINEAR
    return np.ascontiguousarray(cv2.resize(picture, tuple(size[::-1]), interpolation=way).transpose(2, 0, 1))


def _lists_of(folder, name):
    """(pictures to train on, pictures to validate on, what was taken in a line)."""
    path = Path(folder)
    if path.is_file():
        whole = open_coco(path)
        numbers = np.arange(whole.count)
        train, test = _Part(whole, numbers[numbers % 5 < 4]), _Part(whole, numbers[numbers % 5 == 4])
        notes, taken = whole.notes, 'four of five pictures, each fifth'
    else:
        jsons = [sorted(path.glob(f'annotations/*{part}*.json')) for part in ('train', 'val')]
        if all(jsons):
            first = open_coco(jsons[0][0])
            second = open_coco(jsons[1][0], listing=Listing(classes=tuple(first.classes)))
            taken = f'{jsons[0][0].name}, {jsons[1][0].name}'
        else:
            known = {file.stem for file in path.glob('**/ImageSets/Main/*.txt')}
            to_train = next((part for part in ('trainval' if 'test' in known else '', 'train') if part in known), '')
            to_test = next((part for part in ('test', 'val') if part in known), '')
            if not (to_train and to_test):
                raise UserError(f'{name}: has no lists train and val or test in ImageSets/Main, as Pascal VOC\'s layout has '
                                'them, nor annotations/*train*.json and *val*.json, as COCO\'s has')
            first, second = open_voc(path, to_train), open_voc(path, to_test)
            taken = f'lists {to_train}, {to_test}'
        train, test = (_Part(whole, np.arange(whole.count)) for whole in (first, second))
        notes = list(dict.fromkeys([*first.notes, *second.notes]))
    if not len(train) or not len(test):
        raise UserError(f'{name}: too few pictures: {len(train)} to train on, {len(test)} to validate')
    return train, test, '; '.join([f'{name}: {taken}: {len(train)} pictures for training, {len(test)} to validate, '
                                   f'{len(train.classes)} classes ({first_few(train.classes, 5)})', *notes])


@contextlib.contextmanager
def folder_of(name, data_root, wanted='pictures with boxes: give a folder or archive in the layout of Pascal VOC or COCO'):
    """The folder or JSON file that `name` means, for as long as it is read; archives are unpacked to a place of their own."""
    check_root(data_root)
    path, looked = Path(name).expanduser(), []
    if not path.exists():
        for folder in (*folders_of(_KNOWN.get(name, name), data_root), HOME.expanduser() / 'data' / _KNOWN.get(name, name)):
            places = [folder / f'{name}{ending}' for ending in ('', '.tar.xz', '.tar.gz', '.tar', '.zip')]
            path = next((place for place in (*places, folder) if place.exists() and (name not in _KNOWN or place != folder)),
                        None)
            if path:
                break
            looked.append(str(folder))
        else:
            raise UserError(f'{name}: no such {wanted}, or scenes, which needs none (looked in {", ".join(looked)})')
    if path.is_dir() or path.suffix == '.json':
        yield path
        return
    with tempfile.TemporaryDirectory() as folder:
        _unpack(path, folder)
        yield next((place.parent for name in ('Annotations', 'annotations', 'labels')
                    for place in sorted(Path(folder).rglob(name))), folder)


def _unpack(path, folder):
    """Unpack the plain files of an archive whose names lead nowhere else."""
    def inside(name):
        return not Path(name).is_absolute() and '..' not in Path(name).parts
    try:
        if zipfile.is_zipfile(path):
            with zipfile.ZipFile(path) as archive:
                archive.extractall(folder, [name for name in archive.namelist() if inside(name)])
        else:
            with tarfile.open(path) as archive:
                archive.extractall(folder, [member for member in archive if member.isfile() and inside(member.name)])
    except (OSError, tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f'{path}: no archive that can be unpacked ({str(error).splitlines()[0][:100].rstrip(":")})') from None


class Views:
    """Training pictures, each changed at random: mirrored, moved, made larger or smaller, lighter or darker.

    Parameters
    ----------
    data : TrainingData
        As `load_annotated` gives it.
    augmentation : str
        Of a recipe: its mirror, smallest, largest, saturation and lightness count here.
    sizes : list of (int, int)
        Height and width that batches may have, one of them by chance: several sizes make a network robust (improvement 9).
    targets : callable
        `targets(objects, (H, W)) -> array`: what the loss compares with, of the objects of one picture.

    A call `(numbers, random)` gives float32 (N, 3, H, W) of pixels times the data's scale, targets (N, ...), objects
    (N, M, 5). Where objects have masks (see `mask_rcnn`), 4 numbers more are the box before it was cut off at the picture's
    edge, the rest the mask within that.
    """
    def __init__(self, data, augmentation, sizes, targets):
        self._data, self._sizes, self._targets = data, sizes, targets
        self._change = Augmentation.parse(augmentation)

    def __call__(self, numbers, random):
        height, width = self._sizes[random.integers(len(self._sizes))]
        pixels = np.empty((len(numbers), 3, height, width), np.float32)
        objects = np.full((len(numbers),) + self._data.train_y.shape[1:], -1, np.float32)
        for place, number in enumerate(numbers):
            found = self._data.train_y[number]
            picture, found = self._view(self._data.train_x[number], found[found[:, 0] >= 0], (height, width), random)
            pixels[place], objects[place, :len(found)] = picture, found
        targets = np.stack([self._targets(found[found[:, 0] >= 0], (height, width)) for found in objects])
        return pixels * np.float32(self._data.scale), targets, objects

    def _view(self, picture, objects, size, random):
        """A picture (3, H', W') and its objects, changed, in the size (H, W)."""
        change, (height, width) = self._change, size
        zoom = random.uniform(change.smallest, change.largest, 2)  # down, right
        scales = zoom * size / picture.shape[1:]
        moves = [random.uniform(*sorted((0.0, side * (1 - z)))) for side, z in zip(size, zoom)]
        side = int((objects.shape[1] - 9) ** 0.5) if objects.shape[1] > 9 else 0
        masks = objects[:, 9:].reshape(len(objects), side, side)
        if change.mirror and random.random() < 0.5:
            matrix = np.array([[-scales[1], 0, width - moves[1]], [0, scales[0], moves[0]]])
            places = objects[:, [3, 2, 1, 4]] * (-zoom[1], zoom[0], -zoom[1], zoom[0]) + (1, 0, 1, 0)
            signs = -1, 1
            masks = masks[:, :, ::-1]
        else:
            matrix = np.array([[scales[1], 0, moves[1]], [0, scales[0], moves[0]]])
            places, signs = objects[:, 1:5] * (zoom[1], zoom[0], zoom[1], zoom[0]), (1, 1)
        places = places + np.tile((signs[0] * moves[1] / width, signs[1] * moves[0] / height), 2)
        uncut, whole = places, (places[:, 2:] - places[:, :2]).prod(axis=1)
        places = places.clip(0, 1)
        seen = (places[:, 2:] - places[:, :2]).clip(0).prod(axis=1) > _VISIBLE * whole
        # a pixel is a square: its centre is half a pixel from its edge
        matrix[:, 2] += (matrix[:, :2].sum(axis=1) - 1) / 2
        pixels = cv2.warpAffine(picture.transpose(1, 2, 0), matrix, (width, height), flags=cv2.INTER_LINEAR, **_COLOURS)
        pixels = pixels.astype(np.float32)
        if change.saturation:
            gray = pixels.mean(axis=2, keepdims=True)
            pixels = gray + (pixels - gray) * (1 + random.uniform(-change.saturation, change.saturation) / 100)
        if change.lightness:
            pixels = pixels + random.uniform(-change.lightness, change.lightness)
        more = [uncut, masks.reshape(len(objects), -1)] if side else []
        return pixels.clip(0, 255).transpose(2, 0, 1), np.concatenate([objects[:, :1], places, *more], axis=1)[seen]
