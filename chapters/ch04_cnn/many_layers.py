"""Section 4.5.1: many layers by a function and a loop.

    python -m chapters.ch04_cnn.many_layers --data digits
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_4_5_1
from chapters.ch04_cnn.lenet import RECIPE
from chapters.kit.experiment import Training
from chapters.kit.trained.answers import answers
from chapters.script import run_script


def conv_bn_relu(filters):
    """The book's Conv_BN_Act: a 3x3 convolution without padding, batch normalisation, ReLU. A list of layers."""
    return [nn.Conv2D(filters, kernel_size=3), nn.BatchNorm(epsilon=1e-3), nn.Activation('relu')]


class ManyLayers(gluon.HybridBlock):
    """The same three layers again and again, then one plane a class and the global average.

    Parameters
    ----------
    num_layers : int
    num_filters : int
        Of every layer.
    classes : int

    Input (N, C, H, W), output logits (N, classes).
    """
    def __init__(self, num_layers=3, num_filters=128, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for _ in range(num_layers):
                self.features.add(*conv_bn_relu(num_filters))
            self.output = nn.Conv2D(classes, kernel_size=1)

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))


EXPERIMENTS = [
    Training('4.5.1', 'Many layers by a function and a loop', '用函数与循环定义多个层', network=ManyLayers, recipe=RECIPE,
             data='mnist', sample_shape=(1, 28, 28), listing=sec_4_5_1, drawings=(answers,),
             small={'sample_shape': (1, 10, 10)},
             remark='The listing ends with the third layer: the head and the training are ours.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
