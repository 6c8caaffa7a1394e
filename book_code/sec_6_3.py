"""6.3: the policy network of AlphaGo."""
import mxnet as mx


def convolution(net, name, filters, side):
    return mx.sym.Convolution(net, name=name, kernel=(side, side), pad=(side // 2, side // 2),
                              num_filter=filters)


def relu(net):
    return mx.sym.Activation(net, act_type='relu')


def body(layers, filters):
    net = relu(convolution(mx.sym.Variable('data'), 'conv1', filters, 5))
    for number in range(2, layers + 1):
        net = relu(convolution(net, f'conv{number}', filters, 3))
    return net


def symbol(layers=12, filters=192, planes=48):
    """The policy network, v13: (N, 48, 19, 19) -> probabilities (N, 361)."""
    net = mx.sym.Flatten(convolution(body(layers, filters), f'conv{layers + 1}', 1, 1))
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def settings(updates_per_epoch):
    """The paper's for the policy network: half the rate every 80 million updates; an epoch is 20 million."""
    schedule = mx.lr_scheduler.FactorScheduler(step=4 * updates_per_epoch, factor=0.5)
    return dict(num_epoch=17, optimizer='sgd', initializer=mx.init.Xavier(), eval_metric='acc',
                optimizer_params={'learning_rate': 0.003, 'lr_scheduler': schedule})


BATCH_SIZE = 16
