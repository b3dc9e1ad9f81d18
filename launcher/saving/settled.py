"""Which files somebody is still writing: only what rests is a complete checkpoint.

Change time (ctime) is asked, which no program can set back, and who has a file open for writing. What a
process may hide from us (another user's, without root) counts as not open; so does a file that is only
mapped into memory.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection


def open_for_writing(wanted: Collection[tuple[int, int]], proc: str = "/proc") -> set[tuple[int, int]]:
    """Those of the (device, inode) pairs `wanted` that some process has open for writing."""
    found: set[tuple[int, int]] = set()
    if not wanted:
        return found
    ours = str(os.getpid())
    for pid in _names(proc):
        if not pid.isdigit() or pid == ours:
            continue
        for descriptor in _names(f"{proc}/{pid}/fd"):
            who = _identity(f"{proc}/{pid}/fd/{descriptor}")
            if who in wanted and who not in found and _writes(f"{proc}/{pid}/fdinfo/{descriptor}"):
                found.add(who)
    return found


def _names(folder: str) -> list[str]:
    try:
        return os.listdir(folder)
    except OSError:
        return []


def _identity(path: str) -> tuple[int, int]:
    try:
        # What is no path (a pipe, a socket) is no output, and costs no look at it.
        if not os.readlink(path).startswith("/"):
            return 0, 0
        status = os.stat(path)
    except OSError:
        return 0, 0
    return status.st_dev, status.st_ino


def _writes(fdinfo: str) -> bool:
    try:
        with open(fdinfo, "rb") as reader:
            for line in reader:
                if line.startswith(b"flags:"):
                    return int(line.split()[1], 8) & os.O_ACCMODE != os.O_RDONLY
    except (OSError, ValueError, IndexError):
        pass
    return False
