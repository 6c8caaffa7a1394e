"""Section 8.3: DCGAN as printed beside a training that collapses (figure 8-14), and what the book says to try.

    python -m chapters.ch08_gan.collapse

Short trainings of the same networks, from the same first values, on the same images.
"""
from dataclasses import dataclass
from typing import Callable

import numpy as np
from PIL import Image

from chapters.ch08_gan.adversarial import Adversarial, train_adversarially
from chapters.ch08_gan.dcgan import DCGAN, RECIPE
from chapters.ch08_gan.images import scaled
from chapters.kit.report import figures
from chapters.kit.variants import trained
from chapters.script import run_script

# name: (what is changed, what it is called in the picture)
VARIANTS = {
    'normal': ({}, 'as printed', '与书中相同'),
    'collapsed': ({'learning_rate': 0.01, 'momentum': 0.9}, 'rate 0.01, beta1 0.9: collapsed', '速率 0.01、beta1 0.9：坍塌'),
    'image_norm': ({'image_norm': True}, "BN in G's output and D's input", 'G 的输出与 D 的输入加 BN'),
    'free_gamma': ({'fix_gamma': False}, 'fix_gamma=False', 'fix_gamma=False'),
}


def alikeness(images, real):
    """How little images (N, C, H, W) vary: 1 where all are the same, 0 where pixels vary as those of real images do.

    One minus the mean variance of a pixel over the images, beside that of real ones.
    """
    return 1 - min(1.0, float(images.var(axis=0).mean() / max(real.var(axis=0).mean(), 1e-12)))


def train_variants(run):
    """Train all of `VARIANTS`; `figures/variants.png` has a grid of each.

    Returns
    -------
    dict
        Of each the variety of its samples, how alike they are (`alikeness`), and how often D is right.
    """
    metrics, grids = {}, []
    for name, (changes, title, title_zh) in VARIANTS.items():
        experiment = run.experiment.but(**changes)
        _, history, data = trained(run, name, experiment, may_diverge=True, how=train_adversarially)
        last = sorted((run.folder / name / 'samples').glob('epoch-*.png'))[-1]
        with Image.open(last) as picture:
            grid = np.asarray(picture)
        grids.append((grid, figures.text(title, title_zh) if title != title_zh else title))
        side = experiment.sizes['size']
        made = tiles_of(grid, side)
        metrics[f'{name}_alike'] = alikeness(made, scaled(data.train_x[:64]))
        if history:
            metrics.update({f'{name}_{key[6:]}': history[-1][key] for key in (
                'train_variety', 'train_accuracy_real', 'train_accuracy_made')})
    figure, axes = figures.plt.subplots(1, len(grids), figsize=(4 * len(grids), 4.6))
    for axis, (grid, title) in zip(axes, grids):
        axis.imshow(grid, cmap='gray', vmin=0, vmax=255)
        axis.set_title(title, fontsize=8)
        axis.axis('off')
    figure.tight_layout()
    run.save_figure(figure, 'variants')
    return metrics


def tiles_of(grid, side, enlarged=2):
    """The images (N, C, S, S) from -1 to 1 of a picture that `samples.save_tiles` has saved."""
    pixels = np.asarray(grid)[::enlarged, ::enlarged]
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    step = side + 1
    return scaled(np.stack([pixels[top:top + side, left:left + side].transpose(2, 0, 1)
                            for top in range(0, len(pixels), step) for left in range(0, pixels.shape[1], step)]))


@dataclass(frozen=True)
class Variants(Adversarial):
    """`VARIANTS` of an adversarial experiment, trained one after another."""
    function: Callable = train_variants

    shared = False
    listing = None
    steps = ()


EXPERIMENTS = [
    Variants('8.3-variants', 'DCGAN: normal, collapsed, and with other normalisation',
             'DCGAN：正常、坍塌，以及其他归一化方式', network=DCGAN, sizes={'size': 16, 'channels': 1, 'width': 16},
             recipe=RECIPE.but(epochs=8, batch_size=32, learning_rate=0.001), data='digits', sample_shape=(100,)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
