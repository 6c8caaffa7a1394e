"""Chapter 4: the numbers that the book prints, and the pictures of 4.4.3."""
import dataclasses

import numpy as np
import pytest

import chapters
from chapters.kit.program import run_experiment

# Section 4.1.3, but for the second number, where the figure has -1.5 and the text, and arithmetic, 1.5.
PRINTED = [[-.5, 1.5, -3, 3, -1.5, 1], [1, -1, 3, -2, 1, 1], [2, 0, 0, 1, .5, -.5], [-3, 2, 0, -.5, 0, 1],
           [5, -3, 1.5, .5, 0, .5], [-3, 2, -.5, -.5, .5, 0]]


def run(section, folder, **changes):
    """Run an experiment; returns its folder, and {name: value} of its figures."""
    experiment = chapters.find(section)
    done, result = run_experiment(experiment.but(**changes) if changes else experiment, out=folder / section)
    return done.folder, {name: value['last'] for name, value in result['metrics'].items()}


def test_the_x_is_found(tmp_path):
    from chapters.ch04_cnn.convolution import CROSS, IMAGE, convolve
    assert convolve(IMAGE, CROSS).tolist() == PRINTED
    folder, metrics = run('4.1.3', tmp_path)
    assert (metrics['maximum'], metrics['mean']) == (5, 0.25)
    row, column = int(metrics['row']), int(metrics['column'])
    assert (IMAGE[row:row + 3, column:column + 3] == (CROSS > 0)).all()
    assert metrics['difference_mxnet'] == 0
    assert (folder / 'figures' / 'x-found.png').exists()


def test_parameter_counts_and_filters(tmp_path):
    folder, metrics = run('4.3.1', tmp_path)
    assert metrics.pop('parameters_convolution') == 1792
    assert metrics.pop('parameters_fully_connected') == 177004800
    assert len(metrics) == 5 and max(metrics.values()) < 1e-5
    assert (folder / 'figures' / 'filters.png').exists()


def test_backpropagation_by_hand(tmp_path):
    assert run('4.3.2', tmp_path)[1]['difference_by_hand_autograd'] < 1e-6


def test_output_side(tmp_path):
    _, metrics = run('4.3.3', tmp_path)
    assert metrics['compared'] == 224 and metrics['wrong'] == 0


def test_checkerboard_and_pixel_shuffle(tmp_path):
    _, metrics = run('4.3.5', tmp_path)
    assert metrics['unevenness_kernel3_stride2'] == 3  # 1, 2 or 4 values meet in a pixel
    assert metrics['unevenness_kernel4_stride2'] == metrics['unevenness_kernel6_stride3'] == 0
    assert metrics['difference_pixel_shuffle'] == 0


def test_training_by_hand(tmp_path):
    _, metrics = run('4.5.4', tmp_path)
    for printed in chapters.find('4.5.4').book:
        assert metrics[printed.metric] == pytest.approx(printed.value, abs=1e-7), printed.metric


def test_saving_and_loading(tmp_path):
    _, metrics = run('4.5.2', tmp_path, train_samples=200, epochs=1)
    assert metrics['parameters'] == 58058
    assert metrics['difference_load_parameters'] == 0
    assert max(metrics[f'difference_{name}'] for name in ('symbol_block', 'module', 'module_batch1')) < 1e-4


def test_answers_with_chinese_names(tmp_path):
    from chapters.kit.answers import answers
    from chapters.kit.run import Run
    from chapters.kit.training import train
    run = Run(chapters.find('4.4').but(epochs=1, train_samples=320, learning_rate=0.1), 'digits',
              out=tmp_path / 'run')
    network, history = train(run)
    numbers = tuple('零一二三四五六七八九')
    run.data = dataclasses.replace(run.data, class_names=tuple(f'number {n}' for n in range(10)),
                                   class_names_zh=numbers)
    metrics = answers(run, network)
    wrong = (1 - history[-1]['validation_accuracy']) * len(run.data.validation_x)
    assert metrics['mistakes'] == pytest.approx(wrong, abs=1e-3) and metrics['mistakes'] > 0
    assert 0.1 < metrics['confidence_when_wrong'] < metrics['confidence_when_right'] <= 1
    for name in ('predictions', 'mistakes', 'confusion'):
        assert (run.folder / 'figures' / f'{name}.png').stat().st_size > 5000


def test_sizes_of_the_batch_study_and_of_both_networks():
    from chapters.kit.runtime import mx
    for section, batch, rate in (('8', 8, 0.03), ('32', 32, 0.03), ('128', 128, 0.03), ('512', 512, 0.03),
                                 ('512-rate0.2', 512, 0.2)):
        recipe = chapters.find(f'4.4.4-batch{section}').recipe
        assert (recipe.batch_size, recipe.learning_rate) == (batch, rate)
    for section, parameters in (('4.4', 58058),
                                ('4.4.5-large', 64 * 26 + 128 + 128 * 1601 + 256 + 10 * 1153)):
        network = chapters.find(section).build()
        network.initialize()
        network(mx.nd.zeros(chapters.find(section).input_shape))
        assert sum(np.prod(parameter.shape) for parameter in network.collect_params().values()
                   if parameter.grad_req != 'null') == parameters
