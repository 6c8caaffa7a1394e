"""What training needs to know of a pack, and how MXNet reads a part of one."""
import io
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Tuple

from data_tools.atomic import PathLike, atomic_write, write_error
from data_tools.datasets import HOME
from data_tools.errors import UserError
from data_tools.recordio import Damage, open_to_read, parse_image, read_index, read_record

_ONE_CHANNEL = ('1', 'L', 'I', 'I;16', 'I;16B', 'F')  # Pillow's modes


@dataclass(frozen=True)
class PackLook:
    """What the heads of the images in a pack say.

    Attributes
    ----------
    count : int
        Records in the pack.
    smallest, largest : (int, int)
        The least width and the least height, the greatest width and the greatest height, in pixels; the images are
        of one size where both are the same. Photographs count as they stand upright, which is how MXNet reads them.
    gray : bool
        Every image that was looked at has one channel.
    """
    count: int
    smallest: Tuple[int, int]
    largest: Tuple[int, int]
    gray: bool


def looked_at(path: PathLike, most: int = 2000) -> PackLook:
    """Look at the images of a pack without decoding them.

    Parameters
    ----------
    path : path-like
        Of the `.rec`; its `.idx` lies beside it.
    most : int, default 2000
        Look at so many, evenly spaced, if there are more.

    Returns
    -------
    PackLook

    Raises
    ------
    UserError
        The pack or its index cannot be read, or one of the images is none.
    """
    from PIL import Image

    offsets = sorted(read_index(Path(path).with_suffix('.idx'))[1])
    if not offsets:
        raise UserError(f'{path}: holds no records')
    looked = offsets if len(offsets) <= most else [offsets[len(offsets) * n // most] for n in range(most)]
    widths, heights, gray = [], [], True
    with open_to_read(path) as file:
        size = file.seek(0, os.SEEK_END)
        for offset in looked:
            try:
                image = Image.open(io.BytesIO(parse_image(read_record(file, offset, size)).data))
            except (Damage, OSError, Image.DecompressionBombError) as error:
                raise UserError(f'{path}: the record at offset {offset} is no image ({error}); `python -m data_tools '
                                'rec verify` lists all that are not') from None
            width, height = image.size
            if image.format == 'JPEG' and 'exif' in image.info and image.getexif().get(0x0112, 1) >= 5:
                width, height = height, width  # lies on its side; MXNet's reader turns it
            widths.append(width)
            heights.append(height)
            gray = gray and image.mode in _ONE_CHANNEL
    return PackLook(len(offsets), (min(widths), min(heights)), (max(widths), max(heights)), gray)


def first_records(path: PathLike, count: int, parts: int = 1, part: int = 0) -> Dict[str, Any]:
    """How `ImageRecordIter` reads the first `count` records of a pack, or a worker's part of them.

    Packs are shuffled when they are made, so the first records are a sample of all. No record is copied: an index of
    the records wanted goes to `~/.bookcnn/packs`. MXNet takes the last record of an index to reach to the end of the
    file, with all that lies there; so the index goes on behind those wanted with as many entries that nobody reads,
    and MXNet is told to read the first of two halves.

    Parameters
    ----------
    path : path-like
        Of the `.rec`; its `.idx` lies beside it.
    count : int
        0, or more than there are: all.
    parts, part : int
        Workers, and the number of this one, from 0. Parts differ by one record at most.

    Returns
    -------
    dict
        `path_imgidx`, `num_parts` and `part_index` for `mx.io.ImageRecordIter`, to go with `path_imgrec` as it is.

    Raises
    ------
    UserError
        The index cannot be read, or there are fewer records than workers.
    """
    path = Path(path)
    index = path.with_suffix('.idx')
    ids, offsets = read_index(index)
    count = min(count, len(ids)) if count else len(ids)
    if count < parts:
        raise UserError(f'{path}: {count} records are fewer than the {parts} workers')
    start, stop = count * part // parts, count * (part + 1) // parts
    if stop - start == len(ids):
        return {'path_imgidx': str(index), 'num_parts': 1, 'part_index': 0}
    info = path.stat()
    order = sorted(range(len(offsets)), key=offsets.__getitem__)
    end = offsets[order[stop]] if stop < len(order) else info.st_size
    lines = [f'{ids[number]}\t{offsets[number]}\n' for number in order[start:stop]]
    lines += [f'{ids[order[start]]}\t{end}\n'] * len(lines)
    short = HOME.expanduser() / 'packs' / f'{path.stem}-{info.st_size}-{info.st_mtime_ns}-{start}-{stop}.idx'
    if not short.is_file():
        try:
            short.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise write_error(error, short) from None
        with atomic_write(short, text=True) as file:
            file.writelines(lines)
    return {'path_imgidx': str(short), 'num_parts': 2, 'part_index': 0}
