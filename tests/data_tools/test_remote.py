"""Class folders and packs that lie elsewhere: fsspec's file system in memory, a web server in this process."""
import functools
import http.server
import shutil
import tarfile
import threading

import pytest

fsspec = pytest.importorskip('fsspec', reason='needs fsspec: pip install -e .[remote]')


@pytest.fixture
def memory():
    files = fsspec.filesystem('memory')
    yield files
    files.rm('/', recursive=True)


@pytest.mark.parametrize('workers', [1, 2])
def test_from_memory_to_memory(tmp_path, photos, command, memory, workers):
    (photos / 'cat' / 'readme.txt').write_text('about')
    for path in photos.rglob('*.*'):
        memory.pipe_file(f'/bucket/in/{path.relative_to(photos)}', path.read_bytes())
    assert command('pack', photos, tmp_path / 'x', '--workers', 1)[0] == 0
    code, out, err = command('pack', 'memory://bucket/in', 'memory://bucket/packs/x', '--workers', workers)
    assert code == 0, err
    assert '24 images' in out and '1 files are no images' in out
    names = {path.rsplit('/', 1)[-1] for path in memory.find('/bucket/packs')}
    assert names == {f'x{ending}' for ending in ('.rec', '.idx', '.lst', '.crc', '.classes.txt', '.json')}
    for name in names - {'x.json'}:
        assert memory.cat_file(f'/bucket/packs/{name}') == (tmp_path / name).read_bytes(), name
    # what an earlier call wrote there goes
    assert command('pack', 'memory://bucket/in', 'memory://bucket/packs/x', '--shards', 3, '--workers', 1)[0] == 0
    assert command('pack', 'memory://bucket/in', 'memory://bucket/packs/x', '--shards', 2, '--workers', 1)[0] == 0
    packs = {path.rsplit('/', 1)[-1] for path in memory.find('/bucket/packs') if path.endswith('.rec')}
    assert packs == {'x_0.rec', 'x_1.rec'}
    for source, word in (('memory://bucket/nothing', 'nothing in it'), ('nosuch://bucket/in', 'nosuch')):
        code, _, err = command('pack', source, tmp_path / 'y')
        assert code == 2 and word in err and len(err.splitlines()) == 1, err


def test_from_a_web_server(tmp_path, photos, command):
    pytest.importorskip('aiohttp', reason='needs aiohttp: pip install -e .[remote]')
    (photos / 'cat').rename(photos / 'a cat & 猫')
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(photos))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    url = f'http://127.0.0.1:{server.server_address[1]}'
    try:
        assert command('pack', photos, tmp_path / 'x', '--workers', 1)[0] == 0
        code, _, err = command('pack', url, tmp_path / 'y', '--workers', 1)
        assert code == 0, err
    finally:
        server.shutdown()
        server.server_close()
    for ending in ('.rec', '.idx', '.lst', '.crc', '.classes.txt'):
        assert (tmp_path / f'x{ending}').read_bytes() == (tmp_path / f'y{ending}').read_bytes(), ending
    code, _, err = command('pack', url, tmp_path / 'z')
    assert code == 2 and url in err and len(err.splitlines()) == 1


@pytest.mark.parametrize('ending, how', [('zip', 'zip'), ('tar', 'tar'), ('tar.gz', 'gztar'), ('tar.xz', 'xztar')])
def test_archives_that_lie_elsewhere(tmp_path, photos, command, memory, monkeypatch, ending, how):
    monkeypatch.setattr('tempfile.tempdir', str(tmp_path / 'copies'))
    (tmp_path / 'copies').mkdir()
    (tmp_path / 'in').mkdir()
    photos.rename(tmp_path / 'in' / 'train')
    archive = shutil.make_archive(str(tmp_path / 'flowers'), how, tmp_path / 'in')
    with open(archive, 'rb') as file:
        data = file.read()
    memory.pipe_file(f'/bucket.zip/flowers.{ending}', data)  # a folder may be called like an archive
    assert command('pack', f'{archive}/train', tmp_path / 'x', '--workers', 1)[0] == 0
    code, out, err = command('pack', f'memory://bucket.zip/flowers.{ending}/train', tmp_path / 'y', '--workers', 2)
    assert code == 0 and '24 images' in out, err
    for end in ('.rec', '.idx', '.lst', '.crc', '.classes.txt'):
        assert (tmp_path / f'x{end}').read_bytes() == (tmp_path / f'y{end}').read_bytes(), end
    memory.pipe_file(f'/half/flowers.{ending}', data[:len(data) // 2])
    memory.pipe_file(f'/text/flowers.{ending}', b'no archive')
    for url, words in ((f'memory://bucket.zip/flowers.{ending}/nothing', ('no class folders',)),
                       (f'memory://half/flowers.{ending}', ('damaged',)),
                       (f'memory://text/flowers.{ending}', ('not an archive',)),
                       (f'memory://none/flowers.{ending}', ('no such folder',))):
        code, _, err = command('pack', url, tmp_path / 'z')
        assert code == 2 and len(err.splitlines()) == 1 and url in err and all(word in err for word in words), err
        assert str(tmp_path / 'copies') not in err
    assert not list((tmp_path / 'copies').iterdir()) and not list(tmp_path.glob('z*'))


def test_an_interrupted_call_goes_on_with_an_archive_that_lies_elsewhere(tmp_path, photos, command, memory, monkeypatch):
    with tarfile.open(tmp_path / 'x.tar', 'w') as tar:
        tar.add(photos, '.')
    memory.pipe_file('/b/x.tar', (tmp_path / 'x.tar').read_bytes())
    assert command('pack', 'memory://b/x.tar', tmp_path / 'whole', '--workers', 1)[0] == 0
    monkeypatch.setattr('data_tools.pack.CHUNK_IMAGES', 16)  # 4 a chunk

    def full_disk(self, *arguments):
        if self.position:
            raise OSError(28, 'No space left on device')
        return append(self, *arguments)

    from data_tools.pack import _Packing
    append = _Packing._append
    with monkeypatch.context() as patch:
        patch.setattr(_Packing, '_append', full_disk)
        code, _, err = command('pack', 'memory://b/x.tar', tmp_path / 'y', '--workers', 1)
        assert code == 2 and '--resume' in err
    assert command('pack', 'memory://b/x.tar', tmp_path / 'y', '--workers', 1, '--resume')[0] == 0
    assert (tmp_path / 'y.rec').read_bytes() == (tmp_path / 'whole.rec').read_bytes()


def test_an_archive_on_a_web_server(tmp_path, photos, command):
    pytest.importorskip('aiohttp', reason='needs aiohttp: pip install -e .[remote]')
    archive = shutil.make_archive(str(tmp_path / 'www' / 'photos'), 'zip', photos)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(tmp_path / 'www'))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), handler)
    threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
    try:
        url = f'http://127.0.0.1:{server.server_address[1]}/photos.zip'
        assert command('pack', archive, tmp_path / 'x', '--workers', 1)[0] == 0
        code, _, err = command('pack', url, tmp_path / 'y', '--workers', 1)
        assert code == 0, err
    finally:
        server.shutdown()
        server.server_close()
    assert (tmp_path / 'x.rec').read_bytes() == (tmp_path / 'y.rec').read_bytes()
