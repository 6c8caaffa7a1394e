"""A trained network out of its run folder, and pictures of one's own to show it."""
import os
from dataclasses import dataclass, replace
from pathlib import Path

import mxnet as mx

from chapters.kit.data.pictures import read_all, read_picture, sample_of
from chapters.kit.data.training_data import Facts
from chapters.kit.proof.symbolic import load_into
from chapters.kit.trained.run import experiment_of, last_export, read_config, save_figure
from chapters.kit.trained.zoo import results_folder, run_folder
from chapters.kit.training.checkpoint import Checkpoint, restore_model
from data_tools.datasets import first_few
from data_tools.errors import UserError


@dataclass
class SavedRun:
    """What a run folder holds.

    Attributes
    ----------
    folder : Path
        Its own; or `runs/zoo-NAME` where it is one of the zoo: there goes what is drawn of it.
    config : dict
        Its `config.json`.
    experiment : Experiment
        With the settings of the run.
    network : HybridBlock
        With the parameters of its last export or, while it still trains, of its checkpoint.
    """
    folder: Path
    config: dict
    experiment: object
    network: object

    @property
    def facts(self):
        """Of the data that it was trained on."""
        return Facts.of_config(self.config)

    @property
    def class_names(self):
        """Of the data that it was trained on."""
        return self.facts.class_names

    def save_figure(self, figure, name):
        """Write a matplotlib figure to `figures/NAME.png` of the run, and close it; returns the path."""
        return save_figure(figure, self.folder, name)

    def load_data(self, name=''):
        """The data of the run: from the packs that it was trained on, or found again as it found them then.

        Parameters
        ----------
        name : str
            Where they are now; default: where they were.

        Returns
        -------
        TrainingData

        Raises
        ------
        UserError
            They are gone, or have other classes.
        """
        facts, config = self.facts, self.config
        try:
            data = self.experiment.load(name or config['data'] * (config['data'] != self.experiment.data),
                                        config['data_root'] or None, config['seed'], None if name else facts)
        except UserError as error:
            raise UserError(f'{self.folder}: its data cannot be read again ({error}); say where they are now: --data NAME'
                            ) from None
        if data.facts.shape != facts.shape or data.class_names != facts.class_names:
            raise UserError(f'{self.folder}: was trained on {len(facts.class_names)} classes '
                            f'({first_few(facts.class_names, 5)}) of samples {facts.shape}; {data.name} has '
                            f'{len(data.class_names)} ({first_few(data.class_names, 5)}) of {data.facts.shape}')
        if not name and facts.packed and data.packed != facts.packed:
            anew = 'its packs have been made anew since it was trained'
            data = replace(data, note=f'{data.note}; {anew}' if data.note else anew)
        return data

    def is_own(self, data, name=''):
        """Whether `data`, which `load_data` found by `name`, are what the run was trained on, wherever they lie now."""
        if self.facts.packed:
            return data.packed == self.facts.packed
        return self.config['data'] in (name or self.config['data'], os.path.abspath(name))

    def read_image(self, path):
        """An image file as the network wants it; see `chapters.kit.data.pictures.sample_of`.

        Returns
        -------
        numpy.ndarray of float32, (C, H, W)

        Raises
        ------
        UserError
            No such file, or no image; the network takes no images.
        """
        if len(self.facts.shape) != 3 or self.facts.shape[0] not in (1, 3):
            raise UserError(f'{path}: {self.config["section"]} takes no images, but samples of '
                            f'{"x".join(map(str, self.facts.shape))} numbers')
        return sample_of(read_picture(path, self.facts.shape[0]), self.facts)

    def read_images(self, paths, wrong=None):
        """[(path, image)]; see `chapters.kit.data.pictures.read_all`."""
        return read_all(paths, self.read_image, wrong)


def detects(folder, find):
    """Whether a run folder is that of a network that finds boxes."""
    return experiment_of(read_config(folder), find, run_folder(folder)).detects


def load_run(folder, find):
    """Read a run folder.

    Parameters
    ----------
    folder : path-like
        Or `zoo:NAME`.
    find : callable
        Section -> Experiment.

    Returns
    -------
    SavedRun

    Raises
    ------
    UserError
        Not a run folder, not of a network, or nothing trained in it yet.
    """
    kept, name, folder, config = run_folder(folder), folder, results_folder(folder), read_config(folder)
    experiment = experiment_of(config, find, kept)
    if not experiment.trains:
        raise UserError(f'{name}: is a run of {config["section"]}, which trains no network of one input and one answer')
    return SavedRun(folder, config, experiment, network_of(kept, config, experiment, folder))


def network_of(kept, config, experiment, name):
    """The network of an experiment with the parameters of a run folder: of its last export or, while it still trains, of its
    checkpoint. `name`: what the user calls it; UserError where nothing is trained yet.
    """
    network = experiment.build()
    network.initialize()
    network(mx.nd.zeros((1,) + Facts.of_config(config).shape))
    exported = last_export(kept)
    saved = None if exported else Checkpoint(kept / 'checkpoint').load()
    if exported:
        load_into(network, exported, (), [mx.cpu()])  # the graph lies beside it
    elif saved:
        restore_model(saved[0], network)
    else:
        raise UserError(f'{name}: nothing is trained there yet; wait for its first epoch')
    return network
