"""Sections 4.4, 4.4.3 to 4.4.5: a small convolutional network reads digits, and clothes.

    python -m chapters.ch04_cnn.lenet --data digits
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn


class LeNet(gluon.HybridBlock):
    """Two convolutions with batch normalisation and pooling, a third to one plane a class: 58,058 parameters.

    Shapes, from a 28x28 image: 32x24x24, 32x11x11, 64x7x7, 64x3x3, 10x1x1 (4.4).

    Parameters
    ----------
    num_filters : tuple of int
        Filters of the two 5x5 convolutions; (64, 128) is the larger network of 4.4.5.
    classes : int

    Input (N, C, H, W), output logits (N, classes).
    """
    def __init__(self, num_filters=(32, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters in num_filters:
                self.features.add(nn.Conv2D(filters, kernel_size=5), nn.BatchNorm(epsilon=1e-3),
                                  nn.Activation('relu'), nn.MaxPool2D(pool_size=3, strides=2))
            self.output = nn.Conv2D(classes, kernel_size=3)

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('4.4')
