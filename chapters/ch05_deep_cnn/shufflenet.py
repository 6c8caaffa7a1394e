"""Section 5.6.2: ShuffleNet, 1x1 convolutions in groups, whose planes are shuffled in between.

Zhang, Zhou, Lin, Sun, "ShuffleNet: an extremely efficient convolutional neural network for mobile devices",
CVPR 2018 (https://arxiv.org/abs/1707.01083).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, chain, choose, conv_bn_relu, padded_convolution
from chapters.ch05_deep_cnn.recipes import on_imagenet
from chapters.script import run_script

# table 1 of the paper: planes of the three stages for each number of groups
PLANES = {1: (144, 288, 576), 2: (200, 400, 800), 3: (240, 480, 960), 4: (272, 544, 1088),
          8: (384, 768, 1536)}
UNITS = (4, 8, 4)


def shuffle(F, x, groups):
    """Planes 0 1 2 3 4 5 of two groups become 0 3 1 4 2 5: each new group has planes of all groups."""
    x = F.reshape(x, shape=(0, -4, groups, -1, -2))  # (N, groups, C / groups, H, W)
    return F.reshape(F.swapaxes(x, 1, 2), shape=(0, -3, -2))


class Unit(gluon.HybridBlock):
    """C1x1 in groups BN ReLU, shuffle, C3x3 on each plane alone BN, C1x1 in groups BN; plus the input, ReLU.

    Parameters
    ----------
    filters : int
        Of the output.
    channels : int
        Of the input.
    groups : int
    stride : int
        2: the input, averaged over 3x3, is put before the new planes instead of being added.
    first_groups : int
        Of the first convolution: 1 in the very first unit, whose input has few planes. Then nothing is
        shuffled.
    """
    def __init__(self, filters, channels, groups, stride, first_groups, **kwargs):
        super().__init__(**kwargs)
        self._groups, self._stride, self._shuffled = groups, stride, first_groups > 1
        new = filters - channels if stride == 2 else filters
        inner = new // 4
        with self.name_scope():
            self.squeeze = chain(*conv_bn_relu(inner, 1, groups=first_groups))
            self.expand = chain(padded_convolution(inner, 3, stride, groups=inner), batch_norm(),
                                padded_convolution(new, 1, groups=groups), batch_norm())

    def hybrid_forward(self, F, x):
        y = self.squeeze(x)
        if self._shuffled:
            y = shuffle(F, y, self._groups)
        y = self.expand(y)
        if self._stride == 2:
            x = F.Pooling(x, kernel=(3, 3), stride=(2, 2), pad=(1, 1), pool_type='avg')
            return F.Activation(F.concat(x, y, dim=1), act_type='relu')
        return F.Activation(x + y, act_type='relu')


class ShuffleNet(gluon.HybridBlock):
    """C3x3-24 with stride 2, pooling, three stages of units, global average, FC.

    Parameters
    ----------
    groups : int
        1, 2, 3, 4 or 8.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, groups=3, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(padded_convolution(24, 3, 2), nn.MaxPool2D(pool_size=3, strides=2, padding=1))
            before = 24
            for stage, (filters, units) in enumerate(zip(choose(PLANES, 'groups', groups), UNITS)):
                for unit in range(units):
                    self.features.add(Unit(filters, before, groups, 1 if unit else 2,
                                           groups if stage or unit else 1))
                    before = filters
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


EXPERIMENTS = [on_imagenet('5.6.2-shufflenet', 'ShuffleNet', 'ShuffleNet', ShuffleNet)]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
