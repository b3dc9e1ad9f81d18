"""Peak memory of the job, sampled in a child: NVML can hang, and /proc of a big machine takes time.

The child writes two peaks into shared memory and ends with us (end of a pipe, and a parent-death
signal in case it hangs inside the driver just then).
"""

from __future__ import annotations

import mmap
import os
import select
import signal
import struct
import time
from typing import TYPE_CHECKING, NoReturn

from launcher import children
from launcher.guard import tree
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    GpuMeter = Callable[[], Callable[[], int | None]]

# What the child finds out, and the processes that the parent tells it not to count (PAUSED: count nobody).
LAYOUT = struct.Struct("qq")
IGNORED = struct.Struct("8q")
HELPERS = 7
PAUSED = -1
# Dense at first, because short jobs are common and their peak is early; seldom later.
PERIODS_S = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 2.0, 2.0, 2.0, 2.0, 5.0)


class Sampler:
    """Samples from its start to `kill`.

    `gpu_meter()` runs in the child and returns a function that reads the bytes in use on all GPUs
    together, or None when they cannot be read. Raises OSError where no process can be created.
    """

    def __init__(self, gpu_meter: GpuMeter | None) -> None:
        self._memory = mmap.mmap(-1, LAYOUT.size + IGNORED.size)
        LAYOUT.pack_into(self._memory, 0, 0, -1)
        self._ignored = (0,) * (1 + HELPERS)
        read, self._lifeline = os.pipe2(os.O_CLOEXEC)
        guard = os.getpid()
        # Until the child has let go of our handlers, a signal to it would count as one to us.
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            self.pid = os.fork()
        finally:
            if os.getpid() == guard:
                signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        if self.pid == 0:
            self._child(guard, read, gpu_meter)
        os.close(read)

    def _child(self, guard: int, lifeline: int, gpu_meter: GpuMeter | None) -> NoReturn:
        try:
            children.become_helper(guard, {lifeline})
            read_gpus = gpu_meter() if gpu_meter else None
            me = tree.reference(os.getpid())
            without = frozenset({me} if me else ())
            turn = 0
            while True:
                self._sample(guard, without, read_gpus)
                period = PERIODS_S[min(turn, len(PERIODS_S) - 1)]
                turn += 1
                if select.select((lifeline,), (), (), period)[0]:
                    break
        finally:
            os._exit(0)

    def _sample(
        self, guard: int, without: frozenset[tree.ProcessRef], read_gpus: Callable[[], int | None] | None
    ) -> None:
        ram, gpu = LAYOUT.unpack_from(self._memory)
        ignored = IGNORED.unpack_from(self._memory, LAYOUT.size)
        without |= {ref for pid in ignored if pid > 0 and (ref := tree.reference(pid))}
        if PAUSED not in ignored:
            resident = resident_bytes(guard, without)
            if IGNORED.unpack_from(self._memory, LAYOUT.size) == ignored:
                ram = max(ram, resident)
        if read_gpus is not None and (used := read_gpus()) is not None:
            gpu = max(gpu, used)
        LAYOUT.pack_into(self._memory, 0, ram, gpu)

    def ignore(self, pid: int) -> None:
        """Do not count this child of ours (0: none); it takes the place of the one told before.

        PAUSED while something is being started: until its exec it is a copy of us.
        """
        self._ignored = (pid, *self._ignored[1:])
        IGNORED.pack_into(self._memory, LAYOUT.size, *self._ignored)

    def ignore_too(self, pids: Sequence[int]) -> None:
        """Nor these, and what is below them: they work for us beside the job. Of too many the latest."""
        latest = pids[-HELPERS:]
        self._ignored = (self._ignored[0], *latest, *(0 for _ in range(HELPERS - len(latest))))
        IGNORED.pack_into(self._memory, LAYOUT.size, *self._ignored)

    def kill(self) -> bool:
        """End the child; False when it hangs in the driver and cannot be ended.

        Only for a child that has not been reaped: its pid might be somebody else's by now.
        """
        os.kill(self.pid, signal.SIGKILL)
        deadline = time.monotonic() + 0.5
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.0001)
        return True

    def peaks(self) -> tuple[int, Reading[int]]:
        """(peak bytes of RAM, peak bytes on all GPUs together) seen so far."""
        os.close(self._lifeline)
        ram, gpu = LAYOUT.unpack_from(self._memory)
        return ram, Known(gpu) if gpu >= 0 else Unknown("not-sampled")


def resident_bytes(root: int, without: frozenset[tree.ProcessRef]) -> int:
    """Resident memory of all descendants of `root` together; shared pages count once for each."""
    page = os.sysconf("SC_PAGE_SIZE")
    total = 0
    for process in tree.descendants(root, without):
        try:
            with open(f"/proc/{process.pid}/statm", "rb") as file:
                total += int(file.read().split()[1]) * page
        except (OSError, IndexError, ValueError):
            continue
    return total


def own_peak_bytes() -> int:
    """The most that we ourselves have had resident.

    Not ru_maxrss: that one also counts whoever we were before our exec, such as a fork of a notebook's
    kernel with gigabytes in it.
    """
    try:
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return 0
    return 0
