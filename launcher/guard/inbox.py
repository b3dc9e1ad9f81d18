"""Signals to colab-run, taken from a loop: no work is done in handlers.

One Inbox lives for the whole command, so that a press during saving or the countdown is seen too.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import FrameType

WATCHED = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGCHLD,
    signal.SIGWINCH,
    signal.SIGCONT,
    signal.SIGTSTP,
)
# Reading or writing a terminal from the background must not stop us. SIGHUP is watched: a vanished
# terminal never ends the job. SIGTSTP too: the job is suspended before we are, or neither is.
IGNORED = (signal.SIGTTIN, signal.SIGTTOU, signal.SIGPIPE)
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
# Whoever started us with these ignored (`colab-run job.yaml &` in a script or a cell) has said that a
# press of stop elsewhere in our process group is not meant for us.
HONOURED = (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP)
# Longer waits are taken in pieces: the system calls count milliseconds in 32 bits.
LONGEST_WAIT_S = 3600.0
# Colab delivers one press of the stop button twice, to the cell's process group and to the child.
SAME_PRESS_S = 1.0


def _wake(number: int, frame: FrameType | None) -> None:
    """The wakeup descriptor has the signal's number; nothing is left to do here."""


class Inbox:
    """Install with `with Inbox() as inbox`; the old handlers come back at the end."""

    def __init__(self) -> None:
        self._waiting: deque[int] = deque()
        self._pressed_at: float | None = None

    def __enter__(self) -> Inbox:
        self._read, self._write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self._old_wakeup = signal.set_wakeup_fd(self._write, warn_on_full_buffer=False)
        unwanted = [number for number in HONOURED if signal.getsignal(number) is signal.SIG_IGN]
        wanted = [number for number in WATCHED if number not in unwanted]
        self._old = {number: signal.signal(number, _wake) for number in wanted}
        self._old.update({number: signal.signal(number, signal.SIG_IGN) for number in IGNORED})
        # An inherited mask would keep the end of the job from us, and every stop.
        self._old_mask = signal.pthread_sigmask(signal.SIG_UNBLOCK, wanted)
        return self

    def __exit__(self, *exc: object) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._old_mask)
        for number, handler in self._old.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        signal.set_wakeup_fd(self._old_wakeup)
        os.close(self._read)
        os.close(self._write)

    def fileno(self) -> int:
        """Readable when a signal waits."""
        return self._read

    def _drain(self) -> None:
        try:
            while data := os.read(self._read, 512):
                self._waiting.extend(data)
        except BlockingIOError:
            return

    def take(self) -> list[int]:
        """All signals that arrived since the last call, in order."""
        self._drain()
        taken = list(self._waiting)
        self._waiting.clear()
        if any(number in STOP_SIGNALS for number in taken) and not self._same_press():
            self._pressed_at = time.monotonic()
        return taken

    def wait(self, seconds: float) -> None:
        """Return after `seconds` (an hour at most), or as soon as a signal waits."""
        if not self._waiting:
            select.select((self._read,), (), (), min(max(0.0, seconds), LONGEST_WAIT_S))

    def take_stop(self) -> int | None:
        """A new press of stop (SIGINT or SIGTERM), if there was one; other signals are dropped.

        What follows a press within SAME_PRESS_S belongs to it: Colab delivers each press twice.
        """
        same = self._same_press()
        number = next((number for number in self.take() if number in STOP_SIGNALS), None)
        return None if same else number

    def _same_press(self) -> bool:
        return self._pressed_at is not None and time.monotonic() - self._pressed_at < SAME_PRESS_S
