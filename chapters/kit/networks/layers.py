"""The layers of a network by name."""
from collections import OrderedDict

from mxnet import gluon


def layers(network):
    """The layers of a network: blocks that hold no others, or only their own activation.

    Returns
    -------
    OrderedDict of str to HybridBlock
        In the order in which they were made.
    """
    found = OrderedDict()

    def walk(block, path):
        empty = isinstance(block, gluon.nn.HybridSequential) and not block._children
        if path and not empty and (block._reg_params or not block._children):
            found['.'.join(path)] = block
        for name, child in block._children.items():
            if not block._reg_params or child.collect_params():  # else the activation of a `Dense`
                walk(child, path + [name])
    walk(network, [])
    return found
