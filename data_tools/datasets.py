"""Image sets that are arrays: MNIST, Fashion-MNIST, scikit-learn's digits, any folder with four IDX files.

`image_sets.find` takes these and whatever else people have.
"""
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence, Tuple

import numpy as np

from data_tools.atomic import PathLike
from data_tools.errors import UserError
from data_tools.fetch import fetch
from data_tools.idx import read_idx

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
# What the sets are called, and on what terms they are given: what was learnt from them goes along with these.
LICENCES = {
    'mnist': {'name': 'MNIST', 'licence': 'CC BY-SA 3.0, Yann LeCun and Corinna Cortes'},
    'fashion': {'name': 'Fashion-MNIST', 'licence': 'MIT, Zalando SE'},
    'digits': {'name': 'scikit-learn digits (UCI, Alpaydin and Kaynak)', 'licence': 'CC BY 4.0'},
    'cifar10': {'name': 'CIFAR-10, Alex Krizhevsky', 'licence': 'none stated; its report is to be cited'},
    'go': {'name': 'games of a Go server, moves only', 'licence': 'none stated'},
    'scenes': {'name': 'scenes: scikit-learn digits (UCI, Alpaydin and Kaynak) on a canvas', 'licence': 'CC BY 4.0'},
    'starry_night': {'name': 'The Starry Night, Van Gogh 1889; photographs of scikit-learn and scikit-image',
                     'licence': 'the painting and most photographs: public domain or CC0; scikit-learn\'s two: CC BY 2.0, '
                                'danielbuechele and vultilion'},
    'selfplay': {'name': 'games of the built-in player', 'licence': 'Apache-2.0, as this project'},
}
_NOTES = {
    'mnist': '',
    'fashion': '',
    'digits': 'digits: 1,797 scikit-learn digits enlarged to 28x28, standing in for MNIST',
}
# The first labels of the test sets tell the two families of equally named files apart.
_FIRST_TEST_LABELS = {'mnist': [7, 2, 1, 0, 4, 1, 4, 9, 5, 9], 'fashion': [9, 2, 1, 1, 6, 1, 4, 6, 5, 7]}
IDX_NAME = re.compile(r'(train|t10k|test)[-_.](images|labels)[-_.]idx\d[-_.]ubyte(\.gz)?')
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
    strokes : bool
        Light strokes on black, 20x20 with their centre of mass in the middle of 28x28, as MNIST has them.
    said : str
        One line: what was taken, from where, how many.
    """
    name: str
    train_images: np.ndarray = field(repr=False)
    train_labels: np.ndarray = field(repr=False)
    test_images: np.ndarray = field(repr=False)
    test_labels: np.ndarray = field(repr=False)
    class_names: Tuple[str, ...]
    class_names_zh: Tuple[str, ...]
    note: str = ''
    strokes: bool = False
    said: str = ''


def load(name: str, data_root: Optional[PathLike] = None) -> ImageDataset:
    """Load an image set of known form.

    `mnist` and `fashion` are looked up under `data_root`, then `$BOOKCNN_DATA`, then `~/.bookcnn/data` (each the
    folder of the set or the folder above it), then downloaded to the last. `digits` comes with scikit-learn.

    Parameters
    ----------
    name : {'mnist', 'fashion', 'digits'}
    data_root : path-like, optional

    Returns
    -------
    ImageDataset

    Raises
    ------
    UserError
        Unknown name; files missing, damaged, or at odds with each other; nothing found and no network.
    """
    check_root(data_root)
    if name == 'digits':
        return _load_digits()
    looked = []
    for folder in folders_of(name, data_root):
        found = load_idx_folder(folder, name)
        if found is not None:
            return found
        looked.append(seen_in(folder))
    home = HOME.expanduser() / 'data'
    folder = home / name
    if len(_idx_files(folder)) < 4:  # nothing, or an interrupted download, to be completed
        try:
            folder = fetch(name, home)
        except UserError as error:
            missed = f'; it is not in {", ".join(looked)}' if looked else ''
            raise UserError(f'{error}, or use --data digits, which needs no download{missed}') from None
    found = load_idx_folder(folder, name)
    assert found is not None  # all four files are there now
    return found


def check_root(data_root: Optional[PathLike]) -> None:
    """UserError if `--data-root` is no folder."""
    if data_root is not None and not Path(data_root).expanduser().is_dir():
        raise UserError(f'{data_root}: no such folder; give the folder of the data set or the one above it')


def seen_in(folder: Path) -> str:
    """What lies there, for an error: 'FOLDER (holds a, b, c, ...)'."""
    if not folder.is_dir():
        return f'{folder} (no such folder)'
    present = [path.name for path in _entries(folder)]
    return f'{folder} (holds {first_few(present, 3) if present else "nothing"})'


def folders_of(name: str, data_root: Optional[PathLike]) -> List[Path]:
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


def _idx_files(folder: Path) -> Dict[Tuple[str, str], Path]:
    """{('train' or 'test', 'images' or 'labels'): path} of the IDX files of a folder."""
    files: Dict[Tuple[str, str], Path] = {}
    for path in _entries(folder):  # the plain file sorts before its .gz and is kept, being faster
        match = IDX_NAME.fullmatch(path.name)
        if match:
            files.setdefault(('train' if match.group(1) == 'train' else 'test', match.group(2)), path)
    return files


def _entries(folder: Path) -> List[Path]:
    """What a folder holds, sorted by name; nothing if it is not there."""
    try:
        return sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise UserError(f'{folder}: cannot be read ({error.strerror})') from None


def load_idx_folder(folder: Path, name: str = '') -> Optional[ImageDataset]:
    """Four IDX files, compressed or not.

    Parameters
    ----------
    folder : Path
    name : str
        'mnist' or 'fashion', whose form is known; empty: any set, called as its folder.

    Returns
    -------
    ImageDataset, or None if the folder holds no IDX files
    """
    files, named = _idx_files(folder), bool(name)
    if not files:
        return None
    name = name or folder.resolve().name
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
            note += f'; no training image has label {first_few(absent, 5)}'
    said = (f'four IDX files of {folder}: {len(train_labels):,} images for training, {len(test_labels):,} to validate, '
            f'{_size(train_images)}')
    return ImageDataset(name, train_images, train_labels, test_images, test_labels, class_names,
                        class_names_zh, note, strokes=name == 'mnist' and named, said=said)


def _read_images(path: Path, named: bool) -> np.ndarray:
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


def _read_labels(path: Path, num_classes: int) -> np.ndarray:
    """An IDX file of whole numbers (N,) -> int32 (N,), all in 0 ... num_classes - 1."""
    labels = read_idx(path)
    if labels.dtype.kind not in 'ui' or labels.ndim != 1:
        raise UserError(f'{path}: holds {labels.ndim}-dimensional {labels.dtype}; labels are whole '
                        'numbers, (N,)')
    _check_labels(path, labels, num_classes)
    return labels.astype(np.int32)


def _check_labels(path: Path, labels: np.ndarray, num_classes: int) -> None:
    wrong = np.flatnonzero((labels < 0) | (labels >= num_classes))
    if len(wrong):
        raise UserError(f'{path}: label number {wrong[0]} is {labels[wrong[0]]}, out of range 0 to '
                        f'{num_classes - 1} ({len(wrong)} such labels); get the file again')


def _size(images: np.ndarray) -> str:
    return 'x'.join(map(str, images.shape[1:]))


def first_few(items: Sequence[Any], number: int = 3) -> str:
    """The first of the items in words, with dots where there are more."""
    return ', '.join(map(str, items[:number])) + (', ...' if len(items) > number else '')


def _load_digits() -> ImageDataset:
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
                        CLASS_NAMES['digits'], CLASS_NAMES_ZH['digits'], _NOTES['digits'], strokes=True,
                        said="scikit-learn's digits: 1,501 images for training, 296 to validate, 1x28x28")
