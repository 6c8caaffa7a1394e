"""The listings of chapters 4 and 5 against tables of their operators in order, typed from the book.

Parity compares our networks with `book_code`; here `book_code` is compared with the book. A row is the layer's name as
printed ('-': the listing gives none), its operator, and everything that decides what it computes.
"""
import ast
import json
import math

import mxnet as mx
import pytest

from book_code import (
    sec_4_2_2,
    sec_4_4,
    sec_4_4_5,
    sec_4_5_1,
    sec_4_5_4,
    sec_5_1_1,
    sec_5_1_2,
    sec_5_1_3,
    sec_5_4_4,
    sec_5_4_5,
    sec_5_5_4,
    sec_5_5_5,
    sec_5_5_6,
    sec_5_5_7,
    sec_7_2,
)


def operators(symbol):
    """[(name, 'operator settings')] of a graph, in the order in which it computes."""
    return [(node['name'], _row(node['op'], node.get('attrs', {})))
            for node in json.loads(symbol.tojson())['nodes'] if node['op'] != 'null']


def _row(operator, attributes):
    def pair(name, default):
        one, other = ast.literal_eval(attributes.get(name, f'({default}, {default})'))
        return f'{one}x{other}' if one != other else str(one)
    words = [operator]
    if operator == 'Convolution':
        words += [f'{attributes["num_filter"]}x{pair("kernel", 1)}', f's{pair("stride", 1)}', f'p{pair("pad", 0)}']
        groups = attributes.get('num_group', '1')
        words += [f'groups={groups}'] * (groups != '1')
        words += ['no_bias'] * (attributes.get('no_bias') == 'True')
    elif operator == 'Pooling':
        words += [attributes['pool_type'], 'global' if attributes.get('global_pool') == 'True' else
                  f'{pair("kernel", 1)} s{pair("stride", 1)} p{pair("pad", 0)}']
        assert attributes.get('pooling_convention', 'valid') == 'valid'
    elif operator == 'BatchNorm':  # the settings that the book never gives are MXNet's
        assert not set(attributes) - {'fix_gamma'}, attributes
        words += [f'fix_gamma={attributes.get("fix_gamma", "True")}']
    elif operator in ('Activation', 'LeakyReLU'):
        words += [attributes['act_type'], *([attributes['slope']] if 'slope' in attributes else [])]
    elif operator == 'FullyConnected':
        words += [attributes['num_hidden']] + ['no_bias'] * (attributes.get('no_bias') == 'True')
    elif operator == 'Dropout':
        words += [attributes['p']]
    elif operator == 'Concat':
        words += [f'of {attributes["num_args"]}', f'dim={attributes.get("dim", "1")}']
    elif operator == 'slice_axis':
        words += [f'axis={attributes["axis"]} {attributes["begin"]}:{attributes["end"]}']
    elif operator not in ('Flatten', 'SoftmaxOutput', 'LinearRegressionOutput', 'elemwise_add', '_Plus'):
        raise AssertionError(f'{operator}: say what decides what it computes')
    return ' '.join(words)


def table(text):
    """[(name, row)] of a table typed as lines."""
    return [tuple(line.split(None, 1)) for line in text.splitlines() if line.strip()]


# ---- lines of the book's text

LINES_4561_TO_4591 = '''
conv1    Convolution {0}x5 s1 p0
bn1      BatchNorm fix_gamma=False
act1     Activation relu
pool1    Pooling max 3 s2 p0
conv2    Convolution {1}x5 s1 p0
bn2      BatchNorm fix_gamma=False
act2     Activation relu
pool2    Pooling max 3 s2 p0
conv3    Convolution 10x3 s1 p0
pool3    Pooling avg global
flatten  Flatten
softmax  SoftmaxOutput
'''

LINES_4931_TO_4933 = '''
conv0  Convolution 128x3 s1 p0
bn0    BatchNorm fix_gamma=False
act0   Activation relu
conv1  Convolution 128x3 s1 p0
bn1    BatchNorm fix_gamma=False
act1   Activation relu
conv2  Convolution 128x3 s1 p0
bn2    BatchNorm fix_gamma=False
act2   Activation relu
'''

LINES_5061_TO_5065 = '''
fc1   FullyConnected 2
act1  Activation relu
fc2   FullyConnected 1
reg   LinearRegressionOutput
'''

LINES_5287_TO_5326 = '''
conv1    Convolution 96x11 s4 p0
-        Activation relu
-        Pooling max 3 s2 p0
conv2    Convolution 256x5 s1 p2
-        Activation relu
-        Pooling max 3 s2 p0
conv3    Convolution 384x3 s1 p1
-        Activation relu
conv4    Convolution 384x3 s1 p1
-        Activation relu
conv5    Convolution 256x3 s1 p1
-        Activation relu
-        Pooling max 3 s2 p0
-        Flatten
fc1      FullyConnected 4096
-        Activation relu
-        Dropout 0.5
fc2      FullyConnected 4096
-        Activation relu
-        Dropout 0.5
fc3      FullyConnected 1000
softmax  SoftmaxOutput
'''

LINES_5911_TO_5940 = '''
conv11   Convolution 32x3 s1 p1
bn11     BatchNorm fix_gamma=False
act11    Activation relu
conv12   Convolution 32x3 s1 p1
bn12     BatchNorm fix_gamma=False
act12    Activation relu
pool1    Pooling max 2 s2 p0
conv21   Convolution 64x3 s1 p1
bn21     BatchNorm fix_gamma=False
act21    Activation relu
conv22   Convolution 64x3 s1 p1
bn22     BatchNorm fix_gamma=False
act22    Activation relu
pool2    Pooling max 2 s2 p0
conv31   Convolution 64x3 s1 p1
bn31     BatchNorm fix_gamma=False
act31    Activation relu
conv32   Convolution 64x3 s1 p1
bn32     BatchNorm fix_gamma=False
act32    Activation relu
pool3    Pooling max 2 s2 p0
conv4    Convolution 128x3 s1 p0
bn4      BatchNorm fix_gamma=False
act4     Activation relu
final    Convolution 10x1 s1 p0
flatten  Flatten
softmax  SoftmaxOutput
'''

LINES_6145_TO_6177 = '''
conv1    Convolution 96x3 s1 p1
bn1      BatchNorm fix_gamma=False
act1     Activation relu
conv2    Convolution 96x3 s1 p1
bn2      BatchNorm fix_gamma=False
act2     Activation relu
conv3    Convolution 96x3 s2 p1
bn3      BatchNorm fix_gamma=False
act3     Activation relu
conv4    Convolution 192x3 s1 p1
bn4      BatchNorm fix_gamma=False
act4     Activation relu
conv5    Convolution 192x3 s1 p1
bn5      BatchNorm fix_gamma=False
act5     Activation relu
conv6    Convolution 192x3 s2 p1
bn6      BatchNorm fix_gamma=False
act6     Activation relu
conv7    Convolution 192x3 s1 p0
bn7      BatchNorm fix_gamma=False
act7     Activation relu
conv8    Convolution 192x1 s1 p0
bn8      BatchNorm fix_gamma=False
act8     Activation relu
conv9    Convolution 10x1 s1 p0
bn9      BatchNorm fix_gamma=False
act9     Activation relu
pool     Pooling avg global
flatten  Flatten
softmax  SoftmaxOutput
'''

# One pass of the loop of lines 6408 to 6416, its number in braces; before and after it, lines 6405 and 6419 to 6425.
LINES_6405 = 'convPRE Convolution 128x3 s1 p1'
LINES_6408_TO_6416 = '''
bnA{0}    BatchNorm fix_gamma=False
actA{0}   Activation relu
convA{0}  Convolution 128x3 s1 p1
bnB{0}    BatchNorm fix_gamma=False
actB{0}   Activation relu
convB{0}  Convolution 128x3 s1 p1
-         elemwise_add
'''
LINES_6419_TO_6425 = '''
bnFINAL    BatchNorm fix_gamma=False
actFINAL   Activation relu
convFINAL  Convolution 1x1 s1 p0
-          Flatten
softmax    SoftmaxOutput
'''

LINES_6458_TO_6472 = '''
n1    Convolution 32x1 s1 p0
act1  Activation relu
n2    Convolution 32x3 s1 p1
act2  Activation relu
n3    Convolution 32x5 s1 p2
act3  Activation relu
n4    Pooling max 3 s1 p1
act4  Activation relu
-     Concat of 4 dim=1
'''

# ResBlock, lines 6561 to 6598: {0} the suffix, {1} filters, {2} the stride; the graph computes the pathway where the sum
# asks for it, after the body.
FIRST_UNIT = '''
bn{0}_a0    BatchNorm fix_gamma=False
act{0}_a0   Activation relu
conv{0}_a0  Convolution {1}x3 s{2} p1
bn{0}_b0    BatchNorm fix_gamma=False
act{0}_b0   Activation relu
conv{0}_b0  Convolution {1}x3 s1 p1
adj{0}      Convolution {1}x1 s{2} p0
-           elemwise_add
'''
OTHER_UNIT = '''
bn{0}_a{3}    BatchNorm fix_gamma=False
act{0}_a{3}   Activation relu
conv{0}_a{3}  Convolution {1}x3 s1 p1
bn{0}_b{3}    BatchNorm fix_gamma=False
act{0}_b{3}   Activation relu
conv{0}_b{3}  Convolution {1}x3 s1 p1
-             elemwise_add
'''
LINES_6604_AND_6606 = '''
bnPRE    BatchNorm fix_gamma=False
convPRE  Convolution 32x3 s1 p1
'''
LINES_6614_TO_6623 = '''
bnFINAL   BatchNorm fix_gamma=False
actFINAL  Activation relu
pool      Pooling avg global
flatten   Flatten
fc        FullyConnected 10
softmax   SoftmaxOutput
'''
LINES_6602_TO_6623 = LINES_6604_AND_6606 + ''.join(
    FIRST_UNIT.format(stage, filters, stride) + ''.join(OTHER_UNIT.format(stage, filters, stride, number)
                                                        for number in (1, 2))
    for stage, filters, stride in ((1, 64, 1), (2, 64, 2), (3, 128, 2))) + LINES_6614_TO_6623

# Of 5.1.2 and 5.1.3 the book prints tables (5-3 and 5-5) and words in place of a listing.
VGG_16 = ''.join(''.join(f'conv{stage}_{number} Convolution {filters}x3 s1 p1\n- Activation relu\n'
                         for number in range(1, count + 1)) + '- Pooling max 2 s2 p0\n'
                 for stage, count, filters in ((1, 2, 64), (2, 2, 128), (3, 3, 256), (4, 3, 512), (5, 3, 512)))
VGG_16 += '\n'.join(LINES_5287_TO_5326.strip().splitlines()[-9:])
DARKNET = ''.join(f'conv{number} Convolution {filters}x3 s1 p1\n- BatchNorm fix_gamma=False\n- LeakyReLU leaky 0.1\n'
                  + f'- Pooling max 2 s2 p{int(number == 6)}\n' * (number < 7)
                  for number, filters in enumerate((16, 32, 64, 128, 256, 512, 1024), 1))
DARKNET += 'conv8 Convolution 1000x1 s1 p0\n- Pooling avg global\n- Flatten\n- SoftmaxOutput'

TABLES = [
    (sec_4_4, LINES_4561_TO_4591.format(32, 64)), (sec_4_4_5, LINES_4561_TO_4591.format(64, 128)),
    (sec_4_5_4, LINES_5061_TO_5065), (sec_5_1_1, LINES_5287_TO_5326), (sec_5_1_2, VGG_16), (sec_5_1_3, DARKNET),
    (sec_5_4_4, LINES_5911_TO_5940), (sec_5_4_5, LINES_6145_TO_6177), (sec_5_5_7, LINES_6602_TO_6623)]


def same(rows, printed, names=True):
    """Whether rows are those of a table; names count where the book gives them."""
    assert [row for _, row in rows] == [row for _, row in printed]
    if names:
        assert [ours for (ours, _), (theirs, _) in zip(rows, printed) if theirs != '-'] == \
            [theirs for theirs, _ in printed if theirs != '-']


@pytest.mark.parametrize('listing, printed', TABLES, ids=[listing.__name__[10:] for listing, _ in TABLES])
def test_operators_are_the_books(listing, printed):
    same(operators(listing.symbol()), table(printed))


def test_4_2_2_is_one_convolution():
    """Figure 4-18: one neuron, no activation; the listing's bias and padding keep 19x19 points."""
    same(operators(sec_4_2_2.symbol()), table('- Convolution 1x3 s1 p1\n- Flatten\n- SoftmaxOutput'))
    assert operators(sec_4_2_2.symbol(last_move=False))[0][1] == 'slice_axis axis=1 1:None'


def test_4_5_1_by_a_loop_and_written_out():
    rows = operators(sec_4_5_1.symbol())
    same(rows[:9], table(LINES_4931_TO_4933))
    net = sec_4_5_1.conv_bn_act(mx.sym.Variable('data'), '0', (3, 3), 128)  # lines 4939 to 4942
    net = sec_4_5_1.conv_bn_act(net, '1', (3, 3), 128)
    net = sec_4_5_1.conv_bn_act(net, '2', (3, 3), 128)
    assert operators(net) == rows[:9]


def test_5_5_4_is_printed_twice_under_different_names():
    printed = table(LINES_6405) + [row for i in range(6) for row in table(LINES_6408_TO_6416.format(i))] \
        + table(LINES_6419_TO_6425)
    same(operators(sec_5_5_4.symbol()), printed)
    rows = operators(sec_7_2.symbol())  # lines 8067 to 8072, the names made by lines 8511 to 8556
    same(rows, printed, names=False)
    assert [name for name, _ in rows[:6]] == ['preconv1', 'bnA1', 'actA1', 'convA1', 'bnB1', 'actB1']
    assert [name for name, _ in rows[-5:-2]] == ['finalbn1', 'finalact1', 'finalconv1']
    rows = operators(sec_5_5_4.symbol(names='published'))
    same(rows, printed, names=False)
    assert [name for name, row in rows if row.startswith('Conv')][:3] == ['FIRSTconv1', 'BODYconvA1', 'BODYconvB1']


def test_5_5_5_has_the_four_branches_each_with_its_activation():
    module = sec_5_5_5.inception(mx.sym.Variable('data'), 'n')
    same(operators(module), table(LINES_6458_TO_6472), names=False)
    with_bottlenecks = [row for _, row in operators(sec_5_5_5.inception(mx.sym.Variable('data'), 'n', bottleneck=16))]
    assert with_bottlenecks == [  # figure 5-32; line 6449: a nonlinearity after each operation
        'Convolution 32x1 s1 p0', 'Activation relu',
        'Convolution 16x1 s1 p0', 'Activation relu', 'Convolution 32x3 s1 p1', 'Activation relu',
        'Convolution 16x1 s1 p0', 'Activation relu', 'Convolution 32x5 s1 p2', 'Activation relu',
        'Pooling max 3 s1 p1', 'Activation relu', 'Convolution 32x1 s1 p0', 'Activation relu', 'Concat of 4 dim=1']


def test_5_5_6_separates_channels_as_the_book_says():
    pair = sec_5_5_6.separable(mx.sym.Variable('data'), 'n', 64, 128)  # lines 6517 to 6523
    assert [row for _, row in operators(pair)] == ['Convolution 64x3 s1 p1 groups=64 no_bias',
                                                   'Convolution 128x1 s1 p0 no_bias']
    shapes, _, _ = pair.infer_shape(data=(1, 64, 8, 8))
    sizes = dict(zip(pair.list_arguments(), shapes))
    assert sum(math.prod(shape) for name, shape in sizes.items() if name != 'data') == 8768


# ---- the training, as it is executed

def executed(listing, updates=100, at=(1, 100, 101, 201)):
    """(epochs, batch size, optimizer, initializer, the rates of some updates)."""
    settings = listing.settings(updates)
    parameters = dict(settings['optimizer_params'])
    schedule, rate = parameters.pop('lr_scheduler', None), parameters.pop('learning_rate')
    rates = []
    for update in at:
        if schedule:
            schedule.base_lr = rate if update == 1 else schedule.base_lr
        rates.append(round(schedule(update), 6) if schedule else rate)
    return settings['num_epoch'], listing.BATCH_SIZE, settings['optimizer'], settings['initializer'].dumps(), rates, parameters


UNIFORM, MSRA = mx.init.Uniform(0.01).dumps(), mx.init.MSRAPrelu(slope=0.0).dumps()


@pytest.mark.parametrize('listing, printed', [
    (sec_4_4, (20, 32, 'sgd', UNIFORM, [0.03, 0.03, 0.027, 0.0243], {})),        # lines 4652 to 4661, 4675 to 4680
    (sec_4_4_5, (20, 32, 'sgd', UNIFORM, [0.06, 0.06, 0.054, 0.0486], {})),      # lines 4860 to 4874
    (sec_4_5_4, (1, 1, 'sgd', mx.init.Uniform(0.1).dumps(), [0.1] * 4, {})),     # lines 5043 to 5088
    (sec_5_4_4, (40, 32, 'sgd', UNIFORM, [0.06] * 4, {})),                       # lines 6006 to 6018, as MXNet takes them
    (sec_5_4_5, (200, 50, 'sgd', MSRA, [0.5, 0.5, 0.49, 0.4802], {})),           # lines 6221 to 6230
    (sec_5_5_7, (200, 100, 'sgd', MSRA, [0.5, 0.5, 0.492, 0.484128], {})),       # lines 6667 to 6676, the epochs of the log
], ids=lambda value: value.__name__[10:] if hasattr(value, '__name__') else '')
def test_training_as_executed(listing, printed):
    assert executed(listing) == printed


def test_module_keeps_the_rate_of_its_first_fit(caplog):
    """Why 5.4.4's rate stays at 0.06: what MXNet does with the settings of a second `fit`."""
    module = mx.mod.Module(mx.sym.LinearRegressionOutput(
        mx.sym.FullyConnected(mx.sym.Variable('data'), num_hidden=1), mx.sym.Variable('label')), ['data'], ['label'])
    data = mx.io.NDArrayIter(mx.nd.ones((4, 2)), mx.nd.ones(4), 2, label_name='label')
    for rate in (0.06, 0.057):
        module.fit(data, optimizer='sgd', optimizer_params={'learning_rate': rate}, eval_metric='mse', num_epoch=1)
    assert module._optimizer.lr == 0.06
    assert 'optimizer already initialized, ignoring' in caplog.text


def test_every_docstring_names_its_lines_or_says_that_there_is_no_listing():
    for listing in (sec_4_2_2, sec_4_4, sec_4_4_5, sec_4_5_1, sec_4_5_4, sec_5_1_1, sec_5_1_2, sec_5_1_3, sec_5_4_4,
                    sec_5_4_5, sec_5_5_4, sec_5_5_5, sec_5_5_6, sec_5_5_7, sec_7_2):
        assert 'isting' in listing.__doc__ and ('line' in listing.__doc__ or 'no listing' in listing.__doc__), listing
