"""2.3.9: a network of two hidden layers learns the larger of two numbers. Lines 2652 to 2723 of the book's text.

The book changes it twice: three units in place of ten (2810), and no initializer (2832).
"""
import mxnet as mx


def symbol(hidden=(10, 10)):
    """(N, 2) -> (N, 1); with three hidden units instead of ten it gets stuck."""
    net = mx.sym.Variable('data')
    for number, units in enumerate(hidden, 1):
        net = mx.sym.FullyConnected(net, name=f'fc{number}', num_hidden=units)
        net = mx.sym.Activation(net, name=f'act{number}', act_type='relu')
    net = mx.sym.FullyConnected(net, name=f'fc{len(hidden) + 1}', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, mx.sym.Variable('label'), name='reg')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`."""
    return dict(num_epoch=10, optimizer='sgd', optimizer_params={'learning_rate': 0.1},
                initializer=mx.init.Uniform(0.5), eval_metric='mse')


BATCH_SIZE = 10
