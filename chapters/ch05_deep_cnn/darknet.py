"""Sections 5.1.3 and 5.6.2: DarkNet Reference, DarkNet-19 and Tiny DarkNet, which have no large dense layers.

Redmon, "Darknet: open source neural networks in C", 2013-2016 (https://pjreddie.com/darknet);
Redmon, Farhadi, "YOLO9000: better, faster, stronger", CVPR 2017 (https://arxiv.org/abs/1612.08242).
"""
from mxnet import gluon
from mxnet.gluon import nn

from book_code import sec_5_1_3
from chapters.ch05_deep_cnn.layers import batch_norm, choose, padded_convolution, scaled
from chapters.ch05_deep_cnn.recipes import on_imagenet
from chapters.script import run_script

# For each stage its convolutions (filters, kernel); between stages a pooling 2x2 with stride 2. After the
# last stage follows a 1x1 convolution to one plane a class.
STAGES = {
    'reference': [[(16, 3)], [(32, 3)], [(64, 3)], [(128, 3)], [(256, 3)], [(512, 3)], [(1024, 3)]],
    '19': [[(32, 3)], [(64, 3)], [(128, 3), (64, 1), (128, 3)], [(256, 3), (128, 1), (256, 3)],
           [(512, 3), (256, 1), (512, 3), (256, 1), (512, 3)],
           [(1024, 3), (512, 1), (1024, 3), (512, 1), (1024, 3)]],
    'tiny': [[(16, 3)], [(32, 3)], [(16, 1), (128, 3), (16, 1), (128, 3)],
             [(32, 1), (256, 3), (32, 1), (256, 3)],
             [(64, 1), (512, 3), (64, 1), (512, 3), (128, 1)]],
}


class DarkNet(gluon.HybridBlock):
    """Convolutions with BN and leaky ReLU, 1x1 to one plane a class, global average.

    Parameters
    ----------
    stages : str
        'reference' (table 5-5: 7.3 million parameters, 0.81 GFLOPs), '19' (table 5-6: 20.8 million,
        5.58 GFLOPs), or 'tiny' (5.6.2).
    slope : float
        Of the leaky ReLU.
    width : float
        Factor of the numbers of filters.
    classes : int

    Input (N, 3, 224, 224), output logits (N, classes).
    """
    def __init__(self, stages='reference', slope=0.1, width=1.0, classes=1000, **kwargs):
        super().__init__(**kwargs)
        table = choose(STAGES, 'stages', stages)
        with self.name_scope():
            self.features = nn.HybridSequential()
            for stage, convolutions in enumerate(table, 1):
                for number, (filters, kernel) in enumerate(convolutions, 1):
                    name = f'conv{stage}_{number}_' if stages != 'reference' else f'conv{stage}_'
                    self.features.add(padded_convolution(scaled(filters, width), kernel, prefix=name), batch_norm(),
                                      nn.LeakyReLU(slope))
                if stage < len(table):  # the sixth of the reference network is padded: 7x7 becomes 4x4
                    self.features.add(nn.MaxPool2D(padding=1 if stage == 6 else 0))
            self.output = nn.Conv2D(classes, kernel_size=1, prefix=f'conv{len(table) + 1}_')

    def hybrid_forward(self, F, x):
        return F.mean(self.output(self.features(x)), axis=(2, 3))


def darknet_reference(**kwargs):
    """The network of table 5-5."""
    return DarkNet('reference', **kwargs)


def darknet19(**kwargs):
    """The network of table 5-6."""
    return DarkNet('19', **kwargs)


def tiny_darknet(**kwargs):
    """The network of 5.6.2."""
    return DarkNet('tiny', **kwargs)


EXPERIMENTS = [
    on_imagenet('5.1.3', 'DarkNet Reference', 'DarkNet Reference', DarkNet, {'stages': 'reference'}, listing=sec_5_1_3,
                small={'width': 0.25, 'classes': 10, 'sample_shape': (3, 96, 96)},
                table='table 5-5', million_parameters=7.3, gflops=0.81),
    on_imagenet('5.1.3-darknet19', 'DarkNet-19', 'DarkNet-19', DarkNet, {'stages': '19'}, table='table 5-6',
                million_parameters=20.8, gflops=5.58),
    on_imagenet('5.6.2-tiny-darknet', 'Tiny DarkNet', 'Tiny DarkNet', DarkNet, {'stages': 'tiny'}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
