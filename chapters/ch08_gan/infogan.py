"""Section 8.4: InfoGAN, which finds the ten digits in images without labels.

    python -m chapters.ch08_gan.infogan --data mnist
    python -m chapters run 8.4-infogan-planes  # figures 8-28 and 8-29

"InfoGAN: Interpretable Representation Learning by Information Maximizing Generative Adversarial Nets",
https://arxiv.org/abs/1606.03657; networks and settings as in its appendix C.1, a quarter as wide. Beyond the
paper (`moves=0` and `agree=0` leave these out):

- All images are moved a little before the discriminator sees them ("Differentiable Augmentation for Data-Efficient
  GAN Training", https://arxiv.org/abs/2006.10738). Slant is then no mark of a class, and the images of a c1, which
  differ little at first, teach sooner how real ones are to be read.
- After a quarter of training a real image is to be read alike wherever it is moved ("Learning Discrete
  Representations via Information Maximizing Self-Augmented Training", https://arxiv.org/abs/1702.08720). That parts
  digits that two c1 share. From the beginning on it would fix classes that are no digits; only half-way, a c1 may
  have lost its digit by then.
"""
from dataclasses import replace

import numpy as np
from mxnet import nd
from mxnet.gluon import nn
from scipy.optimize import linear_sum_assignment

import chapters
from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import GrayConv2DTranspose
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.strokes import slant, stroke_width
from chapters.ch08_gan.turns import Players, by_turns, train_players
from chapters.kit.experiment import BookFigure, WorkedExample
from chapters.kit.report import figures
from chapters.kit.variants import trained
from chapters.script import run_script
from data_tools.errors import UserError

_REAL, _MADE, _G = LOSSES['book']
_STRIPS = 10  # of a plane of codes, a digit each


class InfoGAN(Players):
    """Part of the code is read back from the image by a second head of the discriminator, and so takes on a meaning.

    Before the transposed convolutions the generator has a layer of units for the whole image. Without it c1
    only adds a pattern to what the noise draws, and comes to mean boldness or slant rather than the digit. And
    the discriminator needs its batch normalisation. Without it, long before G draws digits, all images of one c1
    are the same: a mark that is read easily, and that G never leaves again.

    Parameters
    ----------
    size, channels, width : int
        Of the images (16, 20, ...), and of the layer next to them.
    units : int
        Of the layers without a place in the image.
    noise, classes, continuous : int
        A code is `noise` normal numbers, then c1, one of so many classes as ones and zeros, then c2, c3, ...
        evenly from -1 to 1.
    weight : float
        Of the continuous ones in the loss.
    d_rate : float
        The discriminator's learning rate, as a share of the recipe's; that of what reads the codes is whole.
    moves : float
        Before the discriminator images are turned and slanted by up to so many radians, and stretched and
        shifted by shares of the side in proportion. 0: not.
    agree : float
        Weight, after a quarter of training, of reading real images alike when they are moved three times as far.
    """
    def __init__(self, size=32, channels=1, width=16, units=256, noise=62, classes=10, continuous=2, weight=0.1,
                 d_rate=0.2, moves=0.1, agree=1.0, **kwargs):
        super().__init__(**kwargs)
        if size % 4:
            raise UserError(f'size={size}: images are made by doubling twice; give a multiple of 4')
        self.noise, self.classes, self.continuous, self.weight = noise, classes, continuous, weight
        self.moves, self.agree = moves, agree

        last = GrayConv2DTranspose if channels == 1 else nn.Conv2DTranspose
        with self.name_scope():
            self.generator = nn.HybridSequential()
            self.generator.add(nn.HybridLambda(lambda F, x: F.expand_dims(F.expand_dims(x, axis=2), axis=3)))
            for settings in ((units, 1), (2 * width, size // 4), (width, 4, 2, 1)):
                self.generator.add(nn.Conv2DTranspose(*settings, use_bias=False), nn.BatchNorm(), nn.Activation('relu'))
            self.generator.add(last(channels, 4, strides=2, padding=1, use_bias=False, in_channels=width),
                               nn.Activation('tanh'))
            self.features, self.judge, self.reader = nn.HybridSequential(), nn.Dense(1), nn.HybridSequential()
            self.features.add(nn.Conv2D(width, 4, 2, 1), nn.LeakyReLU(0.1),
                              nn.Conv2D(2 * width, 4, 2, 1), nn.BatchNorm(), nn.LeakyReLU(0.1),
                              nn.Dense(units), nn.BatchNorm(), nn.LeakyReLU(0.1))
            self.reader.add(nn.Dense(128), nn.LeakyReLU(0.1), nn.Dense(classes + continuous))
        for block in (self.features, self.judge):
            for parameter in block.collect_params().values():
                parameter.lr_mult = d_rate

    def turns(self):
        """As `Players` has it; the codes are read by whoever plays, so that both learn to make that easy."""
        return [('d', [self.features, self.judge, self.reader], self.discriminator_loss),
                ('g', [self.generator], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images; how they and made ones are moved, and real ones farther; codes, c1, c2 and c3. No labels."""
        c1 = random.integers(0, self.classes, len(numbers))
        c2 = random.uniform(-1, 1, (len(numbers), self.continuous))
        motions = [self._motions(len(numbers), random, far) for far in (1, 1, 3)]
        return (*super().draw(data, numbers, random), *motions, self.codes(c1, c2, random), nd.array(c1), nd.array(c2))

    def _motions(self, count, random, far):
        """Affine maps (count, 6), as `GridGenerator` has them, up to `far` times `moves`."""
        turn, slant, wide, high, right, down = far * self.moves * random.uniform(-1, 1, (6, count))
        wide, high, cos, sin = np.exp(wide / 2), np.exp(high / 2), np.cos(turn), np.sin(turn)
        return nd.array(np.stack([wide * cos, wide * (cos * slant - sin), right / 3,
                                  high * sin, high * (sin * slant + cos), down / 3], axis=1))

    def look(self, x, motions):
        """What the discriminator finds in images (N, C, H, W) that are moved."""
        grid = nd.GridGenerator(motions, transform_type='affine', target_shape=x.shape[2:])
        return self.features(nd.BilinearSampler(x + 1, grid) - 1)  # outside it is black

    def codes(self, c1, c2, random):
        """Codes for classes (N,) and numbers (N, continuous)."""
        one_hot = np.eye(self.classes, dtype=np.float32)[c1]
        return nd.array(np.concatenate([random.standard_normal((len(c1), self.noise)), one_hot, c2], axis=1))

    def read(self, features):
        """What is read from images: logits of c1 (N, classes), then c2, c3, ... (N, continuous)."""
        read = self.reader(features)
        return read[:, :self.classes], read[:, self.classes:]

    def discriminator_loss(self, x, motions, motions_of_made, far_motions, codes, c1, c2):
        """(N,): real against made, to read the codes of the made, and to read the real ones alike however they lie."""
        made, real = self.look(self.generator(codes).detach(), motions_of_made), self.look(x, motions)
        loss = _REAL(nd, self.judge(real)[:, 0]) + _MADE(nd, self.judge(made)[:, 0]) + self._misread(made, c1, c2)
        if self.agree and self.progress >= 0.25:
            loss = loss + self.agree * self._disagreement(real, self.look(x, far_motions))
        return loss

    def generator_loss(self, x, motions, motions_of_made, far_motions, codes, c1, c2):
        """(N,): to be taken for real, and to be read rightly."""
        made = self.look(self.generator(codes), motions_of_made)
        return _G(nd, self.judge(made)[:, 0]) + self._misread(made, c1, c2)

    def _misread(self, features, c1, c2):
        """How far what is read from made images is from their codes, (N,)."""
        logits, numbers = self.read(features)
        return self.weight * nd.square(numbers - c2).sum(axis=1) - nd.pick(nd.log_softmax(logits), c1)

    def _disagreement(self, here, there):
        """How little two looks at the same images tell of each other's c1, (N,): least where both are sure of the same,
        and all classes are in use."""
        p, q = (nd.log_softmax(self.read(features)[0]) for features in (here, there))
        used = (p.exp() + q.exp()).mean(axis=0) / 2
        return (used * (used + 1e-8).log()).sum() - (p.exp() * q + q.exp() * p).sum(axis=1) / 2

    def digit_error(self, data):
        """(share of test images whose c1, as read, does not stand for their digit; the digit of each c1).

        Each c1 stands for one digit, in the assignment that errs least.
        """
        x, y = scaled(data.validation_x), data.validation_y.astype(int)
        read = np.concatenate([self.read(self.features(nd.array(part)))[0].asnumpy().argmax(axis=1)
                               for part in np.split(x, range(250, len(x), 250))])
        counts = np.zeros((self.classes, self.classes))
        np.add.at(counts, (read, y), 1)
        best = linear_sum_assignment(-counts)
        return 1 - counts[best].sum() / len(y), best[1]

    def validate(self, data):
        """The error after each epoch."""
        return {'validation_digit_error': self.digit_error(data)[0]}

    def measure(self, run, random):
        """Figures and pictures: c1 down, in the order of the digits, and c2, c3 across."""
        error, digits = self.digit_error(run.data)
        z = np.repeat(random.standard_normal((1, self.noise)), self.classes * 10, axis=0)
        c1 = np.repeat(np.argsort(digits), 10)
        for number in range(self.continuous):
            c2 = np.zeros((len(c1), self.continuous))
            c2[:, number] = np.tile(np.linspace(-1.5, 1.5, 10), self.classes)
            made = self.generator(nd.array(np.concatenate([z, np.eye(self.classes)[c1], c2], axis=1)))
            samples.save_tiles(made.asnumpy(), run.folder / 'figures' / f'c{number + 2}.png', 10)
        *_, codes, c1, c2 = self.draw(run.data, np.zeros(500, int), random)
        logits, numbers = self.read(self.features(self.generator(codes)))
        self._draw_plane(run)
        return {'digit_error': error,
                'c1_misread': float((logits.argmax(axis=1) != c1).mean().asscalar()),
                'c2_correlation': float(np.corrcoef(numbers[:, 0].asnumpy(), c2[:, 0].asnumpy())[0, 1]),
                **self._meanings(run, random)}

    def _meanings(self, run, random):
        """Slant and stroke width of what G makes, over c2 and over c3 from -2 to 2, beyond what it has learnt from.

        `meanings.png`; returns {'c2_moves_slant': the difference from one end to the other over the deviation among
        images at 0, ...}: the larger of a row says what the number means.
        """
        values, found = np.linspace(-2, 2, 9), {}
        c1 = np.tile(np.eye(self.classes), (5, 1))
        noise = random.standard_normal((len(c1), self.noise))
        figure, axes = figures.plt.subplots(1, 2, figsize=(9, 3.4))
        for number in range(min(2, self.continuous)):
            measured = []
            for value in values:
                c2 = np.zeros((len(c1), self.continuous))
                c2[:, number] = value
                made = self.generator(nd.array(np.concatenate([noise, c1, c2], axis=1))).asnumpy().mean(axis=1, keepdims=True)
                measured.append((slant(made), stroke_width(made)))
            for axis, name, attribute in zip(axes, ('slant', 'stroke_width'), np.array(measured).transpose(1, 0, 2)):
                axis.plot(values, attribute.mean(axis=1), marker='o', markersize=3, label=f'c{number + 2}')
                axis.set(title=name.replace('_', ' '), xlabel='c2, c3')
                found[f'c{number + 2}_moves_{name}'] = float(
                    (attribute[-1] - attribute[0]).mean() / max(attribute[len(values) // 2].std(), 1e-6))
        for axis in axes:
            axis.axvspan(-1, 1, alpha=0.1)
            axis.grid(alpha=0.3)
            axis.legend(fontsize=8)
        figure.tight_layout()
        run.save_figure(figure, 'meanings')
        return found

    def _draw_plane(self, run):
        """`plane.png`, figure 8-29: c2 and c3 as read from real images, coloured by digit."""
        if self.continuous < 2:
            return
        x, y = scaled(run.data.validation_x[:1000]), run.data.validation_y[:1000].astype(int)
        read = np.concatenate([self.read(self.features(nd.array(part)))[1].asnumpy() for part in np.array_split(x, 8)])
        figure, axis = figures.plt.subplots(figsize=(5, 4.4))
        points = axis.scatter(read[:, 0], read[:, 1], c=y, s=8, cmap='tab10')
        axis.set(xlabel='c2', ylabel='c3', xlim=(-2, 2), ylim=(-2, 2))
        figure.colorbar(points)
        run.save_figure(figure, 'plane')


class TwoNumbers(InfoGAN):
    """A GAN by InfoGAN's networks: its code is two numbers, which nobody reads."""

    def codes(self, c1, c2, random):
        """The numbers alone."""
        return nd.array(c2)

    def _misread(self, features, c1, c2):
        return 0 * super()._misread(features, c1, c2)

    def validate(self, data):
        """No c1, no digit."""
        return {}


def code_planes(run, data='digits', epochs=40, width=8, learning_rate=0.002, side=20):
    """What a GAN makes of a code of two numbers (figure 8-28), and InfoGAN of c1 and c2 (figure 8-29), coloured by digit.

    Both are InfoGAN's networks on the same images. The GAN's code is two numbers, and nobody reads them back; of InfoGAN's
    the noise stays the same, and a strip of the plane is a c1. `planes.png`.

    Parameters
    ----------
    run : Run
    data : str
        Gray images: digits, mnist or fashion.
    epochs, width, learning_rate
        Of both.
    side : int
        Images along each side of a plane, a multiple of 10.

    Returns
    -------
    dict
        'gan_strips', 'infogan_strips': the share of a plane whose digit is the commonest of its strip, a tenth of the plane
        by the number that is drawn across; a simple judge says which digit it is, 'accuracy_of_the_judge'.
    """
    if side < _STRIPS or side % _STRIPS:
        raise UserError(f'side={side}: give a multiple of {_STRIPS}')
    random, planes, metrics = np.random.default_rng(run.seed), {}, {}
    down, across = (axis.ravel() for axis in np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing='ij'))
    strip = np.tile(np.arange(side) * _STRIPS // side, side)
    experiment = chapters.find('8.4-infogan').but(epochs=epochs, width=width, learning_rate=learning_rate)
    for name, variant in (('gan', replace(experiment.but(agree=0.0), network=TwoNumbers)), ('infogan', experiment)):
        players, _, known = trained(run, name, variant, data=data, how=train_players)
        if name == 'gan':
            codes = nd.array(np.stack([across, down], axis=1))
        else:
            within = np.tile(np.linspace(-1, 1, side // _STRIPS), _STRIPS * side)
            codes = players.codes(np.argsort(players.digit_error(known)[1])[strip], np.stack([down, within], axis=1), random)
            codes[:, :players.noise] = codes[:1, :players.noise].broadcast_to((len(codes), players.noise))
        made = players.generator(codes).asnumpy()
        real, labels = scaled(known.train_x[:5000]), known.train_y[:5000]
        found = samples.nearest_classes(made, real, labels)
        planes[name] = _coloured(made, found)
        metrics[f'{name}_strips'] = sum(np.bincount(found[strip == one]).max() for one in range(_STRIPS)) / len(found)
    judged = samples.nearest_classes(scaled(known.validation_x[:1000]), real, labels)
    metrics['accuracy_of_the_judge'] = (judged == known.validation_y[:1000]).mean()
    figure, axes = figures.plt.subplots(1, 2, figsize=(9.6, 5.2), constrained_layout=True)
    for axis, name, title, words in zip(axes, planes, ('GAN', 'InfoGAN'), (('z1', 'z2'), ('c1', 'c2'))):
        axis.imshow(samples.tiles(planes[name], side), extent=(-1, 1, 1, -1))
        axis.set(title=title, xlabel=words[0], ylabel=words[1], xticks=[], yticks=[])
    figure.suptitle(figures.text('8.4.3 The plane of codes, coloured by digit', '编码平面，颜色代表数字'))
    run.save_figure(figure, 'planes')
    return metrics


def _coloured(images, labels):
    """Gray images (N, 1, S, S) on grounds in the colours of their labels, (N, 3, S, S) from -1 to 1."""
    stroke = np.clip((images + 1) / 2, 0, 1)
    ground = np.array([figures.plt.get_cmap('tab10')(int(label) % 10)[:3] for label in labels])[:, :, None, None]
    return 2 * (ground * (1 - stroke) + stroke) - 1


EXPERIMENTS = [
    by_turns('8.4-infogan', 'InfoGAN finds the digits by itself', 'InfoGAN：自行发现数字', InfoGAN, (74,), {'size': 16},
             (BookFigure(0.05, 'digit_error', 'mnist', 'about'),), epochs=60, initializer='normal(0.02)', anneal=1.0),
    WorkedExample('8.4-infogan-planes', 'The codes of a GAN beside those of InfoGAN', '普通 GAN 与 InfoGAN 的编码空间',
                  function=code_planes),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
