"""Section 4.5.5: a trained network for other programs, as ONNX or as MXNet's own files for `SymbolBlock`.

What is written has computed the same as MXNet just before; what did not is not written.
"""
import contextlib
import json
import os
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Mapping, Tuple

import mxnet as mx
import numpy as np
from mxnet.ndarray import CachedOp

from chapters.kit.data.training_data import Facts
from chapters.kit.networks.layer_table import as_symbol, input_name
from chapters.kit.trained.run import experiment_of, last_export, read_config
from chapters.kit.trained.saved import network_of
from chapters.kit.trained.zoo import results_folder, run_folder
from chapters.kit.training.checkpoint import whole_arrays
from data_tools.atomic import atomic_path, atomic_write, make_folder
from data_tools.errors import UserError

# MXNet 1.9.1 writes what ONNX had in its opset 13, whichever version of the package onnx is installed. Every
# runtime since 2021 reads it.
OPSET, IR_VERSION = 13, 7
TOLERANCE = 1e-4  # of a difference, beside the largest output or 1
_SAMPLES = 3  # in the check; another number than 1, so that a fixed batch size would be found


@dataclass(frozen=True, eq=False)
class TrainedGraph:
    """A trained network as a graph with its numbers.

    Attributes
    ----------
    folder : Path
        The run it is from; `runs/zoo-NAME` of one of the zoo.
    config : dict
        Its `config.json`.
    symbol : mxnet.symbol.Symbol
        With one or several outputs.
    arrays : mapping of str to NDArray
        Parameters and BN's statistics, float32.
    input_shape : tuple of int
        Of one sample, with the batch axis.
    """
    folder: Path
    config: Mapping
    symbol: object
    arrays: Mapping
    input_shape: Tuple[int, ...]

    @property
    def input_name(self):
        """The variable that takes the samples."""
        return input_name(self.symbol)

    @property
    def of_any_size(self):
        """Whether it makes pictures of pictures, whatever their size."""
        if len(self.input_shape) != 4:
            return False
        twice = self.input_shape[:2] + tuple(2 * side for side in self.input_shape[2:])
        try:
            return all(self.symbol.infer_shape(**{self.input_name: shape})[1] == [shape] for shape in (self.input_shape, twice))
        except mx.MXNetError:
            return False

    def outputs(self, x):
        """What MXNet computes in prediction.

        Parameters
        ----------
        x : numpy.ndarray of float32, (N, ...)

        Returns
        -------
        list of numpy.ndarray
        """
        arrays = {**self.arrays, self.input_name: mx.nd.array(x)}
        outputs = CachedOp(self.symbol)(*(arrays[name] for name in self.symbol.list_inputs()))
        return [output.asnumpy() for output in (outputs if isinstance(outputs, list) else [outputs])]

    def block(self):
        """The same as a block that Gluon computes with.

        Returns
        -------
        mxnet.gluon.SymbolBlock
        """
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')  # MXNet says that the input's type is not in the file; it never is
            found = mx.gluon.SymbolBlock(self.symbol, mx.sym.var(self.input_name))
        found.initialize()
        for name, parameter in found.collect_params().items():
            parameter.shape = self.arrays[name].shape
            parameter.set_data(self.arrays[name])
        return found

    def samples(self):
        """Inputs to try, the same each time: numbers from 0 to 1, and whole ones for planes of Go, (3, ...)."""
        shape = list(self.input_shape[1:])
        shape[-1] *= 1 + self.of_any_size  # then no squares
        x = np.random.default_rng(0).random([_SAMPLES] + shape, np.float32)
        return np.round(x) if 'planes' in self.config.get('sizes', {}) else x


def trained_graph(folder, find, judging=False):
    """The network of a run folder; of one that trains two against each other, the generator (8.3); of one that finds boxes,
    with what makes boxes and scores of its planes (5.7).

    Parameters
    ----------
    folder : path-like
        Or `zoo:NAME`.
    find : callable
        Section -> Experiment.
    judging : bool
        With the head that judges positions of Go, where the folder has one: `PolicyAndOwners` of 7.2.

    Returns
    -------
    TrainedGraph

    Raises
    ------
    UserError
        Not a run folder, or no trained network in it.
    """
    kept, name, folder, config = run_folder(folder), folder, results_folder(folder), read_config(folder)
    shape = tuple(config.get('input_shape') or Facts.of_config(config).shape)
    if not shape:
        raise UserError(f'{folder}: its config.json does not say what the network takes; it is of another version of this '
                        'project, or holds no trained network')
    experiment = experiment_of(config, find, kept)
    if experiment.trains or experiment.detects:
        network = experiment.answering(network_of(kept, config, experiment, name))
        network = experiment.judging(network, kept) if judging else network
        arrays = {name: parameter.data() for name, parameter in network.collect_params().items()}
        return TrainedGraph(folder, config, as_symbol(network), _in_float32(arrays), (1,) + shape)
    exported = last_export(kept)
    if not exported or not (kept / 'model-symbol.json').exists():
        raise UserError(f'{folder}: is a run of {config["section"]} and holds no trained network (model-symbol.json '
                        'and model-NNNN.params), or not yet')
    symbol = mx.sym.load(str(kept / 'model-symbol.json'))
    arrays = _in_float32({name.split(':', 1)[-1]: array for name, array in mx.nd.load(str(exported)).items()})
    return TrainedGraph(folder, config, symbol, arrays, (1,) + shape)


def _in_float32(arrays):
    return {name: array.astype('float32', copy=False) for name, array in arrays.items()}


def export_onnx(graph, path):
    """Write a network as ONNX.

    Its input is called as in MXNet, `data`, and takes any number of samples; of a network that makes pictures of pictures,
    such as 5.8-fast, of any size. A detector gives `boxes` and `scores`, before suppression (`Boxes` of 5.7). The file's
    metadata say which run it is of, and the names of the classes.

    Parameters
    ----------
    graph : TrainedGraph
    path : path-like

    Returns
    -------
    float
        The largest difference between onnxruntime and MXNet in the check.

    Raises
    ------
    UserError
        See `onnx_model`; or `path` cannot be written. Nothing is written then.
    """
    model, difference = onnx_model(graph)
    make_folder(Path(path).parent)
    with atomic_write(path) as file:
        file.write(model)
    return difference


def onnx_model(graph):
    """A network as the bytes of an ONNX file, checked against MXNet.

    Parameters
    ----------
    graph : TrainedGraph

    Returns
    -------
    (bytes, float)
        The model, and the largest difference between onnxruntime and MXNet, over the largest output or 1.

    Raises
    ------
    UserError
        onnx or onnxruntime is not installed; ONNX lacks an operator of the network; onnxruntime computes something
        else.
    """
    try:
        import onnxruntime
        from mxnet.onnx.mx2onnx._export_onnx import MXNetGraph
        from onnx import TensorProto, checker, helper
    except ImportError as error:
        raise UserError(f'{error.name} is not installed for {sys.executable}, and ONNX needs onnx and onnxruntime: '
                        '`make setup` installs them, or `python -m pip install -e .[cpu]`') from None
    sizes = (graph.input_shape[1], 'height', 'width') if graph.of_any_size else graph.input_shape[1:]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of deprecated names, which MXNet uses
        checker.DEFAULT_CONTEXT.opset_imports = {'': OPSET}  # else of the package's newest
        MXNetGraph.registry_[OPSET]['null'] = _variable
        try:
            with contextlib.redirect_stdout(None):  # it prints names of operators
                body = MXNetGraph().create_onnx_graph_proto(
                    _with_plain_reshapes(graph), dict(graph.arrays), [graph.input_shape], [TensorProto.FLOAT],
                    opset_version=OPSET, dynamic=True, dynamic_input_shapes=[('batch',) + sizes])
        except (AttributeError, NotImplementedError) as error:  # it knows no such operator, or not with these settings
            raise UserError(f'{graph.folder}: MXNet cannot write this network as ONNX ({" ".join(str(error).split())}); '
                            '`--mxnet` can') from None
        inputs = [value for value in body.input if value.name == graph.input_name]
        del body.input[:]  # the parameters are constants: listed as inputs they could not be optimised
        body.input.extend(inputs)
        outputs = {value.name: value for value in body.output}  # it has them in the order in which they are computed
        wanted = [name[:-len('_output')] if name.endswith('_output') else name for name in graph.symbol.list_outputs()]
        if set(wanted) == set(outputs):
            del body.output[:]
            body.output.extend(outputs[name] for name in wanted)
        model = helper.make_model(body, opset_imports=[helper.make_opsetid('', OPSET)], producer_name='bookcnn')
        model.ir_version = IR_VERSION
        helper.set_model_props(model, {
            'section': graph.config['section'], 'title': graph.config['title'], 'command': graph.config['command'],
            'classes': json.dumps(Facts.of_config(graph.config).class_names, ensure_ascii=False)})
        settings = onnxruntime.SessionOptions()
        settings.log_severity_level = 4
        settings.intra_op_num_threads = int(os.environ.get('OMP_NUM_THREADS') or 0)
        x = graph.samples()
        try:
            session = onnxruntime.InferenceSession(model.SerializeToString(), settings, ['CPUExecutionProvider'])
            theirs = session.run(None, {graph.input_name: x})
        except Exception as error:  # onnxruntime's errors have no common ancestor but this
            raise UserError(f'{graph.folder}: onnxruntime refuses the exported network ({error}); nothing was written'
                            ) from None
    return model.SerializeToString(), _compare(graph, graph.outputs(x), theirs, 'onnxruntime')


def _with_plain_reshapes(graph):
    """The graph with sizes where a reshape says -2, -3 or -4, which MXNet's exporter does not know."""
    internals = graph.symbol.get_internals()
    shapes = dict(zip(internals.list_outputs(), internals.infer_shape(**{graph.input_name: graph.input_shape})[1]))
    description = json.loads(graph.symbol.tojson())
    for node in description['nodes']:
        wanted = node.get('attrs', {}).get('shape', '')
        if node['op'] in ('Reshape', 'reshape') and wanted.startswith('(0,') and re.search('-[234]', wanted):
            node['attrs']['shape'] = str((0,) + shapes[node['name'] + '_output'][1:])  # 0: the samples, however many
    return mx.sym.load_json(json.dumps(description))


def _variable(node, **found):
    """A variable of a graph for MXNet's exporter, whose own way through Python lists takes minutes for VGG."""
    from mxnet.onnx.mx2onnx._op_translations._op_translations_opset12 import convert_weights_and_inputs
    from onnx import helper, numpy_helper
    if found['is_input']:
        return convert_weights_and_inputs(node, **found)
    array = found['weights'][node['name']]
    tensor = numpy_helper.from_array(array, node['name'])
    found['initializer'].append(tensor)
    return [helper.make_tensor_value_info(tensor.name, tensor.data_type, array.shape)], (array.dtype,)


def export_mxnet(graph, folder):
    """Write `model-symbol.json` and `model-0000.params`, which `gluon.SymbolBlock.imports` and `Module.load` read.

    Parameters
    ----------
    graph : TrainedGraph
    folder : path-like
        Made if missing.

    Returns
    -------
    float
        The largest difference between what `SymbolBlock` reads and the network, as for `onnx_model`.

    Raises
    ------
    UserError
        They differ; or the folder refuses the files.
    """
    folder = Path(folder)
    make_folder(folder)
    states = set(graph.symbol.list_auxiliary_states())
    used = states.union(graph.symbol.list_arguments())
    saved = {f'{"aux" if name in states else "arg"}:{name}': array for name, array in graph.arrays.items()
             if name in used}
    with atomic_path(folder / 'model-symbol.json') as symbol, whole_arrays(folder / 'model-0000.params') as params:
        graph.symbol.save(str(symbol))
        mx.nd.save(str(params), saved)
        with warnings.catch_warnings():
            warnings.simplefilter('ignore')
            block = mx.gluon.SymbolBlock.imports(str(symbol), [graph.input_name], str(params))
        x = graph.samples()
        answers = block(mx.nd.array(x))
        answers = answers if isinstance(answers, (list, tuple)) else [answers]
        return _compare(graph, graph.outputs(x), [answer.asnumpy() for answer in answers], 'SymbolBlock')


def _compare(graph, ours, theirs, reader):
    """The largest difference of two lists of outputs; UserError where it is too large."""
    largest = 0.0
    for number, (one, other) in enumerate(zip(ours, theirs)):
        if one.shape != other.shape:
            raise UserError(f'{graph.folder}: {reader} gives output {number} of shape {other.shape}, MXNet '
                            f'{one.shape}; nothing was written')
        difference = np.abs(one - other).max() / max(1, np.abs(one).max())
        if not difference <= TOLERANCE:  # also NaN
            raise UserError(f'{graph.folder}: output {number} differs between {reader} and MXNet by '
                            f'{difference:.2g}, more than {TOLERANCE:g}; nothing was written')
        largest = max(largest, float(difference))
    return largest
