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
import os
import re
import tempfile
import time
from fnmatch import fnmatch
from pathlib import Path

import numpy as np
import PIL.Image
from IPython import display as forms
from IPython import get_ipython
from IPython.display import Image, display

import chapters
from chapters import source_code
from chapters.ch06_alphago.listing import in_a_tuple
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.perform import run_experiment, shortened
from chapters.kit.report import figures
from chapters.kit.trained.run import experiment_of, free_folder, in_words, read_config, run_command
from chapters.kit.trained.saved import load_run
from data_tools.errors import UserError

RUNS = Path(__file__).parents[1] / 'runs'
CURVES = Path(__file__).parents[1] / 'docs' / 'curves'
_DOTS_PER_INCH = 80
_colours = 64
_MOST_ROWS = 12  # of a table
_WIDGET = 'application/vnd.jupyter.widget-view+json'


class Markdown(forms.Markdown):
    """Markdown that can be read where it is not rendered: Jupyter's classic page shows a notebook that was not run there by its
    plain text only.
    """
    def __repr__(self):
        plain = re.sub(r'</?(?:table|tr|th|td|div|sub|br|details|summary)\b[^>\n]*>|^```.*\n', '', self.data, flags=re.M)
        return re.sub(r'\n{3,}', '\n\n', re.sub(r'\[([^]\n]+)\]\([^)\n]+\)', r'\1', plain)).strip()


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
        self.colours(64)
        self._temporary = tempfile.TemporaryDirectory(prefix='bookcnn-')
        self._runs = 0
        self._stopped = {}  # folders of runs that were interrupted, by what was run
        figures.plt.rcParams['savefig.dpi'] = _DOTS_PER_INCH
        if get_ipython():
            get_ipython().set_custom_exc((UserError,), _one_line)

    def colours(self, count):
        """Save pictures in so many colours from here on: 64 at first; 16 are enough for gray digits, in half the bytes."""
        global _colours
        _colours = count

    def run(self, section, pictures=('*',), rows=('*',), quick=None, data='', seed=0, **changes):
        """Run an experiment, then show its pictures, and its figures beside the book's.

        Parameters
        ----------
        section : str
        pictures : tuple of str
            Which of the run's pictures, by name, where '*' stands for any letters.
        rows : tuple of str
            Which of the figures that the book does not print; some at most.
        quick : dict, str or False, optional
            What mode QUICK changes: data, or settings of the experiment. False: it has no short form; mode QUICK only
            names the command. A name in `docs/curves`: the same, and the curve of a whole run that was kept there.
        data, seed
            As on the command line; mode QUICK puts data that comes with the project in the place of the book's.
        changes
            Settings of the experiment, changed in both modes.

        Returns
        -------
        Shown
            Or None where nothing ran.
        """
        experiment = chapters.find(section)
        if changes:
            experiment = experiment.but(**changes)
        if self.quick and (quick is False or isinstance(quick, str)):
            recipe = f'`{experiment.recipe}`  \n' if experiment.recipe else ''
            kept = '. Such a run 这样的一次运行:' if quick else ''
            display(Markdown(f'{recipe}Only in mode FULL 只在 FULL 模式下运行: '
                             f'`python -m chapters run {section}`{kept}'))
            if quick:
                display(Image(_png(CURVES / f'{quick}.png')))
            return None
        shown = self._in_short(experiment, data, seed, quick or {}) if self.quick else \
            self._in_full(experiment, data, seed)
        shown.show(pictures, rows)
        return shown

    def compare(self, *sections, metric='validation_accuracy', also=(), quick=None):
        """Run several experiments: one picture with the curves of all, and one table.

        Parameters
        ----------
        sections : str
        metric : str
            What the curves and the table show.
        also : tuple of str
            Further figures for the table.
        quick
            As for `run`, for each of them; or {section: the same}, each for its own.
        """
        lines = ['| section | experiment 实验 | the book 书中 | here 这里 |' + ''.join(
            f' the book, {name.replace("_", " ")} | here |' for name in also),
                 '| --- | --- |' + ' ---: | ---: |' * (1 + len(also))]
        figure, axis = figures.plt.subplots(figsize=(8, 4))
        short: dict = {}  # what was cut short in which
        elsewhere = []
        for section in sections:
            experiment = chapters.find(section)
            mine = (quick or {}).get(section, {}) if set(quick or {}) & set(sections) else quick or {}
            shown = self._in_short(experiment, '', 0, mine) if self.quick else self._in_full(experiment, '', 0)
            short.setdefault(shown.short, []).append(section)
            with open(shown.folder / 'history.csv', encoding='utf-8') as file:
                axis.plot([float(row[metric]) for row in csv.DictReader(file)], marker='o', markersize=3, label=section)
            cells = [f'| {section} | {_title(experiment)} |']
            for name in (metric, *also):
                printed = experiment.figure(name, experiment.data)
                if printed and not _comparable(printed, shown.result['data']):
                    elsewhere.append((printed, f'{section} '))
                ours = shown.result['metrics'].get(name)
                cells.append(f'{_printed(printed, shown.result["data"]) if printed else ""} | '
                             f'{_number(ours["last"]) if ours else ""} |')
            lines.append(' '.join(cells))
        axis.set(xlabel='epoch', ylabel=metric.replace('_', ' '))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
        words = [_in_full(words, f'python -m chapters run {" ".join(alike)}') for words, alike in short.items() if words]
        if words:
            display(Markdown('  \n'.join(words)))
        display(Image(_png(figure)), Markdown('\n'.join(lines)))
        _stand_back(elsewhere)

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
        from ipywidgets import HTML, FloatSlider, IntSlider, SelectionSlider, VBox
        from ipywidgets import Image as Picture
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

    def code(self, section, part=''):
        """Show code as it stands in the source files, docstrings left out.

        Parameters
        ----------
        section : str
        part : str
            Default: the network beside the book's symbolic graph, the lines that make the same operator marked alike; or
            the function of a section without network. 'step': one update by the plain training step. Else the name of a
            class or function in the section's file.
        """
        experiment = chapters.find(section)
        if not part:
            shown = source_code.side_by_side(experiment) if hasattr(experiment, 'network') else \
                source_code.alone(experiment.source)
        elif part == 'step':
            from chapters.kit.training.train import PlainStep
            own = not inspect.isclass(experiment.source) and hasattr(experiment, 'network')  # of a Study
            shown = source_code.alone(experiment.source if own else PlainStep.__call__)
        else:
            shown = source_code.alone(source_code.named(experiment.source.__module__, part, section))
        display(Markdown(shown))

    def batch(self, section, size=0):
        """The first batch of an experiment's training data, (x, y) as NDArrays, or whatever else it learns from.

        Parameters
        ----------
        section : str
        size : int
            Default: that of the recipe.
        """
        import mxnet as mx

        from chapters.kit.data.batches import Batches
        from chapters.kit.training.epochs import seed_everything
        experiment = chapters.find(section)
        if hasattr(experiment, 'first_batch'):
            return experiment.first_batch(size)
        experiment = experiment.but(batch_size=size or experiment.recipe.batch_size, augmentation='')
        data = experiment.load(experiment.stand_in if self.quick else '')
        return next(Batches(data, experiment.recipe, mx.cpu()).of_epoch(seed_everything(0)))[:2]

    def first_step(self, section, network, x, *known, **changes):
        """What a network becomes by the first update of an experiment's training; it is done on a copy.

        Parameters
        ----------
        section : str
        network : HybridBlock, initialized
        x, known : NDArray
            A batch.
        changes
            As for `run`: the sizes in which `network` differs from the experiment's.

        Returns
        -------
        HybridBlock
        """
        import mxnet as mx

        from chapters.kit.training.compiled_step import CompiledStep
        from chapters.kit.training.from_recipe import initialize, make_optimizer
        from chapters.kit.training.train import Objective
        experiment = chapters.find(section).but(**changes)
        network(x[:1])  # the shapes of its parameters
        if hasattr(experiment, 'first_step'):
            return experiment.first_step(network, x, *known)
        recipe, copy = experiment.recipe.but(batch_size=len(x)), experiment.build()
        initialize(copy, recipe, x[:1].asnumpy(), [mx.cpu()])
        copy.before = [parameter.data().copy() for parameter in network.collect_params().values()]
        for mine, before in zip(copy.collect_params().values(), copy.before):
            mine.set_data(before)
        step = CompiledStep(Objective(copy, experiment.objective, recipe), make_optimizer(recipe, 100, copy),
                            [x.shape, *(array.shape for array in known)], mx.cpu())
        step(x, *known)
        step.synchronize()
        return copy

    def same(self, network, other):
        """Show how far the parameters of two networks of the same kind are apart.

        Sums in another order differ by 1e-5, and in a deep network by up to a hundredth of what `first_step` has changed.
        """
        lines = ['| parameter 参数 | shape | mean size, here 平均大小 | there | largest difference 最大差 |',
                 '| --- | --- | ---: | ---: | ---: |']
        pairs = list(zip(network.collect_params().values(), other.collect_params().values()))
        befores = getattr(other, 'before', [two.data() for _, two in pairs])
        apart = [(abs(one.data() - two.data()).max().asscalar(), abs(two.data() - before).max().asscalar())
                 for (one, two), before in zip(pairs, befores)]

        def words(difference, change):
            return 'rounding 舍入误差' if difference < max(1e-5, change / 100) else f'{difference:.3g}'
        for (one, two), difference in list(zip(pairs, apart))[:_MOST_ROWS + 4]:
            lines.append(f'| {one.name} | {"x".join(map(str, one.shape))} | {one.data().abs().mean().asscalar():.4f} | '
                         f'{two.data().abs().mean().asscalar():.4f} | {words(*difference)} |')
        if len(pairs) > _MOST_ROWS + 4:
            rest = apart[_MOST_ROWS + 4:]
            worst = max(rest, key=lambda both: both[0] / max(1e-5, both[1] / 100))
            lines.append(f'| {len(rest)} more 其余 | | | | {words(*worst)} |')
        display(Markdown('\n'.join(lines)))

    def module(self, section, network, shape, **changes):
        """The book's graph of a section under `mx.mod.Module`, bound, with the parameters of a network of ours.

        Parameters
        ----------
        section : str
        network : HybridBlock, initialized
        shape : tuple of int
            Of the batch.
        changes
            As for `first_step`.

        Returns
        -------
        mx.mod.Module, or a list of them where the listing has one for each part of the network (8.3)
        """
        import mxnet as mx

        from chapters.kit.proof.symbolic import paired_names
        experiment = chapters.find(section).but(**changes)
        listing = experiment.symbolic_form()
        if not hasattr(listing, 'symbol'):
            return experiment.modules(network, shape)
        graph, parameters = listing.symbol(**experiment.sizes), network.collect_params()
        names = paired_names(graph, lambda data: mx.sym.Group(in_a_tuple(network(data))))
        values = {theirs: parameters[ours].data() for theirs, ours in names.items()}
        labels = [name for name in graph.list_arguments() if name == 'label' or name.endswith('_label')]
        shapes = dict(zip(graph.list_arguments(), graph.infer_shape(data=shape)[0]))
        module = mx.mod.Module(graph, ['data'], labels)
        # As for training: for prediction alone oneDNN joins a convolution with what follows it, even where a shortcut needs
        # what it gave (5.5.4), and the numbers are wrong.
        module.bind([('data', shape)], [(name, shapes[name]) for name in labels])
        module.init_params(arg_params=values, aux_params=values)
        return module

    def clock(self, network, x, times=20):
        """Milliseconds that a network takes for a batch in prediction: the median of some calls, after three others."""
        import mxnet as mx
        taken = []
        for _ in range(3 + times):
            began = time.perf_counter()
            network(x)
            mx.nd.waitall()
            taken.append(1000 * (time.perf_counter() - began))
        return float(np.median(taken[3:]))

    def layers(self, section, every=False, **changes):
        """An experiment's network as a table of its layers with weights (5.1.1), drawn, beside the book's totals.

        Parameters
        ----------
        section : str
        every : bool
            Also batch normalisation, activations and pooling, and all that has no weights.
        changes
            As for `run`.
        """
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
                  f'| {row.flops / 1e6:.4g} |' for row in (rows if every else weighted)]
        display(Markdown('\n'.join(lines)))
        totals = _totals(rows)
        printed = [(figure.metric, _number(figure.value)) for figure in experiment.book if figure.metric in totals]
        if printed:
            display(Markdown(_comparison(totals, printed)))

    def trained(self, name, units=32):
        """A network of the zoo that somebody has trained already: what it reached, and what its first units look for.

        Parameters
        ----------
        name : str
            Such as 'zoo:3.4.3'; or a run folder.
        units : int
            How many of them: their weights as pictures, over the input of a dense layer or a kernel.
        """
        from chapters.kit.inside.looking import scaled
        saved = load_run(name, chapters.find)
        zoo = saved.config.get('zoo', {})
        reached = [f'{metric.replace("_", " ")} {value:.4g}' for metric, value in zoo.get('figures', {}).items()]
        display(Markdown(f'`{name}`, `{saved.config["command"]}`, {zoo.get("data", {}).get("name", saved.config["data"])}: '
                         + ', '.join(reached)))
        weight = next(iter(saved.network.collect_params('.*weight').values())).data().asnumpy()
        pictures = weight.reshape((len(weight),) + (saved.facts.shape if weight.ndim == 2 else weight.shape[1:]))[:units]
        title = figures.text(f'{name}: what the first units look for', '首层神经元的权重')
        display(Image(_png(figures.image_grid(np.stack([scaled(picture) for picture in pictures]), columns=16, size=0.6,
                                              title=title))))

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
        from chapters.kit.proof.parity import TOLERANCE, UPDATES
        lines = [f'| section | the book\'s listing | largest difference after {UPDATES} updates | settings 设置 |',
                 '| --- | --- | ---: | --- |']
        for section in sections:
            result = chapters.find(section).prove()
            within = f'below {TOLERANCE:g}' if max(result.differences.values()) < TOLERANCE else \
                f'{max(result.differences.values()):.1e}'
            lines.append(f'| {section} | book_code/{result.listing}.py | {within} | '
                         f'{"; ".join(result.complaints) or "equal"} |')
        display(Markdown('\n'.join(lines)))

    def _shortened(self, experiment, data, quick):
        """(experiment, data, what was cut short in words), as mode QUICK has it."""
        quick = dict(quick)
        return shortened(experiment, quick.pop('data', data), quick)

    def _in_short(self, experiment, data, seed, quick):
        """Run in a new temporary folder, in short form."""
        full = run_command(experiment, data or experiment.data, seed)
        changed = experiment.changed
        experiment, data, words = self._shortened(experiment, data, quick)
        key = (experiment.section, words, seed, str(experiment.changed))
        self._runs += 1
        out = self._stopped.pop(key, None) or Path(self._temporary.name) / f'{self._runs}-{experiment.section}'
        differs = ', '.join(filter(None, (words, in_words(changed))))
        folder, result = self._watched(experiment, key, data=data, out=out, seed=seed, short=differs)
        return Shown(experiment, folder, result, changed, words, full)

    def _in_full(self, experiment, data, seed):
        """The finished run of these settings under `runs/`, or else a new one."""
        name = data or experiment.data
        for path in sorted(RUNS.glob(f'{experiment.section}-*/result.json')):
            config = read_config(path.parent)
            if (config['seed'], Path(config['data']).name, config['form'], config['init']) == \
                    (seed, Path(name).name, 'gluon', '') and _same(experiment_of(config, chapters.find), experiment):
                return Shown(experiment, path.parent, json.loads(path.read_text(encoding='utf-8')), experiment.changed)
        key = (experiment.section, name, seed, str(experiment.changed))
        out = self._stopped.pop(key, None) or free_folder(experiment.section, name, seed, runs=RUNS)
        return Shown(experiment, *self._watched(experiment, key, data=data, out=out, seed=seed), experiment.changed)

    def _watched(self, experiment, key, out, **settings):
        """(folder, result) of a run with a curve that redraws in place.

        Interrupted, the same cell run again goes on after the last whole epoch.
        """
        live = _Live(experiment)
        try:
            run, result = run_experiment(experiment, resume=(Path(out) / 'checkpoint').exists(), out=out, quiet=True,
                                         watch=live, **settings)
        except KeyboardInterrupt:
            if not (Path(out) / 'checkpoint').exists():
                raise UserError(f'{experiment.section}: stopped within the first epoch; run the cell again') from None
            self._stopped[key] = out
            raise UserError(f'{experiment.section}: stopped; run the cell again to go on after the last whole '
                            'epoch') from None
        finally:
            live.end()
        return run.folder, result


class _Live:
    """The curves of a training while it goes on: redrawn in place after an epoch, and gone when it ends.

    Silent where progress bars are (`TQDM_DISABLE`), and outside of a notebook.
    """
    def __init__(self, experiment):
        self._experiment, self._handle, self._drawn, self._seen = experiment, None, 0.0, []
        shell = get_ipython()
        self._silent = not hasattr(shell, 'kernel') or bool(os.environ.get('TQDM_DISABLE'))

    def __call__(self, run, history):
        """Draw, though not more than about once a second."""
        now = time.monotonic()
        self._seen.append(now)
        if self._silent or now - self._drawn < 1 or 'train_loss' not in history[0] and 'train_mse' not in history[0]:
            return
        self._drawn = now
        words = f'epoch {len(history)} / {run.recipe.epochs}', f'第 {len(history)} / {run.recipe.epochs} 轮'
        if len(self._seen) > 1:
            left = int((now - self._seen[0]) / (len(self._seen) - 1) * (run.recipe.epochs - len(history)))
            left = f'{left // 60}:{left % 60:02d}'
            words = f'{words[0]}, {left} left', f'{words[1]}，剩余 {left}'
        figure = figures.curves(history, self._experiment, run)
        figure.suptitle(figures.text(*words), y=1.05)
        picture = Image(_png(figure))
        if self._handle is None:
            self._handle = display(picture, display_id=True)
        else:
            self._handle.update(picture)

    def end(self):
        """Leave nothing behind."""
        if self._handle is not None:
            self._handle.update({'text/plain': ''}, raw=True)


class Shown:
    """A run that has been shown.

    Attributes
    ----------
    experiment : Experiment
    folder : Path
        The run folder.
    result : dict
        Its `result.json`.
    changed : mapping of str to value
        Settings in which the reader's cell differs from the experiment of the book.
    short : str
        What mode QUICK cut short, in words; empty where it cut nothing.
    full : str
        The command that cuts nothing.
    """
    def __init__(self, experiment, folder, result, changed, short='', full=''):
        self.experiment, self.folder, self.result = experiment, Path(folder), result
        self.changed, self.short, self.full = changed, short, full

    def _ipython_display_(self):
        """Nothing: a cell that ends with `book.run(...)` has shown everything already."""

    @property
    def saved(self):
        """The trained network with its settings, as `chapters.kit.trained.saved.load_run` has it."""
        return load_run(self.folder, chapters.find)

    def words(self):
        """What was run, in Markdown."""
        lines = [f'`{self.experiment.recipe}`' if self.experiment.recipe else '', self.result['note']]
        if self.changed:
            lines.append(f'Changed 改动: {in_words(self.changed)}')
        if self.short:
            lines.append(_in_full(self.short, self.full))
        return '  \n'.join(filter(None, lines))

    def show(self, pictures, rows):
        """Settings, pictures and figures."""
        result, experiment = self.result, self.experiment
        if self.words():
            display(Markdown(self.words()))
        self.pictures(*pictures)
        found = {name: value['last'] for name, value in result['metrics'].items()}
        known = [figure for figure in experiment.book if figure.metric in found]
        printed: dict = {}  # a metric once, though the book may print it of several data sets
        for figure in known:
            printed[figure.metric] = printed.get(figure.metric) or _printed(figure, result['data'])
        elsewhere = [figure for figure in known if not _comparable(figure, result['data'])]
        others = [name for name in found if name not in printed
                  and any(fnmatch(name, pattern) for pattern in rows)]
        if printed or others:
            display(Markdown(_comparison(found, printed.items(), others[:_MOST_ROWS])))
        _stand_back([(figure, '') for figure in elsewhere])

    def pictures(self, *names):
        """Show pictures of the run by their names; '*' stands for any letters."""
        found = sorted((self.folder / 'figures').glob('*.png'))
        for name in names:
            for path in found:
                if fnmatch(path.stem, name):
                    display(Image(_png(path)))

    def look(self, number, pictures=('*',), **settings):
        """What the network looks at in a validation image (5.2); see `chapters.kit.inside.looking.look`."""
        from chapters.kit.inside.looking import look
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

    With 64 colours it takes a third of the bytes, with 16 a fifth, which are kept in git with every refresh of the outputs.
    """
    if hasattr(picture, 'savefig'):
        file = io.BytesIO()
        picture.savefig(file, format='png', bbox_inches='tight')
        figures.plt.close(picture)
        picture = PIL.Image.open(file)
    elif isinstance(picture, Path):
        picture = PIL.Image.open(picture)
    file = io.BytesIO()
    picture.convert('RGB').quantize(_colours, dither=PIL.Image.NONE).save(file, format='png', optimize=True)
    return file.getvalue()


def _in_full(short, command):
    """What was cut short, and the command that does not."""
    return f'In short form 简短运行: {short}. In full 完整运行: `{command}`'


def _title(experiment):
    """In English and, where it differs, in Chinese."""
    return ' '.join(dict.fromkeys((experiment.title, experiment.title_zh)))


def _number(value):
    """A figure as people write it."""
    return f'{value:,.0f}' if value == round(value) and abs(value) < 1e12 else f'{value:.6g}'


def _comparable(figure, data):
    """Whether a figure of the book was measured on `data`."""
    return figure.data in ('', Path(data).name)


def _stand_back(elsewhere):
    """Show, small, what the book measured on other data: pairs of (BookFigure, words before it)."""
    for data in dict.fromkeys(figure.data for figure, _ in elsewhere):
        display(Markdown(f'<sub>The book, on other data ({data}), not to be compared 书中在其他数据上的数值，不可直接比较: '
                         + ', '.join(f'{before}{figure.metric.replace("_", " ")} {_number(figure.value)}'
                                     for figure, before in elsewhere if figure.data == data) + '</sub>'))


def _printed(figure, data):
    """A figure of the book; empty where it was measured on other data."""
    return _number(figure.value) if _comparable(figure, data) else ''


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
