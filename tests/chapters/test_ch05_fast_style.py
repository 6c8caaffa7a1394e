"""Chapter 5.8: a network that learns one style, its squares, its training and what it makes of a file."""
import numpy as np
import pytest
from mxnet import autograd, init, nd
from mxnet.gluon import nn
from PIL import Image

import chapters
from chapters.__main__ import main as command_line
from chapters.ch05_detection_style import fast_style
from chapters.kit.perform import resume, run_experiment
from data_tools.errors import UserError

SMALL = dict(style='flower', size=64, style_size=64, rounds=3, updates=12, batch=1, filters='4 8 8', units=1,
             network='zoo:5.5.7-fast', learning_rate=0.01)


def test_a_picture_of_any_size_keeps_its_size():
    network = fast_style.StyleNet((4, 6, 8), 1)
    network.initialize()
    made = network(nd.random.uniform(shape=(2, 3, 24, 40))).asnumpy()
    assert made.shape == (2, 3, 24, 40) and made.min() > 0 and made.max() < 1
    one = np.random.default_rng(0).random((3, 27, 41)).astype(np.float32)
    assert fast_style.restyled(network, one).shape == (3, 24, 40)


def test_over_one_picture_batch_normalisation_is_instance_normalisation():
    learning = fast_style.StyleNet((4, 6, 8), 2, nn.BatchNorm)
    learning.initialize(init.Xavier())
    one = nd.random.uniform(shape=(1, 3, 24, 40))
    learning(one)
    for parameter in learning.collect_params('.*(gamma|beta)').values():
        parameter.set_data(parameter.data() + nd.random.normal(0, 0.3, parameter.shape))
    with autograd.train_mode():
        wanted = learning(one).asnumpy()
    used = fast_style.for_any_number(learning, (4, 6, 8), 2)
    np.testing.assert_allclose(used(one).asnumpy(), wanted, atol=2e-5)
    other = nd.random.uniform(shape=(1, 3, 24, 40))
    both = used(nd.concat(other, one, dim=0)).asnumpy()
    np.testing.assert_allclose(both[1:], wanted, atol=2e-5)
    assert np.abs(both[0] - wanted[0]).max() > 0.01 and wanted.std() > 0.01


def test_every_point_is_taken_four_times():
    x = np.arange(24, dtype=np.float32).reshape(2, 2, 2, 3)
    assert (fast_style.Enlarge()(nd.array(x)).asnumpy() == x.repeat(2, axis=2).repeat(2, axis=3)).all()


def test_as_many_parameters_as_the_paper_has_but_for_the_last_convolution():
    network = fast_style.StyleNet()
    network.initialize()
    network(nd.zeros((1, 3, 64, 64)))
    convolutions = [parameter.shape for name, parameter in network.collect_params().items() if name.endswith('weight')]
    assert convolutions == [(32, 3, 9, 9), (64, 32, 3, 3), (128, 64, 3, 3), *10 * [(128, 128, 3, 3)], (64, 128, 3, 3),
                            (32, 64, 3, 3), (3, 32, 3, 3)]


def test_squares_are_parts_of_the_pictures_mirrored_or_not():
    ramp = np.repeat(np.arange(90, dtype=np.uint8)[None, :, None], 70, axis=0).repeat(3, axis=2)
    found = fast_style.crops([ramp], 64, 30, np.random.default_rng(0))
    assert found.shape == (30, 3, 64, 64) and 0 <= found.min() and found.max() < 0.35
    slopes = np.sign(found[:, 0, 0, -1] - found[:, 0, 0, 0])
    assert set(slopes) == {-1, 1} and len({round(float(square[0, 0, 32]), 3) for square in found}) > 5


def test_it_learns_goes_on_to_the_same_bits_and_changes_a_file(tmp_path, interrupted, capsys):
    experiment = chapters.find('5.8-fast').but(**SMALL)
    _, result = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    history = np.genfromtxt(tmp_path / 'whole' / 'history.csv', delimiter=',', names=True)
    total = history['train_style_loss'] + history['train_content_loss']
    assert total[-1] < 0.7 * total[0] and (tmp_path / 'whole' / 'figures' / 'restyled.png').exists()
    assert result['metrics']['style_loss']['last'] == pytest.approx(history['train_style_loss'][-1])
    interrupted(experiment, tmp_path / 'killed')
    killed = str(tmp_path / 'killed')
    assert command_line(['style', 'temple', killed]) == 2 and 'no trained network' in capsys.readouterr().err
    resume(tmp_path / 'killed', chapters.find)
    whole, again = ((tmp_path / name / 'model-0003.params').read_bytes() for name in ('whole', 'killed'))
    assert whole == again

    assert command_line(['style', 'temple', killed, '--size', '120', '--out', str(tmp_path / 'made.png')]) == 0
    with Image.open(tmp_path / 'made.png') as made:
        assert made.size == (120, 80)
        assert np.asarray(made).std() > 5
    assert command_line(['style', str(tmp_path / 'nothing.png'), killed]) == 2
    assert command_line(['style', 'temple', str(tmp_path)]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 2


@pytest.mark.parametrize('setting, words', [
    ({'filters': '16 32'}, 'three numbers'), ({'size': 70}, 'multiple of 4'), ({'rounds': 0}, 'from 1 on'),
    ({'style': 'nobody'}, 'none of the pictures at hand'), ({'photographs': '{empty}'}, 'no images there')])
def test_what_cannot_be_is_said_in_a_line(tmp_path, setting, words):
    setting = {name: value.format(empty=tmp_path) if isinstance(value, str) else value for name, value in setting.items()}
    with pytest.raises(UserError, match=words):
        run_experiment(chapters.find('5.8-fast').but(**{**SMALL, **setting}), out=tmp_path / 'run', quiet=True)
