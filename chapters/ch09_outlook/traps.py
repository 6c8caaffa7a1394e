"""Section 9.3.1: traps for a network that plays Go: long chains whose eyes lie far away, and ladders.

    python -m chapters run 9.3.1

A network of n layers 3x3 sees n points far. What a point needs to know from farther away it can only guess: whether its
chain has two eyes at the other end, whether a ladder meets a stone across the board. Both suites are made here, the answers
known by construction (chains) or by reading to the end (ladders), and asked of small networks of several depths, trained
on such positions alone, and of the network that comes along, which was trained on games.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
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
from data_tools.go.symmetries import transform_planes, transform_policy

_SIZE, _KOMI = 19, 7.5
_LADDER_CAPTURE = 44  # among AlphaGo's planes
_OUTSIDE = 9  # liberties of a chain beside its eyes: the planes count them to 8, so that they say nothing of eyes
_NEAR, _FAR = 2, 14  # where a stone breaks a ladder, in points from its beginning


def long_chain(random, alive, length):
    """A white chain that winds through a black board: two eyes at its one end, or one, and outside liberties in any case.

    Black is one chain with two eyes of its own, so that with one eye white is dead, whoever moves.

    Parameters
    ----------
    random : numpy.random.Generator
    alive : bool
    length : int
        Stones of the tail, 1 to 40; it may turn out a little shorter.

    Returns
    -------
    position : Position
    tail : list of int
        Its stones, from the eyes outwards.
    eyes : list of int
        Where they are, the second also where it is none.
    """
    while True:
        board = np.full((_SIZE, _SIZE), BLACK)
        y, x = int(random.integers(3, 16)), 7
        board[y - 1:y + 2, 2:7] = WHITE
        eyes = [3 + _SIZE * y, 5 + _SIZE * y]
        if random.random() < 0.5:
            eyes.reverse()
        tail, down = [], random.random() < 0.5
        while len(tail) < length and x < 17:
            for dy, dx in [(0, 1)] * 3 + [(1 if down else -1, 0)] * int(random.integers(4, 14)):
                if 2 <= y + dy <= 16 and x < 17 and len(tail) < length:
                    tail.append(x + _SIZE * y)
                    y, x = y + dy, x + dx
            down = y < 9
        board.flat[tail] = WHITE
        empty = [0, _SIZE * _SIZE - 1, eyes[0]] + [eyes[1]] * alive
        around = [point for point in random.permutation(_SIZE * _SIZE) if board.flat[point] == BLACK
                  and any(board.flat[near] == WHITE for near in _neighbours(point))]
        wanted = len(empty) + _OUTSIDE + (not alive)  # as many liberties in all
        for point in around:
            if len(empty) < wanted and min(max(abs(point % _SIZE - other % _SIZE), abs(point // _SIZE - other // _SIZE))
                                           for other in empty) > 1:
                empty.append(int(point))
        board.flat[empty] = 0
        position = Position(_SIZE)
        position.set_up(np.flatnonzero(board == BLACK), np.flatnonzero(board == WHITE))
        position.to_play = int(random.choice([BLACK, WHITE]))
        chains = position.state[CHAIN + np.array([to_cell(move, _SIZE) for move in range(_SIZE * _SIZE)])]
        if all(len(np.unique(chains[board.ravel() == colour])) == 1 for colour in (BLACK, WHITE)) and len(empty) == wanted:
            return position, tail, eyes


def _neighbours(point):
    x, y = point % _SIZE, point // _SIZE
    return [nx + _SIZE * ny for nx, ny in ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1))
            if 0 <= nx < _SIZE and 0 <= ny < _SIZE]


def ladder(random, distance):
    """Black may start a ladder; a white stone may stand in its way.

    Parameters
    ----------
    random : numpy.random.Generator
    distance : int
        Of the white stone from the ladder's beginning, about; 0: there is none.

    Returns
    -------
    position : Position
        Black to move.
    move : int
        That starts it.
    works : bool
        As read to the end.
    """
    while True:
        x, y = (int(number) for number in random.integers(2, 18 - max(distance, 10), 2))
        at = {(0, 0): WHITE, (-1, 0): BLACK, (0, -1): BLACK, (-1, 1): BLACK}
        if distance:
            at[distance + int(random.integers(-1, 2)), distance + int(random.integers(-1, 2))] = WHITE
        for _ in range(6):  # stones that mean nothing, off its way
            dx, dy = random.integers(-15, 16, 2)
            if abs(dx - dy) > 5:
                at[int(dx), int(dy)] = int(random.choice([BLACK, WHITE]))
        stones = {x + dx + _SIZE * (y + dy): colour for (dx, dy), colour in at.items()
                  if 0 <= x + dx < _SIZE and 0 <= y + dy < _SIZE}
        position, move = Position(_SIZE), x + 1 + _SIZE * y
        position.set_up([point for point, colour in stones.items() if colour == BLACK],
                        [point for point, colour in stones.items() if colour == WHITE])
        works = bool(planes_of(position.state[None], ALPHAGO)[0, _LADDER_CAPTURE].flat[move])
        if works != bool(distance):  # else a stone that meant nothing meant something
            return position, move, works


def sees(planes, answers, asked, layers, filters, updates, random, batch_size=32):
    """Train a network of so many layers C3x3 BN ReLU, and C1x1, to answer yes or no at points of a board.

    Parameters
    ----------
    planes : uint8 (N, planes, 19, 19)
    answers, asked : float32 (N, 361)
        The answer; and 1 where it is asked for.
    layers, filters, updates : int
    random : numpy.random.Generator

    Returns
    -------
    HybridBlock
        Planes to logits (N, 361).
    """
    network = nn.HybridSequential()
    for _ in range(layers):
        network.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(), nn.Activation('relu'))
    network.add(nn.Conv2D(1, kernel_size=1), nn.Flatten())
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    network.hybridize(static_alloc=True)
    binary = gluon.loss.SigmoidBinaryCrossEntropyLoss()
    trainer = None
    for update in tqdm(range(updates), f'{layers} layers', leave=False, disable=None):
        chosen, symmetry = random.integers(0, len(planes), batch_size), random.integers(0, 8, batch_size)
        x = nd.array(transform_planes(planes[chosen], symmetry), dtype='float32')
        z, where = (nd.array(_turned(part[chosen], symmetry)) for part in (answers, asked))
        with autograd.record():
            loss = binary(network(x), z, where * (_SIZE ** 2 / where.sum(axis=1, keepdims=True)))
        loss.backward()
        trainer = trainer or gluon.Trainer(network.collect_params(), 'adam')
        trainer.set_learning_rate(4e-3 * min(1.0, 2 * (1 - update / updates)))
        trainer.step(batch_size)
    return network


def _turned(points, symmetry):
    """As `transform_policy`, of arrays (N, 361)."""
    return transform_policy(np.concatenate([points, np.zeros((len(points), 1), np.float32)], axis=1), symmetry, _SIZE)[:, :-1]


def _said(network, planes, batch=64):
    return np.concatenate([network(nd.array(planes[start:start + batch], dtype='float32')).asnumpy()
                           for start in range(0, len(planes), batch)])


def traps(run, network=POLICY, layers='2,4,8', filters=16, updates=400, positions=1500, held=400, engine_positions=60):
    """Section 9.3.1: long chains and ladders, asked of networks of several depths and of the one that comes along.

    Parameters
    ----------
    run : Run
    network : str
        Run folder of a policy network with its `ownership` head.
    layers : str
        Depths of the networks that are trained.
    filters, updates, positions : int
        Of their training, on each suite.
    held : int
        Positions of each suite to measure by.
    engine_positions : int
        Chains for the network that plays, of each length.

    Returns
    -------
    dict
        'chains_8planes_2layers_near' and so on: the share of stones whose life is told rightly, for stones up to that many
        points from the eyes ('near') and farther away ('far'); of ladders the same, by the distance of the stone that breaks
        them, half of them broken. The deepest also with 36 planes. 'chains_engine_short', 'chains_engine_long',
        'chains_played_out_long': tails of up to 15 stones and from 25 on, their last stone, as the head of the network that
        plays and as 100 games played out see it; 'ladders_policy_auc': how well its policy tells ladders that work (0.5: not
        at all).
    """
    try:
        depths = [int(number) for number in layers.split(',')]
    except ValueError:
        raise UserError(f'layers={layers}: give numbers, such as 2,4,8') from None
    require(1, layers=min(depths), filters=filters, updates=updates, positions=positions, engine_positions=engine_positions)
    require(20, held=held)
    random = seed_everything(run.seed)
    suites = {'chains': _chains(random, positions + held), 'ladders': _ladders(random, positions + held)}
    metrics, curves = {}, {}
    for suite, (states, answers, asked, distances) in suites.items():
        for planes, depth in [(BOOK, depth) for depth in depths] + [(TACTICS, depths[-1])]:
            x = planes_of(states, planes)
            learnt = sees(x[held:], answers[held:], asked[held:], depth, filters, updates, random)
            right = (_said(learnt, x[:held]) > 0) == (answers[:held] > 0)
            name, curve = f'{suite}_{planes}planes_{depth}layers', []
            for distance in range(1, _FAR + 2):
                curve.append(_share(right, answers[:held], asked[:held], distances[:held], distance, distance))
            curves[name] = curve
            metrics[f'{name}_near'] = _share(right, answers[:held], asked[:held], distances[:held], 1, depth)
            metrics[f'{name}_far'] = _share(right, answers[:held], asked[:held], distances[:held], depth + 2, _SIZE)
            run.say(f'{name}: {metrics[f"{name}_near"]:.1%} near, {metrics[f"{name}_far"]:.1%} far')
    metrics.update(_ask_engine(run, network, random, engine_positions, suites['ladders'], held))
    run.save_figure(_draw(curves, suites, depths), 'traps')
    return {name: value for name, value in metrics.items() if np.isfinite(value)}


def _chains(random, count):
    """(states, answers, asked, distances) of chains: the last (N, 361), how far a stone is from the farther eye."""
    states, answers, asked, distances = [], *np.zeros((3, count, _SIZE * _SIZE), np.float32)
    for number in tqdm(range(count), 'chains', leave=False, disable=None):
        alive = number % 2
        position, tail, eyes = long_chain(random, alive, int(random.integers(5, 40)))
        states.append(position.state)
        asked[number, tail], answers[number, tail] = 1, alive
        # an eye that is there or not tells; whether a stone sees the other is all the same
        distances[number, tail] = [max(abs(point % _SIZE - eyes[1] % _SIZE), abs(point // _SIZE - eyes[1] // _SIZE))
                                   for point in tail]
    return np.array(states), answers, asked, distances


def _ladders(random, count):
    """The same of ladders, asked at the move that starts them; distance 0 where nothing breaks them."""
    states, answers, asked, distances = [], *np.zeros((3, count, _SIZE * _SIZE), np.float32)
    for number in tqdm(range(count), 'ladders', leave=False, disable=None):
        distance = number % 2 * int(random.integers(_NEAR, _FAR + 1))
        position, move, works = ladder(random, distance)
        states.append(position.state)
        asked[number, move], answers[number, move], distances[number, move] = 1, works, distance
    return np.array(states), answers, asked, distances


def _share(right, answers, asked, distances, first, last):
    """The mean of the shares of right yes and right no, at distances from first to last; a yes without distance counts
    with all of them. nan where there is none."""
    there = (distances >= first) & (distances <= last) | (asked > 0) & (distances == 0)
    shares = [right[(asked > 0) & there & (answers == answer)] for answer in (0, 1)]
    return float(np.mean([share.mean() if len(share) else np.nan for share in shares]))


def _ask_engine(run, network, random, count, ladders, held):
    """What the network that plays says of new chains, by the owner of the last stone, and of ladders, by its policy."""
    engine = load_engine(network, say=lambda words: run.say(str(words)), komi=_KOMI, seed=run.seed)
    if not engine.head:
        raise UserError(f'{network}: has no head that judges positions; '
                        f'python -m chapters.ch07_policy_net.ownership trains one')
    metrics = {}
    for name, lengths in (('short', (5, 16)), ('long', (25, 40))):
        right = {'engine': [], 'played_out': []}
        for number in range(count):
            alive = number % 2
            position, tail, _ = long_chain(random, alive, int(random.integers(*lengths)))
            engine.set_up(position)
            right['engine'].append((engine.owners()[tail[-1]] < 0) == alive)
            right['played_out'].append((ownership(position.state, _KOMI, 100, number)[0][tail[-1]] < 0) == alive)
        metrics.update({f'chains_{who}_{name}': float(np.mean(shares)) for who, shares in right.items()})
    states, answers, asked, _ = (part[:held] for part in ladders)
    moves = asked.argmax(axis=1)
    liked = engine.policy(states)[np.arange(held), moves]
    metrics['ladders_policy_auc'] = float(roc_auc_score(answers[np.arange(held), moves], liked))
    return metrics


def _draw(curves, suites, depths):
    """A position of each suite; and the shares of right answers by distance."""
    figure, axes = figures.plt.subplots(2, 2, figsize=(12, 10), gridspec_kw={'width_ratios': (1, 1.3)})
    for (board, axis), (suite, (states, _, asked, distances)), title, far in zip(axes, suites.items(), (
            'does the end of this chain live?', 'does the ladder work?'), (
            'points from the eye that may be missing', 'points to the stone that breaks it')):
        shown = int(distances.max(axis=1)[:40].argmax())
        position = Position(_SIZE)
        position.state = states[shown]
        draw_board(board, position)
        point = int(distances[shown].argmax())
        board.add_patch(figures.plt.Circle((point % _SIZE, point // _SIZE), 0.5, fill=False, edgecolor='red', linewidth=2,
                                           zorder=6))
        board.set_title(title)
        for name, curve in curves.items():
            if name.startswith(suite):
                _, planes, layers = name.split('_')
                axis.plot(range(1, len(curve) + 1), [100 * share for share in curve], marker='o', markersize=3,
                          linestyle='--' if planes == f'{TACTICS}planes' else '-',
                          label=f'{layers.replace("layers", "")} layers, {planes.replace("planes", "")} planes')
        for number, depth in enumerate(depths):
            axis.axvline(depth + 0.5, color=f'C{number}', linestyle=':', linewidth=1)
        axis.axhline(50, color='gray', linewidth=0.8)
        axis.set(xlabel=far, ylabel='right, %', ylim=(30, 103))
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(figures.text('9.3.1 What lies beyond the reach of a network (dotted)', '超出网络视野（虚线）之外的棋'))
    figure.tight_layout()
    return figure


_TRAPS = WorkedExample('9.3.1', 'Traps on the board: long chains and ladders', '棋盘上的陷阱：长龙与征子', function=traps)

EXPERIMENTS = [_TRAPS]


if __name__ == '__main__':
    run_script(_TRAPS)
