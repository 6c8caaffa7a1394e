"""6.3: the policy and the value network of AlphaGo, and AlphaGo Zero's network with its two heads."""
import mxnet as mx


def _convolution(net, name, filters, side):
    return mx.sym.Convolution(net, name=name, kernel=(side, side), pad=(side // 2, side // 2), num_filter=filters)


def _relu(net):
    return mx.sym.Activation(net, act_type='relu')


def _body(layers, filters):
    net = _relu(_convolution(mx.sym.Variable('data'), 'conv1', filters, 5))
    for number in range(2, layers + 1):
        net = _relu(_convolution(net, f'conv{number}', filters, 3))
    return net


def symbol(layers=12, filters=192, planes=48):
    """The policy network, v13: (N, 48, 19, 19) -> probabilities (N, 361)."""
    net = mx.sym.Flatten(_convolution(_body(layers, filters), f'conv{layers + 1}', 1, 1))
    return mx.sym.SoftmaxOutput(net, mx.sym.Variable('label'), name='softmax')


def value(layers=12, filters=192, hidden=256):
    """(N, 49, 19, 19) -> the probability (N, 1) that the player to move wins."""
    net = _relu(_convolution(_body(layers, filters), f'conv{layers + 1}', 1, 1))
    net = _relu(mx.sym.FullyConnected(net, name='fc1', num_hidden=hidden))
    net = mx.sym.FullyConnected(net, name='fc2', num_hidden=1)
    return mx.sym.LogisticRegressionOutput(net, mx.sym.Variable('label'), name='value')


def zero(units=39, filters=256, size=19, hidden=256):
    """(N, 17, 19, 19) -> probabilities of moves (N, 362), and of winning (N, 1)."""
    def bn(net, name):
        return mx.sym.BatchNorm(net, name=name, fix_gamma=False)

    net = _relu(bn(_convolution(mx.sym.Variable('data'), 'conv1', filters, 3), 'bn1'))
    for number in range(1, units + 1):
        body = _relu(bn(_convolution(net, f'unit{number}_conv1', filters, 3), f'unit{number}_bn1'))
        body = bn(_convolution(body, f'unit{number}_conv2', filters, 3), f'unit{number}_bn2')
        net = _relu(net + body)
    moves = _relu(bn(_convolution(net, 'policy_conv', 2, 1), 'policy_bn'))
    moves = mx.sym.FullyConnected(moves, name='policy_fc', num_hidden=size * size + 1)
    moves = mx.sym.SoftmaxOutput(moves, mx.sym.Variable('policy_label'), name='policy')
    wins = _relu(bn(_convolution(net, 'value_conv', 1, 1), 'value_bn'))
    wins = _relu(mx.sym.FullyConnected(wins, name='value_fc1', num_hidden=hidden))
    wins = mx.sym.FullyConnected(wins, name='value_fc2', num_hidden=1)
    wins = mx.sym.LogisticRegressionOutput(wins, mx.sym.Variable('value_label'), name='value')
    return mx.sym.Group([moves, wins])


def settings(updates_per_epoch):
    """The paper's for the policy network: the rate halved every 80 million updates; an epoch is 20 million."""
    schedule = mx.lr_scheduler.FactorScheduler(step=4 * updates_per_epoch, factor=0.5)
    return dict(num_epoch=17, optimizer='sgd', optimizer_params={'learning_rate': 0.003, 'lr_scheduler': schedule},
                initializer=mx.init.Xavier(), eval_metric='acc')


BATCH_SIZE = 16
