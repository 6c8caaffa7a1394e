"""6.3: the value network of AlphaGo."""
import mxnet as mx

from book_code.sec_6_3 import body, convolution, relu


def symbol(layers=12, filters=192, planes=49, hidden=256):
    """(N, 49, 19, 19) -> the probability (N, 1) that the player to move wins."""
    net = relu(convolution(body(layers, filters), f'conv{layers + 1}', 1, 1))
    net = relu(mx.sym.FullyConnected(net, name='fc1', num_hidden=hidden))
    net = mx.sym.FullyConnected(net, name='fc2', num_hidden=1)
    return mx.sym.LogisticRegressionOutput(net, mx.sym.Variable('value_label'), name='value')
