"""Section 9.4.2: gcForest, layers of forests of decision trees in place of layers of neurons (figure 9-37).

    python -m chapters run 9.4.2-gcforest --data mnist --subset 10000

Zhou, Feng, "Deep Forest: Towards An Alternative to Deep Neural Networks", https://arxiv.org/abs/1702.08835. No gradient, no
framework: the forests are scikit-learn's.
"""
import warnings
from dataclasses import replace
from functools import partial

import numpy as np
from sklearn.ensemble import ExtraTreesClassifier, RandomForestClassifier
from sklearn.model_selection import StratifiedKFold

from chapters.kit.data.images import load_images
from chapters.kit.experiment import BookFigure, Study
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script
from data_tools.errors import UserError


class DeepForest:
    """Multi-grained scanning, then a cascade.

    Parameters
    ----------
    windows : tuple of int
        Sides of the squares that scanning cuts out of an image; none: the cascade gets the pixels.
    step : int
        Pixels from one square to the next.
    scan_trees : int
        Of a forest that looks at squares of one size.
    patches : int
        Squares that such a forest learns from, at most.
    forests, trees : int
        Of a layer of the cascade; the first, third, ... forest is extremely randomized.
    layers : int
        At most: the cascade ends where another layer makes the estimate no better.
    folds : int
        Of cross-validation, so that no forest hands on answers that it has learnt by heart.
    shift : int
        All learn from images moved by so many pixels in four directions, too, and answer by the mean of such views.
    seed : int
    """
    def __init__(self, windows=(7, 14), step=4, scan_trees=10, patches=20000, forests=4, trees=50, layers=4, folds=3,
                 shift=0, seed=0):
        self.windows, self.step, self.scan_trees, self.patches, self.shift = windows, step, scan_trees, patches, shift
        self.forests, self.trees, self.layers, self.folds = forests, trees, layers, folds
        self.seed = seed % (1 << 31)  # scikit-learn takes no larger ones, and each forest adds to it
        self.scanners, self.cascade, self.estimates = [], [], []

    def fit(self, x, y, say=lambda text: None, remembered=lambda name, compute: compute()):
        """Learn from images (N, C, H, W) of classes (N,) from 0 on; returns itself.

        `estimates` then holds, a layer, the accuracy on samples that its forests had not seen. `remembered` may keep what
        windows and layers have learnt, and give it back (`Checkpoint.remembered`).

        Raises
        ------
        UserError
            Images smaller than a window or the shift, or fewer of every class than there are folds.
        """
        self._require(x, y)
        self.classes, views = int(y.max()) + 1, moved(x, self.shift)
        self.scanners, parts = [], []
        for window in self.windows:
            forests, shares = remembered(f'window-{window}', partial(self._learn_squares, views, y, window))
            self.scanners.append(forests)
            parts.append(shares)
        scanned = np.hstack(parts) if parts else np.concatenate([self.scan(view) for view in views])
        say(f'{scanned.shape[1]} numbers an image after scanning')
        answers = np.zeros((len(scanned), 0), np.float32)
        self.cascade, self.estimates = [], []
        for layer in range(self.layers):
            features = np.hstack([scanned, answers])
            machines, answers = remembered(f'layer-{layer + 1}', partial(self._learn_layer, features, y, layer))
            estimate = np.mean(self._mean(answers).reshape(len(views), len(y), -1).mean(axis=0).argmax(axis=1) == y)
            if self.estimates and estimate <= max(self.estimates):
                break
            self.cascade.append(machines)
            self.estimates.append(estimate)
            say(f'layer {layer + 1}: {estimate:.4f} by cross-validation')
        return self

    def _require(self, x, y):
        """See `fit`: before anything is learnt, which takes its time."""
        (height, width), most = x.shape[2:], np.bincount(y).max()
        for window in self.windows:
            squares_of(x[:1], window, self.step)
        if self.shift >= min(height, width):
            raise UserError(f'shift: {self.shift} moves all of the image out of it, {width}x{height}')
        if most < self.folds:
            raise UserError(f'folds: {self.folds} of at most {most} training images a class; give fewer folds, or more images')

    def predict(self, x):
        """Shares of the classes (N, classes), of images (N, C, H, W)."""
        return self.predict_views(x)[:, -1].mean(axis=0)

    def predict_views(self, x):
        """The same of each view, as `moved` has them, after each layer of the cascade: (views, layers, N, classes)."""
        return np.stack([self._predict_layers(view) for view in moved(x, self.shift)])

    def _predict_layers(self, x):
        scanned, answers, found = self.scan(x), np.zeros((len(x), 0), np.float32), []
        for machines in self.cascade:
            features = np.hstack([scanned, answers])
            answers = np.hstack([np.mean([_shares(machine, features, self.classes) for machine in folds], axis=0)
                                 for folds in machines]).astype(np.float32)
            found.append(self._mean(answers))
        return np.stack(found)

    def scan(self, x):
        """What forests say of every square of new images: (N, D); the pixels where there are no windows."""
        if not self.windows:
            return x.reshape(len(x), -1)
        parts = []
        for window, forests in zip(self.windows, self.scanners):
            squares = self._squares(x, window)
            parts.append(np.mean([_said(forest, squares, self.classes) for forest in forests], axis=0))
        return np.hstack(parts)

    def _learn_squares(self, views, y, window):
        """Forests, a fold each, that tell the class of the image from one square of it; what they say of squares of images
        that they have not seen, view after view: (views * N, D).

        The paper has a random and an extremely randomized forest, which see the square alone. Ours is extremely randomized,
        looks at the root of the number of features in each split, and sees where the square lies, too.
        """
        random, places = np.random.default_rng([self.seed, window]), self._squares(views[0][:1], window).shape[1]
        forests, answers = [], np.zeros((len(views), len(y), places * (self.classes - 1)), np.float32)
        for learnt, held in self._split(y, window):
            some, labels = [], []
            for view in views:
                image, place = np.unravel_index(random.permutation(len(learnt) * places)[:self.patches // len(views)],
                                                (len(learnt), places))
                some.append(self._squares(view[learnt], window)[image, place])
                labels.append(y[learnt[image]])
            forests.append(ExtraTreesClassifier(
                self.scan_trees, max_features='sqrt', min_samples_leaf=10, random_state=self.seed + window).fit(
                np.concatenate(some), np.concatenate(labels)))
            for view, said in zip(views, answers):
                said[held] = _said(forests[-1], self._squares(view[held], window), self.classes)
        return forests, answers.reshape(len(views) * len(y), -1)

    def _squares(self, x, window):
        """Squares with their row and column beside the pixels, as often as a tree draws each of these when it splits."""
        squares = squares_of(x, window, self.step)
        columns, often = (x.shape[3] - window) // self.step + 1, squares.shape[2] // 16 + 1
        place = np.tile(np.stack(np.divmod(np.arange(squares.shape[1]), columns), axis=1), (1, often)).astype(x.dtype)
        return np.concatenate([squares, np.broadcast_to(place, (len(x),) + place.shape)], axis=2)

    def _learn_layer(self, features, y, layer):
        """[[forests of one kind, a fold]], and what they say of the samples that they have not seen, (N, forests * classes);
        features, and answers, view after view."""
        views = len(features) // len(y)
        machines, answers = [], np.zeros((len(features), self.forests, self.classes), np.float32)
        bar = tqdm(total=self.forests * self.folds, desc=f'layer {layer + 1}', leave=False, disable=None)
        for number in range(self.forests):
            machines.append([])
            for learnt, held in self._split(y, layer):
                learnt, held = (np.concatenate([part + len(y) * view for view in range(views)]) for part in (learnt, held))
                machine = self._forest(number % 2 == 0, self.trees, 100 * layer + number)
                machine.fit(features[learnt], np.tile(y, views)[learnt])
                answers[held, number] = _shares(machine, features[held], self.classes)
                machines[-1].append(machine)
                bar.update()
        bar.close()
        return machines, answers.reshape(len(features), -1)

    def _split(self, y, number):
        with warnings.catch_warnings():
            warnings.simplefilter('ignore', UserWarning)  # that a class has fewer images than there are folds
            return list(StratifiedKFold(self.folds, shuffle=True, random_state=self.seed + number).split(y, y))

    def _forest(self, extremely, trees, number):
        if extremely:  # the paper draws one feature a split, for which as few trees as ours are too few
            return ExtraTreesClassifier(trees, max_features=0.1, random_state=self.seed + number)
        return RandomForestClassifier(trees, max_features='sqrt', random_state=self.seed + number)

    def _mean(self, answers):
        return answers.reshape(len(answers), -1, self.classes).mean(axis=1)


def _shares(forest, x, classes):
    """What a forest says of samples (N, D): (N, classes), 0 for classes of which it has met no sample."""
    shares = np.zeros((len(x), classes))
    shares[:, forest.classes_] = forest.predict_proba(x)
    return shares


def _said(forest, squares, classes):
    """Shares of the classes (N, places * (classes - 1)), of squares (N, places, D): the first follows from the others."""
    flat = squares.reshape(-1, squares.shape[2])
    return np.concatenate([_shares(forest, flat[start:start + 50000], classes)[:, 1:].astype(np.float32)
                           for start in range(0, len(flat), 50000)]).reshape(len(squares), -1)


def squares_of(x, window, step):
    """Squares cut out of images.

    Parameters
    ----------
    x : numpy.ndarray, (N, C, H, W)
    window, step : int

    Returns
    -------
    numpy.ndarray, (N, places, C * window * window)
    """
    if window > min(x.shape[2:]):
        raise UserError(f'windows: {window} is larger than the images, {x.shape[3]}x{x.shape[2]}')
    views = np.lib.stride_tricks.sliding_window_view(x, (window, window), axis=(2, 3))[:, :, ::step, ::step]
    views = views.transpose(0, 2, 3, 1, 4, 5)
    return views.reshape(len(x), views.shape[1] * views.shape[2], -1)


def moved(x, pixels):
    """[images (N, C, H, W)]: as they are and, unless `pixels` is 0, moved up, down, left, and right, their edge repeated."""
    height, width = x.shape[2:]
    wide = np.pad(x, ((0, 0), (0, 0), (pixels, pixels), (pixels, pixels)), 'edge')
    return [x] + [wide[:, :, top:top + height, left:left + width] for top, left in
                  ((2 * pixels, pixels), (0, pixels), (pixels, 2 * pixels), (pixels, 0)) if pixels]


def forest_settings(windows=(7, 14), step=4, scan_trees=10, patches=20000, forests=4, trees=50, layers=4, folds=3, shift=0):
    """What can be set of a `DeepForest`."""
    return dict(windows=windows, step=step, scan_trees=scan_trees, patches=patches, forests=forests, trees=trees,
                layers=layers, folds=folds, shift=shift)


def learn(run):
    """Accuracy on test data after the last layer and after the first, with scanning and without, and of one forest alone."""
    data, y = run.data, run.data.train_y.astype(int)
    if data.stream:
        raise UserError(f'{run.experiment.section}: takes image sets of arrays')
    settings = forest_settings(**run.experiment.sizes)
    machine = DeepForest(seed=run.seed, **settings).fit(data.train_x, y, run.say, run.checkpoint.remembered)
    views = machine.predict_views(data.validation_x)
    right = np.mean(views.mean(axis=0).argmax(axis=2) == data.validation_y, axis=1)
    bare = DeepForest(seed=run.seed, **{**settings, 'windows': ()}).fit(data.train_x, y, run.say)
    alone = RandomForestClassifier(settings['trees'], random_state=machine.seed)
    alone.fit(data.train_x.reshape(len(y), -1), y)
    metrics = {
        'validation_accuracy': right[-1], 'validation_accuracy_first_layer': right[0], 'layers': len(right),
        'validation_accuracy_without_scanning': np.mean(
            bare.predict(data.validation_x).argmax(axis=1) == data.validation_y),
        'validation_accuracy_one_forest': alone.score(data.validation_x.reshape(len(data.validation_x), -1),
                                                      data.validation_y.astype(int))}
    if machine.shift:
        metrics['validation_accuracy_unmoved'] = np.mean(views[0, -1].argmax(axis=1) == data.validation_y)
    figure, axis = figures.plt.subplots(figsize=(6, 3.4))
    axis.plot(range(1, len(right) + 1), right, marker='o', label='test data')
    axis.plot(range(1, len(right) + 1), machine.estimates, marker='o', label='cross-validation')
    axis.axhline(metrics['validation_accuracy_one_forest'], color='gray', linestyle='--', label='one forest of the pixels')
    axis.set(xlabel='layers', ylabel='accuracy', xticks=range(1, len(right) + 1))
    axis.legend(fontsize=8)
    axis.set_title(figures.text('9.4.2 gcForest', '多粒度级联森林'))
    run.save_figure(figure, 'layers')
    return metrics


_IGNORED = tuple(name for name in vars(Recipe()) if name not in ('train_samples', 'label_noise'))

EXPERIMENTS = [
    Study('9.4.2-gcforest', 'gcForest: forests upon forests', 'gcForest：由森林构成的层', network=forest_settings,
          function=learn, recipe=replace(Recipe(), epochs=1), data='digits', loader=load_images, ignores=_IGNORED,
          limits={'folds': (2, 1000), 'trees': (1, 100000), 'scan_trees': (1, 100000)},
          book=(BookFigure(0.9926, 'validation_accuracy', 'mnist', 'from all 60,000 images'),),
          remark='The book\'s figure is of the paper, with windows of 7, 9 and 14, two forests for each, and more trees.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
