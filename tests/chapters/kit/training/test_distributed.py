"""Several workers learn what one learns, by both engines, also across machines; and what happens when one is lost.

Everything here runs in processes of its own, as it does for the user.
"""
import contextlib
import importlib.util
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from dataclasses import replace
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.kit.data.batches import Batches
from chapters.kit.data.training_data import TrainingData
from chapters.kit.perform import _begin
from chapters.kit.training.epochs import SECONDS_APART
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.workers import Workers, larger_batch
from data_tools.errors import UserError

JOB = str(Path(__file__).with_name('distributed_job.py'))
HELPER = [sys.executable, '-c', 'import chapters, mxnet']
SECONDS = 240  # after which a job that should take ten hangs
needs_horovod = pytest.mark.skipif(importlib.util.find_spec('horovod') is None,
                                   reason='Horovod is not installed (docs/SCALING.md says how)')


def worker(rank, size):
    """The worker of this rank, without the others."""
    found = Workers()
    found.rank, found.size = rank, size
    return found


@contextlib.contextmanager
def started(*commands):
    """Processes, given as (arguments, environment); killed at the end if they still run."""
    processes = [subprocess.Popen(arguments, env={**os.environ, 'PYTHONPATH': os.getcwd(), **environment}, text=True,
                                  stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
                 for arguments, environment in commands]
    try:
        yield processes
    finally:
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.stdout.close()
            process.wait()


def output(process):
    """(exit code, output) of a process; a test fails if it hangs."""
    try:
        text, _ = process.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f'{process.args} still runs after {SECONDS} s')
    return process.returncode, text


def free_port():
    with socket.socket() as found:
        found.bind(('', 0))
        return str(found.getsockname()[1])


def parameter_server(places):
    """The commands of a scheduler, a server and a worker at each place: (what to put before a command, address)."""
    shared = {'DMLC_PS_ROOT_URI': places[0][1], 'DMLC_PS_ROOT_PORT': free_port(), 'DMLC_NUM_SERVER': '1',
              'DMLC_NUM_WORKER': str(len(places)), 'OMP_NUM_THREADS': '1'}
    roles = [('scheduler', places[0], HELPER), ('server', places[0], HELPER)]
    roles += [('worker', place, [sys.executable, JOB, 'dist_sync']) for place in places]
    return [([*before, *arguments], dict(shared, DMLC_ROLE=role, DMLC_NODE_HOST=where))
            for role, (before, where), arguments in roles]


@pytest.fixture
def namespaces():
    """Two network namespaces joined by a cable, each with an address: [(prefix of a command, address)]."""
    if os.geteuid() or not shutil.which('ip'):
        pytest.skip('making network namespaces needs root and the command ip')
    names = [f'bookcnn-{uuid.uuid4().hex[:8]}' for _ in range(2)]
    ends = [f'v{name[-8:]}' for name in names]
    addresses = ['10.213.77.1', '10.213.77.2']

    def ip(*words):
        return subprocess.run(['ip', *words], capture_output=True, text=True)
    try:
        for name in names:
            made = ip('netns', 'add', name)
            if made.returncode:
                pytest.skip(f'no network namespace can be made here: {made.stderr.strip()}')
        made = ip('link', 'add', ends[0], 'netns', names[0], 'type', 'veth', 'peer', 'name', ends[1], 'netns', names[1])
        if made.returncode:
            pytest.skip(f'no network cable can be made here: {made.stderr.strip()}')
        for name, end, address in zip(names, ends, addresses):
            ip('-n', name, 'addr', 'add', f'{address}/24', 'dev', end)
            ip('-n', name, 'link', 'set', end, 'up')
            ip('-n', name, 'link', 'set', 'lo', 'up')
            hosts = Path('/etc/netns') / name / 'hosts'  # Horovod looks up its machine's own name
            hosts.parent.mkdir(parents=True)
            hosts.write_text(f'{address} {socket.gethostname()}\n')
        yield [(['ip', 'netns', 'exec', name], address) for name, address in zip(names, addresses)]
    finally:
        for name in names:
            ip('netns', 'del', name)
            shutil.rmtree(f'/etc/netns/{name}', ignore_errors=True)


def test_two_workers_with_the_parameter_server_across_two_networks_learn_what_one_learns(namespaces):
    with started(*parameter_server(namespaces)) as processes:
        for process in processes[2:]:
            code, text = output(process)
            assert code == 0 and 'all alike' in text, text


@needs_horovod
def test_two_workers_with_horovod_learn_what_one_learns():
    command = [str(Path(sys.executable).with_name('horovodrun')), '--gloo', '-np', '2', sys.executable, JOB, 'horovod']
    with started((command, {'OMP_NUM_THREADS': '1'})) as (process,):
        code, text = output(process)
        assert code == 0 and text.count('all alike') == 2, text


@needs_horovod
def test_two_workers_with_horovod_across_two_networks_learn_what_one_learns(namespaces):
    """What horovodrun does on two hosts, but for the ssh between them."""
    rendezvous = ("import sys, time\n"
                  "from horovod.runner.http.http_server import RendezvousServer\n"
                  "from horovod.runner.common.util.hosts import get_host_assignments, parse_hosts\n"
                  "server = RendezvousServer()\n"
                  "print(server.start(), flush=True)\n"
                  "server.init(get_host_assignments(parse_hosts(sys.argv[1]), 2))\n"
                  "time.sleep(1000)\n")
    hosts = [address for _, address in namespaces]
    before, where = namespaces[0]
    with started(([*before, sys.executable, '-c', rendezvous, ','.join(f'{host}:1' for host in hosts)],
                  {})) as (meeting,):
        port = meeting.stdout.readline().strip()
        assert port.isdigit(), port + meeting.stdout.read()
        workers = []
        for rank, (before, address) in enumerate(namespaces):
            device = subprocess.run([*before, 'ip', '-o', '-4', 'addr', 'show', 'scope', 'global'], capture_output=True,
                                    text=True).stdout.split()[1]
            workers.append(([*before, sys.executable, JOB, 'horovod'], {
                'HOROVOD_RANK': str(rank), 'HOROVOD_SIZE': '2', 'HOROVOD_LOCAL_RANK': '0', 'HOROVOD_LOCAL_SIZE': '1',
                'HOROVOD_CROSS_RANK': str(rank), 'HOROVOD_CROSS_SIZE': '2', 'HOROVOD_HOSTNAME': address,
                'HOROVOD_GLOO_RENDEZVOUS_ADDR': where, 'HOROVOD_GLOO_RENDEZVOUS_PORT': port,
                'HOROVOD_CONTROLLER': 'gloo', 'HOROVOD_CPU_OPERATIONS': 'gloo', 'HOROVOD_GLOO_IFACE': device,
                'OMP_NUM_THREADS': '1'}))
        with started(*workers) as processes:
            for process in processes:
                code, text = output(process)
                assert code == 0 and 'all alike' in text, text


@pytest.mark.skipif(not os.path.exists('/usr/sbin/sshd'), reason='sshd is not installed')
def test_the_launcher_reaches_another_machine_by_ssh_and_misses_it_when_it_is_lost(namespaces, tmp_path):
    (here, one), (there, two) = namespaces
    os.makedirs('/run/sshd', exist_ok=True)
    for key in ('host', 'user'):
        subprocess.run(['ssh-keygen', '-q', '-t', 'ed25519', '-N', '', '-f', str(tmp_path / key)], check=True)
    ssh = tmp_path / 'ssh'
    ssh.write_text(f'#!/bin/sh\nexec {shutil.which("ssh")} -F /dev/null -i {tmp_path}/user -o StrictHostKeyChecking=no '
                   '-o UserKnownHostsFile=/dev/null "$@"\n')
    ssh.chmod(0o755)
    daemon = [*there, '/usr/sbin/sshd', '-D', '-f', '/dev/null', '-h', f'{tmp_path}/host', '-o', 'StrictModes=no', '-o',
              f'AuthorizedKeysFile={tmp_path}/user.pub', '-o', 'PermitRootLogin=yes', '-o', f'PidFile={tmp_path}/pid']
    folder = tmp_path / 'run'
    launch = [*here, sys.executable, '-m', 'chapters', 'launch', '-n', '2', '-H', f'{one},{two}', 'run', '3.4.2',
              '--data', 'digits', '--epochs', '100000', '--out', str(folder)]
    settings = {'PATH': f'{tmp_path}:{os.environ["PATH"]}', 'OMP_NUM_THREADS': '1'}
    with started((daemon, {})), started((launch, settings)) as (job,):
        wait_for(lambda: epochs_in(folder) >= 2, job)
        (away,) = [pid for pid in os.listdir('/proc') if pid.isdigit() and _started_with(pid, 'BOOKCNN_WORKER=1')
                   and f'DMLC_NODE_HOST={two}' in Path(f'/proc/{pid}/environ').read_text()]
        os.kill(int(away), signal.SIGKILL)
        code, text = output(job)
    assert code == 2 and f'error: worker 1 on {two} was killed' in text.splitlines()[-1], text


def _started_with(pid, setting):
    try:
        return f'{setting}\0' in Path(f'/proc/{pid}/environ').read_text()
    except (OSError, UnicodeDecodeError):
        return False


# A run with all that has a state, without what each worker draws for itself.
_RUN = ['3.4.2', '--data', 'digits', '--batch-size', '50', '--epochs', '40', '--learning-rate', '0.01', *(
    word for setting in ('momentum=0.5', 'dropout=0', 'mixup=0', 'initializer=xavier', 'warmup_epochs=2',
                         'lr_factor=0.98') for word in ('--set', setting))]


def epochs_in(folder):
    """How many epochs a run has finished."""
    try:
        return json.loads((folder / 'checkpoint' / 'latest.json').read_text())['epoch']
    except FileNotFoundError:
        return 0


def wait_for(what, process):
    end = time.monotonic() + SECONDS
    while not what():
        assert process.poll() is None, process.stdout.read()
        assert time.monotonic() < end, 'it hangs'
        time.sleep(0.01)


def started_by(launcher, sign):
    """Process ids below a process whose environment or command has a sign."""
    import psutil
    found = []
    for process in psutil.Process(launcher.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if sign in {**process.environ(), 'command': ' '.join(process.cmdline())}.items():
                found.append(process.pid)
    return found


def parameters(folder):
    (path,) = folder.glob('model-*.params')
    return [array.asnumpy() for array in mx.nd.load(str(path)).values()]


def lose_a_worker(command, find_second, folder):
    """Stop the second of two workers for a second, then kill it; returns what the job then says and its exit code."""
    with started((command, {'OMP_NUM_THREADS': '1'})) as (job,):
        wait_for(lambda: epochs_in(folder) >= 1, job)
        (second,) = find_second(job)
        os.kill(second, signal.SIGSTOP)
        time.sleep(0.3)  # an epoch that was nearly done may end
        before = epochs_in(folder)
        time.sleep(SECONDS_APART + 1)
        assert epochs_in(folder) == before, 'the others did not wait'
        os.kill(second, signal.SIGCONT)
        wait_for(lambda: epochs_in(folder) > before, job)
        os.kill(second, signal.SIGKILL)
        code, text = output(job)
    assert code and not (folder / 'result.json').exists()
    return [line for line in text.splitlines() if 'error: ' in line]


def test_a_worker_is_waited_for_or_missed_and_three_others_go_on_to_what_one_would_have_learnt(tmp_path):
    launch = [sys.executable, '-m', 'chapters', 'launch']
    lost, whole = tmp_path / 'lost', tmp_path / 'whole'

    def second(job):
        return started_by(job, ('BOOKCNN_WORKER', '1'))
    (line,) = lose_a_worker([*launch, '-n', '2', 'run', *_RUN, '--out', str(lost)], second, lost)
    assert line.startswith('error: worker 1 on localhost was killed by SIGKILL') and f'--resume {lost}' in line
    with started(([*launch, '-n', '3', '-s', '2', 'run', '--resume', str(lost)], {'OMP_NUM_THREADS': '1'})) as (job,):
        code, text = output(job)
        assert code == 0 and 'going on after epoch' in text, text
    from chapters.__main__ import main
    assert main(['run', *_RUN, '--out', str(whole)]) == 0
    # Sums in another order: a unit that is nearly 0 may switch on for one sample here and not there.
    for ours, theirs in zip(parameters(lost), parameters(whole)):
        assert np.abs(ours - theirs).mean() < 1e-5 and np.abs(ours - theirs).max() < 1e-3
    results = [json.loads((folder / 'result.json').read_text()) for folder in (lost, whole)]
    for name in ('train_loss', 'validation_loss', 'validation_accuracy'):
        assert results[0]['metrics'][name]['last'] == pytest.approx(results[1]['metrics'][name]['last'], abs=1e-4)
    assert len((lost / 'history.csv').read_text().splitlines()) == 41


@needs_horovod
def test_horovod_ends_with_one_line_when_a_worker_is_lost(tmp_path):
    folder = tmp_path / 'run'
    command = [str(Path(sys.executable).with_name('horovodrun')), '--gloo', '-np', '2', sys.executable, '-m',
               'chapters', 'run', *_RUN, '--distributed', 'horovod', '--out', str(folder)]

    def second(job):
        return [pid for pid in started_by(job, ('HOROVOD_RANK', '1'))
                if b'horovod' in Path(f'/proc/{pid}/cmdline').read_bytes()
                and Path(f'/proc/{pid}/exe').resolve() == Path(sys.executable).resolve()]
    (line,) = lose_a_worker(command, second, folder)
    assert f'--resume {folder}' in line
    assert epochs_in(folder) >= 2


@pytest.mark.parametrize('words, environment, said', [
    (['launch', '-n', '2', '-H', 'nosuch.invalid', 'run', '3.4.2'], {}, "no host 'nosuch.invalid'"),
    (['launch', '-n', '2', 'demo'], {}, 'launch: which run?'),
    (['run', '3.4.2', '--distributed', 'dist_sync'], {}, 'python -m chapters launch'),
    (['run', '3.4.2', '--distributed', 'dist_sync'],
     {'DMLC_ROLE': 'worker', 'DMLC_PS_ROOT_URI': 'nosuch.invalid', 'DMLC_PS_ROOT_PORT': '9', 'DMLC_NUM_WORKER': '1',
      'DMLC_NUM_SERVER': '1'}, "DMLC_PS_ROOT_URI: there is no host 'nosuch.invalid'"),
    (['launch', '-n', '2', 'run', '3.4.2', '--data', 'nosuch'], {}, 'nosuch: no such data set'),
    (['run', '3.4.2', '--distributed', 'horovod'], {'WITHOUT': 'horovod'}, 'pip install --no-build-isolation horovod')])
def test_a_mistake_is_told_in_one_line(words, environment, said, tmp_path):
    for name in environment.get('WITHOUT', '').split():  # hide what may be installed
        (tmp_path / name).mkdir()
        (tmp_path / name / '__init__.py').touch()
        environment = {'PYTHONPATH': f'{tmp_path}:{os.getcwd()}'}
    with started(([sys.executable, '-m', 'chapters', *words], environment)) as (process,):
        code, text = output(process)
    assert code == 2 and said in text and len(text.splitlines()) == 1, text


def test_workers_share_every_batch_without_overlap():
    y = np.arange(50, dtype=np.float32)
    data, recipe = TrainingData('', y[:, None], y, y[:, None], y), Recipe(batch_size=8)

    def batches(workers):
        return [y.asnumpy() for _, y in Batches(data, recipe, mx.cpu(), workers).of_epoch(np.random.default_rng(3))]
    parts = [batches(worker(rank, 3)) for rank in range(3)]
    for whole, *shared in zip(batches(Workers()), *parts):
        assert np.concatenate(shared).tolist() == whole.tolist()


def test_workers_share_records_without_overlap(tmp_path):
    for name, count in (('train', 23), ('test', 4)):
        pack = mx.recordio.MXIndexedRecordIO(str(tmp_path / f'{name}.idx'), str(tmp_path / f'{name}.rec'), 'w')
        for number in range(count):
            image = np.full((8, 8, 3), number, np.uint8)
            pack.write_idx(number, mx.recordio.pack_img(mx.recordio.IRHeader(0, number, number, 0), image, 95, '.png'))
        pack.close()
    experiment = replace(chapters.find('4.4').but(batch_size=6, pixels=8, augmentation='mirror crop=8'), scale=1.0)
    data = experiment.load(str(tmp_path))
    seen = []
    for rank in range(3):
        batches = list(data.stream(np.random.default_rng(0), worker(rank, 3)))
        assert [len(y) for _, y in batches] == [2, 2, 2, 2]  # as many updates in each worker
        assert all((x.asnumpy()[:, 0, 0, 0] == y.asnumpy()).all() for x, y in batches)
        seen.append({int(label) for _, y in batches for label in y.asnumpy()})
    assert not (seen[0] & seen[1] or seen[0] & seen[2] or seen[1] & seen[2])
    assert seen[0] | seen[1] | seen[2] == set(range(23))


def test_the_batch_of_each_worker_is_the_recipes_and_the_rate_grows_with_all(tmp_path):
    experiment = chapters.find('4.4')
    changed = experiment.but(**larger_batch(experiment.recipe, 4)).recipe
    assert changed.batch_size == 4 * experiment.recipe.batch_size
    assert changed.peak_learning_rate == pytest.approx(4 * experiment.recipe.peak_learning_rate)
    assert changed.rate(1, 100) == pytest.approx(changed.peak_learning_rate / 500)  # warm-up over five epochs
    adam = chapters.find('8.3').recipe
    assert adam.but(**larger_batch(adam, 4)).peak_learning_rate == pytest.approx(2 * adam.learning_rate)
    assert larger_batch(experiment.recipe, 1) == {}


def test_what_cannot_be_shared_says_so(tmp_path):
    for section, settings, wrong in (('2.2.8', {'form': 'symbolic'}, '--distributed is for'),
                                     ('4.4', {'data': 'digits'}, 'batches of 1 .* not enough')):
        with pytest.raises(UserError, match=wrong):
            _begin(chapters.find(section).but(batch_size=1), False, worker(0, 2), out=tmp_path / 'run', **settings)
        assert not (tmp_path / 'run').exists()
