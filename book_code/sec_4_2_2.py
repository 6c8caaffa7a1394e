"""4.2.2: the simplest policy network for Go, one convolution.

The book prints no listing, and not how it was trained: figure 4-18 has the network. The bias, which softmax cancels, is
MXNet's default.
"""
import mxnet as mx


def symbol(planes=8, last_move=True):
    """(N, 8, 19, 19), planes as they come out of the packed files (7.1) -> probabilities (N, 361)."""
    net = mx.sym.Variable('data')
    if not last_move:
        net = mx.sym.slice_axis(net, axis=1, begin=1, end=None)
    net = mx.sym.Convolution(net, name='conv1', kernel=(3, 3), pad=(1, 1), num_filter=1)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """This project's own: momentum, and a rate that falls to 0 along half a cosine over 6 epochs."""
    class Cosine(mx.lr_scheduler.LRScheduler):
        def __call__(self, num_update):
            import math
            return self.base_lr * (1 + math.cos(math.pi * (num_update - 1) / (6 * updates_per_epoch))) / 2
    return dict(num_epoch=6, optimizer='sgd',
                optimizer_params={'learning_rate': 0.05, 'momentum': 0.9, 'lr_scheduler': Cosine()},
                initializer=mx.init.Uniform(0.01), eval_metric='acc')


BATCH_SIZE = 256
