"""What codes mean: images of codes that move, from the network that a run has exported."""
import warnings

from chapters.kit.runtime import mx
import numpy as np
from PIL import Image

from chapters.ch08_gan.samples import between, generate, tiles
from mxnet import gluon, nd


def exported(folder):
    """The generator, or decoder, of a run folder.

    Returns
    -------
    mxnet.gluon.SymbolBlock
        Codes (N, numbers) -> what it makes of them.
    """
    params = sorted(folder.glob('model-*.params'))[-1]
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # MXNet says that the input's type is not in the file; it never is
        return gluon.SymbolBlock.imports(str(folder / 'model-symbol.json'), ['data'], str(params), ctx=mx.cpu())


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


def _enlarged(image, times=5):
    return image.resize((image.width * times, image.height * times), Image.NEAREST)
