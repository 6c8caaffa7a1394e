"""Sections 8.2.3, 8.4 and 8.5: relatives of DCGAN learn what they are for."""
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

import chapters
from chapters.ch08_gan import two_lines
from chapters.kit.program import resume, run_experiment
from chapters.kit.run import Run
from chapters.kit.runtime import mx


def test_two_lines():
    random = np.random.default_rng(0)
    for distance in (0.5, 2.0):
        log_loss, critic = (two_lines.train(kind, distance, random) for kind in ('book', 'wasserstein'))
        assert log_loss['divergence'] == pytest.approx(np.log(2), abs=0.02) and log_loss['accuracy'] == 1
        assert critic['divergence'] == pytest.approx(distance, rel=0.03)
        assert critic['gradient'] == pytest.approx(1, abs=0.03) and abs(log_loss['gradient']) < 0.1
    assert two_lines.train('book', 0.0, random)['divergence'] == pytest.approx(0, abs=0.02)
    one, two = random.standard_normal((2, 50)).astype(np.float32)
    points = [np.stack([x, np.zeros(50)], axis=1) for x in (one, two)]
    assert two_lines.transport(*points) == pytest.approx(wasserstein_distance(one, two), rel=1e-5)


def test_vae_learns_and_resumes_bit_for_bit(tmp_path):
    experiment = chapters.find('8.5-vae').but(epochs=16, hidden=128)
    run, result = run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    figures = {name: value['last'] for name, value in result['metrics'].items()}
    assert figures['validation_bound_loss'] < figures['bound_of_independent_pixels'] - 5
    assert figures['train_divergence'] > 1  # the codes say something
    assert (run.folder / 'figures' / 'map.png').stat().st_size > 5000
    _stop_and_resume(experiment, tmp_path, 'model-0016.params')


@pytest.mark.parametrize('section, epochs', [('8.4-conditional', 8), ('8.4-infogan', 8)])
def test_relatives_learn(tmp_path, section, epochs):
    run, result = run_experiment(chapters.find(section).but(epochs=epochs, width=8, learning_rate=0.002),
                                 out=tmp_path / 'run', quiet=True)
    figures = {name: value['last'] for name, value in result['metrics'].items()}
    if section == '8.4-conditional':  # by chance it would be 0.1
        assert figures['label_recognised'] > 0.5 and figures['accuracy_of_the_judge'] > 0.9
        assert (run.folder / 'figures' / 'classes.png').stat().st_size > 1000
    else:
        # whether c1 becomes the digit takes longer; that the codes can be read from the images does not
        assert figures['c1_misread'] < 0.2 and figures['c2_correlation'] > 0.7 and 0 <= figures['digit_error'] < 0.85
        assert (run.folder / 'figures' / 'c3.png').stat().st_size > 1000


def test_a_relative_resumes_bit_for_bit(tmp_path):
    experiment = chapters.find('8.4-infogan').but(epochs=2, width=8, train_samples=128)
    run_experiment(experiment, out=tmp_path / 'whole', quiet=True)
    _stop_and_resume(experiment, tmp_path, 'model-0002.params', after=1)


def _stop_and_resume(experiment, folder, model, after=2):
    """Stop a run after some epochs, resume it, and compare it with the whole one."""
    stopped = Run(experiment, out=folder / 'stopped', quiet=True)

    def save(arrays, state):
        type(stopped.checkpoint).save(stopped.checkpoint, arrays, state)
        if state['epoch'] == after:
            raise KeyboardInterrupt
    stopped.checkpoint.save = save
    with pytest.raises(KeyboardInterrupt):
        experiment.code(experiment.program)(stopped)
    resume(stopped.folder, chapters.find)
    whole, again = (mx.nd.load(str(folder / name / model)) for name in ('whole', 'stopped'))
    assert whole.keys() == again.keys()
    assert all((whole[name].asnumpy() == again[name].asnumpy()).all() for name in whole)
