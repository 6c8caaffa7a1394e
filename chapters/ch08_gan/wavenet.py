"""Section 8.5.2: WaveNet: a sound, sample by sample, each given those before it.

    python -m chapters.ch08_gan.wavenet

"WaveNet: A Generative Model for Raw Audio", https://arxiv.org/abs/1609.03499. The sound is made on the spot: a melody of a
few notes with overtones, and a little noise.
"""
import mxnet as mx
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn
from scipy.io import wavfile

from chapters.kit.experiment import WorkedExample
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.script import run_script
from data_tools.atomic import atomic_path

RATE = 4000  # samples a second
_NOTES = 131, 147, 165, 196, 220  # Hz: C, D, E, G, A
_LENGTH = 800  # samples of a note
LEVELS = 256


def melody(notes, random):
    """A sound from -1 to 1, (notes * 800,): notes drawn by chance, each struck, and dying away.

    The tone is by frequency modulation (Chowning 1973): sin(a + I sin a), its overtones stronger while it is loud.
    """
    t = np.arange(_LENGTH) / RATE
    sound = []
    for pitch in random.choice(_NOTES, notes):
        loud = np.exp(-4 * t) * np.minimum(1, t * 200)
        angle = 2 * np.pi * (pitch * t + random.random())
        sound.append(loud * np.sin(angle + 3 * loud * np.sin(angle)))
    sound = np.concatenate(sound)
    return np.clip(0.9 * sound + 0.005 * random.standard_normal(len(sound)), -1, 1)


def to_levels(sound):
    """Sound from -1 to 1 as 256 levels, finer where it is soft (mu-law, as the paper has it): integers of its shape."""
    soft = np.sign(sound) * np.log1p((LEVELS - 1) * np.abs(sound)) / np.log(LEVELS)
    return np.clip(np.rint((soft + 1) / 2 * (LEVELS - 1)), 0, LEVELS - 1).astype(int)


def to_sound(levels):
    """What levels stand for, from -1 to 1; the inverse of `to_levels`."""
    soft = 2 * np.asarray(levels) / (LEVELS - 1) - 1
    return np.sign(soft) * (LEVELS ** np.abs(soft) - 1) / (LEVELS - 1)


class Layer(gluon.HybridBlock):
    """Figure 4 of the paper: a dilated convolution of two samples, its gate, 1x1 back; the input goes past.

    Input (N, width, T); outputs, both `dilation` samples shorter at the beginning: what the next layer sees, and what this
    one adds to the answer.
    """
    def __init__(self, width, dilation, **kwargs):
        super().__init__(**kwargs)
        self._dilation = dilation
        with self.name_scope():
            self.both = nn.Conv1D(2 * width, 2, dilation=dilation, in_channels=width)
            self.back = nn.Conv1D(2 * width, 1, in_channels=width)

    def hybrid_forward(self, F, x):
        filtered, gate = F.split(self.both(x), num_outputs=2, axis=1)
        past, answer = F.split(self.back(F.tanh(filtered) * F.sigmoid(gate)), num_outputs=2, axis=1)
        return F.slice_axis(x, axis=2, begin=self._dilation, end=None) + past, answer


class WaveNet(gluon.HybridBlock):
    """Dilated causal convolutions: 1, 2, 4, ... samples apart, so that few layers see far back.

    Parameters
    ----------
    width, layers : int
        Channels, and convolutions: an answer sees 2^layers samples.

    Input (N, T) sound from -1 to 1; output logits of the 256 levels of the next sample, (N, 256, T - 2^layers + 1): the
    first is the answer to the first 2^layers samples.
    """
    def __init__(self, width=24, layers=8, **kwargs):
        super().__init__(**kwargs)
        self.seen = 2 ** layers
        with self.name_scope():
            self.first = nn.Conv1D(width, 1, in_channels=1)
            self.layers = nn.HybridSequential()
            for number in range(layers):
                self.layers.add(Layer(width, 2 ** number))
            self.last = nn.HybridSequential()
            self.last.add(nn.Activation('relu'), nn.Conv1D(2 * width, 1, in_channels=width), nn.Activation('relu'),
                          nn.Conv1D(LEVELS, 1, in_channels=2 * width))

    def hybrid_forward(self, F, x):
        h, answers = self.first(F.expand_dims(x, axis=1)), []
        for layer in self.layers:
            h, answer = layer(h)
            answers.append(answer)
        left = sum(2 ** number for number in range(len(answers)))
        total = 0
        for number, answer in enumerate(answers):
            left -= 2 ** number
            total = total + F.slice_axis(answer, axis=2, begin=left, end=None)
        return self.last(total)


class LinearPredictor:
    """The next sample as a weighted sum of those before it, by least squares over a whole sound (T,)."""
    def __init__(self, sound, seen):
        before = np.lib.stride_tricks.sliding_window_view(sound[:-1], seen)
        self._weights = np.linalg.lstsq(before.T @ before + 1e-6 * np.eye(seen), before.T @ sound[seen:], rcond=None)[0]

    def __call__(self, sound):
        """What it expects after each `seen` samples of a sound (T,): (T - seen,)."""
        return np.lib.stride_tricks.sliding_window_view(sound[:-1], len(self._weights)) @ self._weights


def learn(network, levels, updates, random, batch_size=8, length=512, rate=0.003):
    """Train a `WaveNet` on pieces of a sound, given as levels (T,), by cross-entropy; returns the loss of each update."""
    network.initialize(mx.init.Xavier())
    network.hybridize(static_alloc=True)
    trainer, losses = gluon.Trainer(network.collect_params(), 'adam'), []
    loss_of = gluon.loss.SoftmaxCrossEntropyLoss(axis=1)
    for update in tqdm(range(updates), 'training', leave=False, disable=None):
        starts = random.integers(0, len(levels) - network.seen - length, batch_size)
        pieces = np.stack([levels[start:start + network.seen + length] for start in starts])
        trainer.set_learning_rate(rate * (1 - update / updates))
        with autograd.record():
            loss = loss_of(network(nd.array(to_sound(pieces[:, :-1]))), nd.array(pieces[:, network.seen:])).mean()
        loss.backward()
        trainer.step(1)
        losses.append(float(loss.asscalar()))
    return losses


def generate(network, begun, count, random):
    """`count` samples that follow a sound (seen,), each drawn by the probabilities of its levels; all of it, from -1 to 1."""
    sound = np.concatenate([begun, np.zeros(count)])
    for place in tqdm(range(len(begun), len(sound)), 'sampling', leave=False, disable=None):
        chances = nd.softmax(network(nd.array(sound[None, place - network.seen:place]))[0, :, 0]).asnumpy().astype(float)
        sound[place] = to_sound(random.choice(LEVELS, p=chances / chances.sum()))
    return sound


def compare_waves(run, notes=60, updates=1000, width=24, layers=8, made=1600):
    """A dilated causal network, and a linear predictor that sees as far back, guess the next sample of a sound.

    Parameters
    ----------
    run : Run
    notes : int
        Of the melody to learn from, 800 samples each; 10 others are for the test.
    updates, width, layers : int
        Of the network.
    made : int
        Samples to generate.

    Returns
    -------
    dict
        'wavenet_db', 'linear_db', 'repeat_db' (the last sample once more): how much weaker than the sound the error of
        the next sample is, in dB; 'bits', what a sample costs by the network's probabilities; 'made_loudness', the
        generated sound's root mean square beside the real one's.
    """
    random = seed_everything(run.seed)
    learnt, test = to_levels(melody(notes, random)), to_levels(melody(10, random))
    network = WaveNet(width, layers)
    losses = learn(network, learnt, updates, random)
    run.say(f'loss {losses[0]:.2f} to {np.mean(losses[-20:]):.2f} nats a sample')
    heard, wanted = to_sound(test), to_sound(test)[network.seen:]
    logits = network(nd.array(heard[None, :-1]))
    chances = nd.softmax(logits, axis=1).asnumpy()[0].astype(float)  # (256, T)
    guesses = {'wavenet': to_sound(np.arange(LEVELS)) @ chances,
               'linear': LinearPredictor(to_sound(learnt), network.seen)(heard), 'repeat': heard[network.seen - 1:-1]}
    metrics = {f'{name}_db': 10 * np.log10(np.square(wanted).mean() / np.square(guess - wanted).mean())
               for name, guess in guesses.items()}
    metrics['bits'] = -np.log2(chances[test[network.seen:], np.arange(len(wanted))].clip(1e-12)).mean()
    sound = generate(network, heard[:network.seen], made, random)
    metrics['made_loudness'] = sound[network.seen:].std() / heard.std()
    for name, wave in (('melody', heard), ('made', sound)):
        with atomic_path(run.folder / f'{name}.wav') as beside:
            wavfile.write(beside, RATE, (wave * 32767).astype(np.int16))
    _draw(run, heard, sound, network.seen, {name: guess - wanted for name, guess in guesses.items() if name != 'repeat'},
          metrics)
    return metrics


def _draw(run, heard, sound, seen, errors, metrics):
    figure, axes = figures.plt.subplots(3, 1, figsize=(9, 5.2))
    milliseconds = np.arange(len(sound)) / RATE * 1000
    axes[0].plot(milliseconds, heard[:len(sound)], linewidth=0.6)
    axes[0].set_title(figures.text('8.5.2 A melody, made on the spot', '现场合成的旋律'), fontsize=9)
    axes[1].plot(milliseconds[:seen], sound[:seen], linewidth=0.6)
    axes[1].plot(milliseconds[seen:], sound[seen:], linewidth=0.6, color='tab:orange')
    axes[1].set_title(figures.text('its beginning, and what is generated after it', '旋律开头，与其后生成的波形'), fontsize=9)
    for name, error in errors.items():
        axes[2].plot(milliseconds[seen:], error[:len(sound) - seen], linewidth=0.6,
                     label=f'{name}: {metrics[f"{name}_db"]:.1f} dB')
    axes[2].set_title(figures.text('error of the next sample', '下一个采样的误差'), fontsize=9)
    axes[2].legend(fontsize=8, loc='upper right')
    axes[2].set_xlabel('ms')
    figure.tight_layout()
    run.save_figure(figure, 'waves')


EXPERIMENTS = [
    WorkedExample('8.5.2-wavenet', 'WaveNet: a dilated causal network on a sound wave', 'WaveNet：声波上的膨胀因果网络',
                  function=compare_waves),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
