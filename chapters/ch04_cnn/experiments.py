"""What chapter 4 computes and trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_RECIPE = Recipe(epochs=20, batch_size=32, learning_rate=0.03, lr_factor=0.9, initializer='uniform(0.01)')


def _lenet(section, title, title_zh, data='mnist', sizes=None, symbolic='', accuracy=0.0, train_accuracy=0.0,
           remark='', **changes):
    """LeNet by the recipe of 4.4, with changes."""
    printed = (('validation_accuracy', accuracy), ('train_accuracy', train_accuracy))
    return Experiment(
        section, title, title_zh, 'chapters.ch04_cnn.lenet', 'LeNet', sizes or {}, _RECIPE.but(**changes),
        data, symbolic=symbolic, drawings=('chapters.kit.answers.answers',), remark=remark,
        book=tuple(BookFigure(value, metric, data) for metric, value in printed if value))


def _worked(section, title, title_zh, program, module='convolution', **printed):
    """A worked example."""
    return Experiment(section, title, title_zh, f'chapters.ch04_cnn.{module}', program=program,
                      book=tuple(BookFigure(value, metric) for metric, value in printed.items()))


# The book does not say how it trained the network of 4.2.2.
_GO = Recipe(epochs=6, batch_size=256, learning_rate=0.05, momentum=0.9, anneal=1.0, initializer='uniform(0.01)',
             samples_per_epoch=100000)


def _one_plane(section, title, title_zh, sizes, remark='', **printed):
    """The simplest policy network, on packed games."""
    return Experiment(
        section, title, title_zh, 'chapters.ch04_cnn.policy', 'OnePlanePolicy', {'planes': 8, **sizes}, _GO, 'go',
        loader='games', top=(2, 5, 10), sample_shape=(8, 19, 19), symbolic='sec_4_2_2', drawings=('draw_kernels',),
        remark=remark,
        book=tuple(BookFigure(value, f'validation_{metric}', 'go') for metric, value in printed.items()))


EXPERIMENTS = [
    _worked('4.1.3', 'Convolution finds the X', '用卷积找到 X', 'find_the_x', maximum=5, mean=0.25),
    _one_plane('4.2.2', 'The simplest policy network', '最简单的策略网络', {},
               "Other games than the book's, and no word in the book on how it trained; on our validation games the "
               'kernels that it prints answer 17.88% as the player did.',
               accuracy=0.1649, top2=0.2585, top5=0.3744, top10=0.4615),
    _one_plane('4.2.2-no-last-move', 'Without the plane of the last move', '去掉上一手的特征层', {'last_move': False},
               accuracy=0.0493),
    _worked('4.2.3', 'One convolution plays Go: planes, kernels, sum', '一个卷积层下围棋：特征层、卷积核与求和',
            'one_convolution', 'policy', own_L19=0.47, own_O18=1.49, own_O17=2.04, own_M18=-1.45, empty_L15=7.78,
            empty_T19=6.37),
    _worked('4.3.1', 'Shared weights; edge and blur filters', '共享权重；边缘与模糊滤波', 'sharing_and_filters',
            parameters_convolution=1792, parameters_fully_connected=177004800),
    _worked('4.3.2', 'Back-propagation by hand through a convolution', '手算卷积的反向传播', 'backpropagation'),
    _worked('4.3.3', 'The side of a convolution\'s output', '卷积输出的边长', 'output_sides', wrong=0),
    _worked('4.3.5', 'Transposed convolution and pixel shuffle', '反卷积与像素重排', 'larger_again'),
    _lenet('4.4', 'MNIST with a convolutional network', '用卷积网络识别手写数字 MNIST', symbolic='sec_4_4',
           accuracy=0.994010, train_accuracy=0.999950,
           remark="The book's run lies within the range of our seeds, near its upper end."),
    _lenet('4.4.4-batch8', 'Batch size 8', '批大小 8', accuracy=0.9937, batch_size=8),
    _lenet('4.4.4-batch32', 'Batch size 32', '批大小 32', accuracy=0.9940, batch_size=32),
    _lenet('4.4.4-batch128', 'Batch size 128', '批大小 128', accuracy=0.9933, batch_size=128),
    _lenet('4.4.4-batch512', 'Batch size 512', '批大小 512', accuracy=0.9910, batch_size=512),
    _lenet('4.4.4-batch512-rate0.2', 'Batch size 512 at rate 0.2', '批大小 512，学习速率 0.2', accuracy=0.993,
           batch_size=512, learning_rate=0.2),
    _lenet('4.4.5', 'Fashion-MNIST with the same network', '同一网络识别服饰 Fashion-MNIST', 'fashion',
           symbolic='sec_4_4', accuracy=0.916833),
    _lenet('4.4.5-large', 'Fashion-MNIST with 64 and 128 filters', '64 与 128 个滤波器识别服饰', 'fashion',
           {'num_filters': (64, 128)}, symbolic='sec_4_4_5', accuracy=0.919129,
           train_accuracy=0.988233, learning_rate=0.06),
    Experiment(
        '4.5.2', 'Saving and loading parameters and graph', '保存与读取参数和网络结构', 'chapters.ch04_cnn.saving',
        'LeNet', recipe=_RECIPE.but(epochs=2, train_samples=1000, learning_rate=0.1), data='digits',
        program='save_and_load'),
    _worked('4.5.4', 'Training by hand in MXNet', '在 MXNet 中手工训练', 'train_by_hand', 'by_hand',
            step1_output=0.75, step1_mse=0.0625, step1_gradient_w11=-0.0625, step1_gradient_w21=-0.125,
            step1_gradient_b1=-0.125, step1_gradient_w12=-0.0625, step1_gradient_w22=-0.125,
            step1_gradient_b2=-0.125, step1_gradient_w13=-0.0625, step1_gradient_w23=-0.3125,
            step1_gradient_b3=-0.25, step1_b3=0.025,
            step1_w13=0.50625, step1_w23=0.53125, step1_b1=0.0125, step1_b2=0.0125, step1_w11=0.50625,
            step1_w21=0.0125, step1_w12=0.50625, step1_w22=1.0125),
]
