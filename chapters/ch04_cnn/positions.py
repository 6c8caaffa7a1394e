"""Sections 4.2 and 7.1: packed positions of Go games as data to train on."""
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Tuple

import numpy as np

from chapters.kit.data.training_data import TrainingData
from chapters.kit.experiment import Training
from chapters.kit.training.recipe import Recipe
from data_tools.errors import UserError
from data_tools.go.board import vertex
from data_tools.go.dat import AREA, SIZE, labels_of, load_dat, planes_and_labels, states_of
from data_tools.go.features import BOOK, planes_of
from data_tools.go.symmetries import transform_moves, transform_planes

_VALIDATING = 6  # so many of the book's numbered packs (7.1)
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
        `data_tools.go.player` plays against itself. Else a folder with `train.dat` and `val.dat`; a folder of numbered
        packs, as the book publishes them (7.1): NAME-0.dat to NAME-597.dat; or a pack NAME.dat with
        NAME.validation.dat beside it, as `go pack --validation` writes them.
    data_root : path-like or None
    seed : int
        Of the games of 'selfplay'.

    Returns
    -------
    TrainingData
    """
    train, validation = packs(name, data_root, seed)
    train = train[:experiment.recipe.train_samples or None]
    planes = experiment.settings()['planes']
    return from_records(Path(name).name, train, validation, planes, SELFPLAY_NOTE if name == 'selfplay' else '',
                        experiment.recipe.apply_symmetry)


@dataclass(frozen=True)
class PolicyRecipe(Recipe):
    """A recipe of a network that learns from games.

    Attributes
    ----------
    apply_symmetry : bool
        Show each position in one of the 8 symmetries of the board at random (7.2).
    """
    apply_symmetry: bool = True


@dataclass(frozen=True)
class PolicyTraining(Training):
    """A network that learns from packed games which move is played.

    Its size `planes` says which planes of a position it sees, as `data_tools.go.features.planes_of` has them.
    """
    data: str = 'go'
    loader: Callable = games
    top: Tuple[int, ...] = (2, 5, 10)

    stand_in = 'selfplay'

    @property
    def input_shape(self):
        return 1, self.settings()['planes'], SIZE, SIZE

    def first_batch(self, size=0):
        """Positions from all over the games of 'selfplay', (planes (N, planes, 19, 19), moves (N,)), as NDArrays."""
        from mxnet import nd
        records, _ = packs('selfplay')
        chosen = np.linspace(0, len(records) - 1, size or self.recipe.batch_size).astype(int)
        planes, moves = PackedPlanes(records, self.settings()['planes']).batch(chosen, np.zeros(len(chosen), int))
        return nd.array(planes, dtype='float32'), nd.array(moves)


def packs(name, data_root=None, seed=0):
    """(training records, validation records), uint8 (N, 363), of data named as for `games`."""
    if name == 'selfplay':
        from data_tools.go.player import selfplay_records
        return selfplay_records(SELFPLAY_GAMES, seed), selfplay_records(SELFPLAY_GAMES // 20, [seed, 1])
    return tuple(Joined(paths) if len(paths) > 1 else load_dat(paths[0]) for paths in find_packs(name, data_root))


class Joined:
    """Several packs as one: uint8 (N, 363), read from the disk as it is used.

    Parameters
    ----------
    paths : list of path-like
        In their order.
    """
    def __init__(self, paths):
        self._packs = [load_dat(path) for path in paths]
        self._ends = np.cumsum([len(pack) for pack in self._packs])

    def __len__(self):
        return int(self._ends[-1])

    def __getitem__(self, numbers):
        """Records by their numbers, or a slice of them."""
        numbers = np.arange(len(self))[numbers]
        records = np.empty((len(numbers), AREA + 2), np.uint8)
        which = np.searchsorted(self._ends, numbers, side='right')
        for pack in np.unique(which):
            here = which == pack
            records[here] = self._packs[pack][numbers[here] - self._ends[pack] + len(self._packs[pack])]
        return records


def find_packs(name, data_root=None):
    """(training packs, validation packs), lists of paths, of a name that `games` takes.

    Of numbered packs those up to 5 validate, as 7.1 says, unless there is a NAME-val.dat, which 7.2's program reads.

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
        numbered = sorted((int(found.group(1)), file) for file in path.glob('*.dat')
                          for found in [re.search(r'-(\d+)\.dat$', file.name)] if found)
        if numbered and not (path / 'train.dat').exists():
            return _of_numbered(path, numbered)
        packs = path / 'train.dat', path / 'val.dat'
    else:
        path = path if path.suffix == '.dat' else path.with_name(path.name + '.dat')
        packs = path, path.with_suffix('.validation.dat')
    for pack in packs:
        if not pack.exists():
            raise UserError(f'{pack}: no such pack of positions; {_HOW}; or use --data selfplay')
    return tuple([pack] for pack in packs)


def _of_numbered(folder, numbered):
    validation = sorted(folder.glob('*-val.dat'))
    train = [path for number, path in numbered if number >= _VALIDATING or validation]
    validation = validation or [path for number, path in numbered if number < _VALIDATING]
    if not train or not validation:
        raise UserError(f'{folder}: its numbered packs are {", ".join(path.name for _, path in numbered[:4])}, ...; those '
                        f'under {_VALIDATING} validate, the others train, and both are needed')
    return train, validation


def from_records(name, train, validation, planes, note='', apply_symmetry=True):
    """Packed positions as data to train on.

    Parameters
    ----------
    name : str
    train, validation : numpy.ndarray of uint8, (N, 363)
    planes : int
    note : str
    apply_symmetry : bool
        Each position in one of the 8 symmetries at random (7.2).

    Returns
    -------
    TrainingData
    """
    sides = 8 if apply_symmetry else 1
    packed = PackedPlanes(train, planes)
    spread = np.linspace(0, len(validation) - 1, min(VALIDATED, len(validation))).astype(int)
    validation = np.ascontiguousarray(validation[spread])
    return TrainingData(
        name, packed, labels_of(train[:1]), np.asarray(PackedPlanes(validation, planes)),
        labels_of(validation).astype(np.float32), tuple(vertex(move) for move in range(AREA)), note=note,
        batch=lambda numbers, random, epoch=0: packed.batch(numbers, random.integers(0, sides, len(numbers))))
