"""The page in a real Chromium: draw a digit, play Go, open a record; languages, phones, keyboard, speed."""
import gzip
import os
import re
import shutil
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest

from data_tools.go.board import BLACK, WHITE, Position, vertex

PHONE, DESKTOP = {'width': 390, 'height': 844}, {'width': 1180, 'height': 900}
PAGE = Path(__file__).parents[2] / 'chapters' / 'page'
DIGITS = {'0': [[(140, 60), (90, 80), (75, 140), (90, 200), (140, 220), (190, 200), (205, 140), (190, 80), (140, 60)]],
          '1': [[(140, 50), (140, 230)]],
          '7': [[(75, 60), (205, 60), (120, 230)]]}


def draw(page, strokes):
    """With the mouse, on a canvas of 280x280."""
    canvas = page.locator('.drawing canvas')
    page.get_by_text('Nothing drawn yet.').wait_for()
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    scale = box['width'] / 280

    def to(x, y):
        page.mouse.move(box['x'] + x * scale, box['y'] + y * scale, steps=3)
    for stroke in strokes:
        to(*stroke[0])
        page.mouse.down()
        for point in stroke[1:]:
            to(*point)
        page.mouse.up()


def layer_pictures(page):
    return page.evaluate("[...document.querySelectorAll('.layers canvas')].map((one) => one.toDataURL())")


def board(page):
    """The stones on the page's board, uint8 (19, 19)."""
    signs = page.evaluate("""[...document.querySelectorAll('.shudan-vertex')].map((one) =>
        [Number(one.dataset.x), Number(one.dataset.y), Number(/shudan-sign_(-?\\d)/.exec(one.className)[1])])""")
    found = np.zeros((19, 19), np.uint8)
    for x, y, sign in signs:
        found[y, x] = {0: 0, 1: BLACK, -1: WHITE}[sign]
    return found


def click(page, point):
    x, y = 'ABCDEFGHJKLMNOPQRST'.index(point[0]), 19 - int(point[1:])
    page.locator(f'.shudan-vertex[data-x="{x}"][data-y="{y}"]').click()


def top_moves(page):
    """[(point, share)] of the list, once the network has looked at this position."""
    page.locator('.moves[aria-busy=false] li').nth(8).wait_for()
    rows = page.locator('.moves li')
    return [(row.get_by_role('button').inner_text(), float(row.locator('meter').get_attribute('value')))
            for row in rows.all()]


def said(page, pattern):
    page.locator('.said', has_text=re.compile(pattern)).wait_for()


def open_record(page, text, encoding='utf-8'):
    page.locator('input[type=file]').set_input_files(
        {'name': 'game.sgf', 'mimeType': 'application/x-go-sgf', 'buffer': text.encode(encoding)})


# ---- digits

def test_the_digit_that_was_drawn_is_read(open_page):
    page = open_page()
    for digit, strokes in DIGITS.items():
        draw(page, strokes)
        page.get_by_text(f'The network says {digit},').wait_for()
        assert page.locator('.bars .best .name').inner_text() == digit
        shares = page.locator('.bars meter').evaluate_all('all => all.map((one) => one.value)')
        assert abs(sum(shares) - 1) < 1e-3
        pictures = layer_pictures(page)
        page.get_by_role('button', name='Clear').click()
    assert len(pictures) == 5  # 4.4: ReLU, pooling, ReLU, pooling, the last convolution
    draw(page, DIGITS['1'])
    page.get_by_text('The network says 1,').wait_for()
    assert all(one != other for one, other in zip(pictures, layer_pictures(page)))


def test_a_digit_is_drawn_by_keyboard(open_page):
    page = open_page(locale='zh-CN')
    page.get_by_text('还没有写').wait_for()
    page.get_by_role('application', name='在此书写').focus()
    for keys in (['ArrowUp'] * 9, [' '], ['ArrowDown'] * 18, [' ']):
        for key in keys:
            page.keyboard.press(key)
    page.get_by_text('网络认为是 1').wait_for()
    page.keyboard.press('Escape')
    page.get_by_text('还没有写').wait_for()


def test_a_finger_draws(open_page):
    page = open_page(viewport=PHONE)
    page.get_by_text('Nothing drawn yet.').wait_for()
    box = page.locator('.drawing canvas').bounding_box()
    session = page.context.new_cdp_session(page)
    points = [(0.5, y / 10) for y in range(2, 9)]
    for number, (x, y) in enumerate(points):
        session.send('Input.dispatchTouchEvent', {'type': 'touchMove' if number else 'touchStart', 'touchPoints': [
            {'x': box['x'] + x * box['width'], 'y': box['y'] + y * box['height']}]})
    session.send('Input.dispatchTouchEvent', {'type': 'touchEnd', 'touchPoints': []})
    page.get_by_text('The network says 1,').wait_for()


def test_size_and_time_to_the_first_prediction(chromium, server):
    context = chromium.new_context()
    page = context.new_page()
    session = context.new_cdp_session(page)
    session.send('Performance.enable', {'timeDomain': 'threadTicks'})  # of the processor, however busy the machine is
    began = time.perf_counter()
    page.goto(server.address)
    draw(page, DIGITS['1'])
    page.get_by_text('The network says 1,').wait_for()
    seconds = time.perf_counter() - began
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').map((one) => [one.decodedBodySize, one.encodedBodySize])")
    unpacked, packed = np.sum(sizes, axis=0)
    metrics = {one['name']: one['value'] for one in session.send('Performance.getMetrics')['metrics']}
    print(f'{unpacked / 1e6:.2f} MB, {packed / 1e6:.2f} MB sent; from the address to the first prediction '
          f'{seconds:.2f} s, of which the page worked for {metrics["TaskDuration"]:.2f} s')
    assert unpacked < 15e6
    assert metrics['TaskDuration'] < 3
    context.close()


# ---- Go

def test_a_click_gets_a_legal_answer_and_an_illegal_point_is_refused(open_page):
    page = open_page(network=1)
    top_moves(page)
    click(page, 'Q16')
    said(page, '^White plays')
    answer = re.search(r'White plays (\w+)', page.locator('.said').inner_text()).group(1)
    position = Position()
    position.play(15 + 19 * 3)
    position.play([vertex(move) for move in range(361)].index(answer))  # or ValueError
    assert (board(page) == position.board).all()
    click(page, 'Q16')
    said(page, 'Q16 is illegal: there is a stone')
    assert (board(page) == position.board).all()
    page.get_by_role('button', name='Take back').click()
    assert not board(page).any()


def test_the_moves_are_those_of_the_python_engine(open_page, go_run):
    from chapters.ch07_policy_net.engine import load_engine
    page = open_page(network=1)
    page.get_by_label('You play').select_option('0')
    engine = load_engine(go_run)
    for point in ('Q16', 'D4', 'Q3', 'R3', None):
        chances = engine.probabilities()
        for name, share in top_moves(page):
            move = [vertex(number) for number in range(361)].index(name)
            assert abs(share - chances[move]) < 1e-4
        assert abs(sum(share for _, share in top_moves(page)) - np.sort(chances)[-9:].sum()) < 1e-4
        if point:
            click(page, point)
            said(page, point)
            engine.play(engine.position.to_play, [vertex(number) for number in range(361)].index(point))


def test_ko_and_suicide_are_refused(open_page):
    page = open_page(network=1)
    # Black takes Q16 in a ko; white would have no liberty at T1.
    open_record(page, '(;SZ[19]AB[od][pc][pe][sr][rs]AW[pd][qc][qe][rd]PL[B];B[qd])')
    said(page, 'game.sgf')
    page.get_by_role('button', name='To the end').click()
    click(page, 'Q16')
    said(page, 'Q16 is illegal: ko')
    click(page, 'T1')
    said(page, 'T1 is illegal: it would have no liberty')
    page.get_by_role('button', name='Pass').click()
    said(page, 'White passes')
    page.get_by_role('button', name='Pass').click()
    page.get_by_text('Both have passed.').wait_for()


def test_a_record_is_walked_through(open_page):
    random, position, events = np.random.default_rng(4), Position(), []
    boards = [position.board]
    for number in range(40):
        move = 361 if number == 20 else int(random.choice(np.flatnonzero(position.legal_moves()[:-1])))
        position.play(move)
        boards.append(position.board)
        place = '' if move == 361 else 'abcdefghijklmnopqrs'[move % 19] + 'abcdefghijklmnopqrs'[move // 19]
        events.append(f';{"BW"[number % 2]}[{place}]')
    page = open_page(network=1)
    open_record(page, f'(;GM[1]CA[GB18030]SZ[19]PB[黑方]{"".join(events)}(;B[aa])(;B[bb]))', 'gb18030')
    said(page, 'game.sgf')
    assert 'of 41' in page.locator('.turn').inner_text()
    page.locator('.record').wait_for()  # the network's opinion of the move played next
    for number in range(1, 23):
        page.get_by_role('button', name='One move on').click()
        if number in (1, 2, 20, 21, 22):
            assert (board(page) == boards[number]).all()
    page.get_by_role('button', name='One move back').click()
    page.get_by_role('button', name='One move back').click()
    assert (board(page) == boards[20]).all()
    page.get_by_role('button', name='To the beginning').click()
    assert not board(page).any()
    for text, why in (('rubbish', 'not a game record'), ('(;SZ[9];B[aa])', 'on 9×9'),
                      ('(;SZ[19];B[aa];W[aa])', 'Move 2 .* illegal'), ('(;SZ[19];B[zz])', 'Move 1 .* illegal'),
                      ('(;SZ[19]C[nothing](;C[x]))', 'no moves')):
        open_record(page, text)
        said(page, why)
        assert 'of 41' in page.locator('.turn').inner_text()  # what was open stays


def test_go_by_keyboard_and_a_game_to_its_end(open_page):
    page = open_page('zh-CN', network=1)
    page.locator('.moves[aria-busy=false] li').nth(8).wait_for()
    page.get_by_label('您执').select_option('0')
    page.get_by_role('application', name='围棋棋盘').focus()
    for key in ('ArrowUp', 'ArrowLeft', 'ArrowLeft', 'Enter'):
        page.keyboard.press(key)
    said(page, '黑方下在 H10')
    assert board(page)[9, 7] == BLACK and board(page).sum() == 1
    page.get_by_role('button', name='停一手').click()
    page.get_by_role('button', name='停一手').click()
    page.get_by_text('黑胜 353.5 子').wait_for()
    click(page, 'H10')  # a dead stone
    page.get_by_text('白胜 7.5 子').wait_for()


def test_on_a_phone_a_second_tap_plays(open_page):
    page = open_page(viewport=PHONE, network=1)
    top_moves(page)
    page.get_by_label('You play').select_option('0')
    for number in range(2):
        x, y = 3, 3
        page.locator(f'.shudan-vertex[data-x="{x}"][data-y="{y}"]').tap()
        said(page, ('Tap D16 again', 'Black plays D16')[number])
        assert board(page).sum() == number


# ---- everyone

@pytest.mark.parametrize('network', [0, 1])
@pytest.mark.parametrize('viewport', [PHONE, DESKTOP], ids=['phone', 'desktop'])
def test_fits_speaks_both_languages_and_names_everything(open_page, network, viewport, tmp_path):
    page = open_page('zh-CN', viewport, network)
    folder = Path(os.environ.get('BOOKCNN_SCREENSHOTS') or tmp_path)
    for language, other in (('zh', 'Show this page in English'), ('en', '用中文显示本页')):
        page.locator(f'html[lang|={language}]').wait_for(state='attached')
        if network:
            page.locator('.moves[aria-busy=false] li').nth(8).wait_for()
        else:
            page.locator('.answer', has_text={'zh': '还没有', 'en': 'Nothing'}[language]).wait_for()
        assert page.evaluate('document.documentElement.scrollWidth <= window.innerWidth')
        nameless = page.evaluate("""
            [...document.querySelectorAll('button, input, select, meter, canvas, [tabindex]')].filter(
                (one) => !(one.ariaLabel || one.textContent.trim() || one.title
                           || [...(one.labels ?? [])].some((label) => label.textContent.trim()))
            ).map((one) => one.outerHTML)""")
        assert nameless == []
        page.screenshot(path=folder / f'page-{("digits", "go")[network]}-{page.viewport_size["width"]}-{language}.png')
        page.get_by_title(other).click()
    page.reload()
    assert page.locator('.language').inner_text() == 'English'  # the choice is kept: Chinese again


def test_what_is_committed_is_what_the_sources_give(tmp_path):
    for name in ('package.json', 'package-lock.json', 'build.mjs', 'src'):
        (shutil.copytree if name == 'src' else shutil.copy)(PAGE / name, tmp_path / name)
    for command in (['npm', 'ci', '--no-audit', '--no-fund', '--ignore-scripts'], ['npm', 'run', 'build']):
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    fresh, committed = tmp_path / 'dist', PAGE / 'dist'
    assert sorted(path.name for path in fresh.iterdir()) == sorted(path.name for path in committed.iterdir())
    for path in fresh.iterdir():
        one, other = path.read_bytes(), (committed / path.name).read_bytes()
        if path.suffix == '.gz':  # versions of zlib differ
            one, other = gzip.decompress(one), gzip.decompress(other)
        assert one == other, f'{path.name}: not built of these sources; run `make web`'
