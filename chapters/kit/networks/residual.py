"""Residual units: two or three convolutions beside a shortcut that leads around them (5.5.1, 5.5.2).

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016 (https://arxiv.org/abs/1512.03385);
"Identity mappings in deep residual networks", ECCV 2016 (https://arxiv.org/abs/1603.05027).
"""
from mxnet import gluon
from mxnet.gluon import nn

# Table 5-8: what a unit does before the shortcut leaves, beside the shortcut, and after both meet.
# C: 3x3 convolution, B: batch normalisation, R: ReLU.
ORDERINGS = {
    'a': ('', 'CBRCB', 'R'),   # the original
    'b': ('', 'CBRC', 'BR'),   # BN after the addition
    'c': ('', 'CBRCBR', ''),   # ReLU before the addition
    'd': ('R', 'CBRCB', ''),   # ReLU first
    'e': ('BR', 'CBRC', ''),   # BN and ReLU first: full pre-activation
}


class ResidualUnit(gluon.HybridBlock):
    """Two 3x3 convolutions beside a shortcut; or 1x1 to a quarter of the planes, 3x3, and 1x1 back.

    Parameters
    ----------
    filters : int
    stride : int
        Of the first convolution, and of the shortcut.
    new_shape : bool
        The shortcut is a 1x1 convolution, not the input itself.
    ordering : str
        A row of table 5-8, 'a' to 'e'.
    bottleneck : bool
        Three convolutions, as deep networks have them (5.4.2).

    Input (N, C, H, W), output (N, filters, H / stride, W / stride).
    """
    def __init__(self, filters, stride=1, new_shape=False, ordering='e', bottleneck=False, **kwargs):
        super().__init__(**kwargs)
        before, beside, after = ORDERINGS[ordering]
        if bottleneck:
            beside = beside.replace('CBRC', 'CBRCBRC')
        with self.name_scope():
            self.before = self.layers(before, filters, stride)
            self.body = self.layers(beside, filters, stride)
            self.shortcut = nn.Conv2D(filters, kernel_size=1, strides=stride) if new_shape else None
            self.after = self.layers(after, filters, stride)

    @staticmethod
    def layers(letters, filters, stride):
        """The layers of a word of `ORDERINGS`; only the first convolution has the stride."""
        block = nn.HybridSequential()
        shapes = iter([(filters // 4, 1), (filters // 4, 3), (filters, 1)] if letters.count('C') == 3 else [(filters, 3)] * 2)
        for letter in letters:
            if letter == 'C':
                planes, kernel = next(shapes)
                block.add(nn.Conv2D(planes, kernel_size=kernel, strides=stride, padding=kernel // 2))
                stride = 1
            else:
                block.add(nn.BatchNorm(epsilon=1e-3) if letter == 'B' else nn.Activation('relu'))
        return block

    def hybrid_forward(self, F, x):
        y = self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return self.after(self.body(y) + shortcut)


class PreActivationUnit(ResidualUnit):
    """BN ReLU C3x3 BN ReLU C3x3, plus its own input: the book's unit, row 'e'. Arguments as for `ResidualUnit`."""
    def __init__(self, filters, stride=1, new_shape=False, **kwargs):
        super().__init__(filters, stride, new_shape, 'e', **kwargs)
