"""Optimizers of fast recipes that MXNet does not have. Each is an `mxnet.optimizer.Optimizer`: `mx.optimizer.create('muon')`.

They look at one parameter at a time (`by_parameter`), so that the matrices of a network may be treated as matrices.
"""
import mxnet as mx
import numpy as np
from mxnet import nd


class _ByParameter(mx.optimizer.Optimizer):
    by_parameter = True

    def __init__(self, momentum=0.0, **settings):
        super().__init__(**settings)
        self.momentum, self._highest_rate = momentum, self.lr

    def create_state(self, index, weight):
        return nd.zeros(weight.shape, weight.context, weight.dtype)

    def update(self, index, weight, grad, state):
        self._update_count(index)
        rate, decay = self._get_lr(index), self._get_wd(index)
        gradient = grad * self.rescale_grad
        if self.clip_gradient:
            gradient = nd.clip(gradient, -self.clip_gradient, self.clip_gradient)
        state *= self.momentum
        state += gradient
        step = self._step(rate, gradient + self.momentum * state)
        if decay:  # the schedule: the rate's share of its highest value
            schedule = (self.lr_scheduler(self.num_update) if self.lr_scheduler else self.lr) / self._highest_rate
            weight *= 1 - schedule * decay
        weight -= step


@mx.optimizer.register
class NAGW(_ByParameter):
    """Nesterov's momentum with a weight decay that does not hang on the learning rate.

        m <- momentum m + g
        w <- w - rate (g + momentum m) - schedule decay w

    where `schedule` is the rate's share of its highest value. Loshchilov, Hutter, "Decoupled weight decay
    regularization", ICLR 2019, algorithm 1 (https://arxiv.org/abs/1711.05101), with Nesterov's look ahead.

    Parameters
    ----------
    momentum : float
    settings
        As `mxnet.optimizer.Optimizer` takes them.
    """
    def _step(self, rate, looked_ahead):
        return rate * looked_ahead


@mx.optimizer.register
class Muon(_ByParameter):
    """Momentum whose matrix is replaced by the nearest orthogonal one.

        m <- momentum m + g;    u = g + momentum m, as a matrix: filters x all else
        u <- U V' of its singular value decomposition U S V', by five steps of Newton and Schulz
        w <- w - rate sqrt(max(1, rows / columns)) u - schedule decay w

    What has one dimension only, biases and scales, learns as by `NAGW`, at `vector_rate` times the rate. Jordan et al.,
    "Muon: an optimizer for hidden layers in neural networks", 2024 (https://kellerjordan.github.io/posts/muon).

    Parameters
    ----------
    momentum : float
    vector_rate : float
    settings
        As `mxnet.optimizer.Optimizer` takes them.
    """
    def __init__(self, momentum=0.6, vector_rate=1.0, **settings):
        super().__init__(momentum, **settings)
        self.vector_rate = vector_rate

    def _step(self, rate, looked_ahead):
        shape = looked_ahead.shape
        if len(shape) == 1:
            return self.vector_rate * rate * looked_ahead
        rows, columns = shape[0], int(np.prod(shape[1:]))
        return rate * max(1.0, rows / columns) ** 0.5 * orthogonalized(looked_ahead.reshape((rows, columns))).reshape(shape)


def orthogonalized(matrix, steps=5):
    """About U V' of a matrix U S V': its singular values are brought to about 1 (0.7 to 1.2), its directions kept.

    Parameters
    ----------
    matrix : NDArray, (rows, columns)
    steps : int
        Of the iteration x <- a x + (b x x' + c (x x')^2) x, the odd polynomial that lifts small singular values fastest.

    Returns
    -------
    NDArray, (rows, columns)
    """
    wide = matrix.shape[0] > matrix.shape[1]
    x = matrix.T if wide else matrix
    x = x / (nd.norm(x) + 1e-7)
    for _ in range(steps):
        # FullyConnected multiplies by the transpose, at twice the speed of `dot` on a CPU
        square = _times_transpose(x, x)
        x = 3.4445 * x + _times_transpose(-4.7750 * square + 2.0315 * _times_transpose(square, square), x.T)
    return x.T if wide else x


def _times_transpose(a, b):
    return nd.FullyConnected(a, b, num_hidden=b.shape[0], no_bias=True)


@mx.optimizer.register
class Lookahead(mx.optimizer.Optimizer):
    """Another optimizer, whose weights go back every few updates towards where they came from.

    Every `every` updates: slow <- slow + share (w - slow), then w <- slow. Zhang, Lucas, Hinton, Ba, "Lookahead optimizer:
    k steps forward, 1 step back", NeurIPS 2019, algorithm 1 (https://arxiv.org/abs/1907.08610).

    Parameters
    ----------
    inner : mxnet.optimizer.Optimizer
    every : int
        k of the paper.
    share : float
        alpha of the paper, from 0 to 1.
    """
    by_parameter = True

    def __init__(self, inner, every=5, share=0.5):
        self.inner, self.every, self.share = inner, every, share
        super().__init__(learning_rate=inner.lr, lr_scheduler=inner.lr_scheduler)

    @property
    def param_dict(self):
        """{index: parameter}: with the inner optimizer, whose rates and decays hang on it."""
        return self.inner.param_dict

    @param_dict.setter
    def param_dict(self, parameters):
        self.inner.param_dict = parameters or self.inner.param_dict

    def create_state(self, index, weight):
        inner = self.inner.create_state(index, weight)
        return (weight.copy(), *(inner if isinstance(inner, (tuple, list)) else [inner]))

    def update(self, index, weight, grad, state):
        slow, inner = state[0], state[1:] if len(state) > 2 else state[1]
        self.inner.begin_num_update = self.begin_num_update  # of a run that is resumed
        self.inner.update(index, weight, grad, inner)
        self._update_count(index)
        if self._index_update_count[index] % self.every == 0:
            slow += self.share * (weight - slow)
            slow.copyto(weight)

    def _set_current_context(self, device_id):
        super()._set_current_context(device_id)
        self.inner._set_current_context(device_id)
