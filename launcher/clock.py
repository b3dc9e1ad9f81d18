"""Time, passed in: nothing below `app` asks the operating system for it on its own."""

from __future__ import annotations

import time
from typing import Protocol


class Clock(Protocol):
    """Two clocks: one for durations and deadlines, one for what a person reads."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never jumps. Every duration and deadline uses it."""

    def wall(self) -> float:
        """Seconds since the epoch; may jump. For display and for comparing with file times only."""


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    def wall(self) -> float:
        """`time.time`."""
        return time.time()


def iso_utc(wall: float) -> str:
    """Seconds since the epoch as `2026-11-22T11:45:01Z`."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(wall))
