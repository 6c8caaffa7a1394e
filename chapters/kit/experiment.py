"""An experiment: one thing of the book that runs, with the figure that the book printed for it.

Three kinds are here: a `WorkedExample` computes, a `Training` trains a network by a recipe, a `Study` trains it several
times. Chapter 6 and 8 have kinds of their own. Each names its code by the code itself.
"""
import importlib
import importlib.util
import inspect
import math
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Callable, ClassVar, Mapping, Optional, Tuple

from mxnet import gluon
from mxnet.base import MXNetError

from chapters.kit.data.images import load_images
from chapters.kit.training.recipe import Recipe, convert
from chapters.kit.training.train import train
from data_tools.errors import UserError


@dataclass(frozen=True)
class BookFigure:
    """A figure printed in the book.

    Attributes
    ----------
    value : float
    metric : str
        The name under which our run measures the same, e.g. 'validation_accuracy'.
    data : str
        The data set it was measured on.
    note : str
        Where it stands or what it means, if that is not plain.
    """
    value: float
    metric: str
    data: str = ''
    note: str = ''


def figures_of(data='', **printed):
    """Figures of the book, by the names under which our programs return the same; `data`: what they were measured on."""
    return tuple(BookFigure(value, metric, data) for metric, value in printed.items())


def _required():
    raise TypeError('an experiment needs its network or its function')


@dataclass(frozen=True)
class Experiment:
    """What the command line, the report, the notebooks and the tests know of any experiment.

    Attributes
    ----------
    section : str
        Section of the book, with a suffix for a variation: '2.2.8', '2.2.8-batch10'. Of your own: a name.
    title, title_zh : str
        In English and Chinese.
    book : tuple of BookFigure
    remark : str
        Why our figures differ from the book's, in a sentence for the report.
    sizes : mapping of str to value
        Arguments of its network, or of its function, that differ from their defaults.
    changed : mapping of str to value
        What `but` has changed from the experiment of the book.
    limits : mapping of str to (float, float)
        Least and greatest value of settings for which the rule of `require_range` does not hold.
    address : str
        'FILE.py:NAME' or 'module:NAME' of an experiment that is not the book's; empty for the book's.
    """
    section: str
    title: str
    title_zh: str = ''
    book: Tuple[BookFigure, ...] = ()
    remark: str = ''
    sizes: Mapping[str, Any] = field(default_factory=dict)
    changed: Mapping[str, Any] = field(default_factory=dict)
    limits: Mapping[str, Tuple[float, float]] = field(default_factory=dict)
    address: str = ''

    # What a kind may have, for those who ask any experiment.
    recipe: ClassVar[Any] = None
    recipe_name: ClassVar[Any] = ''
    data: ClassVar[Any] = ''
    listing: ClassVar[Any] = None
    shared: ClassVar[bool] = False  # whether several workers can do it together (`--distributed`)
    trains: ClassVar[bool] = False  # whether one network learns by the recipe and is left in the run folder
    detects: ClassVar[bool] = False  # whether what it trains finds boxes (`detect`)
    lowers: ClassVar[bool] = False  # whether it can train in 16 bits (`--dtype`)
    stand_in: ClassVar[Any] = ''  # data that come with the project, for where the book's are not at hand
    shown_samples: ClassVar[bool] = False  # whether its network takes samples of `sample_shape`, whatever its other sizes are
    snapshots: ClassVar[Any] = ()
    fast: ClassVar[Any] = None

    @property
    def recipe_label(self):
        """'book' or 'fast' where there is a choice, to stand beside its figures; else empty."""
        return self.recipe_name or 'book' * bool(self.fast)

    @property
    def source(self) -> Callable:
        """The code that `show` names."""
        raise NotImplementedError

    def perform(self, run):
        """Do it.

        Parameters
        ----------
        run : chapters.kit.trained.run.Run

        Returns
        -------
        dict of str to float, or (dict, list of dict)
            Figures, and the history where there is one.
        """
        raise NotImplementedError

    def answering(self, network):
        """A trained network as other programs want it, with what makes answers of its planes."""
        return network

    def judging(self, network, folder):
        """A trained network with what a run folder has besides to judge its samples by (7.2's head); without that, itself."""
        return network

    def examples(self):
        """Some pictures to show its network, uint8 (H, W, 3), that come with the project or can be made; of most none."""
        return ()

    def figure(self, metric, data=''):
        """The book's figure of a metric, or None."""
        for printed in self.book:
            if printed.metric == metric and printed.data in ('', data):
                return printed
        return None

    def settings(self):
        """{name: value} of what `but` can change."""
        return {}

    def defaults(self):
        """{name: default} of the arguments of its function, or of its network."""
        return {}

    def require_network(self):
        """Raise a `UserError` where sizes were changed, and there is no such network."""

    def by(self, recipe_name):
        """The same by another recipe (`--recipe`), where there is one."""
        if recipe_name:
            raise UserError(f'{self.section}: trains nothing by a recipe; leave out --recipe')
        return self

    def but(self, **changes):
        """The same experiment with other settings (`--set`).

        Raises
        ------
        UserError
            There is no setting of that name, or the value is not of its type, or out of range.
        """
        known, defaults = self.settings(), self.defaults()
        converted = {}
        for name, value in changes.items():
            if name not in known:
                raise UserError(f'{self.section}: there is nothing called {name!r} to set; there is '
                                f'{", ".join(known) or "nothing"}')
            converted[name] = convert(name, value, known[name])
            if name in defaults:  # the fields of a recipe have limits of their own
                require_range(name, converted[name], defaults[name], self.limits.get(name), bool(self.address))
        return replace(self._with(converted), changed={**self.changed, **converted})

    def _with(self, changes):
        raise NotImplementedError


@dataclass(frozen=True)
class WorkedExample(Experiment):
    """A computation of the book, by hand and by MXNet.

    Attributes
    ----------
    function : callable
        `function(run, **settings) -> metrics`, or `(metrics, history)`.
        What it takes beside `run` can be set.
    """
    function: Callable = field(default_factory=_required)

    @property
    def source(self) -> Callable:
        return self.function

    def perform(self, run):
        return self.function(run, **self.sizes)

    def settings(self):
        return {**self.defaults(), **self.sizes}

    def defaults(self):
        return defaults_of(self.function)

    def _with(self, changes):
        return replace(self, sizes={**self.sizes, **changes})


@dataclass(frozen=True)
class Training(Experiment):
    """A network that learns by a recipe.

    Attributes
    ----------
    network : type of HybridBlock
        Or a function that makes one. Where it has a size called `classes`, that follows the data.
    recipe : Recipe
        What the book prints above the training.
    fast : Recipe, optional
        One of ours that costs less, and is to reach the book's figure all the same (`--recipe fast`).
    recipe_name : str
        'fast' where it is that one; else empty.
    prepare : callable, optional
        `prepare(network, data)`: called after the first values and before the first update.
    data : str
        Name of the data that it is trained on where `--data` names none; empty: it must.
    loader : callable
        `loader(experiment, name, data_root, seed) -> TrainingData`. Default: images, whatever `--data` names.
    sample_shape : tuple of int
        Of one sample as the book has it, (C, H, W): images of another size are brought to this one; the number of
        channels is that of the data.
    scale : float
        What pixels from 0 to 255 are multiplied by. The book divides gray images by 255, and leaves those of `.rec`
        files.
    objective : str
        'softmax' (cross-entropy with class labels), or 'square' (half the squared difference).
    top : tuple of int
        Also measure how often the true class is among the first so many answers, e.g. (2, 5, 10).
    drawings : tuple of callable
        `drawing(run, network) -> metrics or None`, called after training.
    snapshots : tuple of int
        Numbers of epochs after which the parameters are kept, in `checkpoint/`, for drawings of the training.
    listing : module
        Of `book_code`, with the same graph in symbolic form.
    small : mapping of str to value
        Sizes of the network, and `sample_shape`, small enough for the proof of `parity`, where the book's are too
        large for it.
    """
    network: Callable = field(default_factory=_required)
    recipe: Recipe = Recipe()  # type: ignore[misc]  # of this kind it is a field
    data: str = ''  # type: ignore[misc]
    loader: Callable = load_images
    sample_shape: Tuple[int, ...] = ()
    scale: float = 1 / 255
    objective: str = 'softmax'
    top: Tuple[int, ...] = ()
    drawings: Tuple[Callable, ...] = ()
    snapshots: Tuple[int, ...] = ()  # type: ignore[misc]
    listing: Any = None  # type: ignore[misc]
    small: Mapping[str, Any] = field(default_factory=dict)
    fast: Optional[Recipe] = None  # type: ignore[misc]
    recipe_name: str = ''  # type: ignore[misc]
    prepare: Optional[Callable] = None

    shared = True
    trains = True
    lowers = True
    shown_samples = True

    @property
    def source(self):
        return self.network

    @property
    def stand_in(self) -> str:
        return 'digits' if self.loader is load_images else ''

    @property
    def input_shape(self):
        """Shape of a batch of one sample as the book has it, e.g. (1, 1, 28, 28)."""
        return (1,) + tuple(self.sample_shape) if self.sample_shape else ()

    def perform(self, run):
        """Train by `run.form`, draw; see `Experiment.perform`."""
        if run.form == 'symbolic':
            from chapters.kit.proof.symbolic import train_symbolic
            return {}, train_symbolic(run)
        network, history = train(run)
        run.draw_curves(history)
        metrics: dict = {}
        for draw in self.drawings if not run.workers.rank else ():
            metrics.update(draw(run, network) or {})
        return metrics, history

    def load(self, name='', data_root=None, seed=0, facts=None):
        """Its data, or those that `name` names in their place; see `loader`. `facts`: of a run, to find them again.

        Returns
        -------
        TrainingData
        """
        if not name and not self.data:
            raise UserError(f'{self.section}: which data? --data FOLDER, of images in one folder a class, or of packs')
        name = name or self.data
        if self.loader is load_images:
            return load_images(self, name, data_root, seed, facts)
        return self.loader(self, name, data_root, seed)

    def fitted(self, facts):
        """The same experiment for data of which these are the facts: as many classes, where the network has them as a size.

        Raises
        ------
        UserError
            `--set classes=` names fewer than there are.
        """
        number = len(facts.class_names)
        if 'classes' not in self._network_sizes() or not number or self.objective != 'softmax':
            return self
        if 'classes' in self.changed:
            if self.sizes['classes'] < number:
                raise UserError(f'{self.section}: classes={self.sizes["classes"]}, but the data have {number} '
                                f'({", ".join(facts.class_names[:12])}{", ..." * (number > 12)}); leave classes out')
            return self
        return replace(self, sizes={**self.sizes, 'classes': number})

    def by(self, recipe_name):
        """The same experiment by another recipe.

        Parameters
        ----------
        recipe_name : str
            'book' or 'fast'; empty: as it is.

        Raises
        ------
        UserError
            It has no such recipe.
        """
        if recipe_name in ('', self.recipe_name) or recipe_name == 'book' and not self.recipe_name:
            return self
        if recipe_name != 'fast' or not self.fast:
            raise UserError(f'{self.section}: --recipe {recipe_name}: there is only one recipe for it; leave out --recipe')
        return replace(self, recipe=self.fast, recipe_name='fast')

    def build(self):
        """A new network, its parameters not yet initialized.

        Returns
        -------
        mxnet.gluon.HybridBlock
        """
        sizes = dict(self.sizes)
        if accepts(self.network, 'prefix'):  # the same names each time
            sizes['prefix'] = f'{self.network.__name__.lower()}_'
        return self.network(**sizes)

    def require_network(self):
        """Raise a `UserError` where sizes were changed, and there is no such network: 3 groups of 16 filters, say.

        Known before data are read and a folder is made, from the shapes of all layers; nothing is computed.
        """
        changed = {name: value for name, value in self.changed.items() if name in self._network_sizes()}
        if not changed:
            return
        from chapters.kit.networks.layer_table import layer_table
        by_mistake: Any = (MXNetError,)
        if not self.address:  # the reader's own network may have a bug, and that keeps its traceback
            by_mistake += (ArithmeticError, LookupError, TypeError, ValueError)
        of_another_size = self.recipe.pixels or 'crop=' in self.recipe.augmentation
        reason = ''
        try:
            network = self.build()
            if self.input_shape and self.shown_samples and not of_another_size and isinstance(network, gluon.HybridBlock):
                try:
                    layer_table(network, self.input_shape)
                except UserError as error:
                    reason = str(error).rstrip(')')
        except by_mistake as error:
            reason = str(error).partition('\n')[0]
        if reason:  # "MXNetError: WHAT", or "Error in operator NAME: FILE:LINE: Check failed: CONDITION: WHAT"
            reason = reason.rpartition('Check failed: ')[2].rpartition('Error: ')[2]
            raise UserError(f'{self.section}: there is no network with '
                            f'{", ".join(f"{name}={value}" for name, value in changed.items())} ({reason})')

    def symbolic_form(self):
        """The module of `book_code` with this experiment's listing.

        Raises
        ------
        UserError
            The book prints no listing for it.
        """
        if self.listing is None:
            raise UserError(f'{self.section}: the book prints no symbolic listing for it; leave out --form')
        return self.listing

    @property
    def symbolic(self):
        """Name of its listing, e.g. 'sec_4_4'; empty where there is none."""
        return self.listing.__name__.rpartition('.')[2] if self.listing else ''

    steps = ('compiled', 'plain')  # that are compared with the listing

    def prove(self, step='compiled'):
        """Compare with the listing; see `chapters.kit.proof.parity`.

        Returns
        -------
        chapters.kit.proof.parity.Parity
        """
        from chapters.kit.proof.parity import parity
        return parity(self, step)

    def settings(self):
        return {**vars(self.recipe), **self._network_sizes()}

    def defaults(self):
        return defaults_of(self.network)

    def _with(self, changes):
        for_recipe = {name: value for name, value in changes.items() if name in vars(self.recipe)}
        sizes = {name: value for name, value in changes.items() if name not in for_recipe}
        return replace(self, recipe=self.recipe.but(**for_recipe), sizes={**self.sizes, **sizes})

    def _network_sizes(self):
        """{name: value} of the network's constructor."""
        return {name: self.sizes.get(name, default) for name, default in self.defaults().items()}


@dataclass(frozen=True)
class Study(Training):
    """A network trained several times, or otherwise than by `train` alone.

    Attributes
    ----------
    function : callable
        `function(run) -> metrics`.
    ignores : tuple of str
        Fields of the recipe that it does not know: they cannot be set.
    """
    function: Callable = field(default_factory=_required)
    ignores: Tuple[str, ...] = ()

    shared = False
    trains = False
    lowers = False

    @property
    def source(self):
        return self.function

    def perform(self, run):
        return self.function(run)

    def settings(self):
        return {name: value for name, value in super().settings().items() if name not in self.ignores}


def require_range(name, value, default, limits=None, own=False):
    """Raise a `UserError` unless a number is one that its setting can have.

    What is counted or has a size has a positive whole number as its default, and no other can take its place. Where the
    default is 0, that means "none" or "all", and stays. Fractions are finite, and not below 0.

    Parameters
    ----------
    name : str
    value, default : number, or tuple of numbers
        Other settings have no range.
    limits : (float, float), optional
        In place of the rule.
    own : bool
        Of a network of the reader's, whose padding may well be 0 where 1 is the default.
    """
    several = isinstance(value, tuple)
    for number, usual in zip(value, default * len(value)) if several else [(value, default)]:
        if isinstance(number, (bool, str)) or not isinstance(usual, (int, float)) or usual < 0:
            continue
        least, most = limits or (1 if isinstance(usual, int) and usual and not own else 0, math.inf)
        if not least <= number <= most or not math.isfinite(number) or several and not number:
            wanted = 'above 0' if several and not least else f'from {least} to {most}' if most < math.inf else \
                f'from {least} on' if least > -math.inf else 'that is finite'
            raise UserError(f'{name}={",".join(map(str, value)) if several else value}: give '
                            f'{"numbers" if several else "a number"} {wanted}')


def defaults_of(function):
    """{name: default} of the keyword arguments of a function, or of a class's constructor."""
    code = function.__init__ if inspect.isclass(function) else function
    return {name: parameter.default for name, parameter in inspect.signature(code).parameters.items()
            if parameter.default is not inspect.Parameter.empty and name not in ('prefix', 'params')}


def accepts(function, name):
    """Whether a function, or a class's constructor, takes a keyword argument."""
    parameters = inspect.signature(function).parameters.values()
    return any(parameter.name == name or parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)


def load_experiment(address):
    """The experiment at an address.

    Parameters
    ----------
    address : str
        'FILE.py:NAME' or 'package.module:NAME'. The folder of a file is where its own imports are looked up first.

    Returns
    -------
    Experiment

    Raises
    ------
    UserError
        No such file, module or name; or what is there is no experiment.
    """
    place, _, name = str(address).rpartition(':')
    if place.endswith('.py'):
        path = Path(place).expanduser().resolve()
        if not path.is_file():
            raise UserError(f'{address}: there is no file {path}')
        spec: Any = importlib.util.spec_from_file_location(f'own_{path.stem}', path)
        module = importlib.util.module_from_spec(spec)
        if str(path.parent) not in sys.path:
            sys.path.insert(0, str(path.parent))
        sys.modules[spec.name] = module
        try:
            spec.loader.exec_module(module)
        except ModuleNotFoundError as error:
            raise UserError(f'{path}: it imports {error.name}, which is not installed here') from None
        address = f'{path}:{name}'
    else:
        try:
            module = importlib.import_module(place)
        except ModuleNotFoundError as error:
            if not place.startswith(error.name or '-'):
                raise UserError(f'{address}: it imports {error.name}, which is not installed here') from None
            raise UserError(f'{address}: there is no module {place}; give FILE.py:NAME or package.module:NAME') from None
    found = getattr(module, name, None)
    if not isinstance(found, Experiment):
        names = [name for name, value in vars(module).items() if isinstance(value, Experiment)]
        raise UserError(f'{address}: no experiment of that name; {place} has {", ".join(names) or "none"}')
    return replace(found, address=address)
