"""Section 9.2: how much change is needed: answers over epsilon, attack by attack, beside noise of the same size.

    python -m chapters run 9.2-epsilon --set network=zoo:4.4 --set epsilons=4,8,16,32,64
    python -m chapters run 9.2-epsilon --set network=zoo:5.5.7-fast --set epsilons=1,2,4,8
"""
import numpy as np

from chapters.ch09_adversarial.attacked import draw_attacks
from chapters.ch09_adversarial.attacks import as_saved, carlini_wagner, fgsm, iterated, noise, pgd
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script

_WAYS = {'noise': ('random signs', '随机符号'), 'fgsm': ('FGSM', 'FGSM'), 'iterated': ('iterated FGSM', '迭代 FGSM'),
         'pgd': ('PGD', 'PGD'), 'targeted': ('PGD to the next class: not there yet', 'PGD，目标为下一类：未到达')}


def over_epsilon(run, network='digits', images=60, steps=10, epsilons=(1, 2, 4, 8, 16), nearest=20):
    """Accuracy on test images, as saved in 8 bits, attacked with growing epsilon.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    steps : int
        Of iterated FGSM and PGD.
    epsilons : tuple of int
        In steps of 8 bits.
    nearest : int
        Images for which Carlini and Wagner's attack looks for the nearest image of another class.

    Returns
    -------
    dict
        Accuracy by attack and epsilon; of 'targeted' the share that does not answer the next class; and the medians of
        Carlini and Wagner's change: length, and root of the mean square of a pixel in steps of 8 bits.
    """
    subject = load_subject(network)
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    goals, metrics, curves = (labels + 1) % len(subject.class_names), {}, {name: [] for name in _WAYS}
    for epsilon in epsilons:
        size = epsilon / 255
        changed = {'noise': noise(x, size, run.seed), 'fgsm': fgsm(victim, x, labels, size),
                   'iterated': iterated(victim, x, labels, size, steps),
                   'pgd': pgd(victim, x, labels, size, steps, seed=run.seed),
                   'targeted': pgd(victim, x, goals, size, steps, targeted=True, seed=run.seed)}
        for name, result in changed.items():
            answers = victim.answers(as_saved(result))
            kept = (answers != goals if name == 'targeted' else answers == labels).mean()
            curves[name].append(kept)
            metrics[f'{name}_at_{epsilon:g}'] = kept
        run.say(f'epsilon {epsilon:g}: ' + ', '.join(f'{name} {values[-1]:.1%}' for name, values in curves.items()))
    close = carlini_wagner(victim, x[:nearest], labels[:nearest])
    fooled = victim.answers(close) != labels[:nearest]
    change = (close - x[:nearest])[fooled]
    metrics['nearest_found'] = fooled.mean()
    metrics['nearest_length'] = np.median(np.sqrt(np.square(change).sum(axis=(1, 2, 3))))
    metrics['nearest_root_mean_square'] = 255 * np.median(np.sqrt(np.square(change).mean(axis=(1, 2, 3))))
    _draw(run, epsilons, curves, f'{network}, {len(x)} images')
    _draw_nearest(run, subject, x[:nearest][fooled][:6], close[fooled][:6])
    return metrics


def _draw(run, epsilons, curves, title):
    figure, axis = figures.plt.subplots(figsize=(7, 4.2))
    for name, curve in curves.items():
        axis.plot(epsilons, curve, 's:' if name == 'noise' else 'o-', label=figures.text(*_WAYS[name])
                  if len(set(_WAYS[name])) > 1 else _WAYS[name][0])
    axis.set(xscale='log', ylim=(-0.03, 1.03), xticks=epsilons, xticklabels=[f'{epsilon:g}' for epsilon in epsilons],
             xlabel=figures.text('epsilon, of 255', 'epsilon（满刻度 255）'), ylabel=figures.text('accuracy', '准确率'))
    axis.minorticks_off()
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    axis.set_title(title)
    run.save_figure(figure, 'epsilon')


def _draw_nearest(run, subject, images, close):
    before, after = (subject.victim.probabilities(part) for part in (images, close))
    rows = [(image, changed, *(f'{subject.class_names[share.argmax()]} {share.max():.0%}' for share in shares))
            for image, changed, *shares in zip(images, close, before, after)]
    if rows:
        run.save_figure(draw_attacks(rows, figures.text('Carlini and Wagner: the nearest image of another class',
                                                        '另一类别的最近图像')), 'nearest')


EXPERIMENTS = [
    WorkedExample('9.2-epsilon', 'Accuracy over the size of an attack, beside noise of the same size',
                  '准确率随攻击大小的变化，与同样大小的噪声对照', function=over_epsilon),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
