"""Section 5.7: tables 5-10 and 5-11, and how detectors are measured: overlap, suppression, average precision.

    python -m chapters run 5.7 5.7-precision
"""
import numpy as np
from gluoncv.utils.bbox import bbox_iou
from gluoncv.utils.metrics.voc_detection import VOC07MApMetric, VOCMApMetric
from mxnet import nd

from chapters.ch05_detection_style.detector import measure
from chapters.ch05_detection_style.drawing import plain_numbers
from chapters.kit.experiment import BookFigure, WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script

# Table 5-10: mAP on VOC 2007 in percent, pictures a second on a Titan X.
TABLE_5_10 = {
    'Fast R-CNN': (70.0, 0.5), 'Faster R-CNN VGG-16': (73.2, 7), 'Faster R-CNN ResNet': (76.4, 5), 'YOLO': (63.4, 45),
    'SSD300': (74.3, 46), 'SSD500': (76.8, 19), 'YOLOv2 288x288': (69.0, 91), 'YOLOv2 352x352': (73.7, 81),
    'YOLOv2 416x416': (76.8, 67), 'YOLOv2 480x480': (77.8, 59), 'YOLOv2 544x544': (78.6, 40),
}
# Table 5-11: the improvements of YOLO v2, numbered as in the book, by steps; mAP after each in percent.
TABLE_5_11 = [
    (63.4, ()), (65.8, (1,)), (69.5, (1, 2)), (69.2, (1, 2, 3, 4)), (69.6, (1, 2, 3, 4, 5)), (74.4, (1, 2, 3, 5, 6, 7)),
    (75.4, (1, 2, 3, 5, 6, 7, 8)), (76.8, (1, 2, 3, 5, 6, 7, 8, 9)), (78.6, (1, 2, 3, 5, 6, 7, 8, 9, 10)),
]
# What each is called.
IMPROVEMENTS = {1: 'batch normalisation', 2: 'larger pictures before', 3: 'no dense layers', 4: 'hand-made boxes', 5: 'DarkNet',
                6: 'shapes by k-means', 7: 'direct centres', 8: 'passthrough', 9: 'several sizes', 10: 'larger pictures'}


def step_words(improvements, before):
    """What a row of table 5-11 has that the one before had not, and what it has no longer."""
    new, gone = sorted(set(improvements) - set(before)), sorted(set(before) - set(improvements))
    words = [f'+ {IMPROVEMENTS[number]}' for number in new] + [f'- {IMPROVEMENTS[number]}' for number in gone]
    return ', '.join(words) or 'YOLO'


def tables(run):
    """Tables 5-10 and 5-11 drawn.

    Returns
    -------
    dict
        What YOLO v2 gained over YOLO, in points; its gain by the largest step.
    """
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(14, 4.8))
    for name, (precision, speed) in TABLE_5_10.items():
        left.semilogx(speed, precision, 'o', color='C1' if 'v2' in name else 'C0')
        left.annotate(name, (speed, precision), fontsize=8, xytext=(4, 4), textcoords='offset points')
    left.set(xlabel='pictures a second', ylabel='mAP, %', xlim=(0.4, 400), title=figures.text('Table 5-10', '表 5-10'))
    plain_numbers(left.xaxis)
    steps, before = [precision for precision, _ in TABLE_5_11], ()
    right.plot(steps, range(len(steps)), 'o-')
    for place, (precision, improvements) in enumerate(TABLE_5_11):
        right.text(precision + 0.3, place, step_words(improvements, before), fontsize=8, va='center')
        before = improvements
    right.set(xlabel='mAP, %', xlim=(62, 91), yticks=[], title=figures.text('Table 5-11', '表 5-11'))
    right.invert_yaxis()
    for axis in (left, right):
        axis.grid(alpha=0.3)
    figure.tight_layout()
    run.save_figure(figure, 'tables')
    return {'gain': steps[-1] - steps[0], 'largest_step': max(np.diff(steps))}


TRUTH = np.array([[0, 0.10, 0.15, 0.45, 0.65], [0, 0.55, 0.30, 0.90, 0.90]], np.float32)
FOUND = np.array([[0, 0.90, 0.12, 0.17, 0.47, 0.66], [0, 0.80, 0.15, 0.10, 0.48, 0.60], [0, 0.70, 0.02, 0.70, 0.22, 0.95],
                  [0, 0.60, 0.57, 0.35, 0.93, 0.88]], np.float32)


def precision(run, overlap=0.45):
    """Four boxes found where there are two: their overlaps, what suppression leaves, and the average precision of it.

    Parameters
    ----------
    run : Run
    overlap : float
        IoU above which the less sure of two is suppressed.

    Returns
    -------
    dict
        IoU of the two surest boxes with each other and with the truth, how many are left, and AP by 11 points, by the area,
        and as the mean over IoU from 0.5 to 0.95.
    """
    kept = nd.contrib.box_nms(nd.array(FOUND[None]), overlap_thresh=overlap, coord_start=2, score_index=1, id_index=0)
    kept = kept.asnumpy()
    overlaps = bbox_iou(FOUND[:, 2:], TRUTH[:, 1:])
    found = {'iou_of_two_found': bbox_iou(FOUND[:1, 2:], FOUND[1:2, 2:])[0, 0], 'iou_with_truth': overlaps[0, 0],
             'left': int((kept[0, :, 0] >= 0).sum())}
    for name, kind in (('ap_11_points', VOC07MApMetric), ('ap_area', VOCMApMetric)):
        found[name] = measure(kept, TRUTH[None], ('thing',), (100, 100), kind=kind)['mAP']
    found['ap_coco'] = np.mean([measure(kept, TRUTH[None], ('thing',), (100, 100), threshold / 100, VOCMApMetric)['mAP']
                                for threshold in range(50, 100, 5)])
    figure, axes = figures.plt.subplots(1, 3, figsize=(14, 4.4))
    for axis, boxes, title in ((axes[0], FOUND, figures.text('Found (truth: black)', '找到的框（黑色为真实）')),
                               (axes[1], kept[0][kept[0, :, 0] >= 0], figures.text('After suppression', '非极大值抑制之后'))):
        labelled = [('', box[1:]) for box in TRUTH] + [(f'{box[1]:.1f}', box[2:]) for box in boxes]
        for label, (left, top, right, bottom) in labelled:
            colour = 'C1' if label else 'black'
            axis.add_patch(figures.plt.Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour,
                                                 linewidth=2))
            axis.text(left, top, label, color=colour, va='bottom')
        axis.set(xlim=(0, 1), ylim=(1, 0), aspect='equal', title=title)
    best = [bbox_iou(box[None, 2:], TRUTH[:, 1:])[0].max() > 0.5 for box in kept[0][kept[0, :, 0] >= 0]]
    right = np.cumsum(best)
    axes[2].plot(right / len(TRUTH), right / np.arange(1, len(best) + 1), 'o-')
    axes[2].set(xlabel='recall', ylabel='precision', xlim=(0, 1.05), ylim=(0, 1.05),
                title=figures.text(f'AP {found["ap_11_points"]:.3f} by 11 points, {found["ap_area"]:.3f} by area', '平均精度'))
    axes[2].grid(alpha=0.3)
    run.save_figure(figure, 'precision')
    return found


EXPERIMENTS = [
    WorkedExample('5.7', 'Detectors compared (tables 5-10, 5-11)', '物体检测网络的比较（表 5-10、5-11）', function=tables,
                  book=(BookFigure(78.6 - 63.4, 'gain', note='table 5-11'),
                        BookFigure(74.4 - 69.6, 'largest_step', note='table 5-11'))),
    WorkedExample('5.7-precision', 'IoU, suppression, average precision by hand', '交并比、非极大值抑制与平均精度',
                  function=precision),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
