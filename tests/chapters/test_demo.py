"""The demo: each short form shows what its sentence says, and the page says it."""
import html
import json
import re

import pytest

import chapters
from chapters import demo
from chapters.__main__ import main


def near(value, book, share=0.02):
    return abs(value - book) <= share * abs(book) + 1e-9


# What each sentence of the demo says, of the figures of its run.
CLAIMS = {
    '2.1.1': lambda m: near(m['output'], 3211.71, 1e-5),
    '2.1.4': lambda m: m['step1_out'] == 0 and near(m['step1_loss'], 0.64) and near(m['step2_loss'], 0.0862),
    '2.1.5': lambda m: m['mse_of_last_100'] < 0.02 < m['mse_of_first_20'] and m['steps'] == 400,
    '2.2.8': lambda m: near(m['validation_mse'], 0.0139, 0.1) and near(m['w1'], m['w2'], 0.1) and near(m['b'], 1 / 6, 0.1),
    '2.2.8-samples10000': lambda m: near(m['validation_mse'], 0.0139, 0.1) and near(m['b'], 1 / 6, 0.1),
    '2.2.8-batch10': lambda m: near(m['validation_mse'], 0.0139, 0.1) and near(m['b'], 1 / 6, 0.1),
    '2.3.2': lambda m: m['largest_error_of_relu_max'] < 1e-6,
    '2.3.4': lambda m: near(m['OUT'], 0.75) and m['mean_loss_after_4000'] < 0.001,
    '2.3.5': lambda m: m['steps'] == 4000,
    '2.3.9': lambda m: m['validation_mse'] < 0.0139 / 1000,
    '2.3.9-hidden3': lambda m: near(m['train_mse'], 1 / 18, 0.05),
    '3.2-l2': lambda m: m['with_weight_norm'] < 0.75 * m['without_weight_norm']
    and m['with_validation_accuracy'] > m['without_validation_accuracy'] - 0.02,
    '3.2-l1': lambda m: m['with_share_near_zero'] > 0.6 and m['without_share_near_zero'] < 0.05,
    '3.2-dropout': lambda m: m['without_train_accuracy'] > 0.99 > m['with_train_accuracy'] + 0.03,
    '3.2-label-smoothing': lambda m: m['with_confidence'] < m['without_confidence'] - 0.1
    and m['with_validation_accuracy'] > m['without_validation_accuracy'] - 0.02,
    '3.2-noisy-labels': lambda m: m['clean_validation_accuracy'] > m['noisy_validation_accuracy'] > 0.75
    and m['noisy-smoothed_validation_accuracy'] > 0.75,
    '3.2-mixup': lambda m: m['with_confidence'] < m['without_confidence'] - 0.05
    and m['with_validation_accuracy'] > m['without_validation_accuracy'] - 0.03,
    '3.2-early-stopping': lambda m: m['with_epochs'] <= m['without_epochs'] / 2
    and m['with_validation_accuracy'] >= m['without_validation_accuracy'],
    '3.3.1-step-decay': lambda m: m['with_jumps'] < m['without_jumps'] / 5,
    '3.3.2-warm-up': lambda m: m['without_diverged'] == 1 and m['with_validation_accuracy'] > 0.85,
    '3.3.2-rate-and-batch': lambda m: m['batch256-same-rate_validation_accuracy'] < m['batch16_validation_accuracy'] - 0.05
    and near(m['batch256-alpha1_validation_accuracy'], m['batch16_validation_accuracy']),
    '3.3.4': lambda m: m['train_loss'] < 0.02 and m['test_loss'] < 0.02,
    '3.3.4-data30': lambda m: m['train_loss'] < 0.03 and m['test_loss'] > 1.5 * m['train_loss'],
    '3.4.1': lambda m: near(m['cross_entropy'], 0.128, 0.005),
    '3.4.2': lambda m: m['validation_accuracy'] > 0.97,
    '4.1.3': lambda m: m['maximum'] == 5 and m['mean'] == 0.25,
    '4.2.2': lambda m: 0.08 < m['validation_accuracy'] < 0.165,
    '4.2.3': lambda m: near(m['own_L19'], 0.47, 1e-4) and near(m['empty_L15'], 7.78, 1e-4),
    '4.3.1': lambda m: m['parameters_convolution'] == 1792 and m['parameters_fully_connected'] == 177004800,
    '4.3.2': lambda m: m['difference_by_hand_autograd'] < 1e-6,
    '4.3.3': lambda m: m['compared'] == 224 and m['wrong'] == 0,
    '4.3.5': lambda m: m['unevenness_kernel3_stride2'] > 1 and m['unevenness_kernel4_stride2'] == 0,
    '4.4': lambda m: m['validation_accuracy'] > 0.985 and m['mistakes'] < 6,
    '4.4.4-batch8': lambda m: m['validation_accuracy'] > 0.96,
    '4.4.4-batch32': lambda m: m['validation_accuracy'] > 0.97,
    '4.4.4-batch128': lambda m: m['validation_accuracy'] > 0.97,
    '4.4.4-batch512': lambda m: m['validation_accuracy'] > 0.94,
    '4.4.4-batch512-rate0.2': lambda m: m['validation_accuracy'] > 0.93,
    '4.5.2': lambda m: max(m[f'difference_{way}'] for way in ('load_parameters', 'symbol_block', 'module')) < 1e-5,
    '4.5.4': lambda m: near(m['step1_output'], 0.75) and near(m['step1_mse'], 0.0625) and near(m['step1_gradient_b3'], -0.25),
    '7.2-small': lambda m: m['validation_accuracy'] > 0.14,
}


@pytest.fixture(scope='module')
def shown(tmp_path_factory):
    """(folder of the demo, what it printed)."""
    import contextlib
    import io
    out, said = tmp_path_factory.mktemp('runs') / 'demo', io.StringIO()
    with contextlib.redirect_stdout(said):
        assert main(['demo', '--out', str(out)]) == 0
    return out, said.getvalue()


def metrics(folder):
    result = json.loads((folder / 'result.json').read_text(encoding='utf-8'))
    return {name: value['last'] for name, value in result['metrics'].items()}, result


def test_every_experiment_of_the_demo_makes_a_claim():
    sections = [experiment.section for experiment in demo.chosen()]
    assert set(sections) == set(CLAIMS) == set(demo.SHOWN)
    for short in demo.SHOWN.values():
        assert re.search('[a-z]{3}', short.english) and re.search('[\u4e00-\u9fff]{3}', short.chinese)


@pytest.mark.parametrize('section', CLAIMS)
def test_a_short_form_shows_what_it_says(shown, section):
    found, _ = metrics(shown[0] / section)
    assert CLAIMS[section](found), found


def test_seven_plays_better_than_one_convolution(shown):
    """As its sentence says."""
    accuracies = [metrics(shown[0] / section)[0]['validation_accuracy'] for section in ('4.2.2', '7.2-small')]
    assert accuracies[1] > accuracies[0]


def test_convolutions_make_fewer_mistakes(shown):
    accuracies = [metrics(shown[0] / section)[0]['validation_accuracy'] for section in ('3.4.2', '4.4')]
    assert accuracies[1] > accuracies[0]


def test_lines_and_page_say_what_figures_mean(shown):
    out, said = shown
    lines, page = said.splitlines(), html.unescape((out / 'index.html').read_text(encoding='utf-8'))
    heads = [line for line in lines if not line.startswith('    ')]
    assert [line.split()[0] for line in heads[:-1]] == [experiment.section for experiment in demo.chosen()]
    assert heads[-1] == str(out / 'index.html')
    for section, short in demo.SHOWN.items():
        at = next(number for number, line in enumerate(lines) if line.startswith(section + ' '))
        assert lines[at + 1:at + 3] == ['    ' + short.english, '    ' + short.chinese]
        part = page.split(f'<section id="s{section}">')[1].split('</section>')[0]
        assert short.english in part and short.chinese in part
        _, result = metrics(out / section)
        assert ('In full' in part) == bool(result['short']), section
        assert 'digits in place of digits' not in result['short']
        book = {figure.metric: figure for figure in chapters.find(section).book}
        for metric in short.figures:
            assert metric in result['metrics'], (section, metric)
            said = re.search(rf'[:,] {metric.replace("_", " ")} [-+.\de]+( \(the book: )?', lines[at])
            assert (metric in book) == bool(said[1]), (section, metric)


def test_spreadsheets_are_linked(shown):
    out, _ = shown
    page = (out / 'index.html').read_text(encoding='utf-8')
    for file in ('2.1.5/neuron.xlsx', '2.3.5/network.xlsx'):
        assert f'<a href="{file}">' in page and (out / file).stat().st_size > 10000


def test_some_of_the_zoo_are_shown(shown):
    page = (shown[0] / 'index.html').read_text(encoding='utf-8')
    part = page.split('Trained networks that come along')[1].split('</section>')[0]
    assert part.count('data:image/png') == 4 and 'python -m chapters serve' in part
    assert float(re.search(r'reads ([\d.]+)% of these other', part)[1]) > 50


def test_the_page_opens_with_what_ran_and_how_many_figures_agree_and_has_a_part_for_every_chapter(shown):
    page = (shown[0] / 'index.html').read_text(encoding='utf-8')
    overview = page.split('<div class="overview">')[1].split('<p')[0]
    assert f'<b>{len(demo.SHOWN)}</b>' in overview
    agree, compared = map(int, re.search(r'<b>(\d+) / (\d+)</b>', overview).groups())
    assert page.count('>✓<') == agree and 0.9 * compared < agree <= compared and compared > 50
    assert re.findall(r'<h2 id="c(\d)">', page) == ['2', '3', '4', '7']
    assert page.index('python -m chapters serve') < page.index('<h2 id="c2">')
