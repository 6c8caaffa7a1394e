// Section 6.2: Monte Carlo tree search with PUCT, as chapters/ch06_alphago/mcts.py has it: select, expand, evaluate, back up.
//
// One position after the other, as there with batches of 1; so that the page stays at work, the search pauses now and then.
import { positionOf, vertices } from './game.js';
import { answersOf, chance } from './answers.js';
import { BLACK, EMPTY, PASS, planesOf, sensibleMoves, softmax, toCell } from './planes.js';
import { playOut } from './playout.js';

const EXPLORATION = 1.5; // c of PUCT
const UNTRIED = 0.3; // a move never tried counts as its node so far, less this times the root of the prior of what was tried
const BUSY = 30; // milliseconds of work between two pauses
const TELLING = 250; // milliseconds between two reports

/**
 * A search tree of a position.
 *
 * network: {planes, size}; run: what loadNetwork gives; states: of the game so far, none of which may come back; prior: of each
 * move of the last state, what has 0 is not searched; rollouts: the share that a game played out has in the value of a position,
 * the rest is the head's; by default, as the engine plays, the share of the board that has stones on it, and all of it without a
 * head. `total` is how many visits there were.
 */
export class Search {
  constructor({ planes, size, judges }, run, states, prior, komi, rollouts = judges ? null : 1) {
    Object.assign(this, { planes, size, run, komi, rollouts, total: 0 });
    this.vertices = [...vertices(size), null]; // of each move, the pass last
    this.cells = this.vertices.map((vertex, move) => (vertex ? toCell(move, size) : PASS));
    this.seen = new Set(states.map(({ board }) => String(board.signMap)));
    const last = states.at(-1);
    this.root = this.node(Object.assign(positionOf(last), { passes: last.passes }));
    const after = (move) => this.node(this.root.of.play(this.cells[move]));
    const allowed = Array.from(prior, (share, move) => (share && !this.repeats(after(move), []) ? share : 0));
    this.root.edges = edgesOf([...allowed, allowed.some(Boolean) ? 0 : 1]);
  }

  /** Search until there were so many visits, or `wanted()` is no longer true; `tell` is called now and then and at the end. */
  async until(visits, tell, wanted) {
    let paused = performance.now(), told = paused;
    while (this.total < visits) {
      const path = this.select(), leaf = path.at(-1).child;
      const { policy, value } = leaf.of.passes < 2 ? await this.evaluate(leaf.of, wanted) : { value: this.result(leaf.of) };
      if (!wanted()) return;
      if (policy) leaf.edges = edgesOf(policy);
      backUp(path, value);
      this.total++;
      const now = performance.now();
      if (now - told > TELLING) {
        tell();
        told = now;
      }
      if (now - paused > BUSY) {
        await new Promise((next) => { setTimeout(next); });
        paused = performance.now();
      }
    }
    tell();
  }

  /** The edges from the root to a leaf, whose node is made. */
  select() {
    const path = [];
    let node = this.root;
    while (node.edges) {
      const edge = bestEdge(node.edges);
      edge.child ??= this.node(node.of.play(this.cells[edge.move]));
      if (!edge.visits && this.repeats(edge.child, path)) {
        node.edges.splice(node.edges.indexOf(edge), 1);
        continue;
      }
      path.push(edge);
      node = edge.child;
    }
    return path;
  }

  /** Whether a move brings a position of the game, or of the path to it, back: positional superko. A pass may. */
  repeats({ of, key }, path) {
    return !of.passes && (this.seen.has(key) || path.some(({ child }) => child.key === key));
  }

  /** A position in the tree; its edges are there once it was evaluated, and never if the game is over. */
  node(of) {
    return { of, edges: null, key: String(this.cells.slice(0, -1).map((cell) => [0, 1, -1][of.colours[cell]])) };
  }

  /** The policy over all moves, the pass last, and the value from -1 to 1, both of the player to move. */
  async evaluate(of, wanted) {
    const { planes, size, komi } = this, area = size * size;
    const [output] = await this.run(planesOf(of, planes), [1, planes, size, size], wanted);
    if (!output) return {};
    const [answer] = answersOf(output, 1), sensible = sensibleMoves(of);
    const policy = softmax(answer.subarray(0, area)).map((share, move) => sensible[move] && Math.max(share, 1e-8));
    const empty = of.colours.reduce((count, colour) => count + (colour === EMPTY), 0);
    policy.push(of.passes ? 0.2 : 1 / (1 + empty)); // the network knows no pass
    const rollouts = this.rollouts ?? 1 - empty / area;
    let value = 0;
    if (rollouts < 1) value += (1 - rollouts) * (2 * chance(answer[2 * area] - moverOf(of) * komi, answer[2 * area + 1]) - 1);
    if (rollouts > 0) value += rollouts * moverOf(of) * playOut(of, komi);
    return { policy, value };
  }

  result(of) {
    return moverOf(of) * Math.sign(of.lead() - this.komi);
  }

  /** The moves that were visited, the most visited first: {vertex (null: the pass), visits, share, value: the chance to win}. */
  moves() {
    return this.root.edges.filter(({ visits }) => visits).sort((one, other) => other.visits - one.visits)
      .map(({ move, visits, value }) =>
        ({ vertex: this.vertices[move], visits, share: visits / this.total, value: (value / visits + 1) / 2 }));
  }

  /** The vertices of the moves that it expects, its choice first. */
  line() {
    const line = [];
    for (let edge = mostVisited(this.root); edge?.visits; edge = mostVisited(edge.child)) line.push(this.vertices[edge.move]);
    return line;
  }
}

const moverOf = ({ toMove }) => (toMove === BLACK ? 1 : -1);

/** The moves of a node that a policy has more than 0 for; `value` is the sum of those of all visits. */
function edgesOf(policy) {
  const total = policy.reduce((one, other) => one + other);
  return policy.flatMap((share, move) => (share ? [{ move, prior: share / total, visits: 0, value: 0, child: null }] : []));
}

/** The edge with the highest Q + U. */
function bestEdge(edges) {
  let total = 0, mean = 0, tried = 0, best, bestScore = -Infinity;
  for (const { prior, visits, value } of edges) {
    if (!visits) continue;
    total += visits;
    mean += value;
    tried += prior;
  }
  mean = total ? mean / total - UNTRIED * Math.sqrt(tried) : 0;
  const root = Math.sqrt(Math.max(1, total));
  for (const edge of edges) {
    const { prior, visits, value } = edge;
    const score = (visits ? value / visits : mean) + EXPLORATION * prior * root / (1 + visits);
    if (score > bestScore) [best, bestScore] = [edge, score];
  }
  return best;
}

/** Add the value of a leaf, for its player to move, to the edges above it. */
function backUp(path, value) {
  for (const edge of path.reverse()) {
    value = -value;
    edge.visits++;
    edge.value += value;
  }
}

const mostVisited = ({ edges }) => edges?.reduce((one, other) => (other.visits > one.visits ? other : one));
