"""A recipe: what the book prints above a training run, as data."""
import dataclasses
import math
from dataclasses import dataclass

from data_tools.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """The settings of one training run.

    Attributes
    ----------
    epochs : int
        Passes over the training set.
    batch_size : int
        Samples an update, over all devices together.
    optimizer : str
        Name of an `mxnet.optimizer`: 'sgd', 'adam', ...
        Those of `chapters.kit.training.optimizers` among them: 'muon', 'nagw'.
    learning_rate : float
    momentum : float
        For 'sgd', 'nag', 'nagw', 'muon'; the first beta of 'adam'.
    weight_decay : float
        L2: adds `weight_decay * w` to the gradient of every weight (3.2). Of 'nagw' and 'muon': takes
        `weight_decay * w` from every weight, less as the rate falls.
    bias_rate : float
        The learning rate of biases, of BN's too, is multiplied by this.
    lookahead : int
        After so many updates weights go half of the way back to where they were; 0: never
        (`chapters.kit.training.optimizers.Lookahead`).
    l1 : float
        L1: adds `l1 * sign(w)` to the gradient of every weight (3.2).
    lr_factor, lr_every : float
        The learning rate is multiplied by `lr_factor` after every `lr_every` epochs (3.3.1).
    warmup_epochs : float
        The learning rate grows linearly from 0 over the first epochs (3.3.2).
    anneal : float
        Share of all epochs, at the end, over which the learning rate falls to 0 along half a cosine.
    decline : float
        The same along a straight line.
    fall_factor, least_rate : float
        The rule of 7.2: the learning rate is multiplied by `fall_factor` after every epoch whose mean training loss
        was higher than the one before, and training stops once it is under `least_rate` (1 and 0: no such rule).
    base_batch_size, rate_exponent : int, float
        The rule of 3.3.2: with another batch size than `base_batch_size` (0: rule off) the learning rate is
        multiplied by `(batch_size / base_batch_size) ** rate_exponent`, the exponent from 0.5 to 1.
    initializer : str
        How weights start: 'uniform(0.01)', 'normal(0.01)', 'constant(0)', 'xavier', or 'msra(avg,0)' with the factor
        type and the slope of `mxnet.init.MSRAPrelu`; 'dirac': convolutions hand on what they get, as far as they have
        filters.
    augmentation : str
        How training images are changed at random: see `chapters.kit.data.augmentation.Augmentation` (5.4.4, 5.4.5).
    pixels : int
        Side of the square images that the network sees; 0: as the experiment has it.
    label_smoothing : float
        The target is `1 - label_smoothing` for the true class, the rest spread over all classes (3.2).
    label_noise : float
        Share of training labels replaced, once, by a random class (3.2).
    mixup : float
        Alpha of the Beta distribution from which each batch draws its mixing weight; 0: no mixing (3.2).
    patience : int
        Early stopping: stop after so many epochs without a better validation figure; 0: never (3.2).
    train_samples : int
        Train on the first so many samples only; 0: on all.
    frozen, fresh : str
        Beginnings of names of layers, with blanks between them (5.3): layers that learn nothing, and layers that start
        anew although the others start from `--init`.
    old_rate : float
        The learning rate of all but the fresh layers is multiplied by this (5.3).
    samples_per_epoch : int
        Virtual epochs (7.2): an epoch is so many samples, the next epoch goes on where it ended; 0: all samples.
    small_pixels, small_epochs : int
        In the first `small_epochs` epochs images are scaled to `small_pixels` square, which takes less time; for
        networks that end in a global average.
    dtype : str
        In what convolutions and matrix products compute: 'float32', 'bfloat16' or 'float16'
        (`chapters.kit.training.precision`).
    """
    epochs: int = 10
    batch_size: int = 32
    optimizer: str = 'sgd'
    learning_rate: float = 0.1
    momentum: float = 0.0
    weight_decay: float = 0.0
    bias_rate: float = 1.0
    lookahead: int = 0
    l1: float = 0.0
    lr_factor: float = 1.0
    lr_every: float = 1.0
    warmup_epochs: float = 0.0
    anneal: float = 0.0
    decline: float = 0.0
    fall_factor: float = 1.0
    least_rate: float = 0.0
    base_batch_size: int = 0
    rate_exponent: float = 1.0
    initializer: str = 'xavier'
    augmentation: str = ''
    pixels: int = 0
    label_smoothing: float = 0.0
    label_noise: float = 0.0
    mixup: float = 0.0
    patience: int = 0
    train_samples: int = 0
    frozen: str = ''
    fresh: str = ''
    old_rate: float = 1.0
    samples_per_epoch: int = 0
    small_pixels: int = 0
    small_epochs: int = 0
    dtype: str = 'float32'

    def __post_init__(self):
        for name, (low, high) in _LIMITS.items():
            value = getattr(self, name)
            if not low <= value <= high:  # false for NaN as well
                raise UserError(f'recipe: {name}={value} is out of range; give a number from {low} to {high}')
        if self.learning_rate < self.least_rate:
            raise UserError(f'recipe: learning_rate={self.learning_rate} is under least_rate={self.least_rate}: '
                            'training would end before it began')
        if bool(self.small_pixels) != bool(self.small_epochs):
            raise UserError('recipe: small_pixels and small_epochs go together; give both')

    @property
    def peak_learning_rate(self):
        """The learning rate after the rule of 3.3.2, before schedule and warm-up."""
        if not self.base_batch_size:
            return self.learning_rate
        return self.learning_rate * (self.batch_size / self.base_batch_size) ** self.rate_exponent

    def rate(self, update, updates_per_epoch):
        """The learning rate of an update.

        Parameters
        ----------
        update : int
            Counted from 1, as optimizers of MXNet count.
        updates_per_epoch : int

        Returns
        -------
        float
            As `mxnet.lr_scheduler.FactorScheduler` has it: with a step of n updates, the first change comes at
            update n + 1.
        """
        step = max(1, int(self.lr_every * updates_per_epoch))
        rate = self.peak_learning_rate * self.lr_factor ** ((update - 1) // step)
        last = self.epochs * updates_per_epoch
        for share, left in ((self.anneal, lambda done: (1 + math.cos(math.pi * done)) / 2),
                            (self.decline, lambda done: 1 - done)):
            done = (update - 1 - last * (1 - share)) / (last * share) if share else 0
            if done > 0:
                rate *= left(min(1, done))
        warmup = self.warmup_epochs * updates_per_epoch
        return rate * min(1.0, update / warmup) if warmup else rate

    def falls(self, losses):
        """What the rule of 7.2 multiplies the learning rate by, after epochs with these mean training losses."""
        return self.fall_factor ** sum(later > earlier for earlier, later in zip(losses, losses[1:]))

    def but(self, **changes):
        """The same recipe with some fields changed.

        Raises
        ------
        UserError
            A field that recipes do not have, or a value that it cannot take.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        converted = {}
        for name, value in changes.items():
            if name not in defaults:
                raise UserError(f'recipe: there is no field {name!r}; there are {", ".join(defaults)}')
            converted[name] = convert(name, value, defaults[name])
        return dataclasses.replace(self, **converted)

    def __str__(self):
        """The fields that differ from the defaults, one line."""
        return ', '.join(f'{field.name}={getattr(self, field.name)}' for field in dataclasses.fields(self)
                         if getattr(self, field.name) != field.default or field.name in _ALWAYS_SHOWN)


def convert(name, value, default):
    """The text of a `--set` as the type of its setting's default; a `UserError` if it is none."""
    kind = type(default)
    if isinstance(value, kind) and not isinstance(value, bool):
        return value
    of_each = float if kind is tuple and any(isinstance(part, float) for part in default) else int
    try:
        if kind is bool:
            return {'true': True, '1': True, 'yes': True, 'false': False, '0': False, 'no': False}[
                str(value).lower()]
        if kind is tuple:
            return tuple(of_each(part) for part in str(value).strip(' ()[]').rstrip(',').split(','))
        return kind(value)
    except (ValueError, TypeError, KeyError):
        wanted = 'numbers such as 0.5,2' if of_each is float else 'whole numbers such as 8,16' if kind is tuple else \
            f'a value of type {kind.__name__}'
        raise UserError(f'--set {name}={value}: not {wanted}') from None


_ALWAYS_SHOWN = ('epochs', 'batch_size', 'optimizer', 'learning_rate', 'initializer')
_LIMITS = {
    'epochs': (1, 100000), 'batch_size': (1, 1 << 20), 'learning_rate': (1e-12, 1e6), 'momentum': (0, 1),
    'weight_decay': (0, 10), 'l1': (0, 10), 'lr_factor': (1e-6, 10), 'lr_every': (1e-6, 1e6),
    'warmup_epochs': (0, 1e6), 'base_batch_size': (0, 1 << 20), 'rate_exponent': (0, 2),
    'label_smoothing': (0, 1), 'label_noise': (0, 1), 'mixup': (0, 100), 'patience': (0, 100000),
    'old_rate': (0, 1000), 'train_samples': (0, 1 << 40), 'samples_per_epoch': (0, 1 << 40), 'anneal': (0, 1),
    'decline': (0, 1), 'bias_rate': (0, 1000), 'lookahead': (0, 100000),
    'fall_factor': (1e-6, 1), 'least_rate': (0, 1e6), 'pixels': (0, 1 << 14),
    'small_pixels': (0, 1 << 14), 'small_epochs': (0, 100000),
}
