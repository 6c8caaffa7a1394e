"""`chapters.notebook`: what the cells of the notebooks call."""
import base64
import io

import numpy as np
import pytest
from PIL import Image

from chapters import notebook as module
from chapters.kit import figures
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
    assert '| 0.980531 (mnist) |' in texts(shown) and not pictures(shown)


def test_changes_of_the_reader_win_over_the_short_form(shown):
    run = Notebook('QUICK').run('3.4.2', quick=dict(epochs=9, learning_rate=0.01), epochs=1, pictures=())
    assert run.result['epochs'] == 1 and 'learning_rate=0.01' in texts(shown)


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
    assert '| 0.9933 (mnist) |' in texts(shown) and '| 0.991 (mnist) |' in texts(shown)
    assert '`python -m chapters run 4.4.4-batch128 4.4.4-batch512`' in texts(shown)


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
