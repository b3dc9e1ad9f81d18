"""Bring everything that was written to Google Drive to Google, and unmount it: a release deletes the rest.

`google.colab.drive.flush_and_unmount()` waits for a day by default, and does nothing where it sees no mount.
Here it runs in a child that is killed at our own deadline; where it cannot be imported, the program that it
calls is called itself. Drive counts as flushed when that ended well and the mount has gone.
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from launcher.children import call_in_child
from launcher.release.interface import DriveFlush
from launcher.values import Known, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable

POINT = "/content/drive"
PROGRAM = "/opt/google/drive/drive"
MOUNTS = "/proc/self/mounts"
_MARGIN_S = 1.0

FLUSHED, NOT_MOUNTED, FAILED, TIMEOUT, ABSENT, ABORTED = (
    "flushed",
    "not-mounted",
    "failed",
    "timeout",
    "absent",
    "aborted",
)


def flush_drive(
    deadline_s: float,
    abort: Callable[[], bool],
    *,
    mounts: str = MOUNTS,
    point: str = POINT,
    program: str = PROGRAM,
) -> DriveFlush:
    """Flush and unmount Drive, within `deadline_s` seconds. Never raises.

    `abort()` is asked a few times a second; it ends the waiting, and kills what was waited for. `mounts` is
    the mount table (a mount table that cannot be read counts as one with Drive in it).
    """
    began = time.monotonic()

    def came_to(status: str, detail: str = "") -> DriveFlush:
        return DriveFlush(status, round(time.monotonic() - began, 3), detail)

    if not _is_mounted(mounts, point):
        return came_to(NOT_MOUNTED)
    answer = call_in_child(
        lambda: _flush(deadline_s, program), deadline_s=deadline_s + _MARGIN_S, abort=abort
    )
    if isinstance(answer, Known):
        if answer.value == ABSENT:
            return came_to(ABSENT, f"neither google.colab nor {program}")
        if _is_mounted(mounts, point):
            return came_to(FAILED, f"{point} is still mounted")
        return came_to(FLUSHED)
    status = {"timeout": TIMEOUT, "aborted": ABORTED}.get(answer.reason, FAILED)
    return came_to(status, _detail(answer))


def _detail(unknown: Unknown) -> str:
    return getattr(unknown, "detail", "") or unknown.reason


def drive_is_mounted() -> bool:
    """By the mount table: touching a dead mount may block."""
    return _is_mounted(MOUNTS, POINT)


def _is_mounted(mounts: str, point: str) -> bool:
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            return any(line.split(" ")[1:2] == [point] for line in file)
    except OSError:
        return True


def _flush(deadline_s: float, program: str) -> Any:
    """In the child: with Colab's own function where it can be imported."""
    try:
        from google.colab import drive  # type: ignore[import-not-found,unused-ignore]
    except Exception:  # Whatever a job has done to the packages of this machine.
        if not os.access(program, os.X_OK):
            return ABSENT
        return _run(program, deadline_s)
    drive.flush_and_unmount(timeout_ms=int(deadline_s * 1000))
    return FLUSHED


def _run(program: str, deadline_s: float) -> str:
    import subprocess

    argv = [program, "--push_changes_and_quit", "--single_process", f"--timeout_sec={int(deadline_s)}"]
    ran = subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, timeout=deadline_s, check=False)
    if ran.returncode:
        said = ran.stderr.decode("utf-8", "replace").strip()[-300:]
        raise ChildProcessError(f"exit code {ran.returncode}: {said}" if said else f"code {ran.returncode}")
    return FLUSHED
