"""Keep a real GPU busy for exact times, with nothing but its driver: a kernel that waits on the GPU's clock.

As a program it says `ready` once it has a context, and then, for each line of stdin with a number of
milliseconds, `done` when the GPU was busy for so long.
"""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType

# A kernel that runs for seconds would be ended by the watchdog of a GPU with a screen.
LONGEST_MS = 500
_PTX = b"""
.version 6.0
.target sm_60
.address_size 64
.visible .entry spin(.param .u64 nanoseconds)
{
    .reg .pred %again;
    .reg .u64 %wanted, %began, %now, %gone;
    ld.param.u64 %wanted, [nanoseconds];
    mov.u64 %began, %globaltimer;
WAIT:
    mov.u64 %now, %globaltimer;
    sub.u64 %gone, %now, %began;
    setp.lt.u64 %again, %gone, %wanted;
    @%again bra WAIT;
    ret;
}
\0"""


class Spinner:
    """A process with a CUDA context, which works when it is told to."""

    def __enter__(self) -> Spinner:
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=os.environ,
        )
        self._expect("ready")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def work(self, seconds: float) -> None:
        """The GPU is busy for so long; returns when it has been."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{round(1000 * seconds)}\n")
        self._process.stdin.flush()
        self._expect("done")

    def _expect(self, word: str) -> None:
        assert self._process.stdout is not None
        said = self._process.stdout.readline().strip()
        assert said == word, f"the process with the kernel said {said!r}"


def _main() -> None:
    cuda = ctypes.CDLL("libcuda.so.1")

    def call(name: str, *arguments: object) -> None:
        code = getattr(cuda, name)(*arguments)
        if code:
            raise SystemExit(f"{name}: error {code}")

    device = ctypes.c_int()
    context, module, kernel = ctypes.c_void_p(), ctypes.c_void_p(), ctypes.c_void_p()
    call("cuInit", 0)
    call("cuDeviceGet", ctypes.byref(device), 0)
    call("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
    call("cuCtxSetCurrent", context)
    call("cuModuleLoadData", ctypes.byref(module), _PTX)
    call("cuModuleGetFunction", ctypes.byref(kernel), module, b"spin")
    print("ready", flush=True)
    one = [ctypes.c_uint(1)] * 3
    for line in sys.stdin:
        left = int(line)
        while left > 0:
            step, left = min(left, LONGEST_MS), left - LONGEST_MS
            wanted = ctypes.c_uint64(step * 1_000_000)
            arguments = (ctypes.c_void_p * 1)(ctypes.addressof(wanted))
            call("cuLaunchKernel", kernel, *one, *one, ctypes.c_uint(0), None, arguments, None)
            call("cuCtxSynchronize")
        print("done", flush=True)


if __name__ == "__main__":
    _main()
