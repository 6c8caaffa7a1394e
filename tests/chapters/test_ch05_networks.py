"""Chapter 5: the networks against the book's tables, published counts, and the zoos of Gluon and GluonCV."""

import mxnet as mx
import numpy as np
import pytest
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

import chapters
from chapters.__main__ import main
from chapters.kit.experiment import Training
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.proof.symbolic import paired_names

SECTIONS = [experiment.section for experiment in chapters.experiments()
            if experiment.section.startswith('5.') and isinstance(experiment, Training)]


def rows_of(section, form='gluon'):
    """The layer table of an experiment, or of its listing."""
    experiment = chapters.find(section)
    network = (experiment.build() if form == 'gluon' else
               experiment.symbolic_form().symbol(**experiment.sizes))
    return layer_table(network, experiment.input_shape)


def weighted(rows):
    """Name, parameters and MFLOPs of the rows that the book's tables have, without the input."""
    return [(row.name, row.parameters, round(row.flops / 1e6)) for row in rows
            if row.weighted and row.operator != 'input']


# ---- the tables of 5.1

# name, parameters, MFLOPs as printed
TABLE_5_2 = [('conv1', 34944, 203), ('conv2', 614656, 831), ('conv3', 885120, 255), ('conv4', 1327488, 382),
             ('conv5', 884992, 255), ('fc1', 26218496, 52), ('fc2', 16781312, 34), ('fc3', 4097000, 8)]
TABLE_5_3 = [('conv1_1', 1792, 173), ('conv1_2', 36928, 3699), ('conv2_1', 73856, 1850),
             ('conv2_2', 147584, 3699), ('conv3_1', 295168, 1850), ('conv3_2', 590080, 3699),
             ('conv3_3', 590080, 3699), ('conv4_1', 1180160, 1850), ('conv4_2', 2359808, 3699),
             ('conv4_3', 2359808, 3699), ('conv5_1', 2359808, 925), ('conv5_2', 2359808, 925),
             ('conv5_3', 2359808, 925), ('fc1', 102764544, 206), ('fc2', 16781312, 34), ('fc3', 4097000, 8)]
TABLE_5_5 = [448, 4640, 18496, 73856, 295168, 1180160, 4719616, 1025000]


@pytest.mark.parametrize('form', ['gluon', 'symbolic'])
@pytest.mark.parametrize('section, table', [('5.1.1', TABLE_5_2), ('5.1.2', TABLE_5_3)])
def test_each_row_of_tables_5_2_and_5_3(section, table, form):
    assert weighted(rows_of(section, form)) == table


@pytest.mark.parametrize('section', ['5.1.1', '5.1.2', '5.1.3', '5.1.3-darknet19'])
def test_the_printed_totals(section):
    rows = rows_of(section)
    printed = {figure.metric: figure.value for figure in chapters.find(section).book}
    counted = [row for row in rows if row.weighted]
    decimals = {name: len(str(value).partition('.')[2].rstrip('0')) for name, value in printed.items()}
    assert round(sum(row.parameters for row in rows) / 1e6, decimals['million_parameters']) \
        == printed['million_parameters']
    assert round(sum(row.flops for row in counted) / 1e9, decimals['gflops']) == printed['gflops']
    if 'activations_mb' in printed:
        # 54.829 MB of VGG-16 are printed as 54.82: the one figure of the four tables that is cut, not rounded
        megabytes = sum(row.activation_bytes for row in counted) / 1e6
        ours = int(100 * megabytes) / 100 if section == '5.1.2' else round(megabytes, 2)
        assert ours == printed['activations_mb']


@pytest.mark.parametrize('form', ['gluon', 'symbolic'])
def test_table_5_5(form):
    rows = [row for row in rows_of('5.1.3', form) if row.weighted]
    assert [row.parameters for row in rows[1:]] == TABLE_5_5
    assert [row.output_shape[1] for row in rows[1:]] == [224, 112, 56, 28, 14, 7, 4, 4]


def test_table_5_6():
    rows = [row for row in rows_of('5.1.3-darknet19') if row.weighted][1:]
    assert [row.output_shape[0] for row in rows] == [
        32, 64, 128, 64, 128, 256, 128, 256, 512, 256, 512, 256, 512, 1024, 512, 1024, 512, 1024, 1000]
    assert [row.output_shape[1] for row in rows] == [224, 112] + [56] * 3 + [28] * 3 + [14] * 5 + [7] * 6


# ---- numbers of parameters: printed in the book, or published with the network

@pytest.mark.parametrize('section, parameters', [
    ('5.4.4', 214890), ('5.4.5', 1372254), ('5.5.7', 1256400),  # printed
    ('5.5.5-googlenet', 6998552),    # of the authors' Caffe model
    ('5.5.6-xception', 22855952),    # the trained ones of the author's Keras model
    ('5.6.1-dual-path-net', 37668392),  # of the model in PyTorch's timm
])
def test_numbers_of_parameters(section, parameters):
    assert sum(row.parameters for row in rows_of(section)) == parameters


@pytest.mark.parametrize('name, millions', [('A', 133), ('A-LRN', 133), ('B', 133), ('C', 134), ('E', 144)])
def test_parameters_of_the_other_vggs(name, millions):
    """Table 2 of the paper."""
    assert round(sum(row.parameters for row in rows_of(f'5.1.2-{name}')) / 1e6) == millions
    assert ('LRN' in [row.operator for row in rows_of(f'5.1.2-{name}')]) == (name == 'A-LRN')


def test_5_4_2_and_5_5_6_bottleneck_and_separable_convolution():
    from chapters.ch05_deep_cnn.layers import chain, padded_convolution
    from chapters.ch05_deep_cnn.xception import separable

    def weights(channels, *layers):
        return sum(row.parameters for row in layer_table(chain(*layers), (1, channels, 8, 8)))
    assert weights(256, padded_convolution(256, 3, use_bias=False)) == 589824
    bottleneck = [padded_convolution(*shape, use_bias=False) for shape in ((64, 1), (64, 3), (256, 1))]
    assert weights(256, *bottleneck) == 69632
    assert weights(64, padded_convolution(128, 3, use_bias=False)) == 73728
    assert weights(64, *separable(128, 64)) == 8768


# ---- the model zoos

def zoo(name):
    """A network of GluonCV's zoo, which holds Gluon's, with the book's epsilon."""
    from gluoncv.model_zoo import get_model
    return get_model(name).apply(set_epsilon)


def set_epsilon(block):
    """Give BN the epsilon that it has in the book."""
    if isinstance(block, nn.BatchNorm):
        block._kwargs['eps'] = 1e-3


def random_values(network, shape):
    """Initialize a network, BN's statistics, scales and shifts included, so that everything matters."""
    network.initialize(mx.init.MSRAPrelu('in', 0))
    network(nd.zeros(shape))
    for name, parameter in network.collect_params().items():
        if name.endswith(('gamma', 'running_var')):
            parameter.set_data(nd.random.uniform(0.5, 1.5, parameter.shape))
        elif name.endswith(('beta', 'running_mean', 'bias')):
            parameter.set_data(nd.random.uniform(-0.1, 0.1, parameter.shape))


def same_as_in_the_zoo():
    from chapters.ch05_deep_cnn import densenet, resnext, squeezenet, vgg
    from chapters.ch05_deep_cnn.mobilenet import MobileNet
    from chapters.ch05_deep_cnn.shufflenet import ShuffleNet
    return [
        # theirs, ours, side of the input (theirs may have a pooling that needs 224)
        ('vgg11', vgg.vgg11, 32), ('vgg16', vgg.vgg16, 32),
        ('densenet121', densenet.densenet121, 224), ('squeezenet1.0', squeezenet.squeezenet1_0, 224),
        ('squeezenet1.1', squeezenet.squeezenet1_1, 224), ('mobilenet1.0', MobileNet, 64),
        ('mobilenet0.25', lambda: MobileNet(0.25), 64), ('shufflenet_v1', ShuffleNet, 64),
        ('cifar_resnext29_32x4d', resnext.cifar_resnext29_32x4d, 32),
    ]


@pytest.mark.parametrize('name, ours, side', same_as_in_the_zoo(),
                         ids=lambda value: value if isinstance(value, str) else '')
def test_same_outputs_as_the_zoo(name, ours, side):
    mx.random.seed(1)
    theirs, ours, shape = zoo(name), ours(), (2 if side < 100 else 1, 3, side, side)
    random_values(theirs, shape)
    ours.initialize()
    ours(nd.zeros(shape))
    parameters, copied = theirs.collect_params(), ours.collect_params()
    pairs = paired_names(theirs(mx.sym.var('data')), ours)
    assert len(pairs) == len(parameters.keys()) == len(copied.keys())
    for source, target in pairs.items():
        assert parameters[source].shape == copied[target].shape, (source, target)
        copied[target].set_data(parameters[source].data())
    x = nd.random.normal(shape=shape)
    expected, answer = theirs(x).asnumpy(), ours(x).asnumpy()
    assert np.abs(expected).max() > 1e-3 and np.ptp(expected) > 1e-3
    assert np.abs(answer - expected).max() < 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize('name', ['vgg13', 'vgg19', 'densenet161', 'densenet169', 'densenet201',
                                  'cifar_resnext29_16x64d'])
def test_same_layers_as_in_the_zoo(name):
    from chapters.ch05_deep_cnn import densenet, resnext, vgg
    ours = next(getattr(module, name) for module in (vgg, densenet, resnext) if hasattr(module, name))

    def table(network):
        return [(row.kind, row.parameters, row.output_shape) for row in layer_table(network, (1, 3, 224, 224))
                if row.parameters]
    assert table(ours()) == table(zoo(name))


@pytest.mark.parametrize('row, theirs, channels, stride', [
    ('e', 'BasicBlockV2', 8, 1), ('e', 'BasicBlockV2', 4, 2), ('a', 'BasicBlockV1', 8, 1)])
def test_residual_units_are_those_of_the_zoo(row, theirs, channels, stride):
    """Theirs have no biases; and their shortcut of the original unit has BN where it has a convolution."""
    from mxnet.gluon.model_zoo import vision

    from chapters.kit.networks.residual import ResidualUnit
    theirs = getattr(vision, theirs)(8, stride, channels != 8, channels)
    ours = ResidualUnit(8, stride, channels != 8, row)
    shape = (2, channels, 6, 6)
    random_values(theirs.apply(set_epsilon), shape)
    ours.initialize()
    ours(nd.zeros(shape))
    for kind in ('list_arguments', 'list_auxiliary_states'):
        sources, targets = (
            [name for name in getattr(network(mx.sym.var('data')), kind)()
             if name != 'data' and not name.endswith('bias')]
            for network in (theirs, ours))
        assert len(sources) == len(targets)
        for source, target in zip(sources, targets):
            ours.collect_params()[target].set_data(theirs.collect_params()[source].data())
    for network in (theirs, ours):  # in the zoo some convolutions have biases
        for name, parameter in network.collect_params('.*bias').items():
            parameter.set_data(nd.zeros(parameter.shape))
    x = nd.random.normal(shape=shape)
    assert np.abs((ours(x) - theirs(x)).asnumpy()).max() < 1e-5


def test_weights_of_the_zoos_cifar_resnet():
    """GluonCV's shortcuts leave before BN and ReLU, the book's after them: same weights, other outputs."""
    from chapters.ch05_deep_cnn.resnet import cifar_resnet20_v2
    def weights(network):
        symbol = network(mx.sym.var('data'))
        shapes = dict(zip(symbol.list_arguments(), symbol.infer_shape(data=(1, 3, 32, 32))[0]))
        return [shape for name, shape in shapes.items() if name.endswith(('weight', 'gamma', 'beta'))]
    assert weights(cifar_resnet20_v2()) == weights(zoo('cifar_resnet20_v2'))


# ---- every experiment

def test_everything_can_be_shown_without_data(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv('BOOKCNN_DATA', str(tmp_path))
    for section in SECTIONS:
        assert main(['show', section]) == 0
        shown = capsys.readouterr().out
        assert 'as in table 5-2' in shown and 'FLOPs not known' not in shown, section


@pytest.mark.parametrize('section, size', [
    ('5.1.2', 'configuration=F'), ('5.1.3', 'stages=53'), ('5.5.2-a', 'ordering=f'), ('5.5.5', 'form=v9'),
    ('5.6.1-densenet', 'depth=7'), ('5.6.1-dual-path-net', 'depth=7'), ('5.6.2-squeezenet', 'version=2'),
    ('5.6.2-shufflenet', 'groups=5')])
def test_a_row_that_no_table_has(section, size, capsys):
    assert main(['show', section, '--set', size]) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and size in error and ': give ' in error


@pytest.mark.parametrize('section', ['5.1.1', '5.1.2', '5.1.3', '5.4.5', '5.5.7', '5.5.6-xception',
                                     '5.6.2-mobilenet'])
@pytest.mark.parametrize('width', ['0', '-1', 'nan'])
def test_a_width_that_no_network_has(section, width, capsys):
    assert main(['show', section, '--set', f'width={width}']) == 2
    error = capsys.readouterr().err
    assert error.count('\n') == 1 and f'width={float(width)}' in error
    assert ('greater than 0' if width == '0' else 'give a number from 0 on') in error


# Every network that can be made small, and the sizes that make it so.
SMALL = {
    '5.4.4': {'num_filters': (8, 8, 8), 'last_filters': 16}, '5.4.5': {'width': 0.1},
    **{f'5.5.2-{row}': {'width': 0.15} for row in 'abcd'},
    '5.5.7': {'width': 0.15}, '5.5.3-stochastic-depth': {'width': 0.15},
    '5.5.3-shake-shake': {'width': 0.15},
    '5.5.5': {'filters': 6}, '5.5.5-bottlenecks': {'filters': 12, 'bottleneck': 8},
    '5.5.5-two-3x3': {'filters': 12, 'bottleneck': 8}, '5.5.5-n-by-1': {'filters': 12, 'bottleneck': 8},
    '5.5.6': {'filters': (8, 8, 16, 16)}, '5.6.1-resnext': {'units': (1, 1, 1), 'groups': 2},
    '5.6.1-pyramid-net': {'depth': 14}, '5.6.1-fractal-net': {'filters': (8, 8, 16)},
    '5.6.3-dilated': {'filters': 8}, '5.6.3-deformable': {'filters': (8,), 'deformable_filters': (8,)},
}


UPDATES = 60


@pytest.mark.filterwarnings('ignore:Cannot decide type')  # SymbolBlock.imports cannot know it beforehand
@pytest.mark.parametrize('section', SMALL)
def test_each_network_learns_a_few_images_by_heart(section, tmp_path):
    """At its recipe's rate, by the rule of 3.3.2. It knows them in prediction too."""
    from chapters.kit.training.compiled_step import CompiledStep
    from chapters.kit.training.epochs import seed_everything
    from chapters.kit.training.from_recipe import initialize, make_optimizer
    from chapters.kit.training.train import Objective
    seed_everything(2)
    experiment = chapters.find(section)
    experiment = experiment.but(**{name: ','.join(map(str, value)) if isinstance(value, tuple) else value
                                   for name, value in SMALL[section].items()})
    recipe = experiment.recipe.but(batch_size=10, base_batch_size=experiment.recipe.batch_size,
                                   rate_exponent=0.5, epochs=1, anneal=1.0, initializer='msra(avg,0)',
                                   augmentation='')
    side = 28 if section == '5.4.4' else 16
    shape = (10, experiment.input_shape[1], side, side)
    network = experiment.build()
    initialize(network, recipe, np.zeros((1,) + shape[1:]), [mx.cpu()])
    step = CompiledStep(Objective(network, 'softmax', recipe), make_optimizer(recipe, UPDATES, network),
                        [shape, shape[:1]], mx.cpu())
    coarse = nd.random.uniform(shape=shape[:2] + (4, 4))  # squares of one colour, not noise that averages out
    x, y = coarse.repeat(side // 4, axis=2).repeat(side // 4, axis=3), nd.arange(10)
    losses = [float(step(x, y).asnumpy()[0].mean()) for _ in range(UPDATES)]
    assert np.mean(losses[-5:]) < 0.6 * losses[0], losses
    step.synchronize()
    answers = network(x)
    assert (answers.argmax(axis=1) == y).mean().asscalar() >= 0.5
    network.export(str(tmp_path / 'model'))
    loaded = gluon.SymbolBlock.imports(str(tmp_path / 'model-symbol.json'), ['data'],
                                       str(tmp_path / 'model-0000.params'))
    assert np.abs((loaded(x) - answers).asnumpy()).max() < 1e-4


# ---- residual units

@pytest.mark.parametrize('row, operators', [
    ('a', 'Convolution BatchNorm Activation Convolution BatchNorm elemwise_add Activation'),
    ('b', 'Convolution BatchNorm Activation Convolution elemwise_add BatchNorm Activation'),
    ('c', 'Convolution BatchNorm Activation Convolution BatchNorm Activation elemwise_add'),
    ('d', 'Activation Convolution BatchNorm Activation Convolution BatchNorm elemwise_add'),
    ('e', 'BatchNorm Activation Convolution BatchNorm Activation Convolution elemwise_add'),
])
def test_orderings_of_table_5_8(row, operators):
    from chapters.kit.networks.residual import ResidualUnit
    rows = layer_table(ResidualUnit(8, ordering=row), (1, 8, 6, 6))
    assert ' '.join(layer.operator for layer in rows[1:]) == operators
    addition = next(layer for layer in rows if layer.operator == 'elemwise_add')
    assert 0 in addition.inputs  # the shortcut is the input itself


def test_stochastic_depth_leaves_bodies_out():
    from chapters.ch05_deep_cnn.random_residual import StochasticDepthResNet, StochasticUnit
    mx.random.seed(3)
    unit, x = StochasticUnit(4, survival=0.7), nd.random.normal(shape=(5, 4, 6, 6))
    unit.initialize()
    body = unit.body(unit.before(x))
    assert np.abs((unit(x) - (x + 0.7 * body)).asnumpy()).max() < 1e-6
    present = 0
    for _ in range(300):
        with autograd.train_mode():
            added, whole = unit(x) - x, unit.body(unit.before(x))
        gone = float(nd.abs(added).max().asscalar()) < 1e-6
        present += not gone
        if not gone:  # all samples of the batch, with factor 1
            assert np.abs((added - whole).asnumpy()).max() < 1e-5
    assert 180 < present < 240
    network = StochasticDepthResNet(last_survival=0.5)
    survivals = [child._survival for child in network.features if isinstance(child, StochasticUnit)]
    assert np.allclose(survivals, 1 - np.arange(1, 10) / 9 * 0.5)


def test_shake_shake_mixes_forward_and_backward_apart():
    from chapters.ch05_deep_cnn.random_residual import ShakeUnit
    mx.random.seed(3)
    unit, x = ShakeUnit(4), nd.random.normal(shape=(1, 4, 6, 6))
    unit.initialize()
    both = [body(unit.before(x)) for body in (unit.body, unit.body2)]
    assert np.abs((unit(x) - x - sum(both) / 2).asnumpy()).max() < 1e-6
    shares = []
    for _ in range(40):
        with autograd.record():
            first, second = (body(unit.before(x)) for body in (unit.body, unit.body2))
            output = unit(x)
        output.backward()
        added, difference = (output - x - second).asnumpy(), (first - second).asnumpy()
        forward = (added * difference).sum() / (difference ** 2).sum()
        assert np.abs(added - forward * difference).max() < 1e-5
        backward, rest = (float(body[-1].bias.grad().mean().asscalar()) / 36
                          for body in (unit.body, unit.body2))
        assert backward + rest == pytest.approx(1, abs=1e-5)
        shares.append((forward, backward))
    shares = np.array(shares)
    assert 0 <= shares.min() < 0.15 and 0.85 < shares.max() <= 1
    assert abs(np.corrcoef(shares.T)[0, 1]) < 0.5


def test_shake_shake_draws_for_each_sample():
    from chapters.ch05_deep_cnn.random_residual import ShakeUnit
    mx.random.seed(3)
    unit, x = ShakeUnit(4), nd.tile(nd.random.normal(shape=(1, 4, 6, 6)), (8, 1, 1, 1))
    unit.initialize()
    with autograd.train_mode():
        outputs = unit(x).asnumpy()
    assert len({round(float(value), 5) for value in outputs[:, 0, 0, 0]}) == 8


def test_pyramid_unit_pads_the_shortcut_with_zeros():
    from chapters.ch05_deep_cnn.pyramid_net import PyramidNet, Unit
    unit, x = Unit(7, 4), nd.random.normal(shape=(2, 4, 6, 6))
    unit.initialize()
    unit(x)
    unit.body[-1].gamma.set_data(nd.zeros(7))
    output = unit(x).asnumpy()
    assert np.array_equal(output[:, :4], x.asnumpy()) and not output[:, 4:].any()
    assert [row.operator for row in layer_table(Unit(4, 4), (1, 4, 6, 6))][1:7] == [
        'BatchNorm', 'Convolution', 'BatchNorm', 'Activation', 'Convolution', 'BatchNorm']
    assert [child._filters for child in PyramidNet(20, 9).features if isinstance(child, Unit)] == [
        17, 18, 19, 20, 21, 22, 23, 24, 25]


def test_figure_5_39_five_planes_become_21():
    from chapters.ch05_deep_cnn.densenet import DenseLayer
    from chapters.ch05_deep_cnn.layers import chain
    block, x = chain(*(DenseLayer(4, bottleneck=0) for _ in range(4))), nd.random.normal(shape=(2, 5, 6, 6))
    block.initialize()
    output = block(x)
    assert output.shape == (2, 21, 6, 6) and np.array_equal(output[:, :5].asnumpy(), x.asnumpy())


def test_fractal_block_joins_means_and_drops_paths():
    from chapters.ch05_deep_cnn.fractal_net import FractalBlock, Join
    rows = layer_table(FractalBlock(4, columns=3), (1, 4, 8, 8))
    assert sum(row.operator == 'Convolution' for row in rows) == 7  # 1 + 2 + 4
    depth = {}
    for number, row in enumerate(rows):
        before = max((depth[source] for source in row.inputs), default=0)
        depth[number] = before + (row.operator == 'Convolution')
    assert max(depth.values()) == 4
    mx.random.seed(3)
    join, paths = Join(0.5), [nd.full((2, 3, 4, 4), value) for value in (1, 10, 100)]
    join.initialize()
    assert np.allclose(join(*paths).asnumpy(), 37)
    with autograd.train_mode():
        found = {round(float(join(*paths).mean().asscalar()), 3) for _ in range(200)}
    assert found == {1, 10, 100, 5.5, 50.5, 55, 37}  # any of them, never none


# ---- other units

def test_inception_puts_planes_together():
    from chapters.ch05_deep_cnn.inception import Inception
    rows = layer_table(Inception(), (1, 20, 8, 8))
    assert rows[-1].output_shape == (32 * 3 + 20, 8, 8)
    kinds = [row.kind for row in rows if row.operator in ('Convolution', 'Pooling')]
    assert kinds == ['convolution 1x1', 'convolution 3x3, pad 1', 'convolution 5x5, pad 2',
                     'max 3x3, stride 1, pad 1']
    with_bottlenecks = layer_table(Inception(reduce_three=16, reduce_five=16, pool=32), (1, 192, 8, 8))
    assert with_bottlenecks[-1].output_shape == (128, 8, 8)
    without = layer_table(Inception(), (1, 192, 8, 8))
    assert sum(row.flops for row in with_bottlenecks) < 0.2 * sum(row.flops for row in without)
    kernels = [row.kind.split(',')[0] for row in layer_table(Inception(form='n-by-1'), (1, 20, 8, 8))
               if row.operator == 'Convolution']
    assert kernels == ['convolution ' + side for side in ('1x1', '1x3', '3x1', '1x5', '5x1')]


def test_shuffle():
    from chapters.ch05_deep_cnn.shufflenet import shuffle
    planes = nd.arange(6).reshape((1, 6, 1, 1)) * nd.ones((1, 6, 2, 3))
    assert shuffle(mx.nd, planes, 2).asnumpy()[0, :, 1, 2].tolist() == [0, 3, 1, 4, 2, 5]


def receptive_field(network, side=31):
    """How many points of the input, in a row, one point of the features depends on."""
    network.initialize(mx.init.Uniform(1))
    x = nd.random.normal(shape=(1, 3, side, side))
    x.attach_grad()
    with autograd.record(train_mode=False):
        y = network.features(x)[:, :, side // 2, side // 2].sum()
    y.backward(train_mode=False)
    columns = np.flatnonzero(np.abs(x.grad.asnumpy()).sum(axis=(0, 1, 2)))
    return columns[-1] - columns[0] + 1


@pytest.mark.parametrize('dilations, field', [((1,), 3), ((1, 2), 7), ((1, 2, 4), 15)])
def test_receptive_fields_of_dilated_convolutions(dilations, field):
    from chapters.ch05_deep_cnn.deformed_kernels import DilatedNet
    assert receptive_field(DilatedNet(dilations, 16)) == field


def test_deformable_convolution_starts_as_an_ordinary_one_and_can_move():
    from mxnet.gluon.contrib.cnn import DeformableConvolution

    from chapters.ch05_deep_cnn.deformed_kernels import DeformableNet
    network = DeformableNet()
    network.initialize()
    network(nd.zeros((1, 3, 28, 28)))
    layer = next(child for child in network.features if isinstance(child, DeformableConvolution))
    x = nd.random.normal(shape=(1, 64, 7, 7))
    weight, bias = layer.deformable_conv_weight.data(), layer.deformable_conv_bias.data()

    def plain(x):
        return nd.Convolution(x, weight, bias, kernel=(3, 3), pad=(1, 1), num_filter=64).asnumpy()
    assert np.abs(layer(x).asnumpy() - plain(x)).max() < 1e-5
    layer.offset_bias.set_data(nd.array([1, 0] * 9))  # every point of the kernel one row lower
    lower = nd.concat(x[:, :, 1:], nd.zeros((1, 64, 1, 7)), dim=2)
    assert np.abs(layer(x).asnumpy() - plain(lower))[:, :, 1:-1].max() < 1e-5


# ---- parity, and BN's backward

def test_parity_sees_a_shortcut_that_leaves_too_early(monkeypatch):
    from chapters.kit.networks.residual import ResidualUnit
    from chapters.kit.proof.parity import parity

    def early(self, F, x):
        y = self.before(x)
        return self.body(y) + (x if self.shortcut is None else self.shortcut(x))
    monkeypatch.setattr(ResidualUnit, 'hybrid_forward', early)
    assert parity(chapters.find('5.5.7')).differences['gradients'] > 1e-3


@pytest.mark.parametrize('section', ['5.4.4', '5.4.5', '5.5.7'])
def test_batch_normalisation_goes_backward_fast(section, slow_backward):
    from chapters.kit.training.compiled_step import CompiledStep
    from chapters.kit.training.from_recipe import initialize, make_optimizer
    from chapters.kit.training.train import Objective
    experiment = chapters.find(section)
    network, shape = experiment.build(), (8,) + experiment.input_shape[1:]
    initialize(network, experiment.recipe, np.zeros(experiment.input_shape), [mx.cpu()])
    step = CompiledStep(Objective(network, 'softmax'), make_optimizer(experiment.recipe, 100, network),
                        [shape, shape[:1]], mx.cpu())
    x, y = nd.random.uniform(shape=shape), nd.arange(8)
    assert slow_backward(lambda: step(x, y)) < 0.3


def test_the_picture_of_fashion_mnist_is_cut_into_its_images(tmp_path):
    from PIL import Image

    from chapters.ch05_deep_cnn.fashion import read_sprite
    from data_tools.errors import UserError
    pixels = np.zeros((840, 840), np.uint8)
    for row in range(30):
        for column in range(30):
            pixels[28 * row:28 * row + 28, 28 * column:28 * column + 28] = row * 8 + column // 4
            pixels[28 * row + 3, 28 * column + 5] = 255
    Image.fromarray(pixels).save(tmp_path / 'sprite.png')
    images = read_sprite(tmp_path / 'sprite.png')
    assert images.shape == (10, 90, 1, 28, 28)
    assert (images[:, :, 0, 3, 5] == 255).all()
    assert images[7, 61, 0, 0, 0] == (7 * 3 + 2) * 8 + 1 // 4  # the second image of the third row of class 7
    Image.fromarray(pixels[:800]).save(tmp_path / 'sprite.png')
    with pytest.raises(UserError, match='840x800 pixels'):
        read_sprite(tmp_path / 'sprite.png')


def test_pixels_are_scaled_as_the_recipes_want_them():
    """CIFAR-10 as the book's `.rec` files leave it; ImageNet, which the book does not train, from 0 to 1: there is no BN
    in AlexNet and VGG to take 255."""
    scales = {section: chapters.find(section).scale for section in ('5.4.5', '5.5.7', '5.4.4', '5.1.1', '5.1.2')}
    assert scales == {'5.4.5': 1, '5.5.7': 1, '5.4.4': 1 / 255, '5.1.1': 1 / 255, '5.1.2': 1 / 255}
    assert chapters.find('5.1.1').recipe.augmentation == 'crop=224 mirror'
