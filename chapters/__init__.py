"""The programs of the book, chapter by chapter.

A chapter's script holds a network, or a worked example, and what the book prints of it: its list `EXPERIMENTS`. Nothing
else has to be told of a new one: `experiments()` finds them all, `find` one of them.
"""
import difflib
import importlib
import json
import re
import time
import zlib
from pathlib import Path

from chapters.kit.runtime import prepare
from data_tools import version
from data_tools.errors import UserError

prepare()  # before anything imports MXNet

_HERE = Path(__file__).parent
_BEGAN = time.time_ns()
__version__ = version()


def scripts():
    """Names of the modules that have experiments, in the order of the chapters.

    Returns
    -------
    list of str
        'chapters.ch04_cnn.lenet' and so on.
    """
    return [f'chapters.{path.parent.name}.{path.stem}' for path in sorted(_HERE.glob('ch[0-9]*/*.py'))
            if '\nEXPERIMENTS = ' in path.read_text(encoding='utf-8')]


def experiments():
    """All experiments, in the order of the book.

    Returns
    -------
    list of chapters.kit.experiment.Experiment
    """
    found = [experiment for name in scripts() for experiment in importlib.import_module(name).EXPERIMENTS]
    return sorted(found, key=lambda experiment: _place(experiment.section))


def _place(section):
    """The numbers of a section; what varies it follows in the order in which it is written."""
    return [int(number) for number in re.match(r'[\d.]+', section).group().strip('.').split('.')]


def catalogue():
    """What `list` shows, without the networks: to load them takes seconds, so it is kept in ~/.bookcnn while no script
    changes.

    Returns
    -------
    list of dict
        'section', 'module', 'title', 'title_zh', 'data', 'recipes' ('' where there is no choice), 'book' (its
        first figure in words, or '') and 'metric'.
    """
    files = sorted(_HERE.rglob('*.py'))
    stamp = [f'{path.relative_to(_HERE)} {path.stat().st_mtime_ns}' for path in files]
    kept = Path('~/.bookcnn').expanduser() / f'catalogue-{zlib.crc32(str(_HERE).encode()):08x}.json'
    try:
        known = json.loads(kept.read_text(encoding='utf-8'))
        if known['stamp'] == stamp:
            return known['rows']
    except (OSError, ValueError, KeyError, TypeError):
        pass
    modules = {experiment.section: name for name in scripts()
               for experiment in importlib.import_module(name).EXPERIMENTS}
    rows = []
    for experiment in experiments():
        printed = experiment.book[0] if experiment.book else None
        rows.append({'section': experiment.section, 'module': modules[experiment.section], 'title': experiment.title,
                     'title_zh': experiment.title_zh, 'data': experiment.data,
                     'recipes': 'book, fast' if experiment.fast else experiment.recipe_name,
                     'book': f'{printed.value:.6g} {printed.metric}' if printed else '',
                     'metric': printed.metric if printed else ''})
    if any(path.stat().st_mtime_ns > _BEGAN for path in files):
        return rows  # a notebook's kernel may have loaded a script before it was changed
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        from data_tools.atomic import atomic_write
        with atomic_write(kept, text=True) as file:
            json.dump({'stamp': stamp, 'rows': rows}, file)
    except (OSError, UserError):
        pass  # only slower next time
    return rows


def find(section):
    """The experiment of a section, e.g. '3.4.2'; or your own, at 'FILE.py:NAME' or 'package.module:NAME'.

    Raises
    ------
    data_tools.errors.UserError
        There is none.
    """
    if ':' in section:
        from chapters.kit.experiment import load_experiment
        return load_experiment(section)
    modules = {row['section']: row['module'] for row in catalogue()}
    if section not in modules:
        near = [known for known in modules if known.startswith(section)]
        near += [known for known in difflib.get_close_matches(section, modules, n=3, cutoff=0.5) if known not in near]
        if section.endswith('.py'):
            raise UserError(f'{section}: say which experiment of that file, as {section}:NAME')
        raise UserError(f'{section}: no experiment of that section; '
                        + (f'did you mean {" or ".join(near[:3])}? ' if near else '')
                        + '`python -m chapters list` lists them all')
    return next(experiment for experiment in importlib.import_module(modules[section]).EXPERIMENTS
                if experiment.section == section)


def listings():
    """One experiment for every section of the book that prints a symbolic listing, and for every listing.

    Returns
    -------
    list of chapters.kit.experiment.Experiment
    """
    chosen, seen = [], set()
    for experiment in experiments():
        if experiment.listing and ('-' not in experiment.section or experiment.listing not in seen):
            chosen.append(experiment)
            seen.add(experiment.listing)
    return chosen
