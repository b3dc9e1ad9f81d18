"""The lease of this machine: every run holds it shared, a release needs it alone.

A `flock` on a file in one fixed local folder, keyed by boot id and release target, so that runs of
all users and of all state folders meet there. The kernel drops it when its last holder dies: it is
never stale. Watcher and guard share one, by fork: `close` is for one of them, `unlock` for both. A
shared lock is never upgraded: it is lost when the upgrade fails.

What goes with one release may be less than the machine (a Slurm allocation), or the address of it may not be
known (ANY_TARGET). So every run holds the lease of the whole machine as well, shared, and who takes the whole
machine needs that one alone.
"""

from __future__ import annotations

import binascii
import fcntl
import os
import stat
import time
from contextlib import suppress

from launcher.errors import StateFolderError
from launcher.release import place
from launcher.release.protocol import Others
from launcher.words import reason, words

Folder = os.PathLike[str] | str
FOLDER = place.FOLDER
# The target of what takes the whole machine with it.
MACHINE = ""
# How the target of an allocation begins; its number follows.
PART_OF_MACHINE = "slurm:"
# The lease of a run on a runtime whose address it was not told: every release looks whether one is held.
ANY_TARGET = "*"
# Held by every release that is in flight: such a run looks whether there is one.
RELEASES = "* releases"
ASKING_S = 0.4
# Guards that only look hold the lease alone for a moment: a start waits that out.
START_PATIENCE_S = 0.6
# Likewise, who looks may meet another who does: a run is one that is seen for longer than that.
LOOK_PATIENCE_S = 0.06


def boot_id() -> str:
    """The kernel's id of this boot; a constant where there is none."""
    try:
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return "no-boot-id"


def is_part(target: str) -> bool:
    """Is it less than the machine, such as a Slurm allocation?"""
    return target.startswith(PART_OF_MACHINE)


def boot_key() -> str:
    """The first part of the names of all files about this boot."""
    # Not a digest: OpenSSL would take 3 MB in every guard. Two targets that meet by chance only wait more.
    return f"{binascii.crc32(boot_id().encode()):08x}"


def key(target: str) -> str:
    """The first part of the names of all files about this boot and this release target."""
    return f"{boot_key()}-{binascii.crc32(target.encode()):08x}"


class Lease:
    """Held locks; `close` gives them up."""

    def __init__(self, descriptors: list[int]) -> None:
        self._descriptors = descriptors

    @property
    def fds(self) -> tuple[int, ...]:
        """What a forked process keeps open to hold it too."""
        return tuple(self._descriptors)

    def close(self) -> None:
        """Give the lease up; twice does no harm. Processes forked meanwhile that kept `fds` still hold it."""
        while self._descriptors:
            os.close(self._descriptors.pop())

    def unlock(self) -> None:
        """Give the lease up for every process that shares it by fork."""
        for descriptor in self._descriptors:
            fcntl.flock(descriptor, fcntl.LOCK_UN)
        self.close()


def hold_shared(target: str, folder: Folder = FOLDER) -> Lease | None:
    """The lease of a run; None while a release of this runtime is in flight. Raises StateFolderError."""
    give_up = time.monotonic() + START_PATIENCE_S
    while (lease := _hold_shared(target, folder)) is None and time.monotonic() < give_up:
        time.sleep(START_PATIENCE_S / 30)
    return lease


def _hold_shared(target: str, folder: Folder) -> Lease | None:
    machine = () if target == MACHINE else ((MACHINE, fcntl.LOCK_SH),)
    lease = _hold(folder, (target, fcntl.LOCK_SH), *machine)
    if lease is not None and target == ANY_TARGET and not _nobody_holds(folder, RELEASES):
        lease.close()
        return None
    return lease


def hold_alone(target: str, folder: Folder = FOLDER) -> Lease | None:
    """The lease of a release; None while any run, or another release of `target`, holds it.

    Raises StateFolderError.
    """
    # Before it is taken too: what takes long here must not look like a release to those who start.
    if not _nobody_holds(folder, ANY_TARGET):
        return None
    lease = _hold(folder, (target, fcntl.LOCK_EX), (RELEASES, fcntl.LOCK_SH))
    if lease is not None and not _nobody_holds(folder, ANY_TARGET):
        lease.close()
        return None
    return lease


def others(target: str, folder: Folder = FOLDER) -> Others:
    """Who holds the lease of `target` just now. Raises StateFolderError."""
    give_up = time.monotonic() + LOOK_PATIENCE_S
    while True:
        alone = hold_alone(target, folder)
        if alone is not None:
            alone.close()
            return Others.NONE
        shared = _lock(folder, target, fcntl.LOCK_SH)
        if shared is None:
            return Others.RELEASE
        os.close(shared)
        if time.monotonic() > give_up:
            return Others.RUN
        time.sleep(LOOK_PATIENCE_S / 6)


def _hold(folder: Folder, *locks: tuple[str, int]) -> Lease | None:
    lease = Lease([])
    for target, kind in locks:
        descriptor = _lock(folder, target, kind)
        if descriptor is None:
            lease.close()
            return None
        lease._descriptors.append(descriptor)
    return lease


def _nobody_holds(folder: Folder, target: str) -> bool:
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


def _lock(folder: Folder, target: str, kind: int) -> int | None:
    opened = open_folder(folder)
    try:
        descriptor = _open_file(f"{key(target)}.lock", opened)
    except OSError as error:
        raise unusable(error, folder) from error
    finally:
        os.close(opened)
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def open_folder(folder: Folder = FOLDER) -> int:
    """A descriptor of the folder, which all users share as they share /tmp (sticky); never through a link.

    Raises StateFolderError.
    """
    umask = os.umask(0)
    try:
        with suppress(FileExistsError):
            os.mkdir(folder, stat.S_ISVTX | 0o777)
        return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        raise unusable(error, folder) from error
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


def unusable(error: OSError, folder: Folder = FOLDER) -> StateFolderError:
    """What is said where the folder of the leases cannot be used."""
    return StateFolderError(
        words("the lease folder {folder} cannot be used: {why}", folder=folder, why=reason(error.strerror)),
        words("make it writable for all users: mkdir -m 1777 -p {folder}", folder=folder),
    )
