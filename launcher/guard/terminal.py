"""The job's own terminal, and ours while the job runs.

The inner terminal does not translate newlines: what the job writes is what the log and we get, and
our own terminal still maps them. Ours is put into cbreak mode without echo, so that the inner one
does the echo and line editing; Ctrl-C stays a signal to us, so that a press is known to be a person's.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import struct
import termios
from typing import Any

IFLAG, OFLAG, CFLAG, LFLAG, _, _, CC = range(7)


def open_inner(like: int) -> tuple[int, int]:
    """(master, slave) of a new terminal with the modes and size of `like`, which is a terminal of ours.

    Raises OSError where no terminal can be had (no /dev/ptmx, or too many).
    """
    master, slave = os.openpty()
    try:
        modes = termios.tcgetattr(like)
    except termios.error:
        modes = termios.tcgetattr(slave)
    modes[OFLAG] &= ~termios.OPOST
    termios.tcsetattr(slave, termios.TCSANOW, modes)
    os.set_blocking(master, False)
    set_size(master, size_of(like))
    return master, slave


def size_of(descriptor: int) -> bytes:
    """Its struct winsize, or nothing."""
    try:
        return fcntl.ioctl(descriptor, termios.TIOCGWINSZ, struct.pack("4H", 0, 0, 0, 0))
    except OSError:
        return b""


def rows_and_columns(size: bytes) -> tuple[int, int]:
    """Of a struct winsize."""
    rows, columns, _, _ = struct.unpack("4H", size)
    return rows, columns


def set_size(descriptor: int, size: bytes) -> None:
    """Give a terminal the size of a struct winsize; the job gets SIGWINCH from the kernel."""
    with contextlib.suppress(OSError):
        fcntl.ioctl(descriptor, termios.TIOCSWINSZ, size)


def has_job_control() -> bool:
    """Have we a controlling terminal, so that a shell may suspend and resume us? Not in Colab's cells."""
    return any(_is_controlling(descriptor) for descriptor in (0, 1, 2))


def suspend_ourselves() -> None:
    """As Ctrl-Z does it with any program; returns after `fg` or `bg`."""
    # The kernel drops it where our group is orphaned: nobody would ever resume us.
    old = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, signal.SIG_DFL if old is None else old)


def _is_controlling(descriptor: int) -> bool:
    try:
        return os.tcgetpgrp(descriptor) >= 0
    except OSError:
        return False


class OuterTerminal:
    """The client's own terminal at `descriptor`: hand its keys to the job while we are in the foreground."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._saved: list[Any] | None = None

    def in_foreground(self) -> bool:
        """May we read it and change its modes? True where it is not our controlling terminal (Colab)."""
        try:
            return os.tcgetpgrp(self._descriptor) == os.getpgrp()
        except OSError:
            return True

    def enter(self) -> bool:
        """Keys come through one by one, without echo; False when we are in the background."""
        if not self.in_foreground():
            return False
        try:
            modes = termios.tcgetattr(self._descriptor)
            if self._saved is None:
                self._saved = termios.tcgetattr(self._descriptor)
            modes[LFLAG] &= ~(termios.ICANON | termios.ECHO)
            modes[CC][termios.VMIN], modes[CC][termios.VTIME] = 1, 0
            termios.tcsetattr(self._descriptor, termios.TCSANOW, modes)
        except termios.error:
            return False
        return True

    def restore(self) -> None:
        """Put the modes back as they were found."""
        if self._saved is not None and self.in_foreground():
            with contextlib.suppress(termios.error):
                # Not TCSADRAIN: that would wait for a reader that takes nothing.
                termios.tcsetattr(self._descriptor, termios.TCSANOW, self._saved)
            self._saved = None
