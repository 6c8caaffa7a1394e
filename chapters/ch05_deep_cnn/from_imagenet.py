"""Section 5.3: what ImageNet has taught SqueezeNet serves ten other classes with 20 images each: features for a linear model,
and fine-tuning.

    python -m chapters run 5.3-zoo
"""
import numpy as np
from mxnet import nd

from chapters.ch05_deep_cnn.recipes import IMAGENET_WITHOUT_BN
from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
from chapters.ch05_deep_cnn.transfer import linear_accuracy
from chapters.kit.data.training_data import TrainingData, by_recipe
from chapters.kit.experiment import Study
from chapters.kit.variants import draw_accuracies, trained
from chapters.script import run_script

_FOR_TRAINING, _FOR_VALIDATION = 20, 50  # images of each class


def few_images(experiment, name, data_root, seed):
    """20 images of each class for training and 50 for validation, of a known set, enlarged to the experiment's size."""
    from data_tools.datasets import load
    images, side = load(name, data_root), experiment.sample_shape[-1]

    def part(pixels, labels, most):
        order = np.random.default_rng(seed).permutation(len(labels))
        chosen = np.concatenate([order[labels[order] == label][:most] for label in range(len(images.class_names))])
        chosen = np.sort(chosen)
        x = nd.contrib.BilinearResize2D(nd.array(pixels[chosen]), height=side, width=side).asnumpy()
        return np.repeat(x, 3 // x.shape[1], axis=1) * np.float32(experiment.scale), labels[chosen].astype(np.float32)
    data = TrainingData(name, *part(images.train_images, images.train_labels, _FOR_TRAINING),
                        *part(images.test_images, images.test_labels, _FOR_VALIDATION), images.class_names,
                        images.class_names_zh, images.note, experiment.scale)
    return by_recipe(data, experiment.recipe, seed)


def pooled(network, images, batch=50):
    """The planes before the last convolution, each as its mean: (N, 512)."""
    return np.concatenate([network.features(nd.array(images[start:start + batch])).mean(axis=(2, 3)).asnumpy()
                           for start in range(0, len(images), batch)])


def from_the_zoo(run):
    """Accuracies with 20 images a class: from nothing; a linear model on features of the zoo's network; fine-tuned.

    Returns
    -------
    dict
    """
    found, curves = {}, {}
    for name, init, changes in (('from nothing', None, {}), ('fine-tuned', 'zoo', {'fresh': 'output', 'old_rate': 0.1}),
                                ('last layer only', 'zoo', {'fresh': 'output', 'frozen': 'features'})):
        network, history, data = trained(run, name.replace(' ', '-'), run.experiment.but(**changes), init=init)
        curves[name] = [row['validation_accuracy'] for row in history]
        found[f'{name.replace(" ", "_").replace("-", "_")}_accuracy'] = curves[name][-1]
    # the last network still has the zoo's features: they were frozen
    found['linear_model_accuracy'] = linear_accuracy(pooled(network, data.train_x), data.train_y,
                                                     pooled(network, data.validation_x), data.validation_y)
    draw_accuracies(run, curves, 'zoo', f'5.3 {_FOR_TRAINING} images a class', '每类 20 张图',
                    ('linear model on features', found['linear_model_accuracy']))
    return found


EXPERIMENTS = [
    Study('5.3-zoo', 'With what ImageNet taught: 20 images a class', '利用 ImageNet 预训练：每类 20 张图', network=SqueezeNet,
          sizes={'version': '1.1'}, data='cifar10', loader=few_images, sample_shape=(3, 128, 128), function=from_the_zoo,
          recipe=IMAGENET_WITHOUT_BN.but(epochs=20, batch_size=20, learning_rate=0.01, lr_factor=1.0, anneal=1.0),
          remark='The book names the ways and gives no figure.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
