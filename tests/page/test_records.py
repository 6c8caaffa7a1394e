"""The page opens and refuses the game records that the packer's reader does, and finds the same in them."""
import base64
import re

import numpy as np
import pytest
from sgfmill import sgf_grammar

from data_tools.errors import UserError
from data_tools.go import sgf
from data_tools.go.board import BLACK, WHITE, Position
from tests.data_tools.go.test_go_sgf import AS_WRITTEN

CODE = """async (records) => {
    const { readRecord } = await import('/page.js');
    return records.map(([content, size]) => {
        const bytes = Uint8Array.from(atob(content), (one) => one.charCodeAt(0));
        try {
            const { states, ...said } = readRecord(bytes, size);
            const moves = states.map(({ move }) => move).filter(Boolean).map(({ sign, vertex }) =>
                [sign, vertex ? vertex[0] + size * vertex[1] : size * size]);
            const { board, toMove } = states[states.length - 1];
            return { ...said, moves, board: board.signMap, toMove };
        } catch (error) {
            if (!error.kind) throw error;
            return { refused: error.kind };
        }
    });
}"""
# '表' and others have a bracket or a backslash as their second byte
HIDDEN = {encoding: ''.join(letter for letter in map(chr, range(0x4e00, 0x9fa0))
                            if letter.encode(encoding, 'ignore')[1:] in (b']', b'\\'))[:40]
          for encoding in ('gb18030', 'shift_jis', 'big5')}
OTHERS = [
    '(;SZ[9]HA[2]AB[cc][gg];W[ee];AE[cc]AW[aa:bb];B[cc])', '(;SZ[9]AB[aa]B[bb];W[cc])', '(;SZ[9]HA[4]AB[aa];W[bb])',
    '(;SZ[9];B[aa](;W[bb];B[cc](;W[dd])(;W[ee]))(;W[ff];B[gg]))', '(;SZ[9]AB[aa][bb]PL[B])', '(;SZ[9]AB[aa]AW[bb]PL[2])',
    '(;SiZe[9]KoMi[5.5];Black[ab];White[ba])', '(;SZ[9];B[ee];W[tt];B[ ef ];W[])', '(;SZ[9]KM[400];B[aa])',
    '(;SZ[9]KM[none];B[aa])', 'junk (;SZ[9];B[aa]) mail header: x\n\n(;SZ[9];B[bb];W[cc])', '(;SZ[9]PL[?];B[aa])',
    '(;SZ[9]C[a \\] b \\\\]PB[a\\]b];B[aa])', '(;SZ[9];B[aa];W[zz])', '(;SZ[9];B[aa];W[ja])', '(;SZ[9];B[a])',
    '(;SZ[9];B[aa]W[bb])', '(;SZ[9];B[aa][bb])', '(;SZ[9];B[ ])', '(;SZ[9]AB[ja];B[aa])', '(;SZ[9]AB[cc:aa];B[dd])',
    '(;SZ[9];B[aa];AW[])', '(;SZ[25];B[aa])', '(;SZ[9:13];B[aa])', '(;SZ[x];B[aa])', '(;SZ[9];B[aa];W[bb', '(;SZ[9];B[aa];W)',
    '(;SZ[9];B[aa]);W[bb];B[cc])', 'hello', '', '(;GM[2]SZ[9];B[aa])', '(;GM[]SZ[9];B[aa])', '(;SZ[9];B[aa]x;W[bb])',
    '(;SZ[9](;B[aa]);W[bb])', '((;SZ[9];B[aa]))', '(;SZ[9]AB[aa:];B[bb])',
    b'(;SZ[9]CA[UTF-8]PB[\xff\xfe\xc3];B[aa];W[bb])', b'(;SZ[9]CA[no-such-thing]PB[\xc3\xa4];B[aa];W[bb])',
    b'\xef\xbb\xbf(;SZ[9];B[aa])', '(;CA[hz]SZ[9]PB[~{{[]}}~}~~];B[aa])',
    *(f'(;SZ[9]{declared}PB[{name}]PW[x];B[aa]C[{name}];W[bb];B[cc]C[{name}])'.encode(encoding)
      for encoding, name in HIDDEN.items() for declared in (f'CA[{encoding}]', '')),
]


def root_of(text):
    return next(iter(sgf_grammar.main_sequence_iter(sgf._readable_trees(text)[0])))


def as_packed(path, text, size):
    """What the packer's reader finds, in the words of the page; None if it refuses."""
    path.write_bytes(text)
    try:
        game = sgf.read_record(path)
    except UserError:
        return None
    if game.size != size:
        return None
    position, played = Position(size), []
    for kind, point in (divmod(int(event), sgf.KIND) for event in game.events):
        if kind < sgf.PLAY_BLACK:
            if position.last_move is not None:
                played.pop()  # in the page, too, a board set up has no last move
            position.set_up(**{{sgf.ADD_BLACK: 'black', sgf.ADD_WHITE: 'white', sgf.REMOVE: 'empty'}[kind]: [point]})
        else:
            colour = BLACK if kind == sgf.PLAY_BLACK else WHITE
            position.play(point, colour)
            played.append([1 if colour == BLACK else -1, point])
    stones = position.board.astype(int)
    root = root_of(text)
    named = {name: re.sub(r'\\(.)', r'\1', root.get(key, [b''])[0].decode().strip())
             for name, key in (('black', 'PB'), ('white', 'PW'), ('result', 'RE'))}
    assert named['result'] == game.result
    return {**named, 'komi': 7.5 if game.komi is None else game.komi, 'handicap': game.handicap, 'moves': played,
            'board': np.where(stones == WHITE, -1, stones).tolist(), 'to_play': {1: 1, 2: -1}.get(game.to_play)}


def in_the_page(page, records):
    return page.evaluate(CODE, [[base64.b64encode(text).decode(), size] for text, size in records])


def test_records_are_read_as_the_packer_reads_them(open_page, tmp_path):
    records = {name: (text, size) for name, (text, size, *_) in AS_WRITTEN.items()}
    records.update({str(text): (text if isinstance(text, bytes) else text.encode(), 9) for text in OTHERS})
    refused = 0
    for (name, (text, size)), found in zip(records.items(), in_the_page(open_page(network=1), records.values())):
        wanted = as_packed(tmp_path / 'one.sgf', text, size)
        if wanted is None:
            assert 'refused' in found, name
            refused += 1
            continue
        if re.search('[\uf8f0-\uf8f3]', wanted['black']):  # Python's CP932 has signs for FD to FF
            del wanted['black']
        to_play = wanted.pop('to_play')
        assert {key: found.get(key) for key in wanted} == wanted, (name, found)
        assert to_play in (None, found['toMove']), name
    assert refused == 22


@pytest.mark.parametrize('name, heading', [('ISO-2022-JP', '黑：大竹，白：名人'), ('HZ', '黑：聂卫平，白：？')])
def test_the_heading_says_who_played(open_page, name, heading):
    text = AS_WRITTEN[name][0].replace(b'SZ[9]', b'SZ[19]')
    page = open_page('zh-CN', network=1)
    page.locator('input[type=file]').set_input_files({'name': 'game.sgf', 'mimeType': 'application/x-go-sgf', 'buffer': text})
    page.locator('.heading', has_text=heading).wait_for()
    assert f'结果：{AS_WRITTEN[name][4]}' in page.locator('.heading').inner_text()
    page.get_by_role('button', name='到末尾').click()
    page.locator('.turn', has_text='/ 2.').wait_for()
    page.get_by_role('button', name='新对局').click()
    assert not page.locator('.heading').count()
