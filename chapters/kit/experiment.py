"""An experiment: one thing of the book that runs, with the figure that the book printed for it."""
import importlib
import inspect
from dataclasses import dataclass, field, replace
from typing import Mapping, Optional, Tuple

from chapters.kit.recipe import Recipe, convert
from data_tools.errors import UserError

# One image of each image set, (C, H, W).
_IMAGE_SHAPES = {'mnist': (1, 28, 28), 'fashion': (1, 28, 28), 'digits': (1, 28, 28), 'cifar10': (3, 32, 32),
                 'imagenet': (3, 224, 224)}


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


@dataclass(frozen=True)
class Experiment:
    """Everything the command line, the report, the notebooks and the tests know of one experiment.

    Attributes
    ----------
    section : str
        Section of the book, with a suffix for a variation: '2.2.8', '2.2.8-batch10'.
    title, title_zh : str
        In English and Chinese.
    module : str
        The chapter's module that holds it, e.g. 'chapters.ch03_mlp.mnist'.
    network : str
        Name of the `HybridBlock` in `module`; empty where nothing is trained.
    sizes : mapping of str to value
        Arguments of the network's constructor that differ from its defaults.
    recipe : Recipe, optional
    data : str
        Name of the data: a set of `data_tools.datasets`, or the name of a function in `module` that makes it.
    loader : str
        Name of a function of `module`, `loader(experiment, name, data_root, seed) -> TrainingData`, where `--data`
        may name data that is neither, such as packed games.
    top : tuple of int
        Also measure how often the true class is among the first so many answers, e.g. (2, 5, 10).
    objective : str
        'softmax' (cross-entropy with class labels), or 'square' (half the squared difference).
    book : tuple of BookFigure
    program : str
        Name of a function of `module`, or of another with its path, `program(run) -> metrics` or `(metrics, history)`;
        empty: train the network by the recipe.
    ignores : str
        Fields of the recipe that `program` does not know, with blanks between them: they cannot be set.
    drawings : tuple of str
        Functions of `module`, or of another with their path, `drawing(run, network) -> metrics or None`, called after
        training.
    snapshots : tuple of int
        Numbers of epochs after which the parameters are kept, in `checkpoint/`, for drawings of the training.
    sample_shape : tuple of int
        Shape of one sample, where it is not that of the image set: of data that the experiment makes itself, e.g.
        (2,), or of the part that it cuts out of an image.
    small : mapping of str to value
        Sizes of the network, and `sample_shape`, small enough for the proof of `parity`, where the book's are too
        large for it.
    symbolic : str
        Module of `book_code` with the same graph in symbolic form.
    proof : str
        Name of a function of `module`, `proof(experiment) -> chapters.kit.parity.Parity`, where the listing is more
        than one graph and `parity` cannot compare by itself.
    remark : str
        Why our figures differ from the book's, in a sentence for the report.
    changed : mapping of str to value
        What `but` has changed from the experiment of the book.
    """
    section: str
    title: str
    title_zh: str
    module: str
    network: str = ''
    sizes: Mapping = field(default_factory=dict)
    recipe: Optional[Recipe] = None
    data: str = ''
    loader: str = ''
    top: Tuple[int, ...] = ()
    objective: str = 'softmax'
    book: Tuple[BookFigure, ...] = ()
    program: str = ''
    ignores: str = ''
    drawings: Tuple[str, ...] = ()
    snapshots: Tuple[int, ...] = ()
    sample_shape: Tuple[int, ...] = ()
    small: Mapping = field(default_factory=dict)
    symbolic: str = ''
    proof: str = ''
    remark: str = ''
    changed: Mapping = field(default_factory=dict)

    @property
    def trains(self):
        """Whether this experiment trains a network by a recipe."""
        return bool(self.network and self.recipe and not self.program)

    @property
    def shared(self):
        """Whether several workers can train it together (`--distributed`)."""
        return self.trains or self.program.endswith('.train_adversarially')

    @property
    def takes_image_sets(self):
        """Whether `--data` may name another image set."""
        return self.data in _IMAGE_SHAPES

    @property
    def input_shape(self):
        """Shape of a batch of one sample for the network, e.g. (1, 1, 28, 28); () where nothing is trained.

        A size of the network called `planes` is the number of planes of its input.
        """
        shape = self.sample_shape or _IMAGE_SHAPES.get(self.data, ())
        if 'planes' in self.sizes:
            shape = (self.sizes['planes'],) + shape[1:]
        return (1,) + shape if shape else ()

    def code(self, name):
        """The object called `name` in the experiment's module, or in another, with its path; may load MXNet."""
        module, _, name = name.rpartition('.')
        return getattr(importlib.import_module(module or self.module), name)

    def build(self):
        """A new network, its parameters not yet initialized.

        Returns
        -------
        mxnet.gluon.HybridBlock
        """
        return self.code(self.network)(prefix=f'{self.network.lower()}_', **self.sizes)  # the same names each time

    def symbolic_form(self):
        """The module of `book_code` with this experiment's listing.

        Raises
        ------
        UserError
            The book prints no listing for it.
        """
        if not self.symbolic:
            raise UserError(f'{self.section}: the book prints no symbolic listing for it; leave out --form')
        return importlib.import_module(f'book_code.{self.symbolic}')

    def figure(self, metric, data=''):
        """The book's figure of a metric, or None."""
        for printed in self.book:
            if printed.metric == metric and printed.data in ('', data):
                return printed
        return None

    def but(self, **changes):
        """The same experiment with fields of its recipe or sizes of its network changed (`--set`).

        Raises
        ------
        UserError
            Neither the recipe nor the network has that name, or not that type.
        """
        sizes = self._network_sizes() if self.network else {}
        for_recipe = {name: value for name, value in changes.items()
                      if self.recipe is not None and hasattr(self.recipe, name)}
        new_sizes = dict(self.sizes)
        for name, value in changes.items():
            if name in for_recipe:
                continue
            if name not in sizes:
                known = ([*vars(self.recipe)] if self.recipe else []) + [*sizes]
                raise UserError(f'{self.section}: there is nothing called {name!r} to set; there is '
                                f'{", ".join(known) or "nothing"}')
            new_sizes[name] = convert(name, value, type(sizes[name]))
        return replace(self, sizes=new_sizes, changed={**self.changed, **changes},
                       recipe=self.recipe.but(**for_recipe) if for_recipe else self.recipe)

    def _network_sizes(self):
        """{name: default} of the network's constructor."""
        signature = inspect.signature(self.code(self.network).__init__)
        return {name: self.sizes.get(name, parameter.default)
                for name, parameter in signature.parameters.items()
                if parameter.default is not inspect.Parameter.empty and name not in ('prefix', 'params')}
