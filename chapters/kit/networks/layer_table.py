"""What a network costs, layer by layer, as in tables 5-2 and 5-3; and the network drawn as a graph.

Both read the graph that MXNet itself runs, so that they work for any network, whatever it is written with.
"""
import ast
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Tuple

import mxnet as mx

from data_tools.atomic import atomic_write
from data_tools.errors import UserError

_FLOAT = 4  # bytes

# Which input of a layer holds its weights.
_WEIGHT_INPUT = {'Convolution': 1, 'FullyConnected': 1, 'Deconvolution': 1,
                 '_contrib_DeformableConvolution': 2, '_contrib_ModulatedDeformableConvolution': 3}
# Operations for each value of the output, in prediction. Functions such as exp count 1, as an addition does.
_EACH_OUTPUT = {
    'Activation': 1, 'LeakyReLU': 1, 'relu': 1, 'sigmoid': 1, 'tanh': 1, 'softsign': 1, 'hard_sigmoid': 1,
    'BatchNorm': 2, 'LRN': 1,  # scale and shift: mean and variance are known beforehand
    'LayerNorm': 7, 'InstanceNorm': 7, 'GroupNorm': 7,  # mean 1, variance 3, normalise 1, scale and shift 2
    'softmax': 3, 'log_softmax': 3, 'SoftmaxActivation': 3, 'SoftmaxOutput': 3, 'LogisticRegressionOutput': 1,
    'L2Normalization': 3, 'clip': 2, 'abs': 1, 'sqrt': 1, 'rsqrt': 1, 'square': 1, 'exp': 1, 'log': 1,
    'sign': 1, 'negative': 1, 'reciprocal': 1, 'erf': 1, 'cos': 1, 'sin': 1, 'where': 1, 'smooth_l1': 1,
    'maximum': 1, 'minimum': 1, '_random_uniform_like': 1, '_contrib_box_decode': 4,
}
# Operations for each value of the first input.
_EACH_INPUT = {'mean': 1, 'sum': 1, 'max': 1, 'min': 1, 'prod': 1, 'norm': 2, 'argmax': 1, 'argmin': 1,
               '_contrib_AdaptiveAvgPooling2D': 1}
# These move or choose values, and calculate nothing.
_NO_WORK = {
    'Dropout', 'Flatten', 'Reshape', 'reshape', 'reshape_like', 'transpose', 'Concat', 'concat', 'stack',
    'slice', 'slice_axis', 'slice_like', 'SliceChannel', 'split', '_split_v2', 'SwapAxis', 'expand_dims',
    'squeeze', 'Pad', 'pad', 'Crop', 'repeat', 'tile', 'reverse', 'flip', 'BlockGrad', 'MakeLoss',
    'make_loss', '_copy', 'identity', 'Cast', 'cast', 'depth_to_space', 'space_to_depth', 'Embedding', 'take',
    'pick', 'one_hot', 'gather_nd', 'broadcast_axis', 'broadcast_to', 'broadcast_like', 'zeros_like',
    'ones_like', '_zeros', '_ones', '_arange', 'LinearRegressionOutput', 'MAERegressionOutput', 'batch_take',
    'shape_array', 'size_array', '_contrib_arange_like', 'amp_multicast',
    '_contrib_box_nms',  # sorts and compares; how many boxes, the picture decides
}
_LABELLED = ('SoftmaxOutput', 'LinearRegressionOutput', 'LogisticRegressionOutput', 'MAERegressionOutput',
             'SVMOutput')


@dataclass(frozen=True)
class Layer:
    """One operator of a network, for one sample.

    Attributes
    ----------
    name : str
    kind : str
        What it does, in words: 'convolution 5x5, stride 2'.
    output_shape : tuple of int
        Without the batch axis.
    parameters : int
        Numbers learnt here: weights, biases, and 2 a channel for batch normalisation, as the book counts.
        Those shared by several layers stand in the first.
    activation_bytes : int
        Size of the output in float32.
    flops : int
        Of one forward pass; a multiply and an add count 2. Adding the bias is not counted (table 5-2).
    known : bool
        False: an operator whose FLOPs this table does not know, given as 0.
    operator : str
        MXNet's name of it; 'input' for what goes into the network.
    inputs : tuple of int
        Numbers of the rows whose output it takes.
    parameter_names : tuple of str
    output : int
        `symbol.get_internals()[output]` is its (first) output.
    """
    name: str
    kind: str
    output_shape: Tuple[int, ...]
    parameters: int
    activation_bytes: int
    flops: int
    known: bool = True
    operator: str = ''
    inputs: Tuple[int, ...] = ()
    parameter_names: Tuple[str, ...] = ()
    output: int = 0

    @property
    def weighted(self):
        """Whether table 5-2 has a row for it: input, convolutions, fully connected layers."""
        return self.operator in _WEIGHT_INPUT or self.operator == 'input'


def layer_table(network_or_symbol, input_shape):
    """The layers of a network in the order in which they run.

    Parameters
    ----------
    network_or_symbol : HybridBlock or mxnet.symbol.Symbol
        It need not be initialized. A symbol's input is the variable `data`, or else its first one.
    input_shape : tuple of int
        With the batch axis, whose length does not matter: all figures are for one sample.

    Returns
    -------
    list of Layer
        The first is the input.

    Raises
    ------
    UserError
        The network does not take that shape.

    Source: section 5.1.1, table 5-2.
    """
    symbol = as_symbol(network_or_symbol)
    internals = symbol.get_internals()
    nodes = json.loads(internals.tojson())
    heads, nodes = nodes['heads'], nodes['nodes']
    data = input_name(symbol)
    try:
        shapes = internals.infer_shape_partial(**{data: (1,) + tuple(input_shape[1:])})[1]
    except mx.MXNetError as error:
        # "Error in operator NAME: [time] FILE:LINE: Check failed: CONDITION: what is wrong"
        reason = [line for line in str(error).splitlines() if 'rror' in line][0]
        raise UserError(f'{_words(input_shape[1:])}: the network does not take this input '
                        f'({reason.strip()})') from None
    shape_of, place = {}, {}
    for number, ((node, part, _), shape) in enumerate(zip(heads, shapes)):
        shape_of[node, part] = tuple(shape)
        place.setdefault(node, number)
    unlearnt = set(symbol.list_auxiliary_states())
    unlearnt.update(nodes[node['inputs'][1][0]]['name'] for node in nodes
                    if node['op'] in _LABELLED and len(node['inputs']) > 1)

    rows, row_of, counted = [], {}, set()
    prefix = getattr(network_or_symbol, 'prefix', '')
    for number, node in enumerate(nodes):
        if node['op'] == 'null':
            if node['name'] == data:
                shape = shape_of[number, 0]
                row_of[number] = 0
                rows.append(Layer(data, 'input', shape[1:], 0, _FLOAT * math.prod(shape), 0, operator='input',
                                  output=place[number]))
            continue
        ins, parameters, own = [], 0, []
        for source, part, _ in node['inputs']:
            name = nodes[source]['name']
            if nodes[source]['op'] != 'null' or name == data:
                ins.append(row_of[source])
            elif name not in unlearnt:
                own.append(name)
                if name not in counted:
                    counted.add(name)
                    parameters += math.prod(shape_of[source, 0])
        outputs = [shape for (source, _), shape in shape_of.items() if source == number]
        if not all(shape and all(shape) for shape in outputs):
            raise UserError(f'{_words(input_shape[1:])}: the shape of {node["name"]} does not follow from '
                            'this input')
        flops = _flops(node, [shape_of[source, part] for source, part, _ in node['inputs']], outputs)
        name = node['name'][len(prefix):] if node['name'].startswith(prefix) else node['name']
        row_of[number] = len(rows)
        name = name[:-len('_fwd')] if name.endswith('_fwd') else name
        rows.append(Layer(name, _kind(node), outputs[0][1:], parameters,
                          _FLOAT * sum(map(math.prod, outputs)), flops or 0,
                          flops is not None, node['op'], tuple(ins), tuple(own), place[number]))
    return rows


def as_symbol(network_or_symbol):
    """The graph of a network, its input being the variable `data`."""
    if isinstance(network_or_symbol, mx.sym.Symbol):
        return network_or_symbol
    outputs = network_or_symbol(mx.sym.var('data'))
    return mx.sym.Group(list(outputs)) if isinstance(outputs, (list, tuple)) else outputs


def input_name(symbol):
    """The name of the variable that a graph takes its samples from."""
    names = symbol.list_arguments()
    return 'data' if 'data' in names else names[0]


def _attributes(node):
    """The settings of an operator, as Python values where they are such."""
    found = {}
    for name, value in node.get('attrs', {}).items():
        try:
            found[name] = ast.literal_eval(value)
        except (ValueError, SyntaxError):
            found[name] = value
    return found


def _flops(node, inputs, outputs):
    """Operations of one operator, or None if it is not known here."""
    operator, settings = node['op'], _attributes(node)
    out = math.prod(outputs[0])
    if operator == 'Deconvolution':  # every input value is multiplied by a whole filter
        return 2 * math.prod(inputs[0]) * math.prod(inputs[1][1:])
    if operator in _WEIGHT_INPUT:  # the weights are (filters, channels of a group, height, width)
        return 2 * out * math.prod(inputs[_WEIGHT_INPUT[operator]][1:])
    if operator == 'Pooling':
        return math.prod(inputs[0]) if settings.get('global_pool') else out * math.prod(settings['kernel'])
    if operator in ('dot', 'batch_dot'):
        return 2 * out * inputs[0][-2 if settings.get('transpose_a') else -1]
    if operator == '_contrib_ROIAlign':  # each output is the mean of points that lie between four others
        return 8 * int(settings['sample_ratio']) ** 2 * out
    if operator == 'UpSampling':
        return 0 if settings.get('sample_type') == 'nearest' else None
    if operator in _EACH_OUTPUT:
        return _EACH_OUTPUT[operator] * out
    if operator in _EACH_INPUT:
        return _EACH_INPUT[operator] * math.prod(inputs[0])
    if operator == 'add_n':
        return (len(inputs) - 1) * out
    if operator in _NO_WORK:
        return 0
    if operator.startswith(('elemwise_', 'broadcast_', '_plus', '_minus', '_mul', '_div', '_rminus', '_rdiv',
                            '_power', '_maximum', '_minimum', '_mod', '_greater', '_lesser', '_equal',
                            '_not_equal', '_hypot')):
        return out
    return None


def _kind(node):
    """An operator and its settings in words."""
    operator, settings = node['op'], _attributes(node)
    if operator in ('Convolution', 'Deconvolution', '_contrib_DeformableConvolution'):
        words = {'Convolution': 'convolution', 'Deconvolution': 'transposed convolution'}.get(
            operator, 'deformable convolution') + ' ' + _words(settings['kernel'])
        for name, key, usual in (('stride', 'stride', 1), ('pad', 'pad', 0), ('dilation', 'dilate', 1)):
            values = settings.get(key) or (usual,)
            if set(values) != {usual}:
                words += f', {name} {_words(values) if len(set(values)) > 1 else values[0]}'
        groups = settings.get('num_group', 1)
        return words + (f', {groups} groups' if groups != 1 else '')
    if operator == 'Pooling':
        kind = {'avg': 'average'}.get(settings.get('pool_type', 'max'), settings.get('pool_type', 'max'))
        if settings.get('global_pool'):
            return f'global {kind}'
        stride = settings.get('stride') or (1,)
        return f'{kind} {_words(settings["kernel"])}, stride ' \
               f'{_words(stride) if len(set(stride)) > 1 else stride[0]}' \
               + (f', pad {settings["pad"][0]}' if any(settings.get('pad') or ()) else '')
    if operator in ('Activation', 'LeakyReLU'):
        act = settings.get('act_type', 'leaky')
        return f'leaky relu {settings.get("slope", 0.25)}' if act == 'leaky' else act
    if operator == 'Dropout':
        return f'dropout {settings.get("p", 0.5)}'
    return {'FullyConnected': 'fully connected', 'BatchNorm': 'batch normalisation'}.get(operator, operator)


def _words(shape):
    return 'x'.join(map(str, shape)) or '1'


def _large(number):
    """1250 -> 1.25 k."""
    for unit, size in (('G', 1e9), ('M', 1e6), ('k', 1e3)):
        if number >= size:
            return f'{number / size:.4g} {unit}'
    return f'{number:.4g}'


def print_layer_table(rows, console):
    """One line a layer, then the totals, counted in two ways.

    Parameters
    ----------
    rows : list of Layer
    console : rich.console.Console
    """
    from rich.table import Table
    table = Table('layer', 'kind', 'output')
    for title in ('parameters', 'activations (bytes)', 'FLOPs'):
        table.add_column(title, justify='right')

    def cells(layers):
        return (f'{sum(layer.parameters for layer in layers):,}',
                _large(sum(layer.activation_bytes for layer in layers)),
                _large(sum(layer.flops for layer in layers)))
    for row in rows:
        figures = cells([row])
        table.add_row(row.name, row.kind, _words(row.output_shape),
                      *(figures if row.known else figures[:2] + ('?',)))
    table.add_section()
    table.add_row('total', f'{len(rows) - 1} operators and the input', '', *cells(rows))
    table.add_row('as in table 5-2', 'input, convolutions, fully connected', '',
                  cells(rows)[0], *cells([row for row in rows if row.weighted])[1:])
    console.print(table)
    console.print('For one sample, in float32. A multiply and an add count 2; adding a bias is not counted.')
    unknown = sorted({row.operator for row in rows if not row.known})
    if unknown:
        console.print(f'FLOPs not known and left out of the totals (?): {", ".join(unknown)}')


_COLOURS = {'input': '#dddddd', 'BatchNorm': '#c7e9b4', 'Activation': '#fdd49e', 'LeakyReLU': '#fdd49e',
            'Pooling': '#d4b9da', **dict.fromkeys(_WEIGHT_INPUT, '#9ecae1')}


def draw_graph(network_or_symbol, input_shape, path):
    """Draw a network: a box for each operator, the shape of what flows at each arrow.

    Parameters
    ----------
    network_or_symbol, input_shape
        As for `layer_table`.
    path : path-like
        Ends with .png, .svg or .pdf.

    Raises
    ------
    UserError
        The program `dot` is not installed; another ending; `path` cannot be written.
    """
    import graphviz
    kind = Path(path).suffix[1:].lower()
    if kind not in ('png', 'svg', 'pdf'):
        raise UserError(f'{path}: give the picture a name that ends with .png, .svg or .pdf')
    rows = layer_table(network_or_symbol, input_shape)
    graph = graphviz.Digraph(graph_attr={'ranksep': '0.3', 'fontname': 'Helvetica'}, node_attr={
        'shape': 'box', 'style': 'rounded,filled', 'fillcolor': '#f7f7f7', 'fontname': 'Helvetica',
        'fontsize': '11', 'height': '0.3'}, edge_attr={'fontname': 'Helvetica', 'fontsize': '9'})
    graph.format = kind
    for number, row in enumerate(rows):
        text = f'{row.name}\n{row.kind}' if row.kind != row.name else row.name
        if row.parameters:
            text += f'\n{row.parameters:,} parameters'
        graph.node(str(number), text, fillcolor=_COLOURS.get(row.operator, '#f7f7f7'))
        for source in dict.fromkeys(row.inputs):
            graph.edge(str(source), str(number), ' ' + _words(rows[source].output_shape))
    for number in set(range(len(rows))) - {source for row in rows for source in row.inputs}:
        graph.node(f'output{number}', 'output', fillcolor=_COLOURS['input'])
        graph.edge(str(number), f'output{number}', ' ' + _words(rows[number].output_shape))
    try:
        picture = graph.pipe()
    except graphviz.ExecutableNotFound:
        raise UserError('the program `dot`, which draws graphs, is not installed: apt-get install graphviz '
                        '(or see graphviz.org/download)') from None
    with atomic_write(path) as file:
        file.write(picture)
