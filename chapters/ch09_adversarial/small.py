"""Small networks that learn on the spot, and the images that they learn from, as section 9.2 needs them."""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import chapters
from chapters.kit.training.epochs import seed_everything
from data_tools.image_sets import Packs, find


def image_set(data, samples=0, data_root=None):
    """Training images, labels, test images, labels: float32 (N, C, H, W) from 0 to 1, int (N,).

    Parameters
    ----------
    data : str
        digits, mnist, fashion, cifar10, or whatever else `data_tools.image_sets.find` takes; packs are brought to 32x32.
    samples : int
        The first so many of the training images; 0: all.
    data_root : path-like, optional
    """
    found = find(data, data_root)
    if isinstance(found, Packs):
        packed = chapters.find('5.5.7-fast').load(data, data_root)
        x, y, test_x, test_y = packed.train_x, packed.train_y, packed.validation_x, packed.validation_y
        scale = 255 * packed.scale
    else:
        x, y, test_x, test_y = found.train_images, found.train_labels, found.test_images, found.test_labels
        scale = 255
    samples = samples or len(x)
    return (np.asarray(x[:samples], np.float32) / scale, np.asarray(y[:samples]).astype(int),
            np.asarray(test_x[:2000], np.float32) / scale, np.asarray(test_y[:2000]).astype(int))


def small_net(filters=(16, 32), kernel=3, classes=10):
    """Convolutions, each with BN, ReLU and a pooling that halves the side; then the mean of each plane, and a layer."""
    network = nn.HybridSequential()
    for number in filters:
        network.add(nn.Conv2D(number, kernel, padding=kernel // 2), nn.BatchNorm(), nn.Activation('relu'), nn.MaxPool2D(2))
    network.add(nn.Conv2D(filters[-1], 3, padding=1), nn.BatchNorm(), nn.Activation('relu'),
                nn.HybridLambda(lambda F, x: F.mean(x, axis=(2, 3))), nn.Dense(classes))
    return network


def learn(network, images, labels, epochs=6, batch_size=50, rate=0.01, seed=0, change=None):
    """Train a network: Adam, its rate falling to 0 along a straight line.

    Parameters
    ----------
    network : HybridBlock
        Pixels from 0 to 1. Initialized here, unless it has been.
    images, labels : numpy.ndarray, (N, C, H, W) and (N,)
    epochs, batch_size, rate
    seed : int
        Of first values and order.
    change : callable, optional
        `change(x, y, random) -> x`: what a batch, numpy arrays, is changed to first.

    Returns
    -------
    HybridBlock
        The network.
    """
    random = seed_everything(seed)
    if any(parameter._data is None for parameter in network.collect_params().values()):
        network.initialize(mx.init.Xavier())
    network(nd.array(images[:1]))
    network.hybridize(static_alloc=True, static_shape=True)
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': rate})
    loss, updates = gluon.loss.SoftmaxCrossEntropyLoss(), epochs * (len(images) // batch_size)
    for number in range(updates):
        place = number % (len(images) // batch_size) * batch_size
        if place == 0:
            order = random.permutation(len(images))
        chosen = order[place:place + batch_size]
        x, y = images[chosen], labels[chosen]
        if change:
            x = change(x, y, random)
        trainer.set_learning_rate(rate * (1 - number / updates))
        with autograd.record():
            losses = loss(network(nd.array(x)), nd.array(y))
        losses.backward()
        trainer.step(len(x))
    return network
