"""The documents: both languages say the same, links lead somewhere, and the commands that they print are commands."""
import json
import re
import shlex
from pathlib import Path
from statistics import mean

import pytest

import chapters

ROOT = Path(chapters.__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md')])
TWINS = [path for path in DOCUMENTS if path.name.endswith('.zh-CN.md')]
# The READMEs are looked at as to their links and commands only.
WORD_FOR_WORD = [path for path in TWINS if not path.name.startswith('README')]


def english(path):
    return path.with_name(path.name.replace('.zh-CN', ''))


def without_code(text):
    """The text, without fenced blocks and indented lines."""
    return re.sub(r'^    .*$', '', re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S), flags=re.M)


def commands(text):
    """Fenced blocks and indented lines, without comments and what stands for an address."""
    code = re.findall(r'^```.*?^```$', text, flags=re.M | re.S)
    code += re.findall(r'^    \S.*$', re.sub(r'^```.*?^```$', '', text, flags=re.M | re.S), flags=re.M)
    return [re.sub(r'<[^>\n]*>|\s+# .*', '', part) for part in code]


def name(path):
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize('path', WORD_FOR_WORD, ids=name)
def test_both_languages_have_the_same_commands_headings_and_tables(path):
    ours, theirs = (file.read_text(encoding='utf-8') for file in (path, english(path)))
    assert commands(ours) == commands(theirs)
    for what in (r'^#+ ', r'^\|'):
        levels = [re.findall(what, without_code(text), re.M) for text in (ours, theirs)]
        assert levels[0] == levels[1], what


@pytest.mark.parametrize('path', TWINS, ids=name)
def test_each_language_links_to_the_other_on_its_third_line(path):
    assert path.read_text(encoding='utf-8').splitlines()[2] == f'[English]({english(path).name})'
    assert english(path).read_text(encoding='utf-8').splitlines()[2] in (
        f'[中文]({path.name})', f'[中文说明]({path.name})')


@pytest.mark.parametrize('path', DOCUMENTS, ids=name)
def test_links_lead_to_files(path):
    for link in re.findall(r'\]\(([^)\s]+)\)', without_code(path.read_text(encoding='utf-8'))):
        if not re.match(r'https?:|#|mailto:', link):
            assert (path.parent / link.partition('#')[0]).exists(), link


def test_whatever_the_chinese_readme_links_to_is_there_in_chinese():
    for link in re.findall(r'\]\((\S+?\.md)\)', (ROOT / 'README.zh-CN.md').read_text(encoding='utf-8')):
        assert link.endswith('.zh-CN.md') or link in ('README.md', 'docs/RESULTS.md'), link


@pytest.mark.parametrize('readme', ['README.md', 'README.zh-CN.md'])
def test_the_first_table_says_what_was_measured(readme):
    """The book's accuracies, and the means over the seeds of the fast recipe's runs."""
    records = json.loads((ROOT / 'docs' / 'RESULTS.json').read_text(encoding='utf-8'))
    rows = re.findall(r'^\| (\d\S+) \| \S+ \| ([\d.]+)% \| ([\d.]+)% \| ([\d.]+) \|$',
                      (ROOT / readme).read_text(encoding='utf-8'), re.M)
    assert len(rows) == 8
    for section, book, here, minutes in rows:
        experiment = chapters.find(section)
        runs = [record for record in records if record['section'] == section and record['recipe_name'] == 'fast'
                and record['data'] == experiment.data and record['epochs'] == experiment.by('fast').recipe.epochs]
        accuracy = mean(run['metrics']['validation_accuracy'] for run in runs)
        assert (book, here) == tuple(f'{100 * value:.2f}' for value in (
            experiment.figure('validation_accuracy', experiment.data).value, accuracy)), section
        assert minutes == f"{mean(run['core_seconds'] for run in runs) / 60:.2g}", section


@pytest.mark.parametrize('path', [path for path in DOCUMENTS if path.name != 'CHANGELOG.md'], ids=name)
def test_every_command_that_a_document_prints_is_one(path):
    """Sections, options and settings exist. What a command does is tested where it is made."""
    from chapters.__main__ import parser
    from chapters.script import changes_of
    for line in re.findall(r'python -m chapters ([^`#|\n]*)', path.read_text(encoding='utf-8')):
        line = re.split(r' && |; ', re.sub(r'\[[^\]]*\]', '', line))[0]
        words = [word for word in shlex.split(line) if word != '...']
        if not words or words[0].isupper():
            continue
        options = parser().parse_args(words)
        for section in getattr(options, 'sections', []):
            if re.fullmatch(r'[\d.]+[-\w]*', section) and section != '2.9':  # which CONTRIBUTING.md adds
                chapters.find(section).but(**changes_of(options))
