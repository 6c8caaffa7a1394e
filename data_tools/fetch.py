"""Download the public data sets: several mirrors, checksums, resumed after an interruption, atomic."""
import contextlib
import fcntl
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Dict, List, Optional, Tuple

from data_tools.atomic import PathLike, write_error
from data_tools.errors import UserError

if TYPE_CHECKING:
    import requests

_ATTEMPTS = 3  # a mirror, as long as each attempt brings the file further
_PAUSE = 1.0   # seconds before the second attempt; doubles
_TIMEOUT = (10, 30)  # seconds to connect, seconds of silence while reading
_NO_CONNECTION = 'no connection'


@dataclass(frozen=True)
class Source:
    """A data set on the network: file name -> SHA-256 of its bytes, and the folders (URLs) that hold them."""
    files: Dict[str, str]
    mirrors: Tuple[str, ...]


SOURCES = {
    'mnist': Source(
        files={
            'train-images-idx3-ubyte.gz': '440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609',
            'train-labels-idx1-ubyte.gz': '3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c',
            't10k-images-idx3-ubyte.gz': '8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6',
            't10k-labels-idx1-ubyte.gz': 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6',
        },
        mirrors=(
            'https://ossci-datasets.s3.amazonaws.com/mnist/',
            'https://storage.googleapis.com/cvdf-datasets/mnist/',
            'https://apache-mxnet.s3.amazonaws.com/gluon/dataset/mnist/',
        )),
    'fashion': Source(
        files={
            'train-images-idx3-ubyte.gz': '3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84',
            'train-labels-idx1-ubyte.gz': 'a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845',
            't10k-images-idx3-ubyte.gz': '346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073',
            't10k-labels-idx1-ubyte.gz': '67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5',
        },
        mirrors=(
            'http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/',
            'https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/',
            'https://apache-mxnet.s3.amazonaws.com/gluon/dataset/fashion-mnist/',
        )),
    'cifar10': Source(
        files={
            'cifar-10-binary.tar.gz': 'c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd',
        },
        mirrors=(
            'https://www.cs.toronto.edu/~kriz/',
            'https://apache-mxnet.s3.amazonaws.com/gluon/dataset/cifar10/',
        )),
}


def fetch(name: str, root: PathLike) -> Path:
    """Make sure that all files of a data set are in `root/name`; download those that are not.

    A file that is there is kept as it is. What arrives is checked against its SHA-256 and appears under its
    name only when whole; an interrupted download leaves `NAME.part`, which the next call carries on.

    Parameters
    ----------
    name : str
        'mnist', 'fashion' or 'cifar10'.
    root : path-like
        Made if missing.

    Returns
    -------
    pathlib.Path
        The folder `root/name`.

    Raises
    ------
    UserError
        No mirror gave the file (the line names the file and the folder), or the disk refused it.
    """
    source, folder = SOURCES[name], Path(root).expanduser() / name
    missing = [file for file in source.files if not (folder / file).exists()]
    if not missing:
        return folder
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise write_error(error, folder) from None
    mirrors = list(source.mirrors)
    for file in missing:
        reasons = _download(file, source.files[file], mirrors, folder)
        if reasons:
            if set(reasons.values()) == {_NO_CONNECTION}:
                why = f'no connection to any of {len(reasons)} mirrors'
            else:
                why = '; '.join(f'{mirror.split("/")[2]}: {reason}' for mirror, reason in reasons.items())
            still = [other for other in missing if not (folder / other).exists()]
            raise UserError(f'{name}: cannot download {file} ({why}); put {", ".join(still)} into '
                            f'{folder} yourself')
    return folder


def not_as_published(name: str, root: PathLike) -> List[Path]:
    """The files in `root/name` whose SHA-256 is not the published one, each a `Path`; those that are missing do not
    count.
    """
    folder = Path(root).expanduser() / name
    return [folder / file for file, sha256 in SOURCES[name].files.items()
            if (folder / file).exists() and sha256_of(folder / file) != sha256]


def sha256_of(path: PathLike) -> str:
    """SHA-256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, 'rb') as file:
        for block in iter(lambda: file.read(1 << 20), b''):
            digest.update(block)
    return digest.hexdigest()


def _download(file: str, sha256: str, mirrors: List[str], folder: Path) -> Dict[str, str]:
    """Try every mirror; return {} when `folder/file` is there, else {mirror: why not}. Reorders `mirrors`."""
    import requests  # here, because most commands find their data on the disk

    target, part = folder / file, folder / (file + '.part')
    reasons: Dict[str, str] = {}
    try:
        with open(part, 'ab') as output, requests.Session() as session:
            fcntl.flock(output, fcntl.LOCK_EX)  # a second process waits here, and then finds the file
            if os.fstat(output.fileno()).st_nlink == 0:  # the first one gave up and removed its empty part
                return _download(file, sha256, mirrors, folder)
            if target.exists():
                with contextlib.suppress(FileNotFoundError):
                    part.unlink()
                return {}
            for mirror in list(mirrors):
                reason = _from_mirror(session, mirror + file, sha256, output)
                if reason is None:
                    output.flush()
                    os.fsync(output.fileno())
                    os.replace(part, target)
                    mirrors.remove(mirror)  # what worked comes first for the next file
                    mirrors.insert(0, mirror)
                    return {}
                reasons[mirror] = reason
            if output.tell() == 0:
                part.unlink()
    except OSError as error:
        raise write_error(error, target) from None
    return reasons


def _from_mirror(session: 'requests.Session', url: str, sha256: str, output: IO[bytes]) -> Optional[str]:
    """Append what is missing to `output`; return None when its checksum is right, else why not."""
    import requests
    import urllib3

    for attempt in range(_ATTEMPTS):
        if attempt:
            time.sleep(_PAUSE * 2 ** (attempt - 1))
        resumed_at = output.tell()
        try:
            _append(session, url, output)
            reason = None
        except requests.HTTPError as error:
            reason = f'HTTP {error.response.status_code}'
            if error.response.status_code not in (429, 500, 502, 503, 504):
                return reason
        except (requests.ConnectionError, requests.Timeout) as error:
            return 'no answer' if isinstance(error, requests.Timeout) else _NO_CONNECTION
        except (requests.RequestException, urllib3.exceptions.HTTPError):
            reason = 'connection broke off'
        if reason is None:
            output.flush()
            if sha256_of(output.name) == sha256:
                return None
            _empty(output)  # wrong bytes are of no use to anyone
            reason = 'wrong checksum'
            if resumed_at == 0:
                return reason  # the whole file came from this mirror: no use in asking again
    return reason


def _empty(output: IO[bytes]) -> None:
    """Throw away what was downloaded."""
    output.seek(0)
    output.truncate()


def _append(session: 'requests.Session', url: str, output: IO[bytes]) -> None:
    """One request for the bytes that `output` does not have yet."""
    from tqdm import tqdm

    have = output.tell()
    # identity: some servers would otherwise unpack the .gz on the way, and the checksum would be wrong
    headers = {'Accept-Encoding': 'identity', **({'Range': f'bytes={have}-'} if have else {})}
    with session.get(url, headers=headers, stream=True, timeout=_TIMEOUT) as response:
        if response.status_code == 416:  # nothing left to send: the checksum decides
            return
        response.raise_for_status()
        if have and response.status_code != 206:  # the server sends it all again
            _empty(output)
            have = 0
        length = response.headers.get('Content-Length')
        total = have + int(length) if length else None
        with tqdm(total=total, initial=have, unit='B', unit_scale=True, unit_divisor=1024,
                  desc=url.split('/')[-1], disable=None) as bar:
            for block in response.raw.stream(1 << 16, decode_content=False):
                output.write(block)
                bar.update(len(block))
