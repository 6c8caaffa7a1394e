"""Batches out of the samples of an experiment, in a new random order every epoch."""
import collections
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
from mxnet import nd

from chapters.kit.training.workers import Workers


class Batches:
    """The batches of every epoch, in a random order of each epoch's own.

    Parameters
    ----------
    data : TrainingData
    recipe : Recipe
    device : mxnet.Context
        Where data that fit into memory are kept.
    workers : Workers
        Each gets its part of every batch.
    """
    def __init__(self, data, recipe, device, workers=Workers()):
        self._data, self._recipe, self.workers = data, recipe, workers
        self.size = recipe.batch_size
        self.samples = recipe.samples_per_epoch or len(data.train_x)
        self.number = -(-self.samples // self.size)
        if not data.batch and not data.stream:
            self._x, self._y = nd.array(data.train_x, device), nd.array(data.train_y, device)

    def of_epoch(self, random, epoch=0):
        """Yield [x, y] of a batch or, with mixup, [x, y, mixing weight (1,)].

        Parameters
        ----------
        random : numpy.random.Generator
        epoch : int
            With `samples_per_epoch`, an epoch goes on where the one before ended.
        """
        recipe = self._recipe
        for x, y in self._made(random, epoch):
            if epoch < recipe.small_epochs:
                x = nd.contrib.BilinearResize2D(x, height=recipe.small_pixels, width=recipe.small_pixels)
            if recipe.mixup:
                yield [x, y, nd.array([random.beta(recipe.mixup, recipe.mixup)], x.context)]
            else:
                yield [x, y]

    def _made(self, random, epoch):
        """Pairs (x, y); the last batch is filled up with the first samples."""
        data, workers = self._data, self.workers
        if data.stream:
            yield from data.stream(random, workers)
            return
        order = random.permutation(self.samples)
        if self._recipe.samples_per_epoch:
            order = (order + epoch * self.samples) % len(data.train_x)
        order = np.resize(order, (self.number, self.size))[:, workers.share(self.size)]
        if data.batch:
            seed = int(random.integers(1 << 62))
            yield from made_ahead(partial(data.batch, epoch=epoch), order,
                                  np.random.default_rng([seed, workers.rank] if workers.rank else seed))
            return
        index = nd.array(order.reshape(-1), self._x.context, dtype='int32')
        x, y = nd.take(self._x, index), nd.take(self._y, index)
        for start in range(0, order.size, order.shape[1]):
            yield x[start:start + order.shape[1]], y[start:start + order.shape[1]]


def made_ahead(make_batch, numbers, random, ahead=4):
    """Make batches in a thread of their own, so that the next is there when the network asks for it.

    Parameters
    ----------
    make_batch : callable
        `make_batch(numbers, random) -> (x, y)`.
    numbers : numpy.ndarray of int, (batches, N)
    random : numpy.random.Generator
    ahead : int
        How many wait at most.

    Yields
    ------
    (NDArray, NDArray)
        x and y of a batch.
    """
    with ThreadPoolExecutor(1) as thread:
        waiting = collections.deque()
        for row in numbers:
            waiting.append(thread.submit(make_batch, row, random))
            if len(waiting) > ahead:
                yield tuple(nd.array(array, dtype='float32') for array in waiting.popleft().result())
        for made in waiting:
            yield tuple(nd.array(array, dtype='float32') for array in made.result())
