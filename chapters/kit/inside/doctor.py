"""Why does a network not learn? The checks of sections 3.5 and 3.6, each answered in words.

Reads from top to bottom: the data on its own, the network and what flows through it, then short trainings on
100 samples. A finding that explains others stands before them.
"""
import json
import math
from dataclasses import asdict, dataclass, replace

import mxnet as mx
import numpy as np
from mxnet import autograd, nd

from chapters.kit.networks.layer_table import as_symbol, layer_table
from chapters.kit.progress import tqdm
from chapters.kit.report import figures
from chapters.kit.training.compiled_step import CompiledStep
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.training.train import Evaluation, Objective
from data_tools.atomic import atomic_write
from data_tools.errors import UserError

_SAMPLES = 100  # to be learnt by heart (3.5)
_IN_MEMORY = 2000  # samples
_DRAWN = 30
_PROBED = 200  # samples that activations and gradients are looked at with
_MOST_UPDATES, _FEWEST_UPDATES, _WORK = 1500, 120, 7e10  # of one short training; the work in FLOPs
_VANISHED, _FADING = 1e-4, 1e-2  # smallest gradient of a layer against the largest
_EXPLODED = 100  # norm of the gradient of the mean loss
_SHADES = {'warning': 0, 'note': 1, 'fine': 2}


@dataclass(frozen=True)
class Finding:
    """One answer of the doctor.

    Attributes
    ----------
    name : str
        'labels-do-not-fit', 'dead-layer', ... the same at every run.
    severity : str
        'warning': this keeps the network from learning. 'note': worth knowing. 'fine': healthy.
    text : str
        What was found and what to do, one line.
    """
    name: str
    severity: str
    text: str


def examine_and_print(run):
    """Examine a run, and say what was found.

    Parameters
    ----------
    run : Run

    Returns
    -------
    int
        Exit code: 0 if nothing needs mending, 1 if something does.

    Raises
    ------
    UserError
        It is one of the symbolic form.
    """
    if run.form != 'gluon':
        run.remove_if_empty()
        raise UserError('the doctor examines a network in its Gluon form: leave out --form')
    print(run.heading, flush=True)
    findings = examine(run)
    for finding in findings:
        print(f'{finding.severity:8} {finding.text}')
    if run.data.note:
        print(run.data.note)
    drawn = run.folder / 'figures'
    print(f'{drawn}: {", ".join(sorted(path.name for path in drawn.iterdir()))}')
    return int(findings[0].severity == 'warning')


def examine(run, draw=True):
    """Look at data, network and recipe of a run, without finishing it; draw what was seen.

    Writes `figures/data.png`, `layers.png`, `gradients.png`, `learning.png` and `findings.json`, and `augmented.png` where the
    recipe changes images at random.

    Parameters
    ----------
    run : chapters.kit.trained.run.Run
    draw : bool, default True
        False leaves the figures out, which take a third of the time.

    Returns
    -------
    list of Finding
        The worst first; among equals, the cause before what follows from it.

    Source: sections 3.5 and 3.6.
    """
    whole, run.data = run.data, _in_memory(run.data)
    if draw:
        _draw_data(run)
        _draw_augmented(run, whole)
    findings = _look_at_data(run.data, run.experiment.objective)
    if not any(finding.name == 'data-broken' for finding in findings):
        findings += _look_at_learning(run, any(finding.severity == 'warning' for finding in findings), draw)
    findings.sort(key=lambda finding: _SHADES[finding.severity])  # keeps the order among equals
    with atomic_write(run.folder / 'findings.json', text=True) as file:
        json.dump([asdict(finding) for finding in findings], file, indent=1, ensure_ascii=False)
    return findings


# The data on its own.

def _in_memory(data):
    """The same data, at most so many samples of each part as arrays: those of packs are read where they are looked at."""
    if isinstance(data.train_x, np.ndarray):
        return data
    count = min(_IN_MEMORY, len(data.train_x))
    if data.batch and len(data.train_y) < count:  # labels that come with the samples only
        x, y = data.batch(np.arange(count), np.random.default_rng(0))
    else:
        x, y = data.train_x[:count], data.train_y[:count]
    return replace(data, train_x=np.asarray(x, np.float32), train_y=np.asarray(y, np.float32), batch=None, stream=None,
                   validation_x=np.asarray(data.validation_x[:count], np.float32), validation_y=data.validation_y[:count])


def _look_at_data(data, objective):
    x, y = data.train_x, data.train_y
    for name, array in (('an input', x), ('a label', y)):
        if not np.isfinite(array).all():
            return [Finding('data-broken', 'warning', f'sample {np.argwhere(~np.isfinite(array))[0][0]} has '
                            f'{name} that is NaN or infinite: mend or leave out such samples')]
    if objective == 'softmax' and (y.min() < 0 or y.max() >= len(data.class_names)):
        return [Finding('data-broken', 'warning', f'labels go from {y.min():g} to {y.max():g}, but there are '
                        f'{len(data.class_names)} classes: number them from 0')]
    if np.ptp(y) == 0 or np.ptp(x) == 0:
        what = 'labels' if np.ptp(y) == 0 else 'inputs'
        return [Finding('data-broken', 'warning', f'all {what} are the same: the data was not read as it '
                        'should be')]
    return [_look_at_labels(data, objective), _look_at_scale(x)]


def _look_at_scale(x):
    low, high, mean, deviation = (float(figure) for figure in (x.min(), x.max(), x.mean(), x.std()))
    seen = f'inputs go from {low:.3g} to {high:.3g}, mean {mean:.3g}, standard deviation {deviation:.3g}'
    images = x.ndim == 4
    if max(-low, high) > (16 if images else 1000) or deviation > 30:
        do = 'divide pixels by 255' if images else 'subtract the mean and divide by the standard deviation'
        return Finding('inputs-not-scaled', 'warning',
                       f'{"images" if images else "inputs"} are not scaled: {seen}; {do}')
    if max(-low, high) < 0.02:
        return Finding('inputs-not-scaled', 'warning', f'inputs are tiny: {seen}; were they divided by 255 '
                       'twice?')
    return Finding('inputs-scaled', 'fine', seen)


def _look_at_labels(data, objective):
    """Labels that belong to their samples let plain models beat guessing on held-out ones."""
    random = np.random.default_rng(0)

    def some(x, y, number):
        chosen = random.permutation(len(x))[:number]
        return x[chosen].reshape(len(chosen), -1), y[chosen]
    x, y = some(data.train_x, data.train_y, 1600)
    cut = len(x) * 3 // 4
    within = _plain_models(x[:cut], y[:cut], x[cut:], y[cut:], objective)
    across = _plain_models(x, y, *some(data.validation_x, data.validation_y, 500), objective)
    what = 'images' if data.train_x.ndim == 4 else 'samples'
    if within[0] <= within[1]:
        severity = 'note' if len(data.class_names) > 100 else 'warning'
        return Finding('labels-do-not-fit', severity,
                       f'labels do not belong to their {what}: nearest neighbours and a linear model get '
                       f'{within[2]} on held-out {what}, no better than guessing; were labels and {what} '
                       'shuffled or sorted apart?')
    if across[0] <= across[1]:
        return Finding('validation-labels-do-not-fit', 'warning',
                       f'validation labels do not belong to their {what}, or mean other classes than the '
                       f'training labels: plain models get {within[2]} within the training set but '
                       f'{across[2]} on the validation set')
    return Finding('labels-fit', 'fine', f'labels belong to their {what}: plain models reach {across[2]} on '
                   'validation')


def _plain_models(x, y, test_x, test_y, objective):
    """(what the better of two models reaches, what guessing could, the former in words)."""
    from sklearn import linear_model, neighbors
    scale = x.std() or 1
    if objective == 'square':
        models = neighbors.KNeighborsRegressor(3), linear_model.Ridge()
        best = max(1 - np.mean((model.fit(x / scale, y).predict(test_x / scale) - test_y) ** 2) / test_y.var()
                   for model in models)
        return best, 0.1, f'{max(0, best):.0%} of the variance explained'
    models = neighbors.KNeighborsClassifier(3), linear_model.RidgeClassifier(alpha=10)
    best = max(model.fit(x / scale, y).score(test_x / scale, test_y) for model in models)
    guess = np.unique(test_y, return_counts=True)[1].max() / len(test_y)
    return best, guess + 4 * math.sqrt(guess * (1 - guess) / len(test_y)), f'{best:.0%} right'


# The network: what flows through it, before and after some updates.

class Probe:
    """Activations, weights and gradients of every layer of a network, for the same samples each time.

    Parameters
    ----------
    network : HybridBlock
        Initialized.
    objective : Objective
        Of this network.
    x, y : NDArray
        The samples.
    """
    def __init__(self, network, objective, x, y):
        self._objective, self._x, self._y = objective, x, y
        self._parameters = network.collect_params()
        symbol = as_symbol(network)
        rows = layer_table(network, x.shape)
        self.flops = sum(row.flops for row in rows)
        consumers = {number: [other for other, row in enumerate(rows) if number in row.inputs]
                     for number in range(len(rows))}
        self.layers, self._biases = {}, {}  # name -> names of its weights; of what is added to its output
        shown = []  # which output of the graph is looked at for a layer
        for number, row in enumerate(rows):
            if row.weighted and row.parameter_names:
                end, names = number, row.parameter_names
                while len(consumers[end]) == 1 and rows[consumers[end][0]].operator in _AFTER_LAYER:
                    end = consumers[end][0]
                    names = rows[end].parameter_names or names
                self.layers[row.name] = row.parameter_names[0]
                self._biases[row.name] = names[1:]  # those of batch normalisation, where it follows
                shown.append(rows[end].output)
        relus = [number for number, row in enumerate(rows) if row.kind == 'relu']
        self.relus = [self._layer_before(rows, number) for number in relus]
        shown += [rows[number].output for number in relus]
        internals = symbol.get_internals()
        graph = mx.sym.Group([internals[number] for number in shown])
        arrays = {name: self._parameters[name].data() for name in graph.list_arguments()
                  if name in self._parameters}
        # With a gradient: for prediction alone MXNet fuses layers, and fails with the residual networks of 5.5.
        self._look = graph.bind(x.context, dict(arrays, data=x), args_grad={'data': nd.zeros_like(x)}, aux_states={
            name: self._parameters[name].data() for name in graph.list_auxiliary_states()})

    @staticmethod
    def _layer_before(rows, number):
        while rows[number].inputs and not (rows[number].weighted and rows[number].parameter_names):
            number = rows[number].inputs[0]
        return rows[number].name

    def __call__(self):
        """What is there now.

        Returns
        -------
        dict
            'activations', 'weights', 'biases', 'gradients' (of weights, for the mean loss): layer ->
            numpy.ndarray; 'dead': list of (layer, share of its ReLU units that are 0 for all samples);
            'loss': float.
        """
        with autograd.record():
            loss, _ = self._objective(self._x, self._y)
        loss.backward()
        found = {'loss': float(loss.mean().asscalar()),
                 'weights': {name: self._parameters[weight].data().asnumpy()
                             for name, weight in self.layers.items()},
                 'biases': {name: np.concatenate([np.zeros(0)] + [self._parameters[bias].data().asnumpy()
                                                                  for bias in biases])
                            for name, biases in self._biases.items()},
                 'gradients': {name: self._parameters[weight].grad().asnumpy() / len(self._x)
                               for name, weight in self.layers.items()}}
        # as in training: batch normalisation with the statistics of these samples
        outputs = [output.asnumpy() for output in self._look.forward(is_train=True)]
        found['activations'] = dict(zip(self.layers, outputs))
        found['dead'] = []
        for name, output in zip(self.relus, outputs[len(self.layers):]):
            others = tuple(axis for axis in range(output.ndim) if axis != 1)
            found['dead'].append((name, float((np.abs(output).max(axis=others) == 0).mean())))
        return found


# What belongs to the layer before it.
_AFTER_LAYER = ('BatchNorm', 'LayerNorm', 'InstanceNorm',
                'Activation', 'LeakyReLU', 'relu', 'sigmoid', 'tanh')


def _norms(arrays):
    return {name: float(np.sqrt(np.square(array, dtype=np.float64).sum())) for name, array in arrays.items()}


def _dead_layer(seen):
    """The first layer that gives every sample the same answer and gets no gradient, or None."""
    norms = _norms(seen['gradients'])
    for name, output in seen['activations'].items():
        if np.isfinite(output).all() and np.ptp(output, axis=0).max() == 0 and norms[name] == 0:
            return name
    return None


# Short trainings.

@dataclass
class Trial:
    """A short training: its losses, its score in [0, 1] at the end, what a `Probe` saw before and after."""
    losses: list
    score: float
    words: str
    before: dict
    after: dict
    probe: Probe

    @property
    def learnt(self):
        return self.score >= 0.95

    @property
    def blew_up(self):
        """Whether the loss became NaN, or is higher at the end than at the start, or rose far above it."""
        ends = np.mean(self.losses[-10:])
        return not np.isfinite(self.losses).all() or ends > 1.1 * self.losses[0] \
            or np.max(self.losses) > 5 * self.losses[0] + 1e-3


def _try(run, x, y, factor=1, share=1.0, label='', plain=False):
    """Train a new network on a few samples, at `factor` times the recipe's rate, until it knows them.

    share: part of the usual number of updates. plain: without L1 and L2.
    """
    recipe, kind, device = run.recipe, run.experiment.objective, run.devices[0]
    recipe = recipe.but(learning_rate=min(1e6, recipe.peak_learning_rate * factor), base_batch_size=0,
                        lr_factor=1.0, mixup=0.0, label_smoothing=0.0,
                        batch_size=min(recipe.batch_size, len(x)))
    if plain:
        recipe = recipe.but(l1=0.0, weight_decay=0.0)
    random = seed_everything(run.seed)
    network = run.experiment.build()
    initialize(network, recipe, x[:1], [device])
    if run.init:
        run.load_parameters(network)
    objective = Objective(network, kind, recipe)
    batches = -(-len(x) // recipe.batch_size)
    step = CompiledStep(objective, make_optimizer(recipe, batches, network),
                        [(recipe.batch_size,) + x.shape[1:], (recipe.batch_size,)], device)
    probe = Probe(network, objective, nd.array(run.data.train_x[:_PROBED], device),
                  nd.array(run.data.train_y[:_PROBED], device))
    evaluate = Evaluation(Objective(network, kind), x, y, device)
    updates = _WORK / (3 * max(1, probe.flops) * recipe.batch_size)  # backward is twice the work of forward
    updates = max(10, int(share * min(_MOST_UPDATES, max(_FEWEST_UPDATES, updates))))
    before = probe()

    train_x, train_y = nd.array(x, device), nd.array(y, device)
    losses, order = [], np.zeros(0, int)
    for update in tqdm(range(updates), label, unit=' updates', leave=False, disable=None):
        if len(order) < recipe.batch_size:
            order = np.concatenate([order, random.permutation(len(x))])
        index, order = nd.array(order[:recipe.batch_size], device), order[recipe.batch_size:]
        losses.append(float(step(nd.take(train_x, index), nd.take(train_y, index))[0].mean().asscalar()))
        if not math.isfinite(losses[-1]) or update > updates // 4 and np.mean(losses[-20:]) > 1.2 * losses[0]:
            break  # beyond hope
        if kind == 'softmax' and update % 20 == 19 and np.mean(losses[-batches:]) < 0.1:
            step.synchronize()
            if evaluate()[1] == 1:
                break
    step.synchronize()
    result = evaluate()
    if kind == 'softmax':
        score, words = float(result[1]), f'{result[1]:.0%} right'
    else:
        score = _square_score(x, y, float(result[0]), float(run.data.train_y.var()))
        words = f'mean squared error {result[0]:.3g}'
    return Trial(losses, score if math.isfinite(score) else 0.0, words, before, probe(), probe)


def _square_score(x, y, error, variance):
    """1: about as good as a linear model, or nearly all is explained; 0: no better than guessing."""
    from sklearn.linear_model import LinearRegression
    flat = x.reshape(len(x), -1)
    within_reach = np.mean((LinearRegression().fit(flat, y).predict(flat) - y) ** 2)
    enough = max(1.5 * within_reach, 0.05 * variance)
    return 1.0 if error <= enough else max(0.0, 1 - error / variance)


def _look_at_learning(run, causes, draw):
    """Everything that needs the network. causes: the data is known to be the trouble, or part of it."""
    data, kind, classes = run.data, run.experiment.objective, len(run.data.class_names)
    rate = run.recipe.peak_learning_rate
    x, y = data.train_x[:_SAMPLES], data.train_y[:_SAMPLES]
    findings = []
    by_heart = _try(run, x, y, label=f'learn {len(x)} samples')
    before, after = by_heart.before, by_heart.after

    dead = _dead_layer(before)
    if dead:
        causes = True
        findings.append(_dead_finding(dead, before))
    findings += _look_at_gradients(by_heart, causes)
    causes = causes or any(finding.severity == 'warning' for finding in findings)

    curves = {f'rate {rate:g}': by_heart.losses}
    if not by_heart.learnt:
        better = _look_for_a_cause(run, x, y, by_heart, causes, curves)
        findings.append(better or Finding(
            'does-not-overfit', 'note' if causes or by_heart.score > 0.6 else 'warning',
            f'{len(x)} samples are not learnt by heart after {len(by_heart.losses)} updates: {by_heart.words}'
            + ('; see above' if causes else '; the network may be too small, too strongly regularised, or '
               'not connected to its loss')))
    else:
        findings.append(Finding('overfits', 'fine', f'{len(x)} samples are learnt by heart in '
                                f'{len(by_heart.losses)} updates: {by_heart.words}'))
        slow = _plateau(by_heart.losses, run)
        if slow:
            findings.append(slow)
        for factor in (10, 0.1):
            curves[f'rate {rate * factor:g}'] = _try(run, x, y, factor, 0.2, f'rate times {factor:g}').losses
    told = causes or any(finding.severity == 'warning' for finding in findings)
    findings += _look_at_dead_units(before, after, dead, by_heart.learnt or told)
    if kind == 'softmax':
        findings.append(_look_at_first_loss(before['loss'], classes, told))

    one = np.full_like(y, np.bincount(y.astype(int)).argmax() if kind == 'softmax' else data.train_y.mean())
    one_label = _try(run, x, one, share=0.5, label='one label for all')
    curves['one label for all'] = one_label.losses
    if one_label.learnt:
        findings.append(Finding('one-label', 'fine', f'one label for all is learnt: {one_label.words}'))
    else:
        findings.append(Finding('one-label-not-learnt', 'note' if told else 'warning',
                                f'not even one label for all samples is learnt: {one_label.words}'
                                + ('' if told else '; is the loss connected to the network?')))
    if draw:
        _draw_layers(run, before, after)
        _draw_gradients(run, before, after)
        _draw_learning(run, curves, classes)
    return findings


def _dead_finding(name, seen):
    """Name the dead layer and what made it so."""
    weights, biases = seen['weights'][name], seen['biases'][name]
    if not weights.any():
        why = 'its weights are all 0: choose another initializer'
    elif len(biases) and biases.max() < 0:
        why = f'its biases are {biases.mean():.3g} on average, so that its ReLUs get only negative ' \
              'numbers: start biases at 0'
    else:
        why = 'its ReLUs get only negative numbers: look at its weights and biases, or use leaky ReLU'
    return Finding('dead-layer', 'warning', f'layer {name} is dead: it gives the same answer for every '
                   f'sample and gets no gradient; {why}')


def _look_at_gradients(trial, causes):
    """Vanishing and exploding gradients, from the norms of all layers' gradients at the start."""
    norms = _norms(trial.before['gradients'])
    if not norms:
        return []
    total = math.sqrt(sum(norm ** 2 for norm in norms.values()))
    largest, smallest = max(norms, key=norms.get), min(norms, key=norms.get)
    if not math.isfinite(total) or total > _EXPLODED:
        grown = f'at the start its norm is {total:.3g}, most of it in layer {largest}'
        do = 'see above' if causes else \
            'use smaller initial weights (initializer=xavier) or batch normalisation'
        return [Finding('exploding-gradients', 'note' if causes else 'warning',
                        f'the gradient explodes: {grown}; {do}')]
    ratio = norms[smallest] / norms[largest] if norms[largest] else 0.0
    if not causes and ratio < (_FADING if not trial.learnt else _VANISHED):
        return [Finding('vanishing-gradients', 'warning',
                        f'the gradient vanishes: in layer {smallest} it is {ratio:.1g} of that in layer '
                        f'{largest}; use ReLU in place of sigmoid or tanh, larger initial weights, '
                        'batch normalisation, or shortcuts')]
    if causes:
        return []
    return [Finding('gradients', 'fine', f'gradients reach every layer: norm {total:.3g} in all, '
                    f'{norms[smallest]:.2g} in layer {smallest}, {norms[largest]:.2g} in layer {largest}')]


def _look_for_a_cause(run, x, y, by_heart, causes, curves):
    """The samples were not learnt: would they be at another rate, or without L1 and L2?"""
    if causes:
        return None
    rate = run.recipe.peak_learning_rate
    # a loss that blew up asks for lower rates only
    for factor in (0.1, 0.01) if by_heart.blew_up else (0.1, 0.01, 10, 100):
        trial = _try(run, x, y, factor, label=f'rate times {factor:g}')
        curves[f'rate {rate * factor:g}'] = trial.losses
        if trial.learnt or trial.score > by_heart.score + 0.5:
            name, word = ('rate-too-high', 'high') if factor < 1 else ('rate-too-low', 'low')
            does = 'the loss blows up' if by_heart.blew_up else \
                f'{len(x)} samples are not learnt ({by_heart.words})'
            return Finding(name, 'warning', f'the learning rate {rate:g} is too {word}: {does}, while at '
                           f'{rate * factor:g} {trial.words} after {len(trial.losses)} updates; try '
                           f'--learning-rate {rate * factor:g}')
    if run.recipe.l1 or run.recipe.weight_decay:
        trial = _try(run, x, y, plain=True, label='without L1 and L2')
        curves['without L1 and L2'] = trial.losses
        if trial.learnt:
            return Finding('regularised-too-much', 'warning', f'L1 or L2 is too strong: {len(x)} samples '
                           f'with it {by_heart.words}, without it {trial.words}; lower l1={run.recipe.l1:g}, '
                           f'weight_decay={run.recipe.weight_decay:g}')
    return None


def _plateau(losses, run):
    """A note on a loss that stays where it is for long, and falls then."""
    slow = int(np.argmax(np.asarray(losses) < 0.8 * losses[0]))
    if slow < 200 or slow < 0.2 * len(losses):
        return None
    return Finding('slow-start', 'note', f'a slow start: the loss stays at {losses[0]:.3g} for {slow} '
                   'updates, then falls; larger initial weights would shorten it (now '
                   f'initializer={run.recipe.initializer})')


def _look_at_dead_units(before, after, dead_layer, told):
    """ReLU units that are 0 for all samples."""
    findings = []
    for when, seen in (('at the start', before), ('after training', after)):
        worst = max(seen['dead'], key=lambda pair: pair[1], default=None)
        if worst and worst[1] > 0.5 and not dead_layer:
            findings.append(Finding('dead-units', 'note' if told else 'warning',
                                    f'dead ReLUs: {when}, {worst[1]:.0%} of the units after layer {worst[0]} '
                                    'are 0 for all samples; lower the rate, raise the biases, or use leaky '
                                    'ReLU'))
    if before['dead'] and not findings and not dead_layer:
        share = max(share for _, share in before['dead'] + after['dead'])
        findings.append(Finding('relus', 'fine', f'ReLUs are alive: at most {share:.0%} of a layer are 0 for '
                                'all samples'))
    return findings


def _look_at_first_loss(loss, classes, causes):
    expected = math.log(classes)
    seen = f'the first loss is {loss:.3g}; guessing would give ln({classes}) = {expected:.3g}'
    if not loss < 2 * expected:
        return Finding('first-loss', 'note' if causes else 'warning', f'{seen}: the network is sure of wrong '
                       'answers at its start; ' + ('see above' if causes else
                                                   'use smaller initial weights, and look at the inputs'))
    if loss < 0.5 * expected:
        return Finding('first-loss', 'note', f'{seen}: so good before training? Are the parameters trained '
                       'already, or is the answer among the inputs?')
    return Finding('first-loss', 'fine', seen)


# Figures.

def _draw_data(run):
    """The first samples with their labels: wrong ones are seen at a glance."""
    data = run.data
    if data.train_x.ndim == 4 and data.train_x.shape[1] in (1, 3):
        names = [data.class_names[int(label)] if 0 <= label < len(data.class_names) else f'label {label:g}!'
                 for label in np.nan_to_num(data.train_y[:_DRAWN], nan=-1)]
        images = data.train_x[:_DRAWN]
        low, high = np.nanmin(images), np.nanmax(images)
        figure = figures.image_grid((images - low) / ((high - low) or 1), names, 10, figures.text(
            f'{run.data_name}: first training samples and their labels', '训练样本与标签'))
    else:
        figures.chinese_font()
        flat = data.train_x.reshape(len(data.train_x), -1)[:1000]
        figure, axis = figures.plt.subplots(figsize=(6, 5))
        if flat.shape[1] > 1:
            points = axis.scatter(flat[:, 0], flat[:, 1], c=data.train_y[:1000].ravel(), s=12, cmap='viridis')
            figure.colorbar(points, label='label')
            axis.set_xlabel('input 1')
            axis.set_ylabel('input 2')
        else:
            axis.scatter(flat[:, 0], data.train_y[:1000].ravel(), s=12)
            axis.set_xlabel('input')
            axis.set_ylabel('label')
        axis.set_title(figures.text(f'{run.data_name}: training samples', '训练样本'))
    run.save_figure(figure, 'data')


def _draw_augmented(run, data):
    """Images as the recipe's augmentation makes them: what the network is really shown (3.5)."""
    if not run.recipe.augmentation or run.data.train_x.ndim != 4 or run.data.train_x.shape[1] not in (1, 3):
        return
    random, columns = np.random.default_rng(run.seed), 6
    if data.batch:  # a row an image: as it is, then changed
        number = min(5, len(run.data.train_x))
        changed = data.batch(np.repeat(np.arange(number), columns - 1), random)[0]
        images = np.concatenate([run.data.train_x[:number, None], changed.reshape(number, columns - 1, *changed.shape[1:])],
                                axis=1).reshape(-1, *changed.shape[1:])
        words = 'as they are, and as they are changed'
    elif data.stream:  # MXNet's reader gives them in an order of its own
        images = next(iter(data.stream(random, run.workers)))[0].asnumpy()[:_DRAWN]
        words = 'as they are changed'
    else:
        return
    low, high = images.min(), images.max()
    run.save_figure(figures.image_grid((images - low) / ((high - low) or 1), columns=columns, title=figures.text(
        f'training images {words}: {run.recipe.augmentation}', '增强后的训练图像')), 'augmented')


_COLOURS = {'at the start': 'C0', 'after training': 'C1'}


def _draw_layers(run, before, after):
    """Histograms of activations, weights and gradients, a row for each layer (at most 12)."""
    names = list(before['weights'])
    names = [names[int(number)] for number in np.linspace(0, len(names) - 1, min(12, len(names)))]
    figures.chinese_font()
    figure, axes = figures.plt.subplots(len(names), 3, figsize=(13, 0.9 + 2.1 * len(names)), squeeze=False)
    for row, name in zip(axes, names):
        for axis, kind in zip(row, ('activations', 'weights', 'gradients')):
            values = {when: _finite(seen[kind][name]) for when, seen in zip(_COLOURS, (before, after))}
            if kind == 'gradients':  # they span many powers of ten
                values = {when: np.log10(np.abs(array[array != 0])) for when, array in values.items()}
            together = np.concatenate(list(values.values()))
            if not len(together):
                axis.text(0.5, 0.5, 'all 0' if kind == 'gradients' else 'NaN', ha='center',
                          transform=axis.transAxes)
                continue
            bins = np.linspace(together.min() - 1e-9, together.max() + 1e-9, 60)
            for when, color in _COLOURS.items():
                axis.hist(values[when], bins, color=color, alpha=0.55, label=when, histtype='stepfilled')
            axis.set_yscale('log')
            if kind == 'gradients':
                axis.set_xlabel('log10 |gradient|', fontsize=8)
            axis.tick_params(labelsize=8)
        row[0].set_ylabel(name)
    for axis, title in zip(axes[0], (figures.text('activations', '激活值'), figures.text('weights', '权重'),
                                     figures.text('gradients of the weights', '权重的梯度'))):
        axis.set_title(title)
    axes[0, 0].legend(fontsize=8)
    figure.suptitle(figures.text(f'{run.experiment.section}: how many values (log scale), layer by layer',
                                 '各层直方图'))
    figure.tight_layout()
    run.save_figure(figure, 'layers')


def _finite(array):
    array = array[np.isfinite(array)]
    return array[::-(-array.size // 50000) or 1]  # enough for a histogram


def _draw_gradients(run, before, after):
    """Norm of the gradient by layer, and the share of dead ReLUs."""
    figures.chinese_font()
    figure, (left, right) = figures.plt.subplots(1, 2, figsize=(13, 4))
    names = list(before['gradients'])
    for when, seen in zip(_COLOURS, (before, after)):
        norms = np.array(list(_norms(seen['gradients']).values()))
        shown = np.isfinite(norms) & (norms > 0)
        left.plot(np.arange(len(names))[shown], norms[shown], 'o-', color=_COLOURS[when],
                  label=when if shown.all() else f'{when}: {(~shown).sum()} layers 0 or NaN')
    left.set_yscale('log')
    low, high = left.get_ylim()
    left.set_ylim(min(low, high / 10 ** 2), high * 2)  # a difference of a few percent shall look like one
    _name_places(left, names)
    left.set_title(figures.text('norm of the gradient, by layer', '各层梯度的范数'))
    left.legend(fontsize=8)
    left.grid(alpha=0.3)
    places = np.arange(len(before['dead']))
    for offset, (when, seen) in zip((-0.2, 0.2), zip(_COLOURS, (before, after))):
        right.bar(places + offset, [100 * share for _, share in seen['dead']], 0.4, color=_COLOURS[when],
                  label=when)
    _name_places(right, [name for name, _ in before['dead']])
    right.set_ylim(0, 100)
    right.set_ylabel('%')
    right.set_title(figures.text('ReLU units that are 0 for all samples', '死亡的 ReLU') if len(places)
                    else 'no ReLU here')
    if len(places):
        right.legend(fontsize=8)
    figure.tight_layout()
    run.save_figure(figure, 'gradients')


def _name_places(axis, names):
    """Names along the horizontal axis, slanted where they are many."""
    axis.set_xticks(range(len(names)))
    many = len(names) > 4
    axis.set_xticklabels(names, rotation=45 if many else 0, ha='right' if many else 'center')


def _draw_learning(run, curves, classes):
    """Loss of the short trainings against updates."""
    figures.chinese_font()
    figure, axis = figures.plt.subplots(figsize=(8, 4.5))
    for name, losses in curves.items():
        losses = np.maximum(losses, 0)  # rounding makes it -1e-6 where all is right
        width = max(1, len(losses) // 60)  # running mean
        smooth = np.convolve(losses, np.ones(width) / width, 'valid')
        axis.plot(np.arange(len(smooth)) + width, smooth,
                  label=f'{name}: {losses[-width:].mean():.3g} at the end')
    if run.experiment.objective == 'softmax':
        axis.axhline(math.log(classes), color='gray', linestyle=':', label=f'guessing: ln({classes})')
    axis.set_yscale('log')
    axis.set_ylim(bottom=max(1e-4, axis.get_ylim()[0]))
    axis.set_xlabel('updates')
    axis.set_ylabel('loss')
    axis.legend(fontsize=8)
    axis.grid(alpha=0.3)
    axis.set_title(figures.text(f'{run.experiment.section}: short trainings on {_SAMPLES} samples',
                                '用100个样本的短训练'))
    figure.tight_layout()
    run.save_figure(figure, 'learning')
