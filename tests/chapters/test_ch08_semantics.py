"""Sections 8.2.1 and 8.2.2: what pixels do not say, codes that are found, and what is measured of strokes."""
import mxnet as mx
import numpy as np
import pytest
from mxnet.gluon import nn
from scipy.ndimage import distance_transform_edt

import chapters
from chapters.ch08_gan import semantics, strokes
from chapters.kit.perform import run_experiment


def bars(*widths, lean=0.0):
    """Images (N, 1, 32, 32) of bars of these widths, that lean to the right by so many pixels a pixel up."""
    down, right = np.indices((32, 32))
    inside = [np.abs(right - 15.5 - lean * (15.5 - down)) < width / 2 for width in widths]
    return np.where(np.stack(inside) & (np.abs(down - 15.5) < 11), 1.0, -1.0)[:, None].astype(np.float32)


def test_strokes_are_measured():
    assert strokes.stroke_width(bars(2, 4, 6)) == pytest.approx([2, 4, 6], abs=0.8)
    for lean in (-0.4, 0, 0.4):
        assert strokes.slant(bars(3, lean=lean)) == pytest.approx([lean], abs=0.03)
    assert strokes.stroke_width(-np.ones((1, 1, 32, 32))) == strokes.slant(-np.ones((1, 1, 32, 32))) == 0


def test_patches_know_a_dot_from_a_stroke():
    known = semantics.Patches(bars(2, 3, 4, 5))
    image = bars(3)
    near, far = semantics.one_pixel(image, known)
    for changed in (near, far):
        assert (changed != image).sum() == 1
    assert known(far)[0] > known(near)[0] > known(image)[0]
    beside, away = (distance_transform_edt(image[0, 0] < 0)[tuple(np.argwhere(changed != image)[0, 2:])]
                    for changed in (near, far))
    assert beside < 1.5 < 2 < away


def test_codes_are_found_by_descent():
    generator = nn.HybridSequential()
    generator.add(nn.Dense(64, in_units=8), nn.HybridLambda(lambda F, x: F.reshape(F.tanh(x), (-1, 1, 8, 8))))
    generator.initialize(mx.init.Normal(0.3))
    mx.random.seed(0)
    codes = mx.nd.random.normal(shape=(3, 8))
    codes = codes / codes.norm(axis=1, keepdims=True) * 2
    found, errors = semantics.find_codes(generator, generator(codes).asnumpy(), np.random.default_rng(0), 8)
    assert errors.max() < 1e-3 and np.abs(found - codes.asnumpy()).max() < 0.2
    assert np.linalg.norm(found, axis=1).max() < 8 ** 0.5 + 1e-3


# what the figures must be of those that come along
PROMISES = {
    '8.2.1': ({}, lambda f: (f['mse_near'] == f['mse_far'], f['nats_added_far'] > f['nats_added_near'] + 10,
                             f['nats_of_means'] > 1.02 * f['nats_of_real'])),
    '8.2.2': ({'updates': 40}, lambda f: (f['mse_found'] < f['mse_drawn'] / 2,)),
    '8.2.2-arithmetic': ({'count': 800}, lambda f: (
        f['stroke_width_at_-2'] < f['stroke_width_at_+0'] < f['stroke_width_at_+2'],
        f['stroke_width_of_sums'] > f['stroke_width_of_thin'], f['sums_are_the_digit'] > 0.25)),  # by chance 0.1
}


@pytest.mark.parametrize('section', PROMISES)
def test_what_codes_say(tmp_path, section):
    changes, conditions = PROMISES[section]
    run, result = run_experiment(chapters.find(section).but(**changes), out=tmp_path / 'run', quiet=True)
    figures = {name: value['last'] for name, value in result['metrics'].items()}
    assert all(conditions(figures)), figures
    assert list((run.folder / 'figures').glob('*.png'))
