"""The book's own form of a training run: its symbolic graph, trained by `mx.mod.Module`."""
import time

import numpy as np

from chapters.kit.layers import layers
from chapters.kit.runtime import mx
from chapters.kit.training import (batches_of_epoch, ceil_div, make_initializer, make_optimizer_settings,
                                   seed_everything)
from data_tools.errors import UserError

_METRICS = {'softmax': ('loss', 'accuracy'), 'square': ('mse',)}


def paired_names(symbol, network):
    """Which parameter of a symbolic graph is which parameter of a Gluon network.

    Both list their parameters in the order in which the computation meets them, so the two lists pair up; shapes are
    checked by whoever copies.

    Parameters
    ----------
    symbol : mxnet.symbol.Symbol
        With inputs `data` and, perhaps, `label`.
    network : HybridBlock

    Returns
    -------
    dict of str to str
        Name in the symbol -> name in the network, BN statistics included.

    Raises
    ------
    UserError
        The two have different numbers of parameters.
    """
    traced = network(mx.sym.var('data'))
    pairs = {}
    for theirs, ours in ((symbol.list_arguments(), traced.list_arguments()),
                         (symbol.list_auxiliary_states(), traced.list_auxiliary_states())):
        theirs = [name for name in theirs if name not in ('data', 'label') and not name.endswith('_label')]
        ours = [name for name in ours if name != 'data']
        if len(theirs) != len(ours):
            raise UserError(f'the graph has {len(theirs)} parameters ({", ".join(theirs)}), the network '
                            f'{len(ours)}: they are not the same network')
        pairs.update(zip(theirs, ours))
    return pairs


def load_into(network, path, symbol, devices, fresh=()):
    """Set a network's parameters from a `.params` file of `Module.save_checkpoint` or of `HybridBlock.export`.

    Parameters
    ----------
    network : HybridBlock, initialized
    path : path-like
        If a `...-symbol.json` of the same model lies beside it, that tells the order of the parameters; else `symbol`
        does, or the names are the network's own.
    symbol : mxnet.symbol.Symbol or None
    devices : list of mxnet.Context
    fresh : sequence of str
        Layers whose names begin so are left as they are (5.3).

    Raises
    ------
    UserError
        Not a file of parameters, or not of this network.
    """
    import os
    from pathlib import Path
    path = Path(path)
    try:
        loaded = mx.nd.load(os.fspath(path))
    except mx.MXNetError:
        raise UserError(f'{path}: there is no such file of parameters, or it is damaged') from None
    if not isinstance(loaded, dict):
        raise UserError(f'{path}: holds arrays without names; not the parameters of a network')
    arrays = {name.split(':', 1)[-1]: array for name, array in loaded.items()}
    beside = path.with_name(path.name.rsplit('-', 1)[0] + '-symbol.json')
    if beside.exists():
        symbol = mx.sym.load(os.fspath(beside))
    parameters = network.collect_params()
    pairs = {name: name for name in parameters}
    if symbol is not None and not set(parameters) <= set(arrays):
        pairs = paired_names(symbol, network)
    kept = {parameter for name, layer in layers(network).items() if name.startswith(tuple(fresh) or ('-',))
            for parameter in layer.collect_params()}
    pairs = {theirs: ours for theirs, ours in pairs.items() if ours not in kept}
    missing = [name for name in pairs if name not in arrays]
    if missing:
        raise UserError(f'{path}: {missing[0]} is not in it (it holds {", ".join(list(arrays)[:4])}, ...); it belongs '
                        'to another network')
    for theirs, ours in pairs.items():
        if arrays[theirs].shape != parameters[ours].shape:
            raise UserError(f'{path}: {theirs} is {arrays[theirs].shape}, the network has '
                            f'{parameters[ours].shape} there; it belongs to another network')
    for theirs, ours in pairs.items():
        parameters[ours].set_data(arrays[theirs])


class _Epochs(mx.io.DataIter):
    """The batches that our own loop would get, as `Module.fit` wants them."""
    def __init__(self, data, recipe, seed):
        super().__init__(recipe.batch_size)
        self._data, self._recipe, self._seed, self._epoch = data, recipe, seed, 0
        shape = (recipe.batch_size,) + data.train_x.shape[1:]
        self.provide_data = [mx.io.DataDesc('data', shape)]
        self.provide_label = [mx.io.DataDesc('label', shape[:1])]
        self.reset()

    def reset(self):
        self._batches = batches_of_epoch(self._data.train_x, self._data.train_y, self._recipe,
                                         seed_everything(self._seed, self._epoch), self._epoch, self._data.batch,
                                         self._data.stream)
        self._epoch += 1

    def next(self):
        x, y = next(self._batches)
        return mx.io.DataBatch([x], [y], pad=0)


def train_symbolic(run):
    """Train the symbolic form of a run's experiment by `Module.fit`, with the run's recipe.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of dict
        The history, as `chapters.kit.training.train` returns it.
    """
    recipe, data = run.recipe, run.data
    seed_everything(run.seed)
    for name in ('l1', 'label_smoothing', 'mixup', 'patience', 'small_epochs'):
        if getattr(recipe, name):
            raise UserError(f'--form symbolic: the book\'s form has no {name}; leave it out')
    batches = ceil_div(len(data.train_x), recipe.batch_size)
    try:
        symbol = run.experiment.symbolic_form().symbol(**run.experiment.sizes)
    except TypeError as error:  # a size that the listing does not have
        raise UserError(f'--form symbolic: {str(error).partition("() ")[2]}; the listing has no such size') from None
    module = mx.mod.Module(symbol, ['data'], ['label'], context=run.devices)
    if data.batch or data.stream:
        train_iter = _Epochs(data, recipe, run.seed)
    else:
        train_iter = mx.io.NDArrayIter({'data': data.train_x}, {'label': data.train_y}, recipe.batch_size, shuffle=True)
    validation_iter = mx.io.NDArrayIter({'data': data.validation_x.astype(np.float32, copy=False)},
                                        {'label': data.validation_y}, recipe.batch_size)
    settings = make_optimizer_settings(recipe, batches)
    kind = run.experiment.objective
    metric = mx.metric.MSE() if kind == 'square' else mx.metric.CompositeEvalMetric(
        [mx.metric.CrossEntropy(), mx.metric.Accuracy()])
    history, started = [], [time.perf_counter()]
    module.bind(train_iter.provide_data, train_iter.provide_label)
    initial = None
    if run.init:
        network = run.experiment.build()
        network.initialize(ctx=mx.cpu())
        network(mx.nd.array(data.train_x[:1]))
        load_into(network, run.init, symbol, [mx.cpu()])
        parameters = network.collect_params()
        initial = {theirs: parameters[ours].data() for theirs, ours in paired_names(symbol, network).items()}
    module.init_params(make_initializer(recipe.initializer), arg_params=initial, aux_params=initial,
                       allow_missing=initial is None)

    def values(prefix):
        figures = np.atleast_1d(metric.get()[1])
        return {f'{prefix}_{name}': float(value) for name, value in zip(_METRICS[kind], figures)}

    def end_of_epoch(epoch, *_):
        seconds = time.perf_counter() - started[0]
        row = {'epoch': epoch, 'learning_rate': recipe.rate(batches * (epoch + 1), batches), 'seconds': seconds,
               'samples_per_second': len(data.train_x) / seconds, **values('train')}
        module.score(validation_iter, metric)
        row.update(values('validation'))
        history.append(row)
        run.write_history(history)
        run.say(run.line(row))
        metric.reset()
        started[0] = time.perf_counter()

    module.fit(train_iter, eval_metric=metric, num_epoch=recipe.epochs, optimizer=recipe.optimizer,
               optimizer_params=settings, epoch_end_callback=end_of_epoch)
    module.save_checkpoint(str(run.folder / 'model'), recipe.epochs)
    return history
