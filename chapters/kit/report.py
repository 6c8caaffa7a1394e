"""Run folders gathered: a table in Markdown, and one page with pictures that is read without a network."""
import base64
import json
import shlex
import shutil
import statistics
from pathlib import Path

from chapters.kit.run import experiment_of, read_evaluation, run_command
from data_tools.atomic import atomic_write
from data_tools.errors import UserError

_FIGURES = 8  # of a setting, at most: some experiments measure every kernel


def finished_runs(folder):
    """The results of all finished runs below a folder, oldest first.

    Parameters
    ----------
    folder : path-like

    Returns
    -------
    list of dict
        What stands in `result.json`, with what `evaluate` found later among the metrics; the run's folder as 'folder' and
        its settings as 'config'.

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
            result['metrics'].update((name, {'last': value}) for name, value in read_evaluation(path.parent).items())
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


def _words(command):
    """The words of a command in any order, 1 and 1.0 being the same."""
    def plain(word):
        name, equals, value = word.rpartition('=')
        try:
            return f'{name}{equals}{float(value)!r}'
        except ValueError:
            return word
    return sorted(map(plain, shlex.split(command)))


def refusal(result, find):
    """Why a finished run does not belong into a report, in words; empty if it does.

    Parameters
    ----------
    result : dict
        One of `finished_runs`.
    find : callable
        Section -> Experiment.
    """
    config = result['config']
    if result['epochs'] and not (result['folder'] / 'history.csv').exists():
        return 'has no history.csv'
    try:
        experiment = experiment_of(config, find)
    except UserError as error:
        return f'cannot be run again ({error})'
    command = run_command(experiment, config['data'], config['seed'], config['form'], config['init'])
    if _words(command) != _words(result['command']):
        return f'its command, {result["command"]}, does not give its settings; {command} would'
    return ''


def write_results(folder, out, experiments, find):
    """Write the table of all finished runs as Markdown, seeds of the same settings together.

    The curves of the newest run of each setting are copied into a folder beside `out`.

    Parameters
    ----------
    folder, out : path-like
    experiments : list of Experiment
        For order, titles and the book's figures.
    find : callable
        Section -> Experiment.

    Returns
    -------
    list of str
        What was done, in one line, and a line for each run that was left out, with the reason.
    """
    groups, said = {}, []
    for result in finished_runs(folder):
        config = result['config']
        reason = refusal(result, find)
        if reason:
            said.append(f'left out: {result["folder"]}: {reason}')
            continue
        experiment = experiment_of(config, find)  # which gives settings that are younger than a run their defaults
        key = (result['section'], result['data'], config['form'], result['short'],
               repr((experiment.recipe, sorted(experiment.sizes.items()), config['init'])))
        groups.setdefault(key, {})[result['seed']] = result  # the newest run of a seed
    said += [f'left out: {path.parent}: not finished; --resume it' for path in Path(folder).rglob('config.json')
             if not (path.parent / 'result.json').exists()]
    order = {experiment.section: number for number, experiment in enumerate(experiments)}
    runs = [[groups[key][seed] for seed in sorted(groups[key])]
            for key in sorted(groups, key=lambda key: (order[key[0]], key))]
    lines = ['# Results', '',
             'Written by `python -m chapters report` from run folders. "Here" is the mean over seeds of the last '
             'epoch, with the smallest and the largest in brackets.', '',
             '| section | experiment | data | figure | the book | here | seeds | epochs | seconds a run | commit |',
             '| --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | --- |']
    commands, remarks, machines = [], {}, set()
    for results in runs:
        experiment = find(results[0]['section'])
        lines += _rows(results, experiment)
        curve = _copy_curves(results[-1], Path(out))
        commands += [f'- {experiment.section}: `{result["command"]}`' for result in results]
        commands[-1] += f' ([curves]({curve}))' if curve else ''
        if experiment.remark:
            remarks[experiment.section] = f'- {experiment.section}: {experiment.remark}'
        remarks.update((result['note'], f'- {result["note"]}') for result in results if result['note'])
        machines.update(f'{result["versions"]["machine"]}, {result["versions"]["threads"]} thread(s), Python '
                        f'{result["versions"]["python"]}, MXNet {result["versions"]["mxnet"]}' for result in results)
    lines += ['', '## Remarks', '', *remarks.values(), '', '## Machines', '',
              *(f'- {machine}' for machine in sorted(machines)), '', '## Commands', '', *commands, '']
    with atomic_write(out, text=True) as file:
        file.write('\n'.join(lines))
    return [f'{out}: {sum(map(len, runs))} runs of {len(runs)} settings'] + said


def _rows(results, experiment):
    """The rows of the table for the seeds of one setting."""
    first = results[0]
    book = {figure.metric: figure.value for figure in experiment.book
            if figure.data in ('', first['data'], Path(first['data']).name)} or first['book']
    names = dict.fromkeys(name for result in results for name in result['metrics'])
    wanted = [name for name in names if name in book or not name.startswith('train_')] or list(names)
    wanted.sort(key=lambda name: (name not in book, not name.startswith('validation_')))
    wanted = wanted[:max(_FIGURES, len(book))]
    variant = ', '.join(filter(None, (Path(first['data']).name, first['short'],
                                      'symbolic form' if first['config']['form'] == 'symbolic' else '')))
    rows = []
    for number, name in enumerate(wanted):
        values = [result['metrics'][name]['last'] for result in results if name in result['metrics']]
        here = f'{statistics.mean(values):.6g}'
        if len(values) > 1:
            here += f' ({min(values):.6g} to {max(values):.6g})'
        head, tail = ['', '', ''], ['', '', '', '']
        if not number:
            head = [first['section'], f'{experiment.title} {experiment.title_zh}', variant]
            tail = [str(len(results)), str(first['epochs'] or ''),
                    f'{statistics.mean(result["seconds"] for result in results):.0f}', first['versions']['commit']]
        whole = not first['short'] or '_epoch' in name  # the book's last figure is no measure of a shorter run
        printed = f'{book[name]:.6g}' if name in book and whole else ''
        rows.append('| ' + ' | '.join(head + [name.replace('_', ' '), printed, here] + tail) + ' |')
    return rows


def _copy_curves(result, out):
    """Copy the curves of a run into a folder beside the report; their path from there, or ''."""
    source = result['folder'] / 'figures' / 'curves.png'
    if not source.exists():
        return ''
    target = out.parent / 'curves' / f'{result["folder"].name}.png'
    target.parent.mkdir(exist_ok=True)
    shutil.copyfile(source, target)
    return target.relative_to(out.parent).as_posix()


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
