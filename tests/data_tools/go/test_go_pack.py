"""From SGF to packs and back, by the book's way of reading, by ours and by MXNet's; what may never happen."""
import argparse
import csv
import lzma
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data_tools.errors import one_line_errors
from data_tools.go import sgf, symmetries
from data_tools.go.board import Position
from data_tools.go.commands import add_commands
from data_tools.go.dat import FAULTS, first_fault, labels_of, load_dat, planes_and_labels
from data_tools.go.features import BOOK_ORDER, DAT_ORDER, book_planes
from data_tools.go.pack import pack

REPOSITORY = Path(__file__).parents[3]


def go(*arguments):
    """`python -m data_tools go ...`, in this process; the exit code."""
    parser = argparse.ArgumentParser()
    add_commands(parser.add_subparsers())
    options = parser.parse_args(['go', *map(str, arguments)])
    return one_line_errors(options.run)(options) or 0


def point(move):
    return '' if move == 361 else chr(97 + move % 19) + chr(97 + move // 19)


@pytest.fixture(scope='module')
def games(random_game):
    """40 random games as lists of moves, all different."""
    return [[move for _, move in random_game(19, 60 + 3 * seed, seed)] for seed in range(40)]


@pytest.fixture(scope='module')
def collection(games, tmp_path_factory):
    """These games, one a line."""
    path = tmp_path_factory.mktemp('games') / 'games.sgf.xz'
    lines = ['(;GM[1]SZ[19]' + ''.join(f';{"BW"[i % 2]}[{point(move)}]' for i, move in enumerate(game)) + ')'
             for game in games]
    path.write_bytes(lzma.compress('\n'.join(lines).encode()))
    return path


def expected_records(games):
    """{(label, planes in DAT_ORDER as bytes)} of all moves that are no pass, counted."""
    records = []
    for game in games:
        position = Position(19)
        for move in game:
            if move != 361:
                records.append((move, book_planes(position.state, DAT_ORDER).tobytes()))
            position.play(move)
    return sorted(records)


def as_the_book_reads(path):
    """(labels, planes) by 7.1: numpy's unpackbits, the last axis to the front."""
    raw = np.frombuffer(Path(path).read_bytes(), np.uint8).reshape(-1, 363)
    labels, planes = [], []
    for record in raw:
        labels.append(int(record[0]) + 19 * int(record[1]))
        bits = np.unpackbits(record[2:]).reshape(-1, 19, 19, 8)
        planes.append(np.rollaxis(bits[0], 2))
    return np.array(labels), np.array(planes)


def test_the_book_reads_what_we_pack(games, collection, tmp_path):
    packed = pack([collection], tmp_path / 'all.dat', workers=1)
    labels, planes = as_the_book_reads(tmp_path / 'all.dat')
    assert packed.files == [(str(tmp_path / 'all.dat'), len(labels))]
    assert packed.games == 40 and not packed.reasons
    found = sorted((int(label), plane.tobytes()) for label, plane in zip(labels, planes))
    assert found == expected_records(games)
    own_planes, own_labels = planes_and_labels(load_dat(tmp_path / 'all.dat'))
    assert (own_planes == planes).all() and (own_labels == labels).all() and own_labels.dtype == np.int32
    assert DAT_ORDER[0] == 'last move' and (planes[:, 0].sum((1, 2)) <= 1).all()
    assert DAT_ORDER[7] == 'own' and (planes[:, 5:].sum(1) == 1).all()
    # Positions are mixed: neighbours in the file are rarely of one game's run of moves.
    assert np.abs(np.diff(planes[:, 6:].sum((1, 2, 3)).astype(int))).mean() > 20


def test_symmetries_of_records_turn_planes_and_labels(collection, tmp_path):
    pack([collection], tmp_path / 'all.dat', workers=1)
    records = load_dat(tmp_path / 'all.dat')[:400]
    planes, labels = planes_and_labels(records)
    s = np.random.RandomState(0).randint(8, size=len(records))
    turned, turned_labels = planes_and_labels(records, s)
    assert (turned == symmetries.transform_planes(planes, s)).all()
    assert (turned_labels == symmetries.transform_moves(labels, s)).all()
    book, _ = planes_and_labels(records, 3, BOOK_ORDER)
    assert (book == planes_and_labels(records, np.full(len(records), 3))[0][:, ::-1]).all()
    for wrong in ((records, 8), (records, -1), (records[:, :9], 0)):
        with pytest.raises(ValueError):
            planes_and_labels(*wrong)
    broken = records.copy()
    broken[7, 1] = 19
    with pytest.raises(ValueError, match='record 7'):
        planes_and_labels(broken)


def test_same_bytes_for_any_number_of_workers_other_bytes_for_another_seed(collection, tmp_path, monkeypatch):
    monkeypatch.setattr('data_tools.go.pack._BATCH_BYTES', 2000)
    monkeypatch.setattr('data_tools.go.pack.WINDOW', 7)
    contents = []
    for workers, seed in ((1, 5), (2, 5), (3, 5), (1, 6)):
        pack([collection], tmp_path / 'x.dat', validation=0.3, seed=seed, workers=workers)
        contents.append([(tmp_path / name).read_bytes() for name in ('x.dat', 'x.validation.dat')])
    assert contents[0] == contents[1] == contents[2] != contents[3]
    assert sorted(os.listdir(tmp_path)) == ['x.dat', 'x.dat.refused.csv', 'x.validation.dat']


def test_games_are_split_never_positions(games, collection, tmp_path):
    packed = pack([collection], tmp_path / 'x.dat', validation=0.25, seed=1, workers=1)
    (_, train), (_, held_out) = packed.files
    assert train + held_out == sum(move != 361 for game in games for move in game)
    every = [expected_records([game]) for game in games]
    sides = []
    for name in ('x.dat', 'x.validation.dat'):
        planes, labels = planes_and_labels(load_dat(tmp_path / name))
        sides.append({(int(label), plane.tobytes()) for label, plane in zip(labels, planes)})
    inside = [[record in sides[1] for record in records[30:]] for records in every]
    whole = [all(found) for found in inside]
    assert sum(whole) == 10 and all(all(found) or not any(found) for found in inside)


def test_passes_are_played_but_are_no_records(tmp_path):
    (tmp_path / 'a.sgf').write_text('(;SZ[19]AB[dd]HA[1];W[pd];B[];W[dp];B[tt])')
    pack([tmp_path / 'a.sgf'], tmp_path / 'a.dat')
    planes, labels = planes_and_labels(load_dat(tmp_path / 'a.dat'), order=BOOK_ORDER)
    first, second = np.argsort(planes[:, :2].sum((1, 2, 3)))
    assert labels[[first, second]].tolist() == [15 + 19 * 3, 3 + 19 * 15]
    assert planes[first, 1, 3, 3] == 1 and planes[first, 0].sum() == 0  # white sees the handicap stone
    assert not planes[second, 7].any() and planes[second, 0, 3, 15] == 1  # after black's pass: no last move


def test_refusals_name_file_game_move_and_reason(tmp_path, capsys):
    good = '(;SZ[19];B[pd];W[dp];B[dd])'
    (tmp_path / 'a.sgf').write_text(good + '(;SZ[19];B[pd];W[pd])(;SZ[9];B[ee])(;SZ[19];B[pd];W[dp];B[dd])')
    (tmp_path / 'b.sgf').write_text('(;SZ[19]AB[ba][ab]AW[aa];B[pd])')
    (tmp_path / 'c.sgf').write_text('(;SZ[19];B[pd];W[dp];B[dd]')
    (tmp_path / 'd.sgf').write_text(good.replace('pd', 'pc'))
    (tmp_path / 'e.sgf').write_text('(;SZ[19];B[ba];W[pd];B[ab];W[aa])')  # suicide
    assert go('pack', tmp_path, tmp_path / 'out.dat', '--workers', 1) == 0
    with open(tmp_path / 'out.dat.refused.csv', newline='') as file:
        rows = [(Path(row['file']).name, row['number'], row['move'], row['reason'])
                for row in csv.DictReader(file)]
    assert rows == [
        ('a.sgf', '2', '2', 'illegal move: white Q16'),
        ('a.sgf', '3', '', 'board size: 9, not 19'),
        ('a.sgf', '4', '', 'repeats an earlier game: game 1'),
        ('b.sgf', '1', '1', 'set-up stones without a liberty'),
        ('c.sgf', '1', '', 'broken SGF: unexpected end of SGF data'),
        ('e.sgf', '1', '4', 'illegal move: white A19'),
    ]
    last = capsys.readouterr().out.splitlines()[-1]
    assert re.match(r'6 positions of 2 games in \d+ s; refused 6 \(2 illegal move, .*\), see .*csv', last)
    assert len(load_dat(tmp_path / 'out.dat')) == 6


def test_mistakes_are_one_line_and_write_nothing(tmp_path, capsys):
    (tmp_path / 'a.sgf').write_text('(;SZ[19];B[pd])')
    (tmp_path / 'bad.sgf').write_text('(;SZ[19];B[pd];W[pd])')
    (tmp_path / 'cut.dat').write_bytes(b'x' * 364)
    before = sorted(os.listdir(tmp_path))
    for arguments, words in [
            (['pack', tmp_path / 'a.sgf', tmp_path / 'bad.sgf'], 'must end in .dat or .rec'),
            (['pack', tmp_path / 'missing.sgf', tmp_path / 'x.dat'], 'missing.sgf: no such file'),
            (['pack', tmp_path / 'bad.sgf', tmp_path / 'x.dat'], 'first refusal: .*bad.sgf: illegal move'),
            (['pack', tmp_path / 'a.sgf', tmp_path / 'x.dat', '--validation', '0.5'], '1 usable games are'),
            (['pack', tmp_path / 'a.sgf', tmp_path / 'a.sgf' / 'x.dat'], 'x.dat'),
            (['info', tmp_path / 'cut.dat'], '364 bytes are not a whole number of records'),
            (['show', tmp_path / 'missing.dat'], 'missing.dat: cannot be read'),
            (['verify', tmp_path / 'missing.rec'], 'missing.rec: cannot be read')]:
        assert go(*arguments) == 2
        out, err = capsys.readouterr()
        assert out == '' and err.count('\n') == 1 and re.search(words, err), err
    assert sorted(os.listdir(tmp_path)) == before
    with pytest.raises(SystemExit):
        go('pack', tmp_path / 'a.sgf', tmp_path / 'x.dat', '--validation', '1')


KILLED = '''
import os, signal, sys
import numpy as np
from data_tools.go import pack
call, countdown = getattr(os, sys.argv[1]), int(sys.argv[2])
def killer(*arguments):
    global countdown
    countdown -= 1
    if countdown < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return call(*arguments)
setattr(os, sys.argv[1], killer)
pack.pack([sys.argv[3]], sys.argv[4], workers=1)
'''


@pytest.mark.parametrize('function, countdown', [('fsync', 0), ('replace', 3)])
def test_kill_leaves_the_old_file_or_the_new_one(function, countdown, collection, tmp_path):
    out = tmp_path / 'x.dat'
    out.write_bytes(b'old')
    done = subprocess.run([sys.executable, '-c', KILLED, function, str(countdown), str(collection), str(out)],
                          cwd=REPOSITORY, capture_output=True)
    assert done.returncode == -signal.SIGKILL, done.stderr.decode()
    assert out.read_bytes() == b'old'
    (tmp_path / 'fresh').mkdir()
    pack([collection], out, workers=1)  # what the dead one left is in nobody's way
    pack([collection], tmp_path / 'fresh' / 'x.dat', workers=1)
    assert out.read_bytes() == (tmp_path / 'fresh' / 'x.dat').read_bytes()
    assert sorted(os.listdir(tmp_path)) == ['fresh', 'x.dat', 'x.dat.refused.csv']


def test_recordio_is_read_by_mxnet_and_holds_the_same(collection, tmp_path):
    pytest.importorskip('mxnet')
    from mxnet import recordio as mxnet_recordio
    pack([collection], tmp_path / 'x.dat', workers=1)
    pack([collection], tmp_path / 'x.rec', workers=1)
    records = load_dat(tmp_path / 'x.dat')
    reader = mxnet_recordio.MXIndexedRecordIO(str(tmp_path / 'x.idx'), str(tmp_path / 'x.rec'), 'r')
    assert len(reader.keys) == len(records)
    for index in range(0, len(records), 97):
        header, content = mxnet_recordio.unpack(reader.read_idx(index))
        assert content == records[index].tobytes()
        assert (header.id, header.label) == (index, labels_of(records[index:index + 1])[0])
    assert go('verify', tmp_path / 'x.rec') == 0


def test_info_show_and_verify(tmp_path, capsys):
    (tmp_path / 'a.sgf').write_text('(;SZ[19];B[pd];W[dp];B[pp];W[dd];B[fq];W[cn])')
    pack([tmp_path / 'a.sgf'], tmp_path / 'a.dat')
    labels = labels_of(load_dat(tmp_path / 'a.dat'))
    assert go('show', tmp_path / 'a.dat', '--record', int(np.flatnonzero(labels == 5 + 19 * 16)[0])) == 0
    out = capsys.readouterr().out
    assert 'X is to move, ( ) is the last move, D16; * is the move played, F3' in out
    lines = out.splitlines()[2:]
    assert lines[0].split() == list('ABCDEFGHJKLMNOPQRST')
    assert lines[4] == '16 . . .(O). . . . . + . . . . . X . . . 16'
    assert lines[16] == ' 4 . . . O . . . . . + . . . . . X . . .  4'
    assert lines[17] == ' 3 . . . . . * . . . . . . . . . . . . .  3'
    assert go('info', tmp_path / 'a.dat') == 0
    assert '6 positions, 363 bytes each' in capsys.readouterr().out
    assert go('verify', tmp_path / 'a.dat') == 0
    assert '6 positions, all sound' in capsys.readouterr().out
    assert go('show', tmp_path / 'a.dat', '--record', 6) == 2
    assert 'records are 0 to 5' in capsys.readouterr().err


def test_verify_finds_every_kind_of_damage(collection, tmp_path, capsys):
    pack([collection], tmp_path / 'x.dat', workers=1)
    records = np.array(load_dat(tmp_path / 'x.dat'))
    assert first_fault(records) is None
    stones = [np.flatnonzero(record[2:] & 3) for record in records]
    n = next(n for n in range(1000, len(records)) if len(stones[n]) > 50)

    def damaged(change):
        copy = records.copy()
        change(copy[n])
        return first_fault(copy)

    def put(place, value):
        return lambda record: record.__setitem__(place, value)

    stone = 2 + stones[n][0]
    label = labels_of(records[n:n + 1])[0]
    liberties = records[n, stone] >> 3 & 15
    faults = [damaged(put(0, 19)),
              damaged(put(stone, records[n, stone] | 3)),
              damaged(put(stone, 1 + 8 + 16)),
              damaged(put(stone, records[n, stone] & ~120 | (8 if liberties != 1 else 16))),
              damaged(put(slice(0, 2), [stones[n][0] % 19, stones[n][0] // 19])),
              damaged(put(2 + label, 128 + 4))]
    assert faults == [(n, FAULTS[k]) for k in range(1, 7)]
    # a stone taken away changes its neighbours' liberties, where it has any
    assert sum(damaged(put(2 + point, 4)) is not None for point in stones[n]) > 0.4 * len(stones[n])
    broken = records.copy()
    broken[n, stone] = 7
    (tmp_path / 'broken.dat').write_bytes(broken.tobytes())
    assert go('verify', tmp_path / 'broken.dat') == 2
    assert f'broken.dat: record {n}: a point is not exactly one' in capsys.readouterr().err


def test_real_games_pack_to_what_their_replay_shows(go_data, tmp_path):
    packed = pack([go_data / 'alphago'], tmp_path / 'a.dat')
    assert (packed.games, sum(packed.reasons.values())) == (13, 0)
    records = load_dat(tmp_path / 'a.dat')
    assert first_fault(records) is None
    moves = sum(int((game.events % sgf.KIND != 361).sum()) for game in sgf.read_games(go_data / 'alphago'))
    assert len(records) == moves == packed.files[0][1]
