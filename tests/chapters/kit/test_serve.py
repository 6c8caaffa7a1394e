"""The server of the page: what it serves and what it refuses. The page itself is tested in tests/page."""
import gzip
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading

import pytest

import chapters
from chapters.kit.program import run_experiment
from chapters.kit.serve import PAGE, PageServer, page_files
from data_tools.errors import UserError

pytest.importorskip('onnxruntime')


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp('runs') / 'digits'
    run_experiment(chapters.find('3.4.2').but(epochs=1, train_samples=320), data='digits', out=folder, quiet=True)
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
    assert network['kind'] == 'image' and network['shape'] == [1, 28, 28] and network['centred']
    assert [layer['shape'] for layer in network['layers']] == [[128], [64], [10]]
    assert network['parameters'] == 109386


def test_only_its_own_files_and_names(server):
    for path in ('/../config.json', '/%2e%2e/config.json', '//etc/passwd', '/../../etc/passwd'):
        assert get(server, path)[0].status == 404
    assert get(server, '/', Host='example.org')[0].status == 403  # a name of somebody else's that leads here
    assert get(server, '/', Host='localhost')[0].status == 200
    assert server.is_local and server.server_name == '127.0.0.1'


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
    with pytest.raises(UserError, match='3.4.2, 4.4.* 8, 36 or 48 planes'):
        page_files([tmp_path / 'neuron'], chapters.find)


def test_what_the_page_needs_is_committed():
    assert {path.name for path in PAGE.iterdir()} == {'index.html', 'licences.txt', 'ort.wasm.gz', 'page.css', 'page.js'}
