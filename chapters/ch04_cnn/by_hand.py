"""Section 4.5.4: training a network by hand in MXNet: forward, backward, and the update written out.

    python -m chapters.ch04_cnn.by_hand
"""
import numpy as np
from mxnet import autograd, nd

from book_code import sec_4_5_4
from chapters.ch02_neuron.two_layer import TwoTwoOne
from chapters.kit.data.training_data import TrainingData, made_by
from chapters.kit.experiment import Study, figures_of
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script


def two_samples(seed):
    """The samples of the listing, always in this order."""
    x, y = np.array([[0.5, 1], [0.2, 0.6]], np.float32), np.array([1, 0.6], np.float32)
    return TrainingData('two-samples', x, y, x, y)


def train_by_hand(run):
    """The 2-2-1 network of 2.3.4 on two samples, with half the squared error, at rate 0.1.

    Returns
    -------
    dict
        Output, error, gradients and new parameters of the first step, named as in 2.3.4; then of the second.
    """
    network = TwoTwoOne().start()
    metrics, data, rate = {}, run.data, run.recipe.learning_rate
    for step, (x, target) in enumerate(zip(data.train_x, data.train_y.tolist()), 1):
        with autograd.record():
            out = network(nd.array([x]))
            loss = nd.square(out - target) / 2
        loss.backward()
        metrics[f'step{step}_output'] = out.asscalar()
        metrics[f'step{step}_mse'] = (out.asscalar() - target) ** 2
        metrics.update({f'step{step}_gradient_{name}': value
                        for name, value in network.named('grad').items()})
        for parameter in network.collect_params().values():
            parameter.set_data(parameter.data() - rate * parameter.grad())
        metrics.update({f'step{step}_{name}': value for name, value in network.named().items()})
    return metrics


EXPERIMENTS = [
    Study(
        '4.5.4', 'Training by hand in MXNet', '在 MXNet 中手工训练', network=TwoTwoOne, function=train_by_hand,
        recipe=Recipe(epochs=1, batch_size=1, learning_rate=0.1, initializer='uniform(0.1)'), data='two-samples',
        loader=made_by(two_samples), sample_shape=(2,), objective='square', listing=sec_4_5_4,
        remark='The listing gives the rate as a set in a tuple, ({"learning_rate", 0.1},), where a dictionary is meant: under '
               "Python 3 MXNet mostly refuses it. Its parameters are START's, not the initializer's.",
        book=figures_of(
            step1_output=0.75, step1_mse=0.0625, step1_gradient_w11=-0.0625, step1_gradient_w21=-0.125,
            step1_gradient_b1=-0.125, step1_gradient_w12=-0.0625, step1_gradient_w22=-0.125, step1_gradient_b2=-0.125,
            step1_gradient_w13=-0.0625, step1_gradient_w23=-0.3125, step1_gradient_b3=-0.25, step1_b3=0.025,
            step1_w13=0.50625, step1_w23=0.53125, step1_b1=0.0125, step1_b2=0.0125, step1_w11=0.50625, step1_w21=0.0125,
            step1_w12=0.50625, step1_w22=1.0125)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
