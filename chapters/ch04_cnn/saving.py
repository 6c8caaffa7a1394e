"""Section 4.5.2: parameters and graph on the disk, and back, by both of MXNet's ways.

    python -m chapters.ch04_cnn.saving --data digits
"""
import json
import warnings

import mxnet as mx
import numpy as np
from mxnet import gluon, nd

from chapters.ch04_cnn.lenet import RECIPE, LeNet
from chapters.kit.experiment import Study
from chapters.kit.training.train import train
from chapters.script import run_script


def save_and_load(run):
    """Train, export, and load again: into the same class, without the class, and as the book's `Module`.

    Returns
    -------
    dict
        Number of parameters and of graph nodes on the disk, and the largest difference between the outputs of
        each loaded network and those of the trained one.
    """
    network, history = train(run)
    device = run.devices[0]
    graph, params = run.folder / 'model-symbol.json', run.folder / f'model-{len(history):04d}.params'
    x = nd.array(run.data.validation_x[:32], device)
    expected = network(x).asnumpy()

    network.save_parameters(str(run.folder / 'network.params'))
    again = LeNet(**run.experiment.sizes)
    again.load_parameters(str(run.folder / 'network.params'), ctx=device)
    by_class = again(x).asnumpy()

    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # MXNet says that the input's type is not in the file; it never is
        block = gluon.SymbolBlock.imports(str(graph), ['data'], str(params), ctx=device)
    by_block = block(x).asnumpy()

    symbol, arguments, auxiliary = mx.model.load_checkpoint(str(run.folder / 'model'), len(history))
    module = mx.mod.Module(symbol, ['data'], None, context=device)
    module.bind([('data', x.shape)], for_training=False)
    module.set_params(arguments, auxiliary)
    module.forward(mx.io.DataBatch([x]), is_train=False)
    by_module = module.get_outputs()[0].asnumpy()

    module = mx.mod.Module(symbol, ['data'], None, context=device)  # bound again, for one image at a time
    module.bind([('data', (1,) + x.shape[1:])], for_training=False)
    module.set_params(arguments, auxiliary)
    module.forward(mx.io.DataBatch([x[:1]]), is_train=False)
    by_module_1 = module.get_outputs()[0].asnumpy()

    metrics = {f'difference_{name}': np.abs(outputs - expected[:len(outputs)]).max() for name, outputs in (
        ('load_parameters', by_class), ('symbol_block', by_block), ('module', by_module),
        ('module_batch1', by_module_1))}
    metrics['parameters'] = sum(array.size for array in arguments.values())
    metrics['graph_nodes'] = len(json.loads(graph.read_text(encoding='utf-8'))['nodes'])
    metrics['validation_accuracy'] = history[-1]['validation_accuracy']
    return metrics


EXPERIMENTS = [
    Study('4.5.2', 'Saving and loading parameters and graph', '保存与读取参数和网络结构', network=LeNet,
          recipe=RECIPE.but(epochs=2, train_samples=1000, learning_rate=0.1), data='digits', sample_shape=(1, 28, 28),
          function=save_and_load),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
