"""Sections 5.2 and 5.3: SqueezeNet with what it has learnt from ImageNet's 1.2 million photographs.

The parameters are those of `weights/squeezenet1_1_fp16.npz`, where that lies among the data (the authors' own, in half
precision: https://github.com/forresti/SqueezeNet), else those of Gluon's zoo, which downloads them once.
"""
import numpy as np
from mxnet import nd

from chapters.kit.networks.layers import layers
from data_tools.datasets import HOME, folders_of
from data_tools.errors import UserError

_FILE, _NAMES = 'squeezenet1_1_fp16.npz', 'synset_words.txt'


def _folders():
    """Where the file may lie."""
    return [*folders_of('weights', None), HOME.expanduser() / 'data' / 'weights']


def _found(name):
    return next((folder / name for folder in _folders() if (folder / name).is_file()), None)


def parameters_of(version='1.1'):
    """[(weight, bias)] of the convolutions, in order, for pixels RGB from 0 to 1.

    Whoever trained them had pixels of another scale: the authors BGR from 0 to 255 less (104, 117, 123), Gluon RGB from 0 to 1
    less a mean and divided by a deviation. The first convolution has no padding, so that this can be moved into its weights
    and biases.

    Raises
    ------
    UserError
        Neither the file nor the zoo can be had.
    """
    path = _found(_FILE) if version == '1.1' else None
    if path:
        with np.load(path) as arrays:
            flat = [arrays[name].astype(np.float32) for name in arrays.files]
        mean, scale = np.array([104, 117, 123], np.float32)[::-1], 255.0
        pairs = list(zip(flat[::2], flat[1::2]))
        weight, bias = pairs[0]
        weight = weight[:, ::-1]  # BGR -> RGB
        bias = bias - (weight * mean[:, None, None]).sum(axis=(1, 2, 3))
        return [(weight * scale, bias), *pairs[1:]]
    from mxnet.gluon.model_zoo import vision
    try:
        zoo = getattr(vision, f'squeezenet{version.replace(".", "_")}')(pretrained=True)
    except Exception as error:  # of requests, of the disk, of a checksum
        raise UserError(f'the zoo\'s squeezenet{version} cannot be had ({str(error).splitlines()[0][:120]}); put {_FILE} into '
                        f'{_folders()[-1]}' + ' and add --set version=1.1' * (version != '1.1')) from None
    flat = [parameter.data().asnumpy() for parameter in zoo.collect_params().values()]
    pairs = list(zip(flat[::2], flat[1::2]))
    mean, deviation = np.array([0.485, 0.456, 0.406], np.float32), np.array([0.229, 0.224, 0.225], np.float32)
    weight = pairs[0][0] / deviation[:, None, None]
    return [(weight, pairs[0][1] - (weight * mean[:, None, None]).sum(axis=(1, 2, 3))), *pairs[1:]]


def load_zoo(network, version='1.1', fresh=()):
    """Set the parameters of a `SqueezeNet`, but for its fresh layers.

    Raises
    ------
    UserError
        As for `parameters_of`; or a layer has another shape and is not fresh.
    """
    found = layers(network)
    convolutions = [(name, layer) for name, layer in found.items() if getattr(layer, 'weight', None) is not None]
    for (name, layer), (weight, bias) in zip(convolutions, parameters_of(version)):
        if name.startswith(tuple(fresh) or ('-',)):
            continue
        if layer.weight.shape != weight.shape:
            raise UserError(f'--init zoo: {name} is {layer.weight.shape}, the zoo has {weight.shape} there: with other classes '
                            f'--set fresh={name}')
        layer.weight.set_data(nd.array(weight))
        layer.bias.set_data(nd.array(bias))


def class_names():
    """The 1,000 classes of ImageNet; numbers where their names are not at hand."""
    path = _found(_NAMES)
    if not path:
        return tuple(f'class {number}' for number in range(1000))
    lines = path.read_text(encoding='utf-8').splitlines()
    return tuple(line.partition(' ')[2].partition(',')[0] for line in lines)
