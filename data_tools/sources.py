"""Where the images of a pack come from: a class folder, such a folder in an archive, a list, arrays of
pixels, other packs. `Source` tells what each of them offers.
"""
import bisect
import fnmatch
import hashlib
import lzma
import math
import os
import pickle
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from array import array
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, NamedTuple, Optional, Protocol, Sequence, Tuple
from typing import List as ListOf

from data_tools.atomic import PathLike
from data_tools.boxes import objects_of
from data_tools.errors import UserError
from data_tools.image_header import FORMAT_OF_SUFFIX, looks_like_an_image
from data_tools.recordio import (
    MAGIC_BYTES,
    Labels,
    beside,
    listed_keys,
    open_to_read,
    read_checksums,
    read_classes,
    read_list,
    read_listed,
    read_record,
    settle_keys,
)

if TYPE_CHECKING:
    import numpy as np

STREAM_WINDOW = 256 << 20  # bytes held of a compressed archive, which can only be read from front to back

_CIFAR_TRAIN = re.compile(r'data_batch_[1-5](\.bin)?')
_CIFAR_BATCH = re.compile(r'(data_batch_[1-5]|test_batch)(\.bin)?')
_CIFAR_CLASSES = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
# MD5 of the files in cifar-10-python.tar.gz. They are pickles, which can run any program when loaded.
CIFAR_PICKLES = {
    'data_batch_1': 'c99cafc152244af753f735de768cd75f',
    'data_batch_2': 'd4bba439e000b95fd0a9bffe97cbabec',
    'data_batch_3': '54ebc095f3ab1f0389bbae665268c751',
    'data_batch_4': '634d18415352ddfa80567beed471001a',
    'data_batch_5': '482c414d41f54cd18b22e5b47cb7c3cb',
    'test_batch': '40351d587109b95175f43aff81a1287e',
}


_ZIP = (b'PK\3\4', b'PK\5\6')
_USUAL = ('.jpg', '.png')
# Not images, whatever their bytes look like.
_LITTER = ('thumbs.db', 'desktop.ini')


class Stored(NamedTuple):
    """The payload of a record, for those who are to keep its header as it is."""
    payload: bytes


# (id, labels, path, data) of an image; data is None (a file), bytes (a member of an archive), an array of pixels (RGB),
# or `Stored`.
Item = Tuple[int, Labels, str, Any]


class Source(Protocol):
    """What a pack is made of: images, numbered from 0.

    Attributes
    ----------
    name : str
        What the user called it.
    count : int
        How many there are.
    classes : list of str or None
        Class names in the order of their labels; None where labels are numbers to begin with.
    bad : list of (str, str)
        (path, reason) of what is there but cannot be packed, found while listing.
    others : list of str
        Paths of files that are no images (Thumbs.db, readme.txt): left out, and counted.
    notes : list of str
        Lines for the user: what was decided that may surprise.
    shuffle : bool
        Whether packing shuffles unless told otherwise.
    root : str or None
        The folder in which workers find the paths of items that carry no data.
    follow_links : bool
        Whether workers follow symbolic links out of `root`.
    """
    name: str
    count: int
    classes: Optional[ListOf[str]]
    bad: ListOf[Tuple[str, str]]
    others: ListOf[str]
    notes: ListOf[str]
    shuffle: bool
    root: Optional[str]
    follow_links: bool

    def labels(self, number: int) -> Labels:
        """Those of an image."""

    def path(self, number: int) -> str:
        """Its path in the list."""

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        """Those of the images in order[start:stop]."""

    def metadata(self, number: int) -> bool:
        """Whether it is a record without an image."""

    def fingerprint(self) -> str:
        """Text that changes when the list of images does."""


class Listing(NamedTuple):
    """What of a folder or archive counts as an image, and what as a class."""
    endings: Optional[Tuple[str, ...]] = None  # only files with these; None: what looks like an image
    ignore: Tuple[str, ...] = ()  # patterns of names or paths to leave out
    leaves: bool = False          # each folder that holds files is a class: `animal/cat`
    classes: Optional[Tuple[str, ...]] = None  # class names in the order of their labels; None: as they sort
    names: str = 'gb18030'        # code page of file names in archives that do not say that theirs are UTF-8


def open_source(path: PathLike, root: Optional[str] = None, labels: Optional[str] = None,
                listing: Listing = Listing()) -> 'Source':
    """Look at what `path` is and open it.

    Parameters
    ----------
    path : str
        A class folder; an archive, or a folder in one (`flowers.zip/train`); both also where fsspec reaches
        (`s3://bucket/train`, `s3://bucket/flowers.zip/train`); a `.lst`; IDX images; CIFAR-10; a `.rec`.
    root : str, optional
        Folder of the paths in a `.lst`; by default the one in which the list lies.
    labels : str, optional
        IDX labels; by default the file beside the images that is named after them.
    listing : Listing
        Of class folders and archives.

    Raises
    ------
    UserError
        Nothing of the kind, unreadable, damaged or unsafe.
    """
    path = os.fspath(path)
    if '://' in path:
        from data_tools.remote import RemoteFolder, fetched
        there = fetched(path)
        if there is None:
            return RemoteFolder(path, listing)
        try:
            found = _archive_at(there.local, there.inside, listing, there.url, there.stamp)
        except UserError as error:
            raise UserError(str(error).replace(there.local, there.url)) from None
        if found is None:
            raise UserError(f'{there.url}: not an archive of class folders (.tar, .tar.gz, .tar.bz2, .tar.xz, .zip)')
        found.copy = there.folder  # type: ignore[attr-defined]  # removed with the source
        return found
    if os.path.isdir(path):
        try:
            names = sorted(name for name in os.listdir(path) if _CIFAR_TRAIN.fullmatch(name))
        except OSError as error:
            raise UserError(f'{path}: cannot be read ({error.strerror})') from None
        if names:
            return _cifar({name: _read_file(os.path.join(path, name)) for name in names}, path)
        return Folder(path, listing)
    file, inside = path.rstrip('/'), ''
    while not os.path.lexists(file) and os.path.dirname(file) not in ('', file):
        file, name = os.path.split(file)
        inside = f'{name}/{inside}'.rstrip('/')
    if os.path.isdir(file) or not os.path.exists(file):
        raise UserError(f'{path}: no such file or folder')
    with open_to_read(file) as opened:
        head = opened.read(1 << 10)
    if head[:4] == MAGIC_BYTES and not inside:
        return Packs([file])
    if not inside and not head.startswith(_ZIP):
        if file.lower().endswith('.lst'):
            return List(file, root or os.path.dirname(file) or '.', listing.classes)
        if _CIFAR_BATCH.fullmatch(os.path.basename(file)):
            return _cifar({os.path.basename(file): _read_file(file)}, file)
        if head[:3] == b'\0\0\x08' or _unpacked_head(file)[:3] == b'\0\0\x08':
            return _idx(file, labels)
    found = _archive_at(file, inside, listing)
    if found is None:
        raise UserError(f'{path}: not a class folder, an archive of one (.tar, .tar.gz, .tar.bz2, .tar.xz, '
                        f'.zip), a .lst, a .rec, IDX images or CIFAR-10 batches')
    return found


def _archive_at(file: str, inside: str, listing: Listing, shown: str = '', stamp: str = '') -> Optional['Source']:
    """The class folder, or CIFAR-10's batches, in an archive; None if the file is none. `shown`, `stamp`: as `_Archive`
    has them."""
    with open_to_read(file) as opened:
        head = opened.read(262)
    if head.startswith(_ZIP):
        return _in_archive(Zip(file, inside, listing, shown, stamp))
    if _unpacked_head(file)[257:262] == b'ustar':
        kind = PlainTar if head[257:262] == b'ustar' else StreamedTar
        return _in_archive(kind(file, inside, listing, shown, stamp))
    return None


# ---- class folders

class Folder(Source):
    """A folder with one subfolder a class; the images in the order in which im2rec lists them."""
    shuffle = True
    root: Optional[str]
    follow_links = True  # the user's own folder: as im2rec does

    def __init__(self, path: PathLike, listing: Listing = Listing()) -> None:
        self.name, self.root, self.listing = os.fspath(path), os.path.abspath(path), listing
        self.bad, self.others, self.notes = [], [], []
        trees, loose = {}, []
        for name, is_folder in _entries(self.root):
            if self._ignored(name):
                continue
            if is_folder:
                trees[name] = _files_below(os.path.join(self.root, name))
            else:
                loose.append(name)
        self._number(self._with_images(trees), self._chosen('', loose), path)

    def _with_images(self, trees: Dict[str, Any]) -> Dict[str, Any]:
        """{folder: its images}; an empty folder is a class that has none, one of other files (docs/) is no class."""
        chosen = {folder: self._chosen(folder, names) for folder, names in trees.items()}
        return {folder: names for folder, names in chosen.items() if names or not trees[folder]}

    def _ignored(self, path: str) -> bool:
        name = path.rsplit('/', 1)[-1]
        return any(fnmatch.fnmatchcase(text, pattern) for pattern in self.listing.ignore for text in (name, path))

    def _chosen(self, folder: str, names: Iterable[str]) -> ListOf[str]:
        """Those of the files that count as images; the others are remembered."""
        chosen: ListOf[str] = []
        usual = self.listing.endings is None and not self.listing.ignore
        for name in names:
            if name[-4:] in _USUAL and usual:  # spares what follows, for most files
                chosen.append(name)
                continue
            path = f'{folder}/{name}' if folder else name
            if any(self._ignored(part) for part in _with_parents(path)[folder != '':]):
                continue
            ending = os.path.splitext(name)[1].lower()
            if self.listing.endings is not None:
                is_image = ending in self.listing.endings
            else:
                is_image = ending in FORMAT_OF_SUFFIX or name.rsplit('/', 1)[-1].lower() not in _LITTER \
                    and self._looks_like_an_image(path)
            (chosen if is_image else self.others).append(name if is_image else path)
        return chosen

    def _looks_like_an_image(self, path: str) -> bool:
        """By its first bytes, where the name does not tell."""
        try:
            descriptor = os.open(f'{self.root}/{path}', os.O_RDONLY | os.O_NONBLOCK)  # not to wait at a pipe
            try:
                return looks_like_an_image(os.read(descriptor, 16))
            finally:
                os.close(descriptor)
        except OSError:
            return True  # what cannot be read is said to be bad, later

    def _number(self, trees: Dict[str, ListOf[str]], loose: ListOf[str], path: PathLike) -> None:
        """trees: {class folder: [paths of images in it]}; loose: images in no folder. Sorts, checks, and gives each
        folder its label."""
        if self.listing.leaves:
            trees = _leaves(trees)
        elif not any(trees.values()) and loose:
            trees, loose = {'': loose}, []
            self.notes.append('no class folders: all images get the label 0')
        self.bad += [(name, 'in no class folder') for name in loose]
        for folder in [folder for folder in trees if re.search('[\t\n\r]', folder)]:
            self.bad += [(f'{folder}/{name}', 'a tab or line end in the name of its folder')
                         for name in trees.pop(folder)]
        self.folders = sorted(trees, key=lambda folder: folder.split('/'))
        self.names, self.starts = [], []
        self.count = 0
        for folder in self.folders:
            names = trees[folder]
            if any('/' in name for name in names):
                names.sort(key=_walk_order)
                if all('/' in name for name in names):
                    raise UserError(f'{path}: {folder} holds folders but no images; SRC is to be the folder '
                                    f'of the class folders, perhaps {os.path.join(path, folder)}, or --leaves makes '
                                    f'each folder that holds images a class')
            else:
                names.sort()
            joined = ''.join(names)
            if '\t' in joined or '\n' in joined or '\r' in joined:
                self.bad += [(f'{folder}/{name}', 'a tab or line end in its name') for name in names
                             if re.search('[\t\n\r]', name)]
                names = [name for name in names if not re.search('[\t\n\r]', name)]
            self.names.append(names)
            self.starts.append(self.count)
            self.count += len(names)
        if not self.folders:
            raise UserError(f'{path}: holds no class folders; SRC is a folder with one subfolder a class, or '
                            f'a file of IDX images')
        self.classes = None
        self.folder_labels: ListOf[Labels] = [(float(number),) for number in range(len(self.folders))]
        if self.listing.classes is not None:
            self._by_given_classes(path, list(self.listing.classes))
        elif self.folders == ['']:
            pass
        elif all(re.fullmatch('[0-9]{1,7}', folder) for folder in self.folders):
            self.folder_labels = [(float(folder),) for folder in self.folders]
            values = sorted(label for label, in self.folder_labels)
            if len(set(values)) < len(self.folders):
                raise UserError(f'{path}: two class folders have the same number; rename one')
            if values != list(range(len(values))):
                self.notes.append(f'the names of the folders are numbers, and these are the labels: {values[0]:g} to '
                                  f'{values[-1]:g}, not 0 to {len(values) - 1}; --classes counts them from 0')
        else:
            self.classes = self.folders

    def _by_given_classes(self, path: PathLike, given: ListOf[str]) -> None:
        """The labels that another pack gave to these names."""
        label_of = {name: float(number) for number, name in enumerate(given)}
        unknown = [folder for folder in self.folders if folder not in label_of]
        if unknown:
            raise UserError(f'{path}: the class {unknown[0]!r} is not among the {len(given)} of --classes; add it at '
                            f'the end of that file and pack all parts anew, or leave the folder out (--ignore)')
        missing = sorted(set(given) - set(self.folders))
        if missing:
            self.notes.append(f'{len(missing)} of the {len(given)} classes have no folder here: '
                              f'{", ".join(missing[:5])}'
                              + (', ...' if len(missing) > 5 else ''))
        self.classes = given
        self.folder_labels = [(label_of[folder],) for folder in self.folders]

    def labels(self, number: int) -> Labels:
        return self.folder_labels[bisect.bisect(self.starts, number) - 1]

    def path(self, number: int) -> str:
        folder = bisect.bisect(self.starts, number) - 1
        return f'{self.folders[folder]}/{self.names[folder][number - self.starts[folder]]}'.lstrip('/')

    def metadata(self, number: int) -> bool:
        return False

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        folders, names, starts, labels = self.folders, self.names, self.starts, self.folder_labels
        items: ListOf[Item] = []
        for number in order[start:stop]:
            folder = bisect.bisect(starts, number) - 1
            name = names[folder][number - starts[folder]]
            items.append((number, labels[folder], f'{folders[folder]}/{name}' if folders[folder] else name, None))
        return items

    def fingerprint(self) -> str:
        digest = hashlib.sha256(f'{self.root}'.encode('utf-8', 'surrogateescape'))
        digest.update(repr(self.folder_labels).encode())
        for folder, names in zip(self.folders, self.names):
            digest.update('\0'.join([folder] + names).encode('utf-8', 'surrogateescape') + b'\n')
        return digest.hexdigest()


def _with_parents(path: str) -> ListOf[str]:
    """'a/b/c' -> ['a', 'a/b', 'a/b/c']"""
    parts = path.split('/')
    return ['/'.join(parts[:number + 1]) for number in range(len(parts))]


def _leaves(trees: Dict[str, ListOf[str]]) -> Dict[str, ListOf[str]]:
    """{'animal': ['cat/1.jpg', 'dog/2.jpg']} -> {'animal/cat': ['1.jpg'], 'animal/dog': ['2.jpg']}"""
    leaves: Dict[str, ListOf[str]] = {}
    for folder, names in trees.items():
        for name in names:
            below, _, name = f'{folder}/{name}'.rpartition('/')
            leaves.setdefault(below, []).append(name)
    return leaves


def _entries(path: str) -> ListOf[Tuple[str, bool]]:
    """[(name, is a folder)] of what is not hidden in a folder."""
    try:
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries if not _hidden(entry.name)]
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); make it readable, or move it '
                        f'away') from None


def _hidden(name: str) -> bool:
    return name[0] == '.' or name == '__MACOSX'


def _files_below(path: str, prefix: str = '', above: Tuple[str, ...] = ()) -> ListOf[str]:
    """Paths, relative to `path`, of all files below it."""
    real = os.path.realpath(path)
    if real in above:
        raise UserError(f'{path}: a symbolic link to a folder above it; remove it')
    found = []
    for name, is_folder in _entries(path):
        if is_folder:
            found += _files_below(os.path.join(path, name), f'{prefix}{name}/', above + (real,))
        else:
            found.append(prefix + name if prefix else name)
    return found


def _walk_order(path: str) -> ListOf[Tuple[int, str]]:
    """os.walk's order: the files of a folder before its subfolders."""
    *folders, name = path.split('/')
    return [(1, folder) for folder in folders] + [(0, name)]


# ---- class folders in archives

class _Archive(Folder):
    """A class folder in an archive, read in place. `inside` is its path there; `shown` what the user called it, and
    `stamp` changes when it does, where the file is a copy of one that lies elsewhere."""
    root = None
    follow_links = False

    def __init__(self, path: str, inside: str, listing: Listing = Listing(), shown: str = '', stamp: str = '') -> None:
        self.local, self.stamp, self.listing = path, stamp, listing
        path = self.file_path = shown or path
        self.bad, self.others, self.notes = [], [], []
        self.name = self.shown = f'{path}/{inside}'.rstrip('/')
        self.recoded: ListOf[Tuple[str, str]] = []  # (code page, name) of names that are not marked as UTF-8
        prefix = f'{inside}/' if inside else ''
        names: Dict[str, Dict[str, None]] = {}  # of the files in each class folder, in their order
        self.members: Dict[Tuple[str, str], Any] = {}  # (class folder, name): what `head` and `read` find it by
        batches: Dict[str, Any] = {}
        with self.reading():
            for name, member in self.list_members():
                parts = _safe_parts(path, name)
                if parts is None:
                    continue
                if _CIFAR_BATCH.fullmatch(parts[-1]):
                    batches['/'.join(parts)] = member
                if not '/'.join(parts).startswith(prefix):
                    continue
                parts = parts[prefix.count('/'):]
                if name.endswith('/'):  # of a folder: a class, even if nothing is in it
                    if len(parts) == 1 and not self._ignored(parts[0]):
                        names.setdefault(parts[0], {})
                    continue
                folder, name = (parts[0], '/'.join(parts[1:])) if len(parts) > 1 else ('', parts[0])
                if self._ignored(folder):
                    continue
                # a later member of the same name counts, as when unpacking
                self.members[folder, name] = member
                names.setdefault(folder, {})[name] = None
            trees = self._with_images(names)
            loose = trees.pop('', ())
        self.cifar_batches = {name: batches[name] for name in batches if name == inside or
                              name.startswith(prefix) and _CIFAR_TRAIN.fullmatch(name.rsplit('/', 1)[-1])}
        if self.cifar_batches:
            return
        if not any(trees.values()) and not loose:
            raise UserError(f'{self.shown}: no class folders there; SRC may name a folder in the archive: '
                            f'{path}/FOLDER')
        if self.recoded:
            self.notes.append(f'{len(self.recoded)} names in the archive are not marked as UTF-8; read as '
                              f'{self.recoded[0][0]} (--names), such as {self.recoded[0][1]}')
        self._number(trees, list(loose), self.shown)

    def list_members(self) -> Iterator[Tuple[str, Any]]:
        """(name, what `head` and `read` find it by) of the files, and (name with a / behind it, anything) of the folders."""
        raise NotImplementedError

    def head(self, member: Any) -> bytes:
        """The first 16 bytes of a file; of formats that a name tells, perhaps nothing."""
        raise NotImplementedError

    def read(self, member: Any) -> bytes:
        """All bytes of a file."""
        raise NotImplementedError

    def _looks_like_an_image(self, path: str) -> bool:
        folder, _, name = path.partition('/')
        member = self.members[folder, name] if (folder, name) in self.members else self.members['', path]
        return looks_like_an_image(self.head(member))

    def named(self, raw: bytes, code: str) -> str:
        """A file name of which only the bytes are sure, by a code page."""
        try:
            name = raw.decode(code)
        except UnicodeDecodeError:
            raise UserError(f'{self.file_path}: the name {raw!r} is neither UTF-8 nor {code}; name its code page '
                            f'with --names, for example --names big5') from None
        except LookupError:
            raise UserError(f'{code}: no code page that Python knows (--names)') from None
        self.recoded.append((code, name))
        return name

    def member(self, number: int) -> Any:
        path = self.path(number)
        folder, _, name = path.partition('/')
        return self.members[(folder, name) if name else ('', folder)]

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        with self.reading():
            return [item[:3]
                    + (self.read(self.member(item[0])),) for item in super().items(order, start, stop)]

    def fingerprint(self) -> str:
        if self.stamp:
            return f'{self.shown} {self.stamp}'
        info = os.stat(self.local)
        return f'{os.path.abspath(self.shown)} {info.st_size} {info.st_mtime_ns}'

    def reading(self) -> '_Reading':
        return _Reading(self.file_path)


class _Reading:
    """Context: whatever a damaged archive makes Python's readers raise becomes one line."""
    def __init__(self, path: str) -> None:
        self.path = path

    def __enter__(self) -> '_Reading':
        return self

    def __exit__(self, kind: Any, error: Optional[BaseException], _: Any) -> None:
        if isinstance(error, NotImplementedError) or isinstance(error, RuntimeError):
            raise UserError(f'{self.path}: {error}; pack the archive again without that') from None
        if isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error,
                              lzma.LZMAError, struct.error, IndexError)):
            raise UserError(f'{self.path}: damaged archive ({error}); get the file again') from None


def _safe_parts(path: str, name: str) -> Optional[ListOf[str]]:
    """'a/./b' -> ['a', 'b']; None for what is hidden. Refuses names that lead out of the archive's folder."""
    if name.startswith('/') or re.match('[A-Za-z]:', name) or '..' in name.split('/'):
        raise UserError(f'{path}: member {name!r} leads out of the archive; nothing was packed')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    return None if not parts or any(map(_hidden, parts)) else parts


def _is_utf_8(raw: bytes) -> bool:
    try:
        raw.decode()
        return True
    except UnicodeDecodeError:
        return False


class Zip(_Archive):
    def list_members(self) -> Iterator[Tuple[str, zipfile.ZipInfo]]:
        self.archive = zipfile.ZipFile(self.local)
        unmarked = [info.orig_filename.encode('cp437') for info in self.archive.infolist()
                    if not info.flag_bits & 0x800]
        # All of them together: a short name in GBK may look like UTF-8.
        self.code = 'utf-8' if all(map(_is_utf_8, unmarked)) else self.listing.names
        for info in self.archive.infolist():
            mode = info.external_attr >> 16
            name = self._name(info)
            if stat.S_ISLNK(mode):
                _safe_link(self.file_path, name, self.archive.read(info).decode('utf-8', 'replace'))
                self.bad.append((name, 'a link'))
            else:
                yield name, info

    def _name(self, info: zipfile.ZipInfo) -> str:
        """What the archive says the name is: UTF-8 if it is marked so, else as `named`; some programs of Windows write
        backslashes between folders."""
        name = info.orig_filename
        if not info.flag_bits & 0x800 and not name.isascii():
            raw = name.encode('cp437')
            extra, unicode_path = info.extra, None
            while len(extra) >= 4:  # a second name in UTF-8, as Info-ZIP adds it, with a checksum of the first
                kind, length = struct.unpack_from('<HH', extra)
                if kind == 0x7075 and length > 5 and struct.unpack_from('<I', extra, 5)[0] == zlib.crc32(raw):
                    unicode_path = extra[9:4 + length].decode('utf-8', 'replace')
                extra = extra[4 + length:]
            name = unicode_path or self.named(raw, self.code)
        name = name.split('\0')[0]
        return name.replace('\\', '/') if '/' not in name or info.create_system == 0 else name

    def head(self, info: zipfile.ZipInfo) -> bytes:
        with self.archive.open(info) as file:
            return file.read(16)

    def read(self, info: zipfile.ZipInfo) -> bytes:
        return self.archive.read(info)


class _Tar(_Archive):
    hard_links = False  # whether two names have the same member

    def remember(self, member: tarfile.TarInfo) -> Tuple[int, int]:
        """What `head` and `read` find a file by; called once for each, from front to back."""
        raise NotImplementedError

    def list_members(self) -> Iterator[Tuple[str, Tuple[int, int]]]:
        self.archive = tarfile.open(self.local)
        files: Dict[str, Any] = {}
        for member in self.archive:
            # tarfile keeps them all; we keep what we need
            self.archive.members = []  # type: ignore[attr-defined]  # is there, but not in the stubs
            name = member.name
            try:
                name.encode()
            except UnicodeEncodeError:
                name = self.named(name.encode('utf-8', 'surrogateescape'), self.listing.names)
            if member.islnk():
                _safe_link(self.file_path, name, member.linkname, '')
                if member.linkname in files:
                    self.hard_links = True
                    yield name, files[member.linkname]
                else:
                    self.bad.append((name, f'a hard link to {member.linkname}, which is not before it'))
            elif member.issym():
                _safe_link(self.file_path, name, member.linkname, os.path.dirname(name))
                self.bad.append((name, 'a link'))
            elif member.isdir():
                yield f'{name}/', (0, 0)
            elif member.isreg():
                files[member.name] = self.remember(member)
                yield name, files[member.name]
            elif not member.isdir():
                self.bad.append((name, 'not a file'))


def _safe_link(path: str, name: str, target: str, base: Optional[str] = None) -> None:
    base = os.path.dirname(name) if base is None else base
    if target.startswith('/') or os.path.normpath(os.path.join(base, target)).split('/')[0] == '..':
        raise UserError(f'{path}: member {name!r} is a link out of the archive, to {target!r}; nothing was '
                        f'packed')


class PlainTar(_Tar):
    """An archive that is not compressed: members are read where they lie."""
    def remember(self, member: tarfile.TarInfo) -> Tuple[int, int]:
        if member.sparse is not None:
            raise UserError(f'{self.file_path}: member {member.name!r} is a sparse file; pack the archive '
                            f'again')
        return member.offset_data, member.size

    def _bytes_at(self, offset: int, size: int) -> bytes:
        file = self.archive.fileobj
        assert file is not None  # None is for a closed archive
        file.seek(offset)
        return file.read(size)

    def head(self, member: Tuple[int, int]) -> bytes:
        return self._bytes_at(member[0], min(16, member[1]))

    def read(self, member: Tuple[int, int]) -> bytes:
        offset, size = member
        data = self._bytes_at(offset, size)
        if len(data) < size:
            raise EOFError('it ends within a member')
        return data


class StreamedTar(_Tar):
    """A compressed archive, read from front to back as often as `STREAM_WINDOW` makes it necessary."""
    def __init__(self, path: str, inside: str, listing: Listing = Listing(), shown: str = '', stamp: str = '') -> None:
        self.ordinal, self.begun = 0, False
        self.loaded: Optional[Dict[int, bytes]] = {}
        self.loaded_bytes = 0
        self.loaded_to: Optional[int] = None
        self.heads: Dict[int, bytes] = {}  # of files whose names do not tell whether they are images
        super().__init__(path, inside, listing, shown, stamp)

    def head(self, member: Tuple[int, int]) -> bytes:
        return self.heads.get(member[0], b'')

    def remember(self, member: tarfile.TarInfo) -> Tuple[int, int]:
        ordinal = self.ordinal
        self.ordinal += 1
        if self.loaded is not None:  # small enough so far to be kept at once
            self.loaded_bytes += member.size
            if self.loaded_bytes <= STREAM_WINDOW:
                self.loaded[ordinal] = _read_member(self.archive, member)
            else:
                self.loaded = None
        if os.path.splitext(member.name)[1].lower() not in FORMAT_OF_SUFFIX:
            self.heads[ordinal] = self.loaded[ordinal][:16] if self.loaded is not None \
                else _read_member(self.archive, member, 16)
        return ordinal, member.size

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        if start == 0 and self.begun:  # once more from the front
            self.loaded = None
        self.begun = True
        if self.loaded is None or (self.loaded_to is not None and stop > self.loaded_to):
            self._load(order, start, stop)
        return super().items(order, start, stop)

    def _load(self, order: Sequence[int], start: int, stop: int) -> None:
        end, total, wanted = start, 0, set()
        while end < len(order) and (total < STREAM_WINDOW or end < stop):
            ordinal, size = self.member(order[end])
            wanted.add(ordinal)
            total += size
            end += 1
        self.loaded, self.loaded_to, ordinal = {}, end, 0
        with self.reading(), tarfile.open(self.local) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # as above
                if member.isreg():
                    if ordinal in wanted:
                        self.loaded[ordinal] = _read_member(archive, member)
                        if len(self.loaded) == len(wanted):
                            break
                    ordinal += 1

    def read(self, member: Tuple[int, int]) -> bytes:
        if self.loaded is None:
            raise UserError(f'{self.file_path}: too large to be read at once; unpack it first')
        return self.loaded[member[0]] if self.hard_links else self.loaded.pop(member[0])


def _read_member(archive: tarfile.TarFile, member: tarfile.TarInfo, size: int = -1) -> bytes:
    file = archive.extractfile(member)
    assert file is not None  # None is for what is no file
    return file.read(size)


def _unpacked_head(path: str) -> bytes:
    """The first bytes of a file, decompressed if it is gzip, bzip2 or xz."""
    import bz2
    import gzip
    with open_to_read(path) as file:
        head = file.read(6)
    openers: Dict[bytes, Callable[..., Any]] = {b'\x1f\x8b': gzip.open, b'BZ': bz2.open, b'\xfd7': lzma.open}
    try:
        with openers.get(head[:2], open)(path, 'rb') as file:
            return file.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f'{path}: damaged ({error}); get the file again') from None


# ---- lists

class List(Source):
    """A list in im2rec's format. Its paths must lie in `root`; symbolic links there are the user's own, as in a
    folder. `classes`: their names, if these are known; labels are then numbers of them."""
    shuffle = False
    follow_links = True

    def __init__(self, path: PathLike, root: PathLike, classes: Optional[Tuple[str, ...]] = None) -> None:
        self.name, self.root = os.fspath(path), os.path.abspath(root)
        self.classes = list(classes) if classes is not None else None
        self.bad, self.others, self.notes = [], [], []
        if not os.path.isdir(self.root):
            raise UserError(f'{root}: not a folder (--root)')
        self.ids, self.paths, self.all_labels = array('Q'), [], []
        same: Dict[Labels, Labels] = {}
        safe = set()
        for index, labels, name in read_list(path):
            folder = os.path.dirname(name)
            if folder not in safe:
                self._check_folder(path, name, folder)
                safe.add(folder)
            if name.rsplit('/', 1)[-1] in ('..', '.'):
                raise UserError(f'{path}: {name!r} is not a file')
            if labels not in same:
                _check_labels(path, index, labels)
                if classes is not None:
                    _check_classes(path, index, labels, len(classes))
            self.ids.append(index)
            self.paths.append(name)
            self.all_labels.append(same.setdefault(labels, labels))
        self.count = len(self.ids)
        if not self.count:
            raise UserError(f'{path}: an empty list')

    def _check_folder(self, path: PathLike, name: str, folder: str) -> None:
        place = os.path.normpath(os.path.join(self.root, folder))
        if not (place + '/').startswith(self.root.rstrip('/') + '/'):
            raise UserError(f'{path}: {name!r} leads out of {self.root}; nothing was packed (--root names '
                            f'the folder of the images)')

    def metadata(self, number: int) -> bool:
        return False

    def labels(self, number: int) -> Labels:
        return self.all_labels[number]

    def path(self, number: int) -> str:
        return self.paths[number]

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        return [(self.ids[number], self.all_labels[number], self.paths[number], None)
                for number in order[start:stop]]

    def fingerprint(self) -> str:
        digest = hashlib.sha256(self.root.encode('utf-8', 'surrogateescape') + self.ids.tobytes())
        for path, labels in zip(self.paths, self.all_labels):
            digest.update(f'{path}\t{labels}\n'.encode('utf-8', 'surrogateescape'))
        return digest.hexdigest()


def _check_labels(path: PathLike, index: int, labels: Labels) -> None:
    """Labels are stored as 32-bit floats; whole numbers beyond 2**24 would become their neighbours."""
    for label in labels:
        if not math.isfinite(label):
            raise UserError(f'{path}: id {index}: the label {label} is no number to learn from; mend or remove that '
                            f'line')
        if abs(label) > 1 << 24 and label == int(label) and struct.unpack('<f', struct.pack('<f', label))[0] != label:
            raise UserError(f'{path}: id {index}: the label {label:.0f} is more than a pack can hold exactly (2**24); '
                            f'number the classes from 0')


def _check_classes(path: PathLike, index: int, labels: Labels, classes: int) -> None:
    """Whether labels, or the classes of a picture's objects, are among so many."""
    found = objects_of(labels)
    for label in labels[:1] if found is None else [one[0] for one in found.objects]:
        if label not in range(classes):
            raise UserError(f'{path}: id {index}: the class {label:g} is not among the {classes} of --classes')


# ---- packs

class Packs(Source):
    """The images of RecordIO packs, one pack after the other, with the ids and paths that they have there.

    Parameters
    ----------
    paths : list of str
    renumber : bool, default False
        Give new ids from 0; otherwise an id in two of them is an error. A single pack whose ids repeat has the keys of
        its `.idx`, or new ids.
    """
    shuffle = False
    root = None
    follow_links = False

    def __init__(self, paths: ListOf[str], renumber: bool = False) -> None:
        self.name, self.files = ' '.join(map(os.fspath, paths)), paths
        self.bad, self.others, self.notes = [], [], []
        self.ids, self.offsets, self.starts, self.all_labels, self.paths = array('Q'), array('Q'), [], [], []
        known = [(path, names) for path, names in ((path, read_classes(path)) for path in paths) if names]
        for path, names in known[1:]:
            if names != known[0][1]:
                raise UserError(f'{path}: its classes are not those of {known[0][0]} (see their '
                                f'.classes.txt); the same label would mean two things')
        self.classes = known[0][1] if known else None
        self.handles = [open_to_read(path) for path in paths]
        self.sizes = [file.seek(0, os.SEEK_END) for file in self.handles]
        same: Dict[Labels, Labels] = {}
        seen: Dict[int, int] = {}  # id: number of its pack
        self.without_image = set()
        for number, path in enumerate(paths):
            self.starts.append(len(self.ids))
            checksums = read_checksums(beside(path, '.crc'))[2] if os.path.exists(beside(path,
                                                                                         '.crc')) else None
            ids, offsets = array('Q'), array('Q')
            for position, (record, image, name) in enumerate(read_listed(path)):
                if checksums is not None and checksums[position:position + 1] != array('Q', [record.crc]):
                    raise UserError(f'{path}: record number {position}, id {image.id}, at offset '
                                    f'{record.offset} is not what the .crc says; `rec verify` tells more')
                ids.append(image.id)
                offsets.append(record.offset)
                if not image.data:
                    self.without_image.add(self.starts[-1] + position)
                self.all_labels.append(same.setdefault(image.labels, image.labels))
                self.paths.append(name)
            if checksums is not None and len(checksums) != len(ids):
                raise UserError(f'{path}: {len(ids)} records, its .crc knows {len(checksums)}; `rec verify` tells more')
            keys, how = settle_keys(ids, offsets, listed_keys(path))
            if how:
                self.notes.append(f'{path}: its ids repeat or are not the keys of its .idx; '
                                  + ('taken are the keys of the .idx' if how == 'index'
                                     else 'new ones are counted from 0'))
            for offset, key in zip(offsets, keys):
                if renumber:
                    key = len(self.ids)
                elif key in seen:
                    raise UserError(f'{path}: id {key} at offset {offset} is already in '
                                    f'{paths[seen[key]]}; `rec merge --renumber` gives new ids')
                else:
                    seen[key] = number
                self.ids.append(key)
            self.offsets += offsets
        if self.without_image:
            self.notes.append(f'{len(self.without_image):,} records hold no image; they are kept as they are, metadata '
                              f'for the program that wrote them')
        self.count = len(self.ids)
        if not self.count:
            raise UserError(f'{paths[0]}: holds no records')

    def labels(self, number: int) -> Labels:
        return self.all_labels[number]

    def path(self, number: int) -> str:
        return self.paths[number]

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        items = []
        for number in order[start:stop]:
            file = bisect.bisect(self.starts, number) - 1
            record = read_record(self.handles[file], self.offsets[number], self.sizes[file])
            items.append((self.ids[number], self.all_labels[number], self.paths[number], Stored(record.payload)))
        return items

    def metadata(self, number: int) -> bool:
        return number in self.without_image

    def fingerprint(self) -> str:
        stats = [os.stat(path) for path in self.files]
        return ' '.join(f'{os.path.abspath(path)} {info.st_size} {info.st_mtime_ns}'
                        for path, info in zip(self.files, stats))


# ---- arrays of pixels

class Pixels(Source):
    """Images (N, H, W) or (N, H, W, 3) and their labels (N,) in memory.

    Their paths are those that `to-images` would give them.
    """
    shuffle = False
    root = None
    follow_links = False

    def __init__(self, images: 'np.ndarray', labels: 'np.ndarray', classes: Optional[ListOf[str]] = None,
                 name: str = '') -> None:
        self.name, self.images, self.numbers, self.classes = name, images, labels, classes
        self.count, self.bad, self.others, self.notes = len(images), [], [], []
        self.digits = max(5, len(str(self.count - 1)))

    def labels(self, number: int) -> Labels:
        return (float(self.numbers[number]),)

    def path(self, number: int) -> str:
        label = int(self.numbers[number])
        return f'{self.classes[label] if self.classes else label}/{number:0{self.digits}}.png'

    def metadata(self, number: int) -> bool:
        return False

    def items(self, order: Sequence[int], start: int, stop: int) -> ListOf[Item]:
        return [(number, self.labels(number), self.path(number), self.images[number])
                for number in order[start:stop]]

    def fingerprint(self) -> str:
        return hashlib.sha256(self.images.tobytes() + self.numbers.tobytes()).hexdigest()


def _idx(path: str, labels_path: Optional[str]) -> Pixels:
    import numpy as np

    from data_tools.idx import read_idx
    if labels_path is None:
        folder, name = os.path.split(path)
        labels_path = os.path.join(folder, name.replace('images', 'labels').replace('idx3', 'idx1'))
        if labels_path == path or not os.path.exists(labels_path):
            raise UserError(f'{path}: its labels are not beside it ({os.path.basename(labels_path)}); name '
                            'their file with --labels')
    images, labels = read_idx(path), read_idx(labels_path)
    if images.dtype != np.uint8 or images.ndim not in (3,
                                                       4) or images.ndim == 4 and images.shape[1] not in (1,
                                                                                                          3):
        raise UserError(f'{path}: holds {images.ndim}-dimensional {images.dtype}; images are bytes, (N, H, '
                        f'W) or (N, channels, H, W)')
    if labels.dtype.kind not in 'ui' or labels.shape != images.shape[:1]:
        raise UserError(f'{labels_path}: {labels.shape} {labels.dtype} do not fit the {len(images)} images '
                        f'of {path}')
    if images.size == 0:
        raise UserError(f'{path}: holds no images')
    if images.ndim == 4:
        images = images[:, 0] if images.shape[1] == 1 else np.ascontiguousarray(images.transpose(0, 2, 3, 1))
    return Pixels(images, labels, name=path)


def _read_file(path: str) -> bytes:
    from data_tools.idx import read_file  # needs NumPy, which folders and lists do not
    return read_file(path)


def _cifar(files: Dict[str, bytes], path: str) -> Pixels:
    """{name: bytes} of CIFAR-10 batches, binary or Python, in the order of their names."""
    import numpy as np
    images, labels = [], []
    for name, data in sorted(files.items()):
        if name.endswith('.bin'):
            if not data or len(data) % 3073:
                raise UserError(f'{path}: {name}: {len(data)} bytes are not a whole number of records of '
                                f'3073; get the file again')
            rows = np.frombuffer(data, np.uint8).reshape(-1, 3073)
            labels.append(rows[:, 0])
            images.append(rows[:, 1:])
        else:
            batch = _load_cifar_pickle(name, data, path)
            labels.append(np.asarray(batch[b'labels'], np.uint8))
            images.append(batch[b'data'].reshape(-1, 3072))
        if labels[-1].max() > 9:
            raise UserError(f'{path}: {name}: label {labels[-1].max()}; CIFAR-10 has 0 to 9; get the file '
                            f'again')
    pixels = np.concatenate(images).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return Pixels(np.ascontiguousarray(pixels), np.concatenate(labels), _CIFAR_CLASSES, path)


def _load_cifar_pickle(name: str, data: bytes, path: str) -> Dict[bytes, Any]:
    digest = hashlib.md5(data).hexdigest()
    if CIFAR_PICKLES.get(name) != digest:
        raise UserError(f'{path}: {name} is a pickle, which may run any program, and not the published one '
                        f'(MD5 {digest} instead of {CIFAR_PICKLES.get(name)}); get it again or use the '
                        f'binary version')
    return pickle.loads(data, encoding='bytes')


def _in_archive(source: _Archive) -> 'Source':
    """A class folder in an archive, or CIFAR-10's batches in one."""
    batches = source.cifar_batches
    if not batches:
        return source
    with source.reading():
        return _cifar({name.rsplit('/', 1)[-1]: source.read(batches[name]) for name in sorted(batches)},
                      source.shown)
