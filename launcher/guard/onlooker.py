"""The guard's side of somebody who looks on from another shell (`colab-run attach`).

The job's bytes are not sent: whoever looks on reads them from the log and is told here which part of it
belongs to which stream. So one that stalls costs a bounded memory, and never makes the job wait.
"""

from __future__ import annotations

import json
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.guard.channel import Channel

# Output that alternates between two streams while nobody reads: after this many turns it becomes one.
MOST_TURNS = 1000
ANSWER = b"A"


class Onlooker:
    """Tells one of them, in order, where in the log new bytes lie."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._spans: deque[tuple[int, int, int]] = deque()

    def span(self, stream: int, offset: int, length: int) -> None:
        """So many bytes of the log, from `offset`, came from the job's `stream` (1 or 2)."""
        last = self._spans[-1] if self._spans else None
        if last is not None and (last[0] == stream or len(self._spans) >= MOST_TURNS):
            self._spans[-1] = (last[0], last[1], offset + length - last[1])
        else:
            self._spans.append((stream, offset, length))
        self.flush()

    def flush(self) -> None:
        """Hand to the connection what it has room for."""
        while self._spans and not self._channel.pending and not self._channel.mute:
            self._channel.send(ANSWER + json.dumps({"span": self._spans.popleft()}).encode())
