"""The skeleton of every training here: resume, seed, an epoch, its figures, checkpoint, history.

What happens within an epoch is the business of whoever calls `train_epochs`: a classifier, two networks against each
other, games of a network against itself.
"""
import math
import random as python_random
import time

import mxnet as mx
import numpy as np

from data_tools.errors import UserError

# Checkpoints are at least so far apart: an epoch of a small network takes less time than to write one.
SECONDS_APART = 1.0


def train_epochs(run, epochs, train, measure=dict, arrays=dict, restore=None, stop=lambda history: '',
                 keep=lambda history: None):
    """Train epoch by epoch, from the run's checkpoint if there is one.

    All random numbers of an epoch come from the seed and the epoch's number, so that a run that was killed and resumed
    ends with the same parameters, bit for bit.

    Parameters
    ----------
    run : chapters.kit.trained.run.Run
    epochs : int
    train : callable
        `train(epoch, random) -> row`: one epoch, with a `numpy.random.Generator`. The row holds its figures by name,
        and the number of samples seen as 'samples'; how long it took, and of how many cores, is added to it.
    measure : callable
        `measure() -> row`: figures whose time is not training's; '' for what was not measured this time.
    arrays : callable
        `arrays() -> {name: NDArray}`: all that changes, to go on from.
    restore : callable
        `restore(arrays, epochs)`: puts them back as they were after so many epochs.
    stop : callable
        `stop(history) -> str`: why there is no next epoch; empty: there is.
    keep : callable
        `keep(history)`: called after every epoch, before its checkpoint.

    Returns
    -------
    list of dict
        The history, a row an epoch.

    Raises
    ------
    Diverged
        A figure is NaN or infinite; the last good checkpoint is kept.
    """
    history, saved = [], run.checkpoint.load()
    written, when = 0, -math.inf

    def save():
        """The history so far, and all that is needed to go on from here."""
        nonlocal written, when
        if written < len(history):
            run.checkpoint.save(arrays(), {'epoch': len(history), 'history': history})
            run.write_history(history)
            written, when = len(history), time.perf_counter()
    if saved:
        history = saved[1]['history']
        restore(saved[0], len(history))
        written = len(history)
        run.say(f'going on after epoch {len(history) - 1}')
    for epoch in range(len(history), epochs):
        try:
            reason = stop(history)
        except Diverged:
            save()
            raise
        if reason:
            run.say(reason)
            break
        random = seed_everything(run.seed, epoch, run.workers.rank)
        started, cores_started = time.perf_counter(), time.process_time()
        row = {'epoch': epoch, **train(epoch, random)}
        row['seconds'], row['core_seconds'] = time.perf_counter() - started, time.process_time() - cores_started
        row['samples_per_second'] = row.pop('samples') / row['seconds']
        row.update(measure())
        require_finite(run, row)
        history.append(row)
        keep(history)
        if time.perf_counter() > when + SECONDS_APART or run.checkpoint.keeps(epoch + 1):
            save()
        run.say(run.line(row))
    save()
    return history


class Diverged(UserError):
    """Training cannot go on: a loss became NaN or infinite, or a generator has collapsed."""


def require_finite(run, row):
    """Raise `Diverged` if a figure of an epoch is NaN or infinite.

    Parameters
    ----------
    run : Run
    row : dict of str to float
        Of its history.
    """
    if not all(math.isfinite(value) for value in row.values() if value != ''):
        where, kept = (run.folder, '; the last good checkpoint is kept') if row['epoch'] \
            else (run.experiment.section, '')
        do = (f': lower --learning-rate (now {run.recipe.peak_learning_rate:g}), or raise warmup_epochs, or use a '
              f'smaller start (initializer={run.recipe.initializer})') if run.recipe else ''
        raise Diverged(f'{where}: a loss became NaN or infinite in epoch {row["epoch"]}{do}{kept}')


def seed_everything(seed, epoch=0, rank=0):
    """Seed every generator of random numbers from a seed and an epoch; dropout is each worker's own.

    Returns
    -------
    numpy.random.Generator
    """
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    mx.random.seed((mixed + 7919 * rank) % (1 << 31))
    np.random.seed(mixed)  # some of MXNet's initializers draw from NumPy
    python_random.seed(mixed)
    return np.random.default_rng([seed, epoch])


def average_statistics(network, workers):
    """Let the running statistics of batch normalisation be the mean of what all workers have seen."""
    arrays = [parameter.data() for name, parameter in network.collect_params().items()
              if name.endswith(('running_mean', 'running_var'))]
    workers.sum(arrays)
    for array in arrays if workers.size > 1 else ():
        array /= workers.size
