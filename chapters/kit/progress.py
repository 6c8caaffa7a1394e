"""Progress bars: on a terminal, and in a notebook for what takes longer than a second; silent in a pipe."""
import os
import sys

import tqdm as _tqdm


class tqdm(_tqdm.tqdm):
    """tqdm's bar, shown in a notebook too.

    As text that is redrawn in its place, not as tqdm's widget: an epoch of the first chapters is over in less time than a
    widget takes to appear. Nor as a stream, of which every line would stay in a notebook that was executed.
    """
    def __init__(self, *arguments, **settings):
        if _in_notebook() and not os.environ.get('TQDM_DISABLE'):
            settings.update(disable=False, delay=1, leave=False, file=_InPlace())
        super().__init__(*arguments, **settings)


def _in_notebook():
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get('IPython')
    return ipython is not None and hasattr(ipython.get_ipython(), 'kernel')


class _InPlace:
    """A file of which a cell shows the last line written, always in the same place; in the end it is empty."""
    encoding = 'utf-8'
    _places: dict = {}  # number of the cell's execution -> its place, one for all bars of a cell

    def write(self, text):
        from IPython import get_ipython
        from IPython.display import display
        text = text.strip('\r\n ')
        cell, shown = get_ipython().execution_count, {'text/plain': text}
        if cell in self._places:
            self._places[cell].update(shown, raw=True)
        elif text:
            self._places.clear()
            self._places[cell] = display(shown, raw=True, display_id=True)

    def flush(self):
        """Nothing is kept back."""
