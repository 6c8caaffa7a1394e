"""Section 5.6.2: SqueezeNet, AlexNet's accuracy with a fiftieth of its parameters.

Iandola, Han, Moskewicz, Ashraf, Dally, Keutzer, "SqueezeNet: AlexNet-level accuracy with 50x fewer
parameters and <0.5MB model size", 2016 (https://arxiv.org/abs/1602.07360).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import choose, padded_convolution
from chapters.ch05_deep_cnn.recipes import IMAGENET_WITHOUT_BN, on_imagenet
from chapters.script import run_script

# The first convolution (filters, kernel); then for each stage, after a pooling, the squeezed planes of its
# fire modules, each of which expands to 4 times as many planes twice.
SQUEEZENETS = {
    '1.0': ((96, 7), [(16, 16, 32), (32, 48, 48, 64), (64,)]),
    '1.1': ((64, 3), [(16, 16), (32, 32), (48, 48, 64, 64)]),
}


class Fire(gluon.HybridBlock):
    """C1x1 to few planes, then C1x1 and C3x3 beside each other to many; ReLU after each.

    Parameters
    ----------
    squeeze : int
        Planes after the first.
    expand : int
        Planes of each of the other two.

    Input (N, C, H, W), output (N, 2 * expand, H, W).
    """
    def __init__(self, squeeze, expand, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.squeeze = padded_convolution(squeeze, 1, activation='relu')
            self.expand1 = padded_convolution(expand, 1, activation='relu')
            self.expand3 = padded_convolution(expand, 3, activation='relu')

    def hybrid_forward(self, F, x):
        x = self.squeeze(x)
        return F.concat(self.expand1(x), self.expand3(x), dim=1)


class SqueezeNet(gluon.HybridBlock):
    """C, fire modules with poolings between them, dropout, C1x1 ReLU to one plane a class, global average.

    Parameters
    ----------
    version : str
        '1.0' or '1.1'.
    dropout : float
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, version='1.0', dropout=0.5, classes=1000, **kwargs):
        super().__init__(**kwargs)
        self._version = version
        (filters, kernel), stages = choose(SQUEEZENETS, 'version', version)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(nn.Conv2D(filters, kernel, strides=2, activation='relu'))
            for stage in stages:
                self.features.add(nn.MaxPool2D(pool_size=3, strides=2, ceil_mode=True))
                self.features.add(*(Fire(squeeze, 4 * squeeze) for squeeze in stage))
            self.features.add(nn.Dropout(dropout))
            self.output = nn.Conv2D(classes, kernel_size=1, activation='relu')

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))

    def load_zoo(self, fresh=()):
        """Take the parameters that ImageNet has taught this network; see `chapters.ch05_deep_cnn.pretrained`.

        Parameters
        ----------
        fresh : sequence of str
            Layers whose names begin so are left as they are (5.3).
        """
        from chapters.ch05_deep_cnn.pretrained import load_zoo
        load_zoo(self, self._version, fresh)


def squeezenet1_0(**kwargs):
    """SqueezeNet 1.0, the one of the paper."""
    return SqueezeNet('1.0', **kwargs)


def squeezenet1_1(**kwargs):
    """SqueezeNet 1.1, the authors' faster one."""
    return SqueezeNet('1.1', **kwargs)


EXPERIMENTS = [on_imagenet('5.6.2-squeezenet', 'SqueezeNet', 'SqueezeNet', SqueezeNet, recipe=IMAGENET_WITHOUT_BN)]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
