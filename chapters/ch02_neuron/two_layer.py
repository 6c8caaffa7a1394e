"""Sections 2.3.2, 2.3.4 and 2.3.9: two layers, where one neuron is not enough.

    python -m chapters.ch02_neuron.two_layer
"""
import csv
from dataclasses import replace

import numpy as np
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn

from book_code import sec_2_3_2, sec_2_3_9
from chapters.ch02_neuron.neuron import max_of_two
from chapters.kit.data.training_data import made_by
from chapters.kit.experiment import BookFigure, Training, WorkedExample, figures_of
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.script import run_script

# The parameters that 2.3.4 starts from: w13 is the weight from neuron 1 to neuron 3.
START = dict(w11=0.5, w21=0.0, b1=0.0, w12=0.5, w22=1.0, b2=0.0, w13=0.5, w23=0.5, b3=0.0)


class MaxNet(gluon.HybridBlock):
    """FC ReLU FC ReLU FC1: the network of 2.3.9 that learns the larger of two numbers.

    Parameters
    ----------
    hidden : tuple of int
        Units of the hidden layers.
    activation : str
        'relu', or 'swish': x sigmoid(x) (2.3.2).

    Input (N, 2), output (N, 1).
    """
    def __init__(self, hidden=(10, 10), activation='relu', **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.hidden = nn.HybridSequential()
            for units in hidden:
                self.hidden.add(nn.Dense(units), nn.Swish() if activation == 'swish' else nn.Activation(activation))
            self.output = nn.Dense(1)

    def hybrid_forward(self, F, x):
        return self.output(self.hidden(x))


class TwoTwoOne(gluon.HybridBlock):
    """FC2 ReLU FC1: the network of 2.3.4 and 4.5.4, with the parameters that it starts from.

    Its output neuron is linear: g(I3) = I3. Input (N, 2), output (N, 1).
    """
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        with self.name_scope():
            self.fc1 = nn.Dense(2, activation='relu', in_units=2)
            self.fc2 = nn.Dense(1, in_units=2)

    def hybrid_forward(self, F, x):
        return self.fc2(self.fc1(x))

    def start(self):
        """Set the parameters to `START`."""
        self.initialize(force_reinit=True)
        s = START
        self.fc1.weight.set_data(nd.array([[s['w11'], s['w21']], [s['w12'], s['w22']]]))
        self.fc1.bias.set_data(nd.array([s['b1'], s['b2']]))
        self.fc2.weight.set_data(nd.array([[s['w13'], s['w23']]]))
        self.fc2.bias.set_data(nd.array([s['b3']]))
        return self

    def named(self, of='data'):
        """{name as in `START`: value} of the parameters, or with of='grad' of their gradients."""
        arrays = [getattr(parameter, of)().asnumpy() for parameter in
                  (self.fc1.weight, self.fc1.bias, self.fc2.weight, self.fc2.bias)]
        weight1, bias1, weight2, bias2 = arrays
        values = [weight1[0, 0], weight1[0, 1], bias1[0], weight1[1, 0], weight1[1, 1], bias1[1],
                  weight2[0, 0], weight2[0, 1], bias2[0]]
        return dict(zip(START, map(float, values)))


def forward(p, x1, x2):
    """Inputs of the two hidden neurons and the output, which is the input of the third, for parameters as in `START`.

    Returns
    -------
    (i1, i2, out)
        Numbers, or arrays where x1 and x2 are arrays.
    """
    i1 = p['w11'] * x1 + p['w21'] * x2 + p['b1']
    i2 = p['w12'] * x1 + p['w22'] * x2 + p['b2']
    return i1, i2, p['w13'] * np.maximum(i1, 0) + p['w23'] * np.maximum(i2, 0) + p['b3']


def update(p, x1, x2, target, rate):
    """One step of SGD on (OUT - target)^2 by back-propagation, as 2.3.4 does it by hand.

    Returns
    -------
    (parameters, seen)
        The new parameters, and {name: value} of everything on the way: I1 to I3, OUT, MSE, the slope
        dLOSS/dOUT, and G1 to G3, the derivatives of OUT by I1 to I3.
    """
    i1, i2, out = forward(p, x1, x2)
    slope = 2 * (out - target)
    g3 = 1.0  # the output neuron is linear
    g2 = p['w23'] * g3 * (i2 > 0)
    g1 = p['w13'] * g3 * (i1 > 0)
    gradients = dict(w11=g1 * x1, w21=g1 * x2, b1=g1, w12=g2 * x1, w22=g2 * x2, b2=g2,
                     w13=g3 * max(i1, 0), w23=g3 * max(i2, 0), b3=g3)
    seen = dict(I1=i1, I2=i2, I3=out, OUT=out, MSE=(out - target) ** 2, slope=slope, G1=g1, G2=g2, G3=g3)
    return {name: p[name] - rate * slope * gradients[name] for name in p}, seen


def samples_of_2_3_4(seed):
    """The four samples printed in figure 2-28, then random ones: (4000, 2)."""
    x = np.random.default_rng([seed, 234]).random((4000, 2))
    x[:4] = (0.5, 1), (0.91, 0.42), (0.94, 0.74), (0.46, 0.07)
    return x


def worked_example(run):
    """Section 2.3.4: 4000 samples through the 2-2-1 network by hand; the first four by `autograd` as well."""
    samples = samples_of_2_3_4(run.seed)
    p, metrics, rows = dict(START), {}, []
    for number, (x1, x2) in enumerate(samples, 1):
        p, seen = update(p, x1, x2, max(x1, x2), 0.1)
        rows.append({'t': number - 1, 'x1': x1, 'x2': x2, 'target': max(x1, x2), **seen, **p})
        if number == 1:
            metrics.update(seen)
            metrics.update(p)
        elif number <= 4:
            metrics[f'OUT_sample{number}'] = seen['OUT']

    network = TwoTwoOne().start()
    trainer = gluon.Trainer(network.collect_params(), 'sgd', {'learning_rate': 0.1})
    by_hand, difference = dict(START), 0.0
    for x1, x2 in samples[:4]:
        by_hand, _ = update(by_hand, x1, x2, max(x1, x2), 0.1)
        with autograd.record():
            loss = nd.square(network(nd.array([[x1, x2]])) - max(x1, x2))
        loss.backward()
        trainer.step(1)
        found = network.named()
        difference = max([difference] + [abs(found[name] - by_hand[name]) for name in START])
    metrics['difference_by_hand_autograd'] = difference

    grid = np.meshgrid(*[(np.arange(200) + 0.5) / 200] * 2)
    metrics['mean_loss_after_4000'] = np.mean((forward(p, *grid)[2] - np.maximum(*grid)) ** 2)
    _save_rows(run, rows)
    mse = np.array([row['MSE'] for row in rows])
    figure, axes = figures.plt.subplots(1, 2, figsize=(12, 4))
    axes[0].semilogy(np.maximum(mse, 1e-12), ',', color='0.6')
    axes[0].semilogy(np.arange(49, 4000), np.maximum(np.convolve(mse, np.ones(50) / 50, 'valid'), 1e-12))
    axes[0].set(xlabel='sample', ylabel='(OUT - target)^2', title='each sample, and the mean of the last 50')
    image = axes[1].contourf(*grid, forward(p, *grid)[2], 20)
    figure.colorbar(image, ax=axes[1])
    axes[1].set(xlabel='x1', ylabel='x2', aspect='equal', title='OUT after 4000 samples')
    figure.suptitle(figures.text('2.3.4 The 2-2-1 network learns max(x1, x2)', '2-2-1 网络学会求两数最大值'))
    figure.tight_layout()
    run.save_figure(figure, 'training')
    return metrics


def activations(run):
    """Section 2.3.2: max(x, y) = relu(x) + relu(y - x), and activation functions with their derivatives."""
    x, y = np.meshgrid(*[np.linspace(0, 1, 101)] * 2)
    relu = nd.relu
    made = (relu(nd.array(x)) + relu(nd.array(y - x))).asnumpy()
    figure, axes = figures.plt.subplots(1, 4, figsize=(14, 3.4))
    points = nd.array(np.linspace(-5, 5, 401))
    points.attach_grad()
    for axis, (name, function) in zip(axes, (
            ('ReLU', relu), ('sigmoid', nd.sigmoid), ('tanh', nd.tanh),
            ('Swish = x sigmoid(x)', lambda x: x * nd.sigmoid(x)))):
        with autograd.record():
            out = function(points)
        out.backward()
        axis.plot(points.asnumpy(), out.asnumpy(), label=name)
        axis.plot(points.asnumpy(), points.grad.asnumpy(), '--', label='derivative')
        axis.legend(fontsize=8)
        axis.grid(alpha=0.3)
    figure.suptitle(figures.text('2.3.2 Activation functions', '激活函数'))
    figure.tight_layout()
    run.save_figure(figure, 'activations')
    return {'largest_error_of_relu_max': np.abs(made - np.maximum(x, y)).max()}


def swish_beside_relu(run, network):
    """Figure 2-24: Swish and ReLU; where Swish is least, which is below 0."""
    x = np.linspace(-6, 3, 901)
    swish = nn.Swish()(nd.array(x)).asnumpy()
    figure, axis = figures.plt.subplots(figsize=(6, 3.6))
    axis.plot(x, swish, label='Swish = x sigmoid(x)')
    axis.plot(x, np.maximum(x, 0), '--', label='ReLU')
    axis.grid(alpha=0.3)
    axis.legend()
    axis.set_title(figures.text('2.3.2 Figure 2-24: Swish and ReLU', 'Swish 与 ReLU 的对比'))
    run.save_figure(figure, 'swish')
    return {'swish_least': swish.min(), 'swish_least_at': x[swish.argmin()]}


def learned(run, network):
    """Draw what was learnt, and where it is wrong."""
    x, y = np.meshgrid(*[np.linspace(0, 1, 101)] * 2)
    points = nd.array(np.stack([x.ravel(), y.ravel()], 1), run.devices[0])
    out = network(points).asnumpy().reshape(x.shape)
    figure, axes = figures.plt.subplots(1, 2, figsize=(9.5, 4))
    for axis, values, title in ((axes[0], out, 'output'),
                                (axes[1], out - np.maximum(x, y), 'output - max(x1, x2)')):
        image = axis.contourf(x, y, values, 20)
        figure.colorbar(image, ax=axis)
        axis.set(title=title, xlabel='x1', ylabel='x2', aspect='equal')
    figure.tight_layout()
    run.save_figure(figure, 'learned')


def _save_rows(run, rows):
    """`rows.csv`: what the spreadsheet of figure 2-28 shows."""
    from data_tools.atomic import atomic_write
    with atomic_write(run.folder / 'rows.csv', text=True) as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


_MAX_NET = Training(
    '2.3.9', 'A network with 10 hidden units a layer', '每层 10 个隐藏单元的网络', network=MaxNet,
    recipe=Recipe(epochs=10, batch_size=10, learning_rate=0.1, initializer='uniform(0.5)'), data='max-of-two',
    loader=made_by(max_of_two), sample_shape=(2,), objective='square', drawings=(learned,), listing=sec_2_3_9,
    book=figures_of(train_mse=0.000008, train_mse_epoch0=0.014321, train_mse_epoch1=0.000797, train_mse_epoch2=0.000054,
                    train_mse_epoch3=0.000023, train_mse_epoch8=0.000010, train_mse_epoch9=0.000008),
    remark='Another random start: early epochs differ, the last one does not.')

EXPERIMENTS = [
    WorkedExample('2.3.2', 'The larger of two numbers from ReLUs; activation functions', '用 ReLU 求最大值；激活函数',
                  function=activations, book=figures_of(largest_error_of_relu_max=0)),
    replace(_MAX_NET, section='2.3.2-swish', title='The network of 2.3.9 with Swish',
            title_zh='在 2.3.9 的网络中用 Swish', sizes={'activation': 'swish'}, listing=sec_2_3_2,
            drawings=(learned, swish_beside_relu), book=(), remark=''),
    WorkedExample(
        '2.3.4', 'Back-propagation by hand, 4000 samples', '手算反向传播，4000 个样本', function=worked_example,
        book=figures_of(OUT=0.75, I1=0.25, I2=1.25, I3=0.75, slope=-0.5, G3=1, G2=0.5, G1=0.5, b3=0.05, w13=0.5125,
                        w23=0.5625, b1=0.025, w11=0.5125, w21=0.025, b2=0.025, w12=0.5125, w22=1.025, OUT_sample2=0.82,
                        OUT_sample3=1.09, OUT_sample4=0.34, mean_loss_after_4000=0)),
    _MAX_NET,
    replace(_MAX_NET, section='2.3.9-hidden3', title='The same with 3 units', title_zh='每层 3 个隐藏单元',
            sizes={'hidden': (3, 3)}, remark='',
            book=(BookFigure(0.014090, 'train_mse', note='where it sticks depends on the random start'),
                  *figures_of(train_mse_epoch0=0.023845, train_mse_epoch1=0.014110, train_mse_epoch9=0.014090))),
    replace(_MAX_NET, section='2.3.9-default-start', title='The same without an initializer', title_zh='不指定初始化方法',
            recipe=_MAX_NET.recipe.but(initializer='uniform(0.01)'), listing=None,
            remark='1/18 = 0.0556 is the variance of the larger number: the network always answers with its mean.',
            book=figures_of(train_mse=0.055209, train_mse_epoch0=0.057610, train_mse_epoch1=0.055209,
                            train_mse_epoch9=0.055209)),
]


if __name__ == '__main__':
    run_script(_MAX_NET)
