"""The layer table against the tables that the book prints, and against counting by hand."""
import io
import os

import mxnet as mx
import pytest
from mxnet.gluon import nn
from rich.console import Console

from chapters.ch03_mlp.mnist import MLP
from chapters.ch04_cnn.lenet import LeNet
from chapters.kit.networks.layer_table import draw_graph, layer_table, print_layer_table
from data_tools.errors import UserError


def alexnet():
    """5.1.1, both halves of the original in one."""
    net = nn.HybridSequential()
    for filters, kernel, stride, pad, pool in (
            (96, 11, 4, 0, True), (256, 5, 1, 2, True), (384, 3, 1, 1, False), (384, 3, 1, 1, False),
            (256, 3, 1, 1, True)):
        net.add(nn.Conv2D(filters, kernel, stride, pad, activation='relu'))
        if pool:
            net.add(nn.MaxPool2D(3, 2))
    for _ in range(2):
        net.add(nn.Dense(4096, activation='relu'), nn.Dropout(0.5))
    net.add(nn.Dense(1000))
    return net


def vgg16():
    """5.1.2, as a symbol: the book's own form."""
    x = mx.sym.var('data')
    for stage, (units, filters) in enumerate(((2, 64), (2, 128), (3, 256), (3, 512), (3, 512)), 1):
        for unit in range(1, units + 1):
            x = mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=filters,
                                   name=f'conv{stage}_{unit}')
            x = mx.sym.Activation(x, act_type='relu')
        x = mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='max')
    for number, units in enumerate((4096, 4096, 1000), 1):
        x = mx.sym.FullyConnected(x, num_hidden=units, name=f'fc{number}')
        if number < 3:
            x = mx.sym.Dropout(mx.sym.Activation(x, act_type='relu'), p=0.5)
    return mx.sym.SoftmaxOutput(x, name='softmax')


def weighted(rows):
    """The rows that the book's tables have, without the input."""
    return [row for row in rows if row.weighted and row.operator != 'input']


# parameters, MFLOPs as printed
TABLE_5_2 = [(34944, 203), (614656, 831), (885120, 255), (1327488, 382), (884992, 255), (26218496, 52),
             (16781312, 34), (4097000, 8)]
TABLE_5_3 = [(1792, 173), (36928, 3699), (73856, 1850), (147584, 3699), (295168, 1850), (590080, 3699),
             (590080, 3699), (1180160, 1850), (2359808, 3699), (2359808, 3699), (2359808, 925),
             (2359808, 925), (2359808, 925), (102764544, 206), (16781312, 34), (4097000, 8)]


@pytest.mark.parametrize('network, table', [(alexnet, TABLE_5_2), (vgg16, TABLE_5_3)])
def test_each_row_of_the_printed_tables(network, table):
    rows = weighted(layer_table(network(), (1, 3, 224, 224)))
    assert [(row.parameters, round(row.flops / 1e6)) for row in rows] == table


def test_totals_of_table_5_2():
    rows = layer_table(alexnet(), (1, 3, 224, 224))
    assert [row.output_shape for row in rows if row.kind.startswith(('convolution', 'max'))] == [
        (96, 54, 54), (96, 26, 26), (256, 26, 26), (256, 12, 12), (384, 12, 12), (384, 12, 12), (256, 12, 12),
        (256, 5, 5)]
    assert f'{sum(row.parameters for row in rows) / 1e6:.1f}' == '50.8'
    assert f'{sum(row.flops for row in rows if row.weighted) / 1e9:.2f}' == '2.02'
    # The book adds up input, convolutions and fully connected layers: ReLU works in place, no pooling.
    assert f'{rows[0].activation_bytes / 1e6:.2f}' == '0.60'
    assert f'{sum(row.activation_bytes for row in rows if row.weighted) / 1e6:.2f}' == '3.04'


def test_totals_of_table_5_3():
    rows = layer_table(vgg16(), (1, 3, 224, 224))
    assert round(sum(row.parameters for row in rows) / 1e6) == 138
    assert f'{sum(row.flops for row in rows if row.weighted) / 1e9:.1f}' == '30.9'
    activations = sum(row.activation_bytes for row in rows if row.weighted) / 1e6
    assert int(100 * activations) / 100 == 54.82  # 54.829: the book cuts the last digit off here


def test_the_networks_of_3_4_2_and_4_4():
    assert sum(row.parameters for row in layer_table(MLP(), (1, 1, 28, 28))) == 109386
    rows = layer_table(LeNet(), (1, 1, 28, 28))
    assert sum(row.parameters for row in rows) == 58058
    assert [row.parameters for row in rows if row.parameters] == [832, 64, 51264, 128, 5770]
    assert [row.output_shape for row in rows if row.kind.startswith(('convolution', 'max'))] == [
        (32, 24, 24), (32, 11, 11), (64, 7, 7), (64, 3, 3), (10, 1, 1)]
    assert [row.name for row in rows][:3] == ['data', 'conv0', 'batchnorm0']


def test_the_length_of_the_batch_does_not_matter():
    network = LeNet()
    assert layer_table(network, (32, 1, 28, 28)) == layer_table(network, (1, 1, 28, 28))


@pytest.mark.parametrize('operator, shape, expected', [
    # 3x3, 64 -> 128 planes, one by one: 5.5.6's 576 weights without bias, at 8x8 points
    (lambda x: mx.sym.Convolution(x, kernel=(3, 3), pad=(1, 1), num_filter=64, num_group=64, no_bias=True),
     (64, 8, 8), ('convolution 3x3, pad 1, 64 groups', (64, 8, 8), 576, 2 * 576 * 64)),
    (lambda x: mx.sym.Convolution(x, kernel=(3, 3), dilate=(2, 2), stride=(2, 2), num_filter=4),
     (2, 9, 9), ('convolution 3x3, stride 2, dilation 2', (4, 3, 3), 4 * 2 * 9 + 4, 2 * 4 * 2 * 9 * 9)),
    # each of 3x3x5 input values is multiplied by 4x4 weights of 7 planes
    (lambda x: mx.sym.Deconvolution(x, kernel=(4, 4), stride=(2, 2), pad=(1, 1), num_filter=7),
     (5, 3, 3), ('transposed convolution 4x4, stride 2, pad 1', (7, 6, 6), 5 * 7 * 16, 2 * 45 * 7 * 16)),
    (lambda x: mx.sym.FullyConnected(x, num_hidden=6), (3, 2, 2), ('fully connected', (6,), 78, 2 * 12 * 6)),
    (lambda x: mx.sym.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg'), (3, 4, 4),
     ('average 2x2, stride 2', (3, 2, 2), 0, 48)),
    (lambda x: mx.sym.Pooling(x, global_pool=True, pool_type='max', kernel=(1, 1)), (3, 4, 4),
     ('global max', (3, 1, 1), 0, 48)),
    (lambda x: mx.sym.LeakyReLU(x, act_type='leaky', slope=0.1), (3, 4, 4),
     ('leaky relu 0.1', (3, 4, 4), 0, 48)),
    (lambda x: mx.sym.LeakyReLU(x, act_type='prelu'), (3, 4, 4), ('prelu', (3, 4, 4), 3, 48)),
    (lambda x: mx.sym.softmax(x), (10,), ('softmax', (10,), 0, 30)),
    (lambda x: mx.sym.mean(x, axis=(2, 3)), (3, 4, 4), ('mean', (3,), 0, 48)),
    (lambda x: x + x, (3, 4, 4), ('elemwise_add', (3, 4, 4), 0, 48)),
    (lambda x: mx.sym.Concat(x, x, dim=1), (3, 4, 4), ('Concat', (6, 4, 4), 0, 0)),
    (lambda x: mx.sym.Dropout(x, p=0.3), (3, 4, 4), ('dropout 0.3', (3, 4, 4), 0, 0)),
    (lambda x: mx.sym.SliceChannel(x, num_outputs=3), (3, 4, 4), ('SliceChannel', (1, 4, 4), 0, 0)),
])
def test_one_operator(operator, shape, expected):
    row = layer_table(operator(mx.sym.var('data')), (1,) + shape)[1]
    assert (row.kind, row.output_shape, row.parameters, row.flops) == expected
    assert row.known


def test_shared_weights_are_counted_once():
    first = nn.Dense(5, in_units=5)
    net = nn.HybridSequential()
    net.add(first, nn.Dense(5, in_units=5, params=first.params))
    assert [row.parameters for row in layer_table(net, (1, 5))] == [0, 30, 0]


def printed(rows):
    page = io.StringIO()
    print_layer_table(rows, Console(file=page, width=150))
    return page.getvalue()


def test_the_page_has_every_layer_and_both_totals():
    text = printed(layer_table(LeNet(), (1, 1, 28, 28)))
    for word in ('conv0', 'batchnorm1', 'max 3x3, stride 2', '32x24x24', '51,264', '58,058', 'table 5-2'):
        assert word in text
    assert 'not known' not in text


def test_an_operator_that_is_not_known_is_said_so():
    square = mx.sym.FullyConnected(mx.sym.var('data'), num_hidden=3, flatten=False)
    rows = layer_table(mx.sym.linalg.gelqf(square), (1, 2, 3))
    assert not rows[-1].known and rows[-1].flops == 0
    text = printed(rows)
    assert '?' in text and 'FLOPs not known and left out of the totals (?): _linalg_gelqf' in text


def test_an_input_that_does_not_fit():
    with pytest.raises(UserError, match='1x4x4: the network does not take this input'):
        layer_table(LeNet(), (1, 1, 4, 4))


def test_the_graph_is_drawn_whole_or_not_at_all(tmp_path, monkeypatch):
    import graphviz
    with pytest.raises(UserError, match='ends with .png'):
        draw_graph(LeNet(), (1, 1, 28, 28), tmp_path / 'x.bmp')
    path = os.environ['PATH']
    monkeypatch.setenv('PATH', str(tmp_path))  # holds no `dot`
    with pytest.raises(UserError, match='apt-get install graphviz'):
        draw_graph(LeNet(), (1, 1, 28, 28), tmp_path / 'x.png')
    assert not list(tmp_path.iterdir())
    monkeypatch.setenv('PATH', path)
    try:
        graphviz.Digraph().pipe('svg')
    except graphviz.ExecutableNotFound:
        pytest.skip('dot is not installed')
    draw_graph(LeNet(), (1, 1, 28, 28), tmp_path / 'x.svg')
    picture = (tmp_path / 'x.svg').read_text()
    for words in ('conv0', '51,264 parameters', '32x24x24', 'max 3x3, stride 2', 'output'):
        assert words in picture
    draw_graph(LeNet(), (1, 1, 28, 28), tmp_path / 'x.png')
    assert (tmp_path / 'x.png').read_bytes().startswith(b'\x89PNG')
    assert sorted(file.name for file in tmp_path.iterdir()) == ['x.png', 'x.svg']
