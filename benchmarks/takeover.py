"""How long after the loss of the guard the watcher has taken over: the job's output arrives again.

The job writes the time every millisecond. The first line that was written after the guard's end and that
arrives (at the reader of the client's stdout; in the log) shows that somebody moves the job's bytes again.
"""

from __future__ import annotations

import os
import select
import signal
import time
from dataclasses import dataclass

from benchmarks.figures import Row, Target, middle
from benchmarks.processes import family_of
from benchmarks.world import BenchError, Running, World, until

TARGET = Target("<", 100.0)
# How long the job writes before the loss, how long the bench looks after it, and how long the job lives.
BEFORE_S, LOOKS_S, LIVES_MS = 0.3, 2.0, 4000


@dataclass
class Noticed:
    """When (ns) bytes written after the loss arrived at each place; 0 = not seen."""

    client: int = 0
    log: int = 0


def takeover(world: World) -> list[Row]:
    """The guard is killed, once in each run."""
    client, log = [], []
    names = "guard lost to output again: at the client", "guard lost to output again: in the log"
    rounds = world.few(10, 3)
    for _ in range(rounds):
        try:
            lost, noticed = lose_the_guard(world)
        except BenchError as error:
            return [Row(name, None, "ms", TARGET, note=str(error)) for name in names]
        finally:
            world.forget()
        client += [(noticed.client - lost) / 1e6] if noticed.client else []
        log += [(noticed.log - lost) / 1e6] if noticed.log else []
    return [row(name, values, rounds) for name, values in zip(names, (client, log), strict=True)]


def row(name: str, values: list[float], rounds: int) -> Row:
    """The median, or no figure at all if it was not noticed even once."""
    if len(values) < rounds:
        return Row(name, None, "ms", TARGET, rounds, f"noticed in {len(values)} of {rounds}", values)
    return middle(f"{name}, p50", values, "ms", TARGET)


def lose_the_guard(world: World) -> tuple[int, Noticed]:
    """Kill the guard of a new run; when it was gone (ns), and when that was noticed."""
    with world.running(world.executed(*world.child, "ticks", str(LIVES_MS))) as running:
        running.wait_for(b"\n")
        until(lambda: family_of(world.cookie, running.process.pid) is not None, "the job")
        family = family_of(world.cookie, running.process.pid)
        if family is None or family.guard is None:
            raise BenchError("one process does everything: there is no guard to lose")
        log = os.open(world.log(), os.O_RDONLY)
        pidfd = os.pidfd_open(family.guard)
        try:
            until_stamp(running, time.monotonic_ns() + int(BEFORE_S * 1e9))
            os.kill(family.guard, signal.SIGKILL)
            select.select((pidfd,), (), ())
            lost = time.monotonic_ns()
            return lost, watch(running.output, log, lost)
        finally:
            os.close(pidfd)
            os.close(log)


def until_stamp(running: Running, moment: int) -> None:
    """Read until lines come that were written after `moment`."""
    while last_stamp(running.wait_for(b"\n")) < moment:
        pass


def watch(output: int, log: int, lost: int) -> Noticed:
    """The way of noticing: which bytes arrive where after `lost`. Looks every half millisecond."""
    noticed = Noticed()
    deadline = time.monotonic() + LOOKS_S
    where = os.fstat(log).st_size
    while time.monotonic() < deadline and not (noticed.client and noticed.log):
        if select.select((output,), (), (), 0.0005)[0] and last_stamp(os.read(output, 1 << 16)) > lost:
            noticed.client = noticed.client or time.monotonic_ns()
        size = os.fstat(log).st_size
        if size > where and last_stamp(os.pread(log, size - where, where)) > lost:
            noticed.log = noticed.log or time.monotonic_ns()
        where = max(where, size - 64)
    return noticed


def last_stamp(data: bytes) -> int:
    """The time in the last whole line (ns); 0 where there is none."""
    lines = data.split(b"\n")[:-1]
    return int(lines[-1]) if lines and lines[-1].isdigit() else 0
