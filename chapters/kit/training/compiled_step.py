"""The engine behind `PlainStep` on a CPU: the same update, with as little between the operators as MXNet allows."""
import mxnet as mx
import numpy as np
from mxnet import nd
from scipy.linalg import blas

from chapters.kit.networks.layer_table import layer_table
from chapters.kit.training.checkpoint import optimizer_arrays, restore_optimizer
from chapters.kit.training.workers import Workers
from data_tools.errors import UserError

_WORK_FOR_TWO_THREADS = 5e7  # floating point operations of a forward pass


class CompiledStep:
    """One update on the CPU, with as little between the operators as MXNet allows.

    It computes what `PlainStep` computes, in two ways faster. The graph is bound once: `autograd` builds the
    backward graph anew at each call, which for a small network takes longer than the arithmetic. And all weights lie
    in one block of memory, all gradients in another, both shared with NumPy: plain SGD is then one call of BLAS,
    where MXNet's own update took half of the time of 3.4.2.

    The network's own parameters are brought up to date by `synchronize`.

    Parameters
    ----------
    objective : Objective, initialized
    optimizer : mxnet.optimizer.Optimizer
        One that treats every number alike (SGD, Adam, ...; not LARS), or has `by_parameter`.
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
            self._end += -(-size // 16) * 16  # the start of a cache line
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
        by_parameter = getattr(optimizer, 'by_parameter', False)
        if self._rates is not None and not self._plain_sgd and not by_parameter:
            raise UserError('old_rate and bias_rate go with optimizer=sgd, nagw or muon only')
        self._add = blas.daxpy if dtype == np.float64 else blas.saxpy
        # What is updated at once: {number: (weights, gradients)}, the number being that of the optimizer's settings.
        self._blocks = {}
        if by_parameter:
            optimizer.param_dict = dict(enumerate(parameters.values()))
            self._blocks = {number: (self._weight_views[name], self._gradient_views[name])
                            for number, name in enumerate(parameters.keys()) if name in places}
        elif not self._plain_sgd:
            optimizer.param_dict, optimizer.wd_mult = {}, {0: 1.0, 1: 0.0}
            parts = [(0, self._decayed), (self._decayed, self._end)]
            self._blocks = {number: tuple(nd.from_numpy(block[start:end], zero_copy=True)
                                          for block in (self._weights, self._gradients))
                            for number, (start, end) in enumerate(parts) if start < end}
        self._updater = mx.optimizer.get_updater(optimizer)
        # Waking a second thread costs some ten microseconds an operator, more than it saves in the small networks of
        # chapters 2 and 3: there one thread is nearly twice as fast as two. Not with pooling: its way back in oneDNN 2.4
        # keeps the memory of as many threads as first ran it, and overwrites what follows when more run it later.
        work = sum(layer.flops or 0 for layer in layer_table(objective.network, (1,) + inputs[0][1:])) * inputs[0][0]
        pooled = '"op": "Pooling"' in graph.tojson()
        self.threads = 1 if work < _WORK_FOR_TWO_THREADS and not pooled else None
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
        for number, (weights, gradients) in self._blocks.items():
            self._updater(number, gradients, weights)

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
        return {f'optimizer:{name}': array for name, array in optimizer_arrays(self._updater).items()}

    def restore(self, arrays, updates):
        """Go on from a checkpoint: the network's parameters as they are now, `arrays`, and the updates done."""
        self._load()
        self._optimizer.begin_num_update = self._optimizer.num_update = updates
        if self._plain_sgd:
            self._momentum[:] = arrays['optimizer:momentum'].asnumpy()
        else:
            restore_optimizer(arrays, self._updater, {number: weights for number, (weights, _) in self._blocks.items()})
