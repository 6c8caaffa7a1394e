"""Section 5.8: one network for one style, which turns a picture at once into what 5.8 finds in many steps.

    python -m chapters run 5.8-fast --set style=PAINTING.jpg --set photographs=FOLDER
    python -m chapters style photo.jpg runs/5.8-fast            # or zoo:5.8-fast, which comes along

Johnson, Alahi, Fei-Fei, "Perceptual losses for real-time style transfer and super-resolution", 2016
(https://arxiv.org/abs/1603.08155); instance normalisation: Ulyanov, Vedaldi, Lempitsky (https://arxiv.org/abs/1607.08022);
enlarging by nearest points before a convolution: Odena, Dumoulin, Olah, "Deconvolution and checkerboard artifacts", 2016.
"""
import time
from pathlib import Path

import cv2
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn

from chapters.ch05_detection_style.style import Transfer, base_of, image_of, picture_of
from chapters.kit.data.pictures import photographs as photographs_at_hand
from chapters.kit.data.pictures import read_all, read_picture
from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.trained.export import trained_graph
from chapters.kit.trained.run import read_config
from chapters.kit.trained.zoo import results_folder
from chapters.kit.training.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.script import run_script
from data_tools.atomic import atomic_path, make_folder
from data_tools.errors import UserError

STRIDE = 4  # sides of pictures are multiples of it
_SHOWN = 'temple', 'flower', 'chelsea', 'coffee', 'rocket'
_MOST_PIXELS = 2048


class StyleUnit(gluon.HybridBlock):
    """A residual unit: twice reflection padding, C3x3, instance normalisation; ReLU between them.

    Parameters
    ----------
    filters : int
    norm : type
        As `StyleNet` has it.
    """
    def __init__(self, filters, norm=nn.InstanceNorm, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            self.body.add(*_convolution(filters, 3, norm), nn.Activation('relu'), *_convolution(filters, 3, norm))

    def hybrid_forward(self, F, x):
        return x + self.body(x)


class Enlarge(gluon.HybridBlock):
    """Each point four times: (N, C, H, W) -> (N, C, 2 H, 2 W)."""
    def hybrid_forward(self, F, x):
        return F.depth_to_space(F.concat(x, x, x, x, dim=1), block_size=2)  # ONNX, as MXNet writes it, has no UpSampling


class StyleNet(gluon.HybridBlock):
    """C9x9, two C3x3 of stride 2, residual units, twice enlarged before a C3x3, C3x3 to three planes.

    The paper's last convolution is of 9x9: on a CPU its gradient takes a third of the time of all others.

    Parameters
    ----------
    filters : tuple of int
        Of the first three convolutions; the paper has 32, 64, 128.
    units : int
    norm : type
        `nn.BatchNorm` to learn from one picture at a time: over one picture it is the same, and ten times faster.

    Input (N, 3, H, W), pixels from 0 to 1, sides that are multiples of 4; output likewise.
    """
    def __init__(self, filters=(32, 64, 128), units=5, norm=nn.InstanceNorm, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.body = nn.HybridSequential()
            for number, more in enumerate(filters):
                self.body.add(*_convolution(more, 3 if number else 9, norm, 2 if number else 1), nn.Activation('relu'))
            for _ in range(units):
                self.body.add(StyleUnit(filters[-1], norm))
            for fewer in filters[-2::-1]:
                self.body.add(Enlarge(), *_convolution(fewer, 3, norm), nn.Activation('relu'))
            self.body.add(nn.ReflectionPad2D(1), nn.Conv2D(3, 3))

    def hybrid_forward(self, F, x):
        return F.sigmoid(self.body(2 * x - 1))


def _convolution(filters, kernel, norm, stride=1):
    """Reflection padding, for zeros at the border would be seen in the picture; a convolution; normalisation."""
    return (nn.ReflectionPad2D(kernel // 2), nn.Conv2D(filters, kernel, stride, use_bias=False), norm())


def crops(pictures, size, number, random):
    """Squares out of pictures, of any size from `size` pixels on, mirrored or not.

    Parameters
    ----------
    pictures : list of numpy.ndarray of uint8, (H, W, 3)
    size, number : int
    random : numpy.random.Generator

    Returns
    -------
    numpy.ndarray of float32, (number, 3, size, size)
        From 0 to 1.
    """
    found = []
    for picture in (pictures[which] for which in random.integers(0, len(pictures), number)):
        height, width = picture.shape[:2]
        side = int(round(min(height, width) * random.uniform(min(1.0, size / min(height, width)), 1)))
        top, left = random.integers(0, height - side + 1), random.integers(0, width - side + 1)
        square = cv2.resize(picture[top:top + side, left:left + side], (size, size), interpolation=cv2.INTER_AREA)
        found.append(square[:, ::-1] if random.integers(2) else square)
    return np.array(found).transpose(0, 3, 1, 2).astype(np.float32) / 255


def learn_style(run, style='starry_night', photographs='', size=128, style_size=256, rounds=8, updates=400, batch=1,
                filters='16 32 64', units=5, content_weight=0.15, learning_rate=0.002, network='squeezenet'):
    """Train a `StyleNet` for one style, by the losses of 5.8; the run goes on from its checkpoint.

    Parameters
    ----------
    run : Run
    style : str
        An image file, or the name of a picture at hand.
    photographs : str
        A folder of images to learn from; empty: those at hand.
    size : int
        Of the squares that it learns from, in pixels.
    style_size : int
        Of the longer side of the picture with the style: strokes look larger the smaller `size` is beside it.
    rounds, updates, batch : int
        So many times so many updates by so many squares.
    filters : str
        Of the first three convolutions: an eighth of the paper's operations with '16 32 64'.
    units : int
    content_weight : float
        alpha, where beta is 1. More than 5.8 needs: what is lost on the way through the network, it has to find again.
    learning_rate : float
        Of Adam; it falls to zero.
    network : str
        Whose planes are compared: 'squeezenet', a run folder or `zoo:NAME`.

    Returns
    -------
    (dict, list of dict)
        Losses of the last round, seconds that a picture of 256x256 takes; and a row for every round.
    """
    widths = _checked(size, filters)
    loss = Transfer(*base_of(network), None, picture_of(style, style_size), content_weight)
    pictures = _pictures(photographs, style)
    seed_everything(run.seed)
    made = StyleNet(widths, units, nn.BatchNorm, prefix='style_')
    made.initialize(init.Xavier())
    made(nd.zeros((1, 3, size, size)))
    made.hybridize(static_alloc=True)
    made.collect_params().setattr('grad_req', 'add')
    trainer = gluon.Trainer(made.collect_params(), 'adam', {'learning_rate': learning_rate}, kvstore=None)

    def train(epoch, random):
        totals = np.zeros(2)
        for update in tqdm(range(updates), run.label(epoch), leave=False, disable=None):
            done = (epoch + update / updates) / rounds
            trainer.set_learning_rate(learning_rate * (1 - done))
            for image in crops(pictures, size, batch, random):
                loss.take(image)
                with autograd.record():
                    content, look = loss.parts(made(nd.array(image[None])))
                    total = content + look
                total.backward()  # gradients of a batch add up
                totals += content.asscalar(), look.asscalar()
            trainer.step(batch)
            made.collect_params().zero_grad()
        content, look = totals / (updates * batch)
        return {'samples': updates * batch, 'learning_rate': trainer.learning_rate, 'train_content_loss': content,
                'train_style_loss': look}

    def arrays():
        return {**model_arrays(made), **{f'optimizer:{name}': array
                                         for name, array in optimizer_arrays(trainer._updaters[0]).items()},
                'updates': nd.array([trainer._optimizer.num_update], dtype='int64')}

    def restore(kept, epochs):
        restore_model(kept, made)
        restore_optimizer(kept, trainer._updaters[0],
                          {index: parameter.data() for index, parameter in enumerate(trainer._params)})
        trainer._optimizer.num_update = int(kept['updates'].asscalar())
        trainer._optimizer._index_update_count.update(dict.fromkeys(range(len(trainer._params)),
                                                                    trainer._optimizer.num_update))
    history = train_epochs(run, rounds, train, arrays=arrays, restore=restore)
    made = for_any_number(made, widths, units)
    run.export_for(made, rounds, np.zeros((1, 3, size, size)))
    at_hand, seconds = photographs_at_hand(*_SHOWN), _seconds(made)
    _draw(run, made, [picture_of(name, 256) for name in _SHOWN if name in at_hand], picture_of(style, 256))
    last = history[-1]
    return {'content_loss': last['train_content_loss'], 'style_loss': last['train_style_loss'],
            'seconds_of_256x256': seconds}, history


def for_any_number(trained, filters, units):
    """What a `StyleNet` with batch normalisation has learnt from one picture at a time, with instance normalisation."""
    made = StyleNet(filters, units, prefix='style_')
    made.initialize()
    made.hybridize()
    made(nd.zeros((1, 3, 64, 64)))
    learnt = [parameter for name, parameter in trained.collect_params().items() if 'running' not in name]
    for parameter, known in zip(made.collect_params().values(), learnt):
        parameter.set_data(known.data())
    return made


def _checked(size, filters):
    try:
        widths = tuple(map(int, str(filters).split()))
    except ValueError:
        widths = ()
    if len(widths) != 3 or min(widths) < 1:
        raise UserError(f"filters={filters}: give three numbers, such as '32 64 128'")
    if size % STRIDE or not 64 <= size <= 512:
        raise UserError(f'size={size}: give a multiple of {STRIDE} from 64 to 512')
    return widths


def _pictures(folder, style):
    """What to learn from: all images of a folder, or those at hand but the style itself."""
    if not folder:
        return [picture for name, picture in photographs_at_hand().items() if name != style]
    return [picture for _, picture in read_all([Path(folder).expanduser()], lambda path: read_picture(path, 3))]


def _seconds(network):
    x = nd.zeros((1, 3, 256, 256))
    times = []
    for _ in range(4):  # the first builds the graph
        began = time.perf_counter()
        network(x).wait_to_read()
        times.append(time.perf_counter() - began)
    return float(np.median(times[1:]))


def restyled(network, pixels):
    """A picture through a `StyleNet`.

    Parameters
    ----------
    network : Block
    pixels : numpy.ndarray, (3, H, W)
        From 0 to 1. What is beyond a multiple of 4 of its sides is cut off.

    Returns
    -------
    numpy.ndarray of float32, (3, H', W')
    """
    height, width = (side // STRIDE * STRIDE for side in pixels.shape[1:])
    return network(nd.array(pixels[None, :, :height, :width])).asnumpy()[0]


def _draw(run, network, pictures, style):
    figure, axes = figures.plt.subplots(2, len(pictures) + 1, figsize=(3 * len(pictures) + 3, 5.2))
    for column, picture in enumerate(pictures, 1):
        for axis, pixels in zip(axes[:, column], (picture, restyled(network, picture))):
            axis.imshow(pixels.transpose(1, 2, 0))
    axes[0, 0].imshow(style.transpose(1, 2, 0))
    for axis in axes.flat:
        axis.set_axis_off()
    figure.suptitle(figures.text('One network, one style, any picture', '一个网络，一种风格，任意图像'))
    figure.tight_layout()
    run.save_figure(figure, 'restyled')


def restyle_file(folder, find, content, size, out=None):
    """Give a picture the style that a run of 5.8-fast has learnt.

    Parameters
    ----------
    folder : path-like
        The run, or `zoo:NAME`.
    find : callable
        Section -> Experiment.
    content : str
        An image file, or the name of a picture at hand.
    size : int
        Of the longer side, in pixels.
    out : path-like, optional
        PNG; default: `restyled/NAME.png` in the run.

    Returns
    -------
    (pathlib.Path, float)
        What was written, and the seconds that the network took.

    Raises
    ------
    UserError
        No such run or picture, or nothing is trained yet.
    """
    if read_config(folder)['section'] != '5.8-fast':
        raise UserError(f'{folder}: is no run of 5.8-fast, which learns a style')
    if not 32 <= size <= _MOST_PIXELS:
        raise UserError(f'size={size}: give 32 to {_MOST_PIXELS} pixels')
    pixels = picture_of(content, size)
    network = trained_graph(folder, find).block()
    began = time.perf_counter()
    made = restyled(network, pixels)
    seconds = time.perf_counter() - began
    path = Path(out) if out else results_folder(folder) / 'restyled' / f'{Path(content).stem}.png'
    make_folder(path.parent)
    with atomic_path(path) as beside:
        image_of(made).save(beside, format='PNG')
    return path, seconds


def draw_restyled(run):
    """What a network that has learnt a style makes of photographs that come with scikit-learn.

    Parameters
    ----------
    run : path-like
        A run folder, or `zoo:5.8-fast`.

    Returns
    -------
    callable
        `draw(photograph='temple', size=256)` -> PIL image: the photograph, its longer side of that size, and what is made of
        it.
    """
    import chapters
    network = trained_graph(run, chapters.find).block()

    def draw(photograph='temple', size=256):
        pixels = picture_of(photograph, size)
        made = restyled(network, pixels)
        return image_of(np.concatenate([pixels[:, :made.shape[1], :made.shape[2]], made], axis=2))
    return draw


class LearnsStyle(WorkedExample):
    """5.8-fast."""
    def examples(self):
        return [np.rint(255 * picture_of(name, 384).transpose(1, 2, 0)).astype(np.uint8) for name in ('temple', 'flower')]


EXPERIMENTS = [
    LearnsStyle('5.8-fast', 'A network that has learnt one style, for any picture', '学会一种风格的网络，用于任意图像',
                function=learn_style),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
