"""The book's own form of a training run: its symbolic graph, trained by `mx.mod.Module`."""
import contextlib
import logging
import os
import tempfile
import warnings
from pathlib import Path

import mxnet as mx
import numpy as np

from chapters.kit.data.batches import Batches
from chapters.kit.networks.layers import layers
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.kit.training.from_recipe import initialize, make_optimizer_settings
from chapters.kit.training.train import require_fit
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


def symbols_of(experiment):
    """Graphs of an experiment's listing for `load_into`: under the listing's names, and under others that files have."""
    listing, sizes = experiment.symbolic_form(), experiment.sizes
    return [listing.symbol(**sizes), *(listing.other_names(**sizes) if hasattr(listing, 'other_names') else ())]


def load_into(network, path, symbols, devices, fresh=()):
    """Set a network's parameters from a `.params` file of `Module.save_checkpoint` or of `HybridBlock.export`.

    Parameters
    ----------
    network : HybridBlock, initialized
    path : path-like
        If a `...-symbol.json` of the same model lies beside it, that tells the order of the parameters; else the first of
        `symbols` whose names are those of the file does, or the names are the network's own.
    symbols : sequence of mxnet.symbol.Symbol
    devices : list of mxnet.Context
    fresh : sequence of str
        Layers whose names begin so are left as they are (5.3).

    Raises
    ------
    UserError
        Not a file of parameters, or not of this network.
    """
    path = Path(path)
    try:
        loaded = mx.nd.load(os.fspath(path))
    except mx.MXNetError:
        raise UserError(f'{path}: there is no such file of parameters, or it is damaged') from None
    if not isinstance(loaded, dict):
        raise UserError(f'{path}: holds arrays without names; not the parameters of a network')
    arrays = {name.split(':', 1)[-1]: array.astype('float32') if array.dtype == np.float16 else array  # of the zoo
              for name, array in loaded.items()}
    beside = path.with_name(path.name.rsplit('-', 1)[0] + '-symbol.json')
    if beside.exists():
        symbols = [mx.sym.load(os.fspath(beside))]
    parameters = network.collect_params()
    pairs = {name: name for name in parameters}
    if symbols and not set(parameters) <= set(arrays):
        known = [paired_names(symbol, network) for symbol in symbols]
        pairs = next((pairs for pairs in known if set(pairs) <= set(arrays)), known[0])
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


class _Epoch(mx.io.DataIter):
    """The batches of one epoch of our own loop, as `Module.fit` wants them."""
    def __init__(self, batches, data, random=None, epoch=0):
        super().__init__(batches.size)
        shape = (batches.size,) + tuple(data.train_x.shape[1:])
        self.provide_data = [mx.io.DataDesc('data', shape)]
        self.provide_label = [mx.io.DataDesc('label', shape[:1])]
        self._batches = iter(()) if random is None else batches.of_epoch(random, epoch)

    def reset(self):
        """Each epoch has an iterator of its own."""

    def next(self):
        x, y = next(self._batches)
        return mx.io.DataBatch([x], [y], pad=0)


def train_symbolic(run):
    """Train the symbolic form of a run's experiment by `Module.fit`, with the run's recipe.

    It begins with the parameters that the Gluon form begins with, and gets the same batches.

    Parameters
    ----------
    run : Run

    Returns
    -------
    list of dict
        The history, as `chapters.kit.training.train.train` returns it.
    """
    experiment, recipe, data = run.experiment, run.recipe, run.data
    for name in ('l1', 'label_smoothing', 'mixup', 'patience', 'small_epochs', 'frozen', 'fresh'):
        if getattr(recipe, name):
            raise UserError(f'--form symbolic: the book\'s form has no {name}; leave it out')
    try:
        symbol = experiment.symbolic_form().symbol(**experiment.sizes)
    except TypeError as error:  # a size that the listing does not have
        raise UserError(f'--form symbolic: {str(error).partition("() ")[2]}; the listing has no such size') from None
    seed_everything(run.seed)
    network = experiment.build()
    initialize(network, recipe, data.train_x[:1], [mx.cpu()])
    require_fit(network, experiment, data)
    if run.init:
        load_into(network, run.init, symbols_of(experiment), [mx.cpu()])
    first = {theirs: network.collect_params()[ours].data() for theirs, ours in paired_names(symbol, network).items()}
    batches = Batches(data, recipe, mx.cpu())
    module = mx.mod.Module(symbol, ['data'], ['label'], context=run.devices, logger=_QUIET)
    shapes = _Epoch(batches, data)
    module.bind(shapes.provide_data, shapes.provide_label)
    module.init_params(arg_params=first, aux_params=first)
    settings = make_optimizer_settings(recipe, batches.number)
    module.init_optimizer(optimizer=recipe.optimizer, optimizer_params=settings)
    validation = mx.io.NDArrayIter({'data': data.validation_x.astype(np.float32, copy=False)},
                                   {'label': data.validation_y}, recipe.batch_size)
    kind = experiment.objective
    metric = mx.metric.MSE() if kind == 'square' else mx.metric.CompositeEvalMetric(
        [mx.metric.CrossEntropy(), mx.metric.Accuracy()])

    filled = mx.metric.Accuracy()

    def figures(prefix):
        return {f'{prefix}_{name}': float(value) for name, value in zip(_METRICS[kind], np.atleast_1d(metric.get()[1]))}

    def train(epoch, random):
        metric.reset()
        with _quiet_module():
            module.fit(_Epoch(batches, data, random, epoch), eval_metric=metric, begin_epoch=epoch, num_epoch=epoch + 1,
                       optimizer=recipe.optimizer, optimizer_params=settings)
        return {'samples': batches.samples, 'learning_rate': recipe.rate(batches.number * (epoch + 1), batches.number),
                **figures('train')}

    def measure():
        """Every sample once; and where the book prints a log, with the repeats in the last batch as `Module.score` counts."""
        metric.reset()
        filled.reset()
        validation.reset()
        for batch in validation:
            module.forward(batch, is_train=False)
            kept, out = recipe.batch_size - batch.pad, module.get_outputs()[0]
            metric.update([batch.label[0][:kept]], [out[:kept]])
            if run.filled:
                filled.update([batch.label[0]], [out])
        found = figures('validation')
        return {**found, 'validation_accuracy_filled': float(filled.get()[1])} if run.filled else found

    def arrays():
        arguments, statistics = module.get_params()
        with tempfile.TemporaryDirectory() as folder:
            module.save_optimizer_states(f'{folder}/states')
            states = np.fromfile(f'{folder}/states', np.uint8)
        return {**arguments, **statistics, 'optimizer states': mx.nd.array(states, dtype='uint8')}

    def restore(kept, epochs):
        states = kept.pop('optimizer states').asnumpy()
        module.set_params(kept, kept, allow_extra=True)
        with tempfile.TemporaryDirectory() as folder:
            states.tofile(f'{folder}/states')
            module.load_optimizer_states(f'{folder}/states')
        optimizer = module._optimizer
        optimizer.begin_num_update = optimizer.num_update = epochs * batches.number

    def stop(history):
        """The rule of 7.2 as printed: the rate that falls is one that the optimizer never sees."""
        logged = recipe.learning_rate * recipe.falls([row['train_loss'] for row in history]) if recipe.fall_factor < 1 else 1
        return (f'the rate in the log fell below {recipe.least_rate:g}, that of the training is still '
                f'{recipe.learning_rate:g}: done' if logged < recipe.least_rate else '')
    history = train_epochs(run, recipe.epochs, train, measure, arrays, restore, stop)
    module.save_checkpoint(str(run.folder / 'model'), len(history))
    run.draw_curves(history)
    return history


_QUIET = logging.getLogger('chapters.module')
_QUIET.addHandler(logging.NullHandler())
_QUIET.propagate = False


@contextlib.contextmanager
def _quiet_module():
    """Without what MXNet says of a module that is bound and has an optimizer already: that is as it should be."""
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')
        yield
