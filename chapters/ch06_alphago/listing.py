"""The proof that the networks of 6.3 with a value head compute what the listings in `book_code` compute."""
from dataclasses import dataclass, field, replace
from typing import Any, Callable, Mapping, Optional, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from rich.console import Console

from chapters.ch04_cnn.one_convolution import GAME, position_of_the_book
from chapters.ch06_alphago.losses import zero_losses
from chapters.kit.experiment import Experiment, defaults_of
from chapters.kit.networks.layer_table import layer_table, print_layer_table
from chapters.kit.proof.parity import UPDATES, Parity
from chapters.kit.proof.symbolic import paired_names
from chapters.kit.training.epochs import seed_everything
from data_tools.go.board import BLACK, RECENT, TO_MOVE, to_move
from data_tools.go.features import ALPHAGO_VALUE, alphago_zero_planes, planes_of
from data_tools.go.player import ownership

_BATCH = 4
_LENGTH, _KOMI = len(GAME.split()), 7.5  # of the game of 4.2.3
_SGD = {'learning_rate': 0.01, 'momentum': 0.9}  # of the proof: the book prints no training for them


@dataclass(frozen=True)
class ComparedNetwork(Experiment):
    """A network that is compared with its listing, and not trained: the book prints no training for it.

    Attributes
    ----------
    network : type of HybridBlock
    sizes : mapping of str to int
        Its arguments that differ from their defaults.
    sample_shape : tuple of int
        Of one position, (planes, 19, 19).
    listing : module
        Of `book_code`, with the same graph in symbolic form.
    small : mapping of str to int
        Sizes for the comparison.
    """
    network: Optional[Callable] = None
    sizes: Mapping[str, Any] = field(default_factory=dict)
    sample_shape: Tuple[int, ...] = ()
    listing: Any = None
    small: Mapping[str, Any] = field(default_factory=dict)

    steps = ('plain',)

    @property
    def source(self):
        return self.network

    @property
    def symbolic(self):
        """Name of its listing."""
        return self.listing.__name__.rpartition('.')[2]

    def symbolic_form(self):
        """Its listing."""
        return self.listing

    @property
    def input_shape(self):
        """Shape of a batch of one position."""
        return (1,) + self.sample_shape

    def build(self):
        """A new network, its parameters not yet initialized."""
        return self.network(**self.sizes)

    def perform(self, run):
        """Print the layer table of the network, and compare it with its listing.

        Returns
        -------
        dict
            'parameters', and the largest relative differences of `parity`.
        """
        rows = layer_table(self.build(), self.input_shape)
        if not run.quiet:
            print_layer_table(rows, Console(width=150))
        return {'parameters': sum(row.parameters for row in rows), **parity(self, run.seed).differences}

    def prove(self, step='plain'):
        """Compare with the listing; there is one step only. Returns a `chapters.kit.proof.parity.Parity`."""
        return parity(self)

    def first_batch(self, size):
        """Positions of a game of strong players (4.2.3), with what the network learns of each.

        Parameters
        ----------
        size : int

        Returns
        -------
        tuple of NDArray
            Planes (N, planes, 19, 19); for a policy head the move played, as a distribution over (N, 362) moves; and 1
            where the player to move wins the game that the built-in player plays out from there, else 0, (N, 1).
        """
        states = [position_of_the_book(move).state for move in range(_LENGTH + 1)]
        places = range(_LENGTH - size, _LENGTH)
        planes = np.concatenate([planes_of(states[place][None], ALPHAGO_VALUE) for place in places]) \
            if self.sizes['planes'] == ALPHAGO_VALUE else \
            np.stack([alphago_zero_planes(np.stack(states[place::-1][:8])) for place in places])
        moves = [to_move(states[place + 1][RECENT], planes.shape[-1]) for place in places]
        black = [ownership(states[place], _KOMI, 1, place)[1] for place in places]
        wins = [share if states[place][TO_MOVE] == BLACK else 1 - share for place, share in zip(places, black)]
        pi = nd.one_hot(nd.array(moves), planes.shape[-1] ** 2 + 1)
        heads = [pi] if 'policy_label' in self.listing.symbol(**self.sizes).list_arguments() else []
        return (nd.array(planes, dtype='float32'), *heads, nd.array(wins).reshape((-1, 1)))

    def first_step(self, network, x, *known):
        """What the listing makes of a network by one update under `Module`, since the book prints no training for it.

        Parameters
        ----------
        network : HybridBlock, initialized
        x, known : NDArray
            As from `first_batch`.

        Returns
        -------
        HybridBlock
            A copy, with the parameters that `Module` leaves.
        """
        symbol, copy = self.listing.symbol(**self.sizes), self.build()
        pairs = paired_names(symbol, lambda data: mx.sym.Group(in_a_tuple(network(data))))
        labels = [name for name in symbol.list_arguments() if name.endswith('_label')]
        module = mx.mod.Module(symbol, ['data'], labels)
        module.bind([('data', x.shape)], [(name, array.shape) for name, array in zip(labels, known)])
        values = {theirs: network.collect_params()[name].data() for theirs, name in pairs.items()}
        module.init_params(arg_params=values, aux_params=values)
        module.init_optimizer(optimizer='sgd', optimizer_params=dict(_SGD))
        module.forward_backward(mx.io.DataBatch([x], list(known)))
        module.update()
        copy.initialize()
        copy(x[:1])
        places = {name: number for number, name in enumerate(network.collect_params())}
        parameters = list(copy.collect_params().values())
        for arrays in module.get_params():
            for theirs, array in arrays.items():
                parameters[places[pairs[theirs]]].set_data(array)
        return copy

    def settings(self):
        return {**self.defaults(), **self.sizes}

    def defaults(self):
        return defaults_of(self.network)

    def _with(self, changes):
        return replace(self, sizes={**self.sizes, **changes})


def parity(experiment, seed=0):
    """Compare ten updates of both forms, from the same parameters and batches, in float64.

    Parameters
    ----------
    experiment : ComparedNetwork
        Of the value network or of the network with two heads; made smaller as its `small` says.
    seed : int

    Returns
    -------
    chapters.kit.proof.parity.Parity
        'outputs' in prediction, before and after the updates; 'losses' of every update; 'gradients' of the
        first; 'parameters' and 'statistics' (of BN) after the last.
    """
    experiment = replace(experiment, sizes={**experiment.sizes, **experiment.small})
    symbol = experiment.listing.symbol(**experiment.sizes)
    random = seed_everything(seed)
    network = experiment.build()
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    shape = (_BATCH,) + experiment.input_shape[1:]
    network(nd.zeros(shape))
    pairs = paired_names(symbol, lambda data: mx.sym.Group(in_a_tuple(network(data))))
    parameters = network.collect_params()
    network.cast('float64')
    labels = [name for name in symbol.list_arguments() if name.endswith('_label')]
    points = shape[2] * shape[3] + 1
    described = {'policy_label': mx.io.DataDesc('policy_label', (_BATCH, points), 'float64'),
                 'value_label': mx.io.DataDesc('value_label', (_BATCH, 1), 'float64')}
    module = mx.mod.Module(symbol, ['data'], labels, context=mx.cpu())
    module.bind([mx.io.DataDesc('data', shape, 'float64')], [described[name] for name in labels])
    ours = {theirs: parameters[name].data() for theirs, name in pairs.items()}
    module.init_params(arg_params=ours, aux_params=ours)
    module.init_optimizer(optimizer='sgd', optimizer_params=dict(_SGD))
    trainer = gluon.Trainer(parameters, 'sgd', dict(_SGD))
    differences = dict.fromkeys(('outputs', 'losses', 'gradients', 'parameters'), 0.0)

    def compare(kind, theirs, ours, least=0.0):
        difference = np.abs(theirs - ours).max() / max(np.abs(theirs).max(), least, 1e-30)
        differences[kind] = max(differences.get(kind, 0.0), float(difference))

    def compare_outputs(x):
        module.forward(mx.io.DataBatch([x], None), is_train=False)
        for theirs, output in zip(module.get_outputs(), in_a_tuple(network(x))):
            output = nd.sigmoid(output) if output.shape[1] == 1 else nd.softmax(output)
            compare('outputs', theirs.asnumpy(), output.asnumpy())

    for number in range(UPDATES):
        x = nd.array(random.integers(0, 2, shape), dtype='float64')
        pi = random.random((_BATCH, points))
        known = {'policy_label': nd.array(pi / pi.sum(axis=1, keepdims=True), dtype='float64'),
                 'value_label': nd.array(random.integers(0, 2, (_BATCH, 1)), dtype='float64')}
        if not number:
            compare_outputs(x)
        module.forward_backward(mx.io.DataBatch([x], [known[name] for name in labels]))
        with autograd.record():
            *logits, wins = in_a_tuple(network(x))
            loss = sum(zero_losses(logits[0] if logits else None, wins, known['policy_label'],
                                   known['value_label']))
        loss.backward()
        *moves, chance = (output.asnumpy() for output in module.get_outputs())
        z = known['value_label'].asnumpy()
        theirs = -np.log(np.where(z == 1, chance, 1 - chance)).ravel()
        if moves:
            theirs = theirs - (known['policy_label'].asnumpy() * np.log(moves[0])).sum(axis=1)
        compare('losses', theirs, loss.asnumpy())
        if not number:
            gradients = {name: arrays[0].asnumpy() for name, arrays in
                         zip(module._exec_group.param_names, module._exec_group.grad_arrays)}
            # biases before BN have none in theory, and noise in practice
            least = max(np.abs(array).max() for array in gradients.values()) / 100
            for name, array in gradients.items():
                compare('gradients', array, parameters[pairs[name]].grad().asnumpy(), least)
        module.update()
        trainer.step(_BATCH)
    compare_outputs(x)
    for kind, arrays in zip(('parameters', 'statistics'), module.get_params()):
        for name, array in arrays.items():
            compare(kind, array.asnumpy(), parameters[pairs[name]].data().asnumpy(), 1e-2)
    return Parity(experiment.section, experiment.symbolic, differences)


def in_a_tuple(outputs):
    """The outputs of a network as a tuple, also if there is only one."""
    return outputs if isinstance(outputs, tuple) else (outputs,)
