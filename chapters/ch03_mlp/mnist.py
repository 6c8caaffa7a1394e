"""Sections 3.4.2 and 3.4.3: a multilayer perceptron reads digits, and clothes.

    python -m chapters.ch03_mlp.mnist --data digits
"""
from dataclasses import replace

from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_3_4_2
from chapters.kit.experiment import Training, figures_of
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script


class MLP(gluon.HybridBlock):
    """FC128 ReLU FC64 ReLU FC10: the network of 3.4.2, 109,386 parameters.

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers.
    classes : int
    dropout : float
        Share of the hidden activations set to zero in training (3.2).

    Input (N, C, H, W) or (N, D), output logits (N, classes).
    """
    def __init__(self, hidden=(128, 64), classes=10, dropout=0.0, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.hidden = nn.HybridSequential()
            for units in hidden:
                self.hidden.add(nn.Dense(units, activation='relu'))
                if dropout:
                    self.hidden.add(nn.Dropout(dropout))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(self.hidden(x))


_RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=0.2, lr_factor=0.9, initializer='uniform(0.01)')
_FAST = Recipe(epochs=12, batch_size=128, learning_rate=0.4, momentum=0.5, anneal=1.0, augmentation='shift=1')
_FASHION_FAST = Recipe(epochs=12, batch_size=256, optimizer='muon', learning_rate=0.03, momentum=0.9, weight_decay=0.002,
                       anneal=1.0, augmentation='mirror')
_MNIST = Training(
    '3.4.2', 'MNIST with a multilayer perceptron', '用多层感知机识别手写数字 MNIST', network=MLP, recipe=_RECIPE, fast=_FAST,
    data='mnist', sample_shape=(1, 28, 28), listing=sec_3_4_2,
    book=figures_of('mnist', validation_accuracy=0.980531, train_accuracy=0.999933, validation_accuracy_epoch0=0.939996,
                    validation_accuracy_epoch1=0.953175, train_accuracy_epoch0=0.752017, train_accuracy_epoch1=0.958383),
    remark='Seeds differ by 0.2 points; the book prints one run, a little under the mean of ours.')
_FASHION = replace(
    _MNIST, section='3.4.3', title='Fashion-MNIST with the same network', title_zh='同一网络识别服饰 Fashion-MNIST',
    data='fashion', fast=_FASHION_FAST, remark='',
    book=figures_of('fashion', validation_accuracy=0.892772, train_accuracy=0.931450, validation_accuracy_epoch0=0.836262,
                    validation_accuracy_epoch1=0.853534, train_accuracy_epoch0=0.681483, train_accuracy_epoch1=0.842167))

EXPERIMENTS = [_MNIST, _FASHION]


if __name__ == '__main__':
    run_script(_MNIST)
