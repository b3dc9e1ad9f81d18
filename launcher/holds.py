"""Runs whose release is held back: what each left that may exist only on this machine.

A hold is a file in the run's folder. It speaks against every later release of the same boot, whoever
asks for it, until its files are gone or somebody says `discard`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

from launcher.guard.folder import RunFolder, write_json
from launcher.release.lease import boot_id

if TYPE_CHECKING:
    from launcher.saving.interface import Unsaved

NOT_SAVED = "not-saved"


def note(folder: RunFolder, *, workdir: str, reason: str, unsaved: Unsaved | None) -> None:
    """Write the hold of a run; `unsaved` are the files that it is about, if it is. Raises OSError."""
    document = {
        "boot_id": boot_id(),
        "reason": reason,
        "workdir": workdir,
        "files": [path for path, _ in unsaved.files] if unsaved else [],
    }
    write_json(folder.hold, document)


def waiting(home: str, *, without: str = "") -> str:
    """A sentence about what a held run of this boot left, newest first; empty if nothing is there.

    `home` is the state folder, `without` the id of a run that is not asked about.
    """
    runs = os.path.join(home, "runs")
    for run_id in sorted(os.listdir(runs) if os.path.isdir(runs) else (), reverse=True):
        hold = _read(RunFolder(os.path.join(runs, run_id)).hold)
        if run_id != without and hold.get("boot_id") == boot_id():
            sentence = _sentence(run_id, hold)
            if sentence:
                return sentence
    return ""


def _sentence(run_id: str, hold: dict[str, object]) -> str:
    if hold.get("reason") == NOT_SAVED:
        return f"outputs of the run {run_id} could not be saved"
    workdir, files = str(hold.get("workdir")), hold.get("files")
    there = [path for path in files if _is_there(workdir, path)] if isinstance(files, list) else []
    if not there:
        return ""
    count = "1 file" if len(there) == 1 else f"{len(there)} files"
    return f"{count} of the run {run_id} may exist only here, under {workdir}"


def _is_there(workdir: str, path: str) -> bool:
    return os.path.lexists(os.path.join(workdir, path))


def _read(path: str) -> dict[str, object]:
    try:
        with open(path, encoding="utf-8") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}
