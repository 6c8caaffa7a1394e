"""Section 8.5: CVAE-GAN: a variational auto-encoder that is told the class, and judged by a discriminator; and CVAE alone.

    python -m chapters.ch08_gan.cvae_gan --data mnist

"CVAE-GAN: Fine-Grained Image Generation through Asymmetric Training", https://arxiv.org/abs/1703.10155.
"""
import numpy as np
from mxnet import nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.conditional import one_hot, with_class
from chapters.ch08_gan.dcgan import Discriminator, Generator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.scores import sharpness
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _ = LOSSES['book']


class CVAE(Players):
    """Encoder and generator, told the class, that learn by pixels alone: half of what CVAE-GAN is made of (figure 8-44).

    Parameters
    ----------
    size, channels, width
        As for `DCGAN`.
    codes, classes : int
        A code is so many numbers; with it comes the class as ones and zeros.
    pixels, divergence : float
        Weights of the squared error of pixels, and of the divergence of codes (the paper's lambda 2 and 1).
    """
    def __init__(self, size=32, channels=1, width=16, codes=16, classes=10, pixels=1.0, divergence=1.0, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.classes, self.pixels, self.divergence = codes, classes, pixels, divergence
        with self.name_scope():
            self.encoder = Discriminator(size, channels + classes, width, learnt_slopes=False, outputs=2 * codes)
            self.generator = Generator(size, channels, width, codes + classes, learnt_slopes=False)

    def turns(self):
        """As `Players` has it."""
        return [('g', [self.encoder, self.generator], self.bound)]

    def draw(self, data, numbers, random):
        """Images; their labels, as numbers and as ones and zeros; noise for the codes that are found, and codes."""
        labels = data.train_y[numbers].astype(int)
        noise, codes = (nd.array(random.standard_normal((len(numbers), self.codes))) for _ in '12')
        return (*super().draw(data, numbers, random), nd.array(labels), one_hot(labels, self.classes), noise, codes)

    def encode(self, x, told):
        """Mean and logarithm of the variance of the codes of images, (N, codes) each."""
        both = self.encoder(with_class(x, told))
        return both[:, :self.codes], both[:, self.codes:]

    def of_classes(self, labels, random):
        """Images (N, C, size, size), NumPy's, of random codes and these classes (N,)."""
        codes = nd.array(random.standard_normal((len(labels), self.codes)))
        return self.generator(nd.concat(codes, one_hot(labels, self.classes), dim=1)).asnumpy()

    def found(self, x, told, noise):
        """(codes drawn from the encoder's Gaussians (N, codes), divergence of these from the standard one (N,))."""
        mean, log_variance = self.encode(x, told)
        divergence = (nd.square(mean) + nd.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2
        return mean + nd.exp(log_variance / 2) * noise, divergence

    def bound(self, x, labels, told, noise, codes):
        """(N,): divergence, and error of pixels."""
        found, divergence = self.found(x, told, noise)
        return self._of_pixels(self.generator(nd.concat(found, told, dim=1)), x, divergence)

    def _of_pixels(self, again, x, divergence):
        return self.divergence * divergence + self.pixels * nd.square(again - x).sum(axis=(1, 2, 3)) / 2

    def measure(self, run, random):
        """A row of one code each, in every class; how often classes are right."""
        labels = np.tile(np.arange(self.classes), 30)
        made = self.of_classes(labels, random)
        samples.save_tiles(made[:8 * self.classes], run.folder / 'figures' / 'classes.png', self.classes)
        real, known = scaled(run.data.train_x[:5000]), run.data.train_y[:5000]
        return {'label_recognised': (samples.nearest_classes(made, real, known) == labels).mean(),
                'sharpness': sharpness(made, real)}


class CVAEGAN(CVAE):
    """Encoder, generator, discriminator and classifier.

    Parameters
    ----------
    size, channels, width, codes, classes, pixels, divergence
        As for `CVAE`; codes that are not of the standard Gaussian are kept right by D and C, too.
    matching : float
        Weight of the squared error of features (the paper's lambda 3 and 4).
    """
    def __init__(self, size=32, channels=1, width=16, codes=16, classes=10, pixels=1.0, divergence=0.1,
                 matching=1.0, **kwargs):
        super().__init__(size, channels, width, codes, classes, pixels, divergence, **kwargs)
        self.matching = matching
        with self.name_scope():
            # Features of 64 numbers, and behind them the answer.
            self.d_features, self.c_features = (
                Discriminator(size, channels, width, learnt_slopes=False, outputs=64) for _ in 'dc')
            self.d_answer, self.c_answer = nn.HybridSequential(), nn.HybridSequential()
            self.d_answer.add(nn.LeakyReLU(0.2), nn.Dense(1))
            self.c_answer.add(nn.LeakyReLU(0.2), nn.Dense(classes))

    def turns(self):
        """As `Players` has it: discriminator and classifier, then encoder and generator."""
        return [('d', [self.d_features, self.d_answer, self.c_features, self.c_answer], self.discriminator_loss),
                ('g', [self.encoder, self.generator], self.generator_loss)]

    def _made(self, x, told, noise, codes):
        """(images made of the codes found in x, images made of other codes, divergence of what was found)."""
        found, divergence = self.found(x, told, noise)
        # Both in one call: oneDNN 2.4 crashes where a transposed convolution is used twice before one backward pass.
        made = self.generator(nd.concat(nd.concat(found, codes, dim=0), nd.concat(told, told, dim=0), dim=1))
        return made[:len(x)], made[len(x):], divergence

    def discriminator_loss(self, x, labels, told, noise, codes):
        """(N,): real against both kinds of made images, half each; and the classifier's on the real ones."""
        again, made, _ = (array.detach() for array in self._made(x, told, noise, codes))
        of_real, of_again, of_made = (self.d_answer(self.d_features(images))[:, 0] for images in (x, again, made))
        named = nd.log_softmax(self.c_answer(self.c_features(x)))
        return _REAL(nd, of_real) + (_MADE(nd, of_again) + _MADE(nd, of_made)) / 2 - nd.pick(named, labels)

    def generator_loss(self, x, labels, told, noise, codes):
        """(N,): divergence; error of pixels and features; and that features of other codes have the right means.

        The paper has G match mean features instead of raising D's answer: of all images for D, of a class for C.
        """
        again, made, divergence = self._made(x, told, noise, codes)
        loss = self._of_pixels(again, x, divergence)
        of_classes = nd.dot(told, told, transpose_b=True)  # 1 for two of one class
        of_classes = nd.broadcast_div(of_classes, of_classes.sum(axis=1, keepdims=True))
        for features, average in ((self.d_features, None), (self.c_features, of_classes)):
            real = features(x).detach()
            loss = loss + self.matching * nd.square(features(again) - real).sum(axis=1) / 2
            if average is None:
                off = (features(made).mean(axis=0) - real.mean(axis=0)).expand_dims(0).broadcast_axes(0, len(x))
            else:
                off = nd.dot(average, features(made)) - nd.dot(average, real)
            loss = loss + self.matching * nd.square(off).sum(axis=1) / 2
        return loss

    def measure(self, run, random):
        """Rows of one code each, in every class; test images and the same made again; how often classes are right.

        `swapped.png`: test images, and beside each the image of its code in every class. `between.png`: from the code of
        a test image to that of another of its class.
        """
        x, y = scaled(run.data.validation_x[:300]), run.data.validation_y[:300].astype(int)
        mean, _ = self.encode(nd.array(x), one_hot(y, self.classes))
        again = self.generator(nd.concat(mean, one_hot(y, self.classes), dim=1)).asnumpy()
        samples.save_tiles(np.concatenate([x[:10], again[:10], x[10:20], again[10:20]]),
                           run.folder / 'figures' / 'again.png', 10)
        swapped, recognised = self._swapped(run, x, mean.asnumpy())
        self._draw_between(run, x, y, mean.asnumpy())
        z, labels = random.standard_normal((30, self.codes)).repeat(10, axis=0), np.tile(np.arange(10), 30)
        made = self.generator(nd.concat(nd.array(z), one_hot(labels, self.classes), dim=1)).asnumpy()
        samples.save_tiles(made[:80], run.folder / 'figures' / 'classes.png', 10)
        real, known = scaled(run.data.train_x[:5000]), run.data.train_y[:5000]
        apart = np.square(x - np.roll(x, 1, axis=0)).mean()
        known_swapped = samples.nearest_classes(swapped, real, known) == recognised
        return {'swapped_class_recognised': known_swapped.mean(),
                'label_recognised': (samples.nearest_classes(made, real, known) == labels).mean(),
                'error_again': np.square(again - x).mean() / apart,
                'variety': samples.variety(made[::10], real)}

    def _swapped(self, run, x, mean):
        """(images of the codes of real ones in every class, these classes)."""
        labels = np.tile(np.arange(self.classes), 30)
        codes = nd.array(mean[:30].repeat(self.classes, axis=0))
        made = self.generator(nd.concat(codes, one_hot(labels, self.classes), dim=1)).asnumpy()
        rows = [np.concatenate([x[row:row + 1], made[self.classes * row:][:self.classes]]) for row in range(8)]
        samples.save_tiles(np.concatenate(rows), run.folder / 'figures' / 'swapped.png', self.classes + 1)
        return made, labels

    def _draw_between(self, run, x, y, mean):
        rows = []
        for label in range(self.classes):
            first, *others = np.flatnonzero(y == label)
            if others:
                codes = samples.between(mean[first], mean[others[0]], 8, spherical=False)
                told = one_hot(np.full(8, label), self.classes)
                made = self.generator(nd.concat(nd.array(codes), told, dim=1)).asnumpy()
                rows += [x[first:first + 1], made, x[others[0]:others[0] + 1]]
        samples.save_tiles(np.concatenate(rows), run.folder / 'figures' / 'between.png', 10)


EXPERIMENTS = [
    by_turns('8.5-cvae', 'CVAE: a variational auto-encoder that is told the class', 'CVAE：知道类别的变分自编码器', CVAE, (26,),
             epochs=20),
    by_turns('8.5-cvae-gan', 'CVAE-GAN', 'CVAE-GAN：条件变分自编码器与 GAN', CVAEGAN, (26,), epochs=20),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
