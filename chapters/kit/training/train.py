"""How a network learns here: the graph that is trained (`Objective`), one update of it (`PlainStep`), the figures on
validation data (`Evaluation`), and the loop over epochs (`train`).

`PlainStep` defines training. On a CPU the same update is made by an engine, `chapters.kit.training.compiled_step`,
and a test proves the two equal.
"""
import time

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from threadpoolctl import threadpool_limits

from chapters.kit.data.batches import Batches
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.progress import tqdm
from chapters.kit.training.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import average_statistics, seed_everything, train_epochs
from chapters.kit.training.from_recipe import initialize, make_optimizer, prepare_transfer
from chapters.kit.training.precision import lowered, make_scaler
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.workers import Workers
from data_tools.errors import UserError

_VALIDATION_BATCH = 250


class Objective(gluon.HybridBlock):
    """A network with its loss and its metrics, in one graph.

    Parameters
    ----------
    network : HybridBlock
        (N, ...) -> logits (N, K) for 'softmax', or one value (N, 1) for 'square'.
    kind : str
        'softmax': cross-entropy of softmax(logits) with class numbers y (N,).
        'square': (output - y)^2 / 2, the loss of `LinearRegressionOutput` (2.2.8).
    recipe : Recipe, optional
        For its `dtype`, `label_smoothing`, `l1`, and `mixup`: then a call gets a mixing weight (1,) as third input.
    top : tuple of int
        As `Training` has it.

    Returns
    -------
    loss : (N,), of a call
    statistics : (2 + len(top), N) loss, whether the answer is right, and whether the truth is among the first so many
        answers; or (1, N) squared error
    """
    def __init__(self, network, kind='softmax', recipe=Recipe(), top=(), **kwargs):
        super().__init__(**kwargs)
        self.network, self.dtype = network, recipe.dtype
        self._compute = lowered(network, recipe.dtype)
        self._kind, self._recipe, self._top = kind, recipe, tuple(top)

    def hybrid_forward(self, F, x, y, mixing=None):
        if self._kind == 'square':
            error = F.square(F.reshape(self._compute(x), shape=(-1,)) - y)
            return self._with_l1(F, error / 2), F.reshape(error, shape=(1, -1))
        if mixing is not None:  # partners are the batch in reverse: after shuffling that is a random partner
            x = F.broadcast_mul(mixing, x) + F.broadcast_mul(1 - mixing, F.reverse(x, axis=0))
        logits = self._compute(x)
        loss = self._cross_entropy(F, logits, y)
        if mixing is not None:
            other = self._cross_entropy(F, logits, F.reverse(y, axis=0))
            loss = F.broadcast_mul(mixing, loss) + F.broadcast_mul(1 - mixing, other)
        right = F.broadcast_equal(F.argmax(logits, axis=1), y)
        statistics = [F.BlockGrad(loss), right]
        if self._top:
            better = F.broadcast_greater(logits, F.pick(logits, y, keepdims=True)).sum(axis=1)
            statistics += [better < number for number in self._top]
        return self._with_l1(F, loss), F.stack(*statistics)

    def _cross_entropy(self, F, logits, y):
        """-log of the true class's share; smoothed: part of the target is spread over all classes (3.2)."""
        log_q, smoothing = F.log_softmax(logits), self._recipe.label_smoothing
        loss = -F.pick(log_q, y)
        return (1 - smoothing) * loss - smoothing * F.mean(log_q, axis=1) if smoothing else loss

    def _with_l1(self, F, loss):
        """Add `l1 * sum |w|` to the loss of every sample."""
        if not self._recipe.l1:
            return loss
        weights = [parameter for name, parameter in self.network.collect_params('.*weight').items()]
        penalty = sum(F.sum(F.abs(weight.var() if F is mx.sym else weight.data())) for weight in weights)
        return F.broadcast_add(loss, self._recipe.l1 * penalty)

    def metrics(self, statistics, prefix):
        """Means of the rows of summed statistics, under the names of the report."""
        names = ('mse',) if self._kind == 'square' else ('loss', 'accuracy', *(f'top{k}' for k in self._top))
        return {f'{prefix}_{name}': float(value) for name, value in zip(names, statistics)}

    @property
    def main_metric(self):
        """Name of the figure that early stopping goes by."""
        return 'validation_mse' if self._kind == 'square' else 'validation_accuracy'

    def best(self, history):
        """The first row of a history that no other is better than."""
        return (min if self._kind == 'square' else max)(history, key=lambda row: row[self.main_metric])


class PlainStep:
    """One update of a network: record the loss, go back, let the trainer step.

    With several devices each gets its part of the batch. In float16 the loss is multiplied by a large number and the
    gradients divided by it, so that small ones do not vanish; an update whose gradients overflow is left out, and the
    number halved.

    Parameters
    ----------
    objective : Objective, initialized
    optimizer : mxnet.optimizer.Optimizer
        It divides gradients by the batch size.
    devices : list of mxnet.Context
    workers : Workers
        With whom to share every update.
    """
    threads = None  # as many as there are

    def __init__(self, objective, optimizer, devices, workers=Workers()):
        self._objective, self._optimizer, self._devices, self._workers = objective, optimizer, devices, workers
        self._scaler = make_scaler(objective.dtype)
        objective.hybridize(static_alloc=True, static_shape=True)
        self._trainer = gluon.Trainer(objective.collect_params(), optimizer, update_on_kvstore=False)

    def __call__(self, *batch):
        """Update from a batch of arrays (N, ...); return its statistics."""
        parts = zip(*(gluon.utils.split_and_load(array, self._devices) for array in batch))
        with autograd.record():
            results = [self._objective(*part) for part in parts]
            losses = [loss * self._scaler.loss_scale for loss, _ in results]
        autograd.backward(losses)
        self._trainer.allreduce_grads()
        self._workers.sum([parameter.list_grad()[0] for parameter in self._trainer._params
                           if parameter.grad_req != 'null'])  # several workers have one device each
        if not self._scaler.has_overflow(self._trainer._params):
            self._trainer.update(self._scaler.loss_scale)
        return nd.concat(*(statistics.as_in_context(self._devices[0]) for _, statistics in results), dim=1)

    def synchronize(self):
        """Nothing to do: the network's parameters are what is trained."""

    def arrays(self):
        """{name: array} of the optimizer's state, for a checkpoint."""
        return {f'optimizer:{name}': array for name, array in optimizer_arrays(self._trainer._updaters[0]).items()}

    def restore(self, arrays, updates):
        """Go on from a checkpoint: the network's parameters as they are now, `arrays`, and the updates done."""
        self._optimizer.begin_num_update = self._optimizer.num_update = updates
        for updater, device in zip(self._trainer._updaters, self._devices):
            restore_optimizer(arrays, updater, {index: parameter.data(device)
                                                for index, parameter in enumerate(self._trainer._params)})


def make_step(objective, optimizer, data, recipe, devices, workers=Workers()):
    """The fastest step that there is: compiled on a CPU, else the plain one.

    Parameters
    ----------
    objective, optimizer, devices, workers
        As for `PlainStep`.
    data : TrainingData
    recipe : Recipe
    """
    if devices[0].device_type != 'cpu' or len(devices) > 1:
        return PlainStep(objective, optimizer, devices, workers)
    part = workers.share(recipe.batch_size)
    shape = (part.stop - part.start,) + tuple(data.train_x.shape[1:])
    return CompiledStep(objective, optimizer, [shape, shape[:1]] + [(1,)] * bool(recipe.mixup), devices[0], workers)


class Evaluation:
    """Loss and metrics of a network over a whole data set, on one device.

    Parameters
    ----------
    objective : Objective
        Of the network, without what only training adds.
    x, y : numpy.ndarray
    device : mxnet.Context
    label : str
        In front of the progress bar.
    """
    def __init__(self, objective, x, y, device, label='validation'):
        self._objective, self._label = objective, label
        self._objective.hybridize(static_alloc=True, static_shape=True)
        self._samples = len(x)
        self._size = min(_VALIDATION_BATCH, len(x))
        padded = np.resize(np.arange(len(x)), -(-len(x) // self._size) * self._size)
        # bytes, such as the planes of Go, stay bytes until their turn: four times as many fit into memory
        self._x = x[padded] if x.dtype == np.uint8 else nd.array(x[padded], device)
        self._y, self._device = nd.array(y[padded], device), device

    def __call__(self):
        """Means of the statistics of `Objective` over the set."""
        results = []
        for start in tqdm(range(0, len(self._x), self._size), self._label, leave=False, disable=None, delay=1):
            x, y = self._x[start:start + self._size], self._y[start:start + self._size]
            if isinstance(x, np.ndarray):
                x = nd.array(x, self._device, 'float32')
            results.append(self._objective(x, y)[1].copy())
        self._statistics = nd.concat(*results, dim=1)[:, :self._samples]
        return self._statistics.mean(axis=1).asnumpy()

    def filled(self, repeats):
        """Accuracy at the last call if the first `repeats` samples count twice, and how many then count."""
        right = self._statistics[1].asnumpy()
        return np.append(right, right[:repeats]).mean(), len(right) + repeats


def train(run):
    """Train the network of a run by its recipe, and leave in its folder all that makes a run.

    Parameters
    ----------
    run : chapters.kit.trained.run.Run

    Returns
    -------
    (network, history) : (HybridBlock, list of dict)
        The trained network, and a row of figures an epoch.
    """
    experiment, recipe, data, devices, workers = run.experiment, run.recipe, run.data, run.devices, run.workers
    seed_everything(run.seed)
    network = experiment.build()
    initialize(network, recipe, data.train_x[:1], devices)
    require_fit(network, experiment, data)
    if run.init:
        run.load_parameters(network)  # of another run, of either form
    elif experiment.prepare:
        experiment.prepare(network, data)
    workers.first_to_all([parameter.data() for parameter in network.collect_params().values()])
    prepare_transfer(network, recipe)
    objective = Objective(network, experiment.objective, recipe, experiment.top)
    batches = Batches(data, recipe, devices[0], workers)
    optimizer = make_optimizer(recipe, batches.number, network)
    step = make_step(objective, optimizer, data, recipe, devices, workers)
    mine = workers.share(len(data.validation_x))
    small, whole = (operations(network, data.train_x.shape[1:2] + side) for side in (
        (recipe.small_pixels,) * 2 if recipe.small_pixels else data.train_x.shape[2:], data.train_x.shape[2:]))
    evaluate = Evaluation(Objective(network, experiment.objective, top=experiment.top), data.validation_x[mine],
                          data.validation_y[mine], devices[0])
    repeats = max(0, min(run.filled, mine.stop) - mine.start)

    def train_epoch(epoch, random):
        means = one_epoch(step, batches, random, epoch, run.label(epoch))
        average_statistics(network, workers)
        return {'samples': batches.samples, 'operations': batches.samples * (small if epoch < recipe.small_epochs else whole),
                'learning_rate': optimizer.lr_scheduler(max(1, optimizer.num_update)),
                **objective.metrics(means, 'train')}

    def measure():
        found = objective.metrics(workers.mean(evaluate(), mine.stop - mine.start), 'validation')
        if run.filled:
            accuracy, count = evaluate.filled(repeats)
            found['validation_accuracy_filled'] = float(np.ravel(workers.mean(accuracy, count))[0])
        return found

    def arrays():
        return {**model_arrays(network), **step.arrays()}

    def restore(kept, epochs):
        restore_model(kept, network)
        step.restore(kept, epochs * batches.number)

    def stop(history):
        since = len(history) - 1 - history.index(objective.best(history)) if history else 0
        if recipe.patience and since >= recipe.patience:
            return (f'no better {objective.main_metric} for {recipe.patience} epochs: stopped early, back to epoch '
                    f'{len(history) - 1 - since}')
        if recipe.fall_factor < 1:
            optimizer.lr_scheduler.scale = recipe.falls([row['train_loss'] for row in history])
        if optimizer.lr_scheduler(max(1, len(history) * batches.number)) < recipe.least_rate:
            return f'the learning rate fell below {recipe.least_rate:g}: done'
        return ''

    def keep_the_best(history):
        if recipe.patience and objective.best(history) is history[-1]:
            run.save_best(network)
    history = train_epochs(run, recipe.epochs, train_epoch, measure, arrays, restore, stop, keep_the_best)
    if recipe.patience and objective.best(history) is not history[-1]:
        run.load_best(network)
    run.export(network, len(history))
    return network, history


def operations(network, shape):
    """Floating point operations of training on one sample (C, H, W): three times those of a forward pass."""
    return 3 * sum(layer.flops or 0 for layer in layer_table(network, (1, *shape)))


def require_fit(network, experiment, data):
    """Raise a `UserError` unless the network can tell as many classes apart as the data have."""
    if experiment.objective != 'softmax':
        return
    device = next(iter(network.collect_params().values())).list_ctx()[0]
    outputs = network(nd.array(data.train_x[:1], device)).shape
    needed = max(len(data.class_names), int(max(np.max(data.train_y), np.max(data.validation_y))) + 1)
    if len(outputs) != 2 or outputs[1] < needed:
        raise UserError(f'{experiment.section}: {data.name} has {needed} classes, but the network answers with '
                        f'{" x ".join(map(str, outputs[1:]))} numbers, and has no size called `classes` that would follow '
                        'the data')
    if outputs[1] != experiment.sizes.get('classes', outputs[1]):
        raise UserError(f'{experiment.section}: with samples of {" x ".join(map(str, data.train_x.shape[1:]))} the network '
                        f'answers with {outputs[1]} numbers, not {experiment.sizes["classes"]}: it does not end in a mean '
                        'over all places; --set pixels=N gives it images of the size that it was made for')


def one_epoch(step, batches, random, epoch=0, label=''):
    """One pass in a random order; returns the mean of every row of the statistics, over all workers."""
    totals, workers = None, batches.workers
    size, shown = batches.size, time.monotonic()
    bar = tqdm(batches.of_epoch(random, epoch), label, total=batches.number, unit_scale=size, unit=' samples', leave=False,
               disable=None)
    with threadpool_limits(step.threads, 'openmp'):
        for number, batch in enumerate(bar, 1):
            statistics = step(*batch)
            totals = statistics.copy() if totals is None else nd.elemwise_add(totals, statistics, out=totals)
            if not bar.disable and time.monotonic() - shown > 0.5:  # the only wait for the device in an epoch
                shown = time.monotonic()
                bar.set_postfix_str(f'loss {totals[0].mean().asscalar() / number:.4f}', refresh=False)  # else it would stay
    step.synchronize()
    return workers.mean(totals.mean(axis=1).asnumpy() / batches.number, totals.shape[1])
