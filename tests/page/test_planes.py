"""The planes that the page computes are Python's, on positions of games and in every kind of ladder."""
import base64

import numpy as np
import pytest

from data_tools.go.board import KO, RECENT, TO_MOVE, Position, clear, set_up, stones, to_cell, to_move
from data_tools.go.features import is_own_eye, planes_of

CODE = """async ([positions, count]) => {
    const {position, planesOf} = await import('/page.js');
    const planes = positions.map((one) => Uint8Array.from(planesOf(position(...one), count)));
    const all = new Uint8Array(planes.length * planes[0].length);
    planes.forEach((one, index) => all.set(one, index * one.length));
    let text = '';
    for (let start = 0; start < all.length; start += 8192) text += String.fromCharCode(...all.subarray(start, start +
    8192)); return btoa(text);
}"""


def random_states(number, size):
    """Positions of games that play anywhere but in their own eyes: captures, kos, ataris and ladders without end."""
    random = np.random.default_rng(size)
    states = []
    while len(states) < number:
        position = Position(size, superko=True)
        for _ in range(3 * size * size):
            moves = random.permutation(np.flatnonzero(position.legal_moves()[:-1]))
            if position.last_move is not None and random.random() < 0.7:  # near the last one first: fights
                away = np.abs(moves % size - position.last_move % size) + np.abs(moves // size - position.last_move // size)
                moves = moves[np.argsort(away > 2, kind='stable')]
            move = next((int(move) for move in moves
                         if not is_own_eye(position.state, to_cell(move, size), position.to_play)), None)
            if move is None:
                break
            position.play(move)
            if random.random() < 0.1:
                states.append(position.state.copy())
    return np.array(states[:number])


def as_packed(states, size):
    """The same positions, their chains made anew as in packed positions; only the last move is known of those before."""
    fresh, board = np.empty_like(states), np.empty(size * size, np.uint8)
    cells = np.array([to_cell(move, size) for move in range(size * size)])
    for state, packed in zip(states, fresh):
        stones(state, board)
        clear(packed, size)
        assert set_up(packed, cells, board.astype(np.int64))
        packed[[TO_MOVE, KO, RECENT]] = state[[TO_MOVE, KO, RECENT]]
    return fresh


def asked(states, size):
    """The arguments of the page's `position` for each state."""
    found, board = [], np.empty(size * size, np.uint8)
    for state in states:
        stones(state, board)
        ko, last = (int(to_move(state[index], size)) if state[index] else -1 for index in (KO, RECENT))
        found.append([size, board.tolist(), int(state[TO_MOVE]), ko, last])
    return found


def in_the_page(page, states, size, count):
    text = page.evaluate(CODE, [asked(states, size), count])
    return np.frombuffer(base64.b64decode(text), np.uint8).reshape(len(states), count, size, size)


@pytest.mark.parametrize('size, number', [(19, 900), (9, 80), (5, 20)])
def test_planes_are_those_of_python(open_page, size, number):
    states = as_packed(random_states(number, size), size)
    page = open_page(network=1)
    for count in (8, 36, 48):
        expected = planes_of(states, count)
        assert (in_the_page(page, states, size, count) == expected).all()
    if size == 19:  # and the hard planes have been seen at work
        assert (expected[:, [44, 45]].sum(axis=(0, 2, 3)) > 100).all()
        assert (states[:, KO] > 0).any()
