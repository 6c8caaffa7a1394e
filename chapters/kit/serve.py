"""A local page on which trained networks run in the browser: digits to draw, a board to play Go on (4.5.5, 7.3).

The page's sources lie in chapters/page/src, and what was built of them in chapters/page/dist. Networks are exported to
ONNX when the server starts. Every file is in memory under its address, and nothing else can be asked for.
"""
import gzip
import ipaddress
import json
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from socketserver import TCPServer
from urllib.parse import urlsplit

from chapters.kit.data import is_packed
from chapters.kit.export import TrainedGraph, onnx_model, trained_graph
from chapters.kit.layer_table import layer_table
from chapters.kit.run import experiment_of
from chapters.kit.runtime import mx
from data_tools.datasets import CLASS_NAMES, CLASS_NAMES_ZH
from data_tools.errors import UserError

PAGE = Path(__file__).parents[1] / 'page' / 'dist'
PLANES = (8, 36, 48)  # of Go, which the page computes (src/planes.js)
SHOWN = 12  # layers of a network, at most
_TYPES = {'.html': 'text/html; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
          '.css': 'text/css; charset=utf-8',
          '.json': 'application/json', '.txt': 'text/plain; charset=utf-8', '.wasm': 'application/wasm',
          '.onnx': 'application/octet-stream'}
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
        graph = trained_graph(folder, find)
        description, shown = describe(graph, experiment_of(graph.config, find))
        model, _ = onnx_model(shown)
        files[f'/network-{number}.onnx.gz'] = gzip.compress(model, 6, mtime=0)
        networks.append({**description, 'model': f'network-{number}.onnx'})
    files['/networks.json'] = json.dumps(networks, ensure_ascii=False).encode()
    return files


def describe(graph, experiment):
    """What the page has to know of a network, and the network with the outputs that the page shows.

    Parameters
    ----------
    graph : TrainedGraph
    experiment : Experiment

    Returns
    -------
    (dict, TrainedGraph)

    Raises
    ------
    UserError
        The page shows no such network.
    """
    config, shape = graph.config, graph.input_shape
    outputs = [shape_[1:] for shape_ in graph.symbol.infer_shape(**{graph.input_name: shape})[1]]
    numbers = config.get('sizes', {}).get('planes')
    parameters = sum(graph.arrays[name].size for name in graph.symbol.list_arguments() if name in graph.arrays)
    known = {'name': graph.folder.resolve().name, 'section': config['section'], 'parameters': parameters,
             'title': {'en': config['title'], 'zh': config['title_zh']}, 'accuracy': _accuracy(graph.folder)}
    if numbers in PLANES and outputs == [(shape[-1] ** 2,)]:
        return {**known, 'kind': 'go', 'planes': numbers, 'size': shape[-1]}, graph
    if len(shape) == 4 and shape[1] == 1 and max(shape[2:]) <= 64 and [len(output) for output in outputs] == [1] \
            and 1 < outputs[0][0] <= 100:
        rows = _shown_layers(graph)
        internals = graph.symbol.get_internals()
        shown = mx.sym.Group([graph.symbol] + [internals[row.output] for row in rows])
        names = config.get('class_names') or [str(number) for number in range(outputs[0][0])]
        return {**known, 'kind': 'image', 'shape': shape[1:], 'classes': names, 'classes_zh': _chinese_names(names),
                'centred': names == [str(number) for number in range(10)],
                'scale': 255 if is_packed(experiment, config['data']) else 1,
                'layers': [{'name': row.name, 'kind': row.kind, 'shape': row.output_shape} for row in rows]}, \
            TrainedGraph(graph.folder, config, shown, graph.arrays, shape)
    size = 'x'.join(map(str, shape[1:]))
    raise UserError(
        f'{graph.folder}: the page shows networks that classify gray images up to 64x64 (3.4.2, 4.4, 5.4.4, ...) and '
        f'policy networks for Go with {", ".join(map(str, PLANES[:-1]))} or {PLANES[-1]} planes (4.2.2, 6.3, 7.2, ...); '
        f'this one of {config["section"]} takes {size}; `export --onnx` writes it for other programs')


def _shown_layers(graph):
    """Rows of the layer table whose outputs the page draws: activations, poolings, and the last with weights."""
    rows = layer_table(graph.symbol, graph.input_shape)
    chosen = [row for row in rows if row.operator in ('Activation', 'relu', 'LeakyReLU', 'Pooling', 'sigmoid', 'tanh')]
    chosen += [row for row in rows if row.weighted][-1:]
    chosen = sorted(set(chosen), key=rows.index)
    if len(chosen) <= SHOWN:
        return chosen
    return [chosen[number * (len(chosen) - 1) // (SHOWN - 1)] for number in range(SHOWN)]


def _chinese_names(names):
    """The Chinese names of the classes of a known image set; else the same."""
    sets = [name for name, english in CLASS_NAMES.items() if list(english) == names]
    return list(CLASS_NAMES_ZH[sets[0]]) if sets else names


def _accuracy(folder):
    """The run's accuracy on validation data, or None while it still trains."""
    try:
        metrics = json.loads((folder / 'result.json').read_text(encoding='utf-8'))['metrics']
        return metrics['validation_accuracy']['last']
    except (OSError, ValueError, KeyError):
        return None


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
