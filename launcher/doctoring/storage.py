"""The state folder and its ledger, free room, and Drive. Whatever is written here is removed at once."""

from __future__ import annotations

import os
import stat
import tempfile
from typing import TYPE_CHECKING, NamedTuple

from launcher.doctoring.around import nearest
from launcher.doctoring.machine import MOST_APART_S, file_apart
from launcher.doctoring.model import Row, absent, bad, good, unsure
from launcher.ledger import place
from launcher.ledger.model import LedgerUnusable
from launcher.ledger.store import inspect
from launcher.values import format_size
from launcher.words import alternated, reason, words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from launcher.doctoring.around import Around
    from launcher.words import Text

# Enough for logs and records of many runs; below it a run may lose its own.
LEAST_BYTES = 100 * 10**6
LEAST_FILES = 1000
ELSEWHERE = words("name another folder: {command}", command="export COLAB_RUN_HOME=$PWD/colab-run")


# --- state folder -------------------------------------------------------------------------------------


class Folder(NamedTuple):
    """A state folder as it was found. `made`: it is there; `why` it cannot be written to, or empty."""

    path: str
    made: bool
    ours: bool
    mode: int
    kind: str | None
    why: str
    free_bytes: int


def state_rows(around: Around) -> list[Row]:
    """Writes a file of a few bytes where the state folder is or would be, and removes it."""
    if around.home is None:
        return [judge_state(None)]
    found, runs = _folder(around.home), os.path.join(around.home, "runs")
    # What runs leave lies one folder below.
    inner = _folder(runs) if not found.why and os.path.lexists(runs) else found
    return [judge_state(inner if inner.why else found)]


def _folder(home: str) -> Folder:
    made = os.path.lexists(home)
    there = nearest(home)
    status, room = os.stat(there), os.statvfs(there)
    free = room.f_bavail * room.f_frsize
    why = "Not a directory" if _blocked(home, there) else _unwritable(there)
    return Folder(
        home,
        made,
        status.st_uid == os.geteuid(),
        stat.S_IMODE(status.st_mode),
        _kind(there),
        why,
        free,
    )


def _blocked(home: str, there: str) -> bool:
    """Is something in the way that is no folder, at `home` or between it and the folder `there` above it?"""
    while home not in (there, os.path.dirname(home)):
        if os.path.lexists(home):
            return True
        home = os.path.dirname(home)
    return False


def _kind(path: str) -> str | None:
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
            return place.file_system_of(os.path.realpath(path), file.read())
    except OSError:
        return None


def _unwritable(folder: str) -> str:
    """Why a small file cannot be brought to the disk there; empty if it can."""
    try:
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".colab-run-doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.strerror or type(error).__name__
    return ""


def judge_state(folder: Folder | None) -> Row:
    """It has to be ours, on a disk of this machine, with room."""
    if folder is None:
        fix = words("set COLAB_RUN_HOME to a folder of yours")
        return bad("state", words("there is no home folder"), fix)
    shown = folder.path
    if folder.why:
        told = words("{folder} cannot be written to: {why}", folder=shown, why=reason(folder.why))
        if folder.why == os.strerror(28):
            return bad("state", told, words("free some room, or name another folder in COLAB_RUN_HOME"))
        return bad("state", told, ELSEWHERE)
    if place.is_network(folder.kind):
        told = words("{folder} is on a network file system ({kind})", folder=shown, kind=folder.kind)
        return bad("state", told, ELSEWHERE)
    if folder.made and not folder.ours:
        return bad("state", words("{folder} belongs to another user", folder=shown), ELSEWHERE)
    if folder.made and folder.mode & 0o022:
        told = words("other users may write to {folder}", folder=shown)
        return bad("state", told, words("close it: {command}", command=f"chmod 700 {shown}"))
    if folder.free_bytes < LEAST_BYTES:
        told = words("{folder} has {size} left", folder=shown, size=format_size(folder.free_bytes))
        return bad("state", told, words("free some room, or name another folder in COLAB_RUN_HOME"))
    size = format_size(folder.free_bytes)
    if not folder.made:
        return good(
            "state", words("{folder} is not there yet, and can be made; {size} free", folder=shown, size=size)
        )
    return good("state", words("{folder}, {size} free", folder=shown, size=size))


# --- ledger -------------------------------------------------------------------------------------------

_NONE_YET = frozenset({"absent", "no-folder"})


def ledger_rows(around: Around) -> list[Row]:
    """Opens it to read, and looks over the whole file; makes none."""
    if around.home is None:
        return [judge_ledger("absent", 0)]
    path = os.path.join(around.home, place.DATABASE)
    in_use = os.path.lexists(f"{path}-wal")
    try:
        inspect(around.home)
    except LedgerUnusable as error:
        # Somebody began to write while we read.
        begun = error.reason == "corrupt" and os.path.lexists(f"{path}-wal") != in_use
        return [judge_ledger("locked" if begun else error.reason, 0)]
    return [judge_ledger("", os.stat(path).st_size)]


def judge_ledger(why: str, size: int) -> Row:
    """`why` is empty, or a reason of LedgerUnusable."""
    if not why:
        return good("ledger", words("opens and is whole, {size}", size=format_size(size)))
    if why in _NONE_YET:
        return absent("ledger", words("none yet: the first run begins it"))
    if why == "corrupt":
        begin = words(
            "start any run: it puts the damaged one aside and begins a new one: {command}",
            command="colab-run exec -- true",
        )
        return bad("ledger", words("it is damaged"), begin)
    if why == "newer-schema":
        fix = words("update colab-run: {command}", command="pip install -U colab-run")
        return bad("ledger", words("a newer version of colab-run has written it"), fix)
    if why == "locked":
        return unsure("ledger", words("another process has it locked"), words("try again in a minute"))
    return bad("ledger", words("it cannot be read ({reason})", reason=why), ELSEWHERE)


# --- room ---------------------------------------------------------------------------------------------


class Room(NamedTuple):
    """What is left on the disk of one place; `files` is None where the file system counts none."""

    place: Text
    free_bytes: int
    files: int | None


def disk_rows(around: Around) -> list[Row]:
    """The folder that we are in, /tmp, and the state folder: each disk once."""
    places: list[tuple[Text, str]] = [(words("this folder"), around.workdir), ("/tmp", around.temporary)]  # noqa: S108
    if around.home is not None:
        places.append((words("state folder"), nearest(around.home)))
    return [judge_disk([room for name, folder in places if (room := _room(name, folder)) is not None])]


def _room(name: Text, folder: str) -> Room | None:
    try:
        status = os.statvfs(folder)
    except OSError:
        return None
    return Room(name, status.f_bavail * status.f_frsize, status.f_favail if status.f_files else None)


def judge_disk(rooms: Sequence[Room]) -> Row:
    """Too little of bytes or of files."""
    if not rooms:
        fix = words("go to a folder that exists, and try again")
        return unsure("disk", words("no folder can be looked at"), fix)
    for room in rooms:
        if room.free_bytes < LEAST_BYTES:
            told = words("{place}: {size} left", place=room.place, size=format_size(room.free_bytes))
            return bad(
                "disk",
                told,
                words("delete what nobody needs: {command}", command="du -xh / | sort -h | tail"),
            )
        if room.files is not None and room.files < LEAST_FILES:
            told = words("{place}: room for {count} more files", place=room.place, count=room.files)
            fix = words("delete small files that nobody needs, such as caches: {command}", command="df -i")
            return bad("disk", told, fix)
    shown = alternated(
        words("{place}: {size} free", place=room.place, size=format_size(room.free_bytes)) for room in rooms
    )
    return good("disk", shown)


# --- Drive --------------------------------------------------------------------------------------------

REMOUNT = words("mount it again: {command}", command="drive.mount('/content/drive', force_remount=True)")


class Drive(NamedTuple):
    """Drive as it answered: why it cannot be written to, its room, how far off its clock is (or None)."""

    why: str
    free_bytes: int
    apart_s: float | None


def drive_rows(around: Around) -> list[Row]:
    """Writes a file of a few bytes and removes it. May hang: a Drive that is gone does."""
    if not around.platform.drive_mounted:
        return [judge_drive(None, on_colab=around.platform.on_colab)]
    folder = os.path.join(around.drive, "MyDrive")
    if not os.path.isdir(folder):
        folder = around.drive
    why = _unwritable(folder)
    status = os.statvfs(folder)
    drive = Drive(why, status.f_bavail * status.f_frsize, None if why else file_apart(folder))
    return [judge_drive(drive, on_colab=around.platform.on_colab)]


def judge_drive(drive: Drive | None, *, on_colab: bool) -> Row:
    """None: it is not mounted, which is only amiss for a job that wants to save there."""
    if drive is None:
        if on_colab:
            return absent("drive", words("not mounted: outputs cannot go there"))
        return absent("drive", words("not mounted"))
    if drive.why:
        told = words("mounted, and cannot be written to: {why}", why=reason(drive.why))
        return bad("drive", told, REMOUNT)
    if drive.free_bytes < LEAST_BYTES:
        told = words("mounted, and {size} left", size=format_size(drive.free_bytes))
        return bad("drive", told, words("delete files in Drive, and empty its bin"))
    size = format_size(drive.free_bytes)
    if drive.apart_s is not None and abs(drive.apart_s) > MOST_APART_S:
        told = words(
            "the times of its files are {seconds} s away from the clock", seconds=f"{drive.apart_s:.0f}"
        )
        return bad(
            "drive", told, words("set the clock of this machine, or that of the server of those files")
        )
    return good("drive", words("mounted, can be written to, {size} free", size=size))
