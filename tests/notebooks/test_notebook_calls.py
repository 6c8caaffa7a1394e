"""`chapters.notebook`: what the cells of the notebooks call."""
import ast
import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import chapters
from chapters import notebook as module
from chapters import source_code
from chapters.kit.perform import shortened
from chapters.kit.report import figures
from chapters.kit.training.train import PlainStep
from chapters.notebook import Notebook
from data_tools.errors import UserError


@pytest.fixture
def shown(monkeypatch):
    """Everything that is displayed, in order."""
    collected = []
    monkeypatch.setattr(module, 'display', lambda *things, raw=False: collected.extend(things))
    return collected


@pytest.fixture(autouse=True)
def same_resolution():
    before = figures.plt.rcParams['savefig.dpi']
    yield
    figures.plt.rcParams['savefig.dpi'] = before


def texts(shown):
    return '\n'.join(thing.data for thing in shown if isinstance(thing, module.Markdown))


def pictures(shown):
    return [thing for thing in shown if isinstance(thing, module.Image)]


def test_the_mode_is_one_of_two():
    with pytest.raises(UserError, match='QUICK or FULL'):
        Notebook('FAST')


def test_a_run_shows_settings_pictures_and_figures_beside_the_books(shown):
    book = Notebook('QUICK')
    neuron = book.run('2.2.8', quick=dict(train_samples=200), rows=('validation*',))
    assert 'train_samples=200' in texts(shown) and 'train_samples 200 in place of 1000' in texts(shown)
    assert '`python -m chapters run 2.2.8`' in texts(shown)
    assert len(pictures(shown)) == 1
    mse = neuron.result['metrics']['train_mse']['last']
    assert f'| train mse | 0.012219 | {mse:.6g} |' in texts(shown)
    assert '| validation mse |  |' in texts(shown) and neuron.result['short']
    assert neuron.saved.network.output.weight.shape == (1, 2)


def test_digits_stand_in_for_mnist_and_that_is_said(shown):
    mlp = Notebook('QUICK').run('3.4.2', quick=dict(epochs=1), pictures=())
    assert mlp.result['data'] == 'digits' and 'digits in place of mnist' in texts(shown)
    assert 'accuracy | 0.980531 |' not in texts(shown) and not pictures(shown)  # not beside ours: on other data
    assert '(mnist), not to be compared' in texts(shown) and 'validation accuracy 0.980531' in texts(shown)


def test_changes_of_the_reader_win_over_the_short_form(shown):
    run = Notebook('QUICK').run('3.4.2', quick=dict(epochs=9, learning_rate=0.01), epochs=1, pictures=())
    assert run.result['epochs'] == 1 and 'learning_rate=0.01' in texts(shown)


def test_what_the_reader_changed_is_named_and_not_called_short(shown):
    book = Notebook('QUICK')
    neuron = book.run('2.2.8', pictures=(), train_samples=50, learning_rate=0.5)
    assert 'Changed 改动: train_samples=50, learning_rate=0.5' in texts(shown) and 'short form' not in texts(shown)
    assert neuron.result['short'] == 'train_samples=50, learning_rate=0.5'
    shown.clear()
    two = book.run('2.3.9', quick=dict(epochs=1, train_samples=50), pictures=(), hidden=(20, 20))
    assert 'Changed 改动: hidden=20,20  \nIn short form 简短运行: epochs 1 in place of 10' in texts(shown)
    assert '`python -m chapters run 2.3.9 --set hidden=20,20`' in texts(shown)
    assert two.result['short'].endswith(', hidden=20,20')  # a picture's title has it too


def test_a_figure_that_the_book_prints_of_two_data_sets_is_one_row(shown):
    Notebook('QUICK').run('9.4.3-kernel', quick=dict(train_samples=200), pictures=())
    assert texts(shown).count('\n| validation error |') == 1
    assert '(mnist), not to be compared' in texts(shown) and '(cifar10), not to be compared' in texts(shown)


def test_what_has_no_short_form_runs_in_full_mode_only(shown):
    assert Notebook('QUICK').run('5.4.5', quick=False) is None
    assert '`python -m chapters run 5.4.5`' in texts(shown)


def test_full_mode_keeps_its_runs_and_shows_them_again(shown, tmp_path, monkeypatch):
    monkeypatch.setattr(module, 'RUNS', tmp_path)
    book = Notebook('FULL')
    first = book.run('2.2.8', quick=dict(train_samples=50))
    assert first.folder == tmp_path / '2.2.8-max-of-two-seed0' and not first.result['short']
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    assert book.run('2.2.8').folder == first.folder
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')} == before
    assert len(pictures(shown)) == 2
    assert book.run('2.2.8', learning_rate=0.2).folder != first.folder  # other settings: another run
    assert book.run('2.2.8', seed=1).folder != first.folder


def test_programs_take_arguments_in_short_form(shown):
    book = Notebook('QUICK')
    run = book.run('6.4.2', quick=dict(size=5, generations=1, games=2, visits=4, batches=1, filters=4, every=1,
                                       trials=2, matches=2))
    assert 'generations 1' in run.result['short'] and texts(shown)


def test_several_experiments_share_one_picture_and_one_table(shown):
    Notebook('QUICK').compare('4.4.4-batch128', '4.4.4-batch512', quick=dict(epochs=1))
    assert len(pictures(shown)) == 1
    assert '4.4.4-batch128 validation accuracy 0.9933, 4.4.4-batch512 validation accuracy 0.991' in texts(shown)
    assert '`python -m chapters run 4.4.4-batch128 4.4.4-batch512`' in texts(shown)


def test_several_experiments_may_each_have_a_short_form_of_its_own(shown):
    Notebook('QUICK').compare('2.2.8', '2.2.8-batch10', metric='validation_mse',
                              quick={'2.2.8': dict(train_samples=100), '2.2.8-batch10': dict(train_samples=300)})
    said = texts(shown)
    assert 'train_samples 100 in place of 1000. In full 完整运行: `python -m chapters run 2.2.8`' in said
    assert 'train_samples 300 in place of 10000. In full 完整运行: `python -m chapters run 2.2.8-batch10`' in said


def test_only_what_differs_is_called_short():
    experiment, data, words = shortened(chapters.find('8.3'), 'digits', dict(epochs=5, batch_size=64, train_samples=600))
    assert data == '' and words == 'epochs 5 in place of 500, train_samples 600 in place of all'
    assert experiment.recipe.train_samples == 600
    assert shortened(chapters.find('2.2.8'))[1:] == ('', '')
    words = shortened(chapters.find('5.5.3'), changes=dict(augmentation=''))[2]
    assert words.endswith("augmentation '' in place of crop=28 mirror")
    assert shortened(chapters.find('4.4'))[1:] == ('digits', 'digits in place of mnist')


def test_layers_and_networks_count_as_the_book_does(shown):
    book = Notebook('QUICK')
    book.layers('5.1.1')
    assert '34,944' in texts(shown) and '| million parameters | 50.8 | 50.8' in texts(shown)
    book.networks('5.1.1', '5.1.3')
    assert '50.84 (50.8)' in texts(shown) and len(pictures(shown)) == 2


def test_parity_is_a_line_a_listing(shown):
    Notebook('QUICK').parity('2.2.8', '2.3.9')
    assert texts(shown).count('below') == 2 and texts(shown).count('equal') == 2


def test_sliders_change_the_picture_and_leave_a_plain_one(shown, monkeypatch):
    import ipywidgets
    made = []
    monkeypatch.setattr(ipywidgets.VBox, '__init__', lambda box, children: (
        made.extend(children), super(ipywidgets.VBox, box).__init__(children))[1])

    def draw(rate=0.1, count=3):
        if rate > 0.4:
            raise UserError('too high')
        return Image.fromarray(np.full((count, 5, 3), int(255 * rate), np.uint8))
    Notebook('QUICK').sliders(draw, rate=[0.01, 0.1, 0.3, 0.5], count=(1, 9, 2))
    bundle, = shown
    assert set(bundle) == {'image/png', 'text/plain', module._WIDGET}
    assert Image.open(io.BytesIO(base64.b64decode(bundle['image/png']))).size == (5, 3)
    picture, rate, count, message = made
    assert rate.value == 0.1 and count.value == 3
    count.value = 7
    assert Image.open(io.BytesIO(picture.value)).size == (5, 7)
    before = picture.value
    rate.value = 0.5
    assert picture.value == before and message.value == 'too high'
    rate.value = 0.3
    assert picture.value != before and not message.value


def test_pictures_have_few_colours_and_the_figure_is_closed():
    figure, axis = figures.plt.subplots()
    axis.imshow(np.random.default_rng(0).random((40, 40)), cmap='viridis')
    with Image.open(io.BytesIO(module._png(figure))) as image:
        assert image.mode == 'P' and len(image.getcolors()) <= 64
    assert not figures.plt.fignum_exists(figure.number)


def test_a_users_mistake_is_one_line():
    class Shell:
        def _showtraceback(self, kind, value, lines):
            self.lines = lines
    shell = Shell()
    module._one_line(shell, UserError, UserError('9.9: no experiment\nof that section'), None)
    assert shell.lines == ['error: 9.9: no experiment of that section']


# ---- code ----

LISTINGS = [experiment.section for experiment in {
    experiment.listing: experiment for experiment in reversed(chapters.experiments())
    if experiment.listing}.values()]


@pytest.mark.parametrize('section', LISTINGS)
def test_code_stands_in_the_source_files_and_equal_marks_are_equal_operators(shown, section):
    Notebook('QUICK').code(section)
    left, right = re.findall(r'```python\n(.*?)\n```', texts(shown), re.S)
    links = re.findall(r'\]\(\.\./([^)#]*)#L(\d+)\)', texts(shown))
    files = {path: (source_code.ROOT / path).read_text(encoding='utf-8') for path, _ in links}
    for line in (left + '\n' + right).splitlines():
        assert not line or any(source_code.unmarked(line) in text for text in files.values()), line
    for path, line in links:
        assert re.match(r'\s*(class|def) ', files[path].splitlines()[int(line) - 1])
    experiment = chapters.find(section)
    graph = 'def generator(' if section == '8.3' else 'def symbol('  # 8.3 has two graphs
    assert f'class {experiment.network.__name__}(' in left and graph in right
    ours, theirs = ([mark for mark in source_code.MARKS if mark in text] for text in (left, right))
    assert ours == theirs and len(ours) >= 1


def test_marks_name_the_layer_and_its_operator(shown):
    Notebook('QUICK').code('4.4')
    kinds = [('nn.Conv2D(filters', 'Convolution'), ('nn.BatchNorm', 'BatchNorm'), ('nn.Activation', 'Activation'),
             ('nn.MaxPool2D', "pool_type='max'"), ('nn.Conv2D(classes', 'num_filter=classes'), ('F.mean', 'global_pool=True')]
    for mark, (ours, theirs) in zip(source_code.MARKS, kinds):
        one, other = [line for line in texts(shown).splitlines() if mark in line]
        assert ours in one and theirs in other
    assert source_code.MARKS[len(kinds)] not in texts(shown)


def test_a_helper_that_several_layers_share_has_the_marks_of_all(shown):
    Notebook('QUICK').code('5.4.4')
    line, = [line for line in texts(shown).splitlines() if "name='conv' + suffix" in line]
    assert len(re.findall('[\u2460-\u2473]', line)) == 2  # with padding in the loop, without at the end


def test_the_step_and_any_function_of_the_file_can_be_shown(shown):
    book = Notebook('QUICK')
    book.code('4.4', 'step')
    assert 'with autograd.record():' in texts(shown) and 'chapters/kit/training/train.py' in texts(shown)
    assert 'def restore(' not in texts(shown)  # one update, and not all that stands around it
    book.code('4.5.4', 'step')
    assert 'def train_by_hand(run):' in texts(shown)
    book.code('2.1.4', 'update')
    assert 'slope = 2 * (out - target)' in texts(shown) and '<table>' not in texts(shown).split('def train_by_hand')[1]
    book.code('2.1.1')
    assert 'def weighted_sum(run):' in texts(shown)
    with pytest.raises(UserError, match='no class or function of that name'):
        book.code('4.4', 'nothing')


def test_what_is_shown_is_python_also_where_a_docstring_is_all_that_a_function_holds():
    lines, _ = source_code.lines_of(PlainStep)
    shown = '\n'.join(lines)
    assert ast.parse(shown) and '"""Nothing to do' in shown and '"""One update' not in shown


def test_a_run_of_which_no_figure_is_asked_for_shows_no_empty_table(shown):
    book = Notebook('QUICK')
    book.run('2.2.8-batch10', quick=dict(train_samples=100), rows=())
    assert '| figure' not in texts(shown)
    book.run('2.2.8-batch10', quick=dict(train_samples=100), rows=('w1',))
    assert '| w1 |' in texts(shown)


# ---- by hand ----

def test_one_plain_update_is_the_first_step_and_the_graph_answers_alike(shown):
    import mxnet as mx
    from mxnet import autograd, gluon, nd

    from chapters.ch04_cnn.lenet import LeNet
    book = Notebook('QUICK')
    x, y = book.batch('4.4', 8)
    assert x.shape == (8, 1, 28, 28) and y.shape == (8,)
    network = LeNet()
    network.initialize(mx.init.Xavier())
    kit = book.first_step('4.4', network, x, y)
    book.same(network, kit)
    assert '| 0.' in texts(shown) and texts(shown).count('rounding 舍入误差') < 14  # one of the two has made a step
    loss = gluon.loss.SoftmaxCrossEntropyLoss()
    trainer = gluon.Trainer(network.collect_params(), 'sgd', {'learning_rate': 0.03})
    with autograd.record():
        value = loss(network(x), y)
    value.backward()
    trainer.step(len(x))
    shown.clear()
    book.same(network, kit)
    assert texts(shown).count('rounding 舍入误差') == 14  # all of 3 convolutions and 2 batch normalisations
    module = book.module('4.4', network, x.shape)
    module.forward(mx.io.DataBatch([x]), is_train=False)
    assert nd.abs(module.get_outputs()[0] - nd.softmax(network(x))).max().asscalar() < 1e-5
    assert book.clock(network, x, times=2) > 0


def test_the_whole_layer_table_has_what_learns_nothing(shown):
    book = Notebook('QUICK')
    book.layers('4.4', every=True)
    assert 'batch normalisation' in texts(shown) and 'max 3x3, stride 2' in texts(shown) and 'relu' in texts(shown)


# ---- while it trains ----

def test_an_interrupted_run_goes_on_and_ends_as_if_it_had_not_been(shown, monkeypatch, every_epoch_saved):
    settings = dict(pictures=(), quick=dict(epochs=3, train_samples=200))
    whole = Notebook('QUICK').run('2.3.9', **settings)
    book, seen = Notebook('QUICK'), []

    def stop(live, run, history):
        seen.append(len(history))
        if seen == [1, 2]:
            raise KeyboardInterrupt
    monkeypatch.setattr(module._Live, '__call__', stop)
    with pytest.raises(UserError, match='run the cell again to go on'):
        book.run('2.3.9', **settings)
    again = book.run('2.3.9', **settings)
    assert seen == [1, 2, 3]
    assert again.result['metrics']['validation_mse'] == whole.result['metrics']['validation_mse']


def test_a_live_curve_redraws_in_place_has_time_left_and_leaves_nothing(monkeypatch):
    updates, figure_titles = [], []

    class Handle:
        def update(self, thing, raw=False):
            updates.append(thing)
    first = []
    monkeypatch.setattr(module, 'display', lambda thing, **settings: first.append((thing, settings)) or Handle())
    monkeypatch.setattr(module, '_png', lambda figure: figure_titles.append(figure._suptitle.get_text()) or b'')
    monkeypatch.setattr(module, 'Image', lambda data: 'picture')
    monkeypatch.setattr(module, 'get_ipython', lambda: type('Shell', (), {'kernel': 1}))
    monkeypatch.setattr(module.time, 'monotonic', iter(range(100, 900, 10)).__next__)
    monkeypatch.setenv('TQDM_DISABLE', '')
    experiment = chapters.find('4.4')
    run = type('Run', (), {'recipe': experiment.recipe, 'data_name': 'mnist', 'seed': 0, 'short': ''})
    live, history = module._Live(experiment), []
    for epoch in range(3):
        history.append(dict(epoch=epoch, train_loss=1, validation_loss=1, train_accuracy=0.9, validation_accuracy=0.9,
                            learning_rate=0.03))
        live(run, history)
    live.end()
    assert len(first) == 1 and first[0][1] == {'display_id': True}
    assert updates == ['picture', 'picture', {'text/plain': ''}]
    assert figure_titles[-1] == module.figures.text('epoch 3 / 20, 2:50 left', '第 3 / 20 轮，剩余 2:50')
    monkeypatch.setenv('TQDM_DISABLE', '1')
    module._Live(experiment)(run, history)
    assert len(first) == 1
