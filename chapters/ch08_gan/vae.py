"""Section 8.5: a variational auto-encoder, and the map of its two-dimensional codes (figure 8-39).

    python -m chapters.ch08_gan.vae --data mnist

"Auto-Encoding Variational Bayes", https://arxiv.org/abs/1312.6114.
"""
from chapters.kit.runtime import mx
import math
import time

import numpy as np
from scipy.stats import norm
from tqdm import tqdm

from chapters.ch08_gan.samples import tiles
from chapters.kit import figures
from chapters.kit.checkpoint import model_arrays, optimizer_arrays, restore_model, restore_optimizer
from chapters.kit.training import (Diverged, batches_of_epoch, ceil_div, initialize, make_optimizer, seed_everything)
from data_tools.atomic import atomic_path
from data_tools.errors import UserError
from mxnet import autograd, gluon, nd
from mxnet.gluon import nn


class VAE(gluon.HybridBlock):
    """An encoder to a Gaussian over codes, and a decoder to the probability that a pixel is white.

    Parameters
    ----------
    hidden : int
        Units of the hidden layer of each.
    codes : int
    pixels : int

    Input: images (N, C, H, W) from 0 to 1, taken as probabilities; output: two losses of each in nats, (N,
    2): cross-entropy of the pixels, and divergence of the code's Gaussian from the standard one. Their sum is
    an upper bound of -log p(x).
    """
    def __init__(self, hidden=512, codes=2, pixels=784, **kwargs):
        super().__init__(**kwargs)
        self.codes = codes
        with self.name_scope():
            self.encoder = nn.HybridSequential()
            self.encoder.add(nn.Dense(hidden, activation='relu', in_units=pixels),
                             nn.Dense(2 * codes, in_units=hidden))
            self.decoder = nn.HybridSequential()
            self.decoder.add(nn.Dense(hidden, activation='relu', in_units=codes), nn.Dense(pixels, in_units=hidden))

    def hybrid_forward(self, F, x):
        mean, log_variance = F.split(self.encoder(x), num_outputs=2, axis=1)  # (N, codes) each
        z = mean + F.exp(log_variance / 2) * F.random.normal_like(mean)
        logits, x = self.decoder(z), F.flatten(x)
        pixels = F.sum(F.relu(logits) - logits * x + F.Activation(-F.abs(logits), act_type='softrelu'), axis=1)
        divergence = F.sum(F.square(mean) + F.exp(log_variance) - 1 - log_variance, axis=1) / 2
        return F.stack(pixels, divergence, axis=1)


def train_vae(run):
    """Train by the recipe; the map of codes; returns figures and history. Resumes bit for bit."""
    recipe, data = run.recipe, run.data
    if len(run.devices) > 1 or run.form != 'gluon' or run.init or data.stream:
        raise UserError(f'{run.experiment.section}: takes one device, image sets of arrays, and neither --form nor --init')
    device, batches = run.devices[0], ceil_div(len(data.train_x), recipe.batch_size)
    seed_everything(run.seed)
    pixels = int(np.prod(data.train_x.shape[1:]))
    network = VAE(**{**run.experiment.sizes, 'pixels': pixels}, prefix='vae_')
    initialize(network, recipe, data.train_x[:1], [device])
    trainer = gluon.Trainer(network.collect_params(), make_optimizer(recipe, batches, network), update_on_kvstore=False)
    train_x, train_y = nd.array(data.train_x, device), nd.array(data.train_y, device)
    validation_x = nd.array(data.validation_x, device)
    history, first_epoch, saved = [], 0, run.checkpoint.load()
    trainer._init_kvstore()
    updater = trainer._updaters[0]
    if saved:
        arrays, state = saved
        history, first_epoch = state['history'], state['epoch']
        restore_model(arrays, network)
        restore_optimizer(arrays, updater, {number: parameter.data() for number, parameter in enumerate(trainer._params)})
        updater.optimizer.begin_num_update = updater.optimizer.num_update = first_epoch * batches
    for epoch in range(first_epoch, recipe.epochs):
        random = seed_everything(run.seed, epoch)
        started, total = time.perf_counter(), 0
        bar = tqdm(batches_of_epoch(train_x, train_y, recipe, random), run.label(epoch), batches, leave=False,
                   unit_scale=recipe.batch_size, unit=' samples', disable=None)
        for x, _ in bar:
            with autograd.record():
                losses = network(x)
            losses.backward()
            trainer.step(1)  # the optimizer divides by the batch size
            total = total + losses.sum(axis=0)
        seconds = time.perf_counter() - started
        pixel_loss, divergence = total.asnumpy() / (batches * recipe.batch_size)
        row = {'epoch': epoch, 'learning_rate': recipe.rate((epoch + 1) * batches, batches), 'seconds': seconds,
               'samples_per_second': batches * recipe.batch_size / seconds, 'train_bound_loss': float(pixel_loss + divergence),
               'train_divergence': float(divergence),
               'validation_bound_loss': float(network(validation_x).sum(axis=1).mean().asscalar())}
        if not math.isfinite(sum(row.values())):
            raise Diverged(f'{run.folder}: the loss became NaN or infinite in epoch {epoch}: lower --learning-rate (now '
                           f'{recipe.learning_rate:g}); the checkpoint of the last good epoch is kept')
        history.append(row)
        run.checkpoint.save({**model_arrays(network), **{f'optimizer:{name}': array for name, array
                                                         in optimizer_arrays(updater).items()}},
                            {'epoch': epoch + 1, 'history': history})
        run.write_history(history)
        run.say(run.line(row))
    network.decoder(nd.zeros((1, network.codes), device))
    network.decoder.hybridize()
    network.decoder(nd.zeros((1, network.codes), device))
    network.decoder.export(str(run.folder / 'model'), len(history))
    white = np.clip(data.train_x.mean(axis=0), 1e-3, 1 - 1e-3)
    x = data.validation_x
    independent = -(x * np.log(white) + (1 - x) * np.log(1 - white)).reshape(len(x), -1).sum(axis=1).mean()
    draw_map(run, network)
    return {'bound_of_independent_pixels': independent}, history


def draw_map(run, network, side=20):
    """Figure 8-39: what the decoder makes of codes all over the plane, and where the test images lie on it."""
    shape, device = run.data.train_x.shape[1:], run.devices[0]
    along = norm.ppf(np.linspace(0.02, 0.98, side))  # each code equally probable
    y, x = np.meshgrid(-along, along, indexing='ij')
    z = np.zeros((side * side, network.codes), np.float32)
    z[:, 0], z[:, 1] = x.ravel(), y.ravel()
    images = nd.sigmoid(network.decoder(nd.array(z, device))).asnumpy().reshape((-1,) + shape)
    mean = network.encoder(nd.array(run.data.validation_x, device)).asnumpy()[:, :2]
    figure, axes = figures.plt.subplots(1, 2, figsize=(12, 6))
    axes[0].imshow(tiles(images * 2 - 1, side), cmap='gray')
    axes[0].axis('off')
    points = axes[1].scatter(mean[:3000, 0], mean[:3000, 1], c=run.data.validation_y[:3000], cmap='tab10', s=6)
    axes[1].set(xlim=(-3.5, 3.5), ylim=(-3.5, 3.5), aspect='equal', title='codes of test images')
    figure.colorbar(points, ax=axes[1], fraction=0.046)
    figure.suptitle(figures.text('8.5 A map of two-dimensional codes', '二维编码的地图'))
    figure.tight_layout()
    run.save_figure(figure, 'map')
    (run.folder / 'figures').mkdir(exist_ok=True)
    with atomic_path(run.folder / 'figures' / 'map-tiles.png') as beside:
        tiles(images * 2 - 1, side).save(beside)


if __name__ == '__main__':
    from chapters.__main__ import run_script
    run_script('8.5-vae')
