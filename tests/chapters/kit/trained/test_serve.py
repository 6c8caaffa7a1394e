"""The server of the page: what it serves and what it refuses. The page itself is tested in tests/page."""
import gzip
import http.client
import io
import json
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

import mxnet as mx
import numpy as np
import pytest
from PIL import Image

import chapters
from chapters.kit.experiment import Training
from chapters.kit.perform import run_experiment
from chapters.kit.trained.saved import load_run
from chapters.kit.trained.serve import PAGE, PageServer, page_files
from data_tools.errors import UserError

pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module', autouse=True)
def home(tmp_path_factory):
    """Where class folders are packed to."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv('HOME', str(tmp_path_factory.mktemp('home')))
        yield


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'digits'
    run_experiment(chapters.find('3.4.2').but(epochs=1, train_samples=320), data='digits', out=folder, quiet=True)
    return folder


@pytest.fixture(scope='module')
def flowers(tmp_path_factory, flower_pictures):
    """4.4 after two epochs on colour pictures."""
    folder = tmp_path_factory.mktemp('runs') / 'flowers'
    run_experiment(chapters.find('4.4').but(epochs=2), data=str(flower_pictures), out=folder, quiet=True)
    return folder


@pytest.fixture(scope='module')
def server(folder):
    with PageServer(page_files([folder], chapters.find), port=0) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def get(server, path, **headers):
    connection = http.client.HTTPConnection('127.0.0.1', server.server_port, timeout=10)
    connection.request(headers.pop('method', 'GET'), path, headers=headers)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    return response, body


def test_every_file_comes_with_a_strict_policy(server):
    for path, kind in (('/', 'text/html; charset=utf-8'), ('/page.js', 'text/javascript; charset=utf-8'),
                       ('/ort.wasm', 'application/wasm'), ('/network-0.onnx', 'application/octet-stream'),
                       ('/networks.json', 'application/json'), ('/nothing', 'text/plain; charset=utf-8')):
        response, body = get(server, path)
        assert response.status == (404 if path == '/nothing' else 200)
        assert response.headers['Content-Type'] == kind
        policy = response.headers['Content-Security-Policy']
        assert "default-src 'none'" in policy and 'unsafe-inline' not in policy and "'unsafe-eval'" not in policy
        if response.headers['Content-Encoding'] == 'gzip':
            body = gzip.decompress(body)
        assert body[:4] == b'\0asm' or path != '/ort.wasm'
        head, nothing = get(server, path, method='HEAD')
        assert head.headers['Content-Length'] == response.headers['Content-Length'] and nothing == b''


def test_the_network_is_described(server):
    (network,) = json.loads(get(server, '/networks.json')[1])
    assert network['kind'] == 'image' and network['shape'] == [1, 28, 28]
    assert [layer['shape'] for layer in network['layers']] == [[128], [64], [10]]
    assert network['parameters'] == 109386
    assert '1,797 digits' in network['title']['en'] and 'MNIST' not in json.dumps(network)  # which it never saw


def test_a_network_of_photographs_is_described_and_computes_what_mxnet_does(flowers):
    import onnxruntime
    files = page_files([flowers], chapters.find)
    (network,) = json.loads(files['/networks.json'])
    assert network['kind'] == 'picture' and network['shape'] == [3, 28, 28] and network['resize'] == 28
    assert network['classes'] == network['classes_zh'] == ['daisy', 'rose', 'tulip']
    assert network['scale'] == pytest.approx(1 / 255) and network['data'] == {'en': 'flowers', 'zh': 'flowers'}
    assert network['title']['en'] == 'The network of 4.4, trained on flowers' and 'MNIST' not in network['title']['zh']
    result = json.loads((flowers / 'result.json').read_text())
    assert network['accuracy'] == result['metrics']['validation_accuracy']['last']
    session = onnxruntime.InferenceSession(gzip.decompress(files['/network-0.onnx.gz']))
    saved, x = load_run(flowers, chapters.find), np.random.default_rng(0).random((2, 3, 28, 28), np.float32)
    outputs = session.run(None, {'data': x})
    assert np.allclose(outputs[0], saved.network(mx.nd.array(x)).asnumpy(), atol=1e-4)
    assert [list(output.shape[1:]) for output in outputs[1:]] == [layer['shape'] for layer in network['layers']]


def test_a_detector_and_a_network_with_a_style_are_described_and_have_examples():
    files = page_files(['zoo:5.7.2', 'zoo:5.8-fast'], chapters.find)
    detector, style = json.loads(files['/networks.json'])
    assert detector['kind'] == 'boxes' and detector['shape'] == [3, 96, 96] and detector['classes'] == list('0123456789')
    assert detector['scale'] == pytest.approx(1 / 255) and 'scikit-learn' in detector['data']['zh']
    assert style['kind'] == 'style' and style['data'] == {'en': 'The Starry Night by Van Gogh', 'zh': '梵高的《星夜》'}
    sides = [[Image.open(io.BytesIO(files[f'/{name}'])).size for name in network['examples']] for network in (detector, style)]
    assert sides == [[(96, 96)] * 4, [(384, 256)] * 2]


def test_of_large_layers_only_the_first_planes_are_sent(flower_pictures, tmp_path):
    run_experiment(chapters.find('4.4').but(epochs=1, pixels=96, train_samples=32), data=str(flower_pictures),
                   out=tmp_path / 'large', quiet=True)
    (network,) = json.loads(page_files([tmp_path / 'large'], chapters.find)['/networks.json'])
    assert network['layers'][0]['shape'] == [16, 92, 92] and network['layers'][0]['of'] == 32


def test_gray_pictures_that_are_no_strokes_are_shown_not_drawn(tmp_path):
    random = np.random.default_rng(0)
    for name in ('dark', 'light'):
        (tmp_path / 'tones' / name).mkdir(parents=True)
        for number in range(8):
            pixels = random.integers(0, 128, (40, 50), np.uint8) + np.uint8(127 * (name == 'light'))
            Image.fromarray(pixels).save(tmp_path / 'tones' / name / f'{number}.png')
    run_experiment(chapters.find('4.4').but(epochs=1, batch_size=4), data=str(tmp_path / 'tones'), out=tmp_path / 'run',
                   quiet=True)
    (network,) = json.loads(page_files([tmp_path / 'run'], chapters.find)['/networks.json'])
    assert network['kind'] == 'picture' and network['shape'] == [1, 28, 28]


def test_an_own_title_stays_and_classes_without_names_are_numbered(flower_pictures, tmp_path):
    network = chapters.find('4.4').network
    run_experiment(Training('own', 'My flowers', network=network, sizes={'classes': 5}, changed={'classes': 5},
                            sample_shape=(3, 28, 28), recipe=chapters.find('4.4').recipe.but(epochs=1)),
                   data=str(flower_pictures), out=tmp_path / 'own', quiet=True)
    own = Training('own', 'My flowers', network=network, sizes={'classes': 5})
    (described,) = json.loads(page_files([tmp_path / 'own'], lambda section: own)['/networks.json'])
    assert described['title'] == {'en': 'My flowers', 'zh': 'My flowers'}
    assert described['classes'] == ['daisy', 'rose', 'tulip', '3', '4']


def test_only_its_own_files_and_names(server):
    for path in ('/../config.json', '/%2e%2e/config.json', '//etc/passwd', '/../../etc/passwd'):
        assert get(server, path)[0].status == 404
    assert get(server, '/', Host='example.org')[0].status == 403  # a name of somebody else's that leads here
    assert get(server, '/', Host='localhost')[0].status == 200
    assert server.is_local and server.server_name == '127.0.0.1'


def test_a_browser_that_goes_away_is_no_error(server, capfd):
    for _ in range(3):
        with socket.create_connection(('127.0.0.1', server.server_port)) as gone:
            gone.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))  # a reset, not a farewell
            gone.sendall(b'GET / HT')
            time.sleep(0.1)
    time.sleep(0.3)
    assert get(server, '/')[0].status == 200
    assert capfd.readouterr().err == ''


def test_the_command_says_where_the_page_is_and_ends(folder):
    def heeds_interrupts():  # which a shell has its background jobs ignore, and tests may be one
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    child = subprocess.Popen([sys.executable, '-m', 'chapters', 'serve', str(folder), '--port', '0'],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heeds_interrupts)
    address = child.stdout.readline().split()[0]
    connection = http.client.HTTPConnection(address.split('/')[2], timeout=20)
    connection.request('GET', '/')
    assert b'page.js' in connection.getresponse().read()
    child.send_signal(signal.SIGINT)
    assert child.wait(30) == 130
    assert child.stderr.read() == 'stopped\n'


def test_mistakes_are_told(folder, tmp_path):
    with socket.socket() as taken:
        taken.bind(('127.0.0.1', 0))
        taken.listen()
        with pytest.raises(UserError, match='choose another by --port'):
            PageServer({}, port=taken.getsockname()[1])
    with pytest.raises(UserError, match='0 to 65535'):
        PageServer({}, port=70000)
    with pytest.raises(UserError, match='no such address'):
        PageServer({}, host='no.such.host.invalid', port=0)
    with pytest.raises(UserError, match='not a run folder'):
        page_files([tmp_path], chapters.find)
    run_experiment(chapters.find('2.2.8').but(epochs=1), out=tmp_path / 'neuron', quiet=True)
    with pytest.raises(UserError, match='3.4.2, 4.4.* 8, 36 or 48 planes.* takes 2 and gives 1 numbers'):
        page_files([tmp_path / 'neuron'], chapters.find)


def test_what_the_page_needs_is_committed():
    assert {path.name for path in PAGE.iterdir()} == {'index.html', 'licences.txt', 'ort.wasm.gz', 'page.css', 'page.js'}
