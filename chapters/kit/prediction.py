"""Prediction with a trained network, as fast as MXNet allows."""
import numpy as np

from chapters.kit.runtime import mx
from mxnet import nd


class Predictor:
    """A network bound for prediction only: convolution, BN and ReLU become one operator where MXNet can fuse them.

    Parameters
    ----------
    network : HybridBlock, initialized
        Its parameters are taken as they are now.
    shape : tuple of int
        Of a batch, (N, ...).
    device : mxnet.Context, optional
        Default: the network's first.
    """
    def __init__(self, network, shape, device=None):
        parameters = network.collect_params()
        device = device or next(iter(parameters.values())).list_ctx()[0]
        graph = network(mx.sym.var('data'))
        self._input = nd.zeros(shape, device)
        arrays = {name: parameters[name].data(device) for name in graph.list_arguments() if name in parameters}
        statistics = {name: parameters[name].data(device) for name in graph.list_auxiliary_states()}
        self._executor = graph.bind(device, {'data': self._input, **arrays}, grad_req='null', aux_states=statistics)

    def __call__(self, x):
        """Outputs for any number of inputs.

        Parameters
        ----------
        x : numpy.ndarray of float32, (M, ...)

        Returns
        -------
        numpy.ndarray, (M, ...)
        """
        size = self._input.shape[0]
        outputs = []
        for start in range(0, len(x), size):
            part = x[start:start + size]
            if len(part) < size:
                part = np.concatenate([part, np.zeros((size - len(part),) + part.shape[1:], part.dtype)])
            self._input[:] = part
            outputs.append(self._executor.forward(is_train=False)[0].asnumpy())
        return np.concatenate(outputs)[:len(x)]
