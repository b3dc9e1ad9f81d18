"""Small files beside the leases: written whole under a name of their own, read without trust."""

from __future__ import annotations

import fcntl
import json
import math
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from launcher.release import lease

if TYPE_CHECKING:
    from collections.abc import Iterator

LARGEST = 1 << 16


def paths(folder: lease.Folder, key: str, ending: str) -> list[str]:
    """The files with this key (empty: any) and ending; none where the folder cannot be read."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    start = f"{key}." if key else ""
    return [os.path.join(folder, name) for name in names if name.startswith(start) and name.endswith(ending)]


def open_mark(path: str, flags: int) -> int | None:
    """A regular file, never through a link and never waiting; None if there is none that we may open."""
    try:
        descriptor = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    return None


def locked(descriptor: int, kind: int) -> bool:
    """Lock it if nobody stands against that."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def names_it(path: str, descriptor: int) -> bool:
    """Is this descriptor the file that stands at `path`?"""
    try:
        there = os.stat(path, follow_symlinks=False)
    except OSError:
        return False
    return os.path.samestat(there, os.fstat(descriptor))


def remove(path: str) -> None:
    """If it is there, and ours."""
    try:
        os.unlink(path)
    except OSError:
        return  # Gone, or another user's.


@contextmanager
def beside(path: str) -> Iterator[tuple[str, int]]:
    """A new file under a temporary name, open for writing; removed unless it was renamed."""
    folder, name = os.path.split(path)
    for unfinished in paths(folder, f".{name}", ".part"):
        remove(unfinished)  # Each name has one writer: this is of a guard before us, killed just then.
    temporary = os.path.join(folder, f".{name}.{os.urandom(8).hex()}.part")
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    descriptor = os.open(temporary, flags, 0o644)
    try:
        os.fchmod(descriptor, 0o644)  # Whatever the umask: other users have to read it.
        yield temporary, descriptor
    finally:
        os.close(descriptor)
        remove(temporary)


def write_whole(descriptor: int, document: dict[str, Any]) -> None:
    """One line of JSON. Raises OSError."""
    data = json.dumps(document, allow_nan=False).encode() + b"\n"
    if os.write(descriptor, data) != len(data):
        raise OSError("the disk is full")


def write_mark(folder: lease.Folder, name: str, document: dict[str, Any]) -> None:
    """Write a file of this name, or replace it, at once and whole. Raises OSError and StateFolderError."""
    os.close(lease.open_folder(folder))
    path = os.path.join(folder, name)
    with beside(path) as (temporary, descriptor):
        write_whole(descriptor, document)
        os.rename(temporary, path)


def read_mark(path: str) -> dict[str, Any]:
    """What a file says; nothing if it cannot be read."""
    descriptor = open_mark(path, os.O_RDONLY)
    if descriptor is None:
        return {}
    try:
        return parsed(os.read(descriptor, LARGEST))
    except OSError:
        return {}
    finally:
        os.close(descriptor)


def parsed(data: bytes) -> dict[str, Any]:
    """A JSON object; empty for what is none."""
    try:
        document = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return document if isinstance(document, dict) else {}


def number(document: dict[str, Any], name: str, otherwise: float = 0.0) -> float:
    """A finite number of a document."""
    value = document.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return otherwise
    return float(value)
