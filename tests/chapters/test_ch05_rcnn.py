"""Chapters 5.7.3 and 5.7.4: Faster R-CNN and Mask R-CNN: both stages, masks, their data and their measure."""
import json

import cv2
import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, nd
from PIL import Image

import chapters
from chapters.ch05_detection_style import annotated, drawing, mask_rcnn, scenes
from chapters.ch05_detection_style.faster_rcnn import FasterRCNN, RegionLoss
from chapters.ch05_detection_style.mask_rcnn import SIDE, MaskLoss, MaskRCNN, mask_precision, rows_of
from chapters.ch05_detection_style.regions import MaskBranch
from chapters.ch05_detection_style.yolo import Detector
from chapters.kit.perform import resume, run_experiment
from data_tools.errors import UserError

TINY = {'base': 'small', 'step': 8, 'filters': 16, 'hidden': 16, 'anchors': (16.0, 32.0), 'ratios': (1.0,), 'proposals': 16,
        'classes': 2}
OBJECTS = np.array([[1, 0.25, 0.25, 0.5, 0.5], [0, 0.6, 0.5, 0.95, 0.9]], np.float32)


def network_of(kind=FasterRCNN, **sizes):
    mx.random.seed(0)
    network = kind(**{**TINY, **sizes})
    network.initialize(mx.init.Xavier(), ctx=mx.cpu())
    network(nd.zeros((1, 3, 64, 64)))
    return network


def test_the_books_candidates_are_the_anchors_of_the_default_sizes():
    network = FasterRCNN()
    network.anchors.initialize()
    anchors = RegionLoss(network, 1)._all_anchors((640, 960))
    assert len(anchors) == 21600
    sides = np.unique(np.round(np.sqrt((anchors[:, 2:] - anchors[:, :2] + 1).prod(axis=1)) / 128))
    assert sides.tolist() == [1, 2, 4]


def test_anchors_learn_the_object_that_they_overlap():
    loss = RegionLoss(network_of(), 1)
    anchors = loss._all_anchors((64, 64))
    number = int(np.abs(anchors - anchors[(anchors[:, 2] - anchors[:, 0] < 20)].mean(axis=0)).sum(axis=1).argmin())
    objects = np.concatenate([[1], anchors[number] / 64])[None].astype(np.float32)
    targets = loss.targets(objects, (64, 64))
    assert targets.shape == (8 * 8 * 2, 6)
    assert targets[number] == pytest.approx([1, 0, 0, 0, 0, 1], abs=1e-5)
    assert (targets[:, 0] == 0).sum() > 20 and not targets[targets[:, 0] < 1, 5].any()
    moved = objects + np.array([0, 2, 0, 2, 0], np.float32) / 64  # 2 pixels to the right of 15
    assert loss.targets(moved, (64, 64))[number, 1] == pytest.approx(2 / (anchors[number, 2] - anchors[number, 0]), abs=1e-4)
    assert (loss.targets(objects[:0], (64, 64))[:, 0] == -1).all()


def losses(network, loss, x, objects):
    targets = nd.array(np.stack([loss.targets(some[some[:, 0] >= 0], (64, 64)) for some in objects]))
    return loss(x, targets, nd.array(objects))


def test_the_second_stage_learns_classes_and_changes_of_what_the_first_proposes():
    network = network_of()
    loss = RegionLoss(network, 2)
    objects = np.stack([OBJECTS, np.full_like(OBJECTS, -1)])
    x = nd.random.uniform(shape=(2, 3, 64, 64))
    planes, _, _, best = network.first(nd, x)
    boxes, classes, matches, moves, moved = (
        array.asnumpy() for array in loss.sampled(nd, planes, best, nd.array(objects)))
    assert boxes.shape == (2, 16, 4) and (classes[1] <= 0).all() and not moved[1].any()
    for box, label, match, move, counts in zip(boxes[0], classes[0], matches[0], moves[0], moved[0]):
        true = OBJECTS[int(match), 1:] * 64
        width = np.minimum(box[2:], true[2:]) - np.maximum(box[:2], true[:2])
        both = width.clip(0).prod()
        overlap = both / ((box[2:] - box[:2]).prod() + (true[2:] - true[:2]).prod() - both)
        assert label in (-1, (OBJECTS[int(match), 0] + 1) * (overlap >= 0.5))
        assert counts.all() == (label > 0)
        if label > 0:
            assert move[0] == pytest.approx(10 * ((true[0] + true[2]) - (box[0] + box[2])) / 2 / (box[2] - box[0]), abs=1e-3)
    assert set(classes[0]) >= {1, 2}  # the true boxes are among them
    parts = losses(network, loss, x, objects)
    assert len(parts) == len(loss.names) and all(part.shape == (2,) for part in parts)
    assert parts[3][1].asscalar() == 0 < parts[3][0].asscalar()


def test_all_parameters_learn():
    network = network_of(MaskRCNN, mask_filters=8)
    loss = MaskLoss(network, 1)
    masks = np.ones((2, 64, 64), bool)
    with autograd.record():
        parts = losses(network, loss, nd.random.uniform(shape=(1, 3, 64, 64)), rows_of(OBJECTS, masks)[None])
        total = nd.add_n(*parts)
    total.backward()
    assert len(parts) == 5 == len(loss.names)
    for name, parameter in network.collect_params().items():
        if parameter.grad_req != 'null' and not name.endswith('conv0_bias'):  # before BN a bias says nothing
            assert np.abs(parameter.grad().asnumpy()).max() > 0, name


def test_the_mask_branch_doubles_by_a_transposed_convolution():
    branch, x = MaskBranch(2, 3), nd.random.uniform(shape=(2, 4, 14, 14))
    branch.initialize(mx.init.Xavier())
    assert branch(x).shape == (2, 2, 28, 28)
    weight = branch.doubled.weight.data()  # (4 * 3, 3, 1, 1): of each place of a square three filters
    transposed = nd.Deconvolution(branch.branch(x), weight.reshape((2, 2, 3, 3)).transpose((3, 2, 0, 1)), kernel=(2, 2),
                                  stride=(2, 2), num_filter=3, no_bias=True)
    assert np.allclose(branch(x).asnumpy(), branch.output(nd.relu(transposed)).asnumpy(), atol=1e-5)


def test_no_proposals_are_no_end():
    """Where the first stage finds nothing, RoIAlign gets boxes without area; and nothing is found."""
    network = network_of()
    network.changes.bias.set_data(nd.array([-30.0] * 8))  # all boxes without width or height
    found = network(nd.zeros((1, 3, 64, 64)))
    assert found[..., 4:].max().asscalar() == 0
    assert (Detector(network)(nd.zeros((1, 3, 64, 64))).asnumpy() == -1).all()


@pytest.mark.parametrize('align', [True, False])
def test_boxes_are_cut_out_where_they_are(align):
    network = network_of(align=align)
    planes = np.zeros((2, 1, 8, 8), np.float32)
    planes[1, 0, 2:4, 4:6] = 1
    boxes = nd.array([[[0, 0, 64, 64]], [[32, 16, 48, 32]]])
    cut = network.cut_out(nd, nd.array(planes), boxes, 2).asnumpy()
    assert cut[0].max() == 0 and cut[1, 0].mean() > 0.7


def test_masks_are_cut_out_of_the_objects_own_by_hand():
    """The left half of a mask is the object; a proposal over the right half of its box sees nothing of it."""
    network = network_of(MaskRCNN, mask_filters=8)
    loss = MaskLoss(network, 1)
    masks = np.zeros((2, 64, 64), bool)
    masks[0, 16:32, 16:24] = True
    masks[1, 32:64, 32:64] = True
    objects = nd.array(rows_of(OBJECTS, masks)[None])
    boxes = nd.array([[[16, 16, 32, 32], [16, 16, 24, 32], [24, 16, 32, 32], [0, 16, 32, 32], [38.4, 32, 60.8, 57.6]]])
    planes = nd.zeros((1, 16, 8, 8))
    wanted = loss.wanted(nd, planes, boxes, nd.zeros((1, 5)), nd.array([[0, 0, 0, 0, 1]]), objects).asnumpy()
    assert [round(float(one.mean()), 1) for one in wanted] == [0.5, 1.0, 0.0, 0.2, 1.0]
    assert wanted[0, :, :13].all() and not wanted[0, :, 15:].any()
    assert not wanted[3, :, :13].any() and wanted[3, :, 15:20].all()  # outside its box there is nothing of it


def test_a_mask_in_its_box_is_the_mask_again():
    _, objects, masks = scenes.scenes(3, 1)
    for things, true in zip(objects, masks):
        rows = np.concatenate([things[:, :1], np.ones((len(things), 1)), rows_of(things, true)[:, np.r_[1:5, 9:793]]], axis=1)
        overlaps = mask_rcnn.mask_overlaps(rows, true)
        assert overlaps.diagonal().min() > 0.8
    beyond = np.concatenate([[0, 1, -0.5, -0.5, 0.5, 0.5], np.ones(SIDE * SIDE)])
    corner, inside = drawing.pasted(beyond, (20, 30))
    assert tuple(corner) == (0, 0) and inside.shape == (10, 15) and inside.all()
    assert drawing.pasted(np.concatenate([[0, 1, 1.2, 1.2, 1.3, 1.3], np.ones(SIDE * SIDE)]), (20, 30))[1].size == 0


def test_mask_precision_by_hand():
    masks = np.zeros((2, 20, 20), bool)
    masks[0, 2:8, 2:8] = True
    masks[1, 10:18, 10:18] = True
    truth = np.array([[[0, 0.1, 0.1, 0.4, 0.4], [0, 0.5, 0.5, 0.9, 0.9]]], np.float32)

    def found(*rows):
        """Score and box; the mask is the whole box."""
        return np.array([[[0, score, *box, *[1.0] * SIDE * SIDE] for score, box in rows]], np.float32)
    right, other, nowhere = (0.1, 0.1, 0.4, 0.4), (0.5, 0.5, 0.9, 0.9), (0.5, 0.1, 0.9, 0.4)
    assert mask_precision(found((0.9, right), (0.8, other)), truth, [masks]) == 1
    assert mask_precision(found((0.9, right)), truth, [masks]) == 0.5
    assert mask_precision(found((0.9, right), (0.8, nowhere), (0.7, other)), truth, [masks]) == pytest.approx((1 + 2 / 3) / 2)
    assert mask_precision(found((0.9, right), (0.8, right)), truth, [masks]) == 0.5  # the second time it is another's
    assert mask_precision(found((0.9, right), (0.7, other)), truth, [masks & (np.arange(20) % 2 > 0)], 0.6) == 0
    labelled = truth.copy()
    labelled[0, 1, 0] = 1  # of another class
    assert mask_precision(found((0.9, right), (0.8, other)), labelled, [masks]) == 0.5


def test_misses_by_hand():
    truth = np.array([[[0, 0.1, 0.1, 0.4, 0.4], [1, 0.5, 0.5, 0.9, 0.9], [-1] * 5]], np.float32)
    found = np.array([[[0, 0.9, 0.1, 0.1, 0.4, 0.4], [0, 0.8, 0.1, 0.1, 0.4, 0.42], [0, 0.7, 0.5, 0.5, 0.9, 0.9],
                       [0, 0.2, 0, 0, 1, 1], [-1] * 6]], np.float32)
    wrong, missed = drawing.misses(found, truth)
    assert [round(score, 1) for _, _, score in wrong] == [0.8, 0.7]  # a double, another class; 20% are not said at all
    assert [int(thing[0]) for _, thing, _ in missed] == [1]
    assert drawing.misses(found[:, :1], truth[:, :1]) == ([], [])


def test_views_move_masks_with_the_picture():
    picture, mask = np.zeros((1, 3, 64, 64), np.uint8), np.zeros((1, 64, 64), np.uint8)
    cv2.ellipse(mask[0], (30, 34), (20, 9), 30, 0, 270, 1, -1)  # an ellipse without a quarter
    picture[:, :, mask[0] > 0] = 255
    rows, columns = (np.flatnonzero(mask[0].any(axis=axis)) for axis in (1, 0))
    box = np.array([[0, columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]], np.float32) / (1, 64, 64, 64, 64)
    truth = rows_of(box.astype(np.float32), mask > 0)[None]
    data = annotated.TrainingData('one', picture, truth, picture, truth, ('a',), scale=1 / 255)
    views = annotated.Views(data, 'mirror smallest=1.0 largest=1.6', [(64, 96)], lambda objects, size: np.zeros(1))
    random = np.random.default_rng(0)
    for _ in range(20):
        pixels, _, objects = views(np.array([0]), random)
        thing = objects[0, 0]
        row = np.concatenate([[0, 1], thing[5:9], thing[9:]])  # within its box before that was cut off
        white = pixels[0, 0] > 0.72
        (top, left), inside = drawing.pasted(row, (64, 96))
        pasted = np.zeros((64, 96), bool)
        pasted[top:top + inside.shape[0], left:left + inside.shape[1]] = inside
        assert (pasted & white).sum() / (pasted | white).sum() > 0.85
        assert (thing[1:5] >= 0).all() and (thing[1:5] <= 1).all() and thing[1] == max(0, thing[5])


def discs(folder, number=18):
    """Pictures of a bright disc or two, and their labels."""
    random = np.random.default_rng(0)
    for below in ('images', 'labels'):
        (folder / below).mkdir(parents=True)
    for name in range(number):
        pixels, numbers = random.integers(0, 60, (64, 64, 3)).astype(np.uint8), np.zeros((64, 64), np.uint16)
        for label, across in enumerate((16, 48), 1):
            centre, radius = (across + int(random.integers(-4, 5)), int(random.integers(14, 50))), int(random.integers(7, 14))
            cv2.circle(numbers, centre, radius, label, -1)
        pixels[numbers > 0] = 220
        Image.fromarray(pixels).save(folder / 'images' / f'{name:02}.png')
        cv2.imwrite(str(folder / 'labels' / f'{name:02}.png'), numbers)
    return folder


def test_a_folder_with_labels(tmp_path):
    folder = discs(tmp_path / 'discs')
    experiment = chapters.find('5.7.4').but(pixels=64)
    data = experiment.load(str(folder))
    assert (len(data.train_x), len(data.validation_x)) == (14, 4) and data.train_y.shape == (14, 2, 9 + SIDE * SIDE)
    numbers = cv2.imread(str(folder / 'labels' / '14.png'), cv2.IMREAD_UNCHANGED)
    assert (data.validation_masks[0] == (numbers == np.array([1, 2])[:, None, None])).all()
    for spoil, said in ((lambda path: path.unlink(), 'give a gray PNG of 64x64'),
                        (lambda path: cv2.imwrite(str(path), np.ones((32, 64), np.uint16)), 'the size of 03.png'),
                        (lambda path: cv2.imwrite(str(path), np.zeros((64, 64), np.uint16)), 'no object there')):
        spoil(folder / 'labels' / '03.png')
        with pytest.raises(UserError, match=said):
            experiment.load(str(folder))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='at least five'):
        experiment.load(str(tmp_path / 'empty'))


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of some seconds: bright discs."""
    folder = discs(tmp_path_factory.mktemp('data') / 'discs')
    experiment = chapters.find('5.7.4').but(pixels=64, epochs=6, samples_per_epoch=28, batch_size=4, filters=32, hidden=32,
                                            proposals=24, augmentation='mirror', learning_rate=0.02)
    run, result = run_experiment(experiment, data=str(folder), out=tmp_path_factory.mktemp('runs') / 'run', quiet=True)
    return folder, run, result


def test_mask_r_cnn_learns_and_is_measured_again(trained, capsys):
    from chapters.__main__ import main
    _, run, result = trained
    best = {name: value['last'] for name, value in result['metrics'].items()}
    assert best['validation_mAP'] > 0.5 and best['validation_mask_AP'] > 0.5 and best['proposal_recall'] > 0.8
    assert {'detections.png', 'truth.png', 'proposals.png', 'curves.png'} <= {
        path.name for path in (run.folder / 'figures').iterdir()}
    assert main(['evaluate', str(run.folder)]) == 0
    assert f'{best["validation_mask_AP"]:.4f}'[:5] in capsys.readouterr().out
    assert (run.folder / 'figures' / 'misses.png').exists()
    assert main(['evaluate', str(run.folder), '--pixels', '520']) == 2
    assert 'at most 512' in capsys.readouterr().err


def test_detect_writes_outlines(trained, tmp_path, capsys):
    from chapters.__main__ import main
    folder, run, _ = trained
    assert main(['detect', str(run.folder), str(folder / 'images' / '15.png'), '--out', str(tmp_path / 'out')]) == 0
    told, = json.loads((tmp_path / 'out' / 'detections.json').read_text())
    numbers = cv2.imread(str(folder / 'labels' / '15.png'), cv2.IMREAD_UNCHANGED)
    drawn = np.zeros((64, 64), np.uint8)
    for thing in told['objects']:
        cv2.fillPoly(drawn, [np.array(polygon) for polygon in thing['outline']], 1)
    assert ((drawn > 0) & (numbers > 0)).sum() / ((drawn > 0) | (numbers > 0)).sum() > 0.5
    assert main(['run', '5.7.4', '--dtype', 'bfloat16', '--out', str(tmp_path / 'low')]) == 2
    assert 'error: ' in capsys.readouterr().err


def test_faster_r_cnn_resumes_bit_for_bit(tmp_path, interrupted):
    experiment = chapters.find('5.7.3').but(pixels=64, epochs=2, train_samples=16, filters=16, hidden=16, proposals=16)
    run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    interrupted(experiment, tmp_path / 'stopped')
    resume(tmp_path / 'stopped', chapters.find)
    one, other = (mx.nd.load(str(tmp_path / name / 'model-0002.params')) for name in ('whole', 'stopped'))
    assert all((one[name] == other[name]).min().asscalar() == 1 for name in one)


def test_sizes_that_cannot_be(tmp_path):
    with pytest.raises(UserError, match='step'):
        FasterRCNN(step=4)
    with pytest.raises(UserError, match='multiples of 8'):
        run_experiment(chapters.find('5.7.3').but(pixels=60, train_samples=8), out=tmp_path / 'odd', quiet=True)
    with pytest.raises(UserError, match='at most 512'):
        run_experiment(chapters.find('5.7.4').but(pixels=520), data=str(discs(tmp_path / 'discs', 5)), out=tmp_path / 'large',
                       quiet=True)
    with pytest.raises(UserError, match='squeezenet'):
        network_of().load_zoo()
