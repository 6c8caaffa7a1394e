"""Section 5.5.5: Inception modules, as they were first thought of and as they became; and GoogLeNet.

Szegedy et al., "Going deeper with convolutions", CVPR 2015 (https://arxiv.org/abs/1409.4842); "Rethinking the
Inception architecture for computer vision", CVPR 2016 (https://arxiv.org/abs/1512.00567).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_5_5
from chapters.ch05_deep_cnn.layers import batch_norm, chain, choose, padded_convolution
from chapters.ch05_deep_cnn.recipes import CIFAR, IMAGENET_WITHOUT_BN, on_cifar, on_imagenet
from chapters.script import run_script

# What stands for a 3x3 and for a 5x5 convolution, as kernels one after the other.
FORMS = {
    'v1': ([3], [5]),
    'two-3x3': ([3], [3, 3]),
    'n-by-1': ([(1, 3), (3, 1)], [(1, 5), (5, 1)]),
}


class Inception(gluon.HybridBlock):
    """Convolutions 1x1, 3x3, 5x5 and a pooling beside each other, their planes put together; ReLU after each.

    Parameters
    ----------
    one, three, five : int
        Planes of the three convolutions.
    reduce_three, reduce_five : int
        Planes of a 1x1 convolution before the 3x3 and the 5x5 one, the bottleneck; 0: none.
    pool : int
        Planes of a 1x1 convolution after the pooling; 0: none, and it passes all planes on.
    form : str
        'v1'; 'two-3x3': two 3x3 convolutions for a 5x5; 'n-by-1': 1 x n and n x 1 for n x n.

    Input (N, C, H, W), output (N, one + three + five + (pool or C), H, W).
    """
    def __init__(self, one=32, three=32, five=32, reduce_three=0, reduce_five=0, pool=0, form='v1', **kwargs):
        super().__init__(**kwargs)
        kernels_three, kernels_five = choose(FORMS, 'form', form)

        def branch(reduced, filters, kernels):
            planes = ([(reduced, 1)] if reduced else []) + [(filters, kernel) for kernel in kernels]
            return chain(*(padded_convolution(filters, kernel, activation='relu') for filters, kernel in planes))
        with self.name_scope():
            self.one = branch(0, one, [1])
            self.three = branch(reduce_three, three, kernels_three)
            self.five = branch(reduce_five, five, kernels_five)
            self.pool = chain(nn.MaxPool2D(pool_size=3, strides=1, padding=1), nn.Activation('relu'))
            if pool:
                self.pool.add(padded_convolution(pool, 1, activation='relu'))

    def hybrid_forward(self, F, x):
        return F.concat(self.one(x), self.three(x), self.five(x), self.pool(x), dim=1)


class InceptionNet(gluon.HybridBlock):
    """The book's module of 5.5.5, in a network for CIFAR-10 of our own: the book prints none around it.

    BN, C3x3-32 ReLU, then modules with a pooling 2x2 between the stages, global average, FC.

    Parameters
    ----------
    modules : tuple of int
        Modules of each stage.
    filters : int
        Planes of every convolution in a module.
    bottleneck : int
        Planes of the bottlenecks; with them, C1x1 with `filters` planes follows each pooling. 0: without.
    form : str
        As `Inception` has it.
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, modules=(2, 2, 2), filters=32, bottleneck=0, form='v1', classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm(), padded_convolution(filters, 3, activation='relu'))
            for stage, count in enumerate(modules):
                if stage:
                    self.features.add(nn.MaxPool2D())
                for _ in range(count):
                    self.features.add(Inception(filters, filters, filters, bottleneck, bottleneck,
                                                filters if bottleneck else 0, form))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


# table 1 of the paper: 1x1, before 3x3, 3x3, before 5x5, 5x5, after the pooling; by stages
GOOGLENET = [
    [(64, 96, 128, 16, 32, 32), (128, 128, 192, 32, 96, 64)],
    [(192, 96, 208, 16, 48, 64), (160, 112, 224, 24, 64, 64), (128, 128, 256, 24, 64, 64),
     (112, 144, 288, 32, 64, 64), (256, 160, 320, 32, 128, 128)],
    [(256, 160, 320, 32, 128, 128), (384, 192, 384, 48, 128, 128)],
]


class GoogLeNet(gluon.HybridBlock):
    """GoogLeNet, the first of the Inception networks, without LRN and the two side outputs.

    Parameters
    ----------
    form : str
        As `Inception` has it.
    dropout : float
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, form='v1', dropout=0.4, classes=1000, **kwargs):
        super().__init__(**kwargs)

        def halve():
            return nn.MaxPool2D(pool_size=3, strides=2, ceil_mode=True)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(padded_convolution(64, 7, 2, activation='relu'), halve(),
                              padded_convolution(64, 1, activation='relu'),
                              padded_convolution(192, 3, activation='relu'))
            for stage in GOOGLENET:
                self.features.add(halve())
                for one, reduce_three, three, reduce_five, five, pool in stage:
                    self.features.add(Inception(one, three, five, reduce_three, reduce_five, pool, form))
            self.dropout = nn.Dropout(dropout)
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(self.dropout(F.mean(self.features(x), axis=(2, 3))))


_RECIPE = CIFAR.but(learning_rate=0.01)  # no BN between its convolutions

EXPERIMENTS = [
    on_cifar('5.5.5', 'Inception modules', 'Inception 模组', InceptionNet, recipe=_RECIPE, listing=sec_5_5_5,
             small={'filters': 8, 'sample_shape': (3, 16, 16)}),
    on_cifar('5.5.5-bottlenecks', 'Inception modules with bottlenecks', '带 1x1 瓶颈的 Inception 模组', InceptionNet,
             {'bottleneck': 16}, _RECIPE, sec_5_5_5),
    on_cifar('5.5.5-two-3x3', 'Inception: two 3x3 for a 5x5', 'Inception：两个 3x3 代替 5x5', InceptionNet,
             {'bottleneck': 16, 'form': 'two-3x3'}, _RECIPE),
    on_cifar('5.5.5-n-by-1', 'Inception: 1 x n and n x 1 for n x n', 'Inception：1xn 与 nx1 代替 nxn', InceptionNet,
             {'bottleneck': 16, 'form': 'n-by-1'}, _RECIPE),
    on_imagenet('5.5.5-googlenet', 'GoogLeNet', 'GoogLeNet', GoogLeNet, recipe=IMAGENET_WITHOUT_BN),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
