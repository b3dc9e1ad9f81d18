"""How long a signal to the client takes to the job: SIGUSR1, because SIGTERM would be a stop."""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING

from benchmarks.figures import Row, Target, spread_of

if TYPE_CHECKING:
    from benchmarks.world import World

TARGET = Target("<", 0.5)


def signals(world: World) -> list[Row]:
    """The job alone, and under colab-run on pipes and on a terminal."""
    count = world.few(300, 100)
    job = [*world.child, "signals", str(count + 1)]
    return [
        spread_of("SIGUSR1 to handler: the job alone", times(world, job, count), "ms"),
        spread_of("SIGUSR1 to handler: pipes", times(world, world.executed(*job), count), "ms", TARGET),
        spread_of(
            "SIGUSR1 to handler: terminal",
            times(world, world.executed(*job), count, terminal=True),
            "ms",
            TARGET,
        ),
    ]


def times(world: World, argv: list[str], count: int, *, terminal: bool = False) -> list[float]:
    """From kill() to the first line of the handler, in ms; the first signal only warms up."""
    took = []
    with world.running(argv, terminal=terminal) as running:
        running.wait_for(b"ready")
        for number in range(count + 1):
            # Uneven gaps: no timer of anybody may stand in step with them. Not a wait for something.
            time.sleep((1 + number * 7 % 10) / 1000)
            sent = time.monotonic_ns()
            os.kill(running.process.pid, signal.SIGUSR1)
            line = running.wait_for(b"\n")
            while not line.split()[-1:] or not line.split()[-1].isdigit():
                line = running.wait_for(b"\n")
            took.append((int(line.split()[-1]) - sent) / 1e6)
        running.ended()
    world.forget()
    return took[1:]
