"""A folder of our own for as long as a save takes, and the tree of links that a tool is given to copy."""

from __future__ import annotations

import fcntl
import os
import stat
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

from launcher.saving.remote.model import ANOTHER_SAVE, ToolProblem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from launcher.saving.meter import Meter

# Another save of the same run may take long; the last one waits for it, rather than fail.
PATIENCE_S = 1800.0
WAIT_S = 0.5
_PREFIX = ".colab-run-"


@contextmanager
def scratch(parent: str, purpose: str) -> Iterator[str]:
    """A new private folder in `parent`, gone afterwards, as is what a killed one of that purpose left.

    A lock on the folder itself says that it is in use; the kernel takes it back when we are killed.
    """
    prefix = f"{_PREFIX}{_digest(purpose)}-"
    for name in os.listdir(parent):
        if name.startswith(prefix):
            _remove_if_left(os.path.join(parent, name))
    folder, lock = _own_folder(parent, prefix)
    try:
        yield folder
    finally:
        _remove(folder)
        os.close(lock)


@contextmanager
def alone(what: str, meter: Meter | None = None) -> Iterator[None]:
    """Be the only one of this user on this machine who does that; with a meter, wait until that is so.

    Raises ToolProblem while somebody is at it, after PATIENCE_S with a meter.

    By a name of the kernel's (an abstract socket), which ends with its process and leaves no file. Where
    there is no such thing everyone is let in.
    """
    import errno
    import socket

    name = f"\0colab-run-{os.geteuid()}-{_digest(what)}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as held:
        give_up = time.monotonic() + (0.0 if meter is None else PATIENCE_S)
        while True:
            try:
                held.bind(name)
                break
            except OSError as error:
                if error.errno != errno.EADDRINUSE:
                    break
                if meter is None or time.monotonic() > give_up:
                    raise ToolProblem(ANOTHER_SAVE) from error
            meter.add()
            time.sleep(WAIT_S)
        yield


def temporary_folder(environ: Mapping[str, str]) -> str:
    """Where the user wants temporary files."""
    wanted = environ.get("TMPDIR", "")
    return wanted if os.path.isabs(wanted) and os.access(wanted, os.W_OK | os.X_OK) else "/tmp"  # noqa: S108


def tree_of_links(folder: str, files: Mapping[str, str]) -> str:
    """A new folder under `folder` with a symbolic link for each path; every tool here follows them.

    No hard links: those would change the ctime of the files, by which we tell what a run has made.
    """
    tree = os.path.join(folder, os.urandom(4).hex())
    os.mkdir(tree)
    for path, source in files.items():
        place = os.path.join(tree, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(source, place)
    return tree


def _digest(purpose: str) -> str:
    import hashlib

    return hashlib.sha256(os.fsencode(purpose)).hexdigest()[:16]


def _own_folder(parent: str, prefix: str) -> tuple[str, int]:
    """A new folder and the descriptor that holds the lock on it."""
    while True:
        folder = os.path.join(parent, prefix + os.urandom(6).hex())
        os.mkdir(folder, 0o700)
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:
            return folder, lock  # A file system without locks: nobody removes it either.
        if os.path.isdir(folder):
            return folder, lock
        # Somebody took it for one that was left, before it was locked.
        os.close(lock)


def _remove_if_left(folder: str) -> None:
    """If nobody holds the lock on it."""
    try:
        lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove(folder)
    except OSError:
        pass  # It is in use, or nobody can tell.
    finally:
        os.close(lock)


def _remove(folder: str) -> None:
    """If it is ours: in /tmp others may have made one of that name."""
    from shutil import rmtree

    try:
        status = os.lstat(folder)
    except OSError:
        return
    if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid():
        rmtree(folder, ignore_errors=True)
