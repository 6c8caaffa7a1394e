"""What a generator makes: tiles, the film of its training, ways between codes, and the nearest training images."""
import numpy as np
from mxnet import nd
from PIL import Image

from chapters.kit.report import figures
from data_tools.atomic import atomic_path

_SECONDS = 12  # of a film, at most
_COMPARED = 10000  # training images


def tiles(images, columns=8):
    """Images in rows, one pixel between them.

    Parameters
    ----------
    images : numpy.ndarray, (N, C, H, W)
        From -1 to 1.
    columns : int

    Returns
    -------
    PIL.Image.Image
    """
    count, channels, height, width = images.shape
    rows = -(-count // columns)
    page = np.zeros((rows, height + 1, columns, width + 1, channels), np.uint8)
    pixels = np.clip(np.rint((images + 1) * 127.5), 0, 255).astype(np.uint8).transpose(0, 2, 3, 1)
    for number, image in enumerate(pixels):
        page[number // columns, :height, number % columns, :width] = image
    page = page.reshape(rows * (height + 1), columns * (width + 1), channels)[:-1, :-1]
    return Image.fromarray(page.squeeze() if channels == 1 else page)


def save_tiles(images, path, columns=8, enlarge=2):
    """`tiles` as a PNG file, each pixel drawn `enlarge` times as large."""
    page = tiles(images, columns)
    page = page.resize((page.width * enlarge, page.height * enlarge), Image.NEAREST)
    with atomic_path(path) as beside:
        page.save(beside)


def film(pictures, path):
    """Picture files as an animated GIF that lasts some seconds and rests on the last.

    At most 120 of them are shown.
    """
    pictures = [pictures[number] for number in np.unique(np.linspace(0, len(pictures) - 1, 120).round().astype(int))]
    frames = []
    for picture in pictures:
        with Image.open(picture) as image:
            frames.append(image.convert('P', palette=Image.ADAPTIVE) if image.mode == 'RGB' else image.copy())
    each = max(100, min(500, _SECONDS * 1000 // len(frames)))
    with atomic_path(path) as beside:
        frames[0].save(beside, format='GIF', save_all=True, append_images=frames[1:], loop=0,
                       duration=[each] * (len(frames) - 1) + [3000])


def variety(images, real):
    """How much images differ from one another, beside real ones.

    Parameters
    ----------
    images, real : numpy.ndarray, (N, C, H, W)

    Returns
    -------
    float
        Mean distance of an image to the nearest other, over the same of real images: 0 where all are alike,
        and also where they are copies of a few.
    """
    def nearest(x):
        distances = squared_distances(x.reshape(len(x), -1), x.reshape(len(x), -1))
        np.fill_diagonal(distances, np.inf)
        return np.sqrt(distances.min(axis=1)).mean()
    count = min(len(images), len(real))
    return float(nearest(images[:count]) / max(nearest(real[:count]), 1e-6))


def squared_distances(x, y):
    """(N, D), (M, D) -> (N, M)."""
    x, y = x.astype(np.float64), y.astype(np.float64)
    return np.maximum(0, np.square(x).sum(1)[:, None] + np.square(y).sum(1) - 2 * x @ y.T)


def nearest_classes(images, real, labels, neighbours=5):
    """The class of each image, or code, by the nearest known ones: a judge that need not be trained."""
    distances = squared_distances(images.reshape(len(images), -1), real.reshape(len(real), -1))
    votes = labels[np.argsort(distances, axis=1)[:, :neighbours]].astype(int)
    return np.array([np.bincount(row).argmax() for row in votes])


def by_neighbours(made, data):
    """Figures of samples (N, C, S, S) by their nearest training images, where no classifier is at hand.

    Returns
    -------
    dict
        'neighbours_agree': how often the ten nearest mostly are of one class, beside the same of test images;
        'smallest_share' and 'largest_share' of a class; 'distance': how far the nearest is, 1 being as far as from test
        images; 'variety' as the function of this name.
    """
    from chapters.ch08_gan.images import scaled
    real, labels = scaled(data.train_x[:5000]), data.train_y[:5000].astype(int)

    def nearest(images):
        distances = squared_distances(images.reshape(len(images), -1), real.reshape(len(real), -1))
        order = np.argsort(distances, axis=1)[:, :10]
        votes = np.stack([np.bincount(labels[row], minlength=len(data.class_names)) for row in order])
        return votes, np.sqrt(distances.min(axis=1)).mean()
    (votes, distance), (of_test, distance_of_test) = nearest(made), nearest(scaled(data.validation_x[:len(made)]))
    shares = np.bincount(votes.argmax(axis=1), minlength=votes.shape[1]) / len(made)
    return {'neighbours_agree': (votes.max(axis=1) >= 8).mean(),
            'neighbours_agree_of_test': (of_test.max(axis=1) >= 8).mean(), 'distance': distance / distance_of_test,
            'smallest_share': shares.min(), 'largest_share': shares.max(), 'variety': variety(made, real)}


def between(first, second, steps, spherical=True):
    """Codes on the way from one to another.

    On a straight line the codes in the middle are shorter than any that the generator has learnt from; on the
    great circle they are not.

    Parameters
    ----------
    first, second : numpy.ndarray, (codes,)
    steps : int
        Codes, both ends included.
    spherical : bool

    Returns
    -------
    numpy.ndarray, (steps, codes)
    """
    t = np.linspace(0, 1, steps)[:, None]
    if not spherical:
        return (1 - t) * first + t * second
    cosine = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    angle = np.arccos(np.clip(cosine, -1, 1))
    if np.sin(angle) < 1e-6:
        return (1 - t) * first + t * second
    return (np.sin((1 - t) * angle) * first + np.sin(t * angle) * second) / np.sin(angle)


def generate(generator, codes, device, batch=64):
    """Images (N, C, H, W) from -1 to 1, made of codes (N, codes) in batches of one size."""
    made = []
    for start in range(0, len(codes), batch):
        part = codes[start:start + batch]
        made.append(generator(nd.array(np.resize(part, (batch,) + part.shape[1:]), device)).asnumpy()[:len(part)])
    return np.concatenate(made)


def draw_all(run, network, history, fixed):
    """All pictures of a run; returns figures: the distance to the nearest training images."""
    generator, device, codes = network.generator, run.devices[0], fixed.asnumpy()
    figure_folder = run.folder / 'figures'
    figure_folder.mkdir(exist_ok=True)
    made = generate(generator, codes, device)
    save_tiles(made, figure_folder / 'samples.png')
    film(sorted((run.folder / 'samples').glob('epoch-*.png')), figure_folder / 'film.gif')
    for name, spherical in (('spherical', True), ('linear', False)):
        rows = [between(codes[2 * row], codes[2 * row + 1], 10, spherical) for row in range(6)]
        save_tiles(generate(generator, np.concatenate(rows), device), figure_folder / f'between-{name}.png', 10)
    _draw_arithmetic(run, generator, codes)
    if len(history) > 1:
        run.save_figure(_curves(run, history), 'curves')
    return _draw_nearest(run, made[:12])


def _draw_arithmetic(run, generator, codes):
    """8.2.2: a - b + c, in code and image; below it what the same sum of the images would be."""
    a, b, c = codes[:6], codes[6:12], codes[12:18]
    total = a - b + c
    total *= np.linalg.norm(a, axis=1, keepdims=True) / np.linalg.norm(total, axis=1, keepdims=True)
    parts = [generate(generator, part, run.devices[0]) for part in (a, b, c, total)]
    parts.append(np.clip(parts[0] - parts[1] + parts[2], -1, 1))
    figure, axis = _page(np.concatenate(parts), 6)
    for row, title in enumerate(('a', 'b', 'c', 'a - b + c\nof codes', 'a - b + c\nof pixels')):
        axis.text(-3, (row + 0.5) * (parts[0].shape[2] + 1), title, ha='right', va='center')
    axis.set_title(figures.text('8.2.2 Arithmetic on codes', '编码的加减'))
    run.save_figure(figure, 'arithmetic')


def _draw_nearest(run, made):
    """Is it copying? Each sample over the training images nearest to it, pixel by pixel."""
    real = run.data.train_x[:_COMPARED]
    flat = real.reshape(len(real), -1).astype(np.float32) / 127.5 - 1
    distances = squared_distances(made.reshape(len(made), -1), flat)
    order = distances.argsort(axis=1)[:, :3]
    nearest = np.sqrt(np.take_along_axis(distances, order[:, :1], 1).mean() / flat.shape[1])
    others = squared_distances(flat[:len(made)], flat[len(made):]).min(axis=1)
    among_real = np.sqrt(others.mean() / flat.shape[1])
    below = [real[row].astype(np.float32) / 127.5 - 1 for row in order.T]
    figure, axis = _page(np.concatenate([made, *below]), len(made))
    for (column, row), number in np.ndenumerate(order):
        axis.text(column * (made.shape[3] + 1), (row + 1) * (made.shape[2] + 1), va='top', fontsize=7, color='yellow',
                  s=f'{np.sqrt(distances[column, number] / flat.shape[1]):.2f}')
    axis.set_title(figures.text('Samples, and the nearest training images below them',
                                '样本（上）与最接近的训练图像（下）'))
    run.save_figure(figure, 'nearest')
    return {'nearest_training_image': nearest, 'nearest_of_real_images': among_real}


def draw_rows(run, name, rows, titles, title):
    """`figures/NAME.png`: rows of images (N, C, S, S) from -1 to 1, each with its title on the left."""
    count, side = len(rows[0]), rows[0].shape[2]
    figure, axis = figures.plt.subplots(figsize=(count * 0.6 + 2, len(rows) * 0.6 + 0.4))
    axis.imshow(tiles(np.concatenate(rows), count), cmap='gray', vmin=0, vmax=255, interpolation='nearest')
    axis.axis('off')
    for number, words in enumerate(titles):
        axis.text(-0.12 * side, (number + 0.5) * (side + 1), words, ha='right', va='center', fontsize=8)
    axis.set_title(title, fontsize=10)
    figure.tight_layout()
    run.save_figure(figure, name)


def _page(images, columns):
    """(figure, axes) with `tiles` of images (N, C, H, W) from -1 to 1, an inch a tile."""
    figure, axis = figures.plt.subplots(figsize=(columns, len(images) // columns + 0.5))
    axis.imshow(tiles(images, columns), cmap='gray', vmin=0, vmax=255, interpolation='nearest')
    axis.axis('off')
    return figure, axis


def _curves(run, history):
    figure, axes = figures.plt.subplots(1, 3, figsize=(13.8, 3.8))
    epochs = [row['epoch'] for row in history]
    for axis, title, names in ((axes[0], 'loss', ('d_loss', 'g_loss')),
                               (axes[1], 'accuracy of D', ('accuracy_real', 'accuracy_made')),
                               (axes[2], 'variety of samples', ('variety',))):
        for name in names:
            axis.plot(epochs, [row[f'train_{name}'] for row in history], label=name.replace('_', ' '))
        axis.set(title=title, xlabel='epoch')
        axis.grid(alpha=0.3)
        axis.legend(fontsize=8)
    experiment = run.experiment
    figure.suptitle(figures.text(f'{experiment.section} {experiment.title}', experiment.title_zh)
                    + f'\n{run.data_name}, seed {run.seed}')
    figure.tight_layout()
    return figure
