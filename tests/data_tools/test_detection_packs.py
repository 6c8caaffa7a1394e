"""Pictures with boxes, in Pascal VOC's and COCO's layout, as packs of detection that MXNet and GluonCV read alike."""
import csv
import io
import json
import os
import random
import tarfile
import xml.etree.ElementTree
from collections import Counter

import mxnet as mx
import numpy as np
import pytest
from PIL import Image, ImageDraw

from data_tools.annotations import open_coco, open_voc
from data_tools.boxes import objects_of, wrong_box
from data_tools.errors import UserError
from data_tools.recordio import frame, image_payload, read_classes, read_facts, read_images, read_listed
from tests.data_tools.test_recordio import im2rec

CLASSES = ['cat', 'dog', 'emu']
# name of the picture: (size, objects)
PICTURES = {
    'a.jpg': ((64, 48), [('dog', (8, 6, 40, 30)), ('cat', (0, 0, 64, 48))]),
    'b.png': ((40, 60), [('emu', (1, 2, 3, 5))]),
    'c.jpg': ((33, 31), [('cat', (3, 4, 30, 29)), ('cat', (10, 10, 20, 20)), ('dog', (5, 5, 33, 31))]),
    'd.jpg': ((48, 48), [('dog', (12, 12, 36, 36))]),
}
COLORS = {'cat': 'red', 'dog': 'lime', 'emu': 'blue'}


def draw(path, size, objects=(), **options):
    """A black picture with filled boxes."""
    image = Image.new('RGB', size)
    for name, (left, top, right, bottom) in objects:
        if left < right:
            ImageDraw.Draw(image).rectangle((left, top, right - 1, bottom - 1), COLORS[name])
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, quality=95, **options)


def voc_xml(name, size, objects):
    root = xml.etree.ElementTree.Element('annotation')
    xml.etree.ElementTree.SubElement(root, 'filename').text = name
    place = xml.etree.ElementTree.SubElement(root, 'size')
    for key, value in zip(('width', 'height', 'depth'), size + (3,)):
        xml.etree.ElementTree.SubElement(place, key).text = str(value)
    for label, edges in objects:
        one = xml.etree.ElementTree.SubElement(root, 'object')
        xml.etree.ElementTree.SubElement(one, 'name').text = label
        xml.etree.ElementTree.SubElement(one, 'difficult').text = '0'
        box = xml.etree.ElementTree.SubElement(one, 'bndbox')
        for key, value in zip(('xmin', 'ymin', 'xmax', 'ymax'), edges):
            xml.etree.ElementTree.SubElement(box, key).text = str(value)
    return xml.etree.ElementTree.tostring(root)


def make_voc(folder, pictures=PICTURES, **options):
    """A folder in VOC's layout; the odd ones are its list `train`."""
    for place in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / place).mkdir(parents=True)
    for name, (size, objects) in pictures.items():
        draw(folder / 'JPEGImages' / name, size, objects, **options)
        (folder / 'Annotations' / f'{name[:-4]}.xml').write_bytes(voc_xml(name, size, objects))
    stems = [name[:-4] for name in pictures]
    (folder / 'ImageSets' / 'Main' / 'train.txt').write_text('\n'.join(stems[::2]) + '\n')
    (folder / 'ImageSets' / 'Main' / 'cat_val.txt').write_text(''.join(f'{stem}  1\n' for stem in stems[1::2]))
    return folder


def coco_of(pictures, classes=CLASSES, prefix=''):
    """The same as COCO has it, ids as they come there: not in order, not from 0."""
    content = {'images': [], 'annotations': [], 'categories': [
        {'id': 7 + 3 * number, 'name': name, 'supercategory': ''} for number, name in enumerate(classes)][::-1]}
    for number, (name, (size, objects)) in enumerate(reversed(list(pictures.items()))):
        content['images'].append({'id': 100 + 7 * number, 'file_name': prefix + name, 'width': size[0], 'height': size[1]})
        for label, (left, top, right, bottom) in objects:
            content['annotations'].append({
                'id': len(content['annotations']), 'image_id': 100 + 7 * number, 'iscrowd': 0,
                'category_id': 7 + 3 * classes.index(label), 'bbox': [left, top, right - left, bottom - top],
                'segmentation': []})
    return content


def boxes_by_gluoncv(path):
    """[(class, left, top, right, bottom in pixels), ...] of each picture."""
    from gluoncv.data import RecordFileDetection
    return [np.concatenate([label[:, 4:5], label[:, :4]], axis=1) for _, label in RecordFileDetection(str(path))]


def boxes_by_image_det_iter(path, sizes):
    reader = mx.image.ImageDetIter(batch_size=1, data_shape=(3, 32, 32), path_imgrec=str(path),
                                   path_imgidx=str(path.with_suffix('.idx')))
    return [_pixels(batch.label[0][0].asnumpy(), size) for batch, size in zip(reader, sizes)]


def boxes_by_image_det_record_iter(path, sizes):
    reader = mx.io.ImageDetRecordIter(path_imgrec=str(path), data_shape=(3, 32, 32), batch_size=1, preprocess_threads=1,
                                      verbose=False)
    found = []
    for batch, size in zip(reader, sizes):
        label = batch.label[0][0].asnumpy()
        raw = label[4:4 + int(label[3])]
        found.append(_pixels(raw[int(raw[0]):].reshape(-1, int(raw[1])), size))
    return found


def _pixels(objects, size):
    return objects[objects[:, 0] >= 0] * (1, *size, *size)


def test_voc_and_coco_make_one_pack_that_all_readers_read_alike(tmp_path, command):
    make_voc(tmp_path / 'devkit' / 'VOC2007')
    code, out, err = command('pack', '--voc', tmp_path / 'devkit', tmp_path / 'voc', '--workers', 1)
    assert code == 0 and '4 images' in out and '0 bad' in out, err
    (tmp_path / 'a.json').write_text(json.dumps(coco_of(PICTURES)))
    code, out, err = command('pack', '--coco', tmp_path / 'a.json', tmp_path / 'coco', '--workers', 1, '--root',
                             tmp_path / 'devkit' / 'VOC2007' / 'JPEGImages')
    assert code == 0 and '4 images' in out, err
    for ending in ('.rec', '.idx', '.crc', '.classes.txt'):
        assert (tmp_path / f'voc{ending}').read_bytes() == (tmp_path / f'coco{ending}').read_bytes(), ending
    assert (tmp_path / 'voc.lst').read_text().replace('JPEGImages/', '') == (tmp_path / 'coco.lst').read_text()
    assert read_classes(tmp_path / 'voc.rec') == CLASSES
    listed = [os.path.basename(path) for _, _, path in read_listed(tmp_path / 'voc.rec')]
    wanted = [np.array([(CLASSES.index(label), *edges) for label, edges in PICTURES[name][1]], float) for name in listed]
    sizes = [PICTURES[name][0] for name in listed]
    path = tmp_path / 'voc.rec'
    for found in (boxes_by_gluoncv(path), boxes_by_image_det_iter(path, sizes), boxes_by_image_det_record_iter(path, sizes)):
        assert len(found) == 4
        for mine, theirs in zip(wanted, found):
            np.testing.assert_allclose(theirs, mine, atol=1e-4)
    # What im2rec makes of the same list is the same, byte for byte.
    (tmp_path / 'theirs').mkdir()
    (tmp_path / 'theirs' / 'voc.lst').write_bytes((tmp_path / 'voc.lst').read_bytes())
    im2rec('--pass-through', '--pack-label', tmp_path / 'theirs' / 'voc', tmp_path / 'devkit' / 'VOC2007')
    for ending in ('.rec', '.idx'):
        assert (tmp_path / 'theirs' / f'voc{ending}').read_bytes() == (tmp_path / f'voc{ending}').read_bytes()
    facts = read_facts(path)
    assert facts['objects'] == [[0, 3], [1, 3], [2, 1]] and facts['classes'] == CLASSES


def test_lists_of_a_voc_folder_have_the_same_labels(tmp_path, command):
    make_voc(tmp_path / 'in')
    for chosen, names in (('train', {'a.jpg', 'c.jpg'}), ('cat_val', {'b.png', 'd.jpg'})):
        assert command('pack', '--voc', tmp_path / 'in', tmp_path / chosen, '--set', chosen, '--workers', 1)[0] == 0
        assert {os.path.basename(path) for _, _, path in read_listed(tmp_path / f'{chosen}.rec')} == names
        assert read_classes(tmp_path / f'{chosen}.rec') == CLASSES
    code, _, err = command('pack', '--voc', tmp_path / 'in', tmp_path / 'x', '--set', 'val')
    assert code == 2 and 'there is cat_val, train' in err and len(err.splitlines()) == 1
    code, _, err = command('pack', tmp_path / 'in', tmp_path / 'x', '--set', 'train')
    assert code == 2 and '--voc' in err
    # the order of another set's file of classes, by both ways and by the list
    (tmp_path / 'names.txt').write_text('emu\ndog\ngnu\ncat\n')
    (tmp_path / 'in' / 'a.json').write_text(json.dumps(coco_of(PICTURES)))
    for name, arguments in (('v', ('--voc', tmp_path / 'in')), ('c', ('--coco', tmp_path / 'in' / 'a.json')),
                            ('l', (tmp_path / 'v.lst', '--root', tmp_path / 'in'))):
        assert command('pack', *arguments, tmp_path / name, '--classes', tmp_path / 'names.txt', '--workers', 1)[0] == 0
    assert (tmp_path / 'v.rec').read_bytes() == (tmp_path / 'c.rec').read_bytes() == (tmp_path / 'l.rec').read_bytes()
    assert read_classes(tmp_path / 'l.rec') == ['emu', 'dog', 'gnu', 'cat']
    assert read_facts(tmp_path / 'v.rec')['objects'] == [[0, 1], [1, 3], [3, 3]]
    (tmp_path / 'names.txt').write_text('cat\ndog\n')
    for arguments in (('--voc', tmp_path / 'in'), ('--coco', tmp_path / 'in' / 'a.json')):
        code, _, err = command('pack', *arguments, tmp_path / 'x', '--classes', tmp_path / 'names.txt')
        assert code == 2 and "'emu' is not among the 2" in err and len(err.splitlines()) == 1
    code, _, err = command('pack', tmp_path / 'v.lst', tmp_path / 'x', '--root', tmp_path / 'in', '--classes',
                           tmp_path / 'names.txt')
    assert code == 2 and 'is not among the 2' in err and len(err.splitlines()) == 1


def rows_of(prefix):
    with open(f'{prefix}.bad.csv', newline='') as file:
        return {row['path']: row['reason'] for row in csv.DictReader(file)}


@pytest.mark.parametrize('way', ['voc', 'coco'])
def test_wrong_annotations_are_told_by_name(tmp_path, command, way):
    wrong = {
        'outside.jpg': ((20, 20), [('cat', (5, 5, 30, 10))], 'cat at 5, 5 to 30, 10 reaches outside of its 20 x 20'),
        'left.jpg': ((20, 20), [('cat', (-4, 5, 10, 10))], 'reaches outside'),
        'missing.jpg': ((20, 20), [('cat', (5, 5, 9, 9))], 'no such picture'),
        'empty.jpg': ((20, 20), [], 'no object in it'),
        'only_flat.jpg': ((20, 20), [('cat', (5, 5, 5, 9))], 'no object in it'),
        'other_size.jpg': ((30, 20), [('cat', (5, 5, 9, 9))], 'is 20 x 20 pixels, its annotation is of 30 x 20'),
        'mask.jpg': ((20, 20), [('cat', (5, 5, 9, 9))], 'is 20 x 20 pixels, a mask of it 10 x 20'),
        'nan.jpg': ((20, 20), [('cat', ('nan', 5, 9, 9) if way == 'voc' else (float('nan'), 5, 9, 9))], 'of no numbers'),
        'broken.jpg': ((20, 20), [('cat', (5, 5, 9, 9))], 'truncated'),
    }
    pictures = {**PICTURES, **{name: (size, objects) for name, (size, objects, _) in wrong.items()},
                'flat.jpg': ((20, 20), [('dog', (3, 3, 3, 3)), ('emu', (1, 1, 9, 9))])}
    folder = tmp_path / 'in'
    make_voc(folder, {name: each for name, each in pictures.items() if name != 'nan.jpg'})
    if way == 'voc':
        draw(folder / 'JPEGImages' / 'nan.jpg', (20, 20))
        (folder / 'Annotations' / 'nan.xml').write_bytes(voc_xml('nan.jpg', *pictures['nan.jpg']))
        (folder / 'Annotations' / 'no_xml.xml').write_text('<annotation>')
        wrong['no_xml.jpg'] = ((1, 1), [], 'its annotation is damaged')
        draw(folder / 'SegmentationObject' / 'mask.png', (10, 20))
        (folder / 'Annotations' / 'tab\t.xml').write_bytes(voc_xml('tab.jpg', (8, 8), [('cat', (1, 1, 5, 5))]))
        draw(folder / 'JPEGImages' / 'tab\t.jpg', (8, 8))
        wrong['tab\t.jpg'] = ((8, 8), [], 'a tab or line end')
        source = folder
    else:
        draw(folder / 'JPEGImages' / 'nan.jpg', (20, 20))
        content = coco_of(pictures)
        image = next(one for one in content['images'] if one['file_name'] == 'mask.jpg')
        next(one for one in content['annotations'] if one['image_id'] == image['id'])['segmentation'] = {
            'counts': [200], 'size': [20, 10]}
        content['annotations'].append({**content['annotations'][0], 'iscrowd': 1})
        source = folder / 'a.json'
        source.write_text(json.dumps(content))
    (folder / 'JPEGImages' / 'missing.jpg').unlink()
    draw(folder / 'JPEGImages' / 'other_size.jpg', (20, 20))
    whole = (folder / 'JPEGImages' / 'broken.jpg').read_bytes()
    (folder / 'JPEGImages' / 'broken.jpg').write_bytes(whole[:-40])
    code, out, err = command('pack', f'--{way}', source, tmp_path / 'x', '--workers', 1)
    assert code == 0, err
    rows = {os.path.basename(path): reason for path, reason in rows_of(tmp_path / 'x').items()}
    assert set(rows) == set(wrong)
    for name, (_, _, reason) in wrong.items():
        assert reason in rows[name], name
    assert 'note: 2 boxes without area left out: ' in out and 'flat.jpg (dog at 3, 3 to 3, 3)' in out
    assert ('1 boxes around crowds left out' in out) == (way == 'coco')
    packed = {os.path.basename(path): image.labels for _, image, path in read_listed(tmp_path / 'x.rec')}
    assert set(packed) == {*PICTURES, 'flat.jpg'}
    np.testing.assert_allclose(packed['flat.jpg'], (2, 5, 2, 0.05, 0.05, 0.45, 0.45))
    assert command('rec', 'verify', tmp_path / 'x.rec')[0] == 0
    for option in (('--strict',), ('--on-bad', 'stop')):
        code, _, err = command('pack', f'--{way}', source, tmp_path / 'y', '--workers', 1, *option)
        assert code == 2 and len(err.splitlines()) == 1 and '.jpg' in err and not (tmp_path / 'y.rec').exists()


def test_files_that_are_not_of_the_layout(tmp_path, command):
    (tmp_path / 'in' / 'c').mkdir(parents=True)
    draw(tmp_path / 'in' / 'c' / 'a.jpg', (8, 8))
    good = coco_of({'a.jpg': ((8, 8), [('cat', (1, 1, 4, 4))])})
    texts = {'not JSON': ('{', 'no JSON'), 'a list': ('[]', '"annotations"'), 'numbers': ('{"images": 3}', '"images"')}
    for what, change in (('category', {'annotations': [{**good['annotations'][0], 'category_id': 1000}]}),
                         ('image', {'annotations': [{**good['annotations'][0], 'image_id': 1000}]}),
                         ('no id', {'images': [{'file_name': 'a.jpg'}]}), ('twice', {'images': good['images'] * 2}),
                         ('names', {'categories': good['categories'] * 2}), ('nothing', {'images': []}),
                         ('away', {'images': [{**good['images'][0], 'file_name': '../a.jpg'}]}),
                         ('elsewhere', {'images': [{**good['images'][0], 'file_name': 'nowhere.jpg'}]})):
        texts[what] = json.dumps({**good, **change}), {
            'category': 'the class 1000 is not among the 3', 'image': 'the image 1000 is not among the 1',
            'no id': 'images[0]: has no usable "id"', 'twice': 'is already another', 'names': 'the same id or name',
            'nothing': 'no images', 'away': 'leads out', 'elsewhere': '--root'}[what]
    for what, (text, words) in texts.items():
        (tmp_path / 'in' / 'c' / 'x.json').write_text(text)
        draw(tmp_path / 'in' / 'a.jpg', (8, 8))
        code, _, err = command('pack', '--coco', tmp_path / 'in' / 'c' / 'x.json', tmp_path / 'x')
        assert code == 2 and words in err and len(err.splitlines()) == 1, (what, err)
    for source, words in ((tmp_path / 'in', 'Annotations'), (tmp_path / 'none', '--voc takes a folder'),
                          (tmp_path / 'in' / 'a.jpg', 'unpack')):
        code, _, err = command('pack', '--voc', source, tmp_path / 'x')
        assert code == 2 and words in err and len(err.splitlines()) == 1, err


@pytest.mark.parametrize('orientation, as_seen', [(number, True) for number in range(2, 9)]
                         + [(number, False) for number in range(5, 9)])
def test_boxes_of_pictures_held_otherwise(tmp_path, command, orientation, as_seen):
    """Whether they were annotated as seen or lying as stored, their size tells; the packed picture is upright."""
    note = Image.Exif()
    note[274] = orientation
    size = (64, 32)
    draw(tmp_path / 'in' / 'JPEGImages' / 'a.png', size, [('dog', (8, 4, 40, 12))], exif=note)
    annotated, box = size, (8, 4, 40, 12)
    if as_seen:
        from PIL import ImageOps
        upright = np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / 'in' / 'JPEGImages' / 'a.png')))
        ys, xs = np.nonzero(upright[..., 1] > 100)
        annotated, box = upright.shape[1::-1], (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1)
    (tmp_path / 'in' / 'Annotations').mkdir()
    (tmp_path / 'in' / 'Annotations' / 'a.xml').write_bytes(voc_xml('a.png', annotated, [('dog', box)]))
    assert command('pack', '--voc', tmp_path / 'in', tmp_path / 'x', '--workers', 1)[0] == 0
    (_, image), = read_images(tmp_path / 'x.rec')
    pixels = mx.image.imdecode(image.data).asnumpy()
    ys, xs = np.nonzero(pixels[..., 1] > 100)
    height, width = pixels.shape[:2]
    assert (width, height) == ((32, 64) if orientation > 4 else (64, 32))
    np.testing.assert_allclose(np.array(image.labels[3:]) * (width, height, width, height),
                               (xs.min(), ys.min(), xs.max() + 1, ys.max() + 1), atol=1e-4)


def test_rec_knows_packs_of_detection(tmp_path, command, contents):
    make_voc(tmp_path / 'in')
    assert command('pack', '--voc', tmp_path / 'in', tmp_path / 'x', '--workers', 1)[0] == 0
    code, out, _ = command('rec', 'info', tmp_path / 'x.rec', '--sheet', tmp_path / 's.png', '--columns', 2)
    assert code == 0 and '7 in 4 pictures: 1 to 3 a picture, median 1.5' in out
    assert [line.split() for line in out.splitlines() if line.startswith('  ')] == [
        ['0', 'cat', '3'], ['1', 'dog', '3'], ['2', 'emu', '1']]
    assert Image.open(tmp_path / 's.png').size[1] == 4 + 3 * 68  # a row a class
    # Taken apart, nothing is lost: the list makes the same pack again.
    code, out, _ = command('rec', 'extract', tmp_path / 'x.rec', tmp_path / 'out')
    assert code == 0 and 'the boxes of 4 are in' in out
    files = contents(tmp_path / 'out')
    assert set(files) == {'labels.lst', 'labels.classes.txt'} | {f'JPEGImages/{name}' for name in PICTURES}
    for name in PICTURES:
        assert files[f'JPEGImages/{name}'] == (tmp_path / 'in' / 'JPEGImages' / name).read_bytes()
    assert command('pack', tmp_path / 'out' / 'labels.lst', tmp_path / 'y', '--workers', 1, '--classes',
                   tmp_path / 'out' / 'labels.classes.txt')[0] == 0
    assert (tmp_path / 'x.rec').read_bytes() == (tmp_path / 'y.rec').read_bytes()
    assert read_classes(tmp_path / 'y.rec') == CLASSES
    # a list without folders: no class folder is made up of the width of the header
    (tmp_path / 'flat.lst').write_text('0\t2\t5\t0\t0.1\t0.1\t0.5\t0.5\ta.jpg\n')
    assert command('pack', tmp_path / 'flat.lst', tmp_path / 'flat', '--root', tmp_path / 'in' / 'JPEGImages')[0] == 0
    assert command('rec', 'extract', tmp_path / 'flat.rec', tmp_path / 'flat_out')[0] == 0
    assert set(contents(tmp_path / 'flat_out')) == {'a.jpg', 'labels.lst'}


@pytest.mark.parametrize('labels, words', [
    ((2, 5, 3, 0.1, 0.1, 0.5, 0.5), 'is of class 3, of which there are 3'),
    ((2, 5, 0.5, 0.1, 0.1, 0.5, 0.5), 'is of class 0.5'),
    ((2, 5, -1, 0.1, 0.1, 0.5, 0.5), 'is of class -1'), ((2, 5, 0, 0.5, 0.1, 0.5, 0.5), 'has no area'),
    ((2, 5, 0, 0.1, 0.6, 0.5, 0.5), 'has no area'), ((2, 5, 0, 0.1, 0.1, 1.2, 0.5), 'reaches outside'),
    ((2, 5, 0, -0.1, 0.1, 0.2, 0.5), 'reaches outside'), ((2, 5), 'no object in it')])
def test_verify_names_wrong_boxes(tmp_path, command, labels, words):
    make_voc(tmp_path / 'in')
    assert command('pack', '--voc', tmp_path / 'in', tmp_path / 'x', '--workers', 1)[0] == 0
    assert command('rec', 'verify', tmp_path / 'x.rec')[0] == 0
    file = io.BytesIO()
    Image.new('RGB', (9, 9)).save(file, 'PNG')
    with open(tmp_path / 'x.rec', 'ab') as pack:
        pack.write(frame(image_payload(77, labels, file.getvalue())))
    for ending in ('.idx', '.lst', '.crc'):
        (tmp_path / f'x{ending}').unlink()
    code, out, _ = command('rec', 'verify', tmp_path / 'x.rec')
    assert code == 1 and 'id 77' in out and words in out and '1 problem' in out


def damaged_json(generator, content):
    """Values taken out or exchanged for others, anywhere."""
    content = json.loads(json.dumps(content))
    for _ in range(generator.choice((1, 1, 2, 4))):
        places, waiting = [], [content]
        while waiting:
            at = waiting.pop()
            for key, value in at.items() if isinstance(at, dict) else enumerate(at):
                places.append((at, key))
                if isinstance(value, (dict, list)):
                    waiting.append(value)
        at, key = generator.choice(places)
        if generator.random() < 0.2:
            del at[key]
        else:
            at[key] = generator.choice((None, True, -1, 0, 1.5, 1e308, float('nan'), float('inf'), 'x', '', [], {}, [1, 2],
                                        '../a.jpg', [[1]], 10 ** 400, '\0'))
    return content


def damaged_text(generator, text):
    text = bytearray(text)
    for _ in range(generator.choice((1, 2, 5))):
        at, kind = generator.randrange(len(text)), generator.randrange(4)
        if kind == 0:
            text[at] ^= 1 << generator.randrange(8)
        elif kind == 1:
            del text[at:at + generator.choice((1, 3, 20))]
        elif kind == 2:
            text[at:at] = generator.choice((b'9', b'-', b'<', b'nan', b'&x;', b'\xff', b'e999', b'</object>'))
        else:
            text[at:at] = text[at:at + 20]
    return bytes(text)


def test_damaged_annotations_give_lines_or_good_boxes(tmp_path):
    generator, outcomes = random.Random(8), Counter()
    folder = make_voc(tmp_path / 'in')
    content = coco_of(PICTURES)
    content['annotations'][0]['segmentation'] = {'counts': [1], 'size': [48, 48]}
    notes = {path: path.read_bytes() for path in (folder / 'Annotations').iterdir()}

    def look(opened):
        try:
            source = opened()
        except UserError as error:
            assert str(error) and '\n' not in str(error)
            outcomes['refused'] += 1
            return
        assert all(wrong_box(labels, len(source.classes)) == '' for labels in source.all_labels)
        assert all(reason and '\n' not in reason for _, reason in source.bad)
        outcomes['some bad' if source.bad else 'all good'] += 1

    for _ in range(400):
        (tmp_path / 'x.json').write_text(json.dumps(damaged_json(generator, content)))
        look(lambda: open_coco(tmp_path / 'x.json', folder / 'JPEGImages'))
        path = generator.choice(sorted(notes))
        path.write_bytes(damaged_text(generator, notes[path]))
        look(lambda: open_voc(folder))
        path.write_bytes(notes[path])
    assert len(outcomes) == 3 and min(outcomes.values()) > 50, outcomes


# ---- real data

@pytest.fixture(scope='module')
def bccd(tmp_path_factory):
    path = os.path.join(os.environ.get('BOOKCNN_DATA', ''), 'detection', 'bccd.tar.xz')
    if not os.path.exists(path):
        pytest.skip('needs $BOOKCNN_DATA/detection/bccd.tar.xz')
    folder = tmp_path_factory.mktemp('bccd')
    with tarfile.open(path) as archive:
        archive.extractall(folder)
    return folder / 'BCCD_Dataset'


def test_blood_cells(bccd, tmp_path, command):
    said = ''
    for chosen, count in (('train', 205), ('val', 87), ('test', 72)):
        code, out, err = command('pack', '--voc', bccd, tmp_path / chosen, '--set', chosen, '--workers', 2)
        assert code == 0 and f'{count} images' in out and '0 bad' in out, err
        assert read_classes(tmp_path / f'{chosen}.rec') == ['Platelets', 'RBC', 'WBC']
        assert command('rec', 'verify', tmp_path / f'{chosen}.rec')[0] == 0
        said += out
    assert said.count('1 box without area left out') == 2 and 'BloodImage_00338.jpg (RBC at 504, 337 to 504, 337)' in said
    assert 'BloodImage_00343.jpg (RBC at 181, 329 to 181, 329)' in said
    path = tmp_path / 'test.rec'
    mine = [np.array(objects_of(image.labels).objects) * (1, 640, 480, 640, 480) for _, image in read_images(path)]
    assert sum(map(len, mine)) == 945
    for found in (boxes_by_gluoncv(path), boxes_by_image_det_iter(path, [(640, 480)] * 72),
                  boxes_by_image_det_record_iter(path, [(640, 480)] * 72)):
        assert len(found) == 72
        for a, b in zip(mine, found):
            np.testing.assert_allclose(a, b, atol=1e-3)
    # the same by COCO's way
    pictures = {}
    for stem in (bccd / 'BCCD' / 'ImageSets' / 'Main' / 'test.txt').read_text().split():
        tree = xml.etree.ElementTree.parse(bccd / 'BCCD' / 'Annotations' / f'{stem}.xml')
        pictures[f'{stem}.jpg'] = (640, 480), [
            (one.findtext('name'), tuple(int(one.findtext(f'bndbox/{edge}')) for edge in ('xmin', 'ymin', 'xmax', 'ymax')))
            for one in tree.iter('object')]
    (tmp_path / 'instances_test.json').write_text(json.dumps(coco_of(pictures, ['Platelets', 'RBC', 'WBC'])))
    assert command('pack', '--coco', tmp_path / 'instances_test.json', tmp_path / 'coco', '--root',
                   bccd / 'BCCD' / 'JPEGImages')[0] == 0
    assert (tmp_path / 'coco.rec').read_bytes() == path.read_bytes()
    (tmp_path / 'theirs').mkdir()
    (tmp_path / 'theirs' / 'test.lst').write_bytes((tmp_path / 'test.lst').read_bytes())
    im2rec('--pass-through', '--pack-label', tmp_path / 'theirs' / 'test', bccd / 'BCCD')
    assert (tmp_path / 'theirs' / 'test.rec').read_bytes() == path.read_bytes()
