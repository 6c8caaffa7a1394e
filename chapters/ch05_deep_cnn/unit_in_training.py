"""Section 5.2: how units find what they answer to: the images that most excite them, epoch by epoch (figure 5-10).

    python -m chapters run 5.2-training --data digits
"""
import numpy as np

from chapters.ch04_cnn.lenet import RECIPE, LeNet
from chapters.kit.experiment import Training
from chapters.kit.inside.looking import activations, most_exciting
from chapters.kit.report import figures
from chapters.kit.training.checkpoint import model_arrays, restore_model
from chapters.script import run_script

_LAYER, _UNITS, _IMAGES, _SEEN = 'features.6', 4, 4, 1000  # the second convolution's ReLU; images an epoch; training images


def draw_units(run, network):
    """The images that most excite some units of the second layer, after each epoch that was kept.

    Returns
    -------
    dict
        How often an image is still among a unit's strongest one epoch later: from the first epoch on, and to the last.
    """
    images = np.asarray(run.data.train_x[:_SEEN], np.float32)
    trained = {name: array.copy() for name, array in model_arrays(network).items()}
    peaks = activations(network, images, _LAYER).max(axis=(2, 3))
    units = np.argsort(-peaks.std(axis=0))[:_UNITS]
    rows, kept = {unit: [] for unit in units}, {unit: [] for unit in units}
    for _, arrays in run.checkpoint.snapshots():
        restore_model(arrays, network)
        for unit in units:
            found = most_exciting(network, images, _LAYER, int(unit), _IMAGES)
            rows[unit].append([images[which][(slice(None), *where)] for which, _, where in found])
            kept[unit].append({which for which, _, _ in found})
    restore_model(trained, network)
    epochs = [epoch for epoch, _ in run.checkpoint.snapshots()]
    figure, axes = figures.plt.subplots(len(units), len(epochs), figsize=(2.4 * len(epochs), 1.6 * len(units)), squeeze=False)
    for line, unit in zip(axes, units):
        for axis, epoch, patches in zip(line, epochs, rows[unit]):
            strip = np.zeros((28, 29 * _IMAGES))
            for number, patch in enumerate(patches):
                height, width = patch.shape[1:]
                strip[:height, 29 * number:29 * number + width] = patch.mean(axis=0)
            axis.imshow(strip, cmap='gray')
            axis.set(xticks=[], yticks=[])
            axis.set_title(f'unit {unit}, epoch {epoch}', fontsize=8)
    figure.suptitle(figures.text('5.2 What excites a unit, as training goes on', '训练过程中神经元的识别目标')
                    + f'\n{run.data_name}')
    figure.tight_layout()
    run.save_figure(figure, 'units-in-training')
    shares = [np.mean([len(kept[unit][number] & kept[unit][number + 1]) / _IMAGES for unit in units])
              for number in range(len(epochs) - 1)]
    return {'same_images_at_first': shares[0], 'same_images_at_last': shares[-1]} if shares else {}


EXPERIMENTS = [
    Training('5.2-training', 'What excites a unit, as training goes on', '训练过程中神经元的识别目标', network=LeNet,
             recipe=RECIPE.but(epochs=8), data='mnist', sample_shape=(1, 28, 28), drawings=(draw_units,),
             snapshots=(1, 2, 3, 5, 8),
             remark='Figure 5-10 is of the third layer of AlexNet; ours of the second of LeNet.'),
]


if __name__ == '__main__':
    run_script(EXPERIMENTS[0])
