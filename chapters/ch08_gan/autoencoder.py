"""Section 8.5: auto-encoders: an image through a narrow place, and an image without its noise.

    python -m chapters.ch08_gan.autoencoder --data mnist

"Reducing the Dimensionality of Data with Neural Networks", https://doi.org/10.1126/science.1127647;
"Extracting and Composing Robust Features with Denoising Autoencoders", https://doi.org/10.1145/1390156.1390294.
"""
import numpy as np
from mxnet import nd
from mxnet.gluon import nn
from scipy.ndimage import gaussian_filter

from chapters.ch08_gan import samples
from chapters.ch08_gan.turns import Players, coder
from chapters.script import run_script


class AutoEncoder(Players):
    """Dense layers to a code and back.

    Parameters
    ----------
    hidden, codes : int
        Units of the hidden layers, and numbers of a code.
    noise : float
        Standard deviation of the noise in the images that it sees; what it learns to make are those without.
    pixels : int

    Images (N, C, H, W) from 0 to 1.
    """
    def __init__(self, hidden=256, codes=32, noise=0.0, pixels=784, **kwargs):
        super().__init__(**kwargs)
        self.codes, self.noise, self.pixels = codes, noise, pixels
        with self.name_scope():
            self.encoder, self.decoder = nn.HybridSequential(), nn.HybridSequential()
            self.encoder.add(nn.Dense(hidden, activation='relu', in_units=pixels), nn.Dense(codes, in_units=hidden))
            self.decoder.add(nn.Dense(hidden, activation='relu', in_units=codes), nn.Dense(pixels, in_units=hidden))

    @staticmethod
    def sizes_for(data):
        """As `Players` has it."""
        return {'pixels': int(np.prod(data.train_x.shape[1:]))}

    def hybrid_forward(self, F, x):
        return F.sigmoid(self.decoder(self.encoder(x)))

    def turns(self):
        """As `Players` has it."""
        return [('error', [self], self.loss)]

    def draw(self, data, numbers, random):
        """Images as they are seen, and as they are to be made."""
        x = data.train_x[numbers]
        return nd.array(self.noisy(x, random)), nd.array(x)

    def noisy(self, x, random):
        """Images with noise, NumPy's."""
        return x + self.noise * random.standard_normal(x.shape).astype(np.float32) if self.noise else x

    def loss(self, seen, wanted):
        """(N,): squared error of a pixel."""
        return nd.square(self(seen) - wanted.flatten()).mean(axis=1)

    def exported(self):
        """Encoder and decoder."""
        self.hybridize()
        self(nd.zeros((1, self.pixels)))
        return self

    def validate(self, data):
        """Squared error of a pixel of test images, with the same noise each time."""
        return {'validation_mse': float(self.loss(nd.array(self.noisy(data.validation_x, np.random.default_rng(0))),
                                                  nd.array(data.validation_x)).mean().asscalar())}

    def measure(self, run, random):
        """Images seen and made; the error beside that of a simple method of the same kind.

        That is, without noise, as many principal components as the code has numbers; with noise, the Gaussian blur
        that does best on these very images.
        """
        x, seen = run.data.validation_x, self.noisy(run.data.validation_x, np.random.default_rng(0))
        made = self(nd.array(seen)).asnumpy().reshape(x.shape)
        if self.noise:
            simple = min((gaussian_filter(seen, (0, 0, sigma, sigma)) for sigma in np.linspace(0.5, 2, 7)),
                         key=lambda blurred: np.square(blurred - x).mean())
        else:
            flat = run.data.train_x.reshape(len(run.data.train_x), -1)
            mean = flat.mean(axis=0)
            _, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
            axes = vectors[:, -self.codes:].astype(np.float32)
            simple = ((x.reshape(len(x), -1) - mean) @ axes @ axes.T + mean).reshape(x.shape)
        page = np.concatenate([images[:10] for images in (seen, simple, made, x)])
        samples.save_tiles(np.clip(page, 0, 1) * 2 - 1, run.folder / 'figures' / 'images.png', 10)
        return {'mse_of_blur' if self.noise else 'mse_of_principal_components': np.square(simple - x).mean()}


EXPERIMENTS = [
    coder('8.5-autoencoder', 'Auto-encoder', '自编码器', AutoEncoder),
    coder('8.5-denoising', 'Denoising auto-encoder', '去噪自编码器', AutoEncoder, {'noise': 0.4, 'codes': 64}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
