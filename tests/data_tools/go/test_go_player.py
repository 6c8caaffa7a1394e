"""The player without a network, and positions made again from packed records."""
import numpy as np
import pytest

from data_tools.go import player
from data_tools.go.board import BLACK, RECENT, RECENT_MOVES, TO_MOVE, WHITE, Position, to_cell
from data_tools.go.dat import first_fault, labels_of, planes_and_labels, states_of
from data_tools.go.features import ALPHAGO, BOOK, DAT_ORDER, TACTICS, alphago_planes, book_planes, is_own_eye, planes_of
from data_tools.go.player import choose, ownership, play_out, selfplay_records, weigh


def weights_of(position):
    weights = np.empty(position.size ** 2)
    weigh(position.state, weights)
    return weights


def test_weights_are_of_legal_moves_that_fill_no_eye(random_game):
    for seed in range(4):
        for position, _ in random_game(9, 90, seed):
            weights, legal = weights_of(position), position.legal_moves()
            for move in range(81):
                eye = legal[move] and is_own_eye(position.state, to_cell(move, 9), position.to_play)
                assert (weights[move] > 0) == bool(legal[move] and not eye), (seed, move)


def test_captures_rescues_and_shuns_self_atari(diagram):
    position = diagram("""
        . . . . . . .
        . X O . . . .
        . X O . . . .
        . X O . . . .
        . . X . . . .
        . . . . . . .
        . . . . . . .""")
    position.set_up(black=[2, 3 + 7 * 1, 3 + 7 * 2])
    weights = weights_of(position)
    assert weights.argmax() == 3 + 7 * 3  # takes three stones
    position.to_play = WHITE
    assert weights_of(position).argmax() == 3 + 7 * 3  # runs
    corner = diagram("""
        . O . . .
        . . . . .
        . . . . .
        . . . . .
        . . . . .""")
    weights = weights_of(corner)
    assert 0 < weights[0] < 0.1 * weights[12]


def test_games_follow_from_the_seed():
    a, b, c = selfplay_records(3, 1), selfplay_records(3, 1), selfplay_records(3, 2)
    assert np.array_equal(a, b) and not np.array_equal(a[:100], c[:100])
    assert first_fault(a) is None and len(a) > 300
    assert len(np.unique(labels_of(a))) > 200


def test_captures_are_played_more_often_than_by_chance():
    """What a network can learn from these games: a stone in atari is taken."""
    records = selfplay_records(5, 4)
    states, moves = states_of(records), labels_of(records)
    captures = planes_of(states, ALPHAGO)[:, 20:28].any(axis=1).reshape(len(records), -1)
    there = captures.any(axis=1)
    assert there.sum() > 100
    assert captures[there, moves[there]].mean() > 5 * captures[there].mean()


@pytest.mark.parametrize('size', [2, 5, 9, 19])
def test_what_is_remembered_from_move_to_move_never_goes_out_of_date(size):
    for seed in range(4):
        position, memory, again = Position(size), player._new_memory(), np.array([seed], np.uint64)
        random = again.copy()
        while position.passes < 2 and position.move_number < 3 * size * size:
            move = choose(position.state, random)  # with no memory
            assert player._choose_next(position.state, memory, again) == to_cell(move, size), position.move_number
            assert random == again
            position.play(move)
        assert position.passes == 2 or size == 2


def test_moves_are_drawn_by_their_weights(random_game):
    position = [position for position, _ in random_game(5, 12, 1)][-1]
    expected, random = weights_of(position), np.array([0], np.uint64)
    drawn = np.bincount([choose(position.state, random) for _ in range(20000)], minlength=25) / 20000
    assert np.abs(drawn - expected / expected.sum()).max() < 0.015


@pytest.mark.parametrize('size', [5, 9, 19])
def test_games_are_played_to_their_end(size):
    random, position = np.array([3], np.uint64), Position(size)
    result = play_out(position.state, 0.5, random)
    assert position.passes == 2 and weights_of(position).sum() == 0
    assert result == float(position.score(0.5) > 0)


def test_a_pass_where_nothing_is_left(diagram):
    position = diagram("""
        . X . X X
        X X X X X
        X X X X X
        X X X X X
        X X X X .""")
    assert choose(position.state, np.array([0], np.uint64)) == 25


def test_ownership_of_a_settled_board(diagram):
    position = diagram("""
        . X . X O . O
        X X X X O O O
        . X . X O . O
        X X X X O O O
        X X . X O . O
        X . X X O O O
        O . X X O . O""")
    owned, wins = ownership(position.state, 0.5)
    owned = owned.reshape(7, 7)
    assert (owned[:6, :4] > 0.9).all() and (owned[:, 4:] < -0.9).all() and owned[6, 0] > 0.5 and wins > 0.9
    assert ownership(position.state, 10.5)[1] < 0.1


def test_positions_come_back_from_records(random_game):
    """A record's planes are those that the book's byte holds, and AlphaGo's but for history and ko."""
    from data_tools.go.features import encode
    compared = 0
    for position, move in random_game(19, 250, 5):
        if move == 361 or position.ko is not None:
            continue
        record = np.zeros((1, 363), np.uint8)
        record[0, :2] = move % 19, move // 19
        encode(position.state, position.to_play, record[0, 2:])
        state = states_of(record)
        assert state[0, TO_MOVE] == BLACK
        assert np.array_equal(book_planes(state, DAT_ORDER), planes_and_labels(record)[0])
        known = position.state.copy()
        known[RECENT + 1:RECENT + RECENT_MOVES] = 0
        assert np.array_equal(planes_of(state, TACTICS)[0], planes_of(known[None], TACTICS)[0])
        assert np.array_equal(planes_of(state, ALPHAGO)[0], alphago_planes(known))
        compared += 1
    assert compared > 200


def test_sets_of_planes():
    states = Position(9).state[None]
    assert [planes_of(states, count).shape[1] for count in (BOOK, TACTICS, ALPHAGO, 49)] == [8, 36, 48, 49]
    assert np.array_equal(planes_of(states, TACTICS)[:, :8], planes_of(states, BOOK))
    with pytest.raises(ValueError, match='not of 7'):
        planes_of(states, 7)
