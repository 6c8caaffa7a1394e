"""Section 5.6.1: ResNeXt, residual units of many narrow paths.

Xie, Girshick, Dollar, Tu, He, "Aggregated residual transformations for deep neural networks", CVPR 2017
(https://arxiv.org/abs/1611.05431).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, chain, conv_bn_relu, padded_convolution
from chapters.ch05_deep_cnn.recipes import on_cifar
from chapters.script import run_script


class Unit(gluon.HybridBlock):
    """1x1, 3x3 in groups, 1x1, each with BN, plus the shortcut, ReLU: the paths of figure 3(c) of the paper.

    Parameters
    ----------
    filters : int
        Of the output.
    groups : int
        Paths.
    inner : int
        Filters of all paths together.
    stride : int
    new_shape : bool
        The shortcut is C1x1 BN.
    """
    def __init__(self, filters, groups, inner, stride=1, new_shape=False, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = chain(*conv_bn_relu(inner, 1, use_bias=False),
                              *conv_bn_relu(inner, 3, stride, groups=groups, use_bias=False),
                              padded_convolution(filters, 1, use_bias=False), batch_norm())
            self.shortcut = (chain(padded_convolution(filters, 1, stride, use_bias=False), batch_norm())
                             if new_shape else None)

    def hybrid_forward(self, F, x):
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return F.Activation(shortcut + self.body(x), act_type='relu')


class ResNeXt(gluon.HybridBlock):
    """ResNeXt for CIFAR-10: C3x3-64 BN ReLU, stages of 256, 512, 1024 planes, global average, FC.

    Parameters
    ----------
    units : tuple of int
        Units of each stage: three of three make the 29 layers of the paper.
    groups : int
        Paths of a unit.
    group_filters : int
        Filters of a path in the first stage; they double with each stage.
    classes : int

    Input (N, 3, H, W), output logits (N, classes).
    """
    def __init__(self, units=(3, 3, 3), groups=32, group_filters=4, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(*conv_bn_relu(64, 3, use_bias=False))
            for stage, count in enumerate(units):
                for unit in range(count):
                    self.features.add(Unit(256 * 2 ** stage, groups, groups * group_filters * 2 ** stage,
                                           2 if stage and not unit else 1, unit == 0))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def cifar_resnext29_32x4d(**kwargs):
    """29 layers, 32 paths of 4 filters."""
    return ResNeXt(groups=32, group_filters=4, **kwargs)


def cifar_resnext29_16x64d(**kwargs):
    """29 layers, 16 paths of 64 filters."""
    return ResNeXt(groups=16, group_filters=64, **kwargs)


EXPERIMENTS = [on_cifar('5.6.1-resnext', 'ResNeXt-29, 32x4d', 'ResNeXt-29，32x4d', ResNeXt)]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
