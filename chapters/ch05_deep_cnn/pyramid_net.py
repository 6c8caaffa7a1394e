"""Section 5.6.1: Pyramid Net, where every unit is a little wider than the one before.

Han, Kim, Kim, "Deep pyramidal residual networks", CVPR 2017 (https://arxiv.org/abs/1610.02915).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, chain, padded_convolution
from chapters.ch05_deep_cnn.recipes import on_cifar
from chapters.script import run_script


class Unit(gluon.HybridBlock):
    """BN C3x3 BN ReLU C3x3 BN, plus the input with planes of zeros behind it: no ReLU first, BN last.

    Parameters
    ----------
    filters : int
        Of the output, at least as many as the input has planes.
    channels : int
        Planes of the input.
    stride : int
        2: the shortcut is averaged over 2x2.
    """
    def __init__(self, filters, channels, stride=1, **kwargs):
        super().__init__(**kwargs)
        self._channels, self._filters, self._stride = channels, filters, stride
        with self.name_scope():
            self.body = chain(batch_norm(), padded_convolution(filters, 3, stride, use_bias=False),
                              batch_norm(), nn.Activation('relu'),
                              padded_convolution(filters, 3, use_bias=False), batch_norm())

    def hybrid_forward(self, F, x):
        y = self.body(x)
        if self._stride == 2:
            x = F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg')
        if self._filters > self._channels:
            zeros = F.zeros_like(F.slice_axis(y, axis=1, begin=self._channels, end=None))
            x = F.concat(x, zeros, dim=1)
        return x + y


class PyramidNet(gluon.HybridBlock):
    """Pyramid Net for CIFAR-10: C3x3-16 BN, three stages of units, BN ReLU, global average, FC.

    Parameters
    ----------
    depth : int
        Layers: 2 + 6 * (units of a stage); the paper's is 110.
    widening : int
        Planes that are added from the first unit to the last, alpha in the paper: 48, 84, 270.
    classes : int

    Input (N, 3, H, W), H and W multiples of 4; output logits (N, classes).
    """
    def __init__(self, depth=110, widening=48, classes=10, **kwargs):
        super().__init__(**kwargs)
        units = (depth - 2) // 6
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(padded_convolution(16, 3, use_bias=False), batch_norm())
            before = 16
            for number in range(3 * units):
                filters = round(16 + widening * (number + 1) / (3 * units))
                self.features.add(Unit(filters, before, 2 if number in (units, 2 * units) else 1))
                before = filters
            self.features.add(batch_norm(), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


EXPERIMENTS = [on_cifar('5.6.1-pyramid-net', 'Pyramid Net', 'Pyramid Net', PyramidNet)]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
