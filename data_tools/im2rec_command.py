"""The command `im2rec`: the command line of MXNet's `im2rec.py`, with its options, defaults, lists and records.

Source: `mxnet/tools/im2rec.py` of MXNet 1.9.1. Where ours differs, it says so in a line.
"""
import argparse
import os
import random
import shlex
from typing import Dict, Iterable, Iterator, List, Tuple

from data_tools.atomic import atomic_write
from data_tools.errors import UserError
from data_tools.pack_command import at_least


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    parser = subparsers.add_parser(
        'im2rec', help="MXNet's im2rec.py, option for option",
        description='Make an image list (--list), or pack the lists PREFIX*.lst, as MXNet\'s im2rec.py does; prints '
                    'how `pack` is called for the same.')
    parser.add_argument('prefix', help='prefix of the .lst and .rec files')
    parser.add_argument('root', help='folder of the images')
    listing = parser.add_argument_group('creating image lists')
    listing.add_argument('--list', action='store_true', help='make PREFIX.lst; without it, pack PREFIX*.lst')
    listing.add_argument('--exts', nargs='+', default=['.jpeg', '.jpg', '.png'], help='endings of images')
    listing.add_argument('--chunks', type=at_least(1), default=1, help='lists to cut it into')
    listing.add_argument('--train-ratio', type=float, default=1.0, help='share for PREFIX_train.lst')
    listing.add_argument('--test-ratio', type=float, default=0, help='share for PREFIX_test.lst')
    listing.add_argument('--recursive', action='store_true',
                         help='a label for each folder with images; otherwise those in ROOT, label 0')
    listing.add_argument('--no-shuffle', dest='shuffle', action='store_false', help='in the order of the names')
    packing = parser.add_argument_group('packing')
    packing.add_argument('--pass-through', action='store_true', help='the very bytes')
    packing.add_argument('--resize', type=at_least(0), default=0, help='length of the shorter edge; 0: as it is')
    packing.add_argument('--center-crop', action='store_true', help='cut to a square')
    packing.add_argument('--quality', type=int, default=95, help='JPEG 1 to 100; PNG compression 1 to 9')
    packing.add_argument('--num-thread', type=at_least(1), default=1, help='processes')
    packing.add_argument('--color', type=int, default=1, choices=[-1, 0, 1],
                         help='1: three channels, 0: gray, -1: as it is')
    packing.add_argument('--encoding', default='.jpg', choices=['.jpg', '.png'], help='of the images')
    packing.add_argument('--pack-label', action='store_true', help='store all labels of a line, not only the first')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry the command out."""
    options.prefix, options.root = os.path.abspath(options.prefix), os.path.abspath(options.root)
    if options.list:
        _make_lists(options)
    else:
        _pack_lists(options)


# ---- lists

def _make_lists(options: argparse.Namespace) -> None:
    """PREFIX.lst, or its parts; the same lines as im2rec's, in the same order."""
    entries: List[Tuple[int, str, int]] = []
    odd = 0
    for path, label in _walk(options):
        if set(path) & set('\t\n\r'):
            odd += 1  # such a line could not be read back
            continue
        entries.append((len(entries), path, label))
    if options.shuffle:
        random.Random(100).shuffle(entries)
    size = -(-len(entries) // options.chunks)
    for number in range(options.chunks):
        chunk = entries[number * size:(number + 1) * size]
        name = options.prefix + (f'_{number}' if options.chunks > 1 else '')
        if options.train_ratio == 1.0:
            _write_list(f'{name}.lst', chunk)
            continue
        train, test = int(size * options.train_ratio), int(size * options.test_ratio)
        if options.test_ratio:
            _write_list(f'{name}_test.lst', chunk[:test])
        if options.train_ratio + options.test_ratio < 1.0:
            _write_list(f'{name}_val.lst', chunk[test + train:])
        elif len(chunk) > test + train:
            print(f'note: {len(chunk) - test - train} images that rounding leaves over go to {name}_train.lst; '
                  f'im2rec.py drops them')
            train = len(chunk) - test
        _write_list(f'{name}_train.lst', chunk[test:test + train])
    if odd:
        print(f'note: {odd} files with a tab or line end in their name left out; im2rec.py writes lists that it cannot '
              f'read')
    native = ['pack', options.root, options.prefix] + ([] if options.shuffle else ['--no-shuffle'])
    native += ['--leaves'] if options.recursive else []
    native += ['--exts', *options.exts]
    if options.train_ratio != 1.0:
        shares = {'train': options.train_ratio, 'test': options.test_ratio,
                  'val': 1 - options.train_ratio - options.test_ratio}
        native += ['--split', ','.join(f'{part}={share:g}' for part, share in shares.items() if share > 1e-9)]
    _print_native(native, 'lists and packs in one call, divides each class, and writes the names of the classes')


def _walk(options: argparse.Namespace) -> Iterator[Tuple[str, int]]:
    """(path, label) of the images, as im2rec finds them."""
    if not os.path.isdir(options.root):
        raise UserError(f'{options.root}: not a folder')
    endings = set(options.exts)
    labels: Dict[str, int] = {}

    def images_of(folder: str, names: Iterable[str]) -> Iterator[str]:
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.splitext(name)[1].lower() in endings and os.path.isfile(path):
                yield os.path.relpath(path, options.root)

    if not options.recursive:
        yield from ((path, 0) for path in images_of(options.root, os.listdir(options.root)))
        return
    for folder, folders, names in os.walk(options.root, followlinks=True):
        folders.sort()
        for path in images_of(folder, names):
            yield path, labels.setdefault(folder, len(labels))
    for folder, label in labels.items():
        print(os.path.relpath(folder, options.root), label)


def _write_list(path: str, entries: Iterable[Tuple[int, str, int]]) -> None:
    with atomic_write(path) as file:
        file.write(''.join(f'{index}\t{label:f}\t{name}\n' for index, name, label in entries).encode(
            'utf-8', 'surrogateescape'))


# ---- packs

def _pack_lists(options: argparse.Namespace) -> None:
    """Every PREFIX*.lst into a .rec beside it."""
    from data_tools.pack import Job, pack
    from data_tools.pack_command import summary
    from data_tools.sources import List
    png = options.encoding == '.png'
    encoding = 'keep' if options.pass_through else options.encoding[1:]
    folder = options.prefix if os.path.isdir(options.prefix) else os.path.dirname(options.prefix)
    lists = [path for path in (os.path.join(folder, name) for name in sorted(os.listdir(folder)))
             if path.startswith(options.prefix) and path.endswith('.lst') and os.path.isfile(path)]
    if not lists:
        raise UserError(f'{options.prefix}*.lst: no such list; make it with --list')
    for path in lists:
        source, prefix = List(path, options.root), path[:-4]
        several = sum(len(labels) > 1 for labels in source.all_labels)
        if several and not options.pack_label:
            source.all_labels = [labels[:1] for labels in source.all_labels]
            print(f'note: {several:,} lines of {path} have several labels; without --pack-label only the first is '
                  f'stored, as im2rec.py does (`pack` stores all)')
        job = Job(encoding=encoding, resize=0 if options.pass_through else options.resize,
                  center_crop=options.center_crop and not options.pass_through,
                  quality=min(options.quality, 9) if png else options.quality, color=options.color)
        result = pack(source, prefix, job, workers=options.num_thread, command=options.command_line, write_list=False)
        for note in result.notes:
            print(f'note: {note}')
        print(summary(result, prefix))
        if result.skipped:
            print('note: images that do not decode are left out and listed; im2rec.py packs them with --pass-through')
        native = ['pack', path, prefix, '--root', options.root]
        if not options.pass_through:
            native += ['--encoding', encoding]
            native += ['--resize', str(options.resize)] if options.resize else []
            native += ['--center-crop'] if options.center_crop else []
            native += ['--quality', str(job.quality)] if options.quality != 95 or png else []
            native += ['--color', str(options.color)] if options.color != 1 else []
        if options.num_thread != 1:
            native += ['--workers', str(options.num_thread)]
        _print_native(native, 'stores all labels of a line' if several and not options.pack_label else '')
    if options.resize and not options.pass_through:
        print('note: pictures are made smaller by averaging; im2rec.py picks single pixels, so that its bytes are '
              'others')


def _print_native(arguments: List[str], better: str = '') -> None:
    print('native: python -m data_tools ' + ' '.join(map(shlex.quote, arguments)) + (f'  # {better}' if better else ''))
