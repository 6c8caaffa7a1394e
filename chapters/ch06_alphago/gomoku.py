"""Section 6.5: AlphaGo Zero's loop on another game: stones in a row (gomoku), as AlphaZero took up chess (6.1.3).

    python -m chapters.ch06_alphago.gomoku

The loop, the search and the network are those of Go: only the rules (`rules.py`), what the network sees and whom it is
measured against are here.
"""
import numpy as np
from numba import njit

from chapters.ch04_cnn.board_drawing import draw_board, draw_choices, draw_line
from chapters.ch06_alphago.mcts import Search, nothing_known
from chapters.ch06_alphago.rules import IN_A_ROW, RowPosition, advance, terminal_value
from chapters.ch06_alphago.zero import draw_strength, learn_by_search, one_game, play_games, require
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.go.board import BLACK, BORDER, COLOUR, EMPTY, PASSES, SIZE, STRIDE, TO_MOVE, to_cell, vertex
from data_tools.go.player import draw

PLANES = 3
_STEP = 4.0  # how much more a line with one stone more is worth
_EVEN = 64.0  # so large a difference is a likely win


def row_planes(states):
    """Own stones, the opponent's, and whether the player to move has black: uint8 (N, 3, size, size)."""
    size = int(states[0, SIZE])
    cells = np.array([to_cell(move, size) for move in range(size * size)])
    stones, own = states[:, COLOUR + cells], states[:, TO_MOVE, None]
    planes = np.stack([stones == own, stones == 3 - own, np.broadcast_to(own == BLACK, stones.shape)], axis=1)
    return planes.astype(np.uint8).reshape(-1, PLANES, size, size)


@njit(cache=True)
def _count_lines(state):
    """The difference of the two players' lines for the player to move: see `patterns`."""
    size, wanted, sums = np.int64(state[SIZE]), state[IN_A_ROW], np.zeros(3)
    for move in range(size * size):
        start = to_cell(move, size)
        for step in (1, STRIDE - 1, STRIDE, STRIDE + 1):
            stones = np.zeros(4, np.int64)
            for place in range(wanted):
                colour = state[COLOUR + start + step * place]
                stones[colour] += 1
                if colour == BORDER:
                    break
            for colour in (1, 2):
                if stones[colour] and stones[colour] + stones[EMPTY] == wanted:
                    sums[colour] += _STEP ** stones[colour]
    own = np.int64(state[TO_MOVE])
    return sums[own] - sums[3 - own]


def patterns(states):
    """Table 6-2's evaluation of this game, shapes on the board, as what evaluates a `Search`; all moves alike.

    Every line of k points that only one player has stones on is worth 4 to the power of their number: an open three lies
    on more such lines than one that is blocked at an end, and so is worth more without having been named.

    Parameters
    ----------
    states : int32 (N, STATE_LENGTH)

    Returns
    -------
    policies : (N, size * size + 1)
    values : (N,)
        From -1 to 1 for the player to move.
    """
    policies, _ = nothing_known(states)
    return policies, np.tanh(np.array([_count_lines(state) for state in states]) / _EVEN)


@njit(cache=True)
def _play_out(state, random):
    """Random moves to the end; 1, 0 or -1 for the player to move at first."""
    size, own = np.int64(state[SIZE]), state[TO_MOVE]
    empty = np.empty(size * size, np.int64)
    while state[PASSES] < 2:
        count = 0
        for move in range(size * size):
            if state[COLOUR + to_cell(move, size)] == EMPTY:
                empty[count] = to_cell(move, size)
                count += 1
        advance(state, empty[int(draw(random) * count)])
    value = terminal_value(state, 0.0)
    return value if state[TO_MOVE] == own else -value


class RandomGames:
    """What a plain tree search knows: all moves alike, and how one random game ends.

    Parameters
    ----------
    seed : int
    """
    def __init__(self, seed=0):
        self._random = np.random.default_rng([seed, 65]).integers(0, 2 ** 63, 1).astype(np.uint64)

    def __call__(self, states):
        """Policies (N, size * size + 1) and values (N,) from -1 to 1."""
        policies, _ = nothing_known(states)
        return policies, np.array([_play_out(state.copy(), self._random) for state in states])


class RandomMoves:
    """Random priors: a search of one visit plays by them, at random."""
    def __init__(self, seed=0):
        self._random = np.random.default_rng([seed, 66])

    def __call__(self, states):
        policies, values = nothing_known(states)
        return self._random.random(policies.shape), values


class Row:
    """Stones in a row as AlphaGo Zero's loop plays it; attributes and methods as of `zero.SmallGo`.

    Parameters
    ----------
    size : int
        Of the board.
    in_a_row : int
        That win.
    """
    komi, planes = 0.0, PLANES

    def __init__(self, size, in_a_row):
        self.size, self.in_a_row, self.longest = size, in_a_row, size * size

    def start(self):
        """The `RowPosition` that a game begins with."""
        return RowPosition(self.size, self.in_a_row)

    def planes_of(self, states):
        """What the network sees: `row_planes`."""
        return row_planes(states)

    def forbidden(self, position):
        """Moves that are not searched at the root: none."""
        return []

    def opponents(self, seed):
        """As of `zero.SmallGo`: by random moves, and two searches without a network."""
        return {'random_moves': (RandomMoves(seed), 1), 'random_games': (RandomGames(seed), None),
                'patterns': (patterns, None)}


def train_gomoku(run, size=6, in_a_row=4, generations=16, games=64, visits=64, batches=200, units=1, filters=32, every=2,
                 trials=40, matches=100):
    """AlphaGo Zero's loop on stones in a row; a game and its search, table 6-2's evaluation beside.

    Goes on from the run's checkpoint if there is one.

    Parameters
    ----------
    run : Run
    size, in_a_row : int
        Of the board; and how many stones win.
    generations, games, visits, batches, units, filters, every, trials, matches : int
        As for `zero.learn_by_search`.

    Returns
    -------
    (dict, list of dict)
        As of `zero.learn_by_search`. Opponents are, beside the untrained network and the first generation:
        'random_moves'; 'random_games', a search of as many visits by games played out at random; 'patterns', the same
        search by table 6-2's evaluation.
    """
    game_of = _checked(size, in_a_row)
    evaluate, metrics, history = learn_by_search(run, game_of, generations, games, visits, batches, units, filters, every,
                                                 trials, matches)
    run.save_figure(draw_strength(history, metrics, figures.text(
        f"6.5 AlphaGo Zero's loop on {in_a_row} in a row", f'AlphaGo Zero 的循环用于 {in_a_row} 子棋')), 'strength')
    moves = one_game(evaluate, game_of, visits, run.seed, 1.0)
    run.save_figure(draw_search(evaluate, game_of, moves, max(0, len(moves) - 5), 10 * visits), 'search')
    run.say('a game: ' + ' '.join(vertex(move, size) for move in moves))
    return metrics, history


def draw_search(evaluate, game_of, moves, after, visits):
    """A game; and, of the position after some of its moves: policy, visits, and table 6-2's evaluation of each move.

    Parameters
    ----------
    evaluate : callable
        As for `Search`.
    game_of : Row
    moves : list of int
    after, visits : int

    Returns
    -------
    matplotlib.figure.Figure
    """
    position = game_of.start()
    for move in moves[:after]:
        position.play(move)
    search = Search(evaluate, batch=1)
    search.start(position)
    search.run(visits)
    figure, axes = figures.plt.subplots(1, 4, figsize=(17, 4.9))
    draw_line(axes[0], game_of.start(), moves)
    axes[0].set_title(f'a game of {len(moves)} moves')
    draw_choices(axes[1], position, search.prior[:-1], 12)
    axes[1].set_title(f'after {after} of them: policy, %')
    draw_choices(axes[2], position, search.visits[:-1] / search.total_visits, 12)
    axes[2].set_title(f'search: visits, %; expects a win by {(1 + search.value()) / 2:.0%}')
    draw_board(axes[3], position)
    for move in np.flatnonzero(position.legal_moves()):
        following = position.state.copy()
        advance(following, to_cell(move, game_of.size))
        axes[3].text(move % game_of.size, move // game_of.size, f'{-_count_lines(following):.0f}', ha='center', va='center',
                     fontsize=8, bbox={'facecolor': '#b7dfb0', 'edgecolor': 'none', 'boxstyle': 'circle,pad=0.15'})
    axes[3].set_title("table 6-2: the player's lines, less the other's")
    figure.tight_layout()
    return figure


def temperatures(run, size=6, in_a_row=4, games=40, visits=64):
    """Section 6.4.2: moves by visits ** (1 / temperature): how different the games become, and how strong they stay.

    The search is that by table 6-2's evaluation, which needs no training and answers the same each time.

    Parameters
    ----------
    run : Run
    size, in_a_row : int
    games : int
        For each temperature: against itself; and again as many against temperature 0.
    visits : int

    Returns
    -------
    dict
        For 0, 0.5, 1, 2 and 'infinite', where any visited move is played: 'different_', the share of positions of the games
        that are different ones, and 'wins_', the share of games won against temperature 0, half of those that nobody won.
    """
    game_of = _checked(size, in_a_row)
    require(2, visits=visits, games=games)
    metrics, ways = {}, {'0': 0.0, '0.5': 0.5, '1': 1.0, '2': 2.0, 'infinite': np.inf}
    figure, axes = figures.plt.subplots(1, 4, figsize=(17, 4.6), gridspec_kw={'width_ratios': (1.4, 1, 1, 1)})
    for name, temperature in ways.items():
        _, (states, _, _) = play_games((patterns, patterns), games, game_of, visits, noise=0, warm_moves=game_of.longest,
                                       temperature=temperature, seed=run.seed, label=f'temperature {name}')
        metrics[f'different_{name}'] = len(np.unique(row_planes(states).reshape(len(states), -1), axis=0)) / len(states)
        wins, _ = play_games((patterns, _Again(patterns)), games, game_of, visits, noise=0, warm_moves=game_of.longest,
                             temperature=(temperature, 0.0), seed=run.seed, label=f'temperature {name} against 0')
        metrics[f'wins_{name}'] = wins / games
    for kind, words in (('different', 'different positions, %'), ('wins', 'games won against temperature 0, %')):
        axes[0].plot(list(ways), [100 * metrics[f'{kind}_{name}'] for name in ways], marker='o', label=words)
    axes[0].set(xlabel='temperature', ylim=(0, 103))
    axes[0].grid(alpha=0.3)
    axes[0].legend(fontsize=8)
    for axis, name in zip(axes[1:], ('0', '1', 'infinite')):
        draw_line(axis, game_of.start(), one_game(patterns, game_of, visits, run.seed, ways[name]))
        axis.set_title(f'temperature {name}')
    figure.suptitle(figures.text('6.4.2 Temperature: different games against strong ones', '温度：局面的多样与棋力'))
    figure.tight_layout()
    run.save_figure(figure, 'temperatures')
    return metrics


class _Again:
    """The same evaluator as another object: the second player then has a search of its own."""
    def __init__(self, evaluate):
        self._evaluate = evaluate

    def __call__(self, states):
        return self._evaluate(states)


def _checked(size, in_a_row):
    """The game of these settings, or a `UserError`."""
    require(3, in_a_row=in_a_row)
    if not in_a_row <= size <= 19:
        raise UserError(f'size={size}: give a number from in_a_row={in_a_row} to 19')
    return Row(size, in_a_row)


_GOMOKU = WorkedExample(
    '6.5', "Another game: AlphaGo Zero's loop on four in a row", '换一种棋：AlphaGo Zero 的循环用于四子棋',
    function=train_gomoku,
    remark='Table 6-2 names the evaluation that simple programs of this game have: its shapes. Here a search with such an '
           'evaluation is one of the opponents.')

_TEMPERATURES = WorkedExample('6.4.2-temperature', 'Temperature 0 against infinity: different games, or strong ones',
                              '温度从零到无穷：局面的多样与棋力', function=temperatures)

EXPERIMENTS = [_TEMPERATURES, _GOMOKU]


if __name__ == '__main__':
    run_script(_GOMOKU)
