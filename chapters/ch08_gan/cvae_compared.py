"""Section 8.5.3: CVAE, CGAN and CVAE-GAN side by side (figure 8-46), and a classifier that also learns from made images.

    python -m chapters.ch08_gan.cvae_compared
"""
from dataclasses import replace

import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd

import chapters
from chapters.ch04_cnn.lenet import LeNet
from chapters.ch08_gan import samples
from chapters.ch08_gan.images import scaled
from chapters.ch08_gan.random_codes import trained_judge
from chapters.ch08_gan.scores import Judge, score, sharpness
from chapters.ch08_gan.turns import train_players
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.kit.variants import trained
from chapters.script import run_script

_BATCH = 32
# section: name in figures and folders, as it is called in the picture, learning rate
_KINDS = {'8.5-cvae': ('cvae', 'CVAE', 0.004), '8.4-conditional': ('cgan', 'CGAN', 0.002),
          '8.5-cvae-gan': ('cvae_gan', 'CVAE-GAN', 0.002)}


def compare_conditional(run, data='digits', images=0, epochs=20, width=16, judge='', judge_epochs=10, count=1000):
    """CVAE, CGAN and CVAE-GAN learn from the same images; a classifier says how good what they make is.

    Parameters
    ----------
    run : Run
    data : str
        Gray images: digits, mnist or fashion.
    images : int
        The first so many of the training images; 0: all.
    epochs, width : int
        Of each of the three.
    judge : str
        A run of 4.4 or 4.4.5 on the same images; empty: one is trained.
    judge_epochs, count : int
        `count` images of each are judged, of all classes equally many.

    Returns
    -------
    dict
        For 'cvae', 'cgan', 'cvae_gan' and 'real' (test images): '_recognised', how often the judge sees the class asked
        for; '_frechet' and '_sharpness' (see `chapters.ch08_gan.scores`).
    """
    judge = Judge(judge) if judge else trained_judge(run, data, judge_epochs, images)
    metrics, rows, titles = {}, [], []
    for section, (name, title, rate) in _KINDS.items():
        experiment = chapters.find(section).but(epochs=epochs, width=width, train_samples=images, batch_size=_BATCH,
                                                learning_rate=rate)
        players, _, known = trained(run, name, experiment, data=data, how=train_players)
        if not rows:
            real, test, labels = scaled(known.train_x[:10000]), scaled(known.validation_x[:count]), known.validation_y[:count]
            asked = np.tile(np.arange(len(judge.classes)), count // len(judge.classes))
            rows.append(np.stack([test[labels == label][0] for label in asked[:10]]))
            titles.append(figures.text('test images', '测试图像'))
            metrics.update(_judged('real', judge, test, labels, real))
        made = players.of_classes(asked, np.random.default_rng(run.seed))
        metrics.update(_judged(name, judge, made, asked, real))
        rows += [made[start:start + 10] for start in (0, 10, 20)]
        titles += [title, '', '']
    samples.draw_rows(run, 'side-by-side', rows, titles, figures.text('8.5.3 Classes asked for', '指定的类别'))
    return metrics


def _judged(name, judge, made, asked, real):
    return {f'{name}_recognised': (judge(made)[0].argmax(axis=1) == asked).mean(),
            f'{name}_frechet': score(judge, made, real)['frechet_distance'], f'{name}_sharpness': sharpness(made, real)}


def with_made_images(run, data='digits', each=10, made=100, repeats=5, epochs=300, width=8, updates=400):
    """A few real images of each class, and a classifier of 4.4 that learns from these; and from made ones as well.

    CVAE-GAN, too, sees only these few: what it adds comes from no other data. Each classifier makes as many updates, from
    the same first values; where there are made images, half of each batch are such. Beside them the usual way to more
    images: the real ones moved by up to two pixels.

    Parameters
    ----------
    run : Run
    data : str
        Gray images: digits, mnist or fashion.
    each, made : int
        Real and made images of each class.
    repeats : int
        Each with other real images and other first values.
    epochs, width : int
        Of CVAE-GAN.
    updates : int
        Of the classifier, with batches of 32.

    Returns
    -------
    dict
        'accuracy_real', 'accuracy_made', 'accuracy_moved': on test images, means over the repeats; 'gain_by_made',
        'gain_by_moved': over the real images alone, and '..._error': the standard error of this mean.
    """
    experiment = chapters.find('8.5-cvae-gan').but(epochs=epochs, width=width, batch_size=_BATCH,
                                                    learning_rate=0.003)
    data_all = experiment.load(data, run.config['data_root'] or None)
    test, test_labels = scaled(data_all.validation_x[:2000]), data_all.validation_y[:2000]
    classes = len(data_all.class_names)
    ways, shown = {'real': [], 'made': [], 'moved': []}, None
    for repeat in range(repeats):
        random = np.random.default_rng((run.seed, repeat))
        few = np.concatenate([random.permutation(np.flatnonzero(data_all.train_y == label))[:each]
                              for label in range(classes)])
        some = replace(data_all, train_x=data_all.train_x[few], train_y=data_all.train_y[few])
        players, _, _ = trained(run, f'cvae-gan-{repeat}', replace(experiment, loader=lambda *_, some=some: some),
                                seed=run.seed + repeat, data=data, how=train_players)
        x, y = scaled(some.train_x), some.train_y.astype(int)
        more_y = np.tile(np.arange(classes), made)
        more_x = players.of_classes(more_y, random)
        if shown is None:
            shown = [np.stack([x[y == label][0] for label in range(classes)]),
                     *(more_x[row * classes:][:classes] for row in range(4))]
        for way, accuracies in ways.items():
            accuracies.append(_accuracy(x, y, (more_x, more_y) if way == 'made' else None, way == 'moved', test,
                                        test_labels, updates, classes, run.seed + repeat))
            run.say(f'{repeat}: {way} {accuracies[-1]:.2%}')
    samples.draw_rows(run, 'made', shown, (figures.text('real', '真实'), figures.text('made', '生成')), figures.text(
        f'8.5.3 {each} real images a class, and made ones', f'每类 {each} 张真实图像，与生成的图像'))
    metrics = {f'accuracy_{way}': np.mean(accuracies) for way, accuracies in ways.items()}
    for way in ('made', 'moved'):
        gains = np.subtract(ways[way], ways['real'])
        metrics[f'gain_by_{way}'] = gains.mean()
        if repeats > 1:
            metrics[f'gain_by_{way}_error'] = gains.std(ddof=1) / np.sqrt(repeats)
    _draw_accuracies(run, ways)
    return metrics


def _accuracy(x, y, more, moved, test, test_labels, updates, classes, seed):
    """What a classifier of 4.4 reaches on test images, from images (N, 1, 32, 32) from -1 to 1 and labels (N,)."""
    random = seed_everything(seed)
    network = LeNet(classes=classes)
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True)
    trainer = gluon.Trainer(network.collect_params(), 'adam')
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss()
    for update in range(updates):
        chosen = random.integers(0, len(x), _BATCH)
        images, labels = x[chosen], y[chosen]
        if more is not None:
            added = random.integers(0, len(more[0]), _BATCH // 2)
            images[::2], labels[::2] = more[0][added], more[1][added]
        if moved:
            images = np.stack([np.roll(image, random.integers(-2, 3, 2), axis=(1, 2)) for image in images])
        trainer.set_learning_rate(0.003 * (1 - update / updates))
        with autograd.record():
            loss = loss_of(network(_middle(images)), nd.array(labels))
        loss.backward()
        trainer.step(_BATCH)
    answers = [network(_middle(test[start:start + 250])).asnumpy().argmax(axis=1) for start in range(0, len(test), 250)]
    return float((np.concatenate(answers) == test_labels).mean())


def _middle(images):
    """The 28x28 of 32x32, from 0 to 1."""
    return nd.array((images[:, :, 2:-2, 2:-2] + 1) / 2)


def _draw_accuracies(run, ways):
    titles = {'real': figures.text('real images', '真实图像'), 'made': figures.text('and made ones', '加生成图像'),
              'moved': figures.text('real, moved', '真实图像平移')}
    figure, axis = figures.plt.subplots(figsize=(5, 3))
    axis.plot(list(titles.values()), [ways[way] for way in titles], marker='o', linewidth=0.8, color='tab:blue', alpha=0.5)
    axis.plot(list(titles.values()), [np.mean(ways[way]) for way in titles], 'k_', markersize=30)
    axis.set(ylabel=figures.text('accuracy on test images', '测试准确率'))
    axis.margins(x=0.2)
    axis.grid(axis='y', alpha=0.3)
    figure.tight_layout()
    run.save_figure(figure, 'accuracies')


EXPERIMENTS = [
    WorkedExample('8.5.3', 'CVAE, CGAN and CVAE-GAN side by side', 'CVAE、CGAN 与 CVAE-GAN 对比', function=compare_conditional),
    WorkedExample('8.5.3-made', 'A classifier with and without made images', '有与没有生成图像的分类器',
                  function=with_made_images),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
