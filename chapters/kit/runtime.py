"""Everything between Python and MXNet: is it there, will it load, on which devices and with how many threads."""
import contextlib
import ctypes
import importlib.abc
import importlib.machinery
import importlib.util
import math
import os
import sys
import warnings
from importlib import metadata
from pathlib import Path

from data_tools.errors import UserError

# MXNet's packages on PyPI: all of them install the same module `mxnet`.
_PACKAGES = ('mxnet', 'mxnet-cu112', 'mxnet-cu110', 'mxnet-cu102', 'mxnet-cu101', 'mxnet-cu100',
             'mxnet-native')

HOW_TO_INSTALL = ('`make setup` in the folder of this project, then `source .venv/bin/activate`; or `python -m pip install -e '
                  '.[cpu]`, .[cu112] for an NVIDIA GPU')

# What mxnet-cu112 loads, each after the libraries it needs itself, and the package that holds it.
_CUDA_LIBRARIES = (
    ('libcudart.so.11.0', 'nvidia-cuda-runtime-cu11'),
    ('libnvrtc.so.11.2', 'nvidia-cuda-nvrtc-cu11'),
    ('libnvToolsExt.so.1', 'nvidia-nvtx-cu11'),
    ('libcublasLt.so.11', 'nvidia-cublas-cu11'),
    ('libcublas.so.11', 'nvidia-cublas-cu11'),
    ('libcufft.so.10', 'nvidia-cufft-cu11'),
    ('libcurand.so.10', 'nvidia-curand-cu11'),
    ('libcusparse.so.11', 'nvidia-cusparse-cu11'),
    ('libcusolver.so.11', 'nvidia-cusolver-cu11'),
    ('libnccl.so.2', 'nvidia-nccl-cu11'),
    ('libcudnn_ops_infer.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn_cnn_infer.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn_adv_infer.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn_ops_train.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn_cnn_train.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn_adv_train.so.8', 'nvidia-cudnn-cu11'),
    ('libcudnn.so.8', 'nvidia-cudnn-cu11'),
)


def prepare():
    """Set what MXNet reads when it is loaded, and have `import mxnet` check that it can be.

    `chapters/__init__.py` calls it, so that a chapter writes `import mxnet as mx` anywhere among its imports. Nothing
    is loaded here: commands that only list start at once.
    """
    if 'mxnet' in sys.modules:
        if 'MXNET_ENGINE_TYPE' not in os.environ:
            warnings.warn('mxnet was imported before chapters: it has not the settings that small networks need for their '
                          'speed; import chapters first')
        return
    if any(isinstance(finder, _MXNetFinder) for finder in sys.meta_path):
        return
    set_threads()
    if not _installed([name for name in _PACKAGES if name.startswith('mxnet-cu')]):
        # On a CPU an operator that starts at once, in the calling thread, beats one that is handed to another
        # thread: twice the speed for the small networks of chapters 3 and 4. A GPU needs the queue.
        os.environ.setdefault('MXNET_ENGINE_TYPE', 'NaiveEngine')
    os.environ.setdefault('MXNET_SUBGRAPH_VERBOSE', '0')
    sys.meta_path.insert(0, _MXNetFinder())


class _MXNetFinder(importlib.abc.MetaPathFinder):
    """Stands before Python's own finders until MXNet is imported: looks whether it can be, and mends NumPy for it."""
    def find_spec(self, name, path=None, target=None):
        if name != 'mxnet':
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        _check(spec is not None)
        sys.meta_path.remove(self)
        spec.loader = _QuietLoader(spec.loader)
        return spec


class _QuietLoader(importlib.abc.Loader):
    """Loads MXNet as its own loader does, without what it prints, and tells in one line what it lacks."""
    def __init__(self, loader):
        self._loader = loader

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        try:
            with quiet_stderr(), _matrix_units():
                self._loader.exec_module(module)
                module.nd.softmax(module.nd.zeros((1, 2))).wait_to_read()  # starts the engine, and oneDNN
        except OSError as error:  # of the dynamic linker: "libgomp.so.1: cannot open shared object file: ..."
            raise _missing_library(str(error)) from None
        except ImportError as error:
            if (error.name or '').split('.')[0] == 'distutils':
                raise UserError('MXNet needs distutils, which Python 3.12 no longer has: '
                                f'{_pip("install", "setuptools==69.5.1")}') from None
            raise


def has_matrix_units():
    """Whether the processor has Intel's matrix units, as far as Linux says so."""
    try:
        return 'amx_bf16' in Path('/proc/cpuinfo').read_text()
    except OSError:
        return False


@contextlib.contextmanager
def _matrix_units():
    """Let oneDNN use the matrix units (AMX) of Intel's processors since 2023, for bfloat16 and 8 bits.

    A process must ask Linux for them, and oneDNN 2.4 be told; it reads that once. Other programs that this one starts have
    not asked: they must not be told.
    """
    name, number_of_arch_prctl, request_permission, tile_data = 'DNNL_MAX_CPU_ISA', 158, 0x1023, 18
    wanted = name not in os.environ and has_matrix_units()
    if wanted and ctypes.CDLL(None).syscall(number_of_arch_prctl, request_permission, tile_data) == 0:
        os.environ[name] = 'AVX512_CORE_AMX'
    try:
        yield
    finally:
        if wanted:
            os.environ.pop(name, None)


def _check(found):
    """Raise a `UserError` if MXNet cannot be loaded as things are; load what it cannot find by itself."""
    installed = _installed(_PACKAGES)
    if len(installed) > 1:
        raise UserError(f'{" and ".join(installed)} are both installed, and they overwrite each other: '
                        f'{_pip("uninstall", *installed)}, then install one of them again')
    if not found:
        raise UserError(f'MXNet is not installed for {sys.executable}: {HOW_TO_INSTALL}')
    _mend_numpy()
    if installed and installed[0].startswith('mxnet-cu'):
        _load_cuda()


def device(name='auto', every=False):
    """The devices that a name stands for.

    Parameters
    ----------
    name : str
        'auto' (the first GPU if there is one, else the CPU), 'cpu', 'gpu' (the first), or 'gpu:0,1'.
    every : bool
        'auto' and 'gpu' stand for all GPUs of the machine, not the first.

    Returns
    -------
    list of mxnet.Context

    Raises
    ------
    UserError
        Not such a name, or a GPU that is not there.
    """
    kind, _, numbers = name.partition(':')
    try:
        indices = [int(number) for number in numbers.split(',')] if numbers else [0]
    except ValueError:
        indices = []
    if kind not in ('auto', 'cpu', 'gpu') or (kind != 'gpu' and ':' in name) or name.endswith(':') \
            or not indices or min(indices) < 0 or len(set(indices)) < len(indices):
        raise UserError(f'device {name}: not a device; use auto, cpu, gpu or gpu:0,1')
    import mxnet as mx
    if kind == 'cpu':
        return [mx.cpu()]
    try:
        count = mx.context.num_gpus()
    except mx.MXNetError:  # a CUDA package with a driver but no GPU behind it
        count = 0
    if every and not numbers and count:
        indices = list(range(count))
    if kind == 'auto':
        return [mx.gpu(index) for index in indices] if count else [mx.cpu()]
    if not mx.runtime.Features().is_enabled('CUDA'):
        raise UserError(f'device {name}: the MXNet installed here is the one for the CPU: make setup '
                        'LOCK=cu112, or use --device cpu')
    for index in indices:
        if index >= count:
            there = 'no GPU' if not count else 'only GPU 0' if count == 1 else f'only GPUs 0 to {count - 1}'
            raise UserError(f'device {name}: there is no GPU {index} on this machine ({there}); '
                            'use --device cpu')
    return [mx.gpu(index) for index in indices]


def set_threads():
    """Let MXNet use one thread a physical core that is this process's share, unless OMP_NUM_THREADS is set.

    Has an effect only before MXNet is loaded.
    """
    workers = int(os.environ.get('HOROVOD_LOCAL_SIZE') or os.environ.get('BOOKCNN_LOCAL_WORKERS') or 1)
    os.environ.setdefault('OMP_NUM_THREADS', str(max(1, physical_cores() // workers)))
    # A thread that waits should soon let others run: while another program kept one of two cores busy, waiting in
    # GNU's usual way made 3.4.2 ten times slower; on a quiet machine it was no faster.
    if 'OMP_WAIT_POLICY' not in os.environ:
        os.environ.setdefault('GOMP_SPINCOUNT', '1000')


def threads():
    """How many threads an operator of MXNet may use."""
    try:
        return max(1, int(os.environ['OMP_NUM_THREADS'].split(',')[0]))
    except (KeyError, ValueError):
        return physical_cores()


def physical_cores():
    """The number of physical cores that this process may use, by its affinity and its container's quota."""
    try:
        processors = os.sched_getaffinity(0)
    except AttributeError:  # not on Linux
        return os.cpu_count() or 1
    cores = set()
    for processor in processors:
        topology = Path(f'/sys/devices/system/cpu/cpu{processor}/topology')
        try:
            cores.add(tuple((topology / part).read_text() for part in ('physical_package_id', 'core_id')))
        except OSError:
            cores.add(processor)
    count = len(cores)
    try:
        quota, period = Path('/sys/fs/cgroup/cpu.max').read_text().split()
        if quota != 'max':
            count = min(count, math.ceil(int(quota) / int(period)))
    except (OSError, ValueError):
        pass
    return max(1, count)


@contextlib.contextmanager
def quiet_stderr():
    """Keep what C++ code prints on stderr away from the user: MXNet announces its engine there."""
    sys.stderr.flush()
    kept, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nowhere)


def _installed(names):
    """Those of `names` that pip knows."""
    found = []
    for name in names:
        try:
            metadata.version(name)
            found.append(name)
        except metadata.PackageNotFoundError:
            pass
    return found


def _pip(*arguments):
    return ' '.join(('python -m pip',) + arguments)


def _mend_numpy():
    """MXNet 1.9.1 speaks of `numpy.bool`, which numpy 1.24 removed and 2.0 brought back as something else."""
    wanted = _pip('install', 'numpy==1.23.5' if sys.version_info < (3, 12) else 'numpy==1.26.4')
    try:
        import numpy
    except ImportError:
        raise UserError(f'numpy is not installed for {sys.executable}: {wanted}') from None
    if int(numpy.__version__.split('.')[0]) >= 2:
        raise UserError(f'numpy {numpy.__version__} is too new for MXNet 1.9.1: {wanted}')
    if 'bool' not in vars(numpy):  # also numpy 1.20 to 1.23, which would print a warning
        numpy.bool = bool


def _load_cuda():
    """Load the CUDA libraries from their packages; the dynamic linker does not look there by itself.

    What is in no package may be the system's: then MXNet's own loading finds it, or names it.
    """
    spec = importlib.util.find_spec('nvidia')
    folders = [folder for root in (spec.submodule_search_locations if spec else ())
               for folder in Path(root).glob('*/lib')]
    for library, _ in _CUDA_LIBRARIES:
        for folder in folders:
            if (folder / library).exists():
                try:
                    ctypes.CDLL(str(folder / library), mode=ctypes.RTLD_GLOBAL)
                except OSError as error:
                    raise _missing_library(str(error)) from None
                break


def _missing_library(message):
    """The dynamic linker's complaint as a `UserError`."""
    library = message.split(':')[0]
    package = dict(_CUDA_LIBRARIES).get(library)
    if package:
        do = _pip('install', '--no-deps', '-r', 'requirements/cu112.txt') + f' (it is in {package})'
    elif library.startswith('libcuda.'):
        do = ('install the driver of your NVIDIA GPU; without such a GPU use MXNet for the CPU: '
              f'{_pip("uninstall", "mxnet-cu112")}, then {_pip("install", "mxnet==1.9.1")}')
    elif 'undefined symbol: cu' in message:
        do = 'the driver of your NVIDIA GPU is too old for CUDA 11.2; update it'
    elif library.startswith('libgomp'):
        do = 'apt-get install libgomp1'
    else:
        do = 'install the package of your system that holds it'
    return UserError(f'MXNet cannot be loaded ({message}): {do}')
