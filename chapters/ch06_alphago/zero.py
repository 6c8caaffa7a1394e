"""Section 6.4.2: AlphaGo Zero's loop on a small board: search teaches a network, which guides the search.

    python -m chapters.ch06_alphago.zero

Departures from the paper, for one core: a 5x5 board; two residual units of 32 filters; instead of the last 8
positions the network sees the book's 8 planes and the colour of the player to move, which komi makes
necessary; nobody passes a game that is lost as it stands.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from chapters.ch04_cnn.board_drawing import draw_line
from chapters.ch06_alphago.losses import zero_losses
from chapters.ch06_alphago.mcts import Rollouts, Search
from chapters.ch06_alphago.networks import AlphaGoZero
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer, whole_arrays
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.go.board import BLACK, TO_MOVE, Position
from data_tools.go.features import BOOK, planes_of
from data_tools.go.symmetries import transform_planes, transform_policy

PLANES = BOOK + 1
OPPONENTS = ('untrained', 'first_generation')  # of every game; it names others
EXAMPLES = ('planes', 'policies', 'results')
KEPT = 6  # generations whose games are learnt from
WARM_MOVES = 4  # of a match: drawn, so that its games differ


def zero_planes(states):
    """The book's 8 planes and the colour of the player to move: uint8 (N, 9, size, size)."""
    planes = planes_of(states, BOOK)
    colour = np.broadcast_to((states[:, TO_MOVE] == BLACK)[:, None, None, None], planes[:, :1].shape)
    return np.concatenate([planes, colour.astype(np.uint8)], axis=1)


class SmallGo:
    """Go as the loop plays it; another game has the same attributes and methods (`gomoku.Row`).

    Parameters
    ----------
    size, komi : int, float

    Attributes
    ----------
    size, komi
        As given.
    planes : int
        That the network sees.
    longest : int
        Moves after which a game is counted as it stands.
    """
    def __init__(self, size, komi):
        self.size, self.komi, self.planes, self.longest = size, komi, PLANES, int(2.5 * size * size)

    def start(self):
        """The `Position` that a game begins with."""
        return Position(self.size)

    def planes_of(self, states):
        """What the network sees: uint8 (N, planes, size, size)."""
        return zero_planes(states)

    def forbidden(self, position):
        """Moves that are not searched at the root: nobody passes a game that is lost as it stands, or a young network
        would learn to give up early, and nothing else."""
        lead = position.score(self.komi)
        return [self.size ** 2] if (lead if position.to_play == BLACK else -lead) <= 0 else []

    def opponents(self, seed):
        """{name: (what evaluates, visits or None for as many as the network has)}, to measure strength against."""
        return {'rollouts': (Rollouts(self.komi, seed=seed), None)}


class TwoHeads:
    """A network of AlphaGo Zero's kind as an evaluator for `Search`.

    Parameters
    ----------
    network : AlphaGoZero, initialized
    batch : int
        Positions that the network takes at once.
    planes_of : callable
        What it sees of states.
    """
    def __init__(self, network, batch=64, planes_of=zero_planes):
        self._network, self._batch, self._planes_of = network, batch, planes_of
        network.hybridize(static_alloc=True, static_shape=True)

    def __call__(self, states):
        """Policies (N, size * size + 1) and values (N,) from -1 to 1."""
        planes = self._planes_of(states)
        policies, values = [], []
        for start in range(0, len(planes), self._batch):
            part = planes[start:start + self._batch]
            # two shapes, each compiled once
            size = self._batch if len(part) > self._batch // 4 else self._batch // 4
            logits, wins = self._network(nd.array(np.resize(part, (size,) + part.shape[1:]), dtype='float32'))
            policies.append(nd.softmax(logits).asnumpy()[:len(part)])
            values.append(nd.tanh(wins / 2).asnumpy()[:len(part), 0])  # 2 logistic(x) - 1
        return np.concatenate(policies), np.concatenate(values)


def play_games(evaluators, games, game_of, visits, noise=0.25, warm_moves=8, temperature=1.0, seed=0, label=''):
    """Games side by side, so that the leaves of all their searches fill the network's batches.

    Parameters
    ----------
    evaluators : tuple of two callables
        Of the first and of the second player; both the same for games against oneself. The first plays black
        in the games of even number, white in the others.
    games : int
    game_of : SmallGo, or another game
    visits : int, or a pair, one for each player
    noise : float
        As for `Search`.
    warm_moves : int
        For so many moves a move is drawn by its visits, at a temperature; later the most visited is played.
    temperature : float, or a pair
        1: in proportion to the visits; 0: the most visited.
    seed : int
    label : str
        In front of the progress bar.

    Returns
    -------
    wins : float
        Of the first player.
    examples : (states int32 (N, STATE_LENGTH), pi float32 (N, size * size + 1), z float32 (N,))
        Every position, the search's distribution, and 1 where its player to move won in the end, else 0.
    """
    same = evaluators[0] is evaluators[1]
    visits, temperature = (pair if isinstance(pair, tuple) else (pair, pair) for pair in (visits, temperature))
    positions = [game_of.start() for _ in range(games)]
    searches = [[Search(None, game_of.komi, batch=2, noise=noise, seed=[seed, game, player])
                 for player in range(1 if same else 2)] for game in range(games)]
    records = [[] for _ in range(games)]
    playing = list(range(games))
    wins = 0.0
    states, policies, results = [], [], []
    with tqdm(total=games, desc=label, unit=' games', leave=False, disable=None) as bar:
        while playing:
            for player in range(2):
                active = [(game, searches[game][0 if same else player]) for game in playing
                          if positions[game].passes < 2
                          and (positions[game].to_play == BLACK) == (player == game % 2)]
                _search_together(active, positions, evaluators[player], visits[player], game_of)
                for game, search in active:
                    position, counts = positions[game], search.visits
                    records[game].append((position.state.copy(), counts / counts.sum()))
                    position.play(search.choose(temperature[player] if position.move_number < warm_moves else 0.0))
            for game in playing[:]:
                position = positions[game]
                if position.passes < 2 and position.move_number < game_of.longest:
                    continue
                playing.remove(game)
                bar.update()
                score = position.score(game_of.komi)
                black = 1.0 if score > 0 else 0.0 if score < 0 else 0.5
                wins += black if game % 2 == 0 else 1 - black
                for state, pi in records[game]:
                    states.append(state)
                    policies.append(pi)
                    results.append(black if state[TO_MOVE] == BLACK else 1 - black)
                searches[game] = records[game] = None
    return wins, (np.array(states), np.array(policies, np.float32), np.array(results, np.float32))


def _search_together(active, positions, evaluate, visits, game_of):
    """Run the searches of several games to the end, their leaves evaluated together."""
    for game, search in active:
        search.start(positions[game])
    _evaluate_together([search for _, search in active if not search.expanded], evaluate, visits)
    for game, search in active:
        search.forbid(game_of.forbidden(positions[game]))
    waiting = [search for _, search in active]
    while waiting:
        _evaluate_together(waiting, evaluate, visits)
        waiting = [search for search in waiting if search.total_visits < visits]


def _evaluate_together(searches, evaluate, visits):
    batches = [search.collect(visits) for search in searches]
    sizes = [len(states) for states in batches]
    if not sum(sizes):
        return
    policies, values = evaluate(np.concatenate(batches))
    for search, size, end in zip(searches, sizes, np.cumsum(sizes)):
        if size:
            search.finish(policies[end - size:end], values[end - size:end])


def learn(network, trainer, examples, batches, random, batch_size=128):
    """Train on random examples, each in a random symmetry: the policy learns pi, the value z.

    Parameters
    ----------
    examples : (planes uint8 (N, planes, size, size), pi (N, size * size + 1), z (N,))

    Returns
    -------
    (float, float)
        Mean losses of the two heads.
    """
    planes, policies, results = examples
    totals = np.zeros(2)
    for _ in tqdm(range(batches), 'learning', leave=False, disable=None):
        chosen = random.integers(0, len(planes), batch_size)
        symmetry = random.integers(0, 8, batch_size)
        x = nd.array(transform_planes(planes[chosen], symmetry), dtype='float32')
        pi = nd.array(transform_policy(policies[chosen], symmetry, planes.shape[-1]))
        z = nd.array(results[chosen])
        with autograd.record():
            policy_loss, value_loss = zero_losses(*network(x), pi, z)
            loss = policy_loss + value_loss
        loss.backward()
        trainer.step(batch_size)
        totals += policy_loss.mean().asscalar(), value_loss.mean().asscalar()
    return tuple(totals / batches)


def require(least, **settings):
    """Raise a `UserError` if one of the settings is less than `least`."""
    for name, value in settings.items():
        if value < least:
            raise UserError(f'{name}={value}: give a number from {least} on')


def one_game(evaluate, game_of, visits, seed=0, temperature=0.0):
    """A game of a search against itself: the list of its moves, each the most visited, or drawn by visits."""
    position, moves = game_of.start(), []
    search = Search(evaluate, game_of.komi, batch=2, seed=seed)
    while position.passes < 2 and len(moves) < game_of.longest:
        search.start(position)
        search.run(1)
        search.forbid(game_of.forbidden(position))
        search.run(visits)
        moves.append(search.choose(temperature))
        position.play(moves[-1])
    return moves


def train_zero(run, size=5, komi=0.5, generations=12, games=64, visits=48, batches=200, units=2, filters=32,
               every=3, trials=40, matches=100):
    """AlphaGo Zero's loop: play, learn, again.

    Goes on from the run's checkpoint if there is one, to the same bits.

    Parameters
    ----------
    run : Run
    size, komi : int, float
        Of the board and the games. On 5x5 black, to move first, takes all if he makes no mistake: half a point
        only decides what is even.
    generations, games, visits, batches, units, filters, every, trials, matches : int
        As for `learn_by_search`.

    Returns
    -------
    (dict, list of dict)
        As of `learn_by_search`.
    """
    require(2, size=size)
    _, metrics, history = learn_by_search(run, SmallGo(size, komi), generations, games, visits, batches, units, filters,
                                          every, trials, matches)
    run.save_figure(draw_strength(history, metrics, figures.text('6.4.2 AlphaGo Zero on a small board',
                                                           '小棋盘上的 AlphaGo Zero')), 'strength')
    return metrics, history


def learn_by_search(run, game_of, generations, games, visits, batches, units, filters, every, trials, matches):
    """The loop, for any game; draws a game of each stage.

    Parameters
    ----------
    run : Run
    game_of : SmallGo, or another game
    generations : int
    games : int
        Of each generation against itself.
    visits : int
        Of the search, for every move, also in matches.
    batches : int
        Updates after each generation's games.
    units, filters : int
        Of the network.
    every, trials : int
        After so many generations so many games against each opponent, for the curve of strength.
    matches : int
        The same games of the last generation.

    Returns
    -------
    evaluate : TwoHeads
        With the network of the last generation.
    metrics : dict
        The shares of games won against each opponent, half of those that nobody won, with the number of games; the last
        losses; positions played.
    history : list of dict
        A row for every generation, the first under epoch 0.
    """
    require(2, visits=visits)
    seed_everything(run.seed)
    shape, others = (game_of.planes, game_of.size, game_of.size), game_of.opponents(run.seed)

    def new():
        network = AlphaGoZero(units, filters, game_of.planes, game_of.size, 32, prefix='zero_')
        network.initialize(mx.init.MSRAPrelu('avg', 0))
        network(nd.zeros((2,) + shape))
        return network
    network = new()
    trainer = gluon.Trainer(network.collect_params(), 'sgd',
                            {'learning_rate': 0.02, 'momentum': 0.9, 'wd': 1e-4}, kvstore=None)
    evaluate = TwoHeads(network, planes_of=game_of.planes_of)
    buffer, generation = [], 0  # what the last generations have played, and how many there were
    def save_generation(number):
        with whole_arrays(run.folder / f'generation-{number}.params') as beside:
            network.save_parameters(str(beside))
    if not run.checkpoint.exists:
        save_generation(0)

    def of_generation(number):
        loaded = new()
        loaded.load_parameters(str(run.folder / f'generation-{number}.params'))
        return TwoHeads(loaded, planes_of=game_of.planes_of)

    def against(opponent, games, generation):
        """The share of games won, with the same number of visits unless the game says otherwise."""
        other, theirs = others[opponent] if opponent in others else (of_generation(OPPONENTS.index(opponent)), None)
        wins, _ = play_games((evaluate, other), games, game_of, (visits, theirs or visits), noise=0, warm_moves=WARM_MOVES,
                             seed=run.seed * 1000 + 500 + generation,
                             label=f'generation {generation} against {opponent}')
        return wins / games

    def train_generation(epoch, _):
        nonlocal generation
        generation = epoch + 1
        _, (states, policies, results) = play_games(
            (evaluate, evaluate), games, game_of, visits, seed=run.seed * 1000 + generation,
            label=f'generation {generation}')
        buffer.append((game_of.planes_of(states), policies, results))
        del buffer[:-KEPT]
        rate = 0.005 if generation > generations * 3 // 4 else 0.02
        trainer.set_learning_rate(rate)
        losses = learn(network, trainer, tuple(map(np.concatenate, zip(*buffer))), batches,
                       np.random.default_rng([run.seed, generation]))
        if generation in (1, generations // 2):
            save_generation(generation)
        return {'samples': len(states), 'learning_rate': rate, 'policy_loss': losses[0], 'value_loss': losses[1],
                'positions': len(states),
                'black_wins': float(results[states[:, TO_MOVE] == BLACK].mean())}  # by positions

    def measure():
        tried = generation % every == 0 or generation == generations
        return {f'against_{opponent}': against(opponent, trials, generation) if tried else ''
                for opponent in (*OPPONENTS, *others)}

    def arrays():
        return {**model_arrays(network),
                **{f'optimizer:{name}': array for name, array in optimizer_arrays(trainer._updaters[0]).items()},
                **{f'{kind}:{number}': nd.array(array, dtype=array.dtype)
                   for number, part in enumerate(buffer) for kind, array in zip(EXAMPLES, part)}}

    def restore(kept, epochs):
        restore_model(kept, network)
        restore_optimizer(kept, trainer._updaters[0],
                          {index: parameter.data() for index, parameter in enumerate(trainer._params)})
        buffer[:] = [tuple(kept[f'{kind}:{number}'].asnumpy() for kind in EXAMPLES)
                     for number in range(min(KEPT, epochs))]

    history = train_epochs(run, generations, train_generation, measure, arrays, restore)
    run.export_for(network, generations, np.zeros((1,) + shape))
    metrics = {f'wins_against_{opponent}': against(opponent, matches, generations + 1)
               for opponent in (*OPPONENTS, *others)}
    run.save_figure(_draw_stages({**{number: of_generation(number) for number in (0, generations // 2)},
                                  generations: evaluate}, game_of, visits), 'games')
    last = history[-1]
    return evaluate, dict(metrics, matches=matches, policy_loss=last['policy_loss'], value_loss=last['value_loss'],
                          positions=sum(row['positions'] for row in history)), history


def _draw_stages(evaluators, game_of, visits):
    """A game of each stage against itself, as figure 6-4 has it: {generations learnt: what evaluates}."""
    figure, axes = figures.plt.subplots(1, len(evaluators), figsize=(4.4 * len(evaluators), 4.8), squeeze=False)
    for axis, (number, evaluate) in zip(axes[0], evaluators.items()):
        moves = one_game(evaluate, game_of, visits)
        draw_line(axis, game_of.start(), moves)
        axis.set_title(f'{number} generations, {len(moves)} moves' if number else f'untrained, {len(moves)} moves')
    figure.tight_layout()
    return figure


def draw_strength(history, metrics, title):
    """Strength and losses by generations."""
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(11, 4))
    opponents = [name[len('against_'):] for name in history[-1] if name.startswith('against_')]
    tried = [row for row in history if row[f'against_{opponents[0]}'] != '']
    for opponent in opponents:
        share = metrics[f'wins_against_{opponent}']
        left.plot([row['epoch'] + 1 for row in tried], [100 * row[f'against_{opponent}'] for row in tried], marker='o',
                  label=f'against {opponent.replace("_", " ")}; at the end {share:.0%} of {metrics["matches"]}')
    left.set(xlabel='generation', ylabel='games won, %', ylim=(0, 103))
    for name in ('policy_loss', 'value_loss'):
        right.plot([row['epoch'] + 1 for row in history], [row[name] for row in history],
                   label=name.replace('_', ' '))
    right.set(xlabel='generation', ylim=(0, None))
    for axis in (left, right):
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(title)
    return figure


_ZERO = WorkedExample('6.4.2', 'AlphaGo Zero on 5x5', '5x5 上的 AlphaGo Zero', function=train_zero)

EXPERIMENTS = [_ZERO]


if __name__ == '__main__':
    run_script(_ZERO)
