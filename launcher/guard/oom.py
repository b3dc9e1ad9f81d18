"""Did the kernel kill for memory? Its counters and its log are read; text of the job never decides.

cgroup v2 counts in memory.events, v1 in memory.oom_control; Colab names its own two files in
CGROUP_MEMORY_EVENTS.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from launcher.words import counted, words

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from launcher.words import Text

# The first namespace of process ids: only there the kernel's log has the numbers that we know.
FIRST_PIDS = "pid:[4026531836]"
LOG = "/dev/kmsg"
# Of the whole machine; every cgroup's kills count in it, so it proves nothing alone.
MACHINE = "/proc/vmstat"
_RECORD = 8192
# The log is stamped with a clock of its own.
_CLOCKS_APART_S = 1.0
_VICTIM = re.compile(r"[Oo]ut of memory: Kill(?:ed)? process (\d+)")


def counter_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files that count OOM kills of our own cgroup, and of the machine, as far as they can be read."""
    candidates = environ.get("CGROUP_MEMORY_EVENTS", "").split()
    try:
        with open("/proc/self/cgroup", encoding="utf-8") as file:
            lines = file.read().splitlines()
    except OSError:
        lines = []
    for line in lines:
        _, controllers, path = line.split(":", 2)
        relative = path.lstrip("/")
        if controllers == "":
            candidates.append(os.path.join("/sys/fs/cgroup", relative, "memory.events"))
        elif "memory" in controllers.split(","):
            # Inside a container the path may be the host's; the mount then shows our own cgroup at its root.
            for folder in (relative, ""):
                candidates.append(os.path.join("/sys/fs/cgroup/memory", folder, "memory.oom_control"))
    candidates.append(MACHINE)
    return tuple(path for path in dict.fromkeys(candidates) if _count(path) is not None)


def _count(path: str) -> int | None:
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                row = line.split()
                if len(row) == 2 and row[0] == "oom_kill":
                    return int(row[1])
    except (OSError, ValueError):
        return None
    return None


def read_counters(files: tuple[str, ...]) -> dict[str, int]:
    """The count of each file that can still be read."""
    return {path: count for path in files if (count := _count(path)) is not None}


def killed_for_memory(
    before: Mapping[str, int], after: Mapping[str, int], victims: Collection[int] = ()
) -> Text | None:
    """The evidence, such as `memory.events counted 1 out-of-memory kill`, or None.

    The caller asks only when a process of the job really ended by a SIGKILL that was not ours:
    the counters cover neighbours in the same cgroup too. `victims` are those that the kernel's log names.
    """
    for path, count in after.items():
        grown = count - before.get(path, count)
        if grown > 0 and path != MACHINE:
            return counted(
                "{file} counted {count} out-of-memory kill",
                "{file} counted {count} out-of-memory kills",
                grown,
                file=os.path.basename(path),
            )
    if victims and after.get(MACHINE, 0) > before.get(MACHINE, 0):
        return words("the kernel's log says that it killed process {pid} of it", pid=min(victims))
    return None


def victims_since(monotonic: float) -> frozenset[int] | None:
    """Whom the kernel's log names as killed for memory since then; None where that cannot be known.

    In a container the log has other numbers than we do, and mostly it must not be read there.
    """
    try:
        if os.readlink("/proc/self/ns/pid") != FIRST_PIDS:
            return None
        descriptor = os.open(LOG, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    found: set[int] = set()
    try:
        while record := _next_record(descriptor):
            found |= victims_in(record, monotonic)
    except BlockingIOError:
        return frozenset(found)
    except OSError:
        return None
    finally:
        os.close(descriptor)
    return frozenset(found)


def _next_record(descriptor: int) -> str:
    while True:
        try:
            return os.read(descriptor, _RECORD).decode("utf-8", "replace")
        except BrokenPipeError:
            continue  # It was overwritten before we read it; the next one is there.


def victims_in(record: str, monotonic: float) -> frozenset[int]:
    """The same of one record, `LEVEL,NUMBER,MICROSECONDS,FLAGS;text`."""
    head, _, text = record.partition(";")
    stamp = head.split(",")[2:3]
    if not stamp or not stamp[0].isdigit() or int(stamp[0]) / 1e6 < monotonic - _CLOCKS_APART_S:
        return frozenset()
    return frozenset(int(pid) for pid in _VICTIM.findall(text))
