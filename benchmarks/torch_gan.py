"""The PyTorch side of `benchmarks.gan`: DCGAN of section 8.3 as PyTorch's users write it.

Runs in PyTorch's own environment and needs nothing else of ours. Prints the seconds and processor seconds of each step
as JSON, in the faster of the two memory layouts.
"""
import json
import sys
import time

import torch
from torch import nn


def networks(width, channels, codes):
    """Generator and discriminator of 64x64."""
    g, d, before = [], [], codes
    for number, count in enumerate((8 * width, 4 * width, 2 * width, width)):
        g += [nn.ConvTranspose2d(before, count, 4, 2 if number else 1, 1 if number else 0, bias=False),
              nn.BatchNorm2d(count), nn.PReLU(count)]
        before = count
    g += [nn.ConvTranspose2d(width, channels, 4, 2, 1, bias=False), nn.Tanh()]
    before = channels
    for number, count in enumerate((width, 2 * width, 4 * width, 8 * width)):
        d += [nn.Conv2d(before, count, 4, 2, 1)] + [nn.BatchNorm2d(count)] * (number > 0) + [nn.PReLU(count)]
        before = count
    return nn.Sequential(*g), nn.Sequential(*d, nn.Conv2d(before, 1, 4), nn.Flatten(0))


def measure(width, batch, steps, layout):
    """(seconds, processor seconds) of each step after the first."""
    torch.manual_seed(0)
    g, d = (network.to(memory_format=layout) for network in networks(width, 3, 100))
    of_g, of_d = (torch.optim.Adam(network.parameters(), 2e-4, (0.5, 0.999)) for network in (g, d))
    loss, ones, zeros = nn.BCEWithLogitsLoss(), torch.ones(batch), torch.zeros(batch)
    real, times = (torch.rand(batch, 3, 64, 64) * 2 - 1).to(memory_format=layout), []
    for _ in range(steps + 1):
        began, used = time.perf_counter(), time.process_time()
        of_d.zero_grad(set_to_none=True)
        loss(d(real), ones).backward()
        made = g(torch.randn(batch, 100, 1, 1).to(memory_format=layout))
        loss(d(made.detach()), zeros).backward()
        of_d.step()
        of_g.zero_grad(set_to_none=True)
        loss(d(made), ones).backward()
        of_g.step()
        times.append((time.perf_counter() - began, time.process_time() - used))
    return times[1:]


if __name__ == '__main__':
    width, batch, steps, threads = map(int, sys.argv[1:])
    torch.set_num_threads(threads)
    found = [measure(width, batch, steps, layout) for layout in (torch.contiguous_format, torch.channels_last)]
    print(json.dumps(min(found, key=lambda times: sorted(used for _, used in times)[len(times) // 2])))
