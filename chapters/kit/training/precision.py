"""Training in 16 bits: MXNet's automatic mixed precision (AMP), one network at a time.

Convolutions and matrix products compute in `bfloat16` or `float16`; normalisations, the loss and the parameters that
the optimizer sees stay in float32. Micikevicius et al., "Mixed precision training", ICLR 2018
(https://arxiv.org/abs/1710.03740).
"""
import json

import mxnet as mx
from mxnet import autograd, gluon, nd
from mxnet.contrib import amp
from mxnet.contrib.amp.lists import symbol_bf16
from mxnet.contrib.amp.loss_scaler import LossScaler

from chapters.kit.runtime import has_matrix_units, quiet_stderr
from data_tools.errors import UserError

DTYPES = ('float32', 'bfloat16', 'float16')
# These only hand numbers on. AMP's list keeps them in 32 bits for bfloat16; a pooling or a `concat` that has such planes
# beside ones in 16 bits then gets two formats, and the graph cannot be bound.
_HANDED_ON = 'space_to_depth', '_copy'


def lowered(network, dtype):
    """A block that computes what `network` computes, its heavy operators in 16 bits, with the same parameters.

    Parameters
    ----------
    network : HybridBlock
        Initialized, with one input.
    dtype : str
        One of `DTYPES`; for 'float32' the network itself is returned.

    Returns
    -------
    HybridBlock
        Takes and gives float32. Unlike `amp.init`, this leaves every other network alone.
    """
    if dtype == 'float32':
        return network
    # AMP takes a variable with a format for a parameter, and then does not know what a Dropout gets; Gluon wants one.
    graph, x = lowered_graph(network(mx.sym.var('x')), dtype), mx.sym.var('x', dtype='float32')
    return gluon.SymbolBlock(graph(x=x), x, params=network.collect_params())


def lowered_graph(symbol, dtype):
    """What a graph computes, a `mxnet.sym.Symbol` with one output, its heavy operators in one of `DTYPES`; gives float32."""
    if dtype == 'float32':
        return symbol
    if dtype == 'bfloat16':
        symbol = for_matrix_units(symbol)
    lists = dict(target_dtype_ops=symbol_bf16.BF16_FUNCS + list(_HANDED_ON),
                 fp32_ops=[name for name in symbol_bf16.FP32_FUNCS if name not in _HANDED_ON]) if dtype == 'bfloat16' else {}
    return mx.sym.cast(amp.convert_symbol(symbol, dtype, **lists), dtype='float32')


def for_matrix_units(symbol):
    """The same graph for processors with matrix units (AMX): its 1x1 convolutions say that their one weight is dilated.

    That changes nothing but oneDNN's choice of a kernel. In bfloat16 and in 8 bits the one for 1x1 (`jit_1x1` of oneDNN
    2.4) writes behind its output where the planes have 27, 33, 36, 39, 42, 45 or 48 points, such as 6x6 or 3x9, which ends
    the process sooner or later. Without matrix units dilation would cost time, and nothing is changed.
    """
    if not has_matrix_units():
        return symbol
    graph = json.loads(symbol.tojson(remove_amp_cast=False))
    for node in graph['nodes']:
        if node['op'] == 'Convolution' and node['attrs']['kernel'].replace(' ', '') == '(1,1)':
            node['attrs']['dilate'] = '(2, 2)'
    return mx.sym.load_json(json.dumps(graph))


class _NoScaler:
    """Leaves losses as they are."""
    loss_scale = 1.0

    @staticmethod
    def has_overflow(parameters):
        return False


def make_scaler(dtype):
    """What keeps small gradients from vanishing in float16: multiplies losses, and tells of gradients that overflow."""
    return LossScaler() if dtype == 'float16' else _NoScaler()


def require_dtype(dtype, device):
    """Check that a device can train in a number format, by doing so once.

    Raises
    ------
    UserError
        It cannot, or there is no such format.
    """
    if dtype not in DTYPES:
        raise UserError(f'--dtype {dtype}: not one of {", ".join(DTYPES)}')
    layers = gluon.nn.HybridSequential()
    layers.add(gluon.nn.Conv2D(8, 3, in_channels=8), gluon.nn.Dense(8, in_units=8 * 2 * 2))
    layers.initialize(ctx=device)
    try:
        with quiet_stderr():
            trial = lowered(layers, dtype)
            with autograd.record():
                y = trial(nd.ones((1, 8, 4, 4), device))
            y.backward()
            nd.waitall()
    except mx.MXNetError:
        needs = ('a processor with AVX-512 (`lscpu`)' if dtype == 'bfloat16'
                 else 'a GPU: MXNet has no float16 on processors')
        raise UserError(f'--dtype {dtype}: {device} cannot; it needs {needs}. Leave --dtype at float32') from None
