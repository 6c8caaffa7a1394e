// What a network says of a position of Go by one look: its moves, who will win, and whose each point will be.
import { played, positionOf, refusal, vertices } from './game.js';
import { meanOfSides, planesOf, sensibleMoves, softmax, turnedPlanes } from './planes.js';

const SHOWN = 9; // moves, as in the book's preface
export const VALUED = 20; // moves, the likeliest, after which the head judges the position

/**
 * The network's probabilities of the moves of a position, and the first of those that may be played.
 *
 * Illegal moves and own eyes have 0, as in chapters/ch07_policy_net/engine.py; {probabilities, top: [{vertex, share}], judged}.
 */
export async function choices({ planes, size, judges }, run, states, sides, wanted) {
  const of = positionOf(states[states.length - 1]), area = size * size;
  const turned = turnedPlanes(planesOf(of, planes), size, sides);
  const [output] = await run(turned, [sides, planes, size, size], wanted);
  if (!output) return null; // the board has moved on
  const answers = answersOf(output, sides);
  const sensible = sensibleMoves(of);
  const probabilities = meanOfSides(answers.map((answer) => softmax(answer.subarray(0, area))), size)
    .map((share, move) => (sensible[move] ? share + 1e-9 : 0));
  const all = vertices(size), order = [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  const top = [];
  for (const number of order) {
    if (top.length === SHOWN || !probabilities[number]) break;
    if (refusal(states, all[number])) probabilities[number] = 0; // it repeats a position
    else top.push({ vertex: all[number], number });
  }
  const total = probabilities.reduce((one, other) => one + other, 0) || 1;
  const shares = probabilities.map((share) => share / total);
  const judged = judges ? judgement(answers, size, states[states.length - 1].toMove) : null;
  return { probabilities: shares, top: top.map(({ vertex, number }) => ({ vertex, share: shares[number] })), judged };
}

export const answersOf = ({ data, dims: [, length] }, sides) =>
  Array.from({ length: sides }, (_, side) => data.subarray(side * length, (side + 1) * length));

/** What the head of 7.2 says, for Black: {owners: from 1 to -1, White's; lead: in points, komi left out; spread}. */
export function judgement(answers, size, toMove) {
  const area = size * size, mean = (at) => answers.reduce((sum, answer) => sum + answer[at], 0) / answers.length;
  const owners = meanOfSides(answers.map((answer) => answer.subarray(area, 2 * area)), size).map((owner) => owner * toMove);
  return { owners, lead: toMove * mean(2 * area), spread: mean(2 * area + 1) };
}

/** How likely one wins who is so many points ahead, as chapters/ch07_policy_net/ownership.py has it. */
export const chance = (ahead, spread) => (1 + Math.tanh(ahead / (2 * spread))) / 2;

/**
 * What the head says after each of the likeliest moves; `tell` gets {count, moves: [{vertex, lead, spread}]} after every one.
 *
 * From one side of the board, as the engine's `values`, which 6.2.6 draws: eight would take eight times as long.
 * The page stays at work in between, and nothing more is computed once the values are no longer `wanted`.
 */
export async function valuesAfter({ planes, size }, run, states, probabilities, tell, wanted) {
  const all = vertices(size), order = [...probabilities.keys()].sort((one, other) => probabilities[other] - probabilities[one]);
  const likely = [];
  for (const number of order) {
    if (likely.length === VALUED || !probabilities[number]) break;
    if (!refusal(states, all[number])) likely.push(all[number]);
  }
  const moves = [];
  tell({ count: likely.length, moves: [] });
  for (const vertex of likely) {
    await new Promise((next) => { setTimeout(next); });
    if (!wanted()) return;
    const after = played(states, vertex).at(-1);
    const [output] = await run(planesOf(positionOf(after), planes), [1, planes, size, size], wanted);
    if (!output || !wanted()) return;
    const { lead, spread } = judgement(answersOf(output, 1), size, after.toMove);
    moves.push({ vertex, lead, spread });
    tell({ count: likely.length, moves: [...moves] });
  }
}
