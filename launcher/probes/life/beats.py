"""Heartbeats: when one of these files was last touched. See launcher/beats.py, which touches them."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def beat_reader(paths: Collection[str]) -> Callable[[], Reading[Any]]:
    """Reads `{"beat": epoch seconds}` of the newest of these files, `{"beat": null}` where there is none."""

    def read() -> Reading[Any]:
        newest: float | None = None
        for path in paths:
            try:
                status = os.lstat(path)
            except (FileNotFoundError, NotADirectoryError):
                continue
            except OSError:
                return Unknown("not-readable")
            if stat.S_ISREG(status.st_mode):
                newest = max(newest or 0.0, status.st_mtime)
        return Known({"beat": newest})

    return read
