"""`pack`: image folders, archives, lists, IDX and CIFAR files into RecordIO.

The list of images is settled first: their order, and which pack (of a split, of shards) each goes to. Then
chunks of it go to worker processes, which read, check, convert and frame the images and send back the bytes
of whole records. These are appended in the order of the list, so the files are the same however many workers
there are. A line in `PREFIX.part/journal` behind every chunk is what `--resume` goes on from.

Source: section 4.5.3 of the book packs with MXNet's `im2rec.py`; ids, list, order and records are the same
here.
"""
import collections
import json
import os
import random
import stat
import sys
import zlib
from array import array
from typing import (
    IO,
    TYPE_CHECKING,
    Any,
    Callable,
    Deque,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
    Union,
)
from typing import Counter as CounterOf

from data_tools.atomic import PathLike, write_error
from data_tools.boxes import objects_of
from data_tools.errors import UserError
from data_tools.facts import note, pack_facts
from data_tools.image_header import BadImage, orientation_of, shape_of
from data_tools.pack_files import SUFFIXES, PackWriter, PartFolder, checksum_line, list_line, open_at
from data_tools.recordio import (
    Labels,
    Record,
    format_of,
    frame,
    image_payload,
    label_text,
    note_of,
    parse_image,
    read_classes,
    read_record,
    with_image,
)
from data_tools.sources import Item, Source, Stored

if TYPE_CHECKING:
    from concurrent.futures import Executor, Future

CHUNK_IMAGES = 2048
CHUNK_BYTES = 4 << 20  # aimed at; a worker hands over what it has at four times as much
GROUP_IMAGES, GROUP_BYTES = 128, 1 << 20
FILE_LIMIT = 1 << 31
_LOGS = ('bad', 'keys')  # what grows beside the packs


class Job(NamedTuple):
    """What workers do with each image; see `images.check` and `images.reencode`."""
    root: Optional[str] = None
    follow_links: bool = False
    check: bool = True
    encoding: str = 'keep'
    resize: int = 0
    center_crop: bool = False
    quality: Optional[int] = None
    color: int = 1
    max_pixels: int = 100_000_000
    to_8_bits: bool = False
    background: Optional[str] = None
    upright: bool = False


Shape = List[Any]  # [width, height, channels, format, number of images]


class Chunk(NamedTuple):
    """What a worker made of the first `done` items of a chunk."""
    done: int
    records: bytes
    sizes: array
    ids: array
    list_lines: bytes
    checksum_lines: bytes
    bad: List[Tuple[str, str, str]]  # (path, action, reason)
    keys: bytes      # CRC-32 and length of every source image, eight bytes each: equal ones may be duplicates
    stamp: int       # CRC-32 over sizes and times of the files
    shapes: List[Shape]


# ---- in the workers

def pack_chunk(job: Job, items: List[Item]) -> Chunk:
    """Read, check, convert and frame images.

    Parameters
    ----------
    job : Job
    items : list of (id, labels, path, data)
        As `sources` describes them.

    Returns
    -------
    Chunk
    """
    pixels = not isinstance(items[0][3], (bytes, Stored, type(None)))
    if job.check or job.encoding != 'keep' or pixels:
        from data_tools.images import check, reencode  # else it spares the import of a decoder
    records, sizes, ids, keys = [], array('Q'), array('Q'), array('Q')
    list_lines, checksum_lines, bad = [], [], []
    texts: Dict[Labels, str] = {}  # the same few labels again and again
    shapes: CounterOf[Tuple[int, int, int, str]] = collections.Counter()
    total = stamp = done = 0
    while done < len(items) and total <= 4 * CHUNK_BYTES:
        # All of a group read, then all checked, then all framed: each step finds its own code in the
        # processor's cache, which made packing small images a third faster.
        group = _read_group(job, items, done, stamp)
        if job.check:
            group = [(item, _checked(check, job, item[2], data), after) for item, data, after in group]
        for (index, labels, path, stored), data, stamp in group:
            done += 1
            try:
                if isinstance(data, Exception):
                    raise data
                if isinstance(data, tuple):
                    source, (data, action, reason) = data
                else:
                    source, action, reason = data, '', ''
                if not isinstance(data, bytes):
                    source = data.tobytes()
                    before = data.shape[1::-1]
                    data = reencode(data, 'png' if job.encoding == 'keep' else job.encoding, job.resize,
                                    job.center_crop, job.quality, job.color, job.max_pixels)
                elif job.encoding != 'keep' and data:
                    before = _upright_size(data)
                    data, action, reason = _encoded_anew(job, path, data, action, reason)
                if len(labels) > 5 and (job.center_crop or job.resize) and data:
                    new_labels = _moved(job, labels, before, shape_of(data)[:2])
                    if new_labels != labels:
                        labels, stored = new_labels, None
                framed = frame(with_image(stored.payload, index, data) if isinstance(stored, Stored)
                               else image_payload(index, labels, data))
            except UserError:
                raise
            except Exception as error:  # one image must not end the pack, whatever a decoder raises
                bad.append((path, 'skipped', ' '.join(str(getattr(error, 'strerror', None) or error).split())
                            or type(error).__name__))
                continue
            if action:
                bad.append((path, action, reason))
            text = texts.get(labels)
            if text is None:
                text = texts[labels] = label_text(labels)
            records.append(framed)
            sizes.append(len(framed))
            ids.append(index)
            list_lines.append(list_line(index, text, path))
            checksum_lines.append(checksum_line(index, framed))
            if data:
                shapes[shape_of(data) + ('jpg' if data[:2] == b'\xff\xd8' else format_of(data),)] += 1
            else:
                source = stored.payload
            keys.append(zlib.crc32(source) << 32 | len(source) & 0xffffffff)
            total += len(framed)
            if total > 4 * CHUNK_BYTES:
                break
    return Chunk(done, b''.join(records), sizes, ids, ''.join(list_lines).encode('utf-8', 'surrogateescape'),
                 ''.join(checksum_lines).encode(), bad, keys.tobytes(), stamp,
                 [[*shape, count] for shape, count in shapes.items()])


def _encoded_anew(job: Job, path: str, data: bytes, action: str, reason: str) -> Tuple[bytes, str, str]:
    """(new bytes, action, reason); a JPEG is checked while it is decoded, which spares reading it twice."""
    from data_tools.images import UncheckedJpeg, check, reencode
    how = job.encoding, job.resize, job.center_crop, job.quality, job.color, job.max_pixels
    try:
        return reencode(data, *how, strict=True), action, reason
    except UncheckedJpeg:
        data, action, reason = check(data, path, job.max_pixels, job.to_8_bits, job.background)
        return reencode(data, *how), action, reason


def _upright_size(data: bytes) -> Tuple[int, int]:
    """Width and height of an encoded image when it is turned upright."""
    width, height, _ = shape_of(data)
    return (height, width) if orientation_of(data) > 4 else (width, height)


def _moved(job: Job, labels: Labels, before: Tuple[int, int], after: Tuple[int, int]) -> Labels:
    """The labels of detection for a picture that was cut and resized."""
    from data_tools.boxes import moved
    width, height = before
    edge = min(before)
    cut = ((width - edge) // 2, (height - edge) // 2, edge, edge) if job.center_crop else (0, 0, width, height)
    return moved(labels, before, cut, after)


def _read_group(job: Job, items: List[Item], start: int, stamp: int) -> List[Tuple[Item, Any, int]]:
    """[(item, its data or the exception that reading it gave, stamp after it)] of items from `start` on."""
    group, size = [], 0
    for item in items[start:start + GROUP_IMAGES]:
        data = item[3]
        try:
            if data is None:
                data, stamp = _read_file(job, item[2], stamp)
            if isinstance(data, Stored):
                data = parse_image(Record(0, 0, data.payload, 0)).data
            elif isinstance(data, bytes) and not data:
                raise ValueError('empty file')
        except (OSError, ValueError) as error:
            data = error
        else:
            size += len(data)
        group.append((item, data, stamp))
        if size > GROUP_BYTES:
            break
    return group


def _checked(check: Any, job: Job, path: str, data: Any) -> Any:
    """(data, what `images.check` says of it); an exception, pixels, and the nothing of metadata as they are."""
    if not isinstance(data, bytes) or not data:
        return data
    try:
        return data, check(data, path, job.max_pixels, job.to_8_bits, job.background, job.upright,
                           decoded_later=job.encoding != 'keep')
    except BadImage as error:
        return error
    except Exception as error:  # a decoder's own bug is told with the file that brought it out
        return BadImage(f'cannot be decoded: {" ".join(str(error).split()) or type(error).__name__}')


def _read_file(job: Job, path: str, stamp: int) -> Tuple[bytes, int]:
    """The bytes of a file below `job.root`; the stamp carried on over its size and time."""
    full = path if path.startswith('/') else f'{job.root}/{path}'
    flags = os.O_RDONLY | os.O_NONBLOCK  # not to wait at a pipe
    try:
        descriptor = os.open(full, flags if job.follow_links else flags | os.O_NOFOLLOW)
    except OSError as error:
        if job.follow_links or not os.path.islink(full):
            raise
        assert job.root is not None  # it is where items without data lie
        if not os.path.realpath(full).startswith(os.path.realpath(job.root) + '/'):
            raise UserError(f'{path}: a link out of {job.root}, to {os.path.realpath(full)}; nothing was '
                            'packed') from error
        descriptor = os.open(full, flags)
    try:
        info = os.fstat(descriptor)
        if not stat.S_ISREG(info.st_mode):
            raise ValueError('not a file')
        size = info.st_size
        if size >= FILE_LIMIT:
            raise ValueError(f'{size} bytes are more than RecordIO holds')
        data = os.read(descriptor, size + 1)
        while len(data) < size:
            piece = os.read(descriptor, size - len(data))
            if not piece:
                raise ValueError('shrank while it was read')
            data += piece
    finally:
        os.close(descriptor)
    return data, _stamp(info, stamp)


def _stamp(info: os.stat_result, stamp: int) -> int:
    return zlib.crc32(b'%d %d' % (info.st_size, info.st_mtime_ns), stamp)


# ---- the plan

class Output(NamedTuple):
    """One pack to write: the images at order[start:stop]."""
    prefix: str
    start: int
    stop: int


def plan(source: Source, prefix: str, split: Optional[Dict[str, float]] = None, shards: int = 1,
         shuffle: Optional[bool] = None, seed: int = 100,
         allow_empty: bool = False) -> Tuple['array[int]', List[Output]]:
    """Settle the order of the images and the packs they go to.

    Parameters
    ----------
    source : Source
    prefix : str
    split : dict, optional
        Name -> share, such as {'train': 0.9, 'val': 0.1}: each class is divided by these, by chance.
    shards : int, default 1
        Packs into which each part is cut, in order.
    shuffle : bool, optional
    seed : int, default 100
        With im2rec's own, 100, the order is im2rec's.
    allow_empty : bool, default False
        Let parts and shards be empty.

    Returns
    -------
    (array of int, list of Output)

    Raises
    ------
    UserError
        A part would be empty.
    """
    order = array('Q', range(source.count))
    if source.shuffle if shuffle is None else shuffle:
        random.Random(seed).shuffle(order)
    parts = [(prefix, order)]
    if split:
        part_of = _stratify(source, list(split.values()), seed)
        parts = [(f'{prefix}_{name}', array('Q', (number for number in order if part_of[number] == part)))
                 for part, name in enumerate(split)]
    whole, outputs = array('Q'), []
    for name, numbers in parts:
        for shard in range(shards):
            start, stop = (len(numbers) * edge // shards for edge in (shard, shard + 1))
            outputs.append(Output(f'{name}_{shard}' if shards > 1 else name, len(whole) + start,
                                  len(whole) + stop))
            if start == stop and not allow_empty:
                raise UserError(f'{outputs[-1].prefix}: would be empty, of {source.count} images; choose other shares '
                                f'or fewer shards (--allow-empty makes it all the same)')
        whole += numbers
    return whole, outputs


def _stratify(source: Source, shares: List[float], seed: int) -> bytearray:
    """For every image the part it goes to. Each class has its share in each part, and so has the whole: what rounding
    leaves over goes to the part that is most behind, class after class. Equal images go to one part."""
    first_of = equal_images(source)
    followers: Dict[int, List[int]] = {}
    classes: Dict[float, 'array[int]'] = {}
    for number in range(source.count):
        if source.metadata(number):
            continue  # to the first part
        first = first_of.get(number, number)
        if first != number:
            followers.setdefault(first, []).append(number)
        else:
            own = source.labels(number)
            classes.setdefault(own[0] if own else 0.0, array('Q')).append(number)
    part_of = bytearray(source.count)
    generator = random.Random(seed)
    labels = sorted(classes)
    for label in labels:
        generator.shuffle(classes[label])
    generator.shuffle(labels)  # by chance, which classes are rounded up
    total, given, parts = 0, [0] * len(shares), range(len(shares))
    for label in labels:
        counts = [0] * len(shares)
        for number in classes[label]:
            for _ in range(1 + len(followers.get(number, ()))):
                total += 1
                behind = max(parts, key=lambda part: total * shares[part] - given[part])
                given[behind] += 1
                counts[behind] += 1
        part, left = 0, counts[0]
        for number in classes[label]:
            while left <= 0 and part < len(shares) - 1:
                part += 1
                left += counts[part]
            for one in [number] + followers.get(number, []):
                part_of[one] = part
                left -= 1
    return part_of


def equal_images(source: Source) -> Dict[int, int]:
    """Images whose bytes an earlier image has, as far as length and CRC-32 tell.

    Returns
    -------
    dict
        Number of an image -> number of the first that is equal.
    """
    order = array('Q', range(source.count))
    if source.root is not None:  # of files, only those that share their size with another are read
        sizes = array('q', (_size(source, number) for number in order))
        shared = _repeated(sizes)
        order = array('Q', (number for number in order if sizes[number] in shared))
    job = Job(root=source.root, follow_links=source.follow_links)
    firsts: Dict[Tuple[int, int], int] = {}  # (length, CRC-32): number
    found: Dict[int, int] = {}
    size = _images_a_chunk(source)
    for start in range(0, len(order), size):
        numbers = order[start:start + size]
        for number, item in zip(numbers, source.items(order, start, min(start + size, len(order)))):
            data = item[3]
            try:
                if data is None:
                    data = _read_file(job, item[2], 0)[0]
            except (OSError, ValueError):
                continue
            if isinstance(data, Stored):
                data = parse_image(Record(0, 0, data.payload, 0)).data
            elif not isinstance(data, bytes):
                data = data.tobytes()
            if data:
                first = firsts.setdefault((len(data), zlib.crc32(data)), number)
                if first != number:
                    found[number] = first
    return found


def _size(source: Source, number: int) -> int:
    path = source.path(number)
    try:
        return os.stat(path if path.startswith('/') else f'{source.root}/{path}').st_size
    except OSError:
        return -1


# ---- packing

class Result(NamedTuple):
    """What `pack` did."""
    counts: List[int]  # images in each pack
    size: int         # bytes of all `.rec`
    converted: int
    kept: int         # packed as they are, though something is odd
    skipped: int
    duplicates: int
    other_labels: int = 0  # of the duplicates, those under another label than the first
    others: int = 0        # files that are no images and were left out
    notes: Sequence[str] = ()  # lines for the user


def pack(source: Source, prefix: PathLike, job: Job, split: Optional[Dict[str, float]] = None, shards: int = 1,
         shuffle: Optional[bool] = None, seed: int = 100, workers: int = 1, resume: bool = False, strict: bool = False,
         stop_on_bad: bool = False, executor: Union[None, 'Executor', '_InThisProcess'] = None,
         allow_empty: bool = False, command: str = '', write_list: bool = True) -> Result:
    """Pack all images of a source.

    Parameters
    ----------
    source : Source
    prefix : str
        The packs are `PREFIX.rec`, `.idx`, `.lst`, `.crc`; with a split `PREFIX_train.rec` and so on, with
        shards `PREFIX_0.rec` and so on.
    job : Job
    split, shards, shuffle, seed
        See `plan`.
    workers : int, default 1
        Processes; the bytes written do not depend on it.
    resume : bool, default False
        Go on from what an interrupted call has left.
    strict : bool, default False
        Fail in the end if any image could not be packed.
    stop_on_bad : bool, default False
        Fail at the first of them.
    executor : concurrent.futures.Executor, optional
        Instead of worker processes.
    allow_empty : bool, default False
        Let parts and shards be empty.
    command : str
        What was called, for `PREFIX.json`.
    write_list : bool, default True
        False: leave the `PREFIX.lst` that is there, which is what was packed, as it is.

    Returns
    -------
    Result

    Raises
    ------
    UserError
        Nothing is under its final name then that was not there before.
    """
    if stop_on_bad and source.bad:
        raise UserError('%s: %s; nothing was packed (--on-bad stop)' % source.bad[0])
    packing = _Packing(source, prefix, job, split, shards, shuffle, seed, allow_empty, command, write_list)
    try:
        packing.open(resume)
        if not packing.complete:
            if executor is None:
                executor = _processes(workers, job) if workers > 1 else _InThisProcess()
            packing.run(executor, workers, stop_on_bad)
        return packing.finish(strict)
    except OSError as error:
        packing.close()
        line = str(write_error(error, prefix))
        raise UserError(f'{line} with --resume' if packing.position else line) from None
    except BaseException:
        packing.close()
        raise


class _Packing:
    """The state of one call of `pack`."""
    part: PartFolder  # since `open`

    def __init__(self, source: Source, prefix: PathLike, job: Job, split: Optional[Dict[str, float]], shards: int,
                 shuffle: Optional[bool], seed: int, allow_empty: bool, command: str, write_list: bool) -> None:
        self.source, self.prefix = source, os.fspath(prefix)
        if self.prefix.endswith('.rec') and len(os.path.basename(self.prefix)) > 4:
            self.prefix = self.prefix[:-4]
        self.allow_empty, self.command, self.write_list = allow_empty, command, write_list
        self.job = job._replace(root=source.root, follow_links=source.follow_links)
        self.order, self.outputs = plan(source, self.prefix, split, shards, shuffle, seed, allow_empty)
        self.note = json.dumps([self.job, self.outputs, source.fingerprint(), shuffle, seed])
        self.position = 0
        self.opened = self.complete = False
        self.writers: List[PackWriter] = []
        self.logs: List[IO[bytes]] = []  # bad, keys, journal

    def open(self, resume: bool) -> None:
        """Begin, or take up what is there."""
        if os.path.exists(f'{self.prefix}.json') and note_of(self.prefix) is None:
            raise UserError(f'{self.prefix}.json: is another program\'s, and the pack\'s own note has this name; '
                            f'choose another prefix, or move that file away')
        self.part = part = PartFolder(self.prefix, keep=resume)
        self.opened = True
        self.complete = resume and os.path.exists(part.file('complete'))
        if resume and os.path.exists(part.file('plan')):
            with open(part.file('plan'), encoding='utf-8') as file:
                if file.read() != self.note:
                    raise UserError(f'{part.path}: was begun with another source or other options; repeat '
                                    f'them, or leave --resume out to begin again')
        else:
            part.write('plan', self.note.encode())
        if self.complete:
            return
        # (width, height, channels, format): images
        self.shapes: List[CounterOf[Tuple[int, int, int, str]]] = [collections.Counter() for _ in self.outputs]
        ends, counts, journal_end = self._trusted_state() if resume else ({}, {}, 0)
        for number in range(len(self.outputs)):
            self.writers.append(PackWriter(part, str(number), counts.get(number, 0),
                                           [ends.get(f'{number}{suffix}', 0) for suffix in SUFFIXES]))
        self.logs = [open_at(part.file(name), ends.get(name, 0)) for name in _LOGS]
        self.logs.append(open_at(part.file('journal'), journal_end))

    def _trusted_state(self) -> Tuple[Dict[str, int], Dict[int, int], int]:
        """What the journal says, as far as files and sources still are as it says.

        Returns ({name of a file: length}, {output: records in it}, length of the journal).
        """
        ends: Dict[str, int] = {}
        counts: Dict[int, int] = {}
        journal_end = 0
        try:
            with open(self.part.file('journal'), 'rb') as journal:
                for line in journal:
                    state = json.loads(line)
                    checksum = 0
                    for name, end in state['ends'].items():
                        with open(self.part.file(name), 'rb') as file:
                            file.seek(ends.get(name, 0))
                            checksum = zlib.crc32(file.read(end - ends.get(name, 0)), checksum)
                    if checksum != state['checksum'] or \
                            self._stamp_now(self.position, state['position']) != state['stamp']:
                        break
                    ends.update(state['ends'])
                    counts[state['output']] = state['count']
                    self.position = state['position']
                    self._count_shapes(state['output'], state['shapes'])
                    journal_end += len(line)
        except (OSError, ValueError, KeyError):  # no journal yet; its last line was not written to the end
            pass
        return ends, counts, journal_end

    def _count_shapes(self, output: int, shapes: List[Shape]) -> None:
        for width, height, channels, kind, count in shapes:
            self.shapes[output][width, height, channels, kind] += count

    def _stamp_now(self, start: int, stop: int) -> int:
        """What a worker's stamp over these images would be now."""
        stamp = 0
        for number in self.order[start:stop] if self.source.root is not None else ():
            try:
                path = self.source.path(number)
                info = os.stat(path if path.startswith('/') else f'{self.source.root}/{path}')
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_size < FILE_LIMIT:
                stamp = _stamp(info, stamp)
        return stamp

    def run(self, executor: Union['Executor', '_InThisProcess'], workers: int, stop_on_bad: bool) -> None:
        """Have all chunks made, and append them in order."""
        progress = _progress_bar(len(self.order), self.position)
        chunks = self._chunks()
        waiting: Deque[Tuple[int, List[Item], Union['Future[Chunk]', '_Later']]] = collections.deque()
        try:
            while True:
                # As much ahead as keeps the workers busy, and no more: what is done has to wait in memory.
                while len(waiting) < workers + 2:
                    following = next(chunks, None)
                    if following is None:
                        break
                    output, items = following
                    waiting.append((output, items, executor.submit(pack_chunk, self.job, items)))
                if not waiting:
                    break
                output, items, future = waiting.popleft()
                chunk = _result(future)
                if chunk.done < len(items):
                    rest = items[chunk.done:]
                    waiting.appendleft((output, rest, executor.submit(pack_chunk, self.job, rest)))
                if stop_on_bad:
                    for path, action, reason in chunk.bad:
                        if action == 'skipped':
                            raise UserError(f'{path}: {reason}; nothing was packed (--on-bad stop)')
                self._append(output, chunk)
                if progress is not None:
                    progress.update(chunk.done)
        finally:
            if progress is not None:
                progress.close()
            for _, _, future in waiting:
                future.cancel()
            executor.shutdown(wait=True)

    def _chunks(self) -> Iterator[Tuple[int, List[Item]]]:
        """Yield (number of output, items)."""
        size = _images_a_chunk(self.source)
        for number, output in enumerate(self.outputs):
            start = max(output.start, self.position)
            while start < output.stop:
                stop = min(start + size, output.stop)
                yield number, self.source.items(self.order, start, stop)
                start = stop

    def _append(self, output: int, chunk: Chunk) -> None:
        pieces = self.writers[output].append(chunk.records, chunk.sizes, chunk.ids, chunk.list_lines,
                                             chunk.checksum_lines)
        bad = ''.join(map(_csv_line, chunk.bad)).encode('utf-8', 'surrogateescape')
        *logs, journal = self.logs
        for file, piece in zip(logs, (bad, chunk.keys)):
            file.write(piece)
            file.flush()
        checksum = 0
        for piece in pieces + [bad, chunk.keys]:
            checksum = zlib.crc32(piece, checksum)
        self.position += chunk.done
        writer = self.writers[output]
        ends = dict(zip((f'{output}{suffix}' for suffix in SUFFIXES), writer.ends()))
        ends.update(zip(_LOGS, (file.tell() for file in logs)))
        state = {'position': self.position, 'output': output, 'count': writer.count, 'ends': ends,
                 'checksum': checksum, 'stamp': chunk.stamp, 'shapes': chunk.shapes}
        self._count_shapes(output, chunk.shapes)
        journal.write(json.dumps(state).encode() + b'\n')
        journal.flush()

    def finish(self, strict: bool) -> Result:
        """Write the small files and let everything appear."""
        part, prefix = self.part, self.prefix
        if self.complete:
            with open(part.file('result'), encoding='utf-8') as written:
                result = Result(*json.load(written))
            part.finish_commit()
            return result
        listed = ''.join(_csv_line((path, 'skipped', reason)) for path, reason in self.source.bad)
        with open(part.file('bad'), 'rb') as file:
            bad = listed.encode('utf-8', 'surrogateescape') + file.read()
        actions: CounterOf[str] = collections.Counter()
        first = None
        for path, action, reason in _csv_rows(bad):
            actions[action] += 1
            if action == 'skipped' and first is None:
                first = f'{path}: {reason}'
        renames, absent = [], []
        if bad:
            part.write('bad.csv', b'path,action,reason\n' + bad)
        if strict and first:
            raise UserError(f'{actions["skipped"]} images cannot be packed (--strict), the first is {first}; '
                            f'all are in {part.file("bad.csv")}')
        counts = [writer.count for writer in self.writers]
        empty = [output.prefix for output, count in zip(self.outputs, counts)
                 if not count and not (self.allow_empty and any(counts))]
        if empty:
            raise UserError(f'{empty[0]}: no image could be '
                            f'packed' + (f'; the first, {first}' if first else ''))
        for writer in self.writers:
            writer.finish()
        duplicates, other_labels = self._write_duplicates()
        part.write('json', self._facts())
        renames.append(('json', f'{prefix}.json'))
        if self.source.classes is not None:
            part.write('classes.txt', ''.join(f'{name}\n' for name in self.source.classes).encode(
                'utf-8', 'surrogateescape'))
        for name, there in (('bad.csv', bad), ('duplicates.csv', duplicates),
                            ('classes.txt', self.source.classes is not None)):
            if there:
                renames.append((name, f'{prefix}.{name}'))
            else:
                absent.append(f'{prefix}.{name}')
        for writer, output in zip(self.writers, self.outputs):
            renames += [(name, path) for name, path in writer.renames(output.prefix)
                        if self.write_list or not path.endswith('.lst')]
        result = Result(counts, sum(writer.offset for writer in self.writers), actions['converted'],
                        actions['kept'], actions['skipped'], duplicates, other_labels, len(self.source.others),
                        self.source.notes + self._notes())
        part.write('result', json.dumps(result).encode())
        for log in self.logs:
            log.close()
        part.commit(renames, self._stale() + absent)
        return result

    def _facts(self) -> bytes:
        """The bytes of PREFIX.json."""
        packs = {name: facts for name, facts in ((note_of(self.prefix) or {}).get('packs') or {}).items()
                 if self._is_source(name)}
        for number, output in enumerate(self.outputs):
            labels: CounterOf[Optional[float]] = collections.Counter()
            shapes: CounterOf[Tuple[int, int, int]] = collections.Counter()
            formats: CounterOf[str] = collections.Counter()
            for (width, height, channels, kind), count in self.shapes[number].items():
                shapes[width, height, channels] += count
                formats[kind] += count
            texts: CounterOf[str] = collections.Counter()
            objects: CounterOf[float] = collections.Counter()  # of detection
            with open(self.part.file(f'{number}.lst'), encoding='utf-8', errors='surrogateescape',
                      newline='\n') as file:
                for line in file:
                    if '\tmetadata/' not in line:
                        texts[line.split('\t', 2)[1]] += 1
                        found = objects_of(tuple(map(float, line.split('\t')[1:-1]))) if line.count('\t') > 7 else None
                        objects.update(one[0] for one in (found.objects if found is not None else ()))
            for text, count in texts.items():
                try:
                    labels[float(text)] += count
                except ValueError:  # no label: it is the path
                    pass
            with open(self.part.file(f'{number}.idx')) as file:
                offsets = array('Q', (int(line.split('\t')[1]) for line in file))
            with open(self.part.file(f'{number}.rec'), 'rb') as file:
                packs[os.path.basename(output.prefix)] = pack_facts(file, os.fstat(file.fileno()).st_size, offsets,
                                                                    labels, shapes, formats, objects or None)
        with open(self.part.file('keys'), 'rb') as file:
            return note(self.command, self.source.name, file.read(), self.source.classes, packs)

    def _is_source(self, name: str) -> bool:
        """Whether the pack of this name beside ours is what is being read."""
        path = os.path.join(os.path.dirname(self.prefix), f'{name}.rec')
        return name not in {os.path.basename(output.prefix) for output in self.outputs} and any(
            os.path.exists(path) and os.path.samefile(path, file) for file in getattr(self.source, 'files', ()))

    def _stale(self) -> List[str]:
        """Paths of the packs that an earlier call wrote under this prefix and that this one does not write."""
        ours = {output.prefix for output in self.outputs}
        known = note_of(self.prefix)
        if known is not None:
            names = [os.path.join(os.path.dirname(self.prefix), name) for name in known['packs']]
        else:  # of an earlier version: shards are counted without a gap, and .crc is our own
            names, shard = [self.prefix], 0
            while os.path.exists(f'{self.prefix}_{shard}.crc'):
                names.append(f'{self.prefix}_{shard}')
                shard += 1
            names = [name for name in names if os.path.exists(name + '.crc')]
        return [name + suffix for name in names
                if name not in ours and not self._is_source(os.path.basename(name)) for suffix in SUFFIXES]

    def _notes(self) -> List[str]:
        """What the user should know of the packs beside these."""
        notes: List[str] = []
        folder = os.path.dirname(self.prefix) or '.'
        if self.source.classes is None:
            return notes
        ours = {os.path.basename(output.prefix) for output in self.outputs}
        ours |= {os.path.basename(path)[:-4] for path in self._stale() if path.endswith('.rec')}
        for name in sorted(os.listdir(folder)):
            if not name.endswith('.rec') or name[:-4] in ours or name.startswith('.'):
                continue
            classes = read_classes(os.path.join(folder, name))
            # Only those that seem to be parts of the same set: most names are shared.
            shared = set(classes or ()) & set(self.source.classes)
            if classes and classes != self.source.classes and 2 * len(shared) >= min(len(classes),
                                                                                     len(self.source.classes)):
                notes.append(f'{name} beside it has other classes ({len(classes)}, here {len(self.source.classes)}), '
                             f'so that the same label may mean two things; --classes FILE gives both the same')
        return notes

    def _write_duplicates(self) -> Tuple[int, int]:
        """List images whose bytes an earlier image has; return their number, and that of those under another label."""
        keys = array('Q')
        with open(self.part.file('keys'), 'rb') as file:
            keys.frombytes(file.read())
        again = _repeated(keys)
        if not again:
            return 0, 0
        # Equal CRC-32 and length is a suspicion; the bytes decide.
        firsts: Dict[int, List[Tuple[Tuple[IO[bytes], int, int], List[str]]]] = {}  # key: [(place, line in the list)]
        count = other_labels = number = 0
        packs = [open(self.part.file(f'{output}.rec'), 'rb') for output in range(len(self.outputs))]
        with open(self.part.file('duplicates.csv'), 'w', encoding='utf-8', errors='surrogateescape') as table:
            table.write('path,same_as,labels\n')
            for pack_file, output in zip(packs, range(len(packs))):
                size = pack_file.seek(0, os.SEEK_END)
                for line, (_, offset) in zip(self._lines(f'{output}.lst'), self._lines(f'{output}.idx')):
                    key = keys[number]
                    number += 1
                    if key not in again:
                        continue
                    place = pack_file, int(offset), size
                    data = parse_image(read_record(*place)).data
                    for other, other_line in firsts.setdefault(key, []):
                        if parse_image(read_record(*other)).data == data:
                            same = line[1:-1] == other_line[1:-1]
                            table.write(_csv_line((line[-1], other_line[-1], 'same' if same else
                                                   f'{" ".join(line[1:-1])} and {" ".join(other_line[1:-1])}')))
                            count += 1
                            other_labels += not same
                            break
                    else:
                        firsts[key].append((place, line))
            table.flush()
            os.fsync(table.fileno())
        for file in packs:
            file.close()
        return count, other_labels

    def _lines(self, name: str) -> Iterator[List[str]]:
        with open(self.part.file(name), encoding='utf-8', errors='surrogateescape', newline='\n') as file:
            for line in file:
                yield line.rstrip('\n').split('\t')

    def close(self) -> None:
        """After an error; what is worth resuming stays."""
        for file in self.logs + [file for writer in self.writers for file in writer.files]:
            if not file.closed:
                try:
                    file.close()
                except OSError:  # the full disk that brought us here
                    pass
        if self.opened and not self.position and not self.complete:
            self.part.give_up()


def _repeated(keys: Sequence[int]) -> Set[int]:
    """The set of those that occur more than once, in memory for some tens of thousands at a time."""
    again: Set[int] = set()
    parts = 1 + len(keys) // 50_000
    for part in range(parts):
        seen: Set[int] = set()
        for key in keys:
            if key % parts == part:
                (again if key in seen else seen).add(key)
    return again


def _images_a_chunk(source: Source) -> int:
    """So many that a chunk has about `CHUNK_BYTES`, by the sizes of a few."""
    if source.root is None:
        return CHUNK_IMAGES // 4
    sizes = []
    for number in range(0, source.count, max(1, source.count // 16)):
        try:
            sizes.append(os.stat(os.path.join(source.root, source.path(number))).st_size)
        except OSError:
            pass
    mean = sum(sizes) / max(1, len(sizes))
    return int(max(1, min(CHUNK_IMAGES, CHUNK_BYTES / max(1, mean))))


def _csv_line(fields: Iterable[str]) -> str:
    return ','.join('"' + field.replace('"', '""') + '"' if set(field) & set(',"\n\r') else field
                    for field in fields) + '\n'


def _csv_rows(data: bytes) -> Iterator[List[str]]:
    import csv
    import io
    return csv.reader(io.StringIO(data.decode('utf-8', 'surrogateescape'), newline=''))


def _progress_bar(total: int, done: int) -> Any:
    if not sys.stderr.isatty():
        return None  # tqdm would be as silent, but has to be imported for it
    from tqdm import tqdm
    return tqdm(total=total, initial=done, unit=' images', desc='pack')


# ---- executors

class _InThisProcess:
    """One worker: no other process."""
    def submit(self, function: Callable[..., Chunk], *arguments: Any) -> '_Later':
        return _Later(function, arguments)

    def shutdown(self, wait: bool = True) -> None:
        pass


class _Later:
    def __init__(self, function: Callable[..., Chunk], arguments: Tuple[Any, ...]) -> None:
        self.result = lambda: function(*arguments)

    def cancel(self) -> None:
        pass


def _processes(workers: int, job: Job) -> 'Executor':
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    if job.check or job.encoding != 'keep':
        import data_tools.images  # noqa: F401 (once here, not in each of the forked workers)
        if job.encoding != 'keep':
            import cv2  # noqa: F401
    method = 'fork' if sys.platform == 'linux' else None  # fork starts in no time
    return ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker, (os.getpid(),))


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and end when it does, even if it is killed."""
    import signal
    import threading
    import time

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _result(future: Union['Future[Chunk]', '_Later']) -> Chunk:
    """The result of a future; a dead worker process is told in one line."""
    try:
        return future.result()
    except Exception as error:
        if type(error).__name__ == 'BrokenProcessPool':
            raise UserError('a worker process was killed, perhaps for want of memory; --resume goes on, '
                            'fewer --workers need less') from None
        raise
