"""Who works on which GPU: one lock file for each, beside the leases, where the runs of all users meet.

Locks of the open file (OFD), not of the process: processes that share a descriptor by fork hold them
together, the last of them to end lets go, and anybody can look who is there without taking anything. A lock
file holds the id of the run that took it last; it means something only while somebody holds the lock.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from launcher.release import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

# Whoever chooses holds this for a moment, so that two who choose at once see each other.
_CHOOSING = "choosing"
CHOOSING_PATIENCE_S = 3.0
_PAUSE_S = 0.02
_LONGEST_ID = 128
_ID = re.compile(r"[\w.-]+", re.ASCII)
# struct flock with 64-bit offsets: type, whence, start, length, pid.
_FLOCK = struct.Struct("hhqqi4x")


def file_name(uuid: str) -> str:
    """The lock file of one GPU in the folder of the leases."""
    safe = "".join(letter if letter.isalnum() or letter == "-" else "_" for letter in uuid)
    return f"{lease.boot_key()}.{safe}.gpu"


@contextmanager
def choosing(folder: lease.Folder = lease.FOLDER) -> Iterator[None]:
    """Nobody else chooses meanwhile; one that holds this for ever is not waited for.

    Raises StateFolderError.
    """
    descriptor = _open(_CHOOSING, folder)
    try:
        give_up = time.monotonic() + CHOOSING_PATIENCE_S
        while not _lock(descriptor, fcntl.F_WRLCK) and time.monotonic() < give_up:
            time.sleep(_PAUSE_S)
        yield
    finally:
        os.close(descriptor)


def take(uuid: str, run_id: str, *, shared: bool = False, folder: lease.Folder = lease.FOLDER) -> int | None:
    """A descriptor that holds the GPU; None where somebody else does. `shared`: beside whoever it may be.

    Who shares has a lock of its own, which keeps the GPU also when the run beside it ends.
    Close-on-exec: whoever is forked keeps the claim, a job that is executed does not.

    Raises StateFolderError.
    """
    descriptor = _open(_shared(uuid) if shared else uuid, folder)
    held = _lock(descriptor, fcntl.F_RDLCK if shared else fcntl.F_WRLCK)
    if not held or (not shared and _who_holds(_shared(uuid), folder) is not None):
        os.close(descriptor)
        return None
    with suppress(OSError):  # A full disk: it is held, and nobody can say by whom.
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, run_id.encode()[:_LONGEST_ID], 0)
    return descriptor


def holder(uuid: str, *, folder: lease.Folder = lease.FOLDER) -> str | None:
    """The id of a run that has this GPU (empty: nobody knows which); None where nobody has it.

    Takes nothing. Raises StateFolderError.
    """
    alone = _who_holds(uuid, folder)
    return _who_holds(_shared(uuid), folder) if alone is None else alone


def _shared(uuid: str) -> str:
    return f"{uuid}-shared"


def _who_holds(name: str, folder: lease.Folder) -> str | None:
    descriptor = _open(name, folder)
    try:
        asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        found, *_ = _FLOCK.unpack(fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked))
        if found == fcntl.F_UNLCK:
            return None
        run_id = os.pread(descriptor, _LONGEST_ID, 0).decode("ascii", "replace")
        # Written by another user, perhaps, and shown to this one.
        return run_id if _ID.fullmatch(run_id) else ""
    finally:
        os.close(descriptor)


def _lock(descriptor: int, kind: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(kind, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):  # POSIX allows EACCES as well as EAGAIN.
        return False
    return True


def _open(uuid: str, folder: lease.Folder) -> int:
    """The lock file, writable for all: an exclusive lock needs a descriptor for writing."""
    opened = lease.open_folder(folder)
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        while True:
            # Without O_CREAT first: in a sticky folder Linux refuses that for another user's file.
            with suppress(FileNotFoundError):
                descriptor = os.open(file_name(uuid), flags, dir_fd=opened)
                break
            with suppress(FileExistsError):
                descriptor = os.open(file_name(uuid), flags | os.O_CREAT | os.O_EXCL, 0o666, dir_fd=opened)
                os.fchmod(descriptor, 0o666)  # Whatever the umask.
                break
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise OSError(0, "not a regular file")
    except OSError as error:
        raise lease.unusable(error, folder) from error
    finally:
        os.close(opened)
    return descriptor
