"""Sections 4.4, 4.4.3 to 4.4.5: a small convolutional network reads digits, and clothes.

    python -m chapters.ch04_cnn.lenet --data digits
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_4_4, sec_4_4_5
from chapters.kit.experiment import BookFigure, Training
from chapters.kit.trained.answers import answers
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script


class LeNet(gluon.HybridBlock):
    """Two convolutions with batch normalisation and pooling, a third to one plane a class: 58,058 parameters.

    Shapes, from a 28x28 image: 32x24x24, 32x11x11, 64x7x7, 64x3x3, 10x1x1 (4.4).

    Parameters
    ----------
    num_filters : tuple of int
        Filters of the two 5x5 convolutions; (64, 128) is the larger network of 4.4.5.
    classes : int

    Input (N, C, H, W), output logits (N, classes).
    """
    def __init__(self, num_filters=(32, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters in num_filters:
                self.features.add(nn.Conv2D(filters, kernel_size=5), nn.BatchNorm(epsilon=1e-3),
                                  nn.Activation('relu'), nn.MaxPool2D(pool_size=3, strides=2))
            self.output = nn.Conv2D(classes, kernel_size=3)

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))


RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=0.03, lr_factor=0.9, initializer='uniform(0.01)')

_FAST = Recipe(epochs=10, batch_size=128, base_batch_size=128, rate_exponent=0.5, optimizer='muon', learning_rate=0.03,
               momentum=0.9, weight_decay=0.002, anneal=1.0, augmentation='shift=2')
_FASHION_FAST = _FAST.but(epochs=40, augmentation='mirror shift=1', weight_decay=0.001)


def _lenet(section, title, title_zh, data='mnist', sizes=None, listing=None, remark='', accuracy=0.0, train_accuracy=0.0,
           first=0.0, second=0.0, seconds=0.0, fast=_FAST, **changes):
    """`LeNet` by the recipe of 4.4 with changes, and what the book prints of it: accuracies at the end, on validation data
    after each of the first two epochs, and the seconds that an epoch takes (on a GPU of its time)."""
    printed = (('validation_accuracy', accuracy), ('train_accuracy', train_accuracy), ('validation_accuracy_epoch0', first),
               ('validation_accuracy_epoch1', second), ('seconds_an_epoch', seconds))
    fast = fast.but(batch_size=changes.get('batch_size', fast.batch_size))
    return Training(section, title, title_zh, network=LeNet, sizes=sizes or {}, recipe=RECIPE.but(**changes), fast=fast,
                    data=data, sample_shape=(1, 28, 28), listing=listing, drawings=(answers,), remark=remark,
                    book=tuple(BookFigure(value, metric, data) for metric, value in printed if value))


EXPERIMENTS = [
    _lenet('4.4', 'MNIST with a convolutional network', '用卷积网络识别手写数字 MNIST', listing=sec_4_4,
           accuracy=0.994010, train_accuracy=0.999950, first=0.987320, second=0.990016,
           remark="The book's run lies within the range of our seeds, near its upper end. Its listing of 4.4.3 shows the "
                  "mistakes as val_lbl[j], val_img[j], where i * batch_size + j is meant."),
    _lenet('4.4.4-batch8', 'Batch size 8', '批大小 8', accuracy=0.9937, seconds=21.8, batch_size=8,
           remark='The text calls the accuracies of 4.4.4 those of training; they are those of validation.'),
    _lenet('4.4.4-batch32', 'Batch size 32', '批大小 32', accuracy=0.9940, seconds=6.8, batch_size=32),
    _lenet('4.4.4-batch128', 'Batch size 128', '批大小 128', accuracy=0.9933, seconds=2.4, batch_size=128),
    _lenet('4.4.4-batch512', 'Batch size 512', '批大小 512', accuracy=0.9910, seconds=1.4, batch_size=512),
    _lenet('4.4.4-batch512-rate0.2', 'Batch size 512 at rate 0.2', '批大小 512，学习速率 0.2', accuracy=0.993,
           batch_size=512, learning_rate=0.2),
    _lenet('4.4.5', 'Fashion-MNIST with the same network', '同一网络识别服饰 Fashion-MNIST', 'fashion', listing=sec_4_4,
           accuracy=0.916833, train_accuracy=0.968450, first=0.860923, second=0.869708, fast=_FASHION_FAST),
    _lenet('4.4.5-large', 'Fashion-MNIST with 64 and 128 filters', '64 与 128 个滤波器识别服饰', 'fashion',
           {'num_filters': (64, 128)}, sec_4_4_5, accuracy=0.919129, train_accuracy=0.988233, first=0.868311, second=0.889177,
           fast=_FASHION_FAST, learning_rate=0.06),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
