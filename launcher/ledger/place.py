"""May a ledger be in this folder? And the files of one: their names, making and putting aside."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time

from launcher.ledger.model import LedgerUnusable

DATABASE = "ledger.sqlite3"
# Beside the database while somebody has it open, and after whoever had it open was killed.
COMPANIONS = ("-wal", "-shm")

# A ledger in WAL mode is shared through mapped memory, which these do not have or do not keep in step.
# By the part before the first dot: `fuse.drive`, `fuse.sshfs`.
NETWORK = frozenset(
    {"9p", "afs", "beegfs", "ceph", "cifs", "coda", "davfs", "drvfs", "fuse", "fuseblk", "gfs2", "glusterfs"}
    | {"gpfs", "lustre", "ncpfs", "nfs", "nfs4", "ocfs2", "orangefs", "pvfs2", "smb3", "smbfs", "vboxsf"}
)
_ESCAPE = re.compile(r"\\([0-7]{3})")


def file_system_of(path: str, mountinfo: str) -> str | None:
    """The kind of file system that an absolute path without links is on; None if the table lacks it.

    `mountinfo` is the text of /proc/self/mountinfo.
    """
    kind, longest = None, -1
    for line in mountinfo.splitlines():
        before, separator, after = line.partition(" - ")
        place = before.split(" ")
        if not separator or len(place) < 5:
            continue
        point = _ESCAPE.sub(lambda match: chr(int(match.group(1), 8)), place[4])
        inside = path == point or path.startswith(point.rstrip("/") + "/")
        # Of two at the same point the later one covers the earlier one.
        if inside and len(point) >= longest:
            kind, longest = after.split(" ")[0], len(point)
    return kind


def is_network(kind: str | None) -> bool:
    """Is a file system of this kind one where a ledger does not work? One that is not known may be."""
    return kind is not None and kind.split(".")[0] in NETWORK


def check_place(home: str, *, writing: bool, mounts: str = "/proc/self/mountinfo") -> None:
    """Raise LedgerUnusable if a ledger cannot be in this folder, or what is there is not one of ours.

    `mounts` is the table of mounts; if it cannot be read, the folder counts as one of this machine.
    Looks without opening: to close a descriptor of a database would drop this process's locks on it.
    """
    try:
        status = os.stat(home)
    except OSError as error:
        raise LedgerUnusable("no-folder") from error
    if not stat.S_ISDIR(status.st_mode):
        raise LedgerUnusable("no-folder")
    if status.st_uid != os.geteuid():
        raise LedgerUnusable("not-ours")
    if is_network(_kind_of(home, mounts)):
        raise LedgerUnusable("network-file-system")
    if writing and not os.access(home, os.W_OK | os.X_OK):
        raise LedgerUnusable("read-only")
    path = os.path.join(home, DATABASE)
    found = [_check_file(path + ending) for ending in ("", *COMPANIONS)]
    if not writing and not found[0]:
        raise LedgerUnusable("absent")


def _kind_of(home: str, mounts: str) -> str | None:
    try:
        with open(mounts, encoding="utf-8", errors="surrogateescape") as file:
            return file_system_of(os.path.realpath(home), file.read())
    except OSError:
        return None


def _check_file(path: str) -> bool:
    """Is there a file? Raises LedgerUnusable for anything else."""
    try:
        status = os.lstat(path)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise LedgerUnusable("io-error") from error
    if stat.S_ISLNK(status.st_mode):
        raise LedgerUnusable("symlink")
    if not stat.S_ISREG(status.st_mode):
        raise LedgerUnusable("not-a-file")
    if status.st_uid != os.geteuid():
        raise LedgerUnusable("not-ours")
    return True


def make_file(path: str) -> None:
    """An empty file, 0600, unless there is one; SQLite gives its companions the same mode."""
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        os.close(os.open(path, flags, 0o600))
    except FileExistsError:
        if os.lstat(path).st_mode & 0o077:
            os.chmod(path, 0o600)


def identity(path: str) -> tuple[int, int] | None:
    """Device and inode, to tell whether a path still leads to the same file; None if to no file."""
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def lock(descriptor: int, kind: int, patience_s: float) -> None:
    """`flock` with a deadline, which it does not have of its own. Raises BlockingIOError, OSError."""
    deadline = time.monotonic() + patience_s
    while True:
        try:
            fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                raise
            time.sleep(0.005)  # Whoever has it needs a few milliseconds, or is stopped.
        else:
            return


def enter(home: str, kind: int, patience_s: float) -> int:
    """A descriptor of the folder with a lock on it: shared by all who use the ledger there.

    Whoever puts it aside has it alone. SQLite finds its companions by their names: one who still had the old
    ledger open would mix them up with those of the new one. Raises BlockingIOError, OSError.
    """
    descriptor = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        lock(descriptor, kind, patience_s)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def put_aside(path: str, judged: tuple[int, int] | None, patience_s: float) -> str | None:
    """Rename a damaged ledger to `ledger.sqlite3.corrupt-<wall>`; the new path, None if it was gone.

    `judged` is the identity of the file that was found damaged: when two processes find that at once,
    the second must not put aside what the first began anew. Raises BlockingIOError while others use it,
    and OSError.
    """
    descriptor = enter(os.path.dirname(path), fcntl.LOCK_EX, patience_s)
    try:
        if judged is None or identity(path) != judged:
            return None
        wall = int(time.time())
        while os.path.lexists(f"{path}.corrupt-{wall}"):
            wall += 1
        aside = f"{path}.corrupt-{wall}"
        # The file itself last: should we die in between, the next one still finds it damaged.
        for ending in (*COMPANIONS, ""):
            if os.path.lexists(path + ending):
                os.rename(path + ending, aside + ending)
        return aside
    finally:
        os.close(descriptor)


def remote_of(paths: tuple[str | None, ...]) -> str:
    """The first of these that lies on Drive or another network; empty if none does."""
    try:
        with open("/proc/self/mountinfo", encoding="utf-8", errors="replace") as file:
            mounts = file.read()
    except OSError:
        return ""
    return next((path for path in paths if path and is_network(file_system_of(path, mounts))), "")
