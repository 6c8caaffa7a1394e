"""Section 3.2.4: what is done to pixels before a network sees them: scaling, standardising, whitening.

    python -m chapters.ch03_mlp.whitening
"""
from dataclasses import replace

import numpy as np

from chapters.ch03_mlp.regularization import comparison, draw
from chapters.kit.data.images import load_images
from chapters.kit.report import figures
from chapters.kit.variants import compare
from chapters.script import run_script

_EPSILON = 0.01  # variance of pixels from 0 to 1 below which a direction counts as empty


def raw(train):
    """Pixels from 0 to 255, as they lie in the file."""
    return lambda x: 255 * x


def as_they_are(train):
    """Pixels from 0 to 1."""
    return lambda x: x


def standardised(train):
    """Every pixel with mean 0 and standard deviation 1 over the training set."""
    mean, deviation = train.mean(axis=0), np.sqrt(train.var(axis=0) + _EPSILON)
    return lambda x: (x - mean) / deviation


def pca(train):
    """Principal components, each with variance 1: the covariance is the identity."""
    mean, directions, scale = _components(train)
    return lambda x: (x - mean) @ directions * scale


def zca(train):
    """The same turned back, so that an image looks like itself."""
    mean, directions, scale = _components(train)
    return lambda x: (x - mean) @ directions * scale @ directions.T


def _components(train):
    """Mean (D,), principal directions (D, D) as columns, and what brings each to variance 1 (D,)."""
    mean = train.mean(axis=0)
    variances, directions = np.linalg.eigh(np.cov((train - mean).T))
    return mean, directions, 1 / np.sqrt(np.maximum(variances, 0) + _EPSILON)


def equalised(images):
    """Histogram equalization: every value becomes the share of the image's pixels that are not brighter."""
    flat = images.reshape(len(images), -1)
    return np.stack([np.searchsorted(np.sort(row), row, 'right') / row.size for row in flat]).reshape(images.shape)


def prepared(way):
    """A loader: images that `way(training images) -> function` has prepared."""
    def load(experiment, name, data_root, seed):
        data = load_images(experiment, name, data_root, seed)
        prepare = way(data.train_x.reshape(len(data.train_x), -1))

        def images(x):
            return prepare(x.reshape(len(x), -1)).reshape(x.shape).astype(np.float32)
        return replace(data, train_x=images(data.train_x), validation_x=images(data.validation_x))
    return load


def ways(run):
    """The same network at the same rate on pixels that were prepared in five ways; and what they look like."""
    all_ways = {'raw': raw, 'from-0-to-1': as_they_are, 'standardised': standardised, 'PCA': pca, 'ZCA': zca}
    results, metrics = compare(run, *((name, replace(run.experiment, loader=prepared(way)))
                                      for name, way in all_ways.items()))
    draw(run, {name: result for name, result in results.items() if name != 'raw'})  # whose loss would hide the others
    for name, (_, _, data) in results.items():
        metrics[f'{name}_correlation'] = _correlation(data.train_x)
    rows = {'from 0 to 1': run.data.train_x, 'equalised': equalised(run.data.train_x[:8]),
            **{name: results[name][2].train_x for name in ('standardised', 'PCA', 'ZCA')}}
    figure, axes = figures.plt.subplots(len(rows), 8, figsize=(8, 1.1 * len(rows)))
    for line, (name, images) in zip(axes, rows.items()):
        for axis, image in zip(line, images):
            axis.imshow(image[0], cmap='gray')
            axis.axis('off')
        line[0].set_title(name, fontsize=9, loc='left')
    figure.suptitle(figures.text('3.2.4 Pixels prepared', '数据预处理'))
    run.save_figure(figure, 'prepared')
    return metrics


def _correlation(x):
    """Mean of |correlation| over pairs of pixels, or components, that vary."""
    x = x.reshape(len(x), -1)
    x = x[:, x.var(axis=0) > 0.1 * x.var(axis=0).max()]
    correlation = np.abs(np.corrcoef(x.T))
    return (correlation.sum() - len(correlation)) / (correlation.size - len(correlation))


EXPERIMENTS = [
    comparison('3.2.4-whitening', 'Scaling, standardising and whitening', '归一化、标准化与白化', ways,
               train_samples=0, epochs=6, learning_rate=0.05),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
