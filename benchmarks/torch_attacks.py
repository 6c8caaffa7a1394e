"""The PyTorch side of `benchmarks.attacks`: 4.4's network from its parameters, attacked by Foolbox.

Runs in PyTorch's own environment and needs nothing else of ours.
"""
import sys

import foolbox
import numpy as np
import torch
from torch import nn


class Mean(nn.Module):
    """Over rows and columns."""
    def forward(self, x):
        return x.mean(dim=(2, 3))


def network(parameters):
    """LeNet of section 4.4 with parameters in MXNet's order."""
    found = nn.Sequential(
        nn.Conv2d(1, 32, 5), nn.BatchNorm2d(32, eps=1e-3), nn.ReLU(), nn.MaxPool2d(3, 2),
        nn.Conv2d(32, 64, 5), nn.BatchNorm2d(64, eps=1e-3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(64, 10, 3), Mean())
    values = iter(parameters)
    with torch.no_grad():
        for layer in found:
            names = ('weight', 'bias', 'running_mean', 'running_var') if isinstance(layer, nn.BatchNorm2d) else \
                ('weight', 'bias') if isinstance(layer, nn.Conv2d) else ()
            for name in names:
                getattr(layer, name).copy_(torch.from_numpy(next(values)))
    return found.eval()


if __name__ == '__main__':
    given = np.load(sys.argv[1])
    model = network([given[name] for name in sorted(given.files) if name.startswith('parameter')])
    x, labels = torch.from_numpy(given['x']), torch.from_numpy(given['labels'])
    epsilons, steps = [float(epsilon) for epsilon in given['epsilons']], int(given['steps'])
    seen = foolbox.PyTorchModel(model, bounds=(0, 1), device='cpu')
    pgd = foolbox.attacks.LinfPGD
    accuracies = {}
    for name, attack, starts in (
            ('FGSM', foolbox.attacks.LinfFastGradientAttack(), 1),
            ('iterated', pgd(rel_stepsize=2.5 / steps, steps=steps, random_start=False), 1),
            ('PGD', pgd(rel_stepsize=2.5 / steps, steps=steps, random_start=True), int(given['starts']))):
        accuracies[name] = []  # (starts, epsilons)
        for seed in range(starts):
            torch.manual_seed(seed)
            _, clipped, _ = attack(seen, x, labels, epsilons=epsilons)
            accuracies[name].append([float((model(images).argmax(1) == labels).float().mean()) for images in clipped])
    with torch.no_grad():
        np.savez(sys.argv[2], logits=model(x).numpy(), **accuracies)
