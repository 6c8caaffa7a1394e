"""Section 8.4: SRGAN, images of twice the side, with details that are likely rather than right.

    python -m chapters.ch08_gan.srgan --data cifar10

"Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
https://arxiv.org/abs/1609.04802. The first half of training goes by squared error alone (the paper's SRResNet),
the second also by a discriminator. The paper compares features of a VGG trained on ImageNet; here those of the
discriminator are compared.
"""
import csv
from dataclasses import replace

import cv2
import mxnet as mx
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn
from scipy.ndimage import gaussian_filter

import chapters
from chapters.ch08_gan import images, samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.scores import sharpness
from chapters.ch08_gan.turns import Players, by_turns, train_players
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.trained.saved import load_run
from chapters.kit.variants import trained
from chapters.script import run_script
from data_tools.errors import UserError

_REAL, _MADE, _G = LOSSES['book']
_TESTED = 500  # images


class Enlarger(gluon.HybridBlock):
    """Residual units at the small size, then pixel shuffle; they add to what bilinear interpolation gives.

    Input (N, channels, s, s), output (N, channels, 2 s, 2 s), from -1 to 1 but for what leaves this range.
    """
    def __init__(self, channels, width, units=4, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = nn.Conv2D(width, 3, padding=1, in_channels=channels)
            self.units = nn.HybridSequential()
            for _ in range(units):
                unit = nn.HybridSequential()
                unit.add(nn.Conv2D(width, 3, padding=1, in_channels=width), nn.LeakyReLU(0.2),
                         nn.Conv2D(width, 3, padding=1, in_channels=width))
                self.units.add(unit)
            # starts at 0: an untrained network interpolates
            self.last = nn.Conv2D(4 * channels, 3, padding=1, in_channels=width, weight_initializer='zeros')

    def hybrid_forward(self, F, x):
        h = self.first(x)
        for unit in self.units:
            h = h + unit(h)
        bilinear = F.contrib.BilinearResize2D(x, scale_height=2, scale_width=2, mode='odd_scale',
                                              align_corners=False)
        return bilinear + F.depth_to_space(self.last(h), 2)


class SRGAN(Players):
    """The enlarger, and a discriminator of large images.

    Parameters
    ----------
    size, channels, width : int
        Of the large images, and of the networks.
    adversarial, perceptual : float
        Weights beside that of the squared error of pixels, in the second half of training. Both 0: SRResNet, which learns
        by this error alone.
    """
    def __init__(self, size=32, channels=3, width=32, adversarial=0.001, perceptual=0.01, **kwargs):
        super().__init__(**kwargs)
        self.adversarial, self.perceptual = adversarial, perceptual
        self.judged = bool(adversarial or perceptual)
        with self.name_scope():
            self.generator = Enlarger(channels, width)
            if self.judged:
                self.features, self.judge = nn.HybridSequential(), nn.HybridSequential()
                for count, strides in ((width, 1), (width, 2), (2 * width, 1), (2 * width, 2)):
                    self.features.add(nn.Conv2D(count, 3, strides, 1), nn.LeakyReLU(0.2))
                self.judge.add(nn.Dense(4 * width), nn.LeakyReLU(0.2), nn.Dense(1))

    def turns(self):
        """As `Players` has it."""
        alone = [('g', [self.generator], self.generator_loss)]
        return [('d', [self.features, self.judge], self.discriminator_loss), *alone] if self.judged else alone

    def draw(self, data, numbers, random):
        """Large images, mirrored by chance, and small ones."""
        large = scaled(data.train_x[numbers])
        mirrored = random.random(len(large)) < 0.5
        large[mirrored] = large[mirrored, :, :, ::-1]
        return nd.array(large), nd.array(halved(large))

    def discriminator_loss(self, large, small):
        """(N,): large images against enlarged ones."""
        made = self.generator(small).detach()
        return (_REAL(nd, self.judge(self.features(large))[:, 0]) + _MADE(nd, self.judge(self.features(made))[:, 0]))

    def generator_loss(self, large, small):
        """(N,): squared error; from half of the training on also of features, and what the discriminator says."""
        made = self.generator(small)
        error = nd.square(made - large).mean(axis=(1, 2, 3))
        if self.progress < 0.5 or not self.judged:
            return error
        features = self.features(made)
        unlike = nd.square(features - self.features(large).detach()).mean(axis=(1, 2, 3))
        return error + self.perceptual * unlike + self.adversarial * _G(nd, self.judge(features)[:, 0])

    def enlarge(self, small):
        """(N, C, s, s) -> (N, C, 2 s, 2 s), both NumPy's."""
        return np.clip(samples.generate(self.generator, small, mx.cpu(), 100), -1, 1)

    def validate(self, data):
        """Peak signal-to-noise ratio and structural similarity of enlarged test images."""
        large = scaled(data.validation_x[:_TESTED])
        made = self.enlarge(halved(large))
        return {'validation_psnr': psnr(made, large).mean(), 'validation_ssim': ssim(made, large).mean()}

    def measure(self, run, random):
        """Small, bicubic, ours and the truth, below one another; the same figures for bicubic interpolation."""
        large = scaled(run.data.validation_x[:_TESTED])
        small, simple = halved(large), bicubic(halved(large))
        pixels = small.repeat(2, axis=2).repeat(2, axis=3)
        rows = [part[:10] for part in (pixels, simple, self.enlarge(small), large)]
        samples.save_tiles(np.concatenate(rows), run.folder / 'figures' / 'enlarged.png', 10, enlarge=3)
        # From the file, because the first half may have been trained before a resume.
        with open(run.folder / 'history.csv', newline='', encoding='utf-8') as file:
            epochs = list(csv.DictReader(file))
        before = epochs[max(0, len(epochs) // 2 - 1)]  # the discriminator lowers these, and sharpens
        return {**{name[11:]: value for name, value in self.validate(run.data).items()},
                'psnr_by_squared_error': float(before['validation_psnr']),
                'ssim_by_squared_error': float(before['validation_ssim']),
                'psnr_bicubic': psnr(simple, large).mean(), 'ssim_bicubic': ssim(simple, large).mean()}


def kept_images(experiment, name, data_root, seed):
    """`chapters.ch08_gan.images.load_squares`; of packs, those images that are in memory."""
    data = images.load_squares(experiment, name, data_root, seed)
    if not data.stream:
        return data
    train_x = data.train_x[:]
    return replace(data, train_x=train_x, train_y=data.train_y[:len(train_x)], stream=None)


def halved(large):
    """Means of 2x2 pixels: (N, C, H, W) -> (N, C, H / 2, W / 2)."""
    return large.reshape(large.shape[0], large.shape[1], large.shape[2] // 2, 2, -1, 2).mean(axis=(3, 5))


def bicubic(small):
    """Twice the side by OpenCV's bicubic interpolation."""
    side = 2 * small.shape[2]
    large = [cv2.resize(image.transpose(1, 2, 0), (side, side), interpolation=cv2.INTER_CUBIC) for image in small]
    return np.clip(np.stack(large).reshape(len(small), side, side, -1).transpose(0, 3, 1, 2), -1, 1)


def psnr(made, real):
    """Peak signal-to-noise ratio in dB of each image, (N,); images (N, C, H, W) from -1 to 1."""
    return 10 * np.log10(4 / np.maximum(1e-12, np.square(made - real).mean(axis=(1, 2, 3))))


def ssim(made, real):
    """Structural similarity of each image, (N,): the mean over windows weighted by a Gaussian of sigma 1.5.

    "Image quality assessment: from error visibility to structural similarity", IEEE Transactions on Image Processing
    13 (2004); constants of that paper, each colour by itself, windows that lie in the image whole.
    """
    def blurred(x):
        return gaussian_filter(x.astype(np.float64), (0, 0, 1.5, 1.5), truncate=3.5)[:, :, 5:-5, 5:-5]
    x, y = blurred(made), blurred(real)
    variance_x, variance_y = blurred(made * made) - x * x, blurred(real * real) - y * y
    covariance = blurred(made * real) - x * y
    c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
    index = (2 * x * y + c1) * (2 * covariance + c2) / ((x * x + y * y + c1) * (variance_x + variance_y + c2))
    return index.mean(axis=(1, 2, 3))


def feature_error(judge, made, real):
    """How unlike made images are to a classifier: squared error of its features, beside the square of the real ones'.

    Where the paper asks people, and lets its network learn by features of a VGG.

    Parameters
    ----------
    judge : path-like
        A run with `features`, on images of no more than this side, or zoo:NAME: zoo:4.4 for gray images, zoo:5.5.7-fast
        for colour.
    made, real : numpy.ndarray, (N, C, S, S)
        From -1 to 1.
    """
    saved, seen = load_run(judge, chapters.find), []
    channels, _, side = saved.facts.shape
    if not hasattr(saved.network, 'features') or channels != real.shape[1] or side > real.shape[2]:
        raise UserError(f'judge={judge}: takes images of {saved.facts.shape}, these are {real.shape[1:]}; give zoo:4.4 for '
                        'gray images, zoo:5.5.7-fast for colour')
    watch = saved.network.features.register_forward_hook(lambda block, inputs, output: seen.append(output.asnumpy()))
    cut = (real.shape[2] - side) // 2
    for part in (made, real):
        saved.network(nd.array((part[:, :, cut:cut + side, cut:cut + side] + 1) * (127.5 * saved.facts.scale)))
    watch.detach()
    return float(np.square(seen[0] - seen[1]).sum() / np.square(seen[1]).sum())


def compare_enlarged(run, data='digits', images=0, epochs=20, width=16, judge='zoo:4.4'):
    """Bicubic interpolation, SRResNet and SRGAN: nearer to the original by the pixel, or to the eye?

    Parameters
    ----------
    run : Run
    data : str
    images : int
        The first so many of the training images; 0: all.
    epochs, width : int
        Of either network, which have the same generator and the same first values.
    judge : str
        As `feature_error` takes it.

    Returns
    -------
    dict
        For 'bicubic', 'srresnet', 'srgan': '_psnr', '_ssim', '_sharpness' (1: as sharp as the originals) and '_unlike',
        the `feature_error`.
    """
    experiment = chapters.find('8.4-srgan').but(epochs=epochs, width=width, train_samples=images, batch_size=16)
    made = {}
    for name, changes in (('srresnet', {'adversarial': 0.0, 'perceptual': 0.0}), ('srgan', {})):
        players, _, known = trained(run, name, experiment.but(**changes), data=data, how=train_players)
        large = scaled(known.validation_x[:_TESTED])
        made[name] = players.enlarge(halved(large))
    made = {'bicubic': bicubic(halved(large)), **made}
    metrics, titles = {}, []
    for name, title in (('bicubic', 'bicubic'), ('srresnet', 'SRResNet'), ('srgan', 'SRGAN')):
        says = {'psnr': psnr(made[name], large).mean(), 'ssim': ssim(made[name], large).mean(),
                'sharpness': sharpness(made[name], large), 'unlike': feature_error(judge, made[name], large)}
        metrics.update({f'{name}_{key}': value for key, value in says.items()})
        titles.append(f'{title}\n{says["psnr"]:.1f} dB, {says["sharpness"]:.0%}')
    small = halved(large).repeat(2, axis=2).repeat(2, axis=3)
    samples.draw_rows(run, 'table', [part[:10] for part in (small, *made.values(), large)],
                      ('', *titles, figures.text('original', '原图')),
                      figures.text('8.4 Enlarged: noise ratio, sharpness of the original', '放大：信噪比，相对原图的锐度'))
    return metrics


EXPERIMENTS = [
    WorkedExample('8.4-srgan-table', 'Bicubic, SRResNet and SRGAN: by the pixel, or to the eye',
                  '双三次插值、SRResNet 与 SRGAN：像素接近，还是看着像', function=compare_enlarged),
    by_turns('8.4-srgan', 'SRGAN doubles the side of images', 'SRGAN：图像放大两倍', SRGAN, (3, 16, 16), {'width': 16},
             loader=kept_images, epochs=20, learning_rate=0.002, momentum=0.9, initializer='msra(avg,0.2)'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[1])
