"""2.2.8: one neuron learns the larger of two numbers."""
import mxnet as mx


def symbol():
    """(N, 2) -> (N, 1)."""
    data = mx.sym.Variable('data')
    label = mx.sym.Variable('label')
    net = mx.sym.FullyConnected(data, name='fc1', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, label, name='output')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`; without an initializer that takes Uniform(0.01)."""
    return dict(num_epoch=1, optimizer='sgd', optimizer_params={'learning_rate': 0.1},
                initializer=mx.init.Uniform(0.01), eval_metric='mse')


BATCH_SIZE = 1
