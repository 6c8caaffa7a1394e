"""Section 4.5.4: training a network by hand in MXNet: forward, backward, and the update written out.

    python -m chapters.ch04_cnn.by_hand
"""
from chapters.kit.runtime import mx  # noqa: F401  checks MXNet before anything else needs it

from chapters.ch02_neuron.two_layer import TwoTwoOne
from mxnet import autograd, nd


def train_by_hand(run):
    """The 2-2-1 network of 2.3.4 on two samples, with half the squared error, at rate 0.1.

    Returns
    -------
    dict
        Output, error, gradients and new parameters of the first step, named as in 2.3.4; then of the second.
    """
    network = TwoTwoOne().start()
    metrics = {}
    for step, (x, target) in enumerate((((0.5, 1.0), 1.0), ((0.2, 0.6), 0.6)), 1):
        with autograd.record():
            out = network(nd.array([x]))
            loss = nd.square(out - target) / 2
        loss.backward()
        metrics[f'step{step}_output'] = out.asscalar()
        metrics[f'step{step}_mse'] = (out.asscalar() - target) ** 2
        metrics.update({f'step{step}_gradient_{name}': value
                        for name, value in network.named('grad').items()})
        for parameter in network.collect_params().values():
            parameter.set_data(parameter.data() - 0.1 * parameter.grad())
        metrics.update({f'step{step}_{name}': value for name, value in network.named().items()})
    return metrics


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('4.5.4')
