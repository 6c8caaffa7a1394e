"""How does a policy network learn to judge a position? A head on its body says whose each point will be.

    python -m chapters.ch07_policy_net.ownership --run RUN --data GAMES.sgf.xz

The head is trained on how games ended, the body stays as it is; RUN/ownership.params is then used by every search
of that run's engine. A result is one number a game (6.4.1's value network); the owners of the points are 361.
"""
import argparse
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from chapters.kit.runtime import mx
import numpy as np

from chapters.ch06_alphago.mcts import Rollouts, pass_probability
from chapters.ch06_alphago.policy import load_policy, without_history
from chapters.kit.prediction import Predictor
from chapters.kit.progress import tqdm
from data_tools.atomic import atomic_path, atomic_write
from data_tools.errors import UserError, one_line_errors
from data_tools.go import sgf
from data_tools.go.board import BLACK, PASSES, TO_MOVE, Position
from data_tools.go.dat import states_of
from data_tools.go.features import planes_of
from data_tools.go.player import ownership, selfplay_records
from data_tools.go.symmetries import transform_planes
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

FILE = 'ownership.params'
LONG = 230  # moves: a game given up as late as this shows whose the points are
POINTS = 20.0  # a lead of so many wins 73% of the games
_KOMI = 6.5  # of the games, about


class OwnershipHead(gluon.HybridBlock):
    """Twice C3x3 BN ReLU, then C1x1 to one plane, tanh.

    Parameters
    ----------
    filters : int

    Input: what the last convolution of `PolicyNet` sees, (N, C, 19, 19). Output (N, 361): whose each point will be,
    from 1, always the player's to move, to -1.
    """
    def __init__(self, filters=32, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for _ in range(2):
                self.body.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(), nn.Activation('relu'))
            self.body.add(nn.Conv2D(1, kernel_size=1))

    def hybrid_forward(self, F, x):
        return F.tanh(F.flatten(self.body(x)))


class Body(gluon.HybridBlock):
    """A `PolicyNet` without its last convolution."""
    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.first, self.units, (self.batch_norm, self.relu, _) = network.first, network.units, network.last

    def hybrid_forward(self, F, x):
        return self.relu(self.batch_norm(self.units(self.first(x))))


class PolicyAndOwners(gluon.HybridBlock):
    """A `PolicyNet` with its `OwnershipHead`: planes to logits and owners in one array, (N, 2 * 361)."""
    def __init__(self, network, head, **kwargs):
        super().__init__(**kwargs)
        self.body, self.last, self.head = Body(network), network.last[2], head

    def hybrid_forward(self, F, x):
        features = self.body(x)
        return F.concat(F.flatten(self.last(features)), self.head(features), dim=1)


class OwnersAndRollouts:
    """An evaluator for `Search`: the network's moves; half of the value from the owners, half from a game played out.

    Games are played out in a thread of their own while the network computes, on a CPU in 8 bits.

    Parameters
    ----------
    policy : chapters.ch06_alphago.policy.Policy
    head : OwnershipHead
    komi : float
    seed : int
    """
    def __init__(self, policy, head, komi=7.5, seed=0):
        self._planes, self._batch, self._device = policy.planes, policy.batch, policy.device
        self._network = PolicyAndOwners(policy.network, head)
        self._predictors = {}  # by the size of the board
        self._thread = ThreadPoolExecutor(1)
        self.begin(komi, seed)

    def begin(self, komi, seed=0):
        """Begin a game of this komi; what was compiled is kept."""
        self._komi, self._rollouts = komi, Rollouts(komi, 1, seed)

    def __call__(self, states):
        """Policies (N, size * size + 1) and values (N,) from -1 to 1."""
        played_out = self._thread.submit(self._rollouts, states)
        logits, owners = np.split(self._answers(states).astype(np.float64), 2, axis=1)
        policies, values = played_out.result()
        policies[:, :-1] = np.exp(logits - logits.max(axis=1, keepdims=True))
        policies[:, :-1] /= policies[:, :-1].sum(axis=1, keepdims=True)
        policies[:, -1] = pass_probability(states)
        lead = owners.sum(axis=1) + np.where(states[:, TO_MOVE] == BLACK, -self._komi, self._komi)
        return policies, (values + np.tanh(lead / (2 * POINTS))) / 2

    def owners(self, states):
        """Whose each point will be, (N, size * size), from 1, the player's to move, to -1."""
        return np.split(self._answers(states), 2, axis=1)[1]

    def _answers(self, states):
        planes = planes_of(without_history(states.astype(np.int32)), self._planes).astype(np.float32)
        side = planes.shape[-1]
        if side not in self._predictors:
            # any games will do to see how large the numbers in the network become
            typical = planes_of(states_of(selfplay_records(2)[:64]), self._planes).astype(np.float32)
            on_cpu = self._device.device_type == 'cpu'
            self._predictors[side] = Predictor(self._network, self._batch, self._device, typical if on_cpu else None,
                                               workers=1)
        return self._predictors[side](planes)


def positions_with_owners(paths, games, per_game=6, seed=0):
    """Positions of games that were played to their end, and whose each point was then.

    The end is played out 24 times; a game is used only if that gives it to the winner that its record names.

    Parameters
    ----------
    paths : list of path-like
        SGF, as `go pack` reads it.
    games : int
        How many to use.
    per_game : int
    seed : int

    Returns
    -------
    states : int16 (N, STATE_LENGTH)
    owners : float32 (N, 361)
        From 1, black's, to -1, white's.
    """
    random, states, owners = np.random.default_rng(seed), [], []
    with tqdm(total=games, desc='games', unit=' games', disable=None) as bar:
        for game in (game for path in paths for game in sgf.read_games(path)):
            if bar.n == games:
                break
            ended = not isinstance(game, sgf.Refused) and re.match(r'[BW]\+([0-9.]+|R)', game.result)
            if not ended or game.size != 19 or len(game.events) < (LONG if ended[1] == 'R' else LONG // 2):
                continue
            position, kept = Position(), []
            chosen = random.choice(np.arange(10, len(game.events)), per_game, replace=False)
            try:
                for number, event in enumerate(game.events.tolist()):
                    if number in chosen:
                        kept.append(position.state.astype(np.int16))
                    kind, move = divmod(event, sgf.KIND)
                    if kind < sgf.PLAY_BLACK:
                        raise ValueError('stones set up')
                    position.play(move, kind - sgf.PLAY_BLACK + 1)
            except ValueError:  # not a game to learn from
                continue
            position.state[PASSES] = 0
            owned, wins = ownership(position.state, _KOMI, 24, game.number)
            if (wins > 0.5) == (game.result[0] == 'B'):
                states += kept
                owners += [owned] * per_game
                bar.update()
    if not states:
        raise UserError(f'{", ".join(map(str, paths))}: no game there that was played to its end, with its winner')
    return np.array(states), np.array(owners, np.float32)


def fit_head(network, planes, states, owners, seed=0, filters=32, batch_size=64):
    """Train an `OwnershipHead` for a network whose parameters stay as they are: every position once.

    Parameters
    ----------
    network : PolicyNet
    planes : int
    states, owners
        As `positions_with_owners` gives them.

    Returns
    -------
    OwnershipHead
    """
    random = np.random.default_rng(seed)
    head, body = OwnershipHead(filters, prefix='ownership_'), Body(network)
    head.initialize(mx.init.Xavier())
    for block in (head, body):
        block.hybridize(static_alloc=True, static_shape=True)
    trainer, order = None, random.permutation(len(states))
    updates = len(order) // batch_size
    for update in tqdm(range(updates), 'the head', disable=None):
        chosen = order[update * batch_size:(update + 1) * batch_size]
        symmetry = random.integers(0, 8, batch_size)
        features = body(_turned_planes(states[chosen], planes, symmetry))
        wanted = nd.array(_owners_of_mover(states[chosen], owners[chosen], symmetry))
        with autograd.record():  # not of the body, whose statistics of BN would change
            loss = nd.square(head(features) - wanted).mean(axis=1)
        loss.backward()
        trainer = trainer or gluon.Trainer(head.collect_params(), 'adam')
        trainer.set_learning_rate(2e-3 * min(1.0, 2 * (1 - update / updates)))
        trainer.step(batch_size)
    return head


def _turned_planes(states, planes, symmetry):
    states = without_history(states.astype(np.int32))
    return nd.array(transform_planes(planes_of(states, planes), symmetry), dtype='float32')


def _owners_of_mover(states, owners, symmetry):
    """Owners (N, 361) in the eyes of the player to move, turned."""
    boards = np.where(states[:, TO_MOVE] == BLACK, 1, -1)[:, None] * owners
    return transform_planes(boards.astype(np.float32).reshape(-1, 1, 19, 19), symmetry).reshape(len(boards), -1)


def measure(policy, head, states, owners):
    """How well the head says what positions that it has not seen came to.

    Returns
    -------
    dict
        Mean square errors of the owners: 'owners_mse', by the head; 'all_even_mse', if nothing is known; and how often
        the winner was found: 'winner_by_head', 'winner_by_rollouts' (16 games played out).
    """
    evaluator = OwnersAndRollouts(policy, head, _KOMI)
    none = np.zeros(len(states), int)
    wanted, found = _owners_of_mover(states, owners, none), evaluator.owners(states)
    komi = np.where(states[:, TO_MOVE] == BLACK, -_KOMI, _KOMI)
    won, by_head = wanted.sum(axis=1) + komi > 0, found.sum(axis=1) + komi > 0
    played = np.array([ownership(state.astype(np.int32), _KOMI, 16, number)[1] for number, state in enumerate(states)])
    by_rollouts = (played > 0.5) == (states[:, TO_MOVE] == BLACK)
    return {'owners_mse': float(np.square(found - wanted).mean()), 'all_even_mse': float(np.square(wanted).mean()),
            'winner_by_head': float((by_head == won).mean()),
            'winner_by_rollouts': float((by_rollouts == won).mean()), 'positions': len(states)}


def load_head(folder):
    """The head of a run, or None if it has none."""
    path = Path(folder) / FILE
    if not path.exists():
        return None
    head = OwnershipHead(prefix='ownership_')
    head.load_parameters(str(path))
    return head


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = argparse.ArgumentParser('python -m chapters.ch07_policy_net.ownership',
                                     description=__doc__.splitlines()[0])
    parser.add_argument('--run', required=True, metavar='RUN', help='the run folder of a policy network')
    parser.add_argument('--data', required=True, nargs='+', metavar='SGF', help='games, as `go pack` takes them')
    parser.add_argument('--games', type=int, default=4000, metavar='N', help='how many to use (default 4000)')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    policy = load_policy(options.run, batch=64)
    states, owners = positions_with_owners(options.data, options.games, seed=options.seed)
    held = max(1, len(states) // 120) * 6  # whole games, a twentieth of them
    head = fit_head(policy.network, policy.planes, states[held:], owners[held:], options.seed)
    result = measure(policy, head, states[:held], owners[:held])
    with atomic_path(Path(options.run) / FILE) as beside:
        head.save_parameters(str(beside))
    with atomic_write(Path(options.run) / 'ownership.json', text=True) as file:
        json.dump(result, file, indent=1)
    for name, value in result.items():
        print(f'{name:20} {value:.4g}')
    print(Path(options.run) / FILE)
    return 0


if __name__ == '__main__':
    sys.exit(main())
