"""Sections 4.2 and 7.1: packed positions of Go games as data to train on."""
import os
from pathlib import Path

import numpy as np

from chapters.kit.data import TrainingData
from data_tools.errors import UserError
from data_tools.go.board import vertex
from data_tools.go.dat import AREA, SIZE, labels_of, load_dat, planes_and_labels, states_of
from data_tools.go.features import BOOK, planes_of
from data_tools.go.symmetries import transform_moves, transform_planes

VALIDATED = 5000  # positions that are looked at after every epoch
SELFPLAY_GAMES = 400
SELFPLAY_NOTE = (f'selfplay: {SELFPLAY_GAMES} games of a simple built-in player against itself, standing in for games '
                 'of people; what is learnt is how it plays')
_HOW = 'pack games first: python -m data_tools go pack GAMES.sgf ... FOLDER/train.dat, and others into FOLDER/val.dat'


class PackedPlanes:
    """The positions of a pack as planes, made when they are asked for.

    Parameters
    ----------
    records : numpy.ndarray of uint8, (N, 363)
    planes : int
        How many, as `data_tools.go.features.planes_of` has them.
    """
    def __init__(self, records, planes=BOOK):
        self.records, self.planes = records, planes
        self.shape = (len(records), planes, SIZE, SIZE)

    def __len__(self):
        return len(self.records)

    def __getitem__(self, part):
        """A part (slice) as another such object, made only when asked for."""
        return PackedPlanes(self.records[part], self.planes)

    def __array__(self, dtype=None):
        return self.batch(np.arange(len(self)), np.zeros(len(self), int))[0].astype(dtype or np.uint8)

    def batch(self, numbers, symmetry):
        """Some of the positions, each turned by a symmetry, with the move played there.

        Parameters
        ----------
        numbers, symmetry : numpy.ndarray of int, (B,)

        Returns
        -------
        planes : uint8 (B, planes, 19, 19)
        moves : int32 (B,)
        """
        records = self.records[numbers]
        if self.planes == BOOK:
            return planes_and_labels(records, symmetry)
        return (transform_planes(planes_of(states_of(records), self.planes), symmetry),
                transform_moves(labels_of(records), symmetry))


def games(experiment, name, data_root, seed):
    """The positions of packed games.

    Parameters
    ----------
    experiment : Experiment
        Its size `planes` says which planes.
    name : str
        'go': the folder `go` where the data sets lie. 'selfplay': games that the player of
        `data_tools.go.player` plays against itself. Else a folder with `train.dat` and `val.dat`, or a pack
        NAME.dat with NAME.validation.dat beside it, as `go pack --validation` writes them.
    data_root : path-like or None
    seed : int
        Of the games of 'selfplay'.

    Returns
    -------
    TrainingData
    """
    train, validation = packs(name, data_root, seed)
    planes = experiment.sizes.get('planes', BOOK)
    return from_records(Path(name).name, train, validation, planes, SELFPLAY_NOTE if name == 'selfplay' else '')


def packs(name, data_root=None, seed=0):
    """(training records, validation records), uint8 (N, 363), of data named as for `games`."""
    if name == 'selfplay':
        from data_tools.go.player import selfplay_records
        return selfplay_records(SELFPLAY_GAMES, seed), selfplay_records(SELFPLAY_GAMES // 20, [seed, 1])
    train, validation = find_packs(name, data_root)
    return load_dat(train), load_dat(validation)


def find_packs(name, data_root=None):
    """(training pack, validation pack) of a name that `games` takes.

    Raises
    ------
    UserError
        They are not there.
    """
    path = Path(name)
    if name == 'go':
        path = Path(data_root or os.environ.get('BOOKCNN_DATA')
                    or Path('~/.bookcnn/data').expanduser()) / 'go'
    if path.is_dir() or name == 'go':
        packs = path / 'train.dat', path / 'val.dat'
    else:
        path = path if path.suffix == '.dat' else path.with_name(path.name + '.dat')
        packs = path, path.with_suffix('.validation.dat')
    for pack in packs:
        if not pack.exists():
            raise UserError(f'{pack}: no such pack of positions; {_HOW}; or use --data selfplay')
    return packs


def from_records(name, train, validation, planes, note=''):
    """Packed positions as data to train on: each position in one of the 8 symmetries at random (7.2).

    Parameters
    ----------
    name : str
    train, validation : numpy.ndarray of uint8, (N, 363)
    planes : int
    note : str

    Returns
    -------
    TrainingData
    """
    packed = PackedPlanes(train, planes)
    spread = np.linspace(0, len(validation) - 1, min(VALIDATED, len(validation))).astype(int)
    validation = np.ascontiguousarray(validation[spread])
    return TrainingData(
        name, packed, labels_of(train[:1]), np.asarray(PackedPlanes(validation, planes)),
        labels_of(validation).astype(np.float32), tuple(vertex(move) for move in range(AREA)), note=note,
        batch=lambda numbers, random: packed.batch(numbers, random.integers(0, 8, len(numbers))))
