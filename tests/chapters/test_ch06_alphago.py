"""Chapter 6: search finds forced answers and grows with visits; networks and learning do what they say."""
import csv

import numpy as np
import pytest

import chapters
from chapters.ch06_alphago.mcts import Rollouts, Search, nothing_known
from chapters.kit.perform import run_experiment
from chapters.kit.trained.export import trained_graph
from data_tools.errors import UserError
from data_tools.go.board import BLACK, LOST, SIZE, WHITE, Position, move_of, position_hash
from tests.chapters.go_proofs import proves


def position_of(text, to_play=BLACK):
    """A `Position` from rows of `.`, `X` (black) and `O` (white)."""
    rows = [row.split() for row in text.strip().splitlines()]
    size = len(rows)
    position = Position(size)
    position.set_up(black=[x + size * y for y in range(size) for x in range(size) if rows[y][x] == 'X'],
                    white=[x + size * y for y in range(size) for x in range(size) if rows[y][x] == 'O'])
    position.to_play = to_play
    return position


LADDER = '''
    . . . . . . .
    . . . . . . .
    . . . . . . .
    . . . . . . .
    . . X X . . .
    . X O O X . .
    . . X . . . .'''


def search_of(position, visits, komi=0.5, seed=0):
    search = Search(Rollouts(komi, 2, seed), komi, batch=4, seed=seed)
    search.start(position)
    search.run(visits)
    return search


def test_takes_what_decides_the_game():
    """All of white's stones in the middle are in atari at once: black must take, or lose everything."""
    position = position_of("""
        . X X X X X .
        X O O O O O X
        X O X X X O X
        X O X . X O X
        X O X X X O X
        X O O O O O X
        . X X X X . X""")
    search = search_of(position, 200)
    position.play(search.choose())
    assert position.lost(WHITE) >= 16 or search.value() > 0.9


def test_ladder():
    """D1 drives the two stones to the edge; nothing else catches them."""
    search = search_of(position_of(LADDER), 600, komi=2.5)
    assert search.choose() == move_of('D1', 7)


# The white corner and the black stones around it have two liberties each: who moves first wins the race, but
# only if he moves there. Black does it by a snapback: a stone thrown in, taken, and four or five stones taken
# back.
RACE = """
    . . O X . O .
    O O O X O O O
    X X X X O O O
    . O O O O O O
    O O O O O . O
    O O O O O O O
    O O O O . O O"""


@pytest.mark.parametrize('seed', range(3))
def test_snapback(seed):
    position = position_of(RACE)
    search = search_of(position, 400, komi=-30.5, seed=seed)
    move = search.choose()
    assert move in (move_of('A7', 7), move_of('B7', 7)) and search.value() > 0.5
    position.play(move)
    search = search_of(position, 400, komi=-30.5, seed=seed)
    assert search.value() < -0.5  # white takes the stone or not: all is lost


@pytest.mark.parametrize('seed', range(3))
def test_capturing_race(seed):
    """White fills from outside at A4, or throws in first at B7; from the other side, E7, it is too late."""
    search = search_of(position_of(RACE, WHITE), 400, komi=-30.5, seed=seed)
    assert search.choose() in (move_of('A4', 7), move_of('B7', 7)) and search.value() > 0.5
    assert search.value(move_of('E7', 7)) < 0


def test_counts_add_up():
    """Every visit of a move but the first went on to one of its answers, and no virtual loss is left."""
    for batch in (1, 8, 64):
        search = Search(Rollouts(5.5), 5.5, batch=batch)
        search.start(Position(5))
        search.run(500)
        assert search.total_visits == 500 and search.nodes <= 501
        states, expanded, prior, visits, values, child = search._arrays
        for node in range(search.nodes):
            assert (np.abs(values[node]) <= visits[node] + 1e-3).all()
            if expanded[node]:
                assert prior[node][prior[node] > 0].sum() == pytest.approx(1, abs=1e-4)
            for move in np.flatnonzero(child[node] >= 0):
                following = child[node, move]
                if expanded[following]:
                    assert visits[following].sum() == visits[node, move] - 1


SMALL = 'C3 B2 C2 B3 B4 C1'.split()  # GNU Go's regression game 4x4a; black's move


def evaluated_by_policy_and_rollouts(komi):
    """As the engine has it: a policy that knows no pass, here one that likes every point, and a game played out."""
    return Rollouts(komi, 1, 0, lambda states: np.ones((len(states), states[0, SIZE] ** 2)) / states[0, SIZE] ** 2)


def test_search_passes_where_every_move_loses():
    """4x4, komi 1.5: in this seki white's other moves lose, each proved; with next to no prior the pass was never tried."""
    game = [move_of(move, 4) for move in [*SMALL, *'C4 B1 D2 A3 A4 D3 A2 A1 D4'.split()]]
    position = Position(4, superko=True)
    for move in game:
        position.play(move)
    assert proves([*game, 16], WHITE, 2)
    others = np.flatnonzero(position.legal_moves())[:-1]
    assert len(others) == 2 and all(proves([*game, int(move)], BLACK, 2) for move in others)
    search = Search(evaluated_by_policy_and_rollouts(1.5), komi=1.5, seed=0)
    search.start(position)
    search.run(300)
    assert search.choose() == 16 and search.value() > 0.5


def test_search_of_4x4_finds_what_wins():
    """GNU Go's suite calls C4 a tie; read to its end it is won by a point, and A3 by two: komi decides what wins."""
    game, position = [move_of(move, 4) for move in SMALL], Position(4, superko=True)
    for move in game:
        position.play(move)
    for point, lead in (('C4', 1), ('A3', 2)):
        assert proves([*game, move_of(point, 4)], BLACK, lead) and proves([*game, move_of(point, 4)], WHITE, lead + 1)
    for komi, visits, least in ((0.5, 5000, 1), (1.5, 40000, 2)):
        search = Search(evaluated_by_policy_and_rollouts(komi), komi, seed=0)
        search.start(position)
        search.run(visits)
        assert proves([*game, search.choose()], BLACK, least)


def test_no_line_of_the_tree_brings_a_position_back():
    """On 4x4 stones are taken and taken back; the game so far counts, too: positional superko."""
    position = Position(4, superko=True)
    for move in ('C4', 'B2', 'C3', 'B3', 'B4', 'C1'):
        position.play(move_of(move, 4))
    search = Search(Rollouts(0.5, 1, 0), komi=0.5, seed=0)
    search.start(position)
    search.run(5000)
    repeated, captures = 0, 0
    nodes = [(0, set(position.seen.tolist()))]
    while nodes:
        node, before = nodes.pop()
        for move in np.flatnonzero(search._child[node] >= 0):
            following = search._child[node, move]
            after = int(position_hash(search._states[following]))
            repeated += move != 16 and after in before
            captures += search._states[following, LOST + 1:LOST + 3].sum() > 0
            nodes.append((following, before | {after}))
    assert captures > 1000 and repeated == 0


def test_the_tree_is_kept_between_moves():
    position = Position(5)
    search = Search(Rollouts(0.5), 0.5)
    search.start(position)
    search.run(400)
    move = search.choose()
    expected, reply = search.variation(move)[:2]
    visits_before = search._visits[search._child[0, move]].copy()
    assert expected == move
    position.play(move)
    search.start(position)
    assert np.array_equal(search.visits, visits_before) and search.nodes > 10
    position.play(reply)
    position.play(int(np.flatnonzero(position.legal_moves())[0]))
    search.start(position)  # two moves on
    search.run(search.total_visits + 50)
    elsewhere = Position(5)
    elsewhere.play(12)
    elsewhere.play(3)
    search.start(elsewhere)
    assert search.total_visits == 0 and search.nodes == 1


def test_priors_of_the_root_from_elsewhere():
    position = Position(5)
    search = Search(nothing_known, 0.5, batch=1)
    search.start(position)
    search.run(100)  # what this search finds is left out of the next where it has 0
    search.run(150, np.append(np.zeros(25), 1))
    assert search.choose() == 25 and search.visits[:25].sum() == 0
    prior = np.full(26, 0.2)  # need not add up to 1, nor know what is legal
    prior[7], prior[3] = 0, 2
    position.play(12)
    search.start(position)
    search.run(60, prior)
    assert search.choose() == 3 and not search.visits[[7, 12]].any()
    assert search.visits[:12].sum() > search.visits[3] > 12


def test_noise_and_temperature():
    position = Position(5)
    counts = []
    for seed in (1, 2):
        search = Search(nothing_known, 0.5, noise=0.25, seed=seed)
        search.start(position)
        search.run(300)
        counts.append(search.visits)
    assert not np.array_equal(*counts)
    drawn = np.bincount([search.choose(1.0) for _ in range(3000)], minlength=26) / 3000
    assert np.abs(drawn - counts[1] / 300).max() < 0.05
    assert search.choose() == counts[1].argmax()


def test_more_visits_win_more_games():
    wins = 0
    for game in range(8):
        strong = BLACK if game % 2 == 0 else WHITE
        searches = {strong: Search(Rollouts(8.5, 1, game), 8.5, batch=4),
                    3 - strong: Search(Rollouts(8.5, 1, 50 + game), 8.5, batch=1)}
        position = Position(7, superko=True)
        while position.passes < 2 and position.move_number < 120:
            search = searches[position.to_play]
            search.start(position)
            search.run(1)
            search.forbid(np.flatnonzero(~position.legal_moves()))  # by superko
            search.run(100 if position.to_play == strong else 3)
            position.play(search.choose())
        wins += (position.score(8.5) > 0) == (strong == BLACK)
    assert wins >= 6


@pytest.mark.parametrize('section', ['6.3-value', '6.3-zero'])
def test_a_run_tells_parameters_and_differences(tmp_path, section):
    small = {'layers': 2} if section == '6.3-value' else {'units': 1}
    experiment = chapters.find(section).but(filters=4, hidden=8, **small)
    _, result = run_experiment(experiment, out=tmp_path / 'run', quiet=True)
    assert {'parameters', 'outputs', 'losses', 'gradients'} <= set(result['metrics'])
    assert result['metrics']['gradients']['last'] < 1e-9


def test_a_wrong_value_head_is_noticed(monkeypatch):
    from chapters.ch06_alphago import listing
    assert listing.parity(chapters.find('6.3-value')).holds
    losses = listing.zero_losses
    monkeypatch.setattr(listing, 'zero_losses', lambda *of: [2 * loss for loss in losses(*of)])
    assert listing.parity(chapters.find('6.3-value')).differences['gradients'] > 0.1


def test_what_is_only_compared_has_no_training_to_set():
    for section in ('6.3-value', '6.3-zero'):
        experiment = chapters.find(section)
        assert not experiment.trains and experiment.recipe is None and experiment.steps == ('plain',)
        with pytest.raises(UserError, match="nothing called 'epochs' to set"):
            experiment.but(epochs=3)
        assert experiment.prove().holds


def test_networks_of_the_book_have_its_layers():
    from chapters.kit.networks.layer_table import layer_table
    convolutions = {}
    for section in ('6.3', '6.3-value', '6.3-zero'):
        experiment = chapters.find(section)
        rows = layer_table(experiment.build(), experiment.input_shape)
        convolutions[section] = [row.parameters for row in rows if row.kind.startswith('convolution')]
    body = [25 * 48 * 192 + 192] + 11 * [9 * 192 * 192 + 192]
    assert convolutions['6.3'] == body + [193]
    assert convolutions['6.3-value'] == [25 * 49 * 192 + 192] + body[1:] + [193]
    assert convolutions['6.3-zero'] == [9 * 17 * 256 + 256] + 78 * [9 * 256 * 256 + 256] + [2 * 256 + 2, 257]


def test_two_heads_learn_what_they_are_shown():
    from mxnet import gluon, nd

    from chapters.ch06_alphago.networks import AlphaGoZero
    from chapters.ch06_alphago.zero import PLANES, SmallGo, TwoHeads, learn, play_games, zero_planes
    from chapters.kit.training.epochs import seed_everything
    random = seed_everything(1)
    network = AlphaGoZero(1, 16, PLANES, 5, 16)
    network.initialize()
    network(nd.zeros((2, PLANES, 5, 5)))
    evaluate = TwoHeads(network)
    wins, examples = play_games((evaluate, evaluate), 4, SmallGo(5, 0.5), 16)
    states, policies, results = examples
    assert 0 <= wins <= 4 and len(states) == len(policies) == len(results) > 20
    assert np.allclose(policies.sum(axis=1), 1, atol=1e-5) and set(results) <= {0, 1}
    trainer = gluon.Trainer(network.collect_params(), 'sgd', {'learning_rate': 0.05, 'momentum': 0.9})
    examples = zero_planes(states), policies, results
    first = learn(network, trainer, examples, 2, random)
    for _ in range(12):
        last = learn(network, trainer, examples, 10, random)
    assert last[0] < first[0] - 0.2 and last[1] < 0.6 * first[1]
    _, values = evaluate(states)
    assert np.mean((values > 0) == (results > 0.5)) > 0.9


SMALL_ZERO = dict(size=4, generations=2, games=4, visits=8, batches=3, units=1, filters=8, every=2, trials=2, matches=2)
SMALL_WAY = dict(size=5, layers=2, filters=8, imitation=3, rounds=10, games=4, positions=20, updates=5, matches=4)


@pytest.mark.parametrize('section, numbers', [('6.4.1', SMALL_WAY), ('6.4.2', SMALL_ZERO)])
def test_every_setting_of_a_search_that_learns_can_be_set(tmp_path, section, numbers):
    experiment = chapters.find(section)
    assert set(numbers) < set(experiment.settings())
    changed = experiment.but(**{name: str(value) for name, value in numbers.items()})
    assert dict(changed.settings(), **numbers) == changed.settings() and changed.changed == numbers
    with pytest.raises(UserError, match="nothing called 'generation' to set; there is size, komi"):
        experiment.but(generation=3)
    with pytest.raises(UserError, match='games=0: give a number from 1 on'):
        run_experiment(experiment.but(games=0), out=tmp_path / 'run', quiet=True)
    assert not (tmp_path / 'run').exists()


def test_the_loop_stopped_and_resumed_ends_with_the_same_bits(tmp_path, interrupted):
    from chapters.ch06_alphago import zero
    from chapters.kit.perform import resume
    experiment = chapters.find('6.4.2').but(**SMALL_ZERO)
    _, result = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    for opponent in zero.OPPONENTS:
        assert 0 <= result['metrics'][f'wins_against_{opponent}']['last'] <= 1
    assert (tmp_path / 'whole' / 'figures' / 'strength.png').exists()
    with open(tmp_path / 'whole' / 'history.csv', encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    assert [row['epoch'] for row in rows] == ['0', '1'] and all(int(row['positions']) > 20 for row in rows)
    assert [bool(row['against_rollouts']) for row in rows] == [False, True]  # every second generation
    interrupted(experiment, tmp_path / 'killed')
    resume(tmp_path / 'killed', chapters.find)
    whole, killed = ((tmp_path / name / 'model-0002.params').read_bytes() for name in ('whole', 'killed'))
    assert whole == killed
    assert (tmp_path / 'killed' / 'history.csv').read_text().count('\n') == 3
    exported = trained_graph(tmp_path / 'whole', chapters.find)
    assert exported.input_shape == (1, zero.PLANES, 4, 4)


def test_a_loss_that_is_no_number_ends_the_loop(tmp_path, monkeypatch):
    from chapters.ch06_alphago import zero
    from chapters.kit.training.epochs import Diverged
    monkeypatch.setattr(zero, 'learn', lambda *arguments: (float('nan'), 0.5))
    with pytest.raises(Diverged, match='6.4.2: a loss became NaN or infinite in epoch 0'):
        run_experiment(chapters.find('6.4.2').but(**SMALL_ZERO), out=tmp_path / 'run', quiet=True)


def test_reinforcement_makes_what_won_more_probable():
    from mxnet import nd

    from chapters.ch06_alphago import reinforce
    from chapters.ch06_alphago.networks import AlphaGoPolicy
    from chapters.kit.training.epochs import seed_everything
    random = seed_everything(2)
    network = AlphaGoPolicy(2, 8, 8)
    network.initialize()
    network(nd.zeros((1, 8, 5, 5)))
    losses = [reinforce.imitate(network, 5, batches, 0.05, random, 32) for batches in (10, 60)]
    assert losses[1] < losses[0]
    pool = [reinforce._copy(network)]
    won = reinforce.reinforce(network, pool, 5, 8, 5, 0.5, 0.01, random)
    assert len(won) == 5 and len(pool) == 2
    old, new = (parameter.data().asnumpy() for net in (pool[0], network)
                for name, parameter in list(net.collect_params().items())[:1])
    assert not np.array_equal(old, new) and np.isfinite(new).all()


def test_all_of_alphagos_way(tmp_path):
    _, result = run_experiment(chapters.find('6.4.1').but(**SMALL_WAY), out=tmp_path / 'run', quiet=True)
    metrics = {name: value['last'] for name, value in result['metrics'].items()}
    assert 0 <= metrics['wins_against_imitation'] <= 1 and metrics['matches'] == 4
    for name in ('value', 'constant', 'rollouts1', 'rollouts10', 'rollouts100'):
        assert 0 <= metrics[f'{name}_mse'] <= 1
    assert trained_graph(tmp_path / 'run', chapters.find).input_shape == (1, 8, 5, 5)  # the board that it learnt on
    for name in ('value.params', 'figures/learning.png'):
        assert (tmp_path / 'run' / name).exists()


def test_played_out_positions_are_judged_from_both_sides():
    from chapters.ch06_alphago.reinforce import played_out
    for to_play, komi, expected in ((BLACK, 1e9, 0), (BLACK, -1e9, 1), (WHITE, 1e9, 1), (WHITE, -1e9, 0)):
        assert played_out(position_of(RACE, to_play).state[None], komi, 5) == [expected]


def test_policy_gradient_has_the_right_sign(monkeypatch):
    """With results that depend on the first move alone, that move becomes the favourite."""
    from mxnet import nd

    from chapters.ch06_alphago import reinforce
    from chapters.ch06_alphago.networks import AlphaGoPolicy
    np.random.seed(0)
    network = AlphaGoPolicy(1, 4, 8)
    network.initialize()
    network(nd.zeros((1, 8, 5, 5)))
    state = Position(5).state
    centre, corner = 12, 0

    def fake_games(policies, games, size, komi, random, label=''):
        moves = [centre if game % 2 else corner for game in range(games)]
        return (np.array([float(move == centre) for move in moves]),
                [(state[None], np.array([move])) for move in moves])
    monkeypatch.setattr(reinforce, 'play_many', fake_games)

    def gap():
        planes = nd.array(reinforce.planes_of(state[None], 8), dtype='float32')
        logits = network(planes).asnumpy()[0]
        return logits[centre] - logits[corner]
    before = gap()
    reinforce.reinforce(network, [network], 5, 8, 5, 0.5, 0.1, np.random.default_rng(0))
    assert gap() > before


def test_value_network_learns_a_rule():
    from mxnet import nd

    from chapters.ch06_alphago.reinforce import fit_value
    from chapters.kit.training.epochs import seed_everything
    random = seed_everything(0)
    planes = random.integers(0, 2, (400, 9, 5, 5)).astype(np.uint8)
    planes[:, 8] = planes[:, 8, :1, :1]  # the colour of the player to move: here, who wins
    network = fit_value(planes[100:], planes[100:, 8, 0, 0].astype(np.float32), 2, 8, 300, random)
    said = network(nd.array(planes[:100], dtype='float32')).asnumpy()[:, 0] > 0
    assert (said == planes[:100, 8, 0, 0]).mean() > 0.95
