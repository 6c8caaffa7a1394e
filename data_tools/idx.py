"""IDX files, the format of MNIST: a magic number, the sizes, then the values, all big-endian.

Source: the description of the format on MNIST's page, http://yann.lecun.com/exdb/mnist/.
"""
import gzip
import zlib
from pathlib import Path

import numpy as np

from data_tools.atomic import PathLike, atomic_write
from data_tools.errors import UserError

# The third byte of the magic number.
_DTYPES = {0x08: '>u1', 0x09: '>i1', 0x0B: '>i2', 0x0C: '>i4', 0x0D: '>f4', 0x0E: '>f8'}
_CODES = {np.dtype(dtype).newbyteorder('='): code for code, dtype in _DTYPES.items()}


def read_file(path: PathLike) -> bytes:
    """The bytes of a file, unpacked if its first bytes (not its name) say that it is gzip.

    Raises
    ------
    UserError
        Missing, unreadable, truncated or damaged.
    """
    try:
        data = Path(path).read_bytes()
    except FileNotFoundError:
        raise UserError(f'{path}: no such file') from None
    except OSError as error:
        raise UserError(f'{path}: cannot be read ({error.strerror})') from None
    if data[:2] != b'\x1f\x8b':
        return data
    try:
        return gzip.decompress(data)
    except EOFError:
        raise UserError(f'{path}: truncated, the gzip data break off after {len(data)} bytes; '
                        'get the file again') from None
    except (OSError, zlib.error) as error:
        raise UserError(f'{path}: damaged gzip data ({error}); get the file again') from None


def read_idx(path: PathLike) -> np.ndarray:
    """Read an IDX file, plain or compressed with gzip.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    numpy.ndarray
        Shape and type as the file says, in the machine's byte order; writable.

    Raises
    ------
    UserError
        Missing, empty, truncated, damaged, not an IDX file, or longer than its header says.
    """
    data = read_file(path)
    if not data:
        raise UserError(f'{path}: empty file; get it again')
    if len(data) < 4 or data[:2] != b'\0\0' or data[2] not in _DTYPES or data[3] == 0:
        raise UserError(f'{path}: not an IDX file: its magic number is 0x{data[:4].hex()}, that of MNIST\'s '
                        'images is 0x00000803 and of its labels 0x00000801')
    dtype, dimensions = np.dtype(_DTYPES[data[2]]), data[3]
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise UserError(f'{path}: truncated: the header breaks off at offset {len(data)} of {start}; '
                        'get the file again')
    shape = tuple(int(size) for size in np.frombuffer(data, '>u4', dimensions, offset=4))
    count = 1
    for size in shape:  # Python's integers: a damaged header must not overflow
        count *= size
    end = start + count * dtype.itemsize
    if len(data) < end:
        raise UserError(f'{path}: truncated: {len(data)} bytes where the header says {end} '
                        f'({" x ".join(map(str, shape))} values); get the file again')
    if len(data) > end:
        raise UserError(f'{path}: {len(data) - end} bytes too many after offset {end}, where the header says '
                        'that it ends; get the file again')
    return np.frombuffer(data, dtype, count, offset=start).reshape(shape).astype(dtype.newbyteorder('='))


def write_idx(path: PathLike, array: np.ndarray) -> None:
    """Write an array as an IDX file, compressed if `path` ends with `.gz`; atomic.

    Parameters
    ----------
    path : path-like
    array : numpy.ndarray
        1 to 255 dimensions, of uint8, int8, int16, int32, float32 or float64.

    Raises
    ------
    ValueError
        A type that IDX does not have, or no dimension.
    UserError
        The file cannot be written.
    """
    array = np.asarray(array)
    code = _CODES.get(array.dtype.newbyteorder('='))
    if code is None or array.ndim == 0:
        raise ValueError(f'IDX cannot hold {array.ndim} dimensions of {array.dtype}')
    header = bytes([0, 0, code, array.ndim]) + np.array(array.shape, '>u4').tobytes()
    data = header + np.ascontiguousarray(array, _DTYPES[code]).tobytes()
    with atomic_write(path) as file:
        # mtime=0: the same array gives the same bytes
        file.write(gzip.compress(data, mtime=0) if str(path).endswith('.gz') else data)
