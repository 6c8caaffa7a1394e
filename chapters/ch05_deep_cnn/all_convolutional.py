"""Section 5.4.5: the all-convolutional network for CIFAR-10, where strides take the place of pooling.

Springenberg, Dosovitskiy, Brox, Riedmiller, "Striving for simplicity: the all convolutional net", ICLR
2015 workshop (https://arxiv.org/abs/1412.6806).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_4_5
from chapters.ch05_deep_cnn.layers import batch_norm, scaled
from chapters.ch05_deep_cnn.recipes import ALL_CONVOLUTIONAL, CIFAR_FAST, accuracies, on_cifar
from chapters.kit.experiment import BookFigure
from chapters.script import run_script

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


EXPERIMENTS = [
    on_cifar('5.4.5', 'CIFAR-10 with an all-convolutional network', '用全卷积网络识别 CIFAR-10', AllConvolutional,
             recipe=ALL_CONVOLUTIONAL, listing=sec_5_4_5, small={'sample_shape': (3, 16, 16)}, fast=CIFAR_FAST,
             book=(*accuracies('cifar10', 200, 0.923000, 0.976740, 0.5332, 0.6815),
                   BookFigure(0.925200, 'validation_accuracy_epoch198', 'cifar10')),
             remark="The book's text says about 92.4%: what its last two epochs have on average."),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
