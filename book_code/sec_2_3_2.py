"""2.3.2: the activation Swish, here in the network of 2.3.9 in place of ReLU. Lines 2394 to 2395 of the book's text.

It prints two lines and no network; they call their input `in`, which Python does not allow as a name.
"""
import mxnet as mx

from book_code.sec_2_3_9 import BATCH_SIZE, settings  # noqa: F401


def symbol(hidden=(10, 10), activation='swish'):
    """(N, 2) -> (N, 1)."""
    net = mx.sym.Variable('data')
    for number, units in enumerate(hidden, 1):
        net = mx.sym.FullyConnected(net, name=f'fc{number}', num_hidden=units)
        net = mx.sym.broadcast_mul(net, mx.sym.sigmoid(net))
    net = mx.sym.FullyConnected(net, name=f'fc{len(hidden) + 1}', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, mx.sym.Variable('label'), name='reg')
