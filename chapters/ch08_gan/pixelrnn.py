"""Section 8.5.2: PixelRNN beside PixelCNN: rows that remember all rows above.

    python -m chapters.ch08_gan.pixelrnn

"Pixel Recurrent Neural Networks", https://arxiv.org/abs/1601.06759, section 3.1: the row LSTM.
"""
from dataclasses import replace

import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

import chapters
from chapters.ch08_gan import samples
from chapters.ch08_gan.pixelcnn import MaskedConv2D, PixelCNN
from chapters.ch08_gan.srgan import halved
from chapters.ch08_gan.turns import coder, train_players
from chapters.kit.data.images import load_images
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.variants import trained
from chapters.script import run_script

_SHAPE = 1, 14, 14


class RowLSTM(gluon.HybridBlock):
    """An LSTM that goes down an image row by row; all pixels of a row are computed at once.

    The gates of a pixel see its input and that to its left, and the states of the three pixels above it: so a state knows
    a triangle that widens upwards, to the first row.

    Parameters
    ----------
    width, height : int
        Channels, and rows of an image.

    Input and output (N, width, height, W); the input goes past, and is added.
    """
    def __init__(self, width, height, **kwargs):
        super().__init__(**kwargs)
        self._height = height
        with self.name_scope():
            self.of_input = MaskedConv2D(4 * width, 3, width, True, rows=1)
            self.of_state = nn.Conv2D(4 * width, (1, 3), padding=(0, 1), use_bias=False, in_channels=width)

    def hybrid_forward(self, F, x):
        states, cell = [], None
        for row in F.split(self.of_input(x), num_outputs=self._height, axis=2):  # (N, 4 width, 1, W)
            if states:
                row = row + self.of_state(states[-1])
            keep, write, show, new = F.split(row, num_outputs=4, axis=1)
            new = F.sigmoid(write) * F.tanh(new)
            cell = F.sigmoid(keep) * cell + new if states else new
            states.append(F.sigmoid(show) * F.tanh(cell))
        return x + F.concat(*states, dim=2)


class PixelRNN(PixelCNN):
    """As `PixelCNN`, with row LSTMs for its masked convolutions.

    Parameters
    ----------
    width, units : int
        Channels, and row LSTMs.
    height : int
        Rows of an image; follows the data.
    """
    def __init__(self, width=32, units=3, height=_SHAPE[1], **kwargs):
        super().__init__(width, 0, **kwargs)
        with self.name_scope():
            net = nn.HybridSequential()
            first, *last = self.net
            net.add(first, *(RowLSTM(width, height) for _ in range(units)), *last)
            self.net = net

    @staticmethod
    def sizes_for(data):
        """As `Players` has it."""
        return {**PixelCNN.sizes_for(data), 'height': data.train_x.shape[2]}

    def logits_at(self, images, row, column):
        """As `PixelCNN` has it; the network takes whole images."""
        return self.net(nd.array(images))[:, 0, row, column].asnumpy()


def halved_images(experiment, name, data_root, seed):
    """Gray images of `--data`, of 28x28, as means of 2x2 pixels, white where above 1/2; as `Training.loader` has it."""
    data = load_images(replace(experiment, sample_shape=(1, 28, 28)), name, data_root, seed)
    train_x, validation_x = ((halved(x) > 0.5).astype(np.float32) for x in (data.train_x, data.validation_x))
    return replace(data, train_x=train_x, validation_x=validation_x)


def compare_pixels(run, data='digits', images=0, epochs=20, width=32, units=6, rnn_width=16, rnn_units=2, samples_of_each=20):
    """PixelCNN and PixelRNN learn from the same images of 14x14 black or white pixels, as many updates each.

    Parameters
    ----------
    run : Run
    data : str
        Gray images of 28x28: digits, mnist or fashion.
    images : int
        The first so many of the training images; 0: all.
    epochs : int
    width, units, rnn_width, rnn_units : int
        Sizes of either network.
    samples_of_each : int
        Images to draw.

    Returns
    -------
    dict
        'cnn_bits', 'rnn_bits' and 'independent_bits', those of pixels that know nothing of one another: bits a pixel of
        test images; and 'cnn_parameters', 'rnn_parameters'.
    """
    changes = {'epochs': epochs, 'learning_rate': 0.005, 'batch_size': 16, 'train_samples': images}
    networks = {'cnn': replace(chapters.find('8.5-pixelcnn'), loader=halved_images, sample_shape=_SHAPE).but(
                    width=width, units=units, **changes),
                'rnn': chapters.find('8.5-pixelrnn').but(width=rnn_width, units=rnn_units, **changes)}
    metrics, rows, titles = {}, [], []
    for name, experiment in networks.items():
        players, _, known = trained(run, name, experiment, data=data, how=train_players)
        metrics[f'{name}_bits'] = players.validate(known)['validation_nats_loss'] / np.log(2) / np.prod(_SHAPE)
        metrics[f'{name}_parameters'] = sum(parameter.data().size for key, parameter in players.collect_params().items()
                                            if parameter.grad_req != 'null')
        drawn = players.sample(samples_of_each, _SHAPE[1:], np.random.default_rng(run.seed))
        rows += [drawn[start:start + 10] * 2 - 1 for start in range(0, samples_of_each, 10)]
        titles += [f'Pixel{name.upper()}\n{metrics[f"{name}_bits"]:.3f} bits'] + [''] * (len(rows) - len(titles) - 1)
    white, x = known.train_x.mean(axis=0).clip(1e-3, 0.999), known.validation_x
    metrics['independent_bits'] = -(x * np.log2(white) + (1 - x) * np.log2(1 - white)).mean()
    samples.draw_rows(run, 'pixels', [x[:10] * 2 - 1, *rows], [figures.text('test images', '测试图像'), *titles],
                      figures.text('8.5.2 Drawn pixel by pixel', '逐像素生成'))
    return metrics


EXPERIMENTS = [
    replace(coder('8.5-pixelrnn', 'PixelRNN: images row by row', 'PixelRNN：逐行记忆', PixelRNN, epochs=10),
            loader=halved_images, sample_shape=_SHAPE),
    WorkedExample('8.5.2', 'PixelRNN beside PixelCNN', 'PixelRNN 与 PixelCNN 对比', function=compare_pixels),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[1])
