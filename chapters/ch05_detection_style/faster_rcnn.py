"""Section 5.7.3: Faster R-CNN: proposals of where something is, then what it is.

    python -m chapters run 5.7.3

Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal networks", 2015
(https://arxiv.org/abs/1506.01497). Anchors, proposals and the samplers of both stages are GluonCV's; `regions.py` has the
book's numbers.
"""
from dataclasses import dataclass
from functools import lru_cache
from typing import Callable, Tuple

import numpy as np
from gluoncv.model_zoo.rcnn.faster_rcnn.rcnn_target import RCNNTargetSampler
from gluoncv.model_zoo.rcnn.rpn.anchor import RPNAnchorGenerator
from gluoncv.model_zoo.rcnn.rpn.proposal import RPNProposal
from gluoncv.model_zoo.rcnn.rpn.rpn_target import RPNTargetSampler
from gluoncv.nn import coder
from gluoncv.nn.bbox import BBoxClipToImage
from gluoncv.utils.bbox import bbox_iou
from mxnet import gluon, init, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import choose
from chapters.ch05_detection_style.detector import Detection
from chapters.ch05_detection_style.yolo import DetectionObjective, places
from chapters.ch05_detection_style.yolo_v2 import BASES, RECIPE, SqueezeBase, convolution
from chapters.kit.report import figures
from chapters.script import run_script

_PLACES = 64  # across and down for which there are anchors
_DEVIATIONS = (0.1, 0.1, 0.2, 0.2)  # of the second changes of boxes: they are learnt in these units
_FEWEST_PIXELS = 4  # of a proposal's sides


class Pyramid(gluon.HybridBlock):
    """The last planes of a base, and above them, as in figure 5-58, finer ones: each the coarser, doubled, plus its own by C.

    Parameters
    ----------
    base : str
        'squeezenet', 16 pixels a place, or 'small', 8 pixels.
    step : int
        Pixels a place of the planes that come out: of SqueezeNet 16, or 8 with the planes before the last pooling.
    filters : int

    Input (N, 3, H, W), output (N, filters, H / step, W / step).
    """
    def __init__(self, base, step, filters, **kwargs):
        super().__init__(**kwargs)
        choose({'squeezenet': (), 'small': ()}, 'base', base)
        choose({16: (), 8: ()} if base == 'squeezenet' else {8: ()}, 'step', step)
        with self.name_scope():
            self.coarse = nn.Conv2D(filters, 1)
            if base == 'squeezenet':
                self.features = SqueezeBase(finer=step == 8)
                # SqueezeNet's finer planes have their places at the corners of ours: four of them make one
                self.fine = nn.Conv2D(filters, 2) if step == 8 else None
            else:
                self.fine, self.features = None, nn.HybridSequential()
                for number, stage in enumerate(BASES['small'][:4]):
                    if number:
                        self.features.add(nn.MaxPool2D())
                    for planes, kernel in stage:
                        self.features.add(*convolution(planes, kernel))

    def hybrid_forward(self, F, x):
        if self.fine is None:
            return self.coarse(self.features(x))
        fine, coarse = self.features(x)
        return F.UpSampling(self.coarse(coarse), scale=2, sample_type='nearest') + self.fine(fine)


class FasterRCNN(gluon.HybridBlock):
    """Base; region proposal network: C3x3, of each anchor a score and 4 changes; the best proposals, cut out of the planes to
    7x7; two dense layers; classes and 4 more changes (figure 5-56).

    Of an anchor one score is learnt, by a sigmoid, where the book has two, of object and background; and one box a proposal,
    whatever its class.

    Parameters
    ----------
    base, step, filters
        Of `Pyramid`.
    anchors : tuple of float
        Sizes in pixels, roots of the areas.
    ratios : tuple of float
        Height to width.
    hidden : int
        Units of each dense layer.
    proposals : int
        That are looked at, after suppression.
    align : bool
        RoIAlign, as Mask R-CNN has it; else RoI pooling.
    classes : int

    Input (N, 3, H, W), H and W multiples of `stride`, at most `largest`. Output (N, proposals, 4 + classes): left, top, right,
    bottom in parts of the picture; probability of each class.
    """
    def __init__(self, base='squeezenet', step=16, filters=256, anchors=(128.0, 256.0, 512.0), ratios=(0.5, 1.0, 2.0),
                 hidden=256, proposals=300, align=True, classes=20, **kwargs):
        super().__init__(**kwargs)
        self.stride, self.step, self.classes, self.proposals = 16 if base == 'squeezenet' else 8, step, classes, proposals
        self.largest, self._align = _PLACES * step, align
        number = len(anchors) * len(ratios)
        small = init.Normal(0.01)
        with self.name_scope():
            self.planes = Pyramid(base, step, filters)
            self.around = nn.Conv2D(filters, 3, padding=1, activation='relu')
            self.scores = nn.Conv2D(number, 1, weight_initializer=small)
            self.changes = nn.Conv2D(4 * number, 1, weight_initializer=small)
            self.anchors = RPNAnchorGenerator(step, 1, tuple(ratios), tuple(anchors), (_PLACES, _PLACES))
            self.propose = RPNProposal(None, _FEWEST_PIXELS, (1.0, 1.0, 1.0, 1.0))
            self.dense = nn.HybridSequential()
            self.dense.add(nn.Dense(hidden, activation='relu'), nn.Dense(hidden, activation='relu'))
            self.classify = nn.Dense(classes + 1, weight_initializer=small)
            self.change = nn.Dense(4, weight_initializer=init.Normal(0.001))
            self.changed = coder.NormalizedBoxCenterDecoder(_DEVIATIONS, convert_anchor=True, minimal_opset=True)
            self.clip = BBoxClipToImage()

    def first(self, F, x):
        """Planes; of all anchors scores (N, A, 1) before the sigmoid and changes (N, A, 4); the best proposals
        (N, proposals, 5): score, left, top, right, bottom in pixels, the surest first, then rows of -1.
        """
        planes = self.planes(x)
        around = self.around(planes)
        scores, changes = (F.reshape(F.transpose(layer(around), (0, 2, 3, 1)), (0, -1, numbers))
                           for layer, numbers in ((self.scores, 1), (self.changes, 4)))
        found = self.propose(self.anchors(planes), F.sigmoid(F.BlockGrad(scores)), F.BlockGrad(changes), x)
        best = F.contrib.box_nms(found, overlap_thresh=0.7, topk=4 * self.proposals, coord_start=1, score_index=0, id_index=-1,
                                 force_suppress=True)
        return planes, scores, changes, F.BlockGrad(F.slice_axis(best, axis=1, begin=0, end=self.proposals))

    def cut_out(self, F, planes, boxes, cells):
        """Boxes (N, R, 4) in pixels out of planes (N, C, H, W): (N * R, C, cells, cells)."""
        number = F.broadcast_like(F.reshape(F.contrib.arange_like(planes, axis=0), (-1, 1, 1)),
                                  F.slice_axis(boxes, axis=2, begin=0, end=1))
        near, far = (F.slice_axis(boxes, axis=2, begin=begin, end=begin + 2) for begin in (0, 2))
        far = F.maximum(far, near + 1)  # rows of -1 are boxes too, and RoIAlign ends the process at one without area
        rois = F.BlockGrad(F.reshape(F.concat(number, near, far, dim=2), (-1, 5)))
        if self._align:
            return F.contrib.ROIAlign(planes, rois, (cells, cells), 1 / self.step, sample_ratio=2, aligned=True)
        return F.ROIPooling(planes, rois, (cells, cells), 1 / self.step)

    def second(self, F, planes, boxes, number):
        """What is in boxes (N, number, 4): logits (N, number, 1 + K), of the background first, and changes (N, number, 4)."""
        x = self.dense(self.cut_out(F, planes, boxes, 7))
        return tuple(F.reshape(layer(x), (-4, -1, number, 0)) for layer in (self.classify, self.change))

    def sides(self, F, planes):
        """Width, height, width, height of the pictures in pixels: (1, 1, 4)."""
        _, _, across, down = places(F, planes)
        return F.reshape(F.concat(across, down, across, down, dim=3), (1, 1, 4)) * self.step

    def hybrid_forward(self, F, x):
        return self.found(F, x)[1]

    def found(self, F, x):
        """Planes, and the output of the network."""
        planes, _, _, best = self.first(F, x)
        boxes = F.slice_axis(best, axis=2, begin=1, end=None)
        logits, changes = self.second(F, planes, boxes, self.proposals)
        there = F.slice_axis(best, axis=2, begin=0, end=1) >= 0
        probabilities = F.broadcast_mul(F.slice_axis(F.softmax(logits, axis=2), axis=2, begin=1, end=None), there)
        boxes = F.broadcast_div(self.clip(self.changed(changes, boxes), x), self.sides(F, planes))
        return planes, F.concat(boxes, probabilities, dim=2)

    def parts(self, F, found):
        """Boxes (N, P, 4) in parts of the picture, confidences (N, P), all 1, and probabilities (N, P, K)."""
        boxes = F.slice_axis(found, axis=2, begin=0, end=4)
        probabilities = F.slice_axis(found, axis=2, begin=4, end=4 + self.classes)
        return boxes, F.ones_like(F.squeeze(F.slice_axis(found, axis=2, begin=0, end=1), axis=2)), probabilities

    def load_zoo(self, fresh=()):
        """Begin with what ImageNet has taught SqueezeNet, where it is the base."""
        from chapters.ch05_deep_cnn.pretrained import load_zoo
        from data_tools.errors import UserError
        if not isinstance(self.planes.features, SqueezeBase):
            raise UserError('--init zoo: is known for base=squeezenet only')
        load_zoo(self.planes.features.features)


class RegionLoss(gluon.HybridBlock):
    """The paper's loss of both stages together: cross-entropies, and smooth L1 of the changes of boxes.

    Parameters
    ----------
    network : FasterRCNN
    images : int
        Of a batch.
    anchors, samples : int
        Of a picture that count in the first stage, at most half of them objects', and in the second, at most a quarter; there
        not more than the proposals.

    Input: pixels (N, 3, H, W); targets (N, A, 6) of `targets`; objects (N, M, 5) with rows of -1.
    Output: four (N,): of anchors' scores and changes, of proposals' classes and changes.
    """
    names = 'proposal', 'proposal_box', 'class', 'box'

    def __init__(self, network, images, anchors=256, samples=64, **kwargs):
        super().__init__(**kwargs)
        samples = min(samples, network.proposals // 4 * 4)
        self.network, self._anchors, self._samples = network, anchors, samples
        self.sample = RCNNTargetSampler(images, network.proposals, samples, 0.5, 0.25, 1000)
        self.label, self.encode = coder.MultiClassEncoder(), coder.NormalizedBoxCenterEncoder(_DEVIATIONS)
        self._sampler = RPNTargetSampler(anchors, 0.7, 0.3, 0.5)
        self._encoder = coder.NumPyNormalizedBoxCenterEncoder((1,) * 4)
        self._all_anchors = lru_cache(8)(self._anchors_of)

    def _anchors_of(self, size):
        down, across = (side // self.network.step for side in size)
        return self.network.anchors.anchors.value.asnumpy()[0, 0, :down, :across].reshape(-1, 4)

    def targets(self, objects, size):
        """What the anchors of one picture should say.

        Parameters
        ----------
        objects : numpy.ndarray, (M, 5)
            Class, left, top, right, bottom in parts of the picture.
        size : (int, int)
            Height and width of the picture.

        Returns
        -------
        numpy.ndarray of float32, (A, 6)
            1 for some anchors that overlap an object by 0.7 or are its best, 0 for some that overlap none by 0.3, -1 for the
            others; the changes that make the object's box of the anchor; whether these count.
        """
        anchors = self._all_anchors(tuple(size))
        found = np.zeros((len(anchors), 6), np.float32)
        found[:, 0] = -1
        if len(objects):
            boxes = objects[:, 1:5] * np.tile(size[::-1], 2)
            samples, matches = self._sampler(bbox_iou(anchors, boxes))
            changes, counts = self._encoder(samples[None], matches[None], anchors[None], boxes[None])
            found[:, 0] = np.where(samples == 0, -1, samples > 0)
            found[:, 1:5], found[:, 5] = changes[0], counts[0, :, 0]
        return found

    def sampled(self, F, planes, best, objects):
        """Boxes (N, S, 4) out of proposals and true boxes, their classes (N, S) with 0 for the background and -1 for nothing,
        the numbers of their objects (N, S), changes to these (N, S, 4), whether these count (N, S, 4).
        """
        labels = F.slice_axis(objects, axis=2, begin=0, end=1)
        there = labels >= 0
        truth = F.broadcast_mul(F.slice_axis(objects, axis=2, begin=1, end=5), self.network.sides(F, planes))
        truth = F.broadcast_add(F.broadcast_mul(truth, there), there - 1)  # rows of -1 where there is nothing
        boxes, samples, matches = self.sample(F.slice_axis(best, axis=2, begin=1, end=None),
                                              F.slice_axis(best, axis=2, begin=0, end=1), truth)
        classes = self.label(samples, matches, F.squeeze(labels, axis=2))
        return tuple(map(F.BlockGrad, (boxes, classes, matches, *self.encode(samples, matches, boxes, truth))))

    def hybrid_forward(self, F, x, targets, objects):
        network = self.network
        planes, scores, changes, best = network.first(F, x)
        wanted, wanted_changes, counts = (F.slice_axis(targets, axis=2, begin=begin, end=end)
                                          for begin, end in ((0, 1), (1, 5), (5, 6)))
        entropy = F.relu(scores) - scores * wanted + F.Activation(-F.abs(scores), act_type='softrelu')
        wrong = F.broadcast_mul(F.smooth_l1(changes - wanted_changes, scalar=3.0), counts)
        boxes, classes, matches, moves, moved = self.sampled(F, planes, best, objects)
        logits, second = network.second(F, planes, boxes, self._samples)
        chosen = -F.pick(F.log_softmax(logits, axis=2), F.relu(classes), axis=2)
        first = (F.sum(entropy * (wanted >= 0), axis=(1, 2)) / self._anchors, F.sum(wrong, axis=(1, 2)) / self._anchors)
        return (*first, F.sum(chosen * (classes >= 0), axis=1) / self._samples,
                F.sum(F.smooth_l1(second - moves, scalar=1.0) * moved, axis=(1, 2)) / self._samples,
                *self.rest(F, planes, boxes, classes, matches, objects))

    def rest(self, F, planes, boxes, classes, matches, objects):
        """Further parts of the loss, from what `sampled` gives: none."""
        return ()


class RegionObjective(DetectionObjective):
    """Its loss looks at the pixels itself: between the two stages proposals are chosen by what is true."""
    def parts(self, x, targets, objects):
        return self.loss(x, targets, objects)


def draw_proposals(run, network):
    """The surest proposals of some validation pictures; returns which part of all objects a proposal overlaps by half."""
    data, device = run.data, next(iter(network.collect_params().values())).list_ctx()[0]
    sides = np.tile(data.validation_x.shape[:1:-1], 2)
    figure, axes = figures.plt.subplots(1, 4, figsize=(14, 4))
    met, number = 0, 0
    for picture, (pixels, objects) in enumerate(zip(data.validation_x, data.validation_y)):
        x = nd.array(pixels[None], device, dtype='float32') * data.scale
        best = network.first(nd, x)[3].asnumpy()[0]
        best, boxes = best[best[:, 0] >= 0], objects[objects[:, 0] >= 0, 1:5] * sides
        met += int((bbox_iou(best[:, 1:], boxes).max(axis=0, initial=0) >= 0.5).sum())
        number += len(boxes)
        if picture < len(axes):
            axes[picture].imshow(pixels.transpose(1, 2, 0))
            axes[picture].set_axis_off()
            for score, left, top, right, bottom in best[:2 * len(boxes) + 4][::-1]:
                axes[picture].add_patch(figures.plt.Rectangle((left - 0.5, top - 0.5), right - left, bottom - top, fill=False,
                                                              edgecolor=figures.plt.get_cmap('viridis')(float(score))))
    figure.suptitle(figures.text('The surest proposals of the first stage, whatever they hold (yellow: sure)',
                                 '第一阶段最自信的候选框，不分类别（黄色为自信）'))
    figure.tight_layout()
    run.save_figure(figure, 'proposals')
    return {'proposal_recall': met / max(number, 1)}


@dataclass(frozen=True)
class TwoStages(Detection):
    """A `Detection` in two stages."""
    drawings: Tuple[Callable, ...] = (draw_proposals,)

    lowers = False

    def objective_of(self, network):
        return RegionObjective(network, self.loss(network, self.recipe.batch_size))


SCENES = {'base': 'small', 'step': 8, 'filters': 96, 'hidden': 128, 'anchors': (18.0, 28.0), 'ratios': (1.0, 1.6, 2.6),
          'proposals': 40, 'classes': 10}
CELLS = {'step': 8, 'filters': 128, 'hidden': 128, 'anchors': (24.0, 56.0, 108.0), 'proposals': 200, 'classes': 3}
# The first layers of SqueezeNet stay as ImageNet has made them, the others learn slowly.
CELLS_RECIPE = RECIPE.but(epochs=14, batch_size=4, learning_rate=0.015, warmup_epochs=0.5, old_rate=0.3,
                          frozen=' '.join(f'planes.features.features.{number}' for number in (0, 2, 3)),
                          fresh='planes.coarse planes.fine around scores changes dense classify change',
                          augmentation='mirror smallest=0.8 largest=1.3 saturation=30 lightness=30')

EXPERIMENTS = [
    TwoStages('5.7.3', 'Faster R-CNN finds digits on a canvas', 'Faster R-CNN：在画布上找数字', network=FasterRCNN,
              loss=RegionLoss, sizes=SCENES, data='scenes', sample_shape=(3, 96, 96), recipe=RECIPE.but(batch_size=8)),
    TwoStages('5.7.3-cells', 'Faster R-CNN on SqueezeNet finds blood cells', 'Faster R-CNN（以 SqueezeNet 为底）找血细胞',
              network=FasterRCNN, loss=RegionLoss, sizes=CELLS, data='bccd', sample_shape=(3, 256, 352), recipe=CELLS_RECIPE),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
