"""Where the time of a training step goes: the parts and the operators of a real training."""
import json

import pytest

import chapters
from chapters.kit.profiling import PARTS, profile
from chapters.kit.run import Run
from chapters.kit.runtime import mx
from chapters.kit.training import CompiledStep
from data_tools.errors import UserError


@pytest.mark.parametrize('section, changes, calls', [
    ('4.4', {}, {'Convolution': 3, '_backward_Convolution': 3, 'BatchNorm': 2}),
    ('8.3', {'width': 2, 'batch_size': 8}, {'adam_update': None, '_backward_Deconvolution': None})])
def test_parts_and_operators_of_a_step(tmp_path, section, changes, calls, monkeypatch):
    monkeypatch.setenv('MXNET_EXEC_BULK_EXEC_TRAIN', '1')  # put back what `profile` sets
    monkeypatch.setenv('MXNET_EXEC_BULK_EXEC_INFERENCE', '1')
    watched = mx.executor.Executor.forward, CompiledStep._update_by_sgd
    run = Run(chapters.find(section).but(train_samples=320, **changes), 'digits', out=tmp_path / 'run', quiet=True)
    found = profile(run, steps=4)
    assert (mx.executor.Executor.forward, CompiledStep._update_by_sgd) == watched  # nothing is left behind
    assert set(found['parts']) == set(PARTS) and sum(found['parts'].values()) == pytest.approx(1)
    assert min(found['parts'].values()) >= 0 and found['parts']['backward'] > found['parts']['update'] > 0
    operators = {name: (count, share) for name, count, _, share in found['operators']}
    for name, count in calls.items():
        assert operators[name][0] == count if count else operators[name][0] > 0
    assert 0.3 < sum(share for _, share in operators.values()) < 1.001
    assert json.loads((run.folder / 'trace.json').read_text())['traceEvents']
    assert not (run.folder / 'result.json').exists() and not list(run.folder.glob('checkpoint/*'))


def test_a_training_that_is_too_short_or_cannot_be_watched_says_so(tmp_path):
    run = Run(chapters.find('3.4.2').but(train_samples=96, epochs=1), 'digits', out=tmp_path / 'short', quiet=True)
    with pytest.raises(UserError, match='--steps'):
        profile(run, steps=20)
    with pytest.raises(UserError, match='watches'):
        profile(Run(chapters.find('8.2.3'), out=tmp_path / 'none', quiet=True))
