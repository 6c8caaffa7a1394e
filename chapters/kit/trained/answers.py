"""What a trained network answers: on validation images (4.4.3), and on anybody's."""
import json

import numpy as np
from mxnet import nd

from chapters.kit.report import figures
from chapters.kit.trained.prediction import Predictor, in_both
from chapters.kit.trained.run import read_evaluation
from data_tools.atomic import atomic_write
from data_tools.errors import UserError

_PART = 1000  # images that are decoded and scaled at once


def answers(run, network):
    """Section 4.4.3: what the network says of each validation image, how sure it is, and where it is wrong.

    Draws the first predictions, the mistakes it was surest of, the confusion matrix and the accuracy of each class.

    Parameters
    ----------
    run : Run
    network : HybridBlock

    Returns
    -------
    dict of str to float
        The number of mistakes, and the mean confidence of right and of wrong answers.
    """
    data = run.data
    names = [english if english == chinese or not figures.chinese_font() else f'{english} {chinese}'
             for english, chinese in zip(data.class_names, data.class_names_zh or data.class_names)]
    return draw_answers(probabilities_of(Predictor(network), data.validation_x), data.validation_x,
                        data.validation_y.astype(int), names, run.save_figure)


def probabilities_of(predict, images, views=lambda images: [images]):
    """Softmax of a network's outputs.

    Parameters
    ----------
    predict : callable
        (N, ...) -> logits (N, K).
    images : numpy.ndarray or the like, (N, C, H, W)
    views : callable
        `views(images) -> list of images`: the mean over these, such as `ten_crops`. Default: the images as they are.

    Returns
    -------
    numpy.ndarray, (N, K)
    """
    parts = []
    for start in range(0, len(images), _PART):
        part = np.asarray(images[start:start + _PART], np.float32)
        seen = views(part)
        parts.append(sum(nd.softmax(nd.array(predict(view))).asnumpy() for view in seen) / len(seen))
    return np.concatenate(parts)


def ten_crops(images, size):
    """Corners and centre of images (N, C, H, W), and their mirror images: a list of ten (N, C, size, size)."""
    down, right = images.shape[2] - size, images.shape[3] - size
    if min(down, right) < 0:
        raise UserError(f'the images are smaller than {size} pixels; leave out --crops')
    corners = [(0, 0), (0, right), (down, 0), (down, right), (down // 2, right // 2)]
    squares = [images[:, :, top:top + size, left:left + size] for top, left in corners]
    return [np.ascontiguousarray(view) for square in squares for view in (square, square[..., ::-1])]


def shifted_views(images, mirror):
    """Images (N, C, H, W) as they are, and moved by a pixel up and left, down and right, the edges reflected; with `mirror`
    each also mirrored: a list of three or six.
    """
    height, width = images.shape[2:]
    padded = np.pad(images, ((0, 0), (0, 0), (1, 1), (1, 1)), mode='reflect')
    moved = [padded[:, :, place:place + height, place:place + width] for place in (1, 0, 2)]
    return [np.ascontiguousarray(view) for one in moved for view in ((one, one[..., ::-1]) if mirror else (one,))]


def draw_answers(probabilities, images, truth, names, save):
    """Pictures of predictions, mistakes, confusion and the accuracy of each class; see `answers`.

    Parameters
    ----------
    probabilities : numpy.ndarray, (N, K)
    images : numpy.ndarray, (N, C, H, W)
    truth : numpy.ndarray of int, (N,)
    names : list of str
        Of the classes.
    save : callable
        `save(figure, name)`.

    Returns
    -------
    dict of str to float
    """
    said, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    wide = max(map(len, names)) > 3
    save(figures.image_grid(
        _shown(images[:32]), [f'{names[said[i]]}\n{sure[i]:.1%}' for i in range(min(32, len(said)))],
        size=1.5 if wide else 1.1, title=figures.text('Predictions with confidence', '预测结果与置信度')), 'predictions')
    wrong = np.flatnonzero(said != truth)
    wrong = wrong[np.argsort(-sure[wrong])]
    if len(wrong):
        captions = [f'{names[said[i]]} {sure[i]:.1%}\n({names[truth[i]]} {probabilities[i, truth[i]]:.1%})'
                    for i in wrong[:32]]
        save(figures.image_grid(
            _shown(images[wrong[:32]]), captions, size=1.9 if wide else 1.2,
            title=figures.text(f'The surest of {len(wrong)} mistakes (truth in brackets)', '最自信的错误（括号内为正解）')),
            'mistakes')
    save(figures.confusion_matrix(truth, said, names, figures.text(
        f'{len(wrong)} mistakes in {len(truth)} images', '混淆矩阵')), 'confusion')
    save(figures.bars([(said[truth == label] == label).mean() for label in range(len(names)) if (truth == label).any()],
                      [name for label, name in enumerate(names) if (truth == label).any()],
                      figures.text('Accuracy of each class', '各类别准确率')), 'classes')
    metrics = {'mistakes': len(wrong), 'confidence_when_right': sure[said == truth].mean()}
    if len(wrong):
        metrics['confidence_when_wrong'] = sure[wrong].mean()
    return metrics


def _shown(images):
    """Images of 0 to 255 as 0 to 1, for matplotlib."""
    images = np.asarray(images, np.float32)
    return images / 255 if images.max() > 1 else images


def evaluate(saved, data, crops=False, eight_bits=False, say=print, shifts=False, own=True):
    """The validation figures of a run, measured again from its parameters.

    What training did not measure of the run's own data is kept in its `evaluation.json`, for reports.

    Parameters
    ----------
    saved : chapters.kit.trained.saved.SavedRun
    data : TrainingData
    crops : bool
        Also by the mean over ten crops of each image (5.1.1).
    eight_bits : bool
        Also computed in 8-bit integers.
    shifts : bool
        Also by the mean over images moved by a pixel, and mirrored where training mirrored them.
    say : callable
        Told whether these are faster on this machine.
    own : bool
        Whether `data` are those of the run.

    Returns
    -------
    dict of str to float
        'accuracy', 'accuracy of CLASS', and 'accuracy over ten crops', 'accuracy over 6 views', 'accuracy in 8 bits'
        where asked for.

    Raises
    ------
    UserError
        Crops of images that are no larger than what the network takes.
    """
    if data.validation_x.ndim != 4:
        raise UserError(f'{saved.folder}: a run of {saved.config["section"]} does not classify images')
    predict, truth = Predictor(saved.network), data.validation_y.astype(int)
    probabilities = probabilities_of(predict, data.validation_x)
    said = probabilities.argmax(axis=1)
    found = {'accuracy': (said == truth).mean()}
    if crops:
        size, images = saved.facts.shape[-1], data.validation_whole
        if images is None or images.shape[2] <= size:
            raise UserError(f'{saved.folder}: its validation images are no larger than the {size} pixels that the '
                            'network takes; leave out --crops')
        found['accuracy over ten crops'] = (
            probabilities_of(predict, images, lambda part: ten_crops(part, size)).argmax(axis=1) == truth).mean()
    if shifts:
        words = saved.experiment.recipe.augmentation.split()
        mirror = 'mirror' in words or 'alternate' in words
        shares = probabilities_of(predict, data.validation_x, lambda part: shifted_views(part, mirror))
        found[f'accuracy over {6 if mirror else 3} views'] = (shares.argmax(axis=1) == truth).mean()
    if eight_bits:
        both = in_both(saved.network, calibration=np.asarray(data.train_x[:500], np.float32))
        found['accuracy in 8 bits'] = (probabilities_of(both.in_8_bits, data.validation_x).argmax(axis=1) == truth).mean()
        say(both)
    kept = {f'validation_{name.replace(" ", "_")}': value for name, value in found.items() if name != 'accuracy'}
    if kept and own:
        saved.folder.mkdir(parents=True, exist_ok=True)
        with atomic_write(saved.folder / 'evaluation.json', text=True) as file:
            json.dump({**read_evaluation(saved.folder), **kept}, file, indent=1)
    for label, name in enumerate(saved.class_names):
        if (truth == label).any():
            found[f'accuracy of {name}'] = (said[truth == label] == label).mean()
    draw_answers(probabilities, data.validation_x, truth, list(saved.class_names), saved.save_figure)
    return found


def predict_files(saved, paths, top=5, wrong=None):
    """What a network says of image files.

    Parameters
    ----------
    saved : chapters.kit.trained.saved.SavedRun
    paths : list of path-like
        Files and folders.
    top : int
    wrong : list, optional
        As for `chapters.kit.data.pictures.read_all`.

    Returns
    -------
    list of (Path, list of (str, float))
        For each image its likeliest classes with their probabilities.
    """
    files, images = zip(*saved.read_images(paths, wrong))
    images = np.stack(images)
    probabilities = probabilities_of(Predictor(saved.network, min(250, len(images))), images)
    names, found = saved.class_names, []
    for path, row in zip(files, probabilities):
        found.append((path, [(names[label], float(row[label])) for label in np.argsort(-row)[:top]]))
    captions = ['\n'.join([path.name[:18]] + [f'{name} {share:.0%}' for name, share in best[:3]])
                for path, best in found[:32]]
    saved.save_figure(figures.image_grid(_shown(images[:32]), captions, size=1.6, columns=min(8, len(found)),
                                         title=figures.text('Predictions', '预测')), 'predict')
    return found
