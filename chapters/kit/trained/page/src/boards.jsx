// The six boards of 6.2.6, one at a time: what network and search think of a position.
import { useLayoutEffect, useMemo, useState } from 'preact/hooks';
import { Search } from './search.js';

const BOARDS = ['none', 'policy', 'value', 'tree', 'rollouts', 'visits', 'line'];
const ROLLOUTS = { tree: 0, rollouts: 1, visits: 0.5, line: 0.5 }; // what games played out have in values: in AlphaGo half (6.1.1)
export const VISITS = [50, 100, 200, 400];

export const isSearched = (board) => board in ROLLOUTS;

/**
 * The search that a board shows: {search, until: visits that are asked for, working, ask(visits more), stop}.
 *
 * Every share of games played out has a tree, which is kept, and can be searched further, while position and komi are the same.
 */
export function useSearch({ board, network, run, states, seen, komi }) {
  const [asked, setAsked] = useState(null), [, setTold] = useState(0);
  const trees = useMemo(() => new Map(), [seen, komi]);
  const rollouts = isSearched(board) ? (network.judges ? ROLLOUTS[board] : 1) : null; // without a head nothing else judges
  const search = trees.get(rollouts), total = search?.total ?? 0;
  const until = asked?.trees === trees ? asked.visits : 0;
  const working = Boolean(seen) && rollouts != null && total < until;
  useLayoutEffect(() => { // an effect after painting would let the search go on past the visits that are shown
    if (!working) return undefined;
    let current = true;
    if (!search) trees.set(rollouts, new Search(network, run, states, seen.probabilities, komi, rollouts));
    trees.get(rollouts).until(until, () => current && setTold((times) => times + 1), () => current);
    return () => { current = false; };
  }, [trees, rollouts, until, working]);
  return { search, until, working, ask: (visits) => setAsked({ trees, visits: total + visits }), stop: () => setAsked(null) };
}

/** Which board is shown, and the button that searches. */
export function Boards({ network, board, setBoard, visits, setVisits, searching, ready, words }) {
  const boards = network.judges ? BOARDS : BOARDS.filter((name) => name !== 'value' && name !== 'tree');
  function press() {
    if (searching.working) return searching.stop();
    if (!isSearched(board)) setBoard(boards.find(isSearched));
    return searching.ask(visits);
  }
  return <>
    <fieldset class="chips">
      <legend>{words.onBoard}</legend>
      {boards.map((name) => <label title={words.boardHints[name]}>
        <input type="radio" name="board" checked={board === name} onChange={() => setBoard(name)} />{words.boards[name]}
      </label>)}
    </fieldset>
    <div class="buttons">
      <button class="search" disabled={!ready} onClick={press}>{searching.working ? words.stop : words.search}</button>
      <label>{words.visits}{' '}
        <select value={visits} onChange={(event) => setVisits(Number(event.target.value))}>
          {VISITS.map((count) => <option value={count}>{count}</option>)}
        </select>
      </label>
    </div>
  </>;
}
