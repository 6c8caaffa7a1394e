"""Section 7.3: from a network to a player: legal moves, no own eyes, a pass at the end, resignation."""
import time

import numpy as np

from chapters.ch06_alphago.mcts import Rollouts, Search
from chapters.ch06_alphago.policy import load_policy
from chapters.ch07_policy_net.ownership import OwnersAndRollouts, load_head
from data_tools.go.board import BLACK, CHAIN, EMPTY, Position, to_cell
from data_tools.go.features import is_own_eye
from data_tools.go.player import ownership

SETTLED = 0.9  # a point is settled if nearly all games played out from here give it to the same player
RESIGN_BELOW = 0.03  # resign if less than so many of them are won,
RESIGN_AFTER = 0.3  # but not before so many moves a point
LATE = 0.5  # from so many moves a point on, moves where all is settled are not played, and passes are thought of


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

    Attributes
    ----------
    position : Position
        As it is now, with positional superko.
    moves : list of (int, int)
        (colour, move) so far.
    """
    def __init__(self, policy, visits=0, size=19, komi=7.5, temperature=0.0, resigns=True, seed=0, head=None):
        self.policy, self.visits, self.temperature = policy, visits, temperature
        self.head, self._evaluate = head, OwnersAndRollouts(policy, head) if head else None
        self.resigns, self.seed, self.komi = resigns, seed, komi
        self.seconds = None  # for the next move; None: as many as it takes
        self.clear(size)

    def clear(self, size=None):
        """Begin a new game."""
        self._begin(Position(size or self.position.size, superko=True))

    def _begin(self, position):
        self.position, self.moves, self._earlier = position, [], []
        self.policy.size = position.size
        self._random = np.random.default_rng(self.seed)
        self._search = None

    @property
    def komi(self):
        """Points that white gets for playing second."""
        return self._komi

    @komi.setter
    def komi(self, komi):
        self._komi, self._search = komi, None  # a tree searched for another komi is worth nothing

    def set_up(self, position):
        """Go on from another position."""
        self._begin(position)

    def play(self, colour, move):
        """Play a move; ValueError if it is illegal."""
        earlier = self.position.copy()
        self.position.play(move, colour)
        self._earlier.append(earlier)
        self.moves.append((colour, move))

    def follow(self, colour, move):
        """Play a move that a referee has allowed, though it may repeat an earlier position."""
        try:
            self.play(colour, move)
        except ValueError:
            relaxed = self.position.copy()
            relaxed.superko = False
            self._earlier.append(self.position)
            self.position = relaxed
            self.position.play(move, colour)
            self.moves.append((colour, move))

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

    def generate(self, colour):
        """The move that `colour` would play, size * size for a pass, or None to resign. Plays nothing."""
        self.position.to_play = colour
        position, passing = self.position, self.position.size ** 2
        chances = self.probabilities()
        if position.move_number > RESIGN_AFTER * passing:
            owned, wins = ownership(position.state, self.komi, 48, len(self.moves))
            if self.resigns and (wins if colour == BLACK else 1 - wins) < RESIGN_BELOW:
                return None
        if position.move_number > LATE * passing:
            if position.passes and self.score() * (1 if colour == BLACK else -1) > 0:
                return passing
            open_points = np.append(np.abs(owned) < SETTLED, False)
            touching = open_points.copy()
            board = np.pad(open_points[:-1].reshape(position.size, -1), 1)
            touching[:-1] |= (board[:-2, 1:-1] | board[2:, 1:-1] | board[1:-1, :-2] | board[1:-1, 2:]).ravel()
            if not (chances[touching] > 0).any():
                return passing
            chances = np.where(touching, chances, 0)
        if self.visits:
            return self._searched(chances)
        if self.temperature:
            powers = (chances / chances.max()) ** (1 / self.temperature)
            return int(self._random.choice(len(powers), p=powers / powers.sum()))
        return int(chances.argmax())

    def _searched(self, chances):
        if self._search is None:
            if self.head:
                self._evaluate.begin(self.komi, self.seed)
            evaluate = self._evaluate or Rollouts(self.komi, 1, self.seed, self.policy)
            self._search = Search(evaluate, self.komi, seed=self.seed)
        search = self._search
        search.batch = self.policy.batch
        search.start(self.position)
        if self.seconds is None:
            search.run(self.visits, chances)
        else:
            ends, visits = time.monotonic() + self.seconds, 0
            while visits < self.visits and (not visits or time.monotonic() < ends):
                visits = min(self.visits, max(visits, search.total_visits) + search.batch)
                search.run(visits, chances)
        return search.choose()

    def dead(self):
        """Moves of the stones that games played out from here do not save; chains whole."""
        owned, _ = ownership(self.position.state, self.komi, 100, len(self.moves))
        board = self.position.board.ravel()
        cells = np.array([to_cell(move, self.position.size) for move in range(board.size)])
        chains = self.position.state[CHAIN + cells]
        dead = []
        for chain in np.unique(chains[board != EMPTY]):
            members = np.flatnonzero((chains == chain) & (board != EMPTY))
            owner = owned[members].mean() * (1 if board[members[0]] == BLACK else -1)
            if owner < -0.3:
                dead += members.tolist()
        return dead

    def score(self, dead=None):
        """Black's lead by area, dead stones taken off (default: those of `dead`)."""
        cleared = self.position.copy()
        cleared.superko = False
        cleared.set_up(empty=self.dead() if dead is None else dead)
        return cleared.score(self.komi)


def load_engine(folder, visits=0, **settings):
    """The engine of a run folder, with the settings of `Engine`."""
    # within a batch not values but virtual losses choose: a twentieth of the visits is wide enough
    policy = load_policy(folder, batch=min(8, max(1, visits // 20)))
    return Engine(policy, visits, head=load_head(folder), **settings)
