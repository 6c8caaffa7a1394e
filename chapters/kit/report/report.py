"""Run folders gathered: a table in Markdown, and one page with pictures that is read without a network."""
import base64
import json
import shlex
import shutil
import statistics
import subprocess
from pathlib import Path

from chapters.kit.trained.run import experiment_of, read_config, read_evaluation, run_command
from data_tools.atomic import atomic_path, atomic_write, make_folder
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
        What stands in `result.json`, with what `evaluate` found later among the metrics; the run's folder as 'folder'
        and its settings as 'config'.

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
        except (ValueError, TypeError, KeyError, AttributeError):
            raise UserError(f'{path}, or a .json beside it: damaged; run it again, or move its folder away') from None
        if not isinstance(result['config'], dict) or not {'section', 'seed', 'command', 'data'} <= set(result):
            raise UserError(f'{path}: not of a run of this program; move its folder away')
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
    by_data = config.get('settled', ())  # sizes of the network that are no part of its command: the data decide them
    config = {**config, 'sizes': {name: value for name, value in config['sizes'].items() if name not in by_data}}
    if result['epochs'] and not (result['folder'] / 'history.csv').exists():
        return 'has no history.csv'
    try:
        experiment = experiment_of(config, find, result['folder'])
    except UserError as error:
        return f'cannot be run again ({error})'
    command = run_command(experiment, config['data'], config['seed'], config['form'], config['init'])
    if _words(command) != _words(result['command']):
        return f'its command, {result["command"]}, does not give its settings; {command} would'
    return ''


def write_results(folder, out, experiments, find):
    """Write the table of all finished runs as Markdown, seeds of the same settings together, and a picture of their cost.

    What was measured is kept in a JSON file of the same name beside it. There it stays when run folders are gone: a
    report adds the runs it finds to what earlier ones have kept. The curves of the newest run of each setting are copied
    into a folder beside `out`.

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

    Raises
    ------
    UserError
        No such folder, or a damaged file.
    """
    out, said = Path(out), []
    kept = out.with_suffix('.json')
    try:
        known = json.loads(kept.read_text(encoding='utf-8')) if kept.exists() else []
    except ValueError:
        raise UserError(f'{kept}: damaged JSON; take it away, or get it again') from None
    records = {_identity(record): record for record in known}
    found = set()
    for result in finished_runs(folder):
        reason = refusal(result, find)
        if reason:
            said.append(f'left out: {result["folder"]}: {reason}')
            continue
        record = _record(result, experiment_of(result['config'], find, result['folder']), out)
        records[_identity(record)] = record  # the newest run of a seed
        found.add(_identity(record))
    said += [f'left out: {path.parent}: not finished; --resume it' for path in Path(folder).rglob('config.json')
             if not (path.parent / 'result.json').exists() and not read_config(path.parent).get('purpose')]
    make_folder(out.parent)
    by_section = {experiment.section: experiment for experiment in experiments}
    order = {section: number for number, section in enumerate(by_section)}
    chosen = sorted(records.values(), key=lambda record: (
        order.get(record['section'], len(order)), record['section'], _identity(record)))  # one's own at the end
    settings: dict = {}
    for record in chosen:
        settings.setdefault((*_identity(record)[:-1], record['recipe']), []).append(record)
    lines = ['# Results', '',
             'Written by `python -m chapters report` from run folders. "Here" is the mean over seeds of the last epoch, '
             'with the smallest and the largest in brackets. Operations are floating point operations of training: samples '
             'seen, times three times those of the layer table; a core-minute is a minute of one core. "Filled": the last '
             'validation batch is filled with the first samples, which count twice, as in the book\'s logs of chapters 3 to 5; '
             'of 10,000 in batches of 32 they count 10,016. The commit is that of the programs that ran, with "+" where files '
             'differed from it, and "gone" where the history has it no longer.', '']
    if draw_costs(chosen, by_section, out.with_suffix('.png')):
        lines += [f'![Accuracy over operations]({out.stem}.png)', '']
    lines += ['| section | experiment | data | recipe | figure | the book | here | seeds | epochs | operations | '
              'core-minutes | commit |', '| --- | --- | --- | --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | --- |']
    commands, remarks, machines, history = [], {}, set(), _history()
    notes = {'': ''}  # what is to be said of data -> its mark, in the rows and before the remark
    for group in settings.values():
        first, experiment = group[0], by_section.get(group[0]['section'])
        for record in group:
            notes.setdefault(record['note'], f'[{len(notes)}]')
        lines += _rows(group, experiment, notes, history)
        commands += [f'- {record["section"]}: `{record["command"]}`' for record in group]
        commands[-1] += f' ([curves]({group[-1]["curves"]}))' if group[-1]['curves'] else ''
        printed = _printed(first, experiment)
        if experiment and experiment.remark and set(printed) & set(first['metrics']) and not _changed(first):
            remarks[experiment.section] = f'- {experiment.section}: {experiment.remark}'  # it speaks of the book's figure
        machines.update(record['machine'] for record in group)
    told = [f'- {mark} {note}' for note, mark in notes.items() if mark]
    lines += ['', '## Remarks', '', *remarks.values(), *told, '', '## Machines', '',
              *(f'- {machine}' for machine in sorted(machines)), '', '## Commands', '', *commands, '']
    with atomic_write(kept, text=True) as file:
        file.write('[\n' + ',\n'.join(json.dumps(record, ensure_ascii=False) for record in chosen) + '\n]\n')
    with atomic_write(out, text=True) as file:
        file.write('\n'.join(lines))
    done, earlier = f'{len(found)} runs of {len({identity[:-1] for identity in found})} settings', len(records) - len(found)
    return [f'{out}: {done}' + (f', and {earlier} of earlier reports' if earlier else '')] + said


def _identity(record):
    """What tells runs apart; the seed last."""
    return tuple(record[name] for name in ('section', 'data', 'recipe_name', 'form', 'short', 'init', 'seed'))


def _record(result, experiment, out):
    """What a report keeps of a run."""
    config, versions = result['config'], result['versions']
    sizes = sorted(item for item in experiment.sizes.items() if item[0] not in config.get('settled', ()))  # not by the data
    return {
        'section': result['section'], 'data': Path(result['data']).name,
        'recipe_name': experiment.recipe_name, 'form': config['form'], 'short': result['short'],
        'init': config['init'] and Path(config['init']).name,
        'seed': result['seed'], 'title': f'{experiment.title} {experiment.title_zh}'.strip(),
        'recipe': f'{experiment.recipe or ""} {sizes or ""}'.strip(),
        'epochs': result['epochs'], 'metrics': {name: value['last'] for name, value in result['metrics'].items()},
        'book': result['book'], 'core_seconds': result.get('core_seconds', 0), 'seconds': result['seconds'],
        'operations': result.get('operations', 0), 'commit': versions['commit'],
        'machine': f'{versions["machine"]}, {versions["threads"]} thread(s), Python {versions["python"]}, MXNet '
                   f'{versions["mxnet"]}',
        'command': result['command'], 'note': result['note'], 'curves': _copy_curves(result, out)}


def _changed(record):
    """Whether it has other settings than the book's, or than its recipe's, besides the type of its numbers."""
    return any(not setting.startswith('dtype=') for setting in record['short'].split(', ') if setting)


def _printed(record, experiment):
    """{metric: the book's figure, in words} of a record: as the experiment has it now, with what it means, else as it was."""
    if experiment is None:
        return {metric: f'{value:.6g}' for metric, value in record['book'].items()}
    return {figure.metric: ', '.join(filter(None, (f'{figure.value:.6g}', figure.note.partition(';')[0])))
            for figure in experiment.book if figure.data in ('', record['data'])}


def _history():
    """The hashes of all commits up to this one; none where there is no git, or a clone without history."""
    try:
        shallow, hashes = (subprocess.run(['git', '-C', Path(__file__).parent, *words], capture_output=True, text=True,
                                          check=True).stdout.split()
                           for words in (('rev-parse', '--is-shallow-repository'), ('rev-list', 'HEAD')))
        return hashes if shallow == ['false'] else []
    except (OSError, subprocess.CalledProcessError):
        return []


def _commits(records, history):
    """The commits that the seeds of one setting ran at, in words."""
    commits = dict.fromkeys(record['commit'] for record in records if record['commit'])
    return ', '.join(commit if not history or any(known.startswith(commit.rstrip('+')) for known in history)
                     else f'{commit} gone' for commit in commits)


def _rows(records, experiment, notes, history):
    """The rows of the table for the seeds of one setting.

    `notes`: what is to be said of data -> its mark; `history`: see `_history`.
    """
    first = records[0]
    book = _printed(first, experiment)
    names = dict.fromkeys(name for record in records for name in record['metrics'])
    wanted = [name for name in names if name in book or not name.startswith('train_')] or list(names)
    wanted.sort(key=lambda name: (name not in book, not name.startswith('validation_')))
    wanted = wanted[:max(_FIGURES, len(book))]
    variant = ', '.join(filter(None, (first['data'], first['short'], 'symbolic form' * (first['form'] == 'symbolic'))))
    variant = ' '.join(filter(None, (variant, *dict.fromkeys(notes[record['note']] for record in records))))
    rows, changed = [], _changed(first)
    for number, name in enumerate(wanted):
        values = [record['metrics'][name] for record in records if name in record['metrics']]
        here = f'{statistics.mean(values):.6g}'
        if len(values) > 1:
            here += f' ({min(values):.6g} to {max(values):.6g})'
        if len(values) < len(records):
            here += f', {len(values)} of {len(records)} seeds'
        head, tail = [''] * 4, [''] * 5
        if not number:
            recipe = first['recipe_name'] or experiment and experiment.recipe_label or ''
            head = [first['section'], first['title'], variant, recipe]
            tail = [str(len(records)), str(first['epochs'] or ''),
                    f'{first["operations"]:.2g}' if first['operations'] else '',
                    _minutes(records), _commits(records, history)]
        printed = book.get(name, '')
        if printed and changed and '_epoch' not in name:  # the book's last figure is no measure of a shorter run
            printed += ', other settings'
        rows.append('| ' + ' | '.join(head + [name.replace('_', ' '), printed, here] + tail) + ' |')
    return rows


def _minutes(records):
    """Core-minutes of a run, the mean over seeds; by the clock where nobody has counted cores."""
    counted = all(record['core_seconds'] for record in records)
    mean = statistics.mean(record['core_seconds' if counted else 'seconds'] / 60 for record in records)
    return f'{mean:.3g}' + ' by the clock' * (not counted)


_SAMPLES = {'mnist': 60000, 'fashion': 60000, 'cifar10': 50000}


def draw_costs(records, experiments, path):
    """Draw validation accuracy over the operations of training, one field a data set, the book's points in it.

    Parameters
    ----------
    records : list of dict
    experiments : mapping of section to Experiment
    path : Path

    Returns
    -------
    bool
        Whether there was anything to draw.
    """
    from chapters.kit.training.train import operations
    points: dict = {}
    for record in records:
        if record['operations'] and 'validation_accuracy' in record['metrics'] and record['data'] in _SAMPLES \
                and record['form'] == 'gluon':
            kind = (record['recipe_name'] or 'book') + ', cut short' * _changed(record)
            points.setdefault((record['data'], record['section'], kind), []).append(
                (record['operations'], record['metrics']['validation_accuracy']))
    ran, drawn = {section for _, section, _ in points}, {data for data, _, _ in points}
    for section, experiment in experiments.items():
        # what varies a section stays out unless it ran: five batch sizes of one network would hide each other
        if not experiment.trains or experiment.data not in drawn or (section not in ran and '-' in section):
            continue
        printed = experiment.figure('validation_accuracy', experiment.data)
        if printed:
            samples = _SAMPLES[experiment.data] * experiment.recipe.epochs
            points[experiment.data, section, 'the book'] = [
                (samples * operations(experiment.build(), experiment.sample_shape), printed.value)]
    if not points:
        return False
    import matplotlib.pyplot as plt

    from chapters.kit.report import figures
    figure = figures.accuracy_over_operations(
        {key: tuple(map(statistics.mean, zip(*values))) for key, values in points.items()})
    with atomic_path(path) as beside:
        figure.savefig(beside, bbox_inches='tight')
    plt.close(figure)
    return True


def _copy_curves(result, out):
    """Copy the curves of a run into a folder beside the report; their path from there, or ''."""
    source = result['folder'] / 'figures' / 'curves.png'
    if not source.exists():
        return ''
    target = out.parent / 'curves' / f'{result["folder"].name}.png'
    make_folder(target.parent)
    shutil.copyfile(source, target)
    return target.relative_to(out.parent).as_posix()


def _inside(paths):
    """Picture files as a page holds them inside itself."""
    return [{'name': path.stem, 'data': base64.b64encode(path.read_bytes()).decode('ascii')} for path in map(Path, paths)]


def agrees(book, here):
    """Whether a figure is the book's, to two per cent, or to 0.005 where it is small."""
    return abs(here - book) <= max(0.02 * abs(book), 0.005)


def write_page(folder, out, experiments, title, introduction, sentences=(), beside=(), groups=()):
    """Write one HTML page with every finished run below a folder; pictures are inside it.

    Above all: how many experiments ran, how long, and how many of the book's figures come out. Only those count that were
    measured on the same data by the whole recipe.

    Parameters
    ----------
    folder, out : path-like
    experiments : list of Experiment
    title : str
    introduction : list of str
    sentences : mapping of str to sequence of str
        Section -> what it shows, a paragraph each.
    beside : list of dict
        What else is shown, above the runs: 'title', 'title_zh', 'sentences', 'commands', and 'pictures', the paths of PNGs.
    groups : mapping of str to (str, str)
        Chapter's number -> its title in English and in Chinese. Default: chapters are called by their numbers.

    Returns
    -------
    pathlib.Path
        `out`.
    """
    import jinja2
    by_section = {experiment.section: experiment for experiment in experiments}
    order = list(by_section)
    runs, compared = [], []
    for result in finished_runs(folder):
        experiment = by_section[result['section']].by(result['config'].get('recipe_name', ''))
        pictures = _inside(sorted((result['folder'] / 'figures').glob('*.png'),
                                  key=lambda path: (path.stem != 'curves', path.stem)))
        rows = []
        for name, value in result['metrics'].items():
            book = result['book'].get(name)
            same = '' if book is None or result['short'] else agrees(book, value['last'])
            compared += [same] * (same != '')
            rows.append({'name': name.replace('_', ' '), 'here': f'{value["last"]:.6g}', 'same': same,
                         'book': '' if book is None else f'{book:.6g}'})
        rows.sort(key=lambda row: not row['book'])
        printed = [figure for figure in experiment.book
                   if figure.data not in ('', result['data']) and figure.metric in result['metrics']]
        runs.append({'result': result, 'experiment': experiment, 'pictures': pictures, 'rows': rows,
                     'elsewhere': printed, 'sentences': dict(sentences).get(experiment.section, ()),
                     'files': [path.relative_to(Path(out).parent).as_posix()
                               for path in sorted(result['folder'].glob('*.xlsx'))],
                     'full': f'python -m chapters run {experiment.section}' if result['short'] else ''})
    runs.sort(key=lambda run: order.index(run['experiment'].section))
    parts: dict = {}
    for run in runs:
        parts.setdefault(run['experiment'].section.split('.')[0], []).append(run)
    environment = jinja2.Environment(loader=jinja2.FileSystemLoader(Path(__file__).parent / 'templates'),
                                     autoescape=True, trim_blocks=True, lstrip_blocks=True)
    page = environment.get_template('page.html').render(
        title=title, introduction=introduction, runs=runs, parts=parts,
        groups={**{number: (f'Chapter {number}', f'第 {number} 章') for number in parts}, **dict(groups)},
        seconds=sum(run['result']['seconds'] for run in runs), pictures=sum(len(run['pictures']) for run in runs),
        compared=len(compared), agree=sum(compared), short=sum(bool(run['result']['short']) for run in runs),
        beside=[{**one, 'pictures': _inside(one['pictures'])} for one in beside])
    with atomic_write(out, text=True) as file:
        file.write(page)
    return Path(out)
