"""Section 5.3: what a network has learnt serves another task, and another network.

    python -m chapters run 5.3

A ResNet learns five classes of CIFAR-10. Then the other five, of which there are only 50 images each: from nothing;
on top of what it knows, frozen or learning slowly; and by a linear model on its last hidden layer. At the end a
smaller network of the same depth learns the first five, from the labels or from what the large one says (Hinton et al. 2015,
https://arxiv.org/abs/1503.02531). The book's student, narrower and deeper, is in `teacher.py`.
"""
import numpy as np
from mxnet import autograd, nd

from chapters.ch05_deep_cnn.recipes import CIFAR
from chapters.ch05_deep_cnn.resnet import ResNet
from chapters.ch05_deep_cnn.teacher import learn
from chapters.kit.data.training_data import TrainingData, by_recipe
from chapters.kit.experiment import Study
from chapters.kit.inside.looking import last_hidden
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize
from chapters.kit.variants import draw_accuracies, trained
from chapters.script import run_script
from data_tools.errors import UserError

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
        return (np.multiply(pixels[chosen], np.float32(experiment.scale), dtype=np.float32),
                (labels[chosen] - classes[0]).astype(np.float32))
    train_x, train_y = part(images.train_images, images.train_labels, _IMAGES_A_CLASS if classes[0] else None)
    validation_x, validation_y = part(images.test_images, images.test_labels, None)
    data = TrainingData(name, train_x, train_y, validation_x, validation_y,
                        tuple(images.class_names[label] for label in classes),
                        tuple(images.class_names_zh[label] for label in classes), images.note, experiment.scale)
    return by_recipe(data, experiment.recipe, seed)


def transfer(run):
    """All of it; accuracies on the test images of the five classes in question."""
    teacher, history, first = trained(run, 'first', run.experiment, data='first-five')
    params = sorted((run.folder / 'first').glob('model-*.params'))[-1]
    found = {'first five classes': history[-1]['validation_accuracy']}
    few = dict(epochs=3 * run.recipe.epochs, batch_size=25, learning_rate=run.recipe.learning_rate / 4)
    curves = {}
    for name, init, changes in (
            ('from nothing', None, {}),
            ('all but the last layer frozen', params, {'frozen': 'features', 'fresh': 'output'}),
            ('the old layers at a tenth of the rate', params, {'fresh': 'output', 'old_rate': 0.1})):
        _, history, other = trained(run, name.replace(' ', '-'), run.experiment.but(**few, **changes), data='other-five',
                                    init=init)
        curves[name] = [row['validation_accuracy'] for row in history]
    found.update({name: curve[-1] for name, curve in curves.items()})
    found['linear model on the last hidden layer'] = linear_accuracy(
        last_hidden(teacher, other.train_x), other.train_y, last_hidden(teacher, other.validation_x),
        other.validation_y)
    name = 'linear model on the last hidden layer'
    draw_accuracies(run, curves, 'transfer', f'5.3 Five classes with {_IMAGES_A_CLASS} images each', '迁移学习',
                    (name, found[name]))
    found.update(_teach(run, teacher, first))
    return {name.replace(' ', '_'): value for name, value in found.items()}


def linear_accuracy(train_x, train_y, validation_x, validation_y):
    """Accuracy of logistic regression on features (N, D)."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    return model.fit(train_x, train_y).score(validation_x, validation_y)


def _teach(run, teacher, data, temperature=4.0):
    """Accuracies of a network of a quarter of the width, taught by the labels, and by the teacher's probabilities."""
    accuracy, device = {}, run.devices[0]
    for taught_by in ('labels', 'a teacher'):
        seed_everything(run.seed)
        student = run.experiment.but(width=run.experiment.sizes['width'] / 4).build()
        initialize(student, run.recipe, data.train_x[:1], [device])

        def loss(x, y, student=student, by_labels=taught_by == 'labels'):
            logits = student(x)
            if by_labels:
                return -nd.pick(nd.log_softmax(logits), y)
            with autograd.pause():
                soft = nd.softmax(teacher(x), temperature=temperature)
            # cross-entropy with the teacher's softened answers; the factor keeps gradients as large
            return -(soft * nd.log_softmax(logits, temperature=temperature)).sum(axis=1) * temperature ** 2
        accuracy[f'student of {taught_by}'] = learn(run, student, student, data, loss)[-1]
        run.say(f'student of {taught_by}: {accuracy[f"student of {taught_by}"]:.4f}')
    return accuracy


EXPERIMENTS = [
    Study('5.3', 'Transfer to five classes with 50 images each; teacher and student',
          '迁移到每类 50 张图的五个类；教师与学生', network=ResNet, sizes={'width': 0.5, 'classes': 5},
          recipe=CIFAR.but(epochs=8, augmentation='mirror shift=3'), data='first-five', loader=halves,
          sample_shape=(3, 32, 32), function=transfer, ignores=('small_pixels', 'small_epochs')),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
