"""Feature planes: on positions with known answers, and against slow implementations that share no code."""
import functools

import numpy as np
import pytest
from sgfmill import boards

from data_tools.go import features
from data_tools.go.board import BLACK, WHITE, Position
from data_tools.go.features import BOOK_ORDER, DAT_ORDER, alphago_planes, alphago_zero_planes, book_planes


def points(plane):
    """The set of (x, y) where a plane is 1."""
    assert plane.max() <= 1
    return {(int(x), int(y)) for y, x in zip(*np.nonzero(plane))}


# ---- slow planes, from sgfmill's board and lists ----

@functools.lru_cache(maxsize=None)
def neighbours(size, point):
    row, column = point
    return [(r, c) for r, c in ((row + 1, column), (row - 1, column), (row, column + 1), (row, column - 1))
            if 0 <= r < size and 0 <= c < size]


def chain_at(board, point):
    """(stones, liberties) of the chain at a point, as sets."""
    colour, stones, liberties, todo = board.get(*point), {point}, set(), [point]
    while todo:
        for other in neighbours(board.side, todo.pop()):
            found = board.board[other[0]][other[1]]
            if found is None:
                liberties.add(other)
            elif found == colour and other not in stones:
                stones.add(other)
                todo.append(other)
    return stones, liberties


def slow_book_planes(board, colour, last):
    """The book's 8 in `BOOK_ORDER`; `last` is (row, column) or None."""
    size = board.side
    planes = [[[0] * size for _ in range(size)] for _ in range(8)]
    chains = {}
    for point in board.board_points:
        row, column = size - 1 - point[0], point[1]
        found = board.board[point[0]][column]
        if found is None:
            planes[2][row][column] = 1
            continue
        if point not in chains:
            stones, liberties = chain_at(board, point)
            chains.update(dict.fromkeys(stones, len(liberties)))
        planes[0 if found == colour else 1][row][column] = 1
        planes[2 + min(chains[point], 4)][row][column] = 1
    if last is not None:
        planes[7][size - 1 - last[0]][last[1]] = 1
    return np.array(planes)


def tried(board, ko, point, colour):
    """(board, ko, captured) after a move; None if it is illegal."""
    if board.get(*point) is not None or point == ko:
        return None
    after = board.copy()
    before = sum(stone is not None for row in after.board for stone in row)
    ko = after.play(*point, colour)
    captured = before + 1 - sum(stone is not None for row in after.board for stone in row)
    return (after, ko, captured) if after.get(*point) is not None else None


def slow_caught(board, ko, stone, colour):
    """Whether the chain at `stone` is lost in a ladder, `colour` to move."""
    stones, liberties = chain_at(board, stone)
    hunted = board.get(*stone)
    if colour != hunted:
        if len(liberties) != 2:
            return len(liberties) < 2
        after = [tried(board, ko, point, colour) for point in liberties]
        return any(slow_caught(new, new_ko, stone, hunted) for new, new_ko, _ in filter(None, after))
    if len(liberties) > 1:
        return False
    after = [tried(board, ko, point, colour) for point in slow_answers(board, stones, liberties)]
    return all(slow_caught(new, new_ko, stone, 'w' if hunted == 'b' else 'b')
               for new, new_ko, _ in filter(None, after))


def slow_answers(board, stones, liberties):
    """The liberties of a chain, and those of the chains in atari around it."""
    answers = set(liberties)
    colour = board.get(*next(iter(stones)))
    for stone in stones:
        for other in neighbours(board.side, stone):
            if board.get(*other) not in (None, colour):
                attackers_liberties = chain_at(board, other)[1]
                answers |= attackers_liberties if len(attackers_liberties) == 1 else set()
    return answers


def slow_alphago_planes(board, colour, ko, recent):
    """The 49 planes; `recent` are the points of the last moves, newest first, None for a pass."""
    size = board.side
    enemy = 'w' if colour == 'b' else 'b'
    planes = np.zeros((49, size, size), np.uint8)
    planes[3] = 1
    planes[48] = colour == 'b'
    for point in board.board_points:
        row, column = size - 1 - point[0], point[1]
        found = board.get(*point)
        if found is not None:
            planes[0 if found == colour else 1, row, column] = 1
            turns = recent.index(point) + 1 if point in recent else 8
            planes[3 + min(turns, 8), row, column] = 1
            planes[11 + min(len(chain_at(board, point)[1]), 8), row, column] = 1
            continue
        planes[2, row, column] = 1
        result = tried(board, ko, point, colour)
        if result is None:
            continue
        after, after_ko, captured = result
        stones, liberties = chain_at(after, point)
        if captured:
            planes[19 + min(captured, 8), row, column] = 1
        if len(liberties) == 1:
            planes[27 + min(len(stones), 8), row, column] = 1
        planes[35 + min(len(liberties), 8), row, column] = 1
        around = [board.get(*other) for other in neighbours(size, point)]
        corners = [(point[0] + i, point[1] + j) for i in (-1, 1) for j in (-1, 1)]
        inside = [corner for corner in corners if 0 <= corner[0] < size and 0 <= corner[1] < size]
        bad = sum(board.get(*corner) == enemy for corner in inside)
        eye = around == [colour] * len(around) and bad <= (1 if len(inside) == 4 else 0)
        planes[46, row, column] = not eye
        for other in board.board_points:
            if board.get(*other) is None:
                continue
            stones, liberties = chain_at(board, other)
            if board.get(*other) == enemy and len(liberties) == 2 and point in liberties:
                planes[44, row, column] |= slow_caught(after, after_ko, other, enemy)
            if board.get(*other) == colour and len(liberties) == 1:
                if point in slow_answers(board, stones, liberties):
                    planes[45, row, column] |= not slow_caught(after, after_ko, other, enemy)
    return planes


# ---- the book's 8 ----

def test_book_planes_of_a_known_position(diagram):
    position = diagram('''
        X O . . .
        . O . X X
        . . . . .
        O . . . X
        . X . . .''', to_play=BLACK)
    position.play(2 + 5 * 2)  # black C3; white is to move
    planes = book_planes(position.state)
    assert BOOK_ORDER[0] == 'own' and BOOK_ORDER[7] == 'last move'
    own, opponent, empty, one, two, three, four, last = planes
    assert points(own) == {(1, 0), (1, 1), (0, 3)}
    assert points(opponent) == {(0, 0), (3, 1), (4, 1), (2, 2), (4, 3), (1, 4)}
    assert (own + opponent + empty == 1).all()
    assert points(one) == {(0, 0)}
    assert points(two) == set()
    assert points(three) == {(0, 3), (4, 3), (1, 4)}
    assert points(four) == {(1, 0), (1, 1), (3, 1), (4, 1), (2, 2)}
    assert points(last) == {(2, 2)}
    assert (book_planes(position.state, DAT_ORDER) == planes[::-1]).all()
    assert (book_planes(np.stack([position.state, position.state]))[1] == planes).all()
    position.play(25)
    assert not book_planes(position.state)[7].any()  # no last move after a pass
    with pytest.raises(ValueError):
        book_planes(position.state, ('own',))


def replay(games):
    """Yield (state, sgfmill's board, colour to move, last point) before each move; boards change later."""
    for game in games:
        position, referee, last = Position(19), boards.Board(19), None
        for colour, move in game:
            position.to_play = colour
            yield position.state, referee, 'bw'[colour - 1], last
            position.play(move, colour)
            last = None if move == 361 else (18 - move // 19, move % 19)
            if last:
                referee.play(*last, 'bw'[colour - 1])


def test_book_planes_against_the_slow_ones_on_10000_real_positions(real_games):
    count = 0
    for state, referee, colour, last in replay(real_games):
        assert (book_planes(state) == slow_book_planes(referee, colour, last)).all()
        count += 1
        if count == 10_000:
            return
    raise AssertionError(f'only {count} positions')


# ---- AlphaGo's ----

def test_alphago_planes_against_the_slow_ones_on_random_positions(random_game):
    seen = np.zeros(49, int)
    for size, seed in ((5, 1), (7, 2), (9, 4)):
        referee, ko, recent = boards.Board(size), None, []
        for position, move in random_game(size, 110 if size == 9 else 60, seed):
            colour = 'bw'[position.to_play - 1]
            if position.move_number % 3 == 0:
                slow = slow_alphago_planes(referee, colour, ko, recent[:7])
                fast = alphago_planes(position.state, value=True)
                wrong = np.unique(np.nonzero(slow != fast)[0])
                assert not len(wrong), f'planes {wrong} of\n{position}'
                assert (alphago_planes(position.state) == fast[:48]).all()
                seen += fast.any((1, 2))
            point = None if move == size * size else (size - 1 - move // size, move % size)
            recent.insert(0, point)
            ko = referee.play(*point, colour) if point else None
    assert (seen[[*range(0, 24), *range(28, 32), *range(36, 47)]] > 0).all(), seen  # nearly all were used


def test_turns_since():
    position = Position(9)
    for move in range(0, 80, 8):  # ten moves
        position.play(move)
    planes = alphago_planes(position.state)
    assert points(planes[4]) == {(0, 8)}  # 72, the last
    assert points(planes[10]) == {(24 % 9, 24 // 9)}  # seven turns ago
    assert points(planes[11]) == {(16 % 9, 1), (8, 0), (0, 0)}  # eight and more
    position.play(81)
    assert points(alphago_planes(position.state)[5]) == {(0, 8)}  # a pass is a turn


def test_capture_size_self_atari_and_liberties_after(diagram):
    planes = alphago_planes(diagram('''
        O O . . .
        X X . . .
        . . . . .
        . . . O O
        . . . O .''', to_play=BLACK).state)
    assert points(planes[20:28].any(0)) == points(planes[21]) == {(2, 0)}  # captures two
    assert points(planes[28:36].any(0)) == set()
    assert planes[35 + 3, 0, 2] == 1 and planes[35 + 3, 1, 4] == 1
    assert planes[35 + 5, 1, 2] == 1  # three stones in a row: A3, B3, C3, D4, C5
    assert planes[46, 4, 4] == 0 and planes[36:44, 4, 4].sum() == 0  # suicide
    white = alphago_planes(diagram('''
        . X . . .
        O . X . .
        X . . . .
        . . . . .
        . . . . .''', to_play=WHITE).state)
    assert points(white[28:36].any(0)) == {(2, 0), (0, 0)}
    assert points(white[28]) == {(2, 0)} and points(white[29]) == {(0, 0)}  # of one stone, of two


LADDER = '''
    . . . . . . . . .
    . . . . . . . . .
    . . . . . . . . .
    . . . . . . . . .
    . . . . . . . . .
    . . X O . . . . .
    . . . X X . . . .
    . . . . . . . . .
    . . . . . . . . .'''


def test_ladder_capture_works_only_from_the_right_side(diagram):
    planes = alphago_planes(diagram(LADDER, to_play=BLACK).state)
    assert points(planes[44]) == {(3, 4)}
    assert points(planes[45]) == set()


def test_a_stone_on_the_way_breaks_the_ladder(diagram):
    rows = [row.split() for row in LADDER.strip().splitlines()]
    rows[2][6] = 'O'
    broken = '\n'.join(' '.join(row) for row in rows)
    assert points(alphago_planes(diagram(broken, to_play=BLACK).state)[44]) == set()
    position = diagram(broken, to_play=BLACK)
    position.play(3 + 9 * 4)
    assert points(alphago_planes(position.state)[45]) == {(4, 5)}
    working = diagram(LADDER, to_play=BLACK)
    working.play(3 + 9 * 4)
    assert points(alphago_planes(working.state)[45]) == set()


def test_ladder_across_the_board_and_escape_by_capture(diagram):
    rows = [['.'] * 19 for _ in range(19)]
    for x, y, stone in ((3, 15, 'O'), (2, 15, 'X'), (3, 16, 'X'), (4, 16, 'X')):
        rows[y][x] = stone
    text = '\n'.join(' '.join(row) for row in rows)
    assert points(alphago_planes(diagram(text).state)[44]) == {(3, 14)}
    rows[2][16] = 'O'  # 13 lines away
    text = '\n'.join(' '.join(row) for row in rows)
    assert points(alphago_planes(diagram(text).state)[44]) == set()
    escape = alphago_planes(diagram('''
        . . . . . .
        . O . O . .
        . O X O . .
        . X O X . .
        . . . . . .
        . . . . . .''', to_play=BLACK).state)
    assert points(escape[45]) == {(2, 4)}  # C5, the liberty itself, does not help


def test_sensible_moves_fill_no_true_eye(diagram):
    planes = alphago_planes(diagram('''
        . X . . .
        X X . X .
        . . X . X
        O . . X O
        . . . . .''', to_play=BLACK).state)
    assert planes[46, 0, 0] == 0  # an eye in the corner
    assert planes[46, 2, 3] == 0  # one enemy on the diagonals, in the middle
    false = alphago_planes(diagram('''
        . X O . .
        X O . . .
        . . X O .
        . X . X .
        . O X . .''', to_play=BLACK).state)
    assert false[46, 0, 0] == 1  # an enemy on the diagonal, in the corner
    assert false[46, 3, 2] == 1  # two of them


# ---- AlphaGo Zero's ----

def test_alphago_zero_planes():
    position, states = Position(9), []
    for move in range(0, 50, 5):
        states.insert(0, position.state.copy())
        position.play(move)
    states.insert(0, position.state.copy())  # ten moves played; black is to move
    planes = alphago_zero_planes(np.stack(states))
    assert planes.shape == (17, 9, 9) and (planes[16] == 1).all()
    for t in range(8):
        board = np.zeros((3, 81), np.uint8)
        for k, move in enumerate(range(0, 50, 5)[:10 - t]):
            board[1 + k % 2, move] = 1
        assert (planes[2 * t].ravel() == board[BLACK]).all()
        assert (planes[2 * t + 1].ravel() == board[WHITE]).all()
    early = alphago_zero_planes(np.stack(states[-2:]))  # white's first turn: two positions
    assert not early[16].any() and early[1, 0, 0] == 1 and early[:16].sum() == 1


def test_planes_of_many_real_positions_have_what_they_must(real_games):
    states = np.stack([state.copy() for state, *_ in replay(real_games[:5])])
    planes = alphago_planes(states, value=True)
    stones = planes[:, 0] + planes[:, 1]
    assert (planes[:, :3].sum(1) == 1).all()
    assert (planes[:, 4:12].sum(1) == stones).all() and (planes[:, 12:20].sum(1) == stones).all()
    assert (planes[:, 36:44].sum(1) >= planes[:, 46]).all()  # what is sensible is legal
    assert (planes[:, 44] | planes[:, 45] <= planes[:, 36:44].sum(1)).all()
    assert features.LADDER_NODES > 0 and planes[:, 44].sum() > 20 and planes[:, 45].sum() > 20
