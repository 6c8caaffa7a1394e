"""Sections 8.2.1 and 8.2.2: what pixels do not say of an image, and what codes do.

    python -m chapters.ch08_gan.semantics

The generator is a run of 8.3 or one that comes along; the classifier is a run of 4.4.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from chapters.ch08_gan import samples
from chapters.ch08_gan.codes import exported
from chapters.ch08_gan.images import scaled, to_size
from chapters.ch08_gan.scores import Judge
from chapters.ch08_gan.strokes import stroke_width
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.errors import UserError
from data_tools.image_sets import Packs, find

_SIDE = 32
_LEVELS = 4


def real_digits(run, data):
    """Training and test images (N, 1, 32, 32) from -1 to 1 of a set of gray images, and the labels of the latter."""
    found = find(data, run.config['data_root'] or None)
    if isinstance(found, Packs) or found.train_images.shape[1] != 1:
        raise UserError(f'data={data}: takes sets of gray images that are no packs, such as digits or mnist')
    train, test = (scaled(to_size(images[:10000], _SIDE)) for images in (found.train_images, found.test_images))
    return train, test, found.test_labels[:10000].astype(int)


class Patches:
    """How usual the 3x3 patches of images are, counted in real images (N, 1, S, S) in four levels of gray.

    Calling it gives minus the sum of the logarithms of the frequencies of an image's patches, in nats: (N,).
    """
    def __init__(self, images):
        counts = np.bincount(self._numbers(images).ravel(), minlength=_LEVELS ** 9) + 0.5
        self._nats = -np.log(counts / counts.sum())

    def __call__(self, images):
        return self._nats[self._numbers(images)].sum(axis=(1, 2))

    @staticmethod
    def _numbers(images):
        levels = np.clip((images[:, 0] + 1) / 2 * _LEVELS, 0, _LEVELS - 1).astype(int)
        side = images.shape[2] - 2
        return sum(_LEVELS ** (3 * down + right) * levels[:, down:down + side, right:right + side]
                   for down in range(3) for right in range(3))


def one_pixel(images, patches):
    """Figure 8-3: every image with one pixel made white, where that is least strange, and where it is strangest.

    Only pixels that are black will do, and away from the edge, so that both copies are at the same squared distance
    from the image.

    Parameters
    ----------
    images : numpy.ndarray, (N, 1, S, S)
    patches : Patches

    Returns
    -------
    (numpy.ndarray, numpy.ndarray), each (N, 1, S, S)
    """
    near, far = images.copy(), images.copy()
    for number, image in enumerate(images):
        black = 2 + np.argwhere(image[0, 2:-2, 2:-2] <= -1)
        copies = np.repeat(image[None], len(black), axis=0)
        copies[np.arange(len(black)), 0, black[:, 0], black[:, 1]] = 1
        strange = patches(copies)
        near[number], far[number] = copies[strange.argmin()], copies[strange.argmax()]
    return near, far


def pixels_and_realism(run, data='digits'):
    """8.2.1: (X + Y) / 2 of real images is none; and of equal squared errors one is seen at once, the other is not.

    Returns
    -------
    dict
        How strange real test images and (X + Y) / 2 are by their patches, in nats an image; the squared error of two
        changes of one pixel, and how many nats each adds.
    """
    random = np.random.default_rng(run.seed)
    train, test, labels = real_digits(run, data)
    pairs = random.integers(0, len(test), (2, 2000))
    x, y = (test[numbers[labels[pairs[0]] != labels[pairs[1]]][:1000]] for numbers in pairs)
    middle = (x + y) / 2
    patches = Patches(train)
    some = test[random.permutation(np.flatnonzero(labels == 7))[:8]]
    near, far = one_pixel(some, patches)
    errors = [float(np.square(images - some).mean()) for images in (near, far)]
    nats = [float((patches(images) - patches(some)).mean()) for images in (near, far)]
    of_real, of_middle = patches(test).mean(), patches(middle).mean()
    titles = (f'X\n{of_real:.0f} nats', f'(X + Y) / 2\n{of_middle:.0f} nats', 'Y', 'X',
              *(f'MSE {error:.4f}\n{more:+.1f} nats' for error, more in zip(errors, nats)))
    samples.draw_rows(run, 'pixels', [x[:8], middle[:8], y[:8], some, near, far], titles,
          figures.text('8.2.1 What pixels do not say', '像素说明不了的'))
    return {'nats_of_real': of_real, 'nats_of_means': of_middle, 'mse_near': errors[0], 'mse_far': errors[1],
            'nats_added_near': nats[0], 'nats_added_far': nats[1]}


def find_codes(generator, images, random, numbers=100, starts=8, updates=100, rate=0.1):
    """Codes whose images are nearest to given ones, by gradient descent from several starts; of each the best.

    The generator's own codes are normally distributed, and about as long as the root of their number: longer ones are
    brought back to that length.

    Parameters
    ----------
    generator : callable
        (N, numbers) -> (N, C, S, S).
    images : numpy.ndarray, (N, C, S, S)
    random : numpy.random.Generator

    Returns
    -------
    (numpy.ndarray (N, numbers), numpy.ndarray (N,))
        The codes, and the squared error of a pixel that is left.
    """
    wanted = nd.array(np.repeat(images, starts, axis=0))
    z = nd.array(random.standard_normal((len(wanted), numbers)))
    z.attach_grad()
    mean, square = nd.zeros_like(z), nd.zeros_like(z)
    for update in range(updates):
        with autograd.record(train_mode=False):
            error = nd.square(generator(z) - wanted).mean(axis=(1, 2, 3))
        error.backward(train_mode=False)
        slope = 1 - update / updates
        nd.adam_update(z, z.grad, mean, square, lr=rate * slope, beta1=0.9, beta2=0.99, epsilon=1e-8, out=z)
        length = nd.norm(z, axis=1, keepdims=True)
        z[:] = z * nd.minimum(1, numbers ** 0.5 / length)
    errors = nd.square(generator(z) - wanted).mean(axis=(1, 2, 3)).asnumpy().reshape(len(images), starts)
    best = errors.argmin(axis=1)
    codes = z.asnumpy().reshape(len(images), starts, numbers)
    return codes[np.arange(len(images)), best], errors.min(axis=1)


def codes_of_images(run, generator='zoo:8.3', data='digits', judge='zoo:4.4', updates=100):
    """8.2.2: codes of two given images found by descent, and the images on the way from one code to the other.

    Returns
    -------
    dict
        Squared error of the images found, and beside it that of one sample drawn for each; the judge's confidence half-way
        between the codes, and half-way between the images.
    """
    random, judge, generator = np.random.default_rng(run.seed), Judge(judge), exported(generator)
    _, test, labels = real_digits(run, data)
    chosen = np.concatenate([random.permutation(np.flatnonzero(labels == label))[:1] for label in range(10)])
    images = test[random.permutation(chosen)]
    codes, errors = find_codes(generator, images, random, updates=updates)
    drawn = samples.generate(generator, random.standard_normal(codes.shape).astype(np.float32), mx.cpu())
    ways = [samples.between(codes[number], codes[number + 1], 9) for number in range(0, len(codes), 2)]
    made = samples.generate(generator, np.concatenate(ways).astype(np.float32), mx.cpu()).reshape(-1, 9, *images.shape[1:])
    rows = [np.concatenate([images[2 * number:2 * number + 1], way, images[2 * number + 1:2 * number + 2]])
            for number, way in enumerate(made)]
    pixels = (images[::2] + images[1::2]) / 2
    samples.draw_rows(run, 'ways', rows, [''] * len(rows), figures.text(
        '8.2.2 Given images (left, right), and between them the way of their codes', '给定的图像（两端）与编码之间的路'))
    return {'mse_found': errors.mean(), 'mse_drawn': np.square(drawn - images).mean(),
            'confidence_half_way': float(judge(made[:, 4])[0].max(axis=1).mean()),
            'confidence_in_means': float(judge(pixels)[0].max(axis=1).mean())}


def arithmetic(run, generator='zoo:8.3', judge='zoo:4.4', count=1500):
    """8.2.2: averaged codes of an attribute, and what adding their difference does.

    The attribute is how thick the strokes are; it is measured in images that the generator has made. First the mean code
    of thick digits minus that of thin ones is added to other codes. Then, as in figure 8-10, of one digit minus that,
    plus another: "thick 7" - "thin 7" + "thin 3".

    Returns
    -------
    dict
        Stroke width before and after; how often the digit stays what it was; of the sums of mean codes, how often the
        digit is the last one's, and how wide its strokes are beside its thin ones'.
    """
    random, judge, generator = np.random.default_rng(run.seed), Judge(judge), exported(generator)
    codes = random.standard_normal((count, 100)).astype(np.float32)
    made = samples.generate(generator, codes, mx.cpu(), 250)
    widths, digits = stroke_width(made), judge(made)[0].argmax(axis=1)
    thick, thin = widths >= np.quantile(widths, 0.8), widths <= np.quantile(widths, 0.2)
    direction = codes[thick].mean(axis=0) - codes[thin].mean(axis=0)
    others = random.standard_normal((400, 100)).astype(np.float32)
    steps = direction * 2 / np.linalg.norm(direction)  # two standard deviations of one number of a code
    moved = [samples.generate(generator, others + share * steps, mx.cpu(), 250) for share in (-2, -1, 0, 1, 2)]
    read = [judge(images)[0].argmax(axis=1) for images in moved]
    samples.draw_rows(run, 'thickness', [images[:10] for images in moved], ('-2', '-1', '0', '+1', '+2'),
          figures.text('8.2.2 Codes plus the direction "thick - thin"', '编码加上“粗减细”的方向'))

    def mean_code(digit, attribute):
        chosen = (digits == digit) & (attribute >= np.quantile(attribute[digits == digit], 0.7))
        return codes[chosen].mean(axis=0) if chosen.any() else np.zeros(100, np.float32)
    present = [digit for digit in range(10) if (digits == digit).sum() >= 10]
    pairs = [(a, b) for a in present for b in present if a != b]
    terms = [np.stack([mean_code(digit, sign * widths) for digit in order]) for order, sign in (
        ([a for a, _ in pairs], 1), ([a for a, _ in pairs], -1), ([b for _, b in pairs], -1))]
    total = terms[0] - terms[1] + terms[2]
    # A mean of many codes is short, and the generator has learnt from long ones only.
    parts = [samples.generate(generator, (part * 10 / np.linalg.norm(part, axis=1, keepdims=True)).astype(np.float32),
                              mx.cpu()) for part in (*terms, total)]
    answers = judge(parts[3])[0].argmax(axis=1)
    shown = random.permutation(len(pairs))[:10]
    samples.draw_rows(run, 'sums', [part[shown] for part in parts], ('thick a', 'minus thin a', 'plus thin b', '= thick b?'),
          figures.text('8.2.2 Arithmetic on mean codes', '平均编码的加减'))
    thin_b, sums = stroke_width(parts[2]).mean(), stroke_width(parts[3]).mean()
    return {**{f'stroke_width_at_{share:+d}': stroke_width(images).mean()
               for share, images in zip((-2, -1, 0, 1, 2), moved)},
            'digit_kept_at_+1': (read[3] == read[2]).mean(), 'digit_kept_at_-1': (read[1] == read[2]).mean(),
            'sums_are_the_digit': (answers == [b for _, b in pairs]).mean(),
            'stroke_width_of_thin': thin_b, 'stroke_width_of_sums': sums}


EXPERIMENTS = [
    WorkedExample('8.2.1', 'What pixels do not say: means of images, and equal errors',
                  '像素说明不了的：图像的平均与相等的误差', function=pixels_and_realism),
    WorkedExample('8.2.2', 'Codes of given images, and the way between them', '给定图像的编码，与两个编码之间的路',
                  function=codes_of_images),
    WorkedExample('8.2.2-arithmetic', 'Arithmetic on mean codes: thick minus thin', '平均编码的加减：粗减细',
                  function=arithmetic),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
