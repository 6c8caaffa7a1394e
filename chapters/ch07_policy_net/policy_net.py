"""Sections 5.5.4 and 7.2: a residual network that says where strong players would play.

    python -m chapters.ch07_policy_net.policy_net --data FOLDER --set filters=48 --set units=5
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from chapters.ch07_policy_net.positions import games  # noqa: F401  the experiment's data
from mxnet import gluon
from mxnet.gluon import nn


class Unit(gluon.HybridBlock):
    """BN ReLU C3x3 BN ReLU C3x3, plus its own input: a pre-activation residual unit (5.5.2)."""
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for _ in range(2):
                self.body.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                              nn.Conv2D(filters, kernel_size=3, padding=1))

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class PolicyNet(gluon.HybridBlock):
    """The policy network of 5.5.4: C3x3, residual units, BN ReLU, C1x1 to one plane.

    Parameters
    ----------
    units : int
        Residual units of two convolutions each.
    filters : int
        Of every convolution but the last.
    planes : int
        Of the input: 8 as the book has them, in the order of the packed files (7.1); or another set of
        `data_tools.go.features.planes_of`.

    Input (N, planes, 19, 19), output logits (N, 361), point x + 19 y.
    """
    def __init__(self, units=6, filters=128, planes=8, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.first = nn.Conv2D(filters, kernel_size=3, padding=1, in_channels=planes)
            self.units = nn.HybridSequential()
            for _ in range(units):
                self.units.add(Unit(filters))
            self.last = nn.HybridSequential()
            self.last.add(nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'), nn.Conv2D(1, kernel_size=1))

    def hybrid_forward(self, F, x):
        return F.flatten(self.last(self.units(self.first(x))))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('7.2')
