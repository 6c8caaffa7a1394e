"""What a run needs to go on after it was killed: one file of arrays and one of numbers, replaced together."""
import contextlib
import errno
import json
from pathlib import Path

import joblib
import mxnet as mx

from data_tools.atomic import atomic_path, atomic_write, checksum
from data_tools.errors import UserError

# What MXNet says of a file that it could not write to its end, or reads and finds too short.
_CUT_SHORT = ('FileStream.Write', 'Invalid NDArray file format')


class Checkpoint:
    """The folder `checkpoint/` of a run.

    `latest.json` names the file of arrays that belongs to it and is renamed into place last, so that the two
    fit together whenever the machine stops.

    Parameters
    ----------
    folder : path-like
    kept : collection of int
        Numbers of epochs whose arrays are not removed when later ones are there.
    """
    def __init__(self, folder, kept=()):
        self.folder, self._kept = Path(folder), [_name(epoch) for epoch in kept]
        self._latest = self.folder / 'latest.json'

    @property
    def exists(self):
        """Whether there is anything to go on from."""
        return self._latest.exists() or any(self.folder.glob('*.joblib'))

    def keeps(self, epoch):
        """Whether the arrays after so many epochs are not removed when later ones are there."""
        return _name(epoch) in self._kept

    def save(self, arrays, state):
        """Replace the checkpoint.

        Parameters
        ----------
        arrays : dict of str to NDArray
        state : dict
            Anything that JSON can hold; `state['epoch']` names the file of arrays.
        """
        self.folder.mkdir(exist_ok=True)
        name = _name(state['epoch'])
        with whole_arrays(self.folder / name) as beside:
            mx.nd.save(str(beside), arrays)
        with atomic_write(self._latest, text=True) as file:
            json.dump(dict(state, arrays=name, sha256=checksum(self.folder / name)), file, indent=1)
        for old in self.folder.glob('epoch-*.params'):
            if old.name != name and old.name not in self._kept:
                old.unlink()

    def load(self):
        """(arrays, state) of the last `save`, or None if there was none."""
        if not self._latest.exists():
            return None
        again = 'start the run again without --resume'
        try:
            state = json.loads(self._latest.read_text(encoding='utf-8'))
            path = self.folder / state['arrays']
        except (ValueError, KeyError, TypeError):
            raise UserError(f'{self._latest}: damaged; {again}') from None
        try:
            if state.get('sha256') not in (None, checksum(path)):  # MXNet notices a short file, but not other numbers in it
                raise ValueError
            return mx.nd.load(str(path)), state
        except (mx.MXNetError, OSError, ValueError):
            raise UserError(f'{path}: {"damaged" if path.exists() else "missing"}; {again}') from None

    def remembered(self, name, compute):
        """What `compute()` returns; of a run that had got so far before it was stopped, what it was then.

        For what is no training by epochs, such as forests. `forget` removes it.

        Parameters
        ----------
        name : str
            Of the file, `NAME.joblib`.
        compute : callable

        Raises
        ------
        UserError
            The file is damaged.
        """
        path = self.folder / f'{name}.joblib'
        if path.exists():
            try:
                return joblib.load(path)
            except Exception as error:  # a damaged pickle raises anything
                raise UserError(f'{path}: damaged ({type(error).__name__}); delete it, and --resume computes it anew') from None
        found = compute()
        self.folder.mkdir(exist_ok=True)
        with atomic_path(path) as beside:
            joblib.dump(found, str(beside), compress=('zlib', 1))
        return found

    def forget(self):
        """Remove what was `remembered`."""
        for path in self.folder.glob('*.joblib'):
            path.unlink()
        with contextlib.suppress(OSError):  # there is more in it, or it was never made
            self.folder.rmdir()

    def snapshots(self):
        """[(number of epochs, arrays)] of the kept epochs that training has reached."""
        return [(int(name[6:-7]), mx.nd.load(str(self.folder / name))) for name in self._kept
                if (self.folder / name).exists()]


@contextlib.contextmanager
def whole_arrays(path):
    """`data_tools.atomic.atomic_path` for a file of arrays that MXNet writes.

    The file is read again before it takes its name: MXNet does not notice a disk that has no space for the last bytes.

    Raises
    ------
    UserError
        The disk is full, or refuses the file. `path` stays as it was.
    """
    with atomic_path(path) as beside:
        try:
            yield beside
            mx.nd.load(str(beside))
        except mx.MXNetError as error:
            if not any(words in str(error) for words in _CUT_SHORT):  # computing failed, which was waited for only here
                raise
            raise OSError(errno.ENOSPC, 'no space') from None


def _name(epoch):
    """Of the file of arrays after so many epochs."""
    return f'epoch-{epoch:04d}.params'


def model_arrays(network):
    """{name: array} of all parameters of a network, on one device."""
    return {f'parameter:{name}': parameter.data(parameter.list_ctx()[0])
            for name, parameter in network._collect_params_with_prefix().items()}


def restore_model(arrays, network):
    """Put the parameters of a checkpoint back to where `model_arrays` found them."""
    for name, parameter in network._collect_params_with_prefix().items():
        parameter.set_data(arrays[f'parameter:{name}'])


def optimizer_arrays(updater):
    """{name: array} of an `mxnet.optimizer.Updater`'s state (momenta and the like)."""
    return {f'{index}:{part}': array for index, state in updater.states.items()
            for part, array in enumerate(_parts(state))}


def restore_optimizer(arrays, updater, weights):
    """Put the optimizer's state of a checkpoint back to where `optimizer_arrays` found it.

    weights: {index: array} that the states belong to.
    """
    for key, array in arrays.items():
        kind, _, rest = key.partition(':')
        if kind != 'optimizer':
            continue
        index, part = map(int, rest.split(':'))
        if index not in weights:
            continue
        if index not in updater.states:
            updater.states[index] = updater.optimizer.create_state_multi_precision(index, weights[index])
            updater.states_synced[index] = True
        array.copyto(_parts(updater.states[index])[part])


def _parts(state):
    """The arrays of one parameter's optimizer state."""
    if state is None:
        return []
    return [part for part in state if part is not None] if isinstance(state, (tuple, list)) else [state]
