"""Chapter 1: the polynomial that says 31, and LeNet-5 as its paper has it."""
import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.kit.perform import run_experiment


def test_polynomial_as_printed(tmp_path):
    run, result = run_experiment(chapters.find('1.2.3'), out=tmp_path / 'run')
    for printed in chapters.find('1.2.3').book:
        assert result['metrics'][printed.metric]['last'] == pytest.approx(printed.value, abs=1e-8), printed
    assert (run.folder / 'figures' / 'polynomial.png').exists()


def test_lenet5_has_the_papers_parameters_layer_by_layer():
    network = chapters.find('1.4.2').build()
    network.initialize()
    network(mx.nd.zeros((1, 1, 28, 28)))
    counts = [sum(parameter.data().size for name, parameter in layer.collect_params().items() if parameter.grad_req != 'null')
              for layer in (*network.features, network.output)]
    assert [count for count in counts if count] == [156, 12, 1516 + 9 * 100, 32, 48120, 10164, 850]
    seen = network.features[4].seen.data().asnumpy()
    assert seen.sum() == 60 * 25 and 60 * 25 + 16 == 1516  # the weights of C3 that are in use
    assert [int(plane[:, 0, 0].sum()) for plane in seen] == [3] * 6 + [4] * 9 + [6]
    assert (seen[:, :, 0, 0].sum(axis=0) == 10).all()  # every plane of S2 is used ten times


def test_unconnected_planes_change_nothing():
    layer = chapters.find('1.4.2').build().features[4]
    layer.initialize(mx.init.Xavier())
    x = mx.nd.random.uniform(shape=(1, 6, 14, 14))
    before = layer(x).asnumpy()
    x[:, 3] += 1
    changed = [plane for plane in range(16) if np.abs(layer(x).asnumpy() - before)[0, plane].max() > 1e-6]
    from chapters.ch01_overview.lenet5 import TABLE_1
    assert changed == [plane for plane, sources in enumerate(TABLE_1) if '3' in sources]


def test_lenet5_learns_digits(tmp_path):
    _, result = run_experiment(chapters.find('1.4.2').but(epochs=2), data='digits', out=tmp_path / 'run')
    assert result['metrics']['validation_accuracy']['last'] > 0.8
