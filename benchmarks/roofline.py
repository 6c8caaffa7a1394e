"""How near each network comes to what the cores can do: floating point operations a second against the measured peak.

    python -m benchmarks.roofline

Speeds are those that `benchmarks.training` measured before; the peak (a matrix product of 3000) and the speed of the
memory (a copy) are measured now. An update counts as three forward passes. Drawn in docs/roofline.png. Williams,
Waterman, Patterson, "Roofline", CACM 2009 (https://doi.org/10.1145/1498765.1498785).
"""
import json
import time
from statistics import median

import numpy as np

from benchmarks.book import RESULTS, Row, save, save_picture

_PASSES = {'training': 3, 'prediction': 1}


def peaks(rounds=5):
    """(GFLOP/s of a matrix product, GB/s of a copy), one figure a round."""
    random = np.random.default_rng(0)
    a, b = random.random((2, 3000, 3000), dtype=np.float32)
    large, other = np.zeros((2, 1 << 26), np.float32)
    products, copies = [], []
    for number in range(rounds + 1):
        began = time.perf_counter()
        np.matmul(a, b)
        between = time.perf_counter()
        np.copyto(large, other)
        if number:
            products.append(2 * 3000 ** 3 / (between - began) / 1e9)
            copies.append(2 * large.nbytes / (time.perf_counter() - between) / 1e9)
    return products, copies


def work(section):
    """(operations, bytes moved) of a sample's forward pass, weights being read once a batch."""
    import chapters
    from chapters.kit.networks.layer_table import layer_table
    experiment = chapters.find(section)
    rows = layer_table(experiment.build(), experiment.input_shape)
    flops = sum(row.flops or 0 for row in rows)
    moved = 2 * sum(row.activation_bytes or 0 for row in rows) + 4 * sum(row.parameters for row in rows) / \
        experiment.recipe.batch_size
    return flops, moved


def main():
    products, copies = peaks()
    peak, bandwidth = median(products), median(copies)
    measured = json.loads((RESULTS / 'training.json').read_text(encoding='utf-8'))['rows']
    rows, points = [Row('matrix product', 'GFLOP/s', {'peak': products}), Row('copy', 'GB/s', {'peak': copies})], []
    for what, row in measured.items():
        section, _, kind = what.partition(' ')
        if section.startswith('2.') or kind not in _PASSES:
            continue
        flops, moved = work(section)
        speeds = {who: [figure * flops * _PASSES[kind] / 1e9 for figure in row['measured'][who]]
                  for who in ('ours', 'PyTorch') if who in row['measured']}
        rows.append(Row(what, 'GFLOP/s', {**speeds, 'peak': products}))
        points.append((what, flops / moved, {who: median(figures) for who, figures in speeds.items()}))
        print(rows[-1])
    save('benchmarks.roofline', 'Share of the peak', rows,
         '![Roofline](roofline.png)\n\nThe last column is the measured peak of a matrix product: 0.50x is half of it.')
    print(draw(points, peak, bandwidth))


def draw(points, peak, bandwidth):
    from chapters.kit.report.figures import plt
    figure, axis = plt.subplots(figsize=(8, 4.5))
    intensities = np.geomspace(1, 200, 100)
    axis.loglog(intensities, np.minimum(peak, bandwidth * intensities), color='grey',
                label=f'peak {peak:.0f} GFLOP/s, copy {bandwidth:.0f} GB/s')
    for number, (what, intensity, speeds) in enumerate(points):
        colour = f'C{number // 2 % 10}'
        for who, speed in speeds.items():
            axis.plot(intensity, speed, 'o' if who == 'ours' else 'x', color=colour,
                      fillstyle='none' if 'prediction' in what else 'full')
        if 'training' in what:
            axis.annotate(what.split()[0], (intensity, speeds['ours']), fontsize=9, xytext=(6, -3),
                          textcoords='offset points')
    axis.plot([], [], 'o', color='black', label='ours (filled: training; empty: prediction)')
    axis.plot([], [], 'x', color='black', label='PyTorch')
    axis.set_xlabel('operations a byte')
    axis.set_ylabel('GFLOP/s')
    axis.legend(loc='lower right', fontsize=8)
    return save_picture(figure, 'roofline')


if __name__ == '__main__':
    main()
