"""Section 8.5.2: PixelCNN in colour: red, then green, which knows the red, then blue, which knows both.

    python -m chapters run 8.5.2-colour

"Pixel Recurrent Neural Networks", https://arxiv.org/abs/1601.06759, sections 2.2 and 3.4: each colour has a third of the
channels of every layer, and a softmax over the levels of brightness. Small here: photographs of CIFAR-10 as 8x8 pixels
of 8 levels; the paper has 32x32 pixels of 256.
"""
from dataclasses import replace

import numpy as np
from mxnet import nd
from mxnet.gluon import nn

from chapters.ch08_gan import samples
from chapters.ch08_gan.pixelcnn import MaskedConv2D, Unit
from chapters.ch08_gan.turns import Players, coder
from chapters.kit.data.images import load_images
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError

_COLOURS, _SIDE, _BATCH = 3, 8, 200


class ColourPixelCNN(Players):
    """Levels of brightness (N, 3, H, W), from 0 to `levels` - 1, to logits of each level (N, 3 levels, H, W).

    Parameters
    ----------
    width : int
        Channels, a third of them for each colour.
    units : int
        Residual units.
    levels : int
        Of brightness.
    """
    def __init__(self, width=96, units=6, levels=8, **kwargs):
        super().__init__(**kwargs)
        if width % (2 * _COLOURS) or levels < 2:
            raise UserError(f'width={width}, levels={levels}: give a width that 6 divides, and 2 levels at least')
        self._levels = levels
        last = dict(kernel_size=1, in_channels=width, own=True, colours=_COLOURS)
        with self.name_scope():
            self.net = nn.HybridSequential()
            self.net.add(MaskedConv2D(width, 5, _COLOURS, False, colours=_COLOURS))
            for _ in range(units):
                self.net.add(Unit(width, _COLOURS))
            self.net.add(nn.Activation('relu'), MaskedConv2D(width, **last), nn.Activation('relu'),
                         MaskedConv2D(_COLOURS * levels, **last))

    @staticmethod
    def sizes_for(data):
        """As `Players` has it: nothing."""
        return {}

    def turns(self):
        """As `Players` has it."""
        return [('nats', [self.net], self.nats)]

    def levels_of(self, x):
        """Brightness from 0 to 1 as levels 0, 1, ..."""
        return np.minimum(x * self._levels, self._levels - 1).astype(np.int64).astype(np.float32)

    def draw(self, data, numbers, random):
        """Levels of images, half of them mirrored."""
        x = self.levels_of(data.train_x[numbers])
        mirrored = random.random(len(x)) < 0.5
        x[mirrored] = x[mirrored, :, :, ::-1]
        return (nd.array(x),)

    def chances(self, x):
        """Logits of the levels, (N, 3, levels, H, W)."""
        return self.net(2 / (self._levels - 1) * x - 1).reshape((0, -4, _COLOURS, self._levels, 0, 0))

    def nats(self, x):
        """-log of the probability of each image, (N,)."""
        return -nd.pick(nd.log_softmax(self.chances(x), axis=2), x, axis=2).sum(axis=(1, 2, 3))

    def exported(self):
        """The whole of it."""
        return self.net

    def validate(self, data, limit=1000):
        """Bits a colour of a pixel of the first test images."""
        x = self.levels_of(data.validation_x[:limit])
        nats = sum(self.nats(nd.array(x[start:start + _BATCH])).sum().asscalar() for start in range(0, len(x), _BATCH))
        return {'validation_bits_loss': float(nats) / np.log(2) / x.size}

    def sample(self, count, random):
        """Levels of images (count, 3, 8, 8), colour by colour of pixel by pixel."""
        images = np.zeros((count, _COLOURS, _SIDE, _SIDE), np.float32)
        for place in tqdm(range(_SIDE * _SIDE), 'sampling', leave=False, disable=None):
            row, column = divmod(place, _SIDE)
            for colour in range(_COLOURS):
                logits = self.chances(nd.array(images))[:, colour, :, row, column]
                chances = np.cumsum(nd.softmax(logits).asnumpy(), axis=1)
                images[:, colour, row, column] = (chances[:, :-1] < random.random((count, 1))).sum(axis=1)
        return images

    def measure(self, run, random):
        """Samples beside test images; bits a colour of a pixel, and what two simpler models take."""
        train, held = self.levels_of(run.data.train_x), self.levels_of(run.data.validation_x)
        drawn = self.sample(30, random)
        rows = [2 / (self._levels - 1) * x - 1 for x in (held[:10], *np.split(drawn, 3))]
        samples.draw_rows(run, 'samples', rows, [figures.text('test images', '测试图像'), 'PixelCNN', '', ''],
                          figures.text('8.5.2 Drawn colour by colour', '逐像素、逐色生成'))
        return {'bits': self.validate(run.data, None)['validation_bits_loss'],
                'independent_bits': bits_of_tables(train, held, self._levels, 0),
                'table_bits': bits_of_tables(train, held, self._levels, 2)}


def bits_of_tables(train, held, levels, neighbours):
    """Bits a colour of a pixel by counting, one added to each count.

    Parameters
    ----------
    train, held : numpy.ndarray, (N, 3, H, W)
        Levels.
    levels : int
    neighbours : int
        0: what each colour of each place is as a rule. 2: what each colour is after the same of the pixel to its left and
        after the colour before it, of red the same of the pixel above.
    """
    def cells(x):
        x = x.astype(np.int64)
        places = np.arange(x[0].size).reshape(x[0].shape)
        if not neighbours:
            return places + 0 * x
        left, above = np.zeros_like(x), np.zeros_like(x)
        left[..., 1:], above[:, :, 1:] = x[..., :-1], x[:, :, :-1]
        before = np.concatenate([above[:, :1], x[:, :-1]], axis=1)
        return (np.arange(x.shape[1])[:, None, None] * levels + left) * levels + before
    counts = np.ones((max(train[0].size, train.shape[1] * levels ** 2), levels))
    np.add.at(counts, (cells(train), train.astype(np.int64)), 1)
    chances = counts / counts.sum(axis=1, keepdims=True)
    return float(-np.log2(chances[cells(held), held.astype(np.int64)]).mean())


def small_photographs(experiment, name, data_root, seed):
    """Colour images of `--data`, of 32x32, as means of 4x4 pixels; as `Training.loader` has it."""
    data = load_images(replace(experiment, sample_shape=(_COLOURS, 32, 32)), name, data_root, seed)
    if data.train_x.shape[1] != _COLOURS:
        raise UserError(f'{data.name}: is gray, and this network draws in colour; give --data cifar10')
    train_x, validation_x = (x.reshape(len(x), _COLOURS, _SIDE, 4, _SIDE, 4).mean(axis=(3, 5)).astype(np.float32)
                             for x in (data.train_x, data.validation_x))
    return replace(data, train_x=train_x, validation_x=validation_x)


EXPERIMENTS = [
    replace(coder('8.5.2-colour', 'PixelCNN in colour', 'PixelCNN 彩色图像', ColourPixelCNN, epochs=4, batch_size=50,
                  learning_rate=0.003, anneal=0.7, train_samples=20000),
            data='cifar10', loader=small_photographs, sample_shape=(_COLOURS, _SIDE, _SIDE)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
