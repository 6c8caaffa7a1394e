"""The command `rec`: look into RecordIO packs, check them, take them apart and mend them."""
import argparse
import os
import struct
import zlib
from array import array
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Optional, Sequence, Tuple, TypeVar

from data_tools.errors import UserError
from data_tools.pack_command import at_least, split_shares
from data_tools.recordio import (
    beside,
    format_of,
    label_text,
    listed_keys,
    note_of,
    open_to_read,
    read_classes,
    read_images,
    read_listed,
    second_id,
    settle_keys,
)

if TYPE_CHECKING:
    from tqdm import tqdm

    from data_tools.sources import Packs

Item = TypeVar('Item', bound=Tuple[Any, ...])
_MOST_LINES = 1000  # of problems or differences that are printed


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    rec = subparsers.add_parser('rec', help='look into, check, take apart and mend RecordIO packs',
                                description='Look into, check, take apart and mend RecordIO packs, ours and '
                                            'im2rec\'s.')
    commands = rec.add_subparsers(dest='rec_command', metavar='COMMAND', required=True)

    def command(name: str, run: Callable[[argparse.Namespace], Optional[int]], text: str,
                *files: Tuple[str, str]) -> argparse.ArgumentParser:
        parser = commands.add_parser(name, help=text, description=text[0].upper() + text[1:] + '.')
        for file, help_text in files:
            parser.add_argument(file.strip('+').lower(), metavar=file.strip('+'), help=help_text,
                                **({'nargs': '+'} if file.endswith('+') else {}))
        parser.set_defaults(run=run)
        return parser

    parser = command('info', info, 'counts, classes, sizes, a contact sheet', ('FILE', 'x.rec'))
    parser.add_argument('--sheet', metavar='OUT.png', help='draw some images of each class')
    parser.add_argument('--html', metavar='OUT.html',
                        help='a page: pictures of each class, histograms of sizes, duplicates, the smallest and '
                             'largest')
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
    parser.add_argument('--allow-empty', action='store_true', help='let parts be empty')
    parser.add_argument('--seed', type=int, default=100, help='of all chance (default 100)')
    parser.add_argument('--resume', action='store_true', help='go on where an interrupted call stopped')
    parser = command('index', index, 'make the .idx anew', ('FILE+', 'x.rec'))
    parser.add_argument('--crc', action='store_true', help='and the .crc, of the bytes as they are now')
    command('diff', diff, 'compare two packs by id; exit code 1 if they differ', ('A', 'x.rec'),
            ('B', 'y.rec'))
    command('salvage', salvage, 'copy all whole records out of a damaged pack', ('FILE', 'x.rec'),
            ('OUT', 'y.rec'))


# ---- looking

def info(options: argparse.Namespace) -> None:
    """Counts, classes, sizes; a sheet, a page."""
    from data_tools.rec_info import Survey, class_names, save_page, save_sheet
    survey = Survey(options.columns if options.sheet or options.html else 0, bool(options.html))
    for _, image in _progress(read_images(options.file), options.file, 'info'):
        survey.add(image)
    for line in survey.lines(options.file):
        print(line)
    if options.sheet:
        save_sheet(survey, options.sheet, class_names(options.file))
        print(f'sheet    {options.sheet}')
    if options.html:
        save_page(survey, options.file, options.html)
        print(f'page     {options.html}')


def ls(options: argparse.Namespace) -> None:
    """One line a record, with its key, which is its id unless the ids repeat."""
    ids, offsets = array('Q'), array('Q')
    for record, image in read_images(options.file):
        ids.append(image.id)
        offsets.append(record.offset)
    keys = settle_keys(ids, offsets, listed_keys(options.file))[0]
    for key, (record, image, path) in zip(keys, read_listed(options.file)):
        print(f'{key}\t{label_text(image.labels)}\t{record.offset}\t{len(image.data)}\t{path}')


def diff(options: argparse.Namespace) -> int:
    """What two packs do not share."""
    sides = [_digests(path) for path in (options.a, options.b)]
    lines = []
    for index, mine in sides[0].items():
        other = sides[1].get(index)
        if other is None:
            lines.append(f'id {index}: only in {options.a}')
        elif other != mine:
            what = ('other labels', 'labels held in another way', 'another second id', 'another image')
            lines += [f'id {index}: {words}' for words, x, y in zip(what, mine, other) if x != y][:1]
    lines += [f'id {index}: only in {options.b}' for index in sides[1] if index not in sides[0]]
    orders = [[index for index in side if index in other] for side, other in (sides, sides[::-1])]
    if orders[0] != orders[1]:
        number = next(number for number, pair in enumerate(zip(*orders)) if pair[0] != pair[1])
        lines.append(f'another order, from id {orders[0][number]} on')
    _print_some(lines)
    print(f'{len(sides[0]):,} and {len(sides[1]):,} records; '
          + (_count(lines, 'difference') if lines else 'the same'))
    return 1 if lines else 0


def _digests(path: str) -> Dict[int, Tuple[int, bytes, int, bytes]]:
    """{key: (digest of the labels, how they are held, second id, digest of the image)}, in the order of the pack"""
    import hashlib
    ids, offsets, digests = array('Q'), array('Q'), []
    for record, image in _progress(read_images(path), path, 'diff'):
        ids.append(image.id)
        offsets.append(record.offset)
        digests.append((zlib.crc32(struct.pack(f'<{len(image.labels)}f', *image.labels)), record.payload[:4],
                        second_id(record.payload), hashlib.blake2b(image.data, digest_size=16).digest()))
    return dict(zip(settle_keys(ids, offsets, listed_keys(path))[0], digests))


def verify_files(options: argparse.Namespace) -> int:
    """Check packs; 1 if anything is wrong."""
    from data_tools.verify import verify
    wrong = 0
    for path in options.file:
        with _bar(path, 'verify') as bar:
            found = verify(path, options.decode, bar.update)
        for line in found.lines():
            print(f'{path}: {line}')
        compared = f' (compared with {" ".join(found.beside)})' if found.beside else ' (nothing beside it)'
        print(f'{path}: {found.records:,} whole records{compared}: '
              + (_count(found.problems, 'problem') if found.problems else 'all is well'))
        wrong += len(found.problems)
    return 1 if wrong else 0


def _count(things: Sequence[Any], name: str) -> str:
    return f'{len(things):,} {name}{"s" if len(things) != 1 else ""}'


def _print_some(lines: List[str]) -> None:
    for line in lines[:_MOST_LINES]:
        print(line)
    if len(lines) > _MOST_LINES:
        print(f'... and {len(lines) - _MOST_LINES:,} more')


# ---- taking apart and joining

def extract(options: argparse.Namespace) -> None:
    """Images as files, named as the list says, with an ending that fits their bytes; of detection, their labels too."""
    from data_tools.boxes import objects_of
    from data_tools.pack_files import list_line
    from data_tools.whole_folder import FileTree, whole_folder
    count = without = renamed = 0
    labels: List[str] = []
    with whole_folder(options.out) as folder:
        tree = FileTree(folder)
        for _, image, path in _progress(read_listed(options.file), options.file, 'extract'):
            if not image.data:
                without += 1
                continue
            stem, ending = os.path.splitext(path)
            kind = format_of(image.data)
            if kind != 'bin' and _KIND_OF_ENDING.get(ending.lower(), ending.lower()[1:]) != kind:
                path = f'{stem}.{kind}'
                renamed += 1
            detection = objects_of(image.labels) is not None
            if '/' not in path.strip('/') and not detection:
                path = f'{image.labels[0] if image.labels else 0:g}/{path}'
            try:
                tree.write(path, image.data)
            except FileExistsError:  # packs that were joined: the same name in both
                stem, ending = os.path.splitext(path)
                path = f'{stem}-{image.id}{ending}'
                tree.write(path, image.data)
            count += 1
            if detection:
                labels.append(list_line(image.id, label_text(image.labels), path))
        if labels:
            classes = ''.join(f'{name}\n' for name in read_classes(options.file) or ())
            for name, text in (('labels.lst', ''.join(labels)), ('labels.classes.txt', classes)):
                if text:
                    tree.write(name, text.encode('utf-8', 'surrogateescape'))
    print(f'{count:,} images -> {options.out}'
          + (f'; {renamed:,} have the ending of what they are now' if renamed else '')
          + (f'; the boxes of {len(labels):,} are in {options.out}/labels.lst' if labels else '')
          + (f'; {without:,} records without an image left out' if without else ''))


_KIND_OF_ENDING = {'.jpeg': 'jpg', '.jpe': 'jpg', '.jfif': 'jpg', '.tiff': 'tif'}


def merge(options: argparse.Namespace) -> None:
    """Packs into one."""
    from data_tools.sources import Packs
    _pack_again(Packs(options.file, options.renumber), _prefix(options.out), options, resume=options.resume)


def split(options: argparse.Namespace) -> None:
    """A pack into several."""
    from data_tools.sources import Packs
    if not options.split and options.shards == 1:
        raise UserError('rec split needs --split NAME=SHARE,... or --shards N')
    _pack_again(Packs([options.file]), options.out, options, split=options.split, shards=options.shards,
                seed=options.seed, resume=options.resume, allow_empty=options.allow_empty)


def _pack_again(source: 'Packs', prefix: str, options: argparse.Namespace, **how: Any) -> None:
    """Pack the images of packs as they are."""
    from data_tools.pack import Job, pack
    from data_tools.pack_command import summary
    result = pack(source, prefix, Job(check=False), strict=True, command=options.command_line, **how)
    for note in result.notes:
        print(f'note: {note}')
    print(summary(result, prefix))


def _prefix(path: str) -> str:
    return path[:-4] if path.endswith('.rec') else path


# ---- mending

def index(options: argparse.Namespace) -> None:
    """`.idx`, and `.crc`, from the records."""
    from data_tools.atomic import atomic_write
    for path in options.file:
        ids, offsets, lengths, checksums = (array('Q') for _ in range(4))
        for record, image in _progress(read_images(path), path, 'index'):
            for column, value in zip((ids, offsets, lengths, checksums),
                                     (image.id, record.offset, record.end - record.offset, record.crc)):
                column.append(value)
        keys, how = settle_keys(ids, offsets, listed_keys(path))
        index_lines = [f'{key}\t{offset}\n' for key, offset in zip(keys, offsets)]
        checksum_lines = [f'{key}\t{length}\t{crc:08x}\n' for key, length, crc in zip(keys, lengths, checksums)]
        checksum_lines.append(f'end\t{len(ids)}\t{sum(lengths)}\n')
        for ending, lines in (('.idx', index_lines),) + ((('.crc', checksum_lines),) if options.crc else ()):
            with atomic_write(beside(path, ending), text=True) as file:
                file.writelines(lines)
        if how:
            print(f'note: {path}: its ids repeat or are not the keys of its .idx; '
                  + ('the keys stay' if how == 'index' else 'the keys count its records from 0'))
        print(f'{len(ids):,} records -> {beside(path, ".idx")}'
              + (f', {beside(path, ".crc")}' if options.crc else ''))


def salvage(options: argparse.Namespace) -> None:
    """What is whole of a damaged pack."""
    from data_tools.pack_files import PartFolder, write_packs
    from data_tools.verify import whole_records
    prefix = _prefix(options.out)
    left_out: List[str] = []
    if os.path.realpath(prefix + '.rec') == os.path.realpath(options.file):
        raise UserError(f'{options.out}: is the damaged pack itself; choose another name for what is whole')
    classes = read_classes(options.file)
    extra = [('.classes.txt', ''.join(f'{name}\n' for name in classes).encode('utf-8', 'surrogateescape'))] \
        if classes else []
    absent = [] if classes else [prefix + '.classes.txt']
    # those of a pack that is replaced
    absent += [f'{prefix}.{name}' for name in ('bad.csv', 'duplicates.csv') + (('json',) if note_of(prefix) else ())]
    open_to_read(options.file).close()  # before anything is made for it
    counts = write_packs(PartFolder(prefix), [(prefix, whole_records(options.file, left_out))], extra, absent)
    _print_some(left_out)
    print(f'{counts[0]:,} whole records -> {prefix}.rec; {_count(left_out, "place")} left out')


# ---- progress

def _bar(path: str, what: str) -> 'tqdm':
    from tqdm import tqdm
    size = os.path.getsize(path) if os.path.exists(path) else None
    return tqdm(total=size, desc=what, unit='B', unit_scale=True, disable=None)


def _progress(items: Iterable[Item], path: str, what: str) -> Iterator[Item]:
    """The items, (Record, ...) each, with a progress bar over the bytes of the pack."""
    with _bar(path, what) as bar:
        end = 0
        for item in items:
            yield item
            bar.update(item[0].end - end)
            end = item[0].end
