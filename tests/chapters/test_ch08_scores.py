"""Scores of generated images: formulas against scipy and known cases, then a run judged by a run."""
import numpy as np
import pytest
from scipy import linalg, stats

import chapters
from chapters.ch08_gan import scores
from chapters.kit.perform import run_experiment


def test_frechet_distance_against_scipy():
    random = np.random.default_rng(0)
    a, b = (root @ root.T / 12 for root in random.standard_normal((2, 12, 12)))
    m, n = random.standard_normal((2, 12))
    expected = np.square(m - n).sum() + np.trace(a + b - 2 * linalg.sqrtm(a @ b).real)
    assert scores.frechet_distance(m, a, n, b) == pytest.approx(expected, rel=1e-9)
    assert scores.frechet_distance(m, a, m, a) == pytest.approx(0, abs=1e-9)
    # of two Gaussians on a line it is the square of their Wasserstein distance: (m - n)^2 + (s - t)^2
    assert scores.frechet_distance(*(np.array(x) for x in ([1.0], [[4.0]], [3.0], [[9.0]]))) == pytest.approx(5)
    singular = np.diag([1.0, 0, 0])
    assert scores.frechet_distance(m[:3], singular, m[:3], np.eye(3)) == pytest.approx(2)


def test_frechet_distance_of_samples():
    one = stats.multivariate_normal([0, 0], [[1, .5], [.5, 2]]).rvs(20000, random_state=1)
    two = stats.multivariate_normal([3, 0], [[1, .5], [.5, 2]]).rvs(20000, random_state=2)
    assert scores.frechet_distance(*scores.moments(one), *scores.moments(two)) == pytest.approx(9, rel=0.03)


def test_inception_score_of_known_answers():
    assert scores.inception_score(np.full((50, 10), 0.1)) == pytest.approx(1)
    assert scores.inception_score(np.eye(10)[np.arange(50) % 10]) == pytest.approx(10)
    assert scores.inception_score(np.eye(10)[np.arange(50) % 2]) == pytest.approx(2)  # two classes only
    q = np.random.default_rng(0).dirichlet(np.ones(5), 40)
    expected = np.exp(np.mean([stats.entropy(row, q.mean(axis=0)) for row in q]))
    assert scores.inception_score(q) == pytest.approx(expected)


def test_a_run_is_judged_by_a_run(tmp_path, capsys):
    judge, _ = run_experiment(chapters.find('4.4').but(epochs=2, learning_rate=0.1), data='digits',
                              out=tmp_path / 'judge', quiet=True)
    made, _ = run_experiment(chapters.find('8.3').but(epochs=2, width=8, train_samples=320), out=tmp_path / 'made',
                             quiet=True)
    assert scores.main([str(made.folder), '--judge', str(judge.folder), '--samples', '300']) == 0
    said = capsys.readouterr().out
    assert 'epochs real' in said and 'epochs 2' in said
    rows, found = scores.score_run(made.folder, judge.folder, 300)
    assert [row['epochs'] for row in rows] == ['real', 1, 2] and found.accuracy > 0.8
    real, first = rows[0], rows[1]
    assert real['frechet_distance'] < 0.2 * first['frechet_distance']  # two epochs of noise are not digits
    assert real['inception_score'] > first['inception_score'] and real['smallest_share'] > 0.02
    assert sum(value for name, value in real.items() if name.startswith('share_')) == pytest.approx(1)
    assert (made.folder / 'figures' / 'scores.png').stat().st_size > 5000
    assert scores.main([str(judge.folder), '--judge', str(judge.folder)]) == 2
    assert 'not of 8.3' in capsys.readouterr().err
