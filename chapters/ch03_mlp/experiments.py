"""What chapter 3 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_MNIST = Recipe(epochs=20, batch_size=32, learning_rate=0.2, lr_factor=0.9, initializer='uniform(0.01)')
_SPIRAL = Recipe(epochs=1000, batch_size=1, learning_rate=0.01, weight_decay=0.003, initializer='uniform(0.5)')


def _spiral(section, title, title_zh, data, train_loss, test_loss):
    return Experiment(
        section, title, title_zh, 'chapters.ch03_mlp.spiral', 'SpiralNet', recipe=_SPIRAL, data=data,
        sample_shape=(2,), objective='square', drawings=('decision_maps',),
        snapshots=(1, 3, 10, 30, 100, 300, 600, 1000),
        book=(BookFigure(train_loss, 'train_loss'), BookFigure(test_loss, 'test_loss')))


EXPERIMENTS = [
    _spiral('3.3.4', 'Two spirals, 90% of the points for training', '双螺旋，90% 数据用于训练', 'spiral-90', 0.016,
            0.014),
    _spiral('3.3.4-data30', 'Two spirals, 30% of the points: overfitting', '双螺旋，30% 数据：过拟合', 'spiral-30', 0.011,
            0.093),
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
