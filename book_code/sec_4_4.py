"""4.4: a small convolutional network for MNIST, and in 4.4.5 for Fashion-MNIST.

The listing: lines 4561 to 4591 the graph, 4650 to 4661 the training. It passes no initializer, so that `Module.fit` takes
Uniform(0.01).
What cannot be meant: 4.4.3 shows a mistake as `val_lbl[j]` and `val_img[j]` (lines 4752 and 4753), the jth of all
images; `i * batch_size + j`, as in line 4751, is the one that was misread.
"""
import mxnet as mx


def symbol(num_filters=(32, 64), classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for number, filters in enumerate(num_filters, 1):
        net = mx.sym.Convolution(net, name=f'conv{number}', kernel=(5, 5), num_filter=filters)
        net = mx.sym.BatchNorm(net, name=f'bn{number}', fix_gamma=False)
        net = mx.sym.Activation(net, name=f'act{number}', act_type='relu')
        net = mx.sym.Pooling(net, name=f'pool{number}', pool_type='max', kernel=(3, 3), stride=(2, 2))
    number = len(num_filters) + 1
    net = mx.sym.Convolution(net, name=f'conv{number}', kernel=(3, 3), num_filter=classes)
    net = mx.sym.Pooling(net, name=f'pool{number}', pool_type='avg', kernel=(1, 1), global_pool=True)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net, name='flatten'), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch, learning_rate=0.03):
    """What the book passes to `Module.fit`: the rate falls by a tenth after each epoch."""
    schedule = mx.lr_scheduler.FactorScheduler(step=updates_per_epoch, factor=0.9)
    return dict(num_epoch=20, optimizer='sgd',
                optimizer_params={'learning_rate': learning_rate, 'lr_scheduler': schedule},
                initializer=mx.init.Uniform(0.01), eval_metric='acc')


BATCH_SIZE = 32
