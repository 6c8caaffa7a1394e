"""Section 8.4: a conditional GAN, which is told which digit to draw.

    python -m chapters.ch08_gan.conditional --data mnist

"Conditional Generative Adversarial Nets", https://arxiv.org/abs/1411.1784. The discriminator is also shown
real images with wrong labels (https://arxiv.org/abs/1605.05396).
"""
import numpy as np
from mxnet import nd

from chapters.ch08_gan import samples
from chapters.ch08_gan.adversarial import LOSSES
from chapters.ch08_gan.dcgan import Discriminator, Generator
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.turns import Players, by_turns
from chapters.script import run_script

_REAL, _MADE, _G = LOSSES['book']


class ConditionalGAN(Players):
    """The generator is told the class in its code, the discriminator by planes of ones and zeros.

    Parameters
    ----------
    size, channels, width
        As for `DCGAN`.
    noise, classes : int
        A code is `noise` normal numbers, then 1 for the class and 0 for the others.
    """
    def __init__(self, size=32, channels=1, width=32, noise=90, classes=10, **kwargs):
        super().__init__(**kwargs)
        self.noise, self.classes = noise, classes
        with self.name_scope():
            self.generator = Generator(size, channels, width, noise + classes)
            self.discriminator = Discriminator(size, channels + classes, width)

    def _judge(self, x, one_hot):
        return self.discriminator(with_class(x, one_hot))

    def codes(self, labels, random):
        """Codes (N, noise + classes) for labels (N,)."""
        noise = nd.array(random.standard_normal((len(labels), self.noise)))
        return nd.concat(noise, one_hot(labels, self.classes), dim=1)

    def of_classes(self, labels, random):
        """Images (N, C, size, size), NumPy's, of random codes and these classes (N,)."""
        return self.generator(self.codes(labels, random)).asnumpy()

    def turns(self):
        """As `Players` has it."""
        return [('d', [self.discriminator], self.discriminator_loss),
                ('g', [self.generator], self.generator_loss)]

    def draw(self, data, numbers, random):
        """Images, codes for their labels, the labels, and wrong ones."""
        labels = data.train_y[numbers].astype(int)
        wrong = (labels + random.integers(1, self.classes, len(labels))) % self.classes
        return (*super().draw(data, numbers, random), self.codes(labels, random),
                one_hot(labels, self.classes), one_hot(wrong, self.classes))

    def discriminator_loss(self, x, codes, right, wrong):
        """(N,): real images with their labels against wrong labels and made images, half each."""
        made = self.generator(codes).detach()
        return _REAL(nd, self._judge(x, right)) + (_MADE(nd, self._judge(x, wrong))
                                                   + _MADE(nd, self._judge(made, right))) / 2

    def generator_loss(self, x, codes, right, wrong):
        """(N,)."""
        return _G(nd, self._judge(self.generator(codes), right))

    def measure(self, run, random):
        """A row of samples for each class; how often a simple judge agrees with the label."""
        labels = np.repeat(np.arange(self.classes), 30)
        made = self.of_classes(labels, random)
        samples.save_tiles(made[np.arange(len(made)) % 30 < 10], run.folder / 'figures' / 'classes.png', 10)
        real = scaled(run.data.train_x[:5000])
        agreed = samples.nearest_classes(made, real, run.data.train_y[:5000]) == labels
        test = scaled(run.data.validation_x[:1000])
        judge = samples.nearest_classes(test, real, run.data.train_y[:5000]) == run.data.validation_y[:1000]
        return {'label_recognised': agreed.mean(), 'accuracy_of_the_judge': judge.mean()}


def one_hot(labels, classes):
    """Labels (N,) as ones and zeros (N, classes)."""
    return nd.one_hot(nd.array(labels), classes)


def with_class(x, one_hot):
    """Images (N, C, H, W) with a plane of ones or zeros for each class: (N, C + classes, H, W)."""
    return nd.concat(x, one_hot.reshape((0, 0, 1, 1)).broadcast_axes((2, 3), x.shape[2:]), dim=1)


EXPERIMENTS = [
    by_turns('8.4-conditional', 'Conditional GAN draws the digit asked for', '条件 GAN：画出指定的数字', ConditionalGAN, (100,),
             {'width': 16}, learning_rate=0.002, epochs=12),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
