"""Sections 4.1.1 and 4.1.2: is there an orange cat in the picture? By its colour, and by its fur; both as convolutions.

    python -m chapters.ch04_cnn.orange_cat
"""
import numpy as np
from mxnet import nd

from chapters.kit.data.pictures import cut, photographs
from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script

# Orange (4.1.1): red, green and blue lie between these; a picture with more than a tenth of such points has a cat in it.
LOW, HIGH = np.array([0.7, 0.5, 0.3]), np.array([0.9, 0.7, 0.5])
ENOUGH_COLOUR, ENOUGH_FUR = 0.10, 0.01
_SIDE = 440  # of figure 4-3


def pictures_to_judge():
    """{name: uint8 (440, 440, 3)}: the cat, where it is at hand, and pictures without a cat.

    The cat is `style/chelsea.jpg` of the data (`chapters.kit.data.pictures.photographs`), or scikit-image's own where that is
    installed; else there are orange stripes.
    """
    names = {'chelsea': 'an orange cat', 'coffee': 'a cup of coffee', 'temple': 'a temple', 'flower': 'a flower'}
    found = {names[name]: pixels for name, pixels in photographs('chelsea', 'coffee').items()}
    if 'an orange cat' not in found:
        try:
            from skimage import data
            found['an orange cat'] = data.chelsea()
        except (ImportError, OSError):
            found['orange stripes'] = striped()
    return {name: cut(pixels, _SIDE, _SIDE) for name, pixels in sorted(found.items())}


def striped():
    """A square of orange stripes on blue, for where no photograph of a cat is at hand."""
    rows = np.arange(_SIDE)
    bright = 0.5 + 0.5 * np.sin(rows[:, None] + rows / 3)
    dark, light = np.array([0.72, 0.55, 0.46]), np.array([0.80, 0.66, 0.495])
    pixels = dark + bright[..., None] * (light - dark)
    pixels[:100], pixels[-100:] = (0.2, 0.3, 0.6), (0.2, 0.3, 0.6)
    return np.uint8(255 * pixels)


def by_points(pixels):
    """The share of orange points, point by point, as 4.1.1 tells it.

    Parameters
    ----------
    pixels : numpy.ndarray of uint8, (H, W, 3)

    Returns
    -------
    float
    """
    scaled = pixels / 255
    return ((LOW <= scaled) & (scaled <= HIGH)).all(axis=2).mean()


def by_convolution(pixels):
    """The same as a network: 1x1 convolutions and a global average.

    Six 1x1 kernels, one for each bound, give how far a point lies within it; a step makes it 0 or 1. A seventh over those six
    counts the bounds that hold: orange is where all do. The global average is the share of such points.

    Returns
    -------
    float
    """
    x = nd.array(pixels.transpose(2, 0, 1)[None], dtype='float64') / 255  # (1, 3, H, W)
    weights = nd.array(np.concatenate([np.eye(3), -np.eye(3)])[:, :, None, None], dtype='float64')
    biases = nd.array(np.concatenate([-LOW, HIGH]), dtype='float64')
    within = nd.Convolution(x, weights, biases, kernel=(1, 1), num_filter=6) >= 0  # (1, 6, H, W)
    held = nd.Convolution(within, nd.ones((1, 6, 1, 1), dtype='float64'), nd.array([-5.5], dtype='float64'), kernel=(1, 1),
                          num_filter=1)
    return nd.Pooling(held > 0, global_pool=True, pool_type='avg', kernel=(1, 1)).asscalar()


def fur(pixels):
    """Where a picture looks like orange fur, (H, W) of 0 or 1 (4.1.2).

    Fur is a texture: within 9x9 points brightness changes by small steps, everywhere and more in one direction than in any
    other, and the colour stays between red and yellow, paler than a flower's. Convolutions find all three: differences of
    neighbours, their squares averaged over a window, and averages of the colours.
    """
    scaled = nd.array(pixels.transpose(2, 0, 1)[None]) / 255
    gray = scaled.mean(axis=1, keepdims=True)
    window = nd.ones((1, 1, 9, 9)) / 81

    def average(planes):
        return nd.Convolution(planes, window, kernel=(9, 9), pad=(4, 4), num_filter=1, no_bias=True)

    def difference(kernel):
        return nd.Convolution(gray, nd.array([[kernel]]), kernel=(3, 3), pad=(1, 1), num_filter=1, no_bias=True)
    across, down = difference([[0, 0, 0], [-1, 0, 1], [0, 0, 0]]), difference([[0, -1, 0], [0, 0, 0], [0, 1, 0]])
    energy_across, energy_down, both = average(across ** 2), average(down ** 2), average(across * down)
    energy = energy_across + energy_down
    one_direction = nd.sqrt((energy_across - energy_down) ** 2 + 4 * both ** 2) / (energy + 1e-6)
    red, green, blue = (average(scaled[:, channel:channel + 1]) for channel in range(3))
    orange = (red > green * 1.1) * (green > blue * 1.1) * (red > 0.4) * (red < 1.7 * blue)
    return ((energy > 1e-3) * (energy < 2e-2) * (one_direction > 0.25) * orange).asnumpy()[0, 0]


def find_the_cat(run):
    """Sections 4.1.1 and 4.1.2: pictures judged by their colour and by their fur.

    Returns
    -------
    dict
        Shares of every picture, whether that is enough for a cat, and how far the convolution is from the points.
    """
    metrics, differences, pictures = {'points': _SIDE ** 2, 'numbers': 3 * _SIDE ** 2}, [], pictures_to_judge()
    figure, axes = figures.plt.subplots(3, len(pictures), figsize=(3.4 * len(pictures), 9), squeeze=False)
    for column, (name, pixels) in zip(axes.T, pictures.items()):
        points, furry = by_points(pixels), fur(pixels)
        differences.append(abs(by_convolution(pixels) - points))
        word = name.replace(' ', '_')
        metrics.update({f'{word}_orange': points, f'{word}_fur': furry.mean(), f'{word}_cat_by_colour': points > ENOUGH_COLOUR,
                        f'{word}_cat_by_fur': furry.mean() > ENOUGH_FUR})
        scaled = pixels / 255
        for axis, values, title in zip(column, (
                pixels, ((LOW <= scaled) & (scaled <= HIGH)).all(axis=2), furry), (
                name, f'orange: {points:.1%}', f'fur: {furry.mean():.1%}')):
            axis.imshow(values, cmap='gray')
            axis.set_title(title)
            axis.axis('off')
    figure.suptitle(figures.text('4.1.1, 4.1.2 An orange cat by its colour (10%) and by its fur (1%)', '用颜色和纹理找橘猫'))
    figure.tight_layout()
    run.save_figure(figure, 'cat')
    metrics['difference_points_convolution'] = max(differences)
    return metrics


EXPERIMENTS = [
    WorkedExample('4.1.1', 'An orange cat, found by its colour and by its fur', '用颜色与纹理找橘猫', function=find_the_cat,
                  book=figures_of(points=193600, numbers=580800),
                  remark='The book gives the colours and both thresholds; what is fur it leaves to the reader. By its colours '
                         "a flower is a cat and the cat none: the mistakes of figure 4-4."),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
