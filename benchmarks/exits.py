"""How long after its job a command ends: the job writes the time, the bench sees the command's end."""

from __future__ import annotations

import shlex

from benchmarks.figures import Row, Target, spread_of
from benchmarks.world import World, stamp_in

TARGET = Target("<", 5.0)
# Long enough that nothing of the start is still under way.
LIVES_MS = 60


def exits(world: World) -> list[Row]:
    """A row for each command, all in turn."""
    job = [*world.child, "stamp", str(LIVES_MS)]
    scripted = ["script", "-q", "-e", "-c", shlex.join(job), "/dev/null"]
    commands: dict[str, tuple[list[str], bool, Target | None]] = {
        "the job alone": (job, False, None),
        "timeout": (["timeout", "60", *job], False, None),
        "script -e": (scripted, True, None),
        "colab-run exec, pipes": (world.executed(*job), False, TARGET),
        "colab-run exec, terminal": (world.executed(*job), True, TARGET),
    }
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in range(world.few(60, 8) + 1):
        for name, (argv, terminal, _target) in commands.items():
            with world.running(argv, terminal=terminal) as running:
                at, out = running.ended()
            times[name].append((at - stamp_in(out)) / 1e6)
            world.forget()
    # The first of each only warms up.
    return [
        spread_of(f"job's end to command's end: {name}", times[name][1:], "ms", target)
        for name, (_argv, _terminal, target) in commands.items()
    ]
