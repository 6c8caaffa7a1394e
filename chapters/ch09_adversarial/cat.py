"""Section 9.2, figure 9-6 on pictures of ours: the cat that is no cat, in 32 bits and saved in 8.

    python -m chapters run 9.2-cat
"""
import numpy as np

from chapters.ch05_deep_cnn.photographs import sample
from chapters.ch09_adversarial.attacked import draw_attacks, save_png
from chapters.ch09_adversarial.attacks import fgsm, noise, pgd
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.data.pictures import photographs
from chapters.kit.experiment import BookFigure, WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script

_SHOWN = ('chelsea', 'coffee', 'rocket', 'temple', 'flower')


def no_cat(run, network='imagenet', epsilon=2.0, steps=40, target='gibbon'):
    """Photographs that SqueezeNet takes for a gibbon, though nobody sees a difference.

    Parameters
    ----------
    run : Run
    network : str
        'imagenet': SqueezeNet.
    epsilon : float
        The most that a pixel may change, of 255.
    steps : int
        Of PGD.
    target : str
        Class to arrive at.

    Returns
    -------
    dict
        Of each photograph how sure the network is of its answer; of that answer with noise of the same size; of another
        answer after one step (FGSM); of the target after PGD in 32 bits; and of the target after saving in 8.
    """
    subject, found = load_subject(network), photographs()
    names = [name for name in _SHOWN if name in found][:3]
    images = np.stack([sample(found[name]) for name in names])
    victim, goal, size = subject.victim, subject.number_of(target), epsilon / 255
    before = victim.probabilities(images)
    labels, number = before.argmax(axis=1), np.arange(len(names))
    noisy, step = victim.probabilities(noise(images, size, run.seed)), victim.probabilities(fgsm(victim, images, labels, size))
    changed = pgd(victim, images, np.full(len(names), goal), size, steps, targeted=True, seed=run.seed)
    run.folder.joinpath('figures').mkdir(exist_ok=True)
    saved = []
    for name, image in zip(names, changed):
        path = run.folder / 'figures' / f'{name}-attacked.png'
        save_png(image, path)
        saved.append(subject.read(path))
    saved = np.stack(saved)
    exact, rounded, metrics, rows = victim.probabilities(changed), victim.probabilities(saved), {}, []
    for i in number:
        metrics.update({f'{names[i]}_{what}': value for what, value in (
            ('confidence', before[i].max()), ('with_noise', noisy[i, labels[i]]), ('one_step_is_another', step[i].argmax() !=
             labels[i]), ('target', exact[i, goal]), ('target_saved', rounded[i, goal]))})
        shares = before[i], step[i], exact[i], rounded[i]
        words = [f'{subject.class_names[share.argmax()]} {share.max():.1%}' for share in shares]
        run.say(f'{names[i]}: {words[0]}; one step: {words[1]}; PGD: {words[2]}; saved: {words[3]}')
        rows.append((images[i], saved[i], words[0], words[3]))
    run.save_figure(draw_attacks(rows, figures.text(f'9.2 SqueezeNet, no pixel moved by more than {epsilon:g} of 255',
                                                    '猫变成长臂猿')), 'cat')
    return metrics


EXPERIMENTS = [
    WorkedExample('9.2-cat', 'The cat that is no cat: SqueezeNet on photographs', '不是猫的猫：SqueezeNet 与照片',
                  function=no_cat,
                  book=(BookFigure(0.577, 'chelsea_confidence', note='figure 9-6: a panda'),
                        BookFigure(0.993, 'chelsea_target_saved', note='figure 9-6: a gibbon')),
                  remark="The book shows a panda, read by GoogLeNet, and one step; here a cat, SqueezeNet, and PGD."),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
