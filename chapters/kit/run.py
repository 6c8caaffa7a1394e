"""A run: one experiment with all its settings, and the folder that it fills."""
import atexit
import contextlib
import csv
import json
import os
import platform
import shlex
import shutil
import tempfile
import time
from pathlib import Path

from chapters.kit.checkpoint import Checkpoint
from chapters.kit.data import load_data
from chapters.kit.distributed import Workers
from chapters.kit.experiment import Experiment
from chapters.kit.precision import require_dtype
from chapters.kit.recipe import Recipe
from chapters.kit.runtime import device, mx
from data_tools.atomic import atomic_path, atomic_write
from data_tools.errors import UserError


# Changes after which a figure is no longer that of the book's experiment in full; so is any change of the network.
_SHORTENING = ('epochs', 'train_samples', 'samples_per_epoch')


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
        A `.params` file to start from.
    short : str
        What was cut short, for figures and reports; empty for a run in full.
    resume : bool
        `out` holds a run that was stopped: go on.
    quiet : bool
        Print nothing.
    workers : Workers
        Who trains together. All but the first are quiet, and fill a folder of their own that is removed.

    Raises
    ------
    UserError
        The folder exists already, cannot be written, or (resuming) holds a run of other settings.
    """
    def __init__(self, experiment: Experiment, data='', data_root=None, out=None, seed=0, device_name='auto',
                 form='gluon', init=None, short='', resume=False, quiet=False,
                 workers=Workers()):
        if seed < 0:
            raise UserError(f'--seed {seed}: give a number from 0 on')
        self.experiment, self.recipe = experiment, experiment.recipe
        self.data_name = data or experiment.data
        self.seed, self.form, self.init = seed, form, init
        self.short = short or ', '.join(f'{name}={value}' for name, value in experiment.changed.items()
                                        if name in _SHORTENING or name in experiment.sizes)
        self.quiet, self.workers = quiet or workers.rank > 0, workers
        self.devices = workers.choose(device(device_name, workers.size > 1))
        if self.recipe and self.recipe.dtype != 'float32':
            if form == 'symbolic' or not experiment.trains:
                raise UserError(f'--dtype {self.recipe.dtype}: the {form} training of {experiment.section} knows '
                                'float32 only')
            require_dtype(self.recipe.dtype, self.devices[0])
        self.data = load_data(experiment, data, data_root, seed) if self.recipe else None
        self.config = {
            'section': experiment.section, 'title': experiment.title, 'title_zh': experiment.title_zh,
            'data': self.data_name, 'data_root': os.fspath(data_root) if data_root else '',
            'recipe': dict(vars(self.recipe)) if self.recipe else {}, 'sizes': dict(experiment.sizes),
            'seed': seed, 'device': device_name, 'form': form, 'init': os.fspath(init) if init else '',
            'short': self.short, 'class_names': list(self.data.class_names) if self.data else [],
            'versions': versions(), 'command': run_command(experiment, self.data_name, seed, form, init),
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

    @staticmethod
    def line(row):
        """One epoch of a history in one line, as the book's logs have it."""
        figures = ', '.join(f'{name} {value:.6f}' for name, value in row.items()
                            if name.startswith(('train_', 'validation_')))
        return (f'epoch {row["epoch"]}: {figures}, rate {row["learning_rate"]:.4g}, {row["seconds"]:.1f} s, '
                f'{row["samples_per_second"]:.0f} samples/s')

    def load_parameters(self, network):
        """Start from the parameters of `--init`, written by either form."""
        from chapters.kit.symbolic import load_into
        symbol = None
        if self.experiment.symbolic:
            with contextlib.suppress(TypeError):  # a size that the listing lacks: then only our own names fit
                symbol = self.experiment.symbolic_form().symbol(**self.experiment.sizes)
        load_into(network, self.init, symbol, self.devices, self.recipe.fresh.split())

    def _new_folder(self, out):
        folder = out
        try:
            if self.workers.rank:
                folder = Path(tempfile.mkdtemp(prefix='bookcnn-worker-'))
                atexit.register(shutil.rmtree, folder, ignore_errors=True)
            elif out is not None:
                folder = Path(out)
                if folder.exists():
                    raise UserError(f'{folder}: exists already and is kept as it is; choose another --out, or '
                                    f'--resume {folder} to go on with it')
                folder.mkdir(parents=True)
            else:
                folder = free_folder(self.experiment.section, self.data_name, self.seed)
                folder.mkdir(parents=True)
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
        for name in ('section', 'recipe', 'sizes', 'seed', 'data', 'form'):
            mine, theirs = json.loads(json.dumps(self.config[name])), config[name]
            if name == 'recipe' and theirs:  # fields that recipes did not have when the run began
                theirs = {**json.loads(json.dumps(vars(Recipe()))), **theirs}
            if theirs != mine:
                raise UserError(f'{folder}: holds a run with another {name}; leave out the settings when resuming')
        self.config = config
        return folder

    def save_best(self, network):
        """Keep the parameters that early stopping will come back to."""
        self.checkpoint.folder.mkdir(exist_ok=True)
        with atomic_path(self.checkpoint.folder / 'best.params') as beside:
            network.save_parameters(str(beside))

    def load_best(self, network):
        """Go back to the parameters of `save_best`."""
        network.load_parameters(str(self.checkpoint.folder / 'best.params'), ctx=self.devices)

    def write_history(self, rows):
        """`history.csv`: one row an epoch."""
        with atomic_write(self.folder / 'history.csv', text=True) as file:
            writer = csv.DictWriter(file, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def export(self, network, epochs):
        """`model-symbol.json` and `model-NNNN.params`, which `SymbolBlock.imports` and `Module.load` read."""
        network(mx.nd.array(self.data.train_x[:1], self.devices[0]))  # builds the graph, if nothing has yet
        network.export(str(self.folder / 'model'), epochs)

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
        figures = {}
        for name in history[-1] if history else ():
            if name.startswith(('train_', 'validation_')):
                values = [row[name] for row in history]
                best = min if name.endswith(('loss', 'mse')) else max
                figures[name] = {'last': values[-1], 'best': best(values)}
        for name, value in metrics.items():
            figures[name] = {'last': float(value), 'best': float(value)}
        for printed in self.experiment.book:  # the book's log of a certain epoch, 'validation_accuracy_epoch1'
            name, _, epoch = printed.metric.rpartition('_epoch')
            if name and int(epoch) < len(history) and name in history[0]:
                value = history[int(epoch)][name]
                figures[printed.metric] = {'last': value, 'best': value}
        parameters = 0
        params = sorted(self.folder.glob('model-*.params'))
        if params:
            parameters = sum(array.size for name, array in mx.nd.load(str(params[-1])).items()
                             if name.startswith('arg:'))
        rates = sorted(row['samples_per_second'] for row in history)
        result = {
            'section': self.experiment.section, 'data': self.data_name, 'epochs': len(history),
            'metrics': figures,
            'book': {figure.metric: figure.value for figure in self.experiment.book
                     if figure.data in ('', self.data_name, Path(self.data_name).name)},
            'seconds': sum(row['seconds'] for row in history) or time.perf_counter() - self._started,
            'samples_per_second': rates[len(rates) // 2] if rates else 0.0,
            'parameters': parameters, 'seed': self.seed, 'short': self.short,
            'note': self.data.note if self.data else '',
            'versions': self.config['versions'], 'command': self.config['command'],
        }
        self._write_json(self.folder / 'result.json', result)
        return result

    @staticmethod
    def _write_json(path, value):
        with atomic_write(path, text=True) as file:
            json.dump(value, file, indent=1, ensure_ascii=False)
            file.write('\n')


def free_folder(what, data, seed, runs='runs'):
    """A folder under `runs` that is not there yet: WHAT-DATA-seedN, with a number after it if that is taken."""
    name = f'{what}-{Path(data).name or "book"}-seed{seed}'
    number, folder = 2, Path(runs) / name
    while folder.exists():
        folder, number = Path(runs) / f'{name}-{number}', number + 1
    return folder


def save_figure(figure, folder, name):
    """Write a matplotlib figure to `figures/NAME.png` of a run folder, and close it; returns the path."""
    import matplotlib.pyplot as plt
    path = Path(folder) / 'figures' / f'{name}.png'
    path.parent.mkdir(exist_ok=True)
    with atomic_path(path) as beside:
        figure.savefig(beside, bbox_inches='tight')  # dpi: see figures
    plt.close(figure)
    return path


def read_config(folder):
    """`config.json` of a run folder.

    Raises
    ------
    UserError
        No such folder, or not of a run.
    """
    path = Path(folder) / 'config.json'
    try:
        return json.loads(path.read_text(encoding='utf-8'))
    except OSError:
        raise UserError(f'{folder}: not a run folder (it has no config.json)') from None
    except ValueError:
        raise UserError(f'{path}: damaged, not JSON') from None


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


def experiment_of(config, find):
    """The experiment that a `config.json` describes, with the settings of the run.

    Parameters
    ----------
    config : dict
        See `read_config`.
    find : callable
        Section -> Experiment.

    Returns
    -------
    Experiment

    Raises
    ------
    UserError
        There is no such section, or it no longer has one of the settings.
    """
    experiment = find(config['section'])
    changes = {name: value for name, value in config['recipe'].items()
               if getattr(experiment.recipe, name, None) != value}
    changes.update({name: tuple(value) if isinstance(value, list) else value
                    for name, value in config['sizes'].items() if experiment.sizes.get(name) != value})
    return experiment.but(**changes) if changes else experiment


def run_command(experiment, data, seed=0, form='gluon', init=None):
    """The command that repeats a run of an experiment as it is now, on some data."""
    words = ['python', '-m', 'chapters', 'run', experiment.section]
    if data != experiment.data:
        words += ['--data', data]
    for name, value in experiment.changed.items():
        value = ','.join(map(str, value)) if isinstance(value, tuple) else str(value)
        if name in ('epochs', 'batch_size', 'learning_rate', 'dtype'):
            words += ['--' + name.replace('_', '-'), value]
        else:
            words += ['--set', f'{name}={value}']
    if seed:
        words += ['--seed', str(seed)]
    if form != 'gluon':
        words += ['--form', form]
    if init:
        words += ['--init', os.fspath(init)]
    return shlex.join(words)


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
