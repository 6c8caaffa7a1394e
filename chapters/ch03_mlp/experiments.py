"""What chapter 3 trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_MNIST = Recipe(epochs=20, batch_size=32, learning_rate=0.2, lr_factor=0.9, initializer='uniform(0.01)')
_SPIRAL = Recipe(epochs=300, batch_size=1, learning_rate=0.01, weight_decay=0.003, initializer='uniform(0.5)')


def _spiral(section, title, title_zh, data, train_loss, test_loss):
    return Experiment(
        section, title, title_zh, 'chapters.ch03_mlp.spiral', 'SpiralNet', recipe=_SPIRAL, data=data,
        sample_shape=(2,), objective='square', drawings=('decision_maps',),
        snapshots=(1, 5, 15, 30, 60, 100, 200, 300),
        book=(BookFigure(train_loss, 'train_loss'), BookFigure(test_loss, 'test_loss')))


_SMALL = Recipe(epochs=30, batch_size=32, learning_rate=0.1, train_samples=300)


def _comparison(name, section, title, title_zh, sizes=None, **fields):
    return Experiment(f'{section}-{name.replace("_", "-")}', title, title_zh,
                      'chapters.ch03_mlp.regularization', 'MLP', sizes or {},
                      _SMALL.but(**fields), 'digits', program=name)


EXPERIMENTS = [
    _comparison('l2', '3.2', 'L2 keeps weights small', 'L2 正则化使权重变小', weight_decay=0.02,
                epochs=60),
    _comparison('l1', '3.2', 'L1 drives weights to zero', 'L1 正则化使权重趋于零', l1=0.001, epochs=60),
    _comparison('dropout', '3.2', 'Dropout', '随机失活 Dropout', {'dropout': 0.5}),
    _comparison('label_smoothing', '3.2', 'Label smoothing', '标签平滑', label_smoothing=0.1),
    _comparison('noisy_labels', '3.2', 'Noisy labels, and label smoothing against them', '噪声标签与标签平滑',
                label_noise=0.3, label_smoothing=0.3),
    _comparison('mixup', '3.2', 'Mixup', '混合样本 mixup', mixup=1.0),
    _comparison('early_stopping', '3.2', 'Early stopping', '提前停止', patience=5, epochs=60),
    _comparison('step_decay', '3.3.1', 'The learning rate falls by steps', '学习速率逐步下降', lr_factor=0.8,
                label_noise=0.2),
    _comparison('warm_up', '3.3.2', 'Warm-up survives a bad start', '预热使坏的初始值也能训练',
                {'hidden': (128, 64, 64, 64)}, warmup_epochs=6.0, learning_rate=0.1,
                initializer='normal(0.3)', epochs=10, train_samples=0),
    _comparison('rate_and_batch', '3.3.2', 'Learning rate against batch size', '学习速率与批大小', base_batch_size=16,
                batch_size=256, learning_rate=0.01, train_samples=0),
    _spiral('3.3.4', 'Two spirals, 90% of the points for training', '双螺旋，90% 数据用于训练', 'spiral-90', 0.016,
            0.014),
    _spiral('3.3.4-data30', 'Two spirals, 30% of the points: overfitting', '双螺旋，30% 数据：过拟合', 'spiral-30',
            0.011, 0.093),
    Experiment(
        '3.4.1', 'Softmax and cross-entropy', 'Softmax 与交叉熵', 'chapters.ch03_mlp.softmax', program='numbers',
        book=(BookFigure(0.128, 'cross_entropy'), BookFigure(0.119, 'q1'), BookFigure(0.001, 'q2'),
              BookFigure(0.880, 'q3'))),
    Experiment(
        '3.4.2', 'MNIST with a multilayer perceptron', '用多层感知机识别手写数字 MNIST',
        'chapters.ch03_mlp.mnist', 'MLP', recipe=_MNIST, data='mnist', symbolic='sec_3_4_2',
        book=(BookFigure(0.980531, 'validation_accuracy', 'mnist'),
              BookFigure(0.999933, 'train_accuracy', 'mnist')),
        remark='Seeds differ by 0.2 points; the book prints one run, a little under the mean of ours.'),
    Experiment(
        '3.4.3', 'Fashion-MNIST with the same network', '同一网络识别服饰 Fashion-MNIST',
        'chapters.ch03_mlp.mnist', 'MLP', recipe=_MNIST, data='fashion', symbolic='sec_3_4_2',
        book=(BookFigure(0.892772, 'validation_accuracy', 'fashion'),
              BookFigure(0.931450, 'train_accuracy', 'fashion'))),
]
