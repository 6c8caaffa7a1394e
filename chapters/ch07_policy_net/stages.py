"""Section 7.2.5: the first files of the book's log, and figure 7-3: with and without the symmetries of the board.

    python -m chapters.ch07_policy_net.stages --data FOLDER
"""
from dataclasses import dataclass

from chapters.ch04_cnn.positions import PolicyRecipe, PolicyTraining
from chapters.ch07_policy_net.policy_net import STATISTICS, PolicyNet, read_history
from chapters.kit.experiment import Study, figures_of
from chapters.kit.report import figures
from chapters.kit.variants import trained
from chapters.script import run_script

FILES = 3  # of the log of 7.2.5


@dataclass(frozen=True)
class PolicyStudy(PolicyTraining, Study):
    """A policy network trained several times."""


def first_files(run, network):
    """The log's figures of each of the first files: 'file0_accuracy', 'file0_top2', ..., 'file0_loss', 'file1_accuracy', ..."""
    return {f'file{number}_{name}': row[f'train_{name}'] for number, row in enumerate(read_history(run.folder)[:FILES])
            for name in STATISTICS}


def stages(run):
    """Figure 7-3 in small: without symmetries a network comes to know its positions by heart; with them that goes; then a
    smaller rate.

    Each stage goes on from the parameters of the one before. The recipe is that of the second stage.

    Returns
    -------
    dict
        After each stage 'without_train_accuracy', 'without_validation_accuracy', 'without_gap', the first less the
        second, and the same of 'with' and of 'smaller_rate'.
    """
    rows, ends, metrics, init = [], [], {}, None
    for name, changes in (('without', {'apply_symmetry': False}), ('with', {}),
                          ('smaller_rate', {'learning_rate': run.recipe.learning_rate / 10})):
        experiment = run.experiment.but(**changes)
        _, history, _ = trained(run, name, experiment, init=init)
        init = run.folder / name / f'model-{len(history):04d}.params'
        rows += history
        ends.append(len(rows))
        last = history[-1]
        for part in ('train', 'validation'):
            metrics[f'{name}_{part}_accuracy'] = last[f'{part}_accuracy']
        metrics[f'{name}_gap'] = last['train_accuracy'] - last['validation_accuracy']
    run.save_figure(_curves(rows, ends), 'stages')
    return metrics


def _curves(rows, ends):
    """As in figure 7-3: training in blue, validation in red, the rate in black; a line where a stage ends."""
    figure, axis = figures.plt.subplots(figsize=(9, 4.5))
    for part, colour in (('train', 'blue'), ('validation', 'red')):
        axis.plot(range(1, len(rows) + 1), [100 * row[f'{part}_accuracy'] for row in rows], color=colour, label=part)
    rate = axis.twinx()
    rate.step(range(1, len(rows) + 1), [row['learning_rate'] for row in rows], color='black', linewidth=1, where='mid')
    rate.set(ylim=(0, None), ylabel='learning rate')
    for end, words in zip(ends, ('without symmetries', 'with symmetries', 'smaller rate')):
        axis.axvline(end + 0.5, color='gray', linewidth=0.8, linestyle=':')
        axis.text(end + 0.3, 1, words, rotation=90, ha='right', va='bottom', fontsize=8, color='gray')
    axis.set(xlabel='epoch', ylabel='top-1, %', ylim=(0, None), xlim=(0.5, len(rows) + 0.5))
    axis.legend(fontsize=8, loc='lower center')
    axis.grid(alpha=0.3)
    axis.set_title(figures.text('7.2.5 Training with the symmetries of the board, and without', '使用与不使用棋盘对称性的训练'))
    figure.tight_layout()
    return figure


# A file has some 7,000 positions; the rate is that of the first 60 files.
_FILES = PolicyTraining(
    '7.2.5', 'The first three files of the log', '训练日志的前三个文件', network=PolicyNet,
    sizes={'units': 6, 'filters': 128, 'planes': 8},
    recipe=PolicyRecipe(epochs=FILES, batch_size=256, learning_rate=0.1, initializer='msra(avg,0)', samples_per_epoch=7000),
    drawings=(first_files,), small={'units': 2, 'filters': 32},
    book=figures_of('go', file0_accuracy=0.1068, file0_top2=0.1779, file0_top5=0.2874, file0_top10=0.3835, file0_loss=4.548,
                    file1_accuracy=0.2085, file1_top2=0.3204, file1_top5=0.4794, file1_top10=0.5846, file1_loss=3.685,
                    file2_accuracy=0.2484, file2_top2=0.3566, file2_top5=0.5206, file2_top10=0.6367, file2_loss=3.386))

_STAGES = PolicyStudy(
    '7.2.5-stages', 'Figure 7-3: the symmetries of the board against learning by heart', '图 7-3：棋盘对称性与过拟合',
    network=PolicyNet, function=stages, sizes={'units': 3, 'filters': 32, 'planes': 8},
    recipe=PolicyRecipe(epochs=12, batch_size=64, learning_rate=0.05, momentum=0.9, initializer='msra(avg,0)',
                        train_samples=8000),
    remark='The book trains without symmetries to file 3960, where the training accuracy lies well above the other, with them '
           'to 7140, and at a smaller rate to 9540; then on games of other servers.')

EXPERIMENTS = [_FILES, _STAGES]


if __name__ == '__main__':
    run_script(_STAGES)
