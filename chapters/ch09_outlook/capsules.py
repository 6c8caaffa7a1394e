"""Section 9.4.2: capsules, which answer with vectors and agree by routing (figures 9-35, 9-36).

    python -m chapters run 9.4.2-small --data mnist

Sabour, Frosst, Hinton, "Dynamic Routing Between Capsules", https://arxiv.org/abs/1710.09829.
"""
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.ch08_gan.turns import ByTurns, Players
from chapters.ch09_outlook.capsules_seen import measure_one, measure_two
from chapters.kit.data.images import load_images
from chapters.kit.experiment import BookFigure
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script

_SURE, _UNSURE, _ABSENT = 0.9, 0.1, 0.5  # the margins, and the weight of classes that are not there
_BATCH = 250


def squash(F, s):
    """Vectors along the last axis, their length L made L^2 / (1 + L^2): short ones vanish, long ones come near 1."""
    squared = F.sum(F.square(s), axis=-1, keepdims=True)
    return F.broadcast_mul(s, F.sqrt(squared + 1e-9) / (1 + squared))


def margin_loss(F, lengths, present):
    """Classes that are there should be longer than 0.9, all others shorter than 0.1.

    Parameters
    ----------
    lengths, present : (N, classes)
        Lengths of the capsules; 1 where the class is there, else 0.

    Returns
    -------
    (N,)
    """
    missed, imagined = F.relu(_SURE - lengths), F.relu(lengths - _UNSURE)
    return F.sum(present * F.square(missed) + _ABSENT * (1 - present) * F.square(imagined), axis=1)


def route(F, votes, classes, times=3):
    """Routing by agreement: a capsule sends its vote where the other votes agree with it.

    Parameters
    ----------
    votes : (N * classes, I, D)
        What each of I capsules below says of each class.
    times : int

    Returns
    -------
    (N * classes, 1, D), (N, classes, I)
        The classes' capsules; and the share of each capsule below that went to each class. The shares of a capsule add up
        to 1.
    """
    ones = F.ones_like(F.slice_axis(votes, axis=2, begin=0, end=1))  # (N * classes, I, 1)
    agreement, shares = 0 * ones, ones / classes  # at first all classes have the same
    for turn in range(times):
        capsules = squash(F, F.batch_dot(shares, votes, transpose_a=True))
        if turn < times - 1:
            agreement = agreement + F.batch_dot(votes, capsules, transpose_b=True)
            shares = F.softmax(F.reshape(agreement, shape=(-4, -1, classes, -2)), axis=1)
            shares = F.reshape(shares, shape=(-3, -2))
    return capsules, F.reshape(shares, shape=(-4, -1, classes, -3))


class CapsuleNet(gluon.HybridBlock):
    """C9x9 ReLU, C9x9 of stride 2 whose planes are vectors, then a vector a class (figure 9-36).

    Parameters
    ----------
    filters : int
        Of the first convolution.
    types, numbers : int
        Kinds of primary capsules, and the numbers of each.
    class_numbers : int
        Numbers of a class's capsule.
    routings : int
    classes, channels, side : int
        Of the data.

    Input (N, C, side, side) from 0 to 1, output (N, classes, class_numbers).
    """
    def __init__(self, filters=256, types=32, numbers=8, class_numbers=16, routings=3, classes=10, channels=1, side=28,
                 **kwargs):
        super().__init__(**kwargs)
        self._types, self._numbers, self._class_numbers = types, numbers, class_numbers
        self._routings, self._classes, self._places = routings, classes, ((side - 16) // 2) ** 2
        with self.name_scope():
            self.first = nn.Conv2D(filters, 9, in_channels=channels, activation='relu')
            self.primary = nn.Conv2D(types * numbers, 9, 2, in_channels=filters)
            self.weight = self.params.get('weight', shape=(types * self._places, numbers, classes * class_numbers),
                                          init=mx.init.Normal(0.1))

    def hybrid_forward(self, F, x, weight):
        below = F.reshape(self.primary(self.first(x)), shape=(-1, self._types, self._numbers, self._places))
        below = squash(F, F.reshape(F.transpose(below, axes=(1, 3, 0, 2)), shape=(-3, -2)))  # (I, N, numbers)
        votes = F.reshape(F.batch_dot(below, weight), shape=(0, 0, self._classes, self._class_numbers))
        votes = F.reshape(F.transpose(votes, axes=(1, 2, 0, 3)), shape=(-3, -2))  # (N * classes, I, class_numbers)
        capsules, _ = route(F, votes, self._classes, self._routings)
        return F.reshape(capsules, shape=(-1, self._classes, self._class_numbers))


class Lengths(gluon.HybridBlock):
    """Lengths of a network's capsules: (N, C, S, S) -> (N, classes), each from 0 to 1; they need not add up to 1."""
    def __init__(self, capsules, **kwargs):
        super().__init__(**kwargs)
        self.capsules = capsules

    def hybrid_forward(self, F, x):
        return F.sqrt(F.sum(F.square(self.capsules(x)), axis=2) + 1e-9)


class Capsules(Players):
    """`CapsuleNet` with what tells it how right it is: margins, and images made again of the true class's capsule.

    Parameters
    ----------
    hidden : tuple of int
        Of the decoder, between a class's capsule and the pixels.
    reconstruction : float
        Weight of the squared error of an image made again.
    shift : int
        Training images are moved by up to so many pixels.
    filters, types, numbers, class_numbers, routings, classes, channels, side
        As `CapsuleNet` has them.

    Input: images from 0 to 1. What is exported are `Lengths`, which stand for how sure it is that a class is there.
    """
    objects = 1  # in an image

    def __init__(self, filters=256, types=32, numbers=8, class_numbers=16, routings=3, hidden=(512, 1024),
                 reconstruction=0.0005, shift=2, classes=10, channels=1, side=28, **kwargs):
        super().__init__(**kwargs)
        self.reconstruction, self.shift, self.classes, self.side = reconstruction, shift, classes, side
        with self.name_scope():
            self.capsules = CapsuleNet(filters, types, numbers, class_numbers, routings, classes, channels, side)
            self.decoder, units = nn.HybridSequential(), classes * class_numbers
            for more in hidden:
                self.decoder.add(nn.Dense(more, activation='relu', in_units=units))
                units = more
            self.decoder.add(nn.Dense(channels * side ** 2, activation='sigmoid', in_units=units))

    @classmethod
    def sizes_for(cls, data):
        """As `Players` has it."""
        return {'channels': data.train_x.shape[1], 'side': data.train_x.shape[2], 'classes': len(data.class_names)}

    def turns(self):
        """As `Players` has it: one."""
        return [('margin', [self], self.loss)]

    def draw(self, data, numbers, random):
        """Images; which classes are there (N, classes); which one is to be made again (N, objects), and how it looks."""
        x, y = moved(data.train_x[numbers], self.shift, random), data.train_y[numbers]
        return nd.array(x), nd.one_hot(nd.array(y), self.classes), nd.array(y[:, None]), nd.array(x[:, None])

    def loss(self, x, present, labels, wanted):
        """(N,): margin loss, and `reconstruction` times the squared error of each object made again."""
        capsules = self.capsules(x)
        loss = self.margin(capsules, present)
        for which in range(self.objects):
            error = self.decode(capsules, labels[:, which]) - wanted[:, which].flatten()
            loss = loss + self.reconstruction * nd.square(error).sum(axis=1)
        return loss

    @staticmethod
    def margin(capsules, present):
        """(N,): `margin_loss` of capsules (N, classes, class_numbers)."""
        return margin_loss(nd, nd.sqrt(nd.square(capsules).sum(axis=2) + 1e-9), present)

    def decode(self, capsules, labels):
        """(N, pixels): images of a class each, of its capsule alone."""
        return self.decoder(nd.broadcast_mul(capsules, nd.one_hot(labels, self.classes).expand_dims(2)).flatten())

    def exported(self):
        """The lengths."""
        lengths = Lengths(self.capsules)
        lengths.hybridize()
        return lengths

    def vectors(self, images):
        """(N, classes, class_numbers): capsules of images, both NumPy's."""
        return np.concatenate([self.capsules(nd.array(images[start:start + _BATCH])).asnumpy()
                               for start in range(0, len(images), _BATCH)])

    def lengths(self, images):
        """(N, classes): how sure it is of each class."""
        return np.linalg.norm(self.vectors(images), axis=2)

    def validate(self, data):
        """Share of test images whose longest capsule is the right one."""
        return {'validation_accuracy': np.mean(self.lengths(data.validation_x).argmax(axis=1) == data.validation_y)}

    def measure(self, run, random):
        """As `Players` has it."""
        return measure_one(run, self)


class Overlapping(Capsules):
    """Two digits over one another; each is found, and made again without the other.

    Images are brought to a side of 8 more, each moved by up to four pixels, and laid over one another.
    """
    objects = 2

    @classmethod
    def sizes_for(cls, data):
        """As `Players` has it."""
        return {**super().sizes_for(data), 'side': data.train_x.shape[2] + 8}

    def draw(self, data, numbers, random):
        """As `Capsules.draw` has it."""
        return tuple(map(nd.array, overlapped(data.train_x, data.train_y, numbers, self.classes, random)))

    def validate(self, data):
        """Share of images of two test digits of which both are found."""
        x, present, *_ = self.test_pairs(data)
        found = np.argsort(-self.lengths(x), axis=1, kind='stable')[:, :2]
        return {'validation_accuracy': np.mean(np.take_along_axis(present, found, axis=1).sum(axis=1) == 2)}

    def test_pairs(self, data):
        """Every test image with another one, as `overlapped` gives them; the same each time."""
        count = len(data.validation_x)
        return overlapped(data.validation_x, data.validation_y, np.arange(count), self.classes, np.random.default_rng(0))

    def measure(self, run, random):
        """As `Players` has it."""
        return measure_two(run, self)


def load_alone(experiment, name, data_root=None, seed=0):
    """The images that `Overlapping` lays over one another, by `load_images`."""
    channels, *sides = experiment.sample_shape
    return load_images(replace(experiment, sample_shape=(channels, *(side - 8 for side in sides))), name, data_root, seed)


def moved(images, most, random):
    """Images (N, C, H, W), each moved by up to so many pixels, black where nothing is left."""
    height, width = images.shape[2:]
    framed = np.pad(images, ((0, 0), (0, 0), (most, most), (most, most)))
    places = random.integers(0, 2 * most + 1, (len(images), 2))
    return np.stack([image[:, top:top + height, left:left + width] for image, (top, left) in zip(framed, places)])


def overlapped(images, labels, numbers, classes, random):
    """Pairs of images of different classes, laid over one another.

    Parameters
    ----------
    images : (M, C, S, S)
    labels : (M,)
    numbers : (N,)
        Of the first of each pair; the second is drawn.
    classes : int
    random : numpy.random.Generator

    Returns
    -------
    (N, C, S + 8, S + 8), (N, classes), (N, 2), (N, 2, C, S + 8, S + 8)
        Pairs; which classes are there; the classes of both; both alone.
    """
    partners = random.integers(0, len(images), len(numbers))
    while (same := labels[partners] == labels[numbers]).any():
        partners[same] = random.integers(0, len(images), same.sum())
    framed = [moved(np.pad(images[chosen], ((0, 0), (0, 0), (4, 4), (4, 4))), 4, random) for chosen in (numbers, partners)]
    both, alone = np.stack([labels[numbers], labels[partners]], axis=1), np.stack(framed, axis=1)
    return np.maximum(*framed), np.eye(classes, dtype=np.float32)[both.astype(int)].sum(axis=1), both, alone


_RECIPE = Recipe(epochs=5, batch_size=64, optimizer='adam', learning_rate=0.001, momentum=0.9, anneal=1.0,
                 initializer='xavier')
_SMALL = {'filters': 32, 'types': 4}
_FIGURES = (BookFigure(0.9975, 'validation_accuracy', 'mnist', 'of the paper, as the book quotes it'),)


def _capsules(section, title, title_zh, network=Capsules, sizes=None, side=28, book=(), remark='', loader=load_images):
    return ByTurns(section, title, title_zh, network=network, sizes=sizes or {}, recipe=_RECIPE, data='digits',
                   loader=loader, sample_shape=(1, side, side), book=book, remark=remark)


EXPERIMENTS = [
    _capsules('9.4.2', 'Capsules, as wide as the paper has them', '胶囊网络，论文的宽度', book=_FIGURES,
              remark='The book says that capsules are trained by routing and not by back-propagation: their weights are; '
                     'routing is part of the forward pass, and learns nothing.'),
    _capsules('9.4.2-small', 'Capsules, an eighth as wide', '胶囊网络，八分之一宽', sizes=_SMALL, book=_FIGURES,
              remark='Thirty-two times less work an image than the paper\'s sizes, and few epochs.'),
    _capsules('9.4.2-overlapping', 'Capsules take overlapping digits apart', '胶囊网络分开重叠的数字', Overlapping, _SMALL, 36,
              loader=load_alone),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[1])
