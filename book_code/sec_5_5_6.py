"""5.5.6: the depthwise separable convolution, in the port's small Xception for CIFAR-10.

The book prints no listing: lines 6522 and 6523 say how MXNet separates channels, line 6519 counts 8,768 weights, without
biases. The layers around it and the settings are those of the port.
"""
import mxnet as mx

from book_code import sec_5_5_5
from book_code.sec_5_4_4 import cba


def separable(net, name, channels, filters):
    """3x3 on each of the `channels` planes alone, then 1x1."""
    net = mx.sym.Convolution(net, name=f'{name}_depthwise', kernel=(3, 3), pad=(1, 1), num_filter=channels,
                             num_group=channels, no_bias=True)
    return mx.sym.Convolution(net, name=f'{name}_pointwise', kernel=(1, 1), num_filter=filters, no_bias=True)


def _bn(net, name):
    return mx.sym.BatchNorm(net, name=name, fix_gamma=False)


def symbol(filters=(64, 64, 128, 256), classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    net = cba(_bn(mx.sym.Variable('data'), 'bn'), '_first', filters[0], 3, 1)
    for unit, (channels, planes) in enumerate(zip(filters, filters[1:]), 1):
        body, before = net, channels
        for number in (1, 2):
            if unit > 1 or number > 1:
                body = mx.sym.Activation(body, act_type='relu')
            body = _bn(separable(body, f'unit{unit}_{number}', before, planes), f'unit{unit}_{number}_bn')
            before = planes
        if unit > 1:
            body = mx.sym.Pooling(body, pool_type='max', kernel=(3, 3), stride=(2, 2), pad=(1, 1))
            net = mx.sym.Convolution(net, name=f'unit{unit}_shortcut', kernel=(1, 1), stride=(2, 2),
                                     num_filter=planes, no_bias=True)
            net = _bn(net, f'unit{unit}_shortcut_bn')
        net = body + net
    net = mx.sym.Activation(net, act_type='relu')
    net = mx.sym.Pooling(net, pool_type='avg', kernel=(1, 1), global_pool=True)
    net = mx.sym.FullyConnected(net, name='fc', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """Of the port, at a higher rate than 5.5.5: here is BN."""
    return sec_5_5_5.settings(updates_per_epoch, learning_rate=0.1)


BATCH_SIZE = sec_5_5_5.BATCH_SIZE
