"""Section 5.1: the printed tables of ImageNet's results and of what networks cost (5-1, 5-4), beside our own networks' time.

    python -m chapters run 5.1
"""
import time

import numpy as np
from mxnet import nd
from mxnet.gluon.model_zoo import vision

from chapters.ch05_deep_cnn.alexnet import AlexNet
from chapters.ch05_deep_cnn.darknet import DarkNet
from chapters.ch05_deep_cnn.densenet import DenseNet
from chapters.ch05_deep_cnn.layers import choose
from chapters.ch05_deep_cnn.vgg import VGG
from chapters.kit.experiment import BookFigure, WorkedExample
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.report import figures
from chapters.script import run_script

# Table 5-1: year -> error of the best of five answers in percent, error of boxes, who became known by it.
TABLE_5_1 = {
    2010: (28.19, None, ''), 2011: (25.77, 0.425, ''), 2012: (15.32, 0.335, 'AlexNet'), 2013: (11.20, 0.299, ''),
    2014: (7.40, 0.253, 'VGG, Inception'), 2015: (3.57, 0.090, 'ResNet'), 2016: (2.99, 0.077, ''), 2017: (2.25, 0.062, ''),
}

# Table 5-4: accuracy of one and of five answers in percent, GFLOPs, milliseconds on a Titan X, seconds on an i7 of 4 GHz,
# megabytes of parameters; and the network as we have it. ResNet-50 is Gluon's own.
TABLE_5_4 = {
    'AlexNet': (57.0, 80.3, 2.27, 1.5, 0.3, 285, AlexNet),
    'DarkNet Reference': (61.1, 83.0, 0.81, 1.5, 0.16, 28, lambda: DarkNet('reference')),
    'VGG-16': (70.5, 90.0, 30.94, 10.7, 4.9, 528, lambda: VGG('D')),
    'DarkNet-19': (72.5, 91.2, 5.58, 6.0, 0.66, 80, lambda: DarkNet('19')),
    'ResNet-50': (72.9, 92.9, 10, 7.0, None, 87, vision.resnet50_v1),
    'DenseNet-201': (76.4, 93.7, 10.9, None, None, 66, lambda: DenseNet(201)),
}


def milliseconds(network, side=224, repeats=5):
    """Median time of one image through a network, after one that does not count."""
    network.initialize()
    network.hybridize(static_alloc=True, static_shape=True)
    x, taken = nd.random.uniform(shape=(1, 3, side, side)), []
    for _ in range(repeats + 1):
        began = time.perf_counter()
        network(x).wait_to_read()
        taken.append(1000 * (time.perf_counter() - began))
    return float(np.median(taken[1:]))


def tables(run, networks='', repeats=5):
    """Tables 5-1 and 5-4 drawn, and what our networks cost and take here.

    Parameters
    ----------
    run : Run
    networks : str
        Names of rows of table 5-4 with ';' between them; empty: all.
    repeats : int
        Images that are timed.

    Returns
    -------
    dict
        GFLOPs, megabytes and milliseconds of each network.
    """
    names = [name.strip() for name in networks.split(';')] if networks else list(TABLE_5_4)
    metrics = {}
    for name in names:
        build = choose(TABLE_5_4, 'networks', name)[-1]
        rows = [row for row in layer_table(build(), (1, 3, 224, 224))]
        word = name.replace(' ', '_').replace('-', '_')
        metrics.update({f'{word}_gflops': sum(row.flops for row in rows if row.weighted) / 1e9,
                        f'{word}_megabytes': 4 * sum(row.parameters for row in rows) / 1e6,
                        f'{word}_milliseconds': milliseconds(build(), repeats=repeats)})
        run.say(f'{name}: {metrics[f"{word}_milliseconds"]:.0f} ms')
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(13, 4.4))
    left.bar(list(TABLE_5_1), [row[0] for row in TABLE_5_1.values()])
    for year, (error, _, winner) in TABLE_5_1.items():
        left.text(year, error + 0.4, f'{error}%\n{winner}', ha='center', fontsize=8)
    left.set(title=figures.text('5-1: five answers, all wrong, %', 'ImageNet 历年错误率'), ylim=(0, 33))
    for name in names:
        top1, _, _, gpu, cpu, _, _ = TABLE_5_4[name]
        ours = metrics[f'{name.replace(" ", "_").replace("-", "_")}_milliseconds']
        for value, marker, whose in ((ours, 'o', 'here'), (cpu and 1000 * cpu, 's', 'i7'), (gpu, '^', 'Titan X')):
            if value:
                right.semilogx(value, top1, marker, color={'here': 'C0', 'i7': 'C1', 'Titan X': 'C2'}[whose],
                               label=whose if name == names[0] else None)
        right.annotate(name, (ours, top1), fontsize=8, xytext=(5, 4), textcoords='offset points')
    right.set(title=figures.text('5-4: accuracy against time of an image', '准确率与用时'), xlabel='milliseconds',
              ylabel='top-1, %')
    right.grid(alpha=0.3)
    right.legend(fontsize=8)
    figure.tight_layout()
    run.save_figure(figure, 'tables')
    return metrics


def _figures():
    """Those of table 5-4 under the names of ours; its milliseconds are those of its i7."""
    found: list = []
    for name, (_, _, gflops, _, seconds, megabytes, _) in TABLE_5_4.items():
        word = name.replace(' ', '_').replace('-', '_')
        found += [BookFigure(gflops, f'{word}_gflops', note='table 5-4'),
                  BookFigure(megabytes, f'{word}_megabytes', note='table 5-4')]
        if seconds is not None:
            found.append(BookFigure(1000 * seconds, f'{word}_milliseconds', note='table 5-4, an i7 of 4 GHz'))
    return tuple(found)


EXPERIMENTS = [
    WorkedExample('5.1', 'What ImageNet brought, and what networks cost', 'ImageNet 的历年结果与各网络的开销',
                  function=tables, book=_figures(),
                  remark="Table 5-4 is of other images: its AlexNet takes larger ones than 5.1.1's, its ResNet-50 and "
                         'DenseNet-201 take 256 pixels. Its accuracies are of networks trained on ImageNet; ours are not.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
