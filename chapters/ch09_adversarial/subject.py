"""Section 9.2: whom to attack: any trained classifier of the project, or SqueezeNet with ImageNet's classes."""
import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Tuple

import numpy as np
from mxnet import nd

import chapters
from chapters.ch05_deep_cnn.photographs import sample
from chapters.ch05_deep_cnn.pretrained import class_names
from chapters.ch05_deep_cnn.squeezenet import SqueezeNet
from chapters.ch09_adversarial.attacks import Victim
from chapters.ch09_adversarial.small import image_set, learn, small_net
from chapters.kit.data.pictures import photographs, read_all, read_picture
from chapters.kit.trained.saved import load_run
from data_tools.errors import UserError

IMAGENET, DIGITS = 'imagenet', 'digits'
_SIDE = 224


@dataclass
class Subject:
    """A classifier, and what is needed to show it images.

    Attributes
    ----------
    name : str
        As on the command line.
    folder : Path
        Where pictures of it go.
    victim : Victim
    class_names : tuple of str
    saved : SavedRun or None
        Its run; None of SqueezeNet.
    """
    name: str
    folder: Path
    victim: Victim
    class_names: Tuple[str, ...]
    saved: Any = None
    tests: Any = None  # (images, labels), where there is no run that has them

    def read(self, path):
        """An image file as pixels from 0 to 1, float32 (C, H, W), of the size that the network takes.

        Of SqueezeNet also the name of a photograph that is at hand, such as 'temple'.
        """
        if self.saved:
            return (self.saved.read_image(path) / (255 * self.saved.facts.scale)).astype(np.float32)
        if not Path(path).exists():
            found = photographs(str(path))
            if str(path) in found:
                return sample(found[str(path)])
        return sample(read_picture(path, 3))

    def read_all(self, paths, wrong=None):
        """[(name, pixels)] of image files, those in the folders among `paths`, and photographs at hand; `wrong`: as there."""
        return [(path.stem if path.exists() else str(path), pixels) for path, pixels in read_all(paths, self.read, wrong)]

    def test_images(self, count, data='', correct=False):
        """The first validation images of its run, and their labels.

        Parameters
        ----------
        count : int
        data : str
            Where its data are now, or other images of the same kind.
        correct : bool
            Only those of which it knows the class.

        Returns
        -------
        (numpy.ndarray of float32 (N, C, H, W), pixels from 0 to 1; numpy.ndarray of int (N,))
        """
        if not self.saved and not self.tests:
            raise UserError(f'{self.name}: has no test images here; name image files')
        number = 2 * count if correct else count
        if self.tests:
            images, labels = (part[:number] for part in self.tests)
        else:
            found = self.saved.load_data(data)
            images = np.asarray(found.validation_x[:number], np.float32) / np.float32(255 * self.saved.facts.scale)
            images, labels = np.clip(images, 0, 1), found.validation_y[:number].astype(int)
        if correct:
            known = np.flatnonzero(self.victim.answers(images) == labels)[:count]
            images, labels = images[known], labels[known]
        return images, labels

    def number_of(self, name):
        """The number of a class.

        Raises
        ------
        UserError
            It has none of that name.
        """
        if name not in self.class_names:
            near = [known for known in self.class_names if name.lower() in known.lower()]
            known = near or list(self.class_names)
            raise UserError(f'--target {name}: {self.name} has no such class; it has {", ".join(known[:12])}'
                            + (', ...' if len(known) > 12 else ''))
        return list(self.class_names).index(name)


def load_subject(name):
    """The classifier of a run folder or of `zoo:NAME`; 'imagenet': SqueezeNet 1.1 with what it has learnt from ImageNet;
    'digits': a small network that learns the digits that come along, on the spot.

    Raises
    ------
    UserError
        No such run; it does not classify images; ImageNet's weights are not at hand.
    """
    if name == IMAGENET:
        return Subject(name, Path('runs', name), Victim(squeezenet()), class_names())
    if name == DIGITS:
        return _of_digits()
    saved = load_run(name, chapters.find)
    if len(saved.facts.shape) != 3 or saved.facts.shape[0] not in (1, 3) or saved.experiment.objective != 'softmax':
        raise UserError(f'{name}: a run of {saved.config["section"]} does not classify images')
    return Subject(str(name), saved.folder, Victim(saved.network, saved.facts.scale), tuple(saved.class_names), saved)


@functools.lru_cache(None)
def _of_digits():
    images, labels, *tests = image_set(DIGITS)
    return Subject(DIGITS, Path('runs', DIGITS), Victim(learn(small_net(), images, labels)), tuple('0123456789'), tests=tests)


def squeezenet():
    """SqueezeNet 1.1 with ImageNet's weights, for pixels from 0 to 1."""
    network = SqueezeNet('1.1', prefix='squeezenet_')
    network.initialize()
    network(nd.zeros((1, 3, _SIDE, _SIDE)))
    network.load_zoo()
    return network
