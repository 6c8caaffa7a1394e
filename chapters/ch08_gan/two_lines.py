"""Section 8.2.3: two parallel lines, and what a discriminator of each kind says of the distance between them.

    python -m chapters.ch08_gan.two_lines

Real points lie on (0, y), made ones on (distance, y), with y from 0 to 1. The Jensen-Shannon divergence of
the two is log 2 at every distance but 0, so that a discriminator by log loss soon is always right, and has no
gradient left for the generator. The Wasserstein distance is the distance ("Wasserstein GAN",
https://arxiv.org/abs/1701.07875, example 1).
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from scipy.optimize import linear_sum_assignment

from chapters.ch08_gan.adversarial import LOSSES
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script

DISTANCES = (0.0, 0.25, 0.5, 1.0, 2.0, 4.0)


def line(distance, count, random):
    """Points (N, 2) on the line x = distance."""
    return np.stack([np.full(count, distance), random.random(count)], axis=1).astype(np.float32)


def transport(real, made):
    """The Wasserstein distance of two equally large sets of points: the best assignment's mean length."""
    lengths = np.linalg.norm(real[:, None] - made[None], axis=2)
    rows, columns = linear_sum_assignment(lengths)
    return float(lengths[rows, columns].mean())


def train(kind, distance, random, updates=300, batch=64):
    """A discriminator of points by a loss of `LOSSES`; with 'wasserstein' no weight stretches any vector.

    Returns
    -------
    dict
        'divergence': what the discriminator's loss says the two are apart, Jensen-Shannon or Wasserstein;
        'accuracy'; 'gradient': how the generator's loss changes with the distance.
    """
    network = nn.HybridSequential()
    network.add(nn.Dense(32, activation='relu', in_units=2), nn.Dense(1, in_units=32))
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True, static_shape=True)
    of_real, of_made, _ = LOSSES[kind]
    of_g = LOSSES['minimax' if kind == 'book' else kind][2]
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': 0.02})
    for update in range(updates):
        if update == updates * 2 // 3:
            trainer.set_learning_rate(0.002)
        real, made = nd.array(line(0, batch, random)), nd.array(line(distance, batch, random))
        with autograd.record():
            loss = (of_real(nd, network(real)) + of_made(nd, network(made))).mean()
        loss.backward()
        trainer.step(1)
        if kind == 'wasserstein':
            for layer in network:
                weight = layer.weight.data().asnumpy()
                layer.weight.set_data(nd.array(weight / max(1, np.linalg.svd(weight, compute_uv=False)[0])))
    real, made = nd.array(line(0, 500, random)), nd.array(line(distance, 500, random))
    made.attach_grad()
    with autograd.record():
        answers = network(made)
        of_generator = of_g(nd, answers).mean()
    of_generator.backward()
    answers_real = network(real)
    loss = float((of_real(nd, answers_real) + of_made(nd, answers)).mean().asscalar())
    right = (answers_real > answers.mean()).mean() + (answers <= answers_real.mean()).mean() \
        if kind == 'wasserstein' else (answers_real > 0).mean() + (answers <= 0).mean()
    return {'divergence': -loss if kind == 'wasserstein' else np.log(2) - loss / 2,
            'accuracy': float(right.asscalar()) / 2, 'gradient': float(made.grad[:, 0].sum().asscalar())}


def two_lines(run, updates=300):
    """Both kinds at every distance, trained for so many updates; a figure; returns all numbers."""
    random = seed_everything(run.seed)
    metrics, rows = {}, []
    for distance in DISTANCES:
        log_loss, critic = (train(kind, distance, random, updates) for kind in ('book', 'wasserstein'))
        exact = transport(line(0, 300, random), line(distance, 300, random))
        rows.append((log_loss, critic, exact))
        run.say(f'distance {distance:g}: Jensen-Shannon {log_loss["divergence"]:.4f} (D right '
                f'{log_loss["accuracy"]:.1%}, gradient for G {log_loss["gradient"]:.1e}); Wasserstein '
                f'{critic["divergence"]:.4f}, exactly {exact:.4f} (gradient {critic["gradient"]:.2f})')
        for name, value in (('jensen_shannon', log_loss['divergence']), ('accuracy', log_loss['accuracy']),
                            ('gradient_of_log_loss', log_loss['gradient']), ('wasserstein', critic['divergence']),
                            ('gradient_of_wasserstein', critic['gradient']), ('transport', exact)):
            metrics[f'{name}_at_{distance:g}'] = value
    figure, axes = figures.plt.subplots(1, 2, figsize=(10, 3.8))
    axes[0].plot(DISTANCES, [row[0]['divergence'] for row in rows], 'o-', label='Jensen-Shannon, by D')
    axes[0].axhline(np.log(2), linestyle=':', color='C0', label='log 2')
    axes[0].plot(DISTANCES, [row[1]['divergence'] for row in rows], 'o-', label='Wasserstein, by a critic')
    axes[0].plot(DISTANCES, [row[2] for row in rows], ':', color='C1', label='Wasserstein, by assignment')
    axes[0].set_title('what the discriminator says')
    axes[1].plot(DISTANCES, [row[0]['gradient'] for row in rows], 'o-', label='log(1 - D)')
    axes[1].plot(DISTANCES, [row[1]['gradient'] for row in rows], 'o-', label='Wasserstein')
    axes[1].set_title('gradient of G\'s loss by the distance')
    for axis in axes:
        axis.set_xlabel('distance of the lines')
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(figures.text('8.2.3 Two lines', '两条直线'))
    figure.tight_layout()
    run.save_figure(figure, 'two-lines')
    return metrics


EXPERIMENTS = [
    WorkedExample('8.2.3', 'Two lines: what log loss and Wasserstein loss see of their distance',
                  '两条直线：对数损失与 Wasserstein 损失看到的距离', function=two_lines),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
