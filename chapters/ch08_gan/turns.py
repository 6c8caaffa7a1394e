"""Training by turns: what the relatives of DCGAN in 8.4 and 8.5 share.

A batch is drawn; then each player learns by a loss of its own while the others stand still: a discriminator,
then a generator; or an auto-encoder alone. Reads from top to bottom: what a relative must say of itself
(`Players`), then the loop over epochs (`train_players`) and what is left of it (`train_by_turns`).
"""
from dataclasses import dataclass
from typing import Callable, Tuple

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

from chapters.ch08_gan.adversarial import IGNORED
from chapters.ch08_gan.dcgan import RECIPE as DCGAN_RECIPE
from chapters.ch08_gan.images import load_squares, scaled
from chapters.kit.data.images import load_images
from chapters.kit.experiment import Study
from chapters.kit.progress import tqdm
from chapters.kit.training.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.kit.training.from_recipe import make_initializer, make_optimizer
from data_tools.errors import UserError


class Players(gluon.HybridBlock):
    """One or more networks that learn by turns: base of the relatives.

    Attributes
    ----------
    progress : float
        Share of all training that is done, from 0 to 1.
    """
    progress = 0.0

    @staticmethod
    def sizes_for(data):
        """{name: value} of the constructor's arguments that the data decides."""
        return {'channels': data.train_x.shape[1]}

    def turns(self):
        """[(name, blocks that learn, loss)], in the order of play.

        A loss takes what `draw` gives and returns a number a sample, (N,).
        """
        raise NotImplementedError

    def draw(self, data, numbers, random):
        """A batch: tuple of NDArrays, of the training samples with these numbers (N,) and of chance."""
        return (nd.array(scaled(data.train_x[numbers])),)

    def exported(self):
        """The block to export after training."""
        return self.generator

    def hybrid_forward(self, F, x):
        """What is exported, so that `show` can draw it."""
        return self.exported()(x)

    def validate(self, data):
        """{name: value} that are measured after every epoch."""
        return {}

    def measure(self, run, random):
        """Draw the pictures of a trained network; returns {name: value} of its figures."""
        raise NotImplementedError


def train_by_turns(run):
    """Train a run's `Players` by its recipe, have them draw and measure, and export them.

    Returns
    -------
    (dict, list of dict)
        Figures and history. Resumes bit for bit.

    Raises
    ------
    Diverged
        A loss became NaN or infinite.
    """
    seen = []
    players, history = train_players(run, seen)
    figures = players.measure(run, np.random.default_rng(run.seed))
    shape = seen[0] if seen else run.experiment.sample_shape
    run.export_for(players.exported(), len(history), np.zeros((1,) + shape))
    return figures, history


def train_players(run, seen=None):
    """Train a run's `Players` by its recipe with `gluon.Trainer`, one for each player; else as `train_by_turns`.

    Parameters
    ----------
    run : Run
    seen : list, optional
        The shape of a sample of what the exported block takes is added to it, where the losses call that block.

    Returns
    -------
    (Players, list of dict)
        The trained players, and the history.
    """
    recipe, data, experiment = run.recipe, run.data, run.experiment
    if run.devices != [mx.cpu()] or data.stream:
        raise UserError(f'{experiment.section}: takes the CPU, and image sets of arrays')
    seed_everything(run.seed)
    players = experiment.network
    players = players(prefix='players_', **{**experiment.sizes, **players.sizes_for(data)})
    players.initialize(make_initializer(recipe.initializer))
    drawn = players.draw(data, np.arange(4), np.random.default_rng(run.seed))
    turns, trainers, seen = players.turns(), {}, [] if seen is None else seen
    watch = players.exported().register_forward_pre_hook(lambda block, inputs: seen.append(inputs[0].shape[1:]))
    for _, _, loss_of in turns:
        loss_of(*drawn)  # fixes all shapes
    watch.detach()
    for block in players._children.values():
        block.hybridize(static_alloc=True)
    batches = max(1, len(data.train_x) // recipe.batch_size)
    for name, blocks, _ in turns:
        parameters = [parameter for block in blocks for parameter in block.collect_params().values()]
        optimizer = make_optimizer(recipe, batches, players)
        optimizer.param_dict = dict(enumerate(parameters))
        trainers[name] = gluon.Trainer(parameters, optimizer, update_on_kvstore=False)
        trainers[name]._init_kvstore()
    (run.folder / 'figures').mkdir(exist_ok=True)

    def train(epoch, random):
        totals, order = dict.fromkeys(trainers, 0), np.resize(random.permutation(len(data.train_x)),
                                                              (batches, recipe.batch_size))
        bar = tqdm(order, run.label(epoch), leave=False, unit_scale=recipe.batch_size, unit=' samples', disable=None)
        for batch, numbers in enumerate(bar):
            players.progress = (epoch + batch / batches) / recipe.epochs
            drawn = players.draw(data, numbers, random)
            for name, _, loss_of in turns:
                with autograd.record():
                    loss = loss_of(*drawn)
                loss.backward()
                # The optimizer divides by the batch size. What takes no part yet has no gradient.
                trainers[name].step(1, ignore_stale_grad=True)
                totals[name] = totals[name] + loss.mean()
        players.progress = (epoch + 1) / recipe.epochs
        return {'samples': order.size, 'learning_rate': recipe.rate((epoch + 1) * batches, batches),
                **{f'train_{name}_loss': float(total.asscalar()) / batches for name, total in totals.items()}}

    def measure():
        return {name: float(value) for name, value in players.validate(data).items()}

    def arrays():
        found = model_arrays(players)
        for name, trainer in trainers.items():
            found.update((f'{name}:{key}', array) for key, array in optimizer_arrays(trainer._updaters[0]).items())
            counts = trainer._optimizer._index_update_count
            found[f'updates:{name}'] = nd.array([counts.get(number, 0) for number in range(len(trainer._params))],
                                                dtype='int64')
        return found

    def restore(kept, epochs):
        restore_model(kept, players)
        for name, trainer in trainers.items():
            _restore(trainer, name, kept, kept[f'updates:{name}'].asnumpy())
    history = train_epochs(run, recipe.epochs, train, measure, arrays, restore)
    players.progress = 1.0
    return players, history


@dataclass(frozen=True)
class ByTurns(Study):
    """Networks that learn by turns: `Study` with `train_by_turns`. Its `sample_shape` is what `show` sends through it."""
    function: Callable = train_by_turns
    loader: Callable = load_squares
    ignores: Tuple[str, ...] = IGNORED + ('augmentation',)

    stand_in = 'digits'
    shown_samples = False  # codes, whose number is a size of the network


def by_turns(section, title, title_zh, network, shape, sizes=None, book=(), loader=load_squares, **changes):
    """A relative of DCGAN, by its recipe with changes; `shape`: of a sample that `show` sends through it."""
    recipe = DCGAN_RECIPE.but(**{'epochs': 30, 'learning_rate': 0.001, **changes})
    return ByTurns(section, title, title_zh, network=network, sizes=sizes or {}, recipe=recipe, data='digits',
                   loader=loader, sample_shape=shape, book=book)


def coder(section, title, title_zh, network, sizes=None, **changes):
    """One network that learns alone, from images from 0 to 1."""
    return by_turns(section, title, title_zh, network, (1, 28, 28), sizes, loader=load_images,
                    **{'momentum': 0.9, 'initializer': 'xavier', **changes})


def _restore(trainer, name, arrays, counts):
    """Go on with the optimizer of a checkpoint: its state, and the updates of each parameter."""
    updater = trainer._updaters[0]
    restore_optimizer({f'optimizer:{key[len(name) + 1:]}': array for key, array in arrays.items()
                       if key.startswith(f'{name}:')}, updater,
                      {number: parameter.data() for number, parameter in enumerate(trainer._params)})
    optimizer = updater.optimizer
    optimizer._index_update_count.update({index: int(count) for index, count in enumerate(counts) if count})
    optimizer.num_update = max(optimizer._index_update_count.values())
