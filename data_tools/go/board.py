"""The rules of Go on boards of 2x2 to 19x19, compiled with numba (book, 7.1.2 and 7.1.3).

A position is one flat array, `int32[STATE_LENGTH]`, so that a search copies it with one memcpy and keeps
thousands of them as the rows of one array. Compiled code uses the functions below on such an array; Python
code is better served by the class `Position`.

Two ways to name a point:

- a *move*, the same numbers as the labels of the book: x + size * y, with x from the left and y from the top
  (SGF's letters, a = 0); size * size is a pass. Networks, files and `Position` speak of moves.
- a *cell*, the index into a board with a border, always 20 cells wide, so that the neighbours of `cell` are
  cell - 20, cell - 1, cell + 1 and cell + 20 and no edge needs a test. Compiled code speaks of cells; cell
  0 is a pass.

The rules: a move is on an empty point that is not forbidden by ko; it captures; suicide is illegal.
`superko=True` of `Position` adds positional superko. Liberties are exact for every chain after every move,
not pseudo-liberties.
"""
import re
from typing import List, Optional, Sequence, Tuple

import numpy as np
from numba import njit

EMPTY, BLACK, WHITE, BORDER = 0, 1, 2, 3  # the opponent of a colour is 3 - colour
MAX_SIZE = 19
STRIDE = 20
CELLS = 421  # 21 rows of 20 and one more: the left column and the rows above and below are border
PASS = 0
RECENT_MOVES = 8

# The first numbers of a state:
SIZE = 0
TO_MOVE = 1
KO = 2  # the cell that TO_MOVE may not take back, or 0
MOVE_NUMBER = 3
PASSES = 4  # how many in a row
LOST = 5  # LOST + colour: stones of that colour captured so far (6 and 7)
HASH_LOW, HASH_HIGH = 8, 9
RECENT = 16  # the last 8 moves as cells, newest first; 0 for a pass or no move
# Then four arrays of CELLS numbers each:
COLOUR = 32
CHAIN = COLOUR + CELLS  # of a stone: one cell, the same for all stones of its chain, that names the chain
NEXT = CHAIN + CELLS  # of a stone: the next stone of its chain, round in a circle
LIBERTIES = NEXT + CELLS  # of a chain's name: its exact number of liberties
STATE_LENGTH = LIBERTIES + CELLS

# Seeded once and for ever: hashes in files and between processes agree. [low or high half, colour, cell]
ZOBRIST = np.random.RandomState(361).randint(-2 ** 31, 2 ** 31, (2, 3, CELLS), np.int64).astype(np.int32)


@njit(cache=True)
def to_cell(move: int, size: int) -> int:
    """The cell of a move; 0 for a pass (move = size * size)."""
    if move >= size * size:
        return PASS
    return (move // size + 1) * STRIDE + move % size + 1


@njit(cache=True)
def to_move(cell: int, size: int) -> int:
    """The move of a cell; size * size for a pass."""
    if cell == PASS:
        return size * size
    return (cell // STRIDE - 1) * size + cell % STRIDE - 1


@njit(cache=True)
def clear(state: np.ndarray, size: int) -> None:
    """Make `state` (STATE_LENGTH,) the empty board of `size`, black to move."""
    state[:] = 0
    state[SIZE] = size
    state[TO_MOVE] = BLACK
    state[COLOUR:COLOUR + CELLS] = BORDER
    for y in range(size):
        start = COLOUR + (y + 1) * STRIDE + 1
        state[start:start + size] = EMPTY


@njit(cache=True)
def is_legal(state: np.ndarray, cell: int, colour: int) -> bool:
    """Whether `colour` may play at `cell`: empty, not the ko point, no suicide. A pass is always legal."""
    if cell == PASS:
        return True
    if state[COLOUR + cell] != EMPTY or (cell == state[KO] and colour == state[TO_MOVE]):
        return False
    for step in (-STRIDE, -1, 1, STRIDE):
        neighbour = cell + step
        found = state[COLOUR + neighbour]
        if found == EMPTY:
            return True
        if found != BORDER:
            in_atari = state[LIBERTIES + state[CHAIN + neighbour]] == 1
            if in_atari == (found != colour):  # ours with a liberty to spare, or theirs to be captured
                return True
    return False


@njit(cache=True)
def _toggle(state: np.ndarray, colour: int, cell: int) -> None:
    """Put a stone into the hash, or take it out."""
    state[HASH_LOW] ^= ZOBRIST[0, colour, cell]
    state[HASH_HIGH] ^= ZOBRIST[1, colour, cell]


@njit(cache=True)
def _count_liberties(state: np.ndarray, chain: int) -> int:
    """The number of empty points next to a chain, each counted once, without any marks on the board."""
    count = 0
    stone = chain
    while True:
        for step in (-STRIDE, -1, 1, STRIDE):
            point = stone + step
            if state[COLOUR + point] != EMPTY:
                continue
            for back in (-STRIDE, -1, 1, STRIDE):  # counted only from the first stone of the chain around it
                around = point + back
                if around == stone:
                    count += 1
                    break
                if state[CHAIN + around] == chain:  # CHAIN is 0 where there is no stone
                    break
        stone = state[NEXT + stone]
        if stone == chain:
            return count


@njit(cache=True)
def _remove(state: np.ndarray, chain: int, capturer: int) -> int:
    """Take a chain off the board; its points become liberties of the capturer's chains. Returns its size."""
    colour = 3 - capturer
    count = 0
    stone = chain
    while True:
        following = state[NEXT + stone]
        state[COLOUR + stone] = EMPTY
        state[CHAIN + stone] = 0
        _toggle(state, colour, stone)
        count += 1
        first = second = third = 0
        for step in (-STRIDE, -1, 1, STRIDE):
            neighbour = stone + step
            if state[COLOUR + neighbour] == capturer:
                other = state[CHAIN + neighbour]
                if other != first and other != second and other != third:
                    state[LIBERTIES + other] += 1
                    first, second, third = other, first, second
        stone = following
        if stone == chain:
            state[LOST + colour] += count
            return count


@njit(cache=True)
def play(state: np.ndarray, cell: int, colour: int) -> int:
    """Play a legal move (or PASS) in place and give the turn to the opponent.

    The caller has asked `is_legal`; nothing is checked here. Returns the number of stones captured.
    """
    opponent = 3 - colour
    for i in range(RECENT + RECENT_MOVES - 1, RECENT, -1):
        state[i] = state[i - 1]
    state[RECENT] = cell
    state[MOVE_NUMBER] += 1
    state[TO_MOVE] = opponent
    state[KO] = 0
    if cell == PASS:
        state[PASSES] += 1
        return 0
    state[PASSES] = 0

    state[COLOUR + cell] = colour
    state[CHAIN + cell] = cell
    state[NEXT + cell] = cell
    _toggle(state, colour, cell)

    chain = cell
    for step in (-STRIDE, -1, 1, STRIDE):  # join our neighbours
        neighbour = cell + step
        if state[COLOUR + neighbour] == colour:
            other = state[CHAIN + neighbour]
            if other != chain:
                stone = chain  # the new stone, or what it has joined so far, takes the neighbour's name
                while True:
                    state[CHAIN + stone] = other
                    stone = state[NEXT + stone]
                    if stone == chain:
                        break
                state[NEXT + chain], state[NEXT + other] = state[NEXT + other], state[NEXT + chain]
                chain = other

    captured = 0
    captured_cell = 0
    first = second = third = 0
    for step in (-STRIDE, -1, 1, STRIDE):  # each neighbouring chain of the opponent loses this liberty, once
        neighbour = cell + step
        if state[COLOUR + neighbour] == opponent:
            other = state[CHAIN + neighbour]
            if other != first and other != second and other != third:
                first, second, third = other, first, second
                state[LIBERTIES + other] -= 1
                if state[LIBERTIES + other] == 0:
                    captured += _remove(state, np.int64(other), colour)
                    captured_cell = neighbour

    state[LIBERTIES + chain] = _count_liberties(state, chain)
    if captured == 1 and state[NEXT + cell] == cell and state[LIBERTIES + chain] == 1:
        state[KO] = captured_cell
    return captured


@njit(cache=True)
def set_up(state: np.ndarray, cells: np.ndarray, colours: np.ndarray) -> bool:
    """Put stones on the board, or take them off (EMPTY), as SGF's AB, AW and AE do.

    Chains, liberties and the hash are made anew; ko and the recent moves are forgotten. `cells` and
    `colours` are integer arrays of one length. Returns False if some chain is left without a liberty (the
    state is then useless).
    """
    for i in range(len(cells)):
        state[COLOUR + cells[i]] = colours[i]
    state[KO] = 0
    state[PASSES] = 0
    state[RECENT:RECENT + RECENT_MOVES] = 0
    state[HASH_LOW] = 0
    state[HASH_HIGH] = 0
    state[CHAIN:CHAIN + CELLS] = 0
    todo = np.empty(CELLS, np.int32)
    for start in range(CELLS):
        colour = state[COLOUR + start]
        if (colour != BLACK and colour != WHITE) or state[CHAIN + start] != 0:
            continue
        state[CHAIN + start] = start
        state[NEXT + start] = start
        todo[0] = start
        waiting = 1
        while waiting:
            waiting -= 1
            stone = todo[waiting]
            _toggle(state, colour, stone)
            for step in (-STRIDE, -1, 1, STRIDE):
                neighbour = stone + step
                if state[COLOUR + neighbour] == colour and state[CHAIN + neighbour] == 0:
                    state[CHAIN + neighbour] = start
                    state[NEXT + neighbour] = state[NEXT + start]
                    state[NEXT + start] = neighbour
                    todo[waiting] = neighbour
                    waiting += 1
        state[LIBERTIES + start] = _count_liberties(state, start)
        if state[LIBERTIES + start] == 0:
            return False
    return True


@njit(cache=True)
def position_hash(state: np.ndarray) -> int:
    """The 64-bit Zobrist hash of the stones alone (int64): equal stones, equal hash, whoever is to move."""
    return (np.int64(state[HASH_HIGH]) << np.int64(32)) | (np.int64(state[HASH_LOW]) & np.int64(0xffffffff))


@njit(cache=True)
def hash_after(state: np.ndarray, cell: int, colour: int) -> int:
    """`position_hash` as it would be after a legal move, without playing it."""
    low, high = state[HASH_LOW], state[HASH_HIGH]
    if cell != PASS:
        low ^= ZOBRIST[0, colour, cell]
        high ^= ZOBRIST[1, colour, cell]
        first = second = third = 0
        for step in (-STRIDE, -1, 1, STRIDE):
            neighbour = cell + step
            if state[COLOUR + neighbour] != 3 - colour:
                continue
            chain = state[CHAIN + neighbour]
            if state[LIBERTIES + chain] == 1 and chain != first and chain != second and chain != third:
                first, second, third = chain, first, second
                stone = chain
                while True:
                    low ^= ZOBRIST[0, 3 - colour, stone]
                    high ^= ZOBRIST[1, 3 - colour, stone]
                    stone = state[NEXT + stone]
                    if stone == chain:
                        break
    return (np.int64(high) << np.int64(32)) | (np.int64(low) & np.int64(0xffffffff))


@njit(cache=True)
def legal_moves(state: np.ndarray, seen_hashes: np.ndarray, legal: np.ndarray) -> None:
    """Mark the legal moves of the player to move.

    Parameters
    ----------
    state : int32 (STATE_LENGTH,)
    seen_hashes : int64 (k,)
        Hashes of all earlier positions of the game: positional superko. Empty: only simple ko counts.
    legal : bool or uint8 (size * size + 1,)
        Filled with 1 for legal, 0 for illegal; the last is the pass, always 1.
    """
    size, colour = np.int64(state[SIZE]), np.int64(state[TO_MOVE])
    legal[size * size] = 1
    for move in range(size * size):
        cell = to_cell(move, size)
        allowed = is_legal(state, cell, colour)
        if allowed and len(seen_hashes):
            after = hash_after(state, cell, colour)
            for i in range(len(seen_hashes) - 1, -1, -1):
                if seen_hashes[i] == after:
                    allowed = False
                    break
        legal[move] = allowed


@njit(cache=True)
def area(state: np.ndarray, owner: np.ndarray) -> Tuple[int, int]:
    """Tromp-Taylor area: stones, and empty regions that reach only one colour. No stone is taken for dead.

    `owner` (size * size,), any integers, is filled with EMPTY (neutral), BLACK or WHITE for each point.
    Returns the two areas (black, white).
    """
    size = state[SIZE]
    region = np.empty(size * size, np.int32)
    seen = np.zeros(CELLS, np.uint8)
    count = np.zeros(4, np.int64)
    for move in range(size * size):
        start = to_cell(move, size)
        if state[COLOUR + start] != EMPTY:
            owner[move] = state[COLOUR + start]
            count[state[COLOUR + start]] += 1
        elif not seen[start]:
            seen[start] = 1
            region[0] = start
            length, done, reached = 1, 0, 0  # reached: bit 1 for black, bit 2 for white
            while done < length:
                point = region[done]
                done += 1
                for step in (-STRIDE, -1, 1, STRIDE):
                    neighbour = point + step
                    found = state[COLOUR + neighbour]
                    if found == EMPTY:
                        if not seen[neighbour]:
                            seen[neighbour] = 1
                            region[length] = neighbour
                            length += 1
                    elif found != BORDER:
                        reached |= found  # BLACK is 1, WHITE is 2
            whose = reached if reached != 3 else EMPTY
            for i in range(length):
                owner[to_move(region[i], size)] = whose
            count[whose] += length
    return count[BLACK], count[WHITE]


@njit(cache=True)
def stones(state: np.ndarray, colours: np.ndarray) -> None:
    """Copy the board, BLACK, WHITE or EMPTY, into `colours` (size * size,), row by row from the top."""
    size = state[SIZE]
    for move in range(size * size):
        colours[move] = state[COLOUR + to_cell(move, size)]


class Position:
    """A game of Go so far: the board, whose turn it is, ko, and what positional superko needs.

    Parameters
    ----------
    size : int, default 19
        From 2 to 19.
    superko : bool, default False
        True forbids any move that repeats an earlier position of this game (positional superko).

    Attributes
    ----------
    state : int32 (STATE_LENGTH,)
        The position for the compiled functions of this module; see its top.
    seen : int64 (k,)
        Hashes of the positions so far, which no move may bring back; none without superko. Never changed in place.

    Raises
    ------
    ValueError
        From the constructor for a wrong size; from `play` and `set_up` for what the rules forbid.
    """

    def __init__(self, size: int = 19, superko: bool = False) -> None:
        if not 2 <= size <= MAX_SIZE:
            raise ValueError(f'a board has 2 to {MAX_SIZE} lines, not {size}')
        self.size = size
        self.superko = superko
        self.state = np.empty(STATE_LENGTH, np.int32)
        clear(self.state, size)
        self.seen = np.zeros(1 if superko else 0, np.int64)  # the empty board's hash is 0

    def copy(self) -> 'Position':
        """An independent copy: play on it, and throw it away to undo."""
        other = type(self).__new__(type(self))
        other.size, other.superko = self.size, self.superko
        other.state = self.state.copy()
        other.seen = self.seen
        return other

    @property
    def to_play(self) -> int:
        """BLACK or WHITE."""
        return int(self.state[TO_MOVE])

    @to_play.setter
    def to_play(self, colour: int) -> None:
        if colour != self.state[TO_MOVE]:
            self.state[TO_MOVE] = colour
            self.state[KO] = 0  # it forbade the other player

    @property
    def board(self) -> np.ndarray:
        """The stones, uint8 (size, size), rows from the top: EMPTY, BLACK or WHITE."""
        colours = np.empty(self.size * self.size, np.uint8)
        stones(self.state, colours)
        return colours.reshape(self.size, self.size)

    @property
    def hash(self) -> int:
        """64-bit Zobrist hash of the stones."""
        return int(position_hash(self.state))

    @property
    def passes(self) -> int:
        """How many passes in a row have just been played; 2 end a game."""
        return int(self.state[PASSES])

    @property
    def move_number(self) -> int:
        """How many moves, passes included, have been played."""
        return int(self.state[MOVE_NUMBER])

    @property
    def last_move(self) -> Optional[int]:
        """The last move, or None if it was a pass or there was none."""
        cell = int(self.state[RECENT])
        return None if cell == PASS else int(to_move(cell, self.size))

    @property
    def ko(self) -> Optional[int]:
        """The point that simple ko forbids to the player to move, or None."""
        cell = int(self.state[KO])
        return None if cell == 0 else int(to_move(cell, self.size))

    def lost(self, colour: int) -> int:
        """How many stones of `colour` have been captured so far."""
        return int(self.state[LOST + colour])

    def liberties(self, move: int) -> int:
        """The liberties of the chain at a point; 0 if it is empty."""
        chain = self.state[CHAIN + to_cell(move, self.size)]
        return int(self.state[LIBERTIES + chain]) if chain else 0

    def legal_moves(self) -> np.ndarray:
        """bool (size * size + 1,): what the player to move may play; the last is the pass, always legal."""
        legal = np.empty(self.size * self.size + 1, np.bool_)
        legal_moves(self.state, self.seen, legal)
        return legal

    def is_legal(self, move: int, colour: Optional[int] = None) -> bool:
        """Whether `colour` (default: whose turn it is) may play `move`."""
        if not 0 <= move <= self.size * self.size:
            return False
        colour = self.to_play if colour is None else colour
        cell = to_cell(move, self.size)
        if not is_legal(self.state, cell, colour):
            return False
        return cell == PASS or not self.superko or hash_after(self.state, cell, colour) not in self.seen

    def play(self, move: int, colour: Optional[int] = None, repeat: bool = False) -> int:
        """Play `move` for `colour` (default: whose turn it is). Returns the number of captured stones.

        With `repeat` even if an earlier position comes back, as a referee without superko allows.

        Raises ValueError, and changes nothing, if the move is illegal.
        """
        colour = self.to_play if colour is None else colour
        if not self.is_legal(move, colour) and not (repeat and 0 <= move < self.size ** 2
                                                    and is_legal(self.state, to_cell(move, self.size), colour)):
            raise ValueError(f'{vertex(move, self.size)} is illegal for {("black", "white")[colour - 1]}')
        captured = play(self.state, to_cell(move, self.size), colour)
        if self.superko and move != self.size * self.size:
            self.seen = np.append(self.seen, np.int64(self.hash))
        return int(captured)

    def set_up(self, black: Sequence[int] = (), white: Sequence[int] = (), empty: Sequence[int] = ()) -> None:
        """Put stones on the given points, or take them off, whatever was there.

        Raises ValueError, and changes nothing, if a point is off the board or a chain would have no liberty.
        """
        moves = [*black, *white, *empty]
        if any(not 0 <= move < self.size * self.size for move in moves):
            raise ValueError('a set-up stone is off the board')
        state = self.state.copy()
        cells = np.array([to_cell(move, self.size) for move in moves], np.int32)
        colours = np.array([BLACK] * len(black) + [WHITE] * len(white) + [EMPTY] * len(empty), np.int32)
        if not set_up(state, cells, colours):
            raise ValueError('set-up stones without a liberty')
        self.state = state
        if self.superko:
            self.seen = np.array([self.hash], np.int64)

    def area(self) -> Tuple[int, int, np.ndarray]:
        """Tromp-Taylor: (black's area, white's area, owner uint8 (size, size), EMPTY at neutral points)."""
        owner = np.empty(self.size * self.size, np.uint8)
        black, white = area(self.state, owner)
        return int(black), int(white), owner.reshape(self.size, self.size)

    def score(self, komi: float = 7.5) -> float:
        """Black's area less white's less komi: positive where black wins (book, 7.1.3)."""
        black, white, _ = self.area()
        return black - white - komi

    def __str__(self) -> str:
        return draw(self.board, self.last_move)


LETTERS = 'ABCDEFGHJKLMNOPQRST'  # no I


def vertex(move: int, size: int = 19) -> str:
    """A move in people's coordinates: 0 is 'A19' on the full board; size * size is 'pass'."""
    if move == size * size:
        return 'pass'
    return f'{LETTERS[move % size]}{size - move // size}'


def move_of(text: str, size: int = 19) -> Optional[int]:
    """What `vertex` writes, read: 'A19' is 0 on the full board, 'pass' is size * size; None if it is neither."""
    text = text.strip().upper()
    if text == 'PASS':
        return size * size
    column, row = LETTERS[:size].find(text[:1]), text[1:]
    if not text or column < 0 or not re.fullmatch('[0-9]{1,2}', row) or not 1 <= int(row) <= size:
        return None
    return column + size * (size - int(row))


def star_points(size: int) -> List[int]:
    """The moves of the points with dots on a board of `size`."""
    edge = 3 if size > 12 else 2
    lines = [] if size < 7 else [edge, size - 1 - edge]
    points = [x + size * y for x in lines for y in lines]
    if size % 2 and size >= 7:
        middle = size // 2
        points.append(middle + size * middle)
        if size > 12:
            points += [p for line in lines for p in (middle + size * line, line + size * middle)]
    return points


def draw(board: np.ndarray, marked: Optional[int] = None, wanted: Optional[int] = None) -> str:
    """A board for the terminal, with coordinates: X black, O white, + a star point.

    Parameters
    ----------
    board : integers (size, size)
        BLACK, WHITE or EMPTY, rows from the top.
    marked : int, optional
        A move shown in round brackets: the last one.
    wanted : int, optional
        An empty point shown as `*`: the move to be played.
    """
    size = len(board)
    stars = set(star_points(size))
    letters = '   ' + ' '.join(LETTERS[:size])
    lines = [letters]
    for y in range(size):
        line = f'{size - y:2}'
        for x in range(size):
            move = x + size * y
            mark = '.XO'[board[y][x]] if move not in stars or board[y][x] else '+'
            mark = '*' if move == wanted else mark
            after_bracket = x and move - 1 == marked
            line += ('(' if move == marked else ')' if after_bracket else ' ') + mark
        lines.append(line + (')' if size * y + size - 1 == marked else ' ') + f'{size - y:2}')
    return '\n'.join(lines + [letters])
