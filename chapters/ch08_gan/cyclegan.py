"""Section 8.4: CycleGAN, which translates between two kinds of images of which no pairs are known.

    python -m chapters.ch08_gan.cyclegan --data mnist

"Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
https://arxiv.org/abs/1703.10593. The kinds are digits and their negatives turned by a right angle: so the right
translation is known, to measure by; training does not see it.
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.turns import Players
from mxnet import gluon, nd
from mxnet.gluon import nn

_REAL, _MADE, _G = LOSSES['least_squares']


class Residual(gluon.HybridBlock):
    """Two 3x3 convolutions around which the input goes past."""
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(nn.Conv2D(width, 3, padding=1, in_channels=width), nn.BatchNorm(),
                          nn.Activation('relu'), nn.Conv2D(width, 3, padding=1, in_channels=width),
                          nn.BatchNorm())

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class Translator(gluon.HybridBlock):
    """An image to an image: to a quarter of the side, residual units there, and back.

    Back by pixel shuffle: oneDNN 2.4 crashes where a transposed convolution is used twice before one backward pass.

    Parameters
    ----------
    channels, width, units : int
        Of the images, of the first convolution, and residual ones.

    Input and output (N, channels, size, size) from -1 to 1.
    """
    def __init__(self, channels, width, units=4, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            for count, settings in ((width, {}), (2 * width, {'strides': 2}), (4 * width, {'strides': 2})):
                self.layers.add(nn.Conv2D(count, 3, padding=1, **settings), nn.BatchNorm(), nn.Activation('relu'))
            for _ in range(units):
                self.layers.add(Residual(4 * width))
            for count in (2 * width, width):
                self.layers.add(nn.Conv2D(4 * count, 3, padding=1),
                                nn.HybridLambda(lambda F, x: F.depth_to_space(x, 2)), nn.BatchNorm(), nn.Activation('relu'))
            self.layers.add(nn.Conv2D(channels, 3, padding=1), nn.Activation('tanh'))

    def hybrid_forward(self, F, x):
        return self.layers(x)


class CycleGAN(Players):
    """Two translators, there and back, and a discriminator for each kind of images.

    Parameters
    ----------
    size, channels, width : int
        Of the images (16, 32, ...), and of the networks.
    cycle : float
        Weight of coming back to where one started from.
    """
    def __init__(self, size=16, channels=1, width=16, cycle=10.0, **kwargs):
        super().__init__(**kwargs)
        self.cycle = cycle
        with self.name_scope():
            self.there, self.back = Translator(channels, width), Translator(channels, width)
            self.of_first, self.of_second = (Discriminator(size, channels, width, learnt_slopes=False) for _ in '12')

    def turns(self):
        """As `Players` has it."""
        return [('d', [self.of_first, self.of_second], self.discriminator_loss),
                ('g', [self.there, self.back], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images of both kinds: the second are made of other samples than the first."""
        others = random.integers(0, len(data.train_x), len(numbers))
        return nd.array(scaled(data.train_x[numbers])), nd.array(other_kind(scaled(data.train_x[others])))

    def discriminator_loss(self, a, b):
        """(N,): real ones of each kind against translated ones."""
        loss = 0
        for judge, real, made in ((self.of_first, a, self.back(b)), (self.of_second, b, self.there(a))):
            loss = loss + _REAL(nd, judge(real)) + _MADE(nd, judge(made.detach()))
        return loss

    def generator_loss(self, a, b):
        """(N,): to be taken for real, and to come back."""
        as_b, as_a = self.there(a), self.back(b)
        away = nd.abs(self.back(as_b) - a).mean(axis=(1, 2, 3)) + nd.abs(self.there(as_a) - b).mean(axis=(1, 2, 3))
        return _G(nd, self.of_second(as_b)) + _G(nd, self.of_first(as_a)) + self.cycle * away

    def exported(self):
        """The way there."""
        return self.there

    def measure(self, run, random):
        """First kind, translated, right translation, and back again; how far each is from where it should be."""
        x, y = scaled(run.data.validation_x[:500]), run.data.validation_y[:500]
        there = self.there(nd.array(x))
        back = self.back(there).asnumpy()
        there, right = there.asnumpy(), other_kind(x)
        samples.save_tiles(np.concatenate([part[:10] for part in (x, there, right, back)]),
                           run.folder / 'figures' / 'translations.png', 10)
        known = other_kind(scaled(run.data.train_x[:5000]))
        classes = samples.nearest_classes(there, known, run.data.train_y[:5000])
        return {'class_kept': (classes == y).mean(), 'error_there': np.abs(there - right).mean(),
                'error_there_untranslated': np.abs(x - right).mean(), 'error_there_and_back': np.abs(back - x).mean()}


def other_kind(images):
    """The negative of each image (N, C, H, W), turned by a right angle."""
    return np.ascontiguousarray(-np.rot90(images, axes=(2, 3)))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('8.4-cyclegan')
