"""Downloads, from a web server in this process: mirrors, checksums, resuming, no network."""
import contextlib
import hashlib
import http.server
import os
import re
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time

import pytest

from data_tools import fetch as fetch_module
from data_tools.errors import UserError
from data_tools.fetch import Source, fetch

CONTENT = bytes(range(256)) * 2000  # 512,000 bytes


class Server(http.server.ThreadingHTTPServer):
    """Serves `files` (name -> bytes) with ranges, and does what the test asks of it."""
    daemon_threads = True

    def __init__(self, files):
        super().__init__(('127.0.0.1', 0), Handler)
        self.files = files
        self.requests = []      # (name, first byte asked for)
        self.ranges = True      # False: answers 200 and everything, whatever was asked for
        self.cut_after = []     # break the connection after so many bytes; one number a request
        self.statuses = []      # answer with these first
        self.pause = 0.0        # seconds between blocks of 4096 bytes
        self.url = f'http://127.0.0.1:{self.server_address[1]}/'


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        server, name = self.server, self.path[1:]
        asked = re.fullmatch(r'bytes=(\d+)-', self.headers.get('Range', ''))
        start = int(asked.group(1)) if asked and server.ranges else 0
        server.requests.append((name, int(asked.group(1)) if asked else 0))
        data = server.files.get(name)
        if server.statuses:
            return self.send_error(server.statuses.pop(0))
        if data is None:
            return self.send_error(404)
        if start >= len(data):
            return self.send_error(416)
        self.send_response(206 if asked and server.ranges else 200)
        self.send_header('Content-Length', str(len(data) - start))
        self.end_headers()
        body = data[start:]
        if server.cut_after:
            body = body[:server.cut_after.pop(0)]
        with contextlib.suppress(ConnectionError):
            for offset in range(0, len(body), 4096):
                self.wfile.write(body[offset:offset + 4096])
                time.sleep(server.pause)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve(monkeypatch):
    """serve(content, ...) -> one running server for each content; the set `tiny` has these as mirrors."""
    monkeypatch.setattr(fetch_module, '_PAUSE', 0.01)
    with contextlib.ExitStack() as stack:
        def start(*contents, dead_first=False):
            servers = [stack.enter_context(Server(files)) for files in contents]
            for server in servers:
                threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
                stack.callback(server.shutdown)
            mirrors = [server.url for server in servers]
            if dead_first:
                with socket.socket() as free:
                    free.bind(('127.0.0.1', 0))
                    mirrors.insert(0, f'http://127.0.0.1:{free.getsockname()[1]}/')
            files = {name: hashlib.sha256(CONTENT).hexdigest() for name in ('a.gz', 'b.gz')}
            monkeypatch.setitem(fetch_module.SOURCES, 'tiny', Source(files, tuple(mirrors)))
            return servers
        yield start


def check(folder):
    """Both files are there, whole, and nothing else is."""
    assert sorted(os.listdir(folder)) == ['a.gz', 'b.gz']
    assert all((folder / name).read_bytes() == CONTENT for name in ('a.gz', 'b.gz'))


def test_downloads_once(tmp_path, serve, capsys):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    folder = fetch('tiny', tmp_path / 'new' / 'root')
    assert folder == tmp_path / 'new' / 'root' / 'tiny'
    check(folder)
    fetch('tiny', tmp_path / 'new' / 'root')
    assert server.requests == [('a.gz', 0), ('b.gz', 0)]
    assert capsys.readouterr() == ('', '')  # silent where nobody watches


def test_keeps_a_file_that_is_there(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    (tmp_path / 'tiny').mkdir()
    (tmp_path / 'tiny' / 'a.gz').write_bytes(b'recompressed by the user')
    fetch('tiny', tmp_path)
    assert (tmp_path / 'tiny' / 'a.gz').read_bytes() == b'recompressed by the user'
    assert server.requests == [('b.gz', 0)]


def test_dead_mirror_and_mirror_without_the_file(tmp_path, serve):
    empty, good = serve({}, {'a.gz': CONTENT, 'b.gz': CONTENT}, dead_first=True)
    check(fetch('tiny', tmp_path))
    # what worked for the first file is asked first for the second
    assert empty.requests == [('a.gz', 0)] and good.requests == [('a.gz', 0), ('b.gz', 0)]


def test_wrong_checksum_goes_to_the_next_mirror(tmp_path, serve):
    bad, good = serve({'a.gz': CONTENT[:-1] + b'!', 'b.gz': CONTENT}, {'a.gz': CONTENT, 'b.gz': CONTENT})
    check(fetch('tiny', tmp_path))
    assert bad.requests == [('a.gz', 0)]


def test_wrong_checksum_everywhere_leaves_nothing(tmp_path, serve):
    serve({'a.gz': b'<html>please log in to this network</html>'})
    with pytest.raises(UserError, match=r'cannot download a\.gz .*wrong checksum.*put a\.gz, b\.gz into'):
        fetch('tiny', tmp_path)
    assert os.listdir(tmp_path / 'tiny') == []


def test_resumes_where_the_connection_broke(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    server.cut_after = [100000, 200000]
    check(fetch('tiny', tmp_path))
    assert server.requests == [('a.gz', 0), ('a.gz', 100000), ('a.gz', 300000), ('b.gz', 0)]


def test_resumes_on_another_mirror(tmp_path, serve):
    first, second = serve({'a.gz': CONTENT, 'b.gz': CONTENT}, {'a.gz': CONTENT, 'b.gz': CONTENT})
    first.cut_after = [100000, 1000, 1000]
    check(fetch('tiny', tmp_path))
    assert second.requests[0] == ('a.gz', 102000)


def test_a_server_without_ranges_starts_again(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    server.ranges, server.cut_after = False, [100000]
    check(fetch('tiny', tmp_path))
    assert server.requests[:2] == [('a.gz', 0), ('a.gz', 100000)]


@pytest.mark.parametrize('part', [CONTENT, CONTENT + b'too long', b'other bytes'])
def test_an_old_part_is_used_or_thrown_away(tmp_path, serve, part):
    serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    (tmp_path / 'tiny').mkdir()
    (tmp_path / 'tiny' / 'a.gz.part').write_bytes(part)
    check(fetch('tiny', tmp_path))


def test_a_busy_server_is_asked_again(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    server.statuses = [503, 503]
    check(fetch('tiny', tmp_path))
    assert len(server.requests) == 4


def test_no_network_is_one_line_that_says_what_to_do(tmp_path, serve):
    serve(dead_first=True)
    with pytest.raises(UserError) as caught:
        fetch('tiny', tmp_path)
    assert str(caught.value) == ('tiny: cannot download a.gz (no connection to any of 1 mirrors); '
                                 f'put a.gz, b.gz into {tmp_path / "tiny"} yourself')
    assert os.listdir(tmp_path / 'tiny') == []


def test_folder_that_cannot_be_made(tmp_path, serve):
    serve({'a.gz': CONTENT})
    (tmp_path / 'file').write_text('')
    with pytest.raises(UserError, match='is not a folder'):
        fetch('tiny', tmp_path / 'file')


CHILD = '''
    import sys
    from data_tools import fetch as fetch_module
    name, root, url, sha256 = sys.argv[1:]
    fetch_module.SOURCES[name] = fetch_module.Source({'a.gz': sha256, 'b.gz': sha256}, (url,))
    fetch_module.fetch(name, root)
    '''


def start_child(tmp_path, server):
    return subprocess.Popen([sys.executable, '-c', textwrap.dedent(CHILD), 'tiny', str(tmp_path), server.url,
                             hashlib.sha256(CONTENT).hexdigest()], stderr=subprocess.PIPE)


def test_killed_in_the_middle_then_resumed(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    server.pause = 0.02
    child = start_child(tmp_path, server)
    part = tmp_path / 'tiny' / 'a.gz.part'
    deadline = time.time() + 60
    while not (part.exists() and part.stat().st_size > 20000) and time.time() < deadline:
        time.sleep(0.01)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert os.listdir(tmp_path / 'tiny') == ['a.gz.part']  # nothing under the name of the whole file
    have = part.stat().st_size
    assert 0 < have < len(CONTENT)
    server.pause = 0
    check(fetch('tiny', tmp_path))
    assert server.requests[1:] == [('a.gz', have), ('b.gz', 0)]


def test_two_processes_at_once_download_once(tmp_path, serve):
    server, = serve({'a.gz': CONTENT, 'b.gz': CONTENT})
    server.pause = 0.005
    children = [start_child(tmp_path, server) for _ in range(2)]
    for child in children:
        assert child.communicate()[1] == b'' and child.returncode == 0
    check(tmp_path / 'tiny')
    assert sorted(server.requests) == [('a.gz', 0), ('b.gz', 0)]
