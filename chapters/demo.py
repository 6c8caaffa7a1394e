"""`make demo`: chapters 2 to 4 and a policy network in short form, with nothing from the network."""
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Mapping, Tuple

import numpy as np
from scipy.stats import norm

import chapters
from chapters.kit.perform import run_experiment, shortened
from chapters.kit.progress import tqdm
from chapters.kit.report.report import write_page
from data_tools.errors import UserError


@dataclass(frozen=True)
class Short:
    """What an experiment of the demo shows.

    Attributes
    ----------
    english, chinese : str
        In a sentence or two, with what its figures mean.
    figures : tuple of str
        Those that say so. Default: the book's first one.
    changes : mapping of str to value
        That make it short, and end near what it is to show all the same.
    """
    english: str
    chinese: str
    figures: Tuple[str, ...] = ()
    changes: Mapping[str, Any] = field(default_factory=dict)


# The same rate a sample as the recipe's, whose single samples take too long; on every processor it finds the way.
_SPIRAL = {'batch_size': 10, 'learning_rate': 0.03, 'momentum': 0.7}

# Of chapters 2 to 4, and a policy network; the other networks want larger images, or an hour.
SHOWN = {
    '2.1.1': Short(
        'A neuron multiplies each input by a weight and adds up: with the book\'s numbers, to the book\'s output.',
        '神经元把每个输入乘以权重再相加：用书中的数，得到书中的输出。'),
    '2.1.4': Short(
        'Two steps of training by hand: the first answer is 0, the second comes nearer; loss and weights are the '
        'book\'s.',
        '手算两步训练：第一次回答 0，第二次更接近；损失与权重与书中一致。',
        ('step1_loss', 'step2_loss')),
    '2.1.5': Short(
        'The same training, 400 steps of it, in a spreadsheet whose every cell is a live formula: open it and '
        'change the rate. The error falls to what one neuron leaves.',
        '同样的训练共 400 步，放在电子表格里，每格都是公式：打开并改变学习速率。误差降到单个神经元的极限。',
        ('mse_of_first_20', 'mse_of_last_100')),
    '2.2.8': Short(
        'One neuron, trained by MXNet, answers the larger of two numbers as well as a straight line can: no weights '
        'leave an error much below 0.0139.',
        'MXNet 训练的单个神经元求两数最大值，做到直线所能做到的：误差不可能明显低于 0.0139。',
        ('validation_mse', 'w1', 'w2', 'b')),
    '2.2.8-samples10000': Short(
        'Ten times as many samples at a tenth of the rate end in the same place.',
        '样本多十倍、学习速率为十分之一，结果相同。',
        ('validation_mse', 'w1', 'w2', 'b')),
    '2.2.8-batch10': Short(
        'Batches of ten: a tenth of the updates, the same weights.',
        '批大小 10：更新次数为十分之一，权重相同。',
        ('validation_mse', 'w1', 'w2', 'b')),
    '2.3.2': Short(
        'With ReLUs in a hidden layer the larger of two numbers can be written down without any error.',
        '有了隐藏层的 ReLU，两数最大值可以毫无误差地写出。'),
    '2.3.4': Short(
        'Back-propagation by hand through two layers; after 4,000 samples hardly any error is left.',
        '手算两层网络的反向传播；4000 个样本之后几乎没有误差。',
        ('OUT', 'mean_loss_after_4000')),
    '2.3.5': Short(
        'The same 4,000 steps as live formulas in a spreadsheet: open it and follow a weight down its column.',
        '同样的 4000 步写成电子表格的公式：打开它，沿一列观察一个权重。'),
    '2.3.9': Short(
        'Ten hidden units a layer find the larger of two numbers, with a thousandth of the error of one neuron, or '
        'less.',
        '每层十个隐藏单元求出最大值，误差不到单个神经元的千分之一。'),
    '2.3.9-hidden3': Short(
        'Three units are too few to be sure of: most random starts, this one too, lose their ReLUs and end as a '
        'constant, with the variance of the larger number, 1/18 = 0.056, as their error. The book\'s start ended '
        'half-way, at 0.0141; one in six finds the answer.',
        '三个单元太少：多数随机初值（这里也是）失去全部 ReLU，只会回答常数，误差等于最大值的方差 1/18 = 0.056。书中'
        '的初值停在 0.0141；约六分之一的初值能学会。'),
    '3.2-l2': Short(
        'Weight decay makes the weights small, and costs little accuracy: the norm of all weights without and with.',
        '权重衰减使权重变小，准确率几乎不变：有无衰减时全部权重的范数。',
        ('without_weight_norm', 'with_weight_norm')),
    '3.2-l1': Short(
        'A price on every |w| drives two thirds of the weights to zero.',
        '对每个 |w| 收费，三分之二的权重趋于零。',
        ('without_share_near_zero', 'with_share_near_zero')),
    '3.2-dropout': Short(
        'Dropout makes 300 digits harder to learn by heart: right answers in training without and with.',
        '随机失活使 300 个数字更难死记：有无失活时训练集的准确率。',
        ('without_train_accuracy', 'with_train_accuracy')),
    '3.2-label-smoothing': Short(
        'Smoothed labels leave the answers as right as before, and less sure of themselves.',
        '标签平滑后答案同样正确，但不再过于自信。',
        ('without_confidence', 'with_confidence', 'without_validation_accuracy', 'with_validation_accuracy')),
    '3.2-noisy-labels': Short(
        'Three labels in ten are wrong, and still most digits are read rightly: without noise, with it, and '
        'smoothed.',
        '三成标签是错的，多数数字仍被认对：无噪声、有噪声、加平滑。',
        ('clean_validation_accuracy', 'noisy_validation_accuracy', 'noisy-smoothed_validation_accuracy')),
    '3.2-mixup': Short(
        'Trained on sums of two images the network is less sure of its answers, and about as often right.',
        '用两张图之和训练，网络不那么自信，准确率相近。',
        ('without_confidence', 'with_confidence', 'without_validation_accuracy', 'with_validation_accuracy')),
    '3.2-early-stopping': Short(
        'Training ends by itself when validation no longer gains: after a third of the epochs, no worse.',
        '验证不再进步时训练自行停止：只用三分之一的轮数，结果不差。',
        ('without_epochs', 'with_epochs', 'without_validation_accuracy', 'with_validation_accuracy')),
    '3.3.1-step-decay': Short(
        'A falling rate calms the end of training: how far the loss jumps from epoch to epoch without and with.',
        '下降的学习速率使训练后期平稳：损失每轮的跳动幅度。',
        ('without_jumps', 'with_jumps')),
    '3.3.2-warm-up': Short(
        'From weights far too large the full rate diverges (1: it did); a rate that grows at first trains.',
        '初始权重太大时，用全速会发散（1 表示发散）；先慢后快则能训练。',
        ('without_diverged', 'with_validation_accuracy')),
    '3.3.2-rate-and-batch': Short(
        'A batch 16 times larger at the same rate learns too slowly; at 16 times the rate it is as good again.',
        '批大小增至 16 倍而速率不变，学得太慢；速率也增至 16 倍，则同样好。'),
    '3.3.4': Short(
        'A network winds its border between two spirals. In short form batches of 10, and momentum, stand in for single '
        'samples: losses like the book\'s.',
        '网络在双螺旋之间绕出边界。简短运行用批大小 10 加动量代替逐个样本：损失与书中相近。',
        ('train_loss', 'test_loss'), _SPIRAL),
    '3.3.4-data30': Short(
        'With 30% of the points the border fits those and misses others: the loss in test is well above that in '
        'training. That is overfitting.',
        '只用 30% 的点，边界迎合它们而错过其他点：测试损失明显高于训练损失，这就是过拟合。',
        ('train_loss', 'test_loss'), _SPIRAL),
    '3.4.1': Short(
        'Softmax makes probabilities of three numbers; cross-entropy is what the true one lacks.',
        'Softmax 把三个数变成概率；交叉熵衡量正确答案还差多少。'),
    '3.4.2': Short(
        'The first network that reads digits. 1,500 digits are few beside MNIST\'s 60,000: better first values let '
        'it see enough in 15 epochs.',
        '第一个识别数字的网络。1500 个数字远少于 MNIST 的 60000 个：较好的初始值使 15 轮就够。',
        (), {'epochs': 15, 'lr_factor': 1.0, 'initializer': 'xavier'}),
    '4.1.3': Short(
        'A kernel that looks like an X is excited most where an X is.',
        '形如 X 的卷积核在有 X 之处响应最强。',
        ('maximum', 'mean')),
    '4.2.2': Short(
        'One convolution guesses the next move of a built-in player, of 361 points: chance would be right once in '
        '361, at 0.003. People\'s moves, which the book has, are easier to guess.',
        '一个卷积层在 361 个点中猜内置程序的下一手：随机猜中率仅 0.003。书中所用的人类棋谱更容易猜。',
        (), {'epochs': 2, 'samples_per_epoch': 12800}),
    '4.2.3': Short(
        'How one convolution chooses a move of AlphaGo against Ke Jie: planes, kernels and sums, to the book\'s '
        'digits.',
        '一个卷积层如何在 AlphaGo 对柯洁的局面上选点：特征层、卷积核与求和，与书中数值一致。',
        ('own_L19', 'empty_L15')),
    '4.3.1': Short(
        'Sharing weights makes 1,792 parameters of 177 million; with kernels by hand, edges and blur.',
        '共享权重把 1.77 亿个参数变成 1792 个；手写卷积核可检测边缘与模糊。'),
    '4.3.2': Short(
        'The gradient of a convolution by hand is MXNet\'s.',
        '手算的卷积梯度与 MXNet 相同。'),
    '4.3.3': Short(
        'The formula for the side of a convolution\'s output, tried on 224 cases: none is wrong.',
        '卷积输出边长的公式，试验 224 种情况：无一错误。'),
    '4.3.5': Short(
        'Transposed convolutions paint unevenly unless the stride divides the kernel; pixel shuffle computes the '
        'same.',
        '反卷积在步长不整除核边长时涂得不均匀；像素重排给出相同结果。',
        ('unevenness_kernel3_stride2', 'unevenness_kernel4_stride2')),
    '4.4': Short(
        'Convolutions read the digits with a handful of mistakes, where the network of 3.4.2 makes more.',
        '卷积网络只认错寥寥几个数字，比 3.4.2 的网络更少。',
        (), {'epochs': 8}),
    '4.4.4-batch8': Short(
        'Batches of 8: many updates an epoch, each a rough guess.',
        '批大小 8：每轮更新很多次，每次较粗略。',
        (), {'epochs': 4}),
    '4.4.4-batch32': Short(
        'The batch size of 4.4.',
        '4.4 所用的批大小。',
        (), {'epochs': 4}),
    '4.4.4-batch128': Short(
        'Larger batches need more epochs: there are fewer updates in each.',
        '批越大，需要的轮数越多：每轮更新更少。',
        (), {'epochs': 10}),
    '4.4.4-batch512': Short(
        'Three updates an epoch are all that 1,500 digits give: even 20 epochs are 60 updates, where the book\'s '
        'have 2,300, and a little worse.',
        '1500 个数字每轮只够更新三次：20 轮共 60 次，书中有两千多次，因此略差。',
        (), {'epochs': 20}),
    '4.4.4-batch512-rate0.2': Short(
        'A higher rate makes up for fewer updates: on MNIST all of what large batches lost. In these 60 updates the '
        'accuracy is like that at the lower rate.',
        '更高的速率弥补更新次数之少：在 MNIST 上补回全部损失。这里只有 60 次更新，准确率与低速率相近。',
        (), {'epochs': 20, 'initializer': 'xavier'}),
    '4.5.2': Short(
        'What is saved and loaded again, in three ways, computes the same, to the last bit or the one before. (Its '
        'network is trained for a moment only.)',
        '用三种方式保存再读取，计算结果相同，至多差最后一两位。（网络只训练了片刻。）',
        ('difference_load_parameters', 'difference_symbol_block', 'difference_module')),
    '4.5.4': Short(
        'A training step written out in MXNet\'s arrays gives the book\'s gradients.',
        '用 MXNet 数组写出的一步训练，梯度与书中一致。',
        ('step1_output', 'step1_mse', 'step1_gradient_b3')),
    '7.2-small': Short(
        'A small residual network after a glance at games of the built-in player: already better than 4.2.2. Its '
        'figure on games of people, after an hour and a half, is over 0.43; such a one comes along: '
        'python -m chapters play.',
        '小型残差网络粗看内置程序的对局之后，已好于 4.2.2。用人类棋谱训练一个半小时可超过 0.43；这样的一个随项目附带：'
        'python -m chapters play。',
        ('validation_accuracy',), {'epochs': 3, 'samples_per_epoch': 6400, 'units': 2, 'filters': 16, 'planes': 8}),
}


CHAPTERS = {'2': ('Chapter 2: A neuron', '第 2 章：神经元'), '3': ('Chapter 3: Networks of layers', '第 3 章：多层网络'),
            '4': ('Chapter 4: Convolution', '第 4 章：卷积网络'),
            '7': ('Chapter 7: A network that plays Go', '第 7 章：会下围棋的网络')}


def run_demo(out):
    """Run every experiment in short form and gather them on one page.

    Parameters
    ----------
    out : path-like
        The folder to make; an earlier demo there is kept under another name.

    Returns
    -------
    pathlib.Path
        The page.
    """
    out = Path(out)
    if out.exists():
        if not (out / 'index.html').exists() and any(out.iterdir()):
            if any(path.name != 'zoo' and not (path / 'config.json').exists() for path in out.iterdir()):
                raise UserError(f'{out}: holds other files than a demo; choose another --out')
        out.rename(out.with_name(f'{out.name}-{time.strftime("%Y%m%d-%H%M%S")}'))
    try:
        out.mkdir(parents=True)
    except OSError as error:
        raise UserError(f'{out}: cannot be made ({error.strerror}); choose another --out') from None
    for experiment in tqdm(chosen(), 'demo', unit='experiment', disable=None, file=sys.stderr):
        shown = SHOWN[experiment.section]
        experiment, data, short = shortened(experiment, changes=shown.changes)
        _, result = run_experiment(experiment, data=data, out=out / experiment.section, short=short, quiet=True)
        tqdm.write(_line(experiment, result, shown))
    return write_page(
        out, out / 'index.html', chapters.experiments(), 'Deep convolutional networks: the book\'s first networks',
        ['The first networks of Peng Bo\'s "深度卷积网络：原理与实践", trained on this machine just now, in short form. '
         'Where the book uses MNIST or Fashion-MNIST, 1,797 handwritten digits that come with scikit-learn, called '
         '"digits", stand in for them; where it uses games of Go, games that a simple built-in player plays against '
         'itself, called "selfplay". Their figures are not comparable with the book\'s, which are printed beside.',
         '本页是刚刚在这台机器上训练的结果（简短形式）。书中使用 MNIST 或 Fashion-MNIST 之处，这里以 scikit-learn '
         '自带的 1,797 个手写数字（称为 digits）代替；书中使用围棋棋谱之处，以内置简单程序的自我对局（称为 selfplay）代替，'
         '因此数值不能与书中直接比较。'],
        {section: (shown.english, shown.chinese) for section, shown in SHOWN.items()}, [_of_zoo(out / 'zoo')], CHAPTERS)


def _of_zoo(out):
    """Some of the trained networks that come along, for the page: what one says of digits that it never saw, and what
    three of chapter 8 make."""
    import mxnet as mx

    from chapters import zoo
    from chapters.ch08_gan.samples import generate, save_tiles
    from chapters.kit.trained.answers import draw_answers, probabilities_of
    from chapters.kit.trained.run import save_figure
    reader, digits, random = zoo.load('3.4.2'), chapters.find('3.4.2').load('digits'), np.random.default_rng(0)
    truth = digits.validation_y.astype(int)
    said = probabilities_of(lambda x: reader.network(mx.nd.array(x)).asnumpy(), digits.validation_x)
    draw_answers(said, digits.validation_x, truth, list(reader.class_names),
                 lambda figure, name: save_figure(figure, out, f'3.4.2-{name}'))
    codes = {'8.3': random.standard_normal((64, 100)),
             '8.4-infogan': np.concatenate([
                 np.repeat(random.standard_normal((1, 62)), 80, axis=0), np.tile(np.eye(10), (8, 1)),
                 np.repeat(np.linspace(-1.5, 1.5, 8), 10)[:, None], np.zeros((80, 1))], axis=1),
             '8.5-vae': np.stack(np.meshgrid(*[norm.ppf(np.linspace(0.03, 0.97, 12))] * 2), axis=-1).reshape(-1, 2)}
    for name, chosen in codes.items():
        images = generate(zoo.load(name).network, chosen.astype(np.float32), mx.cpu())
        if name == '8.5-vae':
            images = 2 / (1 + np.exp(-images.reshape(-1, 1, 28, 28))) - 1
        columns, enlarge = {'8.3': (16, 2), '8.4-infogan': (10, 3), '8.5-vae': (12, 2)}[name]
        save_tiles(images, out / 'figures' / f'{name}.png', columns, enlarge)
    right, known = (said.argmax(axis=1) == truth).mean(), reader.config['zoo']['accuracy']
    return {
        'title': 'Trained networks that come along', 'title_zh': '随项目附带的已训练网络',
        'sentences': [
            'Live: python -m chapters serve opens them in the browser. Write a digit, draw a shoe, drop a photograph, play Go '
            'against one that shows what it thinks of, and let others draw digits of the codes that you set.',
            '动手试试：python -m chapters serve 在浏览器中打开它们。写一个数字，画一只鞋，拖入一张照片，'
            '与会显示想法的网络下围棋，或设定编码让网络画出数字。',
            f'The network of 3.4.2, trained on MNIST, where it is right {known:.2%} of the time, reads {right:.1%} of these '
            f'other {len(truth)} digits, which it never saw the like of. Below: digits that 8.3 made of random codes; those '
            'of 8.4, InfoGAN, a column for each value of the code that it found by itself, and another code, which became '
            'the slant, down the rows; and the map of codes of 8.5\'s auto-encoder.',
            f'在 MNIST 上训练的 3.4.2 网络（验证准确率 {known:.2%}）认对了 {right:.1%} 的这 {len(truth)} 个'
            '从未见过的另一种数字。下面依次是：8.3 由随机编码生成的数字；8.4 InfoGAN 的数字，每列对应它自行发现的一个编码值，'
            '自上而下的另一个编码成了倾斜程度；8.5 自编码器的编码地图。'],
        'pictures': [out / 'figures' / f'{name}.png' for name in ('3.4.2-predictions', *codes)],
        'commands': ['python -m chapters zoo', 'python -m chapters predict zoo:4.4 photo.png', 'python -m chapters serve']}


def chosen():
    """The experiments of the demo."""
    return [experiment for experiment in chapters.experiments() if experiment.section in SHOWN]


def _line(experiment, result, shown):
    """The figures that show it, with the book's, and what they mean; of a comparison, those of every side."""
    printed = experiment.book[0] if experiment.book else None
    names = shown.figures or ([printed.metric] if printed else [
        name for name in result['metrics'] if name.endswith(('validation_accuracy', 'validation_mse'))])
    words = []
    for name in names or result['metrics']:
        book = next((figure for figure in experiment.book if figure.metric == name), None)
        words.append(f'{name.replace("_", " ")} {result["metrics"][name]["last"]:.4g}' + (
            f' (the book: {book.value:.4g}' + (f' on {book.data})' if book.data else ')') if book else ''))
    line = f'{experiment.section} {experiment.title} {experiment.title_zh}: {", ".join(words)}'
    if experiment.stand_in:
        line += f', on {result["data"]}'
    return '\n    '.join(filter(None, (line, shown.english, shown.chinese)))
