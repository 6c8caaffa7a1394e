"""Section 5.6.2: MobileNet, separable convolutions with BN and ReLU after both halves.

Howard et al., "MobileNets: efficient convolutional neural networks for mobile vision applications", 2017
(https://arxiv.org/abs/1704.04861).
"""
from dataclasses import replace

from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import conv_bn_relu, scaled
from chapters.ch05_deep_cnn.recipes import on_imagenet
from chapters.script import run_script

# table 5-9: planes and stride of each separable convolution
SEPARABLE = [(64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1), (512, 1), (512, 1),
             (512, 1), (512, 1), (1024, 2), (1024, 1)]


class MobileNet(gluon.HybridBlock):
    """C3x3-32 with stride 2, 13 separable convolutions, global average, FC (table 5-9).

    Parameters
    ----------
    width : float
        Factor of the numbers of filters: 1, 0.75, 0.5 or 0.25 in the paper.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, width=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        before = scaled(32, width)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(*conv_bn_relu(before, 3, 2, use_bias=False))
            for filters, stride in SEPARABLE:
                self.features.add(*conv_bn_relu(before, 3, stride, groups=before, use_bias=False))
                before = scaled(filters, width)
                self.features.add(*conv_bn_relu(before, 1, use_bias=False))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


EXPERIMENTS = [
    replace(on_imagenet('5.6.2-mobilenet', 'MobileNet', 'MobileNet', MobileNet),
            remark="Table 5-9 gives the last depthwise convolution stride 2, but the row after it, and the paper's text, have "
                   '7x7 points still: its stride is 1.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
