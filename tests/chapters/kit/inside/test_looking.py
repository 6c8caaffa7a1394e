"""Networks built by hand, of which it is known what they look at."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.kit.inside import looking
from data_tools.errors import UserError


class Corner(gluon.HybridBlock):
    """Class 1 if the top left quarter of a 16x16 image is bright; the rest does not matter."""
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.blur = nn.Conv2D(2, 3, padding=1, in_channels=1, use_bias=False)
            self.relu = nn.Activation('relu')
            self.output = nn.Dense(2, in_units=2 * 16 * 16)

    def hybrid_forward(self, F, x):
        return self.output(self.relu(self.blur(x)))


@pytest.fixture(scope='module')
def corner():
    network = Corner()
    network.initialize()
    kernel = np.zeros((2, 1, 3, 3), np.float32)
    kernel[0] = 1 / 9
    kernel[1, 0, 1, 1] = -1  # sees only darkness, so nothing in images that are not negative
    network.blur.weight.set_data(nd.array(kernel))
    weight = np.zeros((2, 2, 16, 16), np.float32)
    weight[1, 0, :8, :8] = 0.5
    weight[0, 0, :8, :8] = -0.5
    network.output.weight.set_data(nd.array(weight.reshape(2, -1)))
    network.hybridize(static_alloc=True, static_shape=True)
    return network


@pytest.fixture
def bright():
    return np.random.default_rng(0).uniform(0.4, 0.6, (1, 16, 16)).astype(np.float32)


@pytest.mark.parametrize('way', [looking.saliency, looking.smooth_grad, looking.occlusion, looking.grad_cam])
def test_the_corner_lights_up(corner, bright, way):
    bright = bright / 20 if way is looking.occlusion else bright  # sure, but not so sure that nothing changes it
    heat = way(corner, bright, 1, **({'fill': 0.0} if way is looking.occlusion else {}))
    assert heat.shape == (16, 16)
    if way is looking.grad_cam:  # planes are weighted whole: the one that speaks for class 1 is the blurred image
        blurred = looking.activations(corner, bright[None], 'blur')[0, 0]
        assert np.corrcoef(heat.ravel(), blurred.ravel())[0, 1] > 0.999
        return
    inside, outside = heat[:8, :8], np.concatenate([heat[10:].ravel(), heat[:10, 10:].ravel()])
    assert inside.mean() > 0 and inside.mean() > 10 * np.abs(outside).mean()


def test_gradients_come_back_through_batch_normalisation_as_in_prediction():
    """By what it has learnt of all images, not by the mean and the variance of those at hand."""
    network = nn.HybridSequential()
    network.add(nn.Conv2D(6, 3), nn.BatchNorm(), nn.Activation('tanh'), nn.Dense(3))
    network.initialize(mx.init.Xavier(magnitude=6))
    random = np.random.default_rng(0)
    images, step = random.uniform(0, 1, (4, 3, 10, 10)).astype(np.float32), random.normal(size=(4, 3, 10, 10))
    network(nd.array(images))
    network[1].running_var.set_data(nd.array([0.05] * 6))
    logits = [network(nd.array(images + 1e-2 * sign * step)).asnumpy()[:, 1] for sign in (1, -1)]
    changes = (looking._gradients(network, images, 1) * step).sum(axis=(1, 2, 3))
    assert changes == pytest.approx((logits[0] - logits[1]) / 2e-2, rel=0.02, abs=0.01 * np.abs(changes).max())


@pytest.mark.parametrize('settings', [{}, {'pool_size': 3, 'strides': 2, 'ceil_mode': True}])
def test_gradients_come_back_through_poolings(settings):
    """In prediction oneDNN's poolings give back whatever lies in memory; in training they do not."""
    network = nn.HybridSequential()
    network.add(nn.Conv2D(8, 3, activation='relu'), nn.MaxPool2D(**settings), nn.Dropout(0.5), nn.Conv2D(8, 3),
                nn.MaxPool2D(**settings), nn.Dense(3))
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True, static_shape=True)
    image = np.random.default_rng(0).uniform(0, 1, (3, 20, 20)).astype(np.float32)
    logits = network(nd.array(image[None])).asnumpy()
    gradient = looking._gradients(network, image[None], 1)[0]
    assert np.allclose(looking.saliency(network, image, 1), np.abs(gradient).max(axis=0), atol=1e-6)
    assert np.allclose(network(nd.array(image[None])).asnumpy(), logits, atol=1e-5)  # compiled again, and as before
    network[2]._rate = 0  # no other in training than in prediction
    network.hybridize(False)
    x = nd.array(image[None])
    x.attach_grad()
    with autograd.record():
        logit = network(x)[0, 1]
    logit.backward()
    assert np.allclose(gradient, x.grad.asnumpy()[0], atol=1e-6) and np.abs(gradient).max() > 1e-3


def test_grad_cam_finds_where_the_plane_is_active(corner):
    image = np.zeros((1, 16, 16), np.float32)
    image[0, 2:5, 3:6] = 1
    heat = looking.grad_cam(corner, image, 1)
    assert np.unravel_index(heat.argmax(), heat.shape) == (3, 4) and (heat[8:] == 0).all()
    assert (looking.grad_cam(corner, image, 0) == 0).all()  # nothing speaks for the other class


def test_activations_are_those_of_the_layer(corner, bright):
    found = looking.activations(corner, np.repeat(bright[None], 120, axis=0), 'relu')
    assert found.shape == (120, 2, 16, 16)
    assert np.allclose(found[119, 0, 5, 5], bright[0, 4:7, 4:7].mean(), atol=1e-6)
    assert (found[:, 1] == 0).all()
    assert corner._active  # compiled again


def test_the_planted_patch_is_the_most_exciting(corner):
    images = np.random.default_rng(1).uniform(0, 0.5, (20, 1, 16, 16)).astype(np.float32)
    images[13, 0, 6:9, 10:13] = 1
    number, value, (rows, columns) = looking.most_exciting(corner, images, 'blur', 0)[0]
    assert number == 13 and value == pytest.approx(1, abs=1e-6)
    assert (rows, columns) == (slice(6, 9), slice(10, 13))
    assert looking.most_exciting(corner, images, 'relu', 1) == []  # a unit that is always silent


def test_t_sne_keeps_two_kinds_apart(corner):
    random = np.random.default_rng(2)
    images = random.uniform(0, 0.1, (60, 1, 16, 16)).astype(np.float32)
    images[30:, 0, :8] += 0.5
    points = looking.t_sne(corner, images, seed=1 << 32)
    assert looking.last_hidden(corner, images).shape == (60, 512)
    middles = points[:30].mean(axis=0), points[30:].mean(axis=0)
    nearer = np.linalg.norm(points[:, None] - np.stack(middles), axis=2).argmin(axis=1)
    assert (nearer == [0] * 30 + [1] * 30).all()


def test_a_layer_that_is_not_there(corner, bright):
    with pytest.raises(UserError, match='there is no layer body; there are blur, relu, output'):
        looking.activations(corner, bright[None], 'body')
    with pytest.raises(UserError, match='units 0 to 1, no 2'):
        looking.most_exciting(corner, bright[None], 'blur', 2)
