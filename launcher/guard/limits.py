"""When a run is over its limit: `max_duration`, or what it may cost. Pure; time comes in."""

from __future__ import annotations

from dataclasses import dataclass

from launcher.guard.model import OverLimit

# However long the last save takes, the job has this part of the budget for itself.
FOR_THE_JOB = 0.5


@dataclass(frozen=True, slots=True)
class Limits:
    """Of a whole run, set-up and all attempts included, in seconds; None: no such limit.

    A machine that is suspended does no work and is paid for: that time counts for the budget, and not for
    `max_duration`. A budget keeps back `stop_grace_s`, and `save_s`, which the last save took.
    """

    max_duration_s: float | None
    budget_s: float | None = None
    stop_grace_s: float = 0.0
    save_s: float = 0.0

    def left(self, ran: float, slept: float) -> tuple[float, OverLimit] | None:
        """The limit that is reached first, and in how many seconds the job is told; None: there is none.

        The run began `ran` seconds ago, and the machine was suspended for `slept` seconds besides.
        """
        found = []
        if self.max_duration_s is not None:
            found.append((self.max_duration_s - ran, OverLimit(self.max_duration_s)))
        if self.budget_s is not None:
            found.append((self.told_at - ran - slept, OverLimit(self.budget_s, "budget")))
        return min(found, key=lambda one: one[0], default=None)

    @property
    def told_at(self) -> float:
        """Of a budget: after how many paid seconds the job is told to end; infinity without one."""
        if self.budget_s is None:
            return float("inf")
        return max(self.budget_s * FOR_THE_JOB, self.budget_s - self.stop_grace_s - self.save_s)
