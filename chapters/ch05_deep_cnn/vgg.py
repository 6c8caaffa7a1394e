"""Section 5.1.2: the VGG networks, nothing but 3x3 convolutions.

Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015
(https://arxiv.org/abs/1409.1556).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import choose, same, scaled, two_hidden_layers

FILTERS = (64, 128, 256, 512, 512)

# table 1 of the paper: convolutions of the five stages, kernel of a stage's third convolution, whether LRN
# follows the first
CONFIGURATIONS = {
    'A': ((1, 1, 2, 2, 2), 3, False),
    'A-LRN': ((1, 1, 2, 2, 2), 3, True),
    'B': ((2, 2, 2, 2, 2), 3, False),
    'C': ((2, 2, 3, 3, 3), 1, False),
    'D': ((2, 2, 3, 3, 3), 3, False),
    'E': ((2, 2, 4, 4, 4), 3, False),
}


class VGG(gluon.HybridBlock):
    """VGG A to E; D is VGG-16, with 138 million parameters and 30.9 GFLOPs (table 5-3).

    Parameters
    ----------
    configuration : str
        'A', 'A-LRN', 'B', 'C', 'D' or 'E'.
    hidden : int
        Units of the two hidden layers.
    dropout : float
    width : float
        Factor of the numbers of filters.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, configuration='D', hidden=4096, dropout=0.5, width=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        counts, third_kernel, lrn = choose(CONFIGURATIONS, 'configuration', configuration)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for stage, (count, filters) in enumerate(zip(counts, FILTERS), 1):
                for number in range(1, count + 1):
                    kernel = third_kernel if number == 3 else 3
                    self.features.add(same(scaled(filters, width), kernel, activation='relu',
                                           prefix=f'conv{stage}_{number}_'))
                    if lrn and stage == 1:
                        self.features.add(nn.HybridLambda(_local_response))
                self.features.add(nn.MaxPool2D())
            self.features.add(*two_hidden_layers(hidden, dropout))
            self.output = nn.Dense(classes, prefix='fc3_')

    def hybrid_forward(self, F, x):
        return self.output(self.features(x))


def _local_response(F, x):
    """Local response normalisation, with AlexNet's numbers."""
    return F.LRN(x, nsize=5, alpha=1e-4, beta=0.75, knorm=2)


def vgg11(**kwargs):
    """Configuration A."""
    return VGG('A', **kwargs)


def vgg13(**kwargs):
    """Configuration B."""
    return VGG('B', **kwargs)


def vgg16(**kwargs):
    """Configuration D, the one of table 5-3."""
    return VGG('D', **kwargs)


def vgg19(**kwargs):
    """Configuration E."""
    return VGG('E', **kwargs)
