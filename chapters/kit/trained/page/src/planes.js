// The feature planes of a Go position, as data_tools/go/features.py computes them: the book's 8 (4.2.1), these with
// what AlphaGo's planes say of a move (36), and AlphaGo's 48. What the planes mean stands at the top of that file.
// tests/page/test_planes.py holds both sides together.
//
// The rules are here a second time, beside @sabaki/go-board, which keeps the game: a ladder tries up to a thousand moves
// and needs a board that is copied quickly; and where that many are not enough, the order in which they are tried
// decides, which follows from the order of the stones in a chain.

export const EMPTY = 0, BLACK = 1, WHITE = 2, BORDER = 3; // the opponent of a colour is 3 - colour
export const PLANES = [8, 36, 48]; // how many there may be

export const PASS = 0; // a cell of the border
export const STRIDE = 20; // a board with a border, as in board.py: the neighbours of a cell need no test
export const CELLS = 421;
export const STEPS = [-STRIDE, -1, 1, STRIDE];
export const DIAGONALS = [-STRIDE - 1, -STRIDE + 1, STRIDE - 1, STRIDE + 1];
const LADDER_NODES = 1000; // moves tried for one ladder before giving up
const LADDER_DEPTH = 300;

/**
 * A position, as board.py has it, with exact liberties.
 *
 * chain: of a stone, the cell that names its chain; next: the next stone of its chain, round in a circle; liberties: of a
 * chain's name. ko is the cell that is forbidden to the player to move, last that of the last move; 0 for none. passes: how
 * many in a row were the last moves.
 */
class Position {
  constructor(size, colours, toMove, ko, last) {
    Object.assign(this, { size, colours, toMove, ko, last, captured: 0, passes: 0 });
  }

  /** Make the chains of stones that were just put on the board, in the order in which `set_up` of board.py makes them. */
  findChains() {
    const { colours } = this;
    this.chain = new Int16Array(CELLS);
    this.next = new Int16Array(CELLS);
    this.liberties = new Int16Array(CELLS);
    for (let start = 0; start < CELLS; start++) {
      const colour = colours[start];
      if (colour === EMPTY || colour === BORDER || this.chain[start]) continue;
      this.chain[start] = this.next[start] = start;
      const todo = [start];
      while (todo.length) {
        const stone = todo.pop();
        for (const step of STEPS) {
          const around = stone + step;
          if (colours[around] !== colour || this.chain[around]) continue;
          this.chain[around] = start;
          this.next[around] = this.next[start];
          this.next[start] = around;
          todo.push(around);
        }
      }
      this.liberties[start] = this.libertiesOf(start).length;
    }
    return this;
  }

  /** The stones of a chain, from the one that names it. */
  stonesOf(chain) {
    const stones = [];
    let stone = chain;
    do {
      stones.push(stone);
      stone = this.next[stone];
    } while (stone !== chain);
    return stones;
  }

  /** The liberties of a chain, each once, in the order in which its stones meet them. */
  libertiesOf(chain) {
    const found = [];
    for (const stone of this.stonesOf(chain)) {
      for (const step of STEPS) {
        const point = stone + step;
        if (this.colours[point] === EMPTY && !found.includes(point)) found.push(point);
      }
    }
    return found;
  }

  /** Whether the player to move may play at a cell: empty, not the ko point, no suicide. */
  isLegal(cell) {
    const { colours, toMove } = this;
    if (colours[cell] !== EMPTY || cell === this.ko) return false;
    for (const step of STEPS) {
      const found = colours[cell + step];
      if (found === EMPTY) return true;
      if (found === BORDER) continue;
      const inAtari = this.liberties[this.chain[cell + step]] === 1;
      if (inAtari === (found !== toMove)) return true; // ours with a liberty to spare, or theirs to be captured
    }
    return false;
  }

  /** The position after a legal move, or after a PASS. */
  play(cell) {
    return this.copy().advance(cell);
  }

  copy() {
    const { size, colours, toMove, ko, last, chain, next, liberties, passes } = this;
    return Object.assign(new Position(size, colours.slice(), toMove, ko, last),
      { chain: chain.slice(), next: next.slice(), liberties: liberties.slice(), passes });
  }

  /** Play a legal move, or a PASS, on this board; `captured` is how many stones it took. Returns the board. */
  advance(cell) {
    const { colours, chain, next, liberties } = this, colour = this.toMove, opponent = 3 - colour;
    Object.assign(this, { toMove: opponent, ko: 0, last: cell, captured: 0, passes: cell ? 0 : this.passes + 1 });
    if (cell === PASS) return this;
    colours[cell] = colour;
    chain[cell] = next[cell] = cell;
    let mine = cell;
    for (const step of STEPS) { // join our neighbours, whose chain gives the name
      const other = chain[cell + step];
      if (colours[cell + step] !== colour || other === mine) continue;
      for (const stone of this.stonesOf(mine)) chain[stone] = other;
      [next[mine], next[other]] = [next[other], next[mine]];
      mine = other;
    }
    let capturedCell = 0;
    const seen = [];
    for (const step of STEPS) { // each neighbouring chain of the opponent loses this liberty, once
      const other = chain[cell + step];
      if (colours[cell + step] !== opponent || seen.includes(other)) continue;
      seen.push(other);
      liberties[other] -= 1;
      if (liberties[other]) continue;
      capturedCell = cell + step;
      for (const stone of this.stonesOf(other)) {
        colours[stone] = EMPTY;
        chain[stone] = 0;
        this.captured += 1;
        for (const freed of new Set(STEPS.map((one) => (colours[stone + one] === colour ? chain[stone + one] : 0)))) {
          if (freed) liberties[freed] += 1;
        }
      }
    }
    liberties[mine] = this.libertiesOf(mine).length;
    if (this.captured === 1 && next[cell] === cell && liberties[mine] === 1) this.ko = capturedCell;
    return this;
  }

  /** Black's points by area less White's, as the stones stand: none is taken for dead. */
  lead() {
    const { colours } = this, seen = new Uint8Array(CELLS), count = [0, 0, 0, 0]; // by who is reached: nobody, one or both
    for (let start = STRIDE + 1; start < CELLS - STRIDE; start++) {
      if (colours[start] !== EMPTY) count[colours[start] % 3]++; // the border counts for nobody
      else if (!seen[start]) {
        const region = [start];
        let reached = 0;
        seen[start] = 1;
        for (const point of region) { // which grows
          for (const step of STEPS) {
            const found = colours[point + step];
            if (found !== EMPTY) reached |= found % 3;
            else if (!seen[point + step]) region.push(point + step), seen[point + step] = 1;
          }
        }
        count[reached] += region.length;
      }
    }
    return count[BLACK] - count[WHITE];
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

export const toCell = (move, size) => (Math.floor(move / size) + 1) * STRIDE + move % size + 1;
const toMove = (cell, size) => (Math.floor(cell / STRIDE) - 1) * size + cell % STRIDE - 1;

/**
 * A position for the functions below.
 *
 * stones: size * size colours, row by row from the top; ko, last: moves x + size * y, or -1.
 */
export function position(size, stones, colour, ko = -1, last = -1) {
  const colours = new Uint8Array(CELLS).fill(BORDER);
  for (let move = 0; move < size * size; move++) colours[toCell(move, size)] = stones[move];
  return new Position(size, colours, colour, ko < 0 ? 0 : toCell(ko, size), last < 0 ? 0 : toCell(last, size)).findChains();
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
  const area = of.size * of.size, planes = new Float32Array(8 * area);
  for (let move = 0; move < area; move++) {
    const cell = toCell(move, of.size), found = of.colours[cell];
    if (found === EMPTY) planes[5 * area + move] = 1;
    else {
      planes[(found === of.toMove ? 7 : 6) * area + move] = 1;
      planes[(5 - Math.min(of.liberties[of.chain[cell]], 4)) * area + move] = 1;
    }
  }
  if (of.last) planes[toMove(of.last, of.size)] = 1;
  return planes;
}

function alphagoPlanes(of) {
  const { size, colours, toMove: colour } = of, area = size * size;
  const planes = new Float32Array(48 * area).fill(1, 3 * area, 4 * area);
  for (let move = 0; move < area; move++) {
    const cell = toCell(move, size), found = colours[cell];
    const set = (plane) => { planes[plane * area + move] = 1; };
    if (found !== EMPTY) {
      set(found === colour ? 0 : 1);
      set(cell === of.last ? 4 : 11); // turns since: only the last move is known, as in packed positions
      set(11 + Math.min(of.liberties[of.chain[cell]], 8));
      continue;
    }
    set(2);
    if (!of.isLegal(cell)) continue;
    if (!of.isOwnEye(cell, colour)) set(46);
    let captured = 0, stones = 1, free = 0, alone = true;
    for (const step of STEPS) {
      const around = colours[cell + step];
      free += around === EMPTY;
      if (around === colour || (around === 3 - colour && of.liberties[of.chain[cell + step]] === 1)) alone = false;
    }
    if (!alone) { // it joins or captures: play it and look
      const after = of.play(cell), chain = after.chain[cell];
      captured = after.captured;
      free = after.liberties[chain];
      stones = after.stonesOf(chain).length;
    }
    if (captured) set(19 + Math.min(captured, 8));
    if (free === 1) set(27 + Math.min(stones, 8));
    set(35 + Math.min(free, 8));
  }
  for (let chain = 1; chain < CELLS; chain++) {
    const theirs = colours[chain] !== colour;
    if (of.chain[chain] !== chain || of.liberties[chain] !== (theirs ? 2 : 1)) continue;
    for (const cell of answers(of, chain)) {
      if (isCaught(of, chain, cell) === theirs) planes[(theirs ? 44 : 45) * area + toMove(cell, size)] = 1;
    }
  }
  return planes;
}

/** The moves that matter to a chain with 1 or 2 liberties: these, and with 1, captures of what attacks it. */
function answers(of, chain) {
  const cells = of.libertiesOf(chain);
  if (cells.length > 1) return cells;
  for (const stone of of.stonesOf(chain)) {
    for (const step of STEPS) {
      const attacker = of.chain[stone + step];
      if (of.colours[stone + step] !== 3 - of.colours[chain] || of.liberties[attacker] !== 1) continue;
      const [point] = of.libertiesOf(attacker);
      if (!cells.includes(point) && cells.length < 16) cells.push(point);
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
    const hunting = now.colours[stone] !== now.toMove, liberties = now.liberties[now.chain[stone]];
    if (liberties !== (hunting ? 2 : 1)) return liberties < 2;
    return caught(now, answers(now, now.chain[stone]), depth);
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

/** The mean of what is said of each point: a list for each of the sides looked from. */
export function meanOfSides(answers, size) {
  const mean = new Float64Array(size * size);
  answers.forEach((answer, symmetry) => {
    const source = sourceOf(symmetry, size);
    for (let point = 0; point < mean.length; point++) mean[source[point]] += answer[point] / answers.length;
  });
  return mean;
}

export function softmax(logits) {
  const largest = logits.reduce((one, other) => Math.max(one, other));
  const powers = Array.from(logits, (logit) => Math.exp(logit - largest));
  const total = powers.reduce((one, other) => one + other);
  return powers.map((power) => power / total);
}
