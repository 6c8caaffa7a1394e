"""Between Python and MXNet: each thing that can be wrong is one line; in Pythons of their own."""
import os
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from chapters.kit import runtime
from data_tools.errors import UserError

HERE = Path(__file__).resolve().parents[3]


def run(code, *options, path=(), environment=None):
    """Run `code` with the folders `path` before all others; what it prints."""
    variables = {**os.environ, 'PYTHONPATH': os.pathsep.join(map(str, [*path, HERE])), **(environment or {})}
    done = subprocess.run(
        [sys.executable, *options, '-c', textwrap.dedent(code)], cwd=HERE,
        env={name: value for name, value in variables.items() if value is not None},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done.stdout


REQUIRE = '''
    import chapters
    from data_tools.errors import one_line_errors

    def version():
        import mxnet
        return mxnet.__version__
    print(one_line_errors(version)())
    '''


def package(folder, name, version='1.9.1', code=None):
    """What pip leaves behind of a package; with `code`, its module too."""
    info = folder / f'{name.replace("-", "_")}-{version}.dist-info'
    info.mkdir(parents=True)
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    if code is not None:
        (folder / name.split('-')[0]).mkdir()
        (folder / name.split('-')[0] / '__init__.py').write_text(code)


# What is asked of the module once it is loaded.
ENGINE = '''
class nd:
    wait_to_read = waitall = staticmethod(lambda: None)
    softmax = zeros = staticmethod(lambda shape: nd)
'''


BFLOAT16 = """
import chapters, mxnet as mx, os
from chapters.kit.training.precision import lowered
layer = mx.gluon.nn.Conv2D(64, 3, in_channels=64)
layer.initialize()
lowered(layer, 'bfloat16')(mx.nd.ones((8, 64, 16, 16))).wait_to_read()
print('DNNL_MAX_CPU_ISA' in os.environ)
"""


@pytest.mark.skipif('amx_bf16' not in Path('/proc/cpuinfo').read_text(), reason='this processor has no matrix units')
def test_bfloat16_uses_the_matrix_units_and_programs_that_are_started_are_not_told():
    said = run(BFLOAT16, environment={'DNNL_VERBOSE': '1'})
    assert 'avx512_core_amx' in said and said.splitlines()[-1] == 'False'
    assert 'avx512_core_amx' not in run(
        BFLOAT16, environment={'DNNL_VERBOSE': '1', 'DNNL_MAX_CPU_ISA': 'AVX512_CORE_BF16'})


def test_importing_this_module_loads_nothing_heavy():
    assert run('import sys, chapters.kit.runtime; print("numpy" in sys.modules, "mxnet" in sys.modules)') \
        == 'False False\n'


def test_mxnet_comes_without_a_warning():
    # numpy 1.23 warns of np.bool, which MXNet uses
    assert run(REQUIRE, '-W', 'error:`np.bool`') == '1.9.1\n'


def test_nothing_installed():
    line, code = run(REQUIRE, '-S').splitlines()  # -S: without the installed packages
    assert line.startswith('error: MXNet is not installed for ') and '.[cpu]' in line and '.[cu112]' in line
    assert code == '2'


def test_installed_twice(tmp_path):
    package(tmp_path, 'mxnet')
    package(tmp_path, 'mxnet-cu112')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    assert line.startswith('error: mxnet and mxnet-cu112 are both installed') and code == '2'
    assert 'python -m pip uninstall mxnet mxnet-cu112' in line


@pytest.mark.parametrize('version', ['2.0.0', '2.3.1'])
def test_numpy_too_new(tmp_path, version):
    package(tmp_path, 'mxnet', code='')
    package(tmp_path, 'numpy', version, f'__version__ = {version!r}')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    assert line.startswith(f'error: numpy {version} is too new for MXNet 1.9.1: python -m pip install numpy=')
    assert code == '2'


def test_numpy_missing(tmp_path):
    package(tmp_path, 'mxnet', code='import numpy')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    assert line.startswith('error: numpy is not installed') and code == '2'


def test_numpy_without_bool_is_mended(tmp_path):
    package(tmp_path, 'mxnet', code='import numpy; __version__ = str(numpy.bool)' + ENGINE)
    package(tmp_path, 'numpy', '1.26.4', '__version__ = "1.26.4"')
    assert run(REQUIRE, '-S', path=[tmp_path]) == "<class 'bool'>\n"


def cuda_without_mxnet(folder, code):
    """mxnet-cu112 as far as pip knows; `code` stands for what MXNet's own loading does."""
    package(folder, 'mxnet-cu112', code=code)
    package(folder, 'numpy', '1.23.5', '__version__ = "1.23.5"')


def test_cuda_without_a_driver(tmp_path):
    cuda_without_mxnet(tmp_path, 'import ctypes; ctypes.CDLL("libcuda.so.1")')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    if not line.startswith('error: '):
        pytest.skip('this machine has the driver')
    assert line.startswith('error: MXNet cannot be loaded (libcuda.so.1: cannot open shared object file')
    assert 'install the driver of your NVIDIA GPU' in line and 'pip install mxnet==1.9.1' in line
    assert code == '2'


def test_cuda_library_of_no_package(tmp_path):
    cuda_without_mxnet(tmp_path, 'import ctypes; ctypes.CDLL("libcudnn.so.8")')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    if not line.startswith('error: '):
        pytest.skip('this machine has cuDNN')
    assert 'requirements/cu112.txt (it is in nvidia-cudnn-cu11)' in line and code == '2'


def test_cuda_libraries_are_loaded_from_their_packages(tmp_path):
    """Real shared libraries under the names of CUDA's, where pip puts those: loaded before MXNet."""
    import zlib
    if not hasattr(zlib, '__file__'):
        pytest.skip('this Python has no shared library at hand to load')
    for name in ('cuda_runtime/lib/libcudart.so.11.0', 'cudnn/lib/libcudnn.so.8'):
        (tmp_path / 'nvidia' / name).parent.mkdir(parents=True)
        shutil.copy(zlib.__file__, tmp_path / 'nvidia' / name)
    cuda_without_mxnet(tmp_path, textwrap.dedent('''
        maps = [line.split()[-1] for line in open('/proc/self/maps')]
        __version__ = sorted({path.split('nvidia/')[1] for path in maps if 'nvidia/' in path})
        ''') + ENGINE)
    assert run(REQUIRE, '-S', path=[tmp_path]) == \
        "['cuda_runtime/lib/libcudart.so.11.0', 'cudnn/lib/libcudnn.so.8']\n"
    (tmp_path / 'nvidia' / 'cudnn' / 'lib' / 'libcudnn.so.8').write_bytes(b'not a library')
    line, code = run(REQUIRE, '-S', path=[tmp_path]).splitlines()
    assert line.startswith('error: MXNet cannot be loaded (') and 'nvidia/cudnn/lib/libcudnn.so.8' in line
    assert code == '2'


def test_missing_system_library():
    error = runtime._missing_library('libgomp.so.1: cannot open shared object file')
    assert 'apt-get install libgomp1' in str(error)


@pytest.mark.parametrize('name', ['', 'tpu', 'gpu:', 'gpu:a', 'gpu:-1', 'gpu:0,0', 'gpu:0,', 'cpu:0', 'GPU'])
def test_device_that_is_none(name):
    with pytest.raises(UserError, match=f'device {name}: not a device; use auto, cpu, gpu or gpu:0,1'):
        runtime.device(name)


def test_devices():
    import mxnet as mx
    assert runtime.device('cpu') == [mx.cpu()]
    if not mx.context.num_gpus():
        assert runtime.device() == [mx.cpu()]
        for name in ('gpu', 'gpu:0', 'gpu:0,1'):
            with pytest.raises(UserError, match=f'device {name}: .*use --device cpu'):
                runtime.device(name)
    else:
        assert runtime.device() == [mx.gpu(0)] and runtime.device('gpu:0') == [mx.gpu(0)]
        with pytest.raises(UserError, match='there is no GPU 99'):
            runtime.device('gpu:99')


THREADS = 'from chapters.kit import runtime; runtime.set_threads(); print(os.environ["OMP_NUM_THREADS"])'


@pytest.mark.skipif(not hasattr(os, 'sched_getaffinity'), reason='Linux only')
def test_threads_follow_the_processors_of_this_process():
    one = min(os.sched_getaffinity(0))
    assert run(f'import os; os.sched_setaffinity(0, [{one}]); {THREADS}',
               environment={'OMP_NUM_THREADS': None}) == '1\n'
    assert 1 <= runtime.physical_cores() <= len(os.sched_getaffinity(0))


def test_threads_that_the_user_chose_are_kept():
    assert run(f'import os; {THREADS}', environment={'OMP_NUM_THREADS': '7'}) == '7\n'
