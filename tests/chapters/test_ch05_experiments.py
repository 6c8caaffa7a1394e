"""Chapter 5: its experiments beside the networks themselves: what each must show, in forms small enough for a test."""
import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import chapters
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.perform import run_experiment


def run(section, folder, data='', **changes):
    """Run an experiment; returns its folder, and {name: value} of its figures."""
    experiment = chapters.find(section)
    done, result = run_experiment(experiment.but(**changes) if changes else experiment, data=data, out=folder / section,
                                  quiet=True)
    return done.folder, {name: value['last'] for name, value in result['metrics'].items()}


def printed(section):
    return {figure.metric: figure.value for figure in chapters.find(section).book}


# ---- 5.3: teacher and student

def test_students_are_narrower_and_deeper_and_learn_the_teachers_middle(tmp_path):
    _, metrics = run('5.3-fitnet', tmp_path, 'digits', epochs=1, train_samples=100, width=0.125, batch_size=50, augmentation='')
    assert {'teacher_accuracy', 'student_of_labels', 'student_of_the_middle'} < set(metrics)
    assert metrics['student_thousand_parameters'] < metrics['teacher_thousand_parameters'] / 3
    from chapters.ch05_deep_cnn.resnet import ResNet
    from chapters.ch05_deep_cnn.teacher import _UNITS, _WIDTH, Hinted, middle_of
    assert sum(_UNITS) > 9 and _WIDTH > 1  # the teacher has 9 units
    teacher, student = ResNet(width=0.25), ResNet(units=_UNITS, width=0.25 / _WIDTH)
    model = Hinted(student, 16)
    x = nd.random.uniform(shape=(2, 3, 28, 28))
    for network in (teacher, model):
        network.initialize()
    logits, hint = model(x)
    assert hint.shape == middle_of(teacher, x).shape == (2, 16, 14, 14)  # after two stages of three
    assert np.allclose(logits.asnumpy(), student(x).asnumpy(), atol=1e-5)


# ---- 5.4.4: the rate in force, and the variants

def test_the_rate_of_5_4_4_stays_and_that_which_was_meant_falls():
    as_printed, meant, large = (chapters.find(section) for section in ('5.4.4', '5.4.4-falling-rate', '5.4.4-large'))
    assert [as_printed.recipe.rate(update, 100) for update in (1, 3999)] == [0.06, 0.06]
    assert 'ignores it after the first call' in as_printed.remark and '5.4.4-falling-rate' in as_printed.remark
    assert meant.recipe.rate(3999, 100) == pytest.approx(0.00811655725674)  # printed for epoch 39
    assert [row.output_shape[0] for row in layer_table(large.build(), large.input_shape) if row.operator == 'Convolution'] == [
        32, 32, 64, 64, 128, 128, 256, 10]


# ---- 5.5.1 to 5.5.3

@pytest.mark.parametrize('depth, millions', [(20, 0.27), (56, 0.86), (110, 1.73), (164, 1.7)])
def test_deep_networks_have_the_papers_depth_and_size(depth, millions):
    """Table 6 of "Deep residual learning", table 4 of "Identity mappings"; ours have biases and 1x1 shortcuts."""
    from chapters.ch05_deep_cnn.deeper import DeepNet
    rows = layer_table(DeepNet(depth), (1, 3, 28, 28))
    convolutions = [row for row in rows if row.operator in ('Convolution', 'FullyConnected')]
    assert len(convolutions) - sum('shortcut' in row.name for row in convolutions) == depth or \
        len(convolutions) - depth in (2, 3)  # the shortcuts that change the shape
    assert sum(row.parameters for row in rows) / 1e6 == pytest.approx(millions, rel=0.04)
    plain = layer_table(DeepNet(depth, shortcuts=False), (1, 3, 28, 28))
    assert sum(row.operator in ('Convolution', 'FullyConnected') for row in plain) == depth
    assert not any(row.operator == 'elemwise_add' for row in plain)


def test_table_5_8_stands_beside_the_orderings(tmp_path):
    assert printed('5.5.2') == {
        'a_error_percent_110_layers': 6.61, 'a_error_percent_164_layers': 5.93, 'b_error_percent_110_layers': 8.17,
        'b_error_percent_164_layers': 6.50, 'c_error_percent_110_layers': 7.84, 'c_error_percent_164_layers': 6.14,
        'd_error_percent_110_layers': 6.71, 'd_error_percent_164_layers': 5.91, 'e_error_percent_110_layers': 6.37,
        'e_error_percent_164_layers': 5.46}
    folder, metrics = run('5.5.2', tmp_path, 'digits', epochs=1, train_samples=100, width=0.25, augmentation='')
    assert {f'{row}_error_percent_20_layers' for row in 'abcde'} < set(metrics)
    assert (folder / 'figures' / 'orderings.png').exists()


def test_plain_networks_are_set_against_residual_ones(tmp_path):
    folder, metrics = run('5.5.1', tmp_path, 'digits', epochs=1, train_samples=60, width=0.125, batch_size=20, augmentation='')
    assert {f'{name}-{depth}_{part}_accuracy' for name in ('plain', 'residual') for depth in (20, 56)
            for part in ('train', 'validation')} < set(metrics)
    assert (folder / 'figures' / 'errors.png').exists()


def test_paths_and_deleted_units(tmp_path):
    folder, metrics = run('5.5.3', tmp_path, 'digits', epochs=1, train_samples=100, width=0.125, augmentation='')
    assert metrics['paths_of_3_units'] == printed('5.5.3')['paths_of_3_units'] == 8
    assert metrics['difference_from_sum_of_paths'] < 1e-12 and metrics['paths'] == 512
    assert 0 <= metrics['gradient_from_of_9_units'] <= metrics['gradient_to_of_9_units'] <= 9
    assert (folder / 'figures' / 'paths.png').exists()


def test_ways_through_a_network():
    from chapters.ch05_deep_cnn.deeper import DeepNet, through
    network = DeepNet(20, 'e', width=0.25)
    network.initialize(mx.init.Xavier())
    x = nd.random.uniform(shape=(2, 3, 12, 12))
    whole = network(x).asnumpy()
    assert np.allclose(through(network, x, ['both'] * 9).asnumpy(), whole, atol=1e-5)
    assert np.allclose(through(network, x, ['back by body'] * 9).asnumpy(), whole, atol=1e-5)  # only gradients differ
    without = through(network, x, ['both'] * 4 + ['shortcut'] + ['both'] * 4).asnumpy()
    assert np.abs(without - whole).max() > 1e-4
    for parameter in network.features[2 + 4].body[-1].collect_params().values():  # that unit's last convolution
        parameter.set_data(nd.zeros_like(parameter.data()))
    assert np.allclose(network(x).asnumpy(), without, atol=1e-5)


# ---- 5.1: tables

def test_tables_5_1_and_5_4_stand_beside_our_networks(tmp_path):
    from chapters.ch05_deep_cnn.tables import TABLE_5_1, TABLE_5_4
    assert [row[0] for row in TABLE_5_1.values()] == [28.19, 25.77, 15.32, 11.20, 7.40, 3.57, 2.99, 2.25]
    assert [row[:6] for row in TABLE_5_4.values()] == [
        (57.0, 80.3, 2.27, 1.5, 0.3, 285), (61.1, 83.0, 0.81, 1.5, 0.16, 28), (70.5, 90.0, 30.94, 10.7, 4.9, 528),
        (72.5, 91.2, 5.58, 6.0, 0.66, 80), (72.9, 92.9, 10, 7.0, None, 87), (76.4, 93.7, 10.9, None, None, 66)]
    assert printed('5.1')['VGG_16_gflops'] == 30.94 and printed('5.1')['DarkNet_19_milliseconds'] == 660
    folder, metrics = run('5.1', tmp_path, networks='DarkNet Reference', repeats=1)
    assert metrics['DarkNet_Reference_gflops'] == pytest.approx(0.81, abs=0.005)
    assert metrics['DarkNet_Reference_megabytes'] == pytest.approx(29, abs=1) and metrics['DarkNet_Reference_milliseconds'] > 0
    assert (folder / 'figures' / 'tables.png').exists()


# ---- 5.2: looking inside

@pytest.fixture(scope='module')
def fields():
    """Two planes of a 3x3 convolution with ReLU: one answers to what is bright, one to vertical edges."""
    from mxnet.gluon import nn
    network = nn.HybridSequential()
    network.add(nn.Conv2D(2, 3, padding=1, in_channels=1, use_bias=False, activation='relu'), nn.Conv2D(1, 1, in_channels=2))
    network.initialize()
    kernel = np.zeros((2, 1, 3, 3), np.float32)
    kernel[0], kernel[1, 0] = 1 / 9, [[-1, 0, 1]] * 3
    network[0].weight.set_data(nd.array(kernel))
    network[1].weight.set_data(nd.array([[[[2.0]], [[-3.0]]]]))
    return network


def test_going_back_shows_what_a_unit_answered_to(fields):
    from chapters.kit.inside.looking import going_back
    image = np.zeros((1, 12, 12), np.float32)
    image[0, :, 7:] = 1  # an edge
    back = going_back(fields, image, '0', 1)[0]
    rows, columns = np.nonzero(back)
    assert set(columns) <= {5, 6, 7, 8} and np.ptp(rows) == 2  # one window, at the edge
    assert not np.allclose(going_back(fields, image, '0', 0)[0], back)
    before = fields(nd.array(image[None])).asnumpy()
    assert 'forward' not in vars(fields[0].act) and np.allclose(fields(nd.array(image[None])).asnumpy(), before)


def test_a_picture_is_made_that_excites_a_unit(fields):
    from chapters.kit.inside.looking import exciting_picture
    picture, noise, made = exciting_picture(fields, '0', 0, (1, 16, 16), steps=40)
    assert made > 1.3 * noise > 0 and picture.mean() > 0.65 and 0 <= picture.min() and picture.max() <= 1
    _, noise, made = exciting_picture(fields, '0', 1, (1, 16, 16), steps=40)
    assert made > 1.5 * noise


def test_connections_are_sums_of_weights(fields):
    from chapters.kit.inside.looking import connections
    assert connections(fields, '1', 0).tolist() == [2, -3]


def test_what_the_zoo_has_learnt_fits_pixels_from_0_to_1(monkeypatch, tmp_path):
    """The zoo's network on normalised pixels, and ours on plain ones."""
    from mxnet.gluon.model_zoo import vision

    from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
    from data_tools.errors import UserError
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path))
    monkeypatch.setenv('HOME', str(tmp_path))
    theirs = vision.squeezenet1_1()
    theirs.initialize(mx.init.Xavier())
    x = nd.random.uniform(shape=(1, 3, 224, 224))
    normalised = (x - nd.array([0.485, 0.456, 0.406]).reshape((1, 3, 1, 1))) / nd.array([0.229, 0.224, 0.225]).reshape(
        (1, 3, 1, 1))
    expected = theirs(normalised).asnumpy()
    monkeypatch.setattr(vision, 'squeezenet1_1', lambda pretrained: theirs)
    ours = SqueezeNet('1.1')
    ours.initialize()
    ours(x)
    ours.load_zoo()
    assert np.abs(ours(x).asnumpy() - expected).max() < 1e-4 * max(1, np.abs(expected).max())
    few = SqueezeNet('1.1', classes=10)
    few.initialize()
    few(x)
    with pytest.raises(UserError, match='--set fresh=output'):
        few.load_zoo()
    few.load_zoo(['output'])
    monkeypatch.setattr(vision, 'squeezenet1_1', lambda pretrained: (_ for _ in ()).throw(OSError('no network')))
    with pytest.raises(UserError, match='no network.*put squeezenet1_1_fp16.npz into [^ ]*$'):
        SqueezeNet('1.1').load_zoo()
    monkeypatch.setattr(vision, 'squeezenet1_0', vision.squeezenet1_1)
    with pytest.raises(UserError, match='put squeezenet1_1_fp16.npz into .* and add --set version=1.1$'):
        SqueezeNet('1.0').load_zoo()  # the file is of the other version


def test_init_zoo_is_for_networks_that_have_one(capsys, tmp_path):
    from chapters.__main__ import main
    assert main(['run', '4.4', '--data', 'digits', '--init', 'zoo', '--out', str(tmp_path / 'run')]) == 2
    assert 'no published parameters' in capsys.readouterr().err


def test_the_cat_is_a_cat_and_the_coffee_an_espresso():
    from chapters.ch05_deep_cnn import photographs, pretrained
    from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
    if not pretrained._found(pretrained._FILE):
        pytest.skip('weights/squeezenet1_1_fp16.npz is not at hand')
    network = SqueezeNet('1.1')
    network.initialize()
    network(nd.zeros((1, 3, 224, 224)))
    network.load_zoo()
    pictures, names = photographs.photographs(), pretrained.class_names()
    for name, words in (('chelsea', ('Egyptian cat', 'tabby', 'tiger cat')), ('coffee', ('espresso',))):
        answer = network(nd.array(photographs.sample(pictures[name])[None]))[0].asnumpy().argmax()
        assert names[answer] in words
    from chapters.kit.inside.looking import activations
    planes = activations(network, photographs.sample(pictures['chelsea'])[None], photographs._DEEP)
    assert (planes == 0).mean() > 0.8  # sparse, as the book says


def test_units_are_followed_through_the_training(tmp_path):
    folder, metrics = run('5.2-training', tmp_path, 'digits', epochs=2, train_samples=320)
    assert 0 <= metrics['same_images_at_first'] <= 1
    assert (folder / 'figures' / 'units-in-training.png').stat().st_size > 5000


# ---- 5.3: 20 images a class

def test_20_images_of_each_class():
    from dataclasses import replace
    experiment = chapters.find('5.3-zoo')
    data = replace(experiment, sample_shape=(3, 32, 32)).load('digits')
    assert data.train_x.shape[1:] == (3, 32, 32) and data.train_x.max() <= 1
    assert np.bincount(data.train_y.astype(int)).tolist() == [20] * 10
    assert np.bincount(data.validation_y.astype(int)).max() <= 50


def test_fine_tuning_beats_a_start_from_nothing(tmp_path):
    from chapters.ch05_deep_cnn import pretrained
    if not pretrained._found(pretrained._FILE):
        pytest.skip('weights/squeezenet1_1_fp16.npz is not at hand')
    from dataclasses import replace
    experiment = replace(chapters.find('5.3-zoo'), sample_shape=(3, 48, 48)).but(epochs=2)
    done, result = run_experiment(experiment, data='digits', out=tmp_path / 'run', quiet=True)
    metrics = {name: value['last'] for name, value in result['metrics'].items()}
    assert metrics['linear_model_accuracy'] > 0.6 > 0.2 > metrics['from_nothing_accuracy']
    assert (done.folder / 'figures' / 'zoo.png').exists()


# ---- 5.4

def test_small_kernels(tmp_path):
    _, metrics = run('5.4.1', tmp_path)
    assert (metrics['field_of_two_3x3'], metrics['weights_of_two_3x3'], metrics['weights_of_one_5x5']) == (5, 18, 25)
    assert metrics['saved_by_two_3x3'] == pytest.approx(0.28) and metrics['field_of_1x3_and_3x1'] == 3
    _, metrics = run('5.4.2', tmp_path)
    assert (metrics['weights_direct'], metrics['weights_through_bottleneck'], metrics['share_percent']) == (589824, 69632, 11.8)
    assert metrics['difference_1x1_perceptron'] < 1e-5


def test_batch_normalisation_helps_sigmoids(tmp_path):
    folder, metrics = run('5.4.3', tmp_path, 'digits', epochs=3)
    assert metrics['with_validation_accuracy'] > 0.8 > 0.5 > metrics['without_validation_accuracy']
    assert metrics['toy_ones_before'] == metrics['toy_uneven_before'] == 1
    assert metrics['toy_ones_after'] == pytest.approx(0.997, abs=1e-3)  # (1 - 0.01 * 0.1)^3
    assert abs(metrics['toy_uneven_after'] - 1) > 100  # the small weight's gradient is 10,000 times as large
    assert (folder / 'figures' / 'batch-normalisation.png').exists()


# ---- 5.6

def test_weights_of_one_bit():
    from mxnet import autograd

    from chapters.ch05_deep_cnn.compression import OneBitConvolution
    layer = OneBitConvolution(2, 3)
    layer.initialize(mx.init.Normal(1))
    x = nd.random.normal(shape=(1, 3, 5, 5))
    weight = layer.weight.data()
    bits = weight.sign() * weight.abs().mean(axis=(1, 2, 3), keepdims=True)
    assert len(np.unique(bits[0].asnumpy())) == 2
    expected = nd.Convolution(x, bits, kernel=(3, 3), pad=(1, 1), num_filter=2, no_bias=True)
    with autograd.record():
        out = layer(x)
    out.backward()
    assert np.allclose(out.asnumpy(), expected.asnumpy(), atol=1e-5) and layer.weight.grad().abs().sum() > 0


def test_one_bit_beside_32(tmp_path):
    _, metrics = run('5.6.2-one-bit', tmp_path, 'digits', epochs=1, train_samples=200, filters=(4, 8, 8))
    assert {'32-bits_validation_accuracy', '1-bit_validation_accuracy'} < set(metrics)
    assert metrics['kilobytes_32_bits'] > 8 * metrics['kilobytes_1_bit']


SMALL_FASHION = dict(epochs=2, train_samples=300, num_filters=(4, 8, 8), last_filters=16, batch_size=20)


def test_pruned_weights_stay_0(tmp_path):
    folder, metrics = run('5.6.2-pruning', tmp_path, 'digits', **SMALL_FASHION)
    for share in (50, 70, 90, 95):
        assert metrics[f'zeros_without_{share}_percent'] == pytest.approx(share / 100, abs=0.01)  # after training on, too
        assert f'accuracy_without_{share}_percent_trained_on' in metrics
    assert (folder / 'figures' / 'pruning.png').exists()


def test_each_group_keeps_the_inputs_it_uses_most(tmp_path):
    from chapters.ch05_deep_cnn.compression import condensed
    weight = np.ones((4, 4, 3, 3))
    weight[:2, 3], weight[2:, 0] = 9, -9
    mask = condensed(weight, 2, 1)
    assert mask[:2, 3].all() and mask[2:, 0].all() and mask.sum() == 4 * 9
    _, metrics = run('5.6.2-condensenet', tmp_path, 'digits', **SMALL_FASHION)
    assert metrics['share_of_weights_kept'] == pytest.approx(0.25)
    assert {f'accuracy_{name}_groups_{when}' for name in ('learnt', 'fixed')
            for when in ('at_once', 'trained_on')} < set(metrics)


def test_sampling_points_are_those_of_an_ordinary_convolution_until_they_move(tmp_path):
    from chapters.ch05_deep_cnn.deformed_kernels import DeformableConvolution, DeformableNet, sampling_points
    network = DeformableNet(filters=(4, 4), deformable_filters=(4, 4, 4))
    network.initialize()
    image = np.random.default_rng(0).random((3, 28, 28)).astype(np.float32)
    network(nd.array(image[None]))
    points = sampling_points(network, image, 3, 3)
    assert len(points) == 729 and len(np.unique(points, axis=0)) == 49  # three 3x3 see 7x7
    assert np.allclose(points.mean(axis=0), 13.5) and np.ptp(points, axis=0).tolist() == [24, 24]
    last = [layer for layer in network.features if isinstance(layer, DeformableConvolution)][-1]
    last.offset_bias.set_data(nd.array([0, 1] * 9))  # one point of the planes to the right
    assert np.allclose(sampling_points(network, image, 3, 3).mean(axis=0), (13.5, 17.5))
    folder, metrics = run('5.6.3-points', tmp_path, 'digits', epochs=1, train_samples=100, filters=(4, 4),
                          deformable_filters=(4, 4, 4), augmentation='')
    assert metrics['sampling_points'] == 729 and (folder / 'figures' / 'points.png').exists()
