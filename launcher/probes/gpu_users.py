"""Who holds memory of the GPUs: which program, which user's, and what it belongs to. No GPU, no question."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

from launcher.probes.kernel_servers import process_stat
from launcher.probes.kernels import kernel_process_of, running_kernels
from launcher.probes.model import GpuUser
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.probes.model import GpuFacts

_LONGEST_NAME = 64
_RUN_ID = b"COLAB_RUN_ID="
_LONGEST_ENVIRON = 1 << 20


def read_gpu_users(gpu: GpuFacts, *, proc: str = "/proc", dev: str = "/dev") -> tuple[GpuUser, ...]:
    """One row for each process that the driver tells, the largest first; empty where it tells none.

    In a container the driver may tell the host's pids: a process here that has the same by chance, and no
    device of the driver open, is none of them.
    """
    memory = _memory(gpu)
    if not memory:
        return ()
    kernels = _kernels(proc)
    own = kernel_process_of(os.getpid(), proc=proc)
    others = {pid for pid in memory if not _may_use_gpu(pid, proc, dev)}
    found = [
        _elsewhere(pid, size) if pid in others else _user(pid, size, kernels, own.pid if own else 0, proc)
        for pid, size in memory.items()
    ]
    return tuple(sorted(found, key=lambda user: (-_size(user.memory_bytes), user.pid)))


def whose(pid: int, parent: int, run_id: str, kernels: Mapping[int, str], own_kernel: int) -> str:
    """What a process of this container belongs to; `kernels` are the pids of notebook kernels. Pure.

    `own-kernel`, `kernel`, `run` (of colab-run), `leftover` (whoever started it is gone, or is a kernel
    whose cell it outlived or is about to), or `other`.
    """
    if pid in kernels:
        return "own-kernel" if pid == own_kernel or kernels[pid] == kernels.get(own_kernel) else "kernel"
    if run_id:
        return "run"
    return "leftover" if parent <= 1 or parent in kernels else "other"


def _memory(gpu: GpuFacts) -> dict[int, Reading[int]]:
    """Bytes by process, on all GPUs together."""
    found: dict[int, Reading[int]] = {}
    for one in gpu.gpus.value if isinstance(gpu.gpus, Known) else ():
        for process in one.processes.value if isinstance(one.processes, Known) else ():
            before, size = found.get(process.pid, Known(0)), process.memory_bytes
            if isinstance(before, Known) and isinstance(size, Known):
                found[process.pid] = Known(before.value + size.value)
            else:
                found[process.pid] = Unknown("not-available")
    return found


def _size(memory: Reading[int]) -> int:
    return memory.value if isinstance(memory, Known) else 0


def _kernels(proc: str) -> dict[int, str]:
    with suppress(OSError):
        return {pid: name for name, pids in running_kernels(proc).items() for pid in pids}
    return {}


def _user(pid: int, memory: Reading[int], kernels: Mapping[int, str], own_kernel: int, proc: str) -> GpuUser:
    stat = process_stat(pid, proc)
    try:
        uid = os.stat(f"{proc}/{pid}").st_uid
        with open(f"{proc}/{pid}/comm", encoding="utf-8", errors="replace") as file:
            name = "".join(letter if letter.isprintable() else "?" for letter in file.read().strip())
    except OSError:
        stat = None
    if stat is None:
        return _elsewhere(pid, memory)
    run_id = _run_id(pid, proc)
    return GpuUser(
        pid,
        memory,
        Known(name[:_LONGEST_NAME]),
        Known(_user_name(uid)),
        own_user=uid == os.geteuid(),
        whose=whose(pid, stat[1], run_id, kernels, own_kernel),
        run_id=run_id,
    )


def _elsewhere(pid: int, memory: Reading[int]) -> GpuUser:
    """Of another container, or the host's."""
    gone: Unknown = Unknown("not-here")
    return GpuUser(pid, memory, gone, gone, own_user=False, whose="unknown")


def _may_use_gpu(pid: int, proc: str, dev: str) -> bool:
    """False only where it can be seen that this process has no device of the driver open."""
    if not os.path.exists(os.path.join(dev, "nvidiactl")):
        return True  # Another way to the driver, such as WSL's.
    devices = os.path.join(dev, "nvidia")
    try:
        numbers = os.listdir(f"{proc}/{pid}/fd")
    except OSError:
        return True  # Another user's, or gone.
    for number in numbers:
        with suppress(OSError):
            if os.readlink(f"{proc}/{pid}/fd/{number}").startswith(devices):
                return True
    return False


def _run_id(pid: int, proc: str) -> str:
    try:
        with open(f"{proc}/{pid}/environ", "rb") as file:
            entries = file.read(_LONGEST_ENVIRON).split(b"\0")
    except OSError:
        return ""
    named = next((entry[len(_RUN_ID) :] for entry in entries if entry.startswith(_RUN_ID)), b"")
    run_id = named.decode("ascii", "replace")
    return run_id if run_id.replace("-", "").isalnum() and run_id.isascii() else ""


def _user_name(uid: int) -> str:
    import pwd

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
