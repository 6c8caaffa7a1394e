"""The programs of the book, chapter by chapter.

`experiments()` is the one list that the command line, the report, the notebooks and the tests read. Each chapter
keeps its part in `experiments.py`, which loads neither MXNet nor NumPy.
"""
import importlib

_CHAPTERS = ('ch02_neuron', 'ch03_mlp', 'ch04_cnn', 'ch05_deep_cnn', 'ch06_alphago', 'ch07_policy_net',
             'ch08_gan')


def experiments():
    """All experiments, in the order of the book.

    Returns
    -------
    list of chapters.kit.experiment.Experiment
    """
    return [experiment for chapter in _CHAPTERS
            for experiment in importlib.import_module(f'chapters.{chapter}.experiments').EXPERIMENTS]


def listings():
    """One experiment for every section of the book that prints a symbolic listing, and for every listing.

    Returns
    -------
    list of chapters.kit.experiment.Experiment
    """
    chosen, seen = [], set()
    for experiment in experiments():
        if experiment.symbolic and ('-' not in experiment.section or experiment.symbolic not in seen):
            chosen.append(experiment)
            seen.add(experiment.symbolic)
    return chosen


def find(section):
    """The experiment of a section, e.g. '3.4.2'.

    Raises
    ------
    data_tools.errors.UserError
        There is none.
    """
    import difflib

    from data_tools.errors import UserError
    known = {experiment.section: experiment for experiment in experiments()}
    if section not in known:
        near = difflib.get_close_matches(section, known, n=3, cutoff=0.5)
        raise UserError(f'{section}: no experiment of that section'
                        + (f'; did you mean {" or ".join(near)}?' if near else '')
                        + ' `python -m chapters list` lists them all')
    return known[section]
