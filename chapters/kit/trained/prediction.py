"""Prediction with a trained network, as fast as MXNet allows."""
import json
import math
import multiprocessing
import platform
import sys
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path

import mxnet as mx
import numpy as np
from mxnet import nd
from mxnet.base import _LIB, check_call
from mxnet.ndarray import CachedOp

from chapters.kit.runtime import threads
from chapters.kit.training.precision import for_matrix_units

_LONG = 1.0  # seconds: what takes longer is worth starting processes for
_PIPE = 1e9  # bytes a second, about, that reach another process
_SUMS = ('elemwise_add', 'broadcast_add')
WORTH = 1.1  # times as fast must 8 bits be, since they cost a little accuracy
_measured: dict = {}  # times as fast: once for each kind of network


class Predictor:
    """A network compiled for prediction only.

    On a CPU convolution, BN and ReLU become one operator of oneDNN. With `calibration` images it computes in 8-bit
    integers: about twice as fast where the processor has VNNI, slower where it has AVX2 alone (see `in_both`); of the
    accuracy on MNIST 3.4.2 and 4.4 lose at most 0.06 points. Where many inputs
    take long, processes of one thread share their batches (Linux): that gains more than the other threads of an
    operator.

    Parameters
    ----------
    network : HybridBlock, initialized
        Its parameters are taken as they are now. One input, one output.
    batch_size : int
        Samples that go through the network at once.
    device : mxnet.Context, optional
        Default: the network's first.
    calibration : numpy.ndarray of float32, (M, ...), optional
        Some hundred typical inputs: the range of each layer's numbers on them is what 8 bits will span. CPU only.
    workers : int, optional
        Processes for what takes long. Default: as many as MXNet has threads.
    """
    def __init__(self, network, batch_size=250, device=None, calibration=None, workers=None):
        parameters = network.collect_params()
        self._device = device or next(iter(parameters.values())).list_ctx()[0]
        self._batch_size = batch_size
        graph = _kept_apart(network(mx.sym.var('data')), calibration is not None)
        weights = {name: parameters[name].data(self._device) for name in graph.list_arguments() if name in parameters}
        statistics = {name: parameters[name].data(self._device) for name in graph.list_auxiliary_states()}
        if calibration is not None:
            graph, weights = _in_8_bits(graph, weights, statistics, calibration)
        elif self._device.device_type == 'cpu':
            graph = graph.get_backend_symbol('MKLDNN')
        names = graph.list_inputs()
        self._input_index = names.index('data')
        self._arrays = [weights[name] if name in weights else statistics.get(name) for name in names]
        self._graph = graph
        self._compile()
        can_share = self._device.device_type == 'cpu' and sys.platform == 'linux'
        self._workers = (workers or threads()) if can_share else 1
        self._helpers, self._seconds = None, math.inf  # of a batch, at best

    def _compile(self):
        self._compiled = CachedOp(self._graph, [('static_alloc', True), ('static_shape', True)])

    def __call__(self, x):
        """Outputs for any number of inputs.

        Parameters
        ----------
        x : numpy.ndarray of float32, (M, ...)

        Returns
        -------
        numpy.ndarray, (M, ...)
        """
        size = self._batch_size
        x = np.ascontiguousarray(x)
        if self._device.device_type == 'cpu':
            inputs = nd.from_numpy(x[:])  # a view: MXNet locks what it shares, not the caller's
        else:
            inputs = nd.array(x, self._device)
        starts = range(0, len(x), size)
        outputs = [None] * len(starts)
        for number, start in enumerate(starts):
            if self._is_worth_helpers(len(starts) - number, x[:size].nbytes):
                helpers, self._helpers = self._helpers or _Helpers(self, self._workers), None
                outputs[number:] = helpers([x[start:start + size] for start in starts[number:]])
                self._helpers = helpers  # not after Ctrl-C: they would answer the last call's questions
                break
            began = time.perf_counter()
            outputs[number] = self._outputs(inputs[start:start + size])
            if number:  # the first may have been compiled
                self._seconds = min(self._seconds, time.perf_counter() - began)
        return np.concatenate([self._outputs(inputs[start:start + size]) if output is None else output
                               for start, output in zip(starts, outputs)])  # None: its process was killed

    def _is_worth_helpers(self, batches, size):
        return (self._workers > 1 and 10 * size / _PIPE < self._seconds < math.inf
                and batches * self._seconds > _LONG)

    def _outputs(self, batch):
        """Of up to a batch of inputs, an NDArray."""
        count, size = len(batch), self._batch_size
        if count < size:  # filled up, since another shape would be compiled again
            batch = nd.array(np.resize(batch.asnumpy(), (size,) + batch.shape[1:]), self._device)
        self._arrays[self._input_index] = batch
        return self._compiled(*self._arrays).asnumpy()[:count]


@dataclass(frozen=True)
class InBoth:
    """A network compiled in 32 bits and in 8.

    Attributes
    ----------
    in_32_bits, in_8_bits : Predictor
    times : float
        How many times as fast the second is on this machine.
    """
    in_32_bits: Predictor
    in_8_bits: Predictor
    times: float

    @property
    def faster(self):
        """The one to take."""
        return self.in_8_bits if self.times >= WORTH else self.in_32_bits

    def __str__(self):
        bits = 8 if self.times >= WORTH else 32
        return (f'8 bits are {self.times:.2f} times as fast as 32 on this machine, which has {instructions()}: '
                f'{bits} bits are the ones to take')


def in_both(network, batch_size=250, calibration=None, workers=None):
    """Compile a network in 32 bits and in 8, and measure both: once in a process for networks of the same layers.

    Parameters
    ----------
    network, batch_size, calibration, workers
        As for `Predictor`; on a CPU.

    Returns
    -------
    InBoth
    """
    both = [Predictor(network, batch_size, None, numbers, workers) for numbers in (None, calibration)]
    kind = (tuple(tuple(parameter.shape) for parameter in network.collect_params().values()), calibration.shape[1:], batch_size,
            threads())
    if kind not in _measured:
        x = np.resize(calibration, (batch_size,) + calibration.shape[1:])
        best = [math.inf, math.inf]
        for number in range(6):  # by turns: what else the machine does comes and goes
            for which, predict in enumerate(both):
                began = time.perf_counter()
                predict(x)
                if number:  # the first compiles
                    best[which] = min(best[which], time.perf_counter() - began)
        _measured[kind] = best[0] / best[1]
    return InBoth(both[0], both[1], _measured[kind])


def instructions():
    """What the processor multiplies numbers with, as far as 8 bits depend on it: 'VNNI', 'AVX-512', 'AVX2', or its kind."""
    try:
        words = set(Path('/proc/cpuinfo').read_text().split())
    except OSError:
        words = set()
    if words & {'avx512_vnni', 'avx_vnni'}:
        return 'VNNI'
    return 'AVX-512' if 'avx512f' in words else 'AVX2' if 'avx2' in words else platform.machine()


class _Helpers:
    """Processes of one thread that share batches; they end when nobody holds this object any more."""
    def __init__(self, predictor, count):
        context = multiprocessing.get_context('fork')
        self._pipes: list = []
        for _ in range(count):
            ours, theirs = context.Pipe()
            context.Process(target=self._serve, args=(predictor, theirs, [*self._pipes, ours]), daemon=True).start()
            theirs.close()
            self._pipes.append(ours)

    @staticmethod
    def _serve(predictor, pipe, others):
        for other in others:  # of the parent: while a copy is open here, nobody would hear of its end
            other.close()
        check_call(_LIB.MXSetNumOMPThreads(1))
        predictor._compile()  # what was compiled for several threads is of no use
        try:
            while True:
                pipe.send(predictor._outputs(nd.from_numpy(pipe.recv())))
        except (EOFError, OSError, KeyboardInterrupt):
            pass

    def __call__(self, batches):
        """The outputs of each batch, None where the process that had it was killed, for its memory perhaps."""
        outputs: list = [None] * len(batches)
        todo, at = list(enumerate(batches))[::-1], {}

        def give(pipe):
            if todo:
                at[pipe], batch = todo.pop()
                try:
                    pipe.send(batch)
                except OSError:
                    lose(pipe)

        def lose(pipe):
            del at[pipe]
            self._pipes.remove(pipe)
        for pipe in list(self._pipes):
            give(pipe)
        while at:
            ready: list = wait(list(at))
            for pipe in ready:
                try:
                    outputs[at[pipe]] = pipe.recv()
                except (EOFError, OSError):
                    lose(pipe)
                else:
                    del at[pipe]
                    give(pipe)
        return outputs


def _kept_apart(graph, in_8_bits=False):
    """The same graph, with operators that change nothing where oneDNN's graphs in MXNet 1.9.1 would join too much.

    They join a layer with the BN and ReLU after it even where its own output is needed elsewhere too, which then gets
    what BN and ReLU made of it: in a residual network whose first shortcut begins at its first convolution. In 8 bits
    they also join a convolution with the sum after it, and go wrong where BN or ReLU comes before the sum: orderings a,
    c and d of table 5-8. `BlockGrad` keeps both apart; a plain copy would be taken out again.
    """
    found = json.loads(graph.tojson(remove_amp_cast=False))
    old = found['nodes']
    uses = Counter(source for node in old for source, *_ in node['inputs'])
    apart = {number for number, node in enumerate(old)
             if node['op'] in ('Convolution', 'FullyConnected') and uses[number] > 1}
    for node in old if in_8_bits else ():
        added = [source for source, *_ in node['inputs']]
        if node['op'] in _SUMS and not all(old[source]['op'] in ('Convolution', *_SUMS) for source in added):
            apart.update(source for source in added if old[source]['op'] != 'null')
    nodes: list = []
    place: dict = {}

    def moved(inputs):
        return [[place[source], *rest] for source, *rest in inputs]
    for number, node in enumerate(old):
        place[number] = len(nodes)
        nodes.append({**node, 'inputs': moved(node['inputs'])})
        if number in apart:
            nodes.append({'op': 'BlockGrad', 'name': f'{node["name"]}_as_it_is', 'inputs': [[place[number], 0, 0]]})
            place[number] += 1
    found.update(nodes=nodes, heads=moved(found['heads']), arg_nodes=[place[number] for number in found['arg_nodes']],
                 node_row_ptr=list(range(len(nodes) + 1)))
    return mx.sym.load_json(json.dumps(found))


def _in_8_bits(graph, weights, statistics, calibration):
    """(graph, weights) of the same network in 8-bit integers."""
    from mxnet.contrib.quantization import quantize_model
    batches = mx.io.NDArrayIter(calibration, batch_size=min(100, len(calibration)), last_batch_handle='discard')
    graph = for_matrix_units(graph).get_backend_symbol('MKLDNN_QUANTIZE')
    graph, weights, _ = quantize_model(
        graph, weights, statistics, label_names=None, calib_mode='naive',
        calib_data=batches, num_calib_examples=len(calibration), quantized_dtype='auto', quantize_mode='smart',
        logger=None)
    return graph.get_backend_symbol('MKLDNN_QUANTIZE'), weights
