// Game records in SGF, opened or refused as data_tools/go/sgf.py's `read_record` does; @sabaki/sgf builds the tree.
import { parse } from '@sabaki/sgf/src/parse';
import { KOMI, newGame, played, refusal, setUp, turned } from './game.js';

/** A game record that is not to be opened; `kind` names a text of words.js. */
export class BadRecord extends Error {
  constructor(kind, ...details) {
    super(kind);
    Object.assign(this, { kind, details });
  }
}

/**
 * The main line of a file's first game: {states, komi, handicap, black, white, result}. Throws BadRecord.
 *
 * komi is the page's own where the record names none, handicap what HA says; the names and the result are as written.
 */
export function readRecord(bytes, size) {
  const [text] = gamesOfBytes(bytes);
  if (!text) throw new BadRecord('noRecord');
  let [node] = parse(text);
  const root = node.data;
  if (whole(root.GM?.[0], 1) !== 1) throw new BadRecord('noRecord');
  checkSize(root.SZ?.[0], size);
  let states = newGame(size), moves = 0, shown = false;
  for (; node; node = node.children[0]) {
    const { data } = node;
    shown ||= hasStones(data);
    if (data.AB || data.AW || data.AE) {
      const after = setUp(states[states.length - 1], stonesOf(data, size));
      if (!after) throw new BadRecord('noRecord');
      states = [...states.slice(0, -1), after];
    }
    const toMove = { b: 1, 1: 1, w: -1, 2: -1 }[data.PL?.[0].trim()[0]?.toLowerCase()];
    if (toMove) states[states.length - 1].toMove = toMove;
    const found = [...(data.B ?? []).map((value) => [1, value]), ...(data.W ?? []).map((value) => [-1, value])];
    if (!found.length) continue;
    moves++;
    const [[sign, value]] = found, point = value.trim(), vertex = vertexOf(point, size);
    const pass = value === '' || (point === 'tt' && size <= 19);
    if (found.length > 1 || !(vertex || pass)) throw new BadRecord('illegalMove', moves);
    states[states.length - 1] = turned(states[states.length - 1], sign);
    // Not its ko and repetitions: records under other rules may have them.
    if (!pass && ['occupied', 'suicide'].includes(refusal(states.slice(-1), vertex))) throw new BadRecord('illegalMove', moves);
    states = played(states, pass ? null : vertex);
  }
  if (!shown) throw new BadRecord('noMoves');
  const [komi, stones] = ['KM', 'HA'].map((name) => decimal(root[name]?.[0]));
  const [black, white, result] = ['PB', 'PW', 'RE'].map((name) => (root[name]?.[0] ?? '').trim());
  return { states, komi: komi ?? KOMI, handicap: Number.isInteger(stones) ? stones : 0, black, white, result };
}

// ---- properties

const hasStones = (data) => ['B', 'W', 'AB', 'AW'].some((name) => data[name]);

function whole(value, otherwise) {
  const digits = (value ?? '').trim();
  if (!/^([+-]?\d+)?$/.test(digits)) throw new BadRecord('noRecord');
  return digits ? Number(digits) : otherwise;
}

/** A number that may be a komi, or null. */
function decimal(value) {
  const digits = (value ?? '').trim().replace(',', '.');
  return /^[+-]?(\d+\.?\d*|\.\d+)$/.test(digits) && Math.abs(digits) <= 361 ? Number(digits) : null;
}

/** Some programs say the lines twice, as SZ[19:19]. */
function checkSize(value, size) {
  const [columns, rows = columns] = (value ?? '').split(':').map((lines) => whole(lines, 19));
  if (columns !== size || rows !== size) throw new BadRecord('wrongSize', columns, rows, size);
}

/** [x, y], or null where there is no such point. */
function vertexOf(value, size) {
  const [x, y] = [0, 1].map((at) => value.charCodeAt(at) - 97);
  return value.length === 2 && x >= 0 && x < size && y >= 0 && y < size ? [x, y] : null;
}

/** What a node sets up, [[sign, vertex]]: points and rectangles. */
function stonesOf(data, size) {
  const found = [];
  for (const [name, sign] of [['AE', 0], ['AB', 1], ['AW', -1]]) {
    for (const value of data[name] ?? []) {
      const corners = value.trim().split(':').map((corner) => vertexOf(corner, size)), [first, last = first] = corners;
      if (corners.length > 2 || !first || !last || first[0] > last[0] || first[1] > last[1]) throw new BadRecord('noRecord');
      for (let y = first[1]; y <= last[1]; y++) for (let x = first[0]; x <= last[0]; x++) found.push([sign, [x, y]]);
    }
  }
  return found;
}

// ---- the games of a text

const TOKEN = /[ \t\n\v\f\r]*(?:([();])|([A-Za-z]{1,64})|\[[^\\\]]*(?:\\[^][^\\\]]*)*\])/y;
const MAY_FOLLOW = { start: '(', '(': ';', ';': ';N()', N: 'V', V: 'VN;()', ')': '()' }; // N a property's name, V its value
const NO_SEMICOLON = /\(\s*(?=[A-Z]{1,2}\s*\[)/g;

/** Where the game that begins at `start` has its end, or -1 if it is broken. */
function endOfGame(text, start) {
  TOKEN.lastIndex = start;
  for (let last = 'start', depth = 0; ;) {
    const token = TOKEN.exec(text);
    if (!token) return -1;
    const kind = token[1] ?? (token[2] ? 'N' : 'V');
    if (!MAY_FOLLOW[last].includes(kind)) return -1;
    depth += { '(': 1, ')': -1 }[kind] ?? 0;
    if (!depth) return TOKEN.lastIndex;
    last = kind;
  }
}

/** The games of a collection, a text each; null for a broken one, which ends where the next root begins. */
function gamesOf(text) {
  if (text.slice(Math.max(0, text.indexOf('('))).search(NO_SEMICOLON) === 0) text = text.replaceAll(NO_SEMICOLON, '(;');
  const after = (sign, from) => {
    const at = text.slice(from).search(sign);
    return at < 0 ? -1 : from + at;
  };
  const games = [];
  for (let start = after(/\(\s*;/, 0); start >= 0;) {
    const end = endOfGame(text, start);
    if (end < 0) {
      games.push(null);
      start = after(/\(\s*;[^;()]*?\b(?:GM|FF|SZ)\s*\[/, start + 1);
      continue;
    }
    const following = after(/\(\s*;/, end), between = text.slice(end, following < 0 ? text.length : following);
    games.push(/;\s*[BW]\s*\[/.test(between) ? null : text.slice(start, end));
    start = following;
  }
  return games.length ? games : [null];
}

// ---- the text in bytes

/** The games in a file's bytes, in the first encoding in which all of them can be read, else in that which breaks fewest. */
function gamesOfBytes(bytes) {
  const wide = wideEncoding(bytes);
  if (wide) return gamesOf(new TextDecoder(wide).decode(bytes));
  const raw = new TextDecoder('latin1').decode(bytes);
  const japanese = raw.includes('\x1b$'), chinese = raw.includes('~{') && raw.includes('~}');
  const declared = /\bCA\s*\[\s*([^\]\s]{1,40})\s*\]/.exec(raw)?.[1];
  const simple = !japanese && !chinese && bytes.every((byte) => byte < 128);
  let best = null, fewest = Infinity;
  const tried = [declared, japanese && 'iso-2022-jp', chinese && 'hz', 'utf-8', 'gb18030', 'shift_jis', 'big5', 'latin1'];
  for (const encoding of simple ? ['utf-8'] : tried) {
    let games;
    try {
      if (!encoding) continue;
      games = gamesOf(/^hz/i.test(encoding) ? fromHz(raw) : new TextDecoder(encoding, { fatal: true }).decode(bytes));
    } catch (error) { // neither this one
      continue;
    }
    const broken = games.filter((game) => game === null).length;
    if (broken < fewest) [best, fewest] = [games, broken];
    if (!broken) break;
  }
  return best; // anything is Latin-1
}

/** 'utf-16le' or 'utf-16be' by a record's first bytes, with or without a mark of their order; else ''. */
function wideEncoding([first, second]) {
  if ((first === 0xff && second === 0xfe) || (first && second === 0)) return 'utf-16le';
  return (first === 0xfe && second === 0xff) || (first === 0 && second) ? 'utf-16be' : '';
}

/** HZ, RFC 1843, which TextDecoder has not: between ~{ and ~} pairs of GB 2312 without their high bits. ~~ is a tilde. */
function fromHz(raw) {
  const gb = new TextDecoder('gb18030', { fatal: true });
  return raw.replace(/~(?:\{((?:[!-)0-w][!-~])*)~\}|[~\n])|[~\x80-\xff]/g, (sign, pairs) => {
    if (pairs != null) return gb.decode(Uint8Array.from(pairs, (one) => one.charCodeAt(0) | 0x80));
    if (sign.length === 1) throw new RangeError('not HZ'); // a tilde of somebody's comment
    return sign === '~~' ? '~' : '';
  });
}
