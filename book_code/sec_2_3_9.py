"""2.3.9: a network of two hidden layers learns the larger of two numbers."""
import mxnet as mx


def symbol(hidden=(10, 10)):
    """(N, 2) -> (N, 1); with three hidden units instead of ten it gets stuck."""
    net = mx.sym.Variable('data')
    label = mx.sym.Variable('label')
    for number, units in enumerate(hidden, 1):
        net = mx.sym.FullyConnected(net, name=f'fc{number}', num_hidden=units)
        net = mx.sym.Activation(net, name=f'relu{number}', act_type='relu')
    net = mx.sym.FullyConnected(net, name=f'fc{len(hidden) + 1}', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, label, name='output')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`."""
    return dict(num_epoch=10, optimizer='sgd', optimizer_params={'learning_rate': 0.1},
                initializer=mx.init.Uniform(0.5), eval_metric='mse')


BATCH_SIZE = 10
