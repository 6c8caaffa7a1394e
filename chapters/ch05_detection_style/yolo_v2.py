"""Section 5.7.2: YOLO v2, and what makes it better than YOLO v1 (table 5-11).

    python -m chapters.ch05_detection_style.yolo_v2 --epochs 8

Redmon, Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017 (https://arxiv.org/abs/1612.08242).
"""
import mxnet as mx
import numpy as np
from gluoncv.nn.bbox import BBoxBatchIOU
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.darknet import STAGES
from chapters.ch05_deep_cnn.layers import batch_norm, choose, padded_convolution
from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
from chapters.ch05_detection_style import yolo
from chapters.ch05_detection_style.detector import Detection
from chapters.ch05_detection_style.yolo import COORDINATES, NO_OBJECT, constants, corners, overlap, places, shape_overlaps
from chapters.kit.experiment import figures_of
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools.errors import UserError

# Stages of convolutions (filters, kernel) with a pooling 2x2 between; the passthrough starts before the last pooling.
BASES = {'darknet19': STAGES['19'],
         'small': [[(16, 3)], [(32, 3)], [(64, 3)], [(96, 3)], [(128, 3)]],
         'small-darknet': [[(16, 3)], [(32, 3)], [(64, 3), (32, 1), (64, 3)], [(96, 3), (48, 1), (96, 3)],
                           [(128, 3), (64, 1), (128, 3)]]}
# Widths and heights in cells, width after height, of the authors for Pascal VOC; and of nobody's data, as Faster R-CNN
# chooses them: two areas, three proportions less one.
VOC_SHAPES = (1.3221, 1.73145, 3.19275, 4.00944, 5.05587, 8.09892, 9.47112, 4.84053, 11.2364, 10.0071)
HAND_SHAPES = (2.0, 2.0, 1.4, 2.8, 2.8, 1.4, 5.0, 5.0, 3.5, 7.0)
_LAST_POOLING = 7  # the number of that layer in SqueezeNet 1.1
_SURE = 0.6  # a box that overlaps an object so much is not told that there is none


def convolution(filters, kernel, normalised=True):
    """C, batch normalisation (improvement 1), leaky ReLU of slope 0.1: a list of layers."""
    return [padded_convolution(filters, kernel, use_bias=not normalised), *[batch_norm()] * normalised, nn.LeakyReLU(0.1)]


@mx.init.register
class Rare(mx.init.Initializer):
    """Biases of the last convolution: the confidences of all boxes begin at 5%, so that the many that have no object do not
    drown the few that have. Lin et al., "Focal loss for dense object detection", 2017 (https://arxiv.org/abs/1708.02002).
    """
    def __init__(self, boxes=1, confidence=0.05):
        super().__init__(boxes=boxes, confidence=confidence)
        self._boxes, self._bias = boxes, float(np.log(confidence / (1 - confidence)))

    def _init_weight(self, name, array):
        values = np.zeros((self._boxes, array.size // self._boxes), np.float32)
        values[:, 4] = self._bias
        array[:] = values.reshape(-1)


class SqueezeBase(gluon.HybridBlock):
    """The layers of SqueezeNet 1.1 up to 512 planes, (N, 3, H, W) -> (N, 512, H / 16, W / 16).

    SqueezeNet does not pad, its poolings reach beyond the edge. 7 pixels more at the left and 8 at the right give one place
    for each 16 pixels, whose centre is theirs.

    Parameters
    ----------
    finer : bool
        Also return the 256 planes before the last pooling, (N, 256, H / 8 + 1, W / 8 + 1): their places look at the corners
        of squares of 8 pixels.
    """
    def __init__(self, finer=False, **kwargs):
        super().__init__(**kwargs)
        self._finer = finer
        with self.name_scope():
            self.features = SqueezeNet('1.1', dropout=0.0).features

    def hybrid_forward(self, F, x):
        x = F.pad(x, mode='edge', pad_width=(0, 0, 0, 0, 7, 8, 7, 8))
        if not self._finer:
            return self.features(x)
        for layer in self.features[:_LAST_POOLING]:
            x = layer(x)
        coarse = x
        for layer in self.features[_LAST_POOLING:]:
            coarse = layer(coarse)
        return x, coarse


class YOLOv2(gluon.HybridBlock):
    """A base, three 3x3 convolutions beside which the passthrough brings in finer planes, 1x1 to B x (5 + K) planes.

    Parameters
    ----------
    base : str
        'darknet19', 'small', 'small-darknet', or 'squeezenet' with what ImageNet has taught it (`--init zoo`).
    filters : int
        Of the three convolutions.
    passthrough : bool
        Whether the planes before the last pooling are also seen, four places of each as four planes (improvement 8).
    squeezed : int
        Planes to which a 1x1 convolution first reduces these; 0: all, as in the paper.
    classes : int
    shapes : tuple of float
        Width and height in cells of each typical box, one after the other. Empty: found by k-means among the boxes to train
        on (improvement 6), `boxes` of them.
    boxes : int
        Predicted by each cell.
    normalised : bool
        With batch normalisation (improvement 1).
    direct : bool
        Centres stay within their cell: x = (sigmoid(t) + column) (improvement 7); else x = column + 1/2 + t x width of the
        typical box, as Faster R-CNN has it.

    Input (N, 3, H, W), H and W multiples of `stride`; output (N, B * (5 + K), H / stride, W / stride).
    """
    def __init__(self, base='darknet19', filters=1024, passthrough=True, squeezed=0, classes=20, shapes=VOC_SHAPES, boxes=5,
                 normalised=True, direct=True, **kwargs):
        super().__init__(**kwargs)
        self.classes, self.direct = classes, direct
        if len(shapes) % 2:
            raise UserError(f'shapes={shapes}: give pairs, a width and a height for each')
        self.shapes = np.reshape(shapes or HAND_SHAPES[:2] * boxes, (-1, 2))
        self.boxes = len(self.shapes)
        with self.name_scope():
            self.fine, self.coarse = nn.HybridSequential(), nn.HybridSequential()
            if base == 'squeezenet':
                self.stride, stages = 32, [[]]
                self.fine.add(SqueezeBase())
            else:
                stages = choose({**BASES, 'squeezenet': None}, 'base', base)
                self.stride = 2 ** (len(stages) - 1)
            for number, stage in enumerate(stages):
                into = self.coarse if number == len(stages) - 1 else self.fine
                if number or base == 'squeezenet':
                    into.add(nn.MaxPool2D())
                for planes, kernel in stage:
                    into.add(*convolution(planes, kernel, normalised))
            for _ in range(2):
                self.coarse.add(*convolution(filters, 3, normalised))
            self.beside = nn.HybridSequential()
            if passthrough and squeezed:
                self.beside.add(*convolution(squeezed, 1, normalised))
            self.last = nn.HybridSequential()
            self.last.add(*convolution(filters, 3, normalised))
            self.output = nn.Conv2D(self.boxes * (5 + classes), 1, bias_initializer=Rare(self.boxes))
        self._passthrough = passthrough

    def hybrid_forward(self, F, x):
        fine = self.fine(x)
        coarse = self.coarse(fine)
        if self._passthrough:
            coarse = F.concat(F.space_to_depth(self.beside(fine), block_size=2), coarse, dim=1)
        return self.output(self.last(coarse))

    def load_zoo(self, fresh=()):
        """Begin with what ImageNet has taught SqueezeNet, where it is the base."""
        from chapters.ch05_deep_cnn.pretrained import load_zoo
        from data_tools.errors import UserError
        if not isinstance(self.fine[0], SqueezeBase):
            raise UserError('--init zoo: is known for base=squeezenet only')
        load_zoo(self.fine[0].features)

    def raw(self, F, planes):
        """Planes (N, B * (5 + K), H, W) as four times (N, B, H, W), before any function: x, y, width, height; the confidence
        alike; the classes (N, B, K, H, W).
        """
        planes = F.reshape(planes, shape=(0, -4, self.boxes, -1, 0, 0))
        numbers = [F.squeeze(F.slice_axis(planes, axis=2, begin=number, end=number + 1), axis=2) for number in range(5)]
        return (*numbers, F.slice_axis(planes, axis=2, begin=5, end=None))

    def parts(self, F, planes):
        """Boxes (N, A, 4) in parts of the picture, confidences (N, A), probabilities (N, A, K); A = B * H * W."""
        x, y, width, height, confidence, classes = self.raw(F, planes)
        columns, rows, across, down = places(F, planes)
        wide, high = (constants(F, side) for side in self.shapes.T)
        x, y = (F.sigmoid(x), F.sigmoid(y)) if self.direct else (
            0.5 + F.broadcast_mul(x, wide), 0.5 + F.broadcast_mul(y, high))
        wide, high = (F.broadcast_mul(F.exp(F.clip(t, -8, 8)), side) for t, side in ((width, wide), (height, high)))
        boxes = corners(F, *(F.broadcast_div(value, size) for value, size in (
            (F.broadcast_add(x, columns), across), (F.broadcast_add(y, rows), down), (wide, across), (high, down))))
        probabilities = F.reshape(F.softmax(classes, axis=2).transpose((0, 1, 3, 4, 2)), shape=(0, -1, self.classes))
        return boxes, F.reshape(F.sigmoid(confidence), shape=(0, -1)), probabilities


class YOLOv2Loss(gluon.HybridBlock):
    """The sum of squares of YOLO v1 in YOLO v2's coordinates, cross-entropy for the classes of each box.

    The paper prints no loss; it keeps YOLO v1's but for what its improvements change. For the box of an object (its cell,
    the shape nearest to it): 5 [(sigmoid(tx) - x)^2 + (sigmoid(ty) - y)^2 + (tw - log(w / pw))^2 + (th - log(h / ph))^2]
    + (sigmoid(to) - IoU)^2 - log p(class). For any other: 0.5 sigmoid(to)^2, unless it overlaps an object by more than 0.6.

    Parameters
    ----------
    network : YOLOv2

    Input: planes (N, B * (5 + K), H, W); targets (N, 6, B, H, W) of `targets`; objects (N, M, 5) with rows of -1.
    Output: four (N,): of coordinates, of confidences where there is an object, where there is none, of classes.
    """
    names = yolo.LOSSES

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network, self._all_overlaps = network, BBoxBatchIOU()

    def targets(self, objects, size):
        """What the boxes of one picture should be.

        Parameters
        ----------
        objects : numpy.ndarray, (M, 5)
            Class, left, top, right, bottom in parts of the picture.
        size : (int, int)
            Height and width of the picture.

        Returns
        -------
        numpy.ndarray of float32, (6, B, H, W)
            Whether a box is an object's; x and y within the cell; width and height in cells; the class. An object whose
            best shape is taken by another of the same cell has the next best.
        """
        network = self.network
        down, across = size[0] // network.stride, size[1] // network.stride
        found = np.zeros((6, network.boxes, down, across), np.float32)
        edges = objects[:, 1:] * np.tile((across, down), 2)
        centres, sizes = (edges[:, :2] + edges[:, 2:]) / 2, edges[:, 2:] - edges[:, :2]
        overlaps = shape_overlaps(sizes, network.shapes)
        for number in np.argsort(-overlaps.max(axis=1, initial=0)):
            column, row = np.minimum(centres[number].astype(int), (across - 1, down - 1))
            free = [shape for shape in np.argsort(-overlaps[number]) if not found[0, shape, row, column]]
            if free:
                found[:, free[0], row, column] = 1, *(centres[number] - (column, row)), *sizes[number], objects[number, 0]
        return found

    def hybrid_forward(self, F, planes, targets, objects):
        network = self.network
        own, x, y, width, height, classes = (
            F.squeeze(part, axis=1) for part in F.split(targets, num_outputs=6, axis=1))
        tx, ty, tw, th, _, logits = network.raw(F, planes)
        boxes, confidence, _ = network.parts(F, planes)
        boxes = F.BlockGrad(boxes)
        columns, rows, across, down = places(F, planes)
        wide, high = (constants(F, side) for side in network.shapes.T)
        if network.direct:
            offsets = F.sigmoid(tx) - x, F.sigmoid(ty) - y
        else:
            offsets = tx - F.broadcast_div(x - 0.5, wide), ty - F.broadcast_div(y - 0.5, high)
        scales = (t - F.log(F.maximum(F.broadcast_div(side, typical), 1e-3))
                  for t, side, typical in ((tw, width, wide), (th, height, high)))
        squares = F.add_n(*(F.square(difference) for difference in (*offsets, *scales)))
        truth = corners(F, *(F.broadcast_div(value, by) for value, by in (
            (F.broadcast_add(x, columns), across), (F.broadcast_add(y, rows), down), (width, across), (height, down))))
        own_flat = F.reshape(own, shape=(0, -1))
        met = F.max(self._all_overlaps(boxes, F.slice_axis(objects, axis=2, begin=1, end=5)), axis=2)
        with_object = own_flat * F.square(confidence - overlap(F, boxes, truth))
        without = (1 - own_flat) * (met < _SURE) * F.square(confidence)
        entropy = -F.pick(F.log_softmax(logits, axis=2), classes, axis=2)
        return (COORDINATES * F.sum(own * squares, axis=(1, 2, 3)), F.sum(with_object, axis=1),
                NO_OBJECT * F.sum(without, axis=1), F.sum(own * entropy, axis=(1, 2, 3)))


SMALL = {'base': 'small', 'filters': 128, 'squeezed': 32, 'classes': 10, 'shapes': ()}
RECIPE = Recipe(epochs=12, batch_size=16, optimizer='muon', learning_rate=0.03, momentum=0.9, weight_decay=5e-4, decline=0.9,
                warmup_epochs=0.2, initializer='msra(avg,0.1)', augmentation='smallest=0.8 largest=1.2 lightness=30')
# The first layers of SqueezeNet stay as ImageNet has made them, the others learn slowly.
CELLS = RECIPE.but(epochs=16, batch_size=4, learning_rate=0.015, warmup_epochs=0.5, old_rate=0.3,
                   frozen='fine.0.features.0 fine.0.features.2 fine.0.features.3', fresh='coarse beside last output',
                   augmentation='mirror smallest=0.8 largest=1.3 saturation=30 lightness=30')
CELLS_SMALL = RECIPE.but(epochs=40, batch_size=4, learning_rate=0.015, warmup_epochs=1.2, augmentation=CELLS.augmentation)
VOC = Recipe(epochs=160, batch_size=64, learning_rate=0.001, momentum=0.9, weight_decay=5e-4, lr_factor=0.1, lr_every=60,
             initializer='msra(avg,0.1)', augmentation='mirror smallest=0.8 largest=1.2 saturation=50 lightness=40')

EXPERIMENTS = [
    Detection('5.7.2', 'YOLO v2 finds digits on a canvas', 'YOLO v2：在画布上找数字', network=YOLOv2, loss=YOLOv2Loss,
              sizes=SMALL, data='scenes', sample_shape=(3, 96, 96), recipe=RECIPE),
    Detection('5.7.2-cells', 'YOLO v2 on SqueezeNet finds blood cells', 'YOLO v2（以 SqueezeNet 为底）找血细胞', network=YOLOv2,
              loss=YOLOv2Loss, sizes={'base': 'squeezenet', 'filters': 256, 'squeezed': 64, 'classes': 3, 'shapes': ()},
              data='bccd', sample_shape=(3, 256, 352), recipe=CELLS),
    Detection('5.7.2-cells-small', 'The small YOLO v2 finds blood cells', 'YOLO v2 小网络找血细胞', network=YOLOv2,
              loss=YOLOv2Loss, sizes={**SMALL, 'classes': 3}, data='bccd', sample_shape=(3, 256, 352),
              recipe=CELLS_SMALL),
    Detection('5.7.2-voc', 'YOLO v2 as printed', 'YOLO v2，与书中相同', network=YOLOv2, loss=YOLOv2Loss, data='voc',
              sample_shape=(3, 416, 416), recipe=VOC, book=figures_of(validation_mAP=0.768, data='voc')),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
