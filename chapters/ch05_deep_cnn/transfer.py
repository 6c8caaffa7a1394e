"""Section 5.3: what a network has learnt serves another task, and another network.

    python -m chapters run 5.3

A ResNet learns five classes of CIFAR-10. Then the other five, of which there are only 50 images each: from nothing;
on top of what it knows, frozen or learning slowly; and by a linear model on its last hidden layer. At the end a
smaller network learns the first five, from the labels or from what the large one says (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531).
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.ch05_deep_cnn.resnet import ResNet  # noqa: F401  the network of this experiment
from chapters.kit import figures
from chapters.kit.data import TrainingData
from chapters.kit.looking import last_hidden
from chapters.kit.run import Run
from chapters.kit.training import Evaluation, batches_of_epoch, initialize, make_optimizer, seed_everything, train
from data_tools.errors import UserError
from mxnet import autograd, gluon, nd

_IMAGES_A_CLASS = 50
_HALVES = {'first-five': range(5), 'other-five': range(5, 10)}


def halves(experiment, name, data_root, seed):
    """Five classes of CIFAR-10: 'first-five' with all images, 'other-five' with 50 of each for training."""
    from data_tools.datasets import load
    if name not in _HALVES:
        raise UserError(f'{name}: {experiment.section} takes {" or ".join(_HALVES)}')
    images, classes = load('cifar10', data_root), _HALVES[name]

    def part(pixels, labels, most):
        order = np.random.default_rng(seed).permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == label][:most] for label in classes])
        chosen.sort()
        return (np.multiply(pixels[chosen], np.float32(1 / 255), dtype=np.float32),
                (labels[chosen] - classes[0]).astype(np.float32))
    train_x, train_y = part(images.train_images, images.train_labels, _IMAGES_A_CLASS if classes[0] else None)
    validation_x, validation_y = part(images.test_images, images.test_labels, None)
    return TrainingData(name, train_x, train_y, validation_x, validation_y,
                        tuple(images.class_names[label] for label in classes),
                        tuple(images.class_names_zh[label] for label in classes), images.note)


def transfer(run):
    """All of it; accuracies on the test images of the five classes in question."""
    def trained(name, data, init=None, **changes):
        folder = run.folder / name
        part = Run(run.experiment.but(**changes), data, run.config['data_root'] or None, folder, run.seed,
                   run.config['device'], init=init, short=run.short, resume=(folder / 'config.json').exists(),
                   quiet=run.quiet)
        run.say(f'{name}: {part.recipe}')
        network, history = train(part)
        return network, [row['validation_accuracy'] for row in history], part

    teacher, curve, first = trained('first', 'first-five')
    params = sorted((run.folder / 'first').glob('model-*.params'))[-1]
    found = {'first five classes': curve[-1]}
    few = dict(epochs=3 * run.recipe.epochs, batch_size=25, learning_rate=run.recipe.learning_rate / 4)
    curves = {}
    for name, init, changes in (
            ('from nothing', None, {}),
            ('all but the last layer frozen', params, {'frozen': 'features', 'fresh': 'output'}),
            ('the old layers at a tenth of the rate', params, {'fresh': 'output', 'old_rate': 0.1})):
        _, curves[name], part = trained(name.replace(' ', '-'), 'other-five', init, **few, **changes)
    found.update({name: curve[-1] for name, curve in curves.items()})
    found['linear model on the last hidden layer'] = _linear_model(teacher, part.data)
    _draw(run, curves, found)
    found.update(_teach(run, teacher, first.data))
    return {name.replace(' ', '_'): value for name, value in found.items()}


def _linear_model(network, data):
    """Accuracy of logistic regression on what goes into the network's last layer."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    model.fit(last_hidden(network, data.train_x), data.train_y)
    return model.score(last_hidden(network, data.validation_x), data.validation_y)


def _teach(run, teacher, data, temperature=4.0):
    """Accuracies of a network of a quarter of the width, taught by the labels, and by the teacher's probabilities."""
    recipe, accuracy = run.recipe, {}
    device = run.devices[0]
    for taught_by in ('labels', 'a teacher'):
        random = seed_everything(run.seed)
        student = run.experiment.but(width=run.experiment.sizes['width'] / 4).build()
        initialize(student, recipe, data.train_x[:1], [device])
        batches = -(-len(data.train_x) // recipe.batch_size)
        trainer = gluon.Trainer(student.collect_params(), make_optimizer(recipe, batches, student))
        for epoch in range(recipe.epochs):
            for x, y in batches_of_epoch(data.train_x, data.train_y, recipe, random, epoch, data.batch):
                x, y = x.as_in_context(device), y.as_in_context(device)
                with autograd.record():
                    logits = student(x)
                    if taught_by == 'labels':
                        loss = -nd.pick(nd.log_softmax(logits), y)
                    else:  # cross-entropy with the teacher's softened answers; the factor keeps gradients as large
                        with autograd.pause():
                            soft = nd.softmax(teacher(x), temperature=temperature)
                        loss = -(soft * nd.log_softmax(logits, temperature=temperature)).sum(axis=1) * temperature ** 2
                loss.backward()
                trainer.step(1)  # the optimizer itself divides by the batch size
        _, accuracy[f'student of {taught_by}'] = Evaluation(student, 'softmax', len(data.class_names),
                                                            data.validation_x, data.validation_y, device)()
        run.say(f'student of {taught_by}: {accuracy[f"student of {taught_by}"]:.4f}')
    return accuracy


def _draw(run, curves, found):
    figure, axis = figures.plt.subplots(figsize=(7, 4))
    for name, curve in curves.items():
        axis.plot(curve, label=f'{name}: {curve[-1]:.1%}')
    name = 'linear model on the last hidden layer'
    axis.axhline(found[name], color='gray', linestyle='--', label=f'{name}: {found[name]:.1%}')
    axis.set(xlabel='epoch', ylabel='accuracy')
    axis.set_title(figures.text(f'5.3 Five classes with {_IMAGES_A_CLASS} images each', '迁移学习')
                   + (f'\n{run.short}' if run.short else ''))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    run.save_figure(figure, 'transfer')
