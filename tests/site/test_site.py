"""The site in a real Chromium: pages to read, the language switch, search in both languages, phones, no other host."""
import functools
import http.server
import json
import os
import threading
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SITE = Path(os.environ.get('BOOKCNN_SITE') or ROOT / 'build' / 'site')
PHONE, DESKTOP = {'width': 390, 'height': 844}, {'width': 1280, 'height': 900}

pytestmark = pytest.mark.skipif(not os.environ.get('BOOKCNN_WEB_TEST') or not (SITE / 'en' / 'index.html').exists(),
                                reason='needs Chromium and the site: `make site web-test` runs it')


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments):
        """Nothing."""


@pytest.fixture(scope='module')
def address():
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), functools.partial(Quiet, directory=str(SITE)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f'http://127.0.0.1:{server.server_address[1]}'
    server.shutdown()


@pytest.fixture
def page(chromium, address):
    """A page that tells of errors and of requests to other hosts."""
    page = chromium.new_page(viewport=DESKTOP)
    page.complaints = []
    page.on('pageerror', lambda error: page.complaints.append(str(error)))
    page.on('request', lambda request: page.complaints.append(request.url)
            if not request.url.startswith((address, 'data:')) else None)
    page.on('response', lambda response: page.complaints.append(f'{response.status} {response.url}')
            if response.status >= 400 else None)
    yield page
    page.close()
    assert not page.complaints


def picture(page, name):
    """A screenshot, where BOOKCNN_SCREENSHOTS names a folder for them."""
    if os.environ.get('BOOKCNN_SCREENSHOTS'):
        page.screenshot(path=f'{os.environ["BOOKCNN_SCREENSHOTS"]}/{name}.png')


@pytest.mark.parametrize('language, other', [('en', 'zh'), ('zh', 'en')])
def test_three_pages_are_read_and_the_language_switched(page, address, language, other):
    for name in ('index', 'notebooks/ch04_cnn', 'guides/OWN'):
        page.goto(f'{address}/{language}/{name}.html')
        heading = page.locator('article h1').inner_text()
        picture(page, f'{language}-{name.replace("/", "-")}')
        page.locator('.switch a').click()
        page.wait_for_url(f'{address}/{other}/{name}.html')
        assert page.locator('article h1').inner_text() != heading
        assert page.locator('html').get_attribute('lang').startswith(other)


def test_a_notebook_has_code_side_by_side_formulas_pictures_and_hidden_answers(page, address):
    page.goto(f'{address}/en/notebooks/ch04_cnn.html')
    listing = page.locator('table', has=page.get_by_text('class LeNet')).first
    left, right = (listing.locator('pre').nth(number) for number in (0, 1))
    assert right.bounding_box()['x'] > left.bounding_box()['x'] + 100
    assert abs(right.bounding_box()['y'] - left.bounding_box()['y']) < 60
    assert listing.locator('pre span.k, pre span.kn').count() > 3  # highlighted
    notebook = json.loads((ROOT / 'notebooks' / 'ch04_cnn.ipynb').read_text(encoding='utf-8'))
    formulas = sum(''.join(cell['source']).count('$$') // 2 for cell in notebook['cells'] if cell['cell_type'] == 'markdown')
    assert page.locator('math').count() >= formulas > 0
    assert page.locator('.cell_output img').count() > 10
    answer = page.locator('details').first
    assert not answer.locator('p').first.is_visible()
    answer.locator('summary').click()
    assert answer.locator('p').first.is_visible()
    answer.scroll_into_view_if_needed()
    picture(page, 'en-answer')


@pytest.mark.parametrize('language, query', [('zh', '批规范化'), ('en', 'batch normalisation'), ('zh', 'batch'),
                                             ('en', 'batch normalization'), ('en', '批规范化')])
def test_search_finds_terms_of_both_languages(page, address, language, query):
    page.goto(f'{address}/{language}/search.html?q={query}')
    page.locator('ul.search li').first.wait_for()
    page.wait_for_timeout(500)
    found = page.locator('ul.search li a').all_inner_texts()
    picture(page, f'search-{language}-{len(query)}')
    if query != 'batch':
        assert any(('第 4 章' if language == 'zh' else 'Chapter 4') in title or
                   ('第 5 章' if language == 'zh' else 'Chapter 5') in title for title in found), found
    assert found and page.locator('.switch a').is_visible()


def test_the_chinese_pages_are_chinese_around_the_text_too(page, address):
    page.goto(f'{address}/zh/guides/OWN.html')
    around = page.locator('.related-pages, .toc-drawer').all_inner_texts()
    assert '下一页' in around[0] and '上一页' in around[0] and '本页内容' in around[1]
    assert not any(word in text for text in around for word in ('Next', 'Previous', 'On this page'))


@pytest.mark.parametrize('language', ['en', 'zh'])
@pytest.mark.parametrize('name', ['index', 'notebooks/ch02_neuron', 'chapters/ch05_deep_cnn'])
def test_a_phone_scrolls_in_one_direction_only(page, address, language, name):
    page.set_viewport_size(PHONE)
    page.goto(f'{address}/{language}/{name}.html')
    picture(page, f'phone-{language}-{name.replace("/", "-")}')
    assert page.evaluate('document.scrollingElement.scrollWidth') <= PHONE['width']
    assert page.locator('.switch a').is_visible()


def test_dark_and_light(page, address):
    page.emulate_media(color_scheme='dark')
    page.goto(f'{address}/zh/notebooks/ch03_mlp.html')
    dark = page.evaluate('getComputedStyle(document.body).backgroundColor')
    picture(page, 'dark')
    page.emulate_media(color_scheme='light')
    assert page.evaluate('getComputedStyle(document.body).backgroundColor') != dark
