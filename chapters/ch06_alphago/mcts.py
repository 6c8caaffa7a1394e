"""Section 6.2: Monte Carlo tree search with PUCT, as AlphaGo and AlphaGo Zero have it.

Select, expand, evaluate, back up. Selection, expansion and backing up are compiled; evaluation is whatever
function of positions is given: a network, rollouts, both, or nothing at all. Leaves are gathered into
batches, a *virtual loss* on each path driving the next selection elsewhere, so that a network sees many
positions at once. The game is Go, or whatever else `rules.py` knows.

Papers: Silver et al., Nature 529, 2016 (https://doi.org/10.1038/nature16961), and Nature 550, 2017
(https://doi.org/10.1038/nature24270). Departures: a move never tried counts as good as its node so far, less
`UNTRIED` times the root of the prior of what was tried, so that a node of many even moves is searched in breadth;
moves that fill an own eye are not searched.
"""
import numpy as np
from numba import njit

from chapters.ch06_alphago.rules import advance, may_play, terminal_value
from data_tools.go.board import (
    CELLS,
    COLOUR,
    EMPTY,
    PASS,
    PASSES,
    SIZE,
    STATE_LENGTH,
    TO_MOVE,
    hash_after,
    position_hash,
    to_cell,
)
from data_tools.go.player import play_out, weigh

UNTRIED = 0.3
LONGEST = 400  # moves from the root of a path

# what `_select` says
LEAF, DONE, COLLISION, FULL = 0, 1, 2, 3


@njit(cache=True)
def _best_edge(prior, visits, value, exploration):
    """The edge with the highest Q + U; priors below 0 mark moves that are not searched."""
    total, mean, tried = 0, 0.0, 0.0
    for move in range(len(prior)):
        if visits[move]:
            total += visits[move]
            mean += value[move]
            tried += max(0.0, prior[move])
    mean = mean / total - UNTRIED * np.sqrt(tried) if total else 0.0
    best, best_score = -1, -1e30
    root = np.sqrt(max(1, total))
    for move in range(len(prior)):
        if prior[move] < 0:
            continue
        score = value[move] / visits[move] if visits[move] else mean
        score += exploration * prior[move] * root / (1 + visits[move])
        if score > best_score:
            best, best_score = move, score
    return best


@njit(cache=True)
def _back_up(path_nodes, path_moves, length, leaf_value, virtual, visits, values):
    """Add the value of a leaf, for its player to move, to the edges above it; take the virtual loss back."""
    for i in range(length - 1, -1, -1):
        leaf_value = -leaf_value
        visits[path_nodes[i], path_moves[i]] += 1 - virtual
        values[path_nodes[i], path_moves[i]] += leaf_value + virtual


@njit(cache=True)
def _repeats(states, seen, node, cell, path_nodes, length):
    """Whether a move brings back a position of the game, or of the path to its node: positional superko."""
    state = states[node]
    after = hash_after(state, cell, np.int64(state[TO_MOVE]))
    for i in range(len(seen) - 1, -1, -1):
        if seen[i] == after:
            return True
    for i in range(length):
        if position_hash(states[path_nodes[i]]) == after:
            return True
    return False


@njit(cache=True)
def _select(states, expanded, prior, visits, values, child, count, exploration, virtual, komi, seen, path_nodes,
            path_moves):
    """Go from the root to a leaf, making its node: (what happened, length of the path, nodes there are)."""
    node = length = 0
    while True:
        if not expanded[node]:
            return COLLISION, length, count  # its evaluation is still to come
        move = _best_edge(prior[node], visits[node], values[node], exploration)
        following, cell = child[node, move], to_cell(move, np.int64(states[node, SIZE]))
        if following < 0 and cell != PASS and len(seen) and _repeats(states, seen, node, cell, path_nodes, length):
            prior[node, move] = -1  # no node has two ways to it, so that this is for good
            continue
        path_nodes[length], path_moves[length] = node, move
        length += 1
        if following < 0:
            if count == len(states):
                return FULL, length, count
            following = count
            child[node, move] = following
            states[following] = states[node]
            advance(states[following], cell)
            expanded[following] = False
            if states[following, PASSES] < 2:
                for i in range(length):
                    visits[path_nodes[i], path_moves[i]] += virtual
                    values[path_nodes[i], path_moves[i]] -= virtual
                return LEAF, length, count + 1
            count += 1
        if states[following, PASSES] >= 2 or length == len(path_moves):
            _back_up(path_nodes, path_moves, length, terminal_value(
                states[following], komi), 0, visits, values)
            return DONE, length, count
        node = following


@njit(cache=True)
def _gather(states, expanded, prior, visits, values, child, count, exploration, virtual, komi, seen, wanted, leaves,
            path_nodes, path_moves, lengths):
    """Select until `wanted` leaves wait for evaluation, or as many selections met one that waits already.

    Returns (leaves, searches that ended at once, nodes there are, whether the tree is full).
    """
    found = done = collisions = 0
    full = False
    # paths that met a leaf which waits already; their virtual loss, too, drives the next selection elsewhere
    met_nodes = np.empty((wanted, path_nodes.shape[1]), np.int64)
    met_moves = np.empty((wanted, path_nodes.shape[1]), np.int64)
    met_lengths = np.empty(wanted, np.int64)
    while found + done < wanted and collisions < wanted:
        what, length, count = _select(states, expanded, prior, visits, values, child, count, exploration, virtual,
                                      komi, seen, path_nodes[found], path_moves[found])
        if what == LEAF:
            leaves[found], lengths[found] = count - 1, length
            found += 1
        elif what == DONE:
            done += 1
        elif what == FULL:
            full = True
            break
        else:
            met_nodes[collisions], met_moves[collisions] = path_nodes[found], path_moves[found]
            met_lengths[collisions] = length
            for i in range(length):
                visits[path_nodes[found, i], path_moves[found, i]] += virtual
                values[path_nodes[found, i], path_moves[found, i]] -= virtual
            collisions += 1
    for met in range(collisions):
        for i in range(met_lengths[met]):
            visits[met_nodes[met, i], met_moves[met, i]] -= virtual
            values[met_nodes[met, i], met_moves[met, i]] += virtual
    return found, done, count, full


@njit(cache=True)
def _expand(states, expanded, prior, node, policy):
    """Give a node its priors: the policy over the legal moves that fill no own eye, adding up to 1."""
    state = states[node]
    size = np.int64(state[SIZE])
    total = 0.0
    for move in range(size * size + 1):
        prior[node, move] = max(policy[move], 1e-8) if may_play(state, to_cell(move, size)) else -1.0
        total += max(0.0, prior[node, move])
    for move in range(size * size + 1):
        if prior[node, move] > 0:
            prior[node, move] /= total
    expanded[node] = True


@njit(cache=True)
def _finish(states, expanded, prior, visits, values, virtual, found, leaves, path_nodes, path_moves, lengths,
            policies, leaf_values):
    """Expand the evaluated leaves and back their values up."""
    for i in range(found):
        _expand(states, expanded, prior, leaves[i], policies[i])
        _back_up(path_nodes[i], path_moves[i], lengths[i], leaf_values[i], virtual, visits, values)


@njit(cache=True)
def _keep_subtree(root, count, states, expanded, prior, visits, values, child):
    """Make `root` node 0 and forget all that is not below it; the number of nodes kept."""
    old = np.empty(count, np.int32)
    old[0] = root
    kept = 1
    done = 0
    children = np.full((count, child.shape[1]), -1, np.int32)
    while done < kept:
        for move in range(child.shape[1]):
            if child[old[done], move] >= 0:
                old[kept] = child[old[done], move]
                children[done, move] = kept
                kept += 1
        done += 1
    # Children have higher numbers than their parents, and so come later in `old`: but not always in order.
    order = old[:kept].copy()
    states[:kept] = states[order]
    expanded[:kept] = expanded[order]
    prior[:kept] = prior[order]
    visits[:kept] = visits[order]
    values[:kept] = values[order]
    child[:kept] = children[:kept]
    visits[kept:count] = 0
    values[kept:count] = 0
    child[kept:count] = -1
    return kept


class Search:
    """A search tree that follows a game.

    Parameters
    ----------
    evaluate : callable
        (states int32 (N, STATE_LENGTH)) -> (policies (N, size * size + 1), the pass last, and values (N,)
        from -1 to 1 for the player to move). Policies need not add up to 1; illegal moves are masked here.
    komi : float
    exploration : float
        c of PUCT.
    batch : int
        Leaves that are evaluated at once.
    virtual_loss : int
    noise : float
        Share of Dirichlet noise in the root's priors; 0 for playing in earnest.
    seed : int
    """
    def __init__(self, evaluate, komi=7.5, exploration=1.5, batch=8, virtual_loss=1, noise=0.0, seed=0):
        self.evaluate, self.komi, self.exploration = evaluate, komi, exploration
        self.batch, self.virtual_loss, self.noise = batch, virtual_loss, noise
        self._random = np.random.default_rng(seed)
        self._count = 0
        self._states = None

    def start(self, position):
        """Search from this `Position`, keeping what was already searched below it."""
        state, self._seen = position.state, position.seen
        if self._count and np.array_equal(self._states[0], state):
            return
        self._size = int(state[SIZE])
        node = self._find(state) if self._count else -1
        if node > 0:
            self._count = _keep_subtree(node, self._count, *self._arrays)
        else:
            self._count = 0
            self._allocate(256)
            self._states[0] = state
            self._count = 1
            self._expanded[0] = False
        self._noisy = False

    def _find(self, state):
        """The node of a state one or two moves below the root, or -1."""
        for move in np.flatnonzero(self._child[0] >= 0):
            node = self._child[0, move]
            if np.array_equal(self._states[node], state):
                return node
            for reply in np.flatnonzero(self._child[node] >= 0):
                if np.array_equal(self._states[self._child[node, reply]], state):
                    return self._child[node, reply]
        return -1

    def _allocate(self, nodes):
        moves = self._size * self._size + 1
        arrays = (np.empty((nodes, STATE_LENGTH), np.int32), np.zeros(nodes, np.bool_),
                  np.empty((nodes, moves), np.float32), np.zeros((nodes, moves), np.int32),
                  np.zeros((nodes, moves), np.float32), np.full((nodes, moves), -1, np.int32))
        if self._count:
            for new, old in zip(arrays, self._arrays):
                new[:self._count] = old[:self._count]
        self._arrays = arrays
        self._states, self._expanded, self._prior, self._visits, self._values, self._child = arrays

    def run(self, visits, prior=None):
        """Search until the root has so many visits.

        Parameters
        ----------
        visits : int
        prior : array (size * size + 1,), optional
            Of the root's moves, in place of the evaluator's: the root is worth a longer look than the other nodes.
            What has 0 is not played.
        """
        if not self._expanded[0]:
            self.finish(*self.evaluate(self.collect(visits)))
        if prior is not None:
            self.forbid(np.flatnonzero(prior == 0))
            allowed = (self._prior[0] >= 0) & (prior > 0)
            self._prior[0, allowed] = prior[allowed] / prior[allowed].sum()
            self._noisy = False
        self._add_noise()
        while self.total_visits < visits:
            states = self.collect(visits)
            if len(states):
                self.finish(*self.evaluate(states))

    @property
    def expanded(self):
        """Whether the root was evaluated."""
        return bool(self._expanded[0])

    def forbid(self, moves):
        """Do not play these moves at the (expanded) root; a pass only if another move is left."""
        for move in moves:  # perhaps searched already, when it lay deeper in the tree
            self._prior[0, move], self._visits[0, move], self._values[0, move] = -1, 0, 0
        if (self._prior[0] < 0).all():
            self._prior[0, -1] = 1

    def collect(self, visits):
        """Select up to a batch of leaves, no more than are missing to so many visits.

        For several searches that share a network's batches; after it comes `finish`. A root that was never
        evaluated is the only leaf.

        Returns
        -------
        int32 (N, STATE_LENGTH)
            The positions to evaluate; N may be 0.
        """
        if not self._expanded[0]:
            self._found = -1
            return self._states[:1]
        self._leaves, self._lengths = np.empty((2, self.batch), np.int64)
        self._path_nodes, self._path_moves = np.empty((2, self.batch, LONGEST), np.int64)
        self._found, _, self._count, full = _gather(
            self._states, self._expanded, self._prior, self._visits, self._values, self._child, self._count,
            self.exploration, self.virtual_loss, self.komi, self._seen, max(0, min(
                self.batch, visits - self.total_visits)), self._leaves,
            self._path_nodes, self._path_moves, self._lengths)
        states = self._states[self._leaves[:self._found]]
        if full:
            self._allocate(2 * len(self._states))
        return states

    def finish(self, policies, values):
        """Take the evaluations (N, size * size + 1) and (N,) of what `collect` returned."""
        policies, values = np.asarray(policies, np.float64), np.asarray(values, np.float64)
        if self._found < 0:
            _expand(self._states, self._expanded, self._prior, 0, policies[0])
            self._add_noise()
        else:
            _finish(self._states, self._expanded, self._prior, self._visits, self._values, self.virtual_loss,
                    self._found, self._leaves, self._path_nodes, self._path_moves, self._lengths, policies, values)

    def _add_noise(self):
        """Dirichlet noise for the root, once."""
        if self.noise and not self._noisy:
            allowed = np.flatnonzero(self._prior[0] >= 0)
            noise = self._random.dirichlet(np.full(len(allowed), 10 / len(allowed)))
            self._prior[0, allowed] = (1 - self.noise) * self._prior[0, allowed] + self.noise * noise
            self._noisy = True

    @property
    def total_visits(self):
        """Visits of the root's moves."""
        return int(self._visits[0].sum())

    @property
    def visits(self):
        """int (size * size + 1,): visits of each move at the root."""
        return self._visits[0].copy()

    @property
    def prior(self):
        """float (size * size + 1,): the prior of each move at the root; below 0 where it is not searched."""
        return self._prior[0].copy()

    @property
    def nodes(self):
        """How many positions the tree holds."""
        return self._count

    def value(self, move=None):
        """The mean value, for the player to move at the root, of a move or of the root itself."""
        if move is None:
            return float(self._values[0].sum() / max(1, self.total_visits))
        return float(self._values[0, move] / max(1, self._visits[0, move]))

    def choose(self, temperature=0.0):
        """A move, drawn in proportion to visits ** (1 / temperature); at temperature 0 the most visited, at infinity any
        that was visited."""
        visits = self._visits[0].astype(np.float64)
        if temperature == 0:
            return int(visits.argmax())
        powers = np.where(visits > 0, (visits / visits.max()) ** (1 / temperature), 0)
        return int(self._random.choice(len(visits), p=powers / powers.sum()))

    def variation(self, move):
        """The moves that the search expects after `move`, itself first."""
        moves, node = [int(move)], self._child[0, move]
        while node >= 0 and self._visits[node].any():
            best = int(self._visits[node].argmax())
            moves.append(best)
            node = self._child[node, best]
        return moves


def nothing_known(states):
    """An evaluator for nothing: all moves alike, every position even."""
    size = int(states[0, SIZE])
    return np.ones((len(states), size * size + 1)), np.zeros(len(states))


@njit(cache=True, nogil=True)
def pass_probability(states):
    """(N,), for a policy that knows no pass: as likely as any empty point, but more after the opponent's pass.

    In a seki every move loses, and the pass that saves it must be tried.
    """
    chances = np.empty(len(states))
    for n in range(len(states)):
        empty = np.sum(states[n, COLOUR:COLOUR + CELLS] == EMPTY)
        chances[n] = 0.2 if states[n, PASSES] else 1 / (1 + empty)
    return chances


@njit(cache=True, nogil=True)
def _rollouts(states, komi, rollouts, random, policies, values):
    state, passing = np.empty(STATE_LENGTH, np.int32), pass_probability(states)
    for n in range(len(states)):
        size = np.int64(states[n, SIZE])
        total = weigh(states[n], policies[n, :size * size])
        policies[n, size * size] = passing[n] * total + 1e-3
        values[n] = 0
        for _ in range(rollouts):
            state[:] = states[n]
            result = 2 * play_out(state, komi, random) - 1
            values[n] += (result if states[n, TO_MOVE] == 1 else -result) / rollouts


class Rollouts:
    """Evaluation without a network: games played out by `data_tools.go.player`, whose weights are the policy.

    Parameters
    ----------
    komi : float
    rollouts : int
        Games from each position.
    seed : int
    policy : callable, optional
        (states) -> probabilities (N, size * size), e.g. a `Policy`: takes the place of the player's weights,
        as in AlphaGo.
    """
    def __init__(self, komi=7.5, rollouts=1, seed=0, policy=None):
        self._komi, self._rollouts, self._policy = komi, rollouts, policy
        self._random = np.random.default_rng([seed, 6]).integers(0, 2 ** 63, 1).astype(np.uint64)

    def __call__(self, states):
        size = int(states[0, SIZE])
        policies, values = np.empty((len(states), size * size + 1)), np.empty(len(states))
        _rollouts(np.ascontiguousarray(states), self._komi, self._rollouts, self._random, policies, values)
        if self._policy:
            policies[:, :-1] = self._policy(states)
            policies[:, -1] = pass_probability(states)
        return policies, values
