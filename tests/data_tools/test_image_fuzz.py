"""Damaged images, MXNet's decoder the judge: nothing is packed that it cannot decode, nothing it can is left out
without a reason that holds.

DAMAGED_FILES=20000 in the environment: so many files instead of 2,000.
"""
import io
import os
import random
import struct
import subprocess
import sys
import warnings
import zlib
from collections import Counter

import numpy as np
import pytest
from PIL import Image, ImageFile

from data_tools.images import BadImage, check
from data_tools.judge import Judge
from data_tools.recordio import frame, image_payload

FILES = int(os.environ.get('DAMAGED_FILES', 2000))


@pytest.fixture(scope='module')
def judge():
    with Judge() as asked:
        yield asked


def saved(image, kind, **options):
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def chunk(kind, body):
    return struct.pack('>I', len(body)) + kind + body + struct.pack('>I', zlib.crc32(kind + body))


def chunks_of(png):
    at, found = 8, []
    while at < len(png):
        length = struct.unpack_from('>I', png, at)[0]
        found.append((png[at + 4:at + 8], png[at + 8:at + 8 + length]))
        at += 12 + length
    return found


def png_of(chunks):
    return b'\x89PNG\r\n\x1a\n' + b''.join(chunk(*one) for one in chunks)


def interlaced_png(pixels):
    """Gray pixels (H, W) as an Adam7 PNG, which Pillow does not write."""
    rows = b''
    for left, step_x, top, step_y in ((0, 8, 0, 8), (4, 8, 0, 8), (0, 4, 4, 8), (2, 4, 0, 4), (0, 2, 2, 4),
                                      (1, 2, 0, 2),
                                      (0, 1, 1, 2)):
        part = pixels[top::step_y, left::step_x]
        if part.size:
            rows += b''.join(b'\0' + row.tobytes() for row in part)
    header = struct.pack('>IIBBBBB', pixels.shape[1], pixels.shape[0], 8, 0, 0, 0, 1)
    return png_of([(b'IHDR', header), (b'IDAT', zlib.compress(rows)), (b'IEND', b'')])


def seeds():
    """{format: [encoded images]}"""
    generator = np.random.default_rng(0)
    color = Image.fromarray(generator.integers(0, 256, (13, 11, 3), np.uint8))
    gray, palette, bits = color.convert('L'), color.convert('P'), color.convert('1')
    note = Image.Exif()
    note[274] = 6
    return {
        'JPEG': [saved(color, 'JPEG'), saved(color, 'JPEG', progressive=True), saved(gray, 'JPEG'),
                 saved(color, 'JPEG', subsampling=0, exif=note), saved(color.convert('CMYK'), 'JPEG'),
                 saved(color, 'JPEG', restart_marker_blocks=1)],
        'PNG': [saved(image, 'PNG') for image in (color, gray, palette, bits, color.convert('RGBA'),
                                                  gray.convert('LA'))]
               + [interlaced_png(np.asarray(gray)), saved(palette, 'PNG', transparency=3),
                  saved(color, 'PNG', exif=note),
                  saved(Image.fromarray(np.asarray(gray).astype(np.uint16) * 257), 'PNG')],
        'BMP': [saved(image, 'BMP') for image in (color, gray, palette, bits, color.convert('RGBA'))],
        'TIFF': [saved(color, 'TIFF', compression=kind) for kind in ('raw', 'tiff_lzw', 'packbits', 'tiff_deflate',
                                                                     'jpeg')]
                + [saved(image, 'TIFF') for image in (gray, palette, bits, color.convert('RGBA'),
                                                      color.convert('CMYK'))],
        'WebP': [saved(color, 'WEBP'), saved(color, 'WEBP', lossless=True), saved(color.convert('RGBA'), 'WEBP')],
    }


def mutated(generator, data):
    """Bits flipped, bytes cut out, doubled, exchanged or overwritten, the end cut off."""
    data = bytearray(data)
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        at, length = generator.randrange(len(data)), generator.choice((1, 1, 2, 4, 30))
        kind = generator.randrange(6)
        if kind < 2:
            data[at] ^= 1 << generator.randrange(8)
        elif kind == 2:
            data[at:at + length] = generator.getrandbits(8 * length).to_bytes(length, 'big')
        elif kind == 3:
            del data[at:at + length]
        elif kind == 4:
            data[at:at] = data[at:at + length]
        elif generator.random() < 0.3:
            del data[at:]
        if not data:
            return b'\0'
    return bytes(data)


def mutated_png(generator, png):
    """What only rules beyond the checksums find: these are right again."""
    chunks = chunks_of(png)
    at, kind = generator.randrange(len(chunks)), generator.randrange(9)
    name, body = chunks[at]
    if kind == 0:
        del chunks[at]
    elif kind == 1:
        chunks.insert(generator.randrange(len(chunks) + 1), chunks[at])
    elif kind == 2:
        other = generator.choice((b'ABCD', b'abCD', b'AbCd', b'\xc3BCD', b'gAMA', b'tRNS', b'PLTE', b'iCCP', b'hIST',
                                  b'bKGD',
                                  b'sBIT', b'pHYs', b'zTXt', b'tIME', b'cHRM', b'acTL', b'eXIf', b'sRGB', b'oFFs'))
        chunks.insert(generator.randrange(len(chunks) + 1),
                      (other, bytes(generator.randrange(256) for _ in range(generator.choice((0, 1, 2, 4, 6, 9, 32))))))
    elif kind == 3 and body:
        chunks[at] = name, mutated(generator, body)
    elif kind == 4:
        chunks[at] = bytes(generator.choice((byte, byte ^ 0x20, generator.randrange(256))) for byte in name), body
    elif kind == 5:
        header = bytearray(chunks[0][1])
        header[generator.choice((3, 7, 8, 9, 10, 11, 12))] = generator.choice((0, 1, 2, 3, 4, 5, 6, 8, 16, 255))
        chunks[0] = chunks[0][0], bytes(header)
    elif kind in (6, 7):
        for number, (name, body) in enumerate(chunks):
            if name == b'IDAT':
                rows = bytearray(zlib.decompress(body))
                if kind == 6:
                    rows[generator.randrange(len(rows))] = generator.randrange(256)
                    if generator.random() < 0.5:
                        rows[0] = generator.randrange(8)
                else:
                    rows = rows[:generator.randrange(len(rows) + 1)] + bytes(generator.randrange(3))
                body = zlib.compress(bytes(rows))
                cut = generator.randrange(len(body))
                chunks[number:number + 1] = [(name, body[:cut]), (name, body[cut:])]
                break
    else:
        body = b''.join(body for name, body in chunks if name == b'IDAT')
        chunks = [one for one in chunks if one[0] != b'IDAT']
        body = body[:-generator.choice((1, 2, 4, 5))] if generator.random() < 0.5 else body + b'\0' * 3
        chunks.insert(max(1, len(chunks) - 1), (b'IDAT', body))
    return png_of(chunks)


def test_damaged_images_before_the_judge(tmp_path, judge):
    generator = random.Random(4)
    kinds = seeds()
    packed, refused, outcomes = [], Counter(), Counter()
    for number in range(FILES):
        kind = generator.choice(list(kinds))
        data = generator.choice(kinds[kind])
        if number >= sum(map(len, kinds.values())):
            mutate = mutated_png if kind == 'PNG' and generator.random() < 0.7 else mutated
            data = mutate(generator, data)
        try:
            packed_bytes, action, reason = check(data, max_pixels=10_000_000)
        except BadImage as error:
            assert str(error).strip()
            outcomes[kind, 'refused'] += 1
            if '--max-pixels' not in str(error) and judge.decodes(data):
                refused[kind, ' '.join(str(error).split()[:3])] += 1
                # MXNet makes a picture of it, with what is missing gray or wrong: the reason names the damage.
                assert str(error).startswith(('damaged', 'truncated', 'animated', 'several pages', '16 bits',
                                              'not an image',
                                              'too large', 'uint', 'int', 'float', 'unknown samples')), error
            continue
        outcomes[kind, action or 'as it is'] += 1
        assert judge.decodes(packed_bytes), (kind, number, action, reason, data[:2000])
        packed.append(packed_bytes)
    print({f'{kind} {what}': count for (kind, what), count in sorted(outcomes.items())})
    print('refused though MXNet makes a picture:', {' '.join(key): count for key, count in refused.most_common()})
    # And the reader that dies of what it cannot decode, in one go over all of them.
    path = tmp_path / 'packed.rec'
    path.write_bytes(b''.join(frame(image_payload(number, (0.0,), data)) for number, data in enumerate(packed)))
    program = ('import numpy; numpy.bool = bool; import sys, mxnet as mx\n'
               'reader = mx.io.ImageRecordIter(path_imgrec=sys.argv[1], data_shape=(3, 8, 8), resize=8, '
               'rand_crop=False, batch_size=1, preprocess_threads=1, verbose=False)\n'
               'print(sum(1 for _ in reader))')
    done = subprocess.run([sys.executable, '-c', program, str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()[-500:]
    assert int(done.stdout.split()[-1]) == len(packed)


def test_verdicts_do_not_depend_on_what_else_runs_in_the_process():
    """GluonCV lets Pillow take truncated files in all of the process; programs run with warnings as errors."""
    generator = random.Random(6)
    damaged = [mutated(generator, generator.choice(pictures)) for pictures in seeds().values() for _ in range(400)]

    def verdicts():
        found = []
        for data in damaged:
            try:
                found.append(check(data, max_pixels=10_000_000))
            except BadImage as error:
                found.append(str(error))
        return found

    alone = verdicts()
    was = ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS
    try:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = True, 10
        with warnings.catch_warnings():
            warnings.simplefilter('error')
            among_others = verdicts()
            assert (ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS) == (True, 10)  # left as they were
    finally:
        ImageFile.LOAD_TRUNCATED_IMAGES, Image.MAX_IMAGE_PIXELS = was
    assert among_others == alone
