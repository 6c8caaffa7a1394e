"""What chapter 8 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_DCGAN = Recipe(epochs=500, batch_size=64, optimizer='adam', learning_rate=0.0002, momentum=0.5,
                initializer='msra(avg,0.2)')
_IGNORED = ('l1 fall_factor least_rate label_smoothing mixup patience frozen fresh old_rate samples_per_epoch small_pixels '
            'small_epochs')


def _dcgan(section, title, title_zh, data, sizes, symbolic='', **changes):
    return Experiment(
        section, title, title_zh, 'chapters.ch08_gan.dcgan', 'DCGAN', sizes, _DCGAN.but(**changes), data,
        loader='chapters.ch08_gan.images.images', program='chapters.ch08_gan.adversarial.train_adversarially',
        ignores=_IGNORED,
        snapshots=(1, 2, 3, 5, 10, 15, 20, 30, 50, 100, 200, 300),
        proof='chapters.ch08_gan.listing.parity', sample_shape=(100,), symbolic=symbolic)


def _by_turns(section, title, title_zh, code, shape, book=(), images='images.images', sizes=(), **changes):
    """`code`: module and class of the network; `shape`: of a sample that `show` sends through it."""
    module, _, network = code.partition('.')
    return Experiment(
        section, title, title_zh, f'chapters.ch08_gan.{module}', network, dict(sizes),
        _DCGAN.but(**{'epochs': 30, 'learning_rate': 0.001, **changes}), 'digits',
        loader=images and f'chapters.ch08_gan.{images}', program='chapters.ch08_gan.turns.train_by_turns',
        ignores=_IGNORED + ' augmentation',
        sample_shape=shape, book=book)


def _coder(section, title, title_zh, code, shape=(1, 28, 28), sizes=(), **changes):
    """One network that learns alone, from images from 0 to 1."""
    return _by_turns(section, title, title_zh, code, shape, (), '', sizes,
                     **{'momentum': 0.9, 'initializer': 'xavier', **changes})


EXPERIMENTS = [
    Experiment('8.2.3', 'Two lines: what log loss and Wasserstein loss see of their distance',
               '两条直线：对数损失与 Wasserstein 损失看到的距离', 'chapters.ch08_gan.two_lines', program='two_lines'),
    _dcgan('8.3', 'DCGAN at 32x32', 'DCGAN，32x32', 'digits', {'size': 32, 'channels': 1}, 'sec_8_3'),
    _dcgan('8.3-64', 'DCGAN at 64x64, in colour, as printed', 'DCGAN，64x64 彩色，与书中相同', 'cifar10',
           {'size': 64, 'channels': 3}, 'sec_8_3', augmentation='mirror'),
    _by_turns('8.4-conditional', 'Conditional GAN draws the digit asked for', '条件 GAN：画出指定的数字',
              'conditional.ConditionalGAN', (100,), sizes={'width': 16}, learning_rate=0.002, epochs=12),
    _by_turns('8.4-cyclegan', 'CycleGAN: digits to their negatives, turned, and back',
              'CycleGAN：数字与其旋转负片互译', 'cyclegan.CycleGAN', (1, 16, 16), sizes={'size': 16}, epochs=24,
              batch_size=32, learning_rate=0.002, anneal=0.5),
    _by_turns('8.4-progressive', 'Progressive growing, from 4x4 to 32x32', '渐进式增长：从 4x4 到 32x32',
              'progressive.Progressive', (64,)),
    _by_turns('8.4-infogan', 'InfoGAN finds the digits by itself', 'InfoGAN：自行发现数字', 'infogan.InfoGAN', (74,),
              (BookFigure(0.05, 'digit_error', 'mnist', 'about'),), sizes={'size': 16}, epochs=60,
              initializer='normal(0.02)', anneal=1.0),
    _by_turns('8.4-bigan', 'BiGAN (ALI): a generator and its inverse', 'BiGAN（ALI）：生成器与它的逆', 'bigan.BiGAN', (10,),
              sizes={'size': 16, 'units': 256, 'codes': 10}, learning_rate=0.0005, epochs=100),
    _by_turns('8.4-srgan', 'SRGAN doubles the side of images', 'SRGAN：图像放大两倍', 'srgan.SRGAN', (3, 16, 16),
              images='srgan.kept_images', sizes={'width': 16}, epochs=20, learning_rate=0.002,
              momentum=0.9, initializer='msra(avg,0.2)'),
    _by_turns('8.4-completion', 'Image completion', '图像补全', 'completion.Completion', (2, 32, 32), epochs=15),
    _coder('8.5-autoencoder', 'Auto-encoder', '自编码器', 'autoencoder.AutoEncoder'),
    _coder('8.5-denoising', 'Denoising auto-encoder', '去噪自编码器', 'autoencoder.AutoEncoder',
           sizes={'noise': 0.4, 'codes': 64}),
    _coder('8.5-vae', 'Variational auto-encoder with a map of codes', '变分自编码器与编码地图', 'vae.VAE', epochs=60),
    _coder('8.5-pixelcnn', 'PixelCNN: images pixel by pixel', 'PixelCNN：逐像素生成', 'pixelcnn.PixelCNN', epochs=10),
    _by_turns('8.5-cvae-gan', 'CVAE-GAN', 'CVAE-GAN：条件变分自编码器与 GAN', 'cvae_gan.CVAEGAN', (26,), epochs=20),
]
