"""Where the images of a pack come from: a class folder, such a folder in an archive, a list, arrays of
pixels, other packs.

Every source numbers its images from 0 and offers

    count           how many there are
    classes         class names in the order of their labels; None where labels are numbers to begin with
    bad             (path, reason) of what is there but cannot be packed, found while listing
    shuffle         whether packing shuffles unless told otherwise
    root            the folder in which workers find the paths of items that carry no data; None
    follow_links    whether workers follow symbolic links out of `root`
    labels(number)  tuple of float
    items(order, start, stop)   [(id, labels, path, data), ...] for the numbers in order[start:stop]; data is
                    None (a file), bytes (a member of an archive) or an array of pixels (RGB)
    fingerprint()   text that changes when the list of images does
"""
import bisect
import hashlib
import lzma
import os
import pickle
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from array import array

from data_tools.errors import UserError
from data_tools.recordio import (MAGIC_BYTES, beside, open_to_read, parse_image, read_checksums,
                                 read_classes, read_list, read_listed, read_record)

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


def open_source(path, root=None, labels=None):
    """Look at what `path` is and open it.

    Parameters
    ----------
    path : str
        A class folder; an archive, or a folder in one (`flowers.zip/train`); a `.lst`; IDX images; CIFAR-10;
        a `.rec`.
    root : str, optional
        Folder of the paths in a `.lst`; by default the one in which the list lies.
    labels : str, optional
        IDX labels; by default the file beside the images that is named after them.

    Raises
    ------
    UserError
        Nothing of the kind, unreadable, damaged or unsafe.
    """
    path = os.fspath(path)
    if os.path.isdir(path):
        try:
            names = sorted(name for name in os.listdir(path) if _CIFAR_TRAIN.fullmatch(name))
        except OSError as error:
            raise UserError(f'{path}: cannot be read ({error.strerror})') from None
        if names:
            return _cifar({name: _read_file(os.path.join(path, name)) for name in names}, path)
        return Folder(path)
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
    if head[:4] in (b'PK\3\4', b'PK\5\6'):
        return _in_archive(Zip(file, inside))
    if not inside:
        if file.lower().endswith('.lst'):
            return List(file, root or os.path.dirname(file) or '.')
        if _CIFAR_BATCH.fullmatch(os.path.basename(file)):
            return _cifar({os.path.basename(file): _read_file(file)}, file)
        if head[:3] == b'\0\0\x08' or _unpacked_head(file)[:3] == b'\0\0\x08':
            return _idx(file, labels)
    if _unpacked_head(file)[257:262] == b'ustar':
        return _in_archive(PlainTar(file, inside) if head[257:262] == b'ustar' else StreamedTar(file, inside))
    raise UserError(f'{path}: not a class folder, an archive of one (.tar, .tar.gz, .tar.bz2, .tar.xz, '
                    f'.zip), a .lst, a .rec, IDX images or CIFAR-10 batches')


# ---- class folders

class Folder:
    """A folder with one subfolder a class; the images in the order in which im2rec lists them."""
    shuffle = True
    follow_links = True  # the user's own folder: as im2rec does

    def __init__(self, path):
        self.root = os.path.abspath(path)
        self.bad = []
        trees = {}
        for name, is_folder in _entries(self.root):
            if is_folder:
                trees[name] = _files_below(os.path.join(self.root, name))
            else:
                self.bad.append((name, 'in no class folder'))
        self._number(trees, path)

    def _number(self, trees, path):
        """trees: {class folder: [paths of files in it]}. Sorts, checks, and gives each folder its label."""
        self.folders = sorted(trees)
        self.names, self.starts = [], []
        self.count = 0
        for folder in self.folders:
            names = trees[folder]
            if any('/' in name for name in names):
                names.sort(key=_walk_order)
                if all('/' in name for name in names):
                    raise UserError(f'{path}: {folder} holds folders but no images; SRC is to be the folder '
                                    f'of the class folders, perhaps {os.path.join(path, folder)}')
            else:
                names.sort()
            joined = folder + ''.join(names)
            if '\t' in joined or '\n' in joined or '\r' in joined:
                self.bad += [(f'{folder}/{name}', 'a tab or line end in its name') for name in names
                             if re.search('[\t\n\r]', folder + name)]
                names = [name for name in names if not re.search('[\t\n\r]', folder + name)]
            self.names.append(names)
            self.starts.append(self.count)
            self.count += len(names)
        if not self.folders:
            raise UserError(f'{path}: holds no class folders; SRC is a folder with one subfolder a class, or '
                            f'a file of IDX images')
        if all(re.fullmatch('[0-9]{1,7}', folder) for folder in self.folders):
            self.classes = None
            self.folder_labels = [(float(folder),) for folder in self.folders]
            if len(set(self.folder_labels)) < len(self.folders):
                raise UserError(f'{path}: two class folders have the same number; rename one')
        else:
            self.classes = self.folders
            self.folder_labels = [(float(number),) for number in range(len(self.folders))]

    def labels(self, number):
        return self.folder_labels[bisect.bisect(self.starts, number) - 1]

    def path(self, number):
        folder = bisect.bisect(self.starts, number) - 1
        return f'{self.folders[folder]}/{self.names[folder][number - self.starts[folder]]}'

    def items(self, order, start, stop):
        folders, names, starts, labels = self.folders, self.names, self.starts, self.folder_labels
        items = []
        for number in order[start:stop]:
            folder = bisect.bisect(starts, number) - 1
            items.append((number, labels[folder],
                          f'{folders[folder]}/{names[folder][number - starts[folder]]}',
                          None))
        return items

    def fingerprint(self):
        digest = hashlib.sha256(self.root.encode('utf-8', 'surrogateescape'))
        for folder, names in zip(self.folders, self.names):
            digest.update('\0'.join([folder] + names).encode('utf-8', 'surrogateescape') + b'\n')
        return digest.hexdigest()


def _entries(path):
    """[(name, is a folder)] of what is not hidden in a folder."""
    try:
        with os.scandir(path) as entries:
            return [(entry.name, entry.is_dir()) for entry in entries if not _hidden(entry.name)]
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); make it readable, or move it '
                        f'away') from None


def _hidden(name):
    return name[0] == '.' or name == '__MACOSX'


def _files_below(path, prefix='', above=()):
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


def _walk_order(path):
    """os.walk's order: the files of a folder before its subfolders."""
    *folders, name = path.split('/')
    return [(1, folder) for folder in folders] + [(0, name)]


# ---- class folders in archives

class _Archive(Folder):
    """A class folder in an archive, read in place. `inside` is its path there."""
    root = None
    follow_links = False

    def __init__(self, path, inside):
        self.file_path, self.bad = path, []
        self.shown = f'{path}/{inside}'.rstrip('/')
        prefix = f'{inside}/' if inside else ''
        trees, self.members, batches = {}, {}, {}
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
                if len(parts) == 1:
                    self.bad.append((parts[0], 'in no class folder'))
                    continue
                folder, name = parts[0], '/'.join(parts[1:])
                if (folder, name) not in self.members:
                    trees.setdefault(folder, []).append(name)
                # a later member of the same name counts, as when unpacking
                self.members[folder, name] = member
        self.cifar_batches = {name: batches[name] for name in batches if name == inside or
                              name.startswith(prefix) and _CIFAR_TRAIN.fullmatch(name.rsplit('/', 1)[-1])}
        if self.cifar_batches:
            return
        if not trees:
            raise UserError(f'{self.shown}: no class folders there; SRC may name a folder in the archive: '
                            f'{path}/FOLDER')
        self._number(trees, self.shown)

    def member(self, number):
        folder = bisect.bisect(self.starts, number) - 1
        return self.members[self.folders[folder], self.names[folder][number - self.starts[folder]]]

    def items(self, order, start, stop):
        with self.reading():
            return [item[:3]
                    + (self.read(self.member(item[0])),) for item in super().items(order, start, stop)]

    def fingerprint(self):
        info = os.stat(self.file_path)
        return f'{os.path.abspath(self.shown)} {info.st_size} {info.st_mtime_ns}'

    def reading(self):
        return _Reading(self.file_path)


class _Reading:
    """Context: whatever a damaged archive makes Python's readers raise becomes one line."""
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self

    def __exit__(self, kind, error, _):
        if isinstance(error, NotImplementedError) or isinstance(error, RuntimeError):
            raise UserError(f'{self.path}: {error}; pack the archive again without that') from None
        if isinstance(error, (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error,
                              lzma.LZMAError, struct.error, IndexError)):
            raise UserError(f'{self.path}: damaged archive ({error}); get the file again') from None


def _safe_parts(path, name):
    """'a/./b' -> ['a', 'b']; None for what is hidden. Refuses names that lead out of the archive's folder."""
    if name.startswith('/') or '\\' in name or re.match('[A-Za-z]:', name) or '..' in name.split('/'):
        raise UserError(f'{path}: member {name!r} leads out of the archive; nothing was packed')
    parts = [part for part in name.split('/') if part not in ('', '.')]
    return None if not parts or any(map(_hidden, parts)) else parts


class Zip(_Archive):
    def list_members(self):
        self.archive = zipfile.ZipFile(self.file_path)
        for info in self.archive.infolist():
            mode = info.external_attr >> 16
            if stat.S_ISLNK(mode):
                _safe_link(self.file_path, info.filename, self.archive.read(info).decode('utf-8', 'replace'))
                self.bad.append((info.filename, 'a link'))
            elif not info.is_dir():
                yield info.filename, info

    def read(self, info):
        return self.archive.read(info)


class _Tar(_Archive):
    def list_members(self):
        self.archive = tarfile.open(self.file_path)
        for member in self.archive:
            self.archive.members = []  # tarfile keeps them all; we keep what we need
            if member.issym() or member.islnk():
                base = os.path.dirname(member.name) if member.issym() else ''
                _safe_link(self.file_path, member.name, member.linkname, base)
                self.bad.append((member.name, 'a link'))
            elif member.isreg():
                yield member.name, self.remember(member)
            elif not member.isdir():
                self.bad.append((member.name, 'not a file'))


def _safe_link(path, name, target, base=None):
    base = os.path.dirname(name) if base is None else base
    if target.startswith('/') or os.path.normpath(os.path.join(base, target)).split('/')[0] == '..':
        raise UserError(f'{path}: member {name!r} is a link out of the archive, to {target!r}; nothing was '
                        f'packed')


class PlainTar(_Tar):
    """An archive that is not compressed: members are read where they lie."""
    def remember(self, member):
        if member.sparse is not None:
            raise UserError(f'{self.file_path}: member {member.name!r} is a sparse file; pack the archive '
                            f'again')
        return member.offset_data, member.size

    def read(self, member):
        offset, size = member
        self.archive.fileobj.seek(offset)
        data = self.archive.fileobj.read(size)
        if len(data) < size:
            raise EOFError('it ends within a member')
        return data


class StreamedTar(_Tar):
    """A compressed archive, read from front to back as often as `STREAM_WINDOW` makes it necessary."""
    def __init__(self, path, inside):
        self.ordinal, self.loaded, self.loaded_bytes, self.loaded_to = 0, {}, 0, None
        super().__init__(path, inside)

    def remember(self, member):
        ordinal = self.ordinal
        self.ordinal += 1
        if self.loaded is not None:  # small enough so far to be kept at once
            self.loaded_bytes += member.size
            if self.loaded_bytes <= STREAM_WINDOW:
                self.loaded[ordinal] = self.archive.extractfile(member).read()
            else:
                self.loaded = None
        return ordinal, member.size

    def items(self, order, start, stop):
        if self.loaded is None or (self.loaded_to is not None and stop > self.loaded_to):
            self._load(order, start, stop)
        return super().items(order, start, stop)

    def _load(self, order, start, stop):
        end, total, wanted = start, 0, set()
        while end < len(order) and (total < STREAM_WINDOW or end < stop):
            ordinal, size = self.member(order[end])
            wanted.add(ordinal)
            total += size
            end += 1
        self.loaded, self.loaded_to, ordinal = {}, end, 0
        with self.reading(), tarfile.open(self.file_path) as archive:
            for member in archive:
                archive.members = []
                if member.isreg():
                    if ordinal in wanted:
                        self.loaded[ordinal] = archive.extractfile(member).read()
                        if len(self.loaded) == len(wanted):
                            break
                    ordinal += 1

    def read(self, member):
        if self.loaded is None:
            raise UserError(f'{self.file_path}: too large to be read at once; unpack it first')
        return self.loaded.pop(member[0])


def _unpacked_head(path):
    """The first bytes of a file, decompressed if it is gzip, bzip2 or xz."""
    import bz2
    import gzip
    with open_to_read(path) as file:
        head = file.read(6)
    opener = {b'\x1f\x8b': gzip.open, b'BZ': bz2.open, b'\xfd7': lzma.open}.get(head[:2], open)
    try:
        with opener(path, 'rb') as file:
            return file.read(512)
    except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise UserError(f'{path}: damaged ({error}); get the file again') from None


# ---- lists

class List:
    """A list in im2rec's format. What its paths lead to must lie in `root`."""
    classes = None
    shuffle = False
    follow_links = False

    def __init__(self, path, root):
        self.root, self.bad = os.path.abspath(root), []
        if not os.path.isdir(self.root):
            raise UserError(f'{root}: not a folder (--root)')
        self.ids, self.paths, self.all_labels = array('Q'), [], []
        same, safe = {}, set()
        for index, labels, name in read_list(path):
            folder = os.path.dirname(name)
            if folder not in safe:
                self._check_folder(path, name, folder)
                safe.add(folder)
            if name.rsplit('/', 1)[-1] in ('..', '.'):
                raise UserError(f'{path}: {name!r} is not a file')
            self.ids.append(index)
            self.paths.append(name)
            self.all_labels.append(same.setdefault(labels, labels))
        self.count = len(self.ids)
        if not self.count:
            raise UserError(f'{path}: an empty list')

    def _check_folder(self, path, name, folder):
        real, root = os.path.realpath(os.path.join(self.root, folder)), os.path.realpath(self.root)
        if name.startswith('/') or '..' in name.split('/') or not (real + '/').startswith(root.rstrip('/')
                                                                                          + '/'):
            raise UserError(f'{path}: {name!r} leads out of {self.root}; nothing was packed (--root names '
                            f'the folder of the images)')

    def labels(self, number):
        return self.all_labels[number]

    def path(self, number):
        return self.paths[number]

    def items(self, order, start, stop):
        return [(self.ids[number], self.all_labels[number], self.paths[number], None)
                for number in order[start:stop]]

    def fingerprint(self):
        digest = hashlib.sha256(self.root.encode('utf-8', 'surrogateescape') + self.ids.tobytes())
        for path, labels in zip(self.paths, self.all_labels):
            digest.update(f'{path}\t{labels}\n'.encode('utf-8', 'surrogateescape'))
        return digest.hexdigest()


# ---- packs

class Packs:
    """The images of RecordIO packs, one pack after the other, with the ids and paths that they have there.

    Parameters
    ----------
    paths : list of str
    renumber : bool, default False
        Give new ids from 0; otherwise an id in two of them is an error.
    """
    shuffle = False
    root = None
    follow_links = False

    def __init__(self, paths, renumber=False):
        self.files, self.bad = paths, []
        self.ids, self.offsets, self.starts, self.all_labels, self.paths = array('Q'), array('Q'), [], [], []
        known = [(path, names) for path, names in ((path, read_classes(path)) for path in paths) if names]
        for path, names in known[1:]:
            if names != known[0][1]:
                raise UserError(f'{path}: its classes are not those of {known[0][0]} (see their '
                                f'.classes.txt); the same label would mean two things')
        self.classes = known[0][1] if known else None
        self.handles = [open_to_read(path) for path in paths]
        self.sizes = [file.seek(0, os.SEEK_END) for file in self.handles]
        same, seen = {}, {}
        for number, path in enumerate(paths):
            self.starts.append(len(self.ids))
            checksums = read_checksums(beside(path, '.crc'))[2] if os.path.exists(beside(path,
                                                                                         '.crc')) else None
            for position, (record, image, name) in enumerate(read_listed(path)):
                index = len(self.ids) if renumber else image.id
                if not renumber:
                    if index in seen:
                        raise UserError(f'{path}: id {index} at offset {record.offset} is already in '
                                        f'{paths[seen[index]]}; `rec merge --renumber` gives new ids')
                    seen[index] = number
                if checksums is not None and checksums[position:position + 1] != array('Q', [record.crc]):
                    raise UserError(f'{path}: record number {position}, id {image.id}, at offset '
                                    f'{record.offset} is not what the .crc says; `rec verify` tells more')
                self.ids.append(index)
                self.offsets.append(record.offset)
                self.all_labels.append(same.setdefault(image.labels, image.labels))
                self.paths.append(name)
            if checksums is not None and len(checksums) != len(self.ids) - self.starts[-1]:
                raise UserError(f'{path}: {len(self.ids) - self.starts[-1]} records, its .crc knows '
                                f'{len(checksums)}; `rec verify` tells more')
        self.count = len(self.ids)
        if not self.count:
            raise UserError(f'{paths[0]}: holds no records')

    def labels(self, number):
        return self.all_labels[number]

    def path(self, number):
        return self.paths[number]

    def items(self, order, start, stop):
        items = []
        for number in order[start:stop]:
            file = bisect.bisect(self.starts, number) - 1
            record = read_record(self.handles[file], self.offsets[number], self.sizes[file])
            items.append((self.ids[number], self.all_labels[number], self.paths[number],
                          parse_image(record).data))
        return items

    def fingerprint(self):
        stats = [os.stat(path) for path in self.files]
        return ' '.join(f'{os.path.abspath(path)} {info.st_size} {info.st_mtime_ns}'
                        for path, info in zip(self.files, stats))


# ---- arrays of pixels

class Pixels:
    """Images (N, H, W) or (N, H, W, 3) and their labels (N,) in memory.

    Their paths are those that `to-images` would give them.
    """
    shuffle = False
    root = None
    follow_links = False

    def __init__(self, images, labels, classes=None):
        self.images, self.numbers, self.classes = images, labels, classes
        self.count, self.bad = len(images), []
        self.digits = max(5, len(str(self.count - 1)))

    def labels(self, number):
        return (float(self.numbers[number]),)

    def path(self, number):
        label = int(self.numbers[number])
        return f'{self.classes[label] if self.classes else label}/{number:0{self.digits}}.png'

    def items(self, order, start, stop):
        return [(number, self.labels(number), self.path(number), self.images[number])
                for number in order[start:stop]]

    def fingerprint(self):
        return hashlib.sha256(self.images.tobytes() + self.numbers.tobytes()).hexdigest()


def _idx(path, labels_path):
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
    return Pixels(images, labels)


def _read_file(path):
    from data_tools.idx import read_file  # needs NumPy, which folders and lists do not
    return read_file(path)


def _cifar(files, path):
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
    return Pixels(np.ascontiguousarray(pixels), np.concatenate(labels), _CIFAR_CLASSES)


def _load_cifar_pickle(name, data, path):
    digest = hashlib.md5(data).hexdigest()
    if CIFAR_PICKLES.get(name) != digest:
        raise UserError(f'{path}: {name} is a pickle, which may run any program, and not the published one '
                        f'(MD5 {digest} instead of {CIFAR_PICKLES.get(name)}); get it again or use the '
                        f'binary version')
    return pickle.loads(data, encoding='bytes')


def _in_archive(source):
    """A class folder in an archive, or CIFAR-10's batches in one."""
    batches = source.cifar_batches
    if not batches:
        return source
    with source.reading():
        return _cifar({name.rsplit('/', 1)[-1]: source.read(batches[name]) for name in sorted(batches)},
                      source.shown)
