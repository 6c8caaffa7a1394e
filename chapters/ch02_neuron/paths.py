"""Section 2.3.6: back-propagation through the network 2-2-2-1 by hand, which is a sum over all paths to the output.

    python -m chapters.ch02_neuron.paths
"""
import math

import numpy as np
from mxnet import autograd, nd

from chapters.ch02_neuron.two_layer import MaxNet
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script

# Figure 2-29: w13 is the weight from neuron 1 to neuron 3; w11 and w12 are those of x1. The book gives no numbers.
START = dict(w11=0.5, w21=-0.4, b1=0.3, w12=0.2, w22=0.6, b2=0.1, w13=0.7, w23=-0.3, b3=0.2, w14=-0.5, w24=0.8, b4=0.1,
             w35=0.9, w45=-0.6, b5=0.1)
NEXT = {1: (3, 4), 2: (3, 4), 3: (5,), 4: (5,), 5: ()}


def forward(p, x1, x2):
    """Inputs I and outputs O of the five neurons, {number: value}; hidden ones are ReLU, the last is linear."""
    I, O = {}, {}  # noqa: E741  # the book's letters
    for neuron, before in ((1, {1: x1, 2: x2}), (2, {1: x1, 2: x2}), (3, O), (4, O), (5, O)):
        sources = (3, 4) if neuron == 5 else (1, 2)
        I[neuron] = sum(p[f'w{source}{neuron}'] * before[source] for source in sources) + p[f'b{neuron}']
        O[neuron] = I[neuron] if neuron == 5 else max(I[neuron], 0.0)
    return I, O


def slope(neuron, I):  # noqa: E741
    """The derivative of a neuron's activation: g' = 1 of the last, f' of the others."""
    return 1.0 if neuron == 5 else float(I[neuron] > 0)


def backward(p, I):  # noqa: E741
    """G, the derivatives of the output by I1 to I5, from the last layer to the first, as the book writes them."""
    G = {5: slope(5, I)}
    G[4] = G[5] * p['w45'] * slope(4, I)
    G[3] = G[5] * p['w35'] * slope(3, I)
    G[2] = (G[4] * p['w24'] + G[3] * p['w23']) * slope(2, I)
    G[1] = (G[4] * p['w14'] + G[3] * p['w13']) * slope(1, I)
    return G


def paths(neuron):
    """All ways from a neuron to the output: [(1, 3, 5), (1, 4, 5)]."""
    return [(neuron, *rest) for after in NEXT[neuron] for rest in paths(after)] or [(neuron,)]


def along(path, p, I):  # noqa: E741
    """What one path carries: the product of the derivatives of its neurons and the weights between them."""
    return (np.prod([slope(neuron, I) for neuron in path])
            * np.prod([p[f'w{one}{other}'] for one, other in zip(path, path[1:])]))


def worked_example(run, x1=0.5, x2=1.0):
    """G1 to G5 by the chain rule, by a sum over paths, and by `autograd`; then the derivatives by all weights."""
    I, O = forward(START, x1, x2)  # noqa: E741
    G = backward(START, I)
    over_paths = {neuron: sum(along(path, START, I) for path in paths(neuron)) for neuron in G}
    by_hand = {f'b{neuron}': G[neuron] for neuron in G}
    by_hand.update({name: G[int(name[2])] * ({1: x1, 2: x2} if name[2] in '12' else O)[int(name[1])]
                    for name in START if name[0] == 'w'})
    found = _by_autograd(x1, x2)
    _draw(run, I, G)
    return {**{f'G{neuron}': G[neuron] for neuron in sorted(G)}, 'OUT': O[5],
            'difference_paths': max(abs(G[neuron] - over_paths[neuron]) for neuron in G),
            'difference_autograd': max(abs(by_hand[name] - found[name]) for name in START)}


def _by_autograd(x1, x2):
    """{name of a parameter: derivative of the output}, by MXNet."""
    network = MaxNet(hidden=(2, 2))
    network.initialize()
    x = nd.array([[x1, x2]])
    network(x)
    found = {}
    parameters = list(network.collect_params().values())  # weight and bias, layer by layer
    names = [([['w11', 'w21'], ['w12', 'w22']], ['b1', 'b2']), ([['w13', 'w23'], ['w14', 'w24']], ['b3', 'b4']),
             ([['w35', 'w45']], ['b5'])]
    named = [np.array(part) for layer in names for part in layer]
    for parameter, name in zip(parameters, named):
        parameter.set_data(nd.array(np.vectorize(START.get)(name)))
    with autograd.record():
        out = network(x)
    out.backward()
    for parameter, name in zip(parameters, named):
        found.update(zip(name.ravel(), parameter.grad().asnumpy().ravel().astype(float)))
    return found


def _draw(run, I, G):  # noqa: E741
    """The network with its gradients, and the two paths of neuron 1 in colour."""
    places = {'x1': (0, 1), 'x2': (0, 0), 1: (1, 1), 2: (1, 0), 3: (2, 1), 4: (2, 0), 5: (3, 0.5)}
    figure, axis = figures.plt.subplots(figsize=(9, 3.6))
    edges = [(f'x{source}', neuron, f'w{source}{neuron}') for source in (1, 2) for neuron in (1, 2)]
    edges += [(source, neuron, f'w{source}{neuron}') for source in NEXT for neuron in NEXT[source]]
    coloured = {edge: f'C{number}' for number, path in enumerate(paths(1)) for edge in zip(path, path[1:])}
    for source, neuron, name in edges:
        (left, low), (right, high) = places[source], places[neuron]
        axis.plot((left, right), (low, high), color=coloured.get((source, neuron), '0.75'), zorder=1)
        axis.text(left + 0.3 * (right - left), low + 0.3 * (high - low), f'{name} {START[name]:g}', fontsize=8, ha='center')
    for name, (x, y) in places.items():
        axis.scatter(x, y, s=2400, color='white', edgecolors='black', zorder=2)
        axis.text(x, y, name if name in ('x1', 'x2') else f'I{name} {I[name]:.2f}\nG{name} {G[name]:.2f}', ha='center',
                  va='center', fontsize=8, zorder=3)
    axis.set(xlim=(-0.3, 3.3), ylim=(-0.35, 1.35))
    axis.axis('off')
    axis.set_title(figures.text('2.3.6 G1 is the sum over both paths to the output', 'G1 是两条路径之和'))
    run.save_figure(figure, 'paths')


EXPERIMENTS = [
    WorkedExample('2.3.6', 'Back-propagation by hand through 2-2-2-1: a sum over all paths',
                  '2-2-2-1 网络的手算反向传播：对所有路径求和', function=worked_example,
                  limits={'x1': (-math.inf, math.inf), 'x2': (-math.inf, math.inf)}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
