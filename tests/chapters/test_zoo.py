"""The trained networks that come along: what they are, that they are what was measured, and that they stay so."""
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import chapters
from chapters import zoo
from chapters.__main__ import main
from chapters.kit.perform import run_experiment
from chapters.kit.trained.answers import probabilities_of
from chapters.kit.trained.serve import page_files, shown_of_zoo
from data_tools.errors import UserError

NAMES = [entry.name for entry in zoo.entries()]
CLASSIFIERS = [entry.name for entry in zoo.entries() if entry.about['accuracy'] is not None]
LEAST = {'3.4.2': 0.97, '4.4': 0.98, '4.4.5': 0.91, '5.4.4': 0.94, '7.2-small': 0.42}  # whatever trains them next


def contents(folder):
    return {path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.rglob('*')
            if path.is_file() and '__pycache__' not in path.parts}


@pytest.fixture(scope='module', autouse=True)
def untouched():
    """Whatever is done with them, the files stay as they are."""
    before = contents(zoo.ZOO)
    yield
    assert contents(zoo.ZOO) == before


@pytest.fixture()
def copied(tmp_path, monkeypatch):
    """A zoo of one's own to change."""
    copy = tmp_path / 'zoo'
    shutil.copytree(zoo.ZOO, copy)
    monkeypatch.setattr('chapters.kit.trained.zoo.ZOO', copy)
    monkeypatch.setattr('chapters.zoo.ZOO', copy)
    return copy


@pytest.fixture(scope='module')
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / '3.4.2'
    run_experiment(chapters.find('3.4.2').but(epochs=30), data='digits', out=folder, quiet=True)
    return folder


@pytest.fixture(scope='module')
def photo(tmp_path_factory):
    """A seven, dark on light, 90 pixels high."""
    pixels = np.full((90, 90), 240, np.uint8)
    pixels[15:23, 25:65] = 20
    for row in range(23, 75):
        right = 65 - (row - 23) // 2
        pixels[row, right - 8:right] = 20
    path = tmp_path_factory.mktemp('photo') / 'seven.png'
    Image.fromarray(pixels).save(path)
    return path


def test_what_there_is():
    assert {'3.4.2', '4.4', '4.4.5', '5.4.4', '5.5.7-fast', '5.7.2', '5.8-fast', '7.2-small',
            '8.3', '8.4-infogan', '8.5-vae'} <= set(NAMES)


def test_it_stays_small():
    sizes = {name: sum(path.stat().st_size for path in (zoo.ZOO / name).iterdir()) for name in NAMES}
    assert max(sizes.values()) <= 4e6 and sum(sizes.values()) <= 12e6
    assert {entry.name: entry.size for entry in zoo.entries()} == sizes


@pytest.mark.parametrize('name', NAMES)
def test_an_entry_says_what_it_is_and_computes(name):
    config = json.loads((zoo.ZOO / name / 'config.json').read_text(encoding='utf-8'))
    about = config['zoo']
    assert about['name'] == f'zoo:{name}' and about['recipe'] and about['data']['name'] and about['data']['licence']
    assert config['title'] and config['title_zh'] and config['input_shape'] and config['versions']['commit']
    assert config['recipe']['epochs'] if config['recipe'] else config['section'] == '5.8-fast'
    assert config['command'].startswith(f'python -m chapters run {config["section"]}')
    assert re.fullmatch('[0-9a-f]{10}', config['versions']['commit'])  # nothing in the tree differed from it
    text = json.dumps(config)
    assert '/home' not in text and '/root' not in text and '/tmp' not in text and '/work' not in text
    if about['accuracy'] is None:
        assert about['figures']['validation_mAP'] > 0.85 if name == '5.7.2' else about['figures'] and about['rounding'] < 0.02
    else:
        assert config['facts']['class_names'] and config['facts']['scale'] and about['validation_samples'] >= 5000
        assert about['accuracy'] >= LEAST.get(name, 0.5)
    params = sorted((zoo.ZOO / name).glob('*.params'))
    assert set(about['sha256']) >= {path.name for path in params} | {'model-symbol.json'}
    for path in params:
        for array in mx.nd.load(str(path)).values():
            assert array.dtype == (np.float16 if array.ndim > 1 else np.float32)
    saved = zoo.load(name)
    answers = saved.network(mx.nd.zeros([2] + config['input_shape']))
    for answer in answers if isinstance(answers, (list, tuple)) else [answers]:
        assert answer.dtype == np.float32 and answer.shape[0] == 2 and np.isfinite(answer.asnumpy()).all()


@pytest.mark.parametrize('name', CLASSIFIERS)
def test_accuracy_is_what_its_config_says(name):
    """Measured again on all validation data, where they are at hand."""
    if not os.environ.get('BOOKCNN_DATA'):
        pytest.skip('no $BOOKCNN_DATA')
    saved, about = zoo.load(name), read_about(name)
    if about['data']['name'].startswith('CIFAR'):
        pytest.skip('takes minutes')
    try:
        data = saved.load_data()
    except UserError as error:
        pytest.skip(str(error))
    assert len(data.validation_x) == about['validation_samples']
    said = probabilities_of(lambda x: saved.network(mx.nd.array(x)).asnumpy(), data.validation_x).argmax(axis=1)
    assert (said == data.validation_y).mean() == pytest.approx(about['accuracy'], abs=2 / len(said))


def test_the_detector_finds_what_its_config_says():
    from chapters.ch05_detection_style.detect import load_detector
    from chapters.ch05_detection_style.detector import detect
    saved, about = load_detector('zoo:5.7.2', chapters.find), read_about('5.7.2')
    data = saved.load_data()
    assert len(data.validation_x) == about['validation_samples']
    found = detect(saved.detector, data.validation_x, data.scale)
    assert saved.experiment.measures(found, data)['mAP'] == pytest.approx(about['figures']['validation_mAP'], abs=0.003)


def test_the_sliders_of_the_notebook_show_more_boxes_where_less_is_asked():
    from chapters.ch05_detection_style.detect import draw_found
    draw = draw_found('zoo:5.7.2', 3)
    boxes = [len([patch for patch in draw(picture=2, **settings).axes[0].patches if patch.get_linestyle() in ('-', 'solid')])
             for settings in ({}, {'overlap': 0.95}, {'least': 0.02}, {'least': 0.99})]
    assert 2 <= boxes[0] < min(boxes[1:3]) and boxes[3] < boxes[0]


def test_the_style_network_paints_in_the_style_that_it_has_learnt():
    """Its pictures are nearer to the painting than the photographs are, and still show what these show."""
    from chapters.ch05_detection_style.fast_style import restyled
    from chapters.ch05_detection_style.style import Transfer, base_of, picture_of
    about, network = read_about('5.8-fast'), zoo.load('5.8-fast').network
    assert sum(path.stat().st_size for path in (zoo.ZOO / '5.8-fast').iterdir()) < 1e6
    assert 'Starry Night' in about['data']['name']
    if not os.environ.get('BOOKCNN_DATA'):
        pytest.skip('no $BOOKCNN_DATA: neither the painting nor the network to compare by')
    for name in ('flower', 'temple'):
        photograph = picture_of(name, 256)[:, :168]
        loss = Transfer(*base_of('squeezenet'), photograph, picture_of('starry_night', 256))
        content, style = (part.asscalar() for part in loss.parts(mx.nd.array(restyled(network, photograph)[None])))
        assert style < 0.35 and content < 1.5  # of the photograph itself 1 and 0


def read_about(name):
    return json.loads((zoo.ZOO / name / 'config.json').read_text(encoding='utf-8'))['zoo']


@pytest.mark.parametrize('run', ['zoo:4.4', 'zoo:3.4.2'])
def test_a_picture_is_answered_and_drawn_in_the_readers_folder(run, photo, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['predict', run, str(photo)]) == 0
    said = capsys.readouterr().out
    assert re.search(r'seven\.png +│ 7 \d', said), said
    picture = f'runs/{run.replace(":", "-")}/figures/predict.png'
    assert picture in said and Image.open(tmp_path / picture).size[0] > 50


def test_all_that_takes_a_run_takes_one_of_the_zoo(photo, tmp_path, monkeypatch, capsys):
    pytest.importorskip('onnxruntime')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path))
    monkeypatch.setattr('data_tools.fetch._download', None)  # nothing from the network
    assert main(['export', 'zoo:8.3', '--onnx', '--mxnet']) == 0
    found = mx.gluon.SymbolBlock.imports('runs/zoo-8.3/export/model-symbol.json', ['data'],
                                         'runs/zoo-8.3/export/model-0000.params')
    codes = mx.nd.random.normal(shape=(2, 100))
    np.testing.assert_allclose(found(codes).asnumpy(), zoo.load('8.3').network(codes).asnumpy(), atol=1e-5)
    assert main(['evaluate', 'zoo:3.4.2', '--data', 'digits', '--int8']) == 0
    printed = capsys.readouterr().out
    assert float(re.search(r'accuracy in 8 bits +([\d.]+)', printed).group(1)) > 0.5  # digits of another kind
    assert 'measured on digits, 296 validation images; it was trained on mnist' in printed
    assert not (tmp_path / 'runs/zoo-3.4.2/evaluation.json').exists()
    assert main(['look', 'zoo:4.4', '0', '--data', 'digits']) == 0
    assert (tmp_path / 'runs/zoo-4.4/figures/look-heat.png').exists()
    for run in ('zoo:8.3', 'zoo:8.4-infogan'):
        assert main(['predict', run, str(photo)]) == 2
        assert f'error: {run}: ' in capsys.readouterr().err


def test_a_run_begins_with_what_one_has_learnt(tmp_path):
    run, result = run_experiment(chapters.find('4.4').but(epochs=1, learning_rate=1e-9), data='digits', init='zoo:4.4',
                                 out=tmp_path / 'run', quiet=True)
    assert result['metrics']['validation_accuracy']['last'] > 0.8
    assert result['command'].endswith('--init zoo:4.4') and run.config['init'] == 'zoo:4.4'


@pytest.mark.parametrize('command', [['run', '--resume', 'zoo:4.4'], ['zoo', '--add', 'zoo:4.4', '4.4']])
def test_none_is_written_to(command, capsys):
    assert main(command) == 2
    said = capsys.readouterr().err
    assert said.count('\n') == 1 and 'stays as it is' in said and '--init zoo:4.4' in said


def test_mistakes_and_damage_are_told(copied, photo, capsys):
    assert main(['predict', 'zoo:4.5', str(photo)]) == 2
    assert 'zoo:4.5: there is no such network; there is zoo:3.4.2, ' in capsys.readouterr().err
    params, = (copied / '4.4').glob('model-*.params')
    content = bytearray(params.read_bytes())
    content[len(content) // 2] ^= 1
    params.write_bytes(content)
    for run in (lambda: zoo.load('4.4'), lambda: page_files(['zoo:4.4'], chapters.find), lambda: shown_of_zoo(chapters.find)):
        with pytest.raises(UserError, match=r'model-\d+\.params: is not the file that was published'):
            run()
    shutil.rmtree(copied / '3.4.2')
    assert zoo.load('8.3') and '3.4.2' not in [entry.name for entry in zoo.entries()]


def test_a_run_is_added_with_its_accuracy_after_rounding(copied, digits_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(['zoo', '--add', str(digits_run), '3.4.2-digits']) == 0
    assert 'scikit-learn' in capsys.readouterr().out
    about = json.loads((copied / '3.4.2-digits' / 'config.json').read_text(encoding='utf-8'))['zoo']
    data = chapters.find('3.4.2').load('digits')
    x = data.validation_x.reshape(len(data.validation_x), -1)
    arrays = {name: array.asnumpy() for name, array in mx.nd.load(str(digits_run / 'model-0030.params')).items()}
    numbers = list(arrays.values())
    for weight, bias in zip(numbers[::2], numbers[1::2]):  # by hand, with the weights rounded
        x = np.maximum(x, 0) if x.shape[1] != 784 else x
        x = x @ weight.astype(np.float16).astype(np.float32).T + bias
    assert about['accuracy'] == pytest.approx((x.argmax(axis=1) == data.validation_y).mean(), abs=1 / len(x))
    assert about['validation_samples'] == len(x) and about['recipe'] == 'book, epochs=30'
    assert main(['evaluate', 'zoo:3.4.2-digits']) == 0
    assert f'{about["accuracy"]:.4f}' in capsys.readouterr().out
    assert main(['zoo']) == 0
    listed = ' '.join(capsys.readouterr().out.split())
    for word in ('zoo:3.4.2-digits', '多层感知机', f'{about["accuracy"]:.2%} right', 'recipe: book', ' MB', 'CC BY 4.0'):
        assert word in listed


def test_what_is_too_large_or_unnamed_is_not_added(copied, digits_run, tmp_path, monkeypatch):
    before = contents(copied)
    monkeypatch.setattr(zoo, 'MOST_BYTES', 200_000)
    with pytest.raises(UserError, match='takes 0.2[0-9] MB.*may take 0.2 MB'):
        zoo.add(digits_run, '4.4')
    monkeypatch.undo()
    monkeypatch.setattr('chapters.kit.trained.zoo.ZOO', copied)
    monkeypatch.setattr('chapters.zoo.ZOO', copied)
    monkeypatch.setattr(zoo, 'MOST_BYTES_IN_ALL', 300_000)
    with pytest.raises(UserError, match='all 0.3 MB'):
        zoo.add(digits_run, '4.4')
    with pytest.raises(UserError, match='a name begins with a section'):
        zoo.add(digits_run, '../4.4')
    own = tmp_path / 'own'
    shutil.copytree(digits_run, own)
    config = json.loads((own / 'config.json').read_text(encoding='utf-8'))
    (own / 'config.json').write_text(json.dumps({**config, 'data': '/home/me/photos'}))
    with pytest.raises(UserError, match='on mnist, fashion'):
        zoo.add(own, '4.4')
    (own / 'result.json').unlink()
    with pytest.raises(UserError, match='not finished'):
        zoo.add(own, '4.4')
    assert contents(copied) == before


def test_the_engine_plays_without_a_run():
    answers = subprocess.run(
        [sys.executable, '-m', 'chapters.ch07_policy_net.gtp', '--visits', '2'], text=True, capture_output=True,
        input='boardsize 19\nplay b Q16\ngenmove w\nquit\n')
    assert answers.returncode == 0, answers.stderr
    move = re.findall(r'^= ([A-T]\d+)$', answers.stdout, re.M)
    assert len(move) == 1 and move != ['Q16'], answers.stdout


def test_one_plays_in_the_terminal_without_a_run(monkeypatch, capsys):
    monkeypatch.setattr('sys.stdin', io.StringIO('Q16\nhint\nquit\n'))
    assert main(['play']) == 0
    assert 'the network likes ' in capsys.readouterr().out


def test_the_page_opens_on_the_zoo():
    pytest.importorskip('onnxruntime')
    shown = shown_of_zoo(chapters.find)
    assert set(shown) == {'zoo:' + name for name in (
        '3.4.2', '3.4.3', '4.4', '4.4.5', '5.4.4', '5.5.7-fast', '5.7.2', '5.8-fast', '7.2-small', '8.3', '8.4-infogan',
        '8.5-vae')}  # every page works without a run
    networks = {network['name']: network for network in json.loads(page_files(shown, chapters.find)['/networks.json'])}
    assert set(networks) == set(shown)
    assert networks['zoo:4.4']['accuracy'] == read_about('4.4')['accuracy']
    assert {name: (networks[name]['numbers'], networks[name]['classes'], networks[name]['continuous'])
            for name in networks if networks[name]['kind'] == 'codes'} == {
        'zoo:8.3': (100, 0, 0), 'zoo:8.4-infogan': (74, 10, 2), 'zoo:8.5-vae': (2, 0, 0)}
    assert networks['zoo:4.4']['data']['en'] == 'MNIST' and networks['zoo:7.2-small']['kind'] == 'go'
    assert networks['zoo:7.2-small']['data'] == {'en': 'games of a Go server', 'zh': '围棋服务器上的对局'}
