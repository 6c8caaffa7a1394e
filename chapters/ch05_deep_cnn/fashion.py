"""Section 5.4.4: a deeper network for Fashion-MNIST, all of 3x3 convolutions; also on 900 images only.

    python -m chapters.ch05_deep_cnn.fashion --data digits
    python -m chapters run 5.4.4-900
"""
from dataclasses import replace

import numpy as np
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_4_4
from chapters.ch05_deep_cnn.layers import batch_norm, padded_convolution
from chapters.ch05_deep_cnn.recipes import accuracies
from chapters.kit.data.training_data import TrainingData, by_recipe
from chapters.kit.experiment import Training
from chapters.kit.trained.answers import answers
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools import datasets
from data_tools.errors import UserError


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
                    self.features.add(padded_convolution(filters, 3), batch_norm(), nn.Activation('relu'))
                self.features.add(nn.MaxPool2D())
            self.features.add(nn.Conv2D(last_filters, kernel_size=3), batch_norm(), nn.Activation('relu'))
            self.output = nn.Conv2D(classes, kernel_size=1)

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))  # of one point for images of 28x28


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
    images = np.multiply(images[:, order], np.float32(experiment.scale), dtype=np.float32)
    labels = np.repeat(np.arange(len(classes), dtype=np.float32), images.shape[1]).reshape(images.shape[:2])

    def part(first, last):
        return images[:, first:last].reshape(-1, 1, 28, 28), labels[:, first:last].ravel()
    return by_recipe(TrainingData(
        name, *part(0, _FOR_TRAINING), *part(_FOR_TRAINING, _FOR_TRAINING + _FOR_VALIDATION), classes,
        datasets.CLASS_NAMES_ZH['fashion'],
        f'{experiment.section}: {_FOR_TRAINING} + {_FOR_VALIDATION} images of each class of Fashion-MNIST, from '
        f'{source}', experiment.scale), experiment.recipe, seed)


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


_RECIPE = Recipe(epochs=40, batch_size=32, learning_rate=0.06, initializer='uniform(0.01)',
                 augmentation='mirror shift=2 erase=5')
_FAST = Recipe(epochs=40, batch_size=128, optimizer='muon', learning_rate=0.03, momentum=0.9, weight_decay=0.002, anneal=1.0,
               initializer='msra(avg,0)', augmentation='mirror shift=2 erase=8', label_smoothing=0.1)

_FASHION = Training(
    '5.4.4', 'Fashion-MNIST with a deeper network', '更深的网络识别服饰 Fashion-MNIST', network=FashionNet,
    recipe=_RECIPE, fast=_FAST, data='fashion', sample_shape=(1, 28, 28), listing=sec_5_4_4, drawings=(answers,),
    book=accuracies('fashion', 40, 0.948383, 0.952, 0.874301, 0.906450),
    remark='The book prints a rate of 0.06 * 0.95^epoch, which it gives to a new call of Module.fit in every epoch; MXNet '
           'ignores it after the first call, so that 0.06 stays in force. 5.4.4-falling-rate is what was meant.')

EXPERIMENTS = [
    _FASHION,
    replace(_FASHION, section='5.4.4-falling-rate', title='The same at the rate that was meant: it falls',
            title_zh='同一网络，学习速率如书中本意逐轮降低', recipe=_RECIPE.but(lr_factor=0.95), listing=None, remark=''),
    replace(_FASHION, section='5.4.4-large', title='The same with 32, 64, 128 and 256 filters',
            title_zh='同一网络，32、64、128、256 个滤波器',
            sizes={'num_filters': (32, 64, 128), 'last_filters': 256}, listing=None, book=(),
            remark='The book says that it becomes more accurate, without a figure.'),
    Training('5.4.4-900', 'The same network, 700 images to learn from', '同一网络，只用 700 张图训练',
             network=FashionNet, recipe=_RECIPE.but(epochs=60, anneal=1.0), data='fashion-900',
             loader=few_images, sample_shape=(1, 28, 28), drawings=(answers, beside_a_linear_model)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
