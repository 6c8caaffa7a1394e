"""The command `rec`: look into RecordIO packs, check them, take them apart and mend them."""
import os
import struct
import zlib
from array import array
from collections import Counter

from data_tools.errors import UserError
from data_tools.pack_command import at_least, split_shares
from data_tools.recordio import (beside, format_of, label_text, open_to_read, read_classes, read_images,
                                 read_listed)

_MOST_LINES = 1000  # of problems or differences that are printed


def add_commands(subparsers):
    rec = subparsers.add_parser('rec', help='look into, check, take apart and mend RecordIO packs',
                                description='Look into, check, take apart and mend RecordIO packs, ours and '
                                            'im2rec\'s.')
    commands = rec.add_subparsers(dest='rec_command', metavar='COMMAND', required=True)

    def command(name, run, text, *files):
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + '.')
        for file, help_text in files:
            parser.add_argument(file.strip('+').lower(), metavar=file.strip('+'), help=help_text,
                                **({'nargs': '+'} if file.endswith('+') else {}))
        parser.set_defaults(run=run)
        return parser

    parser = command('info', info, 'counts, classes, sizes, a contact sheet', ('FILE', 'x.rec'))
    parser.add_argument('--sheet', metavar='OUT.png', help='draw some images of each class')
    parser.add_argument('--columns', type=at_least(1), default=10,
                        help='images of a class in the sheet (default 10)')
    command('ls', ls, 'list the records: id, labels, offset, bytes of the image, path', ('FILE', 'x.rec'))
    parser = command('verify', verify_files, 'check every record; exit code 1 if anything is wrong',
                     ('FILE+', 'x.rec; .idx, .lst and .crc beside it are compared'))
    parser.add_argument('--no-decode', action='store_false', dest='decode', help='do not decode the images')
    command('extract', extract, 'write the images to class folders, byte for byte', ('FILE', 'x.rec'),
            ('OUT', 'folder, appears when it is whole'))
    parser = command('merge', merge, 'join packs', ('OUT', 'y.rec'), ('FILE+', 'x.rec'))
    parser.add_argument('--renumber', action='store_true',
                        help='new ids from 0, where packs use the same ones')
    parser.add_argument('--resume', action='store_true', help='go on where an interrupted call stopped')
    parser = command('split', split, 'cut a pack', ('FILE', 'x.rec'),
                     ('OUT', 'prefix: OUT_NAME.rec or OUT_0.rec, ...'))
    parser.add_argument('--split', type=split_shares, metavar='NAME=SHARE,...',
                        help='divide each class by chance, for example train=0.9,val=0.1')
    parser.add_argument('--shards', type=at_least(1), default=1, help='cut into so many parts, in order')
    parser.add_argument('--seed', type=int, default=100, help='of all chance (default 100)')
    parser.add_argument('--resume', action='store_true', help='go on where an interrupted call stopped')
    parser = command('index', index, 'make the .idx anew', ('FILE+', 'x.rec'))
    parser.add_argument('--crc', action='store_true', help='and the .crc, of the bytes as they are now')
    command('diff', diff, 'compare two packs by id; exit code 1 if they differ', ('A', 'x.rec'),
            ('B', 'y.rec'))
    command('salvage', salvage, 'copy all whole records out of a damaged pack', ('FILE', 'x.rec'),
            ('OUT', 'y.rec'))


# ---- looking

def info(options):
    """Counts, classes, sizes."""
    import numpy as np
    labels, formats, lengths, shapes = Counter(), Counter(), array('Q'), Counter()
    sheet = ContactSheet(options.columns) if options.sheet else None
    several = 0
    for record, image in _progress(read_images(options.file), options.file, 'info'):
        label = image.labels[0] if image.labels else None
        labels[label] += 1
        several = max(several, len(image.labels))
        formats[format_of(image.data)] += 1
        lengths.append(len(image.data))
        shapes[_shape(image.data)] += 1
        if sheet is not None:
            sheet.add(label, image.data)
    if not lengths:
        raise UserError(f'{options.file}: holds no records')
    lengths = np.frombuffer(lengths, np.uint64)
    present = [ending for ending in ('.idx', '.lst', '.crc') if os.path.exists(beside(options.file, ending))]
    print(f'records  {len(lengths):,} in {os.path.getsize(options.file):,} bytes; beside it: '
          f'{" ".join(present) or "nothing"}')
    print('formats  ' + ', '.join(f'{name} {count:,}' for name, count in formats.most_common()))
    print(f'bytes    {int(lengths.min()):,} to {int(lengths.max()):,}, median {int(np.median(lengths)):,} an '
          f'image')
    known = [shape for shape in shapes if shape]
    if known:
        (width, height), count = Counter({shape: shapes[shape] for shape in known}).most_common(1)[0]
        sides = [f'{min(side)} to {max(side)}' if min(side) != max(side) else str(side[0])
                 for side in zip(*known)]
        print(f'pixels   {sides[0]} wide, {sides[1]} high; most often {width} x {height} ({count:,})')
    print(f'labels   {len(labels):,}' + (f', up to {several} a record; by the first:' if several > 1 else ''))
    names = _class_names(options.file)
    for label in sorted(labels, key=lambda label: (label is None, label != label, label or 0))[:_MOST_LINES]:
        print(f'  {names(label):24} {labels[label]:,}')
    if len(labels) > _MOST_LINES:
        print(f'  ... and {len(labels) - _MOST_LINES:,} more')
    if sheet is not None:
        sheet.save(options.sheet, names)
        print(f'sheet    {options.sheet}')


def _class_names(path):
    """A function from a label to what to show for it."""
    classes = read_classes(path) or []

    def name(label):
        if label is None:
            return 'none'
        text = f'{label:g}'
        return f'{text} {classes[int(label)]}' if 0 <= label < len(classes) and label == int(label) else text
    return name


def _shape(data):
    """(width, height) by the header of an image; None where it cannot be read."""
    import io
    from PIL import Image
    try:
        with Image.open(io.BytesIO(data)) as image:
            return image.size
    except Exception:  # Pillow raises nearly everything; `verify` is the command that says what is wrong
        return None


class ContactSheet:
    """The first few images of each class in one picture.

    Parameters
    ----------
    columns : int
        Images of a class.
    """
    EDGE, MOST_CLASSES = 64, 100

    def __init__(self, columns):
        self.columns, self.rows = columns, {}

    def add(self, label, data):
        if label not in self.rows and len(self.rows) == self.MOST_CLASSES:
            return
        row = self.rows.setdefault(label, [])
        if len(row) < self.columns:
            row.append(data)

    def save(self, path, names):
        """Draw all classes, sorted, with their names, into a PNG."""
        import io
        from PIL import Image, ImageDraw, ImageOps
        from data_tools.atomic import atomic_path
        margin, edge = 160, self.EDGE
        sheet = Image.new('RGB', (margin + self.columns * (edge + 4), 4 + len(self.rows) * (edge + 4)),
                          'white')
        draw = ImageDraw.Draw(sheet)
        for y, label in enumerate(sorted(self.rows, key=lambda label: (label is None, label or 0))):
            top = 4 + y * (edge + 4)
            draw.text((6, top + edge // 2 - 6), names(label).encode('latin-1', 'replace').decode('latin-1'),
                      'black')
            for x, data in enumerate(self.rows[label]):
                try:
                    image = Image.open(io.BytesIO(data)).convert('RGB')
                except Exception:  # not an image, or damaged: its place stays empty
                    continue
                enlarged = max(image.size) < edge
                sheet.paste(ImageOps.pad(image, (edge, edge), Image.NEAREST if enlarged else Image.LANCZOS,
                                         color='white'), (margin + x * (edge + 4), top))
        with atomic_path(path) as beside_it:
            sheet.save(beside_it, 'PNG')


def ls(options):
    """One line a record."""
    for record, image, path in read_listed(options.file):
        print(f'{image.id}\t{label_text(image.labels)}\t{record.offset}\t{len(image.data)}\t{path}')


def diff(options):
    """What two packs do not share."""
    sides = [_digests(path) for path in (options.a, options.b)]
    lines = []
    for index, (labels, data) in sides[0].items():
        other = sides[1].get(index)
        if other is None:
            lines.append(f'id {index}: only in {options.a}')
        elif other[0] != labels:
            lines.append(f'id {index}: other labels')
        elif other[1] != data:
            lines.append(f'id {index}: another image')
    lines += [f'id {index}: only in {options.b}' for index in sides[1] if index not in sides[0]]
    orders = [[index for index in side if index in other] for side, other in (sides, sides[::-1])]
    if orders[0] != orders[1]:
        number = next(number for number, pair in enumerate(zip(*orders)) if pair[0] != pair[1])
        lines.append(f'another order, from id {orders[0][number]} on')
    _print_some(lines)
    print(f'{len(sides[0]):,} and {len(sides[1]):,} records; '
          + (_count(lines, 'difference') if lines else 'the same'))
    return 1 if lines else 0


def _digests(path):
    """{id: (digest of the labels, of the image)}, in the order of the pack"""
    import hashlib
    found = {}
    for number, (record, image) in enumerate(_progress(read_images(path), path, 'diff')):
        if image.id in found:
            raise UserError(f'{path}: record number {number} has the id {image.id} of an earlier one; '
                            '`rec verify` tells more')
        found[image.id] = (zlib.crc32(struct.pack(f'<{len(image.labels)}f', *image.labels)),
                           hashlib.blake2b(image.data, digest_size=16).digest())
    return found


def verify_files(options):
    """Check packs; 1 if anything is wrong."""
    from data_tools.verify import verify
    wrong = 0
    for path in options.file:
        with _bar(path, 'verify') as bar:
            found = verify(path, options.decode, bar.update)
        _print_some([f'{path}: {line}' for _, line in found.problems])
        compared = f' (compared with {" ".join(found.beside)})' if found.beside else ' (nothing beside it)'
        print(f'{path}: {found.records:,} whole records{compared}: '
              + (_count(found.problems, 'problem') if found.problems else 'all is well'))
        wrong += len(found.problems)
    return 1 if wrong else 0


def _count(things, name):
    return f'{len(things):,} {name}{"s" if len(things) != 1 else ""}'


def _print_some(lines):
    for line in lines[:_MOST_LINES]:
        print(line)
    if len(lines) > _MOST_LINES:
        print(f'... and {len(lines) - _MOST_LINES:,} more')


# ---- taking apart and joining

def extract(options):
    """Images as files."""
    from data_tools.whole_folder import FileTree, whole_folder
    count = 0
    with whole_folder(options.out) as folder:
        tree = FileTree(folder)
        for _, image, path in _progress(read_listed(options.file), options.file, 'extract'):
            if '/' not in path.strip('/'):
                path = f'{image.labels[0] if image.labels else 0:g}/{path}'
            try:
                tree.write(path, image.data)
            except FileExistsError:  # packs that were joined: the same name in both
                stem, ending = os.path.splitext(path)
                tree.write(f'{stem}-{image.id}{ending}', image.data)
            count += 1
    print(f'{count:,} images -> {options.out}')


def merge(options):
    """Packs into one."""
    from data_tools.sources import Packs
    _pack_again(Packs(options.file, options.renumber), _prefix(options.out), resume=options.resume)


def split(options):
    """A pack into several."""
    from data_tools.sources import Packs
    if not options.split and options.shards == 1:
        raise UserError('rec split needs --split NAME=SHARE,... or --shards N')
    _pack_again(Packs([options.file]), options.out, split=options.split, shards=options.shards,
                seed=options.seed,
                resume=options.resume)


def _pack_again(source, prefix, **options):
    """Pack the images of packs as they are."""
    from data_tools.pack import Job, pack
    from data_tools.pack_command import summary
    print(summary(pack(source, prefix, Job(check=False), strict=True, **options), prefix))


def _prefix(path):
    return path[:-4] if path.endswith('.rec') else path


# ---- mending

def index(options):
    """`.idx`, and `.crc`, from the records."""
    from data_tools.atomic import atomic_write
    for path in options.file:
        index_lines, checksum_lines, end, count = [], [], 0, 0
        for record, image in _progress(read_images(path), path, 'index'):
            index_lines.append(f'{image.id}\t{record.offset}\n')
            checksum_lines.append(f'{image.id}\t{record.end - record.offset}\t{record.crc:08x}\n')
            end = record.end
            count += 1
        checksum_lines.append(f'end\t{count}\t{end}\n')
        for ending, lines in (('.idx', index_lines),) + ((('.crc', checksum_lines),) if options.crc else ()):
            with atomic_write(beside(path, ending), text=True) as file:
                file.writelines(lines)
        print(f'{count:,} records -> {beside(path, ".idx")}'
              + (f', {beside(path, ".crc")}' if options.crc else ''))


def salvage(options):
    """What is whole of a damaged pack."""
    from data_tools.pack_files import PartFolder, write_packs
    from data_tools.verify import whole_records
    prefix, left_out = _prefix(options.out), []
    if os.path.realpath(prefix + '.rec') == os.path.realpath(options.file):
        raise UserError(f'{options.out}: is the damaged pack itself; choose another name for what is whole')
    classes = read_classes(options.file)
    extra = [('.classes.txt', ''.join(f'{name}\n' for name in classes).encode('utf-8', 'surrogateescape'))] \
        if classes else []
    absent = [] if classes else [prefix + '.classes.txt']
    absent += [f'{prefix}.{name}.csv' for name in ('bad', 'duplicates')]  # those of a pack that is replaced
    open_to_read(options.file).close()  # before anything is made for it
    counts = write_packs(PartFolder(prefix), [(prefix, whole_records(options.file, left_out))], extra, absent)
    _print_some(left_out)
    print(f'{counts[0]:,} whole records -> {prefix}.rec; {_count(left_out, "place")} left out')


# ---- progress

def _bar(path, what):
    from tqdm import tqdm
    size = os.path.getsize(path) if os.path.exists(path) else None
    return tqdm(total=size, desc=what, unit='B', unit_scale=True, disable=None)


def _progress(items, path, what):
    """The items, (Record, ...) each, with a progress bar over the bytes of the pack."""
    with _bar(path, what) as bar:
        end = 0
        for item in items:
            yield item
            bar.update(item[0].end - end)
            end = item[0].end
