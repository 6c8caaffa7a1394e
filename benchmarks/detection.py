"""GluonCV's YOLO3 beside our YOLO v2: the same pictures, as many core-minutes each; average precision and pictures a second.

    python -m benchmarks.detection [--minutes 8] [--data bccd] [--seed 0]

All start by chance, but for a second one of ours, which begins with what ImageNet has taught SqueezeNet (GluonCV's own such
parameters are not at hand offline). YOLO3 has MobileNet 0.25 as its base and detection blocks half as wide as published, which
of its kind is nearest to ours in operations. It learns once by SGD with the rate of GluonCV's own script, and once by our
optimizer. All see the same changes of pictures, in batches of as many, and every rate falls to 0 along a straight line.
"""
import argparse
import os
import sys
import time
from dataclasses import replace

import mxnet as mx
import numpy as np
from gluoncv.model_zoo import get_mobilenet
from gluoncv.model_zoo.yolo.yolo3 import get_yolov3
from gluoncv.model_zoo.yolo.yolo_target import YOLOV3PrefetchTargetGenerator
from mxnet import autograd, gluon, nd

import chapters
from chapters.ch05_detection_style.annotated import Views
from chapters.ch05_detection_style.detector import detect, measure
from chapters.ch05_detection_style.yolo import Detector, box_shapes
from chapters.ch05_detection_style.yolo_v2 import SMALL
from chapters.kit.data.batches import made_ahead
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.progress import tqdm
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer, prepare_transfer
from data_tools.errors import one_line_errors

_WARM = 0.03  # of the time, over which a rate grows from 0
_MEAN, _DEVIATION = (nd.array(values).reshape((1, 3, 1, 1)) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))


class Rate(mx.lr_scheduler.LRScheduler):
    """A learning rate by the time that is over, not by updates."""
    done = 0.0

    def __call__(self, num_update):
        return self.base_lr * min(1, self.done / _WARM) * max(0, 1 - self.done)


class Ours:
    """YOLO v2 on a base of ours, or of ImageNet."""
    def __init__(self, data, experiment, zoo):
        boxes = data.train_y[data.train_y[..., 0] >= 0][:, 1:]
        size = data.train_x.shape[2:]
        cells = (boxes[:, 2:] - boxes[:, :2]) * size[::-1] / experiment.build().stride
        shapes = box_shapes(cells, 5)[0]
        experiment = replace(experiment, sizes={**experiment.sizes, 'classes': len(data.class_names),
                                                'shapes': tuple(shapes.reshape(-1))})
        recipe = experiment.recipe if zoo else experiment.recipe.but(frozen='', fresh='', old_rate=1)
        self.network = experiment.build()
        initialize(self.network, recipe, np.zeros((1, 3) + size, np.float32), [mx.cpu()])
        if zoo:
            self.network.load_zoo(recipe.fresh.split())
        prepare_transfer(self.network, recipe)
        objective = experiment.objective_of(self.network)
        self.targets, self.rate = objective.loss.targets, Rate(recipe.learning_rate)
        optimizer = make_optimizer(recipe, 1, self.network)
        optimizer.lr_scheduler = self.rate
        inputs = [(recipe.batch_size, 3) + size, (recipe.batch_size,) + self.targets(np.zeros((0, 5)), size).shape,
                  (recipe.batch_size,) + data.train_y.shape[1:]]
        self._step = CompiledStep(objective, optimizer, inputs, mx.cpu())
        self._detector = Detector(self.network)

    def update(self, x, targets, objects):
        self._step(x, targets, objects)

    def done(self):
        self._step.synchronize()

    def find(self, images, scale):
        return detect(self._detector, images, scale)


class GluonCV:
    """YOLO3 of GluonCV, by SGD as its script has it or by the optimizer of a recipe of ours."""
    def __init__(self, data, recipe=None):
        base = get_mobilenet(0.25, pretrained=False).features
        self.network = get_yolov3(
            'mobilenet0.25', [base[:33], base[33:69], base[69:-2]], [128, 64, 64],
            [[10, 13, 16, 30, 33, 23], [30, 61, 62, 45, 59, 119], [116, 90, 156, 198, 373, 326]], [8, 16, 32],
            list(data.class_names), '')
        self.network.initialize(mx.init.MSRAPrelu('avg', 0.1))
        self._size = data.train_x.shape[2:]
        self._generator, self._parts = YOLOV3PrefetchTargetGenerator(len(data.class_names)), (1, 2, 2, 2, len(data.class_names))
        with autograd.train_mode():
            _, self._anchors, self._offsets, self._maps, *_ = self.network(nd.zeros((1, 3) + self._size))
        self.network.hybridize()
        self.rate = Rate(recipe.learning_rate if recipe else 0.001)
        optimizer = make_optimizer(recipe, 1, self.network) if recipe else mx.optimizer.SGD(momentum=0.9, wd=5e-4)
        optimizer.lr_scheduler, optimizer.rescale_grad = self.rate, 1.0  # the trainer divides by the batch size
        self._trainer = gluon.Trainer(self.network.collect_params(), optimizer, kvstore=None)

    def targets(self, objects, size):
        """What GluonCV's generator gives of one picture, side by side: (anchors, 7 + K)."""
        objects = objects if len(objects) else np.full((1, 5), -1, np.float32)
        boxes = np.where(objects[:, :1] >= 0, objects[:, 1:] * np.tile(size[::-1], 2), -1)
        found = self._generator(nd.zeros((1, 3) + size), self._maps, self._anchors, self._offsets, nd.array(boxes[None]),
                                nd.array(objects[None, :, :1]))
        return np.concatenate([part.asnumpy()[0] for part in found], axis=1)

    def update(self, x, targets, objects):
        sides = nd.array(np.tile(x.shape[:1:-1], 2)).reshape((1, 1, 4))
        there = objects[:, :, :1] >= 0
        boxes = (objects[:, :, 1:] * sides) * there + there - 1
        edges = np.cumsum((0,) + self._parts)
        parts = [targets[:, :, int(begin):int(end)] for begin, end in zip(edges, edges[1:])]
        with autograd.record():
            losses = self.network((x - _MEAN) / _DEVIATION, boxes, *parts)
            loss = sum(losses)
        loss.backward()
        self._trainer.step(len(x))
        nd.waitall()

    def done(self):
        # it also forgets the graph, which is another in training
        self.network.set_nms(nms_thresh=0.45, nms_topk=400)

    def find(self, images, scale):
        """As `detect` of ours gives it."""
        found, sides = [], np.tile(images.shape[:1:-1], 2)
        for start in range(0, len(images), 8):
            x = nd.array(images[start:start + 8], dtype='float32') * scale
            labels, scores, boxes = (part.asnumpy() for part in self.network((x - _MEAN) / _DEVIATION))
            found.append(np.concatenate([labels, scores, boxes / sides], axis=2))
        return np.concatenate(found)


def learn(side, views, count, size, minutes, label):
    """Update until so many minutes of cores are used; returns how many pictures were seen."""
    random, began, seen = np.random.default_rng(0), time.process_time(), 0
    with tqdm(total=100, desc=label, unit='%', disable=None, bar_format='{l_bar}{bar}| {elapsed}<{remaining}') as bar:
        while True:
            order = random.permutation(count)[:count // size * size].reshape(-1, size)
            for batch in made_ahead(views, order, random):
                side.rate.done = (time.process_time() - began) / (60 * minutes)
                bar.update(min(100, 100 * side.rate.done) - bar.n)
                if side.rate.done >= 1:
                    side.done()
                    return seen
                side.update(*batch)
                seen += size


@one_line_errors
def main(arguments=None):
    """Run the command line; returns the exit code."""
    parser = argparse.ArgumentParser('python -m benchmarks.detection', description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=8, help='of cores, for each (default 8)')
    parser.add_argument('--data', default='bccd', help='as 5.7.2-cells takes it (default bccd)')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    if options.minutes <= 0:
        parser.error('--minutes: give a number above 0')
    cells = chapters.find('5.7.2-cells')
    data = cells.load(options.data, None, options.seed)
    small = replace(cells, sizes=SMALL)
    sides = {
        "GluonCV's YOLO3, SGD": lambda: GluonCV(data),
        "GluonCV's YOLO3, Muon": lambda: GluonCV(data, cells.recipe),
        'ours, small base, Muon': lambda: Ours(data, small, False),
        "ours, ImageNet's SqueezeNet, Muon": lambda: Ours(data, cells, True),
    }
    print(f'{data.said}; {"x".join(map(str, data.train_x.shape[2:]))}; {options.minutes:g} core-minutes each, '
          f'{os.environ.get("OMP_NUM_THREADS", "all")} thread(s)', flush=True)
    names = [f'AP {name}' for name in data.class_names]
    print('| | GFLOP | pictures learnt | mAP | ' + ' | '.join(names) + ' | learnt a core-second | found a core-second |')
    print('| --- |' + ' ---: |' * (5 + len(names)), flush=True)
    trained = {}
    for name, make in sides.items():
        seed_everything(options.seed)
        trained[name] = side = make()
        views = Views(data, cells.recipe.augmentation, [data.train_x.shape[2:]], side.targets)
        seen = learn(side, views, len(data.train_x), cells.recipe.batch_size, options.minutes, name)
        found = side.find(data.validation_x, data.scale)
        measured = measure(found, data.validation_y, data.class_names, data.validation_x.shape[2:])
        work = sum(layer.flops or 0 for layer in layer_table(side.network, (1,) + data.train_x.shape[1:])) / 1e9
        began = time.process_time()
        for _ in range(3):
            side.find(data.validation_x, data.scale)
        speed = 3 * len(data.validation_x) / (time.process_time() - began)
        figures = [measured['mAP'], *(measured.get(f'AP of {kind}', 0) for kind in data.class_names)]
        print(f'| {name} | {work:.2f} | {seen} | ' + ' | '.join(f'{value:.3f}' for value in figures)
              + f' | {seen / (60 * options.minutes):.1f} | {speed:.1f} |', flush=True)
    return 0


if __name__ == '__main__':
    sys.exit(main())
