"""Several trainings within one run: each in a folder of its own inside the run's, and their curves."""
from dataclasses import replace

from chapters.kit.report import figures
from chapters.kit.trained.run import Run, read_config
from chapters.kit.training.epochs import Diverged
from chapters.kit.training.train import train


def trained(run, name, experiment, seed=None, data='', init=None, may_diverge=False, how=train):
    """Train one part of a run.

    Parameters
    ----------
    run : Run
    name : str
        Of the folder.
    experiment : Training
    seed : int, optional
        Default: the run's.
    data : str
        Default: the run's.
    init : path-like, optional
        As `Run` takes it.
    may_diverge : bool
        Where the loss becomes infinite there is no network, and the history is empty.
    how : callable
        `how(part)`, given the part's `Run`: trains, and returns the network (or figures) and the history.

    Returns
    -------
    (network, history, data)

    Raises
    ------
    Diverged
        The loss became infinite.
    """
    folder = run.folder / name
    resume = (folder / 'config.json').exists()
    if resume:  # with the sizes that its data have decided
        known = read_config(folder)
        experiment = replace(experiment, sizes={**experiment.sizes, **{
            size: tuple(value) if isinstance(value, list) else value
            for size, value in known['sizes'].items() if size in known.get('settled', ())}})
    part = Run(experiment, data or run.data_name, run.config['data_root'] or None, folder,
               run.seed if seed is None else seed, run.config['device'], init=init, short=run.short,
               resume=resume, quiet=run.quiet)
    run.say(f'{name}: {part.recipe}')
    try:
        return (*how(part), part.data)
    except Diverged:
        if not may_diverge:
            raise
        run.say('the loss became infinite: training stopped')
        return None, [], part.data


def compare(run, *variants):
    """Train an experiment in several variants; one of them may diverge.

    Parameters
    ----------
    run : Run
    variants : (str, dict or Training)
        Name, and what `Experiment.but` changes for it; or the experiment to train in its place.

    Returns
    -------
    (results, metrics)
        Name -> (network, history, data), as `trained` returns them. And of each whether it diverged, and else its last
        figures, named VARIANT_METRIC.
    """
    results, metrics = {}, {}
    for name, changes in variants:
        experiment = run.experiment.but(**changes) if isinstance(changes, dict) else changes
        results[name] = _, history, _ = trained(run, name, experiment, may_diverge=True)
        metrics[f'{name}_diverged'] = not history
        if history:
            metrics.update({f'{name}_{metric}': history[-1][metric] for metric in (
                'train_loss', 'train_accuracy', 'validation_loss', 'validation_accuracy')})
    return results, metrics


def draw_accuracies(run, curves, name, title, title_zh, level=None):
    """`figures/NAME.png`: validation accuracy over the epochs.

    Parameters
    ----------
    run : Run
    curves : dict of str to list of float
    name, title, title_zh : str
    level : (str, float), optional
        A dashed line beside them.
    """
    figure, axis = figures.plt.subplots(figsize=(7, 4))
    for label, curve in curves.items():
        axis.plot(curve, marker='o', markersize=3, label=f'{label}: {curve[-1]:.1%}')
    if level:
        axis.axhline(level[1], color='gray', linestyle='--', label=f'{level[0]}: {level[1]:.1%}')
    axis.set(xlabel='epoch', ylabel='validation accuracy')
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    axis.set_title(figures.text(title, title_zh) + f'\n{run.data_name}' + (f', {run.short}' if run.short else ''))
    run.save_figure(figure, name)
