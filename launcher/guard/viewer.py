"""The guard's side of a client that shows a run: events, and where in the log the job's output lies.

The job's bytes are not sent: they are in the log, and the client reads them from there at its own
pace. So a client that stalls costs no memory, loses no byte, and never makes the job wait. Only what
the log could not take (a full disk) is sent itself, as far as it is taken.
"""

from __future__ import annotations

import pickle
import struct
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from launcher.guard.channel import DATA, EVENT, RANGE, Channel

if TYPE_CHECKING:
    from launcher.guard.notes import Notes

SPAN = struct.Struct("Bqq")
# Output that alternates between two streams while nobody reads: after this many turns it becomes one.
MOST_TURNS = 10_000
# What the log cannot take waits for the client; above this the job waits too, while the client takes some.
MOST_DATA = 1 << 20
STALLED_S = 10.0
DATA_PART = 1 << 15


class Viewer:
    """Tells one client, in order. `lost` counts bytes that neither the log nor the client took."""

    def __init__(self, channel: Channel, notes: Notes) -> None:
        self._channel, self._notes = channel, notes
        self._waiting: deque[bytes | tuple[int, int, int]] = deque()
        self._waiting_data = 0
        self._taken_at = 0.0
        self.lost = 0

    def fileno(self) -> int:
        """To poll it."""
        return self._channel.fileno()

    @property
    def channel(self) -> Channel:
        """The connection."""
        return self._channel

    @property
    def waiting(self) -> bool:
        """Is there something that the connection had no room for?"""
        return bool(self._waiting) or self._channel.pending

    def tell(self, kind: bytes, thing: Any) -> None:
        """An object, after everything that was told before."""
        self._waiting.append(kind + pickle.dumps(thing, pickle.HIGHEST_PROTOCOL))
        self.flush()

    def event(self, event: Any) -> None:
        """One event of the run."""
        self.tell(EVENT, event)

    def span(self, stream: int, offset: int, length: int) -> None:
        """So many bytes of the log, from `offset`, are for the client's `stream` (1 or 2)."""
        last = self._waiting[-1] if self._waiting else None
        joins = isinstance(last, tuple) and last[1] + last[2] == offset
        if isinstance(last, tuple) and joins and (last[0] == stream or len(self._waiting) > MOST_TURNS):
            self._waiting[-1] = (last[0], last[1], last[2] + length)
            return
        self._waiting.append((stream, offset, length))
        self.flush()

    @property
    def congested(self) -> bool:
        """Should the job wait, so that no byte is lost? Only for a client that takes them, if slowly."""
        full = self._waiting_data >= MOST_DATA
        return full and not self._channel.mute and time.monotonic() < self._taken_at + STALLED_S

    def data(self, stream: int, data: bytes) -> None:
        """Bytes that are not in the log."""
        if self._waiting_data >= MOST_DATA or self._channel.mute:
            self.lost += len(data)
            return
        for at in range(0, len(data), DATA_PART):
            part = DATA + bytes((stream,)) + data[at : at + DATA_PART]
            if self._waiting_data == 0:
                self._taken_at = time.monotonic()
            self._waiting_data += len(part)
            self._waiting.append(part)
        self.flush()

    def send(self, message: bytes) -> None:
        """A short message whose place in the order does not matter."""
        self._channel.send(message)

    def flush(self) -> None:
        """Hand to the connection what it has room for."""
        self._channel.flush()
        while self._waiting and not self._channel.pending and not self._channel.mute:
            message = self._waiting.popleft()
            if isinstance(message, tuple):
                self._channel.send(RANGE + SPAN.pack(*message))
                if not self._channel.pending:
                    # Else it is told again after a takeover: the client knows what it has shown.
                    self._notes.mark_told(message[1] + message[2])
            elif message[:1] == DATA:
                self._waiting_data -= len(message)
                self._taken_at = time.monotonic()
                self._channel.send(message)
            else:
                self._channel.send_long(message[:1], message[1:])
        if self._channel.mute:
            self._waiting.clear()
            self._waiting_data = 0
