"""Section 5.7: training a network that finds boxes, and measuring it by the mean of average precisions (mAP).

Reads from top to bottom: what an experiment of detection is (`Detection`), its training (`train_detector`), its measure
(`measure`).
"""
from dataclasses import dataclass, replace
from typing import Any, Callable

import numpy as np
from gluoncv.utils.metrics.voc_detection import VOC07MApMetric
from mxnet import nd

from chapters.ch05_detection_style.annotated import Views, load_annotated
from chapters.ch05_detection_style.drawing import draw_boxes, draw_detections, draw_precision, plain_numbers
from chapters.ch05_detection_style.scenes import scenes
from chapters.ch05_detection_style.yolo import Boxes, DetectionObjective, Detector, box_shapes
from chapters.kit.data.batches import made_ahead
from chapters.kit.experiment import Training
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import model_arrays, restore_model
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.kit.training.from_recipe import initialize, make_optimizer, prepare_transfer
from chapters.kit.training.train import PlainStep, one_epoch
from chapters.kit.training.workers import Workers
from data_tools.errors import UserError

_BATCH = 8  # pictures at once in prediction


@dataclass(frozen=True)
class Detection(Training):
    """A network that finds boxes, trained by `train_detector`.

    Attributes
    ----------
    loss : callable
        `loss(network)`: the block of its loss, with a method `targets`; see `YOLOv2Loss`.

    `scales`, a tuple of int, can be set like a size of the network: sizes of training pictures in percent of `sample_shape`,
    one for each batch by chance (improvement 9).
    """
    loss: Any = None
    loader: Callable = load_annotated

    shared = False
    trains = False
    detects = True
    stand_in = 'scenes'

    def perform(self, run):
        return train_detector(run)

    def build(self):
        sizes = {name: value for name, value in self.sizes.items() if name != 'scales'}
        return super(Detection, replace(self, sizes=sizes)).build()

    def objective_of(self, network):
        """The network with its loss, as the training steps take it."""
        return DetectionObjective(network, self.loss(network), self.recipe.dtype)

    def answering(self, network):
        return Boxes(network, prefix='')

    def examples(self):
        return scenes(4, 1, validation=True, side=self.sample_shape[1])[0].transpose(0, 2, 3, 1) \
            if self.data == 'scenes' else ()

    def measures(self, found, data):
        """{name: value} of what `detect` has found in validation pictures; see `measure`."""
        return measure(found, data.validation_y, data.class_names, data.validation_x.shape[2:])

    def defaults(self):
        return {**super().defaults(), 'scales': (100,)}


class _Batches:
    """The batches of every epoch, as `one_epoch` takes them."""
    workers = Workers()

    def __init__(self, views, count, size, samples=0):
        self._views, self.size, self.number = views, size, max(1, (samples or count) // size)
        self.samples, self._count = self.number * size, count

    def of_epoch(self, random, epoch=0):
        order = np.concatenate([random.permutation(self._count) for _ in range(-(-self.samples // self._count))])
        order = np.resize(order, (self.number, self.size))
        yield from made_ahead(self._views, order, np.random.default_rng(int(random.integers(1 << 62))))


def sizes_of(scales, size, stride):
    """Heights and widths of training pictures: percents of `size`, brought to multiples of `stride`."""
    return [tuple(max(1, round(side * scale / 100 / stride)) * stride for side in size) for scale in scales]


def train_detector(run):
    """Train the network of a run by its recipe, measure it, draw what it finds, leave its export.

    Returns
    -------
    (dict, list of dict)
        Figures and history. Resumes bit for bit.

    Raises
    ------
    Diverged
        The loss became NaN or infinite.
    """
    recipe, data = run.recipe, run.data
    if run.experiment.sizes.get('shapes') == ():
        run.settle(shapes=_shapes_of(run))
    experiment, size = run.experiment, data.train_x.shape[2:]
    seed_everything(run.seed)
    network = experiment.build()
    if any(side % network.stride for side in size):
        raise UserError(f'{experiment.section}: pictures of {size[0]}x{size[1]}: give sides that are multiples of '
                        f'{network.stride} (--set pixels=N)')
    if max(size) > getattr(network, 'largest', max(size)):
        raise UserError(f'{experiment.section}: pictures of {size[0]}x{size[1]}: give sides of at most {network.largest}')
    sample = np.zeros((1, 3) + size, np.float32)
    initialize(network, recipe, sample, run.devices)
    if run.init:
        run.load_parameters(network)
    elif experiment.prepare and not run.checkpoint.exists:
        experiment.prepare(network, data)
    prepare_transfer(network, recipe)
    objective = experiment.objective_of(network)
    loss = objective.loss
    views = Views(data, recipe.augmentation, sizes_of(experiment.settings()['scales'], size, network.stride), loss.targets)
    batches = _Batches(views, len(data.train_x), recipe.batch_size, recipe.samples_per_epoch)
    optimizer = make_optimizer(recipe, batches.number, network)
    inputs = [(recipe.batch_size, 3) + size, (recipe.batch_size,) + loss.targets(np.zeros((0, 5)), size).shape,
              (recipe.batch_size,) + data.train_y.shape[1:]]
    step = CompiledStep(objective, optimizer, inputs, run.devices[0]) if run.devices[0].device_type == 'cpu' else \
        PlainStep(objective, optimizer, run.devices)
    work = 3 * sum(layer.flops or 0 for layer in layer_table(network, sample.shape))
    detector = Detector(network)
    latest: list = []  # what was found last
    parts = ('loss', *(f'{name}_loss' for name in loss.names))

    def train(epoch, random):
        means = one_epoch(step, batches, random, epoch, run.label(epoch))
        return {'samples': batches.samples, 'operations': batches.samples * work,
                'learning_rate': optimizer.lr_scheduler(max(1, optimizer.num_update)),
                **{f'train_{name}': float(value) for name, value in zip(parts, means)}}

    def validate():
        latest[:] = [detect(detector, data.validation_x, data.scale)]
        measured = experiment.measures(latest[0], data)
        return {f'validation_{name}': value for name, value in measured.items() if ' ' not in name}

    def arrays():
        return {**model_arrays(network), **step.arrays()}

    def restore(kept, epochs):
        restore_model(kept, network)
        step.restore(kept, epochs * batches.number)
    history = train_epochs(run, recipe.epochs, train, validate, arrays, restore)
    found = latest[0] if latest else detect(detector, data.validation_x, data.scale)
    metrics = draw(run.save_figure, found, data, size)
    for drawing in experiment.drawings:
        metrics.update(drawing(run, network) or {})
    _draw_history(run, history)
    run.export_for(network, len(history), sample)
    return metrics, history


def _shapes_of(run):
    """Typical boxes of the data in cells, by k-means, as a flat tuple; draws them."""
    data, network = run.data, run.experiment.build()
    boxes = data.train_y[data.train_y[..., 0] >= 0][:, 1:]
    cells = (boxes[:, 2:] - boxes[:, :2]) * data.train_x.shape[:1:-1] / network.stride
    shapes, overlap = box_shapes(cells, network.boxes, run.seed)
    figure, axis = figures.plt.subplots(figsize=(5, 5))
    axis.plot(*cells[:3000].T, '.', alpha=0.2, markersize=3)
    for width, height in shapes:
        axis.add_patch(figures.plt.Rectangle((0, 0), width, height, fill=False, edgecolor='C1', linewidth=2))
    axis.set(xlabel='width in cells', ylabel='height in cells',
             title=figures.text(f'{len(shapes)} shapes, mean IoU {overlap:.2f}', '典型框'))
    run.save_figure(figure, 'box-shapes')
    return tuple(round(float(side), 4) for side in shapes.reshape(-1))


def detect(detector, images, scale=1 / 255):
    """What a detector finds in images.

    Parameters
    ----------
    detector : chapters.ch05_detection_style.yolo.Detector
    images : numpy.ndarray of uint8, (N, 3, H, W)
    scale : float
        What pixels are multiplied by.

    Returns
    -------
    numpy.ndarray, (N, P, 6)
        As `Detector` gives it, at most `detector.most` of a picture.
    """
    detector.hybridize()
    device = next(iter(detector.collect_params().values())).list_ctx()[0]
    found = []
    for start in tqdm(range(0, len(images), _BATCH), 'detect', leave=False, disable=None, delay=1):
        part = images[start:start + _BATCH]
        part = np.concatenate([part, np.zeros((_BATCH - len(part),) + part.shape[1:], part.dtype)]) \
            if len(images) > _BATCH else part
        found.append(detector(nd.array(part, device, dtype='float32') * scale).asnumpy()[:len(images) - start])
    return np.concatenate(found)[:, :detector.most]


def measure(found, objects, class_names, size, threshold=0.5, kind=VOC07MApMetric):
    """Average precision of each class, by Pascal VOC's rule of 2007 (11 points), from GluonCV.

    Parameters
    ----------
    found : numpy.ndarray, (N, P, 6)
        As `detect` gives it.
    objects : numpy.ndarray, (N, M, 5)
        Of the truth, filled up with -1.
    class_names : sequence of str
    size : (int, int)
        Height and width in pixels.
    threshold : float
        IoU from which on a box counts as found.
    kind : type
        Of GluonCV's metrics.

    Returns
    -------
    dict of str to float
        'mAP', and 'AP of CLASS' of every class that there is.
    """
    metric = kind(threshold, list(class_names))
    pixels = np.tile((size[1], size[0]), 2)
    if not (found[..., 0] >= 0).any():
        return {'mAP': 0.0}
    metric.update(found[..., 2:6] * pixels, found[..., 0], found[..., 1], objects[..., 1:5] * pixels, objects[..., 0])
    names, values = metric.get()
    return {'mAP': float(values[-1]), **{f'AP of {name}': float(value) for name, value in zip(names[:-1], values)
                                         if np.isfinite(value)}}


def draw(save, found, data, size):
    """Pictures of what was found in validation images; returns {name: value} of average precisions."""
    measured = measure(found, data.validation_y, data.class_names, size)
    save(draw_detections(data.validation_x[:8], found[:8], data.class_names, data.validation_y[:8]), 'detections')
    save(draw_boxes(data.train_x[:8], data.train_y[:8], data.class_names), 'truth')
    save(draw_precision(found, data.validation_y, data.class_names, size), 'precision-recall')
    return {name.replace(' ', '_'): value for name, value in measured.items() if name != 'mAP'}


def _draw_history(run, history):
    if len(history) < 2:
        return
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(10, 3.6))
    for name in history[0]:
        if name.startswith('train_'):
            left.semilogy([row[name] for row in history], label=name[len('train_'):].replace('_', ' '))
    for name in history[0]:
        if name.startswith('validation_'):
            right.plot([row[name] for row in history], marker='o', markersize=3,
                       label=name[len('validation_'):].replace('_', ' '))
    left.set(xlabel='epoch', title='loss')
    plain_numbers(left.yaxis)
    right.set(xlabel='epoch', title='mAP', ylim=(0, 1))
    for axis in (left, right):
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.suptitle(figures.text(f'{run.experiment.section} {run.experiment.title}', run.experiment.title_zh))
    figure.tight_layout()
    run.save_figure(figure, 'curves')
