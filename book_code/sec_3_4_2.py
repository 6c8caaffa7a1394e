"""3.4.2 and 3.4.3: a multilayer perceptron for MNIST and Fashion-MNIST. Lines 3526 to 3676 of the book's text.

Python 2 divides 60000 / 32 without a remainder: the rate falls at update 1876, as its log says. The text calls the axes of
its images width and height (3546); the code has height first, as MXNet does. `NDArrayIter` fills the last of the
validation batches with the first 16 images, and they are counted twice: its accuracies are multiples of 1/10016.
"""
import mxnet as mx


def symbol(hidden=(128, 64), classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    net = mx.sym.Flatten(mx.sym.Variable('data'), name='flatten')
    for number, units in enumerate(hidden, 1):
        net = mx.sym.FullyConnected(net, name=f'fc{number}', num_hidden=units)
        net = mx.sym.Activation(net, name=f'act{number}', act_type='relu')
    net = mx.sym.FullyConnected(net, name=f'fc{len(hidden) + 1}', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`: the rate falls by a tenth after each epoch; without an initializer that takes
    Uniform(0.01)."""
    schedule = mx.lr_scheduler.FactorScheduler(step=updates_per_epoch, factor=0.9)
    return dict(num_epoch=20, optimizer='sgd', optimizer_params={'learning_rate': 0.2, 'lr_scheduler': schedule},
                initializer=mx.init.Uniform(0.01), eval_metric='acc')


BATCH_SIZE = 32
