"""From an experiment to a finished run folder."""
from chapters.kit.distributed import WorkerLost, Workers
from chapters.kit.run import Run, experiment_of, read_config
from data_tools.errors import UserError


def run_experiment(experiment, resume=False, workers=Workers(), **settings):
    """Run one experiment: train its network and draw, or call its program.

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
    run.say(f'{experiment.section} {experiment.title} {experiment.title_zh}'
            + (f' [{run.recipe}; data {run.data_name}]' if run.recipe else ''))
    try:
        return run_program(run) if workers.size == 1 else _train_together(run)
    except UserError:
        if not resume:
            run.remove_if_empty()
        raise


def _begin(experiment, resume, workers, form='gluon', init=None, **settings):
    """The run, unless it asks for what its program does not know, or several workers cannot do together."""
    section = experiment.section
    if not experiment.trains and (form != 'gluon' or init):
        raise UserError(f'{section}: its program takes neither --form nor --init')
    for name in experiment.ignores.split():
        if name in experiment.changed:
            raise UserError(f'{section}: its program does not know {name}; leave out --set {name}')
    if workers.size > 1 and (not experiment.shared or form == 'symbolic'):
        raise UserError(f'{section}: --distributed is for the training of classifiers, policy networks and DCGAN by the '
                        'gluon form')
    run = Run(experiment, resume=resume, workers=workers, form=form, init=init, **settings)
    if workers.size > 1 and min(run.recipe.batch_size, len(run.data.validation_x)) < workers.size:
        run.remove_if_empty()
        raise UserError(f'{section}: batches of {run.recipe.batch_size} and {len(run.data.validation_x)} validation '
                        f'samples are not enough for {workers}; use fewer, or a larger --batch-size')
    return run


def _train_together(run):
    from chapters.kit.training import Diverged
    workers = run.workers
    workers.agree({'recipe': vars(run.recipe), 'sizes': run.experiment.sizes, 'classes': run.data.class_names,
                   'training samples': len(run.data.train_x), 'validation samples': len(run.data.validation_x)})
    workers.send_files(run.checkpoint.folder)
    run.say(f'{workers}, together {run.recipe.batch_size} samples an update; run folder {run.folder}')
    try:
        return run_program(run)
    except (Diverged, WorkerLost) as error:
        if workers.rank:  # all have seen it; the first says it
            raise SystemExit(2) from None
        if isinstance(error, Diverged):
            raise
        raise UserError(f'{run.folder}: stopped: {error}. To go on after the last whole epoch, with as many workers as '
                        f'you like: --resume {run.folder}') from None


def run_program(run):
    """Train the network of a run and draw, or call its program; returns what `run_experiment` does."""
    experiment = run.experiment
    if not experiment.trains:
        answer = experiment.code(experiment.program)(run)
        return run, run.finish(*answer) if isinstance(answer, tuple) else run.finish(answer)
    if run.form == 'symbolic':
        from chapters.kit.symbolic import train_symbolic
        return run, run.finish({}, train_symbolic(run))
    from chapters.kit import figures
    from chapters.kit.training import train
    network, history = train(run)
    if len(history) > 1:
        run.save_figure(figures.curves(history, experiment, run), 'curves')
    metrics = {}
    for name in experiment.drawings if not run.workers.rank else ():
        metrics.update(experiment.code(name)(run, network) or {})
    return run, run.finish(metrics, history)


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
    """
    config = workers.send(workers.together(lambda: None if workers.rank else read_config(folder)))
    experiment = experiment_of(config, find)
    return run_experiment(
        experiment, resume=True, workers=workers, out=folder,
        data='' if config['data'] == experiment.data else config['data'], data_root=config['data_root'] or None,
        seed=config['seed'], device_name=config['device'], form=config['form'], init=config['init'] or None,
        short=config['short'])
