"""The command line: what it prints, and one clear line for every mistake."""
import gzip
import json
import os
import struct
import subprocess
import sys

import numpy as np
import pytest

from chapters.__main__ import main


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
    environment = dict(os.environ, COLUMNS='250')
    code = ('import sys; from chapters.__main__ import main; main(["list"]); '
            'assert "mxnet" not in sys.modules and "numpy" not in sys.modules')
    answer = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment)
    assert answer.returncode == 0, answer.stderr
    for word in ('3.4.2', '0.980531', '4.4', '用卷积网络识别手写数字'):
        assert word in answer.stdout


def test_list_starts_within_a_second():
    before = os.times()
    for _ in range(3):
        subprocess.run([sys.executable, '-m', 'chapters', 'list'], capture_output=True, check=True)
    after = os.times()  # the processor's time: another program may be using the machine
    assert (after.children_user + after.children_system - before.children_user - before.children_system) / 3 < 1


def test_show_prints_layers_recipe_and_book(capsys):
    assert main(['show', '4.4']) == 0
    shown = capsys.readouterr().out
    for word in ('51,264', '58,058', '0.99401', 'learning_rate=0.03'):
        assert word in shown or word.replace(',', '') in shown


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
    (['run', '8.4-bigan', '--set', 'augmentation=mirror'], ['8.4-bigan', 'augmentation']),
    (['run', '5.3', '--set', 'small_pixels=16', '--set', 'small_epochs=1'], ['5.3', 'small_pixels']),
    (['run'], ['section']),
    (['run', '--resume', 'nowhere'], ['nowhere']),
    (['show', '0.0'], ['0.0']),
    (['report', 'nowhere'], ['nowhere']),
])
def test_mistakes(tmp_path, capsys, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    line = _mistake(capsys, *arguments)
    assert all(word in line for word in words), line
    assert not list(tmp_path.glob('runs/*'))


def test_unwritable_out(tmp_path, capsys):
    (tmp_path / 'file').write_text('')
    assert 'file' in _mistake(capsys, 'run', '3.4.2', '--data', 'digits', '--out', tmp_path / 'file' / 'run')


def test_demo_chooses_what_digits_are_large_enough_for():
    from chapters import demo
    from chapters.kit.runtime import mx
    for experiment in demo.chosen():
        assert experiment.section[0] in '2347'
        if experiment.takes_image_sets and experiment.trains:
            network = experiment.build()
            network.initialize(mx.init.Xavier())
            assert network(mx.nd.zeros((1, 1, 28, 28))).shape == (1, 10)


def test_demo_runs_to_its_page(tmp_path, monkeypatch, capsys):
    import chapters
    from chapters import demo
    some = ['2.1.1', '2.2.8', '3.4.2', '4.2.2', '7.2-small']
    monkeypatch.setattr(demo, 'chosen', lambda: [chapters.find(section) for section in some])
    for name, value in {'_EPOCHS': {}, '_DIGITS_EPOCHS': 1, '_MOST_EPOCHS': 1}.items():
        monkeypatch.setattr(demo, name, value)
    monkeypatch.setitem(demo._GO, '4.2.2', dict(epochs=1, samples_per_epoch=1280))
    monkeypatch.setitem(demo._GO, '7.2-small', dict(epochs=1, samples_per_epoch=640, units=1, filters=8, planes=8))
    assert main(['demo', '--out', str(tmp_path / 'demo')]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[:-1]] == some
    assert printed[-1] == str(tmp_path / 'demo' / 'index.html')
    page = (tmp_path / 'demo' / 'index.html').read_text(encoding='utf-8')
    assert all(section in page for section in some)


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
    (out / 'checkpoint' / 'latest.json').write_text('{')
    assert 'latest.json' in _mistake(capsys, 'run', '--resume', out)
