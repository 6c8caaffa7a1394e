"""Chapter 5.7: boxes, targets, losses, data with boxes, training of detectors, what is made of a trained one."""
import json
import shutil
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from PIL import Image

import chapters
from chapters.ch05_detection_style import annotated, detector, scenes, yolo
from chapters.ch05_detection_style.yolo_v1 import YOLOv1, YOLOv1Loss
from chapters.ch05_detection_style.yolo_v2 import VOC_SHAPES, YOLOv2, YOLOv2Loss
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.perform import resume, run_experiment
from chapters.kit.report.report import finished_runs, refusal
from data_tools.errors import UserError

TINY_V2 = {'base': 'small', 'filters': 8, 'classes': 3, 'shapes': (1.0, 1.0, 2.0, 3.0)}


def network_of(kind, **sizes):
    network = kind(**sizes)
    network.initialize(mx.init.Xavier(), ctx=mx.cpu())
    network(nd.zeros((1, 3, 64, 64)))
    return network


def test_the_networks_have_the_books_sizes():
    for section, planes, weighted in (('5.7.1', (30, 7, 7), 26), ('5.7.2-voc', (125, 13, 13), 22)):
        experiment = chapters.find(section)
        rows = layer_table(experiment.build(), experiment.input_shape)
        assert rows[-1].output_shape == planes
        assert sum(row.weighted for row in rows) - 1 == weighted
    assert sum(row.weighted and 'convolution' in row.kind for row in layer_table(YOLOv1(), (1, 3, 448, 448))) == 24


def test_the_passthrough_brings_four_places_of_the_finer_planes():
    rows = layer_table(YOLOv2(), (1, 3, 416, 416))
    joined = [row for row in rows if row.operator in ('Concat', 'concat')][-1]
    assert joined.output_shape == (2048 + 1024, 13, 13)
    without = layer_table(YOLOv2(passthrough=False), (1, 3, 416, 416))
    assert not [row for row in without if row.operator in ('Concat', 'concat')]


def test_squeezenets_planes_lie_where_their_pixels_are():
    """A place of the planes looks at pixels around the centre of its own 16x16."""
    mx.random.seed(0)
    network = network_of(YOLOv2, base='squeezenet', filters=8, squeezed=8, classes=2, shapes=(1.0, 1.0))
    x = nd.random.uniform(shape=(1, 3, 320, 288))
    x.attach_grad()
    with autograd.record():
        planes = network.fine(x)
        seen = nd.slice_axis(nd.slice_axis(planes, axis=2, begin=10, end=11), axis=3, begin=9, end=10).sum()
    seen.backward()
    assert planes.shape == (1, 512, 20, 18)
    weight = np.square(x.grad.asnumpy()[0]).sum(axis=0)
    rows, columns = (weight.sum(axis=1 - axis) @ (np.arange(weight.shape[axis]) + 0.5) / weight.sum() for axis in (0, 1))
    assert (rows, columns) == pytest.approx((10.5 * 16, 9.5 * 16), abs=3)


def test_k_means_finds_the_shapes_that_there_are():
    random = np.random.default_rng(0)
    true = np.array([[1, 1], [4, 1], [2, 6]], float)
    sizes = np.concatenate([shape * random.uniform(0.95, 1.05, (50, 2)) for shape in true])
    shapes, overlap = yolo.box_shapes(sizes, 3, seed=1)
    assert np.allclose(shapes, true, rtol=0.03) and overlap > 0.93
    assert yolo.box_shapes(sizes, 1)[1] < 0.6
    assert yolo.shape_overlaps(np.array([[2.0, 2.0]]), np.array([[1.0, 2.0], [2.0, 4.0], [4.0, 1.0]])) == pytest.approx(
        np.array([[0.5, 0.5, 2 / 6]]))


def planes_for(network, targets, confidence=8.0):
    """Planes of YOLO v2 that say exactly what the targets (6, B, H, W) are."""
    boxes, down, across = targets.shape[1:]
    planes = np.zeros((boxes, 5 + network.classes, down, across), np.float32)
    planes[:, 4] = -confidence
    for box, row, column in zip(*np.nonzero(targets[0])):
        _, x, y, width, height, label = targets[:, box, row, column]
        planes[box, :5, row, column] = (np.log(x / (1 - x)), np.log(y / (1 - y)), np.log(width / network.shapes[box, 0]),
                                        np.log(height / network.shapes[box, 1]), confidence)
        planes[box, 5 + int(label), row, column] = 20
    return nd.array(planes.reshape(1, -1, down, across))


OBJECTS = np.array([[2, 0.12, 0.20, 0.42, 0.50], [0, 0.57, 0.10, 0.97, 0.85]], np.float32)


def test_targets_of_v2_by_hand():
    network = network_of(YOLOv2, **TINY_V2)
    targets = YOLOv2Loss(network).targets(OBJECTS, (64, 64))  # four cells of 16 pixels a side
    assert targets.shape == (6, 2, 4, 4) and targets[0].sum() == 2
    assert targets[:, 0, 1, 1] == pytest.approx([1, 0.08, 0.4, 1.2, 1.2, 2], abs=1e-5)  # centre 0.27, 0.35
    assert targets[:, 1, 1, 3] == pytest.approx([1, 0.08, 0.9, 1.6, 3.0, 0], abs=1e-5)
    both = YOLOv2Loss(network).targets(np.array([[0, 0.1, 0.1, 0.4, 0.4], [1, 0.11, 0.11, 0.39, 0.39]]), (64, 64))
    assert both[0, :, 1, 1].tolist() == [1, 1]  # the second has the next best shape


def test_v2_says_what_its_targets_say_and_then_costs_nothing():
    network = network_of(YOLOv2, **TINY_V2)
    loss = YOLOv2Loss(network)
    objects = np.array([[2, 0.12, 0.21, 0.40, 0.50], [0, 0.57, 0.10, 0.97, 0.85]], np.float32)
    targets = loss.targets(objects, (64, 64))
    planes = planes_for(network, targets)
    boxes, confidence, classes = network.parts(nd, planes)
    best = confidence.asnumpy()[0].argsort()[::-1][:2]
    found = sorted([int(classes[0, place].argmax().asscalar()), *boxes[0, place].asnumpy().tolist()] for place in best)
    assert np.allclose(found, sorted(objects.tolist()), atol=1e-5)
    parts = [part.asscalar() for part in loss(planes, nd.array(targets[None]), nd.array(objects[None]))]
    assert max(parts) < 1e-4
    moved = nd.array(targets[None])
    moved[:, 1] = moved[:, 1] + 0.1 * moved[:, 0]  # every x of an object by a tenth of a cell
    assert loss(planes, moved, nd.array(objects[None]))[0].asscalar() == pytest.approx(5 * 2 * 0.01, rel=0.01)


def test_a_box_that_covers_an_object_is_not_told_that_there_is_none():
    network = network_of(YOLOv2, **TINY_V2)
    assert network.output.bias.data().asnumpy()[[4, 12]] == pytest.approx(np.log(0.05 / 0.95))
    loss = YOLOv2Loss(network)
    targets = np.zeros((1, 6, 2, 4, 4), np.float32)  # nobody's
    planes = nd.zeros((1, 2 * 8, 4, 4))  # all confidences 1/2, boxes of the shapes at the centre of each cell
    nowhere, there = (nd.array(np.array([[row]], np.float32)) for row in ([-1] * 5, [0, 0.25, 0.25, 0.5, 0.5]))
    all_of_them = loss(planes, nd.array(targets), nowhere)[2].asscalar()
    assert all_of_them == pytest.approx(0.5 * 32 * 0.25)
    assert loss(planes, nd.array(targets), there)[2].asscalar() == pytest.approx(0.5 * 31 * 0.25)


@pytest.mark.parametrize('direct', [True, False])
def test_gradients_of_v2_against_finite_differences(direct):
    network = network_of(YOLOv2, direct=direct, **TINY_V2)
    check_gradient(YOLOv2Loss(network), (1, 16, 4, 4), (64, 64))


def test_gradients_of_v1_against_finite_differences():
    network = network_of(YOLOv1, layers='small', cells=4, classes=3)
    check_gradient(YOLOv1Loss(network), (1, 13, 4, 4), (64, 64))


def check_gradient(loss, shape, size):
    """Of all parts but that of the confidences of objects, whose IoU is held fixed; there the IoU is a constant."""
    random = np.random.default_rng(3)
    planes = nd.array(random.normal(0, 0.5, shape))
    targets = nd.array(loss.targets(OBJECTS, size)[None])
    objects = nd.array(OBJECTS[None])

    def value(at):
        parts = loss(at, targets, objects)
        return parts[0] + parts[2] + parts[3]
    planes.attach_grad()
    with autograd.record():
        whole = value(planes)
    whole.backward()
    gradient = planes.grad.asnumpy()
    assert np.abs(gradient).max() > 0.1
    for _ in range(20):
        step = np.zeros(shape)
        place = tuple(random.integers(side) for side in shape)
        step[place] = 1e-2
        change = (value(planes + nd.array(step)) - value(planes - nd.array(step))).asscalar()
        assert change / 2e-2 == pytest.approx(gradient[place], abs=3e-3, rel=1e-2)


def test_loss_of_v1_by_hand():
    network = network_of(YOLOv1, layers='small', cells=2, classes=3)
    loss = YOLOv1Loss(network)
    objects = np.array([[1, 0.0, 0.0, 0.5, 0.5]], np.float32)  # centre 0.25, 0.25: the middle of the first cell
    targets = loss.targets(objects, (64, 64))
    assert targets[:, 0, 0] == pytest.approx([1, 0.5, 0.5, 0.5, 0.5, 1])
    planes = np.zeros((1, 13, 2, 2), np.float32)
    root = np.sqrt(0.5)
    planes[0, 5:10, 0, 0] = 0.5, 0.5, root, root - 0.1, 0.7  # the second box overlaps, the first has no area
    planes[0, 10:, 0, 0] = 0.2, 0.9, 0
    planes[0, 4, 1, 1] = 0.4
    overlap = (root - 0.1) ** 2 / 0.5
    parts = [part.asscalar() for part in loss(nd.array(planes), nd.array(targets[None]), nd.array(objects[None]))]
    assert parts == pytest.approx([5 * 0.01, (0.7 - overlap) ** 2, 0.5 * 0.16, 0.04 + 0.01], rel=1e-4)


def test_scenes_are_seeded_and_their_boxes_fit_their_masks():
    digits = scenes.load('digits')
    pixels, objects, masks = scenes.scene(digits.train_images[:, 0], digits.train_labels, np.random.default_rng(1))
    assert pixels.shape == (3, 96, 96) and 1 <= len(objects) <= 6
    for (label, *edges), mask in zip(objects, masks):
        rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
        assert np.array(edges) * 96 == pytest.approx([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], abs=1e-3)
        assert 0 <= label < 10
    (one, boxes, _), (other, _, _) = scenes.scenes(3, 5), scenes.scenes(3, 5)
    assert (one == other).all() and (one != scenes.scenes(3, 6)[0]).any()
    assert (one != scenes.scenes(3, 5, validation=True)[0]).any() and len(boxes) == 3


def test_views_move_boxes_with_the_picture():
    """A white rectangle on black: whatever is done to it, its box is around what is white."""
    picture = np.zeros((1, 3, 64, 80), np.uint8)
    picture[:, :, 16:40, 20:60] = 255
    truth = np.array([[[1, 20 / 80, 16 / 64, 60 / 80, 40 / 64]]], np.float32)
    data = annotated.TrainingData('one', picture, truth, picture, truth, ('a', 'b'), scale=1 / 255)
    views = annotated.Views(data, 'mirror smallest=0.7 largest=1.3', [(64, 96), (96, 64)], lambda objects, size: np.zeros(1))
    random, shapes = np.random.default_rng(0), set()
    for _ in range(30):
        pixels, _, objects = views(np.array([0]), random)
        height, width = pixels.shape[2:]
        shapes.add((height, width))
        white = pixels[0, 0] > 0.72  # the ground is gray where the picture ends
        rows, columns = np.flatnonzero(white.any(axis=1)), np.flatnonzero(white.any(axis=0))
        left, top, right, bottom = objects[0, 0, 1:] * (width, height, width, height)
        assert (left, right + 0) == pytest.approx((columns[0], columns[-1] + 1), abs=1.6)
        assert (top, bottom) == pytest.approx((rows[0], rows[-1] + 1), abs=1.6)
    assert shapes == {(64, 96), (96, 64)}


def voc(folder, names=('train', 'val')):
    """A folder in Pascal VOC's layout with pictures of one bright square."""
    for below in ('Annotations', 'JPEGImages', 'ImageSets/Main'):
        (folder / below).mkdir(parents=True)
    random = np.random.default_rng(0)
    for part in names:
        stems = [f'{part}{number}' for number in range(6)]
        (folder / 'ImageSets' / 'Main' / f'{part}.txt').write_text('\n'.join(stems))
        for stem in stems:
            left, top = random.integers(0, 40, 2)
            pixels = np.zeros((64, 96, 3), np.uint8)
            pixels[top:top + 20, left:left + 30] = 220
            Image.fromarray(pixels).save(folder / 'JPEGImages' / f'{stem}.jpg')
            (folder / 'Annotations' / f'{stem}.xml').write_text(
                f'<annotation><size><width>96</width><height>64</height></size><object><name>cell</name><bndbox><xmin>{left}'
                f'</xmin><ymin>{top}</ymin><xmax>{left + 30}</xmax><ymax>{top + 20}</ymax></bndbox></object></annotation>')
    return folder


def test_a_folder_and_an_archive_in_vocs_layout(tmp_path):
    import shutil
    folder = voc(tmp_path / 'cells')
    archive = shutil.make_archive(str(tmp_path / 'packed'), 'gztar', tmp_path, 'cells')
    experiment = chapters.find('5.7.2').but(pixels=64)
    one, other = (experiment.load(str(path)) for path in (folder, archive))
    assert one.train_x.shape == (6, 3, 64, 64) and one.train_y.shape == (6, 1, 5) and one.class_names == ('cell',)
    assert (one.train_x == other.train_x).all() and (one.validation_y == other.validation_y).all()
    label, left, top, right, bottom = one.train_y[0, 0]
    inside = one.train_x[0][:, int(top * 64) + 3:int(bottom * 64) - 3, int(left * 64) + 3:int(right * 64) - 3]
    assert inside.min() > 150 and (right - left, bottom - top) == pytest.approx((30 / 96, 20 / 64))
    assert 'lists train, val' in one.said


def test_coco_gives_the_same_boxes_as_voc(tmp_path):
    folder = voc(tmp_path / 'cells')
    experiment = chapters.find('5.7.2').but(pixels=64)
    by_voc = experiment.load(str(folder))
    (folder / 'annotations').mkdir()
    for part, boxes in (('train', by_voc.train_y), ('val', by_voc.validation_y)):
        images = [{'id': number, 'file_name': f'JPEGImages/{part}{number}.jpg', 'width': 96, 'height': 64}
                  for number in range(6)]
        objects = [{'id': number, 'image_id': number, 'category_id': 1, 'bbox': [
            box[0, 1] * 96, box[0, 2] * 64, (box[0, 3] - box[0, 1]) * 96, (box[0, 4] - box[0, 2]) * 64]}
            for number, box in enumerate(boxes.astype(float))]
        (folder / 'annotations' / f'{part}.json').write_text(json.dumps(
            {'images': images, 'annotations': objects, 'categories': [{'id': 1, 'name': 'cell'}]}))
    by_coco = experiment.load(str(folder))
    assert np.allclose(by_coco.train_y, by_voc.train_y, atol=1e-6) and (by_coco.train_x == by_voc.train_x).all()


@pytest.mark.parametrize('spoil, said', [
    (lambda folder: (folder / 'ImageSets/Main/val.txt').unlink(), 'no lists train and val'),
    (lambda folder: (folder / 'JPEGImages/train0.jpg').write_bytes(b'no picture'), 'cells')])
def test_what_is_wrong_with_data_is_said_in_a_line(tmp_path, spoil, said):
    folder = voc(tmp_path / 'cells')
    spoil(folder)
    experiment = chapters.find('5.7.2').but(pixels=64)
    try:
        data = experiment.load(str(folder))
        assert len(data.train_x) == 5  # the damaged one is left out
    except UserError as error:
        assert said in str(error) and '\n' not in str(error)


def test_unknown_data_and_sizes(tmp_path):
    with pytest.raises(UserError, match='no such pictures with boxes'):
        chapters.find('5.7.2').load('nowhere')
    with pytest.raises(UserError, match='multiples of 16'):
        run_experiment(chapters.find('5.7.2').but(pixels=72, train_samples=16, epochs=1), out=tmp_path / 'run', quiet=True)


def test_measure_is_vocs():
    truth = np.array([[[0, 0.1, 0.1, 0.5, 0.5], [1, 0.6, 0.6, 0.9, 0.9]]], np.float32)
    right = np.array([[[0, 0.9, 0.1, 0.1, 0.5, 0.5], [1, 0.8, 0.6, 0.6, 0.9, 0.9], [-1] * 6]], np.float32)
    assert detector.measure(right, truth, 'ab', (100, 100)) == pytest.approx(
        {'mAP': 1, 'AP of a': 1, 'AP of b': 1})
    wrong = right.copy()
    wrong[0, 2] = 0, 0.95, 0.6, 0.1, 0.9, 0.5  # surer, and where there is none: precision 1/2 at every recall
    assert detector.measure(wrong, truth, 'ab', (100, 100))['AP of a'] == pytest.approx(0.5)
    assert detector.measure(np.full((1, 3, 6), -1.0), truth, 'ab', (100, 100)) == {'mAP': 0.0}


def test_the_detector_suppresses_within_a_class():
    network = network_of(YOLOv2, **TINY_V2)
    network.shapes = np.array([[1.2, 1.2], [1.2, 1.3]])
    objects = np.array([[2, 0.12, 0.2, 0.42, 0.5], [2, 0.13, 0.2, 0.43, 0.52], [1, 0.62, 0.2, 0.92, 0.5]])
    planes = planes_for(network, YOLOv2Loss(network).targets(objects, (64, 64)))
    shown = yolo.Detector(network, least=0.5)
    network.forward = lambda x: planes
    found = shown(nd.zeros((1, 3, 64, 64))).asnumpy()[0]
    found = found[found[:, 0] >= 0]
    assert sorted(found[:, 0]) == [1, 2]  # of two boxes of class 2 at one place one is left


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of some seconds: large single squares."""
    folder = voc(tmp_path_factory.mktemp('data') / 'cells')
    experiment = chapters.find('5.7.2').but(pixels=64, epochs=25, batch_size=3, filters=16, learning_rate=0.02, augmentation='')
    run, result = run_experiment(experiment, data=str(folder), out=tmp_path_factory.mktemp('runs') / 'run', quiet=True)
    return folder, run, result


def test_a_detector_learns_and_is_measured_again(trained, capsys):
    from chapters.__main__ import main
    folder, run, result = trained
    assert result['metrics']['validation_mAP']['best'] > 0.3
    assert len(run.config['sizes']['shapes']) == 10 and run.config['sizes']['classes'] == 1
    assert {'detections.png', 'precision-recall.png', 'box-shapes.png', 'curves.png'} <= {
        path.name for path in (run.folder / 'figures').iterdir()}
    assert main(['evaluate', str(run.folder)]) == 0
    said = capsys.readouterr().out
    assert float(said.split()[1]) == pytest.approx(result['metrics']['validation_mAP']['last'], abs=1e-4)
    assert 'mAP over IoU' in said
    assert main(['evaluate', str(run.folder), '--pixels', '96']) == 0  # improvement 10
    assert main(['evaluate', str(run.folder), '--pixels', '90']) == 2 == main(['evaluate', 'zoo:4.4', '--pixels', '96'])
    assert main(['evaluate', str(run.folder), '--pixels', '0']) == 2 == main(['evaluate', str(run.folder), '--int8'])


def test_detect_writes_boxes_in_the_pictures_pixels(trained, tmp_path, capsys):
    from chapters.__main__ import main
    folder, run, _ = trained
    assert main(['detect', str(run.folder), str(folder / 'JPEGImages'), '--least', '0.05', '--out', str(tmp_path / 'out')]) == 0
    told = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    assert len(told) == 12 and (tmp_path / 'out' / 'figures' / 'val0.png').exists()
    for one in told:
        assert (one['width'], one['height']) == (96, 64)
        for thing in one['objects']:
            assert thing['class'] == 'cell' and 0 <= thing['box'][0] < thing['box'][2] <= 96
    assert any(one['objects'] for one in told)
    capsys.readouterr()
    assert main(['detect', str(run.folder), str(tmp_path / 'none.jpg')]) == 2
    assert main(['detect', str(run.folder), str(folder), '--least', '2']) == 2
    assert main(['detect', 'zoo:4.4', str(folder)]) == 2
    assert main(['predict', str(run.folder), str(folder)]) == 2
    pictures = tmp_path / 'pictures'
    shutil.copytree(folder / 'JPEGImages', pictures)
    (pictures / 'zz.jpg').write_bytes(b'no picture')
    capsys.readouterr()
    for arguments, code, words in (
            ([str(pictures), '--out', str(tmp_path / 'all')], 0, 'zz.jpg'),  # the others have their boxes
            ([str(pictures / 'zz.jpg'), '--out', str(tmp_path / 'none')], 2, 'zz.jpg: not a readable image'),
            ([str(pictures / 'zz.jpg'), str(pictures / 'val0.jpg'), '--out', str(tmp_path / 'one')], 2, 'zz.jpg: not a'),
            ([str(pictures / 'val0.jpg'), '--out', str(pictures / 'zz.jpg')], 2, 'zz.jpg: is a file')):
        assert main(['detect', str(run.folder), *arguments]) == code
        said = capsys.readouterr().err.splitlines()
        assert len(said) == 1 and words in said[0]
    assert len(json.loads((tmp_path / 'all' / 'detections.json').read_text(encoding='utf-8'))) == len(told)
    assert [Path(one['file']).stem for one in json.loads((tmp_path / 'one' / 'detections.json').read_text())] == ['val0']
    assert not (tmp_path / 'none').exists()  # nor anything half done
    assert all(line.startswith('error: ') for line in capsys.readouterr().err.splitlines())


def test_a_resumed_run_ends_as_one_that_was_not_stopped(tmp_path, interrupted):
    experiment = chapters.find('5.7.2').but(pixels=64, epochs=2, batch_size=8, train_samples=16, filters=8, scales='100,75')
    whole, _ = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    interrupted(experiment, tmp_path / 'stopped')
    resume(tmp_path / 'stopped', chapters.find)
    one, other = (mx.nd.load(str(tmp_path / name / 'model-0002.params')) for name in ('whole', 'stopped'))
    assert all((one[name] == other[name]).min().asscalar() == 1 for name in one)
    # typical boxes that the data decide are no part of the command, and no reason to leave the run out of a report
    assert [refusal(result, chapters.find) for result in finished_runs(tmp_path)] == ['', '']


def test_shapes_of_voc_are_the_authors():
    assert YOLOv2().shapes.shape == (5, 2) and VOC_SHAPES[0] == 1.3221


def test_the_tables_add_up():
    from chapters.ch05_detection_style.tables import IMPROVEMENTS, TABLE_5_10, TABLE_5_11
    assert TABLE_5_11[0][0] == TABLE_5_10['YOLO'][0] and TABLE_5_11[-1][0] == TABLE_5_10['YOLOv2 544x544'][0]
    assert set(TABLE_5_11[-1][1]) == set(IMPROVEMENTS) - {4} and len(TABLE_5_11) == 9


def test_precision_by_hand(tmp_path):
    """Right, wrong, right: precision 1 to recall 1/2, then 2/3: (6 x 1 + 5 x 2/3) / 11 by points, (1 + 2/3) / 2 by area."""
    _, result = run_experiment(chapters.find('5.7-precision'), out=tmp_path / 'run', quiet=True)
    found = {name: value['last'] for name, value in result['metrics'].items()}
    assert found['iou_with_truth'] == pytest.approx(0.33 * 0.48 / (0.35 * 0.5 + 0.35 * 0.49 - 0.33 * 0.48), abs=1e-4)
    assert found['left'] == 3
    assert found['ap_11_points'] == pytest.approx((6 + 5 * 2 / 3) / 11) and found['ap_area'] == pytest.approx(5 / 6)
    _, loose = run_experiment(chapters.find('5.7-precision').but(overlap=0.9), out=tmp_path / 'loose', quiet=True)
    assert loose['metrics']['left']['last'] == 4


def test_faster_and_mask_r_cnn_have_the_books_numbers(tmp_path):
    for section in ('5.7.3-anchors', '5.7.4-align'):
        experiment = chapters.find(section)
        _, result = run_experiment(experiment, out=tmp_path / section, quiet=True)
        for printed in experiment.book:
            assert result['metrics'][printed.metric]['last'] == printed.value
    assert result['metrics']['align_error']['last'] < 1e-4 < 0.5 < result['metrics']['pooling_error']['last']
    from chapters.ch05_detection_style.regions import anchors_of
    sizes = anchors_of(32, 48)
    sizes = sizes[:, 2:] - sizes[:, :2] + 1
    assert len(sizes) == 2 * 3 * 9 and sizes.min() < 100 < 700 < sizes.max()
    with pytest.raises(UserError, match='multiples of 16'):
        run_experiment(chapters.find('5.7.3-anchors').but(width=100), out=tmp_path / 'odd', quiet=True)
