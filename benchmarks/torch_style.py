"""The PyTorch side of `benchmarks.style`: the loss of 5.8 and its gradient on SqueezeNet 1.1, from its parameters.

Runs in PyTorch's own environment and needs nothing else of ours.
"""
import sys
import time

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

_CONTENT, _STYLES = 6, (0, 2, 3, 5, 6, 8)  # as chapters/ch05_detection_style/style.py has them


class Fire(nn.Module):
    """C1x1, then C1x1 and C3x3 beside each other; ReLU after each."""
    def __init__(self, squeeze, expand1, expand3):
        super().__init__()
        self.squeeze, self.expand1, self.expand3 = squeeze, expand1, expand3

    def forward(self, x):
        x = F.relu(self.squeeze(x))
        return torch.cat([F.relu(self.expand1(x)), F.relu(self.expand3(x))], dim=1)


def features(parameters):
    """The layers up to the last that style looks at."""
    def convolution(stride=1):
        weight, bias = next(values), next(values)
        size = weight.shape[2]
        layer = nn.Conv2d(weight.shape[1], weight.shape[0], size, stride, padding=size // 2 * (stride == 1))
        layer.weight.data, layer.bias.data = torch.from_numpy(weight), torch.from_numpy(bias)
        return layer.requires_grad_(False)
    values = iter(parameters)
    layers = [nn.Sequential(convolution(2), nn.ReLU())]
    for number in range(1, max(_STYLES) + 1):
        layers.append(nn.MaxPool2d(3, 2, ceil_mode=True) if number in (1, 4, 7) else
                      Fire(convolution(), convolution(), convolution()))
    return layers


def planes(layers, x):
    """What each layer gives."""
    found = []
    for layer in layers:
        x = layer(x)
        found.append(x)
    return found


def gram(x):
    """Divided by the number of pixels."""
    flat = x.flatten(2)[0]
    return flat @ flat.T / flat.shape[1]


def style_loss(of_b, x):
    """See style.py."""
    return (of_b - gram(x)).square().sum() / (4 * x.shape[1] ** 2)


if __name__ == '__main__':
    torch.set_num_threads(1)
    given = np.load(sys.argv[1])
    model = features([given[name] for name in sorted(given.files) if name.startswith('parameter')])
    content, style, start = (torch.from_numpy(given[name])[None] for name in ('content', 'style', 'start'))
    alpha, iterations = float(given['alpha']), int(given['iterations'])
    if len(sys.argv) > 3:  # channels last
        content, style, start = (x.to(memory_format=torch.channels_last) for x in (content, style, start))
        model = [layer.to(memory_format=torch.channels_last) for layer in model]
    with torch.no_grad():
        of_a, of_b = planes(model, content), planes(model, style)
        styles = {layer: gram(of_b[layer]) for layer in _STYLES}
        weights = {layer: 1 / len(_STYLES) / style_loss(styles[layer], of_a[layer]) for layer in _STYLES}
        content_weight = alpha / (of_a[_CONTENT].square().sum() / 2)
    seconds = []
    for _ in range(iterations):
        began = time.process_time()
        x = start.clone().requires_grad_(True)
        seen = planes(model, x)
        loss = content_weight * (seen[_CONTENT] - of_a[_CONTENT]).square().sum() / 2 + sum(
            weights[layer] * style_loss(styles[layer], seen[layer]) for layer in _STYLES)
        loss.backward()
        seconds.append(time.process_time() - began)
    np.savez(sys.argv[2], loss=loss.item(), gradient=x.grad[0].numpy(), seconds=seconds)
