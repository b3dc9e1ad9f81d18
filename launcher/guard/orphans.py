"""Processes of a job whose watcher and guard are both gone: they are nobody's children any more.

Known by the run's id in the environment that they were started with, by the session of the job's
first process, and by descent from one of these.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from launcher.guard import tree
from launcher.guard.emergency import KILL_ROUND_S, UNKILLABLE_S

if TYPE_CHECKING:
    from collections.abc import Collection

    from launcher.clock import Clock
    from launcher.guard.desk import Desk


def find(run_id: str, sessions: Collection[int], since_ticks: int) -> list[tree.ProcessRef]:
    """All that live, but for ourselves. A session's number is reused: only who began after `since_ticks`."""
    entry = f"COLAB_RUN_ID={run_id}"
    ours = {os.getpid(), os.getppid(), *(ref.pid for ref in tree.descendants(os.getpid()))}
    found: dict[int, tree.ProcessRef] = {}
    for ref, session in tree.living():
        by_session = session in sessions and ref.start >= since_ticks
        if ref.pid not in ours and (by_session or tree.carries(ref, entry, unknown=False)):
            found[ref.pid] = ref
            found.update({below.pid: below for below in tree.descendants(ref.pid)})
    return [ref for ref in found.values() if ref.pid not in ours]


def end(
    run_id: str, sessions: Collection[int], since_ticks: int, *, grace_s: float, clock: Clock, desk: Desk
) -> tuple[int, list[int]]:
    """SIGTERM, SIGKILL after `grace_s` or at a stop; (how many there were, who cannot be ended)."""
    first = left = find(run_id, sessions, since_ticks)
    _send(left, signal.SIGTERM)
    _send(left, signal.SIGCONT)
    kill_at = clock.monotonic() + grace_s
    while left := find(run_id, sessions, since_ticks):
        now = clock.monotonic()
        if desk.take_stop() is not None:
            kill_at = min(kill_at, now)
        if now > kill_at + UNKILLABLE_S:
            break
        if now >= kill_at:
            # Stopped first, so that one that forks faster than we look cannot run away.
            _send(left, signal.SIGSTOP)
            _send(find(run_id, sessions, since_ticks), signal.SIGKILL)
        desk.wait(KILL_ROUND_S)
    return len(first), [ref.pid for ref in left]


def _send(processes: list[tree.ProcessRef], number: int) -> None:
    for process in processes:
        tree.send(process, number)
