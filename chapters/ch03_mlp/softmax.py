"""Section 3.4.1: softmax, cross-entropy, and why their gradient is better than that of the squared error.

    python -m chapters.ch03_mlp.softmax
"""
import numpy as np
from mxnet import autograd, nd

from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script


def softmax(z):
    """exp(z) / sum(exp(z)) of a vector; the largest number is taken off first, so that nothing overflows."""
    powers = np.exp(z - np.max(z))
    return powers / powers.sum()


def cross_entropy(q, label):
    """-log of the probability that q gives to the true class."""
    return -np.log(q[label])


def numbers(run):
    """The example of 3.4.1, its gradients by formula and by `autograd`, and two losses on a sigmoid."""
    z, label = np.array([2.0, -3.0, 4.0]), 2
    q = softmax(z)
    p = np.eye(3)[label]
    x = nd.array(z.reshape(1, 3))
    x.attach_grad()
    with autograd.record():
        loss = -nd.pick(nd.log_softmax(x), nd.array([label]))
    loss.backward()
    metrics = {f'q{number}': value for number, value in enumerate(q, 1)}
    metrics['cross_entropy'] = cross_entropy(q, label)
    metrics.update({f'gradient{number}': value for number, value in enumerate(q - p, 1)})
    metrics['difference_softmax'] = np.abs(x.grad.asnumpy()[0] - (q - p)).max()

    z = np.linspace(-8, 8, 161)
    x = nd.array(z)
    x.attach_grad()
    slopes = {}
    for name, function in (('cross-entropy', lambda q: -nd.log(q)), ('MSE', lambda q: nd.square(q - 1))):
        with autograd.record():
            loss = function(nd.sigmoid(x))
        loss.backward()
        slopes[name] = x.grad.asnumpy()
    q = 1 / (1 + np.exp(-z))
    metrics['difference_cross_entropy'] = np.abs(slopes['cross-entropy'] - (q - 1)).max()
    metrics['difference_mse'] = np.abs(slopes['MSE'] - 2 * (q - 1) * q * (1 - q)).max()
    figure, axis = figures.plt.subplots(figsize=(6.5, 4))
    axis.plot(z, slopes['cross-entropy'], label='cross-entropy: q - p')
    axis.plot(z, slopes['MSE'], label='MSE: 2 (q - p) q (1 - q)')
    axis.set(xlabel='z, where q = sigmoid(z) and p = 1', ylabel='dLOSS / dz')
    axis.grid(alpha=0.3)
    axis.legend()
    axis.set_title(figures.text('3.4.1 A wrong answer barely moves under MSE', 'MSE 对错得离谱的答案几乎没有梯度'))
    run.save_figure(figure, 'gradients')
    return metrics


EXPERIMENTS = [
    WorkedExample('3.4.1', 'Softmax and cross-entropy', 'Softmax 与交叉熵', function=numbers,
                  book=figures_of(cross_entropy=0.128, q1=0.119, q2=0.001, q3=0.880)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
