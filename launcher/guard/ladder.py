"""How often a person has pressed stop: politely, then at once, then not waiting any longer. Time comes in."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from launcher.guard.inbox import SAME_PRESS_S

if TYPE_CHECKING:
    from collections.abc import Callable

# The first press is polite, the second kills the job, with the third the client leaves.
KILL_AT, LEAVE_AT = 2, 3


class Ladder:
    """Counts presses while they mean the same; what follows one within SAME_PRESS_S belongs to it."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._pressed_at: float | None = None
        self._presses = 0

    def anew(self) -> None:
        """A press means something else from here on: the next one is the first."""
        self._presses = 0

    def take_back(self) -> None:
        """The last press has reached nobody: the next one takes its place."""
        self._presses = max(0, self._presses - 1)

    def press(self) -> int:
        """A signal came: which press this is, beginning with 1; 0 where it belongs to the one before."""
        now = self._now()
        if self._pressed_at is not None and now - self._pressed_at < SAME_PRESS_S:
            return 0
        self._pressed_at = now
        self._presses += 1
        return self._presses
