"""Training that is no recipe's: so many steps an epoch, by whatever a chapter calls a step; it resumes all the same."""
import numpy as np
from mxnet import nd

from chapters.kit.training.checkpoint import optimizer_arrays, restore_optimizer
from chapters.kit.training.epochs import train_epochs


def train_steps(run, trainers, step, epochs, steps, measure=dict, kept=None):
    """Train in steps.

    Parameters
    ----------
    run : chapters.kit.trained.run.Run
    trainers : dict of str to gluon.Trainer
        Their parameters, initialized, are what changes.
    step : callable
        `step(random) -> {name: NDArray or number}`; what it returns is averaged over an epoch, as `train_NAME`.
    epochs, steps : int
        Steps of an epoch: between two measurements, and two checkpoints.
    measure : callable
        `measure() -> {name: float}`, after every epoch.
    kept : dict of str to NDArray, optional
        Other arrays that change in place.

    Returns
    -------
    list of dict
        The history. Resumes bit for bit.
    """
    kept = kept or {}

    def train(epoch, random):
        totals = {}
        for _ in range(steps):
            for name, value in step(random).items():
                totals[name] = totals.get(name, 0) + value
        rate = next(iter(trainers.values())).learning_rate if trainers else 0.0
        return {'samples': steps, 'learning_rate': rate,
                **{f'train_{name}': float(np.ravel(getattr(total, 'asnumpy', lambda total=total: total)())[0]) / steps
                   for name, total in totals.items()}}

    def arrays():
        found = {f'kept:{name}': array for name, array in kept.items()}
        for name, trainer in trainers.items():
            found.update((f'{name}:parameter:{number}', parameter.data()) for number, parameter in enumerate(trainer._params))
            for updater in trainer._updaters:
                found.update((f'{name}:optimizer:{key}', array) for key, array in optimizer_arrays(updater).items())
            found[f'{name}:updates'] = nd.array([trainer._optimizer.num_update], dtype='int32')
        return found

    def restore(saved, epochs):
        for name, array in kept.items():
            saved[f'kept:{name}'].copyto(array)
        for name, trainer in trainers.items():
            for number, parameter in enumerate(trainer._params):
                parameter.set_data(saved[f'{name}:parameter:{number}'])
            if not trainer._kv_initialized:
                trainer._init_kvstore()
            weights = {number: parameter.data() for number, parameter in enumerate(trainer._params)}
            state = {key[len(name) + 1:]: array for key, array in saved.items() if key.startswith(f'{name}:optimizer:')}
            updates = int(saved[f'{name}:updates'].asscalar())
            for updater in trainer._updaters:
                restore_optimizer(state, updater, weights)
                updater.optimizer.num_update = updates
                updater.optimizer._index_update_count.update(
                    {number: updates for number, parameter in enumerate(trainer._params) if parameter.grad_req != 'null'})
    return train_epochs(run, epochs, train, lambda: {name: float(value) for name, value in measure().items()}, arrays, restore)
