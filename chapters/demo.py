"""`make demo`: chapters 2 to 4 and a policy network in short form, with nothing from the network."""
import sys
import time
from pathlib import Path

import chapters
from chapters.kit.program import run_experiment
from chapters.kit.progress import tqdm
from chapters.kit.report import write_page
from data_tools.errors import UserError

_CHAPTERS = ('2.', '3.', '4.')  # the networks of the others want larger images, or an hour
_LEFT_OUT = ('3.4.3', '4.4.5')  # would repeat what another section shows already
# 1,500 digits are soon seen: 3.4.2 and 4.4 need more epochs for the plateau at their start.
_EPOCHS = {'3.3.4': 60, '3.3.4-data30': 60, '3.4.2': 30, '4.4': 8}
_MOST_EPOCHS = 10
# Of Go, on games of the built-in player: what to run, and how much of it.
_GO = {'4.2.2': dict(epochs=2, samples_per_epoch=12800),
       '7.2-small': dict(epochs=3, samples_per_epoch=6400, units=2, filters=16, planes=8)}
_DIGITS_EPOCHS = 4


def run_demo(out):
    """Run every experiment in short form and gather them on one page.

    Parameters
    ----------
    out : path-like
        The folder to make; an earlier demo there is kept under another name.

    Returns
    -------
    pathlib.Path
        The page.
    """
    out = Path(out)
    if out.exists():
        if not (out / 'index.html').exists() and any(out.iterdir()):
            old = [path for path in out.iterdir() if not (path / 'config.json').exists()]
            if old:
                raise UserError(f'{out}: holds other files than a demo; choose another --out')
        out.rename(out.with_name(f'{out.name}-{time.strftime("%Y%m%d-%H%M%S")}'))
    out.mkdir(parents=True)
    for experiment in tqdm(chosen(), 'demo', unit='experiment', disable=None, file=sys.stderr):
        short, data = '', ''
        if experiment.takes_image_sets:
            data, short = 'digits', 'digits in place of ' + experiment.data
        if experiment.section in _GO:
            data, short = 'selfplay', 'games of a built-in player in place of games of people'
            experiment = experiment.but(**_GO[experiment.section])
        elif experiment.trains:
            epochs = _EPOCHS.get(experiment.section, _DIGITS_EPOCHS if short else
                                 min(experiment.recipe.epochs, _MOST_EPOCHS))
            if epochs != experiment.recipe.epochs:
                experiment = experiment.but(epochs=epochs)
        _, result = run_experiment(experiment, data=data, out=out / experiment.section, short=short, quiet=True)
        tqdm.write(_line(experiment, result))
    return write_page(
        out, out / 'index.html', chapters.experiments(), 'Deep convolutional networks: the book\'s first networks',
        ['The first networks of Peng Bo\'s "深度卷积网络：原理与实践", trained on this machine just now, in short form. '
         'Where the book uses MNIST or Fashion-MNIST, 1,797 handwritten digits that come with scikit-learn, called '
         '"digits", stand in for them; where it uses games of Go, games that a simple built-in player plays against '
         'itself, called "selfplay". Their figures are not comparable with the book\'s, which are printed beside.',
         '本页是刚刚在这台机器上训练的结果（简短形式）。书中使用 MNIST 或 Fashion-MNIST 之处，这里以 scikit-learn '
         '自带的 1,797 个手写数字（称为 digits）代替；书中使用围棋棋谱之处，以内置简单程序的自我对局（称为 selfplay）代替，'
         '因此数值不能与书中直接比较。'])


def chosen():
    """The experiments of the demo."""
    return [experiment for experiment in chapters.experiments()
            if experiment.section in _GO
            or experiment.section.startswith(_CHAPTERS) and not experiment.section.startswith(_LEFT_OUT)
            and not experiment.loader]


def _line(experiment, result):
    """The main figure of one experiment, with the book's; of a comparison, that of every side."""
    printed = experiment.book[0] if experiment.book else None
    names = [printed.metric] if printed else [name for name in result['metrics']
                                              if name.endswith(('validation_accuracy', 'validation_mse'))]
    line = f'{experiment.section} {experiment.title} {experiment.title_zh}: ' + ', '.join(
        f'{name.replace("_", " ")} {result["metrics"][name]["last"]:.4g}' for name in names or result['metrics'])
    if experiment.takes_image_sets or experiment.loader:
        line += f' on {result["data"]}'
    if printed:
        line += f' (the book: {printed.value:.4g}' + (f' on {printed.data})' if printed.data else ')')
    return line
