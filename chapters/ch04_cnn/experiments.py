"""What chapter 4 computes and trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=0.03, lr_factor=0.9, initializer='uniform(0.01)')

EXPERIMENTS = [
    Experiment(
        '4.4', 'MNIST with a convolutional network', '用卷积网络识别手写数字 MNIST',
        'chapters.ch04_cnn.lenet', 'LeNet', recipe=_RECIPE, data='mnist', symbolic='sec_4_4',
        book=(BookFigure(0.994010, 'validation_accuracy', 'mnist'),
              BookFigure(0.999950, 'train_accuracy', 'mnist'))),
]
