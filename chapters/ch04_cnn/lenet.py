"""Sections 4.4, 4.4.3 to 4.4.5: a small convolutional network reads digits, and clothes.

    python -m chapters.ch04_cnn.lenet --data digits
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it
import numpy as np

from chapters.kit import figures
from chapters.kit.prediction import Predictor
from mxnet import gluon, nd
from mxnet.gluon import nn


class LeNet(gluon.HybridBlock):
    """Two convolutions with batch normalisation and pooling, a third to one plane a class: 58,058 parameters.

    Shapes, from a 28x28 image: 32x24x24, 32x11x11, 64x7x7, 64x3x3, 10x1x1 (4.4).

    Parameters
    ----------
    num_filters : tuple of int
        Filters of the two 5x5 convolutions; (64, 128) is the larger network of 4.4.5.
    classes : int

    Input (N, C, H, W), output logits (N, classes).
    """
    def __init__(self, num_filters=(32, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for filters in num_filters:
                self.features.add(nn.Conv2D(filters, kernel_size=5), nn.BatchNorm(epsilon=1e-3),
                                  nn.Activation('relu'), nn.MaxPool2D(pool_size=3, strides=2))
            self.output = nn.Conv2D(classes, kernel_size=3)

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))


def answers(run, network):
    """Section 4.4.3: what the network says of each test image, how sure it is, and where it is wrong.

    Draws the first predictions, the mistakes it was surest of, and the confusion matrix. Returns the number
    of mistakes, and the mean confidence of right and of wrong answers.
    """
    data = run.data
    probabilities = nd.softmax(nd.array(Predictor(network)(data.validation_x))).asnumpy()
    said, sure, truth = probabilities.argmax(axis=1), probabilities.max(axis=1), data.validation_y.astype(int)
    names = [english if english == chinese or not figures.chinese_font() else f'{english} {chinese}'
             for english, chinese in zip(data.class_names, data.class_names_zh or data.class_names)]
    wide = max(map(len, names)) > 3
    run.save_figure(figures.image_grid(
        data.validation_x[:32], [f'{names[said[i]]}\n{sure[i]:.1%}' for i in range(min(32, len(said)))],
        size=1.5 if wide else 1.1, title=figures.text('Predictions with confidence', '预测结果与置信度')),
        'predictions')
    wrong = np.flatnonzero(said != truth)
    wrong = wrong[np.argsort(-sure[wrong])]
    if len(wrong):
        captions = [f'{names[said[i]]} {sure[i]:.1%}\n({names[truth[i]]} {probabilities[i, truth[i]]:.1%})'
                    for i in wrong[:32]]
        run.save_figure(figures.image_grid(
            data.validation_x[wrong[:32]], captions, size=1.9 if wide else 1.2,
            title=figures.text(f'The surest of {len(wrong)} mistakes (truth in brackets)', '最自信的错误（括号内为正解）')),
            'mistakes')
    run.save_figure(figures.confusion_matrix(
        truth, said, names, figures.text(f'{len(wrong)} mistakes in {len(truth)} images', '混淆矩阵')),
        'confusion')
    metrics = {'mistakes': len(wrong), 'confidence_when_right': sure[said == truth].mean()}
    if len(wrong):
        metrics['confidence_when_wrong'] = sure[wrong].mean()
    return metrics


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('4.4')
