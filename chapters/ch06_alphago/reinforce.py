"""Section 6.4.1: AlphaGo's way: imitation, policy gradient against a pool of opponents, value network.

    python -m chapters.ch06_alphago.reinforce

On a small board, where games of people are not at hand: the first policy imitates the player of
`data_tools.go.player`.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from chapters.ch06_alphago.losses import zero_losses
from chapters.ch06_alphago.networks import AlphaGoPolicy, AlphaGoValue
from chapters.ch06_alphago.zero import require, zero_planes
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import whole_arrays
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.go.board import BLACK, TO_MOVE, Position
from data_tools.go.features import BOOK, planes_of
from data_tools.go.player import choose, ownership, weigh
from data_tools.go.symmetries import transform_moves, transform_planes

_LONGEST = 3  # moves a point
_LARGEST_GRADIENT = 1.0  # norm, a position; usual are 0.6


def play_many(policies, games, size, komi, random, label=''):
    """Games of two policies side by side, their moves drawn by probability.

    Parameters
    ----------
    policies : tuple of two networks
        (N, 8, size, size) -> logits (N, size * size). The first plays black in the games of even number,
        white in the others.
    games, size, komi : numbers
    random : numpy.random.Generator
    label : str

    Returns
    -------
    results : float (games,)
        1 where the first won, 0 where it lost.
    moves : list of (states int32 (n, STATE_LENGTH), moves int (n,)), one a game
        Those of the first policy.
    """
    positions = [Position(size) for _ in range(games)]
    records = [([], []) for _ in range(games)]
    results = np.full(games, np.nan)
    weights = np.empty(size * size)  # above 0: legal, and no own eye
    with tqdm(total=games, desc=label, unit=' games', leave=False, disable=None) as bar:
        while np.isnan(results).any():
            for player in range(2):
                turn = [game for game in np.flatnonzero(np.isnan(results))
                        if (positions[game].to_play == BLACK) == (player == game % 2)]
                if not turn:
                    continue
                states = np.stack([positions[game].state for game in turn])
                planes = np.zeros((games, BOOK, size, size), np.float32)  # one shape, compiled once
                planes[:len(turn)] = planes_of(states, BOOK)
                logits = policies[player](nd.array(planes)).asnumpy()[:len(turn)]
                logits += random.gumbel(size=logits.shape)  # the largest is now a draw by softmax
                for game, state, scores in zip(turn, states, logits):
                    position = positions[game]
                    weigh(position.state, weights)
                    allowed = weights > 0
                    move = int(np.where(allowed, scores, -np.inf).argmax()) if allowed.any() else size * size
                    if player == 0 and move < size * size:
                        records[game][0].append(state)
                        records[game][1].append(move)
                    position.play(move)
                    if position.passes >= 2 or position.move_number >= _LONGEST * size * size:
                        score = position.score(komi)
                        black = 1.0 if score > 0 else 0.0 if score < 0 else 0.5
                        results[game] = black if game % 2 == 0 else 1 - black
                        bar.update()
    return results, [(np.array(states), np.array(moves)) for states, moves in records]


def imitate(network, size, batches, learning_rate, random, batch_size=128):
    """Teach a policy the moves of the built-in player; returns the last batches' mean loss."""
    trainer = gluon.Trainer(network.collect_params(), 'sgd',
                            {'learning_rate': learning_rate, 'momentum': 0.9})
    seed = random.integers(0, 2 ** 63, 1).astype(np.uint64)
    positions = [Position(size) for _ in range(batch_size)]
    losses = []
    for _ in tqdm(range(batches), 'imitation', leave=False, disable=None):
        states, moves = [], []
        for number, position in enumerate(positions):
            move = choose(position.state, seed)
            while move == size * size or position.move_number > 2 * size * size:  # on to the next game
                position = positions[number] = Position(size)
                move = choose(position.state, seed)
            states.append(position.state.copy())
            moves.append(move)
            position.play(int(move))
        symmetry = random.integers(0, 8, batch_size)
        x = nd.array(transform_planes(planes_of(np.array(states), BOOK), symmetry), dtype='float32')
        y = nd.array(transform_moves(np.array(moves), symmetry, size))
        with autograd.record():
            loss = -nd.pick(nd.log_softmax(network(x)), y)
        loss.backward()
        trainer.step(batch_size)
        losses.append(loss.mean().asscalar())
    return float(np.mean(losses[-50:]))


def reinforce(network, opponents, rounds, games, size, komi, learning_rate, random, say=lambda text: None):
    """The policy gradient of 6.4.1: moves of won games become more probable, of lost games less.

    Parameters
    ----------
    network : AlphaGoPolicy
        Changed in place.
    opponents : list of AlphaGoPolicy
        The pool; a copy of the network joins it every 5 rounds.
    rounds, games : int
        Updates, and games for each.
    learning_rate : float
        In the first round; it falls to 0 in a straight line.

    Returns
    -------
    list of float
        Share of games won in each round, against an opponent drawn from the pool.
    """
    trainer = gluon.Trainer(network.collect_params(), 'sgd', {'learning_rate': learning_rate})
    won = []
    for number in range(rounds):
        opponent = opponents[random.integers(len(opponents))]
        results, records = play_many((network, opponent), games, size, komi, random, f'round {number}')
        won.append(float(results.mean()))
        states = np.concatenate([states for states, _ in records])
        moves = np.concatenate([moves for _, moves in records])
        z = np.repeat(2 * results - 1, [len(moves) for _, moves in records])
        z -= z.mean()  # a baseline: winning is news only where it was in doubt
        symmetry = random.integers(0, 8, len(states))
        planes = transform_planes(planes_of(states, BOOK), symmetry)
        moves = transform_moves(moves, symmetry, size)
        with autograd.record():
            log_q = nd.log_softmax(network(nd.array(planes, dtype='float32')))
            loss = -nd.array(z) * nd.pick(log_q, nd.array(moves))
        loss.backward()
        # Games are few and results coarse: now and then a gradient is many times the usual one, and one such step
        # makes the policy certain of nonsense, from which there is no way back.
        gluon.utils.clip_global_norm([parameter.grad() for parameter in network.collect_params().values()],
                                     _LARGEST_GRADIENT * len(states))
        trainer.set_learning_rate(learning_rate * (1 - number / rounds))
        trainer.step(len(states))
        if number % 5 == 4:
            opponents.append(_copy(network))
        if number % 10 == 9:
            say(f'rounds {number - 9} to {number}: won {np.mean(won[-10:]):.1%} against the pool')
    return won


def one_position_a_game(network, games, size, komi, random):
    """The data of the value network: one position from each game of a policy against itself.

    Neighbouring positions of a game are nearly the same and have the same result; a network that sees them
    all remembers games instead of learning to judge.

    Returns
    -------
    states : int32 (games, STATE_LENGTH)
    results : float32 (games,)
        1 where the player to move won.
    """
    chosen, outcomes = [], []
    while len(chosen) < games:
        results, records = play_many((network, network), 128, size, komi, random, 'games for the value')
        for result, (states, _) in zip(results, records):
            if len(states) and len(chosen) < games:
                chosen.append(states[random.integers(len(states))])
                outcomes.append(result)
    return np.array(chosen), np.array(outcomes, np.float32)


def fit_value(planes, results, layers, filters, updates, random, batch_size=128, look=lambda network: None, every=20):
    """Train a value network on planes, uint8 (N, planes, size, size), and results (N,); returns it.

    `look(network)` is called after every so many updates, and after the last.
    """
    network = AlphaGoValue(layers, filters, planes.shape[1], 64)
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    network.hybridize(static_alloc=True)
    network(nd.zeros((1,) + planes.shape[1:]))
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': 1e-3, 'wd': 1e-4})
    for update in tqdm(range(updates), 'the value network', leave=False, disable=None):
        if update == updates * 3 // 4:
            trainer.set_learning_rate(2e-4)
        chosen = random.integers(0, len(planes), batch_size)
        x = nd.array(transform_planes(planes[chosen], random.integers(0, 8, batch_size)), dtype='float32')
        z = nd.array(results[chosen])
        with autograd.record():
            loss, = zero_losses(None, network(x), None, z)
        loss.backward()
        trainer.step(batch_size)
        if (update + 1) % every == 0 or update + 1 == updates:
            look(network)
    return network


def played_out(states, komi, games):
    """The share of games won by the player to move, (N,), if the built-in player plays each position out."""
    shares = np.array([ownership(state, komi, games, number)[1] for number, state in
                       enumerate(tqdm(states, f'played out {games} times', leave=False, disable=None))])
    return np.where(states[:, TO_MOVE] == BLACK, shares, 1 - shares)


def alphago_way(run, size=7, komi=8.5, layers=4, filters=32, imitation=600, rounds=100, games=64,
                learning_rate=0.02, positions=6000, updates=1000, matches=200):
    """Section 6.4.1 on a small board: imitation, policy gradient, value network.

    Parameters
    ----------
    run : Run
    size, komi : int, float
    layers, filters : int
        Of both networks.
    imitation : int
        Updates by the built-in player's moves.
    rounds, games, learning_rate : numbers
        Of `reinforce`.
    positions : int
        Games for the value network, a fifth of them to measure it.
    updates : int
        Of the value network.
    matches : int
        Games of the improved policy against the imitation that it began as.

    Returns
    -------
    dict
        'wins_against_imitation', the share of matches that the improved policy wins; the mean square of the error
        of the predicted result (0 or 1) on games not trained on: 'value_mse', of the value network,
        'constant_mse', of the best constant, and 'rollouts1_mse' and so on, of the share of 1, 10 and 100 games
        played out by the built-in player; 'value_accuracy', how often the network gives the winner more than one
        half; 'imitation_loss', and with which share of the games the pool was beaten first and last.
    """
    require(2, size=size)
    require(10, rounds=rounds, positions=positions)
    random = seed_everything(run.seed)
    first = AlphaGoPolicy(layers, filters, BOOK)
    first.initialize(mx.init.MSRAPrelu('avg', 0))
    first(nd.zeros((1, BOOK, size, size)))
    first.hybridize(static_alloc=True)
    loss = imitate(first, size, imitation, 0.02, random)
    run.say(f'imitation: loss {loss:.3f}')
    network = _copy(first)
    won = reinforce(network, [first], rounds, games, size, komi, learning_rate, random, run.say)
    results, _ = play_many((network, first), matches, size, komi, random, 'against the imitation')
    run.say(f'won {results.mean():.1%} of {matches} games against the imitation')
    states, outcomes = one_position_a_game(network, positions, size, komi, random)
    planes, held = zero_planes(states), positions // 5
    value = fit_value(planes[held:], outcomes[held:], layers, filters, updates, random)
    predicted = nd.sigmoid(value(nd.array(planes[:held], dtype='float32'))).asnumpy()[:, 0]
    guesses = {'value': predicted, 'constant': outcomes[held:].mean(),
               **{f'rollouts{number}': played_out(states[:held], komi, number) for number in (1, 10, 100)}}
    errors = {name: np.square(guess - outcomes[:held]).mean() for name, guess in guesses.items()}
    run.export_for(network, 0, np.zeros((1, BOOK, size, size)))  # the value network beside it
    with whole_arrays(run.folder / 'value.params') as beside:
        value.save_parameters(str(beside))
    run.save_figure(_curves(won, results.mean(), errors), 'learning')
    return {'wins_against_imitation': results.mean(), 'matches': matches,
            **{f'{name}_mse': error for name, error in errors.items()},
            'value_accuracy': ((predicted > 0.5) == (outcomes[:held] > 0.5)).mean(), 'imitation_loss': loss,
            'won_first_10_rounds': np.mean(won[:10]), 'won_last_10_rounds': np.mean(won[-10:])}


def _curves(won, share, errors):
    """Games won by rounds; and the errors of the value network and of what could take its place."""
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(11, 4))
    left.plot(np.arange(len(won) - 9) + 9, np.convolve(won, np.ones(10) / 10, 'valid'))
    left.set(xlabel='round', ylabel='games won against the pool',
             title=f'in the end wins {share:.0%} against the imitation')
    left.grid(alpha=0.3)
    bars = right.bar([name.replace('rollouts', 'rollouts\n') for name in errors], list(errors.values()))
    right.bar_label(bars, fmt='%.3f')
    right.set(title='squared error of the predicted result')
    figure.suptitle(figures.text('6.4.1 Policy gradient against a pool; value network', '策略梯度与对手池；价值网络'))
    return figure


def _copy(network):
    """The same network again, with parameters of its own."""
    arrays = [parameter.data().copy() for parameter in network.collect_params().values()]
    layers = len(network.body)
    copied = AlphaGoPolicy(layers, arrays[0].shape[0], arrays[0].shape[1])
    copied.initialize()
    copied(nd.zeros((1, arrays[0].shape[1], 7, 7)))
    for parameter, array in zip(copied.collect_params().values(), arrays):
        parameter.set_data(array)
    copied.hybridize(static_alloc=True)
    return copied


_ALPHAGOS_WAY = WorkedExample('6.4.1', 'Policy gradient and value network on 7x7', '7x7 上的策略梯度与价值网络',
                              function=alphago_way)

EXPERIMENTS = [_ALPHAGOS_WAY]


if __name__ == '__main__':
    run_script(_ALPHAGOS_WAY)
