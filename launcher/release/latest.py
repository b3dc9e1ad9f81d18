"""Which run of this machine has said last what is to become of it when it is idle.

The guard of a run waits for idleness for hours, and somebody who runs ten jobs in a notebook wants one guard
to wait, by the last job's word: also where that was to release nothing.
"""

from __future__ import annotations

import os

from launcher.release import lease
from launcher.release.mark_files import read_mark, write_mark

_NAME = "latest"


def say(target: str, run_id: str, *, folder: lease.Folder = lease.FOLDER) -> None:
    """The run has ended, and its word counts now, unless a newer one has spoken.

    Raises OSError and StateFolderError.
    """
    if said(target, folder=folder) < run_id:
        write_mark(folder, _name(target), {"run_id": run_id})


def said(target: str, *, folder: lease.Folder = lease.FOLDER) -> str:
    """The id of the run that has spoken last (ids sort by time); empty if none has."""
    found = read_mark(os.path.join(folder, _name(target))).get("run_id")
    return found if isinstance(found, str) else ""


def _name(target: str) -> str:
    return f"{lease.key(target)}.{_NAME}"
