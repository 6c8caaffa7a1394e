"""Section 8.5.1: what random codes become: auto-encoder, VAE and GAN side by side, figure 8-38.

    python -m chapters.ch08_gan.random_codes

All learn from the same images, and a classifier that has learnt from them too says what it thinks of the results.
"""
import mxnet as mx
import numpy as np
from mxnet import nd

import chapters
from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import train_adversarially
from chapters.ch08_gan.codes import exported
from chapters.ch08_gan.scores import Judge, score, sharpness
from chapters.ch08_gan.turns import train_players
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.variants import trained
from chapters.script import run_script


def trained_judge(run, data, epochs, images=0):
    """A `Judge` by a classifier of 4.4 that learns within the run, from images of `data`; from so many, 0: all."""
    trained(run, 'judge', chapters.find('4.4').but(epochs=epochs, learning_rate=0.1, train_samples=images), data=data)
    return Judge(run.folder / 'judge')


def compare_codes(run, data='digits', images=0, epochs=60, codes=16, gan_epochs=30, width=16, generator='', judge='',
                  judge_epochs=10, count=2000):
    """Random codes through the decoders of an auto-encoder and of a VAE, and through a DCGAN's generator.

    The auto-encoder's get two chances: codes as the VAE and the GAN get them, of independent standard normal numbers;
    and numbers with the mean and standard deviation that its encoder gives to training images.

    Parameters
    ----------
    run : Run
    data : str
        Gray images of 28x28: digits, mnist or fashion.
    images : int
        The first so many of the training images; 0: all.
    epochs, codes : int
        Of the auto-encoder and the VAE.
    gan_epochs, width : int
        Of the GAN.
    generator : str
        A run of 8.3 on the same images in its place.
    judge : str
        A run of 4.4 or 4.4.5 on them; empty: one is trained.
    judge_epochs, count : int
        `count` images of each kind are judged.

    Returns
    -------
    dict
        For 'real' (test images), 'again' (these, through the auto-encoder), 'autoencoder', 'autoencoder_fitted', 'vae' and
        'gan': '_frechet', '_inception', '_confidence' (see `chapters.ch08_gan.scores`) and '_sharpness'.
    """
    random = np.random.default_rng(run.seed)
    changes = {'epochs': epochs, 'codes': codes, 'train_samples': images}
    plain, _, known = trained(run, 'autoencoder', chapters.find('8.5-autoencoder').but(**changes), data=data,
                               how=train_players)
    vae, _, _ = trained(run, 'vae', chapters.find('8.5-vae').but(**changes), data=data, how=train_players)
    if not generator:
        trained(run, 'gan', chapters.find('8.3').but(epochs=gan_epochs, width=width, batch_size=32, learning_rate=0.001,
                                                     train_samples=images), data=data, how=train_adversarially)
    judge = Judge(judge) if judge else trained_judge(run, data, judge_epochs, images)

    def decoded(players, z):
        pixels = nd.sigmoid(players.decoder(nd.array(z))).asnumpy()
        return pixels.reshape((-1,) + known.train_x.shape[1:]) * 2 - 1
    x, test = known.train_x[:10000], known.validation_x[:count]
    found = plain.encoder(nd.array(x)).asnumpy()
    z = random.standard_normal((count, codes)).astype(np.float32)
    noise = random.standard_normal((count, 100)).astype(np.float32)
    kinds = {
        'real': (test * 2 - 1, 'test images', '测试图像'),
        'again': (plain(nd.array(test)).asnumpy().reshape(test.shape) * 2 - 1, 'AE: there and back', 'AE：编码再解码'),
        'autoencoder': (decoded(plain, z), 'AE: random codes', 'AE：随机编码'),
        'autoencoder_fitted': (decoded(plain, found.mean(axis=0) + z * found.std(axis=0)), 'AE: same mean, deviation',
                               'AE：均值方差相同'),
        'vae': (decoded(vae, z), 'VAE: random codes', 'VAE：随机编码'),
        'gan': (samples.generate(exported(generator or run.folder / 'gan'), noise, mx.cpu(), 250)[:, :, 2:-2, 2:-2],
                'GAN: random codes', 'GAN：随机编码')}
    metrics, titles = {}, []
    for name, (made, *title) in kinds.items():
        says = score(judge, made, x * 2 - 1)
        metrics.update({f'{name}_frechet': says['frechet_distance'], f'{name}_inception': says['inception_score'],
                        f'{name}_confidence': says['confidence'], f'{name}_sharpness': sharpness(made, x * 2 - 1)})
        titles.append(f'{figures.text(*title)}\nFréchet {says["frechet_distance"]:.2f}')
    samples.draw_rows(run, 'random-codes', [made[:10] for made, *_ in kinds.values()], titles,
                      figures.text('8.5.1 What random codes become', '随机编码变成什么'))
    return metrics


EXPERIMENTS = [
    WorkedExample('8.5.1', 'Random codes: auto-encoder, VAE and GAN', '随机编码：自编码器、VAE 与 GAN', function=compare_codes),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
