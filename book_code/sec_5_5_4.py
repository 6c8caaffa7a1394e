"""5.5.4: the residual policy network for Go, as the chapter on residual networks prints it.

The listing: lines 6400 to 6425. 7.2's program builds the same network under other names (`sec_7_2`), and the file of parameters
that the book publishes, model-39540.params, has others again.
"""
import mxnet as mx

# What the layers are called: the first convolution; BN and convolution, twice, of a unit; BN and convolution at the end; and
# the number of the first unit.
NAMES = {
    '5.5.4': ('convPRE', ('bnA{}', 'convA{}', 'bnB{}', 'convB{}'), ('bnFINAL', 'convFINAL'), 0),
    '7.2': ('preconv1', ('bnA{}', 'convA{}', 'bnB{}', 'convB{}'), ('finalbn1', 'finalconv1'), 1),
    'published': ('FIRSTconv1', ('BODYbnA{}', 'BODYconvA{}', 'BODYbnB{}', 'BODYconvB{}'), ('LASTbn1', 'LASTconv1'), 1)}


def symbol(units=6, filters=128, planes=8, names='5.5.4'):
    """(N, 8, 19, 19), planes as they come out of the packed files (7.1) -> probabilities (N, 361)."""
    first, in_unit, (last_bn, last_convolution), number = NAMES[names]

    def convolution(net, name):
        return mx.sym.Convolution(net, name=name, kernel=(3, 3), pad=(1, 1), num_filter=filters)

    def bn_relu(net, name):
        return mx.sym.Activation(mx.sym.BatchNorm(net, name=name, fix_gamma=False), name=name.replace('bn', 'act'),
                                 act_type='relu')

    net = convolution(mx.sym.Variable('data'), first)
    for unit in range(number, number + units):
        bn_a, convolution_a, bn_b, convolution_b = (name.format(unit) for name in in_unit)
        body = convolution(bn_relu(net, bn_a), convolution_a)
        body = convolution(bn_relu(body, bn_b), convolution_b)
        net = body + net
    net = mx.sym.Convolution(bn_relu(net, last_bn), name=last_convolution, kernel=(1, 1), num_filter=1)
    return mx.sym.SoftmaxOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='softmax')


def other_names(**sizes):
    """The same graph under every name that its parameters have in files."""
    return [symbol(**sizes, names=names) for names in NAMES]


def settings(updates_per_epoch):
    """What the book passes to `Module`."""
    return dict(num_epoch=1000, optimizer='sgd', optimizer_params={'learning_rate': 0.1, 'momentum': 0.0, 'wd': 0.0},
                initializer=mx.init.MSRAPrelu('avg', 0.0), eval_metric='acc')


BATCH_SIZE = 256
