"""5.1.3: DarkNet Reference, as in table 5-5 and the words after it.

The book prints no listing and does not train it: the settings are the port's.
"""
import mxnet as mx

from book_code import sec_5_1_1


def symbol(stages='reference', slope=0.1, width=1.0, classes=1000):
    """(N, 3, 224, 224) -> probabilities (N, 1000)."""
    net = mx.sym.Variable('data')
    for number in range(1, 8):
        net = mx.sym.Convolution(net, name=f'conv{number}', kernel=(3, 3), pad=(1, 1),
                                 num_filter=round(width * 16 * 2 ** (number - 1)))
        net = mx.sym.BatchNorm(net, name=f'bn{number}', fix_gamma=False)
        net = mx.sym.LeakyReLU(net, act_type='leaky', slope=slope)
        if number < 7:
            pad = (1, 1) if number == 6 else (0, 0)
            net = mx.sym.Pooling(net, name=f'pool{number}', pool_type='max', kernel=(2, 2), stride=(2, 2),
                                 pad=pad)
    net = mx.sym.Convolution(net, name='conv8', kernel=(1, 1), num_filter=classes)
    net = mx.sym.Pooling(net, pool_type='avg', kernel=(1, 1), global_pool=True)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """Of the port."""
    return sec_5_1_1.settings(updates_per_epoch, learning_rate=0.05, wd=1e-4)


BATCH_SIZE = sec_5_1_1.BATCH_SIZE
