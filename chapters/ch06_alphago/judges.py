"""Sections 6.2.4, 6.2.5, 6.4.1: what judges a position, how often it errs, and what a search is without it.

    python -m chapters.ch06_alphago.judges

On a small board. The games are those of the player of `data_tools.go.player`, a thousand of which take a second.
"""
import mxnet as mx
import numpy as np
from mxnet import nd

from chapters.ch04_cnn.board_drawing import draw_line
from chapters.ch06_alphago.mcts import Rollouts, Search, nothing_known, pass_probability
from chapters.ch06_alphago.networks import AlphaGoPolicy
from chapters.ch06_alphago.reinforce import fit_value, imitate, played_out
from chapters.ch06_alphago.zero import SmallGo, play_games, require, zero_planes
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.go.board import BLACK, MOVE_NUMBER, RECENT, SIZE, TO_MOVE, Position, to_move, vertex
from data_tools.go.features import BOOK, planes_of
from data_tools.go.player import choose

_BATCH = 256
_LOOKED_AT = 20  # updates between two looks at the errors


def games_of_the_player(games, size, komi, random, per_game=0):
    """Games of the built-in player against itself, to the end.

    Parameters
    ----------
    games, size, komi : numbers
    random : numpy.random.Generator
    per_game : int
        Positions of each, at random; 0: all.

    Returns
    -------
    states : int32 (N, STATE_LENGTH)
    results : float32 (N,)
        1 where the player to move won.
    numbers : int (N,)
        Of the game.
    """
    seed = random.integers(0, 2 ** 63, 1).astype(np.uint64)
    states, results, numbers = [], [], []
    for game in tqdm(range(games), 'games', leave=False, disable=None):
        position, played = Position(size), []
        while position.passes < 2 and position.move_number < 3 * size * size:
            played.append(position.state.copy())
            position.play(int(choose(position.state, seed)))
        if per_game:
            played = [played[place] for place in sorted(random.choice(len(played), per_game, replace=False))]
        black = position.score(komi) > 0
        states += played
        results += [black == (state[TO_MOVE] == BLACK) for state in played]
        numbers += [game] * len(played)
    return np.array(states), np.array(results, np.float32), np.array(numbers)


def chances(network, planes):
    """What a value network says, (N,), of planes (N, planes, size, size): how likely the player to move wins."""
    return np.concatenate([nd.sigmoid(network(nd.array(planes[start:start + _BATCH], dtype='float32'))).asnumpy()[:, 0]
                           for start in range(0, len(planes), _BATCH)])


# ---- 6.2.4 ----

def errors_by_move(run, size=7, komi=8.5, games=6000, held=300, layers=4, filters=32, updates=1000, parts=6):
    """Section 6.2.4: how far a value network and games played out are from the result, from opening to end.

    Parameters
    ----------
    run : Run
    size, komi : int, float
    games : int
        That the value network learns from, one position of each.
    held : int
        Games to measure by, four positions of each.
    layers, filters, updates : int
        Of the value network.
    parts : int
        Of a game, each with as many positions.

    Returns
    -------
    dict
        The mean square of the error of the result, 0 or 1, for 'value', 'rollouts1', 'rollouts10', 'rollouts100': over all
        positions, in the 'first' and in the 'last' part.
    """
    require(2, size=size, parts=parts)
    require(parts, held=held)
    random = seed_everything(run.seed)
    states, results, _ = games_of_the_player(games, size, komi, random, 1)
    network = fit_value(zero_planes(states), results, layers, filters, updates, random)
    states, results, _ = games_of_the_player(held, size, komi, random, 4)
    guesses = {'value': chances(network, zero_planes(states)),
               **{f'rollouts{number}': played_out(states, komi, number) for number in (1, 10, 100)}}
    figure, metrics = draw_errors(states[:, MOVE_NUMBER], guesses, results, parts)
    run.save_figure(figure, 'errors')
    return metrics


def draw_errors(moves, guesses, results, parts):
    """Errors by move number: the picture, and the figures that `errors_by_move` returns.

    Parameters
    ----------
    moves : int (N,)
        Numbers of the moves.
    guesses : dict of str to float (N,)
        Chances.
    results : float (N,)
    parts : int
    """
    figure, axis = figures.plt.subplots(figsize=(8, 4.4))
    groups = np.array_split(np.argsort(moves, kind='stable'), parts)
    metrics = {}
    for name, guess in guesses.items():
        squares = np.square(guess - results)
        errors = [float(squares[group].mean()) for group in groups]
        axis.plot([moves[group].mean() for group in groups], errors, marker='o',
                  label={'value': 'the value network'}.get(name, name.replace('rollouts', 'games played out: ')))
        metrics.update({f'{name}_mse': float(squares.mean()), f'{name}_mse_first': errors[0],
                        f'{name}_mse_last': errors[-1]})
    axis.axhline(0.25, color='gray', linestyle=':', label='always one half')
    axis.set(xlabel='move', ylabel='squared error of the result', ylim=(0, None),
             title=figures.text('6.2.4 Errors of value network and games played out', '价值网络与快速走子的误差'))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure, metrics


# ---- 6.2.5 ----

class PolicyAndValue:
    """What evaluates a search, of two networks; either may be missing.

    Parameters
    ----------
    policy : AlphaGoPolicy, optional
        Without it all moves are alike.
    value : AlphaGoValue, optional
        Without it every position is even.
    batch : int
        Positions that the networks take at once.
    """
    def __init__(self, policy=None, value=None, batch=64):
        self._policy, self._value, self._batch = policy, value, batch

    def __call__(self, states):
        """Policies (N, size * size + 1) and values (N,) from -1 to 1."""
        policies, values = nothing_known(states)
        if self._policy:
            policies[:, :-1] = nd.softmax(self._of(self._policy, planes_of(states, BOOK))).asnumpy()
            policies[:, -1] = pass_probability(states)
        if self._value:
            values = nd.tanh(self._of(self._value, zero_planes(states)) / 2).asnumpy()[:, 0]
        return policies, values

    def _of(self, network, planes):
        parts = []
        for start in range(0, len(planes), self._batch):
            part = planes[start:start + self._batch]
            rows = np.resize(part, (self._batch,) + part.shape[1:])  # one shape, compiled once
            parts.append(network(nd.array(rows, dtype='float32'))[:len(part)])
        return nd.concat(*parts, dim=0)


def search_without(run, size=7, komi=8.5, games=3000, layers=4, filters=32, imitation=400, updates=600, visits=48,
                   matches=100, positions=100):
    """Section 6.2.5: a search without the policy, without the value, and with games played out in its place; equal visits.

    Parameters
    ----------
    run : Run
    size, komi : int, float
    games, layers, filters, updates : int
        As in `errors_by_move`.
    imitation : int
        Updates of the policy by the built-in player's moves.
    visits : int
        Of every search.
    matches : int
        Games of each of the others against the search with both.
    positions : int
        To see where the visits go.

    Returns
    -------
    dict
        For 'both', 'without_policy', 'without_value', 'rollouts' (the policy, and a game played out for the value) and
        'nothing': 'wins_', the share of games won against 'both', half of those that nobody won; 'moves_', how many moves
        of the root share the visits (the exponential of their entropy); 'depth_', moves of the line that the search expects.
    """
    require(2, size=size, visits=visits)
    random = seed_everything(run.seed)
    policy = AlphaGoPolicy(layers, filters, BOOK)
    policy.initialize(mx.init.MSRAPrelu('avg', 0))
    policy(nd.zeros((1, BOOK, size, size)))
    policy.hybridize(static_alloc=True)
    imitate(policy, size, imitation, 0.02, random)
    states, results, _ = games_of_the_player(games, size, komi, random, 1)
    value = fit_value(zero_planes(states), results, layers, filters, updates, random)
    searches = {'both': PolicyAndValue(policy, value), 'without_policy': PolicyAndValue(None, value),
                'without_value': PolicyAndValue(policy, None), 'rollouts': _PolicyAndRollouts(policy, komi, run.seed),
                'nothing': nothing_known}
    states, _, _ = games_of_the_player(positions, size, komi, random, 1)
    metrics = {}
    for name, evaluate in searches.items():
        if name != 'both':
            wins, _ = play_games((evaluate, searches['both']), matches, SmallGo(size, komi), visits, noise=0, warm_moves=4,
                                 seed=run.seed, label=name)
            metrics[f'wins_{name}'] = wins / matches
            run.say(f'{name}: {wins / matches:.1%} of {matches} games won against the search with both')
        metrics[f'moves_{name}'], metrics[f'depth_{name}'] = _shape(evaluate, states, komi, visits)
    run.save_figure(_draw_without(metrics, list(searches), visits), 'searches')
    return metrics


class _PolicyAndRollouts:
    """The policy's moves, and the result of one game played out (6.2.4)."""
    def __init__(self, policy, komi, seed):
        self._policy, self._rollouts = PolicyAndValue(policy), Rollouts(komi, 1, seed)

    def __call__(self, states):
        return self._policy(states)[0], self._rollouts(states)[1]


def _shape(evaluate, states, komi, visits):
    """Of searches from some positions: the mean breadth at the root, and the mean length of the expected line."""
    breadths, depths = [], []
    for state in states:
        position = Position(int(state[SIZE]))
        position.state = state
        search = Search(evaluate, komi)
        search.start(position)
        search.run(visits)
        shares = search.visits[search.visits > 0] / search.total_visits
        breadths.append(np.exp(-(shares * np.log(shares)).sum()))
        depths.append(len(search.variation(search.choose())))
    return float(np.mean(breadths)), float(np.mean(depths))


def _draw_without(metrics, names, visits):
    """Bars: games won, breadth and depth of each search."""
    figure, axes = figures.plt.subplots(1, 3, figsize=(14, 3.8))
    words = [name.replace('_', '\n').replace('rollouts', 'policy and\na game\nplayed out') for name in names]
    for axis, kind, title in zip(axes, ('wins', 'moves', 'depth'), (
            'games won against "both", %', f'moves that share {visits} visits', 'moves of the expected line')):
        bars = axis.bar(words, [metrics.get(f'{kind}_{name}', 0.5) * (100 if kind == 'wins' else 1) for name in names],
                        color=[f'C{number}' for number in range(len(names))])
        axis.bar_label(bars, fmt='%.0f' if kind == 'wins' else '%.1f')
        axis.set_title(title)
        axis.margins(y=0.12)
        axis.tick_params(axis='x', labelsize=8)
    figure.suptitle(figures.text('6.2.5 A search without policy, without value', '没有策略网络或价值网络的搜索'))
    figure.tight_layout()
    return figure


# ---- 6.4.1 ----

def value_positions(run, size=7, komi=8.5, positions=3000, held=400, layers=4, filters=32, updates=600):
    """Section 6.4.1: a value network learns from one position a game, or from all of fewer games; and finds a losing move.

    Both learn from as many positions. Those of one game are nearly the same and have one result, so that a network that
    sees all of them learns games by heart.

    Parameters
    ----------
    run : Run
    size, komi : int, float
    positions : int
    held : int
        Games to measure by, one position of each.
    layers, filters, updates : int

    Returns
    -------
    dict
        'one_train_mse', 'one_validation_mse', 'all_train_mse', 'all_validation_mse': the mean square of the error of the
        result, 0 or 1; 'all_games', how many games gave all. Of a game not learnt from, 'losing_move', the number of the
        move, and the mean of the loser's chances at his turns, 'value_up_to_it' and 'value_after_it', as the network sees
        them, 'rollouts_up_to_it' and 'rollouts_after_it' as 200 games played out do.
    """
    require(4, size=size)
    random = seed_everything(run.seed)
    known = games_of_the_player(held, size, komi, random, 1)
    known = zero_planes(known[0]), known[1]
    metrics, curves, network = {}, {}, None
    few = max(2, round(positions / (1.5 * size * size)))
    for name, games, per_game in (('all', few, 0), ('one', positions, 1)):
        states, results, numbers = games_of_the_player(games, size, komi, random, per_game)
        if name == 'all':
            metrics['all_games'] = games
            positions = len(states)
        planes = zero_planes(states)
        curves[name] = []

        def look(network, seen=curves[name], learnt=(planes, results)):
            seen.append([np.square(chances(network, x) - z).mean() for x, z in (learnt, known)])
        network = fit_value(planes, results, layers, filters, updates, random, look=look, every=_LOOKED_AT)
        metrics[f'{name}_train_mse'], metrics[f'{name}_validation_mse'] = curves[name][-1]
    run.save_figure(_draw_positions(curves, metrics, positions), 'overfitting')
    figure, found = _losing_move(network, size, komi, random)
    run.save_figure(figure, 'losing-move')
    return {**metrics, **found}


def _draw_positions(curves, metrics, positions):
    figure, axis = figures.plt.subplots(figsize=(8, 4.4))
    for colour, (name, seen) in zip(('C3', 'C0'), curves.items()):
        games = metrics['all_games'] if name == 'all' else positions
        label = f'all positions of {games} games' if name == 'all' else f'one position of each of {games} games'
        at = np.arange(1, len(seen) + 1) * _LOOKED_AT  # the last perhaps earlier
        for place, (style, part) in enumerate((('--', 'training'), ('-', 'validation'))):
            axis.plot(at, [pair[place] for pair in seen], style, color=colour, label=f'{label}: {part}')
    axis.axhline(0.25, color='gray', linestyle=':')
    axis.set(xlabel='updates', ylabel='squared error of the result', ylim=(0, None),
             title=figures.text('6.4.1 Value network from all positions, or one a game', '价值网络：每局全部局面，或只取一个'))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    return figure


def _losing_move(network, size, komi, random):
    """Of a game that turned: what the value network and games played out say of every position, and where it was lost.

    A move that lost is one before which all still seemed well (6.4.1). Since a small network errs from move to move, it is
    the one that parts the loser's turns best: into those with a good chance, itself the last, and those with a bad one. Of
    twenty games the one that is parted most clearly is shown.
    """
    best = None
    for _ in range(20):
        states, results, _ = games_of_the_player(1, size, komi, random)
        turns, said = np.flatnonzero(results == 0), chances(network, zero_planes(states))
        for place in range(2, len(turns) - 3):
            gap = said[turns[:place + 1]].mean() - said[turns[place + 1:]].mean()
            if best is None or gap > best[0]:
                best = gap, place, turns, said, states
    _, place, turns, said, states = best
    chance = {'value': said, 'rollouts': played_out(states, komi, 200)}
    lost = int(turns[place])
    moves = [to_move(int(state[RECENT]), size) for state in states[1:]]
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(11, 4.6), gridspec_kw={'width_ratios': (1, 1.5)})
    before = Position(size)
    for move in moves[:lost]:
        before.play(move)
    draw_line(left, before, [moves[lost]])
    left.set_title(f'move {lost + 1}, {vertex(moves[lost], size)}, lost the game')
    for guess, words in zip(chance.values(), ('the value network', '200 games played out')):
        right.plot(turns, 100 * guess[turns], label=words)
    right.axvline(lost, color='C3', linestyle='--', label='the losing move')
    right.set(xlabel="moves played, at the loser's turns", ylabel="the loser's chance, %", ylim=(0, 100))
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    figure.suptitle(figures.text('6.4.1 The losing move, found by the value', '由价值网络找到的败着'))
    return figure, {'losing_move': lost + 1, **{
        f'{name}_{when}': float(guess[turns[part]].mean()) for name, guess in chance.items()
        for when, part in (('up_to_it', slice(0, place + 1)), ('after_it', slice(place + 1, None)))}}


_ERRORS = WorkedExample('6.2.4', 'Value network and games played out: errors from opening to end',
                        '价值网络与快速走子：从开局到终局的误差', function=errors_by_move)
_WITHOUT = WorkedExample('6.2.5', 'A search without policy, without value', '没有策略网络或价值网络的搜索',
                         function=search_without,
                         remark='Table 6-3 prints 10^123 nodes for the game tree of chess, where its own columns, 35 choices '
                                'in each of 70 moves, give 10^108.')
_POSITIONS = WorkedExample('6.4.1-positions', 'A value network from one position a game, or all; the losing move',
                           '价值网络：每局取一个局面或全部；败着', function=value_positions)

EXPERIMENTS = [_ERRORS, _WITHOUT, _POSITIONS]


if __name__ == '__main__':
    run_script(_WITHOUT)
