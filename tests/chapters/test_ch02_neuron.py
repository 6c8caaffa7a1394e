"""Chapter 2: the numbers that the book prints, and what its networks learn."""
import random
import re

import numpy as np
import pytest

import chapters
from chapters.kit.perform import run_experiment


def run(section, folder, **changes):
    """Run an experiment; returns its folder, and {name: value} of its figures."""
    experiment = chapters.find(section)
    done, result = run_experiment(experiment.but(**changes) if changes else experiment, out=folder / section)
    return done.folder, {name: value['last'] for name, value in result['metrics'].items()}




def test_output_of_a_neuron(tmp_path):
    assert run('2.1.1', tmp_path)[1]['output'] == pytest.approx(3211.71, abs=1e-9)


def test_two_updates_by_hand_and_the_optimum(tmp_path):
    folder, metrics = run('2.1.4', tmp_path)
    for printed in chapters.find('2.1.4').book:
        places = 4 if printed.metric == 'step2_loss' else 6
        assert metrics[printed.metric] == pytest.approx(printed.value, abs=0.51 * 10 ** -places), printed
    assert (folder / 'figures' / 'loss-surface.png').stat().st_size > 10000


def test_other_order_gives_other_weights(tmp_path):
    _, metrics = run('2.1.4-swapped', tmp_path)
    assert [metrics[f'step2_{name}'] for name in ('out', 'w1', 'w2', 'b')] == pytest.approx([0.129, 0.06342, 0.13736, 0.2342])
    assert metrics['moved_w1'] == pytest.approx(0.06342 - 0.04536)


def test_lower_rate_jitters_less(tmp_path):
    folder, metrics = run('2.1.4-lower-rate', tmp_path)
    assert metrics['lower_jitter'] < 0.6 * metrics['same_jitter']
    assert 1 / 72 < metrics['lower_mean_loss'] < 1 / 72 + 0.001 < metrics['same_mean_loss']
    assert (folder / 'figures' / 'rates.png').exists()


def test_mean_loss_is_the_mean_of_the_losses():
    from chapters.ch02_neuron.neuron import mean_loss
    x1, x2 = np.meshgrid(*[(np.arange(1000) + 0.5) / 1000] * 2)
    for w1, w2, b in ((0, 0, 0), (0.3, 0.9, -0.2), (0.5, 0.5, 1 / 6)):
        losses = (w1 * x1 + w2 * x2 + b - np.maximum(x1, x2)) ** 2
        assert mean_loss(w1, w2, b) == pytest.approx(np.mean(losses), abs=1e-5)
    w, b = 0.37, 0.21
    assert mean_loss(w, w, b) == pytest.approx((3 - 8 * b + 6 * b ** 2 - 9 * w + 12 * b * w + 7 * w ** 2) / 6)


def test_neuron_in_mxnet_ends_near_the_optimum(tmp_path):
    _, metrics = run('2.2.8', tmp_path)
    assert abs(metrics['w1'] - 1 / 2) < 0.06 and abs(metrics['w2'] - 1 / 2) < 0.06
    assert abs(metrics['b'] - 1 / 6) < 0.03


def test_variation_with_larger_batches_ends_nearer(tmp_path):
    _, metrics = run('2.2.8-batch10', tmp_path)
    assert abs(metrics['w1'] - 1 / 2) < 0.03 and abs(metrics['w2'] - 1 / 2) < 0.03
    assert abs(metrics['b'] - 1 / 6) < 0.03


def calculate(path, most=400):
    """Evaluate the formulas of a sheet's first rows, as a spreadsheet program does; {heading: numbers}."""
    from openpyxl import load_workbook
    cells = {cell.coordinate: cell.value for row in load_workbook(path).active.iter_rows() for cell in row
             if cell.value is not None}
    functions = {'MAX': max, 'POWER': pow, 'RAND': random.random, 'IF': lambda condition, yes, no: yes if condition else no}
    values = dict(cells)

    def value(name):
        if isinstance(values[name], str) and values[name].startswith('='):
            text = values[name][1:].replace('$', '')
            text = re.sub(r'\b[A-Z]{1,2}\d+\b', lambda match: f'value("{match.group()}")', text)
            values[name] = eval(text, dict(functions, value=value))
        return values[name]
    headings = {re.match('[A-Z]+', name).group(): content for name, content in cells.items()
                if re.fullmatch('[A-Z]+5', name)}
    rows = min(5 + most, max(int(re.search(r'\d+', name).group()) for name in cells))
    return {heading: [value(f'{column}{row}') for row in range(6, rows + 1)]
            for column, heading in headings.items()}


def test_spreadsheet_of_the_neuron(tmp_path):
    from openpyxl import load_workbook

    from chapters.ch02_neuron.neuron import update
    folder, _ = run('2.1.5', tmp_path)
    table = calculate(folder / 'neuron.xlsx')
    assert list(table) == ['t', 'x1', 'x2', 'target', 'w1', 'w2', 'b', 'OUT', 'MSE', 'eta']
    assert len(table['t']) == 400
    w, b = np.zeros(2), 0.0
    for t, (x1, x2, target) in enumerate(zip(table['x1'], table['x2'], table['target'])):
        assert target == max(x1, x2)
        assert [table['w1'][t], table['w2'][t], table['b'][t]] == pytest.approx([*w, b], abs=1e-12)
        w, b, out, loss = update(w, b, np.array([x1, x2]), target, 0.2 * 0.997 ** t)
        assert (table['OUT'][t], table['MSE'][t]) == pytest.approx((out, loss), abs=1e-12)
    assert abs(table['w1'][-1] - 0.5) < 0.1
    sheet = load_workbook(folder / 'neuron.xlsx').active
    assert sheet['B6'].value == sheet['C405'].value == '=RAND()'
    assert [len(chart.series) for chart in sheet._charts] == [3, 1]  # w1, w2, b; MSE
    assert calculate(folder / 'neuron.xlsx')['x1'] != table['x1']  # other samples each time it is calculated
    assert (folder / 'figures' / 'parameters.png').exists()


def test_spreadsheet_of_the_network(tmp_path):
    from openpyxl import load_workbook

    from chapters.ch02_neuron.two_layer import START, update
    folder, _ = run('2.3.5', tmp_path)
    sheet = load_workbook(folder / 'network.xlsx').active
    assert sheet.max_row == 4005 and sheet['B9'].value == 0.46 and sheet['B10'].value == sheet['C4005'].value == '=RAND()'
    table = calculate(folder / 'network.xlsx', 101)
    assert list(table) == ['t', 'x1', 'x2', 'target', *START, 'I1', 'I2', 'OUT', 'MSE', 'G', 'G3', 'G2', 'G1']
    p = dict(START)
    for t, (x1, x2) in enumerate(zip(table['x1'], table['x2'])):
        assert {name: table[name][t] for name in START} == pytest.approx(p, abs=1e-9)
        p, seen = update(p, x1, x2, max(x1, x2), 0.1)
        for name in ('I1', 'I2', 'OUT', 'MSE', 'G3', 'G2', 'G1'):
            assert table[name][t] == pytest.approx(seen[name], abs=1e-9)
    assert table['w13'][1] == pytest.approx(0.5125) and table['w22'][1] == pytest.approx(1.025)


def test_the_output_neuron_of_2_3_4_is_linear():
    """A negative I3 comes out as it is, and its gradient flows: in both forms."""
    import mxnet as mx

    from chapters.ch02_neuron.two_layer import START, TwoTwoOne, update
    p, seen = update({**START, 'b3': -2.0}, 0.5, 1, 1, 0.1)
    assert seen['OUT'] == seen['I3'] == pytest.approx(-1.25) and seen['G3'] == 1
    assert p['b3'] == pytest.approx(-2 + 0.1 * 2 * 2.25)
    network = TwoTwoOne().start()
    network.fc2.bias.set_data(mx.nd.array([-2]))
    assert network(mx.nd.array([[0.5, 1]])).asscalar() == pytest.approx(-1.25)


def test_network_by_hand(tmp_path):
    folder, metrics = run('2.3.4', tmp_path)
    for printed in chapters.find('2.3.4').book:
        if printed.metric.startswith('OUT_sample'):
            # the book prints the inputs of these rows to two digits, so the output may be off by 0.01
            assert metrics[printed.metric] == pytest.approx(printed.value, abs=0.01)
        elif printed.metric == 'mean_loss_after_4000':
            assert metrics[printed.metric] < 1e-3  # the best single neuron has 1/72
        else:
            assert metrics[printed.metric] == pytest.approx(printed.value, abs=1e-9), printed.metric
    assert metrics['difference_by_hand_autograd'] < 1e-6


def test_max_from_relus(tmp_path):
    folder, metrics = run('2.3.2', tmp_path)
    assert metrics['largest_error_of_relu_max'] < 1e-6
    assert (folder / 'figures' / 'activations.png').exists()


def test_swish_is_not_monotonic_and_learns(tmp_path):
    folder, metrics = run('2.3.2-swish', tmp_path, epochs=6)
    assert metrics['swish_least'] == pytest.approx(-0.278465, abs=1e-5)
    assert metrics['swish_least_at'] == pytest.approx(-1.28, abs=0.01)
    assert metrics['validation_mse'] < 1 / 72 / 3  # less than the best single neuron
    assert (folder / 'figures' / 'swish.png').exists()


def test_back_propagation_is_a_sum_over_paths(tmp_path):
    from chapters.ch02_neuron.paths import START, backward, forward, paths
    folder, metrics = run('2.3.6', tmp_path)
    assert paths(1) == [(1, 3, 5), (1, 4, 5)] and paths(4) == [(4, 5)]
    assert metrics['G1'] == pytest.approx(0.9 * 0.7 - 0.6 * -0.5) and metrics['G2'] == pytest.approx(0.9 * -0.3 - 0.6 * 0.8)
    assert metrics['difference_paths'] < 1e-12 and metrics['difference_autograd'] < 1e-6
    assert (folder / 'figures' / 'paths.png').exists()
    inputs, outputs = forward(START, 0.5, 1.0)  # by finite differences
    for neuron, slope in backward(START, inputs).items():
        moved = {**START, f'b{neuron}': START[f'b{neuron}'] + 1e-6}
        assert (forward(moved, 0.5, 1.0)[1][5] - outputs[5]) / 1e-6 == pytest.approx(slope, abs=1e-6)


def test_hidden_layers_bend_the_plane_and_lift_it(tmp_path):
    folder, metrics = run('2.3.8', tmp_path)
    assert metrics['share_right'] > 0.99 and metrics['straight_line'] < 0.85
    assert (folder / 'figures' / 'bent.png').stat().st_size > 10000
    _, three = run('2.3.8-rings', tmp_path)
    _, two = run('2.3.8-rings', tmp_path / 'two', hidden=2)
    assert three['share_right'] > 0.99 and two['share_right'] < 0.95


def test_without_an_initializer_the_network_stays_with_the_mean(tmp_path):
    _, metrics = run('2.3.9-default-start', tmp_path, epochs=3)
    printed = chapters.find('2.3.9-default-start').figure('train_mse').value
    assert printed == 0.055209 and metrics['train_mse_epoch1'] == pytest.approx(printed, abs=2e-3)


def test_network_of_ten_units_learns_what_three_rarely_do(tmp_path):
    _, ten = run('2.3.9', tmp_path, epochs=3)
    _, three = run('2.3.9-hidden3', tmp_path, epochs=1)
    assert ten['train_mse'] < 0.0005
    assert three['train_mse'] > 0.01
