"""Section 9.4.3: a kernel machine, solved at once, has no training error and is right on new images too.

    python -m chapters run 9.4.3-kernel --data mnist --subset 20000

Zhang et al., https://arxiv.org/abs/1611.03530, section 5: linear in the features of a Gaussian kernel, no regularization.
"""
import numpy as np
from scipy.linalg import cho_factor, cho_solve
from scipy.ndimage import gaussian_filter

from chapters.kit.data.images import load_images
from chapters.kit.experiment import BookFigure, Study
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools.errors import UserError

_LARGEST = 30000  # samples: their kernel takes 3.6 GB
_BLOCK = 1000


class KernelMachine:
    """f(x) = sum_i a_i k(x, x_i) with k(x, z) = exp(-|x - z|^2 / (2 w^2)), by the equations K a = y.

    Parameters
    ----------
    width : float
        w, in median distances between training samples.
    ridge : float
        Added to the diagonal of K, whose entries are 1; only as much as single precision needs.
    """
    def __init__(self, width=0.5, ridge=1e-4):
        self.width, self.ridge = width, ridge

    def fit(self, x, y):
        """Solve for samples (N, D) of classes (N,); returns itself. Memory: 4 N^2 bytes."""
        self.x, self.squares = x, np.square(x).sum(axis=1)
        few = x[:1000]
        distances = self.squares[:len(few), None] + self.squares[:len(few)] - 2 * few @ few.T
        self.scale = -0.5 / (self.width ** 2 * np.median(distances[np.triu_indices(len(few), 1)]))
        matrix = np.empty((len(x), len(x)), np.float32)
        for start in range(0, len(x), _BLOCK):
            matrix[start:start + _BLOCK] = self.kernel(x[start:start + _BLOCK])
        matrix.flat[::len(x) + 1] += np.float32(self.ridge)
        targets = np.eye(int(y.max()) + 1, dtype=np.float32)[y.astype(int)]
        self.weights = cho_solve(cho_factor(matrix.T, lower=True, overwrite_a=True, check_finite=False), targets)
        return self

    def kernel(self, x):
        """(M, N), of samples (M, D) with those of training."""
        values = x @ self.x.T
        values *= -2
        values += np.square(x).sum(axis=1)[:, None]
        values += self.squares
        return np.exp(np.minimum(values * np.float32(self.scale), 0, out=values), out=values)

    def predict(self, x):
        """Classes (M,) of samples (M, D)."""
        return np.concatenate([(self.kernel(x[start:start + _BLOCK]) @ self.weights).argmax(axis=1)
                               for start in range(0, len(x), _BLOCK)])


def smoothed(x, sigma):
    """Images (N, C, H, W) blurred by a Gaussian of so many pixels, as rows (N, D)."""
    return (gaussian_filter(x, (0, 0, sigma, sigma)) if sigma else x).reshape(len(x), -1)


def machine(width=0.5, ridge=1e-4, smoothing=0.0):
    """A `KernelMachine`; `smoothing`: sigma in pixels of the blur before it."""
    return KernelMachine(width, ridge)


def solve(run):
    """Errors on training and test data."""
    data, sizes = run.data, run.experiment.sizes
    if data.stream or len(data.train_x) > _LARGEST:
        raise UserError(f'{run.experiment.section}: takes image sets of arrays, of {_LARGEST:,} samples at most, since the '
                        'equations of more do not fit into memory: --subset N')
    if len(data.train_x) < 2:
        raise UserError(f'{run.experiment.section}: distances take 2 training images or more; there is {len(data.train_x)}')
    train_x, test_x = (smoothed(x, sizes.get('smoothing', 0.0)) for x in (data.train_x, data.validation_x))
    found = run.checkpoint.remembered('solution', lambda: machine(**sizes).fit(train_x, data.train_y))
    few = slice(2000)
    return {'samples': len(train_x), 'train_error': np.mean(found.predict(train_x[few]) != data.train_y[few]),
            'validation_error': np.mean(found.predict(test_x) != data.validation_y)}


_IGNORED = tuple(name for name in vars(Recipe()) if name not in ('train_samples', 'label_noise'))

EXPERIMENTS = [
    Study('9.4.3-kernel', 'A kernel machine, solved at once', '一步求解的核方法', network=machine, function=solve,
          data='digits', recipe=Recipe(epochs=1), loader=load_images, ignores=_IGNORED, limits={'width': (1e-3, 1e3)},
          book=(BookFigure(0.012, 'validation_error', 'mnist', 'from all 60,000 images'),
                BookFigure(0.46, 'validation_error', 'cifar10', 'smoothed, from all 50,000 images; 0.15 behind 32,000 random '
                           'kernels')),
          remark='The equations of all samples of MNIST do not fit into our memory.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
