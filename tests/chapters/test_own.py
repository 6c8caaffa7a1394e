"""One's own network on one's own pictures: the page that leads there, executed as it stands; what can go wrong, said."""
import json
import os
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

import chapters
from chapters.__main__ import main
from chapters.kit.trained.saved import load_run

ROOT = Path(chapters.__file__).parents[1]
CLASSES = ('circle', 'cross', 'square')


def picture(kind, random, size=None):
    """A figure of a colour by chance on a noisy ground, of a size by chance."""
    width, height = size or random.integers(60, 140, 2)
    image = Image.fromarray(random.integers(0, 120, (height, width, 3), np.uint8))
    draw = ImageDraw.Draw(image)
    half = int(min(width, height) * random.uniform(0.3, 0.45))
    x, y = (int(side // 2 + random.integers(-3, 4)) for side in (width, height))
    colour = tuple(map(int, random.integers(150, 256, 3)))
    if kind == 'circle':
        draw.ellipse((x - half, y - half, x + half, y + half), outline=colour, width=5)
    elif kind == 'square':
        draw.rectangle((x - half, y - half, x + half, y + half), outline=colour, width=5)
    else:
        draw.line((x - half, y - half, x + half, y + half), colour, 6)
        draw.line((x - half, y + half, x + half, y - half), colour, 6)
    return image


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """300 pictures of three classes and several sizes, one of them broken, one gray; and a new one."""
    place, random = tmp_path_factory.mktemp('own'), np.random.default_rng(0)
    for kind in CLASSES:
        (place / 'photos' / kind).mkdir(parents=True)
        for number in range(100):
            image = picture(kind, random)
            image = image.convert('L') if (kind, number) == ('cross', 7) else image
            image.save(place / 'photos' / kind / f'{number}.{"png" if number % 2 else "jpg"}')
    (place / 'photos' / 'square' / '8.jpg').write_bytes(b'\xff\xd8\xff\xe0 broken')
    picture('square', random).save(place / 'new.png')
    return place


def blocks(page):
    """(the page's Python file, its shell commands)."""
    text = (ROOT / 'docs' / page).read_text(encoding='utf-8')
    (code,) = re.findall(r'```python\n(.*?)```', text, re.S)
    return code, [line for block in re.findall(r'```bash\n(.*?)```', text, re.S) for line in block.splitlines()]


def command(line, place, home, **settings):
    words = shlex.split(line)
    assert words[:3] == ['python', '-m', 'chapters']
    environment = {**os.environ, 'HOME': str(home), 'PYTHONPATH': str(ROOT), 'OMP_NUM_THREADS': '1'}
    return subprocess.Popen([sys.executable, *words[1:]], cwd=place, env=environment, text=True, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, **settings)


def said(line, place, home):
    process = command(line, place, home)
    out, err = process.communicate()
    assert process.returncode == 0, err
    return out, err


@pytest.fixture(scope='module')
def trained(place, tmp_path_factory):
    """After the page's first command; the file and the pictures are gone then."""
    home = tmp_path_factory.mktemp('home')
    code, (first, *others) = blocks('OWN.md')
    assert sum(bool(line.strip()) for line in code.splitlines()) <= 40
    (place / 'my_network.py').write_text(code)
    out, err = said(first, place, home)
    assert '269 images for training, 30 to validate' in out and '8.jpg' in out + err
    for name in ('photos', 'my_network.py'):
        (place / name).rename(place / f'moved-{name}')
    return home, others


def test_both_languages_show_the_same():
    assert blocks('OWN.md') == blocks('OWN.zh-CN.md')


def test_every_network_that_the_first_page_trains_on_photographs_takes_them(tmp_path, monkeypatch):
    """For a moment each, and with random numbers in the place of what ImageNet has taught."""
    import mxnet as mx
    from mxnet.gluon.model_zoo import vision
    first = [re.findall(r'python -m chapters (run [^`\n]* --data photos[^`\n]*)',
                        (ROOT / 'docs' / page).read_text(encoding='utf-8')) for page in ('FIRST.md', 'FIRST.zh-CN.md')]
    assert first[0] == first[1] and any('--init zoo' in line for line in first[0])
    random, published = np.random.default_rng(0), vision.squeezenet1_1()
    for kind in CLASSES:
        (tmp_path / 'photos' / kind).mkdir(parents=True)
        for number in range(10):
            picture(kind, random).save(tmp_path / 'photos' / kind / f'{number}.png')
    (tmp_path / 'my_network.py').write_text(blocks('OWN.md')[0], encoding='utf-8')
    published.initialize(mx.init.Xavier())
    published(mx.nd.zeros((1, 3, 224, 224)))
    monkeypatch.setattr(vision, 'squeezenet1_1', lambda pretrained: published)
    for name in ('HOME', 'BOOKCNN_DATA'):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for number, line in enumerate(first[0]):
        assert main([*shlex.split(line), '--epochs', '1', '--out', f'runs/{number}']) == 0
        config = json.loads((tmp_path / 'runs' / str(number) / 'config.json').read_text(encoding='utf-8'))
        assert config['facts']['class_names'] == list(CLASSES)


def test_the_page_as_it_stands_without_pictures_and_file(place, trained):
    home, commands = trained
    predict, evaluate, look, export, serve = commands
    config = json.loads((place / 'runs' / 'photos' / 'config.json').read_text())
    assert config['facts']['shape'] == [3, 64, 64] and config['facts']['class_names'] == list(CLASSES)
    assert config['sizes'] == {'classes': 3} and config['facts']['resize'] == 73
    answer = said(predict, place, home)[0]
    assert re.search(r'new\.png +│ square', answer) or 'square' in answer.split('new.png')[1][:12], answer
    figures = said(evaluate, place, home)[0]
    accuracy = float(re.search(r'^accuracy +([\d.]+)', figures, re.M).group(1))
    assert accuracy > 0.85
    result = json.loads((place / 'runs' / 'photos' / 'result.json').read_text())
    assert accuracy == pytest.approx(result['metrics']['validation_accuracy']['last'], abs=1e-4)
    assert 'look-patches.png' in said(look, place, home)[0]
    assert 'onnxruntime and MXNet differ by' in said(export, place, home)[0]
    process = command(serve + ' --port 0', place, home)
    try:
        address = process.stdout.readline().split()[0]
        networks = json.load(urllib.request.urlopen(address + 'networks.json'))
        assert networks[0]['classes'] == list(CLASSES)
    finally:
        process.terminate()
        process.communicate()


def test_what_predict_sees_is_what_validation_saw(place, trained, monkeypatch, tmp_path):
    """The same picture, read from a file and from the pack."""
    monkeypatch.setenv('HOME', str(trained[0]))
    saved = load_run(place / 'runs' / 'photos', chapters.find)
    data = saved.load_data()
    import mxnet as mx
    path = saved.facts.files[1]
    records = mx.recordio.MXRecordIO(path, 'r')
    compared = 0
    for number in range(10):
        _, content = mx.recordio.unpack(records.read())
        if content[:4] == b'\x89PNG':
            (tmp_path / 'one.png').write_bytes(content)
            np.testing.assert_allclose(saved.read_image(tmp_path / 'one.png'), data.validation_x[number], atol=1 / 255)
            compared += 1
    assert compared


def test_the_doctor_examines_pictures_of_ones_own(place, trained):
    out, err = said('python -m chapters doctor moved-my_network.py:PHOTOS --data moved-photos --out runs/doctor', place,
                    trained[0])
    assert 'labels belong to their images' in out and 'learnt by heart' in out
    report, _ = said('python -m chapters report runs', place, trained[0])
    assert 'doctor' not in report  # it is no run to be finished


def test_a_run_of_ones_own_goes_on_and_is_reported(place, trained, capsys, monkeypatch):
    monkeypatch.setenv('HOME', str(trained[0]))
    monkeypatch.chdir(place)
    assert main(['report', 'runs']) == 0
    assert '| photos | My photographs 我的照片 |' in (place / 'runs' / 'RESULTS.md').read_text(encoding='utf-8')
    capsys.readouterr()
    assert main(['run', '--resume', 'runs/photos']) == 2
    assert 'is finished' in capsys.readouterr().err


@pytest.mark.parametrize('address, words', [
    ('nowhere.py:NET', ['no file']), ('own.py:NAME', ['no experiment of that name', 'MINE']),
    ('nowhere.module:NET', ['no module nowhere']), ('own.py:np', ['no experiment']),
    ('lacks.py:NET', ['lacks.py', 'nowhere_at_all', 'not installed'])])
def test_an_address_that_leads_nowhere(tmp_path, monkeypatch, capsys, address, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'lacks.py').write_text('import nowhere_at_all')
    (tmp_path / 'own.py').write_text('import numpy as np\nfrom chapters.kit.experiment import WorkedExample\n'
                                     "MINE = WorkedExample('mine', 'Mine', function=lambda run: {'one': 1})\n")
    assert main(['run', address, '--data', 'digits']) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert all(word in line for word in words), line
    assert main(['run', 'own.py:MINE']) == 0
