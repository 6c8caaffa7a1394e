"""Sections 2.1.5 and 2.3.4 (figure 2-28): training in a spreadsheet, every cell a live formula.

    python -m chapters.ch02_neuron.spreadsheet
"""
import numpy as np

from data_tools.atomic import atomic_path

_FIRST = 6  # the row of t = 0, below settings and headings


def neuron_table(run):
    """Section 2.1.5: `neuron.xlsx`, 400 steps of one neuron at rate 0.2 * 0.997^t."""
    x = np.random.default_rng(run.seed).random((400, 2))
    x[:2] = (0.1, 0.8), (0.5, 0.3)  # begins with the samples of 2.1.4
    columns = {
        'w1': ('0', '={w1}-2*{eta}*({OUT}-{target})*{x1}'),
        'w2': ('0', '={w2}-2*{eta}*({OUT}-{target})*{x2}'),
        'b': ('0', '={b}-2*{eta}*({OUT}-{target})'),
        'OUT': '={w1}*{x1}+{w2}*{x2}+{b}',
        'MSE': '=({OUT}-{target})^2',
        'eta': '=$B$2*$B$3^{t}',
    }
    settings = (('eta at t = 0', 0.2), ('eta factor', 0.997))
    write_table(run.folder / 'neuron.xlsx', '2.1.5', 'OUT = w1 x1 + w2 x2 + b learns max(x1, x2)', settings,
                x, columns)
    return {'rows': len(x)}


def network_table(run):
    """Section 2.3.4, figure 2-28: `network.xlsx`, 4000 steps of the 2-2-1 network at rate 0.1."""
    from chapters.ch02_neuron.two_layer import START, samples_of_2_3_4
    x = samples_of_2_3_4(run.seed)
    columns = {
        'I1': '={w11}*{x1}+{w21}*{x2}+{b1}',
        'I2': '={w12}*{x1}+{w22}*{x2}+{b2}',
        'I3': '={w13}*MAX({I1},0)+{w23}*MAX({I2},0)+{b3}',
        'OUT': '=MAX({I3},0)',
        'MSE': '=({OUT}-{target})^2',
        'G3': '=IF({I3}>0,1,0)',  # d OUT / d I3, and so on
        'G2': '=IF({I2}>0,{w23}*{G3},0)',
        'G1': '=IF({I1}>0,{w13}*{G3},0)',
    }
    inputs = {'w11': '{G1}*{x1}', 'w21': '{G1}*{x2}', 'b1': '{G1}', 'w12': '{G2}*{x1}', 'w22': '{G2}*{x2}',
              'b2': '{G2}', 'w13': '{G3}*MAX({I1},0)', 'w23': '{G3}*MAX({I2},0)', 'b3': '{G3}'}
    weights = {name: (str(START[name]), f'={{{name}}}-$B$2*2*({{OUT}}-{{target}})*{slope}')
               for name, slope in inputs.items()}
    write_table(run.folder / 'network.xlsx', '2.3.4',
                'ReLU(w13 ReLU(I1) + w23 ReLU(I2) + b3) learns max(x1, x2)',
                (('eta', 0.1),), x, {**weights, **columns})
    return {'rows': len(x)}


def write_table(path, title, subtitle, settings, x, columns):
    """A table of training steps as an .xlsx file, one row a step, with a chart of the loss.

    Parameters
    ----------
    path : path-like
    title, subtitle : str
    settings : sequence of (str, float)
        At most three; the formulas find them in B2, B3, B4.
    x : numpy.ndarray, (steps, 2)
        The samples: values, to be overwritten by others or by `=RAND()`.
    columns : dict of str to str, or to (str, str)
        Heading -> formula, in which {name} is the cell of that column. A pair is a parameter: its value at
        t = 0, and the formula for later rows, in which {name} is the cell one row above.
    """
    from openpyxl import Workbook
    from openpyxl.chart import Reference, ScatterChart, Series
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
    for t, (x1, x2) in enumerate(x.tolist()):
        row = _FIRST + t
        here = {name: f'{letter}{row}' for name, letter in letters.items()}
        above = {name: f'{letter}{row - 1}' for name, letter in letters.items()}
        values = [t, x1, x2, '=MAX({x1},{x2})'.format(**here)]
        for formula in columns.values():
            if isinstance(formula, tuple):
                values.append(formula[1].format(**above) if t else float(formula[0]))
            else:
                values.append(formula.format(**here))
        sheet.append(values)
    sheet.freeze_panes = f'B{_FIRST}'

    chart = ScatterChart()
    chart.title, chart.style = 'MSE', 13
    chart.x_axis.title, chart.y_axis.title = 't', 'MSE'
    chart.x_axis.delete = chart.y_axis.delete = False
    chart.height, chart.width = 9, 18
    rows = {'min_row': _FIRST, 'max_row': _FIRST + len(x) - 1}
    series = Series(Reference(sheet, min_col=names.index('MSE') + 1, **rows),
                    Reference(sheet, min_col=1, **rows), title='MSE')
    series.marker.symbol, series.graphicalProperties.line.width = 'none', 9000
    chart.series.append(series)
    chart.legend = None
    sheet.add_chart(chart, f'{get_column_letter(len(names) + 2)}{_FIRST}')
    with atomic_path(path) as beside:
        book.save(str(beside))


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('2.1.5')
