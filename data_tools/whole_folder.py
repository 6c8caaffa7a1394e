"""Fill a folder that appears whole or not at all."""
import contextlib
import fcntl
import os
import shutil
from typing import Iterator

from data_tools.atomic import PathLike, write_error
from data_tools.errors import UserError


@contextlib.contextmanager
def whole_folder(path: PathLike) -> Iterator[str]:
    """Context manager that yields a folder to fill; it becomes `path` when the body succeeds.

    It is called `PATH.part` until then; one that a killed process has left is cleared first. `PATH.part.lock` is there
    before it and after it, so that a kill at any moment leaves no folder of which nobody knows whose it is.

    Parameters
    ----------
    path : path-like
        Must not exist, or be an empty folder.

    Yields
    ------
    str

    Raises
    ------
    UserError
        There is something, another process is at it, or the disk refuses it; `path` is as it was then.
    """
    path = os.path.realpath(path)
    part, lock_path = path + '.part', path + '.part.lock'
    try:
        if os.path.lexists(path) and (not os.path.isdir(path) or os.listdir(path)):
            raise UserError(f'{path}: is there already; choose another folder, or move it away')
        if os.path.exists(part) and not os.path.exists(lock_path) and os.listdir(part):
            raise UserError(f'{part}: is in the way, and not one of ours; move it away')
        os.makedirs(os.path.dirname(path), exist_ok=True)
        lock = open(lock_path, 'a')
    except OSError as error:
        raise write_error(error, path) from None
    with lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(lock.fileno()), os.stat(lock_path)):
                raise FileNotFoundError  # whoever had it has just finished
        except OSError:
            raise UserError(f'{path}: another process is filling it; wait for it') from None
        try:
            shutil.rmtree(part, ignore_errors=True)
            os.mkdir(part)
            yield part
            os.sync()  # one call for what may be many thousands of files
            os.rename(part, path)
            folder = os.open(os.path.dirname(path), os.O_RDONLY)
            os.fsync(folder)
            os.close(folder)
        except BaseException as error:
            shutil.rmtree(part, ignore_errors=True)
            if isinstance(error, OSError):
                raise write_error(error, path) from None
            raise
        finally:
            os.unlink(lock_path)


class FileTree:
    """Write files at relative paths below a folder, its subfolders made as they are needed.

    Parameters
    ----------
    root : str
    """
    def __init__(self, root: str) -> None:
        self.root, self.folders = root, {''}

    def place(self, path: str) -> str:
        """The full path for a file at `path`, its folder made.

        Raises
        ------
        UserError
            `path` leads out of the folder.
        """
        if path.startswith('/') or '..' in path.split('/') or '\0' in path or path.endswith(('/', '/.')):
            raise UserError(f'{path!r} leads out of the folder; nothing was written')
        folder = path.rpartition('/')[0]
        if folder not in self.folders:
            os.makedirs(f'{self.root}/{folder}', exist_ok=True)
            self.folders.add(folder)
        return f'{self.root}/{path}'

    def write(self, path: str, data: bytes) -> None:
        """A new file; FileExistsError if there is one."""
        descriptor = os.open(self.place(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view):]
        finally:
            os.close(descriptor)
