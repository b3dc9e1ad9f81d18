"""Processes found again by a mark in their environment, however far they went from whoever started them."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "NOTEBOOK_TEST_MARK"
PATIENCE_S = 30.0


def until(condition: Callable[[], object], what: str) -> None:
    """Wait until `condition()` is true; fails with `what` after PATIENCE_S."""
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, f"not seen in {PATIENCE_S:g} s: {what}"
        time.sleep(0.01)


def notebook_env(env: dict[str, str] | None, mark: str) -> dict[str, str]:
    """A kernel's environment: `env` or our own without the real release address, and the mark."""
    base = {name: value for name, value in os.environ.items() if name != "TBE_RUNTIME_ADDR"}
    return {**(base if env is None else env), MARK: mark}


def living(mark: str) -> dict[int, str]:
    """Process id and command line of every living process that was started with this mark."""
    needle, found = f"{MARK}={mark}".encode(), {}
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # A process that has ended and waits to be reaped has an empty environment.
            if needle in (entry / "environ").read_bytes().split(b"\0"):
                found[int(entry.name)] = (
                    (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
                )
        except OSError:
            continue
    return found


def group_is_gone(mark: str, group: int) -> None:
    """Wait until no marked process of a group that got SIGKILL is left."""
    until(lambda: not any(_in_group(pid, group) for pid in living(mark)), f"end of group {group}")


def end_all(mark: str) -> dict[int, str]:
    """SIGKILL for every process with the mark, until there is none; what there was."""
    found: dict[int, str] = {}

    def none_left() -> bool:
        left = living(mark)
        found.update(left)
        for pid in left:
            try:
                os.kill(pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # It ended by itself.
        return not left

    until(none_left, f"end of {found}")
    return found


def _in_group(pid: int, group: int) -> bool:
    try:
        return os.getpgid(pid) == group
    except ProcessLookupError:
        return False
