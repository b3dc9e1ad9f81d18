"""The processes of a job: everything below us in the process tree, however often it forked.

We are a subreaper (PR_SET_CHILD_SUBREAPER), so a process whose parents are gone becomes our own
child. A pid is never signalled on its number alone: pids are reused, so the start time is compared
through a pidfd that pins the process.
"""

from __future__ import annotations

import ctypes
import os
import signal
from typing import NamedTuple

PR_SET_CHILD_SUBREAPER = 36
# A look at /proc is not one moment: a process may be seen whose parent had gone when it was its turn.
LOOKS = 4


class ProcessRef(NamedTuple):
    """One process: pid and start time (clock ticks since boot), which together are never reused."""

    pid: int
    start: int


def become_subreaper() -> None:
    """Make orphaned descendants ours. Raises OSError where the kernel refuses."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        errno = ctypes.get_errno()
        raise OSError(errno, os.strerror(errno))


class _Stat(NamedTuple):
    """What /proc/PID/stat says; `living` is False for a zombie that waits to be reaped."""

    living: bool
    parent: int
    session: int
    start: int


def _stat(pid: int) -> _Stat | None:
    """The process that has this pid now, or None when it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read()
    except OSError:
        return None
    # The command's name stands in brackets and may hold anything, brackets and spaces included.
    fields = text[text.rfind(b")") + 2 :].split()
    # A process whose first thread has ended shows as a zombie while its other threads run on.
    living = fields[0] not in (b"Z", b"X") or int(fields[17]) > 1
    return _Stat(living, int(fields[1]), int(fields[3]), int(fields[19]))


def reference(pid: int) -> ProcessRef | None:
    """The process that has this pid now."""
    stat = _stat(pid)
    return ProcessRef(pid, stat.start) if stat else None


def living() -> list[tuple[ProcessRef, int]]:
    """Every process of this machine that is no zombie, and the session that it belongs to."""
    return [(ProcessRef(pid, stat.start), stat.session) for pid, stat in _look().items() if stat.living]


def carries(process: ProcessRef, entry: str, *, unknown: bool) -> bool:
    """Was it started with `entry` (`NAME=value`) in its environment? `unknown` where that cannot be read."""
    try:
        with open(f"/proc/{process.pid}/environ", "rb") as file:
            return entry.encode() in file.read().split(b"\0")
    except OSError:
        return unknown


def children(pid: int) -> list[ProcessRef]:
    """The children of a process of one thread, quickly; none where the kernel does not tell."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            pids = [int(word) for word in file.read().split()]
    except OSError:
        return []
    return [ref for child in pids if (ref := reference(child)) is not None]


def descendants(root: int, without: frozenset[ProcessRef] = frozenset()) -> list[ProcessRef]:
    """All living (not zombie) descendants of `root`, except `without` and what is below them."""
    children: dict[int, list[tuple[ProcessRef, bool]]] = {}
    for pid, stat in _look().items():
        children.setdefault(stat.parent, []).append((ProcessRef(pid, stat.start), stat.living))
    found: list[ProcessRef] = []
    todo = [root]
    while todo:
        for process, living in children.get(todo.pop(), ()):
            if process in without:
                continue
            todo.append(process.pid)
            if living:
                found.append(process)
    return found


def _look() -> dict[int, _Stat]:
    """All processes; another look while one hangs below a parent that this look does not know.

    Such a process has a new parent by now, perhaps us: a daemon in the middle of its double fork.
    """
    seen: dict[int, _Stat] = {}
    for _ in range(LOOKS):
        pids = [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]
        seen = {pid: stat for pid in pids if (stat := _stat(pid))}
        if all(stat.parent in seen or stat.parent == 0 for stat in seen.values()):
            break
    return seen


def send(process: ProcessRef, number: int) -> bool:
    """Signal exactly this process; False when it is already gone or not ours to signal."""
    try:
        descriptor = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    except OSError:
        # Kernels before 5.3 (and some sandboxes) have no pidfd; the check below narrows the race.
        return _send_by_pid(process, number)
    try:
        if reference(process.pid) != process:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except OSError:
        return False
    finally:
        os.close(descriptor)


def _send_by_pid(process: ProcessRef, number: int) -> bool:
    if reference(process.pid) != process:
        return False
    try:
        os.kill(process.pid, number)
    except OSError:
        return False
    return True


def send_to_all(root: int, number: int, without: frozenset[ProcessRef]) -> int:
    """Signal every descendant of `root` once; the count that took it.

    A stopped process would keep a polite signal pending for ever, so SIGCONT follows it.
    """
    processes = descendants(root, without)
    taken = sum(send(process, number) for process in processes)
    if number != signal.SIGKILL:
        for process in processes:
            send(process, signal.SIGCONT)
    return taken


def kill_all(root: int, without: frozenset[ProcessRef], rounds: int = 10) -> int:
    """SIGKILL every descendant; the count of processes killed.

    They are stopped first, round by round, so that a process that forks faster than we look
    cannot run away.
    """
    stopped: set[ProcessRef] = set()
    for _ in range(rounds):
        new = [process for process in descendants(root, without) if process not in stopped]
        if not new:
            break
        for process in new:
            send(process, signal.SIGSTOP)
        stopped.update(new)
    return sum(send(process, signal.SIGKILL) for process in descendants(root, without))
