"""From an experiment to a finished run folder."""
import contextlib
import fcntl
import json
import os

from chapters.kit.trained.run import Run, experiment_of, last_export, read_config
from chapters.kit.trained.zoo import refuse_to_change
from chapters.kit.training.epochs import Diverged
from chapters.kit.training.workers import WorkerLost, Workers
from data_tools.errors import UserError


def run_experiment(experiment, resume=False, workers=Workers(), **settings):
    """Run one experiment, and leave its folder.

    Parameters
    ----------
    experiment : Experiment
    resume : bool
    workers : Workers, optional
        Who trains together.
    settings
        As `Run` takes them.

    Returns
    -------
    (Run, dict)
        The run, and what stands in its `result.json`.
    """
    run = workers.together(lambda: _begin(experiment, resume, workers, **settings))
    with workers.together(lambda: _held(run.folder)):
        run.say(run.heading)
        try:
            return perform(run) if workers.size == 1 else _perform_together(run)
        except KeyboardInterrupt:
            if not run.checkpoint.exists:
                run.remove_if_empty()
                raise
            raise KeyboardInterrupt('\nstopped; to go on from what was kept last: python -m chapters run --resume '
                                    f'{run.folder}') from None
        except Exception:
            if not resume:
                run.remove_if_empty()
            raise


def _held(folder):
    """A context in which no second program goes on with the run of a folder; the system ends it when this program ends."""
    descriptor, held = os.open(folder, os.O_RDONLY), contextlib.ExitStack()
    held.callback(os.close, descriptor)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        held.close()
        raise UserError(f'{folder}: another program is running it; wait for that one, or stop it') from None
    except OSError:  # a file system without locks
        pass
    return held


def shortened(experiment, data='', changes=()):
    """An experiment in short form, on data that come with the project where the book's do not.

    Parameters
    ----------
    experiment : Experiment
    data : str
        In place of its own. Default: what stands in for them.
    changes : mapping of str to value
        Settings that make it short, but for those that have been changed already.

    Returns
    -------
    (Experiment, str, str)
        The experiment, the data, and what was cut short in words.
    """
    data = data or experiment.stand_in
    if data == experiment.data:
        data = ''
    words, before = [f'{data} in place of {experiment.data}'] * bool(data and experiment.data), experiment.settings()
    changes = {name: value for name, value in dict(changes).items() if name not in experiment.changed}
    for name, value in changes.items():
        if name not in before or before[name] != value:
            old = {'train_samples': 'all'}.get(name, 0) if before.get(name) == 0 else before.get(name)
            value, old = (repr(one) if one == '' else one for one in (value, old))  # an empty one would read as a gap
            words.append(f'{name} {value}' + (f' in place of {old}' if name in before else ''))
    return experiment.but(**changes), data, ', '.join(words)


def perform(run):
    """Do what a run is for; returns what `run_experiment` does."""
    answer = run.experiment.perform(run)
    return run, run.finish(*answer) if isinstance(answer, tuple) else run.finish(answer)


def _begin(experiment, resume, workers, form='gluon', init=None, **settings):
    """The run, unless it asks for what its experiment does not know, or several workers cannot do together."""
    section = experiment.section
    if not experiment.trains and (form != 'gluon' or init and not experiment.detects):
        raise UserError(f'{section}: it takes neither --form nor --init')
    if workers.size > 1 and (not experiment.shared or form == 'symbolic'):
        raise UserError(f'{section}: --distributed is for the training of classifiers, policy networks and DCGAN by the '
                        'gluon form')
    run = Run(experiment, resume=resume, workers=workers, form=form, init=init, **settings)
    if workers.size > 1 and min(run.recipe.batch_size, len(run.data.validation_x)) < workers.size:
        run.remove_if_empty()
        raise UserError(f'{section}: batches of {run.recipe.batch_size} and {len(run.data.validation_x)} validation '
                        f'samples are not enough for {workers}; use fewer, or a larger --batch-size')
    return run


def _perform_together(run):
    workers = run.workers
    workers.agree({'recipe': vars(run.recipe), 'sizes': run.experiment.sizes, 'classes': run.data.class_names,
                   'training samples': len(run.data.train_x), 'validation samples': len(run.data.validation_x)})
    workers.send_files(run.checkpoint.folder)
    run.say(f'{workers}, together {run.recipe.batch_size} samples an update; run folder {run.folder}')
    try:
        return perform(run)
    except (Diverged, WorkerLost) as error:
        if workers.rank:  # all have seen it; the first says it
            raise SystemExit(2) from None
        if isinstance(error, Diverged):
            raise
        raise UserError(f'{run.folder}: stopped: {error}. To go on after the last whole epoch, with as many workers as '
                        f'you like: --resume {run.folder}') from None


def resume(folder, find, workers=Workers()):
    """Go on with the run in a folder.

    Parameters
    ----------
    folder : path-like
    find : callable
        Section -> Experiment.
    workers : Workers, optional
        Who goes on together; the folder need be there for the first only.

    Returns
    -------
    (Run, dict)

    Raises
    ------
    UserError
        Not a run folder; the run is finished; its data are gone, or others.
    """
    refuse_to_change(folder)
    config, finished = workers.send(workers.together(
        lambda: None if workers.rank else (read_config(folder), _finished(folder))))
    if finished:
        path = last_export(folder)
        raise UserError(f'{folder}: this run is finished' + (f' (its last epoch is {finished["epochs"] - 1}); to train longer, '
                        f'begin another with --epochs N --init {path}' if path else '; begin another'))
    experiment = experiment_of(config, find, folder)
    return run_experiment(
        experiment, resume=True, workers=workers, out=folder,
        data='' if config['data'] == experiment.data else config['data'], data_root=config['data_root'] or None,
        seed=config['seed'], device_name=config['device'], form=config['form'], init=config['init'] or None,
        short=config['short'])


def _finished(folder):
    """The `result.json` of a finished run, else None."""
    try:
        with open(f'{folder}/result.json', encoding='utf-8') as file:
            return json.load(file)
    except (OSError, ValueError):
        return None
