"""Trained networks that come along: a run folder each, in the package `chapters.zoo`, which is called `zoo:NAME`.

What is left of the run is its `config.json`, the graph, and the numbers in half precision. Nothing is written there: what
is drawn of such a network, or exported, goes to `runs/zoo-NAME`.
"""
import json
from pathlib import Path

from data_tools.atomic import checksum
from data_tools.errors import UserError

ZOO = Path(__file__).parents[2] / 'zoo'
MARK = 'zoo:'


def is_of_zoo(run):
    """Whether a run is called `zoo:NAME`."""
    return str(run).startswith(MARK)


def names():
    """What there is, in the order of the book.

    Returns
    -------
    list of str
    """
    def place(name):
        numbers = name.partition('-')[0].split('.')
        return [int(number) if number.isdigit() else 0 for number in numbers], name
    return sorted((path.parent.name for path in ZOO.glob('*/config.json')), key=place)


def run_folder(run):
    """Where a run is to be read.

    Parameters
    ----------
    run : path-like
        A run folder, or `zoo:NAME`.

    Returns
    -------
    Path

    Raises
    ------
    UserError
        There is no such network in the zoo, or one of its files is not what was put there.
    """
    if not is_of_zoo(run):
        return Path(run)
    name = str(run)[len(MARK):]
    if name not in names():
        raise UserError(f'{run}: there is no such network; there is {", ".join(MARK + name for name in names()) or "none"}')
    folder = ZOO / name
    try:
        wanted = json.loads((folder / 'config.json').read_text(encoding='utf-8'))['zoo']['sha256']
        damaged = [file for file, digest in wanted.items() if checksum(folder / file) != digest]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f'{folder}: damaged ({error}); install this project again') from None
    if damaged:
        raise UserError(f'{folder / damaged[0]}: is not the file that was published (its SHA-256 differs); install this '
                        'project again')
    return folder


def results_folder(run):
    """Where what is made of a run is to be written: its folder; of one of the zoo `runs/zoo-NAME`."""
    return Path('runs', str(run).replace(':', '-', 1)) if is_of_zoo(run) else Path(run)


def refuse_to_change(run):
    """UserError for one of the zoo."""
    if is_of_zoo(run):
        raise UserError(f'{run}: comes along with this project and stays as it is; a run of your own begins with what it has '
                        f'learnt by --init {run}')
