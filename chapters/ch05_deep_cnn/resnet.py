"""Sections 5.5.2 and 5.5.7: residual networks for CIFAR-10, in the book's pre-activation form and in others.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016
(https://arxiv.org/abs/1512.03385); "Identity mappings in deep residual networks", ECCV 2016
(https://arxiv.org/abs/1603.05027).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, choose, same, scaled

# Table 5-8: what a unit does before the shortcut leaves, beside the shortcut, and after both meet.
# C: 3x3 convolution, B: batch normalisation, R: ReLU.
ORDERINGS = {
    'a': ('', 'CBRCB', 'R'),   # the original
    'b': ('', 'CBRC', 'BR'),   # BN after the addition
    'c': ('', 'CBRCBR', ''),   # ReLU before the addition
    'd': ('R', 'CBRCB', ''),   # ReLU first
    'e': ('BR', 'CBRC', ''),   # BN and ReLU first: full pre-activation
}


class Unit(gluon.HybridBlock):
    """Two convolutions beside a shortcut.

    Parameters
    ----------
    filters : int
    stride : int
        Of the first convolution, and of the shortcut.
    new_shape : bool
        The shortcut is a 1x1 convolution, not the input itself.
    ordering : str
        A row of table 5-8, 'a' to 'e'.

    Input (N, C, H, W), output (N, filters, H / stride, W / stride).
    """
    def __init__(self, filters, stride=1, new_shape=False, ordering='e', **kwargs):
        super().__init__(**kwargs)
        before, beside, after = choose(ORDERINGS, 'ordering', ordering)
        with self.name_scope():
            self.before = self.layers(before, filters, stride)
            self.body = self.layers(beside, filters, stride)
            self.shortcut = nn.Conv2D(filters, kernel_size=1, strides=stride) if new_shape else None
            self.after = self.layers(after, filters, stride)

    @staticmethod
    def layers(letters, filters, stride):
        """The layers of a word of `ORDERINGS`; only the first convolution has the stride."""
        block = nn.HybridSequential()
        for letter in letters:
            if letter == 'C':
                block.add(same(filters, 3, stride))
                stride = 1
            else:
                block.add(batch_norm() if letter == 'B' else nn.Activation('relu'))
        return block

    def hybrid_forward(self, F, x):
        y = self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return self.after(self.body(y) + shortcut)


class ResNet(gluon.HybridBlock):
    """BN, C3x3, stages of units, BN ReLU, global average, FC.

    Parameters
    ----------
    units : tuple of int
        Units of each stage. The first unit of every stage but the first has stride 2.
    filters : tuple of int
        Of the first convolution, and of each stage.
    width : float
        Factor of the numbers of filters.
    ordering : str
        A row of table 5-8, 'a' to 'e'; the book's listing is 'e'.
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, units=(3, 3, 3), filters=(32, 64, 64, 128), width=1.0, ordering='e', classes=10,
                 **kwargs):
        super().__init__(**kwargs)
        self._ordering = ordering
        before, _, after = choose(ORDERINGS, 'ordering', ordering)
        filters = [scaled(number, width) for number in filters]
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm(), same(filters[0], 3))
            if 'R' not in before:
                self.features.add(batch_norm(), nn.Activation('relu'))
            done = 0
            for stage, count in enumerate(units, 1):
                for unit in range(count):
                    stride = 2 if stage > 1 and unit == 0 else 1
                    new_shape = unit == 0 and (stride != 1 or filters[stage] != filters[stage - 1])
                    done += 1
                    self.features.add(self.make_unit(filters[stage], stride, new_shape, done / sum(units)))
            if not after:
                self.features.add(batch_norm(), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def make_unit(self, filters, stride, new_shape, depth):
        """A unit of this network, at `depth` (1: the last); networks of other units have their own."""
        return Unit(filters, stride, new_shape, self._ordering)

    def hybrid_forward(self, F, x):
        # F.mean or a global pooling, nn.Activation or F.relu: BN's backward is fast with each of them here
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def cifar_resnet20_v2(**kwargs):
    """The smallest network of "Identity mappings": three stages of three units with 16, 32 and 64 filters."""
    return ResNet((3, 3, 3), (16, 16, 32, 64), **kwargs)


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('5.5.7')
