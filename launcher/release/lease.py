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
import time
from pathlib import Path

from launcher.errors import StateFolderError
from launcher.words import reason, words

# Not from TMPDIR: that differs between the users and cells that have to meet here.
# The lease of a run on a runtime whose address it was not told: every release looks whether one is held.
ANY_TARGET = "*"
# Held by every release that is in flight: such a run looks whether there is one.
RELEASES = "* releases"
ASKING_S = 0.4
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


def hold_shared(target: str, folder: Path = FOLDER) -> Lease | None:
    """The lease of a run; None while a release of this runtime is in flight."""
    lease = _hold(folder, (target, fcntl.LOCK_SH))
    if lease is not None and target == ANY_TARGET and not _nobody_holds(folder, RELEASES):
        lease.close()
        return None
    return lease


def hold_alone(target: str, folder: Path = FOLDER) -> Lease | None:
    """The lease of a release; None while any run, or another release of `target`, holds it."""
    lease = _hold(folder, (target, fcntl.LOCK_EX), (RELEASES, fcntl.LOCK_SH))
    if lease is not None and not _nobody_holds(folder, ANY_TARGET):
        lease.close()
        return None
    return lease


def _hold(folder: Path, *locks: tuple[str, int]) -> Lease | None:
    lease = Lease([])
    for target, kind in locks:
        descriptor = _lock(folder, target, kind)
        if descriptor is None:
            lease.close()
            return None
        lease._descriptors.append(descriptor)
    return lease


def _nobody_holds(folder: Path, target: str) -> bool:
    """Is there no holder just now? Asked a few times: whoever else asks holds it for a moment itself."""
    deadline = time.monotonic() + ASKING_S
    while True:
        descriptor = _lock(folder, target, fcntl.LOCK_EX)
        if descriptor is not None:
            os.close(descriptor)
            return True
        if time.monotonic() > deadline:
            return False
        time.sleep(ASKING_S / 20)


def _lock(folder: Path, target: str, kind: int) -> int | None:
    opened = _open_folder(folder)
    try:
        descriptor = _open_file(f"{key(target)}.lock", opened)
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        os.close(opened)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _open_folder(folder: Path) -> int:
    """The folder, which all users share as they share /tmp (sticky); never through a link."""
    umask = os.umask(0)
    try:
        folder.mkdir(mode=stat.S_ISVTX | 0o777, exist_ok=True)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise _unusable(folder, error) from error
    finally:
        os.umask(umask)


def _open_file(name: str, folder: int) -> int:
    """The lock file; reading is enough for a lock, so it may belong to another user."""
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
    while True:
        try:
            return os.open(name, flags, dir_fd=folder)
        except FileNotFoundError:
            pass
        try:
            return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o644, dir_fd=folder)
        except FileExistsError:
            continue  # Somebody else made it just now.


def _unusable(folder: Path, error: OSError) -> StateFolderError:
    return StateFolderError(
        words("the lease folder {folder} cannot be used: {why}", folder=folder, why=reason(error.strerror)),
        words("make it writable for all users: mkdir -m 1777 -p {folder}", folder=folder),
    )
