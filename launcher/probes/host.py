"""RAM, CPUs, disk and age of the machine. The only file that imports psutil."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.probes.model import HostFacts
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from launcher.probes.cgroup import Limits

# Asking a network file system whose server has gone blocks for good.
_DISK_DEADLINE_S = 2.0


def read_host(*, disk_path: str, limits: Reading[Limits], root: str = "/") -> HostFacts:
    """The machine as far as it is ours: what `limits` allows of what it has.

    Free disk is measured where `disk_path` lies or would be made (its nearest parent that exists).
    """
    total, available = _read_memory()
    memory_limit = limits.value.memory_bytes if isinstance(limits, Known) else None
    memory_left = limits.value.memory_left_bytes if isinstance(limits, Known) else None
    return HostFacts(
        ram_total_bytes=_at_most(total, memory_limit),
        ram_available_bytes=_at_most(available, memory_left),
        ram_limited_by_cgroup=_is_limited(total, limits),
        cpus=_read_cpus(limits),
        disk_path=disk_path,
        disk_free_bytes=_read_disk(disk_path),
        uptime_s=_read_uptime(root),
    )


def _read_memory() -> tuple[Reading[int], Reading[int]]:
    """Total and available RAM of the machine in bytes (MemTotal and MemAvailable on Linux)."""
    try:
        import psutil

        memory = psutil.virtual_memory()
    except Exception:
        # No /proc/meminfo, a broken psutil: whatever it is, RAM is not known.
        return Unknown("ram-unreadable"), Unknown("ram-unreadable")
    return Known(int(memory.total)), Known(int(memory.available))


def _at_most(reading: Reading[int], limit: int | None) -> Reading[int]:
    if isinstance(reading, Known) and limit is not None:
        return Known(min(reading.value, limit))
    return reading


def _is_limited(total: Reading[int], limits: Reading[Limits]) -> Reading[bool]:
    if isinstance(limits, Unknown):
        return limits
    if limits.value.memory_bytes is None:
        return Known(False)
    return Known(limits.value.memory_bytes < total.value) if isinstance(total, Known) else total


def _read_cpus(limits: Reading[Limits]) -> Reading[float]:
    """CPUs that we may use: affinity (which holds cpusets too) and the groups' quota."""
    if hasattr(os, "sched_getaffinity"):
        count: int | None = len(os.sched_getaffinity(0))
    else:
        count = os.cpu_count()
    if count is None:
        return Unknown("cpus-unreadable")
    quota = limits.value.cpus if isinstance(limits, Known) else None
    return Known(float(count) if quota is None else min(float(count), quota))


def _read_disk(path: str) -> Reading[int]:
    """Bytes that a user who is not root may still write at `path`."""

    def free() -> int:
        folder = Path(path).resolve()
        while not folder.exists() and folder != folder.parent:
            folder = folder.parent
        status = os.statvfs(folder)
        return status.f_bavail * status.f_frsize

    reading = call_in_child(free, deadline_s=_DISK_DEADLINE_S)
    if isinstance(reading, Unknown):
        return Unknown("disk-timeout" if reading.reason == "timeout" else "disk-unreadable")
    return Known(int(reading.value))


def _read_uptime(root: str) -> Reading[float]:
    """Seconds since the machine started."""
    try:
        return Known(float((Path(root) / "proc/uptime").read_text("ascii").split()[0]))
    except (OSError, ValueError, IndexError):
        return Unknown("uptime-unreadable")
