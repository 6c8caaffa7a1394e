"""The report: means over seeds beside the book's figures; runs that cannot be trusted are left out and named."""
import json
import shlex
import shutil
from pathlib import Path

import pytest

import chapters
from chapters.__main__ import main
from chapters.kit.perform import run_experiment
from chapters.kit.report import figures
from chapters.kit.report.report import draw_costs, write_page, write_results


@pytest.fixture(scope='module')
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs')
    experiment = chapters.find('2.3.9').but(batch_size=100, epochs=2)
    for seed in (0, 1):
        run_experiment(experiment, out=folder / f'seed{seed}', seed=seed, quiet=True)
    return folder


def report(folder):
    said = write_results(folder, folder / 'RESULTS.md', chapters.experiments(), chapters.find)
    return said, (folder / 'RESULTS.md').read_text(encoding='utf-8')


def test_it_lies_beside_the_runs_and_replaces_no_report_of_others(runs, tmp_path, monkeypatch):
    (tmp_path / 'docs').mkdir()
    (tmp_path / 'docs' / 'RESULTS.md').write_text('of many runs')
    monkeypatch.chdir(tmp_path)
    shutil.copytree(runs, 'runs')
    assert main(['report']) == 0
    assert '| 2.3.9 |' in Path('runs/RESULTS.md').read_text(encoding='utf-8')
    assert Path('docs/RESULTS.md').read_text() == 'of many runs'
    assert main(['report', '--out', 'new/folder/RESULTS.md']) == 0 and Path('new/folder/RESULTS.md').exists()
    assert main(['report', 'nowhere', '--out', 'newer/RESULTS.md']) == 2 and not Path('newer').exists()


def test_seeds_of_the_same_settings_share_a_row_with_command_and_curves(runs):
    said, text = report(runs)
    assert said == [f'{runs / "RESULTS.md"}: 2 runs of 1 settings']
    figures = [json.loads((runs / f'seed{seed}' / 'result.json').read_text())['metrics']['train_mse']['last']
               for seed in (0, 1)]
    # the book's figure after 10 epochs is no measure of ours after 2, its figure after the first is
    here = f'{sum(figures) / 2:.6g} ({min(figures):.6g} to {max(figures):.6g})'
    assert f'|  | train mse | 8e-06, other settings | {here} | 2 | 2 | ' in text
    assert '| train mse epoch0 | 0.014321 | ' in text
    assert '- 2.3.9: `python -m chapters run 2.3.9 --batch-size 100 --epochs 2 --seed 1` ' \
           '([curves](curves/seed1.png))' in text
    assert (runs / 'curves' / 'seed1.png').stat().st_size > 1000


def test_a_figure_that_not_every_seed_has_says_so(runs, tmp_path):
    shutil.copytree(runs, tmp_path / 'runs')
    path = tmp_path / 'runs' / 'seed1' / 'result.json'
    result = json.loads(path.read_text())
    del result['metrics']['train_mse']
    path.write_text(json.dumps(result))
    first = json.loads((runs / 'seed0' / 'result.json').read_text())['metrics']['train_mse']['last']
    assert f'| train mse | 8e-06, other settings | {first:.6g}, 1 of 2 seeds |' in report(tmp_path / 'runs')[1]


def test_what_was_reported_stays_when_the_run_folders_are_gone(runs, tmp_path):
    shutil.copytree(runs, tmp_path / 'runs')
    (tmp_path / 'runs' / 'seed1').rename(tmp_path / 'seed1')
    out = tmp_path / 'docs' / 'RESULTS.md'
    out.parent.mkdir()

    def write():
        return write_results(tmp_path / 'runs', out, chapters.experiments(), chapters.find)[0]
    assert write() == f'{out}: 1 runs of 1 settings'
    shutil.rmtree(tmp_path / 'runs' / 'seed0')
    (tmp_path / 'seed1').rename(tmp_path / 'runs' / 'seed1')
    assert write() == f'{out}: 1 runs of 1 settings, and 1 of earlier reports'
    for change in ('| train mse |', '## Commands'):  # both seeds in one row, and in the list of commands
        assert change in out.read_text(encoding='utf-8')
    assert '(' in [line for line in out.read_text(encoding='utf-8').splitlines() if '| train mse |' in line][0]
    assert write() == f'{out}: 1 runs of 1 settings, and 1 of earlier reports'  # the same again, not twice
    assert len(json.loads(out.with_suffix('.json').read_text(encoding='utf-8'))) == 2


def test_recipes_of_an_experiment_stand_apart_with_their_cost(tmp_path):
    short = dict(epochs=1, train_samples=320)
    for name in ('book', 'fast'):
        run, result = run_experiment(chapters.find('3.4.2').by(name).but(**short), data='digits', out=tmp_path / 'runs' / name)
        assert result['recipe_name'] == name.replace('book', '') and ('--recipe fast' in result['command']) == (name == 'fast')
    _, text = report(tmp_path / 'runs')
    book, fast = (next(line for line in text.splitlines() if f'| {name} | validation loss |' in line)
                  for name in ('book', 'fast'))
    operations = 320 * 3 * 2 * (784 * 128 + 128 * 64 + 64 * 10)  # of matrix products; the table counts ReLU and bias, too
    for line in (book, fast):
        assert float(line.split('|')[10]) == pytest.approx(operations, rel=0.05)
        assert 0 < float(line.split('|')[11]) < 1


@pytest.mark.parametrize('name', ('book', 'fast'))
def test_the_curves_and_the_page_name_the_recipe(name, tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures, 'curves', lambda *given, draw=figures.curves: drawn.append(draw(*given)) or drawn[0])
    run_experiment(chapters.find('3.4.2').by(name).but(epochs=2, train_samples=64), data='digits', quiet=True,
                   out=tmp_path / 'runs' / 'one')
    assert drawn[0]._suptitle.get_text().splitlines()[1] == \
        f'digits, recipe {name}, 2 epochs, seed 0, epochs=2, train_samples=64'
    page = write_page(tmp_path / 'runs', tmp_path / 'page.html', chapters.experiments(), 'title', [])
    assert f'data digits, recipe {name}, 2 epochs' in page.read_text(encoding='utf-8')


def test_what_a_figure_of_the_book_means_stands_beside_it(tmp_path):
    """Notes are the experiments' of today: a report of kept records has them, too."""
    record = dict(data='go', recipe_name='', form='gluon', short='', init='', seed=0, recipe='', epochs=3,
                  metrics={'validation_accuracy': 0.36, 'validation_top2': 0.5}, book={'validation_accuracy': 0.3},
                  core_seconds=60, seconds=60, operations=0, commit='', machine='', command='', note='', curves='', title='')
    records = [{**record, 'section': section} for section in ('7.2', 'gone')]
    records += [{**record, 'section': '7.2', 'short': short} for short in ('dtype=bfloat16', 'dtype=bfloat16, epochs=3')]
    (tmp_path / 'RESULTS.json').write_text(json.dumps(records))
    _, text = report(tmp_path)
    # numbers of 16 bits are no other experiment, fewer epochs are
    assert text.count('| validation accuracy | 0.3712, at the first save | 0.36 |') == 2
    assert '| validation accuracy | 0.3712, at the first save, other settings | 0.36 |' in text
    assert '| validation top2 |  | 0.5 |' in text and '| validation accuracy | 0.3 | 0.36 |' in text


def test_a_note_on_data_belongs_to_the_rows_that_it_is_marked_in(tmp_path):
    record = dict(data='cifar10', recipe_name='', form='gluon', init='', seed=0, recipe='', epochs=2, metrics={'mistakes': 5},
                  book={}, core_seconds=60, seconds=60, operations=0, commit='', machine='', command='', curves='', title='')
    records = [{**record, 'section': '5.5.7', 'short': f'width={width}', 'note': note}
               for width, note in enumerate(('', 'copies', 'copies'), 1)]
    records.append({**record, 'section': 'own', 'short': '', 'note': 'mine'})
    (tmp_path / 'RESULTS.json').write_text(json.dumps(records))
    _, text = report(tmp_path)
    for variant in ('cifar10, width=1', 'cifar10, width=2 [1]', 'cifar10, width=3 [1]', 'cifar10 [2]'):
        assert f'| {variant} |' in text
    assert '## Remarks\n\n- [1] copies\n- [2] mine\n\n' in text


def test_commits_of_all_seeds_are_named_and_those_that_the_history_lacks_marked(tmp_path, monkeypatch):
    from chapters.kit.report import report as module
    from chapters.kit.trained.run import versions
    known = module._history()
    assert not known or versions()['commit'].rstrip('+') in {commit[:10] for commit in known}
    record = dict(section='7.2', data='go', recipe_name='', form='gluon', short='', init='', recipe='', epochs=3,
                  metrics={'a': 1}, book={}, core_seconds=60, seconds=60, operations=0, machine='', command='', note='',
                  curves='', title='')
    (tmp_path / 'RESULTS.json').write_text(json.dumps(
        [{**record, 'seed': seed, 'commit': commit} for seed, commit in enumerate(('aaaaa+', 'bbbbb', 'aaaaa+', ''))]))
    for history, words in ((['aaaaa12', 'ccccc'], 'aaaaa+, bbbbb gone'), ([], 'aaaaa+, bbbbb')):
        monkeypatch.setattr(module, '_history', lambda history=history: history)
        assert f'| 1 | {words} |\n' in report(tmp_path)[1]


def test_names_in_the_picture_of_costs_lie_inside_it_and_apart():
    points = {('fashion', '3.4.3', 'book'): (1e12, 0.89)}
    for number, section in enumerate(('5.4.4', '5.4.4-falling-rate', '5.4.4-large')):
        points['fashion', section, 'book'] = 3e14, 0.94 + 0.005 * number
        points['fashion', section, 'the book'] = 3e14, 0.95  # all at one place
    figure = figures.accuracy_over_operations(points)
    names = [text for text in figure.axes[0].texts]
    boxes = [name.get_window_extent() for name in names]
    assert [name.get_text() for name in names] == ['3.4.3', '5.4.4', '5.4.4-falling-rate', '5.4.4-large']
    for number, box in enumerate(boxes):
        assert figure.axes[0].bbox.x0 <= box.x0 and box.x1 <= figure.axes[0].bbox.x1
        assert not any(box.overlaps(other) for other in boxes[:number])
    figures.plt.close(figure)


def test_costs_are_drawn_with_the_books_point_among_ours(tmp_path, monkeypatch):
    seen = {}
    monkeypatch.setattr('chapters.kit.report.figures.accuracy_over_operations', lambda points: (
        seen.update(points), figures.plt.figure())[1])
    known = {experiment.section: experiment for experiment in chapters.experiments()}
    record = dict(section='3.4.2', data='mnist', recipe_name='', form='gluon', short='', operations=7.9e11)
    records = [{**record, 'metrics': {'validation_accuracy': accuracy}} for accuracy in (0.98, 0.982)]
    records += [{**record, 'recipe_name': 'fast', 'operations': 4.7e11, 'metrics': {'validation_accuracy': 0.986}},
                {**record, 'operations': 0, 'metrics': {'validation_accuracy': 0.5}},  # nobody has counted
                {**record, 'data': 'digits', 'metrics': {'validation_accuracy': 0.5}}]
    assert draw_costs(records, known, tmp_path / 'costs.png') and (tmp_path / 'costs.png').exists()
    assert {key for key in seen if key[1] == '3.4.2'} == {('mnist', '3.4.2', kind) for kind in ('book', 'fast', 'the book')}
    others = {key for key in seen if key[1] != '3.4.2'}  # what the book prints stands there before ours has run
    assert ('mnist', '4.4', 'the book') in others and {(data, kind) for data, _, kind in others} == {('mnist', 'the book')}
    assert not any(section.startswith('4.4.4-') for _, section, _ in others)
    assert seen['mnist', '3.4.2', 'book'] == pytest.approx((7.9e11, 0.981))
    cost, printed = seen['mnist', '3.4.2', 'the book']
    assert printed == 0.980531 and cost == pytest.approx(20 * 60000 * 6 * 109184, rel=0.01)  # epochs, images, 3 x 2 x weights
    assert not draw_costs(records[-2:], known, tmp_path / 'none.png')


def test_a_setting_that_is_younger_than_a_run_has_its_default(runs, tmp_path):
    shutil.copytree(runs, tmp_path / 'runs')
    path = tmp_path / 'runs' / 'seed1' / 'config.json'
    config = json.loads(path.read_text())
    del config['recipe']['small_pixels']
    path.write_text(json.dumps(config))
    assert report(tmp_path / 'runs')[0][0].endswith('2 runs of 1 settings')


def test_what_evaluate_found_later_stands_in_the_report(runs, tmp_path):
    shutil.copytree(runs, tmp_path / 'runs')
    (tmp_path / 'runs' / 'seed1' / 'evaluation.json').write_text('{"validation_accuracy_over_ten_crops": 0.875}')
    _, text = report(tmp_path / 'runs')
    assert '| validation accuracy over ten crops |  | 0.875, 1 of 2 seeds |' in text


@pytest.mark.parametrize('content', ['', '[]', '{}', '{"metrics": 3}', '{"metrics": {}, "section": "4.4"}'])
def test_a_damaged_result_is_named(runs, tmp_path, capsys, content):
    shutil.copytree(runs / 'seed0', tmp_path / 'seed0')
    (tmp_path / 'seed0' / 'result.json').write_text(content)
    assert main(['report', str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert str(tmp_path / 'seed0' / 'result.json') in line


def test_a_run_that_is_not_what_it_says_is_left_out(runs, tmp_path):
    def changed(name, file, change):
        shutil.copytree(runs / 'seed0', tmp_path / name)
        path = tmp_path / name / file
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
    changed('whole', 'result.json', lambda result: None)
    shutil.copytree(runs / 'seed0', tmp_path / 'said-otherwise')  # 1 for 1.0, and in another order
    for name in ('config.json', 'result.json'):
        path = tmp_path / 'said-otherwise' / name
        content = json.loads(path.read_text())
        options = shlex.split(content['command'])
        assert options[:4] == ['python', '-m', 'chapters', 'run'] and '--epochs' in options
        options[options.index('--epochs') + 1] += '.0'
        content['command'] = shlex.join(options[:4] + options[5:] + options[4:5])
        path.write_text(json.dumps(content))
    changed('recipe', 'config.json', lambda config: config['recipe'].update(batch_size=7))
    changed('size', 'config.json', lambda config: config['sizes'].update(units_of_the_future=3))
    for name in ('stopped', 'without-history'):
        shutil.copytree(runs / 'seed0', tmp_path / name)
    (tmp_path / 'stopped' / 'result.json').unlink()
    (tmp_path / 'without-history' / 'history.csv').unlink()
    (first, *left_out), _ = report(tmp_path)
    assert first.endswith(': 1 runs of 1 settings')  # of the same seed the last
    assert len(left_out) == 4
    for name, reason in (('recipe', 'does not give its settings'), ('size', 'cannot be run again'),
                         ('stopped', 'not finished'), ('without-history', 'has no history.csv')):
        assert any(line.startswith(f'left out: {tmp_path / name}: ') and reason in line for line in left_out), name


def test_a_font_that_was_installed_after_matplotlib_made_its_list_is_found(monkeypatch):
    from matplotlib import font_manager, pyplot
    path = font_manager.findfont('DejaVu Sans Mono')
    monkeypatch.setattr(figures, '_CHINESE_FONTS', ('DejaVu Sans Mono',))
    monkeypatch.setattr(font_manager, 'findSystemFonts', lambda: [path, __file__])
    monkeypatch.setattr(font_manager.fontManager, 'ttflist', [
        font for font in font_manager.fontManager.ttflist if font.name != 'DejaVu Sans Mono'])
    with pyplot.rc_context():
        assert figures.chinese_font.__wrapped__() == 'DejaVu Sans Mono'
