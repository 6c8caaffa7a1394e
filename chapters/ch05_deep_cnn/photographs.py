"""Section 5.2: what a network of photographs looks at: SqueezeNet, taught by ImageNet, on a cat, a cup of coffee, a rocket.

The book shows AlexNet; SqueezeNet is as accurate and fits into 5 MB.

    python -m chapters run 5.2-photographs
"""
import numpy as np
from mxnet import nd
from scipy.ndimage import gaussian_filter

from chapters.ch05_deep_cnn.from_imagenet import pooled
from chapters.ch05_deep_cnn.pretrained import class_names
from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
from chapters.kit.data.pictures import cut, photographs
from chapters.kit.experiment import WorkedExample
from chapters.kit.inside import looking
from chapters.kit.report import figures
from chapters.script import run_script

_SIDE = 224
_SHOWN = ('chelsea', 'coffee', 'rocket')
_FIRST, _MIDDLE, _DEEP = 'features.0', 'features.5.expand3', 'features.11.expand3'


def sample(pixels):
    """The middle of a picture as the network takes it, float32 (3, 224, 224)."""
    return (cut(pixels, _SIDE, _SIDE).transpose(2, 0, 1) / 255).astype(np.float32)


def parts(pictures, each):
    """Squares cut out of pictures at random, of a half to the whole of their shorter side.

    Returns
    -------
    (images float32 (N, 3, 224, 224), names list of str)
    """
    random, images, names = np.random.default_rng(0), [], []
    for name, pixels in pictures.items():
        height, width = pixels.shape[:2]
        for _ in range(each):
            side = int(random.integers(min(height, width) // 2, min(height, width) + 1))
            top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
            images.append(sample(pixels[top:top + side, left:left + side]))
            names.append(name)
    return np.stack(images), names


def look_at_photographs(run, each=8, steps=100):
    """All of section 5.2, picture by picture.

    Parameters
    ----------
    run : Run
    each : int
        Squares cut out of every picture, for patches and for t-SNE.
    steps : int
        With which a picture is made for a unit.

    Returns
    -------
    dict
        How sure the network is of its answers, and the share of activations that are 0, layer by layer.
    """
    network = SqueezeNet('1.1', prefix='squeezenet_')
    network.initialize(ctx=run.devices[0])
    network(nd.zeros((1, 3, _SIDE, _SIDE)))
    network.load_zoo()
    names, pictures = class_names(), photographs()
    shown = {name: sample(pictures[name]) for name in (*_SHOWN, 'temple', 'flower') if name in pictures}
    shown = dict(list(shown.items())[:3])
    images, owners = parts(pictures, each)
    metrics = {}
    answers = {name: nd.softmax(network(nd.array(image[None])))[0].asnumpy() for name, image in shown.items()}
    for name, probabilities in answers.items():
        best = probabilities.argmax()
        run.say(f'{name}: {names[best]} {probabilities[best]:.1%}')
        metrics[f'{name}_answer'], metrics[f'{name}_confidence'] = best, probabilities[best]
    metrics.update(_draw_activations(run, network, shown))
    _draw_kernels(run, network)
    _draw_heat(run, network, shown, answers, names)
    _draw_units(run, network, images)
    _draw_connections(run, network, images)
    _draw_made(run, network, images, steps)
    _draw_t_sne(run, network, images)
    return metrics


def _draw_activations(run, network, shown):
    """Figure 5-6: planes of an early and of a late layer; returns the shares of zeros."""
    metrics = {}
    for name, image in shown.items():
        for layer in (_FIRST, _MIDDLE, _DEEP):
            planes = looking.activations(network, image[None], layer)[0]
            metrics[f'{name}_zeros_in_{layer}'] = (planes == 0).mean()
    name, image = next(iter(shown.items()))
    for layer, words in ((_FIRST, 'first'), (_DEEP, 'late')):
        planes = looking.activations(network, image[None], layer)[0][:64]
        title = f'{name}: activations of {layer}, {metrics[f"{name}_zeros_in_{layer}"]:.0%} are 0'
        run.save_figure(figures.image_grid(planes / max(planes.max(), 1e-6), columns=16, size=0.75,
                                           title=figures.text(title, '激活值')), f'activations-{words}')
    return metrics


def _draw_kernels(run, network):
    """Figure 5-7: kernels of the first layer, gray ones first, coloured ones after them."""
    weights = looking.kernels(network, _FIRST)
    colour = weights.std(axis=1).mean(axis=(1, 2)) / (np.abs(weights).mean(axis=(1, 2, 3)) + 1e-9)
    order = np.argsort(colour)
    scaled = np.stack([looking.scaled(kernel) for kernel in weights[order]])
    run.save_figure(figures.image_grid(scaled, columns=16, size=0.75, title=figures.text(
        f'kernels of {_FIRST}, from gray to coloured', '卷积核：从灰度到彩色')), 'kernels')


def _draw_heat(run, network, shown, answers, names):
    """Figures 5-11, 5-12 and 4-38: occlusion, SmoothGrad, and the map of the class before the global average."""
    figure, axes = figures.plt.subplots(len(shown), 4, figsize=(12, 3.1 * len(shown)), squeeze=False)
    for row, (name, image) in zip(axes, shown.items()):
        answer = int(answers[name].argmax())
        maps = {f'{names[answer]} {answers[name][answer]:.0%}': None,
                figures.text('occlusion', '遮挡'): looking.occlusion(network, image, answer, size=48, stride=16),
                'SmoothGrad': gaussian_filter(looking.smooth_grad(network, image, answer, samples=25), 2),
                figures.text('map of the class', '分类图'): looking.activations(network, image[None], 'output')[0, answer]}
        for axis, (title, heat) in zip(row, maps.items()):
            axis.imshow(image.transpose(1, 2, 0), extent=(0, _SIDE, _SIDE, 0))
            if heat is not None:
                top = np.percentile(heat, 99.5) if title == 'SmoothGrad' else heat.max()
                axis.imshow(heat, cmap='inferno', alpha=0.65, extent=(0, _SIDE, _SIDE, 0), vmax=top, interpolation='bilinear')
            axis.set_title(title, fontsize=9)
            axis.axis('off')
    figure.suptitle(figures.text('5.2 Where the network looks', '网络看哪里'))
    figure.tight_layout()
    run.save_figure(figure, 'heat')


def _units(network, layer, images, count):
    """Channels of a layer that answer strongly, and to few images only."""
    peaks = looking.activations(network, images, layer).max(axis=(2, 3))  # (N, channels)
    return np.argsort(-(peaks.max(axis=0) - 2 * np.median(peaks, axis=0)))[:count]


def _draw_units(run, network, images, count=4, patches=5):
    """Figures 5-8 and 5-9: for some units of three layers, the patches that most excite them, and the way back from there."""
    for layer, words in ((_FIRST, 'first'), (_MIDDLE, 'middle'), (_DEEP, 'late')):
        shown, captions = [], []
        for unit in _units(network, layer, images, count):
            found = looking.most_exciting(network, images, layer, int(unit), patches)
            for which, value, where in found:
                shown.append(images[which][(slice(None), *where)])
                captions.append(f'unit {unit}: {value:.2g}')
            for which, _, where in found:
                back = looking.going_back(network, images[which], layer, int(unit))[(slice(None), *where)]
                back = gaussian_filter(back, (0, 0.7, 0.7))  # the first stride of 2 leaves a grid
                shown.append(np.clip(0.5 + back / (2 * np.percentile(np.abs(back), 99) + 1e-9), 0, 1))
                captions.append('')
        run.save_figure(figures.image_grid(shown, captions, columns=2 * patches, size=1.1, title=figures.text(
            f'{layer}: patches that most excite a unit, and what in them does', '神经元的识别目标')), f'units-{words}')


def _draw_connections(run, network, images, count=4, patches=3):
    """Figure 5-14: units of a late layer, and the units of the squeezed layer before them to which they are tied most."""
    before = _DEEP.replace('expand3', 'squeeze')
    figure, axes = figures.plt.subplots(count, 5, figsize=(11, 2.5 * count))
    for row, unit in zip(axes, _units(network, _DEEP, images, count)):
        weights = looking.connections(network, _DEEP, int(unit))
        strongest = [*np.argsort(-weights)[:2], *np.argsort(weights)[:2]]
        row[0].set_ylabel(f'unit {unit}')
        for axis, (layer, number, title) in zip(row, [(_DEEP, unit, f'{_DEEP}\nunit {unit}'), *(
                (before, other, f'{before}\nunit {other}: {weights[other]:+.2f}') for other in strongest)]):
            found = looking.most_exciting(network, images, layer, int(number), patches)
            strip = np.concatenate([sample(np.uint8(255 * images[which][(slice(None), *where)].transpose(1, 2, 0)))[:, ::2, ::2]
                                    for which, _, where in found] or [np.ones((3, 112, 112))], axis=2)
            axis.imshow(strip.transpose(1, 2, 0))
            axis.set(title=title, xticks=[], yticks=[])
            axis.title.set_fontsize(8)
    figure.suptitle(figures.text('5.2 A unit, and the units that speak most for it and against it', '神经元之间的连接权重'))
    figure.tight_layout()
    run.save_figure(figure, 'connections')


def _draw_made(run, network, images, steps):
    """Figure 5-15: pictures made to excite units of three layers, and classes. The book's come from a generator (a GAN)."""
    shown, captions = [], []
    for layer in (_FIRST, _MIDDLE, _DEEP):
        for unit in _units(network, layer, images, 4):
            picture, before, after = looking.exciting_picture(network, layer, int(unit), (3, 112, 112), steps)
            shown.append(picture)
            captions.append(f'{layer} {unit}\n{before:.2g} to {after:.2g}')
    for answer in (281, 967, 310, 985):  # classes of ImageNet: tabby, espresso, grasshopper, daisy
        picture, before, after = looking.exciting_picture(network, 'output', answer, (3, 192, 192), steps)
        shown.append(picture)
        sure = nd.softmax(network(nd.array(picture[None])))[0, answer].asscalar()
        captions.append(f'class {answer}, sure {sure:.0%}\n{before:.2g} to {after:.2g}')
    run.save_figure(figures.image_grid(shown, captions, columns=4, size=2.2, title=figures.text(
        'Pictures made to excite a unit', '为激活神经元而生成的图像')), 'made')


def _draw_t_sne(run, network, images):
    """Figure 5-13: the parts of all pictures, near each other where the last hidden layer sees them alike."""
    points = looking.on_a_plane(pooled(network, images), perplexity=8)
    low, high = np.percentile(points, (3, 97), axis=0)
    points = np.clip(points, low - (high - low) / 8, high + (high - low) / 8)  # some few fly far away: at the border
    figure, axis = figures.plt.subplots(figsize=(10, 10))
    span = np.ptp(points, axis=0).max()
    for image, (x, y) in zip(images, points):
        half = span / 34
        axis.imshow(image[:, ::4, ::4].transpose(1, 2, 0), extent=(x - half, x + half, y - half, y + half))
    axis.set(xlim=(points[:, 0].min() - span / 20, points[:, 0].max() + span / 20), aspect='equal', xticks=[], yticks=[],
             ylim=(points[:, 1].min() - span / 20, points[:, 1].max() + span / 20))
    axis.set_title(figures.text('5.2 t-SNE of parts of the pictures', 't-SNE 聚类'))
    run.save_figure(figure, 't-sne')


EXPERIMENTS = [
    WorkedExample('5.2-photographs', 'Looking inside SqueezeNet: a cat, a cup of coffee, a rocket',
                  '观察 SqueezeNet 内部：猫、咖啡、火箭', function=look_at_photographs,
                  remark="The book looks into AlexNet, one with 64 units in conv1; 5.1.1's, with 96, is another. Figure 5-15 "
                         "is by a generator; our pictures excite units of early layers, of late ones not yet."),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
