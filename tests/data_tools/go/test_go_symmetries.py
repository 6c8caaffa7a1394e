"""The 8 symmetries of whole batches, against flips and turns of single positions."""
import numpy as np
import pytest

from data_tools.go import symmetries
from data_tools.go.symmetries import INVERSE, transform_moves, transform_planes, transform_policy


def one(plane, s):
    """Symmetry s of one (size, size) array, as the definition says it."""
    plane = plane.T if s & 4 else plane
    plane = plane[::-1] if s & 2 else plane
    return plane[:, ::-1] if s & 1 else plane


@pytest.mark.parametrize('size', [2, 9, 19])
def test_planes_moves_and_policies_turn_together(size):
    random = np.random.RandomState(size)
    planes = random.rand(50, 3, size, size)
    s = random.randint(8, size=50)
    moves = random.randint(size * size, size=50)
    turned = transform_planes(planes, s)
    for n in range(50):
        for plane in range(3):
            assert (turned[n, plane] == one(planes[n, plane], s[n])).all()
    flags = np.zeros((50, size * size + 1))
    flags[np.arange(50), moves] = 1
    flags[:, -1] = 0.25
    policy = transform_policy(flags, s, size)
    assert (policy[:, :-1].argmax(1) == transform_moves(moves, s, size)).all()
    assert (policy[:, -1] == 0.25).all()
    assert (transform_policy(flags[:, :-1], s, size) == policy[:, :-1]).all()
    assert (transform_planes(planes, 5) == transform_planes(planes, np.full(50, 5))).all()
    assert (transform_moves(np.full(8, size * size), np.arange(8), size) == size * size).all()


def test_they_are_the_eight_and_inverse_undoes_each():
    plane = np.arange(9).reshape(1, 1, 3, 3)
    everything = {transform_planes(plane, s).tobytes() for s in range(8)}
    turns = {np.rot90(flip, k).tobytes() for flip in (plane[0, 0], plane[0, 0].T) for k in range(4)}
    assert everything == turns and len(turns) == 8
    for s in range(8):
        assert (transform_planes(transform_planes(plane, s), INVERSE[s]) == plane).all()
        moves = np.arange(9)
        assert (transform_moves(transform_moves(moves, s, 3), INVERSE[s], 3) == moves).all()
    source, target = symmetries.tables(3)
    assert source.shape == (8, 9) and target.shape == (8, 10)
