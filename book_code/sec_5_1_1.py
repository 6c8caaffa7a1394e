"""5.1.1: AlexNet, both halves in one, layer by layer as in table 5-2.

The listing: lines 5287 to 5326. The book does not train it: the settings are the port's.
"""
import mxnet as mx

# filters, kernel, stride, padding, whether a pooling follows
_CONVOLUTIONS = ((96, 11, 4, 0, True), (256, 5, 1, 2, True), (384, 3, 1, 1, False), (384, 3, 1, 1, False),
                 (256, 3, 1, 1, True))


def symbol(hidden=4096, dropout=0.5, width=1.0, classes=1000):
    """(N, 3, 224, 224) -> probabilities (N, 1000)."""
    net, pools = mx.sym.Variable('data'), 0
    for number, (filters, kernel, stride, pad, pool) in enumerate(_CONVOLUTIONS, 1):
        net = mx.sym.Convolution(net, name=f'conv{number}', kernel=(kernel, kernel), stride=(stride, stride),
                                 pad=(pad, pad), num_filter=round(width * filters))
        net = mx.sym.Activation(net, name=f'relu{number}', act_type='relu')
        if pool:
            pools += 1
            net = mx.sym.Pooling(net, name=f'pool{pools}', pool_type='max', kernel=(3, 3), stride=(2, 2))
    return head(net, hidden, dropout, classes)


def head(net, hidden, dropout, classes):
    """Two hidden layers with dropout, and the output: the end of AlexNet, and of VGG."""
    net = mx.sym.Flatten(net, name='flatten')
    for number in (1, 2):
        net = mx.sym.FullyConnected(net, name=f'fc{number}', num_hidden=hidden)
        net = mx.sym.Activation(net, name=f'fc{number}_relu', act_type='relu')
        net = mx.sym.Dropout(net, name=f'dropout{number}', p=dropout)
    net = mx.sym.FullyConnected(net, name='fc3', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch, learning_rate=0.01, wd=5e-4):
    """Of the port: the rate falls to a tenth after every 30 epochs."""
    schedule = mx.lr_scheduler.FactorScheduler(step=30 * updates_per_epoch, factor=0.1)
    return dict(num_epoch=90, optimizer='sgd',
                optimizer_params={'learning_rate': learning_rate, 'momentum': 0.9, 'wd': wd,
                                  'lr_scheduler': schedule},
                initializer=mx.init.MSRAPrelu('avg', 0.0), eval_metric='acc')


BATCH_SIZE = 128
