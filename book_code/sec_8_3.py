"""8.3: DCGAN: two graphs, two Modules, and the loop that trains them against each other."""
import mxnet as mx

_BN = dict(fix_gamma=True, eps=1e-5 + 1e-12)
_TWICE = dict(kernel=(4, 4), stride=(2, 2), pad=(1, 1))  # or half the side


def generator(size=64, channels=3, width=64, codes=100, **_):
    """Codes (N, codes, 1, 1) -> images (N, channels, size, size) from -1 to 1."""
    net = mx.sym.Variable('rand')
    filters, number = width * size // 8, 1
    while filters >= width:  # 512x4x4, 256x8x8, 128x16x16, 64x32x32
        kind = _TWICE if number > 1 else dict(kernel=(4, 4))
        net = mx.sym.Deconvolution(net, name=f'g{number}', num_filter=filters, **kind)
        net = mx.sym.BatchNorm(net, name=f'gbn{number}', **_BN)
        net = mx.sym.LeakyReLU(net, name=f'gact{number}', act_type='prelu')
        filters, number = filters // 2, number + 1
    net = mx.sym.Deconvolution(net, name=f'g{number}', num_filter=channels, **_TWICE)
    return mx.sym.Activation(net, name='gout', act_type='tanh')


def discriminator(size=64, width=64, **_):
    """Images (N, channels, size, size) -> the probability of being real, (N, 1)."""
    net = mx.sym.Variable('data')
    filters, number = width, 1
    while filters <= width * size // 8:  # 64x32x32, 128x16x16, 256x8x8, 512x4x4
        net = mx.sym.Convolution(net, name=f'd{number}', num_filter=filters, **_TWICE)
        if number > 1:
            net = mx.sym.BatchNorm(net, name=f'dbn{number}', **_BN)
        net = mx.sym.LeakyReLU(net, name=f'dact{number}', act_type='prelu')
        filters, number = filters * 2, number + 1
    net = mx.sym.Convolution(net, name=f'd{number}', kernel=(4, 4), num_filter=1)
    return mx.sym.LogisticRegressionOutput(mx.sym.Flatten(net), mx.sym.Variable('label'), name='dloss')


def modules(batch_size, context, size=64, channels=3, width=64, codes=100, dtype='float32'):
    """The two Modules, bound, with first values and optimizers."""
    sizes = dict(size=size, channels=channels, width=width, codes=codes)

    def data(name, shape):
        return [mx.io.DataDesc(name, shape, dtype)]
    g = mx.mod.Module(generator(**sizes), ['rand'], None, context=context)
    g.bind(data('rand', (batch_size, codes, 1, 1)))
    d = mx.mod.Module(discriminator(**sizes), ['data'], ['label'], context=context)
    d.bind(data('data', (batch_size, channels, size, size)), data('label', (batch_size, 1)),
           inputs_need_grad=True)
    for module in (g, d):
        module.init_params(mx.init.MSRAPrelu(slope=0.2))
        module.init_optimizer(optimizer='adam', optimizer_params=OPTIMIZER)
    return g, d


def step(g, d, images, codes):
    """One step: D once, by real and made images together, then G once.

    Returns
    -------
    (NDArray, NDArray)
        D's answers (N, 1) for the real and the made images.
    """
    ones = mx.nd.ones((len(images), 1), dtype=images.dtype)
    zeros = mx.nd.zeros_like(ones)
    d.forward(mx.io.DataBatch([images], [ones]), is_train=True)
    d.backward()
    of_real = d.get_outputs()[0].copy()
    kept = [[gradient.copy() for gradient in gradients if gradient is not None]
            for gradients in d._exec_group.grad_arrays]
    g.forward(mx.io.DataBatch([codes], None), is_train=True)
    made = g.get_outputs()
    d.forward(mx.io.DataBatch(made, [zeros]), is_train=True)
    d.backward()
    of_made = d.get_outputs()[0].copy()
    for gradients, others in zip(d._exec_group.grad_arrays, kept):
        for gradient, other in zip(gradients, others):
            gradient += other
    d.update()
    # In prediction mode: the statistics of BN have seen these images already.
    d.forward(mx.io.DataBatch(made, [ones]), is_train=False)
    d.backward()
    g.backward(d.get_input_grads())
    g.update()
    return of_real, of_made


OPTIMIZER = {'learning_rate': 0.0002, 'beta1': 0.5}
BATCH_SIZE = 64
EPOCHS = 500
