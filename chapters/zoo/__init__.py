"""Trained networks that come along with this project.

    from chapters import zoo
    saved = zoo.load('4.4')                     # its network, and what it must know of pictures
    saved.network, saved.class_names, saved.read_image('photo.png')

`zoo:4.4` stands for one wherever a run folder is taken: `python -m chapters predict zoo:4.4 photo.png`. A folder here is a
run folder without its history; CONTRIBUTING.md says how one is added.
"""
import json
import os
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

import mxnet as mx
import numpy as np

import chapters
from chapters.kit.trained.answers import probabilities_of
from chapters.kit.trained.export import trained_graph
from chapters.kit.trained.prediction import Predictor
from chapters.kit.trained.run import experiment_of, last_export, read_config
from chapters.kit.trained.saved import SavedRun, load_run
from chapters.kit.trained.zoo import MARK, ZOO, is_of_zoo, names, refuse_to_change, results_folder
from data_tools.atomic import checksum
from data_tools.datasets import LICENCES
from data_tools.errors import UserError
from data_tools.whole_folder import whole_folder

MOST_BYTES, MOST_BYTES_IN_ALL = 4_000_000, 12_000_000  # of one, and of all


@dataclass(frozen=True)
class Entry:
    """One of the trained networks.

    Attributes
    ----------
    name : str
        What follows `zoo:`.
    config : dict
        Its `config.json`: that of the run, and 'zoo', which has its accuracy, measured with the numbers in half precision
        on all validation data ('accuracy', None where it is no classifier, and 'validation_samples'); else the figures of
        its run ('figures'), of a detector its mAP measured again; of others how much the rounding changes their outputs, the
        largest being 1 ('rounding'); the 'recipe' by its name; 'data' with 'name' and 'licence'; and 'sha256' of its files.
    size : int
        Bytes on the disk.
    """
    name: str
    config: dict
    size: int

    @property
    def title(self):
        """In English."""
        return self.config['title']

    @property
    def title_zh(self):
        """In Chinese."""
        return self.config['title_zh']

    @property
    def about(self):
        """The part of its config that other runs do not have."""
        return self.config['zoo']


def entries():
    """All of them.

    Returns
    -------
    list of Entry
    """
    return [Entry(name, json.loads((ZOO / name / 'config.json').read_text(encoding='utf-8')), _size(ZOO / name))
            for name in names()]


def load(name):
    """A trained network.

    Parameters
    ----------
    name : str
        As `entries` has it.

    Returns
    -------
    chapters.kit.trained.saved.SavedRun
        Its `network` computes in 32 bits. Of chapter 8 it is the part that makes images of codes; of a detector (5.7) it
        gives boxes and scores, see `trained_graph`.

    Raises
    ------
    UserError
        There is no such network, or its files are damaged.
    """
    run = MARK + name
    config = read_config(run)
    experiment = experiment_of(config, chapters.find)
    if experiment.trains:
        return load_run(run, chapters.find)
    return SavedRun(results_folder(run), config, experiment, trained_graph(run, chapters.find).block())


def add(run, name):
    """Put a finished run into the zoo, in place of what has this name there.

    Parameters
    ----------
    run : path-like
        Its folder. The data that it was trained on must be at hand: accuracy is measured again.
    name : str
        A section, and perhaps more: '4.4', '5.5.7-fast'.

    Returns
    -------
    Entry

    Raises
    ------
    UserError
        The run is not finished, not of the book, or of data that have no name; the zoo becomes too large. The zoo is then as
        it was.
    """
    refuse_to_change(run)
    run, config = Path(run), read_config(run)
    if not all(letter.isalnum() or letter in '.-' for letter in name) or not name[:1].isdigit():
        raise UserError(f'{name}: a name begins with a section and has letters, digits, points and hyphens')
    try:
        result = json.loads((run / 'result.json').read_text(encoding='utf-8'))
    except (OSError, ValueError):
        raise UserError(f'{run}: is not finished; --resume it') from None
    params = last_export(run)
    if not params or not (run / 'model-symbol.json').exists():
        raise UserError(f'{run}: holds no exported network')
    experiment = experiment_of(config, chapters.find, run)
    data = config['data'] or experiment.settings().get('style', '')  # a painting is the data of 5.8-fast
    if config['init'] and not is_of_zoo(config['init']):
        raise UserError(f'{run}: begins with what {config["init"]} has learnt, so that nobody could repeat it')
    if config['address'] or data not in LICENCES or config['sizes'].get('photographs'):
        raise UserError(f'{run}: the zoo takes experiments of the book on {", ".join(LICENCES)}, and this is '
                        f'{config["address"] or config["section"]} on {data}; a set is found by its name in $BOOKCNN_DATA')
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        kept = [run / 'model-symbol.json', params, *(path for path in run.glob('*.params') if path.name != params.name)]
        kept += [path.with_suffix('.json') for path in kept[2:] if path.with_suffix('.json').exists()]
        for path in kept:
            if path.suffix == '.params':
                arrays = mx.nd.load(os.fspath(path))
                mx.nd.save(os.fspath(folder / path.name), {key: _in_half(array) for key, array in arrays.items()})
            else:
                shutil.copyfile(path, folder / path.name)
        config.update(data_root='', facts={**config['facts'], 'files': []})  # paths of one machine
        _write(folder, config)
        figures = {metric: value['last'] for metric, value in result['metrics'].items() if not metric.startswith('train_')}
        measured = _measured(run, folder)
        about = {'recipe': ', '.join(filter(None, (experiment.recipe_label, config['short']))) or 'as in the code',
                 'data': LICENCES[data], **measured, 'figures': {**figures, **measured.get('figures', {})},
                 'sha256': {path.name: checksum(folder / path.name) for path in kept}}
        _write(folder, {**config, 'zoo': {'name': MARK + name, **about}})
        size, others = _size(folder), sum(entry.size for entry in entries() if entry.name != name)
        if size > MOST_BYTES or size + others > MOST_BYTES_IN_ALL:
            raise UserError(f'{run}: takes {size / 1e6:.2f} MB, beside {others / 1e6:.2f} MB of the others; a network may take '
                            f'{MOST_BYTES / 1e6:g} MB, all {MOST_BYTES_IN_ALL / 1e6:g} MB')
        shutil.rmtree(ZOO / name, ignore_errors=True)
        with whole_folder(ZOO / name) as part:
            for path in folder.iterdir():
                shutil.copyfile(path, Path(part, path.name))
    return next(entry for entry in entries() if entry.name == name)


def _in_half(array):
    """Matrices and kernels in 16 bits. Vectors are few, and BN's variances may be larger than 16 bits can say."""
    return array.astype('float16') if array.ndim > 1 and array.dtype == np.float32 else array


def _measured(run, folder):
    """What the rounded network of a folder is worth."""
    experiment = experiment_of(read_config(folder), chapters.find)
    if experiment.trains and experiment.objective == 'softmax':
        saved = load_run(folder, chapters.find)
        data = saved.load_data()
        said = probabilities_of(Predictor(saved.network), data.validation_x).argmax(axis=1)
        return {'accuracy': float((said == data.validation_y.astype(int)).mean()), 'validation_samples': len(said)}
    if experiment.detects:
        from chapters.ch05_detection_style.detect import load_detector
        from chapters.ch05_detection_style.detector import detect
        saved = load_detector(folder, chapters.find)
        data = saved.load_data()
        found = detect(saved.detector, data.validation_x, data.scale)
        return {'accuracy': None, 'validation_samples': len(found),
                'figures': {f'validation_{name}': value for name, value in experiment.measures(found, data).items()
                            if ' ' not in name}}
    before, after = (trained_graph(place, chapters.find) for place in (run, folder))
    x = before.samples() if before.of_any_size else np.random.default_rng(0).standard_normal(
        (200, *before.input_shape[1:])).astype(np.float32)
    before, after = before.outputs(x)[0], after.outputs(x)[0]
    return {'accuracy': None, 'rounding': float(np.abs(after - before).max() / np.abs(before).max())}


def _write(folder, config):
    (folder / 'config.json').write_text(json.dumps(config, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


def _size(folder):
    return sum(path.stat().st_size for path in Path(folder).iterdir() if path.is_file())
