"""Section 6.3: the networks of AlphaGo and of AlphaGo Zero.

Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016
(https://doi.org/10.1038/nature16961); "Mastering the game of Go without human knowledge", Nature 550, 2017
(https://doi.org/10.1038/nature24270).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from chapters.ch04_cnn.positions import games  # noqa: F401  the experiment's data
from mxnet import gluon
from mxnet.gluon import nn


def _body(layers, filters):
    """C5x5 p2 ReLU, then C3x3 p1 ReLU: the first 12 layers of AlphaGo's two networks."""
    body = nn.HybridSequential()
    body.add(nn.Conv2D(filters, kernel_size=5, padding=2, activation='relu'))
    for _ in range(layers - 1):
        body.add(nn.Conv2D(filters, kernel_size=3, padding=1, activation='relu'))
    return body


class AlphaGoPolicy(gluon.HybridBlock):
    """AlphaGo's policy network (v13): C5x5, 11 times C3x3, C1x1 to one plane.

    Parameters
    ----------
    layers : int
        Convolutions before the last.
    filters : int
    planes : int
        Of the input: 48, see `data_tools.go.features`.

    Input (N, 48, 19, 19), output logits (N, 361), point x + 19 y.
    """
    def __init__(self, layers=12, filters=192, planes=48, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = _body(layers, filters)
            self.last = nn.Conv2D(1, kernel_size=1)

    def hybrid_forward(self, F, x):
        return F.flatten(self.last(self.body(x)))


class AlphaGoValue(gluon.HybridBlock):
    """AlphaGo's value network: the same 12 layers, C1x1 ReLU, FC256 ReLU, FC1.

    Parameters
    ----------
    layers, filters : int
    planes : int
        49: AlphaGo's 48 and the colour of the player to move.
    hidden : int

    Input (N, 49, 19, 19), output (N, 1): logistic(output) is the probability that the player to move wins.
    """
    def __init__(self, layers=12, filters=192, planes=49, hidden=256, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = _body(layers, filters)
            self.head = nn.HybridSequential()
            self.head.add(nn.Conv2D(1, kernel_size=1, activation='relu'), nn.Dense(hidden, activation='relu'),
                          nn.Dense(1))

    def hybrid_forward(self, F, x):
        return self.head(self.body(x))


class Unit(gluon.HybridBlock):
    """C3x3 BN ReLU C3x3 BN, plus its own input, ReLU."""
    def __init__(self, filters, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(epsilon=1e-3),
                          nn.Activation('relu'),
                          nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(epsilon=1e-3))

    def hybrid_forward(self, F, x):
        return F.Activation(x + self.body(x), act_type='relu')


class AlphaGoZero(gluon.HybridBlock):
    """The network of AlphaGo Zero: one body, a policy head and a value head.

    Parameters
    ----------
    units : int
        Residual units: 39 in the larger network of the paper, 19 in the smaller.
    filters : int
    planes : int
        Of the input.
    size : int
        Of the board.
    hidden : int
        Of the value head.

    Input (N, 17, 19, 19). Output: logits of the moves (N, 362), the pass last, and (N, 1): logistic(output)
    is the probability that the player to move wins.
    """
    def __init__(self, units=39, filters=256, planes=17, size=19, hidden=256, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(nn.Conv2D(filters, kernel_size=3, padding=1), nn.BatchNorm(epsilon=1e-3),
                          nn.Activation('relu'))
            for _ in range(units):
                self.body.add(Unit(filters))
            self.policy = nn.HybridSequential()
            self.policy.add(nn.Conv2D(2, kernel_size=1), nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                            nn.Dense(size * size + 1))
            self.value = nn.HybridSequential()
            self.value.add(nn.Conv2D(1, kernel_size=1), nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                           nn.Dense(hidden, activation='relu'), nn.Dense(1))

    def hybrid_forward(self, F, x):
        x = self.body(x)
        return self.policy(x), self.value(x)
