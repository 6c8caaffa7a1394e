"""Section 9.4.3: a network that has seen nothing but one broken picture mends it (figures 9-40, 9-41).

    python -m chapters run 9.4.3-prior --set picture=FILE --set side=128 --set width=32

Ulyanov, Vedaldi, Lempitsky, "Deep Image Prior", https://arxiv.org/abs/1711.10925.
"""
import cv2
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn
from PIL import Image, ImageOps
from sklearn.datasets import load_sample_image

from chapters.ch09_outlook.steps import train_steps
from chapters.kit.data.pictures import read_picture
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.errors import UserError

_NOISE = 25 / 255  # standard deviation
_QUALITY = 10  # of the JPEG
_MISSING = 0.5  # share of the pixels
_JITTER = 1 / 30  # of the code, at every step: the paper's remedy against learning by heart


class Hourglass(gluon.HybridBlock):
    """Down by strides, up by doubling, with a narrow way across at every size; the picture comes out of a sigmoid.

    Parameters
    ----------
    width : int
        Planes of every layer.
    across : int
        Planes of the ways across.
    depth : int
        Times that the picture is halved.
    channels : int
        Of the picture.

    Input: a code (1, C, H, W), H and W divisible by 2^depth; output (1, channels, H, W).
    """
    def __init__(self, width=16, across=4, depth=3, channels=3, **kwargs):
        super().__init__(**kwargs)
        self._depth = depth
        with self.name_scope():
            self.down, self.across, self.up = nn.HybridSequential(), nn.HybridSequential(), nn.HybridSequential()
            for _ in range(depth):
                self.down.add(_convolutions((width, 2), (width, 1)))
                self.across.add(_convolutions((across, 1), kernel=1))
                self.up.add(_convolutions((width, 1)))
            self.output = nn.Conv2D(channels, 1)

    def hybrid_forward(self, F, z):
        beside = []
        for down, across in zip(self.down, self.across):
            beside.append(across(z))
            z = down(z)
        for up, side in zip(self.up, reversed(beside)):
            z = up(F.concat(F.UpSampling(z, scale=2, sample_type='nearest'), side, dim=1))
        return F.sigmoid(self.output(z))


def _convolutions(*layers, kernel=3):
    block = nn.HybridSequential()
    for planes, stride in layers:
        block.add(nn.Conv2D(planes, kernel, stride, kernel // 2), nn.BatchNorm(), nn.LeakyReLU(0.1))
    return block


def read(picture, side):
    """(3, side, side) from 0 to 1: the centre of a picture file; of scikit-learn's flower where none is named."""
    pixels = read_picture(picture, 3) if picture else load_sample_image('flower.jpg')[100:400, 160:460]
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (side, side), Image.BOX)).transpose(2, 0, 1) / np.float32(255)


def broken(truth, task, random):
    """What becomes of a picture, and which pixels are still known.

    Parameters
    ----------
    truth : numpy.ndarray, (3, H, W)
        From 0 to 1.
    task : str
        'denoise', 'jpeg' or 'complete'.
    random : numpy.random.Generator

    Returns
    -------
    (3, H, W), (1, H, W)

    Raises
    ------
    UserError
        There is no such task.
    """
    known = np.ones((1, *truth.shape[1:]), np.float32)
    if task == 'denoise':
        return np.clip(truth + _NOISE * random.standard_normal(truth.shape), 0, 1).astype(np.float32), known
    if task == 'jpeg':
        coded = cv2.imencode('.jpg', as_bytes(truth)[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, _QUALITY])[1]
        return cv2.imdecode(coded, cv2.IMREAD_COLOR)[:, :, ::-1].transpose(2, 0, 1) / np.float32(255), known
    if task == 'complete':
        known = (random.random(known.shape) >= _MISSING).astype(np.float32)
        return truth * known, known
    raise UserError(f'task={task}: there are denoise, jpeg, complete')


def by_opencv(picture, known, task):
    """What OpenCV makes of the same: non-local means, or Telea's completion."""
    pixels = as_bytes(picture)
    if task == 'complete':
        mended = cv2.inpaint(pixels, as_bytes(1 - known)[:, :, 0], 3, cv2.INPAINT_TELEA)
    else:
        strength = 25 if task == 'denoise' else 10
        mended = cv2.fastNlMeansDenoisingColored(pixels, None, strength, strength, 5, 15)
    return mended.transpose(2, 0, 1) / np.float32(255)


def as_bytes(picture):
    """(C, H, W) from 0 to 1 as (H, W, C) from 0 to 255."""
    return np.ascontiguousarray(np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8).transpose(1, 2, 0))


def psnr(x, truth):
    """Peak signal to noise in dB, of values from 0 to 1."""
    return -10 * np.log10(max(np.square(x - truth).mean(), 1e-12))


def mend(run, task='denoise', picture='', side=64, width=16, depth=3, epochs=20, steps=20, learning_rate=0.01):
    """Let a network learn a broken picture from a code that means nothing, and look at it on the way.

    Parameters
    ----------
    task : str
        As `broken` has it.
    picture : str
        A file; default: a flower.
    side : int
    width, depth : int
        Of the `Hourglass`.
    epochs, steps : int
        After so many steps each the picture is compared with the truth, which the network never sees.
    learning_rate : float
        Adam's.

    Returns
    -------
    (dict, list of dict)
        PSNR in dB: of the broken picture, by OpenCV, of the network at its best and at the end; and that of every epoch.
    """
    if side % 2 ** depth or side < 2 ** (depth + 2):
        raise UserError(f'side={side}: give a multiple of {2 ** depth}, from {2 ** (depth + 2)} on')
    random = seed_everything(run.seed)
    truth = read(picture, side)
    seen, known = broken(truth, task, random)
    network = Hourglass(width, depth=depth, prefix='hourglass_')
    network.initialize(init.Xavier())
    network.hybridize(static_alloc=True)
    code, wanted, mask = nd.random.uniform(0, 0.1, (1, 16, side, side)), nd.array(seen[None]), nd.array(known[None])
    network(code)
    trainer = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': learning_rate})
    kept = {'code': code, 'best': nd.zeros((1, 3, side, side)), 'psnr': nd.zeros(1)}

    def step(random):
        with autograd.record():
            made = network(code + nd.random.normal(0, _JITTER, code.shape))
            error = nd.broadcast_mul(nd.square(made - wanted), mask).sum() / (3 * mask.sum())
        error.backward()
        trainer.step(1)
        return {'mse': error.detach()}

    def measure():
        with autograd.train_mode():  # batch normalisation by the picture itself, as in training
            made = network(code)
        value = psnr(made.asnumpy()[0], truth)
        if value > kept['psnr'].asscalar():
            kept['psnr'][:], kept['best'][:] = value, made
        return {'psnr': value}
    history = train_steps(run, {'prior': trainer}, step, epochs, steps, measure, kept)
    with autograd.train_mode():
        last = network(code).asnumpy()[0]
    simple = by_opencv(seen, known, task)
    values = [row['psnr'] for row in history]
    found = {'psnr_broken': psnr(seen, truth), 'psnr_opencv': psnr(simple, truth), 'psnr_best': max(values),
             'psnr_last': values[-1], 'best_after_steps': steps * (1 + int(np.argmax(values)))}
    _draw(run, [('truth', truth), (f'broken {found["psnr_broken"]:.1f} dB', seen),
                (f'best {found["psnr_best"]:.1f} dB', kept['best'].asnumpy()[0]), (f'last {found["psnr_last"]:.1f} dB', last),
                (f'OpenCV {found["psnr_opencv"]:.1f} dB', simple)], values, steps, found, task)
    return found, history


def _draw(run, pictures, values, steps, found, task):
    figure, axes = figures.plt.subplots(1, 6, figsize=(17, 3), gridspec_kw={'width_ratios': [1] * 5 + [1.5]})
    for axis, (name, picture) in zip(axes, pictures):
        axis.imshow(as_bytes(picture))
        axis.set_title(name, fontsize=9)
        axis.axis('off')
    axes[-1].plot(steps * np.arange(1, len(values) + 1), values)
    for name in ('broken', 'opencv'):
        axes[-1].axhline(found[f'psnr_{name}'], color='gray', linestyle=':' if name == 'broken' else '--', label=name)
    axes[-1].set(xlabel='steps', ylabel='PSNR in dB')
    axes[-1].legend(fontsize=8)
    figure.suptitle(figures.text(f'9-{41 if task == "complete" else 40} Deep image prior: {task}', '深度图像先验'))
    figure.tight_layout()
    run.save_figure(figure, 'mended')


EXPERIMENTS = [
    WorkedExample('9.4.3-prior', 'Deep image prior: noise', '深度图像先验：去噪', function=mend),
    WorkedExample('9.4.3-prior-jpeg', 'Deep image prior: JPEG', '深度图像先验：JPEG 瑕疵', function=mend,
                  sizes={'task': 'jpeg'}),
    WorkedExample('9.4.3-prior-complete', 'Deep image prior: missing pixels', '深度图像先验：补全像素', function=mend,
                  sizes={'task': 'complete'}),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
