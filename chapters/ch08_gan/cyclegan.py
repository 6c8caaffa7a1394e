"""Section 8.4: CycleGAN, which translates between two kinds of images of which no pairs are known.

    python -m chapters.ch08_gan.cyclegan --data mnist

"Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
https://arxiv.org/abs/1703.10593. The kinds are digits, and negatives of digits that are turned a little: so the
right translation is known, to measure by; training does not see it. It is found because it is the simplest that
can be undone. A large turn is hard: the paper too had "little success" with translations that change shapes.
"""
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn
from scipy.ndimage import rotate

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _G = LOSSES['least_squares']


class Residual(gluon.HybridBlock):
    """Two 3x3 convolutions around which the input goes past."""
    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(nn.Conv2D(width, 3, padding=1, in_channels=width), nn.Activation('relu'),
                          nn.Conv2D(width, 3, padding=1, in_channels=width))

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class Translator(gluon.HybridBlock):
    """An image to an image: to half the side, residual units there, and back.

    Back by pixel shuffle: oneDNN 2.4 crashes where a transposed convolution is used twice before a backward pass.
    Batch normalisation, where the paper has instance normalisation, which takes MXNet ten times as long.

    Parameters
    ----------
    channels, width, units : int
        Of the images, of the first convolution, and residual ones.

    Input and output (N, channels, size, size) from -1 to 1.
    """
    def __init__(self, channels, width, units=3, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.layers = nn.HybridSequential()
            self.layers.add(nn.Conv2D(width, 3, padding=1), nn.BatchNorm(), nn.Activation('relu'),
                            nn.Conv2D(2 * width, 3, strides=2, padding=1), nn.BatchNorm(), nn.Activation('relu'))
            for _ in range(units):
                self.layers.add(Residual(2 * width))
            self.layers.add(nn.Conv2D(4 * width, 3, padding=1),
                            nn.HybridLambda(lambda F, x: F.depth_to_space(x, 2)), nn.BatchNorm(),
                            nn.Activation('relu'), nn.Conv2D(channels, 3, padding=1), nn.Activation('tanh'))

    def hybrid_forward(self, F, x):
        return self.layers(x)


class CycleGAN(Players):
    """Two translators, there and back, and a discriminator for each kind of images.

    Parameters
    ----------
    size, channels, width : int
        Of the images (16, 32, ...), and of the networks.
    cycle : float
        Weight of coming back to where one started from. With 0 whatever looks like a digit will do.
    d_rate : float
        The discriminators' learning rate, as a share of the recipe's: else they are soon sure of everything.
    """
    def __init__(self, size=16, channels=1, width=8, cycle=10.0, d_rate=0.3, **kwargs):
        super().__init__(**kwargs)
        self.cycle = cycle
        with self.name_scope():
            self.there, self.back = Translator(channels, width), Translator(channels, width)
            self.of_first, self.of_second = (
                Discriminator(size, channels, width, learnt_slopes=False, normalised=False) for _ in '12')
        for block in (self.of_first, self.of_second):
            for parameter in block.collect_params().values():
                parameter.lr_mult = d_rate

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
        away = nd.abs(self.back(as_b) - a) + nd.abs(self.there(as_a) - b)
        return (_G(nd, self.of_second(as_b)) + _G(nd, self.of_first(as_a))
                + self.cycle * away.mean(axis=(1, 2, 3)))

    def exported(self):
        """The way there."""
        return self.there

    def measure(self, run, random):
        """First kind, translated, right translation, and back again; how far each is from where it should be.

        `other-way.png`: the second kind, translated, and back again.

        'class_kept': how often the nearest images of the second kind are of the class that was translated.
        """
        x, y = scaled(run.data.validation_x[:500]), run.data.validation_y[:500]
        there = self.there(nd.array(x))
        back = self.back(there).asnumpy()
        there, right = there.asnumpy(), other_kind(x)
        samples.save_tiles(np.concatenate([part[:10] for part in (x, there, right, back)]),
                           run.folder / 'figures' / 'translations.png', 10)
        second = right[-300:]  # not those whose translations are shown above
        as_first = self.back(nd.array(second))
        again = self.there(as_first).asnumpy()
        samples.save_tiles(np.concatenate([part[:10] for part in (second, as_first.asnumpy(), again)]),
                           run.folder / 'figures' / 'other-way.png', 10)
        known = other_kind(scaled(run.data.train_x[:5000]))
        kept, judge = (samples.nearest_classes(images, known, run.data.train_y[:5000]) == y
                       for images in (there, right))
        return {'class_kept': kept.mean(), 'accuracy_of_the_judge': judge.mean(),
                'error_there': np.abs(there - right).mean(), 'error_there_untranslated': np.abs(x - right).mean(),
                'error_there_and_back': np.abs(back - x).mean(), 'error_back_and_there': np.abs(again - second).mean()}


def other_kind(images):
    """The negative of each image (N, C, H, W), turned by 30 degrees to the left."""
    turned = rotate(images, 30, axes=(2, 3), reshape=False, order=1, cval=-1)
    return -np.clip(turned, -1, 1)


EXPERIMENTS = [
    by_turns('8.4-cyclegan', 'CycleGAN: digits to their negatives, turned, and back', 'CycleGAN：数字与其旋转负片互译',
             CycleGAN, (1, 16, 16), {'size': 16}, epochs=24, batch_size=32, learning_rate=0.002, anneal=0.5),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
