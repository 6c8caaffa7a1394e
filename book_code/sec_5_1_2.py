"""5.1.2: VGG-16, layer by layer as in table 5-3 (lines 5430 to 5450), figure 5-4 and the words after it.

The book prints no listing and does not train it: the settings are the port's.
"""
import mxnet as mx

from book_code import sec_5_1_1

BATCH_SIZE = sec_5_1_1.BATCH_SIZE
settings = sec_5_1_1.settings

_FILTERS = (64, 128, 256, 512, 512)


def symbol(configuration='D', hidden=4096, dropout=0.5, width=1.0, classes=1000):
    """(N, 3, 224, 224) -> probabilities (N, 1000); 'B', 'D' and 'E' are made of 3x3 convolutions only."""
    counts = {'B': (2, 2, 2, 2, 2), 'D': (2, 2, 3, 3, 3), 'E': (2, 2, 4, 4, 4)}[configuration]
    net = mx.sym.Variable('data')
    for stage, (count, filters) in enumerate(zip(counts, _FILTERS), 1):
        for number in range(1, count + 1):
            net = mx.sym.Convolution(net, name=f'conv{stage}_{number}', kernel=(3, 3), pad=(1, 1),
                                     num_filter=round(width * filters))
            net = mx.sym.Activation(net, act_type='relu')
        net = mx.sym.Pooling(net, name=f'pool{stage}', pool_type='max', kernel=(2, 2), stride=(2, 2))
    return sec_5_1_1.head(net, hidden, dropout, classes)
