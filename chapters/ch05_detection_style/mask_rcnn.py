"""Section 5.7.4: Mask R-CNN: Faster R-CNN that also gives the outline of each object.

    python -m chapters run 5.7.4

He, Gkioxari, Dollár, Girshick, "Mask R-CNN", 2017 (https://arxiv.org/abs/1703.06870).
"""
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Callable

import cv2
import numpy as np

from chapters.ch05_detection_style.annotated import SCENES, folder_of, padded, to_size
from chapters.ch05_detection_style.drawing import pasted
from chapters.ch05_detection_style.faster_rcnn import CELLS_RECIPE, FasterRCNN, RegionLoss, TwoStages
from chapters.ch05_detection_style.faster_rcnn import SCENES as SCENES_SIZES
from chapters.ch05_detection_style.regions import MaskBranch
from chapters.ch05_detection_style.scenes import CLASSES, scenes
from chapters.ch05_detection_style.yolo_v2 import RECIPE
from chapters.kit.data.pictures import read_picture
from chapters.kit.data.training_data import TrainingData
from chapters.script import run_script
from data_tools.errors import UserError

SIDE = 28  # of a mask, stretched to its box, learnt and found


class MaskRCNN(FasterRCNN):
    """Faster R-CNN with a mask branch (figure 5-59) that looks at the boxes found, cut out to 14x14.

    Parameters
    ----------
    mask_filters : int
        Of the branch's convolutions.

    The others, and the input, are those of `FasterRCNN`. Output (N, proposals, 4 + K + K * 28 * 28): boxes, probabilities of
    the classes, of each class the probabilities of the places of its mask.
    """
    def __init__(self, base='squeezenet', step=16, filters=256, anchors=(128.0, 256.0, 512.0), ratios=(0.5, 1.0, 2.0),
                 hidden=256, proposals=300, align=True, classes=20, mask_filters=256, **kwargs):
        super().__init__(base, step, filters, anchors, ratios, hidden, proposals, align, classes, **kwargs)
        with self.name_scope():
            self.branch = MaskBranch(self.classes, mask_filters)

    def masks(self, F, planes, boxes):
        """Logits (N * R, K, 28, 28) of boxes (N, R, 4) in pixels."""
        return self.branch(self.cut_out(F, planes, boxes, SIDE // 2))

    def hybrid_forward(self, F, x):
        planes, found = self.found(F, x)
        boxes = F.broadcast_mul(F.slice_axis(found, axis=2, begin=0, end=4), self.sides(F, planes))
        masks = F.reshape(F.sigmoid(self.masks(F, planes, boxes)), (-4, -1, self.proposals, 0, 0, 0))
        return F.concat(found, F.reshape(masks, (0, 0, -1)), dim=2)

    def parts(self, F, found):
        """Those of `FasterRCNN`, and masks (N, P, K, 28 * 28)."""
        masks = F.slice_axis(found, axis=2, begin=4 + self.classes, end=None)
        return (*super().parts(F, found), F.reshape(masks, (0, 0, -4, self.classes, -1)))


class MaskLoss(RegionLoss):
    """The loss of `RegionLoss`, and the cross-entropy of the places of the masks, of proposals that hold an object, in the
    mask of its class only.

    Objects are (N, M, 9 + 28 * 28): class, box, the box before it was cut off at the picture's edge, the mask within that.
    """
    names = (*RegionLoss.names, 'mask')

    def rest(self, F, planes, boxes, classes, matches, objects):
        number = self._samples // 4  # so many may hold objects
        there = F.topk(classes > 0, axis=1, k=number, ret_typ='indices')  # (N, R)
        images = F.broadcast_like(F.reshape(F.contrib.arange_like(there, axis=0), (-1, 1)), there)
        chosen = F.stack(images, there, axis=0)
        boxes, classes, matches = (F.gather_nd(array, chosen) for array in (boxes, classes, matches))
        masks = self.network.masks(F, planes, boxes)
        own = F.one_hot(F.reshape(classes - 1, (-1,)), self.network.classes)
        logits = F.sum(F.broadcast_mul(masks, F.reshape(own, (0, 0, 1, 1))), axis=1)  # (N * R, 28, 28)
        wanted = F.BlockGrad(self.wanted(F, planes, boxes, images, matches, objects))
        entropy = F.relu(logits) - logits * wanted + F.Activation(-F.abs(logits), act_type='softrelu')
        entropy = F.reshape(F.mean(entropy, axis=(1, 2)), (-4, -1, number))
        counts = classes > 0
        return (F.sum(entropy * counts, axis=1) / F.maximum(F.sum(counts, axis=1), 1),)

    def wanted(self, F, planes, boxes, images, matches, objects):
        """Which places of boxes (N, R, 4) are the object's that matches (N, R) name: (N * R, 28, 28), cut out of its mask."""
        whole = F.gather_nd(F.slice_axis(objects, axis=2, begin=5, end=9), F.stack(images, matches, axis=0))
        whole = F.broadcast_mul(whole, self.network.sides(F, planes))
        corner, far = (F.slice_axis(whole, axis=2, begin=begin, end=begin + 2) for begin in (0, 2))
        scale = SIDE / F.maximum(far - corner, 1e-3)
        places = [(F.slice_axis(boxes, axis=2, begin=begin, end=begin + 2) - corner) * scale for begin in (0, 2)]
        places[1] = F.maximum(places[1], places[0] + 1e-3)
        most = F.max(F.contrib.arange_like(objects, axis=1)) + 1
        number = F.broadcast_add(F.broadcast_mul(images, most), matches)
        masks = F.reshape(F.slice_axis(objects, axis=2, begin=9, end=None), (-1, 1, SIDE, SIDE))
        cut = F.contrib.ROIAlign(F.relu(masks), F.reshape(F.concat(F.expand_dims(number, 2), *places, dim=2), (-1, 5)),
                                 (SIDE, SIDE), 1.0, sample_ratio=2, aligned=True)
        return F.squeeze(cut, axis=1) > 0.5


@dataclass(frozen=True, eq=False)
class OutlinedData(TrainingData):
    """Pictures whose objects have masks.

    `train_y` and `validation_y` are (N, M, 9 + 28 * 28), see `MaskLoss`; `validation_masks` a list of bool (M, H, W), the
    true masks.
    """
    validation_masks: Any = field(default=())


def load_outlined(experiment, name, data_root, seed):
    """Pictures with masks.

    Parameters
    ----------
    name : str
        'scenes', 'nuclei-180' where it is at hand, or a folder or archive with `images/*` and, of the same names,
        `labels/*.png`: 0 for the background, 1, 2, ... one number an object. Two of nine, the last by name, are for validation.

    The others are those of `load_annotated`.

    Returns
    -------
    OutlinedData

    Raises
    ------
    UserError
        Nothing of that name, a picture without labels or with labels of another size, or without any object.
    """
    recipe = experiment.recipe
    shape = (3, recipe.pixels, recipe.pixels) if recipe.pixels else experiment.sample_shape
    if name == 'scenes':
        made = [scenes(number, seed, validation, shape[1]) for number, validation in (
            (recipe.train_samples or SCENES[0], False), (SCENES[1] // 2, True))]
        classes, said = CLASSES, ''
        parts = [(pixels, [rows_of(*both) for both in zip(objects, masks)], masks) for pixels, objects, masks in made]
    else:
        with folder_of(name, data_root, 'pictures with masks: give a folder or archive of images/* with labels/*.png of the '
                       'same names') as folder:
            files = sorted(path for path in Path(folder).glob('images/*') if path.is_file())
            if len(files) < 5:
                raise UserError(f'{name}: give a folder of at least five images/* with labels/*.png of the same names')
            first = len(files) - round(len(files) * 2 / 9)
            parts = [_read(part, shape[1:]) for part in (files[:first][:recipe.train_samples or None], files[first:])]
        classes = ('object',)
        said = f'{name}: {len(parts[0][0])} pictures for training, the last {len(parts[1][0])} to validate'
    (train_x, train_rows, _), (validation_x, validation_rows, masks) = parts
    most = max(map(len, (*train_rows, *validation_rows)))
    return OutlinedData(name, train_x, padded(train_rows, most), validation_x, padded(validation_rows, most), classes,
                        scale=experiment.scale, said=said, validation_masks=masks)


def rows_of(objects, masks):
    """(M, 5) and bool (M, H, W) as (M, 9 + 28 * 28): each mask within its box."""
    rows = np.empty((len(objects), 9 + SIDE * SIDE), np.float32)
    height, width = masks.shape[1:]
    for row, thing, mask in zip(rows, objects, masks):
        left, top, right, bottom = np.round(thing[1:] * np.tile((width, height), 2)).astype(int)
        inside = cv2.resize(mask[top:bottom, left:right].astype(np.float32), (SIDE, SIDE), interpolation=cv2.INTER_LINEAR)
        row[:5], row[5:9], row[9:] = thing, thing[1:], inside.reshape(-1)
    return rows


def _read(files, size):
    """(uint8 (N, 3, H, W), list of rows, list of bool (M, H, W)) of pictures and their labels, brought to one size."""
    pixels, rows, masks = [], [], []
    for path in files:
        picture = read_picture(path, 3)
        label = path.parents[1] / 'labels' / f'{path.stem}.png'
        numbers = cv2.imread(str(label), cv2.IMREAD_UNCHANGED) if label.is_file() else None
        if numbers is None or numbers.shape != picture.shape[:2]:
            raise UserError(f'{label}: give a gray PNG of {picture.shape[1]}x{picture.shape[0]}, the size of {path.name}')
        there = np.unique(numbers[numbers > 0])
        if not len(there):
            raise UserError(f'{label}: no object there; leave {path.name} out')
        numbers = cv2.resize(numbers, tuple(size[::-1]), interpolation=cv2.INTER_NEAREST)
        found = numbers[None] == there[:, None, None]
        found = found[found.any(axis=(1, 2))]
        edges = [[line[0][0], column[0][0], line[0][-1] + 1, column[0][-1] + 1] for line, column in (
            (np.nonzero(mask.any(axis=0)), np.nonzero(mask.any(axis=1))) for mask in found)]
        objects = np.insert(np.array(edges, np.float32) / np.tile(size[::-1], 2), 0, 0, axis=1).astype(np.float32)
        pixels.append(to_size(picture, size))
        rows.append(rows_of(objects, found))
        masks.append(found)
    return np.stack(pixels), rows, masks


def mask_overlaps(found, masks):
    """IoU of what was found (P, 6 + 28 * 28) and true masks (M, H, W): (P, M)."""
    size = masks.shape[1:]
    areas, overlaps = masks.sum(axis=(1, 2)), np.zeros((len(found), len(masks)))
    for number, row in enumerate(found):
        (top, left), inside = pasted(row, size)
        both = masks[:, top:top + inside.shape[0], left:left + inside.shape[1]][:, inside].sum(axis=1)
        overlaps[number] = both / np.maximum(areas + inside.sum() - both, 1)
    return overlaps


def mask_precision(found, objects, masks, threshold=0.5):
    """Mean over the classes of the average precision of masks, by the area under precision over recall.

    Parameters
    ----------
    found : numpy.ndarray, (N, P, 6 + 28 * 28)
        As `detect` gives it.
    objects : numpy.ndarray, (N, M, 5 or more)
        Of the truth, filled up with -1.
    masks : list of numpy.ndarray of bool, (M, H, W)
    threshold : float
        IoU of two masks from which on an object counts as found, by the surest that reaches it and is not another's.

    Returns
    -------
    float
    """
    said, numbers = {}, {}
    for rows, things, true in zip(found, objects, masks):
        rows, labels = rows[rows[:, 0] >= 0], things[things[:, 0] >= 0, 0]
        overlaps, taken = mask_overlaps(rows, true), np.zeros(len(labels), bool)
        for label in labels:
            numbers[label] = numbers.get(label, 0) + 1
        for place in np.argsort(-rows[:, 1], kind='stable'):
            free = np.where((labels == rows[place, 0]) & ~taken, overlaps[place], -1)
            right = len(free) > 0 and free.max() >= threshold
            if right:
                taken[free.argmax()] = True
            said.setdefault(rows[place, 0], []).append((rows[place, 1], right))
    return float(np.mean([_area(np.array(said.get(label, np.zeros((0, 2)))), number) for label, number in numbers.items()]))


def _area(said, number):
    """Area under precision over recall of (score, right) (P, 2), where there are `number` to be found."""
    right = np.cumsum(said[np.argsort(-said[:, 0], kind='stable'), 1])
    precision = right / np.arange(1, len(right) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # at that recall or a higher one
    return float((best * np.diff(right, prepend=0)).sum() / number)


@dataclass(frozen=True)
class Segmentation(TwoStages):
    """A `Detection` that gives masks too."""
    loader: Callable = load_outlined

    def measures(self, found, data):
        return {**super().measures(found, data),
                'mask_AP': mask_precision(found, data.validation_y, data.validation_masks)}


# Nuclei are 13 pixels across: pictures are doubled, and a quarter of one is looked at in training.
NUCLEI = {'step': 8, 'filters': 128, 'hidden': 128, 'anchors': (16.0, 32.0, 64.0), 'proposals': 200, 'mask_filters': 32,
          'classes': 1}
NUCLEI_RECIPE = CELLS_RECIPE.but(epochs=4, samples_per_epoch=360,
                                 augmentation='mirror smallest=1.6 largest=2.4 saturation=40 lightness=30',
                                 fresh=CELLS_RECIPE.fresh + ' branch')

EXPERIMENTS = [
    Segmentation('5.7.4', 'Mask R-CNN outlines digits on a canvas', 'Mask R-CNN：描出画布上的数字', network=MaskRCNN,
                 loss=MaskLoss, sizes={**SCENES_SIZES, 'mask_filters': 32}, data='scenes', sample_shape=(3, 96, 96),
                 recipe=RECIPE.but(batch_size=8)),
    Segmentation('5.7.4-nuclei', 'Mask R-CNN on SqueezeNet outlines the nuclei of cells',
                 'Mask R-CNN（以 SqueezeNet 为底）描出细胞核', network=MaskRCNN, loss=MaskLoss,
                 sizes={**NUCLEI, 'scales': (50,)}, data='nuclei-180', sample_shape=(3, 512, 512), recipe=NUCLEI_RECIPE),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
