"""CONTRIBUTING.md does what it says: steps are executed, the reader's way is counted."""
import inspect
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import chapters
from chapters.kit.training import train

ROOT = Path(chapters.__file__).parents[1]


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """The project's code in a folder of its own, and a home of its own."""
    clone = tmp_path_factory.mktemp('clone')
    for name in ('chapters', 'book_code', 'data_tools'):
        shutil.copytree(ROOT / name, clone / name, ignore=shutil.ignore_patterns('__pycache__', 'node_modules'))
    return clone


def said(line, clone):
    words = shlex.split(line)
    assert words[0] == 'python'
    answer = subprocess.run([sys.executable, *words[1:]], cwd=clone, capture_output=True, text=True, env={
        **os.environ, 'HOME': str(clone / 'home'), 'PYTHONPATH': str(clone), 'OMP_NUM_THREADS': '1'})
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def blocks(kind):
    text = (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8')
    return re.findall(rf'```{kind}\n(.*?)```', text, re.S)


def test_an_experiment_is_added_as_the_page_says(clone):
    (clone / 'chapters' / 'ch02_neuron' / 'mean.py').write_text(blocks('python')[0], encoding='utf-8')
    listed, shown, run, script = (said(line, clone) for line in blocks('bash')[0].splitlines())
    assert '神经元学习求平均数' in listed and 'mean.py' not in listed and 'learning_rate=0.5' in shown
    result = json.loads((clone / 'runs' / 'mean' / 'result.json').read_text())
    assert result['metrics']['validation_mse']['last'] < 1e-4 and 'epoch 1:' in script


def test_a_data_set_is_added_as_the_page_says(clone):
    random = np.random.default_rng(0)
    for number in range(60):
        pixels = random.integers(0, 80, (30, 30, 3), np.uint8)
        pixels[8:20, (4 if number % 2 else 16):][:, :8] = 255
        folder = clone / 'home' / '.bookcnn' / 'data' / 'shapes' / ('left' if number % 2 else 'right')
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f'{number}.png')
    said(blocks('bash')[1].strip(), clone)
    config = json.loads((clone / 'runs' / 'shapes' / 'config.json').read_text())
    assert config['facts']['class_names'] == ['left', 'right']


def test_a_trained_network_is_added_as_the_page_says(clone):
    _, added, evaluated = (said(line, clone) for line in blocks('bash')[2].splitlines())
    config = json.loads((clone / 'chapters' / 'zoo' / '4.4-digits' / 'config.json').read_text(encoding='utf-8'))
    assert 'zoo:4.4-digits' in added and config['zoo']['recipe'] == 'book, epochs=2'
    assert float(evaluated.split()[1]) == pytest.approx(config['zoo']['accuracy'], abs=1e-4)


def test_the_readers_way_is_as_short_as_the_page_says():
    lines = len((ROOT / 'chapters/ch04_cnn/lenet.py').read_text(encoding='utf-8').splitlines())
    for code in (train.Objective, train.PlainStep, train.Evaluation):
        lines += len(inspect.getsource(code).splitlines())
    assert lines <= 250
    whole = len(inspect.getsource(train).splitlines())
    assert whole <= 336  # read in one sitting
    row = next(line for line in (ROOT / 'CONTRIBUTING.md').read_text(encoding='utf-8').splitlines() if '5 files' in line)
    files = set(re.findall(r'`([a-z_/0-9]+\.py)`', row))
    assert len(files) == 5 and all((ROOT / file).is_file() for file in files)


def test_few_files_are_loaded_before_the_first_update_of_4_4():
    code = ('import sys, chapters.ch04_cnn.lenet as script\n'
            'from chapters.kit.perform import run_experiment\n'
            'from chapters.kit.training.compiled_step import CompiledStep\n'
            'def first(self, *batch):\n'
            '    print(len([m for m in sys.modules if m.split(".")[0] in ("chapters", "book_code", "data_tools")]))\n'
            '    raise SystemExit\n'
            'CompiledStep.__call__ = first\n'
            'import tempfile; run_experiment(script.EXPERIMENTS[0], data="digits", out=tempfile.mkdtemp() + "/run")\n')
    answer = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True)
    assert int(answer.stdout.splitlines()[-1]) < 45, answer.stdout


def test_nothing_in_the_kit_knows_of_chapters_nor_of_the_command_line():
    for path in (ROOT / 'chapters' / 'kit').rglob('*.py'):
        text = path.read_text(encoding='utf-8')
        assert not re.search(r'^\s*(from|import) chapters\.(ch\d|__main__|script|demo|notebook)', text, re.M), path
        assert 'argparse' not in text or path.name == 'launch.py', path
    for path in (ROOT / 'data_tools').rglob('*.py'):
        assert not re.search(r'^\s*(from|import) (chapters|book_code)', path.read_text(encoding='utf-8'), re.M), path


@pytest.mark.parametrize('module', ['chapters.ch04_cnn.lenet', 'chapters.kit.trained.prediction', 'chapters.kit.runtime'])
def test_whatever_is_imported_first_mxnet_finds_its_environment(module):
    """In any order of imports: the engine of small networks costs half their speed if it is chosen too late."""
    environment = {name: value for name, value in os.environ.items()
                   if not name.startswith(('MXNET_', 'OMP_', 'GOMP_', 'BOOKCNN'))}
    code = (f'import {module}, mxnet, os\n'
            'print(os.environ["MXNET_ENGINE_TYPE"], int(os.environ["OMP_NUM_THREADS"]) > 0)')
    answer = subprocess.run([sys.executable, '-c', code], capture_output=True, text=True, env=environment, cwd=ROOT)
    assert answer.stdout == 'NaiveEngine True\n' and answer.stderr == '', answer.stderr
