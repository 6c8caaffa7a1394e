"""One training run on several processes or machines (3.3.2): each takes its part of every batch.

    horovodrun -np 2 python -m chapters run 4.4 --distributed horovod     Horovod
    python -m chapters launch -n 2 run 4.4                                MXNet's parameter server

The batch size of a recipe is that of all workers together, and their gradients are added up before the update: as
many workers as one likes compute what one worker computes. Only batch normalisation sees the difference, because each
worker normalises its own part.
"""
import contextlib
import ctypes
import json
import os
import signal
import socket
import threading

import numpy as np

from data_tools.errors import UserError

ENGINES = ('horovod', 'dist_sync')
HOROVOD = ('HOROVOD_WITH_MXNET=1 HOROVOD_WITH_GLOO=1 HOROVOD_WITHOUT_MPI=1 HOROVOD_WITHOUT_TENSORFLOW=1 '
           'HOROVOD_WITHOUT_PYTORCH=1 python -m pip install --no-build-isolation horovod==0.28.1')
_SECONDS_TO_MEET = 180
_WARMUP = 5  # epochs, as https://arxiv.org/abs/1706.02677 has it


class WorkerLost(UserError):
    """Another worker has ended, or this one was told to."""


class Workers:
    """The processes that train together; this class by itself is one process alone.

    Attributes
    ----------
    rank, size : int
        The number of this process from 0 on, and how many there are. Rank 0 writes the run folder.
    local_rank : int
        The number among the processes of this machine.
    engine : str
        'horovod', 'dist_sync', or '' alone.
    """
    rank, size, local_rank, engine = 0, 1, 0, ''

    def __str__(self):
        return f'{self.size} worker{"s" * (self.size > 1)}' + f' ({self.engine})' * bool(self.engine)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        """Leave; after an error without waiting for the others, who may wait for us."""

    def share(self, count):
        """The part of `count` samples that this worker takes, as a slice."""
        return slice(count * self.rank // self.size, count * (self.rank + 1) // self.size)

    def sum(self, arrays):
        """Add up arrays over all workers, in place.

        Parameters
        ----------
        arrays : list of NDArray of float32 or float64
            Of the same shapes in every worker. They travel as one block: its cost is one start, not one an array.
        """
        if self.size == 1 or not arrays:
            return
        if len(arrays) == 1 and arrays[0].ndim == 1:
            self._sum(arrays[0])
            return
        import mxnet as mx
        block = mx.nd.concat(*(array.reshape(-1) for array in arrays), dim=0)
        self._sum(block)
        start = 0
        for array in arrays:
            array[:] = block[start:start + array.size].reshape(array.shape)
            start += array.size

    def _sum(self, block):
        raise NotImplementedError

    def mean(self, values, weight=1):
        """Mean over all workers of a NumPy array, each counted by its weight."""
        if self.size == 1:
            return values
        import mxnet as mx
        both = mx.nd.array(np.append(np.asarray(values, np.float64) * weight, weight), dtype='float64')
        self.sum([both])
        *total, weight = both.asnumpy()
        return np.array(total) / weight

    def first_to_all(self, arrays):
        """Replace arrays by those of rank 0, in place."""
        if self.size > 1:
            if self.rank:
                for array in arrays:
                    array[:] = 0
            self.sum(arrays)

    def send(self, value):
        """A value of rank 0, in every worker; bytes, or anything that JSON can hold."""
        if self.size == 1:
            return value
        import mxnet as mx
        text = value if isinstance(value, bytes) else json.dumps(value).encode()
        head = mx.nd.array([len(text), isinstance(value, bytes)], dtype='float64')
        self.first_to_all([head])
        length, raw = (int(number) for number in head.asnumpy())
        if length:
            numbers = np.frombuffer(text.ljust(length + length % 2), np.uint16) if not self.rank else \
                np.zeros((length + 1) // 2)
            block = mx.nd.array(numbers, dtype='float32')  # where every number of 16 bits is exact
            self.first_to_all([block])
            text = block.asnumpy().astype(np.uint16).tobytes()[:length]
        else:
            text = b''
        return text if raw else json.loads(text)

    def send_files(self, folder):
        """Copy the files of a folder of rank 0 into the folder of every other worker."""
        if self.size == 1:
            return
        names = self.send(sorted(path.name for path in folder.glob('*') if path.is_file()))
        if self.rank and names:
            folder.mkdir(exist_ok=True)
        for name in names:
            found = self.send(b'' if self.rank else (folder / name).read_bytes())
            if self.rank:
                (folder / name).write_bytes(found)

    def together(self, work):
        """Do what may fail in one worker: if it does, that worker says why, and all of them end.

        Parameters
        ----------
        work : callable
            It raises `UserError`, or returns what this method returns. It waits for no other worker.
        """
        if self.size == 1:
            return work()
        import mxnet as mx
        answer, mistake = None, None
        try:
            answer = work()
        except UserError as error:
            mistake = error
        failed = mx.nd.zeros(self.size)
        failed[self.rank] = mistake is not None
        self.sum([failed])
        if failed.sum().asscalar():
            if self.rank == int(failed.asnumpy().argmax()):
                raise UserError(f'worker {self.rank} on {socket.gethostname()}: {mistake}' if self.rank else mistake)
            raise SystemExit(2)
        return answer

    def agree(self, settings):
        """End all workers with one line if these settings, {name: value}, are not the same in all."""
        first = self.send(settings)

        def compare():
            for name, value in json.loads(json.dumps(settings)).items():
                if value != first[name]:
                    raise UserError(f'{name}: {value} here, but {first[name]} in worker 0; give all workers the same')
        self.together(compare)

    def choose(self, devices):
        """The device of this worker, in a list: one each on a machine with several."""
        return devices if self.size == 1 else [devices[self.local_rank % len(devices)]]


class _Horovod(Workers):
    """https://arxiv.org/abs/1802.05799: no server; the sum goes round in a ring."""
    engine = 'horovod'

    def __init__(self):
        import mxnet  # noqa: F401  set up before Horovod loads it
        try:
            import horovod.mxnet
        except ImportError:
            raise UserError('--distributed horovod: Horovod is not installed; with MXNet in place, cmake and a '
                            f'compiler it takes two minutes: {HOROVOD}') from None
        self._horovod = horovod.mxnet
        host = os.environ.get('HOROVOD_GLOO_RENDEZVOUS_ADDR')
        if host:
            address(host, 'HOROVOD_GLOO_RENDEZVOUS_ADDR')
        with _meeting(f'the workers of Horovod{f" by {host}" if host else ""}'):
            self._horovod.init()
        self.rank, self.size = self._horovod.rank(), self._horovod.size()
        self.local_rank = self._horovod.local_rank()
        if self.size > 1:
            signal.signal(signal.SIGTERM, self._told_to_stop)

    @staticmethod
    def _told_to_stop(*_):
        """horovodrun ends all workers when it loses one."""
        raise WorkerLost('it was told to, perhaps because another worker has ended')

    def _sum(self, block):
        try:
            self._horovod.allreduce_(block, average=False, name=f'{np.dtype(block.dtype).name}-{block.size}')
            block.wait_to_read()
        except Exception as error:  # MXNetError or HorovodInternalError, by the moment at which the other went
            if isinstance(error, UserError):
                raise
            raise WorkerLost('another worker has ended or cannot be reached') from None


class _ParameterServer(Workers):
    """MXNet's own: every worker sends its gradients to servers, which return the sum (https://mxnet.apache.org)."""
    engine = 'dist_sync'

    def __init__(self):
        import mxnet as mx
        missing = [name for name in ('DMLC_ROLE', 'DMLC_PS_ROOT_URI', 'DMLC_PS_ROOT_PORT', 'DMLC_NUM_WORKER',
                                     'DMLC_NUM_SERVER') if not os.environ.get(name)]
        if missing:
            raise UserError(f'--distributed dist_sync: {", ".join(missing)} not set; start it by `python -m chapters '
                            'launch -n 2 run SECTION ...`')
        host, port = os.environ['DMLC_PS_ROOT_URI'], os.environ['DMLC_PS_ROOT_PORT']
        address(host, 'DMLC_PS_ROOT_URI')
        with _meeting(f'the scheduler at {host}:{port}, {os.environ["DMLC_NUM_SERVER"]} servers and '
                      f'{os.environ["DMLC_NUM_WORKER"]} workers'):
            self._store = mx.kv.create('dist_sync')
        self._mx, self._keys = mx, set()
        self.size = self._store.num_workers
        # The store numbers workers in the order of their ports; the launcher knows who shall be first.
        self.rank = int(os.environ.get('BOOKCNN_WORKER', self._store.rank))
        self.local_rank = int(os.environ.get('BOOKCNN_LOCAL_WORKER', self.rank))

    def _sum(self, block):
        key = f'{np.dtype(block.dtype).name}-{block.size}'
        if key not in self._keys:
            self._keys.add(key)
            self._store.init(key, self._mx.nd.zeros_like(block))
        self._store.push(key, block)
        self._store.pull(key, out=block)
        block.wait_to_read()

    def __exit__(self, kind, *_):
        if kind is not None and kind is not SystemExit:
            self._mx.base._LIB.MXKVStoreSetBarrierBeforeExit(self._store.handle, ctypes.c_int(0))


def join(engine):
    """Meet the other workers of a run.

    Parameters
    ----------
    engine : str
        'horovod', 'dist_sync', or '' for none.

    Returns
    -------
    Workers
        A context manager.

    Raises
    ------
    UserError
        Horovod is not installed; what the launcher sets is not there; a host has no address.
    """
    return {'horovod': _Horovod, 'dist_sync': _ParameterServer}[engine]() if engine else Workers()


def larger_batch(recipe, size):
    """What changes in a recipe where each of several workers takes the recipe's batch (3.3.2).

    The learning rate grows with the batch (with its square root for optimizers that divide by the gradient's own
    size, such as Adam), after a warm-up of five epochs or a quarter of all.

    Returns
    -------
    dict
        For `Experiment.but`.
    """
    if size == 1:
        return {}
    changes = {'batch_size': recipe.batch_size * size}
    if not recipe.base_batch_size:
        changes['base_batch_size'] = recipe.batch_size
        if recipe.optimizer not in ('sgd', 'nag'):
            changes['rate_exponent'] = 0.5
    if not recipe.warmup_epochs:
        changes['warmup_epochs'] = min(_WARMUP, recipe.epochs / 4)
    return changes


def address(host, name):
    """The address of a host; a `UserError` if it has none."""
    try:
        return socket.getaddrinfo(host, None, socket.AF_INET)[0][4][0]
    except (OSError, UnicodeError):
        raise UserError(f'{name}: there is no host {host!r}; check its spelling') from None


@contextlib.contextmanager
def _meeting(whom):
    """End the process with one line if the others do not come; what waits for them cannot be interrupted."""
    def give_up():
        os.write(2, f'error: waited {_SECONDS_TO_MEET} s in vain for {whom}: is one of them not started, or does a '
                    'firewall stand between?\n'.encode())
        os._exit(2)
    timer = threading.Timer(_SECONDS_TO_MEET, give_up)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
