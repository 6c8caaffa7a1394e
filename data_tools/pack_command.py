"""The command `pack`."""
import argparse
import gc
import os

from data_tools.errors import UserError


def add_commands(subparsers):
    parser = subparsers.add_parser(
        'pack', help='pack images into RecordIO', formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Pack images into OUT_PREFIX.rec, with .idx, .lst and .crc beside it.\n\n'
        'SRC is one of\n'
        '  a folder with one subfolder a class: numbers keep their value, names are numbered as they sort\n'
        '  a .tar, .tar.gz, .tar.bz2, .tar.xz or .zip of such a folder, or a folder in it: x.zip/train\n'
        '  a .lst in the format of im2rec: id, label(s), path, with tabs between them\n'
        '  a .rec, to encode, cut or shuffle its images anew\n'
        '  IDX images such as train-images-idx3-ubyte.gz, their labels beside them\n'
        '  CIFAR-10: the folder or the archive of its batches (all for training), or one batch')
    parser.add_argument('source', metavar='SRC')
    parser.add_argument('prefix', metavar='OUT_PREFIX')
    parser.add_argument('--root', help='folder of the paths in a .lst (default: the one in which it lies)')
    parser.add_argument('--labels', help='IDX file of the labels, if it is not beside the images')
    order = parser.add_argument_group('which images go where')
    order.add_argument('--split', type=split_shares, metavar='NAME=SHARE,...',
                       help='divide each class by chance, for example train=0.9,val=0.1: '
                            'OUT_PREFIX_train.rec, ...')
    order.add_argument('--shards', type=at_least(1), default=1,
                       help='cut into so many packs: OUT_PREFIX_0.rec, ...')
    order.add_argument('--shuffle', action='store_true', default=None, dest='shuffle',
                       help='by chance, as im2rec does (default for folders and archives)')
    order.add_argument('--no-shuffle', action='store_false', dest='shuffle',
                       help='in the order of the names, the list or the file (default for the others)')
    order.add_argument('--seed', type=int, default=100,
                       help='of all chance (default 100, which is im2rec\'s)')
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


def run(options):
    """Carry the command out."""
    # many thousands of small tuples and no cycles: a tenth of the time would go into looking for some
    gc.disable()
    try:
        _run(options)
    finally:
        gc.enable()


def _run(options):
    from data_tools.pack import Job, pack
    from data_tools.sources import open_source

    new_pixels = (options.resize or options.center_crop or options.quality is not None
                  or options.color is not None)
    encoding = options.encoding or ('jpg' if new_pixels else 'keep')
    if encoding == 'keep' and new_pixels:
        raise UserError('--encoding keep cannot go with --resize, --center-crop, --quality or --color, which '
                        'make new pixels; leave one out')
    if not options.check and encoding != 'keep':
        raise UserError('--no-check goes with --encoding keep only: to encode anew is to decode')
    if options.quality is not None and not 1 <= options.quality <= (9 if encoding == 'png' else 100):
        raise UserError(f'--quality {options.quality}: JPEG has 1 to 100, PNG 1 to 9')
    if options.shards > 200:
        raise UserError(f'--shards {options.shards}: at most 200')
    workers = options.workers or len(os.sched_getaffinity(0) if hasattr(os, 'sched_getaffinity')
                                     else range(os.cpu_count()))
    source = open_source(options.source, options.root, options.labels)
    job = Job(check=options.check, encoding=encoding, resize=options.resize, center_crop=options.center_crop,
              quality=options.quality, color=1 if options.color is None else options.color,
              max_pixels=options.max_pixels)
    executor = None
    if options.dask:
        from data_tools.cluster import connect
        executor, workers = connect(options.dask)
    result = pack(source, options.prefix, job, options.split, options.shards, options.shuffle, options.seed,
                  workers,
                  options.resume, options.strict, options.on_bad == 'stop', executor)
    print(summary(result, options.prefix))


def summary(result, prefix):
    """What was done, in one line."""
    packs = len(result.counts)
    parts = [f'{sum(result.counts):,} images'
             + (f' ({", ".join(f"{count:,}" for count in result.counts)}) in {packs} '
                f'packs' if packs > 1 else '')
             + f', {result.size:,} bytes -> {prefix}{"_*" if packs > 1 else ""}.rec']
    listed = [f'{number:,} {what}' for number, what in ((result.skipped, 'bad and left out'),
              (result.converted, 'converted'), (result.kept, 'odd but kept')) if number]
    parts.append(f'{", ".join(listed)} ({prefix}.bad.csv)' if listed else '0 bad')
    if result.duplicates:
        parts.append(f'{result.duplicates:,} duplicates ({prefix}.duplicates.csv)')
    return '; '.join(parts)


def at_least(least):
    def number(text):
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f'{text}: at least {least}')
        return value
    return number


def split_shares(text):
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
