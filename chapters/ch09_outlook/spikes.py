"""Section 9.4.1: neurons that spike, and learn by when: STDP, without labels and without gradients.

    python -m chapters run 9.4.1-stdp --data mnist --subset 5000

After Diehl, Cook, "Unsupervised learning of digit recognition using spike-timing-dependent plasticity",
https://doi.org/10.3389/fncom.2015.00099, much simplified.
"""
import mxnet as mx
import numpy as np
from sklearn.cluster import KMeans

from chapters.kit.data.images import load_images
from chapters.kit.experiment import Study
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything, train_epochs
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools.errors import UserError

_PARTS = 10  # of the training images: it goes on after the last whole one


class SpikingLayer:
    """Leaky neurons that add up weighted spikes and fire above a threshold; who fires first silences the others.

    Parameters
    ----------
    inputs, neurons : int
    steps : int
        Of time, for which an image is shown; each a millisecond or so.
    rate : float
        Probability of a spike of a white pixel in a step.
    leak : float
        What is left of a neuron's voltage, and of the trace of a spike, after a step.
    stdp_rate : float
        At a spike of a neuron, a weight moves by so much of its way towards the trace of its input: inputs that spiked
        shortly before are strengthened, those that did not are weakened.
    tiring : float
        What a spike adds to the neuron's threshold, so that others have a turn.
    random : numpy.random.Generator
    """
    def __init__(self, inputs, neurons=25, steps=20, rate=0.3, leak=0.8, stdp_rate=0.05, tiring=0.02, random=None):
        self.random = random or np.random.default_rng(0)
        self.weights = self.normalised(self.random.random((neurons, inputs)))
        self.thresholds = np.full(neurons, 0.5)
        self.steps, self.rate, self.leak = steps, rate, leak
        self.stdp_rate, self.tiring = stdp_rate, tiring

    @staticmethod
    def normalised(weights):
        """Weights (neurons, inputs), those of a neuron of length 1."""
        return weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-9)

    def show(self, image, learn=False):
        """Show an image (inputs,) from 0 to 1; returns how often each neuron fired.

        `learn`: STDP. The brightness of images does not count: all have as many spikes.
        """
        spikes = self.random.random((self.steps, len(image))) < self.rate * image
        voltage, trace = np.zeros(len(self.weights)), np.zeros(len(image))
        counts, drive = np.zeros(len(self.weights), int), spikes @ self.weights.T / max(1e-9, np.linalg.norm(image))
        for now in range(self.steps):
            voltage = self.leak * voltage + drive[now]
            trace = self.leak * trace + spikes[now]
            first = np.argmax(voltage - self.thresholds)
            if voltage[first] < self.thresholds[first]:
                continue
            counts[first] += 1
            voltage[:] = 0  # it is spent, and the others silenced
            if learn:
                wanted = trace / max(1e-9, np.linalg.norm(trace))
                self.weights[first] += self.stdp_rate * (wanted - self.weights[first])
                self.thresholds[first] += self.tiring
                self.thresholds *= 1 - self.tiring / len(self.thresholds)
        return counts


def learn_by_spikes(run):
    """Show training images, once each, in ten parts; then see which class each neuron fires for, and what it says of test
    images.

    Returns
    -------
    (dict, list of dict)
        Test accuracy, that of as many means of k-means read in the same way, and of the layer before it has learnt; the
        history, a row for each part, with the spikes an image.
    """
    data, sizes = run.data, run.experiment.sizes
    if data.stream:
        raise UserError(f'{run.experiment.section}: takes image sets of arrays')
    fewest = max(_PARTS, sizes.get('neurons', spiking()['neurons']))
    if len(data.train_x) < fewest:
        raise UserError(f'{run.experiment.section}: needs {fewest} training images, one for each neuron and for each of '
                        f'{_PARTS} parts; there are {len(data.train_x)}')
    random = seed_everything(run.seed)
    x, y = data.train_x.reshape(len(data.train_x), -1), data.train_y.astype(int)
    test_x, test_y = data.validation_x.reshape(len(data.validation_x), -1), data.validation_y.astype(int)
    classes, layer = int(y.max()) + 1, SpikingLayer(x.shape[1], random=random, **spiking(**sizes))
    few, tests = random.permutation(len(x))[:1000], slice(1000)

    def read():
        """Each neuron is given the class that it fires for most; an answer is the class with most spikes a neuron."""
        fired = np.array([layer.show(image) for image in x[few]])
        mean = np.stack([fired[y[few] == label].mean(axis=0) if (y[few] == label).any() else np.zeros(len(layer.weights))
                         for label in range(classes)])
        share = mean / np.maximum(mean.sum(axis=0), 1e-9)  # (classes, neurons)
        said = np.array([layer.show(image) for image in test_x[tests]]) @ share.T
        return np.mean(said.argmax(axis=1) == test_y[tests])
    before, parts = read(), np.array_split(random.permutation(len(x)), _PARTS)

    def train(part, random):
        layer.random = random
        fired = [layer.show(x[number], learn=True).sum() for number in tqdm(parts[part], 'images', leave=False, disable=None)]
        return {'samples': len(fired), 'learning_rate': layer.stdp_rate, 'train_spikes': float(np.mean(fired))}

    def arrays():
        return {name: mx.nd.array(getattr(layer, name), dtype='float64') for name in ('weights', 'thresholds')}

    def restore(saved, _):
        layer.weights, layer.thresholds = saved['weights'].asnumpy(), saved['thresholds'].asnumpy()
    history = train_epochs(run, _PARTS, train, arrays=arrays, restore=restore)
    layer.random = seed_everything(run.seed, _PARTS)
    after = read()
    means = KMeans(len(layer.weights), n_init=1, random_state=run.seed % (1 << 32)).fit(x)
    owners = [np.bincount(y[means.labels_ == number], minlength=classes).argmax() for number in range(len(layer.weights))]
    columns = int(np.ceil(len(layer.weights) ** 0.5))
    figure, axes = figures.plt.subplots(columns, columns, figsize=(6, 6.4), squeeze=False)
    for axis in axes.flat:
        axis.axis('off')
    for axis, weights in zip(axes.flat, layer.weights):
        axis.imshow(weights.reshape(data.train_x.shape[1:]).mean(axis=0), cmap='gray')
    figure.suptitle(figures.text('9.4.1 What STDP has learnt', '脉冲时序可塑性学到的权重'))
    run.save_figure(figure, 'weights')
    return {'accuracy': after, 'accuracy_before': before,
            'accuracy_of_means': np.mean(np.array(owners)[means.predict(test_x[tests])] == test_y[tests])}, history


def spiking(neurons=25, steps=20, rate=0.3, leak=0.8, stdp_rate=0.05, tiring=0.02):
    """What can be set of a `SpikingLayer`."""
    return dict(neurons=neurons, steps=steps, rate=rate, leak=leak, stdp_rate=stdp_rate, tiring=tiring)


EXPERIMENTS = [
    Study('9.4.1-stdp', 'Spiking neurons learn digits by STDP', '脉冲神经元用 STDP 学习数字', network=spiking,
          function=learn_by_spikes, loader=load_images, data='digits', recipe=Recipe(epochs=1),
          limits=dict.fromkeys(('rate', 'leak', 'stdp_rate', 'tiring'), (0, 1)),  # beyond that weights grow without end
          ignores=tuple(name for name in vars(Recipe()) if name != 'train_samples')),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
