"""Watcher and guard of a scene: to find them, and to kill them."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from helpers.scene import until

if TYPE_CHECKING:
    from helpers.scene import Scene

GUARD, WATCHER = "colab-run-guard", "colab-run-watch"


def watcher_of(scene: Scene) -> int:
    """The watcher, once there is one."""
    return until(lambda: next((pid for pid in scene.leftovers() if name_of(pid) == WATCHER), 0), "a watcher")


def guard_of(scene: Scene) -> int:
    """The guard, or the watcher in its place: helpers of a guard have its name too, and are below it."""

    def find() -> int:
        named = [pid for pid in scene.leftovers() if name_of(pid) == GUARD]
        return next((pid for pid in named if parent_of(pid) not in named), 0)

    return until(find, "a guard")


def kill(pid: int) -> int:
    """SIGKILL, and wait for the end."""
    os.kill(pid, signal.SIGKILL)
    until(lambda: name_of(pid) == "" or is_dead(pid), f"the end of {pid}")
    return pid


def kill_both(scene: Scene) -> None:
    """Nobody is left to take over."""
    watcher, guard = watcher_of(scene), guard_of(scene)
    for pid in (watcher, guard):
        os.kill(pid, signal.SIGKILL)
    until(lambda: is_dead(watcher) and is_dead(guard), "the end of both")


def has_open(pid: int, where: str) -> bool:
    """Has a process a file open there?"""
    with suppress(OSError):
        for number in os.listdir(f"/proc/{pid}/fd"):
            with suppress(OSError):
                if os.readlink(f"/proc/{pid}/fd/{number}").startswith(where):
                    return True
    return False


def name_of(pid: int) -> str:
    """As in ps; empty for none."""
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


def parent_of(pid: int) -> int:
    """Its parent; 0 for none."""
    stat = _stat(pid)
    return int(stat[1]) if stat else 0


def is_dead(pid: int) -> bool:
    """Gone, or waiting to be reaped."""
    stat = _stat(pid)
    return not stat or stat[0] in "ZX"


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
