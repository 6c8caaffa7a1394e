# ruff: noqa: E501 -- Chinese characters count as two columns; a pair is read best in one line.
"""The Chinese words of `docs/BENCHMARKS.zh-CN.md`: what benchmarks say of themselves, in English, and its translation."""
import re

INTRODUCTION = ('由 `python -m benchmarks` 根据 `benchmarks/results` 写成。每个数值是若干轮的中位数，各方轮流进行，括号中是最小值和最大值；'
                '**2.00x** 表示第一列速度为其两倍，或大小为其一半。测量所用的机器与他人共享：低于 20% 的差别不可信。')
_WORDS = [
    ('DCGAN, 1 thread', 'DCGAN，1 个线程'),
    ('Go: rules, planes, symmetries, packing', '围棋：规则、特征层、对称、打包'),
    ('Tree search on 19x19, one thread', '19x19 上的树搜索，单线程'),
    ('The largest losses, mended', '补上的最大损失'),
    ('Packing images, 2 workers', '打包图像，2 个工作进程'),
    ('Does the data outrun the network?', '数据跟得上网络吗？'),
    ('Share of the peak', '达到峰值的几成'),
    ('Training and prediction, 2 threads', '训练与预测，2 个线程'),
    ('Prediction in 8 bits gains where the processor multiplies them by an instruction of its own (VNNI): in this\n'
     'table 1.4 times our 32 bits for 3.4.2 to 2.4 times for 5.4.5; on a processor with VNNI and AMX, with one\n'
     'thread beside other work, 2.5 (4.4) to 4.3 times (5.4.4). With AVX2 alone it loses: 4.4 ran at 0.83 of our\n'
     '32 bits and 0.98 of PyTorch, 3.4.2 at 0.93 and 0.96 (one run, medians of 3). So both are measured on the\n'
     'machine at hand: `evaluate RUN --int8` says which is faster, and the tree search of 7.3 takes it.',
     '8 位预测在处理器有专门的 8 位乘法指令（VNNI）时更快：本表中为本项目 32 位的 1.4 倍（3.4.2）到 2.4 倍（5.4.5）；在有 VNNI 与 AMX 的处理器上（单线程，同时有其他任务）为 2.5 倍（4.4）到 4.3 倍（5.4.4）。只有 AVX2 时反而更慢：4.4 为本项目 32 位的 0.83 倍、PyTorch 的 0.98 倍，3.4.2 为 0.93 和 0.96 倍（一次运行，3 轮的中位数）。因此在所用的机器上两者都测一次：`evaluate RUN --int8` 会说哪个更快，7.3 的树搜索采用更快的。'),
    ('![Growth]', '![增长]'),
    ('Dotted: the straight line through the first and the last point. Not straight, and why: a small **batch** pays the fixed\n'
     'costs of an update more often; the work of a convolution grows with the square of the **width**. Memory grows with the\n'
     '**samples** because data sets of arrays are held in memory as float32, once in NumPy and once in MXNet; with batch and\n'
     'width by the activations. Files and `.rec` are streamed: there memory stays as it is.',
     '虚线是过首末两点的直线。偏离直线的原因：**批大小**较小时，更新的固定开销付得更频繁；卷积的计算量随**宽度**（width）的平方增长。'
     '内存随**样本数**（samples）\n增长，因为数组数据集以 float32 存放在内存中，NumPy 和 MXNet 各一份；随批大小和宽度的增长来自激活值。'
     '文件和 `.rec` 是边读边用的：内存保持不变。'),
    ("Everything else is as it is today; only the one thing is as it would be without us. Processes of their own, the two\n"
     "sides in turns.", '其余一切与现在相同，只把这一项恢复成没有本项目时的样子。双方各用自己的进程，轮流进行。'),
    ("- Gluon's step: `autograd` makes the graph of the backward pass anew at each call. `CompiledStep` binds it once.",
     '- Gluon 的训练步骤：`autograd` 每次调用都重建反向传播的计算图。`CompiledStep` 只绑定一次。'),
    ("- MXNet's update: `sgd_update`, called for each parameter. `CompiledStep` has all of them in one array for BLAS.",
     '- MXNet 的更新：对每个参数调用一次 `sgd_update`。`CompiledStep` 把全部参数放在一个数组中，交给 BLAS。'),
    ("- MXNet's queue: each operator is handed to another thread. `NaiveEngine` calls it.",
     '- MXNet 的队列：每个算子交给另一个线程。`NaiveEngine` 直接调用它。'),
    ('- All threads: for a small operator, waking the second takes longer than its half of the work.',
     '- 全部线程：对小的算子，唤醒第二个线程比它分担的一半工作更费时。'),
    ("- Gluon's prediction: convolution, BN and ReLU one after the other, where `Predictor` lets oneDNN do them at once.",
     '- Gluon 的预测：卷积、BN 和 ReLU 依次进行，而 `Predictor` 让 oneDNN 一次完成。'),
    ('![Roofline]', '![屋顶线]'),
    ('The last column is the measured peak of a matrix product: 0.50x is half of it.', '最后一列是实测的矩阵乘法峰值：0.50x 即其一半。'),
    ('steps of both networks, by the clock', '两个网络的训练步骤，按实际时间'),
    ('steps of both networks, by processor time', '两个网络的训练步骤，按处理器时间'),
    ('the same stones as on sgfmill.boards after each move', '每一手之后的棋子与 sgfmill.boards 相同'),
    ('moves by the rules; ours with legality and the liberties of every chain', '按规则落子；本项目含合法性和每个棋块的气数'),
    ('positions to planes', '局面转为特征层'),
    ('symmetries of a batch, planes to planes', '一批的对称变换，特征层到特征层'),
    ('symmetries of a batch, records to planes', '一批的对称变换，记录到特征层'),
    ('random records of a file in random symmetries, batches of 256', '文件中的随机记录，随机对称，批大小 256'),
    ("the book's 8", '书中的 8 个'), ("AlphaGo's 48 with ladders", 'AlphaGo 的 48 个，含征子'),
    ('one gather', '一次取出'), ('Python swaps', 'Python 逐个交换'), ('numpy flips', 'NumPy 翻转'),
    ('evaluated by network in 8 bits, owners and rollouts', '由 8 位网络、归属和下完的棋局评估'),
    ('evaluated by network and rollouts', '由网络和下完的棋局评估'), ('evaluated by network', '由网络评估'),
    ('evaluated by rollouts', '由下完的棋局评估'), ('evaluated by nothing', '不评估'),
    ('samples (3.4.2, an epoch): ', '样本数（3.4.2，一个 epoch）：'), ('batch (4.4, 5,120 samples): ', '批大小（4.4，5,120 个样本）：'),
    ('width (5.5.7, 100 samples): ', '宽度（5.5.7，100 个样本）：'), ('files (packing): ', '文件数（打包）：'),
    ('megabytes (reading a .rec): ', '兆字节数（读取 .rec）：'),
    ("Gluon's step", 'Gluon 的训练步骤'), ("MXNet's update", 'MXNet 的更新'), ("MXNet's queue", 'MXNet 的队列'),
    ("Gluon's prediction", 'Gluon 的预测'), ('all threads', '全部线程'),
    ('10,000 files', '10,000 个文件'), ('unchecked', '不检查'), ('processor time', '处理器时间'), ('peak memory', '峰值内存'),
    ('CIFAR-10, 50,000 files', 'CIFAR-10，50,000 个文件'), ('reading 500 photographs of 256 pixels', '读取 500 张 256 像素的照片'),
    ('closeness to the exact way', '与精确方法的接近程度'), ('data_tools.recordio, one thread', 'data_tools.recordio，单线程'),
    ('500 photographs, shorter edge to 256', '500 张照片，短边缩放到 256'), ('augmentation of 5.4.4, 6,000 images', '5.4.4 的数据增广，6,000 张图'),
    ('a loop over images', '逐张循环'), ('the data alone', '只有数据'), ('training on one batch', '用同一批训练'), ('both', '两者同时'),
    ('matrix product', '矩阵乘法'), ('copy', '复制'), ('prediction in 8 bits', '8 位预测'), ('training', '训练'), ('prediction', '预测'),
    ('Module, our engine', 'Module，本项目的引擎'), ('chapters predict, one image', 'chapters predict，一张图'),
    ('games and moves', '局与手'), ('moves', '手数'), ('games', '局数'), ('ours', '本项目'), ('peak', '峰值'),
    ('before', '以前'), ('now', '现在'), ('memory', '内存'), ('time', '时间'), ('batch', '批大小'), ('Starting', '启动'), ('Growth', '增长'),
]


def chinese(text):
    """Text of a title, a name or a paragraph with all known words in Chinese; unknown ones stay."""
    for english, translated in _WORDS:
        text = re.sub(rf'(?<![\w`/-]){re.escape(english)}(?![\w`/.])', lambda _: translated, text) \
            if english[-1].isalpha() else text.replace(english, translated)
    return re.sub(r'(?<=[\u4e00-\u9fff]), (?=\S)|, (?=[\u4e00-\u9fff-])', '，', text)
