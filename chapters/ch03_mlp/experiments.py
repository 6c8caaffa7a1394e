"""What chapter 3 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_MNIST = Recipe(epochs=20, batch_size=32, learning_rate=0.2, lr_factor=0.9, initializer='uniform(0.01)')

EXPERIMENTS = [
    Experiment(
        '3.4.2', 'MNIST with a multilayer perceptron', '用多层感知机识别手写数字 MNIST',
        'chapters.ch03_mlp.mnist', 'MLP', recipe=_MNIST, data='mnist', symbolic='sec_3_4_2',
        book=(BookFigure(0.980531, 'validation_accuracy', 'mnist'), BookFigure(0.999933, 'train_accuracy', 'mnist'))),
    Experiment(
        '3.4.3', 'Fashion-MNIST with the same network', '同一网络识别服饰 Fashion-MNIST',
        'chapters.ch03_mlp.mnist', 'MLP', recipe=_MNIST, data='fashion', symbolic='sec_3_4_2',
        book=(BookFigure(0.892772, 'validation_accuracy', 'fashion'),
              BookFigure(0.931450, 'train_accuracy', 'fashion'))),
]
