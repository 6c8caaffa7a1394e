"""A trained network out of its run folder, and pictures of one's own to show it."""
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chapters.kit.checkpoint import Checkpoint, restore_model
from chapters.kit.data import is_packed, load_data
from chapters.kit.run import experiment_of, read_config, save_figure
from chapters.kit.runtime import mx
from chapters.kit.symbolic import load_into
from data_tools.errors import UserError

IMAGE_ENDINGS = ('.png', '.jpg', '.jpeg', '.bmp', '.gif', '.tif', '.tiff', '.webp')


@dataclass
class SavedRun:
    """What a run folder holds.

    Attributes
    ----------
    folder : Path
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
    def class_names(self):
        """Of the data that it was trained on; numbers where the run does not tell."""
        classes = self.network(mx.nd.zeros(self.experiment.input_shape)).shape[1]
        return self.config.get('class_names') or [str(number) for number in range(classes)]

    def save_figure(self, figure, name):
        """Write a matplotlib figure to `figures/NAME.png` of the run, and close it; returns the path."""
        return save_figure(figure, self.folder, name)

    def load_data(self):
        """The data of the run.

        Returns
        -------
        TrainingData
        """
        name = '' if self.config['data'] == self.experiment.data else self.config['data']
        return load_data(self.experiment, name, self.config['data_root'] or None, self.config['seed'])

    def read_image(self, path):
        """An image file as the network wants it: cut to its shape at the centre, scaled, gray or in colour.

        Returns
        -------
        numpy.ndarray of float32, (C, H, W)

        Raises
        ------
        UserError
            No such file, or no image.
        """
        from PIL import Image, ImageOps
        channels, height, width = self.experiment.input_shape[1:]
        try:
            with Image.open(path) as image:
                image = ImageOps.exif_transpose(image).convert('L' if channels == 1 else 'RGB')
                image = ImageOps.fit(image, (width, height), Image.BICUBIC)
        except OSError as error:
            raise UserError(f'{path}: not a readable image ({error.strerror or "unknown or damaged format"})') from None
        pixels = np.asarray(image, np.float32).reshape(height, width, channels).transpose(2, 0, 1)
        return pixels if is_packed(self.experiment, self.config['data']) else pixels / 255

    def read_images(self, paths):
        """[(path, image)] of image files, and of all those in the folders among `paths`, by name."""
        files = []
        for path in map(Path, paths):
            if not path.exists():
                raise UserError(f'{path}: no such file or folder')
            files += sorted(file for file in path.rglob('*') if file.suffix.lower() in IMAGE_ENDINGS) \
                if path.is_dir() else [path]
        if not files:
            raise UserError(f'{", ".join(map(str, paths))}: no images there ({", ".join(IMAGE_ENDINGS)})')
        return [(file, self.read_image(file)) for file in files]


def load_run(folder, find):
    """Read a run folder.

    Parameters
    ----------
    folder : path-like
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
    folder, config = Path(folder), read_config(folder)
    experiment = experiment_of(config, find)
    if not experiment.trains:
        raise UserError(f'{folder}: is a run of {config["section"]}, which trains no network')
    network = experiment.build()
    network.initialize()
    network(mx.nd.zeros(experiment.input_shape))
    exported = sorted(folder.glob('model-*.params'))
    saved = None if exported else Checkpoint(folder / 'checkpoint').load()
    if exported:
        load_into(network, exported[-1], None, [mx.cpu()])  # the graph lies beside it
    elif saved:
        restore_model(saved[0], network)
    else:
        raise UserError(f'{folder}: nothing is trained there yet; wait for its first epoch')
    return SavedRun(folder, config, experiment, network)
