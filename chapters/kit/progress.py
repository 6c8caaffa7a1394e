"""Progress bars: on a terminal, and in a notebook for what takes longer than a second; silent in a pipe."""
import os
import sys

import tqdm as _tqdm


class tqdm(_tqdm.tqdm):
    """tqdm's bar, shown in a notebook too.

    As text, not as tqdm's widget: an epoch of the first chapters is over in less time than a widget takes to appear.
    """
    def __init__(self, *arguments, **settings):
        if _in_notebook() and not os.environ.get('TQDM_DISABLE'):
            settings.update(disable=False, delay=1, file=sys.stdout)  # stderr would look like a warning
        super().__init__(*arguments, **settings)


def _in_notebook():
    """Whether a notebook's kernel runs this."""
    ipython = sys.modules.get('IPython')
    return ipython is not None and hasattr(ipython.get_ipython(), 'kernel')
