"""Rows that could not be written before their writer ended: JSON lines, for the next one to import."""

from __future__ import annotations

import fcntl
import json
import math
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING, NamedTuple

from launcher.ledger.place import lock

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from launcher.ledger.model import State

SPOOL = "ledger.spool"
# Rows come one or a few at a time; more than this is not a spool of ours.
_LARGEST = 16 * 2**20


class Entry(NamedTuple):
    """A row on its way: `uid` is its own for ever, `facts` is JSON. It gets its number when it is written."""

    uid: str
    run_id: str
    wall: float
    boot_id: str
    state: str
    facts: str


def new_entry(run_id: str, state: State, wall: float, boot_id: str, facts: Mapping[str, object]) -> Entry:
    """A row that whoever takes over may write again, without it being there twice."""
    return Entry(
        uid=os.urandom(8).hex(),
        run_id=run_id,
        wall=wall if math.isfinite(wall) else 0.0,
        boot_id=boot_id,
        state=state.value,
        facts=json.dumps(facts, default=str),
    )


def append(home: str, entries: Sequence[Entry], patience_s: float) -> None:
    """Add entries, on disk when this returns. Raises OSError, also when somebody holds the file that long."""
    text = "".join(json.dumps(entry._asdict()) + "\n" for entry in entries)
    while True:
        descriptor = os.open(
            os.path.join(home, SPOOL),
            os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC,
            0o600,
        )
        try:
            lock(descriptor, fcntl.LOCK_EX, patience_s)
            status = _check(descriptor)
            if status.st_nlink == 0:
                continue  # It was imported and removed while we waited.
            # Whoever wrote before us may have died within a line.
            glue = b"\n" if status.st_size and os.pread(descriptor, 1, status.st_size - 1) != b"\n" else b""
            _write_all(descriptor, glue + text.encode())
            os.fsync(descriptor)
            _sync_folder(home)
            return
        finally:
            os.close(descriptor)


class Spooled:
    """A spool that nobody else appends to or imports; `remove` it when its entries are safe."""

    def __init__(self, path: str, entries: list[Entry]) -> None:
        self.entries = entries
        self._path = path

    def remove(self) -> None:
        """Raises OSError; the entries are then imported again, to no effect."""
        os.unlink(self._path)


@contextmanager
def taken(home: str) -> Iterator[Spooled | None]:
    """The spool, ours until the end of the block; None if there is none, or it cannot be had now."""
    path = os.path.join(home, SPOOL)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        yield None
        return
    try:
        yield _take(descriptor, path)
    finally:
        os.close(descriptor)


def _take(descriptor: int, path: str) -> Spooled | None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        status = _check(descriptor)
        return None if status.st_nlink == 0 else Spooled(path, _parse(_read_all(descriptor)))
    except OSError:
        return None


def peek(home: str) -> list[Entry]:
    """What is in the spool, for reading only; nothing if it cannot be read."""
    try:
        descriptor = os.open(
            os.path.join(home, SPOOL), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        )
    except OSError:
        return []
    try:
        _check(descriptor)
        return _parse(_read_all(descriptor))
    except OSError:
        return []
    finally:
        os.close(descriptor)


def _check(descriptor: int) -> os.stat_result:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_size > _LARGEST:
        raise OSError(f"{SPOOL} is not ours")
    return status


def _sync_folder(home: str) -> None:
    """So that the name of a new file is on disk as well."""
    folder = os.open(home, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _read_all(descriptor: int) -> bytes:
    parts = []
    while part := os.read(descriptor, 2**16):
        parts.append(part)
    return b"".join(parts)


def _parse(content: bytes) -> list[Entry]:
    """The lines that are whole: the last one may have been cut off."""
    return [entry for line in content.split(b"\n") if (entry := _entry(line)) is not None]


def _entry(line: bytes) -> Entry | None:
    try:
        found = json.loads(line)
        entry = Entry(*(found[field] for field in Entry._fields))
        entry = entry._replace(wall=float(entry.wall))
        texts = (entry.uid, entry.run_id, entry.boot_id, entry.state, entry.facts)
        for text in texts:
            text.encode()  # Half a surrogate pair is JSON, but no text that SQLite takes.
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError):
        return None
    return entry if entry.wall == entry.wall else None  # NaN would be NULL there.
