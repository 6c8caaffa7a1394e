"""5.5.7: the pre-activation ResNet for CIFAR-10.

The listing: lines 6561 to 6598 the unit, 6602 to 6634 the network, 6638 to 6676 the training.
What cannot be meant: `num_epoch = 2` (line 6674), where the log runs to epoch 199; and the sides of 32, 16 and 8 in the
comments, which are 28, 14 and 7 for the images of 28x28 that the reader cuts.
"""
import mxnet as mx

from book_code import sec_5_4_5

BATCH_SIZE = 100


def _bn_act(net, suffix):
    net = mx.sym.BatchNorm(net, name='bn' + suffix, fix_gamma=False)
    return mx.sym.Activation(net, name='act' + suffix, act_type='relu')


def _conv(net, name, filters, stride=1):
    return mx.sym.Convolution(net, name=name, kernel=(3, 3), pad=(1, 1), num_filter=filters, stride=(stride, stride))


def res_block(net, suffix, n_block, n_filter, stride=1):
    """The book's ResBlock: units of BN ReLU C3x3 BN ReLU C3x3, plus the input; in the first, plus a 1x1 convolution of
    what its first ReLU gives."""
    for i in range(n_block):
        pathway = net
        net = _bn_act(net, f'{suffix}_a{i}')
        if i == 0:
            pathway = mx.sym.Convolution(net, name='adj' + suffix, kernel=(1, 1), stride=(stride, stride),
                                         num_filter=n_filter)
        net = _conv(net, f'conv{suffix}_a{i}', n_filter, stride if i == 0 else 1)
        net = _conv(_bn_act(net, f'{suffix}_b{i}'), f'conv{suffix}_b{i}', n_filter)
        net = net + pathway
    return net


def symbol(units=(3, 3, 3), filters=(32, 64, 64, 128), width=1.0, classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    filters = [round(width * number) for number in filters]
    net = mx.sym.BatchNorm(mx.sym.Variable('data'), name='bnPRE', fix_gamma=False)
    net = _conv(net, 'convPRE', filters[0])
    for stage, count in enumerate(units, 1):
        net = res_block(net, str(stage), count, filters[stage], 2 if stage > 1 else 1)
    net = mx.sym.Pooling(_bn_act(net, 'FINAL'), name='pool', pool_type='avg', kernel=(1, 1), global_pool=True)
    net = mx.sym.FullyConnected(mx.sym.Flatten(net, name='flatten'), name='fc', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`, for as many epochs as its log has."""
    return sec_5_4_5.settings(updates_per_epoch, factor=0.984)
