"""A session with a terminal that does not end with the main process of the job.

When the leader of a session ends, the kernel sends SIGHUP to the foreground of its terminal: what the
job leaves behind would die without its polite signal, or before it is done under `leftovers: wait`,
on a terminal but not on pipes. So a small process of ours, the keeper, leads the session; the job's
main process is the first group in its foreground, and a child of the supervisor like any other.
"""

from __future__ import annotations

import fcntl
import os
import signal
import struct
import termios
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, NoReturn

from launcher.children import let_go_of_descriptors

if TYPE_CHECKING:
    from collections.abc import Callable

# The pid of the job's main process, or a negative errno.
ANSWER = struct.Struct("i")
# How long the keeper may take to leave; it has nothing to do, so a stopped one is killed.
LEAVE_S = 2.0


@dataclass(slots=True)
class Keeper:
    """The leader of the job's session: `pid`, our child. It ends when `lifeline` does."""

    pid: int
    lifeline: int

    def leave(self) -> None:
        """End the session's leader without a hangup for anybody. Only for one that was not reaped."""
        os.close(self.lifeline)
        deadline = time.monotonic() + LEAVE_S
        while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
            if time.monotonic() > deadline:
                os.kill(self.pid, signal.SIGKILL)
            time.sleep(0.0005)

    def forget(self) -> None:
        """Somebody killed it, and it has been reaped."""
        os.close(self.lifeline)


def fork_in_session(slave: int, job: Callable[[], NoReturn]) -> tuple[int, Keeper]:
    """Fork `job` into a new session whose terminal is `slave`; (pid, keeper). Raises OSError.

    `job` calls `take_foreground` first. The caller has to be a subreaper: the process between
    keeper and job ends at once, and the job becomes the caller's own child.
    """
    life_read, life_write = os.pipe2(os.O_CLOEXEC)
    answer_read, answer_write = os.pipe2(os.O_CLOEXEC)
    pid = -1
    try:
        pid = os.fork()
        if pid == 0:
            os.close(life_write)
            _keep(slave, life_read, answer_write, job)
    finally:
        os.close(life_read)
        os.close(answer_write)
        if pid == -1:
            os.close(life_write)
            os.close(answer_read)
    answer = os.read(answer_read, ANSWER.size)
    os.close(answer_read)
    keeper = Keeper(pid, life_write)
    (number,) = ANSWER.unpack(answer) if len(answer) == ANSWER.size else (-1,)
    if number < 0:
        keeper.leave()
        raise OSError(-number, os.strerror(-number))
    return number, keeper


def take_foreground(slave: int) -> None:
    """In the job: become the group that the terminal belongs to. SIGTTOU is still ignored here."""
    os.setpgid(0, 0)
    os.tcsetpgrp(slave, os.getpgrp())


def _keep(slave: int, lifeline: int, answer: int, job: Callable[[], NoReturn]) -> NoReturn:
    """The keeper: never returns."""
    try:
        signal.set_wakeup_fd(-1)
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD}:
            try:
                signal.signal(number, signal.SIG_IGN)
            except (OSError, ValueError):
                pass  # a number that the C library keeps for itself
        _lead(slave, answer, job)
        os.close(answer)
        let_go_of_descriptors({lifeline, slave})
        os.read(lifeline, 1)
        # The hangup at a leader's end goes to the foreground: that is now only us.
        os.tcsetpgrp(slave, os.getpgrp())
    finally:
        os._exit(0)


def _lead(slave: int, answer: int, job: Callable[[], NoReturn]) -> None:
    """Take the terminal and fork the job, by way of a process that ends at once."""
    try:
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        told_read, told_write = os.pipe2(os.O_CLOEXEC)
        between = os.fork()
        if between == 0:
            _fork_job(told_write, job)
        os.close(told_write)
        # Only when that one has gone is the job the guard's own child.
        os.waitpid(between, 0)
        told = os.read(told_read, ANSWER.size)
        os.close(told_read)
        os.write(answer, told)
    except OSError as error:
        os.write(answer, ANSWER.pack(-(error.errno or 1)))


def _fork_job(answer: int, job: Callable[[], NoReturn]) -> NoReturn:
    try:
        pid = os.fork()
        if pid == 0:
            job()
        os.write(answer, ANSWER.pack(pid))
    except OSError as error:
        os.write(answer, ANSWER.pack(-(error.errno or 1)))
    finally:
        os._exit(0)
