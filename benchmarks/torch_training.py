"""The PyTorch side of `benchmarks.training`; runs in PyTorch's own environment and needs nothing else of ours.

Prints samples a second of training and of prediction as JSON: the better of the default layout and channels last, and
of prediction the best of six batch sizes.
"""
import json
import sys
import time

import torch
from torch import nn


def network(section):
    """The network of a section, as PyTorch's users write it."""
    if section == '3.4.2':
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(),
                             nn.Linear(64, 10))
    return nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.BatchNorm2d(32, eps=1e-3), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(32, 64, 5), nn.BatchNorm2d(64, eps=1e-3), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(64, 10, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())


def measure(section, samples, layout):
    """(training, prediction) samples a second in one memory layout."""
    torch.manual_seed(0)
    x, y = torch.rand(samples, 1, 28, 28), torch.randint(0, 10, (samples,))
    model = network(section).to(memory_format=layout)
    x = x.to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    size = 32

    def epoch(count):
        order = torch.randperm(count)
        shuffled_x, shuffled_y = x[order], y[order]
        for start in range(0, count, size):
            optimizer.zero_grad(set_to_none=True)
            criterion(model(shuffled_x[start:start + size]), shuffled_y[start:start + size]).backward()
            optimizer.step()
    epoch(10 * size)
    started = time.perf_counter()
    epoch(samples)
    training = samples / (time.perf_counter() - started)
    model.eval()
    prediction = 0.0
    with torch.inference_mode():
        for batch in (32, 100, 250, 500, 1000, 2000):
            model(x[:batch])
            started = time.perf_counter()
            for start in range(0, samples, batch):
                model(x[start:start + batch])
            prediction = max(prediction, samples / (time.perf_counter() - started))
    return training, prediction


if __name__ == '__main__':
    chosen, count, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    torch.set_num_threads(threads)
    found = [measure(chosen, count, layout) for layout in (torch.contiguous_format, torch.channels_last)]
    print(json.dumps({'train': max(pair[0] for pair in found), 'predict': max(pair[1] for pair in found)}))
