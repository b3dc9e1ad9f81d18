"""Carry many small files at once: written one after the other, made durable together, then read back.

One fsync for each of 10,000 files would cost more than the files.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, NamedTuple

from launcher.saving.carry import Carried, CopyProblem, carry, check_unchanged, keep_attributes, open_source
from launcher.saving.disk import drop_cache

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from launcher.saving.carry import Ticking
    from launcher.saving.disk import Disk
    from launcher.saving.listing import Entry

SMALL = 1 << 18
# In one batch: files, and bytes.
MOST_FILES, MOST_BYTES = 512, 32 << 20
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


class Task(NamedTuple):
    """A file and where it goes on its way."""

    entry: Entry
    staged: str


def batches(tasks: Iterable[Task]) -> list[list[Task]]:
    """Neighbours together; a file that is not small is alone."""
    out: list[list[Task]] = []
    files = size = 0
    for task in tasks:
        alone = task.entry.size > SMALL
        if alone or not out or files >= MOST_FILES or size + task.entry.size > MOST_BYTES:
            out.append([])
            files = size = 0
        out[-1].append(task)
        files += MOST_FILES if alone else 1
        size += task.entry.size
    return out


def carry_batch(tasks: Sequence[Task], disk: Disk, ticks: Ticking) -> list[Carried | Exception]:
    """For each task what `carry` returns or raises; a file that failed is removed."""
    if len(tasks) < 2 or not disk.quick:
        return [_one(task, disk, ticks) for task in tasks]
    out: list[Carried | Exception] = []
    begun = [_write(task) for task in tasks]
    problem = _make_durable(tasks, disk)
    for task, written in zip(tasks, begun, strict=True):
        if isinstance(written, _Written):
            out.append(problem or _prove(task, written, ticks))
        else:
            out.append(written)
        if isinstance(out[-1], Exception):
            _remove(task.staged)
    return out


def _one(task: Task, disk: Disk, ticks: Ticking) -> Carried | Exception:
    try:
        carried = carry(task.entry, task.staged, disk, ticks)
        ticks.add(0, 1)
        return carried
    except (OSError, CopyProblem) as error:
        _remove(task.staged)
        return error


class _Written(NamedTuple):
    """What was read from the source, and how much of it had to be written."""

    content: bytes
    moved: int


def _write(task: Task) -> _Written | Exception:
    entry = task.entry
    try:
        reader = open_source(entry)
        try:
            content = os.read(reader, entry.size + 1)
            writer = os.open(task.staged, _FLAGS, entry.mode & 0o777 | 0o200)
            try:
                moved = _fill(writer, content)
                keep_attributes(writer, entry)
            finally:
                os.close(writer)
            check_unchanged(entry)
        finally:
            os.close(reader)
    except (OSError, CopyProblem) as error:
        return error
    return _Written(content, moved)


def _fill(writer: int, content: bytes) -> int:
    """Bytes that were written: none where an earlier attempt came that far."""
    there = os.fstat(writer).st_size
    if there:
        if there == len(content) and os.read(writer, there) == content:
            return 0
        os.ftruncate(writer, 0)
    place = 0
    while place < len(content):
        place += os.pwrite(writer, content[place:] if place else content, place)
    return place


def _make_durable(tasks: Sequence[Task], disk: Disk) -> OSError | None:
    """One sync for all; what went wrong may be any of them."""
    descriptor = -1
    try:
        descriptor = os.open(os.path.dirname(tasks[0].staged), os.O_RDONLY | os.O_CLOEXEC)
        disk.sync_all(descriptor)
    except OSError as error:
        disk.quick = False  # From now on file by file: then it can be told whose it is.
        return error
    finally:
        if descriptor >= 0:
            os.close(descriptor)
    return None


def _prove(task: Task, written: _Written, ticks: Ticking) -> Carried | Exception:
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    try:
        reader = os.open(task.staged, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        try:
            drop_cache(reader)
            there = os.read(reader, task.entry.size + 1)
        finally:
            os.close(reader)
    except OSError as error:
        return error
    if there != written.content or len(there) != task.entry.size:
        return CopyProblem("what was read back differs from what was written")
    ticks.add(len(there), 1)
    return Carried(len(there), hashlib.sha256(there).hexdigest(), written.moved)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:
        pass
