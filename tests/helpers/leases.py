"""What tests leave in the folder of the leases, which all of this machine share."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

from launcher.release import lease, marks


def forget_runs_of(folder: Path) -> None:
    """The state folders below `folder` are gone, and so are all processes: nobody has to end these runs."""
    for note, _ in marks.runs():
        if note.home.startswith(str(folder)):
            with suppress(FileNotFoundError):
                (Path(lease.FOLDER) / marks.file_name(note)).unlink()


def forget_holds_of(folder: Path) -> None:
    """What was made below `folder` is nobody's any more: it keeps no release of later tests."""
    for path in Path(lease.FOLDER).glob("*.hold"):
        with suppress(OSError):
            if str(folder) in path.read_text("utf-8"):
                path.unlink()


def forget_target(target: str) -> None:
    """Ports come again: what an earlier test said about this address does not hold any more."""
    for path in Path(lease.FOLDER).glob(f"{lease.key(target)}.*"):
        if path.suffix != ".lock":
            with suppress(FileNotFoundError):
                path.unlink()
