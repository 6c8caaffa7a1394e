"""Section 5.4.4: a deeper network for Fashion-MNIST, all of 3x3 convolutions; also on 900 images only.

    python -m chapters.ch05_deep_cnn.fashion --data digits
    python -m chapters run 5.4.4-900
"""
import numpy as np

from chapters.kit.data import TrainingData
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from data_tools import datasets
from data_tools.errors import UserError
from mxnet import gluon
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import batch_norm, same


class FashionNet(gluon.HybridBlock):
    """Three times two 3x3 convolutions and a pooling, C3x3-128, C1x1-10: 214,890 parameters.

    BN and ReLU follow every convolution but the last. Sides, from 28: 28, 14, 7, 3, 1.

    Parameters
    ----------
    num_filters : tuple of int
        Of the three pairs.
    last_filters : int
        Of the 3x3 convolution without padding after them.
    classes : int

    Input (N, 1, 28, 28), pixels from 0 to 1; output logits (N, classes).
    """
    def __init__(self, num_filters=(32, 64, 64), last_filters=128, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters in num_filters:
                for _ in range(2):
                    # F.relu instead trains a seventh slower; BN's backward is fast with both
                    self.features.add(same(filters, 3), batch_norm(), nn.Activation('relu'))
                self.features.add(nn.MaxPool2D())
            self.features.add(nn.Conv2D(last_filters, kernel_size=3), batch_norm(), nn.Activation('relu'))
            self.output = nn.Conv2D(classes, kernel_size=1)

    def hybrid_forward(self, F, x):
        return F.flatten(self.output(self.features(x)))


_FOR_TRAINING, _FOR_VALIDATION = 70, 20  # images of each class


def few_images(experiment, name, data_root, seed):
    """Fashion-MNIST's 900 images of `sprite.png`, the picture on its page, if that is at hand; else 900 of the whole.

    Of each class 70 are for training and 20 for validation. The picture is 30 x 30 images of 28 x 28, three rows a
    class. It is looked for where the whole set is: under `data_root`, then `$BOOKCNN_DATA`, then the user's own data.
    """
    home = datasets.HOME.expanduser() / 'data' / 'fashion'
    pictures = [folder / 'sprite.png' for folder in (*datasets.folders_of('fashion', data_root), home)]
    found = next((path for path in pictures if path.is_file()), None)
    classes = datasets.CLASS_NAMES['fashion']
    if found:
        images, source = read_sprite(found), found.name
    else:
        whole = datasets.load('fashion', data_root)
        images = np.stack([whole.train_images[whole.train_labels == label][:_FOR_TRAINING + _FOR_VALIDATION]
                           for label in range(len(classes))])
        source = 'the training set'
    order = np.random.default_rng(seed).permutation(images.shape[1])
    images = np.multiply(images[:, order], np.float32(1 / 255), dtype=np.float32)
    labels = np.repeat(np.arange(len(classes), dtype=np.float32), images.shape[1]).reshape(images.shape[:2])

    def part(first, last):
        return images[:, first:last].reshape(-1, 1, 28, 28), labels[:, first:last].ravel()
    return TrainingData(
        name, *part(0, _FOR_TRAINING), *part(_FOR_TRAINING, _FOR_TRAINING + _FOR_VALIDATION), classes,
        datasets.CLASS_NAMES_ZH['fashion'],
        f'{experiment.section}: {_FOR_TRAINING} + {_FOR_VALIDATION} images of each class of Fashion-MNIST, from '
        f'{source}')


def read_sprite(path):
    """The images of `sprite.png`, (10, 90, 1, 28, 28), uint8: class, number in the class, one channel."""
    from PIL import Image
    try:
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert('L'))
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error}); take it away, or get it again') from None
    if pixels.shape != (840, 840):
        raise UserError(f'{path}: {pixels.shape[1]}x{pixels.shape[0]} pixels; the picture of Fashion-MNIST has 840x840')
    return pixels.reshape(30, 28, 30, 28).swapaxes(1, 2).reshape(10, 90, 1, 28, 28)


def beside_a_linear_model(run, network):
    """What logistic regression on the same pixels reaches; cross-validation of the training images chooses its L2."""
    from sklearn.linear_model import LogisticRegressionCV
    data = run.data
    train_x, validation_x = (x.reshape(len(x), -1) for x in (data.train_x, data.validation_x))
    model = LogisticRegressionCV(Cs=[0.01, 0.03, 0.1, 0.3, 1], cv=5, max_iter=1000).fit(train_x, data.train_y)
    return {'linear_model_accuracy': model.score(validation_x, data.validation_y)}


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('5.4.4')
