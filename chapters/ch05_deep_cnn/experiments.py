"""What chapter 5 computes and trains."""
from chapters.kit.experiment import BookFigure, Experiment
from chapters.kit.recipe import Recipe

_FASHION = Recipe(epochs=40, batch_size=32, learning_rate=0.06, lr_factor=0.95, initializer='uniform(0.01)',
                  augmentation='mirror shift=2 erase=5')
_BOOK_AUGMENTATION = ('crop=28 mirror rotate=20 aspect=0.15 shear=0.1 hue=10 saturation=20 lightness=25 '
                      'smallest=0.88 largest=1.2')
_ALL_CONVOLUTIONAL = Recipe(epochs=200, batch_size=50, learning_rate=0.5, lr_factor=0.98,
                            initializer='msra(avg,0)', augmentation=_BOOK_AUGMENTATION)
_RESNET = _ALL_CONVOLUTIONAL.but(batch_size=100, lr_factor=0.984)

# The book trains none of the other networks. Those for ImageNet have the settings of their time, with a lower
# rate where there is no BN; those for CIFAR-10 have a shorter schedule of ours.
_IMAGENET = Recipe(epochs=90, batch_size=128, learning_rate=0.05, momentum=0.9, weight_decay=1e-4,
                   lr_factor=0.1, lr_every=30, initializer='msra(avg,0)')
_WITHOUT_BN = _IMAGENET.but(learning_rate=0.01, weight_decay=5e-4)
_CIFAR = Recipe(epochs=30, batch_size=100, learning_rate=0.1, momentum=0.9, weight_decay=1e-4, anneal=1.0,
                initializer='msra(avg,0)', augmentation='crop=28 mirror')
_INCEPTION = _CIFAR.but(learning_rate=0.01)  # no BN between its convolutions


def _imagenet(section, title, title_zh, module, network, sizes=None, recipe=_IMAGENET, side=224, symbolic='',
              small=None, table='', **printed):
    """A network for 1000 classes, with the totals of its table in the book."""
    return Experiment(
        section, title, title_zh, f'chapters.ch05_deep_cnn.{module}', network,
        {'classes': 1000, **(sizes or {})}, recipe, 'imagenet', sample_shape=(3, side, side),
        symbolic=symbolic, small=small or {},
        book=tuple(BookFigure(value, metric, note=table) for metric, value in printed.items()))


def _cifar(section, title, title_zh, module, network, sizes=None, recipe=_CIFAR, symbolic='', small=None,
           book=()):
    """A network for 28x28 parts of the images of CIFAR-10."""
    return Experiment(
        section, title, title_zh, f'chapters.ch05_deep_cnn.{module}', network, sizes or {}, recipe, 'cifar10',
        sample_shape=(3, 28, 28), symbolic=symbolic, small=small or {}, book=book,
        drawings=('chapters.kit.answers.answers',))


def _accuracies(data, epochs, validation, train, first, second):
    """What the book prints of a training: accuracies after the last epoch, and after the first two."""
    return (BookFigure(validation, 'validation_accuracy', data, f'after {epochs} epochs'),
            BookFigure(train, 'train_accuracy', data, f'after {epochs} epochs'),
            BookFigure(first, 'validation_accuracy_epoch0', data),
            BookFigure(second, 'validation_accuracy_epoch1', data))


# VGG-16 and its relatives for the proof: one pixel is left of 32x32 after five poolings.
_SMALL_VGG = {'width': 0.25, 'hidden': 32, 'dropout': 0.0, 'classes': 10, 'sample_shape': (3, 32, 32)}

EXPERIMENTS = [
    _imagenet('5.1.1', 'AlexNet', 'AlexNet', 'alexnet', 'AlexNet', recipe=_WITHOUT_BN, symbolic='sec_5_1_1',
              small={'width': 0.25, 'hidden': 64, 'dropout': 0.0, 'classes': 10, 'sample_shape': (3, 67, 67)},
              table='table 5-2', million_parameters=50.8, gflops=2.02, activations_mb=3.04),
    _imagenet('5.1.2', 'VGG-16 (configuration D)', 'VGG-16', 'vgg', 'VGG', {'configuration': 'D'},
              recipe=_WITHOUT_BN, symbolic='sec_5_1_2', small=_SMALL_VGG, table='table 5-3',
              million_parameters=138, gflops=30.9, activations_mb=54.82),
    *(_imagenet(f'5.1.2-{name}', f'VGG configuration {name}', f'VGG 结构 {name}', 'vgg', 'VGG',
                {'configuration': name}, _WITHOUT_BN) for name in ('A', 'A-LRN', 'B', 'C', 'E')),
    _imagenet('5.1.3', 'DarkNet Reference', 'DarkNet Reference', 'darknet', 'DarkNet',
              {'stages': 'reference'}, symbolic='sec_5_1_3',
              small={'width': 0.25, 'classes': 10, 'sample_shape': (3, 96, 96)},
              table='table 5-5', million_parameters=7.3, gflops=0.81),
    _imagenet('5.1.3-darknet19', 'DarkNet-19', 'DarkNet-19', 'darknet', 'DarkNet', {'stages': '19'},
              table='table 5-6', million_parameters=20.8, gflops=5.58),
    Experiment(
        '5.3', 'Transfer to five classes with 50 images each; teacher and student', '迁移到每类 50 张图的五个类；教师与学生',
        'chapters.ch05_deep_cnn.transfer', 'ResNet', {'width': 0.5, 'classes': 5},
        _CIFAR.but(epochs=8, augmentation='mirror shift=3'), 'first-five', loader='halves', program='transfer',
        ignores='small_pixels small_epochs', sample_shape=(3, 32, 32)),
    Experiment(
        '5.4.4', 'Fashion-MNIST with a deeper network', '更深的网络识别服饰 Fashion-MNIST',
        'chapters.ch05_deep_cnn.fashion', 'FashionNet', recipe=_FASHION, data='fashion', symbolic='sec_5_4_4',
        drawings=('chapters.kit.answers.answers',),
        book=_accuracies('fashion', 40, 0.948383, 0.952, 0.874301, 0.906450)),
    Experiment(
        '5.4.4-900', 'The same network, 700 images to learn from', '同一网络，只用 700 张图训练',
        'chapters.ch05_deep_cnn.fashion', 'FashionNet', {}, _FASHION.but(epochs=60, anneal=1.0, lr_factor=1.0),
        'fashion-900', loader='few_images', sample_shape=(1, 28, 28),
        drawings=('chapters.kit.answers.answers', 'beside_a_linear_model')),
    _cifar('5.4.5', 'CIFAR-10 with an all-convolutional network', '用全卷积网络识别 CIFAR-10', 'all_convolutional',
           'AllConvolutional', recipe=_ALL_CONVOLUTIONAL, symbolic='sec_5_4_5',
           small={'sample_shape': (3, 16, 16)},
           book=_accuracies('cifar10', 200, 0.924, 0.977, 0.5332, 0.6815)),
    *(_cifar(f'5.5.2-{row}', f'Residual units, {words}', f'残差单元：{words_zh}', 'resnet', 'ResNet',
             {'ordering': row}, _RESNET)
      for row, words, words_zh in (
          ('a', 'the original', '原始结构'), ('b', 'BN after the addition', '相加后 BN'),
          ('c', 'ReLU before the addition', '相加前 ReLU'), ('d', 'ReLU first', 'ReLU 预激活'),
          ('e', 'BN and ReLU first', '完全预激活'))),
    _cifar('5.5.3-stochastic-depth', 'Stochastic depth', '随机深度', 'random_residual', 'StochasticDepthResNet',
           recipe=_RESNET),
    _cifar('5.5.3-shake-shake', 'Shake-shake', 'Shake-shake', 'random_residual', 'ShakeShakeResNet',
           recipe=_RESNET),
    _cifar('5.5.5', 'Inception modules', 'Inception 模组', 'inception', 'InceptionNet', recipe=_INCEPTION,
           symbolic='sec_5_5_5', small={'filters': 8, 'sample_shape': (3, 16, 16)}),
    _cifar('5.5.5-bottlenecks', 'Inception modules with bottlenecks', '带 1x1 瓶颈的 Inception 模组', 'inception',
           'InceptionNet', {'bottleneck': 16}, _INCEPTION, symbolic='sec_5_5_5'),
    _cifar('5.5.5-two-3x3', 'Inception: two 3x3 for a 5x5', 'Inception：两个 3x3 代替 5x5', 'inception',
           'InceptionNet', {'bottleneck': 16, 'form': 'two-3x3'}, _INCEPTION),
    _cifar('5.5.5-n-by-1', 'Inception: 1 x n and n x 1 for n x n', 'Inception：1xn 与 nx1 代替 nxn', 'inception',
           'InceptionNet', {'bottleneck': 16, 'form': 'n-by-1'}, _INCEPTION),
    _imagenet('5.5.5-googlenet', 'GoogLeNet', 'GoogLeNet', 'inception', 'GoogLeNet', recipe=_WITHOUT_BN),
    _cifar('5.5.6', 'Depthwise separable convolutions', '深度可分卷积', 'xception', 'SeparableNet',
           symbolic='sec_5_5_6', small={'filters': (32, 32, 64, 128), 'sample_shape': (3, 16, 16)}),
    _imagenet('5.5.6-xception', 'Xception', 'Xception', 'xception', 'Xception', side=299),
    _cifar('5.5.7', 'CIFAR-10 with a pre-activation ResNet', '用残差网络识别 CIFAR-10', 'resnet', 'ResNet',
           recipe=_RESNET, symbolic='sec_5_5_7', small={'sample_shape': (3, 12, 12)},
           book=_accuracies('cifar10', 200, 0.930, 0.982, 0.5166, 0.6696)),
    _cifar('5.6.1-resnext', 'ResNeXt-29, 32x4d', 'ResNeXt-29，32x4d', 'resnext', 'ResNeXt'),
    _cifar('5.6.1-pyramid-net', 'Pyramid Net', 'Pyramid Net', 'pyramid_net', 'PyramidNet'),
    _imagenet('5.6.1-densenet', 'DenseNet-121', 'DenseNet-121', 'densenet', 'DenseNet', {'depth': 121}),
    _cifar('5.6.1-fractal-net', 'FractalNet', 'FractalNet', 'fractal_net', 'FractalNet'),
    _imagenet('5.6.1-dual-path-net', 'Dual Path Net', 'Dual Path Net', 'dual_path_net', 'DualPathNet',
              {'depth': 92}),
    _imagenet('5.6.2-squeezenet', 'SqueezeNet', 'SqueezeNet', 'squeezenet', 'SqueezeNet', recipe=_WITHOUT_BN),
    _imagenet('5.6.2-tiny-darknet', 'Tiny DarkNet', 'Tiny DarkNet', 'darknet', 'DarkNet', {'stages': 'tiny'}),
    _imagenet('5.6.2-mobilenet', 'MobileNet', 'MobileNet', 'mobilenet', 'MobileNet'),
    _imagenet('5.6.2-shufflenet', 'ShuffleNet', 'ShuffleNet', 'shufflenet', 'ShuffleNet'),
    _cifar('5.6.3-dilated', 'Dilated convolution', '空洞卷积', 'deformed_kernels', 'DilatedNet'),
    _cifar('5.6.3-deformable', 'Deformable convolution', '可变形卷积', 'deformed_kernels', 'DeformableNet'),
]
