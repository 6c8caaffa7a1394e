"""The rules: against sgfmill's board, and on positions with known answers."""
import numpy as np
import pytest
from sgfmill import boards

from data_tools.go.board import (
    BLACK,
    CHAIN,
    COLOUR,
    EMPTY,
    LIBERTIES,
    WHITE,
    Position,
    draw,
    move_of,
    to_cell,
    vertex,
)


class Referee:
    """sgfmill's board, fed with the same moves."""

    def __init__(self, size):
        self.size = size
        self.board = boards.Board(size)
        self.ko = None

    def at(self, move):
        return self.size - 1 - move // self.size, move % self.size

    def play(self, move, colour):
        if move == self.size ** 2:
            self.ko = None
        else:
            self.ko = self.board.play(*self.at(move), 'bw'[colour - 1])

    def stones(self):
        colours = {None: EMPTY, 'b': BLACK, 'w': WHITE}
        return np.array([[colours[point] for point in row] for row in self.board.board])[::-1]


def slow_liberties(board):
    """The liberties of the chain at each stone, by plain search; 0 on empty points."""
    size = len(board)
    count = np.zeros((size, size), int)
    around = {(y, x): [(y + j, x + i) for j, i in ((0, 1), (0, -1), (1, 0), (-1, 0))
                       if 0 <= y + j < size and 0 <= x + i < size] for y in range(size) for x in range(size)}
    board = board.tolist()
    seen = set()
    for start in around:
        colour = board[start[0]][start[1]]
        if colour == EMPTY or start in seen:
            continue
        chain, todo, liberties = {start}, [start], set()
        while todo:
            for y, x in around[todo.pop()]:
                if board[y][x] == EMPTY:
                    liberties.add((y, x))
                elif board[y][x] == colour and (y, x) not in chain:
                    chain.add((y, x))
                    todo.append((y, x))
        seen |= chain
        for y, x in chain:
            count[y, x] = len(liberties)
    return count


def fast_liberties(position):
    size = position.size
    cells = np.array([[to_cell(x + size * y, size) for x in range(size)] for y in range(size)])
    chains = position.state[CHAIN + cells]
    assert ((chains > 0) == (position.state[COLOUR + cells] != EMPTY)).all()
    return np.where(chains > 0, position.state[LIBERTIES + chains], 0)


def fresh_hash(position):
    """The hash of the same stones, set up at once."""
    size, board = position.size, position.board.ravel()
    other = Position(size)
    other.set_up(black=np.flatnonzero(board == BLACK).tolist(), white=np.flatnonzero(board == WHITE).tolist())
    assert (fast_liberties(other) == fast_liberties(position)).all()
    return other.hash


@pytest.mark.parametrize('size', [2, 3, 5, 9, 13, 19])
def test_random_games_agree_with_sgfmill(size, random_game):
    for seed in range(3):
        referee = Referee(size)
        for position, move in random_game(size, 4 * size * size if size < 13 else 500, seed):
            assert (position.board == referee.stones()).all()
            if position.move_number % 5 == 0:
                assert (fast_liberties(position) == slow_liberties(position.board)).all()
            if position.move_number % 20 == 0:
                assert position.hash == fresh_hash(position)
            ko = None if referee.ko is None else referee.ko[1] + size * (size - 1 - referee.ko[0])
            assert position.ko == ko
            referee.play(move, position.to_play)


@pytest.mark.parametrize('size', [2, 4, 7])
def test_legal_moves_are_those_that_sgfmill_lets_live(size, random_game):
    """Legal: empty, not the ko point, and the stone is still there after sgfmill has played it."""
    referee = Referee(size)
    for position, move in random_game(size, 120, 7):
        legal = position.legal_moves()
        assert legal[-1]
        for point in range(size * size):
            row, column = referee.at(point)
            expected = referee.board.get(row, column) is None and referee.ko != (row, column)
            if expected:
                trial = referee.board.copy()
                trial.play(row, column, 'bw'[position.to_play - 1])
                expected = trial.get(row, column) is not None
            assert legal[point] == expected == position.is_legal(point)
        referee.play(move, position.to_play)


def test_real_games_agree_with_sgfmill(real_games):
    for game in real_games[:30]:
        position, referee = Position(19), Referee(19)
        for colour, move in game:
            position.play(move, colour)
            referee.play(move, colour)
            assert (position.board == referee.stones()).all()
        assert (fast_liberties(position) == slow_liberties(position.board)).all()


def test_capture_of_several_chains_at_once(diagram):
    position = diagram('''
        . O X . .
        O X . . .
        X . . . .
        . . . . .
        . . . . .''')
    before = position.copy()
    assert position.play(0) == 2  # both white corner stones
    assert position.lost(WHITE) == 2 and position.lost(BLACK) == 0
    assert position.board[0].tolist() == [BLACK, EMPTY, BLACK, EMPTY, EMPTY]
    assert position.liberties(0) == 2
    assert before.board[0, 1] == WHITE and before.move_number == 0  # the copy is another game


def test_suicide_is_illegal_also_of_a_chain(diagram):
    corner = diagram('''
        . O .
        O . .
        . . .''')
    assert not corner.is_legal(0) and corner.is_legal(0, WHITE)
    chain = diagram('''
        X . O
        X O .
        X O .''')
    assert chain.liberties(0) == 1
    assert not chain.is_legal(1, BLACK)  # four stones without a liberty
    with pytest.raises(ValueError, match='B3 is illegal for black'):
        chain.play(1, BLACK)
    assert chain.play(1, WHITE) == 3


KO = '''
    . X O . .
    X . X O .
    . X O . .
    . . . . .
    . . . . .'''


def test_ko_forbids_taking_back_at_once(diagram):
    position = diagram(KO, to_play=WHITE)
    assert position.play(1 + 5) == 1
    assert position.ko == 2 + 5
    assert not position.is_legal(2 + 5, BLACK) and position.is_legal(2 + 5, WHITE)
    assert not position.legal_moves()[2 + 5]
    position.play(24)  # a threat
    position.play(23)  # answered
    assert position.play(2 + 5) == 1 and position.ko == 1 + 5


def test_snapback_is_no_ko(diagram):
    position = diagram('''
        . . . . .
        . . . . .
        X X X X .
        O O O X .
        O X . X .''', to_play=WHITE)
    assert position.play(22) == 1 and position.ko is None
    assert position.liberties(22) == 1
    assert position.play(21) == 5
    assert position.liberties(21) == 3 and position.ko is None


def test_superko_forbids_what_two_passes_allow(diagram):
    for superko in (False, True):
        position = Position(5, superko=superko)
        position.set_up(black=[1, 5, 7, 11], white=[2, 8, 12])  # the stones of KO
        assert (position.board == diagram(KO).board).all()
        position.to_play = WHITE
        position.play(6)
        position.play(25)
        position.play(25)
        assert position.ko is None
        for same in (position, position.copy()):
            assert same.is_legal(7) == same.legal_moves()[7] == (not superko)
        if superko:
            with pytest.raises(ValueError):
                position.play(7)


def test_superko_looks_at_all_positions_of_random_small_games(random_game):
    random = np.random.RandomState(3)
    position = Position(3, superko=True)
    seen = {position.board.tobytes()}
    for _ in range(200):
        legal = position.legal_moves()
        for move in range(9):
            if Position.is_legal(position, move):
                after = position.copy()
                after.play(move)
                assert after.board.tobytes() not in seen and legal[move]
            else:
                assert not legal[move]
        choices = np.flatnonzero(legal[:-1])
        move = int(random.choice(choices)) if len(choices) else 9
        position.play(move)
        seen.add(position.board.tobytes())
    assert len(seen) > 20


def test_tromp_taylor(diagram):
    position = diagram('''
        . X . O .
        X X . O O
        . . . O .
        X X . O O
        . X . O O''')
    black, white, owner = position.area()
    assert (black, white) == (6 + 2, 8 + 2)
    assert owner[0].tolist() == [BLACK, BLACK, EMPTY, WHITE, WHITE]
    assert owner[2].tolist() == [EMPTY, EMPTY, EMPTY, WHITE, WHITE]
    assert position.score(komi=0.5) == -2.5
    assert Position(19).score(7.5) == -7.5  # nobody's
    one = Position(9)
    one.play(40)
    assert one.score(0) == 81


def test_area_agrees_with_sgfmill(random_game):
    for size in (5, 9, 19):
        for position, _ in random_game(size, 2 * size * size, 1):
            pass
        referee = boards.Board(size)
        for move, colour in enumerate(position.board.ravel().tolist()):
            if colour:
                referee.board[size - 1 - move // size][move % size] = 'bw'[colour - 1]
        black, white, _ = position.area()
        assert black - white == referee.area_score()


def test_set_up_refuses_dead_stones_and_keeps_the_position():
    position = Position(9)
    position.play(40)
    with pytest.raises(ValueError, match='without a liberty'):
        position.set_up(white=[0], black=[1, 9])
    with pytest.raises(ValueError, match='off the board'):
        position.set_up(white=[81])
    assert position.board.sum() == BLACK and position.last_move == 40
    position.set_up(empty=[40])
    assert not position.board.any() and position.hash == 0


def test_turns_passes_and_last_moves():
    position = Position(9)
    assert position.to_play == BLACK and position.last_move is None
    position.play(40)
    assert position.to_play == WHITE and position.last_move == 40
    position.play(81)
    assert position.passes == 1 and position.last_move is None and position.to_play == BLACK
    position.play(81)
    assert position.passes == 2 and position.move_number == 3
    position.play(0, WHITE)  # a record may have two moves of one colour
    assert position.passes == 0 and position.to_play == BLACK
    for size in (1, 20):
        with pytest.raises(ValueError):
            Position(size)
    assert not position.is_legal(-1) and not position.is_legal(82)


def test_drawing():
    assert [vertex(move) for move in (0, 8, 18, 360, 361)] == ['A19', 'J19', 'T19', 'T1', 'pass']
    for size in (2, 9, 19):
        assert [move_of(vertex(move, size), size) for move in range(size ** 2 + 1)] == list(range(size ** 2 + 1))
    assert move_of(' q16\n') == move_of('Q16') == 15 + 19 * 3 and move_of('PASS', 9) == 81
    for text in ('', 'I9', 'Q', 'Q0', 'Q20', 'Q016', 'Q+1', 'Q\u0661', '16', 'resign'):
        assert move_of(text) is None
    assert move_of('K9', 9) is None and move_of('A10', 9) is None
    position = Position(9)
    position.play(8)
    position.play(40)
    lines = str(position).splitlines()
    assert lines[0] == lines[-1] == '   A B C D E F G H J'
    assert lines[1] == ' 9 . . . . . . . . X  9'
    assert lines[5] == ' 5 . . . .(O). . . .  5'
    assert lines[3] == ' 7 . . + . . . + . .  7'
    assert draw(np.zeros((2, 2), int), wanted=3).splitlines()[2] == ' 1 . *  1'
    assert draw(np.ones((2, 2), int), marked=1).splitlines()[1] == ' 2 X(X) 2'
