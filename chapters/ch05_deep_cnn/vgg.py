"""Section 5.1.2: the VGG networks, nothing but 3x3 convolutions.

Simonyan, Zisserman, "Very deep convolutional networks for large-scale image recognition", ICLR 2015
(https://arxiv.org/abs/1409.1556).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_1_2
from chapters.ch05_deep_cnn.layers import choose, padded_convolution, scaled, two_hidden_layers
from chapters.ch05_deep_cnn.recipes import IMAGENET_WITHOUT_BN, on_imagenet
from chapters.script import run_script

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
                    self.features.add(padded_convolution(scaled(filters, width), kernel, activation='relu',
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


# For the proof: one pixel is left of 32x32 after five poolings.
_SMALL = {'width': 0.25, 'hidden': 32, 'dropout': 0.0, 'classes': 10, 'sample_shape': (3, 32, 32)}

EXPERIMENTS = [
    on_imagenet('5.1.2', 'VGG-16 (configuration D)', 'VGG-16', VGG, {'configuration': 'D'}, IMAGENET_WITHOUT_BN,
                listing=sec_5_1_2, small=_SMALL, table='table 5-3', million_parameters=138, gflops=30.9,
                activations_mb=54.82),
    *(on_imagenet(f'5.1.2-{name}', f'VGG configuration {name}', f'VGG 结构 {name}', VGG, {'configuration': name},
                  IMAGENET_WITHOUT_BN) for name in ('A', 'A-LRN', 'B', 'C', 'E')),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
