"""The search on the page is Python's, and so are the games that it plays out; six boards by mouse, finger and keyboard."""
import itertools
import re
import time
from types import SimpleNamespace

import numpy as np
import pytest

from chapters.ch07_policy_net import ownership, thinking
from chapters.ch07_policy_net.engine import load_engine
from chapters.kit.trained.prediction import Predictor
from data_tools.go import player
from data_tools.go.board import BLACK, WHITE, Position, move_of, vertex
from tests.page.test_page import DESKTOP, PHONE, board, click, said, top_moves
from tests.page.test_planes import asked, random_states

NETWORK = 8  # 7.2-small of the zoo
SEARCH = """async ([number, record, visits, share]) => {
    const { Search, choices, loadNetwork, readRecord } = await import('/page.js');
    const network = (await (await fetch('networks.json')).json())[number], run = await loadNetwork(network.model);
    const { states } = readRecord(new TextEncoder().encode(record), 19);
    const { probabilities } = await choices(network, run, states, 8);
    const search = new Search(network, run, states, probabilities, 7.5, share ?? undefined);
    const { value } = await search.evaluate(search.root.of, () => true);
    await search.until(visits, () => {}, () => true);
    const moveOf = (vertex) => (vertex ? vertex[0] + 19 * vertex[1] : 361);
    const moves = search.moves().map(({ vertex, visits, value }) => [moveOf(vertex), visits, value]);
    return [moves, search.line().map(moveOf), value];
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
    found, line, _ = open_page(network=NETWORK).evaluate(SEARCH, [NETWORK, record_of(moves), visits, 0])
    counts = np.zeros(362, int)
    for move, visited, _ in found:
        counts[move] = visited
    assert (counts == search.visits).all()
    assert max(abs(value - (search.value(move) + 1) / 2) for move, _, value in found) < 1e-5
    assert line == search.variation(search.choose())
    assert len(found) > 2 and len(line) > 3


@pytest.mark.parametrize('moves', [known(12), known(78), nearly_over()], ids=['early', '78', 'nearly over'])
def test_games_played_out_have_the_share_of_the_board_that_is_covered(open_page, engine, moves):
    for number, move in enumerate(moves):
        engine.play(number % 2 + 1, move)
    *_, value = open_page(network=NETWORK).evaluate(SEARCH, [NETWORK, record_of(moves), 1, None])
    share = np.count_nonzero(engine.position.board) / 361
    head = 2 * engine.judge.answers(engine.position.state[None])[2][0] - 1
    assert min(abs(value - (1 - share) * head - share * result) for result in (1, -1)) < 1e-4


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


# ---- the boards

NAMES = ('move78', 'search', 'done', 'none', 'policy', 'value', 'tree', 'rollouts', 'visits', 'line')
WORDS = {'en-US': dict(zip(NAMES, ('Move 78 of Lee Sedol', 'Search', '^After 50 visits', 'Nothing', 'Policy', 'Value', 'Tree',
                                   'Rollouts', 'Visits', 'Line'))),
         'zh-CN': dict(zip(NAMES, ('李世石的第 78 手', '搜索', '^访问 50 次后', '无', '策略', '价值', '树搜索',
                                   '快速走子', '访问', '变化')))}


def finished(page, words):
    page.locator('.thought[aria-busy=false]', has_text=re.compile(words['done'])).wait_for()


def listed(page):
    """[(move, share or chance, visits)] that the list shows."""
    rows = page.locator('.moves li').evaluate_all("""(rows) => rows.map((row) => [row.querySelector('button').textContent,
        row.querySelector('meter').value, Number(/\\((\\d+)\\)/.exec(row.textContent)?.[1] ?? 0)])""")
    return [(move_of(point), share, visits) for point, share, visits in rows]


def numbers_on_board(page):
    return page.locator('.shudan-heatlabel').all_inner_texts()


@pytest.mark.parametrize('viewport, locale', [(PHONE, 'en-US'), (PHONE, 'zh-CN'), (DESKTOP, 'en-US'), (DESKTOP, 'zh-CN')],
                         ids=['phone-en', 'phone-zh', 'desktop-en', 'desktop-zh'])
def test_six_boards(open_page, engine, viewport, locale):
    words, page, press = WORDS[locale], open_page(locale, viewport, NETWORK), 'tap' if viewport is PHONE else 'click'
    getattr(page.get_by_role('button', name=words['move78']), press)()
    top_moves(page)
    stones = board(page)

    def show(name):
        getattr(page.get_by_role('radio', name=words[name], exact=True), press)()
    page.locator('.search + label select').select_option('50')
    getattr(page.get_by_role('button', name=words['search']), press)()
    finished(page, words)
    assert page.get_by_role('radio', name=words['tree'], exact=True).is_checked()  # a board that the button is for
    for number, move in enumerate(known(78)):
        engine.play(number % 2 + 1, move)
    search, tree = thinking.searched(engine, 50, 0.0), listed(page)
    assert {move: visits for move, _, visits in tree} == {move: search.visits[move] for move in np.flatnonzero(search.visits)}
    assert all(abs(chance - (search.value(move) + 1) / 2) < 1e-5 for move, chance, _ in tree)
    assert sorted(numbers_on_board(page)) == sorted(f'{100 * chance:.0f}' for _, chance, _ in tree)
    chosen = page.locator('.shudan-marker_circle:not(.shudan-sign_1, .shudan-sign_-1)')
    assert [chosen.get_attribute('data-x'), chosen.get_attribute('data-y')] == [str(tree[0][0] % 19), str(tree[0][0] // 19)]
    for name in ('rollouts', 'visits'):  # as the search is asked for, these go on by themselves
        show(name)
        finished(page, words)
        found = listed(page)
        assert sum(visits for _, _, visits in found) == 50
        assert found == sorted(found, key=lambda one: -one[2])
        if name == 'rollouts':
            assert all(chance in (0, 1) for _, chance, visits in found if visits == 1)  # of one game each
        else:
            assert all(share == visits / 50 for _, share, visits in found)
            assert sorted(numbers_on_board(page)) == sorted(str(2 * visits) for _, _, visits in found)
    show('line')
    first = page.locator('.shudan-marker_label[title="1"]')
    assert first.get_attribute('data-x') == str(found[0][0] % 19) and first.get_attribute('data-y') == str(found[0][0] // 19)
    added = np.argwhere(board(page) != stones)
    assert 0 < len(added) == page.locator('.shudan-marker_label').count() <= 8
    for y, x in added:  # black begins, and both play by turns
        label = page.locator(f'.shudan-vertex[data-x="{x}"][data-y="{y}"]').get_attribute('title')
        assert board(page)[y, x] == (BLACK if int(label) % 2 else WHITE)
    assert vertex(found[0][0]) in page.locator('.thought').inner_text()
    show('value')
    page.locator('.thought[aria-busy=false]').wait_for()
    assert len(listed(page)) == len(numbers_on_board(page)) == 20
    show('policy')
    assert len(listed(page)) == len(numbers_on_board(page)) == 9 and (board(page) == stones).all()
    show('none')
    assert not numbers_on_board(page) and not page.locator('.moves').count()
    show('tree')
    assert listed(page) == tree  # what was found is kept
    assert page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')


def test_by_keyboard_and_what_is_said_of_a_point(open_page):
    page = open_page('zh-CN', network=NETWORK)
    page.get_by_role('button', name='李世石的第 78 手').click()
    top_moves(page)
    page.get_by_role('radio', name='策略', exact=True).focus()
    for name in ('价值', '树搜索', '快速走子', '访问'):
        page.keyboard.press('ArrowRight')
        assert page.get_by_role('radio', name=name, exact=True).is_checked()
    assert page.locator('.thought').inner_text() == '尚未搜索：请按“搜索”。'
    page.keyboard.press('Tab')
    page.keyboard.press('Tab')
    page.keyboard.press('ArrowUp')  # 100 to 50 visits
    page.keyboard.press('Shift+Tab')
    page.keyboard.press('Enter')
    finished(page, WORDS['zh-CN'])
    [(move, _, visits), *_] = listed(page)

    def point_to():
        page.get_by_role('application').focus()
        for key in ['ArrowLeft', *['ArrowRight' if move % 19 > 9 else 'ArrowLeft'] * abs(move % 19 - 9),
                    *['ArrowDown' if move // 19 > 9 else 'ArrowUp'] * abs(move // 19 - 9)]:
            page.keyboard.press(key)
    point_to()
    said(page, f'{vertex(move)}: 空点.*访问 50 次中的 {visits} 次')
    page.get_by_role('radio', name='访问', exact=True).focus()
    page.keyboard.press('ArrowRight')
    page.get_by_role('application').focus()
    page.keyboard.press('ArrowUp')
    page.keyboard.press('ArrowDown')
    said(page, f'{vertex(move)}: 空点.*变化的第 1 手')
    page.keyboard.press('Enter')  # the stone that is shown there is none yet
    said(page, f'黑方下在 {vertex(move)}')
    assert page.locator('.thought').inner_text() == '尚未搜索：请按“搜索”。'
    page.get_by_title('Show this page in English').click()
    assert page.locator('.thought').inner_text() == 'Not searched yet: press “Search”.'


def seconds_of_work(page, wait):
    """How long the page's thread works while `wait()` waits."""
    session = page.context.new_cdp_session(page)
    session.send('Performance.enable', {'timeDomain': 'threadTicks'})  # of the processor, however busy the machine is

    def worked():
        metrics = session.send('Performance.getMetrics')['metrics']
        return next(one['value'] for one in metrics if one['name'] == 'TaskDuration')
    before = worked()
    wait()
    return worked() - before


@pytest.mark.parametrize('change', ['One move back', 'Komi', 'Stop'])
def test_a_search_stops_when_the_position_changes(open_page, change):
    page = open_page(network=NETWORK)
    page.get_by_role('button', name='Move 78 of Lee Sedol').click()
    top_moves(page)
    page.get_by_role('radio', name='Tree', exact=True).check()
    page.locator('.search + label select').select_option('400')
    page.get_by_role('button', name='Search').click()
    thought = page.locator('.thought')
    page.get_by_text(re.compile(r'^[1-9]\d* of 400 visits…')).wait_for()
    assert thought.get_attribute('aria-busy') == 'true' and numbers_on_board(page)  # it is seen at work
    if change == 'Komi':
        page.get_by_label('Komi').fill('0.5')
    else:
        page.get_by_role('button', name=change).click()
    page.get_by_role('button', name='Search').wait_for()
    top_moves_or_none(page)
    assert seconds_of_work(page, lambda: page.wait_for_timeout(1500)) < 0.4
    if change != 'Stop':
        assert thought.inner_text() == 'Not searched yet: press “Search”.' and not numbers_on_board(page)
        return
    stopped = int(re.search(r'After (\d+) visits', thought.inner_text())[1])
    assert 0 < stopped < 400
    page.locator('.search + label select').select_option('50')
    page.get_by_role('button', name='Search').click()  # so many more, of the same tree
    page.get_by_text(f'After {stopped + 50} visits').wait_for()
    assert sum(visits for _, _, visits in listed(page)) == stopped + 50


def top_moves_or_none(page):
    """Wait until the network has looked at the position, whatever is shown of it."""
    page.locator('.judged[aria-busy=false]').wait_for()


def test_the_network_plays_by_search(open_page):
    page = open_page(viewport=PHONE, network=NETWORK)
    top_moves(page)
    page.get_by_label('The network plays').select_option('50')
    for _ in range(2):
        click(page, 'Q16')
    page.get_by_text(re.compile(r'The network is thinking… \d+ of 50 visits')).wait_for()
    page.get_by_role('radio', name='Tree', exact=True).check()
    assert page.get_by_role('button', name='Search').is_disabled()  # it is not the player's turn
    said(page, '^White plays')
    assert np.count_nonzero(board(page)) == 2 and np.count_nonzero(board(page) == WHITE) == 1
    assert page.get_by_role('button', name='Search').is_enabled()


def test_without_a_head_games_played_out_judge_alone(open_page):
    page = open_page(network=NETWORK)

    def without_head(route):
        networks = route.fetch().json()
        route.fulfill(json=[{**one, 'judges': False} for one in networks])
    page.route('**/networks.json', without_head)
    page.reload()
    page.locator('header select').select_option(str(NETWORK))
    top_moves(page)
    names = page.locator('.chips label').all_inner_texts()
    assert names == ['Nothing', 'Policy', 'Rollouts', 'Visits', 'Line']
    page.get_by_role('radio', name='Visits', exact=True).check()
    page.locator('.search + label select').select_option('50')
    page.get_by_role('button', name='Search').click()
    finished(page, WORDS['en-US'])
    page.get_by_role('radio', name='Rollouts', exact=True).check()
    assert 'After 50 visits' in page.locator('.thought').inner_text()  # the same tree
    assert all(chance in (0, 1) for _, chance, visits in listed(page) if visits == 1)


def test_how_fast_it_searches(open_page):
    page = open_page(network=NETWORK)
    page.get_by_role('button', name='Move 78 of Lee Sedol').click()
    top_moves(page)
    for name in ('Tree', 'Rollouts', 'Visits'):
        page.get_by_label('Komi').fill('6.5')  # forgets what was searched
        page.get_by_label('Komi').fill('7.5')
        page.get_by_role('radio', name=name, exact=True).check()

        def search():
            page.get_by_role('button', name='Search').click()
            page.locator('.thought', has_text='After 100 visits').wait_for()
        began = time.perf_counter()
        seconds = seconds_of_work(page, search)
        print(f'{name}: 100 visits in {time.perf_counter() - began:.2f} s, of which the page worked for {seconds:.2f} s')
        assert seconds < 60  # slower than that is broken, on any machine
