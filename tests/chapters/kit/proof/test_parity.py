"""Parity holds for every listing, and fails when anything is wrong."""
from dataclasses import replace

import pytest

import chapters
from chapters.kit.proof.parity import parity

_LISTINGS = chapters.listings()


@pytest.mark.parametrize('step', ['compiled', 'plain'])
@pytest.mark.parametrize('experiment', _LISTINGS, ids=lambda experiment: experiment.section)
def test_parity_holds(experiment, step):
    result = experiment.prove(step)
    assert result.holds, result
    assert {'outputs', 'losses', 'gradients', 'parameters'} <= set(result.differences)


def test_every_listing_is_covered():
    from pathlib import Path
    listings = {path.stem for path in Path(chapters.__file__).parents[1].glob('book_code/sec_*.py')}
    assert listings == {experiment.symbolic for experiment in _LISTINGS}


@pytest.mark.parametrize('change', [dict(initializer='uniform(0.02)'), dict(initializer='xavier'),
                                    dict(lr_factor=0.95), dict(lr_every=2.0), dict(learning_rate=0.031),
                                    dict(momentum=0.1), dict(epochs=21), dict(batch_size=16),
                                    dict(weight_decay=1e-4), dict(warmup_epochs=1.0)])
def test_parity_fails_on_another_recipe(change):
    experiment = chapters.find('4.4')
    assert not parity(replace(experiment, recipe=replace(experiment.recipe, **change))).holds


def test_parity_fails_on_another_epsilon(monkeypatch):
    from chapters.ch04_cnn import lenet
    batch_norm = lenet.nn.BatchNorm
    monkeypatch.setattr(lenet.nn, 'BatchNorm', lambda epsilon: batch_norm(epsilon=1e-5))
    result = parity(chapters.find('4.4'))
    assert not result.holds and not result.complaints


def test_parity_fails_without_batch_statistics(monkeypatch):
    from chapters.ch04_cnn import lenet
    batch_norm = lenet.nn.BatchNorm
    monkeypatch.setattr(lenet.nn, 'BatchNorm', lambda epsilon: batch_norm(epsilon=epsilon, momentum=0.99))
    assert parity(chapters.find('4.4')).differences['statistics'] > 1e-3
