"""Run folders gathered: `docs/RESULTS.md`, and one page with pictures that is read without a network."""
import base64
import json
import statistics
from pathlib import Path

from data_tools.atomic import atomic_write
from data_tools.errors import UserError


def finished_runs(folder):
    """The results of all finished runs below a folder, oldest first.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of dict
        What stands in `result.json`, and the run's folder as 'folder' and its settings as 'config'.

    Raises
    ------
    UserError
        No such folder; a damaged file; a result that does not belong to the settings beside it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f'{folder}: no such folder; `python -m chapters run SECTION` makes runs')
    results = []
    for path in sorted(folder.rglob('result.json'), key=lambda path: path.stat().st_mtime):
        try:
            result = json.loads(path.read_text(encoding='utf-8'))
            result['config'] = json.loads((path.parent / 'config.json').read_text(encoding='utf-8'))
        except FileNotFoundError:
            raise UserError(f'{path.parent}: has a result but no config.json; not a whole run folder') from None
        except ValueError:
            raise UserError(f'{path.parent}: damaged JSON; run it again') from None
        for name in ('section', 'seed', 'command', 'data'):
            if result[name] != result['config'][name]:
                raise UserError(f'{path.parent}: {name} in result.json is {result[name]!r}, in config.json '
                                f'{result["config"][name]!r}; run it again')
        result['folder'] = path.parent
        results.append(result)
    return results


def write_results(folder, out, experiments):
    """Write the table of all finished runs as Markdown, seeds of the same settings together.

    Parameters
    ----------
    folder, out : path-like
    experiments : list of Experiment
        For order, titles and the book's figures.

    Returns
    -------
    str
        What was done, in one line.
    """
    groups = {}
    for result in finished_runs(folder):
        config = result['config']
        key = (result['section'], result['data'], config['form'], result['short'],
               json.dumps([config['recipe'], config['sizes'], config['init']], sort_keys=True))
        groups.setdefault(key, {})[result['seed']] = result  # the newest run of a seed
    lines = ['# Results', '',
             'Written by `python -m chapters report` from run folders. "Here" is the mean over seeds of the last epoch, '
             'with the smallest and the largest in brackets.', '']
    order = {experiment.section: number for number, experiment in enumerate(experiments)}
    titles = {experiment.section: experiment for experiment in experiments}
    lines += ['| section | experiment | data | figure | the book | here | seeds | epochs | seconds a run | commit |',
              '| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |']
    commands, notes, machines = [], set(), set()
    for key in sorted(groups, key=lambda key: (order.get(key[0], len(order)), key)):
        results = [groups[key][seed] for seed in sorted(groups[key])]
        first = results[0]
        experiment = titles.get(first['section'])
        book = {figure.metric: figure.value for figure in (experiment.book if experiment else ())
                if figure.data in ('', first['data'], Path(first['data']).name)} or first['book']
        wanted = [name for name in first['metrics'] if name in book] or list(first['metrics'])[:4]
        if 'validation_accuracy' in first['metrics'] and 'validation_accuracy' not in wanted:
            wanted.insert(0, 'validation_accuracy')
        for number, name in enumerate(wanted):
            values = [result['metrics'][name]['last'] for result in results]
            mean = statistics.mean(values)
            here = f'{mean:.6g}' if len(values) == 1 else f'{mean:.6g} ({min(values):.6g} to {max(values):.6g})'
            printed = f'{book[name]:.6g}' if name in book else ''
            variant = ', '.join(filter(None, (Path(first['data']).name, first['short'],
                                              'symbolic form' if first['config']['form'] == 'symbolic' else '')))
            head = ([first['section'], f'{experiment.title} {experiment.title_zh}' if experiment else '', variant]
                    if not number else ['', '', ''])
            tail = ([str(len(results)), str(first['epochs'] or ''),
                     f'{statistics.mean(result["seconds"] for result in results):.0f}',
                     first['versions']['commit']] if not number else ['', '', '', ''])
            lines.append('| ' + ' | '.join(head + [name.replace('_', ' '), printed, here] + tail) + ' |')
        commands += [f'- {first["section"]}: `{result["command"]}`' for result in results]
        notes.update(filter(None, (result['note'] for result in results)))
        machines.update(f'{result["versions"]["machine"]}, {result["versions"]["threads"]} thread(s), Python '
                        f'{result["versions"]["python"]}, MXNet {result["versions"]["mxnet"]}' for result in results)
    lines += ['', *(f'- {note}' for note in sorted(notes)), '', '## Machines', '',
              *(f'- {machine}' for machine in sorted(machines)), '', '## Commands', '', *commands, '']
    with atomic_write(out, text=True) as file:
        file.write('\n'.join(lines))
    return f'{out}: {sum(map(len, groups.values()))} runs of {len(groups)} settings'


def write_page(folder, out, experiments, title, introduction):
    """Write one HTML page with every finished run below a folder; pictures are inside it.

    Parameters
    ----------
    folder, out : path-like
    experiments : list of Experiment
    title, introduction : str

    Returns
    -------
    pathlib.Path
        `out`.
    """
    import jinja2
    by_section = {experiment.section: experiment for experiment in experiments}
    order = list(by_section)
    runs = []
    for result in finished_runs(folder):
        experiment = by_section[result['section']]
        pictures = [{'name': path.stem, 'data': base64.b64encode(path.read_bytes()).decode('ascii')}
                    for path in sorted((result['folder'] / 'figures').glob('*.png'),
                                       key=lambda path: (path.stem != 'curves', path.stem))]
        rows = [{'name': name.replace('_', ' '), 'here': f'{value["last"]:.6g}',
                 'book': f'{result["book"][name]:.6g}' if name in result['book'] else ''}
                for name, value in result['metrics'].items()]
        printed = [figure for figure in experiment.book
                   if figure.data not in ('', result['data']) and figure.metric in result['metrics']]
        runs.append({'result': result, 'experiment': experiment, 'pictures': pictures, 'rows': rows,
                     'elsewhere': printed, 'full': f'python -m chapters run {experiment.section}'})
    runs.sort(key=lambda run: order.index(run['experiment'].section))
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
                                     autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template('page.html').render(title=title, introduction=introduction, runs=runs)
    with atomic_write(out, text=True) as file:
        file.write(page)
    return Path(out)
