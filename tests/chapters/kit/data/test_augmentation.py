"""Images are changed as the book's loop changes them, and only as a recipe says."""
import numpy as np
import pytest

import chapters
from chapters.kit.data.augmentation import Augmentation
from data_tools.errors import UserError

COUNT = 20000


@pytest.fixture(scope='module')
def changed():
    """Many copies of one image whose pixels are numbered from 1, row by row."""
    image = np.arange(1, 28 * 28 + 1, dtype=np.float32).reshape(1, 1, 28, 28)
    before = image.copy()
    result = Augmentation.parse('mirror shift=2 erase=5')(image, np.zeros(COUNT, int), np.random.default_rng(0))
    assert (image == before).all()
    return result[:, 0]


def test_shift_and_mirror_have_the_distribution_of_the_loop(changed):
    """At (14, 14) and around, find which pixel of the original came there."""
    seen = {}
    for copy in changed:
        values = copy[14, 10:18].astype(int) - 1
        values = values[values >= 0]
        if len(values) < 2:  # erased
            continue
        mirrored = bool((values[1:] < values[:-1]).all())
        place = np.flatnonzero(copy[14, 10:18])[0] + 10
        row, column = divmod(values[0], 28)
        right = place - (27 - column if mirrored else column)
        seen[mirrored, 14 - row, right] = seen.get((mirrored, 14 - row, right), 0) + 1
    assert set(seen) == {(mirrored, down, right) for mirrored in (False, True)
                         for down in range(-2, 3) for right in range(-2, 3)}
    share = {0: 1 / 3, 1: 1 / 6, 2: 1 / 6}  # the amount from 0, 1, 2, then a coin for the side
    chi_square = 0
    for (_, down, right), count in seen.items():
        expected = sum(seen.values()) / 2 * share[abs(down)] * share[abs(right)]
        chi_square += (count - expected) ** 2 / expected
    assert chi_square < 85  # 49 degrees, 0.1%


def test_erased_rectangles_have_sides_from_1_to_5():
    image = np.ones((1, 2, 28, 28), np.float32)
    result = Augmentation.parse('erase=5')(image, np.zeros(COUNT, int), np.random.default_rng(1))
    assert (result[:, 0] == result[:, 1]).all()  # of all channels alike
    gone = result[:, 0] == 0
    height, width = gone.any(axis=2).sum(axis=1), gone.any(axis=1).sum(axis=1)
    assert (gone.sum(axis=(1, 2)) == height * width).all()
    for sides in (height, width):
        counts = np.bincount(sides, minlength=7)
        assert counts[0] == counts[6] == 0
        assert np.abs(counts[1:6] / COUNT - 0.2).max() < 0.015
    assert gone[:, 0, 0].any() and gone[:, 27, 27].any()  # reaches the corners


def test_what_is_shifted_in_is_black():
    image = np.ones((1, 1, 9, 7), np.float32)
    result = Augmentation.parse('shift=3')(image, np.zeros(500, int), np.random.default_rng(2))[:, 0]
    assert {(int(rows), int(columns)) for rows, columns in zip(
        result.any(axis=2).sum(axis=1), result.any(axis=1).sum(axis=1))} == {
        (9 - down, 7 - right) for down in range(4) for right in range(4)}


def test_same_chance_same_images():
    images = np.random.default_rng(0).random((5, 1, 28, 28)).astype(np.float32)
    augment = Augmentation.parse('mirror shift=2')
    one, two = (augment(images, np.array([4, 0, 4]), np.random.default_rng(7)) for _ in range(2))
    assert (one == two).all() and (one[0] != one[2]).any()


def test_alternate_shows_each_image_once_as_it_is_and_once_mirrored():
    images = np.random.default_rng(0).random((1000, 3, 8, 8)).astype(np.float32)
    augment, numbers, random = Augmentation.parse('alternate'), np.arange(1000), np.random.default_rng(1)
    epochs = [augment(images, numbers, random, epoch) for epoch in range(3)]
    assert ((epochs[0] == images) | (epochs[0] == images[..., ::-1])).all(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(epochs[1], epochs[0][..., ::-1])
    np.testing.assert_array_equal(epochs[2], epochs[0])
    first = (epochs[0] == images).all(axis=(1, 2, 3))
    assert 400 < first.sum() < 600
    assert abs(np.corrcoef(first[1:], first[:-1])[0, 1]) < 0.1  # neighbours do not take turns


def test_reflect_is_what_numpy_pads():
    image = np.random.default_rng(0).random((1, 2, 9, 7)).astype(np.float32)
    padded = np.pad(image[0], ((0, 0), (3, 3), (3, 3)), mode='reflect')
    windows = {padded[:, down:down + 9, right:right + 7].tobytes(): (down, right) for down in range(7) for right in range(7)}
    counts = dict.fromkeys(windows.values(), 0)
    for copy in Augmentation.parse('reflect=3')(image, np.zeros(COUNT, int), np.random.default_rng(3)):
        counts[windows[copy.tobytes()]] += 1  # a KeyError: it is none of them
    chi_square = sum((count - COUNT / 49) ** 2 / (COUNT / 49) for count in counts.values())
    assert chi_square < 85  # 48 degrees, 0.1%


def test_cutout_is_a_whole_square_anywhere():
    image = np.ones((1, 2, 10, 12), np.float32)
    result = Augmentation.parse('cutout=4')(image, np.zeros(3000, int), np.random.default_rng(4))
    gone = result[:, 0] == 0
    assert (gone.sum(axis=(1, 2)) == 16).all() and (gone.any(axis=2).sum(axis=1) == 4).all()
    assert gone[:, 0, 0].any() and gone[:, 9, 11].any() and (result[:, 0] == result[:, 1]).all()


def test_mirror_after_reflect_is_mirrored_image_reflected():
    image = np.arange(1, 50, dtype=np.float32).reshape(1, 1, 7, 7)
    both = {one.tobytes() for one in Augmentation.parse('mirror reflect=2')(image, np.zeros(3000, int),
                                                                            np.random.default_rng(0))}
    plain, turned = ({one.tobytes() for one in Augmentation.parse('reflect=2')(
        np.ascontiguousarray(one_way), np.zeros(3000, int), np.random.default_rng(0))}
        for one_way in (image, image[..., ::-1]))
    assert both == plain | turned and len(both) == 50


@pytest.mark.parametrize('text', ['mirror alternate', 'shift=1 reflect=1',
                                  'mirror=perhaps', 'zoom=3', 'shift', 'shift=-1', 'rotate=x', 'crop=0', 'erase=0', 'shear=nan',
                                  'rotate=400', 'crop=100000', 'smallest=2', 'smallest=0.9 largest=0.8'])
def test_nonsense_is_refused(text):
    with pytest.raises(UserError, match='augmentation'):
        Augmentation.parse(text)


@pytest.mark.parametrize('text, most', [('shift=28', 27), ('reflect=14', 13), ('erase=29', 28), ('cutout=29', 28)])
def test_no_image_is_moved_or_covered_beyond_its_side(text, most):
    name = text.partition('=')[0]
    with pytest.raises(UserError, match=f'{text}: images are of 28x28 pixels; give {most} at most'):
        chapters.find('4.4').but(augmentation=text).load('digits')
    data = chapters.find('4.4').but(augmentation=f'{name}={most}').load('digits')
    x, _ = data.batch(np.arange(200), np.random.default_rng(0))
    assert x.shape == (200, 1, 28, 28) and np.isfinite(x).all() and 0 <= x.min() and x.max() <= 1
    with pytest.raises(UserError, match='no set of images'):
        chapters.find('2.2.8').but(augmentation='mirror').load()
