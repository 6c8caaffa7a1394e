"""5.5.4 and 7.2: the residual policy network for Go, with the layer names of the published parameters."""
import mxnet as mx


def symbol(units=6, filters=128, planes=8):
    """(N, 8, 19, 19), planes as they come out of the packed files (7.1) -> probabilities (N, 361)."""
    def convolution(net, name):
        return mx.sym.Convolution(net, name=name, kernel=(3, 3), pad=(1, 1), num_filter=filters)

    def bn_relu(net, name):
        return mx.sym.Activation(mx.sym.BatchNorm(net, name=name, fix_gamma=False), act_type='relu')

    net = convolution(mx.sym.Variable('data'), 'FIRSTconv1')
    for unit in range(1, units + 1):
        body = convolution(bn_relu(net, f'BODYbnA{unit}'), f'BODYconvA{unit}')
        body = convolution(bn_relu(body, f'BODYbnB{unit}'), f'BODYconvB{unit}')
        net = net + body
    net = mx.sym.Convolution(bn_relu(net, 'LASTbn1'), name='LASTconv1', kernel=(1, 1), num_filter=1)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """What the book passes to `Module`; its rule for the rate works on the losses, from outside."""
    return dict(num_epoch=1000, optimizer='sgd', optimizer_params={'learning_rate': 0.1, 'momentum': 0.0, 'wd': 0.0},
                initializer=mx.init.MSRAPrelu('avg', 0.0), eval_metric='acc')


BATCH_SIZE = 256
