"""Killed with SIGKILL at any moment: the old files or none, never half of one; and a further call ends as it
should.

Half of the moments are counted in operations on the file system (an audit hook kills the process just before
the n-th), so every gap between two of them can be hit; the other half are moments in time, which fall into
writes too.
"""
import os
import random
import shutil
import signal
import sys
import time

import pytest

from data_tools.__main__ import main

MOMENTS = 13  # of each kind, for each of the eight cases below: 208 in all
_FILE_EVENTS = {'open', 'os.rename', 'os.remove', 'os.mkdir', 'os.link', 'os.rmdir', 'os.truncate',
                'os.listdir',
                'os.scandir', 'fcntl.lockf', 'shutil.rmtree'}


def killed_at_event(number):
    """Have this process killed just before its `number`-th operation on the file system."""
    left = [number]

    def hook(event, _):
        if event in _FILE_EVENTS:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
    sys.addaudithook(hook)


def count_events(forked, arguments):
    """Operations on the file system of a whole call."""
    def counted():
        count = [0]

        def hook(event, _):
            count[0] += event in _FILE_EVENTS
        sys.addaudithook(hook)
        code = main(arguments)
        if code == 0:
            print(f'events {count[0]}')
        return code
    code, output = forked(counted)
    assert code == 0, output
    return int(output.split('events ')[1])


@pytest.fixture
def small_chunks(monkeypatch):
    monkeypatch.setattr('data_tools.pack.CHUNK_IMAGES', 5)


def pack_files(folder, name):
    return {path.name: path.read_bytes() for path in folder.glob(f'{name}.*') if path.is_file()}


def moments(forked, prepare, arguments):
    """Yield once for every kill, after it. `prepare` puts the files into the state before the call."""
    generator = random.Random(' '.join(arguments[:2]))
    prepare()
    events = count_events(forked, arguments)
    prepare()
    began = time.perf_counter()
    assert forked(lambda: main(arguments))[0] == 0
    duration = time.perf_counter() - began
    step = events / MOMENTS
    for number in range(MOMENTS):
        prepare()
        event = 1 + int((number + generator.random()) * step)

        def run():
            killed_at_event(event)
            return main(arguments)
        code, output = forked(run)
        # The hook goes on in worker processes, so now and then it is one of these that dies.
        worker_died = code == 2 and 'a worker process was killed' in output
        assert code == -signal.SIGKILL or worker_died, (event, output)
        yield
    for _ in range(MOMENTS):
        prepare()
        code, output = forked(lambda: main(arguments), kill_after=generator.random() * duration)
        assert code in (-signal.SIGKILL, 0), output
        yield


def old_none_or_new(folder, name, old, new):
    """The pack that is there is whole: all files of the old one, of the new one, or no pack."""
    now = pack_files(folder, name)
    if f'{name}.rec' in now:
        assert now in (old, new), [file for file in set(now) | set(new) if now.get(file) != new.get(file)]
    for file, content in now.items():  # nor is any single file half
        assert content in (old.get(file), new.get(file)), file


@pytest.mark.parametrize('case', ['new', 'over an old pack', 'two workers', 'resumed', 'split'])
def test_pack(tmp_path, make_photos, forked, small_chunks, case):
    name = 'x_a' if case == 'split' else 'x'
    make_photos(tmp_path / 'old-photos', ('a', 'b'), 3, size=8)
    make_photos(tmp_path / 'photos', count=8, size=8, seed=1)
    arguments = ['pack', str(tmp_path / 'photos'), str(tmp_path / 'x'), '--workers',
                 '2' if case == 'two workers' else '1'] + (['--split', 'a=0.5,b=0.5'] if case == 'split'
                                                           else [])

    def outputs():
        return {path.name: path.read_bytes() for path in tmp_path.glob('x*') if path.is_file()}

    assert forked(lambda: main(arguments))[0] == 0
    new, old = outputs(), {}
    for file in new:
        os.unlink(tmp_path / file)
    if case in ('over an old pack', 'resumed'):
        assert forked(lambda: main(['pack', str(tmp_path / 'old-photos')] + arguments[2:]))[0] == 0
        old = outputs()
    interrupted = None
    if case == 'resumed':  # what a killed call has left, is resumed and killed again and again
        events = count_events(forked, arguments)
        for file in outputs():
            os.unlink(tmp_path / file)
        for file, content in old.items():
            (tmp_path / file).write_bytes(content)

        def run():
            killed_at_event(events * 2 // 3)
            return main(arguments)
        assert forked(run)[0] == -signal.SIGKILL
        interrupted = tmp_path / 'interrupted'
        shutil.copytree(tmp_path / 'x.part', interrupted)
        arguments = arguments + ['--resume']

    def prepare():
        shutil.rmtree(tmp_path / 'x.part', ignore_errors=True)
        for path in tmp_path.glob('x*'):
            path.unlink()
        for file, content in old.items():
            (tmp_path / file).write_bytes(content)
        if interrupted:
            shutil.copytree(interrupted, tmp_path / 'x.part')

    resumes = 0
    for number, _ in enumerate(moments(forked, prepare, arguments)):
        old_none_or_new(tmp_path, name,
                        {file: data for file, data in old.items() if file.startswith(name + '.')},
                        {file: data for file, data in new.items() if file.startswith(name + '.')})
        again = [argument for argument in arguments
                 if argument != '--resume'] + ['--resume'] * (number % 3 > 0)
        resumes += number % 3 > 0
        code, output = forked(lambda: main(again))
        assert code == 0, output
        assert outputs() == new and not (tmp_path / 'x.part').exists()
    assert resumes >= 2 * MOMENTS * 2 // 3 - 2


def test_resume_goes_on_from_the_last_finished_chunk(tmp_path, make_photos, forked, small_chunks):
    """Not only the same bytes: what was packed is not read again, unless it has changed."""
    make_photos(tmp_path / 'photos', count=10, size=8)
    arguments = ['pack', str(tmp_path / 'photos'), str(tmp_path / 'x'), '--workers', '1', '--no-shuffle']

    def reads(*more):
        def run():
            count = [0]
            sys.addaudithook(lambda event, details: count.__setitem__(
                0, count[0] + (event == 'open' and '/photos/' in str(details[0]))))
            if more == ('kill',):
                from data_tools import pack
                append = pack._Packing._append

                def killed_at_the_fourth(self, *chunk):
                    append(self, *chunk)
                    if self.position == 20:
                        os.kill(os.getpid(), signal.SIGKILL)
                pack._Packing._append = killed_at_the_fourth
            code = main(arguments + [argument for argument in more if argument != 'kill'])
            print(f'reads {count[0]}')
            return code
        code, output = forked(run)
        return code, int(output.split('reads ')[1]) if 'reads' in output else None

    assert reads()[1] == 30
    whole = pack_files(tmp_path, 'x')
    assert reads('kill')[0] == -signal.SIGKILL
    shutil.copytree(tmp_path / 'x.part', tmp_path / 'kept')
    assert reads('--resume') == (0, 10)
    assert pack_files(tmp_path, 'x') == whole
    shutil.copytree(tmp_path / 'kept', tmp_path / 'x.part')
    changed = tmp_path / 'photos' / 'cat' / '0007.png'  # in the second chunk
    changed.write_bytes((tmp_path / 'photos' / 'dog' / '0003.png').read_bytes())
    assert reads('--resume') == (0, 25)
    resumed = pack_files(tmp_path, 'x')
    assert reads()[0] == 0 and pack_files(tmp_path, 'x') == resumed != whole


def test_merge(tmp_path, make_photos, forked, small_chunks):
    make_photos(tmp_path / 'photos', count=6, size=8)
    assert forked(lambda: main(['pack', str(tmp_path / 'photos'), str(tmp_path / 'part'), '--shards', '3',
                                '--workers',
                                '1']))[0] == 0
    merge = ['rec', 'merge', str(tmp_path / 'x.rec')] + [str(tmp_path / f'part_{n}.rec') for n in range(3)]
    assert forked(lambda: main(merge))[0] == 0
    new = pack_files(tmp_path, 'x')
    assert forked(lambda: main(merge[:4]))[0] == 0
    old = pack_files(tmp_path, 'x')

    def prepare():
        shutil.rmtree(tmp_path / 'x.part', ignore_errors=True)
        for path in tmp_path.glob('x.*'):
            path.unlink()
        for file, content in old.items():
            (tmp_path / file).write_bytes(content)

    for number, _ in enumerate(moments(forked, prepare, merge)):
        old_none_or_new(tmp_path, 'x', old, new)
        assert forked(lambda: main(merge + ['--resume'] * (number % 2)))[0] == 0
        assert pack_files(tmp_path, 'x') == new and not (tmp_path / 'x.part').exists()


@pytest.fixture
def labelled(tmp_path):
    """prepare() makes 20 files `flat/N_LABEL.png` anew and clears the rest; returns {label/name: bytes}."""
    files = {f'{number}_{"frog" if number % 3 else "cat"}.png': bytes([number]) * 300 for number in range(20)}
    (tmp_path / 'labels.txt').write_text('cat\nfrog\n')

    def prepare():
        for path in tmp_path.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
        (tmp_path / 'flat').mkdir()
        for name, content in files.items():
            (tmp_path / 'flat' / name).write_bytes(content)
        return {f'{name[:-4].split("_")[1]}/{name}': content for name, content in files.items()}
    return prepare


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob('*')
            if path.is_file() and not path.name.startswith('.by-label')}


def test_by_label_move(tmp_path, labelled, forked):
    arguments = ['by-label', str(tmp_path / 'flat'), str(tmp_path / 'labels.txt'), '--move']
    wanted, out = labelled(), tmp_path / 'flat_by_label'
    flat = {name.split('/')[1]: content for name, content in wanted.items()}
    for _ in moments(forked, labelled, arguments):
        left = tree(tmp_path / 'flat')
        if out.exists():  # all is there; what is left under the old names is whole
            assert tree(out) == wanted and all(flat[name] == content for name, content in left.items())
        else:
            assert left == flat
        assert forked(lambda: main(arguments))[0] == 0 or not left
        assert tree(out) == wanted and tree(tmp_path / 'flat') == {}
        assert not (tmp_path / 'flat_by_label.part').exists()


def test_by_label_undo(tmp_path, labelled, forked):
    wanted, out = labelled(), tmp_path / 'flat_by_label'
    flat = {name.split('/')[1]: content for name, content in wanted.items()}

    def moved():
        labelled()
        assert forked(lambda: main(['by-label', str(tmp_path / 'flat'), str(tmp_path / 'labels.txt'),
                                    '--move']))[0] == 0

    undo = ['by-label', '--undo', str(out)]
    for _ in moments(forked, moved, undo):
        if out.exists():
            assert tree(out) == wanted
        else:
            assert tree(tmp_path / 'flat') == flat
        forked(lambda: main(undo))
        assert tree(tmp_path / 'flat') == flat and sorted(path.name for path in tmp_path.iterdir()) == [
            '.forked-output', 'flat', 'labels.txt']
