"""How good are the images? Inception score and Frechet distance, by a classifier of our own.

    python -m chapters.ch08_gan.scores runs/8.3-mnist-seed0 --judge runs/4.4-mnist-seed0

The judge is a run of 4.4 on the same images. For every kept number of epochs: the inception score
(https://arxiv.org/abs/1606.03498), the Frechet distance (https://arxiv.org/abs/1706.08500) of the judge's
features, the mean confidence of its answers and the share of each class among them. The published scores use
a network trained on ImageNet: these here compare runs that had the same judge, and nothing else.
"""
import csv
import sys

import mxnet as mx
import numpy as np
from mxnet import nd
from scipy import linalg

from chapters.kit.report import figures
from chapters.kit.trained.run import validation_accuracy
from chapters.kit.trained.saved import load_run
from data_tools.atomic import atomic_write
from data_tools.errors import Parser, UserError, one_line_errors


def inception_score(q):
    """exp of the mean Kullback-Leibler divergence of an image's class probabilities from those of all images.

    1 where all images look alike to the judge, the number of classes where it is sure of each and all are
    equally often.

    Parameters
    ----------
    q : numpy.ndarray, (N, classes)
    """
    q = np.clip(q.astype(np.float64), 1e-12, 1)
    return float(np.exp((q * (np.log(q) - np.log(q.mean(axis=0)))).sum(axis=1).mean()))


def frechet_distance(mean, covariance, other_mean, other_covariance):
    """Of two Gaussians: |m - n|^2 + tr(C + D - 2 (C D)^(1/2)).

    tr (C D)^(1/2) comes from the eigenvalues of the symmetric C^(1/2) D C^(1/2), which are those of C D.

    Parameters
    ----------
    mean, other_mean : numpy.ndarray, (D,)
    covariance, other_covariance : numpy.ndarray, (D, D)
    """
    values, vectors = linalg.eigh(covariance)
    root = vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T
    common = np.sqrt(np.maximum(linalg.eigvalsh(root @ other_covariance @ root), 0)).sum()
    return float(np.square(mean - other_mean).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * common)


def moments(features):
    """(mean, covariance) of features (N, D)."""
    return features.mean(axis=0), np.cov(features, rowvar=False)


def sharpness(images, real):
    """Squared differences of neighbouring pixels, beside those of real images: below 1 where edges are blurred.

    Noise counts as sharp, too: it says something only beside other figures.

    Parameters
    ----------
    images, real : numpy.ndarray, (N, C, H, W) and (M, C, H, W)

    Returns
    -------
    float
    """
    def strength(x):
        return np.square(np.diff(x, axis=2)).mean() + np.square(np.diff(x, axis=3)).mean()
    return float(strength(images) / strength(real))


class Judge:
    """A trained classifier with `features` and, behind them, `output`, as 4.4 has them.

    Parameters
    ----------
    run : path-like
        Its run folder, or `zoo:4.4`.
    """
    def __init__(self, run):
        from chapters import find
        saved = load_run(run, find)
        self._network = saved.network
        if not hasattr(self._network, 'features') or not hasattr(self._network, 'output'):
            raise UserError(f'{run}: its network has no `features`; give a run of 4.4')
        self.classes = saved.class_names
        self.shape = saved.facts.shape  # (1, 28, 28)
        self.accuracy = validation_accuracy(run)

    def __call__(self, images):
        """Images (N, C, S, S) from -1 to 1 -> class probabilities (N, classes), features (N, D)."""
        answers, found = [], []
        for start in range(0, len(images), 250):
            x = nd.array((images[start:start + 250] + 1) / 2)
            while x.shape[2] >= 2 * 32:  # to 32x32
                x = nd.Pooling(x, kernel=(2, 2), stride=(2, 2), pool_type='avg')
            cut = (x.shape[2] - self.shape[1]) // 2
            x = x[:, :, cut:cut + self.shape[1], cut:cut + self.shape[2]]
            if x.shape[1:] != self.shape:
                raise UserError(f'the judge wants images of {self.shape}, these are {images.shape[1:]}')
            features = self._network.features(x)
            answers.append(nd.softmax(self._network.output(features).mean(axis=(2, 3))).asnumpy())
            found.append(features.mean(axis=(2, 3)).asnumpy())
        return np.concatenate(answers), np.concatenate(found)


def score(judge, made, real):
    """All figures of made images, measured against real ones.

    Parameters
    ----------
    judge : Judge
    made, real : numpy.ndarray, (N, C, S, S) and (M, C, S, S), from -1 to 1

    Returns
    -------
    dict of str to float
    """
    q, features = judge(made)
    _, real_features = judge(real)
    shares = np.bincount(q.argmax(axis=1), minlength=q.shape[1]) / len(q)
    return {'inception_score': inception_score(q),
            'frechet_distance': frechet_distance(*moments(features), *moments(real_features)),
            'confidence': float(q.max(axis=1).mean()), 'smallest_share': float(shares.min()),
            'largest_share': float(shares.max()),
            **{f'share_{name}': float(share) for name, share in zip(judge.classes, shares)}}


@one_line_errors
def main(arguments=None):
    """Score a run of 8.3: `scores.csv` and `figures/scores.png` in its folder."""
    parser = Parser('python -m chapters.ch08_gan.scores', description=__doc__.splitlines()[0])
    parser.add_argument('run', help='a run folder of 8.3')
    parser.add_argument('--judge', required=True, metavar='RUN', help='a run folder of 4.4 on the same data')
    parser.add_argument('--samples', type=int, default=5000, metavar='N', help='images to make (default 5000)')
    options = parser.parse_args(arguments)
    rows, judge = score_run(options.run, options.judge, options.samples)
    accuracy = f'{judge.accuracy:.2%}' if judge.accuracy is not None else 'unknown'
    print(f'judge: {options.judge}, accuracy {accuracy} on its test images')
    for row in rows:
        print(', '.join(f'{name} {value:.4g}' if isinstance(value, float) else f'{name} {value}'
                        for name, value in row.items() if not name.startswith('share_')))
    print('shares of classes: ' + ', '.join(f'{name[6:]} {value:.1%}' for name, value in rows[-1].items()
                                            if name.startswith('share_')))
    return 0


def score_run(folder, judge, samples=5000):
    """([a row of figures for every kept number of epochs, the real test images first], the judge)."""
    from chapters import find
    from chapters.ch08_gan.adversarial import saved_generators
    from chapters.ch08_gan.images import scaled
    from chapters.ch08_gan.samples import generate
    judge = Judge(judge)
    run, generators = saved_generators(folder, find)
    data = run.load_data()
    real = scaled(data.train_x[:10000])
    rows = [{'epochs': 'real', **score(judge, scaled(data.validation_x), real)}]
    codes = np.random.default_rng(run.config['seed']).standard_normal((samples, run.network.codes)).astype(np.float32)
    for epochs, generator in generators:
        rows.append({'epochs': epochs, **score(judge, generate(generator, codes, mx.cpu(), 250), real)})
    with atomic_write(run.folder / 'scores.csv', text=True) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    figure, axes = figures.plt.subplots(1, 3, figsize=(13.8, 3.8))
    for axis, name in zip(axes, ('inception_score', 'frechet_distance', 'confidence')):
        axis.plot([row['epochs'] for row in rows[1:]], [row[name] for row in rows[1:]], marker='o', label='made')
        axis.axhline(rows[0][name], linestyle=':', label='real test images')
        axis.set(title=name.replace('_', ' '), xlabel='epochs')
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    axes[1].set_yscale('log')
    figure.tight_layout()
    run.save_figure(figure, 'scores')
    return rows, judge


if __name__ == '__main__':
    sys.exit(main())
