"""Game records in SGF: from files, folders and archives to lists of moves. The syntax is read by `sgfmill`.

What is read, and how:

- `.sgf` files with one game or many; the same compressed (`.sgf.xz`, `.sgf.gz`, `.sgf.bz2`); folders of
  them, searched all the way down; `.zip` and `.tar` archives of them, compressed or not. A folder or an
  archive is read in the order of its files' names.
- A text is read *one game a line* if its first line is a whole game and more than half of its lines begin a
  game: `(;` and then no move, as variations have. A game's number is then its line. Otherwise games are
  numbered as they come, and a broken one ends where the next root node (one with GM, FF or SZ) begins.
- Only the main line, the first variation everywhere. Passes are `[]` and, up to 19x19, `[tt]`.
- Set-up stones (AB, AW, AE) at any node, before that node's move if it has one.
- Letters: the encoding that CA names, else ISO-2022-JP or HZ where their signs are, UTF-8, GB18030, Shift-JIS,
  Big5, Latin-1: the first in which the text decodes and all of its games parse. (The order matters only for the
  brackets hidden in two-byte characters.)
- What programs write though SGF does not: `SZ[19:19]`, a root without its `;`, komi in HA or with a comma.

`chapters/kit/trained/page/src/record.js` reads the same in the browser; `tests/page/test_records.py` compares them.

A game is refused, and never used in part, if its SGF is broken, it is not Go, its board is not 2x2 to
19x19, a node has two moves, a point is off the board, HA speaks of stones that nobody placed, or it has no
move (`read_record`, for programs that play, is milder). Whether the moves are legal is for `pack.py` to find
out. Every refusal says which file, game and move.
"""
import bz2
import gzip
import lzma
import os
import re
import signal
import tarfile
import zipfile
import zlib
from collections import namedtuple
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np
from sgfmill import sgf_grammar, sgf_properties

from data_tools.atomic import PathLike
from data_tools.errors import UserError

MAX_SIZE = 19
MAX_MOVES = 10 ** 6

# An event is KIND * kind + move, in a uint16 array; a move is x + size * y, or size * size for a pass.
REMOVE, ADD_BLACK, ADD_WHITE, PLAY_BLACK, PLAY_WHITE = 0, 1, 2, 3, 4
KIND = 512

Game = namedtuple('Game', 'file number size events result komi handicap to_play')
Game.__doc__ = """A game's main line: source file, number in it (from 1), board size, events uint16 (n,), result as RE says
it ('B+R', 'W+3.5'; '' if it does not), komi (None if KM does not say it), handicap stones, and who is to play as PL says
it after the last move (1 black, 2 white, 0 if it does not)."""

Refused = namedtuple('Refused', 'file number move reason')
Refused.__doc__ = """What was not used: source file, game and move number (or None), reason (`kind: more`)."""


Batch = List[Tuple[str, Optional[int], Union[bytes, Refused]]]  # see `batches`


class _Broken(Exception):
    """What is wrong with a game, and at which move (None: before any)."""

    def __init__(self, reason: str, move: Optional[int] = None) -> None:
        super().__init__(reason)
        self.move = move


# ---- one game ----

def _points_of_size(size: int) -> Dict[bytes, int]:
    """What a B or W property may hold on this board: {b'pd': 72, ..., b'': 361}, as sgfmill reads it."""
    letters = [bytes([97 + i]) for i in range(size)]
    table = {}
    for value in [b'', b'tt'] + [x + y for x in letters for y in letters]:
        try:
            point = sgf_properties.interpret_go_point(value, size)
        except ValueError:
            continue
        # sgfmill counts rows from the bottom
        table[value] = size * size if point is None else point[1] + size * (size - 1 - point[0])
    return table


_POINTS = {size: _points_of_size(size) for size in (9, 13, 19)}


def _number(properties: Dict[str, List[bytes]], name: str, default: int) -> int:
    """An integer property of the root node."""
    value = properties.get(name, [b''])[0].strip()
    try:
        return int(value) if value else default
    except ValueError:
        raise _Broken(f'not a number: {name}[{value[:20].decode("ascii", "replace")}]') from None


def _size(root: Dict[str, List[bytes]]) -> int:
    """The lines of the board, also where they are said twice, as `SZ[19:19]`."""
    columns, _, rows = root.get('SZ', [b''])[0].partition(b':')
    if rows and columns.strip() != rows.strip():
        raise _Broken(f'board size: {columns.decode("ascii", "replace")}x{rows.decode("ascii", "replace")}, not square')
    return _number({'SZ': [columns]}, 'SZ', 19)


def _decimal(properties: Dict[str, List[bytes]], name: str) -> Optional[float]:
    """A number of the root node, or None if it is none."""
    try:
        value = float(properties.get(name, [b''])[0].decode('ascii', 'replace').replace(',', '.'))
    except ValueError:
        return None
    return value if abs(value) <= MAX_SIZE ** 2 else None


def _stones(name: str, values: List[bytes], size: int, move: Optional[int]) -> List[int]:
    """The moves of the points in a list of set-up stones, compressed rectangles (`aa:cc`) included."""
    values = [value.strip() for value in values]
    try:
        points = sgf_properties.interpret_point_list(values, sgf_properties.Presenter(size, 'UTF-8'))
    except ValueError:
        for value in values:
            first, _, last = value.partition(b':')
            if last and len(first) == len(last) == 2 and (first[0] > last[0] or first[1] > last[1]):
                raise _Broken(f'not a rectangle from top left to bottom right: {name}[{value.decode("ascii", "replace")}]',
                              move) from None
        raise _Broken('off the board: set-up stones', move) from None
    return sorted(x + size * (size - 1 - row) for row, x in points)


def _read(file: str, number: int, tree: Any, until: Optional[int] = None) -> Game:
    """A game's main line; raises _Broken. With `until`, no more than so many moves are looked at, and none will do."""
    nodes = list(sgf_grammar.main_sequence_iter(tree))
    root = nodes[0]
    if _number(root, 'GM', 1) != 1:
        raise _Broken(f'not Go: GM[{_number(root, "GM", 1)}]')
    size = _size(root)
    if not 2 <= size <= MAX_SIZE:
        raise _Broken(f'board size: {size}, not 2 to {MAX_SIZE}')
    if size not in _POINTS:
        _POINTS[size] = _points_of_size(size)
    points = _POINTS[size]

    events = []
    moves = 0
    black_stones = 0
    to_play = 0
    for node in nodes:
        if until == moves and ('B' in node or 'W' in node):
            break
        for name, kind in (('AE', REMOVE), ('AB', ADD_BLACK), ('AW', ADD_WHITE)):
            if name in node:
                found = _stones(name, node[name], size, moves or None)
                events += [KIND * kind + point for point in found]
                black_stones += len(found) if kind == ADD_BLACK else 0
        played = [(kind, value) for name, kind in (('B', PLAY_BLACK), ('W', PLAY_WHITE)) if name in node
                  for value in node[name]]
        if 'PL' in node:
            to_play = {b'b': 1, b'1': 1, b'w': 2, b'2': 2}.get(node['PL'][0].strip()[:1].lower(), 0)
        if not played:
            continue
        moves += 1
        to_play = 0
        if len(played) > 1:
            raise _Broken('two moves in one node', moves)
        kind, value = played[0]
        point = points.get(value)
        if point is None:
            point = points.get(value.strip()) if value.strip() else None
            if point is None:
                raise _Broken(f'off the board: [{value[:20].decode("ascii", "replace")}]', moves)
        events.append(KIND * kind + point)
    if not moves and until is None:
        raise _Broken('no moves')
    said = _decimal(root, 'HA') or 0
    handicap = int(said) if said == int(said) else 0  # 7.5: somebody's komi
    if until is None and handicap > 1 and black_stones < handicap:
        opening = [event // KIND for event in events if event // KIND >= PLAY_BLACK][:handicap]
        if opening != [PLAY_BLACK] * handicap:  # neither set up nor played one after another
            raise _Broken(f'handicap stones missing: HA[{handicap}]')
    result = root.get('RE', [b''])[0].decode('utf-8', 'replace').strip()
    return Game(file, number, size, np.array(events, np.uint16), result, _decimal(root, 'KM'), handicap, to_play)


# ---- the games of a text ----

_BRACKETS = re.compile(rb'\[[^\]]*\]')
_PLAIN_GAME = re.compile(rb'\s*\(\s*;[^()]*\)\s*')
_START = re.compile(rb'\(\s*;')
_ROOT = re.compile(rb'\(\s*;[^;()]*?\b(?:GM|FF|SZ)\s*\[')
_LINE_START = re.compile(rb'\s*\(\s*;(?!\s*[BW]\s*\[)')
_MOVES = re.compile(rb';\s*[BW]\s*\[')
_NO_SEMICOLON = re.compile(rb'\(\s*(?=[A-Z]{1,2}\s*\[)')
_CHARSET = re.compile(rb'\bCA\s*\[\s*([^\]\s]{1,40})\s*\]')


def _is_one_plain_game(text: bytes) -> bool:
    """Whether a text surely is one whole game without variations and nothing else (False: perhaps)."""
    return b'\\' not in text and _PLAIN_GAME.fullmatch(_BRACKETS.sub(b'', text)) is not None


def _trees(text: bytes) -> Iterator[Any]:
    """Yield a parse tree, or a _Broken, for each game of a collection."""
    if _is_one_plain_game(text):  # the usual case; spares a second pass over the tokens
        try:
            yield sgf_grammar.parse_sgf_game(text)
        except ValueError as error:
            yield _Broken(f'broken SGF: {error}')
        return
    start = _START.search(text)
    if start is None:
        yield _Broken('broken SGF: no game found')
    while start is not None:
        _, end = sgf_grammar.tokenise(text, start.start())
        try:
            tree = sgf_grammar.parse_sgf_game(text[start.start():end])
        except ValueError as error:
            yield _Broken(f'broken SGF: {error}')
            start = _ROOT.search(text, start.end())
            continue
        following = _START.search(text, end)
        between = text[end:following.start() if following else len(text)]
        yield _Broken('broken SGF: moves after its closing parenthesis') if _MOVES.search(between) else tree
        start = following


def _encodings(text: bytes) -> List[str]:
    """The encodings to try, best first."""
    declared = _CHARSET.search(text)
    names = ['utf-8', 'gb18030', 'cp932', 'big5', 'latin-1']
    names = ['iso2022_jp'] * _is_iso_2022(text) + ['hz'] * _is_hz(text) + names
    return ([declared.group(1).decode('ascii', 'replace')] if declared else []) + names


def _is_iso_2022(text: bytes) -> bool:
    return b'\x1b$' in text


def _is_hz(text: bytes) -> bool:
    return b'~{' in text and b'~}' in text


def _readable_trees(text: bytes) -> List[Any]:
    """`_trees` of a text in whatever encoding: two-byte characters may hold the bytes of `]` and `\\`."""
    if text[:2] in (b'\xff\xfe', b'\xfe\xff'):
        text = text.decode('utf-16', 'replace').encode('utf-8')
    elif 0 in text[:2]:  # without a mark of its order
        text = text.decode('utf-16-be' if text[0] == 0 else 'utf-16-le', 'replace').encode('utf-8')
    if text[:3] == b'\xef\xbb\xbf':
        text = text[3:]
    parenthesis = text.find(b'(')
    if _NO_SEMICOLON.match(text, max(0, parenthesis)):
        text = _NO_SEMICOLON.sub(b'(;', text)
    if text.isascii() and not _is_iso_2022(text) and not _is_hz(text):
        return list(_trees(text))
    fewest = None
    for name in _encodings(text):
        try:
            trees = list(_trees(text.decode(name).encode('utf-8')))
        except (LookupError, UnicodeDecodeError):
            continue
        broken = sum(isinstance(tree, _Broken) for tree in trees)
        if fewest is None or broken < fewest:
            fewest, best = broken, trees
        if not broken:
            break
    return best  # Latin-1 decodes anything


def games_of_text(file: str, text: bytes, number: Optional[int] = None) -> List[Union[Game, Refused]]:
    """All games of one text.

    Parameters
    ----------
    file : str
        Said in what is returned.
    text : bytes
        SGF, in any encoding.
    number : int, optional
        The number of all these games (the line of a file with one game a line). Default: 1, 2, 3, ...

    Returns
    -------
    list of `Game` and `Refused`, in the order of the text
    """
    games: List[Union[Game, Refused]] = []
    for index, tree in enumerate(_readable_trees(text), start=1):
        index = number or index
        try:
            if isinstance(tree, _Broken):
                raise tree
            games.append(_read(file, index, tree))
        except _Broken as error:
            games.append(Refused(file, index, error.move, str(error)))
    return games


def split_lines(text: bytes) -> Optional[List[Tuple[int, bytes]]]:
    """The (line number, line) pairs of a text with one game a line; None if it is not such a text."""
    lines = [(number, line) for number, line in enumerate(text.splitlines(), start=1) if line.strip()]
    if len(lines) < 2 or not _is_one_plain_game(lines[0][1]):
        return None
    beginning = sum(_LINE_START.match(line) is not None for _, line in lines)
    return lines if 2 * beginning > len(lines) else None


# ---- files ----

_PLAIN = ('.sgf',)
_COMPRESSED: Dict[str, Callable[[bytes], bytes]] = {'.xz': lzma.decompress, '.gz': gzip.decompress, '.bz2': bz2.decompress}
_TAR = re.compile(r'\.(tar(\.(gz|xz|bz2))?|tgz|txz|tbz2?)$', re.IGNORECASE)
_UNREADABLE = (OSError, EOFError, lzma.LZMAError, zlib.error, zipfile.BadZipFile, tarfile.TarError,
               RuntimeError, NotImplementedError)  # these two: zipfile, of what it cannot decrypt or unpack


def _is_record(name: str) -> bool:
    """Whether a file in a folder or an archive is a game record by its name."""
    stem, suffix = os.path.splitext(name.lower())
    return suffix in _PLAIN or (suffix in _COMPRESSED and os.path.splitext(stem)[1] in _PLAIN)


def _decompressed(name: str, data: bytes) -> bytes:
    """The text in a file's bytes."""
    decompress = _COMPRESSED.get(os.path.splitext(name.lower())[1])
    return decompress(data) if decompress else data


def _texts_of_file(path: Path) -> Iterator[Tuple[str, Union[bytes, Refused]]]:
    """Yield (name, text or Refused) for a file: itself, or the records in an archive."""
    name = str(path)
    try:
        if name.lower().endswith('.zip'):
            with zipfile.ZipFile(path) as archive:
                for member in sorted(filter(_is_record, archive.namelist())):
                    yield from _texts_of_member(f'{name}/{member}', archive.read, member)
        elif _TAR.search(name):
            with tarfile.open(path) as tar:
                members = {m.name: m for m in tar.getmembers() if m.isfile() and _is_record(m.name)}

                def read(member: tarfile.TarInfo) -> bytes:
                    file = tar.extractfile(member)
                    assert file is not None  # None is for what is no file
                    return file.read()

                for member in sorted(members):
                    yield from _texts_of_member(f'{name}/{member}', read, members[member])
        else:
            yield name, _decompressed(name, path.read_bytes())
    except _UNREADABLE as error:
        yield name, Refused(name, None, None, f'unreadable: {error}')


def _texts_of_member(name: str, read: Callable[[Any], bytes],
                     member: Any) -> Iterator[Tuple[str, Union[bytes, Refused]]]:
    """Yield (name, text or Refused) for one file of an archive."""
    try:
        yield name, _decompressed(name, read(member))
    except _UNREADABLE as error:
        yield name, Refused(name, None, None, f'unreadable: {error}')


def texts(paths: Iterable[PathLike]) -> Iterator[Tuple[str, Union[bytes, Refused]]]:
    """Yield (name, text as bytes) for every record in files, folders and archives, always in the same order.

    What cannot be read comes as (name, `Refused`).

    Raises
    ------
    UserError
        A path does not exist, or a folder holds no records.
    """
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(p for p in path.rglob('*') if p.is_file()
                           and (_is_record(p.name) or _TAR.search(p.name) or p.suffix.lower() == '.zip'))
            if not found:
                raise UserError(f'{path}: no .sgf, .sgf.xz, .zip or .tar files in this folder')
            for file in found:
                yield from _texts_of_file(file)
        elif path.exists():
            yield from _texts_of_file(path)
        else:
            raise UserError(f'{path}: no such file or folder')


def read_games(path: PathLike) -> Iterator[Union[Game, Refused]]:
    """Yield a `Game` or `Refused` for each game in a file, folder or archive (no check of the rules)."""
    for name, text in texts([path]):
        if isinstance(text, Refused):
            yield text
            continue
        lines = split_lines(text)
        if lines is None:
            yield from games_of_text(name, text)
        else:
            for number, line in lines:
                yield from games_of_text(name, line, number)


def read_record(path: PathLike, moves: Optional[int] = None) -> Game:
    """The first game of a file, to go on with: also without moves, or with fewer handicap stones than HA says.

    Parameters
    ----------
    path : path-like
    moves : int, optional
        Read no more than so many: what comes later may be as wrong as it likes.

    Raises
    ------
    UserError
        It cannot be read.
    """
    for name, text in texts([path]):
        if isinstance(text, Refused):
            raise UserError(f'{name}: {text.reason}')
        tree = _readable_trees(text)[0]
        try:
            if isinstance(tree, _Broken):
                raise tree
            return _read(name, 1, tree, MAX_MOVES if moves is None else moves)
        except _Broken as error:
            raise UserError(f'{name}: {f"move {error.move}: " if error.move else ""}{error}') from None
    raise UserError(f'{path}: no game in it')


# ---- many games, in worker processes ----

def batches(paths: Iterable[PathLike], size: int) -> Iterator[Batch]:
    """Group the texts of files, folders and archives into lists for `games_of_batch`, each of some `size`
    bytes.

    Yields lists of (name, game number or None, text or Refused).
    """
    batch, length = [], 0
    for name, text in texts(paths):
        lines = None if isinstance(text, Refused) else split_lines(text)
        for number, part in [(None, text)] if lines is None else lines:
            batch.append((name, number, part))
            length += 0 if isinstance(part, Refused) else len(part)
            if length >= size:
                yield batch
                batch, length = [], 0
    if batch:
        yield batch


def ignore_interrupts() -> None:
    """For worker processes: Ctrl-C is the main process's business, which ends them."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def games_of_batch(batch: Batch) -> List[Union[Game, Refused]]:
    """All `Game` and `Refused` of one of `batches`, in its order."""
    games: List[Union[Game, Refused]] = []
    for name, number, text in batch:
        games += [text] if isinstance(text, Refused) else games_of_text(name, text, number)
    return games
