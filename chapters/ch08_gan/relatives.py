"""Section 8.4: relatives of DCGAN that are told, or find out by themselves, which digit they draw.

    python -m chapters.ch08_gan.relatives --data mnist          InfoGAN

`ConditionalGAN`: "Conditional Generative Adversarial Nets", https://arxiv.org/abs/1411.1784, its
discriminator also shown real images with wrong labels (https://arxiv.org/abs/1605.05396). `InfoGAN`:
https://arxiv.org/abs/1606.03657.
"""
from chapters.kit.runtime import mx
import math
import time

import numpy as np
from scipy.optimize import linear_sum_assignment
from tqdm import tqdm

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator, Generator
from chapters.ch08_gan.images import scaled
from chapters.kit.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training import Diverged, make_initializer, make_optimizer, seed_everything
from data_tools.errors import UserError
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

_REAL, _MADE, _G = LOSSES['book']


class ConditionalGAN(gluon.HybridBlock):
    """Both networks are told the class: the generator in its code, the discriminator by planes of ones and zeros.

    Parameters
    ----------
    size, channels, width
        As for `DCGAN`.
    noise, classes : int
        A code is `noise` normal numbers, then 1 for the class and 0 for the others.
    """
    def __init__(self, size=32, channels=1, width=32, noise=90, classes=10, **kwargs):
        super().__init__(**kwargs)
        self.noise, self.classes = noise, classes
        with self.name_scope():
            self.generator = Generator(size, channels, width, noise + classes)
            self.discriminator = Discriminator(size, channels + classes, width)

    def _judge(self, x, one_hot):
        planes = one_hot.reshape((0, 0, 1, 1)).broadcast_axes((2, 3), x.shape[2:])
        return self.discriminator(nd.concat(x, planes, dim=1))

    def codes(self, labels, random):
        """Codes (N, noise + classes) for labels (N,)."""
        one_hot = np.eye(self.classes, dtype=np.float32)[labels]
        return nd.array(np.concatenate([random.standard_normal((len(labels), self.noise)), one_hot], axis=1))

    def draw(self, labels, random):
        """What `losses` needs of chance, for a batch with these labels."""
        wrong = (labels + random.integers(1, self.classes, len(labels))) % self.classes
        right, wrong = (nd.array(np.eye(self.classes, dtype=np.float32)[number]) for number in (labels, wrong))
        return self.codes(labels, random), right, wrong

    def discriminator_loss(self, x, codes, right, wrong):
        """(N,): real images with their labels against wrong labels and made images, half each."""
        made = self.generator(codes).detach()
        return _REAL(nd, self._judge(x, right)) + (_MADE(nd, self._judge(x, wrong))
                                                   + _MADE(nd, self._judge(made, right))) / 2

    def generator_loss(self, x, codes, right, wrong):
        """(N,)."""
        return _G(nd, self._judge(self.generator(codes), right))

    def measure(self, run, random):
        """Figures and pictures: a row of samples for each class; how often a simple judge agrees with the label."""
        labels = np.repeat(np.arange(self.classes), 30)
        made = self.generator(self.codes(labels, random)).asnumpy()
        (run.folder / 'figures').mkdir(exist_ok=True)
        samples.save_tiles(made.reshape((self.classes, 30) + made.shape[1:])[:, :10].reshape((-1,) + made.shape[1:]),
                           run.folder / 'figures' / 'classes.png', 10)
        real = scaled(run.data.train_x[:5000])
        agreed = nearest_classes(made, real, run.data.train_y[:5000]) == labels
        test = scaled(run.data.validation_x[:1000])
        judge = nearest_classes(test, real, run.data.train_y[:5000]) == run.data.validation_y[:1000]
        return {'label_recognised': agreed.mean(), 'accuracy_of_the_judge': judge.mean()}


class InfoGAN(gluon.HybridBlock):
    """Part of the code is read back from the image by a second head of the discriminator, and so takes on a meaning.

    Parameters
    ----------
    size, channels, width
        As for `DCGAN`.
    noise, classes, continuous : int
        A code is `noise` normal numbers, then c1, one of so many classes as ones and zeros, then c2, c3, ...
        evenly from -1 to 1.
    weight : float
        Of the continuous ones in the loss.
    """
    def __init__(self, size=32, channels=1, width=32, noise=62, classes=10, continuous=2, weight=0.5, **kwargs):
        super().__init__(**kwargs)
        self.noise, self.classes, self.continuous, self.weight = noise, classes, continuous, weight
        with self.name_scope():
            self.generator = Generator(size, channels, width, noise + classes + continuous)
            self.discriminator = Discriminator(size, channels, width)
            self.reader = nn.HybridSequential()
            self.reader.add(nn.Dense(128, activation='relu'), nn.Dense(classes + continuous))

    def read(self, x):
        """Images -> what is read from them: logits of c1 (N, classes), then c2, c3, ... (N, continuous)."""
        for layer in list(self.discriminator.layers)[:-1]:
            x = layer(x)
        read = self.reader(x)
        return read[:, :self.classes], read[:, self.classes:]

    def codes(self, c1, c2, random):
        """Codes for classes (N,) and numbers (N, continuous)."""
        one_hot = np.eye(self.classes, dtype=np.float32)[c1]
        return nd.array(np.concatenate([random.standard_normal((len(c1), self.noise)), one_hot, c2], axis=1))

    def draw(self, labels, random):
        """As for `ConditionalGAN`; the labels of the data are not looked at."""
        c1 = random.integers(0, self.classes, len(labels))
        c2 = random.uniform(-1, 1, (len(labels), self.continuous))
        return self.codes(c1, c2, random), nd.array(c1), nd.array(c2)

    def discriminator_loss(self, x, codes, c1, c2):
        """(N,): real against made, and to read the codes of the made."""
        made = self.generator(codes).detach()
        return (_REAL(nd, self.discriminator(x)) + _MADE(nd, self.discriminator(made))
                + self._misread(made, c1, c2))

    def generator_loss(self, x, codes, c1, c2):
        """(N,): to be taken for real, and to be read rightly."""
        made = self.generator(codes)
        return _G(nd, self.discriminator(made)) + self._misread(made, c1, c2)

    def _misread(self, made, c1, c2):
        """How far what is read from made images is from their codes, (N,)."""
        logits, numbers = self.read(made)
        return self.weight * nd.square(numbers - c2).sum(axis=1) - nd.pick(nd.log_softmax(logits), c1)

    def measure(self, run, random):
        """Figures and pictures: c1 down and c2, c3 across; how often c1, read from test images, is their digit."""
        steps, rows = np.linspace(-1.5, 1.5, 10), []
        z = np.repeat(random.standard_normal((1, self.noise)), self.classes * 10, axis=0)
        c1 = np.repeat(np.arange(self.classes), 10)
        (run.folder / 'figures').mkdir(exist_ok=True)
        for number in range(self.continuous):
            c2 = np.zeros((len(c1), self.continuous))
            c2[:, number] = np.tile(steps, self.classes)
            codes = np.concatenate([z, np.eye(self.classes)[c1], c2], axis=1)
            rows.append(self.generator(nd.array(codes)).asnumpy())
            samples.save_tiles(rows[-1], run.folder / 'figures' / f'c{number + 2}.png', 10)
        x, y = scaled(run.data.validation_x), run.data.validation_y.astype(int)
        read = np.concatenate([self.read(nd.array(x[start:start + 250]))[0].asnumpy().argmax(axis=1)
                               for start in range(0, len(x), 250)])
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts, (read, y), 1)
        best = linear_sum_assignment(-counts)  # which digit each class of c1 stands for
        codes, c1, c2 = self.draw(np.zeros(500, int), random)
        logits, numbers = self.read(self.generator(codes))
        return {'digit_error': 1 - counts[best].sum() / len(y),
                'c1_misread': float((logits.argmax(axis=1) != c1.astype('float32')).mean().asscalar()),
                'c2_correlation': float(np.corrcoef(numbers[:, 0].asnumpy(), c2[:, 0].asnumpy())[0, 1])}


def nearest_classes(images, real, labels, neighbours=5):
    """The class of each image by the nearest real images: a judge that need not be trained."""
    distances = samples.squared_distances(images.reshape(len(images), -1), real.reshape(len(real), -1))
    votes = labels[np.argsort(distances, axis=1)[:, :neighbours]].astype(int)
    return np.array([np.bincount(row).argmax() for row in votes])


def train_relative(run):
    """Train by turns with `gluon.Trainer`: D, and what reads the codes, by its loss, then G by its own.

    Returns
    -------
    (dict, list of dict)
        Figures and history. Resumes bit for bit.
    """
    recipe, data, device = run.recipe, run.data, mx.cpu()
    if run.devices != [device] or run.form != 'gluon' or run.init or data.stream:
        raise UserError(f'{run.experiment.section}: takes the CPU, image sets of arrays, and neither --form nor --init')
    seed_everything(run.seed)
    network = run.experiment.code(run.experiment.network)(
        prefix='relative_', **{**run.experiment.sizes, 'channels': data.train_x.shape[1]})
    network.initialize(make_initializer(recipe.initializer))
    random = np.random.default_rng(run.seed)
    x, labels = nd.array(scaled(data.train_x[:4])), data.train_y[:4].astype(int)
    drawn = network.draw(labels, random)
    network.discriminator_loss(x, *drawn)
    network.generator_loss(x, *drawn)  # fixes all shapes
    network.generator.hybridize(static_alloc=True)
    network.discriminator.hybridize(static_alloc=True)
    batches = max(1, len(data.train_x) // recipe.batch_size)
    ours = {'g': list(network.generator.collect_params().values())}
    ours['d'] = [parameter for parameter in network.collect_params().values() if parameter not in ours['g']]
    trainers = {}
    for name, parameters in ours.items():
        optimizer = make_optimizer(recipe, batches, network)
        optimizer.param_dict = dict(enumerate(parameters))
        trainers[name] = gluon.Trainer(parameters, optimizer, update_on_kvstore=False)
        trainers[name]._init_kvstore()
    history, first_epoch, saved = [], 0, run.checkpoint.load()
    if saved:
        arrays, state = saved
        history, first_epoch = state['history'], state['epoch']
        restore_model(arrays, network)
        for name, trainer in trainers.items():
            updater = trainer._updaters[0]
            restore_optimizer({f'optimizer:{key[2:]}': array for key, array in arrays.items()
                               if key.startswith(f'{name}:')}, updater,
                              {number: parameter.data() for number, parameter in enumerate(trainer._params)})
            updater.optimizer.begin_num_update = updater.optimizer.num_update = first_epoch * batches
    for epoch in range(first_epoch, recipe.epochs):
        random = seed_everything(run.seed, epoch)
        started, totals = time.perf_counter(), {'d': 0, 'g': 0}
        order = np.resize(random.permutation(len(data.train_x)), (batches, recipe.batch_size))
        for numbers in tqdm(order, run.label(epoch), leave=False, unit_scale=recipe.batch_size, unit=' samples',
                            disable=None):
            x = nd.array(scaled(data.train_x[numbers]))
            drawn = network.draw(data.train_y[numbers].astype(int), random)
            for name, loss_of in (('d', network.discriminator_loss), ('g', network.generator_loss)):
                with autograd.record():
                    loss = loss_of(x, *drawn)
                loss.backward()
                trainers[name].step(1)  # the optimizer divides by the batch size
                totals[name] = totals[name] + loss.mean()
        seconds = time.perf_counter() - started
        row = {'epoch': epoch, 'learning_rate': recipe.rate((epoch + 1) * batches, batches), 'seconds': seconds,
               'samples_per_second': order.size / seconds,
               **{f'train_{name}_loss': float(total.asscalar()) / batches for name, total in totals.items()}}
        if not math.isfinite(sum(row.values())):
            raise Diverged(f'{run.folder}: a loss became NaN or infinite in epoch {epoch}: lower --learning-rate (now '
                           f'{recipe.learning_rate:g}); the checkpoint of the last good epoch is kept')
        history.append(row)
        states = {f'{name}:{key}': array for name, trainer in trainers.items()
                  for key, array in optimizer_arrays(trainer._updaters[0]).items()}
        run.checkpoint.save({**model_arrays(network), **states}, {'epoch': epoch + 1, 'history': history})
        run.write_history(history)
        run.say(run.line(row))
    network.generator.export(str(run.folder / 'model'), len(history))
    return network.measure(run, np.random.default_rng(run.seed)), history


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('8.4-infogan')
