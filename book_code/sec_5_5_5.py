"""5.5.5: the Inception module, without and with bottlenecks, in the port's network for CIFAR-10.

The listing, lines 6456 to 6472, is of one module without bottlenecks: n1 to n4, each with its activation,
act4 after the pooling too, which changes nothing where the input is not negative. The bottlenecks are those of figure
5-32; the layers around the modules and the settings are those of the port.
"""
import mxnet as mx


def convolution(net, name, filters, kernel):
    """C ReLU, as large as its input."""
    net = mx.sym.Convolution(net, name=name, kernel=(kernel, kernel), pad=(kernel // 2, kernel // 2),
                             num_filter=filters)
    return mx.sym.Activation(net, act_type='relu')


def inception(net, name, filters=32, bottleneck=0):
    """1x1, 3x3, 5x5 and max 3x3 beside each other."""
    one = convolution(net, f'{name}_1x1', filters, 1)
    three = convolution(net, f'{name}_3x3_reduce', bottleneck, 1) if bottleneck else net
    three = convolution(three, f'{name}_3x3', filters, 3)
    five = convolution(net, f'{name}_5x5_reduce', bottleneck, 1) if bottleneck else net
    five = convolution(five, f'{name}_5x5', filters, 5)
    pool = mx.sym.Pooling(net, name=f'{name}_pool', pool_type='max', kernel=(3, 3), stride=(1, 1), pad=(1, 1))
    pool = mx.sym.Activation(pool, name=f'{name}_pool_relu', act_type='relu')  # the listing's act4
    if bottleneck:
        pool = convolution(pool, f'{name}_pool_1x1', filters, 1)
    return mx.sym.Concat(one, three, five, pool, dim=1)


def symbol(modules=(2, 2, 2), filters=32, bottleneck=0, classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    net = mx.sym.BatchNorm(mx.sym.Variable('data'), name='bn', fix_gamma=False)
    net = convolution(net, 'conv1', filters, 3)
    for stage, count in enumerate(modules, 1):
        if stage > 1:
            net = mx.sym.Pooling(net, pool_type='max', kernel=(2, 2), stride=(2, 2))
        for number in range(1, count + 1):
            net = inception(net, f'inception{stage}_{number}', filters, bottleneck)
    net = mx.sym.Pooling(net, pool_type='avg', kernel=(1, 1), global_pool=True)
    net = mx.sym.FullyConnected(net, name='fc', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch, learning_rate=0.01):
    """Of the port: the rate falls to 0 along half a cosine, update by update."""
    epochs = 30
    schedule = mx.lr_scheduler.CosineScheduler(epochs * updates_per_epoch, base_lr=learning_rate, final_lr=0)
    return dict(num_epoch=epochs, optimizer='sgd',
                optimizer_params={'learning_rate': learning_rate, 'momentum': 0.9, 'wd': 1e-4,
                                  'lr_scheduler': _FromTheFirst(schedule)},
                initializer=mx.init.MSRAPrelu(slope=0.0), eval_metric='acc')


class _FromTheFirst(mx.lr_scheduler.LRScheduler):
    """The schedule from its beginning: optimizers count updates from 1."""
    def __init__(self, schedule):
        super().__init__(schedule.base_lr)
        self._schedule = schedule

    def __call__(self, num_update):
        return self._schedule(num_update - 1)


BATCH_SIZE = 100
