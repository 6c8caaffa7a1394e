"""`python -m data_tools go ...`: pack games, look at packs, verify them.

What is heavy is imported when a command runs.
"""
import argparse
import os
from typing import TYPE_CHECKING, Callable

from data_tools.atomic import PathLike
from data_tools.errors import UserError

if TYPE_CHECKING:
    import numpy as np


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError('a share is from 0 to below 1')
    return value


def _whole(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if not least <= value < 2 ** 32:
            raise argparse.ArgumentTypeError(f'a whole number from {least} on')
        return value
    number.__name__ = 'whole number'  # argparse says so of anything else
    return number


def add_commands(subparsers: 'argparse._SubParsersAction') -> None:
    """Add `go` with `pack`, `info`, `verify` and `show`; each sets `run`, a function of the parsed options.

    Parameters
    ----------
    subparsers : what `add_subparsers()` of the parser of `data_tools` returned
    """
    text = 'pack the positions of Go games, look at packs, verify them'
    go = subparsers.add_parser('go', help=text, description=text[0].upper() + text[1:] + '.')
    subparsers = go.add_subparsers(dest='go_command', metavar='COMMAND', required=True)
    pack = subparsers.add_parser('pack', help='game records (SGF) to packed positions',
                                 description='Pack the positions of games, shuffled, for training. What is '
                                             'refused is listed in OUT.refused.csv.')
    pack.add_argument('sgf', nargs='+', metavar='SGF',
                      help='.sgf, .sgf.xz/gz/bz2 (one game or many), folders, .zip and .tar archives of them')
    pack.add_argument('out', metavar='OUT', help="NAME.dat, the book's format, or NAME.rec, RecordIO")
    pack.add_argument('--validation', type=_share, default=0.0, metavar='SHARE',
                      help='share of the games that goes to NAME.validation.dat (default 0)')
    pack.add_argument('--seed', type=_whole(0), default=0, help='of the split and the order (default 0)')
    pack.add_argument('--workers', type=_whole(1), default=os.cpu_count() or 1,
                      help='processes; the output does not depend on it (default: one a core)')
    pack.set_defaults(run=run_pack)

    for name, run, text in (('info', run_info, 'what is in a pack'),
                            ('verify', run_verify, 'check that every record is a position of Go'),
                            ('show', run_show, 'draw a position')):
        command = subparsers.add_parser(name, help=text, description=text[0].upper() + text[1:] + '.')
        command.add_argument('file', metavar='FILE', help='a .dat or .rec file that `go pack` made')
        if name == 'show':
            command.add_argument('--record', type=_whole(0), default=0, metavar='N',
                                 help='from 0 (default 0)')
        command.set_defaults(run=run)


def _load(path: PathLike) -> 'np.ndarray':
    """The records of a `.dat` (mapped) or `.rec` (read): uint8 (N, 363)."""
    import numpy as np

    from data_tools import recordio
    from data_tools.go import dat
    if not str(path).endswith('.rec'):
        return dat.load_dat(path)
    records = bytearray()
    for number, (_, image) in enumerate(recordio.read_images(path)):
        data = image.data
        if len(data) != dat.RECORD or image.labels != (data[0] + dat.SIZE * data[1],):
            raise UserError(f'{path}: record {number} is not a packed position with its label; '
                            '`rec info` tells what the file holds')
        records += data
    if not records:
        raise UserError(f'{path}: no records; pack the games again')
    return np.frombuffer(records, np.uint8).reshape(-1, dat.RECORD)


def run_pack(args: argparse.Namespace) -> None:
    """`go pack`: the last line says what was written and what was refused."""
    from data_tools.go.pack import pack
    packed = pack(args.sgf, args.out, args.validation, args.seed, args.workers)
    for path, count in packed.files:
        print(f'{path}: {count:,} positions, {os.path.getsize(path):,} bytes')
    refused = sum(packed.reasons.values())
    reasons = ', '.join(f'{count} {reason}' for reason, count in packed.reasons.most_common())
    positions = sum(count for _, count in packed.files)
    print(f'{positions:,} positions of {packed.games:,} games in {packed.seconds:.0f} s; refused {refused}'
         + (f' ({reasons}), see {args.out}.refused.csv' if refused else ''))


def run_info(args: argparse.Namespace) -> None:
    """`go info`."""
    import numpy as np

    from data_tools.go import dat
    from data_tools.go.board import vertex
    records = _load(args.file)
    few = records if len(records) <= 100_000 else records[::len(records) // 100_000]
    moves = np.bincount(dat.labels_of(few).clip(0, dat.AREA - 1), minlength=dat.AREA)
    points = few[:, 2:]
    stones = (points & 3 > 0).sum(1)
    print(f'{len(records):,} positions, {dat.RECORD} bytes each')
    print(f'stones on the board: {stones.min()} to {stones.max()}, {stones.mean():.1f} on average')
    print(f'after a pass, or at the start: {(points >> 7).sum(1).__eq__(0).mean():.2%}')
    print('most played: ' + ', '.join(f'{vertex(move)} {moves[move] / len(few):.2%}'
                                      for move in np.argsort(-moves, kind='stable')[:8]))
    if len(few) < len(records):
        print(f'(figures of {len(few):,} positions, evenly spread)')


def run_verify(args: argparse.Namespace) -> None:
    """`go verify`."""
    from tqdm import tqdm

    from data_tools.go import dat
    records = _load(args.file)
    step = 50_000
    with tqdm(total=len(records), unit=' positions', unit_scale=True, disable=None) as bar:
        for start in range(0, len(records), step):
            part = records[start:start + step]
            fault = dat.first_fault(part)
            if fault:
                raise UserError(f'{args.file}: record {start + fault[0]}: {fault[1]}; pack the games again')
            bar.update(len(part))
    print(f'{args.file}: {len(records):,} positions, all sound')


def run_show(args: argparse.Namespace) -> None:
    """`go show`."""
    import numpy as np

    from data_tools.go import dat
    from data_tools.go.board import draw, vertex
    records = _load(args.file)
    if args.record >= len(records):
        raise UserError(f'{args.file}: no record {args.record}; its records are 0 to {len(records) - 1:,}')
    record = np.array(records[args.record])
    fault = dat.first_fault(record[None])
    if fault:
        raise UserError(f'{args.file}: record {args.record}: {fault[1]}; pack the games again')
    points, move = record[2:], int(dat.labels_of(record[None])[0])
    last = np.flatnonzero(points >> 7)
    print(f'{args.file}, record {args.record} of {len(records):,}')
    print('X is to move' + (f', ( ) is the last move, {vertex(int(last[0]))}' if len(last) else '')
          + f'; * is the move played, {vertex(move)}')
    print(draw((points & 3).reshape(dat.SIZE, dat.SIZE), int(last[0]) if len(last) else None, move))
