"""7.2: the program that trains the policy network: the network of 5.5.4, under other names.

The listing: lines 8066 to 8074 of train.py; lines 8504 to 8577 of util.py make the names. Its rule for the rate, lines 8180
to 8187, does nothing as printed: at a save after which the loss has risen it changes `config.learning_rate`, which `fit` has
copied before the first update. The rate of `settings` stays; what falls is the rate in the log, and under 0.01 there the
program ends. So does `--form symbolic`; the Gluon form takes the rule as it is meant.
"""
from book_code import sec_5_5_4
from book_code.sec_5_5_4 import BATCH_SIZE, other_names, settings  # noqa: F401


def symbol(units=6, filters=128, planes=8):
    """(N, 8, 19, 19), planes as they come out of the packed files (7.1) -> probabilities (N, 361)."""
    return sec_5_5_4.symbol(units, filters, planes, '7.2')
