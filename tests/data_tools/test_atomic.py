"""A file is written whole or not at all."""
import os
import stat
import subprocess
import sys
import textwrap

import pytest

from data_tools.atomic import atomic_path, atomic_write
from data_tools.errors import UserError


def run(code, *arguments):
    """Run `code` in a Python of its own; stdout and stderr together."""
    done = subprocess.run([sys.executable, '-c', textwrap.dedent(code), *map(str, arguments)],
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


def test_writes_bytes_and_text_with_ordinary_permissions(tmp_path):
    with atomic_write(tmp_path / 'a.bin') as file:
        file.write(b'\0\r\n')
    with atomic_write(tmp_path / 'a.txt', text=True) as file:
        file.write('数\n')
    assert (tmp_path / 'a.bin').read_bytes() == b'\0\r\n'
    assert (tmp_path / 'a.txt').read_bytes() == '数\n'.encode('utf-8')
    umask = os.umask(0)
    os.umask(umask)
    assert stat.S_IMODE((tmp_path / 'a.bin').stat().st_mode) == 0o666 & ~umask
    assert sorted(os.listdir(tmp_path)) == ['a.bin', 'a.txt']


def test_an_error_keeps_the_old_file_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    with pytest.raises(ZeroDivisionError):
        with atomic_write(path, text=True) as file:
            file.write('new')
            1 / 0
    assert path.read_text() == 'old'
    assert os.listdir(tmp_path) == ['a.txt']


def test_target_is_untouched_until_the_end_and_a_kill_loses_nothing(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    run('''
        import os, signal, sys
        from data_tools.atomic import atomic_write
        with atomic_write(sys.argv[1], text=True) as file:
            file.write('half of the new')
            file.flush()
            os.kill(os.getpid(), signal.SIGKILL)
        ''', path)
    assert path.read_text() == 'old'


def test_path_keeps_the_suffix_for_libraries_that_look_at_it(tmp_path):
    with atomic_path(tmp_path / 'figure.png') as beside:
        assert beside.suffix == '.png' and beside.parent == tmp_path
        beside.write_bytes(b'png')
    assert (tmp_path / 'figure.png').read_bytes() == b'png'
    assert os.listdir(tmp_path) == ['figure.png']


def test_writes_through_a_symbolic_link(tmp_path):
    (tmp_path / 'real').write_text('old')
    (tmp_path / 'link').symlink_to('real')
    with atomic_write(tmp_path / 'link', text=True) as file:
        file.write('new')
    assert (tmp_path / 'link').is_symlink() and (tmp_path / 'real').read_text() == 'new'


def test_missing_folder_and_folder_in_the_way(tmp_path):
    with pytest.raises(UserError, match='none is not a folder; make it first'):
        with atomic_write(tmp_path / 'none' / 'a.txt'):
            pass
    (tmp_path / 'folder').mkdir()
    with pytest.raises(UserError, match='is a folder'):
        with atomic_write(tmp_path / 'folder'):
            pass
    assert sorted(os.listdir(tmp_path)) == ['folder']


def test_disk_full_is_one_line_and_keeps_the_old_file(tmp_path):
    path = tmp_path / 'a.txt'
    path.write_text('old')
    output = run('''
        import resource, sys
        from data_tools.atomic import atomic_write
        from data_tools.errors import one_line_errors
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # more is refused, as by a full disk
        @one_line_errors
        def main():
            with atomic_write(sys.argv[1]) as file:
                file.write(bytes(100000))
        print(main())
        ''', path)
    assert output.splitlines() == [f'error: {path}: no space left on this disk; free some and run again', '2']
    assert path.read_text() == 'old' and os.listdir(tmp_path) == ['a.txt']


def test_no_permission_is_one_line(tmp_path):
    tmp_path.chmod(0o500)
    output = run('''
        import os, sys
        from data_tools.atomic import atomic_write
        if os.getuid() == 0:
            os.setuid(65534)  # root may write everywhere
        try:
            with atomic_write(sys.argv[1]):
                pass
        except Exception as error:
            print(type(error).__name__, error)
        ''', tmp_path / 'a.txt')
    tmp_path.chmod(0o700)
    assert output.startswith(f'UserError {tmp_path / "a.txt"}: may not write here')


def test_an_error_of_the_body_is_not_taken_for_one_of_the_disk(tmp_path):
    with pytest.raises(FileNotFoundError):
        with atomic_write(tmp_path / 'a.txt'):
            open(tmp_path / 'no such input')
