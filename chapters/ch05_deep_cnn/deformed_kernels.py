"""Section 5.6.3: kernels with gaps, and kernels whose points move: dilated and deformable convolution.

Yu, Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016
(https://arxiv.org/abs/1511.07122); Dai et al., "Deformable convolutional networks", ICCV 2017
(https://arxiv.org/abs/1703.06211).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn
from mxnet.gluon.contrib.cnn import DeformableConvolution

from chapters.ch05_deep_cnn.layers import batch_norm, conv_bn_relu


class DilatedNet(gluon.HybridBlock):
    """3x3 convolutions whose points lie ever further apart, for CIFAR-10.

    After dilations 1, 2 and 4 a point of the output sees 3, 7 and 15 points of the input in each direction.

    Parameters
    ----------
    dilations : tuple of int
    filters : int
    classes : int

    Input (N, 3, H, W), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, dilations=(1, 2, 4), filters=64, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm())
            for dilation in dilations:
                self.features.add(nn.Conv2D(filters, 3, padding=dilation, dilation=dilation), batch_norm(),
                                  nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


class DeformableNet(gluon.HybridBlock):
    """Convolutions for CIFAR-10, the later ones deformable.

    Beside each of those a convolution says how far every point of the kernel moves. It starts at 0:
    the network starts with ordinary convolutions.

    Parameters
    ----------
    filters : tuple of int
        Of the ordinary convolutions, each followed by a pooling 2x2.
    deformable_filters : tuple of int
        Of the deformable ones.
    classes : int

    Input (N, 3, H, W), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, filters=(32, 64), deformable_filters=(64, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm())
            for planes in filters:
                self.features.add(*conv_bn_relu(planes, 3), nn.MaxPool2D())
            for planes in deformable_filters:
                self.features.add(DeformableConvolution(planes, kernel_size=(3, 3), padding=(1, 1)),
                                  batch_norm(), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))
