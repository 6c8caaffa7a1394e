"""A local page on which trained networks run in the browser: pictures to show, digits to draw, objects to find, pictures to
restyle, codes to set, Go to play (4.5.5, 5.7, 5.8, 7.3, 8.3).

The page's sources lie in chapters/kit/trained/page/src, and what was built of them in chapters/kit/trained/page/dist.
Networks are exported to ONNX when the server starts. Every file is in memory under its address, and nothing else can be
asked for.
"""
import contextlib
import gzip
import io
import ipaddress
import json
import math
import re
import socket
import sys
from dataclasses import replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import urlsplit

import mxnet as mx
from PIL import Image

from chapters.kit.data.training_data import Facts
from chapters.kit.networks.layer_table import layer_table
from chapters.kit.trained.export import onnx_model, trained_graph
from chapters.kit.trained.run import experiment_of, validation_accuracy
from chapters.kit.trained.zoo import MARK, names, run_folder
from data_tools.errors import UserError

PAGE = Path(__file__).parent / 'page' / 'dist'
PLANES = (8, 36, 48)  # of Go, which the page computes (src/planes.js)
SHOWN = 12  # layers of a network, at most
SHOWN_NUMBERS, FEWEST = 1 << 16, 16  # of a layer, at most: its first planes, a multiple of 16 (64 of 224x224: 13 MB)
DRAWN = 64  # pixels: what is larger nobody draws
MOST_CLASSES = 1000
_DATA = {'mnist': ('MNIST', 'MNIST'), 'fashion': ('Fashion-MNIST', 'Fashion-MNIST'),
         'cifar10': ('CIFAR-10', 'CIFAR-10'), 'go': ('games of a Go server', '围棋服务器上的对局'),
         'digits': ('1,797 digits of scikit-learn', 'scikit-learn 的 1,797 个数字'),
         'scenes': ('digits of scikit-learn on a canvas', '画布上的 scikit-learn 数字'),
         'starry_night': ('The Starry Night by Van Gogh', '梵高的《星夜》'),
         'selfplay': ('games of a simple player against itself', '简单程序的自我对局')}
_ENDING = re.compile(r'\.(zip|tar|tar\.\w+|t[gbx]z2?)$', re.IGNORECASE)
_TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
          '.css': 'text/css; charset=utf-8',
          '.json': 'application/json', '.txt': 'text/plain; charset=utf-8', '.wasm': 'application/wasm',
          '.onnx': 'application/octet-stream', '.png': 'image/png'}
# Only our own files; no code in the page but these, and WebAssembly; nothing sent elsewhere; in nobody's frame.
_HEADERS = {
    'Content-Security-Policy': "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; "
                               "img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'none'; "
                               "frame-ancestors 'none'",
    'X-Content-Type-Options': 'nosniff', 'Referrer-Policy': 'no-referrer', 'Cross-Origin-Opener-Policy': 'same-origin',
    'Cross-Origin-Resource-Policy': 'same-origin', 'Cache-Control': 'no-cache'}


def page_files(folders, find):
    """Everything that the page asks for.

    Parameters
    ----------
    folders : list of path-like
        Run folders, in the order in which the page offers them.
    find : callable
        Section -> Experiment.

    Returns
    -------
    dict of str to bytes
        Address -> content; one that ends with `.gz` is that of the file without, compressed.

    Raises
    ------
    UserError
        A folder holds no trained network, or one of a kind that the page does not show.
    """
    files = {f'/{path.name}': path.read_bytes() for path in sorted(PAGE.glob('*')) if path.is_file()}
    if '/index.html' not in files:
        raise UserError(f'{PAGE}: the page is not there; build it: cd {PAGE.parent} && npm ci && npm run build')
    networks = []
    for number, folder in enumerate(folders):
        graph = trained_graph(folder, find, judging=True)
        description, shown = describe(graph, find)
        model, _ = onnx_model(shown)
        files[f'/network-{number}.onnx.gz'] = gzip.compress(model, 6, mtime=0)
        examples = {f'/example-{number}-{index}.png': _png(pixels) for index, pixels in
                    enumerate(experiment_of(graph.config, find, run_folder(folder)).examples())}
        files.update(examples)
        networks.append({**description, 'model': f'network-{number}.onnx', 'examples': [name[1:] for name in examples]})
    files['/networks.json'] = json.dumps(networks, ensure_ascii=False).encode()
    return files


def _png(pixels):
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, 'PNG')
    return file.getvalue()


def shown_of_zoo(find):
    """Those of the zoo that the page shows, as `page_files` takes them."""
    found = []
    for run in (MARK + name for name in names()):
        graph = trained_graph(run, find)
        with contextlib.suppress(UserError):
            describe(graph, find)
            found.append(run)
    return found


def describe(graph, find):
    """What the page has to know of a network, and the network with the outputs that the page shows.

    Parameters
    ----------
    graph : TrainedGraph
    find : callable
        Section -> Experiment.

    Returns
    -------
    (dict, TrainedGraph)

    Raises
    ------
    UserError
        The page shows no such network.
    """
    config, shape, facts = graph.config, graph.input_shape, Facts.of_config(graph.config)
    experiment = experiment_of(config, find, graph.folder)
    outputs = [shape_[1:] for shape_ in graph.symbol.infer_shape(**{graph.input_name: shape})[1]]
    numbers = shape[1] if len(shape) == 4 else 0
    parameters = sum(graph.arrays[name].size for name in graph.symbol.list_arguments() if name in graph.arrays)
    name = config.get('zoo', {}).get('name')
    known = {'name': name or graph.folder.resolve().name, 'section': config['section'], 'parameters': parameters,
             'title': {'en': config['title'], 'zh': config['title_zh'] or config['title']},
             'accuracy': validation_accuracy(name or graph.folder), **_trained_on(config, facts, experiment)}
    if experiment.detects and len(outputs) == 2:
        return {**known, 'kind': 'boxes', 'shape': shape[1:], 'scale': facts.scale, 'classes': facts.class_names,
                'classes_zh': facts.class_names_zh or facts.class_names}, graph
    if graph.of_any_size and numbers == 3:
        return {**known, 'kind': 'style'}, graph
    points = shape[-1] ** 2
    if numbers in PLANES and outputs in ([(points,)], [(2 * points + 2,)]):  # with owners, lead and spread (7.2's head)
        return {**known, 'kind': 'go', 'planes': numbers, 'size': shape[-1], 'judges': outputs[0][0] > points}, graph
    if len(shape) == 4 and shape[1] in (1, 3) and [len(output) for output in outputs] == [1] \
            and 1 < outputs[0][0] <= MOST_CLASSES:
        return _of_images(graph, experiment, known, facts, outputs[0][0])
    if len(shape) == 2 and len(outputs) == 1 and _image_of(outputs[0]):
        return _of_codes(graph, experiment, known, outputs[0]), graph
    words = ' and '.join('x'.join(map(str, output)) or 'one' for output in outputs)
    raise UserError(
        f'{graph.folder}: the page shows networks that sort gray or colour images into 2 to {MOST_CLASSES:,} classes '
        f'(3.4.2, 4.4, 5.4.5, ...), that find boxes at once (5.7.1, 5.7.2), that have learnt a style (5.8-fast), that make '
        f'images of codes (8.3, 8.4-infogan, 8.5-vae), and policy networks for Go '
        f'with {", ".join(map(str, PLANES[:-1]))} or {PLANES[-1]} '
        f'planes (4.2.2, 6.3, 7.2, ...); this one of {config["section"]} takes {"x".join(map(str, shape[1:]))} '
        f'and gives {words} numbers; `export --onnx` writes it for other programs')


def _image_of(output):
    """(channels, height, width) of what a network makes of a code; None where it is no image."""
    if len(output) == 3 and output[0] in (1, 3):
        return tuple(output)
    side = math.isqrt(output[0])
    return (1, side, side) if len(output) == 1 and side >= 8 and side * side == output[0] else None


def _of_codes(graph, experiment, known, output):
    """A network that makes images of codes, as `describe` returns it.

    A code of two numbers is a place on a map; in a longer one numbers that mean something stand behind the noise: one of
    so many classes as ones and zeros, then others from -1 to 1.
    """
    sizes = experiment.settings()
    numbers, noise = graph.input_shape[1], sizes.get('noise', 0)
    classes = sizes.get('classes', 0) if noise else 0
    continuous = numbers - noise - classes if noise else 0
    flat = len(output) == 1  # without a last tanh: pixels from 0 to 1 as logits
    return {**known, 'kind': 'codes', 'numbers': numbers, 'classes': classes, 'continuous': continuous,
            'shape': _image_of(output), 'logits': flat}


def _of_images(graph, experiment, known, facts, count):
    """A classifier of images, as `describe` returns it: to draw for where it learnt strokes, else to show pictures."""
    shape = graph.input_shape
    if experiment.data not in ('', graph.config['data']):  # then its title names data that this network never saw
        known['title'] = {'en': f'The network of {known["section"]}, trained on {known["data"]["en"]}',
                          'zh': f'{known["section"]} 的网络，训练数据：{known["data"]["zh"]}'}
    names = facts.class_names[:count] + tuple(map(str, range(len(facts.class_names), count)))
    known.update(shape=shape[1:], classes=names,
                 classes_zh=facts.class_names_zh[:count] + names[len(facts.class_names_zh):])
    drawn = facts.strokes and shape[1] == 1 and max(shape[2:]) <= DRAWN
    internals, layers, outputs = graph.symbol.get_internals(), [], [graph.symbol]
    for row in _shown_layers(graph):
        output, planes = internals[row.output], row.output_shape
        most = FEWEST * max(1, SHOWN_NUMBERS // (FEWEST * planes[1] * planes[2])) if len(planes) == 3 else planes[0]
        if planes[0] > most:
            planes = (most,) + planes[1:]
            output = mx.sym.slice_axis(output, axis=1, begin=0, end=most)
        outputs.append(output)
        layers.append({'name': row.name, 'kind': row.kind, 'shape': planes, 'of': row.output_shape[0]})
    if drawn:
        known.update(kind='image', scale=round(255 * facts.scale, 6))
    else:
        known.update(kind='picture', scale=facts.scale, resize=facts.resize)
    return {**known, 'layers': layers}, replace(graph, symbol=mx.sym.Group(outputs))


def _trained_on(config, facts, experiment):
    """The plain name of the data, and what is to be said beside figures measured on them."""
    data = config['data'] or experiment.settings().get('style', '')  # the painting
    if data in _DATA:
        return {'data': dict(zip(('en', 'zh'), _DATA[data])), 'note': ''}
    name = _ENDING.sub('', Path(data).name) or data
    return {'data': {'en': name, 'zh': name}, 'note': facts.note}


def _shown_layers(graph):
    """Rows of the layer table whose outputs the page draws: activations, poolings, and the last with weights."""
    rows = layer_table(graph.symbol, graph.input_shape)
    chosen = [row for row in rows if row.operator in ('Activation', 'relu', 'LeakyReLU', 'Pooling', 'sigmoid', 'tanh')]
    chosen += [row for row in rows if row.weighted][-1:]
    chosen = sorted(set(chosen), key=rows.index)
    if len(chosen) <= SHOWN:
        return chosen
    return [chosen[number * (len(chosen) - 1) // (SHOWN - 1)] for number in range(SHOWN)]


class PageServer(ThreadingHTTPServer):
    """Serves a dict of files.

    Parameters
    ----------
    files : dict of str to bytes
        As `page_files` returns them.
    host : str
    port : int
        0: any that is free.

    Raises
    ------
    UserError
        The port is taken, or the address is not this machine's.
    """
    daemon_threads = True

    def __init__(self, files, host='127.0.0.1', port=8000):
        self.files = files
        try:
            self.address_family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
            super().__init__((host, port), _Answer)
        except OverflowError:
            raise UserError(f'--port {port}: a port is a number from 0 to 65535') from None
        except PermissionError:
            raise UserError(f'--port {port}: only the system may use ports below 1024; choose another') from None
        except socket.gaierror:
            raise UserError(f'--host {host}: no such address') from None
        except OSError as error:
            raise UserError(
                f'{host}, port {port}: cannot be used ({error.strerror}); choose another by --port, or --port 0 '
                'for any that is free') from None

    def handle_error(self, request, client_address):
        """Silent about a browser that went away."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    def server_bind(self):
        """Without asking who this address is by name, which may take long."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address[:2]

    @property
    def address(self):
        """Where the page is, for a browser on this machine."""
        host = {'0.0.0.0': '127.0.0.1', '::': '[::1]'}.get(self.server_name, self.server_name)
        return f'http://{f"[{host}]" if ":" in host and host[0] != "[" else host}:{self.server_port}/'

    @property
    def is_local(self):
        """Whether only this machine can reach it."""
        return ipaddress.ip_address(self.server_name).is_loopback


class _Answer(BaseHTTPRequestHandler):
    protocol_version = 'HTTP/1.1'
    server_version, sys_version = 'bookcnn', ''
    timeout = 30

    def do_GET(self):
        """A file, or 404."""
        path = self.path.partition('?')[0]
        path = '/index.html' if path == '/' else path
        files, status = self.server.files, HTTPStatus.OK
        # A page of another site may point a name of its own at this address: then the name shows here.
        name = urlsplit('//' + self.headers.get('Host', '')).hostname
        if self.server.is_local and name not in ('localhost', '127.0.0.1', '::1', self.server.server_name):
            status, path, body = HTTPStatus.FORBIDDEN, '.txt', b'this page answers to localhost and 127.0.0.1 only\n'
        elif path in files:
            body = files[path]
        elif path + '.gz' in files:
            body = files[path + '.gz']
        else:
            status, path, body = HTTPStatus.NOT_FOUND, '.txt', b'no such file\n'
        self.send_response(status)
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        if status == HTTPStatus.OK and path not in files:
            self.send_header('Content-Encoding', 'gzip')
        self.send_header('Content-Type', _TYPES.get(Path(path).suffix or path, 'application/octet-stream'))
        self.send_header('Content-Length', str(len(body)))
        self.end_headers()
        if self.command != 'HEAD':
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, *_):
        """Silent: the terminal keeps the address in sight."""


def serve(folders, find, host='127.0.0.1', port=8000, say=print):
    """Serve the page of some run folders until Ctrl-C.

    Parameters
    ----------
    folders : list of path-like
    find : callable
    host, port
        As for `PageServer`.
    say : callable
        Told where the page is.

    Raises
    ------
    UserError
        See `page_files` and `PageServer`.
    """
    with PageServer({}, host, port) as server:  # first the port: the networks take a few seconds
        server.files = page_files(folders, find)
        say(f'{server.address}  (Ctrl-C ends it)')
        if not server.is_local:
            say('other machines of your network can reach it too')
        server.serve_forever()
