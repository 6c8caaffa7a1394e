"""5.4.5: the all-convolutional network for CIFAR-10.

The listing: lines 6145 to 6177 the graph, 6184 to 6230 the training. BN and ReLU follow the last convolution too.
"""
import mxnet as mx

from book_code.sec_5_4_4 import cba

# filters, kernel, padding, stride
_CONVOLUTIONS = ((96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 1, 2), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 1, 2),
                 (192, 3, 0, 1), (192, 1, 0, 1))


def symbol(width=1.0, classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for number, (filters, kernel, pad, stride) in enumerate(_CONVOLUTIONS, 1):
        net = cba(net, str(number), round(width * filters), kernel, pad, stride)
    net = cba(net, '9', classes, 1, 0)
    net = mx.sym.Pooling(net, name='pool', pool_type='avg', kernel=(1, 1), global_pool=True)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net, name='flatten'), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch, factor=0.98):
    """What the book passes to `Module.fit`."""
    schedule = mx.lr_scheduler.FactorScheduler(step=updates_per_epoch, factor=factor)
    return dict(num_epoch=200, optimizer='sgd',
                optimizer_params={'learning_rate': 0.5, 'lr_scheduler': schedule},
                initializer=mx.init.MSRAPrelu(slope=0.0), eval_metric='acc')


BATCH_SIZE = 50
