"""How a job is stopped: which signal is due when. Pure; time comes in.

Polite first, and to every process of the job; SIGKILL when `stop_grace` is over. A person's stop
begins with SIGINT, because that is what the job would have got without us.
"""

from __future__ import annotations

import signal
from dataclasses import dataclass
from enum import Enum


class Why(Enum):
    """Who or what stops the job."""

    PERSON = "person"
    LIMIT = "limit"
    STALLED = "stalled"
    LEFTOVERS = "leftovers"


@dataclass(frozen=True, slots=True)
class Step:
    """Send `signal` to every process of the job at `at` (monotonic seconds)."""

    at: float
    signal: int


class Stop:
    """The schedule of one stop. `number` is the signal that a person's stop arrived as."""

    def __init__(self, why: Why, now: float, grace_s: float, number: int = signal.SIGTERM) -> None:
        self.why = why
        kill = Step(now + grace_s, signal.SIGKILL)
        if why is Why.PERSON and number == signal.SIGINT:
            # Half of the grace for those that clean up on Ctrl-C, half for those that know SIGTERM only.
            self._steps = [Step(now, signal.SIGINT), Step(now + grace_s / 2, signal.SIGTERM), kill]
        else:
            self._steps = [Step(now, signal.SIGTERM), kill]

    def kill_now(self, now: float) -> None:
        """A second, deliberate press: do not wait for the grace."""
        self._steps = [Step(now, signal.SIGKILL)]

    def also(self, now: float, number: int) -> None:
        """A press during a stop that was under way: the job gets its signal, the deadlines stay."""
        self._steps.insert(0, Step(now, number))

    def due(self, now: float) -> int | None:
        """The signal that is due, at most one a call, each once; of several the last."""
        number = None
        while self._steps and self._steps[0].at <= now:
            number = self._steps.pop(0).signal
        return number

    def next_at(self) -> float | None:
        """When the next step is due, or None after the last one."""
        return self._steps[0].at if self._steps else None
