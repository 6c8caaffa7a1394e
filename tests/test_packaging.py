"""What people install and carry the work on with: the extras, the sdist and the wheel, used far from the clone; the
checks of the code; and that the files which say the same thing in several places agree."""
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import tarfile
import urllib.request
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
PACKAGES = ('book_code', 'chapters', 'data_tools')
PYTHONS = ('3.8', '3.9', '3.10', '3.11', '3.12')
VERSION = (HERE / 'VERSION').read_text(encoding='utf-8').strip()


def run(*command, cwd, timeout=300, **environment):
    """Run a command that must succeed, as a user would who has nothing of this clone on any path."""
    variables = {name: value for name, value in os.environ.items() if name not in ('PYTHONPATH', 'BOOKCNN_DATA')}
    done = subprocess.run([str(part) for part in command], cwd=cwd, env={**variables, **environment}, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=timeout)
    assert done.returncode == 0, f'{command}\n{done.stdout}'
    return done.stdout


@pytest.fixture(scope='module')
def clone(tmp_path_factory):
    """A copy of the sources, since building leaves things behind."""
    def not_sources(folder, names):
        made = {'__pycache__', 'node_modules', '.ipynb_checkpoints'}
        if Path(folder) == HERE:
            made |= {'.git', 'runs', 'build', 'dist'}
            made |= {name for name in names if name.startswith('.venv') or name.endswith(('_cache', '.egg-info'))}
        return made.intersection(names)

    copy = tmp_path_factory.mktemp('clone') / 'bookcnn'
    shutil.copytree(HERE, copy, ignore=not_sources)
    return copy


@pytest.fixture(scope='module')
def built(clone):
    """The sdist, and the wheel that is built from nothing but it."""
    run(sys.executable, '-m', 'build', '--no-isolation', cwd=clone)
    sdist, = (clone / 'dist').glob('*.tar.gz')
    wheel, = (clone / 'dist').glob('*.whl')
    return sdist, wheel


@pytest.fixture(scope='module')
def installed(built, tmp_path_factory):
    """The folder of programs of an environment into which the wheel was installed.

    The packages that it needs are those of the environment that runs the tests, seen through a .pth file: installing
    them again takes a minute and a gigabyte.
    """
    folder = tmp_path_factory.mktemp('elsewhere') / 'environment'
    run(sys.executable, '-m', 'venv', folder, cwd=folder.parent)
    python = folder / 'bin' / 'python'
    run(python, '-m', 'pip', 'install', '--no-deps', '--no-index', built[1], cwd=folder.parent)
    own = run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"), end="")', cwd=folder.parent)
    Path(own, 'needed.pth').write_text(sysconfig.get_path('purelib') + '\n', encoding='utf-8')
    where = run(python, '-c', 'import chapters; print(chapters.__file__)', cwd=folder.parent)
    assert where.startswith(own)
    return folder / 'bin'


@pytest.fixture(scope='module')
def trained(installed, tmp_path_factory):
    """A folder, nowhere near the clone, in which 4.4 was trained: (the folder, what the command said)."""
    folder = tmp_path_factory.mktemp('work')
    return folder, run(installed / 'bookcnn', 'run', '4.4', '--data', 'digits', '--epochs', '1', cwd=folder)


def test_the_wheel_holds_what_the_packages_are_and_read(clone, built):
    """All modules, and every other file in a package, but for the sources of the page that is served."""
    wanted = {path.relative_to(clone).as_posix() for package in PACKAGES for path in (clone / package).rglob('*')
              if path.is_file()}
    page, = [Path(name).parent for name in wanted if name.endswith('/package.json')]
    wanted = {name for name in wanted if page not in Path(name).parents or page / 'dist' in Path(name).parents}
    assert any(name.endswith('page/dist/index.html') for name in wanted)
    with zipfile.ZipFile(built[1]) as wheel:
        held = {name for name in wheel.namelist() if '.dist-info/' not in name}
    assert held == wanted


def test_the_sdist_is_the_whole_clone(clone, built):
    with tarfile.open(built[0]) as sdist:
        held = {name.split('/', 1)[1] for name in sdist.getnames() if '/' in name}
    for path in clone.rglob('*'):
        name = path.relative_to(clone).as_posix()
        if path.is_file() and not re.match(r'dist/|build/|[^/]*\.egg-info/', name):
            assert name in held


def test_version_in_one_place(built):
    assert [path.name for path in built] == [f'bookcnn-{VERSION}.tar.gz', f'bookcnn-{VERSION}-py3-none-any.whl']
    assert f'\nversion: {VERSION}\n' in (HERE / 'CITATION.cff').read_text(encoding='utf-8')
    released = re.findall(r'^## \[(\d[^]]*)\] - \d{4}-\d\d-\d\d$', (HERE / 'CHANGELOG.md').read_text(encoding='utf-8'),
                          re.MULTILINE)
    assert released[0] == VERSION


def test_installed_elsewhere_it_lists_and_calculates(installed, tmp_path):
    assert '5.5.7' in run(installed / 'bookcnn', 'list', cwd=tmp_path)
    run(installed / 'bookcnn', 'run', '2.2.8', cwd=tmp_path)
    assert list(tmp_path.glob('runs/2.2.8*/config.json'))


def test_installed_elsewhere_it_trains(trained):
    folder, said = trained
    made, = (folder / 'runs').iterdir()
    assert made.name.startswith('4.4-digits-') and f'runs/{made.name}' in said
    for file in ('config.json', 'history.csv', 'model-symbol.json'):
        assert (made / file).is_file()


def test_installed_elsewhere_it_serves_its_page(installed, trained):
    folder, _ = trained
    made, = (folder / 'runs').iterdir()
    server = subprocess.Popen([str(installed / 'bookcnn'), 'serve', f'runs/{made.name}', '--port', '0'], cwd=folder,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        address = None
        for line in server.stdout:
            address = re.search(r'http://\S+', line)
            if address:
                break
        assert address, 'it ended before it served'
        for name in ('', 'page.js'):
            with urllib.request.urlopen(address.group() + name, timeout=60) as answer:
                assert answer.status == 200 and answer.read()
    finally:
        server.send_signal(signal.SIGINT)
        server.communicate(timeout=60)
    assert server.returncode in (0, 130)


def test_installed_elsewhere_trained_networks_come_along(clone, built, installed, tmp_path):
    from PIL import Image, ImageDraw
    with zipfile.ZipFile(built[1]) as wheel:
        held = {name for name in wheel.namelist() if name.startswith('chapters/zoo/')}
        assert {name.split('/')[2] for name in held} >= {'3.4.2', '4.4', '7.2-small', '8.3', '8.4-infogan', '8.5-vae'}
    assert built[1].stat().st_size < 25e6
    assert 'zoo:4.4' in run(installed / 'bookcnn', 'zoo', cwd=tmp_path)
    seven = Image.new('L', (90, 90), 240)
    ImageDraw.Draw(seven).line([(25, 20), (63, 20), (42, 74)], 20, 8)
    seven.save(tmp_path / 'photo.png')
    said = run(installed / 'bookcnn', 'predict', 'zoo:4.4', 'photo.png', cwd=tmp_path)
    assert re.search(r'photo\.png +│ 7 \d', said), said
    measured = run(installed / 'bookcnn', 'evaluate', 'zoo:3.4.2', '--data', 'digits', cwd=tmp_path)
    assert float(re.search(r'accuracy +([\d.]+)', measured).group(1)) > 0.5, measured  # digits of another kind


def test_installed_elsewhere_it_plays_and_compiles_nothing_after_its_first_answer(installed, tmp_path, monkeypatch):
    from chapters.ch07_policy_net.match import Program
    from data_tools.errors import UserError
    monkeypatch.chdir(tmp_path)  # in the clone `-m` would take the clone's
    monkeypatch.delenv('PYTHONPATH', raising=False)
    cache = tmp_path / 'cache'
    program = Program([str(installed / 'python'), '-m', 'chapters.ch07_policy_net.gtp', '--visits', '20', '--never-resign'],
                      {'NUMBA_CACHE_DIR': str(cache)})
    program.ask('name')
    compiled = sorted(path.name for path in cache.rglob('*.nbc'))
    for line in ('boardsize 5', 'clear_board', *['genmove b', 'genmove w'] * 9, 'final_score', 'final_status_list dead',
                 'play b pass', 'undo', 'clear_board', 'boardsize 9', 'fixed_handicap 2'):
        try:
            said = program.ask(line)
        except UserError as error:
            assert 'board' in str(error) or 'stones' in str(error)
        if line.startswith('genmove'):
            assert re.fullmatch(r'[A-E][1-5]|pass', said, re.IGNORECASE), said
    program.close()
    assert len(compiled) > 10 and sorted(path.name for path in cache.rglob('*.nbc')) == compiled


def test_installed_elsewhere_it_packs(installed, tmp_path):
    from PIL import Image
    for name, colour in (('frog', (0, 99, 0)), ('sky', (0, 0, 200))):
        (tmp_path / 'pictures' / name).mkdir(parents=True)
        for size in (20, 24):
            Image.new('RGB', (size, size), colour).save(tmp_path / 'pictures' / name / f'{size}.png')
    run(installed / 'python', '-m', 'data_tools', 'pack', 'pictures', 'packs/train', cwd=tmp_path)
    read = run(installed / 'python', '-c', 'import mxnet as mx; data = mx.gluon.data.vision.ImageRecordDataset('
               '"packs/train.rec"); print(sorted(label for _, label in data))', cwd=tmp_path)
    assert read.strip().endswith('[0.0, 0.0, 1.0, 1.0]')


@pytest.fixture(scope='module')
def index(tmp_path_factory):
    """Skips where no index of Python packages answers."""
    folder = tmp_path_factory.mktemp('index')
    (folder / 'wanted.txt').write_text('wheel\n', encoding='utf-8')
    asked = subprocess.run([sys.executable, '-m', 'uv', 'pip', 'compile', '-q', '--refresh', 'wanted.txt'], cwd=folder,
                           env={**os.environ, 'UV_HTTP_TIMEOUT': '20', 'UV_HTTP_RETRIES': '0'}, text=True,
                           stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=300)
    if asked.returncode:
        pytest.skip('no index of Python packages can be reached from here')


@pytest.mark.parametrize('python', PYTHONS[::4])
def test_pip_can_install_every_extra(index, built, tmp_path, python):
    """On Linux: there are versions of everything that suit each other, even of all extras together. The oldest Python and
    the newest are asked for, since the index takes its time."""
    (tmp_path / 'wanted.txt').write_text(
        f'bookcnn[cpu,cu112,notebooks,test,lint,cluster,remote] @ {built[1].as_uri()}\n', encoding='utf-8')
    found = run(sys.executable, '-m', 'uv', 'pip', 'compile', '-q', '--no-header', '--no-annotate', '--python-version',
                python, '--python-platform', 'x86_64-manylinux_2_28', 'wanted.txt', cwd=tmp_path).splitlines()
    assert {'mxnet==1.9.1', 'mxnet-cu112==1.9.1'} < set(found)
    assert f'numpy=={"1.26.4" if python == "3.12" else "1.23.5"}' in found


@pytest.mark.parametrize('tool, folder, faults', [
    (('ruff', 'check', '--no-cache', '--output-format', 'concise', '.'), 'clean', [
        ('F401', 'import os\n'),
        ('F821', 'def area(side):\n    return sidee * side\n'),
        ('I001', 'import sys\nimport os\n\nprint(os, sys)\n'),
        ('E501', '# ' + 'x ' * 70 + 'x\n')]),
    (('mypy',), 'data_tools', [
        ('return-value', 'def side(area: float) -> str:\n    return area / 2\n'),
        ('operator', 'def side(area):\n    return 2 + "m"\n'),
        ('no-untyped-def', 'def side(area: int, unit):\n    return area\n'),
        ('no-untyped-def', 'def side(area):\n    return area\n')]),
], ids=['ruff', 'mypy'])
def test_lint_refuses(tmp_path, tool, folder, faults):
    """What `make lint` runs, on new modules beside the settings of the project."""
    for name in ('data_tools', 'chapters', 'clean'):
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').write_text('')
    for name in re.findall(r'"(chapters/[^"]+\.py)"', (HERE / 'pyproject.toml').read_text(encoding='utf-8')):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text('')
    shutil.copy(HERE / 'pyproject.toml', tmp_path)
    run(sys.executable, '-m', *tool, cwd=tmp_path)
    for number, (_, code) in enumerate(faults):
        (tmp_path / folder / f'fault{number}.py').write_text(code)
    with pytest.raises(AssertionError) as refused:
        run(sys.executable, '-m', *tool, cwd=tmp_path)
    for number, (complaint, _) in enumerate(faults):
        assert re.search(rf'fault{number}\.py:.*\b{complaint}\b', str(refused.value))


def test_every_python_is_tested_in_public():
    workflow = (HERE / '.github' / 'workflows' / 'tests.yml').read_text(encoding='utf-8')
    assert re.findall(r'"(3\.\d+)"', workflow) == list(PYTHONS)
    for target in ('setup', 'lint', 'test'):
        assert re.search(rf'run: make {target}\b', workflow)
    assert f"python_requires='>={PYTHONS[0]},<3.{int(PYTHONS[-1][2:]) + 1}'" in (HERE / 'setup.py').read_text()


def test_install_is_told_alike_in_both_languages():
    """The same commands in the same order; comments behind them are translated."""
    def commands(name):
        lines = (HERE / 'docs' / name).read_text(encoding='utf-8').splitlines()
        return [line.split('#')[0].strip() for line in lines if line.startswith('    ') and line.split('#')[0].strip()]

    english = commands('INSTALL.md')
    # where the address of the clone stands, each says so in its own language
    differing = [line for line in zip(english, commands('INSTALL.zh-CN.md')) if line[0] != line[1]]
    assert len(commands('INSTALL.zh-CN.md')) == len(english) > 20
    assert all(line.startswith('git clone') for pair in differing for line in pair)
