"""What chapter 8 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_DCGAN = Recipe(epochs=500, batch_size=64, optimizer='adam', learning_rate=0.0002, momentum=0.5,
                initializer='msra(avg,0.2)')


def _dcgan(section, title, title_zh, data, sizes, symbolic='', **changes):
    return Experiment(
        section, title, title_zh, 'chapters.ch08_gan.dcgan', 'DCGAN', sizes, _DCGAN.but(**changes), data,
        loader='chapters.ch08_gan.images.images', program='chapters.ch08_gan.adversarial.train_adversarially',
        snapshots=(1, 2, 3, 5, 10, 15, 20, 30, 50, 100, 200, 300),
        proof='chapters.ch08_gan.listing.parity', sample_shape=(100,), symbolic=symbolic)


def _relative(section, title, title_zh, network, *book):
    return Experiment(
        section, title, title_zh, 'chapters.ch08_gan.relatives', network, {'size': 32, 'width': 32},
        _DCGAN.but(epochs=30, learning_rate=0.001), 'digits', loader='chapters.ch08_gan.images.images',
        program='train_relative', sample_shape=(100,), book=book)


EXPERIMENTS = [
    Experiment('8.2.3', 'Two lines: what log loss and Wasserstein loss see of their distance',
               '两条直线：对数损失与 Wasserstein 损失看到的距离', 'chapters.ch08_gan.two_lines', program='two_lines'),
    _dcgan('8.3', 'DCGAN at 32x32', 'DCGAN，32x32', 'digits', {'size': 32, 'channels': 1}, 'sec_8_3'),
    _dcgan('8.3-64', 'DCGAN at 64x64, in colour, as printed', 'DCGAN，64x64 彩色，与书中相同', 'cifar10',
           {'size': 64, 'channels': 3}, 'sec_8_3', augmentation='mirror'),
    _relative('8.4-conditional', 'Conditional GAN draws the digit asked for', '条件 GAN：画出指定的数字',
              'ConditionalGAN'),
    _relative('8.4-infogan', 'InfoGAN finds the digits by itself', 'InfoGAN：自行发现数字', 'InfoGAN',
              BookFigure(0.05, 'digit_error', 'mnist', 'about')),
    Experiment(
        '8.5-vae', 'Variational auto-encoder with a map of codes', '变分自编码器与编码地图',
        'chapters.ch08_gan.vae', 'VAE', data='digits', program='train_vae',
        recipe=Recipe(epochs=60, batch_size=64, optimizer='adam', learning_rate=0.001, momentum=0.9,
                      initializer='xavier')),
]
