"""Sections 5.7.3 and 5.7.4: where Faster R-CNN looks for objects, what it cuts out of the planes, and Mask R-CNN's better cut.

    python -m chapters.ch05_detection_style.regions

Ren, He, Girshick, Sun, "Faster R-CNN: towards real-time object detection with region proposal networks", 2015
(https://arxiv.org/abs/1506.01497); He, Gkioxari, Dollár, Girshick, "Mask R-CNN", 2017 (https://arxiv.org/abs/1703.06870).
"""
import numpy as np
from gluoncv.model_zoo.rcnn.rpn.anchor import RPNAnchorGenerator
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import chain
from chapters.ch05_deep_cnn.vgg import VGG
from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError

_STRIDE = 16
_SCALES, _RATIOS = (8, 16, 32), (0.5, 1, 2)  # times the stride: 128, 256, 512 pixels; height to width


class RegionProposals(gluon.HybridBlock):
    """VGG-16 up to its last convolution, then a region proposal network (figure 5-55): C3x3, and beside each other two C1x1.

    Parameters
    ----------
    anchors : int
        k, at each place.

    Input (N, 3, H, W); output (N, 6k, H / 16, W / 16): of each anchor the scores of object and background, and 4 changes
    of its box.
    """
    def __init__(self, anchors=9, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            vgg = VGG('D').features
            last = max(number for number, layer in enumerate(vgg) if isinstance(layer, nn.Conv2D))
            self.features = chain(*(vgg[number] for number in range(last + 1)))
            self.proposals = nn.Conv2D(512, 3, padding=1, activation='relu')
            self.scores, self.changes = nn.Conv2D(2 * anchors, 1), nn.Conv2D(4 * anchors, 1)

    def hybrid_forward(self, F, x):
        x = self.proposals(self.features(x))
        return F.concat(self.scores(x), self.changes(x), dim=1)


class MaskBranch(gluon.HybridBlock):
    """Mask R-CNN's outline of each class (figure 5-59): four C3x3-256, a transposed C2x2 that doubles the sides, C1x1.

    The transposed convolution has a stride of 2, so that its squares do not overlap: it is C1x1 to four times as many planes,
    four of which are laid out as one. oneDNN's own takes no weights that are part of a larger block of memory, as
    `CompiledStep` has them.

    Input (N, 256, 14, 14), cut out by RoIAlign; output (N, classes, 28, 28), logits of each place.
    """
    def __init__(self, classes=80, filters=256, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.branch = chain(*(nn.Conv2D(filters, 3, padding=1, activation='relu') for _ in range(4)))
            self.doubled = nn.Conv2D(4 * filters, 1, activation='relu')
            self.output = nn.Conv2D(classes, 1)

    def hybrid_forward(self, F, x):
        return self.output(F.depth_to_space(self.doubled(self.branch(x)), block_size=2))


def anchors_of(height, width):
    """The boxes from which Faster R-CNN starts, by GluonCV: (places x 9, 4), left, top, right, bottom in pixels."""
    down, across = height // _STRIDE, width // _STRIDE
    generator = RPNAnchorGenerator(_STRIDE, _STRIDE, _RATIOS, _SCALES, (down, across))
    generator.initialize()
    return generator(nd.zeros((1, 1, down, across))).asnumpy()[0]


def proposals(run, width=960, height=640):
    """The numbers of 5.7.3 for a picture of this size, and nine anchors drawn.

    Returns
    -------
    dict
        Planes of VGG-16 and their sides, planes of the region proposal network, candidates, and how many of these lie wholly
        within the picture.
    """
    if min(width, height) < _STRIDE or width % _STRIDE or height % _STRIDE:
        raise UserError(f'{width}x{height}: give multiples of {_STRIDE}')
    network = RegionProposals()
    rows = layer_table(network, (1, 3, height, width))
    base = [row for row in rows if row.weighted][13]
    anchors = anchors_of(height, width)
    inside = (anchors[:, :2] >= 0).all(axis=1) & (anchors[:, 2] < width) & (anchors[:, 3] < height)
    figure, axis = figures.plt.subplots(figsize=(7.5, 5))
    middle = (height // _STRIDE // 2 * (width // _STRIDE) + width // _STRIDE // 2) * 9
    for number, (left, top, right, bottom) in enumerate(anchors[middle:middle + 9]):
        axis.add_patch(figures.plt.Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=f'C{number // 3}',
                                             linewidth=1.8))
    axis.set(xlim=(-120, width + 120), ylim=(height + 60, -60), aspect='equal',
             title=figures.text(f'9 of {len(anchors):,} boxes to start from', '一个位置上的 9 个锚框'))
    axis.add_patch(figures.plt.Rectangle((0, 0), width, height, fill=False, linestyle='--'))
    run.save_figure(figure, 'anchors')
    return {'base_planes': base.output_shape[0], 'base_width': base.output_shape[2], 'base_height': base.output_shape[1],
            'proposal_planes': rows[-1].output_shape[0], 'candidates': len(anchors), 'candidates_inside': int(inside.sum())}


def cut_both_ways(planes, box, cells):
    """The same box out of planes (C, H, W) by RoI pooling and by RoIAlign.

    Parameters
    ----------
    planes : numpy.ndarray, (C, H, W)
    box : (left, top, right, bottom)
        In places of the planes.
    cells : int

    Returns
    -------
    (pooled, aligned) : numpy.ndarray, (C, cells, cells)
    """
    x, roi = nd.array(planes[None]), nd.array([[0, *box]])
    pooled = nd.ROIPooling(x, roi, pooled_size=(cells, cells), spatial_scale=1.0)
    # planes have their values at the centres of places: half a place from where RoIAlign of MXNet counts
    shifted = nd.array([[0, *(edge - 0.5 for edge in box)]])
    aligned = nd.contrib.ROIAlign(x, shifted, pooled_size=(cells, cells), spatial_scale=1.0, sample_ratio=2)
    return pooled.asnumpy()[0], aligned.asnumpy()[0]


def cuts(run, left=1.3, top=2.2, right=6.1, bottom=5.7, cells=2):
    """A box out of a plane that grows by 1 a place to the right; and the sizes of the mask branch.

    RoI pooling rounds to whole places and takes the largest value, RoIAlign interpolates: only the latter gives the mean of
    each cell.

    Returns
    -------
    dict
        Largest error of either, and the shape of the mask branch's output.
    """
    plane = np.tile(np.arange(8, dtype=np.float32) + 0.5, (8, 1))  # its value is where the centre of a place is
    if not (0.5 <= left < right <= 7.5 and 0.5 <= top < bottom <= 7.5):
        raise UserError(f'{left:g}, {top:g} to {right:g}, {bottom:g}: give a box within 0.5 to 7.5')
    pooled, aligned = (cut[0] for cut in cut_both_ways(plane[None], (left, top, right, bottom), cells))
    centres = left + (np.arange(cells) + 0.5) * (right - left) / cells
    truth = np.tile(centres, (cells, 1))
    figure, axes = figures.plt.subplots(1, 3, figsize=(13, 4.2))
    axes[0].imshow(plane, extent=(0, 8, 8, 0), cmap='viridis')
    axes[0].add_patch(figures.plt.Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor='white'))
    for edge in range(1, cells):
        axes[0].plot([left + edge * (right - left) / cells] * 2, [top, bottom], color='white', linestyle=':')
    axes[0].set_title(figures.text('A box on a plane', '平面上的框'))
    for axis, cut, name in ((axes[1], pooled, 'RoI pooling'), (axes[2], aligned, 'RoIAlign')):
        axis.imshow(cut, vmin=0, vmax=8, cmap='viridis')
        for (row, column), value in np.ndenumerate(cut):
            axis.text(column, row, f'{value:.2f}\n({truth[row, column]:.2f})', ha='center', va='center', color='white')
        axis.set(title=f'{name}: ' + figures.text('mean in brackets', '括号内为真实均值'), xticks=[], yticks=[])
    run.save_figure(figure, 'cuts')
    masks = layer_table(MaskBranch(), (1, 256, 14, 14))[-1].output_shape
    return {'pooling_error': np.abs(pooled - truth).max(), 'align_error': np.abs(aligned - truth).max(),
            'mask_classes': masks[0], 'mask_side': masks[1]}


EXPERIMENTS = [
    WorkedExample('5.7.3-anchors', 'Faster R-CNN: planes, anchors, candidates', 'Faster R-CNN：特征、锚框与候选框',
                  function=proposals, book=figures_of(base_planes=512, base_width=60, base_height=40, proposal_planes=54,
                                                      candidates=21600)),
    WorkedExample('5.7.4-align', 'Mask R-CNN: RoI pooling and RoIAlign side by side', 'Mask R-CNN：RoI 池化与 RoIAlign 对比',
                  function=cuts, book=figures_of(mask_classes=80, mask_side=28)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
