"""What `colab-run watch` uses while nothing happens: memory of each part, processor time of all."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from benchmarks.figures import Row, Target
from benchmarks.idle import activity_of
from benchmarks.processes import memory_mb, parent, processes_of
from benchmarks.world import until

if TYPE_CHECKING:
    from benchmarks.world import World

TARGETS = {"watcher": Target("<", 12.0), "guard": Target("<", 25.0)}
# A look every 15 s, as with the windows that people use; the first ones import what they need.
WATCH = ("watch", "--idle", "1h", "--with", "command:true")
SETTLES_S = 3.0


def watching(world: World) -> list[Row]:
    """A watch that waits, seen after its first look."""
    with world.running([*world.colab_run, *WATCH]) as running:
        running.ended()
        until(lambda: len(processes_of(world.cookie)) >= len(TARGETS) + 1, "watcher, guard and sampler")
        time.sleep(SETTLES_S)
        pids = named(processes_of(world.cookie))
        rows = [memory(name, pid) for name, pid in pids.items()]
        rows += activity_of(list(pids.values()), world.few(30, 16), "watch")
    world.forget()
    return rows


def named(pids: list[int]) -> dict[str, int]:
    """Who is whose parent: the watcher's is none of ours, the sampler's is the guard."""
    watcher = next(pid for pid in pids if parent(pid) not in pids)
    guard = next(pid for pid in pids if parent(pid) == watcher)
    found = {"watcher": watcher, "guard": guard}
    others = [pid for pid in pids if parent(pid) == guard]
    return found | {f"helper {number}": pid for number, pid in enumerate(others, 1)}


def memory(name: str, pid: int) -> Row:
    """Its row."""
    rss, pss = memory_mb(pid)
    return Row(f"watch: RSS of the {name}", rss, "MB", TARGETS.get(name), 1, f"PSS {pss:.1f}", [rss, pss])
