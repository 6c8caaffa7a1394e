"""`--data NAME` or `--data PATH`: the image set that somebody has, in whatever form.

`find` takes, of a path, the first of these that is there:

1. packs: `train.rec` with `val.rec` or `test.rec`, or `NAME_train.rec` with `NAME_val.rec` or `NAME_test.rec`;
2. four IDX files, compressed or not;
3. CIFAR-10's batches (`data_batch_1.bin` ... `test_batch.bin`);
4. class folders of images: `train/CLASS/*` with `val`, `valid`, `validation` or `test` beside it, or `CLASS/*` alone,
   of which a part is set aside to validate; one folder around them is looked through;
5. an archive of 3 or 4; of several the largest.

Images that are not packed yet are packed once, into `~/.bookcnn/packs`.
"""
import bz2
import contextlib
import csv
import fcntl
import gzip
import hashlib
import itertools
import json
import lzma
import os
import random
import re
import shutil
import struct
import sys
import tarfile
import zipfile
import zlib
from array import array
from dataclasses import dataclass, replace
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
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

from data_tools.atomic import PathLike, atomic_write, write_error
from data_tools.datasets import (
    CLASS_NAMES,
    CLASS_NAMES_ZH,
    HOME,
    IDX_NAME,
    NAMES,
    ImageDataset,
    check_root,
    first_few,
    folders_of,
    load,
    load_idx_folder,
    seen_in,
)
from data_tools.errors import UserError
from data_tools.fetch import SOURCES, fetch
from data_tools.recordio import open_to_read, read_classes

if TYPE_CHECKING:
    from data_tools.sources import Folder, Item, Source

FORMS = ('packs (train.rec and val.rec, or NAME_train.rec and NAME_val.rec), four IDX files, class folders of images '
         '(train/CLASS/* and val/CLASS/*, or CLASS/* alone), CIFAR-10\'s batches, or an archive of such folders (.zip, '
         '.tar, .tar.gz, .tar.xz)')
VALIDATION = ('val', 'valid', 'validation', 'test')  # what the part to validate may be called, in order of preference
SEED = 0
Known = Tuple[str, Tuple[str, ...]]  # (name, class names)
CIFAR10: Known = 'cifar10', CLASS_NAMES['cifar10']
_ARCHIVE = re.compile(r'(.+)\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)', re.IGNORECASE)
_IMAGE = re.compile(r'.+\.(jpe?g|png|bmp|tiff?|gif|webp|ppm|pgm)', re.IGNORECASE)
_STRANGER = 'in no class folder'  # why the packer leaves out a README beside the class folders: nothing is broken
_BATCH = re.compile(r'(data_batch_[1-5]|test_batch)(\.bin)?')
_CHINESE = {name: dict(zip(CLASS_NAMES[name], CLASS_NAMES_ZH[name])) for name in ('cifar10', 'fashion')}


@dataclass(frozen=True, eq=False)
class Packs:
    """Images in RecordIO packs, for training and to validate.

    Attributes
    ----------
    name : str
        The plain name of the folder or archive, for titles.
    train, validation : Path
        The `.rec`, each with its `.idx` beside it; absolute.
    class_names, class_names_zh : tuple of str
        In English and in Chinese; the latter as the former where it is not known. Numbers where the packs say nothing;
        empty where labels are no class numbers.
    note : str
        To be printed beside every figure measured on this set; empty where nothing needs to be said.
    said : str
        One line: what was taken, from where, how many.
    strokes : bool
        Light strokes on black as MNIST has them; never of packs.
    """
    name: str
    train: Path
    validation: Path
    class_names: Tuple[str, ...]
    class_names_zh: Tuple[str, ...]
    note: str = ''
    said: str = ''
    strokes: bool = False


def find(name: PathLike, data_root: Optional[PathLike] = None, split: float = 0.9) -> Union[ImageDataset, Packs]:
    """Find an image set, and pack it where it needs to be.

    Parameters
    ----------
    name : str
        'mnist', 'fashion', 'cifar10' or another of `data_tools.fetch.SOURCES`, which are looked up under `data_root`,
        then `$BOOKCNN_DATA`, then `~/.bookcnn/data` (each the folder of the set or the folder above it), then
        downloaded to the last; the name of any folder there; 'digits', which comes with scikit-learn; or the path of
        a folder or an archive (see above). The path may go on inside the archive (`flowers.zip/train`), and may be
        the prefix of packs (`packs/data` for `packs/data_train.rec`).
    data_root : path-like, optional
    split : float, default 0.9
        Share of each class that is for training, where nothing is set aside to validate.

    Returns
    -------
    datasets.ImageDataset (arrays) or Packs

    Raises
    ------
    UserError
        Nothing of the kind is there, or it is damaged or at odds with itself.
    """
    name = os.fspath(name)
    if not 0 < split < 1:
        raise UserError(f'split {split}: the share that is for training lies between 0 and 1')
    check_root(data_root)
    if name in NAMES and name != 'cifar10':
        return load(name, data_root)
    if name in SOURCES or '/' not in name and not os.path.exists(name):
        found = _find_named(name, data_root, split)
        if found is not None:
            return found
    path = Path(os.path.abspath(os.path.expanduser(name)))
    if path.is_dir():
        found = _in_folder(path, split)
        if found is None:
            raise UserError(f'{seen_in(path)}: no image set; give a folder of {FORMS}')
        return found
    if path.is_file():
        if path.suffix in ('.rec', '.idx', '.lst'):
            raise UserError(f'{path}: one pack is only a part of an image set; give its folder, {path.parent}, which '
                            'is to hold one for training and one to validate')
        found = _in_archive(path, '', split)
    else:
        found = _packs_in(path.parent, path.name) if path.parent.is_dir() else None
        above = next(parent for parent in path.parents if parent.exists())
        if found is None and above.is_file():
            found = _in_archive(above, path.relative_to(above).as_posix(), split)
    if found is None:
        raise UserError(f'{name}: no such data set, folder or archive; known are {", ".join(NAMES)}, any folder in '
                        f'{HOME / "data"} or $BOOKCNN_DATA by its name, and the path of a folder of {FORMS}')
    return found


def _find_named(name: str, data_root: Optional[PathLike], split: float) -> Union[None, ImageDataset, Packs]:
    """The set of a name in the first folder that holds it in any form; otherwise downloaded, or None."""
    only = CIFAR10 if name == CIFAR10[0] else None
    looked, home = [], HOME.expanduser() / 'data'
    for folder in folders_of(name, data_root) + [home / name]:
        folder = Path(os.path.abspath(folder))
        if folder.is_dir() and (only or folder.name == name):
            found = _in_folder(folder, split, only)
            if found is not None:
                return found
        looked.append(seen_in(folder))
    if name not in SOURCES:
        return None
    try:
        folder = fetch(name, home)
    except UserError as error:
        raise UserError(f'{error}; it is not in {", ".join(looked)}') from None
    return _in_folder(folder, split, only)


def _in_folder(folder: Path, split: float, only: Optional[Known] = None) -> Union[None, ImageDataset, Packs]:
    """The image set that a folder holds, or None; `only`: (name, class names) of the one that is wanted."""
    found: Union[None, ImageDataset, Packs] = _packs_in(folder)
    if only and found:
        known = found.class_names in (only[1], tuple(map(str, range(len(only[1])))))
        found = replace(found, name=only[0]) if known else None
    if found is None and not only:
        found = load_idx_folder(folder)
    if found is None:
        found = _unpacked(_Folder(folder), folder.name, split, only)
    if found is None:
        archives = [path for path in folder.iterdir() if _ARCHIVE.fullmatch(path.name) and path.is_file()]
        if archives:
            largest = max(archives, key=lambda path: (path.stat().st_size, path.name))
            why = f' (the largest of {len(archives)} archives)' if len(archives) > 1 else ''
            found = _in_archive(largest, '', split, only, why)
    return found


def _in_archive(archive: Path, inside: str, split: float, only: Optional[Known] = None,
                why: str = '') -> Optional[Packs]:
    """The image set in an archive, or in a folder of it."""
    match = _ARCHIVE.fullmatch(archive.name)
    name = match[1] if match else archive.stem
    found = _unpacked(_Archive(archive, inside, why), name, split, only)
    if found is None and not only:
        names = [name.rsplit('/', 1)[-1] for name in _names_in(archive)]
        packed = next((name for name in names if name.endswith('.rec') or IDX_NAME.fullmatch(name)), None)
        if packed:
            raise UserError(f'{archive}: holds {packed}; packs and IDX files are read where they lie: unpack it, and '
                            'give the folder')
        raise UserError(f'{archive}{"/" * bool(inside)}{inside}: no image set in this archive; it is to hold class '
                        'folders of images (train/CLASS/* and val/CLASS/*, or CLASS/* alone) or CIFAR-10\'s batches')
    return found


# ---- packs

def _packs_in(folder: Path, prefix: Optional[str] = None) -> Optional[Packs]:
    """The packs that a folder holds, or those of a prefix there; None if there are none."""
    names = sorted(path.name for path in folder.iterdir() if path.suffix == '.rec' and path.name[0] != '.')
    if prefix is not None:
        names = [each for each in names if each.rpartition('_')[0] == prefix]
    sets: Dict[str, Dict[str, Path]] = {}  # what stands before 'train' or 'val': {'train': file, ...}
    for each in names:
        match = re.fullmatch(r'(|.+_)(train|val|valid|validation|test)\.rec', each)
        if match:
            sets.setdefault(match.group(1), {})[match.group(2)] = folder / each
    if not names:
        return None
    whole = [parts for parts in sets.values() if 'train' in parts and len(parts) > 1]
    if not whole:
        shards = next((each for each in names if re.fullmatch(r'.*train_\d+\.rec', each)), None)
        if shards:
            raise UserError(f'{folder / shards}: is a part of a pack; put them together with `python -m data_tools rec '
                            'merge`')
        raise UserError(f'{folder}: holds {first_few(names)}, but a set is one pack for training and one to validate '
                        f'(train.rec and val.rec, or NAME_train.rec and NAME_val.rec); `python -m data_tools rec split '
                        f'{folder / names[0]} {folder / "data"} --split train=0.9,val=0.1` makes them')
    if '' in sets and sets[''] in whole:
        whole = [sets['']]
    if len(whole) > 1:
        prefixes = [each[:-1] for each, parts in sets.items() if parts in whole]
        raise UserError(f'{folder}: holds packs of several sets, {first_few(prefixes)}; give one of them, such as '
                        f'{folder / prefixes[0]}')
    parts = whole[0]
    train, (validation, *aside) = parts['train'], [parts[part] for part in VALIDATION if part in parts]
    for path in (train, validation):
        if not path.with_suffix('.idx').is_file():
            raise UserError(f'{path}: its index {path.with_suffix(".idx").name} is missing; `python -m data_tools rec '
                            f'index {path}` makes it')
    said = (f'packs {train.name} and {validation.name} of {folder}: {_count(train):,} images for training, '
            f'{_count(validation):,} to validate')
    if aside:
        said += f'; {first_few([path.name for path in aside])} left aside'
    return _with_classes(folder.name, train, validation, '', said)


def _with_classes(name: str, train: Path, validation: Path, note: str, said: str) -> Packs:
    """`Packs` with the names of the classes, on which both packs must agree."""
    names, others = (read_classes(path) for path in (train, validation))
    if names and others and names != others:
        number = next((number for number, pair in enumerate(zip(names, others)) if pair[0] != pair[1]),
                      min(len(names), len(others)))
        first, second = (repr(each[number]) if number < len(each) else 'nothing' for each in (names, others))
        raise UserError(f'{train} and {validation} do not have the same classes: class {number} is {first} in the one, '
                        f'{second} in the other; pack both from folders of the same names')
    known = tuple(names or others or _numbers(train, validation))
    chinese = next((tuple(table[each] for each in known) for table in _CHINESE.values()
                    if all(each in table for each in known)), known)
    return Packs(name, train, validation, known, chinese if known else (), note, said)


def _numbers(*paths: Path) -> Tuple[str, ...]:
    """('0', '1', ...) up to the largest label of the packs; nothing if labels are not such numbers."""
    import numpy as np

    from data_tools.recordio import read_labels
    labels = [read_labels(path) for path in paths]
    if any(each.ndim > 1 or (each < 0).any() or (each != np.floor(each)).any() for each in labels):
        return ()
    return tuple(map(str, range(int(max(each.max() for each in labels)) + 1)))


def _count(path: Path) -> int:
    """How many records a pack has, by its index."""
    with open(path.with_suffix('.idx'), 'rb') as file:
        return sum(1 for line in file if line.strip())


# ---- images that are still to be packed

class _Folder:
    """A folder that may hold class folders, or CIFAR-10's batches.

    Attributes
    ----------
    path : Path
    inside : str
        The place in it from which to look; places are paths relative to `path`, '' is all of it.
    why : str
        Why this one, for `said`.
    """
    inside = why = ''

    def __init__(self, path: Path) -> None:
        self.path = path

    def below(self, place: str) -> Tuple[List[str], List[str]]:
        """(names of the folders, names of the files) at a place, without those that are hidden."""
        folders: List[str] = []
        files: List[str] = []
        try:
            with os.scandir(self.path / place) as entries:
                for entry in entries:
                    if not _hidden(entry.name):
                        (folders if entry.is_dir() else files).append(entry.name)
        except OSError as error:
            raise UserError(f'{self.path / place}: cannot be read ({error.strerror})') from None
        return sorted(folders), sorted(files)

    def walk(self, place: str) -> Iterator[str]:
        """Yield the places of all files below a place."""
        waiting = [place]
        while waiting:
            at = waiting.pop()
            folders, files = self.below(at)
            yield from (_join(at, name) for name in files)
            waiting += [_join(at, name) for name in reversed(folders)]

    def digest(self, layout: Optional['_Layout'], split: float) -> str:
        """Another one when a file is added, taken away, renamed or changed; the same when the folder moves."""
        assert layout is not None  # an archive alone does not need it
        places = [layout.train] if layout.batches or not layout.validation else [layout.train, layout.validation]
        digest = hashlib.sha256(f'{places} {"" if layout.validation else split}\n'.encode('utf-8', 'backslashreplace'))
        for place in places:
            for name in self.walk(place):
                try:
                    info = os.stat(self.path / name)
                except OSError:  # a broken link: the packer lists it
                    continue
                digest.update(f'{name}\0{info.st_size}\0{info.st_mtime_ns}\n'.encode('utf-8', 'surrogateescape'))
        return digest.hexdigest()[:16]


    @contextlib.contextmanager
    def to_read(self, folder: Path) -> Iterator[Path]:
        """Context: the path that the packer is to read; `folder` is for a copy that goes afterwards."""
        yield self.path


class _Archive(_Folder):
    """The same in an archive."""
    def __init__(self, path: Path, inside: str, why: str) -> None:
        self.path, self.inside, self.why = path, inside, why
        self._tree: Optional[Dict[str, Tuple[Set[str], List[str]]]] = None  # (folders, files) of each place

    def below(self, place: str) -> Tuple[List[str], List[str]]:
        if self._tree is None:
            self._tree = {}
            for name in _names_in(self.path):
                parts = [part for part in name.split('/') if part not in ('', '.')]
                if any(map(_hidden, parts)):
                    continue
                above = ''
                for part in parts[:-1]:
                    self._tree.setdefault(above, (set(), []))[0].add(part)
                    above = _join(above, part)
                self._tree.setdefault(above, (set(), []))[1].append(parts[-1])
        folders, files = self._tree.get(place, ((), ()))
        return sorted(folders), sorted(files)

    def digest(self, layout: Optional['_Layout'], split: float) -> str:
        info = self.path.stat()
        return hashlib.sha256(f'{self.inside}\0{info.st_size}\0{info.st_mtime_ns}\0{split}'.encode(
            'utf-8', 'surrogateescape')).hexdigest()[:16]


    @contextlib.contextmanager
    def to_read(self, folder: Path) -> Iterator[Path]:
        """A compressed .tar can only be read from front to back, and both packs are in another order: decompressed."""
        with open_to_read(self.path) as file:
            head = file.read(2)
        openers: Dict[bytes, Callable[..., Any]] = {b'\x1f\x8b': gzip.open, b'BZ': bz2.open, b'\xfd7': lzma.open}
        opener = openers.get(head)
        if opener is None:
            yield self.path
            return
        plain = folder / 'unpacked.tar'
        try:
            try:
                with open(plain, 'wb') as output, opener(self.path) as file:
                    shutil.copyfileobj(file, output, 1 << 20)
            except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile) as error:
                raise _damaged(self.path, error) from None
            except OSError as error:
                raise write_error(error, plain) from None
            info = self.path.stat()
            os.utime(plain, ns=(info.st_mtime_ns, info.st_mtime_ns))  # an interrupted call goes on with an equal file
            yield plain
        except UserError as error:
            raise UserError(str(error).replace(str(plain), str(self.path))) from None
        finally:
            with contextlib.suppress(OSError):
                plain.unlink()


def _hidden(name: str) -> bool:
    return name[0] == '.' or name == '__MACOSX'


def _join(place: str, name: str) -> str:
    return f'{place}/{name}' if place else name


def _names_in(path: Path) -> List[str]:
    """The names of the files in an archive."""
    try:
        with open_to_read(path) as file:
            head = file.read(4)
        if head in (b'PK\3\4', b'PK\5\6'):  # zipfile.is_zipfile would take a .tar that ends with a .zip for one
            with zipfile.ZipFile(path) as archive:
                return [info.filename for info in archive.infolist() if not info.is_dir()]
        names = []
        with tarfile.open(path) as archive:
            for member in archive:
                archive.members = []  # type: ignore[attr-defined]  # tarfile keeps them all; not in its stubs
                if member.isfile():
                    names.append(member.name)
        return names
    except tarfile.ReadError as error:
        if not _ARCHIVE.fullmatch(path.name):
            raise UserError(f'{path}: neither a folder nor an archive; give a folder of {FORMS}') from None
        raise _damaged(path, error) from None
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError, ValueError, zlib.error, lzma.LZMAError,
            struct.error) as error:
        raise _damaged(path, error) from None


def _damaged(path: Path, error: Exception) -> UserError:
    reason = (str(error) or 'it ends early').splitlines()[0].rstrip(':')
    return UserError(f'{path}: damaged archive ({reason}); get the file again')


class _Layout(NamedTuple):
    """Where the images lie."""
    train: str
    validation: str  # '': a part of `train`
    aside: tuple     # further parts, which are not used
    batches: bool    # CIFAR-10's


def _layout(tree: _Folder, only: Optional[Known] = None) -> Optional[_Layout]:
    """Find the class folders, or CIFAR-10's batches, of a `_Folder`; None if it holds neither."""
    at = tree.inside
    for _ in range(2):  # one folder around everything is looked through
        folders, files = tree.below(at)
        if any(_BATCH.fullmatch(name) for name in files):
            return _Layout(at, _join(at, _test_batch(tree, at, files)), (), True)
        named = {name.lower(): _join(at, name) for name in folders}
        parts = [named[part] for part in ('train',) + VALIDATION if part in named and tree.below(named[part])[0]]
        if parts and parts[0] == named.get('train'):
            found = _Layout(parts[0], parts[1] if len(parts) > 1 else '', tuple(parts[2:]), False)
            break
        if 'cifar-10-batches-bin' in folders:
            at = _join(at, 'cifar-10-batches-bin')
        elif len(folders) == 1 and not files and tree.below(_join(at, folders[0]))[0]:
            at = _join(at, folders[0])
        elif len(folders) == 1 and any(map(_BATCH.fullmatch, tree.below(_join(at, folders[0]))[1])):
            at = _join(at, folders[0])
        else:
            found = _Layout(at, '', (), False)
            break
    else:
        found = _Layout(at, '', (), False)
    if only and tuple(tree.below(found.train)[0]) != only[1]:
        return None
    images = others = 0
    for folder in tree.below(found.train)[0]:
        for name in itertools.islice(tree.walk(_join(found.train, folder)), 2000):
            if _IMAGE.fullmatch(name):
                images += 1
            else:
                others += 1
    return found if images > others else None


def _test_batch(tree: _Folder, at: str, files: List[str]) -> str:
    """The name of CIFAR-10's test batch, all the others being there."""
    ending = '.bin' if any(_BATCH.fullmatch(name) and name.endswith('.bin') for name in files) else ''
    for name in [f'data_batch_{number}{ending}' for number in range(1, 6)] + [f'test_batch{ending}']:
        if name not in files:
            raise UserError(f'{tree.path / at}: {name} of CIFAR-10\'s batches is missing; get it')
    return f'test_batch{ending}'


def _unpacked(tree: _Folder, name: str, split: float, only: Optional[Known] = None) -> Optional[Packs]:
    """Pack what a folder or archive holds, unless that is done; None if it holds no images in class folders."""
    name, layout = only[0] if only else name, None
    if not isinstance(tree, _Archive):
        layout = _layout(tree, only)
        if layout is None:
            return None
    folder = HOME.expanduser().absolute() / 'packs' / f'{name[:100]}-{tree.digest(layout, split)}'
    about = _about(folder)
    if about is None:  # to look into a large archive takes time, so that is left to now
        layout = layout or _layout(tree, only)
        if layout is None:
            return None
        about = _pack(tree, layout, split, folder)
    train, validation = folder / 'train.rec', folder / 'val.rec'
    said = (f'{about["what"]} {tree.path}{"/" * bool(tree.inside)}{tree.inside}{tree.why}: {_count(train):,} images '
            f'for training, {_count(validation):,} to validate{about["how"]}, packed into {folder}')
    return _with_classes(name, train, validation, f'{name}: {about["note"]}' if about['note'] else '', said)


def _about(folder: Path) -> Optional[Dict[str, str]]:
    """What is to be said of packs made before; None where they are not whole."""
    try:
        with open(folder / 'about.json', encoding='utf-8') as file:
            about = json.load(file)
    except (OSError, ValueError):
        return None
    files = [folder / f'{part}{ending}' for part in ('train', 'val') for ending in ('.rec', '.idx')]
    return about if all(path.is_file() for path in files) else None


def _pack(tree: _Folder, layout: _Layout, split: float, folder: Path) -> Dict[str, str]:
    """Pack both parts; `about.json` comes last, and says that they are whole."""
    from data_tools.pack import Job, pack
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = open(folder / 'lock', 'w')
    except OSError as error:
        raise write_error(error, folder) from None
    with lock:
        fcntl.lockf(lock, fcntl.LOCK_EX)  # a second process waits here, and then finds them
        about = _about(folder)
        if about is not None:
            return about
        # What is predicted from a file is upright and on white; so is what is trained on.
        job = Job(encoding='png') if layout.batches else Job(upright=True, background='white')
        # An interrupted call goes on where it stopped, if it was about the same files in the same place.
        begun, plan = folder / 'begun', f'{tree.path}\n{job}\n'
        resume = begun.is_file() and begun.read_text(encoding='utf-8', errors='surrogateescape') == plan
        begun.write_text(plan, encoding='utf-8', errors='surrogateescape')
        with tree.to_read(folder) as path:
            train, validation, notes = _batches(path, layout) if layout.batches else _class_folders(path, layout, split)
            print(f'packing {tree.path} into {folder}, once', file=sys.stderr)
            total = sum(source.count + sum(reason != _STRANGER for _, reason in source.bad)
                        for source in (train, validation))
            if not (resume and (folder / 'val.rec').is_file() and not (folder / 'val.part').exists()):
                pack(validation, str(folder / 'val'), job, shuffle=True, seed=SEED, resume=resume)
            pack(train, str(folder / 'train'), job, shuffle=True, seed=SEED, resume=resume)
        bad = [row for part in ('train', 'val') for row in _bad(folder / f'{part}.bad.csv')]
        if bad:
            line = (f'{len(bad):,} of {total:,} files are broken and left out: '
                    + first_few([f'{path} ({reason})' for path, reason in bad]))
            print(line, file=sys.stderr)
            notes.insert(0, line)
        how = '' if layout.validation else f' (split {split:g}, seed {SEED})'
        if layout.aside:
            how += f' ({first_few(layout.aside)} left aside)'
        about = {'what': "CIFAR-10's batches in" if layout.batches else 'class folders of', 'how': how,
                 'note': '; '.join(notes)}
        with atomic_write(folder / 'about.json', text=True) as file:
            json.dump(about, file)
        return about


def _bad(path: Path) -> List[Tuple[str, str]]:
    """[(path, reason)] of the images that a pack had to leave out."""
    try:
        with open(path, newline='', encoding='utf-8', errors='surrogateescape') as file:
            return [(row['path'], row['reason']) for row in csv.DictReader(file)
                    if row['action'] == 'skipped' and row['reason'] != _STRANGER]
    except FileNotFoundError:
        return []


def _batches(path: Path, layout: _Layout) -> Tuple['Source', 'Source', List[str]]:
    """CIFAR-10's two parts as sources of the packer."""
    from data_tools.sources import open_source
    return open_source(str(path / layout.train)), open_source(str(path / layout.validation)), []


def _class_folders(path: Path, layout: _Layout, split: float) -> Tuple['Source', 'Source', List[str]]:
    """Both parts as sources of the packer, and what is to be noted of them."""
    train = _open_folder(path / layout.train)
    notes: List[str] = []
    if layout.validation:
        validation = _open_folder(path / layout.validation)
        names, others = (_class_names(source, train.classes is None) for source in (train, validation))
        for name in others:
            if name not in names:
                raise UserError(f'{path / layout.validation}: holds a folder {name}, but {layout.train} does not; both '
                                'are to have the same class folders')
        absent = [name for name in names if name not in others]
        if absent:
            notes.append(f'{layout.validation} has no images of {first_few(absent)}')
        return train, _Part(validation, range(validation.count), train.classes, validation.bad), notes
    chosen, left, single = _divide(train, split)
    if not left:
        raise UserError(f'{path / layout.train}: no class has two images, so that none can be '
                        'set aside to validate; add some')
    if single:
        alone = first_few([train.path(number).split('/')[0] for number in single])
        notes.append(f'{alone} with a single image: trained on, never validated')
    return _Part(train, chosen, train.classes, train.bad), _Part(train, left, train.classes), notes


def _open_folder(path: Path) -> 'Folder':
    from data_tools.sources import Folder, open_source
    source = open_source(str(path))
    assert isinstance(source, Folder)
    return source


def _class_names(source: 'Folder', numbers: bool) -> List[str]:
    """The names of the class folders; numbers: without leading zeros."""
    return [str(int(name)) if numbers and name.isdecimal() else name for name in source.folders]


def _divide(source: 'Source', share: float) -> Tuple['array[int]', 'array[int]', List[int]]:
    """(numbers to train on, numbers to validate, those that are alone in their class): each class by its share.

    Of two images or more, one at least is in each part. Equal images go to one part, and count as one.
    """
    from data_tools.pack import equal_images
    classes: Dict[float, List[int]] = {}
    followers: Dict[int, List[int]] = {}  # number: those that are equal to it
    first_of = equal_images(source)
    for number in range(source.count):
        if number in first_of:
            followers.setdefault(first_of[number], []).append(number)
        else:
            classes.setdefault(source.labels(number)[0], []).append(number)
    generator, parts, single = random.Random(SEED), (array('Q'), array('Q')), []
    for label, numbers in sorted(classes.items()):
        generator.shuffle(numbers)
        edge = min(max(round(len(numbers) * share), 1), max(len(numbers) - 1, 1))
        for part, chosen in zip(parts, (numbers[:edge], numbers[edge:])):
            for number in chosen:
                part.extend([number] + followers.get(number, []))
        if len(numbers) == 1:
            single += numbers
    return parts + (single,)


class _Part:
    """Some images of a class folder, as a `Source` of the packer, with labels by other class names."""
    def __init__(self, source: 'Folder', numbers: Iterable[int], classes: Optional[List[str]],
                 bad: Iterable[Tuple[str, str]] = ()) -> None:
        self.source, self.numbers, self.classes = source, array('Q', numbers), classes
        self.count, self.root, self.follow_links = len(self.numbers), source.root, source.follow_links
        self.shuffle, self.bad = source.shuffle, list(bad)
        self.name = source.name
        self.notes: List[str] = []
        self.others: List[str] = []
        self._new: Dict[Tuple[float, ...], Tuple[float, ...]] = {} if classes is None else {
            label: (float(classes.index(name)),) for label, name in zip(source.folder_labels, source.folders)}
        self._order: Optional[Sequence[int]] = None
        self._mapped = array('Q')  # the same in the numbers of `source`

    def labels(self, number: int) -> Tuple[float, ...]:
        labels = self.source.labels(self.numbers[number])
        return self._new.get(labels, labels)

    def path(self, number: int) -> str:
        return self.source.path(self.numbers[number])

    def metadata(self, number: int) -> bool:
        return self.source.metadata(self.numbers[number])

    def items(self, order: Sequence[int], start: int, stop: int) -> List['Item']:
        if order is not self._order:
            self._order, self._mapped = order, array('Q', (self.numbers[number] for number in order))
        return [(index, self._new.get(labels, labels), path, data)
                for index, labels, path, data in self.source.items(self._mapped, start, stop)]

    def fingerprint(self) -> str:
        return f'{self.source.fingerprint()} {zlib.crc32(self.numbers.tobytes())} {self.classes}'
