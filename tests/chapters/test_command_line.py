"""The command line: what it prints, and one clear line for every mistake."""
import gzip
import json
import os
import re
import shutil
import signal
import struct
import subprocess
import sys
from pathlib import Path
from unicodedata import east_asian_width

import numpy as np
import pytest
from PIL import Image

import chapters
from chapters.__main__ import main
from chapters.script import cost
from data_tools.errors import UserError

ROOT = Path(chapters.__file__).parents[1]


def _idx_folder(folder, images=40, labels=40, side=28, magic=0x803, cut=0, label=3):
    """A data set of four IDX files, with whatever is to be wrong about its training part."""
    folder.mkdir()
    random = np.random.default_rng(0)
    for part in ('train', 't10k'):
        count, count_labels = (images, labels) if part == 'train' else (20, 20)
        pixels = random.integers(0, 256, (count, side, side), dtype=np.uint8).tobytes()
        header = struct.pack('>IIII', magic if part == 'train' else 0x803, count, side, side)
        content = header + (pixels[:-cut] if cut and part == 'train' else pixels)
        (folder / f'{part}-images-idx3-ubyte.gz').write_bytes(gzip.compress(content))
        classes = np.arange(count_labels, dtype=np.uint8) % 10
        if part == 'train':
            classes[0] = label
        (folder / f'{part}-labels-idx1-ubyte').write_bytes(struct.pack('>II', 0x801, count_labels)
                                                           + classes.tobytes())
    return str(folder)


def _mistake(capsys, *arguments):
    """Run a command that must fail; returns its one line."""
    assert main(list(map(str, arguments))) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1, error
    return error[0]


def test_list_names_every_experiment_and_starts_without_mxnet():
    chapters.catalogue()  # kept for the next call
    environment = dict(os.environ, COLUMNS='120')
    code = ('import sys; from chapters.__main__ import main; main(["list"]); '
            'assert "mxnet" not in sys.modules and "numpy" not in sys.modules')
    answer = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    for word in ('3.4.2', '0.980531', '4.4', '用卷积网络识别手写数字'):
        assert word in answer.stdout


def test_list_starts_within_a_second():
    chapters.catalogue()  # kept for the next call
    before = os.times()
    for _ in range(3):
        subprocess.run([sys.executable, '-m', 'chapters', 'list'], capture_output=True, check=True)
    after = os.times()  # the processor's time: another program may be using the machine
    assert (after.children_user + after.children_system - before.children_user - before.children_system) / 3 < 1


def test_list_fits_the_terminal_and_shows_a_part(tmp_path):
    environment = dict(os.environ, COLUMNS='80')
    answer = subprocess.run([sys.executable, '-m', 'chapters', 'list', '4.4'], capture_output=True, text=True,
                            env=environment)
    lines = answer.stdout.splitlines()
    width = max(sum(1 + (east_asian_width(letter) in 'WF') for letter in line) for line in lines)
    assert 60 < width <= 80
    starts = [line.split()[0] for line in lines[1:] if not line.startswith(' ' * 8)]
    assert starts[0] == '4.4' and all(start.startswith('4.4') for start in starts)
    assert '  4.4.4-batch8 · ' in answer.stdout  # variations are indented


def test_a_script_that_changes_is_listed_anew(tmp_path, monkeypatch):
    """Nothing but the script has to be told of a new experiment."""
    shutil.copytree(ROOT / 'chapters', tmp_path / 'chapters', ignore=shutil.ignore_patterns('page', '__pycache__', 'ch0[5-9]*'))
    for name in ('book_code', 'data_tools'):
        (tmp_path / name).symlink_to(ROOT / name)
    code = 'import chapters, json; print(json.dumps([row["title"] for row in chapters.catalogue()]))'

    def titles(before=''):
        answer = subprocess.run([sys.executable, '-c', before + code], capture_output=True, text=True, cwd=tmp_path,
                                env={**os.environ, 'HOME': str(tmp_path), 'PYTHONPATH': str(tmp_path)})
        assert answer.returncode == 0, answer.stderr
        return json.loads(answer.stdout)
    before = titles()
    script = tmp_path / 'chapters' / 'ch02_neuron' / 'another.py'
    script.write_text('from chapters.kit.experiment import WorkedExample\n\nEXPERIMENTS = [\n'
                      "    WorkedExample('2.9.9', 'Another one', '另一个', function=lambda run: {'one': 1}),\n]\n")
    assert titles() == titles() and set(titles()) - set(before) == {'Another one'}
    # A notebook's kernel, open while the script changes, does not know what is in it now.
    kernel = (f'import chapters.ch02_neuron.another; from pathlib import Path; script = Path({str(script)!r}); '
              'script.write_text(script.read_text().replace("Another one", "Another two")); ')
    assert 'Another one' in titles(kernel) and 'Another two' in titles()


def test_without_what_the_project_needs_every_command_says_so_in_one_line(tmp_path):
    for command in (['list'], ['run', '2.1.1'], ['report']):
        answer = subprocess.run([sys.executable, '-S', '-m', 'chapters', *command], capture_output=True, text=True,
                                cwd=ROOT, env={**os.environ, 'HOME': str(tmp_path)})
        assert answer.returncode == 2 and len(answer.stderr.splitlines()) == 1, answer.stderr
        assert 'make setup' in answer.stderr


@pytest.mark.parametrize('section, near', [('3.2', '3.2-l2'), ('4.5', '4.5.2'), ('3.42', '3.4.2')])
def test_a_section_that_is_not_there_suggests_those_that_begin_so(capsys, section, near):
    assert near in _mistake(capsys, 'run', section).split('did you mean')[1]


@pytest.mark.parametrize('change, words', [
    (lambda config: [config], 'it is no object'), (lambda config: {'name': 'a web page'}, 'it has no section'),
    (lambda config: {**config, 'seed': '1'}, "seed is '1'"),
    (lambda config: {name: value for name, value in config.items() if name != 'facts'}, 'it has no facts')])
def test_a_folder_of_another_program_is_no_run(tmp_path, capsys, change, words):
    config = json.loads((ROOT / 'chapters' / 'zoo' / '3.4.2' / 'config.json').read_text(encoding='utf-8'))
    (tmp_path / 'config.json').write_text(json.dumps(change(config)))
    picture = ROOT / 'docs' / 'RESULTS.png'
    for command in (['predict', tmp_path, picture], ['evaluate', tmp_path], ['run', '--resume', tmp_path]):
        assert words in _mistake(capsys, *command)


def test_ctrl_c_prints_how_to_go_on_and_a_finished_run_says_that_it_is(tmp_path, capsys):
    command = [sys.executable, '-m', 'chapters', 'run', '3.4.2', '--data', 'digits', '--epochs', '1000', '--out',
               str(tmp_path / 'run')]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        while not process.stdout.readline().startswith('epoch 2'):
            assert process.poll() is None
        assert 'another program is running it' in _mistake(capsys, 'run', '--resume', tmp_path / 'run')
        process.send_signal(signal.SIGINT)
        _, error = process.communicate()
    assert process.returncode == 130 and f'python -m chapters run --resume {tmp_path / "run"}' in error
    assert error.count('stopped') == 1
    assert main(['run', '3.4.2', '--data', 'digits', '--epochs', '1', '--out', str(tmp_path / 'done')]) == 0
    assert 'is finished' in _mistake(capsys, 'run', '--resume', tmp_path / 'done')


def test_what_was_changed_stands_where_figures_stand(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    changes = ['--subset', '64', '--epochs', '1', '--set', 'dropout=0.1', '--form', 'gluon']
    assert main(['run', '3.4.2', '--data', 'digits', *changes]) == 0
    (folder,) = (tmp_path / 'runs').iterdir()
    said = capsys.readouterr().out
    for change in ('epochs=1', 'train_samples=64', 'dropout=0.1'):
        assert change in said.split('the book')[1].replace('\n', ' ') and change.replace('=', '-') in folder.name
    assert main(['report']) == 0
    assert 'dropout=0.1' in (tmp_path / 'runs' / 'RESULTS.md').read_text(encoding='utf-8')
    assert "the book's run" not in (tmp_path / 'runs' / 'RESULTS.md').read_text(encoding='utf-8')


def test_the_symbolic_form_learns_what_gluon_learns_and_is_quiet(tmp_path):
    found = {}
    for form in ('gluon', 'symbolic'):
        answer = subprocess.run([sys.executable, '-m', 'chapters', 'run', '4.4', '--data', 'digits', '--form', form, '--epochs',
                                 '2', '--set', 'initializer=xavier', '--learning-rate', '0.01', '--out', str(tmp_path / form)],
                                capture_output=True, text=True)
        assert answer.returncode == 0 and answer.stderr == '', answer.stderr
        found[form] = {name: value['last'] for name, value in
                       json.loads((tmp_path / form / 'result.json').read_text())['metrics'].items()}
    for name, value in found['symbolic'].items():
        assert value == pytest.approx(found['gluon'][name], abs=0.02), name


def test_the_symbolic_form_goes_on_where_it_was_stopped(tmp_path):
    from chapters.kit.perform import resume, run_experiment
    experiment = chapters.find('3.4.2').but(epochs=3, momentum=0.9, learning_rate=0.01, train_samples=320)
    run_experiment(experiment, data='digits', out=tmp_path / 'whole', form='symbolic', quiet=True)
    shutil.copytree(tmp_path / 'whole', tmp_path / 'stopped')
    run_experiment(experiment.but(epochs=1), data='digits', out=tmp_path / 'first', form='symbolic', quiet=True)
    shutil.rmtree(tmp_path / 'stopped' / 'checkpoint')
    shutil.copytree(tmp_path / 'first' / 'checkpoint', tmp_path / 'stopped' / 'checkpoint')
    (tmp_path / 'stopped' / 'result.json').unlink()
    resume(tmp_path / 'stopped', chapters.find)
    one, two = (json.loads((tmp_path / name / 'result.json').read_text())['metrics'] for name in ('whole', 'stopped'))
    assert one == two


def test_show_prints_layers_recipe_and_book(capsys):
    assert main(['show', '4.4']) == 0
    shown = capsys.readouterr().out
    for word in ('51,264', '58,058', '0.99401', 'learning_rate=0.03', 'chapters/ch04_cnn/lenet.py',
                 'book_code/sec_4_4.py', 'features.0, features.1'):
        assert word in shown or word.replace(',', '') in shown


FAST = {'3.4.2', '3.4.3', '4.4', '4.4.4-batch8', '4.4.4-batch32', '4.4.4-batch128', '4.4.4-batch512',
        '4.4.4-batch512-rate0.2', '4.4.5', '4.4.5-large', '5.4.4', '5.4.4-falling-rate', '5.4.4-large', '5.4.5', '5.5.7',
        '7.2-small'}


def test_no_fast_recipe_is_lost_and_list_and_show_name_them(capsys):
    assert {experiment.section for experiment in chapters.experiments() if experiment.fast} == FAST
    assert {row['section'] for row in chapters.catalogue() if row['recipes'] == 'book, fast'} == FAST
    assert main(['list', '4.4']) == 0
    assert 'MNIST · mnist · book, fast · ' in ' '.join(capsys.readouterr().out.split())
    assert main(['show', '4.4']) == 0
    shown = capsys.readouterr().out
    assert f'\nrecipe book: {chapters.find("4.4").recipe}\nrecipe fast: {chapters.find("4.4").fast}\n' in shown
    assert main(['show', '4.2.2']) == 0
    assert '\nrecipe: epochs=6' in capsys.readouterr().out  # there is but one


def test_everything_can_be_shown():
    """But chapter 5, which test_ch05_networks.py shows."""
    for experiment in chapters.experiments():
        if not experiment.section.startswith('5'):
            assert main(['show', experiment.section]) == 0, experiment.section


@pytest.mark.parametrize('operations, epochs, seconds, words', [
    (1.23e14, 40, 1030, '1.2e+14 operations, 40 epochs, 17 core-minutes'), (0, 1, 3, '1 epoch, 0.05 core-minutes'),
    (2e15, 200, 123456, '2e+15 operations, 200 epochs, 2,058 core-minutes'), (0, 0, 0, '')])
def test_what_a_training_cost_in_words(operations, epochs, seconds, words):
    assert cost(dict(operations=operations, epochs=epochs, core_seconds=seconds)) == words


def test_a_run_says_by_which_recipe_before_and_after(tmp_path, capsys):
    short = ['--data', 'digits', '--epochs', '1', '--subset', '64']
    for name, options in (('book', []), ('fast', ['--recipe', 'fast'])):
        assert main(['run', '3.4.2', *options, *short, '--out', str(tmp_path / name)]) == 0
        printed = capsys.readouterr().out
        assert re.match(rf'3.4.2 .* \[recipe {name}: epochs=1, .*; data digits\]\n', printed)
        assert f'here (recipe {name}, epochs=1, train_samples=64)' in printed
        assert re.fullmatch(r'[\d.]+e\+\d+ operations, 1 epoch, [\de.-]+ core-minutes', printed.splitlines()[-2])
    assert main(['run', '2.2.8', '--subset', '20', '--out', str(tmp_path / 'one')]) == 0
    assert 'recipe' not in capsys.readouterr().out


def test_a_script_of_a_chapter_runs_on_its_own(tmp_path):
    answer = subprocess.run([sys.executable, '-m', 'chapters.ch03_mlp.mnist', '--data', 'digits', '--epochs', '1',
                             '--out', str(tmp_path / 'run')], capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    assert answer.stderr == ''  # no chatter of MXNet, no progress bar in a pipe
    assert 'standing in for MNIST' in answer.stdout


def test_a_run_leaves_all_that_is_promised(tmp_path, capsys):
    out = tmp_path / 'run'
    assert main(['run', '4.4', '--data', 'digits', '--epochs', '2', '--set', 'train_samples=320', '--out',
                 str(out)]) == 0
    for name in ('config.json', 'history.csv', 'model-symbol.json', 'model-0002.params', 'figures/curves.png'):
        assert (out / name).stat().st_size
    result = json.loads((out / 'result.json').read_text())
    assert set(result) >= {'section', 'data', 'epochs', 'metrics', 'book', 'seconds', 'samples_per_second',
                           'parameters', 'seed', 'versions', 'command'}
    assert result['parameters'] == 58058 and result['data'] == 'digits' and result['epochs'] == 2
    assert result['short'] == 'epochs=2, train_samples=320'
    assert result['book'] == {}  # the book's figure is for MNIST, not for these digits
    assert set(result['metrics']['validation_accuracy']) == {'last', 'best'}
    # The command repeats the run.
    words = result['command'].split()[3:]
    assert main(words + ['--out', str(tmp_path / 'again')]) == 0
    again = json.loads((tmp_path / 'again' / 'result.json').read_text())
    assert again['metrics'] == result['metrics']


def test_folder_of_idx_files_as_data(tmp_path, capsys):
    assert main(['run', '3.4.2', '--data', _idx_folder(tmp_path / 'mine'), '--epochs', '1', '--out',
                 str(tmp_path / 'run')]) == 0


@pytest.mark.parametrize('wrong, words', [
    (dict(cut=5), ('train-images-idx3-ubyte.gz',)),
    (dict(labels=39), ('40 images', '39 labels')),
    (dict(magic=0x1234), ('train-images-idx3-ubyte.gz', 'magic')),
])
def test_damaged_data(tmp_path, capsys, wrong, words):
    line = _mistake(capsys, 'run', '3.4.2', '--data', _idx_folder(tmp_path / 'mine', **wrong), '--out',
                    tmp_path / 'run')
    assert all(word in line for word in words)
    assert not (tmp_path / 'run').exists()


def test_label_out_of_range(tmp_path, capsys):
    _idx_folder(tmp_path / 'mnist', label=10)
    line = _mistake(capsys, 'run', '3.4.2', '--data-root', tmp_path, '--out', tmp_path / 'run')
    assert 'label' in line and '10' in line


def test_missing_file(tmp_path, capsys):
    folder = _idx_folder(tmp_path / 'mine')
    os.unlink(f'{folder}/train-labels-idx1-ubyte')
    assert 'train-labels' in _mistake(capsys, 'run', '3.4.2', '--data', folder, '--out', tmp_path / 'run')


@pytest.mark.parametrize('arguments, words', [
    (['run', '9.9.9'], ['9.9.9', 'list']),
    (['run', '3.4.2', '--data', 'digits', '--epochs', '-1'], ['epochs', '-1']),
    (['run', '8.5.2-wavenet', '--data', 'photos'], ['8.5.2-wavenet', 'reads no data set']),
    (['run', '9.2', '--data', 'mnist'], ['--set data=']),
    (['run', 'my_network.py'], ['my_network.py:NAME']),
    (['run', '8.5.2-wavenet', '--set', 'width=0'], ['width=0']),
    (['run', '8.5.3-made', '--set', 'updates=0'], ['updates=0']),
    (['run', '4.4', '--data', 'digits', '--set', 'num_filters=0'], ['num_filters=0', 'from 1 on']),
    (['run', '4.4', '--data', 'digits', '--set', 'num_filters=8,8,8'], ['4.4', '(8, 8, 8)', 'kernel size exceed input']),
    (['show', '3.4.2', '--set', 'dropout=2'], ['dropout=2.0', '[0,1]']),
    (['run', '5.5.7', '--data', 'cifar10', '--set', 'filters=8,8'], ['filters=(8, 8)', 'give 4']),
    (['run', '5.7.3', '--set', 'ratios=0,1'], ['ratios=0.0,1.0', 'above 0']),
    (['run', '5.7.3', '--set', 'step=3'], ['step=3: give 8']),
    (['run', '9.2-patch', '--set', 'target=-1'], ['target=-1']),
    (['run', '3.4.2', '--data', 'digits', '--set', 'augmentation=crop=0'], ['crop=0']),
    (['run', '9.4.1-optimizer-network', '--set', 'steps=0'], ['steps=0']),
    (['run', '3.4.2', '--data', 'digits', '--set', 'nonsense=1'], ['nonsense', 'learning_rate']),
    (['run', '3.4.2', '--data', 'digits', '--set', 'epochs=many'], ['epochs', 'many']),
    (['run', '3.4.2', '--data', 'digits', '--learning-rate', 'nan'], ['learning_rate']),
    (['run', '3.4.2', '--data', 'digits', '--set', 'initializer=zeros'], ['initializer', 'xavier']),
    (['run', '3.4.2', '--data', 'digits', '--set', 'optimizer=magic'], ['optimizer', 'sgd']),
    (['run', '3.4.2', '--data', 'digits', '--device', 'gpu:7'], ['gpu:7']),
    (['run', '3.4.2', '--data', 'digits', '--init', 'nowhere.params'], ['nowhere.params']),
    (['run', '3.4.2', '--data', 'nosuchset'], ['nosuchset', 'digits']),
    (['run', '8.4-bigan', '--form', 'symbolic'], ['8.4-bigan', '--form']),
    (['run', '8.3', '--set', 'mixup=0.2'], ['8.3', 'mixup']),
    (['style', 'temple', 'flower', '--out', '/tmp'], ['/tmp: exists already', 'choose another --out']),
    (['run', '5.7.4', '--data', 'nosuchset'], ['nosuchset: no such pictures with masks', 'labels/*.png']),
    (['run', '5.7.2', '--data', 'nosuchset'], ['nosuchset: no such pictures with boxes', 'COCO']),
    (['demo', '--out', '/dev/null/demo'], ['/dev/null/demo', 'choose another --out']),
    (['run', '8.4-bigan', '--set', 'augmentation=mirror'], ['8.4-bigan', 'augmentation']),
    (['run', '5.3', '--set', 'small_pixels=16', '--set', 'small_epochs=1'], ['5.3', 'small_pixels']),
    (['run'], ['section']),
    (['run', '--resume', 'nowhere'], ['nowhere']),
    (['run', '--resume', 'nowhere', '--batch-size', '8'], ['--resume', 'leave out --batch-size']),
    (['run', '3.4.2', '--data', 'digits', '--subset', '0'], ['--subset 0']),
    (['rate', '3.4.2', '--data', 'digits', '--set', 'initializer=uniform(1e20)'], ['lowest rate', 'doctor']),
    (['predict', 'zoo:7.2-small', str(ROOT / 'docs' / 'RESULTS.png')], ['RESULTS.png', '36x19x19']),
    (['show', '0.0'], ['0.0']),
    (['report', 'nowhere'], ['nowhere']),
])
def test_mistakes(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    line = _mistake(capsys, *arguments)
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob('runs/*'))


@pytest.mark.parametrize('command', [['chapters', 'run', '4.4', '--wrong'], ['chapters', 'predict'], ['data_tools', 'pack'],
                                     ['chapters.ch04_cnn.lenet', '--epochs', 'many'], ['chapters.ch07_policy_net.gtp', '--no']])
def test_a_wrong_command_line_is_told_in_one_line_with_the_way_to_the_usage(command):
    answer = subprocess.run([sys.executable, '-m', *command], capture_output=True, text=True)
    assert answer.returncode == 2 and not answer.stdout
    (line,) = answer.stderr.splitlines()
    said = re.fullmatch(r'error: .+; (python -m .+ --help) tells how to use it', line)[1]
    usage = subprocess.run([sys.executable, *said.split()[1:]], capture_output=True, text=True)
    assert usage.returncode == 0 and usage.stdout.startswith('usage: ')


def test_what_is_counted_stays_positive_whatever_the_experiment():
    checked = 0
    for row in chapters.catalogue():
        experiment = chapters.find(row['section'])
        for name, usual in experiment.defaults().items():
            if type(usual) is int and usual >= 0 and name in experiment.settings() and name not in experiment.limits:
                for wrong in (-1, *[0] * (usual > 0)):
                    with pytest.raises(UserError, match=f'{name}={wrong}: give a number from {int(usual > 0)} on'):
                        experiment.but(**{name: str(wrong)})
                assert experiment.but(**{name: str(usual)}).settings()[name] == usual
                checked += 1
    assert checked > 300
    assert chapters.find('2.3.6').but(x1=-1).sizes['x1'] == -1 and chapters.find('6.2.6').but(move=0).sizes['move'] == 0


def test_the_padding_of_a_reader_s_own_network_may_be_nothing(tmp_path, capsys):
    own = tmp_path / 'own.py'
    own.write_text('''\
from mxnet.gluon import nn

from chapters.kit.experiment import Training


class Net(nn.HybridSequential):
    def __init__(self, padding=1, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.add(nn.Conv2D(4, kernel_size=3, padding=padding), nn.Dense(classes))


MINE = Training('mine', 'Mine', network=Net, sample_shape=(1, 28, 28))
''')
    assert main(['show', f'{own}:MINE', '--set', 'padding=0']) == 0 and '26' in capsys.readouterr().out
    assert 'padding=-1' in _mistake(capsys, 'show', f'{own}:MINE', '--set', 'padding=-1')


@pytest.mark.parametrize('wrong', [['--set', 'optimizer=magic'], ['--set', 'initializer=zeros'], ['--init', 'nowhere.params'],
                                   ['--out', '.'], ['--set', 'num_filters=8,8,8'], ['--set', 'augmentation=crop=0']])
def test_nothing_is_packed_before_a_mistake_is_told(tmp_path, capsys, monkeypatch, wrong):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    for number in range(8):
        place = tmp_path / 'photos' / f'class{number % 2}' / f'{number}.png'
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(place)
    _mistake(capsys, 'run', '4.4', '--data', tmp_path / 'photos', *wrong)
    assert not (tmp_path / 'home' / '.bookcnn' / 'packs').exists()


def test_the_line_that_data_are_packed_is_not_said_where_they_cannot_be(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path / 'home'))
    for number in range(2):  # one of each class: none can be set aside
        place = tmp_path / 'photos' / f'class{number}' / '0.png'
        place.parent.mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 3), number, np.uint8)).save(place)
    assert 'no class has two images' in _mistake(capsys, 'run', '4.4', '--data', tmp_path / 'photos', '--out', tmp_path / 'run')


def test_unwritable_out(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert 'file' in _mistake(capsys, 'run', '3.4.2', '--data', 'digits', '--out', tmp_path / 'file' / 'run')


def test_demo_chooses_what_digits_are_large_enough_for():
    import mxnet as mx

    from chapters import demo
    for experiment in demo.chosen():
        assert experiment.section[0] in '2347'
        if experiment.stand_in == 'digits' and experiment.trains:
            network = experiment.build()
            network.initialize(mx.init.Xavier())
            assert network(mx.nd.zeros((1, 1, 28, 28))).shape == (1, 10)


def test_an_existing_run_folder_is_kept(tmp_path, capsys, monkeypatch):
    out = tmp_path / 'run'
    out.mkdir()
    (out / 'mine.txt').write_text('mine')
    line = _mistake(capsys, 'run', '3.4.2', '--data', 'digits', '--out', out)
    assert 'exists' in line and os.listdir(out) == ['mine.txt']
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # without --out each run gets a folder of its own
        assert main(['run', '3.4.2', '--data', 'digits', '--epochs', '1']) == 0
    assert len(os.listdir(tmp_path / 'runs')) == 2


def test_init_from_another_network(tmp_path, capsys):
    assert main(['run', '3.4.2', '--data', 'digits', '--epochs', '1', '--out', str(tmp_path / 'mlp')]) == 0
    capsys.readouterr()
    line = _mistake(capsys, 'run', '4.4', '--data', 'digits', '--init', tmp_path / 'mlp' / 'model-0001.params')
    assert 'another network' in line or 'not the same network' in line


def test_resume_of_a_damaged_checkpoint(tmp_path, capsys):
    out = tmp_path / 'run'
    assert main(['run', '3.4.2', '--data', 'digits', '--epochs', '1', '--out', str(out)]) == 0
    capsys.readouterr()
    (out / 'result.json').unlink()
    (out / 'checkpoint' / 'latest.json').write_text('{')
    assert 'latest.json' in _mistake(capsys, 'run', '--resume', out)
