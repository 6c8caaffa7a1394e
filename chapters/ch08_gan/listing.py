"""The proof that `AdversarialStep` computes what the two Modules of 8.3's listing compute."""
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import nd

from chapters.ch08_gan.adversarial import AdversarialStep, build
from chapters.ch08_gan.dcgan import LearntSlopes
from chapters.kit.proof.parity import UPDATES, Parity
from chapters.kit.proof.symbolic import paired_names
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import make_initializer

_BATCH = 4  # a few images prove as much as many
_WIDTH = 8


def parity(experiment, seed=0):
    """Compare ten steps of both forms, from the same parameters, codes and images, in float64.

    Parameters
    ----------
    experiment : Experiment
    seed : int

    Returns
    -------
    chapters.kit.proof.parity.Parity
        'outputs' of G, 'losses' (D's answers to the real and the made images of every step), 'gradients' of
        the first step, 'parameters' and 'statistics'.
    """
    listing, device = experiment.symbolic_form(), mx.cpu()
    sizes = {'size': 64, 'channels': 3, **experiment.sizes, 'width': _WIDTH}
    recipe = experiment.recipe.but(batch_size=_BATCH)
    result = Parity(experiment.section, experiment.symbolic)
    random = seed_everything(seed)
    network = build(replace(experiment, sizes=sizes), sizes['channels'], recipe, device, 'float64')
    theirs = listing.modules(_BATCH, device, dtype='float64', **sizes)
    pairs = []
    for module, ours in zip(theirs, (network.generator, network.discriminator)):
        symbol = _input_called_data(module.symbol)
        names, parameters = paired_names(symbol, ours), ours.collect_params()
        module.set_params(*({name: parameters[names[name]].data() for name in listed}
                            for listed in (module._param_names, module._aux_names)))
        pairs.append((module, names, parameters))
    result.complaints = _compare_settings(listing, experiment, theirs, pairs)

    LearntSlopes.by_operator = True  # in float64 MXNet's own is wrong, and the same mistake on both sides proves enough
    try:
        step = AdversarialStep(network, recipe, 100, device)
    finally:
        LearntSlopes.by_operator = False
    differences = dict.fromkeys(('outputs', 'losses', 'gradients', 'parameters', 'statistics'), 0.0)

    def compare(kind, a, b, scale=0.0):
        difference = float(np.abs(a - b).max() / max(np.abs(a).max(), scale, 1e-30))
        differences[kind] = max(differences[kind], difference)
    for number in range(UPDATES):
        images = nd.array(random.uniform(-1, 1, (_BATCH, sizes['channels'], sizes['size'], sizes['size'])),
                          dtype='float64')
        codes = nd.array(random.standard_normal((_BATCH, network.codes)), dtype='float64')
        of_real, of_made = listing.step(*theirs, images, codes.reshape((0, 0, 1, 1)))
        figures = [figure.asnumpy() for figure in step(images, codes)]
        compare('outputs', theirs[0].get_outputs()[0].asnumpy(), step.images.asnumpy())
        for answers, losses, figure in ((of_real, np.log(of_real.asnumpy()), figures[0]),
                                        (of_made, np.log(1 - of_made.asnumpy()), figures[1])):
            compare('losses', -losses.mean(keepdims=True)[0], figure[:1])
        for module, names, parameters in pairs:
            arguments, statistics = module.get_params()
            if number == 0:
                gradients = step.gradients()
                if module is theirs[1]:
                    continue  # D's are overwritten by the way back into G
                listed = {name: arrays[0].asnumpy() for name, arrays in
                          zip(module._exec_group.param_names, module._exec_group.grad_arrays)
                          if names[name] in gradients}
                scale = max(np.abs(array).max() for array in listed.values()) / 100
                for name, array in listed.items():
                    compare('gradients', array, gradients[names[name]].asnumpy(), scale)
            for kind, arrays in (('parameters', arguments), ('statistics', statistics)):
                for name, array in arrays.items():
                    compare(kind, array.asnumpy(), parameters[names[name]].data().asnumpy(), 1e-2)
    result.differences = differences
    return result


def _input_called_data(symbol):
    """The same graph with its input, whatever its name, called `data`."""
    return symbol(rand=mx.sym.var('data')) if 'rand' in symbol.list_arguments() else symbol


def _compare_settings(listing, experiment, modules, pairs):
    """What differs between the book's settings and our recipe, in words; and the first values of each parameter."""
    recipe, book, complaints = experiment.recipe, listing.OPTIMIZER, []
    for name, theirs, ours in (('rate', book['learning_rate'], recipe.learning_rate),
                               ('beta1', book['beta1'], recipe.momentum), ('optimizer', 'adam', recipe.optimizer),
                               ('batch size', listing.BATCH_SIZE, recipe.batch_size),
                               ('epochs', listing.EPOCHS, recipe.epochs)):
        if theirs != ours:
            complaints.append(f'{name} {theirs} in the book, {ours} here')
    ours_initializer = make_initializer(recipe.initializer)
    for module, names, parameters in pairs:
        attributes = module.symbol.attr_dict()
        for theirs, ours in names.items():
            array, parameter = nd.zeros(parameters[ours].shape, dtype='float64'), parameters[ours]
            seed_everything(1)
            mx.init.MSRAPrelu(slope=0.2)(mx.init.InitDesc(theirs, attributes.get(theirs, {})), array)
            kept = parameter.data().copy()
            seed_everything(1)
            parameter.initialize(default_init=ours_initializer, force_reinit=True)
            if not np.array_equal(array.asnumpy(), parameter.data().asnumpy()):
                complaints.append(f'initial values of {theirs} differ from those of {ours}')
            parameter.set_data(kept)
    return complaints
