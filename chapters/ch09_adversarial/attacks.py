"""Section 9.2: attacks on a classifier: small changes of an image that change its answer.

All here work on batches of images (N, C, H, W) whose pixels go from 0 to 1, and leave them there; epsilon is in the same unit:
8 / 255 is eight steps of an 8-bit image.
"""
import numpy as np
from mxnet import autograd, nd

from chapters.kit.inside.looking import recording
from data_tools.errors import UserError

_BATCH = 100


class Victim:
    """A network as an attack sees it: pixels in, logits out, and the gradient at the pixels.

    Parameters
    ----------
    network : HybridBlock
        Input (N, C, H, W), output logits (N, classes).
    scale : float
        What pixels from 0 to 255 are multiplied by for the network, as `Facts` has it.
    before : callable, optional
        `before(x) -> x`, of MXNet arrays: what happens to images on their way to the network, such as a defence or a camera.
        Gradients come back through it.
    """
    def __init__(self, network, scale=1 / 255, before=None):
        self.network, self._scale, self._before = network, scale, before

    def behind(self, before):
        """The same network behind something that images pass first."""
        return Victim(self.network, self._scale, before)

    def _logits(self, x):
        x = self._before(x) if self._before else x
        return self.network(x * (255 * self._scale))

    def logits(self, images):
        """(N, C, H, W) -> (N, classes), numpy arrays."""
        return np.concatenate([self._logits(nd.array(images[start:start + _BATCH])).asnumpy()
                               for start in range(0, len(images), _BATCH)])

    def probabilities(self, images):
        """(N, C, H, W) -> (N, classes)."""
        return nd.softmax(nd.array(self.logits(images))).asnumpy()

    def answers(self, images):
        """(N, C, H, W) -> (N,), class numbers."""
        return self.logits(images).argmax(axis=1)

    def accuracy(self, images, labels):
        """Share of images whose answer is their label."""
        return float((self.answers(images) == labels).mean())

    def gradient(self, images, labels, value):
        """How a value of the logits changes with the pixels.

        Parameters
        ----------
        images : numpy.ndarray, (N, C, H, W)
        labels : numpy.ndarray of int, (N,)
        value : callable
            `value(logits, labels) -> (N,)`, of MXNet arrays.

        Returns
        -------
        (numpy.ndarray (N,), numpy.ndarray (N, C, H, W))
            The values, and the gradient of each at its image.
        """
        values, gradients = [], []
        for start in range(0, len(images), _BATCH):
            x, y = nd.array(images[start:start + _BATCH]), nd.array(labels[start:start + _BATCH])
            x.attach_grad()
            with recording(self.network):
                each = value(self._logits(x), y)
            gradients.append(autograd.grad(each, [x], train_mode=False)[0].asnumpy())  # BN as in prediction
            values.append(each.asnumpy())
        return np.concatenate(values), np.concatenate(gradients)


class Several(Victim):
    """Several networks at once: their mean logits, and the mean of their gradients' directions, so that all have a say.

    Liu, Chen, Liu, Song 2016, https://arxiv.org/abs/1611.02770: what fools several fools one that nobody has seen.
    """
    def __init__(self, victims):
        self._victims = list(victims)

    def logits(self, images):
        return np.mean([victim.logits(images) for victim in self._victims], axis=0)

    def gradient(self, images, labels, value):
        values, gradients = zip(*(victim.gradient(images, labels, value) for victim in self._victims))
        return np.mean(values, axis=0), np.mean([_unit(gradient) for gradient in gradients], axis=0)


def _unit(gradient):
    """Each image's gradient divided by its length."""
    length = np.sqrt(np.square(gradient).sum(axis=(1, 2, 3), keepdims=True))
    return gradient / np.maximum(length, 1e-20)


def loss(logits, labels):
    """-log of the class's probability: an attack without target raises it at the true class."""
    return -nd.pick(nd.log_softmax(logits), labels)


def log_probability(logits, labels):
    """log of the class's probability: an attack raises it at its target."""
    return nd.pick(nd.log_softmax(logits), labels)


def within(changed, images, epsilon):
    """The nearest images whose pixels are at most epsilon from those of `images`, and from 0 to 1."""
    return np.clip(np.clip(changed, images - epsilon, images + epsilon), 0, 1).astype(np.float32)


def as_saved(images):
    """What is left after saving as PNG: pixels in steps of 1 / 255."""
    return (np.rint(255 * np.asarray(images)) / 255).astype(np.float32)


def fgsm(victim, images, labels, epsilon, targeted=False):
    """Fast gradient sign method: x + epsilon sign(dL/dx), one step as far as the box goes.

    Goodfellow, Shlens, Szegedy 2014, https://arxiv.org/abs/1412.6572

    Parameters
    ----------
    victim : Victim
    images : numpy.ndarray, (N, C, H, W)
        Pixels from 0 to 1.
    labels : numpy.ndarray of int, (N,)
        The true classes, to get away from; with `targeted` those to arrive at.
    epsilon : float
        The most that a pixel may change.
    targeted : bool

    Returns
    -------
    numpy.ndarray of float32, (N, C, H, W)
    """
    return ascend(victim, images, labels, epsilon, 1, epsilon, targeted)


def iterated(victim, images, labels, epsilon, steps=10, step=None, targeted=False):
    """FGSM in small steps, each brought back into the box.

    Kurakin, Goodfellow, Bengio 2016, https://arxiv.org/abs/1607.02533. Parameters as for `fgsm`; `step`: of a pixel,
    default 2.5 epsilon / steps.
    """
    return ascend(victim, images, labels, epsilon, steps, step, targeted)


def pgd(victim, images, labels, epsilon, steps=40, step=None, targeted=False, restarts=1, seed=0):
    """Projected gradient descent: as `iterated`, from a random place in the box; of several starts one that succeeds.

    Madry, Makelov, Schmidt, Tsipras, Vladu 2017, https://arxiv.org/abs/1706.06083
    """
    random, best, found = np.random.default_rng(seed), None, None
    for _ in range(restarts):
        start = within(images + random.uniform(-epsilon, epsilon, images.shape), images, epsilon)
        changed = ascend(victim, images, labels, epsilon, steps, step, targeted, start)
        if restarts == 1:
            return changed
        succeeds = (victim.answers(changed) == labels) == targeted
        best = changed if best is None else np.where(found[:, None, None, None], best, changed)
        found = succeeds if found is None else found | succeeds
    return best


def ascend(victim, images, labels, epsilon, steps, step=None, targeted=False, start=None):
    """The steps that FGSM, its iteration and PGD share; parameters as there, and where to start."""
    value = log_probability if targeted else loss
    step = 2.5 * epsilon / steps if step is None else step
    changed = np.asarray(images if start is None else start, np.float32)
    for _ in range(steps):
        changed = within(changed + step * np.sign(victim.gradient(changed, labels, value)[1]), images, epsilon)
    return changed


def carlini_wagner(victim, images, labels, targeted=False, steps=100, searches=5, confidence=0.0, rate=0.01, weight=1.0):
    """The smallest change, in squared error, that changes the answer.

    Carlini, Wagner 2016, https://arxiv.org/abs/1608.04644: minimise

        |x - x0|^2 + c max(margin + confidence, 0)

    by Adam, where the margin is the logit of the true class over the largest other one (targeted: the largest other one over
    the target's). c is found image by image, by bisection. Pixels are kept valid by clipping, one of the paper's three ways;
    by its other, a tanh, pixels that are quite black hardly move.

    Parameters
    ----------
    victim, images, labels, targeted
        As for `fgsm`.
    steps, searches : int
        Of Adam, for each of so many values of c.
    confidence : float
        By how much the new class must lead, in logits: rounding to 8 bits costs some.
    rate : float
        Of Adam.
    weight : float
        The first c.

    Returns
    -------
    numpy.ndarray of float32, (N, C, H, W)
        The image as it was, where nothing was found.
    """
    def margin(logits, y):
        mine = nd.one_hot(y, logits.shape[1])
        own, other = nd.pick(logits, y), (logits - 1e9 * mine).max(axis=1)
        return other - own if targeted else own - other
    images = np.asarray(images, np.float32)
    c, low, high = (np.full(len(images), number, np.float64) for number in (weight, 0.0, np.inf))
    best, smallest = images.copy(), np.full(len(images), np.inf)
    for _ in range(searches):
        x, first, second, found = images, 0.0, 0.0, np.zeros(len(images), bool)
        for number in range(1, steps + 1):
            margins, slopes = victim.gradient(x, labels, margin)
            change = x - images
            error = np.square(change).sum(axis=(1, 2, 3))
            succeeds = margins < 0 if not confidence else margins <= -confidence
            better = succeeds & (error < smallest)
            best[better], smallest[better] = x[better], error[better]
            found |= succeeds
            gradient = 2 * change + (c * (margins + confidence > 0))[:, None, None, None] * slopes
            first, second = 0.9 * first + 0.1 * gradient, 0.999 * second + 0.001 * gradient ** 2
            step = rate * (first / (1 - 0.9 ** number)) / (np.sqrt(second / (1 - 0.999 ** number)) + 1e-8)
            x = np.clip(x - step, 0, 1).astype(np.float32)
        high, low = np.where(found, np.minimum(high, c), high), np.where(found, low, np.maximum(low, c))
        c = np.where(np.isinf(high), 10 * c, (low + high) / 2)
    return best


def by_name(name):
    """The attack of a name, as `attack(victim, images, labels, epsilon, targeted=...)`.

    Raises
    ------
    UserError
        There is none.
    """
    if name == 'cw':  # it knows no box; the lead makes it survive rounding
        return lambda victim, images, labels, epsilon, targeted=False: carlini_wagner(
            victim, images, labels, targeted, confidence=1.0)
    if name not in ATTACKS:
        raise UserError(f'--attack {name}: there is {", ".join([*ATTACKS, "cw"])}')
    return ATTACKS[name]


def noise(images, epsilon, seed=0):
    """The control: every pixel changed by epsilon, up or down at random."""
    signs = np.random.default_rng(seed).choice((-1, 1), images.shape)
    return within(images + epsilon * signs, images, epsilon)


ATTACKS = {'fgsm': fgsm, 'iterated': iterated, 'pgd': pgd}
