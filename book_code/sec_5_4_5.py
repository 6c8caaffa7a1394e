"""5.4.5: the all-convolutional network for CIFAR-10."""
import mxnet as mx

from book_code.sec_5_4_4 import convolution

# filters, kernel, stride, padding
_CONVOLUTIONS = ((96, 3, 1, 1), (96, 3, 1, 1), (96, 3, 2, 1), (192, 3, 1, 1), (192, 3, 1, 1), (192, 3, 2, 1),
                 (192, 3, 1, 0), (192, 1, 1, 0))


def symbol(width=1.0, classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for number, (filters, kernel, stride, pad) in enumerate(_CONVOLUTIONS, 1):
        net = convolution(net, f'layer{number}', round(width * filters), kernel, stride, pad)
    net = convolution(net, 'layer9', classes, kernel=1, pad=0)
    net = mx.sym.Pooling(net, pool_type='avg', kernel=(1, 1), global_pool=True)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch, factor=0.98):
    """What the book passes to `Module.fit`."""
    schedule = mx.lr_scheduler.FactorScheduler(step=updates_per_epoch, factor=factor)
    return dict(num_epoch=200, optimizer='sgd',
                optimizer_params={'learning_rate': 0.5, 'lr_scheduler': schedule},
                initializer=mx.init.MSRAPrelu(slope=0.0), eval_metric='acc')


BATCH_SIZE = 50
