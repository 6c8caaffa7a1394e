"""Which learning rate? Let it grow from update to update, and see where the loss falls fastest (3.3.1).

Smith 2015, https://arxiv.org/abs/1506.01186
"""
import itertools
import math

import numpy as np

from chapters.kit.data.batches import Batches
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.trained.run import save_figure
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.training.train import Objective, make_step
from data_tools.errors import UserError

_LOWEST, _HIGHEST = 1e-5, 10.0
_SMOOTHING = 0.95
_LOST = 2.0  # times the first loss: no use going on


def find_rate(run, updates=200):
    """Train a fresh network while the rate grows, and suggest one.

    Parameters
    ----------
    run : Run
        Its recipe gives everything but the learning rate.
    updates : int
        From the lowest rate, 1e-5, to the highest, 10.

    Returns
    -------
    (rates, losses, suggestion) : (numpy.ndarray, numpy.ndarray, float)
        Losses are smoothed. The suggestion is half the rate at which the smoothed loss was least, for the least is
        the brink: past it the loss rises.

    Raises
    ------
    UserError
        The loss falls at no rate.
    """
    recipe, data, devices = run.recipe, run.data, run.devices
    random = seed_everything(run.seed)
    network = run.experiment.build()
    initialize(network, recipe, data.train_x[:1], devices)
    recipe = recipe.but(mixup=0)
    objective = Objective(network, run.experiment.objective, recipe)
    optimizer = make_optimizer(recipe, updates, network)
    optimizer.lr_scheduler = lambda update: _LOWEST * (_HIGHEST / _LOWEST) ** ((update - 1) / (updates - 1))
    step = make_step(objective, optimizer, data, recipe, devices)
    source = Batches(data, recipe, devices[0])
    batches = (batch for epoch in itertools.count() for batch in source.of_epoch(random, epoch))
    rates, losses, mean = [], [], 0.0
    for update, batch in zip(tqdm(range(1, updates + 1), 'learning rate', unit=' updates', leave=False, disable=None),
                             batches):
        loss = float(step(*batch)[0].mean().asscalar())
        mean = _SMOOTHING * mean + (1 - _SMOOTHING) * loss if math.isfinite(loss) else math.inf
        smooth = mean / (1 - _SMOOTHING ** update)
        if not math.isfinite(smooth) or losses and smooth > _LOST * losses[0]:
            break
        rates.append(optimizer.lr_scheduler(update))
        losses.append(smooth)
    rates, losses = np.array(rates), np.array(losses)
    if not len(losses) or losses.argmin() == 0:
        section = run.experiment.section
        raise UserError(f'{section}: the loss was least at the lowest rate, {_LOWEST:g}, or is no number there: no rate to '
                        f'suggest; python -m chapters doctor {section} looks for the reason')
    return rates, losses, float(rates[losses.argmin()]) / 2


def find_and_draw(run):
    """`find_rate`, with its picture in the run folder; prints what it found."""
    import matplotlib.pyplot as plt
    try:
        rates, losses, suggestion = find_rate(run)
    except UserError:
        run.remove_if_empty()
        raise
    figure, axis = plt.subplots(figsize=(5.5, 3.6))
    axis.semilogx(rates, losses)
    axis.axvline(suggestion, color='C1', linestyle='--', label=f'suggested {suggestion:.2g}')
    axis.axvline(run.recipe.peak_learning_rate, color='C2', linestyle=':',
                 label=f'the recipe {run.recipe.peak_learning_rate:.2g}')
    axis.set_xlabel(figures.text('learning rate', '学习速率'))
    axis.set_ylabel(figures.text('smoothed loss', '平滑后的损失'))
    axis.grid(alpha=0.3)
    axis.legend(fontsize=8)
    path = save_figure(figure, run.folder, 'rate')
    print(f'suggested: --learning-rate {suggestion:.2g} (the recipe: {run.recipe.peak_learning_rate:.2g}); '
          f'the loss was least at {2 * suggestion:.2g}')
    print(path)
