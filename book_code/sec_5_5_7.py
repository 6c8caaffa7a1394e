"""5.5.7: the pre-activation ResNet for CIFAR-10."""
import mxnet as mx

from book_code import sec_5_4_5

BATCH_SIZE = 100


def _bn_relu(net, name):
    net = mx.sym.BatchNorm(net, name=f'{name}_bn', fix_gamma=False)
    return mx.sym.Activation(net, name=f'{name}_relu', act_type='relu')


def _convolution(net, name, filters, stride=1, kernel=3):
    return mx.sym.Convolution(net, name=name, kernel=(kernel, kernel), stride=(stride, stride),
                              pad=(kernel // 2, kernel // 2), num_filter=filters)


def unit(net, name, filters, stride, new_shape):
    """BN ReLU C3x3 BN ReLU C3x3, plus the input, or a 1x1 convolution of what the first ReLU gives."""
    first = _bn_relu(net, f'{name}_1')
    body = _convolution(first, f'{name}_conv1', filters, stride)
    body = _convolution(_bn_relu(body, f'{name}_2'), f'{name}_conv2', filters)
    shortcut = _convolution(first, f'{name}_shortcut', filters, stride, kernel=1) if new_shape else net
    return body + shortcut


def symbol(units=(3, 3, 3), filters=(32, 64, 64, 128), width=1.0, classes=10):
    """(N, 3, 28, 28), pixels from 0 to 255 -> probabilities (N, 10)."""
    filters = [round(width * number) for number in filters]
    net = mx.sym.BatchNorm(mx.sym.Variable('data'), name='data_bn', fix_gamma=False)
    net = _convolution(net, 'conv1', filters[0])
    for stage, count in enumerate(units, 1):
        for number in range(1, count + 1):
            stride = 2 if stage > 1 and number == 1 else 1
            net = unit(net, f'stage{stage}_unit{number}', filters[stage], stride, number == 1)
    net = mx.sym.Pooling(_bn_relu(net, 'last'), pool_type='avg', kernel=(1, 1), global_pool=True)
    net = mx.sym.FullyConnected(net, name='fc', num_hidden=classes)
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What the book passes to `Module.fit`."""
    return sec_5_4_5.settings(updates_per_epoch, factor=0.984)
