"""Section 1.4.2: LeNet-5 of 1998, layer by layer as its paper has it.

    python -m chapters.ch01_overview.lenet5 --data digits

LeCun, Bottou, Bengio, Haffner: Gradient-based learning applied to document recognition. Proceedings of the IEEE 86 (1998).
"""
import mxnet as mx
import numpy as np
from mxnet import gluon
from mxnet.gluon import nn

from chapters.kit.experiment import BookFigure, Training
from chapters.kit.trained.answers import answers
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script

# Table I of the paper: from which of the six planes of S2 each of the sixteen planes of C3 is made.
TABLE_1 = ('012', '123', '234', '345', '045', '015', '0123', '1234', '2345', '0345', '0145', '0125', '0134', '1245', '0235',
           '012345')


class Squash(gluon.HybridBlock):
    """1.7159 tanh(2/3 x), the paper's activation: 1 at 1, and -1 at -1."""
    def hybrid_forward(self, F, x):
        return 1.7159 * F.tanh(2 / 3 * x)


class Subsampling(gluon.HybridBlock):
    """The mean of 2x2 points, times one number and plus another for each plane, both learnt.

    Input (N, planes, H, W), output (N, planes, H / 2, W / 2).
    """
    def __init__(self, planes, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.weight = self.params.get('weight', shape=(1, planes, 1, 1), init=mx.init.One())
            self.bias = self.params.get('bias', shape=(1, planes, 1, 1), init='zeros')

    def hybrid_forward(self, F, x, weight, bias):
        mean = F.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg')
        return F.broadcast_add(F.broadcast_mul(mean, weight), bias)


class PartlyConnected(gluon.HybridBlock):
    """C3: a 5x5 convolution whose planes see only some of the planes before, by `TABLE_1`: 1,516 parameters.

    Input (N, 6, H, W), output (N, 16, H - 4, W - 4).
    """
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        seen = np.zeros((16, 6, 5, 5), np.float32)
        for plane, sources in enumerate(TABLE_1):
            seen[plane, list(map(int, sources))] = 1
        with self.name_scope():
            self.weight = self.params.get('weight', shape=seen.shape)
            self.bias = self.params.get('bias', shape=(16,), init='zeros')
            self.seen = self.params.get_constant('seen', seen)

    def hybrid_forward(self, F, x, weight, bias, seen):
        return F.Convolution(x, weight * seen, bias, kernel=(5, 5), num_filter=16)


class LeNet5(gluon.HybridBlock):
    """C1 S2 C3 S4 C5 F6 and ten outputs: 60,000 parameters, and 850 of the outputs.

    The paper ends in distances to drawings of the ten digits, which learn nothing; here it ends in softmax, as all later
    networks do.

    Parameters
    ----------
    classes : int

    Input (N, 1, 28, 28), widened to 32x32 with zeros; output logits (N, classes).
    """
    def __init__(self, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(nn.Conv2D(6, 5, padding=2), Squash(), Subsampling(6), Squash(),  # C1 28x28, S2 14x14
                              PartlyConnected(), Squash(), Subsampling(16), Squash(),  # C3 10x10, S4 5x5
                              nn.Conv2D(120, 5), Squash(), nn.Dense(84), Squash())  # C5 1x1, F6
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


EXPERIMENTS = [
    Training('1.4.2', 'LeNet-5 of 1998', '1998 年的 LeNet-5', network=LeNet5,
             recipe=Recipe(epochs=20, batch_size=32, learning_rate=0.05, lr_factor=0.8), data='mnist',
             sample_shape=(1, 28, 28), drawings=(answers,), book=(BookFigure(0.9905, 'validation_accuracy', 'mnist'),)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
