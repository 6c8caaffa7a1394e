"""2.2.8: one neuron learns the larger of two numbers. Lines 2132 to 2236 of the book's text.

The first values are MXNet's default, Uniform(0.01); the samples come in a new order every epoch.
"""
import mxnet as mx


def symbol():
    """(N, 2) -> (N, 1)."""
    net = mx.sym.FullyConnected(mx.sym.Variable('data'), name='fc', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, mx.sym.Variable('label'), name='reg')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`; without an initializer that takes Uniform(0.01)."""
    return dict(num_epoch=1, optimizer='sgd', optimizer_params={'learning_rate': 0.1},
                initializer=mx.init.Uniform(0.01), eval_metric='mse')


BATCH_SIZE = 1
