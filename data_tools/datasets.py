"""The image sets of the book, found on the disk or downloaded, checked, as arrays.

`load('mnist')` is all that a chapter needs.
"""
import hashlib
import io
import os
import re
import sys
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Tuple

import numpy as np

from data_tools.atomic import atomic_write
from data_tools.errors import UserError
from data_tools.fetch import SOURCES, fetch
from data_tools.idx import read_file, read_idx

NAMES = ('mnist', 'fashion', 'digits', 'cifar10')
HOME = Path('~/.bookcnn')

_DIGITS = tuple('0123456789')
CLASS_NAMES = {
    'mnist': _DIGITS,
    'digits': _DIGITS,
    'fashion': ('T-shirt/top', 'trouser', 'pullover', 'dress', 'coat', 'sandal', 'shirt', 'sneaker', 'bag',
                'ankle boot'),
    'cifar10': ('airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck'),
}
CLASS_NAMES_ZH = {
    'mnist': _DIGITS,
    'digits': _DIGITS,
    'fashion': ('T恤', '裤子', '套头衫', '连衣裙', '外套', '凉鞋', '衬衫', '运动鞋', '包', '短靴'),
    'cifar10': ('飞机', '汽车', '鸟', '猫', '鹿', '狗', '青蛙', '马', '船', '卡车'),
}
_NOTES = {
    'mnist': '',
    'fashion': '',
    'cifar10': '',
    'digits': 'digits: 1,797 scikit-learn digits enlarged to 28x28, standing in for MNIST',
    'cifar10-jpeg': 'cifar10: JPEG copies of quality about 75, a little harder than the original images',
}
# The first labels of the test sets tell the two families of equally named files apart.
_FIRST_TEST_LABELS = {'mnist': [7, 2, 1, 0, 4, 1, 4, 9, 5, 9], 'fashion': [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]}
_IDX_NAME = re.compile(r'(train|t10k|test)[-_.](images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?')
_MOST_CLASSES = 65536


@dataclass(frozen=True, eq=False)
class ImageDataset:
    """Images with one label each, for training and for testing.

    Attributes
    ----------
    name : str
    train_images, test_images : numpy.ndarray of uint8, (N, C, H, W)
        Pixels from 0 to 255.
    train_labels, test_labels : numpy.ndarray of int32, (N,)
        From 0 to `len(class_names) - 1`.
    class_names, class_names_zh : tuple of str
        In English and in Chinese.
    note : str
        To be printed beside every figure measured on this set; empty where nothing needs to be said.
    """
    name: str
    train_images: np.ndarray = field(repr=False)
    train_labels: np.ndarray = field(repr=False)
    test_images: np.ndarray = field(repr=False)
    test_labels: np.ndarray = field(repr=False)
    class_names: Tuple[str, ...]
    class_names_zh: Tuple[str, ...]
    note: str = ''


def load(name, data_root=None):
    """Load an image set.

    `mnist`, `fashion` and `cifar10` are looked up under `data_root`, then `$BOOKCNN_DATA`, then
    `~/.bookcnn/data` (each the folder of the set or the folder above it), then downloaded to the last.
    `digits` comes with scikit-learn. Any other name is the path of a folder with four IDX files, compressed
    or not.

    Parameters
    ----------
    name : str
    data_root : path-like, optional

    Returns
    -------
    ImageDataset

    Raises
    ------
    UserError
        Unknown name; files missing, damaged, or at odds with each other; nothing found and no network.
    """
    name = os.fspath(name)
    if data_root is not None and not Path(data_root).expanduser().is_dir():
        raise UserError(f'{data_root}: no such folder; give the folder of the data set or the one above it')
    if name == 'digits':
        return _load_digits()
    if name in NAMES:
        return _find(name, data_root)
    folder = Path(name).expanduser()
    if folder.is_dir():
        return _load_idx_folder(folder.resolve().name, folder, named=False)
    raise UserError(f'{name}: no such data set; known are {", ".join(NAMES)}, and the path of any folder '
                    'with four IDX files')


def _find(name, data_root):
    """Go through the roots; the first that holds the set wins; otherwise download it."""
    load_folder = _load_cifar10 if name == 'cifar10' else _load_idx_folder
    looked = []
    for folder in folders_of(name, data_root):
        if not folder.is_dir():
            looked.append(f'{folder} (no such folder)')
            continue
        found = load_folder(name, folder, optional=True)
        if found is not None:
            return found
        present = [path.name for path in _entries(folder)]
        looked.append(f'{folder} (holds {_first_few(present, 3) if present else "nothing"})')
    home = HOME.expanduser() / 'data'
    if name == 'cifar10':
        found = _load_cifar10(name, home / name, optional=True)
    else:  # some of four files: an interrupted download, to be completed
        found = _load_idx_folder(name, home / name) if len(_idx_files(home / name)) == 4 else None
    if found is not None:
        return found
    try:
        folder = fetch(name, home)
    except UserError as error:
        instead = '' if name == 'cifar10' else ', or use --data digits, which needs no download'
        missed = f'; it is not in {", ".join(looked)}' if looked else ''
        raise UserError(f'{error}{instead}{missed}') from None
    return load_folder(name, folder)


def folders_of(name, data_root):
    """The folders in which the set may be, in order of preference."""
    folders = []
    if data_root is not None:
        # The user pointed here: the set itself, or the folder above it.
        root = Path(data_root).expanduser()
        folders += [root / name, root] if (root / name).is_dir() else [root]
    if os.environ.get('BOOKCNN_DATA'):
        root = Path(os.environ['BOOKCNN_DATA']).expanduser()
        folders.append(root if root.name == name else root / name)
    return folders


def _idx_files(folder):
    """{('train' or 'test', 'images' or 'labels'): path} of the IDX files of a folder."""
    files = {}
    for path in _entries(folder):  # the plain file sorts before its .gz and is kept, being faster
        match = _IDX_NAME.fullmatch(path.name)
        if match:
            files.setdefault(('train' if match.group(1) == 'train' else 'test', match.group(2)), path)
    return files


def _entries(folder):
    """What a folder holds, sorted by name; nothing if it is not there."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f'{folder}: cannot be read ({error.strerror})') from None


def _load_idx_folder(name, folder, optional=False, named=True):
    """Four IDX files -> ImageDataset.

    optional: return None if the folder holds none of them. named: the set is one of `NAMES`, of known form.
    """
    files = _idx_files(folder)
    if optional and not files:
        return None
    for split, file_name in (('train', 'train'), ('test', 't10k')):
        for kind, number in (('images', 3), ('labels', 1)):
            if (split, kind) not in files:
                raise UserError(f'{folder}: {file_name}-{kind}-idx{number}-ubyte[.gz] is missing; a set is '
                                'four IDX files, images and labels for training (train-) and testing (t10k-)')
    train_images, test_images = (_read_images(files[split, 'images'], named) for split in ('train', 'test'))
    train_labels, test_labels = (_read_labels(files[split, 'labels'], 10 if named else _MOST_CLASSES)
                                 for split in ('train', 'test'))
    for split, images, labels in (('train', train_images, train_labels), ('test', test_images, test_labels)):
        if len(images) != len(labels):
            raise UserError(f'{files[split, "images"]} holds {len(images)} images but '
                            f'{files[split, "labels"].name} {len(labels)} labels; they do not '
                            'belong together')
    if train_images.shape[1:] != test_images.shape[1:]:
        raise UserError(f'{folder}: images of {_size(train_images)} for training but of {_size(test_images)} '
                        'for testing; they do not belong together')
    if named:
        for other, first in _FIRST_TEST_LABELS.items():
            if other != name and test_labels[:10].tolist() == first:
                raise UserError(f'{files["test", "labels"]}: these are the files of {other}, not of {name}; '
                                f'use --data {other}')
        class_names, class_names_zh, note = CLASS_NAMES[name], CLASS_NAMES_ZH[name], _NOTES[name]
    else:
        labels_seen = set(train_labels.tolist())
        count = int(max(train_labels.max(), test_labels.max())) + 1
        class_names = class_names_zh = tuple(str(label) for label in range(count))
        note = (f'{name}: {len(train_labels):,} + {len(test_labels):,} images of {_size(train_images)} from '
                f'{folder}')
        absent = [label for label in range(count) if label not in labels_seen]
        if absent:
            note += f'; no training image has label {_first_few(absent, 5)}'
    return ImageDataset(name, train_images, train_labels, test_images, test_labels, class_names,
                        class_names_zh, note)


def _read_images(path, named):
    """An IDX file of gray (N, H, W) or colour (N, C, H, W) images -> uint8 (N, C, H, W)."""
    images = read_idx(path)
    if images.dtype != np.uint8 or images.ndim not in (3, 4):
        raise UserError(f'{path}: holds {images.ndim}-dimensional {images.dtype}; images are bytes, '
                        '(N, H, W) or (N, C, H, W)')
    if images.ndim == 3:
        images = images[:, None]
    if images.size == 0:
        raise UserError(f'{path}: holds no images (shape {"x".join(map(str, images.shape))})')
    if named and images.shape[1:] != (1, 28, 28):
        raise UserError(f'{path}: images of {_size(images)}, but those of this set are 1x28x28')
    return images


def _read_labels(path, num_classes):
    """An IDX file of whole numbers (N,) -> int32 (N,), all in 0 ... num_classes - 1."""
    labels = read_idx(path)
    if labels.dtype.kind not in 'ui' or labels.ndim != 1:
        raise UserError(f'{path}: holds {labels.ndim}-dimensional {labels.dtype}; labels are whole '
                        'numbers, (N,)')
    _check_labels(path, labels, num_classes)
    return labels.astype(np.int32)


def _check_labels(path, labels, num_classes):
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(f'{path}: label number {wrong[0]} is {labels[wrong[0]]}, out of range 0 to '
                        f'{num_classes - 1} ({len(wrong)} such labels); get the file again')


def _size(images):
    return 'x'.join(map(str, images.shape[1:]))


def _first_few(items, number):
    return ', '.join(map(str, items[:number])) + (', ...' if len(items) > number else '')


def _load_digits():
    """scikit-learn's 8x8 digits made to look like MNIST; every sixth of a class is for testing.

    As there, a figure of 20x20 has its centre of mass in the middle of 28x28.
    """
    from scipy.ndimage import zoom
    from sklearn.datasets import load_digits

    digits = load_digits()
    # order=1 (linear): cubic would ring around the strokes. grid_mode: a pixel is a square, not a point.
    large = zoom(digits.images * (255 / 16), (1, 2.5, 2.5), order=1, mode='grid-constant', grid_mode=True)
    mass = large.sum(axis=(1, 2))
    centres = [(large.sum(axis=other) * np.arange(20)).sum(axis=1) / mass for other in (2, 1)]  # row, column
    top, left = [(4 + np.rint(9.5 - centre).astype(int).clip(-4, 4))[:, None, None] for centre in centres]
    images = np.zeros((len(large), 28, 28), np.uint8)
    sample, row, column = np.ogrid[:len(large), :20, :20]
    images[sample, row + top, column + left] = np.rint(large)

    labels = digits.target.astype(np.int32)
    rank = np.zeros(len(labels), int)  # 0, 1, 2, ... within the class
    for label in range(10):
        rank[labels == label] = np.arange((labels == label).sum())
    test = rank % 6 == 5
    return ImageDataset('digits', images[~test, None], labels[~test], images[test, None], labels[test],
                        CLASS_NAMES['digits'], CLASS_NAMES_ZH['digits'], _NOTES['digits'])


def _load_cifar10(name, folder, optional=False):
    """CIFAR-10's binary version (the archive, or its unpacked files), or JPEG copies in an archive."""
    unpacked = folder / 'cifar-10-batches-bin'
    unpacked = unpacked if unpacked.is_dir() else folder
    archive, jpegs = folder / 'cifar-10-binary.tar.gz', folder / 'cifar10_jpeg.tar.xz'
    batches = [f'data_batch_{number}.bin' for number in range(1, 6)] + ['test_batch.bin']
    if any((unpacked / batch).exists() for batch in batches):
        parts = [_cifar10_records(unpacked / batch, read_file(unpacked / batch)) for batch in batches]
        note = _NOTES['cifar10']
    elif archive.exists():
        members = _tar_members(archive, lambda path: path.rsplit('/', 1)[-1] in batches)
        by_name = {path.rsplit('/', 1)[-1]: data for path, data in members}
        for batch in batches:
            if batch not in by_name:
                raise UserError(f'{archive}: holds no {batch}; it is not CIFAR-10\'s binary version')
        parts = [_cifar10_records(f'{archive}: {batch}', by_name[batch]) for batch in batches]
        note = _NOTES['cifar10']
    elif jpegs.exists():
        parts, note = _cifar10_jpegs(jpegs), _NOTES['cifar10-jpeg']
    elif optional:
        return None
    else:
        raise UserError(f'{folder}: holds none of cifar-10-binary.tar.gz, {batches[0]}, {jpegs.name}')
    train_images, train_labels = (np.concatenate(arrays) for arrays in zip(*parts[:-1]))
    test_images, test_labels = parts[-1]
    return ImageDataset('cifar10', train_images, train_labels, test_images, test_labels,
                        CLASS_NAMES['cifar10'], CLASS_NAMES_ZH['cifar10'], note)


def _cifar10_records(path, data):
    """Records of 3073 bytes: a label, then 3x32x32 pixels -> images (N, 3, 32, 32), labels (N,)."""
    if len(data) == 0 or len(data) % 3073:
        raise UserError(f'{path}: {len(data)} bytes are not a whole number of records of 3073; get the file '
                        'again')
    records = np.frombuffer(data, np.uint8).reshape(-1, 3073)
    _check_labels(path, records[:, 0], 10)
    return records[:, 1:].reshape(-1, 3, 32, 32).copy(), records[:, 0].astype(np.int32)


def _tar_members(path, wanted):
    """Yield (name, bytes) of the wanted files of an archive, in its order."""
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                if member.isfile() and wanted(member.name):
                    yield member.name, archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError, ValueError) as error:
        raise UserError(f'{path}: damaged archive ({error}); get the file again') from None
    except Exception as error:  # zlib.error and lzma.LZMAError have no base of their own
        if type(error).__module__ not in ('zlib', '_lzma', 'lzma'):
            raise
        raise UserError(f'{path}: damaged archive ({error}); get the file again') from None


def _cifar10_jpegs(path):
    """train/CLASS/NNNN.jpg and test/CLASS/NNNN.jpg in an archive -> [(images, labels) to train, to test].

    Decoding takes a while, so the arrays are kept under ~/.bookcnn/cache, named by the archive's checksum.
    """
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    cache = HOME.expanduser() / 'cache' / f'cifar10-jpeg-{digest[:16]}.npz'
    keys = ('train_images', 'train_labels', 'test_images', 'test_labels')
    try:
        with np.load(cache) as stored:
            arrays = [stored[key] for key in keys]
        return [tuple(arrays[:2]), tuple(arrays[2:])]
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        pass  # not there yet, or damaged: made again

    from PIL import Image
    from tqdm import tqdm

    pictures = {'train': [], 'test': []}
    members = _tar_members(path, lambda name: name.endswith('.jpg'))
    for name, data in tqdm(members, desc='decode CIFAR-10', unit=' images', disable=None):
        split, class_name, file_name = name.split('/')[-3:]
        if split not in pictures or class_name not in CLASS_NAMES['cifar10']:
            raise UserError(f'{path}: {name}: not of the form train/CLASS/NNNN.jpg')
        try:
            pixels = np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))
        except OSError as error:
            raise UserError(f'{path}: {name}: not a readable picture ({error})') from None
        if pixels.shape != (32, 32, 3):
            raise UserError(f'{path}: {name}: {pixels.shape[1]}x{pixels.shape[0]} pixels instead of 32x32')
        label = CLASS_NAMES['cifar10'].index(class_name)
        pictures[split].append(((file_name, label), pixels.transpose(2, 0, 1)))
    parts = []
    for split, items in pictures.items():
        if not items:
            raise UserError(f'{path}: holds no {split}/CLASS/NNNN.jpg')
        items.sort(key=lambda item: item[0])  # by number, then class: any stretch of the set has all classes
        parts.append((np.stack([pixels for _, pixels in items]),
                      np.array([label for (_, label), _ in items], np.int32)))
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(cache) as file:
            np.savez(file, **dict(zip(keys, parts[0] + parts[1])))
    except (OSError, UserError) as error:  # only slower next time: no reason to stop
        print(f'note: decoded CIFAR-10 is not kept: {error}', file=sys.stderr)
    return parts
