"""Section 5.6.1: FractalNet, deep without shortcuts.

Larsson, Maire, Shakhnarovich, "FractalNet: ultra-deep neural networks without residuals", ICLR 2017
(https://arxiv.org/abs/1605.07648).
"""
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import chain, conv_bn_relu, first_points
from chapters.ch05_deep_cnn.recipes import on_cifar
from chapters.script import run_script


class Join(gluon.HybridBlock):
    """The mean of several paths; in training, of those that local drop-path leaves.

    Each path is dropped from a batch with probability `drop`. If that drops all, none is.
    """
    def __init__(self, drop=0.15, **kwargs):
        super().__init__(**kwargs)
        self._keep = 1 - drop
        with self.name_scope():
            self.gate = nn.Dropout(drop)

    def hybrid_forward(self, F, *paths):
        one = F.ones_like(F.slice_axis(first_points(F, paths[0]), axis=0, begin=0, end=1))
        # 0 or 1; in prediction all are equal
        kept = self._keep * self.gate(F.tile(one, (len(paths), 1, 1, 1)))
        kept = F.broadcast_add(kept, F.sum(kept, axis=0, keepdims=True) == 0)
        share = F.broadcast_div(kept, F.sum(kept, axis=0, keepdims=True))  # (paths, 1, 1, 1)
        return F.add_n(*(F.broadcast_mul(F.slice_axis(share, axis=0, begin=number, end=number + 1), path)
                         for number, path in enumerate(paths)))


class Columns(gluon.HybridBlock):
    """The fractal: one convolution beside two fractals of one column less, one after the other.

    Input (N, C, H, W). Output: the ends of the columns, each (N, filters, H, W), not yet joined.
    """
    def __init__(self, filters, columns, drop, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.convolution = chain(*conv_bn_relu(filters, 3))
            self.first = Columns(filters, columns - 1, drop) if columns > 1 else None
            self.second = Columns(filters, columns - 1, drop) if columns > 1 else None
            self.join = Join(drop) if columns > 2 else None  # one column needs no joining

    def hybrid_forward(self, F, x):
        ends = [self.convolution(x)]
        if self.first is not None:
            middle = self.first(x)
            ends += self.second(middle[0] if self.join is None else self.join(*middle))
        return ends


class FractalBlock(gluon.HybridBlock):
    """A fractal, its columns joined; the longest path has 2 ** (columns - 1) convolutions."""
    def __init__(self, filters, columns=3, drop=0.15, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.columns = Columns(filters, columns, drop)
            self.join = Join(drop)

    def hybrid_forward(self, F, x):
        return self.join(*self.columns(x))


class FractalNet(gluon.HybridBlock):
    """FractalNet for CIFAR-10: blocks, each followed by dropout and a pooling 2x2; FC.

    Parameters
    ----------
    filters : tuple of int
        Of each block.
    columns : int
        3: 20 layers in 5 blocks.
    drop : float
        Probability of local drop-path. The paper's global drop-path, which trains one column alone, is left
        out.
    classes : int

    Input (N, 3, H, W); output logits (N, classes). Sides, from 28: 28, 14, 7, 4, 2, 1.
    """
    def __init__(self, filters=(64, 128, 256, 512, 512), columns=3, drop=0.15, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for number, planes in enumerate(filters):
                self.features.add(FractalBlock(planes, columns, drop), nn.Dropout(0.1 * number),
                                  nn.MaxPool2D(ceil_mode=True))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


EXPERIMENTS = [on_cifar('5.6.1-fractal-net', 'FractalNet', 'FractalNet', FractalNet)]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
