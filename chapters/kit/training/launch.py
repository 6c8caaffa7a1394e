"""Starts the processes of MXNet's parameter server, here and on other machines, and ends them together.

    python -m chapters launch -n 2 run 4.4 --data digits                  two workers and a server on this machine
    python -m chapters launch -n 4 -s 2 -H node1,node2 run 4.4            on others, by ssh

Needs no MXNet of its own. Other machines have this project and its Python under the same paths, and let ssh in without
a password.
"""
import collections
import contextlib
import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
import time

from chapters.kit.training.workers import address
from data_tools.errors import UserError

_SSH = ['ssh', '-tt',  # with a terminal, so that what runs there ends when the connection does
        '-o', 'BatchMode=yes', '-o', 'ConnectTimeout=20', '-o', 'ServerAliveInterval=10', '-o', 'LogLevel=ERROR']
_PARTING = 5  # seconds for processes to end by themselves


class _Process:
    """A scheduler, server or worker, here or on another machine."""
    def __init__(self, name, host, remote, settings, arguments, seen):
        self.name, self.host, self.remote = name, host, remote
        environment = None if remote else dict(os.environ, **settings)
        if remote:
            known = {name: os.environ[name] for name in ('PYTHONPATH', 'BOOKCNN_DATA', 'OMP_NUM_THREADS')
                     if name in os.environ}
            settings = {**known, **settings}
            words = ['exec', 'env', *(f'{name}={value}' for name, value in settings.items()), *arguments]
            arguments = [*_SSH, host, f'cd {shlex.quote(os.getcwd())} && {shlex.join(words)}']
        output = {} if seen else {'stdout': subprocess.PIPE, 'stderr': subprocess.STDOUT}
        self._process = subprocess.Popen(arguments, env=environment, stdin=subprocess.DEVNULL, start_new_session=True,
                                         **output)
        self._lines = collections.deque(maxlen=40)
        if not seen:
            self._reader = threading.Thread(target=self._read, daemon=True)
            self._reader.start()

    def _read(self):
        for line in self._process.stdout:
            line = line.decode(errors='replace').rstrip()
            if '\r' not in line:  # a progress bar
                self._lines.append(line)

    @property
    def code(self):
        """None while it runs, then its exit code."""
        return self._process.poll()

    def stop(self, kind):
        """Send a signal to the process and what it has started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, kind)

    def said(self):
        """The last lines of a process whose output is not seen."""
        if self._process.stdout:
            self._reader.join(1)
        return [line for line in self._lines if line]

    def end(self):
        """How it was lost, in words."""
        said = self.said()
        if self.remote and self.code == 255:
            return f'was killed, or cannot be reached by ssh{f" ({said[-1]})" if said else ""}'
        if self.code < 0:
            return f'was killed by {signal.Signals(-self.code).name}'
        print(*(f'{self.name}: {line}' for line in said), sep='\n', file=sys.stderr)  # a bug keeps its traceback
        return f'ended with exit code {self.code}'


def launch(command, workers, servers=1, hosts=(), program='chapters'):
    """Run a command of this project in several workers that train together.

    Parameters
    ----------
    command : list of str
        What follows `python -m chapters`: ['run', '4.4', '--distributed', 'dist_sync', ...].
    workers, servers : int
        How many, spread over the hosts in turn. The scheduler runs on this machine.
    hosts : sequence of str
        Names or addresses, also `user@name`; empty: this machine.
    program : str
        Another module than `chapters`.

    Returns
    -------
    int
        Exit code: 0 if all workers ended well.

    Raises
    ------
    UserError
        A host has no address or no ssh; a process was lost, and the others were stopped.
    """
    if workers < 1 or servers < 1:
        raise UserError(f'launch: {workers} workers and {servers} servers; give at least one of each')
    places = [_place(host) for host in hosts] or [('localhost', '127.0.0.1', False)]
    far = [where for _, where, remote in places if remote]
    here = _address_towards(far[0]) if far else '127.0.0.1'
    with socket.socket() as free:
        free.bind((here, 0))
        port = free.getsockname()[1]
    shared = {'DMLC_PS_ROOT_URI': here, 'DMLC_PS_ROOT_PORT': str(port), 'DMLC_NUM_WORKER': str(workers),
              'DMLC_NUM_SERVER': str(servers)}
    helper = [sys.executable, '-c', 'import chapters, mxnet']
    processes = []

    def start(name, role, place, arguments, seen=False, **more):
        host, where, remote = place
        settings = dict(shared, DMLC_ROLE=role, DMLC_NODE_HOST=where if remote else here, **more)
        processes.append(_Process(name, host, remote, settings, arguments, seen))
    old = signal.signal(signal.SIGTERM, _interrupt)
    try:
        start('scheduler', 'scheduler', ('localhost', here, False), helper, OMP_NUM_THREADS='1')
        for number in range(servers):
            start(f'server {number}', 'server', places[number % len(places)], helper, OMP_NUM_THREADS='1')
        for number in range(workers):
            start(f'worker {number}', 'worker', places[number % len(places)],
                  [sys.executable, '-m', program, *command], seen=number == 0, BOOKCNN_WORKER=str(number),
                  BOOKCNN_LOCAL_WORKER=str(number // len(places)),
                  BOOKCNN_LOCAL_WORKERS=str(-(-workers // len(places))))
        return _watch(processes, command, workers)
    finally:
        _stop(processes)
        signal.signal(signal.SIGTERM, old)


def _interrupt(*_):
    raise KeyboardInterrupt


def _watch(processes, command, workers):
    """Wait until all workers are done; if a process is lost, say which."""
    training = [process for process in processes if process.name.startswith('worker')]
    lost = []
    while any(process.code is None for process in training) and not lost:
        time.sleep(0.05)
        lost = [process for process in processes if process.code]
    _wait(processes, _PARTING)  # a mistake that all have noticed ends them all, each by itself
    lost += [process for process in processes if process.code and process not in lost]
    if not lost:
        return 0
    if any(process.code == 2 for process in lost):  # then one has said what is wrong
        for process in lost:
            for line in process.said():
                if line.startswith('error: '):
                    print(line, file=sys.stderr)
        return 2
    folder = next((command[place + 1] for place, word in enumerate(command[:-1]) if word in ('--out', '--resume')),
                  'RUN')
    raise UserError(f'{lost[0].name} on {lost[0].host} {lost[0].end()}; all others were stopped. If an epoch was '
                    f'finished, go on after it: python -m chapters launch -n {workers} run --resume {folder}'
                    + ', the run folder named above' * (folder == 'RUN'))


def _wait(processes, seconds):
    """Wait until all processes have ended, at most so long."""
    end = time.monotonic() + seconds
    while time.monotonic() < end and any(process.code is None for process in processes):
        time.sleep(0.05)


def _stop(processes):
    for kind in (signal.SIGTERM, signal.SIGKILL):
        for process in processes:
            if process.code is None:
                process.stop(kind)
        _wait(processes, _PARTING)


def _place(host):
    """(host, its address, whether it is another machine)."""
    where = address(host.rpartition('@')[2], '-H')
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((where, 0))  # works with an address of this machine only
            return host, where, False
        except OSError:
            return host, where, True


def _address_towards(where):
    """This machine's address, as another one sees it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((where, 9))
        except OSError as error:
            raise UserError(f'-H: no way to {where} ({error.strerror})') from None
        return probe.getsockname()[0]
