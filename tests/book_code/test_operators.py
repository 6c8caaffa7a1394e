"""Each listing, operator by operator, against a table typed from the book itself and not from our code.

The tables lie beside this file, `operators_*.py`. Each has `DEFAULTS`, what MXNet takes where a listing says nothing, and
`TABLES`: module of `book_code` (with ':' and a word, where it has several forms) -> dict of

lines : 'first to last', the listing's lines in the book's text, which the module's docstring must name.
rows : its operators in order: (operator, name), (operator, name, settings) or (operator, name, settings, inputs).
    Settings that are MXNet's defaults are left out. A name that the book does not give begins with '*', and only serves
    the table. Inputs are 'data' or names of rows, in order; left out: the row before.
batch_size, epochs, initializer (MXNet's default under `Module` is Uniform(0.01)).
rates : {update: learning rate} as executed, from 1.
updates_per_epoch, optimizer, optimizer_params, metric, sizes : optional; `sizes` are arguments of `symbol`.
"""
import importlib
import importlib.util
import json
import re
from pathlib import Path

import pytest

import book_code


def tables():
    """All tables, and all defaults."""
    found, defaults = {}, {}
    for path in sorted(Path(__file__).parent.glob('operators_*.py')):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found.update(module.TABLES)
        for operator, settings in module.DEFAULTS.items():
            assert defaults.setdefault(operator, settings) == settings, f'{path.name}: {operator} has other defaults elsewhere'
    return found, defaults


TABLES, DEFAULTS = tables()


def module_of(name):
    return importlib.import_module(f'book_code.{name.partition(":")[0]}')


def test_every_listing_of_these_chapters_has_its_table():
    chapters = {name.split('_')[1] for name in TABLES}
    modules = {path.stem for path in Path(book_code.__file__).parent.glob('sec_*.py') if path.stem.split('_')[1] in chapters}
    assert chapters >= {'2', '3'} and modules == {name.partition(':')[0] for name in TABLES}


@pytest.mark.parametrize('name', TABLES)
def test_operators_are_the_books_in_their_order(name):
    symbol = module_of(name).symbol(**TABLES[name].get('sizes', {}))
    assert operators(symbol) == expected(TABLES[name]['rows'])


@pytest.mark.parametrize('name', TABLES)
def test_settings_are_those_that_the_book_executes(name):
    table, module = TABLES[name], module_of(name)
    settings = module.settings(table.get('updates_per_epoch', 1000))
    assert (module.BATCH_SIZE, settings['num_epoch']) == (table['batch_size'], table['epochs'])
    assert settings['optimizer'] == table.get('optimizer', 'sgd')
    assert settings['initializer'].dumps() == table['initializer'].dumps()
    assert settings['eval_metric'] == table.get('metric', settings['eval_metric'])
    params = dict(settings['optimizer_params'])
    rate, schedule = params.pop('learning_rate'), params.pop('lr_scheduler', None)
    if schedule is not None:
        schedule.base_lr = rate  # as the optimizer does
    assert params == table.get('optimizer_params', {})
    assert {update: schedule(update) if schedule else rate for update in table['rates']} \
        == pytest.approx(table['rates'], rel=1e-4)


@pytest.mark.parametrize('name', TABLES)
def test_docstring_names_the_lines_of_the_listing(name):
    said = ' '.join(module_of(name).__doc__.split())
    assert re.search(rf'\b{TABLES[name]["lines"]}\b', said), said


def operators(symbol):
    """(operator, name, settings, inputs) of a graph in its order, as `expected` has a table.

    A name that MXNet has made up is ''. Inputs are 'data', or numbers of rows; labels and parameters are left out.
    """
    nodes, numbers, found = json.loads(symbol.tojson())['nodes'], {}, []
    for place, node in enumerate(nodes):
        if node['op'] == 'null':
            continue
        inputs = ['data' if nodes[source]['name'] == 'data' else numbers[source] for source, _, _ in node['inputs']
                  if source in numbers or nodes[source]['name'] == 'data']
        numbers[place] = len(found)
        made_up = re.fullmatch(node['op'].lower().lstrip('_') + r'\d+', node['name'])
        settings = {**DEFAULTS.get(node['op'], {}), **node.get('attrs', {})}
        found.append((node['op'], '' if made_up else node['name'],
                      {key: plain(value) for key, value in settings.items()}, inputs))
    return found


def expected(rows):
    """A table as `operators` has a graph."""
    rows = [(*row, {}, None)[:4] if len(row) == 2 else (*row, None)[:4] for row in rows]
    numbers = {name: number for number, (_, name, _, _) in enumerate(rows)}
    found = []
    for number, (operator, name, settings, inputs) in enumerate(rows):
        assert set(settings) <= set(DEFAULTS[operator]), f'DEFAULTS lacks a setting of {operator}: {settings}'
        settings = {**DEFAULTS[operator], **settings}
        found.append((operator, '' if name.startswith('*') else name, {key: plain(value) for key, value in settings.items()},
                      ['data' if source == 'data' else numbers[source] for source in inputs] if inputs else [number - 1]))
    return found


def plain(value):
    """A setting in one form, as a table has it ((3, 3), True, 0.9, 'relu') and as MXNet writes it ('(3, 3)', 'True')."""
    if isinstance(value, str) and value.startswith(('(', '[')):
        value = [part.strip() for part in value[1:-1].split(',') if part.strip()]
    if isinstance(value, (tuple, list)):
        return tuple(map(plain, value))
    try:
        return float({'True': 1, 'False': 0}.get(value, value))
    except (TypeError, ValueError):
        return value
