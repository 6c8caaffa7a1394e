"""The rate that is found trains; a tenth of it trains slower, and ten times as much does not."""
import chapters
from chapters.kit.inside.rate_finder import find_rate
from chapters.kit.perform import run_experiment
from chapters.kit.trained.run import Run


def test_the_suggested_rate_is_a_good_one(tmp_path):
    experiment = chapters.find('3.4.2').but(initializer='xavier')
    rates, losses, suggestion = find_rate(Run(experiment, data='digits', out=tmp_path / 'rate', quiet=True))
    assert len(rates) == len(losses) > 50 and rates[0] == 1e-5
    assert 0.01 < suggestion < 2
    accuracy = []
    for number, rate in enumerate((suggestion / 20, suggestion, suggestion * 20)):
        _, result = run_experiment(experiment.but(epochs=2, learning_rate=rate), data='digits',
                                   out=tmp_path / str(number), quiet=True)
        accuracy.append(result['metrics']['validation_accuracy']['last'])
    assert accuracy[1] > 0.8 and accuracy[1] > max(accuracy[0], accuracy[2]) + 0.1
