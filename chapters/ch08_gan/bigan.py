"""Section 8.4: BiGAN, or ALI: a generator and, learnt with it, its inverse.

    python -m chapters.ch08_gan.bigan --data mnist

"Adversarial Feature Learning", https://arxiv.org/abs/1605.09782, and "Adversarially Learned Inference",
https://arxiv.org/abs/1606.00704, which found the same.
"""
import numpy as np
from mxnet import nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.samples import nearest_classes
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _ = LOSSES['book']


class BiGAN(Players):
    """The discriminator sees pairs: an image with the code that the encoder finds, or a code with its image.

    It can tell them apart until encoder and generator undo each other.

    Parameters
    ----------
    size, channels : int
        Of the images.
    units, codes : int
        Of the hidden layers, two in each network as in the paper for MNIST; numbers of a code, evenly from -1 to 1.
    """
    def __init__(self, size=32, channels=1, units=512, codes=50, **kwargs):
        super().__init__(**kwargs)
        self.codes, self._shape = codes, (-1, channels, size, size)
        with self.name_scope():
            self.generator, self.encoder, self.judge = (nn.HybridSequential() for _ in '123')
            for _ in '12':
                self.generator.add(nn.Dense(units, use_bias=False), nn.BatchNorm(), nn.Activation('relu'))
                self.encoder.add(nn.Dense(units, use_bias=False), nn.BatchNorm(), nn.LeakyReLU(0.2))
                self.judge.add(nn.Dense(units), nn.LeakyReLU(0.2))
            self.generator.add(nn.Dense(channels * size * size, activation='tanh'))
            self.encoder.add(nn.Dense(codes))
            self.judge.add(nn.Dense(1))

    def turns(self):
        """As `Players` has it."""
        return [('d', [self.judge], self.discriminator_loss),
                ('g', [self.generator, self.encoder], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images, and codes for as many others."""
        return (*super().draw(data, numbers, random), nd.array(random.uniform(-1, 1, (len(numbers), self.codes))))

    def _judge(self, x, z):
        return self.judge(nd.concat(x.flatten(), z, dim=1))[:, 0]

    def decode(self, z):
        """Codes (N, codes) to images (N, C, H, W)."""
        return self.generator(z).reshape(self._shape)

    def discriminator_loss(self, x, z):
        """(N,): images with their codes against codes with their images."""
        return (_REAL(nd, self._judge(x, self.encoder(x).detach()))
                + _MADE(nd, self._judge(self.generator(z).detach(), z)))

    def generator_loss(self, x, z):
        """(N,): the opposite, for generator and encoder together."""
        return _MADE(nd, self._judge(x, self.encoder(x))) + _REAL(nd, self._judge(self.generator(z), z))

    def measure(self, run, random):
        """Test images over what the generator makes of their codes; how well each network undoes the other."""
        data = run.data
        x, y = scaled(data.validation_x[:1000]), data.validation_y[:1000].astype(int)
        back = self.decode(self.encoder(nd.array(x))).asnumpy()
        page = [images[row:row + 10] for row in (0, 10, 20, 30) for images in (x, back)]
        samples.save_tiles(np.concatenate(page), run.folder / 'figures' / 'there-and-back.png', 10)
        z = random.uniform(-1, 1, (1000, self.codes))
        made = self.decode(nd.array(z))
        samples.save_tiles(made[:64].asnumpy(), run.folder / 'figures' / 'samples.png')
        kept = nearest_classes(back, scaled(data.train_x[:5000]), data.train_y[:5000]) == y
        apart = np.square(x - np.roll(x, 1, axis=0)).mean()
        return {'class_there_and_back': kept.mean(), 'error_there_and_back': np.square(x - back).mean() / apart,
                'codes_correlation': np.corrcoef(z.ravel(), self.encoder(made).asnumpy().ravel())[0, 1]}


EXPERIMENTS = [
    by_turns('8.4-bigan', 'BiGAN (ALI): a generator and its inverse', 'BiGAN（ALI）：生成器与它的逆', BiGAN, (10,),
             {'size': 16, 'units': 256, 'codes': 10}, learning_rate=0.0005, epochs=100),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
