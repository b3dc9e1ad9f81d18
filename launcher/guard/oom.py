"""Did the kernel kill for memory? Its counters are read before and after; text of the job never decides.

cgroup v2 counts in memory.events, v1 in memory.oom_control; Colab names its own two files in
CGROUP_MEMORY_EVENTS.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from launcher.words import counted

if TYPE_CHECKING:
    from collections.abc import Mapping

    from launcher.words import Text


def counter_files(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The files that count OOM kills of our own cgroup, as far as they can be read."""
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
    return tuple(path for path in dict.fromkeys(candidates) if _count(path) is not None)


def _count(path: str) -> int | None:
    try:
        with open(path, encoding="utf-8") as file:
            for line in file:
                words = line.split()
                if len(words) == 2 and words[0] == "oom_kill":
                    return int(words[1])
    except (OSError, ValueError):
        return None
    return None


def read_counters(files: tuple[str, ...]) -> dict[str, int]:
    """The count of each file that can still be read."""
    return {path: count for path in files if (count := _count(path)) is not None}


def killed_for_memory(before: Mapping[str, int], after: Mapping[str, int]) -> Text | None:
    """The evidence, such as `memory.events counted 1 out-of-memory kill`, or None.

    The caller asks only when a process of the job really ended by a SIGKILL that was not ours:
    the counters cover neighbours in the same cgroup too.
    """
    for path, count in after.items():
        grown = count - before.get(path, count)
        if grown > 0:
            return counted(
                "{file} counted {count} out-of-memory kill",
                "{file} counted {count} out-of-memory kills",
                grown,
                file=os.path.basename(path),
            )
    return None
