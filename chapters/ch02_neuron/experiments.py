"""What chapter 2 computes and trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_NEURON = Recipe(epochs=1, batch_size=1, learning_rate=0.1, initializer='uniform(0.01)', train_samples=1000)


def _figures(**printed):
    """Figures of the book, by the names under which our programs return the same."""
    return tuple(BookFigure(value, metric) for metric, value in printed.items())


def _neuron(section, title, title_zh, recipe, book=(), remark=''):
    return Experiment(section, title, title_zh, 'chapters.ch02_neuron.neuron', 'Neuron', recipe=recipe,
                      data='max-of-two', sample_shape=(2,), objective='square', book=book,
                      symbolic='sec_2_2_8', drawings=('learned_weights',), remark=remark)


def _max_net(section, title, title_zh, sizes, book, remark=''):
    recipe = Recipe(epochs=10, batch_size=10, learning_rate=0.1, initializer='uniform(0.5)')
    return Experiment(section, title, title_zh, 'chapters.ch02_neuron.two_layer', 'MaxNet', sizes, recipe,
                      data='max-of-two', sample_shape=(2,), objective='square', book=book,
                      symbolic='sec_2_3_9', drawings=('learned',), remark=remark)


EXPERIMENTS = [
    Experiment(
        '2.1.1', 'The output of a neuron', '神经元的输出', 'chapters.ch02_neuron.neuron', program='weighted_sum',
        book=_figures(output=3211.71)),
    Experiment(
        '2.1.4', 'Training a neuron by hand, and its loss surface', '手算训练一个神经元，及其损失曲面',
        'chapters.ch02_neuron.neuron', program='worked_example',
        book=_figures(step2_out=0.2064, step1_out=0, step1_loss=0.64, step1_w1=0.016, step1_w2=0.128,
                      step1_b=0.16, step2_loss=0.0862, step2_w1=0.04536, step2_w2=0.145616, step2_b=0.21872,
                      optimum_w1=1 / 2, optimum_w2=1 / 2, optimum_b=1 / 6, optimum_loss=1 / 72)),
    Experiment(
        '2.1.5', 'Training a neuron in a spreadsheet', '用电子表格训练神经元', 'chapters.ch02_neuron.spreadsheet',
        program='neuron_table'),
    _neuron('2.2.8', 'A neuron in MXNet learns the larger of two numbers', '用 MXNet 训练神经元求两数最大值', _NEURON,
            _figures(train_mse=0.012219, w1=0.461, w2=0.502, b=0.169),
            'The book does not fix its random numbers; ours are other samples and another start.'),
    _neuron('2.2.8-samples10000', 'The same with 10,000 samples at rate 0.01', '10000 个样本，学习速率 0.01',
            _NEURON.but(train_samples=10000, learning_rate=0.01)),
    _neuron('2.2.8-batch10', 'The same with 10,000 samples in batches of 10', '10000 个样本，批大小 10',
            _NEURON.but(train_samples=10000, batch_size=10)),
    Experiment(
        '2.3.2', 'The larger of two numbers from ReLUs; activation functions', '用 ReLU 求最大值；激活函数',
        'chapters.ch02_neuron.two_layer', program='activations', book=_figures(largest_error_of_relu_max=0)),
    Experiment(
        '2.3.4', 'Back-propagation by hand, 4000 samples', '手算反向传播，4000 个样本',
        'chapters.ch02_neuron.two_layer', program='worked_example',
        book=_figures(OUT=0.75, I1=0.25, I2=1.25, I3=0.75, slope=-0.5, G3=1, G2=0.5, G1=0.5, b3=0.05,
                      w13=0.5125, w23=0.5625, b1=0.025, w11=0.5125, w21=0.025, b2=0.025, w12=0.5125,
                      w22=1.025, OUT_sample2=0.82, OUT_sample3=1.09, OUT_sample4=0.34,
                      mean_loss_after_4000=0)),
    Experiment(
        '2.3.4-spreadsheet', 'The same as a spreadsheet with live formulas', '电子表格中的反向传播',
        'chapters.ch02_neuron.spreadsheet', program='network_table'),
    _max_net('2.3.9', 'A network with 10 hidden units a layer', '每层 10 个隐藏单元的网络', {}, _figures(
        train_mse=0.000008, train_mse_epoch0=0.014321, train_mse_epoch2=0.000054, train_mse_epoch9=0.000008),
        'Another random start: early epochs differ, the last one does not.'),
    _max_net('2.3.9-hidden3', 'The same with 3 units', '每层 3 个隐藏单元', {'hidden': (3, 3)},
             (BookFigure(0.0141, 'train_mse', note='where it sticks depends on the random start'),)),
]
