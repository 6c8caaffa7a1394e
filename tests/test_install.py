"""`make setup` on a fresh copy, with a small lock of its own and no network; and the locks themselves."""
import configparser
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent.parent
LOCKS = ('cpu.txt', 'cu112.txt')


def make_wheel(folder, name, version='1.0', code=''):
    """A wheel of one module, good enough for pip."""
    info = f'{name}-{version}.dist-info'
    path = folder / f'{name}-{version}-py3-none-any.whl'
    with zipfile.ZipFile(path, 'w') as wheel:
        wheel.writestr(f'{name}.py', code)
        wheel.writestr(f'{info}/METADATA', f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
        wheel.writestr(f'{info}/WHEEL', 'Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n')
        wheel.writestr(f'{info}/RECORD', '')
    return path


@pytest.fixture
def project(tmp_path):
    """A copy of what installs, its folder's name with a space, its lock one small package beside it."""
    root = tmp_path / 'a copy'
    (root / 'requirements').mkdir(parents=True)
    for file in ('Makefile', 'requirements/setup_env.sh', 'requirements/packages.in',
                 'requirements/cpu.in', 'requirements/cu112.in'):
        shutil.copy(HERE / file, root / file)
    (root / 'chapters').mkdir()
    (root / 'chapters' / '__init__.py').write_text('')
    (root / 'chapters' / '__main__.py').write_text(
        'import sys\n'
        'def main():\n'
        '    print("chapters", *sys.argv[1:])\n'
        'if __name__ == "__main__":\n'
        '    main()\n')
    wheels = tmp_path / 'wheels'
    wheels.mkdir()
    make_wheel(wheels, 'tinything')
    (root / 'requirements' / 'cpu.txt').write_text('tinything==1.0\n')
    return root


def make(project, *arguments, timeout=300, **environment):
    """Run make there; pip sees nothing but the wheels beside the copy."""
    wheels = project.parent / 'wheels'
    variables = {**os.environ, 'PIP_CONFIG_FILE': os.devnull, 'PIP_NO_INDEX': '1', 'PIP_NO_CACHE_DIR': '1',
                 'PIP_FIND_LINKS': str(wheels), 'PYTHON': BASE_PYTHON, 'BOOKCNN_NEEDED_MB': '50'}
    variables.update(environment)
    for name in ('PIP_EXTRA_INDEX_URL', 'MAKEFLAGS', 'MFLAGS', 'MAKELEVEL', 'LOCK'):
        variables.pop(name, None)
    variables = {name: value for name, value in variables.items() if value is not None}
    return subprocess.run(['make', *arguments], cwd=project, env=variables, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True, timeout=timeout)


# The Python beneath the environment that runs the tests.
BASE_PYTHON = getattr(sys, '_base_executable', sys.executable)


def errors(done):
    """What the user sees on stderr, without make's own closing remark."""
    return [line for line in done.stderr.splitlines() if not line.startswith('make')]


def test_help_is_the_default(project):
    done = make(project)
    assert done.returncode == 0
    for target in ('make demo', 'make test', 'make setup', 'PYTHON=', 'LOCK='):
        assert target in done.stdout
    assert not (project / '.venv').exists()


def test_setup_once_then_at_once(project):
    done = make(project, 'demo', PYTHONDONTWRITEBYTECODE='1')
    assert done.returncode == 0, done.stderr
    assert 'chapters demo' in done.stdout and 'activate' not in done.stdout
    assert list((project / '.venv').rglob('tinything.*.pyc'))  # or it would be compiled at every start
    python = project / '.venv' / 'bin' / 'python'
    subprocess.run([python, '-c', 'import tinything'], check=True, cwd=project.parent)
    bookcnn = subprocess.run([project / '.venv' / 'bin' / 'bookcnn', 'list'], cwd=project.parent,
                             env={**os.environ, 'PYTHONPATH': ''}, stdout=subprocess.PIPE, text=True)
    assert bookcnn.stdout == 'chapters list\n'

    made = (project / '.venv' / 'pyvenv.cfg').stat().st_mtime_ns
    start = time.perf_counter()
    again = make(project, 'demo', PYTHON=None)
    assert again.returncode == 0 and again.stdout == 'chapters demo\n' and time.perf_counter() - start < 2
    assert make(project, 'setup').returncode == 0  # with PYTHON= of the same version
    assert (project / '.venv' / 'pyvenv.cfg').stat().st_mtime_ns == made

    # another lock: installed again
    make_wheel(project.parent / 'wheels', 'otherthing')
    (project / 'requirements' / 'cpu.txt').write_text('otherthing==1.0\n')
    assert make(project, 'setup').returncode == 0
    assert subprocess.run([python, '-c', 'import otherthing'], cwd=project.parent).returncode == 0
    assert subprocess.run([python, '-c', 'import tinything'], cwd=project.parent,
                          stderr=subprocess.DEVNULL).returncode == 1


def test_setup_says_what_next(project):
    first = make(project, 'setup').stdout.splitlines()
    assert first[0].startswith('making .venv with Python') and len(first) == 5
    for step in ('source .venv/bin/activate', 'python -m chapters list', 'make demo'):
        assert any(line.strip().startswith(step) for line in first[2:])
    # the first of the steps works as it is said, and brings the project's own python
    said = subprocess.run(['bash', '-c', 'source .venv/bin/activate && python -m chapters list'], cwd=project,
                          stdout=subprocess.PIPE, text=True)
    assert said.stdout == 'chapters list\n'
    again, = make(project, 'setup').stdout.splitlines()
    assert again.startswith('ready: .venv has Python') and 'source .venv/bin/activate' in again


def test_notebooks_open(project):
    """For root too, whom Jupyter refuses by itself. Jupyter is that of the environment that runs the tests."""
    (project / 'notebooks').mkdir()
    assert make(project, 'setup').returncode == 0
    own = subprocess.run([project / '.venv' / 'bin' / 'python', '-c',
                          'import sysconfig; print(sysconfig.get_path("purelib"), end="")'], stdout=subprocess.PIPE,
                         text=True, check=True).stdout
    Path(own, 'needed.pth').write_text(sysconfig.get_path('purelib') + '\n')
    server = subprocess.Popen(['make', 'notebooks'], cwd=project, start_new_session=True, text=True,
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                              env={**os.environ, 'BROWSER': 'true', 'HOME': str(project),
                                   'PATH': sysconfig.get_path('scripts') + os.pathsep + os.environ['PATH']})
    lines = []
    try:
        for line in server.stderr:
            lines.append(line)
            if re.search(r'http://\S+/lab', line):
                break
    finally:
        if server.poll() is None:
            os.killpg(server.pid, signal.SIGTERM)
        server.stderr.close()
        server.wait()
    assert 'http://' in lines[-1], ''.join(lines)


def test_an_interrupted_installation_is_repeated(project):
    fifo = project.parent / 'wheels' / 'slowthing-1.0-py3-none-any.whl'
    os.mkfifo(fifo)  # pip waits for ever to read it
    (project / 'requirements' / 'cpu.txt').write_text('tinything==1.0\nslowthing==1.0\n')
    child = subprocess.Popen(
        ['requirements/setup_env.sh'], cwd=project, start_new_session=True, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, 'PIP_CONFIG_FILE': os.devnull, 'PIP_NO_INDEX': '1', 'PYTHON': BASE_PYTHON,
             'PIP_FIND_LINKS': str(fifo.parent), 'BOOKCNN_NEEDED_MB': '50', 'LOCK': 'cpu'})
    deadline = time.time() + 120
    log = project / '.venv' / 'install.log'
    while not (log.exists() and 'slowthing' in log.read_text(errors='replace')) and time.time() < deadline:
        time.sleep(0.05)
    os.killpg(child.pid, signal.SIGKILL)
    child.wait()
    assert (project / '.venv' / 'made-by-make').exists()
    assert not list((project / '.venv').glob('installed-*'))
    fifo.unlink()
    make_wheel(fifo.parent, 'slowthing')
    assert make(project, 'setup').returncode == 0
    subprocess.run([project / '.venv' / 'bin' / 'python', '-c', 'import tinything, slowthing'], check=True,
                   cwd=project.parent)


def test_no_network(project):
    (project / 'requirements' / 'cpu.txt').write_text('sixteen==1.0\n')
    done = make(project, 'setup', PIP_NO_INDEX=None, PIP_INDEX_URL='http://127.0.0.1:9/', PIP_RETRIES='0')
    assert done.returncode != 0
    line, = errors(done)
    assert line.startswith('error: no connection to the Python package index') and 'install.log' in line
    assert not list((project / '.venv').glob('installed-*'))


def test_a_package_that_is_not_there(project):
    (project / 'requirements' / 'cpu.txt').write_text('tinything==2.0\n')
    line, = errors(make(project, 'setup'))
    assert re.match(r'error: pip could not install requirements/cpu.txt: .*tinything==2.0.*install.log', line)


def test_no_room(project):
    line, = errors(make(project, 'setup', BOOKCNN_NEEDED_MB='999999999'))
    assert line.startswith('error: no room for .venv') and 'needs 999999999 MB' in line
    assert not (project / '.venv').exists()


@pytest.mark.skipif(os.geteuid() != 0, reason='mounting a small disk needs root')
def test_disk_full_while_installing(project):
    small = project.parent / 'small'
    small.mkdir()
    if subprocess.run(['mount', '-t', 'tmpfs', '-o', 'size=60m', 'none', str(small)]).returncode:
        pytest.skip('cannot mount a small disk here')
    try:
        copy = small / 'copy'
        shutil.copytree(project, copy)
        (copy / 'requirements' / 'cpu.txt').write_text('bigthing==1.0\n')
        wheels = small.parent / 'wheels'
        make_wheel(wheels, 'bigthing', code='#' * 100000000)
        done = make(copy, 'setup', BOOKCNN_NEEDED_MB='1', PIP_FIND_LINKS=str(wheels))
        line, = errors(done)
        assert line.startswith('error: the disk is full: free some space in')
    finally:
        subprocess.run(['umount', str(small)], check=True)


def test_no_usable_python(project, tmp_path):
    """Nothing but the shell's own tools on PATH, and a `python3.10` that only complains, as pyenv's do."""
    tools = tmp_path / 'tools'
    tools.mkdir()
    for tool in ('make', 'bash', 'sh', 'env', 'dirname', 'cat', 'cksum', 'tr', 'df', 'awk', 'rm', 'mkdir',
                 'tail', 'grep', 'head', 'sed'):
        (tools / tool).symlink_to(shutil.which(tool))
    (tools / 'python3.10').write_text('#!/bin/sh\necho "pyenv: command not found" >&2\nexit 127\n')
    (tools / 'python3').write_text('#!/bin/sh\necho "ok 2.7 /usr/bin/python2"\n')
    for name in ('python3.10', 'python3'):
        (tools / name).chmod(0o755)
    done = make(project, 'setup', PATH=str(tools), PYTHON=None, HOME=str(tmp_path), PYENV_ROOT=str(tmp_path))
    line, = errors(done)
    assert done.returncode != 0
    assert line.startswith('error: no usable Python 3.8 to 3.12 on PATH or under pyenv')
    assert 'apt-get install python3 python3-venv' in line

    # one under pyenv is found, though PATH has none
    version = '%d.%d' % sys.version_info[:2]
    folder = tmp_path / 'versions' / f'{version}.99' / 'bin'
    folder.mkdir(parents=True)
    (folder / 'python').write_text(f'#!/bin/sh\nexec "{BASE_PYTHON}" "$@"\n')
    (folder / 'python').chmod(0o755)
    done = make(project, 'setup', PATH=str(tools), PYTHON=None, HOME=str(tmp_path), PYENV_ROOT=str(tmp_path))
    assert done.returncode == 0, done.stderr


def test_python_without_venv_is_named(project, tmp_path):
    """Debian's python3 without python3-venv: the module ensurepip is not there."""
    broken = tmp_path / 'python3'
    blocker = tmp_path / 'blocked'
    blocker.mkdir()
    (blocker / 'ensurepip.py').write_text('raise ImportError("No module named ensurepip")\n')
    broken.write_text(f'#!/bin/sh\nPYTHONPATH={blocker} exec "{BASE_PYTHON}" "$@"\n')
    broken.chmod(0o755)
    line, = errors(make(project, 'setup', PYTHON=str(broken)))
    assert 'without venv; apt-get install python3.' in line


@pytest.mark.parametrize('python, message', [
    ('/nowhere/python', 'error: PYTHON=/nowhere/python does not run'),
    ('true', 'error: PYTHON=true '),
])
def test_python_that_is_none(project, python, message):
    line, = errors(make(project, 'setup', PYTHON=python))
    assert line.startswith(message)


def test_an_environment_of_the_users_is_left_alone(project):
    (project / '.venv').mkdir()
    (project / '.venv' / 'mine').write_text('')
    line, = errors(make(project, 'setup'))
    assert '.venv exists and was not made by this script' in line and (project / '.venv' / 'mine').exists()


def test_unknown_lock(project):
    line, = errors(make(project, 'setup', 'LOCK=tpu'))
    assert line == 'error: requirements/tpu.txt: no such lock; LOCK is cpu or cu112'


@pytest.mark.parametrize('lock', LOCKS)
def test_lock_is_exact_and_covers_what_is_needed(lock):
    """Each line one exact version; on each Python each package that packages.in asks for there."""
    from packaging.requirements import Requirement
    lines = [Requirement(line) for line in (HERE / 'requirements' / lock).read_text().splitlines()]
    assert all(re.fullmatch(r'==[^*,]+', str(line.specifier)) for line in lines)
    mxnet = 'mxnet' if lock == 'cpu.txt' else 'mxnet-cu112'
    assert [str(line.specifier) for line in lines if line.name.startswith('mxnet')] == ['==1.9.1']
    wanted = [Requirement(line) for line in (HERE / 'requirements' / 'packages.in').read_text().splitlines()
              if line and not line.startswith('#')]
    for minor in range(8, 13):
        python = {'python_version': f'3.{minor}', 'python_full_version': f'3.{minor}.5', 'os_name': 'posix',
                  'sys_platform': 'linux', 'platform_machine': 'x86_64', 'implementation_name': 'cpython'}
        here = {}
        for line in lines:
            if line.marker is None or line.marker.evaluate(python):
                assert line.name not in here, f'{line.name} twice on 3.{minor}'
                here[line.name] = str(line.specifier)[2:]
        assert mxnet in here
        for line in wanted:
            if line.marker is None or line.marker.evaluate(python):
                assert here[line.name] in line.specifier
        assert 'opencv-python' not in here  # its libGL is not on every machine


def test_locks_agree():
    cpu, cu112 = ((HERE / 'requirements' / lock).read_text().splitlines() for lock in LOCKS)
    assert [line for line in cpu if line not in cu112] == ['mxnet==1.9.1']
    more = [line for line in cu112 if line not in cpu]
    assert all(line.startswith(('mxnet-cu112==', 'nvidia-')) for line in more)
    assert not any('://' in line for line in cpu + cu112)


def test_extras(tmp_path):
    """What pip will read from setup.py."""
    subprocess.run([sys.executable, 'setup.py', '-q', 'egg_info', '--egg-base', str(tmp_path)], cwd=HERE,
                   check=True)
    info = tmp_path / 'bookcnn.egg-info'
    extras = configparser.ConfigParser(allow_no_value=True, delimiters='\0')
    extras.read(info / 'requires.txt')

    def wanted(extra):
        return [line for section in extras.sections() if section.split(':')[0] == extra
                for line in extras[section]]

    assert 'mxnet==1.9.1' in wanted('cpu') and 'mxnet-cu112==1.9.1' in wanted('cu112')
    assert 'mxnet==1.9.1' not in wanted('cu112') and 'nvidia-cudnn-cu11==8.5.0.96' in wanted('cu112')
    assert 'numpy==1.23.5' in wanted('cpu') and not any(line.startswith('jupyter') for line in wanted('cpu'))
    assert 'jupyter==1.1.1' in wanted('notebooks')
    assert {'pytest==8.3.5', 'pytest-xdist==3.6.1', 'playwright'} < set(wanted('test'))
    assert [line.split('==')[0] for line in wanted('lint')] == ['ruff', 'mypy']
    assert not set(wanted('test') + wanted('lint')).intersection(wanted('cpu'))
    assert wanted('cluster') == ['dask[distributed]']
    assert 'bookcnn = chapters.__main__:main' in (info / 'entry_points.txt').read_text()
    python = re.search('^Requires-Python: (.*)$', (info / 'PKG-INFO').read_text(), re.MULTILINE).group(1)
    assert set(python.replace(' ', '').split(',')) == {'>=3.8', '<3.13'}
