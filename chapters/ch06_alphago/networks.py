"""Section 6.3: the networks of AlphaGo and of AlphaGo Zero.

Silver et al., "Mastering the game of Go with deep neural networks and tree search", Nature 529, 2016
(https://doi.org/10.1038/nature16961); "Mastering the game of Go without human knowledge", Nature 550, 2017
(https://doi.org/10.1038/nature24270).

    python -m chapters.ch06_alphago.networks --data FOLDER
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_6_3, sec_6_3_value, sec_6_3_zero
from chapters.ch04_cnn.positions import PolicyRecipe, PolicyTraining
from chapters.ch06_alphago.listing import ComparedNetwork
from chapters.kit.networks.residual import ResidualUnit
from chapters.script import run_script


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
                self.body.add(ResidualUnit(filters, ordering='a'))  # C3x3 BN ReLU C3x3 BN, plus its own input, ReLU
            self.policy = nn.HybridSequential()
            self.policy.add(nn.Conv2D(2, kernel_size=1), nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                            nn.Dense(size * size + 1))
            self.value = nn.HybridSequential()
            self.value.add(nn.Conv2D(1, kernel_size=1), nn.BatchNorm(epsilon=1e-3), nn.Activation('relu'),
                           nn.Dense(hidden, activation='relu'), nn.Dense(1))

    def hybrid_forward(self, F, x):
        x = self.body(x)
        return self.policy(x), self.value(x)


# As the paper has it: mini-batches of 16, a rate of 0.003 that is halved every 80 million updates of 340 million.
_POLICY = PolicyTraining(
    '6.3', "AlphaGo's policy network", 'AlphaGo 的策略网络', network=AlphaGoPolicy, sizes={'planes': 48},
    recipe=PolicyRecipe(epochs=17, batch_size=16, learning_rate=0.003, lr_factor=0.5, lr_every=4, initializer='xavier',
                        samples_per_epoch=320000000),
    listing=sec_6_3, small={'layers': 3, 'filters': 16})

EXPERIMENTS = [
    _POLICY,
    ComparedNetwork('6.3-value', "AlphaGo's value network", 'AlphaGo 的价值网络', network=AlphaGoValue,
                    sizes={'planes': 49}, sample_shape=(49, 19, 19), listing=sec_6_3_value,
                    small={'layers': 3, 'filters': 8, 'hidden': 16}),
    ComparedNetwork('6.3-zero', 'The network of AlphaGo Zero', 'AlphaGo Zero 的网络', network=AlphaGoZero,
                    sizes={'planes': 17}, sample_shape=(17, 19, 19), listing=sec_6_3_zero,
                    small={'units': 2, 'filters': 8, 'hidden': 16}),
]


if __name__ == '__main__':
    run_script(_POLICY)
