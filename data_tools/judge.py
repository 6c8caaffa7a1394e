"""MXNet's own decoder as the judge of an image.

It runs in a process of its own: the libraries inside MXNet 1.9.1 are of 2018, a damaged image may end the process that
decodes it, and importing MXNet takes seconds, which only those wait for who ask.

Of a JPEG or PNG, MXNet reads the size itself and gives OpenCV memory of that size; where OpenCV then fails, it hands
out whatever that memory holds, without a word. So the C library is told to fill fresh memory with a value
(MALLOC_PERTURB_ of glibc; freed memory with its complement), and a picture whose last line is of these two values has
not been decoded. The picture might happen to be of that gray: a second process, with other values, decides then.
"""
import contextlib
import os
import struct
import subprocess
import sys
from typing import Any, List, Optional

_MEMORY = 6 << 30  # bytes: a damaged header may ask for a picture of any size
_FILLINGS = (0x55, 0x33)


class Judge:
    """Asks MXNet whether it decodes an image. Close it, or use it as a context manager."""
    def __init__(self) -> None:
        self._processes: List[Optional[subprocess.Popen]] = [None, None]

    def decodes(self, data: bytes) -> bool:
        """Whether `mxnet.image.imdecode` makes a picture of an encoded image.

        Raises
        ------
        RuntimeError
            MXNet cannot be imported.
        """
        answer = self._ask(0, data)
        return (self._ask(1, data) if answer == b'?' else answer) == b'1'

    def _ask(self, number: int, data: bytes) -> bytes:
        fresh = self._processes[number] is None
        answer = self._ask_once(number, data)
        if not answer and not fresh:  # the process ended: of this image, or of what an earlier one had done to it
            answer = self._ask_once(number, data)
        return answer

    def _ask_once(self, number: int, data: bytes) -> bytes:
        process = self._processes[number]
        if process is None:
            process = self._processes[number] = subprocess.Popen(
                [sys.executable, '-m', 'data_tools.judge', str(_FILLINGS[number])], stdin=subprocess.PIPE,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                # One thread: each of a machine with many cores would take a share of what memory it may have.
                env={**os.environ, 'MALLOC_PERTURB_': str(_FILLINGS[number]), 'OMP_NUM_THREADS': '1',
                     'OPENBLAS_NUM_THREADS': '1'})
        assert process.stdin and process.stdout
        try:
            process.stdin.write(struct.pack('<I', len(data)) + data)
            process.stdin.flush()
            answer = process.stdout.read(1)
        except BrokenPipeError:
            answer = b''
        if not answer:
            code = process.wait()
            self._close(number)
            if code > 0:  # an exception, not a fault: there is no MXNet to ask
                raise RuntimeError('MXNet cannot be imported; its decoder was to judge an image')
        return answer

    def _close(self, number: int) -> None:
        process, self._processes[number] = self._processes[number], None
        if process is not None:
            assert process.stdin and process.stdout
            with contextlib.suppress(BrokenPipeError):
                process.stdin.close()
            process.stdout.close()
            process.wait()

    def close(self) -> None:
        for number in range(len(self._processes)):
            self._close(number)

    def __enter__(self) -> 'Judge':
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


def _main() -> None:
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    import numpy as np
    np.bool = bool  # MXNet 1.9.1 looks for it; newer versions of NumPy do not have it
    import mxnet as mx
    filling = int(sys.argv[1])
    answers = os.fdopen(os.dup(1), 'wb', buffering=0)
    os.dup2(2, 1)  # what the decoders print must not mix with the answers
    while True:
        head = sys.stdin.buffer.read(4)
        if len(head) < 4:
            return
        data = sys.stdin.buffer.read(struct.unpack('<I', head)[0])
        try:
            last_line = mx.image.imdecode(data).asnumpy()[-1]
            answers.write(b'?' if np.isin(last_line, (filling, 255 - filling)).all() else b'1')
        except Exception:  # whatever MXNet raises, it has not decoded it
            answers.write(b'0')


if __name__ == '__main__':
    _main()
