"""The search on the page is Python's, and so are the games that it plays out."""
import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from chapters.ch07_policy_net import ownership, thinking
from chapters.ch07_policy_net.engine import load_engine
from chapters.kit.trained.prediction import Predictor
from data_tools.go import player
from data_tools.go.board import Position
from tests.page.test_planes import asked, random_states

NETWORK = 8  # 7.2-small of the zoo
SEARCH = """async ([number, record, visits]) => {
    const { Search, choices, loadNetwork, readRecord } = await import('/page.js');
    const network = (await (await fetch('networks.json')).json())[number], run = await loadNetwork(network.model);
    const { states } = readRecord(new TextEncoder().encode(record), 19);
    const { probabilities } = await choices(network, run, states, 8);
    const search = new Search(network, run, states, probabilities, 7.5, 0);
    await search.until(visits, () => {}, () => true);
    const moveOf = (vertex) => (vertex ? vertex[0] + 19 * vertex[1] : 361);
    return [search.moves().map(({ vertex, visits, value }) => [moveOf(vertex), visits, value]), search.line().map(moveOf)];
}"""


def record_of(moves):
    """SGF of moves that black begins."""
    letters = 'abcdefghijklmnopqrs'
    points = ['' if move == 361 else letters[move % 19] + letters[move // 19] for move in moves]
    return f'(;SZ[19]KM[7.5]{"".join(f";{colour}[{point}]" for colour, point in zip(itertools.cycle("BW"), points))})'


def known(move):
    return [ord(x) - ord('a') + 19 * (ord(y) - ord('a')) for x, y in thinking.GAME.split()[:move]]


def nearly_over():
    """A game of the built-in player to its last dozen moves: passes and results are a part of what is searched."""
    position, random, moves = Position(), np.array([5], np.uint64), []
    while position.passes < 2:
        moves.append(player.choose(position.state, random))
        position.play(moves[-1])
    return moves[:-12]


@pytest.fixture
def engine(monkeypatch):
    """Of 7.2-small, in 32 bits as the page computes, its batches of one position."""
    monkeypatch.setattr(ownership, 'in_both', lambda network, batch, typical, workers: SimpleNamespace(
        faster=Predictor(network, batch, workers=workers)))
    return load_engine('zoo:7.2-small')


@pytest.mark.parametrize('moves, visits', [(known(12), 100), (known(78), 400), (known(79), 200), (nearly_over(), 200)],
                         ids=['early', '78', '79', 'nearly over'])
def test_the_search_is_that_of_python(open_page, engine, moves, visits):
    for number, move in enumerate(moves):
        engine.play(number % 2 + 1, move)
    search = thinking.searched(engine, visits, 0.0)
    found, line = open_page(network=NETWORK).evaluate(SEARCH, [NETWORK, record_of(moves), visits])
    counts = np.zeros(362, int)
    for move, visited, _ in found:
        counts[move] = visited
    assert (counts == search.visits).all()
    assert max(abs(value - (search.value(move) + 1) / 2) for move, _, value in found) < 1e-5
    assert line == search.variation(search.choose())
    assert len(found) > 2 and len(line) > 3


# ---- games played out

def test_games_are_played_out_by_the_player_of_python(open_page):
    page = open_page(network=NETWORK)
    for size in (19, 9, 5):
        states, weights = random_states(60, size), np.empty((60, size * size))
        for state, row in zip(states, weights):
            player.weigh(state, row)
        found, leads = page.evaluate("""async (positions) => {
            const { Player, position } = await import('/page.js'), all = positions.map((one) => position(...one));
            return [all.map((of) => {
                const player = new Player(of);
                player.weigh();
                return player.cells.map((cell) => player.weights[cell]);
            }), all.map((of) => of.lead())];
        }""", asked(states, size))
        np.testing.assert_allclose(found, weights, rtol=1e-9)
        assert (weights > 0).sum() > 300
        assert leads == [positioned(state, size).score(0) for state in states]


def positioned(state, size):
    position = Position(size)
    position.state = state
    return position


def test_what_the_player_remembers_is_what_it_would_see_anew(open_page):
    moves, wrong = open_page(network=NETWORK).evaluate("""async () => {
        const { Player, position } = await import('/page.js'), of = position(19, new Array(361).fill(0), 1);
        const player = new Player(of);
        let moves = 0, wrong = 0;
        while (of.passes < 2) {
            const fresh = new Player(of);
            fresh.weigh();
            player.weigh();
            wrong += String(player.weights) !== String(fresh.weights);
            moves += of.captured > 0;
            of.advance(player.choose(Math.random));
        }
        return [moves, wrong];
    }""")
    assert moves > 10 and not wrong


def test_as_many_games_are_won_as_in_python(open_page):
    states = [thinking.position_after(78).state, *random_states(200, 9)[[20, 90, 150]]]
    sizes = [int(state[0]) for state in states]
    found = open_page(network=NETWORK).evaluate("""async (positions) => {
        const { playOut, position } = await import('/page.js');
        return positions.map((one) => {
            const of = position(...one);
            let won = 0;
            for (let game = 0; game < 400; game++) won += (1 + playOut(of, 5.5)) / 800;
            return won;
        });
    }""", [asked([state], size)[0] for state, size in zip(states, sizes)])
    wanted = [player.ownership(state, 5.5, 2000)[1] for state in states]
    assert np.abs(np.subtract(found, wanted)).max() < 5 * (0.25 / 400 + 0.25 / 2000) ** 0.5  # errors of the mean
