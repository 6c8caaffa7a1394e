"""Section 8.5: a variational auto-encoder, and the map of its two-dimensional codes (figure 8-39).

    python -m chapters.ch08_gan.vae --data mnist

"Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114.
"""
import numpy as np
from mxnet import nd
from mxnet.gluon import nn
from scipy.stats import norm

from chapters.ch08_gan.samples import tiles
from chapters.ch08_gan.turns import Players, coder
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.atomic import atomic_path


class VAE(Players):
    """An encoder to a Gaussian over codes, and a decoder to the probability that a pixel is white.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer of each.
    codes : int
    pixels : int

    Input: images (N, C, H, W) from 0 to 1, taken as probabilities; output: two losses of each in nats, (N,
    2): cross-entropy of the pixels, and divergence of the code's Gaussian from the standard one. Their sum is
    an upper bound of -log p(x).
    """
    def __init__(self, hidden=512, codes=2, pixels=784, **kwargs):
        super().__init__(**kwargs)
        self.codes = codes
        with self.name_scope():
            self.encoder = nn.HybridSequential()
            self.encoder.add(nn.Dense(hidden, activation='relu', in_units=pixels),
                             nn.Dense(2 * codes, in_units=hidden))
            self.decoder = nn.HybridSequential()
            self.decoder.add(nn.Dense(hidden, activation='relu', in_units=codes), nn.Dense(pixels, in_units=hidden))

    def hybrid_forward(self, F, x):
        mean, log_variance = F.split(self.encoder(x), num_outputs=2, axis=1)  # (N, codes) each
        z = mean + F.exp(log_variance / 2) * F.random.normal_like(mean)
        logits, x = self.decoder(z), F.flatten(x)
        pixels = F.sum(F.relu(logits) - logits * x + F.Activation(-F.abs(logits), act_type='softrelu'), axis=1)
        divergence = F.sum(F.square(mean) + F.exp(log_variance) - 1 - log_variance, axis=1) / 2
        return F.stack(pixels, divergence, axis=1)

    @staticmethod
    def sizes_for(data):
        """As `Players` has it."""
        return {'pixels': int(np.prod(data.train_x.shape[1:]))}

    def turns(self):
        """As `Players` has it: one, by the bound."""
        return [('bound', [self], lambda x: self(x).sum(axis=1))]

    def draw(self, data, numbers, random):
        """Images from 0 to 1."""
        return (nd.array(data.train_x[numbers]),)

    def exported(self):
        """The decoder."""
        return self.decoder

    def validate(self, data):
        """The bound of test images, and the part of it that the codes cost."""
        pixels, divergence = self(nd.array(data.validation_x)).mean(axis=0).asnumpy()
        return {'validation_bound_loss': float(pixels + divergence), 'validation_divergence': float(divergence)}

    def measure(self, run, random):
        """The map of codes; returns the bound of a model that knows only how often each pixel is white."""
        draw_map(run, self)
        white, x = np.clip(run.data.train_x.mean(axis=0), 1e-3, 1 - 1e-3), run.data.validation_x
        independent = -(x * np.log(white) + (1 - x) * np.log(1 - white))
        return {'bound_of_independent_pixels': independent.reshape(len(x), -1).sum(axis=1).mean()}


def draw_map(run, network, side=20):
    """Figure 8-39: what the decoder makes of codes all over the plane, and where the test images lie on it."""
    shape, device = run.data.train_x.shape[1:], run.devices[0]
    along = norm.ppf(np.linspace(0.02, 0.98, side))  # each code equally probable
    y, x = np.meshgrid(-along, along, indexing='ij')
    z = np.zeros((side * side, network.codes), np.float32)
    z[:, 0], z[:, 1] = x.ravel(), y.ravel()
    images = nd.sigmoid(network.decoder(nd.array(z, device))).asnumpy().reshape((-1,) + shape)
    mean = network.encoder(nd.array(run.data.validation_x, device)).asnumpy()[:, :2]
    figure, axes = figures.plt.subplots(1, 2, figsize=(12, 6))
    axes[0].imshow(tiles(images * 2 - 1, side), cmap='gray')
    axes[0].axis('off')
    points = axes[1].scatter(mean[:3000, 0], mean[:3000, 1], c=run.data.validation_y[:3000], cmap='tab10', s=6)
    axes[1].set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect='equal', title='codes of test images')
    figure.colorbar(points, ax=axes[1], fraction=0.046)
    figure.suptitle(figures.text('8.5 A map of two-dimensional codes', '二维编码的地图'))
    figure.tight_layout()
    run.save_figure(figure, 'map')
    with atomic_path(run.folder / 'figures' / 'map-tiles.png') as beside:
        tiles(images * 2 - 1, side).save(beside)


EXPERIMENTS = [
    coder('8.5-vae', 'Variational auto-encoder with a map of codes', '变分自编码器与编码地图', VAE, epochs=60),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
