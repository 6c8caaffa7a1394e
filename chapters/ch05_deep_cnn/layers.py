"""The few layers that all networks of chapter 5 are made of."""
from mxnet.gluon import nn

from data_tools.errors import UserError


def batch_norm():
    """Batch normalisation with the book's epsilon, which is that of `mx.sym.BatchNorm`."""
    return nn.BatchNorm(epsilon=1e-3)


def padded_convolution(filters, kernel, stride=1, **kwargs):
    """A convolution padded so that with stride 1 the output is as large as the input.

    Parameters
    ----------
    filters : int
    kernel : int or tuple of int
        Odd sides.
    stride : int
    kwargs
        For `nn.Conv2D`: `groups`, `use_bias`, ...
    """
    sides = kernel if isinstance(kernel, tuple) else (kernel, kernel)
    return nn.Conv2D(filters, sides, stride, padding=tuple(side // 2 for side in sides), **kwargs)


def conv_bn_relu(filters, kernel, stride=1, **kwargs):
    """C BN ReLU, padded as `padded_convolution` is. Returns a list of layers."""
    return [padded_convolution(filters, kernel, stride, **kwargs), batch_norm(), nn.Activation('relu')]


def bn_relu_conv(filters, kernel, stride=1, **kwargs):
    """BN ReLU C, padded as `padded_convolution` is: the order of pre-activation networks. Returns a list of layers."""
    return [batch_norm(), nn.Activation('relu'), padded_convolution(filters, kernel, stride, **kwargs)]


def two_hidden_layers(units, dropout):
    """The fully connected layers of AlexNet and VGG but for the last, as a list."""
    return [layer for number in (1, 2) for layer in (
        nn.Dense(units, activation='relu', prefix=f'fc{number}_'), nn.Dropout(dropout))]


def chain(*layers):
    """The layers one after the other, as one block."""
    block = nn.HybridSequential()
    block.add(*layers)
    return block


def choose(table, name, value):
    """The row `value` of a table of networks; a `UserError` that lists the rows if there is no such one."""
    if value not in table:
        raise UserError(f'{name}={value}: give {"one of " * (len(table) > 1)}{", ".join(map(str, table))}')
    return table[value]


def scaled(filters, width):
    """`filters` times the factor `width`, at least 1; a `UserError` if the factor is not above 0."""
    if not width > 0:
        raise UserError(f'width={width}: a factor of the numbers of filters must be greater than 0')
    return max(1, round(width * filters))


def first_points(F, x):
    """One number of every sample, (N, 1, 1, 1): a shape to draw random numbers by.

    Not by `F.slice`, which divides by zero where oneDNN holds the planes in blocks.
    """
    for axis in (1, 2, 3):
        x = F.slice_axis(x, axis=axis, begin=0, end=1)
    return x
