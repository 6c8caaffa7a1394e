"""The benchmark book: what every benchmark writes down, and the page that is made of it.

A benchmark measures `Row`s, pieces of work done by us and by peers in turns, and saves them as JSON under
`benchmarks/results`; `docs/BENCHMARKS.md` is all of them as tables.
"""
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Dict, List

from benchmarks.chinese import INTRODUCTION, chinese
from data_tools.atomic import atomic_write

RESULTS = Path(__file__).parent / 'results'
PAGE = Path(__file__).parents[1] / 'docs' / 'BENCHMARKS.md'


@dataclass(frozen=True)
class Row:
    """One piece of work.

    Attributes
    ----------
    what : str
    unit : str
        Of the figures. More is better where it ends with '/s', less otherwise ('s', 'MB').
    measured : dict of str to list of float
        Who did it, and the figure of each round; the first is compared with all others.
    compared : bool
        False where the columns are sizes, not contestants.
    """
    what: str
    unit: str
    measured: Dict[str, List[float]]
    compared: bool = True

    def ratio(self, peer):
        """How many times as fast, or as small, the first is."""
        first, other = median(next(iter(self.measured.values()))), median(self.measured[peer])
        return first / other if self.unit.endswith('/s') else other / first

    def cells(self):
        """{who: median, spread, ratio} as text."""
        first = next(iter(self.measured))
        found = {}
        for who, figures in self.measured.items():
            text = _number(median(figures))
            if len(figures) > 1:
                text += f' ({_number(min(figures))} to {_number(max(figures))})'
            found[who] = text + (f', **{self.ratio(who):.2f}x**' if self.compared and who != first else '')
        return found

    def __str__(self):
        return f'{self.what}, {self.unit}: ' + '; '.join(f'{who} {text}' for who, text in self.cells().items())


def _number(value):
    return f'{value:,.0f}' if value >= 100 else f'{value:.3g}'


def save(module, title, rows, text='', folder=RESULTS):
    """Write the rows of a benchmark; those of its earlier calls that were not measured again stay.

    Parameters
    ----------
    module : str
        The benchmark's module, e.g. 'benchmarks.training'.
    title : str
    rows : list of Row
    text : str
        Markdown, for the page, above the tables.
    folder : path-like
    """
    from chapters.kit.trained.prediction import instructions
    from chapters.kit.trained.run import versions
    path = Path(folder) / f'{module.rpartition(".")[2]}.json'
    kept = json.loads(path.read_text(encoding='utf-8'))['rows'] if path.exists() else {}
    about = {'command': ' '.join([f'python -m {module}'] + sys.argv[1:]),
             'versions': {**versions(), 'instructions': instructions()}}
    kept.update((row.what, {'unit': row.unit, 'measured': row.measured, 'compared': row.compared, **about})
                for row in rows)
    path.parent.mkdir(exist_ok=True)
    with atomic_write(path, text=True) as file:
        json.dump({'title': title, 'text': text, 'rows': kept}, file, indent=1)
        file.write('\n')
    print(path)


def write_page(folder=RESULTS, out=PAGE):
    """Write `docs/BENCHMARKS.md`, and beside it the Chinese `docs/BENCHMARKS.zh-CN.md`, from all results.

    Returns
    -------
    pathlib.Path
    """
    out = Path(out)
    twin = out.with_name(f'{out.stem}.zh-CN.md')
    introduction = ('Written by `python -m benchmarks` from `benchmarks/results`. A figure is the median of several '
                    'rounds in which the sides took turns, with the smallest and the largest in brackets; **2.00x**: '
                    'the first column is twice as fast, or half as large. The machines that this is run on are shared: '
                    'distrust anything under 20%.')
    for path, beginning, unit, say in (
            (out, ['# Benchmarks', '', f'[中文]({twin.name})', '', introduction, ''], 'unit', str),
            (twin, ['# 性能测试', '', f'[English]({out.name})', '', INTRODUCTION, ''], '单位', chinese)):
        with atomic_write(path, text=True) as file:
            file.write('\n'.join(beginning + _tables(folder, unit, say)))
    return out


def _tables(folder, unit, say):
    """The lines of all tables; `say` puts a title, a name or a paragraph into the page's language."""
    lines = []
    for path in sorted(Path(folder).glob('*.json')):
        result = json.loads(path.read_text(encoding='utf-8'))
        if 'rows' not in result:  # of `benchmarks.scaling`, which has a page of its own: docs/SCALING.md
            continue
        rows = {what: Row(what, row['unit'], row['measured'], row['compared']) for what, row in result['rows'].items()}
        lines += [f'## {say(result["title"])}'] + (['', say(result['text'])] if result.get('text') else [])
        columns = []
        for row in rows.values():
            if list(row.measured) != columns:
                columns = list(row.measured)
                lines += ['', f'| | {unit} | ' + ' | '.join(map(say, columns)) + ' |',
                          '| --- | --- |' + ' ---: |' * len(columns)]
            lines.append(f'| {say(row.what)} | {say(row.unit)} | ' + ' | '.join(row.cells().values()) + ' |')
        about = {}
        for row in result['rows'].values():
            made = row['versions']
            machine = ', '.join(filter(None, (made['machine'], made.get('instructions'))))  # of old figures nobody knows it
            about[f'- `{row["command"]}`: {machine}, Python {made["python"]}, MXNet {made["mxnet"]}, commit '
                  f'{made["commit"]}'] = None
        lines += ['', *about, '']
    return lines


def save_picture(figure, name):
    """Write a matplotlib figure to `docs/NAME.png`; returns the path."""
    figure.tight_layout()
    path = PAGE.parent / f'{name}.png'
    figure.savefig(path, dpi=80)
    return path
