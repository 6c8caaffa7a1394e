"""The proof that our networks compute what the book's listings compute.

On one side the book's symbolic graph under `mx.mod.Module` with the settings that the book passes to `Module.fit`; on
the other our network, recipe and training steps. Same parameters and batches in; then everything is compared. In
float64: in float32 rounding alone moves a maximum from one pixel to the next, and ten updates make much of it.
"""
from dataclasses import dataclass, field, replace

import mxnet as mx
import numpy as np
from mxnet import nd

from chapters.kit.networks.layer_table import layer_table
from chapters.kit.proof.symbolic import paired_names
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_initializer, make_optimizer
from chapters.kit.training.train import Objective, PlainStep

TOLERANCE = 1e-5
UPDATES = 10

_MOST_WORK = 3e8  # floating point operations of a batch, forward
_UPDATES_PER_EPOCH = 100  # to compare schedules by; any number shows where the rate changes


@dataclass
class Parity:
    """How far the two forms of one listing are apart.

    Attributes
    ----------
    section, listing : str
    differences : dict of str to float
        Largest relative differences: 'outputs' in prediction before and after the updates, 'losses' of every sample
        of all updates, 'gradients' of the first update, 'parameters' and 'statistics' (of BN) after the last.
    complaints : list of str
        Settings that differ: batch size, epochs, optimizer, schedule, initial values.
    """
    section: str
    listing: str
    differences: dict = field(default_factory=dict)
    complaints: list = field(default_factory=list)

    @property
    def holds(self):
        return not self.complaints and all(value <= TOLERANCE for value in self.differences.values())


def parity(experiment, step='compiled', seed=0):
    """Compare an experiment with its listing.

    Parameters
    ----------
    experiment : Experiment
    step : str
        'compiled' or 'plain': which of our training steps.
    seed : int

    Returns
    -------
    Parity
    """
    small = dict(experiment.small)
    experiment = replace(experiment, sample_shape=small.pop('sample_shape', experiment.sample_shape),
                         sizes={**experiment.sizes, **small})
    listing, recipe = experiment.symbolic_form(), experiment.recipe
    result = Parity(experiment.section, experiment.symbolic)
    random = seed_everything(seed)
    device = mx.cpu()
    symbol = listing.symbol(**experiment.sizes)
    classes = experiment.sizes.get('classes', 10)
    work = sum(layer.flops or 0 for layer in layer_table(experiment.build(), experiment.input_shape))
    if work * recipe.batch_size > _MOST_WORK:  # a few samples prove as much as many
        recipe = recipe.but(batch_size=max(2, int(_MOST_WORK / work)))
    shape = (recipe.batch_size,) + experiment.input_shape[1:]
    batches = [_batch(random, shape, experiment.objective, classes) for _ in range(UPDATES)]

    network = experiment.build()
    initialize(network, recipe, np.zeros(experiment.input_shape), [device])
    pairs = paired_names(symbol, network)
    network.cast('float64')
    parameters = network.collect_params()
    for parameter in parameters.values():  # not the book's tiny start: every operator must matter
        if parameter.grad_req != 'null':
            values = (random.normal(0, 0.5 / np.sqrt(np.prod(parameter.shape[1:])), parameter.shape)
                      if len(parameter.shape) > 1 else random.uniform(0.1, 1, parameter.shape))
            parameter.set_data(nd.array(values, dtype='float64'))

    module = mx.mod.Module(symbol, ['data'], ['label'], context=device)
    module.bind([mx.io.DataDesc('data', shape, 'float64')], [mx.io.DataDesc('label', shape[:1], 'float64')])
    ours = {theirs: parameters[name].data() for theirs, name in pairs.items()}
    module.init_params(arg_params=ours, aux_params=ours)
    settings = _settings(listing)
    module.init_optimizer(optimizer=settings['optimizer'], optimizer_params=dict(settings['optimizer_params']))

    objective = Objective(network, experiment.objective, recipe)
    optimizer = make_optimizer(recipe, _UPDATES_PER_EPOCH, network)
    update = (CompiledStep(objective, optimizer, [shape, shape[:1]], device) if step == 'compiled'
              else PlainStep(objective, optimizer, [device]))

    def outputs():
        module.forward(mx.io.DataBatch([batches[0][0]], None), is_train=False)
        answer = network(batches[0][0])
        if experiment.objective == 'softmax':
            answer = nd.softmax(answer)
        return _difference(module.get_outputs()[0].asnumpy(), answer.asnumpy().reshape(shape[0], -1))

    before = outputs()
    losses = 0.0
    for number, (x, y) in enumerate(batches):
        module.forward_backward(mx.io.DataBatch([x], [y]))
        statistics = update(x, y).asnumpy()
        update.synchronize()

        losses = max(losses, _difference(_losses(module.get_outputs()[0].asnumpy(), y.asnumpy(), experiment.objective),
                                         statistics[0]))
        if number == 0:
            theirs = dict(zip(module._exec_group.param_names, module._exec_group.grad_arrays))
            result.differences['gradients'] = _largest_difference(
                {name: arrays[0].asnumpy() for name, arrays in theirs.items()},
                {name: parameters[pairs[name]].grad().asnumpy() for name in theirs})
        module.update()
    arguments, statistics = module.get_params()
    for name, theirs in (('parameters', arguments), ('statistics', statistics)):
        if theirs:
            result.differences[name] = _largest_difference(
                {key: array.asnumpy() for key, array in theirs.items()},
                {key: parameters[pairs[key]].data().asnumpy() for key in theirs})
    result.differences.update(outputs=max(before, outputs()), losses=losses)
    result.complaints = _compare_settings(listing, experiment, symbol)
    return result


def print_parity(experiments, console):
    """Print a line for every listing; returns the exit code: 1 if one does not hold."""
    from rich.table import Table
    kinds = ('outputs', 'losses', 'gradients', 'parameters', 'statistics')
    table = Table('section', 'listing', 'step', *kinds, 'settings', f'within {TOLERANCE:g}')
    holds = True
    for experiment in experiments:
        for step in experiment.steps:
            result = experiment.prove(step)
            holds &= result.holds
            table.add_row(result.section, f'book_code/{result.listing}.py', step,
                          *(f'{result.differences[kind]:.1e}' if kind in result.differences else '-'
                            for kind in kinds),
                          '; '.join(result.complaints) or 'equal', 'yes' if result.holds else 'NO')
    console.print(table)
    print(f'relative differences after {UPDATES} updates, Module against our training steps')
    return 0 if holds else 1


def _batch(random, shape, objective, classes):
    """Inputs as the experiment has them: numbers from 0 to 1, with class numbers or their maximum."""
    x = random.random(shape)
    y = random.integers(0, classes, shape[0]) if objective == 'softmax' else x.reshape(shape[0], -1).max(axis=1)
    return nd.array(x, dtype='float64'), nd.array(y, dtype='float64')


def _losses(output, y, objective):
    """What our statistics hold, from the output of the book's graph."""
    if objective == 'square':
        return np.square(output.reshape(-1) - y)
    return -np.log(output[np.arange(len(y)), y.astype(int)])


def _difference(theirs, ours, scale=0.0):
    """Largest difference of two arrays, relative to their largest entry (or to `scale` if that is larger)."""
    if theirs.shape != ours.shape:
        return float('inf')
    return float(np.abs(theirs - ours).max() / max(np.abs(theirs).max(), scale, 1e-30))


def _largest_difference(theirs, ours):
    """Largest relative difference over arrays of the same names.

    Some arrays are 0 by theory and rounding noise in practice (the bias of a convolution before BN has no gradient):
    nothing counts as smaller than a hundredth of the largest array.
    """
    scale = max(np.abs(array).max() for array in theirs.values()) / 100
    return max(_difference(theirs[name], ours[name], scale) for name in theirs)


def _settings(listing):
    """The listing's settings, its schedule starting from its rate as the optimizer would have it."""
    settings = listing.settings(_UPDATES_PER_EPOCH)
    schedule = settings['optimizer_params'].get('lr_scheduler')
    if schedule is not None:
        schedule.base_lr = settings['optimizer_params']['learning_rate']
    return settings


def _compare_settings(listing, experiment, symbol):
    """What differs between the book's settings and our recipe, in words."""
    settings, recipe, complaints = _settings(listing), experiment.recipe, []
    for name, theirs, ours in (('epochs', settings['num_epoch'], recipe.epochs),
                               ('batch size', listing.BATCH_SIZE, recipe.batch_size),
                               ('optimizer', settings['optimizer'], recipe.optimizer),
                               ('momentum', settings['optimizer_params'].get('momentum', 0), recipe.momentum),
                               ('weight decay', settings['optimizer_params'].get('wd', 0), recipe.weight_decay)):
        if theirs != ours:
            complaints.append(f'{name} {theirs} in the book, {ours} here')
    schedule = settings['optimizer_params'].get('lr_scheduler')
    rate = settings['optimizer_params']['learning_rate']
    for update in range(1, recipe.epochs * _UPDATES_PER_EPOCH + 1):
        theirs = schedule(update) if schedule is not None else rate
        ours = recipe.rate(update, _UPDATES_PER_EPOCH)
        if abs(theirs - ours) > 1e-9 * rate:
            complaints.append(f'rate of update {update}: {theirs:g} in the book, {ours:g} here')
            break
    complaints += _compare_initial_values(settings['initializer'], experiment, symbol)
    return complaints


def _compare_initial_values(initializer, experiment, symbol):
    """Draw every parameter's first values on both sides from the same random state."""
    network = experiment.build()
    ours_initializer = make_initializer(experiment.recipe.initializer)
    initialize(network, experiment.recipe, np.zeros(experiment.input_shape, np.float32), [mx.cpu()])
    attributes = symbol.attr_dict()
    for theirs, ours in paired_names(symbol, network).items():
        parameter = network.collect_params()[ours]
        array = nd.zeros(parameter.shape)
        seed_everything(1)
        initializer(mx.init.InitDesc(theirs, attributes.get(theirs, {})), array)
        seed_everything(1)
        parameter.initialize(default_init=ours_initializer, force_reinit=True)
        if not np.array_equal(array.asnumpy(), parameter.data().asnumpy()):
            return [f'initial values of {theirs} differ from those of {ours}']
    return []
