"""Sections 8.2.2, 8.4 and 8.5: methods side by side, each judged by the same figures."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd

import chapters
from chapters.ch08_gan import cvae_compared, scores, srgan, voxels, wavenet
from chapters.ch08_gan.images import scaled
from chapters.kit.perform import run_experiment
from data_tools.errors import UserError

# section: (changes that make it quick, pictures, what the figures must be)
COMPARED = {
    '8.4-srgan-table': ({'images': 320, 'epochs': 6, 'width': 8}, ['table'], lambda f: (
        f['srresnet_psnr'] > f['srgan_psnr'], f['srresnet_psnr'] > 27.5, f['bicubic_ssim'] > 0.9,
        f['srresnet_unlike'] != f['srgan_unlike'], 0.3 < f['bicubic_sharpness'] < 1.1)),
    '8.5.1': ({'images': 800, 'epochs': 20, 'gan_epochs': 1, 'width': 8, 'judge_epochs': 3, 'count': 300}, ['random-codes'],
              lambda f: (f['real_frechet'] < f['again_frechet'] < f['autoencoder_fitted_frechet'],
                         f['vae_frechet'] < f['autoencoder_frechet'] / 2, f['again_sharpness'] < 0.95,
                         f['vae_confidence'] > f['autoencoder_confidence'] + 0.1, f['gan_sharpness'] > f['vae_sharpness'])),
    '8.5.3': ({'images': 640, 'epochs': 6, 'width': 8, 'judge_epochs': 4, 'count': 200}, ['side-by-side'], lambda f: (
        f['real_recognised'] > 0.8, f['cvae_recognised'] > 0.5, f['cvae_sharpness'] < 0.9 * f['real_sharpness'],
        f['cgan_sharpness'] > f['cvae_sharpness'], f['real_frechet'] < f['cvae_frechet'])),
    '8.2.2-voxels': ({'images': 600, 'updates': 300}, ['shapes', 'ways'], lambda f: (
        f['bound'] < f['bound_of_independent'] - 50, f['overlap'] > f['overlap_of_others'] + 0.1)),
    '8.5.2': ({'images': 640, 'epochs': 6, 'width': 16, 'units': 2, 'rnn_width': 8, 'rnn_units': 1, 'samples_of_each': 10},
              ['pixels'], lambda f: (max(f['cnn_bits'], f['rnn_bits']) < f['independent_bits'] - 0.02,
                                     1000 < f['rnn_parameters'] < f['cnn_parameters'])),
    '8.5.2-wavenet': ({'notes': 20, 'updates': 120, 'width': 16, 'layers': 6, 'made': 100}, ['waves'], lambda f: (
        f['wavenet_db'] > f['repeat_db'] + 4, f['bits'] < 6, f['linear_db'] > 10)),  # untrained 8 bits
    '8.5.3-made': ({'each': 4, 'made': 20, 'repeats': 1, 'epochs': 20, 'updates': 60}, ['made', 'accuracies'], lambda f: (
        0.5 < f['accuracy_real'] < f['accuracy_moved'], f['gain_by_made'] == f['accuracy_made'] - f['accuracy_real'])),
}


@pytest.mark.parametrize('section', COMPARED)
def test_compared(tmp_path, section):
    changes, pictures, conditions = COMPARED[section]
    run, result = run_experiment(chapters.find(section).but(**changes), out=tmp_path / 'run', quiet=True)
    figures = {name: value['last'] for name, value in result['metrics'].items()}
    assert all(conditions(figures)), sorted(figures.items())
    for name in pictures:
        assert (run.folder / 'figures' / f'{name}.png').stat().st_size > 1000, name


def test_wavenet_sees_what_was_before_and_no_more():
    network = wavenet.WaveNet(width=4, layers=3)
    network.initialize(mx.init.Normal(0.5))
    x = nd.random.uniform(-1, 1, shape=(1, 12))
    x.attach_grad()
    with autograd.record():
        answers = network(x)
        one = answers[0, 7, 2]
    one.backward()
    assert answers.shape == (1, 256, 5)  # the first answers the first 8 samples
    assert (np.flatnonzero(x.grad.asnumpy()[0]) == np.arange(2, 10)).all()


def test_sound_in_levels():
    sound = np.linspace(-1, 1, 1001)
    assert np.abs(wavenet.to_sound(wavenet.to_levels(sound)) - sound).max() < 0.022
    assert (wavenet.to_levels(wavenet.to_sound(np.arange(256))) == np.arange(256)).all()
    wave = np.sin(np.arange(600) * 0.3) + np.sin(np.arange(600) * 0.77)  # two tones: four samples say the next
    error = wavenet.LinearPredictor(wave[:400], 4)(wave[400:]) - wave[404:]
    assert np.abs(error).max() < 1e-3


def test_shapes_and_their_overlap():
    solids, kinds = voxels.shapes(60, np.random.default_rng(0))
    filled = solids.reshape(60, -1).mean(axis=1)
    assert set(kinds) == {0, 1, 2} and (filled > 0.01).all() and (filled < 0.6).all()
    box = solids[kinds == 0][0, 0] > 0.5
    inside = np.argwhere(box)
    assert box.sum() == np.prod(inside.max(axis=0) - inside.min(axis=0) + 1)  # full to its edges
    one, two = np.zeros((2, 1, 4, 4, 4), bool)
    one[0, :2], two[0, 1:3] = True, True
    assert voxels.overlap(one, one)[0] == 1 and voxels.overlap(one, two)[0] == pytest.approx(1 / 3)


def test_gradients_of_voxels_are_not_what_lay_in_memory():
    for width in 6 * [8] + [4, 16]:
        network = voxels.VoxelVAE(width)
        network.initialize(mx.init.Xavier())
        network.hybridize(static_alloc=True)
        x = nd.array(np.random.default_rng(0).random((32, 1, 16, 16, 16)) < 0.3)
        for _ in range(3):
            with autograd.record():
                of_voxels, divergence = network(x, nd.zeros((32, 8)))
                loss = of_voxels + divergence
            for size in 4 * [4 ** power for power in range(3, 11)]:  # given back at once
                np.full(size, np.nan, np.float32)
            loss.backward()
            assert all(np.isfinite(one.grad().asnumpy()).all() for one in network.collect_params().values())


def test_features_tell_enlarged_images_from_real_ones():
    real = scaled(chapters.find('8.4-srgan').load('digits').validation_x[:20])
    assert srgan.feature_error('zoo:4.4', real, real) == 0
    assert 0 < srgan.feature_error('zoo:4.4', real * 0.9, real) < srgan.feature_error('zoo:4.4', real[::-1], real)
    with pytest.raises(UserError, match='zoo:5.5.7-fast'):
        srgan.feature_error('zoo:5.5.7-fast', real, real)


def test_a_classifier_learns_from_made_images_as_from_real_ones():
    data = chapters.find('8.5-cvae-gan').load('digits')
    x, test = (scaled(part[:200]) for part in (data.train_x, data.validation_x))
    y, test_y = data.train_y[:200].astype(int), data.validation_y[:200]
    alone, right, wrong = (cvae_compared._accuracy(x[:20], y[:20], more, False, test, test_y, 60, 10, 0) for more in (
        None, (x[20:], y[20:]), (x[20:], (y[20:] + 1) % 10)))
    assert right > alone and wrong < alone - 0.2


def test_sharpness_falls_where_edges_are_blurred():
    random = np.random.default_rng(0)
    real = random.standard_normal((3, 1, 8, 8))
    blurred = (real + np.roll(real, 1, axis=2) + np.roll(real, 1, axis=3)) / 3
    assert scores.sharpness(real, real) == pytest.approx(1)
    assert scores.sharpness(2 * real, real) == pytest.approx(4)
    assert scores.sharpness(blurred, real) < 0.5
