"""Section 5.2: what a trained network looks at.

Every function takes any network of this book and returns arrays; the drawings stand at the end. Layers are
called by their place in the network, as `chapters.kit.networks.layers` lists them: 'features.0', 'output'.
"""
import contextlib

import numpy as np
from mxnet import autograd, gluon, nd

from chapters.kit.networks.layers import layers
from chapters.kit.report import figures
from data_tools.errors import UserError

_BATCH = 100


def convolutions(network):
    """Names of the layers whose weights are kernels, (out, in, height, width)."""
    return [name for name, layer in layers(network).items()
            if getattr(layer, 'weight', None) is not None and len(layer.weight.shape) == 4]


def layer(network, name):
    """The layer of a name.

    Raises
    ------
    UserError
        There is none.
    """
    found = layers(network)
    if name not in found:
        raise UserError(f'there is no layer {name}; there are {", ".join(found)}')
    return found[name]


@contextlib.contextmanager
def recording(network):
    """`autograd.record` of a network in prediction, for gradients with respect to what goes in.

    In prediction oneDNN's poolings do not keep where the maxima were: what comes back through them is what happened to lie in
    memory. So the network runs uncompiled, its poolings as in training, in which they compute the same. Go back by
    `backward(train_mode=False)`: else batch normalisation goes back as if it had used this batch's statistics.
    """
    def pooling(*inputs, **settings):
        with autograd.train_mode():
            return as_in_prediction(*inputs, **settings)
    was_active = getattr(network, '_active', False)
    network.hybridize(False)
    as_in_prediction, nd.Pooling = nd.Pooling, pooling
    try:
        with autograd.record(train_mode=False):
            yield
    finally:
        nd.Pooling = as_in_prediction
        network.hybridize(was_active, static_alloc=True, static_shape=True)


class _Watch:
    """While it lasts, the network runs uncompiled, and the input and the output of one layer are kept.

    With `cut`, gradients end at the output, where `output.grad` holds them.
    """
    def __init__(self, network, name, cut=False):
        self._network, self._layer, self._cut = network, layer(network, name), cut

    def __enter__(self):
        self._was_active = getattr(self._network, '_active', False)
        self._network.hybridize(False)

        def keep(block, inputs, output):
            self.input, self.output = inputs[0], output
            if self._cut:
                output.attach_grad()
        self._hook = self._layer.register_forward_hook(keep)
        return self

    def __exit__(self, *_):
        self._hook.detach()
        self._network.hybridize(self._was_active, static_alloc=True, static_shape=True)


def activations(network, images, name):
    """Outputs of a layer.

    Parameters
    ----------
    network : HybridBlock
    images : numpy.ndarray, (N, C, H, W)
    name : str

    Returns
    -------
    numpy.ndarray, (N, ...)
    """
    outputs = []
    with _Watch(network, name) as watch:
        for start in range(0, len(images), _BATCH):
            network(nd.array(images[start:start + _BATCH]))
            outputs.append(watch.output.asnumpy())
    return np.concatenate(outputs)


def kernels(network, name):
    """Kernels of a convolution, (out, in, height, width)."""
    weight = layer(network, name).weight.data().asnumpy()
    if weight.ndim != 4:
        raise UserError(f'layer {name} has no kernels; these have: {", ".join(convolutions(network))}')
    return weight


def most_exciting(network, images, name, unit, count=9):
    """The patches of images that most excite a unit (one channel of a layer, anywhere in the plane).

    Parameters
    ----------
    network : HybridBlock
    images : numpy.ndarray, (N, C, H, W)
    name : str
    unit : int
        Channel.
    count : int

    Returns
    -------
    list of (int, float, tuple of slice)
        Number of the image, activation, and the rows and columns that the unit sees there: where the gradient of
        this activation with respect to the image is not zero. One patch an image at most.

    Raises
    ------
    UserError
        The layer has no such unit.
    """
    values = activations(network, images, name)
    if not 0 <= unit < values.shape[1]:
        raise UserError(f'layer {name} has units 0 to {values.shape[1] - 1}, no {unit}')
    planes = values[:, unit].reshape(len(values), -1)
    chosen = np.argsort(-planes.max(axis=1), kind='stable')[:count]
    found = []
    for number in chosen:
        place = planes[number].argmax()
        x = nd.array(images[number:number + 1])
        x.attach_grad()
        with _Watch(network, name) as watch, recording(network):
            network(x)
            value = watch.output[0, unit].reshape(-1)[int(place)]
        value.backward(train_mode=False)
        seen = x.grad.asnumpy()[0].any(axis=0)
        rows, columns = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
        if len(rows):  # else a ReLU is silent here
            found.append((int(number), float(planes[number, place]),
                          (slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1))))
    return found


def occlusion(network, image, answer, size=0, stride=0, fill=None):
    """How sure the network stays of an answer while a square hides part of the image.

    Parameters
    ----------
    network : HybridBlock
    image : numpy.ndarray, (C, H, W)
    answer : int
        Class.
    size, stride : int
        Of the square; 0: about a fifth of the image, and a quarter of that.
    fill : float, optional
        Value of the square; default: the mean of the image.

    Returns
    -------
    numpy.ndarray, (H, W)
        For each pixel the mean loss of probability over the squares that hide it: high where the network looks.
    """
    height, width = image.shape[1:]
    size = size or max(1, round(min(height, width) / 5))
    stride = stride or max(1, size // 4)
    fill = image.mean() if fill is None else fill
    corners = [(top, left) for top in _steps(height, size, stride) for left in _steps(width, size, stride)]
    hidden = np.repeat(image[None], len(corners), axis=0).astype(np.float32)
    for number, (top, left) in enumerate(corners):
        hidden[number, :, top:top + size, left:left + size] = fill
    before = _probabilities(network, image[None])[0, answer]
    after = _probabilities(network, hidden)[:, answer]
    lost, times = np.zeros((2, height, width))
    for probability, (top, left) in zip(after, corners):
        lost[top:top + size, left:left + size] += before - probability
        times[top:top + size, left:left + size] += 1
    return lost / times


def _steps(length, size, stride):
    """Where squares begin; the last touches the end."""
    return sorted({*range(0, length - size + 1, stride), length - size})


def saliency(network, image, answer):
    """How much each pixel would change the network's output for an answer.

    Returns
    -------
    numpy.ndarray, (H, W)
        Largest absolute gradient of the logit over the channels.
    """
    return np.abs(_gradients(network, image[None], answer)[0]).max(axis=0)


def smooth_grad(network, image, answer, samples=50, noise=0.15, seed=0):
    """Saliency, its noise removed by more noise: the mean gradient over noisy copies of the image.

    Smilkov et al. 2017, https://arxiv.org/abs/1706.03825

    Parameters
    ----------
    network : HybridBlock
    image : numpy.ndarray, (C, H, W)
    answer : int
    samples : int
    noise : float
        Standard deviation, as a share of the range of the image.
    seed : int

    Returns
    -------
    numpy.ndarray, (H, W)
    """
    random = np.random.default_rng(seed)
    spread = noise * (image.max() - image.min())
    total = np.zeros(image.shape)
    for start in range(0, samples, _BATCH):
        count = min(_BATCH, samples - start)
        noisy = image + spread * random.standard_normal((count,) + image.shape)
        total += _gradients(network, noisy, answer).sum(axis=0)
    return np.abs(total / samples).max(axis=0)


def grad_cam(network, image, answer, name=''):
    """Where a layer finds what speaks for an answer.

    Selvaraju et al. 2016, https://arxiv.org/abs/1610.02391

    Parameters
    ----------
    network : HybridBlock
    image : numpy.ndarray, (C, H, W)
    answer : int
    name : str
        Of a layer with planes; default: the last one with planes larger than one pixel.

    Returns
    -------
    numpy.ndarray, (h, w)
        ReLU of the layer's planes, weighted by the mean gradient of the logit over each: the size of the planes.
    """
    name = name or last_planes(network, image)
    x = nd.array(image[None])
    with _Watch(network, name, cut=True) as watch:
        with recording(network):
            logit = network(x)[0, answer]
        logit.backward(train_mode=False)
        planes = watch.output
    if planes.ndim != 4:
        raise UserError(f'layer {name} has no planes; try {last_planes(network, image)}')
    gradients = planes.grad.asnumpy()[0]
    planes = planes.asnumpy()[0]
    return np.maximum(0, (planes * gradients.mean(axis=(1, 2), keepdims=True)).sum(axis=0))


class _GuidedReLU(autograd.Function):
    """ReLU whose gradient goes back only where it is positive, too."""
    def forward(self, x):
        self.save_for_backward(x)
        return nd.relu(x)

    def backward(self, gradient):
        x, = self.saved_tensors
        return nd.relu(gradient) * (x > 0)


def going_back(network, image, name, unit):
    """What in an image a unit answers to: back from its strongest answer to the image, through ReLUs that let only what
    speaks for it pass.

    Springenberg et al. 2014, https://arxiv.org/abs/1412.6806; after Zeiler and Fergus, https://arxiv.org/abs/1311.2901, whose
    pictures the book shows. ReLUs that a network does not have as layers of their own go back as usual.

    Parameters
    ----------
    network : HybridBlock
    image : numpy.ndarray, (C, H, W)
    name : str
        Layer.
    unit : int
        Channel.

    Returns
    -------
    numpy.ndarray, (C, H, W)
    """
    rectifiers = []

    def guide(block):
        if isinstance(block, gluon.nn.Activation) and block._act_type == 'relu':
            block.forward = lambda x: _GuidedReLU()(x)
            rectifiers.append(block)
    x = nd.array(image[None])
    x.attach_grad()
    with _Watch(network, name) as watch:
        network.apply(guide)
        try:
            with recording(network):
                network(x)
                answers = watch.output[0, unit].reshape(-1)
                strongest = answers[int(answers.argmax().asscalar())]
            strongest.backward(train_mode=False)
        finally:
            for block in rectifiers:
                del block.forward
    return x.grad.asnumpy()[0]


def exciting_picture(network, name, unit, shape, steps=100, rate=0.01, seed=0):
    """A picture made to excite a unit: faint clouds, changed step by step along the gradient of the unit's mean answer.

    Steps along the gradient itself make noise. So they are as they would be for a picture whose colours and waves are as strong
    as those of photographs: long waves move farther than short ones, light farther than colours (Olah et al. 2017,
    https://distill.pub/2017/feature-visualization, "preconditioning"). The picture is moved about between the steps. The unit's
    own ReLU lets a tenth of what is negative pass, or a unit that is silent would never learn how to answer.

    Parameters
    ----------
    network : HybridBlock
        For pixels from 0 to 1.
    name : str
        Layer.
    unit : int
        Channel.
    shape : tuple of int
        (C, H, W)
    steps : int
    rate : float
        Usual change of a pixel in a step.
    seed : int

    Returns
    -------
    (numpy.ndarray (C, H, W), float, float)
        The picture, and the unit's mean answer to the clouds and to the picture.
    """
    random, side = np.random.default_rng(seed), max(shape[1:])
    waves = np.hypot(np.fft.fftfreq(shape[1])[:, None], np.fft.rfftfreq(shape[2])[None])  # periods a pixel
    strength = 1 / np.maximum(waves, 1 / side)

    def like_photographs(change):
        change = np.fft.irfft2(np.fft.rfft2(change) * strength, s=shape[1:])
        light = change.mean(axis=0, keepdims=True)
        change = light + 0.3 * (change - light)
        return change / (change.std() or 1)

    picture = (0.5 + 0.05 * like_photographs(random.standard_normal(shape))).astype(np.float32)
    answers, direction, rectifier = [], np.zeros(shape), getattr(layer(network, name), 'act', None)
    with _Watch(network, name) as watch, contextlib.ExitStack() as afterwards:
        if rectifier is not None:
            rectifier.forward = lambda x: nd.LeakyReLU(x, slope=0.1)
            afterwards.callback(delattr, rectifier, 'forward')
        for step in range(steps + 1):
            shift = tuple(random.integers(-8, 9, 2)) if 0 < step < steps else (0, 0)
            x = nd.array(np.roll(picture, shift, axis=(1, 2))[None])
            x.attach_grad()
            with recording(network):
                network(x)
                answer = watch.output[0, unit].mean()
            answer.backward(train_mode=False)
            answers.append(nd.relu(watch.output[0, unit]).mean().asscalar())
            gradient = np.roll(x.grad.asnumpy()[0], (-shift[0], -shift[1]), axis=(1, 2))
            direction = 0.9 * direction + like_photographs(gradient)
            if step < steps:
                picture = np.clip(picture + 0.1 * rate * direction, 0, 1).astype(np.float32)
    return picture, float(answers[0]), float(answers[-1])


def connections(network, name, unit):
    """How strongly a unit of a convolution is tied to each plane of its input: the sum of its weights there.

    Returns
    -------
    numpy.ndarray, (in,)
    """
    return kernels(network, name)[unit].sum(axis=(1, 2))


def last_planes(network, image):
    """Name of the last layer whose output is planes larger than one pixel."""
    last = ''
    for name in layers(network):
        with _Watch(network, name) as watch:
            network(nd.array(image[None]))
            output = watch.output
        if isinstance(output, nd.NDArray) and output.ndim == 4 and min(output.shape[2:]) > 1:
            last = name
    if not last:
        raise UserError('this network has no layer with planes')
    return last


def last_hidden(network, images):
    """What goes into the network's last layer with weights, one row an image.

    Returns
    -------
    numpy.ndarray, (N, D)
    """
    last = [name for name, block in layers(network).items() if getattr(block, 'weight', None) is not None][-1]
    outputs = []
    with _Watch(network, last) as watch:
        for start in range(0, len(images), _BATCH):
            network(nd.array(images[start:start + _BATCH]))
            values = watch.input.asnumpy()
            outputs.append(values.reshape(len(values), -1))
    return np.concatenate(outputs)


def t_sne(network, images, seed=0):
    """The images as points of a plane, near each other where the last hidden layer sees them alike.

    van der Maaten and Hinton 2008, https://jmlr.org/papers/v9/vandermaaten08a.html

    Returns
    -------
    numpy.ndarray, (N, 2)
    """
    return on_a_plane(last_hidden(network, images), seed)


def on_a_plane(features, seed=0, perplexity=30):
    """Points of a plane for features (N, D), by t-SNE; each looks at about `perplexity` neighbours, at most a third of all."""
    from sklearn.decomposition import PCA
    from sklearn.manifold import TSNE
    if features.shape[1] > 50:
        features = PCA(min(50, len(features)), random_state=seed % (1 << 32)).fit_transform(features)
    return TSNE(2, perplexity=min(perplexity, (len(features) - 1) / 3), init='pca', learning_rate='auto',
                random_state=seed % (1 << 32)).fit_transform(features)


def _probabilities(network, images):
    return np.concatenate([nd.softmax(network(nd.array(images[start:start + _BATCH]))).asnumpy()
                           for start in range(0, len(images), _BATCH)])


def _gradients(network, images, answer):
    """Of the logit of an answer with respect to images (N, C, H, W)."""
    x = nd.array(images)
    x.attach_grad()
    with recording(network):
        logits = network(x)[:, answer].sum()
    logits.backward(train_mode=False)
    return x.grad.asnumpy()


# ---- drawings

def look(saved, image, data, name='', unit=None, answer=None, say=print):
    """Draw all of the above for one image, into `figures/look-*.png` of the run.

    Parameters
    ----------
    saved : chapters.kit.trained.saved.SavedRun
    image : numpy.ndarray, (C, H, W)
    data : TrainingData or None
        Of the run: for the patches and for t-SNE, which are left out without.
    name : str
        Layer for activations, kernels and patches; default: the first convolution.
    unit : int, optional
        Channel for the patches; default: the nine that the image excites most.
    answer : int, optional
        Class; default: the network's own answer.
    say : callable
        Told of every picture.
    """
    import matplotlib.pyplot as plt
    network, class_names = saved.network, saved.class_names
    if not convolutions(network):
        raise UserError(f'{saved.folder}: this network has no convolutions to look into')
    name = name or convolutions(network)[0]
    probabilities = _probabilities(network, image[None])[0]
    answer = int(probabilities.argmax()) if answer is None else answer
    heading = f'{saved.config["section"]}: {class_names[answer]} {probabilities[answer]:.1%}'

    def save(figure, kind):
        say(saved.save_figure(figure, f'look-{kind}'))

    planes = activations(network, image[None], name)[0]
    if planes.ndim == 3:
        save(figures.image_grid(planes[:64], columns=min(16, len(planes)), size=0.8, title=figures.text(
            f'activations of {name}', '激活值')), 'activations')
        excited = planes.reshape(len(planes), -1).max(axis=1)
    else:
        excited = planes
    if name in convolutions(network):
        weights = kernels(network, name)
        pictures = weights if weights.shape[1] == 3 else weights.mean(axis=1, keepdims=True)
        pictures = (pictures - weights.min()) / (weights.max() - weights.min())
        save(figures.image_grid(pictures[:64], columns=min(16, len(weights)), size=0.7, title=figures.text(
            f'kernels of {name}' + ('' if weights.shape[1] in (1, 3) else ', mean over inputs'), '卷积核')), 'kernels')
    units = [unit] if unit is not None else np.argsort(-excited)[:6]
    sample, patches, captions = data.train_x[:500] if data else [], [], []
    for number in units if data else ():
        for which, value, (rows, columns) in most_exciting(network, sample, name, int(number), 8):
            patches.append(scaled(sample[which][:, rows, columns]))
            captions.append(f'{number}: {value:.2g}')
    if patches:
        figure = figures.image_grid(patches, captions, columns=8, size=0.9, title=figures.text(
            f'patches that most excite units of {name}', '最能激活各单元的图像块'))
        figure.set_facecolor('0.85')  # patches may be white to the edge
        save(figure, 'patches')
    maps = {figures.text('image', '图像'): None, figures.text('occlusion', '遮挡'): occlusion(network, image, answer),
            figures.text('gradient', '梯度'): saliency(network, image, answer),
            'SmoothGrad': smooth_grad(network, image, answer), 'Grad-CAM': grad_cam(network, image, answer)}
    figure, axes = plt.subplots(1, len(maps), figsize=(2.4 * len(maps), 2.9))
    height, width = image.shape[1:]
    shown = scaled(image).transpose(1, 2, 0)
    for axis, (title, heat) in zip(axes, maps.items()):
        axis.imshow(shown if shown.shape[2] == 3 else shown[:, :, 0], cmap='gray', extent=(0, width, height, 0))
        if heat is not None:
            axis.imshow(heat, cmap='inferno', alpha=0.65, extent=(0, width, height, 0), interpolation='bilinear')
        axis.set_title(title, fontsize=9)
        axis.axis('off')
    figure.suptitle(figures.text(heading, '网络看哪里'))
    save(figure, 'heat')
    if not data:
        return
    count = min(800, len(data.validation_x))
    points = t_sne(network, np.asarray(data.validation_x[:count], np.float32))
    figure, axis = plt.subplots(figsize=(6.5, 6))
    for number, label in enumerate(class_names):
        mine = points[data.validation_y[:count] == number]
        axis.scatter(mine[:, 0], mine[:, 1], s=9, color=f'C{number}' if number < 10 else None, label=label)
    axis.legend(fontsize=8, markerscale=2)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_title(figures.text(f't-SNE of the last hidden layer, {count} validation images', '最后隐层的 t-SNE'))
    save(figure, 't-sne')


def scaled(image):
    """To 0 ... 1."""
    low, high = image.min(), image.max()
    return (image - low) / (high - low) if high > low else image * 0
