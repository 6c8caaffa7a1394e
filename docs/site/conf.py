"""Sphinx's settings for both languages of the site; `build.py` calls it with BOOKCNN_LANGUAGE=en or zh."""
import os
import re
import sys
from pathlib import Path

import latex2mathml.converter
from docutils.nodes import SkipNode
from sphinx.search import SearchLanguage

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[1]))

ENGLISH = os.environ['BOOKCNN_LANGUAGE'] == 'en'
project = 'Deep convolutional networks' if ENGLISH else '深度卷积网络'
language = 'en' if ENGLISH else 'zh_CN'
release = (HERE.parents[1] / 'VERSION').read_text(encoding='utf-8').strip()
extensions = ['myst_nb', 'sphinx.ext.autodoc', 'numpydoc'] if ENGLISH else ['myst_nb']
exclude_patterns = ['_build']
nb_execution_mode = 'off'  # pages show the outputs that are committed
nb_render_markdown_format = 'myst'
myst_enable_extensions = ['dollarmath']
myst_heading_anchors = 4
suppress_warnings = ['myst.header', 'mystnb.unknown_mime_type']
numpydoc_show_class_members = False
autodoc_default_options = {'members': True, 'member-order': 'bysource'}

html_theme = 'furo'  # dark and light, phones, and nothing from another host
html_show_copyright = False
html_title = project
html_static_path = [str(HERE / 'style.css')]
html_css_files = ['style.css']
templates_path = [str(HERE / 'templates')]
html_copy_source = False
html_show_sphinx = False
html_math_renderer = 'mathml'
html_search_language = 'both'
html_context = {'here': 'en' if ENGLISH else 'zh', 'there': 'zh' if ENGLISH else 'en',
                'there_name': '中文' if ENGLISH else 'English'}


def spellings(word):
    """A word as it is written in Britain and in America: normalisation, normalization."""
    match = re.fullmatch('([a-z]*[a-z]{3}[lrmd]i)([sz])((?:e|ed|er|ers|es|ing|ation)s?)', word)
    return [word, match.group(1) + {'s': 'z', 'z': 's'}[match.group(2)] + match.group(3)] if match else [word]


class Both(SearchLanguage):
    """Words of Latin letters, and pairs of neighbouring characters of Chinese, in the index as in the query.

    A dictionary would cut a term of the field now one way and now another; pairs find it wherever it stands.
    """
    lang = 'both'
    language_name = 'English and Chinese'
    js_splitter_code = r'''
function splitQuery(query) {
  return (query.toLowerCase().match(/[a-z0-9_.]+|[\u4e00-\u9fff]+/g) || []).flatMap(word =>
    /[\u4e00-\u9fff]/.test(word) && word.length > 2
      ? Array.from({length: word.length - 1}, (_, at) => word.slice(at, at + 2)) : [word.replace(/^\.+|\.+$/g, '')]
  ).filter(word => word);
}
'''

    def split(self, input):
        found = []
        for word in re.findall(r'[a-z0-9_.]+|[\u4e00-\u9fff]+', input.lower()):
            if '\u4e00' <= word[0] <= '\u9fff':
                found += [word[at:at + 2] for at in range(max(1, len(word) - 1))]
            elif word.strip('.'):
                found += spellings(word.strip('.'))
        return found

    def word_filter(self, word):
        return bool(word)


def inline_math(self, node):
    """Formulas as MathML, which browsers typeset themselves: no script, no fonts from elsewhere."""
    self.body.append(latex2mathml.converter.convert(node.astext()))
    raise SkipNode


def block_math(self, node):
    self.body.append('<div class="formula">' + latex2mathml.converter.convert(node.astext(), display='block') + '</div>')
    raise SkipNode


def plain(app, what, name, thing, options, lines):
    """Bars and final underscores of a docstring are what they are: it is written to be read as text."""
    for number, line in enumerate(lines):
        parts = re.split(r'(`+[^`]*`+)', line)
        parts[::2] = [re.sub(r'(?<!\\)(\||(?<=\w)_(?!\w))', r'\\\1', part) for part in parts[::2]]
        lines[number] = ''.join(parts)


def setup(app):
    app.add_search_language(Both)
    if ENGLISH:
        app.connect('autodoc-process-docstring', plain, priority=100)  # before numpydoc
    app.add_html_math_renderer('mathml', (inline_math, None), (block_math, None))


