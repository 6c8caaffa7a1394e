"""Section 5.6.3: kernels with gaps, and kernels whose points move: dilated and deformable convolution.

Yu, Koltun, "Multi-scale context aggregation by dilated convolutions", ICLR 2016
(https://arxiv.org/abs/1511.07122); Dai et al., "Deformable convolutional networks", ICCV 2017
(https://arxiv.org/abs/1703.06211).
"""
from dataclasses import replace

import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn
from mxnet.gluon.contrib.cnn import DeformableConvolution

from chapters.ch05_deep_cnn.layers import batch_norm, conv_bn_relu
from chapters.ch05_deep_cnn.recipes import on_cifar
from chapters.kit.experiment import figures_of
from chapters.kit.inside.looking import scaled
from chapters.kit.report import figures
from chapters.script import run_script


class DilatedNet(gluon.HybridBlock):
    """3x3 convolutions whose points lie ever further apart, for CIFAR-10.

    After dilations 1, 2 and 4 a point of the output sees 3, 7 and 15 points of the input in each direction.

    Parameters
    ----------
    dilations : tuple of int
    filters : int
    classes : int

    Input (N, 3, H, W), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, dilations=(1, 2, 4), filters=64, classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm())
            for dilation in dilations:
                self.features.add(nn.Conv2D(filters, 3, padding=dilation, dilation=dilation), batch_norm(),
                                  nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


class DeformableNet(gluon.HybridBlock):
    """Convolutions for CIFAR-10, the later ones deformable.

    Beside each of those a convolution says how far every point of the kernel moves. It starts at 0:
    the network starts with ordinary convolutions.

    Parameters
    ----------
    filters : tuple of int
        Of the ordinary convolutions, each followed by a pooling 2x2.
    deformable_filters : tuple of int
        Of the deformable ones.
    classes : int

    Input (N, 3, H, W), pixels from 0 to 255; output logits (N, classes).
    """
    def __init__(self, filters=(32, 64), deformable_filters=(64, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(batch_norm())
            for planes in filters:
                self.features.add(*conv_bn_relu(planes, 3), nn.MaxPool2D())
            for planes in deformable_filters:
                self.features.add(DeformableConvolution(planes, kernel_size=(3, 3), padding=(1, 1)),
                                  batch_norm(), nn.Activation('relu'))
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def sampling_points(network, image, row, column):
    """Where in an image one point of the last layer looks, through all deformable layers: 9 points, each of which is 9, and so
    on: 729 through three (figure 5-49).

    Parameters
    ----------
    network : DeformableNet
    image : numpy.ndarray, (C, H, W)
    row, column : int
        Of the point, in the planes of the last layer.

    Returns
    -------
    numpy.ndarray, (9 ** layers, 2)
        Row and column, in pixels of the image.
    """
    x, offsets, shrunk = nd.array(image[None]), [], 1
    for layer in network.features:
        if isinstance(layer, DeformableConvolution):
            offset = nd.Convolution(x, layer.offset_weight.data(), layer.offset_bias.data(), **layer._kwargs_offset)
            offsets.append(offset.asnumpy()[0])  # (18, h, w): down and across of each of the 9
        shrunk *= 2 if isinstance(layer, nn.MaxPool2D) else 1
        x = layer(x)
    height, width = offsets[0].shape[1:]
    taps = np.array([(down, across) for down in (-1, 0, 1) for across in (-1, 0, 1)], float)
    points = np.array([(row, column)], float)
    for moved in reversed(offsets):
        rows, columns = (np.clip(np.rint(points[:, axis]).astype(int), 0, side - 1) for axis, side in ((0, height), (1, width)))
        by = moved[:, rows, columns].T.reshape(len(points), 9, 2)
        points = (points[:, None] + taps + by).reshape(-1, 2)
    return points * shrunk + (shrunk - 1) / 2


def draw_points(run, network):
    """Figure 5-49: the sampling points of three places, in three images.

    Returns
    -------
    dict
        How many points there are, and how far they moved on average from those of an ordinary convolution, in pixels.
    """
    network.hybridize(False)
    images = np.asarray(run.data.validation_x[:3], np.float32)
    figure, axes = figures.plt.subplots(3, 3, figsize=(9, 9.4))
    moved, number = [], 0
    for line, image in zip(axes, images):
        side = image.shape[1] // 4
        for axis, place in zip(line, ((side // 4, side // 4), (side // 2, side // 2), (3 * side // 4, side // 2))):
            points = sampling_points(network, image, *place)
            number = len(points)
            ordinary = 4 * np.array(place) + 1.5
            moved.append(np.linalg.norm(points.mean(axis=0) - ordinary))
            axis.imshow(scaled(image).transpose(1, 2, 0).squeeze(), cmap='gray')
            axis.plot(points[:, 1], points[:, 0], 'r.', markersize=2)
            axis.plot(ordinary[1], ordinary[0], 'go', markersize=5)
            axis.set(xticks=[], yticks=[], xlim=(-0.5, image.shape[2] - 0.5), ylim=(image.shape[1] - 0.5, -0.5))
    figure.suptitle(figures.text(f'5.6.3 {number} sampling points of one point (green) of the last layer', '采样点')
                    + f'\n{run.data_name}')
    figure.tight_layout()
    run.save_figure(figure, 'points')
    return {'sampling_points': number, 'middle_moved': np.mean(moved)}


EXPERIMENTS = [
    on_cifar('5.6.3-dilated', 'Dilated convolution', '空洞卷积', DilatedNet),
    on_cifar('5.6.3-deformable', 'Deformable convolution', '可变形卷积', DeformableNet),
    replace(on_cifar('5.6.3-points', 'Where deformable kernels look', '可变形卷积的采样点', DeformableNet,
                     {'deformable_filters': (64, 64, 64)}, book=figures_of(sampling_points=729)), drawings=(draw_points,)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
