"""The lease of this machine: every run holds it shared, a release needs it alone.

A `flock` on a file in one fixed local folder, keyed by boot id and release target, so that runs of
all users and of all state folders meet there. The kernel drops it when its holder dies: it is never
stale. It is only ever closed: unlocking it would unlock it for a forked child too, and a shared lock
that is upgraded is lost when the upgrade fails.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import stat
from pathlib import Path

from launcher.errors import StateFolderError
from launcher.words import reason, words

# Not from TMPDIR: that differs between the users and cells that have to meet here.
# The lease of a run on a runtime whose address it was not told.
ANY_TARGET = "*"
FOLDER = Path("/tmp/colab-run.leases")  # noqa: S108 - see _open_folder


def boot_id() -> str:
    """The kernel's id of this boot; a constant where there is none."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return "no-boot-id"


def key(target: str) -> str:
    """The first part of the names of all files about this boot and this release target."""
    return hashlib.sha256(f"{boot_id()}\n{target}".encode()).hexdigest()[:24]


class Lease:
    """Held locks; `close` gives them up."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    def close(self) -> None:
        """Give the lease up; twice does no harm."""
        while self._descriptors:
            os.close(self._descriptors.pop())


def hold_shared(target: str) -> Lease | None:
    """The lease of a run; None while a release of this runtime is in flight."""
    return _hold([target], fcntl.LOCK_SH)


def hold_alone(target: str) -> Lease | None:
    """The lease of a release; None while any run, or another release, holds it."""
    return _hold([target, ANY_TARGET], fcntl.LOCK_EX)


def _hold(targets: list[str], kind: int) -> Lease | None:
    lease = Lease([])
    for target in targets:
        descriptor = _lock(target, kind)
        if descriptor is None:
            lease.close()
            return None
        lease._descriptors.append(descriptor)
    return lease


def _lock(target: str, kind: int) -> int | None:
    folder = _open_folder()
    try:
        descriptor = _open_file(f"{key(target)}.lock", folder)
    finally:
        os.close(folder)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open_folder() -> int:
    """The folder, which all users share as they share /tmp (sticky); never through a link."""
    umask = os.umask(0)
    try:
        FOLDER.mkdir(mode=stat.S_ISVTX | 0o777, exist_ok=True)
        return os.open(FOLDER, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(error) from error
    finally:
        os.umask(umask)


def _open_file(name: str, folder: int) -> int:
    """The lock file; reading is enough for a lock, so it may belong to another user."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        while True:
            try:
                return os.open(name, flags, dir_fd=folder)
            except FileNotFoundError:
                pass
            try:
                return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
            except FileExistsError:
                continue  # Somebody else made it just now.
    except OSError as error:
        raise _unusable(error) from error


def _unusable(error: OSError) -> StateFolderError:
    return StateFolderError(
        words("the lease folder {folder} cannot be used: {why}", folder=FOLDER, why=reason(error.strerror)),
        words("make it writable for all users: mkdir -m 1777 -p {folder}", folder=FOLDER),
    )
