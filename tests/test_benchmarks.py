"""The benchmarks' page: ratios the right way round, earlier figures kept, everything measured on the page."""
import json

from benchmarks.book import Row, save, write_page


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
    assert any(line.startswith('- `python -m benchmarks.one') and 'MXNet 1.9.1' in line for line in page)
