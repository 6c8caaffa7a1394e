"""Section 9.2: shields before a network, and how they fall once the attacker knows them; networks that learn from attacks.

    python -m chapters run 9.2-defences
    python -m chapters run 9.2-training
"""
import numpy as np

from chapters.ch09_adversarial.attacks import Victim, as_saved, carlini_wagner, fgsm, noise, pgd
from chapters.ch09_adversarial.camera import Camera, as_jpeg, blurred
from chapters.ch09_adversarial.printed import expectation
from chapters.ch09_adversarial.small import image_set, learn, small_net
from chapters.ch09_adversarial.subject import load_subject
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script


def shields(seed=0):
    """{name: what images pass before the network}: smoothing, JPEG, and random size and place.

    The last: Xie, Wang, Zhang, Ren, Yuille 2017, https://arxiv.org/abs/1711.01991.
    """
    return {'none': None, 'smoothing': lambda x: blurred(x, 0.6), 'jpeg': as_jpeg,
            'resize_and_pad': Camera(sizes=(0.85, 1.0), shift=0.06, seed=seed)}


def passive(run, network='digits', images=50, epsilon=12.0, steps=20, draws=6):
    """Accuracy behind each shield: of images as they are, attacked by who knows the network only, and by who knows the shield.

    Parameters
    ----------
    run : Run
    network : str
        'digits', a run folder, or zoo:NAME.
    images : int
        Test images that the network knows.
    epsilon : float
        The most that a pixel may change, of 255.
    steps, draws : int
        Of PGD, and of the expectation over what is random.

    Returns
    -------
    dict
        'SHIELD_clean', 'SHIELD_unaware', 'SHIELD_aware'.
    """
    subject = load_subject(network)
    victim, (x, labels) = subject.victim, subject.test_images(images, correct=True)
    size, metrics = epsilon / 255, {}
    unaware = as_saved(pgd(victim, x, labels, size, steps, seed=run.seed))
    for name, shield in shields(run.seed).items():
        behind = victim.behind(shield)
        aware = expectation(behind, x, labels, size, steps, draws if name == 'resize_and_pad' else 1)
        for what, shown in (('clean', x), ('unaware', unaware), ('aware', as_saved(aware))):
            metrics[f'{name}_{what}'] = np.mean([behind.accuracy(shown, labels) for _ in range(5 if 'pad' in name else 1)])
        run.say(f'{name}: ' + ', '.join(f'{what} {metrics[f"{name}_{what}"]:.1%}' for what in ('clean', 'unaware', 'aware')))
    _draw(run, metrics, list(shields()), {'clean': ('as they are', '原图'), 'unaware': ('attack knows the network', '只知网络'),
                                          'aware': ('attack knows the shield too', '也知防御')},
          figures.text(f'9.2 Passive defences: {network}, epsilon {epsilon:g} of 255', '被动防御'), 'defences')
    return metrics


def hardened(run, data='digits', samples=0, epochs=8, images=100, epsilon=16.0, steps=5):
    """Networks that learn from images as they are, from images attacked by FGSM, and by PGD; attacked in several ways.

    Madry et al. 2017, https://arxiv.org/abs/1706.06083, section 3; Goodfellow et al. 2014, section 6, for FGSM.

    Parameters
    ----------
    run : Run
    data : str
        digits, mnist, fashion or cifar10.
    samples, epochs : int
        Training images (0: all), and how often they are seen.
    images : int
        Test images.
    epsilon : float
        In training and in attacks, of 255.
    steps : int
        Of PGD in training; attacks take four times as many.

    Returns
    -------
    dict
        'plain', 'fgsm' and 'pgd', the training, with what was shown: '_clean', '_by_noise', '_by_fgsm', '_by_pgd',
        '_by_twice': PGD with twice the epsilon, and '_by_nearest': Carlini and Wagner's, its change no longer than that of
        noise of a third of epsilon (another norm than the one that it was trained for).
    """
    x, y, test_x, test_y = image_set(data, samples, run.config['data_root'] or None)
    x_test, labels, size, metrics = test_x[:images], test_y[:images], epsilon / 255, {}
    changes = {'plain': lambda network: None,
               'fgsm': lambda network: lambda some, of, random: fgsm(Victim(network), some, of, size),
               'pgd': lambda network: lambda some, of, random: pgd(Victim(network), some, of, size, steps,
                                                                   seed=int(random.integers(1 << 30)))}
    for name, change in changes.items():
        network = small_net()
        victim = Victim(learn(network, x, y, epochs, seed=run.seed, change=change(network)))
        near = carlini_wagner(victim, x_test, labels, steps=60, searches=4)
        length = np.sqrt(np.square(near - x_test).sum(axis=(1, 2, 3), keepdims=True))
        near = np.where(length < size / 3 * np.sqrt(x_test[0].size), near, x_test)
        shown = {'clean': x_test, 'by_noise': noise(x_test, size, run.seed), 'by_fgsm': fgsm(victim, x_test, labels, size),
                 'by_pgd': pgd(victim, x_test, labels, size, 4 * steps, seed=run.seed),
                 'by_twice': pgd(victim, x_test, labels, 2 * size, 4 * steps, seed=run.seed), 'by_nearest': near}
        metrics.update({f'{name}_{what}': victim.accuracy(part, labels) for what, part in shown.items()})
        run.say(f'{name}: ' + ', '.join(f'{what} {metrics[f"{name}_{what}"]:.1%}' for what in shown))
    _draw(run, metrics, list(changes), {
        'clean': ('as they are', '原图'), 'by_noise': ('noise', '噪声'), 'by_fgsm': ('FGSM', 'FGSM'), 'by_pgd': ('PGD', 'PGD'),
        'by_twice': ('PGD, twice as far', '两倍 PGD'), 'by_nearest': ('nearest (C&W)', '最近（C&W）')},
        figures.text(f'9.2 Adversarial training: {data}, epsilon {epsilon:g} of 255', '对抗训练'), 'training')
    return metrics


def _draw(run, metrics, groups, kinds, title, name):
    figure, axis = figures.plt.subplots(figsize=(8.5, 4))
    width = 0.8 / len(kinds)
    for number, (kind, words) in enumerate(kinds.items()):
        places = np.arange(len(groups)) + (number - (len(kinds) - 1) / 2) * width
        axis.bar(places, [metrics[f'{group}_{kind}'] for group in groups], width, label=figures.text(*words)
                 if words[0] != words[1] else words[0])
    axis.set_xticks(range(len(groups)))
    axis.set_xticklabels([group.replace('_', ' ') for group in groups])
    axis.set(ylim=(0, 1.02), ylabel=figures.text('accuracy', '准确率'), title=title)
    axis.grid(axis='y', alpha=0.3)
    axis.legend(fontsize=8, loc='center left', bbox_to_anchor=(1, 0.5))
    run.save_figure(figure, name)


EXPERIMENTS = [
    WorkedExample('9.2-defences', 'Passive defences, and how they fall once known', '被动防御，以及被知道之后的失效',
                  function=passive),
    WorkedExample('9.2-training', 'Adversarial training', '对抗训练', function=hardened),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
