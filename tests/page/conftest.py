"""Trained networks and the server for the page's tests."""
import os
import threading
from pathlib import Path

import pytest

CODES = ('zoo:8.3', 'zoo:8.4-infogan', 'zoo:8.5-vae')  # networks 3 to 5 of the page
DETECTOR, STYLE, POLICY = 'zoo:5.7.2', 'zoo:5.8-fast', 'zoo:7.2-small'  # 6 to 8


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if here in Path(item.fspath).parents and not os.environ.get('BOOKCNN_WEB_TEST'):
            item.add_marker(pytest.mark.skip(reason='needs Chromium and Node: `make web-test` runs it'))


@pytest.fixture(scope='session')
def digits_run(tmp_path_factory):
    """4.4, trained in some seconds on the digits that come with scikit-learn."""
    import chapters
    from chapters.kit.perform import run_experiment
    folder = tmp_path_factory.mktemp('runs') / 'digits'
    run_experiment(chapters.find('4.4').but(epochs=6, learning_rate=0.1), data='digits', out=folder, quiet=True)
    return folder


@pytest.fixture(scope='session')
def go_run(tmp_path_factory):
    """7.2-small with its 36 planes, smaller still, after a glance at games of the built-in player; its head is as it began."""
    import mxnet as mx

    import chapters
    from chapters.ch04_cnn import positions
    from chapters.ch07_policy_net import policy_net
    from chapters.ch07_policy_net.ownership import FILE, OwnershipHead
    from chapters.kit.perform import run_experiment
    folder = tmp_path_factory.mktemp('runs') / 'go'
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(positions, 'SELFPLAY_GAMES', 20)
        patch.setattr(policy_net, 'MEASURED', 50)
        run_experiment(chapters.find('7.2-small').but(units=1, filters=8, epochs=1, samples_per_epoch=640,
                                                      batch_size=32), data='selfplay', out=folder, quiet=True)
    mx.random.seed(0)
    head = OwnershipHead(prefix='ownership_')
    head.initialize(mx.init.Xavier())
    with mx.autograd.predict_mode():
        head(mx.nd.ones((1, 8, 19, 19)))
    head.save_parameters(str(folder / FILE))
    return folder


@pytest.fixture(scope='session')
def flowers_run(tmp_path_factory, flower_pictures):
    """4.4 after some epochs on colour pictures of three classes: sure of some, not of others."""
    import chapters
    from chapters.kit.perform import run_experiment
    folder = tmp_path_factory.mktemp('runs') / 'flowers'
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(folder.parent))  # class folders are packed there
        run_experiment(chapters.find('4.4').but(epochs=5, batch_size=8), data=str(flower_pictures), out=folder, quiet=True)
    return folder


@pytest.fixture(scope='session')
def server(digits_run, go_run, flowers_run):
    """The page of all three and of those of the zoo that make images, find objects, restyle and play, as `serve` serves it."""
    import chapters
    from chapters.kit.trained.serve import PageServer, page_files
    networks = [digits_run, go_run, flowers_run, *CODES, DETECTOR, STYLE, POLICY]
    with PageServer(page_files(networks, chapters.find), port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def open_page(chromium, server):
    """A function (language, viewport, number of the network) -> page that has loaded.

    At the end: no error in it, nothing asked of others.
    """
    contexts, problems = [], []

    def open_one(locale='en-US', viewport=None, network=0, **settings):
        viewport = viewport or {'width': 1180, 'height': 900}
        context = chromium.new_context(locale=locale, viewport=viewport, has_touch=viewport['width'] < 500, **settings)
        context.set_default_timeout(60000)
        contexts.append(context)
        page = context.new_page()
        page.on('console', lambda message: problems.append(message.text) if message.type in ('error', 'warning')
                else None)
        page.on('pageerror', lambda error: problems.append(str(error)))
        page.on('request', lambda request: None if request.url.startswith((server.address, 'data:', 'blob:'))
                else problems.append(f'asks for {request.url}'))
        page.goto(server.address)
        page.locator('header select').select_option(str(network))
        return page
    yield open_one
    for context in contexts:
        context.close()
    assert not problems
