"""Sections 3.4.2 and 3.4.3: a multilayer perceptron reads digits, and clothes.

    python -m chapters.ch03_mlp.mnist --data digits
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
from mxnet import gluon
from mxnet.gluon import nn


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


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('3.4.2')
