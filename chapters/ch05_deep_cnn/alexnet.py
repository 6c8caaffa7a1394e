"""Section 5.1.1: AlexNet, both halves of the original in one.

Krizhevsky, Sutskever, Hinton, "ImageNet classification with deep convolutional neural networks", NIPS 2012
(https://papers.nips.cc/paper/4824-imagenet-classification-with-deep-convolutional-neural-networks).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_1_1
from chapters.ch05_deep_cnn.layers import scaled, two_hidden_layers
from chapters.ch05_deep_cnn.recipes import IMAGENET_WITHOUT_BN, on_imagenet
from chapters.script import run_script

# filters, kernel, stride, padding, whether a pooling 3x3 with stride 2 follows
CONVOLUTIONS = [(96, 11, 4, 0, True), (256, 5, 1, 2, True), (384, 3, 1, 1, False), (384, 3, 1, 1, False),
                (256, 3, 1, 1, True)]


class AlexNet(gluon.HybridBlock):
    """AlexNet as in table 5-2: 50.8 million parameters, 2.02 GFLOPs.

    Shapes, from 3x224x224: 96x54x54, 96x26x26, 256x26x26, 256x12x12, 384x12x12 twice, 256x12x12, 256x5x5.

    Parameters
    ----------
    hidden : int
        Units of the two hidden layers.
    dropout : float
    width : float
        Factor of the numbers of filters.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, hidden=4096, dropout=0.5, width=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for number, (filters, kernel, stride, padding, pool) in enumerate(CONVOLUTIONS, 1):
                self.features.add(nn.Conv2D(scaled(filters, width), kernel, stride, padding,
                                            activation='relu', prefix=f'conv{number}_'))
                if pool:
                    self.features.add(nn.MaxPool2D(pool_size=3, strides=2))
            self.features.add(*two_hidden_layers(hidden, dropout))
            self.output = nn.Dense(classes, prefix='fc3_')

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


EXPERIMENTS = [
    on_imagenet('5.1.1', 'AlexNet', 'AlexNet', AlexNet, recipe=IMAGENET_WITHOUT_BN, listing=sec_5_1_1,
                small={'width': 0.25, 'hidden': 64, 'dropout': 0.0, 'classes': 10, 'sample_shape': (3, 67, 67)},
                table='table 5-2', million_parameters=50.8, gflops=2.02, activations_mb=3.04),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
