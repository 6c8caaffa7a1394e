"""Find the RecordIO packs of a data set, and make those of CIFAR-10 where only its archive is there."""
import os
import sys
import tarfile
import tempfile
from pathlib import Path

from data_tools.atomic import atomic_write
from data_tools.datasets import HOME, folders_of
from data_tools.errors import UserError
from data_tools.fetch import fetch
from data_tools.pack import Job, pack
from data_tools.recordio import read_index
from data_tools.sources import open_source

_JPEGS, _BINARY = 'cifar10_jpeg.tar.xz', 'cifar-10-binary.tar.gz'
JPEG_NOTE = 'cifar10: JPEG copies of quality about 75, a little harder than the original images'


def find_packs(name, data_root=None):
    """The packs of a data set.

    Parameters
    ----------
    name : str
        A folder that holds `train.rec` and `test.rec` (or `val.rec`), as `data_tools pack` writes them; or 'cifar10',
        which is looked up as `datasets.load` does, packed if only its archive is found (under ~/.bookcnn/packs), and
        downloaded if nothing is.
    data_root : path-like, optional

    Returns
    -------
    (Path, Path, str)
        Training pack, validation pack, and a note to print beside every figure.

    Raises
    ------
    UserError
        Nothing of the kind is there.
    """
    if name != 'cifar10':
        found = _packs_in(Path(name).expanduser())
        if not found:
            raise UserError(f'{name}: not a folder with train.rec and test.rec; make them with '
                            f'`python -m data_tools pack SRC {name}/train`')
        return found + ('',)
    folders = folders_of(name, data_root) + [HOME.expanduser() / 'data' / name]
    for folder in folders:
        found = _packs_in(folder)
        if found:
            return found + ('',)
        for archive, note in ((_BINARY, ''), (_JPEGS, JPEG_NOTE)):
            if (folder / archive).is_file():
                return _pack_cifar10(folder / archive) + (note,)
    return _pack_cifar10(Path(fetch(name, HOME.expanduser() / 'data')) / _BINARY) + ('',)


def _packs_in(folder):
    """(train.rec, test.rec) of a folder, or None."""
    train = folder / 'train.rec'
    for test in (folder / 'test.rec', folder / 'val.rec'):
        if train.is_file() and test.is_file():
            return train, test
    return None


def _pack_cifar10(archive):
    """Pack the archive's training and test images, once; the folder is named after the archive's size and time."""
    info = archive.stat()
    folder = HOME.expanduser() / 'packs' / f'cifar10-{info.st_size}-{info.st_mtime_ns}'
    found = _packs_in(folder)
    if found:
        return found
    folder.mkdir(parents=True, exist_ok=True)
    print(f'packing {archive} into {folder}, once', file=sys.stderr)
    if archive.name == _JPEGS:
        for part in ('test', 'train'):  # the training pack last: when it is there, both are
            pack(open_source(f'{archive}/{part}'), str(folder / part), Job())
        return _packs_in(folder)
    with tempfile.TemporaryDirectory(dir=folder) as unpacked:
        try:
            with tarfile.open(archive) as opened:
                for member in opened:
                    if member.isfile() and member.name.endswith('.bin'):
                        (Path(unpacked) / os.path.basename(member.name)).write_bytes(
                            opened.extractfile(member).read())
        except (tarfile.TarError, EOFError, OSError) as error:
            raise UserError(f'{archive}: damaged archive ({error}); get the file again') from None
        pack(open_source(os.path.join(unpacked, 'test_batch.bin')), str(folder / 'test'),
             Job(encoding='png'), shuffle=True)
        pack(open_source(unpacked), str(folder / 'train'), Job(encoding='png'), shuffle=True)
    return _packs_in(folder)


def first_records(path, count):
    """The pack of the first `count` records of a pack, which is written beside the others in ~/.bookcnn/packs.

    Packs are shuffled when they are made, so the first records are a sample of all.

    Returns
    -------
    Path
    """
    ids, offsets = read_index(path.with_suffix('.idx'))
    if count >= len(ids):
        return path
    order = sorted(range(len(offsets)), key=offsets.__getitem__)
    info = path.stat()
    part = HOME.expanduser() / 'packs' / f'{path.stem}-{info.st_size}-{info.st_mtime_ns}-first{count}.rec'
    if not part.is_file():
        part.parent.mkdir(parents=True, exist_ok=True)
        with open(path, 'rb') as source:
            data = source.read(offsets[order[count]])
        with atomic_write(part.with_suffix('.idx'), text=True) as file:
            file.writelines(f'{ids[number]}\t{offsets[number]}\n' for number in order[:count])
        with atomic_write(part) as file:
            file.write(data)
    return part
