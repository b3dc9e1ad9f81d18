"""Messages between client and guard, watcher and guard: whole or absent, in order, never blocking.

SOCK_SEQPACKET keeps the boundaries of messages, so a process that is killed while it sends leaves no
half of one. The first byte says what a message is.
"""

from __future__ import annotations

import array
import contextlib
import os
import socket
from collections import deque

# From the client.
GO = b"G"  # the plan is in its file
STOP = b"S"  # a press: the signal's number follows, and which press of its kind it is (0: still the last)
FORWARD = b"F"  # a signal for the job: its number follows
KEYS = b"K"  # typed at the client's terminal
SIZE = b"W"  # the client's window: struct winsize follows
LEFT = b"Q"  # the client goes and does not want to be told more
# From the guard.
NAMED = b"I"  # the id of the run: from now on there is something that could be left behind
EVENT = b"E"  # a pickled event
RANGE = b"R"  # bytes of the log: stream, offset, length
DATA = b"D"  # bytes that the log could not take: stream, bytes
TYPED = b"T"  # so many bytes of keys were taken
ANEW = b"N"  # the job is over, or its results are saved: what a press means has changed
BEGUN = b"B"  # the first process of the job runs: the pickled record
ERROR = b"X"  # a pickled error: nothing was started
FINAL = b"Z"  # the last word for the client: the pickled record
# From both: the beginning of a message that is too long for one, more of it, and its end.
FIRST_PART, PART, LAST_PART = b"(", b"P", b")"

LARGEST = 1 << 17
PART_BYTES = 1 << 15
_ANCILLARY = 64


class Channel:
    """One end of a connection; what does not go through now waits, in order."""

    def __init__(self, connection: socket.socket, *, whole: bool = False) -> None:
        """`whole`: a message that comes in parts is none that we take; else it is kept until its end."""
        connection.setblocking(False)
        self._socket, self._whole = connection, whole
        self._pending: deque[bytes] = deque()
        self._parts = bytearray()
        # `broken`: its end was read. `mute`: nobody hears us any more.
        self.broken = self.mute = False

    def fileno(self) -> int:
        """To poll it."""
        return self._socket.fileno()

    @property
    def pending(self) -> bool:
        """Does anything wait to be sent?"""
        return bool(self._pending)

    def send(self, message: bytes) -> None:
        """Now, or as soon as `flush` finds room."""
        if not self.mute:
            self._pending.append(message)
            self.flush()

    def send_long(self, kind: bytes, data: bytes) -> None:
        """The same for data of any length, in as many parts as it takes."""
        *first, last = [data[at : at + PART_BYTES] for at in range(0, len(data), PART_BYTES)] or [b""]
        if not first:
            self.send(kind + last)
            return
        self._pending.append(FIRST_PART + first[0])
        self._pending.extend(PART + part for part in first[1:])
        self.send(LAST_PART + kind + last)

    def flush(self) -> None:
        """Send what goes through. Where nobody hears us, there may still be something to be read."""
        while self._pending and not self.mute:
            try:
                self._socket.send(self._pending[0], socket.MSG_NOSIGNAL)
            except BlockingIOError:
                return
            except OSError:
                self._fall_silent()
                return
            self._pending.popleft()

    def _fall_silent(self) -> None:
        """Part of what was said is lost: whoever is still there shall see the end, not wait for the rest."""
        self.mute = True
        self._pending.clear()
        with contextlib.suppress(OSError):  # It is not connected any more.
            self._socket.shutdown(socket.SHUT_WR)

    def receive(self) -> bytes | None:
        """The next message; None when there is none now. After an end `broken` is True."""
        while (message := self._receive()) is not None:
            part = message[:1]
            if self._whole or part not in (FIRST_PART, PART, LAST_PART):
                self._parts.clear()  # Whoever began one in parts was killed in the middle.
                return message
            if part == FIRST_PART:
                self._parts[:] = message[1:]
            elif part == PART:
                self._parts += message[1:]
            else:
                whole = message[1:2] + bytes(self._parts) + message[2:]
                self._parts.clear()
                return whole
        return None

    def _receive(self) -> bytes | None:
        try:
            message = self._socket.recv(LARGEST)
        except BlockingIOError:
            return None
        except OSError:
            message = b""
        if not message:
            self.lose()
            return None
        return message

    def lose(self) -> None:
        """The other end is gone."""
        self.broken = self.mute = True
        self._pending.clear()

    def close(self) -> None:
        """Close our end."""
        self.broken = self.mute = True
        self._socket.close()


def pair() -> tuple[socket.socket, socket.socket]:
    """Two connected ends."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def hand_over(connection: socket.socket, label: str, descriptor: int) -> None:
    """Send a descriptor under a name; the other end has one of its own then. Raises OSError."""
    passed = array.array("i", [descriptor]).tobytes()
    connection.sendmsg([label.encode()], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, passed)])


def take_over(connection: socket.socket) -> tuple[str, int | None] | None:
    """The next (name, descriptor), without a descriptor where none was sent; None at the end."""
    try:
        data, ancillary, _, _ = connection.recvmsg(256, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    except OSError:
        return None
    if not data:
        return None
    passed = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            passed.frombytes(payload[: len(payload) - len(payload) % passed.itemsize])
    for extra in passed[1:]:
        os.close(extra)
    return data.decode(), passed[0] if passed else None
