"""A run: one experiment with all its settings, and the folder that it fills."""
import atexit
import contextlib
import csv
import dataclasses
import json
import os
import platform
import shlex
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any, Dict

import mxnet as mx
import numpy as np

from chapters.kit.data.training_data import Facts
from chapters.kit.experiment import Experiment, Training, load_experiment
from chapters.kit.report import figures
from chapters.kit.runtime import device
from chapters.kit.trained.zoo import is_of_zoo, run_folder
from chapters.kit.training.checkpoint import Checkpoint, whole_arrays
from chapters.kit.training.from_recipe import require_known
from chapters.kit.training.precision import require_dtype
from chapters.kit.training.workers import Workers
from data_tools.atomic import atomic_path, atomic_write, make_folder
from data_tools.errors import UserError


class Run:
    """What a program of a chapter gets: settings in, a folder to fill.

    Parameters
    ----------
    experiment : Experiment
        With all changes of `--set` and the like already in its recipe.
    data : str
        Name of another image set than the experiment's own.
    data_root, out : path-like, optional
        Where to look for data; the folder to make. Default: `runs/SECTION-DATA-seedN`, with a number after it if
        that is taken.
    seed : int
    device_name : str
        As `chapters.kit.runtime.device` takes it.
    form : str
        'gluon' or 'symbolic'.
    init : path-like, optional
        A `.params` file to start from, or `zoo:NAME`; or 'zoo', the parameters that Gluon publishes for the network.
    short : str
        How it differs from the experiment of the book, for figures and reports. Default: every setting that was
        changed.
    resume : bool
        `out` holds a run that was stopped: go on.
    quiet : bool
        Print nothing.
    purpose : str
        What for, if it is not to be finished: 'doctor', 'rate', 'profile'.
    workers : Workers
        Who trains together. All but the first are quiet, and fill a folder of their own that is removed.
    watch : callable, optional
        `watch(run, history)`, called after an epoch, where one takes less than a second not after each.

    Raises
    ------
    UserError
        The folder exists already, cannot be written, or (resuming) holds a run of other settings.
    """
    def __init__(self, experiment: Experiment, data: str = '', data_root: Any = None, out: Any = None, seed: int = 0,
                 device_name: str = 'auto', form: str = 'gluon', init: Any = None, short: str = '', resume: bool = False,
                 quiet: bool = False, purpose: str = '', workers: Workers = Workers(), watch: Any = None):
        if seed < 0:
            raise UserError(f'--seed {seed}: give a number from 0 on')
        experiment.require_network()
        data = _absolute(data)
        self.recipe: Any = experiment.recipe
        self.data_name = data or experiment.data
        self.seed, self.form, self.init = seed, form, init
        self.short = short or in_words(experiment.changed)
        self.quiet, self.workers, self.watch = quiet or workers.rank > 0, workers, watch
        self.devices = workers.choose(device(device_name, workers.size > 1))
        if self.recipe and self.recipe.dtype != 'float32':
            if form == 'symbolic' or not experiment.lowers:
                raise UserError(f'--dtype {self.recipe.dtype}: the {form} training of {experiment.section} knows '
                                'float32 only')
            require_dtype(self.recipe.dtype, self.devices[0])
        if out is not None and not resume and not workers.rank:
            self._require_free(Path(out))
        self.data: Any = None
        facts = Facts()
        if isinstance(experiment, Training):
            require_known(self.recipe)  # before the data are read, which may take its time
            if init and init != 'zoo' and not is_of_zoo(init) and not Path(init).is_file() and not workers.rank:
                raise UserError(f'{init}: there is no such file of parameters')
            known = Facts.of_config(read_config(out)) if resume and not workers.rank else None
            self.data = experiment.load(data, data_root, seed, known)
            facts = self.data.facts
            experiment = experiment.fitted(facts)
            if self.data.said:
                self.say(self.data.said)
        self.experiment: Any = experiment
        self.config = {
            'section': experiment.section, 'title': experiment.title, 'title_zh': experiment.title_zh,
            'address': experiment.address, 'data': self.data_name, 'data_root': os.fspath(_absolute(data_root or '')),
            'facts': dataclasses.asdict(facts), 'recipe_name': experiment.recipe_name,
            'recipe': dict(vars(self.recipe)) if self.recipe else {},
            'sizes': dict(experiment.sizes), 'seed': seed, 'device': device_name, 'form': form,
            'init': _absolute_init(init), 'short': self.short, 'purpose': purpose, 'versions': versions(),
            'command': run_command(experiment, self.data_name, seed, form, init),
        }
        if workers.size > 1:
            self.config['versions']['workers'] = str(workers)
        self.folder = self._old_folder(out) if resume and not workers.rank else self._new_folder(out)
        self.checkpoint = Checkpoint(self.folder / 'checkpoint', experiment.snapshots)
        self._started = time.perf_counter()

    def say(self, text):
        """Print a line, at once, unless the run is quiet."""
        if not self.quiet:
            print(text, flush=True)

    def label(self, epoch):
        """What the progress bar says in front."""
        return f'{self.experiment.section} epoch {epoch}'

    @property
    def heading(self):
        """What runs, by which recipe and on which data, in one line."""
        experiment = self.experiment
        recipe = f'recipe {experiment.recipe_label}: {self.recipe}' if experiment.recipe_label else self.recipe
        return ' '.join(dict.fromkeys((experiment.section, experiment.title, experiment.title_zh))) \
            + (f' [{recipe}; data {self.data_name}]' if self.recipe else '')

    @property
    def facts(self):
        """What is known of the data, as the folder keeps it."""
        return Facts.of_config(self.config)

    @property
    def filled(self):
        """How many validation samples count twice in the book's log of this training; 0 where it prints none.

        `NDArrayIter` fills the last batch with the first samples, and `Module.score` counts them: of MNIST's 10,000 in
        batches of 32 it counts 10,016. So that ours can be held against it, the history has the accuracy both ways.
        """
        logged = self.experiment.figure('validation_accuracy_epoch0', Path(self.data_name).name)
        return -len(self.data.validation_x) % self.recipe.batch_size if logged else 0

    def draw_curves(self, history):
        """`figures/curves.png`, of more than one epoch."""
        if len(history) > 1:
            self.save_figure(figures.curves(history, self.experiment, self), 'curves')

    @staticmethod
    def line(row):
        """One epoch of a history in one line, as the book's logs have it."""
        figures = ', '.join(f'{name} {value}' if isinstance(value, int) else f'{name} {value:.6f}'
                            for name, value in row.items() if value != ''
                            and name not in ('epoch', 'learning_rate', 'seconds', 'samples_per_second', 'core_seconds',
                                             'operations'))
        return (f'epoch {row["epoch"]}: {figures}, rate {row["learning_rate"]:.4g}, {row["seconds"]:.1f} s, '
                f'{row["samples_per_second"]:.0f} samples/s')

    def load_parameters(self, network):
        """Start from the parameters of `--init`, written by either form; or from those of the zoo, where there are any."""
        if self.init == 'zoo':
            if not hasattr(network, 'load_zoo'):
                raise UserError(f'{self.experiment.section}: --init zoo: no published parameters are known for its network; '
                                'give a .params file')
            network.load_zoo(self.recipe.fresh.split())
            return
        from chapters.kit.proof.symbolic import load_into, symbols_of
        symbols = []
        if self.experiment.symbolic:
            with contextlib.suppress(TypeError):  # a size that the listing lacks: then only our own names fit
                symbols = symbols_of(self.experiment)
        path = last_export(run_folder(self.init)) if is_of_zoo(self.init) else self.init
        load_into(network, path, symbols, self.devices, self.recipe.fresh.split())

    @staticmethod
    def _require_free(folder):
        if folder.exists():
            raise UserError(f'{folder}: exists already and is kept as it is; choose another --out, or --resume {folder} to go '
                            'on with it')

    def _new_folder(self, out):
        folder = out
        try:
            if self.workers.rank:
                folder = Path(tempfile.mkdtemp(prefix='bookcnn-worker-'))
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
            elif out is not None:
                folder = Path(out)
                self._require_free(folder)  # another may have made it meanwhile
                folder.mkdir(parents=True)
            else:
                folder = free_folder(self.experiment.section, self.data_name, self.seed, self.form,
                                     f'{self.experiment.recipe_name} {self.short}'.strip())
                folder.mkdir(parents=True)
            if '.py:' in self.experiment.address:  # so that the folder needs nothing that lies elsewhere
                path, _, name = self.experiment.address.rpartition(':')
                shutil.copyfile(path, folder / 'experiment.py')
            self._write_json(folder / 'config.json', self.config)
        except OSError as error:
            raise UserError(f'{folder}: cannot be made ({error.strerror}); choose another --out') from None
        return folder

    def remove_if_empty(self):
        """Remove the folder if nothing has been done in it, so that the same command, mended, can have it."""
        if not any(path.is_file() and path.name != 'config.json' for path in self.folder.rglob('*')):
            shutil.rmtree(self.folder, ignore_errors=True)

    def _old_folder(self, out):
        folder = Path(out)
        config = read_config(folder)
        for name in ('section', 'facts', 'recipe', 'sizes', 'seed', 'data', 'form'):
            mine, theirs = json.loads(json.dumps(self.config[name])), config[name]
            if name == 'recipe' and theirs:  # fields that recipes did not have when the run began, or have no more
                theirs = {**json.loads(json.dumps(vars(type(self.experiment.recipe)()))), **theirs}
                theirs = {field: theirs[field] for field in mine}
            if name == 'facts' and mine != theirs:
                different = [key for key in mine if key in theirs and mine[key] != theirs[key]]  # runs before had fewer
                if set(different) - {'files', 'note'}:
                    raise UserError(f'{folder}: {self.data_name} is not what it was when the run began (other '
                                    f'{", ".join(different)}); give it back what it had, or begin a new run')
            elif theirs != mine:
                raise UserError(f'{folder}: holds a run with another {name}; leave out the settings when resuming')
        self.config = config
        return folder

    def save_best(self, network):
        """Keep the parameters that early stopping will come back to."""
        self.checkpoint.folder.mkdir(exist_ok=True)
        with whole_arrays(self.checkpoint.folder / 'best.params') as beside:
            network.save_parameters(str(beside))

    def load_best(self, network):
        """Go back to the parameters of `save_best`."""
        network.load_parameters(str(self.checkpoint.folder / 'best.params'), ctx=self.devices)

    def write_history(self, rows):
        """`history.csv`: one row an epoch."""
        with atomic_write(self.folder / 'history.csv', text=True) as file:
            writer = csv.DictWriter(file, list(rows[-1]), restval='')  # the first may be of a time with fewer figures
            writer.writeheader()
            writer.writerows(rows)
        if self.watch:
            self.watch(self, rows)

    def settle(self, **sizes):
        """Fix sizes of the network that its data decide, before it is built; a run that is resumed has them already."""
        self.experiment = dataclasses.replace(self.experiment, sizes={**self.experiment.sizes, **sizes})
        self.config['sizes'], self.config['settled'] = dict(self.experiment.sizes), sorted(sizes)
        self._write_json(self.folder / 'config.json', self.config)

    def export(self, network, epochs):
        """`model-symbol.json` and `model-NNNN.params`, which `SymbolBlock.imports` and `Module.load` read."""
        self.export_for(network, epochs, np.asarray(self.data.train_x[:1]))

    def export_for(self, network, epochs, sample):
        """The same of a network that takes other samples than the data's, such as codes or boards; `sample`: (1, ...)."""
        device = next(iter(network.collect_params().values())).list_ctx()[0]
        network(mx.nd.array(sample, device))  # builds the graph, if nothing has yet
        name = f'model-{epochs:04d}.params'
        with atomic_path(self.folder / 'model-symbol.json') as symbol, whole_arrays(self.folder / name) as params, \
                tempfile.TemporaryDirectory(prefix='.', dir=self.folder) as part:
            network.export(os.path.join(part, 'model'), epochs)  # which chooses the files' names
            os.replace(os.path.join(part, 'model-symbol.json'), symbol)
            os.replace(os.path.join(part, name), params)
        self.config['input_shape'] = list(sample.shape[1:])
        self._write_json(self.folder / 'config.json', self.config)

    def save_figure(self, figure, name):
        """Write a matplotlib figure to `figures/NAME.png`, and close it; returns the path."""
        return save_figure(figure, self.folder, name)

    def finish(self, metrics, history=()):
        """Write `result.json`; the run is complete when it is there.

        Parameters
        ----------
        metrics : dict of str to float
            Figures that are not in the history.
        history : list of dict
        """
        found = {}
        for name in history[-1] if history else ():
            if name.startswith(('train_', 'validation_')):
                values = [row[name] for row in history]
                best = min if name.endswith(('loss', 'mse')) else max
                found[name] = {'last': values[-1], 'best': best(values)}
        for name, value in metrics.items():
            found[name] = {'last': float(value), 'best': float(value)}
        for printed in self.experiment.book:  # the book's log of a certain epoch, 'validation_accuracy_epoch1'
            name, _, epoch = printed.metric.rpartition('_epoch')
            for column in (name, f'{name}_filled') if name and epoch.isdigit() else ():
                if int(epoch) < len(history) and column in history[int(epoch)]:
                    value = history[int(epoch)][column]
                    found[f'{column}_epoch{epoch}'] = {'last': value, 'best': value}
            if printed.metric == 'seconds_an_epoch' and history:
                value = float(np.median([row['seconds'] for row in history]))
                found[printed.metric] = {'last': value, 'best': value}
        parameters = 0
        params = sorted(self.folder.glob('model-*.params'))
        if params:
            parameters = sum(array.size for name, array in mx.nd.load(str(params[-1])).items()
                             if name.startswith('arg:'))
        rates = sorted(row['samples_per_second'] for row in history)
        result = {
            'section': self.experiment.section, 'data': self.data_name, 'recipe_name': self.experiment.recipe_name,
            'epochs': len(history),
            'metrics': found,
            'book': {figure.metric: figure.value for figure in self.experiment.book
                     if figure.data in ('', self.data_name, Path(self.data_name).name)},
            'seconds': sum(row['seconds'] for row in history) or time.perf_counter() - self._started,
            'samples_per_second': rates[len(rates) // 2] if rates else 0.0,
            'core_seconds': sum(row.get('core_seconds') or 0 for row in history),
            'operations': sum(row.get('operations') or 0 for row in history),
            'parameters': parameters, 'seed': self.seed, 'short': self.short,
            'note': self.data.note if self.data else '',
            'versions': self.config['versions'], 'command': self.config['command'],
        }
        self._write_json(self.folder / 'result.json', result)
        self.checkpoint.forget()
        return result

    @staticmethod
    def _write_json(path, value):
        with atomic_write(path, text=True) as file:
            json.dump(value, file, indent=1, ensure_ascii=False)
            file.write('\n')


def words(value):
    """A setting as `--set` takes it."""
    return ','.join(map(str, value)) if isinstance(value, tuple) else str(value)


def in_words(changes):
    """Settings, {name: value}, in one line."""
    return ', '.join(f'{name}={words(value)}' for name, value in changes.items())


def _absolute(name):
    """A path of data, wherever it will be used from; the name of a known set as it is."""
    return os.path.abspath(os.path.expanduser(name)) if name and os.path.exists(os.path.expanduser(name)) else name


def _absolute_init(init):
    """What `--init` names, wherever it will be used from."""
    return str(init) if init == 'zoo' or is_of_zoo(init) else os.path.abspath(init) if init else ''


def free_folder(what, data, seed, form='gluon', changes='', runs='runs'):
    """A folder under `runs` that is not there yet: its name says section, data, form, changes and seed."""
    parts = [what, Path(data).name.split('.')[0] or 'book'] + ['symbolic'] * (form == 'symbolic')
    parts += [''.join(letter if letter.isalnum() or letter in '._' else '-' for letter in changes)[:60].strip('-')]
    name = '-'.join([part for part in parts if part] + [f'seed{seed}'])
    while '--' in name:
        name = name.replace('--', '-')
    number, folder = 2, Path(runs) / name
    while folder.exists():
        folder, number = Path(runs) / f'{name}-{number}', number + 1
    return folder


def save_figure(figure, folder, name):
    """Write a matplotlib figure to `figures/NAME.png` of a run folder, and close it; returns the path."""
    import matplotlib.pyplot as plt
    path = Path(folder) / 'figures' / f'{name}.png'
    make_folder(path.parent)
    with atomic_path(path) as beside:
        figure.savefig(beside, bbox_inches='tight')  # dpi: see figures
    plt.close(figure)
    return path


def last_export(folder):
    """The newest `model-NNNN.params` of a run folder, or None."""
    return max(Path(folder).glob('model-*.params'), default=None)


def validation_accuracy(folder):
    """The accuracy of a run on validation data, or None while it still trains, or where it is no classifier."""
    folder = run_folder(folder)
    try:
        known = read_config(folder).get('zoo')
        if known:
            return known['accuracy']
        return json.loads((folder / 'result.json').read_text(encoding='utf-8'))['metrics']['validation_accuracy']['last']
    except (OSError, ValueError, KeyError):
        return None


# What every run's `config.json` has.
_OF_CONFIG: Dict[str, Any] = {
    **dict.fromkeys(('section', 'title', 'title_zh', 'data', 'data_root', 'device', 'form', 'short', 'command'), str),
    **dict.fromkeys(('facts', 'recipe', 'sizes'), dict), 'seed': int, 'init': (str, type(None))}


def read_config(folder):
    """`config.json` of a run folder, or of `zoo:NAME`.

    Raises
    ------
    UserError
        No such folder, or not of a run.
    """
    path = run_folder(folder) / 'config.json'
    try:
        config = json.loads(path.read_text(encoding='utf-8'))
    except OSError:
        raise UserError(f'{folder}: not a run folder (it has no config.json)') from None
    except ValueError:
        raise UserError(f'{path}: damaged, not JSON') from None
    wrong = 'it is no object' if not isinstance(config, dict) else ', '.join(
        f'{name} is {config[name]!r}' if name in config else f'it has no {name}'
        for name, kind in _OF_CONFIG.items() if not isinstance(config.get(name), kind))
    if wrong:
        raise UserError(f'{path}: of no run of this program, or changed since: {wrong[:200]}')
    return config


def read_evaluation(folder):
    """{name: value} of what `chapters evaluate` has measured of a run beyond `result.json`; empty if nothing.

    Raises
    ------
    UserError
        `evaluation.json` is damaged.
    """
    path = Path(folder) / 'evaluation.json'
    try:
        return json.loads(path.read_text(encoding='utf-8')) if path.exists() else {}
    except ValueError:
        raise UserError(f'{path}: damaged JSON; delete it and evaluate the run again') from None


def experiment_of(config, find, folder=None):
    """The experiment that a `config.json` describes, with the settings of the run.

    Parameters
    ----------
    config : dict
        See `read_config`.
    find : callable
        Section -> Experiment.
    folder : path-like, optional
        The run folder, which keeps a copy of the file of an experiment that is not the book's.

    Returns
    -------
    Experiment

    Raises
    ------
    UserError
        There is no such section, or it no longer has one of the settings.
    """
    if config.get('address'):
        own = Path(folder or '') / 'experiment.py'
        address = config['address']
        if folder and own.exists():
            address = f'{own}:{address.rpartition(":")[2]}'
        experiment = dataclasses.replace(load_experiment(address), address=config['address'])
    else:
        experiment = find(config['section'])
    experiment = experiment.by(config.get('recipe_name', ''))
    sizes = {name: tuple(value) if isinstance(value, list) else value for name, value in config['sizes'].items()}
    gone = [name for name in sizes if name not in experiment.settings()]
    if gone:
        raise UserError(f'{config["section"]}: there is nothing called {gone[0]!r} any more')
    changes = {}
    if isinstance(experiment, Training):
        experiment = experiment.fitted(Facts.of_config(config))
        known = vars(experiment.recipe)
        # Every recipe once had a field for the symmetries of Go's board; runs of that time go on.
        changes = {name: value for name, value in config['recipe'].items() if known.get(name) != value
                   and (name in known or name != 'apply_symmetry')}
    changes.update((name, value) for name, value in sizes.items() if experiment.sizes.get(name) != value)
    return experiment.but(**changes) if changes else experiment


def run_command(experiment, data, seed=0, form='gluon', init=None):
    """The command that repeats a run of an experiment as it is now, on some data."""
    command = ['python', '-m', 'chapters', 'run', experiment.address or experiment.section]
    if data != experiment.data:
        command += ['--data', data]
    if experiment.recipe_name:
        command += ['--recipe', experiment.recipe_name]
    for name, value in experiment.changed.items():
        if name in ('epochs', 'batch_size', 'learning_rate', 'dtype'):
            command += ['--' + name.replace('_', '-'), words(value)]
        else:
            command += ['--set', f'{name}={words(value)}']
    if seed:
        command += ['--seed', str(seed)]
    if form != 'gluon':
        command += ['--form', form]
    if init:
        command += ['--init', os.fspath(init)]
    return shlex.join(command)


def versions():
    """What a figure depends on besides the code of this project."""
    import numpy
    return {'python': platform.python_version(), 'mxnet': mx.__version__, 'numpy': numpy.__version__,
            'machine': _processor(), 'threads': os.environ.get('OMP_NUM_THREADS', ''),
            'commit': _commit()}


def _processor():
    try:
        for line in Path('/proc/cpuinfo').read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    except OSError:
        pass
    return platform.machine()


def _commit():
    """The commit of this project's tree, with '+' where it was changed since; empty outside git."""
    import subprocess
    try:
        root = Path(__file__).parents[2]
        commit = subprocess.run(['git', '-C', root, 'rev-parse', '--short=10', 'HEAD'], capture_output=True,
                                text=True, check=True).stdout.strip()
        changed = subprocess.run(['git', '-C', root, 'diff', '--quiet', 'HEAD', '--'], capture_output=True)
        return commit + ('+' if changed.returncode else '')
    except (OSError, subprocess.CalledProcessError):
        return ''
