"""What YOLO v1 and v2 share (5.7.1, 5.7.2): boxes out of planes, shapes of boxes by k-means, and the loss's frame.

Redmon, Divvala, Girshick, Farhadi, "You only look once: unified, real-time object detection", CVPR 2016
(https://arxiv.org/abs/1506.02640); Redmon, Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017
(https://arxiv.org/abs/1612.08242).

A network gives planes (N, ..., H, W), a cell of the picture being a place of them. Its `parts(F, planes)` takes them apart:
boxes (N, A, 4) of left, top, right, bottom in parts of the picture; confidences (N, A); probabilities of classes (N, A, K).
"""
import numpy as np
from mxnet import gluon

from chapters.kit.training.precision import lowered

COORDINATES, NO_OBJECT = 5.0, 0.5  # the two weights of YOLO v1's loss
LOSSES = 'box', 'object', 'background', 'class'  # of the loss of either


def places(F, planes):
    """Numbers of the column (1, 1, 1, W) and of the row (1, 1, H, 1) of every cell, and how many there are, likewise."""
    across, down = F.contrib.arange_like(planes, axis=3), F.contrib.arange_like(planes, axis=2)
    columns, rows = F.reshape(across, shape=(1, 1, 1, -1)), F.reshape(down, shape=(1, 1, -1, 1))
    return columns, rows, F.max(columns, keepdims=True) + 1, F.max(rows, keepdims=True) + 1


def constants(F, values):
    """Numbers, one for each of B typical boxes: (1, B, 1, 1)."""
    return F.concat(*(float(value) * F.ones((1, 1, 1, 1)) for value in values), dim=1)


def corners(F, x, y, width, height):
    """Boxes of centres and sides (N, B, H, W) as left, top, right, bottom: (N, B * H * W, 4)."""
    edges = F.stack(x - width / 2, y - height / 2, x + width / 2, y + height / 2, axis=-1)
    return F.reshape(edges, shape=(0, -1, 4))


def overlap(F, one, other):
    """Intersection over union of boxes (..., 4) of one array with those at the same places of the other: (...)."""
    def edge(boxes, number):
        return F.squeeze(F.slice_axis(boxes, axis=-1, begin=number, end=number + 1), axis=-1)
    sides = [F.relu(F.minimum(edge(one, number + 2), edge(other, number + 2))
                    - F.maximum(edge(one, number), edge(other, number))) for number in (0, 1)]
    areas = [(edge(boxes, 2) - edge(boxes, 0)) * (edge(boxes, 3) - edge(boxes, 1)) for boxes in (one, other)]
    both = sides[0] * sides[1]
    return both / (areas[0] + areas[1] - both + 1e-12)


def box_shapes(sizes, number, seed=0, rounds=100):
    """Typical widths and heights by k-means, the distance of two boxes with a common centre being 1 - IoU (improvement 6).

    Parameters
    ----------
    sizes : numpy.ndarray, (N, 2)
        Widths and heights in any unit.
    number : int
        How many shapes.
    seed : int
    rounds : int
        At most.

    Returns
    -------
    (shapes, mean_overlap) : (numpy.ndarray (number, 2), float)
        From the smallest area to the largest; and the mean IoU of a box with the shape nearest to it.
    """
    random, sizes = np.random.default_rng(seed), np.asarray(sizes, float)
    shapes = sizes[random.choice(len(sizes), number, replace=len(sizes) < number)]
    nearest = None
    for _ in range(rounds):
        overlaps = shape_overlaps(sizes, shapes)
        before, nearest = nearest, overlaps.argmax(axis=1)
        if before is not None and (before == nearest).all():
            break
        shapes = np.stack([sizes[nearest == one].mean(axis=0) if (nearest == one).any()
                           else sizes[overlaps.max(axis=1).argmin()] for one in range(number)])
    return shapes[shapes.prod(axis=1).argsort()], float(shape_overlaps(sizes, shapes).max(axis=1).mean())


def shape_overlaps(sizes, shapes):
    """IoU of boxes (N, 2) and shapes (K, 2) that have their centres in common: (N, K)."""
    both = np.minimum(sizes[:, None], shapes[None]).prod(axis=2)
    return both / (sizes.prod(axis=1)[:, None] + shapes.prod(axis=1)[None] - both)


class DetectionObjective(gluon.HybridBlock):
    """A network of detection with its loss, as the training steps take it.

    Parameters
    ----------
    network : HybridBlock, initialized
    loss : HybridBlock
        `loss(planes, targets, objects) -> four (N,)`: of coordinates, of confidences with and without object, of classes.
    dtype : str
        As a recipe has it.

    Returns
    -------
    loss : (N,), of a call with pixels, targets, objects
    statistics : (5, N)
        The loss and its four parts.
    """
    def __init__(self, network, loss, dtype='float32', **kwargs):
        super().__init__(**kwargs)
        self.network, self.loss, self.dtype = network, loss, dtype
        self._compute = lowered(network, dtype)

    def parts(self, x, targets, objects):
        """The parts of the loss, (N,) each."""
        return self.loss(self._compute(x), targets, objects)

    def hybrid_forward(self, F, x, targets, objects):
        parts = self.parts(x, targets, objects)
        total = F.add_n(*parts)
        return total, F.stack(*map(F.BlockGrad, (total, *parts)))


class Boxes(gluon.HybridBlock):
    """A trained network with what makes boxes of its planes: what is exported for other programs.

    Parameters
    ----------
    network : HybridBlock

    Input (N, 3, H, W); output: boxes (N, A, 4) of left, top, right, bottom in parts of the picture; their scores of every
    class (N, A, K), confidence x probability; and what `parts` gives beyond its three.
    """
    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.network = network

    def hybrid_forward(self, F, x):
        boxes, confidence, classes, *more = self.network.parts(F, self.network(x))
        scores = F.broadcast_mul(F.expand_dims(confidence, axis=2), classes)
        return (F.identity(boxes, name='boxes'), F.identity(scores, name='scores'), *more)


class Detector(gluon.HybridBlock):
    """A trained network with `Boxes`, then non-maximum suppression within each class, by MXNet's `box_nms`.

    Parameters
    ----------
    network : HybridBlock
    overlap : float
        IoU above which the less sure of two boxes of a class is dropped.
    least : float
        Score under which nothing is kept.
    most : int
        Boxes a picture; four times as many are looked at. 0: 100, or as many as a network makes proposals.

    Input (N, 3, H, W); output (N, A * K, 6): class, score, left, top, right, bottom in parts of the picture; the surest
    first, then rows of -1. What `parts` gives beyond the three, (N, A, K, E), follows in each row.
    """
    def __init__(self, network, overlap=0.45, least=0.01, most=0, **kwargs):
        super().__init__(**kwargs)
        self.network, self.most = network, most or getattr(network, 'proposals', 100)
        self.boxes = Boxes(network)
        self._settings = dict(overlap_thresh=overlap, valid_thresh=least, topk=4 * self.most, coord_start=2, score_index=1,
                              id_index=0)

    def hybrid_forward(self, F, x):
        boxes, scores, *more = self.boxes(x)
        numbers = F.broadcast_like(F.reshape(F.contrib.arange_like(scores, axis=2), shape=(1, 1, -1)), scores)
        edges = F.broadcast_axis(F.expand_dims(boxes, axis=2), axis=2, size=self.network.classes)  # (N, A, K, 4)
        found = F.concat(F.stack(numbers, scores, axis=-1), edges, *more, dim=-1)
        return F.contrib.box_nms(F.reshape(found, shape=(0, -3, 0)), **self._settings)
