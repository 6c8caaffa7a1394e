"""Reading SGF: what is read, what is refused, and what is said of it."""
import bz2
import gzip
import io
import lzma
import tarfile
import zipfile

import pytest

from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.sgf import Game, Refused, games_of_text, read_games, read_record

KINDS = {sgf.REMOVE: '-', sgf.ADD_BLACK: '+b', sgf.ADD_WHITE: '+w', sgf.PLAY_BLACK: 'b', sgf.PLAY_WHITE: 'w'}


def told(game):
    """A game as text: 'b0 w361' for black at the upper left and a pass on 19x19."""
    assert isinstance(game, Game), game
    return ' '.join(f'{KINDS[int(event) // sgf.KIND]}{int(event) % sgf.KIND}' for event in game.events)


def one(text):
    [game] = games_of_text('a.sgf', text.encode() if isinstance(text, str) else text)
    return game


def test_moves_and_passes():
    game = one('(;GM[1]FF[4]SZ[19]KM[6.5];B[aa];W[sa];B[as];W[];B[tt];W[ss])')
    assert (game.file, game.number, game.size) == ('a.sgf', 1, 19)
    assert told(game) == 'b0 w18 b342 w361 b361 w360'
    assert told(one('(;SZ[9];B[ee];W[tt];B[ ef ])')) == 'b40 w81 b49'
    assert told(one('(;;B[pd])')) == f'b{15 + 19 * 3}'  # 19x19 if nothing is said


def test_set_up_stones_and_handicap():
    game = one('(;SZ[9]HA[2]AB[cc][gg];W[ee];AE[cc]AW[aa:bb];B[cc])')
    assert told(game) == '+b20 +b60 w40 -20 +w0 +w1 +w9 +w10 b20'
    assert told(one('(;SZ[9]AB[aa]B[bb];W[cc])')) == '+b0 b10 w20'
    assert told(one('(;SZ[9]HA[2];B[aa];B[bb];W[cc])')) == 'b0 b10 w20'  # played instead of set up
    assert one('(;SZ[9]HA[4];W[aa];B[bb])').reason == 'handicap stones missing: HA[4]'


def test_only_the_main_line_of_variations():
    text = '(;SZ[9];B[aa](;W[bb];B[cc](;W[dd])(;W[ee]))(;W[ff];B[gg]))'
    assert told(one(text)) == 'b0 w10 b20 w30'


def test_collections_are_numbered():
    text = b'junk (;SZ[9];B[aa]) mail header: x\n\n(;SZ[13];B[aa](;W[bb])(;W[cc]))(;GM[2];B[aa])'
    games = games_of_text('c.sgf', text)
    assert [game.number for game in games] == [1, 2, 3]
    assert [told(game) for game in games[:2]] == ['b0', 'b0 w14']
    assert games[2] == Refused('c.sgf', 3, None, 'not Go: GM[2]')


@pytest.mark.parametrize('text, move, reason', [
    ('(;SZ[9];B[aa];W[zz])', 2, 'off the board: [zz]'),
    ('(;SZ[9];B[aa];W[ja])', 2, 'off the board: [ja]'),
    ('(;SZ[9];B[a])', 1, 'off the board: [a]'),
    ('(;SZ[9];B[aa]W[bb])', 1, 'two moves in one node'),
    ('(;SZ[9];B[aa][bb])', 1, 'two moves in one node'),
    ('(;SZ[9]AB[ja];B[aa])', None, 'off the board: set-up stones'),
    ('(;SZ[9]AB[cc:aa];B[dd])', None, 'not a rectangle from top left to bottom right: AB[cc:aa]'),
    ('(;SZ[9];B[aa];AW[])', 1, 'off the board: set-up stones'),
    ('(;SZ[25];B[aa])', None, 'board size: 25, not 2 to 19'),
    ('(;SZ[9:13];B[aa])', None, 'board size: 9x13, not square'),
    ('(;SZ[9]C[nothing happened])', None, 'no moves'),
    ('(;SZ[9];B[aa];W[bb', None, 'broken SGF: unexpected end of SGF data'),
    ('(;SZ[9];B[aa];W)', None, 'broken SGF: property with no values'),
    ('(;SZ[9];B[aa]);W[bb];B[cc])', None, 'broken SGF: moves after its closing parenthesis'),
    ('hello', None, 'broken SGF: no game found'),
    ('', None, 'broken SGF: no game found'),
])
def test_what_is_refused_and_why(text, move, reason):
    assert one(text) == Refused('a.sgf', 1, move, reason)


def test_a_broken_game_does_not_take_the_next_one_with_it():
    text = b'(;GM[1]SZ[9];B[aa];W[bb]\n(;W[cc]\n(;GM[1]SZ[9];B[dd])\n(;GM[1]SZ[9];B[ee])\n'
    games = games_of_text('x', text)
    assert [type(game) for game in games] == [Refused, Game, Game]
    assert [told(game) for game in games[1:]] == ['b30', 'b40']


@pytest.mark.parametrize('encoding', ['utf-8', 'gb18030', 'shift_jis', 'big5', 'utf-8-sig', 'utf-16'])
@pytest.mark.parametrize('declared', [True, False])
def test_encodings(encoding, declared):
    """Names whose second byte is `]` or a backslash in their encoding."""
    name = '表'
    if not encoding.startswith('utf'):
        name = ''.join(c for c in map(chr, range(0x4e00, 0x9fa0))
                       if c.encode(encoding, 'ignore')[1:] in (b']', b'\\'))[:40]
        assert len(name) == 40
    charset = f'CA[{encoding}]' if declared else ''
    text = f'(;SZ[9]{charset}PB[{name}]PW[x];B[aa]C[{name}];W[bb];B[cc]C[{name}])'.encode(encoding)
    assert told(one(text)) == 'b0 w10 b20'


# records as programs and federations write them: (bytes, size, moves, komi, result)
AS_WRITTEN = {
    'komi in HA': (b'(;GM[1]SZ[9]HA[7.5]KM[7.5]RE[B+2];B[aa];W[bb])', 9, 2, 7.5, 'B+2'),
    'two sizes': (b'(;GM[1]SZ[19:19]KM[0.5]RE[W+R];B[pd];W[dd])', 19, 2, 0.5, 'W+R'),
    'no semicolon': (b'(GM[1]FF[4]SZ[19]KM[6.5]RE[B+R];B[pd];W[dp](;B[pp])(;B[dd]))', 19, 3, 6.5, 'B+R'),
    'no semicolon, variations': (b'(GM[1]SZ[9];B[aa](;W[bb];B[cc])(;W[dd]))', 9, 3, None, ''),
    'ISO-2022-JP': ('(;GM[1]SZ[9]PB[大竹]PW[名人]RE[白中押し勝ち]KM[5.5];B[aa]C[な];W[bb])'
                    .encode('iso2022_jp'), 9, 2, 5.5, '白中押し勝ち'),
    'HZ': ('(;GM[1]SZ[9]PB[聂卫平]EV[五月份]RE[黑中盘胜]KM[3.75];B[aa];W[bb])'.encode('hz'), 9, 2, 3.75,
           '黑中盘胜'),
    'GB18030': ('(;CA[gb2312]GM[1]SZ[9]PB[聂卫平]RE[黑胜3.5目]KM[6.5];B[aa];W[bb])'.encode('gb18030'), 9, 2, 6.5, '黑胜3.5目'),
    'UTF-16': ('(;GM[1]SZ[9]PB[聂卫平]RE[白胜]KM[6.5];B[aa];W[bb])'.encode('utf-16'), 9, 2, 6.5, '白胜'),
    'UTF-16 without a mark': ('(;GM[1]SZ[9]PB[聂卫平]RE[白胜]KM[6.5];B[aa];W[bb])'.encode('utf-16-be'), 9, 2, 6.5, '白胜'),
    'Big5': ('(;CA[Big5]GM[1]SZ[9]PB[功一]PW[周俊勳]RE[黑勝]KM[8];B[aa]C[育成功];W[bb])'.encode('big5'), 9, 2, 8.0, '黑勝'),
    'EUC-KR': ('(;CA[EUC-KR]GM[1]SZ[9]PB[이창호]RE[흑 불계승]KM[6.5];B[aa];W[bb])'.encode('euc-kr'), 9, 2, 6.5, '흑 불계승'),
    'a comma in komi': (b'(;GM[1]SZ[9]KM[3,75]RE[B+R]AB[ aa ][bb:cc];W[dd])', 9, 6, 3.75, 'B+R'),
    'tildes': (b'(;GM[1]SZ[9]C[a ~{smile~} and ~{]KM[6.5]RE[0];B[aa];W[bb])', 9, 2, 6.5, '0'),
}


@pytest.mark.parametrize('name', AS_WRITTEN)
def test_records_as_they_are_written(name):
    text, size, moves, komi, result = AS_WRITTEN[name]
    game = one(text)
    assert (game.size, len(game.events), game.komi, game.result) == (size, moves, komi, result)


def test_brackets_are_hidden_in_some_of_them():
    """Or these records would prove nothing."""
    for name in ('ISO-2022-JP', 'HZ'):
        text = AS_WRITTEN[name][0]
        assert text.isascii() and text.count(b']') > text.decode({'HZ': 'hz'}.get(name, name)).count(']'), name


def test_a_record_to_go_on_with(tmp_path):
    path = tmp_path / 'one.sgf'
    path.write_text('(;SZ[9]HA[3]KM[0.5]AB[aa][bb]PL[B])')
    game = read_record(path)
    assert (told(game), game.komi, game.handicap, game.to_play) == ('+b0 +b10', 0.5, 3, 1)
    path.write_text('(;SZ[9];B[aa];W[bb];B[zz])')
    assert told(read_record(path, 2)) == 'b0 w10' and told(read_record(path, 0)) == ''
    with pytest.raises(UserError, match=r'one.sgf: move 3: off the board: \[zz\]'):
        read_record(path)


def test_bytes_of_no_encoding():
    assert told(one(b'(;SZ[9]CA[UTF-8]PB[\xff\xfe\xc3];B[aa];W[bb])')) == 'b0 w10'
    assert told(one(b'(;SZ[9]CA[no-such-thing]PB[\xc3\xa4];B[aa];W[bb])')) == 'b0 w10'


LINES = b'(;SZ[9];B[aa];W[bb])\n\n(;SZ[9];B[cc]\n(;SZ[9];B[dd];W[zz])\n(;SZ[9];B[ee])\n'


def test_one_game_a_line(tmp_path):
    (tmp_path / 'many.sgf.xz').write_bytes(lzma.compress(LINES))
    games = list(read_games(tmp_path / 'many.sgf.xz'))
    assert [game.number for game in games] == [1, 3, 4, 5]  # the lines
    assert games[1].reason == 'broken SGF: unexpected end of SGF data'
    assert games[2].reason == 'off the board: [zz]'
    assert [told(game) for game in (games[0], games[3])] == ['b0 w10', 'b40']
    pretty = b'(;SZ[9];B[aa])\n(;SZ[9]\n;B[bb]\n(;W[cc])\n(;W[dd])\n)\n'
    assert sgf.split_lines(pretty) is None
    assert [told(game) for game in games_of_text('x', pretty)] == ['b0', 'b10 w20']


def test_files_folders_and_archives(tmp_path):
    text = [f'(;SZ[9];B[{"abcdefgh"[i]}a])'.encode() for i in range(8)]
    (tmp_path / 'sub' / 'deep').mkdir(parents=True)
    (tmp_path / 'b.sgf').write_bytes(text[1])
    (tmp_path / 'a.SGF').write_bytes(text[0])
    (tmp_path / 'readme.txt').write_bytes(text[7])
    (tmp_path / 'sub' / 'c.sgf.gz').write_bytes(gzip.compress(text[2]))
    (tmp_path / 'sub' / 'd.sgf.bz2').write_bytes(bz2.compress(text[3]))
    (tmp_path / 'sub' / 'deep' / 'e.sgf.xz').write_bytes(lzma.compress(text[4])[:-9])
    with zipfile.ZipFile(tmp_path / 'x.zip', 'w') as archive:
        archive.writestr('2.sgf', text[5])
        archive.writestr('1.sgf', text[6])
        archive.writestr('notes', text[7])
    with tarfile.open(tmp_path / 'y.tar.gz', 'w:gz') as archive:
        info = tarfile.TarInfo('in/t.sgf')
        info.size = len(text[7])
        archive.addfile(info, io.BytesIO(text[7]))
    (tmp_path / 'z.zip').write_bytes(b'not an archive')
    games = list(read_games(tmp_path))
    files = [game.file[len(str(tmp_path)) + 1:] for game in games]
    assert files == ['a.SGF', 'b.sgf', 'sub/c.sgf.gz', 'sub/d.sgf.bz2', 'sub/deep/e.sgf.xz', 'x.zip/1.sgf',
                     'x.zip/2.sgf', 'y.tar.gz/in/t.sgf', 'z.zip']
    assert [told(game) if isinstance(game, Game) else game.reason.split(':')[0] for game in games] == [
        'b0', 'b1', 'b2', 'b3', 'unreadable', 'b6', 'b5', 'b7', 'unreadable']
    with pytest.raises(UserError, match='no such file'):
        list(read_games(tmp_path / 'missing.sgf'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no .sgf'):
        list(read_games(tmp_path / 'empty'))


def test_batches_give_the_same_games_in_the_same_order(tmp_path):
    (tmp_path / 'many.sgf').write_bytes(LINES * 5)
    (tmp_path / 'one.sgf').write_bytes(b'(;SZ[9];B[aa])')
    whole = [(game.file, game.number) for game in read_games(tmp_path)]
    for size in (1, 30, 10_000):
        batches = list(sgf.batches([tmp_path], size))
        assert [(game.file, game.number) for batch in batches for game in sgf.games_of_batch(batch)] == whole


def test_the_published_games(go_data):
    games = list(read_games(go_data / 'alphago'))
    assert len(games) == 13 and all(isinstance(game, Game) for game in games)
    by_name = {game.file.rsplit('/')[-1]: game for game in games}
    event = int(by_name['lee-sedol-g4.sgf'].events[77])  # move 78, at L11
    assert (event // sgf.KIND, event % sgf.KIND) == (sgf.PLAY_WHITE, 10 + 19 * 8)
