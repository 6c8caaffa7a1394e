"""4.4.5: the network of 4.4 with twice the filters, for Fashion-MNIST.

No listing of its own: line 4860 changes that of 4.4 (64 and 128 filters, rate 0.06).
"""
from book_code import sec_4_4

BATCH_SIZE = sec_4_4.BATCH_SIZE


def symbol(num_filters=(64, 128), classes=10):
    """(N, 1, 28, 28), pixels divided by 255 -> probabilities (N, 10)."""
    return sec_4_4.symbol(num_filters, classes)


def settings(updates_per_epoch):
    """As in 4.4, at twice the rate."""
    return sec_4_4.settings(updates_per_epoch, learning_rate=0.06)
