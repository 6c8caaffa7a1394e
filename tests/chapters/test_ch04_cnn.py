"""Chapter 4: the numbers that the book prints, and the pictures of 4.4.3."""
import dataclasses

import numpy as np
import pytest

import chapters
from chapters.__main__ import main
from chapters.kit.perform import run_experiment

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
    assert len(metrics) == 6 and max(metrics.values()) < 1e-5
    from chapters.ch04_cnn.convolution import FILTERS
    assert FILTERS['vertical edges'] == [[-1, 0, 1]] * 3  # as printed; Sobel has a name of its own
    assert FILTERS['vertical edges, Sobel'] == [[-1, 0, 1], [-2, 0, 2], [-1, 0, 1]]
    assert (folder / 'figures' / 'filters.png').exists()


def test_backpropagation_by_hand(tmp_path):
    assert run('4.3.2', tmp_path)[1]['difference_by_hand_autograd'] < 1e-6


def test_output_side(tmp_path):
    _, metrics = run('4.3.3', tmp_path)
    assert metrics['compared'] == 224 and metrics['wrong'] == 0


def test_paddings_keep_the_side_and_are_mxnets(tmp_path):
    folder, metrics = run('4.3.3', tmp_path)
    assert (metrics['side_of_4x4_stride_1'], metrics['side_of_5x5_stride_2'], metrics['changed_by_padding']) == (2, 2, 0)
    assert metrics['difference_padding_modes'] == 0
    assert (folder / 'figures' / 'padding.png').exists()


def test_back_propagation_has_bias_and_loss():
    from chapters.ch04_cnn.convolution import backpropagate
    image, kernel = np.arange(9.0).reshape(3, 3), np.array([[1.0, 0], [0, 2]])
    out, loss, by_kernel, by_bias, by_image = backpropagate(image, kernel, 0.5, 20.0)
    assert (out, loss, by_bias) == (20.5, 0.25, 1.0)  # 4 + 2 * 8 + 0.5; 2 * (20.5 - 20)
    assert by_kernel.tolist() == [[4, 5], [7, 8]] and by_image.tolist() == [[0, 0, 0], [0, 1, 0], [0, 0, 2]]


def test_the_maps_before_the_global_average_show_where_each_digit_is(tmp_path):
    done, result = run_experiment(chapters.find('4.3.4').but(epochs=2), data='digits', out=tmp_path / 'run', quiet=True)
    folder, metrics = done.folder, {name: value['last'] for name, value in result['metrics'].items()}
    assert metrics['digits_found'] > 0.6 and metrics['validation_accuracy'] > 0.9  # of 10 classes
    assert max(value for name, value in metrics.items() if name.startswith('difference')) < 1e-6
    assert (folder / 'figures' / 'class-maps.png').exists()


def test_the_orange_cat(tmp_path):
    from chapters.ch04_cnn.orange_cat import HIGH, LOW, by_convolution, by_points, fur, pictures_to_judge, striped
    folder, metrics = run('4.1.1', tmp_path)
    assert metrics['difference_points_convolution'] < 1e-6 and metrics['points'] == 193600
    assert metrics['a_flower_cat_by_colour'] and not metrics['a_flower_cat_by_fur']  # figure 4-4's mistake, and its cure
    assert not metrics['a_temple_cat_by_colour'] and not metrics['a_temple_cat_by_fur']
    if 'an orange cat' in pictures_to_judge():
        assert metrics['an_orange_cat_cat_by_fur']
    random = np.random.default_rng(0).integers(0, 256, (40, 50, 3)).astype(np.uint8)
    inside = np.full((4, 4, 3), 255 * (LOW + HIGH) / 2, np.uint8)
    assert by_convolution(random) == pytest.approx(by_points(random)) and by_points(inside) == by_convolution(inside) == 1
    assert fur(inside.repeat(10, axis=0).repeat(10, axis=1)).sum() == 0  # a plain colour is no fur
    assert fur(striped()).mean() > 0.3 < by_points(striped())
    assert (folder / 'figures' / 'cat.png').exists()


def test_many_layers_are_the_books_three():
    network = chapters.find('4.5.1').build()
    assert len(network.features) == 9 and len(chapters.find('4.5.1').but(num_layers=5).build().features) == 15
    assert chapters.find('4.5.1').prove().holds and chapters.find('4.5.4').prove('plain').holds


def test_checkerboard_and_pixel_shuffle(tmp_path):
    _, metrics = run('4.3.5', tmp_path)
    assert metrics['unevenness_kernel3_stride2'] == 3  # 1, 2 or 4 values meet in a pixel
    assert metrics['unevenness_kernel4_stride2'] == metrics['unevenness_kernel6_stride3'] == 0
    assert metrics['difference_pixel_shuffle'] == 0


def test_the_picture_of_pixel_shuffle_is_even_unless_its_planes_differ():
    from chapters.ch04_cnn.convolution import enlarged
    pictures = enlarged()
    assert np.ptp(pictures['pixel shuffle of 4 equal planes']) == 0
    assert np.ptp(pictures['pixel shuffle: places of the 4 planes']) == 1
    assert pictures['transposed, kernel 3, stride 2'].shape == (17, 17)


def test_training_by_hand(tmp_path):
    _, metrics = run('4.5.4', tmp_path)
    for printed in chapters.find('4.5.4').book:
        assert metrics[printed.metric] == pytest.approx(printed.value, abs=1e-7), printed.metric


def test_the_output_neuron_of_4_5_4_is_linear():
    """A negative sum comes out as it is."""
    from mxnet import nd

    from chapters.ch02_neuron.two_layer import TwoTwoOne
    network = TwoTwoOne().start()
    network.fc2.bias.set_data(nd.array([-5]))
    assert network(nd.array([[0.5, 1]])).asscalar() == -4.25
    assert chapters.find('4.5.4').symbolic == 'sec_4_5_4'


def test_what_the_book_does_that_cannot_be_meant_is_said():
    for section, words in (('4.4', 'i * batch_size + j is meant'), ('4.5.4', 'a set in a tuple'),
                           ('4.2.3', 'they are L18, N18, L16 and N16'), ('5.6.2-mobilenet', 'its stride is 1'),
                           ('5.4.4', '0.06 stays in force'), ('4.4.4-batch8', 'they are those of validation'),
                           ('5.5.7', 'runs to epoch 199'), ('6.2.5', 'give 10^108'),
                           ('7.2', '[pp] is at the bottom right'), ('7.2', 'packs 0 to 5, the listing on a file'),
                           ('9.4.2', 'routing is part of the forward pass')):
        assert words in ' '.join(chapters.find(section).remark.split()), section


@pytest.mark.parametrize('section, words', [('6.2.5', '10^108'), ('7.2', '[pp]'), ('9.4.2', 'routing')])
def test_show_has_the_remark(section, words, capsys):
    """Of worked examples as of trainings."""
    assert main(['show', section]) == 0
    assert words in next(line for line in capsys.readouterr().out.splitlines() if line.startswith('remark: '))


def test_first_epochs_and_seconds_stand_beside_ours(tmp_path):
    assert [(figure.metric, figure.value) for figure in chapters.find('4.4').book][2:] == [
        ('validation_accuracy_epoch0', 0.987320), ('validation_accuracy_epoch1', 0.990016)]
    experiment = chapters.find('4.4.4-batch512').but(epochs=2, train_samples=600)
    _, result = run_experiment(experiment, data='digits', out=tmp_path / 'run', quiet=True)
    assert result['metrics']['seconds_an_epoch']['last'] > 0
    assert [chapters.find(f'4.4.4-batch{size}').figure('seconds_an_epoch', 'mnist').value for size in (8, 32, 128, 512)] == [
        21.8, 6.8, 2.4, 1.4]


def test_saving_and_loading(tmp_path):
    _, metrics = run('4.5.2', tmp_path, train_samples=200, epochs=1)
    assert metrics['parameters'] == 58058
    assert metrics['difference_load_parameters'] == 0
    assert max(metrics[f'difference_{name}'] for name in ('symbol_block', 'module', 'module_batch1')) < 1e-4


def test_answers_with_chinese_names(tmp_path):
    from chapters.kit.trained.answers import answers
    from chapters.kit.trained.run import Run
    from chapters.kit.training.train import train
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
    import mxnet as mx
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
