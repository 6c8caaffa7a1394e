"""Section 9.3.1: traps for a network that plays Go: long chains whose eyes lie far away, sekis, ladders, and mirror Go.

    python -m chapters run 9.3.1

A network of n layers 3x3 sees n points far. What a point would have to know from farther away it can only guess: whether
its chain has two eyes at the other end, whether a ladder meets a stone across the board. Answers are known by construction
(chains, sekis) or by reading to the end (ladders); asked are small networks, trained on such positions alone, and the
network that comes along, which was trained on games.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from scipy.ndimage import binary_dilation
from sklearn.metrics import roc_auc_score

from chapters.ch04_cnn.board_drawing import draw_board
from chapters.ch06_alphago.zero import require
from chapters.ch07_policy_net import POLICY
from chapters.ch07_policy_net.engine import load_engine
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.go.board import BLACK, CHAIN, WHITE, Position, to_cell
from data_tools.go.features import ALPHAGO, BOOK, TACTICS, planes_of
from data_tools.go.player import ownership
from data_tools.go.symmetries import transform_planes

_SMALL, _KOMI = 13, 7.5  # board of the networks that are trained here; the one that comes along plays on 19x19
_LADDER_CAPTURE = 44  # among AlphaGo's planes
_LONG = 25  # stones of a long tail, at least
_WORDS = {  # of the suites: what is asked, and how far away the answer lies
    'chains': ('does the stone live?', 'points to the eye that may be missing'),
    'ladders': ('does the ladder work?', 'points to the stone in the way'),
    'sekis': ('does the stone live, in seki?', 'points to the eye that may be missing')}
_OUTSIDE = 9  # liberties of a chain beside its eyes: the planes count them to 8, so that they say nothing of eyes


def long_chain(random, alive, length, size=19):
    """A white chain that winds through a black board: two eyes at its one end, or one; its outside liberties say nothing of it.

    Black is one chain with two eyes of its own, so that with one eye white is dead, whoever moves. The chain's tail has
    `length` stones at most: it ends where the board does.

    Returns
    -------
    position : Position
    tail : list of int
        Its stones, from the eyes outwards.
    eyes : list of int
        Where they are, the second also where it is none.
    """
    while True:
        board = np.full((size, size), BLACK)
        y, x = int(random.integers(3, size - 3)), 7
        board[y - 1:y + 2, 2:7] = WHITE
        eyes = [3 + size * y, 5 + size * y]
        if random.random() < 0.5:
            eyes.reverse()
        tail = _tail(random, y, x, length, size)
        board.flat[tail] = WHITE
        kept = [0, size * size - 1, *eyes]  # black's eyes in the corners
        outside: list = []
        for point in random.permutation(np.flatnonzero(binary_dilation(board == WHITE) & (board == BLACK))):
            if len(outside) < _OUTSIDE and _away(np.array(kept + outside), point, size).min() > 1:
                outside.append(point)
        board.flat[kept[:2] + outside + eyes[:1 + alive]] = 0
        position = _set_up(random, board)
        if _chains(position, board) == (1, 1) and len(outside) == _OUTSIDE:
            return position, tail, eyes


def seki_with_tail(random, alive, length, size=19):
    """A white chain around a black one that has an eye, both on one shared liberty: white has an eye, too, and both live, or
    a liberty to the outside in its place, and white is dead.

    Either way each chain has as many liberties; white's tail winds away from where the difference is. Black around it all has
    eyes in the corners.

    Returns
    -------
    position : Position
    tail : list of int
        Its stones, from the eye outwards.
    eye : int
        Where it is, also where it is none.
    """
    while True:
        board = np.full((size, size), BLACK)
        y = int(random.integers(6, size - 3))
        board[y - 2:y + 3, 1:7] = WHITE      # around
        board[y - 1:y + 2, 2:5] = BLACK      # black's nine points, the middle its eye
        board[y - 4:y - 2, 2:5] = WHITE      # around white's eye
        tail = _tail(random, y, 7, length, size)
        board.flat[tail] = WHITE
        board[[y, y], [3, 5]] = 0            # black's eye, the shared liberty
        if alive:                            # white's eye; and black's wall, too, has as many liberties as below
            board[y - 3, [0, 3]] = 0
        else:                                # the liberty to the outside
            board[y - 3, 1] = 0
        board.flat[[0, size * size - 1]] = 0
        position = _set_up(random, board)
        if _chains(position, board) == (2, 1):
            return position, tail, 3 + size * (y - 3)


def _tail(random, y, x, length, size):
    """Points from one on, in turns to the right and up or down, until there are `length` or the board ends."""
    tail: list = []
    down = random.random() < 0.5
    while len(tail) < length and x < size - 2:
        for dy, dx in [(0, 1)] * 3 + [(1 if down else -1, 0)] * int(random.integers(4, 14)):
            if 2 <= y + dy <= size - 3 and x < size - 2 and len(tail) < length:
                tail.append(x + size * y)
                y, x = y + dy, x + dx
        down = y < size // 2
    return tail


def _set_up(random, board):
    """The position of a board, with either to move."""
    position = Position(len(board))
    position.set_up(np.flatnonzero(board == BLACK), np.flatnonzero(board == WHITE))
    position.to_play = int(random.choice([BLACK, WHITE]))
    return position


def _chains(position, board):
    """How many there are, of black and of white."""
    chains = position.state[CHAIN + np.array([to_cell(move, len(board)) for move in range(board.size)])]
    return tuple(len(np.unique(chains[board.ravel() == colour])) for colour in (BLACK, WHITE))


def _away(points, point, size):
    """How far points are from one, in layers 3x3: the larger of rows and columns."""
    return np.maximum(abs(points % size - point % size), abs(points // size - point // size))


def ladder(random, broken, size=19):
    """Black may start a ladder, anywhere; if it is broken, a white stone stands in its way.

    Returns
    -------
    position : Position
        Black to move.
    move : int
        That starts the ladder: it works, as read to the end, unless it is broken.
    distance : int
        From it to the stone in the way, the larger of rows and columns; 0 where there is none.
    """
    while True:
        x, y = (int(number) for number in random.integers(1, size - 5, 2))
        at = {(0, 0): WHITE, (-1, 0): BLACK, (0, -1): BLACK, (-1, 1): BLACK}
        away = int(random.integers(2, size - 1 - max(x, y)))
        breaker = away + int(random.integers(-1, 2)), away + int(random.integers(-1, 2))
        if broken:
            at[breaker] = WHITE
        for _ in range(6):  # stones that mean nothing, off its way
            dx, dy = random.integers(-size, size, 2)
            if abs(dx - dy) > 5:
                at[int(dx), int(dy)] = int(random.choice([BLACK, WHITE]))
        stones = {x + dx + size * (y + dy): colour for (dx, dy), colour in at.items()
                  if 0 <= x + dx < size and 0 <= y + dy < size}
        position, move = Position(size), x + 1 + size * y
        position.set_up([point for point, colour in stones.items() if colour == BLACK],
                        [point for point, colour in stones.items() if colour == WHITE])
        works = bool(planes_of(position.state[None], ALPHAGO)[0, _LADDER_CAPTURE].flat[move])
        if works != broken:  # else a stone that meant nothing meant something, or the other way round
            return position, move, broken * max(abs(breaker[0] - 1), abs(breaker[1]))


def mirror_game(engine, mirrors, size=_SMALL):
    """A game of the engine as black against itself, or against one that copies each of its moves through the middle.

    Parameters
    ----------
    engine : chapters.ch07_policy_net.engine.Engine
    mirrors : bool
        White copies while that is legal.
    size : int

    Returns
    -------
    won : bool
        By black.
    middle : int
        With which move it took the middle, after which white can lose by copying; 0: never.
    """
    engine.clear(size)
    middle = 0
    while engine.position.passes < 2 and len(engine.moves) < 3 * size * size:
        colour = engine.position.to_play
        move = engine.generate(colour)
        if mirrors and colour == WHITE:
            last = engine.moves[-1][1]
            copy = last if last == size * size else size * size - 1 - last
            move = copy if engine.position.is_legal(copy) else move
        if move is None:
            return colour == WHITE, middle
        engine.play(colour, move)
        if move == size * size // 2 and colour == BLACK and not middle:
            middle = len(engine.moves)
    return engine.score() > 0, middle


def learn(planes, answers, asked, layers, filters, updates, random, batch_size=32):
    """A network of so many layers C3x3 BN ReLU, and C1x1, that has learnt to answer yes or no at points of a board.

    `planes` (N, planes, size, size); `answers` (N, size * size), and `asked`, 1 where an answer is asked for.

    Returns
    -------
    HybridBlock
        Planes to logits (N, size * size).
    """
    network = nn.HybridSequential()
    for _ in range(layers):
        network.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(), nn.Activation('relu'))
    network.add(nn.Conv2D(1, kernel_size=1), nn.Flatten())
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    network.hybridize(static_alloc=True)
    binary = gluon.loss.SigmoidBinaryCrossEntropyLoss()
    trainer = gluon.Trainer(network.collect_params(), 'adam')
    for update in tqdm(range(updates), f'{layers} layers', leave=False, disable=None):
        chosen, symmetry = random.integers(0, len(planes), batch_size), random.integers(0, 8, batch_size)
        x = nd.array(transform_planes(planes[chosen], symmetry), dtype='float32')
        z, where = (nd.array(transform_planes(part[chosen].reshape(-1, 1, *x.shape[2:]), symmetry).reshape(batch_size, -1))
                    for part in (answers, asked))
        with autograd.record():
            loss = binary(network(x), z, where * (where.shape[1] / nd.maximum(1, where.sum(axis=1, keepdims=True))))
        loss.backward()
        trainer.set_learning_rate(4e-3 * min(1.0, 2 * (1 - update / updates)))
        trainer.step(batch_size)
    return network


def traps(run, network=POLICY, layers='2,4', filters=16, updates=400, positions=1500, held=400, engine_positions=60,
          mirror_games=20):
    """Section 9.3.1: long chains, sekis and ladders, asked of networks of several depths and of the one that comes along.

    Parameters
    ----------
    run : Run
    network : str
        Run folder of a policy network with its `ownership` head.
    layers : str
        Depths of the networks that are trained.
    filters, updates, positions : int
        Of their training, on each suite, at points that are near enough to be known.
    held : int
        Positions of each suite to measure by.
    engine_positions : int
        Long chains, and four times as many ladders, for the network that plays.
    mirror_games : int
        On 13x13, against a white that copies, and as many against itself.

    Returns
    -------
    dict
        'chains_8planes_2layers_near', '_far' and so on, of 'sekis' and 'ladders', too: the mean of the shares of right answers
        where the answer is yes and where it is no, within reach and beyond; the deepest network also with 36 planes. Of the
        network that plays, and chains with tails of 25 to 39 stones: 'chains_head_eyes_alive', '_dead',
        'chains_head_end_alive', '_dead', whose the stone between the eyes and the last one will be as its head says, 1 white's,
        -1 black's; 'chains_played_out', the share of last stones that 100 games played out judge rightly.
        'ladders_policy_auc': how well its policy tells ladders that work; 0.5: not at all. 'mirror_won' and 'itself_won', the
        share of games that it wins as black against a white that copies it, and against itself; 'mirror_middle', in which
        share of the former it took the middle in the first 30 moves.
    """
    try:
        depths = [int(number) for number in layers.split(',')]
    except ValueError:
        raise UserError(f'layers={layers}: give numbers, such as 2,4') from None
    require(1, layers=min(depths))
    require(20, held=held, engine_positions=engine_positions)
    random, engine = seed_everything(run.seed), load_engine(network, say=lambda words: None, komi=_KOMI, seed=run.seed)
    judge = engine.judge
    suites = {name: _suite(name, random, positions + held) for name in _WORDS}
    metrics: dict = {}
    curves: dict = {name: {} for name in suites}
    for suite, (states, answers, asked, distances) in suites.items():
        for planes, depth in [(BOOK, depth) for depth in depths] + [(TACTICS, depths[-1])]:
            x, name = planes_of(states, planes), f'{suite}_{planes}planes_{depth}layers'
            learnt = learn(x[held:], answers[held:], (asked * (distances <= depth))[held:], depth, filters, updates, random)
            said = np.concatenate([learnt(nd.array(some, dtype='float32')).asnumpy() for some in np.array_split(x[:held], 8)])
            of = (said > 0) == (answers[:held] > 0), answers[:held], asked[:held], distances[:held]
            curves[suite][planes, depth] = [_share(*of, distance, distance) for distance in range(1, _SMALL - 2)]
            metrics[f'{name}_near'], metrics[f'{name}_far'] = _share(*of, 1, depth), _share(*of, depth + 1, _SMALL)
            run.say(f'{name}: {metrics[f"{name}_near"]:.1%} near, {metrics[f"{name}_far"]:.1%} far')
    run.save_figure(_draw(curves, suites, depths), 'traps')
    return {**metrics, **_ask_engine(engine.policy, judge, random, engine_positions), **_play_mirrors(engine, mirror_games)}


def _suite(name, random, count):
    """(states, answers, asked, distances), the last three (N, size * size): of chains and sekis, at each stone, the distance to
    the eye that may be missing; of ladders, at the move that starts them, to the stone in the way, 0 where there is none."""
    states, points = [], np.arange(_SMALL * _SMALL)
    answers, asked, distances = np.zeros((3, count, len(points)), np.float32)
    for number in tqdm(range(count), name, leave=False, disable=None):
        yes = bool(number % 2)
        if name == 'ladders':
            position, move, away = ladder(random, not yes, _SMALL)
            where = points == move
        else:
            length = int(random.integers(3, 20))
            if name == 'chains':
                position, _, (_, eye) = long_chain(random, yes, length, _SMALL)
            else:
                position, _, eye = seki_with_tail(random, yes, length, _SMALL)
            away = _away(points, eye, _SMALL)
            where = (position.board.ravel() == WHITE) & (away > 0)
        states.append(position.state)
        asked[number], answers[number], distances[number] = where, where * yes, where * away
    return np.array(states), answers, asked, distances


def _share(right, answers, asked, distances, first, last):
    """The mean of the shares of right yes and right no, at distances from first to last; a ladder without a stone in its way
    counts at all of them. nan where there is none."""
    there = (asked > 0) & ((distances >= first) & (distances <= last) | (distances == 0))
    shares = [right[there & (answers == answer)] for answer in (0, 1)]
    return float(np.mean([share.mean() if len(share) else np.nan for share in shares]))


def _ask_engine(policy, judge, random, count):
    """What the network that plays says of long chains, by its head, and of ladders, by its policy."""
    heads: dict = {name: [] for name in ('eyes_dead', 'eyes_alive', 'end_dead', 'end_alive')}
    played_out: list = []
    while len(played_out) < count:
        alive = len(played_out) % 2
        position, tail, eyes = long_chain(random, alive, int(random.integers(_LONG, 40)))
        if len(tail) >= _LONG:
            white = -1 if position.to_play == BLACK else 1
            owned = white * judge.answers(position.state[None])[1][0]
            played = ownership(position.state, _KOMI, 100, len(tail))[0]
            for where, stone in (('eyes', sum(eyes) // 2), ('end', tail[-1])):
                heads[f'{where}_{("dead", "alive")[alive]}'].append(owned[stone])
            played_out.append((played[tail[-1]] < 0) == alive)
    metrics = {f'chains_head_{name}': float(np.mean(owned)) for name, owned in heads.items()}
    metrics['chains_played_out'] = float(np.mean(played_out))
    asked = [ladder(random, bool(number % 2)) for number in range(4 * count)]
    liked = policy(np.array([position.state for position, _, _ in asked]))
    metrics['ladders_policy_auc'] = float(roc_auc_score(
        [distance == 0 for _, _, distance in asked], [chances[move] for chances, (_, move, _) in zip(liked, asked)]))
    return metrics


def _play_mirrors(engine, games):
    """What comes of games by the network alone, its moves drawn for variety."""
    engine.temperature = 0.7
    results: dict = {True: [], False: []}
    for mirrors, result in results.items():
        for number in tqdm(range(games), 'games', leave=False, disable=None):
            engine.seed = number
            result.append(mirror_game(engine, mirrors))
    won, middle = np.array(results[True]).T
    return {'mirror_won': float(won.mean()), 'mirror_middle': float(((middle > 0) & (middle <= 30)).mean()),
            'itself_won': float(np.mean([won for won, _ in results[False]]))}


def _draw(curves, suites, depths):
    """A position of each suite, the point in question red; and the shares of right answers by distance."""
    figure, axes = figures.plt.subplots(3, 2, figsize=(10, 12.6), gridspec_kw={'width_ratios': (1, 1.3)})
    for (board, axis), (suite, (states, _, _, distances)) in zip(axes, suites.items()):
        title, far = _WORDS[suite]
        shown, position = int(distances.max(axis=1)[:40].argmax()), Position(_SMALL)
        position.state = states[shown]
        draw_board(board, position)
        y, x = divmod(int(distances[shown].argmax()), _SMALL)
        board.add_patch(figures.plt.Circle((x, y), 0.5, fill=False, edgecolor='red', linewidth=2, zorder=6))
        board.set_title(title)
        for planes, depth in curves[suite]:
            shares = curves[suite][planes, depth]
            axis.plot(range(1, len(shares) + 1), 100 * np.array(shares), marker='o', markersize=3,
                      linestyle='-' if planes == BOOK else '--', label=f'{planes} planes, {depth} layers')
        for number, depth in enumerate(depths):
            axis.axvline(depth + 0.5, color=f'C{number}', linestyle=':', linewidth=1)
        axis.set(xlabel=far, ylabel='right, %', ylim=(30, 103))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(figures.text('9.3.1 Beyond the reach of a network (dotted)', '超出网络视野（虚线）之外的棋'))
    figure.tight_layout()
    return figure


EXPERIMENTS = [
    WorkedExample('9.3.1', 'Traps on the board: long chains, sekis and ladders', '棋盘上的陷阱：长龙、双活与征子',
                  function=traps),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
