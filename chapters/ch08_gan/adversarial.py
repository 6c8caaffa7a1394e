"""Section 8.3: the training loop of two networks against each other, and the losses that they may learn by.

    python -m chapters.ch08_gan.adversarial --data mnist

Reads from top to bottom: the losses, one step of both networks (`AdversarialStep`), the loop over epochs
(`train_adversarially`).
"""
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Callable, Tuple

import mxnet as mx
import numpy as np
from mxnet import nd

from book_code import sec_8_3
from chapters.ch08_gan import samples
from chapters.ch08_gan.dcgan import DCGAN, RECIPE
from chapters.ch08_gan.images import load_squares, scaled
from chapters.kit.data.training_data import Facts
from chapters.kit.experiment import Study
from chapters.kit.progress import tqdm
from chapters.kit.trained.run import experiment_of, read_config
from chapters.kit.trained.saved import SavedRun
from chapters.kit.trained.zoo import refuse_to_change
from chapters.kit.training.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training.epochs import Diverged, average_statistics, seed_everything, train_epochs
from chapters.kit.training.from_recipe import make_initializer, make_optimizer_settings
from chapters.kit.training.precision import lowered_graph
from chapters.kit.training.workers import Workers
from chapters.script import run_script
from data_tools.errors import UserError

# Fields of a recipe that training adversarially, or by turns, does not know.
IGNORED = ('l1', 'fall_factor', 'least_rate', 'label_smoothing', 'label_noise', 'mixup', 'patience', 'frozen', 'fresh',
           'old_rate', 'samples_per_epoch', 'small_pixels', 'small_epochs', 'pixels')
_COLLAPSED = 0.1  # of the variety of real images
_PATIENCE = 5  # epochs
_NEAR = 0.1  # e in `GradientPenalty`: a move that nobody sees, spread over a thousand pixels
_SNAPSHOTS = 1, 2, 3, 5, 10, 15, 20, 30, 50, 100, 200, 300  # epochs after which the generator is kept
_FIRST_UPDATES = 2000  # in which samples may look alike; in a shorter run, its first half
_CERTAIN = 0.999  # accuracy of a discriminator from which nothing is to be learnt any more


def _softplus(F, x):
    """log(1 + exp(x)), also for large x."""
    return F.relu(x) + F.Activation(-F.abs(x), act_type='softrelu')


# name: (D's loss of real images, D's loss of made images, G's loss), each a function of F and of D's logits
# (N,).
LOSSES = {
    # 8.2.3: D up on log D(x) + log(1 - D(G(z))), G down on -log D(G(z)); https://arxiv.org/abs/1406.2661
    'book': (lambda F, x: _softplus(F, -x), lambda F, x: _softplus(F, x), lambda F, x: _softplus(F, -x)),
    # The original: G down on log(1 - D(G(z))), which is flat where D is sure.
    'minimax': (lambda F, x: _softplus(F, -x), lambda F, x: _softplus(F, x), lambda F, x: -_softplus(F, x)),
    # https://arxiv.org/abs/1611.04076
    'least_squares': (lambda F, x: F.square(x - 1) / 2, lambda F, x: F.square(x) / 2,
                      lambda F, x: F.square(x - 1) / 2),
    # https://arxiv.org/abs/1701.07875
    'wasserstein': (lambda F, x: -x, lambda F, x: x, lambda F, x: -x),
    # https://arxiv.org/abs/1705.02894
    'hinge': (lambda F, x: F.relu(1 - x), lambda F, x: F.relu(1 + x), lambda F, x: -x),
}


class _Learner:
    """A network, as many sets of gradients as it takes passes to learn from, and its optimizer."""
    def __init__(self, network, recipe, updates_per_epoch, passes, workers):
        self._workers = workers
        self._parameters = network.collect_params()
        self._learnt = [name for name, parameter in self._parameters.items() if parameter.grad_req != 'null']
        self.weights = {name: self._parameters[name].data() for name in self._learnt}
        self.gradients = [{name: nd.zeros_like(array) for name, array in self.weights.items()}
                          for _ in range(passes)]
        settings = make_optimizer_settings(recipe, updates_per_epoch)
        self.optimizer = mx.optimizer.create(recipe.optimizer, **settings)
        self.updater = mx.optimizer.get_updater(self.optimizer)

    def bind(self, graph, inputs, gradients, device):
        """An executor on the network's own parameters. `inputs`: {name: array}; `gradients`: {name: array to fill}."""
        arguments = {name: inputs[name] if name in inputs else self._parameters[name].data()
                     for name in graph.list_arguments()}
        return graph.bind(device, arguments, gradients,
                          {name: 'write' if name in gradients else 'null' for name in arguments},
                          {name: self._parameters[name].data() for name in graph.list_auxiliary_states()})

    def update(self):
        """Learn from the sum of the gradients of all passes and all workers."""
        for name in self._learnt:
            total = self.gradients[0][name]
            for other in self.gradients[1:]:
                nd.elemwise_add(total, other[name], out=total)
        self._workers.sum(list(self.gradients[0].values()))
        for index, name in enumerate(self._learnt):
            self.updater(index, self.gradients[0][name], self.weights[name])


class GradientPenalty:
    """weight * (|gradient of D by the image| - 1)^2, between real and made images; https://arxiv.org/abs/1704.00028.

    To learn from it, D is to be differentiated by the image and then by its parameters, and MXNet cannot
    differentiate the backward pass of a convolution. But if u is the direction of the gradient, of length 1, then
    |gradient| = u . gradient = (D(x + e u) - D(x - e u)) / 2e for a small e, and u does not turn as the parameters
    begin to move: what is left to differentiate by the parameters is D itself, at two points. At the kinks of leaky
    ReLU no gradient tells how the length changes; two points on either side do, with the less noise the larger e is.

    Parameters
    ----------
    learner : _Learner
        Of D, which must be without batch normalisation; its last set of gradients is filled.
    logits : mxnet.sym.Symbol
        What D says of 'image'.
    images : NDArray, (N, C, H, W)
        Of the shape of those to come.
    weight : float
    """
    def __init__(self, learner, logits, images, weight):
        self._weight = weight
        self.between, self.slope = nd.zeros_like(images), nd.zeros_like(images)
        self._ends = nd.concat(images, images, dim=0)
        self._shares = nd.zeros(2 * len(images), images.context, images.dtype)
        self._at = learner.bind(mx.sym.MakeLoss(logits), {'image': self.between}, {'image': self.slope},
                                images.context)
        self._beside = learner.bind(mx.sym.MakeLoss(logits * mx.sym.var('shares')),
                                    {'image': self._ends, 'shares': self._shares}, learner.gradients[-1],
                                    images.context)

    def __call__(self, real, made):
        """Compute the gradients; returns the lengths |gradient| (N,) at points between the images, drawn at random."""
        t = nd.random.uniform(shape=(len(real), 1, 1, 1), dtype=real.dtype, ctx=real.context)
        (nd.broadcast_mul(t, real) + nd.broadcast_mul(1 - t, made)).copyto(self.between)
        self._at.forward(is_train=True)
        self._at.backward()
        nd.waitall()
        lengths = nd.sqrt(nd.square(self.slope).sum(axis=(1, 2, 3)))
        step = _NEAR * nd.broadcast_div(self.slope, (lengths + 1e-12).reshape((-1, 1, 1, 1)))
        nd.concat(self.between + step, self.between - step, dim=0).copyto(self._ends)
        shares = self._weight * (lengths - 1) / _NEAR  # 2 (length - 1) times a half
        nd.concat(shares, -shares, dim=0).copyto(self._shares)
        nd.waitall()
        self._beside.forward(is_train=True)
        self._beside.backward()
        nd.waitall()
        return lengths


class AdversarialStep:
    """One step of the book: D once, by real and made images together, then G once.

    Each of the four ways through the networks is a graph that is bound once: D on real images, G, D on G's
    images, and D on them again for the gradient that goes back into G. The third and the fourth read G's
    output where it lies.

    The fourth runs forward in prediction mode, so that the running statistics of D's batch normalisation do
    not see the same images twice. Its backward pass is that of `Module.backward`: MXNet takes it for training
    mode's, and goes back through the normalisation as if the running statistics were those of the batch. D's graph
    for it normalises `plainly` (`chapters.ch08_gan.dcgan.BatchNorm`): the same numbers, sooner.

    Parameters
    ----------
    network : DCGAN, initialized
    recipe : Recipe
    updates_per_epoch : int
    device : mxnet.Context
    workers : Workers
        With whom to share every update; each takes its part of a batch.
    """
    def __init__(self, network, recipe, updates_per_epoch, device, workers=Workers()):
        if network.loss not in LOSSES:
            raise UserError(f'loss={network.loss}: there is {", ".join(LOSSES)}')
        self._network = network
        d, g = network.discriminator, network.generator
        dtype = next(iter(g.collect_params().values())).dtype
        image, code = mx.sym.var('image'), mx.sym.var('code')
        logits = lowered_graph(d(image), recipe.dtype)
        d.normalise_plainly(True)
        through = lowered_graph(d(image), recipe.dtype)
        d.normalise_plainly(False)
        graphs = []
        for loss, answers in zip(LOSSES[network.loss], (logits, logits, through)):
            values = loss(mx.sym, answers)
            figures = mx.sym.concat(mx.sym.mean(values), mx.sym.mean(answers > 0), dim=0)
            graphs.append(mx.sym.Group([mx.sym.MakeLoss(values), mx.sym.BlockGrad(figures)]))
        made = lowered_graph(g(code), recipe.dtype)
        self._d = _Learner(d, recipe, updates_per_epoch, 3 if network.penalty else 2, workers)
        self._g = _Learner(g, recipe, updates_per_epoch, 1, workers)
        part = workers.share(recipe.batch_size)
        self._code = nd.zeros((part.stop - part.start, network.codes), device, dtype)
        self._make = self._g.bind(made, {'code': self._code}, self._g.gradients[0], device)
        self._make.forward(is_train=True)
        images = self._make.outputs[0]
        self._image, self._back = nd.zeros_like(images), nd.zeros_like(images)
        self._real = self._d.bind(graphs[0], {'image': self._image}, self._d.gradients[0], device)
        self._fake = self._d.bind(graphs[1], {'image': images}, self._d.gradients[1], device)
        self._penalty = network.penalty and GradientPenalty(self._d, logits, images, network.penalty)
        self._through = self._d.bind(graphs[2], {'image': images}, {'image': self._back}, device)

    def __call__(self, images, codes):
        """Learn from real images (N, C, H, W) and codes (N, codes).

        Returns
        -------
        list of NDArray (2,)
            Of D on real, of D on made images, of G: the mean loss, and the share that D takes for real. Good
            until the next call.
        """
        images.copyto(self._image)
        codes.copyto(self._code)
        self._real.forward(is_train=True)
        self._real.backward()
        # Here and below: what these executors share, MXNet's threaded engine does not always see.
        nd.waitall()
        self._make.forward(is_train=True)
        nd.waitall()
        self._fake.forward(is_train=True)
        self._fake.backward()
        nd.waitall()
        if self._penalty:
            self._penalty(self._image, self.images)
        self._d.update()
        if self._network.clip:
            for array in self._d.weights.values():
                nd.clip(array, -self._network.clip, self._network.clip, out=array)
        if self._network.spectral:
            self._network.discriminator.iterate()
        nd.waitall()
        self._through.forward(is_train=False)
        self._through.backward()
        nd.waitall()
        self._make.backward([self._back])
        nd.waitall()
        self._g.update()
        return [executor.outputs[1] for executor in (self._real, self._fake, self._through)]

    @property
    def images(self):
        """What G made in the last step, (N, C, H, W)."""
        return self._make.outputs[0]

    def gradients(self):
        """{name: array} of the last step, of both networks."""
        return {**self._d.gradients[0], **self._g.gradients[0]}

    def arrays(self):
        """{name: array} of the optimizers' states, for a checkpoint."""
        return {f'{name}:{key}': array for name, learner in (('d', self._d), ('g', self._g))
                for key, array in optimizer_arrays(learner.updater).items()}

    def restore(self, arrays, updates):
        """Go on from a checkpoint: the networks' parameters as they are now, `arrays`, and the updates done."""
        for name, learner in (('d', self._d), ('g', self._g)):
            learner.optimizer.begin_num_update = learner.optimizer.num_update = updates
            states = {f'optimizer:{key[2:]}': array for key, array in arrays.items() if key.startswith(f'{name}:')}
            restore_optimizer(states, learner.updater, dict(enumerate(learner.weights.values())))


def build(experiment, channels, recipe, device, dtype='float32'):
    """Both networks of an experiment, for images of so many channels, with first values."""
    network = replace(experiment, sizes={**experiment.sizes, 'channels': channels}).build()
    network.cast(dtype)
    network.initialize(make_initializer(recipe.initializer), ctx=device)
    network(nd.zeros((1, network.codes), device, dtype))
    return network


def train_adversarially(run):
    """Train the two networks of a run by its recipe, and leave in its folder what `chapters.kit.training.train` does.

    Also `samples/epoch-NNNN.png`: images made of the same 64 codes after each epoch, and a film of them. The
    exported model is the generator. Goes on from a checkpoint bit for bit.

    Parameters
    ----------
    run : Run

    Returns
    -------
    (dict, list of dict)
        Figures, and the history: losses, D's accuracies on real and made images, and the variety of the
        samples (see `chapters.ch08_gan.samples.variety`).

    Raises
    ------
    Diverged
        A loss became NaN or infinite, or the samples have long been all alike.
    """
    recipe, data, workers = run.recipe, run.data, run.workers
    if len(run.devices) > 1:
        raise UserError(f'{run.experiment.section}: takes one device')
    device = run.devices[0]
    random = seed_everything(run.seed)
    network = build(run.experiment, data.train_x.shape[1], recipe, device)
    workers.first_to_all([parameter.data() for parameter in network.collect_params().values()])
    batches = max(1, len(data.train_x) // recipe.batch_size)
    fixed = nd.array(random.standard_normal((64, network.codes)), device)
    real = scaled(data.train_x[:64])
    step = AdversarialStep(network, recipe, batches, device, workers)
    generator = network.generator
    generator.hybridize(static_alloc=True, static_shape=True)
    (run.folder / 'samples').mkdir(exist_ok=True)
    made = {}  # by the last epoch

    def train(epoch, random):
        totals = _train_epoch(step, data, recipe, random, batches, network.codes, run.label(epoch), device, workers)
        average_statistics(network, workers)
        (loss_real, right_real), (loss_made, taken), (loss_g, _) = totals
        return {'samples': batches * recipe.batch_size, 'learning_rate': recipe.rate((epoch + 1) * batches, batches),
                'train_d_loss': float(loss_real + loss_made), 'train_g_loss': float(loss_g),
                'train_accuracy_real': float(right_real), 'train_accuracy_made': float(1 - taken)}

    def measure():
        made['images'] = generator(fixed).asnumpy()
        return {'train_variety': samples.variety(made['images'], real)}

    def arrays():
        return {**model_arrays(network), **step.arrays()}

    def restore(kept, epochs):
        restore_model(kept, network)
        step.restore(kept, epochs * batches)

    def keep(history):
        samples.save_tiles(made['images'], run.folder / 'samples' / f'epoch-{len(history):04d}.png')

    def watch(history):
        _watch(run, history, batches)
        return ''
    history = train_epochs(run, recipe.epochs, train, measure, arrays, restore, watch, keep)
    watch(history)
    run.export_for(generator, len(history), np.zeros((1, network.codes)))
    if workers.rank:
        return {}, history
    return samples.draw_all(run, network, history, fixed), history


@dataclass(frozen=True)
class Adversarial(Study):
    """Two networks that teach each other: `Study` with `train_adversarially`, on images of any set."""
    function: Callable = train_adversarially
    loader: Callable = load_squares
    ignores: Tuple[str, ...] = IGNORED

    shared = True
    lowers = True
    shown_samples = False  # codes, whose number is a size of the network
    stand_in = 'digits'
    steps = ('compiled',)

    def first_batch(self, size, data='digits'):
        """Codes (N, codes) and as many real images (N, C, H, W) from -1 to 1, the first of its data, as NDArrays."""
        images = scaled(self.load(data).train_x[:size])
        return nd.array(seed_everything(0).standard_normal((size, self.build().codes))), nd.array(images)

    def first_step(self, network, codes, images):
        """What both networks become by one `AdversarialStep`; it is done on a copy, which is returned."""
        copy = build(self, images.shape[1], self.recipe, mx.cpu(), images.dtype)
        for mine, theirs in zip(copy.collect_params().values(), network.collect_params().values()):
            mine.set_data(theirs.data())
        AdversarialStep(copy, self.recipe.but(batch_size=len(images)), 100, mx.cpu())(images, codes)
        return copy

    def modules(self, network, shape):
        """The listing's two Modules with the parameters of a network, for codes of this shape (N, codes)."""
        from chapters.kit.proof.symbolic import paired_names
        both = self.listing.modules(shape[0], mx.cpu(), codes=shape[1], **self.sizes)
        for module, part in zip(both, (network.generator, network.discriminator)):
            parameters, symbol = part.collect_params(), module.symbol
            names = paired_names(symbol(rand=mx.sym.var('data')) if 'rand' in symbol.list_arguments() else symbol, part)
            module.set_params(*({name: parameters[names[name]].data() for name in listed}
                                for listed in (module._param_names, module._aux_names)))
        return both

    def prove(self, step='compiled'):
        """Compare with the two Modules of the listing."""
        from chapters.ch08_gan.listing import parity
        return parity(self)


def saved_generators(folder, find):
    """(SavedRun, iterator of (epochs, generator)) of all numbers of epochs that a run has kept, the last among them.

    Each generator is good until the next.
    """
    refuse_to_change(folder)  # and it keeps its last generator only
    config = read_config(folder)
    experiment = experiment_of(config, find, folder)
    if not isinstance(experiment, Adversarial):
        raise UserError(f'{folder}: is a run of {config["section"]}, not of 8.3')
    kept = sorted((Path(folder) / 'checkpoint').glob('epoch-*.params'))
    if not kept:
        raise UserError(f'{folder}: nothing is trained there yet; wait for its first epoch')
    network = build(experiment, Facts.of_config(config).shape[0], experiment.recipe, mx.cpu())

    def generators():
        for path in kept:
            restore_model(mx.nd.load(str(path)), network)
            yield int(path.stem[6:]), network.generator
    return SavedRun(Path(folder), config, experiment, network), generators()


def _train_epoch(step, data, recipe, random, batches, codes, label, device, workers):
    """One pass in a random order; returns means (3, 2) of what the step returns."""
    size, totals = recipe.batch_size, None
    bar = tqdm(_batches(data, recipe, random, batches, workers), label, batches, leave=False, unit_scale=size,
               unit=' samples', disable=None)
    shown = time.monotonic()
    for count, images in enumerate(bar, 1):
        z = random.standard_normal((size, codes), np.float32)[workers.share(size)]
        figures = step(nd.array(images, device), nd.array(z, device))
        if totals is None:
            totals = [figure.copy() for figure in figures]
        else:
            for total, figure in zip(totals, figures):
                nd.elemwise_add(total, figure, out=total)
        if not bar.disable and time.monotonic() - shown > 0.5:
            shown = time.monotonic()
            bar.set_postfix_str(f'D {(totals[0][0] + totals[1][0]).asscalar() / count:.3f}, '
                                f'G {totals[2][0].asscalar() / count:.3f}', refresh=False)
    means = np.stack([total.asnumpy() for total in totals]) / count
    part = workers.share(size)
    return workers.mean(means.ravel(), part.stop - part.start).reshape(means.shape)


def _batches(data, recipe, random, batches, workers):
    """This worker's real images (N, C, H, W) from -1 to 1 of an epoch, mirrored by chance if the recipe says so.

    What does not fill a batch is left for another epoch.
    """
    size, mirror = recipe.batch_size, 'mirror' in recipe.augmentation.split()
    if data.stream:
        numbers = (x.asnumpy() for x, _ in data.stream(random, workers))
    else:
        order = np.resize(random.permutation(len(data.train_x)), (batches, size))[:, workers.share(size)]
        numbers = (data.train_x[row] for row in order)
    for _, pixels in zip(range(batches), numbers):
        images = scaled(pixels)
        if mirror:
            chosen = random.random(size)[workers.share(size)] < 0.5
            images[chosen] = images[chosen, :, :, ::-1]
        yield images


def _watch(run, history, batches):
    """Say when the samples become all alike, or the discriminator certain, and end a run whose samples stay alike."""
    short = min(_FIRST_UPDATES, run.recipe.epochs * batches // 2)
    alike = [row['train_variety'] < _COLLAPSED for row in history if (row['epoch'] + 1) * batches > short]
    if alike and alike[-1] and not any(alike[-2:-1]):
        run.say(f'the generator has collapsed: its samples differ {history[-1]["train_variety"]:.1%} as much as real '
                'images do')
    certain = [min(row['train_accuracy_real'], row['train_accuracy_made']) > _CERTAIN for row in history]
    if certain[-1:] == [True] and not any(certain[-2:-1]):
        run.say('the discriminator tells all images apart: from it the generator learns nothing; try a lower --learning-rate')
    alike = [row['train_variety'] < _COLLAPSED for row in history if (row['epoch'] + 1) * batches > _FIRST_UPDATES]
    if len(alike) >= _PATIENCE and all(alike[-_PATIENCE:]):
        raise Diverged(f'{run.folder}: the samples have been all alike for {_PATIENCE} epochs: the generator has '
                       'collapsed; try another --seed, a lower --learning-rate, or --set loss=hinge')


EXPERIMENTS = [
    Adversarial('8.3', 'DCGAN at 32x32', 'DCGAN，32x32', network=DCGAN, sizes={'size': 32, 'channels': 1}, recipe=RECIPE,
                data='digits', sample_shape=(100,), listing=sec_8_3, snapshots=_SNAPSHOTS),
    Adversarial('8.3-64', 'DCGAN at 64x64, in colour, as printed', 'DCGAN，64x64 彩色，与书中相同', network=DCGAN,
                sizes={'size': 64, 'channels': 3}, recipe=RECIPE.but(augmentation='mirror'), data='cifar10',
                sample_shape=(100,), listing=sec_8_3, snapshots=_SNAPSHOTS),
    # D without batch normalisation: by its running statistics, through which G learns, it may take all made images for real.
    Adversarial('8.3-pictures', 'DCGAN at 64x64 on pictures of your own', 'DCGAN，64x64，用自己的图片', network=DCGAN,
                sizes={'size': 64, 'channels': 3, 'width': 32, 'learnt_slopes': False, 'loss': 'hinge', 'spectral': True,
                       'normalised': False},
                recipe=RECIPE.but(epochs=200, learning_rate=0.0004, initializer='normal(0.02)', augmentation='mirror'),
                data='cifar10', sample_shape=(100,), snapshots=_SNAPSHOTS),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
