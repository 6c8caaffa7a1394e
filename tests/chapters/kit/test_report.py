"""The report: means over seeds beside the book's figures; runs that cannot be trusted are left out and named."""
import json
import shlex
import shutil
from pathlib import Path

import pytest

import chapters
from chapters.__main__ import main
from chapters.kit.program import run_experiment
from chapters.kit.report import write_results


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


def test_seeds_of_the_same_settings_share_a_row_with_command_and_curves(runs):
    said, text = report(runs)
    assert said == [f'{runs / "RESULTS.md"}: 2 runs of 1 settings']
    figures = [json.loads((runs / f'seed{seed}' / 'result.json').read_text())['metrics']['train_mse']['last']
               for seed in (0, 1)]
    # the book's figure after 10 epochs does not stand beside ours after 2, its figure after the first does
    row = f'| train mse |  | {sum(figures) / 2:.6g} ({min(figures):.6g} to {max(figures):.6g}) | 2 | 2 |'
    assert row in text and '| train mse epoch0 | 0.014321 | ' in text
    assert '- 2.3.9: `python -m chapters run 2.3.9 --batch-size 100 --epochs 2 --seed 1` ' \
           '([curves](curves/seed1.png))' in text
    assert (runs / 'curves' / 'seed1.png').stat().st_size > 1000


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
    assert '| validation accuracy over ten crops |  | 0.875 |' in text


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
