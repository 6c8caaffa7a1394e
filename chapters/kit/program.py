"""From an experiment to a finished run folder."""
from chapters.kit.run import Run, experiment_of, read_config


def run_experiment(experiment, resume=False, **settings):
    """Run one experiment: train its network and draw, or call its program.

    Parameters
    ----------
    experiment : Experiment
    resume : bool
    settings
        As `Run` takes them.

    Returns
    -------
    (Run, dict)
        The run, and what stands in its `result.json`.
    """
    run = Run(experiment, resume=resume, **settings)
    run.say(f'{experiment.section} {experiment.title} {experiment.title_zh}'
            + (f' [{run.recipe}; data {run.data_name}]' if run.recipe else ''))
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
    for name in experiment.drawings:
        metrics.update(experiment.code(name)(run, network) or {})
    return run, run.finish(metrics, history)


def resume(folder, find):
    """Go on with the run in a folder.

    Parameters
    ----------
    folder : path-like
    find : callable
        Section -> Experiment.

    Returns
    -------
    (Run, dict)
    """
    config = read_config(folder)
    experiment = experiment_of(config, find)
    return run_experiment(
        experiment, resume=True, out=folder,
        data='' if config['data'] == experiment.data else config['data'], data_root=config['data_root'] or None,
        seed=config['seed'], device_name=config['device'], form=config['form'], init=config['init'] or None,
        short=config['short'])
