"""Section 5.7: boxes on pictures, and curves of precision over recall."""
import cv2
import numpy as np
from gluoncv.utils.bbox import bbox_iou
from gluoncv.utils.metrics.voc_detection import VOC07MApMetric

from chapters.kit.report import figures

SHOWN = 0.3  # score from which on a box is drawn


def plain_numbers(axis):
    """Numbers at a logarithmic axis of matplotlib as people write them: 0.1, 1, 10."""
    axis.set_major_formatter('{x:g}')
    axis.set_minor_formatter('')


def pasted(row, size):
    """The mask of one object found, in pixels.

    Parameters
    ----------
    row : numpy.ndarray, (6 + S * S,)
        Class, score, left, top, right, bottom in parts of the picture; probabilities of the places of the box.
    size : (int, int)
        Height and width of the picture.

    Returns
    -------
    (corner, inside) : ((int, int), numpy.ndarray of bool)
        Its first row and column, and which pixels from there on are the object's.
    """
    side = int((len(row) - 6) ** 0.5)
    left, top, right, bottom = row[2:6] * np.tile((size[1], size[0]), 2)
    first = np.floor((top, left)).astype(int).clip(0, size)
    last = np.ceil((bottom, right)).astype(int).clip(0, size)
    # a pixel's centre as a place of the mask
    across = ((np.arange(first[1], last[1]) + 0.5 - left) / max(right - left, 1e-6) * side - 0.5).astype(np.float32)
    down = ((np.arange(first[0], last[0]) + 0.5 - top) / max(bottom - top, 1e-6) * side - 0.5).astype(np.float32)
    if not len(across) or not len(down):
        return tuple(first), np.zeros((len(down), len(across)), bool)
    return tuple(first), cv2.remap(row[6:].reshape(side, side), *np.meshgrid(across, down), cv2.INTER_LINEAR,
                                   borderMode=cv2.BORDER_REPLICATE) > 0.5


def draw_picture(axis, picture, found, class_names, truth=None, least=SHOWN, scores=True):
    """A picture with boxes on a matplotlib axis.

    Parameters
    ----------
    axis : matplotlib.axes.Axes
    picture : numpy.ndarray of uint8, (3, H, W)
    found : numpy.ndarray, (P, 6 or 6 + S * S)
        Class, score, left, top, right, bottom in parts of the picture; of some networks also a mask, see `pasted`.
    class_names : sequence of str
    truth : numpy.ndarray, (M, 5 or more), optional
        Drawn in dashes.
    least : float
        Scores below are left out.
    scores : bool
        Whether to write them.
    """
    height, width = picture.shape[1:]
    shown, found = picture.transpose(1, 2, 0), found[(found[:, 0] >= 0) & (found[:, 1] >= least)]
    if found.shape[1] > 6:  # each object's mask in a colour of its own
        shown = shown.copy()
        for number, row in enumerate(found):
            (down, across), inside = pasted(row, (height, width))
            colour = 255 * np.array(figures.plt.get_cmap('tab20')(number % 20)[:3])
            place = shown[down:down + inside.shape[0], across:across + inside.shape[1]]
            place[inside] = (0.45 * place[inside] + 0.55 * colour).astype(np.uint8)
    axis.imshow(shown)
    for label, score, left, top, right, bottom in found[:, :6]:
        colour = f'C{int(label) % 10}'
        axis.add_patch(figures.plt.Rectangle((left * width - 0.5, top * height - 0.5), (right - left) * width,
                                             (bottom - top) * height, fill=False, edgecolor=colour, linewidth=1.6))
        axis.text(left * width, top * height - 1, class_names[int(label)] + f' {score:.0%}' * scores, fontsize=7, color='white',
                  va='bottom', bbox={'facecolor': colour, 'pad': 0.5, 'linewidth': 0, 'alpha': 0.8}, clip_on=True)
    for label, left, top, right, bottom in truth[truth[:, 0] >= 0, :5] if truth is not None else ():
        axis.add_patch(figures.plt.Rectangle((left * width - 0.5, top * height - 0.5), (right - left) * width,
                                             (bottom - top) * height, fill=False, edgecolor='white', linewidth=0.8,
                                             linestyle='--'))
    axis.set_axis_off()


def draw_detections(pictures, found, class_names, truth=None, title='', least=SHOWN):
    """Up to eight pictures with what was found; returns a matplotlib figure."""
    rows = -(-len(pictures) // 4)
    columns = min(4, len(pictures))
    height = 3.2 * pictures[0].shape[1] / pictures[0].shape[2]
    figure, axes = figures.plt.subplots(rows, columns, figsize=(3.2 * columns, height * rows + 0.4), squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    for number, (axis, picture) in enumerate(zip(axes.flat, pictures)):
        draw_picture(axis, picture, found[number], class_names, None if truth is None else truth[number], least)
    figure.suptitle(title or (figures.text('What is found', '检测结果') if truth is None else
                              figures.text('What is found (dashed: the truth)', '检测结果（虚线为标注）')))
    figure.tight_layout()
    return figure


def draw_boxes(pictures, objects, class_names):
    """Up to eight pictures with their true boxes; returns a matplotlib figure."""
    found = np.insert(np.delete(objects, slice(5, 9), axis=2), 1, 1, axis=2)
    return draw_detections(pictures, found, class_names, title=figures.text('What is to be found', '标注的物体'))


def draw_precision(found, objects, class_names, size):
    """Precision over recall of each class at an IoU of 0.5, from the numbers of GluonCV's metric."""
    metric = VOC07MApMetric(0.5, list(class_names))
    pixels = np.tile((size[1], size[0]), 2)
    metric.update(found[..., 2:6] * pixels, found[..., 0], found[..., 1], objects[..., 1:5] * pixels, objects[..., 0])
    figure, axis = figures.plt.subplots(figsize=(5.5, 4.2))
    if metric._n_pos:
        recalls, precisions = metric._recall_prec()
        for label, (recall, precision) in enumerate(zip(recalls, precisions)):
            if recall is not None and precision is not None and len(recall):
                axis.plot(recall, precision, color=f'C{label % 10}',
                          label=f'{class_names[label]} {metric._average_precision(recall, precision):.3f}')
    axis.set(xlabel='recall', ylabel='precision', xlim=(0, 1.01), ylim=(0, 1.02),
             title=figures.text('Precision over recall, AP of each class', '精确率与召回率'))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=7)
    return figure


def misses(found, objects, least=SHOWN, threshold=0.5):
    """What is wrong in what was found.

    Parameters
    ----------
    found : numpy.ndarray, (N, P, 6 or more)
        As `detect` gives it: the surest of a picture first.
    objects : numpy.ndarray, (N, M, 5 or more)
        Of the truth, filled up with -1.
    least : float
        Score under which a box does not count.
    threshold : float
        IoU from which on a box counts as the object's.

    Returns
    -------
    (wrong, missed) : lists of (picture, (5,) of class, left, top, right, bottom, score)
        Boxes where no object of their class is, or one that a surer box has; the surest first. Objects that no box has, the
        largest first; their score is 0.
    """
    wrong, missed = [], []
    for number, (rows, things) in enumerate(zip(found, objects)):
        rows, things = rows[(rows[:, 0] >= 0) & (rows[:, 1] >= least)], things[things[:, 0] >= 0, :5]
        overlaps, free = bbox_iou(rows[:, 2:6], things[:, 1:]), np.ones(len(things), bool)
        for row, own in zip(rows, overlaps):
            own = np.where(free & (things[:, 0] == row[0]), own, -1)
            if len(own) and own.max() >= threshold:
                free[own.argmax()] = False
            else:
                wrong.append((number, np.delete(row[:6], 1), float(row[1])))
        missed += [(number, thing, 0.0) for thing in things[free]]
    return (sorted(wrong, key=lambda one: -one[2]),
            sorted(missed, key=lambda one: -float((one[1][3:] - one[1][1:3]).prod())))


def draw_misses(pictures, found, objects, class_names, each=4):
    """The surest boxes that are wrong and the largest objects that were missed, with what is around; a matplotlib figure."""
    wrong, missed = misses(found, objects)
    figure, axes = figures.plt.subplots(2, each, figsize=(3.2 * each, 6.8), squeeze=False)
    for row, (some, colour) in enumerate(((wrong, 'C3'), (missed, 'yellow'))):
        for axis, one in zip(axes[row], [*some[:each], *[None] * each]):
            axis.set_axis_off()
            if one is None:
                continue
            number, (label, *box), score = one
            picture = pictures[number]
            sides = np.tile(picture.shape[:0:-1], 2)
            left, top, right, bottom = np.array(box) * sides - 0.5
            draw_picture(axis, picture, np.zeros((0, 6)), class_names, objects[number])
            axis.add_patch(figures.plt.Rectangle((left, top), right - left, bottom - top, fill=False, edgecolor=colour,
                                                 linewidth=2.2))
            around = max(right - left, bottom - top, min(picture.shape[1:]) / 8)
            axis.set(xlim=(max(-0.5, left - around), min(sides[0] - 0.5, right + around)),
                     ylim=(min(sides[1] - 0.5, bottom + around), max(-0.5, top - around)),
                     title=class_names[int(label)] + f' {score:.0%}' * bool(score))
    figure.suptitle(figures.text(f'{len(wrong)} boxes wrong (above: the surest), {len(missed)} objects missed (below)',
                                 '上：找错的框（最自信的）；下：漏掉的物体（最大的）'))
    figure.tight_layout()
    return figure
