"""Section 8.2.2, figure 8-8: shapes of voxels, by a variational auto-encoder of 3-D convolutions.

    python -m chapters.ch08_gan.voxels

"Learning a Probabilistic Latent Space of Object Shapes via 3D Generative-Adversarial Modeling",
https://arxiv.org/abs/1610.07584, has a GAN learn chairs and cars in cubes of 64 voxels a side; here a VAE learns boxes, balls,
and crosses in cubes of 16.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch08_gan.samples import between
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script

SIDE = 16
KINDS = 'box', 'ball', 'cross'


def shapes(count, random):
    """Solid shapes, each of its own size and a little off the centre.

    Returns
    -------
    (numpy.ndarray (count, 1, 16, 16, 16) of 0 and 1, numpy.ndarray (count,))
        Voxels, and the number of the kind in `KINDS`.
    """
    kinds = random.integers(0, len(KINDS), count)
    place = np.indices((SIDE,) * 3)
    solids = np.zeros((count, 1) + (SIDE,) * 3, np.float32)
    for number, kind in enumerate(kinds):
        middle = (SIDE - 1) / 2 + random.uniform(-1.5, 1.5, 3)
        away = np.abs(place - middle.reshape(3, 1, 1, 1))
        if KINDS[kind] == 'ball':
            solid = np.square(away).sum(axis=0) < random.uniform(3, 6) ** 2
        elif KINDS[kind] == 'box':
            solid = (away < random.uniform(2.5, 5.5, 3).reshape(3, 1, 1, 1)).all(axis=0)
        else:  # three bars through the middle, one along each axis
            bars = np.sort(away, axis=0)
            solid = (bars[2] < random.uniform(5, 6.5)) & (bars[1] < random.uniform(1.2, 2.2))
        solids[number, 0] = solid
    return solids, kinds


def _leaky_relu(F, x):
    """LeakyReLU(0.1), not by oneDNN: behind oneDNN's, parts of the next transposed convolution's gradient in three dimensions
    are what lay in memory."""
    return F.maximum(x, 0.1 * x)


class VoxelVAE(gluon.HybridBlock):
    """As `chapters.ch08_gan.vae.VAE`, with convolutions of 3x3x3 and strides of 2: sides 16, 8, 4, 2; and back.

    Parameters
    ----------
    width, codes : int
        Filters of the first convolution, of 2 and 4 times as many behind it; numbers of a code.

    Input (N, 1, 16, 16, 16) of 0 and 1, and noise (N, codes); outputs in nats, (N,) each: cross-entropy of the voxels, and
    divergence of the code's Gaussian from the standard one.
    """
    def __init__(self, width=8, codes=8, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.encoder, self.decoder = nn.HybridSequential(), nn.HybridSequential()
            for factor in (1, 2, 4):
                self.encoder.add(nn.Conv3D(factor * width, 3, 2, 1), nn.LeakyReLU(0.1))
            self.encoder.add(nn.Dense(2 * codes))
            self.decoder.add(nn.Conv3DTranspose(4 * width, 2, in_channels=codes), nn.HybridLambda(_leaky_relu))  # 1 to 2
            for factor in (2, 1):
                self.decoder.add(nn.Conv3DTranspose(factor * width, 4, 2, 1), nn.HybridLambda(_leaky_relu))
            # Empty and filled: of a single channel oneDNN 2.4 computes no gradient (see `GrayConv2DTranspose` in dcgan.py).
            self.decoder.add(nn.Conv3DTranspose(2, 4, 2, 1))

    def hybrid_forward(self, F, x, noise):
        mean, log_variance = F.split(self.encoder(x), num_outputs=2, axis=1)  # (N, codes) each
        logits = self.logits(F, mean + F.exp(log_variance / 2) * noise)
        voxels = F.relu(logits) - logits * x + F.Activation(-F.abs(logits), act_type='softrelu')
        divergence = F.sum(F.square(mean) + F.exp(log_variance) - 1 - log_variance, axis=1) / 2
        return F.sum(voxels, axis=(1, 2, 3, 4)), divergence

    def logits(self, F, z):
        """Codes (N, codes) to the logit of each voxel, (N, 1, 16, 16, 16)."""
        empty, filled = F.split(self.decoder(F.reshape(z, (0, 0, 1, 1, 1))), num_outputs=2, axis=1)
        return filled - empty

    def decoded(self, z):
        """Codes (N, codes), NumPy's, to the probability of each voxel, (N, 16, 16, 16)."""
        return nd.sigmoid(self.logits(nd, nd.array(z)))[:, 0].asnumpy()


def overlap(solids, others):
    """Intersection over union of shapes, (N,); both (N, ...) of booleans."""
    axes = tuple(range(1, solids.ndim))
    return (solids & others).sum(axis=axes) / np.maximum(1, (solids | others).sum(axis=axes))


def voxels(run, images=1500, updates=1000, width=8, codes=8, batch_size=32, rate=0.005):
    """Train a `VoxelVAE` on made shapes; draw those of random codes, and the way from one shape to another.

    Parameters
    ----------
    run : Run
    images, updates : int
        Shapes to learn from; batches.
    width, codes, batch_size, rate

    Returns
    -------
    dict
        'bound', nats a shape of 200 test shapes; 'bound_of_independent', of voxels that know nothing of one another;
        'overlap' of test shapes with themselves after coding, intersection over union, and 'overlap_of_others', of another
        test shape; 'overlap_of_random', of random codes' shapes with the most similar of the training shapes, and
        'overlap_of_new', the same of the test shapes; 'kind_kept', how often that is of the same kind.
    """
    random = seed_everything(run.seed)
    x, kinds = shapes(images, random)
    test, test_kinds = shapes(200, random)
    network = VoxelVAE(width, codes)
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True)
    network(nd.array(x[:2]), nd.zeros((2, codes)))
    trainer = gluon.Trainer(network.collect_params(), 'adam')
    for update in tqdm(range(updates), 'training', leave=False, disable=None):
        trainer.set_learning_rate(rate * (1 - update / updates))
        noise = nd.array(random.standard_normal((batch_size, codes)))
        with autograd.record():
            of_voxels, divergence = network(nd.array(x[random.integers(0, images, batch_size)]), noise)
            # At first codes are free: else the network learns to do without them (https://arxiv.org/abs/1511.06349).
            loss = of_voxels + min(1, 2 * update / updates) * divergence
        loss.backward()
        trainer.step(batch_size)
    of_voxels, divergence = network(nd.array(test), nd.array(random.standard_normal((len(test), codes))))
    mean = network.encoder(nd.array(test)).asnumpy()[:, :codes]
    again = network.decoded(mean) > 0.5
    made = network.decoded(random.standard_normal((40, codes))) > 0.5
    solids, real = x[:, 0] > 0.5, test[:, 0] > 0.5

    def nearest(some):
        found = [overlap(solids, one[None]) for one in some]
        return np.array([one.max() for one in found]), kinds[[one.argmax() for one in found]]
    filled = x.mean(axis=0).clip(1e-3, 0.999)
    chosen = [np.flatnonzero(test_kinds == kind)[0] for kind in range(len(KINDS))]
    way = np.concatenate([between(mean[chosen[number]], mean[chosen[(number + 1) % 3]], 6, spherical=False)
                          for number in range(3)])
    _draw(run, [*real[chosen], *again[chosen], *made[:6]], 6, 'shapes', figures.text(
        '8.2.2 Three shapes, the same from their codes; below, random codes', '三个形状及其编码还原；下一行为随机编码'))
    _draw(run, network.decoded(way) > 0.5, 6, 'ways', figures.text('8.2.2 From shape to shape, by their codes',
                                                                   '由编码从一个形状到另一个'))
    return {'bound': float((of_voxels + divergence).mean().asscalar()),
            'bound_of_independent': -(test * np.log(filled) + (1 - test) * np.log(1 - filled)).sum(axis=(1, 2, 3, 4)).mean(),
            'overlap': overlap(again, real).mean(), 'overlap_of_others': overlap(np.roll(real, 1, axis=0), real).mean(),
            'overlap_of_random': nearest(made)[0].mean(), 'overlap_of_new': nearest(real[:40])[0].mean(),
            'kind_kept': (nearest(again[:60])[1] == test_kinds[:60]).mean()}


def _draw(run, solids, columns, name, title):
    rows = -(-len(solids) // columns)
    figure = figures.plt.figure(figsize=(1.2 * columns, 1.2 * rows + 0.4))
    for number, solid in enumerate(solids):
        axis = figure.add_subplot(rows, columns, number + 1, projection='3d')
        axis.voxels(solid, facecolors='tab:orange', edgecolor='k', linewidth=0.15)
        axis.set(xlim=(2, SIDE - 2), ylim=(2, SIDE - 2), zlim=(2, SIDE - 2))
        axis.set_axis_off()
    figure.suptitle(title, fontsize=10)
    figure.subplots_adjust(0, 0, 1, 0.93, 0, 0)
    run.save_figure(figure, name)


EXPERIMENTS = [
    WorkedExample('8.2.2-voxels', 'Shapes of voxels, by a VAE of 3-D convolutions', '体素形状：三维卷积的变分自编码器',
                  function=voxels),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
