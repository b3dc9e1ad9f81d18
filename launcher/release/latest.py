"""Which run of this machine has said last what is to become of it when it is idle.

The guard of a run waits for idleness for hours, and somebody who runs ten jobs in a notebook wants one guard
to wait, by the last job's word: also where that was to release nothing. Last is whose job has ended last, on
a clock that nobody sets. Each user has a file; only root's and one's own are believed, for what another user
says must not end a wait.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from launcher.release import lease
from launcher.release.mark_files import number, read_mark, write_mark


class Word(NamedTuple):
    """The job of this run ended `at` (seconds of CLOCK_BOOTTIME)."""

    at: float = 0.0
    run_id: str = ""


def say(target: str, word: Word, *, folder: lease.Folder = lease.FOLDER) -> None:
    """The run's word counts now, unless a newer one has spoken. Raises OSError and StateFolderError."""
    if said(target, folder=folder) < word:
        write_mark(folder, _name(target, os.geteuid()), word._asdict())


def said(target: str, *, folder: lease.Folder = lease.FOLDER) -> Word:
    """What was said last; the empty word if nothing was."""
    return max(_read(os.path.join(folder, _name(target, uid)), uid) for uid in {0, os.geteuid()})


def _read(path: str, uid: int) -> Word:
    try:
        if os.lstat(path).st_uid != uid:
            return Word()
    except OSError:
        return Word()
    found = read_mark(path)
    run_id = found.get("run_id")
    return Word(number(found, "at"), run_id if isinstance(run_id, str) else "")


def _name(target: str, uid: int) -> str:
    return f"{lease.key(target)}.{uid}.latest"
