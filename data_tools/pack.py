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
from typing import NamedTuple, Optional

from data_tools.atomic import write_error
from data_tools.errors import UserError
from data_tools.pack_files import SUFFIXES, PackWriter, PartFolder, checksum_line, list_line, open_at
from data_tools.recordio import frame, image_payload, label_text, parse_image, read_record

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


class Chunk(NamedTuple):
    """What a worker made of the first `done` items of a chunk."""
    done: int
    records: bytes
    sizes: array
    ids: array
    list_lines: bytes
    checksum_lines: bytes
    bad: list        # (path, action, reason)
    keys: bytes      # CRC-32 and length of every source image, eight bytes each: equal ones may be duplicates
    stamp: int       # CRC-32 over sizes and times of the files


# ---- in the workers

def pack_chunk(job, items):
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
    pixels = not isinstance(items[0][3], (bytes, type(None)))
    if job.check or job.encoding != 'keep' or pixels:
        from data_tools.images import BadImage, check, reencode
    else:
        BadImage = ()  # spares the import of a decoder
    records, sizes, ids, keys = [], array('Q'), array('Q'), array('Q')
    list_lines, checksum_lines, bad = [], [], []
    texts = {}  # the same few labels again and again
    total = stamp = done = 0
    while done < len(items) and total <= 4 * CHUNK_BYTES:
        # All of a group read, then all checked, then all framed: each step finds its own code in the
        # processor's cache, which made packing small images a third faster.
        group = _read_group(job, items, done, stamp)
        if job.check:
            group = [(item, _checked(check, BadImage, job, item[2], data), after)
                     for item, data, after in group]
        for (index, labels, path, _), data, stamp in group:
            done += 1
            try:
                if isinstance(data, Exception):
                    raise data
                if isinstance(data, tuple):
                    source, (data, action, reason) = data
                else:
                    source, action = data, ''
                if not isinstance(data, bytes):
                    source = data.tobytes()
                    data = reencode(data, 'png' if job.encoding == 'keep' else job.encoding, job.resize,
                                    job.center_crop, job.quality, job.color)
                elif job.encoding != 'keep':
                    data = reencode(data, job.encoding, job.resize, job.center_crop, job.quality, job.color)
                framed = frame(image_payload(index, labels, data))
            except BadImage as error:
                bad.append((path, 'skipped', str(error)))
                continue
            except (OSError, ValueError) as error:
                bad.append((path, 'skipped', getattr(error, 'strerror', None) or str(error)))
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
            keys.append(zlib.crc32(source) << 32 | len(source) & 0xffffffff)
            total += len(framed)
            if total > 4 * CHUNK_BYTES:
                break
    return Chunk(done, b''.join(records), sizes, ids, ''.join(list_lines).encode('utf-8', 'surrogateescape'),
                 ''.join(checksum_lines).encode(), bad, keys.tobytes(), stamp)


def _read_group(job, items, start, stamp):
    """[(item, its data or the exception that reading it gave, stamp after it)] of items from `start` on."""
    group, size = [], 0
    for item in items[start:start + GROUP_IMAGES]:
        data = item[3]
        try:
            if data is None:
                data, stamp = _read_file(job, item[2], stamp)
            if isinstance(data, bytes) and not data:
                raise ValueError('empty file')
        except (OSError, ValueError) as error:
            data = error
        else:
            size += len(data)
        group.append((item, data, stamp))
        if size > GROUP_BYTES:
            break
    return group


def _checked(check, BadImage, job, path, data):
    """(data, what `images.check` says of it); an exception or pixels as they are."""
    if not isinstance(data, bytes):
        return data
    try:
        return data, check(data, path, job.max_pixels)
    except BadImage as error:
        return error


def _read_file(job, path, stamp):
    """The bytes of a file below `job.root`; the stamp carried on over its size and time."""
    full = f'{job.root}/{path}'
    flags = os.O_RDONLY | os.O_NONBLOCK  # not to wait at a pipe
    try:
        descriptor = os.open(full, flags if job.follow_links else flags | os.O_NOFOLLOW)
    except OSError as error:
        if job.follow_links or not os.path.islink(full):
            raise
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


def _stamp(info, stamp):
    return zlib.crc32(b'%d %d' % (info.st_size, info.st_mtime_ns), stamp)


# ---- the plan

class Output(NamedTuple):
    """One pack to write: the images at order[start:stop]."""
    prefix: str
    start: int
    stop: int


def plan(source, prefix, split=None, shards=1, shuffle=None, seed=100):
    """Settle the order of the images and the packs they go to.

    Parameters
    ----------
    source : object
        See `sources`.
    prefix : str
    split : dict, optional
        Name -> share, such as {'train': 0.9, 'val': 0.1}: each class is divided by these, by chance.
    shards : int, default 1
        Packs into which each part is cut, in order.
    shuffle : bool, optional
    seed : int, default 100
        With im2rec's own, 100, the order is im2rec's.

    Returns
    -------
    (array of int, list of Output)
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
        whole += numbers
    return whole, outputs


def _stratify(source, shares, seed):
    """For every image the part it goes to; each class has its share in each part, rounded by chance of
    none."""
    classes = {}
    for number in range(source.count):
        classes.setdefault(source.labels(number)[0], array('Q')).append(number)
    part_of = bytearray(source.count)
    generator = random.Random(seed)
    for label in sorted(classes):
        numbers = classes[label]
        generator.shuffle(numbers)
        edge = passed = 0.0
        for part, share in enumerate(shares):
            passed += share
            stop = len(numbers) if part == len(shares) - 1 else round(len(numbers) * passed / sum(shares))
            for number in numbers[int(edge):stop]:
                part_of[number] = part
            edge = stop
    return part_of


# ---- packing

class Result(NamedTuple):
    """What `pack` did."""
    counts: list      # images in each pack
    size: int         # bytes of all `.rec`
    converted: int
    kept: int         # packed as they are, though something is odd
    skipped: int
    duplicates: int


def pack(source, prefix, job, split=None, shards=1, shuffle=None, seed=100, workers=1, resume=False,
         strict=False,
         stop_on_bad=False, executor=None):
    """Pack all images of a source.

    Parameters
    ----------
    source : object
        See `sources`.
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
    packing = _Packing(source, prefix, job, split, shards, shuffle, seed)
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
    def __init__(self, source, prefix, job, split, shards, shuffle, seed):
        self.source, self.prefix = source, os.fspath(prefix)
        self.job = job._replace(root=source.root, follow_links=source.follow_links)
        self.order, self.outputs = plan(source, self.prefix, split, shards, shuffle, seed)
        self.note = json.dumps([self.job, self.outputs, source.fingerprint(), shuffle, seed])
        self.position = 0
        self.part, self.writers, self.logs, self.journal = None, [], [], None

    def open(self, resume):
        """Begin, or take up what is there."""
        self.part = part = PartFolder(self.prefix, keep=resume)
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
        ends, counts, journal_end = self._trusted_state() if resume else ({}, {}, 0)
        for number in range(len(self.outputs)):
            self.writers.append(PackWriter(part, str(number), counts.get(number, 0),
                                           [ends.get(f'{number}{suffix}', 0) for suffix in SUFFIXES]))
        self.logs = [open_at(part.file(name), ends.get(name, 0)) for name in _LOGS]
        self.journal = open_at(part.file('journal'), journal_end)

    def _trusted_state(self):
        """What the journal says, as far as files and sources still are as it says.

        Returns ({name of a file: length}, {output: records in it}, length of the journal).
        """
        ends, counts, journal_end = {}, {}, 0
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
                    journal_end += len(line)
        except (OSError, ValueError):  # no journal yet; its last line was not written to the end
            pass
        return ends, counts, journal_end

    def _stamp_now(self, start, stop):
        """What a worker's stamp over these images would be now."""
        stamp = 0
        for number in self.order[start:stop] if self.source.root is not None else ():
            try:
                info = os.stat(f'{self.source.root}/{self.source.path(number)}')
            except OSError:
                continue
            if stat.S_ISREG(info.st_mode) and info.st_size < FILE_LIMIT:
                stamp = _stamp(info, stamp)
        return stamp

    def run(self, executor, workers, stop_on_bad):
        """Have all chunks made, and append them in order."""
        progress = _progress_bar(len(self.order), self.position)
        chunks = self._chunks()
        waiting = collections.deque()
        try:
            while True:
                # As much ahead as keeps the workers busy, and no more: what is done has to wait in memory.
                while len(waiting) < workers + 2:
                    output, items = next(chunks, (None, None))
                    if items is None:
                        break
                    waiting.append((output, items, executor.submit(pack_chunk, self.job, items)))
                if not waiting:
                    break
                output, items, future = waiting.popleft()
                chunk = _result(future, executor)
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

    def _chunks(self):
        """Yield (number of output, items)."""
        size = _images_a_chunk(self.source)
        for number, output in enumerate(self.outputs):
            start = max(output.start, self.position)
            while start < output.stop:
                stop = min(start + size, output.stop)
                yield number, self.source.items(self.order, start, stop)
                start = stop

    def _append(self, output, chunk):
        pieces = self.writers[output].append(chunk.records, chunk.sizes, chunk.ids, chunk.list_lines,
                                             chunk.checksum_lines)
        bad = ''.join(map(_csv_line, chunk.bad)).encode('utf-8', 'surrogateescape')
        for file, piece in zip(self.logs, (bad, chunk.keys)):
            file.write(piece)
            file.flush()
        checksum = 0
        for piece in pieces + [bad, chunk.keys]:
            checksum = zlib.crc32(piece, checksum)
        self.position += chunk.done
        writer = self.writers[output]
        ends = dict(zip((f'{output}{suffix}' for suffix in SUFFIXES), writer.ends()))
        ends.update(zip(_LOGS, (file.tell() for file in self.logs)))
        state = {'position': self.position, 'output': output, 'count': writer.count, 'ends': ends,
                 'checksum': checksum, 'stamp': chunk.stamp}
        self.journal.write(json.dumps(state).encode() + b'\n')
        self.journal.flush()

    def finish(self, strict):
        """Write the small files and let everything appear."""
        part, prefix = self.part, self.prefix
        if self.complete:
            with open(part.file('result'), encoding='utf-8') as file:
                result = Result(*json.load(file))
            part.finish_commit()
            return result
        listed = ''.join(_csv_line((path, 'skipped', reason)) for path, reason in self.source.bad)
        with open(part.file('bad'), 'rb') as file:
            bad = listed.encode('utf-8', 'surrogateescape') + file.read()
        actions = collections.Counter()
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
        if not sum(counts):
            raise UserError(f'{prefix}: no image could be '
                            f'packed' + (f'; the first, {first}' if first else ''))
        for writer in self.writers:
            writer.finish()
        duplicates = self._write_duplicates()
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
            renames += writer.renames(output.prefix)
        result = Result(counts, sum(writer.offset for writer in self.writers), actions['converted'],
                        actions['kept'], actions['skipped'], duplicates)
        part.write('result', json.dumps(result).encode())
        for file in self.logs + [self.journal]:
            file.close()
        part.commit(renames, absent)
        return result

    def _write_duplicates(self):
        """List images whose bytes an earlier image has; return their number."""
        keys = array('Q')
        with open(self.part.file('keys'), 'rb') as file:
            keys.frombytes(file.read())
        again = _repeated(keys)
        if not again:
            return 0
        # Equal CRC-32 and length is a suspicion; the bytes decide.
        firsts, count, number = {}, 0, 0
        packs = [open(self.part.file(f'{output}.rec'), 'rb') for output in range(len(self.outputs))]
        with open(self.part.file('duplicates.csv'), 'w', encoding='utf-8', errors='surrogateescape') as table:
            table.write('path,same_as\n')
            for pack_file, output in zip(packs, range(len(packs))):
                size = pack_file.seek(0, os.SEEK_END)
                for line, (_, offset) in zip(self._lines(f'{output}.lst'), self._lines(f'{output}.idx')):
                    key = keys[number]
                    number += 1
                    if key not in again:
                        continue
                    place = pack_file, int(offset), size
                    data = parse_image(read_record(*place)).data
                    for other, other_path in firsts.setdefault(key, []):
                        if parse_image(read_record(*other)).data == data:
                            table.write(_csv_line((line[-1], other_path)))
                            count += 1
                            break
                    else:
                        firsts[key].append((place, line[-1]))
            table.flush()
            os.fsync(table.fileno())
        for file in packs:
            file.close()
        return count

    def _lines(self, name):
        with open(self.part.file(name), encoding='utf-8', errors='surrogateescape', newline='\n') as file:
            for line in file:
                yield line.rstrip('\n').split('\t')

    def close(self):
        """After an error; what is worth resuming stays."""
        for file in self.logs + [self.journal] + [file for writer in self.writers for file in writer.files]:
            if file is not None and not file.closed:
                try:
                    file.close()
                except OSError:  # the full disk that brought us here
                    pass
        if self.part is not None and not self.position and not self.complete:
            self.part.give_up()


def _repeated(keys):
    """The set of those that occur more than once, in memory for some tens of thousands at a time."""
    again, parts = set(), 1 + len(keys) // 50_000
    for part in range(parts):
        seen = set()
        for key in keys:
            if key % parts == part:
                (again if key in seen else seen).add(key)
    return again


def _images_a_chunk(source):
    """So many that a chunk has about `CHUNK_BYTES`, by the sizes of a few."""
    if source.root is None:
        return CHUNK_IMAGES // 4
    sizes = []
    for number in range(0, source.count, max(1, source.count // 16)):
        try:
            sizes.append(os.stat(f'{source.root}/{source.path(number)}').st_size)
        except OSError:
            pass
    mean = sum(sizes) / max(1, len(sizes))
    return int(max(1, min(CHUNK_IMAGES, CHUNK_BYTES / max(1, mean))))


def _csv_line(fields):
    return ','.join('"' + field.replace('"', '""') + '"' if set(field) & set(',"\n\r') else field
                    for field in fields) + '\n'


def _csv_rows(data):
    import csv
    import io
    return csv.reader(io.StringIO(data.decode('utf-8', 'surrogateescape'), newline=''))


def _progress_bar(total, done):
    if not sys.stderr.isatty():
        return None  # tqdm would be as silent, but has to be imported for it
    from tqdm import tqdm
    return tqdm(total=total, initial=done, unit=' images', desc='pack')


# ---- executors

class _InThisProcess:
    """One worker: no other process."""
    def submit(self, function, *arguments):
        return _Later(function, arguments)

    def shutdown(self, wait=True):
        pass


class _Later:
    def __init__(self, function, arguments):
        self.result = lambda: function(*arguments)

    def cancel(self):
        pass


def _processes(workers, job):
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor
    if job.check or job.encoding != 'keep':
        import data_tools.images  # noqa: F401 (once here, not in each of the forked workers)
    method = 'fork' if sys.platform == 'linux' else None  # fork starts in no time
    return ProcessPoolExecutor(workers, multiprocessing.get_context(method), _start_worker, (os.getpid(),))


def _start_worker(parent):
    """Leave Ctrl-C to the parent, and end when it does, even if it is killed."""
    import signal
    import threading
    import time

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=watch, daemon=True).start()


def _result(future, executor):
    """The result of a future; a dead worker process is told in one line."""
    try:
        return future.result()
    except Exception as error:
        if type(error).__name__ == 'BrokenProcessPool':
            raise UserError('a worker process was killed, perhaps for want of memory; --resume goes on, '
                            'fewer --workers need less') from None
        raise
