"""Processor time and disk traffic of processes: those of a job, or all of a machine. One look serves both.

Who counts: everybody but the kernel's threads and our own processes. A helper of ours is a fork that has not
become another program; what is below it (a saver's rclone) works for us and does not count either.

A reading is {"since": when this series began (CLOCK_MONOTONIC), "groups": {name: group}}: of a job the one
group `job`, of a machine `kernels` (notebook kernels and all below them) and `others`. With another `since`
the totals began anew. In a group `busiest` is [pid, name, its part since the look before] or null, and

- processor: `seconds` (total; of `others` only what the busiest session of each look has used, so that small
  daemons of a machine never add up to life, and the workers of one program do), `processes`, and of these
  `stopped` (state T); `busiest` of `others` is of that session;
- disk: `bytes` read and written at the block layer (total), and `unreadable`: processes of somebody else,
  which this signal does not see. Their processor time is seen.

Not rchar/wchar (a monitor that reads /proc all day has many), nor /proc/diskstats (of the whole host).
"""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from launcher.idle.model import Sign
from launcher.probes.kernels import kernel_process_of
from launcher.probes.life.table import Process, Table, has_name_of_program
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from launcher.idle.interface import Reader

    Groups = dict[str, list[Process]]
    Finder = Callable[[Table], "Groups | None"]

JOB, KERNELS, OTHERS = "job", "kernels", "others"
NO_PROC, GONE = "no-proc", "gone"
OURS = b"colab-run"
# A process is forked first and becomes a kernel a little later.
_ASKED_ENOUGH = 2
_UNSEEN = (-1, 0, 0.0)


def job_readers(root_pid: int, proc: str = "/proc") -> dict[Sign, Reader]:
    """CPU and DISK of what is below `root_pid` (a guard), our helpers apart."""
    return _readers(_Job(root_pid), proc)


def runtime_readers(proc: str = "/proc") -> dict[Sign, Reader]:
    """CPU and DISK of the whole machine, ourselves apart."""
    return _readers(_runtime_groups, proc)


def _readers(find: Finder, proc: str) -> dict[Sign, Reader]:
    looks = _Looks(Table(proc), find)
    return {Sign.CPU: _Processor(looks), Sign.DISK: _Disk(looks)}


class _Looks:
    """One look for all readers of a sample: a new one when a reader comes that has had this one."""

    def __init__(self, table: Table, find: Finder) -> None:
        self.table, self._find = table, find
        self.since = 0.0
        self.groups: Groups | None = None
        self._served: set[Sign] = set(Sign)

    def look(self, sign: Sign) -> Reading[Groups]:
        if sign in self._served:
            self.since = self.since or time.monotonic()
            self.table.look()
            self.groups = self._find(self.table)
            self._served.clear()
        self._served.add(sign)
        if not self.table.processes:
            return Unknown(NO_PROC)
        return Unknown(GONE) if self.groups is None else Known(self.groups)

    def reading(self, groups: dict[str, dict[str, Any]]) -> Reading[Any]:
        return Known({"since": round(self.since, 6), "groups": groups})


class _Processor:
    """Reads processor time."""

    def __init__(self, looks: _Looks) -> None:
        self._looks = looks
        self._totals: dict[str, float] = {}

    def __call__(self) -> Reading[Any]:
        found = self._looks.look(Sign.CPU)
        if isinstance(found, Unknown):
            return found
        return self._looks.reading({name: self._group(name, group) for name, group in found.value.items()})

    def _group(self, name: str, group: list[Process]) -> dict[str, Any]:
        counted = _busiest_session(group) if name == OTHERS else group
        busiest = max(counted, key=lambda process: process.used, default=None)
        most = busiest.used if busiest is not None else 0.0
        new = sum(process.used for process in counted)
        total = self._totals[name] = self._totals.get(name, 0.0) + new
        living = [process for process in group if process.state not in (b"Z", b"X")]
        return {
            "seconds": round(total, 4),
            "busiest": [busiest.pid, _name(busiest), round(most, 4)] if busiest and most > 0 else None,
            "processes": len(living),
            "stopped": sum(process.state in (b"T", b"t") for process in living),
        }


def _busiest_session(group: list[Process]) -> list[Process]:
    """The processes of the session that used most together since the look before."""
    sessions: dict[int, list[Process]] = {}
    for process in group:
        sessions.setdefault(process.session, []).append(process)
    return max(sessions.values(), key=lambda found: sum(process.used for process in found), default=[])


class _Disk:
    """Reads what processes moved to and from disks."""

    def __init__(self, looks: _Looks) -> None:
        self._looks, self._proc = looks, looks.table.proc
        self._totals: dict[str, int] = {}
        # pid -> (start, bytes that were seen, the processor time just before that)
        self._seen: dict[int, tuple[int, int, float]] = {}

    def __call__(self) -> Reading[Any]:
        found = self._looks.look(Sign.DISK)
        if isinstance(found, Unknown):
            return found
        if not os.path.exists(f"{self._proc}/self/io"):
            return Known(None)  # A kernel that does not count it.
        inherited = self._inherited()
        groups = {name: self._group(name, group, inherited) for name, group in found.value.items()}
        there = self._looks.table.processes
        self._seen = {
            pid: seen for pid, seen in self._seen.items() if pid in there and there[pid].start == seen[0]
        }
        return self._looks.reading(groups)

    def _inherited(self) -> dict[int, int]:
        """Who may have reaped others -> what had been seen of these: it counts among its own from now on."""
        found: dict[int, int] = {}
        for ended in self._looks.table.ended:
            start, moved, _ = self._seen.get(ended.pid, _UNSEEN)
            if start == ended.start:
                found[ended.heir] = found.get(ended.heir, 0) + moved
        return found

    def _group(self, name: str, group: list[Process], inherited: dict[int, int]) -> dict[str, Any]:
        total, unreadable, most = self._totals.get(name, 0), 0, 0
        busiest = None
        for process in group:
            if self._has_rested(process):
                continue
            try:
                new = self._new(process, inherited.get(process.pid, 0))
            except PermissionError:
                unreadable += process.state not in (b"Z", b"X")
                continue
            total += new
            if new > most:
                most, busiest = new, process
        self._totals[name] = total
        shown = [busiest.pid, _name(busiest), most] if busiest else None
        return {"bytes": total, "busiest": shown, "unreadable": unreadable}

    def _has_rested(self, process: Process) -> bool:
        """Who has not run has moved nothing; these are nearly all, and cost nothing that way."""
        start, _, own = self._seen.get(process.pid, _UNSEEN)
        return process.exact and start == process.start and own == process.own

    def _new(self, process: Process, inherited: int) -> int:
        """The bytes since the last time. Raises PermissionError where they are not for us."""
        moved = moved_bytes(self._proc, process.pid)
        if moved is None:
            return 0
        start, before, _ = self._seen.get(process.pid, _UNSEEN)
        if start != process.start:
            before = 0 if process.fresh else moved
        self._seen[process.pid] = (process.start, max(moved, before), process.own)
        new = max(0, moved - before)
        # Less than was seen of them: it was not this one that reaped them.
        return new - inherited if new >= inherited else new


def moved_bytes(proc: str, pid: int) -> int | None:
    """What a process and the children that it reaped moved at the block layer; None when it is gone.

    Raises PermissionError for a process whose figures are not for us.
    """
    try:
        descriptor = os.open(f"{proc}/{pid}/io", os.O_RDONLY | os.O_CLOEXEC)
    except PermissionError:
        raise
    except OSError:
        return None
    try:
        text = os.read(descriptor, 4096)
    except PermissionError:
        raise
    except OSError:
        return None
    finally:
        os.close(descriptor)
    moved = 0
    for line in text.splitlines():
        if line.startswith((b"read_bytes:", b"write_bytes:")):
            moved += int(line.partition(b":")[2])
    return moved


def _name(process: Process) -> str:
    """Printable: a process may give itself any name."""
    text = process.name.decode("utf-8", "replace")
    return "".join(char if char.isprintable() else "?" for char in text)


# --- who counts -----------------------------------------------------------------------------------


class _Job:
    """Finds the processes of a job: below its guard, our own apart."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._start: int | None = None

    def __call__(self, table: Table) -> Groups | None:
        root = table.processes.get(self._root)
        if root is None or self._start not in (None, root.start):
            return None
        self._start = root.start
        below = _walk(table, root, lambda parent, child: _is_helper(table, parent, child, parent is root))
        return {JOB: [process for process in below if not is_ours(table, process)]}


def _runtime_groups(table: Table) -> Groups:
    groups: Groups = {KERNELS: [], OTHERS: []}
    top = Process(0, 0, 0, b"", b"", kernel_thread=False, own=0.0, waited=0.0)
    of_kernel: set[int] = set()
    for process in _walk(table, top, lambda parent, child: _is_helper(table, parent, child, False)):
        if process.kernel_thread:
            continue
        below_kernel = process.parent in of_kernel or _is_kernel(table, process)
        if below_kernel:
            of_kernel.add(process.pid)
        if not is_ours(table, process):
            groups[KERNELS if below_kernel else OTHERS].append(process)
    return groups


def _walk(table: Table, root: Process, left_out: Callable[[Process, Process], bool]) -> Iterator[Process]:
    """All below `root`, parents first, without who is left out (and all below), and without us who look."""
    children, me = table.children(), os.getpid()
    todo = [root]
    seen = {root.pid}
    while todo:
        parent = todo.pop()
        for child in children.get(parent.pid, ()):
            if child.pid in seen or left_out(parent, child):
                continue
            seen.add(child.pid)
            todo.append(child)
            if child.pid != me:
                yield child


def is_ours(table: Table, process: Process) -> bool:
    """Has it the name of one of our processes, and not as a program of the user's that is called so?"""
    if not process.name.startswith(OURS):
        return False
    return process.name == OURS or not has_name_of_program(process, table.command(process.pid))


def _is_helper(table: Table, parent: Process, child: Process, any_name: bool) -> bool:
    """A fork of one of ours that has become no other program: it has its parent's name, or a name of ours.

    A command of the job has a command line of its own, and so has a colab-run that the job starts.
    """
    if not child.name.startswith(OURS) or not (any_name or child.name == parent.name):
        return False
    return is_ours(table, child) and table.command(child.pid) == table.command(parent.pid)


def _is_kernel(table: Table, process: Process) -> bool:
    if not process.kernel and process.asked < _ASKED_ENOUGH:
        process.asked += 1
        found = kernel_process_of(process.pid, proc=table.proc)
        process.kernel = found is not None and found.pid == process.pid
    return process.kernel
