// Policy networks for Go: the network's moves on a board, a game against it, and game records to walk through.
import { Goban } from '@sabaki/shudan';
import { useEffect, useRef, useState } from 'preact/hooks';
import { KOMI, area, mostHandicap, newGame, played, refusal } from './game.js';
import { VALUED, chance, choices, valuesAfter } from './look.js';
import { MOVE, RECORD } from './move78.js';
import { BadRecord, readRecord } from './record.js';
import { percent } from './words.js';
import '@sabaki/shudan/css/goban.css';

const LATE = 0.4; // moves a point, after which the network answers a pass by a pass
const SMALL = 24; // pixels a line, below which the first tap only marks a point

export function Go({ network, run, words }) {
  const { size } = network;
  const [game, setGame] = useState(() => ({ states: newGame(size), index: 0, record: null }));
  const [komi, setKomi] = useState(KOMI);
  const [handicap, setHandicap] = useState(0);
  const [you, setYou] = useState(1); // 1 black, -1 white, 0 both
  const [show, setShow] = useState(true);
  const [showOwners, setShowOwners] = useState(false);
  const [sides, setSides] = useState(8);
  const [answer, setAnswer] = useState(null);
  const [asked, setAsked] = useState(null); // the state whose moves' values are wanted
  const [values, setValues] = useState(null);
  const [cursor, setCursor] = useState(null);
  const [said, setSaid] = useState(() => () => ''); // words -> text, so that it follows the language
  const [dead, setDead] = useState(new Set());
  const [frame, lineWidth] = useLineWidth(size);
  const states = game.states.slice(0, game.index + 1), state = states[game.index];
  const name = (sign) => (sign > 0 ? words.black : words.white);
  const over = state.passes >= 2;
  const say = (text) => setSaid(() => text);

  // ---- the network looks at every position

  useEffect(() => {
    let current = true;
    if (run && !over) choices(network, run, states, sides, () => current).then((found) => current && setAnswer({ state, ...found }));
    return () => { current = false; };
  }, [run, state, sides]);
  const seen = answer && answer.state === state ? answer : null;
  const valued = asked === state && !over;
  useEffect(() => {
    if (!valued || !seen) return undefined;
    let current = true;
    valuesAfter(network, run, states, seen.probabilities, (found) => setValues({ of: seen, ...found }), () => current);
    return () => { current = false; };
  }, [valued, seen]);
  const turn = !over && you !== 0 && state.toMove !== you && game.index === game.states.length - 1 && !game.record; // the network's
  useEffect(() => {
    if (!turn || !seen) return;
    const late = state.move && !state.move.vertex && game.index > LATE * size * size;
    move(late ? null : seen.top[0]?.vertex ?? null);
  }, [turn, seen]);

  // ---- what the player does

  function move(vertex) {
    const { toMove } = state;
    setGame({ ...game, states: played(states, vertex), index: game.index + 1 });
    setDead(new Set());
    say((words) => {
      const colour = toMove > 0 ? words.black : words.white;
      return vertex ? words.played(colour, pointName(vertex, size)) : words.passed(colour);
    });
  }
  function tryMove(vertex) {
    if (over) return markDead(vertex);
    if (turn) return undefined;
    const why = refusal(states, vertex);
    setCursor(vertex);
    if (why) return say((words) => words[why](pointName(vertex, size)));
    return move(vertex);
  }
  function markDead(vertex) {
    if (!state.board.get(vertex)) return;
    const changed = new Set(dead);
    for (const stone of state.board.getRelatedChains(vertex)) {
      const key = String(stone);
      if (dead.has(String(vertex))) changed.delete(key); else changed.add(key);
    }
    setDead(changed);
  }
  function click(event, vertex) {
    if (event.button) return;
    const marked = cursor && String(cursor) === String(vertex);
    if (lineWidth < SMALL && !marked && !over && !refusal(states, vertex)) {
      setCursor(vertex);
      say((words) => words.tapAgain(pointName(vertex, size)));
    } else tryMove(vertex);
  }
  function key(event) {
    const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    const from = cursor ?? [(size - 1) / 2, (size - 1) / 2].map(Math.floor);
    if (step) {
      const to = cursor ? from.map((at, axis) => Math.min(size - 1, Math.max(0, at + step[axis]))) : from;
      setCursor(to);
      say((words) => describe(to, words));
    } else if ((event.key === 'Enter' || event.key === ' ') && cursor) tryMove(cursor);
    else return;
    event.preventDefault();
  }
  function describe(vertex, words) {
    const sign = state.board.get(vertex), share = seen && seen.probabilities[vertex[0] + size * vertex[1]];
    const what = sign ? words.stone(sign > 0 ? words.black : words.white) : words.empty;
    const after = ranked.find((one) => String(one.vertex) === String(vertex));
    const chance = after ? `, ${words.winsWith(words[state.toMove > 0 ? 'black' : 'white'], percent(after.share))}` : '';
    const owner = showOwners && seen?.judged ? Math.round(100 * seen.judged.owners[vertex[0] + size * vertex[1]]) : 0;
    const owned = owner ? `, ${words.ownedBy(owner > 0 ? words.black : words.white, Math.abs(owner))}` : '';
    return `${pointName(vertex, size)}: ${what}${!sign && share != null ? `, ${percent(share)}` : ''}${chance}${owned}`;
  }
  function go(index) {
    setGame({ ...game, index: Math.max(0, Math.min(game.states.length - 1, index)) });
    setDead(new Set());
    say(() => '');
  }
  function undo() { // also the network's answer
    const back = you && !game.record && game.index > 1 && state.toMove === you ? 2 : 1;
    const index = Math.max(0, game.index - back);
    setGame({ ...game, states: game.states.slice(0, index + 1), index });
    setDead(new Set());
    say(() => '');
  }
  function begin(stones) {
    setGame({ states: newGame(size, stones), index: 0, record: null });
    setHandicap(stones);
    if (game.record) setKomi(KOMI);
    setDead(new Set());
    say(() => '');
  }
  async function open(event) {
    const [file] = event.target.files;
    event.target.value = '';
    if (!file) return;
    try {
      showRecord(readRecord(new Uint8Array(await file.arrayBuffer()), size));
      say(() => file.name);
    } catch (error) {
      if (!(error instanceof BadRecord)) throw error;
      say((words) => (error.details.length ? words[error.kind](...error.details) : words[error.kind]));
    }
  }

  function showRecord(record, index = 0) {
    setGame({ states: record.states, index, record });
    setKomi(record.komi);
    setYou(0);
    setDead(new Set());
    setCursor(null);
  }
  function openMove78() {
    const record = { ...readRecord(new TextEncoder().encode(RECORD), size), isMove78: true };
    const { sign, vertex } = record.states[MOVE].move;
    showRecord(record, MOVE);
    say((words) => words.played(sign > 0 ? words.black : words.white, pointName(vertex, size)));
    frame.current.scrollIntoView({ block: 'nearest' }); // on a phone the button is far below the board
  }

  // ---- what is shown

  const found = valued && values && values.of === seen ? values : null;
  const ranked = found ? found.moves.map(({ vertex, lead, spread }) => ({ vertex, share: chance(state.toMove * (lead - komi), spread) }))
    .sort((one, other) => other.share - one.share) : [];
  const valuing = valued && !(found && found.moves.length === found.count);
  const listed = valued ? ranked : seen && !turn ? seen.top : [];
  const map = (fill) => state.board.signMap.map((row) => row.map(() => fill));
  const heat = map(null), markers = map(null);
  if (show || valued) {
    const [best, least] = valued ? [listed[0]?.share, listed.at(-1)?.share] : [listed[0]?.share, 0];
    listed.forEach(({ vertex: [x, y], share }) => {
      const strength = Math.max(1, Math.round(9 * (best > least ? (share - least) / (best - least) : 1)));
      heat[y][x] = { strength, text: String(Math.round(100 * share)) };
    });
  }
  if (ranked.length && !valuing) markers[ranked[0].vertex[1]][ranked[0].vertex[0]] = { type: 'circle' };
  if (state.move?.vertex) markers[state.move.vertex[1]][state.move.vertex[0]] = { type: 'circle' };
  const judged = !over && seen?.judged, ahead = judged && judged.lead - komi;
  const counted = over && area(state.board, dead), lead = counted && counted.black - counted.white - komi;
  const owners = counted ? counted.owner : judged && showOwners ? rows(judged.owners, size) : undefined;
  const following = game.states[game.index + 1]?.move?.vertex;
  const rank = following && seen ? rankOf(seen.probabilities, following, size) : null;

  return <div class="go">
    <section class="board" ref={frame}>
      <div class="keys" tabIndex={0} role="application" aria-label={words.board} aria-describedby="board-hint" onKeyDown={key}>
        <Goban vertexSize={lineWidth} signMap={state.board.signMap} heatMap={heat} markerMap={markers} showCoordinates
          paintMap={owners} dimmedVertices={[...dead].map((one) => one.split(',').map(Number))}
          selectedVertices={cursor ? [cursor] : []} onVertexClick={click} />
      </div>
      <p role="status" class="said">{said(words) || (!run ? words.loading : turn ? words.thinking : '')}</p>
      <p class="hint" id="board-hint">{words.boardHint}</p>
    </section>
    <section class="panel">
      {game.record && <Heading record={game.record} words={words} />}
      <p class="turn"><b>{over ? words.over : words.toPlay(name(state.toMove))}</b>{' '}
        {words.move} {game.index} {words.of} {game.states.length - 1}. {words.captured}{words.byBlack} {state.board.getCaptures(1)},{' '}
        {words.byWhite} {state.board.getCaptures(-1)}</p>
      {counted && <p>{words.dead} {words.score(counted.black, counted.white, komi)}{' '}
        <b>{lead ? words.wins(name(lead), Math.abs(lead)) : words.jigo}</b></p>}
      {network.judges && !over && <p class="judged" aria-busy={!judged}>
        {judged ? words.judged(name(ahead || 1), Math.abs(ahead).toFixed(1), percent(chance(Math.abs(ahead), judged.spread))) : '\u00a0'}</p>}
      <div class="buttons walk">
        <button aria-label={words.first} title={words.first} disabled={!game.index} onClick={() => go(0)}>|◀</button>
        <button aria-label={words.previous} title={words.previous} disabled={!game.index} onClick={() => go(game.index - 1)}>◀</button>
        <button aria-label={words.next} title={words.next} disabled={game.index === game.states.length - 1}
          onClick={() => go(game.index + 1)}>▶</button>
        <button aria-label={words.last} title={words.last} disabled={game.index === game.states.length - 1}
          onClick={() => go(game.states.length - 1)}>▶|</button>
      </div>
      <div class="buttons">
        <button onClick={() => move(null)} disabled={over || turn}>{words.pass}</button>
        <button onClick={undo} disabled={!game.index}>{words.undo}</button>
        <button onClick={() => begin(handicap)}>{words.newGame}</button>
      </div>
      <div class="buttons">
        <label>{words.you}{' '}
          <select value={you} onChange={(event) => setYou(Number(event.target.value))}>
            <option value={1}>{words.black}</option>
            <option value={-1}>{words.white}</option>
            <option value={0}>{words.both}</option>
          </select>
        </label>
        <label>{words.komi}{' '}
          <input type="number" step="0.5" min={-size * size} max={size * size} value={komi}
            onInput={(event) => setKomi(Number(event.target.value) || 0)} />
        </label>
        <label>{words.handicap}{' '}
          <select value={handicap} onChange={(event) => begin(Number(event.target.value))}>
            {[0, 2, 3, 4, 5, 6, 7, 8, 9].filter((count) => !count || count <= mostHandicap(size))
              .map((count) => <option value={count}>{count}</option>)}
          </select>
        </label>
        <label class="file">{words.open} <input type="file" accept=".sgf" onChange={open} /></label>
        {size === 19 && <button onClick={openMove78}>{words.move78}</button>}
      </div>
      <label class="check"><input type="checkbox" checked={show} onChange={() => setShow(!show)} /> {words.showMoves}</label>
      {network.judges && <label class="check"><input type="checkbox" checked={showOwners} onChange={() => setShowOwners(!showOwners)} />{' '}
        {words.showOwners}</label>}
      <label class="check"><input type="checkbox" checked={sides === 8} onChange={() => setSides(sides === 8 ? 1 : 8)} /> {words.sides}</label>
      {rank != null && <p class="record">{words.nextInRecord(pointName(following, size), rank, percent(seen.probabilities[following[0] + size * following[1]]))}</p>}
      {network.judges && !over && <div class="buttons">
        <button aria-pressed={valued} disabled={!run || turn} onClick={() => setAsked(valued ? null : state)}>{words.valueOfEach}</button>
      </div>}
      {valued && <p class="values" role="status" aria-busy={valuing}>{valuing ? words.valuing(ranked.length, found?.count ?? VALUED)
        : ranked.length ? words.bestByValue(pointName(ranked[0].vertex, size), name(state.toMove), percent(ranked[0].share)) : words.noMove}</p>}
      {(show || valued) && <>
        <h2>{valued ? words.valuesOf(name(state.toMove)) : words.top}</h2>
        {valued && <p class="hint">{words.valuesHint}</p>}
        <ol class="moves" aria-busy={!seen || valuing}>
          {listed.map(({ vertex, share }) => <li>
            <button onClick={() => tryMove(vertex)} disabled={over || turn}>{pointName(vertex, size)}</button>
            <meter max="1" value={share} aria-label={pointName(vertex, size)} /> <span>{percent(share)}</span>
          </li>)}
        </ol>
      </>}
      <p class="hint">{words.plain}</p>
    </section>
  </div>;
}

/** Who played the game of a record, and how it ended, where it says so. */
function Heading({ record: { isMove78, black, white, result }, words }) {
  if (isMove78) return <p class="heading">{words.aboutMove78}</p>;
  const lines = [(black || white) && words.players(black, white), result && words.result(result)].filter(Boolean);
  return lines.length > 0 && <p class="heading">{lines.map((line) => <span>{line}</span>)}</p>;
}

const rows = (values, size) => Array.from({ length: size }, (_, y) => Array.from(values.subarray(size * y, size * (y + 1))));

function rankOf(probabilities, [x, y], size) {
  const mine = probabilities[x + size * y];
  return 1 + probabilities.filter((share) => share > mine).length;
}

const LETTERS = 'ABCDEFGHJKLMNOPQRSTUVWXYZ'; // no I
export const pointName = ([x, y], size) => `${LETTERS[x]}${size - y}`;

/** The board as large as there is room: [ref of the element around it, pixels a line]. */
function useLineWidth(size) {
  const frame = useRef(), [width, setWidth] = useState(24);
  useEffect(() => {
    const fit = () => {
      const room = Math.min(frame.current.clientWidth, Math.max(300, window.innerHeight - 110));
      setWidth(Math.max(12, Math.floor(room / (size + 2.4)))); // 2 for the coordinates, 0.3 for the border
    };
    fit();
    const watch = new ResizeObserver(fit);
    watch.observe(frame.current);
    window.addEventListener('resize', fit);
    return () => { watch.disconnect(); window.removeEventListener('resize', fit); };
  }, []);
  return [frame, width];
}
