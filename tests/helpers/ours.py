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
    """SIGKILL, and wait for the end: of the helpers of a guard, too, which the kernel ends with it."""
    helpers = _helpers_of(pid)
    os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(is_dead, (pid, *helpers))), f"the end of {pid} and {helpers}")
    return pid


def _helpers_of(pid: int) -> list[int]:
    """What a guard has forked for itself, and none of its job; it is suspended, so that there are no more."""
    if name_of(pid) != GUARD:
        return []
    os.kill(pid, signal.SIGSTOP)
    until(lambda: (stat := _stat(pid)) and stat[0] in "TZX", f"{pid} suspended")
    others = [int(name) for name in os.listdir("/proc") if name.isdigit()]
    # Whoever leads the session of a job has the name, and not the session.
    return [
        one
        for one in others
        if parent_of(one) == pid and name_of(one) == GUARD and session_of(one) == session_of(pid)
    ]


def kill_both(scene: Scene) -> None:
    """Nobody is left to take over."""
    watcher, guard = watcher_of(scene), guard_of(scene)
    helpers = _helpers_of(guard)
    for pid in (watcher, guard):
        os.kill(pid, signal.SIGKILL)
    until(lambda: all(map(is_dead, (watcher, guard, *helpers))), "the end of both")


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


def session_of(pid: int) -> int:
    """The leader of its session; 0 for none."""
    stat = _stat(pid)
    return int(stat[3]) if stat else 0


def is_dead(pid: int) -> bool:
    """Gone, or waiting to be reaped."""
    stat = _stat(pid)
    return not stat or stat[0] in "ZX"


def _stat(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return []
