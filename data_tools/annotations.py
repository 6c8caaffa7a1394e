"""Pictures with boxes around their objects, as Pascal VOC and COCO lay them out, for packs of detection.

VOC: `Annotations/NAME.xml` beside `JPEGImages/NAME.jpg`, and lists of names in `ImageSets/Main`. COCO: one JSON file,
pictures in a folder. Of both, the labels become MXNet's list of detection: header width 2, object width 5, then class,
left, top, right and bottom of each object, edges as parts of the picture as it stands upright.

Source: the development kit of the Pascal VOC challenge; cocodataset.org, "Data format"; MXNet's `mx.image.ImageDetIter`.
"""
import json
import math
import os
import re
import xml.etree.ElementTree
from array import array
from typing import Any, Dict, Iterable, Iterator, NamedTuple, Optional, Sequence, Tuple
from typing import List as ListOf

from data_tools.atomic import PathLike
from data_tools.errors import UserError
from data_tools.image_header import PNG_SIGNATURE, BadImage, jpeg_header, orientation_of, shape_of
from data_tools.recordio import open_to_read, read_names
from data_tools.sources import List, Listing

Edges = Tuple[float, float, float, float]  # left, top, right, bottom in pixels
_ENDINGS = ('.jpg', '.jpeg', '.png', '.bmp', '.JPG', '.JPEG', '.PNG', '.webp', '.tif', '.tiff')
_SLACK = 1.0  # pixels by which rounded annotations reach outside; cut at the edge
_TOLD = 3     # boxes that a note names


class Picture(NamedTuple):
    """A picture and what is said of it.

    `reason`: why it cannot be packed; '' if it can. `size`: width and height as they were annotated, (0, 0) if that is
    not said. `masks`: sizes of the masks that belong to it.
    """
    path: str
    reason: str = ''
    size: Tuple[int, int] = (0, 0)
    objects: Sequence[Tuple[str, Edges]] = ()  # class, box
    masks: Sequence[Tuple[Any, ...]] = ()


class Annotated(List):
    """Pictures with boxes, in the order of their paths, as a source of the packer.

    Parameters
    ----------
    name : str
        What the user called it.
    root : str
        Folder of the pictures' paths.
    pictures : iterable of Picture
    classes : list of str
        Their names, by label.
    notes : list of str
    """
    shuffle = True

    def __init__(self, name: PathLike, root: PathLike, pictures: Iterable[Picture], classes: ListOf[str],
                 notes: ListOf[str]) -> None:
        self.name, self.root, self.classes = os.fspath(name), os.path.abspath(root), classes
        self.bad, self.others, self.notes = [], [], notes
        self.ids, self.paths, self.all_labels = array('Q'), [], []
        label_of = {text: float(number) for number, text in enumerate(classes)}
        flat: ListOf[str] = []  # boxes without area
        for picture in sorted(pictures, key=lambda picture: picture.path):
            self._check_folder(name, picture.path, os.path.dirname(picture.path))
            try:
                labels = self._labels(picture, label_of, flat)
            except ValueError as error:
                self.bad.append((picture.path, str(error)))
                continue
            self.ids.append(len(self.ids))
            self.paths.append(picture.path)
            self.all_labels.append(labels)
        self.count = len(self.ids)
        if flat:
            notes.append(f'{len(flat)} box{"es" if len(flat) > 1 else ""} without area left out: {"; ".join(flat[:_TOLD])}'
                         + ('; ...' if len(flat) > _TOLD else ''))
        if not self.count:
            raise UserError(f'{name}: no picture with boxes'
                            + (f'; the first, {self.bad[0][0]}: {self.bad[0][1]}' if self.bad else ''))

    def _labels(self, picture: Picture, label_of: Dict[str, float], flat: ListOf[str]) -> Tuple[float, ...]:
        """Those of MXNet's lists.

        Raises
        ------
        ValueError
            It cannot be packed; the text says why.
        """
        if picture.reason or re.search('[\t\n\r]', picture.path):
            raise ValueError(picture.reason or 'a tab or line end in its name')
        width, height, orientation = _size_of(f'{self.root}/{picture.path}')
        stored, upright = (width, height), (height, width) if orientation > 4 else (width, height)
        annotated = picture.size if all(picture.size) else upright
        if annotated not in (stored, upright):
            raise ValueError(f'is {width} x {height} pixels, its annotation is of {annotated[0]} x {annotated[1]}')
        for mask in picture.masks:
            if mask not in (stored, upright):
                raise ValueError(f'is {width} x {height} pixels, a mask of it {" x ".join(map(str, mask))}')
        labels: ListOf[float] = [2.0, 5.0]
        for name, edges in picture.objects:
            left, top, right, bottom = edges
            shown = f'{name} at {left:g}, {top:g} to {right:g}, {bottom:g}'
            if not all(map(math.isfinite, edges)):
                raise ValueError(f'the box of {shown} is of no numbers')
            if min(left, top) < -_SLACK or right > annotated[0] + _SLACK or bottom > annotated[1] + _SLACK:
                raise ValueError(f'the box of {shown} reaches outside of its {annotated[0]} x {annotated[1]} pixels')
            left, top, right, bottom = max(left, 0), max(top, 0), min(right, annotated[0]), min(bottom, annotated[1])
            if left >= right or top >= bottom:
                flat.append(f'{picture.path} ({shown})')
                continue
            if annotated != upright:  # whoever annotated it saw it lying on its side
                left, top, right, bottom = _turned((left, top, right, bottom), stored, orientation)
            labels += [label_of[name], left / upright[0], top / upright[1], right / upright[0], bottom / upright[1]]
        if len(labels) == 2:
            raise ValueError('no object in it')  # MXNet's ImageDetIter ends at such a record
        return tuple(labels)


def _turned(edges: Edges, size: Tuple[int, int], orientation: int) -> Edges:
    """A box of a picture as it is stored, (width, height), in the picture turned as its Exif orientation says."""
    left, top, right, bottom = edges
    width, height = size
    if orientation in (2, 3, 7, 8):
        left, right = width - right, width - left
    if orientation in (3, 4, 6, 7):
        top, bottom = height - bottom, height - top
    return (top, left, bottom, right) if orientation > 4 else (left, top, right, bottom)


def _size_of(path: str) -> Tuple[int, int, int]:
    """(width, height, Exif orientation) of a picture as it is stored.

    Raises
    ------
    ValueError
        There is none.
    """
    try:
        with open(path, 'rb') as file:
            data = file.read(1 << 16)
            if data[:2] == b'\xff\xd8':
                try:
                    width, height, _, orientation = jpeg_header(data)[:4]
                except BadImage:  # much stands before its header
                    width, height, _, orientation = jpeg_header(data + file.read())[:4]
                return width, height, orientation
            if data[:8] == PNG_SIGNATURE:
                data += file.read()  # its note may come last
                return shape_of(data)[:2] + (orientation_of(data),)
        from PIL import Image
        with Image.open(path) as image:
            turn = image.getexif().get(274, 1)
            return image.width, image.height, turn if turn in range(1, 9) else 1
    except FileNotFoundError:
        raise ValueError('no such picture') from None
    except OSError as error:
        raise ValueError(f'cannot be read ({error.strerror or "no picture"})') from None
    except (BadImage, SyntaxError) as error:
        raise ValueError(str(error)) from None


def _numbered(path: PathLike, names: Iterable[str], given: Optional[Tuple[str, ...]]) -> ListOf[str]:
    """The class names in the order of their labels: as they come, or those of --classes."""
    names = list(names)
    if given is None:
        return names
    unknown = [name for name in names if name not in given]
    if unknown:
        raise UserError(f'{path}: the class {unknown[0]!r} is not among the {len(given)} of --classes; add it at the end of '
                        f'that file and pack all parts anew')
    return list(given)


# ---- Pascal VOC

def open_voc(folder: PathLike, chosen: str = '', listing: Listing = Listing()) -> Annotated:
    """A folder in Pascal VOC's layout, or the folder around one.

    Parameters
    ----------
    folder : str
    chosen : str
        A list of `ImageSets/Main`, 'train'; '': all pictures that are annotated.
    listing : Listing
        For its `classes`; by default the names in all annotations, sorted, so that all lists have the same labels.

    Raises
    ------
    UserError
        It has another layout, or not that list.
    """
    root = os.fspath(folder)
    if not os.path.isdir(f'{root}/Annotations'):
        below = [place for place in _folders_in(root) if os.path.isdir(f'{root}/{place}/Annotations')]
        if len(below) != 1:
            raise UserError(f'{root}: holds no Annotations and JPEGImages, as Pascal VOC\'s layout has them'
                            + (f'; give one of {", ".join(below)} in it' if below else ''))
        root = f'{root}/{below[0]}'
    annotated = sorted(name[:-4] for name in os.listdir(f'{root}/Annotations') if name.endswith('.xml')
                       and not name.startswith('.'))
    if not annotated:
        raise UserError(f'{root}/Annotations: holds no .xml files')
    there = {name: name for name in os.listdir(f'{root}/JPEGImages')} if os.path.isdir(f'{root}/JPEGImages') else {}
    wanted = set(annotated) if not chosen else _names_of_set(root, chosen)
    pictures, names, difficult = [], set(), 0
    for stem in sorted(wanted | set(annotated)):
        picture, hard = _read_voc(root, stem, there)
        names |= {name for name, _ in picture.objects}
        if stem in wanted:
            pictures.append(picture)
            difficult += hard
    notes = [f'{difficult} objects are marked as difficult, of which a pack says nothing'] if difficult else []
    return Annotated(folder, root, pictures, _numbered(folder, sorted(names), listing.classes), notes)


def _folders_in(path: str) -> ListOf[str]:
    try:
        with os.scandir(path) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror}); --voc takes a folder (unpack an archive)') from None


def _names_of_set(root: str, chosen: str) -> set:
    """The names of a list in `ImageSets/Main`, such as 'train'."""
    file = f'{root}/ImageSets/Main/{chosen}.txt'
    if not re.fullmatch(r'[\w.-]+', chosen) or not os.path.isfile(file):
        folder = f'{root}/ImageSets/Main'
        known = sorted(name[:-4] for name in os.listdir(folder) if name.endswith('.txt')) if os.path.isdir(folder) else []
        raise UserError(f'{file}: no such list (--set); there is {", ".join(known) or "none"}')
    names = {line.split()[0] for line in read_names(file) if line.strip()}  # lists of one class have 1 or -1 behind it
    if not names:
        raise UserError(f'{file}: an empty list')
    return names


def _read_voc(root: str, stem: str, there: Dict[str, str]) -> Tuple[Picture, int]:
    """(a picture, how many of its objects are marked as difficult)"""
    file = f'{root}/Annotations/{stem}.xml'
    path = f'JPEGImages/{stem}.jpg'
    try:
        tree = xml.etree.ElementTree.parse(file).getroot()
        names = [stem + ending for ending in _ENDINGS] + [os.path.basename(tree.findtext('filename', '').strip())]
        path = f'JPEGImages/{next((name for name in names if name in there), f"{stem}.jpg")}'
        objects = []
        for one in tree.iter('object'):
            name = one.findtext('name', '').strip()
            if not name:
                raise ValueError('an object without a name')
            edges = [float(one.findtext(f'bndbox/{edge}', 'nothing')) for edge in ('xmin', 'ymin', 'xmax', 'ymax')]
            objects.append((name, (edges[0], edges[1], edges[2], edges[3])))
        size = int(float(tree.findtext('size/width', '0'))), int(float(tree.findtext('size/height', '0')))
        hard = sum(one.findtext('difficult', '0').strip() == '1' for one in tree.iter('object'))
    except FileNotFoundError:
        return Picture(path, f'no annotation ({file})'), 0
    except OSError as error:
        return Picture(path, f'its annotation cannot be read ({error.strerror})'), 0
    except (xml.etree.ElementTree.ParseError, ValueError, OverflowError, LookupError) as error:
        return Picture(path, f'its annotation is damaged ({error})'), 0
    masks = []
    for kind in ('SegmentationClass', 'SegmentationObject'):
        try:
            masks.append(_size_of(f'{root}/{kind}/{stem}.png')[:2])
        except ValueError:  # few have one
            pass
    return Picture(path, '', size, objects, masks), hard


# ---- COCO

def open_coco(path: PathLike, root: Optional[PathLike] = None, listing: Listing = Listing()) -> Annotated:
    """A JSON file of objects as COCO has them.

    Parameters
    ----------
    path : str
    root : str, optional
        Folder of the pictures. By default where the first of them is found: beside the file, or in COCO's own layout
        (`annotations/instances_val2017.json`, `val2017/*.jpg`).
    listing : Listing
        For its `classes`; by default the categories in the order of their ids.

    Raises
    ------
    UserError
        The file is no such JSON, or at odds with itself; or there are no pictures.
    """
    with open_to_read(path) as file:
        try:
            content = json.load(file)
        except (ValueError, RecursionError) as error:
            raise UserError(f'{path}: no JSON ({error}); --coco takes a file of objects as COCO has them') from None
    if not isinstance(content, dict) or any(not isinstance(content.get(key), list) for key in
                                            ('images', 'annotations', 'categories')):
        raise UserError(f'{path}: holds no "images", "annotations" and "categories"; --coco takes a file of objects as COCO '
                        f'has them')
    categories = {_of(path, 'categories', number, one, 'id'): str(_of(path, 'categories', number, one, 'name'))
                  for number, one in enumerate(content['categories'])}
    if len(set(categories.values())) < len(content['categories']):
        raise UserError(f'{path}: two categories have the same id or name')
    images: Dict[Any, Dict[str, Any]] = {}
    for number, one in enumerate(content['images']):
        index, name = _of(path, 'images', number, one, 'id'), str(_of(path, 'images', number, one, 'file_name'))
        if index in images or re.search('[\t\n\r\0]', name):
            raise UserError(f'{path}: images[{number}]: '
                            + (f'its id {index} is already another\'s' if index in images else f'no usable name {name!r}'))
        images[index] = {**one, 'file_name': name, 'objects': [], 'masks': [], 'reason': ''}
    if not images:
        raise UserError(f'{path}: names no images')
    crowds = 0
    for number, one in enumerate(content['annotations']):
        index, category = (_of(path, 'annotations', number, one, key) for key in ('image_id', 'category_id'))
        for kind, value, known in (('image', index, images), ('class', category, categories)):
            if value not in known:
                raise UserError(f'{path}: annotations[{number}]: the {kind} {value!r} is not among the {len(known)} that '
                                f'the file names')
        crowds += bool(one.get('iscrowd'))
        if not one.get('iscrowd'):
            _add_object(images[index], categories[category], one)
        mask = one.get('segmentation')
        if isinstance(mask, dict) and isinstance(mask.get('size'), list):  # (height, width), of run lengths
            images[index]['masks'].append(tuple(mask['size'][::-1]))
    names = _numbered(path, [categories[index] for index in sorted(categories)], listing.classes)
    notes = [f'{crowds} boxes around crowds left out'] if crowds else []
    pictures = [Picture(one['file_name'], one['reason'], _size_said(one), one['objects'], one['masks'])
                for one in images.values()]
    return Annotated(path, root or _folder_of_pictures(os.fspath(path), pictures), pictures, names, notes)


def _size_said(one: Dict[str, Any]) -> Tuple[int, int]:
    try:
        return int(one.get('width') or 0), int(one.get('height') or 0)
    except (TypeError, ValueError, OverflowError):
        return 0, 0


def _of(path: PathLike, part: str, number: int, one: Any, key: str) -> Any:
    """What an entry of the file has under a key."""
    if not isinstance(one, dict) or not isinstance(one.get(key), (int, str)):
        raise UserError(f'{path}: {part}[{number}]: has no usable "{key}"')
    return one[key]


def _add_object(image: Dict[str, Any], name: str, one: Dict[str, Any]) -> None:
    try:
        left, top, width, height = map(float, one['bbox'])
    except (KeyError, TypeError, ValueError, OverflowError):
        image['reason'] = f'an object ({name}) has no usable box'
    else:
        image['objects'].append((name, (left, top, left + width, top + height)))


def _folder_of_pictures(path: str, pictures: Sequence[Picture]) -> str:
    """Where the first of the pictures that is found lies."""
    folder, part = os.path.dirname(os.path.abspath(path)), os.path.splitext(os.path.basename(path))[0].rsplit('_', 1)[-1]

    def places() -> Iterator[str]:
        for above in (folder, os.path.dirname(folder)):
            for below in ('', part, 'images', f'images/{part}', 'JPEGImages'):
                yield os.path.join(above, below).rstrip('/')

    for place in places():
        if any(os.path.isfile(f'{place}/{picture.path}') for picture in pictures[:100]):
            return place
    raise UserError(f'{path}: its pictures, such as {pictures[0].path}, are not in {folder}; name their folder with --root')
