"""Before any test: what MXNet must find in the environment when it is loaded. Then what several folders share."""
import json
import shutil

import numpy as np
import pytest
from PIL import Image

import chapters  # noqa: F401

BROWSERS = ('chromium', 'chromium-browser', 'google-chrome')


@pytest.fixture(scope='session')
def flower_pictures(tmp_path_factory):
    """`flowers`, three class folders of colour PNGs of several sizes: daisies are red, roses green, tulips blue."""
    folder, random = tmp_path_factory.mktemp('pictures') / 'flowers', np.random.default_rng(0)
    for label, name in enumerate(('daisy', 'rose', 'tulip')):
        (folder / name).mkdir(parents=True)
        for number in range(20):
            pixels = random.integers(0, 90, (*random.integers(30, 90, 2), 3), np.uint8)
            pixels[:, :, label] += 120
            Image.fromarray(pixels).save(folder / name / f'{number}.png')
    return folder


@pytest.fixture
def interrupted(monkeypatch):
    """A function (experiment, folder) that runs an experiment until its first checkpoint is written, and no further."""
    def run(experiment, folder):
        from chapters.kit.perform import run_experiment
        from chapters.kit.training.checkpoint import Checkpoint
        save = Checkpoint.save

        def dying_save(self, arrays, state):
            save(self, arrays, state)
            raise KeyboardInterrupt
        with monkeypatch.context() as patch:
            patch.setattr(Checkpoint, 'save', dying_save)
            with pytest.raises(KeyboardInterrupt):
                run_experiment(experiment, out=folder, quiet=True)
    return run


@pytest.fixture
def every_epoch_saved(monkeypatch):
    """For tests that stop a training after its second epoch: a checkpoint after each, however short."""
    monkeypatch.setattr('chapters.kit.training.epochs.SECONDS_APART', 0)


@pytest.fixture
def slow_backward(tmp_path, monkeypatch):
    """A function (step) that says how long BN and pooling take in `step()` to go backward, as a share of the convolutions.

    Where gradient and data arrive in different memory layouts BN takes up to 20 times as long.
    """
    import mxnet as mx
    from mxnet import profiler
    monkeypatch.setenv('MXNET_EXEC_BULK_EXEC_TRAIN', '0')  # operators are profiled one by one

    def share(step):
        step()
        profiler.set_config(profile_all=True, aggregate_stats=True, filename=str(tmp_path / 'profile.json'))
        shares = []
        for _ in range(5):  # of which a busy machine spoils some
            profiler.set_state('run')
            step()
            mx.nd.waitall()
            profiler.set_state('stop')
            times = {name: values['Total'] for name, values in
                     json.loads(profiler.dumps(format='json', reset=True))['Time']['operator'].items()}
            slow = sum(value for name, value in times.items()
                       if name.startswith(('_backward_BatchNorm', '_backward_Pooling')))
            shares.append(slow / times['_backward_Convolution'])
        return min(shares)
    return share


@pytest.fixture(scope='session')
def chromium():
    """A real Chromium, one for all tests of pages: Playwright refuses a second one beside it."""
    from playwright.sync_api import sync_playwright
    path = next(filter(None, map(shutil.which, BROWSERS)), None)
    assert path, f'none of {", ".join(BROWSERS)} is installed'
    with sync_playwright() as playwright:
        # Chromium's sandbox refuses to run as root; the pages are our own.
        browser = playwright.chromium.launch(executable_path=path, args=['--no-sandbox'])
        yield browser
        browser.close()
