"""The benchmarks' page: ratios the right way round, earlier figures kept, everything measured on the page."""
import json

import numpy as np
import pytest

import chapters
from benchmarks import detection
from benchmarks.book import Row, save, write_page
from chapters.kit.trained.prediction import instructions
from chapters.kit.training.epochs import seed_everything
from chapters.kit.training.recipe import Recipe


def test_ratios_say_how_much_better_the_first_is():
    assert Row('speed', 'steps/s', {'ours': [3, 4, 100], 'theirs': [2, 2, 2]}).ratio('theirs') == 2
    assert Row('time', 's', {'ours': [1, 1], 'theirs': [3, 3]}).ratio('theirs') == 3
    assert Row('memory', 'MB', {'ours': [50], 'theirs': [200]}).ratio('theirs') == 4


def test_later_figures_join_earlier_ones_on_the_page(tmp_path):
    save('benchmarks.one', 'The title', [Row('old', 's', {'ours': [1.0], 'theirs': [9.0]}),
                                         Row('again', 's', {'ours': [5.0], 'theirs': [5.0]})], folder=tmp_path)
    save('benchmarks.one', 'The title', [Row('again', 's', {'ours': [4.0, 2.0, 3.0], 'theirs': [6.0, 6.0, 6.0]})],
         'What it means.', folder=tmp_path)
    save('benchmarks.two', 'Sizes', [Row('sizes', 'MB', {'10': [1], '20': [2]}, compared=False)], folder=tmp_path)
    (tmp_path / 'scaling.json').write_text(json.dumps({'networks': {}}))  # has a page of its own
    page = write_page(tmp_path, tmp_path / 'page.md').read_text(encoding='utf-8').splitlines()
    assert '| old | s | 1 | 9, **9.00x** |' in page
    assert '| again | s | 3 (2 to 4) | 6 (6 to 6), **2.00x** |' in page
    assert '| sizes | MB | 1 | 2 |' in page
    assert page.index('## The title') < page.index('What it means.') < page.index('## Sizes')
    line, = (line for line in page if line.startswith('- `python -m benchmarks.one'))
    assert f', {instructions()}, Python ' in line and 'MXNet 1.9.1' in line  # with what the processor can
    old = json.loads((tmp_path / 'one.json').read_text())
    del old['rows']['old']['versions']['instructions']  # of a time when nobody noted it
    (tmp_path / 'one.json').write_text(json.dumps(old))
    assert line.replace(f', {instructions()}', '') in write_page(tmp_path, tmp_path / 'page.md').read_text(encoding='utf-8')


def test_gluoncvs_detector_learns_from_the_same_boxes_as_ours():
    data = chapters.find('5.7.2').but(train_samples=8, pixels=96).load()
    seed_everything(0)
    sides = [detection.GluonCV(data), detection.GluonCV(data, Recipe(optimizer='adam', learning_rate=0.01))]
    objects = data.train_y[0][data.train_y[0][:, 0] >= 0]
    targets = sides[0].targets(objects, (96, 96))
    assert targets.shape == (3 * (12 ** 2 + 6 ** 2 + 3 ** 2), 7 + 10) and (targets[:, 0] == 1).sum() == len(objects)
    assert sorted(targets[targets[:, 0] == 1, 7:].argmax(axis=1)) == sorted(objects[:, 0])
    assert not sides[0].targets(objects[:0], (96, 96))[:, 0].any()
    for side in sides:
        found = side.find(data.validation_x[:9], data.scale)  # before it learns: boxes of the anchors, everywhere
        assert found.shape == (9, 100, 6)
        assert 0 < np.median(found[found[..., 0] >= 0, 2:].mean(axis=1)) < 1  # parts of the picture, not pixels
        side.done()  # the graph that finds takes no targets
        parameters = side.network.collect_params('.*conv.*weight')
        weights = {name: parameter.data().asnumpy() for name, parameter in parameters.items()}
        views = detection.Views(data, '', [(96, 96)], side.targets)
        assert detection.learn(side, views, 8, 4, 0.02, 'test') >= 4
        assert all((parameters[name].data().asnumpy() != old).any() for name, old in weights.items())


def test_a_benchmark_of_detectors_without_time_is_refused(capsys):
    with pytest.raises(SystemExit) as error:
        detection.main(['--minutes', '0'])
    assert error.value.code == 2 and '--minutes: give a number above 0' in capsys.readouterr().err
    assert detection.main(['--minutes', '1', '--data', 'nowhere']) == 2
    assert 'nowhere: no such pictures with boxes' in capsys.readouterr().err
