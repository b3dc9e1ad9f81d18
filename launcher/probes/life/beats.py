"""Heartbeats: when one of these files was last touched. See launcher/beats.py, which touches them."""

from __future__ import annotations

import os
import stat
import time
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator

# Clocks are corrected by so much without anybody having set them.
CLOCK_SLACK_S = 60.0


def beat_reader(paths: Collection[str], uid: int | None = None) -> Callable[[], Reading[Any]]:
    """Reads `{"beat": epoch seconds}` of the newest of these files, `{"beat": null}` where there is none.

    Only files of user `uid` (whose process asks, if None) and of root count: another user could keep the
    machine up with a file, or keep ours from being written, where all may write. So what has such a path,
    a dot and more is one of these files, too: see launcher/beats.py.
    """
    users = (0, os.geteuid() if uid is None else uid)

    def read() -> Reading[Any]:
        newest: float | None = None
        try:
            for path in _named_like(paths):
                beat = _beat(path, users)
                newest = newest if beat is None else max(newest or 0.0, beat)
        except OSError:
            return Unknown("not-readable")
        return Known({"beat": newest})

    return read


def _named_like(paths: Collection[str]) -> Iterator[str]:
    """These files, and those that stand in for one."""
    for path in paths:
        folder, name = os.path.split(path)
        try:
            there = os.listdir(folder or ".")
        except (FileNotFoundError, NotADirectoryError):
            continue
        for other in there:
            if other == name or other.startswith(f"{name}."):
                yield os.path.join(folder, other)


def _beat(path: str, users: Collection[int]) -> float | None:
    """When it was touched; None for what is gone, no file of these users, or of a clock that was set back."""
    try:
        status = os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return None
    counts = stat.S_ISREG(status.st_mode) and status.st_uid in users
    # It would hide each beat to come until then.
    return status.st_mtime if counts and status.st_mtime <= time.time() + CLOCK_SLACK_S else None
