"""All processes of this machine, look by look, and the processor time that each has used since the last.

What a process used that ended between two looks is found with the parent that reaped it (cutime, cstime),
without what had been seen of it before: nothing counts twice, and no total falls.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TICK = 1 / os.sysconf("SC_CLK_TCK")
# utime, stime, cutime and cstime are each cut off to whole ticks.
_CUT_OFF = 3 * _TICK
_KERNEL_THREAD = 0x00200000
# A look at /proc is not one moment: a process may be seen whose parent had gone when it was its turn.
_LOOKS = 4
# Further up than any process stands; /proc is not one moment, so a circle is thinkable.
_MOST_ANCESTORS = 128
# A process's own name, as the kernel keeps it.
_LONGEST_NAME = 15
_LONGEST_COMMAND = 1 << 16


@dataclass(slots=True)
class Process:
    """One process as it was seen last.

    `own` and `waited` are seconds of processor time: its own, and that of the children it has reaped. `used`
    is what is new of both since the look before. `exact`: `own` grows whenever the process runs; not ticks.
    `fresh`: it began after the first look. `session`: see setsid(2); 0 for one that began outside of here.
    """

    pid: int
    start: int
    parent: int
    name: bytes
    state: bytes
    kernel_thread: bool
    own: float
    waited: float
    session: int = 0
    exact: bool = False
    used: float = 0.0
    fresh: bool = False
    # Is it a notebook's kernel, and how many looks said no.
    kernel: bool = False
    asked: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """A process that was there at the look before. `heir` is the nearest ancestor that still is."""

    pid: int
    start: int
    heir: int


class Table:
    """`look()` brings `processes` and `ended` up to date. `proc` is /proc, or a test's."""

    def __init__(self, proc: str = "/proc") -> None:
        self.proc = proc
        self.processes: dict[int, Process] = {}
        self.ended: list[Ended] = []
        self._first = True

    def look(self) -> None:
        """Look again. Raises OSError where there is no /proc."""
        before, self.processes = self.processes, self._read()
        now = self.processes
        gone = {pid: old for pid, old in before.items() if pid not in now or now[pid].start != old.start}
        self.ended = [Ended(old.pid, old.start, _heir(old, gone)) for old in gone.values()]
        seen_of: dict[int, list[float]] = {}
        for ended in self.ended:
            old = gone[ended.pid]
            seen_of.setdefault(ended.heir, []).append(old.own + old.waited)
        for pid, process in now.items():
            same = None if pid in gone else before.get(pid)
            _follow(process, same, self._first, seen_of.get(pid, []))
        self._first = False

    def children(self) -> dict[int, list[Process]]:
        """Parent -> children; below 0 stand those whose parent is not there, or not for us to see."""
        found: dict[int, list[Process]] = {}
        for process in self.processes.values():
            parent = process.parent if process.parent in self.processes else 0
            found.setdefault(parent, []).append(process)
        return found

    def _read(self) -> dict[int, Process]:
        seen = {process.pid: process for process in self._each()}
        for _ in range(_LOOKS):
            # Such a process has a new parent by now: a daemon in the middle of its double fork.
            strays = [pid for pid, one in seen.items() if one.parent and one.parent not in seen]
            if not strays:
                break
            for pid in strays:
                if (again := self._stat(pid)) is not None:
                    seen[pid] = again
                    self._add_parent(again, seen)
                else:
                    del seen[pid]
        return seen

    def _add_parent(self, process: Process, seen: dict[int, Process]) -> None:
        if process.parent not in seen and (parent := self._stat(process.parent)) is not None:
            seen[parent.pid] = parent

    def _each(self) -> Iterator[Process]:
        for entry in os.listdir(self.proc):
            if entry.isdigit() and (process := self._stat(int(entry))) is not None:
                yield process

    def _stat(self, pid: int) -> Process | None:
        text = read(f"{self.proc}/{pid}/stat")
        # The command's name stands in brackets and may hold anything, brackets and spaces included.
        close = text.rfind(b")")
        fields = text[close + 2 :].split(None, 20)
        if len(fields) < 20:
            return None
        own = (int(fields[11]) + int(fields[12])) * _TICK
        exact = _own_s(pid) if self.proc == "/proc" else 0.0
        # A clock that does not say what the ticks say is another kernel's idea of it.
        is_exact = exact > 0.0 and exact >= own - _CUT_OFF
        return Process(
            pid=pid,
            start=int(fields[19]),
            parent=int(fields[1]),
            session=int(fields[3]),
            name=text[text.find(b"(") + 1 : close],
            state=fields[0],
            kernel_thread=bool(int(fields[6]) & _KERNEL_THREAD),
            own=exact if is_exact else own,
            exact=is_exact,
            waited=(int(fields[13]) + int(fields[14])) * _TICK,
        )

    def command(self, pid: int) -> bytes:
        """The command line, its words ended by NUL; empty where there is none."""
        return read(f"{self.proc}/{pid}/cmdline", _LONGEST_COMMAND)


def read(path: str, most: int = 4096) -> bytes:
    """A small file of /proc; empty where it is gone or not for us. Half as expensive as `open`."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return b""
    try:
        return os.read(descriptor, most)
    except OSError:
        return b""
    finally:
        os.close(descriptor)


def has_name_of_program(process: Process, command: bytes) -> bool:
    """Is its name the one that exec gave it, that of a program or of a script?"""
    words = command.split(b"\0")[:2]
    return any(word.rpartition(b"/")[2][:_LONGEST_NAME] == process.name for word in words)


def _own_s(pid: int) -> float:
    """The kernel's clock of that process counts ns (its number is made from the pid: clock_getcpuclockid(3)).

    In ticks a process that uses 1 % would show 10 ms every second and nothing in between. 0 where nothing is
    known.
    """
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError:
        return 0.0


def _heir(process: Process, gone: dict[int, Process]) -> int:
    parent = process.parent
    for _ in range(_MOST_ANCESTORS):
        if parent not in gone:
            break
        parent = gone[parent].parent
    return parent


def _follow(process: Process, old: Process | None, first: bool, seen: list[float]) -> None:
    """What is new of this process; `seen` is what had been seen of each that it may have reaped."""
    if old is None:
        process.used = 0.0 if first else process.own + process.waited
        process.fresh = not first
        return
    process.fresh, process.kernel, process.asked = old.fresh, old.kernel, old.asked
    process.own, process.waited = max(process.own, old.own), max(process.waited, old.waited)
    waited, known = process.waited - old.waited, sum(seen)
    # Less than was seen of them: somebody else reaped them, and all of this is of others.
    if waited >= known - _CUT_OFF * len(seen):
        waited = max(0.0, waited - known)
    process.used = process.own - old.own + waited
