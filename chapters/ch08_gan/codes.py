"""What codes mean: images of codes that move, from the network that a run has exported."""
import mxnet as mx
import numpy as np
from mxnet import nd
from PIL import Image

import chapters
from chapters.ch08_gan.samples import between, generate, tiles
from chapters.kit.trained.export import trained_graph


def exported(folder):
    """The generator, or decoder, of a run folder or `zoo:NAME`.

    Returns
    -------
    mxnet.gluon.SymbolBlock
        Codes (N, numbers) -> what it makes of them.
    """
    return trained_graph(folder, chapters.find).block()


def draw_between(folder, numbers=100):
    """The way from one code to another, of a run of 8.3.

    Returns
    -------
    callable
        `draw(way=0.5, first=0, second=1)` -> PIL image: on the left the images of two codes, drawn with these seeds,
        between them the image of a code that has gone a share `way` from the one to the other on the great circle.
    """
    generator = exported(folder)

    def draw(way=0.5, first=0, second=1):
        ends = [np.random.default_rng(seed).standard_normal(numbers) for seed in (first, second)]
        steps = between(*ends, 101)
        codes = np.stack([steps[0], steps[round(100 * way)], steps[-1]])
        return _enlarged(tiles(generate(generator, codes.astype(np.float32), mx.cpu(), len(codes)), 3))
    return draw


def draw_code(folder, side=28):
    """What the decoder of 8.5-vae makes of a code of two numbers.

    Returns
    -------
    callable
        `draw(z1=0.0, z2=0.0)` -> PIL image.
    """
    decoder = exported(folder)

    def draw(z1=0.0, z2=0.0):
        image = nd.sigmoid(decoder(nd.array([[z1, z2]]))).asnumpy().reshape(1, 1, side, side)
        return _enlarged(tiles(image * 2 - 1, 1), 8)
    return draw


def draw_classes(folder, noise_numbers=62, classes=10):
    """What the generator of 8.4-infogan makes of each value of c1, the part of the code that became the digit.

    Returns
    -------
    callable
        `draw(c2=0.0, c3=0.0, noise=0)` -> PIL image: a column for each c1, three rows of other noise.
    """
    generator = exported(folder)

    def draw(c2=0.0, c3=0.0, noise=0):
        z = np.random.default_rng(noise).standard_normal((3, noise_numbers))
        codes = np.concatenate([np.repeat(z, classes, axis=0), np.tile(np.eye(classes), (3, 1)),
                                np.tile([c2, c3], (3 * classes, 1))], axis=1)
        return _enlarged(tiles(generate(generator, codes.astype(np.float32), mx.cpu(), len(codes)), classes), 3)
    return draw


def _enlarged(image, times=5):
    return image.resize((image.width * times, image.height * times), Image.NEAREST)
