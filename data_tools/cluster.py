"""Have the chunks of `pack` made by a `dask.distributed` cluster."""
import logging
from typing import TYPE_CHECKING, Tuple

from data_tools.errors import UserError

if TYPE_CHECKING:
    from concurrent.futures import Executor


def connect(address: str, timeout: float = 10) -> Tuple['Executor', int]:
    """Connect to a scheduler.

    Its workers need this project installed, in the same version, and must see the folder of the images under
    the same path; the images of archives and arrays are sent to them. A chunk whose worker dies goes to
    another one.

    Parameters
    ----------
    address : str
        Such as 'tcp://10.0.0.1:8786'.
    timeout : float
        Seconds to wait for the scheduler, and for a first worker.

    Returns
    -------
    (concurrent.futures.Executor, int)
        The executor; the number of threads of all workers.

    Raises
    ------
    UserError
        Dask is not installed, no scheduler answers, or it has no usable worker.
    """
    try:
        from distributed import Client
    except ImportError:
        raise UserError('--dask needs dask.distributed: pip install -e .[cluster]') from None
    # What it logs when workers come and go is for those who run the cluster.
    logging.getLogger('distributed').setLevel(logging.CRITICAL)
    try:
        client = Client(address, timeout=timeout, set_as_default=False)
        client.wait_for_workers(1, timeout=timeout)
    except Exception as error:  # OSError, TimeoutError, ValueError, ... of Dask's own making
        raise UserError(f'{address}: no scheduler with workers answers there '
                        f'({" ".join(str(error).split()) or type(error).__name__}); start `dask scheduler` '
                        f'and `dask worker`') from None
    theirs = client.run(_fingerprint, on_error='return')
    ours = _fingerprint()
    for worker, found in theirs.items():
        if found != ours:
            missing = isinstance(found, Exception)
            why = 'does not find this project' if missing else 'has another version of it'
            raise UserError(f'{worker}: this worker {why}; install the same one there')
    threads = sum(client.nthreads().values())
    return client.get_executor(pure=False), threads


def _fingerprint() -> int:
    """A checksum over the modules that make the chunks."""
    import zlib

    from data_tools import boxes, image_header, images, pack, pack_files, recordio
    checksum = 0
    for module in (boxes, image_header, images, pack, pack_files, recordio):
        assert module.__file__
        with open(module.__file__, 'rb') as file:
            checksum = zlib.crc32(file.read(), checksum)
    return checksum
