// The feature planes of a Go position, as data_tools/go/features.py computes them: the book's 8 (4.2.1), these with
// what AlphaGo's planes say of a move (36), and AlphaGo's 48. What the planes mean stands at the top of that file.
// tests/page/test_planes.py holds both sides together.
//
// The rules are here a second time, beside @sabaki/go-board, which keeps the game: the ladders try a thousand moves,
// and so need a board that is copied quickly.

export const EMPTY = 0, BLACK = 1, WHITE = 2, BORDER = 3; // the opponent of a colour is 3 - colour
export const PLANES = [8, 36, 48]; // how many there may be

const STRIDE = 20; // a board with a border, as in board.py: the neighbours of a cell need no test
const CELLS = 421;
const STEPS = [-STRIDE, -1, 1, STRIDE];
const DIAGONALS = [-STRIDE - 1, -STRIDE + 1, STRIDE - 1, STRIDE + 1];
const LADDER_NODES = 1000; // moves tried for one ladder before giving up
const LADDER_DEPTH = 300;

/** A position: the stones, who is to move, the cell that ko forbids to them (or 0), the cell of the last move (or 0). */
class Position {
  constructor(size, colours, toMove, ko = 0, last = 0) {
    Object.assign(this, { size, colours, toMove, ko, last });
  }

  /** The chain at a cell: its stones and its liberties, each once. */
  chain(cell) {
    const { colours } = this, colour = colours[cell];
    const stones = [cell], liberties = [], seen = new Uint8Array(CELLS);
    seen[cell] = 1;
    for (let i = 0; i < stones.length; i++) {
      for (const step of STEPS) {
        const around = stones[i] + step;
        if (seen[around]) continue;
        seen[around] = 1;
        if (colours[around] === colour) stones.push(around);
        else if (colours[around] === EMPTY) liberties.push(around);
      }
    }
    return { stones, liberties };
  }

  /** Whether the player to move may play at a cell: empty, not the ko point, no suicide. */
  isLegal(cell) {
    const { colours, toMove } = this;
    if (colours[cell] !== EMPTY || cell === this.ko) return false;
    for (const step of STEPS) if (colours[cell + step] === EMPTY) return true;
    for (const step of STEPS) {
      const found = colours[cell + step];
      if (found === BORDER) continue;
      const inAtari = this.chain(cell + step).liberties.length === 1;
      if (inAtari === (found !== toMove)) return true; // ours with a liberty to spare, or theirs to be captured
    }
    return false;
  }

  /** The position after a legal move, and how many stones it captured. */
  play(cell) {
    const colours = this.colours.slice(), opponent = 3 - this.toMove;
    const after = new Position(this.size, colours, opponent, 0, cell);
    colours[cell] = this.toMove;
    let captured = 0, capturedCell = 0;
    for (const step of STEPS) {
      if (colours[cell + step] !== opponent) continue;
      const { stones, liberties } = after.chain(cell + step);
      if (liberties.length) continue;
      for (const stone of stones) colours[stone] = EMPTY;
      captured += stones.length;
      capturedCell = cell + step;
    }
    if (captured === 1) {
      const { stones, liberties } = after.chain(cell);
      if (stones.length === 1 && liberties.length === 1) after.ko = capturedCell;
    }
    after.captured = captured;
    return after;
  }

  /** Whether an empty cell is an eye of a colour. */
  isOwnEye(cell, colour) {
    const { colours } = this;
    for (const step of STEPS) {
      if (colours[cell + step] !== colour && colours[cell + step] !== BORDER) return false;
    }
    let edge = 0, enemies = 0;
    for (const step of DIAGONALS) {
      edge |= colours[cell + step] === BORDER;
      enemies += colours[cell + step] === 3 - colour;
    }
    return enemies + edge < 2;
  }
}

const toCell = (move, size) => (Math.floor(move / size) + 1) * STRIDE + move % size + 1;
const toMove = (cell, size) => (Math.floor(cell / STRIDE) - 1) * size + cell % STRIDE - 1;

/**
 * A position for the functions below.
 *
 * stones: size * size colours, row by row from the top; ko, last: moves x + size * y, or -1.
 */
export function position(size, stones, colour, ko = -1, last = -1) {
  const colours = new Uint8Array(CELLS).fill(BORDER);
  for (let move = 0; move < size * size; move++) colours[toCell(move, size)] = stones[move];
  return new Position(size, colours, colour, ko < 0 ? 0 : toCell(ko, size), last < 0 ? 0 : toCell(last, size));
}

/** Of each move 1 if it is legal and fills no own eye: what a player considers. */
export function sensibleMoves(of) {
  const { size } = of, sensible = new Uint8Array(size * size);
  for (let move = 0; move < size * size; move++) {
    const cell = toCell(move, size);
    sensible[move] = of.isLegal(cell) && !of.isOwnEye(cell, of.toMove) ? 1 : 0;
  }
  return sensible;
}

/** The planes of the player to move, Float32Array of count * size * size zeros and ones. */
export function planesOf(of, count) {
  const area = of.size * of.size;
  if (count === 8) return bookPlanes(of);
  const alphago = alphagoPlanes(of);
  if (count === 48) return alphago;
  const planes = new Float32Array(36 * area);
  planes.set(bookPlanes(of));
  planes.set(alphago.subarray(3 * area, 4 * area), 8 * area);
  planes.set(alphago.subarray(20 * area, 47 * area), 9 * area);
  return planes;
}

/** The last move, chains of 4 and more, 3, 2, 1 liberties, empty, opponent's, own: the order of the packed files (7.1). */
function bookPlanes(of) {
  const area = of.size * of.size, planes = new Float32Array(8 * area), liberties = libertiesOf(of);
  for (let move = 0; move < area; move++) {
    const cell = toCell(move, of.size), found = of.colours[cell];
    if (found === EMPTY) planes[5 * area + move] = 1;
    else {
      planes[(found === of.toMove ? 7 : 6) * area + move] = 1;
      planes[(5 - Math.min(liberties[cell], 4)) * area + move] = 1;
    }
  }
  if (of.last) planes[toMove(of.last, of.size)] = 1;
  return planes;
}

/** Of each cell with a stone the liberties of its chain. */
function libertiesOf(of) {
  const counts = new Int32Array(CELLS);
  for (const { stones, liberties } of chainsOf(of)) for (const stone of stones) counts[stone] = liberties.length;
  return counts;
}

function chainsOf(of) {
  const seen = new Uint8Array(CELLS), chains = [];
  for (let cell = 0; cell < CELLS; cell++) {
    if (of.colours[cell] === EMPTY || of.colours[cell] === BORDER || seen[cell]) continue;
    const chain = of.chain(cell);
    for (const stone of chain.stones) seen[stone] = 1;
    chains.push(chain);
  }
  return chains;
}

function alphagoPlanes(of) {
  const { size, colours, toMove: colour } = of, area = size * size;
  const planes = new Float32Array(48 * area).fill(1, 3 * area, 4 * area), liberties = libertiesOf(of);
  for (let move = 0; move < area; move++) {
    const cell = toCell(move, size), found = colours[cell];
    const set = (plane) => { planes[plane * area + move] = 1; };
    if (found !== EMPTY) {
      set(found === colour ? 0 : 1);
      set(cell === of.last ? 4 : 11); // turns since: only the last move is known, as in packed positions
      set(11 + Math.min(liberties[cell], 8));
      continue;
    }
    set(2);
    if (!of.isLegal(cell)) continue;
    if (!of.isOwnEye(cell, colour)) set(46);
    let captured = 0, stones = 1, free = 0, alone = true;
    for (const step of STEPS) {
      const around = colours[cell + step];
      free += around === EMPTY;
      if (around === colour || (around === 3 - colour && liberties[cell + step] === 1)) alone = false;
    }
    if (!alone) { // it joins or captures: play it and look
      const after = of.play(cell), chain = after.chain(cell);
      captured = after.captured;
      free = chain.liberties.length;
      stones = chain.stones.length;
    }
    if (captured) set(19 + Math.min(captured, 8));
    if (free === 1) set(27 + Math.min(stones, 8));
    set(35 + Math.min(free, 8));
  }
  for (const { stones, liberties: free } of chainsOf(of)) {
    const theirs = colours[stones[0]] !== colour;
    if (free.length !== (theirs ? 2 : 1)) continue;
    for (const cell of answers(of, stones[0])) {
      if (isCaught(of, stones[0], cell) === theirs) planes[(theirs ? 44 : 45) * area + toMove(cell, size)] = 1;
    }
  }
  return planes;
}

/** The moves that matter to a chain with 1 or 2 liberties: these, and with 1, captures of what attacks it. */
function answers(of, stone) {
  const { stones, liberties } = of.chain(stone), cells = [...liberties];
  if (liberties.length > 1) return cells;
  for (const one of stones) {
    for (const step of STEPS) {
      if (of.colours[one + step] !== 3 - of.colours[stone]) continue;
      const attacker = of.chain(one + step);
      if (attacker.liberties.length === 1 && !cells.includes(attacker.liberties[0]) && cells.length < 16) {
        cells.push(attacker.liberties[0]);
      }
    }
  }
  return cells;
}

/**
 * Whether the chain at `stone` is lost in a ladder, whoever is to move playing `first`.
 *
 * The hunter gives atari from either side, the hunted answers. A ladder that takes too many moves counts as not caught.
 */
function isCaught(of, stone, first) {
  const tooLong = {};
  let nodes = 0;

  function caught(now, moves, depth) {
    const hunting = now.colours[stone] !== now.toMove;
    for (const cell of moves) {
      if (!now.isLegal(cell)) continue;
      if (depth + 1 === LADDER_DEPTH || nodes === LADDER_NODES) throw tooLong;
      nodes++;
      if (after(now.play(cell), depth + 1) === hunting) return hunting; // a move that works
    }
    return !hunting;
  }

  function after(now, depth) {
    const hunting = now.colours[stone] !== now.toMove, liberties = now.chain(stone).liberties.length;
    if (liberties !== (hunting ? 2 : 1)) return liberties < 2;
    return caught(now, answers(now, stone), depth);
  }

  try {
    return caught(of, [first], 0);
  } catch (reason) {
    if (reason === tooLong) return false;
    throw reason;
  }
}

// ---- the 8 symmetries of the board (3.2)

const SYMMETRIES = [0, 1, 2, 3, 4, 5, 6, 7];

/** source[p]: where a symmetry takes point p from, as in symmetries.py. */
function sourceOf(symmetry, size) {
  const source = new Int32Array(size * size);
  for (let y = 0; y < size; y++) {
    for (let x = 0; x < size; x++) {
      let column = symmetry & 1 ? size - 1 - x : x, row = symmetry & 2 ? size - 1 - y : y;
      if (symmetry & 4) [column, row] = [row, column];
      source[x + size * y] = column + size * row;
    }
  }
  return source;
}

/** The planes as seen from the first `sides` of the 8 sides, one after another. */
export function turnedPlanes(planes, size, sides) {
  const area = size * size, turned = new Float32Array(planes.length * sides);
  for (const symmetry of SYMMETRIES.slice(0, sides)) {
    const source = sourceOf(symmetry, size), start = planes.length * symmetry;
    for (let begin = 0; begin < planes.length; begin += area) {
      for (let point = 0; point < area; point++) turned[start + begin + point] = planes[begin + source[point]];
    }
  }
  return turned;
}

/** The mean probability of each move, of logits seen from so many sides. */
export function meanProbabilities(logits, size, sides) {
  const area = size * size, mean = new Float64Array(area);
  for (const symmetry of SYMMETRIES.slice(0, sides)) {
    const source = sourceOf(symmetry, size);
    const probabilities = softmax(logits.subarray(area * symmetry, area * (symmetry + 1)));
    for (let point = 0; point < area; point++) mean[source[point]] += probabilities[point] / sides;
  }
  return mean;
}

export function softmax(logits) {
  const largest = logits.reduce((one, other) => Math.max(one, other));
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / total);
}
