"""Section 5.5.3: residual networks that change at random while they learn: stochastic depth, shake-shake.

Huang, Sun, Liu, Sedra, Weinberger, "Deep networks with stochastic depth", ECCV 2016
(https://arxiv.org/abs/1603.09382); Gastaldi, "Shake-shake regularization", 2017
(https://arxiv.org/abs/1705.07485).
"""
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.layers import first_points
from chapters.ch05_deep_cnn.recipes import RESNET, on_cifar
from chapters.ch05_deep_cnn.resnet import ResNet
from chapters.kit.networks.residual import ORDERINGS, PreActivationUnit
from chapters.script import run_script


class StochasticUnit(PreActivationUnit):
    """A unit whose body is left out of a batch now and then: `shortcut + b * body`.

    b is 1 with the probability `survival` in training, else 0; in prediction it is `survival`. The body is
    computed all the same, as a graph that is compiled once cannot leave it out: the time that the paper saves
    is not saved.
    """
    def __init__(self, filters, stride=1, new_shape=False, survival=1.0, **kwargs):
        super().__init__(filters, stride, new_shape, **kwargs)
        self._survival = survival
        with self.name_scope():
            # 1 / survival or 0, one number for the batch
            self.gate = nn.Dropout(1 - survival, axes=(0, 1, 2, 3))

    def hybrid_forward(self, F, x):
        y = self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(y)
        return self.gate(self.body(y)) * self._survival + shortcut


class StochasticDepthResNet(ResNet):
    """The network of 5.5.7 with stochastic depth.

    Parameters
    ----------
    last_survival : float
        Probability that the last unit survives; it falls linearly from 1 at the input.
    kwargs
        As for `ResNet`.
    """
    def __init__(self, last_survival=0.5, width=1.0, classes=10, **kwargs):
        self._last_survival = last_survival
        super().__init__(width=width, classes=classes, **kwargs)

    def make_unit(self, filters, stride, new_shape, depth):
        return StochasticUnit(filters, stride, new_shape, 1 - depth * (1 - self._last_survival))


class ShakeUnit(PreActivationUnit):
    """Two bodies beside a shortcut, mixed in random shares: `shortcut + a * body1 + (1 - a) * body2`.

    In training each sample draws a, from 0 to 1, for the way forward, and another for the gradient's way back
    ("shake, shake, image" in the paper); in prediction a is 1/2.
    """
    def __init__(self, filters, stride=1, new_shape=False, **kwargs):
        super().__init__(filters, stride, new_shape, **kwargs)
        with self.name_scope():
            self.body2 = self.layers(ORDERINGS['e'][1], filters, stride)
            self.coin = nn.Dropout(0.5)  # of ones: 0 or 2 in training, 1 in prediction

    def share(self, F, like):
        """(N, 1, 1, 1) uniform from 0 to 1 in training, 1/2 in prediction."""
        uniform = F.random.uniform_like(like)
        return 0.5 + 0.5 * (self.coin(F.ones_like(like)) - 1) * uniform

    def hybrid_forward(self, F, x):
        y = self.before(x)
        shortcut = x if self.shortcut is None else self.shortcut(y)
        first, second = self.body(y), self.body2(y)
        like = F.BlockGrad(first_points(F, first))
        forward, backward = self.share(F, like), self.share(F, like)

        def mix(share):
            return F.broadcast_mul(share, first) + F.broadcast_mul(1 - share, second)
        back = mix(backward)
        # the value of one mixture, the gradient of the other
        return shortcut + back + F.BlockGrad(mix(forward) - back)


class ShakeShakeResNet(ResNet):
    """The network of 5.5.7 with two bodies in each unit, shaken. Arguments as for `ResNet`."""
    def make_unit(self, filters, stride, new_shape, depth):
        return ShakeUnit(filters, stride, new_shape)


EXPERIMENTS = [
    on_cifar('5.5.3-stochastic-depth', 'Stochastic depth', '随机深度', StochasticDepthResNet, recipe=RESNET),
    on_cifar('5.5.3-shake-shake', 'Shake-shake', 'Shake-shake', ShakeShakeResNet, recipe=RESNET),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
