"""Bring every file of an output under its staged name, verified: by a few threads, with a second chance.

A file that changed meanwhile, or that was one of many behind a failed sync, is tried once more; so are files
that found no room, the smallest first, once the large ones that filled the disk are gone again.
"""

from __future__ import annotations

import errno
import os
import threading
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from launcher.saving.carry import Carried, Changed, CopyProblem
from launcher.saving.known import KnownFile, Place, rests
from launcher.saving.layout import remove
from launcher.saving.listing import identity_of
from launcher.saving.small import Task, batches, carry_batch
from launcher.saving.workers import in_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from launcher.saving.carry import Ticking
    from launcher.saving.disk import Disk
    from launcher.saving.known import Before
    from launcher.saving.layout import Layout
    from launcher.saving.listing import Entry

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE)


class Ticks:
    """Several threads in front of a meter that one may write."""

    def __init__(self, meter: Ticking) -> None:
        self._meter, self._lock = meter, threading.Lock()

    def add(self, size: int = 0, files: int = 0) -> None:
        """As a meter's."""
        with self._lock:
            self._meter.add(size, files)


# What became of a file: it is there already, it is staged (and was it at rest before?), or it failed.
Outcome = KnownFile | Exception | tuple[Carried | Exception, bool]
# Batches of small files.
_WORTH_A_FORK = 4


class _Silent:
    def add(self, size: int = 0, files: int = 0) -> None:
        """Nobody looks."""


@dataclass(slots=True)
class Staged:
    """What became of the files of an output.

    `fresh`: path -> (entry, name in the staging folder, sha256); `there`: path -> (entry, what lies at its
    final place already); `problems`: path -> (entry, why not). `sources` are identities that will tell of a
    change. `copied` counts bytes that had to be written.
    """

    fresh: dict[str, tuple[Entry, str, str]] = field(default_factory=dict)
    there: dict[str, tuple[Entry, KnownFile]] = field(default_factory=dict)
    problems: dict[str, tuple[Entry, Exception]] = field(default_factory=dict)
    sources: dict[str, tuple[int, ...]] = field(default_factory=dict)
    copied: int = 0

    def note(self, task: Task, outcome: Outcome) -> None:
        """What became of one file."""
        entry = task.entry
        if isinstance(outcome, KnownFile):
            self.there[entry.path] = (entry, outcome)
        elif isinstance(outcome, Exception):
            self.problems[entry.path] = (entry, outcome)
        else:
            carried, resting = outcome
            if isinstance(carried, Exception):
                self.problems[entry.path] = (entry, carried)
                return
            self.fresh[entry.path] = (entry, os.path.basename(task.staged), carried.sha256)
            self.sources[entry.path] = entry.identity if resting else ()
            self.copied += carried.written

    def forget(self, paths: set[str]) -> None:
        """These are not to be placed."""
        for rows in (self.fresh, self.there, self.problems):
            for path in paths & rows.keys():
                del rows[path]

    def paths(self) -> set[str]:
        """All that something became of."""
        return self.fresh.keys() | self.there.keys() | self.problems.keys()

    def verified(self) -> Iterator[tuple[str, int, str]]:
        """(path, bytes, sha256) of what was read back."""
        for path, (entry, _, sha256) in self.fresh.items():
            yield path, entry.size, sha256
        for path, (entry, row) in self.there.items():
            yield path, entry.size, row.sha256

    def entries(self) -> Iterator[Entry]:
        """The files that were read back, as they were then."""
        for entry, _, _ in self.fresh.values():
            yield entry
        for entry, _ in self.there.values():
            yield entry

    def known(self, places: dict[str, Place]) -> dict[str, KnownFile]:
        """What is to be remembered, once everything is in its place."""
        rows = {path: row for path, (_, row) in self.there.items()}
        for path, (_, _, sha256) in self.fresh.items():
            if path in places:
                rows[path] = KnownFile(self.sources[path], sha256, places[path])
        return rows


def staged_name(path: str) -> str:
    """A name that fits everywhere, whatever the file is called."""
    import hashlib  # in the child that copies: OpenSSL is not for the guard

    return hashlib.sha256(os.fsencode(path)).hexdigest()[:40]


@dataclass(slots=True)
class Stager:
    """Fills `result`. `folder` is the staging folder of this run."""

    layout: Layout
    folder: str
    disk: Disk
    before: Before
    ticks: Ticking
    threads: int
    reuse: bool = True
    result: Staged = field(default_factory=Staged)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def sift(self, entries: Sequence[Entry]) -> list[Entry]:
        """Those that are not known to be there without reading a file."""
        return [entry for entry in entries if not self._is_there(entry)]

    def stage(self, entries: Sequence[Entry], *, reuse: bool = True) -> None:
        """All of them; what could not be staged is in `result.problems`. `reuse`: look what is there."""
        self.reuse = reuse
        self._round(entries)
        if again := [self._anew(entry) for entry, why in self.result.problems.values() if _may_pass(why)]:
            self.result.forget({entry.path for entry in again})
            self._round(again)
        full = [entry for entry, why in self.result.problems.values() if _is_full(why)]
        for entry in sorted(full, key=lambda entry: entry.size):
            self.result.forget({entry.path})
            self._carry([self._task(entry)])

    def _is_there(self, entry: Entry) -> bool:
        """Noted without a thread where no byte has to be read."""
        row = self.before.at_once(self.layout, entry)
        if row is None:
            return False
        self.result.there[entry.path] = (entry, row)
        self.ticks.add(entry.size, 1)
        return True

    def _anew(self, entry: Entry) -> Entry:
        """The file as it is now."""
        try:
            status = os.lstat(entry.source)
        except OSError:
            return entry
        return replace(entry, size=status.st_size, mtime_ns=status.st_mtime_ns, identity=identity_of(status))

    def _task(self, entry: Entry) -> Task:
        return Task(entry, os.path.join(self.folder, staged_name(entry.path)))

    def _round(self, entries: Sequence[Entry]) -> None:
        work = batches(map(self._task, entries))
        small = [tasks for tasks in work if len(tasks) > 1]
        large = [tasks for tasks in work if len(tasks) == 1]
        # Small ones first: when the disk is full, more files are safe.
        if len(small) >= _WORTH_A_FORK and self.disk.quick:
            left = in_processes(
                self._in_worker, small, len(os.sched_getaffinity(0)), self._from_worker(small)
            )
            small = [small[number] for number in left]
        in_threads(self._carry, small, self.threads)
        in_threads(self._carry, large, self.threads)

    def _in_worker(self, tasks: list[Task]) -> tuple[list[Outcome], bool]:
        self.ticks = _Silent()  # The meter has one writer, and that is who reads our answer.
        return self._attempt(tasks), self.disk.quick

    def _from_worker(self, work: list[list[Task]]) -> Callable[[int, tuple[list[Outcome], bool]], None]:
        def received(number: int, answer: tuple[list[Outcome], bool]) -> None:
            outcomes, quick = answer
            self.disk.quick = self.disk.quick and quick
            done = [task for task, came in zip(work[number], outcomes, strict=True) if not _failed(came)]
            self.ticks.add(sum(task.entry.size for task in done), len(done))
            self._note(work[number], outcomes)

        return received

    def _carry(self, tasks: list[Task]) -> None:
        self._note(tasks, self._attempt(tasks))

    def _attempt(self, tasks: Sequence[Task]) -> list[Outcome]:
        """What becomes of each; changes nothing here, so that another process can do it."""
        found = [self._found(task) for task in tasks]
        needed = [task for task, outcome in zip(tasks, found, strict=True) if outcome is None]
        resting = [rests(task.entry) for task in needed]
        came = zip(carry_batch(needed, self.disk, self.ticks), resting, strict=True)
        return [next(came) if outcome is None else outcome for outcome in found]

    def _found(self, task: Task) -> KnownFile | Exception | None:
        """What is at its final place already; why it cannot even be looked at."""
        if not self.reuse:
            return None
        try:
            row = self.before.there(self.layout, task.entry, self.ticks)
        except (OSError, CopyProblem) as error:
            return error
        if row is not None:
            remove(task.staged)
            self.ticks.add(task.entry.size, 1)
        return row

    def _note(self, tasks: Sequence[Task], outcomes: Sequence[Outcome]) -> None:
        with self._lock:
            for task, outcome in zip(tasks, outcomes, strict=True):
                self.result.note(task, outcome)


def in_threads(work: Callable[[list[Task]], None], batches: Sequence[list[Task]], threads: int) -> None:
    """`work` on every batch, by so many threads at most. Raises what one of them raised."""
    waiting, lock = iter(batches), threading.Lock()
    raised: list[BaseException] = []

    def take() -> None:
        while True:
            with lock:
                batch = next(waiting, None)
            if batch is None or raised:
                return
            try:
                work(batch)
            except BaseException as error:
                raised.append(error)

    others = [threading.Thread(target=take, name="carrier") for _ in range(min(threads, len(batches)) - 1)]
    for thread in others:
        thread.start()
    take()
    for thread in others:
        thread.join()
    if raised:
        raise raised[0]


def _failed(outcome: Outcome) -> bool:
    return isinstance(outcome[0] if isinstance(outcome, tuple) else outcome, Exception)


def _may_pass(why: Exception) -> bool:
    return isinstance(why, CopyProblem) or (isinstance(why, OSError) and why.errno == errno.EIO)


def _is_full(why: Exception) -> bool:
    return isinstance(why, OSError) and why.errno in NO_ROOM


def is_change(why: Exception) -> bool:
    """Did the source change or go, rather than something fail?"""
    return isinstance(why, Changed | FileNotFoundError)
