"""Section 8.4: image completion: a network paints what is missing.

    python -m chapters.ch08_gan.completion --data mnist

After "Globally and Locally Consistent Image Completion", https://doi.org/10.1145/3072959.3073659: convolutions, in
the middle dilated ones, that see the image and where it is missing; and two discriminators, of the whole image
and of the part that was missing.
"""
import cv2
import numpy as np
from mxnet import nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _G = LOSSES['book']


class Completion(Players):
    """Painter and discriminators.

    Parameters
    ----------
    size, channels, width : int
        Of the images, of which the half of the side is missing in both directions, and of the networks.
    adversarial : float
        Weight beside that of the squared error.
    """
    def __init__(self, size=32, channels=1, width=16, adversarial=0.01, **kwargs):
        super().__init__(**kwargs)
        self.size, self.adversarial = size, adversarial
        with self.name_scope():
            self.generator = nn.HybridSequential()
            for count, settings in ((width, {}), (2 * width, {'strides': 2}), (4 * width, {'strides': 2}),
                                    (4 * width, {'dilation': 2}), (4 * width, {'dilation': 4}), (4 * width, {})):
                self.generator.add(nn.Conv2D(count, 3, padding=settings.get('dilation', 1), **settings),
                                   nn.BatchNorm(), nn.Activation('relu'))
            for count in (2 * width, width):
                self.generator.add(nn.Conv2DTranspose(count, 4, 2, 1), nn.BatchNorm(), nn.Activation('relu'))
            self.generator.add(nn.Conv2D(channels, 3, padding=1), nn.Activation('tanh'))
            self.whole = Discriminator(size, channels, width, learnt_slopes=False)
            self.part = Discriminator(size // 2, channels, width, learnt_slopes=False)

    def turns(self):
        """As `Players` has it."""
        return [('d', [self.whole, self.part], self.discriminator_loss), ('g', [self.generator], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images, and masks of where they are missing: all at one place, which changes from batch to batch."""
        x, = super().draw(data, numbers, random)
        return x, self.mask(len(numbers), *random.integers(self.size // 8, self.size * 3 // 8 + 1, 2))

    def mask(self, count, top, left):
        """(count, 1, size, size): 1 where the image is missing."""
        self._place = slice(top, top + self.size // 2), slice(left, left + self.size // 2)
        mask = np.zeros((count, 1, self.size, self.size), np.float32)
        mask[(slice(None), slice(None)) + self._place] = 1
        return nd.array(mask)

    def complete(self, x, mask):
        """The image with its missing part painted."""
        painted = self.generator(nd.concat(nd.broadcast_mul(x, 1 - mask), mask, dim=1))
        return nd.broadcast_mul(x, 1 - mask) + nd.broadcast_mul(painted, mask)

    def _missing(self, x):
        return x[(slice(None), slice(None)) + self._place]

    def discriminator_loss(self, x, mask):
        """(N,): real against completed, of the whole and of the part."""
        made = self.complete(x, mask).detach()
        return (_REAL(nd, self.whole(x)) + _MADE(nd, self.whole(made))
                + _REAL(nd, self.part(self._missing(x))) + _MADE(nd, self.part(self._missing(made))))

    def generator_loss(self, x, mask):
        """(N,): squared error of what is painted, and to be taken for real."""
        made = self.complete(x, mask)
        error = nd.square(self._missing(made) - self._missing(x)).mean(axis=(1, 2, 3))
        return error + self.adversarial * (_G(nd, self.whole(made)) + _G(nd, self.part(self._missing(made))))

    def measure(self, run, random):
        """Images with a part missing, filled by OpenCV, by us, and whole; errors in that part, beside its variance."""
        x = scaled(run.data.validation_x[:500])
        mask = self.mask(len(x), self.size // 4, self.size // 4)
        made = np.concatenate([self.complete(nd.array(x[start:start + 100]), mask[start:start + 100]).asnumpy()
                               for start in range(0, len(x), 100)])
        holes = mask.asnumpy()[:, 0]
        pixels = np.rint((x + 1) * 127.5).astype(np.uint8).transpose(0, 2, 3, 1)
        simple = np.stack([cv2.inpaint(np.ascontiguousarray(image), hole.astype(np.uint8), 3, cv2.INPAINT_TELEA)
                           for image, hole in zip(pixels, holes)])
        simple = scaled(simple.reshape(pixels.shape).transpose(0, 3, 1, 2))
        rows = [x - (x + 1) * holes[:, None], simple, made, x]
        samples.save_tiles(np.concatenate([row[:10] for row in rows]), run.folder / 'figures' / 'completed.png', 10)
        real = self._missing(x)
        return {'error': np.square(self._missing(made) - real).mean(),
                'error_of_telea': np.square(self._missing(simple) - real).mean(),
                'error_of_mean': np.square(real - real.mean(axis=0)).mean()}


EXPERIMENTS = [
    by_turns('8.4-completion', 'Image completion', '图像补全', Completion, (2, 32, 32), epochs=15),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
