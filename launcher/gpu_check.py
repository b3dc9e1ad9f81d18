"""After the end of a job: does anybody hold GPU memory who did not before it? Reported, not judged.

The driver may know such a process by a pid that is not ours to know (of another container), and work
that was started through somebody else's server is nobody's child.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.children import call_in_child
from launcher.probes import nvml
from launcher.probes.model import GpuHolder
from launcher.values import Known, Reading, Unknown

if TYPE_CHECKING:
    from launcher.probes.model import GpuFacts

DEADLINE_S = 2.0
# The driver takes a moment to forget a process that has just ended.
PATIENCE_S = 1.0
PAUSE_S = 0.1


def holders(gpu: GpuFacts) -> Reading[tuple[int, ...]]:
    """Who holds GPU memory by these facts; empty where there is no GPU."""
    if isinstance(gpu.gpus, Unknown):
        return gpu.gpus
    pids: set[int] = set()
    for one in gpu.gpus.value:
        if isinstance(one.processes, Unknown):
            return one.processes
        pids.update(process.pid for process in one.processes.value)
    return Known(tuple(sorted(pids)))


def left_on_gpus(before: Reading[tuple[int, ...]]) -> Reading[tuple[GpuHolder, ...]]:
    """Who holds GPU memory now and is not among `before`; asks for a moment until nobody does."""
    if isinstance(before, Unknown):
        return before
    give_up = time.monotonic() + PATIENCE_S
    while True:
        answer = call_in_child(nvml.memory_holders, deadline_s=DEADLINE_S)
        if isinstance(answer, Unknown):
            return Unknown(answer.reason)
        if answer.value is None:
            return Unknown("not-told")
        new = [(int(pid), memory) for pid, memory in answer.value if pid not in before.value]
        if not new or time.monotonic() > give_up:
            return Known(tuple(_holder(pid, memory) for pid, memory in new))
        time.sleep(PAUSE_S)


def _holder(pid: int, memory: int | None) -> GpuHolder:
    known: Reading[int] = Unknown("not-available") if memory is None else Known(memory)
    try:
        with open(f"/proc/{pid}/comm", encoding="utf-8", errors="replace") as file:
            return GpuHolder(pid, known, Known(file.read().strip()))
    except OSError:
        return GpuHolder(pid, known, Unknown("not-here"))
