"""The command `pack`."""
import argparse
import gc
import os
from typing import TYPE_CHECKING, Callable, Dict

from data_tools.atomic import atomic_write
from data_tools.errors import UserError

if TYPE_CHECKING:
    from data_tools.pack import Result


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    parser = subparsers.add_parser(
        'pack', help='pack images into RecordIO', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Pack images into OUT_PREFIX.rec, with .idx, .lst and .crc beside it.\n\n'
        'SRC is one of\n'
        '  a folder with one subfolder a class: numbers keep their value, names are numbered as they sort; also one '
        'that\n'
        '  fsspec reaches: s3://bucket/train, http://host/train (extra `remote`); OUT_PREFIX may lie there too\n'
        '  a .tar, .tar.gz, .tar.bz2, .tar.xz or .zip of such a folder, here or where fsspec reaches, or a folder in it: '
        'x.zip/train\n'
        '  a .lst in the format of im2rec: id, label(s), path, with tabs between them\n'
        '  a .rec, to encode, cut or shuffle its images anew\n'
        '  IDX images such as train-images-idx3-ubyte.gz, their labels beside them\n'
        '  CIFAR-10: the folder or the archive of its batches (all for training), or one batch\n'
        "  with --voc or --coco, pictures with boxes around objects: a folder in Pascal VOC's layout, a JSON file of "
        "COCO's\n\n"
        'A folder of images without subfolders gives all of them the label 0.')
    parser.add_argument('source', metavar='SRC')
    parser.add_argument('prefix', metavar='OUT_PREFIX')
    boxes = parser.add_mutually_exclusive_group()
    boxes.add_argument('--voc', action='store_true',
                       help="SRC is a folder in Pascal VOC's layout (Annotations, JPEGImages): pack pictures with boxes")
    boxes.add_argument('--coco', action='store_true', help='SRC is a JSON file of objects as COCO has them: the same')
    parser.add_argument('--set', default='', metavar='NAME', dest='chosen',
                        help='with --voc: only the pictures of ImageSets/Main/NAME.txt')
    parser.add_argument('--root', help='folder of the paths in a .lst (default: the one in which it lies), or of the '
                                       'pictures of --coco')
    parser.add_argument('--labels', help='IDX file of the labels, if it is not beside the images')
    listing = parser.add_argument_group('what of a folder or archive counts')
    listing.add_argument('--classes', metavar='FILE',
                         help='class names in the order of their labels: written if FILE is not there yet, else read, '
                              'so that training and test packs have the same labels')
    listing.add_argument('--leaves', action='store_true',
                         help='each folder that holds images is a class: animal/cat, animal/dog')
    listing.add_argument('--exts', nargs='+', metavar='.EXT',
                         help='only files with these endings (default: whatever is an image)')
    listing.add_argument('--ignore', action='append', default=[], metavar='PATTERN',
                         help="leave out files and folders with such a name or path, for example '*_mask.png'; may be "
                              "given several times")
    listing.add_argument('--names', default='gb18030', metavar='CODE',
                         help='code page of names in archives that are not UTF-8 (default gb18030, which holds GBK)')
    order = parser.add_argument_group('which images go where')
    order.add_argument('--split', type=split_shares, metavar='NAME=SHARE,...',
                       help='divide each class by chance, for example train=0.9,val=0.1: '
                            'OUT_PREFIX_train.rec, ...; equal images go to one part')
    order.add_argument('--shards', type=at_least(1), default=1,
                       help='cut into so many packs: OUT_PREFIX_0.rec, ...')
    order.add_argument('--shuffle', action='store_true', default=None, dest='shuffle',
                       help='by chance, as im2rec does (default for folders and archives)')
    order.add_argument('--no-shuffle', action='store_false', dest='shuffle',
                       help='in the order of the names, the list or the file (default for the others)')
    order.add_argument('--seed', type=int, default=100,
                       help='of all chance (default 100, which is im2rec\'s)')
    order.add_argument('--allow-empty', action='store_true', help='let parts and shards be empty')
    images = parser.add_argument_group('what becomes of an image')
    images.add_argument('--encoding', choices=['keep', 'jpg', 'png', 'raw'],
                        help='keep: the very bytes, once they have proved to decode (default, unless an '
                        'option below asks for new pixels: then jpg); raw: no compression, a BMP that MXNet '
                        'reads')
    images.add_argument('--no-check', action='store_false', dest='check', help='keep without decoding')
    images.add_argument('--resize', type=at_least(1), default=0, metavar='PIXELS',
                        help='length of the shorter edge')
    images.add_argument('--center-crop', action='store_true', help='first cut to a square')
    images.add_argument('--quality', type=int,
                        help='JPEG 1 to 100 (default 95), PNG compression 1 to 9 (default 3)')
    images.add_argument('--color', type=int, choices=[-1, 0, 1],
                        help='1: three channels (default), 0: gray, -1: as it is, with transparency')
    images.add_argument('--upright', action='store_true',
                        help='turn the pictures whose camera was held otherwise, a JPEG without loss where '
                             'libturbojpeg is installed (with new pixels all are upright anyway)')
    images.add_argument('--to-8-bit', action='store_true', dest='to_8_bits',
                        help='drop the lower half of 16-bit samples, which else are bad')
    images.add_argument('--background', type=color_name, metavar='COLOR',
                        help='lay pictures with transparency onto this colour: white, #ffeedd')
    images.add_argument('--max-pixels', type=at_least(1), default=100_000_000,
                        help='larger images are bad (default 100 million)')
    images.add_argument('--on-bad', choices=['skip', 'stop'], default='skip',
                        help='skip: list bad images in OUT_PREFIX.bad.csv; stop: fail at the first')
    images.add_argument('--strict', action='store_true', help='go through all, then fail if one was bad')
    work = parser.add_argument_group('work')
    work.add_argument('--workers', type=at_least(1), help='processes (default: one a core)')
    work.add_argument('--resume', action='store_true', help='go on where an interrupted call stopped')
    work.add_argument('--dask', metavar='tcp://HOST:PORT',
                      help='have the work done by a dask.distributed cluster')
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Carry the command out."""
    # many thousands of small tuples and no cycles: a tenth of the time would go into looking for some
    gc.disable()
    try:
        _run(options)
    finally:
        gc.enable()


def _run(options: argparse.Namespace) -> None:
    new_pixels = (options.resize or options.center_crop or options.quality is not None
                  or options.color is not None)
    encoding = options.encoding or ('jpg' if new_pixels else 'keep')
    if encoding == 'keep' and new_pixels:
        raise UserError('--encoding keep cannot go with --resize, --center-crop, --quality or --color, which '
                        'make new pixels; leave one out')
    if not options.check and (options.upright or options.to_8_bits or options.background):
        raise UserError('--no-check leaves every image as it is; leave it out with --upright, --to-8-bit and '
                        '--background')
    if not options.check and encoding != 'keep':
        raise UserError('--no-check goes with --encoding keep only: to encode anew is to decode')
    if options.quality is not None and not 1 <= options.quality <= (9 if encoding == 'png' else 100):
        raise UserError(f'--quality {options.quality}: JPEG has 1 to 100, PNG 1 to 9')
    if '://' in options.prefix:
        from data_tools.remote import written_there
        with written_there(options.prefix, options.resume) as prefix:
            _pack(options, encoding, prefix)
    else:
        _pack(options, encoding, options.prefix)


def _pack(options: argparse.Namespace, encoding: str, prefix: str) -> None:
    """Pack what the options say under a local prefix."""
    from data_tools.pack import Job, pack
    from data_tools.recordio import read_names
    from data_tools.sources import Folder, Listing, Source, open_source

    if options.shards > 200:
        raise UserError(f'--shards {options.shards}: at most 200')
    workers = options.workers or len(os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity')
                                     else range(os.cpu_count() or 1))
    given = None
    if options.classes and os.path.exists(options.classes):
        given = tuple(read_names(options.classes))
    listing = Listing(options.exts and tuple(ending.lower() if ending[0] == '.' else f'.{ending.lower()}'
                                             for ending in options.exts),
                      tuple(options.ignore), options.leaves, given, options.names)
    if options.chosen and not options.voc:
        raise UserError('--set names a list of ImageSets/Main; it goes with --voc')
    source: Source
    if options.voc or options.coco:
        from data_tools.annotations import open_coco, open_voc
        source = open_voc(options.source, options.chosen, listing) if options.voc \
            else open_coco(options.source, options.root, listing)
    else:
        source = open_source(options.source, options.root, options.labels, listing)
    if options.classes and given is None and source.classes is None and isinstance(source, Folder) \
            and source.folders != ['']:
        listing = listing._replace(classes=tuple(sorted(source.folders, key=int)))  # counted from 0 from now on
        source = open_source(options.source, options.root, options.labels, listing)
    if options.classes and (source.classes is None or given and list(given) != list(source.classes)):
        raise UserError(f'{options.source}: has no class names, or others than {options.classes}; --classes goes with '
                        f'class folders, --voc and --coco, and with a .lst if {options.classes} is there already')
    job = Job(check=options.check, encoding=encoding, resize=options.resize, center_crop=options.center_crop,
              quality=options.quality, color=1 if options.color is None else options.color,
              max_pixels=options.max_pixels, to_8_bits=options.to_8_bits, background=options.background,
              upright=options.upright or options.voc or options.coco)  # boxes are those of the upright picture
    executor = None
    if options.dask:
        from data_tools.cluster import connect
        executor, workers = connect(options.dask)
    result = pack(source, prefix, job, options.split, options.shards, options.shuffle, options.seed,
                  workers, options.resume, options.strict, options.on_bad == 'stop', executor, options.allow_empty,
                  options.command_line)
    if options.classes and given is None and source.classes is not None:
        with atomic_write(options.classes) as file:
            file.write(''.join(f'{name}\n' for name in source.classes).encode('utf-8', 'surrogateescape'))
    for note in result.notes:
        print(f'note: {note}')
    print(summary(result, options.prefix))


def summary(result: 'Result', prefix: str) -> str:
    """What was done, in one line."""
    prefix = prefix[:-4] if prefix.endswith('.rec') else prefix
    packs = len(result.counts)
    parts = [f'{sum(result.counts):,} images'
             + (f' ({", ".join(f"{count:,}" for count in result.counts)}) in {packs} '
                f'packs' if packs > 1 else '')
             + f', {result.size:,} bytes -> {prefix}{"_*" if packs > 1 else ""}.rec']
    listed = [f'{number:,} {what}' for number, what in ((result.skipped, 'bad and left out'),
              (result.converted, 'converted'), (result.kept, 'odd but kept')) if number]
    parts.append(f'{", ".join(listed)} ({prefix}.bad.csv)' if listed else '0 bad')
    if result.duplicates:
        parts.append(f'{result.duplicates:,} duplicates'
                     + (f', {result.other_labels:,} of them under another label' if result.other_labels else '')
                     + f' ({prefix}.duplicates.csv)')
    if result.others:
        parts.append(f'{result.others:,} files are no images')
    return '; '.join(parts)


def at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text}: at least {least}')
        return value
    return number


def color_name(text: str) -> str:
    from PIL import ImageColor
    try:
        ImageColor.getrgb(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f'{text!r} is no colour; try white or #ffeedd') from None
    return text


def split_shares(text: str) -> Dict[str, float]:
    """'train=0.9,val=0.1' -> {'train': 0.9, 'val': 0.1}"""
    shares = {}
    for part in text.split(','):
        name, _, share = part.partition('=')
        try:
            shares[name] = float(share)
        except ValueError:
            raise argparse.ArgumentTypeError(f'{part!r} is not NAME=SHARE') from None
        if not name or '/' in name or not 0 < shares[name] <= 1:
            raise argparse.ArgumentTypeError(f'{part!r}: a name, and a share above 0 and up to 1')
    if abs(sum(shares.values()) - 1) > 1e-6 or len(shares) < text.count(',') + 1:
        raise argparse.ArgumentTypeError(f'{text!r}: the names are to differ and the shares to add up to 1')
    return shares
