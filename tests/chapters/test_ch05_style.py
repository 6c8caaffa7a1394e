"""Chapter 5.8: the losses of style transfer by hand, their gradient, and a picture on its way."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd
from mxnet.gluon import nn
from PIL import Image

import chapters
from chapters.ch05_detection_style import style
from chapters.kit.perform import run_experiment
from data_tools.errors import UserError


def features():
    """Two smooth convolutions, in place of a trained network."""
    mx.random.seed(1)
    found = nn.HybridSequential()
    found.add(nn.Conv2D(5, 3, activation='tanh'), nn.Conv2D(6, 3, activation='tanh'))
    found.initialize(mx.init.Xavier(magnitude=6))
    found(nd.zeros((1, 3, 12, 12)))
    return found


def pictures(number, side=12):
    return np.random.default_rng(2).random((number, 3, side, side)).astype(np.float32)


def test_gram_and_losses_by_hand():
    x = np.array([[1, 2, 0], [3, 0, 1]], np.float32)  # two channels of three pixels
    planes = nd.array(x.reshape(1, 2, 1, 3))
    assert style.gram(planes).asnumpy().tolist() == [[5, 3], [3, 10]]
    other = nd.array((x + 1).reshape(1, 2, 1, 3))
    assert style.content_loss(planes, other).asscalar() == 3  # half of six
    grams = np.array([[5, 3], [3, 10]]) - (x + 1) @ (x + 1).T
    assert style.style_loss(style.gram(planes), other, 3).asscalar() == pytest.approx((grams ** 2).sum() / (4 * 4 * 9))


def test_style_does_not_see_where_pixels_are_and_content_does():
    planes = np.random.default_rng(0).random((1, 4, 5, 5)).astype(np.float32)
    moved = planes.reshape(1, 4, 25)[:, :, np.random.default_rng(1).permutation(25)].reshape(planes.shape)
    planes, moved = nd.array(planes), nd.array(moved)
    assert style.style_loss(style.gram(planes), moved, 25).asscalar() < 1e-10
    assert style.content_loss(planes, moved).asscalar() > 1


def test_nothing_is_lost_where_all_three_are_one_picture():
    a, = pictures(1)
    loss, gradient, content, styles = style.Transfer(features(), (1, (0, 1)), a, a)(a)
    assert loss == content == styles == 0 and not gradient.any()


def test_gradient_against_finite_differences():
    a, b, c = pictures(3)
    loss, random = style.Transfer(features(), (1, (0, 1)), a, b, 0.7, 1.3), np.random.default_rng(4)
    gradient = loss(c)[1]
    for _ in range(5):
        step = random.normal(size=c.shape).astype(np.float32)
        change = (loss(c + 1e-2 * step)[0] - loss(c - 1e-2 * step)[0]) / 2e-2
        assert change == pytest.approx((gradient * step).sum(), rel=0.03, abs=0.003)


def test_gradient_goes_through_poolings():
    """oneDNN's poolings give a wrong one unless they run as in training."""
    pooled = nn.HybridSequential()
    pooled.add(nn.MaxPool2D(2), nn.BatchNorm())
    pooled.initialize()
    pooled(nd.zeros((1, 3, 12, 12)))
    a, b, c = pictures(3)
    loss = style.Transfer(pooled, (1, (1,)), a, b)
    gradient, step = loss(c)[1], np.random.default_rng(5).normal(size=c.shape).astype(np.float32)
    change = (loss(c + 1e-3 * step)[0] - loss(c - 1e-3 * step)[0]) / 2e-3
    assert change == pytest.approx((gradient * step).sum(), rel=0.05)
    assert pooled[1].running_mean.data().asnumpy().tolist() == [0, 0, 0]  # what the network has learnt stays as it is


@pytest.mark.parametrize('method', ['lbfgs', 'adam'])
def test_the_loss_falls_and_pixels_stay_pixels(method):
    a, b = pictures(2)
    loss, seen = style.Transfer(features(), (1, (0, 1)), a, b, 0.01), []
    made, losses = style.transfer(loss, a, 30, method, seen=lambda number, pixels: seen.append(number))
    assert losses[-1][0] < 0.5 * loss(a)[0] and made.min() >= 0 and made.max() <= 1
    assert seen == list(range(1, len(losses) + 1))
    assert losses[-1][0] == pytest.approx(losses[-1][1] + losses[-1][2], rel=1e-4)
    for alpha, beta in ((-1, 1), (float('nan'), 1), (0, 0)):
        with pytest.raises(UserError, match='from 0 on, not both 0'):
            style.Transfer(features(), (1, (0, 1)), a, b, alpha, beta)
    for iterations in (0, -1):
        with pytest.raises(UserError, match=f'iterations={iterations}: '):
            style.transfer(loss, a, iterations)
    with pytest.raises(UserError, match='lbfgs or adam'):
        style.transfer(loss, a, 3, 'newton')


def test_more_weight_for_content_leaves_more_of_it():
    a, b = pictures(2)
    contents = []
    for alpha in (0.01, 1.0):
        contents.append(style.transfer(style.Transfer(features(), (1, (0, 1)), a, b, alpha), a, 25)[1][-1][1] / alpha)
    assert contents[1] < 0.7 * contents[0]


def test_kept_colours_are_those_of_the_content():
    content, made = pictures(2)
    content, made = 0.3 + 0.4 * content, 0.4 + 0.2 * made  # nothing is cut off at 0 or 1
    kept = style.with_colours_of(content, made)
    yiq = [np.tensordot(style._COLOURS, picture, 1) for picture in (content, made, kept)]
    assert np.allclose(yiq[2][1:], yiq[0][1:], atol=1e-3) and np.allclose(yiq[2][0], yiq[1][0], atol=1e-3)


def test_a_picture_by_the_network_that_comes_along(tmp_path, capsys):
    for number, pixels in enumerate(pictures(2, 48)):
        Image.fromarray((255 * pixels).astype(np.uint8).transpose(1, 2, 0)).save(tmp_path / f'{number}.png')
    experiment = chapters.find('5.8').but(content=str(tmp_path / '0.png'), style=str(tmp_path / '1.png'), size=40,
                                          iterations=6, network='zoo:5.5.7-fast', keep_colours='true')
    run, result = run_experiment(experiment, out=tmp_path / 'run', quiet=True)
    figures = run.folder / 'figures'
    assert result['metrics']['style_loss']['last'] < 1
    with Image.open(figures / 'made.png') as made, Image.open(figures / 'film.gif') as film:
        assert made.size == (40, 40) and film.n_frames > 5
    from chapters.__main__ import main
    assert main(['style', str(tmp_path / 'nothing.png'), 'temple', '--out', str(tmp_path / 'a')]) == 2
    assert main(['style', 'temple', 'flower', '--size', '5000', '--out', str(tmp_path / 'b')]) == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 2 and 'none of the pictures at hand' in said[0] and 'size=5000' in said[1]
    assert not (tmp_path / 'a').exists()
