"""Where the time of a training step goes: the parts and the operators of a real training."""
import json
import subprocess
import sys

import pytest

import chapters
from chapters.kit.inside.profiling import PARTS, profile
from chapters.kit.trained.run import Run
from data_tools.errors import UserError

# In a process of its own: MXNet's profiler can be set up only once in each.
_PROFILED = """
import json, sys
import chapters
from chapters.kit.inside.profiling import profile
from chapters.kit.trained.run import Run
import mxnet as mx
from chapters.kit.training.compiled_step import CompiledStep
section, changes, out = json.loads(sys.argv[1])
watched = mx.executor.Executor.forward, CompiledStep._update_by_sgd
run = Run(chapters.find(section).but(train_samples=320, **changes), 'digits', out=out, quiet=True)
found = profile(run, steps=4)
assert (mx.executor.Executor.forward, CompiledStep._update_by_sgd) == watched  # nothing is left behind
print(json.dumps(found))
"""


@pytest.mark.parametrize('section, changes, calls', [
    ('4.4', {}, {'Convolution': 3, '_backward_Convolution': 3, 'BatchNorm': 2}),
    ('8.3', {'width': 2, 'batch_size': 8}, {'adam_update': None, '_backward_Deconvolution': None})])
def test_parts_and_operators_of_a_step(tmp_path, section, changes, calls):
    folder = tmp_path / 'run'
    answer = subprocess.run([sys.executable, '-c', _PROFILED, json.dumps([section, changes, str(folder)])],
                            capture_output=True, text=True)
    assert answer.returncode == 0, answer.stderr
    found = json.loads(answer.stdout.splitlines()[-1])
    assert set(found['parts']) == set(PARTS) and sum(found['parts'].values()) == pytest.approx(1)
    assert min(found['parts'].values()) >= 0 and found['parts']['backward'] > found['parts']['update'] > 0
    operators = {name: (count, share) for name, count, _, share in found['operators']}
    for name, count in calls.items():
        assert operators[name][0] == count if count else operators[name][0] > 0
    assert 0.3 < sum(share for _, share in operators.values()) < 1.001
    assert json.loads((folder / 'trace.json').read_text())['traceEvents']
    assert not (folder / 'result.json').exists() and not list(folder.glob('checkpoint/*'))


def test_a_training_that_is_too_short_or_cannot_be_watched_says_so(tmp_path):
    run = Run(chapters.find('3.4.2').but(train_samples=96, epochs=1), 'digits', out=tmp_path / 'short', quiet=True)
    with pytest.raises(UserError, match='--steps'):
        profile(run, steps=20)
    with pytest.raises(UserError, match='watches'):
        profile(Run(chapters.find('8.2.3'), out=tmp_path / 'none', quiet=True))
