"""Time, passed in: nothing below `app` asks the operating system for it on its own."""

from __future__ import annotations

import calendar
import time
from typing import Protocol

# Of linux/time.h; Python has no name for it. The kernel stamps files with this clock.
CLOCK_REALTIME_COARSE = 5
LONGEST_TICK_S = 0.1
_LAST_WALL = 253402300799.0  # the last second of the year 9999


class Clock(Protocol):
    """Two clocks: one for durations and deadlines, one for what a person reads."""

    def monotonic(self) -> float:
        """Seconds since some fixed point; never jumps. Every duration and deadline uses it."""

    def wall(self) -> float:
        """Seconds since the epoch; may jump. For display only."""

    def file_tick_ns(self) -> int:
        """Nanoseconds since the epoch, on the clock that stamps files.

        Every file that was changed before this call is older, every one changed after it is not.
        """


class SystemClock:
    """The machine's clocks."""

    def monotonic(self) -> float:
        """`time.monotonic`."""
        return time.monotonic()

    def wall(self) -> float:
        """`time.time`."""
        return time.time()

    def file_tick_ns(self) -> int:
        """Now, as soon as files that change are stamped with something later; that takes 1 to 20 ms.

        A file's time is the coarse clock's, which lags, or a fine one that some look at a file took
        before; neither is ever ahead of now.
        """
        now = time.time_ns()
        # A clock that is being set back must not hold a run up.
        give_up = time.monotonic() + LONGEST_TICK_S
        while time.clock_gettime_ns(CLOCK_REALTIME_COARSE) <= now and time.monotonic() < give_up:
            time.sleep(0.0005)
        return now + 1


def suspended_s() -> float:
    """For how long this machine was suspended since it was booted, in seconds; 0 where nobody tells."""
    boottime = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
    return max(0.0, time.clock_gettime(boottime) - time.clock_gettime(time.CLOCK_MONOTONIC))


def wall_of(iso: object) -> float | None:
    """The other way round; None for what is no such time, which a file may hold."""
    try:
        return float(calendar.timegm(time.strptime(str(iso), "%Y-%m-%dT%H:%M:%SZ")))
    except ValueError:
        return None


def iso_utc(wall: float) -> str:
    """Seconds since the epoch as `2026-11-22T11:45:01Z`, at most the last one with a year of four digits.

    A large budget at a small rate ends later than any calendar goes, and a file may hold any figure.
    """
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(max(0.0, min(wall, _LAST_WALL))))
