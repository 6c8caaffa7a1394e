"""The listings of chapters 2 and 3 as tables, typed from the book; `test_operators` says how to read them."""
import mxnet as mx

DEFAULTS = {
    'Activation': dict(act_type=None),
    'Flatten': {},
    'FullyConnected': dict(num_hidden=None, no_bias=False, flatten=True),
    'LinearRegressionOutput': dict(grad_scale=1),
    'SoftmaxOutput': dict(grad_scale=1, ignore_label=-1, use_ignore=False, multi_output=False, preserve_shape=False,
                          normalization='null', out_grad=False, smooth_alpha=0),
    'broadcast_mul': {},
    'sigmoid': {},
}

TABLES = {
    'sec_2_2_8': dict(
        lines='2132 to 2236', batch_size=1, epochs=1, rates={1: 0.1, 1000: 0.1}, initializer=mx.init.Uniform(0.01),
        metric='mse', rows=[
            ('FullyConnected', 'fc', dict(num_hidden=1), ['data']),
            ('LinearRegressionOutput', 'reg')]),
    'sec_2_3_2': dict(  # the lines of `*tmp` and `*out` are the book's; the network is that of 2.3.9
        lines='2394 to 2395', batch_size=10, epochs=10, rates={1: 0.1, 10000: 0.1}, initializer=mx.init.Uniform(0.5),
        metric='mse', rows=[
            ('FullyConnected', 'fc1', dict(num_hidden=10), ['data']),
            ('sigmoid', '*tmp1'),
            ('broadcast_mul', '*out1', {}, ['fc1', '*tmp1']),
            ('FullyConnected', 'fc2', dict(num_hidden=10)),
            ('sigmoid', '*tmp2'),
            ('broadcast_mul', '*out2', {}, ['fc2', '*tmp2']),
            ('FullyConnected', 'fc3', dict(num_hidden=1)),
            ('LinearRegressionOutput', 'reg')]),
    'sec_2_3_9': dict(
        lines='2652 to 2723', batch_size=10, epochs=10, rates={1: 0.1, 10000: 0.1}, initializer=mx.init.Uniform(0.5),
        metric='mse', rows=[
            ('FullyConnected', 'fc1', dict(num_hidden=10), ['data']),
            ('Activation', 'act1', dict(act_type='relu')),
            ('FullyConnected', 'fc2', dict(num_hidden=10)),
            ('Activation', 'act2', dict(act_type='relu')),
            ('FullyConnected', 'fc3', dict(num_hidden=1)),
            ('LinearRegressionOutput', 'reg')]),
    'sec_3_4_2': dict(
        lines='3526 to 3676', batch_size=32, epochs=20, updates_per_epoch=60000 // 32, initializer=mx.init.Uniform(0.01),
        metric='acc', rates={1: 0.2, 1875: 0.2, 1876: 0.18, 35625: 0.0300189, 35626: 0.0270170},  # as its log says
        rows=[
            ('Flatten', 'flatten', {}, ['data']),
            ('FullyConnected', 'fc1', dict(num_hidden=128)),
            ('Activation', 'act1', dict(act_type='relu')),
            ('FullyConnected', 'fc2', dict(num_hidden=64)),
            ('Activation', 'act2', dict(act_type='relu')),
            ('FullyConnected', 'fc3', dict(num_hidden=10)),
            ('SoftmaxOutput', 'softmax')]),
}
