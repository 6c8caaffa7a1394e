"""Game records to packed positions: the book's `.dat` (7.1) or RecordIO.

The same games, seed and share for validation give the same bytes, whatever the number of workers:

1. Worker processes parse the SGF; the rest is compiled and runs in threads. Every game is replayed once
   under the rules of `board.py`. A game with an illegal move is refused whole: its record misses something,
   and nobody knows since when. A game with the moves of an earlier one is refused too, or the same
   positions could stand in training and in validation.
2. Games, never positions, are dealt to training and validation and shuffled, both by the seed.
3. Positions are shuffled within windows of `WINDOW` games (some 400,000 positions), so that a reader that
   goes from front to back gets well-mixed batches too. A reader that draws its records from anywhere needs
   none of this.

A pass is played, but is no record; after one, the plane of the last move is empty. Boards other than 19x19
are refused: the record has no room for another. Every refusal, with its file, game and move, is in
`OUT.refused.csv`. The files grow in the folder `OUT.part` and take their names when all are complete and on
the disk (`pack_files.py`).

RecordIO: each record has the label x + 19 * y in its header, the number of the record as its id, and the
363 bytes of the book's record as its content, so `dat.planes_and_labels` serves for both.
"""
import contextlib
import csv
import io
import multiprocessing
import os
import time
from collections import Counter, namedtuple
from concurrent.futures import ThreadPoolExecutor
from typing import Dict, Iterable, Iterator, List, Optional, Tuple, Union

import numpy as np
from numba import njit
from tqdm import tqdm

from data_tools.atomic import PathLike, write_error
from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.board import PASS, STATE_LENGTH, clear, is_legal, play, set_up, to_cell, vertex
from data_tools.go.dat import RECORD, SIZE, labels_of
from data_tools.go.features import encode
from data_tools.go.sgf import KIND, PLAY_BLACK, Game, Refused
from data_tools.pack_files import PackWriter, PartFolder, checksum_line, list_line
from data_tools.recordio import frame, image_payload

WINDOW = 2048  # games
_BATCH_BYTES = 200_000

Packed = namedtuple('Packed', 'files games reasons seconds')
Packed.__doc__ = """What `pack` did.

files: list of (path, number of positions) written; games: how many were used; reasons: Counter of the
reasons of refusals; seconds: float.
"""


# ---- the compiled part ----

OK, ILLEGAL, NO_LIBERTY = 0, 1, 2


@njit(cache=True)
def _replay(events: np.ndarray, state: np.ndarray, places: np.ndarray, records: np.ndarray) -> Tuple[int, int]:
    """Play a 19x19 game; write the record of its i-th move that is no pass to `records[places[i]]`, if any
    are given.

    Returns (OK, number of such moves), or (what is wrong, index of the event).
    """
    clear(state, SIZE)
    count = 0
    waiting = 0  # stones to be set up before the next move
    cells = np.empty(len(events), np.int32)
    colours = np.empty(len(events), np.int32)
    for i in range(len(events)):
        kind, move = events[i] // KIND, events[i] % KIND
        cell = to_cell(move, SIZE)
        if kind < PLAY_BLACK:
            cells[waiting], colours[waiting] = cell, kind  # AE, AB, AW are 0, 1, 2: the colours of the board
            waiting += 1
            continue
        if waiting:
            if not set_up(state, cells[:waiting], colours[:waiting]):
                return NO_LIBERTY, i
            waiting = 0
        colour = kind - PLAY_BLACK + 1
        if not is_legal(state, cell, colour):
            return ILLEGAL, i
        if cell != PASS:
            if len(records):
                record = records[places[count]]
                record[0], record[1] = move % SIZE, move // SIZE
                encode(state, colour, record[2:])
            count += 1
        play(state, cell, colour)
    return OK, count


@njit(cache=True, nogil=True)
def _replay_games(events: np.ndarray, starts: np.ndarray, order: np.ndarray, places: np.ndarray, first: np.ndarray,
                  records: np.ndarray, status: np.ndarray, where: np.ndarray) -> None:
    """`_replay` the games `order` of many: game g is events[starts[g]:starts[g + 1]].

    With records: the k-th of `order` puts its records at `places[first[k]:]`. Without: only `status[g],
    where[g]`.
    """
    state = np.empty(STATE_LENGTH, np.int32)
    for k in range(len(order)):
        game = order[k]
        moves = events[starts[game]:starts[game + 1]]
        status[game], where[game] = _replay(moves, state, places[first[k]:], records)


# ---- reading ----

def _parsed(sources: Iterable[PathLike], workers: int) -> List[Union[Game, Refused]]:
    """All games and refusals of the sources, in their order, parsed by worker processes."""
    batches = list(sgf.batches(sources, _BATCH_BYTES))
    sizes = [sum(len(text) for _, _, text in batch if not isinstance(text, Refused)) for batch in batches]
    games = []
    with contextlib.ExitStack() as stack:
        parsed: Iterable[List[Union[Game, Refused]]] = map(sgf.games_of_batch, batches)
        if workers > 1 and len(batches) > 1:
            pool = stack.enter_context(multiprocessing.get_context('spawn').Pool(
                min(workers, len(batches)), sgf.ignore_interrupts))
            parsed = pool.imap(sgf.games_of_batch, batches)
        bar = stack.enter_context(tqdm(desc='reading', total=sum(sizes), unit='B', unit_scale=True,
                                       disable=None))
        for size, found in zip(sizes, parsed):
            games += found
            bar.update(size)
    return games


def _refuse_unusable(games: List[Union[Game, Refused]]) -> None:
    """Put a `Refused` in the place of each game with another board, or with moves that came before."""
    first: Dict[Tuple[int, bytes], Game] = {}
    for index, game in enumerate(games):
        if isinstance(game, Refused):
            continue
        same = first.setdefault((game.size, game.events.tobytes()), game)
        if game.size != SIZE:
            games[index] = Refused(game.file, game.number, None, f'board size: {game.size}, not 19')
        elif same is not game:
            where = f'game {same.number}' + (f' of {same.file}' if same.file != game.file else '')
            games[index] = Refused(game.file, game.number, None, f'repeats an earlier game: {where}')


class _Replayer:
    """Games in one long array, replayed by threads."""

    def __init__(self, games: List[Game], workers: int) -> None:
        self.events = np.concatenate([game.events for game in games] or [np.empty(0, np.uint16)])
        self.starts = np.cumsum([0] + [len(game.events) for game in games])
        self.status = np.zeros(len(games), np.int64)
        self.where = np.zeros(len(games), np.int64)  # once replayed: the number of its records
        self.workers = workers
        self.threads = ThreadPoolExecutor(workers)

    def replay(self, order: np.ndarray, places: np.ndarray = np.empty(0, np.int64),
               records: np.ndarray = np.empty((0, RECORD), np.uint8)) -> None:
        """Replay the games `order`: check them, or with records (their number is known then) write these."""
        first = np.cumsum(self.where[order]) - self.where[order]
        parts = np.array_split(np.arange(len(order)), self.workers)
        list(self.threads.map(lambda part: _replay_games(
            self.events, self.starts, order[part], places, first[part], records, self.status, self.where),
                              parts))


def _illegal(game: Game, status: int, where: int) -> Refused:
    """The `Refused` of a game that does not follow the rules."""
    move = 1 + int((game.events[:where] // KIND >= PLAY_BLACK).sum())
    if status == NO_LIBERTY:
        return Refused(game.file, game.number, move, 'set-up stones without a liberty')
    kind, point = divmod(int(game.events[where]), KIND)
    colour = 'black' if kind == PLAY_BLACK else 'white'
    return Refused(game.file, game.number, move, f'illegal move: {colour} {vertex(point)}')


def _sound_games(games: List[Union[Game, Refused]], workers: int) -> Tuple[_Replayer, np.ndarray, List[Refused]]:
    """(`_Replayer` of 19x19 games, indices of those in it that follow the rules, all `Refused`)."""
    _refuse_unusable(games)
    usable = [index for index, game in enumerate(games) if isinstance(game, Game)]
    replayer = _Replayer([game for game in games if isinstance(game, Game)], workers)
    with tqdm(desc='checking', total=len(usable), unit=' games', disable=None) as bar:
        for start in range(0, len(usable), WINDOW):
            order = np.arange(start, min(start + WINDOW, len(usable)))
            replayer.replay(order)
            bar.update(len(order))
    for k in np.flatnonzero(replayer.status != OK):
        games[usable[k]] = _illegal(games[usable[k]], replayer.status[k], int(replayer.where[k]))
    refused = [game for game in games if isinstance(game, Refused)]
    return replayer, np.flatnonzero(replayer.status == OK), refused


# ---- writing ----

def _windows(replayer: _Replayer, order: np.ndarray, seed: int, bar: tqdm) -> Iterator[np.ndarray]:
    """Yield the shuffled records of the games `order`, window by window: uint8 (n, 363)."""
    for number, start in enumerate(range(0, len(order), WINDOW)):
        window = order[start:start + WINDOW]
        count = int(replayer.where[window].sum())
        records = np.empty((count, RECORD), np.uint8)
        places = np.random.RandomState([seed, number]).permutation(count)
        replayer.replay(window, places, records)
        yield records
        bar.update(count)


def _write_dat(part: PartFolder, name: str, path: str,
               windows: Iterable[np.ndarray]) -> Tuple[int, List[Tuple[str, str]]]:
    """Write a `.dat` file. Returns the number of records, and what to rename in the end."""
    count = 0
    with open(part.file(name), 'wb') as file:
        for records in windows:
            file.write(records)
            count += len(records)
        file.flush()
        os.fsync(file.fileno())
    return count, [(name, path)]


def _write_rec(part: PartFolder, name: str, path: str,
               windows: Iterable[np.ndarray]) -> Tuple[int, List[Tuple[str, str]]]:
    """Write a `.rec` file and what lies beside one; returns as `_write_dat`."""
    writer = PackWriter(part, name)
    for records in windows:
        framed, ids = [], range(writer.count, writer.count + len(records))
        labels = labels_of(records).tolist()
        for index, label, record in zip(ids, labels, records):
            framed.append(frame(image_payload(index, (label,), record.tobytes())))
        writer.append(b''.join(framed), [len(record) for record in framed], ids,
                      ''.join(list_line(index, label, f'{index}.position')
                              for index, label in zip(ids, labels)).encode(),
                      ''.join(map(checksum_line, ids, framed)).encode())
    writer.finish()
    return writer.count, writer.renames(os.path.splitext(path)[0])


def _refused_table(refused: List[Refused]) -> bytes:
    """All refusals as CSV."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(Refused._fields)
    writer.writerows(refused)
    return text.getvalue().encode('utf-8', 'surrogateescape')


def pack(sources: Iterable[PathLike], out: PathLike, validation: float = 0.0, seed: int = 0,
         workers: Optional[int] = None) -> Packed:
    """Pack the positions of games.

    Parameters
    ----------
    sources : list of paths
        Files, folders and archives of SGF; see `sgf.py`.
    out : path ending in .dat or .rec
        The file to write. With validation, its games go to `NAME.validation.dat` beside it.
    validation : float, default 0
        The share of the games, from 0 up to below 1, that is set aside.
    seed : int, default 0
        Of the split and of the order.
    workers : int, optional
        Processes that parse, threads that replay. Default: one a core.

    Returns
    -------
    Packed

    Raises
    ------
    UserError
        A source is missing, the output cannot be written, or no game is left.
    """
    began = time.monotonic()
    out = os.fspath(out)
    workers = workers or os.cpu_count() or 1
    stem, suffix = os.path.splitext(out)
    if suffix not in ('.dat', '.rec'):
        raise UserError(f'{out}: the last argument is the file to write; its name must end in .dat or .rec')
    write = _write_dat if suffix == '.dat' else _write_rec
    part = PartFolder(out)
    try:
        replayer, sound, refused = _sound_games(_parsed(sources, workers), workers)
        order = np.random.RandomState(seed).permutation(sound)
        held_out = int(validation * len(order))
        shares = [(out, order[held_out:])]
        if validation:
            shares.append((f'{stem}.validation{suffix}', order[:held_out]))
        if any(replayer.where[share].sum() == 0 for _, share in shares):
            first = f'; the first refusal: {refused[0].file}: {refused[0].reason}' if refused else ''
            raise UserError(f'{out}: not written, for {len(sound)} usable games are too few{first}')

        files, renames = [], []
        try:
            total = int(replayer.where[sound].sum())
            with tqdm(desc='writing', total=total, unit=' positions', unit_scale=True, disable=None) as bar:
                for number, (path, share) in enumerate(shares):
                    count, named = write(part, str(number), path, _windows(replayer, share, seed, bar))
                    files.append((path, count))
                    renames += named
            part.write('refused', _refused_table(refused))
            part.commit([('refused', f'{out}.refused.csv')] + renames)
        except OSError as error:
            raise write_error(error, out) from None
    except BaseException:
        part.give_up()
        raise
    reasons = Counter(game.reason.split(':')[0] for game in refused)
    return Packed(files, len(sound), reasons, time.monotonic() - began)
