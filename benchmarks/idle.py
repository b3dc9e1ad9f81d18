"""What colab-run uses while a job sleeps: memory of each part, processor time and wake-ups of all."""

from __future__ import annotations

import time

from benchmarks.figures import Row, Target
from benchmarks.processes import Family, alive, cpu_s, family_of, memory_mb, wakeups
from benchmarks.world import World, until

TARGETS = {"watcher": Target("<", 12.0), "guard": Target("<", 16.0), "client": Target("<", 32.0)}
TOGETHER = Target("<", 0.1)
# What the start leaves to do (helpers that end, a first sample) is not idleness.
SETTLES_S = 2.0


def idle(world: World) -> list[Row]:
    """A job that sleeps, on a terminal."""
    with world.running(world.executed("sleep", "3600"), terminal=True) as running:
        until(lambda: family_of(world.cookie, running.process.pid) is not None, "the job")
        time.sleep(SETTLES_S)
        family = family_of(world.cookie, running.process.pid)
        assert family is not None  # noqa: S101 - for the type checker: its job sleeps for an hour
        rows = memory(family) + activity(family, world.few(20, 5))
    world.forget()
    return rows


def memory(family: Family) -> list[Row]:
    """A row for each part; a part that does not exist has no figure."""
    rows = []
    parts = family.parts()
    for name, target in TARGETS.items():
        if name not in parts:
            rows.append(Row(f"idle: RSS of the {name}", None, "MB", target, note="there is no such process"))
            continue
        rss, pss = memory_mb(parts[name])
        rows.append(Row(f"idle: RSS of the {name}", rss, "MB", target, 1, f"PSS {pss:.1f}", [rss, pss]))
    for number, pid in enumerate(family.helpers, 1):
        rss, pss = memory_mb(pid)
        rows.append(Row(f"idle: RSS of helper {number}", rss, "MB", None, 1, f"PSS {pss:.1f}", [rss, pss]))
    return rows


def activity(family: Family, seconds: float) -> list[Row]:
    """Processor time in % of one processor, wake-ups a second; all parts together, over so many seconds."""
    return activity_of(list(family.parts().values()), seconds, "idle")


def activity_of(pids: list[int], seconds: float, what: str) -> list[Row]:
    """The same of these processes, for rows that begin with `what`."""
    before = {pid: (cpu_s(pid), wakeups(pid)) for pid in pids}
    began = time.monotonic()
    time.sleep(seconds)
    took = time.monotonic() - began
    # What a helper used that ended meanwhile is in its parent's figure.
    after = {pid: (cpu_s(pid), wakeups(pid)) for pid in pids if alive(pid)}
    cpu, woken = (sum(after[pid][column] - before[pid][column] for pid in after) for column in (0, 1))
    note = f"over {took:.0f} s, {len(pids)} process{'es' if len(pids) > 1 else ''}"
    note += f", {len(pids) - len(after)} ended" if len(after) < len(pids) else ""
    return [
        Row(f"{what}: processor, together", 100 * cpu / took, "%", TOGETHER, 1, note),
        Row(f"{what}: wake-ups, together", woken / took, "1/s", None, 1, note),
    ]
