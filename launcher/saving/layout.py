"""What lies at a folder target, beside the output itself, and who may touch it.

<to>/<name>                        the output, where people look for it
<to>/.colab-run/<name>/saved.json  the manifest of the last complete saved state
                       commit.json a state that is being put in place: followed to its end by anyone
                       known.json  what the last run verified: saves work, is never believed alone
                       staged/RUN/ files on their way, whole when commit.json names them
                       kept/       earlier versions that saved.json still needs
                       lock        held while a state is put in place
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import stat
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from launcher.saving.model import MANIFEST, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator

LOCK_LOOKS_S = 0.05
# How file systems say that they have no locks; NFS has none on what is open for reading (EBADF).
_NO_LOCKS = (
    errno.EBADF,
    errno.ENOSYS,
    errno.EOPNOTSUPP,
    errno.ENOLCK,
    errno.EINVAL,
    errno.EPERM,
    errno.EROFS,
)
# Where there are no locks, what nobody touched for so long belongs to nobody.
_ABANDONED_S = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class Layout:
    """The places of one output at one target. `folder` is absolute."""

    folder: str
    name: str

    @property
    def root(self) -> str:
        """The output itself."""
        return os.path.join(self.folder, self.name)

    @property
    def ours(self) -> str:
        """Everything else of this output."""
        return os.path.join(self.folder, OURS, self.name)

    @property
    def manifest(self) -> str:
        """The last complete state."""
        return os.path.join(self.ours, MANIFEST)

    @property
    def commit(self) -> str:
        """A state on its way into place."""
        return os.path.join(self.ours, "commit.json")

    @property
    def known(self) -> str:
        """What the last run verified."""
        return os.path.join(self.ours, "known.json")

    @property
    def all_staged(self) -> str:
        """A folder for every run that is saving."""
        return os.path.join(self.ours, "staged")

    def staged(self, run_id: str) -> str:
        """Files of one run on their way."""
        return os.path.join(self.all_staged, run_id)

    @property
    def kept(self) -> str:
        """Earlier versions, by their sha256."""
        return os.path.join(self.ours, "kept")

    def final(self, path: str) -> str:
        """Where a path of the output lies at the target."""
        return f"{self.folder}/{self.name}/{path}" if path else self.root

    def problem(self) -> str:
        """Why this cannot be the name of an output; empty if it can."""
        bad = not self.name or "/" in self.name or self.name in (".", "..", OURS)
        return f"an output cannot be called {self.name!r}" if bad else ""

    def check(self, run_id: str = "") -> None:
        """Raises OSError if a link leads from one of our folders to somebody else's: nobody of us made it."""
        above = [os.path.join(self.folder, OURS), self.ours, self.all_staged, self.kept]
        for folder in (*above, self.staged(run_id)):
            try:
                status = os.lstat(folder)
            except (FileNotFoundError, NotADirectoryError):
                continue
            if stat.S_ISLNK(status.st_mode):
                raise OSError(None, "it is a link, and colab-run makes a folder here", folder)


@contextmanager
def locked(folder: str) -> Iterator[None]:
    """Alone in `folder`, by a lock on a file in it; waits. OSError if the file cannot be made.

    Where a file system has no locks everyone is let in.
    """
    descriptor = _open_lock(folder, os.O_CREAT)
    try:
        while not _flock(descriptor):
            time.sleep(LOCK_LOOKS_S)  # Who hangs at a dead target is ended by who waits for us.
        yield
    finally:
        os.close(descriptor)


def try_lock(folder: str) -> int | None:
    """The lock as `locked` takes it: a descriptor to be closed, None while somebody else holds it."""
    descriptor = _open_lock(folder, os.O_CREAT)
    try:
        if _flock(descriptor):
            return descriptor
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _flock(descriptor: int) -> bool:
    """Is it ours now? Where a file system has no locks, yes."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
    return True


def progress_of(folder: str) -> object:
    """Something that changes while files are staged there."""
    try:
        with os.scandir(folder) as entries:
            rows = [(entry.name, entry.stat(follow_symlinks=False)) for entry in entries]
    except OSError:
        return ()  # Somebody is removing it.
    return sorted((name, status.st_size, status.st_mtime_ns) for name, status in rows)


def _open_lock(folder: str, create: int = 0) -> int:
    """For reading where somebody else's (root's, once) may not be written: enough for a lock, mostly."""
    path = os.path.join(folder, "lock")
    flags = os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        return os.open(path, os.O_RDWR | create | flags, 0o666)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
            raise
    return os.open(path, os.O_RDONLY | flags)


def is_abandoned(folder: str) -> bool:
    """Does nobody hold the lock in `folder`, as far as can be told? For who holds the lock around it.

    A folder without a lock is being removed, or was not begun.
    """
    try:
        descriptor = _open_lock(folder)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    except BlockingIOError:
        return False
    except OSError:
        return _untouched(folder)
    finally:
        os.close(descriptor)


def _untouched(folder: str) -> bool:
    try:
        return time.time() - os.stat(folder).st_mtime > _ABANDONED_S
    except OSError:
        return False


def write_whole(path: str, document: Any) -> None:
    """Replace the JSON file at `path` in one step, durable before this returns. Raises OSError."""
    temporary = f"{path}.{os.getpid()}.new"
    try:
        remove(temporary)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(temporary, flags, 0o666), "w", encoding="ascii") as writer:
            writer.write(json.dumps(document, separators=(",", ":")))
            writer.flush()
            os.fsync(writer.fileno())
        os.replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    sync_folder(os.path.dirname(path))


def read_json(path: str) -> Any:
    """What lies there, or None for nothing. Raises ValueError for no JSON, OSError also for a link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        return None
    with open(descriptor, "rb") as reader:
        document = json.loads(reader.read())
    if document is None:
        raise ValueError("it says nothing")
    return document


def sync_folder(folder: str) -> None:
    """Make the names in `folder` durable, where the file system knows how. EIO and the like are raised."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    except OSError as error:
        # FUSE file systems refuse it; the files themselves were synced.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EBADF, errno.EPERM):
            raise
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """A file of ours that may have gone; one that cannot be removed stays."""
    try:
        os.unlink(path)
    except OSError:
        pass


def remove_tree(path: str) -> None:
    """A folder of ours, as far as it goes."""
    shutil.rmtree(path, ignore_errors=True)


def why(error: BaseException) -> str:
    """What went wrong, in the system's words."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else str(error)
