"""A trained policy network as a function from positions of Go to probabilities."""
import numpy as np
from mxnet import nd

import chapters
from chapters.kit.data.training_data import Facts
from chapters.kit.trained.run import read_config
from chapters.kit.trained.saved import load_run
from data_tools.errors import UserError
from data_tools.go.board import RECENT, RECENT_MOVES, vertex
from data_tools.go.features import planes_of
from data_tools.go.symmetries import INVERSE, transform_planes, transform_policy


class Policy:
    """The probability of each point, in the eyes of a network.

    Parameters
    ----------
    network : HybridBlock, initialized
        (N, planes, size, size) -> logits (N, size * size).
    planes : int
        As `data_tools.go.features.planes_of` has them.
    size : int
        Of the board.
    batch : int
        Positions that the network takes at once, at most.

    Attributes
    ----------
    network, planes, size, batch
        As given.
    device : mxnet.Context
        Of the network.
    """
    def __init__(self, network, planes=8, size=19, batch=8):
        self.planes, self.size, self.batch = planes, size, batch
        self.network = network
        self.device = next(iter(network.collect_params().values())).list_ctx()[0]
        network.hybridize()  # not static: a search asks for batches of any size

    def __call__(self, states, symmetries=1):
        """Probabilities (N, size * size), illegal points included, of positions, int32 (N, STATE_LENGTH).

        With `symmetries=8` each position is looked at from all 8 sides, and the answers averaged (3.2).
        """
        return self.of_planes(planes_of(without_history(states), self.planes), symmetries)

    def of_planes(self, planes, symmetries=1):
        """The same for planes that are there already, uint8 (N, planes, size, size)."""
        total = 0
        for symmetry in range(symmetries):
            turned = transform_planes(planes, symmetry) if symmetry else planes
            logits = self._logits(turned)
            powers = np.exp(logits - logits.max(axis=1, keepdims=True))
            answer = powers / powers.sum(axis=1, keepdims=True)
            total = total + \
                (transform_policy(answer, int(INVERSE[symmetry]), self.size) if symmetry else answer)
        return total / symmetries

    def _logits(self, planes):
        outputs = []
        for start in range(0, len(planes), self.batch):
            part = planes[start:start + self.batch]
            outputs.append(self.network(nd.array(part, self.device, 'float32')).asnumpy())
        return np.concatenate(outputs)


def without_history(states):
    """Positions, int32 (N, STATE_LENGTH), without all moves but the last: packed positions do not know of them."""
    states = states.copy()
    states[:, RECENT + 1:RECENT + RECENT_MOVES] = 0
    return states


def load_policy(folder, batch=8):
    """The policy of a run folder: its last export, or, while it still trains, its checkpoint.

    Parameters
    ----------
    folder : path-like
    batch : int

    Returns
    -------
    Policy

    Raises
    ------
    UserError
        Not a run of a policy network, or nothing trained in it yet.
    """
    facts = Facts.of_config(read_config(folder))
    side = facts.shape[-1] if facts.shape else 0
    if not 0 < side <= 19 or facts.class_names != tuple(vertex(move, side) for move in range(side * side)):
        raise UserError(f'{folder}: holds no policy network for Go, which answers with the points of a board')
    saved = load_run(folder, chapters.find)
    return Policy(saved.network, facts.shape[0], side, batch)
