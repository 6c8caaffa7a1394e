"""Section 7.3: from a network to a player: legal moves, no own eyes, a pass at the end, resignation."""
import sys
import time
from collections import namedtuple

import numpy as np

from chapters.ch06_alphago.mcts import Rollouts, Search
from chapters.ch06_alphago.policy import load_policy
from chapters.ch07_policy_net.ownership import OwnersAndRollouts, load_head
from chapters.ch07_policy_net.seki import seki
from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.board import BLACK, CHAIN, EMPTY, MAX_SIZE, MOVE_NUMBER, WHITE, Position, to_cell
from data_tools.go.features import is_own_eye
from data_tools.go.player import ownership

SETTLED = 0.9  # a point is settled if nearly all games played out from here give it to the same player
RESIGN_BELOW = 0.03  # resign if less than so many of them are won,
RESIGN_AFTER = 0.3  # but not before so many moves, or stones, a point
LATE = 0.5  # from so many moves, or stones, a point on, moves where all is settled are not played, and passes are thought of
MOST_VISITS = 30000  # of a search that nobody stops: a visit keeps 13 kB

Rules = namedtuple('Rules', 'captures repeats handicap')
Rules.__doc__ = """Rules of counting by area.

captures: dead stones count unless they are captured; else players agree about them. repeats: the opponent may bring an
earlier position back; the engine never does. handicap: what white gets for n handicap stones."""
RULES = {'chinese': Rules(False, True, lambda stones: stones),
         'aga': Rules(False, True, lambda stones: stones - 1),
         'new-zealand': Rules(False, True, lambda stones: 0),
         'tromp-taylor': Rules(True, False, lambda stones: 0)}


class Engine:
    """A game of Go and a player of both colours.

    Parameters
    ----------
    policy : Policy
    visits : int
        Of the tree search for every move; 0: play what the network likes best.
    size : int
    komi : float
    temperature : float
        Without search: above 0, draw moves by probability ** (1 / temperature), for variety.
    resigns : bool
    seed : int
    head : OwnershipHead, optional
        Has a say in the value of what is searched.
    say : callable
        Told once in how many bits the network searches. Default: nobody.
    rules : str
        One of `RULES`.
    rollouts : float, optional
        Share that a game played out has in the value of what is searched, the rest is the head's: 0, the head alone, to 1.
        Without a head it is all of it. Default: the share of the board that has stones on it.
    resign_below : float
        Resign if less than such a share of games played out from here is won: 0.2 in AlphaGo (6.1.1).

    Attributes
    ----------
    position : Position
        As it is now, with positional superko.
    moves : list of (int, int)
        (colour, move) so far.
    handicap : int
        Stones that black was given.

    Raises
    ------
    UserError
        A setting that is none.
    """
    def __init__(self, policy, visits=0, size=19, komi=7.5, temperature=0.0, resigns=True, seed=0, head=None,
                 say=lambda words: None, rules='chinese', rollouts=None, resign_below=RESIGN_BELOW):
        _check('visits', visits, visits >= 0, 'a number from 0 on')
        _check('temperature', temperature, 0 <= temperature < np.inf, 'a number from 0 on')
        _check('size', size, 2 <= size <= MAX_SIZE, f'a board has 2 to {MAX_SIZE} lines')
        _check('komi', komi, abs(komi) <= 1000, 'a number of points')
        _check('seed', seed, seed >= 0, 'a number from 0 on')
        _check('resign_below', resign_below, 0 <= resign_below <= 1, 'a share from 0 to 1')
        self.policy, self.visits, self.temperature = policy, visits, temperature
        self.head, self._evaluate = head, OwnersAndRollouts(policy, head, say=say) if head else None
        self.resigns, self.resign_below, self.seed, self._komi = resigns, resign_below, seed, komi
        self.seconds = None  # for the next move; None: as many as it takes
        self.rules, self.rollouts = rules, rollouts
        self.clear(size)

    def clear(self, size=None):
        """Begin a new game."""
        self._begin(Position(size or self.position.size, superko=True))

    def _begin(self, position):
        self.position, self.moves, self._earlier = position, [], []
        self.policy.size = position.size
        self._random = np.random.default_rng(self.seed)
        self.handicap = 0

    @property
    def komi(self):
        """Points that white gets for playing second."""
        return self._komi

    @komi.setter
    def komi(self, komi):
        self._komi, self._search = komi, None  # a tree searched for another komi is worth nothing

    @property
    def handicap(self):
        """Stones that black was given."""
        return self._handicap

    @handicap.setter
    def handicap(self, stones):
        self._handicap, self._search = stones, None

    @property
    def rules(self):
        """One of `RULES`."""
        return self._rules

    @rules.setter
    def rules(self, rules):
        _check('rules', rules, rules in RULES, f'one of {", ".join(RULES)}')
        self._rules, self._search = rules, None

    @property
    def rollouts(self):
        """Share of the value that a game played out has; None: the share of the board that has stones on it."""
        return self._rollouts

    @rollouts.setter
    def rollouts(self, share):
        _check('rollouts', share, share is None or 0 <= share <= 1,
               'a share from 0, the head alone, to 1, games played out alone')
        self._rollouts, self._search = share, None
        if self.head:
            self._evaluate.rollouts = share

    @property
    def judge(self):
        """What judges positions of this game by its komi, an `OwnersAndRollouts`.

        Raises
        ------
        UserError
            There is no head.
        """
        if not self.head:
            raise UserError('this network has nothing that judges a position; train it: '
                            'python -m chapters.ch07_policy_net.ownership --run RUN --data GAMES.sgf.xz')
        self._evaluate.begin(self.points_of_white, self.seed)
        return self._evaluate

    @property
    def points_of_white(self):
        """Komi, and what the rules give for handicap stones."""
        return self._komi + (RULES[self._rules].handicap(self._handicap) if self._handicap > 1 else 0)

    def set_up(self, position):
        """Go on from another position."""
        self._begin(position)

    def play(self, colour, move):
        """Play a move; ValueError if it is illegal. It may repeat an earlier position if the rules let it."""
        earlier = self.position.copy()
        self.position.play(move, colour, RULES[self._rules].repeats)
        self._earlier.append(earlier)
        self.moves.append((colour, move))

    def load(self, game):
        """Go on from a record, a `data_tools.go.sgf.Game`; ValueError, and nothing changed, if a move is illegal."""
        kept = dict(self.__dict__)
        try:
            self._begin(Position(game.size, superko=True))
            if game.komi is not None:
                self.komi = game.komi
            self.handicap = game.handicap
            stones = {sgf.ADD_BLACK: [], sgf.ADD_WHITE: [], sgf.REMOVE: []}
            for event in [*game.events.tolist(), None]:
                kind, move = (None, None) if event is None else divmod(event, sgf.KIND)
                if kind in stones:
                    stones[kind].append(move)
                    continue
                if any(stones.values()):
                    self.change(*stones.values())
                    if not self.moves:
                        given = game.handicap > 1 or stones[sgf.ADD_BLACK] and not stones[sgf.ADD_WHITE]
                        self.position.to_play = WHITE if given else BLACK
                    stones = {kind: [] for kind in stones}
                if event is not None:
                    colour, earlier = kind - sgf.PLAY_BLACK + 1, self.position.copy()
                    self.position.play(move, colour, repeat=True)
                    self._earlier.append(earlier)
                    self.moves.append((colour, move))
            self.position.to_play = game.to_play or self.position.to_play
        except ValueError:
            self.__dict__.update(kept)
            self.policy.size = self.position.size
            raise

    def change(self, black=(), white=(), empty=()):
        """Put stones on the board, or take them off, in the middle of a game; ValueError if one has no liberty."""
        position = self.position.copy()
        position.set_up(black, white, empty)
        self.position = position

    def undo(self):
        """Take the last move back; ValueError if there is none."""
        if not self._earlier:
            raise ValueError('cannot undo')
        self.position = self._earlier.pop()
        self.moves.pop()

    def probabilities(self, symmetries=8):
        """(size * size + 1,): the network's probability of every move that may be played, the pass last.

        Illegal moves and own eyes have 0; the pass has something only if nothing else is left.
        """
        size = self.position.size
        allowed = self.position.legal_moves()
        colour = self.position.to_play
        for move in np.flatnonzero(allowed[:-1]):
            allowed[move] = not is_own_eye(self.position.state, to_cell(move, size), colour)
        result = np.zeros(size * size + 1)
        if allowed[:-1].any():
            network = self.policy(self.position.state[None], symmetries)[0] + 1e-9
            result[:-1] = np.where(allowed[:-1], network, 0)
            result /= result.sum()
        else:
            result[-1] = 1
        return result

    def generate(self, colour, captures=None, watch=None):
        """The move that `colour` would play, size * size for a pass, or None to resign. Plays nothing.

        Parameters
        ----------
        colour : int
        captures : bool, optional
            Do not pass before the opponent's dead stones are captured; default: as the rules say.
        watch : callable, optional
            (search), called again and again while the tree is searched.
        """
        self.position.to_play = colour
        position, passing = self.position, self.position.size ** 2
        captures = RULES[self._rules].captures if captures is None else captures
        chances = self.probabilities()
        played = max(position.move_number, np.count_nonzero(position.board))  # a board may have been set up
        if played > RESIGN_AFTER * passing:
            owned, wins = ownership(position.state, self.points_of_white, 48, len(self.moves))
            if self.resigns and (wins if colour == BLACK else 1 - wins) < self.resign_below:
                return None
        if played > LATE * passing:
            lead = self.score([] if captures else None)
            if position.passes and (lead if colour == BLACK else -lead) > 0:
                return passing
            open_points = np.append(np.abs(owned) < SETTLED, False)
            chosen = _with_neighbours(open_points, position.size)
            if captures and (position.passes or not (chances[chosen] > 0).any()):
                taken = self._liberties_of_dead(3 - colour)
                chosen = taken if (chances[taken] > 0).any() else chosen
            locked = np.zeros(passing + 1, bool)  # games played out fill a seki, and so do not say that it is settled
            locked[self.seki()] = True
            chosen &= ~_with_neighbours(locked, position.size)
            if not (chances[chosen] > 0).any():
                return passing
            chances = np.where(chosen, chances, 0)
        if self.visits:
            move = self._searched(chances, watch)
        elif self.temperature:
            powers = (chances / chances.max()) ** (1 / self.temperature)
            move = int(self._random.choice(len(powers), p=powers / powers.sum()))
        else:
            move = int(chances.argmax())
        return move if position.board.any() else to_top_right(move, position.size)

    def _liberties_of_dead(self, colour):
        """bool (size * size + 1,): where dead stones of a colour are taken."""
        position, stones = self.position, np.zeros(self.position.size ** 2 + 1, bool)
        dead = np.array(self.dead(), int)
        stones[dead[position.board.ravel()[dead] == colour]] = True
        return _with_neighbours(stones, position.size)

    def _begin_search(self):
        """A tree for the position as it is now, what was searched of it kept."""
        if self._search is None:
            if self.head:
                self._evaluate.begin(self.points_of_white, self.seed)
            evaluate = self._evaluate or Rollouts(self.points_of_white, 1, self.seed, self.policy)
            self._search = Search(evaluate, self.points_of_white, seed=self.seed)
        self._search.batch = self.policy.batch
        self._search.start(self.position)
        return self._search

    def _searched(self, chances, watch):
        search = self._begin_search()
        if self.seconds is None and watch is None:
            search.run(self.visits, chances)
        else:
            ends, visits = time.monotonic() + (np.inf if self.seconds is None else self.seconds), 0
            while visits < self.visits and (not visits or time.monotonic() < ends):
                visits = min(self.visits, max(visits, search.total_visits) + search.batch)
                search.run(visits, chances)
                if watch:
                    watch(search)
        return search.choose()

    def analyse(self, colour):
        """Search for the best move of `colour` without end: yields the `Search` again and again. Plays nothing."""
        self.position.to_play = colour
        search, chances = self._begin_search(), self.probabilities()
        while True:
            if search.total_visits < MOST_VISITS:
                search.run(search.total_visits + search.batch, chances)
            else:
                time.sleep(0.05)
            yield search

    def owners(self):
        """float (size * size,): whose each point will be, from 1, black's, to -1, white's, as the head says; without one,
        as games played out do."""
        state = self.position.state
        if not self.head:
            return ownership(state, self.points_of_white, 48, len(self.moves))[0]
        return self.judge.answers(state[None])[1][0] * (1 if self.position.to_play == BLACK else -1)

    def warm_up(self):
        """Compile all that playing needs, on a board that is then forgotten: after installation it takes seconds."""
        kept = {name: getattr(self, name) for name in ('position', 'moves', '_earlier', '_random', '_search', '_handicap',
                                                       'seconds', 'resigns', 'visits')}
        self.resigns, self.seconds, self._search, self._earlier, self.moves = False, None, None, [], []
        self._random, self.visits = np.random.default_rng(self.seed), min(self.visits, 2)
        self.position = Position(self.position.size, superko=True)
        for colour, move in ((BLACK, 0), (WHITE, 1)):
            self.play(colour, move)
            self.position.state[MOVE_NUMBER] = 1000  # late in a game
            self.generate(3 - colour, captures=True)
        self.dead()
        search = next(self.analyse(BLACK))
        self.position.play(search.choose())
        search.start(self.position)  # what was searched below a move is kept
        self.position.set_up(black=[0])
        self.__dict__.update(kept)

    def values(self):
        """float (size * size,): how likely the player to move wins after each move, as the head says; nan where it is illegal.

        Raises
        ------
        UserError
            There is no head.
        """
        judge = self.judge
        moves = np.flatnonzero(self.position.legal_moves()[:-1])
        states, values = [], np.full(self.position.size ** 2, np.nan)
        for move in moves:
            after = self.position.copy()
            after.play(int(move))
            states.append(after.state)
        if states:
            values[moves] = 1 - judge.answers(np.array(states))[2]
        return values

    def dead(self):
        """Moves of the stones that games played out from here do not save; chains whole, and none that live in seki."""
        owned, _ = ownership(self.position.state, self.points_of_white, 100, len(self.moves))
        board = self.position.board.ravel()
        cells = np.array([to_cell(move, self.position.size) for move in range(board.size)])
        chains = self.position.state[CHAIN + cells]
        dead, safe = [], set(self.seki())
        for chain in np.unique(chains[board != EMPTY]):
            members = np.flatnonzero((chains == chain) & (board != EMPTY))
            owner = owned[members].mean() * (1 if board[members[0]] == BLACK else -1)
            if owner < -0.3 and not safe & set(members.tolist()):
                dead += members.tolist()
        return dead

    def seki(self):
        """Moves of the stones that live in seki (7.1.3)."""
        return seki(self.position)

    def score(self, dead=None):
        """Black's lead by area, dead stones taken off (default: those of `dead`, where players agree about them)."""
        cleared = self.position.copy()
        cleared.superko = False
        if dead is None:
            dead = [] if RULES[self._rules].captures else self.dead()
        cleared.set_up(empty=dead)
        return cleared.score(self.points_of_white)


def to_top_right(move, size):
    """A move on the empty board, turned into the corner where a game begins by courtesy (7.3): Q16, and R16 rather than Q17."""
    if move == size * size:
        return move
    x, y = (max(line, size - 1 - line) for line in divmod(move, size))
    return max(x, y) + size * (size - 1 - min(x, y))


def _with_neighbours(points, size):
    """bool (size * size + 1,): some points, and those next to them."""
    board = np.pad(points[:-1].reshape(size, -1), 1)
    around = board[:-2, 1:-1] | board[2:, 1:-1] | board[1:-1, :-2] | board[1:-1, 2:]
    return points | np.append(around.ravel(), False)


def _check(name, value, right, wanted):
    if not right:
        raise UserError(f'{name}={value}: {wanted}')


def load_engine(folder, visits=0, say=lambda words: print(words, file=sys.stderr), **settings):
    """The engine of a run folder, with the settings of `Engine`."""
    # within a batch not values but virtual losses choose: a twentieth of the visits is wide enough
    policy = load_policy(folder, batch=min(8, max(1, visits // 20)))
    return Engine(policy, visits, head=load_head(folder, policy.network), say=say, **settings)
