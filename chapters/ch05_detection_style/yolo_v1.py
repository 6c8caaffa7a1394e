"""Section 5.7.1: YOLO v1, a picture in 7x7 cells, each of which names a class and two boxes.

    python -m chapters.ch05_detection_style.yolo_v1

Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", CVPR 2016
(https://arxiv.org/abs/1506.02640).
"""
import numpy as np
from mxnet import gluon, init
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, choose, padded_convolution
from chapters.ch05_detection_style.detector import Detection
from chapters.ch05_detection_style.yolo import COORDINATES, LOSSES, NO_OBJECT, corners, overlap, places
from chapters.ch05_detection_style.yolo_v2 import RECIPE
from chapters.kit.experiment import figures_of
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script

# Of each layer (filters, kernel, stride); 0: max pooling 2x2. Then the units of the hidden dense layer. Figure 5-52.
NETWORKS = {
    'yolo': ([(64, 7, 2), 0, (192, 3, 1), 0, (128, 1, 1), (256, 3, 1), (256, 1, 1), (512, 3, 1), 0,
              *[(256, 1, 1), (512, 3, 1)] * 4, (512, 1, 1), (1024, 3, 1), 0, *[(512, 1, 1), (1024, 3, 1)] * 2, (1024, 3, 1),
              (1024, 3, 2), (1024, 3, 1), (1024, 3, 1)], 4096),
    'small': ([(16, 3, 1), 0, (32, 3, 1), 0, (64, 3, 1), 0, (96, 3, 1), 0, (128, 3, 1), (128, 3, 1)], 512),
}


class YOLOv1(gluon.HybridBlock):
    """Convolutions with leaky ReLU, two dense layers, B x 5 + K numbers for each of S x S cells.

    Parameters
    ----------
    layers : str
        'yolo', the 24 convolutions of figure 5-52, for 448x448; or 'small'.
    cells : int
        S: the picture is cut into S x S.
    boxes : int
        B, of each cell.
    classes : int
        K.
    normalised : bool
        With batch normalisation, which is improvement 1 of YOLO v2.
    dropout : float

    Input (N, 3, H, W), output (N, B * 5 + K, S, S): of each box x and y within the cell, the roots of width and height in
    parts of the picture, the confidence; then the classes.
    """
    def __init__(self, layers='yolo', cells=7, boxes=2, classes=20, normalised=False, dropout=0.5, **kwargs):
        super().__init__(**kwargs)
        self.cells, self.boxes, self.classes = cells, boxes, classes
        convolutions, hidden = choose(NETWORKS, 'layers', layers)
        self.stride = 1  # the dense layers fix the size of pictures, whatever it is
        with self.name_scope():
            self.features = nn.HybridSequential()
            for layer in convolutions:
                if layer:
                    self.features.add(padded_convolution(*layer, use_bias=not normalised), *[batch_norm()] * normalised,
                                      nn.LeakyReLU(0.1))
                else:
                    self.features.add(nn.MaxPool2D())
            # small first weights: after batch normalisation large ones would give boxes many times the picture's size
            self.dense = nn.HybridSequential()
            self.dense.add(nn.Dense(hidden), nn.LeakyReLU(0.1), nn.Dropout(dropout),
                           nn.Dense(cells * cells * (boxes * 5 + classes), weight_initializer=init.Normal(0.01)))

    def hybrid_forward(self, F, x):
        return F.reshape(self.dense(self.features(x)), shape=(0, -1, self.cells, self.cells))

    def raw(self, F, planes):
        """x, y, root of width, root of height, confidence, each (N, B, S, S); classes (N, K, S, S)."""
        boxes = F.reshape(F.slice_axis(planes, axis=1, begin=0, end=5 * self.boxes), shape=(0, -4, self.boxes, 5, 0, 0))
        numbers = [F.squeeze(F.slice_axis(boxes, axis=2, begin=number, end=number + 1), axis=2) for number in range(5)]
        return (*numbers, F.slice_axis(planes, axis=1, begin=5 * self.boxes, end=None))

    def parts(self, F, planes):
        """Boxes (N, A, 4) in parts of the picture, confidences (N, A), classes (N, A, K); A = B * S * S."""
        x, y, wide, high, confidence, classes = self.raw(F, planes)
        columns, rows, across, down = places(F, planes)
        boxes = corners(F, F.broadcast_div(F.broadcast_add(x, columns), across),
                        F.broadcast_div(F.broadcast_add(y, rows), down), F.square(wide), F.square(high))
        classes = F.expand_dims(F.reshape(classes, shape=(0, 0, -1)).transpose((0, 2, 1)), axis=1)
        classes = F.reshape(F.broadcast_axis(classes, axis=1, size=self.boxes), shape=(0, -3, 0))
        return boxes, F.reshape(confidence, shape=(0, -1)), classes


class YOLOv1Loss(gluon.HybridBlock):
    """Formula 3 of the paper: sums of squares.

    In a cell that holds an object the box that overlaps it most is responsible for it: 5 [(x - x')^2 + (y - y')^2
    + (sqrt(w) - sqrt(w'))^2 + (sqrt(h) - sqrt(h'))^2] + (C - IoU)^2; every other box: 0.5 C^2; and (p - p')^2 over the
    classes of the cell.

    Parameters
    ----------
    network : YOLOv1

    Input: planes (N, B * 5 + K, S, S); targets (N, 6, S, S) of `targets`; objects, not needed. Output: four (N,): of
    coordinates, of confidences where there is an object, where there is none, of classes.
    """
    names = LOSSES

    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network

    def targets(self, objects, size):
        """What the cells of one picture should be: float32 (6, S, S).

        Whether a cell holds the centre of an object (the largest, if several); x and y within the cell; width and height
        in parts of the picture; the class. `objects`: (M, 5); `size` does not matter.
        """
        cells = self.network.cells
        found = np.zeros((6, cells, cells), np.float32)
        centres, sizes = (objects[:, 1:3] + objects[:, 3:]) / 2 * cells, objects[:, 3:] - objects[:, 1:3]
        for number in np.argsort(sizes.prod(axis=1)):
            column, row = np.minimum(centres[number].astype(int), cells - 1)
            found[:, row, column] = 1, *(centres[number] - (column, row)), *sizes[number], objects[number, 0]
        return found

    def hybrid_forward(self, F, planes, targets, objects):
        network = self.network
        own, x, y, width, height, label = F.split(targets, num_outputs=6, axis=1)  # (N, 1, S, S)
        tx, ty, wide, high, confidence, classes = network.raw(F, planes)
        columns, rows, across, down = places(F, planes)
        truth = corners(F, F.broadcast_div(F.broadcast_add(x, columns), across),
                        F.broadcast_div(F.broadcast_add(y, rows), down), width, height)  # (N, S * S, 4)
        truth = F.reshape(F.broadcast_axis(F.expand_dims(truth, axis=1), axis=1, size=network.boxes), shape=(0, -3, 0))
        met = F.BlockGrad(F.reshape(overlap(F, network.parts(F, planes)[0], truth),
                                    shape=(-1, network.boxes, network.cells, network.cells)))
        best = F.one_hot(F.argmax(met, axis=1), depth=network.boxes).transpose((0, 3, 1, 2))
        mine = F.broadcast_mul(best, own)
        squares = F.add_n(*(F.square(F.broadcast_sub(said, true)) for said, true in (
            (tx, x), (ty, y), (wide, F.sqrt(width)), (high, F.sqrt(height)))))
        wanted = F.one_hot(F.squeeze(label, axis=1), depth=network.classes).transpose((0, 3, 1, 2))
        return (COORDINATES * F.sum(mine * squares, axis=(1, 2, 3)),
                F.sum(mine * F.square(confidence - met), axis=(1, 2, 3)),
                NO_OBJECT * F.sum((1 - mine) * F.square(confidence), axis=(1, 2, 3)),
                F.sum(F.broadcast_mul(own, F.square(classes - wanted)), axis=(1, 2, 3)))


VOC = Recipe(epochs=135, batch_size=64, learning_rate=0.01, momentum=0.9, weight_decay=5e-4, lr_factor=0.1, lr_every=75,
             warmup_epochs=1, initializer='msra(avg,0.1)',
             augmentation='mirror smallest=0.8 largest=1.2 saturation=50 lightness=40')

EXPERIMENTS = [
    Detection('5.7.1', 'YOLO v1 as printed', 'YOLO v1，与书中相同', network=YOLOv1, loss=YOLOv1Loss, data='voc',
              sample_shape=(3, 448, 448), recipe=VOC, book=figures_of(validation_mAP=0.634, data='voc')),
    Detection('5.7.1-scenes', 'YOLO v1 finds digits on a canvas', 'YOLO v1：在画布上找数字', network=YOLOv1, loss=YOLOv1Loss,
              sizes={'layers': 'small', 'cells': 6, 'classes': 10, 'normalised': True, 'dropout': 0.2}, data='scenes',
              sample_shape=(3, 96, 96), recipe=RECIPE),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
