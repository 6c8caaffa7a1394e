"""Section 1.2.3: a polynomial through 1, 2, 4, 8, 16 fits all of them, and says 31 next.

    python -m chapters.ch01_overview.polynomial
"""
import numpy as np

from chapters.kit.experiment import WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.script import run_script


def fit(run, degree=4):
    """The polynomial through (1, 1), (2, 2), (3, 4), (4, 8), (5, 16), and what it and 2^(x - 1) say next.

    The book writes it with 72 below the fraction: (3x^4 - 18x^3 + 69x^2 - 54x + 72) / 72. Below degree 4 it is the nearest
    in the sense of least squares.
    """
    x = np.arange(1, 6)
    coefficients = np.polyfit(x, 2.0 ** (x - 1), degree)
    figure, axis = figures.plt.subplots(figsize=(6.5, 4))
    fine = np.linspace(0.5, 8, 301)
    axis.plot(fine, np.polyval(coefficients, fine), label=f'polynomial of degree {degree}')
    axis.plot(fine, 2 ** (fine - 1), '--', label='2^(x - 1)')
    axis.plot(x, 2.0 ** (x - 1), 'ko', label='the five given')
    axis.plot(6, np.polyval(coefficients, 6), 'C0s')
    axis.plot(6, 32, 'C1s')
    axis.grid(alpha=0.3)
    axis.legend()
    axis.set_title(figures.text('1.2.3 Two rules that agree on five numbers', '前五项相同的两种规律'))
    run.save_figure(figure, 'polynomial')
    error = np.abs(np.polyval(coefficients, x) - 2.0 ** (x - 1)).max().round(9)
    return {'next': np.polyval(coefficients, 6), 'largest_error': error,
            **{f'times_72_x{degree - place}': 72 * value for place, value in enumerate(coefficients)}}


EXPERIMENTS = [
    WorkedExample('1.2.3', 'A polynomial through 1, 2, 4, 8, 16 says 31', '过 1、2、4、8、16 的多项式，下一项是 31',
                  function=fit, limits={'degree': (0, 4)},  # through five points
                  book=figures_of(next=31, largest_error=0, times_72_x4=3, times_72_x3=-18, times_72_x2=69, times_72_x1=-54,
                                  times_72_x0=72)),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
