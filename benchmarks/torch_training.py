"""The PyTorch side of `benchmarks.training`; runs in PyTorch's own environment and needs nothing else of ours.

Prints samples a second of training and of prediction as JSON: the best of the default layout and channels last, each
as it is and through `torch.compile`; of prediction the best of six batch sizes.
"""
import json
import sys
import time

import torch
from torch import nn

PREDICTED = 4  # as in `benchmarks.training`
BATCH_SIZES = {'3.4.2': 32, '4.4': 32, '5.4.4': 32, '5.4.5': 50, '5.5.7': 100}


def network(section):
    """The network of a section, as PyTorch's users write it."""
    if section == '3.4.2':
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
                             nn.Linear(64, 10))
    if section == '4.4':
        return nn.Sequential(
            *convolution(1, 32, 5), nn.MaxPool2d(3, 2), *convolution(32, 64, 5), nn.MaxPool2d(3, 2),
            nn.Conv2d(64, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    if section == '5.4.4':
        stages = [layer for inputs, filters in ((1, 32), (32, 64), (64, 64)) for layer in (
            *convolution(inputs, filters, 3, padding=1), *convolution(filters, filters, 3, padding=1),
            nn.MaxPool2d(2))]
        return nn.Sequential(*stages, *convolution(64, 128, 3), nn.Conv2d(128, 10, 1), nn.Flatten())
    if section == '5.4.5':
        rows = ((3, 96, 3, 1, 1), (96, 96, 3, 1, 1), (96, 96, 3, 2, 1), (96, 192, 3, 1, 1), (192, 192, 3, 1, 1),
                (192, 192, 3, 2, 1), (192, 192, 3, 1, 0), (192, 192, 1, 1, 0), (192, 10, 1, 1, 0))
        return nn.Sequential(*(layer for row in rows for layer in convolution(*row)),
                             nn.AdaptiveAvgPool2d(1), nn.Flatten())
    units = [Unit(inputs, filters, stride, new_shape) for inputs, filters, stride, new_shape in (
        (32, 64, 1, True), *2 * [(64, 64, 1, False)], (64, 64, 2, True), *2 * [(64, 64, 1, False)],
        (64, 128, 2, True), *2 * [(128, 128, 1, False)])]
    return nn.Sequential(norm(3), nn.Conv2d(3, 32, 3, padding=1), *units, norm(128), nn.ReLU(inplace=True),
                         nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, 10))


def norm(channels):
    return nn.BatchNorm2d(channels, eps=1e-3)


def convolution(inputs, filters, kernel, stride=1, padding=0):
    """C BN ReLU."""
    return nn.Conv2d(inputs, filters, kernel, stride, padding), norm(filters), nn.ReLU(inplace=True)


class Unit(nn.Module):
    """The pre-activation unit of 5.5.7."""
    def __init__(self, inputs, filters, stride, new_shape):
        super().__init__()
        self.before = nn.Sequential(norm(inputs), nn.ReLU(inplace=False))
        self.body = nn.Sequential(nn.Conv2d(inputs, filters, 3, stride, 1), norm(filters), nn.ReLU(inplace=True),
                                  nn.Conv2d(filters, filters, 3, 1, 1))
        self.shortcut = nn.Conv2d(inputs, filters, 1, stride) if new_shape else None

    def forward(self, x):
        y = self.before(x)
        return self.body(y) + (x if self.shortcut is None else self.shortcut(y))


def measure(section, samples, layout, compiled):
    """(training, prediction) samples a second in one memory layout, as it is or through `torch.compile`."""
    torch.manual_seed(0)
    shape = (3, 28, 28) if section in ('5.4.5', '5.5.7') else (1, 28, 28)
    x, y = torch.rand(samples, *shape), torch.randint(0, 10, (samples,))
    model = network(section).to(memory_format=layout)
    if compiled:
        model = torch.compile(model)
    x = x.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    size = BATCH_SIZES[section]

    def epoch(count):
        order = torch.randperm(count)
        shuffled_x, shuffled_y = x[order], y[order]
        for start in range(0, count - count % size, size):
            optimizer.zero_grad(set_to_none=True)
            criterion(model(shuffled_x[start:start + size]), shuffled_y[start:start + size]).backward()
            optimizer.step()
    epoch(min(samples, 10 * size))
    started = time.perf_counter()
    epoch(samples)
    training = (samples - samples % size) / (time.perf_counter() - started)
    model.eval()

    def predict(x, batch):
        whole = len(x) - len(x) % batch
        started = time.perf_counter()
        for start in range(0, whole, batch):
            model(x[start:start + batch])
        return whole / (time.perf_counter() - started)
    with torch.inference_mode():
        found = {}
        for batch in (32, 100, 250, 500, 1000, 2000):
            if batch <= samples:
                model(x[:batch])
                found[batch] = predict(x, batch)
        longer = x.repeat(PREDICTED, 1, 1, 1).to(memory_format=layout)
        return training, predict(longer, max(found, key=found.get))


if __name__ == '__main__':
    chosen, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    found = [measure(chosen, count, layout, compiled) for compiled in (False, True)
             for layout in (torch.contiguous_format, torch.channels_last)]
    print(json.dumps({'train': max(pair[0] for pair in found), 'predict': max(pair[1] for pair in found)}))
