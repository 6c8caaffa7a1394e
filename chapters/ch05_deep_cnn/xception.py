"""Section 5.5.6: depthwise separable convolutions, and Xception, which is made of them.

Chollet, "Xception: deep learning with depthwise separable convolutions", CVPR 2017
(https://arxiv.org/abs/1610.02357).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_5_6
from chapters.ch05_deep_cnn.layers import batch_norm, chain, conv_bn_relu, padded_convolution, scaled
from chapters.ch05_deep_cnn.recipes import on_cifar, on_imagenet
from chapters.script import run_script


def separable(filters, channels, stride=1):
    """C3x3 on each plane alone, then C1x1 over all planes; from 64 to 128 planes 8768 weights, not 73728.

    Parameters
    ----------
    filters : int
    channels : int
        Of the input.
    stride : int

    Returns
    -------
    list of layers
    """
    return [padded_convolution(channels, 3, stride, groups=channels, use_bias=False),
            padded_convolution(filters, 1, use_bias=False)]


class Unit(gluon.HybridBlock):
    """Separable convolutions, ReLU before and BN after each, beside a shortcut.

    Parameters
    ----------
    filters : tuple of int
        Of each separable convolution.
    channels : int
        Of the input.
    stride : int
        2: a pooling 3x3 ends the unit, and the shortcut is C1x1 BN with that stride; 1: the shortcut is the
        input.
    relu_first : bool
        False in the first unit, whose input has just passed a ReLU.
    """
    def __init__(self, filters, channels, stride=1, relu_first=True, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            before = channels
            for number, planes in enumerate(filters):
                if relu_first or number:
                    self.body.add(nn.Activation('relu'))
                self.body.add(*separable(planes, before), batch_norm())
                before = planes
            if stride == 2:
                self.body.add(nn.MaxPool2D(pool_size=3, strides=2, padding=1))
            self.shortcut = (chain(padded_convolution(before, 1, stride, use_bias=False), batch_norm())
                             if stride == 2 else None)

    def hybrid_forward(self, F, x):
        return self.body(x) + (x if self.shortcut is None else self.shortcut(x))


class Xception(gluon.HybridBlock):
    """Xception: entry, middle and exit flow (figure 5 of the paper).

    Parameters
    ----------
    middle : int
        Units of the middle flow.
    width : float
        Factor of the numbers of filters.
    classes : int

    Input (N, 3, 299, 299), output logits (N, classes).
    """
    def __init__(self, middle=8, width=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        planes = {number: scaled(number, width) for number in (32, 64, 128, 256, 728, 1024, 1536, 2048)}
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(
                nn.Conv2D(planes[32], 3, 2, use_bias=False), batch_norm(), nn.Activation('relu'),
                nn.Conv2D(planes[64], 3, use_bias=False), batch_norm(), nn.Activation('relu'))
            for before, filters in ((64, 128), (128, 256), (256, 728)):
                self.features.add(Unit([planes[filters]] * 2, planes[before], 2, relu_first=before != 64))
            for _ in range(middle):
                self.features.add(Unit([planes[728]] * 3, planes[728]))
            self.features.add(Unit([planes[728], planes[1024]], planes[728], 2))
            for before, filters in ((1024, 1536), (1536, 2048)):
                self.features.add(*separable(planes[filters], planes[before]), batch_norm(),
                                  nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


class SeparableNet(gluon.HybridBlock):
    """A small Xception for CIFAR-10: BN, C3x3, units of two separable convolutions, ReLU, global average, FC.

    The book prints the convolution of 5.5.6 and no network around it for CIFAR-10: this one is ours.

    Parameters
    ----------
    filters : tuple of int
        Of the first convolution, and of each unit; all units but the first halve the sides.
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, filters=(64, 64, 128, 256), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm(), *conv_bn_relu(filters[0], 3))
            for number, (before, planes) in enumerate(zip(filters, filters[1:])):
                stride = 1 if before == planes and not number else 2
                self.features.add(Unit([planes] * 2, before, stride, relu_first=number > 0))
            self.features.add(nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


EXPERIMENTS = [
    on_cifar('5.5.6', 'Depthwise separable convolutions', '深度可分卷积', SeparableNet, listing=sec_5_5_6,
             small={'filters': (32, 32, 64, 128), 'sample_shape': (3, 16, 16)}),
    on_imagenet('5.5.6-xception', 'Xception', 'Xception', Xception, side=299),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
