"""Section 8.5: PixelCNN: the probability of an image, pixel by pixel, each given those before it.

    python -m chapters.ch08_gan.pixelcnn --data mnist

"Pixel Recurrent Neural Networks", https://arxiv.org/abs/1601.06759. Pixels are black or white, drawn once with
the gray value as probability, as its data are.
"""
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.turns import Players, coder
from chapters.kit.progress import tqdm
from chapters.script import run_script

_BATCH = 100


class MaskedConv2D(nn.Conv2D):
    """A convolution that sees the pixels above, and those to the left in its row; and its own only if told so.

    Parameters
    ----------
    channels, kernel_size, in_channels : int
    own : bool
        The first layer must not see the pixel that is to be guessed; later ones may, since it is not in there.
    rows : int, optional
        Of the kernel; 1: it sees its own row only.
    colours : int
        Channels belong to so many colours, the first ones to the first; of its own pixel a colour sees those before it, and
        itself if `own`.
    """
    def __init__(self, channels, kernel_size, in_channels, own, rows=None, colours=1, **kwargs):
        kernel = rows or kernel_size, kernel_size
        row, middle = (side // 2 for side in kernel)
        super().__init__(channels, kernel, padding=(row, middle), in_channels=in_channels, **kwargs)
        mask = np.zeros((channels, in_channels) + kernel, np.float32)
        mask[:, :, :row] = 1
        mask[:, :, row, :middle] = 1
        to, of = (np.arange(count) * colours // count for count in (channels, in_channels))
        mask[:, :, row, middle] = to[:, None] >= of + (not own)
        with self.name_scope():
            self.mask = self.params.get_constant('mask', nd.array(mask))

    def hybrid_forward(self, F, x, weight, mask, bias=None):
        return super().hybrid_forward(F, x, weight * mask, bias)


class Unit(gluon.HybridBlock):
    """Figure 5 of the paper: 1x1 to half the channels, 3x3, 1x1 back; the input goes past."""
    def __init__(self, width, colours=1, **kwargs):
        super().__init__(**kwargs)
        half = width // 2
        with self.name_scope():
            self.body = nn.HybridSequential()
            for channels, kernel_size, in_channels in ((half, 1, width), (half, 3, half), (width, 1, half)):
                self.body.add(nn.Activation('relu'), MaskedConv2D(channels, kernel_size, in_channels, True, colours=colours))

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class PixelCNN(Players):
    """Images of black (0) and white (1) pixels (N, 1, H, W) to the logit of white for each, of the same shape.

    Parameters
    ----------
    width, units : int
        Channels, and residual units.
    """
    def __init__(self, width=32, units=6, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.net = nn.HybridSequential()
            self.net.add(MaskedConv2D(width, 7, 1, False))
            for _ in range(units):
                self.net.add(Unit(width))
            self.net.add(nn.Activation('relu'), nn.Conv2D(width, 1, in_channels=width), nn.Activation('relu'),
                         nn.Conv2D(1, 1, in_channels=width))

    @staticmethod
    def sizes_for(data):
        """As `Players` has it: nothing; but colour is not for this network."""
        from data_tools.errors import UserError
        if data.train_x.shape[1] != 1:
            raise UserError(f'{data.name}: PixelCNN takes gray images; give --data mnist, fashion or digits')
        return {}

    def turns(self):
        """As `Players` has it."""
        return [('nats', [self.net], self.nats)]

    def draw(self, data, numbers, random):
        """Black and white images."""
        if not hasattr(self, '_drawn'):
            self._drawn = black_and_white(data.train_x)
        return (nd.array(self._drawn[numbers]),)

    def nats(self, x):
        """-log of the probability of each image, (N,)."""
        logits = self.net(x)
        nats = nd.relu(logits) - logits * x + nd.Activation(-nd.abs(logits), act_type='softrelu')
        return nats.sum(axis=(1, 2, 3))

    def exported(self):
        """The whole of it."""
        return self.net

    def validate(self, data, limit=1000):
        """Nats an image of the first test images."""
        x = black_and_white(data.validation_x)[:limit]
        nats = [self.nats(nd.array(x[start:start + _BATCH])).sum().asscalar() for start in range(0, len(x), _BATCH)]
        return {'validation_nats_loss': float(sum(nats)) / len(x)}

    def logits_at(self, images, row, column):
        """The logits of white (N,) of one pixel of images (N, 1, H, W)."""
        upper = max(0, row - 40)  # above that nothing counts
        return self.net(nd.array(images[:, :, upper:row + 1]))[:, 0, row - upper, column].asnumpy()

    def sample(self, count, shape, random, begun=None):
        """Images (count, 1, H, W), pixel by pixel.

        Parameters
        ----------
        begun : numpy.ndarray, (count, 1, H, W), optional
            Images of which the upper half is kept.
        """
        images, (height, width) = np.zeros((count, 1) + shape, np.float32), shape
        first = 0
        if begun is not None:
            first = height // 2
            images[:, :, :first] = begun[:, :, :first]
        for row in tqdm(range(first, height), 'sampling', leave=False, disable=None):
            for column in range(width):
                logits = self.logits_at(images, row, column)
                images[:, 0, row, column] = random.random(count) < 1 / (1 + np.exp(-logits))
        return images

    def measure(self, run, random):
        """Samples; lower halves for given upper ones; nats of all test images, also bits a pixel."""
        shape = run.data.train_x.shape[2:]
        samples.save_tiles(self.sample(32, shape, random) * 2 - 1, run.folder / 'figures' / 'samples.png')
        begun = np.repeat(black_and_white(run.data.validation_x)[:5], 6, axis=0)
        ends = self.sample(len(begun), shape, random, begun)
        ends[::6] = begun[::6]  # the first of each row is the image itself
        samples.save_tiles(ends * 2 - 1, run.folder / 'figures' / 'lower-halves.png', 6)
        nats = self.validate(run.data, None)['validation_nats_loss']
        x = black_and_white(run.data.validation_x)
        white = black_and_white(run.data.train_x).mean(axis=0).clip(1e-3, 0.999)
        independent = -(x * np.log(white) + (1 - x) * np.log(1 - white)).sum(axis=(1, 2, 3)).mean()
        return {'nats': nats, 'bits_a_pixel': nats / np.log(2) / np.prod(shape),
                'nats_of_independent_pixels': independent}


def black_and_white(x):
    """Pixels from 0 to 1 as 0 or 1, drawn with that probability, the same each time."""
    return (np.random.default_rng(0).random(x.shape, np.float32) < x).astype(np.float32)


EXPERIMENTS = [
    coder('8.5-pixelcnn', 'PixelCNN: images pixel by pixel', 'PixelCNN：逐像素生成', PixelCNN, epochs=10),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
