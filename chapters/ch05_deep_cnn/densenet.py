"""Section 5.6.1: DenseNet, where every layer sees the planes of all layers before it.

Huang, Liu, van der Maaten, Weinberger, "Densely connected convolutional networks", CVPR 2017
(https://arxiv.org/abs/1608.06993).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import bn_relu_conv, chain, choose, conv_bn_relu
from chapters.ch05_deep_cnn.recipes import on_imagenet
from chapters.script import run_script

# first planes, planes that a layer adds, layers of the four blocks
DENSENETS = {121: (64, 32, (6, 12, 24, 16)), 161: (96, 48, (6, 12, 36, 24)), 169: (64, 32, (6, 12, 32, 32)),
             201: (64, 32, (6, 12, 48, 32))}


class DenseLayer(gluon.HybridBlock):
    """The input, and behind it `growth` new planes, made from it by BN ReLU C3x3.

    In figure 5-39 four such layers with 4 planes each make 21 planes of 5.

    Parameters
    ----------
    growth : int
    bottleneck : int
        First BN ReLU C1x1 to so many times `growth` planes; 0: not.

    Input (N, C, H, W), output (N, C + growth, H, W).
    """
    def __init__(self, growth, bottleneck=4, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            if bottleneck:
                self.body.add(*bn_relu_conv(bottleneck * growth, 1, use_bias=False))
            self.body.add(*bn_relu_conv(growth, 3, use_bias=False))

    def hybrid_forward(self, F, x):
        return F.concat(x, self.body(x), dim=1)


class DenseNet(gluon.HybridBlock):
    """DenseNet-BC: C7x7 BN ReLU, pooling, dense blocks with transitions between, BN ReLU, global average, FC.

    Parameters
    ----------
    depth : int
        121, 161, 169 or 201.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, depth=121, classes=1000, **kwargs):
        super().__init__(**kwargs)
        planes, growth, blocks = choose(DENSENETS, 'depth', depth)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(*conv_bn_relu(planes, 7, 2, use_bias=False),
                              nn.MaxPool2D(pool_size=3, strides=2, padding=1))
            for number, layers in enumerate(blocks):
                if number:  # the transition halves planes and sides
                    planes //= 2
                    self.features.add(chain(*bn_relu_conv(planes, 1, use_bias=False), nn.AvgPool2D()))
                self.features.add(chain(*(DenseLayer(growth) for _ in range(layers))))
                planes += layers * growth
            self.features.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def densenet121(**kwargs):
    """DenseNet-121."""
    return DenseNet(121, **kwargs)


def densenet161(**kwargs):
    """DenseNet-161."""
    return DenseNet(161, **kwargs)


def densenet169(**kwargs):
    """DenseNet-169."""
    return DenseNet(169, **kwargs)


def densenet201(**kwargs):
    """DenseNet-201."""
    return DenseNet(201, **kwargs)


EXPERIMENTS = [on_imagenet('5.6.1-densenet', 'DenseNet-121', 'DenseNet-121', DenseNet, {'depth': 121})]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
