"""Section 9.2: what fools one network fools others, which have learnt from the same images; and why.

Liu, Chen, Liu, Song 2016, https://arxiv.org/abs/1611.02770: a matrix of networks attacked and networks shown the result;
attacks made on all but one network, shown to that one; and the regions of the answers around an image.

    python -m chapters run 9.2-transfer --set data=cifar10 --set samples=10000 --set images=200 --set epsilon=16
"""
import numpy as np
from mxnet.gluon import nn

from chapters.ch04_cnn.lenet import LeNet
from chapters.ch09_adversarial.attacks import Several, Victim, as_saved, loss, noise, pgd
from chapters.ch09_adversarial.small import image_set, learn, small_net
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script


def five_networks():
    """{name: (network, learning rate)}, unlike one another."""
    dense = nn.HybridSequential()
    dense.add(nn.Dense(256, activation='relu'), nn.Dense(128, activation='relu'), nn.Dense(10))
    wide = nn.HybridSequential()
    wide.add(nn.Conv2D(24, 5, strides=2, padding=2, activation='relu'),
             nn.Conv2D(48, 5, strides=2, padding=2, activation='relu'), nn.Dense(64, activation='relu'), nn.Dense(10))
    return {'4.4, narrow': (LeNet((16, 32)), 0.005), 'dense': (dense, 0.002), 'strided': (wide, 0.002),
            'small kernels': (small_net((16, 32, 32)), 0.01), 'large kernels': (small_net((16, 32), 5), 0.01)}


def transfer(run, data='digits', samples=0, epochs=6, images=60, epsilon=56.0, steps=10, tries=21):
    """Train five networks, attack each, show the result to all; attack four at once, show it to the fifth; draw regions.

    Parameters
    ----------
    run : Run
    data : str
        Set of images: digits, mnist, fashion, cifar10.
    samples, epochs : int
        Training images (0: all), and how often they are seen.
    images : int
        Test images that all five know.
    epsilon : float
        The most that a pixel may change, of 255.
    steps : int
        Of PGD.
    tries : int
        Images along each side of a picture of regions.

    Returns
    -------
    dict
        Accuracies of the five; 'diagonal', the mean accuracy of networks on images made to fool them; 'others' and
        'worst_other', the mean and the largest of networks on images made to fool another; 'left_out' and 'worst_left_out',
        on images made to fool the other four; 'noise', on noise of the same size.
    """
    x, y, test_x, test_y = image_set(data, samples, run.config['data_root'] or None)
    victims, metrics = {}, {}
    for number, (name, (network, rate)) in enumerate(five_networks().items()):
        victims[name] = Victim(learn(network, x, y, epochs, rate=rate, seed=run.seed + number))
        metrics[f'accuracy_{name}'] = victims[name].accuracy(test_x, test_y)
        run.say(f'{name}: {metrics[f"accuracy_{name}"]:.1%} of {len(test_x)} test images')
    known = np.flatnonzero(np.all([victim.answers(test_x) == test_y for victim in victims.values()], axis=0))[:images]
    x, y, size, names = test_x[known], test_y[known], epsilon / 255, list(victims)
    metrics['images'] = len(x)

    def shown_to_all(attacked):
        changed = as_saved(pgd(attacked, x, y, size, steps, seed=run.seed))
        return [victim.accuracy(changed, y) for victim in victims.values()]
    alone = np.array([shown_to_all(victims[name]) for name in names])
    all_but = np.array([shown_to_all(Several(victims[other] for other in names if other != name)) for name in names])
    noisy = as_saved(noise(x, size, run.seed))
    off = ~np.eye(len(names), dtype=bool)
    metrics.update(
        diagonal=np.diag(alone).mean(), others=alone[off].mean(), worst_other=alone[off].max(),
        left_out=np.diag(all_but).mean(), worst_left_out=np.diag(all_but).max(), inside=all_but[off].mean(),
        noise=np.mean([victim.accuracy(noisy, y) for victim in victims.values()]))
    for name, value in list(metrics.items())[-7:]:
        run.say(f'{name}: {value:.1%}')
    run.save_figure(_matrices(names, alone, all_but, f'{data}, {len(x)} images, epsilon {epsilon:g} of 255'), 'transfer')
    if len(x):
        run.save_figure(_regions(victims, x[0], y[0], 4 * size, tries, run.seed), 'regions')
    return metrics


def _matrices(names, alone, all_but, title):
    figure, axes = figures.plt.subplots(1, 2, figsize=(13, 5.2))
    for axis, shares, rows, words in (
            (axes[0], alone, names, figures.text('made on one network', '在一个网络上制作')),
            (axes[1], all_but, [f'all but {name}' for name in names], figures.text('made on four', '在四个网络上制作'))):
        axis.imshow(shares, cmap='RdYlGn', vmin=0, vmax=1)
        for row, column in np.ndindex(shares.shape):
            axis.text(column, row, f'{shares[row, column]:.0%}', ha='center', va='center')
        axis.set_xticks(range(len(names)))
        axis.set_xticklabels(names, rotation=30, ha='right')
        axis.set_yticks(range(len(names)))
        axis.set_yticklabels(rows)
        axis.set(xlabel=figures.text('shown to', '展示给'), title=words)
    figure.suptitle(figures.text(f'9.2 Accuracy of networks on images made to fool others: {title}', '迁移'))
    figure.tight_layout()
    return figure


def region(victim, image, across, up, reach, tries):
    """Answers (tries, tries) at image + a across + b up, a and b from -reach to reach; pixels beyond 0 and 1 are let be."""
    places = np.linspace(-reach, reach, tries)
    images = image + places[None, :, None, None, None] * across + places[::-1, None, None, None, None] * up
    return victim.answers(images.reshape(-1, *image.shape).astype(np.float32)).reshape(tries, tries)


def _regions(victims, image, label, reach, tries, seed):
    """Around one image: across, the direction that fools the first network; upwards, random signs."""
    first = next(iter(victims.values()))
    _, gradient = first.gradient(image[None], np.array([label]), loss)
    across, up = np.sign(gradient[0]), np.random.default_rng(seed).choice((-1, 1), image.shape)
    figure, axes = figures.plt.subplots(1, len(victims), figsize=(3 * len(victims), 3.6))
    for axis, (name, victim) in zip(axes, victims.items()):
        axis.imshow(region(victim, image, across, up, reach, tries), cmap='tab10', vmin=0, vmax=9,
                    extent=(-255 * reach, 255 * reach) * 2)
        axis.plot(0, 0, 'w+')
        axis.set_title(name, fontsize=9)
        axis.set_xlabel(figures.text(f'fools {next(iter(victims))}', '攻击方向'), fontsize=8)
    axes[0].set_ylabel(figures.text('random', '随机方向'), fontsize=8)
    figure.suptitle(figures.text('9.2 Answers around an image, each class a colour; steps of 255', '图像周围的判别区域'))
    figure.tight_layout()
    return figure


EXPERIMENTS = [
    WorkedExample('9.2-transfer', 'What fools one network fools others', '骗过一个网络的也骗过别的网络', function=transfer),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
