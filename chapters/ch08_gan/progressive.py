"""Section 8.4: progressive growing: images of 4x4 first, then of twice the side, and so on.

    python -m chapters.ch08_gan.progressive --data mnist

"Progressive Growing of GANs for Improved Quality, Stability, and Variation", https://arxiv.org/abs/1710.10196.
"""
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import doublings
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _G = LOSSES['book']


class PixelNorm(gluon.HybridBlock):
    """The channels of each pixel divided by their root mean square."""
    def hybrid_forward(self, F, x):
        return F.broadcast_mul(x, F.rsqrt(F.mean(F.square(x), axis=1, keepdims=True) + 1e-8))


def _block(*layers):
    block = nn.HybridSequential()
    block.add(*layers)
    return block


class Progressive(Players):
    """Generator and discriminator in stages, one a side of the images.

    Training is divided evenly among the stages. In the first half of each but the first, what the new layers
    do is mixed, more and more of it, with what the old ones did.

    Parameters
    ----------
    size, channels, width : int
        Of the full images; of the layers of the largest stage, the smaller having up to 4 times as many.
    codes : int
        Numbers of a code, normally distributed.
    """
    def __init__(self, size=32, channels=1, width=16, codes=64, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.stages = codes, doublings(size) + 1
        filters = [width * min(4, 1 << number) for number in reversed(range(self.stages))]

        def convolution(count, before):
            return nn.Conv2D(count, 3, padding=1, in_channels=before)
        with self.name_scope():
            for stage, count in enumerate(filters):
                before = filters[max(0, stage - 1)]
                if stage:
                    grow = _block(convolution(count, before), nn.LeakyReLU(0.2), PixelNorm())
                    judge = _block(convolution(before, count), nn.LeakyReLU(0.2), nn.AvgPool2D(2))
                else:
                    grow = _block(nn.HybridLambda(lambda F, z: F.expand_dims(F.expand_dims(z, axis=2), axis=3)),
                                  PixelNorm(), nn.Conv2DTranspose(count, 4, in_channels=codes), nn.LeakyReLU(0.2),
                                  convolution(count, count), nn.LeakyReLU(0.2), PixelNorm())
                    judge = _block(convolution(count, count), nn.LeakyReLU(0.2),
                                   nn.Conv2D(count, 4, in_channels=count), nn.LeakyReLU(0.2),
                                   nn.Conv2D(1, 1, in_channels=count))
                parts = {'grow': grow, 'paint': _block(nn.Conv2D(channels, 1, in_channels=count)),
                         'judge': judge, 'look': _block(nn.Conv2D(count, 1, in_channels=channels), nn.LeakyReLU(0.2))}
                for name, part in parts.items():
                    self.register_child(part, f'{name}{stage}')

    def part(self, name, stage):
        """One of a stage: 'grow' and 'paint' of the generator, 'look' and 'judge' of the discriminator."""
        return self._children[f'{name}{stage}']

    def turns(self):
        """As `Players` has it."""
        d, g = ([self.part(name, stage) for stage in range(self.stages) for name in names]
                for names in (('look', 'judge'), ('grow', 'paint')))
        return [('d', d, self.discriminator_loss), ('g', g, self.generator_loss)]

    @property
    def stage(self):
        """(number of the stage, share of the new layers) at this point of training."""
        at = min(self.progress, 1 - 1e-9) * self.stages
        return int(at), 1.0 if at < 1 else min(1.0, 2 * (at - int(at)))

    def draw(self, data, numbers, random):
        """Images at the side of the stage, and codes."""
        x, = super().draw(data, numbers, random)
        for _ in range(self.stages - 1 - self.stage[0]):
            x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg')
        return x, nd.array(random.standard_normal((len(numbers), self.codes)))

    def generate(self, z):
        """Codes to images at the side of the stage."""
        stage, share = self.stage
        h = self.part('grow', 0)(z)
        for number in range(1, stage + 1):
            large = nd.UpSampling(h, scale=2, sample_type='nearest')
            old, h = large, self.part('grow', number)(large)
        image = self.part('paint', stage)(h)
        if share < 1:
            image = share * image + (1 - share) * self.part('paint', stage - 1)(old)
        return nd.tanh(image)

    def judge(self, x):
        """Images at the side of the stage to logits (N,)."""
        stage, share = self.stage
        h = self.part('look', stage)(x)
        for number in range(stage, -1, -1):
            h = self.part('judge', number)(h)
            if number == stage and share < 1:
                halved = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg')
                h = share * h + (1 - share) * self.part('look', stage - 1)(halved)
        return h.reshape((-1,))

    def discriminator_loss(self, x, z):
        """(N,)."""
        return _REAL(nd, self.judge(x)) + _MADE(nd, self.judge(self.generate(z).detach()))

    def generator_loss(self, x, z):
        """(N,)."""
        return _G(nd, self.judge(self.generate(z)))

    def _whole(self):
        layers = [self.part('grow', 0)]
        for number in range(1, self.stages):
            layers += [nn.HybridLambda(lambda F, x: F.UpSampling(x, scale=2, sample_type='nearest')),
                       self.part('grow', number)]
        return _block(*layers, self.part('paint', self.stages - 1), nn.Activation('tanh'))

    def hybrid_forward(self, F, z):
        """Codes to full images."""
        return self._whole()(z)

    def exported(self):
        """All stages of the generator, one after the other."""
        whole = self._whole()
        whole.hybridize()
        whole(nd.zeros((1, self.codes)))
        return whole

    def validate(self, data):
        """The side of the images that are made by now."""
        return {'validation_side': 4 << self.stage[0]}

    def measure(self, run, random):
        """Samples of the same codes at every stage; how much they vary, and how often nearest neighbours agree."""
        z, pages = nd.array(random.standard_normal((200, self.codes))), []
        for stage in range(self.stages):
            self.progress = (stage + 1) / self.stages - 1e-6
            made = self.generate(z).asnumpy()
            times = 2 ** (self.stages - 1 - stage)
            pages.append(made[:10].repeat(times, axis=2).repeat(times, axis=3))
        samples.save_tiles(np.concatenate(pages), run.folder / 'figures' / 'stages.png', 10)
        samples.save_tiles(made[:64], run.folder / 'figures' / 'samples.png')
        return samples.by_neighbours(made, run.data)


EXPERIMENTS = [
    by_turns('8.4-progressive', 'Progressive growing, from 4x4 to 32x32', '渐进式增长：从 4x4 到 32x32', Progressive, (64,)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
