"""Sections 5.5.2 and 5.5.7: residual networks for CIFAR-10, in the book's pre-activation form and in others.

He, Zhang, Ren, Sun, "Deep residual learning for image recognition", CVPR 2016
(https://arxiv.org/abs/1512.03385); "Identity mappings in deep residual networks", ECCV 2016
(https://arxiv.org/abs/1603.05027).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_5_7
from chapters.ch05_deep_cnn.layers import batch_norm, choose, padded_convolution, scaled
from chapters.ch05_deep_cnn.recipes import CIFAR_FAST, RESNET, accuracies, on_cifar
from chapters.kit.networks.residual import ORDERINGS, ResidualUnit
from chapters.script import run_script
from data_tools.errors import UserError


class ResNet(gluon.HybridBlock):
    """BN, C3x3, stages of units, BN ReLU, global average, FC.

    Parameters
    ----------
    units : tuple of int
        Units of each stage. The first unit of every stage but the first has stride 2.
    filters : tuple of int
        Of the first convolution, and of each stage.
    width : float
        Factor of the numbers of filters.
    ordering : str
        A row of table 5-8, 'a' to 'e'; the book's listing is 'e'.
    classes : int

    Input (N, 3, 28, 28), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, units=(3, 3, 3), filters=(32, 64, 64, 128), width=1.0, ordering='e', classes=10,
                 **kwargs):
        super().__init__(**kwargs)
        self._ordering = ordering
        before, _, after = choose(ORDERINGS, 'ordering', ordering)
        if len(filters) <= len(units):
            raise UserError(f'filters={filters}: give {len(units) + 1}, of the first convolution and of each stage')
        filters = [scaled(number, width) for number in filters]
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm(), padded_convolution(filters[0], 3))
            if 'R' not in before:
                self.features.add(batch_norm(), nn.Activation('relu'))
            done = 0
            for stage, count in enumerate(units, 1):
                for unit in range(count):
                    stride = 2 if stage > 1 and unit == 0 else 1
                    new_shape = unit == 0 and (stride != 1 or filters[stage] != filters[stage - 1])
                    done += 1
                    self.features.add(self.make_unit(filters[stage], stride, new_shape, done / sum(units)))
            if not after:
                self.features.add(batch_norm(), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def make_unit(self, filters, stride, new_shape, depth):
        """A unit of this network, at `depth` (1: the last); networks of other units have their own."""
        return ResidualUnit(filters, stride, new_shape, self._ordering)

    def hybrid_forward(self, F, x):
        # F.mean or a global pooling, nn.Activation or F.relu: BN's backward is fast with each of them here
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def cifar_resnet20_v2(**kwargs):
    """The smallest network of "Identity mappings": three stages of three units with 16, 32 and 64 filters."""
    return ResNet((3, 3, 3), (16, 16, 32, 64), **kwargs)


_CIFAR = on_cifar(
    '5.5.7', 'CIFAR-10 with a pre-activation ResNet', '用残差网络识别 CIFAR-10', ResNet, recipe=RESNET,
    listing=sec_5_5_7, small={'sample_shape': (3, 12, 12)}, fast=CIFAR_FAST,
    book=accuracies('cifar10', 200, 0.930200, 0.982080, 0.5166, 0.6696),
    remark="The book's listing says 2 epochs; its log runs to epoch 199, and so do we.")

EXPERIMENTS = [
    *(on_cifar(f'5.5.2-{row}', f'Residual units, {words}', f'残差单元：{words_zh}', ResNet, {'ordering': row}, RESNET)
      for row, words, words_zh in (
          ('a', 'the original', '原始结构'), ('b', 'BN after the addition', '相加后 BN'),
          ('c', 'ReLU before the addition', '相加前 ReLU'), ('d', 'ReLU first', 'ReLU 预激活'),
          ('e', 'BN and ReLU first', '完全预激活'))),
    _CIFAR,
]


if __name__ == '__main__':
    run_script(_CIFAR)
