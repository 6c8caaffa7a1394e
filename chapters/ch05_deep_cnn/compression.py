"""Section 5.6.2: smaller parameters: weights of one bit, weights left out, and groups that are learnt (CondenseNet's idea).

Rastegari, Ordonez, Redmon, Farhadi, "XNOR-Net", ECCV 2016 (https://arxiv.org/abs/1603.05279); Han, Pool, Tran, Dally, "Learning
both weights and connections for efficient neural networks", NIPS 2015 (https://arxiv.org/abs/1506.02626); Huang, Liu, van der
Maaten, Weinberger, "CondenseNet", CVPR 2018 (https://arxiv.org/abs/1711.09224).

    python -m chapters run 5.6.2-pruning --data digits
"""
import numpy as np
from mxnet import gluon, nd
from mxnet.gluon import nn

from chapters.ch05_deep_cnn.fashion import FashionNet
from chapters.ch05_deep_cnn.layers import batch_norm
from chapters.ch05_deep_cnn.teacher import learn
from chapters.kit.experiment import Study
from chapters.kit.networks.layers import layers
from chapters.kit.report import figures
from chapters.kit.training.recipe import Recipe
from chapters.kit.training.train import Evaluation, Objective, train
from chapters.kit.variants import compare, draw_accuracies
from chapters.script import run_script
from data_tools.errors import UserError


class OneBitConvolution(gluon.HybridBlock):
    """A 3x3 convolution with weights of one bit: the sign of each, times the mean size of all that belong to a plane.

    Gradients go to the real weights behind as if the sign were not there; only signs and one number a plane are needed when it
    is trained.

    Parameters
    ----------
    filters, channels : int

    Input (N, channels, H, W), output (N, filters, H, W).
    """
    def __init__(self, filters, channels, **kwargs):
        super().__init__(**kwargs)
        self._filters = filters
        with self.name_scope():
            self.weight = self.params.get('weight', shape=(filters, channels, 3, 3))

    def hybrid_forward(self, F, x, weight):
        size = F.mean(F.abs(weight), axis=(1, 2, 3), keepdims=True)
        bits = F.broadcast_mul(size, F.sign(weight))
        seen = weight + F.BlockGrad(bits - weight)  # the value of the bits, the gradient of the weights
        return F.Convolution(x, seen, kernel=(3, 3), pad=(1, 1), num_filter=self._filters, no_bias=True)


class BitNet(gluon.HybridBlock):
    """Convolutions for 28x28 gray images; all but the first and the output with weights of 32 bits or of one.

    Parameters
    ----------
    bits : int
        32 or 1.
    filters : tuple of int
    classes : int

    Input (N, 1, 28, 28), output logits (N, classes).
    """
    def __init__(self, bits=1, filters=(16, 32, 32), classes=10, **kwargs):
        super().__init__(**kwargs)
        if bits not in (1, 32):
            raise UserError(f'bits={bits}: give 1 or 32')
        with self.name_scope():
            self.features = nn.HybridSequential()
            self.features.add(nn.Conv2D(filters[0], 3, padding=1), batch_norm(), nn.Activation('relu'), nn.MaxPool2D())
            for before, after in zip(filters, filters[1:]):
                self.features.add(OneBitConvolution(after, before) if bits == 1 else
                                  nn.Conv2D(after, 3, padding=1, use_bias=False), batch_norm(), nn.Activation('relu'),
                                  nn.MaxPool2D())
            self.output = nn.Dense(classes)

    def hybrid_forward(self, F, x):
        return self.output(F.mean(self.features(x), axis=(2, 3)))


def one_bit(run):
    """Section 5.6.2: the same network with weights of 32 bits and of one; accuracies, and bytes of the layers that differ."""
    results, metrics = compare(run, ('32-bits', {'bits': 32}), ('1-bit', {'bits': 1}))
    filters = run.experiment.settings()['filters']
    weights = sum(9 * before * after for before, after in zip(filters, filters[1:]))
    draw_accuracies(run, {name: [row['validation_accuracy'] for row in history] for name, (_, history, _) in results.items()},
                    'comparison', '5.6.2 Weights of one bit', '1bit 参数')
    return {**metrics, 'kilobytes_32_bits': 4 * weights / 1e3, 'kilobytes_1_bit': (weights / 8 + 4 * sum(filters[1:])) / 1e3}


def kernels_of(network):
    """The weights of all convolutions but the first, as parameters."""
    return [layer.weight for layer in layers(network).values()
            if getattr(layer, 'weight', None) is not None and len(layer.weight.shape) == 4][1:]


def _go_on(run, network, masks, epochs):
    """Train on, the weights that are left out staying 0; returns the validation accuracy."""
    recipe = run.recipe.but(epochs=epochs, learning_rate=run.recipe.learning_rate / 4)
    return learn(run, network, network, run.data, lambda x, y: -nd.pick(nd.log_softmax(network(x)), y), recipe,
                 after=lambda: apply_masks(masks))[-1]


def apply_masks(masks):
    """Set weights to 0 where their mask is 0. `masks`: {parameter: numpy.ndarray}."""
    for parameter, mask in masks.items():
        parameter.set_data(parameter.data() * nd.array(mask))


def _accuracy(run, network):
    return float(Evaluation(Objective(network), run.data.validation_x, run.data.validation_y, run.devices[0])()[1])


def smallest_left_out(network, share):
    """{weights: mask} that leaves out this share of the weights of the inner convolutions: the smallest of all."""
    weights = kernels_of(network)
    sizes = np.concatenate([np.abs(weight.data().asnumpy()).ravel() for weight in weights])
    least = np.quantile(sizes, share)
    return {weight: (np.abs(weight.data().asnumpy()) > least).astype(np.float32) for weight in weights}


def pruning(run):
    """Section 5.6.2: weights near 0 are left out, more and more of them; accuracies at once, and after training on.

    Returns
    -------
    dict
    """
    network, history = train(run)
    whole = history[-1]['validation_accuracy']
    kept = {parameter: parameter.data().copy() for parameter in network.collect_params().values()}
    metrics, shares, at_once, after = {'accuracy_whole': whole}, (0.5, 0.7, 0.9, 0.95), [], []
    for share in shares:
        for parameter, array in kept.items():
            parameter.set_data(array)
        masks = smallest_left_out(network, share)
        apply_masks(masks)
        at_once.append(_accuracy(run, network))
        after.append(_go_on(run, network, masks, max(1, run.recipe.epochs // 4)))
        metrics.update({f'accuracy_without_{100 * share:.0f}_percent': at_once[-1],
                        f'accuracy_without_{100 * share:.0f}_percent_trained_on': after[-1],
                        f'zeros_without_{100 * share:.0f}_percent': np.mean(np.concatenate(
                            [(weight.data().asnumpy() == 0).ravel() for weight in masks]))})
    figure, axis = figures.plt.subplots(figsize=(6.5, 4))
    axis.plot([0, *shares], [whole, *at_once], 'o-', label='at once')
    axis.plot([0, *shares], [whole, *after], 'o-', label='after training on')
    axis.set(xlabel='share of the weights left out', ylabel='validation accuracy')
    axis.grid(alpha=0.3)
    axis.legend()
    axis.set_title(figures.text('5.6.2 Weights left out', '去除接近 0 的参数') + f'\n{run.data_name}'
                   + (f', {run.short}' if run.short else ''))
    run.save_figure(figure, 'pruning')
    return metrics


def condensed(weight, groups, keep):
    """CondenseNet's mask: filters are split into groups, and each group keeps the inputs whose weights are largest in it.

    Parameters
    ----------
    weight : numpy.ndarray, (out, in, h, w)
    groups : int
    keep : int
        Inputs of each group.

    Returns
    -------
    numpy.ndarray of float32, (out, in, h, w)
    """
    mask = np.zeros(weight.shape, np.float32)
    for rows in np.array_split(np.arange(len(weight)), groups):
        strength = np.abs(weight[rows]).sum(axis=(0, 2, 3))
        mask[np.ix_(rows, np.argsort(-strength)[:keep])] = 1
    return mask


def condense(run, groups=4):
    """Section 5.6.2: groups that are learnt: after half of the training each group of filters keeps a quarter of its inputs,
    those that it uses most; beside groups that are fixed from the start.

    Returns
    -------
    dict
    """
    network, history = train(run)
    whole = history[-1]['validation_accuracy']
    kept = {parameter: parameter.data().copy() for parameter in network.collect_params().values()}
    metrics = {'accuracy_whole': whole, 'groups': groups}
    for name, order in (('learnt', None), ('fixed', 'fixed')):
        for parameter, array in kept.items():
            parameter.set_data(array)
        masks = {}
        for weight in kernels_of(network):
            values = weight.data().asnumpy()
            keep = -(-values.shape[1] // groups)
            if order == 'fixed':  # each group gets the inputs beside each other, whatever they are
                values = np.zeros(values.shape)
                for rows, columns in zip(*(np.array_split(np.arange(number), groups) for number in values.shape[:2])):
                    values[np.ix_(rows, columns)] = 1
            masks[weight] = condensed(values, groups, keep)
        apply_masks(masks)
        metrics[f'accuracy_{name}_groups_at_once'] = _accuracy(run, network)
        metrics[f'accuracy_{name}_groups_trained_on'] = _go_on(run, network, masks, max(1, run.recipe.epochs // 2))
    metrics['share_of_weights_kept'] = sum(mask.sum() for mask in masks.values()) / sum(mask.size for mask in masks.values())
    figure, axis = figures.plt.subplots(figsize=(6.5, 3.2))
    bars = {'whole': whole, **{f'{name} groups, {when}': metrics[f'accuracy_{name}_groups_{when.replace(" ", "_")}']
                               for name in ('learnt', 'fixed') for when in ('at once', 'trained on')}}
    axis.barh(list(bars), list(bars.values()))
    axis.invert_yaxis()
    axis.set_xlim(0, 1)
    axis.set_title(figures.text('5.6.2 Groups that are learnt', '学习分组') + f'\n{run.data_name}'
                   + (f', {run.short}' if run.short else ''))
    figure.tight_layout()
    run.save_figure(figure, 'groups')
    return metrics


def _compressed(section, title, title_zh, function, network, remark=''):
    recipe = Recipe(epochs=8, batch_size=50, learning_rate=0.1, momentum=0.9, anneal=1.0, initializer='msra(avg,0)')
    return Study(section, title, title_zh, network=network, recipe=recipe, data='mnist', sample_shape=(1, 28, 28),
                 function=function, remark=remark)


EXPERIMENTS = [
    _compressed('5.6.2-one-bit', 'Weights of one bit', '1bit 的参数', one_bit, BitNet,
                'The book says that such a network becomes clearly less accurate, without a figure.'),
    _compressed('5.6.2-pruning', 'Weights near 0 left out', '去除接近 0 的参数', pruning, FashionNet),
    _compressed('5.6.2-condensenet', "Groups that are learnt: CondenseNet's idea", 'CondenseNet：学习分组', condense,
                FashionNet),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
