"""5.4.4: a deeper network for Fashion-MNIST.

The listing: lines 5911 to 5940 the graph, 5952 to 6018 the training, with the images changed anew in every epoch (lines
5961 to 6002).
What cannot be meant: the rate. The listing calls `Module.fit` once an epoch, with `learning_rate` 0.06 * 0.95^epoch
(line 6008), and prints that rate. But after the first call the optimizer is there, and MXNet ignores what later calls say
("optimizer already initialized, ignoring..."): 0.06 stays in force for all 40 epochs, and so it does here.
"""
import mxnet as mx


def cba(src, suffix, num_filter, kernel, pad, stride=1):
    """The book's CBA: convolution, batch normalisation, ReLU."""
    conv = mx.sym.Convolution(src, name='conv' + suffix, kernel=(kernel, kernel), pad=(pad, pad), num_filter=num_filter,
                              stride=(stride, stride))
    bn = mx.sym.BatchNorm(conv, name='bn' + suffix, fix_gamma=False)
    return mx.sym.Activation(bn, name='act' + suffix, act_type='relu')


def symbol(num_filters=(32, 64, 64), last_filters=128, classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    net = mx.sym.Variable('data')
    for layer, filters in enumerate(num_filters, 1):  # the book's LAYER
        for number in (1, 2):
            net = cba(net, f'{layer}{number}', filters, 3, 1)
        net = mx.sym.Pooling(net, name=f'pool{layer}', pool_type='max', kernel=(2, 2), stride=(2, 2))
    net = cba(net, str(len(num_filters) + 1), last_filters, 3, 0)
    net = mx.sym.Convolution(net, name='final', kernel=(1, 1), num_filter=classes)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net, name='flatten'), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What is in force of what the book passes to `Module.fit`."""
    return dict(num_epoch=40, optimizer='sgd', optimizer_params={'learning_rate': 0.06},
                initializer=mx.init.Uniform(0.01), eval_metric='acc')


BATCH_SIZE = 32
