"""Our code and the book's side by side, as it stands in the source files: what `Notebook.code` shows.

The answer is a table of two fenced blocks of Python. That is what code-hosting sites, Jupyter, VS Code and a
documentation builder all render and highlight, and it needs none of the styles and scripts that some of them strip.
"""
import ast
import inspect
import json
import re
import sys
import textwrap
from difflib import SequenceMatcher
from pathlib import Path
from unittest.mock import patch

import mxnet as mx
from mxnet import gluon

from chapters.ch06_alphago.listing import in_a_tuple
from data_tools.errors import UserError

ROOT = Path(__file__).parents[1]
MARKS = [chr(0x2460 + number) for number in range(20)] + [chr(0x3251 + number) for number in range(15)]  # 1 to 35

# Operators of Gluon's networks that the book's graphs know by another name.
_ALIKE = {'mean': 'Pooling', 'relu': 'Activation', 'tanh': 'Activation',
          'elemwise_add': 'add', '_Plus': 'add', 'broadcast_add': 'add',
          '_plus': 'add', 'broadcast_mul': 'multiply', 'elemwise_mul': 'multiply', '_Mul': 'multiply', '_mul': 'multiply',
          'concat': 'Concat', 'flatten': 'Flatten'}

# Blocks that compute in several operators, faster, what the book's graph has as one.
_AS_ONE = {'LearntSlopes': 'LeakyReLU', 'GrayConv2DTranspose': 'Deconvolution'}


def sources(code):
    """A class or function of ours and those of the project that it is made of, in the order in which they are needed.

    Parameters
    ----------
    code : type or function

    Returns
    -------
    list of type or function
        `code` is the last.
    """
    found: list = []

    def visit(one):
        if one in found:
            return
        names = {node.id for node in ast.walk(_tree(one)) if isinstance(node, ast.Name)}
        modules = sys.modules[one.__module__].__dict__
        attributes = {(node.value.id, node.attr) for node in ast.walk(_tree(one))
                      if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)}
        used = [modules.get(name) for name in sorted(names)] + [
            getattr(modules[name], attribute, None) for name, attribute in sorted(attributes)
            if inspect.ismodule(modules.get(name)) and modules[name].__name__.startswith('book_code')]
        for part in used:
            if (inspect.isclass(part) or inspect.isfunction(part)) and part is not one and _builds(part):
                visit(part)
        found.append(one)
    visit(code)
    return found


def lines_of(code, numbers=False):
    """(lines, number of the first): the source of a class or function, without docstrings and without outer indent.

    A docstring stays where it is all that a function holds: without it the lines would be no Python.
    Every line is one of the file, so that it can be found there; with `numbers`: (numbers of all, lines).
    """
    lines, first = inspect.getsourcelines(code)
    lines = dict(enumerate(textwrap.dedent(''.join(lines)).splitlines(), first))
    for node in ast.walk(ast.parse('\n'.join(lines.values()))):
        if isinstance(node, (ast.ClassDef, ast.FunctionDef)) and ast.get_docstring(node) and len(node.body) > 1:
            for number in range(node.body[0].lineno - 1, node.body[0].end_lineno):
                del lines[first + number]
    return (lines, lines.values()) if numbers else (list(lines.values()), first)


def side_by_side(experiment):
    """An experiment's network and the book's listing as a table in Markdown, lines of the same operators marked alike.

    Parameters
    ----------
    experiment : Training
        With a listing; without, its network alone.

    Returns
    -------
    str
    """
    ours = sources(experiment.network)
    if not experiment.listing:
        return alone(*ours)
    symbols = _symbols(experiment)
    kinds = _kinds(experiment.build())
    ours = [code for code in ours if not inspect.isclass(code) or any(issubclass(kind, code) for kind in kinds)]
    theirs = list(dict.fromkeys(code for symbol in symbols.values() for code in sources(symbol)))

    def trace():
        network, data = experiment.build(), mx.sym.var('data')
        return [output for part in symbols for output in in_a_tuple(getattr(network, part, network)(data))]
    one = _graph(trace, ours)
    other = _graph(lambda: [symbol(**experiment.sizes) for symbol in symbols.values()], theirs)
    pairs = [(one[block.a + step][1], other[block.b + step][1])
             for block in SequenceMatcher(None, [name for name, _ in one], [name for name, _ in other],
                                          autojunk=False).get_matching_blocks() for step in range(block.size)]
    marks: tuple = ({}, {})
    for mark, pair in zip(MARKS, [pair for pair in dict.fromkeys(pairs) if all(pair)]):
        for side, place in zip(marks, pair):
            side[place] = side.get(place, '') + mark
    left, right = (f'{_links(codes)}\n\n{_fenced(codes, side)}' for codes, side in zip((ours, theirs), marks))
    return '\n\n'.join((
        '<table>\n<tr><th align="left">Gluon</th><th align="left">The book\'s graph · 书中的符号图</th></tr>\n'
        '<tr><td valign="top"><div align="left">', left, '</div></td><td valign="top"><div align="left">', right,
        '</div></td></tr>\n</table>',
        'Equal numbers: these two lines make the same operator. 编号相同的两行生成同一个算子。'))


def alone(*codes):
    """Classes and functions under each other, without anything beside them, in Markdown."""
    return f'{_links(codes)}\n\n{_fenced(codes)}'


def _graph(make, codes):
    """[(operator, (file, line))] of the graph that `make()` returns: which of the lines of `codes` made each operator.

    MXNet asks its `NameManager` for a name at every new operator: there the stack tells who wants it. A layer's
    operators count for the line that made the layer.
    """
    ranges = [(inspect.getsourcefile(code), lines_of(code)[1], len(inspect.getsourcelines(code)[0])) for code in codes]
    born, made = {}, {}

    def place(frame):
        """The innermost line of `codes` on the stack, or that which made the layer at work; and a layer that counts as one."""
        found, whole = None, None
        while frame:
            at, line = frame.f_code.co_filename, frame.f_lineno
            block = frame.f_locals.get('self') if frame.f_code.co_name == 'hybrid_forward' else None
            if type(block).__name__ in _AS_ONE:
                found, whole = born.get(id(block)), block
            elif not found and any(at == file and first <= line < first + count for file, first, count in ranges):
                found = at, line
            elif not found:
                found = born.get(id(block))
            frame = frame.f_back
        return found, whole

    def watched(function):
        def get(manager, name, hint):
            name = function(manager, name, hint)
            made[name] = place(sys._getframe(1))
            return name
        return get

    start = gluon.Block.__init__

    def begin(block, *arguments, **settings):
        frame = sys._getframe(1)
        while type(block).__name__ in _AS_ONE and frame.f_locals.get('self') is block:
            frame = frame.f_back  # out of its own constructor, to who makes it
        born[id(block)] = place(frame)[0]
        start(block, *arguments, **settings)
    with patch.object(mx.name.NameManager, 'get', watched(mx.name.NameManager.get)), \
            patch.object(mx.name.Prefix, 'get', watched(mx.name.Prefix.get)), patch.object(gluon.Block, '__init__', begin):
        nodes = json.loads(mx.sym.Group(make()).tojson())['nodes']
    operators, last = [], None
    for node in nodes:
        if node['op'] != 'null':
            line, whole = made.get(node['name'], (None, None))
            if whole is None or whole is not last:
                operators.append((_AS_ONE[type(whole).__name__] if whole else _ALIKE.get(node['op'], node['op']), line))
            last = whole
    return operators


def _symbols(experiment):
    """{part of the network: function of the listing that makes its graph}; '' stands for the whole network."""
    listing = experiment.listing
    return {'': listing.symbol} if hasattr(listing, 'symbol') else \
        {name: getattr(listing, name) for name in experiment.build()._children if hasattr(listing, name)}


def _kinds(block):
    """The classes of a block and of all blocks within it."""
    return {type(block)}.union(*map(_kinds, block._children.values()))


def unmarked(line):
    """A line that was shown, as it stands in its file."""
    return re.sub(f'  # [{"".join(MARKS)}]+$', '', line)


def _fenced(codes, marks=()):
    """Their lines in a block of Python, with `marks` {(file, line): mark} as comments."""
    blocks = []
    for code in codes:
        file = inspect.getsourcefile(code)
        blocks.append('\n'.join(f'{line}  # {marks[file, number]}' if (file, number) in marks else line
                                for number, line in zip(*lines_of(code, numbers=True))))
    return '```python\n' + '\n\n\n'.join(blocks) + '\n```'


def _links(codes):
    """Where they stand, as links that work from the folder `notebooks`."""
    places = {}
    for code in codes:
        path = Path(inspect.getsourcefile(code)).relative_to(ROOT).as_posix()
        places.setdefault(path, lines_of(code)[1])
    return ', '.join(f'[{path}](../{path}#L{line})' for path, line in places.items())


def _tree(code):
    return ast.parse(textwrap.dedent(inspect.getsource(code)))


def _builds(part):
    """Whether a part of the project makes layers, itself or by its parts."""
    if not part.__module__.startswith(('chapters.', 'book_code')):
        return False
    if inspect.isclass(part):
        return hasattr(part, 'hybrid_forward')
    text = inspect.getsource(part)
    return 'nn.' in text or 'mx.sym' in text or part.__module__.startswith('book_code')


def named(module, name, section):
    """A class or function of a module by its name.

    Raises
    ------
    UserError
        There is none.
    """
    part = getattr(sys.modules[module], name, None)
    if not (inspect.isclass(part) or inspect.isfunction(part)):
        raise UserError(f"book.code('{section}', '{name}'): {module} has no class or function of that name; give 'step' or "
                        'one of its names')
    return part
