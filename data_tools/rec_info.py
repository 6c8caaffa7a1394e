"""`rec info`: what is in a pack, as text, as a sheet of pictures, as a page."""
import base64
import hashlib
import heapq
import html
import io
import os
from array import array
from collections import Counter
from typing import Any, Callable, Dict, Iterator, List, Optional, Set, Tuple
from typing import Counter as CounterOf

from data_tools.atomic import PathLike
from data_tools.boxes import objects_of
from data_tools.errors import UserError
from data_tools.image_header import shape_of
from data_tools.recordio import Image, Labels, beside, format_of, read_classes, read_facts

MOST_CLASSES, EXTREMES = 100, 8
_COLORS = ('#e6194b', '#3cb44b', '#4363d8', '#f58231', '#911eb4', '#008080', '#9a6324', '#800000')


class Survey:
    """All that is told of a pack, gathered record after record.

    Parameters
    ----------
    columns : int
        Pictures of each class to keep.
    page : bool
        Keep also what only the page shows: duplicates, the smallest and the largest.
    """
    def __init__(self, columns: int = 0, page: bool = False) -> None:
        self.columns, self.page = columns, page
        self.labels: CounterOf[Optional[float]] = Counter()  # the first of each record
        self.formats: CounterOf[str] = Counter()
        self.shapes: CounterOf[Tuple[int, int]] = Counter()
        self.objects: CounterOf[float] = Counter()  # by their class
        self.boxes: CounterOf[int] = Counter()  # pictures with so many
        self.lengths, self.several, self.metadata, self.detection = array('Q'), 0, 0, 0
        self.rows: Dict[Optional[float], List[Tuple[bytes, Labels]]] = {}  # label: [(data, labels)], the first few
        self.digests: Dict[bytes, Tuple[int, Labels]] = {}  # digest: (id of the first, its labels)
        self.equal: List[Tuple[int, int, Labels, Labels]] = []  # of equal pictures (id, id of the first, their labels)
        self.smallest: List[Tuple[int, int, bytes, Labels]] = []  # heaps of (+-bytes, id, data, labels)
        self.largest: List[Tuple[int, int, bytes, Labels]] = []

    def add(self, image: Image) -> None:
        if not image.data:
            self.metadata += 1
            return
        found = objects_of(image.labels)
        self.detection += found is not None
        label = image.labels[0] if image.labels and found is None else None
        self.labels[label] += 1
        self.several = max(self.several, len(image.labels))
        self.formats[format_of(image.data)] += 1
        self.lengths.append(len(image.data))
        self.shapes[shape_of(image.data)[:2]] += 1
        if found is not None:
            self.boxes[len(found.objects)] += 1
            self.objects.update(one[0] for one in found.objects)
        if self.columns:
            # A picture of detection stands in the row of each class that it shows.
            rows: Set[Optional[float]] = {label}
            if found is not None and found.objects:
                rows = {one[0] for one in found.objects}
            for row in rows:
                if row in self.rows or len(self.rows) < MOST_CLASSES:
                    pictures = self.rows.setdefault(row, [])
                    if len(pictures) < self.columns:
                        pictures.append((image.data, image.labels))
        if self.page:
            digest = hashlib.blake2b(image.data, digest_size=12).digest()
            first = self.digests.setdefault(digest, (image.id, image.labels))
            if first[0] != image.id:
                self.equal.append((image.id, first[0], image.labels, first[1]))
            for heap, sign in ((self.smallest, -1), (self.largest, 1)):
                entry = sign * len(image.data), image.id, image.data, image.labels
                if len(heap) < EXTREMES:
                    heapq.heappush(heap, entry)
                elif entry[0] > heap[0][0]:
                    heapq.heapreplace(heap, entry)

    def lines(self, path: PathLike) -> Iterator[str]:
        """What to print."""
        import numpy as np
        names = class_names(path)
        present = [ending for ending in ('.idx', '.lst', '.crc') if os.path.exists(beside(path, ending))]
        total = len(self.lengths) + self.metadata
        if not total:
            raise UserError(f'{path}: holds no records')
        yield f'records  {total:,} in {os.path.getsize(path):,} bytes; beside it: {" ".join(present) or "nothing"}'
        if self.metadata:
            yield (f'         {self.metadata:,} without an image: metadata of the program that wrote the pack; the '
                   f'lines below leave them out')
        if not self.lengths:
            return
        lengths = np.frombuffer(self.lengths, np.uint64)
        yield 'formats  ' + ', '.join(f'{name} {count:,}' for name, count in self.formats.most_common())
        yield (f'bytes    {int(lengths.min()):,} to {int(lengths.max()):,}, median {int(np.median(lengths)):,} an '
               f'image')
        known = {shape: count for shape, count in self.shapes.items() if shape != (0, 0)}
        if known:
            (width, height), count = Counter(known).most_common(1)[0]
            sides = [f'{min(side)} to {max(side)}' if min(side) != max(side) else str(side[0]) for side in zip(*known)]
            yield f'pixels   {sides[0]} wide, {sides[1]} high; most often {width} x {height} ({count:,})'
        facts = read_facts(path)
        if facts is not None:
            if facts['mean']:
                yield (f'channels mean {" ".join(f"{value:.1f}" for value in facts["mean"])}, deviation '
                       f'{" ".join(f"{value:.1f}" for value in facts["deviation"])}'
                       + (', from {} to {}'.format(*facts['range']) if facts.get('range') else '')
                       + f' (of {facts["sampled"]:,} images)')
            if facts['command']:
                yield f'made by  {facts["command"]} (version {facts["version"]})'
        if self.detection:
            counts = np.repeat(list(self.boxes), list(self.boxes.values()))
            yield (f'boxes    {sum(self.objects.values()):,} in {self.detection:,} pictures: {counts.min()} to '
                   f'{counts.max()} a picture, median {np.median(counts):g}; by class:')
            yield from _table(self.objects, names)
        if self.detection < len(self.lengths):
            labels = Counter(self.labels)
            if self.detection:
                del labels[None]
            yield (f'labels   {len(labels):,}'
                   + (f', up to {self.several} a record; by the first:' if self.several > 1 else ''))
            yield from _table(labels, names)


def _table(counts: CounterOf[Any], names: Callable[[Optional[float]], str], most: int = 1000) -> Iterator[str]:
    for label in sorted(counts, key=lambda label: (label is None, label != label, label or 0))[:most]:
        yield f'  {names(label):24} {counts[label]:,}'
    if len(counts) > most:
        yield f'  ... and {len(counts) - most:,} more'


def class_names(path: PathLike) -> Callable[[Optional[float]], str]:
    """A function from a label to what to show for it."""
    classes = read_classes(path) or []

    def name(label: Optional[float]) -> str:
        if label is None:
            return 'none'
        text = f'{label:g}'
        return f'{text} {classes[int(label)]}' if 0 <= label < len(classes) and label == int(label) else text
    return name


# ---- pictures

def thumbnail(data: bytes, labels: Labels, edge: int) -> Any:
    """A picture of `edge` x `edge` pixels with its boxes, as Pillow's image; None where it does not decode."""
    from PIL import Image, ImageDraw, ImageOps
    try:
        image = ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert('RGB')
    except Exception:  # not an image, or damaged; `verify` is the command that says what is wrong
        return None
    scale = edge / max(image.size)
    size = image.size
    picture = ImageOps.pad(image, (edge, edge), Image.NEAREST if scale > 1 else Image.LANCZOS, color='white')
    found = objects_of(labels)
    if found is not None:
        draw = ImageDraw.Draw(picture)
        corner = [(edge - side * scale) / 2 for side in size]
        for one in found.objects:
            box = [corner[number % 2] + value * scale * (1 if found.in_pixels else size[number % 2])
                   for number, value in enumerate(one[1:5])]
            # A damaged label may say anything.
            if box[0] <= box[2] and box[1] <= box[3] and max(map(abs, box)) < 1e6:
                draw.rectangle(box, outline=_COLORS[int(min(abs(one[0]), 1e9)) % len(_COLORS)] if one[0] == one[0]
                               else 'black',
                               width=max(1, edge // 64))
    return picture


def save_sheet(survey: Survey, path: PathLike, names: Callable[[Optional[float]], str]) -> None:
    """The first few pictures of each class, with their boxes, as a PNG."""
    from PIL import Image, ImageDraw

    from data_tools.atomic import atomic_path
    margin, edge = 160, 64
    sheet = Image.new('RGB', (margin + survey.columns * (edge + 4), 4 + len(survey.rows) * (edge + 4)), 'white')
    draw = ImageDraw.Draw(sheet)
    for y, label in enumerate(sorted(survey.rows, key=lambda label: (label is None, label or 0))):
        top = 4 + y * (edge + 4)
        draw.text((6, top + edge // 2 - 6), names(label).encode('latin-1', 'replace').decode('latin-1'), 'black')
        for x, (data, labels) in enumerate(survey.rows[label]):
            picture = thumbnail(data, labels, edge)
            if picture is not None:
                sheet.paste(picture, (margin + x * (edge + 4), top))
    with atomic_path(path) as beside_it:
        sheet.save(beside_it, 'PNG')


# ---- the page

def save_page(survey: Survey, pack: PathLike, path: PathLike) -> None:
    """A page that needs no network: what `lines` says, a row of pictures a class, histograms, duplicates, extremes."""
    from data_tools.atomic import atomic_write
    names = class_names(pack)
    counts: CounterOf[Any] = survey.objects if survey.detection else survey.labels
    pieces = [f'<pre>{html.escape(chr(10).join(survey.lines(pack)))}</pre>']
    pixels = Counter({shape: count for shape, count in survey.shapes.items() if shape != (0, 0)})
    pieces.append('<h2>Sizes</h2><div class=charts>'
                  + _histogram('shorter edge, pixels', pixels, min)
                  + _histogram('longer edge, pixels', pixels, max)
                  + _histogram('width : height', pixels, lambda shape: round(shape[0] / max(1, shape[1]), 2))
                  + _histogram('classes of so many records', Counter(counts.values()), lambda count: count) + '</div>')
    pieces.append('<h2>Classes</h2>')
    for label in sorted(survey.rows, key=lambda label: (label is None, label or 0)):
        pieces.append(f'<h3>{html.escape(names(label))} <small>{counts[label]:,}</small></h3>'
                      f'<div>{"".join(_picture(data, labels) for data, labels in survey.rows[label])}</div>')
    if len(counts) > len(survey.rows):
        pieces.append(f'<p>... and {len(counts) - len(survey.rows):,} more classes</p>')
    for title, heap in (('Smallest', survey.smallest), ('Largest', survey.largest)):
        pieces.append(f'<h2>{title}, by bytes</h2><div>' + ''.join(
            _picture(data, labels, f'id {index}: {abs(size):,} bytes') for size, index, data, labels in sorted(
                heap, key=lambda entry: -entry[0])) + '</div>')
    other = sum(mine != first for _, _, mine, first in survey.equal)
    pieces.append(f'<h2>Duplicates</h2><p>{len(survey.equal):,} records have the bytes of an earlier one, {other:,} of '
                  f'them under other labels.</p><ul>' + ''.join(
                      f'<li>id {index} as id {first}' + (f': labels {_text(mine)} and {_text(theirs)}'
                                                         if mine != theirs else '') + '</li>'
                      for index, first, mine, theirs in sorted(survey.equal, key=lambda one: one[2] == one[3])[:200])
                  + '</ul>')
    name = html.escape(os.path.basename(pack))
    page = (f'<!doctype html><html><head><meta charset="utf-8"><title>{name}</title><style>'
            'body{font:15px/1.5 sans-serif;margin:2em auto;max-width:1100px;padding:0 1em;color:#222}'
            'pre{background:#f4f4f4;padding:1em;overflow:auto}img{margin:2px;image-rendering:auto}'
            'small{color:#777;font-weight:normal}.charts{display:flex;flex-wrap:wrap;gap:1.5em}figure{margin:0}'
            f'</style></head><body><h1>{name}</h1>{"".join(pieces)}</body></html>')
    with atomic_write(path) as file:
        file.write(page.encode('utf-8', 'replace'))


def _text(labels: Labels) -> str:
    return html.escape(' '.join(f'{label:g}' for label in labels))


def _picture(data: bytes, labels: Labels, title: str = '', edge: int = 96) -> str:
    picture = thumbnail(data, labels, edge)
    if picture is None:
        return '<span>does not decode</span>'
    file = io.BytesIO()
    picture.save(file, 'JPEG', quality=85)
    return (f'<img width={edge} height={edge} title="{html.escape(title)}" alt="{html.escape(title)}" '
            f'src="data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}">')


def _histogram(title: str, counter: CounterOf[Any], value_of: Callable[[Any], float], bins: int = 20, width: int = 240,
               height: int = 110) -> str:
    """Bars as SVG."""
    values: CounterOf[float] = Counter()
    for key, count in counter.items():
        values[value_of(key)] += count
    if not values:
        return ''
    low, high = min(values), max(values)
    step = (high - low) / bins or 1
    bars = [0] * bins
    for value, count in values.items():
        bars[min(bins - 1, int((value - low) / step))] += count
    top = max(bars)
    rectangles = ''.join(
        f'<rect x="{number * width / bins:.1f}" y="{height - count * height / top:.1f}" width="{width / bins - 1:.1f}" '
        f'height="{count * height / top:.1f}" fill="#4363d8"><title>{low + number * step:.4g} to '
        f'{low + (number + 1) * step:.4g}: {count:,}</title></rect>' for number, count in enumerate(bars) if count)
    return (f'<figure><svg width="{width}" height="{height}" role="img">{rectangles}</svg><figcaption>{title}: {low:g} '
            f'to {high:g}</figcaption></figure>')
