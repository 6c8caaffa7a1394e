"""Run the notebooks from their first cell to their last, and refresh the outputs that are committed with them.

    python -m notebooks.build                  # all, or those named: python -m notebooks.build ch02_neuron
    python -m notebooks.build --check          # change nothing; complain of what a reader should not see

Every notebook runs in mode QUICK, as with no data set at hand, in a fresh kernel of one thread. A notebook that
fails is left as it was.

`--check` fails on an error, on anything on stderr, on a warning, on a notebook too large to be read on the web, and on
outputs that are older than what made them. When are they? Their sources change with every commit, mostly without
changing what a reader sees, so a digest of all that a notebook calls would cry wolf. Instead, what the notebook
shows now is held against what is committed: the same outputs in the same order, the same words, pictures of the same
width, and figures that agree as far as two processors can be expected to agree on a training. Where that is not at all,
since a last bit decides which of several solutions a training finds, the cell is tagged `figures-vary`, and only its
words are compared. What only the cells themselves can tell, an edit that was never run, a digest of them tells.
"""
import asyncio
import base64
import hashlib
import io
import os
import re
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from PIL import Image

from data_tools.atomic import atomic_write
from data_tools.errors import Parser, UserError, one_line_errors

FOLDER = Path(__file__).parent
MOST_BYTES = 1500000
_AT_ONCE = 2
_SECONDS_A_CELL = 900
_WIDGET = 'application/vnd.jupyter.widget-view+json'
_NUMBER = re.compile(r'[-+]?\d[\d,]*\.?\d*(?:[eE][-+]?\d+)?')


@one_line_errors
def main(arguments=None):
    """Run the command line; returns the exit code."""
    parser = Parser('python -m notebooks.build', description=__doc__.splitlines()[0])
    parser.add_argument('names', nargs='*', metavar='NAME', help='such as ch02_neuron; default: all')
    parser.add_argument('--check', action='store_true', help='change nothing, and fail on what a reader should not see')
    options = parser.parse_args(arguments)
    paths = [FOLDER / (name if name.endswith('.ipynb') else f'{name}.ipynb') for name in options.names] \
        or sorted(FOLDER.glob('ch*.ipynb'), reverse=True)  # the last takes longest, and is not to be waited for
    for path in paths:
        if not path.exists():
            raise UserError(f'{path}: no such notebook')
    return asyncio.run(_all(paths, options.check))


async def _all(paths, check):
    """Run notebooks, some at once; returns 1 if one fails."""
    os.environ.update(BOOKCNN_MODE='QUICK', OMP_NUM_THREADS='1', TQDM_DISABLE='1', PYDEVD_DISABLE_FILE_VALIDATION='1')
    os.environ.pop('BOOKCNN_DATA', None)
    turn, began = asyncio.Semaphore(_AT_ONCE), time.perf_counter()

    async def one(path):
        async with turn:
            started = time.perf_counter()
            complaints = await _run(path, check)
            print(f'{path.name}: {time.perf_counter() - started:.0f} s' + ''.join(f'\n  {line}' for line in complaints),
                  flush=True)
            return bool(complaints)
    failed = sum(await asyncio.gather(*map(one, paths)))
    print(f'{len(paths)} notebooks, {time.perf_counter() - began:.0f} s'
          + (f', {failed} with complaints' if failed else ''))
    return 1 if failed else 0


async def _run(path, check):
    """Run one notebook; returns complaints. Without `check` and complaints its file is replaced."""
    committed = nbformat.read(path, 4)
    fresh = nbformat.from_dict(committed)
    for cell in code_cells(fresh):
        cell.update(outputs=[], execution_count=None)
    client = NotebookClient(fresh, kernel_name='python3', timeout=_SECONDS_A_CELL, record_timing=False,
                            store_widget_state=False, resources={'metadata': {'path': str(FOLDER)}})
    try:
        await client.async_execute()
    except CellExecutionError as error:
        return [f'a cell fails: {" ".join(str(error).split())[-600:]}']
    except (CellTimeoutError, DeadKernelError, AssertionError):  # the last: nbclient's own, after a kernel's death
        return [f'its kernel died, or a cell took longer than {_SECONDS_A_CELL} s']
    clean(fresh)
    text = nbformat.writes(fresh) + '\n'
    complaints = unwanted(fresh)
    if len(text.encode('utf-8')) > MOST_BYTES:
        complaints.append(f'has {len(text.encode("utf-8")):,} bytes, more than {MOST_BYTES:,}')
    if check:
        complaints += stale(committed, fresh)
    elif not complaints:
        with atomic_write(path, text=True) as file:
            file.write(text)
    return complaints


def code_cells(notebook):
    """The cells with code, in order."""
    return [cell for cell in notebook.cells if cell.cell_type == 'code']


def clean(notebook):
    """Take out what only a running kernel can show, and what differs between machines; add the digest of the cells."""
    for cell in notebook.cells:
        cell.metadata = nbformat.from_dict({name: value for name, value in cell.metadata.items() if name == 'tags'})
    for cell in code_cells(notebook):
        kept = []
        for output in cell.outputs:
            data = output.get('data', {})
            if data.pop(_WIDGET, None) and 'image/png' not in data:
                continue  # a widget without a picture
            if output.output_type == 'stream' and not output.text.strip('\r\n '):
                continue
            if output.output_type == 'display_data' and not ''.join(map(str, data.values())).strip():
                continue  # where a progress bar was
            kept.append(output)
        cell.outputs = kept
    notebook.metadata = nbformat.from_dict({
        'kernelspec': {'display_name': 'Python 3', 'language': 'python', 'name': 'python3'},
        'language_info': {'name': 'python'}, 'bookcnn': {'cells': digest(notebook)}})


def digest(notebook):
    """A digest of the code of all cells."""
    return hashlib.sha256('\0'.join(cell.source for cell in code_cells(notebook)).encode('utf-8')).hexdigest()[:16]


def unwanted(notebook):
    """What a reader should not see, in words."""
    found = []
    for cell in code_cells(notebook):
        for output in cell.outputs:
            text = _text(output)
            if output.output_type == 'error':
                found.append(f'{_name(cell)} fails: {output.ename}: {output.evalue}')
            elif output.output_type == 'stream' and output.name == 'stderr':
                found.append(f'{_name(cell)} writes on stderr: {" ".join(text.split())[:200]}')
            elif re.search(r'Warning\b', text):
                found.append(f'{_name(cell)} shows a warning: {" ".join(text.split())[:200]}')
    return found


def stale(committed, fresh):
    """Where committed outputs are not those of the code as it is, in words.

    Parameters
    ----------
    committed, fresh : nbformat.NotebookNode
        Of the same cells.

    Returns
    -------
    list of str
    """
    if committed.metadata.get('bookcnn', {}).get('cells') != digest(committed):
        return [f'its cells were changed and not run; {_REFRESH}']
    found = []
    for old, new in zip(code_cells(committed), code_cells(fresh)):
        if [_kind(output) for output in old.outputs] != [_kind(output) for output in new.outputs]:
            found.append(f'{_name(new)} now shows {", ".join(map(_kind, new.outputs)) or "nothing"}, committed '
                         f'{", ".join(map(_kind, old.outputs)) or "nothing"}')
            continue
        vary = 'figures-vary' in new.metadata.get('tags', ())
        found += [f'{_name(new)}: {difference}' for pair in zip(old.outputs, new.outputs)
                  for difference in [_difference(*pair, vary)] if difference]
    return found + [_REFRESH] * bool(found)


_REFRESH = 'refresh the outputs: python -m notebooks.build, look at them, commit'


def _difference(old, new, vary):
    """How one output differs from another beyond what two machines may, in words; or empty. Figures that `vary` may."""
    if _kind(new) == 'picture':
        before, now = _width(old), _width(new)  # the height of a page of mistakes depends on their number
        if abs(before - now) > 0.25 * before:  # titles without Chinese where there is no font for it are shorter
            return f'the picture is now {now} pixels wide, committed {before}'
        return ''
    for before, now in zip(_text(old).splitlines() + [''], _text(new).splitlines() + ['']):
        if _NUMBER.sub('#', before) != _NUMBER.sub('#', now):
            return f'now "{now}", committed "{before}"'
        for one, other in zip(_NUMBER.findall(before), _NUMBER.findall(now)):
            one, other = (float(number.replace(',', '')) for number in (one, other))
            if not vary and abs(one - other) > 0.05 + max(abs(one), abs(other)) / 3:
                return f'now "{now}", committed "{before}"'
    return ''


def _kind(output):
    """What an output is, in a word."""
    if output.output_type == 'stream':
        return output.name
    return 'picture' if 'image/png' in output.get('data', {}) else 'text'


def _text(output):
    """The words of an output."""
    if output.output_type == 'stream':
        return output.text
    data = output.get('data', {})
    return data.get('text/markdown') or data.get('text/plain', '')


def _width(output):
    """Of a picture, in pixels."""
    with Image.open(io.BytesIO(base64.b64decode(output.data['image/png']))) as image:
        return image.width


def _name(cell):
    """A cell as its last line."""
    return f'the cell "{cell.source.strip().splitlines()[-1]}"'


if __name__ == '__main__':
    sys.exit(main())
