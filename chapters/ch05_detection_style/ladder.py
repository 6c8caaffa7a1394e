"""Section 5.7.2: the ten improvements of table 5-11 one after the other, each step measured beside the table's.

    python -m chapters run 5.7.2-ladder

A network of each row of the table is trained for as many epochs, on pictures of the same size but for the last row. Training
YOLO v1, Muon spends most of the time on the matrix products for the dense layers.
"""
from dataclasses import replace
from functools import partial

import mxnet as mx
import numpy as np
from mxnet.gluon import nn

from chapters.ch05_detection_style.annotated import load_annotated, to_size
from chapters.ch05_detection_style.detector import Detection, train_detector
from chapters.ch05_detection_style.tables import TABLE_5_11, step_words
from chapters.ch05_detection_style.yolo_v1 import YOLOv1, YOLOv1Loss
from chapters.ch05_detection_style.yolo_v2 import HAND_SHAPES, RECIPE, YOLOv2, YOLOv2Loss
from chapters.kit.experiment import BookFigure, Study
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.from_recipe import make_optimizer
from chapters.kit.training.train import Objective
from chapters.kit.variants import trained
from chapters.script import run_script
from data_tools.errors import UserError

_CELL = 16  # pixels; of both networks
_HAND_CELLS = 13  # across the pictures that the hand-made shapes were made for
_SCALES = 100, 83, 67
_BEFORE = 2  # epochs of classification


def step_of(experiment, improvements):
    """The detector of a row of table 5-11.

    Parameters
    ----------
    experiment : Study
        For its recipe, its data, and the size of its pictures.
    improvements : sequence of int
        Numbers of table 5-11.

    Returns
    -------
    Detection
    """
    recipe = experiment.recipe
    side = recipe.pixels or experiment.sample_shape[-1]
    classes, normalised = experiment.sizes['classes'], 1 in improvements
    if 3 in improvements:
        hand = tuple(side / _CELL / _HAND_CELLS * length for length in HAND_SHAPES)
        sizes = {'base': 'small-darknet' if 5 in improvements else 'small', 'filters': 128, 'squeezed': 32,
                 'shapes': () if 6 in improvements else hand, 'direct': 7 in improvements, 'passthrough': 8 in improvements}
    else:
        sizes = {'layers': 'small', 'cells': side // _CELL, 'dropout': 0.2}
    sizes.update(classes=classes, normalised=normalised, **({'scales': _SCALES} if 9 in improvements else {}))
    if 10 in improvements:
        side = round(side * 544 / 416 / _CELL) * _CELL  # as in the paper
    return Detection(experiment.section, experiment.title, experiment.title_zh, sizes=sizes, data=experiment.data,
                     network=YOLOv2 if 3 in improvements else YOLOv1, loss=YOLOv2Loss if 3 in improvements else YOLOv1Loss,
                     sample_shape=(3, side, side), recipe=replace(recipe, pixels=side),
                     prepare=partial(classify_first, recipe=recipe) if 2 in improvements else None)


def classify_first(network, data, recipe):
    """Let the convolutions of a detector learn the classes, of objects enlarged to the pictures' size (improvement 2).

    The last convolutions, whose places say what is there, begin as they are.

    Parameters
    ----------
    network : YOLOv1 or YOLOv2
        With parameters; those of its convolutions change.
    data : TrainingData
        Pictures (N, 3, H, W), objects (N, most, 5); of each picture one object is taken.
    recipe : Recipe
        Its optimizer, rate and batch size, for two epochs.
    """
    random = np.random.default_rng(0)
    size, chosen = data.train_x.shape[2:], []
    for pixels, objects in zip(data.train_x, data.train_y):
        number = int((objects[:, 0] >= 0).sum())
        if not number:
            continue
        label, *edges = objects[random.integers(number)]
        left, top, right, bottom = np.round(np.array(edges) * np.tile(size[::-1], 2)).astype(int)
        chosen.append((to_size(pixels[:, top:max(bottom, top + 1), left:max(right, left + 1)].transpose(1, 2, 0), size), label))
    x, y = (np.stack(part) for part in zip(*chosen))
    recipe = recipe.but(epochs=_BEFORE, train_samples=0)
    chain, device = nn.HybridSequential(prefix='before_'), next(iter(network.collect_params().values())).list_ctx()[0]
    with chain.name_scope():
        chain.add(*([network.features] if isinstance(network, YOLOv1) else [network.fine, network.coarse]),
                  nn.HybridLambda(lambda F, planes: F.mean(planes, axis=(2, 3))), nn.Dense(network.classes))
    chain[-1].initialize(mx.init.Xavier(), ctx=device)
    chain(mx.nd.zeros((1,) + x.shape[1:], device))
    number, batch = len(x) // recipe.batch_size, recipe.batch_size
    step = CompiledStep(Objective(chain, recipe=recipe), make_optimizer(recipe, number, chain),
                        [(batch,) + x.shape[1:], (batch,)], device)
    for epoch in range(_BEFORE):
        order = random.permutation(len(x))[:number * batch].reshape(number, batch)
        for rows in tqdm(order, f'classes, epoch {epoch}', leave=False, disable=None, delay=1):
            step(mx.nd.array(x[rows], device, 'float32') * data.scale, mx.nd.array(y[rows], device))
    step.synchronize()


def ladder(run):
    """Train and measure a network of each row; draws them beside the table.

    Returns
    -------
    dict
        'step0_mAP' of YOLO, to 'step8_mAP' of all improvements; 'gain' in points.

    Raises
    ------
    UserError
        Pictures of a size that is no multiple of the cells'.
    """
    side = run.data.train_x.shape[2]
    if side % _CELL:
        raise UserError(f'{run.experiment.section}: pictures of {side}x{side}: give a side that is a multiple of {_CELL} '
                        '(--set pixels=N)')
    found, before = [], ()
    for number, (book, improvements) in enumerate(TABLE_5_11):
        words = step_words(improvements, before)
        _, history, _ = trained(run, f'step-{number}', step_of(run.experiment, improvements), how=train_detector)
        found.append(history[-1]['validation_mAP'])
        run.say(f'step {number}: {words}: mAP {found[-1]:.1%} (the table, on VOC 2007: {book:.1f}%)')
        before = improvements
    run.save_figure(draw_ladder(found, run.data_name, run.short), 'ladder')
    return {**{f'step{number}_mAP': value for number, value in enumerate(found)}, 'gain': 100 * (found[-1] - found[0])}


def draw_ladder(found, data, short=''):
    """mAP of each row of table 5-11, the table's and ours; returns a matplotlib figure."""
    figure, axis = figures.plt.subplots(figsize=(9, 5.2))
    rows = np.arange(len(TABLE_5_11))
    for values, name, colour, shift in (
            ([book for book, _ in TABLE_5_11], figures.text('table 5-11, VOC 2007', '表 5-11'), 'C0', -0.2),
            ([100 * value for value in found], figures.text(f'ours, {data}', '本项目'), 'C1', 0.2)):
        axis.barh(rows[:len(values)] + shift, values, 0.38, color=colour, label=name)
        for row, value in zip(rows, values):
            axis.text(value + 0.5, row + shift, f'{value:.1f}', fontsize=8, va='center')
    axis.set_yticks(rows)
    axis.set_yticklabels([step_words(improvements, TABLE_5_11[row - 1][1] if row else ())
                          for row, (_, improvements) in enumerate(TABLE_5_11)], fontsize=9)
    axis.invert_yaxis()
    axis.set(xlabel='mAP, %', xlim=(0, 105), title=figures.text('From YOLO to YOLO v2', '从 YOLO 到 YOLO v2')
             + (f'\n{short}' if short else ''))
    axis.grid(axis='x', alpha=0.3)
    axis.legend(fontsize=8, loc='upper center', bbox_to_anchor=(0.5, -0.12), ncol=2)
    figure.tight_layout()
    return figure


EXPERIMENTS = [
    Study('5.7.2-ladder', 'The improvements of YOLO v2 one after the other (table 5-11)', 'YOLO v2 的逐项改进（表 5-11）',
          network=YOLOv2, sizes={'classes': 10}, data='scenes', loader=load_annotated, sample_shape=(3, 64, 64),
          function=ladder, recipe=RECIPE.but(epochs=6),
          book=(BookFigure(78.6 - 63.4, 'gain', note='table 5-11, VOC 2007'),),
          ignores=('base', 'filters', 'passthrough', 'squeezed', 'shapes', 'boxes', 'normalised', 'direct'),
          remark='The table is of Pascal VOC 2007, ours of small networks on other pictures, for as many epochs each.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
