"""child.c for machines without a C compiler; the same words, the same output."""

from __future__ import annotations

import os
import signal
import sys
import time

LINE = b"x" * 75 + b"\n"
AT_ONCE = 65536 // len(LINE)


def put(data: bytes) -> None:
    """Write all of it to stdout."""
    view = memoryview(data)
    while view:
        view = view[os.write(1, view) :]


def put_time() -> None:
    """Write the time, CLOCK_MONOTONIC in ns."""
    put(b"%d\n" % time.monotonic_ns())


def lines(left: int) -> None:
    """Two markers, and so many lines between them."""
    put(b"<BEGIN>\n")
    block = LINE * AT_ONCE
    for start in range(0, left, AT_ONCE):
        put(block if left - start >= AT_ONCE else LINE * (left - start))
    put(b"<END>\n")


def signals(wanted: int) -> None:
    """The time of each SIGUSR1, as soon as this program knows of it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
    put(b"ready\n")
    for _ in range(wanted):
        signal.sigwait({signal.SIGUSR1})
        put_time()


def ticks(ms: int) -> None:
    """The time every millisecond."""
    end = time.monotonic() + ms / 1000
    while time.monotonic() < end:
        put_time()
        time.sleep(0.001)


def stamp(ms: int) -> None:
    """The time, right before the end."""
    if ms:
        time.sleep(ms / 1000)
    put_time()


if __name__ == "__main__":
    {"lines": lines, "stamp": stamp, "signals": signals, "ticks": ticks}[sys.argv[1]](int(sys.argv[2]))
    os._exit(0)
