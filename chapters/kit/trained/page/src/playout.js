// Games played out by a light player, move by move by chance: data_tools/go/player.py, whose file says why the weights are so.
import { BLACK, BORDER, CELLS, DIAGONALS, EMPTY, PASS, STEPS, STRIDE, WHITE, toCell } from './planes.js';

const CAPTURE = 30, RESCUE = 15, ATARI = 4, SELF_ATARI = 0.02, CONTACT = 1.5;
const NEAR = 8, NEARBY = 3; // to the last move
const LINES = [0.05, 0.3, 2, 2]; // where nothing is near: the first to the fourth line
const AROUND = [0, ...STEPS, ...DIAGONALS];

/** Who wins a game played out from a position: 1 black, -1 white, 0 nobody. One that does not end is counted. */
export function playOut(from, komi, random = Math.random) {
  const of = from.copy(), player = new Player(of), most = 3 * of.size ** 2;
  for (let moves = 0; moves < most && of.passes < 2; moves++) of.advance(player.choose(random));
  return Math.sign(of.lead() - komi);
}

/** A player of both colours on a board that others change; it weighs only points again that may have another weight. */
export class Player {
  constructor(of) {
    this.of = of;
    this.cells = Array.from({ length: of.size ** 2 }, (_, move) => toCell(move, of.size));
    this.seen = new Int16Array(CELLS).fill(-1); // how each point looked when it was weighed
    this.known = { [BLACK]: new Float64Array(CELLS), [WHITE]: new Float64Array(CELLS) };
    this.weights = new Float64Array(CELLS);
  }

  /** A cell, drawn by the weights; PASS where nothing is left to play. */
  choose(random) {
    let wanted = this.weigh() * random();
    return this.cells.find((cell) => this.weights[cell] && (wanted -= this.weights[cell]) < 0) ?? PASS;
  }

  /** Fill `weights` of the cells, 0 for what is never played; returns their sum. */
  weigh() {
    const { of, cells, seen, known, weights } = this, stale = new Set();
    for (const cell of cells) {
      const look = lookOf(of, cell);
      if (look !== seen[cell]) for (const step of AROUND) stale.add(cell + step);
      seen[cell] = look;
    }
    for (const cell of stale) {
      for (const colour of [BLACK, WHITE]) known[colour][cell] = of.colours[cell] === EMPTY ? weightOf(of, cell, colour) : 0;
    }
    weights.set(known[of.toMove]);
    weights[of.ko] = 0;
    if (of.last !== PASS) this.preferNear();
    let all = 0;
    for (const cell of cells) all += weights[cell];
    return all;
  }

  preferNear() {
    const { of: { size, last }, weights } = this, x = last % STRIDE, y = Math.floor(last / STRIDE);
    for (let row = Math.max(1, y - 3); row <= Math.min(size, y + 3); row++) {
      const far = 3 - Math.abs(row - y);
      for (let column = Math.max(1, x - far); column <= Math.min(size, x + far); column++) {
        weights[row * STRIDE + column] *= Math.abs(row - y) < 2 && Math.abs(column - x) < 2 ? NEAR : NEARBY;
      }
    }
  }
}

/** All of a point that its neighbours' weights depend on. */
function lookOf(of, cell) {
  const { colours, chain, liberties } = of;
  if (colours[cell] === EMPTY) return 0;
  const free = liberties[chain[cell]];
  return colours[cell] + 4 * Math.min(3, free) + (free === 1 ? 16 * of.stonesOf(chain[cell]).length : 0);
}

function weightOf(of, cell, colour) {
  const { size, colours, chain, liberties } = of;
  let empty = 0, own = 0, most = 0, rescued = 0, captured = 0, atari = false, touched = false;
  for (const step of STEPS) {
    const found = colours[cell + step];
    if (found === EMPTY) empty++;
    if (found === EMPTY || found === BORDER) continue;
    touched = true;
    const name = chain[cell + step], free = liberties[name], stones = free === 1 ? of.stonesOf(name).length : 0;
    if (found === colour) {
      own++;
      rescued += stones;
      most = Math.max(most, free - 1); // liberties that the new chain has of this one
    } else {
      captured += stones;
      atari ||= free === 2;
    }
  }
  if (!empty && !captured && (!most || of.isOwnEye(cell, colour))) return 0; // suicide, or an own eye
  const alive = captured || empty + most >= 2; // about: the new chain has two liberties or more
  let weight = captured ? CAPTURE * captured : 1;
  if (!alive) weight *= SELF_ATARI;
  else if (rescued) weight *= RESCUE;
  if (atari && alive) weight *= ATARI;
  if (own && own + empty < 4) weight *= CONTACT;
  touched ||= DIAGONALS.some((step) => colours[cell + step] !== EMPTY && colours[cell + step] !== BORDER);
  return touched || size < 9 ? weight : weight * aloneOn(cell, size);
}

function aloneOn(cell, size) {
  const x = cell % STRIDE - 1, y = Math.floor(cell / STRIDE) - 1;
  return LINES[Math.min(x, size - 1 - x, y, size - 1 - y)] ?? 1;
}
