"""Labels of detection: `header width, object width, (further header), class, left, top, right, bottom, ..., class,
...`.

Edges are parts of width and height, 0 to 1, as MXNet's `ImageDetIter` and `ImageDetRecordIter` read them; some tools
write pixels. Source: MXNet's documentation of `mx.image.ImageDetIter`.
"""
from typing import NamedTuple, Optional, Tuple


class Objects(NamedTuple):
    """The labels of a picture taken apart."""
    header: Tuple[float, ...]
    objects: Tuple[Tuple[float, ...], ...]  # (class, left, top, right, bottom, ...) each

    @property
    def in_pixels(self) -> bool:
        """Whether the edges are pixels and not parts of the picture."""
        return any(edge > 1.5 for one in self.objects for edge in one[1:5])

    def labels(self) -> Tuple[float, ...]:
        return self.header + tuple(value for one in self.objects for value in one)


def objects_of(labels: Tuple[float, ...]) -> Optional[Objects]:
    """The `Objects` of a tuple of labels; None if they are not those of detection."""
    if len(labels) < 2:
        return None
    head, width = labels[:2]
    if head != head // 1 or width != width // 1 or head < 2 or width < 5 or head > len(labels) \
            or (len(labels) - head) % width:
        return None
    head, width = int(head), int(width)
    return Objects(tuple(labels[:head]), tuple(tuple(labels[at:at + width]) for at in range(head, len(labels), width)))


def wrong_box(labels: Tuple[float, ...], classes: int = 0) -> Optional[str]:
    """What is wrong with the labels of a picture.

    Parameters
    ----------
    labels : tuple of float
    classes : int
        How many there are; 0: not known.

    Returns
    -------
    str or None
        '': nothing. None: they are not labels of detection.
    """
    found = objects_of(labels)
    if found is None:
        return None
    for one in found.objects:
        box = f'the box {" ".join(f"{edge:g}" for edge in one[1:5])}'
        if one[0] < 0 or one[0] != one[0] // 1 or classes and one[0] >= classes:
            return f'{box} is of class {one[0]:g}' + (f', of which there are {classes}' if classes else '')
        if one[1] >= one[3] or one[2] >= one[4]:
            return f'{box} has no area'
        if min(one[1:5]) < 0 or not found.in_pixels and max(one[1:5]) > 1:
            return f'{box} reaches outside of the picture'
    return '' if found.objects else 'no object in it, which ImageDetIter does not read'


def moved(labels: Tuple[float, ...], before: Tuple[int, int], cut: Tuple[int, int, int, int],
          after: Tuple[int, int]) -> Tuple[float, ...]:
    """Labels whose picture was cut and resized.

    Parameters
    ----------
    labels : tuple of float
        Any; others than those of detection stay as they are.
    before : (int, int)
        Width and height of the picture in pixels.
    cut : (int, int, int, int)
        Left, top, width and height of what was kept of it.
    after : (int, int)
        Width and height that this has now.

    Returns
    -------
    tuple of float
        Boxes are clipped at the edges; those that lie outside are gone.

    Raises
    ------
    ValueError
        No object is left.
    """
    found = objects_of(labels)
    if found is None or not found.objects or cut == (0, 0) + tuple(before) and not found.in_pixels:
        return labels
    left, top, width, height = cut
    objects = []
    for one in found.objects:
        edges = []
        for number, edge in enumerate(one[1:5]):
            start, size, whole, new = ((left, width, before[0], after[0]),
                                       (top, height, before[1], after[1]))[number % 2]
            place = ((edge if found.in_pixels else edge * whole) - start) / size
            edges.append(min(max(place, 0.0), 1.0) * (new if found.in_pixels else 1))
        if edges[0] < edges[2] and edges[1] < edges[3]:
            objects.append(one[:1] + tuple(edges) + one[5:])
    if not objects:
        raise ValueError('all its objects lie outside of what --center-crop keeps')
    return found._replace(objects=tuple(objects)).labels()
