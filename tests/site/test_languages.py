"""What becomes of a notebook in two languages, and what the site's build complains of; no browser is needed."""
import importlib.util
from pathlib import Path

import nbformat
import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope='module')
def build():
    spec = importlib.util.spec_from_file_location('site_build', ROOT / 'docs' / 'site' / 'build.py')
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


TEXT = '''## 4.4 MNIST, read · 识别手写数字

LeNet reads digits.

LeNet 识别数字。

$$y = x$$

The mean · 平均: $x$

**Try this**: more._
**试一试**：更多。'''.replace('_\n', '  \n')


@pytest.mark.parametrize('language, expected', [
    ('en', '## 4.4 MNIST, read\n\nLeNet reads digits.\n\n$$y = x$$\n\nThe mean: $x$\n\n**Try this**: more.'),
    ('zh', '## 4.4 识别手写数字\n\nLeNet 识别数字。\n\n$$y = x$$\n\n平均: $x$\n\n**试一试**：更多。')])
def test_a_text_in_two_languages_becomes_one_in_each(build, language, expected):
    assert build.one_language(TEXT, language) == expected


@pytest.mark.parametrize('path', sorted((ROOT / 'notebooks').glob('ch*.ipynb')), ids=lambda path: path.stem)
def test_every_notebook_has_a_chapter_text_and_loses_no_cell_in_either_language(build, path):
    notebook = nbformat.read(path, 4)
    for suffix in ('.md', '.zh-CN.md'):
        assert f'## {path.stem}\n' in (ROOT / 'docs' / 'site' / f'chapters{suffix}').read_text(encoding='utf-8')
    for cell in notebook.cells:
        if cell.cell_type == 'markdown':
            assert build.one_language(cell.source, 'en').strip()
            assert build.CHINESE.search(build.one_language(cell.source, 'zh')) or not build.CHINESE.search(cell.source)


def test_every_section_of_a_notebook_gets_one_place_to_link_to(build):
    places = set()
    text = '## 4.4 Digits\n\nWords.\n\n### 4.4-fast, 4.4-wide Faster\n\n### 4.4 Digits again\n\n## Epoch by epoch'
    assert build.with_places(text, 'ch04_cnn', places) == (
        '(ch04_cnn-4.4)=\n## 4.4 Digits\n\nWords.\n\n(ch04_cnn-4.4-fast)=\n(ch04_cnn-4.4-wide)=\n'
        '### 4.4-fast, 4.4-wide Faster\n\n### 4.4 Digits again\n\n## Epoch by epoch')
    assert places == {'4.4', '4.4-fast', '4.4-wide'}
    assert build.one_language('## 4.4-fast, 4.4-wide Faster · 更快', 'zh') == '## 4.4-fast, 4.4-wide 更快'


@pytest.mark.parametrize('language, title', [('en', 'Packing image data sets'), ('zh', '打包图像数据集')])
def test_pages_are_named_by_their_titles_and_sections_lead_into_the_notebook(build, tmp_path, language, title):
    build.sources(tmp_path / language, language)
    commands, chapter, index = ((tmp_path / language / name).read_text(encoding='utf-8')
                                for name in ('guides/COMMANDS.md', 'chapters/ch04_cnn.md', 'index.md'))
    assert f'[{title}](PACKING.md)' in commands and '.md](' not in commands
    assert '| [4.4](#ch04_cnn-4.4) |' in chapter and '| [4.4.4-batch8](#ch04_cnn-4.4.4) |' in chapter
    assert 'python -m chapters run 4.2.2' in chapter
    listed = [line for line in index.splitlines() if line.startswith('guides/')]
    assert listed[:3] == ['guides/FIRST', 'guides/INSTALL', 'guides/COMMANDS'] and len(set(listed)) == len(listed)


def test_a_page_holds_the_headings_of_its_twin_unseen(build, tmp_path):
    for language, heading in (('en', 'Batch <b> normalisation'), ('zh', '批规范化')):
        (tmp_path / language).mkdir()
        (tmp_path / language / 'page.md').write_text(f'# {heading}\n\n```\n# code\n```\n', encoding='utf-8')
        cells = [nbformat.v4.new_markdown_cell(f'## {heading}'), nbformat.v4.new_code_cell('# code')]
        nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / language / 'page.ipynb')
    for name in ('page.md', 'page.ipynb'):
        build.add_headings(tmp_path, Path(name))
    english, chinese = ((tmp_path / language / 'page.md').read_text(encoding='utf-8') for language in ('en', 'zh'))
    assert english.endswith('\n\n<div hidden lang="zh">批规范化</div>\n')
    assert chinese.endswith('\n\n<div hidden lang="en">Batch &lt;b&gt; normalisation</div>\n')
    assert nbformat.read(tmp_path / 'en' / 'page.ipynb', 4).cells[-1].source == '<div hidden lang="zh">批规范化</div>\n'


def test_dead_links_other_hosts_and_missing_translations_are_found(build, tmp_path):
    for language in ('en', 'zh'):
        (tmp_path / language).mkdir()
        (tmp_path / language / 'index.html').write_text('<p id="here"><a href="#here">x</a>', encoding='utf-8')
    assert build.complaints_of(tmp_path) == []
    page = tmp_path / 'zh' / 'index.html'
    page.write_text('<a href="#">up</a><article><a class="reference" href="#">all of it</a></article>', encoding='utf-8')
    assert build.complaints_of(tmp_path) == ['zh/index.html: a link leads to the page itself']
    page.write_text('', encoding='utf-8')
    (tmp_path / 'en' / 'more.html').write_text(
        '<a href="index.html#gone">x</a><a href="none.html">x</a><script src="https://cdn.example/x.js"></script>'
        '<a href="https://example.org">x</a>', encoding='utf-8')
    found = build.complaints_of(tmp_path)
    assert len(found) == 4
    words = ('#gone names no place', 'dead link none.html', 'asks another host for https://cdn', 'no translation')
    assert all(any(word in line for line in found) for word in words)
