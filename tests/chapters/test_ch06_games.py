"""Chapter 6: the same loop on another game; what judges a position, and a search without it."""
import numpy as np
import pytest

import chapters
from chapters.ch06_alphago.gomoku import PLANES, RandomGames, Row, patterns, row_planes
from chapters.ch06_alphago.mcts import Search, nothing_known
from chapters.ch06_alphago.rules import RowPosition
from chapters.ch06_alphago.zero import one_game
from chapters.kit.perform import run_experiment
from data_tools.errors import UserError
from data_tools.go.board import BLACK, WHITE, move_of, vertex


def position_of(size, in_a_row, moves):
    position = RowPosition(size, in_a_row)
    for move in moves.split():
        position.play(move_of(move, size))
    return position


def metrics_of(section, folder, **changes):
    run, result = run_experiment(chapters.find(section).but(**changes), out=folder / 'run', quiet=True)
    return run.folder / 'figures', {name: value['last'] for name, value in result['metrics'].items()}


# ---- stones in a row ----

@pytest.mark.parametrize('black', ['A1 B1 C1 D1', 'E2 E3 E4 E5', 'A1 B2 C3 D4', 'E1 D2 C3 B4', 'B4 E1 D2 C3'])
def test_four_stones_in_any_direction_end_the_game(black):
    position = RowPosition(5, 4)
    white = iter(('A4', 'B5', 'A3') if 'A1' in black else ('A1', 'B1', 'A3'))
    for move in black.split():
        assert position.passes == 0 and position.score() == 0
        position.play(move_of(move, 5))
        if position.passes == 0:
            position.play(move_of(next(white), 5))
    assert position.passes == 2 and position.score() == 1 and not position.legal_moves().any()
    with pytest.raises(ValueError, match='the game is over'):
        position.play(move_of('C5', 5))


def test_a_full_board_is_nobodys_game():
    position = position_of(3, 3, 'B2 A3 C3 A1 A2 C2 B3 B1 C1')
    assert position.passes == 2 and position.score() == 0 and position.move_number == 9
    with pytest.raises(ValueError, match='taken'):
        position_of(3, 3, 'B2 B2')


def perfect(position, known):
    """The value of a position for its player to move, by trying everything."""
    key = position.board.tobytes()
    if key not in known:
        if position.passes == 2:
            known[key] = -abs(position.score())
        else:
            known[key] = max(-perfect(after, known) for after in map(
                lambda move: played(position, move), np.flatnonzero(position.legal_moves())))
    return known[key]


def played(position, move):
    following = position.copy()
    following.play(int(move))
    return following


def test_search_plays_as_well_as_trying_everything():
    """Three in a row on 3x3: in every position that random games meet it keeps the value of the game."""
    known, random = {}, np.random.default_rng(0)
    assert perfect(RowPosition(3, 3), known) == 0
    for _ in range(2):
        position = RowPosition(3, 3)
        while position.passes < 2:
            search = Search(nothing_known, exploration=3.0, batch=1)
            search.start(position)
            search.run(8000)
            assert -perfect(played(position, search.choose()), known) == perfect(position, known), str(position)
            position.play(int(random.choice(np.flatnonzero(position.legal_moves()))))


def test_search_closes_a_four_and_makes_its_own_first():
    threatened = position_of(6, 4, 'B3 A1 C3 A2 F6 D3 A3 F1')  # black has A3 B3 C3, white D3
    search = Search(nothing_known, batch=1)
    search.start(threatened)
    search.run(300)
    assert threatened.to_play == BLACK and search.visits[-1] == 0
    must = position_of(6, 4, 'A1 C4 F1 D4 A6 E4')  # white has C4 D4 E4, open at both ends: black is lost
    search.start(must)
    search.run(2000)
    assert vertex(search.choose(), 6) in ('B4', 'F4') and search.value() < -0.3


def test_planes_and_lines_are_seen_by_the_player_to_move():
    position = position_of(5, 4, 'A5 B5 C3')
    planes = row_planes(position.state[None])[0]
    assert planes.shape == (PLANES, 5, 5) and position.to_play == WHITE and not planes[2].any()
    assert np.argwhere(planes[0]).tolist() == [[0, 1]] and np.argwhere(planes[1]).tolist() == [[0, 0], [2, 2]]
    # an open three is worth more than one that the edge or a stone closes, and both belong to black
    opened, closed = (position_of(7, 4, f'C4 A7 D4 {last} E4').state for last in ('G1', 'B4'))
    (better, worse) = -patterns(np.stack([opened, closed]))[1]
    assert better > worse > 0


def test_random_games_end_and_are_shared_out():
    games = RandomGames(0)
    _, values = games(np.stack([position_of(4, 3, 'B2').state] * 300))  # white to move
    assert set(values) <= {-1, 0, 1} and values.mean() < -0.1


SMALL_ROW = dict(generations=6, games=32, visits=48, batches=80, filters=24, every=6, trials=2, matches=40)


def test_the_loop_of_go_learns_another_game(tmp_path):
    pictures, found = metrics_of('6.5', tmp_path, **SMALL_ROW)
    assert {path.stem for path in pictures.iterdir()} == {'games', 'search', 'strength'}
    assert {f'wins_against_{opponent}' for opponent in (
        'untrained', 'first_generation', 'random_moves', 'random_games', 'patterns')} < set(found)
    # 1 without learning; 3.6 is ln 37, all moves alike
    assert found['wins_against_untrained'] + found['wins_against_first_generation'] > 1.3 and found['policy_loss'] < 3.4
    with pytest.raises(UserError, match='size=3: give a number from in_a_row=4 to 19'):
        metrics_of('6.5', tmp_path / 'wrong', size=3)


def test_a_game_is_played_to_its_end():
    moves = one_game(patterns, Row(6, 4), 60)
    position = RowPosition(6, 4)
    for move in moves:
        position.play(move)
    assert position.passes == 2


def test_temperature_buys_different_games_with_strength(tmp_path):
    pictures, found = metrics_of('6.4.2-temperature', tmp_path, size=5, games=16, visits=32)
    assert found['different_0'] < 0.15 < found['different_1'] < found['different_infinite']
    assert found['wins_infinite'] < found['wins_0.5'] and found['wins_infinite'] < 0.35
    assert (pictures / 'temperatures.png').exists()


# ---- what judges a position ----

def test_all_positions_of_few_games_are_learnt_by_heart(tmp_path):
    pictures, found = metrics_of('6.4.1-positions', tmp_path, positions=800, held=200, layers=3, filters=16, updates=120)
    assert found['all_validation_mse'] - found['all_train_mse'] > 0.06
    assert found['one_validation_mse'] - found['one_train_mse'] < 0.04
    assert found['one_validation_mse'] < found['all_validation_mse']
    assert found['value_up_to_it'] > found['value_after_it']
    assert {path.stem for path in pictures.iterdir()} == {'losing-move', 'overfitting'}


def test_games_played_out_err_early_and_not_late(tmp_path):
    _, found = metrics_of('6.2.4', tmp_path, size=5, komi=0.5, games=1500, held=100, layers=2, filters=16, updates=160, parts=4)
    assert found['value_mse_first'] < found['rollouts1_mse_first']
    assert found['rollouts1_mse_last'] < 0.05 < found['rollouts1_mse_first']
    assert found['rollouts100_mse'] < found['rollouts1_mse']


def test_a_search_without_policy_is_broader_and_without_value_weaker(tmp_path):
    _, found = metrics_of('6.2.5', tmp_path, size=5, komi=0.5, games=1500, layers=2, filters=16, imitation=80, updates=160,
                          visits=24, matches=10, positions=10)
    assert found['moves_both'] < found['moves_without_policy']
    assert max(found['wins_without_policy'], found['wins_without_value'], found['wins_nothing']) <= 0.5
    assert found['wins_nothing'] <= 0.2


@pytest.mark.parametrize('section, changes, words', [
    ('6.2.4-games', dict(games_file='/nowhere.sgf'), 'nowhere.sgf'), ('6.2.5-games', dict(visits=1), 'visits=1'),
    ('6.2.4', dict(held=2, parts=3), 'held=2'), ('6.4.2-temperature', dict(in_a_row=2), 'in_a_row=2')])
def test_what_cannot_be_is_one_line(tmp_path, section, changes, words):
    with pytest.raises(UserError, match=words):
        metrics_of(section, tmp_path, **changes)
    assert not (tmp_path / 'run').exists()


# ---- driving ----

def test_a_car_stays_on_its_road_or_stops_beside_it():
    from chapters.ch06_alphago.driving import CAR, ROAD, SIDE, Roads, drive, returns
    random = np.random.default_rng(0)

    def follows(screens):
        """To the side on which the next row of the road lies."""
        at = (screens[:, 0, -1] == CAR).argmax(axis=1)
        return 1 + np.sign(np.array([np.flatnonzero(row == ROAD).mean() for row in screens[:, 0, -2]]) - at).astype(int)
    screens, _, driving, roads = drive(follows, 20, 50, random)
    assert roads.driving.all() and len(driving) == 50 and screens[0].shape == (20, 1, SIDE, SIDE)
    _, _, driving, roads = drive(lambda screens: np.zeros(len(screens), int), 20, 50, random)
    assert not roads.driving.any() and 2 < len(driving) < 50 and driving[0].all()
    gone = Roads(1, 50, random)
    gone.at[:], gone.driving[:] = 0, False
    gone.steer(np.array([2]))
    assert gone.at[0] == 0
    # three steps driven of four: what follows the first counts 1 + 0.9, the second 1, the third nothing
    assert returns(np.array([[True], [True], [True], [False]]))[:, 0].tolist() == pytest.approx([1.9, 1, 0, 0])


def test_driving_is_learnt_from_pixels(tmp_path):
    pictures, found = metrics_of('6.5-driving', tmp_path, steps=50, updates=80, trials=60)
    assert found['learnt_distance'] > 2 * max(found['random_distance'], found['straight_distance'])
    assert found['last_updates'] > 2 * found['first_updates'] and (pictures / 'driving.png').exists()


# ---- the same on 19x19, with the network that comes along ----

def test_positions_of_games_have_the_move_that_was_played_there():
    from chapters.ch07_policy_net.judged_games import positions_of
    from data_tools.go.board import Position
    states, moves, results = positions_of('', 2, 3, np.random.default_rng(0))
    assert len(states) == len(moves) == len(results) == 6 and set(results) <= {0, 1}
    for state, move in zip(states, moves):
        position = Position()
        position.state = state
        assert position.move_number >= 10 and position.is_legal(int(move))


def test_searches_and_judges_on_a_whole_board(tmp_path):
    _, found = metrics_of('6.2.5-games', tmp_path, positions=12, visits=6)
    assert set(found) == {f'agreement_{name}' for name in (
        'policy', 'both', 'without_policy', 'without_value', 'rollouts', 'nothing')}
    assert min(found['agreement_policy'], found['agreement_both']) >= 0.15 > found['agreement_nothing']
    _, found = metrics_of('6.2.4-games', tmp_path / 'errors', games=2, parts=2)
    assert 0 < found['rollouts100_mse'] < found['rollouts1_mse'] < 1 and 0 < found['value_mse'] < 0.5
