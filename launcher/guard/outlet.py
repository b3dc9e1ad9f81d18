"""Where the job's bytes go on the client's side: our stdout and stderr.

An outlet never blocks the loop, so that limits and signals work while the reader is slow, and a
reader that is gone never ends the job. What cannot be written yet waits in a bounded buffer; when
that is full, the job's stream is simply not read until there is room, as with any pipe.
"""

from __future__ import annotations

import os
import select
import socket
import stat
import time

BUFFER_LIMIT = 1 << 20
# What poll() promises a blocking pipe to take at once.
SMALL_WRITE = 4096


class Outlet:
    """One of our own output descriptors. `broken` once its reader is gone."""

    def __init__(self, descriptor: int) -> None:
        self.broken = False
        self.error: OSError | None = None
        self._pending = bytearray()
        self._socket: socket.socket | None = None
        self._own: int | None = None
        self._descriptor = descriptor
        self._small = False
        self._open(descriptor)

    def _open(self, descriptor: int) -> None:
        """Get a description of our own that may be non-blocking.

        O_NONBLOCK belongs to the open file description, which we share with the shell or kernel
        that started us: setting it there would break them. A terminal and a pipe can be opened
        anew through /proc; a file never blocks; a socket has MSG_DONTWAIT.
        """
        try:
            mode = os.fstat(descriptor).st_mode
        except OSError:
            self.broken = True
            return
        if stat.S_ISSOCK(mode):
            self._socket = socket.socket(fileno=os.dup(descriptor))
        elif stat.S_ISFIFO(mode) or (stat.S_ISCHR(mode) and os.isatty(descriptor)):
            flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
            try:
                self._own = os.open(f"/proc/self/fd/{descriptor}", flags)
                self._descriptor = self._own
            except OSError:
                # No reader any more, or a sandbox without /proc: the first write will tell.
                self._small = True

    @property
    def pollable(self) -> int:
        """The descriptor to poll for room while `pending`."""
        return self._socket.fileno() if self._socket else self._descriptor

    @property
    def pending(self) -> int:
        """Bytes that wait for room."""
        return len(self._pending)

    @property
    def full(self) -> bool:
        """True while the job's stream should not be read."""
        return len(self._pending) >= BUFFER_LIMIT

    def feed(self, data: bytes) -> None:
        """Write what goes through now and keep the rest."""
        if self.broken:
            return
        if self._pending:
            self._pending += data
            self.flush()
            return
        written = self._write(data)
        if written < len(data) and not self.broken:
            self._pending += data[written:]

    def flush(self) -> None:
        """Write as much of what waits as goes through now."""
        while self._pending and not self.broken:
            written = self._write(bytes(self._pending[:65536]))
            if written == 0:
                return
            del self._pending[:written]

    def give_up(self) -> None:
        """Drop what waits and take nothing more."""
        self.broken = True
        self._pending.clear()

    def _write(self, data: bytes) -> int:
        view = memoryview(data)
        written = 0
        while written < len(view):
            try:
                count = self._write_some(view[written:])
            except BlockingIOError:
                break
            except OSError as error:
                self.error = error
                # EPIPE, EIO of a vanished terminal, ENOSPC of a redirected file: the log has it all.
                self.give_up()
                return len(view)
            if count == 0:
                break
            written += count
        return written

    def _write_some(self, view: memoryview) -> int:
        if self._socket:
            return self._socket.send(view, socket.MSG_DONTWAIT)
        if self._small:
            _, ready, _ = select.select((), (self._descriptor,), (), 0)
            return os.write(self._descriptor, view[:SMALL_WRITE]) if ready else 0
        return os.write(self._descriptor, view)

    def wait_until_taken(self, seconds: float) -> bool:
        """Wait until nothing is pending, `seconds` at most; False if something still is."""
        deadline = time.monotonic() + seconds
        self.flush()
        while self._pending and not self.broken:
            left = deadline - time.monotonic()
            if left <= 0:
                return False
            select.select((), (self.pollable,), (), left)
            self.flush()
        return True

    def close(self) -> None:
        """Close what is ours; the descriptor that we were given stays open."""
        if self._socket:
            self._socket.close()
        if self._own is not None:
            os.close(self._own)
