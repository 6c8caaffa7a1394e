"""The ladder of table 5-11: what each row's network is, what it learns before, and that a ladder goes on where it stopped."""
import json
import shutil

import mxnet as mx
import numpy as np
import pytest
from mxnet import nd

import chapters
from chapters.ch05_detection_style.ladder import classify_first, draw_ladder, step_of
from chapters.ch05_detection_style.tables import IMPROVEMENTS, TABLE_5_11, step_words
from chapters.ch05_detection_style.yolo_v1 import YOLOv1
from chapters.kit.perform import resume, run_experiment
from chapters.kit.report import figures
from data_tools.errors import UserError

SHORT = chapters.find('5.7.2-ladder').but(epochs=1, train_samples=16, batch_size=8, pixels=32)


def built(number):
    network = step_of(SHORT, TABLE_5_11[number][1]).build()
    network.initialize(mx.init.Xavier(), ctx=mx.cpu())
    network(nd.zeros((1, 3, 32, 32)))
    return network


def test_every_row_of_the_table_adds_what_its_words_say():
    experiments = [step_of(SHORT, improvements) for _, improvements in TABLE_5_11]
    networks = [built(number) for number in range(len(TABLE_5_11))]
    names = [set(network.collect_params()) for network in networks]
    assert isinstance(networks[2], YOLOv1) and not any(isinstance(network, YOLOv1) for network in networks[3:])
    assert [any('gamma' in name for name in some) for some in names] == [False] + [True] * 8
    assert [bool(experiment.prepare) for experiment in experiments] == [False] * 2 + [True] * 7
    assert networks[4].shapes == pytest.approx(networks[3].shapes) and networks[3].shapes[0] == pytest.approx([2 * 2 / 13] * 2)
    ones = [sum(len(array.shape) == 4 and array.shape[2] == 1 for array in network.collect_params().values())
            for network in networks]
    assert ones[3:7] == [1, 4, 4, 5]  # the output's; DarkNet's three; before the passthrough
    assert [experiment.settings().get('shapes') == () for experiment in experiments[3:]] == [False] * 2 + [True] * 4
    assert [network.direct for network in networks[3:]] == [False] * 2 + [True] * 4
    assert [experiment.settings()['scales'] for experiment in experiments] == [(100,)] * 7 + [(100, 83, 67)] * 2
    assert [experiment.sample_shape[1] for experiment in experiments] == [32] * 8 + [48]
    assert step_words(TABLE_5_11[5][1], TABLE_5_11[4][1]) == '+ shapes by k-means, + direct centres, - hand-made boxes'
    assert {number for _, improvements in TABLE_5_11 for number in improvements} == set(IMPROVEMENTS)


@pytest.mark.parametrize('number', [2, 6])
def test_the_convolutions_learn_the_classes_before(number):
    network, data = built(number), step_of(SHORT.but(train_samples=96), ()).load()
    data.train_y[5] = -1  # a picture without objects
    parameters = network.collect_params()
    before = {name: parameter.data().asnumpy() for name, parameter in parameters.items()}
    classify_first(network, data, SHORT.recipe)
    changed = {name for name, parameter in parameters.items() if (parameter.data().asnumpy() != before[name]).any()}
    own = [network.features] if number == 2 else [network.fine, network.coarse]
    assert changed == {name for block in own for name in block.collect_params()}
    assert all(np.isfinite(parameter.data().asnumpy()).all() for parameter in parameters.values())


def test_a_ladder_goes_on_where_it_stopped(tmp_path):
    run, result = run_experiment(SHORT, out=tmp_path / 'run', quiet=True)
    whole = result['metrics']
    assert [name for name in whole if name.startswith('step')] == [f'step{number}_mAP' for number in range(9)]
    assert whole['gain']['last'] == pytest.approx(100 * (whole['step8_mAP']['last'] - whole['step0_mAP']['last']))
    assert json.loads((run.folder / 'step-5' / 'config.json').read_text())['settled'] == ['shapes']
    losses = (run.folder / 'step-8' / 'history.csv').read_text().splitlines()[1].split(',')[3:8]
    shutil.rmtree(run.folder / 'step-8')
    (run.folder / 'result.json').unlink()
    began = (run.folder / 'step-7' / 'history.csv').stat().st_mtime_ns
    resume(run.folder, chapters.find)
    assert (run.folder / 'step-7' / 'history.csv').stat().st_mtime_ns == began
    assert (run.folder / 'step-8' / 'history.csv').read_text().splitlines()[1].split(',')[3:8] == losses


def test_pictures_that_do_not_divide_into_cells_are_refused_before_anything_is_trained(tmp_path):
    with pytest.raises(UserError, match='pictures of 40x40: give a side that is a multiple of 16 '):
        run_experiment(SHORT.but(pixels=40), out=tmp_path / 'run', quiet=True)
    assert not (tmp_path / 'run').exists()


def test_the_table_and_ours_stand_side_by_side():
    found = [0.1 * number for number in range(9)]
    figure = draw_ladder(found, 'scenes', 'epochs=1')
    axis = figure.axes[0]
    widths = [bar.get_width() for bar in axis.patches]
    assert widths[:9] == [book for book, _ in TABLE_5_11] and widths[9:] == pytest.approx([100 * value for value in found])
    assert [label.get_text() for label in axis.get_yticklabels()][:2] == ['YOLO', '+ batch normalisation']
    figures.plt.close(figure)
