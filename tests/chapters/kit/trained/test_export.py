"""Exported networks compute what MXNet computes; what cannot be exported is refused in one line."""
import json
from pathlib import Path

import mxnet as mx
import numpy as np
import pytest

import chapters
from chapters.__main__ import main
from chapters.ch05_detection_style.fast_style import StyleNet
from chapters.kit.networks.layer_table import as_symbol
from chapters.kit.perform import run_experiment
from chapters.kit.trained.export import TrainedGraph, export_mxnet, export_onnx, onnx_model, trained_graph
from chapters.kit.training.epochs import seed_everything
from data_tools.errors import UserError

onnxruntime = pytest.importorskip('onnxruntime')

# One of every kind of layer, at sizes that take a moment.
KINDS = {'2.3.9': {}, '3.4.2': {}, '4.2.2': {}, '4.4': {}, '5.1.1': {}, '5.1.2': {}, '5.1.3': {}, '5.4.4': {},
         '5.4.5': {}, '5.5.3-stochastic-depth': {'width': 0.25}, '5.5.3-shake-shake': {'width': 0.25},
         '5.5.5': {}, '5.5.6': {}, '5.5.7': {}, '5.6.2-squeezenet': {'classes': 10},
         '5.6.2-shufflenet': {'classes': 10}, '5.6.3-dilated': {},
         '5.7.1-scenes': {}, '5.7.2': {}, '5.7.2-cells': {'filters': 16, 'sample_shape': (3, 64, 96)},
         '6.3': {}, '6.3-zero': {'units': 1, 'filters': 8}, '6.3-value': {'layers': 2, 'filters': 8},
         '7.2': {'units': 1, 'filters': 8},
         '7.2-small': {'units': 1, 'filters': 8}}


def graph_of(section, folder='here', **changes):
    """An untrained network of an experiment, BN's statistics of the kind that training leaves."""
    experiment = chapters.find(section)
    sizes = {**experiment.sizes, **experiment.small, **changes}
    shape = (1,) + tuple(sizes.pop('sample_shape', experiment.input_shape[1:]))
    if section.startswith('5.6.2'):
        shape = (1, 3, 64, 64)
    random = seed_everything(3)
    network = experiment.answering(experiment.network(prefix='net_', **sizes))
    network.initialize(mx.init.MSRAPrelu('avg', 0))
    network(mx.nd.zeros(shape))
    for name, parameter in network.collect_params().items():
        if name.endswith(('running_mean', 'beta', 'bias')):
            parameter.set_data(mx.nd.array(random.normal(0, 0.2, parameter.shape)))
        if name.endswith(('running_var', 'gamma')):
            parameter.set_data(mx.nd.array(random.uniform(0.5, 1.5, parameter.shape)))
    arrays = {name: parameter.data() for name, parameter in network.collect_params().items()}
    config = {'section': section, 'title': experiment.title, 'command': '', 'sizes': dict(experiment.sizes)}
    return network, TrainedGraph(Path(folder), config, as_symbol(network), arrays, shape)


@pytest.mark.parametrize('section', KINDS)
def test_every_kind_of_network_is_the_same_in_onnxruntime(section):
    network, graph = graph_of(section, **KINDS[section])
    model, difference = onnx_model(graph)
    assert difference < 1e-4
    session = onnxruntime.InferenceSession(model, providers=['CPUExecutionProvider'])
    x = np.random.default_rng(5).normal(size=(5,) + graph.input_shape[1:]).astype(np.float32)  # another batch size
    outputs = network(mx.nd.array(x))
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    found = session.run(None, {'data': x})
    assert len(found) == len(outputs) == (2 if section == '6.3-zero' or section.startswith('5.7') else 1)
    for one, other in zip(outputs, found):
        assert np.abs(one.asnumpy()).max() > 1e-3  # something to compare
        np.testing.assert_allclose(other, one.asnumpy(), rtol=1e-4, atol=1e-4 * max(1, np.abs(other).max()))
    assert session.get_modelmeta().custom_metadata_map['section'] == section


def test_a_detector_gives_boxes_and_scores_and_one_of_two_stages_is_refused_in_a_line():
    _, graph = graph_of('5.7.2')
    session = onnxruntime.InferenceSession(onnx_model(graph)[0], providers=['CPUExecutionProvider'])
    assert [(output.name, output.shape[1:]) for output in session.get_outputs()] == [
        ('boxes', [180, 4]), ('scores', [180, 10])]
    with pytest.raises(UserError, match='^here: MXNet cannot write this network as ONNX .*ROIAlign.* `--mxnet` can$'):
        onnx_model(graph_of('5.7.3')[1])


def test_a_network_that_has_learnt_a_style_takes_pictures_of_any_size():
    network = StyleNet((4, 6, 8), 1, prefix='net_')
    network.initialize()
    network(mx.nd.zeros((1, 3, 64, 64)))
    arrays = {name: parameter.data() for name, parameter in network.collect_params().items()}
    graph = TrainedGraph(Path('here'), {'section': '5.8-fast', 'title': '', 'command': ''}, as_symbol(network), arrays,
                         (1, 3, 64, 64))
    session = onnxruntime.InferenceSession(onnx_model(graph)[0], providers=['CPUExecutionProvider'])
    x = np.random.default_rng(5).random((2, 3, 40, 92)).astype(np.float32)
    (found,) = session.run(None, {'data': x})
    assert found.std() > 0.01
    np.testing.assert_allclose(found, network(mx.nd.array(x)).asnumpy(), atol=1e-4)


@pytest.fixture(scope='module')
def digits_run(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'digits'
    run_experiment(chapters.find('4.4').but(epochs=1, train_samples=320), data='digits', out=folder, quiet=True)
    return folder


@pytest.mark.filterwarnings('ignore:Cannot decide type')
def test_a_run_is_exported_by_the_command(digits_run, capsys):
    assert main(['export', str(digits_run), '--onnx', '--mxnet']) == 0
    folder = digits_run / 'export'
    assert sorted(path.name for path in folder.iterdir()) == ['model-0000.params', 'model-symbol.json', 'model.onnx']
    block = mx.gluon.SymbolBlock.imports(str(folder / 'model-symbol.json'), ['data'], str(folder / 'model-0000.params'))
    session = onnxruntime.InferenceSession(str(folder / 'model.onnx'), providers=['CPUExecutionProvider'])
    x = np.random.default_rng(0).random((4, 1, 28, 28), np.float32)
    np.testing.assert_allclose(session.run(None, {'data': x})[0], block(mx.nd.array(x)).asnumpy(), atol=1e-4)
    assert json.loads(session.get_modelmeta().custom_metadata_map['classes']) == [str(digit) for digit in range(10)]
    assert capsys.readouterr().err == ''


def test_the_generator_of_a_gan_is_exported(tmp_path):
    experiment = chapters.find('8.3').but(epochs=1, batch_size=16, train_samples=32, size=16, width=8)
    run_experiment(experiment, data='digits', out=tmp_path / 'run', quiet=True)
    graph = trained_graph(tmp_path / 'run', chapters.find)
    assert graph.input_shape == (1, 100)
    export_onnx(graph, tmp_path / 'generator.onnx')
    session = onnxruntime.InferenceSession(str(tmp_path / 'generator.onnx'), providers=['CPUExecutionProvider'])
    codes = np.random.default_rng(0).normal(size=(3, 100)).astype(np.float32)
    images = session.run(None, {'data': codes})[0]
    assert images.shape == (3, 1, 16, 16)
    np.testing.assert_allclose(images, graph.outputs(codes)[0], atol=1e-4)


def test_nothing_is_written_where_the_reader_computes_something_else(tmp_path, monkeypatch, digits_run):
    graph = trained_graph(digits_run, chapters.find)
    outputs = TrainedGraph.outputs
    monkeypatch.setattr(TrainedGraph, 'outputs', lambda self, x: [one + 0.01 for one in outputs(self, x)])
    for write in (lambda: export_onnx(graph, tmp_path / 'out' / 'model.onnx'),
                  lambda: export_mxnet(graph, tmp_path / 'out')):
        with pytest.raises(UserError, match='differs .* nothing was written'):
            write()
    assert not (tmp_path / 'out').exists() or not list((tmp_path / 'out').iterdir())


def test_an_operator_that_onnx_lacks_is_named():
    _, graph = graph_of('5.6.3-deformable')
    with pytest.raises(UserError, match='DeformableConvolution'):
        onnx_model(graph)
    with pytest.raises(UserError, match='ROIAlign .*`--mxnet` can'):
        onnx_model(graph_of('5.7.4')[1])


def test_mistakes_are_one_line(tmp_path, capsys, digits_run):
    def mistake(*arguments):
        assert main(list(map(str, arguments))) == 2
        lines = capsys.readouterr().err.strip().splitlines()
        assert len(lines) == 1
        return lines[0]
    assert 'not a run folder' in mistake('export', tmp_path, '--onnx')
    assert '--onnx, --mxnet or both' in mistake('export', digits_run)
    (tmp_path / 'file').write_text('')
    assert 'file' in mistake('export', digits_run, '--onnx', '--out', tmp_path / 'file')
