"""The training loop.

Reads from top to bottom: the graph that is trained (`Objective`), one update of it (`CompiledStep`, or
`GluonStep` for several devices), then the loop over epochs (`train`).
"""
import collections
import math
import random as python_random
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from scipy.linalg import blas
from threadpoolctl import threadpool_limits

from chapters.kit.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.distributed import Workers
from chapters.kit.layer_table import layer_table
from chapters.kit.layers import layers
from chapters.kit.precision import lowered
from chapters.kit.progress import tqdm
from chapters.kit.recipe import Recipe
from chapters.kit.runtime import mx
from data_tools.errors import UserError
from mxnet import autograd, gluon, nd
from mxnet.contrib.amp.loss_scaler import LossScaler

_VALIDATION_BATCH = 250
_WORK_FOR_TWO_THREADS = 5e7  # floating point operations of a forward pass


class Diverged(UserError):
    """Training cannot go on: a loss became NaN or infinite, or a generator has collapsed."""


def require_finite(run, row):
    """Raise `Diverged` if a figure of an epoch is NaN or infinite.

    Parameters
    ----------
    run : Run
    row : dict of str to float
        Of its history.
    """
    if not all(math.isfinite(value) for value in row.values()):
        where, kept = (run.folder, '; the checkpoint of the last good epoch is kept') if row['epoch'] \
            else (run.experiment.section, '')
        raise Diverged(f'{where}: a loss became NaN or infinite in epoch {row["epoch"]}: lower --learning-rate (now '
                       f'{run.recipe.peak_learning_rate:g}), or raise warmup_epochs, or use a smaller start '
                       f'(initializer={run.recipe.initializer}){kept}')


class Objective(gluon.HybridBlock):
    """A network with its loss and its metrics, in one graph.

    Parameters
    ----------
    network : HybridBlock
        (N, ...) -> logits (N, K) for 'softmax', or one value (N, 1) for 'square'.
    kind : str
        'softmax': cross-entropy of softmax(logits) with class numbers y (N,).
        'square': (output - y)^2 / 2, the loss of `LinearRegressionOutput` (2.2.8).
    classes : int
        K.
    recipe : Recipe, optional
        For its `dtype`, `label_smoothing`, `l1`, and `mixup`: then a call gets a mixing weight (1,) as third input.
    top : tuple of int
        As `Experiment` has it.

    Returns (of a call)
    -------------------
    loss : (N,)
    statistics : (2 + len(top), N) loss, whether the answer is right, and whether the truth is among the first so many
        answers; or (1, N) squared error
    """
    def __init__(self, network, kind, classes=0, recipe=Recipe(), top=(), **kwargs):
        super().__init__(**kwargs)
        self.network = network
        self._compute = lowered(network, recipe.dtype)
        self._kind, self._classes, self._recipe, self._top = kind, classes, recipe, tuple(top)

    def hybrid_forward(self, F, x, y, mixing=None):
        if self._kind == 'square':
            error = F.square(F.reshape(self._compute(x), shape=(-1,)) - y)
            return self._with_l1(F, error / 2), F.reshape(error, shape=(1, -1))
        if mixing is not None:  # partners are the batch in reverse: after shuffling that is a random partner
            x = F.broadcast_mul(mixing, x) + F.broadcast_mul(1 - mixing, F.reverse(x, axis=0))
        logits = self._compute(x)
        log_q = F.log_softmax(logits)
        smoothing = self._recipe.label_smoothing
        if smoothing or mixing is not None:
            p = F.one_hot(y, depth=self._classes) * (1 - smoothing) + smoothing / max(1, self._classes)
            if mixing is not None:
                p = F.broadcast_mul(mixing, p) + F.broadcast_mul(1 - mixing, F.reverse(p, axis=0))
            loss = -F.sum(p * log_q, axis=1)
        else:
            loss = -F.pick(log_q, y)
        right = F.broadcast_equal(F.argmax(logits, axis=1), y)
        statistics = [F.BlockGrad(loss), right]
        if self._top:
            better = F.broadcast_greater(logits, F.pick(logits, y, keepdims=True)).sum(axis=1)
            statistics += [better < number for number in self._top]
        return self._with_l1(F, loss), F.stack(*statistics)

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
        """(name, whether more is better) of the figure that early stopping and the best epoch go by."""
        return ('validation_mse', False) if self._kind == 'square' else ('validation_accuracy', True)


class CompiledStep:
    """One update on the CPU, with as little between the operators as MXNet allows.

    It computes what `GluonStep` computes, in two ways faster. The graph is bound once: `autograd` builds the
    backward graph anew at each call, which for a small network takes longer than the arithmetic. And all weights lie
    in one block of memory, all gradients in another, both shared with NumPy: plain SGD is then one call of BLAS,
    where MXNet's own update took half of the time of 3.4.2.

    The network's own parameters are brought up to date by `synchronize`.

    Parameters
    ----------
    objective : Objective, initialized
    optimizer : mxnet.optimizer.Optimizer
        One that treats every number alike (SGD, Adam, ...; not LARS).
    inputs : list of tuple of int
        Shapes of the arrays of a batch.
    device : mxnet.Context
        A CPU.
    workers : Workers
        With whom to share every update.
    """
    def __init__(self, objective, optimizer, inputs, device, workers=Workers()):
        self._parameters = parameters = objective.collect_params()
        dtype = np.dtype(next(iter(parameters.values())).dtype)
        symbols = [mx.sym.var(f'input{number}') for number in range(len(inputs))]
        loss, statistics = objective(*symbols)
        graph = mx.sym.Group([mx.sym.MakeLoss(loss), mx.sym.BlockGrad(statistics)])
        trained = [name for name in graph.list_arguments()
                   if name in parameters and parameters[name].grad_req != 'null']
        trained.sort(key=lambda name: parameters[name].wd_mult == 0)  # what weight decay acts on comes first

        places, self._end, self._decayed = {}, 0, 0
        for name in trained:
            size = int(np.prod(parameters[name].shape))
            places[name] = self._end, self._end + size
            self._end += ceil_div(size, 16) * 16  # the start of a cache line
            if parameters[name].wd_mult:
                self._decayed = self._end
        self._weights, self._gradients, self._momentum = np.zeros((3, self._end), dtype)
        self._workers, self._all_gradients = workers, nd.from_numpy(self._gradients[:], zero_copy=True)
        self._rates = None  # of each number, where they are not all the same (5.3)
        if any(parameters[name].lr_mult != 1 for name in trained):
            self._rates = np.ones(self._end, dtype)
            for name, (start, end) in places.items():
                self._rates[start:end] = parameters[name].lr_mult

        def views(block):
            shared = nd.from_numpy(block[:], zero_copy=True)
            return {name: shared[start:end].reshape(parameters[name].shape)
                    for name, (start, end) in places.items()}
        self._weight_views, self._gradient_views = views(self._weights), views(self._gradients)
        arguments = [symbol.name for symbol in symbols]
        arrays = {name: parameters[name].data() for name in graph.list_arguments() if name not in arguments}
        arrays.update(self._weight_views)

        def bind(shapes):
            self._inputs = [nd.zeros(shape, device, dtype) for shape in shapes]
            self._executor = graph.bind(
                device, {**arrays, **dict(zip(arguments, self._inputs))}, self._gradient_views,
                {name: 'write' if name in places else 'null' for name in graph.list_arguments()},
                {name: parameters[name].data() for name in graph.list_auxiliary_states()})
        self._bind = bind
        bind(inputs)
        self._optimizer = optimizer
        self._plain_sgd = type(optimizer) is mx.optimizer.SGD and not optimizer.clip_gradient
        if self._rates is not None and not self._plain_sgd:
            raise UserError('old_rate goes with optimizer=sgd only')
        self._add = blas.daxpy if dtype == np.float64 else blas.saxpy
        parts = [(0, self._decayed), (self._decayed, self._end)]
        self._updaters = [] if self._plain_sgd else [
            (part, mx.optimizer.get_updater(optimizer)) for part in parts if part[0] < part[1]]
        # Waking a second thread costs some ten microseconds an operator, more than it saves in the small networks of
        # chapters 2 and 3: there one thread is nearly twice as fast as two.
        work = sum(layer.flops or 0 for layer in layer_table(objective.network, (1,) + inputs[0][1:])) * inputs[0][0]
        self.threads = 1 if work < _WORK_FOR_TWO_THREADS else None
        self._load()

    def __call__(self, *batch):
        """Update from a batch of arrays (N, ...); return its statistics, good until the next call."""
        shapes = [given.shape for given in batch]
        if shapes != [bound.shape for bound in self._inputs]:
            self._bind(shapes)
        for given, bound in zip(batch, self._inputs):
            given.copyto(bound)
        self._executor.forward(is_train=True)
        self._executor.backward()
        nd.waitall()  # NumPy goes on where MXNet stops; with MXNet's synchronous engine there is nothing to wait for
        self._workers.sum([self._all_gradients])
        if self._plain_sgd:
            self._update_by_sgd()
        else:
            self._update_by_mxnet()
        return self._executor.outputs[1]

    def _update_by_sgd(self):
        """w <- w + m, m <- momentum m - rate (g / batch size + weight decay w)."""
        optimizer = self._optimizer
        optimizer.num_update += 1
        # Factors in single precision, as MXNet's operators have them whatever the weights are in.
        rate, scale, decay, momentum = (float(np.float32(value)) for value in (
            optimizer.lr_scheduler(optimizer.num_update), optimizer.rescale_grad, optimizer.wd, optimizer.momentum))
        if self._rates is not None:
            self._gradients *= self._rates
        if not momentum and not decay:
            self._add(self._gradients, self._weights, a=-rate * scale)
            return
        self._momentum *= momentum
        if decay and self._decayed:
            decayed = self._weights[:self._decayed]
            if self._rates is not None:
                decayed = decayed * self._rates[:self._decayed]
            self._add(decayed, self._momentum[:self._decayed], a=-rate * decay)
        self._add(self._gradients, self._momentum, a=-rate * scale)
        self._weights += self._momentum

    def _update_by_mxnet(self):
        for index, ((start, end), updater) in enumerate(self._updaters):
            self._optimizer.wd_mult[index] = float(start == 0 and self._decayed > 0)
            updater(index, nd.from_numpy(self._gradients[start:end]), nd.from_numpy(self._weights[start:end]))

    def synchronize(self):
        """Copy weights and gradients to the network's parameters, where everybody else looks for them."""
        for name, view in self._weight_views.items():
            self._parameters[name].set_data(view)
            self._gradient_views[name].copyto(self._parameters[name].grad())

    def _load(self):
        """Copy the weights from the network's parameters."""
        for name, view in self._weight_views.items():
            self._parameters[name].data().copyto(view)
        nd.waitall()

    def arrays(self):
        """{name: array} of the optimizer's state, for a checkpoint."""
        if self._plain_sgd:
            return {'optimizer:momentum': nd.array(self._momentum, dtype=self._momentum.dtype)}
        return {f'optimizer:{name}': array for _, updater in self._updaters
                for name, array in optimizer_arrays(updater).items()}

    def restore(self, arrays, updates):
        """Go on from a checkpoint: the network's parameters as they are now, `arrays`, and the updates done."""
        self._load()
        self._optimizer.begin_num_update = self._optimizer.num_update = updates
        if self._plain_sgd:
            self._momentum[:] = arrays['optimizer:momentum'].asnumpy()
        for index, ((start, end), updater) in enumerate(self._updaters):
            restore_optimizer(arrays, updater, {index: nd.from_numpy(self._weights[start:end])})


class GluonStep:
    """One update with `autograd` and `gluon.Trainer`, the batch cut over any number of devices.

    With `scaled` the loss is multiplied by a large number and the gradients divided by it, so that small gradients
    do not vanish in float16; an update whose gradients overflow is left out, and the number halved.
    """
    threads = None  # as many as there are

    def __init__(self, objective, optimizer, devices, scaled=False, workers=Workers()):
        self._workers = workers
        self._objective, self._devices, self._optimizer = objective, devices, optimizer
        self._scaler = LossScaler() if scaled else None
        objective.hybridize(static_alloc=True, static_shape=True)
        self._trainer = gluon.Trainer(objective.collect_params(), optimizer, update_on_kvstore=False)

    def __call__(self, *batch):
        parts = [gluon.utils.split_and_load(array, self._devices) for array in batch]
        with autograd.record():
            results = [self._objective(*part) for part in zip(*parts)]
            scale = self._scaler.loss_scale if self._scaler else 1
            losses = [loss * scale for loss, _ in results]
        autograd.backward(losses)
        self._trainer.allreduce_grads()
        self._workers.sum([parameter.list_grad()[0] for parameter in self._trainer._params
                           if parameter.grad_req != 'null'])  # several workers have one device each
        if not self._scaler or not self._scaler.has_overflow(self._trainer._params):
            self._trainer.update(scale)  # divides by it; the optimizer itself divides by the batch size
        if len(results) == 1:
            return results[0][1]
        return nd.concat(*(statistics.as_in_context(self._devices[0]) for _, statistics in results), dim=1)

    def synchronize(self):
        """Nothing to do: the network's parameters are what is trained."""

    def arrays(self):
        """As `CompiledStep.arrays`."""
        return {f'optimizer:{name}': array
                for name, array in optimizer_arrays(self._trainer._updaters[0]).items()}

    def restore(self, arrays, updates):
        """As `CompiledStep.restore`."""
        self._optimizer.begin_num_update = self._optimizer.num_update = updates
        parameters = self._trainer._params
        for updater, device in zip(self._trainer._updaters, self._devices):
            restore_optimizer(arrays, updater, {index: parameter.data(device)
                                                for index, parameter in enumerate(parameters)})


class Evaluation:
    """Loss and metrics of a network over a whole data set, on one device.

    Parameters
    ----------
    network, kind, classes
        As for `Objective`.
    x, y : numpy.ndarray
    device : mxnet.Context
    """
    def __init__(self, network, kind, classes, x, y, device, top=()):
        self._objective = Objective(network, kind, classes, top=top)
        self._objective.hybridize(static_alloc=True, static_shape=True)
        self._samples = len(x)
        self._size = min(_VALIDATION_BATCH, len(x))
        padded = np.resize(np.arange(len(x)), ceil_div(len(x), self._size) * self._size)
        # bytes, such as the planes of Go, stay bytes until their turn: four times as many fit into memory
        self._x = x[padded] if x.dtype == np.uint8 else nd.array(x[padded], device)
        self._y, self._device = nd.array(y[padded], device), device

    def __call__(self):
        """Means of the statistics of `Objective` over the set."""
        results = []
        for start in range(0, len(self._x), self._size):
            x, y = self._x[start:start + self._size], self._y[start:start + self._size]
            if isinstance(x, np.ndarray):
                x = nd.array(x, self._device, 'float32')
            results.append(self._objective(x, y)[1].copy())
        return nd.concat(*results, dim=1)[:, :self._samples].mean(axis=1).asnumpy()


def train(run):
    """Train the network of a run by its recipe, and leave in its folder all that DESIGN.md says.

    Goes on from the run's checkpoint if there is one. All random numbers of an epoch come from the seed and the
    epoch's number, so that a run that was killed and resumed ends with the same parameters, bit for bit.

    Parameters
    ----------
    run : chapters.kit.run.Run

    Returns
    -------
    (network, metrics) : (HybridBlock, dict of str to float)
        The trained network and the figures of the last epoch.
    """
    recipe, data, devices, workers = run.recipe, run.data, run.devices, run.workers
    seed_everything(run.seed)
    network = run.experiment.build()
    initialize(network, recipe, data.train_x[:1], devices)
    if recipe.small_pixels:
        check_other_size(network, data.train_x.shape[1:], recipe.small_pixels)
    if run.init:
        run.load_parameters(network)  # of another run, of either form
    workers.first_to_all([parameter.data() for parameter in network.collect_params().values()])
    prepare_transfer(network, recipe)
    objective = Objective(network, run.experiment.objective, len(data.class_names), recipe, run.experiment.top)
    samples = recipe.samples_per_epoch or len(data.train_x)
    batches = ceil_div(samples, recipe.batch_size)
    optimizer = make_optimizer(recipe, batches, network)
    part = workers.share(recipe.batch_size)
    inputs = [(part.stop - part.start,) + data.train_x.shape[1:], (part.stop - part.start,)]
    if recipe.mixup:
        inputs.append((1,))
    if len(devices) == 1 and devices[0].device_type == 'cpu':
        step = CompiledStep(objective, optimizer, inputs, devices[0], workers)
    else:
        step = GluonStep(objective, optimizer, devices, recipe.dtype == 'float16', workers)
    train_x, train_y = data.train_x, data.train_y
    if not data.batch and not data.stream:
        train_x, train_y = nd.array(train_x, devices[0]), nd.array(train_y, devices[0])
    mine = workers.share(len(data.validation_x))
    evaluate = Evaluation(network, run.experiment.objective, len(data.class_names), data.validation_x[mine],
                          data.validation_y[mine], devices[0], run.experiment.top)

    history, best, first_epoch = [], None, 0
    saved = run.checkpoint.load()
    if saved:
        arrays, state = saved
        history, best, first_epoch = state['history'], state['best'], state['epoch']
        restore_model(arrays, network)
        step.restore(arrays, first_epoch * batches)
        run.say(f'going on after epoch {first_epoch - 1}')
    name, more_is_better = objective.main_metric
    for epoch in range(first_epoch, recipe.epochs):
        if recipe.patience and best and epoch - best['epoch'] > recipe.patience:
            run.say(f'no better {name} for {recipe.patience} epochs: stopped early, back to epoch {best["epoch"]}')
            break
        if recipe.fall_factor < 1:
            optimizer.lr_scheduler.scale = recipe.falls([row['train_loss'] for row in history])
        if optimizer.lr_scheduler(max(1, epoch * batches)) < recipe.least_rate:
            run.say(f'the learning rate fell below {recipe.least_rate:g}: done')
            break
        random = seed_everything(run.seed, epoch, workers.rank)
        started = time.perf_counter()
        totals = train_epoch(step, train_x, train_y, recipe, random, run.label(epoch), data.batch, epoch,
                             data.stream, workers)
        average_statistics(network, workers)
        seconds = time.perf_counter() - started
        row = {'epoch': epoch, 'learning_rate': optimizer.lr_scheduler(max(1, optimizer.num_update)),
               'seconds': seconds, 'samples_per_second': samples / seconds}
        row.update(objective.metrics(totals, 'train'))
        row.update(objective.metrics(workers.mean(evaluate(), mine.stop - mine.start), 'validation'))
        require_finite(run, row)
        history.append(row)
        if best is None or (row[name] > best[name]) == more_is_better and row[name] != best[name]:
            best = row
            if recipe.patience:
                run.save_best(network)
        run.checkpoint.save({**model_arrays(network), **step.arrays()},
                            {'epoch': epoch + 1, 'history': history, 'best': best})
        run.write_history(history)
        run.say(run.line(row))
    if recipe.patience and best['epoch'] < history[-1]['epoch']:
        run.load_best(network)
    run.export(network, len(history))
    return network, history


def train_epoch(step, train_x, train_y, recipe, random, label, make_batch=None, epoch=0, stream=None,
                workers=Workers()):
    """One pass in a random order; returns the mean of every row of the statistics, over all workers."""
    size = recipe.batch_size
    batches = ceil_div(recipe.samples_per_epoch or len(train_x), size)
    totals = None
    bar = tqdm(range(0, batches * size, size), label, unit_scale=size, unit=' samples', leave=False, disable=None)
    shown = time.monotonic()
    with threadpool_limits(step.threads, 'openmp'):
        for start, batch in zip(bar, batches_of_epoch(train_x, train_y, recipe, random, epoch, make_batch, stream,
                                                    workers)):
            if epoch < recipe.small_epochs:
                batch[0] = nd.contrib.BilinearResize2D(batch[0], height=recipe.small_pixels, width=recipe.small_pixels)
            if recipe.mixup:
                batch.append(nd.array([random.beta(recipe.mixup, recipe.mixup)], batch[0].context))
            statistics = step(*batch)
            totals = statistics.copy() if totals is None else nd.elemwise_add(totals, statistics, out=totals)
            if not bar.disable and time.monotonic() - shown > 0.5:  # the only wait for the device in an epoch
                shown = time.monotonic()
                bar.set_postfix_str(f'loss {totals[0].mean().asscalar() * size / (start + size):.4f}')
    step.synchronize()
    return workers.mean(totals.mean(axis=1).asnumpy() / batches, totals.shape[1])


def batches_of_epoch(train_x, train_y, recipe, random, epoch=0, make_batch=None, stream=None, workers=Workers()):
    """Yield [x, y] of this worker's part of every batch of an epoch, in a random order.

    The last batch is filled up with the first samples.
    """
    if stream:
        yield from map(list, stream(random, workers))
        return
    samples, size = recipe.samples_per_epoch or len(train_x), recipe.batch_size
    order = random.permutation(samples)
    if recipe.samples_per_epoch:
        order = (order + epoch * samples) % len(train_x)
    order = np.resize(order, (ceil_div(samples, size), size))[:, workers.share(size)]
    size = order.shape[1]
    if make_batch:
        seed = int(random.integers(1 << 62))
        yield from made_ahead(make_batch, order, np.random.default_rng([seed, workers.rank] if workers.rank else seed))
        return
    order = order.reshape(-1)
    index = nd.array(order, train_x.context, dtype='int32')
    x, y = nd.take(train_x, index), nd.take(train_y, index)
    for start in range(0, len(order), size):
        yield [x[start:start + size], y[start:start + size]]


def made_ahead(make_batch, numbers, random, ahead=4):
    """Make batches in a thread of their own, so that the next is there when the network asks for it.

    Parameters
    ----------
    make_batch : callable
        As `TrainingData.batch`.
    numbers : numpy.ndarray of int, (batches, N)
    random : numpy.random.Generator
    ahead : int
        How many wait at most.

    Yields
    ------
    list of NDArray
        x and y of a batch.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = collections.deque()
        for row in numbers:
            waiting.append(thread.submit(make_batch, row, random))
            if len(waiting) > ahead:
                yield [nd.array(array, dtype='float32') for array in waiting.popleft().result()]
        for made in waiting:
            yield [nd.array(array, dtype='float32') for array in made.result()]


def initialize(network, recipe, sample, devices):
    """Give all parameters their first values, shapes being inferred from one sample (1, ...)."""
    network.initialize(make_initializer(recipe.initializer), ctx=devices)
    for device in devices:
        network(nd.array(sample, device))
    network.hybridize(static_alloc=True, static_shape=True)


def check_other_size(network, shape, pixels):
    """Raise a `UserError` unless the network takes images (C, H, W) that are scaled to `pixels` as well."""
    context = next(iter(network.collect_params().values())).list_ctx()[0]
    try:
        network(nd.zeros((1, *shape[:-2], pixels, pixels), context)).wait_to_read()
    except (mx.base.MXNetError, ValueError):
        raise UserError(f'small_pixels={pixels}: the network takes samples of {shape} only, because it does not end in a '
                        'global average; leave small_pixels and small_epochs out') from None


def prepare_transfer(network, recipe):
    """Section 5.3: let some layers keep what they have learnt elsewhere, and the others learn at rates of their own.

    Raises
    ------
    UserError
        `frozen` or `fresh` name no layer.
    """
    for field in ('frozen', 'fresh'):
        for start in getattr(recipe, field).split():
            if not any(name.startswith(start) for name in layers(network)):
                raise UserError(f'{field}={start}: no layer begins so; there are {", ".join(layers(network))}')
    for name, layer in layers(network).items():
        frozen, fresh = (name.startswith(tuple(getattr(recipe, field).split()) or ('-',))
                         for field in ('frozen', 'fresh'))
        for parameter in layer.collect_params().values():
            if frozen:
                parameter.grad_req = 'null'
            elif not fresh:
                parameter.lr_mult = recipe.old_rate
        if frozen and isinstance(layer, gluon.nn.BatchNorm):
            layer._kwargs['use_global_stats'] = True  # neither normalise by the new data nor follow it
    network.hybridize(static_alloc=True, static_shape=True)


def make_initializer(text):
    """The `mxnet.init.Initializer` that a recipe names: 'uniform(0.01)', 'normal(0.01)', 'xavier', 'msra(avg,0)'."""
    name, _, arguments = text.rstrip(')').partition('(')
    arguments = [argument.strip() for argument in arguments.split(',') if argument.strip()]
    try:
        if name == 'uniform':
            return mx.init.Uniform(float(*arguments))
        if name == 'normal':
            return mx.init.Normal(float(*arguments))
        if name == 'xavier' and not arguments:
            return mx.init.Xavier()
        if name == 'msra':
            factor_type, slope = arguments
            return mx.init.MSRAPrelu(factor_type, float(slope))
    except (TypeError, ValueError):
        pass
    raise UserError(f'initializer={text}: not one of uniform(SCALE), normal(SIGMA), xavier, msra(avg,SLOPE)')


def make_optimizer_settings(recipe, updates_per_epoch):
    """The arguments of a recipe's `mxnet.optimizer`, its schedule among them."""
    class Schedule(mx.lr_scheduler.LRScheduler):
        scale = 1.0  # what the rule of 7.2 has made of it

        def __call__(self, num_update):
            return self.scale * recipe.rate(max(1, num_update), updates_per_epoch)
    settings = dict(learning_rate=recipe.peak_learning_rate, wd=recipe.weight_decay,
                    rescale_grad=1 / recipe.batch_size, lr_scheduler=Schedule(recipe.peak_learning_rate))
    if recipe.optimizer in ('sgd', 'nag'):
        settings['momentum'] = recipe.momentum
    elif recipe.optimizer == 'adam' and recipe.momentum:
        settings['beta1'] = recipe.momentum
    return settings


def make_optimizer(recipe, updates_per_epoch, network):
    """The optimizer of a recipe, with its schedule; it divides gradients by the batch size.

    Weight decay acts on weights and on the scale of batch normalisation, not on biases, as under `Module`.
    """
    parameters = network.collect_params()
    for name, parameter in parameters.items():
        if not name.endswith(('_weight', '_gamma')):
            parameter.wd_mult = 0
    try:
        return mx.optimizer.create(recipe.optimizer, param_dict=dict(enumerate(parameters.values())),
                                   **make_optimizer_settings(recipe, updates_per_epoch))
    except ValueError:
        raise UserError(f'optimizer={recipe.optimizer}: MXNet has no such optimizer; try sgd or adam') from None


def average_statistics(network, workers):
    """Let the running statistics of batch normalisation be the mean of what all workers have seen."""
    arrays = [parameter.data() for name, parameter in network.collect_params().items()
              if name.endswith(('running_mean', 'running_var'))]
    workers.sum(arrays)
    for array in arrays if workers.size > 1 else ():
        array /= workers.size


def seed_everything(seed, epoch=0, rank=0):
    """Seed every generator of random numbers from a seed and an epoch; dropout is each worker's own.

    Returns
    -------
    numpy.random.Generator
    """
    mixed = int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
    mx.random.seed((mixed + 7919 * rank) % (1 << 31))
    np.random.seed(mixed)  # some of MXNet's initializers draw from NumPy
    python_random.seed(mixed)
    return np.random.default_rng([seed, epoch])


def ceil_div(a, b):
    """a / b, rounded up."""
    return -(-a // b)
