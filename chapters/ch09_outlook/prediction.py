"""Section 9.3.6: what comes next? Falling blocks, predicted by squared error and against a critic (figures 9-30, 9-31).

    python -m chapters run 9.3.6

After Lerer, Gross, Fergus, "Learning Physical Intuition of Block Towers by Example", https://arxiv.org/abs/1603.01312, and
Mathieu, Couprie, LeCun, "Deep multi-scale video prediction beyond mean square error", https://arxiv.org/abs/1511.05440.
"""
import numpy as np
from mxnet import autograd, gluon, init, nd
from mxnet.gluon import nn
from PIL import Image

from chapters.ch08_gan.samples import tiles
from chapters.ch09_outlook.steps import train_steps
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.atomic import atomic_path

SIDE, SEEN, NEXT = 16, 2, 6  # pixels; frames that are given, and to be predicted
_BLOCK = 4.0  # side of the block
_GRAVITY = 0.35  # pixels a frame, a frame
_WEDGE = 8.0  # the block's lower edge meets the wedge here, and leaves it to the left or to the right
_ASIDE = 1.2  # pixels a frame, after the wedge
_BOUNCE = 0.6  # of the speed is left after the floor


def falls(count, random):
    """Films of a block that falls on a wedge, and then goes left or right: both futures, and which one came true.

    The block starts at rest; times of meeting the wedge and the floor are solved for, not stepped over.

    Parameters
    ----------
    count : int
    random : numpy.random.Generator

    Returns
    -------
    (count, 2, SEEN + NEXT, SIDE, SIDE), (count,), (count,)
        Both films from 0 to 1, which are the same until the wedge; the number of the true one; the frame in which the wedge
        is met, a fraction.
    """
    top, start = random.uniform(0, 2.4, count), random.uniform(0, 1, count)  # of the block, and the time of the first frame
    meets = np.sqrt(2 * (_WEDGE - _BLOCK - top) / _GRAVITY)  # since it began to fall
    time = start[:, None] + np.arange(SEEN + NEXT)
    after = np.maximum(time - meets[:, None], 0)
    height = np.where(after > 0, _after_wedge(after), top[:, None] + _GRAVITY * time ** 2 / 2)
    left = (SIDE - _BLOCK) / 2
    films = np.stack([rendered(left + way * _ASIDE * after, height) for way in (-1, 1)], axis=1)
    return films.astype(np.float32), random.integers(0, 2, count), meets - start


def _after_wedge(after):
    """Height of the block's upper edge so long after the wedge, where it stops for a moment: it falls and bounces."""
    floor, height = SIDE - _BLOCK, np.full(after.shape, _WEDGE - _BLOCK)
    speed, here = np.zeros(after.shape), after.copy()
    for _ in range(4):
        fall = (-speed + np.sqrt(speed ** 2 + 2 * _GRAVITY * (floor - height))) / _GRAVITY  # until the floor
        going = here < fall
        if going.all():
            break
        hit = speed + _GRAVITY * fall
        height, speed, here = (np.where(going, old, new) for old, new in (
            (height, floor), (speed, -_BOUNCE * hit), (here, here - fall)))
    return np.minimum(height + speed * here + _GRAVITY * here ** 2 / 2, floor)


def rendered(left, top):
    """Frames (..., SIDE, SIDE) of a block at left and top (...); a pixel is as bright as it is covered."""
    def covered(start):
        pixel = np.arange(SIDE)
        return np.clip(np.minimum(start[..., None] + _BLOCK, pixel + 1) - np.maximum(start[..., None], pixel), 0, 1)
    return covered(top)[..., :, None] * covered(left)[..., None, :]


def sharpness(frames):
    """(...,) of frames (..., SIDE, SIDE): sum of squared slopes, as large as the edges are steep and bright."""
    return (np.square(np.diff(frames, axis=-1)).sum(axis=(-1, -2)) + np.square(np.diff(frames, axis=-2)).sum(axis=(-1, -2)))


class Foresight(gluon.HybridBlock):
    """Frames that are seen, and chance -> frames that come: dense layers, for so small a world.

    Input (N, SEEN * SIDE^2), (N, noise); output (N, NEXT * SIDE^2) from 0 to 1.
    """
    def __init__(self, units=256, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.net = nn.HybridSequential()
            self.net.add(nn.Dense(units), nn.LeakyReLU(0.2), nn.Dense(units), nn.LeakyReLU(0.2),
                         nn.Dense(NEXT * SIDE ** 2, activation='sigmoid'))

    def hybrid_forward(self, F, seen, chance):
        return self.net(F.concat(seen, chance, dim=1))


class Critic(gluon.HybridBlock):
    """Frames that are seen, and what is said to come -> logit of its being true (N,)."""
    def __init__(self, units=256, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.net = nn.HybridSequential()
            self.net.add(nn.Dense(units), nn.LeakyReLU(0.2), nn.Dense(units // 2), nn.LeakyReLU(0.2), nn.Dense(1))

    def hybrid_forward(self, F, seen, coming):
        return F.reshape(self.net(F.concat(seen, coming, dim=1)), shape=(-1,))


def predict_blocks(run, units=256, noise=4, weight=0.5, batch_size=64, epochs=15, steps=60, learning_rate=0.001):
    """Train two predictors on films made on the spot: by squared error, and by squared error with a critic.

    Parameters
    ----------
    units : int
        Of hidden layers.
    noise : int
        Numbers of chance, from which a predictor can decide what is open.
    weight : float
        Of the critic's judgement, beside the sum of squared errors of a frame.
    batch_size, epochs, steps, learning_rate
        Of the training, by Adam.

    Returns
    -------
    (dict, list of dict)
        KIND_sharpness: of the last frame, over that of the truth; KIND_sharpness_before: of frames before the wedge is met;
        KIND_distance: mean squared error of a pixel of the last frame to the nearest possible future; KIND_left: share of
        films that end nearer to the left future.
    """
    seed_everything(run.seed)
    networks = {'mse': Foresight(units, prefix='mse_'), 'gan': Foresight(units, prefix='gan_'),
                'critic': Critic(units, prefix='critic_')}
    chance, inputs = nd.zeros((2, noise)), nd.zeros((2, SEEN * SIDE ** 2))
    trainers = {}
    for name, network in networks.items():
        network.initialize(init.Xavier())
        network.hybridize(static_alloc=True)
        network(inputs, chance if name != 'critic' else nd.zeros((2, NEXT * SIDE ** 2)))
        beta = 0.9 if name == 'mse' else 0.5
        rate = learning_rate / 4 if name == 'critic' else learning_rate  # else it is too sure too soon
        trainers[name] = gluon.Trainer(network.collect_params(), 'adam', {'learning_rate': rate, 'beta1': beta})

    def drawn(count, random):
        films, true, meets = falls(count, random)
        film = films[np.arange(count), true].reshape(count, SEEN + NEXT, -1)
        return nd.array(film[:, :SEEN]).flatten(), nd.array(film[:, SEEN:]).flatten(), films, meets

    def step(random):
        seen, coming, _, _ = drawn(batch_size, random)
        chance = nd.random.normal(shape=(batch_size, noise))
        with autograd.record():
            error = nd.square(networks['mse'](seen, 0 * chance) - coming).sum(axis=1) / NEXT
        error.backward()
        trainers['mse'].step(batch_size)
        made = networks['gan'](seen, chance)
        with autograd.record():
            judged = _softplus(-networks['critic'](seen, coming)) + _softplus(networks['critic'](seen, made.detach()))
        judged.backward()
        trainers['critic'].step(batch_size)
        with autograd.record():
            made = networks['gan'](seen, chance)
            fooled = _softplus(-networks['critic'](seen, made))
            loss = weight * nd.square(made - coming).sum(axis=1) / NEXT + fooled
        loss.backward()
        trainers['gan'].step(batch_size)
        return {'mse': error.mean().detach(), 'critic': judged.mean().detach(), 'fooled': fooled.mean().detach()}

    tested = drawn(400, np.random.default_rng([run.seed, 936]))
    history = train_steps(run, trainers, step, epochs, steps,
                          lambda: {f'validation_{kind}_distance': _judge(_made(networks[kind], tested, noise, kind), tested)
                                   ['distance'] for kind in ('mse', 'gan')})
    made = {kind: _made(networks[kind], tested, noise, kind) for kind in ('mse', 'gan')}
    _draw(run, made, tested)
    return {f'{kind}_{name}': value for kind, frames in made.items() for name, value in _judge(frames, tested).items()}, history


def _softplus(x):
    return nd.Activation(x, act_type='softrelu')


def _made(network, tested, noise, kind):
    """(N, NEXT, SIDE, SIDE): predictions of tested films."""
    random = np.random.default_rng(0)
    chance = nd.array(random.standard_normal((len(tested[0]), noise)) * (kind == 'gan'))
    return network(tested[0], chance).asnumpy().reshape(-1, NEXT, SIDE, SIDE)


def _judge(frames, tested):
    """Figures of predictions; see `predict_blocks`."""
    _, _, films, meets = tested
    futures = films[:, :, SEEN:]
    before = SEEN + np.arange(NEXT) <= meets[:, None]  # frames whose block has not met the wedge
    sharp = sharpness(frames) / sharpness(futures[:, 0])
    distances = np.square(frames[:, None, -1] - futures[:, :, -1]).mean(axis=(2, 3))  # (N, 2)
    return {'sharpness': sharp[:, -1].mean(), 'sharpness_before': sharp[before].mean(),
            'distance': distances.min(axis=1).mean(), 'left': np.mean(distances.argmin(axis=1) == 0)}


def _draw(run, made, tested, shown=3):
    """`figures/frames.png`, and `figures/film.gif`: truth, squared error, critic."""
    _, _, films, _ = tested
    both = [films[:shown, way] for way in (0, 1)]
    rows = both + [np.concatenate([films[:shown, 0, :SEEN], frames[:shown]], axis=1) for frames in made.values()]
    names = ['left', 'right', 'squared error', 'with a critic']
    page = np.concatenate([row[number] for number in range(shown) for row in rows])[:, None]
    figure, axis = figures.plt.subplots(figsize=(7, 9))
    axis.imshow(tiles(page * 2 - 1, SEEN + NEXT), cmap='gray')
    axis.set_yticks((np.arange(4 * shown) + 0.5) * (SIDE + 1), names * shown, fontsize=8)
    axis.set_xticks((np.arange(SEEN + NEXT) + 0.5) * (SIDE + 1),
                    ['seen'] * SEEN + [f'+{frame}' for frame in range(1, NEXT + 1)], fontsize=8)
    axis.set_title(figures.text('9.3.6 The future is open', '未来有多种可能'))
    run.save_figure(figure, 'frames')
    pictures = [tiles(np.concatenate([row[:, frame] for row in rows])[:, None] * 2 - 1, shown).resize(
        (shown * 17 * 6, 4 * 17 * 6), Image.NEAREST) for frame in range(SEEN + NEXT)]
    with atomic_path(run.folder / 'figures' / 'film.gif') as beside:
        pictures[0].save(beside, format='GIF', save_all=True, append_images=pictures[1:], loop=0, duration=400)


EXPERIMENTS = [
    WorkedExample('9.3.6', 'Predicting falling blocks', '预测下落的方块', function=predict_blocks),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
