"""The notebooks that are committed, and `python -m notebooks.build`."""
import ast
import pkgutil
import re

import nbformat
import papermill
import pytest
from nbclient import NotebookClient

import book_code
import chapters
from chapters.notebook import CURVES, Markdown
from notebooks import build

PATHS = sorted(build.FOLDER.glob('ch*.ipynb'))


@pytest.fixture(scope='module', params=PATHS, ids=lambda path: path.stem)
def notebook(request):
    """One of the committed notebooks."""
    return nbformat.read(request.param, 4)


def calls(notebook):
    """All strings that stand in the code of a notebook."""
    return [node.value for cell in build.code_cells(notebook) for node in ast.walk(ast.parse(cell.source))
            if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def test_every_chapter_has_its_notebook_and_every_experiment_a_cell():
    assert [path.stem for path in PATHS] == sorted(
        {row['module'].split('.')[1] for row in chapters.catalogue()})
    called = {path.stem: calls(nbformat.read(path, 4)) for path in PATHS}
    modules = {row['section']: row['module'] for row in chapters.catalogue()}
    for experiment in chapters.experiments():
        own = modules[experiment.section].split('.')[1]
        names = [name for name in called if int(name[2:4]) == int(experiment.section.split('.')[0])]
        if own in names:  # else it needs what a later chapter has: 5.5.4, 6.2.1, 6.2.6
            names = [own]
        assert any(experiment.section in called[name] for name in names), f'{experiment.section} is not in {names}'


def test_pictures_of_whole_runs_that_notebooks_show_are_there_and_others_stand_in_a_document():
    shown = {keyword.value.value for path in PATHS for cell in build.code_cells(nbformat.read(path, 4))
             for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Call)
             for keyword in node.keywords if keyword.arg == 'quick' and isinstance(keyword.value, ast.Constant)}
    shown = {name for name in shown if isinstance(name, str)}
    assert len(shown) > 20 and [name for name in shown if not (CURVES / f'{name}.png').exists()] == []
    documents = ''.join(path.read_text(encoding='utf-8') for ending in ('md', 'json')
                        for path in CURVES.parent.glob(f'*.{ending}'))
    assert [path.name for path in CURVES.glob('*.png') if path.stem not in shown and path.name not in documents] == []


def test_sections_stand_in_the_books_order_in_two_languages(notebook):
    nbformat.validate(notebook)
    headings = [line for cell in notebook.cells if cell.cell_type == 'markdown'
                for line in cell.source.splitlines() if line.startswith('#')]
    same = tuple(experiment.title for experiment in chapters.experiments() if experiment.title == experiment.title_zh)
    for heading in headings:
        assert ' \u00b7 ' in heading or heading.endswith(same), heading  # English, then Chinese
    numbers = [tuple(map(int, found.group(1).split('.'))) for found in
               (re.match(r'#+ (\d+(?:\.\d+)+)', heading) for heading in headings) if found]
    assert numbers == sorted(numbers) and len(numbers) >= 3
    for cell in notebook.cells:  # short, and in both languages
        if cell.cell_type == 'markdown' and len(cell.source) > 60:
            assert re.search('[\u4e00-\u9fff]', cell.source), cell.source


def test_notebooks_call_the_chapters_and_hold_no_logic(notebook):
    """No network and no loop: one update by hand is written out, and the chapters' own code shown."""
    forbidden = (ast.ClassDef, ast.FunctionDef, ast.For, ast.While, ast.ListComp, ast.GeneratorExp)
    for cell in build.code_cells(notebook):
        nodes = list(ast.walk(ast.parse(cell.source)))
        found = [type(node).__name__ for node in nodes if isinstance(node, forbidden)]
        assert not found, (found, cell.source)
        assert not re.search(r'\bnn\.', cell.source)
        for node in nodes:
            if isinstance(node, ast.With):
                assert [ast.get_source_segment(cell.source, item.context_expr) for item in node.items] in (
                    ['autograd.record()'], ['autograd.record(train_mode=False)']), cell.source


def test_every_listing_is_shown_done_by_hand_and_ready_to_try():
    """A count for each notebook: of all listings of the book, each once."""
    listings = {experiment.listing: experiment.section for experiment in reversed(chapters.experiments())
                if experiment.listing}.values()
    assert {module.name for module in pkgutil.iter_modules(book_code.__path__)} == {
        chapters.find(section).listing.__name__.rpartition('.')[2] for section in listings}
    counted = {}
    for path in PATHS:
        cells = build.code_cells(nbformat.read(path, 4))
        own = [section for section in listings if int(section.split('.')[0]) == int(path.stem[2:4])]
        for what, call in (('code', "book.code('{}')"), ('by hand', "book.first_step('{}', net, x, "),
                           ('graph', "book.module('{}', net, x.shape"), ('ready', "('{}'")):
            found = {section for section in own for cell in cells if call.format(section) in cell.source
                     and (what != 'ready' or 'try' in cell.metadata.get('tags', ()))}
            counted.setdefault(path.stem, []).append(len(found))
    counted = {name: counts for name, counts in counted.items() if any(counts)}
    assert sum(counts[0] for counts in counted.values()) == len(listings)
    assert all(len(set(counts)) == 1 for counts in counted.values())
    for document in ('docs/SCREENS.md', 'docs/SCREENS.zh-CN.md'):
        rows = re.findall(r'^\| (ch\d+\w+) \|(.+)\|$', (build.FOLDER.parent / document).read_text(encoding='utf-8'), re.M)
        assert {name: list(map(int, numbers.split('|'))) for name, numbers in rows} == {
            name: counts[:1] + counts for name, counts in counted.items()}


def test_no_section_ends_with_a_command_and_no_picture(notebook):
    """Between two headings, where a run is left to mode FULL, there is something to see."""
    heading, commands, pictures = '', 0, 0
    for cell in [*notebook.cells, nbformat.v4.new_markdown_cell('## end')]:
        if cell.cell_type == 'markdown' and cell.source.startswith('#'):
            assert pictures or not commands, heading
            heading, commands, pictures = cell.source.splitlines()[0], 0, 0
        for output in cell.get('outputs', ()):
            commands += 'Only in mode FULL' in build._text(output)
            pictures += build._kind(output) == 'picture'


def test_what_is_by_hand_comes_out_as_the_first_step_and_answers_are_hidden():
    for path in PATHS:
        notebook = nbformat.read(path, 4)
        for number, cell in enumerate(notebook.cells):
            shown = ''.join(build._text(output) for output in cell.get('outputs', ()))
            if 'book.same(net, kit)' in cell.source:
                rows = [line for line in shown.splitlines() if line.startswith('| ')][1:]
                assert rows and all(re.search(r'rounding 舍入误差 \|$|^\| ---', row) for row in rows), shown
            if re.search(r'book\.module\(', cell.source):
                assert 'equal 相同' in shown
            if 'try' in cell.metadata.get('tags', ()):
                question, answer = notebook.cells[number - 1].source, notebook.cells[number + 1].source
                assert question.startswith('**Try this**') and '**试一试**' in question
                assert answer.startswith('<details><summary>Answer · 答案</summary>') and answer.endswith('</details>')
                assert re.search('[\u4e00-\u9fff]{6}', answer)


def test_committed_outputs_are_of_a_whole_run_without_complaints(notebook):
    cells = build.code_cells(notebook)
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert notebook.metadata.bookcnn.cells == build.digest(notebook)
    assert not build.unwanted(notebook)
    for cell in cells:
        assert bool(cell.outputs) == bool(re.search(r'book\.(?!colours)\w+\(|print\(', cell.source)), cell.source
        for output in cell.outputs:
            data = output.get('data', {})
            assert not set(data) - {'image/png', 'text/markdown', 'text/plain'}
            assert 'text/markdown' not in data or data['text/plain'] == repr(Markdown(data['text/markdown']))
    pictures = [output for cell in cells for output in cell.outputs if 'image/png' in output.get('data', {})]
    assert len(pictures) >= 3


@pytest.mark.parametrize('path', PATHS, ids=lambda path: path.stem)
def test_committed_files_are_small_and_name_no_machine(path):
    text = path.read_text(encoding='utf-8')
    assert len(text.encode('utf-8')) <= build.MOST_BYTES
    assert not re.search('/(tmp|work|home)/', text)


def test_papermill_sets_the_mode_before_anything_runs(tmp_path):
    for path in PATHS:
        prepared = papermill.execute_notebook(path, tmp_path / path.name, {'MODE': 'FULL'}, prepare_only=True)
        sources = [cell.source for cell in build.code_cells(prepared)]
        default, injected, opening = (next(number for number, source in enumerate(sources) if text in source)
                                      for text in ('BOOKCNN_MODE', "MODE = \"FULL\"", 'Notebook(MODE)'))
        assert default < injected < opening


# ---- build, on a notebook of its own ----

SOURCES = ['from ipywidgets import IntSlider\nIntSlider()', 'import matplotlib.pyplot as plt\nplt.plot([1, 2]);',
           "print('accuracy 0.9125 of 296 images')"]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(build, 'FOLDER', tmp_path)
    for name in ('BOOKCNN_MODE', 'OMP_NUM_THREADS', 'TQDM_DISABLE', 'PYDEVD_DISABLE_FILE_VALIDATION', 'BOOKCNN_DATA'):
        monkeypatch.setenv(name, '')
    return tmp_path


def write(path, *sources):
    cells = [nbformat.v4.new_code_cell(source, id=f'cell-{number}') for number, source in enumerate(sources)]
    path.write_text(nbformat.writes(nbformat.v4.new_notebook(cells=cells)), encoding='utf-8')


def test_build_refreshes_outputs_and_check_finds_those_that_are_old(folder, capsys):
    path = folder / 'ch99_test.ipynb'
    write(path, *SOURCES)
    assert build.main(['ch99_test']) == 0
    fresh = path.read_text(encoding='utf-8')
    assert 'widget-view' not in fresh and 'image/png' in fresh and 'accuracy 0.9125' in fresh
    assert build.main(['ch99_test', '--check']) == 0
    assert path.read_text(encoding='utf-8') == fresh
    capsys.readouterr()

    for old, new, complaint in (
            ('accuracy 0.9125', 'accuracy 0.55', 'committed "accuracy 0.55 of 296 images"'),  # another figure
            ('accuracy 0.9125', 'error 0.9125', 'committed "error 0.9125 of 296 images"'),  # other words
            ("print('accuracy 0.9125", "print('share 0.9125", 'changed and not run')):  # an edit, never run
        path.write_text(fresh.replace(old, new) if new.startswith('print') else _in_outputs(fresh, old, new),
                        encoding='utf-8')
        assert build.main(['ch99_test', '--check']) == 1
        said = capsys.readouterr().out
        assert complaint in said and 'python -m notebooks.build' in said
    # as far as another processor may differ
    path.write_text(_in_outputs(fresh, 'accuracy 0.9125', 'accuracy 0.8986'), encoding='utf-8')
    assert build.main(['ch99_test', '--check']) == 0
    # where a training may end elsewhere, only the words are compared
    for old, exit_code in (('accuracy 0.55', 0), ('error 0.55', 1)):
        notebook = nbformat.reads(_in_outputs(fresh, 'accuracy 0.9125', old), 4)
        notebook.cells[-1].metadata['tags'] = ['figures-vary']
        nbformat.write(notebook, path)
        assert build.main(['ch99_test', '--check']) == exit_code


def _in_outputs(text, old, new):
    """Replace in what is printed, and leave the cells."""
    before, after = text.rsplit('"outputs"', 1)
    return before + '"outputs"' + after.replace(old, new, 1)


@pytest.mark.parametrize('source, complaint', [
    ('1 / 0', 'ZeroDivisionError'),
    ("import warnings\nwarnings.warn('numpy.bool is old')", 'writes on stderr'),
    ("import os, time\nos.system('echo [12:00:00] src/operator.cc: chatter >&2'); time.sleep(1)", 'writes on stderr'),
    ("print('FutureWarning: soon')", 'FutureWarning'),
    ('import os\nos._exit(1)', 'kernel died'),
])
def test_a_notebook_that_a_reader_should_not_see_is_left_as_it_was(folder, capsys, monkeypatch, source, complaint):
    monkeypatch.delenv('PYTEST_CURRENT_TEST')  # a kernel that sees it does not show what other programs write
    path = folder / 'ch99_test.ipynb'
    write(path, source)
    before = path.read_bytes()
    assert build.main(['ch99_test']) == 1
    assert complaint.split(':')[0] in capsys.readouterr().out
    assert path.read_bytes() == before
    assert [file.name for file in folder.iterdir()] == ['ch99_test.ipynb']


def test_a_name_without_a_notebook_is_one_line(capsys):
    assert build.main(['ch77_nothing']) == 2
    assert capsys.readouterr().err.count('\n') == 1


@pytest.mark.parametrize('silent', ['', '1'])
def test_long_work_shows_a_bar_in_a_notebook_short_work_none_and_nothing_is_left(monkeypatch, silent):
    monkeypatch.setenv('TQDM_DISABLE', silent)
    loop = 'for _ in progress.tqdm(range(3), {!r}, leave=False, disable=None):\n    time.sleep({})'
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell('\n'.join((
        'import time\nfrom chapters.kit import progress', 'seen = []', 'write = progress._InPlace.write',
        'progress._InPlace.write = lambda file, text: (seen.append(text), write(file, text))[1]',
        loop.format('short', 0.01), 'assert not seen', loop.format('long', 0.6),
        f"assert any('long' in text for text in seen) == {not silent}")))])
    NotebookClient(notebook, kernel_name='python3',
                   resources={'metadata': {'path': str(build.FOLDER.parent)}}).execute()
    assert [output.data for output in notebook.cells[0].outputs] == [{'text/plain': ''}] * (not silent)
    build.clean(notebook)
    assert not notebook.cells[0].outputs
