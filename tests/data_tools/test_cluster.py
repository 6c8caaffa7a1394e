"""Packing on a real cluster: a scheduler and two workers in processes of their own."""
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import pytest

pytest.importorskip('distributed', reason='needs dask.distributed: pip install -e .[cluster]')


@pytest.fixture
def cluster(tmp_path):
    """(address of the scheduler, [process of each worker])"""
    processes = []

    def start(*arguments):
        # One after the other into a file each: a pipe that nobody reads would fill.
        log = open(tmp_path / f'dask-{len(processes)}.log', 'w+')
        processes.append(subprocess.Popen(
            [sys.executable, '-m', *arguments], stdout=log, stderr=subprocess.STDOUT,
            env=dict(os.environ, PYTHONPATH=os.getcwd(), DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT='5s')))
        return log.name

    def wait_for(log, pattern):
        for _ in range(600):
            with open(log) as file:
                found = re.search(pattern, file.read())
            if found:
                return found
            time.sleep(0.1)
        raise TimeoutError(open(log).read())

    try:
        log = start('distributed.cli.dask_scheduler', '--host', '127.0.0.1', '--port', '0', '--no-dashboard')
        address = wait_for(log, r'Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)').group(1)
        for log in [start('distributed.cli.dask_worker', address, '--nthreads', '1', '--no-nanny',
                          '--no-dashboard',
                          '--local-directory', str(tmp_path)) for _ in range(2)]:
            wait_for(log, 'Registered to')
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_the_same_bytes_from_two_workers_also_when_one_dies(tmp_path, make_photos, command, cluster,
                                                            monkeypatch):
    address, workers = cluster
    make_photos(tmp_path / 'photos', count=60, size=64)
    monkeypatch.setattr('data_tools.pack.CHUNK_IMAGES', 4)
    arguments = ['--resize', 48, '--split', 'train=0.9,val=0.1', '--shards', 2]
    assert command('pack', tmp_path / 'photos', tmp_path / 'here' / 'x', '--workers', 1, *arguments)[0] == 0

    def contents(folder):
        files = {path.name: path.read_bytes() for path in (tmp_path / folder).iterdir()}
        return {**files, 'x.json': dict(json.loads(files['x.json']), command='')}  # which names other folders

    def same(folder):
        assert contents(folder) == contents('here')

    assert command('pack', tmp_path / 'photos', tmp_path / 'two' / 'x', '--dask', address, *arguments)[0] == 0
    same('two')

    journal, killed_at = tmp_path / 'one' / 'x.part' / 'journal', []

    def kill_one_on_the_way():
        while not (journal.exists() and journal.read_bytes().count(b'\n') >= 5):
            time.sleep(0.001)
        workers[0].send_signal(signal.SIGKILL)
        killed_at.append(journal.read_bytes().count(b'\n'))
    thread = threading.Thread(target=kill_one_on_the_way, daemon=True)
    thread.start()
    assert command('pack', tmp_path / 'photos', tmp_path / 'one' / 'x', '--dask', address, *arguments)[0] == 0
    thread.join(10)
    assert 5 <= killed_at[0] < 47 and workers[0].wait(5) == -signal.SIGKILL  # it was on the way
    same('one')


def test_no_cluster_is_one_line(tmp_path, photos, command, monkeypatch):
    monkeypatch.setattr('data_tools.cluster.connect.__defaults__', (1,))
    code, _, err = command('pack', photos, tmp_path / 'x', '--dask', 'tcp://127.0.0.1:9')
    assert code == 2 and 'tcp://127.0.0.1:9' in err and len(err.splitlines()) == 1
    assert not (tmp_path / 'x.part').exists()
