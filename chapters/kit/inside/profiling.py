"""`python -m chapters profile SECTION`: where the time of a training step goes.

The experiment trains as it always does, on its own data, until enough steps have been measured; MXNet's profiler times
the operators, and a clock around the parts of a step times the rest.
"""
import contextlib
import json
import os
import time

import mxnet as mx

from chapters.kit.perform import perform
from chapters.kit.training.compiled_step import CompiledStep
from data_tools.errors import UserError

PARTS = ('data', 'forward', 'backward', 'update', 'other')
_UNMEASURED = 2  # first steps, in which MXNet allocates memory and chooses algorithms


class _Enough(BaseException):
    """Ends the training in the middle, through everything that would catch an error."""


class _Clock:
    """Time of the parts of all steps, from wrapped methods of the classes that do them.

    A step begins with the `forward` of the executor that was called first; what lies between its end, the last update,
    and the next beginning, is the making of data.
    """
    def __init__(self, steps, trace):
        self.parts, self.seconds, self.count = dict.fromkeys(PARTS, 0.0), [], -_UNMEASURED
        self._steps, self._trace = steps, trace
        self._first, self._began, self._ended, self._depth = None, None, None, 0

    def wrap(self, part, method):
        """`method` of a class with its time added to a part."""
        def timed(owner, *arguments, **settings):
            if self._depth:  # an update that calls another is one
                return method(owner, *arguments, **settings)
            if part == 'forward' and self._first in (None, owner):
                self._first = owner
                self._next_step()
            started = time.perf_counter()
            self._depth += 1
            try:
                return method(owner, *arguments, **settings)
            finally:
                mx.nd.waitall()
                self._depth -= 1
                self._ended = time.perf_counter()
                self.parts[part] += self._ended - started
        return timed

    def _next_step(self):
        now = time.perf_counter()
        if self._ended is not None:
            self.parts['data'] += now - self._ended
            self.seconds.append(now - self._began)
            self.count += 1
        if self.count == 0 and len(self.seconds) == _UNMEASURED:
            self.parts, self.seconds = dict.fromkeys(PARTS, 0.0), []
            mx.profiler.set_config(profile_symbolic=True, profile_imperative=True, filename=str(self._trace))
            mx.profiler.set_state('run')
        if self.count == self._steps:
            mx.profiler.set_state('stop')
            mx.profiler.dump()
            self.parts['other'] = sum(self.seconds) - sum(self.parts.values())
            raise _Enough
        self._began = now

    @contextlib.contextmanager
    def watching(self):
        """While it lasts, every step is timed."""
        owners = [(mx.executor.Executor, 'forward', 'forward'), (mx.executor.Executor, 'backward', 'backward'),
                  (CompiledStep, '_update_by_sgd', 'update'), (CompiledStep, '_update_by_mxnet', 'update'),
                  (mx.optimizer.Updater, '__call__', 'update')]
        kept = [(owner, name, getattr(owner, name)) for owner, name, _ in owners]
        try:
            for owner, name, part in owners:
                setattr(owner, name, self.wrap(part, getattr(owner, name)))
            yield
        except _Enough:
            pass
        finally:
            for owner, name, method in kept:
                setattr(owner, name, method)


def profile(run, steps=10):
    """Train a few steps and tell where their time goes; once in a process, as MXNet's profiler allows no more.

    Parameters
    ----------
    run : Run
        On a CPU. Its folder gets `trace.json`, which chrome://tracing and https://ui.perfetto.dev show.
    steps : int
        To be measured, after two that are not.

    Returns
    -------
    dict
        'step' (median seconds of a step), 'parts' {part: share of the time}, 'operators' [(name, calls a step, seconds
        a step, share of the time)], the longest first.

    Raises
    ------
    UserError
        Nothing is trained by the parts that can be watched, or training ends before so many steps.
    """
    if run.devices[0].device_type != 'cpu' or not run.experiment.shared or run.form != 'gluon':
        raise UserError(f'profile {run.experiment.section}: watches classifiers, policy networks and DCGAN in training '
                        'on the CPU')
    for kind in ('TRAIN', 'INFERENCE'):  # operators that MXNet runs in one go have one time
        os.environ[f'MXNET_EXEC_BULK_EXEC_{kind}'] = '0'
    trace = run.folder / 'trace.json'
    clock = _Clock(steps, trace)
    run.quiet = True
    with clock.watching():
        perform(run)
    if clock.count < steps:
        raise UserError(f'profile {run.experiment.section}: the training ended after {clock.count + _UNMEASURED} '
                        f'steps; give it more samples or epochs, or --steps {max(1, clock.count)}')
    total = sum(clock.seconds)
    operators = sorted(((name, calls / steps, seconds / steps, seconds / total)
                        for name, (calls, seconds) in _operators(trace).items()), key=lambda row: -row[2])
    return {'step': sorted(clock.seconds)[steps // 2], 'operators': operators,
            'parts': {part: seconds / total for part, seconds in clock.parts.items()}}


def _operators(trace):
    """{name: (calls, seconds)} of a trace."""
    opened, spans = {}, []
    for event in json.loads(trace.read_text(encoding='utf-8'))['traceEvents']:
        if event.get('cat') == 'operator':
            stack = opened.setdefault(event['tid'], [])
            if event['ph'] == 'B':
                stack.append(event['ts'])
            elif event['ph'] == 'E' and stack:
                spans.append((event['tid'], stack.pop(), -event['ts'], event['name']))
    found, last, end = {}, None, 0
    for thread, began, ended, name in sorted(spans):  # what lies within another is that once more: MXNet notes it twice
        if thread == last and began < end:
            continue
        last, end = thread, -ended
        calls, seconds = found.get(name, (0, 0.0))
        found[name] = calls + 1, seconds + (end - began) / 1e6
    return found


def print_profile(found, console, rows=12):
    """The parts of a step, then its longest operators, as tables."""
    from rich.table import Table
    console.print(f'a step takes {1000 * found["step"]:.1f} ms: '
                  + ', '.join(f'{part} {share:.1%}' for part, share in found['parts'].items()))
    table = Table('operator', 'calls a step', 'ms a step', 'of the time')
    for name, calls, seconds, share in found['operators'][:rows]:
        table.add_row(name, f'{calls:g}', f'{1000 * seconds:.2f}', f'{share:.1%}')
    others = found['operators'][rows:]
    if others:
        table.add_row(f'{len(others)} others', f'{sum(row[1] for row in others):g}',
                      f'{1000 * sum(row[2] for row in others):.2f}', f'{sum(row[3] for row in others):.1%}')
    console.print(table)
