"""Damaged files: every reader gives an answer or one clear error; none crashes, hangs or eats the memory.

DAMAGED_FILES=20000 in the environment: so many files instead of 4,000.
"""
import os
import random
import resource
import time
from collections import Counter

from data_tools.__main__ import main
from data_tools.errors import UserError
from data_tools.recordio import MAGIC_BYTES, read_checksums, read_index, read_list, read_listed
from data_tools.verify import verify, whole_records

FILES = int(os.environ.get('DAMAGED_FILES', 4000))
_WORDS = [b'\0\0\0\0', b'\xff\xff\xff\xff', MAGIC_BYTES, b'\xff\xff\xff\x1f', b'\0\0\0\x20', b'\1\0\0\0',
          b'\t', b'\n',
          b'\n\n\t\t', b'9' * 30, b'-1\t', b'nan\t', b'../']


def mutated(generator, data):
    """Some bits flipped, bytes cut out, doubled, exchanged, replaced by telling ones, or the end cut off."""
    data = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        at = generator.randrange(len(data) + 1)
        length = generator.choice((1, 4, 8, 40, 200))
        kind = generator.randrange(6)
        if kind == 0 and at < len(data):
            data[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del data[at:at + length]
        elif kind == 2:
            data[at:at] = data[at:at + length]
        elif kind == 3:
            data[at & ~3:(at & ~3) + 4] = generator.choice(_WORDS)
        elif kind == 4:
            data[at:at] = generator.choice(_WORDS)
        else:
            del data[at:]
    return bytes(data)


def test_damaged_files(tmp_path, make_photos, capsys):
    make_photos(tmp_path / 'photos', ('a', 'b'), 2, size=8)
    (tmp_path / 'several.lst').write_text(''.join(f'{n}\t2\t5\t0.5\ta/{n:04}.jpg\n' for n in range(2)))
    assert main(['pack', str(tmp_path / 'photos'), str(tmp_path / 'x'), '--workers', '1']) == 0
    assert main(['pack', str(tmp_path / 'several.lst'), str(tmp_path / 'y'), '--root',
                 str(tmp_path / 'photos'),
                 '--workers', '1']) == 0
    endings = ('.rec', '.idx', '.lst', '.crc')
    whole = [{ending: (tmp_path / f'{name}{ending}').read_bytes() for ending in endings} for name in 'xy']
    path = tmp_path / 'hurt.rec'

    def read_all_lists():
        for read, ending in ((read_index, '.idx'), (read_checksums, '.crc')):
            read(path.with_suffix(ending))

    readers = [lambda: verify(path, decode=False).problems, lambda: verify(path).problems,
               lambda: len(list(read_listed(path))),
               lambda: len(list(whole_records(path, []))), read_all_lists,
               lambda: len(list(read_list(path.with_suffix('.lst')))),
               lambda: main(['rec', 'info', str(path)]), lambda: main(['rec', 'ls', str(path)]),
               lambda: main(['rec', 'diff', str(path), str(tmp_path / 'x.rec')]),
               lambda: main(['rec', 'verify', str(path)])]
    generator = random.Random(3)
    outcomes, slowest, there, hurt_before = Counter(), 0, None, None
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(FILES):
        files = generator.choice(whole)
        hurt = '.rec' if generator.random() < 0.6 else generator.choice(endings[1:])
        # mend the last one, hurt another
        for ending in endings if files is not there else (hurt_before, hurt):
            path.with_suffix(ending).write_bytes(files[ending])
        path.with_suffix(hurt).write_bytes(mutated(generator, files[hurt]))
        there, hurt_before = files, hurt
        # The costly readers less often than the others.
        reader = readers[number % 6] if number % 5 else readers[number // 5 % len(readers)]
        began = time.process_time()
        try:
            answer = reader()
            outcomes['error' if answer == 2 else 'answer'] += 1
        except UserError as error:
            assert str(error).strip()
            outcomes['error'] += 1
        slowest = max(slowest, time.process_time() - began)
        if number % 500 == 0:
            captured = capsys.readouterr()
            assert 'Traceback' not in captured.err
            assert all(line.startswith('error: ') for line in captured.err.splitlines()), captured.err
    assert sum(outcomes.values()) == FILES and min(outcomes['answer'], outcomes['error']) > FILES // 20, outcomes
    assert slowest < 5
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    assert grown < 200 << 10, f'{grown >> 10} MB more than before'
