// A game of Go: its positions one after another, on @sabaki/go-board.
//
// As in Sabaki's libraries black is 1, white -1, and a vertex [x, y] from the top left; null is a pass.
import GoBoard from '@sabaki/go-board';
import { BLACK, EMPTY, WHITE, position } from './planes.js';

const now = (board, toMove, move = null, passes = 0) => ({ board, toMove, move, passes });

export const KOMI = 7.5;

/** The states of a new game: [{board, toMove, move: {sign, vertex} or null, passes}]; after handicap stones white begins. */
export function newGame(size, handicap = 0) {
  const board = GoBoard.fromDimensions(size);
  const stones = handicap ? handicapVertices(size, handicap) : [];
  for (const vertex of stones) board.set(vertex, 1);
  return [now(board, stones.length ? -1 : 1)];
}

/** The largest number of handicap stones that have a place of their own on a board. */
export const mostHandicap = (size) => (size < 7 ? 0 : size % 2 && size > 7 ? 9 : 4);

/** Where so many handicap stones stand, as GTP's fixed_handicap has them: [] where the board has no such places. */
export function handicapVertices(size, count) {
  if (count < 2 || count > mostHandicap(size)) return [];
  const low = size > 12 ? 3 : 2, high = size - 1 - low, middle = (size - 1) / 2;
  const corners = [[low, high], [high, low], [low, low], [high, high]];
  const sides = [[low, middle], [high, middle], [middle, high], [middle, low]];
  if (count < 4) return corners.slice(0, count);
  const found = [...corners, ...sides.slice(0, count > 7 ? 4 : count > 5 ? 2 : 0)];
  return count % 2 ? [...found, [middle, middle]] : found;
}

/** Why the player to move may not play there ('occupied', 'ko', 'suicide', 'superko'), or '' if they may. */
export function refusal(states, vertex) {
  const { board, toMove } = states[states.length - 1];
  const { overwrite, ko, suicide } = board.analyzeMove(toMove, vertex);
  if (overwrite) return 'occupied';
  if (ko) return 'ko';
  if (suicide) return 'suicide';
  const after = String(board.makeMove(toMove, vertex).signMap);
  return states.some((state) => String(state.board.signMap) === after) ? 'superko' : '';
}

/** The states with one move more; it must be legal. */
export function played(states, vertex) {
  const { board, toMove, passes } = states[states.length - 1];
  // A pass ends the ko: go-board would remember it.
  const after = vertex ? board.makeMove(toMove, vertex) : withoutKo(board);
  return [...states, now(after, -toMove, { sign: toMove, vertex }, vertex ? 0 : passes + 1)];
}

function withoutKo(board) {
  return new GoBoard(board.signMap).setCaptures(1, board.getCaptures(1)).setCaptures(-1, board.getCaptures(-1));
}

/** A state for planes.js. */
export function positionOf({ board, toMove, move }) {
  const size = board.width, number = ([x, y]) => x + size * y;
  const stones = board.signMap.flat().map((sign) => (sign ? colourOf(sign) : EMPTY));
  const ko = vertices(size).find((vertex) => board.analyzeMove(toMove, vertex).ko);
  return position(size, stones, colourOf(toMove), ko ? number(ko) : -1, move?.vertex ? number(move.vertex) : -1);
}

const colourOf = (sign) => (sign > 0 ? BLACK : WHITE);

export const vertices = (size) => Array.from({ length: size * size }, (_, number) => [number % size, Math.floor(number / size)]);

/** A state in which another is to move; the ko is then over. */
export function turned(state, toMove) {
  return state.toMove === toMove ? state : { ...state, toMove, board: withoutKo(state.board) };
}

/** A state with stones set up or taken off, [[sign, vertex]]. */
export function setUp({ board, toMove, move }, stones) {
  const after = withoutKo(board.clone()), signs = new Set(stones.map(([sign]) => sign));
  for (const [sign, vertex] of stones) after.set(vertex, sign);
  if (!after.isValid()) return null;
  return now(after, signs.has(1) && !signs.has(-1) && !move ? -1 : toMove); // after handicap stones white begins
}

/** Areas when the game is over: {black, white}, and `owner` (rows of signs), the dead stones (set of 'x,y') taken off. */
export function area(board, dead) {
  const size = board.width;
  const cleared = new GoBoard(board.signMap.map((row, y) => row.map((sign, x) => (dead.has(`${x},${y}`) ? 0 : sign))));
  const owner = cleared.signMap.map((row) => [...row]), seen = new Set(), totals = { 1: 0, '-1': 0, 0: 0 };
  for (const vertex of vertices(size)) {
    const [x, y] = vertex;
    if (cleared.get(vertex) || seen.has(String(vertex))) continue;
    const region = cleared.getChain(vertex);
    const reached = new Set(region.flatMap((one) => cleared.getNeighbors(one).map((around) => cleared.get(around))).filter(Boolean));
    for (const [column, row] of region) {
      seen.add(`${column},${row}`);
      owner[row][column] = reached.size === 1 ? [...reached][0] : 0;
    }
  }
  for (const sign of owner.flat()) totals[sign]++;
  return { black: totals[1], white: totals['-1'], owner };
}
