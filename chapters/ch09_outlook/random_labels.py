"""Section 9.4.3: a network learns anything by heart: random labels, shuffled and random pixels (figure 9-38).

    python -m chapters run 9.4.3-random

Zhang, Bengio, Hardt, Recht, Vinyals, "Understanding deep learning requires rethinking generalization",
https://arxiv.org/abs/1611.03530.
"""
from dataclasses import replace

import numpy as np

from chapters.ch03_mlp.mnist import MLP
from chapters.ch04_cnn.lenet import LeNet
from chapters.kit.data.images import load_images
from chapters.kit.experiment import BookFigure, Study
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.kit.variants import compare
from chapters.script import run_script
from data_tools.errors import UserError

# name: (label_noise, images, what it is called in the picture)
VARIANTS = {
    'true': (0.0, 'true', 'true labels', '真实标签'),
    'random_labels': (1.0, 'true', 'random labels', '随机标签'),
    'one_order': (0.0, 'one_order', 'pixels shuffled, one order', '像素按同一乱序'),
    'own_order': (0.0, 'own_order', 'pixels shuffled, an order each', '像素各自乱序'),
    'random_pixels': (0.0, 'random', 'random pixels', '随机像素'),
}
_SHARES = 0.3, 0.6
_FITTED = 0.99  # training accuracy that counts as learnt


def randomised(x, kind, seed):
    """Images (N, C, H, W) whose pixels say less than they did.

    Parameters
    ----------
    x : numpy.ndarray
    kind : str
        'true': as they are; 'one_order': all pixels in the same new order; 'own_order': each image in an order of its own;
        'random': Gaussian noise of the same mean and deviation.
    seed : int
        Of the one order, and of chance.

    Raises
    ------
    UserError
        There is no such kind.
    """
    random, flat = np.random.default_rng([seed, 0x9438]), x.reshape(len(x), -1)
    if kind == 'true':
        return x
    if kind == 'one_order':
        return flat[:, random.permutation(flat.shape[1])].reshape(x.shape)
    if kind == 'own_order':
        return random.permuted(flat, axis=1).reshape(x.shape)
    if kind == 'random':
        return (x.mean() + x.std() * random.standard_normal(x.shape)).astype(np.float32)
    raise UserError(f'images={kind}: there are true, one_order, own_order, random')


def load_randomised(experiment, name, data_root=None, seed=0):
    """`load_images`, then `randomised` as the experiment's size `images` has it."""
    data = load_images(experiment, name, data_root, seed)
    if data.stream:
        raise UserError(f'{experiment.section}: takes image sets of arrays')
    kind = experiment.sizes.get('images', 'true')
    return replace(data, train_x=randomised(data.train_x, kind, seed), validation_x=randomised(data.validation_x, kind, seed))


def memorizer(kind='cnn', images='true', classes=10, **names):
    """A network that is large for its task: 'cnn', 4.4's with 8 and 16 filters, or 'mlp', of 256 units.

    `images` tells the loader what becomes of the pixels; the network is the same.
    """
    if kind == 'cnn':
        return LeNet((8, 16), classes, **names)
    if kind == 'mlp':
        return MLP((256,), classes, **names)
    raise UserError(f'kind={kind}: there are cnn and mlp')


def epochs_to_fit(history):
    """Epochs until the accuracy on training data was 99%; all there are and one, if it never was."""
    return next((row['epoch'] + 1 for row in history if row['train_accuracy'] >= _FITTED), len(history) + 1)


def learn_anything(run):
    """Train both networks on all of `VARIANTS` and shares of random labels; draw figure 9-38.

    Returns
    -------
    dict
        NETWORK_VARIANT_METRIC: of the last epoch, and `epochs_to_fit`.
    """
    parts = []
    for kind in ('cnn', 'mlp'):
        parts += [(f'{kind}_{name}', dict(kind=kind, images=images, label_noise=noise))
                  for name, (noise, images, *_) in VARIANTS.items() if kind == 'cnn' or images == 'true']
        parts += [(f'{kind}_{share:g}', dict(kind=kind, label_noise=share)) for share in _SHARES]
    results, found = compare(run, *parts)
    metrics = {name: value for name, value in found.items() if name.endswith(('train_accuracy', 'validation_accuracy'))}
    histories = {name: history for name, (_, history, _) in results.items()}
    metrics.update({f'{name}_epochs_to_fit': epochs_to_fit(history) for name, history in histories.items()})
    figure, axes = figures.plt.subplots(1, 3, figsize=(15, 4))
    for name, (_, _, title, title_zh) in VARIANTS.items():
        axes[0].plot([row['train_loss'] for row in histories[f'cnn_{name}']], label=figures.text(title, title_zh))
    axes[0].set(xlabel='epoch', ylabel='training loss', title='a')
    axes[0].legend(fontsize=8)
    shares = 0.0, *_SHARES, 1.0
    for kind in ('cnn', 'mlp'):
        named = [f'{kind}_true', *(f'{kind}_{share:g}' for share in _SHARES), f'{kind}_random_labels']
        axes[1].plot(shares, [metrics[f'{name}_epochs_to_fit'] for name in named], marker='o', label=kind)
        axes[2].plot(shares, [1 - metrics[f'{name}_validation_accuracy'] for name in named], marker='o', label=kind)
    axes[1].set(xlabel='share of random labels', ylabel='epochs until 99% are learnt', title='b')
    axes[2].set(xlabel='share of random labels', ylabel='test error', title='c')
    axes[1].legend()
    axes[2].legend()
    figure.suptitle(figures.text('9-38 Learning by heart', '死记硬背'))
    figure.tight_layout()
    run.save_figure(figure, 'by-heart')
    return metrics


EXPERIMENTS = [
    Study('9.4.3-random', 'Random labels, shuffled and random pixels', '随机标签、打乱的像素与随机像素', network=memorizer,
          function=learn_anything, loader=load_randomised, data='digits',
          recipe=Recipe(epochs=40, batch_size=20, optimizer='adam', learning_rate=0.002, momentum=0.9, train_samples=100,
                        initializer='xavier'),
          book=tuple(BookFigure(1.0, f'cnn_{name}_train_accuracy', note='figure 9-38a: the error comes to 0')
                     for name in VARIANTS)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
