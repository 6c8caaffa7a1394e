"""Section 5.6.1: Dual Path Net, a residual network and a dense one in the same layers.

Chen, Li, Xiao, Jin, Yan, Feng, "Dual path networks", NIPS 2017 (https://arxiv.org/abs/1707.01629).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import bn_relu_conv, chain, choose, conv_bn_relu
from chapters.ch05_deep_cnn.recipes import on_imagenet
from chapters.script import run_script

# table 1 of the paper: first planes, groups, planes of the 3x3 in the first stage, units of each stage,
# planes that a unit adds
DUAL_PATH_NETS = {92: (64, 32, 96, (3, 4, 20, 3), (16, 32, 24, 128)),
                  98: (96, 40, 160, (3, 6, 20, 3), (16, 32, 32, 128))}


class Unit(gluon.HybridBlock):
    """C1x1, C3x3 in groups, C1x1, BN ReLU before each; one part is added to the input, one put behind it.

    Parameters
    ----------
    residual : int
        Planes that are added up.
    growth : int
        Planes that are put behind the others.
    inner : int
        Planes of the 3x3 convolution.
    groups : int
    stride : int
    first : bool
        The first unit of a stage: a C1x1 makes `residual + 2 * growth` planes of the input.

    Input (N, residual + dense, H, W), output (N, residual + dense + growth, H / stride, W / stride).
    """
    def __init__(self, residual, growth, inner, groups, stride=1, first=False, **kwargs):
        super().__init__(**kwargs)
        self._residual = residual
        with self.name_scope():
            self.project = (chain(*bn_relu_conv(residual + 2 * growth, 1, stride, use_bias=False))
                            if first else None)
            self.body = chain(*bn_relu_conv(inner, 1, use_bias=False),
                              *bn_relu_conv(inner, 3, stride, groups=groups, use_bias=False),
                              *bn_relu_conv(residual + growth, 1, use_bias=False))

    def hybrid_forward(self, F, x):
        y = self.body(x)
        if self.project is not None:
            x = self.project(x)
        (x_residual, x_dense), (y_residual, y_dense) = (
            (F.slice_axis(planes, axis=1, begin=0, end=self._residual),
             F.slice_axis(planes, axis=1, begin=self._residual, end=None)) for planes in (x, y))
        return F.concat(x_residual + y_residual, x_dense, y_dense, dim=1)


class DualPathNet(gluon.HybridBlock):
    """C7x7 BN ReLU, pooling, stages with 256, 512, 1024, 2048 residual planes, BN ReLU, global average, FC.

    Parameters
    ----------
    depth : int
        92 or 98.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, depth=92, classes=1000, **kwargs):
        super().__init__(**kwargs)
        planes, groups, inner, units, growths = choose(DUAL_PATH_NETS, 'depth', depth)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(*conv_bn_relu(planes, 7, 2, use_bias=False),
                              nn.MaxPool2D(pool_size=3, strides=2, padding=1))
            for stage, (count, growth) in enumerate(zip(units, growths)):
                for unit in range(count):
                    self.features.add(Unit(256 * 2 ** stage, growth, inner * 2 ** stage, groups,
                                           2 if stage and not unit else 1, unit == 0))
            self.features.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def dpn92(**kwargs):
    """DPN-92."""
    return DualPathNet(92, **kwargs)


def dpn98(**kwargs):
    """DPN-98."""
    return DualPathNet(98, **kwargs)


EXPERIMENTS = [on_imagenet('5.6.1-dual-path-net', 'Dual Path Net', 'Dual Path Net', DualPathNet, {'depth': 92})]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
