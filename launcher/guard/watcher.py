"""The watcher: parent of the guard, forked before anything heavy is imported. It waits, and no more.

    client ── connection ── WATCHER ── GUARD ── JOB

While the guard lives, the watcher only keeps copies of what must not end with it: the lease, the
job's terminal or pipes, the log. If the guard ends without having finished, the job's processes
become the watcher's children (both are subreapers), and the watcher does the guard's work itself,
from what was noted: one and the same function, called again.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from launcher.guard.channel import hand_over, pair, take_over
from launcher.guard.notes import Notes, plan_file

if TYPE_CHECKING:
    from collections.abc import Callable

    Work = Callable[["Seat"], None]

# The guard's own way to end, when everything is done.
DONE = 0
# Nothing of ours that is sent to a whole group, or to everything with our name, ends a watcher.
DEAF = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
DEAF_TOO = (signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE)
# A guard that is still there this long after its own last deadline hangs, or was stopped.
LATE_S = 30.0
DEADLINE = "deadline"
DROP = "drop"
TAKEN = "taken"
NEVER = float("inf")


class Egg:
    """What the client has of the watcher: a connection, and the file that the plan goes into."""

    def __init__(self, connection: socket.socket, plan: int) -> None:
        self.connection, self.plan = connection, plan


class Seat:
    """The place of the guard: who sits here supervises. `again` is True for whoever takes over.

    `client` is the connection to the client, `plan` the plan's file, `notes` what was noted;
    `kept` are the descriptors that the last holder of the seat left, by name.
    """

    def __init__(self, client: socket.socket, plan: int, notes: Notes) -> None:
        self.client, self.plan, self.notes = client, plan, notes
        self.again = False
        self.kept: dict[str, int] = {}
        # Until then, our own 0, 1 and 2 are the client's.
        self.streams_taken = False
        # What the job's oom_score_adj has to be; empty where ours is the one we were started with.
        self.oom_score = ""
        self._watcher: socket.socket | None = None

    def sit_below(self, watcher: socket.socket) -> None:
        """In the guard: there is a watcher to hand things to."""
        self._watcher = watcher

    def keep(self, label: str, descriptor: int) -> None:
        """Let the watcher have a copy, so that it does not end with us."""
        if self._watcher is not None:
            try:
                hand_over(self._watcher, label, descriptor)
            except OSError:
                self._watcher = None  # It is gone; that changes nothing but this.

    def take_streams(self) -> None:
        """The job's streams are open, and kept: nobody of us needs the client's any more."""
        self._tell(TAKEN)
        self.streams_taken = True
        forget_streams()

    def drop(self, label: str) -> None:
        """The watcher's copy is not needed any more, and must not keep a pipe open."""
        self.kept.pop(label, None)
        self._tell(f"{DROP} {label}")

    def expect_end_before(self, monotonic: float) -> None:
        """If we are still there then, something is wrong with us. NEVER lifts it."""
        self._tell(f"{DEADLINE} {monotonic!r}")

    def _tell(self, text: str) -> None:
        if self._watcher is not None:
            try:
                self._watcher.send(text.encode(), socket.MSG_NOSIGNAL)
            except OSError:
                self._watcher = None


def start(work: Work) -> Egg:
    """Fork watcher and guard; `work(seat)` runs in the guard, or again in the watcher. Raises OSError.

    It has to return only when everything is done; any other end of it is made good by the watcher.
    Called before threads exist.
    """
    ours, theirs = pair()
    plan = plan_file()
    notes = Notes()
    _settle_paths()
    # Where it is ignored, children vanish without having been waited for.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    between = os.fork()
    if between == 0:
        _leave_home(theirs, plan, notes, work)
    os.waitpid(between, 0)
    theirs.close()
    return Egg(ours, plan)


def _settle_paths() -> None:
    """We leave the working folder, and import more when we need it."""
    sys.path[:] = [os.path.abspath(entry) for entry in sys.path]


def _leave_home(theirs: socket.socket, plan: int, notes: Notes, work: Work) -> NoReturn:
    """A session of its own, and no parent: a notebook that ends its children does not find us."""
    try:
        # A caller that has been at work hears its own signals, and has files of its own.
        signal.set_wakeup_fd(-1)
        _close_all_but({theirs.fileno(), plan, *notes.descriptors})
        os.setsid()
        if os.fork() == 0:
            _watch(Seat(theirs, plan, notes), work)
    finally:
        os._exit(DONE)


def _close_all_but(kept: set[int]) -> None:
    """A pipe that we keep open is one whose reader sees no end, and a lock that we keep is held."""
    for entry in os.listdir("/proc/self/fd"):
        if int(entry) > 2 and int(entry) not in kept:
            try:
                os.close(int(entry))
            except OSError:
                pass  # The one of the listing itself.


def _watch(seat: Seat, work: Work) -> None:
    from launcher.guard.tree import become_subreaper

    _be_deaf()
    name_process("colab-run-watch")
    become_subreaper()
    seat.oom_score = _be_spared()
    link, guards = pair()
    guard = os.fork()
    if guard == 0:
        link.close()
        seat.sit_below(guards)
        _be_the_guard(seat, work)
    guards.close()
    os.chdir("/")
    status = _wait_for(guard, link, seat)
    link.close()
    if os.waitstatus_to_exitcode(status) != DONE:
        seat.again = True
        name_process("colab-run-guard")
        work(seat)


def _be_the_guard(seat: Seat, work: Work) -> NoReturn:
    code = 1
    try:
        os.setsid()
        os.chdir("/")
        name_process("colab-run-guard")
        work(seat)
        code = DONE
    finally:
        os._exit(code)


def _wait_for(guard: int, link: socket.socket, seat: Seat) -> int:
    """Keep what the guard hands over, until it ends; its wait status."""
    woken, wake = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
    signal.signal(signal.SIGCHLD, lambda number, frame: None)
    signal.set_wakeup_fd(wake, warn_on_full_buffer=False)
    deadline = NEVER
    pidfds = _pidfd_of(guard)
    watched: list[socket.socket | int] = [link, woken, *pidfds]
    while (status := _reap(guard)) is None:
        left = deadline - time.monotonic()
        readable, _, _ = select.select(watched, (), (), None if left == NEVER else max(0.0, left))
        if woken in readable:
            os.read(woken, 512)
        if link in readable:
            if (message := take_over(link)) is None:
                watched.remove(link)
            else:
                deadline = _note(seat, *message, deadline)
        elif not readable:
            os.kill(guard, signal.SIGKILL)  # Not reaped yet: the pid is its own.
            deadline = NEVER
    link.setblocking(False)  # A fork of the guard that hangs may still hold the other end.
    while (message := take_over(link)) is not None:
        _note(seat, *message, deadline)  # What it sent right before its end.
    signal.set_wakeup_fd(-1)
    for descriptor in (woken, wake, *pidfds):
        os.close(descriptor)
    return status


def _pidfd_of(guard: int) -> list[int]:
    """Readable at its end, whatever becomes of a signal; none where the kernel is older than 5.3."""
    try:
        return [os.pidfd_open(guard)]
    except OSError:
        return []


def _reap(guard: int) -> int | None:
    """The guard's wait status once it has ended. Nobody else is reaped: their ends belong to a guard."""
    pid, status = os.waitpid(guard, os.WNOHANG)
    return status if pid else None


def _note(seat: Seat, text: str, descriptor: int | None, deadline: float) -> float:
    """Take one message of the guard's; the deadline that holds now."""
    word, _, rest = text.partition(" ")
    if descriptor is not None:
        _drop(seat, text)
        seat.kept[text] = descriptor
    elif word == TAKEN:
        seat.streams_taken = True
        forget_streams()
    elif word == DROP:
        _drop(seat, rest)
    elif word == DEADLINE:
        return float(rest) + LATE_S
    return deadline


def _drop(seat: Seat, label: str) -> None:
    if (old := seat.kept.pop(label, None)) is not None:
        os.close(old)


def _be_deaf() -> None:
    for number in (*DEAF, *DEAF_TOO):
        signal.signal(number, signal.SIG_IGN)
    # An inherited mask would keep the guard's end from us.
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def name_process(name: str) -> None:
    """Not `python`: `pkill python` is meant for something else. At most 15 bytes."""
    try:
        with open("/proc/self/comm", "w", encoding="ascii") as file:
            file.write(name)
    except OSError:
        return


def _be_spared() -> str:
    """The kernel's choice when memory runs out should be the job; what was so before. Only root may ask."""
    try:
        with open("/proc/self/oom_score_adj", "r+", encoding="ascii") as file:
            before = file.read().strip()
            file.write("-900")
    except OSError:
        return ""
    return before


def forget_streams() -> None:
    """The client's streams are the client's."""
    null = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(null, stream)
    os.close(null)
