"""The job's output: how large its log is, and when it was last written to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable


def output_reader(path: str) -> Callable[[], Reading[Any]]:
    """Reads `{"size": bytes, "written": epoch seconds}` of the log at `path`."""

    def read() -> Reading[Any]:
        try:
            status = os.stat(path)
        except FileNotFoundError:
            return Unknown("no-log")
        except OSError:
            return Unknown("not-readable")
        return Known({"size": status.st_size, "written": status.st_mtime})

    return read
