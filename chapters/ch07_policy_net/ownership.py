"""How does a policy network learn to judge a position? A head on its body says who will win, and whose each point
will be.

    python -m chapters.ch07_policy_net.ownership --run RUN --data GAMES.sgf.xz

The head is trained on how games ended, the body stays as it is; RUN/ownership.params is then used by every search
of that run's engine. A result is one number a game (6.4.1's value network); the owners of the points are 361, which
games that were played to their end have.
"""
import json
import re
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch06_alphago.mcts import Rollouts, pass_probability
from chapters.ch06_alphago.policy import load_policy, without_history
from chapters.kit.progress import tqdm
from chapters.kit.trained.prediction import Predictor, in_both
from chapters.kit.trained.zoo import refuse_to_change, run_folder
from chapters.kit.training.checkpoint import whole_arrays
from data_tools.atomic import atomic_write
from data_tools.errors import Parser, UserError, one_line_errors
from data_tools.go import sgf
from data_tools.go.board import BLACK, CELLS, COLOUR, SIZE, TO_MOVE, WHITE, Position
from data_tools.go.dat import states_of
from data_tools.go.features import planes_of
from data_tools.go.player import ownership, selfplay_records
from data_tools.go.symmetries import transform_planes

FILE = 'ownership.params'
LONG = 230  # moves: a game given up as late as this shows whose the points are
_POINTS = 20.0  # what the head's small numbers are multiplied by to be points
_KOMI = 7.5  # of most games
PER_GAME = 5  # positions
HELD_GAMES = 800  # are enough to measure by


class OwnershipHead(gluon.HybridBlock):
    """Twice C3x3 BN ReLU; from there C1x1 to one plane, tanh, and from each plane's mean and maximum two layers of 32
    and 2.

    Parameters
    ----------
    filters : int

    Input: what the last convolution of `PolicyNet` sees, (N, C, 19, 19). Output (N, 361 + 2): whose each point will be,
    from 1, always the player's to move, to -1; the lead, in points, that this comes to, komi left out; and its
    spread: who leads by as much as the spread, komi added, wins 73% of the games. Learning owners and lead beside the
    result: Wu 2019 (https://arxiv.org/abs/1902.10565).
    """
    def __init__(self, filters=32, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for _ in range(2):
                self.body.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(), nn.Activation('relu'))
            self.owners = nn.Conv2D(1, kernel_size=1)
            self.result = nn.HybridSequential()
            self.result.add(nn.Dense(32, activation='relu'), nn.Dense(2))

    def hybrid_forward(self, F, x):
        x = self.body(x)
        owners = F.tanh(F.flatten(self.owners(x)))
        more, spread = F.split(self.result(F.concat(F.mean(x, axis=(2, 3)), F.max(x, axis=(2, 3)), dim=1)), 2)
        lead = F.sum(owners, axis=1, keepdims=True) + _POINTS * more
        return F.concat(owners, lead, 1 + _POINTS * F.log(1 + F.exp(spread)), dim=1)


class Body(gluon.HybridBlock):
    """A `PolicyNet` without its last convolution."""
    def __init__(self, network, **kwargs):
        super().__init__(**kwargs)
        self.first, self.units, (self.batch_norm, self.relu, _) = network.first, network.units, network.last

    def hybrid_forward(self, F, x):
        return self.relu(self.batch_norm(self.units(self.first(x))))


class PolicyAndOwners(gluon.HybridBlock):
    """A `PolicyNet` with its `OwnershipHead`: planes to logits and what the head says in one array, (N, 361 + 363)."""
    def __init__(self, network, head, **kwargs):
        super().__init__(**kwargs)
        self.body, self.last, self.head = Body(network), network.last[2], head

    def hybrid_forward(self, F, x):
        features = self.body(x)
        return F.concat(F.flatten(self.last(features)), self.head(features), dim=1)


def covered(states):
    """The share of the board that has stones on it: (N, STATE_LENGTH) states to (N,) numbers from 0 to 1."""
    colours = states[:, COLOUR:COLOUR + CELLS]
    return ((colours == BLACK) | (colours == WHITE)).sum(axis=1) / states[:, SIZE].astype(float) ** 2


class OwnersAndRollouts:
    """An evaluator for `Search`: the network's moves; the value from the head, mixed with a game played out (6.1.1).

    Games are played out in a thread of their own while the network computes, on a CPU in 8 bits where that is faster.

    Parameters
    ----------
    policy : chapters.ch06_alphago.policy.Policy
    head : OwnershipHead
    komi : float
    seed : int
    say : callable
        Told once in how many bits the network computes. Default: nobody.
    rollouts : float, optional
        Share of the value that the game played out has, from 0 to 1. Default: what `covered` says of the position.

    Attributes
    ----------
    rollouts : float or None
        As given.
    """
    def __init__(self, policy, head, komi=7.5, seed=0, say=lambda words: None, rollouts=None):
        self._say, self.rollouts = say, rollouts
        self._planes, self._batch, self._device = policy.planes, policy.batch, policy.device
        self._network = PolicyAndOwners(policy.network, head)
        self._predictors = {}  # by the size of the board
        self._thread = ThreadPoolExecutor(1)
        self.begin(komi, seed)

    def begin(self, komi, seed=0):
        """Begin a game of this komi; what was compiled is kept."""
        self._komi, self._play_out = komi, Rollouts(komi, 1, seed)

    def __call__(self, states):
        """Policies (N, size * size + 1) and values (N,) from -1 to 1."""
        played_out = self._thread.submit(self._play_out, states)
        logits, _, chances = self.answers(states)
        policies, values = played_out.result()
        policies[:, :-1] = np.exp(logits - logits.max(axis=1, keepdims=True))
        policies[:, :-1] /= policies[:, :-1].sum(axis=1, keepdims=True)
        policies[:, -1] = pass_probability(states)
        share = covered(states) if self.rollouts is None else self.rollouts
        return policies, share * values + (1 - share) * (2 * chances - 1)

    def answers(self, states):
        """The network's logits (N, size * size); the head's owners (N, size * size), from 1, the player's to move, to
        -1; and the chance of the player to move to win, (N,)."""
        points, lead, spread = _parts(self._numbers(states).astype(np.float64))
        logits, owners = np.split(points, 2, axis=1)
        lead += _komi_of_mover(states, self._komi)
        return logits, owners, (1 + np.tanh(lead / (2 * spread))) / 2

    def _numbers(self, states):
        planes = planes_of(without_history(states.astype(np.int32)), self._planes).astype(np.float32)
        side = planes.shape[-1]
        if side not in self._predictors:
            # any games will do to see how large the numbers in the network become
            typical = planes_of(states_of(selfplay_records(2)[:64]), self._planes).astype(np.float32)
            if self._device.device_type == 'cpu':
                both = in_both(self._network, self._batch, typical, workers=1)
                self._predictors[side] = both.faster
                self._say(both)
            else:
                self._predictors[side] = Predictor(self._network, self._batch, self._device, workers=1)
        return self._predictors[side](planes)


def positions_of_games(paths, games, per_game=PER_GAME, seed=0):
    """Positions of games with a result, and whose each point was in the end.

    The end of a game that was played so far is played out 24 times; it is used only if that gives it to the winner that
    its record names. Of a game that was given up earlier only the winner is known.

    Parameters
    ----------
    paths : list of path-like
        SGF, as `go pack` reads it.
    games : int
        How many to use at most.
    per_game : int
    seed : int

    Returns
    -------
    states : int16 (N, STATE_LENGTH)
    owners : float32 (N, 361)
        From 1, black's, to -1, white's; nan if not known.
    winners : float32 (N,)
        1 black, 0 white.
    """
    random, states, owners, winners = np.random.default_rng(seed), [], [], []
    with tqdm(total=games, desc='games', unit=' games', disable=None) as bar:
        for game in (game for path in paths for game in sgf.read_games(path)):
            if len(winners) == games * per_game:  # in a pipe the bar does not count
                break
            result = not isinstance(game, sgf.Refused) and re.match(r'([BW])\+([0-9.]+|R)', game.result)
            if not result or game.size != 19 or len(game.events) < LONG // 2:
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
            black, owned = result[1] == 'B', np.full(361, np.nan)
            if result[2] != 'R' or len(game.events) >= LONG:
                owned, wins = ownership(position.state, _KOMI, 24, game.number)
                if (wins > 0.5) != black:
                    continue
            states += kept
            owners += [owned.astype(np.float32)] * per_game
            winners += [black] * per_game
            bar.update()
    if not states:
        raise UserError(f'{", ".join(map(str, paths))}: no game there of {LONG // 2} moves or more, with its winner')
    return np.array(states), np.array(owners), np.array(winners, np.float32)


def fit_head(network, planes, states, owners, winners, seed=0, filters=32, batch_size=64):
    """Train an `OwnershipHead` for a network whose parameters stay as they are: every position once.

    Parameters
    ----------
    network : PolicyNet
    planes : int
    states, owners, winners
        As `positions_of_games` gives them.

    Returns
    -------
    OwnershipHead
    """
    random = np.random.default_rng(seed)
    head, body = OwnershipHead(filters, prefix='ownership_'), Body(network)
    head.initialize(mx.init.Xavier())
    for block in (head, body):
        block.hybridize(static_alloc=True, static_shape=True)
    binary = gluon.loss.SigmoidBinaryCrossEntropyLoss()
    trainer, order = None, random.permutation(len(states))
    updates = len(order) // batch_size
    for update in tqdm(range(updates), 'the head', disable=None):
        chosen = order[update * batch_size:(update + 1) * batch_size]
        symmetry = random.integers(0, 8, batch_size)
        features = body(_turned_planes(states[chosen], planes, symmetry))
        wanted = _owners_of_mover(states[chosen], owners[chosen], symmetry)
        known = nd.array(~np.isnan(wanted[:, 0]))
        wanted, won = nd.array(np.nan_to_num(wanted)), nd.array(_wins_of_mover(states[chosen], winners[chosen]))
        komi = nd.array(_komi_of_mover(states[chosen]))
        with autograd.record():  # not of the body, whose statistics of BN would change
            owned, lead, spread = _parts(head(features))
            # 361 numbers a game teach more than one, but the one is what is asked for
            loss = known * nd.square(owned - wanted).mean(axis=1) + 0.3 * binary((lead + komi) / spread, won)
        loss.backward()
        trainer = trainer or gluon.Trainer(head.collect_params(), 'adam')
        trainer.set_learning_rate(2e-3 * min(1.0, 2 * (1 - update / updates)))
        trainer.step(batch_size)
    return head


def _parts(numbers):
    """Owners (before them the policy's logits, if they are there), lead and spread of what a head says."""
    return numbers[:, :-2], numbers[:, -2], numbers[:, -1]


def _komi_of_mover(states, komi=_KOMI):
    """What komi adds to the lead of the player to move."""
    return np.where(states[:, TO_MOVE] == BLACK, -komi, komi)


def _wins_of_mover(states, winners):
    """1 where the player to move won, else 0."""
    return np.where(states[:, TO_MOVE] == BLACK, winners, 1 - winners)


def _turned_planes(states, planes, symmetry):
    states = without_history(states.astype(np.int32))
    return nd.array(transform_planes(planes_of(states, planes), symmetry), dtype='float32')


def _owners_of_mover(states, owners, symmetry):
    """Owners (N, 361) in the eyes of the player to move, turned."""
    boards = np.where(states[:, TO_MOVE] == BLACK, 1, -1)[:, None] * owners
    return transform_planes(boards.astype(np.float32).reshape(-1, 1, 19, 19), symmetry).reshape(len(boards), -1)


def measure(policy, head, states, owners, winners):
    """How well the head says what positions that it has not seen came to.

    Returns
    -------
    dict
        Mean square errors of the owners: 'owners_mse', by the head; 'all_even_mse', if nothing is known; how often
        the winner was found: 'winner_by_head', 'winner_by_rollouts' (16 games played out); and the cross-entropy of the
        result, which is 0.693 where nothing is known: 'result_loss', of the head; 'result_loss_mixed', of head and
        games as `covered` mixes them; 'result_loss_even', of both by halves, as AlphaGo did (6.1.1).
    """
    evaluator = OwnersAndRollouts(policy, head, _KOMI)
    wanted = _owners_of_mover(states, owners, np.zeros(len(states), int))
    won = _wins_of_mover(states, winners) > 0.5
    _, found, chances = evaluator.answers(states)
    played = np.array([ownership(state.astype(np.int32), _KOMI, 16, number)[1] for number, state in
                       enumerate(tqdm(states, 'played out', leave=False, disable=None))])
    shares = np.where(states[:, TO_MOVE] == BLACK, played, 1 - played)

    def loss(share):
        mixed = (1 - share) * chances + share * shares
        return float(-np.log(np.where(won, mixed, 1 - mixed)).mean())
    return {'owners_mse': float(np.nanmean(np.square(found - wanted))),
            'all_even_mse': float(np.nanmean(np.square(wanted))),
            'winner_by_head': float(((chances > 0.5) == won).mean()),
            'winner_by_rollouts': float(((played > 0.5) == (winners > 0.5)).mean()),
            'result_loss': loss(0), 'result_loss_mixed': loss(covered(states)), 'result_loss_even': loss(0.5),
            'positions': len(states)}


def load_head(folder, network):
    """The head of a run whose network is given, or None if it has none.

    Raises
    ------
    UserError
        Its file is damaged, or is of another network or version.
    """
    path = run_folder(folder) / FILE
    if not path.exists():
        return None
    head = OwnershipHead(prefix='ownership_')
    try:
        head.load_parameters(str(path), cast_dtype=True)  # the zoo has it in 16 bits
        wrong = '' if _fits(head, network) else 'is of another network'
    except mx.MXNetError:
        wrong = 'is damaged'
    except (AssertionError, ValueError):  # 'Parameter ... is missing', '... is not present', of another shape
        wrong = 'is no head, or of an earlier version of this program'
    if wrong:
        raise UserError(f'{path}: {wrong}; train it again by '
                        f'python -m chapters.ch07_policy_net.ownership --run {folder} --data GAMES.sgf.xz')
    return head


def _fits(head, network):
    """Whether a head takes what the last convolution of a network sees."""
    try:
        head(nd.zeros((1, network.last[2].weight.shape[1], 19, 19)))
    except (AttributeError, mx.MXNetError):  # no `PolicyNet`; other shapes
        return False
    return True


@one_line_errors
def main(arguments=None):
    """The command line."""
    parser = Parser('python -m chapters.ch07_policy_net.ownership', description=__doc__.splitlines()[0])
    parser.add_argument('--run', required=True, metavar='RUN', help='the run folder of a policy network')
    parser.add_argument('--data', required=True, nargs='+', metavar='SGF', help='games, as `go pack` takes them')
    parser.add_argument('--games', type=int, default=50000, metavar='N', help='use no more of them (default 50000)')
    parser.add_argument('--seed', type=int, default=0)
    options = parser.parse_args(arguments)
    refuse_to_change(options.run)
    policy = load_policy(options.run, batch=64)
    examples = positions_of_games(options.data, options.games, PER_GAME, options.seed)
    games = len(examples[0]) // PER_GAME
    held = max(1, min(games // 20, HELD_GAMES)) * PER_GAME  # whole games
    head = fit_head(policy.network, policy.planes, *(array[held:] for array in examples), options.seed)
    result = {'games': games, **measure(policy, head, *(array[:held] for array in examples))}
    with whole_arrays(Path(options.run) / FILE) as beside:
        head.save_parameters(str(beside))
    with atomic_write(Path(options.run) / 'ownership.json', text=True) as file:
        json.dump(result, file, indent=1)
    for name, value in result.items():
        print(f'{name:20} {value:.6g}')
    print(Path(options.run) / FILE)
    return 0


if __name__ == '__main__':
    sys.exit(main())
