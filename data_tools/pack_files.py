"""The files of a pack while they are made, and how they appear all at once under their final names.

Everything grows in the folder `PREFIX.part`. When it is whole and on the disk, a note `complete` says so;
then the old `.rec` goes, the files beside it take their names, and the new `.rec` comes last. Whoever looks
at any moment, even after a crash, finds the old pack, no pack, or the new one, never the index of one beside
the records of another.
"""
import fcntl
import json
import os
import zlib
from typing import IO, Iterable, List, Sequence, Tuple

from data_tools.atomic import PathLike, fsync_path, write_error
from data_tools.errors import UserError
from data_tools.recordio import Labels, frame, image_payload, label_text

SUFFIXES = ('.rec', '.idx', '.lst', '.crc')


class PartFolder:
    """`PREFIX.part`, locked against other processes for as long as this one uses it.

    Parameters
    ----------
    prefix : str
        Path of the pack without ending. Its folder is made if it is missing.
    keep : bool, default False
        Keep what an interrupted call left there; otherwise finish its renaming if it came so far, and begin
        with an empty folder.

    Raises
    ------
    UserError
        `prefix` is unusable, or another process is at it.
    """
    def __init__(self, prefix: PathLike, keep: bool = False) -> None:
        self.prefix = os.fspath(prefix)
        if not os.path.basename(self.prefix) or os.path.isdir(self.prefix):
            raise UserError(f'{prefix}: is a folder; give a prefix for file names, such as '
                            f'{os.path.join(self.prefix, "train")}')
        self.path = self.prefix + '.part'
        try:
            os.makedirs(self.path, exist_ok=True)
            self.lock = open(self.file('lock'), 'w')
            # Not flock: that lock would live on in worker processes whose parent was killed.
            fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.exists(self.file('complete')) and not keep:
                self.finish_commit()  # only the renaming was interrupted
                os.makedirs(self.path)
                self.lock = open(self.file('lock'), 'w')
                fcntl.lockf(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for name in () if keep else os.listdir(self.path):
                if name != 'lock':
                    os.unlink(self.file(name))
        except BlockingIOError:
            raise UserError(f'{prefix}: another process is writing this pack; wait for it') from None
        except OSError as error:
            raise write_error(error, prefix) from None

    def file(self, name: str) -> str:
        return os.path.join(self.path, name)

    def write(self, name: str, data: bytes) -> None:
        """A small file, written whole or not at all."""
        with open(self.file(name + '.new'), 'wb') as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, self.file(name))

    def commit(self, renames: Iterable[Tuple[str, str]], absent: Iterable[str] = ()) -> None:
        """Give the finished files their names.

        Parameters
        ----------
        renames : list of (str, str)
            Name in this folder, final path. All are on the disk.
        absent : iterable of str
            Paths that belong to the old pack only.
        """
        self.write('complete', json.dumps([renames, list(absent)]).encode())
        fsync_path(self.path)
        self.finish_commit()

    def finish_commit(self) -> None:
        """Carry out what `complete` says; does no harm when part of it is done already."""
        with open(self.file('complete'), 'rb') as file:
            renames, absent = json.load(file)
        folder = os.path.dirname(self.prefix) or '.'
        records = [pair for pair in renames if pair[1].endswith('.rec')]
        for name, path in records:
            if os.path.exists(self.file(name)):
                _remove(path)
        fsync_path(folder)
        for path in absent:
            _remove(path)
        for name, path in [pair for pair in renames if pair not in records] + records:
            if os.path.exists(self.file(name)):
                os.replace(self.file(name), path)
        fsync_path(folder)
        self.remove()

    def remove(self) -> None:
        _remove(self.file('complete'))  # first: without it, the rest is nothing
        for name in os.listdir(self.path):
            _remove(self.file(name))
        os.rmdir(self.path)
        self.lock.close()

    def give_up(self) -> None:
        """After an error: leave nothing, unless the pack is whole and only names are missing."""
        if not os.path.exists(self.file('complete')):
            self.remove()


class PackWriter:
    """The four growing files of one pack.

    Parameters
    ----------
    part : PartFolder
    name : str
        Stem of the files in `part`.
    count : int, default 0
        Records that are in them already.
    ends : sequence of int
        Lengths to which the files are cut before more is appended.
    """
    def __init__(self, part: PartFolder, name: str, count: int = 0, ends: Sequence[int] = (0,) * len(SUFFIXES)) -> None:
        self.name, self.count, self.offset = name, count, ends[0]
        self.files = [open_at(part.file(name + suffix), end) for suffix, end in zip(SUFFIXES, ends)]

    def append(self, records: bytes, sizes: Sequence[int], ids: Sequence[int], list_lines: bytes,
               checksum_lines: bytes) -> List[bytes]:
        """Add framed records.

        Parameters
        ----------
        records : bytes
        sizes, ids : sequence of int
            Of each of them.
        list_lines, checksum_lines : bytes
            Their lines for `.lst` and `.crc`.

        Returns
        -------
        list of bytes
            What was appended to each file.
        """
        lines, offset = [], self.offset
        for index, size in zip(ids, sizes):
            lines.append(f'{index}\t{offset}\n')
            offset += size
        pieces = [records, ''.join(lines).encode(), list_lines, checksum_lines]
        for file, piece in zip(self.files, pieces):
            file.write(piece)
        self.offset = offset
        self.count += len(sizes)
        return pieces

    def add(self, framed: bytes, index: int, labels: Labels, path: str) -> None:
        """Add one record that is framed already."""
        self.append(framed, [len(framed)], [index], list_line(index, label_text(labels), path).encode(
            'utf-8', 'surrogateescape'), checksum_line(index, framed).encode())

    def add_image(self, index: int, labels: Labels, data: bytes, path: str) -> None:
        """Add an encoded image."""
        self.add(frame(image_payload(index, labels, data)), index, labels, path)

    def ends(self) -> List[int]:
        """Lengths of the files, all that was appended being in them."""
        for file in self.files:
            file.flush()
        return [file.tell() for file in self.files]

    def finish(self) -> None:
        """Write the last line of `.crc` and bring everything to the disk."""
        self.files[3].write(f'end\t{self.count}\t{self.offset}\n'.encode())
        for file in self.files:
            file.flush()
            os.fsync(file.fileno())
            file.close()

    def renames(self, prefix: str) -> List[Tuple[str, str]]:
        return [(self.name + suffix, prefix + suffix) for suffix in SUFFIXES]


def open_at(path: str, end: int) -> IO[bytes]:
    """Open a file to append to it behind its first `end` bytes."""
    file = open(path, 'ab')
    file.truncate(end)
    file.seek(end)
    return file


def list_line(index: int, labels: str, path: str) -> str:
    return f'{index}\t{labels}\t{path}\n'


def checksum_line(index: int, framed: bytes) -> str:
    return f'{index}\t{len(framed)}\t{zlib.crc32(framed):08x}\n'


def write_packs(part: PartFolder, packs: Iterable[Tuple[str, Iterable[Tuple[bytes, int, Labels, str]]]],
                extra: Iterable[Tuple[str, bytes]] = (), absent: Iterable[str] = ()) -> List[int]:
    """Fill packs one after the other and let them appear together.

    Parameters
    ----------
    part : PartFolder
    packs : list of (str, iterable)
        Prefix of the pack; its records as (framed bytes, id, labels, path).
    extra : list of (str, bytes)
        Further files: ending behind the prefix of `part`, content.
    absent : iterable of str
        Paths of an older pack that are to go.

    Returns
    -------
    list of int
        Number of records of each.
    """
    renames, counts = [], []
    try:
        for number, (prefix, records) in enumerate(packs):
            writer = PackWriter(part, str(number))
            for record in records:
                writer.add(*record)
            writer.finish()
            renames += writer.renames(prefix)
            counts.append(writer.count)
        for suffix, content in extra:
            part.write(suffix, content)
            renames.append((suffix, part.prefix + suffix))
        part.commit(renames, absent)
    except OSError as error:
        part.give_up()
        raise write_error(error, part.prefix) from None
    except BaseException:
        part.give_up()
        raise
    return counts


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
