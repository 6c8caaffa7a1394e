"""The 8 symmetries of the board, applied to whole batches as one indexed gather (book, 3.2 and 7.2).

Symmetry s is three bits: 4 swaps x and y, then 2 turns the board upside down, then 1 mirrors it left to
right; 0 changes nothing. On moves (x + size * y) it is a table of indices, so planes, records and policies
are all moved by one lookup: no position is ever handled by itself in Python.
"""
import functools
from typing import Tuple, Union

import numpy as np
from numba import njit


@functools.lru_cache(maxsize=None)
def tables(size: int = 19) -> Tuple[np.ndarray, np.ndarray]:
    """The index tables of a board.

    Returns
    -------
    source : int32 (8, size * size)
        After symmetry s, point p shows what was at `source[s, p]`.
    target : int32 (8, size * size + 1)
        A move p becomes `target[s, p]`; the pass, the last entry, stays a pass.
    """
    source = np.empty((8, size * size), np.int32)
    target = np.empty((8, size * size + 1), np.int32)
    for s in range(8):
        points = np.arange(size * size).reshape(size, size)
        if s & 4:
            points = points.T
        if s & 2:
            points = points[::-1]
        if s & 1:
            points = points[:, ::-1]
        source[s] = points.ravel()
        target[s, source[s]] = np.arange(size * size)
        target[s, -1] = size * size
    source.setflags(write=False)
    target.setflags(write=False)
    return source, target


# The symmetry that undoes each: only the two quarter turns undo one another.
INVERSE = np.array([0, 1, 2, 3, 4, 6, 5, 7])


@njit(cache=True, nogil=True)
def _gather(planes: np.ndarray, source: np.ndarray, symmetry: np.ndarray, turned: np.ndarray) -> None:
    for n in range(len(planes)):
        s = symmetry[n]
        for c in range(planes.shape[1]):
            for p in range(planes.shape[2]):
                turned[n, c, p] = planes[n, c, source[s, p]]


def transform_planes(planes: np.ndarray, symmetry: Union[int, np.ndarray]) -> np.ndarray:
    """Turn each position of a batch.

    Parameters
    ----------
    planes : array (N, ..., size, size)
        Of any numbers.
    symmetry : int or integers (N,)
        0 to 7, one for all or one a position.

    Returns
    -------
    a new array like `planes`
    """
    count, area = len(planes), planes.shape[-1] ** 2
    # Writable and contiguous, or numba would compile anew.
    flat = np.require(planes, requirements='CW').reshape(count, planes[0].size // area if count else 0, area)
    symmetry = np.require(np.broadcast_to(np.asarray(symmetry, np.int64), (count,)), requirements='CW')
    if count and (symmetry.min() < 0 or symmetry.max() > 7):
        raise ValueError('a symmetry is a number from 0 to 7')
    turned = np.empty_like(flat)
    _gather(flat, tables(planes.shape[-1])[0], symmetry, turned)
    return turned.reshape(planes.shape)


def transform_moves(moves: np.ndarray, symmetry: Union[int, np.ndarray], size: int = 19) -> np.ndarray:
    """The moves (N,) after the symmetry (int, or integers (N,)); a pass stays a pass."""
    return tables(size)[1][symmetry, moves]


def transform_policy(policy: np.ndarray, symmetry: Union[int, np.ndarray], size: int = 19) -> np.ndarray:
    """Turn probabilities or logits over moves (N, size * size) or, with the pass last, (N, size * size + 1).

    To average a network over symmetries: turn the planes by s, predict, and turn its output by `INVERSE[s]`.
    """
    board = policy[:, :size * size].reshape(-1, size, size)
    turned = transform_planes(board, symmetry).reshape(len(policy), size * size)
    return np.concatenate([turned, policy[:, size * size:]], axis=1)
