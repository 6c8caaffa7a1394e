"""What is known of a pack when it is made: `PREFIX.json`, which `recordio.read_facts` reads."""
import hashlib
import json
from typing import IO, Any, Dict, List, Optional, Sequence, Tuple
from typing import Counter as CounterOf

from data_tools import version
from data_tools.recordio import parse_image, read_record

# Of a pack whose channels are measured: images, pixels that are decoded, and of each image pixels that count.
SAMPLE, SAMPLE_PIXELS, COUNTED = 1000, 1 << 24, 4096
MOST_LABELS, MOST_SHAPES = 10_000, 1000


def pack_facts(file: IO[bytes], size: int, offsets: Sequence[int], labels: CounterOf[Optional[float]],
               shapes: CounterOf[Tuple[int, int, int]], formats: CounterOf[str],
               objects: Optional[CounterOf[float]] = None) -> Dict[str, Any]:
    """What is known of one pack.

    Parameters
    ----------
    file : binary file
        The `.rec`, of `size` bytes.
    offsets : sequence of int
        Of all records.
    labels : Counter
        First label -> records; records without an image do not count.
    shapes : Counter
        (width, height, channels) -> records.
    formats : Counter
        'jpg', ... -> records.
    objects : Counter, optional
        Of a pack of detection: class -> objects.

    Returns
    -------
    dict
        A part of what `recordio.read_facts` returns.
    """
    facts = {'records': len(offsets), 'bytes': size, 'formats': dict(sorted(formats.items())),
             'labels': sorted([label, count] for label, count in labels.items()) if len(labels) <= MOST_LABELS
             else None,
             'objects': None if objects is None else sorted([label, count] for label, count in objects.items()),
             'shapes': [[*shape, count] for shape, count in sorted(shapes.items(), key=lambda item: (-item[1], item[0]))
                        [:MOST_SHAPES]]}
    return {**facts, **_channels(file, size, offsets, shapes)}


def _channels(file: IO[bytes], size: int, offsets: Sequence[int],
              shapes: CounterOf[Tuple[int, int, int]]) -> Dict[str, Any]:
    """Mean, standard deviation and range of the channels of some images that lie evenly in the pack."""
    from data_tools.image_header import BadImage, shape_of
    from data_tools.images import pixels_of
    count = sum(shapes.values())
    nothing = {'mean': None, 'deviation': None, 'range': None, 'sampled': 0}
    if not count:
        return nothing
    import numpy as np
    mean_pixels = sum(width * height * number for (width, height, _), number in shapes.items()) / count
    wanted = int(max(1, min(SAMPLE, SAMPLE_PIXELS / max(1, mean_pixels), len(offsets))))
    gray = all(channels <= 2 for _, _, channels in shapes)
    sums = squares = np.zeros(1 if gray else 3)
    pixels = sampled = 0
    least, greatest = 255, 0
    for number in range(wanted):
        data = parse_image(read_record(file, offsets[number * len(offsets) // wanted], size)).data
        try:
            width, height, _ = shape_of(data)
            if width * height > SAMPLE_PIXELS and data[:2] != b'\xff\xd8':
                continue  # a single one that would take much memory
            # A JPEG of many megapixels at an eighth of its size, which leaves the mean as it is.
            image = pixels_of(data, gray, small=width * height > SAMPLE_PIXELS)
        except BadImage:  # packed with --no-check, or no image
            continue
        step = max(1, int((image.shape[0] * image.shape[1] / COUNTED) ** 0.5))
        image = image[::step, ::step].reshape(-1, 1 if gray else 3).astype(np.float64)
        sums, squares = sums + image.sum(0), squares + np.square(image).sum(0)
        least, greatest = min(least, int(image.min())), max(greatest, int(image.max()))
        pixels += len(image)
        sampled += 1
    if not sampled:
        return nothing
    mean = sums / pixels
    return {'mean': [round(float(value), 4) for value in mean],
            'deviation': [round(float(value), 4) for value in np.sqrt(np.maximum(squares / pixels - mean ** 2, 0))],
            'range': [least, greatest], 'sampled': sampled}


def note(command: str, source: str, checksums: bytes, classes: Optional[List[str]], packs: Dict[str, Any]) -> bytes:
    """The bytes of `PREFIX.json`.

    Parameters
    ----------
    command, source : str
    checksums : bytes
        CRC-32 and length of each of the source's images, in order.
    classes : list of str or None
    packs : dict
        Name of a pack, without ending -> its `pack_facts`.
    """
    content = {'version': version(), 'command': command, 'source': source,
               'checksum': hashlib.sha256(checksums).hexdigest(), 'classes': classes, 'packs': packs}
    return json.dumps(content, indent=1, ensure_ascii=True).encode() + b'\n'
