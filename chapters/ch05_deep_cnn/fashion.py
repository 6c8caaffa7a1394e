"""Section 5.4.4: a deeper network for Fashion-MNIST, all of 3x3 convolutions.

    python -m chapters.ch05_deep_cnn.fashion --data digits
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, same


class FashionNet(gluon.HybridBlock):
    """Three times two 3x3 convolutions and a pooling, C3x3-128, C1x1-10: 214,890 parameters.

    BN and ReLU follow every convolution but the last. Sides, from 28: 28, 14, 7, 3, 1.

    Parameters
    ----------
    num_filters : tuple of int
        Of the three pairs.
    last_filters : int
        Of the 3x3 convolution without padding after them.
    classes : int

    Input (N, 1, 28, 28), pixels from 0 to 1; output logits (N, classes).
    """
    def __init__(self, num_filters=(32, 64, 64), last_filters=128, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters in num_filters:
                for _ in range(2):
                    # F.relu instead trains a seventh slower; BN's backward is fast with both
                    self.features.add(same(filters, 3), batch_norm(), nn.Activation('relu'))
                self.features.add(nn.MaxPool2D())
            self.features.add(nn.Conv2D(last_filters, kernel_size=3), batch_norm(), nn.Activation('relu'))
            self.output = nn.Conv2D(classes, kernel_size=1)

    def hybrid_forward(self, F, x):
        return F.flatten(self.output(self.features(x)))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('5.4.4')
