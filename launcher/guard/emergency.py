"""The last duty of a supervisor that has failed: no process of the job may run on unwatched."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from launcher.guard import tree

if TYPE_CHECKING:
    from launcher.clock import Clock
    from launcher.guard.desk import Desk

# Between two rounds of SIGKILL, and how long we believe that a killed process may still go.
KILL_ROUND_S = 0.05
UNKILLABLE_S = 60.0
LOOK_S = 0.2
NOBODY: frozenset[tree.ProcessRef] = frozenset()


def end_everything(*, grace_s: float, clock: Clock, desk: Desk) -> None:
    """SIGTERM to every process below us, SIGKILL after `grace_s` or at a person's stop, until none is left.

    It uses as little as possible of what may just have failed: no streams, no state of the run.
    """
    root = os.getpid()
    tree.send_to_all(root, signal.SIGTERM, NOBODY)
    kill_at = clock.monotonic() + grace_s
    while tree.descendants(root, NOBODY):
        now = clock.monotonic()
        if desk.take_stop() is not None:
            kill_at = min(kill_at, now)
        if now > kill_at + UNKILLABLE_S:
            return
        if now >= kill_at:
            tree.kill_all(root, NOBODY)
        # What has ended may have told so before we looked for it.
        desk.wait(KILL_ROUND_S if now >= kill_at else min(kill_at - now, LOOK_S))
        _reap()


def _reap() -> None:
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return
