"""Section 8.4: BiGAN, or ALI: a generator and, learnt with it, its inverse.

    python -m chapters.ch08_gan.bigan --data mnist

"Adversarial Feature Learning", https://arxiv.org/abs/1605.09782, and "Adversarially Learned Inference",
https://arxiv.org/abs/1606.00704, which found the same.
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator, Generator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.samples import nearest_classes
from chapters.ch08_gan.turns import Players
from mxnet import nd
from mxnet.gluon import nn

_REAL, _MADE, _ = LOSSES['book']


class BiGAN(Players):
    """The discriminator sees pairs: an image with the code that the encoder finds, or a code with its image.

    It can tell them apart until encoder and generator undo each other.

    Parameters
    ----------
    size, channels, width
        As for `DCGAN`.
    codes : int
        Numbers of a code, normally distributed.
    """
    def __init__(self, size=32, channels=1, width=16, codes=50, **kwargs):
        super().__init__(**kwargs)
        self.codes = codes
        with self.name_scope():
            self.generator = Generator(size, channels, width, codes, learnt_slopes=False)
            self.encoder = Discriminator(size, channels, width, learnt_slopes=False, outputs=codes)
            self.of_image = Discriminator(size, channels, width, learnt_slopes=False, outputs=8 * width)
            self.of_pair = nn.HybridSequential()
            self.of_pair.add(nn.Dense(16 * width), nn.LeakyReLU(0.2), nn.Dense(16 * width), nn.LeakyReLU(0.2), nn.Dense(1))

    def turns(self):
        """As `Players` has it."""
        return [('d', [self.of_image, self.of_pair], self.discriminator_loss),
                ('g', [self.generator, self.encoder], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images, and codes for as many others."""
        return (*super().draw(data, numbers, random), nd.array(random.standard_normal((len(numbers), self.codes))))

    def _judge(self, x, z):
        return self.of_pair(nd.concat(self.of_image(x), z, dim=1))[:, 0]

    def discriminator_loss(self, x, z):
        """(N,): images with their codes against codes with their images."""
        return (_REAL(nd, self._judge(x, self.encoder(x).detach()))
                + _MADE(nd, self._judge(self.generator(z).detach(), z)))

    def generator_loss(self, x, z):
        """(N,): the opposite, for generator and encoder together."""
        return _MADE(nd, self._judge(x, self.encoder(x))) + _REAL(nd, self._judge(self.generator(z), z))

    def measure(self, run, random):
        """Test images over what the generator makes of their codes; what codes of test images are good for."""
        data = run.data
        x, y = scaled(data.validation_x[:1000]), data.validation_y[:1000].astype(int)
        codes = self.encoder(nd.array(x))
        back = self.generator(codes).asnumpy()
        samples.save_tiles(np.concatenate([np.concatenate([x[row:row + 10], back[row:row + 10]])
                                           for row in (0, 10, 20, 30)]), run.folder / 'figures' / 'there-and-back.png', 10)
        samples.save_tiles(samples.generate(self.generator, random.standard_normal((64, self.codes)), mx.cpu()),
                           run.folder / 'figures' / 'samples.png')
        real = scaled(data.train_x[:10000])
        known = np.concatenate([self.encoder(nd.array(real[start:start + 250])).asnumpy()
                                for start in range(0, len(real), 250)])
        nearest = nearest_classes(codes.asnumpy(), known, data.train_y[:10000], 1)
        apart = np.square(x - np.roll(x, 1, axis=0)).mean()
        return {'accuracy_by_nearest_code': (nearest == y).mean(),
                'error_there_and_back': np.square(x - back).mean() / apart}


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('8.4-bigan')
