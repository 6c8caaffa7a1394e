"""Sections 2.1.5 and 2.3.5 (figure 2-28): training in a spreadsheet, every cell a live formula.

    python -m chapters.ch02_neuron.spreadsheet
"""
import numpy as np

from chapters.ch02_neuron.neuron import update
from chapters.kit.experiment import WorkedExample
from chapters.kit.report import figures
from chapters.script import run_script
from data_tools.atomic import atomic_path

_FIRST = 6  # the row of t = 0, below settings and headings


def neuron_table(run):
    """Section 2.1.5: `neuron.xlsx`, 400 steps of one neuron at rate 0.2 * 0.997^t on samples that are drawn anew whenever the
    sheet is calculated; and figure 2-9, what its chart looks like."""
    columns = {
        'w1': ('0', '={w1}-2*{eta}*({OUT}-{target})*{x1}'),
        'w2': ('0', '={w2}-2*{eta}*({OUT}-{target})*{x2}'),
        'b': ('0', '={b}-2*{eta}*({OUT}-{target})'),
        'OUT': '={w1}*{x1}+{w2}*{x2}+{b}',
        'MSE': '=({OUT}-{target})*({OUT}-{target})',
        'eta': '=$B$2*POWER($B$3,{t})',
    }
    settings = (('eta at t = 0', 0.2), ('eta factor', 0.997))
    write_table(run.folder / 'neuron.xlsx', '2.1.5', 'OUT = w1 x1 + w2 x2 + b learns max(x1, x2)', settings, columns, 400)

    w, b, rows = np.zeros(2), 0.0, []
    for t, x in enumerate(np.random.default_rng(run.seed).random((400, 2))):
        before = *w, b
        w, b, _, loss = update(w, b, x, x.max(), 0.2 * 0.997 ** t)
        rows.append((*before, loss))
    figure, axis = figures.plt.subplots(figsize=(8, 4))
    for values, name in zip(np.transpose(rows), ('w1', 'w2', 'b', 'MSE')):
        axis.plot(values, label=name, linewidth=1)
    axis.set(xlabel='t')
    axis.legend()
    axis.set_title(figures.text('2.1.5 Figure 2-9: parameters and loss during training', '训练过程中参数的演变'))
    run.save_figure(figure, 'parameters')
    errors = [row[3] for row in rows]
    return {'steps': len(rows), 'w1': w[0], 'w2': w[1], 'b': b, 'mse_of_first_20': np.mean(errors[:20]),
            'mse_of_last_100': np.mean(errors[-100:])}


def network_table(run):
    """Section 2.3.5, figure 2-28: `network.xlsx`, 4000 steps of the 2-2-1 network at rate 0.1. The first four samples are the
    printed ones, the others are drawn anew whenever the sheet is calculated."""
    from chapters.ch02_neuron.two_layer import START, samples_of_2_3_4
    columns = {
        'I1': '={w11}*{x1}+{w21}*{x2}+{b1}',
        'I2': '={w12}*{x1}+{w22}*{x2}+{b2}',
        'OUT': '={w13}*MAX(0,{I1})+{w23}*MAX(0,{I2})+{b3}',
        'MSE': '=POWER({OUT}-{target},2)',
        'G': '=2*({OUT}-{target})*$B$2',
        'G3': '=1',  # d OUT / d I3, and so on: the output neuron is linear
        'G2': '={G3}*{w23}*IF({I2}>0,1,0)',
        'G1': '={G3}*{w13}*IF({I1}>0,1,0)',
    }
    inputs = {'w11': '{G1}*{x1}', 'w21': '{G1}*{x2}', 'b1': '{G1}', 'w12': '{G2}*{x1}', 'w22': '{G2}*{x2}',
              'b2': '{G2}', 'w13': '{G3}*MAX(0,{I1})', 'w23': '{G3}*MAX(0,{I2})', 'b3': '{G3}'}
    weights = {name: (str(START[name]), f'={{{name}}}-{{G}}*{slope}') for name, slope in inputs.items()}
    write_table(run.folder / 'network.xlsx', '2.3.5', 'w13 ReLU(I1) + w23 ReLU(I2) + b3 learns max(x1, x2)',
                (('eta', 0.1),), {**weights, **columns}, 4000, first=samples_of_2_3_4(run.seed)[:4])
    return {'steps': 4000}


def write_table(path, title, subtitle, settings, columns, steps, first=()):
    """A table of training steps as an .xlsx file, one row a step, with charts of the parameters and of the loss.

    Parameters
    ----------
    path : path-like
    title, subtitle : str
    settings : sequence of (str, float)
        At most three; the formulas find them in B2, B3, B4.
    columns : dict of str to str, or to (str, str)
        Heading -> formula, in which {name} is the cell of that column. A pair is a parameter: its value at
        t = 0, and the formula for later rows, in which {name} is the cell one row above.
    steps : int
    first : array, (N, 2)
        Samples of the first steps; all others are `=RAND()`.
    """
    from openpyxl import Workbook
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter
    book = Workbook()
    sheet = book.active
    sheet.title = title
    sheet['A1'] = f'{title}  {subtitle}'
    sheet['A1'].font = Font(bold=True, size=13)
    for row, (name, value) in enumerate(settings, 2):
        sheet.cell(row, 1, name)
        sheet.cell(row, 2, value)
    names = ['t', 'x1', 'x2', 'target', *columns]
    letters = {name: get_column_letter(number) for number, name in enumerate(names, 1)}
    for number, name in enumerate(names, 1):
        sheet.cell(_FIRST - 1, number, name).font = Font(bold=True)
    for t in range(steps):
        here = {name: f'{letter}{_FIRST + t}' for name, letter in letters.items()}
        above = {name: f'{letter}{_FIRST + t - 1}' for name, letter in letters.items()}
        sample = list(map(float, first[t])) if t < len(first) else ['=RAND()', '=RAND()']
        values = [t, *sample, '=MAX({x1},{x2})'.format(**here)]
        for formula in columns.values():
            if isinstance(formula, tuple):
                values.append(formula[1].format(**above) if t else float(formula[0]))
            else:
                values.append(formula.format(**here))
        sheet.append(values)
    sheet.freeze_panes = f'B{_FIRST}'
    parameters = [name for name, formula in columns.items() if isinstance(formula, tuple)]
    for place, shown in enumerate((parameters, ['MSE'])):
        sheet.add_chart(_chart(sheet, names, shown, steps), f'{get_column_letter(len(names) + 2)}{_FIRST + 20 * place}')
    with atomic_path(path) as beside:
        book.save(str(beside))


def _chart(sheet, names, shown, steps):
    """Columns of the sheet as lines over t."""
    from openpyxl.chart import Reference, ScatterChart, Series
    chart = ScatterChart()
    chart.title, chart.style = ', '.join(shown), 13
    chart.x_axis.title = 't'
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.height, chart.width = 9, 18
    rows = {'min_row': _FIRST, 'max_row': _FIRST + steps - 1}
    for name in shown:
        series = Series(Reference(sheet, min_col=names.index(name) + 1, **rows),
                        Reference(sheet, min_col=1, **rows), title=name)
        series.marker.symbol, series.graphicalProperties.line.width = 'none', 9000
        chart.series.append(series)
    if len(shown) == 1:
        chart.legend = None
    return chart


EXPERIMENTS = [
    WorkedExample('2.1.5', 'Training a neuron in a spreadsheet', '用电子表格训练神经元', function=neuron_table),
    WorkedExample('2.3.5', 'Back-propagation in a spreadsheet with live formulas', '电子表格中的反向传播',
                  function=network_table),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
