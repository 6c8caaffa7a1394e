"""4.5.4: the network of 2.3.4, trained by the parts of `Module`: forward, backward, update.

The listing: lines 5061 to 5065 the graph, 5074 to 5091 the module, 5096 to 5125 the training. The output neuron is linear.
The book sets the parameters itself, and names Uniform(0.1) as what one would take otherwise (line 5085).
What cannot be meant: `optimizer_params=({'learning_rate', 0.1},)` (line 5088) is a set in a tuple, no dictionary. Which of
the two becomes the name depends on the order of the set: under Python 3 mostly the number, and MXNet fails. The printed
figures are those of the rate 0.1.
"""
import mxnet as mx


def symbol():
    """(N, 2) -> (N, 1)."""
    net = mx.sym.Variable('data')
    net = mx.sym.FullyConnected(net, name='fc1', num_hidden=2)
    net = mx.sym.Activation(net, name='act1', act_type='relu')
    net = mx.sym.FullyConnected(net, name='fc2', num_hidden=1)
    return mx.sym.LinearRegressionOutput(net, mx.sym.Variable('label'), name='reg')


def settings(updates_per_epoch):
    """One epoch of two samples."""
    return dict(num_epoch=1, optimizer='sgd', optimizer_params={'learning_rate': 0.1},
                initializer=mx.init.Uniform(0.1), eval_metric='mse')


BATCH_SIZE = 1
