"""What runs, guards and people leave beside the leases for each other to read.

Three kinds of small JSON files, 0644, named by boot and release target, so that they meet whatever
their user and state folder: a *run note* for each run (locked by its watcher and guard: a note that
nobody holds is of a run that both have left behind), *keeps* (somebody wants the machine for a while)
and *accepted* marks (a request was accepted; if a guard's, it looks after the rest). Files of other users
count, for no more than what they are: reasons to wait. Times are CLOCK_BOOTTIME, which runs on in a
suspended machine, as the bill does.
"""

from __future__ import annotations

import binascii
import fcntl
import math
import os
import time
from dataclasses import asdict, dataclass, replace

from launcher.release import lease
from launcher.release.mark_files import (
    LARGEST,
    beside,
    locked,
    names_it,
    number,
    open_mark,
    parsed,
    paths,
    read_mark,
    remove,
    write_mark,
    write_whole,
)

# A later line of a run note: nothing of the job lives, and its results are where they belong.
_OVER = b"over\n"
# Who looks at a note holds it for a moment; who takes it over waits that out.
_LOOKING_S = 0.4
# By whom a keep is that a press of stop set.
PRESSED_STOP = "stop"
# Whoever stops a run or a countdown has the runtime for this long, whatever other guards want.
KEEP_AFTER_STOP_S = 1800.0


def boottime() -> float:
    """Seconds since the boot, suspended ones included."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


# --- runs -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class RunNote:
    """One run of this boot. `home` is its state folder, `uid` who it belongs to, `target` as leases have it.

    `over`: its guard has said that nothing of the job is left at work. `watch`: it never had one, and nobody
    has to wait for it. When a note is read, `uid` is the owner of the file, whatever the file says.
    """

    run_id: str
    home: str
    name: str
    uid: int
    target: str
    over: bool = False
    watch: bool = False


class Announced:
    """A run note that we hold: for others, somebody guards the run. Forked processes share it by `fds`."""

    def __init__(self, path: str, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    @property
    def fds(self) -> tuple[int, ...]:
        """What a second process keeps open, so that the note is held as long as either lives."""
        return () if self._descriptor < 0 else (self._descriptor,)

    def over(self) -> None:
        """Say that nothing of the job is at work any more. To be called *before* the lease is given up.

        A process that dies gives up its lease and its note one after the other: in between, who holds the
        lease alone would see a run that is guarded and holds no lease, and could not tell it from one that
        counts down.
        """
        if self._descriptor >= 0:
            try:
                os.write(self._descriptor, _OVER)
            except OSError:
                return  # Another user's, or a full disk: the run goes on counting as one at work.

    def withdraw(self) -> None:
        """The run has ended in every respect: remove the note, then let it go."""
        if self._descriptor >= 0 and names_it(self.path, self._descriptor):
            remove(self.path)
        self.close()

    def close(self) -> None:
        """Let go without removing it; the run is left behind once nobody else holds it either."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def announce(target: str, note: RunNote, *, folder: lease.Folder = lease.FOLDER) -> Announced:
    """Make the note of a run, already locked when it appears. Raises OSError and StateFolderError."""
    os.close(lease.open_folder(folder))
    note = replace(note, target=target)
    document = {**asdict(note), "boot": lease.boot_id()}
    path = os.path.join(folder, file_name(note))
    with beside(path) as (temporary, descriptor):
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        write_whole(descriptor, document)
        os.rename(temporary, path)
        return Announced(path, os.dup(descriptor))


def take_over(note: RunNote, *, folder: lease.Folder = lease.FOLDER) -> Announced | None:
    """Become the guard of a run that was left behind; None if it is gone, or somebody else guards it."""
    path = os.path.join(folder, file_name(note))
    descriptor = open_mark(path, os.O_RDWR | os.O_APPEND)
    if descriptor is None:
        descriptor = open_mark(path, os.O_RDONLY)
    if descriptor is None:
        return None
    give_up = time.monotonic() + _LOOKING_S
    while not locked(descriptor, fcntl.LOCK_EX):
        if time.monotonic() > give_up or not locked(descriptor, fcntl.LOCK_SH):
            os.close(descriptor)
            return None
        fcntl.flock(descriptor, fcntl.LOCK_UN)
        time.sleep(_LOOKING_S / 20)
    if not names_it(path, descriptor):
        os.close(descriptor)
        return None
    return Announced(path, descriptor)


def runs(folder: lease.Folder = lease.FOLDER, *, tidy: bool = True) -> list[tuple[RunNote, bool]]:
    """Every run of this boot that has a note, oldest first, and whether somebody guards it.

    One that nobody guards is lost: its watcher and its guard are dead. Notes of other boots are removed,
    unless somebody only wants to look (not `tidy`).
    """
    found = [_look(path, tidy) for path in paths(folder, "", ".run")]
    return sorted((row for row in found if row is not None), key=lambda row: row[0].run_id)


def _look(path: str, tidy: bool) -> tuple[RunNote, bool] | None:
    descriptor = open_mark(path, os.O_RDONLY)
    if descriptor is None:
        return None
    try:
        # Before it is read: a note that is not held does not change any more.
        guarded = not locked(descriptor, fcntl.LOCK_SH)
        # It is removed before it is let go: one that is free and still has its name is lost.
        if not guarded and not names_it(path, descriptor):
            return None
        content = os.read(descriptor, LARGEST)
        uid = os.fstat(descriptor).st_uid
    except OSError:
        return None
    finally:
        os.close(descriptor)
    first, _, rest = content.partition(b"\n")
    document = parsed(first)
    if document.get("boot", lease.boot_id()) != lease.boot_id():
        if tidy:
            remove(path)
        return None
    run_id, home, name, target = (str(document.get(key)) for key in ("run_id", "home", "name", "target"))
    watch = document.get("watch") is True
    note = RunNote(run_id, home, name, uid, target, over=_OVER in rest, watch=watch)
    return (note, guarded) if os.path.basename(path) == file_name(note) else None


def file_name(note: RunNote) -> str:
    """The name of a run's note in the folder of the leases."""
    # Run ids are unique in one state folder.
    home = f"{binascii.crc32(note.home.encode()):08x}"
    return f"{lease.key(note.target)}.{note.run_id}.{home}.run"


# --- keep -----------------------------------------------------------------------------------------


def keep(
    target: str, seconds: float, by: str, *, folder: lease.Folder = lease.FOLDER, now: float | None = None
) -> None:
    """Nobody is to release this machine for `seconds`; of several keeps the longest counts.

    Raises OSError and StateFolderError.
    """
    at = boottime() if now is None else now
    for path in paths(folder, lease.key(target), ".keep"):
        if number(read_mark(path), "until") <= at:
            remove(path)
    # A file for each: nothing is read and written back, so none is lost.
    write_mark(folder, f"{lease.key(target)}.{os.urandom(8).hex()}.keep", {"until": at + seconds, "by": by})


def kept(
    target: str, *, but: str = "", folder: lease.Folder = lease.FOLDER, now: float | None = None
) -> float | None:
    """For how many seconds somebody still wants this machine; None if nobody does.

    A keep that was set by `but` is not counted.
    Who asked from a shell that knows no target, such as one behind ssh, is meant too; and who wants any part
    of the machine when it is to go as a whole.
    """
    at = boottime() if now is None else now
    starts = _keeps_of(target)
    keeps = [path for path in paths(folder, "", ".keep") if os.path.basename(path).startswith(starts)]
    told = [document for document in map(read_mark, keeps) if not but or document.get("by") != but]
    ends = [number(document, "until") for document in told]
    left = max(ends, default=at) - at
    return left if left > 0 else None


def _keeps_of(target: str) -> tuple[str, ...]:
    """How the names of keeps begin that hold the release of `target`."""
    if target == lease.MACHINE:
        return (f"{lease.boot_key()}-",)
    targets = (target, lease.ANY_TARGET, *((lease.MACHINE,) if lease.is_part(target) else ()))
    return tuple(f"{lease.key(one)}." for one in targets)


def drop_keep(target: str, *, by: str | None = None, folder: lease.Folder = lease.FOLDER) -> None:
    """Take back keeps, all that are ours to remove, or only those that were set `by` this."""
    # What a release of the machine was stopped by is kept for the machine.
    targets = (target, lease.MACHINE) if target == lease.ANY_TARGET else (target,)
    for path in (path for one in targets for path in paths(folder, lease.key(one), ".keep")):
        if by is None or read_mark(path).get("by") == by:
            remove(path)


# --- accepted -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Accepted:
    """A request was accepted `at` (seconds of CLOCK_BOOTTIME); `way` is what it ends.

    `watched`: a guard looks whether it goes, and asks again.
    """

    run_id: str
    nonce: str
    at: float
    way: str = ""
    watched: bool = True


def note_accepted(
    target: str,
    run_id: str,
    nonce: str,
    *,
    way: str = "",
    watched: bool = True,
    folder: lease.Folder = lease.FOLDER,
    now: float | None = None,
) -> None:
    """Tell other guards that they need not ask for the same. Raises OSError and StateFolderError."""
    at = boottime() if now is None else now
    document = {"run_id": run_id, "nonce": nonce, "at": at, "way": digest(way), "watched": watched}
    write_mark(folder, f"{lease.key(target)}.{nonce}.accepted", document)


def accepted(
    target: str,
    *,
    way: str = "",
    watched: bool = True,
    without: str = "",
    folder: lease.Folder = lease.FOLDER,
    now: float | None = None,
) -> Accepted | None:
    """The last one, `watched` or not, of what ends in this `way`, but not with the nonce `without`.

    One that ended a notebook's kernel is no reason for another not to end the machine.
    """
    marks, now = [], boottime() if now is None else now
    for document in map(read_mark, paths(folder, lease.key(target), ".accepted")):
        nonce, since = str(document.get("nonce")), number(document, "at", math.inf)
        same = document.get("way") == digest(way) and (document.get("watched") is not False) == watched
        if same and since <= now and nonce != without:
            marks.append(Accepted(str(document.get("run_id")), nonce, since, way, watched))
    return max(marks, key=lambda mark: mark.at, default=None)


def digest(way: str) -> str:
    """What stands for a way in a file that everybody may read: a command may hold a secret."""
    return f"{binascii.crc32(way.encode('utf-8', 'surrogateescape')):08x}"


def drop_accepted(target: str, nonce: str, *, folder: lease.Folder = lease.FOLDER) -> None:
    """The guard that was accepted ends without having released: others are to ask themselves again."""
    remove(os.path.join(folder, f"{lease.key(target)}.{nonce}.accepted"))
