// A game of Go: its positions one after another, on @sabaki/go-board, and game records, by @sabaki/sgf.
//
// As in Sabaki's libraries black is 1, white -1, and a vertex [x, y] from the top left; null is a pass.
import GoBoard from '@sabaki/go-board';
import { parse } from '@sabaki/sgf/src/parse';
import { parseCompressedVertices, parseVertex } from '@sabaki/sgf/src/helper';
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

/** A game record that is not to be opened; `kind` names a text of words.js. */
export class BadRecord extends Error {
  constructor(kind, ...details) {
    super(kind);
    Object.assign(this, { kind, details });
  }
}

/** The main line of a record: {states, komi}; komi is the page's own where the record names none. Throws BadRecord. */
export function readRecord(bytes, size) {
  let node;
  try {
    [node] = parse(textOf(bytes));
  } catch (error) {
    throw new BadRecord('noRecord');
  }
  if (!node || !(node.data.GM ?? ['1'])[0].trim().startsWith('1') || !(hasStones(node.data) || node.children.length)) {
    throw new BadRecord('noRecord');
  }
  const theirs = Number((node.data.SZ ?? ['19'])[0].split(':')[0]);
  if (theirs !== size) throw new BadRecord('wrongSize', theirs, size);
  const komi = komiOf(node.data);
  let states = newGame(size), moves = 0, shown = false;
  for (; node; node = node.children[0]) {
    const { data } = node;
    shown ||= hasStones(data);
    if (data.AB || data.AW || data.AE) states = [...states.slice(0, -1), setUp(states[states.length - 1], data)];
    if (data.PL) states[states.length - 1].toMove = data.PL[0].trim().toUpperCase().startsWith('W') ? -1 : 1;
    for (const [name, sign] of [['B', 1], ['W', -1]]) {
      for (const value of data[name] ?? []) {
        moves++;
        const [x, y] = parseVertex(value.trim()), pass = value.trim() === '' || (value.trim() === 'tt' && size <= 19);
        if (!pass && !(x >= 0 && x < size && y >= 0 && y < size)) throw new BadRecord('illegalMove', moves);
        const last = states[states.length - 1];
        if (last.toMove !== sign) states[states.length - 1] = { ...last, toMove: sign, board: withoutKo(last.board) };
        // Not its ko and repetitions: records under other rules may have them.
        if (!pass && ['occupied', 'suicide'].includes(refusal(states.slice(-1), [x, y]))) throw new BadRecord('illegalMove', moves);
        states = played(states, pass ? null : [x, y]);
      }
    }
  }
  if (!shown) throw new BadRecord('noMoves');
  return { states, komi };
}

const hasStones = (data) => ['B', 'W', 'AB', 'AW'].some((name) => data[name]);

function komiOf({ KM }) {
  const komi = KM?.[0].trim() ? Number(KM[0].trim().replace(',', '.')) : NaN;
  return Number.isFinite(komi) ? komi : KOMI;
}

function setUp({ board, toMove, move, passes }, data) {
  const after = withoutKo(board.clone());
  for (const [name, sign] of [['AE', 0], ['AB', 1], ['AW', -1]]) {
    for (const value of data[name] ?? []) {
      for (const vertex of value.includes(':') ? parseCompressedVertices(value) : [parseVertex(value)]) after.set(vertex, sign);
    }
  }
  if (!after.isValid()) throw new BadRecord('noRecord');
  return now(after, data.AB && !data.AW && !move ? -1 : toMove, null, passes); // after handicap stones white begins
}

/** The text in a record's bytes: in the encoding that it names, else in the first of these in which it decodes. */
function textOf(bytes) {
  const wide = wideEncoding(bytes);
  if (wide) return new TextDecoder(wide).decode(bytes);
  const declared = /CA\s*\[\s*([^\]\s]+)/.exec(new TextDecoder('latin1').decode(bytes))?.[1];
  for (const encoding of [declared, 'utf-8', 'gb18030', 'shift_jis', 'latin1']) {
    try {
      if (encoding) return new TextDecoder(encoding, { fatal: true }).decode(bytes);
    } catch (error) { // neither this one
    }
  }
  return '';
}

/** 'utf-16le' or 'utf-16be' by a record's first bytes, with or without a mark of their order; else ''. */
function wideEncoding([first, second]) {
  if ((first === 0xff && second === 0xfe) || (first && second === 0)) return 'utf-16le';
  return (first === 0xfe && second === 0xff) || (first === 0 && second) ? 'utf-16be' : '';
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
