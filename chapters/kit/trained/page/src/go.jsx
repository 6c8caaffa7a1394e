// Policy networks for Go: the network's moves on a board, a game against it, and game records to walk through.
import { Goban } from '@sabaki/shudan';
import { useEffect, useRef, useState } from 'preact/hooks';
import { Boards, VISITS, isSearched, useSearch } from './boards.jsx';
import { KOMI, area, mostHandicap, newGame, played, refusal } from './game.js';
import { VALUED, chance, choices, valuesAfter } from './answers.js';
import { MOVE, RECORD } from './move78.js';
import { BadRecord, readRecord } from './record.js';
import { Search } from './search.js';
import { percent } from './words.js';
import '@sabaki/shudan/css/goban.css';

const LINE = 8; // moves of the expected line, as 6.2.6 draws them
const LATE = 0.4; // moves a point, after which the network answers a pass by a pass
const SMALL = 24; // pixels a line, below which the first tap only marks a point

export function Go({ network, run, words }) {
  const { size } = network;
  const [game, setGame] = useState(() => ({ states: newGame(size), index: 0, record: null }));
  const [komi, setKomi] = useState(KOMI);
  const [handicap, setHandicap] = useState(0);
  const [you, setYou] = useState(1); // 1 black, -1 white, 0 both
  const [chosen, setBoard] = useState('policy');
  const [visits, setVisits] = useState(100);
  const [plays, setPlays] = useState(0); // visits of the network's own moves; 0: its likeliest move
  const [done, setDone] = useState(0); // of these
  const [showOwners, setShowOwners] = useState(false);
  const [sides, setSides] = useState(8);
  const [answer, setAnswer] = useState(null);
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
  const turn = !over && you !== 0 && state.toMove !== you && game.index === game.states.length - 1 && !game.record; // the network's
  const board = over || turn ? 'none' : chosen;
  const valued = board === 'value';
  useEffect(() => {
    if (!valued || !seen) return undefined;
    let current = true;
    valuesAfter(network, run, states, seen.probabilities, (found) => setValues({ of: seen, ...found }), () => current);
    return () => { current = false; };
  }, [valued, seen]);
  const searching = useSearch({ board, network, run, states, seen, komi }), { search } = searching;
  useEffect(() => {
    if (!turn || !seen) return undefined;
    let current = true;
    const late = state.move && !state.move.vertex && game.index > LATE * size * size;
    if (late || !plays) move(late ? null : seen.top[0]?.vertex ?? null);
    else {
      const own = new Search(network, run, states, seen.probabilities, komi);
      setDone(0);
      own.until(plays, () => setDone(own.total), () => current).then(() => current && move(own.line()[0]));
    }
    return () => { current = false; };
  }, [turn, seen, plays, komi]);

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
    const after = board !== 'policy' && listed.find((one) => String(one.vertex) === String(vertex));
    const thought = !after ? '' : board === 'visits' ? `, ${words.visitsOf(after.visits, search.total)}`
      : `, ${words.winsWith(words[state.toMove > 0 ? 'black' : 'white'], percent(after.share))}`;
    const place = line.findIndex((one) => String(one) === String(vertex));
    const expected = place < 0 ? '' : `, ${words.expected(place + 1)}`;
    const owner = showOwners && seen?.judged ? Math.round(100 * seen.judged.owners[vertex[0] + size * vertex[1]]) : 0;
    const owned = owner ? `, ${words.ownedBy(owner > 0 ? words.black : words.white, Math.abs(owner))}` : '';
    return `${pointName(vertex, size)}: ${what}${!sign && share != null ? `, ${percent(share)}` : ''}${thought}${expected}${owned}`;
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
  const busy = valued ? !(found && found.moves.length === found.count) : searching.working;
  const tried = search && search.total ? search.moves().filter(({ vertex }) => vertex) : [];
  const line = board === 'line' && tried.length ? search.line().slice(0, LINE) : [];
  const listed = { policy: seen?.top ?? [], value: ranked, visits: tried,
    tree: tried.map((one) => ({ ...one, share: one.value })), rollouts: tried.map((one) => ({ ...one, share: one.value })) }[board] ?? [];
  const signs = state.board.signMap.map((row) => [...row]), map = (fill) => signs.map((row) => row.map(() => fill));
  const heat = map(null), markers = map(null);
  const shares = listed.map(({ share }) => share), best = Math.max(...shares);
  const least = board === 'policy' || board === 'visits' ? 0 : Math.min(...shares);
  for (const { vertex: [x, y], share } of listed) {
    if (board === 'visits' && share < 0.005) continue;
    const strength = Math.max(1, Math.round(9 * (best > least ? (share - least) / (best - least) : 1)));
    heat[y][x] = { strength, text: String(Math.round(100 * share)) };
  }
  if (board !== 'policy' && listed.length && !busy) markers[listed[0].vertex[1]][listed[0].vertex[0]] = { type: 'circle' };
  if (state.move?.vertex) markers[state.move.vertex[1]][state.move.vertex[0]] = { type: 'circle' };
  line.forEach((vertex, number) => {
    if (!vertex || signs[vertex[1]][vertex[0]]) return; // a pass, or where a stone was taken
    signs[vertex[1]][vertex[0]] = number % 2 ? -state.toMove : state.toMove;
    markers[vertex[1]][vertex[0]] = { type: 'label', label: String(number + 1) };
  });
  const point = (vertex) => (vertex ? pointName(vertex, size) : words.pass);
  const judged = !over && seen?.judged, ahead = judged && judged.lead - komi;
  const counted = over && area(state.board, dead), lead = counted && counted.black - counted.white - komi;
  const owners = counted ? counted.owner : judged && showOwners ? rows(judged.owners, size) : undefined;
  const following = game.states[game.index + 1]?.move?.vertex;
  const rank = following && seen ? rankOf(seen.probabilities, following, size) : null;

  function thought() {
    if (valued && busy) return words.valuing(ranked.length, found?.count ?? VALUED);
    if (valued) return ranked.length ? words.bestByValue(point(ranked[0].vertex), name(state.toMove), percent(ranked[0].share)) : words.noMove;
    if (!isSearched(board)) return '';
    if (busy) return words.searching(search?.total ?? 0, searching.until);
    if (!tried.length) return words.notSearched;
    const { vertex, value } = tried[0], choice = words.searched(search.total, point(vertex), name(state.toMove), percent(value));
    return line.length ? `${choice} ${words.expects(line.map(point).join(' '))}` : choice;
  }

  return <div class="go">
    <section class="board" ref={frame}>
      <div class="keys" tabIndex={0} role="application" aria-label={words.board} aria-describedby="board-hint" onKeyDown={key}>
        <Goban vertexSize={lineWidth} signMap={signs} heatMap={heat} markerMap={markers} showCoordinates
          paintMap={owners} dimmedVertices={[...dead].map((one) => one.split(',').map(Number))}
          selectedVertices={cursor ? [cursor] : []} onVertexClick={click} />
      </div>
      <p role="status" class="said">{said(words)} {!run ? words.loading : turn ? words.thinking(done, plays) : ''}</p>
      <p class="hint" id="board-hint">{words.boardHint}</p>
    </section>
    <section class="boards">
      <Boards network={network} board={chosen} setBoard={setBoard} visits={visits} setVisits={setVisits} searching={searching}
        ready={seen && !turn} words={words} />
      <p class="thought" role="status" aria-busy={busy}>{thought()}</p>
      <p class="hint">{words.boardHints[isSearched(chosen) && !network.judges ? 'rollouts' : chosen]}</p>
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
      {rank != null && <p class="record">{words.nextInRecord(pointName(following, size), rank, percent(seen.probabilities[following[0] + size * following[1]]))}</p>}
      {words.lists[chosen] && <>
        <h2>{words.lists[chosen](name(state.toMove))}</h2>
        <ol class={isSearched(board) ? 'moves searched' : 'moves'} aria-busy={!seen || busy}>
          {listed.slice(0, VALUED).map(({ vertex, share, visits }) => <li>
            <button onClick={() => tryMove(vertex)} disabled={over || turn}>{pointName(vertex, size)}</button>
            <meter max="1" value={share} aria-label={pointName(vertex, size)} /> <span>{percent(share)}{visits && ` (${visits})`}</span>
          </li>)}
        </ol>
      </>}
      <div class="buttons">
        <label>{words.you}{' '}
          <select value={you} onChange={(event) => setYou(Number(event.target.value))}>
            <option value={1}>{words.black}</option>
            <option value={-1}>{words.white}</option>
            <option value={0}>{words.both}</option>
          </select>
        </label>
        <label>{words.plays}{' '}
          <select value={plays} onChange={(event) => setPlays(Number(event.target.value))}>
            {[0, ...VISITS].map((count) => <option value={count}>{words.playsBy(count)}</option>)}
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
      {network.judges && <label class="check"><input type="checkbox" checked={showOwners} onChange={() => setShowOwners(!showOwners)} />{' '}
        {words.showOwners}</label>}
      <label class="check"><input type="checkbox" checked={sides === 8} onChange={() => setSides(sides === 8 ? 1 : 8)} /> {words.sides}</label>
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
