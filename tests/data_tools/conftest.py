"""What the tests of packing share: small image folders, commands called in this process or in a forked
one."""
import os
import signal
import sys
import time

import numpy as np
import pytest


def _pixels(generator, size):
    """A smooth coloured picture, (size, size, 3) uint8: noise alone makes JPEGs that no camera makes."""
    coarse = generator.integers(0, 256, (4, 4, 3), np.uint8)
    return np.kron(coarse, np.ones((size // 4, size // 4, 1), np.uint8)) ^ generator.integers(
        0, 8, (size, size, 3), np.uint8)


@pytest.fixture(scope='session')
def make_photos():
    """make_photos(folder, classes, count): JPEGs and PNGs in class folders, the same ones every time."""
    def make(folder, classes=('cat', 'dog', 'emu'), count=8, size=16, seed=0):
        import cv2
        generator = np.random.default_rng(seed)
        for name in classes:
            (folder / name).mkdir(parents=True)
            for number in range(count):
                ending = '.png' if number % 4 == 3 else '.jpg'
                _, data = cv2.imencode(ending, _pixels(generator, size))
                (folder / name / f'{number:04}{ending}').write_bytes(data.tobytes())
        return folder
    return make


@pytest.fixture
def photos(tmp_path, make_photos):
    """A folder with three classes of eight images."""
    return make_photos(tmp_path / 'photos')


@pytest.fixture
def command(capsys):
    """command('pack', ...) -> (exit code, stdout, stderr) of `python -m data_tools pack ...`."""
    from data_tools.__main__ import main

    def run(*arguments):
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return code, captured.out, captured.err
    return run


@pytest.fixture
def forked(tmp_path):
    """forked(function, kill_after=None) -> (exit code, or minus the signal; what it printed).

    Runs `function` in a fork of this process, which spares every call Python's start. `kill_after`: seconds
    until it is killed with SIGKILL, with the processes that it has started.
    """
    def run(function, kill_after=None):
        output = tmp_path / '.forked-output'
        process = os.fork()
        if process == 0:
            code = 70
            try:
                os.setpgid(0, 0)
                descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
                os.dup2(descriptor, 1)
                os.dup2(descriptor, 2)
                sys.stdout, sys.stderr = (os.fdopen(number, 'w', buffering=1) for number in (1, 2))
                code = function() or 0
            finally:
                os._exit(code)
        if kill_after is not None:
            time.sleep(kill_after)
            try:
                os.kill(process, signal.SIGKILL)
            except ProcessLookupError:
                pass
        _, status = os.waitpid(process, 0)
        return (os.WEXITSTATUS(status) if os.WIFEXITED(status) else -os.WTERMSIG(status),
                output.read_text() if output.exists() else '')
    return run


@pytest.fixture(scope='session')
def contents():
    """contents(folder) -> {relative path: bytes} of all files below it."""
    def read(folder):
        return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
                if path.is_file()}
    return read


@pytest.fixture(scope='session')
def cifar10_archive():
    """The archive with CIFAR-10 as JPEGs."""
    path = os.path.join(os.environ.get('BOOKCNN_DATA', ''), 'cifar10', 'cifar10_jpeg.tar.xz')
    if not os.path.exists(path):
        pytest.skip('needs $BOOKCNN_DATA/cifar10/cifar10_jpeg.tar.xz')
    return path
