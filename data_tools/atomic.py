"""Write a file whole or not at all: write beside the target, fsync, rename. And tell whether it is still the same."""
import contextlib
import errno
import hashlib
import os
import secrets
from pathlib import Path
from typing import Any, Iterator, Union

from data_tools.errors import UserError

PathLike = Union[str, 'os.PathLike[str]']
_DISK_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def write_error(error: OSError, path: PathLike) -> UserError:
    """The `UserError` that tells in one line why `path` could not be written.

    Parameters
    ----------
    error : OSError
    path : path-like
        The file the user wanted, not our temporary one.
    """
    folder = Path(path).parent
    if error.errno in _DISK_FULL:
        return UserError(f'{path}: no space left on this disk; free some and run again')
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return UserError(f'{path}: may not write here ({os.strerror(error.errno)}); choose another folder')
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and not folder.is_dir():
        return UserError(f'{path}: {folder} is not a folder; make it first or choose another')
    if error.errno == errno.EISDIR or Path(path).is_dir():
        return UserError(f'{path}: is a folder, a file was to be written here; choose another name')
    return UserError(f'{path}: cannot be written ({os.strerror(error.errno) if error.errno else error})')


def make_folder(path: PathLike) -> None:
    """Make a folder, and those above it, if it is not there; a `UserError` where that is refused."""
    try:
        os.makedirs(path, exist_ok=True)
    except FileExistsError:
        raise UserError(f'{path}: is a file, a folder was to be made here; choose another name') from None
    except OSError as error:
        raise write_error(error, path) from None


@contextlib.contextmanager
def atomic_path(path: PathLike) -> Iterator[Path]:
    """Context manager for libraries that insist on a file name of their own (MXNet, matplotlib, NumPy).

    Yields a `Path` beside `path` with the same suffix. The body writes there; then the file is fsynced and
    renamed onto `path`, and the folder is fsynced. On any error the temporary file is removed and `path`
    stays as it was.

    Raises
    ------
    UserError
        Disk full, no permission, or the folder is missing.
    """
    target = Path(os.path.realpath(path))  # through a symbolic link, not over it
    beside = target.with_name(f'.{secrets.token_hex(4)}.{target.name}')
    try:
        try:
            open(beside, 'xb').close()  # claims the name, with the permissions of an ordinary new file
        except OSError as error:
            raise write_error(error, path) from None
        try:
            yield beside
        except OSError as error:
            # Only what surely concerns our file: the body may fail for reasons of its own.
            if error.errno in _DISK_FULL:
                raise write_error(error, path) from None
            raise
        try:
            fsync_path(beside)
            os.replace(beside, target)
            fsync_path(target.parent)
        except OSError as error:
            raise write_error(error, path) from None
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(beside)
        raise


@contextlib.contextmanager
def atomic_write(path: PathLike, text: bool = False) -> Iterator[Any]:
    """Context manager that yields a file object open for writing; `path` appears only when the body succeeds.

    Parameters
    ----------
    path : path-like
        Replaced if it exists. Its folder must exist.
    text : bool, default False
        False: a binary file. True: UTF-8 text, line ends written as given (fit for `csv`).

    Raises
    ------
    UserError
        Disk full, no permission, or the folder is missing. `path` stays as it was.
    """
    with atomic_path(path) as beside:
        with open(beside, 'w', encoding='utf-8', newline='') if text else open(beside, 'wb') as file:
            yield file


def fsync_path(path: PathLike) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def checksum(path: PathLike) -> str:
    """SHA-256 of a file, in hexadecimal digits; an `OSError` where it cannot be read."""
    return hashlib.sha256(Path(path).read_bytes()).hexdigest()
