"""What a recipe means to MXNet: first values, optimizer and schedule, layers that keep what they have learnt (5.3)."""
import mxnet as mx
import numpy as np
from mxnet import gluon, nd

from chapters.kit.networks.layers import layers
from data_tools.errors import UserError


def initialize(network, recipe, sample, devices):
    """Give all parameters their first values, shapes being inferred from one sample (1, ...).

    Raises
    ------
    UserError
        The network does not take such a sample, or not one of the recipe's `small_pixels`.
    """
    network.initialize(make_initializer(recipe.initializer), ctx=devices)
    sides = [sample.shape[2:]] + [(recipe.small_pixels,) * 2] * bool(recipe.small_pixels)
    network.hybridize(False)
    for side in sides:
        shape = sample.shape[:2] + tuple(side)
        try:
            for device in devices:
                network(nd.array(sample, device) if shape == sample.shape else nd.zeros(shape, device)).wait_to_read()
        except (mx.MXNetError, ValueError) as error:
            reason = [line for line in str(error).splitlines() if line.strip()][-1].rpartition('Check failed: ')[2]
            size = 'x'.join(map(str, shape[1:]))
            do = 'leave small_pixels and small_epochs out' if shape != sample.shape else \
                '--set pixels=N gives it images of another size' if len(shape) == 4 else 'give it other samples'
            raise UserError(f'the network does not take samples of {size} ({" ".join(reason.split())[:160]}); {do}') from None
    network.hybridize(static_alloc=True, static_shape=True)


def prepare_transfer(network, recipe):
    """Section 5.3: let some layers keep what they have learnt elsewhere, and the others, and biases, learn at their own rates.

    Raises
    ------
    UserError
        `frozen` or `fresh` name no layer.
    """
    for field in ('frozen', 'fresh'):
        for start in getattr(recipe, field).split():
            if not any(name.startswith(start) for name in layers(network)):
                raise UserError(f'{field}={start}: no layer begins so; there are {", ".join(layers(network))}')
    for name, layer in layers(network).items():
        frozen, fresh = (name.startswith(tuple(getattr(recipe, field).split()) or ('-',))
                         for field in ('frozen', 'fresh'))
        for parameter in layer.collect_params().values():
            if frozen:
                parameter.grad_req = 'null'
            biases = parameter.name.endswith(('_bias', '_beta'))
            parameter.lr_mult = (1.0 if fresh else recipe.old_rate) * (recipe.bias_rate if biases else 1.0)
        if frozen and isinstance(layer, gluon.nn.BatchNorm):
            layer._kwargs['use_global_stats'] = True  # neither normalise by the new data nor follow it
    network.hybridize(static_alloc=True, static_shape=True)


def make_initializer(text):
    """The `mxnet.init.Initializer` that a recipe names: 'uniform(0.01)', 'constant(0)', 'xavier', 'dirac', 'msra(avg,0)'..."""
    name, _, arguments = text.rstrip(')').partition('(')
    arguments = [argument.strip() for argument in arguments.split(',') if argument.strip()]
    try:
        if name == 'uniform':
            return mx.init.Uniform(float(*arguments))
        if name == 'normal':
            return mx.init.Normal(float(*arguments))
        if name == 'constant':
            return mx.init.Constant(float(*arguments))
        if name in ('xavier', 'dirac') and not arguments:
            return mx.init.Xavier() if name == 'xavier' else Dirac()
        if name == 'msra':
            factor_type, slope = arguments
            return mx.init.MSRAPrelu(factor_type, float(slope))
    except (TypeError, ValueError):
        pass
    raise UserError(f'initializer={text}: not one of uniform(SCALE), normal(SIGMA), constant(VALUE), xavier, dirac, '
                    'msra(avg,SLOPE)')


class Dirac(mx.init.Initializer):
    """Convolutions hand on their input planes to as many of their filters; all else starts by chance.

    The others have numbers from -r to r where r is 1 / sqrt(inputs of a neuron), as all have in layers that are no
    convolutions. Zagoruyko, Komodakis, "DiracNets", 2017 (https://arxiv.org/abs/1706.00388).
    """
    def _init_weight(self, name, weight):
        bound = np.prod(weight.shape[1:]) ** -0.5
        mx.nd.random.uniform(-bound, bound, out=weight)
        if len(weight.shape) == 4:
            values = weight.asnumpy()
            planes = min(values.shape[:2])
            values[:planes] = 0
            values[range(planes), range(planes), values.shape[2] // 2, values.shape[3] // 2] = 1
            weight[:] = values


def make_optimizer_settings(recipe, updates_per_epoch):
    """The arguments of a recipe's `mxnet.optimizer`, its schedule among them."""
    class Schedule(mx.lr_scheduler.LRScheduler):
        scale = 1.0  # what the rule of 7.2 has made of it

        def __call__(self, num_update):
            return self.scale * recipe.rate(max(1, num_update), updates_per_epoch)
    settings = dict(learning_rate=recipe.peak_learning_rate, wd=recipe.weight_decay,
                    rescale_grad=1 / recipe.batch_size, lr_scheduler=Schedule(recipe.peak_learning_rate))
    if recipe.optimizer in ('sgd', 'nag', 'nagw', 'muon'):
        settings['momentum'] = recipe.momentum
    elif recipe.optimizer == 'adam' and recipe.momentum:
        settings['beta1'] = recipe.momentum
    return settings


def require_known(recipe):
    """Raise a `UserError` if a recipe names an initializer or an optimizer that there is not."""
    make_initializer(recipe.initializer)
    known = mx.optimizer.Optimizer.opt_registry
    if recipe.optimizer.lower() not in known:
        from chapters.kit.training import optimizers  # noqa: F401  with it MXNet knows ours, too
    if recipe.optimizer.lower() not in known:
        raise UserError(f'optimizer={recipe.optimizer}: there is no such optimizer; try sgd, adam, nagw or muon')


def make_optimizer(recipe, updates_per_epoch, network):
    """The optimizer of a recipe, with its schedule; it divides gradients by the batch size.

    Weight decay acts on weights and on the scale of batch normalisation, not on biases, as under `Module`.

    Raises
    ------
    UserError
        There is no such optimizer.
    """
    parameters = network.collect_params()
    for name, parameter in parameters.items():
        if not name.endswith(('_weight', '_gamma')):
            parameter.wd_mult = 0
    require_known(recipe)
    optimizer = mx.optimizer.create(recipe.optimizer, param_dict=dict(enumerate(parameters.values())),
                                    **make_optimizer_settings(recipe, updates_per_epoch))
    if recipe.lookahead:
        from chapters.kit.training.optimizers import Lookahead
        optimizer = Lookahead(optimizer, recipe.lookahead)
    return optimizer
