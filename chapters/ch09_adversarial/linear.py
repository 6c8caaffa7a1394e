"""Section 9.2: why it is so easy: each input moves a little, all in the direction that counts, and the sum moves far.

    python -m chapters run 9.2
"""
import numpy as np
from PIL import Image

from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.image_sets import Packs, find

W = np.array([-1, -1, 1, -1, 1, -1, 1, 1, -1, 1])
X = np.array([2, -1, 3, -2, 2, 2, 1, -2, 5, 1])


def moved(w, x, step):
    """The input that is nowhere farther than a step from x, and for which w x is largest."""
    return x + step * np.sign(w)


def by_hand_and_learnt(run, data='digits', epsilon=0.03):
    """The book's neuron with ten inputs; then one that has learnt to tell two digits, on images of growing size.

    Parameters
    ----------
    run : Run
    data : str
        Set of gray images: digits, mnist or fashion. For each size of image a model learns odd classes against even ones.
    epsilon : float
        The step, pixels going from 0 to 1.

    Returns
    -------
    dict
        The two sums of the book; and for images of N pixels how far a step of epsilon moves the sum, how far one of random
        signs does, and the accuracy after either.
    """
    after = moved(W, X, 0.5)
    run.say(f'w x = {W @ X}; every input moved by 0.5: {W @ after:g}')
    metrics = {'sum': W @ X, 'sum_moved': W @ after}
    train, labels, test, truth = odd_and_even(data, run.config['data_root'] or None)
    random, rows = np.random.default_rng(run.seed), []
    for side in (7, 14, 28, 56, 112):
        w, b = fitted(resized(train, side), labels)
        images = resized(test, side)
        signs = random.choice((-1, 1), images.shape)
        rows.append({'inputs': side * side, 'attacked': epsilon * np.abs(w).sum(), 'noise': np.abs(epsilon * signs @ w).mean(),
                     'right': right(images, w, b, truth), 'noise_right': right(images + epsilon * signs, w, b, truth),
                     'attacked_right': right(images - epsilon * np.outer(2 * truth - 1, np.sign(w)), w, b, truth)})
        metrics.update({f'{name}_{side}x{side}': value for name, value in rows[-1].items() if name != 'inputs'})
    _draw(run, rows, epsilon)
    return metrics


def odd_and_even(data, data_root=None):
    """Images (N, S, S) from 0 to 1, and whether the class is odd, 0 or 1: for training, and for test.

    Raises
    ------
    UserError
        The set is of packs or in colour.
    """
    found = find(data, data_root)
    if isinstance(found, Packs) or found.train_images.shape[1] != 1:
        raise UserError(f'data={data}: takes sets of gray images that are no packs, such as digits or mnist')
    parts = []
    for images, labels in ((found.train_images, found.train_labels), (found.test_images, found.test_labels)):
        parts += [images[:2000, 0] / 255.0, labels[:2000].astype(int) % 2]
    return parts


def resized(images, side):
    """(N, S, S) -> (N, side * side)."""
    return np.stack([np.asarray(Image.fromarray(image.astype(np.float32)).resize((side, side), Image.BILINEAR)).ravel()
                     for image in images])


def fitted(x, labels):
    """(w, b) of logistic regression."""
    from sklearn.linear_model import LogisticRegression
    model = LogisticRegression(C=0.1, max_iter=2000).fit(x, labels)
    return model.coef_[0], model.intercept_[0]


def right(x, w, b, labels):
    """Share of answers that are right."""
    return float((((x @ w + b) > 0) == labels).mean())


def _draw(run, rows, epsilon):
    inputs = np.array([row['inputs'] for row in rows])
    figure, axes = figures.plt.subplots(1, 3, figsize=(14, 3.9))
    places = np.arange(len(W))
    axes[0].bar(places - 0.2, W * X, 0.4, label=f'w x: {W @ X}')
    after = moved(W, X, 0.5)
    axes[0].bar(places + 0.2, W * after, 0.4, label=f'{figures.text("moved by 0.5", "每项改变 0.5")}: {W @ after:g}')
    axes[0].set(xlabel=figures.text('input', '输入'), xticks=places)
    axes[1].plot(inputs, [row['attacked'] / row['noise'] for row in rows], 'o-', label=figures.text('measured', '实测'))
    axes[1].plot(inputs, np.sqrt(inputs), ':', label='$\\sqrt{N}$')
    axes[1].set(xscale='log', yscale='log', xlabel=figures.text('number of inputs N', '输入个数 N'))
    axes[1].set_title(figures.text('along sign(w) : random signs', '沿 sign(w) 与随机符号之比'), fontsize=9)
    for name, words, style in (('right', figures.text('as they are', '原图'), ':'),
                               ('noise_right', figures.text('random signs', '随机符号'), 's-'),
                               ('attacked_right', figures.text('along sign(w)', '沿 sign(w)'), 'o-')):
        axes[2].plot(inputs, [row[name] for row in rows], style, label=words)
    axes[2].set(xscale='log', ylim=(-0.03, 1.03), xlabel=figures.text('number of inputs N', '输入个数 N'))
    axes[2].set_title(figures.text('accuracy', '准确率'), fontsize=9)
    for axis in axes:
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    figure.suptitle(figures.text(f'9.2 A neuron, and one that has learnt; every pixel moved by {epsilon:g}', '神经元的线性'))
    figure.tight_layout()
    run.save_figure(figure, 'linear')


EXPERIMENTS = [
    WorkedExample('9.2', 'Why a small change suffices: a neuron is a sum', '为何小改变就够：神经元是求和',
                  function=by_hand_and_learnt, book=figures_of(sum=-1, sum_moved=4)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
