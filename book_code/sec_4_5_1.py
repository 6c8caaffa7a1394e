"""4.5.1: many layers by a function and a loop.

The listing: lines 4905 to 4910 the function, 4931 to 4933 the loop. It ends with the third layer; the head after it and
the settings, those of 4.4, are of the port, so that there is something to train.
"""
import mxnet as mx

from book_code import sec_4_4

BATCH_SIZE = sec_4_4.BATCH_SIZE
settings = sec_4_4.settings


def conv_bn_act(src, layer, kernel, num_filter):
    """The book's Conv_BN_Act: convolution without padding, batch normalisation, ReLU."""
    conv = mx.sym.Convolution(src, name='conv' + layer, kernel=kernel, num_filter=num_filter)
    bn = mx.sym.BatchNorm(conv, name='bn' + layer, fix_gamma=False)
    return mx.sym.Activation(bn, name='act' + layer, act_type='relu')


def symbol(num_layers=3, num_filters=128, classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for i in range(num_layers):
        net = conv_bn_act(net, str(i), (3, 3), num_filters)
    net = mx.sym.Convolution(net, name='output', kernel=(1, 1), num_filter=classes)
    net = mx.sym.Pooling(net, name='pool', pool_type='avg', kernel=(1, 1), global_pool=True)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net, name='flatten'), mx.sym.Variable('label'), name='softmax')
