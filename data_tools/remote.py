"""Class folders and archives that lie elsewhere, and packs that are to be written there, by `fsspec`: s3://, hdfs://,
http://, ...

The images of a folder are fetched here, a chunk at a time and several at once, and go to the workers as those of an
archive do. An archive is fetched as a whole, since its members are read in another order than they lie. A pack is made
on the local disk, where an interrupted call can go on, and sent when it is whole.
"""
import contextlib
import hashlib
import json
import os
import re
import shutil
import tempfile
import urllib.parse
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, Sequence, Tuple

from data_tools.errors import UserError
from data_tools.sources import Folder, Item, Listing, _safe_parts


def _file_system(url: str) -> Tuple[Any, str]:
    """(fsspec's file system, path in it)"""
    try:
        import fsspec
    except ImportError:
        raise UserError(f'{url}: needs fsspec: pip install -e .[remote]') from None
    try:
        return fsspec.core.url_to_fs(url)
    except (ImportError, ValueError) as error:  # fsspec says which package it wants for this protocol
        raise UserError(f'{url}: {" ".join(str(error).split())}') from None


@contextlib.contextmanager
def _told(url: str) -> Iterator[None]:
    """Whatever a file system raises becomes one line: each has exceptions of its own."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError:
        raise UserError(f'{url}: no such folder') from None
    except Exception as error:
        raise UserError(f'{url}: {type(error).__name__}: {" ".join(str(error).split())}') from None


class Fetched(NamedTuple):
    """An archive that lies elsewhere, and its copy here."""
    url: str     # of the archive itself
    inside: str  # the folder in it that was asked for
    local: str   # path of the copy
    stamp: str   # changes when the archive does
    folder: 'tempfile.TemporaryDirectory[str]'  # in which the copy lies; gone when nobody holds it any more


_ARCHIVE_NAME = re.compile(r'.+\.(zip|tar|tar\.gz|tgz|tar\.bz2|tbz2|tar\.xz|txz)', re.IGNORECASE)


def fetched(url: str) -> Optional[Fetched]:
    """Copy the archive at `url`, or above it (`s3://bucket/flowers.zip/train`), to the folder for temporary files
    ($TMPDIR); None if no part of `url` is called like an archive, or all that are, are folders.

    Raises
    ------
    UserError
        It cannot be read.
    """
    protocol, _, rest = url.partition('://')
    parts = rest.split('/')
    for number, part in enumerate(parts):
        if number == 0 or not _ARCHIVE_NAME.fullmatch(part.split('?')[0]):
            continue
        archive = f'{protocol}://{"/".join(parts[:number + 1])}'
        files, place = _file_system(archive)
        with _told(archive):
            if not files.isfile(place):
                continue
            info = files.info(place)
            folder = tempfile.TemporaryDirectory(prefix='bookcnn-')
            local = os.path.join(folder.name, 'archive')
            files.get_file(place, local)
        size = os.path.getsize(local)
        if info.get('size') not in (None, size):
            raise UserError(f'{archive}: {size} of {info["size"]} bytes came; try again')
        changes = [info.get(key) for key in ('ETag', 'LastModified', 'mtime', 'created')]
        return Fetched(archive, '/'.join(parts[number + 1:]).rstrip('/'), local, f'{size} {changes}', folder)
    return None


class RemoteFolder(Folder):
    """A class folder that `fsspec` reaches."""
    root = None
    follow_links = False

    def __init__(self, url: str, listing: Listing = Listing()) -> None:
        self.name, self.listing = url, listing
        self.bad, self.others, self.notes = [], [], []
        self.files, base = _file_system(url)
        with _told(url):
            found = self.files.find(base, detail=True)
        if not found:
            raise UserError(f'{url}: no such folder, or nothing in it')
        base = base.rstrip('/') + '/'
        self.places: Dict[str, str] = {}  # name below `url`: the file system's path
        trees: Dict[str, List[str]] = {}
        digest = hashlib.sha256(url.encode())
        for place, info in sorted(found.items()):
            name = place[len(base):] if place.startswith(base) else place.lstrip('/')[len(base.lstrip('/')):]
            if '://' in base:  # names in web addresses are quoted
                name = urllib.parse.unquote(name)
            parts = _safe_parts(url, name)
            if parts is None:
                continue
            name = '/'.join(parts)
            self.places[name] = place
            digest.update(f'{name} {info.get("size")} {info.get("LastModified") or info.get("mtime")}\n'.encode())
            folder, _, rest = name.partition('/')
            if not rest:
                folder, rest = '', folder
            if not folder or not self._ignored(folder):
                trees.setdefault(folder, []).append(rest)
        self.digest = digest.hexdigest()
        trees = self._with_images(trees)
        loose = list(trees.pop('', ()))
        self._number(trees, loose, url)

    def _looks_like_an_image(self, path: str) -> bool:
        from data_tools.image_header import looks_like_an_image
        with _told(path):
            return looks_like_an_image(self.files.cat_file(self.places[path], start=0, end=16))

    def items(self, order: Sequence[int], start: int, stop: int) -> List[Item]:
        items = super().items(order, start, stop)
        with _told(self.name):
            found = self.files.cat([self.places[path] for _, _, path, _ in items])
        if isinstance(found, bytes):  # of a single one
            found = {self.places[items[0][2]]: found}
        return [(number, labels, path, found[self.places[path]]) for number, labels, path, _ in items]

    def fingerprint(self) -> str:
        return f'{self.digest} {self.folder_labels}'


@contextlib.contextmanager
def written_there(prefix: str, resume: bool = False) -> Iterator[str]:
    """Context manager that yields a local prefix; what the body writes under it is sent to `prefix`, the `.rec` last.

    Parts of an earlier call that are not written again are removed there. An interrupted call leaves its local files
    for `resume`.
    """
    files, path = _file_system(prefix)
    name = path.rstrip('/').rsplit('/', 1)[-1]
    name = name[:-4] if name.endswith('.rec') else name
    there = path.rstrip('/')[:-len(name)] if path.endswith(name) else path[:-len(name) - 4]
    work = os.path.join(tempfile.gettempdir(), 'bookcnn-' + hashlib.sha256(prefix.encode()).hexdigest()[:16])
    if not resume:
        shutil.rmtree(work, ignore_errors=True)
    os.makedirs(work, mode=0o700, exist_ok=True)
    if os.stat(work).st_uid != os.getuid():
        raise UserError(f'{work}: belongs to somebody else; set TMPDIR to a folder of your own')
    yield os.path.join(work, name)
    with _told(prefix):
        old = []
        if files.exists(f'{there}{name}.json'):
            with contextlib.suppress(ValueError, KeyError, TypeError):
                old = list(json.loads(files.cat_file(f'{there}{name}.json'))['packs'])
        made = sorted(entry.name for entry in os.scandir(work) if entry.is_file())
        for pack in sorted(set(old) | {file[:-4] for file in made if file.endswith('.rec')}):
            for ending in ('.rec', '.idx', '.lst', '.crc'):  # never the index of one beside the records of another
                if files.exists(f'{there}{pack}{ending}'):
                    files.rm_file(f'{there}{pack}{ending}')
        for ending in ('.bad.csv', '.duplicates.csv', '.classes.txt'):
            if files.exists(f'{there}{name}{ending}'):
                files.rm_file(f'{there}{name}{ending}')
        files.makedirs(there.rstrip('/') or '/', exist_ok=True)
        for file in sorted(made, key=lambda file: (file.endswith('.rec'), file)):
            files.put_file(os.path.join(work, file), f'{there}{file}')
    shutil.rmtree(work)
