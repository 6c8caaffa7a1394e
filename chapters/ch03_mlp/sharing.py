"""Section 3.2.3: several networks that answer together, and one network with several tasks.

    python -m chapters run 3.2.3-ensemble
"""
import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from chapters.ch03_mlp.regularization import comparison
from chapters.kit.data.batches import Batches
from chapters.kit.report import figures
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.from_recipe import initialize, make_optimizer
from chapters.kit.variants import trained
from chapters.script import run_script

_MEMBERS = 5
_REPEATS = 3


def ensemble(run):
    """Five networks that differ by their random numbers, and five of other widths too; the mean of their answers."""
    metrics = {}
    for kind, widths in (('same', [(128, 64)] * _MEMBERS), ('other', [(32,), (256,), (64, 64), (128, 64), (256, 128)])):
        answers = []
        for number, hidden in enumerate(widths, 1):
            network, _, data = trained(run, f'{kind}{number}', run.experiment.but(hidden=hidden), run.seed + number)
            x = nd.array(data.validation_x, run.devices[0])
            answers.append(nd.softmax(network(x)).asnumpy())
        answers.append(np.mean(answers, axis=0))
        truth = data.validation_y.astype(int)
        right = [np.mean(part.argmax(axis=1) == truth) for part in answers]
        loss = [-np.mean(np.log(part[np.arange(len(truth)), truth])) for part in answers]
        metrics.update({f'{kind}_member_accuracy': np.mean(right[:-1]), f'{kind}_together_accuracy': right[-1],
                        f'{kind}_member_loss': np.mean(loss[:-1]), f'{kind}_together_loss': loss[-1]})
    return metrics


class TwoTasks(gluon.HybridBlock):
    """FC128 ReLU FC64 ReLU, and two layers that share them: is the digit odd, and which is it?

    Input (N, C, H, W), output (N, 2 + classes): logits of both tasks, side by side.
    """
    def __init__(self, hidden=(128, 64), classes=10, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.hidden = nn.HybridSequential()
            for units in hidden:
                self.hidden.add(nn.Dense(units, activation='relu'))
            self.odd, self.digit = nn.Dense(2), nn.Dense(classes)

    def hybrid_forward(self, F, x):
        hidden = self.hidden(x)
        return F.concat(self.odd(hidden), self.digit(hidden), dim=1)


def multi_task(run):
    """The network learns odd or even alone, or which digit it is as well; their losses are added. Mean of three starts.

    Features that serve two tasks serve others better, too: logistic regression reads from them, once they are learnt, whether
    a digit has a loop, which nobody told the network.
    """
    found: dict = {'alone': [], 'together': []}  # of each start, (epochs, 2) accuracies of both tasks
    loops: dict = {'alone': [], 'together': []}
    for repeat in range(_REPEATS):
        for kind, weight in (('alone', 0.0), ('together', 1.0)):
            network, accuracies = _learn(run, weight, run.seed + repeat)
            found[kind].append(accuracies)
            loops[kind].append(_reads_loops(network, run.data, run.devices[0]))
    figure, axis = figures.plt.subplots(figsize=(6.5, 3.6))
    for kind, curves in found.items():
        axis.plot(np.mean(curves, axis=0)[:, 0], label=f'odd or even, {kind}')
    axis.plot(np.mean(found['together'], axis=0)[:, 1], ':', label='which digit')
    axis.set(xlabel='epoch', ylabel='validation accuracy')
    axis.legend()
    axis.set_title(figures.text('3.2.3 Two tasks, one network', '两个任务，一个网络'))
    run.save_figure(figure, 'tasks')
    last = {kind: np.mean(curves, axis=0)[-5:].mean(axis=0) for kind, curves in found.items()}
    return {'alone_odd': last['alone'][0], 'together_odd': last['together'][0], 'together_digit': last['together'][1],
            'alone_loop': np.mean(loops['alone']), 'together_loop': np.mean(loops['together'])}


def _reads_loops(network, data, device):
    """Validation accuracy of logistic regression on the shared features: has the digit a loop, as 0, 6, 8 and 9 have?"""
    from sklearn.linear_model import LogisticRegression
    (train_x, train_y), (validation_x, validation_y) = (
        (network.hidden(nd.array(x, device)).asnumpy(), np.isin(y, (0, 6, 8, 9)))
        for x, y in ((data.train_x, data.train_y), (data.validation_x, data.validation_y)))
    return LogisticRegression(max_iter=2000).fit(train_x, train_y).score(validation_x, validation_y)


def _learn(run, weight, seed):
    """The network, and validation accuracy of both tasks after every epoch; `weight` is that of the second one's loss."""
    data, recipe, device = run.data, run.recipe, run.devices[0]
    random = seed_everything(seed)
    network = run.experiment.build()
    initialize(network, recipe, data.train_x[:1], [device])
    batches = Batches(data, recipe, device)
    trainer = gluon.Trainer(network.collect_params(), make_optimizer(recipe, batches.number, network))
    cross_entropy, accuracies = gluon.loss.SoftmaxCrossEntropyLoss(), []
    for epoch in range(recipe.epochs):
        for x, y in batches.of_epoch(random, epoch):
            with autograd.record():
                out = network(x)
                loss = cross_entropy(out[:, :2], y % 2) + weight * cross_entropy(out[:, 2:], y)
            loss.backward()
            trainer.step(1)  # the optimizer divides by the batch size
        out, truth = network(nd.array(data.validation_x, device)).asnumpy(), data.validation_y
        accuracies.append((np.mean(out[:, :2].argmax(axis=1) == truth % 2), np.mean(out[:, 2:].argmax(axis=1) == truth)))
    return network, accuracies


EXPERIMENTS = [
    comparison('3.2.3-ensemble', 'An ensemble of five networks', '五个网络的集合', ensemble, epochs=20,
               train_samples=150),
    comparison('3.2.3-multi-task', 'Two tasks share a network', '多任务学习：两个任务共享一个网络', multi_task,
               network=TwoTasks, epochs=20),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
