"""5.4.4: a deeper network for Fashion-MNIST."""
import mxnet as mx


def convolution(net, name, filters, kernel=3, stride=1, pad=1):
    """C BN ReLU."""
    net = mx.sym.Convolution(net, name=f'{name}_conv', kernel=(kernel, kernel), stride=(stride, stride),
                             pad=(pad, pad), num_filter=filters)
    net = mx.sym.BatchNorm(net, name=f'{name}_bn', fix_gamma=False)
    return mx.sym.Activation(net, name=f'{name}_relu', act_type='relu')


def symbol(num_filters=(32, 64, 64), last_filters=128, classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for stage, filters in enumerate(num_filters, 1):
        for number in (1, 2):
            net = convolution(net, f'stage{stage}_{number}', filters)
        net = mx.sym.Pooling(net, name=f'pool{stage}', pool_type='max', kernel=(2, 2), stride=(2, 2))
    net = convolution(net, 'last', last_filters, pad=0)
    net = mx.sym.Convolution(net, name='output', kernel=(1, 1), num_filter=classes)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`: the rate falls by a twentieth after each epoch."""
    schedule = mx.lr_scheduler.FactorScheduler(step=updates_per_epoch, factor=0.95)
    return dict(num_epoch=40, optimizer='sgd',
                optimizer_params={'learning_rate': 0.06, 'lr_scheduler': schedule},
                initializer=mx.init.Uniform(0.01), eval_metric='acc')


BATCH_SIZE = 32
