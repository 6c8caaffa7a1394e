"""Every picture of the project is drawn here or with what is here. Needs no window."""
import contextlib
import functools
import os
import textwrap
import warnings

import matplotlib

if 'MPLBACKEND' not in os.environ:  # a notebook's kernel has set it to show what is drawn in the notebook
    matplotlib.use('Agg')
import matplotlib.pyplot as plt  # noqa: E402
import numpy as np  # noqa: E402

_CHINESE_FONTS = ('Noto Sans CJK SC', 'Noto Sans CJK JP', 'Source Han Sans SC', 'WenQuanYi Micro Hei',
                  'WenQuanYi Zen Hei', 'Microsoft YaHei', 'SimHei', 'PingFang SC', 'Heiti SC', 'Arial Unicode MS')


@functools.lru_cache(None)
def chinese_font():
    """The name of an installed font with Chinese characters, or None; makes it matplotlib's fallback."""
    from matplotlib import font_manager

    def installed():
        known = {font.name for font in font_manager.fontManager.ttflist}
        return [name for name in _CHINESE_FONTS if name in known]
    names = installed()
    if not names:  # matplotlib keeps its list, and does not notice what was installed since
        known = {font.fname for font in font_manager.fontManager.ttflist}
        for path in set(font_manager.findSystemFonts()) - known:
            with contextlib.suppress(OSError, RuntimeError, UnicodeDecodeError):  # a damaged one is not for us to tell
                font_manager.fontManager.addfont(path)
        names = installed()
    if not names:
        warnings.filterwarnings('ignore', 'Glyph .* missing from')  # of classes with Chinese names, one warning a character
        return None
    plt.rcParams['font.sans-serif'] = plt.rcParams['font.family'] = ['DejaVu Sans', names[0]]
    plt.rcParams['axes.unicode_minus'] = False
    return names[0]


plt.rcParams['savefig.dpi'] = 110
chinese_font()  # before any figure is made: titles keep the font that they were made with


def text(english, chinese):
    """English with Chinese after it, where a font can show it."""
    return f'{english}  {chinese}' if chinese_font() else english


def curves(history, experiment, run):
    """Loss or error and accuracy by epoch, with the book's figure as a dotted line.

    Parameters
    ----------
    history : list of dict
        As in `history.csv`.
    experiment : Experiment
    run : Run

    Returns
    -------
    matplotlib.figure.Figure
    """
    title = text(f'{experiment.section} {experiment.title}', experiment.title_zh)
    kinds = [kind for kind in ('loss', 'mse', 'accuracy') if f'train_{kind}' in history[0]]
    figure, axes = plt.subplots(1, len(kinds) + 1, figsize=(4.6 * (len(kinds) + 1), 3.6), squeeze=False)
    epochs = [row['epoch'] for row in history]
    marker = 'o' if len(history) < 30 else None
    for axis, kind in zip(axes[0], kinds):
        for part, color in (('train', 'C0'), ('validation', 'C1')):
            name = f'{part}_{kind}'
            axis.plot(epochs, [row[name] for row in history], color=color, marker=marker, markersize=3,
                      label=f'{part} {history[-1][name]:.4g}')
            printed = experiment.figure(name, run.data_name)
            if printed:
                axis.axhline(printed.value, color=color, linestyle=':', label=f'the book, {part} {printed.value:.4g}')
        if kind == 'mse':
            axis.set_yscale('log')
        axis.set_title(kind)
        axis.set_xlabel('epoch')
        axis.legend(fontsize=8)
    axes[0, -1].plot(epochs, [row['learning_rate'] for row in history], color='C2', marker=marker, markersize=3)
    axes[0, -1].set_title('learning rate')
    axes[0, -1].set_xlabel('epoch')
    for axis in axes[0]:
        axis.grid(alpha=0.3)
        axis.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(integer=True))
    figure.suptitle(title + _caption(experiment, run))
    figure.tight_layout()
    return figure


def _caption(experiment, run):
    """Data, recipe and what was cut short, for under a title."""
    words = [run.data_name, f'recipe {experiment.recipe_label}' * bool(experiment.recipe_label),
             f'{run.recipe.epochs} epochs', f'seed {run.seed}', run.short]
    return '\n' + textwrap.fill(', '.join(filter(None, words)), 100)


def image_grid(images, captions=None, columns=8, title='', size=1.25):
    """Pictures in rows.

    Parameters
    ----------
    images : numpy.ndarray, (N, C, H, W) or (N, H, W)
        Values in any range; C is 1 or 3.
    captions : list of str, optional
    columns : int
    title : str
    size : float
        Inches a picture.

    Returns
    -------
    matplotlib.figure.Figure
    """
    rows = -(-len(images) // columns)
    lines = max(caption.count('\n') + 1 for caption in captions) if captions else 0
    # All on one pair of axes, a picture being 1 wide: matplotlib takes longer for axes than for what is on them.
    across, caption_height = 1.08, 0.16 * lines * 1.08 / size
    down = across + caption_height
    figure, axis = plt.subplots(figsize=(columns * size, rows * (size + 0.16 * lines) + 0.5))
    for number, image in enumerate(images):
        row, column = divmod(number, columns)
        image = np.asarray(image, dtype=np.float32)
        image = image.transpose(1, 2, 0) if image.ndim == 3 and image.shape[0] == 3 else image.squeeze()
        height, width = np.array(image.shape[:2]) / max(image.shape[:2])
        left, top = column * across, row * down
        axis.imshow(image, cmap='gray', extent=(left, left + width, top + height, top))
        if captions:
            axis.text(left + width / 2, top - 0.04, captions[number], ha='center', va='bottom', fontsize=8)
    axis.set(xlim=(0, columns * across), ylim=(rows * down - caption_height, -caption_height), aspect='equal', title=title)
    axis.axis('off')
    figure.tight_layout()
    return figure


def confusion_matrix(truth, answers, class_names, title=''):
    """How often each class (row) was taken for each class (column).

    Parameters
    ----------
    truth, answers : numpy.ndarray of int, (N,)
    class_names : sequence of str

    Returns
    -------
    matplotlib.figure.Figure
    """
    classes = len(class_names)
    counts = np.zeros((classes, classes), dtype=int)
    np.add.at(counts, (truth, answers), 1)
    figure, axis = plt.subplots(figsize=(1.5 + 0.5 * classes, 1.2 + 0.5 * classes))
    off_diagonal = counts * (1 - np.eye(classes, dtype=int))
    axis.imshow(off_diagonal, cmap='Oranges')
    for row in range(classes):
        for column in range(classes):
            if counts[row, column]:
                axis.text(column, row, counts[row, column], ha='center', va='center', fontsize=8, in_layout=False,
                          fontweight='bold' if row == column else None)
    axis.set_xticks(range(classes))
    axis.set_xticklabels(class_names, rotation=45 if max(map(len, class_names)) > 2 else 0, ha='right')
    axis.set_yticks(range(classes))
    axis.set_yticklabels(class_names)
    axis.set_xlabel('answer')
    axis.set_ylabel('truth')
    axis.set_title(title)
    figure.tight_layout()
    return figure


def bars(values, names, title=''):
    """Shares from 0 to 1 as horizontal bars, the first on top.

    Parameters
    ----------
    values : sequence of float
    names : sequence of str
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axis = plt.subplots(figsize=(5.5, 0.9 + 0.27 * len(values)))
    axis.barh(range(len(values)), values, color='C0')
    for place, value in enumerate(values):
        axis.text(value, place, f' {value:.1%} ', va='center', ha='right' if value > 0.15 else 'left', fontsize=8,
                  color='white' if value > 0.15 else 'black')
    axis.set_yticks(range(len(values)))
    axis.set_yticklabels(names)
    axis.set_xlim(0, 1)
    axis.invert_yaxis()
    axis.set_title(title)
    figure.tight_layout()
    return figure


def accuracy_over_operations(points):
    """What a training costs and what it reaches; one field a data set, a line from the book's point to ours of a section.

    Parameters
    ----------
    points : dict of (data, section, kind) to (operations, accuracy)
        Kinds are 'the book', 'book' and 'fast', which are ours by these recipes, and others.

    Returns
    -------
    matplotlib.figure.Figure
    """
    sets, names = list(dict.fromkeys(data for data, _, _ in points)), []
    figure, axes = plt.subplots(1, len(sets), figsize=(5.2 * len(sets), 4.2), squeeze=False)
    markers = {'the book': ('D', text('printed in the book', '书中印刷的结果')),
               'book': ('o', text("ours, the book's recipe", '本项目，书中方法')),
               'fast': ('^', text('ours, fast', '本项目，快速方法'))}
    for axis, data in zip(axes[0], sets):
        sections = list(dict.fromkeys(section for other, section, _ in points if other == data))
        for number, section in enumerate(sections):
            own = {kind: points[key] for key in points for kind in [key[2]] if key[:2] == (data, section)}
            color = f'C{number % 10}'
            axis.plot(*zip(*sorted((cost, 100 * (1 - value)) for cost, value in own.values())), color=color, linewidth=0.7)
            for kind, (cost, value) in own.items():
                axis.plot(cost, 100 * (1 - value), markers.get(kind, ('x', ''))[0], color=color)
            cost, value = max(own.values())
            names.append(axis.annotate(section, (cost, 100 * (1 - value)), xytext=(5, 3), textcoords='offset points',
                                       fontsize=8, color=color))
        axis.set_xscale('log')
        axis.set_yscale('log')
        axis.margins(x=0.2)
        axis.yaxis.set_major_formatter(matplotlib.ticker.FormatStrFormatter('%.3g'))
        axis.yaxis.set_minor_formatter(matplotlib.ticker.FormatStrFormatter('%.2g'))
        axis.set_xlabel(text('operations of training', '训练的浮点运算次数'))
        axis.set_ylabel(text('validation error, %', '验证集错误率 %'))
        axis.set_title(data)
        axis.grid(alpha=0.3, which='both')
    handles = [plt.Line2D([], [], marker=marker, linestyle='', color='gray', label=words)
               for marker, words in [*markers.values(), ('x', text('other settings', '其他设置'))]]
    axes[0, 0].legend(handles=handles, fontsize=7)
    figure.tight_layout()
    _part(names)
    return figure


def _part(names):
    """Move names beside points: to the left side of those at the right edge, and up where another stands."""
    placed: list = []
    for name in names:
        if name.get_window_extent().x1 > name.axes.bbox.x1:
            name.set(ha='right', position=(-5, 3))
        while any(name.get_window_extent().overlaps(other) for other in placed):
            x, y = name.get_position()
            name.set_position((x, y + 1))
        placed.append(name.get_window_extent())


def costs(names, parameters, flops, title=''):
    """What layers, or networks, cost: parameters on the left, FLOPs on the right.

    Parameters
    ----------
    names : list of str
    parameters, flops : list of float
        In millions.
    title : str

    Returns
    -------
    matplotlib.figure.Figure
    """
    figure, axes = plt.subplots(1, 2, figsize=(10, 1.2 + 0.22 * len(names)), sharey=True)
    bars = (axes[0], parameters, 'million parameters', 'C0'), (axes[1], flops, 'MFLOPs', 'C1')
    for axis, values, name, color in bars:
        axis.barh(range(len(names)), values, color=color)
        axis.set(xlabel=name)
        axis.grid(axis='x', alpha=0.3)
    axes[0].set_yticks(range(len(names)))
    axes[0].set_yticklabels(names, fontsize=8)
    axes[0].invert_yaxis()
    figure.suptitle(title)
    figure.tight_layout()
    return figure
