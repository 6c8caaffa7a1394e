"""Section 5.7: a trained detector on pictures of one's own, and measured again.

    python -m chapters detect runs/5.7.2-cells-bccd-seed0 pictures
"""
import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from gluoncv.utils.metrics.voc_detection import VOCMApMetric

from chapters.ch05_detection_style.annotated import to_size
from chapters.ch05_detection_style.detector import detect, draw, measure
from chapters.ch05_detection_style.drawing import SHOWN, draw_misses, draw_picture, pasted
from chapters.ch05_detection_style.scenes import scenes
from chapters.ch05_detection_style.yolo import Detector
from chapters.kit.data.pictures import read_all, read_picture
from chapters.kit.data.training_data import Facts
from chapters.kit.report import figures
from chapters.kit.trained.run import experiment_of, read_config, save_figure
from chapters.kit.trained.saved import network_of
from chapters.kit.trained.zoo import results_folder, run_folder
from data_tools.atomic import atomic_write, make_folder
from data_tools.errors import UserError


@dataclass
class SavedDetector:
    """A trained detector out of its run folder.

    Attributes
    ----------
    folder : Path
    config : dict
        Its `config.json`.
    experiment : Detection
        With the settings of the run.
    detector : Detector
    facts : Facts
        Of the data that it was trained on.
    """
    folder: Path
    config: dict
    experiment: Any
    detector: Any
    facts: Facts

    def load_data(self, name='', pixels=0):
        """The pictures that it was measured on, or those of `name`; at another size: `pixels` square (improvement 10)."""
        stride, largest = self.detector.network.stride, getattr(self.detector.network, 'largest', pixels)
        if pixels % stride or pixels > largest:
            raise UserError(f'--pixels {pixels}: give a multiple of {stride}' + f', at most {largest}' * (pixels > largest))
        experiment = self.experiment.but(pixels=pixels) if pixels else self.experiment
        experiment = replace(experiment, recipe=replace(experiment.recipe, train_samples=0))
        data = experiment.load(name or self.config['data'], self.config['data_root'] or None, self.config['seed'])
        if tuple(data.class_names) != self.facts.class_names:
            raise UserError(f'{self.folder}: finds {", ".join(self.facts.class_names)}; {data.name} has '
                            f'{", ".join(data.class_names)}')
        return data


def load_detector(folder, find):
    """Read a run folder.

    Parameters
    ----------
    folder : path-like
    find : callable
        Section -> Experiment.

    Returns
    -------
    SavedDetector

    Raises
    ------
    UserError
        Not a run folder, not of a detector, or nothing trained in it yet.
    """
    kept, config = run_folder(folder), read_config(folder)
    experiment = experiment_of(config, find, kept)
    if not experiment.detects:
        raise UserError(f'{folder}: is a run of {config["section"]}, which finds no boxes; take one of 5.7, or `predict`')
    detector = Detector(network_of(kept, config, experiment, folder))
    return SavedDetector(results_folder(folder), config, experiment, detector, Facts.of_config(config))


def detect_files(saved, paths, out, least=SHOWN, wrong=None):
    """Find objects in picture files, draw them, and write what was found.

    Parameters
    ----------
    saved : SavedDetector
    paths : list of path-like
        Files and folders.
    out : path-like
        Folder for a PNG of each picture and `detections.json`.
    least : float
        Score under which nothing is told.
    wrong : list, optional
        As for `chapters.kit.data.pictures.read_all`.

    Returns
    -------
    list of dict
        Of each picture 'file', 'width', 'height', and 'objects': each 'class', 'score', 'box' (left, top, right, bottom in
        pixels of the picture), and 'outline' of a network that gives masks, see `outline`.

    Raises
    ------
    UserError
        No such file, no picture, nothing to look at, or `least` out of range.
    """
    if not 0 < least <= 1:
        raise UserError(f'--least {least}: give a number above 0, at most 1')
    # all of them before any is drawn: one that stops it leaves nothing half done
    files = [file for file, _ in read_all(paths, lambda file: read_picture(file, 3).shape, wrong)]
    make_folder(out)
    out, told, names = Path(out), [], saved.facts.class_names
    for number, file in enumerate(files):
        picture = read_picture(file, 3)
        height, width = picture.shape[:2]
        found = detect(saved.detector, to_size(picture, saved.facts.shape[1:])[None], saved.facts.scale)[0]
        found = found[(found[:, 0] >= 0) & (found[:, 1] >= least)]
        found[:, 2:6] = found[:, 2:6].clip(0, 1)
        told.append({'file': str(file), 'width': width, 'height': height, 'objects': [
            {'class': names[int(label)], 'score': round(float(score), 4),
             'box': [round(float(edge) * side, 1) for edge, side in zip(box, (width, height) * 2)],
             **({'outline': outline(row, (height, width))} if len(row) > 6 else {})}
            for row in found for label, score, *box in [row[:6]]]})
        figure, axis = figures.plt.subplots(figsize=(7, 7 * height / width))
        draw_picture(axis, picture.transpose(2, 0, 1), found, names, least=least)
        name = file.stem if [other.stem for other in files].count(file.stem) == 1 else f'{number}-{file.stem}'
        save_figure(figure, out, name)
    with atomic_write(out / 'detections.json', text=True) as written:
        json.dump(told, written, indent=1, ensure_ascii=False)
    return told


def outline(row, size):
    """The edge of an object's mask in a picture of that height and width: a list of polygons, each of [x, y] in pixels."""
    (top, left), inside = pasted(row, size)
    polygons, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE,
                                   offset=(int(left), int(top)))
    return [polygon[:, 0].tolist() for polygon in polygons]


def draw_found(run, number=20):
    """What a detector of digits finds on canvases that it has never seen.

    Parameters
    ----------
    run : path-like
        A run folder, or `zoo:5.7.2`.
    number : int
        Of the canvases.

    Returns
    -------
    callable
        `draw(picture=0, least=0.3, overlap=0.45)` -> matplotlib figure: the boxes of that score at least, and, in dashes, the
        truth. `overlap`: see `Detector`.
    """
    import chapters
    saved = load_detector(run, chapters.find)
    pictures, objects, _ = scenes(number, 5, validation=True, side=saved.facts.shape[1])

    def draw(picture=0, least=SHOWN, overlap=0.45):
        detector = Detector(saved.detector.network, overlap)
        found = detect(detector, pictures[picture:picture + 1], saved.facts.scale)[0]
        figure, axis = figures.plt.subplots(figsize=(4.5, 4.5))
        draw_picture(axis, pictures[picture], found, saved.facts.class_names, objects[picture], least)
        return figure
    return draw


def evaluate_detector(saved, data):
    """Average precisions of a detector on validation pictures, and how many a second it looks at; draws them.

    Returns
    -------
    dict of str to float
        'mAP' and 'AP of CLASS' by Pascal VOC's rule of 2007; 'mAP by the area' of 2010; 'mAP over IoU 0.5 to 0.95', the mean
        of ten, as COCO has it; 'mask_AP' of a network that gives masks. The figure `misses` has what is wrong.
    """
    size = data.validation_x.shape[2:]
    detect(saved.detector, data.validation_x[:8], data.scale)
    began = time.perf_counter()
    found = detect(saved.detector, data.validation_x, data.scale)
    seconds = time.perf_counter() - began
    measured = saved.experiment.measures(found, data)
    areas = [measure(found, data.validation_y, data.class_names, size, threshold / 100, VOCMApMetric)['mAP']
             for threshold in range(50, 100, 5)]
    draw(lambda figure, name: save_figure(figure, saved.folder, name), found, data, size)
    save_figure(draw_misses(data.validation_x, found, data.validation_y, data.class_names), saved.folder, 'misses')
    return {**measured, 'mAP by the area': areas[0], 'mAP over IoU 0.5 to 0.95': sum(areas) / len(areas),
            'pictures a second': len(data.validation_x) / seconds}
