"""One detached process that waits out a hold, then hands the runtime back.

It outlives the cell, keeps no kernel busy, and holds neither lease nor descriptors: a run that starts
meanwhile simply stops it from releasing.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

from launcher import children

if TYPE_CHECKING:
    from collections.abc import Callable


def leave_behind(action: Callable[[], None]) -> None:
    """Run `action` in a process of its own session that nobody here waits for."""
    first = os.fork()
    if first:
        os.waitpid(first, 0)
        return
    try:
        # Twice, so that no later parent has it as its child: a notebook's clean-up walks children.
        if os.fork() == 0:
            _detach()
            action()
    finally:
        os._exit(0)


def _detach() -> None:
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    os.chdir("/")
    children.let_go_of_descriptors(())
