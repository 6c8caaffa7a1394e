"""Section 5.4.5: the all-convolutional network for CIFAR-10, where strides take the place of pooling.

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for simplicity: the all convolutional net", ICLR
2015 workshop (https://arxiv.org/abs/1412.6806).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, scaled

# filters, kernel, stride, padding
CONVOLUTIONS = [(96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
                (192, 3, 1, 0), (192, 1, 1, 0)]


class AllConvolutional(gluon.HybridBlock):
    """Nine convolutions, each with BN and ReLU, then the global average: 1,372,254 parameters.

    Parameters
    ----------
    width : float
        Factor of the numbers of filters.
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255 as they come out of the file; output logits (N, classes).
    """
    def __init__(self, width=1.0, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters, kernel, stride, padding in CONVOLUTIONS:
                # nn.Activation keeps oneDNN's layout, F.relu is slower; BN's backward is fast with both
                self.features.add(nn.Conv2D(scaled(filters, width), kernel, stride, padding), batch_norm(),
                                  nn.Activation('relu'))
            self.features.add(nn.Conv2D(classes, kernel_size=1), batch_norm(), nn.Activation('relu'))

    def hybrid_forward(self, F, x):
        return F.mean(self.features(x), axis=(2, 3))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('5.4.5')
