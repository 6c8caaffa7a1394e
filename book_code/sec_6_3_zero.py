"""6.3: the network of AlphaGo Zero, with its two heads."""
import mxnet as mx

from book_code.sec_6_3 import convolution, relu


def bn(net, name):
    return mx.sym.BatchNorm(net, name=name, fix_gamma=False)


def symbol(units=39, filters=256, planes=17, size=19, hidden=256):
    """(N, 17, 19, 19) -> probabilities of moves (N, 362), and of winning (N, 1)."""
    net = relu(bn(convolution(mx.sym.Variable('data'), 'conv1', filters, 3), 'bn1'))
    for number in range(1, units + 1):
        unit = relu(bn(convolution(net, f'unit{number}_conv1', filters, 3), f'unit{number}_bn1'))
        unit = bn(convolution(unit, f'unit{number}_conv2', filters, 3), f'unit{number}_bn2')
        net = relu(net + unit)
    moves = relu(bn(convolution(net, 'policy_conv', 2, 1), 'policy_bn'))
    moves = mx.sym.FullyConnected(moves, name='policy_fc', num_hidden=size * size + 1)
    moves = mx.sym.SoftmaxOutput(moves, mx.sym.Variable('policy_label'), name='policy')
    wins = relu(bn(convolution(net, 'value_conv', 1, 1), 'value_bn'))
    wins = relu(mx.sym.FullyConnected(wins, name='value_fc1', num_hidden=hidden))
    wins = mx.sym.FullyConnected(wins, name='value_fc2', num_hidden=1)
    wins = mx.sym.LogisticRegressionOutput(wins, mx.sym.Variable('value_label'), name='value')
    return mx.sym.Group([moves, wins])
