"""What the notebooks call: run an experiment, show its pictures and its figures beside the book's; sliders.

A notebook opens with `book = Notebook(MODE)`. In mode QUICK an experiment runs in short form, on data that comes with
the project, in a temporary folder. In mode FULL it runs as the book has it, into a run folder under `runs/`; a run
that is finished there already is shown and not repeated.
"""
import base64
import csv
import inspect
import io
import json
import tempfile
from fnmatch import fnmatch
from pathlib import Path

from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np
import PIL.Image

import chapters
from chapters.kit import figures
from chapters.kit.layer_table import layer_table
from chapters.kit.program import run_experiment
from chapters.kit.run import Run, experiment_of, free_folder, read_config
from chapters.kit.saved import load_run
from data_tools.errors import UserError
from IPython import get_ipython
from IPython.display import Image, Markdown, display

RUNS = Path(__file__).parents[1] / 'runs'
_DOTS_PER_INCH = 80
_MOST_ROWS = 12  # of a table
_WIDGET = 'application/vnd.jupyter.widget-view+json'


class Notebook:
    """One notebook's way to the experiments.

    Parameters
    ----------
    mode : str
        'QUICK' or 'FULL'.
    """
    def __init__(self, mode):
        if mode not in ('QUICK', 'FULL'):
            raise UserError(f'MODE={mode}: give QUICK or FULL')
        self.quick = mode == 'QUICK'
        self._temporary = tempfile.TemporaryDirectory(prefix='bookcnn-')
        self._runs = 0
        figures.plt.rcParams['savefig.dpi'] = _DOTS_PER_INCH
        if get_ipython():
            get_ipython().set_custom_exc((UserError,), _one_line)

    def run(self, section, pictures=('*',), rows=('*',), quick=None, data='', seed=0, **changes):
        """Run an experiment, then show its pictures, and its figures beside the book's.

        Parameters
        ----------
        section : str
        pictures : tuple of str
            Which of the run's pictures, by name, where '*' stands for any letters.
        rows : tuple of str
            Which of the figures that the book does not print; some at most.
        quick : dict or False, optional
            What mode QUICK changes: data, fields of the recipe, sizes of the network, or arguments of the
            experiment's program. False: it has no short form; mode QUICK only names the command.
        data, seed
            As on the command line; mode QUICK puts data that comes with the project in the place of the book's.
        changes
            Fields of the recipe and sizes of the network, changed in both modes.

        Returns
        -------
        Shown
            Or None where nothing ran.
        """
        experiment = chapters.find(section)
        if changes:
            experiment = experiment.but(**changes)
        if self.quick and quick is False:
            display(Markdown(f'`{experiment.recipe}`  \nOnly in mode FULL 只在 FULL 模式下训练: '
                             f'`python -m chapters run {section}`'))
            return None
        shown = self._in_short(experiment, data, seed, quick or {}) if self.quick else \
            self._in_full(experiment, data, seed)
        shown.show(pictures, rows)
        return shown

    def compare(self, *sections, metric='validation_accuracy', quick=None):
        """Run several experiments: one picture with the curves of all, and one table.

        Parameters
        ----------
        sections : str
        metric : str
            What the curves and the table show.
        quick
            As for `run`, for each of them.
        """
        lines = ['| section | experiment 实验 | the book 书中 | here 这里 |', '| --- | --- | ---: | ---: |']
        figure, axis = figures.plt.subplots(figsize=(8, 4))
        for section in sections:
            experiment = chapters.find(section)
            shown = self._in_short(experiment, '', 0, quick or {}) if self.quick else self._in_full(experiment, '', 0)
            with open(shown.folder / 'history.csv', encoding='utf-8') as file:
                axis.plot([float(row[metric]) for row in csv.DictReader(file)], marker='o', markersize=3, label=section)
            printed = experiment.figure(metric, experiment.data)
            lines.append(f'| {section} | {_title(experiment)} | '
                         f'{_printed(printed, shown.result["data"]) if printed else ""} | '
                         f'{_number(shown.result["metrics"][metric]["last"])} |')
        axis.set(xlabel='epoch', ylabel=metric.replace('_', ' '))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
        if shown.result['short']:
            display(Markdown(_in_full(shown.result['short'], *sections)))
        display(Image(_png(figure)), Markdown('\n'.join(lines)))

    def sliders(self, draw, **choices):
        """A picture that changes with sliders below it.

        Saved in the notebook it is a plain picture, so that it is there where nothing runs.

        Parameters
        ----------
        draw : callable
            Its arguments by name -> matplotlib figure, PIL image, or the path of a picture file. Sliders start from
            their defaults; without one at the last of a list, or at the low end.
        choices
            For each argument (low, high, step), or a list of values.
        """
        from ipywidgets import HTML, FloatSlider, Image as Picture, IntSlider, SelectionSlider, VBox
        parameters = inspect.signature(draw).parameters
        sliders = {}
        for name, values in choices.items():
            start = parameters[name].default if name in parameters else inspect.Parameter.empty
            if start is inspect.Parameter.empty:
                start = values[-1] if isinstance(values, list) else values[0]
            settings = dict(value=start, description=name.replace('_', ' '), continuous_update=False,
                            style={'description_width': '9em'}, layout={'width': '32em'})
            if isinstance(values, list):
                sliders[name] = SelectionSlider(options=values, **settings)
            else:
                low, high, step = values
                kind = IntSlider if all(isinstance(value, int) for value in values) else FloatSlider
                sliders[name] = kind(min=low, max=high, step=step, **settings)
        picture = _png(draw(**{name: slider.value for name, slider in sliders.items()}))
        shown, message = Picture(value=picture, format='png'), HTML()

        def redraw(change):
            try:
                shown.value = _png(draw(**{name: slider.value for name, slider in sliders.items()}))
                message.value = ''
            except UserError as error:
                message.value = str(error)
        for slider in sliders.values():
            slider.observe(redraw, 'value')
        box = VBox([shown, *sliders.values(), message])
        bundle = box._repr_mimebundle_()
        display({'image/png': base64.b64encode(picture).decode('ascii'), 'text/plain': 'a picture with sliders',
                 _WIDGET: bundle[_WIDGET]}, raw=True)

    def layers(self, section, **changes):
        """An experiment's network as a table of its layers with weights (5.1.1), drawn, beside the book's totals."""
        experiment = chapters.find(section)
        if changes:
            experiment = experiment.but(**changes)
        rows = layer_table(experiment.build(), experiment.input_shape)
        weighted = [row for row in rows if row.weighted]
        title = figures.text(f'{section} {experiment.title}', experiment.title_zh)
        display(Image(_png(figures.costs(
            [row.name for row in weighted[1:]], [row.parameters / 1e6 for row in weighted[1:]],
            [row.flops / 1e6 for row in weighted[1:]], title))))
        lines = ['| layer 层 | kind | output | parameters 参数 | MFLOPs |', '| --- | --- | --- | ---: | ---: |']
        lines += [f'| {row.name} | {row.kind} | {"x".join(map(str, row.output_shape))} | {row.parameters:,} '
                  f'| {row.flops / 1e6:.4g} |' for row in weighted]
        display(Markdown('\n'.join(lines)))
        totals = _totals(rows)
        printed = [(figure.metric, _number(figure.value)) for figure in experiment.book if figure.metric in totals]
        if printed:
            display(Markdown(_comparison(totals, printed)))

    def networks(self, *sections):
        """What several networks cost, in a table and a picture; the book's figures stand in brackets."""
        lines = ['| section | network 网络 | input | layers with weights | million parameters 参数 | GFLOPs | '
                 'activations (MB) |', '| --- | --- | --- | ---: | ---: | ---: | ---: |']
        points = []
        for section in sections:
            experiment = chapters.find(section)
            rows = layer_table(experiment.build(), experiment.input_shape)
            totals = _totals(rows)
            cells = []
            for name, value in totals.items():
                printed = experiment.figure(name)
                cells.append(f'{value:.4g}' + (f' ({printed.value:g})' if printed else ''))
            lines.append(f'| {section} | {_title(experiment)} | {"x".join(map(str, experiment.input_shape[1:]))} | '
                         f'{sum(row.weighted for row in rows) - 1} | '
                         + ' | '.join(cells) + ' |')
            points.append((section, totals['million_parameters'], 1000 * totals['gflops']))
        display(Image(_png(figures.costs(*zip(*points)))))
        display(Markdown('\n'.join(lines)))

    def parity(self, *sections):
        """Prove that our networks compute what the book's listings compute: a line for each (see `parity`)."""
        from chapters.kit.parity import TOLERANCE, UPDATES, parity
        lines = [f'| section | the book\'s listing | largest difference after {UPDATES} updates | settings 设置 |',
                 '| --- | --- | ---: | --- |']
        for section in sections:
            result = parity(chapters.find(section))
            within = f'below {TOLERANCE:g}' if max(result.differences.values()) < TOLERANCE else \
                f'{max(result.differences.values()):.1e}'
            lines.append(f'| {section} | book_code/{result.listing}.py | {within} | '
                         f'{"; ".join(result.complaints) or "equal"} |')
        display(Markdown('\n'.join(lines)))

    def _shortened(self, experiment, data, quick):
        """(experiment, data, arguments of its program, what was cut short in words), as mode QUICK has it."""
        words, quick = [], dict(quick)
        if 'data' in quick:
            data = quick.pop('data')
            words.append(f'{data} in place of {experiment.data}')
        elif not data and experiment.takes_image_sets and experiment.data != 'digits':
            data = 'digits'
            words.append(f'{data} in place of {experiment.data}')
        elif not data and experiment.data == 'go':
            data = 'selfplay'
            words.append('games of a built-in player in place of games of people')
        if not experiment.recipe:
            return experiment, data, quick, ', '.join(words + [f'{name} {value}' for name, value in quick.items()])
        changes = {name: value for name, value in quick.items() if name not in experiment.changed}
        before = {**vars(experiment.recipe), **experiment.sizes}
        words += [f'{name} {value}' + (f' in place of {before[name]}' if name in before else '')
                  for name, value in changes.items()]
        return experiment.but(**changes) if changes else experiment, data, {}, ', '.join(words)

    def _in_short(self, experiment, data, seed, quick):
        """Run in a new temporary folder, in short form."""
        experiment, data, arguments, words = self._shortened(experiment, data, quick)
        self._runs += 1
        settings = dict(data=data, out=Path(self._temporary.name) / f'{self._runs}-{experiment.section}', seed=seed,
                        short=words, quiet=True)
        if arguments:
            run = Run(experiment, **settings)
            answer = experiment.code(experiment.program)(run, **arguments)
            result = run.finish(*answer) if isinstance(answer, tuple) else run.finish(answer)
        else:
            run, result = run_experiment(experiment, **settings)
        return Shown(experiment, run.folder, result)

    def _in_full(self, experiment, data, seed):
        """The finished run of these settings under `runs/`, or else a new one."""
        name = data or experiment.data
        for path in sorted(RUNS.glob(f'{experiment.section}-*/result.json')):
            config = read_config(path.parent)
            if (config['seed'], Path(config['data']).name, config['form'], config['init']) == \
                    (seed, Path(name).name, 'gluon', '') and _same(experiment_of(config, chapters.find), experiment):
                return Shown(experiment, path.parent, json.loads(path.read_text(encoding='utf-8')))
        out = free_folder(experiment.section, name, seed, RUNS)
        run, result = run_experiment(experiment, data=data, out=out, seed=seed, quiet=True)
        return Shown(experiment, run.folder, result)


class Shown:
    """A run that has been shown.

    Attributes
    ----------
    experiment : Experiment
    folder : Path
        The run folder.
    result : dict
        Its `result.json`.
    """
    def __init__(self, experiment, folder, result):
        self.experiment, self.folder, self.result = experiment, Path(folder), result

    def _ipython_display_(self):
        """Nothing: a cell that ends with `book.run(...)` has shown everything already."""

    @property
    def saved(self):
        """The trained network with its settings, as `chapters.kit.saved.load_run` has it."""
        return load_run(self.folder, chapters.find)

    def words(self):
        """What was run, in Markdown."""
        result = self.result
        lines = [f'`{self.experiment.recipe}`' if self.experiment.recipe else '', result['note']]
        if result['short']:
            lines.append(_in_full(result['short'], self.experiment.section))
        return '  \n'.join(filter(None, lines))

    def show(self, pictures, rows):
        """Settings, pictures and figures."""
        result, experiment = self.result, self.experiment
        if self.words():
            display(Markdown(self.words()))
        self.pictures(*pictures)
        found = {name: value['last'] for name, value in result['metrics'].items()}
        printed = [(figure.metric, _printed(figure, result['data']))
                   for figure in experiment.book if figure.metric in found]
        others = [name for name in found if name not in dict(printed)
                  and any(fnmatch(name, pattern) for pattern in rows)]
        display(Markdown(_comparison(found, printed, others[:_MOST_ROWS])))

    def pictures(self, *names):
        """Show pictures of the run by their names; '*' stands for any letters."""
        found = sorted((self.folder / 'figures').glob('*.png'))
        for name in names:
            for path in found:
                if fnmatch(path.stem, name):
                    display(Image(_png(path)))

    def look(self, number, pictures=('*',), **settings):
        """What the network looks at in a validation image (5.2); see `chapters.kit.looking.look`."""
        from chapters.kit.looking import look
        saved = self.saved
        data = saved.load_data()
        look(saved, np.asarray(data.validation_x[number], np.float32), data, say=lambda path: None, **settings)
        self.pictures(*(f'look-{name}' for name in pictures))


def _one_line(shell, kind, value, traceback, tb_offset=None):
    """A user's mistake in a cell: one line in place of the traceback."""
    shell._showtraceback(kind, value, ['error: ' + ' '.join(str(value).split())])


def _same(one, other):
    """Whether two experiments have the same settings."""
    return (one.recipe, dict(one.sizes)) == (other.recipe, dict(other.sizes))


def _png(picture):
    """A matplotlib figure, a PIL image or a picture file as the bytes of a PNG file, in few colours.

    With 64 colours it takes a third of the bytes, which are kept in git with every refresh of the outputs.
    """
    if hasattr(picture, 'savefig'):
        file = io.BytesIO()
        picture.savefig(file, format='png', bbox_inches='tight')
        figures.plt.close(picture)
        picture = PIL.Image.open(file)
    elif isinstance(picture, Path):
        picture = PIL.Image.open(picture)
    file = io.BytesIO()
    picture.convert('RGB').quantize(64, dither=PIL.Image.NONE).save(file, format='png', optimize=True)
    return file.getvalue()


def _in_full(short, *sections):
    """What was cut short, and the command that does not."""
    return f'In short form 简短运行: {short}. In full 完整运行: `python -m chapters run {" ".join(sections)}`'


def _title(experiment):
    """In English and, where it differs, in Chinese."""
    return ' '.join(dict.fromkeys((experiment.title, experiment.title_zh)))


def _number(value):
    """A figure as people write it."""
    return f'{value:,.0f}' if value == round(value) and abs(value) < 1e12 else f'{value:.6g}'


def _printed(figure, data):
    """A figure of the book, and what it was measured on where that is not `data`."""
    return _number(figure.value) + (f' ({figure.data})' if figure.data not in ('', Path(data).name) else '')


def _totals(rows):
    """What a network costs in all, as the tables of chapter 5 count it."""
    weighted = [row for row in rows if row.weighted]
    return {'million_parameters': sum(row.parameters for row in rows) / 1e6,
            'gflops': sum(row.flops for row in weighted) / 1e9,
            'activations_mb': sum(row.activation_bytes for row in weighted) / 1e6}


def _comparison(found, printed, others=()):
    """A table in Markdown: the book's figures beside ours, then others of ours."""
    lines = ['| figure 数值 | the book 书中 | here 这里 |', '| --- | ---: | ---: |']
    lines += [f'| {name.replace("_", " ")} | {value} | {_number(found[name])} |'
              for name, value in [*printed, *((name, '') for name in others)]]
    return '\n'.join(lines)
